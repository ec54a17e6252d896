/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sockets: states, owners, bytes, turns. */

/* The port is chosen after this, and before the SYN is built. */
static __always_inline void connects(const struct sock *sk, const struct sock_state *st)
{
	struct inflight *in;

	in = bpf_task_storage_get(&inflight, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!in)
		return;
	in->connecting = (u64)sk;
	in->connecting_cookie = st->cookie;
	in->connecting_netns = st->netns;
}

static __always_inline int state_changes(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	int old_state = (int)ctx[1], new_state = (int)ctx[2];
	struct sock_state *st;
	struct tcp_sock *tp;

	if (inet_proto(sk) != IPPROTO_TCP)
		return 0;
	switch (new_state) {
	case TCP_SYN_RECV:
		/* The child isn't set up; its story starts at ESTABLISHED. */
		return 0;
	case TCP_SYN_SENT:
		st = sock_state_of(sk, true);
		if (!st)
			return 0;
		/* A socket may connect again after connect(AF_UNSPEC), which has told of its end as TCP_CLOSE. */
		start_over(sk, st);
		st->role = ROLE_CLIENT;
		st->flags |= SOCK_CONNECTING;
		own(st);
		if (cfg_wide)
			st->began = bpf_ktime_get_ns();
		COUNT(counters_of(st->netns, netns_inum_of(sk)), active_opens, 1);
		if (!cfg_wide && (st->flags & SOCK_TARGET))
			connects(sk, st);
		break;
	case TCP_LISTEN:
		st = sock_state_of(sk, true);
		if (!st)
			return 0;
		st->role = ROLE_SERVER;
		own(st);
		remember_port(st->netns, sk->__sk_common.skc_num, IPPROTO_TCP, &st->owner,
			      st->flags & SOCK_TARGET, st->cookie, sk);
		break;
	case TCP_ESTABLISHED:
		st = sock_state_of(sk, true);
		if (!st)
			return 0;
		if (st->role == ROLE_UNKNOWN)
			st->role = old_state == TCP_SYN_RECV ? ROLE_SERVER : ROLE_CLIENT;
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp) {
			find_beginning(st, tp);
			/* What came with a SYN (RFC 7413) may have been read by now. */
			st->copied_seen = tp->copied_seq;
		}
		if (cfg_wide && tp) {
			st->established = bpf_ktime_get_ns();
			keep_isns(st, tp);
			/* Its lot is known now. */
			look_at_owner(st);
		}
		if (st->role == ROLE_SERVER)
			COUNT(counters_of(st->netns, netns_inum_of(sk)), passive_opens, 1);
		install(sk, st);
		break;
	default:
		st = sock_state_of(sk, false);
		if (!st)
			return 0;
	}
	if (cfg_accounts) {
		account_state(st, old_state, new_state);
		tp = bpf_skc_to_tcp_sock(sk);
		/* Before a FIN is queued. */
		if (tp && new_state != TCP_ESTABLISHED)
			absorb_sent(st, tp, old_state);
		if (tp && new_state == TCP_CLOSE)
			account_socket(sk, st, tp);
	}
	if (!(st->flags & SOCK_TARGET))
		return 0;
	/* Of those that user space knows, how they end; a connection that failed is worth telling. */
	if (cfg_wide && (new_state != TCP_CLOSE || !((st->flags & SOCK_ANNOUNCED) || old_state == TCP_SYN_SENT) ||
			 st->depth < DEPTH_CONNECTIONS))
		return 0;
	if (!(st->flags & SOCK_ANNOUNCED) && leaves_out_connections())
		return 0;
	emit_socket(sk, st, REASON_STATE, new_state, old_state);
	return 0;
}

/* The last word on a TCP socket, and on retransmissions that no event told of. */
static __always_inline int is_destroyed(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sock_state *st = sock_state_of(sk, false);
	struct tcp_sock *tp;

	if (!st)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		settle_retransmits(sk, st, tp);
		if (cfg_accounts)
			account_socket(sk, st, tp);
	}
	if (!(st->flags & SOCK_TARGET))
		return 0;
	if (cfg_wide) {
		end_turn(sk, st, st->turn.start);
		add_batch(st);
		count_turns(st);
		if (st->depth >= DEPTH_CONNECTIONS && (st->retransmitted || sk->sk_err))
			tell(sk, st);
		if (!(st->flags & SOCK_ANNOUNCED))
			return 0;
	}
	if (!(st->flags & SOCK_ANNOUNCED) && leaves_out_connections())
		return 0;
	emit_socket(sk, st, REASON_DESTROY, -1, 0);
	return 0;
}

/* What a socket that nobody traces has moved is found in its sequence numbers, if these are looked at before they wrap. */
#define MOVED_MAX (1 << 30)

