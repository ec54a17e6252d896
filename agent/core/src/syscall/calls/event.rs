//! Descriptors of events, io_uring and other things that are neither files nor sockets.

use std::fmt::Write;

use super::signal::sigset;
use crate::syscall::call::Call;
use crate::syscall::names::file::INOTIFY_INIT;
use crate::syscall::names::ready as n;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Fd, Flags, Hex32, Int, Ptr, Size, Uint, With};
use crate::syscall::shape::{Ret, Shape, call};
use crate::syscall::text::u32_at;

pub(super) const CALLS: &[Shape] = &[
    call("eventfd", &[Uint]).ret(Ret::Fd),
    call("eventfd2", &[Uint, Flags(n::EVENTFD, "EFD_???")]).ret(Ret::Fd),
    call("inotify_init", &[]).ret(Ret::Fd),
    call("inotify_init1", &[Flags(INOTIFY_INIT, "IN_???")]).ret(Ret::Fd),
    call("userfaultfd", &[Flags(crate::syscall::names::file::OPEN, "UFFD_???")]).ret(Ret::Fd),
    call("fanotify_init", &[Hex32, Hex32]).ret(Ret::Fd),
    call("perf_event_open", &[Ptr, Int, Int, Fd, Hex32]).ret(Ret::Fd),
    call("io_uring_setup", &[Uint, With(params)]).reads(&[spec(1, K::Fixed, 120)]).ret(Ret::Fd),
    call(
        "io_uring_enter",
        &[Fd, Uint, Uint, Flags(n::URING_ENTER, "IORING_ENTER_???"), With(enter_mask), Size],
    )
    .reads(&[spec(4, K::Fixed, 8)]),
    call("io_uring_register", &[Fd, Hex32, Ptr, Uint]),
];

/// `struct io_uring_params` (`linux/io_uring.h`).
fn params(c: &mut Call<'_>, i: usize) {
    let data = c.fixed(i);
    c.structure(i, data, |c, d| {
        c.push("{flags=");
        c.flags(u32_at(d, 8)?.into(), n::URING_SETUP, "IORING_SETUP_???");
        let _ = write!(c.out, ", sq_thread_cpu={}, sq_thread_idle={}", u32_at(d, 12)?, u32_at(d, 16)?);
        if c.failed() {
            c.push("}");
            return Some(());
        }
        let _ = write!(c.out, ", sq_entries={}, cq_entries={}, features=", u32_at(d, 0)?, u32_at(d, 4)?);
        c.flags(u32_at(d, 20)?.into(), n::URING_FEATURES, "IORING_FEAT_???");
        offsets(
            c,
            d,
            40,
            ", sq_off",
            &["head", "tail", "ring_mask", "ring_entries", "flags", "dropped", "array"],
        )?;
        offsets(
            c,
            d,
            80,
            ", cq_off",
            &["head", "tail", "ring_mask", "ring_entries", "overflow", "cqes", "flags"],
        )?;
        c.push("}");
        Some(())
    });
}

fn offsets(c: &mut Call<'_>, d: &[u8], at: usize, name: &str, fields: &[&str]) -> Option<()> {
    c.push(name);
    for (k, field) in fields.iter().enumerate() {
        let _ = write!(c.out, "{}{field}={}", if k == 0 { "={" } else { ", " }, u32_at(d, at + k * 4)?);
    }
    c.push("}");
    Some(())
}

fn enter_mask(c: &mut Call<'_>, i: usize) {
    let data = c.fixed(i).filter(|_| c.value(5) == 8);
    c.structure(i, data, sigset);
}
