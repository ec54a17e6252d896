//! What a link is told to do, and what it says that it did.

use std::time::Duration;

use super::packet::{Way, flags};

/// Decides on each TCP packet.
pub type Plan = Box<dyn FnMut(&Sight, &mut Random) -> Action + Send>;

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Pass,
    /// It is lost.
    Drop,
    /// It comes twice, the second time so much later.
    Twice(Duration),
    /// It is overtaken by those that come within this time.
    Late(Duration),
    /// It is lost, and both ends get a reset in each other's name.
    Reset,
}

/// A TCP packet as a plan sees it.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub t: u64,
    /// Which way it goes.
    pub way: Way,
    /// The client's port and the server's.
    pub ports: (u16, u16),
    /// Number of the connection in the order of the SYNs, from 0.
    pub connection: u32,
    /// Place in the stream of its first byte, from 0.
    pub offset: u32,
    /// Payload bytes.
    pub len: u32,
    /// TCP flags.
    pub flags: u8,
    /// The receive window, not scaled.
    pub window: u16,
    /// IP identification.
    pub ip_id: u16,
    /// Number of the turn that its first byte belongs to; of one without payload the turn that it acknowledges.
    pub turn: u32,
    /// Its bytes are the last ones of a request or an answer.
    pub last: bool,
    /// A packet of this connection and way has had its first byte (or, of a SYN, its number) before.
    pub again: bool,
}

impl Sight {
    /// It has payload.
    pub fn is_data(&self) -> bool {
        self.len > 0
    }

    /// It opens the connection.
    pub fn is_syn(&self) -> bool {
        self.flags & flags::SYN != 0
    }
}

/// A packet and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// The packet.
    pub sight: Sight,
    /// What was done to it.
    pub action: Action,
    /// When it was handed on, CLOCK_MONOTONIC in nanoseconds; `None` where it was lost.
    pub arrives: Option<u64>,
}

/// What a link did, and when it was not itself.
#[derive(Debug, Default)]
pub struct Done {
    /// Every TCP packet, in the order in which they came.
    pub records: Vec<Record>,
    /// When nothing was carried because the machine had no CPU for the link; CLOCK_MONOTONIC in nanoseconds.
    pub stalls: Vec<std::ops::Range<u64>>,
}

/// xorshift64*: the same seed gives the same chances.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From any number.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, n: u64) -> bool {
        self.number() % 1_000 < n
    }

    /// Whether a turn is one of the so many in a hundred that something happens to: always the same for a turn.
    pub fn hits(seed: u64, connection: u32, turn: u32, percent: u64) -> bool {
        let mut of_turn = Self::new(seed ^ u64::from(connection) << 40 ^ u64::from(turn) << 8);
        of_turn.number();
        of_turn.number() % 100 < percent
    }
}
