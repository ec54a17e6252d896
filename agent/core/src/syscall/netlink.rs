//! Messages of netlink sockets: headers of all protocols; of NETLINK_ROUTE also links, addresses and routes.

use std::fmt::Write;

use super::call::Call;
use super::names::link::ARPHRD;
use super::names::net::AF;
use super::names::netlink as n;
use super::names::tty::IFF;
use super::sockaddr::{inet_addr, interface};
use super::text::{self, Names, be32_at, i32_at, u16_at, u32_at};

/// `struct nlmsghdr`.
const HEADER: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NETLINK_ROUTE: u16 = 0;

/// Writes the messages in `data`, of which `full` bytes were there; false, and nothing written, where there is none.
pub(super) fn messages(c: &mut Call<'_>, protocol: Option<u16>, data: &[u8], full: u64) -> bool {
    let data = &data[..data.len().min(usize::try_from(full).unwrap_or(usize::MAX))];
    if data.len() < HEADER {
        return false;
    }
    let several = next(data).is_some_and(|rest| rest.len() >= HEADER);
    c.push(if several { "[" } else { "" });
    let mut rest = Some(data);
    let mut separator = "";
    while let Some(message) = rest.filter(|r| r.len() >= HEADER) {
        c.push(separator);
        separator = ", ";
        one(c, protocol, message);
        rest = next(message);
    }
    c.push(if several { "]" } else { "" });
    true
}

/// What is behind the first message; `None` where its length is no length.
fn next(data: &[u8]) -> Option<&[u8]> {
    let len = usize::try_from(u32_at(data, 0)?).ok().filter(|len| *len >= HEADER)?;
    data.get(len.checked_next_multiple_of(4)?..)
}

fn one(c: &mut Call<'_>, protocol: Option<u16>, data: &[u8]) {
    let (Some(len), Some(kind)) = (u32_at(data, 0), u16_at(data, 4)) else { return };
    let end = usize::try_from(len).unwrap_or(usize::MAX).min(data.len());
    let payload = data.get(HEADER..end).filter(|p| !p.is_empty());
    c.push(if payload.is_some() { "[" } else { "" });
    header(c, protocol, data);
    if let Some(payload) = payload {
        c.push(", ");
        let at = c.out.len();
        if body(c, protocol, kind, payload).is_none() {
            c.out.truncate(at);
            bytes(c, payload);
        }
        c.push("]");
    }
}

fn header(c: &mut Call<'_>, protocol: Option<u16>, data: &[u8]) {
    let kind = u16_at(data, 4).unwrap_or(0);
    let _ = write!(c.out, "{{nlmsg_len={}, nlmsg_type=", u32_at(data, 0).unwrap_or(0));
    let of_route = protocol == Some(NETLINK_ROUTE) && kind >= 16;
    match protocol {
        _ if of_route => c.one_of(kind.into(), n::RTM, "RTM_???"),
        _ => c.one_of(kind.into(), n::NLMSG, "NLMSG_???"),
    }
    c.push(", nlmsg_flags=");
    let flags = u64::from(u16_at(data, 6).unwrap_or(0));
    let special: Names = match kind {
        NLMSG_ERROR => n::NLM_F_ERROR,
        // The lowest two bits of a type of NETLINK_ROUTE: new, delete, get, set.
        _ if of_route && kind & 3 == 2 => n::NLM_F_GET,
        _ if of_route && kind & 3 == 0 => n::NLM_F_NEW,
        _ => &[],
    };
    let rest = text::known_flags(c.out, flags, n::NLM_F, "");
    let rest = text::known_flags(c.out, rest, special, if rest == flags { "" } else { "|" });
    if rest != 0 || flags == 0 {
        c.push(if rest == flags { "" } else { "|" });
        c.hex(rest);
    }
    let (seq, pid) = (u32_at(data, 8).unwrap_or(0), u32_at(data, 12).unwrap_or(0));
    let _ = write!(c.out, ", nlmsg_seq={seq}, nlmsg_pid={}}}", pid as i32);
}

fn bytes(c: &mut Call<'_>, data: &[u8]) {
    let shown = &data[..data.len().min(c.opts.string_limit as usize)];
    c.push("\"");
    text::hex_bytes(c.out, shown);
    c.push(if shown.len() < data.len() { "\"..." } else { "\"" });
}

