//! Spans of observed processes, built from facts.
//!
//! ```text
//! TCP connection                 INTERNAL; CLIENT or SERVER where it has no turns
//!   TCP connect                  INTERNAL, client only; events syn, syn_ack
//!   TCP accept wait              INTERNAL, server only
//!   tcp request                  CLIENT or SERVER: one turn; events retransmit, drop, reset, zero window. In plain HTTP/1
//!                                its name is the method
//!       syscall NAME             INTERNAL, where calls are told; those of no turn stand below the connection
//! ```
//!
//! * A connection is a trace, with the trace id that the core made. Both ends have the same one where it comes from
//!   the initial sequence numbers (`tracenet.trace_id.source` is `isn_pair`), so that both halves stand in one trace
//!   without a header.
//! * Of one that lives on, each next [`MOST_TURNS`] turns are a trace of their own, a chapter, with the root `TCP connection,
//!   continued`, which has a link to the connection.
//! * Span ids are made from the trace id, the side and the number of the turn: a turn is sent when it is over, long
//!   before its connection, and the parent's id is known already.
//! * The parent of a turn is its own connection. Where both ends are observed by this tracenet, the server's turn
//!   is instead a child of the client's turn, inside its bounds, and the server's connection a child of the client's,
//!   which may end later than this. An end observed by another tracenet is never named as a parent: whether its span
//!   exists can't be known here.
//! * Which service is at the other end is known from its own first turn: the client's first one waits a moment for that.
//! * Trouble goes to the turn during which it happened, else to the connection.
//! * A span is an error only if the connection failed; what a retransmission repaired is not.
//! * At most [`MOST_EVENTS`] events a span and [`MOST_TURNS`] turns a trace; the rest is counted
//!   (`dropped_events_count`, `tracenet.trace.spans_omitted`).

mod chapter;
mod connection;

use std::sync::Arc;

use opentelemetry::TraceId;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use opentelemetry_semantic_conventions::attribute as semconv;
use rustc_hash::{FxHashMap, FxHashSet};
use tracenet_core::fact::{CloseReason, ConnSummary, Fact, FactKind, TraceIdSource, Turn};
use tracenet_core::key::{ConnId, Role, Transport};
use tracenet_core::time::{ClockOffset, MonoNs};
use tracenet_core::trace_id;

use crate::calls::Call;
use crate::describe;
use crate::failure::{error_type, was_established};
use crate::ids::{self, Part};
use crate::names::{attribute, span as names};
use crate::pairing::Pairing;
use crate::queue::{SpanItem, Worth};
use crate::value;
use connection::{Chapter, Connection, Events, around};

/// Most events of a span.
pub const MOST_EVENTS: usize = 64;
/// Most turns of a trace.
pub const MOST_TURNS: u32 = trace_id::TURNS_OF_CHAPTER;
/// Most SYNs and SYN/ACKs of a handshake.
const MOST_HANDSHAKE_EVENTS: usize = 16;
/// A turn of a client that the kernel side put together begins when the first call that sent it is over, which the packet may
/// not have survived: trouble so long before belongs to it.
const WITHIN_CALL_NS: u64 = 1_000_000;
/// Most connections of which something waits.
const MOST_CONNECTIONS: usize = 65_536;

/// Turns facts into spans.
#[derive(Debug)]
pub struct SpanBuilder {
    connections: FxHashMap<ConnId, Connection>,
    pairing: Pairing,
    /// Tells this run's made-up trace ids from another's.
    run: u64,
    omitted: u64,
    /// The latest time that was told: a turn that ended with its connection's silence is told long after it.
    now: MonoNs,
    /// Packets are all there is: they tell of retransmissions.
    packets_only: bool,
    /// System calls become spans too.
    calls: bool,
    /// Connections that were told while they were open, by one who follows them no more: their end is no news.
    left_open: FxHashSet<(TraceId, Role)>,
    out: Vec<SpanItem>,
}

impl SpanBuilder {
    /// `run` is any number that another run doesn't have, such as the time.
    pub fn new(run: u64) -> Self {
        Self {
            connections: FxHashMap::default(),
            pairing: Pairing::default(),
            run,
            omitted: 0,
            now: MonoNs::default(),
            packets_only: false,
            calls: false,
            left_open: FxHashSet::default(),
            out: Vec::new(),
        }
    }

