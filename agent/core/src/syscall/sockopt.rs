//! Socket options: names, and the shapes of their values.

use std::fmt::Write;

use super::names::sockopt::{IP, IPV6, LEVEL, NETLINK, PACKET, SO, TCP, UDP};
use super::render::RenderOptions;
use super::sockaddr::{inet_addr, inet_pton6};
use super::text::{self, be32_at, i32_at, u16_at, u32_at, u64_at};

const SOL_IP: u64 = 0;
const SOL_SOCKET: u64 = 1;
const SOL_IPV6: u64 = 41;

/// Writes the level.
pub(super) fn level(out: &mut String, level: u64) {
    text::one_of(out, level, LEVEL, "SOL_??");
}

/// Writes the option's name.
pub(super) fn option(out: &mut String, level: u64, option: u64) {
    let (names, unknown) = match level {
        SOL_SOCKET => (SO, "SO_???"),
        SOL_IP => (IP, "IP_???"),
        6 => (TCP, "TCP_???"),
        17 => (UDP, "UDP_???"),
        SOL_IPV6 => (IPV6, "IPV6_???"),
        263 => (PACKET, "PACKET_???"),
        270 => (NETLINK, "NETLINK_???"),
        _ => {
            let _ = write!(out, "{option}");
            return;
        }
    };
    text::one_of(out, option, names, unknown);
}

/// What a value is.
enum Shape {
    /// An `int`, or bytes where it is not as long as one.
    Default,
    /// An `int`, where it is at least as long as one.
    Int,
    /// Bytes.
    Bytes,
    Linger,
    Credentials,
    Filter,
    Membership,
    Membership6,
}

fn shape(level: u64, option: u64) -> Shape {
    match (level, option) {
        (SOL_SOCKET, 13) => Shape::Linger,
        (SOL_SOCKET, 17) => Shape::Credentials,
        (SOL_SOCKET, 26 | 51) => Shape::Filter,
        (SOL_SOCKET, 20 | 21 | 25 | 31 | 66 | 67) => Shape::Bytes,
        (SOL_SOCKET, 1..=12 | 14..=16 | 18 | 19 | 32 | 33) => Shape::Int,
        (SOL_IP, 35 | 36) => Shape::Membership,
        (SOL_IPV6, 20 | 21 | 27 | 28) => Shape::Membership6,
        _ => Shape::Default,
    }
}

/// Writes a value of `full` bytes of which `data` was read; false, and nothing written, where it doesn't have the shape
/// of the option. `set` is true for setsockopt, which never prints half a structure.
pub(super) fn value(
    out: &mut String,
    level: u64,
    option: u64,
    data: &[u8],
    full: u64,
    set: bool,
    opts: &RenderOptions,
) -> bool {
    let int = |out: &mut String| i32_at(data, 0).map(|v| write!(out, "[{v}]"));
    match shape(level, option) {
        Shape::Credentials | Shape::Bytes if set && full == 4 => int(out).is_some(),
        // What getsockopt returns of an option may be shorter than its int: then it is bytes.
        Shape::Int if set || full >= 4 => int(out).is_some(),
        Shape::Default if full == 4 => int(out).is_some(),
        Shape::Int | Shape::Default | Shape::Bytes => {
            text::quoted(out, data, full, opts.string_limit, opts.hex_strings);
            true
        }
        Shape::Linger if !set || full >= 8 => fields(out, data, &["l_onoff", "l_linger"]),
        Shape::Credentials if !set || full >= 12 => fields(out, data, &["pid", "uid", "gid"]),
        Shape::Filter if set => filter(out, data).is_some(),
        Shape::Filter => {
            text::quoted(out, data, full, opts.string_limit, opts.hex_strings);
            true
        }
        Shape::Membership => membership(out, data).is_some(),
        Shape::Membership6 => membership6(out, data).is_some(),
        Shape::Linger | Shape::Credentials => false,
    }
}

/// `{a=1, b=2}`, as many `int`s as there are.
fn fields(out: &mut String, data: &[u8], names: &[&str]) -> bool {
    let mut separator = "{";
    for (i, name) in names.iter().enumerate() {
        let Some(v) = i32_at(data, i * 4) else { break };
        let _ = write!(out, "{separator}{name}={v}");
        separator = ", ";
    }
    let any = separator == ", ";
    if any {
        out.push('}');
    }
    any
}

/// `struct sock_fprog` (`linux/filter.h`).
fn filter(out: &mut String, data: &[u8]) -> Option<()> {
    let (len, filter) = (u16_at(data, 0)?, u64_at(data, 8)?);
    let _ = write!(out, "{{len={len}, filter=");
    text::address(out, filter);
    out.push('}');
    Some(())
}

/// `struct ip_mreq` (`linux/in.h`).
fn membership(out: &mut String, data: &[u8]) -> Option<()> {
    let (group, interface) = (be32_at(data, 0)?, be32_at(data, 4)?);
    out.push_str("{imr_multiaddr=");
    inet_addr(out, group);
    out.push_str(", imr_interface=");
    inet_addr(out, interface);
    out.push('}');
    Some(())
}

/// `struct ipv6_mreq` (`linux/in6.h`).
fn membership6(out: &mut String, data: &[u8]) -> Option<()> {
    let interface = u32_at(data, 16)?;
    out.push('{');
    inet_pton6(out, data, "ipv6mr_multiaddr")?;
    let _ = write!(out, ", ipv6mr_interface={interface}}}");
    Some(())
}
