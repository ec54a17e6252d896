//! `--budget`: what the probes cost the targets is held to it, by the kernel's own times of the programs' runs, and what is
//! left out for it is said.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tracenet_tests::agent::{Agent, Story, command};
use tracenet_tests::bpf;
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{case, counters, load};

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_loop_of_calls_costs_its_budget, LAB),
        case!(a_ping_pong_costs_its_budget, LAB),
        case!(everything_is_back_when_the_load_is_gone, LAB),
        case!(connections_are_left_out_last_and_come_back, LAB),
        case!(a_replay_tells_the_steps_too, LAB),
        case!(without_a_budget_nothing_is_left_out, LAB),
        case!(a_wrong_budget_is_a_usage_error, &[]),
    ])
}

const BUDGET: f64 = 0.01;
/// How near to it the cost must be.
const NEAR: std::ops::RangeInclusive<f64> = 0.7..=1.3;
/// The budget is held after this time.
const SETTLED: Duration = Duration::from_secs(10);
/// How long it is measured.
const MEASURED: Duration = Duration::from_secs(15);

/// Programs that run for targets, or when the kernel can't tell for whom. Others run whenever anybody on the host forks or frees
/// a packet.
const OF_TARGETS: [&str; 9] = [
    "on_sys_enter",
    "on_sys_exit",
    "on_send",
    "on_recv",
    "on_data_ready",
    "on_dev_queue",
    "on_set_state",
    "on_destroy",
    "flow_filter",
];

/// They run when anybody sleeps: here targets do, as long as they are attached, much more often than others.
const OF_SLEEPERS: [&str; 2] = ["on_switch", "on_wakeup"];

/// The kernel shows so much of a run that does nothing, in nanoseconds, which reading the clock takes. A run for a system call
/// costs as much beyond what is shown, since it takes the slow way through the kernel's entry; another next to nothing.
const SHOWN_NS: u64 = 45;

/// What the kernel says of the programs' runs, and the CPU time of the targets.
#[derive(Debug, Clone, Copy)]
struct Seen {
    probes_ns: u64,
    cpu_ns: u64,
}

fn seen(agent: &Agent, targets: &[u32], sleepers: bool) -> Seen {
    let runs = bpf::runs_of(agent.pid());
    let cost = |name: &&str| {
        let runs = runs.get(*name)?;
        let shown = if name.starts_with("on_sys_") { 0 } else { runs.count * SHOWN_NS };
        Some(runs.ns.saturating_sub(shown))
    };
    Seen {
        probes_ns: OF_TARGETS.iter().chain(OF_SLEEPERS.iter().filter(|_| sleepers)).filter_map(cost).sum(),
        cpu_ns: targets.iter().map(|pid| counters::cpu_ns(*pid)).sum(),
    }
}

/// The share of the targets' time that the probes take, while something passes. Nothing is waited for: it is what is measured.
fn cost(agent: &Agent, targets: &[u32], sleepers: bool) -> f64 {
    let before = seen(agent, targets, sleepers);
    std::thread::sleep(MEASURED);
    let after = seen(agent, targets, sleepers);
    let (probes, cpu) = (after.probes_ns - before.probes_ns, after.cpu_ns - before.cpu_ns);
    assert!(cpu > MEASURED.as_nanos() as u64 / 20, "the targets run");
    probes as f64 / (cpu - probes) as f64
}

/// A loop of getppid(2), so many times a thousand.
fn caller(netns: &Netns, thousands: u32) -> Program {
    let mut caller = Program::start(load::load(netns).args(["spin", "1000", &thousands.to_string()]));
    caller.json();
    caller.say("again");
    caller
}

fn assert_held(story: &Story, cost: f64, rung: &str) {
    let times = cost / BUDGET;
    assert!(NEAR.contains(&times), "the cost is {:.3} % and not {} %", cost * 100.0, BUDGET * 100.0);
    let steps = story.kind("governor");
    let first = steps.first().expect("a step was told");
    assert_eq!(first["why"], "costly");
    assert!(first["cost"].as_f64() > Some(BUDGET * 10.0), "it would cost far more: {first}");
    assert_eq!(steps.last().map(|s| &s["why"]), Some(&Value::from("end")), "the end is told");
    let governor = &story.whole_summary()["governor"];
    let unobserved = governor["unobserved_ns"][rung].as_f64().expect("it is said what was left out");
    let all = story.summary.duration_ns as f64;
    assert!(unobserved > all * 0.5 && unobserved <= all, "{governor}");
}

fn a_loop_of_calls_costs_its_budget() {
    let netns = Netns::new("budget-calls");
    let target = caller(&netns, 10_000_000);
    let timed = bpf::time_runs();
    let options = ["--budget", "1%", "-i", "none", "-e", "trace=getppid"];
    let agent = Agent::attach(&[target.pid()], &options);
    std::thread::sleep(SETTLED);
    let cost = cost(&agent, &[target.pid()], false);
    drop(timed);
    let story = agent.stop();
    println!("calls: {:.3} % of the caller's time", cost * 100.0);
    let calls = story.kind("syscall");
    assert!(calls.len() > 1000, "calls are observed in slices");
    // None is told longer than it can have been seen.
    let longest = calls.iter().filter_map(|c| c["duration_ns"].as_u64()).max();
    assert!(longest < Some(1_000_000_000), "{longest:?}");
    assert_held(&story, cost, "calls");
}

