//! What scrapers get to see of snapshots of the meter.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::sync::Arc;

use common::*;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram as Histogram, Gauge, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data, number_data_point::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tracenet_core::fact::FactKind;
use tracenet_core::key::Role;
use tracenet_core::time::{DurationNs, MonoNs};
use tracenet_core::waterfall::{Cause, Part, Parts, Waterfall};
use tracenet_otel::prometheus::{BOUNDS, Exposition, Format};
use tracenet_otel::{ExponentialHistogram, ExportOptions, Exporter, Losses, Meter, SpanBuilder, Telemetry};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.into()))
}

fn process(pid: i64, service: &str, metrics: Vec<Metric>) -> ResourceMetrics {
    let attributes = vec![text("service.name", service), attribute("process.pid", Any::IntValue(pid))];
    ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    let description = "What it is.".to_owned();
    Metric { name: name.into(), unit: unit.into(), description, data: Some(data), ..Metric::default() }
}

fn number(value: i64, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint { attributes, value: Some(Value::AsInt(value)), ..NumberDataPoint::default() }
}

fn counter(value: i64) -> Metric {
    let data_points = vec![number(value, vec![text("type", "fast")])];
    let sum = Sum { data_points, is_monotonic: true, aggregation_temporality: CUMULATIVE };
    metric("tracenet.tcp.retransmits", "{segment}", Data::Sum(sum))
}

fn histogram(values: &[f64], exemplars: Vec<Exemplar>) -> Metric {
    let mut histogram = ExponentialHistogram::default();
    values.iter().for_each(|v| histogram.record(*v));
    let mut point = histogram.point(Vec::new(), 1, 2);
    point.exemplars = exemplars;
    let data = Histogram { data_points: vec![point], aggregation_temporality: CUMULATIVE };
    metric("tracenet.turn.duration", "s", Data::ExponentialHistogram(data))
}

fn exemplar(value: f64, trace: u8, time_unix_nano: u64) -> Exemplar {
    Exemplar {
        time_unix_nano,
        trace_id: vec![trace; 16],
        span_id: vec![trace; 8],
        value: Some(exemplar::Value::AsDouble(value)),
        ..Exemplar::default()
    }
}

fn exposition() -> Exposition {
    let attributes = vec![text("service.name", "tracenet"), text("service.version", "1.2.3")];
    Exposition::new(&Resource { attributes, ..Resource::default() })
}

