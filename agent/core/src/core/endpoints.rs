//! How long turns usually take, by the server's address and what is asked for: what a slow one is compared with.

use std::net::SocketAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::conn::Conn;
use crate::fact::Turn;
use crate::histogram::Histogram;
use crate::key::{NetnsCookie, Role, Transport};
use crate::opening::Request;
use crate::time::DurationNs;

/// Endpoints held at once: the first ones stay, the turns of further ones are counted.
const MAX_ENDPOINTS: usize = 1_024;

/// Of these, requests that have a median of their own; further ones are one endpoint with those that have no name.
const MAX_REQUESTS: usize = 768;

/// Whom a turn was with: for a client the peer's address, for a server its own, since its peers' ports say nothing. And
/// what for.
type Endpoint = (NetnsCookie, Transport, Role, SocketAddr, Option<Arc<Request>>);

/// Durations of answered turns at each endpoint.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    durations: FxHashMap<Endpoint, Histogram>,
    /// Of the endpoints, those with a request.
    requests: usize,
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
        let mut endpoint = (c.netns, c.tuple.transport, c.role, address, turn.request.clone());
        if endpoint.4.is_some() && !self.durations.contains_key(&endpoint) {
            if self.requests < MAX_REQUESTS && self.durations.len() < MAX_ENDPOINTS {
                self.requests += 1;
            } else {
                endpoint.4 = None;
                self.omitted += 1;
            }
        }
        if self.durations.len() >= MAX_ENDPOINTS && !self.durations.contains_key(&endpoint) {
            self.omitted += u64::from(turn.request.is_none());
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
