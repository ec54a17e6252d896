//! Programs that were busy before anybody looked: whose side of a connection is whose, what is a request, and what isn't known.

use std::process::ExitCode;

use tracenet_tests::agent::{Agent, Story};
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{Node, sum};
use tracenet_tests::program::Program;
use tracenet_tests::{case, load, wait_for};

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_server_that_is_busy_is_a_server, LAB),
        case!(what_a_loss_touches_is_marked, LAB),
        case!(a_datagram_server_that_is_busy_is_a_server, LAB),
        case!(the_agent_comes_to_a_busy_server, LAB),
    ])
}

const CONNECTIONS: usize = 4;
/// More than anybody waits for.
const TURNS: u64 = 100_000_000;
/// A request has a head of 8 bytes.
const SIZES: (u64, u64) = (9, 1);

/// So many descriptors are looked at before those of programs that start later: what these do meanwhile is seen first.
fn crowd(netns: &Netns) -> Program {
    load::hold(netns, 200_000)
}

/// All connections are there, and turns pass on them.
fn go(netns: &Netns, client: &mut Program) {
    client.say("go");
    wait_for("all connections to be busy", || {
        let busy = netns.run("ss", &["-Htni", "state", "established", "( sport = :8001 )"]);
        let segments = busy.split("data_segs_in:").skip(1);
        let turns = segments.filter_map(|s| s.split_whitespace().next()?.parse::<u64>().ok());
        (turns.filter(|n| *n > 100).count() == CONNECTIONS).then_some(())
    });
}

fn a_server_that_is_busy_is_a_server() {
    let netns = Netns::new("busy");
    let _crowd = crowd(&netns);
    let server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", CONNECTIONS as u64, TURNS, (1, 1), 7);
    go(&netns, &mut client);
    let options = ["-e", "trace=none", "--no-packets", "--duration", "200ms"];
    let story = Agent::attach(&[server.pid(), client.pid()], &options).ended();
    for (pid, role) in [(server.pid(), "server"), (client.pid(), "client")] {
        let all: Vec<_> = story.summary.of(pid).collect();
        assert_eq!(all.len(), CONNECTIONS);
        for connection in all {
            assert_eq!((connection.role.as_str(), connection.opened_before), (role, true), "{connection:?}");
        }
    }
    let (right, wrong) = sizes(&story);
    assert!(right > CONNECTIONS && wrong.is_empty(), "{right} right, not so {wrong:?}");
}

/// How many turns that are told as complete are as large as they were, and how large the others are.
fn sizes(story: &Story) -> (usize, Vec<(u64, u64)>) {
    let turns = story.kind("turn");
    let size = |t: &serde_json::Value, key| t[key].as_u64().expect("a size");
    // The first of a connection may have begun before, and the last one goes on.
    let whole = turns.iter().filter(|t| t["index"] != 0 && t["incomplete"] == false);
    let sizes = whole.map(|t| (size(t, "request_bytes"), size(t, "response_bytes")));
    let (right, wrong): (Vec<_>, Vec<_>) = sizes.filter(|s| s.1 > 0).partition(|s| *s == SIZES);
    (right.len(), wrong)
}

fn what_a_loss_touches_is_marked() {
    let netns = Netns::new("lossy");
    let server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", CONNECTIONS as u64, TURNS, (1, 1), 7);
    go(&netns, &mut client);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("tracenet.yaml");
    // The smallest ring: nobody reads so fast.
    std::fs::write(&config, "limits: {ring_bytes: 64KiB}\n").expect("a writable folder");
    let config = config.to_str().expect("UTF-8");
    let options = ["--config", config, "-e", "trace=none", "--no-packets", "--duration", "1s"];
    let story = Agent::attach(&[server.pid(), client.pid()], &options).ended();
    let (right, wrong) = sizes(&story);
    println!("{right} are told as complete, {} records were lost", story.summary.lost.ringbuf);
    assert!(story.summary.lost.ringbuf > 1_000, "{:?}", story.summary.lost);
    assert!(wrong.is_empty(), "{wrong:?}");
    let marked = story.kind("turn").iter().filter(|t| t["incomplete"] == true).count();
    assert!(marked > 0 && story.summary.connections.iter().all(|c| c.incomplete), "{marked}");
}

fn a_datagram_server_that_is_busy_is_a_server() {
    let netns = Netns::new("datagrams");
    let _crowd = crowd(&netns);
    let start = |args: &[&str]| Program::start(load::script(&netns, "datagrams.py").args(args));
    let server = start(&["serve", "127.0.0.1", "5353"]);
    server.json();
    let mut client = start(&["client", "127.0.0.1", "5353", "100000000"]);
    client.json();
    client.say("go");
    wait_for("datagrams to pass", || {
        (tracenet_tests::counters::mib(&netns).get("UdpInDatagrams").copied() > Some(1_000)).then_some(())
    });
    let options = ["-e", "trace=none", "--no-packets", "--duration", "500ms"];
    let story = Agent::attach(&[server.pid(), client.pid()], &options).ended();
    for (pid, role) in [(server.pid(), "server"), (client.pid(), "client")] {
        let all: Vec<_> = story.summary.of(pid).collect();
        assert!(!all.is_empty() && all.iter().all(|flow| flow.role == role), "{role}: {all:?}");
    }
}

fn the_agent_comes_to_a_busy_server() {
    let netns = Netns::new("busy");
    let _crowd = crowd(&netns);
    // Services are told apart by the names of their executables.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let other = folder.path().join("busy-server");
    std::fs::copy(load::binary(), &other).expect("a copy");
    let server = Program::start(netns.command(&other).args(["serve", "127.0.0.1:8001"]));
    server.json();
    let mut client = load::client(&netns, "127.0.0.1:8001", CONNECTIONS as u64, TURNS, (1, 1), 7);
    go(&netns, &mut client);
    let config =
        "agent: {kubernetes: {enabled: false}, budget: null}\nexport: {metrics: {interval: 100ms}}\n";
    let agent = Node::start(&netns, config);
    let turns = |all: &[_], service, role| {
        sum(all, "tracenet_turn_duration_seconds_count", &[("service_name", service), ("role", role)])
    };
    let all = wait_for("turns of both sides", || {
        let all = agent.metrics();
        let enough = turns(&all, "busy-server", "server") > 1e4 && turns(&all, "load", "client") > 1e4;
        enough.then_some(all)
    });
    assert_eq!((turns(&all, "busy-server", "client"), turns(&all, "load", "server")), (0.0, 0.0));
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}
