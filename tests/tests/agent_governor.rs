//! The agent's budget: what its probes cost a process is held to it, by the kernel's own times of the programs' runs.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tracenet_tests::bpf::{self, Runs};
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{Node, sum};
use tracenet_tests::{case, counters, load, wait_for};

fn main() -> ExitCode {
    harness::main(vec![case!(a_busy_ping_pong_costs_its_budget_and_is_followed_again_when_it_is_over, LAB)])
}

/// The load would cost twice as much, and one half of that where the programs do nothing.
const BUDGET: f64 = 0.025;
/// How near to it the cost must be.
const NEAR: std::ops::RangeInclusive<f64> = 0.7..=1.3;
const SETTLED: Duration = Duration::from_secs(12);
const MEASURED: Duration = Duration::from_secs(15);

/// The programs at each call that sends or receives: of this load they are nearly all there is.
const AT_CALLS: [&str; 2] = ["on_send", "on_recv"];

/// The kernel shows some 57 ns of a run that does nothing, for the clock that it reads twice. The way into a program, which it
/// doesn't show, takes some 20 ns.
const SHOWN_NS: u64 = 57 - 20;

/// Nanoseconds of the programs, and of the processes' CPU time.
fn seen(agent: u32, processes: &[u32]) -> (f64, f64) {
    let runs = bpf::runs_of(agent);
    let cost = |r: &Runs| r.ns.saturating_sub(r.count * SHOWN_NS);
    let probes: u64 = AT_CALLS.iter().filter_map(|name| runs.get(*name)).map(cost).sum();
    (probes as f64, processes.iter().map(|pid| counters::cpu_ns(*pid)).sum::<u64>() as f64)
}

/// What the programs take of the processes' own time while `time` passes. Nothing is waited for: it is what is measured.
fn cost(agent: u32, processes: &[u32], time: Duration) -> f64 {
    let before = seen(agent, processes);
    std::thread::sleep(time);
    let after = seen(agent, processes);
    let (probes, cpu) = (after.0 - before.0, after.1 - before.1);
    assert!(cpu > time.as_nanos() as f64 / 20.0, "they run");
    probes / (cpu - probes)
}

fn a_busy_ping_pong_costs_its_budget_and_is_followed_again_when_it_is_over() {
    let netns = Netns::new("agent-budget");
    let server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", 20, 100_000_000, (64, 64), 3);
    let config = format!("agent: {{kubernetes: {{enabled: false}}, budget: {}%}}\n", BUDGET * 100.0);
    let mut agent = Node::start(&netns, &config);
    let (processes, own) = ([client.pid(), server.pid()], agent.program().pid());
    let timed = bpf::time_runs();
    client.say("go");
    let whole = cost(own, &processes, Duration::from_millis(700));
    std::thread::sleep(SETTLED);
    let held = cost(own, &processes, MEASURED);
    drop(timed);
    println!("{:.2} % of the processes' own time at first, then {:.3} %", whole * 100.0, held * 100.0);
    assert!(whole > BUDGET * 1.4, "the load would cost {whole}");
    assert!(
        NEAR.contains(&(held / BUDGET)),
        "the cost is {:.3} % and not {} %",
        held * 100.0,
        BUDGET * 100.0
    );
    let steps = sum(&agent.metrics(), "tracenet_governor_steps_total", &[("reason", "costly")]);
    assert!(steps >= 1.0, "no step is told");

    let over = Instant::now();
    drop(client);
    wait_for("all its turns to be followed again", || {
        agent.program().stderr().contains("all its turns are followed").then_some(())
    });
    let after = over.elapsed();
    println!("back after {after:?}");
    assert!(after <= Duration::from_secs(10), "{after:?}");
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("its turns are "), "{}", ended.stderr);
}
