//! Names that OpenTelemetry's semantic conventions don't have (yet): spans, metrics, attributes, events.
//!
//! Suffixes, units and attribute values follow the proposal open-telemetry/semantic-conventions#3682.

/// Instrumentation scope of everything exported.
pub const SCOPE: &str = "tracenet";

/// `service.name` of what a capture file shows, unless the user names it.
pub const CAPTURE_SERVICE: &str = "tracenet-capture";

/// Names of spans.
pub mod span {
    /// A TCP connection from first to last sight.
    pub const TCP_CONNECTION: &str = "TCP connection";
    /// The next turns of one that is told in several traces: it is no other connection.
    pub const TCP_CONTINUED: &str = "TCP connection, continued";
    /// A UDP flow from first to last sight.
    pub const UDP_FLOW: &str = "UDP flow";
    /// As [`TCP_CONTINUED`].
    pub const UDP_CONTINUED: &str = "UDP flow, continued";
    /// connect(2) to ESTABLISHED, or to the failure.
    pub const TCP_CONNECT: &str = "TCP connect";
    /// ESTABLISHED to the return of accept(2).
    pub const TCP_ACCEPT_WAIT: &str = "TCP accept wait";
    /// A turn of an undecoded protocol over TCP.
    pub const TCP_REQUEST: &str = "tcp request";
    /// A turn of an undecoded protocol over UDP.
    pub const UDP_REQUEST: &str = "udp request";
    /// Followed by a space and the name of the call.
    pub const SYSCALL: &str = "syscall";
}

/// Names of span events.
pub mod event {
    /// A segment was sent again.
    pub const RETRANSMIT: &str = "tracenet.retransmit";
    /// The kernel threw a packet away.
    pub const DROP: &str = "tracenet.drop";
    /// A reset was sent or received.
    pub const RESET: &str = "tracenet.reset";
    /// A side announced that it can't take any more bytes.
    pub const ZERO_WINDOW: &str = "tracenet.zero_window";
    /// TCP changed its state.
    pub const STATE: &str = "tracenet.tcp.state";
    /// A SYN was seen on the wire.
    pub const SYN: &str = "syn";
    /// A SYN/ACK was seen on the wire.
    pub const SYN_ACK: &str = "syn_ack";
}

/// Names of metrics.
pub mod metric {
    /// Connections that ended, {connection}.
    pub const TCP_CONNECTIONS: &str = "tracenet.tcp.connections";
    /// First to last sight, s.
    pub const TCP_CONNECTION_DURATION: &str = "tracenet.tcp.connection.duration";
    /// connect(2) to ESTABLISHED, s.
    pub const TCP_HANDSHAKE_DURATION: &str = "tracenet.tcp.handshake.duration";
    /// Round-trip times of what the process sent, from the wire, s.
    pub const TCP_RTT: &str = "tracenet.tcp.rtt";
    /// Segments sent again, {segment}.
    pub const TCP_RETRANSMITS: &str = "tracenet.tcp.retransmits";
    /// Resets, {segment}.
    pub const TCP_RESETS: &str = "tracenet.tcp.resets";
    /// Time in the accept queue, s.
    pub const TCP_ACCEPT_QUEUE_WAIT_DURATION: &str = "tracenet.tcp.accept_queue.wait.duration";
    /// Packets that the kernel threw away, {packet}.
    pub const PACKET_DROPS: &str = "tracenet.packet.drops";
    /// Request's first byte to response's last, s.
    pub const TURN_DURATION: &str = "tracenet.turn.duration";
    /// Requests whose connection ended without an answer, {turn}.
    pub const TURN_UNANSWERED: &str = "tracenet.turn.unanswered";
    /// TCP segments, {segment}.
    pub const TCP_SEGMENTS: &str = "tracenet.tcp.segments";
    /// Calls that send or receive and failed, {call}.
    pub const SOCKET_ERRORS: &str = "tracenet.socket.errors";
    /// Names asked for by datagrams, {query}.
    pub const DNS_QUERIES: &str = "tracenet.dns.queries";
    /// Time of turns by the part of the waterfall, s.
    pub const TURN_TIME: &str = "tracenet.turn.time";
    /// Events and spans that tracenet lost itself, {event}.
    pub const AGENT_EVENTS_LOST: &str = "tracenet.agent.events.lost";
    /// Spans that wait on disk, {span}.
    pub const SPOOL_SPANS: &str = "tracenet.agent.spool.spans";
    /// Bytes of the spool's files, By.
    pub const SPOOL_USAGE: &str = "tracenet.agent.spool.usage";
    /// Operations of the spool that failed, {error}.
    pub const SPOOL_ERRORS: &str = "tracenet.agent.spool.errors";
    /// Changes of how much is observed, {step}.
    pub const GOVERNOR_STEPS: &str = "tracenet.governor.steps";
    /// Time for which something was left out, s.
    pub const GOVERNOR_UNOBSERVED: &str = "tracenet.governor.unobserved.time";
    /// Changes from one collector to another, {switch}.
    pub const ENDPOINT_SWITCHES: &str = "tracenet.agent.endpoint.switches";
}

