//! Spans and metrics reach real collectors, decode with the official definitions, and a dead collector costs only
//! counted spans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use nix::sys::signal::Signal;
use serde_json::Value;
use tracenet_tests::agent::{self, Agent, Story};
use tracenet_tests::collector::{self, GRPC, HTTP};
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::{case, load, wait_for};

const NEEDS: &[Need] = &[Need::Root, Need::Bpf, Need::Venv];
/// Our collector behind rotel.
const BEHIND: u16 = 4400;
const CONNECTIONS: u64 = 6;
const TURNS: u64 = 8;

fn main() -> ExitCode {
    harness::main(vec![
        case!(spans_and_metrics_arrive_through_rotel_over_grpc, NEEDS),
        case!(spans_and_metrics_arrive_through_rotel_over_http, NEEDS),
        case!(the_otel_variables_name_the_collector, NEEDS),
        case!(a_file_gets_otlp_json_lines, NEEDS),
        case!(a_collector_killed_and_restarted_loses_only_counted_spans_over_grpc, NEEDS),
        case!(a_collector_killed_and_restarted_loses_only_counted_spans_over_http, NEEDS),
        case!(a_dead_collector_costs_only_counted_spans, NEEDS),
    ])
}

/// A client and a server, and a namespace in which the agent and its collectors meet.
struct Scene {
    pair: Pair,
    home: Netns,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let pair = Pair::new();
        pair.server.lose_incoming("tcp dport 8001 numgen random mod 100 < 5");
        Self { pair, home: Netns::new("home"), folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn books(&self) -> std::path::PathBuf {
        self.folder.path().join("received")
    }

    fn attach(&self, pids: &[u32], options: &[&str], variables: &[(&str, &str)]) -> Agent {
        let mut command = self.home.command(agent::binary());
        agent::clean_environment(&mut command);
        command.envs(variables.iter().copied());
        Agent::attach_by(command, pids, options)
    }

    /// Attaches to both ends, plays, and returns the story and the two pids.
    fn play(&self, options: &[&str], variables: &[(&str, &str)]) -> (Story, u32, u32) {
        let address = format!("{}:8001", Pair::SERVER);
        let server = load::serve(&self.pair.server, &address);
        let mut client = load::client(&self.pair.client, &address, CONNECTIONS, TURNS, (2_000, 5_000), 11);
        let mut all = vec!["-e", "trace=none"];
        all.extend(options);
        let agent = self.attach(&[client.pid(), server.pid()], &all, variables);
        client.say("go");
        load::books(&client.json(), "local");
        self.pair.settle();
        (agent.stop(), client.pid(), server.pid())
    }
}

/// Spans by span id, each of which may have come twice where a collector died before it answered.
fn spans(rows: &[Value]) -> BTreeMap<String, &Value> {
    rows.iter().filter(|row| row["signal"] == "span").map(|row| (text(row, "span_id"), row)).collect()
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_else(|| panic!("no {name}: {row}")).to_owned()
}

fn nanos(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("no {name}: {row}"))
}

/// Waits until the collector has at least the last span that the agent sent before it ended.
fn wait_for_spans(file: &Path, at_least: usize) -> Vec<Value> {
    wait_for("the spans to arrive at the collector", || {
        let rows = collector::received(file);
        (spans(&rows).len() >= at_least).then_some(rows)
    })
}

