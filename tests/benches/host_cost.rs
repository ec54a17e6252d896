//! What following every process of the host costs: requests a second of redis-benchmark (plain and pipelined) and of wrk against
//! nginx, bare, beside `tracenet top` (sums only) and beside `tracenet agent` (turns too), in alternating pairs, medians of the
//! ratios. Then the agent's own CPU and memory with 10,000 connections open and 5,000 turns a second.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use tracenet_tests::counters::cpu_ns;
use tracenet_tests::harness::which;
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{agent, wait_for};

const PAIRS: usize = 9;

fn main() {
    if std::env::args().nth(1).as_deref() == Some(SERVE) {
        serve();
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let netns = Netns::new("accounts");
    if which("redis-server").is_some() && which("redis-benchmark").is_some() {
        let port = ["-p", "7001"];
        let _server = Program::start(pinned(&netns, SERVER, "redis-server").args([
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
        for (what, args) in [
            ("redis GET", &["-t", "get", "-n", "150000", "-c", "50", "--csv"][..]),
            ("redis GET, 16 pipelined", &["-t", "get", "-n", "1000000", "-c", "50", "-P", "16", "--csv"]),
        ] {
            compare(what, || {
                let text = output(pinned(&netns, CLIENT, "redis-benchmark").args(port).args(args));
                // "test","rps",... and a line for each test.
                let line = text.lines().find(|l| l.starts_with("\"GET\"")).expect("a line for GET");
                line.split(',')
                    .nth(1)
                    .and_then(|n| n.trim_matches('"').parse().ok())
                    .expect("requests a second")
            });
        }
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
        let _server = Program::start(pinned(&netns, SERVER, "nginx").arg("-c").arg(&file));
        ready(&netns, "127.0.0.1:7002");
        compare("wrk against nginx", || {
            let wrk = ["-t1", "-c50", "-d3s", "http://127.0.0.1:7002/"];
            let text = output(pinned(&netns, CLIENT, "wrk").args(wrk));
            let line = text.lines().find(|l| l.starts_with("Requests/sec:")).expect("a rate");
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
        });
    } else {
        println!("{:<28} not installed", "nginx or wrk");
    }
    many_connections(&netns);
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

/// A way of following: its name, and how it is started. The agent says what it does on standard error, as top does.
const WAYS: [(&str, &[&str], &str); 2] = [
    ("top", &["top", "--json", "--interval", "600s"], "counting for"),
    ("agent", &["agent", "--config", "/dev/null"], "every process is followed"),
];

fn follow(args: &[&str], says: &str) -> Program {
    let mut program = Program::start(agent::command().args(args));
    program.wait_for_stderr(says);
    program
}

fn end(mut program: Program) {
    program.signal(Signal::SIGINT);
    program.wait();
}

/// `run` gives requests a second.
fn compare(what: &str, run: impl Fn() -> f64) {
    run();
    for (way, args, says) in WAYS {
        let followed = || {
            let program = follow(args, says);
            let rate = run();
            end(program);
            rate
        };
        let mut bare_rates = Vec::new();
        let mut ratios: Vec<f64> = (0..PAIRS)
            .map(|n| {
                // Who is first changes, for what grows or cools with time.
                let (bare, with) = if n % 2 == 0 { (run(), followed()) } else { swap((followed(), run())) };
                bare_rates.push(bare);
                with / bare
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        bare_rates.sort_by(f64::total_cmp);
        println!(
            "{what:<24} {way:<6} {:9.0} requests/s bare; ratio {:.3} (from {:.3} to {:.3}; at least 0.98)",
            bare_rates[PAIRS / 2],
            ratios[PAIRS / 2],
            ratios[0],
            ratios[PAIRS - 1],
        );
    }
}

fn swap((a, b): (f64, f64)) -> (f64, f64) {
    (b, a)
}

const SERVE: &str = "--serve";
const MANY: &str = "127.0.0.1:7003";
const CONNECTIONS: usize = 10_000;
const TURNS_A_SECOND: u32 = 5_000;
const LASTS: Duration = Duration::from_secs(20);

/// The agent's own CPU and memory.
fn many_connections(netns: &Netns) {
    raise_descriptors();
    let me = std::env::current_exe().expect("the bench's own path");
    let _server = Program::start(netns.command(me).arg(SERVE));
    ready(netns, MANY);
    let program = follow(WAYS[1].1, WAYS[1].2);
    let mut connections: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| netns.inside(|| TcpStream::connect(MANY)).expect("a connection")).collect();
    let (begin, cpu) = (Instant::now(), cpu_ns(program.pid()));
    let (mut turns, mut buffer) = (0u32, [0; 64]);
    while begin.elapsed() < LASTS {
        let at = turns as usize % connections.len();
        connections[at].write_all(&buffer).expect("a request");
        connections[at].read_exact(&mut buffer).expect("an answer");
        turns += 1;
        let due = Duration::from_secs(1) * turns / TURNS_A_SECOND;
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    let (took, cpu) = (begin.elapsed(), cpu_ns(program.pid()) - cpu);
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).expect("the agent lives");
    let memory =
        |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map_or("?", str::trim).to_owned();
    println!(
        "agent, {CONNECTIONS} connections, {:.0} turns/s: {:.1} % of a CPU, memory {}, {} at most (150 MiB)",
        f64::from(turns) / took.as_secs_f64(),
        cpu as f64 / took.as_nanos() as f64 * 100.0,
        memory("VmRSS:"),
        memory("VmHWM:"),
    );
    end(program);
}

fn raise_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit everybody may go");
}

/// Answers 64 bytes with 64 bytes, to everybody.
fn serve() {
    raise_descriptors();
    let listener = TcpListener::bind(MANY).expect("a port");
    listener.set_nonblocking(true).expect("a flag");
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX)).expect("room in it");
    let mut connections: Vec<TcpStream> = Vec::new();
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let n = epoll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
        for event in &events[..n] {
            if event.data() == u64::MAX {
                while let Ok((connection, _)) = listener.accept() {
                    epoll
                        .add(&connection, EpollEvent::new(EpollFlags::EPOLLIN, connections.len() as u64))
                        .expect("room in the epoll");
                    connections.push(connection);
                }
                continue;
            }
            let mut buffer = [0; 64];
            let connection = &mut connections[event.data() as usize];
            match connection.read(&mut buffer) {
                Ok(0) | Err(_) => drop(epoll.delete(&*connection)),
                Ok(n) => drop(connection.write_all(&buffer[..n])),
            }
        }
    }
}
