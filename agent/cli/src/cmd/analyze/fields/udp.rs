//! Fields of UDP headers.

use tracenet_collectors::decode::Protocol as P;
use tracenet_filter::FieldType::{Bytes, Protocol as Span, RelativeTime, Uint};

use super::{Definition, Of, Word, names};

const UDP: Of = Of::Header(P::Udp);

pub(super) const FIELDS: &[Definition] = &[
    Definition { name: "udp", kind: Span, of: UDP, read: |h, to| to.bytes(Some(h.span(8))) },
    Definition { name: "udp.srcport", kind: Uint(16), of: UDP, read: |h, to| to.uint(h.u16(0)) },
    Definition { name: "udp.dstport", kind: Uint(16), of: UDP, read: |h, to| to.uint(h.u16(2)) },
    Definition {
        name: "udp.port",
        kind: Uint(16),
        of: UDP,
        read: |h, to| {
            to.uint(h.u16(0))?;
            to.uint(h.u16(2))
        },
    },
    Definition { name: "udp.length", kind: Uint(16), of: UDP, read: |h, to| to.uint(h.u16(4)) },
    Definition { name: "udp.checksum", kind: Uint(16), of: UDP, read: |h, to| to.uint(h.u16(6)) },
    Definition {
        name: "udp.checksum.status",
        kind: Uint(8),
        of: UDP,
        read: |h, to| {
            to.uint(h.u16(6).map(|sum| if sum == 0 { names::NOT_PRESENT } else { names::UNVERIFIED }))
        },
    },
    Definition {
        name: "udp.stream",
        kind: Uint(32),
        of: UDP,
        read: |h, to| {
            let number = match h.word {
                Some(Word::Datagram(number)) => *number,
                _ => None,
            };
            to.uint(number.map(u64::from))
        },
    },
    Definition {
        name: "udp.payload",
        kind: Bytes,
        of: UDP,
        read: |h, to| to.bytes(h.bytes.get(8..).filter(|b| !b.is_empty())),
    },
    Definition {
        name: "udp.time_relative",
        kind: RelativeTime,
        of: UDP,
        read: |h, to| to.ns(h.now.map(|now| now.since_first)),
    },
    Definition {
        name: "udp.time_delta",
        kind: RelativeTime,
        of: UDP,
        read: |h, to| to.ns(h.now.map(|now| now.since_last)),
    },
];
