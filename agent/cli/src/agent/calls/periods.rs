//! Which session tells what: two see the same process, and each turn is to be told once.

use rustc_hash::FxHashMap;
use tracenet_core::fact::{Fact, FactKind};
use tracenet_core::key::ProcessKey;
use tracenet_core::time::MonoNs;

/// Times of one process that are remembered; the first ones go.
const MOST_PERIODS: usize = 4;

/// So long after the end of a process, or of its last period, facts of it may come.
const KEPT_NS: u64 = 120_000_000_000;

/// A session that is told to end has ended within this time, mostly.
const ENDS_NS: u64 = 1_000_000_000;

/// While a process was followed by its calls.
#[derive(Debug, Clone, Copy)]
struct Period {
    since: MonoNs,
    until: Option<MonoNs>,
}

impl Period {
    fn holds(&self, start: MonoNs, end: MonoNs) -> bool {
        self.since <= start && self.until.is_none_or(|until| end < until)
    }
}

/// The periods of all processes that are followed by their calls, or were lately. What happened within one is told by that
/// session, all else by the one that follows every process.
#[derive(Debug, Default)]
pub struct Periods {
    of: FxHashMap<ProcessKey, (Vec<Period>, Option<MonoNs>)>,
}

impl Periods {
    /// A process is followed so from now on.
    pub fn begin(&mut self, key: ProcessKey, now: MonoNs) {
        let (periods, forget) = self.of.entry(key).or_default();
        if periods.len() >= MOST_PERIODS {
            periods.remove(0);
        }
        periods.push(Period { since: now, until: None });
        *forget = None;
    }

    /// It no longer is.
    pub fn end(&mut self, key: ProcessKey, now: MonoNs) {
        if let Some((periods, forget)) = self.of.get_mut(&key) {
            for period in periods.iter_mut().filter(|p| p.until.is_none()) {
                period.until = Some(now);
            }
            *forget = Some(now.after(KEPT_NS));
        }
    }

    /// The process has ended: its last connections end after it.
    pub fn over(&mut self, key: ProcessKey, now: MonoNs) {
        if let Some((_, forget)) = self.of.get_mut(&key) {
            *forget = Some(now.after(KEPT_NS));
        }
    }

    /// Forgets those of which nothing more comes.
    pub fn tick(&mut self, now: MonoNs) {
        self.of.retain(|_, (_, forget)| forget.is_none_or(|t| now < t));
    }

    /// True where a fact of the session that follows every process is told by the one that follows calls.
    pub fn hold(&self, fact: &Fact) -> bool {
        match &fact.kind {
            // At its end that session tells of all connections that are open.
            FactKind::Closed(summary) => self.any(fact, |p| {
                let over = |until: MonoNs| fact.t >= until.after(ENDS_NS) || summary.start >= until;
                p.since <= fact.t && !p.until.is_some_and(over)
            }),
            _ => self.hold_time(fact),
        }
    }

    /// True where a fact of the session that follows calls is told. Not so are turns that its `ending` cut off: the answer
    /// comes later, and the other session tells of them.
    pub fn take(&self, fact: &Fact, ending: bool) -> bool {
        match &fact.kind {
            FactKind::Opened { .. } | FactKind::Lost { .. } => true,
            FactKind::Closed(_) => self.any(fact, |p| p.since <= fact.t),
            FactKind::Turn(turn) if ending && turn.response_bytes == 0 => false,
            _ => self.hold_time(fact),
        }
    }

    fn hold_time(&self, fact: &Fact) -> bool {
        let (start, end) = match &fact.kind {
            FactKind::Turn(turn) => (turn.start, turn.end.max(turn.start)),
            _ => (fact.t, fact.t),
        };
        self.any(fact, |p| p.holds(start, end))
    }

    fn any(&self, fact: &Fact, is_it: impl Fn(&Period) -> bool) -> bool {
        let periods = fact.who.as_ref().and_then(|who| self.of.get(&who.key));
        periods.is_some_and(|(periods, _)| periods.iter().any(is_it))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracenet_core::fact::Who;

    use super::*;

    fn fact(t: u64) -> Fact {
        let key = ProcessKey { tgid: 7, start_ns: 1 };
        let who = Who { key, tid: 7, comm: Arc::from("x") };
        Fact { t: MonoNs(t), who: Some(who), conn: None, kind: FactKind::Exited { code: 0 } }
    }

    #[test]
    fn what_happens_within_a_period_is_told_once() {
        let key = ProcessKey { tgid: 7, start_ns: 1 };
        let mut periods = Periods::default();
        assert!(!periods.hold(&fact(5)), "nobody follows it");
        periods.begin(key, MonoNs(10));
        periods.end(key, MonoNs(20));
        periods.begin(key, MonoNs(30));
        let held: Vec<u64> =
            [9, 10, 19, 20, 29, 30, 99].into_iter().filter(|t| periods.hold(&fact(*t))).collect();
        assert_eq!(held, [10, 19, 30, 99]);
        periods.tick(MonoNs(KEPT_NS * 2));
        assert!(periods.hold(&fact(99)), "it goes on");
        periods.over(key, MonoNs(100));
        periods.tick(MonoNs(99 + KEPT_NS));
        assert!(periods.hold(&fact(99)), "its connections end after it");
        periods.tick(MonoNs(100 + KEPT_NS));
        assert!(!periods.hold(&fact(99)), "nothing is remembered for ever");
    }

    #[test]
    fn the_table_of_periods_is_bounded() {
        let key = ProcessKey { tgid: 7, start_ns: 1 };
        let mut periods = Periods::default();
        for n in 0..100 {
            periods.begin(key, MonoNs(n * 10));
            periods.end(key, MonoNs(n * 10 + 5));
        }
        assert_eq!(periods.of[&key].0.len(), MOST_PERIODS);
    }
}
