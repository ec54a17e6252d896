//! What we sent: first transmissions, and losses until they are acknowledged.

use std::collections::VecDeque;

use super::Part;
use super::sweep::Span;
use super::trouble;
use crate::tcp::seq::SeqNum;
use crate::time::{DurationNs, MonoNs};

/// First transmissions remembered.
const MAX_FIRST: usize = 1_024;

/// Losses open at once.
const MAX_LOSSES: usize = 256;

/// Bytes that were lost, or sent again at least.
#[derive(Debug, Clone, Copy)]
struct Loss {
    seq: SeqNum,
    end: SeqNum,
    /// First transmission.
    first: MonoNs,
    /// By the cause of the last retransmission; `None` while only a drop tells of it.
    part: Option<Part>,
    /// Times that it was sent again, less those that the peer had it twice.
    copies: u32,
    /// The drop was seen.
    dropped: bool,
}

/// One direction, ours.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    end: Option<SeqNum>,
    acked: Option<SeqNum>,
    first: VecDeque<(SeqNum, MonoNs)>,
    losses: Vec<Loss>,
}

impl From<SeqNum> for Outgoing {
    /// Of which the first byte will have this number.
    fn from(first: SeqNum) -> Self {
        Self { end: Some(first), acked: Some(first), ..Self::default() }
    }
}

impl Outgoing {
    /// A segment left; returns how many of its bytes did for the first time.
    pub(super) fn sent(&mut self, t: MonoNs, seq: SeqNum, len: u32) -> u32 {
        let end = seq.plus(len);
        let new = match self.end {
            Some(known) if end.le(known) => return 0,
            Some(known) if seq.le(known) => end.since(known),
            _ => len,
        };
        self.end = Some(end);
        if self.first.len() >= MAX_FIRST {
            self.first.pop_front();
        }
        self.first.push_back((end, t));
        new
    }

    /// The peer has everything before `ack`; `dsack` is what it got twice (RFC 2883). Returns how many bytes are news,
    /// and adds the losses that this ends.
    pub(super) fn acked(
        &mut self,
        t: MonoNs,
        ack: SeqNum,
        dsack: Option<(SeqNum, SeqNum)>,
        rtt: Option<DurationNs>,
        spans: &mut Vec<Span>,
    ) -> u32 {
        // What came twice had not been lost the first time.
        if let Some((left, right)) = dsack {
            let twice = |seq: SeqNum, end: SeqNum| left.le(seq) && seq.lt(right) && end.since(seq) > 0;
            for l in self.losses.iter_mut().filter(|l| twice(l.seq, l.end)) {
                l.copies = l.copies.saturating_sub(1);
            }
            self.losses.retain(|l| l.copies > 0 || l.dropped || !twice(l.seq, l.end));
            spans.retain(|s| s.sure || !s.range.is_some_and(|(seq, end)| twice(seq, end)));
        }
        let Some(end) = self.end else { return 0 };
        if ack.gt(end) || self.acked.is_some_and(|a| ack.le(a)) {
            return 0;
        }
        let before = self.acked.replace(ack);
        while self.first.front().is_some_and(|(end, _)| end.le(ack)) {
            self.first.pop_front();
        }
        self.losses.retain(|l| {
            let over = l.end.le(ack);
            if over {
                spans.extend(l.span(t, rtt));
            }
            !over
        });
        before.map_or(0, |before| ack.since(before))
    }

    /// Bytes were sent again, for the reason that `part` tells, or were thrown away on the way.
    pub(super) fn lost(&mut self, seq: SeqNum, len: u32, part: Option<Part>, dropped: bool, sent_at: MonoNs) {
        let end = seq.plus(len);
        if len == 0 || self.acked.is_some_and(|a| end.le(a)) {
            return;
        }
        let first = self.first.iter().find(|(e, _)| e.gt(seq)).map_or(sent_at, |(_, t)| *t);
        if let Some(known) = self.losses.iter_mut().find(|l| l.seq.lt(end) && seq.lt(l.end)) {
            // Timeout before probe before fast retransmit: the one that comes later is the one that was needed.
            known.part = part.or(known.part);
            known.copies = known.copies.saturating_add(u32::from(!dropped));
            known.dropped |= dropped;
            known.first = known.first.min(first);
            known.end = if known.end.lt(end) { end } else { known.end };
        } else if self.losses.len() < MAX_LOSSES {
            self.losses.push(Loss {
                seq,
                end,
                first: first.min(sent_at),
                part,
                copies: u32::from(!dropped),
                dropped,
            });
        }
    }

    /// Losses that are still open at `t`.
    pub(super) fn open(&self, t: MonoNs, rtt: Option<DurationNs>) -> impl Iterator<Item = Span> + '_ {
        self.losses.iter().filter_map(move |l| l.span(t, rtt))
    }
}

impl Loss {
    fn span(&self, to: MonoNs, rtt: Option<DurationNs>) -> Option<Span> {
        let part = self.part.or_else(|| trouble::kind_of_hole(to.since(self.first), rtt))?;
        let from = self.first.after(rtt.map_or(0, |rtt| rtt.0));
        // What was sent again twice was not in vain both times because one copy was.
        let sure = self.dropped || self.copies > 1;
        Some(Span { part, from, to, range: Some((self.seq, self.end)), sure }).filter(|s| s.from < s.to)
    }
}
