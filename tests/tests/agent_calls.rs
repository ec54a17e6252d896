//! Depth `calls` of the agent: what it tells of a process is what attach tells, each turn is told once, and the host is rid of
//! the probes when nobody needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tracenet_tests::agent::{self, Agent};
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::node::{EVERY_TURN, Node, Span, spans, sum};
use tracenet_tests::program::Program;
use tracenet_tests::{case, counters, load, wait_for};

const NEEDS: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("ss"), Need::Tool("setpriv")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_chosen_process_is_told_as_attach_tells_it, NEEDS),
        case!(each_turn_is_told_once_while_a_process_is_chosen_and_left, NEEDS),
        case!(losses_are_told_with_their_causes, NEEDS),
        case!(a_namespace_is_let_go_with_its_last_process, NEEDS),
        case!(beyond_the_limit_and_after_the_end, NEEDS),
        case!(without_the_rights_there_are_no_packets_and_that_is_said, NEEDS),
        case!(what_it_needs_is_kept_only_where_it_is_asked_for, NEEDS),
        case!(memory_lets_go_of_it_first, NEEDS),
    ])
}

/// Names under which the programs run: nobody else on this machine does.
const DEEP: &str = "calls-deep";
const SHALLOW: &str = "calls-shallow";

/// The configuration with these lines below `agent:`.
fn configuration(lines: &str) -> String {
    EVERY_TURN.replace("agent:\n", &format!("agent:\n{lines}"))
}

fn chosen() -> String {
    configuration(&format!("  selectors:\n  - {{executable: {DEEP}, depth: calls}}\n"))
}

/// Python under names of their own, so that a selector can tell them from all others.
struct Names(tempfile::TempDir);

impl Names {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn python(&self, name: &str) -> PathBuf {
        let file = self.0.path().join(name);
        if !file.exists() {
            let python = std::fs::canonicalize("/usr/bin/python3").expect("Debian's python");
            std::fs::copy(python, &file).expect("a copy");
        }
        file
    }

    fn halves(&self, netns: &Netns, name: &str, args: &[&str]) -> Program {
        let mut command = netns.command(self.python(name));
        Program::start(command.arg("-u").arg(load::script_path("halves.py")).args(args))
    }

    fn serve(&self, netns: &Netns) -> Program {
        let server = self.halves(netns, SHALLOW, &["serve", "8001"]);
        server.json();
        server
    }
}

/// One who asks, and keeps the books.
struct Caller {
    program: Program,
    connections: u64,
    turns: u64,
}

impl Caller {
    fn new(names: &Names, netns: &Netns, name: &str) -> Self {
        Self { program: names.halves(netns, name, &["call"]), connections: 0, turns: 0 }
    }

    fn ask(&mut self, what: &str) {
        self.program.say(what);
        self.program.json();
    }

    fn open(&mut self, address: &str, count: u64) {
        self.ask(&format!("open {address} 8001 {count}"));
        self.connections += count;
    }

    fn turns(&mut self, count: u64) {
        self.ask(&format!("turns {count}"));
        self.turns += count * self.connections;
    }

    fn close(&mut self) {
        self.ask("close");
        self.connections = 0;
    }

    /// One turn after the other until `done`, not too many: all that was told is read each time.
    fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        wait_for(what, || {
            self.turns(1);
            std::thread::sleep(std::time::Duration::from_millis(20));
            done().then_some(())
        });
    }
}

fn of(spans: &[Span], pid: u32) -> Vec<&Span> {
    spans.iter().filter(|s| s.resource["process.pid"].as_u64() == Some(pid.into())).collect()
}

/// Of all processes.
fn calls(agent: &Node<'_>) -> usize {
    agent.spans().iter().filter(|s| s.name == "syscall sendto").count()
}

fn has_calls(spans: &[Span], pid: u32) -> bool {
    of(spans, pid).iter().any(|s| s.name.starts_with("syscall "))
}

