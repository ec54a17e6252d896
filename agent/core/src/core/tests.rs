//! Scripts of events with explicit times, one for each rule.

mod bounds;
mod closing;
mod connections;
mod datagrams;
mod governed;
mod owners;
mod requests;
mod trouble;
mod wide;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Core, Settings};
use crate::event::{
    DropEvent, Event, EventKind, IoTotals, LossSource, Packet, ProcessInfo, Retransmit, RetransmitCause,
    Segment, SocketEvent, SocketIo, SocketReason, Task, TcpState,
};
use crate::fact::{ConnSummary, Fact, FactKind, Turn};
use crate::key::{Direction, NetnsCookie, ProcessKey, SocketCookie, Transport, Tuple};
use crate::time::{MonoNs, WallNs};

pub(super) const US: u64 = 1_000;
pub(super) const MS: u64 = 1_000_000;
pub(super) const S: u64 = 1_000_000_000;
pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;
pub(super) const NS: NetnsCookie = NetnsCookie(1);
pub(super) const CLIENT: &str = "10.0.0.1:40000";
pub(super) const SERVER: &str = "10.0.0.2:80";

/// A core, and what it has said.
pub(super) struct Script {
    pub(super) core: Core,
    pub(super) facts: Vec<Fact>,
}

impl Script {
    /// With one target, `api[10]`.
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let mut s = Self { core: Core::new(settings), facts: Vec::new() };
        s.target(10, "api");
        s
    }

    pub(super) fn target(&mut self, pid: u32, comm: &str) {
        self.event(0, EventKind::Target(process(pid, comm)));
    }

    pub(super) fn event(&mut self, t: u64, kind: EventKind) {
        self.core.handle(Event { t: MonoNs(t), kind }, &mut self.facts);
    }

    pub(super) fn socket(&mut self, t: u64, s: SocketEvent) {
        self.event(t, EventKind::Socket(Box::new(s)));
    }

    pub(super) fn io(
        &mut self,
        t: u64,
        pid: u32,
        cookie: u64,
        direction: Direction,
        bytes: u32,
        totals: (u64, u64, u32),
    ) {
        let totals = IoTotals { sent: totals.0, received: totals.1, turns: totals.2 };
        let io = SocketIo {
            task: task(pid),
            cookie: SocketCookie(cookie),
            direction,
            bytes,
            entered: None,
            totals,
        };
        self.event(t, EventKind::SocketIo(io));
    }

    pub(super) fn accept(&mut self, t: u64, pid: u32, cookie: u64) {
        let cookie = SocketCookie(cookie);
        self.event(t, EventKind::Accept { task: task(pid), cookie, entered: MonoNs(0) });
    }

    pub(super) fn packet(&mut self, t: u64, mut p: Packet) {
        p.wall = WallNs(t);
        self.event(t, EventKind::Packet(Box::new(p)));
    }

    pub(super) fn retransmit(&mut self, t: u64, r: Retransmit) {
        self.event(t, EventKind::Retransmit(Box::new(r)));
    }

    pub(super) fn dropped(&mut self, t: u64, d: DropEvent) {
        self.event(t, EventKind::Drop(Box::new(d)));
    }

    pub(super) fn reset(&mut self, t: u64, cookie: u64, direction: Direction) {
        let tuple = tuple(CLIENT, SERVER);
        let cookie = Some(SocketCookie(cookie));
        self.event(t, EventKind::Reset { cookie, netns: NS, tuple, direction, reason: None });
    }

    pub(super) fn lost(&mut self, t: u64, source: LossSource, count: u64) {
        self.event(t, EventKind::Lost { source, what: Arc::from("ring"), count });
    }

    pub(super) fn tick(&mut self, t: u64) {
        self.core.tick(MonoNs(t), &mut self.facts);
    }

    /// SYN_SENT, the local port, ESTABLISHED 1 ms later.
    pub(super) fn connected(&mut self, t: u64, cookie: u64, local: &str, remote: &str) {
        self.socket(t, syn_sent(cookie, remote));
        self.socket(t + 10, sock(SocketReason::Flow, cookie, local, remote));
        self.socket(t + MS, state(cookie, local, remote, TcpState::SynSent, TcpState::Established));
    }

    /// CLOSE and the end of the socket.
    pub(super) fn closed(&mut self, t: u64, cookie: u64, local: &str, remote: &str, from: TcpState) {
        self.socket(t, state(cookie, local, remote, from, TcpState::Close));
        self.destroyed(t + 1, cookie, local, remote);
    }

    pub(super) fn destroyed(&mut self, t: u64, cookie: u64, local: &str, remote: &str) {
        let s = SocketEvent { state: TcpState::Close, ..sock(SocketReason::Destroy, cookie, local, remote) };
        self.socket(t, s);
    }

    pub(super) fn finish(&mut self, t: u64) -> Vec<ConnSummary> {
        self.core.finish(MonoNs(t), &mut self.facts);
        self.core.summaries()
    }

    /// Finishes; there is one connection.
    pub(super) fn only(&mut self, t: u64) -> ConnSummary {
        let mut all = self.finish(t);
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    pub(super) fn turns(&self) -> Vec<&Turn> {
        let turn = |f: &'_ Fact| matches!(f.kind, FactKind::Turn(_));
        self.facts
            .iter()
            .filter(|f| turn(f))
            .filter_map(|f| match &f.kind {
                FactKind::Turn(t) => Some(&**t),
                _ => None,
            })
            .collect()
    }

    /// Names of the facts' kinds, for the order of the story.
    pub(super) fn story(&self) -> Vec<String> {
        self.facts
            .iter()
            .map(|f| {
                let name = format!("{:?}", f.kind);
                let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
                match f.conn {
                    Some(c) => format!("{c} {name}"),
                    None => name,
                }
            })
            .collect()
    }
}

