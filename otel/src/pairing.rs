//! Brings the two halves of a turn together where both ends are observed here, so that the server's span becomes a
//! child of the client's: that is the edge from which viewers draw their service map. So does the server's connection
//! become a child of the client's: a trace has one root.
//!
//! Which half is told first is open, so that a server's turn or connection waits for the client's for a moment. So does the
//! first turn of a client for the server's name, which the server's first turn tells.

use std::collections::VecDeque;
use std::sync::Arc;

use opentelemetry::TraceId;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_semantic_conventions::attribute as semconv;
use rustc_hash::FxHashMap;
use tracenet_core::key::{ConnId, Role};
use tracenet_core::time::MonoNs;

use crate::describe;
use crate::ids::{self, Part};
use crate::queue::SpanItem;

/// Most server turns and connections that wait, and most client turns.
const MOST_HELD: usize = 1024;
/// Most client turns remembered.
const MOST_CLIENT_TURNS: usize = 4096;
/// Most services remembered by connection.
const MOST_NAMES: usize = 16_384;
/// Most connections remembered of which the client's end was seen.
const MOST_CLIENTS: usize = 16_384;
/// How long they wait.
const PATIENCE_NS: u64 = 1_000_000_000;

/// The trace and the number of the turn in it; without a number, the connection.
pub(crate) type HalfKey = (TraceId, Option<u32>);

#[derive(Debug)]
struct Held {
    key: HalfKey,
    conn: Option<ConnId>,
    since: MonoNs,
    item: SpanItem,
}

/// A client's turn that waits for the server's name.
#[derive(Debug)]
struct Nameless {
    trace: TraceId,
    since: MonoNs,
    item: SpanItem,
}

/// What a server's span takes from the client's.
#[derive(Debug, Clone)]
struct ClientTurn {
    span_id: Vec<u8>,
    start: u64,
    end: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Pairing {
    held: VecDeque<Held>,
    nameless: VecDeque<Nameless>,
    clients: FxHashMap<HalfKey, ClientTurn>,
    /// Keys that were put into `clients`, the oldest first; some may have been taken out since.
    order: VecDeque<HalfKey>,
    /// When the connections began whose client's end was seen here, in nanoseconds since 1970.
    begun: FxHashMap<TraceId, u64>,
    names: FxHashMap<(TraceId, Role), Arc<str>>,
}

impl Pairing {
    /// Remembers which service is at an end of a connection. Gives back the client's turn that waited for a server's name.
    pub(crate) fn name(&mut self, trace: TraceId, role: Role, service: &str) -> Option<SpanItem> {
        if self.names.contains_key(&(trace, role)) {
            return None;
        }
        if self.names.len() >= MOST_NAMES {
            self.names.clear();
        }
        self.names.insert((trace, role), service.into());
        if role == Role::Client {
            return None;
        }
        let at = self.nameless.iter().position(|waits| waits.trace == trace)?;
        let mut item = self.nameless.remove(at)?.item;
        item.span.attributes.extend(describe::peer(service));
        Some(item)
    }

    /// The first turn of a client of which it isn't known who answers. Gives back one that made room for it.
    pub(crate) fn await_name(&mut self, trace: TraceId, now: MonoNs, item: SpanItem) -> Option<SpanItem> {
        self.nameless.push_back(Nameless { trace, since: now, item });
        if self.nameless.len() > MOST_HELD { self.nameless.pop_front().map(|waits| waits.item) } else { None }
    }

    /// The service at the other end, where it is observed too.
    pub(crate) fn peer_of(&self, trace: TraceId, role: Role) -> Option<&Arc<str>> {
        let other = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        self.names.get(&(trace, other))
    }

    /// The client's end of a connection is seen here; it began at `start` at the latest. Gives back the server's end, if
    /// that waited.
    pub(crate) fn client_connection(&mut self, trace: TraceId, start: u64) -> Option<SpanItem> {
        if self.begun.len() >= MOST_CLIENTS {
            self.begun.clear();
        }
        let begun = self.begun.entry(trace).or_insert(start);
        *begun = start.min(*begun);
        let at = self.held.iter().position(|held| held.key == (trace, None))?;
        let mut held = self.held.remove(at)?;
        self.join_connection(&mut held.item.span, trace);
        Some(held.item)
    }

    /// A server's connection has ended. Gives back what is to be sent now, as [`server`](Self::server) does.
    pub(crate) fn server_connection(
        &mut self,
        trace: TraceId,
        conn: Option<ConnId>,
        now: MonoNs,
        mut item: SpanItem,
    ) -> Option<SpanItem> {
        if self.join_connection(&mut item.span, trace) {
            return Some(item);
        }
        self.hold(Held { key: (trace, None), conn, since: now, item })
    }

