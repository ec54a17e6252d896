//! Metrics of observed processes, accumulated from facts: cumulative sums and exponential histograms.

mod instrument;
mod process;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_semantic_conventions::attribute as semconv;
use rustc_hash::FxHashMap;
use tracenet_core::event::{GovernorStep, LossSource, RetransmitCause};
use tracenet_core::fact::{CloseReason, ConnSummary, Fact, FactKind, Turn};
use tracenet_core::key::{ConnId, Direction, ProcessKey, Role, Transport, Tuple};
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};

use crate::account::Account;
use crate::exemplars::Link;
use crate::failure::error_type;
use crate::ids::{self, Part};
use crate::names::attribute;
use crate::queue::Losses;
use crate::value;
use crate::workload::Activity;
use instrument::{Instrument, Label, LabelValue};
use process::{Process, Series};

/// Most processes with metrics of their own; the rest goes into one more resource, with `otel.metric.overflow`.
const MOST_PROCESSES: usize = 1024;
/// Most connections of which something is remembered.
const MOST_CONNECTIONS: usize = 65_536;
/// How long a process is kept after its end, for what is still said of it.
const KEPT_AFTER_EXIT_NS: u64 = 60_000_000_000;

/// What must be remembered of a connection between facts.
#[derive(Debug, Clone, Copy, Default)]
struct Connection {
    role: Option<Role>,
    tuple: Option<Tuple>,
    /// Bytes that turns already counted: sent, received.
    counted: (u64, u64),
    /// Segments sent again of which events told.
    retransmitted: u64,
}

/// Whose metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    Process(ProcessKey),
    /// By a number that the caller gave it.
    Workload(u32),
}

/// Accumulates the metrics of all observed processes.
#[derive(Debug)]
pub struct Meter {
    processes: FxHashMap<Subject, Process>,
    connections: FxHashMap<ConnId, Connection>,
    /// tracenet's own.
    agent: Process,
    /// Of processes beyond [`MOST_PROCESSES`].
    overflow: Process,
    /// As in [`SpanBuilder::new`](crate::SpanBuilder::new), where values are to be linked to their spans.
    run: Option<u64>,
}

const ROLES: [(Role, &str); 2] = [(Role::Client, "client"), (Role::Server, "server")];

fn role_label(role: Role) -> Label {
    (attribute::ROLE, LabelValue::Static(role_name(role)))
}

/// Value of the `role` attribute.
pub(crate) fn role_name(role: Role) -> &'static str {
    ROLES.iter().find(|(r, _)| *r == role).map_or("client", |(_, name)| name)
}

/// Value of the `direction` attribute.
pub(crate) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

/// Value of the `source` attribute of lost events.
pub(crate) fn source_name(source: LossSource) -> &'static str {
    match source {
        LossSource::Ringbuf => "ringbuf",
        LossSource::Capture => "pcap",
        LossSource::Queue => "queue",
        LossSource::Export => "export",
    }
}

const SOURCES: [LossSource; 4] =
    [LossSource::Ringbuf, LossSource::Capture, LossSource::Queue, LossSource::Export];

/// Value of the `layer` attribute: the part of the kernel that a drop reason (include/net/dropreason-core.h)
/// belongs to.
pub(crate) fn layer(reason: &str) -> &'static str {
    const LAYERS: [(&str, &str); 19] = [
        ("NETFILTER", "netfilter"),
        ("NF_", "netfilter"),
        ("QDISC", "qdisc"),
        ("TC_", "tc"),
        ("XDP", "xdp"),
        ("BPF", "bpf"),
        ("TCP_", "tcp"),
        ("UDP", "udp"),
        ("PROTO_MEM", "socket"),
        ("SOCKET", "socket"),
        ("SOCK", "socket"),
        ("NO_SOCKET", "socket"),
        ("NEIGH", "neighbour"),
        ("IP", "ip"),
        ("UNICAST", "ip"),
        ("CPU_BACKLOG", "backlog"),
        ("DEV_", "device"),
        ("VLAN", "device"),
        ("TAP_", "device"),
    ];
    LAYERS.iter().find(|(prefix, _)| reason.starts_with(prefix)).map_or("other", |(_, layer)| layer)
}

impl Meter {
    /// `agent` is tracenet's own resource; `start` is where sums begin.
    pub fn new(agent: Arc<Resource>, start: MonoNs) -> Self {
        let mut others = Resource::clone(&agent);
        others.attributes.push(value::boolean(attribute::OVERFLOW, true));
        let mut agent = Process::new(agent, start);
        for source in SOURCES {
            // Zero is said too: silence would look like an old agent.
            agent.add(
                Instrument::EventsLost,
                &[(attribute::SOURCE, LabelValue::Static(source_name(source)))],
                0,
            );
        }
        Self {
            processes: FxHashMap::default(),
            connections: FxHashMap::default(),
            agent,
            overflow: Process::new(Arc::new(others), start),
            run: None,
        }
    }

