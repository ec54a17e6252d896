//! Signals.

use std::fmt::Write;

use super::time::timespec;
use crate::event::SignalInfo;
use crate::syscall::call::Call;
use crate::syscall::names::signal as n;
use crate::syscall::plan::{CaptureKind as K, entry, spec};
use crate::syscall::shape::Arg::{Fd, Flags, In, Int, OneOf, Out, Size, With};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::siginfo;
use crate::syscall::text::{u32_at, u64_at};

/// `kernel_sigset_t`.
pub(super) const SIGSET: u16 = 8;
/// `struct kernel_sigaction`, which has no restorer on some machines.
const ACTION: u16 = 32;

const SIGNAL: Arg = With(|c, i| signal_name(c.out, c.ev.args[i] & 0xffff_ffff));
const HOW: Arg = OneOf(n::SIG_HOW, "SIG_???");

pub(super) const CALLS: &[Shape] = &[
    call("rt_sigaction", &[SIGNAL, In(ACTION, action), Out(ACTION, action), Size]),
    call("rt_sigprocmask", &[HOW, In(SIGSET, sigset), Out(SIGSET, sigset), Size]),
    call("rt_sigpending", &[Out(SIGSET, sigset), Size]),
    call("rt_sigsuspend", &[In(SIGSET, sigset), Size]),
    call("rt_sigtimedwait", &[In(SIGSET, sigset), Arg::Late(waited), In(16, timespec), Size])
        .reads(&[spec(1, K::Fixed, 128)])
        .ret(Ret::With(signal_result)),
    call("rt_sigreturn", &[With(sigframe)])
        .reads(&[entry(0, K::Sigframe, 0)])
        // It is the register of before the signal.
        .ret(Ret::With(|c, ret| _ = write!(c.out, "{}", ret as u64))),
    call("rt_sigqueueinfo", &[Int, SIGNAL, In(128, siginfo)]),
    call("rt_tgsigqueueinfo", &[Int, Int, SIGNAL, In(128, siginfo)]),
    call("pidfd_send_signal", &[Fd, SIGNAL, In(128, siginfo), Arg::Hex32]),
    call("sigaltstack", &[In(24, stack), Out(24, stack)]),
    call("kill", &[Int, SIGNAL]),
    call("tkill", &[Int, SIGNAL]),
    call("tgkill", &[Int, Int, SIGNAL]),
    call("signalfd", &[Fd, In(SIGSET, sigset), Size]).ret(Ret::Fd),
    call("signalfd4", &[Fd, In(SIGSET, sigset), Size, Flags(n::SFD, "SFD_???")]).ret(Ret::Fd),
    call("pause", &[]),
];

/// A signal's name, or its number.
pub(super) fn signal_name(out: &mut String, v: u64) {
    match n::SIGNAL.iter().find(|s| s.0 == v) {
        Some((_, name)) => out.push_str(name),
        None => _ = write!(out, "{}", v as i32),
    }
}

/// `[HUP INT]`, or `~[KILL]` where most are set.
pub(super) fn sigset(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    mask(c.out, u64_at(data, 0)?);
    Some(())
}

/// The set with these bits, the lowest being signal 1.
pub(super) fn mask(out: &mut String, bits: u64) {
    let inverted = bits.count_ones() >= 42;
    let shown = if inverted { !bits } else { bits };
    out.push_str(if inverted { "~[" } else { "[" });
    let mut separator = "";
    for number in (1..=64u64).filter(|s| shown >> (s - 1) & 1 == 1) {
        out.push_str(separator);
        separator = " ";
        match n::SIGNAL.iter().find(|s| s.0 == number) {
            Some((_, name)) => out.push_str(name.trim_start_matches("SIG")),
            None => _ = write!(out, "{number}"),
        }
    }
    out.push(']');
}

/// `struct sigaction` of the kernel: handler, flags, restorer, mask.
fn action(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let (handler, flags) = (u64_at(d, 0)?, u64_at(d, 8)?);
    c.push("{sa_handler=");
    match handler {
        0 => c.push("SIG_DFL"),
        1 => c.push("SIG_IGN"),
        u64::MAX => c.push("SIG_ERR"),
        other => c.address(other),
    }
    c.push(", sa_mask=");
    mask(c.out, u64_at(d, 24)?);
    c.push(", sa_flags=");
    c.flags(flags, n::SA, "SA_???");
    if flags & 0x400_0000 != 0 {
        c.push(", sa_restorer=");
        c.address(u64_at(d, 16)?);
    }
    c.push("}");
    Some(())
}

fn waited(c: &mut Call<'_>, i: usize) {
    let data = c.fixed(i).filter(|_| !c.failed());
    c.structure(i, data, siginfo);
}

fn signal_result(c: &mut Call<'_>, ret: i64) {
    let _ = write!(c.out, "{ret} (");
    signal_name(c.out, ret as u64);
    c.push(")");
}

fn sigframe(c: &mut Call<'_>, i: usize) {
    if let Some(read) = c.before(i, K::Sigframe) {
        c.push("{mask=");
        let _ = sigset(c, &read.data);
        c.push("}");
    }
}

/// `stack_t`.
fn stack(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    c.push("{ss_sp=");
    c.address(u64_at(d, 0)?);
    c.push(", ss_flags=");
    c.flags(u32_at(d, 8)?.into(), n::SS, "SS_???");
    let _ = write!(c.out, ", ss_size={}}}", u64_at(d, 16)?);
    Some(())
}

/// `siginfo_t` (sigaction(2)).
pub(super) fn siginfo(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    siginfo::braced(&SignalInfo::parse(d)?, c.out);
    Some(())
}
