//! What metrics a story of facts becomes.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::sync::Arc;

use common::*;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, ResourceMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tracenet_core::drops::Hurt;
use tracenet_core::event::{LossSource, RetransmitCause, SampleReason, Sampling};
use tracenet_core::fact::{CloseReason, DropFact, Fact, FactKind, PeerOwner};
use tracenet_core::key::{Direction, Role, Transport};
use tracenet_core::time::{DurationNs, MonoNs};
use tracenet_otel::{Activity, Losses, Meter};

/// Runs facts of processes 1 and 2 through a meter; their resources are told apart by the PID.
fn metrics(facts: &[Fact], losses: &Losses) -> Vec<ResourceMetrics> {
    let mut meter = Meter::new(Arc::new(resource(0)), MonoNs(0));
    let resources: Vec<Arc<Resource>> = (0..3).map(|pid| Arc::new(resource(pid))).collect();
    for fact in facts {
        let resource = fact.who.as_ref().map(|who| &resources[who.key.tgid as usize]);
        meter.on(fact, resource);
    }
    meter.snapshot(MonoNs(2000 * MS), CLOCK, losses, true)
}

fn resource(dropped_attributes_count: u32) -> Resource {
    Resource { dropped_attributes_count, ..Resource::default() }
}

fn metric<'a>(all: &'a [ResourceMetrics], pid: u32, name: &str) -> &'a Metric {
    let process = all.iter().find(|r| r.resource.as_ref().unwrap().dropped_attributes_count == pid).unwrap();
    process.scope_metrics[0].metrics.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// The points of a sum: attributes as `key=value`, and the number.
fn sums(metric: &Metric) -> Vec<(String, i64)> {
    let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let points = sum.data_points.iter().map(|p| {
        assert!(p.start_time_unix_nano <= p.time_unix_nano && p.start_time_unix_nano > 0);
        let labels: Vec<String> = p
            .attributes
            .iter()
            .map(|a| match value(&p.attributes, &a.key).unwrap() {
                opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(s) => {
                    format!("{}={s}", a.key)
                }
                other => format!("{}={other:?}", a.key),
            })
            .collect();
        let Some(Value::AsInt(n)) = p.value else { panic!("{p:?}") };
        (labels.join(" "), n)
    });
    points.collect()
}

/// Count and sum of the only point of a histogram.
fn histogram(metric: &Metric) -> (u64, f64) {
    assert_eq!(metric.unit, "s");
    let Some(Data::ExponentialHistogram(h)) = &metric.data else { panic!("{metric:?}") };
    assert_eq!(
        (h.data_points.len(), h.aggregation_temporality),
        (1, AggregationTemporality::Cumulative as i32)
    );
    let point = &h.data_points[0];
    let buckets: u64 = point.positive.iter().flat_map(|b| &b.bucket_counts).sum();
    assert_eq!(buckets + point.zero_count, point.count);
    (point.count, point.sum.unwrap())
}

fn retransmit(cause: RetransmitCause, segments: u32) -> FactKind {
    FactKind::Retransmit { cause, seq: 1, seq_end: 2, segments, after: None }
}

fn dropped(at_peer: bool) -> FactKind {
    FactKind::Dropped(Arc::new(DropFact {
        reason: "NETFILTER_DROP".into(),
        location: "nft_do_chain".into(),
        details: Arc::default(),
        transport: Transport::Tcp,
        hurt: Hurt::Receiver,
        victim: PeerOwner { pid: 12, comm: "postgres".into() },
        direction: Direction::In,
        seq: 0,
        payload_len: 1,
        segments: 3,
        ifindex: 0,
        netns_inum: 1,
        at_peer: at_peer.then(|| PeerOwner { pid: 1, comm: "x".into() }),
    }))
}

