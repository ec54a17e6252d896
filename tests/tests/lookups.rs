//! Name resolution before a connection.

use std::process::ExitCode;

use serde_json::Value;
use tracenet_tests::agent::Agent;
use tracenet_tests::harness::{LAB, main as run};
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{case, load};

/// What the name server takes.
const DELAY_MS: u64 = 40;

fn main() -> ExitCode {
    run(vec![case!(a_first_turn_waits_for_its_name, LAB)])
}

fn a_first_turn_waits_for_its_name() {
    let netns = Netns::new("resolver");
    let _server = load::serve(&netns, "127.0.0.1:8001");
    let resolver = Program::start(load::script(&netns, "resolver.py").args(["serve", &DELAY_MS.to_string()]));
    resolver.json();
    // A resolv.conf of its own takes a mount namespace of its own.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let conf = folder.path().join("resolv.conf");
    std::fs::write(&conf, "nameserver 127.0.0.1\n").expect("a file");
    let mut command = netns.command("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"",
        "sh",
    ]);
    command.arg(&conf).args(["/usr/bin/python3", "-u"]).arg(load::script_path("resolver.py"));
    let mut client = Program::start(command.args(["client", "db.test", "8001"]));
    client.json();

    let agent = Agent::attach(&[client.pid()], &["-e", "trace=none"]);
    client.say("go");
    let said: Value = client.json();
    let story = agent.stop();
    let took = said["lookup_ns"].as_u64().expect("a number");

    let turns = story.kind("turn");
    let turn = turns.iter().find(|t| t["response_bytes"] == 1000).expect("the turn with the server");
    let parts = turn["parts"].as_object().expect("parts");
    let dns = parts["dns"].as_u64().expect("a number");
    assert!(
        (DELAY_MS * 1_000_000..=took).contains(&dns),
        "{dns} ns of the {took} that getaddrinfo took: {turn}"
    );
    assert_eq!(
        parts.values().filter_map(Value::as_u64).sum::<u64>(),
        turn["duration_ns"].as_u64().expect("a number")
    );
    assert_eq!(turn["cause"], "dns", "{turn}");
}
