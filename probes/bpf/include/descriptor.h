/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a descriptor of the current task is, for the syscall view's -y: only fault-safe reads, nothing is trusted. */
#ifndef TRACENET_DESCRIPTOR_H
#define TRACENET_DESCRIPTOR_H

#define PATH_DEPTH 48
#define NAME_SIZE 256 /* NAME_MAX and a NUL */
#define PIDFD_MAGIC 0x50494446 /* PID_FS_MAGIC */
#define FDS_MAX 32

struct path_walk {
	struct dentry *dentry, *root;
	struct mount *mount;
	u32 at, used;
	u32 whole;
};

static long name_of_path(u32 i, struct path_walk *walk)
{
	struct dentry *dentry = walk->dentry, *parent = BPF_CORE_READ(dentry, d_parent);
	struct scratch *s = scratch();
	u32 at = walk->at + walk->used;
	const unsigned char *name;
	long n;

	if (dentry == walk->root) {
		struct mount *mount = walk->mount, *above = BPF_CORE_READ(mount, mnt_parent);

		walk->whole = above == mount;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = above;
		walk->root = BPF_CORE_READ(above, mnt.mnt_root);
		return walk->whole;
	}
	walk->whole = dentry == parent && i > 0;
	if (walk->whole || !s || at > SCRATCH_DATA + STRING_MAX)
		return 1;
	name = BPF_CORE_READ(dentry, d_name.name);
	n = bpf_probe_read_kernel_str(s->data + at, NAME_SIZE, name);
	if (n <= 0 || n > NAME_SIZE)
		return 1;
	walk->used += n;
	walk->whole = dentry == parent;
	walk->dentry = parent;
	return walk->whole;
}

/* The names from a dentry up to the root, through mount points. Returns the bytes written at 'at'. */
static __always_inline u32 path_names(u32 at, struct path *path, u8 *flags)
{
	struct path_walk walk = {
		.dentry = path->dentry,
		.root = BPF_CORE_READ(path->mnt, mnt_root),
		.mount = (void *)path->mnt - bpf_core_field_offset(struct mount, mnt),
		.at = at,
	};

	bpf_loop(PATH_DEPTH, name_of_path, &walk, 0);
	if (!walk.whole)
		*flags |= FD_CUT;
	return walk.used;
}

/* Addresses and ends of a socket. Returns the bytes written at 'at'. */
static __always_inline u32 socket_info(struct scratch *s, u32 at, struct fd_info *d, struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);

	if (!sk)
		return 0;
	d->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	d->protocol = BPF_CORE_READ(sk, sk_protocol);
	d->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (d->family == AF_INET || d->family == AF_INET6) {
		d->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
		d->rport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
		/* A reset takes the port away from a connection, and leaves it the number. */
		if (!d->lport && d->rport)
			d->lport = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
		if (d->family == AF_INET) {
			u32 local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
			u32 remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);

			__builtin_memcpy(d->local, &local, 4);
			__builtin_memcpy(d->remote, &remote, 4);
		} else {
			bpf_probe_read_kernel(d->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
			bpf_probe_read_kernel(d->remote, 16, &sk->__sk_common.skc_v6_daddr);
		}
	} else if (d->family == AF_UNIX) {
		struct unix_sock *u = (struct unix_sock *)sk;
		struct sock *peer = BPF_CORE_READ(u, peer);
		struct unix_address *addr = BPF_CORE_READ(u, addr);
		struct socket *end = peer ? BPF_CORE_READ(peer, sk_socket) : 0;
		u32 len = addr ? BPF_CORE_READ(addr, len) : 0;

		if (end)
			d->peer = BPF_CORE_READ((struct socket_alloc *)end, vfs_inode.i_ino);
		if (len > 2 && len <= 110 &&
		    !bpf_probe_read_kernel(s->data + at, len - 2, (u8 *)addr->name + sizeof(u16)))
			return len - 2;
	} else if (d->family == AF_NETLINK) {
		d->peer = BPF_CORE_READ((struct netlink_sock *)sk, portid);
	}
	return 0;
}