/// The value of the sample that begins so.
fn sample(page: &str, begin: &str) -> f64 {
    let of: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(begin)).collect();
    assert_eq!(of.len(), 1, "{begin}\n{page}");
    of[0].split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn both_formats_are_those_of_their_specifications() {
    let exposition = exposition();
    let gauge = Gauge { data_points: vec![number(7, vec![text("server.port", "80")])] };
    exposition.update(&[process(
        1,
        "web",
        vec![
            counter(3),
            metric("tracenet.tcp.accept_queue.limit", "{connection}", Data::Gauge(gauge)),
            histogram(&[0.5, 0.75, 3.0, 100.0], vec![exemplar(0.75, 0xab, 1_700_000_000_250_000_000)]),
        ],
    )]);
    let open_metrics = exposition.render(Format::OpenMetrics);
    let (head, histogram) = open_metrics.split_once("# HELP tracenet_turn_duration_seconds").unwrap();
    assert_eq!(
        head,
        "# HELP target The agent that was scraped.\n\
         # TYPE target info\n\
         target_info{service_name=\"tracenet\",service_version=\"1.2.3\"} 1\n\
         # HELP tracenet_tcp_accept_queue_limit What it is.\n\
         # TYPE tracenet_tcp_accept_queue_limit gauge\n\
         tracenet_tcp_accept_queue_limit{server_port=\"80\",service_name=\"web\"} 7\n\
         # HELP tracenet_tcp_retransmits What it is.\n\
         # TYPE tracenet_tcp_retransmits counter\n\
         tracenet_tcp_retransmits_total{service_name=\"web\",type=\"fast\"} 3\n"
    );
    let lines: Vec<&str> = histogram.lines().collect();
    assert_eq!(
        lines[1..3],
        ["# TYPE tracenet_turn_duration_seconds histogram", "# UNIT tracenet_turn_duration_seconds seconds"]
    );
    let name = "tracenet_turn_duration_seconds_bucket{service_name=\"web\",le=";
    assert!(lines.contains(&&*format!("{name}\"7.62939453125e-6\"}} 0")));
    assert!(lines.contains(&&*format!("{name}\"0.5\"}} 1")));
    assert!(lines.contains(&&*format!(
        "{name}\"1.0\"}} 2 # {{trace_id=\"{}\",span_id=\"{}\"}} 0.75 1700000000.250",
        "ab".repeat(16),
        "ab".repeat(8)
    )));
    assert!(lines.contains(&&*format!("{name}\"64.0\"}} 3")));
    let end = [
        format!("{name}\"+Inf\"}} 4"),
        "tracenet_turn_duration_seconds_count{service_name=\"web\"} 4".into(),
        "tracenet_turn_duration_seconds_sum{service_name=\"web\"} 104.25".into(),
        "# EOF".into(),
    ];
    assert_eq!(lines[lines.len() - 4..], end);
    assert_eq!(lines.len(), 3 + BOUNDS.len() + 4);

    let text = exposition.render(Format::Text);
    assert!(text.contains("# TYPE tracenet_tcp_retransmits_total counter\n"), "{text}");
    assert!(text.contains("# TYPE target_info gauge\ntarget_info{"));
    assert!(!text.contains("# EOF") && !text.contains("trace_id") && !text.contains("# UNIT"));
    let samples = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(" # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(samples(&text), samples(&open_metrics), "the same series and values in both");
}

#[test]
fn a_workload_is_the_sum_of_its_processes_and_never_shrinks() {
    let exposition = exposition();
    let total =
        |page: &str| sample(page, "tracenet_tcp_retransmits_total{service_name=\"web\",type=\"fast\"} ");
    let web = |pid, n, turns: &[f64]| process(pid, "web", vec![counter(n), histogram(turns, Vec::new())]);
    // Two workers; one ends; one comes with the number of the one that ended; nothing happens; all are gone.
    for (processes, retransmits, turns) in [
        (vec![web(1, 10, &[1.0]), web(2, 5, &[1.0, 3.0])], 15.0, 3.0),
        (vec![web(1, 11, &[1.0])], 16.0, 3.0),
        (vec![web(1, 11, &[1.0]), web(2, 1, &[5.0])], 17.0, 4.0),
        (vec![web(1, 11, &[1.0]), web(2, 1, &[5.0])], 17.0, 4.0),
        (vec![], 17.0, 4.0),
        // Counted anew between two looks.
        (vec![web(1, 2, &[])], 19.0, 4.0),
        (vec![web(1, 1, &[])], 20.0, 4.0),
    ] {
        exposition.update(&processes);
        let page = exposition.render(Format::Text);
        assert_eq!(total(&page), retransmits);
        assert_eq!(sample(&page, "tracenet_turn_duration_seconds_count{service_name=\"web\"} "), turns);
        let bucket = "tracenet_turn_duration_seconds_bucket{service_name=\"web\",le=";
        assert_eq!(sample(&page, &format!("{bucket}\"+Inf\"}} ")), turns);
        assert!(sample(&page, &format!("{bucket}\"4.0\"}} ")) == 3.0);
    }
    // What the process did before it became another program stays with the first.
    exposition.update(&[process(1, "worker", vec![counter(4)])]);
    let page = exposition.render(Format::Text);
    assert_eq!(total(&page), 20.0);
    assert_eq!(sample(&page, "tracenet_tcp_retransmits_total{service_name=\"worker\",type=\"fast\"} "), 3.0);
}

#[test]
fn a_coarser_scale_takes_nothing_from_a_bucket() {
    let exposition = exposition();
    // One octave at the finest scale, then values that no duration has, which make its buckets straddle bounds.
    let mut values = vec![0.3, 0.4, 0.6];
    exposition.update(&[process(1, "web", vec![histogram(&values, Vec::new())])]);
    values.extend([1e-300, 1e300]);
    exposition.update(&[process(1, "web", vec![histogram(&values, Vec::new())])]);
    let page = exposition.render(Format::Text);
    let bucket = "tracenet_turn_duration_seconds_bucket{service_name=\"web\",le=";
    let counts = ["0.25", "0.5", "1.0", "+Inf"].map(|le| sample(&page, &format!("{bucket}\"{le}\"}} ")));
    // Below 0.5 s were two, which is still known; the third, far below, is not told from those near 1 s any more.
    assert_eq!(counts, [1.0, 2.0, 4.0, 5.0]);
}

#[test]
fn series_are_bounded_and_what_does_not_fit_is_added_up() {
    let exposition = exposition();
    let processes: Vec<_> =
        (0..5000).map(|n| process(n, &format!("service-{n}"), vec![counter(1)])).collect();
    exposition.update(&processes);
    exposition.update(&processes);
    let page = exposition.render(Format::Text);
    let samples = page.lines().filter(|line| line.starts_with("tracenet_tcp_retransmits_total"));
    assert_eq!(samples.count(), 1001);
    assert_eq!(sample(&page, "tracenet_tcp_retransmits_total{otel_metric_overflow=\"true\"} "), 4000.0);
    // Workloads that are gone are forgotten after a while, so that others have room.
    for _ in 0..61 {
        exposition.update(&[]);
    }
    exposition.update(&[process(9, "new", vec![counter(2)])]);
    let page = exposition.render(Format::Text);
    assert_eq!(sample(&page, "tracenet_tcp_retransmits_total{service_name=\"new\",type=\"fast\"} "), 2.0);
    assert_eq!(page.lines().filter(|line| line.starts_with("tracenet_tcp_")).count(), 1);
}

#[test]
fn gauges_go_with_their_process() {
    let exposition = exposition();
    let usage = |n| {
        let data_points = vec![number(n, Vec::new())];
        metric("usage", "", Data::Sum(Sum { data_points, is_monotonic: false, ..Sum::default() }))
    };
    let limit = |n| metric("limit", "", Data::Gauge(Gauge { data_points: vec![number(n, Vec::new())] }));
    exposition.update(&[
        process(1, "web", vec![usage(3), limit(-5)]),
        process(2, "web", vec![usage(4), limit(-9)]),
    ]);
    let page = exposition.render(Format::Text);
    assert_eq!(sample(&page, "usage{service_name=\"web\"} "), 7.0);
    assert_eq!(sample(&page, "limit{service_name=\"web\"} "), -5.0);
    exposition.update(&[process(2, "web", vec![usage(4)])]);
    let page = exposition.render(Format::Text);
    assert_eq!(sample(&page, "usage{service_name=\"web\"} "), 4.0);
    assert!(!page.contains("limit"));
}

#[test]
fn exemplars_name_the_spans_that_are_exported() {
    let run = 77;
    let mut meter = Meter::new(Arc::default(), MonoNs(0));
    meter.link_to_spans(run);
    let mut spans = SpanBuilder::new(run);
    let resource = Arc::new(process(1, "api", Vec::new()).resource.unwrap());
    // Of a connection whose trace id both ends know, and of one that has none but this run's.
    let mut unknown = turn(Role::Client, 4, 300);
    unknown.trace_id = [0; 16];
    let mut items = Vec::new();
    for fact in [
        fact(210, 1, 1, FactKind::Turn(Box::new(turn(Role::Client, 0, 200)))),
        fact(310, 1, 2, FactKind::Turn(Box::new(unknown))),
        fact(900, 1, 1, FactKind::Closed(Box::new(summary(Role::Client, 1, 1)))),
    ] {
        meter.on(&fact, Some(&resource));
        items.extend(spans.on(&fact, CLOCK, Some(&resource)));
    }
    items.extend(spans.finish());
    let made: Vec<(Vec<u8>, Vec<u8>)> =
        items.into_iter().map(|item| (item.span.trace_id, item.span.span_id)).collect();
    let mut linked = Vec::new();
    for of_process in meter.snapshot(MonoNs(1000 * MS), CLOCK, &Losses::default(), true) {
        for metric in of_process.scope_metrics.into_iter().flat_map(|s| s.metrics) {
            if let Some(Data::ExponentialHistogram(h)) = metric.data {
                linked.extend(
                    h.data_points.into_iter().flat_map(|p| p.exemplars).map(|e| (metric.name.clone(), e)),
                );
            }
        }
    }
    let names: Vec<&str> = linked.iter().map(|(name, _)| name.as_str()).collect();
    // Both turns took 10 ms: the latest is kept.
    assert_eq!(names, ["tracenet.tcp.connection.duration", "tracenet.turn.duration"]);
    for (name, exemplar) in linked {
        assert!(made.contains(&(exemplar.trace_id, exemplar.span_id)), "{name}");
        assert!(exemplar.time_unix_nano > CLOCK.wall(MonoNs(0)).0);
    }
}

#[test]
fn an_agent_that_exports_nothing_is_scraped_all_the_same() {
    let env = |name: &str| match name {
        "OTEL_RESOURCE_ATTRIBUTES" => Some("k8s.cluster.name=prod".to_owned()),
        _ => None,
    };
    let options = ExportOptions::without_export(env).unwrap();
    let exporter = Exporter::start(&options).unwrap();
    let mut telemetry = Telemetry::new(exporter.sink(), &options, Some("node1".into()), MonoNs(0));
    let exposition = telemetry.expose();
    telemetry.on(&fact(210, 1, 1, FactKind::Turn(Box::new(turn(Role::Client, 0, 200)))), CLOCK, &identity);
    assert!(!exposition.render(Format::Text).contains("tracenet_turn"), "before the interval is over");
    telemetry.tick(MonoNs(20_000 * MS), CLOCK);
    let page = exposition.render(Format::OpenMetrics);
    let labels = "k8s_cluster_name=\"prod\",protocol=\"tcp\",role=\"client\",service_name=\"exe1\"";
    let count = format!("tracenet_turn_duration_seconds_count{{host_name=\"node1\",{labels}}} ");
    assert_eq!(sample(&page, &count), 1.0);
    assert!(page.contains("target_info{") && page.contains("tracenet_agent_events_lost_total{"), "{page}");
    // Of spans that nobody keeps there are no exemplars.
    assert!(!page.contains("trace_id"), "{page}");
    exporter.shutdown(std::time::Duration::from_secs(5));
}

#[test]
fn the_parts_of_turns_add_up_to_their_durations() {
    let of = |times: &[(Part, u64)]| -> Parts {
        times.iter().map(|(part, ms)| (*part, DurationNs(ms * MS))).collect()
    };
    let exposition = exposition();
    let mut meter = Meter::new(Arc::default(), MonoNs(0));
    let resource = Arc::new(process(1, "api", Vec::new()).resource.unwrap());
    for start in [100, 200] {
        let mut turn = turn(Role::Client, 0, start);
        // What came before its first byte is not in its duration.
        turn.waterfall = Some(Box::new(Waterfall {
            start: MonoNs((start - 30) * MS),
            parts: of(&[(Part::Connect, 30), (Part::Network, 4), (Part::Peer, 6)]),
            before: of(&[(Part::Connect, 30)]),
            cause: Cause::Part(Part::Peer),
            evidence: Vec::new(),
            incomplete: false,
        }));
        meter.on(&fact(start + 10, 1, 1, FactKind::Turn(Box::new(turn))), Some(&resource));
    }
    exposition.update(&meter.snapshot(MonoNs(1000 * MS), CLOCK, &Losses::default(), true));
    let page = exposition.render(Format::Text);
    let part = |part: &str| {
        sample(
            &page,
            &format!(
                "tracenet_turn_time_seconds_total{{part=\"{part}\",role=\"client\",service_name=\"api\"}} "
            ),
        )
    };
    assert_eq!((part("network"), part("peer")), (0.008, 0.012));
    assert_eq!(page.matches("tracenet_turn_time_seconds_total{").count(), 2);
    let sum = "tracenet_turn_duration_seconds_sum{protocol=\"tcp\",role=\"client\",service_name=\"api\"} ";
    assert_eq!(sample(&page, sum), 0.02);
}
