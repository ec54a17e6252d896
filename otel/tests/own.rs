//! What tracenet tells of itself: its exporter, its CPU time, its memory.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::collector::{Grpc, Http, OK};
use common::*;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use tracenet_core::time::MonoNs;
use tracenet_otel::prometheus::Format;
use tracenet_otel::{ExportOptions, Exporter, SpoolOptions, Telemetry, Worth};

const LONG: Duration = Duration::from_secs(20);

fn options(url: &str, protocol: &'static str) -> ExportOptions {
    let env = |name: &str| (name == "OTEL_EXPORTER_OTLP_PROTOCOL").then(|| protocol.to_owned());
    ExportOptions::from_flag_and_env(Some(url), env).unwrap().unwrap()
}

fn push(exporter: &Exporter, spans: u64) {
    for number in 0..spans {
        exporter.sink().try_push(item(number, Worth::Turn, 10_000));
    }
}

/// Waits until the exporter has said so.
fn wait(until: impl Fn() -> bool) {
    let late = Instant::now() + LONG;
    while !until() {
        assert!(Instant::now() < late, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A sample of the agent's own.
fn sample(page: &str, name: &str, labels: &str) -> f64 {
    let series = format!("{name}{{{labels}service_name=\"tracenet\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(series.as_str()));
    line.unwrap_or_else(|| panic!("no {series}in {page}")).parse().unwrap()
}

#[test]
fn an_exporter_counts_what_it_did_by_the_names_of_opentelemetry() {
    let collector = Grpc::rejecting(3);
    let mut options = options(&collector.url(), "grpc");
    options.queue_bytes = 2_000_000;
    let exporter = Exporter::start(&options).unwrap();
    let mut telemetry = Telemetry::new(exporter.sink(), &options, None, MonoNs(0));
    let exposition = telemetry.expose();
    push(&exporter, 10);
    wait(|| exporter.sink().losses().failed_spans == 3);
    telemetry.own(Duration::from_millis(1500), 10 << 20);
    telemetry.tick(MonoNs(60_000 * MS), CLOCK);
    let page = exposition.render(Format::Text);
    for (name, labels, value) in [
        ("otel_sdk_exporter_span_exported_total", "", 7.0),
        ("otel_sdk_exporter_span_exported_total", "error_type=\"rejected\",", 3.0),
        ("otel_sdk_exporter_span_exported_total", "error_type=\"refused\",", 0.0),
        ("otel_sdk_exporter_span_inflight", "", 0.0),
        ("otel_sdk_processor_span_processed_total", "", 10.0),
        ("otel_sdk_processor_span_processed_total", "error_type=\"queue_full\",", 0.0),
        ("otel_sdk_processor_span_queue_size", "", 0.0),
        ("process_cpu_time_seconds_total", "", 1.5),
        ("process_memory_usage_bytes", "", 10_485_760.0),
        ("tracenet_agent_spool_spans", "", 0.0),
        ("tracenet_agent_endpoint_switches_total", "", 0.0),
    ] {
        assert_eq!(sample(&page, name, labels), value, "{name} {labels}");
    }
    let capacity = sample(&page, "otel_sdk_processor_span_queue_capacity", "");
    assert!(
        (180.0..=200.0).contains(&capacity),
        "2 MB have room for {capacity} of 10,000 bytes and a little"
    );

    // The points of that were exported, which the next ones tell.
    wait(|| exporter.sink().metrics_settled());
    telemetry.tick(MonoNs(120_000 * MS), CLOCK);
    let exported =
        sample(&exposition.render(Format::Text), "otel_sdk_exporter_metric_data_point_exported_total", "");
    let report = exporter.shutdown(LONG);
    assert!(exported > 10.0 && (exported as u64) < report.sent_points);
    collector.store.look(|a| {
        let last = a.metrics.last().unwrap();
        let metrics = last.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
        let metrics: Vec<_> = metrics.collect();
        for (name, unit, is_monotonic) in [
            ("otel.sdk.exporter.span.exported", "{span}", true),
            ("otel.sdk.exporter.span.inflight", "{span}", false),
            ("otel.sdk.exporter.metric_data_point.exported", "{data_point}", true),
            ("otel.sdk.processor.span.queue.size", "{span}", false),
            ("otel.sdk.processor.span.queue.capacity", "{span}", false),
            ("process.cpu.time", "s", true),
            ("process.memory.usage", "By", false),
        ] {
            let metric = metrics.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("no {name}"));
            let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
            assert_eq!((metric.unit.as_str(), sum.is_monotonic), (unit, is_monotonic), "{name}");
        }
        let cpu = metrics.iter().find(|m| m.name == "process.cpu.time").unwrap();
        let Some(Data::Sum(sum)) = &cpu.data else { panic!("{cpu:?}") };
        assert_eq!(sum.data_points[0].value, Some(Value::AsDouble(1.5)));
    });
}

#[test]
fn what_is_shed_waits_or_is_on_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let mut collector = Grpc::start();
    collector.kill();
    let mut options = options(&collector.url(), "grpc");
    options.metrics = None;
    options.queue_bytes = 2_000_000;
    options.spool = Some(SpoolOptions { directory: spool.clone(), bytes: 64 << 20 });
    let exporter = Exporter::start(&options).unwrap();
    let mut telemetry = Telemetry::new(exporter.sink(), &options, None, MonoNs(0));
    let exposition = telemetry.expose();
    push(&exporter, 300);
    let shed = exporter.sink().losses().spans();
    assert!(shed >= 100);
    let mut at = 60_000;
    let mut page = || {
        telemetry.tick(MonoNs(at * MS), CLOCK);
        at += 60_000;
        exposition.render(Format::Text)
    };
    // The file is there before its spans have left the queue.
    let late = Instant::now() + LONG;
    loop {
        let page = page();
        if sample(&page, "tracenet_agent_spool_spans", "") > 0.0
            && sample(&page, "otel_sdk_exporter_span_inflight", "") == 0.0
        {
            break;
        }
        assert!(Instant::now() < late, "nothing went into the spool");
    }
    push(&exporter, 20);
    let page = page();
    assert_eq!(
        sample(&page, "otel_sdk_processor_span_processed_total", "error_type=\"queue_full\","),
        shed as f64
    );
    // The exporter may have begun before all were pushed: some of the first wait like the last then.
    let waits = sample(&page, "otel_sdk_processor_span_queue_size", "");
    let on_disk = sample(&page, "tracenet_agent_spool_spans", "");
    assert!(waits >= 20.0 && on_disk > 0.0, "{waits}, {on_disk}");
    assert_eq!(waits + on_disk, (320 - shed) as f64);
    assert!(sample(&page, "tracenet_agent_spool_usage_bytes", "") > 50_000.0);
    assert_eq!(exporter.shutdown(Duration::from_millis(300)).spooled_spans, 320 - shed);
}

#[test]
fn sums_go_on_where_another_exporter_takes_over() {
    let collector = Http::start(|_, _| OK);
    let options = options(&collector.url(), "http/protobuf");
    let mut exporter = Exporter::start(&options).unwrap();
    let mut telemetry = Telemetry::new(exporter.sink(), &options, None, MonoNs(0));
    let exposition = telemetry.expose();
    for round in 1..4 {
        push(&exporter, 10);
        let next = Exporter::start(&options).unwrap();
        telemetry.redirect(next.sink(), &options, MonoNs(round * 60_000 * MS));
        let before = std::mem::replace(&mut exporter, next);
        // The one before still has these to send.
        assert_eq!(before.shutdown(LONG).sent_spans, 10);
        telemetry.tick(MonoNs(round * 60_000 * MS), CLOCK);
        let page = exposition.render(Format::Text);
        assert_eq!(sample(&page, "otel_sdk_exporter_span_exported_total", ""), (round * 10) as f64);
    }
    exporter.shutdown(LONG);
}
