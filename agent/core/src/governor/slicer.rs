//! Slices in which something is observed, and pauses until they are paid for.

use crate::time::MonoNs;

/// How far ahead or behind the account may be, in nanoseconds of a process that uses a CPU alone. What was spent before that
/// is not made up for, and what was not spent then is not hoarded.
const CREDIT_NS: f64 = 1e9;
/// A pause lasts for this part of a period at least: each costs the host something, too.
const SHORTEST_PAUSE: u64 = 25;
/// Debt that is none, in nanoseconds.
const SMALL_CHANGE_NS: f64 = 1_000.0;

/// Says when to begin and to end slices. A pause ends when the process's own CPU time has paid for what the slice before it
/// cost, so that the budget is met however long a slice was, and whether or not the process ran in it.
#[derive(Debug, Clone)]
pub struct Slicer {
    budget: f64,
    floor: f64,
    shortest_ns: u64,
    period_ns: u64,
    share: f64,
    on: bool,
    since: MonoNs,
    /// What may be spent, in nanoseconds; debt below 0.
    credit: f64,
    /// What comes in, by the nanosecond.
    income: f64,
    booked: MonoNs,
}

/// What passed between two bookings of a [`Slicer`], in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Time.
    pub time_ns: u64,
    /// The process's own CPU time.
    pub own_ns: u64,
    /// Cost of the probes.
    pub cost_ns: u64,
}

impl Slicer {
    /// In a slice that lasts as long as the share is 1. Others last for a share of `period_ns`, and for `shortest_ns` at
    /// least. `budget` and `floor` as in [`Settings`](super::Settings).
    pub fn new(now: MonoNs, budget: f64, floor: f64, shortest_ns: u64, period_ns: u64) -> Self {
        Self {
            budget,
            floor,
            shortest_ns,
            period_ns,
            share: 1.0,
            on: true,
            since: now,
            credit: 0.0,
            income: budget,
            booked: now,
        }
    }

    /// From now on about this share, from 0 to 1: the account says how much exactly.
    pub fn set_share(&mut self, share: f64) {
        self.share = share.clamp(0.0, 1.0);
    }

    /// From now on something else is in the slices: what was spent before is not made up for.
    pub fn start_over(&mut self) {
        self.credit = 0.0;
    }

    /// Books what passed until now. To be called before [`poll`](Self::poll).
    pub fn book(&mut self, now: MonoNs, spent: &Spent) {
        let time = spent.time_ns as f64;
        let income = self.budget * (spent.own_ns as f64).max(self.floor * time);
        let most = self.budget * CREDIT_NS;
        self.credit = (self.credit + income - spent.cost_ns as f64).clamp(-most, most);
        // In a slice it is less.
        if !self.on && spent.time_ns >= self.shortest_ns {
            self.income = income / time;
        }
        self.booked = now;
    }

    /// True in a slice. To be asked at [`next`](Self::next) or later.
    pub fn poll(&mut self, now: MonoNs) -> bool {
        let due = self.next().is_some_and(|t| t <= now);
        let turns = if self.on {
            due
        } else {
            self.share >= 1.0 || (due && self.share > 0.0 && self.credit >= -SMALL_CHANGE_NS)
        };
        if turns {
            self.on = !self.on;
            self.since = now;
        }
        self.on
    }

    /// When the slice or the pause ends, as far as is known; `None`: not before the share changes.
    pub fn next(&self) -> Option<MonoNs> {
        if self.on {
            return (self.share < 1.0).then(|| self.since.after(self.slice_ns()));
        }
        let pause = self.since.after(self.shortest_ns.max(self.period_ns / SHORTEST_PAUSE));
        let debt = (-SMALL_CHANGE_NS - self.credit).max(0.0);
        // No longer than a period: what comes in may be more by then.
        let paid = (debt / self.income.max(self.budget * self.floor).max(1e-9)).min(self.period_ns as f64);
        (self.share > 0.0).then(|| pause.max(self.booked.after(paid as u64)))
    }

    fn slice_ns(&self) -> u64 {
        if self.share <= 0.0 {
            return 0;
        }
        ((self.share * self.period_ns as f64) as u64).max(self.shortest_ns)
    }
}
