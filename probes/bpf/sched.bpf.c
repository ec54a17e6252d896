/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How long a target's threads slept, and how long they waited for a CPU. The stamps are in 'inflight', which a thread has
 * since its first syscall under observation: nothing is allocated in the scheduler. */

/* A thread that was pushed aside while it could run is worth a word from here on. */
#define PREEMPTED_NS 100000

SEC("tp_btf/sched_wakeup")
int on_wakeup(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct inflight *in;
	u64 began;

	if (!hinted(task->tgid))
		return 0;
	began = cost_begin(COST_WAKEUP, task->tgid);
	in = bpf_task_storage_get(&inflight, task, 0, 0);
	if (in && in->slept && !in->woken)
		in->woken = bpf_ktime_get_ns();
	cost_end(COST_WAKEUP, began);
	return 0;
}

static __always_inline void ran(struct task_struct *task)
{
	struct inflight *in = bpf_task_storage_get(&inflight, task, 0, 0);
	struct ev_scheduled *e;
	u64 now, slept, woken;

	if (!in || !in->slept)
		return;
	slept = in->slept;
	woken = in->woken;
	in->slept = 0;
	in->woken = 0;
	now = bpf_ktime_get_ns();
	if (woken == slept && now - slept < PREEMPTED_NS)
		return;
	e = RESERVE(struct ev_scheduled, KIND_SCHEDULED);
	if (!e)
		return;
	e->h.tgid = task->tgid;
	e->h.tid = task->pid;
	e->slept = slept;
	/* Its wake-up was not seen: then it is taken for one that waited for nothing. */
	e->woken = woken ? woken : e->h.t;
	bpf_ringbuf_submit(e, 0);
}

/* The current task, 'task', goes to sleep: the call that it does so in is told of, once. */
static __always_inline void sleeps(const struct task_struct *task, struct inflight *in)
{
	struct plan_entry *plan;

	if (!in->entered || in->sleeps || in->entered < calls_seen_since())
		return;
	plan = bpf_map_lookup_elem(&syscall_plan, &in->nr);
	if (!plan || plan->flags & CALL_NORETURN ||
	    !(plan->mode == MODE_ALL || (plan->mode == MODE_SOCKETS && in->is_socket)))
		return;
	in->sleeps = 1;
	emit_syscall(task, in, plan, -1, PHASE_SLEEPS);
}

static __always_inline void leaves(u64 *ctx, struct task_struct *prev)
{
	struct inflight *in = bpf_task_storage_get(&inflight, prev, 0, 0);

	if (!in)
		return;
	in->slept = bpf_ktime_get_ns();
	/* Still able to run, or pushed aside on its way to sleep: it waits for the CPU from here on. */
	in->woken = ctx[0] || !(u32)ctx[3] ? in->slept : 0;
	if (cfg_lines && !in->woken)
		sleeps(prev, in);
}

SEC("tp_btf/sched_switch")
int on_switch(u64 *ctx)
{
	struct task_struct *prev = (struct task_struct *)ctx[1], *next = (struct task_struct *)ctx[2];
	u64 began;

	if (!cfg_lines && hinted(next->tgid)) {
		began = cost_begin(COST_SWITCH, next->tgid);
		ran(next);
		cost_end(COST_SWITCH, began);
	}
	if (!hinted(prev->tgid))
		return 0;
	began = cost_begin(COST_SWITCH, prev->tgid);
	leaves(ctx, prev);
	cost_end(COST_SWITCH, began);
	return 0;
}
