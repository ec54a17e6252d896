//! How long to wait before the next attempt: longer each time, and never the same for all nodes of a cluster, whose
//! agents lose a server at the same moment.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The first delay, and the longest, before up to half as much is added.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Delays between attempts.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    random: RandomState,
    draws: u64,
}

impl Pace {
    /// It went well: the next delay is the first.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next delay.
    pub fn next(&mut self) -> Duration {
        let delay = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        delay + delay.mul_f64(self.fraction() / 2.0)
    }

    /// From 0 to 1, at random: the standard library's hasher has random keys.
    pub fn fraction(&mut self) -> f64 {
        self.draws += 1;
        let bits = u32::try_from(self.random.hash_one(self.draws) >> 32).unwrap_or(0);
        f64::from(bits) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_differ() {
        let mut pace = Pace::default();
        let mut expected = FIRST;
        for _ in 0..40 {
            let delay = pace.next();
            assert!((expected..=expected.mul_f64(1.5)).contains(&delay), "{delay:?} for {expected:?}");
            expected = (expected * 2).min(LONGEST);
        }
        pace.reset();
        assert!(pace.next() <= FIRST.mul_f64(1.5));
        let draws: Vec<f64> = (0..100).map(|_| pace.fraction()).collect();
        assert!(draws.iter().any(|f| *f < 0.5) && draws.iter().any(|f| *f > 0.5));
    }
}
