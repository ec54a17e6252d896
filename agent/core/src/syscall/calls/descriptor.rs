//! Calls that make, copy and change descriptors.

use std::fmt::Write;

use super::file::open_flags;
use super::signal::signal_name;
use crate::syscall::call::Call;
use crate::syscall::names::file as n;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Fd, Flags, OneOf, With};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::text::{self, i32_at, i64_at, u16_at, u32_at};

const FD_PAIR: Arg = With(fd_pair);
const PIPE: &[crate::syscall::plan::CaptureSpec] = &[spec(0, K::Fixed, 8), spec(0, K::FdPair, 0)];

pub(super) const CALLS: &[Shape] = &[
    call("close", &[Fd]),
    call("dup", &[Fd]).ret(Ret::Fd),
    call("dup2", &[Fd, Fd]).ret(Ret::Fd),
    call("dup3", &[Fd, Fd, Flags(n::OPEN, "O_???")]).ret(Ret::Fd),
    call("pipe", &[FD_PAIR]).reads(PIPE),
    call("pipe2", &[FD_PAIR, Flags(n::OPEN, "O_???")]).reads(PIPE),
    call("fcntl", &[Fd, OneOf(n::FCNTL, "F_???"), With(argument)])
        .reads(&[spec(2, K::Ioctl, 0), spec(0, K::FdRet, 0)])
        .count(|c| if takes_none(c.low(1)) { 2 } else { 3 })
        .ret(Ret::With(result)),
];

/// Two descriptors that the call wrote.
pub(super) fn fd_pair(c: &mut Call<'_>, i: usize) {
    match c.fixed(i).filter(|_| !c.failed()).map(|d| (i32_at(d, 0), i32_at(d, 4))) {
        Some((Some(a), Some(b))) => {
            c.push("[");
            c.fd(a);
            c.push(", ");
            c.fd(b);
            c.push("]");
        }
        _ => c.address(c.value(i)),
    }
}

/// F_GETFD, F_GETFL, F_GETOWN, F_GETSIG, F_GETLEASE, F_GETPIPE_SZ, F_GET_SEALS.
fn takes_none(command: u64) -> bool {
    matches!(command, 1 | 3 | 9 | 11 | 1025 | 1032 | 1034)
}

fn argument(c: &mut Call<'_>, i: usize) {
    let (v, low) = (c.value(i), c.low(i));
    let data = c.capture(i, K::Ioctl).map(|read| read.data.as_slice());
    match c.low(1) {
        // F_DUPFD, F_DUPFD_CLOEXEC, F_SETOWN, F_SETPIPE_SZ
        0 | 1030 | 8 | 1031 => _ = write!(c.out, "{}", v as i32),
        2 => c.flags(low, n::FD_FLAGS, "FD_???"),
        4 => open_flags_set(c, low),
        10 => signal_name(c.out, low),
        5 | 36 if !c.failed() => c.structure(i, data, |c, d| flock(c, d, true)),
        5..=7 | 36..=38 => c.structure(i, data, |c, d| flock(c, d, false)),
        15 | 16 => c.structure(i, data, |c, d| {
            c.push("{type=");
            c.one_of(u32_at(d, 0)?.into(), n::OWNER_TYPE, "F_OWNER_???");
            let _ = write!(c.out, ", pid={}}}", i32_at(d, 4)?);
            Some(())
        }),
        1024 => c.one_of(low, n::LOCK_TYPE, "F_???"),
        1026 => c.flags(low, n::DN, "DN_???"),
        1033 => c.flags(low, n::SEAL, "F_SEAL_???"),
        _ => c.hex(v),
    }
}

/// F_SETFL has no access mode to say, but for one that is given.
fn open_flags_set(c: &mut Call<'_>, v: u64) {
    open_flags(c.out, v);
}

/// `struct flock` (`asm-generic/fcntl.h`).
fn flock(c: &mut Call<'_>, d: &[u8], with_pid: bool) -> Option<()> {
    c.push("{l_type=");
    c.one_of(u16_at(d, 0)?.into(), n::LOCK_TYPE, "F_???");
    c.push(", l_whence=");
    c.one_of(u16_at(d, 2)?.into(), n::WHENCE, "SEEK_???");
    let _ = write!(c.out, ", l_start={}, l_len={}", i64_at(d, 8)?, i64_at(d, 16)?);
    if with_pid {
        let _ = write!(c.out, ", l_pid={}", i32_at(d, 24)?);
    }
    c.push("}");
    Some(())
}

/// Results that are sets of flags, constants or descriptors.
fn result(c: &mut Call<'_>, ret: i64) {
    let flags = ret as u64;
    match c.low(1) {
        0 | 1030 => c.fd_result(ret as i32),
        1 if ret != 0 => {
            let _ = write!(c.out, "{ret:#x} (flags ");
            c.flags(flags, n::FD_FLAGS, "FD_???");
            c.push(")");
        }
        3 => {
            text::hex(c.out, flags);
            c.push(" (flags ");
            open_flags(c.out, flags);
            c.push(")");
        }
        11 if ret != 0 => {
            let _ = write!(c.out, "{ret} (");
            signal_name(c.out, flags);
            c.push(")");
        }
        1025 => {
            text::hex(c.out, flags);
            c.push(" (");
            c.one_of(flags, n::LOCK_TYPE, "F_???");
            c.push(")");
        }
        1034 => {
            text::hex(c.out, flags);
            if flags != 0 {
                c.push(" (seals ");
                c.flags(flags, n::SEAL, "F_SEAL_???");
                c.push(")");
            }
        }
        _ => _ = write!(c.out, "{ret}"),
    }
}
