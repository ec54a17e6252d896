//! What watching costs a server: redis-benchmark (plain and pipelined) and wrk against nginx, in alternating pairs, bare beside
//! `tracenet top` and `tracenet agent` (everybody), `tracenet attach` to the server, strace and tcpdump. Nanoseconds are a
//! request's: `CPU` is of server and client, `its own` of the tracer, `BPF` of all programs by the kernel's statistics.
//! In the end the agent's own CPU and memory with 10,000 connections open and 5,000 turns a second.
//!
//! One row alone: `cargo bench -p tracenet-tests --bench host_cost -- --load pipelined --way agent`.

mod compare;
mod many;
mod ways;

use std::process::Command;

use clap::Parser;
use tracenet_tests::harness::which;
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::wait_for;

use crate::compare::Load;

/// What to measure.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Alternating pairs of each row.
    #[arg(long, default_value_t = 9)]
    pub pairs: usize,
    /// How large a part of the usual number of requests a run has.
    #[arg(long, default_value_t = 1.0)]
    pub part: f64,
    /// Only ways with this in their name; repeatable.
    #[arg(long = "way")]
    ways: Vec<String>,
    /// Only loads with this in their name; repeatable. `connections` is the last one.
    #[arg(long = "load")]
    loads: Vec<String>,
    /// Where the time goes by program, also where the goal is reached.
    #[arg(long)]
    pub profile: bool,
    /// Every run, and BPF's nanoseconds by program, go there: a JSON object for each row.
    #[arg(long)]
    pub raw: Option<std::path::PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// For the bench's own server.
    #[arg(long, hide = true)]
    serve: bool,
}

impl Arguments {
    /// Whether a way was chosen.
    pub fn wants(&self, way: &str) -> bool {
        self.ways.is_empty() || self.ways.iter().any(|name| way.contains(name.as_str()))
    }

    fn wants_load(&self, load: &str) -> bool {
        self.loads.is_empty() || self.loads.iter().any(|name| load.contains(name.as_str()))
    }
}

const PIPELINED: &str = "redis GET, 16 pipelined";
const PLAIN: &str = "redis GET";
const NGINX: &str = "wrk against nginx";
const CONNECTIONS: &str = "many connections";

fn main() {
    let arguments = Arguments::parse();
    if arguments.serve {
        many::serve();
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    if let Some(raw) = &arguments.raw {
        std::fs::write(raw, "").expect("the file of --raw can be written");
    }
    println!("{}", machine());
    let Arguments { pairs, part, .. } = arguments;
    println!(
        "{pairs} alternating pairs, {part} of the usual requests: medians; ratio: requests a second beside bare [from..to]"
    );
    let netns = Netns::new("accounts");
    if [PLAIN, PIPELINED].iter().any(|load| arguments.wants_load(load)) {
        redis(&netns, &arguments);
    }
    if arguments.wants_load(NGINX) {
        nginx(&netns, &arguments);
    }
    if arguments.wants_load(CONNECTIONS) {
        println!();
        many::many_connections(&netns);
    }
}

/// Where and when.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (kernel, info) = (read("/proc/sys/kernel/osrelease"), read("/proc/cpuinfo"));
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output().expect("date starts");
    format!(
        "Linux {}, {cpus} CPUs ({}), {}",
        kernel.trim(),
        model.map_or(std::env::consts::ARCH, |(_, name)| name.trim()),
        String::from_utf8_lossy(&date.stdout).trim()
    )
}

fn redis(netns: &Netns, arguments: &Arguments) {
    if which("redis-server").is_none() || which("redis-benchmark").is_none() {
        println!("{PLAIN:<26} not installed");
        return;
    }
    let port = ["-p", "7001"];
    let server = Program::start(pinned(netns, SERVER, "redis-server").args([
        "--port",
        port[1],
        "--save",
        "",
        "--appendonly",
        "no",
        "--protected-mode",
        "no",
    ]));
    ready(netns, "127.0.0.1:7001");
    for (name, usual, more) in [(PLAIN, 150_000.0, &[][..]), (PIPELINED, 1_000_000.0, &["-P", "16"])] {
        if !arguments.wants_load(name) {
            continue;
        }
        let run = |part: f64| {
            let requests = (usual * part).max(1000.0).round();
            let mut command = pinned(netns, CLIENT, "redis-benchmark");
            command
                .args(port)
                .args(["-t", "get", "-c", "50", "--csv", "-n", &requests.to_string()])
                .args(more);
            let text = output(&mut command);
            // "test","rps",... and a line for each test.
            let line = text.lines().find(|l| l.starts_with("\"GET\"")).expect("a line for GET");
            let rate = line.split(',').nth(1).and_then(|n| n.trim_matches('"').parse().ok());
            (requests, rate.expect("requests a second"))
        };
        Load { name, netns, server: server.pid(), run: &run }.compare(arguments);
    }
}

fn nginx(netns: &Netns, arguments: &Arguments) {
    if which("nginx").is_none() || which("wrk").is_none() {
        println!("{NGINX:<26} not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (root, file) = (folder.path().display(), folder.path().join("nginx.conf"));
    // One process, so that a tracer of it needs no other.
    let config = format!(
        "daemon off; master_process off; pid {root}/pid; error_log /dev/null;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:7002; location / {{ return 200 'hello'; }} }} }}\n"
    );
    std::fs::write(&file, config).expect("a temporary file");
    let server = Program::start(pinned(netns, SERVER, "nginx").arg("-c").arg(&file));
    ready(netns, "127.0.0.1:7002");
    let run = |part: f64| {
        // It knows whole seconds only.
        let seconds = format!("-d{}s", (2.0 * part).ceil());
        let text =
            output(pinned(netns, CLIENT, "wrk").args(["-t1", "-c50", &seconds, "http://127.0.0.1:7002/"]));
        let number = |line: Option<&str>, word: usize| {
            line.and_then(|l| l.split_whitespace().nth(word)?.parse::<f64>().ok()).expect("a number")
        };
        let requests = number(text.lines().find(|l| l.contains(" requests in ")), 0);
        (requests, number(text.lines().find(|l| l.starts_with("Requests/sec:")), 1))
    };
    Load { name: NGINX, netns, server: server.pid(), run: &run }.compare(arguments);
}

/// CPUs, so that who runs where is no matter of chance.
const SERVER: &str = "0";
const CLIENT: &str = "1";

fn pinned(netns: &Netns, cpu: &str, program: &str) -> Command {
    let mut command = netns.command("taskset");
    command.args(["-c", cpu, program]);
    command
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ready(netns: &Netns, address: &str) {
    wait_for("the server", || netns.inside(|| std::net::TcpStream::connect(address).ok()).map(drop));
}
