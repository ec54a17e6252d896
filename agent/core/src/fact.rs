//! What the core says: facts, in time order, pushed as they become known; and the summaries.

use std::sync::Arc;

use crate::conn::wire::WireCounts;
use crate::drops::{Details, Hurt, Layer, Why};
use crate::event::{
    CounterSample, GovernorStep, LossSource, Packet, RetransmitCause, Sampling, SignalInfo, SyscallEvent,
    TcpInfo, TcpState,
};
use crate::key::{ConnId, Direction, NetnsCookie, ProcessKey, Role, Transport, Tuple};
use crate::opening::Request;
use crate::tcp::Analysis;
use crate::time::{DurationNs, MonoNs};
use crate::waterfall::Waterfall;

/// One thing that is known, and whom it concerns.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// When it happened.
    pub t: MonoNs,
    /// The process (and thread, where one acted) that it belongs to.
    pub who: Option<Who>,
    /// The connection that it belongs to.
    pub conn: Option<ConnId>,
    /// What.
    pub kind: FactKind,
}

/// A process on a line of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Identity.
    pub key: ProcessKey,
    /// Thread that acted; equal to the tgid where none did (packets, drops).
    pub tid: u32,
    /// `comm` at the time.
    pub comm: Arc<str>,
}

/// The kinds of fact.
#[derive(Debug, Clone, PartialEq)]
pub enum FactKind {
    /// A process was followed.
    Forked {
        /// Child.
        child: ProcessKey,
        /// Its comm.
        comm: Arc<str>,
        /// True where it is traced too.
        followed: bool,
    },
    /// A process runs another program now.
    Executed {
        /// The path.
        filename: Arc<str>,
    },
    /// A target ended.
    Exited {
        /// As wait(2) encodes it.
        code: u32,
    },
    /// A target's thread ended. Not told where nobody asked for strace's lines.
    ThreadExited {
        /// As wait(2) encodes it.
        code: u32,
    },
    /// A signal.
    Signal {
        /// What it brings.
        info: SignalInfo,
        /// Its receiver ignores it, and never saw it.
        ignored: bool,
    },
    /// A thread went to sleep in this call, which will be told when it returns. Not told where nobody asked for
    /// strace's lines.
    Sleeps(Box<SyscallEvent>),
    /// A syscall line.
    Syscall(Box<SyscallEvent>),
    /// A connection (or UDP flow) came into view.
    Opened {
        /// Its addresses; the local port may still be 0 for a client that is about to connect.
        tuple: Tuple,
        /// Side.
        role: Role,
        /// Its beginning was not observed: it was there before tracenet, or came to a target later.
        before: bool,
    },
    /// A TCP connection is established.
    Established {
        /// From connect(2)'s SYN_SENT to ESTABLISHED; `None` on the accepting side.
        connect: Option<DurationNs>,
    },
    /// accept(2) handed the connection over.
    Accepted {
        /// From ESTABLISHED to the return of accept.
        wait: DurationNs,
    },
    /// A TCP state change worth a line.
    State {
        /// Before.
        from: TcpState,
        /// After.
        to: TcpState,
    },
    /// A packet on the wire.
    Packet(Box<PacketFact>),
    /// A segment was sent again.
    Retransmit {
        /// Why.
        cause: RetransmitCause,
        /// Relative sequence numbers (from the ISN), where the ISN is known, else absolute.
        seq: u32,
        /// One past the end.
        seq_end: u32,
        /// Segments by TcpRetransSegs' count.
        segments: u32,
        /// Since it was sent before.
        after: Option<DurationNs>,
    },
    /// A packet was thrown away by this host's kernel.
    Dropped(Arc<DropFact>),
    /// A reset.
    Reset {
        /// `Out` sent, `In` received.
        direction: Direction,
        /// Kernel's reason, where known.
        reason: Option<Arc<str>>,
    },
    /// A request and its answer.
    Turn(Box<Turn>),
    /// A connection is over (or tracenet is): its summary.
    Closed(Box<ConnSummary>),
    /// Counters of trouble moved, in a namespace or on the host.
    Counters(Box<CounterSample>),
    /// More or less is observed from here on, so that it doesn't cost too much.
    Governor(Box<GovernorStep>),
    /// Events were lost here.
    Lost {
        /// Where.
        source: LossSource,
        /// Which probe or capture.
        what: Arc<str>,
        /// How many.
        count: u64,
    },
}

/// A packet with what the analyser said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PacketFact {
    /// As captured.
    pub packet: Packet,
    /// Seen from the connection's socket.
    pub direction: Direction,
    /// Verdicts of the one analyser; `None` for UDP and for a second sighting on another interface.
    pub analysis: Option<Analysis>,
}

