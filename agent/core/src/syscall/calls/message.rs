//! Messages of sockets, and the control messages that go with them.

use std::fmt::Write;

use super::io::vector;
use super::time::{timespec, timeval};
use crate::syscall::call::Call;
use crate::syscall::names::net as n;
use crate::syscall::names::sockopt::{IP, IPV6, SO};
use crate::syscall::netlink;
use crate::syscall::plan::CaptureKind as K;
use crate::syscall::shape::Print;
use crate::syscall::sockaddr::{self, inet_addr};
use crate::syscall::sockopt;
use crate::syscall::text::{be32_at, i32_at, u32_at, u64_at};

/// `struct user_msghdr` (`linux/socket.h`).
const MSGHDR: usize = 56;

/// What sendto was given.
pub(super) fn sent(c: &mut Call<'_>, i: usize) {
    if let (Some(protocol), Some(read)) = (c.netlink(), c.capture(i, K::BufferByArg))
        && netlink::messages(c, protocol, &read.data, c.value(i + 1))
    {
        return;
    }
    c.buffer(i, K::BufferByArg, c.value(i + 1));
}

/// What recvfrom got.
pub(super) fn received(c: &mut Call<'_>, i: usize) {
    match (c.netlink(), c.capture(i, K::BufferByRet)) {
        _ if c.failed() => c.address(c.value(i)),
        (Some(protocol), Some(read)) if netlink::messages(c, protocol, &read.data, c.returned()) => {}
        _ => c.buffer(i, K::BufferByRet, c.returned()),
    }
}

pub(super) fn sendmsg(c: &mut Call<'_>, i: usize) {
    match header(c, i, K::Msghdr) {
        Some(h) => message(c, i, h, None, Some(u64::MAX)),
        None => c.address(c.value(i)),
    }
}

pub(super) fn recvmsg(c: &mut Call<'_>, i: usize) {
    let before = c.fixed_before(i).and_then(|d| i32_at(d, 8));
    match (header(c, i, K::Msghdr), before) {
        (Some(h), _) if c.failed() => {
            let len = before.or_else(|| i32_at(h, 8)).unwrap_or(0);
            let _ = write!(c.out, "{{msg_namelen={len}}}");
        }
        (Some(h), before) => message(c, i, h, before, Some(c.returned())),
        (None, _) => c.address(c.value(i)),
    }
}

fn header<'a>(c: &Call<'a>, tag: usize, kind: K) -> Option<&'a [u8]> {
    c.capture(tag, kind).map(|read| read.data.as_slice()).filter(|h| h.len() >= MSGHDR)
}

/// The message whose captures have this argument. name_len: what the caller gave room for, of a call that receives.
fn message(c: &mut Call<'_>, tag: usize, h: &[u8], name_len: Option<i32>, moved: Option<u64>) {
    let field = |offset| u64_at(h, offset).unwrap_or(0);
    let (name, len) = (field(0), i32_at(h, 8).unwrap_or(0));
    c.push("{msg_name=");
    let address = c.capture(tag, K::MsgName).filter(|read| read.full_len >= 2 && name != 0);
    if !address.is_some_and(|read| sockaddr::sockaddr(c.out, &read.data, c.opts)) {
        c.address(name);
    }
    match name_len {
        Some(before) if before != len => _ = write!(c.out, ", msg_namelen={before} => {len}, msg_iov="),
        _ => _ = write!(c.out, ", msg_namelen={len}, msg_iov="),
    }
    vector(c, tag, field(16), field(24), moved);
    let _ = write!(c.out, ", msg_iovlen={}", field(24));
    if field(40) != 0 {
        c.push(", msg_control=");
        control(c, tag, field(32), field(40));
    }
    let _ = write!(c.out, ", msg_controllen={}, msg_flags=", field(40));
    c.flags(u32_at(h, 48).unwrap_or(0).into(), n::MSG, "MSG_???");
    c.push("}");
}

/// Control messages, each with a header of 16 bytes and padded to 8.
fn control(c: &mut Call<'_>, tag: usize, address: u64, len: u64) {
    let Some(read) = c.capture(tag, K::Control).filter(|_| len >= 16) else { return c.address(address) };
    let mut rest = read.data.as_slice();
    let mut separator = "[";
    while let (Some(len), Some(level), Some(kind)) = (u64_at(rest, 0), i32_at(rest, 8), i32_at(rest, 12)) {
        let _ = write!(c.out, "{separator}{{cmsg_len={len}, cmsg_level=");
        separator = ", ";
        sockopt::level(c.out, level as u64 & 0xffff_ffff);
        c.push(", cmsg_type=");
        let end = usize::try_from(len).unwrap_or(usize::MAX).clamp(16, rest.len().max(16));
        let data = rest.get(16..end).unwrap_or_default();
        cmsg_type(c, level, kind);
        if len > 16 {
            c.push(", cmsg_data=");
            let at = c.out.len();
            if cmsg_data(c, level, kind, data).is_none() {
                c.out.truncate(at);
                c.quoted(data, data.len() as u64);
            }
        }
        c.push("}");
        let Some(after) = end.checked_next_multiple_of(8).and_then(|next| rest.get(next..)) else { break };
        rest = after;
    }
    if separator == "[" {
        return c.address(address);
    }
    c.push("]");
}

