//! What the core eats. Every source (BPF ring buffer, capture, procfs) is decoded into these at the edge.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::drops::Details;
use crate::key::{Direction, NetnsCookie, ProcessKey, Role, SocketCookie, Tuple};
use crate::opening::Opening;
use crate::time::{DurationNs, MonoNs, WallNs};

/// An event and its place in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub t: MonoNs,
    /// What happened.
    pub kind: EventKind,
}

/// Who acted: the task in whose context the kernel was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Task {
    /// Thread-group id (PID in user-space words).
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
}

/// The kinds of event. Exhaustive matches on this are wanted: a new variant points at all that must know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// A process is a target: said at attach, and when the kernel followed a fork.
    Target(ProcessInfo),
    /// A target forked a new process (threads are not told).
    Fork {
        /// The parent.
        task: Task,
        /// The child, already followed when `follow` was asked for.
        child: ProcessInfo,
        /// True where the child is a target too.
        followed: bool,
    },
    /// A target replaced its image.
    Exec {
        /// The task, after the exec.
        task: Task,
        /// New `comm`.
        comm: Arc<str>,
        /// Path that was executed.
        filename: Arc<str>,
    },
    /// The last thread of a target is gone.
    Exit {
        /// The task.
        task: Task,
        /// `task_struct.exit_code` of the group: status in bits 8..15, signal in bits 0..6 (wait(2)).
        code: u32,
    },
    /// A thread of a target is gone. Told where whole lines of strace's are asked for.
    ThreadExit {
        /// The thread.
        task: Task,
        /// As wait(2) encodes it.
        code: u32,
    },
    /// A signal came to a target's thread, or was thrown away on its way (`signal:signal_deliver`,
    /// `signal:signal_generate`).
    Signal {
        /// The receiver.
        task: Task,
        /// What it brings.
        info: SignalInfo,
        /// The receiver ignores it: it never came.
        ignored: bool,
    },
    /// A thread of a target went to sleep in this call: [`Event::t`] is when it was entered. Told where whole lines of
    /// strace's are asked for; the call itself is told when it returns.
    Sleeps(Box<SyscallEvent>),
    /// A syscall of a target returned (or, where `ret` is `None`, never will: exit).
    Syscall(Box<SyscallEvent>),
    /// A socket of a target, or one that the kernel knows from before: state, owner and counters.
    Socket(Box<SocketEvent>),
    /// Bytes passed between a target and one of its sockets.
    SocketIo(SocketIo),
    /// A turn of a connection, put together in the kernel: where every process is a target, and bytes are not told.
    Turn(Box<TurnEvent>),
    /// accept(2) returned a connection to a target.
    Accept {
        /// The accepting task.
        task: Task,
        /// The new connection's socket.
        cookie: SocketCookie,
        /// When the accepting syscall was entered.
        entered: MonoNs,
    },
    /// A thread of a target slept, was woken and runs again (`sched:sched_switch`, `sched:sched_wakeup`); [`Event::t`] is
    /// when it runs. One that was only pushed aside could run all the time: `woken` is `slept`.
    Scheduled {
        /// The thread.
        task: Task,
        /// When it went to sleep.
        slept: MonoNs,
        /// When it was woken: from then on it waited for a CPU.
        woken: MonoNs,
    },
    /// A target's socket told those who wait for it that it can be read (`sock:sk_data_ready`).
    Readable {
        /// The socket.
        cookie: SocketCookie,
    },
    /// A segment of a target's socket was sent again (`tcp:tcp_retransmit_skb`, `tcp:tcp_retransmit_synack`).
    Retransmit(Box<Retransmit>),
    /// The kernel threw a packet away (`skb:kfree_skb`) that belongs to a target's flow, at either end.
    Drop(Box<DropEvent>),
    /// A reset was sent or received (`tcp:tcp_send_reset`, `tcp:tcp_receive_reset`).
    Reset {
        /// The socket, where there was one.
        cookie: Option<SocketCookie>,
        /// Namespace of the flow.
        netns: NetnsCookie,
        /// The flow as the socket sees it.
        tuple: Tuple,
        /// `Out`: sent; `In`: received.
        direction: Direction,
        /// `enum sk_rst_reason`, by name, where the kernel tells.
        reason: Option<Arc<str>>,
    },
    /// A packet of a target's flow was seen on an interface.
    Packet(Box<Packet>),
    /// Counters of trouble moved: [`Event::t`] is the later of the two looks at them.
    Counters(Box<CounterSample>),
    /// What observing costs the targets, and what is left out for it.
    Governor(GovernorEvent),
    /// A source lost events (INV 6). Where it is known when that began, a loss of none says so: what happened between the two is
    /// told incompletely.
    Lost {
        /// Where.
        source: LossSource,
        /// Which probe or capture, for the reader.
        what: Arc<str>,
        /// How many more than was said before.
        count: u64,
    },
}