/// Everything that telemetry.md promises about the spans of `story`.
fn assert_spans(rows: &[Value], story: &Story, client: u32, server: u32) {
    let spans = spans(rows);
    let named = |name: &str| spans.values().filter(|s| s["name"] == name).copied().collect::<Vec<_>>();
    let connections = named("TCP connection");
    assert_eq!(connections.len() as u64, 2 * CONNECTIONS, "a connection span for each end");
    assert_eq!(named("TCP connect").len() as u64, CONNECTIONS);
    assert_eq!(named("TCP accept wait").len() as u64, CONNECTIONS);
    let turns = named("tcp request");
    assert_eq!(turns.len() as u64, 2 * CONNECTIONS * TURNS, "a span for each turn at each end");

    for span in spans.values() {
        assert!(nanos(span, "start") <= nanos(span, "end"), "negative duration: {span}");
        assert_eq!(text(span, "trace_id").len(), 32);
        let resource = &span["resource"];
        let pid = resource["process.pid"].as_u64().unwrap_or_else(|| panic!("no process.pid: {span}"));
        assert!(pid == u64::from(client) || pid == u64::from(server), "{span}");
        assert_eq!(resource["service.name"], "load", "{span}");
        assert!(resource["process.executable.name"].is_string(), "{span}");
        let parent = text(span, "parent");
        if let Some(parent) = spans.get(&parent) {
            assert_eq!(text(parent, "trace_id"), text(span, "trace_id"));
            let whole = span["name"] == "TCP connection";
            if whole {
                assert_eq!(
                    parent["name"], "TCP connection",
                    "the server's is a child of the client's: {span}"
                );
                assert_ne!(parent["resource"], *resource, "{span}");
            } else if parent["name"] == "TCP connection" {
                assert_eq!(parent["resource"], *resource, "parent and child are of one process: {span}");
            } else {
                // The edge from service to service: the client's request is the parent of the server's.
                assert_eq!(
                    (&parent["kind"], &span["kind"]),
                    (&Value::from("CLIENT"), &Value::from("SERVER"))
                );
                assert_eq!(
                    (&parent["name"], &span["name"]),
                    (&Value::from("tcp request"), &Value::from("tcp request"))
                );
                let index = "tracenet.turn.index";
                assert_eq!(parent["attributes"][index], span["attributes"][index], "{span} in {parent}");
            }
            // The server closes its end after the client has closed its own.
            let until = if whole { nanos(span, "end") } else { nanos(parent, "end") };
            assert!(
                nanos(parent, "start") <= nanos(span, "start") && nanos(span, "end") <= until,
                "a child outside of its parent: {span} in {parent}"
            );
        } else {
            assert_eq!(span["name"], "TCP connection", "only connections have no parent here: {span}");
        }
        for event in span["events"].as_array().into_iter().flatten() {
            let time = nanos(event, "time");
            assert!(
                nanos(span, "start") <= time && time <= nanos(span, "end"),
                "event outside of its span: {span}"
            );
        }
    }
    for turn in &turns {
        let kind = if turn["resource"]["process.pid"] == client { "CLIENT" } else { "SERVER" };
        assert_eq!(turn["kind"], kind, "{turn}");
    }
    for span in named("TCP connect").iter().chain(&named("TCP accept wait")).chain(&connections) {
        assert_eq!(span["kind"], "INTERNAL", "{span}");
        assert_eq!(span["attributes"]["network.transport"], "tcp", "{span}");
    }

    // The summary and the spans name the same traces, and both ends of a connection are in one.
    let from_summary: BTreeSet<&str> =
        story.summary.connections.iter().map(|c| c.trace_id.as_str()).collect();
    let from_spans: BTreeSet<String> = connections.iter().map(|s| text(s, "trace_id")).collect();
    assert_eq!(from_spans.iter().map(String::as_str).collect::<BTreeSet<_>>(), from_summary);
    assert_eq!(from_spans.len() as u64, CONNECTIONS, "two ends, one trace");

    // Retransmissions are events of the spans that own them.
    let told: u64 = story.summary.connections.iter().map(|c| c.retransmits.total).sum();
    let events: usize = spans
        .values()
        .flat_map(|s| s["events"].as_array().into_iter().flatten())
        .filter(|e| e["name"] == "tracenet.retransmit")
        .count();
    assert_eq!(events > 0, told > 0, "{told} retransmits in the summary, {events} events");
}