    /// Links values to the spans that a [`SpanBuilder`](crate::SpanBuilder) of the same `run` makes (exemplars).
    pub fn link_to_spans(&mut self, run: u64) {
        self.run = Some(run);
    }

    /// Counts a fact. `resource` is that of the fact's process.
    pub fn on(&mut self, fact: &Fact, resource: Option<&Arc<Resource>>) {
        if let FactKind::Lost { source, count, .. } = &fact.kind {
            let label = (attribute::SOURCE, LabelValue::Static(source_name(*source)));
            self.agent.add(Instrument::EventsLost, &[label], *count);
            return;
        }
        if let FactKind::Governor(step) = &fact.kind {
            self.governor(step);
            return;
        }
        let (Some(who), Some(resource)) = (&fact.who, resource) else { return };
        if let (FactKind::Retransmit { segments, .. }, Some(id)) = (&fact.kind, fact.conn) {
            self.remember(id, |c| c.retransmitted += u64::from(*segments));
        }
        let known = fact.conn.and_then(|id| self.connections.get(&id).copied());
        let connection = known.unwrap_or_default();
        let process = match &fact.kind {
            FactKind::Opened { tuple, role, .. } => {
                if let Some(id) = fact.conn {
                    self.remember(id, |c| (c.role, c.tuple) = (Some(*role), Some(*tuple)));
                }
                return;
            }
            FactKind::Exited { .. } => {
                if let Some(process) = self.processes.get_mut(&Subject::Process(who.key)) {
                    process.exited = Some(fact.t);
                }
                return;
            }
            // Of a connection that was never made.
            FactKind::Turn(turn) if turn.request_bytes == 0 => return,
            FactKind::Turn(turn) => {
                let counted = fact.conn.is_some_and(|id| {
                    let (sent, received) = turn_bytes(turn);
                    self.remember(id, |c| {
                        (c.role, c.tuple) = (Some(turn.role), Some(turn.tuple));
                        c.counted = (c.counted.0 + sent, c.counted.1 + received);
                    })
                });
                let part = Part::Turn(turn.index);
                let link = self.link(turn.trace_id, fact.conn, turn.role, part, turn.end);
                let process = self.subject(Subject::Process(who.key), resource, fact.t);
                turn_metrics(process, turn, counted, link);
                return;
            }
            FactKind::Closed(summary) => {
                self.connections.remove(&summary.id);
                let part = Part::Connection;
                let link = self.link(summary.trace_id, Some(summary.id), summary.role, part, summary.end);
                let process = self.subject(Subject::Process(who.key), resource, fact.t);
                closed_metrics(process, summary, connection.counted, link);
                // The kernel may have counted more than events told of, which the connection learns at its end.
                let missed = known.map_or(0, |c| summary.retransmits.total.saturating_sub(c.retransmitted));
                if missed > 0 {
                    let label = (attribute::TYPE, LabelValue::Static(RetransmitCause::Other.as_str()));
                    process.add(Instrument::Retransmits, &[label], missed);
                }
                return;
            }
            FactKind::Established { .. }
            | FactKind::Accepted { .. }
            | FactKind::Packet(_)
            | FactKind::Retransmit { .. }
            | FactKind::Dropped(_)
            | FactKind::Reset { .. } => self.subject(Subject::Process(who.key), resource, fact.t),
            FactKind::Forked { .. }
            | FactKind::Executed { .. }
            | FactKind::ThreadExited { .. }
            | FactKind::Signal { .. }
            | FactKind::Sleeps(_)
            | FactKind::Syscall(_)
            | FactKind::State { .. }
            | FactKind::Counters(_)
            | FactKind::Governor(_)
            | FactKind::Lost { .. } => return,
        };
        match &fact.kind {
            FactKind::Established { connect: Some(took) } => {
                process.record(Instrument::HandshakeDuration, &[role_label(Role::Client)], *took, None);
            }
            FactKind::Accepted { wait } => {
                // The accepting side's own port is the listening one.
                let port = connection.tuple.map(|t| (semconv::SERVER_PORT, LabelValue::Port(t.local.port())));
                process.record(Instrument::AcceptWait, port.as_slice(), *wait, None);
            }
            FactKind::Packet(packet) if packet.direction == Direction::In => {
                if let Some(rtt) = packet.analysis.and_then(|a| a.ack_rtt) {
                    let role = connection.role.map(role_label);
                    process.record(Instrument::Rtt, role.as_slice(), rtt, None);
                }
            }
            FactKind::Retransmit { cause, segments, .. } => {
                let label = (attribute::TYPE, LabelValue::Static(cause.as_str()));
                process.add(Instrument::Retransmits, &[label], u64::from(*segments));
            }
            // A drop at the peer is counted where it hurts: on the peer's process, if that is observed.
            FactKind::Dropped(drop) if drop.at_peer.is_none() => {
                let transport = connection.tuple.map_or(Transport::Tcp, |t| t.transport);
                let labels = [
                    (attribute::REASON, LabelValue::Shared(Arc::clone(&drop.reason))),
                    (attribute::LAYER, LabelValue::Static(layer(&drop.reason))),
                    (attribute::TRANSPORT, LabelValue::Static(transport.as_str())),
                    (attribute::DIRECTION, LabelValue::Static(direction_name(drop.direction))),
                ];
                process.add(Instrument::Drops, &labels, 1);
            }
            FactKind::Reset { direction, reason } => {
                let direction = (attribute::DIRECTION, LabelValue::Static(direction_name(*direction)));
                match reason {
                    Some(reason) => {
                        let cause = (attribute::CAUSE, LabelValue::Shared(Arc::clone(reason)));
                        process.add(Instrument::Resets, &[direction, cause], 1);
                    }
                    None => process.add(Instrument::Resets, &[direction], 1),
                }
            }
            _ => {}
        }
    }

