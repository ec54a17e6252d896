/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What exists already: targets, and the sockets of every namespace by the descriptors that hold them. */

struct iter_scratch {
	struct ev_socket socket;
	struct ev_process process;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct iter_scratch);
} iter_scratch SEC(".maps");

/* One TARGET record per target that was not announced yet. */
SEC("iter/task")
int iter_targets(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct iter_scratch *s;
	struct target *target;
	struct inflight *in;
	u32 zero = 0, tgid;

	if (!task)
		return 0;
	tgid = task->tgid;
	target = bpf_map_lookup_elem(&targets, &tgid);
	if (!target)
		return 0;
	/* One that sleeps already wakes up as one whose sleep was seen; of one that runs this is overwritten when it stops. */
	in = bpf_task_storage_get(&inflight, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (in && !in->slept)
		in->slept = bpf_ktime_get_ns();
	if (task->pid != task->tgid || target->announced)
		return 0;
	s = bpf_map_lookup_elem(&iter_scratch, &zero);
	if (!s)
		return 0;
	__builtin_memset(&s->process, 0, sizeof(s->process));
	s->process.h.t = bpf_ktime_get_ns();
	s->process.h.kind = KIND_TARGET;
	process_of(&s->process.process, task);
	/* A full buffer makes the iterator come again with the same task. */
	if (!bpf_seq_write(ctx->meta->seq, &s->process, sizeof(s->process)))
		target->announced = 1;
	return 0;
}

/* The first process found with a socket owns it, but a target comes before others. */
static __always_inline struct sock_state *adopt(struct sock *sk, struct task_struct *task)
{
	struct sock_state *st = sock_state_of(sk, true);
	u32 tgid = task->tgid;
	bool target;

	if (!st)
		return 0;
	target = is_target(tgid);
	if (!st->owner.tgid || (target && !(st->owner.flags & PROCESS_TARGET))) {
		process_of(&st->owner, task);
		/* What settled the socket of a process that was no target yet tells user space nothing. */
		st->flags &= ~(SOCK_TUPLE | SOCK_ANNOUNCED);
	}
	if (cfg_wide)
		look_at_owner(st);
	if (target && !(cfg_wide && st->proto != IPPROTO_TCP))
		st->flags |= SOCK_TARGET;
	return st;
}

static __always_inline struct sock *sock_of(struct file *file)
{
	struct socket *socket;
	struct sock *sk;

	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !inet_proto(sk))
		return 0;
	return sk;
}

/* First pass, silent: owners and listening ports, on which the second pass's roles depend. */
SEC("iter/task_file")
int iter_tag(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sock_state *st;
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = sock_of(file);
	if (!sk)
		return 0;
	st = adopt(sk, task);
	if (!st)
		return 0;
	if (st->proto == IPPROTO_UDP && st->role == ROLE_UNKNOWN)
		st->role = guess_datagram_role(sk);
	if (st->proto == IPPROTO_UDP || sk->__sk_common.skc_state == TCP_LISTEN)
		remember_port(st->netns, sk->__sk_common.skc_num, st->proto, &st->owner, st->flags & SOCK_TARGET,
			      st->cookie, st->proto == IPPROTO_TCP ? sk : 0);
	return 0;
}

static __always_inline void write_socket(struct seq_file *seq, struct sock *sk, struct sock_state *st, u8 reason)
{
	struct iter_scratch *s;
	u32 zero = 0;

	s = bpf_map_lookup_elem(&iter_scratch, &zero);
	if (!s)
		return;
	__builtin_memset(&s->socket, 0, sizeof(s->socket));
	s->socket.h.t = bpf_ktime_get_ns();
	s->socket.h.kind = KIND_SOCKET;
	fill_socket(&s->socket, sk, st, reason, -1);
	if (bpf_seq_write(seq, &s->socket, sizeof(s->socket)))
		st->flags &= ~SOCK_ANNOUNCED;
}

