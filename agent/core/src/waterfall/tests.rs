//! Each rule as a script, and any script at all.

use super::*;
use crate::event::{IoTotals, Retransmit, RetransmitCause, Segment, SocketIo, Task};
use crate::key::{Direction, NetnsCookie, Role, SocketCookie, Transport, Tuple};
use crate::turn::{TurnMachine, TurnSpan};
use Direction::{In, Out};

const MS: u64 = 1_000_000;
const RTT: DurationNs = DurationNs(20 * MS);
const ACK: u8 = 16;

/// A connection whose sequence numbers begin at 0 both ways; times are in ms.
struct Script {
    notes: Recorder,
    turns: TurnMachine,
    role: Role,
    rtt: DurationNs,
    told: Vec<(TurnSpan, Waterfall)>,
    last: u64,
}

impl Script {
    fn new(role: Role) -> Self {
        let mut s = Self {
            notes: Recorder::default(),
            turns: TurnMachine::default(),
            role,
            rtt: RTT,
            told: Vec::new(),
            last: 0,
        };
        for direction in [Out, In] {
            let syn = Segment { seq: u32::MAX, flags: 2, window: 100, ..Segment::default() };
            s.notes.packet(MonoNs(0), direction, 0, Some(&syn), Some(RTT));
        }
        s
    }

    fn sides(&self) -> Sides {
        Sides { role: self.role, rtt: Some(self.rtt), connect: None, accept: None }
    }

    /// A call from `entered` to `t`.
    fn call(&mut self, entered: u64, t: u64, direction: Direction, bytes: u32) -> &mut Self {
        self.last = self.last.max(t * MS);
        let (entered, t) = (MonoNs(entered * MS), MonoNs(t * MS));
        if let Some(span) = self.turns.io(t, self.role, direction, bytes, 0) {
            let waterfall = self.notes.finish(&span, &self.sides(), entered);
            self.told.push((span, waterfall));
        }
        let io = SocketIo {
            task: Task::default(),
            cookie: SocketCookie(1),
            direction,
            bytes,
            entered: Some(entered),
            totals: IoTotals::default(),
        };
        self.notes.io(t, &io, self.turns.is_open());
        self
    }

    fn packet(&mut self, t: u64, direction: Direction, seq: u32, len: u32, ack: u32) -> &mut Self {
        let seg = Segment { seq, ack, flags: ACK, window: 100, ..Segment::default() };
        self.segment(t, direction, len, &seg)
    }

    fn segment(&mut self, t: u64, direction: Direction, len: u32, seg: &Segment) -> &mut Self {
        self.last = self.last.max(t * MS);
        self.notes.packet(MonoNs(t * MS), direction, len, Some(seg), Some(self.rtt));
        self
    }

    fn window(&mut self, t: u64, direction: Direction, window: u16, ack: u32) -> &mut Self {
        let seq = if direction == Out { 10 } else { 0 };
        self.segment(t, direction, 0, &Segment { seq, ack, flags: ACK, window, ..Segment::default() })
    }

    fn again(&mut self, t: u64, cause: RetransmitCause, (seq, len): (u32, u32), by_peer: bool) -> &mut Self {
        let end = "10.0.0.1:1".parse().expect("an address");
        let r = Retransmit {
            cookie: None,
            netns: NetnsCookie(1),
            tuple: Tuple { transport: Transport::Tcp, local: end, remote: end },
            owner: None,
            cause,
            seq,
            len,
            segments: 1,
            sent_at: None,
        };
        self.notes.retransmit(MonoNs(t * MS), &r, seq, None, by_peer);
        self
    }

    fn ran(&mut self, slept: u64, woken: u64, ran: u64) -> &mut Self {
        self.notes.ran(MonoNs(ran * MS), MonoNs(slept * MS), MonoNs(woken * MS));
        self
    }

    /// The only turn, ended.
    fn end(&mut self) -> Waterfall {
        let span = self.turns.end().expect("a turn");
        let waterfall = self.notes.finish(&span, &self.sides(), MonoNs(self.last));
        assert_eq!(waterfall.parts.sum(), span.end.since(waterfall.start), "{waterfall:?}");
        waterfall
    }
}

