//! The agent with the capabilities that it needs and no others, and what it gives up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Not;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitCode};

use nix::sys::signal::Signal;
use serde_json::Value;
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{EVERY_TURN, Node, Span, child_of};
use tracenet_tests::{agent, case, load, repository, wait_for};

const CAPSH: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("setpriv")];

/// What the agent itself uses; the rest of a profile is for what is run beside it, as `tracenet attach` in its pod.
const USED: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];

fn main() -> ExitCode {
    harness::main(vec![
        case!(the_stated_capabilities_are_enough, CAPSH),
        case!(what_is_taken_away_is_told, CAPSH),
        case!(doctor_tells_each_that_is_taken_away, CAPSH),
        case!(what_is_not_needed_is_given_up, CAPSH),
        case!(who_lists_rules_keeps_what_that_takes_and_ends_with_the_agent, LAB),
        case!(a_service_manager_is_told_and_probes_are_answered, CAPSH),
    ])
}

/// A command that keeps these capabilities alone.
fn with(netns: &Netns, capabilities: &[String]) -> Command {
    let mut command = netns.command("setpriv");
    let kept: Vec<String> = capabilities.iter().map(|c| format!("+{c}")).collect();
    let set = format!("-all{}{}", if kept.is_empty() { "" } else { "," }, kept.join(","));
    command.arg(format!("--bounding-set={set}")).arg("--no-new-privs").arg(agent::binary());
    command
}

/// The capabilities that a file of deploy/ asks for, by setpriv's names: a list in YAML, in brackets or one a line, or a unit's set.
fn stated(file: &str, key: &str) -> BTreeSet<String> {
    let path = repository().join("deploy").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (_, rest) = text.split_once(key).unwrap_or_else(|| panic!("no {key} in {file}"));
    let words = rest.split(|c: char| c.is_whitespace() || "[],-".contains(c)).filter(|w| !w.is_empty());
    let names = words.take_while(|w| w.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    names.map(|w| w.trim_start_matches("CAP_").to_lowercase()).collect()
}

/// Every set that deploy/ asks for, each once, with the files that do.
fn profiles() -> BTreeMap<BTreeSet<String>, Vec<&'static str>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (file, key) in [
        ("manifests/tracenet-minimal.yaml", "add:"),
        ("manifests/tracenet-netns.yaml", "add:"),
        ("manifests/tracenet-conntrack.yaml", "add:"),
        ("compose/compose.yaml", "cap_add:"),
        ("systemd/tracenet.service", "CapabilityBoundingSet="),
    ] {
        all.entry(stated(file, key)).or_default().push(file);
    }
    assert_eq!(all.keys().map(BTreeSet::len).sum::<usize>(), 5 + 6 + 8, "{all:?}");
    all
}

fn without(set: &BTreeSet<String>, missing: &[&str]) -> Vec<String> {
    set.iter().filter(|c| !missing.contains(&c.as_str())).cloned().collect()
}

/// The agent with these and no others makes a span of every turn. Returns what it said.
fn works(netns: &Netns, capabilities: &[String]) -> String {
    let mut agent = Node::start_as(netns, with(netns, capabilities), EVERY_TURN, &[]);
    let _server = load::serve(netns, "127.0.0.1:8001");
    let mut client = load::client(netns, "127.0.0.1:8001", 2, 10, (100, 100), 1);
    client.say("go");
    client.json();
    let load = |spans: &[Span]| {
        spans.iter().filter(|s| s.name == "tcp request" && s.resource["service.name"] == "load").count()
    };
    wait_for("all turns of both ends", || (load(&agent.spans()) == 40).then_some(()));
    let said = agent.program().stderr();
    assert_eq!(agent.stop().code, 0);
    said
}

fn the_stated_capabilities_are_enough() {
    let netns = Netns::new("few");
    for (set, files) in profiles() {
        let said = works(&netns, &without(&set, &[]));
        assert!(!said.contains("missing"), "{files:?}: {said}");
    }
    let said = works(&netns, &USED.map(str::to_owned));
    assert!(!said.contains("missing"), "{said}");
}

fn what_is_taken_away_is_told() {
    let netns = Netns::new("fewer");
    for (set, files) in profiles() {
        for missing in &set {
            let rest = without(&set, &[missing]);
            let name = format!("CAP_{}", missing.to_uppercase());
            if matches!(missing.as_str(), "bpf" | "perfmon") && !set.contains("sys_admin") {
                let mut command = with(&netns, &rest);
                agent::clean_environment(&mut command);
                let output = command.arg("agent").output().expect("setpriv starts");
                agent::assert_one_line(&output, 3, &[&name]);
                continue;
            }
            // CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in the kernel.
            let said = if matches!(missing.as_str(), "bpf" | "perfmon") {
                works(&netns, &rest)
            } else {
                let agent = Node::start_as(&netns, with(&netns, &rest), EVERY_TURN, &[]);
                let ended = agent.stop();
                assert_eq!(ended.code, 0, "{}", ended.stderr);
                ended.stderr
            };
            let told = usize::from(matches!(missing.as_str(), "sys_ptrace" | "dac_read_search"));
            let lines: Vec<&str> = said.lines().filter(|l| l.contains("missing")).collect();
            assert!(
                lines.len() == told && lines.iter().all(|l| l.contains(&name)),
                "{files:?}: {name}: {said}"
            );
        }
    }
}