/// A drop and where it stands in the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropFact {
    /// Kernel's reason name.
    pub reason: Arc<str>,
    /// Kernel symbol.
    pub location: Arc<str>,
    /// What the place knew of it.
    pub details: Arc<Details>,
    /// Protocol of the packet.
    pub transport: Transport,
    /// Seen from the socket it hurt.
    pub direction: Direction,
    /// Whom of this host it hurt.
    pub hurt: Hurt,
    /// That process.
    pub victim: PeerOwner,
    /// TCP sequence range, absolute; equal for no payload.
    pub seq: u32,
    /// Payload bytes.
    pub payload_len: u32,
    /// Segments inside the one packet.
    pub segments: u32,
    /// Interface index, 0 for none.
    pub ifindex: u32,
    /// Namespace (inode number) where it was dropped.
    pub netns_inum: u32,
    /// Set where it was dropped at the connection's peer, whose socket lives on this host too.
    pub at_peer: Option<PeerOwner>,
}

impl DropFact {
    /// Why, in a word.
    pub fn why(&self) -> Why {
        Why::of(&self.reason, &self.location, &self.details)
    }

    /// Part of the stack.
    pub fn layer(&self) -> Layer {
        Layer::of(&self.reason, &self.location, self.transport)
    }
}

/// The process behind the other end of a connection, on this host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerOwner {
    /// PID, 0 where unknown.
    pub pid: u32,
    /// Its comm, empty where unknown.
    pub comm: Arc<str>,
}

/// What was observed least while something lasted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    /// What: `calls`.
    pub rung: Arc<str>,
    millionths: u32,
}

impl Observation {
    /// `share`: 0 to 1.
    pub fn new(rung: Arc<str>, share: f64) -> Self {
        Self { rung, millionths: (share.clamp(0.0, 1.0) * 1e6).round() as u32 }
    }

    /// The share of the time for which it was observed, 0 to 1.
    pub fn share(&self) -> f64 {
        f64::from(self.millionths) / 1e6
    }

    pub(crate) fn millionths(&self) -> u32 {
        self.millionths
    }
}

/// One request/response turn: a burst of bytes from the client, then a burst from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// 0-based number of the turn on its connection.
    pub index: u32,
    /// What was asked for, where it was asked in plain HTTP/1.
    pub request: Option<Arc<Request>>,
    /// Side of the observed socket.
    pub role: Role,
    /// First request byte written (client) or read (server).
    pub start: MonoNs,
    /// Last request byte written or read.
    pub request_end: MonoNs,
    /// First response byte read (client) or written (server); [`end`](Self::end) where there was none.
    pub response_start: MonoNs,
    /// Last response byte read or written, or the last request byte where there was no response.
    pub end: MonoNs,
    /// Request bytes.
    pub request_bytes: u64,
    /// Response bytes; 0 where the connection ended without an answer.
    pub response_bytes: u64,
    /// Retransmitted segments from its start to the start of the next turn: what a server wrote is sent again after
    /// the write.
    pub retransmits: u32,
    /// Drops from its start to the start of the next turn.
    pub drops: u32,
    /// Lost events touched it.
    pub incomplete: bool,
    /// Where its time went; `None` where packets are all that was seen.
    pub waterfall: Option<Box<Waterfall>>,
    /// Median duration of the answered turns before it with the same [`request`](Self::request) at the same server address,
    /// as seen from the same side; `None` for the first, and where packets are all that was seen.
    pub p50: Option<DurationNs>,
    /// Why it is told of, where not every turn is.
    pub sampling: Option<Sampling>,
    /// What was left out meanwhile, so that observing doesn't cost too much.
    pub observation: Option<Observation>,
    /// Addresses of the connection, as [`ConnSummary::tuple`].
    pub tuple: Tuple,
    /// The connection's trace id: the one that its [`ConnSummary`] will tell, so that a span of the turn can be
    /// sent before the connection's.
    pub trace_id: [u8; 16],
    /// How the trace id was made, as [`ConnSummary::trace_id_source`].
    pub trace_id_source: TraceIdSource,
}

impl Turn {
    /// From the beginning of its [`Waterfall`], else of its own, to its end.
    pub fn duration(&self) -> DurationNs {
        self.end.since(self.waterfall.as_ref().map_or(self.start, |w| w.start))
    }
}

/// Retransmitted segments by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "named as RetransmitCause")]
pub struct RetransmitTotals {
    pub total: u64,
    pub fast: u64,
    pub tail_loss_probe: u64,
    pub timeout: u64,
    pub syn: u64,
    pub syn_ack: u64,
    pub other: u64,
}

impl RetransmitTotals {
    /// Counts `segments` under `cause`.
    pub fn add(&mut self, cause: RetransmitCause, segments: u64) {
        self.total += segments;
        *match cause {
            RetransmitCause::Fast => &mut self.fast,
            RetransmitCause::TailLossProbe => &mut self.tail_loss_probe,
            RetransmitCause::Timeout => &mut self.timeout,
            RetransmitCause::Syn => &mut self.syn,
            RetransmitCause::SynAck => &mut self.syn_ack,
            RetransmitCause::Other => &mut self.other,
        } += segments;
    }
}

