//! `/proc/net/{raw,udp,tcp}`: for kernels without the diag module of a protocol (raw sockets' is seldom there).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::socket::{Address, Kind, Socket, State};
use super::{Query, SocketsError, inet};

/// The families that were asked for.
pub(super) fn read(kind: Kind, query: &Query, each: &mut dyn FnMut(Socket)) -> Result<(), SocketsError> {
    let name = match kind {
        Kind::Tcp => "tcp",
        Kind::Udp => "udp",
        _ => "raw",
    };
    for suffix in [query.v4.then_some(""), query.v6.then_some("6")].into_iter().flatten() {
        // The thread's own view: it may have entered another namespace than its process.
        let path = format!("/proc/thread-self/net/{name}{suffix}");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // A kernel without IPv6.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(SocketsError::Proc { path, source }),
        };
        text.lines()
            .filter_map(|line| parse(line, kind))
            .filter(|s| query.states.contains(s.state))
            .for_each(&mut *each);
    }
    Ok(())
}

/// A line of net/ipv4/tcp_ipv4.c, get_tcp4_sock, and its like; `None` for the heading.
pub(super) fn parse(line: &str, kind: Kind) -> Option<Socket> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (end(words.next()?)?, end(words.next()?)?);
    let state = State::from_number(u8::from_str_radix(words.next()?, 16).ok()?);
    let mut socket = Socket::new(kind, state, local, remote);
    (socket.send_q, socket.recv_q) = hex_pair(words.next()?)?;
    let (number, jiffies) = hex_pair(words.next()?)?;
    let retransmits = u8::try_from(u32::from_str_radix(words.next()?, 16).ok()?).unwrap_or(u8::MAX);
    // jiffies_to_clock_t: 100 a second.
    let timer = inet::timer(u8::try_from(number).unwrap_or(u8::MAX), jiffies.saturating_mul(10), retransmits);
    socket.timer = timer.filter(|_| kind == Kind::Tcp);
    socket.uid = words.next()?.parse().ok();
    socket.inode = words.nth(1)?.parse().ok()?;
    Some(socket)
}

fn hex_pair(word: &str) -> Option<(u32, u32)> {
    let (a, b) = word.split_once(':')?;
    Some((u32::from_str_radix(a, 16).ok()?, u32::from_str_radix(b, 16).ok()?))
}

/// `0100007F:0050`: words of 32 bits as the machine has them, the port as a number.
fn end(word: &str) -> Option<Address> {
    let (address, port) = word.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = |n: usize| u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = if address.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(words(0)?))
    } else {
        let mut bytes = [0; 16];
        for (n, to) in bytes.chunks_exact_mut(4).enumerate() {
            to.copy_from_slice(&words(n)?);
        }
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    Some(Address::Ip(ip, port))
}
