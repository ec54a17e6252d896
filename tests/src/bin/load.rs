//! Load with exact books: a request/response server and client that report what they wrote and read on every
//! connection, and a loop of cheap syscalls for measuring overhead.
//!
//! A request is two big-endian u32 (its own payload length, the wanted answer's length) and the payload; the
//! answer is that many bytes. Lines on standard output are JSON; a line on standard input lets it go on.

use std::io::{self, BufRead as _, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", address] => serve(address.parse()?),
        ["client", address, connections, turns, max_request, max_response, seed] => client(&Plan {
            address: address.parse()?,
            connections: connections.parse()?,
            turns: turns.parse()?,
            max_request: max_request.parse()?,
            max_response: max_response.parse()?,
            seed: seed.parse()?,
        }),
        ["spin", batch, batches] => spin(batch.parse()?, batches.parse()?),
        _ => Err(
            "usage: load serve ADDRESS | client ADDRESS CONNECTIONS TURNS MAX_REQUEST MAX_RESPONSE SEED | \
                  spin BATCH BATCHES"
                .into(),
        ),
    }
}

fn say(value: &Value) {
    println!("{value}");
}

/// Waits for a line (or the end) of standard input.
fn wait_for_line() -> io::Result<()> {
    io::stdin().lock().read_line(&mut String::new()).map(drop)
}

/// What one end of a connection wrote and read.
fn books(local: SocketAddr, remote: SocketAddr, sent: u64, received: u64, turns: u64) -> Value {
    json!({"local": local, "remote": remote, "sent": sent, "received": received, "turns": turns})
}

fn serve(address: SocketAddr) -> Outcome {
    let listener = TcpListener::bind(address)?;
    say(&json!({"listening": listener.local_addr()?}));
    let done = Arc::new(Mutex::new(Vec::new()));
    let results = Arc::clone(&done);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let results = Arc::clone(&results);
            std::thread::spawn(move || {
                let outcome = answer(stream);
                let value = outcome.unwrap_or_else(|e| json!({"error": e.to_string()}));
                results.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            });
        }
    });
    wait_for_line()?;
    let connections = std::mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner));
    say(&json!({"connections": connections}));
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<Value> {
    stream.set_nodelay(true)?;
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    let (mut sent, mut received, mut turns) = (0, 0, 0);
    let mut buffer = Vec::new();
    let mut head = [0; 8];
    loop {
        // One read for a small request, as most servers do.
        match stream.read(&mut head)? {
            0 => break,
            8 => {}
            n => stream.read_exact(&mut head[n..])?,
        }
        let (request, response) = (word(&head, 0), word(&head, 4));
        buffer.resize(request.max(response), 0);
        stream.read_exact(&mut buffer[..request])?;
        received += 8 + request as u64;
        stream.write_all(&buffer[..response])?;
        sent += response as u64;
        turns += 1;
    }
    Ok(books(local, remote, sent, received, turns))
}

fn word(head: &[u8; 8], at: usize) -> usize {
    u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
}

struct Plan {
    address: SocketAddr,
    connections: u64,
    turns: u64,
    max_request: u64,
    max_response: u64,
    seed: u64,
}

/// Connects when told to, runs all connections at once, reports, and ends when told to.
fn client(plan: &Plan) -> Outcome {
    say(&json!({"ready": std::process::id()}));
    wait_for_line()?;
    let together = Barrier::new(usize::try_from(plan.connections)?);
    let reports = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.connections)
            .map(|n| {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    ask(plan, n).unwrap_or_else(|e| json!({"error": e.to_string()}))
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap_or(Value::Null)).collect::<Vec<_>>()
    });
    say(&json!({"connections": reports}));
    wait_for_line()?;
    Ok(())
}

fn ask(plan: &Plan, n: u64) -> io::Result<Value> {
    let mut stream = TcpStream::connect(plan.address)?;
    stream.set_nodelay(true)?;
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    let mut random = Random(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n + 1));
    let (mut sent, mut received) = (0, 0);
    let mut buffer = Vec::new();
    for _ in 0..plan.turns {
        let (request, response) = (1 + random.below(plan.max_request), 1 + random.below(plan.max_response));
        buffer.clear();
        buffer.extend_from_slice(&(request as u32).to_be_bytes());
        buffer.extend_from_slice(&(response as u32).to_be_bytes());
        buffer.resize(8 + request as usize, b'q');
        stream.write_all(&buffer)?;
        sent += buffer.len() as u64;
        buffer.resize(response as usize, 0);
        stream.read_exact(&mut buffer[..response as usize])?;
        received += response;
    }
    Ok(books(local, remote, sent, received, plan.turns))
}

/// xorshift64*: the same seed gives the same load.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n.max(1)
    }
}

/// Times getppid(2) in batches for every line read, and prints the fastest batch: the one that nothing disturbed.
fn spin(batch: u32, batches: u32) -> Outcome {
    say(&json!({"ready": std::process::id()}));
    for line in io::stdin().lock().lines() {
        line?;
        let mut best = u128::MAX;
        let begun = Instant::now();
        for _ in 0..batches {
            let start = Instant::now();
            for _ in 0..batch {
                std::hint::black_box(std::os::unix::process::parent_id());
            }
            best = best.min(start.elapsed().as_nanos());
        }
        let mean = begun.elapsed().as_nanos() as f64 / f64::from(batch) / f64::from(batches);
        say(&json!({"ns_per_call": best as f64 / f64::from(batch), "mean_ns_per_call": mean}));
    }
    Ok(())
}