const SOL_IP: i32 = 0;
const SOL_SOCKET: i32 = 1;
const SOL_IPV6: i32 = 41;

fn cmsg_type(c: &mut Call<'_>, level: i32, kind: i32) {
    let kind = kind as u64 & 0xffff_ffff;
    match (level, kind) {
        (SOL_SOCKET, 1) => c.push("SCM_RIGHTS"),
        (SOL_SOCKET, 2) => c.push("SCM_CREDENTIALS"),
        (SOL_SOCKET, 3) => c.push("SCM_SECURITY"),
        (SOL_SOCKET, 4) => c.push("SCM_PIDFD"),
        (SOL_SOCKET, _) => c.one_of(kind, SO, "SCM_???"),
        (SOL_IP, _) => c.one_of(kind, IP, "IP_???"),
        (SOL_IPV6, _) => c.one_of(kind, IPV6, "IPV6_???"),
        _ => c.hex(kind),
    }
}

fn cmsg_data(c: &mut Call<'_>, level: i32, kind: i32, d: &[u8]) -> Option<()> {
    match (level, kind) {
        (SOL_SOCKET, 1) => c.array(d, 4, (d.len() / 4) as u64, |c, d| {
            let fd = i32_at(d, 0)?;
            c.fd(fd);
            Some(())
        }),
        (SOL_SOCKET, 2) => {
            let _ = write!(c.out, "{{pid={}, uid={}, gid={}}}", i32_at(d, 0)?, u32_at(d, 4)?, u32_at(d, 8)?);
        }
        // SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING
        (SOL_SOCKET, 29) => timeval(c, d)?,
        (SOL_SOCKET, 35) => timespec(c, d)?,
        (SOL_SOCKET, 37) => c.array(d, 16, 3, timespec),
        // IP_PKTINFO
        (SOL_IP, 8) => {
            let (index, local, address) = (u32_at(d, 0)?, be32_at(d, 4)?, be32_at(d, 8)?);
            c.push("{ipi_ifindex=");
            sockaddr::interface(c.out, index as i32, c.opts.interfaces);
            c.push(", ipi_spec_dst=");
            inet_addr(c.out, local);
            c.push(", ipi_addr=");
            inet_addr(c.out, address);
            c.push("}");
        }
        // IP_TTL, IP_CHECKSUM
        (SOL_IP, 2 | 23) => _ = write!(c.out, "[{}]", u32_at(d, 0)?),
        // IP_TOS
        (SOL_IP, 1) => {
            c.push("[");
            c.hex((*d.first()?).into());
            c.push("]");
        }
        _ => return None,
    }
    Some(())
}

/// `struct mmsghdr`s; what was moved of each stands behind its header.
fn messages(c: &mut Call<'_>, i: usize, count: u64, sends: bool) {
    c.push("[");
    let limit = c.array_limit() as u64;
    let mut shown = 0;
    while shown < count.min(limit).min(32) {
        let tag = i | (shown as usize) << 3;
        let Some(h) = header(c, tag, K::Mmsghdrs) else { break };
        let len = u32_at(h, MSGHDR).unwrap_or(0);
        c.push(if shown == 0 { "{msg_hdr=" } else { ", {msg_hdr=" });
        message(c, tag, h, None, Some(if sends { u64::MAX } else { len.into() }));
        if !sends || shown < c.returned() {
            let _ = write!(c.out, ", msg_len={len}");
        }
        c.push("}");
        shown += 1;
    }
    c.push(if shown < count { if shown == 0 { "...]" } else { ", ...]" } } else { "]" });
}

pub(super) fn sendmmsg(c: &mut Call<'_>, i: usize) {
    match header(c, i, K::Mmsghdrs) {
        Some(_) => messages(c, i, c.low(2), true),
        None if c.low(2) == 0 && c.value(i) != 0 => c.push("[]"),
        None => c.address(c.value(i)),
    }
}

pub(super) fn recvmmsg(c: &mut Call<'_>, i: usize) {
    match header(c, i, K::Mmsghdrs) {
        Some(_) if !c.failed() => messages(c, i, c.returned(), false),
        _ if c.ret() == Some(0) => c.push("[]"),
        _ => c.address(c.value(i)),
    }
}

pub(super) fn timeout(c: &mut Call<'_>, i: usize) {
    c.structure(i, c.fixed_before(i), timespec);
}

/// What is left of the time to wait.
pub(super) fn left(c: &mut Call<'_>) {
    match c.fixed(4) {
        _ if c.ret() == Some(0) => c.push(" (Timeout)"),
        Some(data) if c.value(4) != 0 => {
            c.push(" (left ");
            let print: Print = timespec;
            let _ = print(c, data);
            c.push(")");
        }
        _ => {}
    }
}