/* Nothing is new about the TCP socket, and its calls are told to nobody: most calls of most processes are such. */
static __always_inline bool is_settled(const struct sock *sk, const struct sock_state *st, u32 tgid)
{
	return st && st->cookie == (u64)sk->__sk_common.skc_cookie.counter && st->owner.tgid == tgid &&
	       st->proto == IPPROTO_TCP && st->moved < MOVED_MAX &&
	       (cfg_wide ? (st->flags & SOCK_TUPLE) != 0 :
			   (st->flags & (SOCK_TARGET | SOCK_TUPLE | SOCK_ANNOUNCED)) == (SOCK_TUPLE | SOCK_ANNOUNCED));
}

/* To detach the programs and attach them again may take seconds where the CPUs are busy. */
static __always_inline bool is_away(void)
{
	u32 zero = 0, *away = bpf_map_lookup_elem(&io_away, &zero);

	return away && *away;
}

static __always_inline void pass_bytes(struct sock *sk, int len, u8 dir)
{
	u32 tgid = bpf_get_current_task_btf()->tgid;
	struct sock_state *st;
	struct inflight *in;
	struct tcp_sock *tp;
	struct ev_io *e;

	if (cfg_wide && is_away())
		return;
	if (len <= 0) {
		if (cfg_accounts && len < 0 && len != -EAGAIN && inet_proto(sk))
			account_error();
		return;
	}
	st = bpf_sk_storage_get(&sock_states, sk, 0, 0);
	if (is_settled(sk, st, tgid)) {
		st->moved += len;
		if (!cfg_accounts && dir == DIR_OUT)
			__sync_fetch_and_add(&st->sent, (u64)len);
		if (cfg_wide && st->depth >= DEPTH_TURNS)
			follow_turn(sk, st, len, dir);
		else if (cfg_wide && (st->flags & SOCK_COUNTED))
			count_turn(sk, st, len, dir);
		return;
	}
	if (!inet_proto(sk))
		return;
	st = sock_state_of(sk, true);
	if (!st)
		return;
	if (st->role == ROLE_UNKNOWN) {
		if (st->proto == IPPROTO_TCP)
			st->role = guess_role(sk, st);
		else
			st->role = dir == DIR_OUT ? ROLE_CLIENT : ROLE_SERVER;
	}
	tp = bpf_skc_to_tcp_sock(sk);
	if (cfg_accounts && tp && st->owner.tgid != tgid) {
		account_taken(sk, st, tp, (u32)len, dir);
		add_batch(st);
		count_turns(st);
	}
	st->moved = 0;
	/* Found before something is sent: it came in unseen. */
	if (tp && absorb(sk, st, tp) && dir == DIR_OUT && !cfg_wide)
		passed(st, DIR_IN);
	if (cfg_accounts && tp)
		absorb_sent(st, tp, sk->__sk_common.skc_state);
	else if (dir == DIR_OUT)
		__sync_fetch_and_add(&st->sent, (u64)len);
	if (!tp && dir == DIR_IN)
		__sync_fetch_and_add(&st->received, (u64)len);
	if (!cfg_wide)
		passed(st, dir);

	/* Its owner may have become a target since: of connections that waited to be accepted then, nothing else tells. */
	if (st->owner.tgid != tgid || (!(st->owner.flags & PROCESS_TARGET) && is_target(tgid))) {
		own(st);
		st->flags &= ~(SOCK_TUPLE | SOCK_ANNOUNCED);
	}
	if (cfg_accounts && !tp)
		account_datagram(st, sk, (u64)len, dir);
	/* Only a connected socket has a tuple. */
	if (sk->__sk_common.skc_dport)
		install(sk, st);
	if (cfg_wide) {
		if (st->proto == IPPROTO_UDP && !(st->flags & SOCK_ANNOUNCED))
			remember_port(st->netns, sk->__sk_common.skc_num, IPPROTO_UDP, &st->owner, false, st->cookie, 0);
		if (st->proto == IPPROTO_UDP)
			st->flags |= SOCK_ANNOUNCED;
		else if ((st->flags & SOCK_TARGET) && st->depth >= DEPTH_TURNS)
			follow_turn(sk, st, len, dir);
		else if (st->flags & SOCK_COUNTED)
			count_turn(sk, st, len, dir);
		return;
	}
	if (!(st->flags & SOCK_ANNOUNCED)) {
		if (st->proto == IPPROTO_UDP)
			remember_port(st->netns, sk->__sk_common.skc_num, IPPROTO_UDP, &st->owner,
				      st->flags & SOCK_TARGET, st->cookie, 0);
		if (st->flags & SOCK_TARGET)
			emit_socket(sk, st, REASON_OWNER, -1, 0);
		st->flags |= SOCK_ANNOUNCED;
	}
	if (!(st->flags & SOCK_TARGET))
		return;
	if (dir == DIR_IN)
		st->readable = 0;

	e = RESERVE(struct ev_io, KIND_IO);
	if (!e)
		return;
	set_task(&e->h);
	e->cookie = st->cookie;
	e->io.sent = st->sent;
	e->io.received = st->received;
	e->io.turns = st->turns;
	in = bpf_task_storage_get(&inflight, bpf_get_current_task_btf(), 0, 0);
	if (in && in->entered >= calls_seen_since())
		e->entered = in->entered;
	e->bytes = len;
	e->direction = dir;
	bpf_ringbuf_submit(e, WAKE_UP);
}