/// Keys of attributes of spans, events and metrics.
#[expect(missing_docs, reason = "said where they are set")]
pub mod attribute {
    pub const CONNECTION_ID: &str = "tracenet.connection.id";
    pub const CONNECTION_OPENED_BEFORE: &str = "tracenet.connection.opened_before";
    pub const CONNECTION_CLOSE_REASON: &str = "tracenet.connection.close_reason";
    pub const CONNECTION_BYTES_SENT: &str = "tracenet.connection.bytes_sent";
    pub const CONNECTION_BYTES_RECEIVED: &str = "tracenet.connection.bytes_received";
    pub const CONNECTION_TURNS: &str = "tracenet.connection.turns";
    pub const NETNS: &str = "tracenet.netns";
    pub const PACKETS_SENT: &str = "tracenet.packets.sent";
    pub const PACKETS_RECEIVED: &str = "tracenet.packets.received";
    /// Followed by a dot and the cause.
    pub const RETRANSMITS: &str = "tracenet.tcp.retransmits";
    pub const RTT_MIN: &str = "tracenet.tcp.rtt.min";
    pub const RTT_P50: &str = "tracenet.tcp.rtt.p50";
    pub const RTT_P99: &str = "tracenet.tcp.rtt.p99";
    pub const ZERO_WINDOW_STALLS: &str = "tracenet.tcp.zero_window_stalls";
    pub const DROPS: &str = "tracenet.drops";
    pub const PEER_DROPS: &str = "tracenet.peer.drops";
    pub const TRACE_ID_SOURCE: &str = "tracenet.trace_id.source";
    pub const CHAPTER: &str = "tracenet.trace.chapter";
    pub const SPANS_OMITTED: &str = "tracenet.trace.spans_omitted";
    pub const INCOMPLETE: &str = "tracenet.incomplete";
    pub const TURN_INDEX: &str = "tracenet.turn.index";
    pub const TURN_REQUEST_BYTES: &str = "tracenet.turn.request.bytes";
    pub const TURN_RESPONSE_BYTES: &str = "tracenet.turn.response.bytes";
    /// Time from the request's first byte to its last, s.
    pub const TURN_REQUEST_DURATION: &str = "tracenet.turn.request.duration";
    /// Time from the request's last byte to the response's first, s.
    pub const TURN_WAIT_DURATION: &str = "tracenet.turn.wait.duration";
    /// Time from the response's first byte to its last, s.
    pub const TURN_RESPONSE_DURATION: &str = "tracenet.turn.response.duration";
    /// Calls of the turn that became no spans.
    pub const SYSCALLS_OMITTED: &str = "tracenet.turn.syscalls_omitted";
    /// What a system call returned.
    pub const SYSCALL_RESULT: &str = "tracenet.syscall.result";
    /// Why it failed, `EAGAIN`, say.
    pub const SYSCALL_ERROR: &str = "tracenet.syscall.error";
    /// Followed by a dot and the part of the turn's time, s.
    pub const TURN_PART: &str = "tracenet.turn.part";
    /// Why this turn became a span, where not every one does: `slow`, `loss`, `unanswered`, `share`.
    pub const SAMPLING_REASON: &str = "tracenet.sampling.reason";
    /// Of the turns like it, the share that becomes spans, 0 to 1.
    pub const SAMPLING_RATIO: &str = "tracenet.sampling.ratio";
    /// What was observed least meanwhile, where something was left out to save cost: `payload`, `packets`, `calls`, `turns`.
    pub const GOVERNOR_RUNG: &str = "tracenet.governor.rung";
    /// For which share of the time it was observed, 0 to 1.
    pub const GOVERNOR_SHARE: &str = "tracenet.governor.share";
    /// As that, of a metric.
    pub const RUNG: &str = "rung";
    /// The part that the turn is to be blamed on.
    pub const VERDICT: &str = "tracenet.verdict";
    pub const ROLE: &str = "role";
    pub const TYPE: &str = "type";
    pub const REASON: &str = "reason";
    pub const LAYER: &str = "layer";
    pub const TRANSPORT: &str = "transport";
    pub const DIRECTION: &str = "direction";
    pub const CAUSE: &str = "cause";
    pub const SOURCE: &str = "source";
    pub const PROTOCOL: &str = "protocol";
    pub const PART: &str = "part";
    pub const LOCATION: &str = "location";
    pub const SEQ: &str = "seq";
    pub const SEQ_END: &str = "seq_end";
    pub const SEGMENTS: &str = "segments";
    pub const PAYLOAD_BYTES: &str = "payload.bytes";
    /// Wireshark's names for a segment, separated by commas.
    pub const VERDICTS: &str = "verdicts";
    /// Number of a stream in its capture file, as tshark's `tcp.stream`.
    pub const CAPTURE_STREAM: &str = "tracenet.capture.stream";
    pub const AFTER: &str = "after";
    pub const INTERFACE_INDEX: &str = "interface.index";
    pub const INTERFACE: &str = "interface";
    /// Why a packet was dropped, in a word.
    pub const WHY: &str = "why";
    /// `family table chain handle`, the first where it may have been any of several.
    pub const RULE: &str = "rule";
    /// How sure it is that it was this rule.
    pub const RULE_SURE: &str = "rule.sure";
    pub const QUEUE_LIMIT: &str = "queue.limit";
    pub const QUEUE_FILL: &str = "queue.fill";
    /// Whose packet it was.
    pub const HURT_PID: &str = "hurt.pid";
    pub const AT_PEER: &str = "at_peer";
    pub const PEER_PID: &str = "peer.pid";
    pub const PEER_COMM: &str = "peer.comm";
    pub const FROM: &str = "from";
    pub const TO: &str = "to";
    pub const OVERFLOW: &str = "otel.metric.overflow";
}
