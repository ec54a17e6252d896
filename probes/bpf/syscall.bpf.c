/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Syscalls of targets: remembered at the entry, told at the exit, when the memory that they name is resident. */

#define NO_SYSCALL 0xffffffff
#define STRING_MAX 4096
#define SCRATCH_DATA 16384
#define IOVECS_MAX 8
#define ARGV_MAX 16
#define ARGV_BYTES 128

struct scratch {
	struct ev_syscall e;
	/* The slack lets a capture that starts at the last allowed offset end inside, as the verifier sees it. */
	u8 data[SCRATCH_DATA + 2 * STRING_MAX + 64];
};

/* Syscall tracepoints run with preemption off and are never nested: one buffer a CPU is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
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
	u32 zero = 0;

	return bpf_map_lookup_elem(&syscall_scratch, &zero);
}

static __always_inline void put_header(u8 *p, u8 arg, u8 kind, u16 len, u32 full_len)
{
	struct capture_header *h = (void *)p;

	h->arg = arg;
	h->kind = kind;
	h->len = len;
	h->full_len = full_len;
}

/* Appends min(full, limit) bytes at addr; returns the new end. tag: arg | kind << 8. Unreadable: no bytes. */
__noinline u32 capture_bytes(u32 off, u32 tag, u64 addr, u32 full, u32 limit)
{
	struct scratch *s = scratch();
	u32 len = full < limit ? full : limit;

	if (!s || off > SCRATCH_DATA)
		return off;
	if (len > STRING_MAX)
		len = STRING_MAX;
	if (!addr || bpf_probe_read_user(s->data + off + sizeof(struct capture_header), len, (void *)addr))
		len = 0;
	put_header(s->data + off, tag, tag >> 8, len, full);
	return off + sizeof(struct capture_header) + len;
}

/* full_len is the length without its NUL, or one more than what was read where the end is not in sight. */
__noinline u32 capture_string(u32 off, u32 tag, u64 addr)
{
	struct scratch *s = scratch();
	u32 len = 0, full = 0;
	long n;

	if (!s || off > SCRATCH_DATA)
		return off;
	n = bpf_probe_read_user_str(s->data + off + sizeof(struct capture_header), STRING_MAX, (void *)addr);
	if (n > 0 && n <= STRING_MAX) {
		len = n - 1;
		full = len == STRING_MAX - 1 ? STRING_MAX : len;
	}
	put_header(s->data + off, tag, tag >> 8, len, full);
	return off + sizeof(struct capture_header) + len;
}

struct user_iovec {
	u64 base;
	u64 len;
};

struct user_msghdr {
	u64 name;
	u32 namelen, pad;
	u64 iov, iovlen;
	u64 control, controllen;
	u32 flags, pad2;
};

/* The first bytes behind an array of iovecs, as one capture. wanted: bytes that the call moved. */
__noinline u32 capture_iov_data(u32 off, u32 arg, u64 iov, u32 count, u64 wanted)
{
	u32 limit = cfg_string_limit, got = 0;
	struct scratch *s = scratch();
	struct user_iovec v;

	if (!s || off > SCRATCH_DATA)
		return off;
	if (limit > STRING_MAX)
		limit = STRING_MAX;
	if (limit > wanted)
		limit = wanted;
	for (u32 i = 0; i < IOVECS_MAX; i++) {
		u32 n, room;

		if (i >= count || got >= limit || got >= STRING_MAX)
			break;
		if (bpf_probe_read_user(&v, sizeof(v), (void *)(iov + i * sizeof(v))))
			break;
		room = limit - got;
		n = v.len < room ? (u32)v.len : room;
		if (n > STRING_MAX)
			break;
		if (bpf_probe_read_user(s->data + off + got + sizeof(struct capture_header), n, (void *)v.base))
			break;
		got += n;
	}
	put_header(s->data + off, arg, CAPTURE_IOV_DATA, got, wanted > 0xffffffff ? 0xffffffff : (u32)wanted);
	return off + sizeof(struct capture_header) + got;
}

