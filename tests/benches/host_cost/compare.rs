//! A load, bare and watched in alternating pairs; then once more with BPF's statistics, which say where the time goes.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;
use serde_json::json;
use tracenet_probes::{Nothing, Program as Loaded, Statistics, programs_of};
use tracenet_tests::counters::cpu_ns;
use tracenet_tests::netns::Netns;

use crate::Arguments;
use crate::ways::{WAYS, Watcher, Way};

/// A server under load.
pub struct Load<'a> {
    /// As the table has it.
    pub name: &'a str,
    /// Where it is.
    pub netns: &'a Netns,
    /// The server's process.
    pub server: u32,
    /// Runs the client, to make so large a part of the usual number of requests: requests, and requests a second.
    pub run: &'a dyn Fn(f64) -> (f64, f64),
}

/// One run of it, per request but the rate.
#[derive(Clone, Copy, Serialize)]
struct Sample {
    rate: f64,
    /// CPU time of server and client, which hardly changes with what else the machine does.
    cpu_ns: f64,
    watcher_ns: f64,
}

impl Load<'_> {
    fn sample(&self, part: f64, watcher: Option<&Watcher>) -> Sample {
        let watched = || watcher.map_or(0, Watcher::cpu_ns);
        let (begin, its_begin) = (cpu_ns(self.server) + children_ns(), watched());
        let (requests, rate) = (self.run)(part);
        let (end, its_end) = (cpu_ns(self.server) + children_ns(), watched());
        Sample {
            rate,
            cpu_ns: (end - begin) as f64 / requests,
            watcher_ns: (its_end - its_begin) as f64 / requests,
        }
    }

    /// One that watches, and has for as long as it needs.
    fn watch(&self, way: &Way) -> Watcher {
        let watcher = way.start(self.netns, self.server);
        let begin = Instant::now();
        while begin.elapsed() < way.settles {
            (self.run)(1.0);
        }
        watcher
    }

    /// A row for each way.
    pub fn compare(&self, arguments: &Arguments) {
        self.sample(arguments.part, None);
        println!(
            "\n{:<26} {:>9} {:>27} {:>5} {:>9} {:>9} {:>8} {:>8}",
            self.name, "bare/s", "ratio", "goal", "CPU bare", "CPU added", "its own", "BPF"
        );
        for way in WAYS.iter().filter(|way| arguments.wants(way.name)) {
            if way.installed() {
                self.one(way, arguments);
            } else {
                println!("{:<26} not installed", way.name);
            }
        }
    }

    fn one(&self, way: &Way, arguments: &Arguments) {
        let part = if way.slow { arguments.part / 10.0 } else { arguments.part };
        let mut lost = 0;
        let mut pairs: Vec<(Sample, Sample)> = Vec::new();
        while pairs.len() < arguments.pairs {
            // Bare, watched, watched, bare: what grows or cools with time is nobody's.
            let before = self.sample(part, None);
            let watcher = self.watch(way);
            pairs.push((before, self.sample(part, Some(&watcher))));
            let again = (pairs.len() < arguments.pairs).then(|| self.sample(part, Some(&watcher)));
            lost += watcher.end();
            if let Some(watched) = again {
                pairs.push((self.sample(part, None), watched));
            }
        }
        let made = pairs.len();
        pairs.retain(|(bare, watched)| bare.rate > 0.0 && watched.rate > 0.0);
        if pairs.is_empty() {
            println!("{:<26} no request was answered: something else keeps the machine busy", way.name);
            return;
        }
        let unanswered = made - pairs.len();
        let over = |f: fn(&(Sample, Sample)) -> f64| {
            let mut all: Vec<f64> = pairs.iter().map(f).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let middle = |all: &[f64]| (all[all.len() / 2] + all[(all.len() - 1) / 2]) / 2.0;
        let ratios = over(|(bare, watched)| watched.rate / bare.rate);
        let ratio = middle(&ratios);
        let profile = if way.is_ours() { self.profile(way, part) } else { Vec::new() };
        if let Some(raw) = &arguments.raw {
            let row = json!({"load": self.name, "way": way.name, "pairs": pairs, "programs": profile, "lost": lost});
            let mut file = File::options().append(true).open(raw).expect("it was made at the start");
            writeln!(file, "{row}").expect("the file of --raw takes a row");
        }
        println!(
            "{:<26} {:>9.0} {:>27} {:>5} {:>9.0} {:>9.0} {:>8.0} {:>8}{}{}",
            way.name,
            middle(&over(|(bare, _)| bare.rate)),
            format!("{ratio:.3} [{:.3}..{:.3}]", ratios[0], ratios[ratios.len() - 1]),
            way.goal.map_or_else(|| "-".into(), |goal| format!("{goal:.2}")),
            middle(&over(|(bare, _)| bare.cpu_ns)),
            middle(&over(|(bare, watched)| watched.cpu_ns - bare.cpu_ns)),
            middle(&over(|(_, watched)| watched.watcher_ns)),
            if way.is_ours() {
                format!("{:.0}", profile.iter().map(|row| row.ns).sum::<f64>())
            } else {
                "-".into()
            },
            if lost > 0 { format!("  {lost} events lost") } else { String::new() },
            if unanswered > 0 {
                format!("  {unanswered} pairs without an answer left out")
            } else {
                String::new()
            },
        );
        if arguments.profile || way.goal.is_some_and(|goal| ratio < goal) {
            for row in profile.iter().filter(|row| row.ns >= LITTLE_NS) {
                println!(
                    "    {:<22} {:>8.1} ns: {:.3} runs of {:.0} ns",
                    row.name,
                    row.ns,
                    row.runs,
                    row.ns / row.runs
                );
            }
        }
    }

    /// Nanoseconds a request by program, less what the statistics tell of a program that does nothing; the dearest first.
    fn profile(&self, way: &Way, part: f64) -> Vec<Row> {
        let _statistics = Statistics::enable().expect("root may enable BPF's statistics");
        let empty = empty_ns();
        let watcher = self.watch(way);
        let programs = || programs_of(watcher.pid()).expect("root may look at BPF programs");
        let before = programs();
        let (requests, _) = (self.run)(part);
        let after = programs();
        watcher.end();
        let earlier = |program: &Loaded| {
            before.iter().find(|p| p.id == program.id).map_or((0, 0), |p| (p.runs, p.run_ns))
        };
        let mut rows: Vec<Row> = after
            .into_iter()
            .filter_map(|program| {
                let (runs, ns) = earlier(&program);
                let (runs, ns) = ((program.runs - runs) as f64, (program.run_ns - ns) as f64);
                let ns = (ns - runs * empty).max(0.0);
                (runs > 0.0).then(|| Row { name: program.name, runs: runs / requests, ns: ns / requests })
            })
            .collect();
        rows.sort_by(|a, b| b.ns.total_cmp(&a.ns));
        rows
    }
}

/// Less of a program for a request is not worth a line.
const LITTLE_NS: f64 = 1.0;

/// A program, per request.
#[derive(Serialize)]
struct Row {
    name: String,
    runs: f64,
    ns: f64,
}

/// What the statistics tell of a run of nothing.
fn empty_ns() -> f64 {
    let nothing = Nothing::attach(c"sys_enter").expect("root may attach a program");
    for _ in 0..200_000 {
        // SAFETY: getppid(2) takes nothing and can't fail.
        unsafe { libc::getppid() };
    }
    let program = nothing.program().expect("the kernel tells of its programs");
    program.run_ns as f64 / program.runs as f64
}

/// CPU time of all children that have ended and were waited for.
fn children_ns() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("one's own usage");
    let ns = usage.user_time().num_nanoseconds() + usage.system_time().num_nanoseconds();
    ns.unsigned_abs()
}
