/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What crosses from the kernel to user space: the records of the ring buffer and of the iterators, and the values
 * of the maps that user space fills or reads. probes/src/abi.rs mirrors every struct; a test compares the two.
 * All integers are in host order; IPv4 addresses are IPv4-mapped IPv6 ones. Padding is explicit.
 */
#ifndef TRACENET_EVENTS_H
#define TRACENET_EVENTS_H

/* One line a kind: number, name, struct. */
#define TRACENET_KINDS(X) \
	X(1, TARGET, ev_process) \
	X(2, FORK, ev_process) \
	X(3, EXEC, ev_exec) \
	X(4, EXIT, ev_exit) \
	X(5, SYSCALL, ev_syscall) \
	X(6, SOCKET, ev_socket) \
	X(7, IO, ev_io) \
	X(8, ACCEPT, ev_accept) \
	X(9, RETRANSMIT, ev_retransmit) \
	X(10, DROP, ev_drop) \
	X(11, RESET, ev_reset) \
	X(12, CLOSED, ev_closed) \
	X(13, SCHEDULED, ev_scheduled) \
	X(14, READABLE, ev_readable) \
	X(15, SIGNAL, ev_signal) \
	X(16, THREAD_EXIT, ev_exit) \
	X(19, TURN, ev_turn)

/* No records, but losses that are counted beside theirs: connections of which there are too many to count by. */
#define KIND_COUNTED 17
/* A process for whose account, or whose turns, there is no room */
#define KIND_ACCOUNT 18

enum event_kind {
#define X(id, name, type) KIND_##name = id,
	TRACENET_KINDS(X)
#undef X
	KIND_MAX = 32,
};

enum socket_reason {
	REASON_EXISTING = 0,
	REASON_STATE = 1,
	REASON_FLOW = 2,
	REASON_OWNER = 3,
	REASON_DESTROY = 4,
	REASON_FINAL = 5,
};

enum retransmit_cause {
	CAUSE_FAST = 0,
	CAUSE_TLP = 1,
	CAUSE_TIMEOUT = 2,
	CAUSE_SYN = 3,
	CAUSE_SYNACK = 4,
	CAUSE_OTHER = 5,
};

enum direction {
	DIR_NONE = 0,
	DIR_IN = 1,
	DIR_OUT = 2,
};

enum role {
	ROLE_UNKNOWN = 0,
	ROLE_CLIENT = 1,
	ROLE_SERVER = 2,
};

/* A queue that had no room for a packet: what struct ev_drop.queue_limit and the numbers after it are about. */
enum queue {
	QUEUE_NONE = 0,
	QUEUE_QDISC = 1, /* packets, and bytes beside */
	QUEUE_RECEIVE = 2, /* bytes: sk_rcvbuf, sk_rmem_alloc */
	QUEUE_BACKLOG = 3, /* bytes: what sk_rcvqueues_full() compares */
	QUEUE_ACCEPT = 4, /* connections: sk_max_ack_backlog, sk_ack_backlog */
};

/* What the probes must know of a drop reason. */
enum drop_class {
	DROP_PLAIN = 0,
	DROP_QUIET = 1, /* it is no loss */
	DROP_NETFILTER = 2,
	DROP_QDISC = 3,
	DROP_RECEIVE = 4,
	DROP_BACKLOG = 5,
	DROP_ACCEPT = 6,
};

/* Return addresses that are kept of a drop by netfilter: they tell the hook. */
#define DROP_STACK 14

/* Bits of struct process.flags. */
#define PROCESS_TARGET 1

/* struct plan_entry.mode */
#define MODE_OFF 0
#define MODE_ALL 1
#define MODE_SOCKETS 2

/* struct plan_entry.flags: what the probes must know about a syscall beyond its arguments. */
#define CALL_ACCEPT 1
#define CALL_BIND 2
#define CALL_EXEC 4
#define CALL_FORK 8
#define CALL_NORETURN 16
#define CALL_SENDS 32
#define CALL_CLOSE 64
#define CALL_RECVS 128