static __always_inline u32 capture_iovecs(u32 off, u32 arg, u64 iov, u64 count, u64 wanted)
{
	u32 n = count < IOVECS_MAX ? (u32)count : IOVECS_MAX;
	u32 full = count < 1024 ? (u32)count * sizeof(struct user_iovec) : 1024 * sizeof(struct user_iovec);

	off = capture_bytes(off, arg | CAPTURE_IOVEC << 8, iov, full, n * sizeof(struct user_iovec));
	return capture_iov_data(off, arg, iov, n, wanted);
}

/* char *argv[] of a call that failed: the caller's memory is still there. */
__noinline u32 capture_argv(u32 off, u32 arg, u64 argv)
{
	struct scratch *s = scratch();
	u32 got = 0;

	if (!s || off > SCRATCH_DATA)
		return off;
	for (u32 i = 0; i < ARGV_MAX; i++) {
		u64 p = 0;
		long n;

		if (bpf_probe_read_user(&p, sizeof(p), (void *)(argv + i * 8)) || !p)
			break;
		if (got > STRING_MAX)
			break;
		n = bpf_probe_read_user_str(s->data + off + got + sizeof(struct capture_header), ARGV_BYTES,
					    (void *)p);
		if (n <= 0 || n > ARGV_BYTES)
			break;
		got += n;
	}
	put_header(s->data + off, arg, CAPTURE_STRING_ARRAY, got, got);
	return off + sizeof(struct capture_header) + got;
}

static __always_inline u32 user_u32(u64 addr)
{
	u32 v = 0;

	bpf_probe_read_user(&v, sizeof(v), (void *)addr);
	return v;
}

static __always_inline u64 arg_of(const u64 *args, u32 i)
{
	/* Keeps the bound on the register that indexes, where the verifier looks for it. */
	barrier_var(i);
	return i < 6 ? args[i] : 0;
}

#define CLAMP32(n) ((n) > 0x7fffffff ? 0x7fffffff : (u32)(n))

/* One capture of the plan, for the call whose arguments are in the scratch record. spec: struct capture_spec. */
__noinline u32 capture(u32 off, u32 spec, s64 ret, u32 call)
{
	u32 arg = spec & 0xff, kind = spec >> 8 & 0xff, operand = spec >> 16, tag = spec & 0xffff, n;
	struct scratch *s = scratch();
	u64 moved = ret > 0 ? ret : 0, addr, len;
	struct user_msghdr m;

	if (!s || kind == CAPTURE_NONE)
		return off;
	addr = arg_of(s->e.args, arg);
	len = arg_of(s->e.args, operand);
	switch (kind) {
	case CAPTURE_CSTRING:
		if ((call & CALL_EXEC) && ret >= 0)
			return off;
		return capture_string(off, tag, addr);
	case CAPTURE_BUFFER_BY_ARG:
		return capture_bytes(off, tag, addr, CLAMP32(len), cfg_string_limit);
	case CAPTURE_BUFFER_BY_RET:
		return moved ? capture_bytes(off, tag, addr, CLAMP32(moved), cfg_string_limit) : off;
	case CAPTURE_SOCKADDR:
		return addr ? capture_bytes(off, tag, addr, CLAMP32(len), 128) : off;
	case CAPTURE_SOCKADDR_BY_PTR:
		return addr && len && ret >= 0 ? capture_bytes(off, tag, addr, user_u32(len), 128) : off;
	case CAPTURE_IOVEC:
		/* A writing call that failed names its data all the same; a reading one has none. */
		return capture_iovecs(off, arg, addr, len, moved);
	case CAPTURE_MSGHDR:
		off = capture_bytes(off, tag, addr, sizeof(m), sizeof(m));
		if (!addr || bpf_probe_read_user(&m, sizeof(m), (void *)addr))
			return off;
		if (m.name && m.namelen)
			off = capture_bytes(off, arg | CAPTURE_MSG_NAME << 8, m.name, m.namelen, 128);
		return capture_iovecs(off, arg, m.iov, m.iovlen, moved);
	case CAPTURE_POLLFDS:
		n = len < 4096 ? (u32)len * 8 : 4096 * 8;
		return capture_bytes(off, tag, addr, n, 32 * 8);
	case CAPTURE_EPOLL_EVENTS:
		n = moved < 4096 ? (u32)moved : 4096;
#if defined(__TARGET_ARCH_x86)
		n *= 12; /* packed there */
#else
		n *= 16;
#endif
		return n ? capture_bytes(off, tag, addr, n, 32 * 16) : off;
	case CAPTURE_FIXED:
		return addr ? capture_bytes(off, tag, addr, operand, operand) : off;
	case CAPTURE_FIXED_BY_PTR_LEN:
		return addr && len && ret >= 0 ? capture_bytes(off, tag, addr, user_u32(len), cfg_string_limit) : off;
	case CAPTURE_STRING_ARRAY:
		if (ret < 0)
			return capture_argv(off, arg, addr);
		struct mm_struct *mm = bpf_get_current_task_btf()->mm;

		if (!mm)
			return off;
		addr = mm->arg_start;
		return capture_bytes(off, tag, addr, CLAMP32(mm->arg_end - addr), STRING_MAX / 2);
	}
	return off;
}