SEC("tp_btf/sock_send_length")
int on_send(u64 *ctx)
{
	u64 began = call_begins(COST_SEND, current_tgid());

	pass_bytes((struct sock *)ctx[0], (int)ctx[1], DIR_OUT);
	call_ends(COST_SEND, began);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int on_recv(u64 *ctx)
{
	u64 began;

	/* A peek comes again; the error queue holds what was sent. */
	if ((int)ctx[2] & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	began = call_begins(COST_RECV, current_tgid());
	pass_bytes((struct sock *)ctx[0], (int)ctx[1], DIR_IN);
	call_ends(COST_RECV, began);
	return 0;
}

/* sk->sk_data_ready() was called: TCP and UDP have queued something. */
static __always_inline int is_readable(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sock_state *st;
	struct ev_readable *e;

	st = bpf_sk_storage_get(&sock_states, sk, 0, 0);
	if (!st || !(st->flags & SOCK_TARGET) || st->readable || sk->__sk_common.skc_state == TCP_LISTEN)
		return 0;
	st->readable = 1;
	e = RESERVE(struct ev_readable, KIND_READABLE);
	if (!e)
		return 0;
	e->cookie = st->cookie;
	bpf_ringbuf_submit(e, WAKE_UP);
	return 0;
}

/*
 * A SYN waits until the neighbour's address is known, and leaves by a softirq that may land where no program is run.
 * Here the kernel is still in the call that connects, so the flow filter can be told of it in time.
 */
SEC("tp_btf/neigh_event_send_done")
int on_neighbour_asked(u64 *ctx)
{
	struct inflight *in = bpf_task_storage_get(&inflight, bpf_get_current_task_btf(), 0, 0);
	struct flow_value v = {};
	struct tuple_key k = {};
	struct tuple_value o = {};
	struct sock *sk;

	if (!in || !in->connecting)
		return 0;
	sk = (struct sock *)in->connecting;
	in->connecting = 0;
	if ((u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) != in->connecting_cookie)
		return 0;
	tuple_of(&k.tuple, &sk->__sk_common, IPPROTO_TCP);
	if (!k.tuple.lport || !k.tuple.rport)
		return 0;
	k.netns = v.netns = in->connecting_netns;
	o.cookie = v.cookie = in->connecting_cookie;
	process_of(&o.owner, bpf_get_current_task_btf());
	bpf_map_update_elem(&tuples, &k, &o, BPF_ANY);
	bpf_map_update_elem(&flows, &k.tuple, &v, BPF_ANY);
	return 0;
}

/*
 * A packet on its way to a device. The first one of a connection is where its local port is known, and it comes
 * before the packet sockets see the packet: a flow installed here lets its own SYN through the flow filter.
 */
static __always_inline int leaves_for_device(u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct sock *sk = skb->sk;
	struct sock_state *st;
	struct ev_socket *e;
	struct packet p;

	if (!sk)
		return 0;
	st = bpf_sk_storage_get(&sock_states, sk, 0, 0);
	if (st && st->proto == IPPROTO_TCP) {
		/* The common case first. */
		if ((st->flags & SOCK_TUPLE) && (!(st->flags & SOCK_TARGET) || (st->flags & SOCK_FLOW)))
			return 0;
		/* A clone of a listener has no cookie of its own before ESTABLISHED, where its flow is installed. */
		if (st->cookie == (u64)sk->__sk_common.skc_cookie.counter && install(sk, st))
			emit_socket(by_socket(sk), st, REASON_FLOW, -1, 0);
		return 0;
	}
	if (!st) {
		if (!current_sends_on(sk) || inet_proto(sk) != IPPROTO_UDP)
			return 0;
		st = sock_state_of(by_socket(sk), true);
		if (!st)
			return 0;
		own(st);
		st->role = ROLE_CLIENT;
	}
	if (st->proto != IPPROTO_UDP)
		return 0;
	if (sk->__sk_common.skc_dport && (st->flags & SOCK_TUPLE) &&
	    (!(st->flags & SOCK_TARGET) || (st->flags & SOCK_FLOW)))
		return 0;
	/* Unconnected: every peer is a flow of its own, and the address is the packet's. */
	if (!parse_packet(&p, skb))
		return 0;
	if (!(st->flags & SOCK_TARGET)) {
		if (!(st->flags & SOCK_TUPLE))
			remember_tuple(st, &p.tuple);
		return 0;
	}
	if (bpf_map_lookup_elem(&flows, &p.tuple))
		return 0;
	remember_tuple(st, &p.tuple);
	remember_flow(st, &p.tuple);
	e = RESERVE(struct ev_socket, KIND_SOCKET);
	if (!e)
		return 0;
	fill_socket(e, by_socket(sk), st, REASON_FLOW, -1);
	e->tuple = p.tuple;
	bpf_ringbuf_submit(e, WAKE_UP);
	return 0;
}