    fn governor(&mut self, step: &GovernorStep) {
        let rung = |name: &Arc<str>| (attribute::RUNG, LabelValue::Shared(Arc::clone(name)));
        if step.why.is_step() {
            let why = (attribute::REASON, LabelValue::Static(step.why.as_str()));
            let turn = step.rung.as_ref().or(step.left_out.last()).map(rung);
            self.agent.add(Instrument::GovernorSteps, &turn.into_iter().chain([why]).collect::<Vec<_>>(), 1);
        }
        for (name, t) in &step.unobserved {
            self.agent.set(Instrument::Unobserved, &[rung(name)], Series::Time(t.0));
        }
    }

    /// A workload's process is observed less, or more again, from `t`: which part of it, and why.
    pub fn governed(
        &mut self,
        workload: u32,
        resource: &Arc<Resource>,
        t: MonoNs,
        (rung, why): (&'static str, &'static str),
    ) {
        let labels =
            [(attribute::RUNG, LabelValue::Static(rung)), (attribute::REASON, LabelValue::Static(why))];
        self.subject(Subject::Workload(workload), resource, t).add(Instrument::GovernorSteps, &labels, 1);
    }

    /// For so long all in all something was not observed of anybody.
    pub fn unobserved(&mut self, rung: &'static str, time: DurationNs) {
        let labels = [(attribute::RUNG, LabelValue::Static(rung))];
        self.agent.set(Instrument::Unobserved, &labels, Series::Time(time.0));
    }

    /// The span that [`SpanBuilder`](crate::SpanBuilder) makes of a part of a connection.
    fn link(
        &self,
        trace_id: [u8; 16],
        conn: Option<ConnId>,
        role: Role,
        part: Part,
        t: MonoNs,
    ) -> Option<Link> {
        let connection = ids::of_connection(trace_id, self.run?, conn);
        let trace = match part {
            Part::Turn(index) => ids::of_turn(connection, index),
            _ => connection,
        };
        Some(Link { trace, span: ids::span_id(trace, role, part), t })
    }

    /// Remembers something of a connection; false where there is no room.
    fn remember(&mut self, id: ConnId, what: impl FnOnce(&mut Connection)) -> bool {
        if self.connections.len() >= MOST_CONNECTIONS && !self.connections.contains_key(&id) {
            return false;
        }
        what(self.connections.entry(id).or_default());
        true
    }

