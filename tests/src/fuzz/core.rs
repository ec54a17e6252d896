//! The core: every kind of event in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracenet_core::core::{Core, Settings};
use tracenet_core::drops::Details;
use tracenet_core::event::{
    CounterSample, DropEvent, Event, EventKind, GovernorEvent, GovernorStep, GovernorWhy, IoTotals,
    LossSource, Packet, ProcessInfo, Retransmit, RetransmitCause, SampleReason, Sampling, SignalInfo,
    SocketEvent, SocketIo, SocketReason, Task, TcpInfo, TcpState, TurnEvent,
};
use tracenet_core::fact::{Fact, FactKind};
use tracenet_core::key::{ConnId, Direction, NetnsCookie, ProcessKey, Role, SocketCookie, Transport, Tuple};
use tracenet_core::merge::{Merger, SourceId};
use tracenet_core::summary::{Closing, EventLines, Summary};
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs, WallNs};

use super::{Bytes, syscalls, tcp};

/// Events through the merger into a core with little room, and its facts into the JSON.
pub fn core(data: &[u8]) {
    let mut bytes = Bytes(data);
    let first = bytes.u8();
    let settings = Settings {
        max_connections: usize::from(first % 16) + 1,
        wide: first & 0x80 != 0,
        max_processes: usize::from(bytes.u8() % 8) + 1,
        max_half_open: usize::from(bytes.u8() % 4) + 1,
        linger_ns: u64::from(bytes.u8()) * 10_000_000,
        ..Settings::default()
    };
    let mut merger = Merger::with_capacity_limit(usize::from(bytes.u8()) + 1);
    let mut run = Run::new(settings);
    let mut story = Story::default();
    let (mut pushed, mut now) = (0, 0);
    while !bytes.is_empty() {
        let op = bytes.u8();
        now = bytes.time(now);
        let source = SourceId(u16::from(op >> 6));
        match op & 63 {
            0 => merger.remove_source(source),
            1 => merger.add_source(source),
            2..=9 => merger.watermark(source, MonoNs(now)),
            10..=15 => run.tick(now),
            _ => {
                pushed += 1;
                merger.push(source, Event { t: MonoNs(now), kind: story.event(&mut bytes, now) });
            }
        }
        while let Some(event) = merger.pop(MonoNs(now)) {
            run.handle(event);
        }
        assert!(merger.len() <= 256, "what waits is bounded");
        assert_eq!(merger.len() as u64 + run.handled, pushed, "no event is lost");
    }
    while let Some(event) = merger.finish() {
        run.handle(event);
    }
    assert_eq!(run.handled, pushed);
    assert!(run.backwards <= merger.stats().late, "what comes out of order is counted");
    run.finish(now);
}

/// A core and what was heard of it.
struct Run {
    core: Core,
    settings: Settings,
    lines: EventLines,
    json: Vec<u8>,
    facts: Vec<Fact>,
    handled: u64,
    calls: u64,
    packets: u64,
    retransmitted: u64,
    dropped: u64,
    lost: u64,
    /// Released after a later one; for syscalls the merger's order is another than that of their ends.
    backwards: u64,
    latest: MonoNs,
    opened: BTreeSet<ConnId>,
    closed: BTreeSet<ConnId>,
    turns: u64,
}

impl Run {
    fn new(settings: Settings) -> Self {
        Self {
            core: Core::new(settings.clone()),
            settings,
            lines: EventLines::default(),
            json: Vec::new(),
            facts: Vec::new(),
            handled: 0,
            calls: 0,
            packets: 0,
            retransmitted: 0,
            dropped: 0,
            lost: 0,
            backwards: 0,
            latest: MonoNs::default(),
            opened: BTreeSet::new(),
            closed: BTreeSet::new(),
            turns: 0,
        }
    }