/* core::syscall::CaptureKind, where each is explained */
enum capture_kind {
	CAPTURE_NONE = 0,
	CAPTURE_CSTRING = 1,
	CAPTURE_BUFFER_BY_ARG = 2,
	CAPTURE_BUFFER_BY_RET = 3,
	CAPTURE_SOCKADDR = 4,
	CAPTURE_SOCKADDR_BY_PTR = 5,
	CAPTURE_IOVEC = 6,
	CAPTURE_MSGHDR = 7,
	CAPTURE_POLLFDS = 8,
	CAPTURE_EPOLL_EVENTS = 9,
	CAPTURE_FIXED = 10,
	CAPTURE_STRINGS = 11,
	CAPTURE_STRUCT_BY_PTR = 12,
	CAPTURE_MSG_NAME = 13,
	CAPTURE_IOV_DATA = 14,
	CAPTURE_FD = 15,
	CAPTURE_FD_RET = 16,
	CAPTURE_FD_PAIR = 17,
	CAPTURE_FD_POLL = 18,
	CAPTURE_FD_SET = 19,
	CAPTURE_COUNT = 20,
	CAPTURE_STRUCT_BY_ARG = 21,
	CAPTURE_STRUCT_BY_RET = 22,
	CAPTURE_MMSGHDRS = 23,
	CAPTURE_CONTROL = 24,
	CAPTURE_DIRENTS = 25,
	CAPTURE_PAIR = 26,
	CAPTURE_IOCTL = 27,
	CAPTURE_EXEC_ARGV = 28,
	CAPTURE_EXEC_ENVIRON = 29,
	CAPTURE_SIGFRAME = 30,
};

/* Set in a capture's kind where it was read when the call was entered. */
#define CAPTURE_AT_ENTRY 0x80

/*
 * What a descriptor is, in captures of the kinds FD*. Behind it the names of its path, the last one first, each with a
 * NUL; of a socket its protocol's name, and then the sun_path of AF_UNIX. core::syscall::fd reads it.
 */
struct fd_info {
	s32 fd;
	u32 magic; /* of the file system (linux/magic.h) */
	u64 ino;
	u64 peer; /* AF_UNIX: inode of the other end; AF_NETLINK: port id; pidfd: process id */
	u32 rdev;
	u16 mode; /* inode's, with the type */
	u16 family; /* of a socket */
	u16 protocol;
	u8 state; /* sk_state */
	u8 flags; /* FD_* */
	u16 lport, rport; /* host order */
	u8 local[16], remote[16]; /* IPv4: the first four bytes */
} __attribute__((packed));

#define FD_DELETED 1 /* its name is gone */
#define FD_CUT 2 /* the path is longer */

struct process {
	u64 start_ns; /* start_boottime of the group leader */
	u32 tgid; /* 0: nobody */
	u32 flags;
	u8 comm[16];
};

/* A flow from the side of 'local'. Also a map key: no byte may be left unset. */
struct tuple {
	u8 local[16];
	u8 remote[16];
	u16 lport;
	u16 rport;
	u8 proto;
	u8 pad[3];
};

struct ev_header {
	u64 t; /* bpf_ktime_get_ns */
	u32 tgid; /* the task in whose context it happened; 0 where the context says nothing */
	u32 tid;
	u16 kind;
	u16 pad[3];
};

/* TARGET, FORK */
struct ev_process {
	struct ev_header h;
	struct process process;
};

struct ev_exec {
	struct ev_header h;
	u8 comm[16];
	u8 filename[512];
};

struct ev_exit {
	struct ev_header h;
	u32 code;
	u32 pad;
};

/* What a syscall record tells of: struct ev_syscall.phase. */
#define PHASE_NEVER_RETURNS 0
#define PHASE_RETURNED 1
#define PHASE_ENTERED 2 /* only what was read at its entry */
#define PHASE_SLEEPS 3 /* it is in the call still, and off the CPU */

/* The front of struct kernel_siginfo, which is that of siginfo_t (sigaction(2)). */
struct signal_info {
	u32 number;
	u32 error;
	u32 code;
	u32 pad;
	u32 fields[8];
};

struct ev_signal {
	struct ev_header h;
	struct signal_info info;
	u32 ignored; /* thrown away where it was sent: its receiver ignores it */
	u32 pad;
};

/*
 * Followed by 'captures_len' bytes of captures: { u8 arg; u8 kind; u16 len; u32 full_len; u8 data[len]; }, packed. The
 * upper five bits of 'arg' count the messages of CAPTURE_MMSGHDRS.
 */
struct ev_syscall {
	struct ev_header h;
	u64 args[6];
	s64 ret;
	u64 entered;
	u64 cookie;
	u32 nr;
	u16 captures_len;
	u8 phase;
	u8 pad;
};

struct tcp_counters {
	u64 bytes_acked;
	u64 bytes_received;
	u64 bytes_sent;
	u64 bytes_retrans;
	u32 srtt_us;
	u32 rttvar_us;
	u32 min_rtt_us;
	u32 snd_cwnd;
	u32 snd_ssthresh;
	u32 total_retrans;
	u32 segs_in;
	u32 segs_out;
	u32 snd_una;
	u32 snd_nxt;
	u32 write_seq;
	u32 rcv_nxt;
	u32 copied_seq;
	u32 snd_wnd;
	u32 rcv_wnd;
	u32 mss_cache;
	u32 lost;
	u32 reordering;
	u32 dsack_dups;
	u32 rcv_ooopack;
	u32 local_isn;
	u32 remote_isn;
	u32 ca_state;
	u32 pad;
};

