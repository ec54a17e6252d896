//! Numbers and their names: services, hosts, interfaces, protocols.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use tracenet_collectors::services::Services;
use tracenet_collectors::sockets::{Address, Kind, Socket};

use super::filter::Surroundings;
use super::flags::SocketsArgs;
use crate::paint::push_safe;

/// What to call things in one network namespace.
pub struct Names<'a> {
    services: &'a Services,
    surroundings: &'a Surroundings,
    numeric: bool,
    resolve: bool,
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
}

impl<'a> Names<'a> {
    /// As the flags want it.
    pub fn new(args: &SocketsArgs, services: &'a Services, surroundings: &'a Surroundings) -> Self {
        // Data has numbers.
        let numeric = args.numeric || args.json;
        let resolve = args.resolve && !args.json;
        Self { services, surroundings, numeric, resolve, hosts: RefCell::default() }
    }

    /// True where numbers were asked for.
    pub fn is_numeric(&self) -> bool {
        self.numeric
    }

    /// Name of an interface, or its number as ss has it where it has gone.
    pub fn interface(&self, index: u32) -> String {
        self.surroundings.interface(index).map_or_else(|| format!("if{index}"), str::to_owned)
    }

    /// The column of an address, with the sign between it and the port.
    pub fn address(&self, out: &mut String, socket: &Socket, address: &Address, local: bool) {
        match address {
            Address::Ip(ip, _) => {
                self.ip(out, *ip, socket.v6only == Some(true));
                if local && socket.interface != 0 {
                    out.push('%');
                    out.push_str(&self.interface(socket.interface));
                }
                out.push(':');
            }
            Address::Unix { name, .. } => {
                match name.as_deref() {
                    None | Some([]) => out.push('*'),
                    Some(name) => push_safe(out, &String::from_utf8_lossy(&unix_name(name))),
                }
                out.push(' ');
            }
            Address::Packet { protocol: 3, .. } => out.push_str("*:"),
            Address::Packet { protocol, .. } => {
                let name = (!self.numeric).then(|| ethertype_name(*protocol)).flatten();
                let _ = match name {
                    Some(name) => write!(out, "{name}:"),
                    None => write!(out, "[{protocol}]:"),
                };
            }
            Address::Netlink { protocol, .. } => {
                // Of a peer it is a group.
                let name = (local && !self.numeric).then(|| netlink_name(*protocol)).flatten();
                let _ = match name {
                    Some(name) => write!(out, "{name}:"),
                    None => write!(out, "{protocol}:"),
                };
            }
            Address::None => out.push('*'),
        }
    }

    /// The column of a port.
    pub fn port(&self, out: &mut String, kind: Kind, address: &Address, local: bool) {
        let number = |out: &mut String, n: u32| {
            let _ = write!(out, "{n}");
        };
        match address {
            Address::Ip(_, 0) => out.push('*'),
            Address::Ip(_, port) => match self.service(kind, *port) {
                Some(name) => push_safe(out, name),
                None if kind == Kind::Raw && !self.numeric => {
                    let _ = write!(out, "ipproto-{port}");
                }
                None => number(out, (*port).into()),
            },
            Address::Unix { inode, .. } => number(out, *inode),
            Address::Packet { interface: 0, .. } => out.push('*'),
            Address::Packet { interface, .. } => out.push_str(&self.interface(*interface)),
            Address::Netlink { port: 0, .. } if local && !self.numeric => out.push_str("kernel"),
            Address::Netlink { port, .. } => {
                let comm = (local && !self.numeric && port.cast_signed() > 0)
                    .then(|| std::fs::read_to_string(format!("/proc/{port}/comm")).ok())
                    .flatten();
                if let Some(comm) = comm {
                    push_safe(out, comm.trim_end_matches('\n'));
                    out.push('/');
                }
                let _ = write!(out, "{}", port.cast_signed());
            }
            Address::None => {}
        }
    }

    fn service(&self, kind: Kind, port: u16) -> Option<&str> {
        match kind {
            _ if self.numeric => None,
            Kind::Raw => self.services.protocol(port),
            // A port that the kernel chose stands for no service.
            _ if self.surroundings.ephemeral.contains(&port) => None,
            Kind::Udp => self.services.name(port, "udp"),
            _ => self.services.name(port, "tcp"),
        }
    }

    fn ip(&self, out: &mut String, ip: IpAddr, v6only: bool) {
        if !v6only && ip == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) {
            out.push('*');
            return;
        }
        if self.resolve && !ip.is_unspecified() {
            let mut hosts = self.hosts.borrow_mut();
            let name = hosts.entry(ip).or_insert_with(|| {
                dns_lookup::lookup_addr(&ip).ok().filter(|name| name.parse::<IpAddr>().is_err())
            });
            if let Some(name) = name {
                push_safe(out, name);
                return;
            }
        }
        let _ = match ip {
            IpAddr::V4(ip) => write!(out, "{ip}"),
            IpAddr::V6(ip) => write!(out, "[{ip}]"),
        };
    }
}

/// A Unix socket's name as people write it: an abstract one with `@` instead of each NUL, a path up to the first.
pub fn unix_name(name: &[u8]) -> Vec<u8> {
    match name {
        [0, ..] => name.iter().map(|b| if *b == 0 { b'@' } else { *b }).collect(),
        path => path.iter().copied().take_while(|b| *b != 0).collect(),
    }
}

/// include/uapi/linux/if_ether.h, in ss's words.
const ETHERTYPES: [(u16, &str); 21] = [
    (0x0003, "all"),
    (0x0004, "802_2"),
    (0x0060, "loop"),
    (0x000c, "can"),
    (0x0800, "ip"),
    (0x0805, "x25"),
    (0x0806, "arp"),
    (0x6558, "teb"),
    (0x8035, "rarp"),
    (0x809b, "atalk"),
    (0x8100, "802.1Q"),
    (0x8137, "ipx"),
    (0x86dd, "ipv6"),
    (0x8847, "mpls_uc"),
    (0x8848, "mpls_mc"),
    (0x8863, "ppp_disc"),
    (0x8864, "ppp_ses"),
    (0x8892, "profinet"),
    (0x88a8, "802.1ad"),
    (0x88ca, "tipc"),
    (0x88cc, "LLDP"),
];

fn ethertype_name(number: u16) -> Option<&'static str> {
    ETHERTYPES.iter().find(|(n, _)| *n == number).map(|(_, name)| *name)
}

/// EtherType of a name.
pub fn ethertype(name: &str) -> Option<u16> {
    let known = ETHERTYPES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(n, _)| *n);
    known.or_else(|| (name == "ipv4").then_some(0x0800))
}

/// include/uapi/linux/netlink.h, in ss's words, by number.
const NETLINK: [&str; 22] = [
    "rtnl",
    "unused",
    "usersock",
    "fw",
    "tcpdiag",
    "nflog",
    "xfrm",
    "selinux",
    "iscsi",
    "audit",
    "fiblookup",
    "connector",
    "nft",
    "ip6fw",
    "dec-rt",
    "uevent",
    "genl",
    "17",
    "scsi-trans",
    "ecryptfs",
    "rdma",
    "crypto",
];

fn netlink_name(protocol: u32) -> Option<&'static str> {
    NETLINK.get(usize::try_from(protocol).ok()?).copied()
}

/// Number of a protocol of netlink.
pub fn netlink_protocol(name: &str) -> Option<u32> {
    NETLINK.iter().position(|n| *n == name).and_then(|n| u32::try_from(n).ok())
}
