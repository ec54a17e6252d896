//! What may go wrong around the agent, and under it: it says so, counts what it lost, goes on where it can, and leaves
//! nothing behind. The clock of the machine is not stepped, since it is everybody's: see `the_wall_clock_may_step`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tracenet_tests::agent::{self, Agent, assert_one_line};
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::host::HostAgent;
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::program::Program;
use tracenet_tests::{bpf, case, load, soak, wait_for};

const STRACE: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("strace")];
const UNSHARE: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("unshare"), Need::Tool("mount")];
const GCC: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("gcc")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_stopped_agent_goes_on_and_counts_what_it_missed, LAB),
        case!(a_stopped_agent_of_the_host_misses_no_sum, LAB),
        case!(a_killed_agent_leaves_no_bpf_object, LAB),
        case!(two_agents_at_once_tell_the_same, LAB),
        case!(two_agents_of_the_host_share_no_address, LAB),
        case!(a_target_may_end_at_any_moment, LAB),
        case!(a_namespace_may_go_while_it_is_captured, LAB),
        case!(an_interface_may_go_and_come_back, LAB),
        case!(a_full_disk_costs_only_counted_spans, LAB),
        case!(without_descriptors_it_says_so, LAB),
        case!(an_agent_that_runs_out_of_descriptors_recovers, LAB),
        case!(an_agent_that_runs_out_of_memory_leaves_nothing_behind, LAB),
        case!(a_bpf_call_that_is_refused_is_one_line, STRACE),
        case!(proc_may_fail_in_the_middle_of_a_scan, STRACE),
        case!(without_btf_it_exits_with_3_and_the_remedy, UNSHARE),
        case!(the_wall_clock_may_step, GCC),
    ])
}

fn path(file: &Path) -> &str {
    file.to_str().expect("UTF-8")
}

/// A server and a client that have told their readiness.
fn talk(netns: &Netns, connections: u64, turns: u64) -> (Program, Program) {
    let server = load::serve(netns, "127.0.0.1:8001");
    (server, load::client(netns, "127.0.0.1:8001", connections, turns, (200, 2_000), 7))
}

/// No panic, and no more than this many lines beside those of the start.
fn assert_calm(stderr: &str) {
    assert!(!stderr.contains("panicked"), "{stderr}");
    for line in stderr.lines() {
        assert!(line.len() < 500, "one line: {line}");
    }
}

fn a_stopped_agent_goes_on_and_counts_what_it_missed() {
    let netns = Netns::new("stopped");
    let count = 300_000;
    let mut caller = load::storm(&netns, &["calls", &count.to_string()]);
    let (_server, mut client) = talk(&netns, 4, 100);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("small.yaml");
    std::fs::write(&config, "limits: {ring_bytes: 1MiB}\n").expect("a writable folder");
    let options = ["-i", "none", "-e", "trace=getppid", "--config", path(&config)];
    let agent = Agent::attach(&[caller.pid(), client.pid()], &options);
    let pid = nix::unistd::Pid::from_raw(agent.pid().cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGSTOP).expect("it runs");
    caller.say("go");
    caller.json();
    client.say("go");
    let books = load::books(&client.json(), "local");
    nix::sys::signal::kill(pid, Signal::SIGCONT).expect("it is stopped");
    let story = agent.stop();
    let told = story.events().filter(|e| e["kind"] == "syscall").count() as u64;
    let lost: u64 = story
        .kind("lost")
        .iter()
        .filter(|e| e["what"] == "syscall")
        .map(|e| e["count"].as_u64().expect("a number"))
        .sum();
    println!("{count} calls while it was stopped: {told} told, {lost} lost");
    assert!(lost > 0, "the ring is small");
    assert_eq!(told + lost, count);
    // Sums don't depend on who listens.
    let told = story.summary.by_local();
    assert_eq!(told.len(), books.len());
    for (address, book) in &books {
        let connection = told.get(address).unwrap_or_else(|| panic!("{address} is not told"));
        let got = (connection.bytes_sent, connection.bytes_received, connection.turns);
        assert_eq!(got, (book.sent, book.received, book.turns), "{address}");
    }
}

