//! ss's expressions: what they say of a socket. A port is what the column shows: a Unix socket's is its inode number, a
//! packet socket's its interface, a netlink socket's the port.

mod parse;

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use regex::bytes::Regex;
use tracenet_collectors::cgroups::Cgroups;
use tracenet_collectors::interfaces::{self, Interface};
use tracenet_collectors::services::{Services, ephemeral_ports};
use tracenet_collectors::sockets::{Address, Socket};

use super::choice::Choice;
use super::flags::Family;
use crate::failure::Failure;
use crate::sinks::warn;

/// What depends on the network namespace.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Ports that the kernel gives out.
    pub ephemeral: RangeInclusive<u16>,
}

impl Surroundings {
    /// Those of the namespace that the thread is in.
    pub fn of_this_thread() -> Self {
        Self { interfaces: interfaces::list().unwrap_or_default(), ephemeral: ephemeral_ports() }
    }

    /// Name of an interface.
    pub fn interface(&self, index: u32) -> Option<&str> {
        self.interfaces.iter().find(|i| i.index == index).map(|i| i.name.as_str())
    }
}

/// An expression; none lets everything through.
#[derive(Debug)]
pub struct Filter(Option<Node>);

#[derive(Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Host(Side, Host),
    Port(Side, Bound),
    /// By name, or by index: names mean something in one namespace only.
    Device {
        name: String,
        index: Option<u32>,
    },
    Mark {
        mark: u32,
        mask: u32,
    },
    Cgroup(u64),
    Autobound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Local,
    Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtLeast(i64),
    AtMost(i64),
}

/// Address and port, each where it was given.
#[derive(Debug, Default)]
struct Host {
    address: Option<Pattern>,
    port: Option<i64>,
}

#[derive(Debug)]
enum Pattern {
    /// Any of these networks: a host's name may have several addresses.
    Ip(Vec<(IpAddr, u8)>),
    /// A Unix socket's name.
    Unix(Regex),
    /// A packet or netlink socket's protocol.
    Protocol(u32),
}

impl Filter {
    /// Reads an expression. The family is that of an address which names it (`unix:/run/*`).
    pub fn parse(
        text: &str,
        choice: &Choice,
        services: &Services,
        all_netns: bool,
    ) -> Result<(Self, Option<Family>), Failure> {
        let interfaces = if all_netns { None } else { interfaces::list().ok() };
        let context =
            parse::Context { choice, services, interfaces, cgroups: &Cgroups::read, hosts: &parse::hosts };
        match parse::parse(text, &context) {
            Ok((node, family)) => Ok((Self(node), family)),
            Err(e) => {
                // The text without what a terminal would obey, and a caret below the column.
                let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                warn(&shown);
                warn(&format!("{}^", " ".repeat(e.column - 1)));
                Err(Failure::Usage(format!("filter, column {}: {}", e.column, e.message)))
            }
        }
    }

    /// True where the socket is to be shown.
    pub fn matches(&self, socket: &Socket, surroundings: &Surroundings) -> bool {
        self.0.as_ref().is_none_or(|node| node.matches(socket, surroundings))
    }
}

impl Node {
    fn matches(&self, s: &Socket, around: &Surroundings) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|n| n.matches(s, around)),
            Self::Any(nodes) => nodes.iter().any(|n| n.matches(s, around)),
            Self::Not(node) => !node.matches(s, around),
            Self::Host(side, host) => host.matches(side.of(s)),
            Self::Port(side, Bound::AtLeast(n)) => port(side.of(s)) >= *n,
            Self::Port(side, Bound::AtMost(n)) => port(side.of(s)) <= *n,
            Self::Device { name, index } => {
                *index == Some(s.interface) || around.interface(s.interface) == Some(name)
            }
            Self::Mark { mark, mask } => s.mark & mask == *mark,
            Self::Cgroup(id) => s.cgroup == Some(*id),
            Self::Autobound => autobound(s, around),
        }
    }
}

impl Side {
    fn of(self, s: &Socket) -> &Address {
        match self {
            Self::Local => &s.local,
            Self::Remote => &s.remote,
        }
    }
}

/// The column `Port`; -1 for a peer that a socket hasn't got.
fn port(address: &Address) -> i64 {
    match address {
        Address::Ip(_, port) => i64::from(*port),
        Address::Unix { inode, .. } => i64::from(*inode),
        Address::Packet { interface, .. } => i64::from(*interface),
        // Ports that the kernel chose are negative (net/netlink/af_netlink.c, netlink_autobind).
        Address::Netlink { port, .. } => i64::from(port.cast_signed()),
        Address::None => -1,
    }
}

impl Host {
    fn matches(&self, address: &Address) -> bool {
        let here = match (&self.address, address) {
            (None, _) => true,
            (Some(Pattern::Ip(nets)), Address::Ip(ip, _)) => nets.iter().any(|net| within(*ip, *net)),
            (Some(Pattern::Unix(pattern)), Address::Unix { name, .. }) => {
                pattern.is_match(&super::names::unix_name(name.as_deref().unwrap_or_default()))
            }
            (Some(Pattern::Protocol(p)), Address::Packet { protocol, .. }) => *p == u32::from(*protocol),
            (Some(Pattern::Protocol(p)), Address::Netlink { protocol, .. }) => p == protocol,
            _ => false,
        };
        here && self.port.is_none_or(|p| p == port(address))
    }
}

/// An IPv4 network takes in IPv4 addresses that are mapped into IPv6; a mapped network is that of IPv6 alone.
fn within(ip: IpAddr, (net, prefix): (IpAddr, u8)) -> bool {
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => same_bits(ip.to_bits().into(), net.to_bits().into(), prefix, 32),
        (IpAddr::V6(ip), IpAddr::V6(net)) => same_bits(ip.to_bits(), net.to_bits(), prefix, 128),
        (IpAddr::V6(ip), IpAddr::V4(_)) => {
            Ipv6Addr::to_ipv4_mapped(&ip).is_some_and(|v4| within(v4.into(), (net, prefix)))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}

fn same_bits(a: u128, b: u128, prefix: u8, width: u8) -> bool {
    let shift = u32::from(width.saturating_sub(prefix));
    (a ^ b).checked_shr(shift).unwrap_or(0) == 0
}

/// A port or name that the kernel has chosen.
fn autobound(s: &Socket, around: &Surroundings) -> bool {
    match &s.local {
        Address::Ip(_, port) => around.ephemeral.contains(port),
        // net/unix/af_unix.c, unix_autobind: five hexadecimal digits in the abstract namespace.
        Address::Unix { name, .. } => match name.as_deref() {
            None | Some([]) => true,
            Some([0, digits @ ..]) => digits.len() == 5 && digits.iter().all(u8::is_ascii_hexdigit),
            Some(_) => false,
        },
        Address::Packet { protocol, interface } => *protocol == 0 && *interface == 0,
        Address::Netlink { port, .. } => port.cast_signed() < 0,
        Address::None => false,
    }
}

#[cfg(test)]
mod tests;
