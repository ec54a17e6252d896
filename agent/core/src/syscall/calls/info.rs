//! What a process asks about itself, its limits and the machine; users and scheduling.

use std::fmt::Write;

use super::time::timespec;
use crate::syscall::call::Call;
use crate::syscall::names::process as n;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Flags, Hex32, Id, In, Int, OneOf, Out, Ptr, Size, Uint, With};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::text::{self, i32_at, i64_at, u16_at, u32_at, u64_at};

const RESOURCE: Arg = OneOf(n::RLIMIT, "RLIMIT_???");
const POLICY: Arg = With(|c, i| policy(c, c.low(i)));
const WHO: Arg = OneOf(n::PRIORITY, "PRIO_???");

pub(super) const CALLS: &[Shape] = &[
    call("getrandom", &[With(random), Size, Flags(n::GRND, "GRND_???")]).reads(&[spec(0, K::BufferByRet, 0)]),
    call("uname", &[Out(390, utsname)]),
    call("sysinfo", &[Out(112, sysinfo)]),
    call("times", &[Out(32, tms)]),
    call("getrusage", &[OneOf(n::RUSAGE, "RUSAGE_???"), Out(144, rusage)]),
    call("getrlimit", &[RESOURCE, Out(16, rlimit)]),
    call("setrlimit", &[RESOURCE, In(16, rlimit)]),
    call("prlimit64", &[Int, RESOURCE, In(16, rlimit64), Out(16, rlimit64)]),
    call("getpriority", &[WHO, Int]),
    call("setpriority", &[WHO, Int, Int]),
    call("getcpu", &[Out(4, uint), Out(4, uint), Ptr]),
    call("sched_yield", &[]),
    call("sched_getaffinity", &[Int, Size, With(cpu_set_out)]).reads(&[spec(2, K::StructByRet, 1)]),
    call("sched_setaffinity", &[Int, Size, With(cpu_set_in)]).reads(&[spec(2, K::StructByArg, 1)]),
    call("sched_getscheduler", &[Int]).ret(Ret::With(policy_result)),
    call("sched_setscheduler", &[Int, POLICY, In(4, param)]),
    call("sched_getparam", &[Int, Out(4, param)]),
    call("sched_setparam", &[Int, In(4, param)]),
    call("sched_get_priority_max", &[POLICY]),
    call("sched_get_priority_min", &[POLICY]),
    call("sched_rr_get_interval", &[Int, Out(16, timespec)]),
    call("sched_getattr", &[Int, Out(48, attributes), Uint, Hex32]),
    call("sched_setattr", &[Int, In(48, attributes), Hex32]),
    call("getgroups", &[Int, With(groups_out)]).reads(&[spec(1, K::StructByRet, 4)]),
    call("setgroups", &[Int, With(groups_in)]).reads(&[spec(1, K::StructByArg, 4 << 8)]),
    call("getresuid", &[Out(4, uint), Out(4, uint), Out(4, uint)]),
    call("getresgid", &[Out(4, uint), Out(4, uint), Out(4, uint)]),
    call("setuid", &[Id]),
    call("setgid", &[Id]),
    call("capget", &[With(cap_header), With(cap_data)]).reads(&[spec(0, K::Fixed, 8), spec(1, K::Fixed, 24)]),
    call("capset", &[With(cap_header), With(cap_data)]).reads(&[spec(0, K::Fixed, 8), spec(1, K::Fixed, 24)]),
    call("syslog", &[Int, Ptr, Int]),
];

/// Random bytes are no text: strace has them in hexadecimal throughout.
fn random(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::BufferByRet) {
        Some(read) if !c.failed() => {
            let always = crate::syscall::HexStrings::Always;
            let full = c.returned();
            text::quoted(c.out, &read.data, full, c.opts.string_limit, always);
        }
        _ => c.address(c.value(i)),
    }
}

/// `struct new_utsname`: six strings of 65 bytes.
fn utsname(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let names = ["sysname", "nodename", "release", "version", "machine", "domainname"];
    for (k, name) in names.iter().enumerate() {
        if !c.opts.verbose && k >= 2 {
            break;
        }
        let field = d.get(k * 65..(k + 1) * 65)?.split(|b| *b == 0).next()?;
        let _ = write!(c.out, "{}{name}=", if k == 0 { "{" } else { ", " });
        text::quoted(c.out, field, field.len() as u64, u32::MAX, c.opts.hex_strings);
    }
    c.push(if c.opts.verbose { "}" } else { ", ...}" });
    Some(())
}

