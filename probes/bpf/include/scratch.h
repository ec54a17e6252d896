/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where a syscall's record is put together before it is copied into the ring. */
#ifndef TRACENET_SCRATCH_H
#define TRACENET_SCRATCH_H

#define STRING_MAX 4096
/* No capture but of directories begins behind this. */
#define SCRATCH_DATA 32768
#define DIRENTS_MAX 32768
#define DIRENTS_START 4096

struct scratch {
	struct ev_syscall e;
	/* The slack lets a capture that starts at the last allowed offset end inside, as the verifier sees it. */
	u8 data[SCRATCH_DATA + 2 * STRING_MAX + 64];
	u32 limit; /* bytes of a buffer that are recorded */
	u32 unreadable; /* a string of capture_strings() was not in memory */
};

/*
 * Syscall tracepoints run with preemption off and are never nested: one buffer a CPU is enough. An array by CPU and not
 * a per-CPU array, whose values end at 32 KiB; user space sets its size.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} syscall_scratch SEC(".maps");

struct capture_header {
	u8 arg;
	u8 kind;
	u16 len;
	u32 full_len;
} __attribute__((packed));

static __always_inline struct scratch *scratch(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&syscall_scratch, &cpu);
}

static __always_inline void put_header(u8 *p, u8 arg, u8 kind, u16 len, u32 full_len)
{
	struct capture_header *h = (void *)p;

	h->arg = arg;
	h->kind = kind;
	h->len = len;
	h->full_len = full_len;
}

#endif
