/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Signals of targets, and the ends of their threads: what strace tells between syscalls. */

#define SEND_SIG_NOINFO 0
#define SEND_SIG_PRIV 1
#define SI_KERNEL 0x80
/* TRACE_SIGNAL_DELIVERED and _IGNORED of include/trace/events/signal.h */
#define SIGNAL_DELIVERED 0
#define SIGNAL_IGNORED 1

/* info: struct kernel_siginfo *, or one of the numbers that stand for it (include/linux/sched/signal.h). */
static __always_inline void tell_signal(u32 tgid, u32 tid, u32 number, u64 info, bool ignored)
{
	struct ev_signal *e = RESERVE(struct ev_signal, KIND_SIGNAL);
	u64 id = bpf_get_current_pid_tgid();

	if (!e)
		return;
	e->h.tgid = tgid;
	e->h.tid = tid;
	e->ignored = ignored;
	if (info > SEND_SIG_PRIV) {
		bpf_probe_read_kernel(&e->info, sizeof(e->info), (void *)info);
	} else {
		e->info.code = info == SEND_SIG_PRIV ? SI_KERNEL : 0;
		if (info == SEND_SIG_NOINFO)
			e->info.fields[0] = id >> 32;
	}
	e->info.number = number;
	bpf_ringbuf_submit(e, 0);
}

SEC("tp_btf/signal_deliver")
int on_signal(u64 *ctx)
{
	u64 id = bpf_get_current_pid_tgid();

	if (is_target(id >> 32))
		tell_signal(id >> 32, (u32)id, (u32)ctx[0], ctx[1], false);
	return 0;
}

/*
 * What its receiver ignores is thrown away where it is sent; and what ends the receiver comes to its threads as SIGKILL
 * (complete_signal()), so that it has its own name here only.
 */
SEC("tp_btf/signal_generate")
int on_signal_sent(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[2];
	u32 number = (u32)ctx[0], result = (u32)ctx[4];
	struct signal_struct *signal;
	bool ends;

	if (!is_target(task->tgid))
		return 0;
	signal = task->signal;
	ends = result == SIGNAL_DELIVERED && number != SIGKILL && signal->flags & SIGNAL_GROUP_EXIT &&
	       (u32)signal->group_exit_code == number;
	if (ends || (cfg_lines && result == SIGNAL_IGNORED))
		tell_signal(task->tgid, task->pid, number, ctx[1], !ends);
	return 0;
}

/* Attached before on_exit, which takes the last thread's process off the targets. */
SEC("tp_btf/sched_process_exit")
int on_thread_exit(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct plan_entry *plan;
	struct inflight *in;
	struct ev_exit *e;

	if (!cfg_lines)
		return 0;
	in = bpf_task_storage_get(&inflight, bpf_get_current_task_btf(), 0, 0);
	/* Another of the last threads may have taken the process off already: then what is kept of this one tells. */
	if (!in && !is_target(task->tgid))
		return 0;
	if (in && in->entered) {
		plan = bpf_map_lookup_elem(&syscall_plan, &in->nr);
		/* It never comes back from the call that it is in. */
		if (plan && !(plan->flags & CALL_NORETURN) && plan->mode != MODE_OFF)
			emit_syscall(task, in, plan, -1, PHASE_NEVER_RETURNS);
	}
	e = RESERVE(struct ev_exit, KIND_THREAD_EXIT);
	if (!e)
		return 0;
	set_task(&e->h);
	e->code = task->exit_code;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
