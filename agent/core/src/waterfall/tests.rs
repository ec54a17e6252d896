//! Each rule as a script, and any script at all.

mod cpu;
mod drops;

use super::*;
use crate::event::{IoTotals, Retransmit, RetransmitCause, Segment, SocketIo, Task};
use crate::key::{Direction, NetnsCookie, Role, SocketCookie, Transport, Tuple};
use crate::turn::{TurnMachine, TurnSpan};
use Direction::{In, Out};
use drops::{dropped, told};

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
            s.segment(0, direction, 0, &syn);
        }
        s
    }

    fn sides(&self) -> Sides {
        Sides {
            role: self.role,
            rtt: Some(self.rtt),
            connect: None,
            lookup: None,
            tls: None,
            accept: None,
            acceptor: None,
            early: None,
        }
    }

    /// A call from `entered` to `t`.
    fn call(&mut self, entered: u64, t: u64, direction: Direction, bytes: u32) -> &mut Self {
        self.last = self.last.max(t * MS);
        let (entered, t) = (MonoNs(entered * MS), MonoNs(t * MS));
        if let Some(span) = self.turns.io(t, self.role, direction, bytes, 0) {
            let cut = if self.role == Role::Client { entered } else { t };
            let waterfall = self.notes.finish(&span, &self.sides(), cut);
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
        let rtt = Some(self.rtt);
        let seen = Seen { direction, len, tcp: Some(seg), ip_id: None, cause: None, rtt, handshake: false };
        self.notes.packet(MonoNs(t * MS), &seen);
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

#[test]
fn without_numbers_a_full_segment_tells_that_more_was_to_follow() {
    let late = |last: u32, silent: u64| {
        let mut s = Script::new(Role::Client);
        let syn = Segment { seq: u32::MAX, flags: 2, window: 100, ..Segment::default() };
        let options = crate::event::TcpOptions { mss: Some(1_000), ..Default::default() };
        s.segment(0, Out, 0, &Segment { options, ..syn });
        s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
        s.packet(20, In, 0, 1_000, 10).packet(20, In, 1_000, last, 10).packet(20, Out, 10, 0, 1_000 + last);
        s.packet(20 + silent, In, 1_000 + last, 12, 10).call(1, 20 + silent, In, 1_012 + last);
        s.end().cause
    };
    assert_eq!(late(1_000, 90), Cause::Part(Part::LossTlp), "no later bytes showed it");
    assert_eq!(late(700, 90), Cause::Part(Part::Peer), "the sender had no more");
    assert_eq!(late(1_000, 25), Cause::Part(Part::Network), "the sender waits for its window");
}

/// What opens a connection to a Linux server.
const SYN_ACK: Seen<'static> = Seen {
    direction: In,
    len: 0,
    tcp: Some(&OPENS),
    ip_id: None,
    cause: None,
    rtt: Some(RTT),
    handshake: false,
};

const OPENS: Segment = Segment {
    seq: u32::MAX,
    ack: 0,
    window: 100,
    flags: 18,
    options: crate::event::TcpOptions {
        mss: None,
        window_scale: None,
        sack_permitted: true,
        timestamps: None,
        sack: [(0, 0); 4],
        sack_count: 0,
        mptcp: false,
    },
};

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
    assert_eq!(w.cause, Cause::Part(Part::Peer));
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
        assert_eq!((w.parts.get(Part::Network), w.cause), (RTT, Cause::Part(part)));
        let again =
            |e: &Evidence| matches!(e, Evidence::Retransmit { seq: 0, seq_end: 10, by_peer: false, .. });
        assert!(w.evidence.iter().any(again));
    }
}

/// An acknowledgement that tells of bytes that came twice.
fn twice(seq: u32, left: u32, right: u32) -> Segment {
    let mut sack = [(0, 0); 4];
    sack[0] = (left, right);
    let options = crate::event::TcpOptions { sack, sack_count: 1, ..Default::default() };
    Segment { seq, ack: right, flags: ACK, window: 100, options }
}

#[test]
fn what_arrived_twice_was_not_lost() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
    s.packet(220, Out, 0, 10, 0).again(220, RetransmitCause::Timeout, (0, 10), false);
    s.segment(240, In, 0, &twice(0, 0, 10));
    let w = s.packet(300, In, 0, 5, 10).call(1, 300, In, 5).end();
    assert_eq!(parts(&w), [("network", 20), ("peer", 280)]);
}

