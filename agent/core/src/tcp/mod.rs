//! The one TCP analyser (INV 1): segments in, verdicts out. Live packets and files feed the same code.

use crate::event::Segment;
use crate::time::DurationNs;

/// Which end sent a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Originator: sender of the first SYN, or of the first segment seen.
    Orig,
    /// Responder.
    Resp,
}

/// Verdicts on one segment, in Wireshark's names, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdicts(pub u32);

/// What the analyser says of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Analysis {
    /// Flags.
    pub verdicts: Verdicts,
    /// Bytes sent and not acknowledged, this segment included; `None` where unknown or zero.
    pub bytes_in_flight: Option<u32>,
    /// Time from the segment that this one acknowledges.
    pub ack_rtt: Option<DurationNs>,
    /// RTT of the handshake, once known.
    pub initial_rtt: Option<DurationNs>,
    /// Time since the original, for a retransmission.
    pub rto: Option<DurationNs>,
    /// Number of this duplicate ACK, from 1.
    pub dup_ack_num: Option<u32>,
}

/// State of one connection as an observer may claim it.
#[derive(Debug, Default)]
pub struct Analyser {}

impl Analyser {
    /// A connection of which nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next segment. `t_ns` is the capture stamp (any epoch, the same for all calls).
    pub fn segment(&mut self, t_ns: u64, from: Side, seg: &Segment, payload_len: u32) -> Analysis {
        let _ = (t_ns, from, seg, payload_len);
        Analysis::default()
    }
}
