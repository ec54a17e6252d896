//! The connections of one process, from the kernel's own counters (sock_diag(7)).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tracenet_collectors::netns;
use tracenet_collectors::owners::Owners;
use tracenet_collectors::process::Proc;
use tracenet_collectors::sockets::{self, Address, Kind, Query, State, States};

use super::model::Rate;

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub cookie: u64,
    pub state: State,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Since the last reading; nothing at the first one.
    pub rate: Rate,
    /// Segments sent again, since it was opened.
    pub retransmits: u32,
    /// Smoothed, microseconds.
    pub rtt_us: u32,
    /// Bytes not read, and not acknowledged.
    pub queues: (u32, u32),
}

impl Connection {
    /// Bytes a second, both ways.
    pub fn total(&self) -> u64 {
        self.rate.sent.saturating_add(self.rate.received)
    }
}

/// Connections of the process that is looked at.
#[derive(Debug, Default)]
pub struct Connections {
    pub pid: u32,
    pub all: Vec<Connection>,
    /// Why there is nothing to see.
    pub error: Option<String>,
    /// By cookie: bytes acknowledged and received, at the last reading.
    before: FxHashMap<u64, (u64, u64)>,
    at: Duration,
}

impl Connections {
    /// Reads those of `pid`, `at` this time since the start; the busiest first.
    pub fn read(&mut self, pid: u32, at: Duration) {
        if self.pid != pid {
            *self = Self { pid, ..Self::default() };
        }
        let ns = at.saturating_sub(self.at).as_nanos().max(1);
        let first = self.before.is_empty();
        self.at = at;
        self.all.clear();
        let mut now = FxHashMap::default();
        let read = of(pid, |cookie, connection, acked, received| {
            let (acked_before, received_before) =
                self.before.get(&cookie).copied().unwrap_or(if first { (acked, received) } else { (0, 0) });
            let per_second =
                |bytes: u64| u64::try_from(u128::from(bytes) * 1_000_000_000 / ns).unwrap_or(u64::MAX);
            let rate = Rate {
                sent: per_second(acked.saturating_sub(acked_before)),
                received: per_second(received.saturating_sub(received_before)),
            };
            now.insert(cookie, (acked, received));
            self.all.push(Connection { rate, ..connection });
        });
        self.error = read.err();
        self.before = now;
        self.all.sort_by(|a, b| {
            b.total().cmp(&a.total()).then_with(|| (a.local, a.remote).cmp(&(b.local, b.remote)))
        });
    }
}

fn of(pid: u32, mut each: impl FnMut(u64, Connection, u64, u64)) -> Result<(), String> {
    let owners = Owners::of_process(&Proc::default(), pid);
    let _there = netns::enter(pid).map_err(|e| e.to_string())?;
    let query = Query {
        kinds: BTreeSet::from([Kind::Tcp]),
        v4: true,
        v6: true,
        // Those with two ends.
        states: States(!States::of(&[State::Listen, State::Close, State::TimeWait, State::BoundInactive]).0),
        tcp_info: true,
        ..Query::default()
    };
    let mut seen = FxHashSet::default();
    sockets::read(&query, &mut |socket| {
        let held = !owners.of(socket.inode).is_empty();
        let (Address::Ip(local, lport), Address::Ip(remote, rport)) = (&socket.local, &socket.remote) else {
            return;
        };
        let Some(tcp) = socket.tcp.as_ref().filter(|_| held && seen.insert(socket.cookie)) else { return };
        let connection = Connection {
            cookie: socket.cookie,
            state: socket.state,
            local: SocketAddr::new(*local, *lport),
            remote: SocketAddr::new(*remote, *rport),
            rate: Rate::default(),
            retransmits: tcp.info.total_retrans,
            rtt_us: tcp.info.rtt,
            queues: (socket.recv_q, socket.send_q),
        };
        each(socket.cookie, connection, tcp.info.bytes_acked, tcp.info.bytes_received);
    })
    .map(drop)
    .map_err(|e| e.to_string())
}
