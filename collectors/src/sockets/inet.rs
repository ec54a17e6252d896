//! TCP, UDP and raw sockets: `struct inet_diag_req_v2` and `struct inet_diag_msg` (include/uapi/linux/inet_diag.h).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::dump::Diag;
use super::message::Fields;
use super::socket::{Address, Kind, Memory, Socket, State};
use super::tcp::{self, Tcp};
use super::{Query, SocketsError};

const REQUEST_SIZE: usize = 56;
const MESSAGE_SIZE: usize = 72;

pub(super) const INET_DIAG_INFO: u16 = 2;
pub(super) const INET_DIAG_VEGASINFO: u16 = 3;
pub(super) const INET_DIAG_CONG: u16 = 4;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_SHUTDOWN: u16 = 8;
pub(super) const INET_DIAG_DCTCPINFO: u16 = 9;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_MARK: u16 = 15;
pub(super) const INET_DIAG_BBRINFO: u16 = 16;
pub(super) const INET_DIAG_ULP_INFO: u16 = 19;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// A running timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// `on` (retransmission and its like), `keepalive`, `timewait`, `persist` or `unknown`: ss's words.
    pub name: &'static str,
    /// Milliseconds until it fires.
    pub expires_ms: u32,
    /// Retransmissions, or probes, so far.
    pub retransmits: u8,
}

/// False where this kernel can't dump them.
pub(super) fn read(
    diag: &mut Diag,
    kind: Kind,
    query: &Query,
    each: &mut dyn FnMut(Socket),
) -> Result<bool, SocketsError> {
    let (what, protocol) = match kind {
        Kind::Tcp => ("TCP", libc::IPPROTO_TCP),
        Kind::Udp => ("UDP", libc::IPPROTO_UDP),
        _ => ("raw", libc::IPPROTO_RAW),
    };
    let families = [(query.v4, libc::AF_INET), (query.v6, libc::AF_INET6)];
    for (_, family) in families.into_iter().filter(|(wanted, _)| *wanted) {
        let request = request(family, protocol, query);
        if !diag.dump(what, &request, &mut |message| each(parse(message, kind)))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn request(family: i32, protocol: i32, query: &Query) -> [u8; REQUEST_SIZE] {
    let extension = |wanted: bool, attribute: u16| if wanted { 1u8 << (attribute - 1) } else { 0 };
    let mut request = [0; REQUEST_SIZE];
    // Numbers of families and protocols fit in a byte.
    let head = [
        family as u8,
        protocol as u8,
        // INET_DIAG_CONG brings what the congestion control says of itself along.
        extension(query.tcp_info, INET_DIAG_INFO)
            | extension(query.tcp_info, INET_DIAG_VEGASINFO)
            | extension(query.tcp_info, INET_DIAG_CONG)
            | extension(query.memory, INET_DIAG_SKMEMINFO),
        0,
    ];
    let states = query.states.0.to_ne_bytes();
    for (to, from) in request.iter_mut().zip(head.into_iter().chain(states)) {
        *to = from;
    }
    request
}

pub(super) fn parse(message: Fields<'_>, kind: Kind) -> Socket {
    let v6 = i32::from(message.u8(0)) == libc::AF_INET6;
    let end = |port: usize, address: usize| {
        let ip = if v6 {
            IpAddr::V6(Ipv6Addr::from(message.bytes::<16>(address)))
        } else {
            IpAddr::V4(Ipv4Addr::from(message.bytes::<4>(address)))
        };
        Address::Ip(ip, message.be16(port))
    };
    let state = match State::from_number(message.u8(1)) {
        // A closed TCP socket is in no table but that of bound ports (net/ipv4/inet_diag.c, inet_diag_dump_icsk).
        State::Close if kind == Kind::Tcp => State::BoundInactive,
        state => state,
    };
    let mut socket = Socket::new(kind, state, end(4, 8), end(6, 24));
    socket.timer = timer(message.u8(2), message.u32(52), message.u8(3));
    socket.interface = message.u32(40);
    socket.cookie = message.cookie(44);
    socket.recv_q = message.u32(56);
    socket.send_q = message.u32(60);
    socket.uid = Some(message.u32(64));
    socket.inode = message.u32(68);
    let mut told: Option<Box<Tcp>> = None;
    for (attribute, value) in message.attributes(MESSAGE_SIZE) {
        match attribute {
            INET_DIAG_SKMEMINFO => socket.memory = Some(Memory::parse(value)),
            INET_DIAG_SHUTDOWN => socket.shutdown = Some(value.u8(0)),
            INET_DIAG_SKV6ONLY => socket.v6only = Some(value.u8(0) != 0),
            INET_DIAG_MARK => socket.mark = value.u32(0),
            INET_DIAG_CGROUP_ID => socket.cgroup = Some(value.u64(0)),
            _ if kind == Kind::Tcp => tcp::attribute(&mut told, attribute, value),
            _ => {}
        }
    }
    socket.tcp = told;
    socket
}

/// `idiag_timer` (net/ipv4/inet_diag.c, inet_sk_diag_fill).
pub(super) fn timer(number: u8, expires_ms: u32, retransmits: u8) -> Option<Timer> {
    let name = match number {
        0 => return None,
        1 => "on",
        2 => "keepalive",
        3 => "timewait",
        4 => "persist",
        _ => "unknown",
    };
    Some(Timer { name, expires_ms, retransmits })
}