/// A word of the overhead governor ([`governor`](crate::governor)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum GovernorEvent {
    /// More or less is observed from here on.
    Step(Box<GovernorStep>),
    /// The bytes of connections, and with them turns, are told from here on, or not.
    Turns {
        /// They are.
        observed: bool,
    },
    /// The same of packets.
    Packets {
        /// They are.
        observed: bool,
    },
}

/// How much is observed, and what led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GovernorStep {
    /// Why.
    pub why: GovernorWhy,
    /// What observing may cost: nanoseconds of probes per nanosecond of the targets' own CPU time.
    pub budget: f64,
    /// What it has cost since the look before.
    pub cost: f64,
    /// Left out altogether, in the order of the ladder.
    pub left_out: Vec<Arc<str>>,
    /// What would be left out next, where there is something.
    pub rung: Option<Arc<str>>,
    /// The share of the time for which that is observed, 0 to 1.
    pub share: f64,
    /// For how long each rung of which anything was left out was not observed so far.
    pub unobserved: Vec<(Arc<str>, DurationNs)>,
}

/// Why a [`GovernorStep`] is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GovernorWhy {
    /// The cost is above the budget.
    Costly,
    /// There is room for more.
    Room,
    /// Records were lost.
    Ring,
    /// tracenet takes too much of the CPUs.
    Cpu,
    /// tracenet takes too much memory.
    Memory,
    /// All is left out that can be, and the cost is above the budget still.
    Lowest,
    /// Nothing has changed for a while.
    Held,
    /// The observation ends.
    End,
}

impl GovernorWhy {
    /// As in JSON and attributes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Costly => "costly",
            Self::Room => "room",
            Self::Ring => "ring",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Lowest => "lowest",
            Self::Held => "held",
            Self::End => "end",
        }
    }

    /// More or less is observed than before.
    pub fn is_step(self) -> bool {
        matches!(self, Self::Costly | Self::Room | Self::Ring | Self::Cpu | Self::Memory)
    }
}

/// What counters of trouble did between two looks at them. They belong to a whole namespace or host, not to a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterSample {
    /// When the earlier look was.
    pub since: MonoNs,
    /// Inode number of the network namespace; `None` for what the host has one of.
    pub netns_inum: Option<u32>,
    /// Those that moved, by name: nstat(8)'s, or with dots (`softnet.dropped`, `dev.eth0.rx_dropped`). Of the host also
    /// what waiting there was: `cpu.steal_us`, `pressure.io.some_us` (proc_pressure(5), microseconds), and
    /// `cpu.runnable`, the tasks that ran or waited for a CPU at the later look.
    pub moved: Vec<(Arc<str>, u64)>,
}

impl CounterSample {
    /// A level at the later look, not a sum.
    pub const RUNNABLE: &str = "cpu.runnable";

    /// Whether a number is one of waiting, which is no fault as such.
    pub fn is_pressure(name: &str) -> bool {
        name.starts_with("cpu.") || name.starts_with("pressure.")
    }

    /// Takes in what the same counters did at another time.
    pub fn add(&mut self, other: &Self) {
        self.since = self.since.min(other.since);
        for (name, n) in &other.moved {
            match self.moved.iter_mut().find(|(known, _)| known == name) {
                Some((_, highest)) if **name == *Self::RUNNABLE => *highest = (*highest).max(*n),
                Some((_, sum)) => *sum = sum.saturating_add(*n),
                None => self.moved.push((name.clone(), *n)),
            }
        }
    }
}

/// The front of `siginfo_t` (sigaction(2)): what a signal brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SignalInfo {
    /// `si_signo`.
    pub number: u32,
    /// `si_errno`.
    pub error: i32,
    /// `si_code`: what the rest is.
    pub code: i32,
    /// The union behind it, bytes 16..48.
    pub fields: [u32; 8],
}

