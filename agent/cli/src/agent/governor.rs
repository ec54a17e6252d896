//! What the probes cost each process, held to a budget: its turns are followed on fewer of its connections and counted on the
//! others, and where that is not enough, calls that send and receive are watched for a part of the time. They are everybody's,
//! so the process that needs it most says for which part.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tracenet_collectors::process;
use tracenet_core::governor::{Governor, Look, Position, Pressure, Rung, Settings, Spent, Step, Why};
use tracenet_core::key::ProcessKey;
use tracenet_core::time::{DurationNs, MonoNs};

use crate::governor::{Strain, why};

/// What is left out, first to last.
const LADDER: [Rung; 2] = [Rung { name: TURNS, sampled: true }, Rung { name: IO, sampled: true }];
const TURNS: &str = "turns";
pub const IO: &str = "io";

/// The budget is of so much of a CPU at least: a process that sleeps nearly all the time is not slowed by probes that take a large
/// part of the rest.
const FLOOR: f64 = 0.1;

/// Nothing is left out altogether: what it would cost could not be told any more.
const LEAST: f64 = 1e-4;
/// Calls are watched for this share of the time at least, for the same reason.
const LEAST_TIME: f64 = 0.01;

/// Of the budget's floor, what a process must cost to be minded.
const NOTED: f64 = 0.5;

/// A slice in which calls are watched is the share of so much time, and no shorter than the second.
const PERIOD_NS: f64 = 1e9;
const SHORTEST_NS: f64 = 50e6;

/// The processes that cost something.
pub struct Governors {
    budget: Option<f64>,
    ladder: Arc<[Rung]>,
    minded: FxHashMap<ProcessKey, Minded>,
    watching: Watching,
    strain: Strain,
    pressure: Pressure,
}

struct Minded {
    governor: Governor,
    probe_ns: u64,
    cpu_ns: u64,
    watched_ns: u64,
    looked: MonoNs,
}

/// A process's step, in words.
pub struct Told {
    /// What happens to it.
    pub line: String,
    /// What is in turn, and why.
    pub what: (&'static str, &'static str),
    /// Less is observed than before.
    pub less: bool,
}

impl Governors {
    /// `budget`: of a process's own CPU time, 0.01 for 1 %.
    pub fn new(budget: Option<f64>, now: MonoNs) -> Self {
        Self {
            budget,
            ladder: Arc::new(LADDER),
            minded: FxHashMap::default(),
            watching: Watching::new(1.0, now),
            strain: Strain::new(0),
            pressure: Pressure::default(),
        }
    }

    /// From now on this budget: everybody begins at the top.
    pub fn start_over(&mut self, budget: Option<f64>, now: MonoNs) {
        self.budget = budget;
        self.minded.clear();
        self.watching = Watching { missed_ns: self.watching.missed_ns, ..Watching::new(1.0, now) };
    }

    /// A round of looks begins, this long after the last one. `lost`: records so far.
    pub fn begin(&mut self, lost: u64, elapsed: Duration) {
        self.pressure = self.strain.look(Some(lost), elapsed);
    }

