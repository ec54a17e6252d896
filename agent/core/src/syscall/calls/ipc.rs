//! System V's shared memory, semaphores and queues, and memory policies.

use std::fmt::Write;

use crate::syscall::call::Call;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Flags, Int, OneOf, Ptr, Size, With};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::text::{self, Names, u32_at, u64_at};

const KEY: Arg = With(key);

pub(super) const CALLS: &[Shape] = &[
    call("shmget", &[KEY, Size, With(|c, i| get_flags(c, i, GET_SHM))]),
    call("shmat", &[Int, Ptr, Flags(SHM, "SHM_???")]).ret(Ret::Hex),
    call("shmdt", &[Ptr]),
    call("shmctl", &[Int, OneOf(IPC_CTL, "SHM_???"), Ptr]),
    call("semget", &[KEY, Int, With(|c, i| get_flags(c, i, GET))]),
    call("semctl", &[Int, Int, OneOf(IPC_CTL, "SEM_???"), Ptr]),
    call("msgget", &[KEY, With(|c, i| get_flags(c, i, GET))]),
    call("msgctl", &[Int, OneOf(IPC_CTL, "MSG_???"), Ptr]),
    call("set_mempolicy", &[OneOf(MPOL, "MPOL_???"), With(nodes), Size]).reads(&[spec(1, K::Fixed, 128)]),
    call("get_mempolicy", &[Arg::Out(4, policy), With(nodes_out), Size, Ptr, Flags(MPOL_FLAGS, "MPOL_???")])
        .reads(&[spec(1, K::Fixed, 128)]),
];

/// `linux/ipc.h`
#[rustfmt::skip]
const IPC_CTL: Names = &[
    (0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT"), (3, "IPC_INFO"),
];

/// `linux/ipc.h`, `linux/shm.h`
#[rustfmt::skip]
const GET_SHM: Names = &[
    (0o1000, "IPC_CREAT"), (0o2000, "IPC_EXCL"), (0o4000, "SHM_HUGETLB"), (0o10000, "SHM_NORESERVE"),
];

/// `linux/ipc.h`
#[rustfmt::skip]
const GET: Names = &[
    (0o1000, "IPC_CREAT"), (0o2000, "IPC_EXCL"), (0o4000, "IPC_NOWAIT"),
];

/// `linux/shm.h`
#[rustfmt::skip]
const SHM: Names = &[
    (0o10000, "SHM_RDONLY"), (0o20000, "SHM_RND"), (0o40000, "SHM_REMAP"), (0o100_000, "SHM_EXEC"),
];

/// `linux/mempolicy.h`
#[rustfmt::skip]
const MPOL: Names = &[
    (0, "MPOL_DEFAULT"), (1, "MPOL_PREFERRED"), (2, "MPOL_BIND"), (3, "MPOL_INTERLEAVE"), (4, "MPOL_LOCAL"),
    (5, "MPOL_PREFERRED_MANY"),
];

/// `linux/mempolicy.h`
#[rustfmt::skip]
const MPOL_FLAGS: Names = &[
    (1, "MPOL_F_NODE"), (2, "MPOL_F_ADDR"), (4, "MPOL_F_MEMS_ALLOWED"),
];

fn key(c: &mut Call<'_>, i: usize) {
    if c.low(i) == 0 { c.push("IPC_PRIVATE") } else { c.hex(c.low(i)) }
}

/// Flags, and permissions as open(2) takes them.
fn get_flags(c: &mut Call<'_>, i: usize, names: Names) {
    let v = c.low(i);
    let rest = text::known_flags(c.out, v & !0o777, names, "");
    if v & !0o777 != 0 {
        if rest != 0 {
            let _ = write!(c.out, "{}{rest:#x}", if rest == v & !0o777 { "" } else { "|" });
        }
        c.push("|");
    }
    text::mode(c.out, v & 0o777);
}

fn policy(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    c.push("[");
    c.one_of(u32_at(d, 0)?.into(), MPOL, "MPOL_???");
    c.push("]");
    Some(())
}

/// A mask of so many bits as the argument behind it says, less one.
fn nodes(c: &mut Call<'_>, i: usize) {
    let words = usize::try_from(c.value(i + 1).saturating_sub(1).div_ceil(64)).unwrap_or(usize::MAX);
    match c.fixed(i).filter(|d| words > 0 && words * 8 <= d.len()) {
        Some(data) => {
            for k in 0..words {
                let word = u64_at(data, k * 8).unwrap_or(0);
                c.push(if k == 0 { "[" } else { ", " });
                let _ = if word == 0 { write!(c.out, "{word:016}") } else { write!(c.out, "{word:#016x}") };
            }
            c.push("]");
        }
        None => c.address(c.value(i)),
    }
}

fn nodes_out(c: &mut Call<'_>, i: usize) {
    if c.failed() { c.address(c.value(i)) } else { nodes(c, i) }
}
