//! The agent with the capabilities that it needs and no others, and what it gives up.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitCode};

use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{EVERY_TURN, Node};
use tracenet_tests::{agent, case, load, wait_for};

const CAPSH: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("setpriv")];

/// What the profile `minimal` of deploy/helm has that the agent uses.
const STATED: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];

fn main() -> ExitCode {
    harness::main(vec![
        case!(the_stated_capabilities_are_enough, CAPSH),
        case!(what_is_taken_away_is_told, CAPSH),
        case!(what_is_not_needed_is_given_up, CAPSH),
        case!(a_service_manager_is_told_and_probes_are_answered, CAPSH),
    ])
}

/// A command that keeps these capabilities alone.
fn with(netns: &Netns, capabilities: &[&str]) -> Command {
    let mut command = netns.command("setpriv");
    let kept: Vec<String> = capabilities.iter().map(|c| format!("+{c}")).collect();
    let set = format!("-all{}{}", if kept.is_empty() { "" } else { "," }, kept.join(","));
    command.arg(format!("--bounding-set={set}")).arg("--no-new-privs").arg(agent::binary());
    command
}

fn the_stated_capabilities_are_enough() {
    let netns = Netns::new("few");
    let mut agent = Node::start_as(&netns, with(&netns, &STATED), EVERY_TURN, &[]);
    assert!(!agent.program().stderr().contains("missing"), "{}", agent.program().stderr());
    let _server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", 2, 10, (100, 100), 1);
    client.say("go");
    client.json();
    let load = |spans: &[tracenet_tests::node::Span]| {
        spans.iter().filter(|s| s.name == "tcp request" && s.resource["service.name"] == "load").count()
    };
    wait_for("all turns of both ends", || (load(&agent.spans()) == 40).then_some(()));
    assert_eq!(agent.stop().code, 0);
}

fn what_is_taken_away_is_told() {
    let netns = Netns::new("fewer");
    for missing in STATED {
        let rest: Vec<&str> = STATED.into_iter().filter(|c| *c != missing).collect();
        let name = format!("CAP_{}", missing.to_uppercase());
        if matches!(missing, "bpf" | "perfmon") {
            let mut command = with(&netns, &rest);
            agent::clean_environment(&mut command);
            let output = command.arg("agent").output().expect("setpriv starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{said}");
            assert!(said.contains(&name) && said.lines().count() == 1, "one line: {said}");
        } else {
            let mut agent = Node::start_as(&netns, with(&netns, &rest), EVERY_TURN, &[]);
            let said = agent.program().stderr();
            assert_eq!(said.lines().filter(|l| l.contains(&name)).count(), 1, "one line: {said}");
            assert_eq!(agent.stop().code, 0);
        }
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