    /// Looks at a process that has cost so much so far, and `lately` since the last look, `seconds` ago.
    pub fn look(
        &mut self,
        key: ProcessKey,
        probe_ns: u64,
        lately: u64,
        seconds: f64,
        now: MonoNs,
    ) -> Option<Told> {
        let budget = self.budget?;
        // Where events are lost, or this takes too much itself, nobody's cost is too small to be minded.
        let noted = if self.pressure.any() { 1.0 } else { NOTED * budget * FLOOR * seconds * 1e9 };
        if !self.minded.contains_key(&key) && (lately as f64) < noted {
            return None;
        }
        // One that has ended costs nothing any more.
        let cpu_ns = process::cpu_time_ns(key.tgid)?;
        self.watching.book(now);
        let watched_ns = self.watching.total_ns;
        // What a slice has cost that has only begun is not what it will cost.
        if self.watching.has_only_begun(now) && self.minded.contains_key(&key) {
            return None;
        }
        let minded = self.minded.entry(key).or_insert_with(|| {
            let settings = Settings { budget, floor: FLOOR, min_share: LEAST };
            let mut governor = Governor::new(Arc::clone(&self.ladder), settings);
            // The measuring begins.
            let _ = governor.look(&Look::first(now));
            Minded { governor, probe_ns, cpu_ns, watched_ns, looked: now }
        });
        let cost = probe_ns.saturating_sub(minded.probe_ns);
        let own = cpu_ns.saturating_sub(minded.cpu_ns).saturating_sub(cost);
        let (time, watched) = (now.since(minded.looked).0, watched_ns.saturating_sub(minded.watched_ns));
        (minded.probe_ns, minded.cpu_ns) = (probe_ns, cpu_ns);
        (minded.watched_ns, minded.looked) = (watched_ns, now);
        // Calls may be watched less for the sake of another process: what it would cost without is what counts.
        let in_slices = minded.governor.position().left_out == 1 && watched < time;
        let cost_ns = match in_slices {
            true => cost,
            false => (cost as f64 * time as f64 / watched.max(1) as f64) as u64,
        };
        let part = watched as f64 / time.max(1) as f64;
        let own_ns = (own as f64 * part) as u64;
        let slices = in_slices.then_some(Spent { time_ns: watched, own_ns, cost_ns });
        let look = Look { t: now, cost_ns, own_ns: own, slices, pressure: self.pressure };
        let step = minded.governor.look(&look);
        let at_top = minded.governor.position() == Position::TOP;
        let told = step.map(|step| told(&minded.governor, &step, budget));
        if at_top && told.is_none() && (lately as f64) < noted {
            self.minded.remove(&key);
        }
        self.watching.share = self.io();
        told
    }

    /// On which share of a process's connections turns are followed.
    pub fn turns(&self, key: ProcessKey) -> f64 {
        self.minded.get(&key).map_or(1.0, |m| m.governor.share(0))
    }

    /// For which share of the time calls are watched.
    pub fn io(&self) -> f64 {
        self.minded.values().map(|m| m.governor.share(1)).fold(1.0, f64::min).max(LEAST_TIME)
    }

    /// For how long calls were not watched.
    pub fn missed(&self) -> DurationNs {
        DurationNs(self.watching.missed_ns)
    }

    /// Whether calls are to be watched now.
    pub fn watches(&mut self, now: MonoNs) -> bool {
        self.watching.poll(now)
    }

    /// The process has ended.
    pub fn forget(&mut self, key: ProcessKey) {
        if self.minded.remove(&key).is_some() {
            self.watching.share = self.io();
        }
    }
}

/// Calls are watched in slices, so that these make up a share of the time however late somebody asks.
struct Watching {
    share: f64,
    on: bool,
    since: MonoNs,
    booked: MonoNs,
    /// By how much fewer nanoseconds than the share they were watched.
    owed_ns: f64,
    /// For how long they were, and were not.
    total_ns: u64,
    missed_ns: u64,
}

impl Watching {
    /// Watches, and goes on for this share.
    fn new(share: f64, now: MonoNs) -> Self {
        Self { share, on: true, since: now, booked: now, owed_ns: 0.0, total_ns: 0, missed_ns: 0 }
    }

    fn book(&mut self, now: MonoNs) {
        let passed = now.since(self.booked).0;
        self.booked = now;
        let watched = if self.on { passed } else { 0 };
        self.total_ns += watched;
        self.missed_ns += passed - watched;
        self.owed_ns += self.share * passed as f64 - watched as f64;
    }

    fn has_only_begun(&self, now: MonoNs) -> bool {
        self.share < 1.0 && self.on && (now.since(self.since).0 as f64) < SHORTEST_NS * 0.8
    }

