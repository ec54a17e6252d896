//! A turn as JSON: its times, its parts, its cause and what proves it.

use serde::Serialize;

use super::drop_cause::DropCause;
use super::hex;
use crate::fact::Turn;
use crate::key::{Direction, Role};
use crate::time::{ClockOffset, DurationNs, WallNs};
use crate::trace_id;
use crate::waterfall::{Evidence, Parts};

/// Fields of a turn beside those of every line. All times are nanoseconds.
#[derive(Debug, Clone, Serialize)]
pub struct TurnDetail {
    /// Number on its connection, from 0.
    pub index: u32,
    /// Method and path, where it was asked in plain HTTP/1; else null.
    pub request: Option<String>,
    /// Side of the process.
    pub role: Role,
    /// First byte of the request; of a connection's first turn the beginning of the handshake or of the wait for
    /// accept(2), where that preceded at once.
    pub start_ns: WallNs,
    /// From `start_ns` to `end_ns`.
    pub duration_ns: DurationNs,
    /// Median duration of the earlier turns with the same request at the same server address; null for the first.
    pub p50_ns: Option<DurationNs>,
    /// Last byte of the request.
    pub request_end_ns: WallNs,
    /// First byte of the response.
    pub response_start_ns: Option<WallNs>,
    /// Last byte of either.
    pub end_ns: WallNs,
    /// Bytes asked.
    pub request_bytes: u64,
    /// Bytes answered.
    pub response_bytes: u64,
    /// Retransmitted segments.
    pub retransmits: u32,
    /// Drops, at either end.
    pub drops: u32,
    /// Where the time went; they sum to `duration_ns`. Null where only packets were seen.
    pub parts: Option<Parts>,
    /// Name of the part that it is to be blamed on, or `reset` or `refused`.
    pub cause: Option<&'static str>,
    /// In order of time.
    pub evidence: Vec<EvidenceDetail>,
    /// Lost events touched it, or more happened than could be kept.
    pub incomplete: bool,
    /// The connection's, of its first 4,096 turns; the next ones are told in another trace.
    pub trace_id: String,
}

/// A piece of evidence.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "see Evidence")]
pub enum EvidenceDetail {
    Retransmit {
        t_ns: WallNs,
        cause: &'static str,
        seq: u32,
        seq_end: u32,
        segments: u32,
        waited_ns: Option<DurationNs>,
        by_peer: bool,
    },
    Drop {
        t_ns: WallNs,
        reason: String,
        location: String,
        direction: Direction,
        seq: u32,
        length: u32,
        at_peer: bool,
        #[serde(flatten)]
        cause: Box<DropCause>,
    },
    Hole {
        t_ns: WallNs,
        stood_ns: DurationNs,
    },
    ZeroWindow {
        t_ns: WallNs,
        shut_ns: DurationNs,
        direction: Direction,
    },
    Reset {
        t_ns: WallNs,
        direction: Direction,
    },
    Call {
        t_ns: WallNs,
        took_ns: DurationNs,
        direction: Direction,
    },
}

impl EvidenceDetail {
    fn new(e: &Evidence, clock: ClockOffset) -> Self {
        let t_ns = clock.wall(e.t());
        match e {
            Evidence::Retransmit { cause, seq, seq_end, segments, after, by_peer, .. } => Self::Retransmit {
                t_ns,
                cause: cause.as_str(),
                seq: *seq,
                seq_end: *seq_end,
                segments: *segments,
                waited_ns: *after,
                by_peer: *by_peer,
            },
            Evidence::Drop { direction, drop, .. } => Self::Drop {
                t_ns,
                reason: drop.reason.to_string(),
                location: drop.location.to_string(),
                direction: *direction,
                seq: drop.seq,
                length: drop.payload_len,
                at_peer: drop.at_peer.is_some(),
                cause: Box::new(DropCause::from(&**drop)),
            },
            Evidence::Hole { stood, .. } => Self::Hole { t_ns, stood_ns: *stood },
            Evidence::ZeroWindow { shut, direction, .. } => {
                Self::ZeroWindow { t_ns, shut_ns: *shut, direction: *direction }
            }
            Evidence::Reset { direction, .. } => Self::Reset { t_ns, direction: *direction },
            Evidence::Call { took, direction, .. } => {
                Self::Call { t_ns, took_ns: *took, direction: *direction }
            }
        }
    }
}

pub(super) fn turn(t: &Turn, clock: ClockOffset) -> TurnDetail {
    let waterfall = t.waterfall.as_deref();
    let start = waterfall.map_or(t.start, |w| w.start);
    let evidence = waterfall.map_or(&[][..], |w| &w.evidence);
    TurnDetail {
        index: t.index,
        request: t.request.as_ref().map(ToString::to_string),
        role: t.role,
        start_ns: clock.wall(start),
        duration_ns: t.duration(),
        p50_ns: t.p50,
        request_end_ns: clock.wall(t.request_end),
        response_start_ns: (t.response_bytes > 0).then(|| clock.wall(t.response_start)),
        end_ns: clock.wall(t.end),
        request_bytes: t.request_bytes,
        response_bytes: t.response_bytes,
        retransmits: t.retransmits,
        drops: t.drops,
        parts: waterfall.map(|w| w.parts),
        cause: waterfall.map(|w| w.cause.as_str()),
        evidence: evidence.iter().map(|e| EvidenceDetail::new(e, clock)).collect(),
        incomplete: t.incomplete,
        trace_id: hex(&trace_id::of_chapter(t.trace_id, trace_id::chapter(t.index))),
    }
}
