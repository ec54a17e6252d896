//! The syscall view against strace: real programs that both see at once, line by line.

use std::process::ExitCode;

use tracenet_tests::case;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::strace::differences::accepted;
use tracenet_tests::strace::programs::Lab;
use tracenet_tests::strace::run::{FLAGS, beside};

const NEEDS: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("strace")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(every_line_is_that_of_strace, NEEDS),
        case!(abbreviated_lines_are_those_of_strace, NEEDS),
        case!(descriptors_without_details_are_those_of_strace, NEEDS),
    ])
}

fn every_line_is_that_of_strace() {
    compare(FLAGS, usize::MAX);
}

fn abbreviated_lines_are_those_of_strace() {
    compare(&["-f"], 12);
}

fn descriptors_without_details_are_those_of_strace() {
    compare(&["-f", "-y", "-x"], 12);
}

/// All programs, or every few of them.
fn compare(flags: &[&str], most: usize) {
    let lab = Lab::new().expect("a folder and servers");
    let jobs = lab.jobs();
    let step = jobs.len().div_ceil(most.min(jobs.len()).max(1));
    let mut wrong = Vec::new();
    for (name, job) in jobs.into_iter().step_by(step) {
        lab.clean().expect("a clean folder");
        let score = beside(&job, flags).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(score.lines > 10, "{name}: {} lines", score.lines);
        if score.in_order < score.lines {
            wrong.push(format!("{name}: {} of {} in order", score.in_order, score.lines));
        }
        for (theirs, ours) in score.differences.iter().filter(|(theirs, ours)| !accepted(theirs, ours)) {
            wrong.push(format!("{name}:\n  - {theirs}\n  + {ours}"));
        }
    }
    let shown = wrong.len().min(20);
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..shown].join("\n"));
}
