//! Prints how well tracenet explains what is done to turns on purpose: `scenarios [--turns N] [--seeds N] [NAME...]`.
//! A name may be the beginning of one. The exit code is 1 where a goal is missed.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use tracenet_tests::netns;
use tracenet_tests::scenario::{Extent, Rows, Scenario, header, run, wire};

#[derive(Parser)]
#[command(about = "How well tracenet explains what is done to turns on purpose")]
struct Args {
    /// Turns of each scenario and seed
    #[arg(long, default_value_t = 200)]
    turns: u32,
    /// Seeds of each scenario
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Scenarios at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// The scenarios whose names begin so; else all
    names: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    netns::sweep();
    let wanted = |s: &&Scenario| args.names.is_empty() || args.names.iter().any(|n| s.name.starts_with(n));
    let chosen: Vec<&Scenario> = wire::ALL.iter().filter(wanted).collect();
    if chosen.is_empty() {
        eprintln!("no such scenario");
        return ExitCode::from(2);
    }
    println!("{}", header());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                while let Some(scenario) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut rows = Rows::default();
                    for seed in 1..=args.seeds {
                        rows.extend(run(scenario, Extent { seed, turns: args.turns }));
                    }
                    let mut failed = failed.lock().expect("nobody panics with it");
                    for row in rows.iter() {
                        println!("{row}");
                        let failures = row.failures(true);
                        if !failures.is_empty() {
                            failed.push(format!("{}: {}", row.title(), failures.join("; ")));
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics with it");
    for line in &failed {
        println!("missed: {line}");
    }
    ExitCode::from(u8::from(!failed.is_empty()))
}
