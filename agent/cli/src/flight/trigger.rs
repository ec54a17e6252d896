//! What freezes the ring, and how often it may.

use tracenet_core::event::RetransmitCause;
use tracenet_core::fact::{Fact, FactKind};
use tracenet_core::key::ConnId;
use tracenet_core::time::{DurationNs, MonoNs};

/// Time between two bundles of one kind, in nanoseconds.
const INTERVAL_NS: u64 = 10_000_000_000;

/// Bundles of a run.
pub const MAX_BUNDLES: u32 = 64;

/// Why a bundle is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A turn took as long as `--slow` says.
    Slow,
    /// A segment was sent again after a timeout.
    Rto,
    /// A packet was dropped on this host.
    Drop,
    /// A connection was reset.
    Reset,
    /// SIGUSR1.
    Signal,
}

impl Trigger {
    /// What this fact triggers.
    pub fn of(fact: &Fact, slow: Option<DurationNs>) -> Option<Self> {
        match &fact.kind {
            FactKind::Turn(turn) if slow.is_some_and(|slow| turn.duration() >= slow) => Some(Self::Slow),
            FactKind::Retransmit { cause: RetransmitCause::Timeout, .. } => Some(Self::Rto),
            FactKind::Dropped(_) => Some(Self::Drop),
            FactKind::Reset { .. } => Some(Self::Reset),
            _ => None,
        }
    }

    /// Its name in the folder's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Rto => "rto",
            Self::Drop => "drop",
            Self::Reset => "reset",
            Self::Signal => "signal",
        }
    }
}

/// A trigger that was heeded.
#[derive(Debug, Clone, Copy)]
pub struct Incident {
    /// What it was.
    pub trigger: Trigger,
    /// When it happened.
    pub t: MonoNs,
    /// To which connection.
    pub conn: Option<ConnId>,
}

/// Heeds one trigger of each kind in 10 s, and [`MAX_BUNDLES`] in all.
#[derive(Debug, Default)]
pub struct Limiter {
    last: [Option<MonoNs>; 5],
    heeded: u32,
    left_out: u64,
}

impl Limiter {
    /// Whether a trigger of now is heeded; it is counted where it isn't.
    pub fn heeds(&mut self, trigger: Trigger, now: MonoNs) -> bool {
        let Some(last) = self.last.get_mut(trigger as usize) else { return false };
        let too_soon = last.is_some_and(|last| now.since(last).0 < INTERVAL_NS);
        if too_soon || self.heeded >= MAX_BUNDLES {
            self.left_out += 1;
            return false;
        }
        *last = Some(now);
        self.heeded += 1;
        true
    }

    /// A trigger that falls into the time of a bundle to come: it is in there.
    pub fn includes(&mut self, trigger: Trigger, now: MonoNs) {
        if let Some(last) = self.last.get_mut(trigger as usize) {
            *last = Some(now);
        }
    }

    /// Triggers of which no bundle was made.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn one_of_a_kind_in_ten_seconds_and_so_many_in_all() {
        let mut limiter = Limiter::default();
        assert!(limiter.heeds(Trigger::Drop, MonoNs(0)));
        assert!(!limiter.heeds(Trigger::Drop, MonoNs(9 * S)));
        assert!(limiter.heeds(Trigger::Rto, MonoNs(9 * S)));
        limiter.includes(Trigger::Reset, MonoNs(9 * S));
        assert!(!limiter.heeds(Trigger::Reset, MonoNs(18 * S)));
        assert!(limiter.heeds(Trigger::Drop, MonoNs(10 * S)));
        let heeded = (0..100).filter(|i| limiter.heeds(Trigger::Slow, MonoNs(i * 100 * S))).count();
        assert_eq!(heeded, MAX_BUNDLES as usize - 3);
        assert_eq!(limiter.left_out(), 2 + 100 - heeded as u64);
    }
}
