//! `--json`: `tracenet.socket/1`. What a summary's connection has too is named as there.

mod tcp;

use std::sync::Arc;

use serde::Serialize;
use tracenet_collectors::cgroups::Cgroups;
use tracenet_collectors::owners::Holder;
use tracenet_collectors::sockets::{Address, Kind, Memory, Socket, State};

use super::names::{Names, unix_name};
use tcp::TcpLine;

/// One socket. What doesn't apply or is not known is null.
#[derive(Debug, Serialize)]
struct Line<'a> {
    schema: &'static str,
    /// Inode number of the network namespace.
    netns: u32,
    netns_name: Option<&'a str>,
    /// The first holder's.
    pid: Option<u32>,
    comm: Option<&'a str>,
    transport: &'static str,
    state: &'static str,
    local: Option<String>,
    remote: Option<String>,
    /// Of a Unix socket.
    peer_inode: Option<u32>,
    /// Bytes.
    receive_queue: Option<u32>,
    /// Bytes.
    send_queue: Option<u32>,
    /// Of a listener.
    accept_queue: Option<AcceptQueue>,
    processes: Vec<Process<'a>>,
    inode: Option<u32>,
    cookie: Option<u64>,
    uid: Option<u32>,
    interface: Option<String>,
    mark: Option<u32>,
    cgroup: Option<&'a str>,
    v6only: Option<bool>,
    shutdown: Option<Shutdown>,
    timer: Option<TimerLine>,
    memory: Option<MemoryLine>,
    tcp_info: Option<TcpLine<'a>>,
}

/// In connections.
#[derive(Debug, Serialize)]
struct AcceptQueue {
    waiting: u32,
    limit: u32,
    full: bool,
    /// Connections that it dropped, mostly for a full queue; null where the kernel doesn't say.
    drops: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Process<'a> {
    pid: u32,
    comm: &'a Arc<str>,
    fd: u32,
}

#[derive(Debug, Serialize)]
struct Shutdown {
    receive: bool,
    send: bool,
}

#[derive(Debug, Serialize)]
struct TimerLine {
    name: &'static str,
    expires_ns: u64,
    retransmits: u8,
}

/// Bytes; drops in packets.
#[derive(Debug, Serialize)]
struct MemoryLine {
    rmem_alloc: u32,
    rcvbuf: u32,
    wmem_alloc: u32,
    sndbuf: u32,
    fwd_alloc: u32,
    wmem_queued: u32,
    optmem: u32,
    backlog: u32,
    drops: u32,
}

/// Value of `schema`.
const SCHEMA: &str = "tracenet.socket/1";

const MS: u64 = 1_000_000;

/// Where a socket was found.
pub struct Place<'a> {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Its name.
    pub name: Option<&'a str>,
    /// Its interfaces, and how numbers are written.
    pub names: &'a Names<'a>,
    /// Paths of cgroups.
    pub cgroups: &'a Cgroups,
}

/// Appends a line.
pub fn push(out: &mut String, s: &Socket, place: &Place<'_>, holders: &[Holder]) {
    // Numbers, strings and maps with strings for keys can't fail.
    if let Ok(line) = tracenet_core::json::to_string(&line(s, place, holders)) {
        out.push_str(&line);
        out.push('\n');
    }
}

fn line<'a>(s: &'a Socket, place: &Place<'a>, holders: &'a [Holder]) -> Line<'a> {
    let listens = s.state == State::Listen;
    let first = holders.first();
    let accept_queue = AcceptQueue {
        waiting: s.recv_q,
        limit: s.send_q,
        full: s.is_queue_full(),
        drops: s.memory.filter(|_| s.kind == Kind::Tcp).map(|m| m.drops),
    };
    let end = |address: &Address, local| {
        let mut text = String::new();
        place.names.address(&mut text, s, address, local);
        place.names.port(&mut text, s.kind, address, local);
        text
    };
    Line {
        schema: SCHEMA,
        netns: place.netns,
        netns_name: place.name,
        pid: first.map(|h| h.pid),
        comm: first.map(|h| &*h.comm),
        transport: transport(s.kind),
        state: s.state.word(),
        local: match &s.local {
            Address::Unix { name, .. } => {
                name.as_deref().map(|name| String::from_utf8_lossy(&unix_name(name)).into_owned())
            }
            address => Some(end(address, true)),
        },
        remote: match &s.remote {
            Address::Unix { .. } | Address::None => None,
            Address::Ip(ip, 0) if ip.is_unspecified() => None,
            address => Some(end(address, false)),
        },
        peer_inode: match s.remote {
            Address::Unix { inode, .. } => Some(inode).filter(|n| *n != 0),
            _ => None,
        },
        receive_queue: (!listens).then_some(s.recv_q),
        send_queue: (!listens).then_some(s.send_q),
        accept_queue: listens.then_some(accept_queue),
        processes: holders.iter().map(|h| Process { pid: h.pid, comm: &h.comm, fd: h.fd }).collect(),
        inode: Some(s.inode).filter(|n| *n != 0),
        cookie: Some(s.cookie).filter(|n| *n != 0),
        uid: s.uid,
        interface: Some(s.interface).filter(|n| *n != 0).map(|n| place.names.interface(n)),
        mark: Some(s.mark).filter(|n| *n != 0),
        cgroup: s.cgroup.and_then(|id| place.cgroups.path(id)),
        v6only: s.v6only,
        shutdown: s.shutdown.map(|mask| Shutdown { receive: mask & 1 != 0, send: mask & 2 != 0 }),
        timer: s.timer.map(|t| TimerLine {
            name: t.name,
            expires_ns: u64::from(t.expires_ms) * MS,
            retransmits: t.retransmits,
        }),
        memory: s.memory.as_ref().map(memory),
        // Of a listener the kernel tells nothing but its queue.
        tcp_info: s.tcp.as_deref().filter(|_| !listens).map(TcpLine::new),
    }
}

fn memory(m: &Memory) -> MemoryLine {
    MemoryLine {
        rmem_alloc: m.rmem_alloc,
        rcvbuf: m.rcvbuf,
        wmem_alloc: m.wmem_alloc,
        sndbuf: m.sndbuf,
        fwd_alloc: m.fwd_alloc,
        wmem_queued: m.wmem_queued,
        optmem: m.optmem,
        backlog: m.backlog,
        drops: m.drops,
    }
}

fn transport(kind: Kind) -> &'static str {
    match kind {
        Kind::Tcp => "tcp",
        Kind::Udp => "udp",
        Kind::Raw => "raw",
        Kind::UnixStream => "unix_stream",
        Kind::UnixDgram => "unix_dgram",
        Kind::UnixSeqpacket => "unix_seqpacket",
        Kind::PacketRaw => "packet_raw",
        Kind::PacketDgram => "packet_dgram",
        Kind::Netlink => "netlink",
    }
}
