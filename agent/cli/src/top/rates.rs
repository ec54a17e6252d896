//! Rates out of counters that are read every now and then.

use std::collections::VecDeque;
use std::time::Duration;

/// Spans of the rates, as iftop's.
pub const SPANS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(40)];

/// Readings that are kept: at the shortest interval (a second) those of the longest span, and the one before.
const MAX_READINGS: usize = 42;

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    pub sent: u64,
    pub received: u64,
}

impl Rate {
    /// Both ways.
    pub fn total(self) -> u64 {
        self.sent.saturating_add(self.received)
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_add(other.sent),
            received: self.received.saturating_add(other.received),
        }
    }
}

/// Bytes so far.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Since the start.
    at: Duration,
    sent: u64,
    received: u64,
}

impl Reading {
    fn rate_since(self, then: Self, now: Duration) -> Rate {
        let ns = now.saturating_sub(then.at).as_nanos().max(1);
        let per_second =
            |bytes: u64| u64::try_from(u128::from(bytes) * 1_000_000_000 / ns).unwrap_or(u64::MAX);
        Rate {
            sent: per_second(self.sent.saturating_sub(then.sent)),
            received: per_second(self.received.saturating_sub(then.received)),
        }
    }
}

/// Counters of bytes, as they were at the last readings.
#[derive(Debug)]
pub struct Readings(VecDeque<Reading>);

impl Readings {
    /// Of one that had sent and received this much `at` that time since the start.
    pub fn new(at: Duration, sent: u64, received: u64) -> Self {
        Self([Reading { at, sent, received }].into())
    }

    /// Takes another one.
    pub fn push(&mut self, at: Duration, sent: u64, received: u64) {
        if self.0.len() >= MAX_READINGS {
            self.0.pop_front();
        }
        self.0.push_back(Reading { at, sent, received });
    }

    /// Over [`SPANS`] before `now`, or the time since the first reading if that is shorter.
    pub fn rates(&self, now: Duration) -> [Rate; 3] {
        let Some(last) = self.0.back() else { return Default::default() };
        SPANS.map(|span| {
            let from = now.saturating_sub(span);
            let then = self.0.iter().rev().find(|r| r.at <= from).or(self.0.front());
            then.map_or_else(Rate::default, |then| last.rate_since(*then, now))
        })
    }

    /// Bytes a second, both ways, of each interval; the latest one last.
    pub fn history(&self) -> Vec<u64> {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        pairs.map(|(before, after)| after.rate_since(*before, after.at).total()).collect()
    }
}