    /// Adds what a workload did until `t`. Workloads beyond [`MOST_PROCESSES`] are one.
    pub fn did(&mut self, workload: u32, resource: &Arc<Resource>, t: MonoNs, what: &Activity) {
        let one = self.subject(Subject::Workload(workload), resource, t);
        network_io(one, (what.sent, what.received));
        for (direction, n) in [(Direction::Out, what.segments.0), (Direction::In, what.segments.1)] {
            let label = (attribute::DIRECTION, LabelValue::Static(direction_name(direction)));
            one.add(Instrument::Segments, &[label], n);
        }
        one.add(Instrument::Connections, &[role_label(Role::Client)], what.opened);
        one.add(Instrument::Connections, &[role_label(Role::Server)], what.accepted);
        if what.failed > 0 {
            let error = (semconv::ERROR_TYPE, LabelValue::Static("connect_failed"));
            one.add(Instrument::Connections, &[role_label(Role::Client), error], what.failed);
        }
        for (cause, n) in &what.retransmits {
            let label = (attribute::TYPE, LabelValue::Static(cause.as_str()));
            one.add(Instrument::Retransmits, &[label], *n);
        }
        for (reason, n) in &what.drops {
            let labels = [
                (attribute::REASON, LabelValue::Shared(Arc::clone(reason))),
                (attribute::LAYER, LabelValue::Static(layer(reason))),
            ];
            one.add(Instrument::Drops, &labels, *n);
        }
        one.add(Instrument::DnsQueries, &[], what.lookups);
        one.add(Instrument::SocketErrors, &[], what.errors);
        if let Some(mean) = what.rtt_us.0.checked_div(what.rtt_us.1) {
            one.record_many(
                Instrument::Rtt,
                &[],
                DurationNs(mean.saturating_mul(1_000)),
                what.rtt_us.1,
                None,
            );
        }
        let protocol = || (attribute::PROTOCOL, LabelValue::Static(Transport::Tcp.as_str()));
        for (role, durations) in &what.turns {
            for (ns, n) in durations {
                let labels = [role_label(*role), protocol()];
                one.record_many(Instrument::TurnDuration, &labels, DurationNs(*ns), *n, None);
            }
        }
        for (role, n) in &what.unanswered {
            one.add(Instrument::TurnUnanswered, &[role_label(*role)], *n);
        }
    }

    /// A turn of a workload that has become a span, one of several like it.
    pub fn example(&mut self, workload: u32, turn: &Turn, conn: Option<ConnId>) {
        let link = self.link(turn.trace_id, conn, turn.role, Part::Turn(turn.index), turn.end);
        let Some(one) = self.processes.get_mut(&Subject::Workload(workload)) else { return };
        if turn.response_bytes == 0 {
            return;
        }
        let protocol = (attribute::PROTOCOL, LabelValue::Static(turn.tuple.transport.as_str()));
        // It is counted with all the others.
        let labels = [role_label(turn.role), protocol];
        one.record_many(Instrument::TurnDuration, &labels, turn.end.since(turn.start), 0, link);
        let Some(waterfall) = &turn.waterfall else { return };
        let ratio = turn.sampling.map_or(1.0, |s| s.ratio()).max(1e-9);
        for (part, time) in waterfall.parts.without(&waterfall.before).by_size() {
            let part = (attribute::PART, LabelValue::Static(part.as_str()));
            // So much for each that is like it.
            let time = DurationNs((time.0 as f64 / ratio) as u64);
            one.add_time(Instrument::TurnTime, &[role_label(turn.role), part], time);
        }
    }

    /// A workload has ended: it is exported once more, for a while.
    pub fn ended(&mut self, workload: u32, t: MonoNs) {
        if let Some(one) = self.processes.get_mut(&Subject::Workload(workload)) {
            one.exited = Some(t);
        }
    }

    /// What tracenet itself used so far and uses: CPU time and resident memory in bytes.
    pub fn own(&mut self, cpu: Duration, memory: u64) {
        let cpu = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        self.agent.set(Instrument::CpuTime, &[], Series::Time(cpu));
        self.agent.set(Instrument::MemoryUsage, &[], Series::Level(memory));
    }

    /// What the exporter did so far and has.
    pub fn exporter(&mut self, account: &Account) {
        use Instrument::{PointsExported, SpansExported, SpansProcessed};
        let error = |why| [(semconv::ERROR_TYPE, LabelValue::Static(why))];
        let (spans, points, spool) = (account.spans, account.points, account.spool);
        let agent = &mut self.agent;
        for (instrument, done, why) in [
            (SpansExported, spans.exported, None),
            (SpansExported, spans.rejected, Some("rejected")),
            (SpansExported, spans.refused, Some("refused")),
            (SpansExported, spool.shed, Some("spool_full")),
            (SpansExported, spool.damaged, Some("spool_damaged")),
            (PointsExported, points.exported, None),
            (PointsExported, points.rejected, Some("rejected")),
            (PointsExported, points.refused, Some("refused")),
            (SpansProcessed, account.taken, None),
            (SpansProcessed, account.shed, Some("queue_full")),
            (Instrument::SpoolErrors, spool.errors, None),
            (Instrument::EndpointSwitches, account.switches, None),
        ] {
            agent.set(instrument, why.map(error).as_ref().map_or(&[], |e| &e[..]), Series::Sum(done));
        }
        for (instrument, now) in [
            (Instrument::SpansInflight, spans.inflight),
            (Instrument::QueueSize, account.waiting),
            (Instrument::QueueCapacity, account.capacity),
            (Instrument::SpoolSpans, spool.spans),
            (Instrument::SpoolUsage, spool.bytes),
        ] {
            agent.set(instrument, &[], Series::Level(now));
        }
    }

