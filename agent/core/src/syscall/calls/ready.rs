//! Waiting for descriptors.

use std::fmt::Write;

use super::signal::{SIGSET, mask, sigset};
use super::time::{timespec, timeval};
use crate::syscall::call::Call;
use crate::syscall::names::ready as n;
use crate::syscall::plan::{CaptureKind as K, CaptureSpec, entry, spec};
use crate::syscall::shape::Arg::{Fd, Flags, In, Int, OneOf, Size, Uint, With};
use crate::syscall::shape::{Arg, Print, Ret, Shape, call};
use crate::syscall::text::{self, i32_at, u16_at, u32_at, u64_at};

/// `struct epoll_event` is packed on x86-64 alone (`EPOLL_PACKED`).
const EPOLL_EVENT: usize = if cfg!(target_arch = "x86_64") { 12 } else { 16 };
const EPOLL_DATA: usize = EPOLL_EVENT - 8;
/// strace has a buffer of 1024 bytes for what is ready, and goes no nearer to its end.
const READY_MAX: usize = 962;
/// `struct pollfd`.
const POLLFD: usize = 8;
/// `fd_set` of 1024 descriptors: what is asked for beyond them is rare.
const FD_SET: u16 = 128;

const EVENTS: Arg = Arg::Late(epoll_events);
const MASK: Arg = In(SIGSET, sigset);
const SET: Arg = With(set_before);
const WAITS: &[CaptureSpec] = &[spec(1, K::EpollEvents, 0)];

pub(super) const CALLS: &[Shape] =
    &[
        call("poll", &[With(asked), Uint, Int])
            .reads(&[spec(0, K::Pollfds, 1), entry(0, K::FdPoll, 1)])
            .tail(polled),
        call("ppoll", &[With(asked), Uint, With(|c, i| time_before(c, i, timespec)), MASK, Size])
            .reads(&[
                entry(2, K::Fixed, 16),
                spec(0, K::Pollfds, 1),
                entry(0, K::FdPoll, 1),
                spec(2, K::Fixed, 16),
            ])
            .tail(polled),
        call("select", &[Int, SET, SET, SET, With(|c, i| time_before(c, i, timeval))])
            .reads(SELECT)
            .tail(selected),
        call("pselect6", &[Int, SET, SET, SET, With(|c, i| time_before(c, i, timespec)), With(masked)])
            .reads(PSELECT)
            .tail(selected),
        call("epoll_create", &[Int]).ret(Ret::Fd),
        call("epoll_create1", &[Flags(n::EPOLL_CREATE, "EPOLL_???")]).ret(Ret::Fd),
        call("epoll_ctl", &[Fd, OneOf(n::EPOLL_CTL, "EPOLL_CTL_???"), Fd, With(epoll_event_arg)])
            .reads(&[spec(3, K::Fixed, EPOLL_EVENT as u16)]),
        call("epoll_wait", &[Fd, EVENTS, Int, Int]).reads(WAITS),
        call("epoll_pwait", &[Fd, EVENTS, Int, Int, MASK, Size]).reads(WAITS),
        call("epoll_pwait2", &[Fd, EVENTS, Int, In(16, timespec), MASK, Size]).reads(WAITS),
    ];

const PSELECT: &[CaptureSpec] = &[
    entry(1, K::Fixed, FD_SET),
    entry(2, K::Fixed, FD_SET),
    entry(3, K::Fixed, FD_SET),
    entry(4, K::Fixed, 16),
    entry(1, K::FdSet, 0),
    entry(2, K::FdSet, 0),
    entry(3, K::FdSet, 0),
    spec(1, K::Fixed, FD_SET),
    spec(2, K::Fixed, FD_SET),
    spec(3, K::Fixed, FD_SET),
    spec(4, K::Fixed, 16),
    spec(5, K::Pair, 0),
];
/// The same without the set of signals.
const SELECT: &[CaptureSpec] = PSELECT.split_at(PSELECT.len() - 1).0;

/// A time that the kernel overwrites with what is left of it.
fn time_before(c: &mut Call<'_>, i: usize, print: Print) {
    c.structure(i, c.fixed_before(i), print);
}

fn asked(c: &mut Call<'_>, _: usize) {
    pollfds(c, false);
}