    fn poll(&mut self, now: MonoNs) -> bool {
        self.book(now);
        if self.share >= 1.0 {
            self.owed_ns = 0.0;
            return self.turn(true, now);
        }
        // What was watched before the share became so small is not made up for.
        let slice = (self.share * PERIOD_NS).max(SHORTEST_NS);
        self.owed_ns = self.owed_ns.clamp(-2.0 * slice, 2.0 * slice);
        let on = if self.on { self.owed_ns > 0.0 } else { self.owed_ns >= slice * 0.99 };
        self.turn(on, now)
    }

    fn turn(&mut self, on: bool, now: MonoNs) -> bool {
        if on != self.on {
            self.on = on;
            self.since = now;
        }
        on
    }
}

fn told(governor: &Governor, step: &Step, budget: f64) -> Told {
    let (turns, io) = (governor.share(0), governor.share(1));
    let what = if io < 1.0 {
        format!(
            "its turns are counted only, and calls of all processes are watched {:.0} % of the time",
            io * 1e2
        )
    } else if turns < 1.0 {
        format!("its turns are followed on {:.0} % of its connections and counted on the others", turns * 1e2)
    } else {
        "all its turns are followed".to_owned()
    };
    let cost = match step.why {
        Why::Pressure(p) if p.ring => "more came than could be read, and was lost".to_owned(),
        Why::Pressure(p) if p.cpu => "tracenet itself took half of all CPUs".to_owned(),
        Why::Pressure(_) => "tracenet itself takes a tenth of the memory".to_owned(),
        _ => format!("observing it cost {:.2} % of its CPU time, of {:.2} %", step.cost * 1e2, budget * 1e2),
    };
    let rung = if io < 1.0 { IO } else { TURNS };
    Told {
        line: format!("{cost}: {what}"),
        what: (rung, why(step.why).as_str()),
        less: turns < 1.0 || io < 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_a_reason_to_follow_less_of_whoever_costs_anything() {
        const SECOND: u64 = 1_000_000_000;
        let me = ProcessKey { tgid: std::process::id(), start_ns: 1 };
        let mut governors = Governors::new(Some(0.01), MonoNs(0));
        let (mut told, mut cost) = (Vec::new(), 0);
        for (n, lost) in [(1, 0), (2, 5), (3, 9), (4, 9)] {
            governors.begin(lost, Duration::from_secs(1));
            cost += 1_000;
            told.extend(governors.look(me, cost, 1_000, 1.0, MonoNs(n * SECOND)));
        }
        assert!(governors.turns(me) < 1.0, "{}", governors.turns(me));
        assert_eq!(told.first().map(|t| (t.what, t.less)), Some(((TURNS, "ring"), true)));
        assert!(told[0].line.starts_with("more came than could be read"), "{}", told[0].line);
    }

    #[test]
    fn slices_make_up_the_share_though_somebody_asks_late() {
        for share in [0.02, 0.2, 0.7] {
            let mut watching = Watching::new(share, MonoNs(0));
            let (mut now, mut changes, mut on) = (0, 0, true);
            for n in 0..4_000_u64 {
                // Every 50 ms, and then and now 120 ms.
                now += if n % 7 == 0 { 120_000_000 } else { 50_000_000 };
                let is = watching.poll(MonoNs(now));
                changes += u64::from(is != on);
                on = is;
            }
            let seen = watching.total_ns as f64 / now as f64;
            assert!((seen - share).abs() < 0.01, "{share}: {seen}");
            assert!(changes < now / 400_000_000, "{share}: {changes} changes");
        }
    }

    #[test]
    fn all_is_watched_again_at_once() {
        let mut watching = Watching::new(0.1, MonoNs(0));
        assert!(!watching.poll(MonoNs(1_000_000_000)));
        watching.share = 1.0;
        assert!(watching.poll(MonoNs(1_050_000_000)));
        assert!(watching.poll(MonoNs(2_000_000_000)));
    }
}