pub(super) fn process(pid: u32, comm: &str) -> ProcessInfo {
    ProcessInfo { key: ProcessKey { tgid: pid, start_ns: u64::from(pid) }, comm: Arc::from(comm) }
}

pub(super) fn task(pid: u32) -> Task {
    Task { tgid: pid, tid: pid }
}

pub(super) fn addr(s: &str) -> SocketAddr {
    s.parse().expect("an address")
}

pub(super) fn tuple(local: &str, remote: &str) -> Tuple {
    Tuple { transport: Transport::Tcp, local: addr(local), remote: addr(remote) }
}

/// An established TCP socket of `api[10]`.
pub(super) fn sock(reason: SocketReason, cookie: u64, local: &str, remote: &str) -> SocketEvent {
    SocketEvent {
        reason,
        cookie: SocketCookie(cookie),
        netns: NS,
        netns_inum: 4_026_531_840,
        tuple: tuple(local, remote),
        owner: Some(process(10, "api")),
        target: true,
        role: None,
        state: TcpState::Established,
        old_state: None,
        err: 0,
        retransmitted_segments: 0,
        io: IoTotals::default(),
        tcp: None,
        isns_kept: false,
        began: None,
        established: None,
    }
}

pub(super) fn state(cookie: u64, local: &str, remote: &str, from: TcpState, to: TcpState) -> SocketEvent {
    SocketEvent { state: to, old_state: Some(from), ..sock(SocketReason::State, cookie, local, remote) }
}

pub(super) fn syn_sent(cookie: u64, remote: &str) -> SocketEvent {
    let any = if addr(remote).is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    state(cookie, any, remote, TcpState::Close, TcpState::SynSent)
}

pub(super) fn listen(cookie: u64, local: &str) -> SocketEvent {
    let any = if addr(local).is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    state(cookie, local, any, TcpState::Close, TcpState::Listen)
}

pub(super) fn segment(from: &str, to: &str, flags: u8, seq: u32, ack: u32, len: u32) -> Packet {
    let tcp = Segment { seq, ack, window: 65_000, flags, ..Segment::default() };
    Packet {
        netns: NS,
        ifindex: 2,
        wall: WallNs(0),
        tuple: tuple(from, to),
        wire_len: len + 54,
        ip_id: None,
        payload_len: len,
        tcp: Some(tcp),
        opening: None,
        frame: None,
    }
}

pub(super) fn again(cookie: u64, cause: RetransmitCause, seq: u32, len: u32, segments: u32) -> Retransmit {
    Retransmit {
        cookie: Some(SocketCookie(cookie)),
        netns: NS,
        tuple: tuple(CLIENT, SERVER),
        owner: Some(process(10, "api")),
        cause,
        seq,
        len,
        segments,
        sent_at: None,
    }
}

/// A packet on its way in, dropped by netfilter in the socket's own namespace.
pub(super) fn drop_in(cookie: Option<u64>, local: &str, remote: &str, segments: u32) -> DropEvent {
    DropEvent {
        netns: NS,
        netns_inum: 4_026_531_840,
        tuple: tuple(local, remote),
        direction: Direction::In,
        cookie: cookie.map(SocketCookie),
        owner: None,
        peer_cookie: None,
        reason: Arc::from("NETFILTER_DROP"),
        location: Arc::from("nft_do_chain"),
        ifindex: 2,
        details: Arc::default(),
        seq: 0,
        tcp_flags: ACK,
        payload_len: 100,
        segments,
    }
}

/// Kinds of drop of a summary, as (reason, packets, segments, owner's pid).
pub(super) fn kinds(drops: &[crate::fact::DropTotals]) -> Vec<(&str, u64, u64, u32)> {
    drops.iter().map(|d| (&*d.reason, d.packets, d.segments, d.owner.pid)).collect()
}
