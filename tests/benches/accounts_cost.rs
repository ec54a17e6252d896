//! What the accounts of processes (`tracenet top`) cost servers: requests a second of redis-benchmark and of wrk against
//! nginx, bare and while top counts, in alternating pairs. Medians of the ratios.

use nix::sys::signal::Signal;
use tracenet_tests::harness::which;
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{agent, wait_for};

const PAIRS: usize = 11;

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let netns = Netns::new("accounts");
    if which("redis-server").is_some() && which("redis-benchmark").is_some() {
        let port = ["-p", "7001"];
        let _server = Program::start(netns.command("redis-server").args([
            "--port",
            port[1],
            "--save",
            "",
            "--appendonly",
            "no",
            "--protected-mode",
            "no",
        ]));
        ready(&netns, "127.0.0.1:7001");
        compare("redis-benchmark -t get", || {
            let args = ["-t", "get", "-n", "100000", "-c", "50", "--csv"];
            let text = netns.run("redis-benchmark", &[&port[..], &args].concat());
            // "test","rps",... and a line for each test.
            let line = text.lines().find(|l| l.starts_with("\"GET\"")).expect("a line for GET");
            line.split(',').nth(1).and_then(|n| n.trim_matches('"').parse().ok()).expect("requests a second")
        });
    } else {
        println!("{:<28} not installed", "redis");
    }
    if which("nginx").is_some() && which("wrk").is_some() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (root, file) = (folder.path().display(), folder.path().join("nginx.conf"));
        let config = format!(
            "daemon off; worker_processes 1; pid {root}/pid; error_log /dev/null;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; server {{ listen 127.0.0.1:7002; location / {{ return 200 'hello'; }} }} }}\n"
        );
        std::fs::write(&file, config).expect("a temporary file");
        let _server = Program::start(netns.command("nginx").arg("-c").arg(&file));
        ready(&netns, "127.0.0.1:7002");
        compare("wrk against nginx", || {
            let text = netns.run("wrk", &["-t1", "-c50", "-d3s", "http://127.0.0.1:7002/"]);
            let line = text.lines().find(|l| l.starts_with("Requests/sec:")).expect("a rate");
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
        });
    } else {
        println!("{:<28} not installed", "nginx or wrk");
    }
}

fn ready(netns: &Netns, address: &str) {
    wait_for("the server", || netns.inside(|| std::net::TcpStream::connect(address).ok()).map(drop));
}

/// `run` gives requests a second.
fn compare(what: &str, run: impl Fn() -> f64) {
    let counted = || {
        let mut top = Program::start(agent::command().args(["top", "--json", "--interval", "600s"]));
        top.wait_for_stderr("counting for");
        let rate = run();
        top.signal(Signal::SIGINT);
        top.wait();
        rate
    };
    run();
    let mut bare_rates = Vec::new();
    let mut ratios: Vec<f64> = (0..PAIRS)
        .map(|n| {
            // Who is first changes, for what grows or cools with time.
            let (bare, with) = if n % 2 == 0 { (run(), counted()) } else { swap((counted(), run())) };
            bare_rates.push(bare);
            with / bare
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    bare_rates.sort_by(f64::total_cmp);
    println!(
        "{what:<28} {:9.0} requests/s bare; counted / bare {:.3} (from {:.3} to {:.3}; at least 0.98)",
        bare_rates[PAIRS / 2],
        ratios[PAIRS / 2],
        ratios[0],
        ratios[PAIRS - 1],
    );
}

fn swap((a, b): (f64, f64)) -> (f64, f64) {
    (b, a)
}
