//! Processes and threads.

use std::fmt::Write;

use super::info::rusage;
use super::signal::{siginfo, signal_name};
use crate::syscall::call::Call;
use crate::syscall::names::process as n;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Fd, Flags, Hex, Hex32, Int, OneOf, Out, Ptr, Size, With};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::text::{self, i32_at, u32_at, u64_at};

const WAIT: Arg = Flags(n::WAIT, "W???");

pub(super) const CALLS: &[Shape] = &[
    call("fork", &[]),
    call("vfork", &[]),
    call("clone", &[With(clone_args)]).reads(&[spec(2, K::Fixed, 4), spec(CHILD_TID, K::Fixed, 4)]),
    call("clone3", &[With(clone3_args), Size]).reads(&[spec(0, K::StructByArg, 1)]),
    call("unshare", &[With(unshared)]),
    call("setns", &[Fd, Flags(n::NAMESPACE, "CLONE_NEW???")]),
    call("exit", &[Int]),
    call("exit_group", &[Int]),
    call("wait4", &[Int, Arg::Late(wait_status), WAIT, With(wait_rusage)])
        .reads(&[spec(1, K::Fixed, 4), spec(3, K::Fixed, 144)]),
    call("waitid", &[OneOf(n::WAITID, "P_???"), Int, Out(128, siginfo), WAIT, Out(144, rusage)]),
    call("set_tid_address", &[Ptr]),
    call("set_robust_list", &[Ptr, Size]),
    call("get_robust_list", &[Int, Out(8, pointer), Out(8, number)]),
    call("rseq", &[Ptr, Hex32, Hex32, Hex32]),
    call("arch_prctl", &[OneOf(n::ARCH_PRCTL, "ARCH_???"), With(arch)])
        .reads(&[spec(1, K::Fixed, 8)])
        .count(|c| if c.low(0) == 0x1011 { 1 } else { 2 }),
    call(
        "prctl",
        &[OneOf(n::PRCTL, "PR_???"), With(prctl2), With(prctl_rest), With(prctl_rest), With(prctl_rest)],
    )
    .reads(&[spec(1, K::CString, 0), spec(4, K::CString, 0), spec(1, K::Fixed, 4)])
    .count(prctl_args)
    .ret(Ret::With(prctl_result)),
    call("personality", &[With(personality)]).ret(Ret::With(personality_result)),
    call("pidfd_open", &[Int, Flags(n::PIDFD, "PIDFD_???")]).ret(Ret::Fd),
    call("pidfd_getfd", &[Fd, Int, Hex32]).ret(Ret::Fd),
    call("seccomp", &[OneOf(n::SECCOMP, "SECCOMP_SET_MODE_???"), With(seccomp_flags), With(filter)])
        .reads(&[spec(2, K::Fixed, 16)]),
    call("getpid", &[]),
    call("gettid", &[]),
    call("getppid", &[]),
    call("getpgid", &[Int]),
    call("setpgid", &[Int, Int]),
    call("getsid", &[Int]),
    call("ptrace", &[Hex, Int, Hex, Hex]),
    call("kcmp", &[Int, Int, Int, Hex, Hex]),
    call("process_mrelease", &[Fd, Hex32]),
];

/// CLONE_NEWTIME is a bit of the exit signal for clone(2).
fn unshared(c: &mut Call<'_>, i: usize) {
    let v = c.value(i);
    let rest = text::known_flags(c.out, v, &[(0x80, "CLONE_NEWTIME")], "");
    if rest != 0 || v == 0 {
        c.push(if rest == v { "" } else { "|" });
        c.flags(rest, n::CLONE, "CLONE_???");
    }
}

/// The order of the last two of clone(2) differs (CONFIG_CLONE_BACKWARDS).
const CHILD_TID: u8 = if cfg!(target_arch = "aarch64") { 4 } else { 3 };

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;

/// Flags of clone(2) and the signal that its lowest byte is.
fn clone_flags(c: &mut Call<'_>, flags: u64, exit_signal: u64) {
    let rest = text::known_flags(c.out, flags, n::CLONE, "");
    let mut separator = if rest == flags { "" } else { "|" };
    if rest != 0 {
        let _ = write!(c.out, "{separator}{rest:#x}");
        separator = "|";
    }
    if exit_signal != 0 || separator.is_empty() {
        c.push(separator);
        signal_name(c.out, exit_signal);
    }
}

fn clone_args(c: &mut Call<'_>, _: usize) {
    let flags = c.value(0);
    let (child_tid, tls) = if CHILD_TID == 4 { (4, 3) } else { (3, 4) };
    c.push("child_stack=");
    c.address(c.value(1));
    c.push(", flags=");
    clone_flags(c, flags & !0xff, flags & 0xff);
    if flags & (CLONE_PARENT_SETTID | CLONE_PIDFD) != 0 {
        c.push(if flags & CLONE_PIDFD != 0 { ", pidfd=" } else { ", parent_tid=" });
        match c.fixed(2).filter(|_| !c.failed()).and_then(|d| i32_at(d, 0)) {
            Some(tid) => _ = write!(c.out, "[{tid}]"),
            None => c.address(c.value(2)),
        }
    }
    if flags & CLONE_SETTLS != 0 {
        c.push(", tls=");
        c.address(c.value(tls));
    }
    if flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID) != 0 {
        c.push(", child_tidptr=");
        c.address(c.value(child_tid));
    }
}

