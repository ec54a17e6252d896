//! Alternating pairs, and what they say.

use std::time::Duration;

use serde::Serialize;

use super::crew::{Crew, Run, cpu_ns};
use super::ways::{Watcher, Way, Whom};
use super::worker::Workload;
use crate::failure::Failure;

/// A run without a watcher and one with it, next to each other.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pair {
    /// Nobody watched.
    pub bare: Run,
    /// The way was there.
    pub watched: Run,
    /// CPU time of the watcher meanwhile.
    pub watcher_cpu_ns: u64,
}

/// What became of a way.
pub enum Outcome {
    NotInstalled,
    /// Why, in one line.
    Failed(String),
    Measured {
        /// By workload.
        pairs: Vec<(Workload, Vec<Pair>)>,
        /// Events that it lost in all, where it says so.
        lost: Option<u64>,
    },
}

/// So many pairs of each workload. Two neighbours share one start of the watcher: bare, watched, watched, bare.
pub fn measure(
    crew: &mut Crew,
    way: &Way,
    workloads: &[Workload],
    pairs: usize,
    time: Duration,
) -> Result<Outcome, Failure> {
    if way.installed().is_none() {
        return Ok(Outcome::NotInstalled);
    }
    let seen: Vec<Workload> = workloads.iter().copied().filter(|w| way.sees(*w)).collect();
    let whom = Whom { targets: crew.targets(), idle: crew.idle() };
    let mut measured: Vec<(Workload, Vec<Pair>)> = seen.iter().map(|w| (*w, Vec::new())).collect();
    let mut losses = None;
    let mut left = pairs;
    while left > 0 && !seen.is_empty() {
        let mut bare = round(crew, &seen, time)?;
        let watcher = match start(crew, way, &whom) {
            Ok(watcher) => watcher,
            Err(why) => return Ok(Outcome::Failed(why)),
        };
        let mut watched = watched_round(crew, &watcher, &seen, time)?;
        left -= 1;
        let mut again = None;
        if left > 0 {
            // What comes last before the watcher ends comes first after it.
            let reversed: Vec<Workload> = seen.iter().rev().copied().collect();
            again = Some((watched_round(crew, &watcher, &reversed, time)?, reversed));
            left -= 1;
        }
        match watcher.end() {
            Ok(Some(lost)) => *losses.get_or_insert(0) += lost,
            Ok(None) => {}
            Err(why) => return Ok(Outcome::Failed(why)),
        }
        if let Some((mut second, reversed)) = again {
            let mut after = round(crew, &reversed, time)?;
            second.reverse();
            after.reverse();
            watched.extend(second);
            bare.extend(after);
        }
        for (n, (bare, (watched, watcher_cpu_ns))) in bare.into_iter().zip(watched).enumerate() {
            if let Some((_, pairs)) = measured.get_mut(n % seen.len()) {
                pairs.push(Pair { bare, watched, watcher_cpu_ns });
            }
        }
    }
    Ok(Outcome::Measured { pairs: measured, lost: losses })
}

/// Starts a way; those whom it is to see do a little meanwhile, for one that says nothing until then.
pub fn start(crew: &mut Crew, way: &Way, whom: &Whom) -> Result<Watcher, String> {
    let burst = || {
        let done = crew.run(Workload::Getppid, Duration::from_millis(1));
        done.map(drop).map_err(|e| e.to_string())
    };
    way.start(whom, burst)
}

fn round(crew: &mut Crew, workloads: &[Workload], time: Duration) -> Result<Vec<Run>, Failure> {
    workloads.iter().map(|w| crew.run(*w, time)).collect()
}

fn watched_round(
    crew: &mut Crew,
    watcher: &Watcher,
    workloads: &[Workload],
    time: Duration,
) -> Result<Vec<(Run, u64)>, Failure> {
    workloads
        .iter()
        .map(|workload| {
            let before = cpu_ns(watcher.pid());
            let run = crew.run(*workload, time)?;
            Ok((run, cpu_ns(watcher.pid()).saturating_sub(before)))
        })
        .collect()
}

/// Pairs in figures: medians over them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Nanoseconds of an operation when nobody watches.
    pub bare_ns: f64,
    /// What the way adds to it.
    pub added_ns: f64,
    /// CPU time of an operation when nobody watches.
    pub bare_cpu_ns: f64,
    /// What the way adds to it, in those who work.
    pub added_cpu_ns: f64,
    /// CPU time of the watcher for an operation, while it was being done.
    pub watcher_cpu_ns: f64,
    /// Operations a second beside bare.
    pub ratio: Spread,
}

/// Of several ratios.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Figures {
    /// `None` where there is no pair.
    pub fn of(pairs: &[Pair]) -> Option<Self> {
        let over = |f: &dyn Fn(&Pair) -> f64| sorted(pairs.iter().map(f));
        let middle = |f: &dyn Fn(&Pair) -> f64| median(&over(f));
        let ratios = over(&|p| p.bare.ns() / p.watched.ns());
        Some(Self {
            bare_ns: middle(&|p| p.bare.ns())?,
            added_ns: middle(&|p| p.watched.ns() - p.bare.ns())?,
            bare_cpu_ns: middle(&|p| p.bare.cpu_ns())?,
            added_cpu_ns: middle(&|p| p.watched.cpu_ns() - p.bare.cpu_ns())?,
            watcher_cpu_ns: middle(&|p| p.watcher_cpu_ns as f64 / p.watched.operations as f64)?,
            ratio: Spread { median: median(&ratios)?, min: *ratios.first()?, max: *ratios.last()? },
        })
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The mean of the middle two where the number is even.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(ns: u64) -> Run {
        Run { operations: 10, wall_ns: ns * 10, cpu_ns: ns * 5 }
    }

    #[test]
    fn figures_are_medians_over_pairs() {
        let pair = |bare, watched| Pair { bare: run(bare), watched: run(watched), watcher_cpu_ns: 40 };
        let figures = Figures::of(&[pair(100, 200), pair(100, 125), pair(200, 400)]).unwrap();
        assert_eq!((figures.bare_ns, figures.added_ns), (100.0, 100.0));
        assert_eq!((figures.bare_cpu_ns, figures.added_cpu_ns), (50.0, 50.0));
        assert_eq!(figures.watcher_cpu_ns, 4.0);
        assert_eq!(figures.ratio, Spread { median: 0.5, min: 0.5, max: 0.8 });
        assert_eq!(Figures::of(&[]), None);
        assert_eq!(median(&[1.0, 3.0]), Some(2.0));
    }
}
