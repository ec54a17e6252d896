//! How long turns usually take, by the server's address: what a slow one is compared with.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;

use crate::conn::Conn;
use crate::fact::Turn;
use crate::histogram::Histogram;
use crate::key::{NetnsCookie, Role, Transport};
use crate::time::DurationNs;

/// Endpoints held at once: the first ones stay, the turns of further ones are counted.
const MAX_ENDPOINTS: usize = 1_024;

/// Whom a turn was with: for a client the peer's address, for a server its own, since its peers' ports say nothing.
type Endpoint = (NetnsCookie, Transport, Role, SocketAddr);

/// Durations of answered turns at each endpoint.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    durations: FxHashMap<Endpoint, Histogram>,
    /// Turns that found no room.
    pub(super) omitted: u64,
}

impl Endpoints {
    /// The median of the turns before this one; then it counts too.
    pub(super) fn median(&mut self, c: &Conn, turn: &Turn) -> Option<DurationNs> {
        let address = match c.role {
            Role::Client => c.tuple.remote,
            Role::Server => c.tuple.local,
        };
        let endpoint = (c.netns, c.tuple.transport, c.role, address);
        if self.durations.len() >= MAX_ENDPOINTS && !self.durations.contains_key(&endpoint) {
            self.omitted += 1;
            return None;
        }
        let durations = self.durations.entry(endpoint).or_default();
        let median = durations.quantile(0.5);
        if turn.response_bytes > 0 {
            durations.record(turn.duration());
        }
        median
    }
}
