//! What is measured, by name, and the labels of its series.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_semantic_conventions::metric as semconv_metric;

use crate::names::metric;
use crate::value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Instrument {
    Connections,
    ConnectionDuration,
    HandshakeDuration,
    Rtt,
    Retransmits,
    Resets,
    AcceptWait,
    Drops,
    TurnDuration,
    TurnUnanswered,
    Segments,
    SocketErrors,
    DnsQueries,
    TurnTime,
    NetworkIo,
    EventsLost,
    SpansExported,
    SpansInflight,
    PointsExported,
    SpansProcessed,
    QueueSize,
    QueueCapacity,
    SpoolSpans,
    SpoolUsage,
    SpoolErrors,
    EndpointSwitches,
    GovernorSteps,
    Unobserved,
    CpuTime,
    MemoryUsage,
}

impl Instrument {
    /// Name, unit, description.
    pub(super) fn describe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Connections => (
                metric::TCP_CONNECTIONS,
                "{connection}",
                "TCP connections seen to their end, or to tracenet's.",
            ),
            Self::ConnectionDuration => {
                (metric::TCP_CONNECTION_DURATION, "s", "Time from a TCP connection's begin to its end.")
            }
            Self::HandshakeDuration => {
                (metric::TCP_HANDSHAKE_DURATION, "s", "Time from connect to the established state.")
            }
            Self::Rtt => (metric::TCP_RTT, "s", "Round-trip times on the wire, of acknowledged segments."),
            Self::Retransmits => (metric::TCP_RETRANSMITS, "{segment}", "TCP segments sent again."),
            Self::Resets => (metric::TCP_RESETS, "{segment}", "TCP resets sent and received."),
            Self::AcceptWait => (
                metric::TCP_ACCEPT_QUEUE_WAIT_DURATION,
                "s",
                "Time that established connections waited to be accepted.",
            ),
            Self::Drops => (metric::PACKET_DROPS, "{packet}", "Packets that the kernel threw away."),
            Self::TurnDuration => {
                (metric::TURN_DURATION, "s", "Time from a request's first byte to its response's last.")
            }
            Self::TurnUnanswered => {
                (metric::TURN_UNANSWERED, "{turn}", "Requests whose connection ended without an answer.")
            }
            Self::Segments => (metric::TCP_SEGMENTS, "{segment}", "TCP segments sent and received."),
            Self::SocketErrors => (metric::SOCKET_ERRORS, "{call}", "Calls that send or receive and failed."),
            Self::DnsQueries => (metric::DNS_QUERIES, "{query}", "Names asked for by datagrams."),
            Self::TurnTime => (
                metric::TURN_TIME,
                "s",
                "Time of turns by what it was spent on; the parts add up to the turns' durations.",
            ),
            Self::NetworkIo => (
                semconv_metric::PROCESS_NETWORK_IO,
                "By",
                "Bytes that the process wrote to and read from sockets.",
            ),
            Self::EventsLost => {
                (metric::AGENT_EVENTS_LOST, "{event}", "Events and spans that tracenet itself lost.")
            }
            Self::SpansExported => (
                semconv_metric::OTEL_SDK_EXPORTER_SPAN_EXPORTED,
                "{span}",
                "Spans that a collector took; with error.type, that it refused or that the spool lost.",
            ),
            Self::SpansInflight => (
                semconv_metric::OTEL_SDK_EXPORTER_SPAN_INFLIGHT,
                "{span}",
                "Spans on their way to a collector.",
            ),
            Self::PointsExported => (
                semconv_metric::OTEL_SDK_EXPORTER_METRIC_DATA_POINT_EXPORTED,
                "{data_point}",
                "Metric points that a collector took; with error.type, that it refused.",
            ),
            Self::SpansProcessed => (
                semconv_metric::OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
                "{span}",
                "Spans that the queue handed on; with error.type, that it had no room for.",
            ),
            Self::QueueSize => {
                (semconv_metric::OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE, "{span}", "Spans that wait in memory.")
            }
            Self::QueueCapacity => (
                semconv_metric::OTEL_SDK_PROCESSOR_SPAN_QUEUE_CAPACITY,
                "{span}",
                "Spans for which there is room in memory, which is bounded by bytes, at the mean size of those so far.",
            ),
            Self::SpoolSpans => (metric::SPOOL_SPANS, "{span}", "Spans that wait on disk."),
            Self::SpoolUsage => (metric::SPOOL_USAGE, "By", "Bytes of the spool's files."),
            Self::SpoolErrors => (metric::SPOOL_ERRORS, "{error}", "Operations of the spool that failed."),
            Self::EndpointSwitches => {
                (metric::ENDPOINT_SWITCHES, "{switch}", "Changes from one collector to another.")
            }
            Self::GovernorSteps => {
                (metric::GOVERNOR_STEPS, "{step}", "Changes of how much is observed, by what is in turn.")
            }
            Self::Unobserved => (
                metric::GOVERNOR_UNOBSERVED,
                "s",
                "Time for which something was left out, so that observing doesn't cost too much.",
            ),
            Self::CpuTime => (semconv_metric::PROCESS_CPU_TIME, "s", "CPU time of tracenet."),
            Self::MemoryUsage => (semconv_metric::PROCESS_MEMORY_USAGE, "By", "Resident memory of tracenet."),
        }
    }
}

/// A key and its value.
pub(super) type Label = (&'static str, LabelValue);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum LabelValue {
    Static(&'static str),
    Shared(Arc<str>),
    Port(u16),
    Yes,
}

pub(super) fn key_value((key, value): &Label) -> KeyValue {
    match value {
        LabelValue::Static(text) => value::string(key, text),
        LabelValue::Shared(text) => value::string(key, text),
        LabelValue::Port(port) => value::int(key, i64::from(*port)),
        LabelValue::Yes => value::boolean(key, true),
    }
}
