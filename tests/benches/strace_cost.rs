//! What it costs a process that each of its syscalls is recorded and printed to a file, or counted: added time for each
//! of 2 million calls of getppid(2), beside strace, perf and bpftrace where they are installed, and beside the least that
//! any program at both tracepoints costs. Medians of the runs; the process is pinned to CPU 0.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracenet_tests::floor::Floor;
use tracenet_tests::harness::which;
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{agent, load};

const RUNS: usize = 5;
const CALLS: u32 = 2_000_000;
/// Of those who stop the process at each call.
const SLOW_CALLS: u32 = 100_000;

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("out");
    let bare = median(RUNS, || spin(CALLS, |_| (), drop));
    println!("{:<44} {bare:8.0} ns a call", "bare");
    let added = |what: &str, ns: f64| {
        println!("{what:<44} {:8.0} ns added", ns - bare);
        ns - bare
    };
    let empty = median(RUNS, || spin(CALLS, |_| Floor::empty().expect("a pair"), drop));
    let empty = added("an empty pair of raw tracepoints", empty);
    let floor = median(RUNS, || spin(CALLS, |_| Floor::writing().expect("a pair"), drop));
    let floor = added("a pair that writes one record", floor);
    let count = median(RUNS, || spin(CALLS, |pid| tracenet(pid, &["-c"], &file), |p| end(p, &file, 0)));
    let count = added("tracenet attach -c", count);
    let lines = median(RUNS, || {
        spin(CALLS, |pid| tracenet(pid, &["--strace", "-f"], &file), |p| end(p, &file, CALLS))
    });
    let lines = added("tracenet attach --strace -f -o FILE", lines);
    let mut strace = None;
    if which("strace").is_some() {
        let ns = median(1, || spin(SLOW_CALLS, |pid| tool("strace", &["-f", "-o"], pid, &file), interrupt));
        strace = Some(added("strace -f -o FILE", ns));
        let ns =
            median(1, || spin(SLOW_CALLS, |pid| tool("strace", &["-f", "-c", "-o"], pid, &file), interrupt));
        added("strace -c", ns);
        println!("{:<44} {:>8}", "strace --seccomp-bpf", "can't attach (strace(1))");
    }
    for (name, args) in [("perf", &["trace", "-o"][..]), ("bpftrace", &[][..])] {
        if which(name).is_none() {
            println!("{name:<44} {:>8}", "not installed");
        } else if name == "perf" {
            let ns = median(1, || spin(SLOW_CALLS, |pid| tool(name, args, pid, &file), interrupt));
            added("perf trace -o FILE", ns);
        }
    }
    println!();
    println!("lines / a pair that writes one record: {:6.2} (at most 2)", lines / floor);
    println!("-c / an empty pair:                    {:6.2} (at most 1.5)", count / empty);
    if let Some(strace) = strace {
        println!("lines / strace:                       1/{:.0} (at most 1/20)", strace / lines);
    }
}

/// Nanoseconds of a call, the mean over all of them, while what `start` gives is there.
fn spin<T>(calls: u32, start: impl FnOnce(u32) -> T, end: impl FnOnce(T)) -> f64 {
    let netns = Netns::new("spin");
    let batches = (calls / 1000).to_string();
    let mut spin = Program::start(load::load(&netns).args(["spin", "1000", &batches]));
    spin.json();
    let mut cpus = CpuSet::new();
    cpus.set(0).expect("there is a CPU 0");
    sched_setaffinity(Pid::from_raw(spin.pid().cast_signed()), &cpus).expect("one's own child");
    let watching = start(spin.pid());
    spin.say("go");
    let ns = spin.json()["mean_ns_per_call"].as_f64().expect("a number");
    end(watching);
    ns
}

fn tracenet(pid: u32, options: &[&str], file: &Path) -> Program {
    let mut command = agent::command();
    command.arg("attach").args(options).args(["-p", &pid.to_string(), "-o"]).arg(file);
    let mut program = Program::start(&mut command);
    program.wait_for_stderr("attached");
    program
}

/// Ends it and holds that nothing was lost.
fn end(mut program: Program, file: &Path, lines: u32) {
    program.signal(Signal::SIGINT);
    program.wait();
    let text = std::fs::read_to_string(file).expect("the file exists");
    let told = text.lines().filter(|l| l.contains("getppid()")).count();
    assert!(told >= lines as usize && !text.contains("lost"), "{told} calls of {lines} were told");
}

fn tool(name: &str, args: &[&str], pid: u32, file: &Path) -> Program {
    let mut command = Command::new(name);
    command.args(args).arg(file).args(["-p", &pid.to_string()]).stdout(Stdio::null());
    let mut program = Program::start(&mut command);
    if name == "strace" {
        program.wait_for_stderr("attached");
    } else {
        // It says nothing when it is ready.
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    program
}

fn interrupt(mut program: Program) {
    kill(Pid::from_raw(program.pid().cast_signed()), Signal::SIGINT).expect("it runs");
    program.wait();
}

fn median(runs: usize, mut measure: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..runs).map(|_| measure()).collect();
    all.sort_by(f64::total_cmp);
    all[runs / 2]
}