    /// For facts from packets alone: these also tell what was sent again, which live only the kernel does.
    pub fn of_packets(run: u64) -> Self {
        Self { packets_only: true, ..Self::new(run) }
    }

    /// True where a fact of this kind may say something to a builder that [tells calls](Self::tell_calls).
    pub fn needs(kind: &FactKind) -> bool {
        match kind {
            FactKind::Packet(packet) => describe::matters(packet),
            FactKind::Turn(_)
            | FactKind::Closed(_)
            | FactKind::Opened { .. }
            | FactKind::State { .. }
            | FactKind::Retransmit { .. }
            | FactKind::Dropped(_)
            | FactKind::Reset { .. }
            | FactKind::Syscall(_) => true,
            _ => false,
        }
    }

    /// System calls of connections become spans below their turns.
    pub fn tell_calls(&mut self) {
        self.calls = true;
    }

    /// What waits of a connection is of no use: somebody else tells of it.
    pub fn forget(&mut self, id: ConnId) {
        self.connections.remove(&id);
    }

    /// Turns that became no span because their trace had [`MOST_TURNS`] already, or there were too many connections.
    pub fn spans_omitted(&self) -> u64 {
        self.omitted
    }

    /// Takes a fact; `resource` is that of its process. Gives the spans that are ready.
    pub fn on(
        &mut self,
        fact: &Fact,
        clock: ClockOffset,
        resource: Option<&Arc<Resource>>,
    ) -> std::vec::Drain<'_, SpanItem> {
        self.overdue(fact.t);
        match (&fact.kind, resource) {
            // A connect(2) that failed has a span of its own.
            (FactKind::Turn(turn), _) if turn.request_bytes == 0 => {}
            (FactKind::Turn(turn), Some(resource)) => self.turn(fact, turn, clock, resource),
            (FactKind::Syscall(call), _) if self.calls => {
                if let Some(connection) = self.connection(fact.conn, clock) {
                    connection.calls.push(fact.t, call);
                }
            }
            (FactKind::Closed(summary), resource) => self.closed(summary, clock, resource),
            (FactKind::Opened { before, .. }, _) => {
                let before = *before;
                if let Some(connection) = self.connection(fact.conn, clock) {
                    connection.opened_before = before;
                    connection.opened = Some(fact.t);
                }
            }
            (FactKind::State { .. }, _) => {
                if let Some(connection) = self.connection(fact.conn, clock)
                    && let Some(event) = describe::event(fact.t, &fact.kind, connection.clock)
                {
                    connection.own.push(event);
                }
            }
            (kind @ FactKind::Packet(_), _) => {
                // Most packets mean nothing here: look before anything is made.
                let handshake = describe::handshake_event(fact.t, kind, clock);
                let trouble = describe::event(fact.t, kind, clock);
                let again = self.packets_only.then(|| describe::sent_again(fact.t, kind, clock)).flatten();
                if (handshake.is_some() || trouble.is_some() || again.is_some())
                    && let Some(connection) = self.connection(fact.conn, clock)
                {
                    if connection.handshake.len() < MOST_HANDSHAKE_EVENTS {
                        connection.handshake.extend(handshake);
                    }
                    for event in [trouble, again].into_iter().flatten() {
                        connection.trouble(fact.t, event);
                    }
                }
            }
            (FactKind::Retransmit { .. } | FactKind::Dropped(_) | FactKind::Reset { .. }, _) => {
                if let Some(connection) = self.connection(fact.conn, clock)
                    && let Some(event) = describe::event(fact.t, &fact.kind, connection.clock)
                {
                    connection.trouble(fact.t, event);
                }
            }
            _ => {}
        }
        self.out.drain(..)
    }

    /// Gives what has waited for its other half long enough by `now`, where no fact comes meanwhile.
    pub fn tick(&mut self, now: MonoNs) -> std::vec::Drain<'_, SpanItem> {
        self.overdue(now);
        self.out.drain(..)
    }

    fn overdue(&mut self, now: MonoNs) {
        self.now = self.now.max(now);
        while let Some(item) = self.pairing.impatient(self.now) {
            self.out.push(item);
        }
    }

    /// Gives what still waits: there will be no more facts.
    pub fn finish(&mut self) -> Vec<SpanItem> {
        self.pairing.flush(None)
    }

    fn connection(&mut self, id: Option<ConnId>, clock: ClockOffset) -> Option<&mut Connection> {
        let id = id?;
        if self.connections.len() >= MOST_CONNECTIONS && !self.connections.contains_key(&id) {
            return None;
        }
        Some(self.connections.entry(id).or_insert_with(|| Connection::new(clock)))
    }

    fn turn(&mut self, fact: &Fact, turn: &Turn, clock: ClockOffset, resource: &Arc<Resource>) {
        let trace = ids::of_turn(ids::of_connection(turn.trace_id, self.run, fact.conn), turn.index);
        let Some(connection) = self.connection(fact.conn, clock) else {
            self.omitted += 1;
            return;
        };
        let number = trace_id::chapter(turn.index);
        let over = (number > connection.chapter.number)
            .then(|| std::mem::replace(&mut connection.chapter, Chapter { number, ..Chapter::default() }));
        if connection.chapter.turns >= MOST_TURNS {
            connection.omitted += 1;
            self.omitted += 1;
            return;
        }
        connection.chapter.turns += 1;
        let end = turn.end.max(turn.start);
        let mut from = turn.start;
        if turn.sampling.is_some() && turn.role == Role::Client {
            let before = connection.bounds.map_or(MonoNs::default(), |(_, last)| last);
            from = from.before(WITHIN_CALL_NS).max(before).min(turn.start);
        }
        connection.bounds = around(connection.bounds, turn.start, end);
        connection.chapter.bounds = around(connection.chapter.bounds, turn.start, end);
        let mut events = connection.take_events(from, end);
        let start = connection.clock.wall(turn.start).0;
        for event in &mut events.kept {
            event.time_unix_nano = event.time_unix_nano.max(start);
        }
        let calls = connection.calls.take(turn.start, end);
        let (clock, opened_before) = (connection.clock, connection.opened_before);
        let opened = connection.opened.filter(|_| number == 0);
        let begun = opened.map_or(turn.start, |opened| opened.min(turn.start));
        let events = Events { calls_omitted: calls.omitted, ..events };
        let (events, earlier) = if turn.response_bytes == 0 {
            (None, connection.unanswered.replace((turn.clone(), events, Arc::clone(resource))))
        } else {
            (Some(events), None)
        };
        if let Some(over) = over {
            self.chapter_over(over, turn.into(), fact.conn, clock, resource);
        }
        let below = |call: &Call, parent| SpanItem {
            resource: Arc::clone(resource),
            span: call.span(trace, turn.role, parent, clock),
            worth: Worth::Syscall,
        };
        self.out.extend(calls.before.iter().map(|call| below(call, Part::Connection)));
        self.out.extend(calls.within.iter().map(|call| below(call, Part::Turn(turn.index))));
        if let Some((turn, events, resource)) = earlier {
            self.send_turn(fact.conn, &turn, events, clock, true, &resource, None);
        }
        let Some(events) = events else { return };
        if turn.role == Role::Client && turn.trace_id_source == TraceIdSource::IsnPair {
            self.out.extend(self.pairing.client_connection(trace, clock.wall(begun).0));
        }
        self.send_turn(fact.conn, turn, events, clock, opened_before, resource, None);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one place makes turn spans, and these are what they are made of"
    )]
    fn send_turn(
        &mut self,
        conn: Option<ConnId>,
        turn: &Turn,
        events: Events,
        clock: ClockOffset,
        alone: bool,
        resource: &Arc<Resource>,
        error: Option<&'static str>,
    ) {
        let trace = ids::of_turn(ids::of_connection(turn.trace_id, self.run, conn), turn.index);
        // A path is no route, and no name is to have many values.
        let name = match (&turn.request, turn.tuple.transport) {
            (Some(request), _) => &*request.method,
            (None, Transport::Tcp) => names::TCP_REQUEST,
            (None, Transport::Udp) => names::UDP_REQUEST,
        };
        let ids = (Part::Turn(turn.index), Some(Part::Connection));
        let mut span = span(trace, turn.role, ids, name, (turn.start, turn.end), clock);
        span.kind = kind_of(turn.role) as i32;
        span.attributes = describe::turn(turn, conn);
        events.put_into(&mut span);
        fail(&mut span, error);
        if let Some(service) = service_name(resource) {
            self.out.extend(self.pairing.name(trace, turn.role, service));
        }
        let peer = self.pairing.peer_of(trace, turn.role);
        // Packets name nobody, and a server that isn't observed here is waited for once.
        let waits = peer.is_none()
            && !self.packets_only
            && conn.and_then(|id| self.connections.get(&id)).is_some_and(|c| c.chapter.turns == 1);
        if let Some(peer) = peer {
            span.attributes.extend(describe::peer(peer));
        }
        let worth = if error.is_some() { Worth::Error } else { Worth::Turn };
        let item = SpanItem { resource: Arc::clone(resource), span, worth };
        // Turns are numbered from where the observation began: the ends of an older connection may differ.
        let comparable = turn.trace_id_source == TraceIdSource::IsnPair && !alone && error.is_none();
        match turn.role {
            Role::Client if comparable => {
                let servers_half = self.pairing.client((trace, Some(turn.index)), &item.span);
                let ready = if waits { self.pairing.await_name(trace, self.now, item) } else { Some(item) };
                self.out.extend(ready.into_iter().chain(servers_half));
            }
            Role::Server if comparable => {
                let ready = self.pairing.server((trace, Some(turn.index)), conn, self.now, item);
                self.out.extend(ready);
            }
            Role::Client | Role::Server => self.out.push(item),
        }
    }

    fn closed(&mut self, summary: &ConnSummary, clock: ClockOffset, resource: Option<&Arc<Resource>>) {
        let mut connection = self.connections.remove(&summary.id).unwrap_or_else(|| Connection::new(clock));
        let clock = connection.clock;
        let trace = ids::of_connection(summary.trace_id, self.run, Some(summary.id));
        let error = error_type(summary);
        if let Some((turn, events, resource)) = connection.unanswered.take() {
            self.send_turn(Some(summary.id), &turn, events, clock, true, &resource, error);
        }
        self.out.extend(self.pairing.flush(Some(summary.id)));
        if let Some(resource) = resource {
            self.chapter_over(connection.chapter, summary.into(), Some(summary.id), clock, resource);
        }
        if !self.is_news(trace, summary) {
            return;
        }
        let Some(resource) = resource else { return };
        let rest = connection.calls.rest().map(|call| SpanItem {
            resource: Arc::clone(resource),
            span: call.span(trace, summary.role, Part::Connection, clock),
            worth: Worth::Syscall,
        });
        self.out.extend(rest);

        let mut own = std::mem::take(&mut connection.own);
        own.dropped = own.dropped.saturating_add(connection.overflowed);
        connection.pending.drain(..).for_each(|(_, event)| own.push(event));

        // The connection holds all its parts, whatever was seen first.
        let mut start = summary.start;
        let mut end = summary.end.max(start);
        for t in [summary.connect_start, summary.established].into_iter().flatten() {
            (start, end) = (start.min(t), end.max(t));
        }
        if let Some((first, last)) = connection.bounds {
            (start, end) = (start.min(first), end.max(last));
        }

        let name = match summary.tuple.transport {
            Transport::Tcp => names::TCP_CONNECTION,
            Transport::Udp => names::UDP_FLOW,
        };
        let ids = (Part::Connection, None);
        let mut whole = span(trace, summary.role, ids, name, (start, end), clock);
        let kind = if connection.bounds.is_none() { kind_of(summary.role) } else { SpanKind::Internal };
        whole.kind = kind as i32;
        whole.attributes = describe::connection(summary);
        if connection.omitted > 0 {
            whole.attributes.push(value::count(attribute::SPANS_OMITTED, connection.omitted));
        }
        if let Some(service) = service_name(resource) {
            self.out.extend(self.pairing.name(trace, summary.role, service));
        }
        if let Some(peer) = self.pairing.peer_of(trace, summary.role) {
            whole.attributes.extend(describe::peer(peer));
        }
        own.put_into(&mut whole);
        fail(&mut whole, error);

        let worth = if error.is_some() { Worth::Error } else { Worth::Connection };
        let item = |span| SpanItem { resource: Arc::clone(resource), span, worth };
        self.send_root(trace, summary.role, summary.trace_id_source, Some(summary.id), item(whole));
        if summary.tuple.transport == Transport::Tcp {
            for part in [
                connect(summary, trace, end, clock, connection.handshake),
                accept_wait(summary, trace, end, clock),
            ] {
                self.out.extend(part.map(item));
            }
        }
    }
}

