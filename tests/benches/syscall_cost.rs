//! What tracing costs the application: ns per getppid(2) and µs per loopback round trip, bare, as a stranger, and
//! as the target. Medians of five runs, pinned to one CPU.

use std::time::Instant;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tracenet_tests::agent::Agent;
use tracenet_tests::load;
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;

const RUNS: usize = 5;
const TURNS: u64 = 50_000;

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let idle_home = Netns::new("idle");
    let idle = Program::start(idle_home.command("cat").arg("-"));
    for (what, options) in [
        ("bare", None),
        ("another process is traced", Some((false, &[][..]))),
        ("target, sockets only", Some((true, &["-e", "trace=none", "-i", "none"][..]))),
        ("target, sockets and packets", Some((true, &["-e", "trace=none"]))),
        ("target, everything as JSON", Some((true, &[]))),
    ] {
        let calls = median(|| getppid(options, &idle));
        let turns = median(|| round_trip(options, &idle));
        println!("{what:32} {calls:8.0} ns per getppid   {turns:8.2} us per round trip");
    }
}

type Options<'a> = Option<(bool, &'a [&'a str])>;

fn attach(options: Options<'_>, idle: &Program, pids: &[u32]) -> Option<Agent> {
    let (target, options) = options?;
    let other = [idle.pid()];
    Some(Agent::attach(if target { pids } else { &other }, options))
}

fn getppid(options: Options<'_>, idle: &Program) -> f64 {
    let netns = Netns::new("spin");
    let mut spin = Program::start(load::load(&netns).args(["spin", "1000", "400"]));
    spin.json();
    pin(spin.pid());
    let agent = attach(options, idle, &[spin.pid()]);
    spin.say("go");
    let ns = spin.json()["ns_per_call"].as_f64().expect("a number");
    if let Some(agent) = agent {
        agent.stop();
    }
    ns
}

fn round_trip(options: Options<'_>, idle: &Program) -> f64 {
    let netns = Netns::new("turns");
    let server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", 1, TURNS, (64, 64), 1);
    pin(server.pid());
    pin(client.pid());
    let agent = attach(options, idle, &[server.pid(), client.pid()]);
    let start = Instant::now();
    client.say("go");
    client.json();
    let us = start.elapsed().as_secs_f64() * 1e6 / TURNS as f64;
    if let Some(agent) = agent {
        agent.stop();
    }
    us
}

/// Keeps a process on CPU 0, so that runs can be compared.
fn pin(pid: u32) {
    let mut cpus = CpuSet::new();
    cpus.set(0).expect("there is a CPU 0");
    sched_setaffinity(Pid::from_raw(pid.cast_signed()), &cpus).expect("one's own child");
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..RUNS).map(|_| measure()).collect();
    all.sort_by(f64::total_cmp);
    all[RUNS / 2]
}
