//! Attributes of spans and of their events.

use std::net::IpAddr;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_semantic_conventions::attribute as semconv;
use tracenet_core::fact::{
    ConnSummary, DropFact, DropTotals, FactKind, Observation, PacketFact, TraceIdSource, Turn,
};
use tracenet_core::key::{ConnId, Role, Transport, Tuple};
use tracenet_core::tcp::Verdicts;
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};

use crate::metrics::{direction_name, layer};
use crate::names::{attribute, event};
use crate::value::{boolean, count, double, int, string};

/// TCP header flags (RFC 9293, section 3.1).
use tracenet_core::event::tcp_flags::{ACK, SYN};

fn seconds(key: &str, t: DurationNs) -> KeyValue {
    double(key, t.0 as f64 / 1e9)
}

/// Addresses of a flow.
pub(crate) fn network(tuple: &Tuple, role: Role, id: Option<ConnId>) -> Vec<KeyValue> {
    let kind = match tuple.remote.ip() {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    };
    let (local, remote) = (tuple.local.ip().to_string(), tuple.remote.ip().to_string());
    let (local_port, remote_port) = (i64::from(tuple.local.port()), i64::from(tuple.remote.port()));
    let mut a = Vec::with_capacity(24);
    a.push(string(semconv::NETWORK_TRANSPORT, tuple.transport.as_str()));
    a.push(string(semconv::NETWORK_TYPE, kind));
    a.push(string(semconv::NETWORK_LOCAL_ADDRESS, &local));
    a.push(int(semconv::NETWORK_LOCAL_PORT, local_port));
    a.push(string(semconv::NETWORK_PEER_ADDRESS, &remote));
    a.push(int(semconv::NETWORK_PEER_PORT, remote_port));
    match role {
        Role::Client => {
            a.push(string(semconv::SERVER_ADDRESS, &remote));
            a.push(int(semconv::SERVER_PORT, remote_port));
        }
        Role::Server => {
            a.push(string(semconv::SERVER_ADDRESS, &local));
            a.push(int(semconv::SERVER_PORT, local_port));
            a.push(string(semconv::CLIENT_ADDRESS, &remote));
            a.push(int(semconv::CLIENT_PORT, remote_port));
        }
    }
    if let Some(id) = id {
        a.push(string(attribute::CONNECTION_ID, &id.to_string()));
    }
    a
}

/// The name of the service at the other end, under the names that viewers look for.
#[expect(deprecated, reason = "Jaeger and Tempo still look for the old name, newer viewers for the new one")]
pub(crate) fn peer(name: &str) -> [KeyValue; 2] {
    [string(semconv::PEER_SERVICE, name), string(semconv::SERVICE_PEER_NAME, name)]
}

fn trace_id_source(source: TraceIdSource) -> KeyValue {
    let source = match source {
        TraceIdSource::IsnPair => "isn_pair",
        TraceIdSource::Local => "local",
    };
    string(attribute::TRACE_ID_SOURCE, source)
}

/// Everything about a connection that is known at its end.
pub(crate) fn connection(s: &ConnSummary) -> Vec<KeyValue> {
    let mut a = network(&s.tuple, s.role, Some(s.id));
    a.push(int(attribute::NETNS, i64::from(s.netns_inum)));
    a.push(boolean(attribute::CONNECTION_OPENED_BEFORE, s.opened_before));
    a.push(string(attribute::CONNECTION_CLOSE_REASON, s.close.as_str()));
    a.push(count(attribute::CONNECTION_BYTES_SENT, s.bytes_sent));
    a.push(count(attribute::CONNECTION_BYTES_RECEIVED, s.bytes_received));
    a.push(count(attribute::CONNECTION_TURNS, s.turns));
    a.push(count(attribute::PACKETS_SENT, s.packets.0));
    a.push(count(attribute::PACKETS_RECEIVED, s.packets.1));
    if s.tuple.transport == Transport::Tcp {
        let r = &s.retransmits;
        a.push(count(attribute::RETRANSMITS, r.total));
        let causes = [
            ("fast", r.fast),
            ("tail_loss_probe", r.tail_loss_probe),
            ("timeout", r.timeout),
            ("syn", r.syn),
            ("syn_ack", r.syn_ack),
            ("other", r.other),
        ];
        for (cause, n) in causes.into_iter().filter(|(_, n)| *n > 0) {
            a.push(count(&format!("{}.{cause}", attribute::RETRANSMITS), n));
        }
        a.push(count(attribute::ZERO_WINDOW_STALLS, s.zero_window_stalls));
    }
    if let Some(rtt) = &s.rtt {
        a.push(seconds(attribute::RTT_MIN, rtt.min));
        a.push(seconds(attribute::RTT_P50, rtt.p50));
        a.push(seconds(attribute::RTT_P99, rtt.p99));
    }
    let packets = |drops: &[DropTotals]| drops.iter().map(|d| d.packets).fold(0, u64::saturating_add);
    a.push(count(attribute::DROPS, packets(&s.drops)));
    a.push(count(attribute::PEER_DROPS, packets(&s.peer_drops)));
    a.push(trace_id_source(s.trace_id_source));
    a.extend(observation(s.observation.as_ref()));
    if s.incomplete {
        a.push(boolean(attribute::INCOMPLETE, true));
    }
    a
}

