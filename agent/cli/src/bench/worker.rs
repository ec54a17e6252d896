//! The processes that work while they are measured: this binary again, told by lines on standard input what to do and for
//! how long. One ends with its input, so that none outlives the bench.

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::failure::Failure;

/// What a worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Works on demand.
    Hand,
    /// Answers requests over TCP.
    Server,
    /// Does nothing.
    Idle,
}

/// What a hand is asked to do, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// getppid(2): next to nothing but a system call.
    Getppid,
    /// write(2) of one byte to /dev/null.
    Write,
    /// A request of 64 bytes to a server on another CPU and its answer, over TCP on the loopback.
    Request,
    /// A datagram of 64 bytes to oneself over the loopback: a send, a packet, a receive.
    Packet,
}

/// Bytes of a request, of an answer and of a datagram.
const BYTES: usize = 64;
/// Operations between two looks at the clock: some tens of microseconds.
const CALLS: u64 = 256;
const EXCHANGES: u64 = 16;

impl Workload {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Getppid, Self::Write, Self::Request, Self::Packet];

    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Getppid => "getppid",
            Self::Write => "write",
            Self::Request => "request",
            Self::Packet => "packet",
        }
    }
}

/// The worker's life.
pub fn main(role: Role) -> Result<u8, Failure> {
    let done = match role {
        Role::Hand => hand(),
        Role::Server => server(),
        Role::Idle => say("ready").and_then(|()| io::copy(&mut io::stdin(), &mut io::sink()).map(drop)),
    };
    match done {
        // Whoever asked has gone.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(e) => Err(Failure::Runtime(format!("a worker of bench: {e}"))),
        Ok(()) => Ok(0),
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Lines are `WORKLOAD NANOSECONDS SERVER`; the answer to each is `OPERATIONS NANOSECONDS`.
fn hand() -> io::Result<()> {
    say("ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("unknown work '{line}'"));
        let mut words = line.split_whitespace();
        let workload = words.next().and_then(|w| Workload::from_str(w, false).ok()).ok_or_else(unknown)?;
        let ns = words.next().and_then(|n| n.parse().ok()).ok_or_else(unknown)?;
        let server: SocketAddr = words.next().and_then(|a| a.parse().ok()).ok_or_else(unknown)?;
        let (operations, took) = work(workload, Duration::from_nanos(ns), server)?;
        say(&format!("{operations} {}", took.as_nanos()))?;
    }
    Ok(())
}

fn work(workload: Workload, time: Duration, server: SocketAddr) -> io::Result<(u64, Duration)> {
    let mut buffer = [0; BYTES];
    match workload {
        Workload::Getppid => repeat(time, CALLS, || {
            // SAFETY: getppid(2) takes nothing and can't fail. The C library's own function is the same call.
            unsafe { libc::getppid() };
            Ok(())
        }),
        Workload::Write => {
            let mut null = std::fs::File::options().write(true).open("/dev/null")?;
            repeat(time, CALLS, || null.write_all(&[0]))
        }
        Workload::Request => {
            let mut stream = TcpStream::connect(server)?;
            stream.set_nodelay(true)?;
            repeat(time, EXCHANGES, || {
                stream.write_all(&buffer)?;
                stream.read_exact(&mut buffer)
            })
        }
        Workload::Packet => {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(socket.local_addr()?)?;
            repeat(time, EXCHANGES, || {
                socket.send(&buffer)?;
                socket.recv(&mut buffer).map(drop)
            })
        }
    }
}

/// Operations until the time is over, and how long they took.
fn repeat(
    time: Duration,
    batch: u64,
    mut operation: impl FnMut() -> io::Result<()>,
) -> io::Result<(u64, Duration)> {
    let (begin, mut operations) = (Instant::now(), 0);
    loop {
        for _ in 0..batch {
            operation()?;
        }
        operations += batch;
        let took = begin.elapsed();
        if took >= time {
            return Ok((operations, took));
        }
    }
}

/// One connection after the other. Its address is what it says; it ends with its input.
fn server() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string())?;
    // On a thread of its own, so that the one that answers is not in poll(2).
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let mut buffer = [0; BYTES];
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        // A client ends its connection between two requests.
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer)?;
        }
    }
}
