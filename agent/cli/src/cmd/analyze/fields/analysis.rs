//! What the analyser says of a segment.

use tracenet_collectors::decode::Protocol as P;
use tracenet_core::tcp::{Analysis, Verdicts};
use tracenet_filter::FieldType::{Label, RelativeTime, Uint};

use super::{Definition, Header, Of, Word};

const TCP: Of = Of::Header(P::Tcp);

/// Anything to tell of the segment: only then Wireshark tells the handshake's time, too.
fn told<'a>(h: &Header<'a>) -> Option<&'a Analysis> {
    h.analysis().filter(|a| {
        !a.verdicts.is_empty() || a.ack_rtt.is_some() || a.bytes_in_flight.is_some() || a.rto.is_some()
    })
}

macro_rules! verdict {
    ($name:literal, $verdict:ident) => {
        Definition {
            name: $name,
            kind: Label,
            of: TCP,
            read: |h, to| to.label(h.analysis().is_some_and(|a| a.verdicts.intersects(Verdicts::$verdict))),
        }
    };
}

pub(super) const FIELDS: &[Definition] = &[
    Definition {
        name: "tcp.stream",
        kind: Uint(32),
        of: TCP,
        read: |h, to| {
            let stream = match h.word {
                Some(Word::Segment(said)) => Some(said.stream),
                Some(Word::Quoted(stream)) => Some(*stream),
                _ => None,
            };
            to.uint(stream.map(u64::from))
        },
    },
    Definition { name: "tcp.analysis", kind: Label, of: TCP, read: |h, to| to.label(told(h).is_some()) },
    Definition {
        name: "tcp.analysis.flags",
        kind: Label,
        of: TCP,
        read: |h, to| to.label(h.analysis().is_some_and(|a| !a.verdicts.is_empty())),
    },
    verdict!("tcp.analysis.retransmission", RETRANSMISSION),
    verdict!("tcp.analysis.fast_retransmission", FAST_RETRANSMISSION),
    verdict!("tcp.analysis.spurious_retransmission", SPURIOUS_RETRANSMISSION),
    verdict!("tcp.analysis.lost_segment", LOST_SEGMENT),
    verdict!("tcp.analysis.ack_lost_segment", ACK_LOST_SEGMENT),
    verdict!("tcp.analysis.out_of_order", OUT_OF_ORDER),
    verdict!("tcp.analysis.duplicate_ack", DUPLICATE_ACK),
    verdict!("tcp.analysis.zero_window", ZERO_WINDOW),
    verdict!("tcp.analysis.zero_window_probe", ZERO_WINDOW_PROBE),
    verdict!("tcp.analysis.zero_window_probe_ack", ZERO_WINDOW_PROBE_ACK),
    verdict!("tcp.analysis.window_full", WINDOW_FULL),
    verdict!("tcp.analysis.window_update", WINDOW_UPDATE),
    verdict!("tcp.analysis.keep_alive", KEEP_ALIVE),
    verdict!("tcp.analysis.keep_alive_ack", KEEP_ALIVE_ACK),
    verdict!("tcp.analysis.reused_ports", REUSED_PORTS),
    Definition {
        name: "tcp.analysis.duplicate_ack_num",
        kind: Uint(32),
        of: TCP,
        read: |h, to| to.uint(h.analysis().and_then(|a| a.dup_ack_num).map(u64::from)),
    },
    Definition {
        name: "tcp.analysis.bytes_in_flight",
        kind: Uint(32),
        of: TCP,
        read: |h, to| to.uint(h.analysis().and_then(|a| a.bytes_in_flight).map(u64::from)),
    },
    Definition {
        name: "tcp.analysis.ack_rtt",
        kind: RelativeTime,
        of: TCP,
        read: |h, to| to.ns(h.analysis().and_then(|a| a.ack_rtt).map(|d| i128::from(d.0))),
    },
    Definition {
        name: "tcp.analysis.initial_rtt",
        kind: RelativeTime,
        of: TCP,
        read: |h, to| {
            let rtt = told(h).and_then(|a| a.initial_rtt).filter(|d| d.0 > 0);
            to.ns(rtt.map(|d| i128::from(d.0)))
        },
    },
    Definition {
        name: "tcp.analysis.rto",
        kind: RelativeTime,
        of: TCP,
        read: |h, to| to.ns(h.analysis().and_then(|a| a.rto).map(|d| i128::from(d.0))),
    },
];