/// The descriptors polled, with their events, or those that are ready, with what happened.
fn pollfds(c: &mut Call<'_>, ready: bool) {
    let count = c.low(1);
    let Some(read) = c.capture(0, K::Pollfds).filter(|_| c.value(0) != 0) else {
        return match (c.value(0), count) {
            (1.., 0) => c.push("[]"),
            (v, _) => c.address(v),
        };
    };
    let limit = c.array_limit();
    let mut shown = 0;
    let start = c.out.len();
    let mut full = false;
    c.push("[");
    for e in read.data.chunks_exact(POLLFD) {
        let (Some(fd), Some(events), Some(revents)) = (i32_at(e, 0), u16_at(e, 4), u16_at(e, 6)) else {
            break;
        };
        if ready && revents == 0 {
            continue;
        }
        full = ready && c.out.len() - start > READY_MAX;
        if shown >= limit || full {
            break;
        }
        c.push(if shown == 0 { "{fd=" } else { ", {fd=" });
        shown += 1;
        if ready {
            let _ = write!(c.out, "{fd}");
            c.push(", revents=");
            c.flags(revents.into(), n::POLL, "POLL???");
        } else {
            c.fd(fd);
        }
        if !ready && fd >= 0 {
            c.push(", events=");
            c.flags(events.into(), n::POLL, "POLL???");
        }
        c.push("}");
    }
    let whole = (read.data.len() / POLLFD) as u64;
    let more = if ready {
        full || shown >= limit && c.returned() > shown as u64
    } else {
        count > whole.min(limit as u64)
    };
    c.push(match (more, shown) {
        (true, 0) => "...]",
        (true, _) => ", ...]",
        (false, _) => "]",
    });
}

fn polled(c: &mut Call<'_>) {
    if c.ret() == Some(0) {
        return c.push(" (Timeout)");
    }
    if c.capture(0, K::Pollfds).is_none() {
        return;
    }
    c.push(" (");
    pollfds(c, true);
    left(c, 2, timespec);
    c.push(")");
}

/// What is left of the time to wait, where the call says so.
fn left(c: &mut Call<'_>, i: usize, print: Print) {
    if c.name() == "poll" || c.value(i) == 0 {
        return;
    }
    if let Some(data) = c.fixed(i) {
        c.push(", left ");
        let _ = print(c, data);
    }
}

/// The descriptors in an `fd_set`, below `nfds`.
fn fds(data: &[u8], nfds: i32) -> impl Iterator<Item = usize> + '_ {
    let bits = data.len().saturating_mul(8).min(usize::try_from(nfds).unwrap_or(0));
    // Bits count from the low end of machine words; both architectures are little-endian.
    (0..bits).filter(|n| data.get(n / 8).is_some_and(|byte| byte >> (n % 8) & 1 == 1))
}

/// `[3 5]`; those that are ready strace doesn't describe again.
fn fd_set(c: &mut Call<'_>, data: &[u8], ready: bool) {
    c.push("[");
    for (k, fd) in fds(data, c.int(0)).enumerate() {
        c.push(if k == 0 { "" } else { " " });
        if ready {
            let _ = write!(c.out, "{fd}");
        } else {
            c.fd(fd as i32);
        }
    }
    c.push("]");
}

fn set_before(c: &mut Call<'_>, i: usize) {
    match c.fixed_before(i).filter(|_| c.value(i) != 0) {
        Some(data) => fd_set(c, data, false),
        None => c.address(c.value(i)),
    }
}

fn selected(c: &mut Call<'_>) {
    let print: Print = if c.name() == "select" { timeval } else { timespec };
    if c.ret() == Some(0) {
        return c.push(" (Timeout)");
    }
    let mut separator = " (";
    for (i, name) in [(1, "in"), (2, "out"), (3, "except")] {
        let Some(data) = c.fixed(i).filter(|d| c.value(i) != 0 && fds(d, c.int(0)).next().is_some()) else {
            continue;
        };
        let _ = write!(c.out, "{separator}{name} ");
        separator = ", ";
        fd_set(c, data, true);
    }
    if separator == " (" {
        return;
    }
    left(c, 4, print);
    c.push(")");
}

/// `{ const sigset_t *ss; size_t ss_len; }`.
fn masked(c: &mut Call<'_>, i: usize) {
    let data = c.capture(i, K::Pair).map(|read| read.data.as_slice());
    c.structure(i, data, |c, d| {
        let (set, len) = (u64_at(d, 0)?, u64_at(d, 8)?);
        c.push("{sigmask=");
        match u64_at(d, 16).filter(|_| set != 0) {
            Some(bits) => mask(c.out, bits),
            None => c.address(set),
        }
        let _ = write!(c.out, ", sigsetsize={len}}}");
        Some(())
    });
}

fn epoll_event(c: &mut Call<'_>, event: &[u8]) -> Option<()> {
    let (events, low, data) = (u32_at(event, 0)?, u32_at(event, EPOLL_DATA)?, u64_at(event, EPOLL_DATA)?);
    c.push("{events=");
    c.flags(events.into(), n::EPOLL, "EPOLL???");
    let _ = write!(c.out, ", data={{u32={low}, u64={data}}}}}");
    Some(())
}

fn epoll_event_arg(c: &mut Call<'_>, i: usize) {
    // EPOLL_CTL_DEL ignores it.
    let data = c.fixed(i).filter(|_| c.low(1) != 2);
    c.structure(i, data, epoll_event);
}

fn epoll_events(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::EpollEvents) {
        Some(read) if c.returned() > 0 && read.data.len() >= EPOLL_EVENT => {
            c.array(&read.data, EPOLL_EVENT, c.returned(), epoll_event);
        }
        _ if c.ret() == Some(0) && c.value(i) != 0 => c.push("[]"),
        _ => text::address(c.out, c.value(i)),
    }
}