fn a_stopped_agent_of_the_host_misses_no_sum() {
    let netns = Netns::new("stopped");
    let agent = HostAgent::start("");
    let (_server, mut client) = talk(&netns, 4, 200);
    agent.signal(Signal::SIGSTOP);
    client.say("go");
    let books = load::books(&client.json(), "local");
    client.finish();
    agent.signal(Signal::SIGCONT);
    let turns: u64 = books.values().map(|b| b.turns).sum();
    let told =
        || agent.sum("tracenet_turn_duration_seconds_count", &[("service_name", "load"), ("role", "client")]);
    wait_for("the turns of while it was stopped", || (told() >= turns).then_some(()));
    assert_eq!(told(), turns);
    let (status, error, _) = agent.stop();
    assert!(status.success(), "{status}: {error}");
    assert_calm(&error);
}

fn a_killed_agent_leaves_no_bpf_object() {
    let netns = Netns::new("killed");
    let (_server, client) = talk(&netns, 1, 1);
    let pins = bpf::pins();
    let gone = |pid: u32, kill: &dyn Fn()| {
        let objects = bpf::held_by(pid);
        for kind in [bpf::Kind::Program, bpf::Kind::Map, bpf::Kind::Link] {
            assert!(objects.iter().any(|(k, _)| *k == kind), "{kind:?}s are in use: {objects:?}");
        }
        assert_eq!(bpf::alive(&objects), objects);
        kill();
        // The kernel frees them a little after the process (call_rcu).
        wait_for("the kernel to be rid of all of them", || bpf::alive(&objects).is_empty().then_some(()));
    };
    let agent = Agent::attach(&[client.pid()], &[]);
    gone(agent.pid(), &|| {
        let pid = nix::unistd::Pid::from_raw(agent.pid().cast_signed());
        nix::sys::signal::kill(pid, Signal::SIGKILL).expect("it runs");
    });
    let host = HostAgent::start("");
    gone(host.pid(), &|| host.signal(Signal::SIGKILL));
    let new: BTreeSet<PathBuf> = bpf::pins().difference(&pins).cloned().collect();
    assert!(new.is_empty(), "pinned: {new:?}");
}

fn two_agents_at_once_tell_the_same() {
    let netns = Netns::new("two");
    let (_server, mut client) = talk(&netns, 5, 50);
    let host = HostAgent::start("");
    let agents = [0, 1].map(|_| Agent::attach(&[client.pid()], &["-e", "trace=none"]));
    client.say("go");
    let books = load::books(&client.json(), "local");
    client.finish();
    for agent in agents {
        let story = agent.ended();
        let told = story.summary.by_local();
        assert_eq!(told.len(), books.len());
        for (address, book) in &books {
            let c = told[address];
            assert_eq!((c.bytes_sent, c.bytes_received, c.turns), (book.sent, book.received, book.turns));
        }
    }
    let turns: u64 = books.values().map(|b| b.turns).sum();
    let of_client = [("service_name", "load"), ("role", "client")];
    let told = || host.sum("tracenet_turn_duration_seconds_count", &of_client);
    wait_for("the turns in the sums of the host", || (told() >= turns).then_some(()));
    assert_eq!(told(), turns);
}

fn two_agents_of_the_host_share_no_address() {
    let first = HostAgent::start("");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("same.yaml");
    std::fs::write(&config, format!("agent: {{listen: '{}'}}\n", first.address()))
        .expect("a writable folder");
    let output =
        agent::command().args(["agent", "--config", path(&config)]).output().expect("tracenet starts");
    assert_one_line(&output, 1, &[first.address(), "in use"]);
    assert!(first.get("/livez").expect("it lives on").0.contains(" 200 "));
}