/// `struct clone_args` (`linux/sched.h`).
fn clone3_args(c: &mut Call<'_>, i: usize) {
    let data = c.capture(i, K::StructByArg).map_or(&[][..], |read| &read.data);
    if data.len() < 64 {
        return c.address(c.value(i));
    }
    let field = |k: usize| u64_at(data, k * 8).unwrap_or(0);
    let flags = field(0);
    c.push("{flags=");
    let rest = text::known_flags(c.out, flags, n::CLONE, "");
    let rest = text::known_flags(c.out, rest, n::CLONE3, if rest == flags { "" } else { "|" });
    if rest != 0 || flags == 0 {
        c.push(if rest == flags { "" } else { "|" });
        c.hex(rest);
    }
    for (bits, k, name) in [
        (CLONE_PIDFD, 1, "pidfd"),
        (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, 2, "child_tid"),
        (CLONE_PARENT_SETTID, 3, "parent_tid"),
    ] {
        if flags & bits != 0 {
            let _ = write!(c.out, ", {name}=");
            c.address(field(k));
        }
    }
    c.push(", exit_signal=");
    signal_name(c.out, field(4));
    c.push(", stack=");
    c.address(field(5));
    c.push(", stack_size=");
    c.hex(field(6));
    if flags & CLONE_SETTLS != 0 {
        c.push(", tls=");
        c.address(field(7));
    }
    if field(8) != 0 && field(9) != 0 {
        c.push(", set_tid=");
        c.address(field(8));
        let _ = write!(c.out, ", set_tid_size={}", field(9));
    }
    if flags & 1 << 33 != 0 {
        let _ = write!(c.out, ", cgroup={}", field(10));
    }
    c.push("}");
    // What the kernel wrote into the caller's memory while it cloned.
    if !c.failed() && flags & CLONE_PARENT_SETTID != 0 {
        let _ = write!(c.out, " => {{parent_tid=[{}]}}", c.returned());
    }
}

/// A status as wait(2) reports it.
pub(super) fn status(out: &mut String, status: u32) {
    let signal = u64::from(status & 0x7f);
    let high = u64::from(status >> 8 & 0xff);
    match signal {
        _ if status == 0xffff => out.push_str("{WIFCONTINUED(s)}"),
        0 => _ = write!(out, "{{WIFEXITED(s) && WEXITSTATUS(s) == {high}}}"),
        0x7f => {
            out.push_str("{WIFSTOPPED(s) && WSTOPSIG(s) == ");
            signal_name(out, high & 0x7f);
            out.push_str(if high & 0x80 != 0 { " | 0x80}" } else { "}" });
        }
        _ => {
            out.push_str("{WIFSIGNALED(s) && WTERMSIG(s) == ");
            signal_name(out, signal);
            out.push_str(if status & 0x80 != 0 { " && WCOREDUMP(s)}" } else { "}" });
        }
    }
}

fn wait_status(c: &mut Call<'_>, i: usize) {
    match c.fixed(i).and_then(|d| u32_at(d, 0)).filter(|_| c.returned() > 0) {
        Some(s) => {
            c.push("[");
            status(c.out, s);
            c.push("]");
        }
        None => c.address(c.value(i)),
    }
}

fn wait_rusage(c: &mut Call<'_>, i: usize) {
    let data = c.fixed(i).filter(|_| c.returned() > 0);
    c.structure(i, data, rusage);
}

fn pointer(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    c.push("[");
    c.address(u64_at(d, 0)?);
    c.push("]");
    Some(())
}

pub(super) fn number(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(c.out, "[{}]", u64_at(d, 0)?);
    Some(())
}

/// ARCH_GET_FS and ARCH_GET_GS write their answer.
fn arch(c: &mut Call<'_>, i: usize) {
    match c.low(0) {
        0x1003 | 0x1004 if !c.failed() => c.structure(i, c.fixed(i), pointer),
        0x1003 | 0x1004 => c.address(c.value(i)),
        _ => c.hex(c.value(i)),
    }
}

const PR_SET_PDEATHSIG: u64 = 1;
const PR_GET_PDEATHSIG: u64 = 2;
const PR_SET_NAME: u64 = 15;
const PR_GET_NAME: u64 = 16;
const PR_CAPBSET_READ: u64 = 23;
const PR_CAPBSET_DROP: u64 = 24;
const PR_SET_VMA: u64 = 0x5356_4d41;

/// Arguments that an operation takes.
fn prctl_args(c: &Call<'_>) -> usize {
    match c.low(0) {
        // Those that only ask.
        3 | 7 | 13 | 21 | 27 | 30 => 1,
        1 | 2 | 4..=6 | 8..=12 | 14..=16 | 19 | 20 | 23..=26 | 28 | 29 | 36 | 37 | 40 => 2,
        _ => 5,
    }
}