/// A turn. Its three parts sum to its duration (INV 8).
pub(crate) fn turn(t: &Turn, id: Option<ConnId>) -> Vec<KeyValue> {
    let mut a = network(&t.tuple, t.role, id);
    a.push(int(attribute::TURN_INDEX, i64::from(t.index)));
    if let Some(request) = &t.request {
        a.push(string(semconv::HTTP_REQUEST_METHOD, &request.method));
        // CONNECT has an authority in its place.
        if request.path.starts_with('/') {
            a.push(string(semconv::URL_PATH, &request.path));
        }
    }
    a.push(count(attribute::TURN_REQUEST_BYTES, t.request_bytes));
    a.push(count(attribute::TURN_RESPONSE_BYTES, t.response_bytes));
    let end = t.end.max(t.start);
    let request_end = t.request_end.clamp(t.start, end);
    let response_start = if t.response_bytes == 0 { end } else { t.response_start.clamp(request_end, end) };
    a.push(seconds(attribute::TURN_REQUEST_DURATION, request_end.since(t.start)));
    a.push(seconds(attribute::TURN_WAIT_DURATION, response_start.since(request_end)));
    a.push(seconds(attribute::TURN_RESPONSE_DURATION, end.since(response_start)));
    if t.retransmits > 0 {
        a.push(int(attribute::RETRANSMITS, i64::from(t.retransmits)));
    }
    if t.drops > 0 {
        a.push(int(attribute::DROPS, i64::from(t.drops)));
    }
    if let Some(w) = &t.waterfall {
        a.push(string(attribute::VERDICT, w.cause.as_str()));
        // What came before the turn is not in its span, and has spans of its own.
        for (part, time) in w.parts.without(&w.before).by_size() {
            a.push(seconds(&format!("{}.{}", attribute::TURN_PART, part.as_str()), time));
        }
    }
    if let Some(sampling) = t.sampling {
        a.push(string(attribute::SAMPLING_REASON, sampling.reason.as_str()));
        a.push(double(attribute::SAMPLING_RATIO, sampling.ratio()));
    }
    a.push(trace_id_source(t.trace_id_source));
    a.extend(observation(t.observation.as_ref()));
    if t.incomplete {
        a.push(boolean(attribute::INCOMPLETE, true));
    }
    a
}

/// What was observed least meanwhile.
fn observation(least: Option<&Observation>) -> impl Iterator<Item = KeyValue> {
    least.into_iter().flat_map(|least| {
        [string(attribute::GOVERNOR_RUNG, &least.rung), double(attribute::GOVERNOR_SHARE, least.share())]
    })
}

/// The span event that a fact means, if it means one.
pub(crate) fn event(t: MonoNs, kind: &FactKind, clock: ClockOffset) -> Option<Event> {
    let (name, attributes) = match kind {
        FactKind::Retransmit { cause, seq, seq_end, segments, after } => {
            let mut a = vec![
                string(attribute::TYPE, cause.as_str()),
                int(attribute::SEQ, i64::from(*seq)),
                int(attribute::SEQ_END, i64::from(*seq_end)),
                int(attribute::SEGMENTS, i64::from(*segments)),
            ];
            a.extend(after.map(|after| seconds(attribute::AFTER, after)));
            (event::RETRANSMIT, a)
        }
        FactKind::Dropped(drop) => (event::DROP, dropped(drop)),
        FactKind::Reset { direction, reason } => {
            let mut a = vec![string(attribute::DIRECTION, direction_name(*direction))];
            a.extend(reason.as_ref().map(|reason| string(attribute::REASON, reason)));
            (event::RESET, a)
        }
        FactKind::Packet(packet) if shut_window(packet) => {
            (event::ZERO_WINDOW, vec![string(attribute::DIRECTION, direction_name(packet.direction))])
        }
        FactKind::State { from, to } => {
            (event::STATE, vec![string(attribute::FROM, from.name()), string(attribute::TO, to.name())])
        }
        _ => return None,
    };
    Some(Event { time_unix_nano: clock.wall(t).0, name: name.to_owned(), attributes, ..Event::default() })
}

