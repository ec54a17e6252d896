/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Syscalls of targets: remembered at the entry, told at the exit, when the memory that they name is resident. */

#define NO_SYSCALL 0xffffffff
#define SIGKILL_BIT (1 << 8)

#include "scratch.h"
#include "descriptor.h"
#include "capture.h"

static __always_inline u32 spec_word(const struct capture_spec *spec)
{
	return spec->arg | (u32)spec->kind << 8 | (u32)spec->len << 16;
}

/* All but the arguments. */
static __always_inline void describe(struct ev_syscall *e, const struct task_struct *task, const struct inflight *in,
				     s64 ret, u32 captured, u32 phase)
{
	/* What sleeps stands where it began, before what its thread says next. */
	e->h.t = phase == PHASE_SLEEPS ? in->entered : bpf_ktime_get_ns();
	e->h.kind = KIND_SYSCALL;
	e->h.tgid = task->tgid;
	e->h.tid = task->pid;
	e->ret = ret;
	e->entered = in->entered;
	e->cookie = in->cookie;
	e->nr = in->nr;
	e->captures_len = captured;
	e->phase = phase;
	e->pad = 0;
}

static __always_inline void output(struct scratch *s, const struct task_struct *task, struct inflight *in, s64 ret,
				   u32 captured, u32 phase)
{
	u32 len = sizeof(s->e) + captured;

	if (captured > sizeof(s->data))
		return;
	describe(&s->e, task, in, ret, captured, phase);
	if (bpf_ringbuf_output(&bulk, s, len, 0))
		count_lost(KIND_SYSCALL);
}

/* A call that names no memory goes into the ring at once. */
static __always_inline void output_bare(const struct task_struct *task, struct inflight *in, s64 ret, u32 phase)
{
	struct ev_syscall *e = bpf_ringbuf_reserve(&bulk, sizeof(*e), 0);

	if (!e) {
		count_lost(KIND_SYSCALL);
		return;
	}
	__builtin_memcpy(e->args, in->args, sizeof(e->args));
	describe(e, task, in, ret, 0, phase);
	bpf_ringbuf_submit(e, 0);
}

/* What the call overwrites, or takes away with it: a record of its own, before that of the call. */
static __always_inline void emit_entry(const struct task_struct *task, struct inflight *in, const struct plan_entry *plan)
{
	struct scratch *s = scratch();
	u32 off = 0;

	if (!s)
		return;
	__builtin_memcpy(s->e.args, in->args, sizeof(s->e.args));
	s->unreadable = 0;
	s->limit = cfg_string_limit;
	for (u32 i = 0; i < CAPTURES_MAX; i++) {
		const struct capture_spec *spec = &plan->captures[i];

		if (!(spec->kind & CAPTURE_AT_ENTRY))
			break;
		off = capture(off, spec_word(spec), 0, plan->flags);
	}
	in->unreadable = s->unreadable;
	if (off)
		output(s, task, in, 0, off, PHASE_ENTERED);
}

/* What the call returned, a thread that dies of SIGKILL or of another's exit_group never sees. */
static __always_inline bool cut_short(const struct task_struct *task)
{
	u32 by;

	if (!(task->pending.signal.sig[0] & SIGKILL_BIT))
		return false;
	/* Of another signal that ends the process strace sees the result still. */
	by = task->signal->group_exit_code & 0x7f;
	return by == 0 || by == SIGKILL;
}