    fn subject(&mut self, key: Subject, resource: &Arc<Resource>, t: MonoNs) -> &mut Process {
        if self.processes.len() >= MOST_PROCESSES && !self.processes.contains_key(&key) {
            return &mut self.overflow;
        }
        let process = self.processes.entry(key).or_insert_with(|| Process::new(Arc::clone(resource), t));
        // After an exec the same process has another resource.
        if !Arc::ptr_eq(&process.resource, resource) {
            process.resource = Arc::clone(resource);
        }
        process
    }

    /// All metrics as they stand at `now`. `export` is what the exporter lost so far; `settled` says that the
    /// snapshot before this one was delivered (or counted as lost), so that processes that are gone may go.
    pub fn snapshot(
        &mut self,
        now: MonoNs,
        clock: ClockOffset,
        export: &Losses,
        settled: bool,
    ) -> Vec<ResourceMetrics> {
        let label = [(attribute::SOURCE, LabelValue::Static(source_name(LossSource::Export)))];
        self.agent.reaches(Instrument::EventsLost, &label, export.spans());
        if settled {
            self.processes.retain(|_, p| {
                !(p.exported_after_exit && p.exited.is_some_and(|t| now.since(t).0 > KEPT_AFTER_EXIT_NS))
            });
        }
        for process in self.processes.values_mut() {
            process.exported_after_exit = process.exited.is_some();
        }
        let mut keys: Vec<_> = self.processes.keys().copied().collect();
        keys.sort_unstable();
        let of_processes = keys.iter().filter_map(|key| self.processes.get(key));
        of_processes
            .chain([&self.overflow, &self.agent])
            .filter(|p| !p.is_empty())
            .map(|p| crate::batch::resource_metrics(&p.resource, p.metrics(now, clock)))
            .collect()
    }
}

/// Bytes that a turn's process sent and received.
fn turn_bytes(turn: &Turn) -> (u64, u64) {
    match turn.role {
        Role::Client => (turn.request_bytes, turn.response_bytes),
        Role::Server => (turn.response_bytes, turn.request_bytes),
    }
}

fn network_io(process: &mut Process, (sent, received): (u64, u64)) {
    for (direction, bytes) in [("transmit", sent), ("receive", received)] {
        let label = (semconv::NETWORK_IO_DIRECTION, LabelValue::Static(direction));
        process.add(Instrument::NetworkIo, &[label], bytes);
    }
}

fn turn_metrics(process: &mut Process, turn: &Turn, counted: bool, link: Option<Link>) {
    let protocol = (attribute::PROTOCOL, LabelValue::Static(turn.tuple.transport.as_str()));
    let took = turn.end.since(turn.start);
    process.record(Instrument::TurnDuration, &[role_label(turn.role), protocol], took, link);
    if let Some(waterfall) = &turn.waterfall {
        for (part, time) in waterfall.parts.without(&waterfall.before).by_size() {
            let part = (attribute::PART, LabelValue::Static(part.as_str()));
            process.add_time(Instrument::TurnTime, &[role_label(turn.role), part], time);
        }
    }
    if counted {
        network_io(process, turn_bytes(turn));
    }
}

fn closed_metrics(process: &mut Process, summary: &ConnSummary, counted: (u64, u64), link: Option<Link>) {
    let sent = summary.bytes_sent.saturating_sub(summary.bytes_sent_before);
    let received = summary.bytes_received.saturating_sub(summary.bytes_received_before);
    network_io(process, (sent.saturating_sub(counted.0), received.saturating_sub(counted.1)));
    if summary.tuple.transport != Transport::Tcp {
        return;
    }
    let role = role_label(summary.role);
    match error_type(summary) {
        Some(error) => {
            let error = (semconv::ERROR_TYPE, LabelValue::Static(error));
            process.add(Instrument::Connections, &[role.clone(), error], 1);
        }
        None => process.add(Instrument::Connections, std::slice::from_ref(&role), 1),
    }
    // The length of a connection of which an end was not seen is not known.
    if !summary.opened_before && summary.close != CloseReason::Open {
        process.record(Instrument::ConnectionDuration, &[role], summary.end.since(summary.start), link);
    }
}
