//! Arguments of syscalls: which of them are decoded, and how.

use std::fmt::Write;

use super::flags as f;
use super::text::{self, i32_at, i64_at, u16_at, u32_at, u64_at};
use super::values::{
    EPOLL_EVENT, clone_flag_names, epoll_event, fcntl_result, fd_set, fds, flock, ioctl_request, open_flags,
    signal, socket_type, timespec, wait_status,
};
use super::{CaptureKind, RenderOptions, sockaddr, sockopt};
use crate::event::{Capture, SyscallEvent};

/// Arrays are cut after so many elements, as strace does without `-v`.
const ARRAY_MAX: usize = 32;
/// `struct iovec`, `struct pollfd`.
const IOVEC: usize = 16;
const POLLFD: usize = 8;

const AT_FDCWD: i32 = -100;
const O_CREAT: u64 = 0x40;
const O_TMPFILE: u64 = 0x40_0000;

/// How many of a call's arguments are known before it returns: the first of those after them is what it writes. Of
/// calls that can sleep only, since nobody sees the others in between.
fn known_at_entry(name: &str) -> usize {
    match name {
        "pipe" | "pipe2" => 0,
        "read" | "pread64" | "readv" | "preadv" | "preadv2" | "recvfrom" | "recvmsg" | "recvmmsg"
        | "accept" | "accept4" | "getsockname" | "getpeername" | "wait4" | "epoll_wait" | "epoll_pwait"
        | "epoll_pwait2" | "nanosleep" | "rt_sigtimedwait" | "getdents64" | "stat" | "lstat" | "fstat"
        | "getrandom" | "msgrcv" => 1,
        "waitid" | "newfstatat" | "readlinkat" => 2,
        "getsockopt" | "clock_nanosleep" | "ioctl" => 3,
        "statx" => 4,
        _ => usize::MAX,
    }
}