    fn handle(&mut self, event: Event) {
        self.handled += 1;
        match &event.kind {
            EventKind::Syscall(_) => self.calls += 1,
            EventKind::Packet(_) => self.packets += 1,
            EventKind::Retransmit(r) => self.retransmitted += u64::from(r.segments),
            EventKind::Drop(_) => self.dropped += 1,
            EventKind::Lost { count, .. } => self.lost = self.lost.saturating_add(*count),
            _ => {}
        }
        if !matches!(event.kind, EventKind::Syscall(_)) {
            self.backwards += u64::from(event.t < self.latest);
            self.latest = self.latest.max(event.t);
        }
        self.core.handle(event, &mut self.facts);
        self.check();
    }

    fn tick(&mut self, now: u64) {
        self.core.tick(MonoNs(now), &mut self.facts);
        assert!(self.core.poll_at().is_none_or(|t| t > MonoNs(now)), "nothing that is due is left");
        self.check();
    }

    /// What holds after every step.
    fn check(&mut self) {
        for fact in self.facts.drain(..) {
            self.json.clear();
            self.lines.append(&fact, ClockOffset { wall_minus_mono_ns: 1_000 }, &mut self.json);
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&self.json).is_ok(), "{fact:?}");
            assert!(self.json.ends_with(b"\n") && self.json.iter().filter(|b| **b == b'\n').count() == 1);
            if let Some(id) = fact.conn {
                assert_ne!(id, ConnId(0), "{fact:?}");
                assert!(!self.closed.contains(&id), "told after its end: {fact:?}");
            }
            match &fact.kind {
                FactKind::Opened { .. } => {
                    assert!(fact.conn.is_some_and(|id| self.opened.insert(id)), "opened twice: {fact:?}");
                }
                FactKind::Closed(s) => {
                    assert_eq!(fact.conn, Some(s.id));
                    self.closed.insert(s.id);
                    assert!(s.end >= s.start, "{s:?}");
                    let by_cause = |r: &tracenet_core::fact::RetransmitTotals| {
                        r.fast + r.tail_loss_probe + r.timeout + r.syn + r.syn_ack + r.other
                    };
                    assert_eq!(s.retransmits.total, by_cause(&s.retransmits));
                    assert!(
                        s.bytes_sent_before <= s.bytes_sent && s.bytes_received_before <= s.bytes_received
                    );
                    if let Some(rtt) = &s.rtt {
                        assert!(rtt.min <= rtt.p50 && rtt.p50 <= rtt.p99 && rtt.p99 <= rtt.max, "{rtt:?}");
                        assert!(rtt.samples > 0);
                    }
                }
                FactKind::Turn(t) => {
                    self.turns += 1;
                    // A connect(2) that failed is a turn, too.
                    let failed = t.role == Role::Client && t.tuple.transport == Transport::Tcp;
                    assert!(t.request_bytes > 0 || t.response_bytes > 0 || failed, "{t:?}");
                    let w = t.waterfall.as_ref().expect("a turn of sockets has one");
                    assert_eq!(w.parts.sum(), t.end.since(w.start), "{t:?}");
                    assert!(w.evidence.len() <= tracenet_core::waterfall::MAX_EVIDENCE);
                }
                FactKind::Packet(p) => {
                    if let Some(analysis) = &p.analysis {
                        tcp::check(analysis, p.packet.payload_len, u64::MAX);
                    }
                }
                _ => {}
            }
        }
        assert!(self.core.open_connections() <= self.settings.max_connections);
        assert!(self.core.unclosed_connections() <= self.core.open_connections());
        assert!(self.core.targets().len() <= self.settings.max_processes);
        assert!(self.core.live_targets() <= self.core.targets().len());
    }

    fn finish(mut self, now: u64) {
        self.core.finish(MonoNs(now), &mut self.facts);
        self.check();
        assert_eq!(self.core.open_connections(), 0);
        let summaries = self.core.summaries();
        assert!(summaries.len() <= self.settings.max_connections);
        assert!(summaries.is_sorted_by(|a, b| a.id < b.id), "each is told once, in order");
        assert!(summaries.iter().all(|s| self.closed.contains(&s.id)));
        let t = self.core.totals();
        if self.settings.wide {
            assert!(summaries.is_empty(), "they are told, and not kept");
            return;
        }
        assert!((self.closed.len() - summaries.len()) as u64 <= t.omitted);
        assert_eq!((t.events, t.syscalls), (self.handled, self.calls));
        assert_eq!(t.packets + t.packets_of_others, self.packets);
        assert_eq!(t.connections, self.opened.len() as u64);
        assert!(t.turns <= self.turns, "a turn that was counted was told");
        // The kernel's own counts may add to what events told of, and never take from it.
        assert!(t.retransmits.total + t.unattributed_retransmits >= self.retransmitted);
        assert!(t.drops + t.unattributed_drops <= self.dropped && t.peer_drops <= self.dropped);
        assert!(t.drops + t.unattributed_drops + t.peer_drops >= self.dropped, "every drop is somebody's");
        let sum = |of: fn(&tracenet_core::fact::ConnSummary) -> u64| summaries.iter().map(of).sum::<u64>();
        let elsewhere: u64 = t.no_connection.iter().map(|n| n.retransmits.total).sum();
        assert!(sum(|s| s.retransmits.total) + elsewhere <= t.retransmits.total);
        assert!(sum(|s| s.packets.0 + s.packets.1) <= 2 * t.packets, "both ends of a packet may be here");
        let all = [t.lost.ringbuf, t.lost.capture, t.lost.queue, t.lost.export];
        assert_eq!(all.into_iter().fold(0, u64::saturating_add), self.lost);
        self.json.clear();
        Summary::new(&self.core, Closing::default()).write_json(&mut self.json);
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&self.json).is_ok());
    }
}

