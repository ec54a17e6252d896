//! Facts by hand, and readers of what comes out.
#![allow(dead_code, missing_docs, reason = "each test uses its part")]

pub mod certificates;
pub mod collector;

use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tracenet_core::fact::{
    CloseReason, ConnSummary, Fact, FactKind, RetransmitTotals, RttSummary, TraceIdSource, Turn, Who,
};
use tracenet_core::key::{ConnId, NetnsCookie, ProcessKey, Role, Transport, Tuple};
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};
use tracenet_otel::{ProcessIdentity, SpanItem, Worth};

pub const MS: u64 = 1_000_000;
pub const CLOCK: ClockOffset = ClockOffset { wall_minus_mono_ns: 1_700_000_000_000_000_000 };

pub fn tuple(role: Role) -> Tuple {
    let client: SocketAddr = "10.0.0.1:53440".parse().unwrap();
    let server: SocketAddr = "10.0.0.2:5432".parse().unwrap();
    let t = Tuple { transport: Transport::Tcp, local: client, remote: server };
    if role == Role::Client { t } else { t.reversed() }
}

pub fn who(tgid: u32) -> Who {
    Who { key: ProcessKey { tgid, start_ns: 1 }, tid: tgid, comm: "api".into() }
}

pub fn identity(key: ProcessKey) -> ProcessIdentity {
    ProcessIdentity {
        pid: key.tgid,
        executable_name: format!("exe{}", key.tgid),
        ..ProcessIdentity::default()
    }
}

pub fn fact(ms: u64, tgid: u32, conn: u32, kind: FactKind) -> Fact {
    Fact { t: MonoNs(ms * MS), who: Some(who(tgid)), conn: Some(ConnId(conn)), kind }
}

/// A turn of 10 ms: request 1 ms, wait 6 ms, response 3 ms.
pub fn turn(role: Role, index: u32, start_ms: u64) -> Turn {
    Turn {
        index,
        role,
        start: MonoNs(start_ms * MS),
        request_end: MonoNs((start_ms + 1) * MS),
        response_start: MonoNs((start_ms + 7) * MS),
        end: MonoNs((start_ms + 10) * MS),
        request_bytes: 31,
        response_bytes: 1200,
        retransmits: 0,
        drops: 0,
        incomplete: false,
        waterfall: None,
        p50: None,
        sampling: None,
        observation: None,
        request: None,
        tuple: tuple(role),
        trace_id: [7; 16],
        trace_id_source: TraceIdSource::IsnPair,
    }
}

/// A connection from 100 ms to 900 ms.
pub fn summary(role: Role, conn: u32, tgid: u32) -> ConnSummary {
    let client = role == Role::Client;
    ConnSummary {
        id: ConnId(conn),
        cookie: 5,
        owner: Some(who(tgid)),
        netns: NetnsCookie(1),
        netns_inum: 4_026_531_840,
        tuple: tuple(role),
        role,
        opened_before: false,
        start: MonoNs(100 * MS),
        end: MonoNs(900 * MS),
        bytes_sent: 31,
        bytes_received: 1200,
        bytes_sent_before: 0,
        bytes_received_before: 0,
        turns: 1,
        connect_start: client.then_some(MonoNs(100 * MS)),
        connect: client.then_some(DurationNs(2 * MS)),
        established: Some(MonoNs(102 * MS)),
        accept_wait: (!client).then_some(DurationNs(5 * MS)),
        rtt: Some(RttSummary {
            min: DurationNs(MS),
            p50: DurationNs(2 * MS),
            p99: DurationNs(3 * MS),
            max: DurationNs(3 * MS),
            samples: 9,
        }),
        retransmits: RetransmitTotals { total: 1, timeout: 1, ..RetransmitTotals::default() },
        drops: Vec::new(),
        peer_drops: Vec::new(),
        zero_window_stalls: 0,
        close: CloseReason::Fin,
        err: 0,
        tcp_info: None,
        packets: (10, 11),
        wire: Default::default(),
        trace_id: [7; 16],
        trace_id_source: TraceIdSource::IsnPair,
        incomplete: false,
        observation: None,
    }
}

pub fn string<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

pub fn int(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match value(attributes, key)? {
        Value::IntValue(n) => Some(*n),
        other => panic!("{key} is {other:?}"),
    }
}

pub fn double(attributes: &[KeyValue], key: &str) -> Option<f64> {
    match value(attributes, key)? {
        Value::DoubleValue(n) => Some(*n),
        other => panic!("{key} is {other:?}"),
    }
}

pub fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let mut all = attributes.iter().filter(|a| a.key == key);
    let first = all.next()?;
    assert!(all.next().is_none(), "{key} is there twice");
    first.value.as_ref()?.value.as_ref()
}

/// A span of some `bytes` encoded bytes, told apart by `number`.
pub fn item(number: u64, worth: Worth, bytes: usize) -> SpanItem {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: "x".repeat(bytes.saturating_sub(40)),
        start_time_unix_nano: number,
        end_time_unix_nano: number,
        ..Span::default()
    };
    SpanItem { resource: Arc::new(Resource::default()), span, worth }
}
