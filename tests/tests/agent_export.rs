//! What becomes of spans when the collector is well, away for a while, slow, or broken: nothing is lost beyond the stated
//! caps, and what is lost is counted.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tracenet_tests::collector::{self, GRPC, HTTP};
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{Ended, Node, sum};
use tracenet_tests::program::Program;
use tracenet_tests::{case, load, wait_for};

const COLLECTOR: &[Need] =
    &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("nft"), Need::Tool("ss"), Need::Venv];

/// What `load` plays: each turn is a span at either end, so is each connection, and a third is the client's connect(2).
const CONNECTIONS: u64 = 10;
const TURNS: u64 = 50;
const SPANS: u64 = CONNECTIONS * (2 * TURNS + 3);
/// Where rotel hands on to.
const BEHIND: u16 = 4319;
/// So long the collector is away.
const AWAY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    harness::main(vec![
        case!(rotel_receives_every_turn, COLLECTOR),
        case!(a_collector_that_is_away_for_a_while_costs_nothing, COLLECTOR),
        case!(a_slow_collector_costs_nothing_that_fits_the_queue, LAB),
        case!(a_collector_that_refuses_costs_counted_spans, LAB),
        case!(a_collector_that_never_answers_costs_counted_spans, LAB),
        case!(a_collector_that_breaks_its_tls_costs_counted_spans, LAB),
    ])
}

/// Every turn, to `endpoint`, with little room and little patience.
fn config(endpoint: &str, queue: &str) -> String {
    format!(
        "agent:
  kubernetes: {{enabled: false}}
  sampling: {{rate_per_second: 100000}}
export:
  metrics: {{interval: 100ms}}
  otlp: {{endpoint: '{endpoint}', queue_bytes: {queue}, timeout: 500ms, shutdown_timeout: 2s}}
"
    )
}

/// Plays the load to its end.
fn play(netns: &Netns) -> [Program; 2] {
    let server = load::serve(netns, "127.0.0.1:8001");
    let mut client = load::client(netns, "127.0.0.1:8001", CONNECTIONS, TURNS, (500, 500), 31);
    client.say("go");
    load::books(&client.json(), "local");
    wait_for("the connections to be closed", || {
        netns
            .run("ss", &["-Htn", "sport", "=", ":8001"])
            .lines()
            .all(|l| l.starts_with("TIME-WAIT"))
            .then_some(())
    });
    [client, server]
}

/// Ids of the spans of the load that a collector of ours has got.
fn arrived(file: &Path) -> BTreeSet<String> {
    collector::received(file)
        .iter()
        .filter(|row| row["signal"] == "span" && row["resource"]["service.name"] == "load")
        .filter_map(|row| row["span_id"].as_str().map(str::to_owned))
        .collect()
}

fn books(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("received")
}

/// Spans that the end line says were lost, and delivered; none where there is no such line.
fn lost(ended: &Ended) -> (u64, u64) {
    let Some(line) = ended.stderr.lines().find(|l| l.contains("spans were not exported")) else {
        return (0, 0);
    };
    let mut numbers =
        line.split(|c: char| !c.is_ascii_digit()).filter(|w| !w.is_empty()).filter_map(|w| w.parse().ok());
    let mut next = || numbers.next().unwrap_or_else(|| panic!("two numbers: {line}"));
    (next(), next())
}

fn counted(agent: &Node<'_>) -> f64 {
    sum(&agent.metrics(), "tracenet_agent_events_lost_total", &[("source", "export")])
}

fn rotel_receives_every_turn() {
    let netns = Netns::new("collected");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let _behind = collector::start(&netns, &books(&folder), 0, BEHIND);
    let _rotel = collector::start_rotel(&netns, BEHIND);
    let agent = Node::start_exporting(&netns, &config(&format!("http://127.0.0.1:{GRPC}"), "64MiB"), &[]);
    let _programs = play(&netns);
    wait_for("every span to arrive", || (arrived(&books(&folder)).len() as u64 >= SPANS).then_some(()));
    assert_eq!(arrived(&books(&folder)).len() as u64, SPANS);
    assert_eq!(counted(&agent), 0.0);
    assert_eq!(lost(&agent.stop()), (0, 0));
}