#[test]
fn an_answer_that_was_lost_with_the_acknowledgement_is_a_loss() {
    // The answer is sent again as late as the request, which had arrived.
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
    s.packet(220, Out, 0, 10, 0).again(220, RetransmitCause::TailLossProbe, (0, 10), false);
    s.packet(240, In, 0, 5, 10).segment(241, In, 0, &twice(5, 0, 10));
    let w = s.call(1, 242, In, 5).end();
    assert_eq!(parts(&w), [("loss_tlp", 220), ("receive_path", 2), ("network", 20)]);
    // The answer to what came twice may be ahead; the numbers of the packets tell of the lost answer all the same.
    let acks = |seq| Segment { seq, ..twice(seq, 0, 10) };
    let mut s = Script::new(Role::Client);
    s.notes.packet(MonoNs(0), &Seen { ip_id: Some(0), ..SYN_ACK });
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0).packet(15, In, 0, 0, 0);
    for (t, id, len, seg) in
        [(1, 1, 0, Segment { ack: 0, ..acks(0) }), (240, 3, 0, acks(0)), (262, 4, 5, acks(0))]
    {
        s.notes.packet(MonoNs(t * MS), &Seen { len, tcp: Some(&seg), ip_id: Some(id), ..SYN_ACK });
    }
    let w = s.call(1, 262, In, 5).end();
    assert_eq!(parts(&w), [("loss_rto", 242), ("network", 20)]);
}

#[test]
fn what_is_acknowledged_sooner_than_a_round_trip_was_sent_again_for_nothing() {
    for (acked, lost) in [(210, false), (225, true)] {
        let mut s = Script::new(Role::Server);
        s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(1, 1, Out, 100).packet(1, Out, 0, 100, 10);
        s.again(200, RetransmitCause::Fast, (0, 100), false).packet(acked, In, 10, 0, 100);
        let w = s.end();
        assert_eq!(w.cause.is_trouble(), lost, "{w:?}");
    }
}

#[test]
fn the_trouble_of_an_answer_counts_until_the_next_request_comes() {
    // The server has entered the call that reads the next request long before that comes.
    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(1, 1, Out, 100).packet(1, Out, 0, 100, 10);
    s.again(50, RetransmitCause::TailLossProbe, (0, 100), false).packet(75, In, 10, 0, 100);
    s.packet(80, In, 10, 10, 100).call(2, 81, In, 10);
    let w = &s.told[0].1;
    assert_eq!((parts(w), w.cause), (vec![("application", 1)], Cause::Part(Part::LossTlp)));
    assert!(matches!(w.evidence[..], [Evidence::Retransmit { .. }]), "{w:?}");
}

#[test]
fn a_request_that_acknowledges_the_answer_ends_its_loss() {
    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(1, 1, Out, 100).packet(1, Out, 0, 100, 10);
    s.packet(220, Out, 0, 100, 10).again(220, RetransmitCause::TailLossProbe, (0, 100), false);
    s.packet(241, In, 10, 10, 100).call(2, 241, In, 10);
    assert_eq!(s.told[0].1.cause, Cause::Part(Part::LossTlp));
}

#[test]
fn what_was_seen_leaving_again_was_lost_even_if_the_kernel_does_not_tell() {
    for (again, part) in [(50, Part::LossTlp), (215, Part::LossRto)] {
        let mut s = Script::new(Role::Server);
        s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(1, 1, Out, 100).packet(1, Out, 0, 100, 10);
        let w = s.packet(again, Out, 0, 100, 10).packet(again + 21, In, 10, 0, 100).end();
        assert_eq!(w.cause, Cause::Part(part));
    }
    // Later bytes were under way: their acknowledgements asked for it.
    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(1, 1, Out, 200).packet(1, Out, 0, 100, 10);
    s.packet(1, Out, 100, 100, 10).packet(22, Out, 0, 100, 10);
    let w = s.packet(43, In, 10, 0, 200).end();
    assert_eq!(w.cause, Cause::Part(Part::LossFast));
}