/// Parts in ms.
fn parts(w: &Waterfall) -> Vec<(&'static str, u64)> {
    w.parts.iter().filter(|(_, t)| t.0 > 0).map(|(p, t)| (p.as_str(), t.0 / MS)).collect()
}

#[test]
fn a_client_waits_for_the_network_and_for_the_peer() {
    let mut s = Script::new(Role::Client);
    s.call(100, 100, Out, 10).packet(100, Out, 0, 10, 0);
    s.packet(190, In, 0, 100, 10).packet(195, In, 100, 100, 10);
    let w = s.call(101, 196, In, 200).end();
    assert_eq!(parts(&w), [("receive_path", 1), ("network", 25), ("peer", 70)]);
    assert_eq!(w.cause, Part::Peer);
    assert_eq!(
        w.evidence,
        [Evidence::Call { t: MonoNs(101 * MS), took: DurationNs(95 * MS), direction: In }]
    );
}

#[test]
fn a_client_that_writes_in_pieces_and_reads_late() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
    // 30 ms of its own, 20 ms asleep in the second write, which leaves 5 ms later.
    s.call(30, 50, Out, 90).packet(20, In, 0, 0, 10).packet(55, Out, 10, 90, 0);
    s.packet(75, In, 0, 100, 100);
    s.notes.readable(MonoNs(76 * MS));
    let w = s.ran(60, 90, 95).call(96, 97, In, 100).end();
    let expected = [
        ("run_queue", 5),
        ("receive_path", 1),
        ("receive_buffer", 16),
        ("send_buffer", 20),
        ("application", 30),
        ("egress_queue", 5),
        ("network", 20),
    ];
    assert_eq!(parts(&w), expected);
}

#[test]
fn what_we_lost_counts_beyond_the_round_trip_and_by_the_kernels_cause() {
    for (cause, part) in [
        (RetransmitCause::Fast, Part::LossFast),
        (RetransmitCause::TailLossProbe, Part::LossTlp),
        (RetransmitCause::Timeout, Part::LossRto),
    ] {
        let mut s = Script::new(Role::Client);
        s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
        s.packet(220, Out, 0, 10, 0).again(220, cause, (0, 10), false);
        let w = s.packet(240, In, 0, 5, 10).call(1, 240, In, 5).end();
        assert_eq!(w.parts.get(part), DurationNs(220 * MS), "{w:?}");
        assert_eq!((w.parts.get(Part::Network), w.cause), (RTT, part));
        let again =
            |e: &Evidence| matches!(e, Evidence::Retransmit { seq: 0, seq_end: 10, by_peer: false, .. });
        assert!(w.evidence.iter().any(again));
    }
}

#[test]
fn what_arrived_twice_was_not_lost() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
    s.packet(220, Out, 0, 10, 0).again(220, RetransmitCause::Timeout, (0, 10), false);
    let mut sack = [(0, 0); 4];
    sack[0] = (0, 10);
    let options = crate::event::TcpOptions { sack, sack_count: 1, ..Default::default() };
    s.segment(240, In, 0, &Segment { ack: 10, flags: ACK, window: 100, options, ..Segment::default() });
    let w = s.packet(300, In, 0, 5, 10).call(1, 300, In, 5).end();
    assert_eq!(parts(&w), [("network", 20), ("peer", 280)]);
}

#[test]
fn a_hole_is_told_by_how_long_it_stood() {
    let kinds =
        [(10, None), (25, Some(Part::LossFast)), (100, Some(Part::LossTlp)), (230, Some(Part::LossRto))];
    for (stood, part) in kinds {
        let mut s = Script::new(Role::Client);
        s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
        s.packet(30, In, 0, 100, 10).packet(31, In, 200, 100, 10).packet(31 + stood, In, 100, 100, 10);
        let w = s.call(1, 31 + stood, In, 300).end();
        let lost = w.parts.iter().find(|(p, t)| p.is_trouble() && t.0 > 0);
        assert_eq!(lost, part.map(|part| (part, DurationNs(stood * MS))), "{stood} ms");
        assert_eq!(w.cause.is_trouble(), part.is_some());
    }
}