fn doctor_tells_each_that_is_taken_away() {
    let netns = Netns::new("doctor");
    let all = profiles().into_keys().max_by_key(BTreeSet::len).expect("profiles");
    for missing in &all {
        // Which would stand for others.
        let taken = BTreeSet::from([missing.as_str(), "sys_admin"]);
        let left = without(&all, &taken.iter().copied().collect::<Vec<_>>());
        let output = with(&netns, &left).args(["doctor", "--json"]).output().expect("setpriv starts");
        let rows = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows =
            rows.lines().map(|l| serde_json::from_str::<Value>(l).unwrap_or_else(|e| panic!("{e}: {l}")));
        let told: BTreeSet<String> = rows
            .filter(|row| row["kind"] == "capability" && row["ok"] == false)
            .inspect(|row| assert!(row["remedy"].is_string() && row["feature"].is_string(), "{row}"))
            .map(|row| row["name"].as_str().expect("a name").trim_start_matches("CAP_").to_lowercase())
            .collect();
        assert_eq!(told, taken.into_iter().map(str::to_owned).collect());
        let works = !matches!(missing.as_str(), "bpf" | "perfmon");
        assert_eq!(output.status.code(), Some(if works { 0 } else { 3 }), "without {missing}");
    }
}

/// A line of /proc/PID/status, as a number in base 16 where it is a set.
fn status(pid: u32, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let value = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).expect("a line").trim();
    u64::from_str_radix(value, 16).expect("a number")
}

fn what_is_not_needed_is_given_up() {
    const KEPT: u64 = 1 << 39 | 1 << 38 | 1 << 19 | 1 << 2;
    let netns = Netns::new("given-up");
    // With all that root has.
    let mut agent = Node::start(&netns, EVERY_TURN);
    let pid = agent.program().pid();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status(pid, set), KEPT, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(pid, set), 0, "{set}");
    }
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    for thread in threads.flatten() {
        let thread: u32 = thread.file_name().to_string_lossy().parse().expect("a thread's id");
        assert_eq!((status(thread, "NoNewPrivs"), status(thread, "Seccomp")), (1, 2), "of every thread");
        assert_eq!(status(thread, "CapEff"), KEPT, "of every thread");
    }
    assert_eq!(agent.stop().code, 0);
}

fn who_lists_rules_keeps_what_that_takes_and_ends_with_the_agent() {
    const NET_ADMIN: u64 = 1 << 12;
    const KEPT: u64 = NET_ADMIN | 1 << 21 | 1 << 19 | 1 << 2;
    let netns = Netns::new("rules");
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut agent = Node::start(&netns, EVERY_TURN);
        let pid = child_of(agent.program().pid()).expect("who lists rules");
        wait_for("it has given up the rest", || (status(pid, "Seccomp") == 2).then_some(()));
        for (set, has) in [
            ("CapPrm", KEPT),
            ("CapEff", KEPT),
            ("CapBnd", KEPT),
            ("CapInh", NET_ADMIN),
            ("CapAmb", NET_ADMIN),
        ] {
            assert_eq!(status(pid, set), has, "{set}");
        }
        assert_eq!(status(pid, "NoNewPrivs"), 1);
        agent.program().signal(signal);
        agent.program().wait();
        // Nobody may have waited for it yet.
        wait_for("it to end with the agent", || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
            status.is_ok_and(|s| !s.contains("State:\tZ")).not().then_some(())
        });
    }
    // By anybody else it is not to be spoken to.
    let output = agent::command().arg("firewall-rules").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
}

fn a_service_manager_is_told_and_probes_are_answered() {
    let netns = Netns::new("served");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(tracenet_tests::DEADLINE)).expect("a socket takes a timeout");
    let mut command = netns.command(agent::binary());
    command.env("NOTIFY_SOCKET", &path);
    let agent = Node::start_as(&netns, command, EVERY_TURN, &[]);
    let told = || {
        let mut buffer = [0; 256];
        let n = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..n]).trim().to_owned()
    };
    assert_eq!(told(), "READY=1");
    for probe in ["/livez", "/readyz"] {
        assert_eq!(agent.get(probe, "*/*").0, 200, "{probe}");
    }
    assert_eq!(agent.get("/nothing", "*/*").0, 404);
    assert_eq!(agent.stop().code, 0, "SIGTERM is how it is told to end");
    assert_eq!(told(), "STOPPING=1");
}