fn body(c: &mut Call<'_>, protocol: Option<u16>, kind: u16, d: &[u8]) -> Option<()> {
    match kind {
        NLMSG_DONE => _ = write!(c.out, "{}", i32_at(d, 0)?),
        NLMSG_ERROR => {
            let error = i32_at(d, 0)?;
            c.push("{error=");
            match super::errno::errno_name(-error) {
                Some(name) if error < 0 => _ = write!(c.out, "-{name}"),
                _ => _ = write!(c.out, "{error}"),
            }
            if d.len() >= 4 + HEADER {
                c.push(", msg=");
                header(c, protocol, &d[4..]);
            }
            c.push("}");
        }
        _ if protocol == Some(NETLINK_ROUTE) => match kind {
            16..=19 => link(c, d)?,
            20..=22 => address(c, d)?,
            24..=26 => route(c, d)?,
            _ => return None,
        },
        _ => return None,
    }
    Some(())
}

fn family(c: &mut Call<'_>, name: &str, d: &[u8]) -> Option<u8> {
    let family = *d.first()?;
    let _ = write!(c.out, "{{{name}=");
    c.one_of(family.into(), AF, "AF_???");
    Some(family)
}

/// `struct ifinfomsg`; old programs send the family alone.
fn link(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    family(c, "ifi_family", d)?;
    if d.len() < 16 {
        c.push(", ...}");
        return Some(());
    }
    c.push(", ifi_type=");
    c.one_of(u16_at(d, 2)?.into(), ARPHRD, "ARPHRD_???");
    c.push(", ifi_index=");
    interface(c.out, i32_at(d, 4)?, c.opts.interfaces);
    c.push(", ifi_flags=");
    c.flags(u32_at(d, 8)?.into(), IFF, "IFF_???");
    c.push(", ifi_change=");
    c.flags(u32_at(d, 12)?.into(), IFF, "IFF_???");
    c.push("}");
    attributes(c, d.get(16..)?, n::IFLA, "IFLA_???", &|c, kind, d| match kind {
        // IFLA_IFNAME, IFLA_QDISC
        3 | 6 => string(c, d),
        // IFLA_MTU, IFLA_TXQLEN, IFLA_GROUP, IFLA_PROMISCUITY, IFLA_NUM_TX_QUEUES and the like
        4 | 13 | 27 | 30 | 31 | 32 | 35 | 40 | 41 | 47 | 48 | 50 | 51 => number(c, d),
        // IFLA_OPERSTATE, IFLA_LINKMODE, IFLA_CARRIER, IFLA_PROTO_DOWN
        16 | 17 | 33 | 39 => {
            let _ = write!(c.out, "{}", d.first()?);
            Some(())
        }
        // IFLA_EXT_MASK
        29 => {
            c.flags(u32_at(d, 0)?.into(), n::RTEXT_FILTER, "RTEXT_FILTER_???");
            Some(())
        }
        _ => None,
    });
    Some(())
}

/// `struct ifaddrmsg`.
fn address(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let family = family(c, "ifa_family", d)?;
    if d.len() < 8 {
        c.push(", ...}");
        return Some(());
    }
    let _ = write!(c.out, ", ifa_prefixlen={}, ifa_flags=", d[1]);
    c.flags(d[2].into(), n::IFA_F, "IFA_F_???");
    c.push(", ifa_scope=");
    c.one_of(d[3].into(), n::RT_SCOPE, "RT_SCOPE_???");
    c.push(", ifa_index=");
    interface(c.out, i32_at(d, 4)?, c.opts.interfaces);
    c.push("}");
    attributes(c, d.get(8..)?, n::IFA, "IFA_???", &|c, kind, d| match kind {
        // IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_ANYCAST, IFA_MULTICAST
        1 | 2 | 4 | 5 | 7 => ip(c, family, d),
        3 => string(c, d),
        8 => {
            c.flags(u32_at(d, 0)?.into(), n::IFA_F, "IFA_F_???");
            Some(())
        }
        // IFA_CACHEINFO
        6 => {
            let _ = write!(
                c.out,
                "{{ifa_prefered={}, ifa_valid={}, cstamp={}, tstamp={}}}",
                u32_at(d, 0)?,
                u32_at(d, 4)?,
                u32_at(d, 8)?,
                u32_at(d, 12)?
            );
            Some(())
        }
        _ => None,
    });
    Some(())
}