impl SignalInfo {
    /// From the structure's bytes; `None` where they are fewer than 48.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| Some(u32::from_ne_bytes(bytes.get(i..i + 4)?.try_into().ok()?));
        let mut fields = [0; 8];
        for (i, field) in fields.iter_mut().enumerate() {
            *field = word(16 + 4 * i)?;
        }
        Some(Self { number: word(0)?, error: word(4)? as i32, code: word(8)? as i32, fields })
    }
}

/// A process, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// Identity.
    pub key: ProcessKey,
    /// `task_struct.comm`.
    pub comm: Arc<str>,
}

/// Where events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LossSource {
    /// BPF ring buffer was full.
    Ringbuf,
    /// libpcap: dropped by the kernel or the interface.
    Capture,
    /// One of our own bounded queues.
    Queue,
    /// The exporter gave up on a span.
    Export,
}

/// One syscall, as recorded at its exit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallEvent {
    /// The calling task.
    pub task: Task,
    /// Syscall number of this machine's native table.
    pub nr: u32,
    /// Raw arguments.
    pub args: [u64; 6],
    /// Return value, negative errno on failure; `None` where the call doesn't return.
    pub ret: Option<i64>,
    /// When the call was entered; [`Event::t`] is when it returned.
    pub entered: MonoNs,
    /// Cookie of the socket behind the first descriptor argument, where it is a socket that was seen before.
    pub cookie: Option<SocketCookie>,
    /// User memory read at the exit, in the order in which the capture plan asked for it.
    pub captures: Vec<Capture>,
}

/// A piece of user memory behind a syscall argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Index of the argument, 0..=5.
    pub arg: u8,
    /// What it is (see `tracenet_core::syscall::CaptureKind`), as the plan named it.
    pub kind: u8,
    /// Bytes that the call had there; `data` may be shorter, because of the string limit.
    pub full_len: u32,
    /// The bytes.
    pub data: Vec<u8>,
}

/// TCP states by the kernel's numbers (`include/net/tcp_states.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub enum TcpState {
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    NewSynRecv,
    /// A number this program doesn't know.
    Unknown(u8),
}

impl TcpState {
    /// From `skc_state`.
    pub fn from_kernel(n: u8) -> Self {
        match n {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            12 => Self::NewSynRecv,
            other => Self::Unknown(other),
        }
    }

    /// As ss(8) prints it in upper case, e.g. `FIN_WAIT1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
            Self::NewSynRecv => "NEW_SYN_RECV",
            Self::Unknown(_) => "UNKNOWN",
        }
    }
}

/// Why a [`SocketEvent`] was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SocketReason {
    /// Found by the iterator at attach: it existed before.
    Existing,
    /// `sock:inet_sock_set_state`; `old_state` is set.
    State,
    /// First packet out: the local port is known now.
    Flow,
    /// Another process took it over (first send or receive by it).
    Owner,
    /// `tcp:tcp_destroy_sock`, or a UDP socket's end: last word on its counters.
    Destroy,
    /// Found by the iterator at the end: the last word on a socket that stays open.
    Final,
}

/// A socket's identity, owner, state and counters at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SocketEvent {
    /// Why it was sent.
    pub reason: SocketReason,
    /// Identity.
    pub cookie: SocketCookie,
    /// Namespace.
    pub netns: NetnsCookie,
    /// Inode number of the namespace (`net:[4026531840]`).
    pub netns_inum: u32,
    /// Addresses. The local port is 0 until the kernel chose one.
    pub tuple: Tuple,
    /// Owning process as recorded in process context; `None` where nobody was ever seen with it.
    pub owner: Option<ProcessInfo>,
    /// True where the owner is a target.
    pub target: bool,
    /// Role, where the kernel could tell (connect or accept seen).
    pub role: Option<Role>,
    /// State after the event.
    pub state: TcpState,
    /// State before, for [`SocketReason::State`].
    pub old_state: Option<TcpState>,
    /// `sk->sk_err`, an errno, 0 for none. Says why a connection ended: ECONNREFUSED, ECONNRESET, ETIMEDOUT...
    pub err: u32,
    /// Segments retransmitted since tracenet knows the socket, from `tcp_sock.total_retrans`.
    pub retransmitted_segments: u32,
    /// Application totals as counted at the socket calls since tracenet knows the socket.
    pub io: IoTotals,
    /// `struct tcp_sock` fields; `None` for UDP.
    pub tcp: Option<TcpInfo>,
    /// The initial sequence numbers in [`tcp`](Self::tcp) were kept while the connection was established.
    pub isns_kept: bool,
    /// When connect(2) sent the SYN, where that was kept and not told of.
    pub began: Option<MonoNs>,
    /// When it was established, likewise.
    pub established: Option<MonoNs>,
}

