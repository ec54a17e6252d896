//! Segments that were sent and not acknowledged yet: what RTT samples, retransmission times and bytes in flight
//! are made of.

use std::collections::VecDeque;

use super::seq::SeqNum;

/// Most entries of one direction. A window of 4 Mi unacknowledged bytes in full-sized segments fits.
pub const MAX_UNACKED: usize = 4096;

/// Capacity that is kept when the list has long been nearly empty.
const KEPT: usize = 16;

/// Acknowledgements in a row with a nearly empty list after which its memory is given back.
const QUIET: u16 = 512;

/// A segment in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unacked {
    /// First sequence number.
    pub seq: SeqNum,
    /// Sequence number after the last one (SYN and FIN count).
    pub end: SeqNum,
    /// Capture stamp.
    pub t_ns: u64,
}

/// Segments of one direction in the order of their capture. Most directions never have more than one in flight: the
/// first one needs no memory of its own.
#[derive(Debug, Default)]
pub(super) struct UnackedList {
    first: Option<Unacked>,
    /// Those after it; empty without a first one.
    #[expect(clippy::box_collection, reason = "few directions have one: it is to take little room")]
    rest: Option<Box<VecDeque<Unacked>>>,
    /// Segments that found no place.
    pub overflow: u32,
    quiet: u16,
    /// `seq` or `end` goes back from one entry to the next: the ends of the list are not its bounds.
    disordered: bool,
}

impl UnackedList {
    /// Forgets all, and keeps a little memory.
    pub fn clear(&mut self) {
        let mut rest = self.rest.take();
        if let Some(rest) = &mut rest {
            rest.clear();
            rest.shrink_to(KEPT);
        }
        *self = Self { rest, ..Self::default() };
    }

    fn iter(&self) -> impl Iterator<Item = &Unacked> {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    fn last(&self) -> Option<&Unacked> {
        self.rest.as_ref().and_then(|rest| rest.back()).or(self.first.as_ref())
    }

    /// An entry has exactly these bounds.
    pub fn has(&self, seq: SeqNum, end: SeqNum) -> bool {
        let beyond = !self.disordered && self.last().is_none_or(|last| last.end.le(seq));
        !beyond && self.iter().any(|u| u.seq == seq && u.end == end)
    }

    /// When the segment with exactly these bounds was captured first.
    pub fn stamp(&self, seq: SeqNum, end: SeqNum) -> Option<u64> {
        self.iter().find(|u| u.seq == seq && u.end == end).map(|u| u.t_ns)
    }

    /// Adds a segment. Where the list is full the segment is only counted.
    pub fn push(&mut self, seq: SeqNum, end: SeqNum, t_ns: u64, isn: SeqNum) {
        let new = Unacked { seq, end, t_ns };
        if self.first.is_none() {
            self.disordered |= seq.lt(isn);
            self.first = Some(new);
            return;
        }
        if self.rest.as_ref().is_some_and(|rest| rest.len() + 1 >= MAX_UNACKED) {
            self.overflow = self.overflow.saturating_add(1);
            return;
        }
        self.disordered |=
            seq.lt(isn) || self.last().is_some_and(|last| seq.lt(last.seq) || end.lt(last.end));
        self.rest.get_or_insert_default().push_back(new);
    }

    /// Drops what `ack` acknowledges and returns the stamp of the segment that ended there.
    pub fn acknowledge(&mut self, ack: SeqNum) -> Option<u64> {
        let mut stamp = None;
        let mut keep = |u: &mut Unacked| {
            if u.end == ack && stamp.is_none() {
                stamp = Some(u.t_ns);
            }
            if u.seq.lt(ack) && u.end.gt(ack) {
                u.seq = ack;
            }
            u.end.gt(ack)
        };
        let Self { first, rest, disordered, .. } = self;
        if *disordered {
            first.take_if(|u| !keep(u));
            if let Some(rest) = rest {
                rest.retain_mut(keep);
                *first = first.take().or_else(|| rest.pop_front());
            }
            *disordered = first.is_some();
        } else {
            while first.take_if(|u| !keep(u)).is_some() {
                *first = rest.as_mut().and_then(|rest| rest.pop_front());
            }
        }
        self.give_back();
        stamp
    }

    /// Stamp of the oldest entry: what a sender whose timer expired has been waiting for.
    pub fn oldest(&self) -> Option<u64> {
        self.first.map(|u| u.t_ns)
    }

    /// First and last sequence number in flight (the last one exclusive). What comes before `isn` counts only
    /// where there is nothing else: it can't be of this connection.
    pub fn span(&self, isn: SeqNum) -> Option<(SeqNum, SeqNum)> {
        let (first, last) = (self.first?, self.last()?);
        if !self.disordered {
            return Some((first.seq, last.end));
        }
        Some(self.iter().fold((first.seq, first.end), |(lo, hi), u| {
            (if u.seq.since(isn) < lo.since(isn) { u.seq } else { lo }, if u.end.gt(hi) { u.end } else { hi })
        }))
    }

    /// Returns the memory of a burst once the connection is calm, with enough delay that a connection that
    /// bursts regularly doesn't allocate regularly.
    fn give_back(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        if rest.capacity() <= KEPT * 2 || rest.len() > KEPT / 2 {
            self.quiet = 0;
            return;
        }
        self.quiet += 1;
        if self.quiet >= QUIET {
            self.quiet = 0;
            rest.shrink_to(KEPT);
        }
    }
}