fn a_target_may_end_at_any_moment() {
    let netns = Netns::new("moments");
    // From before the first look at /proc until after everything is open, in equal steps.
    let steps = if soak() { 200 } else { 16 };
    for step in 0..steps {
        let mut target = Program::start(netns.command("cat").arg("-"));
        let pid = target.pid().to_string();
        let mut agent =
            Program::start(agent::command().args(["attach", "--json", "--duration", "3s", "-p", &pid]));
        let moment = Instant::now() + Duration::from_millis(400) * step / steps;
        // The moment is what is tried, not what is waited for.
        std::thread::sleep(moment.saturating_duration_since(Instant::now()));
        target.close_stdin();
        target.wait();
        let status = agent.wait();
        let error = agent.stderr();
        assert_calm(&error);
        match status.code() {
            Some(0) => {}
            Some(4) => assert!(error.contains(&pid), "{error}"),
            other => panic!("step {step}: {other:?}: {error}"),
        }
    }
}

fn a_namespace_may_go_while_it_is_captured() {
    let pair = Pair::new();
    let address = format!("{}:8001", Pair::SERVER);
    let _server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, 2, 20, (10, 10), 3);
    let other = Netns::new("idle");
    let mut idle = Program::start(other.command("cat").arg("-"));
    let agent = Agent::attach(&[client.pid(), idle.pid()], &["-e", "trace=none"]);
    client.say("go");
    client.json();
    client.finish();
    // With its last process the namespace is nobody's but the capture's.
    drop(pair);
    assert!(idle.is_running(), "the other target goes on");
    idle.finish();
    let story = agent.ended();
    assert_eq!(story.summary.connections.len(), 2);
    assert!(story.summary.connections.iter().all(|c| c.turns == 20));
    assert_calm(&story.stderr);
}

fn an_interface_may_go_and_come_back() {
    for interface in ["any", Pair::INTERFACE] {
        let pair = Pair::new();
        let address = format!("{}:8001", Pair::SERVER);
        let _server = load::serve(&pair.server, "0.0.0.0:8001");
        let mut clients = [1, 2].map(|seed| load::client(&pair.client, &address, 1, 20, (10, 10), seed));
        let mut agent =
            Agent::attach(&[clients[0].pid(), clients[1].pid()], &["-e", "trace=none", "-i", interface]);
        let talk = |client: &mut Program| {
            client.say("go");
            let books = load::books(&client.json(), "local");
            assert!(books.values().all(|b| b.turns == 20));
        };
        talk(&mut clients[0]);
        pair.client.ip(&["link", "del", Pair::INTERFACE]);
        pair.client.ip(&[
            "link",
            "add",
            Pair::INTERFACE,
            "type",
            "veth",
            "peer",
            "name",
            Pair::INTERFACE,
            "netns",
            pair.server.path().file_name().and_then(|n| n.to_str()).expect("a name"),
        ]);
        for (netns, at) in [(&pair.client, Pair::CLIENT), (&pair.server, Pair::SERVER)] {
            netns.ip(&["addr", "add", &format!("{at}/24"), "dev", Pair::INTERFACE]);
            netns.ip(&["link", "set", Pair::INTERFACE, "up"]);
        }
        talk(&mut clients[1]);
        assert!(agent.is_running(), "{}", agent.stderr());
        let story = agent.stop();
        assert_calm(&story.stderr);
        assert_eq!(story.summary.connections.len(), 2);
        assert!(story.summary.connections.iter().all(|c| c.turns == 20));
        let second = story.summary.of(clients[1].pid()).next().expect("a connection").id.clone();
        let packets = story.kind("packet").iter().filter(|e| e["conn"] == second.as_str()).count();
        println!(
            "-i {interface}: {packets} packets after it came back; {}",
            story.stderr.lines().last().unwrap_or("")
        );
        if interface == "any" {
            assert!(packets >= 40, "packets of the new interface are captured: {packets}");
        } else {
            // A capture of one interface ends with it, and says so.
            assert!(packets >= 40 || story.stderr.contains(interface), "{}", story.stderr);
        }
    }
}

