//! 200,000 request/response turns over loopback: counted exactly, and no event lost unsaid.

use std::collections::BTreeMap;
use std::process::ExitCode;

use tracenet_tests::agent::Agent;
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Netns;
use tracenet_tests::{case, load};

fn main() -> ExitCode {
    harness::main(vec![
        case!(two_hundred_thousand_turns_are_counted_exactly, LAB),
        case!(two_hundred_thousand_turns_are_told_by_a_starved_agent, LAB),
        case!(every_syscall_of_a_fast_pair_is_told_or_counted_as_lost, LAB),
        case!(two_hundred_thousand_turns_as_json_lines, LAB),
    ])
}

/// Runs `connections` × `turns` and returns the agent's story.
fn play(connections: u64, turns: u64, options: &[&str]) -> (tracenet_tests::agent::Story, u32, u32) {
    let netns = Netns::new("loop");
    let mut server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", connections, turns, (200, 200), 9);
    let agent = Agent::attach(&[client.pid(), server.pid()], options);
    client.say("go");
    load::books(&client.json(), "local");
    let story = agent.stop();
    client.finish();
    server.finish();
    (story, client.pid(), server.pid())
}

fn assert_turns(story: &tracenet_tests::agent::Story, pids: [u32; 2], connections: usize, turns: u64) {
    for pid in pids {
        let all: Vec<_> = story.summary.of(pid).collect();
        assert_eq!(all.len(), connections);
        for connection in all {
            assert_eq!(connection.turns, turns, "{connection:?}");
        }
    }
}

fn two_hundred_thousand_turns_are_counted_exactly() {
    let (story, client, server) = play(4, 50_000, &["-e", "trace=none", "--no-packets"]);
    println!("lost: {:?}", story.summary.lost);
    assert_turns(&story, [client, server], 4, 50_000);
    if story.summary.lost.ringbuf == 0 && story.summary.lost.queue == 0 {
        let told = story.kind("turn");
        assert_eq!(told.len(), 400_000, "each end tells each turn");
    } else {
        assert!(story.summary.connections.iter().any(|c| c.incomplete), "what a loss touches is marked");
    }
}

fn two_hundred_thousand_turns_are_told_by_a_starved_agent() {
    // Two programs that take all they get of the CPUs: records wait in the rings for seconds, and connections have ended by then.
    let netns = Netns::new("hungry");
    let _callers = [0, 1].map(|_| {
        let mut caller = load::storm(&netns, &["calls", "100000000000"]);
        caller.say("go");
        caller
    });
    two_hundred_thousand_turns_are_counted_exactly();
}

fn every_syscall_of_a_fast_pair_is_told_or_counted_as_lost() {
    let (story, client, server) =
        play(2, 10_000, &["-e", "trace=read,write,recvfrom,sendto", "--no-packets"]);
    assert_turns(&story, [client, server], 2, 10_000);
    let mut told: BTreeMap<u64, u64> = BTreeMap::new();
    for event in story.events().filter(|e| e["kind"] == "syscall" && !e["conn"].is_null()) {
        *told.entry(event["pid"].as_u64().expect("a pid")).or_default() += 1;
    }
    let lost = story.summary.lost;
    println!("told {told:?}, lost {lost:?}");
    // The client: one send and one receive a turn. The server: head, body, answer, and the last, empty read of each.
    let (asked, answered) = (2 * 2 * 10_000, 2 * (3 * 10_000 + 1));
    let got =
        (told.get(&client.into()).copied().unwrap_or(0), told.get(&server.into()).copied().unwrap_or(0));
    if lost.ringbuf == 0 && lost.queue == 0 {
        assert_eq!(got, (asked, answered));
    } else {
        assert!(got.0 + got.1 + lost.ringbuf + lost.queue >= asked + answered, "{got:?} {lost:?}");
    }
}

fn two_hundred_thousand_turns_as_json_lines() {
    // Everything at once: syscalls, packets and turns of 200,000 turns, two ends.
    let (story, client, server) = play(4, 50_000, &[]);
    println!("lost: {:?}", story.summary.lost);
    assert_turns(&story, [client, server], 4, 50_000);
    let mut last = 0;
    let mut count: BTreeMap<String, u64> = BTreeMap::new();
    let mut disorder = 0;
    for event in story.events() {
        *count.entry(event["kind"].as_str().expect("a kind").to_owned()).or_default() += 1;
        if let Some(t) = event["t_ns"].as_u64() {
            disorder += u64::from(t < last);
            last = t;
        }
    }
    println!("{count:?}");
    assert_eq!(disorder, 0, "one time-ordered stream");
}
