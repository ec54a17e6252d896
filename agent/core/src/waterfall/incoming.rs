//! What the peer sent: bytes in order, and holes until they are filled.
//!
//! A hole shows when later bytes come. The last bytes of a burst have none behind them: that they were lost shows only
//! when they come at last, and the numbers of the packets tell that some were left out. Such a hole stood since the
//! last progress.

use super::Part;
use super::evidence::Evidence;
use super::sweep::Span;
use super::trouble;
use crate::tcp::seq::SeqNum;
use crate::time::{DurationNs, MonoNs};

/// Ranges behind holes that are remembered. With more the count starts anew behind the last one.
const MAX_BEHIND: usize = 64;

/// Retransmissions of the peer that are remembered until they arrive.
const MAX_AGAIN: usize = 64;

/// A retransmission, as the peer's kernel tells of it.
#[derive(Debug, Clone, Copy)]
struct Again {
    seq: SeqNum,
    end: SeqNum,
    part: Part,
    sent_at: MonoNs,
}

/// One direction, the peer's.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// Everything before it has arrived.
    next: Option<SeqNum>,
    /// What we acknowledged: this has arrived for sure.
    acked: Option<SeqNum>,
    /// What has arrived beyond.
    behind: Vec<(SeqNum, SeqNum)>,
    /// Dropped before our eyes: missing up to here.
    dropped: Option<SeqNum>,
    /// Since when something is missing.
    hole: Option<MonoNs>,
    /// When bytes in order came last.
    progress: Option<MonoNs>,
    /// When we acknowledged some of them last.
    told: Option<MonoNs>,
    /// The last ones filled a segment.
    full: bool,
    again: Vec<Again>,
}

/// A segment with payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) seq: SeqNum,
    pub(super) len: u32,
    /// Packets were left out before it that can't have been mere acknowledgements.
    pub(super) left_out: bool,
    /// It is as long as a segment can be, and packets have no numbers that would tell of one left out.
    pub(super) full: bool,
    /// When it could have come at the earliest, by what it answers.
    pub(super) expected: Option<MonoNs>,
    /// It was overtaken, not lost.
    pub(super) late: bool,
}

/// Where what is found out goes.
pub(super) struct Findings<'a> {
    pub(super) spans: &'a mut Vec<Span>,
    pub(super) evidence: &'a mut Vec<Evidence>,
    pub(super) rtt: Option<DurationNs>,
}

impl From<SeqNum> for Incoming {
    /// Of which the first byte will have this number.
    fn from(first: SeqNum) -> Self {
        Self { next: Some(first), ..Self::default() }
    }
}

impl Incoming {
    /// A segment arrived; returns how many bytes can be read by it.
    pub(super) fn arrived(&mut self, t: MonoNs, a: &Arrival, found: &mut Findings<'_>) -> u32 {
        let (seq, end) = (a.seq, a.seq.plus(a.len));
        let next = *self.next.get_or_insert(seq);
        if end.le(next) {
            return 0;
        }
        if seq.gt(next) {
            if self.behind.len() < MAX_BEHIND {
                self.behind.push((seq, end));
                self.hole.get_or_insert(t);
                return 0;
            }
            self.behind.clear();
        }
        let missing = a.left_out || self.held_back(t, a, found.rtt);
        let silent = self.progress.max(a.expected).filter(|_| missing && self.hole.is_none());
        let new = self.advance(t, end, silent, a.late, found);
        self.full = a.full && self.behind.is_empty();
        new
    }

    /// The sender had more and could have gone on: it has heard that bytes arrived, and waits for none of ours.
    fn held_back(&self, t: MonoNs, a: &Arrival, rtt: Option<DurationNs>) -> bool {
        let rtt_ns = rtt.map_or(0, |rtt| rtt.0);
        let answers = |e: MonoNs| self.progress.is_none_or(|progress| e > progress.after(rtt_ns));
        let heard = self.told.map(|told| told.after(trouble::turn_round(rtt)));
        self.full && heard.is_some_and(|heard| t > heard) && !a.expected.is_some_and(answers)
    }

    /// It has all arrived before.
    pub(super) fn is_old(&self, seq: SeqNum, len: u32) -> bool {
        self.next.is_some_and(|next| seq.plus(len).le(next))
    }

    /// Something is missing, as far as can be told.
    pub(super) fn has_hole(&self) -> bool {
        self.hole.is_some()
    }

