/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reads what the arguments of a syscall point at, as the plan says. The kinds are explained at core::syscall::plan. */
#ifndef TRACENET_CAPTURE_H
#define TRACENET_CAPTURE_H

#define IOVECS_MAX 64
#define STRINGS_MAX 200
#define COUNT_MAX 1024
#define MESSAGES_MAX 8
#define NAME_MAX_BYTES 128
#define CONTROL_MAX 1024
#define STRUCT_MAX 4096

/* From the stack pointer at the entry of rt_sigreturn to uc_sigmask. */
#if defined(__TARGET_ARCH_x86)
#define SIGFRAME_MASK 296
#else
#define SIGFRAME_MASK 168
#endif

#define CLAMP32(n) ((n) > 0x7fffffff ? 0x7fffffff : (u32)(n))

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
	} else {
		full = 1;
	}
	put_header(s->data + off, tag, tag >> 8, len, full);
	return off + sizeof(struct capture_header) + len;
}

/* A directory's entries, up to the whole buffer of libc. */
__noinline u32 capture_dirents(u32 off, u32 tag, u64 addr, u32 full)
{
	struct scratch *s = scratch();
	u32 len = full;

	if (!s || off > DIRENTS_START)
		return off;
	if (len > DIRENTS_MAX)
		len = DIRENTS_MAX;
	if (bpf_probe_read_user(s->data + off + sizeof(struct capture_header), len, (void *)addr))
		len = 0;
	put_header(s->data + off, tag, tag >> 8, len, full);
	return off + sizeof(struct capture_header) + len;
}

struct strings_walk {
	u64 array;
	u32 start; /* where the strings begin */
	u32 used, count, limit;
};

static long string_of_array(u32 i, struct strings_walk *walk)
{
	struct scratch *s = scratch();
	u32 at = walk->start + walk->used;
	u16 mark = 0xffff;
	u64 p = 0;
	long n;

	if (!s)
		return 1;
	if (bpf_probe_read_user(&p, sizeof(p), (void *)(walk->array + i * 8))) {
		s->unreadable = 1;
		return 1;
	}
	if (!p)
		return 1;
	walk->count++;
	if (at > SCRATCH_DATA || walk->limit > STRING_MAX - 2 || i == STRINGS_MAX - 1)
		return 1;
	/* Room for the NUL and for one byte more, which tells that there are more. */
	n = bpf_probe_read_user_str(s->data + at + 2, walk->limit + 2, (void *)p);
	if (n > 0 && n <= STRING_MAX) {
		mark = n - 1;
		if (mark > walk->limit)
			mark = walk->limit | 0x8000;
		walk->used += mark & 0x7fff;
	} else {
		s->unreadable = 1;
	}
	__builtin_memcpy(s->data + at, &mark, sizeof(mark));
	walk->used += 2;
	return 0;
}

/*
 * The strings of an array that ends with NULL, each as { u16 length; bytes }, with the highest bit of the length set
 * where the string is longer than the limit, and 0xffff for one that is not in memory. full_len: their number, one more
 * than were read where there are more.
 */
__noinline u32 capture_strings(u32 off, u32 tag, u64 array)
{
	struct strings_walk walk = { .array = array, .limit = cfg_string_limit };
	struct scratch *s = scratch();

	if (!s || off > SCRATCH_DATA - STRING_MAX)
		return off;
	walk.start = off + sizeof(struct capture_header);
	bpf_loop(STRINGS_MAX, string_of_array, &walk, 0);
	put_header(s->data + off, tag, tag >> 8, walk.used, walk.count);
	return walk.start + walk.used;
}

struct count_walk {
	u64 array;
	u32 count;
};

static long pointer_of_array(u32 i, struct count_walk *walk)
{
	u64 p = 0;

	if (bpf_probe_read_user(&p, sizeof(p), (void *)(walk->array + i * 8)) || !p)
		return 1;
	walk->count++;
	return 0;
}

