//! Spans on their way to collectors that work, refuse, die and come back: every one arrives or is counted.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::collector::{Grpc, Http, OK};
use common::*;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
};
use tracenet_core::fact::FactKind;
use tracenet_core::key::Role;
use tracenet_core::time::MonoNs;
use tracenet_otel::{Error, ExportOptions, Exporter, Protocol, Telemetry, Worth};

const LONG: Duration = Duration::from_secs(20);

fn options(url: &str, protocol: Protocol, more: &[(&str, &str)]) -> ExportOptions {
    let protocol = match protocol {
        Protocol::Grpc => "grpc",
        Protocol::HttpProtobuf => "http/protobuf",
    };
    let env = |name: &str| {
        let mut all = more.iter().copied().chain([("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        all.find(|(k, _)| *k == name).map(|(_, v)| v.to_owned())
    };
    ExportOptions::from_flag_and_env(Some(url), env).unwrap().unwrap()
}

fn grpc(collector: &Grpc) -> ExportOptions {
    options(&collector.url(), Protocol::Grpc, &[])
}

fn http(collector: &Http) -> ExportOptions {
    options(&collector.url(), Protocol::HttpProtobuf, &[])
}

/// Metrics with one point.
fn point() -> Vec<ResourceMetrics> {
    let data = metric::Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default()] });
    let metrics = vec![Metric { name: "m".into(), data: Some(data), ..Metric::default() }];
    vec![ResourceMetrics {
        scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    }]
}

fn push(exporter: &Exporter, numbers: std::ops::Range<u64>) {
    let sink = exporter.sink();
    for number in numbers {
        assert!(sink.try_push(item(number, Worth::Turn, 300)));
    }
}

#[test]
fn a_story_arrives_over_grpc_and_over_http_the_same() {
    story_arrives("gzip");
    story_arrives("zstd");
}

fn story_arrives(compression: &str) {
    let (grpc_end, http_end) = (Grpc::start(), Http::start(|_, _| OK));
    let headers =
        [("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc"), ("OTEL_EXPORTER_OTLP_COMPRESSION", compression)];
    let stores = [grpc_end.store.clone(), http_end.store.clone()];
    for options in [
        options(&grpc_end.url(), Protocol::Grpc, &headers),
        options(&http_end.url(), Protocol::HttpProtobuf, &headers),
    ] {
        let exporter = Exporter::start(&options).unwrap();
        let mut telemetry = Telemetry::new(exporter.sink(), &options, Some("node1".into()), MonoNs(0));
        for fact in [
            fact(200, 1, 1, FactKind::Turn(Box::new(turn(Role::Client, 0, 190)))),
            fact(210, 2, 2, FactKind::Turn(Box::new(turn(Role::Server, 0, 192)))),
            fact(900, 1, 1, FactKind::Closed(Box::new(summary(Role::Client, 1, 1)))),
            fact(900, 2, 2, FactKind::Closed(Box::new(summary(Role::Server, 2, 2)))),
        ] {
            telemetry.on(&fact, CLOCK, &identity);
        }
        telemetry.finish(MonoNs(1000 * MS), CLOCK);
        let report = exporter.shutdown(LONG);
        assert_eq!((report.sent_spans, report.losses.spans(), report.losses.failed_points), (6, 0, 0));
        assert!(report.sent_points > 10);
    }
    for store in &stores {
        store.look(|a| {
            assert!(a.headers.iter().any(|h| h == "x-token: abc"), "{:?}", a.headers);
            let resources: usize = a.traces.iter().map(|r| r.resource_spans.len()).sum();
            assert_eq!(resources, 2, "one per process");
        });
    }
    let coding = [format!("grpc-encoding: {compression}"), format!("content-encoding: {compression}")];
    for (store, coding) in stores.iter().zip(coding) {
        store.look(|a| assert!(a.headers.contains(&coding), "{:?}", a.headers));
    }
    let [one, other] = &stores;
    one.look(|a| other.look(|b| assert!(a.traces == b.traces && a.metrics == b.metrics)));
}

#[test]
fn a_collector_killed_and_restarted_gets_every_span() {
    let mut collector = Grpc::start();
    let exporter = Exporter::start(&grpc(&collector)).unwrap();
    push(&exporter, 0..1000);
    collector.store.wait(|a| a.numbers().len() == 1000);
    collector.kill();
    push(&exporter, 1000..5000);
    exporter.sink().set_metrics(point());
    collector.restart();
    push(&exporter, 5000..6000);
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.spans(), report.sent_points), (6000, 0, 1));
    let mut numbers = collector.store.look(|a| a.numbers());
    numbers.dedup();
    assert_eq!(numbers, (0..6000).collect::<Vec<_>>());
}

