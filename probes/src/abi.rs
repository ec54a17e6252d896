//! The records and map values shared with the BPF programs: the mirror of `bpf/include/events.h`.

/// Plain integers all the way down, without padding: every bit pattern is a value.
///
/// # Safety
/// Implementors are `#[repr(C)]` structs of integers and arrays of them, without implicit padding.
pub(crate) unsafe trait Wire: Copy {}

/// Reads a record from the front of `bytes`; `None` where it is cut short.
pub(crate) fn read<T: Wire>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: there are enough bytes, any bytes make a `T` (see `Wire`), and the read needs no alignment.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// `CAPTURE_AT_ENTRY`
pub(crate) const CAPTURE_AT_ENTRY: u8 = 0x80;

/// Return addresses kept of a drop by netfilter.
const DROP_STACK: usize = 14;
/// Buckets of a call's histogram.
pub(crate) const COUNT_BUCKETS: usize = 160;

/// Bytes of a process's control groups.
const CGROUP_MAX: usize = 256;

use tracenet_core::syscall::CAPTURES_MAX;

macro_rules! wire {
    ($($(#[$meta:meta])* struct $name:ident = $c_name:literal { $($field:ident: $ty:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[repr(C)]
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $name { $(pub(crate) $field: $ty,)* }
            // SAFETY: repr(C), integers only, padding explicit; the layout test compares it with the C side.
            unsafe impl Wire for $name {}
            // SAFETY: as above.
            unsafe impl aya::Pod for $name {}
            const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$ty>())*, "implicit padding");
        )*
        /// C name, size, and the fields with their offsets, of every struct here.
        #[cfg(test)]
        pub(crate) fn layouts() -> Vec<(&'static str, usize, Vec<(&'static str, usize)>)> {
            vec![$((
                $c_name,
                size_of::<$name>(),
                vec![$((stringify!($field), std::mem::offset_of!($name, $field)),)*],
            ),)*]
        }
    };
}

