//! Ids of spans, made of what both ends of a connection know (or this host, where that is all there is): the same
//! span has the same id whenever and wherever it is made, so that a child can be sent before its parent.

use std::hash::Hasher;

use opentelemetry::{SpanId, TraceId};
use siphasher::sip::SipHasher24;
use tracenet_core::key::{ConnId, Role};
use tracenet_core::trace_id;

/// Keys of the hash. They are part of the meaning of exported ids: two agents with other keys don't meet.
const KEYS: (u64, u64) = (0x7472_6163_656e_6574, 0x7370_616e_2069_6473);

/// Which span of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Connection,
    Connect,
    AcceptWait,
    /// By its number.
    Turn(u32),
    /// A system call, by its thread and when that entered it, ns.
    Call {
        entered: u64,
        thread: u32,
    },
}

/// Id of a span in `trace`, seen from `role`.
pub(crate) fn span_id(trace: TraceId, role: Role, part: Part) -> SpanId {
    let mut hash = SipHasher24::new_with_keys(KEYS.0, KEYS.1);
    hash.write(&trace.to_bytes());
    hash.write_u8(match role {
        Role::Client => 1,
        Role::Server => 2,
    });
    let (kind, number) = match part {
        Part::Connection => (1, 0),
        Part::Connect => (2, 0),
        Part::AcceptWait => (3, 0),
        Part::Turn(index) => (4, index),
        Part::Call { thread, .. } => (5, thread),
    };
    hash.write_u8(kind);
    hash.write(&number.to_le_bytes());
    if let Part::Call { entered, .. } = part {
        hash.write(&entered.to_le_bytes());
    }
    // Zero would mean "no span".
    SpanId::from_bytes(hash.finish().max(1).to_be_bytes())
}

/// What tells the spans of one capture file from those of another, or of a live observation, in the same trace.
pub(crate) fn observer(file: &str) -> u64 {
    let mut hash = SipHasher24::new_with_keys(KEYS.0, KEYS.1);
    hash.write(b"capture");
    hash.write(file.as_bytes());
    hash.finish()
}

/// The connection's trace id, or one that is good for this run where the core made none (all zero is invalid).
pub(crate) fn of_connection(bytes: [u8; 16], run: u64, id: Option<ConnId>) -> TraceId {
    let trace = TraceId::from_bytes(bytes);
    if trace != TraceId::INVALID {
        return trace;
    }
    let number = id.map_or(0, |id| u128::from(id.0) + 1);
    TraceId::from_bytes((u128::from(run.max(1)) << 64 | number).to_be_bytes())
}

/// The trace that holds a turn of a connection, by its number.
pub(crate) fn of_turn(connection: TraceId, index: u32) -> TraceId {
    TraceId::from_bytes(trace_id::of_chapter(connection.to_bytes(), trace_id::chapter(index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_all_that_tells_spans_apart_and_are_stable() {
        let (a, b) = (TraceId::from_bytes([1; 16]), TraceId::from_bytes([2; 16]));
        let parts = [Part::Connection, Part::Connect, Part::AcceptWait, Part::Turn(0), Part::Turn(1)];
        let mut seen = std::collections::HashSet::new();
        for trace in [a, b] {
            for role in [Role::Client, Role::Server] {
                for part in parts {
                    assert!(seen.insert(span_id(trace, role, part)));
                }
            }
        }
        // Another agent, another version: the same id. If this changes, so must the keys.
        assert_eq!(span_id(a, Role::Client, Part::Turn(7)), span_id(a, Role::Client, Part::Turn(7)));
        assert!(!seen.contains(&SpanId::INVALID));
    }

    #[test]
    fn a_missing_trace_id_is_replaced_per_connection() {
        let (one, two) =
            (of_connection([0; 16], 9, Some(ConnId(1))), of_connection([0; 16], 9, Some(ConnId(2))));
        assert!(one != TraceId::INVALID && one != two);
        assert_eq!(of_connection([3; 16], 9, Some(ConnId(1))), TraceId::from_bytes([3; 16]));
    }
}
