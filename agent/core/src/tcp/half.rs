//! One direction of a connection, as an observer between the ends may claim it.

use super::cause::Trail;
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
    acknowledgeable: Option<SeqNum>,
    /// The peer acknowledged more than was captured: what it can acknowledge is unknown until this end shows
    /// where it is.
    is_overtaken: bool,
    /// The peer acknowledged unseen data since this end last acknowledged something new.
    pub was_outrun: bool,
    /// Acknowledgement number of the last segment, 0 before there was one.
    pub last_ack: SeqNum,
    /// Stamp of that segment.
    pub last_ack_t_ns: u64,
    /// Bytes in the SACK blocks of that segment.
    pub sacked: u32,
    /// Duplicates of `last_ack` so far.
    pub dup_acks: u32,
    /// SEG.WND of the last segment, unscaled.
    pub window: u16,
    /// Scaling of `window`.
    pub scale: Scale,
    /// Verdicts on the last segment.
    pub last_verdicts: Verdicts,
    /// A segment is missing in `unacked`: the bytes in flight are unknown.
    pub flight_unknown: bool,
    /// Sent, not acknowledged.
    pub unacked: UnackedList,
    /// What tells why a segment comes again or late.
    pub trail: Trail,
}

impl Half {
    /// See [`super::Analyser::restart`].
    pub fn restart(&mut self) {
        let mut unacked = std::mem::take(&mut self.unacked);
        unacked.clear();
        *self = Self { unacked, ..Self::default() };
    }

    /// See [`super::Analyser::fetch`].
    #[inline]
    pub fn fetch(&self) -> u64 {
        self.next_t_ns
            ^ self.last_ack_t_ns
            ^ u64::from(self.sacked ^ u32::from(self.window) ^ self.last_verdicts.0 ^ self.dup_acks)
            ^ self.trail.fetch()
            ^ self.unacked.oldest().unwrap_or(0)
    }

    /// An acknowledgement of `ack` covers what was not captured.
    pub fn is_beyond(&self, ack: SeqNum) -> bool {
        self.acknowledgeable.is_some_and(|max| ack.gt(max))
    }

    /// Such an acknowledgement came: it isn't to be told again for the same gap.
    pub fn acknowledged_unseen(&mut self) {
        self.was_outrun = true;
        self.dup_acks = 0;
        self.is_overtaken |= self.acknowledgeable == self.next;
        self.acknowledgeable = if self.is_overtaken { None } else { self.next };
    }

    /// This end only repeated an acknowledgement: what it sent isn't followed further until it says something new.
    pub fn repeated_ack(&mut self) {
        self.is_overtaken = true;
        self.acknowledgeable = self.acknowledgeable.filter(|_| self.acknowledgeable != self.next);
    }

    /// A segment was sent from `seq`, when `before` was the next number expected: `gap` if it left some out,
    /// `new_ack` if it acknowledges something else than the one before. `next` is up to date.
    pub fn sent(&mut self, seq: SeqNum, before: Option<SeqNum>, gap: bool, new_ack: bool) {
        self.was_outrun &= !new_ack;
        if before.is_none() {
            self.acknowledgeable = self.next;
            return;
        }
        if gap || (before != Some(seq) && before != self.next) {
            self.acknowledgeable = self.acknowledgeable.or(before);
        } else if self.acknowledgeable == Some(seq) {
            self.acknowledgeable = self.next.filter(|_| !self.is_overtaken);
        }
        if self.is_overtaken && new_ack {
            self.is_overtaken = false;
            self.acknowledgeable = self.acknowledgeable.or(self.next);
        }
    }

    /// Receive window in bytes, `None` while its scaling is unknown.
    pub fn window_bytes(&self) -> Option<u32> {
        match self.scale {
            Scale::Unknown => None,
            Scale::NotOffered => Some(self.window.into()),
            Scale::Shift(n) => Some(u32::from(self.window) << n.min(14)),
        }
    }
}