/* How many pointers an array has before its NULL: full_len. */
__noinline u32 capture_count(u32 off, u32 tag, u64 array)
{
	struct count_walk walk = { .array = array };
	struct scratch *s = scratch();

	if (!s || off > SCRATCH_DATA)
		return off;
	bpf_loop(COUNT_MAX, pointer_of_array, &walk, 0);
	put_header(s->data + off, tag, tag >> 8, 0, walk.count);
	return off + sizeof(struct capture_header);
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

/* An array of iovecs, and the beginning of what each of them names. moved: bytes that are there, over all of them. */
__noinline u32 capture_iovecs(u32 off, u32 arg, u64 iov, u32 count, u64 moved)
{
	u32 n = count < IOVECS_MAX ? count : IOVECS_MAX, limit;
	struct scratch *s = scratch();

	if (!s)
		return off;
	limit = s->limit;
	off = capture_bytes(off, arg | CAPTURE_IOVEC << 8, iov, CLAMP32((u64)count * sizeof(struct user_iovec)),
			    n * sizeof(struct user_iovec));
	for (u32 i = 0; i < IOVECS_MAX; i++) {
		struct user_iovec v;
		u64 len;

		if (i >= n || !moved)
			break;
		if (bpf_probe_read_user(&v, sizeof(v), (void *)(iov + i * sizeof(v))))
			break;
		len = v.len < moved ? v.len : moved;
		off = capture_bytes(off, arg | CAPTURE_IOV_DATA << 8, v.base, CLAMP32(len), limit);
		moved -= len;
	}
	return off;
}

struct user_cmsghdr {
	u64 len;
	u32 level, type;
};

/* The descriptors that a message begins to pass on: SCM_RIGHTS. */
__noinline u32 capture_rights(u32 off, u32 tag, u64 control)
{
	struct user_cmsghdr h;

	if (bpf_probe_read_user(&h, sizeof(h), (void *)control))
		return off;
	if (h.level != SOL_SOCKET || h.type != SCM_RIGHTS || h.len < sizeof(h))
		return off;
	return capture_fd_array(off, tag, control + sizeof(h), 4, CLAMP32((h.len - sizeof(h)) / 4));
}

/* A struct user_msghdr of 'size' bytes with what follows it. moved: as above. */
__noinline u32 capture_message(u32 off, u32 tag, u64 addr, u32 size, u64 moved)
{
	u32 arg = tag & 0xff;
	struct user_msghdr m;

	off = capture_bytes(off, tag, addr, size, size);
	if (!addr || bpf_probe_read_user(&m, sizeof(m), (void *)addr))
		return off;
	if (m.name && m.namelen)
		off = capture_bytes(off, arg | CAPTURE_MSG_NAME << 8, m.name, m.namelen, NAME_MAX_BYTES);
	off = capture_iovecs(off, arg, m.iov, CLAMP32(m.iovlen), moved);
	if (m.control && m.controllen) {
		off = capture_bytes(off, arg | CAPTURE_CONTROL << 8, m.control, CLAMP32(m.controllen), CONTROL_MAX);
		if (cfg_describe_fds)
			off = capture_rights(off, arg | CAPTURE_FD_POLL << 8, m.control);
	}
	return off;
}

/* struct mmsghdr[count]. sent: the data is the caller's, not only as much of it as was moved. */
__noinline u32 capture_messages(u32 off, u32 tag, u64 addr, u32 count, u32 sent)
{
	const u32 size = sizeof(struct user_msghdr) + 8;

	for (u32 i = 0; i < MESSAGES_MAX; i++) {
		u64 at = addr + i * size;

		if (i >= count)
			break;
		off = capture_message(off, tag | i << 3, at, size, sent ? ~0ULL : user_u32(at + sizeof(struct user_msghdr)));
	}
	return off;
}

/* { void *p; size_t len }, followed by the bytes at p. */
__noinline u32 capture_pair(u32 off, u32 tag, u64 addr)
{
	struct scratch *s = scratch();
	u64 pair[2];
	u32 len;

	if (!s || off > SCRATCH_DATA || bpf_probe_read_user(pair, sizeof(pair), (void *)addr))
		return off;
	len = pair[0] && pair[1] < STRUCT_MAX ? (u32)pair[1] : 0;
	__builtin_memcpy(s->data + off + sizeof(struct capture_header), pair, sizeof(pair));
	if (len > STRUCT_MAX)
		return off;
	if (bpf_probe_read_user(s->data + off + sizeof(struct capture_header) + sizeof(pair), len, (void *)pair[0]))
		len = 0;
	len += sizeof(pair);
	put_header(s->data + off, tag, tag >> 8, len, len);
	return off + sizeof(struct capture_header) + len;
}

/* What an ioctl's argument points at, if it is a pointer: its size is known to few, so ever less is tried. */
__noinline u32 capture_ioctl(u32 off, u32 tag, u64 addr)
{
	struct scratch *s = scratch();
	u32 len = 64;

	if (!s || off > SCRATCH_DATA || addr < 4096)
		return off;
	if (bpf_probe_read_user(s->data + off + sizeof(struct capture_header), 64, (void *)addr)) {
		len = 8;
		if (bpf_probe_read_user(s->data + off + sizeof(struct capture_header), 8, (void *)addr)) {
			len = 4;
			if (bpf_probe_read_user(s->data + off + sizeof(struct capture_header), 4, (void *)addr))
				len = 0;
		}
	}
	put_header(s->data + off, tag, tag >> 8, len, len ? len : 64);
	return off + sizeof(struct capture_header) + len;
}

/* The strings of a program that was just executed, as the kernel laid them out: NUL-separated. */
static __always_inline u32 capture_new_image(u32 off, u32 tag, bool environ)
{
	struct mm_struct *mm = bpf_get_current_task_btf()->mm;
	u64 start, end;

	if (!mm)
		return off;
	start = environ ? mm->env_start : mm->arg_start;
	end = environ ? mm->env_end : mm->arg_end;
	return capture_bytes(off, tag, start, CLAMP32(end - start), STRING_MAX);
}

/* One capture of the plan, for the call whose arguments are in the scratch record. spec: struct capture_spec. */
__noinline u32 capture(u32 off, u32 spec, s64 ret, u32 call)
{
	u32 arg = spec & 0xff, kind = spec >> 8 & 0x7f, operand = spec >> 16, tag = spec & 0xffff, n;
	u64 moved = ret > 0 ? ret : 0, addr, len;
	struct scratch *s = scratch();

	if (!s)
		return off;
	addr = arg_of(s->e.args, arg);
	len = arg_of(s->e.args, operand & 0xff);
	n = operand >> 8;
	switch (kind) {
	case CAPTURE_FD:
		return capture_fd(off, tag, (s32)addr);
	case CAPTURE_FD_RET:
		return ret >= 0 ? capture_fd(off, tag, (s32)ret) : off;
	case CAPTURE_CSTRING:
		if ((call & CALL_EXEC) && ret >= 0 && !(tag & CAPTURE_AT_ENTRY << 8))
			return off;
		return addr ? capture_string(off, tag, addr) : off;
	case CAPTURE_BUFFER_BY_ARG:
		return capture_bytes(off, tag, addr, CLAMP32(len), s->limit);
	case CAPTURE_BUFFER_BY_RET:
		return moved ? capture_bytes(off, tag, addr, CLAMP32(moved), s->limit) : off;
	case CAPTURE_SOCKADDR:
		return addr ? capture_bytes(off, tag, addr, CLAMP32(len), NAME_MAX_BYTES) : off;
	case CAPTURE_SOCKADDR_BY_PTR:
		return addr && len && ret >= 0 ? capture_bytes(off, tag, addr, user_u32(len), NAME_MAX_BYTES) : off;
	case CAPTURE_IOVEC:
		return capture_iovecs(off, arg, addr, CLAMP32(len), n ? ~0ULL : moved);
	case CAPTURE_MSGHDR:
		return capture_message(off, tag, addr, sizeof(struct user_msghdr), n ? ~0ULL : moved);
	case CAPTURE_MMSGHDRS:
		return capture_messages(off, tag, addr, n ? CLAMP32(len) : CLAMP32(moved), n);
	case CAPTURE_POLLFDS:
		n = len < 4096 ? (u32)len * 8 : 4096 * 8;
		return capture_bytes(off, tag, addr, n, STRUCT_MAX);
	case CAPTURE_FD_POLL:
		return capture_fd_array(off, tag, addr, 8, CLAMP32(len));
	case CAPTURE_FD_PAIR:
		return ret >= 0 ? capture_fd_array(off, tag, addr, 4, 2) : off;
	case CAPTURE_FD_SET:
		return addr ? capture_fd_set(off, tag, addr, CLAMP32(len)) : off;
	case CAPTURE_EPOLL_EVENTS:
		n = moved < 4096 ? (u32)moved : 4096;
#if defined(__TARGET_ARCH_x86)
		n *= 12; /* packed there */
#else
		n *= 16;
#endif
		return n ? capture_bytes(off, tag, addr, n, STRUCT_MAX) : off;
	case CAPTURE_FIXED:
		return addr ? capture_bytes(off, tag, addr, operand, operand) : off;
	case CAPTURE_STRUCT_BY_ARG:
		return addr ? capture_bytes(off, tag, addr, CLAMP32(len * (n ? n : 1)), STRUCT_MAX) : off;
	case CAPTURE_STRUCT_BY_RET:
		return addr && moved ? capture_bytes(off, tag, addr, CLAMP32(moved * operand), STRUCT_MAX) : off;
	case CAPTURE_STRUCT_BY_PTR:
		return addr && len && ret >= 0 ? capture_bytes(off, tag, addr, user_u32(len), STRUCT_MAX) : off;
	case CAPTURE_DIRENTS:
		return moved ? capture_dirents(off, tag, addr, CLAMP32(moved)) : off;
	case CAPTURE_PAIR:
		return addr ? capture_pair(off, tag, addr) : off;
	case CAPTURE_IOCTL:
		return capture_ioctl(off, tag, addr);
	case CAPTURE_STRINGS:
		return addr ? capture_strings(off, tag, addr) : off;
	case CAPTURE_COUNT:
		return addr ? capture_count(off, tag, addr) : off;
	case CAPTURE_SIGFRAME:
		return capture_bytes(off, tag, addr + SIGFRAME_MASK, 8, 8);
	case CAPTURE_EXEC_ARGV:
		return ret >= 0 ? capture_new_image(off, tag, false) : off;
	case CAPTURE_EXEC_ENVIRON:
		return ret >= 0 ? capture_new_image(off, tag, true) : off;
	}
	return off;
}

#endif
