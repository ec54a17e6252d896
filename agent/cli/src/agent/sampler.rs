//! Which turns become spans: a threshold and a share for each process and side, from what its turns took lately.

use rustc_hash::FxHashMap;
use tracenet_config::agent::Sampling;
use tracenet_probes::{Turns, TurnsOf};

/// Fewer turns since the last look say little: then all that are known count.
const FEW: u64 = 100;

/// Weight of the newest threshold.
const NEWEST: f64 = 0.3;

/// What the kernel is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// A turn that takes as long is slow.
    pub slow_ns: u64,
    /// Of the others, the share that is told, 0 to 1.
    pub share: f64,
}

/// Policies as they were told last.
#[derive(Debug, Default)]
pub struct Sampler {
    told: FxHashMap<TurnsOf, Policy>,
}

impl Sampler {
    /// Looks at what one process did at one end of its connections in the last `seconds`, and all in all. `Some` where the
    /// kernel is to be told something new.
    pub fn look(
        &mut self,
        of: TurnsOf,
        lately: &Turns,
        all: &Turns,
        seconds: f64,
        sampling: &Sampling,
    ) -> Option<Policy> {
        let per_second = lately.answered as f64 / seconds.max(0.001);
        let budget = f64::from(sampling.rate_per_second);
        let share = if per_second > budget { budget / per_second } else { 1.0 };
        // As many slow ones as fit the budget, and no more than are slow.
        let rank = sampling.slow_quantile.max(1.0 - share);
        let basis = if lately.answered < FEW { all } else { lately };
        // What is as slow as the bucket's bound is in it still.
        let now = basis.quantile(rank)?.saturating_add(1);
        let before = self.told.get(&of);
        let slow_ns = match before {
            Some(before) => (before.slow_ns as f64 * (1.0 - NEWEST) + now as f64 * NEWEST) as u64,
            None => now,
        };
        let policy = Policy { slow_ns, share: if budget == 0.0 { 0.0 } else { share } };
        let near = |a: f64, b: f64| (a - b).abs() <= 0.1 * a.max(b);
        if before.is_some_and(|b| near(b.slow_ns as f64, slow_ns as f64) && near(b.share, policy.share)) {
            return None;
        }
        self.told.insert(of, policy);
        Some(policy)
    }

    /// The process has ended.
    pub fn forget(&mut self, of: TurnsOf) {
        self.told.remove(&of);
    }

    /// The settings have changed: everything is told anew.
    pub fn start_over(&mut self) {
        self.told.clear();
    }
}

#[cfg(test)]
mod tests {
    use tracenet_core::key::{ProcessKey, Role};

    use super::*;

    const OF: TurnsOf = (ProcessKey { tgid: 7, start_ns: 1 }, Role::Server);
    const SAMPLING: Sampling = Sampling { slow_quantile: 0.99, rate_per_second: 20 };

    #[test]
    fn a_slow_process_is_told_whole_and_a_fast_one_by_its_budget() {
        let mut sampler = Sampler::default();
        // Ten turns a second of a millisecond.
        let few = Turns::of(&[(1_000_000, 10)]);
        let policy = sampler.look(OF, &few, &few, 1.0, &SAMPLING).expect("the first one is news");
        assert_eq!(policy.share, 1.0);
        assert!((1_000_000..1_300_000).contains(&policy.slow_ns), "{policy:?}");
        // Ten thousand, one in a hundred of them slow: of those a fifth fits the budget.
        let many = Turns::of(&[(1_000_000, 9_900), (50_000_000, 80), (100_000_000, 20)]);
        let policy = sampler.look(OF, &many, &many, 1.0, &SAMPLING).expect("it has changed");
        assert!((policy.share - 0.002).abs() < 1e-9, "{policy:?}");
        assert!(policy.slow_ns > 10_000_000, "{policy:?}");
        assert_eq!(sampler.look(OF, &Turns::default(), &Turns::default(), 1.0, &SAMPLING), None);
    }

    #[test]
    fn what_is_nearly_the_same_is_not_told_again() {
        let mut sampler = Sampler::default();
        let turns = Turns::of(&[(1_000_000, 1_000)]);
        assert!(sampler.look(OF, &turns, &turns, 1.0, &SAMPLING).is_some());
        assert!(sampler.look(OF, &turns, &turns, 1.0, &SAMPLING).is_none());
        sampler.start_over();
        assert!(sampler.look(OF, &turns, &turns, 1.0, &SAMPLING).is_some());
    }
}