/// Programs on the system calls that the agent has attached, by what the kernel says of its descriptors.
fn traces_calls(agent: u32) -> bool {
    let folder = std::fs::read_dir(format!("/proc/{agent}/fdinfo")).expect("it runs");
    let texts = folder.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.into_iter().any(|text| {
        text.lines().any(|l| l.strip_prefix("tp_name:").is_some_and(|name| name.trim() == "sys_enter"))
    })
}

/// Names of spans with the names of their attributes, those left out that depend on where the time went.
fn shape<'a>(spans: impl IntoIterator<Item = &'a Span>) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for span in spans {
        let keys = span.attributes.keys().filter(|key| !key.starts_with("tracenet.turn.part."));
        all.entry(span.name.clone()).or_default().extend(keys.cloned());
    }
    all
}

fn a_chosen_process_is_told_as_attach_tells_it() {
    const CONNECTIONS: u64 = 3;
    const TURNS: u64 = 10;
    let (pair, home, names) = (Pair::new(), Netns::new("home"), Names::new());
    let server = names.serve(&pair.server);
    let mut deep = Caller::new(&names, &pair.client, DEEP);
    let mut agent = Node::start(&home, &chosen());
    assert!(!traces_calls(agent.program().pid()), "nobody needs it yet");
    deep.open(Pair::SERVER, 1);
    let pid = deep.program.pid();
    deep.until("the process to be followed", || has_calls(&agent.spans(), pid));
    assert!(traces_calls(agent.program().pid()));
    deep.close();
    let before = deep.turns;
    deep.open(Pair::SERVER, CONNECTIONS);
    deep.turns(TURNS);
    deep.close();
    pair.settle();
    wait_for("the connections to be told", || {
        let spans = agent.spans();
        let all = of(&spans, pid);
        (all.iter().filter(|s| s.name == "TCP connection").count() as u64 > CONNECTIONS).then_some(())
    });
    // Sums are whole: bytes and turns, whoever tells the turns.
    let labels = |more: (&'static str, &'static str)| [("service_name", DEEP), more];
    let total = deep.turns as f64;
    wait_for("the sums to hold all turns", || {
        let all = agent.metrics();
        let bytes =
            sum(&all, "process_network_io_bytes_total", &labels(("network_io_direction", "transmit")));
        let turns = sum(&all, "tracenet_turn_duration_seconds_count", &labels(("role", "client")));
        assert!(bytes <= 4.0 * total && turns <= total, "{bytes} bytes, {turns} turns of {total}");
        ((bytes, turns) == (4.0 * total, total)).then_some(())
    });
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told = of(&ended.spans, pid);
    let connections: Vec<&&Span> = told
        .iter()
        .filter(|s| s.name == "TCP connection" && s.attributes["tracenet.connection.opened_before"] == false)
        .collect();
    // The first one was there before it was followed, or not, as it happened.
    let ours: Vec<&&Span> =
        connections.into_iter().filter(|s| s.attributes["tracenet.connection.turns"] == TURNS).collect();
    assert_eq!(ours.len() as u64, CONNECTIONS, "{before} turns before");
    for connection in &ours {
        assert!(connection.attributes["tracenet.packets.sent"].as_u64() >= Some(TURNS), "{connection:?}");
        assert!(connection.attributes.contains_key("tracenet.tcp.rtt.min"), "{connection:?}");
        let below: Vec<&&Span> = told.iter().filter(|s| s.trace == connection.trace).collect();
        let mut numbers = BTreeSet::new();
        for turn in below.iter().filter(|s| s.name == "tcp request") {
            let number = turn.attributes["tracenet.turn.index"].as_u64().expect("a number");
            assert!(numbers.insert(number), "told twice: {turn:?}");
            assert_eq!(turn.parent, connection.id);
            assert!(turn.attributes.contains_key("tracenet.verdict"), "{turn:?}");
            assert!(!turn.attributes.contains_key("tracenet.sampling.reason"), "every turn: {turn:?}");
            let calls: Vec<&str> =
                below.iter().filter(|s| s.parent == turn.id).map(|s| s.name.as_str()).collect();
            assert_eq!(calls, ["syscall sendto", "syscall recvfrom"], "{turn:?}");
        }
        assert_eq!(numbers, (0..TURNS).collect());
        assert!(below.iter().any(|s| s.name == "TCP connect" && s.parent == connection.id));
        assert!(below.iter().any(|s| s.name == "syscall connect" && s.parent == connection.id));
    }
    // The other end is followed as everybody is.
    let theirs = of(&ended.spans, server.pid());
    let turns: Vec<&&Span> = theirs.iter().filter(|s| s.name == "tcp request").collect();
    assert!(turns.len() as u64 >= CONNECTIONS * TURNS);
    assert!(turns.iter().all(|s| s.attributes.contains_key("tracenet.sampling.reason")));
    assert!(!has_calls(&ended.spans, server.pid()));

    // The same load of the same process, as attach exports it.
    let file = names.0.path().join("attach.jsonl");
    let to = format!("file:{}", file.display());
    let attached = Agent::attach(&[pid], &["--otlp", &to]);
    deep.open(Pair::SERVER, CONNECTIONS);
    deep.turns(TURNS);
    deep.close();
    pair.settle();
    attached.stop();
    let by_attach = shape(spans(&file).iter().filter(|s| s.name != "UDP flow"));
    let traces: BTreeSet<&str> = ours.iter().map(|s| s.trace.as_str()).collect();
    let by_agent = shape(told.iter().copied().filter(|s| traces.contains(s.trace.as_str())));
    for (name, keys) in &by_attach {
        let has = by_agent.get(name).unwrap_or_else(|| panic!("attach tells of {name}: {by_agent:?}"));
        assert_eq!(keys.difference(has).collect::<Vec<_>>(), Vec::<&String>::new(), "of {name}");
    }
    let more: Vec<&String> = by_agent.keys().filter(|name| !by_attach.contains_key(*name)).collect();
    assert!(more.iter().all(|name| name.starts_with("syscall ")), "{more:?}");
    for key in ["service.name", "process.pid", "process.executable.name", "process.executable.path"] {
        assert_eq!(told[0].resource[key], spans(&file)[0].resource[key], "{key}");
    }
}

