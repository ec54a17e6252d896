//! What an exporter did and has, for its own metrics.

use std::ops::Add;

use crate::spool::Held;

/// Sums and levels of an exporter at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Of spans.
    pub(crate) spans: Fates,
    /// Of metric points.
    pub(crate) points: Fates,
    /// Spans that left the queue to be sent.
    pub(crate) taken: u64,
    /// Spans shed because the queue was full.
    pub(crate) shed: u64,
    /// Spans that wait in memory.
    pub(crate) waiting: u64,
    /// Spans like those that have come so far that there is room for; 0 while none has come.
    pub(crate) capacity: u64,
    /// The spool.
    pub(crate) spool: Held,
    /// Changes from one collector to another.
    pub(crate) switches: u64,
}

/// What became of spans or points that left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fates {
    /// Taken by a collector.
    pub exported: u64,
    /// Refused by a collector that took others of the same request.
    pub rejected: u64,
    /// In requests that a collector refused.
    pub refused: u64,
    /// On their way.
    pub inflight: u64,
}

impl Fates {
    fn ended(self) -> Self {
        Self { inflight: 0, ..self }
    }
}

impl Account {
    /// Without what will not be there when the exporter has ended.
    pub(crate) fn ended(self) -> Self {
        let spool = Held { spans: 0, bytes: 0, ..self.spool };
        let (spans, points) = (self.spans.ended(), self.points.ended());
        Self { spans, points, spool, waiting: 0, capacity: 0, ..self }
    }
}

impl Add for Fates {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            exported: self.exported + other.exported,
            rejected: self.rejected + other.rejected,
            refused: self.refused + other.refused,
            inflight: self.inflight + other.inflight,
        }
    }
}

impl Add for Account {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            spans: self.spans + other.spans,
            points: self.points + other.points,
            taken: self.taken + other.taken,
            shed: self.shed + other.shed,
            waiting: self.waiting + other.waiting,
            capacity: self.capacity + other.capacity,
            spool: self.spool + other.spool,
            switches: self.switches + other.switches,
        }
    }
}

impl Add for Held {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            spans: self.spans + other.spans,
            bytes: self.bytes + other.bytes,
            shed: self.shed + other.shed,
            damaged: self.damaged + other.damaged,
            errors: self.errors + other.errors,
        }
    }
}
