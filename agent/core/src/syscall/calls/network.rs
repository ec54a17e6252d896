//! Sockets.

use std::fmt::Write;

use super::descriptor::fd_pair;
use super::message;
use crate::syscall::call::Call;
use crate::syscall::names::link::ETH_P;
use crate::syscall::names::net as n;
use crate::syscall::plan::{CALLERS, CaptureKind as K, CaptureSpec, entry, spec};
use crate::syscall::shape::Arg::{Addr, Fd, Flags, Int, OneOf, Size, Uint, With};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::sockopt;
use crate::syscall::text::{self, i32_at};

const FAMILY: Arg = OneOf(n::AF, "AF_???");
const TYPE: Arg = With(|c, i| socket_type(c.out, c.ev.args.get(i).copied().unwrap_or(0) & 0xffff_ffff));
const PROTOCOL: Arg = With(protocol);
const MSG: Arg = Flags(n::MSG, "MSG_???");
const NAME: Arg = Arg::Late(name);
const NAME_LEN: Arg = With(name_len);
const NAMES: &[CaptureSpec] = &[entry(2, K::Fixed, 4), spec(1, K::SockaddrByPtr, 2), spec(2, K::Fixed, 4)];

pub(super) const CALLS: &[Shape] = &[
    call("socket", &[FAMILY, TYPE, PROTOCOL]).ret(Ret::Fd),
    call("socketpair", &[FAMILY, TYPE, PROTOCOL, With(fd_pair)])
        .reads(&[spec(3, K::Fixed, 8), spec(3, K::FdPair, 0)]),
    call("bind", &[Fd, Addr(2), Int]),
    call("connect", &[Fd, Addr(2), Int]),
    call("listen", &[Fd, Int]),
    call("accept", &[Fd, NAME, NAME_LEN]).reads(NAMES).ret(Ret::Fd),
    call("accept4", &[Fd, NAME, NAME_LEN, Flags(n::SOCK_FLAGS, "SOCK_???")]).reads(NAMES).ret(Ret::Fd),
    call("getsockname", &[Fd, NAME, NAME_LEN]).reads(NAMES),
    call("getpeername", &[Fd, NAME, NAME_LEN]).reads(NAMES),
    call("shutdown", &[Fd, OneOf(n::SHUT, "SHUT_???")]),
    call("sendto", &[Fd, With(message::sent), Size, MSG, Addr(5), Int]).reads(&[spec(1, K::BufferByArg, 2)]),
    call("recvfrom", &[Fd, Arg::Late(message::received), Size, MSG, NAME, NAME_LEN]).reads(&[
        entry(5, K::Fixed, 4),
        spec(1, K::BufferByRet, 0),
        spec(4, K::SockaddrByPtr, 5),
        spec(5, K::Fixed, 4),
    ]),
    call("sendmsg", &[Fd, With(message::sendmsg), MSG]).reads(&[spec(1, K::Msghdr, CALLERS)]),
    call("recvmsg", &[Fd, Arg::Late(message::recvmsg), MSG])
        .reads(&[entry(1, K::Fixed, 56), spec(1, K::Msghdr, 0)]),
    call("sendmmsg", &[Fd, With(message::sendmmsg), Uint, MSG]).reads(&[spec(1, K::Mmsghdrs, 2 | CALLERS)]),
    call("recvmmsg", &[Fd, Arg::Late(message::recvmmsg), Uint, MSG, With(message::timeout)])
        .reads(&[entry(4, K::Fixed, 16), spec(1, K::Mmsghdrs, 2), spec(4, K::Fixed, 16)])
        .tail(message::left),
    call("setsockopt", &[Fd, With(level), With(option), With(option_in), Int]).reads(&[spec(
        3,
        K::StructByArg,
        4,
    )]),
    call("getsockopt", &[Fd, With(level), With(option), With(option_out), With(name_len)]).reads(&[
        entry(4, K::Fixed, 4),
        spec(3, K::StructByPtr, 4),
        spec(4, K::Fixed, 4),
    ]),
];

/// A socket type with its flags.
fn socket_type(out: &mut String, v: u64) {
    if v == 0 {
        return out.push('0');
    }
    text::one_of(out, v & 0xf, n::SOCK_TYPE, "SOCK_???");
    let high = v & !0xf;
    let rest = text::known_flags(out, high, n::SOCK_FLAGS, "|");
    if rest != 0 {
        let _ = write!(out, "|{rest:#x}{}", if rest == high { " /* SOCK_??? */" } else { "" });
    }
}

fn protocol(c: &mut Call<'_>, i: usize) {
    let v = c.low(i);
    match c.low(0) {
        2 | 10 => c.one_of(v, n::IPPROTO, "IPPROTO_???"),
        16 => c.one_of(v, n::NETLINK_PROTO, "NETLINK_???"),
        17 => {
            c.push("htons(");
            c.one_of(u16::from_be(v as u16).into(), ETH_P, "ETH_P_???");
            c.push(")");
        }
        _ => _ = write!(c.out, "{v}"),
    }
}

/// An address that the call wrote.
fn name(c: &mut Call<'_>, i: usize) {
    if c.failed() { c.address(c.value(i)) } else { c.sockaddr(i, K::SockaddrByPtr) }
}

/// A length that the call changed: `[128 => 16]`.
fn name_len(c: &mut Call<'_>, i: usize) {
    let int = |d: Option<&[u8]>| d.and_then(|d| i32_at(d, 0));
    let (before, after) = (int(c.fixed_before(i)), int(c.fixed(i)));
    let _ = match (before, after) {
        _ if c.value(i) == 0 => write!(c.out, "NULL"),
        (Some(before), Some(after)) if before != after && !c.failed() => {
            write!(c.out, "[{before} => {after}]")
        }
        (Some(n), _) | (None, Some(n)) => write!(c.out, "[{n}]"),
        (None, None) => return c.address(c.value(i)),
    };
}

fn level(c: &mut Call<'_>, i: usize) {
    sockopt::level(c.out, c.ev.args.get(i).copied().unwrap_or(0) & 0xffff_ffff);
}

fn option(c: &mut Call<'_>, i: usize) {
    let (level, option) = (c.low(1), c.low(i));
    sockopt::option(c.out, level, option);
}

fn option_in(c: &mut Call<'_>, i: usize) {
    option_value(c, i, K::StructByArg, true);
}

fn option_out(c: &mut Call<'_>, i: usize) {
    option_value(c, i, K::StructByPtr, false);
}

fn option_value(c: &mut Call<'_>, i: usize, kind: K, set: bool) {
    let (level, option) = (c.low(1), c.low(2));
    let read = c.capture(i, kind).filter(|read| {
        c.value(i) != 0 && (set || !c.failed()) && read.full_len > 0 && i32::try_from(read.full_len).is_ok()
    });
    let opts = c.opts;
    if !read.is_some_and(|r| sockopt::value(c.out, level, option, &r.data, r.full_len.into(), set, opts)) {
        c.address(c.value(i));
    }
}