/// Makes events that have to do with each other: few processes, sockets, namespaces and addresses.
#[derive(Default)]
struct Story {
    next: BTreeMap<Tuple, u32>,
    names: Option<[Arc<str>; 4]>,
}

impl Story {
    fn event(&mut self, bytes: &mut Bytes<'_>, now: u64) -> EventKind {
        let names =
            self.names.get_or_insert_with(|| ["", "api", "worker\"\u{1}\n", "NETFILTER_DROP"].map(Arc::from));
        let name = Arc::clone(&names[usize::from(bytes.u8()) % 4]);
        let task = Task { tgid: u32::from(bytes.u8() & 7), tid: u32::from(bytes.u8() & 7) };
        match bytes.u8() % 32 {
            0 => EventKind::Target(info(bytes, name)),
            1 => EventKind::Fork { task, child: info(bytes, name), followed: bytes.flag() },
            2 => EventKind::Exec { task, comm: Arc::clone(&name), filename: name },
            3 => EventKind::Exit { task, code: bytes.number() },
            4 | 5 => {
                let mut call = syscalls::call(bytes, task);
                if bytes.u8() & 3 != 0 {
                    call.entered = MonoNs(now.saturating_sub(u64::from(bytes.number())));
                }
                EventKind::Syscall(Box::new(call))
            }
            6..=10 => EventKind::Socket(Box::new(socket(bytes, name))),
            11..=13 => EventKind::SocketIo(SocketIo {
                task,
                cookie: cookie(bytes).unwrap_or(SocketCookie(1)),
                direction: direction(bytes),
                bytes: bytes.number(),
                entered: bytes.flag().then(|| MonoNs(bytes.time(now))),
                totals: io(bytes),
            }),
            14 => EventKind::Accept {
                task,
                cookie: cookie(bytes).unwrap_or(SocketCookie(1)),
                entered: MonoNs(bytes.time(now)),
            },
            15 | 16 => EventKind::Retransmit(Box::new(retransmit(bytes, name, now))),
            17 | 18 => EventKind::Drop(Box::new(dropped(bytes, name))),
            19 => EventKind::Reset {
                cookie: cookie(bytes),
                netns: netns(bytes),
                tuple: tuple(bytes),
                direction: direction(bytes),
                reason: bytes.flag().then_some(name),
            },
            21 => {
                EventKind::Scheduled { task, slept: MonoNs(bytes.time(now)), woken: MonoNs(bytes.time(now)) }
            }
            23 => EventKind::Counters(Box::new(CounterSample {
                since: MonoNs(bytes.time(now)),
                netns_inum: bytes.flag().then_some(1),
                moved: vec![(name, u64::from(bytes.number()))],
            })),
            24 => EventKind::Governor(match bytes.u8() & 3 {
                0 => GovernorEvent::Turns { observed: bytes.flag() },
                1 => GovernorEvent::Packets { observed: bytes.flag() },
                _ => GovernorEvent::Step(Box::new(GovernorStep {
                    why: bytes.one_of(&[GovernorWhy::Costly, GovernorWhy::Room, GovernorWhy::Held]),
                    budget: 0.01,
                    cost: f64::from(bytes.number()) / 1e6,
                    left_out: vec![Arc::clone(&name); usize::from(bytes.u8() & 3)],
                    rung: bytes.flag().then(|| Arc::clone(&name)),
                    share: f64::from(bytes.u8()) / 255.0,
                    unobserved: vec![(name, DurationNs(u64::from(bytes.number())))],
                })),
            }),
            22 => EventKind::Readable { cookie: cookie(bytes).unwrap_or(SocketCookie(1)) },
            20 => EventKind::Lost {
                source: bytes.one_of(&[
                    LossSource::Ringbuf,
                    LossSource::Capture,
                    LossSource::Queue,
                    LossSource::Export,
                ]),
                what: name,
                count: u64::from(bytes.number()),
            },
            28 => EventKind::ThreadExit { task, code: bytes.number() },
            29 => {
                let mut info = SignalInfo { number: bytes.number(), ..SignalInfo::default() };
                (info.code, info.fields[0]) = (bytes.number() as i32, bytes.number());
                EventKind::Signal { task, info, ignored: bytes.flag() }
            }
            30 => EventKind::Sleeps(Box::new(syscalls::call(bytes, task))),
            // What the kernel put together.
            31 => EventKind::Turn(Box::new(TurnEvent {
                cookie: cookie(bytes).unwrap_or(SocketCookie(1)),
                index: bytes.number(),
                start: MonoNs(bytes.time(now)),
                request_end: MonoNs(bytes.time(now)),
                response_start: bytes.flag().then(|| MonoNs(bytes.time(now))),
                end: MonoNs(bytes.time(now)),
                request_bytes: bytes.u64(),
                response_bytes: bytes.u64(),
                retransmits: bytes.number(),
                sampling: Sampling { reason: SampleReason::Slow, share: bytes.number() },
            })),
            _ => EventKind::Packet(Box::new(self.packet(bytes, now))),
        }
    }

