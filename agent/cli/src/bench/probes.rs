//! What each BPF program costs, by the kernel's own statistics, while the workloads run under tracenet.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tracenet_probes::{Nothing, Program, Statistics, programs_of};

use super::crew::Crew;
use super::pairs::start;
use super::ways::{WAYS, Way, Whom};
use super::worker::Workload;
use crate::failure::Failure;

/// The ways that are looked into, by name.
pub const LOOKED_INTO: [&str; 4] = ["another is traced", "all calls and packets", "-c", "agent"];

/// One program under one way.
#[derive(Debug, Serialize)]
pub struct Row {
    pub way: &'static str,
    pub program: String,
    pub hook: Option<&'static str>,
    /// It runs where it hooks; others run on demand.
    pub attached: bool,
    /// Those of everybody on the host, from the start of the workloads to their end; of one that runs on demand, all.
    pub runs: u64,
    /// Nanoseconds of a run, without those of the statistics; null where there was none.
    pub ns: Option<f64>,
    pub verified_insns: u32,
    pub translated_insns: u32,
    pub jited_bytes: u32,
}

/// The table.
#[derive(Debug, Serialize)]
pub struct Programs {
    /// What the statistics tell of a program that does nothing: taken off all others.
    pub empty_program_ns: f64,
    pub rows: Vec<Row>,
}

/// Runs all workloads under each of the ways.
pub fn measure(crew: &mut Crew, workloads: &[Workload], time: Duration) -> Result<Programs, Failure> {
    let _statistics = Statistics::enable().map_err(|e| match e.raw_os_error() {
        Some(libc::EPERM) => Failure::Privilege("not allowed to enable BPF's statistics: run as root".into()),
        _ => Failure::Privilege(format!("cannot enable BPF's statistics ({e}); Linux 5.8 or later has them")),
    })?;
    let empty_program_ns = empty(crew, time)?;
    // The client too: what a program does for a stranger would be in the mean.
    let mut targets = crew.targets();
    targets.push(crew.client());
    let whom = Whom { targets, idle: crew.idle() };
    let mut rows = Vec::new();
    for way in WAYS.iter().filter(|way| LOOKED_INTO.contains(&way.name)) {
        let failed = |why: String| Failure::Runtime(format!("{}: {why}", way.name));
        let watcher = start(crew, way, &whom).map_err(failed)?;
        let before = programs(watcher.pid())?;
        for workload in workloads {
            crew.run(*workload, time)?;
        }
        let after = programs(watcher.pid())?;
        watcher.end().map_err(failed)?;
        rows.extend(after.iter().filter(|p| p.attached || p.runs > 0).map(|program| {
            let earlier = before.iter().find(|p| p.id == program.id && p.attached);
            row(way, program, earlier, empty_program_ns)
        }));
    }
    Ok(Programs { empty_program_ns, rows })
}

/// Nanoseconds of a run of nothing.
fn empty(crew: &mut Crew, time: Duration) -> Result<f64, Failure> {
    let fail = |e: &dyn std::fmt::Display| Failure::Runtime(format!("cannot measure an empty program: {e}"));
    let nothing = Nothing::attach(c"sys_enter").map_err(|e| fail(&e))?;
    crew.run(Workload::Getppid, time)?;
    let program = nothing.program().filter(|p| p.runs > 0).ok_or_else(|| fail(&"it never ran"))?;
    Ok(program.run_ns as f64 / program.runs as f64)
}

fn programs(pid: u32) -> Result<Vec<Program>, Failure> {
    programs_of(pid).map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::Privilege("not allowed to look at BPF programs: run as root".into())
        }
        _ => Failure::Runtime(format!("cannot look at tracenet's programs: {e}")),
    })
}

fn row(way: &Way, program: &Program, earlier: Option<&Program>, empty_ns: f64) -> Row {
    let (runs, ns) = earlier.map_or((0, 0), |p| (p.runs, p.run_ns));
    let (runs, ns) = (program.runs.saturating_sub(runs), program.run_ns.saturating_sub(ns));
    Row {
        way: way.name,
        program: program.name.clone(),
        hook: program.hook,
        attached: program.attached,
        runs,
        ns: (runs > 0).then(|| (ns as f64 / runs as f64 - empty_ns).max(0.0)),
        verified_insns: program.verified_insns,
        translated_insns: program.translated_bytes / 8,
        jited_bytes: program.jited_bytes,
    }
}
