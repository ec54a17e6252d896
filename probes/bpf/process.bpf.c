/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Processes: targets are followed from fork to exit. */

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0], *child = (struct task_struct *)ctx[1];
	struct ev_process *e;

	if (!is_target(parent->tgid))
		return 0;
	/* Threads share their process's tgid and are targets already. They wait for a CPU from here on. */
	if (parent->tgid == child->tgid) {
		struct inflight *in = bpf_task_storage_get(&inflight, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

		if (in)
			in->slept = in->woken = bpf_ktime_get_ns();
		return 0;
	}
	/* The child has not run yet: none of its syscalls is missed. */
	if (cfg_follow)
		add_target(child->tgid, true);
	e = RESERVE(struct ev_process, KIND_FORK);
	if (!e)
		return 0;
	set_task(&e->h);
	process_of(&e->process, child);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx[2];
	struct target *target;
	struct inflight *in;
	struct ev_exec *e;
	u32 tgid;

	if (!is_target(task->tgid))
		return 0;
	tgid = task->tgid;
	target = bpf_map_lookup_elem(&targets, &tgid);
	if (target)
		target->held = 0;
	/* By the time execve returns, the caller's memory is gone. */
	in = bpf_task_storage_get(&inflight, bpf_get_current_task_btf(), 0, 0);
	if (in) {
		long n = bpf_probe_read_kernel_str(in->exec_name, sizeof(in->exec_name), bprm->filename);

		in->exec_len = n > 0 ? n - 1 : 0;
	}
	e = RESERVE(struct ev_exec, KIND_EXEC);
	if (!e)
		return 0;
	set_task(&e->h);
	bpf_probe_read_kernel(e->comm, sizeof(e->comm), task->comm);
	bpf_probe_read_kernel_str(e->filename, sizeof(e->filename), bprm->filename);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int on_exit(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct signal_struct *signal = task->signal;
	u32 tgid = task->tgid, code;
	struct ev_exit *e;

	/* do_exit() took this thread off the count before. */
	if (!is_target(tgid) || signal->live.counter != 0)
		return 0;
	/* Two last threads may both see zero: whoever deletes the entry tells. */
	if (bpf_map_delete_elem(&targets, &tgid))
		return 0;
	cost_gone(task);
	e = RESERVE(struct ev_exit, KIND_EXIT);
	if (!e)
		return 0;
	set_task(&e->h);
	code = signal->group_exit_code;
	e->code = code ? code : task->exit_code;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