fn prctl2(c: &mut Call<'_>, i: usize) {
    let v = c.value(i);
    match c.low(0) {
        PR_SET_PDEATHSIG => signal_name(c.out, v & 0xffff_ffff),
        PR_GET_PDEATHSIG if !c.failed() => c.structure(i, c.fixed(i), |c, d| {
            c.push("[");
            signal_name(c.out, u32_at(d, 0)?.into());
            c.push("]");
            Some(())
        }),
        // enum suid_dumpable
        4 => match v {
            0 => c.push("SUID_DUMP_DISABLE"),
            1 => c.push("SUID_DUMP_USER"),
            _ => c.hex(v),
        },
        PR_SET_NAME => comm(c, i),
        PR_GET_NAME if !c.failed() => comm(c, i),
        PR_CAPBSET_READ | PR_CAPBSET_DROP => c.one_of(v, n::CAPABILITY, "CAP_???"),
        8 | 29 | 36 | 38 | 41 => _ = write!(c.out, "{v}"),
        5 | 9 | 11 | 19 | 25 | 37 | 40 if !c.failed() => c.structure(i, c.fixed(i), |c, d| {
            let _ = write!(c.out, "[{}]", u32_at(d, 0)?);
            Some(())
        }),
        5 | 9 | 11 | 19 | 25 | 37 | 40 => c.address(v),
        47 => c.one_of(v, CAP_AMBIENT, "PR_CAP_AMBIENT_???"),
        PR_SET_VMA => c.one_of(v, &[(0, "PR_SET_VMA_ANON_NAME")], "PR_SET_VMA_???"),
        _ => c.hex(v),
    }
}

const CAP_AMBIENT: text::Names = &[
    (1, "PR_CAP_AMBIENT_IS_SET"),
    (2, "PR_CAP_AMBIENT_RAISE"),
    (3, "PR_CAP_AMBIENT_LOWER"),
    (4, "PR_CAP_AMBIENT_CLEAR_ALL"),
];

/// The kernel takes 15 bytes of a name.
fn comm(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::CString) {
        Some(name) => {
            let shown = &name.data[..name.data.len().min(15)];
            // strace reads no more than the kernel takes, and so can't see that it ends there.
            let full = shown.len() as u64 + u64::from(shown.len() == 15);
            text::quoted(c.out, shown, full, u32::MAX, c.opts.hex_strings);
        }
        None => c.address(c.value(i)),
    }
}

fn prctl_rest(c: &mut Call<'_>, i: usize) {
    match (c.low(0), i) {
        (PR_SET_VMA, 2) => c.address(c.value(i)),
        (PR_SET_VMA, 3) => _ = write!(c.out, "{}", c.value(i)),
        (PR_SET_VMA, 4) => c.string(i),
        (47, 2) if c.low(1) != 4 => c.one_of(c.value(i), n::CAPABILITY, "CAP_???"),
        _ => c.hex(c.value(i)),
    }
}

fn prctl_result(c: &mut Call<'_>, ret: i64) {
    match c.low(0) {
        3 => {
            let _ = write!(c.out, "{ret}");
            c.push(match ret {
                0 => " (SUID_DUMP_DISABLE)",
                1 => " (SUID_DUMP_USER)",
                2 => " (SUID_DUMP_ROOT)",
                _ => "",
            });
        }
        _ => _ = write!(c.out, "{ret}"),
    }
}

fn personality(c: &mut Call<'_>, i: usize) {
    persona(c, c.low(i));
}

/// PER_LINUX is 0; flags go with it.
fn persona(c: &mut Call<'_>, v: u64) {
    match v {
        0xffff_ffff => c.push("0xffffffff"),
        _ if v & 0xff == 0 => {
            c.push("PER_LINUX");
            let rest = text::known_flags(c.out, v, n::PERSONALITY, "|");
            if rest != 0 {
                let _ = write!(c.out, "|{rest:#x}");
            }
        }
        _ => c.hex(v),
    }
}

fn personality_result(c: &mut Call<'_>, ret: i64) {
    c.hex(ret as u64);
    c.push(" (");
    persona(c, ret as u64);
    c.push(")");
}

fn seccomp_flags(c: &mut Call<'_>, i: usize) {
    if c.low(0) == 1 {
        c.flags(c.low(i), n::SECCOMP_FLAGS, "SECCOMP_FILTER_FLAG_???");
    } else {
        c.hex(c.low(i));
    }
}

/// `struct sock_fprog`.
fn filter(c: &mut Call<'_>, i: usize) {
    if c.low(0) != 1 {
        return c.address(c.value(i));
    }
    c.structure(i, c.fixed(i), |c, d| {
        let _ = write!(c.out, "{{len={}, filter=", text::u16_at(d, 0)?);
        c.address(u64_at(d, 8)?);
        c.push("}");
        Some(())
    });
}