fn assert_metrics(rows: &[Value], story: &Story) {
    let metrics: Vec<&Value> = rows.iter().filter(|row| row["signal"] == "metric").collect();
    let last = |name: &str| {
        // Cumulative: per resource and attributes the latest point holds the sum.
        let mut latest: BTreeMap<String, (u64, f64, f64)> = BTreeMap::new();
        for metric in metrics.iter().filter(|m| m["name"] == name) {
            assert_eq!(metric["temporality"], 2, "cumulative: {metric}");
            for point in metric["points"].as_array().into_iter().flatten() {
                let key = format!("{} {}", metric["resource"], point["attributes"]);
                let value = point["value"].as_f64().unwrap_or(0.0);
                let row = (nanos(point, "time"), value, point["count"].as_f64().unwrap_or(0.0));
                let entry = latest.entry(key).or_insert(row);
                if row.0 >= entry.0 {
                    *entry = row;
                }
            }
        }
        (latest.values().map(|r| r.1).sum::<f64>(), latest.values().map(|r| r.2).sum::<f64>())
    };
    assert_eq!(last("tracenet.tcp.connections").0, 2.0 * CONNECTIONS as f64);
    assert_eq!(last("tracenet.tcp.connection.duration").1, 2.0 * CONNECTIONS as f64);
    assert_eq!(last("tracenet.turn.duration").1, (2 * CONNECTIONS * TURNS) as f64);
    let retransmits: u64 = story.summary.connections.iter().map(|c| c.retransmits.total).sum();
    assert_eq!(last("tracenet.tcp.retransmits").0, retransmits as f64);
    assert_eq!(last("tracenet.agent.events.lost").0, 0.0);
    for metric in &metrics {
        let name = text(metric, "name");
        let unit = metric["unit"].as_str().unwrap_or("");
        if name.ends_with(".duration") {
            assert_eq!(unit, "s", "{metric}");
        }
        for point in metric["points"].as_array().into_iter().flatten() {
            for forbidden in
                ["client.port", "network.peer.address", "network.peer.port", "tracenet.connection.id"]
            {
                assert!(
                    point["attributes"][forbidden].is_null(),
                    "{forbidden} is never a metric attribute: {metric}"
                );
            }
        }
    }
}

fn through_rotel(url: &str) {
    let scene = Scene::new();
    let _behind = collector::start(&scene.home, &scene.books(), 0, BEHIND);
    let _rotel = collector::start_rotel(&scene.home, BEHIND);
    let (story, client, server) = scene.play(&["--otlp", url], &[]);
    assert_eq!(story.summary.lost.export, 0, "{}", story.stderr);
    let expected = 4 * CONNECTIONS + 2 * CONNECTIONS * TURNS;
    let rows = wait_for_spans(&scene.books(), usize::try_from(expected).expect("small"));
    assert_spans(&rows, &story, client, server);
    let rows = wait_for("the last metrics", || {
        let rows = collector::received(&scene.books());
        rows.iter().any(|r| r["name"] == "tracenet.turn.duration").then_some(rows)
    });
    assert_metrics(&rows, &story);
}

fn spans_and_metrics_arrive_through_rotel_over_grpc() {
    through_rotel(&format!("http://127.0.0.1:{GRPC}"));
}

fn spans_and_metrics_arrive_through_rotel_over_http() {
    through_rotel(&format!("http://127.0.0.1:{HTTP}"));
}

fn the_otel_variables_name_the_collector() {
    for (port, protocol) in [(GRPC, "grpc"), (HTTP, "http/protobuf")] {
        let scene = Scene::new();
        let _collector = collector::start(&scene.home, &scene.books(), GRPC, HTTP);
        let url = format!("http://127.0.0.1:{port}");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ];
        let (story, client, server) = scene.play(&[], &variables);
        assert_eq!(story.summary.lost.export, 0, "{}", story.stderr);
        // The agent had its answers before it ended, so everything is there.
        assert_spans(&collector::received(&scene.books()), &story, client, server);
    }
}

