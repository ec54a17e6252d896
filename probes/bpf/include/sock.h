/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A socket's state in sk_storage: who owns it, what it did, and how it is told to user space. */
#ifndef TRACENET_SOCK_H
#define TRACENET_SOCK_H

/*
 * skb->sk as newer verifiers type it (under RCU) is good for sk_storage only; the same socket reached through its
 * struct socket is good for the other helpers. NULL once the application closed it; the helpers allow that.
 */
static __always_inline struct sock *by_socket(struct sock *sk)
{
	return sk->sk_socket->sk;
}

static __always_inline void start_over(struct sock *sk, struct sock_state *st)
{
	struct tcp_sock *tp;

	st->sent = 0;
	st->received = 0;
	st->turns = 0;
	st->turns_told = 0;
	st->retransmitted = 0;
	st->retrans_seen = 0;
	st->copied_seen = 0;
	st->sent_told = 0;
	st->received_told = 0;
	st->written_seen = 0;
	st->moved = 0;
	st->last_dir = DIR_NONE;
	st->turn.start = 0;
	st->turn.end = 0;
	st->batch.buckets = 0;
	st->batch.ns = 0;
	st->policy.slow_ns = 0;
	st->began = 0;
	st->established = 0;
	st->local_isn = 0;
	st->remote_isn = 0;
	st->role = ROLE_UNKNOWN;
	st->flags &= SOCK_TARGET;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		st->retrans_seen = tp->total_retrans;
		st->copied_seen = tp->copied_seq;
		st->written_seen = tp->write_seq;
		st->segs_out_told = tp->segs_out;
		st->segs_in_told = tp->segs_in;
		if (sk->__sk_common.skc_state == TCP_SYN_SENT)
			st->flags |= SOCK_CONNECTING;
	}
}

/*
 * Where the bytes of a connection begin, by what came in and was acknowledged since: programs don't run in every context, and
 * ESTABLISHED may have been missed. bytes_acked counts the SYN at the client; data may have gone with it (RFC 7413).
 */
static __always_inline void find_beginning(struct sock_state *st, const struct tcp_sock *tp)
{
	st->copied_seen = tp->rcv_nxt - (u32)tp->bytes_received;
	st->written_seen = tp->snd_una - (u32)tp->bytes_acked + (st->role == ROLE_CLIENT);
	st->flags &= ~SOCK_CONNECTING;
}

/* A client's turn is done when data comes after data went, a server's the other way round. */
static __always_inline void passed(struct sock_state *st, u8 dir)
{
	u8 last = st->last_dir;

	st->last_dir = dir;
	if (st->role == ROLE_CLIENT ? dir == DIR_IN && last == DIR_OUT : dir == DIR_OUT && last == DIR_IN)
		__sync_fetch_and_add(&st->turns, 1);
}

/*
 * What left a TCP socket's receive queue since last time. sock_recv_length doesn't tell of splice and of in-kernel
 * readers; copied_seq does. It counts a FIN that was read as well, which nothing can follow. Softirq and a reading
 * process may both come here: one of them wins.
 */
static __always_inline bool absorb(const struct sock *sk, struct sock_state *st, struct tcp_sock *tp)
{
	u8 state = sk->__sk_common.skc_state;
	u32 seen, now = tp->copied_seq;

	if (st->flags & SOCK_CONNECTING) {
		if (!tp->bytes_acked)
			return false;
		find_beginning(st, tp);
	}
	seen = st->copied_seen;
	if (now == tp->rcv_nxt && (state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING ||
				   state == TCP_TIME_WAIT || state == TCP_CLOSE))
		now--;
	if ((s32)(now - seen) <= 0)
		return false;
	if (__sync_val_compare_and_swap(&st->copied_seen, seen, now) != seen)
		return false;
	__sync_fetch_and_add(&st->received, (u64)(now - seen));
	return true;
}

/*
 * What was queued for sending since last time, where accounts are kept: also by calls that no program saw, and by one that is
 * not over yet. 'state' is the socket's: a FIN counts as well, and nothing follows it.
 */
static __always_inline void absorb_sent(struct sock_state *st, const struct tcp_sock *tp, int state)
{
	u32 seen, now = tp->write_seq;

	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		return;
	if (st->flags & SOCK_CONNECTING)
		find_beginning(st, tp);
	seen = st->written_seen;
	if ((s32)(now - seen) <= 0 || __sync_val_compare_and_swap(&st->written_seen, seen, now) != seen)
		return;
	__sync_fetch_and_add(&st->sent, (u64)(now - seen));
}

/*
 * A child of a listener starts as a copy of the listener's state (BPF_F_CLONE): same owner, but the cookie tells
 * that the rest is not its own. Not to be called in the child before SYN_RECV is left: inet_csk_clone_lock() still
 * overwrites the cookie then.
 */