#[test]
fn what_was_dropped_and_not_sent_again_was_a_copy() {
    for again in [false, true] {
        let mut s = Script::new(Role::Server);
        s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(1, 1, Out, 100).packet(1, Out, 0, 100, 10);
        let drop = dropped(Out, 0, 100);
        s.notes.dropped(MonoNs(12 * MS), &Lost { drop: &drop, direction: Out, fact: &told(&drop) });
        if again {
            s.packet(210, Out, 0, 100, 10);
        }
        let w = s.packet(230, In, 10, 0, 100).end();
        assert_eq!(w.cause.is_trouble(), again, "{w:?}");
    }
}

/// Packets of the peer, by time, identification, first sequence number and length, and what they make of a turn.
fn numbered(packets: &[(u64, u16, u32, u32)]) -> Vec<(&'static str, u64)> {
    let mut s = Script::new(Role::Client);
    s.notes.packet(MonoNs(0), &Seen { ip_id: Some(0), ..SYN_ACK });
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
    let (mut last, mut bytes) = (0, 0);
    for &(t, id, seq, len) in packets {
        // The request is acknowledged in two halves, if by more than one.
        let ack = if t < 20 { 5 } else { 10 };
        let seg = Segment { seq, ack, flags: ACK, window: 100, ..Segment::default() };
        s.notes.packet(MonoNs(t * MS), &Seen { len, tcp: Some(&seg), ip_id: Some(id), ..SYN_ACK });
        (last, bytes) = (t, bytes + len);
    }
    parts(&s.call(1, last, In, bytes).end())
}

#[test]
fn a_tail_that_is_late_and_whose_first_copy_is_missing_was_lost() {
    let first = (25, 1, 0, 100);
    assert_eq!(numbered(&[first, (85, 3, 100, 100)]), [("loss_tlp", 60), ("network", 20), ("peer", 5)]);
    assert_eq!(numbered(&[first, (245, 4, 100, 100)]), [("loss_rto", 220), ("network", 20), ("peer", 5)]);
    let all_there = [("network", 40), ("peer", 45)];
    assert_eq!(numbered(&[first, (85, 2, 100, 100)]), all_there);
    assert_eq!(numbered(&[first, (84, 2, 0, 0), (85, 3, 100, 100)]), all_there);
    // What comes once more says nothing of what is missing.
    let once_more = [first, (225, 3, 0, 100), (245, 4, 100, 100)];
    assert_eq!(numbered(&once_more), [("loss_rto", 220), ("network", 20), ("peer", 5)]);
}

#[test]
fn a_first_byte_is_late_by_a_loss_if_no_acknowledgement_alone_can_be_what_is_missing() {
    let ack = (20, 1, 0, 0);
    // The request is acknowledged already.
    assert_eq!(numbered(&[ack, (100, 3, 0, 100)]), [("loss_tlp", 80), ("network", 20)]);
    // Acknowledgements were left out before that one.
    let later = (20, 3, 0, 0);
    assert_eq!(numbered(&[(19, 1, 0, 0), later, (100, 4, 0, 100)]), [("network", 20), ("peer", 80)]);
    // It is not, but the peer would have said so by now.
    assert_eq!(numbered(&[ack, (100, 2, 0, 100)]), [("network", 20), ("peer", 80)]);
}

/// A connection that a reset ends at 40 ms.
fn reset(mut s: Script, direction: Direction, peer_finished: bool) -> (bool, Vec<(&'static str, u64)>) {
    s.notes.reset(MonoNs(40 * MS), direction);
    let mut span = s.turns.end().expect("a turn");
    let Some(at) = s.notes.cut_off(&span, &s.sides(), (false, peer_finished)) else {
        return (false, Vec::new());
    };
    let early = Some(Early { last: span.end, cause: Some(Cause::Reset) });
    if s.role == Role::Client || span.response_start.is_none() {
        span.end = at;
    }
    let w = s.notes.finish(&span, &Sides { early, ..s.sides() }, MonoNs(50 * MS));
    assert_eq!(w.parts.sum(), span.end.since(w.start), "{w:?}");
    assert!(w.evidence.contains(&Evidence::Reset { t: MonoNs(40 * MS), direction }), "{w:?}");
    (w.cause == Cause::Reset, parts(&w))
}

#[test]
fn a_reset_ends_a_clients_turn_that_has_no_answer_or_half_of_it() {
    let asked = || {
        let mut s = Script::new(Role::Client);
        s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0);
        s
    };
    let half = || {
        let mut s = asked();
        s.packet(20, In, 0, 100, 10).call(1, 20, In, 100);
        s
    };
    let waited = vec![("network", 20), ("peer", 20)];
    assert_eq!(reset(asked(), In, false), (true, waited.clone()));
    assert_eq!(reset(half(), In, false), (true, waited));
    // The answer was all there: the peer had said so, or we hung up.
    assert!(!reset(half(), In, true).0);
    assert!(!reset(half(), Out, false).0);
    // We hung up with bytes unread.
    let mut unread = half();
    unread.packet(21, In, 100, 100, 10);
    assert!(reset(unread, Out, false).0);
}

