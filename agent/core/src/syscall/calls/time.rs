//! Clocks, timers and futexes.

use std::fmt::Write;

use super::signal::signal_name;
use crate::syscall::call::Call;
use crate::syscall::names::time as n;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Fd, Flags, In, Int, OneOf, Out, Ptr, Uint, With};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::text::{self, i32_at, i64_at, u32_at, u64_at};

const CLOCK: Arg = OneOf(n::CLOCK, "CLOCK_???");
const TFD: Arg = Flags(n::TFD, "TFD_???");
const WHICH: Arg = OneOf(n::ITIMER, "ITIMER_???");
const TIMER: Arg = Flags(n::TIMER_FLAGS, "TIMER_???");

pub(super) const CALLS: &[Shape] = &[
    call("time", &[Out(8, long)]).ret(Ret::With(time_result)),
    call("gettimeofday", &[Out(16, timeval), Out(8, timezone)]),
    call("settimeofday", &[In(16, timeval), In(8, timezone)]),
    call("clock_gettime", &[CLOCK, Out(16, timespec)]),
    call("clock_settime", &[CLOCK, In(16, timespec)]),
    call("clock_getres", &[CLOCK, Out(16, timespec)]),
    call("nanosleep", &[In(16, timespec), Arg::Late(|c, i| remaining(c, i, true))]).reads(&[spec(
        1,
        K::Fixed,
        16,
    )]),
    call(
        "clock_nanosleep",
        &[CLOCK, TIMER, In(16, timespec), Arg::Late(|c, i| remaining(c, i, c.value(1) & 1 == 0))],
    )
    .reads(&[spec(3, K::Fixed, 16)]),
    call("getitimer", &[WHICH, Out(32, itimerval)]),
    call("setitimer", &[WHICH, In(32, itimerval), Out(32, itimerval)]),
    call("alarm", &[Uint]),
    call("timerfd_create", &[CLOCK, TFD]).ret(Ret::Fd),
    call("timerfd_settime", &[Fd, TFD, In(32, itimerspec), Out(32, itimerspec)]),
    call("timerfd_gettime", &[Fd, Out(32, itimerspec)]),
    call("timer_create", &[CLOCK, In(64, sigevent), Out(4, int_in_brackets)]),
    call("timer_settime", &[Int, TIMER, In(32, itimerspec), Out(32, itimerspec)]),
    call("timer_gettime", &[Int, Out(32, itimerspec)]),
    call("timer_getoverrun", &[Int]),
    call("timer_delete", &[Int]),
    call("futex", &[Ptr, With(futex)]).reads(&[spec(3, K::Fixed, 16)]),
];

