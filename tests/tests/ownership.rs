//! Every connection is found, with the process that used it last and with the bytes that the program counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;

use serde_json::Value;
use tracenet_tests::agent::Agent;
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Pair;
use tracenet_tests::program::Program;
use tracenet_tests::report::Lost;
use tracenet_tests::{case, load};

fn main() -> ExitCode {
    harness::main(vec![
        case!(forked_workers_and_handed_sockets_have_the_right_owner_and_bytes, LAB),
        case!(both_ends_report_the_bytes_that_their_programs_report, LAB),
        case!(without_follow_children_are_left_alone, LAB),
    ])
}

/// What a worker wrote about one connection.
struct Expected {
    pid: u32,
    before: bool,
    sent: u64,
    received: u64,
    turns: u64,
}

fn expected(file: &std::path::Path) -> BTreeMap<SocketAddr, Expected> {
    let text = std::fs::read_to_string(file).expect("the workers wrote their books");
    text.lines()
        .map(|line| {
            let v: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            let number = |name: &str| v[name].as_u64().unwrap_or_else(|| panic!("no {name}: {line}"));
            let expected = Expected {
                pid: u32::try_from(number("pid")).expect("a pid"),
                before: v["before"].as_bool().expect("a flag"),
                sent: number("sent"),
                received: number("received"),
                turns: number("turns"),
            };
            (v["local"].as_str().and_then(|a| a.parse().ok()).expect("an address"), expected)
        })
        .collect()
}

fn forked_workers_and_handed_sockets_have_the_right_owner_and_bytes() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let books = folder.path().join("books");
    let _server = load::serve(&pair.server, &format!("{}:8001", Pair::SERVER));
    // Four processes: 13 + 13 + 12 + 12 connections before the attach, 50 each after it.
    let mut programs: Vec<Program> = [13, 13, 12, 12]
        .iter()
        .enumerate()
        .map(|(seed, before)| {
            let mut command = load::script(&pair.client, "workers.py");
            command
                .args([Pair::SERVER, "8001", &before.to_string(), "50", "5", &seed.to_string()])
                .arg(&books);
            Program::start(&mut command)
        })
        .collect();
    for program in &programs {
        program.json();
    }
    let pids: Vec<u32> = programs.iter().map(Program::pid).collect();
    let agent = Agent::attach(&pids, &["-f", "-e", "trace=none"]);
    for program in &mut programs {
        program.say("go");
    }
    for program in &programs {
        program.json();
    }
    pair.settle();
    let story = agent.stop();

    let expected = expected(&books);
    assert_eq!(expected.len(), 250);
    assert_eq!(expected.values().filter(|e| e.before).count(), 50);
    let seen = story.summary.by_local();
    let missed: Vec<_> = expected.keys().filter(|local| !seen.contains_key(local)).collect();
    assert!(missed.is_empty(), "connections missed: {missed:?}");
    let invented: Vec<_> = seen.iter().filter(|(local, _)| !expected.contains_key(local)).collect();
    assert!(invented.is_empty(), "connections nobody made: {invented:?}");
    for (local, wanted) in &expected {
        let got = seen[local];
        assert_eq!(got.pid, wanted.pid, "owner of {got:?}");
        assert!(!got.comm.is_empty(), "{got:?}");
        assert_eq!(got.role, "client", "{got:?}");
        assert_eq!(got.opened_before, wanted.before, "{got:?}");
        assert_eq!((got.bytes_sent, got.bytes_received), (wanted.sent, wanted.received), "bytes of {got:?}");
        // One turn of a connection from before was before.
        let turns = if wanted.before { wanted.turns - 1 } else { wanted.turns };
        assert_eq!(got.turns, turns, "{got:?}");
        assert_eq!(got.close, "fin", "{got:?}");
        assert_eq!(got.connect_ns.is_some(), !wanted.before, "{got:?}");
        assert!(!got.incomplete, "{got:?}");
    }
    assert_eq!(story.summary.lost, Lost::NOTHING);
}

fn both_ends_report_the_bytes_that_their_programs_report() {
    let pair = Pair::new();
    let address = format!("{}:8001", Pair::SERVER);
    let mut server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, 60, 12, (60_000, 60_000), 7);
    let agent = Agent::attach(&[client.pid(), server.pid()], &["-e", "trace=none"]);
    client.say("go");
    let asked = load::books(&client.json(), "local");
    pair.settle();
    let story = agent.stop();
    server.say("report");
    let answered = load::books(&server.json(), "remote");

    assert_eq!(asked.len(), 60);
    assert_eq!(story.summary.connections.len(), 120, "each connection has two ends here");
    for connection in &story.summary.connections {
        let (books, pid) = match connection.role.as_str() {
            "client" => (asked[&connection.local], client.pid()),
            "server" => (answered[&connection.remote], server.pid()),
            other => panic!("role {other}"),
        };
        assert_eq!(connection.pid, pid, "{connection:?}");
        assert_eq!((connection.bytes_sent, connection.bytes_received), (books.sent, books.received));
        assert_eq!(connection.turns, books.turns, "{connection:?}");
        let waits = (connection.connect_ns.is_some(), connection.accept_wait_ns.is_some());
        assert_eq!(waits, (connection.role == "client", connection.role == "server"), "{connection:?}");
        let rtt = connection.rtt_ns.unwrap_or_else(|| panic!("no RTT: {connection:?}"));
        assert!(0 < rtt.min && rtt.min <= rtt.p50 && rtt.p50 <= rtt.p99 && rtt.p99 <= rtt.max, "{rtt:?}");
    }
    // Two ends of one connection agree on their trace, which is made from the initial sequence numbers.
    for end in story.summary.connections.iter().filter(|c| c.role == "client") {
        let peer = story.summary.connections.iter().find(|c| c.local == end.remote && c.remote == end.local);
        assert_eq!(peer.map(|p| &p.trace_id), Some(&end.trace_id));
    }
}

fn without_follow_children_are_left_alone() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let books = folder.path().join("books");
    let _server = load::serve(&pair.server, &format!("{}:8001", Pair::SERVER));
    let mut command = load::script(&pair.client, "workers.py");
    command.args([Pair::SERVER, "8001", "3", "12", "2", "1"]).arg(&books);
    let mut program = Program::start(&mut command);
    program.json();
    let agent = Agent::attach(&[program.pid()], &["-e", "trace=none"]);
    program.say("go");
    program.json();
    pair.settle();
    let story = agent.stop();
    let expected = expected(&books);
    let mine: Vec<_> = expected.iter().filter(|(_, e)| e.pid == program.pid()).collect();
    let seen = story.summary.by_local();
    for (local, wanted) in &mine {
        let got = seen.get(local).unwrap_or_else(|| panic!("{local} is missing"));
        assert_eq!((got.pid, got.bytes_sent, got.bytes_received), (wanted.pid, wanted.sent, wanted.received));
    }
    // The two connections that changed hands began with the target; all others are not its business.
    assert!(seen.len() <= mine.len() + 2, "{:?}", seen.keys());
}