/// `struct sysinfo` (`linux/sysinfo.h`).
fn sysinfo(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(
        c.out,
        "{{uptime={}, loads=[{}, {}, {}], totalram={}, freeram={}, sharedram={}, bufferram={}, totalswap={}, freeswap={}, procs={}, totalhigh={}, freehigh={}, mem_unit={}}}",
        i64_at(d, 0)?,
        u64_at(d, 8)?,
        u64_at(d, 16)?,
        u64_at(d, 24)?,
        u64_at(d, 32)?,
        u64_at(d, 40)?,
        u64_at(d, 48)?,
        u64_at(d, 56)?,
        u64_at(d, 64)?,
        u64_at(d, 72)?,
        u16_at(d, 80)?,
        u64_at(d, 88)?,
        u64_at(d, 96)?,
        u32_at(d, 104)?,
    );
    Some(())
}

fn tms(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    for (k, name) in ["utime", "stime", "cutime", "cstime"].iter().enumerate() {
        let _ = write!(c.out, "{}tms_{name}=", if k == 0 { "{" } else { ", " });
        ticks(c.out, i64_at(d, k * 8)?);
    }
    c.push("}");
    Some(())
}

/// A time in ticks of the clock, of which user space has 100 in a second: `7 /* 0.07 s */`.
pub(in crate::syscall) fn ticks(out: &mut String, n: i64) {
    let _ = write!(out, "{n}");
    if n != 0 {
        let _ = write!(out, " /* {}.{:02} s */", n / 100, n.unsigned_abs() % 100);
    }
}

/// `struct rusage` (`linux/resource.h`).
pub(super) fn rusage(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(
        c.out,
        "{{ru_utime={{tv_sec={}, tv_usec={}}}, ru_stime={{tv_sec={}, tv_usec={}}}, ",
        i64_at(d, 0)?,
        i64_at(d, 8)?,
        i64_at(d, 16)?,
        i64_at(d, 24)?
    );
    if !c.opts.verbose {
        c.push("...}");
        return Some(());
    }
    let names = [
        "maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock", "msgsnd",
        "msgrcv", "nsignals", "nvcsw", "nivcsw",
    ];
    for (k, name) in names.iter().enumerate() {
        let _ = write!(c.out, "{}ru_{name}={}", if k == 0 { "" } else { ", " }, i64_at(d, 32 + k * 8)?);
    }
    c.push("}");
    Some(())
}

/// A limit as strace writes it: in units of 1024 where it is a multiple, or infinite.
fn limit(c: &mut Call<'_>, v: u64, infinity: &str) {
    let _ = match v {
        u64::MAX => write!(c.out, "{infinity}"),
        _ if v > 1024 && v.is_multiple_of(1024) => write!(c.out, "{}*1024", v / 1024),
        _ => write!(c.out, "{v}"),
    };
}

fn limits(c: &mut Call<'_>, d: &[u8], infinity: &str) -> Option<()> {
    let (soft, hard) = (u64_at(d, 0)?, u64_at(d, 8)?);
    c.push("{rlim_cur=");
    limit(c, soft, infinity);
    c.push(", rlim_max=");
    limit(c, hard, infinity);
    c.push("}");
    Some(())
}

fn rlimit(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    limits(c, d, "RLIM_INFINITY")
}

fn rlimit64(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    limits(c, d, "RLIM64_INFINITY")
}

fn uint(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(c.out, "[{}]", u32_at(d, 0)?);
    Some(())
}

fn policy(c: &mut Call<'_>, v: u64) {
    const RESET_ON_FORK: u64 = 0x4000_0000;
    let known = n::SCHED.iter().any(|p| p.0 == v & !RESET_ON_FORK);
    c.one_of(if known { v & !RESET_ON_FORK } else { v }, n::SCHED, "SCHED_???");
    if known && v & RESET_ON_FORK != 0 {
        c.push("|SCHED_RESET_ON_FORK");
    }
}

