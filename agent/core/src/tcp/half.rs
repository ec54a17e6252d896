//! One direction of a connection, as an observer between the ends may claim it.

use super::seq::SeqNum;
use super::unacked::UnackedList;
use super::verdict::Verdicts;

/// Window scaling of one direction (RFC 7323, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Scale {
    /// The SYN was not seen.
    #[default]
    Unknown,
    /// The SYN carried no window scale option: windows are as they are.
    NotOffered,
    /// Shift count, at most 14.
    Shift(u8),
}

/// What was seen of the segments that one end sent.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Sequence number of the SYN, or of the first segment seen.
    pub isn: Option<SeqNum>,
    /// Next sequence number expected: the highest end of a segment so far.
    pub next: Option<SeqNum>,
    /// Stamp of the segment that moved `next` on.
    pub next_t_ns: u64,
    /// Highest number that the peer can acknowledge if all was captured.
    pub acknowledgeable: Option<SeqNum>,
    /// Acknowledgement number of the last segment with ACK.
    pub last_ack: Option<SeqNum>,
    /// Stamp of that segment.
    pub last_ack_t_ns: u64,
    /// SACK blocks of that segment, `(0, 0)` where unused.
    pub sack: [(u32, u32); 4],
    /// Duplicates of `last_ack` so far.
    pub dup_acks: u32,
    /// SEG.WND of the last segment, unscaled.
    pub window: u32,
    /// Scaling of `window`.
    pub scale: Scale,
    /// Verdicts on the last segment.
    pub last_verdicts: Verdicts,
    /// A segment is missing in `unacked`: the bytes in flight are unknown.
    pub flight_unknown: bool,
    /// Sent, not acknowledged.
    pub unacked: UnackedList,
}

impl Half {
    /// Receive window in bytes, `None` while its scaling is unknown.
    pub fn window_bytes(&self) -> Option<u32> {
        match self.scale {
            Scale::Unknown => None,
            Scale::NotOffered => Some(self.window),
            Scale::Shift(n) => Some(self.window << n.min(14)),
        }
    }
}