#[test]
fn a_collector_that_dies_within_a_request_gets_it_again() {
    // First cut off, then told to wait, then taken.
    let collector = Http::start(|request, _| match request {
        0 => "",
        1 => "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
        2 => "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
        _ => OK,
    });
    let exporter = Exporter::start(&http(&collector)).unwrap();
    push(&exporter, 0..10);
    let begun = Instant::now();
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.retries, report.losses.spans()), (10, 3, 0));
    assert!(begun.elapsed() >= Duration::from_secs(1), "Retry-After is obeyed");
    assert_eq!(collector.store.look(|a| a.numbers()), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_dead_collector_costs_memory_up_to_the_cap_and_the_least_valuable_spans() {
    let mut collector = Grpc::start();
    collector.kill();
    let mut options = grpc(&collector);
    options.queue_bytes = 2_000_000;
    let exporter = Exporter::start(&options).unwrap();
    let sink = exporter.sink();
    let worths = [Worth::Error, Worth::Connection, Worth::Turn, Worth::Syscall];
    for (i, worth) in worths.iter().enumerate() {
        for number in 0..100 {
            sink.try_push(item(i as u64 * 100 + number, *worth, 10_000));
        }
    }
    // 200 of 10,000 bytes fit, less what each is beside its name: errors and connections; all that is worth less makes room or isn't taken.
    for number in 400..450 {
        assert!(sink.try_push(item(number, Worth::Error, 10_000)));
    }
    let shed = sink.losses().shed;
    let held = 450 - shed.iter().sum::<u64>();
    assert!((190..=200).contains(&held), "{shed:?}");
    assert_eq!((shed[Worth::Syscall as usize], shed[Worth::Turn as usize]), (100, 100));
    assert_eq!(shed[Worth::Error as usize], 0);
    sink.set_metrics(point());
    let begun = Instant::now();
    let report = exporter.shutdown(Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(report.sent_spans, 0);
    assert_eq!(report.losses.spans(), 450, "every span is accounted for");
    assert_eq!(report.losses.failed_points, 1);
    assert!(!sink.try_push(item(1, Worth::Error, 10)), "after the end nothing is taken, and it is counted");
    assert_eq!(sink.losses().spans(), 451);
}

#[test]
fn a_collector_that_hangs_does_not_hold_the_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let exporter = Exporter::start(&options(&url, protocol, &[])).unwrap();
        push(&exporter, 0..10);
        let begun = Instant::now();
        let report = exporter.shutdown(Duration::from_millis(200));
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!((report.sent_spans, report.losses.failed_spans), (0, 10));
    }
}

#[test]
fn what_a_collector_refuses_is_counted() {
    let collector = Grpc::rejecting(3);
    let exporter = Exporter::start(&grpc(&collector)).unwrap();
    push(&exporter, 0..10);
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.failed_spans), (7, 3));

    let collector = Http::start(|_, _| "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
    let exporter = Exporter::start(&http(&collector)).unwrap();
    push(&exporter, 0..10);
    exporter.sink().set_metrics(point());
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.failed_spans, report.retries), (0, 10, 0));
    assert_eq!((report.sent_points, report.losses.failed_points), (0, 1));
}

#[test]
fn a_request_that_is_too_large_is_cut() {
    let collector = Http::start(|_, spans| {
        if spans > 30 { "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n" } else { OK }
    });
    let exporter = Exporter::start(&http(&collector)).unwrap();
    push(&exporter, 0..1000);
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.spans()), (1000, 0));
    assert_eq!(collector.store.look(|a| a.numbers()), (0..1000).collect::<Vec<_>>());
}

#[test]
fn no_request_is_larger_than_collectors_take() {
    let collector = Grpc::start();
    let exporter = Exporter::start(&grpc(&collector)).unwrap();
    let sink = exporter.sink();
    for number in 0..200 {
        assert!(sink.try_push(item(number, Worth::Turn, 100_000)));
    }
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.spans()), (200, 0));
    collector.store.look(|a| {
        assert!(a.traces.iter().all(|r| prost::Message::encoded_len(r) < 4 << 20));
        assert!(a.traces.len() <= 8, "{} requests for 20 MB", a.traces.len());
    });
}

#[test]
fn a_file_gets_otlp_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    let options = options(&format!("file:{}", path.display()), Protocol::Grpc, &[]);
    let exporter = Exporter::start(&options).unwrap();
    let mut telemetry = Telemetry::new(exporter.sink(), &options, None, MonoNs(0));
    telemetry.on(&fact(200, 1, 1, FactKind::Turn(Box::new(turn(Role::Client, 0, 190)))), CLOCK, &identity);
    telemetry.finish(MonoNs(1000 * MS), CLOCK);
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.spans()), (1, 0));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    let line = |key: &str| text.lines().find(|l| l.contains(key)).unwrap();
    let traces: serde_json::Value = serde_json::from_str(line("resourceSpans")).unwrap();
    let span = &traces["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "07".repeat(16));
    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    assert_eq!(span["kind"], 3, "enums are numbers");
    assert_eq!(span["startTimeUnixNano"], "1700000000190000000", "64-bit integers are strings");
    let metrics: serde_json::Value = serde_json::from_str(line("resourceMetrics")).unwrap();
    assert_eq!(metrics["resourceMetrics"][0]["scopeMetrics"][0]["scope"]["name"], "tracenet");
    // And it reads back as what it was.
    assert!(serde_json::from_str::<ExportTraceServiceRequest>(line("resourceSpans")).is_ok());
    assert!(serde_json::from_str::<ExportMetricsServiceRequest>(line("resourceMetrics")).is_ok());
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_at_once_and_a_full_disk_is_counted() {
    let refused = Exporter::start(&options("file:/proc/no/such", Protocol::Grpc, &[])).unwrap_err();
    assert!(matches!(refused, Error::File { .. }), "{refused}");
    assert!(refused.to_string().contains("/proc/no/such"));

    let exporter = Exporter::start(&options("file:/dev/full", Protocol::Grpc, &[])).unwrap();
    push(&exporter, 0..10);
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.failed_spans), (0, 10));
}

#[test]
fn only_the_wanted_signal_is_sent() {
    let collector = Grpc::start();
    let options = options(&collector.url(), Protocol::Grpc, &[("OTEL_METRICS_EXPORTER", "none")]);
    let exporter = Exporter::start(&options).unwrap();
    assert!(exporter.sink().wants_spans() && !exporter.sink().wants_metrics());
    push(&exporter, 0..1);
    exporter.sink().set_metrics(point());
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.sent_points, report.losses.failed_points), (1, 0, 0));
    collector.store.look(|a| assert!(a.metrics.is_empty()));
}