/// A tmpfs of so many bytes, unmounted with its value.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = format!("size={size}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder.path()).output();
        assert!(mount.expect("mount starts").status.success());
        Self(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn a_full_disk_costs_only_counted_spans() {
    let netns = Netns::new("full");
    let disk = Disk::new("64k");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = disk.0.path().join("otlp.jsonl");
    // All turns become spans.
    let settings = "sampling: {rate_per_second: 100000}";
    let mut agent = HostAgent::start_by(agent::command(), folder, settings, &file);
    let (_server, mut client) = talk(&netns, 20, 200);
    client.say("go");
    let books = load::books(&client.json(), "local");
    client.finish();
    let turns: u64 = books.values().map(|b| b.turns).sum();
    let told =
        || agent.sum("tracenet_turn_duration_seconds_count", &[("service_name", "load"), ("role", "client")]);
    wait_for("the sums", || (told() >= turns).then_some(()));
    assert_eq!(told(), turns, "sums don't depend on the disk");
    wait_for("lost spans to be counted", || (agent.lost("export") > 0).then_some(()));
    assert!(agent.is_running());
    // What is there is whole lines.
    let text = std::fs::read_to_string(&file).expect("the file is there");
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(value.is_object());
    }
    let (status, error, _) = agent.stop();
    assert!(status.success(), "{status}: {error}");
    assert!(error.contains("not exported") || error.contains("No space left"), "{error}");
    assert_calm(&error);
}

fn without_descriptors_it_says_so() {
    let netns = Netns::new("fds");
    let target = Program::start(netns.command("cat").arg("-"));
    let pid = target.pid().to_string();
    // From none to nearly enough.
    for limit in [8, 20, 40, 60, 80] {
        for words in [&["attach", "--duration", "200ms", "-p", &pid][..], &["agent"]] {
            let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
            let mut command = Command::new("timeout");
            command.args(["-s", "TERM", "10", "sh", "-c", &script]).arg(agent::binary()).args(words);
            agent::clean_environment(&mut command);
            let output = command.output().expect("timeout starts");
            let error = String::from_utf8_lossy(&output.stderr);
            assert_calm(&error);
            match output.status.code() {
                // It came so far that it lacks nothing, or what is missing is said.
                Some(0) => {}
                Some(1..=3) => assert!(error.contains("open files"), "{limit}: {error}"),
                // timeout(1): it ran for as long as it was let.
                Some(124) if words[0] == "agent" => {}
                other => panic!("{limit} {words:?}: {other:?}: {error}"),
            }
        }
    }
}

fn set_nofile(pid: u32, soft: u64) -> u64 {
    let pid = pid.cast_signed();
    // SAFETY: prlimit(2) reads one struct and fills another, which both live.
    unsafe {
        let mut old: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &mut old), 0);
        let new = libc::rlimit { rlim_cur: soft, rlim_max: old.rlim_max };
        assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, &new, std::ptr::null_mut()), 0);
        old.rlim_cur
    }
}

fn an_agent_that_runs_out_of_descriptors_recovers() {
    let netns = Netns::new("fds");
    let mut agent = HostAgent::start("");
    assert!(agent.get("/livez").expect("it answers").0.contains(" 200 "));
    let before = set_nofile(agent.pid(), 3);
    let (_server, mut client) = talk(&netns, 2, 50);
    client.say("go");
    let books = load::books(&client.json(), "local");
    client.finish();
    // Connections to it wait, and are taken when it can.
    let waiting = std::net::TcpStream::connect(agent.address()).expect("the kernel takes it");
    assert!(agent.is_running());
    set_nofile(agent.pid(), before);
    drop(waiting);
    let turns: u64 = books.values().map(|b| b.turns).sum();
    let told =
        || agent.sum("tracenet_turn_duration_seconds_count", &[("service_name", "load"), ("role", "client")]);
    wait_for("the turns of while it had no descriptors", || (told() >= turns).then_some(()));
    assert_eq!(told(), turns);
    assert!(agent.is_running());
    let (status, error, _) = agent.stop();
    assert!(status.success(), "{status}: {error}");
    assert_calm(&error);
}

