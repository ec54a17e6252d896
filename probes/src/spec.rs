//! What a session is asked to do, and what each probe needs.

use tracenet_core::syscall::PlanOptions;
use tracenet_core::time::MonoNs;

/// Highest syscall number that a filter can name, exclusive.
pub const MAX_NR: usize = 512;

/// Default size of the ring buffer: 32 MiB.
pub const DEFAULT_RING_BYTES: u32 = 32 << 20;

/// What to record, and of whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Thread-group ids to trace from the start. More can be added with [`Session::add_targets`](crate::Session::add_targets).
    pub targets: Vec<u32>,
    /// Of [`targets`](Self::targets), one that waits to run a command: what it does before its exec is not told.
    pub held: Option<u32>,
    /// Follow children of targets, from their first instruction.
    pub follow: bool,
    /// Bytes of user memory recorded of a string or a buffer, at most 4096 (strace's `-s`).
    pub string_limit: u32,
    /// Which syscalls to record.
    pub syscalls: SyscallFilter,
    /// What will be printed of them beyond the usual, so that it is read.
    pub captures: PlanOptions,
    /// Which syscalls to count in the kernel, recorded or not (`strace -c`).
    pub counted: SyscallFilter,
    /// Count them by the connection of their descriptor too.
    pub by_connection: bool,
    /// Tell also of calls that sleep, of ignored signals and of the ends of threads: what whole lines of strace's need
    /// beside the syscalls.
    pub lines: bool,
    /// Add up what every process of the host does on the network: see [`Session::accounts`](crate::Session::accounts).
    pub accounts: bool,
    /// Every process of the host is followed, this one left out, unless [`Session::set_depth`](crate::Session::set_depth) says
    /// otherwise of one: connections and turns that are worth telling become events, the others are added up
    /// ([`Session::turns`](crate::Session::turns), [`accounts`](Self::accounts)). There is then no target.
    pub wide: Option<Depth>,
    /// With [`wide`](Self::wide): of each process's turns at one side so many are told before a policy is set for them.
    pub first_turns: u32,
    /// What the probes cost the targets is measured, and some of them may be left out: see
    /// [`Session::take_control`](crate::Session::take_control).
    pub governed: bool,
    /// Size of the ring buffer in bytes; rounded up to a power of two, at least 64 KiB, at most 1 GiB.
    pub ring_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            held: None,
            follow: false,
            string_limit: 32,
            syscalls: SyscallFilter::default(),
            captures: PlanOptions::default(),
            counted: SyscallFilter::default(),
            by_connection: false,
            lines: false,
            accounts: false,
            wide: None,
            first_turns: 0,
            governed: false,
            ring_bytes: DEFAULT_RING_BYTES,
        }
    }
}

/// How far a process is followed, where every one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Sums only.
    Counters = 0,
    /// Connections that failed, or suffered.
    Connections = 1,
    /// Turns: those that are slow or suffered, and a share of the others.
    Turns = 2,
}

/// Which syscalls of the targets become events. The default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyscallFilter {
    all: [u64; MAX_NR / 64],
    socket_only: [u64; MAX_NR / 64],
}

impl Default for SyscallFilter {
    fn default() -> Self {
        Self::none()
    }
}

impl SyscallFilter {
    /// No syscall.
    pub const fn none() -> Self {
        Self { all: [0; MAX_NR / 64], socket_only: [0; MAX_NR / 64] }
    }

    /// Every syscall.
    pub const fn every() -> Self {
        Self { all: [u64::MAX; MAX_NR / 64], socket_only: [0; MAX_NR / 64] }
    }

    /// Records syscall `nr` always. Numbers from [`MAX_NR`] on are ignored.
    pub fn insert(&mut self, nr: u32) {
        if let Some(word) = self.all.get_mut(nr as usize / 64) {
            *word |= 1 << (nr % 64);
        }
    }

    /// Records syscall `nr` when its descriptor argument is a socket. [`insert`](Self::insert) wins over this.
    pub fn insert_socket_only(&mut self, nr: u32) {
        if let Some(word) = self.socket_only.get_mut(nr as usize / 64) {
            *word |= 1 << (nr % 64);
        }
    }

    /// True where `nr` is always recorded.
    pub fn contains(&self, nr: u32) -> bool {
        self.all.get(nr as usize / 64).is_some_and(|w| w >> (nr % 64) & 1 == 1)
    }

    /// True where `nr` is recorded on sockets (and only there, unless [`contains`](Self::contains)).
    pub fn contains_socket_only(&self, nr: u32) -> bool {
        self.socket_only.get(nr as usize / 64).is_some_and(|w| w >> (nr % 64) & 1 == 1)
    }