#[test]
fn facts_become_the_metrics_of_their_process() {
    let opened = |role| FactKind::Opened { tuple: tuple(role), role, before: false };
    let mut refused = summary(Role::Client, 3, 1);
    (refused.established, refused.connect, refused.close, refused.err) =
        (None, None, CloseReason::ResetReceived, 111);
    (refused.bytes_sent, refused.bytes_received) = (0, 0);
    // Of two nobody told.
    let mut closed = summary(Role::Client, 1, 1);
    closed.retransmits.total = 8;
    let all = metrics(
        &[
            fact(100, 1, 1, opened(Role::Client)),
            fact(100, 2, 2, opened(Role::Server)),
            fact(102, 1, 1, FactKind::Established { connect: Some(DurationNs(2 * MS)) }),
            fact(107, 2, 2, FactKind::Accepted { wait: DurationNs(5 * MS) }),
            fact(150, 1, 1, retransmit(RetransmitCause::Timeout, 1)),
            fact(151, 1, 1, retransmit(RetransmitCause::Fast, 4)),
            fact(152, 1, 1, retransmit(RetransmitCause::Fast, 1)),
            fact(153, 1, 1, dropped(true)),
            fact(153, 2, 2, dropped(false)),
            fact(
                154,
                1,
                1,
                FactKind::Reset { direction: Direction::Out, reason: Some("TCP_ABORT_ON_DATA".into()) },
            ),
            fact(210, 1, 1, FactKind::Turn(Box::new(turn(Role::Client, 0, 200)))),
            fact(900, 1, 1, FactKind::Closed(Box::new(closed))),
            fact(900, 1, 3, FactKind::Closed(Box::new(refused))),
        ],
        &Losses::default(),
    );
    let of = |name: &str| sums(metric(&all, 1, name));
    let pair = |k: &str, n| (k.to_owned(), n);
    assert_eq!(
        of("tracenet.tcp.connections"),
        [pair("role=client", 1), pair("role=client error.type=connection_refused", 1)]
    );
    assert_eq!(
        of("tracenet.tcp.retransmits"),
        [pair("type=fast", 5), pair("type=other", 2), pair("type=timeout", 1)]
    );
    assert_eq!(of("tracenet.tcp.resets"), [pair("direction=out cause=TCP_ABORT_ON_DATA", 1)]);
    // The turn counted them, the end does not count them again.
    assert_eq!(
        of("process.network.io"),
        [pair("network.io.direction=receive", 1200), pair("network.io.direction=transmit", 31)]
    );
    assert_eq!(histogram(metric(&all, 1, "tracenet.tcp.handshake.duration")), (1, 0.002));
    assert_eq!(histogram(metric(&all, 1, "tracenet.turn.duration")), (1, 0.010));
    assert_eq!(histogram(metric(&all, 1, "tracenet.tcp.connection.duration")), (2, 1.6));
    assert_eq!(histogram(metric(&all, 2, "tracenet.tcp.accept_queue.wait.duration")), (1, 0.005));
    // Packets, as nft counts them; where it hurt, and only there.
    assert_eq!(
        sums(metric(&all, 2, "tracenet.packet.drops")),
        [pair("reason=NETFILTER_DROP layer=netfilter transport=tcp direction=in", 1)]
    );
    let first = all.iter().find(|r| r.resource.as_ref().unwrap().dropped_attributes_count == 1).unwrap();
    assert!(!first.scope_metrics[0].metrics.iter().any(|m| m.name == "tracenet.packet.drops"));
}

#[test]
fn what_was_before_is_not_this_runs_traffic_and_its_length_is_unknown() {
    let mut s = summary(Role::Client, 1, 1);
    (s.opened_before, s.bytes_sent_before, s.bytes_received_before) = (true, 30, 1000);
    let all = metrics(&[fact(900, 1, 1, FactKind::Closed(Box::new(s)))], &Losses::default());
    let io = sums(metric(&all, 1, "process.network.io"));
    assert_eq!(io.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [200, 1]);
    assert!(!all[0].scope_metrics[0].metrics.iter().any(|m| m.name == "tracenet.tcp.connection.duration"));
}

