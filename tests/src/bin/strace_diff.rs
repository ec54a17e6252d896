//! Compares tracenet's syscall view with strace's on any command: `strace_diff [--apart] [-e N] -- CMD...`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Parser;
use tracenet_tests::strace::compare::Score;
use tracenet_tests::strace::run::{FLAGS, Job, beside};

/// Runs a command under strace and tracenet and says which lines differ.
#[derive(Debug, Parser)]
struct Args {
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
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let job = Job { command: args.command.clone(), folder: std::env::current_dir()? };
    let flags: Vec<&str> = match &args.flags {
        Some(flags) => flags.split_whitespace().collect(),
        None => FLAGS.to_vec(),
    };
    let score = beside(&job, &flags)?;
    print(&score, &args);
    Ok(())
}

fn print(score: &Score, args: &Args) {
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
    println!(
        "{} lines, {} equal ({:.2} %), {} in order with the same result ({:.2} %)",
        score.lines,
        score.equal,
        score.share(),
        score.in_order,
        score.order_share()
    );
}
