//! Records into events.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tracenet_core::drops::{Details, Hook, Queue, QueueKind};
use tracenet_core::event::{
    DropEvent, Event, EventKind, IoTotals, ProcessInfo, Retransmit, RetransmitCause, SampleReason, Sampling,
    SignalInfo, SocketEvent, SocketIo, SocketReason, Task, TcpInfo, TcpState, TurnEvent,
};
use tracenet_core::key::{Direction, NetnsCookie, ProcessKey, Role, SocketCookie, Transport, Tuple, unmap};
use tracenet_core::time::MonoNs;

use crate::abi::{self, Process, Wire, WireTotals, WireTuple, kind, queue};
use crate::entries::Entries;
use crate::symbols::{KernelTypes, Symbols};

/// Names that are remembered before the memory of them starts over.
const NAMES_MAX: usize = 4096;
/// Open UDP sockets of targets whose totals are kept for their last word. Those beyond get none.
const UDP_MAX: usize = 65536;

/// Turns records of the ring buffer into events. Holds what names need: the kernel's enums and symbols, and strings
/// seen before; the default one knows no names, and tells numbers and addresses instead.
#[derive(Debug, Default)]
pub struct Decoder {
    types: KernelTypes,
    symbols: Arc<Symbols>,
    comms: FxHashMap<[u8; 16], Arc<str>>,
    locations: FxHashMap<u64, Arc<str>>,
    /// The kernel's state of a UDP socket is gone by the time its end is seen.
    udp: FxHashMap<SocketCookie, SocketEvent>,
    /// What calls read when they were entered.
    entries: Entries,
    /// Records that made no sense: cut short, or of an unknown kind.
    pub(crate) malformed: u64,
    /// A listener threw something away because its accept queue was full.
    pub(crate) queue_was_full: bool,
}

impl Decoder {
    pub(crate) fn new(types: KernelTypes, symbols: Arc<Symbols>) -> Self {
        Self {
            types,
            symbols,
            comms: FxHashMap::default(),
            locations: FxHashMap::default(),
            udp: FxHashMap::default(),
            entries: Entries::default(),
            malformed: 0,
            queue_was_full: false,
        }
    }

    /// Decodes one record of the ring buffer or of an iterator and appends what it says. Returns its kind.
    pub fn decode(&mut self, record: &[u8], out: &mut Vec<Event>) -> Option<u16> {
        let kind = abi::read::<abi::Header>(record).map(|h| h.kind);
        if kind.is_none() || self.try_decode(record, out).is_none() {
            self.malformed += 1;
        }
        kind
    }

