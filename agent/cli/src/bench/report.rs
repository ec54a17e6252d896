//! The tables and the document.

use std::fmt::Write as _;

use serde::Serialize;

use super::pairs::{Figures, Outcome, Pair};
use super::probes::Programs;
use super::ways::Way;
use super::worker::Workload;
use crate::units::Count;

/// Where and when.
#[derive(Debug, Serialize)]
pub struct Head {
    pub schema: &'static str,
    pub version: &'static str,
    pub kernel: String,
    pub cpu: String,
    pub cpus: usize,
    pub date: String,
    /// Nanoseconds of a run, as asked for.
    pub run_ns: u64,
}

/// One way and one workload.
#[derive(Debug, Serialize)]
pub struct Row {
    pub workload: &'static str,
    pub way: &'static str,
    /// What was started.
    pub command: String,
    /// `measured`, `not_installed` or `failed`.
    pub outcome: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// Events that the way lost in all its runs; null where it doesn't say.
    pub lost: Option<u64>,
    /// Raw, in the order in which they were made.
    pub pairs: Vec<Pair>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Document {
    #[serde(flatten)]
    pub head: Head,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programs: Option<Programs>,
}

impl Head {
    /// Of this machine, now.
    pub fn now(run_ns: u64) -> Self {
        let kernel = nix::sys::utsname::uname()
            .map_or_else(|_| "?".to_owned(), |u| u.release().to_string_lossy().into_owned());
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
        Self {
            schema: "tracenet.bench/1",
            version: env!("CARGO_PKG_VERSION"),
            kernel,
            cpu: model.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            run_ns,
        }
    }

    /// One line.
    pub fn text(&self) -> String {
        let Self { version, kernel, cpu, cpus, date, .. } = self;
        format!("tracenet {version}, Linux {kernel}, {cpus} CPUs ({cpu}), {date}\n")
    }
}

/// The rows of a way: one for each workload that it has something to see in.
pub fn rows(way: &Way, workloads: &[Workload], outcome: Outcome) -> Vec<Row> {
    let seen = workloads.iter().copied().filter(|w| way.sees(*w));
    let row = |workload: Workload, outcome| Row {
        workload: workload.name(),
        way: way.name,
        command: way.command(),
        outcome,
        error: None,
        figures: None,
        lost: None,
        pairs: Vec::new(),
    };
    match outcome {
        Outcome::NotInstalled => seen.map(|w| row(w, "not_installed")).collect(),
        Outcome::Failed(why) => seen.map(|w| Row { error: Some(why.clone()), ..row(w, "failed") }).collect(),
        Outcome::Measured { pairs, lost } => pairs
            .into_iter()
            .map(|(w, pairs)| Row { figures: Figures::of(&pairs), pairs, lost, ..row(w, "measured") })
            .collect(),
    }
}

/// A machine on which nothing else is done leaves more to work that never waits.
const ALONE: f64 = 0.95;

/// The part of their time for which bare calls had a CPU; `None` where they were not measured.
fn share_of_cpu(rows: &[Row]) -> Option<f64> {
    let calls = [Workload::Getppid.name(), Workload::Write.name()];
    let bare = || rows.iter().filter(|row| calls.contains(&row.workload)).flat_map(|row| &row.pairs);
    let (cpu, wall) = bare().fold((0, 0), |(cpu, wall), p| (cpu + p.bare.cpu_ns, wall + p.bare.wall_ns));
    (wall > 0).then(|| cpu as f64 / wall as f64)
}

/// A table for each workload.
pub fn table(rows: &[Row], pairs: usize, run_ns: u64) -> String {
    let ms = run_ns / 1_000_000;
    let mut out = format!(
        "{} of {ms} ms: medians; ratio: operations a second beside bare [from..to]\n",
        Count(pairs as u64, "alternating pair")
    );
    if let Some(share) = share_of_cpu(rows).filter(|share| *share < ALONE) {
        let _ = writeln!(
            out,
            "something else was running: work that never waits had a CPU for {:.0} % of its time; ratios say little, \
             CPU added more",
            share * 100.0
        );
    }
    for workload in Workload::ALL {
        let of: Vec<&Row> = rows.iter().filter(|r| r.workload == workload.name()).collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "\n{:<22} {:>10} {:>10} {:>10} {:>11}  ratio",
            workload.name(),
            "ns bare",
            "ns added",
            "CPU added",
            "its own CPU"
        );
        for row in of {
            let _ = match (&row.figures, &row.error) {
                (Some(f), _) => writeln!(
                    out,
                    "{:<22} {:>10.0} {:>10.0} {:>10.0} {:>11.0}  {:.3} [{:.3}..{:.3}]{}",
                    row.way,
                    f.bare_ns,
                    f.added_ns,
                    f.added_cpu_ns,
                    f.watcher_cpu_ns,
                    f.ratio.median,
                    f.ratio.min,
                    f.ratio.max,
                    row.lost
                        .filter(|n| *n > 0)
                        .map_or_else(String::new, |n| format!(", {n} events lost in all")),
                ),
                (None, Some(why)) => writeln!(out, "{:<22} failed: {why}", row.way),
                (None, None) => writeln!(out, "{:<22} not installed", row.way),
            };
        }
    }
    out
}

/// A table for each way that was looked into.
pub fn programs(programs: &Programs) -> String {
    let mut out = format!(
        "nanoseconds of a run by the kernel's statistics, less {:.0} that they tell of an empty program\n",
        programs.empty_program_ns
    );
    let mut way = "";
    for row in &programs.rows {
        if row.way != way {
            way = row.way;
            let _ = writeln!(
                out,
                "\n{:<22} {:<29} {:>9} {:>8} {:>9} {:>10} {:>9}",
                way, "hook", "runs", "ns", "verified", "translated", "jited"
            );
        }
        let ns = row.ns.map_or_else(|| "-".to_owned(), |ns| format!("{ns:.0}"));
        let _ = writeln!(
            out,
            "{:<22} {:<29} {:>9} {:>8} {:>9} {:>10} {:>9}",
            row.program,
            row.hook.unwrap_or("?"),
            row.runs,
            ns,
            row.verified_insns,
            row.translated_insns,
            row.jited_bytes
        );
    }
    out
}
