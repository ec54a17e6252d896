//! The agent's own CPU and memory with 10,000 connections open and 5,000 turns a second.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracenet_tests::counters::cpu_ns;
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;

use crate::ready;
use crate::ways::Watcher;

const MANY: &str = "127.0.0.1:7003";
const CONNECTIONS: usize = 10_000;
const TURNS_A_SECOND: u32 = 5_000;
const LASTS: Duration = Duration::from_secs(20);

/// Opens them, asks, and prints.
pub fn many_connections(netns: &Netns) {
    raise_descriptors();
    let me = std::env::current_exe().expect("the bench's own path");
    let _server = Program::start(netns.command(me).arg("--serve"));
    ready(netns, MANY);
    let agent = Watcher::agent();
    let mut connections: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| netns.inside(|| TcpStream::connect(MANY)).expect("a connection")).collect();
    let (begin, cpu) = (Instant::now(), cpu_ns(agent.pid()));
    let (mut turns, mut buffer) = (0u32, [0; 64]);
    while begin.elapsed() < LASTS {
        let at = turns as usize % connections.len();
        connections[at].write_all(&buffer).expect("a request");
        connections[at].read_exact(&mut buffer).expect("an answer");
        turns += 1;
        let due = Duration::from_secs(1) * turns / TURNS_A_SECOND;
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    let (took, cpu) = (begin.elapsed(), cpu_ns(agent.pid()) - cpu);
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("the agent lives");
    let memory =
        |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map_or("?", str::trim).to_owned();
    println!(
        "agent, {CONNECTIONS} connections, {:.0} turns/s: {:.1} % of a CPU, memory {}, {} at most (150 MiB)",
        f64::from(turns) / took.as_secs_f64(),
        cpu as f64 / took.as_nanos() as f64 * 100.0,
        memory("VmRSS:"),
        memory("VmHWM:"),
    );
    agent.end();
}

fn raise_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit everybody may go");
}

/// Answers 64 bytes with 64 bytes, to everybody.
pub fn serve() {
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