fn each_turn_is_told_once_while_a_process_is_chosen_and_left() {
    let (netns, names) = (Netns::new("once"), Names::new());
    let _server = names.serve(&netns);
    // Connections are used between the moment from which their process is followed and that at which they are found.
    let _crowd = load::hold(&netns, 200_000);
    let mut deep = Caller::new(&names, &netns, DEEP);
    let pid = deep.program.pid();
    let mut agent = Node::start(&netns, EVERY_TURN);
    let its_pid = agent.program().pid();
    let write = |agent: &mut Node<'_>, config: &str, times: usize| {
        std::fs::write(agent.config(), config).expect("the file can be written");
        agent.program().signal(nix::sys::signal::Signal::SIGHUP);
        wait_for("the file to be read", || {
            let said = agent.program().stderr();
            (said.matches("the configuration was read again").count() >= times).then_some(())
        });
    };
    deep.open("127.0.0.1", 2);
    deep.until("turns to be told", || of(&agent.spans(), pid).iter().any(|s| s.name == "tcp request"));
    // It was not asked for at the start: what it needs was given up.
    write(&mut agent, &chosen(), 1);
    agent.program().wait_for_stderr("depth calls takes a restart");
    deep.turns(5);
    assert!(!has_calls(&agent.spans(), pid) && !traces_calls(its_pid));
    deep.close();
    assert_eq!(agent.stop().code, 0);

    let mut agent = Node::start(&netns, &chosen());
    let its_pid = agent.program().pid();
    let first = deep.turns;
    let mut reloads = 0;
    deep.open("127.0.0.1", 2);
    for round in 0..2 {
        deep.until("the probes to be there", || traces_calls(its_pid));
        // What the session before had to say at its end may come late.
        let seen = calls(&agent);
        deep.until("the process to be followed by its calls", || calls(&agent) > seen);
        assert!(traces_calls(its_pid), "round {round}");
        deep.turns(20);
        reloads += 1;
        write(&mut agent, EVERY_TURN, reloads);
        deep.until("the probes to be gone", || !traces_calls(its_pid));
        deep.turns(20);
        reloads += 1;
        write(&mut agent, &chosen(), reloads);
    }
    deep.close();
    let done = deep.turns - first;
    wait_for("all turns to be told", || {
        let spans = agent.spans();
        let told = of(&spans, pid).iter().filter(|s| s.name == "tcp request").count() as u64;
        (told >= done).then_some(())
    });
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told = of(&ended.spans, pid);
    let mut ids = BTreeSet::new();
    for span in &told {
        assert!(ids.insert(&span.id), "told twice: {span:?}");
    }
    assert_eq!(told.iter().filter(|s| s.name == "tcp request").count() as u64, done);
    assert_eq!(told.iter().filter(|s| s.name == "TCP connection").count(), 2, "each connection once");
}

