//! `tracenet analyze --otlp`: the streams of a capture as spans.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;
use tracenet_tests::harness::{self, Need, analyze, analyze_with};
use tracenet_tests::netns::Netns;
use tracenet_tests::{agent, case, collector, wait_for};

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_stream_becomes_a_trace, &[]),
        case!(a_reset_and_a_shut_window_are_events, &[]),
        case!(a_filter_chooses_streams, &[]),
        case!(the_environment_names_the_service, &[]),
        case!(files_and_runs_have_ids_that_do_not_meet_by_chance, &[]),
        case!(a_dead_collector_is_said_and_counted, &[]),
        case!(what_is_read_is_not_written, &[]),
        case!(
            a_real_collector_gets_what_the_file_gets,
            &[Need::Root, Need::Tool("ip"), Need::Tool("ss"), Need::Venv]
        ),
    ])
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Of the captures' first packets.
const START: u64 = 1_700_000_000_000_000_000;

/// A segment: client's port, microseconds since [`START`], whether the client sent it, sequence and acknowledgement
/// number, flags, window and bytes.
type Sent<'a> = (u16, u32, bool, u32, u32, u8, u16, &'a [u8]);

fn capture(segments: &[Sent<'_>]) -> tempfile::NamedTempFile {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for &(port, t_us, from_client, seq, ack, flags, window, data) in segments {
        let total = u16::try_from(40 + data.len()).expect("short");
        let mut ip = vec![0x45, 0];
        ip.extend(total.to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        ip.extend(if from_client { [client, server] } else { [server, client] }.concat());
        for port in if from_client { [port, 80] } else { [80, port] } {
            ip.extend(port.to_be_bytes());
        }
        ip.extend(seq.to_be_bytes());
        ip.extend(ack.to_be_bytes());
        ip.extend([0x50, flags]);
        ip.extend(window.to_be_bytes());
        ip.extend([0; 4]);
        ip.extend(data);
        for word in [1_700_000_000, t_us, u32::from(total), u32::from(total)] {
            file.extend(word.to_le_bytes());
        }
        file.extend(ip);
    }
    let mut written = tempfile::NamedTempFile::new().expect("a temporary file");
    written.write_all(&file).expect("a writable folder");
    written
}

const W: u16 = 0xffff;

/// A handshake, a request that is sent again, its answer, a request without an answer, and an orderly end.
const TWO_TURNS: &[Sent<'_>] = &[
    (40_000, 0, true, 100, 0, SYN, W, b""),
    (40_000, 10_000, false, 500, 101, SYN | ACK, W, b""),
    (40_000, 10_100, true, 101, 501, ACK, W, b""),
    (40_000, 10_200, true, 101, 501, ACK, W, b"hello"),
    (40_000, 310_200, true, 101, 501, ACK, W, b"hello"),
    (40_000, 320_200, false, 501, 106, ACK, W, b""),
    (40_000, 330_000, false, 501, 106, ACK, W, b"good"),
    (40_000, 340_000, false, 505, 106, ACK, W, b"bye"),
    (40_000, 340_100, true, 106, 508, ACK, W, b""),
    (40_000, 400_000, true, 106, 508, ACK, W, b"more"),
    (40_000, 500_000, true, 110, 508, ACK | FIN, W, b""),
    (40_000, 510_000, false, 508, 111, ACK | FIN, W, b""),
    (40_000, 510_100, true, 111, 509, ACK, W, b""),
];

/// A client that can't take any more, until the server gives up.
const SHUT: &[Sent<'_>] = &[
    (40_001, 1_000_000 - 400_000, true, 900, 0, SYN, W, b""),
    (40_001, 600_100, false, 700, 901, SYN | ACK, W, b""),
    (40_001, 600_200, true, 901, 701, ACK, W, b""),
    (40_001, 600_300, true, 901, 701, ACK, W, b"get"),
    (40_001, 600_400, false, 701, 904, ACK, W, b"much"),
    (40_001, 600_500, true, 904, 705, ACK, 0, b""),
    (40_001, 700_000, false, 705, 904, RST | ACK, W, b""),
];

struct Span {
    resource: BTreeMap<String, Value>,
    all: Value,
}

impl Span {
    fn text(&self, name: &str) -> &str {
        self.all[name].as_str().unwrap_or_default()
    }

    /// Microseconds since [`START`].
    fn times(&self) -> (u64, u64) {
        (self.micros("startTimeUnixNano"), self.micros("endTimeUnixNano"))
    }

    fn micros(&self, name: &str) -> u64 {
        micros(&self.all[name])
    }

    fn attributes(&self) -> BTreeMap<String, Value> {
        attributes(&self.all)
    }

    /// Name, microseconds since [`START`], attributes.
    fn events(&self) -> Vec<(&str, u64, BTreeMap<String, Value>)> {
        let events = self.all["events"].as_array().into_iter().flatten();
        events
            .map(|e| (e["name"].as_str().expect("a name"), micros(&e["timeUnixNano"]), attributes(e)))
            .collect()
    }
}

fn micros(time: &Value) -> u64 {
    let ns: u64 = time.as_str().expect("a string").parse().expect("nanoseconds");
    (ns - START) / 1000
}

/// Values without their types.
fn attributes(of: &Value) -> BTreeMap<String, Value> {
    let pairs = of["attributes"].as_array().into_iter().flatten();
    pairs
        .map(|pair| {
            let value = pair["value"].as_object().and_then(|v| v.values().next()).cloned();
            (pair["key"].as_str().expect("a key").to_owned(), value.unwrap_or_default())
        })
        .collect()
}

/// What `analyze --otlp file:` wrote, in the order of names and starts.
fn spans(file: &Path, options: &[&str], variables: &[(&str, &str)]) -> Vec<Span> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let to = folder.path().join("spans");
    let url = format!("file:{}", to.display());
    let output = analyze_with(file, &[&["--otlp", &url], options].concat(), variables);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(0) && error.is_empty(), "{:?}: {error}", output.status);
    assert!(!output.stdout.is_empty(), "the view is printed all the same");
    let mut all = Vec::new();
    for line in std::fs::read_to_string(&to).expect("the file exists").lines() {
        let request: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for of_resource in request["resourceSpans"].as_array().expect("spans, and no metrics") {
            let resource = attributes(&of_resource["resource"]);
            for scope in of_resource["scopeSpans"].as_array().into_iter().flatten() {
                for span in scope["spans"].as_array().into_iter().flatten() {
                    all.push(Span { resource: resource.clone(), all: span.clone() });
                }
            }
        }
    }
    all.sort_by_key(|s| (s.text("name").to_owned(), s.times()));
    check(&all);
    all
}