/// A turn as the kernel side saw it, by the same rule as [`TurnMachine`](crate::turn::TurnMachine).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnEvent {
    /// The socket.
    pub cookie: SocketCookie,
    /// From 0, among those that were seen.
    pub index: u32,
    /// First byte of the request.
    pub start: MonoNs,
    /// Last byte of the request.
    pub request_end: MonoNs,
    /// First byte of the response; `None` where the connection ended without one.
    pub response_start: Option<MonoNs>,
    /// Last byte of either.
    pub end: MonoNs,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Bytes of the response.
    pub response_bytes: u64,
    /// Segments sent again meanwhile.
    pub retransmits: u32,
    /// Why this one is told of, and not others.
    pub sampling: Sampling,
}

/// Why one turn of many is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// Why.
    pub reason: SampleReason,
    /// Of those like it, so many of 2^32 - 1 are told of.
    pub share: u32,
}

impl Sampling {
    /// The share of those like it that are told of, 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.share) / f64::from(u32::MAX)
    }
}

/// What makes a turn worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SampleReason {
    /// It took longer than nearly all of its process.
    Slow,
    /// Segments were sent again during it.
    Loss,
    /// The connection ended before it was answered.
    Unanswered,
    /// Chance.
    Share,
}

impl SampleReason {
    /// As in attributes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Loss => "loss",
            Self::Unanswered => "unanswered",
            Self::Share => "share",
        }
    }
}

/// What passed through a socket's calls, cumulative, kept with the socket in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IoTotals {
    /// Bytes written by the application.
    pub sent: u64,
    /// Bytes read by the application.
    pub received: u64,
    /// Completed turns: a burst of requests that was followed by a burst of responses.
    pub turns: u32,
}

/// Kernel view of a TCP connection, in the kernel's names (`struct tcp_sock`, `struct tcp_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the kernel's own names and units: _us is microseconds")]
pub struct TcpInfo {
    pub srtt_us: u32,
    pub rttvar_us: u32,
    pub min_rtt_us: u32,
    pub snd_cwnd: u32,
    pub snd_ssthresh: u32,
    pub total_retrans: u32,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub segs_in: u32,
    pub segs_out: u32,
    pub snd_una: u32,
    pub snd_nxt: u32,
    pub write_seq: u32,
    pub rcv_nxt: u32,
    pub copied_seq: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub mss_cache: u32,
    pub lost: u32,
    pub reordering: u32,
    pub dsack_dups: u32,
    pub rcv_ooopack: u32,
    pub ca_state: u8,
    /// Initial sequence numbers, where the kernel probe could derive them.
    pub local_isn: u32,
    pub remote_isn: u32,
}

/// One call that moved payload through a socket of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketIo {
    /// The calling task.
    pub task: Task,
    /// The socket.
    pub cookie: SocketCookie,
    /// `Out`: written; `In`: read.
    pub direction: Direction,
    /// Bytes of this call.
    pub bytes: u32,
    /// When the call was entered, where that is known; [`Event::t`] is when the bytes had passed.
    pub entered: Option<MonoNs>,
    /// The socket's totals after it: a gap to the previous event is a lost event.
    pub totals: IoTotals,
}

/// Why TCP sent again, from the socket's state at the tracepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RetransmitCause {
    /// Fast retransmit: in CA_Recovery (RFC 6675, RFC 8985).
    Fast,
    /// Tail loss probe (RFC 8985, section 7).
    TailLossProbe,
    /// Retransmission timeout, and what followed it in slow start (RFC 6298).
    Timeout,
    /// SYN sent again.
    Syn,
    /// SYN/ACK sent again.
    SynAck,
    /// None of these (for example after an MTU probe).
    Other,
}

impl RetransmitCause {
    /// Value of the `type` attribute of `tracenet.tcp.retransmits`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::TailLossProbe => "tail_loss_probe",
            Self::Timeout => "timeout",
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Other => "other",
        }
    }
}

