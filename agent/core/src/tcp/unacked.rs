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

/// Segments of one direction in the order of their capture.
#[derive(Debug, Default)]
pub(super) struct UnackedList {
    list: VecDeque<Unacked>,
    /// Neither `seq` nor `end` goes back from one entry to the next: the ends of the list are its bounds.
    disordered: bool,
    quiet: u16,
    /// Segments that found no place.
    pub overflow: u64,
}

impl UnackedList {
    /// Forgets all, and keeps a little memory.
    pub fn clear(&mut self) {
        let mut list = std::mem::take(&mut self.list);
        list.clear();
        list.shrink_to(KEPT);
        *self = Self { list, ..Self::default() };
    }

    /// An entry has exactly these bounds.
    pub fn has(&self, seq: SeqNum, end: SeqNum) -> bool {
        let beyond = !self.disordered && self.list.back().is_none_or(|last| last.end.le(seq));
        !beyond && self.list.iter().any(|u| u.seq == seq && u.end == end)
    }

    /// When the segment with exactly these bounds was captured first.
    pub fn stamp(&self, seq: SeqNum, end: SeqNum) -> Option<u64> {
        self.list.iter().find(|u| u.seq == seq && u.end == end).map(|u| u.t_ns)
    }

    /// Adds a segment. Where the list is full the segment is only counted.
    pub fn push(&mut self, seq: SeqNum, end: SeqNum, t_ns: u64, isn: SeqNum) {
        if self.list.len() >= MAX_UNACKED {
            self.overflow += 1;
            return;
        }
        self.disordered |= seq.lt(isn);
        if let Some(last) = self.list.back() {
            self.disordered |= seq.lt(last.seq) || end.lt(last.end);
        }
        self.list.push_back(Unacked { seq, end, t_ns });
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
        if self.disordered {
            self.list.retain_mut(keep);
            self.disordered = !self.list.is_empty();
        } else {
            while self.list.front_mut().is_some_and(|u| !keep(u)) {
                self.list.pop_front();
            }
        }
        self.give_back();
        stamp
    }

    /// Stamp of the oldest entry: what a sender whose timer expired has been waiting for.
    pub fn oldest(&self) -> Option<u64> {
        self.list.front().map(|u| u.t_ns)
    }

    /// First and last sequence number in flight (the last one exclusive). What comes before `isn` counts only
    /// where there is nothing else: it can't be of this connection.
    pub fn span(&self, isn: SeqNum) -> Option<(SeqNum, SeqNum)> {
        let (first, last) = (self.list.front()?, self.list.back()?);
        if !self.disordered {
            return Some((first.seq, last.end));
        }
        Some(self.list.iter().fold((first.seq, first.end), |(lo, hi), u| {
            (if u.seq.since(isn) < lo.since(isn) { u.seq } else { lo }, if u.end.gt(hi) { u.end } else { hi })
        }))
    }

    /// Returns the memory of a burst once the connection is calm, with enough delay that a connection that
    /// bursts regularly doesn't allocate regularly.
    fn give_back(&mut self) {
        if self.list.capacity() <= KEPT * 2 || self.list.len() > KEPT / 2 {
            self.quiet = 0;
            return;
        }
        self.quiet += 1;
        if self.quiet >= QUIET {
            self.quiet = 0;
            self.list.shrink_to(KEPT);
        }
    }
}
