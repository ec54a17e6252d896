/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The maps, and the constants that user space sets before the object is loaded. All tables are bounded. */
#ifndef TRACENET_MAPS_H
#define TRACENET_MAPS_H

#define HINT_SLOTS 16384
#define SYSCALLS_MAX 512
#define REASONS_MAX 256
#define QUIET_MAX 16
#define EXEC_NAME_MAX 256

/* Children of targets become targets. */
const volatile u32 cfg_follow = 0;
/* Bytes of a buffer argument that are recorded. */
const volatile u32 cfg_string_limit = 32;
/* Calls that sleep, threads that end and signals that are ignored are told too. */
const volatile u32 cfg_lines = 0;
/* Calls are counted by the connection too. */
const volatile u32 cfg_by_connection = 0;
/* What every process of the host does on the network is added up. */
const volatile u32 cfg_accounts = 0;
/* Every process of the host is a target, but this one: its connections and turns are followed in the kernel, and only what is
 * worth telling, or falls to a share, is told. */
const volatile u32 cfg_wide = 0;
const volatile u32 cfg_self = 0;
/* Of a process's turns so many are told, before user space has set a share. */
const volatile u32 cfg_first_turns = 0;
/* What descriptors are is recorded: those that messages pass on too, of which no plan knows. */
const volatile u32 cfg_describe_fds = 0;
/* What the probes cost the targets is measured, and may be left out. */
const volatile u32 cfg_governed = 0;
/* Which arguments this kernel's tracepoints have (their prototypes in BTF). */
const volatile u32 cfg_kfree_skb_has_rx_sk = 0;
const volatile u32 cfg_send_reset_has_reason = 0;
/* enum drop_class of each drop reason, and code ranges in which an unspecified reason is no loss. */
const volatile u8 cfg_reasons[REASONS_MAX] = {};
const volatile u64 cfg_quiet_ranges[QUIET_MAX * 2] = {};
const volatile u32 cfg_reason_not_specified = 2;
const volatile u32 cfg_reason_no_socket = 0xffffffff;
/* What a SYN that a listener swallows is told as, and the code that takes it: 0 where that is not known. */
const volatile u32 cfg_reason_listen_overflow = 0xffffffff;
const volatile u64 cfg_listen_range[2] = {};
const volatile u64 cfg_conn_request = 0;

/* What comes once per call: syscalls and bytes. The user's option sizes it, and a fast program may fill it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 32 << 20);
} bulk SEC(".maps");

/* Everything else: lifecycle and trouble, which a flood of calls must not push out. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} news SEC(".maps");

/* Records that found the ring full, by kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KIND_MAX);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

/* Thread-group ids under observation. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct target);
} targets SEC(".maps");

/* tgid modulo the size -> may be a target. An array's look-up is inlined, so others' syscalls cost a load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HINT_SLOTS);
	__type(key, u32);
	__type(value, u32);
} target_hints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SYSCALLS_MAX);
	__type(key, u32);
	__type(value, struct plan_entry);
} syscall_plan SEC(".maps");

/* The syscall that a target's thread is in. */
struct inflight {
	u64 entered;
	u64 args[6];
	u64 sock; /* struct sock of the descriptor, as a number: never dereferenced without a fault-safe read */
	u64 cookie;
	u32 nr;
	u8 is_socket; /* the descriptor is a socket of any family */
	u8 sleeps; /* that it sleeps in this call was told */
	u8 is_netlink; /* it is one of AF_NETLINK */
	u8 brief; /* nothing but its number, its beginning and its first argument is known yet */
	u8 unreadable; /* a string of execve's arrays, or all of them where it was entered unseen */
	u16 exec_len; /* of exec_name, without its NUL */
	char exec_name[EXEC_NAME_MAX];
	u64 slept; /* when the thread last left the CPU, 0 while it has it */
	u64 woken; /* when it could run again, 0 before */
	u64 connecting; /* struct sock that it connects, as 'sock', until its SYN was sent or waits for a neighbour */
	u64 connecting_cookie;
	u64 connecting_netns;
	u64 counted_from; /* when the call that is counted was entered */
	u32 counting; /* its number and one, 0 for none */
	u32 target; /* known to be one's */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct inflight);
} inflight SEC(".maps");

/* Of all targets together, by syscall. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SYSCALLS_MAX);
	__type(key, u32);
	__type(value, struct call_count);
} call_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct connection_call);
	__type(value, struct connection_count);
} connection_counts SEC(".maps");

/* By process. User space takes those that have ended out, once it has read them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct account_key);
	__type(value, struct account);
} accounts SEC(".maps");

/* How an account begins: too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct account);
} new_account SEC(".maps");

/* Their dropped packets by reason. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct account_drop_key);
	__type(value, u64);
} account_drops SEC(".maps");

#define SOCK_TARGET 1 /* a target was seen with it, ever */
#define SOCK_TUPLE 2 /* its tuple is in 'tuples' */
#define SOCK_FLOW 4 /* its tuple is in 'flows', and user space was told */
#define SOCK_ANNOUNCED 8 /* user space knows it */
#define SOCK_COUNTED 16 /* its turns are counted only */
#define SOCK_CONNECTING 32 /* where its bytes begin isn't known yet */