/// `struct rtmsg`.
fn route(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let family = family(c, "rtm_family", d)?;
    if d.len() < 12 {
        c.push(", ...}");
        return Some(());
    }
    let _ = write!(c.out, ", rtm_dst_len={}, rtm_src_len={}, rtm_tos=", d[1], d[2]);
    c.hex(d[3].into());
    c.push(", rtm_table=");
    c.one_of(d[4].into(), n::RT_TABLE, "RT_TABLE_???");
    c.push(", rtm_protocol=");
    c.one_of(d[5].into(), n::RTPROT, "RTPROT_???");
    c.push(", rtm_scope=");
    c.one_of(d[6].into(), n::RT_SCOPE, "RT_SCOPE_???");
    c.push(", rtm_type=");
    c.one_of(d[7].into(), n::RTN, "RTN_???");
    c.push(", rtm_flags=");
    c.flags(u32_at(d, 8)?.into(), n::RTM_F, "RTM_F_???");
    c.push("}");
    attributes(c, d.get(12..)?, n::RTA, "RTA_???", &|c, kind, d| match kind {
        // RTA_DST, RTA_SRC, RTA_GATEWAY, RTA_PREFSRC
        1 | 2 | 5 | 7 => ip(c, family, d),
        // RTA_IIF, RTA_OIF
        3 | 4 => {
            interface(c.out, i32_at(d, 0)?, c.opts.interfaces);
            Some(())
        }
        // RTA_PRIORITY
        6 => number(c, d),
        // RTA_TABLE
        15 => {
            c.one_of(u32_at(d, 0)?.into(), n::RT_TABLE, "RT_TABLE_???");
            Some(())
        }
        _ => None,
    });
    Some(())
}

fn ip(c: &mut Call<'_>, family: u8, d: &[u8]) -> Option<()> {
    match (family, d.len()) {
        (2, 4) => inet_addr(c.out, be32_at(d, 0)?),
        (10, 16) => {
            let address = std::net::Ipv6Addr::from(*d.first_chunk::<16>()?);
            let _ = write!(c.out, "inet_pton(AF_INET6, \"{address}\")");
        }
        _ => return None,
    }
    Some(())
}

fn string(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let text = d.split(|b| *b == 0).next()?;
    c.quoted(text, text.len() as u64);
    Some(())
}

fn number(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(c.out, "{}", u32_at(d, 0)?);
    Some(())
}

type Value<'f> = &'f dyn Fn(&mut Call<'_>, u16, &[u8]) -> Option<()>;

/// `struct nlattr`s, each with its value: `, [{nla_len=8, nla_type=IFA_LOCAL}, inet_addr("127.0.0.1")]`.
fn attributes(c: &mut Call<'_>, data: &[u8], names: Names, unknown: &str, value: Value<'_>) {
    let mut rest = data;
    let Some(first) = attribute(rest) else { return };
    let several = first.1.len() >= 4;
    c.push(if several { ", [" } else { ", " });
    let mut separator = "";
    while let Some((this, after)) = attribute(rest) {
        rest = after;
        let (len, kind) = (u16_at(this, 0).unwrap_or(0), u16_at(this, 2).unwrap_or(0));
        let _ = write!(c.out, "{separator}");
        separator = ", ";
        let payload = this.get(4..).filter(|p| !p.is_empty());
        let _ = write!(c.out, "{}{{nla_len={len}, nla_type=", if payload.is_some() { "[" } else { "" });
        // NLA_F_NESTED, NLA_F_NET_BYTEORDER
        if kind & 0x8000 != 0 {
            c.push("NLA_F_NESTED|");
        }
        let plain = kind & 0x3fff;
        c.one_of(plain.into(), names, unknown);
        c.push("}");
        if let Some(payload) = payload {
            c.push(", ");
            let at = c.out.len();
            if value(c, plain, payload).is_none() {
                c.out.truncate(at);
                bytes(c, payload);
            }
            c.push("]");
        }
    }
    c.push(if several { "]" } else { "" });
}

/// The first attribute, and what is behind it.
fn attribute(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(u16_at(data, 0)?);
    let this = data.get(..len).filter(|_| len >= 4)?;
    Some((this, data.get(len.next_multiple_of(4)..).unwrap_or_default()))
}
