//! The documented JSON of `tracenet --json`, typed: a field that is missing or of another type fails the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;

/// `tracenet.summary/1`. Fields are as README.md describes them.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Summary {
    pub schema: String,
    pub duration_ns: u64,
    pub targets: Vec<Target>,
    pub connections: Vec<Connection>,
    pub unattributed: Unattributed,
    pub no_connection: Vec<NoConnection>,
    pub audit: Vec<Audit>,
    pub firewall: Vec<Firewall>,
    pub lost: Lost,
}

/// A rule of the packet filter.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Firewall {
    pub netns: u64,
    pub family: String,
    pub table: String,
    pub chain: String,
    pub hook: Option<String>,
    pub handle: Option<u64>,
    pub packets: Option<u64>,
}

/// A traced process.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Target {
    pub pid: u32,
    pub comm: String,
    pub exit: serde_json::Value,
}

/// A connection, or a UDP flow.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Connection {
    pub id: String,
    pub pid: u32,
    pub comm: String,
    pub netns: u64,
    pub transport: String,
    pub role: String,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub opened_before: bool,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub turns: u64,
    pub connect_ns: Option<u64>,
    pub accept_wait_ns: Option<u64>,
    pub rtt_ns: Option<Rtt>,
    pub retransmits: Retransmits,
    pub drops: Vec<Drops>,
    pub peer_drops: Vec<Drops>,
    pub close: String,
    pub trace_id: String,
    pub incomplete: bool,
}

/// Round-trip times, nanoseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Rtt {
    pub min: u64,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

/// Retransmitted segments by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Retransmits {
    pub total: u64,
    pub fast: u64,
    pub tail_loss_probe: u64,
    pub timeout: u64,
    pub syn: u64,
    pub syn_ack: u64,
    pub other: u64,
}

/// Drops of one kind.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Drops {
    pub reason: String,
    pub location: String,
    pub direction: String,
    pub packets: u64,
    pub segments: u64,
    pub pid: Option<u32>,
}

/// A target's trouble that belongs to none of its connections: a SYN that was dropped on its way to a listener.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct NoConnection {
    pub pid: u32,
    pub comm: String,
    pub retransmits: Retransmits,
    pub drops: Vec<Drops>,
}

/// What could not be given to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Unattributed {
    pub retransmits: u64,
    pub drops: u64,
}

/// One counter, as the kernel and as tracenet have it.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Audit {
    pub counter: String,
    pub netns: u64,
    pub kernel: i64,
    pub tracenet: i64,
}

/// Lost events by source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "README.md describes the schema")]
pub struct Lost {
    pub ringbuf: u64,
    pub capture: u64,
    pub queue: u64,
    pub export: u64,
}

impl Lost {
    /// Nothing was lost.
    pub const NOTHING: Self = Self { ringbuf: 0, capture: 0, queue: 0, export: 0 };
}

impl Summary {
    /// Connections by local address; two with the same address fail the test.
    pub fn by_local(&self) -> BTreeMap<SocketAddr, &Connection> {
        let mut map = BTreeMap::new();
        for connection in &self.connections {
            let other = map.insert(connection.local, connection);
            assert!(other.is_none(), "{} is listed twice: {other:?} {connection:?}", connection.local);
        }
        map
    }

    /// The connections of a process.
    pub fn of(&self, pid: u32) -> impl Iterator<Item = &Connection> {
        self.connections.iter().filter(move |c| c.pid == pid)
    }

    /// Packets dropped with a reason on their way to (or from) the sockets of a process.
    pub fn dropped(&self, pid: u32, reason: &str, direction: &str) -> u64 {
        let of_connections: u64 = self.of(pid).map(|c| c.dropped(reason, direction)).sum();
        let others = self.no_connection.iter().filter(|n| n.pid == pid);
        of_connections + others.map(|n| sum(&n.drops, reason, direction)).sum::<u64>()
    }

    /// Segments that a process's sockets sent again.
    pub fn retransmitted(&self, pid: u32) -> u64 {
        let of_connections: u64 = self.of(pid).map(|c| c.retransmits.total).sum();
        let others = self.no_connection.iter().filter(|n| n.pid == pid);
        of_connections + others.map(|n| n.retransmits.total).sum::<u64>()
    }

    /// The audit row of a counter in a namespace.
    pub fn audit(&self, counter: &str, netns: u64) -> &Audit {
        self.audit
            .iter()
            .find(|row| row.counter == counter && row.netns == netns)
            .unwrap_or_else(|| panic!("no audit of {counter} in netns {netns}: {:?}", self.audit))
    }
}

impl Connection {
    /// Dropped packets with a reason, seen from this socket in its own namespace.
    pub fn dropped(&self, reason: &str, direction: &str) -> u64 {
        sum(&self.drops, reason, direction)
    }

    /// Dropped packets with a reason at the peer.
    pub fn dropped_at_peer(&self, reason: &str, direction: &str) -> u64 {
        sum(&self.peer_drops, reason, direction)
    }
}

fn sum(drops: &[Drops], reason: &str, direction: &str) -> u64 {
    drops.iter().filter(|d| d.reason == reason && d.direction == direction).map(|d| d.packets).sum()
}