/// A retransmission of a target's socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retransmit {
    /// The socket; for a SYN/ACK the listener.
    pub cookie: Option<SocketCookie>,
    /// Namespace.
    pub netns: NetnsCookie,
    /// Flow as the sender sees it.
    pub tuple: Tuple,
    /// Owner recorded with the socket.
    pub owner: Option<ProcessInfo>,
    /// Why.
    pub cause: RetransmitCause,
    /// First sequence number sent again.
    pub seq: u32,
    /// Payload bytes of the buffer sent again.
    pub len: u32,
    /// Segments that this event adds to TcpRetransSegs.
    pub segments: u32,
    /// When the segment was first (last) sent before, where the buffer tells (`skb->skb_mstamp_ns`).
    pub sent_at: Option<MonoNs>,
}

/// A packet that the kernel threw away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropEvent {
    /// Namespace in which it was dropped.
    pub netns: NetnsCookie,
    /// Its inode number, 0 where unknown.
    pub netns_inum: u32,
    /// Flow, as the socket that it hurt *in that namespace* sees it.
    pub tuple: Tuple,
    /// `In`: on its way to that socket; `Out`: from it.
    pub direction: Direction,
    /// That socket, where known.
    pub cookie: Option<SocketCookie>,
    /// Its owner, where known.
    pub owner: Option<ProcessInfo>,
    /// The *target's* socket at the other end of the flow, when the drop happened in another namespace of this host
    /// or hurt the peer's socket on this host.
    pub peer_cookie: Option<SocketCookie>,
    /// `enum skb_drop_reason`, name from the running kernel, e.g. `NETFILTER_DROP`.
    pub reason: Arc<str>,
    /// Kernel symbol at which it was dropped, e.g. `nf_hook_slow`.
    pub location: Arc<str>,
    /// Interface index, 0 where none.
    pub ifindex: u32,
    /// What the place knew of it.
    pub details: Arc<Details>,
    /// TCP sequence number; 0 for other protocols.
    pub seq: u32,
    /// TCP flags byte; 0 for other protocols.
    pub tcp_flags: u8,
    /// Payload bytes above the transport header.
    pub payload_len: u32,
    /// Segments inside (`gso_segs`, at least 1). The packet count of one event is 1.
    pub segments: u32,
}

/// A decoded packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// Namespace in which it was captured.
    pub netns: NetnsCookie,
    /// Interface index, 0 where the link type doesn't tell.
    pub ifindex: u32,
    /// Capture stamp as libpcap gave it.
    pub wall: WallNs,
    /// Source and destination as on the wire: `local` is the source, `remote` the destination.
    pub tuple: Tuple,
    /// Bytes of the frame on the wire.
    pub wire_len: u32,
    /// IP identification (IPv4 only).
    pub ip_id: Option<u16>,
    /// Bytes above the transport header by the IP length (not by what was captured).
    pub payload_len: u32,
    /// TCP header; `None` for UDP.
    pub tcp: Option<Segment>,
    /// What a TCP segment's payload begins with, where that tells something.
    pub opening: Option<Opening>,
    /// The frame itself, kept only where somebody wants it written (`-w`); recordings leave it out.
    #[serde(skip)]
    pub frame: Option<Frame>,
}

/// Raw bytes of a captured frame, passed through the core untouched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Which capture handle it came from.
    pub source: u16,
    /// Captured bytes.
    pub data: Box<[u8]>,
}

/// TCP header of a segment (RFC 9293, section 3.1), with SEG.* in its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Segment {
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK; meaningless without the ACK flag.
    pub ack: u32,
    /// SEG.WND, unscaled.
    pub window: u16,
    /// Flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
    pub flags: u8,
    /// Options that matter.
    pub options: TcpOptions,
}

/// TCP options seen in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TcpOptions {
    /// Maximum segment size (RFC 9293).
    pub mss: Option<u16>,
    /// Window scale shift (RFC 7323).
    pub window_scale: Option<u8>,
    /// SACK permitted (RFC 2018).
    pub sack_permitted: bool,
    /// TSval, TSecr (RFC 7323).
    pub timestamps: Option<(u32, u32)>,
    /// SACK blocks (RFC 2018), left and right edge.
    pub sack: [(u32, u32); 4],
    /// How many of `sack` are set.
    pub sack_count: u8,
    /// MPTCP option present (RFC 8684).
    pub mptcp: bool,
}

/// TCP flag bits of [`Segment::flags`].
#[expect(missing_docs, reason = "RFC 9293 names")]
pub mod tcp_flags {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const PSH: u8 = 8;
    pub const ACK: u8 = 16;
    pub const URG: u8 = 32;
    pub const ECE: u8 = 64;
    pub const CWR: u8 = 128;
}