fn policy_result(c: &mut Call<'_>, ret: i64) {
    let _ = write!(c.out, "{ret} (");
    policy(c, ret as u64);
    c.push(")");
}

fn param(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(c.out, "[{}]", i32_at(d, 0)?);
    Some(())
}

/// `struct sched_attr` (`linux/sched/types.h`).
fn attributes(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(c.out, "{{size={}, sched_policy=", u32_at(d, 0)?);
    policy(c, u32_at(d, 4)?.into());
    c.push(", sched_flags=");
    c.flags(u64_at(d, 8)?, n::SCHED_FLAGS, "SCHED_FLAG_???");
    let _ = write!(
        c.out,
        ", sched_nice={}, sched_priority={}, sched_runtime={}, sched_deadline={}, sched_period={}}}",
        i32_at(d, 16)?,
        u32_at(d, 20)?,
        u64_at(d, 24)?,
        u64_at(d, 32)?,
        u64_at(d, 40)?
    );
    Some(())
}

/// Processors of a set: `[0 1]`.
fn cpu_set(c: &mut Call<'_>, data: &[u8]) {
    c.push("[");
    let mut separator = "";
    for cpu in (0..data.len() * 8).filter(|n| data[n / 8] >> (n % 8) & 1 == 1) {
        let _ = write!(c.out, "{separator}{cpu}");
        separator = " ";
    }
    c.push("]");
}

fn cpu_set_out(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::StructByRet) {
        Some(read) if !c.failed() => cpu_set(c, &read.data),
        _ => c.address(c.value(i)),
    }
}

fn cpu_set_in(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::StructByArg) {
        Some(read) => cpu_set(c, &read.data),
        _ => c.address(c.value(i)),
    }
}

fn group(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    c.id(u32_at(d, 0)?);
    Some(())
}

fn groups_out(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::StructByRet) {
        Some(read) if c.int(0) > 0 && !c.failed() => c.array(&read.data, 4, c.returned(), group),
        None if c.value(i) != 0 && c.ret() == Some(0) => c.push("[]"),
        _ => c.address(c.value(i)),
    }
}

fn groups_in(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::StructByArg) {
        Some(read) if c.int(0) > 0 => c.array(&read.data, 4, c.low(0), group),
        _ if c.int(0) == 0 && c.value(i) != 0 => c.push("[]"),
        _ => c.address(c.value(i)),
    }
}

/// `struct __user_cap_header_struct` (`linux/capability.h`).
fn cap_header(c: &mut Call<'_>, i: usize) {
    c.structure(i, c.fixed(i), |c, d| {
        let version = u32_at(d, 0)?;
        c.push("{version=");
        match version {
            0x1998_0330 => c.push("_LINUX_CAPABILITY_VERSION_1"),
            0x2007_1026 => c.push("_LINUX_CAPABILITY_VERSION_2"),
            0x2008_0522 => c.push("_LINUX_CAPABILITY_VERSION_3"),
            other => {
                c.hex(other.into());
                c.push(" /* _LINUX_CAPABILITY_VERSION_??? */");
            }
        }
        let _ = write!(c.out, ", pid={}}}", i32_at(d, 4)?);
        Some(())
    });
}

/// Two `struct __user_cap_data_struct`, the lower bits in the first.
fn cap_data(c: &mut Call<'_>, i: usize) {
    let written = c.name() == "capset" || !c.failed();
    c.structure(i, c.fixed(i).filter(|_| written), |c, d| {
        for (k, name) in ["effective", "permitted", "inheritable"].iter().enumerate() {
            let _ = write!(c.out, "{}{name}=", if k == 0 { "{" } else { ", " });
            capabilities(c, u64::from(u32_at(d, k * 4)?) | u64::from(u32_at(d, 12 + k * 4)?) << 32);
        }
        c.push("}");
        Some(())
    });
}

fn capabilities(c: &mut Call<'_>, bits: u64) {
    let mut separator = "";
    let mut unknown = bits;
    for (bit, name) in n::CAPABILITY {
        if bits >> bit & 1 == 1 {
            let _ = write!(c.out, "{separator}1<<{name}");
            separator = "|";
            unknown &= !(1 << bit);
        }
    }
    if unknown != 0 || bits == 0 {
        c.push(separator);
        c.hex(unknown);
    }
}