fn losses_are_told_with_their_causes() {
    let (pair, home, names) = (Pair::new(), Netns::new("home"), Names::new());
    let _server = names.serve(&pair.server);
    let mut deep = Caller::new(&names, &pair.client, DEEP);
    let pid = deep.program.pid();
    let agent = Node::start(&home, &chosen());
    deep.open(Pair::SERVER, 1);
    deep.until("the process to be followed", || has_calls(&agent.spans(), pid));
    deep.close();
    let before = counters::mib(&pair.client);
    // Of what is asked, and nothing else: headers are 52 bytes.
    pair.server.lose_incoming("tcp dport 8001 ip length > 52 numgen random mod 100 < 10");
    deep.open(Pair::SERVER, 3);
    deep.turns(40);
    deep.close();
    pair.settle();
    let lost = pair.server.nft_counters()["lost"].packets;
    let sent_again = counters::delta(&before, &counters::mib(&pair.client), "TcpRetransSegs");
    assert!(lost > 0 && sent_again > 0, "{lost} packets were dropped, {sent_again} segments sent again");
    let told = wait_for("the connections to be told", || {
        let spans = agent.spans();
        let all: Vec<Span> = of(&spans, pid).into_iter().cloned().collect();
        (all.iter().filter(|s| s.name == "TCP connection").count() >= 4).then_some(all)
    });
    let sum = |key: &str| -> u64 {
        let whole = told.iter().filter(|s| s.name == "TCP connection");
        whole.filter_map(|s| s.attributes.get(key)?.as_u64()).sum()
    };
    assert_eq!(sum("tracenet.tcp.retransmits"), sent_again, "as the kernel counts them");
    assert_eq!(sum("tracenet.peer.drops"), lost, "as nft counts them");
    let events = |name: &str| -> Vec<_> {
        let all = told.iter().flat_map(|s| &s.events);
        all.filter(|(n, _)| n == name).map(|(_, attributes)| attributes.clone()).collect()
    };
    let retransmits = events("tracenet.retransmit");
    assert!(retransmits.iter().all(|e| e["type"].is_string()), "{retransmits:?}");
    let drops = events("tracenet.drop");
    assert!(!retransmits.is_empty() && !drops.is_empty());
    assert!(drops.iter().all(|e| e["why"] == "firewall_rule" && e["at_peer"] == true), "{drops:?}");
    let hurt = |s: &&Span| s.events.iter().any(|(name, _)| name == "tracenet.retransmit");
    let turns = told.iter().filter(|s| s.name == "tcp request");
    assert!(turns.filter(hurt).count() > 0, "it is told with the turn that it hurt");
    assert_eq!(agent.stop().code, 0);
}

/// Network namespaces that a process keeps: by threads that live there, and by open files.
fn namespaces_of(pid: u32) -> BTreeSet<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let list = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs").flatten();
    let threads = list("task").filter_map(|task| std::fs::metadata(task.path().join("ns/net")).ok());
    let is_net =
        |path: &Path| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("net:"));
    let files = list("fd").map(|fd| fd.path()).filter(|path| is_net(path));
    threads.chain(files.filter_map(|path| std::fs::metadata(path).ok())).map(|m| m.ino()).collect()
}

