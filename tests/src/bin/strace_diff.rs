//! Compares tracenet's syscall view with strace's on any command: `strace_diff -- CMD...`; without one, on the programs of
//! `tests/strace_diff.rs`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Parser;
use tracenet_tests::strace::compare::Score;
use tracenet_tests::strace::programs::Lab;
use tracenet_tests::strace::run::{FLAGS, Job, apart, beside};

/// Runs commands under strace and tracenet and says which lines differ.
#[derive(Debug, Parser)]
struct Args {
    /// Runs of their own, with strace against strace beside, instead of one run that both see.
    #[arg(long)]
    apart: bool,
    /// Examples of differing lines to print for each call.
    #[arg(short = 'e', default_value_t = 2)]
    examples: usize,
    /// Only this call's.
    #[arg(short = 'c')]
    call: Option<String>,
    /// Flags for both tools instead of `-f -yy -s 256 -v`, as one word.
    #[arg(long, allow_hyphen_values = true)]
    flags: Option<String>,
    /// The command.
    #[arg(last = true)]
    command: Vec<OsString>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let flags: Vec<&str> = match &args.flags {
        Some(flags) => flags.split_whitespace().collect(),
        None => FLAGS.to_vec(),
    };
    let mut total = Score::default();
    if args.command.is_empty() {
        let lab = Lab::new()?;
        for (name, job) in lab.jobs() {
            print!("{name:13} ");
            total.add(&one(&args, &job, &flags, || lab.clean())?);
        }
        print!("{:13} ", "all");
        println!("{}", line(&total));
    } else {
        let job = Job { command: args.command.clone(), folder: std::env::current_dir()? };
        total = one(&args, &job, &flags, || Ok(()))?;
    }
    examples(&total, &args);
    Ok(())
}

fn one(args: &Args, job: &Job, flags: &[&str], mut before: impl FnMut() -> Result<()>) -> Result<Score> {
    if args.apart {
        let found = apart(job, flags, before)?;
        let ceiling = &found.ceiling;
        println!(
            "{}; strace itself {:.2} %, {:.2} %",
            line(&found.score),
            ceiling.share(),
            ceiling.order_share()
        );
        Ok(found.score)
    } else {
        before()?;
        let score = beside(job, flags)?;
        println!("{}", line(&score));
        Ok(score)
    }
}

fn line(score: &Score) -> String {
    format!(
        "{:6} lines, {:6} equal ({:.2} %), {:6} in order with the same result ({:.2} %)",
        score.lines,
        score.equal,
        score.share(),
        score.in_order,
        score.order_share()
    )
}

fn examples(score: &Score, args: &Args) {
    let mut calls: Vec<_> = score.by_call.iter().filter(|(_, (_, unequal))| *unequal > 0).collect();
    calls.sort_by_key(|(_, (_, unequal))| std::cmp::Reverse(*unequal));
    for (name, (lines, unequal)) in calls {
        if args.call.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        println!("{unequal:6} of {lines:6} {name}");
        let of_call = |(theirs, ours): &&(String, String)| {
            let line = if theirs.is_empty() { ours } else { theirs };
            line.split('(').next() == Some(name)
        };
        for (theirs, ours) in score.differences.iter().filter(of_call).take(args.examples) {
            println!("  - {theirs}\n  + {ours}");
        }
    }
}
