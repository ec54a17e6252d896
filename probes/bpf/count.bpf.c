/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* strace -c: calls, errors and time are added up here, and no record is written. */

SEC("tp_btf/sys_enter")
int on_count_enter(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	struct task_struct *task = bpf_get_current_task_btf();
	u32 nr = (u32)ctx[1];
	struct plan_entry *plan;
	struct inflight *in;

	if (!hinted(task->tgid))
		return 0;
	plan = plan_of(nr);
	if (!plan || !plan->counted)
		return 0;
	in = target_thread(task, plan);
	if (!in)
		return 0;
	if (cfg_by_connection) {
		in->cookie = 0;
		in->sock = 0;
		SYSCALL_ARGS(regs, in->args);
		if (plan->fd_arg >= 0)
			look_up_fd(in, (int)arg_of(in->args, plan->fd_arg));
	}
	in->counting = nr + 1;
	in->counted_from = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void count_by_connection(struct inflight *in, u32 nr, u64 took, bool failed)
{
	struct connection_call key = { .nr = nr };
	struct connection_count zero = {}, *count;
	struct sock *sk = (struct sock *)in->sock;

	/* The call itself may have been what gave the socket its cookie. */
	key.cookie = in->cookie;
	if (!key.cookie && sk)
		key.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (!key.cookie)
		return;
	count = bpf_map_lookup_elem(&connection_counts, &key);
	if (!count) {
		if (bpf_map_update_elem(&connection_counts, &key, &zero, BPF_NOEXIST) == -E2BIG)
			count_lost(KIND_COUNTED);
		count = bpf_map_lookup_elem(&connection_counts, &key);
		if (!count)
			return;
	}
	__sync_fetch_and_add(&count->calls, 1);
	__sync_fetch_and_add(&count->ns, took);
	if (failed)
		__sync_fetch_and_add(&count->errors, 1);
}

SEC("tp_btf/sys_exit")
int on_count_exit(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	s64 ret = (s64)ctx[1];
	struct call_count *count;
	struct inflight *in;
	bool failed;
	u64 took;
	u32 nr, bucket;

	if (!hinted(task->tgid))
		return 0;
	in = bpf_task_storage_get(&inflight, task, 0, 0);
	if (!in || !in->counting)
		return 0;
	nr = in->counting - 1;
	in->counting = 0;
	count = bpf_map_lookup_elem(&call_counts, &nr);
	if (!count)
		return 0;
	took = bpf_ktime_get_ns() - in->counted_from;
	failed = ret < 0 && ret >= -4095;
	count->calls++;
	count->ns += took;
	count->errors += failed;
	bucket = bucket_of(took);
	if (bucket < COUNT_BUCKETS)
		count->buckets[bucket]++;
	if (cfg_by_connection)
		count_by_connection(in, nr, took, failed);
	return 0;
}