static __always_inline struct sock_state *sock_state_of(struct sock *sk, bool create)
{
	struct sock_state *st;
	u64 cookie;

	st = bpf_sk_storage_get(&sock_states, sk, 0, create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (!st)
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	if (st->cookie != cookie) {
		bool cloned = st->cookie != 0;

		start_over(sk, st);
		st->cookie = cookie;
		st->netns = netns_of(sk);
		st->proto = inet_proto(sk);
		if (cloned)
			st->role = ROLE_SERVER;
	}
	return st;
}

/* While the connection lasts they can be told from its counters, afterwards no more. */
static __always_inline void keep_isns(struct sock_state *st, struct tcp_sock *tp)
{
	struct tcp_counters c = {};

	fill_tcp(&c, tp, st->role);
	st->local_isn = c.local_isn;
	st->remote_isn = c.remote_isn;
}

/* So many turns of a connection are followed, or counted, in a row: a process may have one connection only. */
#define TURNS_IN_A_ROW 64
/* What such a row draws; single turns have their indices. */
#define LOT_OF_ROW(st) (0xffffffffu - (st)->turns / TURNS_IN_A_ROW)

/* A number that both ends of the connection make of the turn, on whatever hosts: so both choose the same ones. */
static __always_inline u32 lot_of(const struct sock_state *st, u32 index)
{
	u32 n = (st->local_isn ^ st->remote_isn) + index * 0x9e3779b1u;

	/* The last steps of MurmurHash3. */
	n ^= n >> 16;
	n *= 0x85ebca6bu;
	n ^= n >> 13;
	n *= 0xc2b2ae35u;
	return n ^ n >> 16;
}

/* How far the owner is followed, and which of its turns are told of. */
static __noinline int look_at_owner(struct sock_state *st)
{
	struct turn_key k = { .start_ns = st->owner.start_ns, .tgid = st->owner.tgid, .role = st->role };
	struct following *f = bpf_map_lookup_elem(&depths, &k.tgid);
	u32 others = 0;
	bool counted;
	struct turn_policy *policy = bpf_map_lookup_elem(&turn_policies, &k);

	if (!f)
		f = bpf_map_lookup_elem(&depths, &others);
	st->depth = f ? f->depth : DEPTH_COUNTERS;
	counted = f && f->depth >= DEPTH_TURNS && lot_of(st, LOT_OF_ROW(st)) > f->share;
	if (counted)
		st->depth = DEPTH_CONNECTIONS;
	if (counted != !!(st->flags & SOCK_COUNTED)) {
		st->flags ^= SOCK_COUNTED;
		st->turns_told = st->turns;
		st->last_dir = DIR_NONE;
	}
	if (policy)
		st->policy = *policy;
	st->policy.followed = f ? f->share : 0;
	return 0;
}

/* In process context only. */
static __always_inline void own(struct sock_state *st)
{
	process_of(&st->owner, bpf_get_current_task_btf());
	if (cfg_wide)
		look_at_owner(st);
	/* Where everybody is a target, datagrams are only added up. */
	if ((st->owner.flags & PROCESS_TARGET) && !(cfg_wide && st->proto != IPPROTO_TCP))
		st->flags |= SOCK_TARGET;
}

static __always_inline void remember_tuple(struct sock_state *st, const struct tuple *t)
{
	struct tuple_key k = { .netns = st->netns };
	struct tuple_value v = { .cookie = st->cookie, .owner = st->owner };

	k.tuple = *t;
	bpf_map_update_elem(&tuples, &k, &v, BPF_ANY);
	st->tuple = *t;
	st->flags |= SOCK_TUPLE;
}

static __always_inline void remember_flow(struct sock_state *st, const struct tuple *t)
{
	struct flow_value v = { .cookie = st->cookie, .netns = st->netns };

	bpf_map_update_elem(&flows, t, &v, BPF_ANY);
	st->flags |= SOCK_FLOW;
}

/* Installs a connected socket's tuple wherever it is still missing. True where its flow was new. */
static __always_inline bool install(struct sock *sk, struct sock_state *st)
{
	struct tuple t;

	if ((st->flags & SOCK_TUPLE) && (cfg_wide || !(st->flags & SOCK_TARGET) || (st->flags & SOCK_FLOW)))
		return false;
	tuple_of(&t, &sk->__sk_common, st->proto);
	if (!t.lport || !t.rport)
		return false;
	if (!(st->flags & SOCK_TUPLE))
		remember_tuple(st, &t);
	/* The packet filter wants to know no flow where packets are not looked at. */
	if (cfg_wide || !(st->flags & SOCK_TARGET) || (st->flags & SOCK_FLOW))
		return false;
	remember_flow(st, &t);
	return true;
}

/* A listening TCP or bound UDP port and who holds it. */
static __always_inline void remember_port(u64 netns, u16 port, u8 proto, const struct process *owner, bool target,
					  u64 cookie, struct sock *listening)
{
	struct listener_key k = { .netns = netns, .port = port, .proto = proto };
	struct listener l = { .owner = *owner, .cookie = cookie };
	struct port_key p = { .port = port, .proto = proto };
	u32 one = 1;

	if (!port)
		return;
	if (listening) {
		l.sock = (u64)listening;
		l.drops = BPF_CORE_READ(listening, sk_drops.counter);
	}
	bpf_map_update_elem(&listeners, &k, &l, BPF_ANY);
	if (cookie)
		bpf_map_update_elem(&listener_owners, &cookie, owner, BPF_ANY);
	if (target)
		bpf_map_update_elem(&ports, &p, &one, BPF_ANY);
}

/* For a socket whose beginning was not seen: it is a server's if somebody listens on its port. */
static __always_inline u8 guess_role(const struct sock *sk, const struct sock_state *st)
{
	struct listener_key k = { .netns = st->netns, .port = sk->__sk_common.skc_num, .proto = st->proto };

	return bpf_map_lookup_elem(&listeners, &k) ? ROLE_SERVER : ROLE_CLIENT;
}

/* Ports from which Linux chooses a client's (net.ipv4.ip_local_port_range by default), the first of them. */
#define FIRST_EPHEMERAL_PORT 32768

/*
 * The same for UDP, where nobody listens: of a socket that was busy before, the next datagram may be an answer. Where its ports
 * don't tell either, that datagram does.
 */
static __always_inline u8 guess_datagram_role(const struct sock *sk)
{
	u16 local = sk->__sk_common.skc_num, remote = bpf_ntohs(sk->__sk_common.skc_dport);

	if (!local)
		return ROLE_UNKNOWN;
	if (!remote)
		return local < FIRST_EPHEMERAL_PORT ? ROLE_SERVER : ROLE_UNKNOWN;
	return local < FIRST_EPHEMERAL_PORT && remote >= FIRST_EPHEMERAL_PORT ? ROLE_SERVER : ROLE_CLIENT;
}

/* state < 0: the socket's own. */
static __always_inline void fill_socket(struct ev_socket *e, struct sock *sk, struct sock_state *st, u8 reason,
					int state)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp && absorb(sk, st, tp) && !cfg_wide)
		passed(st, DIR_IN);
	if (cfg_accounts && tp)
		absorb_sent(st, tp, sk->__sk_common.skc_state);
	e->cookie = st->cookie;
	e->netns = st->netns;
	if ((st->flags & SOCK_TUPLE) && st->proto == IPPROTO_TCP)
		e->tuple = st->tuple;
	else
		tuple_of(&e->tuple, &sk->__sk_common, st->proto);
	e->owner = st->owner;
	e->io.sent = st->sent;
	e->io.received = st->received;
	e->io.turns = st->turns;
	e->netns_inum = netns_inum_of(sk);
	e->err = sk->sk_err;
	e->retransmitted = st->retransmitted;
	e->reason = reason;
	e->state = state < 0 ? sk->__sk_common.skc_state : state;
	e->role = st->role;
	if (tp) {
		e->has_tcp = 1;
		fill_tcp(&e->tcp, tp, st->role);
	}
	e->began = st->began;
	e->established = st->established;
	if (st->local_isn) {
		e->isns_kept = 1;
		e->tcp.local_isn = st->local_isn;
		e->tcp.remote_isn = st->remote_isn;
	}
	st->flags |= SOCK_ANNOUNCED;
}

