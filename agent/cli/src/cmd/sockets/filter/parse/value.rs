//! What stands behind a condition's word: addresses, ports, interfaces, marks and patterns.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex::bytes::{Regex, RegexBuilder};
use tracenet_collectors::sockets::Kind;

use super::{Parsed, Parser};
use crate::cmd::sockets::filter::{Host, Node, Pattern};
use crate::cmd::sockets::flags::Family;
use crate::cmd::sockets::names::{ethertype, netlink_protocol};

impl Parser<'_> {
    /// The family that a value begins with, or the one that was chosen, and the rest.
    pub(super) fn family_of<'v>(&self, value: &'v str) -> (Option<Family>, &'v str) {
        [
            ("unix:", Family::Unix),
            ("link:", Family::Link),
            ("netlink:", Family::Netlink),
            ("inet:", Family::Inet),
            ("inet6:", Family::Inet6),
        ]
        .into_iter()
        .find_map(|(prefix, family)| Some((Some(family), value.strip_prefix(prefix)?)))
        .unwrap_or((self.family, value))
    }

    pub(super) fn host(&mut self) -> Parsed<Host> {
        let (at, value) = self.value("an address")?;
        let (family, rest) = self.family_of(&value);
        self.family = family;
        if family == Some(Family::Unix) {
            return Ok(Host { address: Some(Pattern::Unix(self.glob(at, rest)?)), port: None });
        }
        // From the front of "[ADDRESS]:PORT", else the port is behind the last colon (after a network's prefix, the
        // first: an IPv6 address needs its brackets where a port follows).
        let (address, port) = match rest.strip_prefix('[') {
            Some(inside) => {
                let missing = || self.mistake_at(at, "the ] is missing");
                let (address, port) = inside.split_once(']').ok_or_else(missing)?;
                // "[::1]/64" is as good as "[::1/64]".
                match port.strip_prefix('/').map(|p| p.split_once(':').unwrap_or((p, ""))) {
                    Some((prefix, port)) => (format!("{address}/{prefix}"), port),
                    None => (address.to_owned(), port.strip_prefix(':').unwrap_or(port)),
                }
            }
            // Without a port it needs none.
            None if rest.parse::<Ipv6Addr>().is_ok() => (rest.to_owned(), ""),
            None => {
                let colon = match rest.split_once('/') {
                    Some((address, prefix)) => prefix.find(':').map(|n| address.len() + 1 + n),
                    None => rest.rfind(':'),
                };
                let (address, port) = colon.and_then(|n| rest.split_at_checked(n)).unwrap_or((rest, ""));
                (address.to_owned(), port.strip_prefix(':').unwrap_or(port))
            }
        };
        let port = self.port(at, family, port)?;
        let address = match (address.as_str(), family) {
            ("" | "*", _) => None,
            (name, Some(Family::Link)) => Some(Pattern::Protocol(
                number(name)
                    .or_else(|| ethertype(name).map(u32::from))
                    .ok_or_else(|| self.mistake_at(at, format!("{name} is no protocol of Ethernet")))?,
            )),
            (name, Some(Family::Netlink)) => Some(Pattern::Protocol(
                number(name)
                    .or_else(|| netlink_protocol(name))
                    .ok_or_else(|| self.mistake_at(at, format!("{name} is no protocol of netlink")))?,
            )),
            (address, _) => self.networks(at, address)?,
        };
        Ok(Host { address, port })
    }

    /// An address, a network, or a host's name; `None` where it takes in everything.
    fn networks(&self, at: usize, text: &str) -> Parsed<Option<Pattern>> {
        if matches!(text, "default" | "any" | "all") {
            return Ok(None);
        }
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let Some(ip) = address.parse().ok().or_else(|| short_v4(address)) else {
            let found = (self.context.hosts)(text);
            if found.is_empty() {
                let unknown = format!("{text} is no address, and no host of this name is known");
                return Err(self.mistake_at(at, unknown));
            }
            let nets = found.into_iter().map(|ip| (ip, if ip.is_ipv4() { 32 } else { 128 })).collect();
            return Ok(Some(Pattern::Ip(nets)));
        };
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(width), |p| p.parse().ok().filter(|p| *p <= width));
        let wrong = || self.mistake_at(at, format!("{text}: a prefix has at most {width} bits"));
        Ok(Some(Pattern::Ip(vec![(ip, prefix.ok_or_else(wrong)?)])))
    }

    /// A port by number or name; `None` for any.
    pub(super) fn port(&self, at: usize, family: Option<Family>, name: &str) -> Parsed<Option<i64>> {
        if matches!(name, "" | "*") {
            return Ok(None);
        }
        if let Some(port) = number(name) {
            let fits = port <= 65_535 || !matches!(family, None | Some(Family::Inet | Family::Inet6));
            let inodes = self.context.choice.kinds.iter().any(|kind| kind.is_unix());
            if fits || inodes {
                return Ok(Some(i64::from(port)));
            }
            return Err(self.mistake_at(at, format!("{name}: ports end at 65535")));
        }
        match family {
            Some(Family::Link) => {
                let known = self.context.interfaces.iter().flatten().find(|i| i.name == name);
                let port = known.map(|i| Some(i64::from(i.index)));
                port.ok_or_else(|| self.mistake_at(at, format!("no interface {name}")))
            }
            Some(Family::Netlink) if name == "kernel" => Ok(Some(0)),
            Some(Family::Netlink) => Err(self.mistake_at(at, format!("{name} is no port of netlink"))),
            _ => self.service(at, name).map(Some),
        }
    }

    fn service(&self, at: usize, name: &str) -> Parsed<i64> {
        let kinds = &self.context.choice.kinds;
        let of = |kind, protocol| {
            kinds.contains(&kind).then(|| self.context.services.port(name, protocol)).flatten()
        };
        match (of(Kind::Udp, "udp"), of(Kind::Tcp, "tcp")) {
            (Some(a), Some(b)) if a != b => {
                Err(self.mistake_at(at, format!("{name} is port {b} of TCP and {a} of UDP: say which")))
            }
            (Some(port), _) | (None, Some(port)) => Ok(i64::from(port)),
            (None, None) => {
                Err(self.mistake_at(at, format!("{name} is neither a number nor a service of /etc/services")))
            }
        }
    }

    pub(super) fn device(&mut self) -> Parsed<Node> {
        let (at, name) = self.value("an interface")?;
        let index = number(&name);
        let here = self.context.interfaces.as_ref();
        if index.is_none() && here.is_some_and(|all| all.iter().all(|i| i.name != name)) {
            return Err(self.mistake_at(at, format!("no interface {name}")));
        }
        Ok(Node::Device { name, index })
    }

    pub(super) fn mark(&mut self) -> Parsed<Node> {
        let (at, value) = self.value("a mark, such as 0x10 or 0x10/0xf0")?;
        let (mark, mask) = value.split_once('/').unwrap_or((&value, "0xffffffff"));
        match (number(mark), number(mask)) {
            (Some(mark), Some(mask)) => Ok(Node::Mark { mark, mask }),
            _ => Err(self.mistake_at(at, format!("{value} is no mark, such as 0x10 or 0x10/0xf0"))),
        }
    }

    /// A pattern of a shell (fnmatch(3)), whatever the case.
    fn glob(&self, at: usize, pattern: &str) -> Parsed<Regex> {
        let mut regex = String::from("^");
        let mut set = false;
        for c in pattern.chars() {
            match c {
                ']' if set => {
                    set = false;
                    regex.push(']');
                }
                '!' if set && regex.ends_with('[') => regex.push('^'),
                '-' if set => regex.push('-'),
                c if set => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                '[' => {
                    set = true;
                    regex.push('[');
                }
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        regex.push('$');
        RegexBuilder::new(&regex)
            .unicode(false)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| self.mistake_at(at, format!("{pattern} is no pattern, such as *.socket")))
    }
}

/// Decimal, or as 0x1f.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `10` and `192.168` are the beginning of an address.
fn short_v4(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut words = text.split('.');
    for (octet, word) in octets.iter_mut().zip(words.by_ref()) {
        *octet = word.parse().ok()?;
    }
    words.next().is_none().then(|| Ipv4Addr::from(octets).into())
}
