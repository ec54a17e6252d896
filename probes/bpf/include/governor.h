/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the probes cost the targets, where that is to be held to a budget: runs in the context of a target (or on its
 * behalf) are counted, and one in sixteen is timed. Nothing of it is there otherwise: the verifier leaves it out.
 */
#ifndef TRACENET_GOVERNOR_H
#define TRACENET_GOVERNOR_H

/* A longer run was interrupted, or its CPU was given to somebody else meanwhile: it tells nothing of the others. */
#define COST_MOST_NS 20000

/* By enum cost_site. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COST_MAX);
	__type(key, u32);
	__type(value, struct cost);
} costs SEC(".maps");

/* What is left out: one entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct left_out);
} left_out SEC(".maps");

/* When this run began, if it is one that is timed. */
static __always_inline u64 cost_begin(u32 site, u32 tgid)
{
	struct cost *c;

	if (!cfg_governed || !hinted(tgid))
		return 0;
	c = bpf_map_lookup_elem(&costs, &site);
	if (!c || ++c->runs < c->next)
		return 0;
	return bpf_ktime_get_ns();
}

static __always_inline void cost_end(u32 site, u64 began)
{
	u64 now, took;
	struct cost *c;

	if (!cfg_governed || !began)
		return;
	now = bpf_ktime_get_ns();
	took = now - began;
	c = bpf_map_lookup_elem(&costs, &site);
	if (!c)
		return;
	/* At no fixed distance: calls come in patterns. */
	c->next = c->runs + 8 + (now & 15);
	if (took > COST_MOST_NS)
		return;
	c->timed++;
	c->ns += took;
}

static __always_inline u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* The CPU time of a process that has ended, which nobody can ask for any more. */
static __always_inline void cost_gone(struct task_struct *task)
{
	u32 site = COST_GONE;
	struct cost *c;

	if (!cfg_governed)
		return;
	c = bpf_map_lookup_elem(&costs, &site);
	if (c)
		c->ns += BPF_CORE_READ(task, signal, sum_sched_runtime) + BPF_CORE_READ(task, se.sum_exec_runtime);
}

/* Since when system calls are seen, as far as a thread's notes are concerned: what is older may be of another call. */
static __always_inline u64 calls_seen_since(void)
{
	struct left_out *out;
	u32 zero = 0;

	if (!cfg_governed)
		return 0;
	out = bpf_map_lookup_elem(&left_out, &zero);
	return out ? out->calls_since : 0;
}

/* Nobody is told of connections that come. */
static __always_inline bool leaves_out_connections(void)
{
	struct left_out *out;
	u32 zero = 0;

	if (!cfg_governed)
		return false;
	out = bpf_map_lookup_elem(&left_out, &zero);
	return out && out->connections;
}

#endif
