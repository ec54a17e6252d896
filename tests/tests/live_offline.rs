//! One analyser: what `attach` says of a connection's packets, `analyze` says of the same packets in a file.

use std::process::ExitCode;

use serde_json::Value;
use tracenet_tests::agent::{self, Agent};
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Pair;
use tracenet_tests::{case, load};

/// What both tell of a connection.
const SHARED: &[&str] = &[
    "transport",
    "role",
    "packets_sent",
    "packets_received",
    "rtt_ns",
    "zero_window_stalls",
    "wire",
    "close",
    "trace_id",
    "trace_id_source",
];

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_client_behind_loss_and_its_file_agree, LAB),
        case!(both_ends_and_their_file_agree, LAB),
    ])
}

/// Traces a load in which 3 % of the packets are lost each way, and compares.
fn compare(with_server: bool) {
    const PORT: u16 = 8001;
    let pair = Pair::new();
    pair.client.lose_incoming(&format!("tcp sport {PORT} numgen random mod 100 < 3"));
    pair.server.lose_incoming(&format!("tcp dport {PORT} numgen random mod 100 < 3"));
    let address = format!("{}:{PORT}", Pair::SERVER);
    let server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, 6, 20, (100, 60_000), 1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("out.pcapng");
    let mut pids = vec![client.pid()];
    if with_server {
        pids.push(server.pid());
    }
    let agent = Agent::attach(&pids, &["-w", file.to_str().expect("UTF-8")]);
    client.say("go");
    load::books(&client.json(), "local");
    pair.settle();
    let story = agent.stop();
    assert_eq!(story.summary.lost, tracenet_tests::report::Lost::NOTHING, "events were lost");

    let output = agent::command()
        .args(["analyze", "--connections", "--format", "json"])
        .arg(&file)
        .output()
        .expect("tracenet starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let offline: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let summary = story.whole_summary();
    let live: Vec<&Value> = summary["connections"]
        .as_array()
        .expect("an array")
        .iter()
        .filter(|c| c["transport"] == "tcp" && c["packets_sent"] != 0)
        .collect();
    assert_eq!(live.len(), if with_server { 12 } else { 6 });
    assert_eq!(offline.len(), live.len());
    let mut lost = 0;
    for c in live {
        let ends = |x: &Value| (x["local"].clone(), x["remote"].clone());
        let same = offline.iter().find(|o| ends(o) == ends(c)).unwrap_or_else(|| panic!("only live: {c}"));
        for field in SHARED {
            assert_eq!(c[*field], same[*field], "{field}\nlive {c}\nfile {same}");
        }
        assert!(!c["rtt_ns"].is_null(), "{c}");
        lost += c["wire"]["retransmission"].as_u64().unwrap_or(0);
    }
    assert!(lost > 0, "nothing was sent again: the test shows nothing");
}

fn a_client_behind_loss_and_its_file_agree() {
    compare(false);
}

fn both_ends_and_their_file_agree() {
    compare(true);
}