/* The socket behind a descriptor of the current task, by fault-safe reads. Cookie 0: nobody asked for it yet. */
static __always_inline bool look_up_fd(struct inflight *in, int fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *fdt = task->files->fdt;
	struct file **table, *file = 0;
	u16 family, proto, mode;
	struct socket *socket;
	struct sock *sk;

	in->sock = 0;
	in->cookie = 0;
	in->is_socket = 0;
	if (fd < 0 || (u32)fd >= fdt->max_fds)
		return false;
	table = fdt->fd;
	if (bpf_probe_read_kernel(&file, sizeof(file), table + fd) || !file)
		return false;
	mode = BPF_CORE_READ(file, f_inode, i_mode);
	if ((mode & S_IFMT) != S_IFSOCK)
		return false;
	in->is_socket = 1;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk)
		return true;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	proto = BPF_CORE_READ(sk, sk_protocol);
	if ((family != AF_INET && family != AF_INET6) || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return true;
	in->sock = (u64)sk;
	in->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	return true;
}

static __always_inline u32 spec_word(const struct capture_spec *spec)
{
	return spec->arg | (u32)spec->kind << 8 | (u32)spec->len << 16;
}

static __always_inline void emit_syscall(struct inflight *in, const struct plan_entry *plan, s64 ret, u32 phase)
{
	u32 off = 0, len, kind = KIND_SYSCALL;
	struct scratch *s = scratch();

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
	off = capture(off, spec_word(&plan->captures[0]), ret, plan->flags);
	off = capture(off, spec_word(&plan->captures[1]), ret, plan->flags);
	off = capture(off, spec_word(&plan->captures[2]), ret, plan->flags);
	if (off > SCRATCH_DATA + 2 * STRING_MAX)
		return;
	/* What sleeps stands where it began, before what its thread says next. */
	s->e.h.t = phase == PHASE_SLEEPS ? in->entered : bpf_ktime_get_ns();
	s->e.h.kind = KIND_SYSCALL;
	set_task(&s->e.h);
	s->e.ret = ret;
	s->e.entered = in->entered;
	s->e.cookie = in->cookie;
	s->e.nr = in->nr;
	s->e.captures_len = off;
	s->e.phase = phase;
	len = sizeof(s->e) + off;
	if (bpf_ringbuf_output(&bulk, s, len, 0))
		count_lost(kind);
}

