/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Where every process is a target ('cfg_wide'): turns are put together here, added up by process, and told of where they are
 * worth it. A socket is told of once, before the first thing that is told of it.
 */
#ifndef TRACENET_TURN_H
#define TRACENET_TURN_H

/* Until user space has set a threshold. */
#define SLOW_NS 1000000000ull
/* An answered turn is over when its connection has been silent for so long. */
#define TURN_SILENT_NS 1000000000ull

static __always_inline void tell(struct sock *sk, struct sock_state *st)
{
	if (!(st->flags & SOCK_ANNOUNCED) && (cfg_wide || leaves_out_connections()))
		emit_socket(sk, st, REASON_OWNER, -1, 0);
}

static __noinline struct turn_stats *turn_stats_of(const struct process *owner, u8 role)
{
	struct turn_key k = { .start_ns = owner->start_ns, .tgid = owner->tgid, .role = role };
	struct turn_stats *s, *new;
	u32 first = 0;

	s = bpf_map_lookup_elem(&turn_stats, &k);
	if (s)
		return s;
	new = bpf_map_lookup_elem(&new_turn_stats, &first);
	if (!new)
		return 0;
	if (bpf_map_update_elem(&turn_stats, &k, new, BPF_NOEXIST) == -E2BIG)
		count_lost(KIND_ACCOUNT);
	return bpf_map_lookup_elem(&turn_stats, &k);
}

/* It began before on_send and on_recv were away. */
static __always_inline bool is_stale(const struct sock_state *st)
{
	u32 zero = 0, *epoch = bpf_map_lookup_elem(&io_epoch, &zero);

	return epoch && *epoch != st->epoch;
}

/* What is in the batch is added up. */
static __noinline int add_batch(struct sock_state *st)
{
	struct turn_stats *s;
	u64 buckets, ns;

	/* Whoever reads the turns and the socket's own process may both come here. */
	buckets = __sync_lock_test_and_set(&st->batch.buckets, 0);
	if (!buckets)
		return 0;
	ns = __sync_lock_test_and_set(&st->batch.ns, 0);
	s = turn_stats_of(&st->owner, st->role);
	if (!s)
		return 0;
	__sync_fetch_and_add(&s->ns, ns);
	for (int i = 0; i < 8; i++) {
		u32 bucket = (buckets & 0xff) - 1;

		buckets >>= 8;
		if (bucket >= COUNT_BUCKETS)
			break;
		__sync_fetch_and_add(&s->turns, 1);
		__sync_fetch_and_add(&s->buckets[bucket], 1);
	}
	return 0;
}

/* Adds a turn up, eight at a time: the look-up is most of it. */
static __always_inline void add_turn(struct sock_state *st, u64 took)
{
	u32 bucket = bucket_of(took);
	u64 before;

	if (bucket >= COUNT_BUCKETS)
		bucket = COUNT_BUCKETS - 1;
	__sync_fetch_and_add(&st->batch.ns, took);
	/* One whose place is taken meanwhile comes again; nobody fails so often as to lose its turn. */
	for (int i = 0; i < 4; i++) {
		before = st->batch.buckets;
		if (before >> 56) {
			add_batch(st);
			before = 0;
		}
		if (__sync_val_compare_and_swap(&st->batch.buckets, before, before << 8 | (bucket + 1)) == before)
			return;
	}
}

/* Why a turn is to be told of, 0 if it isn't. Before there is a policy its process's first ones are. */
static __always_inline u32 reason_of(const struct sock_state *st, const struct turn *t, u32 retransmits, u32 *share)
{
	const struct turn_policy *policy = &st->policy;
	struct turn_stats *s;

	if (!t->response_start)
		return TURN_UNANSWERED;
	if (t->end - t->start >= (policy->slow_ns ? policy->slow_ns : SLOW_NS))
		return TURN_SLOW;
	if (retransmits)
		return TURN_LOSS;
	if (policy->slow_ns) {
		*share = policy->share;
		return *share && lot_of(st, t->index) <= *share ? TURN_SHARE : 0;
	}
	s = turn_stats_of(&st->owner, st->role);
	return s && s->told < cfg_first_turns ? TURN_SHARE : 0;
}