    /// A client's turn was told. Gives back the server's half, if that waited.
    pub(crate) fn client(&mut self, key: HalfKey, span: &Span) -> Option<SpanItem> {
        let client = ClientTurn {
            span_id: span.span_id.clone(),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
        };
        if let Some(at) = self.held.iter().position(|held| held.key == key) {
            let mut held = self.held.remove(at)?;
            self.join(&mut held.item.span, key.0, &client);
            return Some(held.item);
        }
        if self.order.len() >= MOST_CLIENT_TURNS
            && let Some(oldest) = self.order.pop_front()
        {
            self.clients.remove(&oldest);
        }
        if self.clients.insert(key, client).is_none() {
            self.order.push_back(key);
        }
        None
    }

    /// A server's turn was told. Gives back what is to be sent now: it, joined to the client's, or one that made
    /// room for it.
    pub(crate) fn server(
        &mut self,
        key: HalfKey,
        conn: Option<ConnId>,
        now: MonoNs,
        mut item: SpanItem,
    ) -> Option<SpanItem> {
        if let Some(client) = self.clients.remove(&key) {
            self.join(&mut item.span, key.0, &client);
            return Some(item);
        }
        self.hold(Held { key, conn, since: now, item })
    }

    fn hold(&mut self, held: Held) -> Option<SpanItem> {
        self.held.push_back(held);
        if self.held.len() > MOST_HELD { self.held.pop_front().map(|held| held.item) } else { None }
    }

    /// One whose wait is over: the other half didn't come in time.
    pub(crate) fn impatient(&mut self, now: MonoNs) -> Option<SpanItem> {
        let over = |since: MonoNs| now.since(since).0 > PATIENCE_NS;
        if self.held.front().is_some_and(|held| over(held.since)) {
            return self.held.pop_front().map(|held| held.item);
        }
        if self.nameless.front().is_some_and(|waits| over(waits.since)) {
            return self.nameless.pop_front().map(|waits| waits.item);
        }
        None
    }

    /// All that wait: those of a server's connection, or all there are.
    pub(crate) fn flush(&mut self, conn: Option<ConnId>) -> Vec<SpanItem> {
        let all = std::mem::take(&mut self.held);
        let (out, kept): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|held| conn.is_none() || held.conn == conn);
        self.held = kept.into();
        let mut out: Vec<SpanItem> = out.into_iter().map(|held| held.item).collect();
        if conn.is_none() {
            out.extend(std::mem::take(&mut self.nameless).into_iter().map(|waits| waits.item));
        }
        out
    }

    /// The server answered while the client waited. Where the stamps of two processes on two processors say
    /// otherwise by microseconds, the client's bounds hold, so that the child lies within its parent.
    fn join(&self, server: &mut Span, trace: TraceId, client: &ClientTurn) {
        server.parent_span_id.clone_from(&client.span_id);
        server.start_time_unix_nano = server.start_time_unix_nano.clamp(client.start, client.end);
        server.end_time_unix_nano = server.end_time_unix_nano.clamp(server.start_time_unix_nano, client.end);
        // What happened in these microseconds stays within the span, too.
        let bounds = (server.start_time_unix_nano, server.end_time_unix_nano);
        for event in &mut server.events {
            event.time_unix_nano = event.time_unix_nano.clamp(bounds.0, bounds.1);
        }
        self.name_client(server, trace);
    }

    /// The connection began with the client, and may go on at the server when the client has closed its end: that is
    /// shown as it was. False where no client's end was seen.
    fn join_connection(&self, server: &mut Span, trace: TraceId) -> bool {
        let Some(&begun) = self.begun.get(&trace) else { return false };
        server.parent_span_id = ids::span_id(trace, Role::Client, Part::Connection).to_bytes().to_vec();
        server.start_time_unix_nano = server.start_time_unix_nano.max(begun);
        server.end_time_unix_nano = server.end_time_unix_nano.max(server.start_time_unix_nano);
        for event in &mut server.events {
            event.time_unix_nano = event.time_unix_nano.max(server.start_time_unix_nano);
        }
        self.name_client(server, trace);
        true
    }

    fn name_client(&self, server: &mut Span, trace: TraceId) {
        if let Some(name) = self.peer_of(trace, Role::Server)
            && !server.attributes.iter().any(|a| a.key == semconv::SERVICE_PEER_NAME)
        {
            server.attributes.extend(describe::peer(name));
        }
    }
}