wire! {
    struct Process = "process" { start_ns: u64, tgid: u32, flags: u32, comm: [u8; 16], }
    struct WireTuple = "tuple" {
        local: [u8; 16], remote: [u8; 16], lport: u16, rport: u16, proto: u8, pad: [u8; 3],
    }
    struct Header = "ev_header" { t: u64, tgid: u32, tid: u32, kind: u16, pad: [u16; 3], }
    struct EvProcess = "ev_process" { h: Header, process: Process, }
    struct EvExec = "ev_exec" { h: Header, comm: [u8; 16], filename: [u8; 512], }
    struct EvExit = "ev_exit" { h: Header, code: u32, pad: u32, }
    struct WireSignal = "signal_info" { number: u32, error: u32, code: u32, pad: u32, fields: [u32; 8], }
    struct EvSignal = "ev_signal" { h: Header, info: WireSignal, ignored: u32, pad: u32, }
    struct EvSyscall = "ev_syscall" {
        h: Header, args: [u64; 6], ret: i64, entered: u64, cookie: u64, nr: u32, captures_len: u16, phase: u8,
        pad: u8,
    }
    /// What a descriptor is; names follow.
    struct FdInfo = "fd_info" {
        fd: i32, magic: u32, ino: u64, peer: u64, rdev: u32, mode: u16, family: u16, protocol: u16, state: u8,
        flags: u8, lport: u16, rport: u16, local: [u8; 16], remote: [u8; 16],
    }
    struct TcpCounters = "tcp_counters" {
        bytes_acked: u64, bytes_received: u64, bytes_sent: u64, bytes_retrans: u64, srtt_us: u32, rttvar_us: u32,
        min_rtt_us: u32, snd_cwnd: u32, snd_ssthresh: u32, total_retrans: u32, segs_in: u32, segs_out: u32,
        snd_una: u32, snd_nxt: u32, write_seq: u32, rcv_nxt: u32, copied_seq: u32, snd_wnd: u32, rcv_wnd: u32,
        mss_cache: u32, lost: u32, reordering: u32, dsack_dups: u32, rcv_ooopack: u32, local_isn: u32,
        remote_isn: u32, ca_state: u32, pad: u32,
    }
    struct WireTotals = "io_totals" { sent: u64, received: u64, turns: u32, pad: u32, }
    struct EvSocket = "ev_socket" {
        h: Header, cookie: u64, netns: u64, tuple: WireTuple, owner: Process, io: WireTotals, netns_inum: u32,
        err: u32, retransmitted: u32, reason: u8, state: u8, old_state: u8, role: u8, has_tcp: u8, isns_kept: u8,
        pad: [u8; 6], began: u64, established: u64, tcp: TcpCounters,
    }
    struct EvTurn = "ev_turn" {
        h: Header, cookie: u64, start: u64, request_end: u64, response_start: u64, end: u64, request_bytes: u64,
        response_bytes: u64, index: u32, retransmits: u32, reason: u32, share: u32,
    }
    struct EvIo = "ev_io" { h: Header, cookie: u64, io: WireTotals, entered: u64, bytes: u32, direction: u32, }
    struct EvAccept = "ev_accept" { h: Header, cookie: u64, entered: u64, }
    struct EvClosed = "ev_closed" { h: Header, cookie: u64, }
    struct EvScheduled = "ev_scheduled" { h: Header, slept: u64, woken: u64, }
    struct EvReadable = "ev_readable" { h: Header, cookie: u64, }
    struct EvRetransmit = "ev_retransmit" {
        h: Header, cookie: u64, netns: u64, tuple: WireTuple, owner: Process, seq: u32, len: u32, segments: u32,
        cause: u32,
    }
    struct EvDrop = "ev_drop" {
        h: Header, location: u64, netns: u64, cookie: u64, peer_cookie: u64, tuple: WireTuple, owner: Process,
        netns_inum: u32, reason: u32, ifindex: u32, seq: u32, payload_len: u32, segments: u32, queue_limit: u32,
        queue_fill: u32, queue_bytes: u32, qdisc_handle: u32, ifname: [u8; 16], qdisc: [u8; 16], tcp_flags: u8,
        direction: u8, queue: u8, ttl: u8, pad: [u8; 4], stack: [u64; DROP_STACK],
    }
    struct EvReset = "ev_reset" {
        h: Header, cookie: u64, netns: u64, tuple: WireTuple, reason: u32, direction: u8, has_reason: u8,
        pad: [u8; 2],
    }
    /// Value of `targets`.
    struct Target = "target" { since_ns: u64, announced: u32, held: u32, }
    struct WireSpec = "capture_spec" { arg: u8, kind: u8, len: u16, }
    /// Value of `syscall_plan`.
    struct PlanEntry = "plan_entry" {
        mode: u8, flags: u8, fd_arg: i8, counted: u8, entries: u8, pad: [u8; 3], captures: [WireSpec; CAPTURES_MAX],
    }
    /// Value of `costs`.
    #[derive(PartialEq, Default)]
    struct Cost = "cost" { runs: u64, next: u64, timed: u64, ns: u64, }
    /// Value of `left_out`.
    struct LeftOut = "left_out" { calls_since: u64, connections: u32, pad: u32, }
    /// Value of `call_counts`.
    struct CallCount = "call_count" { calls: u64, errors: u64, ns: u64, buckets: [u32; COUNT_BUCKETS], }
    /// Key of `connection_counts`.
    struct ConnectionCall = "connection_call" { cookie: u64, nr: u32, pad: u32, }
    /// Value of `connection_counts`.
    struct ConnectionCount = "connection_count" { calls: u64, errors: u64, ns: u64, }
    /// Key of `accounts`.
    struct AccountKey = "account_key" { start_ns: u64, tgid: u32, pad: u32, }
    /// Value of `accounts`.
    struct AccountValue = "account" {
        tcp_sent: u64, tcp_received: u64, udp_sent: u64, udp_received: u64, segments_sent: u64,
        segments_received: u64, datagrams_sent: u64, datagrams_received: u64, errors: u64, lookups: u64, opened: u64,
        accepted: u64, failed: u64, retransmitted: [u64; 6], drops: u64, rtt_us: u64, rtts: u64, probe_ns: u64, comm: [u8; 16],
        cgroup: [u8; CGROUP_MAX],
    }
    /// Key of `turn_stats`.
    struct TurnKey = "turn_key" { start_ns: u64, tgid: u32, role: u32, }
    /// Value of `turn_stats`.
    struct TurnStats = "turn_stats" {
        turns: u64, unanswered: u64, ns: u64, told: u64, unfollowed: u64, buckets: [u32; COUNT_BUCKETS],
    }
    /// Value of `depths`.
    struct Following = "following" { depth: u32, share: u32, }
    /// Value of `turn_policies`.
    struct TurnPolicy = "turn_policy" { slow_ns: u64, share: u32, followed: u32, }
    /// Key of `account_drops`.
    struct AccountDropKey = "account_drop_key" { start_ns: u64, tgid: u32, reason: u32, }
    /// Key of `drop_totals`.
    struct DropKey = "drop_key" { netns: u64, reason: u32, proto: u8, ip: u8, pad: [u8; 2], }
    /// Value of `drop_totals`.
    struct DropCount = "drop_count" { packets: u64, segments: u64, }
    /// Value of `netns_totals`.
    struct NetnsCounters = "netns_counters" {
        inum: u64, retransmitted_segments: u64, fast: u64, tail_loss_probe: u64, timeout: u64, syn: u64,
        syn_ack: u64, other: u64, timeouts: u64, timeouts_syn: u64, timeouts_syn_ack: u64, retransmits_unowned: u64, drops_owned: u64, drops_unowned: u64,
        resets_sent: u64, resets_received: u64,
        active_opens: u64, passive_opens: u64,
    }
}