fn a_collector_that_is_away_for_a_while_costs_nothing() {
    for port in [GRPC, HTTP] {
        let netns = Netns::new("away");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut first = collector::start(&netns, &books(&folder), GRPC, HTTP);
        let agent = Node::start_exporting(&netns, &config(&format!("http://127.0.0.1:{port}"), "64MiB"), &[]);
        let _before = play(&netns);
        wait_for("what came before", || (arrived(&books(&folder)).len() as u64 == SPANS).then_some(()));
        first.signal(nix::sys::signal::Signal::SIGKILL);
        first.wait();
        drop(_before);
        let since = Instant::now();
        let _meanwhile = play(&netns);
        wait_for("its absence to be over", || (since.elapsed() >= AWAY).then_some(()));
        assert_eq!(arrived(&books(&folder)).len() as u64, SPANS);
        let _second = collector::start(&netns, &books(&folder), GRPC, HTTP);
        wait_for("what came meanwhile", || {
            (arrived(&books(&folder)).len() as u64 == 2 * SPANS).then_some(())
        });
        assert_eq!(counted(&agent), 0.0);
        assert_eq!(lost(&agent.stop()), (0, 0));
    }
}

/// A server at [`HTTP`] that treats each connection so; it lives as long as the test's process.
fn stand_in(netns: &Netns, treat: fn(TcpStream)) {
    let listener = netns.inside(|| TcpListener::bind(("127.0.0.1", HTTP)).expect("a free port"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || treat(stream));
        }
    });
}

/// Reads one request; false at the end.
fn request(stream: &mut TcpStream) -> bool {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return false;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).is_ok()
}

fn answer(mut stream: TcpStream, after: Duration, status: &str) {
    while request(&mut stream) {
        std::thread::sleep(after);
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n");
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

fn a_slow_collector_costs_nothing_that_fits_the_queue() {
    let netns = Netns::new("slow");
    stand_in(&netns, |stream| answer(stream, Duration::from_millis(300), "200 OK"));
    let agent = Node::start_exporting(&netns, &config(&format!("http://127.0.0.1:{HTTP}"), "64MiB"), &[]);
    let _programs = play(&netns);
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(lost(&ended), (0, 0), "{}", ended.stderr);
}

/// Nothing is delivered: every span is counted, while it runs and at its end.
fn costs(netns: &Netns, endpoint: &str) {
    // 64 KiB hold a tenth of the load's spans.
    let agent = Node::start_exporting(netns, &config(endpoint, "64KiB"), &[]);
    let _programs = play(netns);
    wait_for("the losses to be counted", || (counted(&agent) > SPANS as f64 / 2.0).then_some(()));
    let counted = counted(&agent);
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (lost, sent) = lost(&ended);
    assert_eq!(sent, 0, "{}", ended.stderr);
    assert!(lost >= SPANS && lost as f64 >= counted, "{lost} lost, {counted} counted: {}", ended.stderr);
    // A collector's trouble is told once, not with each request.
    assert!(ended.stderr.lines().count() < 8, "{}", ended.stderr);
}

fn a_collector_that_refuses_costs_counted_spans() {
    let netns = Netns::new("refuses");
    stand_in(&netns, |stream| answer(stream, Duration::ZERO, "400 Bad Request"));
    costs(&netns, &format!("http://127.0.0.1:{HTTP}"));
}

fn a_collector_that_never_answers_costs_counted_spans() {
    let netns = Netns::new("silent");
    stand_in(&netns, |mut stream| while request(&mut stream) {});
    costs(&netns, &format!("http://127.0.0.1:{HTTP}"));
}

fn a_collector_that_breaks_its_tls_costs_counted_spans() {
    let netns = Netns::new("broken");
    // The head of a handshake record, and no more.
    stand_in(&netns, |mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(&[22, 3, 3, 0, 80, 2]);
    });
    costs(&netns, &format!("https://127.0.0.1:{HTTP}"));
}
