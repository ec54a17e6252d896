//! A TLS handshake is no turn, and what it took is a part of the first one.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tracenet_tests::agent::{Agent, Story};
use tracenet_tests::harness::{LAB, Need, main as run};
use tracenet_tests::link::{Action, Link, Path, Sizes};
use tracenet_tests::program::Program;
use tracenet_tests::report::Lost;
use tracenet_tests::{case, collector, load};

/// One way.
const DELAY: Duration = Duration::from_millis(20);

const TLS: [Need; 6] = [LAB[0], LAB[1], LAB[2], LAB[3], LAB[4], Need::Tool("openssl")];

fn main() -> ExitCode {
    run(vec![
        case!(a_handshake_of_tls_1_3_is_a_part_of_the_first_turn, &TLS),
        case!(a_handshake_of_tls_1_2_is_a_part_of_the_first_turn, &TLS),
    ])
}

fn a_handshake_of_tls_1_3_is_a_part_of_the_first_turn() {
    handshake("1.3", [1, 1]);
}

fn a_handshake_of_tls_1_2_is_a_part_of_the_first_turn() {
    handshake("1.2", [2, 1]);
}

/// A version of TLS whose handshake takes so many round trips, for the client and for the server.
fn handshake(version: &str, round_trips: [u64; 2]) {
    let mut path = Path::new(Link {
        delay: DELAY,
        rate: None,
        sizes: Sizes { request: 1, response: 1 },
        seed: 0,
        plan: Box::new(|_, _| Action::Pass),
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    collector::certificate(folder.path());
    let address = SocketAddr::new(Path::SERVER.parse().expect("an address"), 4_433);
    let (host, port) = (Path::SERVER, address.port().to_string());
    let of = |netns, words: &[&str]| Program::start(load::script(netns, "tls.py").args(words));
    let server = of(&path.server, &["serve", host, &port, version, folder.path().to_str().expect("a name")]);
    let mut client = of(&path.client, &["client", host, &port, version]);
    server.json();
    client.json();

    let quiet = ["-e", "trace=none"];
    let agents = [(&client, "client"), (&server, "server")]
        .map(|(program, role)| (Agent::attach(&[program.pid()], &quiet), role));
    client.say("go");
    let took = [client.json(), server.json()].map(|v| v["handshake_ns"].as_u64().expect("a number"));
    client.finish();
    path.settle();
    // A server's clock starts when it has been given the connection: on a busy machine the first bytes have come before.
    let early = [Duration::ZERO, DELAY];
    for (i, (agent, role)) in agents.into_iter().enumerate() {
        let least = round_trips[i] * 2 * DELAY.as_nanos() as u64;
        told(&agent.stop(), role, least..=took[i] + early[i].as_nanos() as u64);
    }
    path.cut();
}

/// The story has two turns, and the handshake took no longer than its own end says.
fn told(story: &Story, role: &str, bounds: std::ops::RangeInclusive<u64>) {
    let turns = story.kind("turn");
    let indices: Vec<_> = turns.iter().map(|t| t["index"].as_u64()).collect();
    assert_eq!(indices, [Some(0), Some(1)], "{role}: {turns:#?}");
    for turn in &turns {
        let parts = turn["parts"].as_object().expect("parts");
        let sum: u64 = parts.values().filter_map(Value::as_u64).sum();
        assert_eq!(Some(sum), turn["duration_ns"].as_u64(), "{role}: {turn}");
    }
    let tls = |n: usize| turns[n]["parts"]["tls"].as_u64().expect("a number");
    assert!(bounds.contains(&tls(0)), "{role}: {} not within {bounds:?}: {}", tls(0), turns[0]);
    assert_eq!(tls(1), 0, "{role}: {}", turns[1]);
    let connections: Vec<_> = story.summary.connections.iter().map(|c| (c.turns, c.incomplete)).collect();
    // What the kernel counted agrees, unless something was lost.
    let incomplete = story.summary.lost != Lost::NOTHING;
    assert!(
        connections == [(2, false)] || incomplete && connections == [(2, true)],
        "{role}: {connections:?}"
    );
}
