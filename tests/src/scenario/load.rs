//! What the programs of a scenario do: one description for the client, the server and whoever judges.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::link::{Random, Sizes};
use crate::netns::Netns;
use crate::program::Program;

/// Bytes at the beginning of every request: its length, the answer's, and what the server is to do, see [`Head`].
pub const HEAD: u32 = 20;

/// A client's work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// Connections in all, one after the other by each worker.
    pub connections: u32,
    /// Connections at a time.
    pub workers: u32,
    /// Requests on each connection. One that fails ends its connection.
    pub turns: u32,
    /// Bytes of a request, at least [`HEAD`].
    pub request: u32,
    /// Bytes of an answer.
    pub response: u32,
    /// What somebody does now and then.
    pub habit: Habit,
    /// In so many of a hundred turns.
    pub percent: u64,
    /// For so long.
    pub pause: Duration,
    /// SO_RCVBUF of both ends, where it isn't left to the kernel.
    pub receive_buffer: Option<u32>,
    /// Of what is left to chance.
    pub seed: u64,
}

/// What an application does that makes a turn slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Habit {
    /// Nothing.
    None,
    /// The server sleeps between the request and the answer.
    ServerThinks,
    /// The server reads the head of the request, and sleeps before it reads the rest.
    ServerReadsLate,
    /// The client sleeps after the first half of the request.
    ClientPauses,
    /// The client sleeps after the request, before it reads.
    ClientReadsLate,
    /// The client connects to a port that nobody listens on.
    WrongPort,
    /// The server resets the connection (SO_LINGER, 0 s) in the middle of its answer.
    ServerAborts,
    /// The client resets it there.
    ClientAborts,
}

impl Load {
    /// Requests of 200 bytes, answers of 30,000, ten on each of twenty connections.
    pub fn new(seed: u64) -> Self {
        Self {
            connections: 20,
            workers: 10,
            turns: 10,
            request: 200,
            response: 30_000,
            habit: Habit::None,
            percent: 50,
            pause: Duration::from_millis(50),
            receive_buffer: None,
            seed,
        }
    }

    /// So many turns or a few more, on as many connections as that takes.
    #[must_use]
    pub fn with_turns(mut self, turns: u32) -> Self {
        self.connections = turns.div_ceil(self.turns).max(self.workers);
        self
    }

    /// Bytes of a turn each way.
    pub fn sizes(&self) -> Sizes {
        Sizes { request: self.request, response: self.response }
    }

    /// Whether the habit shows in a turn.
    pub fn shows(&self, connection: u32, turn: u32) -> bool {
        self.habit != Habit::None && Random::hits(self.seed, connection, turn, self.percent)
    }

    /// Starts the server, which is listening when this returns.
    pub fn serve(&self, netns: &Netns, address: SocketAddr) -> Program {
        let buffer = self.receive_buffer.unwrap_or(0).to_string();
        let program = Program::start(actor(netns).args(["serve", &address.to_string(), &buffer]));
        program.json();
        program
    }

    /// Starts the client, which waits for a line.
    pub fn client(&self, netns: &Netns, address: SocketAddr) -> Program {
        let load = serde_json::to_string(self).expect("plain data");
        let program = Program::start(actor(netns).args(["client", &address.to_string(), &load]));
        program.json();
        program
    }
}

fn actor(netns: &Netns) -> std::process::Command {
    netns.command(crate::load::beside_the_test("actor"))
}

/// The head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the request.
    pub request: u32,
    /// Bytes of the answer.
    pub response: u32,
    /// Microseconds to sleep before the rest is read.
    pub read_late_us: u32,
    /// Microseconds to sleep before the answer is written.
    pub think_us: u32,
    /// Bytes of the answer after which the connection is reset; 0 for never.
    pub abort_after: u32,
}

impl Head {
    /// As on the wire.
    pub fn bytes(self) -> [u8; HEAD as usize] {
        let mut out = [0; HEAD as usize];
        let words = [self.request, self.response, self.read_late_us, self.think_us, self.abort_after];
        for (to, word) in out.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// From the wire.
    pub fn read(bytes: [u8; HEAD as usize]) -> Self {
        let word = |n: usize| {
            u32::from_be_bytes([bytes[4 * n], bytes[4 * n + 1], bytes[4 * n + 2], bytes[4 * n + 3]])
        };
        let (request, response, read_late_us, think_us) = (word(0), word(1), word(2), word(3));
        Self { request, response, read_late_us, think_us, abort_after: word(4) }
    }
}

/// What a client says of one connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Its number among those of the load.
    pub number: u32,
    /// The client's port, 0 where it was never connected, and the server's.
    pub ports: (u16, u16),
    /// Why it was not connected.
    pub error: Option<String>,
    /// The turns.
    pub turns: Vec<TurnReport>,
}

/// What a client says of a turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurnReport {
    /// From the first write to the last read, nanoseconds.
    pub took_ns: u64,
    /// The load's habit showed.
    pub habit: bool,
    /// Why it ended early.
    pub error: Option<String>,
}