impl SpanBuilder {
    /// Of a connection that was told while it was open, nothing more is told: its span has been sent.
    fn is_news(&mut self, trace: TraceId, summary: &ConnSummary) -> bool {
        let key = (trace, summary.role);
        if summary.trace_id_source != TraceIdSource::IsnPair {
            return true;
        }
        if summary.close != CloseReason::Open {
            return !self.left_open.remove(&key);
        }
        self.left_open.len() >= MOST_CONNECTIONS || self.left_open.insert(key)
    }
}

/// From connect(2) to ESTABLISHED, or to the failure.
fn connect(
    s: &ConnSummary,
    trace: TraceId,
    end: MonoNs,
    clock: ClockOffset,
    events: Vec<Event>,
) -> Option<Span> {
    if s.role != Role::Client {
        return None;
    }
    let start = s.connect_start?;
    let until = match (s.connect, s.established) {
        (Some(took), _) => start.after(took.0).min(end),
        (None, Some(established)) => established,
        (None, None) => end,
    };
    let ids = (Part::Connect, Some(Part::Connection));
    let mut span = span(trace, s.role, ids, names::TCP_CONNECT, (start, until), clock);
    span.attributes = describe::network(&s.tuple, s.role, Some(s.id));
    let (from, to) = (span.start_time_unix_nano, span.end_time_unix_nano);
    span.events = events;
    // A repeated SYN/ACK may come after the end.
    span.events.retain(|e| (from..=to).contains(&e.time_unix_nano));
    if !was_established(s) && s.close != CloseReason::Open {
        fail(&mut span, error_type(s));
    }
    Some(span)
}