static __always_inline struct plan_entry *plan_of(u32 nr)
{
	return bpf_map_lookup_elem(&syscall_plan, &nr);
}

/* Everybody's syscalls pass here: one look at an array ends it for those who are no target. */
static __always_inline bool maybe_target(void)
{
	/* Newer verifiers inline this helper, which the one for the ids isn't. */
	u32 slot = (u32)bpf_get_current_task_btf()->tgid % HINT_SLOTS;
	u32 *hint = bpf_map_lookup_elem(&target_hints, &slot);

	return hint && *hint;
}

/* A 32-bit program's call numbers are another table's (TS_COMPAT of arch/x86/include/asm/thread_info.h). */
static __always_inline bool is_compat(void)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct *task = bpf_get_current_task_btf();

	if (bpf_core_field_exists(task->thread_info.status))
		return task->thread_info.status & 2;
#endif
	return false;
}

SEC("tp_btf/sys_enter")
int on_sys_enter(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	u32 nr = (u32)ctx[1], tgid;
	struct plan_entry *plan;
	struct target *target;
	struct inflight *in;

	if (!maybe_target())
		return 0;
	plan = plan_of(nr);
	if (!plan || (plan->mode == MODE_OFF && !plan->flags))
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	target = bpf_map_lookup_elem(&targets, &tgid);
	if (!target || (target->held && !(plan->flags & CALL_EXEC)) || is_compat())
		return 0;
	in = bpf_task_storage_get(&inflight, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!in)
		return 0;
	SYSCALL_ARGS(regs, in->args);
	in->sock = 0;
	in->cookie = 0;
	in->is_socket = 0;
	/* close's descriptor is gone at the exit. */
	if (plan->fd_arg >= 0)
		look_up_fd(in, (int)arg_of(in->args, plan->fd_arg));
	in->exec_len = 0;
	in->sleeps = 0;
	in->nr = nr;
	in->entered = bpf_ktime_get_ns();
	if ((plan->flags & CALL_NORETURN) && plan->mode != MODE_OFF)
		emit_syscall(in, plan, -1, PHASE_NEVER_RETURNS);
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

/* The thread was woken to end, by exit_group or SIGKILL: its program sees no result. */
static __always_inline bool cut_short(s64 ret)
{
	struct signal_struct *signal;
	u32 by;

	if (!cfg_lines || ret > -ERESTARTSYS || ret < -ERESTART_RESTARTBLOCK)
		return false;
	signal = bpf_get_current_task_btf()->signal;
	by = signal->group_exit_code & 0x7f;
	return signal->flags & SIGNAL_GROUP_EXIT && (by == 0 || by == SIGKILL);
}

SEC("tp_btf/sys_exit")
int on_sys_exit(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	s64 ret = (s64)ctx[1];
	struct plan_entry *plan;
	struct target *target;
	struct inflight *in;
	struct sock *sk;
	u32 tgid, nr;

	if (!maybe_target())
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	target = bpf_map_lookup_elem(&targets, &tgid);
	if (!target || is_compat())
		return 0;
	nr = SYSCALL_NR(regs);
	plan = plan_of(nr);
	if (!plan || (plan->mode == MODE_OFF && !plan->flags) || (target->held && !(plan->flags & CALL_EXEC)))
		return 0;
	in = bpf_task_storage_get(&inflight, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!in)
		return 0;
	if (in->nr != nr || !in->entered) {
		/* A new task's return from fork has no entry of its own. */
		if (plan->flags & (CALL_FORK | CALL_EXEC))
			return 0;
		/* It was in this call when it became a target: since then at least. */
		SYSCALL_ARGS(regs, in->args);
		in->entered = target->since_ns;
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
		emit_syscall(in, plan, ret, cut_short(ret) ? PHASE_NEVER_RETURNS : PHASE_RETURNED);
	in->nr = NO_SYSCALL;
	in->entered = 0;
	in->sock = 0;
	return 0;
}
