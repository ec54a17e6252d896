/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One object: the kernel side of tracenet, by topic. */
#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "events.h"
#include "maps.h"

#include "common.h"
#include "governor.h"
#include "packet.h"
#include "sock.h"
#include "cgroup.h"
#include "account.h"
#include "listener.h"
#include "turn.h"

#include "process.bpf.c"
#include "syscall.bpf.c"
#include "count.bpf.c"
#include "sched.bpf.c"
#include "signal.bpf.c"
#include "socket.bpf.c"
#include "measured.bpf.c"
#include "retransmit.bpf.c"
#include "drop.bpf.c"
#include "filter.bpf.c"
#include "iter.bpf.c"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The wire structs are used through pointers only; this keeps them all in the object's BTF for the layout test. */
#define X(id, name, type) const struct type *layout_of_##name;
TRACENET_KINDS(X)
#undef X
const struct fd_info *layout_of_FD_INFO;