static __always_inline void settle(struct sock *sk, struct sock_state *st)
{
	u8 state = sk->__sk_common.skc_state;

	if (st->role == ROLE_UNKNOWN && st->proto == IPPROTO_TCP) {
		if (state == TCP_LISTEN)
			st->role = ROLE_SERVER;
		else if (state != TCP_CLOSE)
			st->role = guess_role(sk, st);
	}
	install(sk, st);
	if (cfg_wide && st->proto == IPPROTO_TCP && state == TCP_ESTABLISHED) {
		struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

		if (tp && !st->local_isn)
			keep_isns(st, tp);
	}
}

/* Second pass: everybody's tuples; one EXISTING record per socket of a target that is new to user space. */
SEC("iter/task_file")
int iter_announce(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sock_state *st;
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = sock_of(file);
	if (!sk)
		return 0;
	st = adopt(sk, task);
	if (!st)
		return 0;
	settle(sk, st);
	if (!cfg_wide && (st->flags & SOCK_TARGET) && !(st->flags & SOCK_ANNOUNCED))
		write_socket(ctx->meta->seq, sk, st, REASON_EXISTING);
	return 0;
}

/* Before the accounts are read: what open TCP sockets did until now. The others have told at their end. */
SEC("iter/task_file")
int iter_accounts(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct sock_state *st;
	struct tcp_sock *tp;
	struct sock *sk;

	if (!file)
		return 0;
	sk = sock_of(file);
	if (!sk)
		return 0;
	st = sock_state_of(sk, false);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!st || !tp)
		return 0;
	account_socket(sk, st, tp);
	if (cfg_wide && (st->flags & SOCK_TARGET))
		look_at_turn(sk, st);
	return 0;
}

static __always_inline void last_word(struct seq_file *seq, struct sock *sk, struct sock_state *st)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp)
		settle_retransmits(sk, st, tp);
	if ((st->flags & SOCK_TARGET) && (!cfg_wide || (st->flags & SOCK_ANNOUNCED)))
		write_socket(seq, sk, st, REASON_FINAL);
}

/* The end: what open sockets counted. */
SEC("iter/task_file")
int iter_final(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct sock_state *st;
	struct sock *sk;

	if (!file)
		return 0;
	sk = sock_of(file);
	if (!sk)
		return 0;
	st = sock_state_of(sk, false);
	if (st)
		last_word(ctx->meta->seq, sk, st);
	return 0;
}

/* Full TCP sockets of the reader's namespace, those without a descriptor too; NULL for the small kinds. */
static __always_inline struct sock *tcp_sock_of(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;

	return common ? (struct sock *)bpf_skc_to_tcp_sock(common) : 0;
}

/* Connections that wait to be accepted, or that outlived their descriptors. The former are their listener's. */
SEC("iter/tcp")
int iter_tcp_announce(struct bpf_iter__tcp *ctx)
{
	struct sock *sk = tcp_sock_of(ctx);
	struct listener_key k = { .proto = IPPROTO_TCP };
	struct listener *listener;
	struct sock_state *st;

	if (!sk)
		return 0;
	st = sock_state_of(sk, true);
	if (!st)
		return 0;
	if (!st->owner.tgid) {
		k.netns = st->netns;
		k.port = sk->__sk_common.skc_num;
		listener = bpf_map_lookup_elem(&listeners, &k);
		if (listener) {
			st->owner = listener->owner;
			if (listener->owner.flags & PROCESS_TARGET)
				st->flags |= SOCK_TARGET;
		}
	}
	settle(sk, st);
	if (!cfg_wide && (st->flags & SOCK_TARGET) && !(st->flags & SOCK_ANNOUNCED))
		write_socket(ctx->meta->seq, sk, st, REASON_EXISTING);
	return 0;
}

SEC("iter/tcp")
int iter_tcp_final(struct bpf_iter__tcp *ctx)
{
	struct sock *sk = tcp_sock_of(ctx);
	struct sock_state *st;

	if (!sk)
		return 0;
	st = sock_state_of(sk, false);
	if (st)
		last_word(ctx->meta->seq, sk, st);
	return 0;
}
