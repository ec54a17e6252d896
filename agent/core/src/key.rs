//! Identities: processes, sockets, namespaces, flows. See INV 3 of ARCHITECTURE.md.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A process: its thread-group id in the initial PID namespace, and when it started, so that a reused PID is
/// another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Thread-group id.
    pub tgid: u32,
    /// `task_struct.start_boottime` of the group leader, nanoseconds of `CLOCK_BOOTTIME`.
    pub start_ns: u64,
}

/// `sock_gen_cookie` of a socket; unique for the life of the host, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SocketCookie(pub u64);

/// `net->net_cookie` of a network namespace; unique for the life of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct NetnsCookie(pub u64);

/// Transport protocol of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl Transport {
    /// From an IP protocol number (IANA).
    pub fn from_ip_proto(p: u8) -> Option<Self> {
        match p {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }

    /// `tcp` or `udp`, as OpenTelemetry's `network.transport` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A socket's pair of addresses as the socket sees it. IPv4-mapped IPv6 addresses are stored as IPv4, so that a
/// dual-stack socket and its packets meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tuple {
    /// Transport protocol.
    pub transport: Transport,
    /// Address and port on this side.
    pub local: SocketAddr,
    /// Address and port of the peer; unspecified with port 0 where there is none.
    pub remote: SocketAddr,
}

impl Tuple {
    /// The same flow as the peer sees it.
    pub fn reversed(self) -> Self {
        Self { transport: self.transport, local: self.remote, remote: self.local }
    }
}

/// IPv4-mapped IPv6 as IPv4, everything else as it is (RFC 4291, section 2.5.5.2).
pub fn unmap(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// tracenet's short name of a connection, `c1`, `c2`, ... in the order of first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnId(pub u32);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl FromStr for ConnId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('c').and_then(|n| n.parse().ok());
        number.map(Self).ok_or("connections are named c1, c2, ...")
    }
}

/// Which end of a connection the observed socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It called connect (or, for UDP, sent first).
    Client,
    /// It came out of a listening socket (or, for UDP, received first).
    Server,
}

/// Direction seen from the observed socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the socket.
    In,
    /// From the socket.
    Out,
}

impl Direction {
    /// The same way as the peer sees it.
    pub fn reversed(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }
}