    /// True where nothing is recorded, so that the syscall probes need not be attached.
    pub fn is_empty(&self) -> bool {
        self.all.iter().chain(&self.socket_only).all(|w| *w == 0)
    }
}

/// One probe: where it hooks, whether it is attached, and what goes missing without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookStatus {
    /// Name of the BPF program.
    pub name: &'static str,
    /// Where it hooks, e.g. `tp_btf/tcp_retransmit_skb`.
    pub hook: &'static str,
    /// True where it was loaded and attached.
    pub attached: bool,
    /// What the kernel said, in one line, where it was not.
    pub error: Option<String>,
    /// What the user loses without it.
    pub feature: &'static str,
    /// What to do about it, where it was not attached.
    pub remedy: Option<String>,
}

/// In-kernel totals of one network namespace, of all its sockets, since the session was opened. They don't pass
/// through the ring buffer, so a full ring doesn't touch them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetnsTotals {
    /// Inode number of the namespace (`net:[4026531840]`), 0 where never seen.
    pub netns_inum: u32,
    /// Segments sent again, as `TcpRetransSegs` counts them: `tcp_sock.total_retrans` differences and SYN/ACKs.
    pub retransmitted_segments: u64,
    /// Of these, fast retransmits.
    pub fast: u64,
    /// Of these, tail loss probes.
    pub tail_loss_probe: u64,
    /// Of these, timeouts and the slow start after them.
    pub timeout: u64,
    /// Of these, SYNs.
    pub syn: u64,
    /// Of these, SYN/ACKs.
    pub syn_ack: u64,
    /// Of these, with no cause of the above, or found only when the socket ended.
    pub other: u64,
    /// Retransmission timer expiries seen (compare `TCPTimeouts`).
    pub timeouts: u64,
    /// Of these, of SYNs.
    pub timeouts_syn: u64,
    /// Of these, of SYN/ACKs.
    pub timeouts_syn_ack: u64,
    /// Segments sent again whose socket has no known owner.
    pub retransmits_unowned: u64,
    /// Packets dropped, of any reason that user space is told about, with a known owner.
    pub drops_owned: u64,
    /// Packets dropped of TCP and UDP flows without a known owner.
    pub drops_unowned: u64,
    /// Resets sent (compare `TcpOutRsts`).
    pub resets_sent: u64,
    /// Resets received.
    pub resets_received: u64,
    /// Connections opened by connect (compare `TcpActiveOpens`).
    pub active_opens: u64,
    /// Connections that came out of a listener (compare `TcpPassiveOpens`).
    pub passive_opens: u64,
}

impl Options {
    /// Whether these options have a use for the probe. What tells strace's lines or counts calls needs few of them,
    /// and each that is attached costs the traced something.
    pub(crate) fn want(&self, probe: &str) -> bool {
        if self.wide.is_some() {
            return ACCOUNTING.contains(&probe) || matches!(probe, "on_send_reset" | "on_receive_reset");
        }
        if self.accounts && self.targets.is_empty() {
            return ACCOUNTING.contains(&probe);
        }
        match probe {
            "on_count_enter" | "on_count_exit" => !self.counted.is_empty(),
            "on_sys_enter" | "on_sys_exit" | "on_switch" => self.story() || self.lines,
            "on_thread_exit" => self.lines,
            "on_fork" | "on_exec" | "on_exit" | "on_signal" | "on_signal_sent" => true,
            _ => self.story() || self.by_connection,
        }
    }

    /// More is asked for than strace tells.
    fn story(&self) -> bool {
        !self.lines && self.counted.is_empty()
    }
}

/// Result of one [`Session::drain`](crate::Session::drain).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// True where the ring buffer was read to its end; false where `budget` ended it.
    pub emptied: bool,
    /// Records read.
    pub records: usize,
    /// Time of the last of them, where all before it were read too.
    pub through: Option<MonoNs>,
}

/// How a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    /// Raw tracepoint with typed arguments, of this name.
    TpBtf(&'static str),
    /// Iterator over this kind of object; run on demand.
    Iter(&'static str),
    /// Packet filter; attached to capture sockets on demand.
    SocketFilter,
}

/// A program of the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) hook: Hook,
    /// As a user would look for it.
    pub(crate) label: &'static str,
    /// What goes missing without it.
    pub(crate) feature: &'static str,
}

const fn tp(
    name: &'static str,
    tracepoint: &'static str,
    label: &'static str,
    feature: &'static str,
) -> Spec {
    Spec { name, hook: Hook::TpBtf(tracepoint), label, feature }
}