/// A control group of the memory controller, of version 1 or 2, removed with its value.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("tracenet-test-{}", std::process::id());
        for (root, limit) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let folder = Path::new(root).join(&name);
            if std::fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self(folder);
            if std::fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        None
    }

    /// A command whose process is of the group before it begins.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        let script = "echo $$ > \"$0\" && exec \"$@\"";
        command.args(["-c", script]).arg(self.0.join("cgroup.procs")).arg(program);
        agent::clean_environment(&mut command);
        command
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn an_agent_that_runs_out_of_memory_leaves_nothing_behind() {
    // So much as the probes and the agent need; then less than that.
    let netns = Netns::new("memory");
    for (megabytes, enough) in [(256_u64, true), (24, false)] {
        let Some(group) = MemoryGroup::new(megabytes << 20) else {
            println!("no memory controller is to be had here");
            return;
        };
        let config = no_listener();
        let mut command = group.command(&agent::binary());
        let mut agent = Program::start(command.arg("agent").arg("--config").arg(config.path()));
        if enough {
            agent.wait_for_stderr("every process is followed");
            let (_server, mut client) = talk(&netns, 50, 50);
            client.say("go");
            client.json();
            assert!(agent.is_running(), "{}", agent.stderr());
            agent.signal(Signal::SIGTERM);
            assert!(agent.wait().success(), "{}", agent.stderr());
        } else {
            let status = agent.wait();
            let error = agent.stderr();
            assert_calm(&error);
            // The kernel killed it, or refused it the memory, which it said.
            assert!(!status.success(), "24 MB are too little: {error}");
            println!("{megabytes} MB: {status}: {error}");
        }
    }
    // And the next one starts as if there had been none.
    let (status, error, _) = HostAgent::start("").stop();
    assert!(status.success(), "{error}");
}

/// A configuration without an endpoint.
fn no_listener() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(b"agent: {listen: null}\n").expect("a writable file");
    file
}

/// strace as the fault: calls of the agent fail as `injected` says.
fn under_strace(injected: &[String], words: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-s", "TERM", "20", "strace", "-f", "-q", "-o", "/dev/null"]);
    for rule in injected {
        command.args(["-e", rule]);
    }
    command.arg(agent::binary()).args(words);
    agent::clean_environment(&mut command);
    // With cargo's the loader alone opens more files than the call that is to fail.
    command.env_remove("LD_LIBRARY_PATH");
    command.output().expect("timeout starts")
}

fn a_bpf_call_that_is_refused_is_one_line() {
    let netns = Netns::new("refused");
    let target = Program::start(netns.command("cat").arg("-"));
    let pid = target.pid().to_string();
    let words = ["attach", "--duration", "200ms", "-p", &pid];
    // What the verifier says of a program, and what a kernel that lacks something says: each call in turn, and all from
    // some on.
    let calls: Vec<String> = match soak() {
        true => (1..200).map(|n| n.to_string()).collect(),
        false => ["1", "2", "5", "9", "17", "33", "60", "90", "1+", "20+", "60+"].map(str::to_owned).to_vec(),
    };
    for when in calls {
        for errno in ["EINVAL", "EPERM"] {
            let output = under_strace(&[format!("inject=bpf:error={errno}:when={when}")], &words);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_calm(&error);
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 1 | 3)), "bpf call {when} {errno}: {code:?}: {error}");
            if code != Some(0) {
                let said = error.lines().filter(|line| line.starts_with("tracenet")).count();
                assert!(said >= 1, "bpf call {when} {errno}: {error}");
            }
        }
    }
}