static __always_inline void emit_syscall(const struct task_struct *task, struct inflight *in,
					 const struct plan_entry *plan, s64 ret, u32 phase)
{
	u32 said = phase == PHASE_RETURNED && cut_short(task) ? PHASE_NEVER_RETURNS : phase, off = 0;
	struct scratch *s;

	if (!plan->captures[0].kind) {
		output_bare(task, in, ret, said);
		return;
	}
	s = scratch();
	if (!s)
		return;
	__builtin_memcpy(s->e.args, in->args, sizeof(s->e.args));
	if ((plan->flags & CALL_EXEC) && phase == PHASE_RETURNED && ret >= 0) {
		u32 n = in->exec_len < EXEC_NAME_MAX ? in->exec_len : 0;

		/* The name that the exec tracepoint kept; it comes before the other captures. */
		bpf_probe_read_kernel(s->data + sizeof(struct capture_header), EXEC_NAME_MAX, in->exec_name);
		put_header(s->data, plan->captures[0].arg, CAPTURE_CSTRING, n, n);
		off = sizeof(struct capture_header) + n;
	}
	s->limit = cfg_string_limit;
	/* Messages of netlink are told by what they mean, not as bytes. */
	if (in->is_netlink && (plan->flags & (CALL_SENDS | CALL_RECVS)) && phase == PHASE_RETURNED) {
		s->limit = STRING_MAX;
		off = capture_fd(off, CAPTURE_FD << 8, (s32)in->args[0]);
	}
	/* The new image says again what could be read of the old one. */
	if (phase != PHASE_NEVER_RETURNS && !((plan->flags & CALL_EXEC) && ret >= 0 && !in->unreadable)) {
		for (u32 i = 0; i < CAPTURES_MAX; i++) {
			const struct capture_spec *spec = &plan->captures[i];

			if (!spec->kind)
				break;
			if (!(spec->kind & CAPTURE_AT_ENTRY))
				off = capture(off, spec_word(spec), ret, plan->flags);
		}
	}
	output(s, task, in, ret, off, said);
}

static __always_inline struct plan_entry *plan_of(u32 nr)
{
	return bpf_map_lookup_elem(&syscall_plan, &nr);
}

/* A 32-bit program's call numbers are another table's (TS_COMPAT of arch/x86/include/asm/thread_info.h). */
static __always_inline bool is_compat(const struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	if (bpf_core_field_exists(task->thread_info.status))
		return task->thread_info.status & 2;
#endif
	return false;
}

static __always_inline struct target *target_of(const struct task_struct *task)
{
	u32 tgid = task->tgid;

	return bpf_map_lookup_elem(&targets, &tgid);
}

/* Where the current thread's calls are kept if its process is a target; who was one stays one. */
static __always_inline struct inflight *target_thread(struct task_struct *task, const struct plan_entry *plan)
{
	struct inflight *in = bpf_task_storage_get(&inflight, task, 0, 0);
	struct target *target;

	if (is_compat(task))
		return 0;
	if (in && in->target)
		return in;
	target = target_of(task);
	if (!target || (target->held && !(plan->flags & CALL_EXEC)))
		return 0;
	in = bpf_task_storage_get(&inflight, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (in)
		in->target = !target->held;
	return in;
}

/* Nobody is told of the call itself: what it moves the socket tells, which has use for no more than when it began. */
static __always_inline bool is_brief(const struct plan_entry *plan)
{
	return plan->mode == MODE_OFF && !(plan->flags & ~(CALL_SENDS | CALL_RECVS));
}

static __always_inline void enters(struct task_struct *task, struct pt_regs *regs, u32 nr)
{
	struct plan_entry *plan;
	struct inflight *in;

	plan = plan_of(nr);
	if (!plan || (plan->mode == MODE_OFF && !plan->flags))
		return;
	in = target_thread(task, plan);
	if (!in)
		return;
	in->nr = nr;
	in->entered = bpf_ktime_get_ns();
	in->brief = is_brief(plan);
	if (in->brief) {
		in->args[0] = SYSCALL_FIRST(regs);
		in->sock = 0;
		return;
	}
	SYSCALL_ARGS(regs, in->args);
	in->sock = 0;
	in->cookie = 0;
	in->is_socket = 0;
	in->is_netlink = 0;
	/* close's descriptor is gone at the exit. */
	if (plan->fd_arg >= 0)
		look_up_fd(in, (int)arg_of(in->args, plan->fd_arg));
	in->exec_len = 0;
	in->sleeps = 0;
	in->unreadable = 1;
	if (plan->entries && (plan->mode == MODE_ALL || (plan->mode == MODE_SOCKETS && in->is_socket))) {
		/* It has no argument but its stack. */
		if (plan->captures[0].kind == (CAPTURE_SIGFRAME | CAPTURE_AT_ENTRY))
			in->args[0] = regs->sp;
		emit_entry(task, in, plan);
	}
	if ((plan->flags & CALL_NORETURN) && plan->mode != MODE_OFF)
		emit_syscall(task, in, plan, -1, PHASE_NEVER_RETURNS);
}

SEC("tp_btf/sys_enter")
int on_sys_enter(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 began;

	if (!hinted(task->tgid))
		return 0;
	began = cost_begin(COST_SYS_ENTER, task->tgid);
	enters(task, (struct pt_regs *)ctx[0], (u32)ctx[1]);
	cost_end(COST_SYS_ENTER, began);
	return 0;
}

static __always_inline void accepted(struct inflight *in, int fd)
{
	struct inflight conn = {};
	struct ev_accept *e;

	if (!look_up_fd(&conn, fd) || !conn.cookie)
		return;
	e = RESERVE(struct ev_accept, KIND_ACCEPT);
	if (!e)
		return;
	set_task(&e->h);
	e->cookie = conn.cookie;
	e->entered = in->entered;
	bpf_ringbuf_submit(e, 0);
}

/* A UDP port that a target is bound to belongs to it, whether or not it ever sends. */
static __always_inline void bound(struct inflight *in)
{
	struct sock *sk = (struct sock *)in->sock;
	struct process owner = {};

	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_UDP)
		return;
	process_of(&owner, bpf_get_current_task_btf());
	remember_port(BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie), BPF_CORE_READ(sk, __sk_common.skc_num),
		      IPPROTO_UDP, &owner, true, 0, 0);
}