fn a_ping_pong_costs_its_budget() {
    let netns = Netns::new("budget-turns");
    let server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", 1, 100_000_000, (64, 64), 3);
    let targets = [client.pid(), server.pid()];
    let timed = bpf::time_runs();
    let agent = Agent::attach(&targets, &["--budget", "1%"]);
    client.say("go");
    std::thread::sleep(SETTLED);
    let cost = cost(&agent, &targets, true);
    drop(timed);
    let story = agent.stop();
    println!("turns: {:.3} % of both ends' time", cost * 100.0);
    let turns = story.kind("turn");
    assert!(turns.len() > 100, "turns are observed in slices");
    // No turn is made up of what was before a pause and what came after it.
    let longest = turns.iter().filter_map(|t| t["duration_ns"].as_u64()).max();
    assert!(longest < Some(200_000_000), "{longest:?}");
    assert!(story.summary.connections.iter().all(|c| c.incomplete), "they were not seen all the time");
    assert_held(&story, cost, "turns");
}

fn everything_is_back_when_the_load_is_gone() {
    let netns = Netns::new("budget-back");
    let target = caller(&netns, 40_000);
    let agent = Agent::attach(&[target.pid()], &["--budget", "1%", "-i", "none", "-e", "trace=getppid"]);
    // It has answered: the loop is over.
    target.json();
    let over = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
    // What is measured is whether it is back by then.
    std::thread::sleep(Duration::from_secs(12));
    let story = agent.stop();
    let steps = story.kind("governor");
    let back =
        steps.iter().find(|s| s["t_ns"].as_u64() > Some(over) && s["why"] == "room" && s["share"] == 1.0);
    let back = back.unwrap_or_else(|| panic!("it is not back: {steps:?}"));
    assert_eq!(back["left_out"], serde_json::json!([]));
    let after = Duration::from_nanos(back["t_ns"].as_u64().expect("a time") - over);
    println!("back after {after:?}");
    assert!(after <= Duration::from_secs(10), "{after:?}");
}

/// Short connections cost little else than that they are told of.
fn connections_are_left_out_last_and_come_back() {
    const COUNT: u64 = 150_000;
    let netns = Netns::new("budget-short");
    let mut server = load::storm(&netns, &["accept", "127.0.0.1:8001"]);
    server.say("go");
    server.json();
    let _other_server = load::serve(&netns, "127.0.0.1:8002");
    let mut many = load::storm(&netns, &["connections", "127.0.0.1:8001", &COUNT.to_string()]);
    let mut one = load::client(&netns, "127.0.0.1:8002", 1, 1, (64, 64), 3);
    let before = counters::mib(&netns);
    let agent =
        Agent::attach(&[many.pid(), one.pid()], &["--budget", "1%", "-i", "none", "-e", "trace=none"]);
    many.say("go");
    many.json();
    // Within these everything is to be told again.
    std::thread::sleep(Duration::from_secs(12));
    one.say("go");
    one.json();
    let opened = counters::delta(&before, &counters::mib(&netns), "TcpActiveOpens");
    let one = one.pid();
    let story = agent.stop();
    let all = serde_json::json!(["calls", "turns", "lifecycle"]);
    let steps = story.kind("governor");
    assert!(steps.iter().any(|s| s["left_out"] == all), "{steps:?}");
    assert_eq!(
        steps.iter().rev().find(|s| s["why"] == "room").map(|s| &s["left_out"]),
        Some(&serde_json::json!([]))
    );
    let summary = story.whole_summary();
    let unobserved = summary["governor"]["unobserved_ns"]["lifecycle"].as_u64();
    assert!(unobserved > Some(0), "{}", summary["governor"]);
    let omitted = summary["connections_omitted"].as_u64().expect("a number");
    let told = story.summary.connections.len() as u64 + omitted;
    println!("{told} of {opened} connections were told of");
    assert!(told < opened / 2, "{told} of {opened}");
    let last: Vec<_> = story.summary.of(one).collect();
    assert_eq!(last.len(), 1);
    assert!(last[0].turns == 1 && !last[0].incomplete, "{:?}", last[0]);
    // Sums are exact, whatever is left out.
    let row = story.summary.audit("TcpActiveOpens", netns.inode());
    assert_eq!((row.kernel, row.tracenet), (opened.cast_signed(), opened.cast_signed()));
}

fn a_replay_tells_the_steps_too() {
    let netns = Netns::new("budget-replay");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.tnrec");
    let target = caller(&netns, 10_000_000);
    let path = file.to_str().expect("a path in ASCII");
    let agent = Agent::attach(
        &[target.pid()],
        &["--budget", "1%", "-i", "none", "-e", "trace=getppid", "--duration", "3s", "--record", path],
    );
    let story = agent.ended();
    assert!(!story.kind("governor").is_empty());
    let again = command().arg("replay").arg(&file).arg("--json").output().expect("tracenet runs");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert!(again.stdout == story.text(), "the replay differs from the live story");
    let text = command().arg("replay").arg(&file).output().expect("tracenet runs");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains(" governor: calls "), "a line for people");
    assert!(text.contains("not observed, to hold 1 % of the targets' CPU time: "), "and what it came to");
}

fn without_a_budget_nothing_is_left_out() {
    let netns = Netns::new("budget-none");
    let target = caller(&netns, 10_000_000);
    let agent = Agent::attach(&[target.pid()], &["-i", "none", "-e", "trace=getppid", "-q"]);
    let start = Instant::now();
    let before = bpf::held_by(agent.pid());
    while start.elapsed() < Duration::from_secs(2) {
        assert_eq!(bpf::held_by(agent.pid()), before, "no program comes or goes");
        std::thread::sleep(Duration::from_millis(5));
    }
    let story = agent.stop();
    assert!(story.whole_summary().get("governor").is_none());
}

fn a_wrong_budget_is_a_usage_error() {
    for budget in ["1", "0%", "101%", "x"] {
        let output =
            command().args(["attach", "-p", "1", "--budget", budget]).output().expect("tracenet runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("no share: use a number and a percent sign"), "{error}");
    }
}