/// Drops of one kind on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropTotals {
    /// Kernel's reason name.
    pub reason: Arc<str>,
    /// Kernel symbol.
    pub location: Arc<str>,
    /// What the place knew of the last of them.
    pub details: Arc<Details>,
    /// Protocol of the packets.
    pub transport: Transport,
    /// Seen from the socket it hurt.
    pub direction: Direction,
    /// Packets (socket buffers), as nft counts them.
    pub packets: u64,
    /// Wire segments inside (GSO).
    pub segments: u64,
    /// Namespace (inode number).
    pub netns_inum: u32,
    /// The process that owns the socket it hurt: the peer's, for drops at the peer.
    pub owner: PeerOwner,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both FINs, or at least an orderly close.
    Fin,
    /// This side sent a reset.
    ResetSent,
    /// The peer sent a reset (connection refused too).
    ResetReceived,
    /// Retransmissions or keep-alives ran out (ETIMEDOUT), or the network said unreachable.
    Timeout,
    /// Not closed when tracenet ended.
    Open,
}

impl CloseReason {
    /// As in the summary's `close` field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::ResetSent => "reset_sent",
            Self::ResetReceived => "reset_received",
            Self::Timeout => "timeout",
            Self::Open => "open",
        }
    }
}

/// Round-trip times of a connection, from the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttSummary {
    /// Smallest.
    pub min: DurationNs,
    /// Median.
    pub p50: DurationNs,
    /// 99th percentile.
    pub p99: DurationNs,
    /// Largest.
    pub max: DurationNs,
    /// Number of samples.
    pub samples: u64,
}

/// Everything about one connection, at its end or at tracenet's.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnSummary {
    /// Short name.
    pub id: ConnId,
    /// Socket cookie.
    pub cookie: u64,
    /// Owner: the process that used it last.
    pub owner: Option<Who>,
    /// Namespace cookie.
    pub netns: NetnsCookie,
    /// Namespace inode number.
    pub netns_inum: u32,
    /// Addresses.
    pub tuple: Tuple,
    /// Side.
    pub role: Role,
    /// Its beginning was not observed: it was there before tracenet, or came to a target later.
    pub opened_before: bool,
    /// First sight.
    pub start: MonoNs,
    /// Last sight.
    pub end: MonoNs,
    /// Bytes the application wrote in the connection's whole life.
    pub bytes_sent: u64,
    /// Bytes the application read in the connection's whole life.
    pub bytes_received: u64,
    /// Of `bytes_sent`, those before tracenet came.
    pub bytes_sent_before: u64,
    /// Of `bytes_received`, those before tracenet came.
    pub bytes_received_before: u64,
    /// Completed turns seen.
    pub turns: u64,
    /// When connect(2) began the handshake, for a client.
    pub connect_start: Option<MonoNs>,
    /// Handshake time, for a client.
    pub connect: Option<DurationNs>,
    /// When it was established, if seen.
    pub established: Option<MonoNs>,
    /// Time in the accept queue, for a server.
    pub accept_wait: Option<DurationNs>,
    /// Wire RTT.
    pub rtt: Option<RttSummary>,
    /// Retransmitted segments by cause, sent by this side.
    pub retransmits: RetransmitTotals,
    /// Drops in this socket's namespace.
    pub drops: Vec<DropTotals>,
    /// Drops in the peer's namespace on this host, or of the peer's socket.
    pub peer_drops: Vec<DropTotals>,
    /// Times that a zero window, ours or the peer's, stopped the sender, as seen on the wire.
    pub zero_window_stalls: u64,
    /// How it ended.
    pub close: CloseReason,
    /// `sk_err` at the end, an errno, 0 for none.
    pub err: u32,
    /// Kernel's last word.
    pub tcp_info: Option<TcpInfo>,
    /// Packets seen, out and in.
    pub packets: (u64, u64),
    /// What the verdicts on them add up to.
    pub wire: WireCounts,
    /// W3C/OTLP trace id, if one was made.
    pub trace_id: [u8; 16],
    /// How the trace id was made.
    pub trace_id_source: TraceIdSource,
    /// Lost events touched it: its numbers may be low.
    pub incomplete: bool,
    /// What was left out meanwhile, so that observing doesn't cost too much.
    pub observation: Option<Observation>,
}

/// Where a trace id came from: how sure it is that the peer's agent makes the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TraceIdSource {
    /// Both initial sequence numbers: the same at both ends.
    IsnPair,
    /// Socket cookie and start time: known to this host only.
    Local,
}