/* Where every process is a target: how far one is followed, by thread-group id; key 0 is for all others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct following);
} depths SEC(".maps");

struct probe_runs {
	u32 runs;
	u32 next; /* the one to be timed */
	u32 last; /* the one that was */
	u32 pad;
};

/* Runs of the programs whose time is charged, by CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct probe_runs);
} probe_runs SEC(".maps");

/* How often calls that send and receive were watched again: a turn in hand from before has an end that nobody saw. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} io_epoch SEC(".maps");

/* 1: they are not watched now. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} io_away SEC(".maps");

/* Turns by process and side. User space takes those of processes that have ended out. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct turn_key);
	__type(value, struct turn_stats);
} turn_stats SEC(".maps");

/* Which of them are told of: set by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct turn_key);
	__type(value, struct turn_policy);
} turn_policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct turn_stats);
} new_turn_stats SEC(".maps");

/* A turn as it grows. */
struct turn {
	u64 start; /* 0: none in hand */
	u64 request_end;
	u64 response_start; /* 0: no answer yet */
	u64 end;
	u64 request_bytes;
	u64 response_bytes;
	u32 index;
	u32 retransmitted; /* of the socket, when it began */
};

/* Turns that are over and were not added up yet: their buckets and one, a byte each, the newest in the lowest; and their times. */
struct turn_batch {
	u64 buckets;
	u64 ns;
};

/*
 * What is kept with every TCP and UDP socket of the host. The kernel puts it 8 bytes behind the beginning of a cache line:
 * what each call of a settled socket needs is in the first one, what a turn needs in the second.
 */
struct sock_state {
	u64 cookie; /* differs from the socket's own right after the kernel cloned a listener */
	struct process owner;
	u32 moved; /* bytes sent and received since 'sent' and 'received' were brought up to date, while its calls are told to nobody */
	u32 turns;
	u32 depth; /* enum depth of its owner, when that was looked at last */
	u8 role;
	u8 last_dir;
	u8 flags;
	u8 proto;

	struct turn turn; /* in hand, where every process is a target */
	struct turn_batch batch;
	struct turn_policy policy; /* of its owner, as of when 'depth' is; 0: none yet */

	u64 netns;
	u64 sent;
	u64 received;
	u32 retrans_seen; /* tcp_sock.total_retrans as accounted so far */
	u32 retransmitted; /* of these, since tracenet knows the socket */
	u32 copied_seen; /* tcp_sock.copied_seq as accounted in 'received' */
	u32 written_seen; /* tcp_sock.write_seq as accounted in 'sent', where accounts are kept */
	u32 readable; /* that was told, and nothing was read since */
	u32 epoch; /* io_epoch of the turn in hand */
	struct tuple tuple; /* when it was last installed: a closing socket loses its port before it is told */
	u32 segs_out_told; /* tcp_sock.segs_out as put to an account */
	u32 segs_in_told;
	u32 turns_told; /* of 'turns', while it is SOCK_COUNTED */
	u64 sent_told; /* of 'sent' */
	u64 received_told;
	u64 began; /* SYN_SENT, 0 where that was not seen, or not every process is a target */
	u64 established;
	u32 local_isn; /* kept since ESTABLISHED, or since tracenet came */
	u32 remote_isn;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct sock_state);
} sock_states SEC(".maps");

struct flow_value {
	u64 cookie;
	u64 netns;
};

/* Flows of targets, from the local side; the packet filter's set. Not keyed by namespace: user space is exact. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct tuple);
	__type(value, struct flow_value);
} flows SEC(".maps");

/* Half-open incoming handshakes on ports of targets. Apart from 'flows', so that a SYN flood evicts only these. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct tuple);
	__type(value, u32);
} syn_flows SEC(".maps");

struct port_key {
	u16 port;
	u8 proto;
	u8 pad;
};

/* Local ports on which targets listen (TCP) or are bound (UDP). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct port_key);
	__type(value, u32);
} ports SEC(".maps");

struct listener_key {
	u64 netns;
	u16 port;
	u8 proto;
	u8 pad[5];
};

struct listener {
	struct process owner;
	u64 cookie;
	u64 sock; /* struct sock of a TCP listener, as a number: never dereferenced without a fault-safe read */
	u32 drops; /* its sk_drops as accounted so far */
	u32 pad;
};

/* Owners of listening TCP and bound UDP ports, host-wide: for packets that met no socket yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct listener_key);
	__type(value, struct listener);
} listeners SEC(".maps");

/* By the listening socket's cookie, which a half-open connection's request_sock leads to. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct process);
} listener_owners SEC(".maps");

struct tuple_key {
	u64 netns;
	struct tuple tuple;
};

struct tuple_value {
	u64 cookie;
	struct process owner;
};

/* Connections of the whole host: whom a packet without a socket belongs to. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct tuple_key);
	__type(value, struct tuple_value);
} tuples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct netns_counters);
} netns_totals SEC(".maps");

/* Drops of every TCP and UDP flow by reason, those of no loss left out: what the kernel's counters are compared with. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct drop_key);
	__type(value, struct drop_count);
} drop_totals SEC(".maps");

#endif