    fn try_decode(&mut self, record: &[u8], out: &mut Vec<Event>) -> Option<()> {
        let h: abi::Header = abi::read(record)?;
        let task = Task { tgid: h.tgid, tid: h.tid };
        let mut push = |kind| out.push(Event { t: MonoNs(h.t), kind });
        match h.kind {
            kind::TARGET => {
                let e: abi::EvProcess = abi::read(record)?;
                push(EventKind::Target(self.process(&e.process)?));
            }
            kind::FORK => {
                let e: abi::EvProcess = abi::read(record)?;
                let child = self.process(&e.process)?;
                let followed = e.process.flags & abi::PROCESS_TARGET != 0;
                push(EventKind::Fork { task, child: child.clone(), followed });
                if followed {
                    push(EventKind::Target(child));
                }
            }
            kind::EXEC => {
                let e: abi::EvExec = abi::read(record)?;
                push(EventKind::Exec { task, comm: self.comm(&e.comm), filename: text(&e.filename).into() });
            }
            kind::EXIT => {
                let e: abi::EvExit = abi::read(record)?;
                push(EventKind::Exit { task, code: e.code });
            }
            kind::THREAD_EXIT => {
                let e: abi::EvExit = abi::read(record)?;
                push(EventKind::ThreadExit { task, code: e.code });
            }
            kind::SIGNAL => {
                let e: abi::EvSignal = abi::read(record)?;
                let i = e.info;
                let info = SignalInfo {
                    number: i.number,
                    error: i.error as i32,
                    code: i.code as i32,
                    fields: i.fields,
                };
                push(EventKind::Signal { task, info, ignored: e.ignored != 0 });
            }
            kind::SYSCALL => {
                if let Some(kind) = self.entries.complete(task, record)? {
                    push(kind);
                }
            }
            kind::SOCKET => {
                let e: abi::EvSocket = abi::read(record)?;
                let socket = self.socket(&e)?;
                if socket.tuple.transport == Transport::Udp
                    && (self.udp.len() < UDP_MAX || self.udp.contains_key(&socket.cookie))
                {
                    self.udp.insert(socket.cookie, socket.clone());
                }
                push(EventKind::Socket(Box::new(socket)));
            }
            kind::IO => {
                let e: abi::EvIo = abi::read(record)?;
                let io = SocketIo {
                    task,
                    cookie: SocketCookie(e.cookie),
                    direction: direction(u8::try_from(e.direction).ok()?)?,
                    bytes: e.bytes,
                    entered: (e.entered > 0).then_some(MonoNs(e.entered)),
                    totals: totals(&e.io),
                };
                if !self.udp.is_empty()
                    && let Some(socket) = self.udp.get_mut(&io.cookie)
                {
                    socket.io = io.totals;
                }
                push(EventKind::SocketIo(io));
            }
            kind::TURN => {
                let e: abi::EvTurn = abi::read(record)?;
                push(EventKind::Turn(Box::new(turn(&e)?)));
            }
            kind::SCHEDULED => {
                let e: abi::EvScheduled = abi::read(record)?;
                push(EventKind::Scheduled { task, slept: MonoNs(e.slept), woken: MonoNs(e.woken) });
            }
            kind::READABLE => {
                let e: abi::EvReadable = abi::read(record)?;
                push(EventKind::Readable { cookie: SocketCookie(e.cookie) });
            }
            kind::ACCEPT => {
                let e: abi::EvAccept = abi::read(record)?;
                push(EventKind::Accept { task, cookie: SocketCookie(e.cookie), entered: MonoNs(e.entered) });
            }
            kind::RETRANSMIT => {
                let e: abi::EvRetransmit = abi::read(record)?;
                push(EventKind::Retransmit(Box::new(Retransmit {
                    cookie: cookie(e.cookie),
                    netns: NetnsCookie(e.netns),
                    tuple: tuple(&e.tuple)?,
                    owner: self.process(&e.owner),
                    cause: cause(e.cause),
                    seq: e.seq,
                    len: e.len,
                    segments: e.segments,
                    // By the time of the tracepoint skb_mstamp_ns is the new transmission's (__tcp_transmit_skb).
                    sent_at: None,
                })));
            }
            kind::DROP => {
                let e: abi::EvDrop = abi::read(record)?;
                push(EventKind::Drop(Box::new(DropEvent {
                    netns: NetnsCookie(e.netns),
                    netns_inum: e.netns_inum,
                    tuple: tuple(&e.tuple)?,
                    direction: direction(e.direction)?,
                    cookie: cookie(e.cookie),
                    owner: self.process(&e.owner),
                    peer_cookie: cookie(e.peer_cookie),
                    reason: reason(&mut self.types.drop_reasons, e.reason),
                    location: self.location(e.location),
                    ifindex: e.ifindex,
                    details: Arc::new(self.details(&e)),
                    seq: e.seq,
                    tcp_flags: e.tcp_flags,
                    payload_len: e.payload_len,
                    segments: e.segments,
                })));
            }
            kind::RESET => {
                let e: abi::EvReset = abi::read(record)?;
                push(EventKind::Reset {
                    cookie: cookie(e.cookie),
                    netns: NetnsCookie(e.netns),
                    tuple: tuple(&e.tuple)?,
                    direction: direction(e.direction)?,
                    reason: (e.has_reason != 0).then(|| reason(&mut self.types.reset_reasons, e.reason)),
                });
            }
            kind::CLOSED => {
                let e: abi::EvClosed = abi::read(record)?;
                // One that no event told of has no last word either.
                if let Some(socket) = self.udp.remove(&cookie(e.cookie)?) {
                    let last =
                        SocketEvent { reason: SocketReason::Destroy, state: TcpState::Close, ..socket };
                    push(EventKind::Socket(Box::new(last)));
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn comm(&mut self, comm: &[u8; 16]) -> Arc<str> {
        if let Some(s) = self.comms.get(comm) {
            return s.clone();
        }
        if self.comms.len() >= NAMES_MAX {
            self.comms.clear();
        }
        let s: Arc<str> = text(comm).into();
        self.comms.insert(*comm, s.clone());
        s
    }

    fn location(&mut self, address: u64) -> Arc<str> {
        if let Some(s) = self.locations.get(&address) {
            return s.clone();
        }
        if self.locations.len() >= NAMES_MAX {
            self.locations.clear();
        }
        let s: Arc<str> =
            self.symbols.name(address).map_or_else(|| format!("{address:#x}").into(), Arc::from);
        self.locations.insert(address, s.clone());
        s
    }

    fn details(&mut self, e: &abi::EvDrop) -> Details {
        let hook = e.stack.iter().filter(|a| **a != 0).find_map(|a| Hook::of_caller(&self.location(*a)));
        let kind = match e.queue {
            queue::QDISC => Some(QueueKind::Qdisc),
            queue::RECEIVE => Some(QueueKind::Receive),
            queue::BACKLOG => Some(QueueKind::Backlog),
            queue::ACCEPT => Some(QueueKind::Accept),
            _ => None,
        };
        self.queue_was_full |= kind == Some(QueueKind::Accept);
        let queue = kind.map(|kind| Queue {
            kind,
            name: match kind {
                // As tc(8) prints them: without a handle of its own a qdisc is `0:`.
                QueueKind::Qdisc => format!("{} {:x}:", text(&e.qdisc), e.qdisc_handle >> 16).into(),
                _ => Arc::default(),
            },
            limit: e.queue_limit,
            fill: e.queue_fill,
            bytes: e.queue_bytes,
        });
        Details { interface: self.comm(&e.ifname), hook, queue, ttl: e.ttl, ..Details::default() }
    }

    /// `None` where nobody was recorded.
    fn process(&mut self, p: &Process) -> Option<ProcessInfo> {
        (p.tgid != 0).then(|| ProcessInfo {
            key: ProcessKey { tgid: p.tgid, start_ns: p.start_ns },
            comm: self.comm(&p.comm),
        })
    }

    fn socket(&mut self, e: &abi::EvSocket) -> Option<SocketEvent> {
        let reason = match e.reason {
            0 => SocketReason::Existing,
            1 => SocketReason::State,
            2 => SocketReason::Flow,
            3 => SocketReason::Owner,
            4 => SocketReason::Destroy,
            5 => SocketReason::Final,
            _ => return None,
        };
        Some(SocketEvent {
            reason,
            cookie: cookie(e.cookie)?,
            netns: NetnsCookie(e.netns),
            netns_inum: e.netns_inum,
            tuple: tuple(&e.tuple)?,
            owner: self.process(&e.owner),
            target: e.owner.flags & abi::PROCESS_TARGET != 0,
            role: match e.role {
                1 => Some(Role::Client),
                2 => Some(Role::Server),
                _ => None,
            },
            state: TcpState::from_kernel(e.state),
            old_state: (reason == SocketReason::State).then(|| TcpState::from_kernel(e.old_state)),
            err: e.err,
            retransmitted_segments: e.retransmitted,
            io: totals(&e.io),
            tcp: (e.has_tcp != 0).then(|| tcp_info(&e.tcp)),
            isns_kept: e.isns_kept != 0,
            began: time(e.began),
            established: time(e.established),
        })
    }
}

/// Up to the NUL; the kernel promises no encoding.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn turn(e: &abi::EvTurn) -> Option<TurnEvent> {
    Some(TurnEvent {
        cookie: cookie(e.cookie)?,
        index: e.index,
        start: MonoNs(e.start),
        request_end: MonoNs(e.request_end),
        response_start: time(e.response_start),
        end: MonoNs(e.end),
        request_bytes: e.request_bytes,
        response_bytes: e.response_bytes,
        retransmits: e.retransmits,
        sampling: Sampling {
            reason: match e.reason {
                1 => SampleReason::Slow,
                2 => SampleReason::Loss,
                3 => SampleReason::Unanswered,
                4 => SampleReason::Share,
                _ => return None,
            },
            share: e.share,
        },
    })
}

/// 0 is none.
fn time(ns: u64) -> Option<MonoNs> {
    (ns != 0).then_some(MonoNs(ns))
}

fn cookie(n: u64) -> Option<SocketCookie> {
    (n != 0).then_some(SocketCookie(n))
}

fn direction(n: u8) -> Option<Direction> {
    match n {
        1 => Some(Direction::In),
        2 => Some(Direction::Out),
        _ => None,
    }
}

fn cause(n: u32) -> RetransmitCause {
    match n {
        0 => RetransmitCause::Fast,
        1 => RetransmitCause::TailLossProbe,
        2 => RetransmitCause::Timeout,
        3 => RetransmitCause::Syn,
        4 => RetransmitCause::SynAck,
        _ => RetransmitCause::Other,
    }
}

/// The kernel's name, or its number where this kernel's BTF has no name for it (reasons of subsystems).
fn reason(names: &mut FxHashMap<u32, Arc<str>>, n: u32) -> Arc<str> {
    if let Some(s) = names.get(&n) {
        return s.clone();
    }
    let s: Arc<str> = format!("REASON_{n:#x}").into();
    if names.len() < NAMES_MAX {
        names.insert(n, s.clone());
    }
    s
}

fn tuple(t: &WireTuple) -> Option<Tuple> {
    let end = |ip: [u8; 16], port| SocketAddr::new(unmap(IpAddr::V6(Ipv6Addr::from(ip))), port);
    Some(Tuple {
        transport: Transport::from_ip_proto(t.proto)?,
        local: end(t.local, t.lport),
        remote: end(t.remote, t.rport),
    })
}

fn totals(t: &WireTotals) -> IoTotals {
    IoTotals { sent: t.sent, received: t.received, turns: t.turns }
}

fn tcp_info(t: &abi::TcpCounters) -> TcpInfo {
    TcpInfo {
        srtt_us: t.srtt_us,
        rttvar_us: t.rttvar_us,
        // tcp_min_rtt() is ~0 before the first sample.
        min_rtt_us: if t.min_rtt_us == u32::MAX { 0 } else { t.min_rtt_us },
        snd_cwnd: t.snd_cwnd,
        snd_ssthresh: t.snd_ssthresh,
        total_retrans: t.total_retrans,
        bytes_acked: t.bytes_acked,
        bytes_received: t.bytes_received,
        bytes_sent: t.bytes_sent,
        bytes_retrans: t.bytes_retrans,
        segs_in: t.segs_in,
        segs_out: t.segs_out,
        snd_una: t.snd_una,
        snd_nxt: t.snd_nxt,
        write_seq: t.write_seq,
        rcv_nxt: t.rcv_nxt,
        copied_seq: t.copied_seq,
        snd_wnd: t.snd_wnd,
        rcv_wnd: t.rcv_wnd,
        mss_cache: t.mss_cache,
        lost: t.lost,
        reordering: t.reordering,
        dsack_dups: t.dsack_dups,
        rcv_ooopack: t.rcv_ooopack,
        ca_state: u8::try_from(t.ca_state).unwrap_or(u8::MAX),
        local_isn: t.local_isn,
        remote_isn: t.remote_isn,
    }
}

/// Bytes of a record of an iterator, by its header; `None` for a kind that iterators don't write.
pub(crate) fn iterator_record_len(head: &[u8]) -> Option<usize> {
    const fn size<T: Wire>() -> usize {
        size_of::<T>()
    }
    match abi::read::<abi::Header>(head)?.kind {
        kind::TARGET => Some(size::<abi::EvProcess>()),
        kind::SOCKET => Some(size::<abi::EvSocket>()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder() -> Decoder {
        Decoder::default()
    }

    fn bytes_of<T: Wire>(t: &T) -> Vec<u8> {
        // SAFETY: `Wire` types have no padding, so every byte is initialised.
        unsafe { std::slice::from_raw_parts((&raw const *t).cast::<u8>(), size_of::<T>()) }.to_vec()
    }

    fn zeroed<T: Wire>() -> T {
        abi::read(&vec![0; size_of::<T>()]).unwrap()
    }

    #[test]
    fn a_closed_datagram_socket_has_a_last_word_with_its_totals() {
        let mut decoder = decoder();
        let mut out = Vec::new();
        let mut socket: abi::EvSocket = zeroed();
        socket.h.kind = kind::SOCKET;
        socket.reason = 2;
        socket.cookie = 5;
        socket.tuple.proto = 17;
        socket.tuple.local[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        decoder.decode(&bytes_of(&socket), &mut out);
        let mut io: abi::EvIo = zeroed();
        io.h.kind = kind::IO;
        io.cookie = 5;
        io.direction = 2;
        io.io.sent = 77;
        decoder.decode(&bytes_of(&io), &mut out);
        let mut closed: abi::EvClosed = zeroed();
        closed.h.kind = kind::CLOSED;
        closed.cookie = 5;
        for _ in 0..2 {
            decoder.decode(&bytes_of(&closed), &mut out);
        }
        assert_eq!(out.len(), 3, "told once: {out:?}");
        let EventKind::Socket(s) = &out[2].kind else { panic!("{out:?}") };
        assert_eq!((s.reason, s.io.sent), (SocketReason::Destroy, 77));
        assert_eq!(s.tuple.local.to_string(), "127.0.0.1:0");
    }
}