fn a_namespace_is_let_go_with_its_last_process() {
    let (home, names) = (Netns::new("home"), Names::new());
    let (stays, goes) = (Netns::new("stays"), Netns::new("goes"));
    let mut agent = Node::start(&home, &chosen());
    let its_pid = agent.program().pid();
    let _servers = [&stays, &goes].map(|netns| names.serve(netns));
    let [mut one, mut other] = [&stays, &goes].map(|netns| {
        let mut deep = Caller::new(&names, netns, DEEP);
        let pid = deep.program.pid();
        deep.open("127.0.0.1", 1);
        deep.until("the process to be followed", || has_calls(&agent.spans(), pid));
        deep
    });
    let held = namespaces_of(its_pid);
    assert!([&stays, &goes].iter().all(|netns| held.contains(&netns.inode())), "{held:?}");
    other.program.finish();
    wait_for("the namespace to be let go", || {
        (!namespaces_of(its_pid).contains(&goes.inode())).then_some(())
    });
    // The other one is followed as before, with packets.
    one.close();
    one.open("127.0.0.1", 1);
    one.turns(9);
    one.close();
    let pid = one.program.pid();
    let connection = wait_for("its connection to be told", || {
        let spans = agent.spans();
        let nine = |s: &&Span| s.name == "TCP connection" && s.attributes["tracenet.connection.turns"] == 9;
        of(&spans, pid).into_iter().find(nine).cloned()
    });
    assert!(connection.attributes["tracenet.packets.sent"].as_u64() >= Some(9), "{connection:?}");
    assert_eq!(agent.stop().code, 0);
}

fn beyond_the_limit_and_after_the_end() {
    let (netns, names) = (Netns::new("limit"), Names::new());
    let _server = names.serve(&netns);
    let config =
        configuration(&format!("  calls_limit: 1\n  selectors:\n  - {{executable: {DEEP}, depth: calls}}\n"));
    let mut agent = Node::start(&netns, &config);
    let its_pid = agent.program().pid();
    let mut one = Caller::new(&names, &netns, DEEP);
    one.open("127.0.0.1", 1);
    one.until("the first one to be followed", || has_calls(&agent.spans(), one_pid(&agent)));
    let mut two = Caller::new(&names, &netns, DEEP);
    two.open("127.0.0.1", 1);
    let second = two.program.pid();
    let mut three = Caller::new(&names, &netns, DEEP);
    three.open("127.0.0.1", 1);
    three.turns(3);
    two.until("turns of the second to be told", || {
        of(&agent.spans(), second).iter().any(|s| s.name == "tcp request")
    });
    let line = agent.program().wait_for_stderr("agent.calls_limit is 1");
    assert!(line.contains("turns instead of calls"), "{line}");
    two.turns(5);
    assert!(!has_calls(&agent.spans(), second), "there is no room for it");
    three.program.finish();
    one.program.finish();
    // Now there is.
    two.until("the second to be followed", || has_calls(&agent.spans(), second));
    let said = agent.program().stderr();
    assert_eq!(said.matches("agent.calls_limit").count(), 1, "said once: {said}");
    two.program.finish();
    wait_for("the probes to be gone", || (!traces_calls(its_pid)).then_some(()));
    // Another one, later.
    let mut four = Caller::new(&names, &netns, DEEP);
    four.open("127.0.0.1", 1);
    let fourth = four.program.pid();
    four.until("the next one to be followed", || has_calls(&agent.spans(), fourth));
    assert_eq!(agent.stop().code, 0);
}

/// The first process that calls are told of.
fn one_pid(agent: &Node<'_>) -> u32 {
    let spans = agent.spans();
    let first = spans.iter().find(|s| s.name.starts_with("syscall "));
    first.and_then(|s| s.resource["process.pid"].as_u64()).map_or(0, |pid| pid as u32)
}

fn with(netns: &Netns, capabilities: &str) -> std::process::Command {
    let mut command = netns.command("setpriv");
    command.arg(format!("--bounding-set=-all,{capabilities}")).arg("--no-new-privs").arg(agent::binary());
    command
}