/// That a segment of a capture file was sent again, by what really happened where the analyser could tell. `type` is
/// `other` where only the sender's kernel would know.
pub(crate) fn sent_again(t: MonoNs, kind: &FactKind, clock: ClockOffset) -> Option<Event> {
    let FactKind::Packet(packet) = kind else { return None };
    let (analysis, segment) = (packet.analysis?, packet.packet.tcp?);
    let kind = analysis.retransmit(segment.flags)?;
    let mut a = vec![
        string(attribute::TYPE, kind.as_str()),
        string(attribute::DIRECTION, direction_name(packet.direction)),
        string(attribute::VERDICTS, &analysis.verdicts.to_string()),
        int(attribute::SEQ, i64::from(segment.seq)),
        int(attribute::SEQ_END, i64::from(segment.seq.wrapping_add(packet.packet.payload_len))),
        int(attribute::SEGMENTS, 1),
    ];
    a.extend(analysis.cause.map(|cause| string(attribute::CAUSE, cause.as_str())));
    a.extend(analysis.rto.map(|rto| seconds(attribute::AFTER, rto)));
    let name = event::RETRANSMIT.to_owned();
    Some(Event { time_unix_nano: clock.wall(t).0, name, attributes: a, ..Event::default() })
}

/// True where a packet means something to a span: a handshake's, or one that shuts the window.
pub(crate) fn matters(packet: &PacketFact) -> bool {
    shut_window(packet) || is_handshake(packet)
}

fn is_handshake(packet: &PacketFact) -> bool {
    // A second sighting on another interface has no analysis: it is the same packet.
    packet.analysis.is_some() && packet.packet.tcp.is_some_and(|tcp| tcp.flags & SYN != 0)
}

fn shut_window(packet: &PacketFact) -> bool {
    packet.analysis.is_some_and(|a| a.verdicts.contains(Verdicts::ZERO_WINDOW))
}

fn dropped(drop: &DropFact) -> Vec<KeyValue> {
    let mut a = vec![
        string(attribute::REASON, &drop.reason),
        string(attribute::LOCATION, &drop.location),
        string(attribute::LAYER, layer(&drop.reason)),
        string(attribute::DIRECTION, direction_name(drop.direction)),
        int(attribute::SEQ, i64::from(drop.seq)),
        int(attribute::PAYLOAD_BYTES, i64::from(drop.payload_len)),
        int(attribute::SEGMENTS, i64::from(drop.segments)),
        int(attribute::NETNS, i64::from(drop.netns_inum)),
    ];
    if drop.ifindex != 0 {
        a.push(int(attribute::INTERFACE_INDEX, i64::from(drop.ifindex)));
    }
    a.push(string(attribute::WHY, drop.why().as_str()));
    if !drop.details.interface.is_empty() {
        a.push(string(attribute::INTERFACE, &drop.details.interface));
    }
    if let Some((rule, sure)) = drop.details.rule.as_ref().and_then(|s| Some((s.rules.first()?, s.sure))) {
        let handle = rule.handle.map_or_else(|| "policy".to_owned(), |h| h.to_string());
        let text = format!("{} {} {} {handle}", rule.family, rule.table, rule.chain);
        a.push(string(attribute::RULE, &text));
        a.push(string(attribute::RULE_SURE, sure.as_str()));
    }
    if let Some(queue) = &drop.details.queue {
        a.push(int(attribute::QUEUE_LIMIT, i64::from(queue.limit)));
        a.push(int(attribute::QUEUE_FILL, i64::from(queue.fill)));
    }
    if drop.victim.pid != 0 {
        a.push(int(attribute::HURT_PID, i64::from(drop.victim.pid)));
    }
    if let Some(peer) = &drop.at_peer {
        a.push(boolean(attribute::AT_PEER, true));
        if peer.pid != 0 {
            a.push(int(attribute::PEER_PID, i64::from(peer.pid)));
            a.push(string(attribute::PEER_COMM, &peer.comm));
        }
    }
    a
}

/// `syn` or `syn_ack`: the events of `TCP connect`.
pub(crate) fn handshake_event(t: MonoNs, kind: &FactKind, clock: ClockOffset) -> Option<Event> {
    let FactKind::Packet(packet) = kind else { return None };
    if !is_handshake(packet) {
        return None;
    }
    let flags = packet.packet.tcp?.flags;
    let name = if flags & ACK == 0 { event::SYN } else { event::SYN_ACK };
    let attributes = vec![string(attribute::DIRECTION, direction_name(packet.direction))];
    Some(Event { time_unix_nano: clock.wall(t).0, name: name.to_owned(), attributes, ..Event::default() })
}
