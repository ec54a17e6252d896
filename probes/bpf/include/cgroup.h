/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where a task is among the control groups: from there its container is told, also once it has ended. */
#ifndef TRACENET_CGROUP_H
#define TRACENET_CGROUP_H

#define CGROUP_NAME_MAX 96
#define CGROUP_LEVELS 8

static __always_inline struct kernfs_node *parent_of(const struct kernfs_node *node)
{
	const struct kernfs_node___before_6_15 *old = (const void *)node;

	if (bpf_core_field_exists(old->parent))
		return BPF_CORE_READ(old, parent);
	return BPF_CORE_READ(node, __parent);
}

/* Its node in the hierarchy of a controller of version 1. */
static __always_inline struct kernfs_node *node_of(const struct css_set *set, u64 controller)
{
	const void *css = (const void *)set + bpf_core_field_offset(struct css_set, subsys) + controller * sizeof(void *);
	struct cgroup_subsys_state *of = 0;

	bpf_probe_read_kernel(&of, sizeof(of), css);
	return BPF_CORE_READ(of, cgroup, kn);
}

/*
 * The names from the task's group upwards, with '/' between them, as many as fit into CGROUP_MAX bytes; the root has
 * none. Version 2 where the task is in a group of it, else the memory's or the number of processes'.
 */
static __noinline int cgroup_names(const struct task_struct *task, char *to)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *node = BPF_CORE_READ(set, dfl_cgrp, kn), *parent;
	u32 at = 0;
	long n;

	if (!parent_of(node) && bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		node = node_of(set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
	if (!parent_of(node) && bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		node = node_of(set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
	for (int i = 0; i < CGROUP_LEVELS; i++) {
		parent = parent_of(node);
		if (!parent || at > CGROUP_MAX - CGROUP_NAME_MAX)
			break;
		n = bpf_probe_read_kernel_str(to + at, CGROUP_NAME_MAX, BPF_CORE_READ(node, name));
		if (n <= 0)
			break;
		at += n;
		to[(at - 1) & (CGROUP_MAX - 1)] = '/';
		node = parent;
	}
	to[at ? (at - 1) & (CGROUP_MAX - 1) : 0] = 0;
	return 0;
}

#endif
