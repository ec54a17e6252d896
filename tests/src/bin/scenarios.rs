//! Prints how well tracenet explains what is done to turns on purpose: `scenarios [--turns N] [--seeds N] [NAME...]`.
//! A name may be the beginning of one. The exit code is 1 where a goal is missed.

use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;
use tracenet_tests::netns;
use tracenet_tests::scenario::{Amount, Extent, Scenario, header, host, run, run_all, wire};

#[derive(Parser)]
#[command(about = "How well tracenet explains what is done to turns on purpose")]
struct Args {
    /// Turns of each scenario and seed, at first
    #[arg(long, default_value_t = 200)]
    turns: u32,
    /// Further turns until so many have suffered, with all seeds together
    #[arg(long, default_value_t = 200)]
    hurt: u32,
    /// But no more than these with a seed
    #[arg(long, default_value_t = 10_000)]
    most: u32,
    /// Seeds of each scenario
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Scenarios at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// One scenario with one seed, as JSON
    #[arg(long)]
    alone: bool,
    /// The seed, for --alone
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The scenarios whose names begin so; else all
    names: Vec<String>,
}

fn main() -> ExitCode {
    let Args { turns, hurt, most, seeds, jobs, alone, seed, names } = Args::parse();
    if alone {
        let scenario =
            wire::ALL.iter().find(|s| names.iter().any(|n| s.name == n)).expect("a scenario's name");
        let rows = run(scenario, Extent { seed, turns });
        println!("{}", serde_json::to_string(&rows).expect("plain data"));
        return ExitCode::SUCCESS;
    }
    netns::sweep();
    let wanted = |s: &&Scenario| names.is_empty() || names.iter().any(|n| s.name.starts_with(n));
    let chosen: Vec<&str> = wire::ALL.iter().filter(wanted).map(|s| s.name).collect();
    let wanted = |s: &&host::Scenario| names.is_empty() || names.iter().any(|n| s.name.starts_with(n));
    let of_host: Vec<&host::Scenario> = host::ALL.iter().filter(wanted).collect();
    if chosen.is_empty() && of_host.is_empty() {
        eprintln!("no such scenario");
        return ExitCode::from(2);
    }
    if !chosen.is_empty() {
        println!("{}", header());
    }
    let each = hurt.div_ceil(u32::try_from(seeds).unwrap_or(u32::MAX).max(1));
    let amount = Amount { turns, hurt: each, most };
    let failed = Mutex::new(Vec::new());
    let seeds: Vec<u64> = (1..=seeds).collect();
    run_all(&chosen, &seeds, amount, jobs, |rows| {
        let mut failed = failed.lock().expect("nobody panics with it");
        let few = rows.fewest_hurt();
        if (1..u64::from(hurt)).contains(&few) {
            let turns = rows.turns();
            failed.push(format!("{few} turns hurt in {turns}, {hurt} wanted, at most {most} turns a seed"));
        }
        for row in rows.iter() {
            println!("{row}");
            let failures = row.failures(true);
            if !failures.is_empty() {
                failed.push(format!("{}: {}", row.title(), failures.join("; ")));
            }
        }
    });
    let mut failed = failed.into_inner().expect("nobody panics with it");
    failed.extend(at_the_host(&of_host, amount, seeds.len() as u64));
    for line in &failed {
        println!("missed: {line}");
    }
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// Runs with one seed at most, where few turns suffer.
const MOST_RUNS: u64 = 8;

/// One at a time: they count what happens to the host. Returns what falls short.
fn at_the_host(scenarios: &[&host::Scenario], amount: Amount, seeds: u64) -> Vec<String> {
    if !scenarios.is_empty() {
        println!("{}", host::header());
    }
    let mut failed = Vec::new();
    for scenario in scenarios {
        let mut rows: Vec<host::Row> = Vec::new();
        for seed in 1..=seeds {
            for again in 0..MOST_RUNS {
                // Some more than as many drops in all, since chance has a say.
                let drops = (amount.turns * 3 / 2).div_ceil(u32::try_from(seeds).unwrap_or(u32::MAX));
                for row in host::run(scenario, host::Extent { seed: seed + 1_000 * again, drops }) {
                    match rows.iter_mut().find(|r| r.name == row.name) {
                        Some(known) => known.add(row),
                        None => rows.push(row),
                    }
                }
                let hurt = rows.iter().map(|r| r.turns).max().unwrap_or(0);
                if hurt == 0 || hurt >= u64::from(amount.hurt) * seed {
                    break;
                }
            }
        }
        for row in &rows {
            println!("{row}");
            let failures = row.failures();
            if !failures.is_empty() {
                failed.push(format!("{}: {}", row.title(), failures.join("; ")));
            }
        }
    }
    failed
}