static __always_inline void emit_socket(struct sock *sk, struct sock_state *st, u8 reason, int state, int old_state)
{
	struct ev_socket *e = RESERVE(struct ev_socket, KIND_SOCKET);

	if (!e)
		return;
	fill_socket(e, sk, st, reason, state);
	e->old_state = old_state;
	bpf_ringbuf_submit(e, WAKE_UP);
}

/* The socket behind a descriptor of the current task, by fault-safe reads. Cookie 0: nobody asked for it yet. */
static __always_inline bool look_up_fd(struct inflight *in, int fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *fdt = task->files->fdt;
	struct file **table, *file = 0;
	u16 family, proto, mode;
	struct socket *socket;
	struct sock *sk;

	in->sock = 0;
	in->cookie = 0;
	in->is_socket = 0;
	in->is_netlink = 0;
	if (fd < 0 || (u32)fd >= fdt->max_fds)
		return false;
	table = fdt->fd;
	if (bpf_probe_read_kernel(&file, sizeof(file), table + fd) || !file)
		return false;
	mode = BPF_CORE_READ(file, f_inode, i_mode);
	if ((mode & S_IFMT) != S_IFSOCK)
		return false;
	in->is_socket = 1;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk)
		return true;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	proto = BPF_CORE_READ(sk, sk_protocol);
	in->is_netlink = family == AF_NETLINK;
	if ((family != AF_INET && family != AF_INET6) || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return true;
	in->sock = (u64)sk;
	in->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	return true;
}

/*
 * True where the current task is inside a sending call on this very socket. The transmit path may run in softirq
 * on anybody's CPU; the descriptor that the task's own syscall named settles whose packet it is.
 */
static __always_inline bool current_sends_on(struct sock *sk)
{
	struct inflight *in = bpf_task_storage_get(&inflight, bpf_get_current_task_btf(), 0, 0);

	if (!in)
		return false;
	if (in->brief) {
		in->brief = 0;
		look_up_fd(in, (int)in->args[0]);
	}
	return in->sock && in->sock == (u64)sk;
}

#endif