/// `enum event_kind`, with the names under which losses are told.
pub(crate) mod kind {
    pub(crate) const TARGET: u16 = 1;
    pub(crate) const FORK: u16 = 2;
    pub(crate) const EXEC: u16 = 3;
    pub(crate) const EXIT: u16 = 4;
    pub(crate) const SYSCALL: u16 = 5;
    pub(crate) const SOCKET: u16 = 6;
    pub(crate) const IO: u16 = 7;
    pub(crate) const ACCEPT: u16 = 8;
    pub(crate) const RETRANSMIT: u16 = 9;
    pub(crate) const DROP: u16 = 10;
    pub(crate) const RESET: u16 = 11;
    pub(crate) const CLOSED: u16 = 12;
    pub(crate) const SCHEDULED: u16 = 13;
    pub(crate) const READABLE: u16 = 14;
    pub(crate) const SIGNAL: u16 = 15;
    pub(crate) const THREAD_EXIT: u16 = 16;
    pub(crate) const TURN: u16 = 19;

    /// Indexed by kind.
    pub(crate) const NAMES: [&str; 20] = [
        "unknown",
        "target",
        "fork",
        "exec",
        "exit",
        "syscall",
        "socket",
        "io",
        "accept",
        "retransmit",
        "drop",
        "reset",
        "closed",
        "scheduled",
        "readable",
        "signal",
        "thread exit",
        "calls by connection",
        "accounts of processes",
        "turn",
    ];
}

/// `struct ev_syscall.phase`.
pub(crate) mod phase {
    pub(crate) const RETURNED: u8 = 1;
    pub(crate) const ENTERED: u8 = 2;
    pub(crate) const SLEEPS: u8 = 3;
}

/// `enum queue`.
pub(crate) mod queue {
    pub(crate) const QDISC: u8 = 1;
    pub(crate) const RECEIVE: u8 = 2;
    pub(crate) const BACKLOG: u8 = 3;
    pub(crate) const ACCEPT: u8 = 4;
}

/// `enum drop_class`.
pub(crate) mod drop_class {
    pub(crate) const QUIET: u8 = 1;
    pub(crate) const NETFILTER: u8 = 2;
    pub(crate) const QDISC: u8 = 3;
    pub(crate) const RECEIVE: u8 = 4;
    pub(crate) const BACKLOG: u8 = 5;
    pub(crate) const ACCEPT: u8 = 6;
}

/// `struct process.flags`.
pub(crate) const PROCESS_TARGET: u32 = 1;

/// `struct plan_entry.mode`.
pub(crate) mod mode {
    pub(crate) const OFF: u8 = 0;
    pub(crate) const ALL: u8 = 1;
    pub(crate) const SOCKETS: u8 = 2;
}

/// `struct plan_entry.flags`.
pub(crate) mod call {
    pub(crate) const ACCEPT: u8 = 1;
    pub(crate) const BIND: u8 = 2;
    pub(crate) const EXEC: u8 = 4;
    pub(crate) const FORK: u8 = 8;
    pub(crate) const NORETURN: u8 = 16;
    pub(crate) const SENDS: u8 = 32;
    pub(crate) const CLOSE: u8 = 64;
    pub(crate) const RECVS: u8 = 128;
}