struct io_totals {
	u64 sent;
	u64 received;
	u32 turns;
	u32 pad;
};

struct ev_socket {
	struct ev_header h;
	u64 cookie;
	u64 netns;
	struct tuple tuple;
	struct process owner;
	struct io_totals io;
	u32 netns_inum;
	u32 err;
	u32 retransmitted;
	u8 reason;
	u8 state;
	u8 old_state;
	u8 role;
	u8 has_tcp;
	u8 isns_kept; /* the initial sequence numbers are right in every state */
	u8 pad[6];
	u64 began; /* SYN_SENT, 0 where that is not kept */
	u64 established;
	struct tcp_counters tcp;
};

#define COUNT_BUCKETS 160

/* Why a turn is told of. */
enum turn_reason {
	TURN_SLOW = 1,
	TURN_LOSS = 2, /* segments were sent again during it */
	TURN_UNANSWERED = 3, /* the connection ended before an answer came */
	TURN_SHARE = 4, /* one of many */
};

/* A turn of a process, where every process is a target. */
struct ev_turn {
	struct ev_header h;
	u64 cookie;
	u64 start;
	u64 request_end;
	u64 response_start; /* 0: unanswered */
	u64 end;
	u64 request_bytes;
	u64 response_bytes;
	u32 index;
	u32 retransmits;
	u32 reason;
	u32 share; /* of 2^32, how many like it are told: fewer than all with TURN_SHARE, or on some of the connections */
};

struct ev_io {
	struct ev_header h;
	u64 cookie;
	struct io_totals io;
	u64 entered; /* when the call was entered, 0 where that was not seen */
	u32 bytes;
	u32 direction;
};

struct ev_accept {
	struct ev_header h;
	u64 cookie;
	u64 entered;
};

/* The last descriptor of a UDP socket was closed. */
struct ev_closed {
	struct ev_header h;
	u64 cookie;
};

/* A thread of a target runs again: h.t. Where it could have run all the time, 'woken' is 'slept'. */
struct ev_scheduled {
	struct ev_header h;
	u64 slept;
	u64 woken;
};

/* Something came for a socket from which all was read. */
struct ev_readable {
	struct ev_header h;
	u64 cookie;
};

struct ev_retransmit {
	struct ev_header h;
	u64 cookie;
	u64 netns;
	struct tuple tuple;
	struct process owner;
	u32 seq;
	u32 len;
	u32 segments;
	u32 cause;
};

struct ev_drop {
	struct ev_header h;
	u64 location;
	u64 netns;
	u64 cookie; /* of the socket that was hurt, 0 where unknown */
	u64 peer_cookie; /* of the target's socket at the other end, 0 for none */
	struct tuple tuple;
	struct process owner;
	u32 netns_inum;
	u32 reason;
	u32 ifindex;
	u32 seq;
	u32 payload_len;
	u32 segments;
	u32 queue_limit; /* 0 where unknown */
	u32 queue_fill;
	u32 queue_bytes;
	u32 qdisc_handle;
	u8 ifname[16];
	u8 qdisc[16]; /* its kind */
	u8 tcp_flags;
	u8 direction;
	u8 queue;
	u8 ttl;
	u8 pad[4];
	u64 stack[DROP_STACK];
};

struct ev_reset {
	struct ev_header h;
	u64 cookie;
	u64 netns;
	struct tuple tuple;
	u32 reason;
	u8 direction;
	u8 has_reason;
	u8 pad[2];
};

/* Value of 'targets'. */
struct target {
	u64 since_ns; /* when it became one */
	u32 announced; /* the TARGET record was written */
	u32 held; /* it is about to run the command that is traced: what it does before its exec is not told */
};

/* Where the cost of the probes is measured; COST_GONE is the CPU time of processes that have ended. */
enum cost_site {
	COST_SYS_ENTER = 0,
	COST_SYS_EXIT = 1,
	COST_SEND = 2,
	COST_RECV = 3,
	COST_DATA_READY = 4,
	COST_DEV_QUEUE = 5,
	COST_SWITCH = 6,
	COST_WAKEUP = 7,
	COST_STATE = 8,
	COST_DESTROY = 9,
	COST_FILTER = 10,
	COST_GONE = 11,
	COST_MAX = 12,
};

/* Value of 'costs', of each CPU. */
struct cost {
	u64 runs;
	u64 next; /* run that is timed next */
	u64 timed;
	u64 ns; /* of the timed ones */
};