/// What is true of all spans: they last, lie within their parents and hold their events.
fn check(all: &[Span]) {
    for span in all {
        let (start, end) = span.times();
        assert!(start <= end, "{}", span.all);
        for (_, at, _) in span.events() {
            assert!(start <= at && at <= end, "{}", span.all);
        }
        let parent = span.text("parentSpanId");
        if parent.is_empty() {
            assert_eq!(span.text("name"), "TCP connection");
            continue;
        }
        let parent = all.iter().find(|p| p.text("spanId") == parent).expect("the parent is there");
        assert_eq!(parent.text("traceId"), span.text("traceId"));
        assert!(parent.times().0 <= start && end <= parent.times().1, "{} in {}", span.all, parent.all);
    }
}

fn names(all: &[Span]) -> Vec<&str> {
    all.iter().map(|s| s.text("name")).collect()
}

fn a_stream_becomes_a_trace() {
    let file = capture(TWO_TURNS);
    let all = spans(file.path(), &[], &[]);
    assert_eq!(names(&all), ["TCP connect", "TCP connection", "tcp request", "tcp request"]);
    let [connect, connection, first, second] = &all[..] else { panic!("four spans") };

    let resource: BTreeMap<_, _> = [
        ("service.name".to_owned(), Value::from("tracenet-capture")),
        ("file.path".to_owned(), Value::from(file.path().to_str().expect("UTF-8"))),
    ]
    .into();
    assert_eq!(connection.resource, resource, "nothing of this host or of this process");

    assert_eq!(connect.times(), (0, 10_100));
    let handshake: Vec<_> = connect.events().into_iter().map(|(name, at, _)| (name, at)).collect();
    assert_eq!(handshake, [("syn", 0), ("syn_ack", 10_000)]);

    assert_eq!(connection.times(), (0, 510_100));
    let a = connection.attributes();
    for (name, value) in [
        ("network.local.address", Value::from("10.0.0.1")),
        ("network.peer.port", Value::from("80")),
        ("tracenet.capture.stream", Value::from("0")),
        ("tracenet.connection.close_reason", Value::from("fin")),
        ("tracenet.connection.bytes_sent", Value::from("9")),
        ("tracenet.connection.bytes_received", Value::from("7")),
        ("tracenet.connection.turns", Value::from("1")),
        ("tracenet.packets.sent", Value::from("8")),
        ("tracenet.tcp.retransmits", Value::from("1")),
        ("tracenet.trace_id.source", Value::from("isn_pair")),
    ] {
        assert_eq!(a.get(name), Some(&value), "{name}");
    }
    for unknown in ["tracenet.netns", "tracenet.drops", "tracenet.connection.id"] {
        assert!(!a.contains_key(unknown), "{unknown} is not known of a file");
    }

    assert_eq!(first.times(), (10_200, 340_000));
    let a = first.attributes();
    assert_eq!(a["tracenet.turn.request.bytes"], "5");
    assert_eq!(a["tracenet.turn.response.bytes"], "7");
    assert_eq!(a["tracenet.turn.wait.duration"], 0.3198);
    let events = first.events();
    let [(name, at, a)] = &events[..] else { panic!("one event: {}", first.all) };
    assert_eq!((*name, *at), ("tracenet.retransmit", 310_200));
    for (name, value) in [
        ("verdicts", Value::from("retransmission")),
        ("cause", Value::from("retransmission")),
        ("direction", Value::from("out")),
        ("seq", Value::from("1")),
        ("seq_end", Value::from("6")),
        ("after", Value::from(0.3)),
    ] {
        assert_eq!(a.get(name), Some(&value), "{name}");
    }
    assert_eq!((second.times(), second.events().len()), ((400_000, 400_000), 0));

    let output = analyze(file.path(), &["--connections", "--format", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(connection.text("traceId"), told["trace_id"], "the id that a live observation makes");
}

fn a_reset_and_a_shut_window_are_events() {
    let all = spans(capture(SHUT).path(), &["--turns"], &[]);
    assert_eq!(names(&all), ["TCP connect", "TCP connection", "tcp request"]);
    let connection = &all[1];
    let events: Vec<_> =
        connection.events().into_iter().map(|(name, at, a)| (name, at, a["direction"].clone())).collect();
    assert_eq!(
        events,
        [("tracenet.zero_window", 600_500, "out".into()), ("tracenet.reset", 700_000, "in".into())],
        "both after the answer's last byte"
    );
    assert_eq!(connection.attributes()["error.type"], "connection_reset");
    assert_eq!(connection.attributes()["tracenet.tcp.zero_window_stalls"], "1");
}

fn a_filter_chooses_streams() {
    let file = capture(&[TWO_TURNS, SHUT].concat());
    assert_eq!(names(&spans(file.path(), &[], &[])).len(), 7);
    // Its last packet is the only one that is shown.
    let all = spans(file.path(), &["--packets", "-Y", "tcp.flags.reset == 1"], &[]);
    assert_eq!(names(&all), ["TCP connect", "TCP connection", "tcp request"]);
    assert!(all.iter().all(|s| s.attributes()["tracenet.capture.stream"] == "1"));
    assert_eq!(all[0].events().len(), 2, "what was before the first packet shown is told too");
}

fn the_environment_names_the_service() {
    let file = capture(TWO_TURNS);
    let variables =
        [("OTEL_SERVICE_NAME", "shop"), ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")];
    let all = spans(file.path(), &[], &variables);
    assert_eq!(all[0].resource["service.name"], "shop");
    assert_eq!(all[0].resource["deployment.environment.name"], "test");
}

fn files_and_runs_have_ids_that_do_not_meet_by_chance() {
    let (file, other) = (capture(TWO_TURNS), capture(TWO_TURNS));
    let ids = |file: &Path| {
        let all = spans(file, &[], &[]);
        all.iter().map(|s| (s.text("traceId").to_owned(), s.text("spanId").to_owned())).collect::<Vec<_>>()
    };
    let (one, again, two) = (ids(file.path()), ids(file.path()), ids(other.path()));
    assert_eq!(one, again, "the same file twice is the same trace");
    assert_eq!(one[0].0, two[0].0, "two captures of a connection are one trace");
    assert!(one.iter().all(|id| !two.contains(id)), "each with its own spans");
}

fn a_dead_collector_is_said_and_counted() {
    let file = capture(TWO_TURNS);
    // Nobody listens at a port below 1024 that has no service.
    let output = analyze(file.path(), &["--otlp", "http://127.0.0.1:9"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("4 spans could not be exported"), "{error}");
    assert!(!output.stdout.is_empty());
    let output = analyze(file.path(), &["--otlp", "ftp://nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("tracenet: --otlp"));
}

fn what_is_read_is_not_written() {
    let file = capture(TWO_TURNS);
    let before = std::fs::read(file.path()).expect("the capture");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(file.path(), &link).expect("a link");
    for to in [file.path(), &link] {
        let output = analyze(file.path(), &["--otlp", &format!("file:{}", to.display())]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("would write into what is read"));
    }
    assert!(before == std::fs::read(file.path()).expect("the capture"));
}

/// Trace and span id.
type Ids = BTreeSet<(String, String)>;

/// Our collector's port, behind rotel.
const BEHIND: u16 = 4400;

fn a_real_collector_gets_what_the_file_gets() {
    const STREAMS: u16 = 2_000;
    let segments: Vec<Sent<'_>> = (0..STREAMS)
        .flat_map(|n| {
            TWO_TURNS.iter().map(move |s| (10_000 + n, s.1, s.2, s.3 + u32::from(n) * 9, s.4, s.5, s.6, s.7))
        })
        .collect();
    let file = capture(&segments);
    let wanted: Ids = spans(file.path(), &[], &[])
        .iter()
        .map(|s| (s.text("traceId").to_owned(), s.text("spanId").to_owned()))
        .collect();
    assert_eq!(wanted.len(), 4 * usize::from(STREAMS));
    for port in [collector::GRPC, collector::HTTP] {
        let home = Netns::new("home");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let books = folder.path().join("received");
        let _behind = collector::start(&home, &books, 0, BEHIND);
        let _rotel = collector::start_rotel(&home, BEHIND);
        let mut command = home.command(agent::binary());
        agent::clean_environment(&mut command);
        let url = format!("http://127.0.0.1:{port}");
        let output =
            command.args(["analyze", "--otlp", &url]).arg(file.path()).output().expect("tracenet starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows = wait_for("the spans to arrive at the collector", || {
            let rows = collector::received(&books);
            (rows.len() >= wanted.len()).then_some(rows)
        });
        let id = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let got: Ids = rows.iter().map(|row| (id(row, "trace_id"), id(row, "span_id"))).collect();
        assert_eq!(rows.len(), wanted.len(), "each span once");
        assert!(got == wanted);
    }
}