fn proc_may_fail_in_the_middle_of_a_scan() {
    let netns = Netns::new("proc");
    let target = Program::start(netns.command("cat").arg("-"));
    let pid = target.pid().to_string();
    for (call, errno) in [
        ("openat", "EACCES"),
        ("openat", "ENOENT"),
        ("read", "EIO"),
        ("read", "ESRCH"),
        ("getdents64", "EIO"),
        ("readlink,readlinkat", "ENOENT"),
    ] {
        for when in ["40+7", "90+3", "150+1"] {
            let rule = [format!("inject={call}:error={errno}:when={when}")];
            for words in [
                &["attach", "--duration", "100ms", "-p", &pid][..],
                &["top", "--once", "--interval", "100ms"],
            ] {
                let output = under_strace(&rule, words);
                let error = String::from_utf8_lossy(&output.stderr);
                assert_calm(&error);
                let code = output.status.code();
                assert!(matches!(code, Some(0..=4)), "{call} {errno} {when} {words:?}: {code:?}: {error}");
            }
        }
    }
}

fn without_btf_it_exits_with_3_and_the_remedy() {
    let netns = Netns::new("btf");
    let target = Program::start(netns.command("cat").arg("-"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (empty, garbage) = (folder.path().join("empty"), folder.path().join("garbage"));
    std::fs::write(&empty, b"").expect("a writable folder");
    std::fs::write(&garbage, vec![0x5a; 4096]).expect("a writable folder");
    let pid = target.pid().to_string();
    for file in [&empty, &garbage] {
        for words in [&["attach", "-p", &pid][..], &["agent"], &["doctor"]] {
            let script = format!("mount --bind {} /sys/kernel/btf/vmlinux && exec \"$0\" \"$@\"", path(file));
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", &script]).arg(agent::binary()).args(words);
            agent::clean_environment(&mut command);
            let output = command.output().expect("unshare starts");
            let said =
                String::from_utf8_lossy(if words[0] == "doctor" { &output.stdout } else { &output.stderr });
            assert_calm(&said);
            assert_eq!(output.status.code(), Some(3), "{words:?}: {said}");
            assert!(said.contains("BTF") || said.contains("btf"), "{words:?}: {said}");
        }
    }
}

/// Steps the wall clock by an hour for whoever has it preloaded, once the file exists.
const STEP: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *t)
{
	int result = (int)syscall(SYS_clock_gettime, id, t);

	if (!result && id == CLOCK_REALTIME && !access(getenv("STEP_FILE"), F_OK))
		t->tv_sec -= 3600;
	return result;
}
"#;

/// The agent alone sees the clock go back by an hour, in the middle of connections: durations and the order of what is told
/// are those of the clock that doesn't step. (What CLOCK_MONOTONIC does in a time namespace is the kernel's own business: the
/// probes have the host's.)
fn the_wall_clock_may_step() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, library, step) =
        (folder.path().join("step.c"), folder.path().join("step.so"), folder.path().join("now"));
    std::fs::write(&source, STEP).expect("a writable folder");
    let gcc = Command::new("gcc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output();
    assert!(gcc.expect("gcc starts").status.success());
    let netns = Netns::new("clock");
    let (_server, mut client) = talk(&netns, 1, 20);
    let mut command = agent::command();
    command.env("LD_PRELOAD", &library).env("STEP_FILE", &step);
    let agent = Agent::attach_by(command, &[client.pid()], &["-e", "trace=none"]);
    std::fs::write(&step, b"").expect("a writable folder");
    client.say("go");
    client.json();
    client.finish();
    let story = agent.ended();
    let connection = &story.summary.connections[0];
    assert_eq!(connection.turns, 20);
    assert!(story.summary.duration_ns < 120_000_000_000, "{}", story.summary.duration_ns);
    let times: Vec<u64> = story.events().map(|e| e["t_ns"].as_u64().expect("a time")).collect();
    assert!(times.is_sorted(), "one clock tells all of the story");
    for turn in story.kind("turn") {
        let duration = turn["duration_ns"].as_u64().expect("a number");
        assert!(duration < 60_000_000_000, "{turn}");
    }
}