/* The turn in hand is over, if it is still the one that began at 'start': of two that see it one takes it. */
static __noinline int end_turn(struct sock *sk, struct sock_state *st, u64 start)
{
	struct turn t = st->turn;
	u32 retransmits, reason, share = (u32)-1;
	struct turn_stats *s;
	struct ev_turn *e;

	if (!start || __sync_val_compare_and_swap(&st->turn.start, start, 0) != start)
		return 0;
	if (is_stale(st))
		return 0;
	t.start = start;
	/* Two threads may have had a hand in it. */
	if (t.end < start)
		t.end = start;
	if (t.response_start)
		add_turn(st, t.end - start);
	retransmits = st->retransmitted - t.retransmitted;
	reason = reason_of(st, &t, retransmits, &share);
	if (!reason)
		return 0;
	s = turn_stats_of(&st->owner, st->role);
	if (!s)
		return 0;
	if (reason == TURN_UNANSWERED)
		__sync_fetch_and_add(&s->unanswered, 1);
	tell(sk, st);
	e = RESERVE(struct ev_turn, KIND_TURN);
	if (!e)
		return 0;
	__sync_fetch_and_add(&s->told, 1);
	e->cookie = st->cookie;
	e->start = start;
	e->request_end = t.request_end;
	e->response_start = t.response_start;
	e->end = t.end;
	e->request_bytes = t.request_bytes;
	e->response_bytes = t.response_bytes;
	e->index = t.index;
	e->retransmits = retransmits;
	e->reason = reason;
	e->share = (u64)share * ((u64)st->policy.followed + 1) >> 32;
	bpf_ringbuf_submit(e, WAKE_UP);
	return 0;
}

/* What was counted, on a connection whose turns are counted only. */
static __always_inline void count_turns(struct sock_state *st)
{
	u32 n = st->turns - st->turns_told;
	struct turn_stats *s;

	if (!(st->flags & SOCK_COUNTED) || !n)
		return;
	st->turns_told += n;
	s = turn_stats_of(&st->owner, st->role);
	if (s)
		__sync_fetch_and_add(&s->unfollowed, (u64)n);
}

/*
 * When the call that has just moved data took place. The clock is the dearest part of following a turn, and TCP has read it as
 * well (tcp_mstamp_refresh): when it sent, if nothing waits to be sent, and when the last segment came, which is nearer to a
 * request's arrival than when it is read. What a client reads counts when it has it.
 */
static __always_inline u64 moment(const struct sock *sk, const struct sock_state *st, u8 dir)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);

	if (tp && bpf_core_field_exists(tp->tcp_clock_cache) &&
	    (dir == DIR_OUT ? tp->snd_nxt == tp->write_seq : st->role == ROLE_SERVER))
		return tp->tcp_clock_cache;
	return bpf_ktime_get_ns();
}

/* A turn begins with this call: the row to which it belongs is followed, or counted. */
static __always_inline bool is_followed(struct sock_state *st)
{
	if (st->turns % TURNS_IN_A_ROW == 0) {
		count_turns(st);
		look_at_owner(st);
	}
	return st->depth >= DEPTH_TURNS;
}

/* The current task sent or received 'len' bytes. Whoever writes with others at once shares their turn's byte counts. */
static __noinline int follow_turn(struct sock *sk, struct sock_state *st, u32 len, u8 dir)
{
	struct turn *t = &st->turn;
	u64 now = moment(sk, st, dir), start = t->start;

	if (start && is_stale(st))
		t->start = start = 0;
	if ((st->role == ROLE_CLIENT) == (dir == DIR_OUT)) {
		if (start && t->response_start) {
			end_turn(sk, st, start);
			start = 0;
		}
		if (!start && !is_followed(st)) {
			passed(st, dir);
			return 0;
		}
		if (!start) {
			u32 zero = 0, *epoch = bpf_map_lookup_elem(&io_epoch, &zero);

			st->epoch = epoch ? *epoch : 0;
			t->response_start = 0;
			t->request_bytes = 0;
			t->response_bytes = 0;
			t->index = st->turns;
			t->retransmitted = st->retransmitted;
			t->start = now;
		}
		t->request_end = t->end = now;
		t->request_bytes += len;
	} else if (start) {
		if (!t->response_start) {
			t->response_start = now;
			st->turns++;
		}
		t->end = now;
		t->response_bytes += len;
	}
	return 0;
}

/* The same on a connection whose turns are counted only. */
static __noinline int count_turn(struct sock *sk, struct sock_state *st, u32 len, u8 dir)
{
	bool begins = (st->role == ROLE_CLIENT) == (dir == DIR_OUT) && st->last_dir != dir;

	if (begins && is_followed(st))
		return follow_turn(sk, st, len, dir);
	passed(st, dir);
	return 0;
}

/* From time to time: a turn that is long over, and how far the socket's owner is followed now. */
static __always_inline void look_at_turn(struct sock *sk, struct sock_state *st)
{
	u64 start = st->turn.start, end = st->turn.end;

	count_turns(st);
	look_at_owner(st);
	if (start && st->turn.response_start &&
	    (st->depth < DEPTH_TURNS || (s64)(bpf_ktime_get_ns() - end) > (s64)TURN_SILENT_NS))
		end_turn(sk, st, start);
	/* The answer of one that is not followed any more won't be seen. */
	else if (start && st->depth < DEPTH_TURNS)
		__sync_val_compare_and_swap(&st->turn.start, start, 0);
	add_batch(st);
}

#endif