/// A call that is being printed.
pub(super) struct Call<'a> {
    ev: &'a SyscallEvent,
    name: &'static str,
    signature: &'static str,
    opts: &'a RenderOptions,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        ev: &'a SyscallEvent,
        name: &'static str,
        signature: &'static str,
        opts: &'a RenderOptions,
    ) -> Self {
        Self { ev, name, signature, opts }
    }

    fn value(&self, i: usize) -> u64 {
        self.ev.args.get(i).copied().unwrap_or(0)
    }

    fn int(&self, i: usize) -> i32 {
        self.value(i) as i32
    }

    fn failed(&self) -> bool {
        self.ev.ret.is_none_or(|r| r < 0)
    }

    /// Bytes moved, or whatever else the call counted.
    fn returned(&self) -> u64 {
        self.ev.ret.and_then(|r| u64::try_from(r).ok()).unwrap_or(0)
    }

    /// What was read at argument `i`; `None` where it couldn't be.
    fn capture(&self, i: usize, kind: CaptureKind) -> Option<&'a Capture> {
        let found = self.ev.captures.iter().find(|c| usize::from(c.arg) == i && c.kind == kind as u8)?;
        (found.full_len == 0 || !found.data.is_empty()).then_some(found)
    }

    fn fixed(&self, i: usize) -> Option<&'a [u8]> {
        self.capture(i, CaptureKind::Fixed).map(|c| c.data.as_slice())
    }

    /// All arguments, with commas between them. Returns where those begin that are known at the exit only.
    pub(super) fn args(&self, out: &mut String) -> usize {
        if self.name == "clone" {
            self.clone_args(out);
            return out.len();
        }
        let known = known_at_entry(self.name);
        let mut at_exit = None;
        let mut separator = "";
        for (i, letter) in self.signature.bytes().enumerate().take(self.count()) {
            if i == 4 && matches!(self.name, "preadv2" | "pwritev2") {
                // The upper half of the offset, always 0 where a register holds all of it.
                continue;
            }
            out.push_str(separator);
            separator = ", ";
            if i == known {
                at_exit = Some(out.len());
            }
            if !self.decoded(i, out) {
                self.plain(i, letter, out);
            }
        }
        at_exit.unwrap_or(out.len())
    }

    /// How many arguments the call has: the last may depend on the others.
    fn count(&self) -> usize {
        let creates = |flags: u64| flags & (O_CREAT | O_TMPFILE) != 0;
        let last = match (self.name, self.value(1)) {
            ("open", flags) => creates(flags),
            ("openat", _) => creates(self.value(2)),
            // F_GETFD, F_GETFL, F_GETOWN, F_GETSIG, F_GETLEASE, F_GETPIPE_SZ, F_GET_SEALS
            ("fcntl", 1 | 3 | 9 | 11 | 1025 | 1032 | 1034) => false,
            // FIONCLEX, FIOCLEX
            ("ioctl", 0x5450 | 0x5451) => false,
            _ => true,
        };
        self.signature.len() - usize::from(!last && !self.signature.is_empty())
    }

    /// By the letter of the signature.
    fn plain(&self, i: usize, letter: u8, out: &mut String) {
        let v = self.value(i);
        match letter {
            b'D' if v as i32 == AT_FDCWD => out.push_str("AT_FDCWD"),
            b'f' | b'D' | b'd' => _ = write!(out, "{}", v as i32),
            b'l' => _ = write!(out, "{}", v as i64),
            b'i' if v as u32 == u32::MAX => out.push_str("-1"),
            b'i' => _ = write!(out, "{}", v as u32),
            b'u' => _ = write!(out, "{v}"),
            b'o' => text::mode(out, v & 0xffff),
            b's' => self.path(i, out),
            b'x' => text::hex(out, v),
            _ => text::address(out, v),
        }
    }

    /// Arguments that have a meaning of their own; false where argument `i` has none.
    fn decoded(&self, i: usize, out: &mut String) -> bool {
        use CaptureKind as K;
        let v = self.value(i);
        let low = v & 0xffff_ffff;
        match (self.name, i) {
            ("read" | "recvfrom" | "pread64", 1) => self.buffer(i, K::BufferByRet, out),
            ("write" | "sendto" | "pwrite64", 1) => self.buffer(i, K::BufferByArg, out),
            ("recvfrom" | "sendto", 3) => text::flags(out, low, f::MSG, "MSG_???"),
            ("sendmsg" | "recvmsg", 2) | ("sendmmsg" | "recvmmsg", 3) => {
                text::flags(out, low, f::MSG, "MSG_???")
            }
            ("sendto", 4) | ("connect" | "bind", 1) => self.sockaddr(i, K::Sockaddr, out),
            ("recvfrom", 4) | ("accept" | "accept4" | "getsockname" | "getpeername", 1) => {
                self.sockaddr(i, K::SockaddrByPtr, out);
            }
            ("recvfrom", 5)
            | ("accept" | "accept4" | "getsockname" | "getpeername", 2)
            | ("getsockopt", 4) => {
                self.pointed_int(i, out);
            }
            ("sendmsg" | "recvmsg", 1) => self.msghdr(i, out),
            ("readv" | "preadv" | "preadv2", 1) => self.iovec(i, false, out),
            ("writev" | "pwritev" | "pwritev2" | "vmsplice", 1) => self.iovec(i, true, out),
            ("preadv2" | "pwritev2", 3) => _ = write!(out, "{}", v as i64),
            ("preadv2" | "pwritev2", 5) => text::flags(out, low, f::RWF, "RWF_???"),
            ("poll" | "ppoll", 0) => self.pollfds(out, false),
            ("epoll_wait" | "epoll_pwait" | "epoll_pwait2", 1) => self.epoll_events(i, out),
            ("epoll_ctl", 1) => text::one_of(out, low, f::EPOLL_CTL, "EPOLL_CTL_???"),
            ("epoll_ctl", 3) => match self.fixed(i).filter(|_| self.value(1) != 2) {
                Some(data) if epoll_event(out, data) => {}
                _ => text::address(out, v),
            },
            ("epoll_create1", 0) => text::flags(out, low, f::EPOLL_CREATE, "EPOLL_???"),
            ("epoll_pwait2", 3) | ("nanosleep", 0) | ("clock_nanosleep", 2) => self.timespec(i, out),
            ("select", 1..=3) | ("pselect6", 1..=3) => self.fd_set_before(i, out),
            ("socket" | "socketpair", 0) => text::one_of(out, low, f::AF, "AF_???"),
            ("socket" | "socketpair", 1) => socket_type(out, low),
            ("socket" | "socketpair", 2) => self.protocol(out),
            ("socketpair", 3) | ("pipe" | "pipe2", 0) => self.fd_pair(i, out),
            ("accept4", 3) => text::flags(out, low, f::SOCK_FLAGS, "SOCK_???"),
            ("shutdown", 1) => text::one_of(out, low, f::SHUT, "SHUT_???"),
            ("setsockopt" | "getsockopt", 1) => sockopt::level(out, low),
            ("setsockopt" | "getsockopt", 2) => sockopt::option(out, self.value(1) & 0xffff_ffff, low),
            ("setsockopt" | "getsockopt", 3) => self.option_value(i, out),
            ("fcntl", 1) => text::one_of(out, low, f::FCNTL, "F_???"),
            ("fcntl", 2) => self.fcntl_arg(out),
            ("ioctl", 1) => ioctl_request(out, low),
            ("ioctl", 2) => self.ioctl_arg(out),
            ("open", 1) | ("openat", 2) => open_flags(out, low),
            ("dup3", 2) | ("pipe2", 1) => text::flags(out, low, f::OPEN, "O_???"),
            ("eventfd2", 1) => text::flags(out, low, f::EVENTFD, "EFD_???"),
            ("splice", 5) | ("tee" | "vmsplice", 3) => text::flags(out, low, f::SPLICE, "SPLICE_F_???"),
            ("splice" | "copy_file_range", 1 | 3) => self.offset_before(i, out),
            ("sendfile", 2) => self.sendfile_offset(out),
            ("lseek", 2) => text::one_of(out, low, f::WHENCE, "SEEK_???"),
            ("access", 1) | ("faccessat" | "faccessat2", 2) => text::flags(out, low, f::ACCESS, "?_OK"),
            ("newfstatat" | "statx" | "execveat", _) if i == self.at_flags() => {
                text::flags(out, low, f::AT, "AT_???");
            }
            ("execve", 1) | ("execveat", 2) => self.argv(i, out),
            ("wait4", 1) => self.wait_status(out),
            ("wait4", 2) => text::flags(out, low, f::WAIT, "W???"),
            ("kill" | "tkill", 1) | ("tgkill", 2) => signal(out, low),
            ("clone3", 0) => self.clone3_args(out),
            ("unshare", 0) => text::flags(out, v, f::CLONE, "CLONE_???"),
            ("setns", 1) => text::flags(out, low, f::CLONE, "CLONE_NEW???"),
            _ => return false,
        }
        true
    }

    /// Index of the `AT_*` flags of the calls that [`Self::decoded`] names.
    fn at_flags(&self) -> usize {
        match self.name {
            "newfstatat" => 3,
            "statx" => 2,
            _ => 4,
        }
    }

    /// What strace says behind the result.
    pub(super) fn tail(&self, out: &mut String) {
        match (self.name, self.ev.ret) {
            ("poll" | "ppoll" | "select" | "pselect6", Some(0)) => out.push_str(" (Timeout)"),
            ("poll" | "ppoll", Some(1..)) => self.polled(out),
            ("select" | "pselect6", Some(1..)) => self.selected(out),
            ("fcntl", Some(ret @ 0..)) => fcntl_result(out, self.value(1), ret),
            _ => {}
        }
    }

    fn quoted(&self, out: &mut String, data: &[u8], full: u64) {
        text::quoted(out, data, full, self.opts.string_limit, self.opts.hex_strings);
    }

    /// A path: strace doesn't cut those.
    fn path(&self, i: usize, out: &mut String) {
        let Some(c) = self.capture(i, CaptureKind::CString).filter(|_| self.value(i) != 0) else {
            return text::address(out, self.value(i));
        };
        let path = c.data.split(|b| *b == 0).next().unwrap_or_default();
        let cut = path.len() == c.data.len() && c.full_len as usize > path.len();
        let full = path.len() as u64 + u64::from(cut);
        text::quoted(out, path, full, u32::MAX, self.opts.hex_strings);
    }

    fn buffer(&self, i: usize, kind: CaptureKind, out: &mut String) {
        let (full, known) = match kind {
            CaptureKind::BufferByRet => (self.returned(), !self.failed()),
            _ => (self.value(2), true),
        };
        match self.capture(i, kind) {
            Some(c) if known && self.value(i) != 0 => self.quoted(out, &c.data, full.max(c.full_len.into())),
            // A buffer without bytes needs no capture.
            None if known && full == 0 && self.value(i) != 0 => out.push_str("\"\""),
            _ => text::address(out, self.value(i)),
        }
    }

    fn sockaddr(&self, i: usize, kind: CaptureKind, out: &mut String) {
        let given = kind == CaptureKind::Sockaddr || !self.failed();
        let c = self.capture(i, kind).filter(|c| given && c.full_len >= 2 && self.value(i) != 0);
        if !c.is_some_and(|c| sockaddr::sockaddr(out, &c.data)) {
            text::address(out, self.value(i));
        }
    }

    /// An `int` behind a pointer: `[16]`.
    fn pointed_int(&self, i: usize, out: &mut String) {
        match self.fixed(i).and_then(|data| i32_at(data, 0)) {
            Some(n) => _ = write!(out, "[{n}]"),
            None => text::address(out, self.value(i)),
        }
    }

    /// `struct user_msghdr` (`linux/socket.h`).
    fn msghdr(&self, i: usize, out: &mut String) {
        let header = self.capture(i, CaptureKind::Msghdr).map(|c| c.data.as_slice());
        let Some(h @ [_, ..]) = header.filter(|h| h.len() >= 56) else {
            return text::address(out, self.value(i));
        };
        let field = |offset| u64_at(h, offset).unwrap_or(0);
        let (name, name_len) = (field(0), i32_at(h, 8).unwrap_or(0));
        let sends = self.name == "sendmsg";
        if self.failed() && !sends {
            let _ = write!(out, "{{msg_namelen={name_len}}}");
            return;
        }
        out.push_str("{msg_name=");
        let address = self.capture(i, CaptureKind::MsgName).filter(|c| c.full_len >= 2 && name != 0);
        if !address.is_some_and(|c| sockaddr::sockaddr(out, &c.data)) {
            text::address(out, name);
        }
        let _ = write!(out, ", msg_namelen={name_len}, msg_iov=");
        self.iovec_at(i, field(16), field(24), sends, out);
        let _ = write!(out, ", msg_iovlen={}", field(24));
        if field(40) != 0 {
            out.push_str(", msg_control=");
            text::address(out, field(32));
        }
        let _ = write!(out, ", msg_controllen={}, msg_flags=", field(40));
        text::flags(out, u32_at(h, 48).unwrap_or(0).into(), f::MSG, "MSG_???");
        out.push('}');
    }

    fn iovec(&self, i: usize, writes: bool, out: &mut String) {
        self.iovec_at(i, self.value(i), self.value(2), writes, out);
    }

    /// The iovecs that argument `i` led to, with their data, which was read as one piece.
    fn iovec_at(&self, i: usize, address: u64, count: u64, writes: bool, out: &mut String) {
        let iovecs = self.capture(i, CaptureKind::Iovec).map_or(&[][..], |c| &c.data);
        if address == 0 || (count > 0 && iovecs.len() < IOVEC) {
            return text::address(out, address);
        }
        let mut data = self.capture(i, CaptureKind::IovData).map_or(&[][..], |c| &c.data);
        let mut moved = self.returned();
        let mut separator = "[";
        for iovec in
            iovecs.chunks_exact(IOVEC).take(usize::try_from(count).unwrap_or(usize::MAX).min(ARRAY_MAX))
        {
            let (base, len) = (u64_at(iovec, 0).unwrap_or(0), u64_at(iovec, 8).unwrap_or(0));
            let filled = if writes { len } else { len.min(moved) };
            moved = moved.saturating_sub(len);
            let read = data.len().min(usize::try_from(filled).unwrap_or(usize::MAX));
            let (mine, rest) = data.split_at(read);
            data = rest;
            out.push_str(separator);
            separator = ", ";
            out.push_str("{iov_base=");
            if base == 0 || (filled > 0 && mine.is_empty()) || (!writes && self.failed()) {
                text::address(out, base);
            } else {
                self.quoted(out, mine, filled);
            }
            let _ = write!(out, ", iov_len={len}}}");
        }
        let _ = write!(out, "{}", if separator == "[" { "[" } else { "" });
        let shown = (iovecs.len() / IOVEC).min(ARRAY_MAX) as u64;
        out.push_str(if count > shown { ", ...]" } else { "]" });
    }

    /// The descriptors polled, with their events, or those that are ready, with what happened.
    fn pollfds(&self, out: &mut String, ready: bool) {
        let count = self.value(1) & 0xffff_ffff;
        let Some(c) = self.capture(0, CaptureKind::Pollfds).filter(|_| self.value(0) != 0) else {
            return match (self.value(0), count) {
                (1.., 0) => out.push_str("[]"),
                (v, _) => text::address(out, v),
            };
        };
        let mut separator = "[";
        for entry in c.data.chunks_exact(POLLFD).take(ARRAY_MAX) {
            let (Some(fd), Some(events), Some(revents)) =
                (i32_at(entry, 0), u16_at(entry, 4), u16_at(entry, 6))
            else {
                break;
            };
            if ready && revents == 0 {
                continue;
            }
            let _ = write!(out, "{separator}{{fd={fd}");
            separator = ", ";
            if ready {
                out.push_str(", revents=");
                text::flags(out, revents.into(), f::POLL, "POLL???");
            } else if fd >= 0 {
                out.push_str(", events=");
                text::flags(out, events.into(), f::POLL, "POLL???");
            }
            out.push('}');
        }
        out.push_str(if separator == "[" { "[" } else { "" });
        let shown = (c.data.len() / POLLFD).min(ARRAY_MAX) as u64;
        out.push_str(match (count > shown, separator) {
            (true, ", ") => ", ...]",
            (true, _) => "...]",
            (false, _) => "]",
        });
    }

    fn polled(&self, out: &mut String) {
        if self.capture(0, CaptureKind::Pollfds).is_none() {
            return;
        }
        out.push_str(" (");
        self.pollfds(out, true);
        if self.name == "ppoll"
            && let Some(left) = self.fixed(2)
        {
            out.push_str(", left ");
            timespec(out, left);
        }
        out.push(')');
    }

    fn epoll_events(&self, i: usize, out: &mut String) {
        let c = self.capture(i, CaptureKind::EpollEvents);
        match c.map(|c| c.data.as_slice()) {
            Some(data) if self.returned() > 0 && data.len() >= EPOLL_EVENT => {
                let mut separator = "[";
                for event in data.chunks_exact(EPOLL_EVENT).take(ARRAY_MAX) {
                    out.push_str(separator);
                    separator = ", ";
                    epoll_event(out, event);
                }
                let shown = (data.len() / EPOLL_EVENT).min(ARRAY_MAX) as u64;
                out.push_str(if self.returned() > shown { ", ...]" } else { "]" });
            }
            _ if self.ev.ret == Some(0) && self.value(i) != 0 => out.push_str("[]"),
            _ => text::address(out, self.value(i)),
        }
    }

    fn timespec(&self, i: usize, out: &mut String) {
        match self.fixed(i) {
            Some(data) if timespec(out, data) => {}
            _ => text::address(out, self.value(i)),
        }
    }

    /// The kernel leaves the sets alone only when the call fails: otherwise what was asked is overwritten.
    fn fd_set_before(&self, i: usize, out: &mut String) {
        match self.fixed(i) {
            Some(data) if self.failed() => fd_set(out, data, self.int(0)),
            _ => text::address(out, self.value(i)),
        }
    }

    fn selected(&self, out: &mut String) {
        let mut separator = " (";
        for (i, name) in [(1, "in"), (2, "out"), (3, "except")] {
            let Some(data) = self.fixed(i).filter(|d| fds(d, self.int(0)).next().is_some()) else { continue };
            let _ = write!(out, "{separator}{name} ");
            separator = ", ";
            fd_set(out, data, self.int(0));
        }
        out.push_str(if separator == ", " { ")" } else { "" });
    }

    fn protocol(&self, out: &mut String) {
        let v = self.value(2) & 0xffff_ffff;
        match self.value(0) & 0xffff_ffff {
            2 | 10 => text::one_of(out, v, f::IPPROTO, "IPPROTO_???"),
            16 => text::one_of(out, v, f::NETLINK_PROTO, "NETLINK_???"),
            17 => {
                out.push_str("htons(");
                text::one_of(out, u16::from_be(v as u16).into(), f::ETH_P, "ETH_P_???");
                out.push(')');
            }
            _ => _ = write!(out, "{v}"),
        }
    }

    fn fd_pair(&self, i: usize, out: &mut String) {
        match self.fixed(i).filter(|_| !self.failed()).map(|d| (i32_at(d, 0), i32_at(d, 4))) {
            Some((Some(a), Some(b))) => _ = write!(out, "[{a}, {b}]"),
            _ => text::address(out, self.value(i)),
        }
    }

    fn option_value(&self, i: usize, out: &mut String) {
        let set = self.name == "setsockopt";
        let kind = if set { CaptureKind::BufferByArg } else { CaptureKind::FixedByPtrLen };
        let (level, option) = (self.value(1) & 0xffff_ffff, self.value(2) & 0xffff_ffff);
        let c = self.capture(i, kind).filter(|c| {
            self.value(i) != 0
                && (set || !self.failed())
                && c.full_len > 0
                && i32::try_from(c.full_len).is_ok()
        });
        let limit = self.opts.string_limit;
        if !c.is_some_and(|c| sockopt::value(out, level, option, &c.data, c.full_len.into(), set, limit)) {
            text::address(out, self.value(i));
        }
    }

    fn fcntl_arg(&self, out: &mut String) {
        let v = self.value(2);
        let low = v & 0xffff_ffff;
        match self.value(1) & 0xffff_ffff {
            // F_DUPFD, F_DUPFD_CLOEXEC, F_SETOWN, F_SETPIPE_SZ
            0 | 1030 | 8 | 1031 => _ = write!(out, "{}", v as i32),
            2 => text::flags(out, low, f::FD_FLAGS, "FD_???"),
            4 => open_flags(out, low),
            10 => signal(out, low),
            command @ (5..=7 | 36..=38) => match self.fixed(2) {
                Some(lock)
                    if self.value(2) != 0
                        && flock(out, lock, matches!(command, 5 | 36) && !self.failed()) => {}
                _ => text::address(out, v),
            },
            15 | 16 => match self.fixed(2).and_then(|d| Some((u32_at(d, 0)?, i32_at(d, 4)?))) {
                Some((kind, pid)) => {
                    out.push_str("{type=");
                    text::one_of(out, kind.into(), f::OWNER_TYPE, "F_OWNER_???");
                    let _ = write!(out, ", pid={pid}}}");
                }
                None => text::address(out, v),
            },
            1024 => text::one_of(out, low, f::LOCK_TYPE, "F_???"),
            _ => text::hex(out, v),
        }
    }

    fn ioctl_arg(&self, out: &mut String) {
        let v = self.value(2);
        match self.value(1) & 0xffff_ffff {
            // FIONREAD, TIOCOUTQ, SIOCATMARK, FIOGETOWN, SIOCGPGRP: ints that the call writes.
            0x541b | 0x5411 | 0x8905 | 0x8903 | 0x8904 if self.failed() => text::address(out, v),
            // FIONBIO, FIOASYNC, FIOSETOWN, SIOCSPGRP: ints that it reads.
            0x541b | 0x5411 | 0x8905 | 0x8903 | 0x8904 | 0x5421 | 0x5452 | 0x8901 | 0x8902 => {
                self.pointed_int(2, out)
            }
            request if f::IOCTL.iter().any(|n| n.0 == request) => text::address(out, v),
            _ => text::hex(out, v),
        }
    }

    /// An offset that the call moved on by what it returned, as it was before.
    fn offset_before(&self, i: usize, out: &mut String) {
        match self.fixed(i).and_then(|d| i64_at(d, 0)) {
            Some(after) => _ = write!(out, "[{}]", after.wrapping_sub_unsigned(self.returned())),
            None => text::address(out, self.value(i)),
        }
    }

    fn sendfile_offset(&self, out: &mut String) {
        self.offset_before(2, out);
        if let Some(after) = self.fixed(2).and_then(|d| i64_at(d, 0)).filter(|_| self.returned() > 0) {
            let _ = write!(out, " => [{after}]");
        }
    }

    /// The new arguments as the process holds them, or those of a call that failed.
    fn argv(&self, i: usize, out: &mut String) {
        let Some(c) =
            self.capture(i, CaptureKind::StringArray).filter(|c| self.value(i) != 0 && !c.data.is_empty())
        else {
            return text::address(out, self.value(i));
        };
        let whole = c.full_len as usize <= c.data.len();
        let (strings, complete) = match c.data.split_last() {
            Some((0, strings)) => (strings, true),
            _ => (c.data.as_slice(), whole),
        };
        let mut left = true;
        let mut count = 0;
        let mut rest = strings;
        out.push('[');
        while left && count < ARRAY_MAX {
            let (string, next) = match rest.iter().position(|b| *b == 0) {
                Some(at) => (&rest[..at], rest.get(at + 1..)),
                None => (rest, None),
            };
            out.push_str(if count == 0 { "" } else { ", " });
            let cut = next.is_none() && !complete;
            self.quoted(out, string, string.len() as u64 + u64::from(cut));
            left = next.is_some();
            rest = next.unwrap_or_default();
            count += 1;
        }
        out.push_str(if left || !whole { ", ...]" } else { "]" });
    }

    fn wait_status(&self, out: &mut String) {
        match self.fixed(1).and_then(|d| u32_at(d, 0)).filter(|_| self.returned() > 0) {
            Some(status) => wait_status(out, status),
            None => text::address(out, self.value(1)),
        }
    }

    fn clone_args(&self, out: &mut String) {
        let clone_flags = self.value(0);
        // The order of the last two differs (CONFIG_CLONE_BACKWARDS).
        let (tls, child_tid) = if cfg!(target_arch = "aarch64") { (3, 4) } else { (4, 3) };
        out.push_str("child_stack=");
        text::address(out, self.value(1));
        out.push_str(", flags=");
        clone_flag_names(out, clone_flags & !0xff, clone_flags & 0xff);
        if clone_flags & 0x10_0000 != 0 {
            out.push_str(", parent_tid=");
            match self.fixed(2).filter(|_| !self.failed()) {
                Some(_) => self.pointed_int(2, out),
                None => text::address(out, self.value(2)),
            }
        }
        if clone_flags & 0x8_0000 != 0 {
            out.push_str(", tls=");
            text::address(out, self.value(tls));
        }
        if clone_flags & 0x120_0000 != 0 {
            out.push_str(", child_tidptr=");
            text::address(out, self.value(child_tid));
        }
    }

    /// `struct clone_args` (`linux/sched.h`).
    fn clone3_args(&self, out: &mut String) {
        let data = self.fixed(0).unwrap_or_default();
        let size = usize::try_from(self.value(1)).unwrap_or(usize::MAX).min(data.len());
        let Some(data) = data.get(..size).filter(|d| d.len() >= 64) else {
            return text::address(out, self.value(0));
        };
        let field = |i: usize| u64_at(data, i * 8).unwrap_or(0);
        let clone_flags = field(0);
        out.push_str("{flags=");
        let rest = text::known_flags(out, clone_flags, f::CLONE, "");
        let rest = text::known_flags(out, rest, f::CLONE3, if rest == clone_flags { "" } else { "|" });
        if rest != 0 || clone_flags == 0 {
            let _ = write!(out, "{}", if rest == clone_flags { "" } else { "|" });
            text::hex(out, rest);
        }
        for (bits, i, name) in
            [(0x1000, 1, "pidfd"), (0x120_0000, 2, "child_tid"), (0x10_0000, 3, "parent_tid")]
        {
            if clone_flags & bits != 0 {
                let _ = write!(out, ", {name}=");
                text::address(out, field(i));
            }
        }
        out.push_str(", exit_signal=");
        signal(out, field(4));
        out.push_str(", stack=");
        text::address(out, field(5));
        out.push_str(", stack_size=");
        text::hex(out, field(6));
        if clone_flags & 0x8_0000 != 0 {
            out.push_str(", tls=");
            text::address(out, field(7));
        }
        out.push('}');
    }
}