/* Appends a struct fd_info and its names; returns the new end. tag: arg | kind << 8. Nothing for what isn't open. */
__noinline u32 capture_fd(u32 off, u32 tag, s32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct scratch *s = scratch();
	struct file *file = 0;
	struct path path = {};
	struct fd_info *d;
	struct inode *inode;
	u32 used, at;
	u8 flags = 0;

	if (!s || off > SCRATCH_DATA)
		return off;
	if (fd == AT_FDCWD) {
		bpf_probe_read_kernel(&path, sizeof(path), &task->fs->pwd);
	} else {
		struct fdtable *fdt = task->files->fdt;
		struct file **table;

		if (fd < 0 || (u32)fd >= fdt->max_fds)
			return off;
		table = fdt->fd;
		if (bpf_probe_read_kernel(&file, sizeof(file), table + fd) || !file)
			return off;
		bpf_probe_read_kernel(&path, sizeof(path), &file->f_path);
	}
	if (!path.dentry || !path.mnt)
		return off;
	at = off + sizeof(struct capture_header) + sizeof(*d);
	d = (void *)(s->data + off + sizeof(struct capture_header));
	__builtin_memset(d, 0, sizeof(*d));
	d->fd = fd;
	used = path_names(at, &path, &flags);
	if (used > STRING_MAX)
		return off;
	if (!BPF_CORE_READ(path.dentry, d_hash.pprev) && BPF_CORE_READ(path.dentry, d_parent) != path.dentry)
		flags |= FD_DELETED;
	if (file) {
		inode = BPF_CORE_READ(file, f_inode);
		d->magic = BPF_CORE_READ(inode, i_sb, s_magic);
		d->ino = BPF_CORE_READ(inode, i_ino);
		d->mode = BPF_CORE_READ(inode, i_mode);
		d->rdev = BPF_CORE_READ(inode, i_rdev);
		if ((d->mode & S_IFMT) == S_IFSOCK)
			used += socket_info(s, at + used, d, file);
		else if (d->magic == PIDFD_MAGIC) {
			struct pid *pid = BPF_CORE_READ(inode, i_private);

			d->peer = BPF_CORE_READ(pid, numbers[0].nr);
		}
	}
	d->flags = flags;
	used += sizeof(*d);
	put_header(s->data + off, tag, tag >> 8, used, used);
	return off + sizeof(struct capture_header) + used;
}

/* The descriptors of an array of 'count' structs that begin with one, 'stride' bytes each. */
__noinline u32 capture_fd_array(u32 off, u32 tag, u64 addr, u32 stride, u32 count)
{
	for (u32 i = 0; i < FDS_MAX; i++) {
		s32 fd;

		if (i >= count || bpf_probe_read_user(&fd, sizeof(fd), (void *)(addr + i * stride)))
			break;
		off = capture_fd(off, tag, fd);
	}
	return off;
}

struct fd_set_walk {
	u64 addr;
	u32 off, tag;
};

static long fd_of_set(u32 fd, struct fd_set_walk *walk)
{
	u8 bits;

	if (bpf_probe_read_user(&bits, sizeof(bits), (void *)(walk->addr + fd / 8)))
		return 1;
	if (bits >> fd % 8 & 1)
		walk->off = capture_fd(walk->off, walk->tag, fd);
	return 0;
}

/* The descriptors in a set, of which the first 1024 are looked at. */
__noinline u32 capture_fd_set(u32 off, u32 tag, u64 addr, u32 nfds)
{
	struct fd_set_walk walk = { .addr = addr, .off = off, .tag = tag };

	bpf_loop(nfds < 1024 ? nfds : 1024, fd_of_set, &walk, 0);
	return walk.off;
}

#endif