    fn packet(&mut self, bytes: &mut Bytes<'_>, now: u64) -> Packet {
        let tuple = tuple(bytes);
        let seq = self.next.get(&tuple).copied().unwrap_or_default();
        let ack = self.next.get(&tuple.reversed()).copied().unwrap_or_default();
        let tcp = (tuple.transport == Transport::Tcp || bytes.u8() == 0).then(|| bytes.segment(seq, ack));
        let payload_len = bytes.number();
        if let Some(seg) = tcp {
            let syn_fin = u32::from(seg.flags & 3 != 0);
            self.next.insert(tuple, seg.seq.wrapping_add(payload_len).wrapping_add(syn_fin));
        }
        Packet {
            netns: netns(bytes),
            ifindex: u32::from(bytes.u8() & 3),
            wall: WallNs(now),
            tuple,
            wire_len: payload_len.saturating_add(54),
            ip_id: bytes.flag().then(|| bytes.u16()),
            payload_len,
            tcp,
            opening: None,
            frame: None,
        }
    }
}

fn info(bytes: &mut Bytes<'_>, comm: Arc<str>) -> ProcessInfo {
    let key = ProcessKey { tgid: u32::from(bytes.u8() & 7), start_ns: u64::from(bytes.u8() & 1) };
    ProcessInfo { key, comm }
}

fn cookie(bytes: &mut Bytes<'_>) -> Option<SocketCookie> {
    Some(u64::from(bytes.u8() % 24)).filter(|n| *n != 0).map(SocketCookie)
}