fn a_file_gets_otlp_json_lines() {
    let scene = Scene::new();
    let file = scene.folder.path().join("otlp.jsonl");
    let (story, ..) = scene.play(&["--otlp", &format!("file:{}", file.display())], &[]);
    let lines = std::fs::read_to_string(&file).expect("the file exists");
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    let mut metrics = 0;
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let (spans, other) = (row["resourceSpans"].as_array(), row["resourceMetrics"].as_array());
        assert!(spans.is_some() || other.is_some(), "an export request of OTLP: {line}");
        metrics += other.map_or(0, Vec::len);
        let scopes =
            spans.into_iter().flatten().flat_map(|r| r["scopeSpans"].as_array().into_iter().flatten());
        for span in scopes.flat_map(|s| s["spans"].as_array().into_iter().flatten()) {
            assert_eq!(span["traceId"].as_str().map(str::len), Some(32), "ids are hexadecimal: {span}");
            assert!(span["startTimeUnixNano"].is_string(), "64-bit numbers are strings: {span}");
            *names.entry(text(span, "name")).or_default() += 1;
        }
    }
    assert_eq!(names["TCP connection"], 2 * CONNECTIONS);
    assert_eq!(names["tcp request"], 2 * CONNECTIONS * TURNS);
    assert!(metrics > 0);
    assert_eq!(story.summary.lost.export, 0);
}

/// Plays in three rounds; the collector is killed after the first and comes back before the third.
fn killed_and_restarted(url: &str) {
    let scene = Scene::new();
    let address = format!("{}:8002", Pair::SERVER);
    let _server = load::serve(&scene.pair.server, &address);
    let mut clients: Vec<_> =
        (0..3).map(|seed| load::client(&scene.pair.client, &address, 10, 20, (500, 500), seed)).collect();
    let pids: Vec<u32> = clients.iter().map(|c| c.pid()).collect();
    let mut first = collector::start(&scene.home, &scene.books(), GRPC, HTTP);
    let agent = scene.attach(&pids, &["-e", "trace=none", "--otlp", url], &[]);

    let mut play = |n: usize| {
        let client = &mut clients[n];
        client.say("go");
        load::books(&client.json(), "local");
        scene.pair.settle();
    };
    play(0);
    wait_for("the first spans", || (!spans(&collector::received(&scene.books())).is_empty()).then_some(()));
    first.signal(Signal::SIGKILL);
    first.wait();
    play(1);
    let _second = collector::start(&scene.home, &scene.books(), GRPC, HTTP);
    play(2);
    let story = agent.stop();

    assert_eq!(story.summary.connections.len(), 30, "the data path is unharmed");
    assert!(story.summary.connections.iter().all(|c| c.turns == 20 && !c.incomplete));
    assert_eq!((story.summary.lost.ringbuf, story.summary.lost.queue), (0, 0));
    let rows = collector::received(&scene.books());
    let arrived = spans(&rows).len() as u64;
    let made = 30 * (2 + 20);
    println!("{arrived} of {made} spans arrived, {} counted as lost", story.summary.lost.export);
    assert!(arrived + story.summary.lost.export >= made, "{arrived} + {:?}", story.summary.lost);
    // The queue holds far more than one short outage makes.
    assert_eq!(arrived, made, "{}", story.stderr);
}

fn a_collector_killed_and_restarted_loses_only_counted_spans_over_grpc() {
    killed_and_restarted(&format!("http://127.0.0.1:{GRPC}"));
}

fn a_collector_killed_and_restarted_loses_only_counted_spans_over_http() {
    killed_and_restarted(&format!("http://127.0.0.1:{HTTP}"));
}

fn a_dead_collector_costs_only_counted_spans() {
    let scene = Scene::new();
    // Nobody listens at either port.
    let (story, ..) = scene.play(&["--otlp", &format!("http://127.0.0.1:{GRPC}")], &[]);
    let summary = &story.summary;
    assert_eq!(summary.connections.len() as u64, 2 * CONNECTIONS);
    assert!(summary.connections.iter().all(|c| c.turns == TURNS && !c.incomplete));
    // Every span is counted; points of metrics may be among them.
    assert!(summary.lost.export >= 4 * CONNECTIONS + 2 * CONNECTIONS * TURNS, "{:?}", summary.lost);
    assert_eq!((summary.lost.ringbuf, summary.lost.queue, summary.lost.capture), (0, 0, 0));
}