/* Value of 'left_out'. */
struct left_out {
	u64 calls_since; /* since when calls are recorded; the end of time: they are not */
	u32 connections; /* nobody is told of those that come, unless they suffer */
	u32 pad;
};

#define CAPTURES_MAX 12

/* Value of 'syscall_plan', indexed by syscall number: the first 'entries' captures are made at the entry. */
struct capture_spec {
	u8 arg;
	u8 kind;
	u16 len;
};

struct plan_entry {
	u8 mode;
	u8 flags;
	s8 fd_arg;
	u8 counted;
	u8 entries;
	u8 pad[3];
	struct capture_spec captures[CAPTURES_MAX];
};

/* Value of 'call_counts', indexed by syscall number. */
struct call_count {
	u64 calls;
	u64 errors;
	u64 ns;
	u32 buckets[COUNT_BUCKETS];
};

/* Key of 'connection_counts'. */
struct connection_call {
	u64 cookie;
	u32 nr;
	u32 pad;
};

/* Value of 'connection_counts'. */
struct connection_count {
	u64 calls;
	u64 errors;
	u64 ns;
};

/* Key of 'accounts'. */
struct account_key {
	u64 start_ns; /* start_boottime of the group leader */
	u32 tgid;
	u32 pad;
};

#define CGROUP_MAX 256

/* Value of 'accounts': what a process did on the network since the session began. */
struct account {
	u64 tcp_sent; /* bytes */
	u64 tcp_received;
	u64 udp_sent;
	u64 udp_received;
	u64 segments_sent; /* of TCP: tcp_sock.segs_out, those sent again included */
	u64 segments_received;
	u64 datagrams_sent; /* of UDP: calls */
	u64 datagrams_received;
	u64 errors; /* of calls that send or receive, EAGAIN left out */
	u64 lookups; /* datagrams sent to port 53 */
	u64 opened;
	u64 accepted;
	u64 failed;
	u64 retransmitted[6]; /* segments, by enum retransmit_cause */
	u64 drops; /* packets that hurt its sockets */
	u64 rtt_us; /* smoothed round-trip times, of each connection that had received when it was looked at */
	u64 rtts; /* how many */
	u64 probe_ns; /* for which it was held up by programs of this object: some runs are timed */
	u8 comm[16];
	u8 cgroup[CGROUP_MAX]; /* as cgroup_names() has it */
};

/* How far a process is followed, where every one is. */
enum depth {
	DEPTH_COUNTERS = 0,
	DEPTH_CONNECTIONS = 1,
	DEPTH_TURNS = 2,
};

/* Value of 'depths'. */
struct following {
	u32 depth; /* enum depth */
	u32 share; /* of 2^32, on how many of its connections turns are followed; on the others they are counted */
};

/* Key of 'turn_stats'. */
struct turn_key {
	u64 start_ns;
	u32 tgid;
	u32 role;
};

/* Value of 'turn_policies', whose key is that of 'turn_stats'. */
struct turn_policy {
	u64 slow_ns; /* one that takes as long is told */
	u32 share; /* of 2^32, how many of the others are told */
	u32 followed; /* in a socket's copy: share of struct following */
};

/* Value of 'turn_stats'. */
struct turn_stats {
	u64 turns;
	u64 unanswered;
	u64 ns; /* of those that were answered */
	u64 told;
	u64 unfollowed; /* on connections whose turns are counted only */
	u32 buckets[COUNT_BUCKETS]; /* as those of struct call_count */
};

/* Key of 'account_drops', whose values are packets. */
struct account_drop_key {
	u64 start_ns;
	u32 tgid;
	u32 reason;
};

/* Key of 'drop_totals'. */
struct drop_key {
	u64 netns;
	u32 reason;
	u8 proto; /* 0: neither TCP nor UDP */
	u8 ip; /* 4 or 6 */
	u8 pad[2];
};

/* Value of 'drop_totals'. */
struct drop_count {
	u64 packets;
	u64 segments; /* gso_segs, at least 1 each */
};

/* Value of 'netns_totals', key: netns cookie. */
struct netns_counters {
	u64 inum;
	u64 retransmitted_segments;
	u64 fast;
	u64 tail_loss_probe;
	u64 timeout;
	u64 syn;
	u64 syn_ack;
	u64 other;
	u64 timeouts;
	u64 timeouts_syn;
	u64 timeouts_syn_ack;
	u64 retransmits_unowned;
	u64 drops_owned;
	u64 drops_unowned;
	u64 resets_sent;
	u64 resets_received;
	u64 active_opens;
	u64 passive_opens;
};

#endif
