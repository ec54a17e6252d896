//! Mixed load for a long time beside `tracenet agent`: does its memory grow, and do its sums stay those of the kernel?
//!
//! `SOAK_MINUTES` (30) is how long. Short connections, requests, processes, datagrams and calls take turns; every minute there is
//! a line, and in the end the slope of the memory after the first quarter, in kB an hour. Fails where a sum differs from the
//! kernel's, memory passes the agent's limit, or the slope is more than a page a second. `make soak` runs it; CI doesn't.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tracenet_tests::host::HostAgent;
use tracenet_tests::netns::Netns;
use tracenet_tests::{counters, load, wait_for};

/// `agent.memory_limit` by default, kB.
const LIMIT_KB: u64 = 150 << 10;

/// A page each second.
const SLOPE_KB_PER_HOUR: f64 = 4.0 * 3600.0;

const ADDRESS: &str = "127.0.0.1:8001";

fn main() -> ExitCode {
    if std::env::var_os("TRACENET_SOAK").is_none() {
        println!("soak: runs for half an hour, and only with TRACENET_SOAK=1 (make soak)");
        return ExitCode::SUCCESS;
    }
    let minutes = std::env::var("SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(30.0_f64);
    let netns = Netns::new("soak");
    let before = counters::mib(&netns);
    let agent = HostAgent::start("");
    let mut server = load::storm(&netns, &["accept", ADDRESS]);
    server.say("go");
    server.json();
    let (begun, mut samples, mut next) = (Instant::now(), Vec::new(), Duration::ZERO);
    let end = Duration::from_secs_f64(minutes * 60.0);
    while begun.elapsed() < end {
        for words in [
            &["connections", ADDRESS, "2000"][..],
            &["callers", ADDRESS, "300"],
            &["datagrams", "127.0.0.1:9", "20000"],
            &["forks", "500"],
            &["calls", "1000000"],
        ] {
            let mut storm = load::storm(&netns, words);
            storm.say("go");
            storm.json();
        }
        let at = begun.elapsed();
        let memory = resident_kb(agent.pid());
        samples.push((at.as_secs_f64() / 3600.0, memory as f64));
        if at >= next {
            next = at + Duration::from_secs(60);
            println!("{:>5.0} s: {memory} kB, {} records lost", at.as_secs_f64(), agent.lost("ringbuf"));
        }
    }
    let opened = counters::delta(&before, &counters::mib(&netns), "TcpActiveOpens");
    let told = |role: &str| {
        agent.sum("tracenet_tcp_connections_total", &[("service_name", "storm"), ("role", role)])
    };
    wait_for("the last sums", || (told("client") >= opened && told("server") >= opened).then_some(()));
    let sums = (told("client"), told("server"));
    let (slope, most) =
        (slope(&samples[samples.len() / 4..]), samples.iter().fold(0.0, |m, s| f64::max(m, s.1)));
    println!("{opened} connections by the kernel, {sums:?} told; at most {most} kB, {slope:.0} kB an hour");
    let (status, error, _) = agent.stop();
    let well =
        status.success() && sums == (opened, opened) && most < LIMIT_KB as f64 && slope < SLOPE_KB_PER_HOUR;
    if !well {
        eprintln!("soak: not well: {status}: {error}");
    }
    ExitCode::from(u8::from(!well))
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the agent lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Of the straight line nearest to the points (least squares).
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len().max(1) as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let (above, below) =
        points.iter().fold((0.0, 0.0), |(a, b), p| (a + (p.0 - x) * (p.1 - y), b + (p.0 - x) * (p.0 - x)));
    if below > 0.0 { above / below } else { 0.0 }
}