/*
 * UDP has no tracepoint for its end. After the close of the last descriptor sock_orphan() has cut the socket off,
 * or its memory is another socket's already; in both cases what was there at the entry is gone.
 */
static __always_inline void closed(struct inflight *in)
{
	struct sock *sk = (struct sock *)in->sock;
	struct ev_closed *e;

	if (!sk || !in->cookie || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_UDP)
		return;
	if (BPF_CORE_READ(sk, sk_socket) && (u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == in->cookie)
		return;
	e = RESERVE(struct ev_closed, KIND_CLOSED);
	if (!e)
		return;
	set_task(&e->h);
	e->cookie = in->cookie;
	bpf_ringbuf_submit(e, 0);
}

static __always_inline void left(struct inflight *in)
{
	in->nr = NO_SYSCALL;
	in->entered = 0;
	in->sock = 0;
	in->brief = 0;
}

static __always_inline void returns(struct task_struct *task, struct pt_regs *regs, s64 ret)
{
	u64 since = calls_seen_since();
	struct plan_entry *plan;
	struct target *target;
	struct inflight *in;
	struct sock *sk;
	u32 nr;

	nr = SYSCALL_NR(regs);
	/* rt_sigreturn gave the registers of before the signal back. */
	if (nr == NO_SYSCALL) {
		in = bpf_task_storage_get(&inflight, task, 0, 0);
		if (in)
			nr = in->nr;
	}
	plan = plan_of(nr);
	if (!plan || (plan->mode == MODE_OFF && !plan->flags))
		return;
	in = target_thread(task, plan);
	if (!in)
		return;
	if (is_brief(plan)) {
		left(in);
		return;
	}
	if (in->nr != nr || !in->entered || in->entered < since) {
		/* A new task's return from fork has no entry of its own. */
		if (plan->flags & (CALL_FORK | CALL_EXEC))
			return;
		/* It was in this call when it became a target, or when calls were seen again: since then at least. */
		target = target_of(task);
		if (!target)
			return;
		SYSCALL_ARGS(regs, in->args);
		in->sock = 0;
		in->cookie = 0;
		in->is_socket = 0;
		in->is_netlink = 0;
		in->entered = target->since_ns > since ? target->since_ns : since;
		in->nr = nr;
		if (plan->fd_arg >= 0)
			look_up_fd(in, (int)arg_of(in->args, plan->fd_arg));
	}
	/* The call itself may have been what gave the socket its cookie. */
	sk = (struct sock *)in->sock;
	if (sk && !in->cookie)
		in->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if ((plan->flags & CALL_ACCEPT) && ret >= 0)
		accepted(in, (int)ret);
	if ((plan->flags & CALL_BIND) && ret == 0)
		bound(in);
	if (plan->flags & CALL_CLOSE)
		closed(in);
	if (plan->mode == MODE_ALL || (plan->mode == MODE_SOCKETS && in->is_socket))
		emit_syscall(task, in, plan, ret, PHASE_RETURNED);
	left(in);
}

SEC("tp_btf/sys_exit")
int on_sys_exit(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 began;

	if (!hinted(task->tgid))
		return 0;
	began = cost_begin(COST_SYS_EXIT, task->tgid);
	returns(task, (struct pt_regs *)ctx[0], (s64)ctx[1]);
	cost_end(COST_SYS_EXIT, began);
	return 0;
}