#[test]
fn losses_are_said_even_when_there_are_none() {
    let lost = Fact {
        t: MonoNs(1),
        who: None,
        conn: None,
        kind: FactKind::Lost { source: LossSource::Ringbuf, what: "sys_exit".into(), count: 7 },
    };
    let losses = Losses { failed_spans: 5, ..Losses::default() };
    let all = metrics(&[lost], &losses);
    assert_eq!(
        sums(metric(&all, 0, "tracenet.agent.events.lost")),
        [("source=export", 5), ("source=pcap", 0), ("source=queue", 0), ("source=ringbuf", 7)]
            .map(|(k, n)| (k.to_owned(), n))
    );
}

#[test]
fn series_are_bounded_and_the_rest_is_one_series() {
    let facts: Vec<Fact> = (0..3000)
        .map(|i| {
            fact(1, 1, 1, FactKind::Reset { direction: Direction::In, reason: Some(format!("R{i}").into()) })
        })
        .collect();
    let all = metrics(&facts, &Losses::default());
    let resets = sums(metric(&all, 1, "tracenet.tcp.resets"));
    assert_eq!(resets.len(), 2001);
    let overflow =
        resets.iter().find(|(labels, _)| labels == "otel.metric.overflow=BoolValue(true)").unwrap();
    assert_eq!(overflow.1, 1000);
    assert_eq!(resets.iter().map(|(_, n)| n).sum::<i64>(), 3000);
}

#[test]
fn a_process_that_is_gone_is_exported_once_more_and_then_forgotten() {
    let mut meter = Meter::new(Arc::default(), MonoNs(0));
    let process = Arc::new(resource(1));
    meter.on(&fact(1, 1, 1, retransmit(RetransmitCause::Fast, 1)), Some(&process));
    meter.on(&fact(2, 1, 1, FactKind::Exited { code: 0 }), Some(&process));
    let none = Losses::default();
    let mut count = |ms: u64, settled| meter.snapshot(MonoNs(ms * MS), CLOCK, &none, settled).len();
    assert_eq!(count(100_000, true), 2, "with the agent's own");
    assert_eq!(count(200_000, false), 2, "the last state has not arrived yet");
    assert_eq!(count(300_000, true), 1);
}

#[test]
fn a_workload_has_what_its_processes_did_and_a_link_to_a_turn_of_it() {
    let mut meter = Meter::new(Arc::new(resource(0)), MonoNs(0));
    meter.link_to_spans(1);
    let one = Arc::new(resource(1));
    let what = Activity {
        sent: 500,
        failed: 2,
        retransmits: vec![(RetransmitCause::Timeout, 3)],
        turns: vec![(Role::Server, vec![(1_000_000, 90), (2_000_000, 10)])],
        rtt_us: (4_000, 4),
        ..Activity::default()
    };
    meter.did(9, &one, MonoNs(10), &what);
    meter.did(9, &one, MonoNs(20), &what);
    let mut example = turn(Role::Server, 0, 100);
    example.sampling = Some(Sampling { reason: SampleReason::Share, share: u32::MAX / 4 });
    meter.example(9, &example, None);
    let all = meter.snapshot(MonoNs(2000 * MS), CLOCK, &Losses::default(), true);

    let io = sums(metric(&all, 1, "process.network.io"));
    assert!(io.contains(&("network.io.direction=transmit".into(), 1_000)), "{io:?}");
    assert_eq!(sums(metric(&all, 1, "tracenet.tcp.retransmits")), [("type=timeout".into(), 6)]);
    let (count, sum) = histogram(metric(&all, 1, "tracenet.turn.duration"));
    assert!(count == 200 && (sum - 0.22).abs() < 1e-9, "{count} {sum}");
    let Some(Data::ExponentialHistogram(h)) = &metric(&all, 1, "tracenet.turn.duration").data else {
        panic!()
    };
    assert_eq!(h.data_points[0].exemplars.len(), 1, "a turn that became a span");
    let (count, sum) = histogram(metric(&all, 1, "tracenet.tcp.rtt"));
    assert!(count == 8 && (sum - 0.008).abs() < 1e-9);
}