fn without_the_rights_there_are_no_packets_and_that_is_said() {
    const FEW: &str = "+bpf,+perfmon,+sys_ptrace,+dac_read_search";
    let (netns, home, names) = (Netns::new("few"), Netns::new("home"), Names::new());
    let _server = names.serve(&netns);
    for (capabilities, said) in
        [(FEW.to_owned(), "CAP_NET_RAW is missing"), (format!("{FEW},+net_raw"), "CAP_SYS_ADMIN is missing")]
    {
        let mut agent = Node::start_as(&home, with(&home, &capabilities), &chosen(), &[]);
        let line = agent.program().wait_for_stderr(said);
        assert!(line.contains("depth calls has no packets"), "{line}");
        let mut deep = Caller::new(&names, &netns, DEEP);
        let pid = deep.program.pid();
        deep.open("127.0.0.1", 1);
        deep.until("calls to be told without packets", || has_calls(&agent.spans(), pid));
        deep.close();
        deep.open("127.0.0.1", 1);
        deep.turns(7);
        deep.close();
        let ended = wait_for("the connection to be told", || {
            let spans = agent.spans();
            of(&spans, pid)
                .into_iter()
                .find(|s| s.name == "TCP connection" && s.attributes["tracenet.connection.turns"] == 7)
                .cloned()
        });
        assert_eq!(ended.attributes["tracenet.packets.sent"], 0);
        assert_eq!(agent.stop().code, 0);
    }
}

fn what_it_needs_is_kept_only_where_it_is_asked_for() {
    const ALWAYS: u64 = 1 << 39 | 1 << 38 | 1 << 19 | 1 << 2;
    const FOR_CALLS: u64 = 1 << 13 | 1 << 21;
    let netns = Netns::new("kept");
    for (config, kept) in [(EVERY_TURN.to_owned(), ALWAYS), (chosen(), ALWAYS | FOR_CALLS)] {
        let mut agent = Node::start(&netns, &config);
        let threads = Path::new("/proc").join(agent.program().pid().to_string()).join("task");
        for thread in std::fs::read_dir(threads).expect("it runs").flatten() {
            let status = std::fs::read_to_string(thread.path().join("status")).expect("it runs");
            let value = status.lines().find_map(|l| l.strip_prefix("CapEff:")).expect("a line").trim();
            assert_eq!(u64::from_str_radix(value, 16), Ok(kept), "{status}");
        }
        assert_eq!(agent.stop().code, 0);
    }
}

fn memory_lets_go_of_it_first() {
    let (netns, names) = (Netns::new("memory"), Names::new());
    let _server = names.serve(&netns);
    let mut agent = Node::start(&netns, &chosen());
    let its_pid = agent.program().pid();
    let resident = || {
        let statm = std::fs::read_to_string(format!("/proc/{its_pid}/statm")).expect("it runs");
        statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number") * 4096
    };
    let alone = resident();
    let mut deep = Caller::new(&names, &netns, DEEP);
    let pid = deep.program.pid();
    deep.open("127.0.0.1", 1);
    deep.until("the process to be followed", || has_calls(&agent.spans(), pid));
    let all = resident();
    assert!(all > alone + (8 << 20), "{alone} bytes, {all} with calls");
    // Less than it is, and more than it was.
    let limit = (alone + all) / 2;
    let limited = chosen().replace("agent:\n", &format!("agent:\n  memory_limit: {limit}\n"));
    std::fs::write(agent.config(), limited).expect("the file can be written");
    agent.program().wait_for_stderr("nobody is followed at depth calls until it is less");
    deep.until("the probes to be gone", || !traces_calls(its_pid));
    let said = agent.program().stderr();
    assert!(!said.contains("only sums are kept"), "turns are followed still: {said}");
    // And enough again.
    std::fs::write(agent.config(), chosen()).expect("the file can be written");
    deep.until("the process to be followed again", || traces_calls(its_pid));
    let before = calls(&agent);
    deep.until("calls to be told again", || calls(&agent) > before);
    assert_eq!(agent.stop().code, 0);
}