/// The date in the comments of strace: ` /* 2026-11-30T08:10:17.272804890+0000 */`, in UTC; nothing for no time.
pub(super) fn moment(out: &mut String, sec: i64, fraction: Option<i64>, digits: usize) {
    if sec == 0 && fraction.unwrap_or(0) == 0 {
        return;
    }
    let (days, rest) = (sec.div_euclid(86_400), sec.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar, by eras of 400 years that begin in March.
    let z = days.saturating_add(719_468);
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (rest / 3600, rest / 60 % 60, rest % 60);
    let _ = write!(out, " /* {year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}");
    if let Some(f) = fraction.filter(|f| *f != 0) {
        let _ = write!(out, ".{f:0digits$}");
    }
    out.push_str("+0000 */");
}

/// `{tv_sec=1, tv_nsec=5}`.
pub(super) fn timespec_fields(out: &mut String, sec: i64, fraction: i64, name: &str) {
    let _ = write!(out, "{{tv_sec={sec}, {name}={fraction}}}");
}

pub(super) fn timespec(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    timespec_fields(c.out, i64_at(data, 0)?, i64_at(data, 8)?, "tv_nsec");
    Some(())
}

pub(super) fn timeval(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    timespec_fields(c.out, i64_at(data, 0)?, i64_at(data, 8)?, "tv_usec");
    Some(())
}

fn timezone(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    let _ = write!(c.out, "{{tz_minuteswest={}, tz_dsttime={}}}", i32_at(data, 0)?, i32_at(data, 4)?);
    Some(())
}

fn long(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    let sec = i64_at(data, 0)?;
    let _ = write!(c.out, "[{sec}");
    moment(c.out, sec, None, 9);
    c.push("]");
    Some(())
}

fn time_result(c: &mut Call<'_>, ret: i64) {
    let _ = write!(c.out, "{ret} (");
    let mut text = String::new();
    moment(&mut text, ret, None, 9);
    c.push(text.trim_start_matches(" /* ").trim_end_matches(" */"));
    c.push(")");
}

pub(super) fn int_in_brackets(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    let _ = write!(c.out, "[{}]", i32_at(data, 0)?);
    Some(())
}

/// What is left of a sleep is there only where a signal ended it.
fn remaining(c: &mut Call<'_>, i: usize, written: bool) {
    const EINTR: i64 = -4;
    const RESTART: i64 = -516;
    let data = c.fixed(i).filter(|_| written && matches!(c.ret(), Some(EINTR | RESTART)));
    c.structure(i, data, timespec);
}

fn pair(c: &mut Call<'_>, data: &[u8], names: [&str; 2], part: &str) -> Option<()> {
    let _ = write!(c.out, "{{{}=", names[0]);
    timespec_fields(c.out, i64_at(data, 0)?, i64_at(data, 8)?, part);
    let _ = write!(c.out, ", {}=", names[1]);
    timespec_fields(c.out, i64_at(data, 16)?, i64_at(data, 24)?, part);
    c.push("}");
    Some(())
}

fn itimerval(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    pair(c, data, ["it_interval", "it_value"], "tv_usec")
}

fn itimerspec(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    pair(c, data, ["it_interval", "it_value"], "tv_nsec")
}

/// `struct sigevent` (`asm-generic/siginfo.h`).
fn sigevent(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    let (value, signal, notify) = (u64_at(data, 0)?, u32_at(data, 8)?, u32_at(data, 12)?);
    c.push("{");
    if value != 0 {
        let _ = write!(c.out, "sigev_value={{sival_int={}, sival_ptr=", value as i32);
        c.address(value);
        c.push("}, ");
    }
    c.push("sigev_signo=");
    signal_name(c.out, signal.into());
    c.push(", sigev_notify=");
    match notify {
        0 => c.push("SIGEV_SIGNAL"),
        1 => c.push("SIGEV_NONE"),
        2 => c.push("SIGEV_THREAD"),
        4 => _ = write!(c.out, "SIGEV_THREAD_ID, sigev_notify_thread_id={}", i32_at(data, 16)?),
        other => c.hex(other.into()),
    }
    c.push("}");
    Some(())
}

const PRIVATE: u64 = 128;
const REALTIME: u64 = 256;

/// All arguments behind the address: which there are depends on the operation.
fn futex(c: &mut Call<'_>, i: usize) {
    let v = c.low(i);
    let command = v & !(PRIVATE | REALTIME);
    match n::FUTEX.iter().find(|f| f.0 == command) {
        Some((_, name)) => c.push(name),
        None => {
            let _ = write!(c.out, "{v:#x} /* FUTEX_??? */, {}, ", c.low(2));
            c.address(c.value(3));
            c.push(", ");
            c.address(c.value(4));
            c.push(", ");
            return c.hex(c.low(5));
        }
    }
    // An operation that is no more has no name for this.
    let suffix = if command == 2 { "|FUTEX_PRIVATE_FLAG" } else { "_PRIVATE" };
    c.push(if v & PRIVATE != 0 { suffix } else { "" });
    c.push(if v & REALTIME != 0 { "|FUTEX_CLOCK_REALTIME" } else { "" });
    let (value, second, third) = (c.low(2), c.value(4), c.low(5));
    let requeued = c.int(3);
    match command {
        0 | 6 | 9 | 11 | 13 => {
            match command {
                6 | 13 => {}
                _ => _ = write!(c.out, ", {value}"),
            }
            c.push(", ");
            c.structure(3, c.fixed(3), timespec);
        }
        1 | 10 => _ = write!(c.out, ", {}", value as i32),
        3 | 4 | 5 | 12 => _ = write!(c.out, ", {}, {requeued}", value as i32),
        2 => _ = write!(c.out, ", {value}"),
        _ => {}
    }
    match command {
        3 | 4 | 5 | 11 | 12 => {
            c.push(", ");
            c.address(second);
        }
        _ => {}
    }
    match command {
        4 | 12 => _ = write!(c.out, ", {third}"),
        5 => {
            c.push(", ");
            wake_op(c, third);
        }
        9 | 10 if third == 0xffff_ffff => c.push(", FUTEX_BITSET_MATCH_ANY"),
        9 | 10 => {
            c.push(", ");
            c.hex(third);
        }
        _ => {}
    }
}

/// What FUTEX_WAKE_OP does to the second word, and when it wakes (`linux/futex.h`).
fn wake_op(c: &mut Call<'_>, v: u64) {
    const OPS: text::Names = &[
        (0, "FUTEX_OP_SET"),
        (1, "FUTEX_OP_ADD"),
        (2, "FUTEX_OP_OR"),
        (3, "FUTEX_OP_ANDN"),
        (4, "FUTEX_OP_XOR"),
    ];
    const COMPARISONS: text::Names = &[
        (0, "FUTEX_OP_CMP_EQ"),
        (1, "FUTEX_OP_CMP_NE"),
        (2, "FUTEX_OP_CMP_LT"),
        (3, "FUTEX_OP_CMP_LE"),
        (4, "FUTEX_OP_CMP_GT"),
        (5, "FUTEX_OP_CMP_GE"),
    ];
    c.push(if v >> 31 & 1 == 1 { "FUTEX_OP_OPARG_SHIFT<<28|" } else { "" });
    c.one_of(v >> 28 & 7, OPS, "FUTEX_OP_???");
    c.push("<<28|");
    c.hex(v >> 12 & 0xfff);
    c.push("<<12|");
    c.one_of(v >> 24 & 0xf, COMPARISONS, "FUTEX_OP_CMP_???");
    c.push("<<24|");
    c.hex(v & 0xfff);
}