#[test]
fn a_tail_that_the_peers_kernel_sent_again_is_its_loss() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0).packet(20, In, 0, 100, 10);
    s.notes.retransmit(
        MonoNs(230 * MS),
        &Retransmit {
            cookie: None,
            netns: NetnsCookie(1),
            tuple: Tuple {
                transport: Transport::Tcp,
                local: "10.0.0.2:80".parse().expect("an address"),
                remote: "10.0.0.1:1".parse().expect("an address"),
            },
            owner: None,
            cause: RetransmitCause::Timeout,
            seq: 100,
            len: 50,
            segments: 1,
            sent_at: None,
        },
        100,
        Some(DurationNs(220 * MS)),
        true,
    );
    let w = s.packet(240, In, 100, 50, 10).call(1, 240, In, 150).end();
    assert_eq!(w.parts.get(Part::LossRto), DurationNs(220 * MS), "{w:?}");
    assert_eq!(w.cause, Part::LossRto);
}

#[test]
fn what_was_captured_and_then_dropped_has_not_arrived() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0).packet(20, In, 0, 100, 10);
    let end = "10.0.0.1:1".parse().expect("an address");
    let drop = crate::event::DropEvent {
        netns: NetnsCookie(1),
        netns_inum: 1,
        tuple: Tuple { transport: Transport::Tcp, local: end, remote: end },
        direction: In,
        cookie: None,
        owner: None,
        peer_cookie: None,
        reason: "NETFILTER_DROP".into(),
        location: "nft_do_chain".into(),
        ifindex: 0,
        seq: 0,
        tcp_flags: ACK,
        payload_len: 100,
        segments: 1,
    };
    s.notes.dropped(MonoNs(20 * MS), &Lost { drop: &drop, direction: In, at_peer: false });
    let w = s.packet(250, In, 0, 100, 10).call(1, 250, In, 100).end();
    assert_eq!(parts(&w), [("loss_rto", 230), ("network", 20)]);
}

#[test]
fn a_shut_window_counts_while_somebody_wants_to_send() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0).packet(20, In, 0, 100, 10);
    s.window(21, Out, 0, 100).window(321, Out, 100, 100).packet(341, In, 100, 100, 10);
    let w = s.call(1, 341, In, 200).end();
    assert_eq!((w.parts.get(Part::ZeroWindowLocal).0 / MS, w.cause), (300, Part::ZeroWindowLocal));

    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0).call(0, 1, In, 10).packet(2, Out, 0, 100, 10);
    s.window(20, In, 0, 100).window(320, In, 100, 100);
    let w = s.call(2, 340, Out, 200).end();
    assert_eq!((w.parts.get(Part::ZeroWindowPeer).0 / MS, w.cause), (300, Part::ZeroWindowPeer));
}

#[test]
fn a_server_works_waits_for_a_cpu_and_for_room() {
    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0).call(0, 0, In, 10);
    s.ran(10, 30, 70).call(100, 100, Out, 20_000).packet(100, Out, 0, 20_000, 10);
    // A loop that waits for room without sleeping in the call.
    s.packet(125, In, 10, 0, 20_000).ran(101, 125, 126).call(126, 126, Out, 5);
    let w = s.end();
    assert_eq!(parts(&w), [("run_queue", 41), ("send_buffer", 24), ("application", 61)]);
    assert_eq!(w.cause, Part::Application);
}

#[test]
fn a_servers_response_that_is_lost_after_its_last_write_is_the_cause() {
    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(5, 5, Out, 100).packet(5, Out, 0, 100, 10);
    s.again(220, RetransmitCause::Timeout, (0, 100), false).packet(240, In, 10, 0, 100);
    let w = s.end();
    assert_eq!((parts(&w), w.cause), (vec![("application", 5)], Part::LossRto));
    assert_eq!(w.evidence.len(), 1);
}