/// From ESTABLISHED to the return of accept(2).
fn accept_wait(s: &ConnSummary, trace: TraceId, end: MonoNs, clock: ClockOffset) -> Option<Span> {
    if s.role != Role::Server {
        return None;
    }
    let start = s.established?;
    let until = start.after(s.accept_wait?.0).min(end);
    let ids = (Part::AcceptWait, Some(Part::Connection));
    let mut span = span(trace, s.role, ids, names::TCP_ACCEPT_WAIT, (start, until), clock);
    span.attributes = describe::network(&s.tuple, s.role, Some(s.id));
    Some(span)
}

pub(crate) fn span(
    trace: TraceId,
    role: Role,
    (part, parent): (Part, Option<Part>),
    name: &str,
    (start, end): (MonoNs, MonoNs),
    clock: ClockOffset,
) -> Span {
    let parent = parent.map(|parent| ids::span_id(trace, role, parent).to_bytes().to_vec());
    Span {
        trace_id: trace.to_bytes().to_vec(),
        span_id: ids::span_id(trace, role, part).to_bytes().to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        name: name.to_owned(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: clock.wall(start).0,
        end_time_unix_nano: clock.wall(end.max(start)).0,
        ..Span::default()
    }
}

fn kind_of(role: Role) -> SpanKind {
    match role {
        Role::Client => SpanKind::Client,
        Role::Server => SpanKind::Server,
    }
}

fn fail(span: &mut Span, error: Option<&'static str>) {
    if let Some(error) = error {
        span.attributes.push(value::string(semconv::ERROR_TYPE, error));
        span.status = Some(Status { message: error.to_owned(), code: StatusCode::Error as i32 });
    }
}

fn service_name(resource: &Resource) -> Option<&str> {
    let name = resource.attributes.iter().find(|a| a.key == semconv::SERVICE_NAME)?;
    match name.value.as_ref()?.value.as_ref()? {
        Value::StringValue(name) => Some(name),
        _ => None,
    }
}