    /// We acknowledged up to `ack`: it has arrived, whether it was captured or not. Returns the bytes that are news.
    pub(super) fn acknowledged(&mut self, t: MonoNs, ack: SeqNum, found: &mut Findings<'_>) -> u32 {
        if self.acked.is_none_or(|acked| ack.gt(acked)) {
            self.acked = Some(ack);
            self.told = Some(t);
        }
        match self.next {
            Some(next) if ack.gt(next) => self.advance(t, ack, None, false, found),
            _ => 0,
        }
    }

    fn advance(
        &mut self,
        t: MonoNs,
        to: SeqNum,
        silent: Option<MonoNs>,
        late: bool,
        found: &mut Findings<'_>,
    ) -> u32 {
        let before = self.next.unwrap_or(to);
        let mut next = to;
        while let Some(i) = self.behind.iter().position(|(seq, _)| seq.le(next)) {
            let (_, end) = self.behind.swap_remove(i);
            if end.gt(next) {
                next = end;
            }
        }
        self.next = Some(next);
        self.dropped = self.dropped.filter(|d| d.gt(next));
        self.progress = Some(t);
        if late {
            // What was overtaken had not been lost, however long it took.
            self.hole = None;
        }
        self.filled(t, before, next, silent, found);
        next.since(before)
    }

    /// `before..next` is here now: what was it that was missing?
    fn filled(
        &mut self,
        t: MonoNs,
        before: SeqNum,
        next: SeqNum,
        silent: Option<MonoNs>,
        found: &mut Findings<'_>,
    ) {
        let told = self.again.iter().copied().find(|a| a.seq.lt(next) && before.lt(a.end));
        self.again.retain(|a| a.end.gt(next));
        let since = self.hole.take();
        self.hole = (!self.behind.is_empty() || self.dropped.is_some()).then_some(t);
        let stood = since.map(|since| t.since(since));
        let half = found.rtt.map_or(0, |rtt| rtt.0 / 2);
        // Without later bytes no hole shows: the peer's word says when it should have come.
        let from = told.map(|a| a.sent_at.after(half)).into_iter().chain(since).min();
        let kind = stood.and_then(|stood| trouble::kind_of_hole(stood, found.rtt));
        if let Some(from) = silent.filter(|_| told.is_none()) {
            let stood = t.since(from);
            if let Some(part) = trouble::kind_of_silence(stood, found.rtt) {
                found.spans.push(Span::new(part, from, t));
                found.evidence.push(Evidence::Hole { t: from, stood });
            }
        }
        let (Some(part), Some(from)) = (told.map(|a| a.part).or(kind), from) else { return };
        found.spans.push(Span::new(part, from, t));
        if let (Some(t), Some(stood)) = (since, stood) {
            found.evidence.push(Evidence::Hole { t, stood });
        }
    }

    /// The peer sent something again that was sent before at `sent_at`.
    pub(super) fn sent_again(&mut self, seq: SeqNum, len: u32, part: Part, sent_at: MonoNs) {
        let end = seq.plus(len);
        if self.next.is_some_and(|next| end.le(next)) {
            return;
        }
        if let Some(known) = self.again.iter_mut().find(|a| a.seq.lt(end) && seq.lt(a.end)) {
            known.part = part;
        } else if self.again.len() < MAX_AGAIN {
            self.again.push(Again { seq, end, part, sent_at });
        }
    }

    /// A packet for us was thrown away. True where it had been seen arriving: captures look before firewalls do.
    pub(super) fn lost(&mut self, t: MonoNs, seq: SeqNum, len: u32) -> bool {
        let end = seq.plus(len);
        let next = *self.next.get_or_insert(seq);
        if len == 0 || self.acked.is_some_and(|acked| end.le(acked)) {
            return false;
        }
        let seen = end.le(next);
        if seen {
            self.next = Some(seq);
            if end.lt(next) && self.behind.len() < MAX_BEHIND {
                self.behind.push((end, next));
            }
        }
        self.hole.get_or_insert(t);
        if self.dropped.is_none_or(|d| d.lt(end)) {
            self.dropped = Some(end);
        }
        seen
    }

    /// A hole that is still there at `t`.
    pub(super) fn open(&self, t: MonoNs, rtt: Option<DurationNs>) -> Option<Span> {
        let since = self.hole?;
        Some(Span::new(trouble::kind_of_hole(t.since(since), rtt)?, since, t))
    }
}