#[test]
fn a_handshake_belongs_to_the_turn_that_follows_at_once() {
    let turn = |gap: u64| {
        let mut s = Script::new(Role::Client);
        s.call(100 + gap, 100 + gap, Out, 10).packet(100 + gap, Out, 0, 10, 0);
        s.packet(120 + gap, In, 0, 100, 10).call(120 + gap, 120 + gap, In, 100);
        let span = s.turns.end().expect("a turn");
        let connect = Some((MonoNs(0), MonoNs(100 * MS)));
        s.notes.finish(&span, &Sides { connect, ..s.sides() }, MonoNs(s.last))
    };
    let w = turn(5);
    assert_eq!(parts(&w), [("connect", 100), ("application", 5), ("network", 20)]);
    assert_eq!((w.start, w.cause), (MonoNs(0), Part::Connect));
    let own = w.parts.without(&w.before).by_size();
    assert_eq!(own, [(Part::Network, RTT)]);
    assert_eq!(parts(&turn(500)), [("network", 20)]);
}

#[test]
fn turns_after_one_another_share_nothing() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
    s.again(200, RetransmitCause::Timeout, (0, 10), false).packet(220, In, 0, 5, 10).call(1, 220, In, 5);
    s.call(300, 300, Out, 10).packet(300, Out, 10, 10, 5);
    let w = s.packet(320, In, 5, 5, 20).call(301, 320, In, 5).end();
    assert_eq!(s.told[0].1.cause, Part::LossRto);
    assert_eq!((parts(&w), w.cause), (vec![("network", 20)], Part::Network));
    assert!(w.evidence.iter().all(|e| matches!(e, Evidence::Call { .. })), "{w:?}");
}

#[test]
fn without_packets_the_wait_is_unaccounted() {
    let mut s = Script::new(Role::Client);
    let w = s.call(0, 0, Out, 10).call(1, 50, In, 5).end();
    assert_eq!((parts(&w), w.cause), (vec![("unaccounted", 50)], Part::Unaccounted));
}

#[test]
fn marks_are_bounded_and_what_is_left_out_is_told() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10);
    for i in 0..10_000 {
        s.packet(i, In, i as u32, 1, 0);
    }
    let w = s.call(10_000, 10_000, In, 10_000).end();
    assert!(w.incomplete);
    assert!(!s.call(10_001, 10_001, Out, 1).end().incomplete);
}

#[test]
fn any_script_adds_up() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let causes = [RetransmitCause::Fast, RetransmitCause::TailLossProbe, RetransmitCause::Timeout];
    for round in 0..2_000 {
        let mut s = Script::new(if round % 2 == 0 { Role::Client } else { Role::Server });
        s.rtt = DurationNs(next(50) * MS);
        for _ in 0..next(60) {
            let t = next(500);
            let direction = if next(2) == 0 { In } else { Out };
            match next(8) {
                0 | 1 => drop(s.call(t.saturating_sub(next(20)), t, direction, next(100) as u32)),
                2..=4 => {
                    let (seq, len) = (next(300) as u32, next(100) as u32);
                    let ack = next(300) as u32;
                    s.segment(
                        t,
                        direction,
                        len,
                        &Segment { seq, ack, flags: ACK, window: next(2) as u16, ..Segment::default() },
                    );
                }
                5 => drop(s.again(t, causes[next(3) as usize], (next(300) as u32, 50), next(2) == 0)),
                6 => drop(s.ran(t, next(500), t + next(50))),
                _ => s.notes.readable(MonoNs(t * MS)),
            }
        }
        for (span, w) in std::mem::take(&mut s.told) {
            assert_eq!(w.parts.sum(), span.end.max(span.start).since(w.start));
            assert!(w.evidence.len() <= MAX_EVIDENCE);
        }
        if let Some(span) = s.turns.end() {
            let w = s.notes.finish(&span, &s.sides(), MonoNs(s.last));
            assert_eq!(w.parts.sum(), span.end.max(span.start).since(w.start));
        }
    }
}