fn netns(bytes: &mut Bytes<'_>) -> NetnsCookie {
    NetnsCookie(match bytes.u8() {
        0..=199 => 1,
        n => u64::from(n & 3),
    })
}

fn direction(bytes: &mut Bytes<'_>) -> Direction {
    if bytes.flag() { Direction::In } else { Direction::Out }
}

fn tuple(bytes: &mut Bytes<'_>) -> Tuple {
    let transport = if bytes.u8() & 3 == 0 { Transport::Udp } else { Transport::Tcp };
    Tuple { transport, local: bytes.end(), remote: bytes.end() }
}

fn io(bytes: &mut Bytes<'_>) -> IoTotals {
    IoTotals { sent: u64::from(bytes.number()), received: u64::from(bytes.number()), turns: bytes.number() }
}

fn socket(bytes: &mut Bytes<'_>, name: Arc<str>) -> SocketEvent {
    let reason = bytes.one_of(&[
        SocketReason::State,
        SocketReason::Existing,
        SocketReason::Flow,
        SocketReason::Owner,
        SocketReason::Destroy,
        SocketReason::Final,
    ]);
    let state = |b: &mut Bytes<'_>| TcpState::from_kernel(b.u8() % 14);
    SocketEvent {
        reason,
        cookie: cookie(bytes).unwrap_or(SocketCookie(1)),
        netns: netns(bytes),
        netns_inum: bytes.number(),
        tuple: tuple(bytes),
        owner: (bytes.u8() & 7 != 0).then(|| info(bytes, name)),
        target: bytes.u8() & 7 != 0,
        role: bytes.one_of(&[None, Some(Role::Client), Some(Role::Server)]),
        state: state(bytes),
        old_state: (reason == SocketReason::State).then(|| state(bytes)),
        err: bytes.number(),
        retransmitted_segments: bytes.number(),
        io: io(bytes),
        tcp: bytes.flag().then(|| TcpInfo {
            srtt_us: bytes.number(),
            total_retrans: bytes.number(),
            bytes_acked: bytes.u64(),
            bytes_received: bytes.u64(),
            bytes_sent: bytes.u64(),
            snd_una: bytes.number(),
            snd_nxt: bytes.number(),
            local_isn: bytes.number(),
            remote_isn: bytes.number(),
            ..TcpInfo::default()
        }),
        isns_kept: bytes.flag(),
        began: bytes.flag().then(|| MonoNs(bytes.u64())),
        established: bytes.flag().then(|| MonoNs(bytes.u64())),
    }
}

fn retransmit(bytes: &mut Bytes<'_>, name: Arc<str>, now: u64) -> Retransmit {
    Retransmit {
        cookie: cookie(bytes),
        netns: netns(bytes),
        tuple: tuple(bytes),
        owner: bytes.flag().then(|| info(bytes, name)),
        cause: bytes.one_of(&[
            RetransmitCause::Fast,
            RetransmitCause::TailLossProbe,
            RetransmitCause::Timeout,
            RetransmitCause::Syn,
            RetransmitCause::SynAck,
            RetransmitCause::Other,
        ]),
        seq: bytes.number(),
        len: bytes.number(),
        segments: bytes.number(),
        sent_at: bytes.flag().then(|| MonoNs(bytes.time(now))),
    }
}

fn details(bytes: &mut Bytes<'_>) -> Arc<Details> {
    Arc::new(Details { ttl: bytes.u8(), ..Details::default() })
}

fn dropped(bytes: &mut Bytes<'_>, name: Arc<str>) -> DropEvent {
    DropEvent {
        netns: netns(bytes),
        netns_inum: bytes.number(),
        tuple: tuple(bytes),
        direction: direction(bytes),
        cookie: cookie(bytes),
        owner: bytes.flag().then(|| info(bytes, Arc::clone(&name))),
        peer_cookie: cookie(bytes),
        reason: Arc::clone(&name),
        location: name,
        ifindex: bytes.number(),
        details: details(bytes),
        seq: bytes.number(),
        tcp_flags: bytes.u8(),
        payload_len: bytes.number(),
        segments: bytes.number(),
    }
}
