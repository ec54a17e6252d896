//! What observing costs the observed, held to a budget.
//!
//! A [`Governor`] is told about once a second what the probes cost a process ([`Look`]) and says how much of it may be
//! observed ([`Position`]): a ladder of things that are left out one after the other, the one in turn for a share of the
//! time (or of the connections), so that the cost is held at the budget and not somewhere below it. It knows no clock and
//! no probe; a [`Slicer`] turns a share of the time into slices.
//!
//! Down it goes within one look, as far as the excess says: what a rung saves is measured where it is observed in slices,
//! and remembered. Up it goes when the cost was low for [`HOLD_MIN_NS`], as far as what is remembered of the rungs above
//! allows: to the top at once where the load is gone. Each ascent that was taken back soon makes it wait longer, at most
//! [`HOLD_MAX_NS`]. A rung that would cost too much by what is remembered is tried again after [`RETRY_MIN_NS`], and then
//! ever later.

mod gain;
mod slicer;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::time::MonoNs;

use gain::{Gain, NEWS, TELLS_NOTHING, smooth};
pub use slicer::{Slicer, Spent};

/// How long the cost must be low before more is observed.
pub const HOLD_MIN_NS: u64 = 2_000_000_000;
/// The same of a load that comes and goes. The top is reached within 10 s of a load's end though looks come late: it takes two
/// until one is low, and one more after this.
pub const HOLD_MAX_NS: u64 = 4_000_000_000;
/// When a rung is tried of which is remembered that it costs too much. Each time doubles it, to 64 times as long.
pub const RETRY_MIN_NS: u64 = 30_000_000_000;

/// An ascent that is taken back within this time was one too many.
const FAILED_WITHIN_NS: u64 = 15_000_000_000;
/// So long without such a one, and the load is taken for a steady one again.
const FORGET_NS: u64 = 60_000_000_000;
/// What is fully observed may cost so much more than the budget before less of it is.
const TOLERANCE: f64 = 1.15;
/// What more is observed must cost no more than this part of the budget.
const ROOM: f64 = 0.85;
/// Below this part of the budget nothing is learnt: a process that does nothing tells nothing of the rungs.
const TELLING: f64 = 0.05;
/// What a rung is thought to multiply the cost by that was never measured.
const GUESS: f64 = 2.0;
/// Under pressure the cost is to be divided by this.
const PRESSED: f64 = 3.0;
/// A share that changed by less than this factor is no step to be told.
const TOLD: f64 = 2.0;

/// Something that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// What: `calls`.
    pub name: &'static str,
    /// It can be observed for a share only; otherwise it is observed or not.
    pub sampled: bool,
}

/// What a [`Governor`] holds to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Nanoseconds of probes per nanosecond of the process's own CPU time: 0.01 for 1 %.
    pub budget: f64,
    /// The process is taken to use at least so much of a CPU, from 0: what sleeps nearly all the time is not slowed by
    /// probes that take a large part of the rest.
    pub floor: f64,
    /// The smallest share, above 0: what would have to be observed less is left out.
    pub min_share: f64,
}

/// Other reasons to observe less: what is spent is to be a third, look by look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Records were lost, or the ring is nearly full.
    pub ring: bool,
    /// tracenet itself takes too much of the CPUs.
    pub cpu: bool,
    /// tracenet itself takes too much memory.
    pub memory: bool,
}

impl Pressure {
    /// There is some.
    pub fn any(self) -> bool {
        self.ring || self.cpu || self.memory
    }
}

/// What was measured since the look before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Now. The first look begins the measuring, and nothing else of it is read.
    pub t: MonoNs,
    /// What the probes took from the process, in nanoseconds.
    pub cost_ns: u64,
    /// The process's CPU time without that, in nanoseconds.
    pub own_ns: u64,
    /// What of all that lay in slices, where the share is one of time. `None`: the share was kept exactly.
    pub slices: Option<Spent>,
    /// Other reasons to observe less.
    pub pressure: Pressure,
}

