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
    /// When it was sent again last.
    again: MonoNs,
    /// Only the wire has told of it yet.
    wire: bool,
    /// Nothing had been sent behind it.
    tail: bool,
    /// The drop was seen.
    dropped: bool,
    /// It had been seen leaving before it was dropped: what was dropped may have been a copy.
    seen: bool,
    /// And it was seen leaving again.
    resent: bool,
}

/// Somebody's word on bytes that were sent again, or thrown away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    pub(super) seq: SeqNum,
    pub(super) len: u32,
    /// Why they were sent again, where that is known.
    pub(super) part: Option<Part>,
    /// Thrown away, not sent again.
    pub(super) dropped: bool,
    /// When they were sent before.
    pub(super) sent_at: MonoNs,
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
            Some(known) if end.le(known) => {
                self.resent(t, seq, end);
                return 0;
            }
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

    /// A segment was seen leaving once more. Its kernel tells why in a moment; where it doesn't, the wire's word stands.
    fn resent(&mut self, t: MonoNs, seq: SeqNum, end: SeqNum) {
        let mut known = self.losses.iter_mut().filter(|l| l.seq.lt(end) && seq.lt(l.end)).peekable();
        if known.peek().is_some() {
            known.for_each(|l| l.resent = true);
        } else if self.losses.len() < MAX_LOSSES && self.acked.is_none_or(|acked| end.gt(acked)) {
            let first = self.first.iter().find(|(e, _)| e.gt(seq)).map_or(t, |(_, t)| *t);
            self.losses.push(Loss {
                seq,
                end,
                first,
                part: None,
                copies: 1,
                again: t,
                wire: true,
                tail: self.end == Some(end),
                dropped: false,
                seen: true,
                resent: true,
            });
        }
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
            self.losses.retain(|l| {
                let taken_back = l.copies == 0 && !l.dropped && twice(l.seq, l.end);
                if taken_back && l.end.le(ack) {
                    spans.extend(l.span(t, rtt).and_then(|s| unheard(s, rtt)));
                }
                !taken_back
            });
            let taken_back = |s: &Span| !s.sure && s.range.is_some_and(|(seq, end)| twice(seq, end));
            spans.retain_mut(|s| !taken_back(s) || unheard(*s, rtt).map(|kept| *s = kept).is_some());
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
            if over && !l.was_copy() {
                let span = l.span(t, rtt);
                spans.extend(if l.was_in_vain(t, rtt) { span.and_then(|s| unheard(s, rtt)) } else { span });
            }
            !over
        });
        before.map_or(0, |before| ack.since(before))
    }

    /// Bytes were sent again, for the reason that `part` tells, or were thrown away on the way.
    pub(super) fn lost(&mut self, t: MonoNs, word: &Word) {
        let &Word { seq, len, part, dropped, sent_at } = word;
        let end = seq.plus(len);
        if len == 0 || self.acked.is_some_and(|a| end.le(a)) {
            return;
        }
        let first = self.first.iter().find(|(e, _)| e.gt(seq)).map_or(sent_at, |(_, t)| *t);
        if let Some(known) = self.losses.iter_mut().find(|l| l.seq.lt(end) && seq.lt(l.end)) {
            // Timeout before probe before fast retransmit: the one that comes later is the one that was needed.
            known.part = part.or(known.part);
            let news = !dropped && !std::mem::take(&mut known.wire);
            known.copies = known.copies.saturating_add(u32::from(news));
            known.again = if dropped { known.again } else { t };
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
                again: t,
                wire: false,
                tail: self.end == Some(end),
                dropped,
                seen: self.end.is_some_and(|sent| end.le(sent)),
                resent: false,
            });
        }
    }

    /// Everything that was sent is acknowledged.
    pub(super) fn is_acked(&self) -> bool {
        self.acked == self.end
    }

    /// Losses that are still open at `t`.
    pub(super) fn open(&self, t: MonoNs, rtt: Option<DurationNs>) -> impl Iterator<Item = Span> + '_ {
        self.losses.iter().filter_map(move |l| l.span(t, rtt))
    }
}

/// What is left of a loss that was none: nothing, or, where nothing was heard of the bytes for longer than any
/// acknowledgement is delayed (RFC 9293, section 3.8.6.3), that what was to tell of them was lost.
fn unheard(s: Span, rtt: Option<DurationNs>) -> Option<Span> {
    let waited = s.to.since(s.from).0.saturating_add(rtt.map_or(0, |rtt| rtt.0));
    (waited >= trouble::RTO_MIN_NS).then_some(Span { sure: true, unheard: true, ..s })
}

impl Loss {
    /// What was dropped was another copy: it is acknowledged, and nobody has sent it again.
    fn was_copy(&self) -> bool {
        self.dropped && self.seen && self.copies == 0 && !self.resent
    }

    /// It was sent again, and is acknowledged sooner than anybody can have heard of that (as by RFC 3522, section 3.2, with
    /// times in place of timestamps). The smallest RTT so far may be too large by half, early in a connection.
    fn was_in_vain(&self, t: MonoNs, rtt: Option<DurationNs>) -> bool {
        self.copies == 1 && !self.dropped && rtt.is_some_and(|rtt| t.since(self.again).0 < rtt.0 / 3 * 2)
    }

    fn span(&self, to: MonoNs, rtt: Option<DurationNs>) -> Option<Span> {
        let kind = if self.tail { trouble::kind_of_silence } else { trouble::kind_of_hole };
        let part = self.part.or_else(|| kind(to.since(self.first), rtt))?;
        let from = self.first.after(rtt.map_or(0, |rtt| rtt.0));
        // What was sent again twice was not in vain both times because one copy was.
        let sure = self.dropped || self.copies > 1;
        let range = Some((self.seq, self.end));
        Some(Span { part, from, to, range, sure, unheard: false }).filter(|s| s.from < s.to)
    }
}