#[test]
fn a_reset_ends_a_servers_turn_whose_answer_has_not_arrived() {
    let asked = || {
        let mut s = Script::new(Role::Server);
        s.packet(0, In, 0, 10, 0).call(0, 0, In, 10);
        s
    };
    assert_eq!(reset(asked(), In, false), (true, vec![("application", 40)]));
    let mut s = asked();
    s.call(1, 1, Out, 100).packet(1, Out, 0, 100, 10);
    assert_eq!(reset(s, In, false), (true, vec![("application", 1)]));
    let mut s = asked();
    s.call(1, 1, Out, 100).packet(1, Out, 0, 100, 10).packet(21, In, 10, 0, 100);
    assert!(!reset(s, In, false).0, "all of it has arrived");
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
    assert_eq!(w.cause, Cause::Part(Part::LossRto));
}

#[test]
fn what_was_captured_and_then_dropped_has_not_arrived() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0).packet(20, In, 0, 100, 10);
    let drop = dropped(In, 0, 100);
    s.notes.dropped(MonoNs(20 * MS), &Lost { drop: &drop, direction: In, fact: &told(&drop) });
    let w = s.packet(250, In, 0, 100, 10).call(1, 250, In, 100).end();
    assert_eq!(parts(&w), [("loss_rto", 230), ("network", 20)]);
}

#[test]
fn a_shut_window_counts_while_somebody_wants_to_send() {
    let mut s = Script::new(Role::Client);
    s.call(0, 0, Out, 10).packet(0, Out, 0, 10, 0).packet(20, In, 0, 100, 10);
    s.window(21, Out, 0, 100).window(321, Out, 100, 100).packet(341, In, 100, 100, 10);
    let w = s.call(1, 341, In, 200).end();
    assert_eq!(
        (w.parts.get(Part::ZeroWindowLocal).0 / MS, w.cause),
        (300, Cause::Part(Part::ZeroWindowLocal))
    );

    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0).call(0, 1, In, 10).packet(2, Out, 0, 100, 10);
    s.window(20, In, 0, 100).window(320, In, 100, 100);
    let w = s.call(2, 340, Out, 200).end();
    assert_eq!((w.parts.get(Part::ZeroWindowPeer).0 / MS, w.cause), (300, Cause::Part(Part::ZeroWindowPeer)));
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
    assert_eq!(w.cause, Cause::Part(Part::Application));
}

#[test]
fn a_servers_response_that_is_lost_after_its_last_write_is_the_cause() {
    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(5, 5, Out, 100).packet(5, Out, 0, 100, 10);
    s.again(220, RetransmitCause::Timeout, (0, 100), false).packet(240, In, 10, 0, 100);
    let w = s.end();
    assert_eq!((parts(&w), w.cause), (vec![("application", 5)], Cause::Part(Part::LossRto)));
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
    assert_eq!((w.start, w.cause), (MonoNs(0), Cause::Part(Part::Connect)));
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
    assert_eq!(s.told[0].1.cause, Cause::Part(Part::LossRto));
    assert_eq!((parts(&w), w.cause), (vec![("network", 20)], Cause::Part(Part::Network)));
    assert!(w.evidence.iter().all(|e| matches!(e, Evidence::Call { .. })), "{w:?}");
}

#[test]
fn without_packets_the_wait_is_unaccounted() {
    let mut s = Script::new(Role::Client);
    let w = s.call(0, 0, Out, 10).call(1, 50, In, 5).end();
    assert_eq!((parts(&w), w.cause), (vec![("unaccounted", 50)], Cause::Part(Part::Unaccounted)));
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