impl Look {
    /// The one with which the measuring begins.
    pub fn first(t: MonoNs) -> Self {
        Self { t, cost_ns: 0, own_ns: 0, slices: None, pressure: Pressure::default() }
    }
}

/// How much is observed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// So many of the rungs, from the first on, are left out.
    pub left_out: usize,
    /// Of the next rung, where there is one, this share is observed: above 0, to 1.
    pub share: f64,
}

impl Position {
    /// Everything is observed.
    pub const TOP: Self = Self { left_out: 0, share: 1.0 };

    /// True where this observes less than `other`.
    pub fn is_below(self, other: Self) -> bool {
        self.left_out > other.left_out || (self.left_out == other.left_out && self.share < other.share)
    }
}

/// Why a step was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The cost is above the budget.
    Costly,
    /// There is room for more.
    Room,
    /// Something else than the cost.
    Pressure(Pressure),
    /// Nothing is left to be left out, and the cost is above the budget all the same. It is no step, and told once.
    Lowest,
}

/// A step that is worth a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// When.
    pub t: MonoNs,
    /// Where to.
    pub to: Position,
    /// What led to it: the cost since the look before, as [`Settings::budget`].
    pub cost: f64,
    /// Why.
    pub why: Why,
}

/// Holds one process (or several together) to a budget.
#[derive(Debug, Clone)]
pub struct Governor {
    rungs: Arc<[Rung]>,
    settings: Settings,
    at: Position,
    told: Position,
    told_lowest: bool,
    last: Option<MonoNs>,
    /// What it costs to observe all of the rung in turn, and none of it.
    full: Option<f64>,
    rest: Option<f64>,
    /// Since when the cost is lower than `full` says, and its maximum since.
    low: Option<(MonoNs, f64)>,
    /// By rung: what observing it does to the cost, where that is known.
    gains: Vec<Option<Gain>>,
    /// The process's own CPU time since the look before, as a part of what it was taken to be.
    busy: f64,
    /// Share and cost of the look before, at the rung in turn.
    before: Option<(f64, f64)>,
    /// Rungs that were just left out or taken back, and the cost before.
    trial: Option<(Range<usize>, f64)>,
    hold_ns: u64,
    ascended: Option<MonoNs>,
    descended: Option<MonoNs>,
    /// As `descended`, of every move and not only those that were told.
    fell: Option<MonoNs>,
    /// The last look under pressure.
    pressed: Option<MonoNs>,
    retry_ns: u64,
    retry_at: MonoNs,
}

impl Governor {
    /// At the top of a ladder whose first rung is left out first.
    pub fn new(rungs: Arc<[Rung]>, settings: Settings) -> Self {
        let gains = vec![None; rungs.len()];
        Self {
            rungs,
            settings,
            at: Position::TOP,
            told: Position::TOP,
            told_lowest: false,
            last: None,
            full: None,
            rest: None,
            low: None,
            gains,
            busy: 1.0,
            before: None,
            trial: None,
            hold_ns: HOLD_MIN_NS,
            ascended: None,
            descended: None,
            fell: None,
            pressed: None,
            retry_ns: RETRY_MIN_NS,
            retry_at: MonoNs::default(),
        }
    }

    /// The ladder.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// How much is to be observed.
    pub fn position(&self) -> Position {
        self.at
    }

