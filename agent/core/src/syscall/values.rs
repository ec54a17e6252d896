//! Structures and constants of the kernel's interface, as strace prints them.

use std::fmt::Write;

use super::flags as f;
use super::text::{self, i32_at, i64_at, u16_at, u32_at, u64_at};

/// `struct epoll_event` is packed on x86-64 alone (`EPOLL_PACKED`).
pub(super) const EPOLL_EVENT: usize = if cfg!(target_arch = "x86_64") { 12 } else { 16 };
const EPOLL_DATA: usize = EPOLL_EVENT - 8;

/// Flags of open(2): the access mode, then the rest.
pub(super) fn open_flags(out: &mut String, v: u64) {
    text::one_of(out, v & 3, f::ACCMODE, "O_???");
    let rest = text::known_flags(out, v & !3, f::OPEN, "|");
    if rest != 0 {
        let _ = write!(out, "|{rest:#x}");
    }
}

/// A socket type with its flags.
pub(super) fn socket_type(out: &mut String, v: u64) {
    text::one_of(out, v & 0xf, f::SOCK_TYPE, "SOCK_???");
    let high = v & !0xf;
    let rest = text::known_flags(out, high, f::SOCK_FLAGS, "|");
    if rest != 0 {
        let _ = write!(out, "|{rest:#x}{}", if rest == high { " /* SOCK_??? */" } else { "" });
    }
}

/// A signal's name, or its number.
pub(super) fn signal(out: &mut String, v: u64) {
    match f::SIGNAL.iter().find(|s| s.0 == v) {
        Some((_, name)) => out.push_str(name),
        None => _ = write!(out, "{}", v as i32),
    }
}

/// Flags of clone(2) and the signal that its lowest byte is.
pub(super) fn clone_flag_names(out: &mut String, clone_flags: u64, exit_signal: u64) {
    let rest = text::known_flags(out, clone_flags, f::CLONE, "");
    let mut separator = if rest == clone_flags { "" } else { "|" };
    if rest != 0 {
        let _ = write!(out, "{separator}{rest:#x}");
        separator = "|";
    }
    if exit_signal != 0 || separator.is_empty() {
        out.push_str(separator);
        signal(out, exit_signal);
    }
}

/// `struct epoll_event`; false, and nothing written, where it is cut.
pub(super) fn epoll_event(out: &mut String, event: &[u8]) -> bool {
    let (Some(events), Some(low), Some(data)) =
        (u32_at(event, 0), u32_at(event, EPOLL_DATA), u64_at(event, EPOLL_DATA))
    else {
        return false;
    };
    out.push_str("{events=");
    text::flags(out, events.into(), f::EPOLL, "EPOLL???");
    let _ = write!(out, ", data={{u32={low}, u64={data}}}}}");
    true
}

/// `struct timespec`; false, and nothing written, where it is cut.
pub(super) fn timespec(out: &mut String, data: &[u8]) -> bool {
    let (Some(sec), Some(nsec)) = (i64_at(data, 0), i64_at(data, 8)) else { return false };
    let _ = write!(out, "{{tv_sec={sec}, tv_nsec={nsec}}}");
    true
}

/// The descriptors in an `fd_set`, below `nfds`.
pub(super) fn fds(data: &[u8], nfds: i32) -> impl Iterator<Item = usize> + '_ {
    let bits = data.len().saturating_mul(8).min(usize::try_from(nfds).unwrap_or(0));
    // Bits count from the low end of machine words; both architectures are little-endian.
    (0..bits).filter(|n| data.get(n / 8).is_some_and(|byte| byte >> (n % 8) & 1 == 1))
}

/// `[3 5]`.
pub(super) fn fd_set(out: &mut String, data: &[u8], nfds: i32) {
    out.push('[');
    for (i, fd) in fds(data, nfds).enumerate() {
        let _ = write!(out, "{}{fd}", if i == 0 { "" } else { " " });
    }
    out.push(']');
}

/// `struct flock` (`asm-generic/fcntl.h`).
pub(super) fn flock(out: &mut String, data: &[u8], with_pid: bool) -> bool {
    let (Some(kind), Some(whence), Some(start), Some(len), Some(pid)) =
        (u16_at(data, 0), u16_at(data, 2), i64_at(data, 8), i64_at(data, 16), i32_at(data, 24))
    else {
        return false;
    };
    out.push_str("{l_type=");
    text::one_of(out, kind.into(), f::LOCK_TYPE, "F_???");
    out.push_str(", l_whence=");
    text::one_of(out, whence.into(), f::WHENCE, "SEEK_???");
    let _ = write!(out, ", l_start={start}, l_len={len}");
    if with_pid {
        let _ = write!(out, ", l_pid={pid}");
    }
    out.push('}');
    true
}

/// What strace adds to results of fcntl(2) that are sets of flags or constants.
pub(super) fn fcntl_result(out: &mut String, command: u64, ret: i64) {
    let flags = ret as u64;
    match command {
        // strace turns these results to hexadecimal.
        1 if ret != 0 => {
            out.push_str(" (flags ");
            text::flags(out, flags, f::FD_FLAGS, "FD_???");
            out.push(')');
        }
        3 => {
            out.push_str(" (flags ");
            open_flags(out, flags);
            out.push(')');
        }
        11 if ret != 0 => {
            out.push_str(" (");
            signal(out, flags);
            out.push(')');
        }
        1025 => {
            out.push_str(" (");
            text::one_of(out, flags, f::LOCK_TYPE, "F_???");
            out.push(')');
        }
        _ => {}
    }
}

/// A request of ioctl(2) by name, or taken apart.
pub(super) fn ioctl_request(out: &mut String, v: u64) {
    if let Some((_, name)) = f::IOCTL.iter().find(|n| n.0 == v) {
        out.push_str(name);
        return;
    }
    // asm-generic/ioctl.h: direction, size, type, number.
    out.push_str(match v >> 30 & 3 {
        0 => "_IOC(_IOC_NONE, ",
        1 => "_IOC(_IOC_WRITE, ",
        2 => "_IOC(_IOC_READ, ",
        _ => "_IOC(_IOC_READ|_IOC_WRITE, ",
    });
    text::hex(out, v >> 8 & 0xff);
    out.push_str(", ");
    text::hex(out, v & 0xff);
    out.push_str(", ");
    text::hex(out, v >> 16 & 0x3fff);
    out.push(')');
}

/// A status as wait(2) reports it.
pub(super) fn wait_status(out: &mut String, status: u32) {
    let signal_number = u64::from(status & 0x7f);
    let high = u64::from(status >> 8 & 0xff);
    match signal_number {
        _ if status == 0xffff => out.push_str("[{WIFCONTINUED(s)}]"),
        0 => _ = write!(out, "[{{WIFEXITED(s) && WEXITSTATUS(s) == {high}}}]"),
        0x7f => {
            out.push_str("[{WIFSTOPPED(s) && WSTOPSIG(s) == ");
            signal(out, high);
            out.push_str("}]");
        }
        _ => {
            out.push_str("[{WIFSIGNALED(s) && WTERMSIG(s) == ");
            signal(out, signal_number);
            out.push_str(if status & 0x80 != 0 { " && WCOREDUMP(s)}]" } else { "}]" });
        }
    }
}