const fn iter(name: &'static str, over: &'static str, label: &'static str, feature: &'static str) -> Spec {
    Spec { name, hook: Hook::Iter(over), label, feature }
}

/// What accounts need where nobody is traced.
const ACCOUNTING: [&str; 7] = [
    "on_set_state",
    "on_destroy",
    "on_send",
    "on_recv",
    "on_retransmit",
    "on_retransmit_synack",
    "on_kfree_skb",
];

/// What sees the bytes of sockets pass.
pub(crate) const SEE_BYTES: [&str; 2] = ["on_send", "on_recv"];

/// Every program, in the order in which they are attached: what tags sockets before what tells of them.
pub(crate) const SPECS: [Spec; 33] = [
    tp(
        "on_set_state",
        "inet_sock_set_state",
        "tp_btf/inet_sock_set_state",
        "connections: states, owners, roles",
    ),
    tp("on_destroy", "tcp_destroy_sock", "tp_btf/tcp_destroy_sock", "final counters of closed connections"),
    tp("on_send", "sock_send_length", "tp_btf/sock_send_length", "bytes sent, turns"),
    tp("on_recv", "sock_recv_length", "tp_btf/sock_recv_length", "bytes received, turns"),
    tp("on_dev_queue", "net_dev_queue", "tp_btf/net_dev_queue", "the first packet of a new flow"),
    tp(
        "on_neighbour_asked",
        "neigh_event_send_done",
        "tp_btf/neigh_event_send_done",
        "the first packet of a connection to a neighbour that has to be asked for",
    ),
    tp("on_data_ready", "sk_data_ready", "tp_btf/sk_data_ready", "how long data waited to be read"),
    tp("on_retransmit", "tcp_retransmit_skb", "tp_btf/tcp_retransmit_skb", "retransmits"),
    tp(
        "on_retransmit_synack",
        "tcp_retransmit_synack",
        "tp_btf/tcp_retransmit_synack",
        "SYN/ACK retransmits",
    ),
    tp("on_kfree_skb", "kfree_skb", "tp_btf/kfree_skb", "drops"),
    tp("on_consume_skb", "consume_skb", "tp_btf/consume_skb", "SYNs that a full accept queue drops"),
    tp("on_send_reset", "tcp_send_reset", "tp_btf/tcp_send_reset", "resets sent"),
    tp("on_receive_reset", "tcp_receive_reset", "tp_btf/tcp_receive_reset", "resets received"),
    tp("on_fork", "sched_process_fork", "tp_btf/sched_process_fork", "following children (-f)"),
    tp("on_exec", "sched_process_exec", "tp_btf/sched_process_exec", "exec"),
    tp(
        "on_thread_exit",
        "sched_process_exit",
        "tp_btf/sched_process_exit",
        "the end of a thread, and the call that it was in",
    ),
    tp("on_exit", "sched_process_exit", "tp_btf/sched_process_exit", "the end of a process"),
    tp("on_sys_exit", "sys_exit", "tp_btf/sys_exit", "syscalls, accept"),
    tp("on_sys_enter", "sys_enter", "tp_btf/sys_enter", "syscalls: durations and descriptors"),
    tp("on_signal", "signal_deliver", "tp_btf/signal_deliver", "signals"),
    tp(
        "on_signal_sent",
        "signal_generate",
        "tp_btf/signal_generate",
        "signals that end their receiver or are ignored by it",
    ),
    tp("on_count_exit", "sys_exit", "tp_btf/sys_exit", "counts of syscalls (-c)"),
    tp("on_count_enter", "sys_enter", "tp_btf/sys_enter", "counts of syscalls (-c)"),
    tp("on_wakeup", "sched_wakeup", "tp_btf/sched_wakeup", "how long a thread waited for a CPU"),
    tp("on_switch", "sched_switch", "tp_btf/sched_switch", "how long a thread slept and waited for a CPU"),
    iter("iter_accounts", "task_file", "iter/task_file", "what processes sent and received over TCP (top)"),
    iter("iter_targets", "task", "iter/task", "identity of the processes at attach"),
    iter("iter_tag", "task_file", "iter/task_file", "owners of sockets that existed before"),
    iter("iter_announce", "task_file", "iter/task_file", "sockets that existed before"),
    iter("iter_tcp_announce", "tcp", "iter/tcp", "connections that wait to be accepted at attach"),
    iter("iter_tcp_final", "tcp", "iter/tcp", "final counters of connections without a descriptor"),
    iter("iter_final", "task_file", "iter/task_file", "final counters of open sockets"),
    Spec {
        name: "flow_filter",
        hook: Hook::SocketFilter,
        label: "socket",
        feature: "packets of the targets only",
    },
];