    /// The share of a rung that is to be observed, from 0 to 1.
    pub fn share(&self, rung: usize) -> f64 {
        match rung.cmp(&self.at.left_out) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => self.at.share,
            std::cmp::Ordering::Greater => 1.0,
        }
    }

    /// Takes what was measured, and says what is worth a word; [`position`](Self::position) may have changed by less.
    pub fn look(&mut self, look: &Look) -> Option<Step> {
        let elapsed = look.t.since(self.last.replace(look.t)?).0 as f64;
        if elapsed <= 0.0 {
            return None;
        }
        let own = (look.own_ns as f64).max(self.settings.floor * elapsed).max(1.0);
        let cost = look.cost_ns as f64 / own;
        self.busy = (look.own_ns as f64 / own).min(1.0);
        self.learn(cost);
        self.measure(look, cost, elapsed);
        let budget = self.settings.budget;
        let pressed = look.pressure.any();
        if pressed {
            self.pressed = Some(look.t);
        }
        // No slice since the last step: the one before has to be paid for still.
        let unknown = self.full.is_none() && self.at.share < 1.0 && cost <= budget * TOLERANCE;
        let full = self.full.unwrap_or(cost);
        let to = if unknown && !pressed {
            self.at
        } else if pressed {
            self.below(full, budget.min(cost / PRESSED), 1.0)
        } else if self.at.share < 1.0 && full > budget * ROOM {
            self.below(full, budget, 1.0)
        } else if full > budget * TOLERANCE {
            self.below(full, budget, TOLERANCE)
        } else {
            self.above(look.t, full)
        };
        let to = self.held_back(look.t, to);
        self.before = (to.left_out == self.at.left_out).then_some((self.at.share, cost));
        self.go(look.t, to, cost);
        self.tell(look, cost, pressed)
    }

    /// What the last look's change did to the cost. Of several rungs each is thought to have done it of which nothing is
    /// known yet.
    fn learn(&mut self, cost: f64) {
        let Some((rungs, before)) = self.trial.take() else { return };
        let down = self.at.left_out >= rungs.end;
        let (less, more) = if down { (cost, before) } else { (before, cost) };
        if less <= self.settings.budget * TELLING && !(down && self.busy > 0.5) {
            return;
        }
        let seen = Gain::new(more, less, self.busy);
        for gain in self.gains.get_mut(rungs.clone()).into_iter().flatten() {
            if rungs.len() == 1 || gain.is_none() {
                *gain = Some(seen);
            }
        }
    }

    /// What it costs to observe all of the rung in turn, and none of it.
    fn measure(&mut self, look: &Look, cost: f64, elapsed: f64) {
        let rung = self.at.left_out;
        let floor = self.settings.floor;
        let (full, rest) = match look.slices {
            _ if self.at.share >= 1.0 => (Some(cost), None),
            Some(slices) => {
                let ratio = |cost: u64, own: u64, time: f64| {
                    let own = (own as f64).max(floor * time);
                    (own > 0.0).then_some(cost as f64 / own)
                };
                let time = slices.time_ns as f64;
                // It runs, but hardly did in the slices: they tell nothing.
                let missed = (slices.own_ns as f64) < floor * time && look.own_ns as f64 >= floor * elapsed;
                let (others, own) =
                    (look.cost_ns.saturating_sub(slices.cost_ns), look.own_ns.saturating_sub(slices.own_ns));
                let full = ratio(slices.cost_ns, slices.own_ns, time).filter(|_| !missed);
                let rest = ratio(others, own, (elapsed - time).max(0.0));
                // Whatever noise says, it can't cost less to observe more.
                (full.map(|full| full.max(rest.unwrap_or(0.0))), rest)
            }
            None => {
                let (full, rest) = self.by_share(rung, cost);
                (Some(full), Some(rest))
            }
        };
        if let Some(rest) = rest {
            self.rest = Some(self.rest.map_or(rest, |r| smooth(r, rest)));
        }
        if let Some(full) = full {
            self.follow(look.t, full);
        }
        if let (Some(full), Some(rest)) = (full, self.rest)
            && full > self.settings.budget * TELLING
            && let Some(gain) = self.gains.get_mut(rung)
        {
            let seen = Gain::new(full, rest, self.busy);
            *gain = Some(gain.map_or(seen, |g| g.smoothed(seen)));
        }
    }

    /// The same where slices don't tell: from two looks with different shares, else from what is remembered.
    fn by_share(&self, rung: usize, cost: f64) -> (f64, f64) {
        let share = self.at.share;
        match (self.before, self.gains.get(rung).copied().flatten()) {
            (Some((other, theirs)), _) if other / share > 1.4 || share / other > 1.4 => {
                let slope = ((theirs - cost) / (other - share)).max(0.0);
                let rest = (cost - slope * share).max(0.0);
                (rest + slope, rest)
            }
            (_, Some(Gain { ratio, .. })) => {
                let rest = cost / (1.0 + (ratio - 1.0) * share);
                (rest * ratio, rest)
            }
            (_, None) => (cost / share, 0.0),
        }
    }

    /// Small changes of the cost are smoothed, a rise is believed at once, a fall when it has lasted.
    fn follow(&mut self, t: MonoNs, seen: f64) {
        let Some(full) = self.full else {
            self.full = Some(seen);
            return;
        };
        if seen * NEWS >= full {
            self.low = None;
            self.full = Some(smooth(full, seen));
            return;
        }
        let (since, most) = self.low.map_or((t, seen), |(since, most)| (since, most.max(seen)));
        self.low = Some((since, most));
        if t.since(since).0 >= self.hold_ns {
            self.low = None;
            self.full = Some(most);
        }
    }

    fn gain(&self, rung: usize) -> Option<Gain> {
        self.gains.get(rung).copied().flatten()
    }

    /// What it will cost to observe a rung that is left out, where it costs so much without.
    fn with(&self, rung: usize, cost: f64) -> f64 {
        match self.gain(rung) {
            // What is observed of the process without it tells nothing of what it does: all that is known is that it runs.
            Some(gain) if gain.ratio > TELLS_NOTHING => cost.max(gain.full * self.busy),
            Some(gain) => cost * gain.ratio,
            None => cost * GUESS,
        }
    }

    /// Where to observe less, so that what costs `full` now costs no more than the budget.
    fn below(&self, full: f64, budget: f64, tolerance: f64) -> Position {
        let mut cost = full;
        let sampled_from = |rung: usize| self.rungs.iter().skip(rung).any(|r| r.sampled);
        for (rung, it) in self.rungs.iter().enumerate().skip(self.at.left_out) {
            if cost <= budget * tolerance && rung > self.at.left_out {
                return Position { left_out: rung, share: 1.0 };
            }
            let measured = self.rest.filter(|_| rung == self.at.left_out && self.at.share < 1.0);
            let rest = measured.or_else(|| self.gain(rung).map(|gain| cost / gain.ratio));
            if it.sampled {
                let share = match rest {
                    Some(rest) if cost > rest => (budget - rest) / (cost - rest),
                    Some(_) => 0.0,
                    None => (budget / cost).max(self.settings.min_share),
                };
                if share >= self.settings.min_share {
                    // All of it is observed again where that has room only: it would come and go.
                    return Position { left_out: rung, share: share.min(0.95) };
                }
                cost = rest.unwrap_or(cost);
            } else if let Some(rest) = rest {
                cost = rest;
            } else if cost <= budget * GUESS {
                return Position { left_out: rung + 1, share: 1.0 };
            } else if !sampled_from(rung) {
                cost /= GUESS;
            }
        }
        Position { left_out: self.rungs.len(), share: 1.0 }
    }

    /// Where to observe more, of which `full` is what all of the rung in turn costs.
    fn above(&mut self, t: MonoNs, full: f64) -> Position {
        let budget = self.settings.budget;
        let mut to = Position { left_out: self.at.left_out, share: 1.0 };
        let mut cost = full;
        while let Some(rung) = to.left_out.checked_sub(1) {
            let sampled = self.rungs.get(rung).is_some_and(|r| r.sampled);
            let gain = self.gain(rung);
            let with = self.with(rung, cost);
            if with <= budget * ROOM {
                to.left_out = rung;
                cost = with;
                continue;
            }
            // Nothing is known of it: the next look will tell, if it is the only change.
            if gain.is_none() && !sampled && cost <= budget * ROOM {
                if to == self.at {
                    to.left_out = rung;
                }
                break;
            }
            let share = if sampled { (budget - cost) / (with - cost) } else { 0.0 };
            if share >= self.settings.min_share * 2.0 {
                return Position { left_out: rung, share: share.min(0.95) };
            }
            if to == self.at && t >= self.retry_at {
                self.retry_ns = (self.retry_ns * 2).min(RETRY_MIN_NS * 64);
                self.retry_at = t.after(self.retry_ns);
                let share = if sampled { self.settings.min_share } else { 1.0 };
                return Position { left_out: rung, share };
            }
            break;
        }
        to
    }

    /// Right after a descent the cost of the new position is not known well enough to take it back, and pressure comes again.
    fn held_back(&self, t: MonoNs, to: Position) -> Position {
        let at = self.at;
        if self.pressed.is_some_and(|pressed| t.since(pressed).0 < self.hold_ns) && !to.is_below(at) {
            return at;
        }
        if self.fell.is_none_or(|fell| t.since(fell).0 >= self.hold_ns) || to.is_below(at) {
            return to;
        }
        let share = if to.left_out < at.left_out { 1.0 } else { to.share };
        Position { left_out: at.left_out, share: share.min(at.share * 3.0) }
    }

    /// Takes the position, with what is thought of its cost until it is measured.
    fn go(&mut self, t: MonoNs, to: Position, cost: f64) {
        let from = std::mem::replace(&mut self.at, to);
        if to.left_out > from.left_out || to.share * NEWS < from.share {
            self.fell = Some(t);
        }
        if to.left_out == from.left_out {
            if to.share >= 1.0 {
                self.rest = None;
            }
            return;
        }
        let whole = |p: Position| p.share >= 1.0;
        let (low, high) = (to.left_out.min(from.left_out), to.left_out.max(from.left_out));
        if whole(to) && whole(from) && high - low == 1 {
            self.trial = Some((low..high, cost));
        } else if whole(to) && high == to.left_out {
            // Of one that was observed in slices more is known.
            self.trial = Some((low + usize::from(!whole(from))..high, cost));
        }
        if to.left_out > from.left_out && t >= self.retry_at {
            self.retry_at = t.after(self.retry_ns);
        }
        self.low = None;
        self.rest = None;
        // Down, the next look will tell; up, nothing is known but what is remembered.
        self.full = None;
        if to.left_out < from.left_out && !whole(to) {
            self.rest = Some(cost);
        }
    }

    fn tell(&mut self, look: &Look, cost: f64, pressed: bool) -> Option<Step> {
        let t = look.t;
        if self.descended.is_some_and(|down| t.since(down).0 > FORGET_NS) {
            self.hold_ns = HOLD_MIN_NS;
            let tried = self.ascended.is_some_and(|up| t.since(up).0 <= FORGET_NS);
            if self.at == Position::TOP && self.told == Position::TOP && !tried {
                self.descended = None;
                self.retry_ns = RETRY_MIN_NS;
            }
        }
        let to = self.at;
        let lowest = to.left_out == self.rungs.len() && cost > self.settings.budget * TOLERANCE;
        let factor = (to.share / self.told.share).max(self.told.share / to.share);
        let whole = |p: Position| p.share >= 1.0;
        if to.left_out == self.told.left_out && whole(to) == whole(self.told) && factor < TOLD {
            // It has been there for a look, so this is what is left.
            if lowest && !std::mem::replace(&mut self.told_lowest, true) {
                return Some(Step { t, to, cost, why: Why::Lowest });
            }
            return None;
        }
        self.told_lowest = false;
        let down = to.is_below(self.told);
        self.told = to;
        if !down {
            self.ascended = Some(t);
        } else {
            self.descended = Some(t);
            if self.ascended.take().is_some_and(|up| t.since(up).0 <= FAILED_WITHIN_NS) {
                self.hold_ns = (self.hold_ns * 2).min(HOLD_MAX_NS);
            }
        }
        let why = match down {
            true if pressed && cost <= self.settings.budget => Why::Pressure(look.pressure),
            true => Why::Costly,
            false => Why::Room,
        };
        Some(Step { t, to, cost, why })
    }
}
