//! The rules, one connection at a time. Agreement with tshark on real captures is checked by `tcp-oracle`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Analyser, Analysis, MAX_UNACKED, Side, Streams, Verdicts};
use crate::event::{Segment, TcpOptions, tcp_flags};

const MS: u64 = 1_000_000;
const ACK: u8 = tcp_flags::ACK;
const SYN: u8 = tcp_flags::SYN;
const RST: u8 = tcp_flags::RST;

/// A connection under test: sequence numbers are relative to each end's initial one.
struct Line {
    analyser: Analyser,
    t_ns: u64,
    isn: [u32; 2],
}

impl Line {
    fn from(isn: [u32; 2]) -> Self {
        Self { analyser: Analyser::new(), t_ns: 1_000_000_000, isn }
    }

    /// After a handshake of 10 ms, both windows being 1,000 bytes.
    fn open() -> Self {
        let mut line = Self::from([1_000, 9_000]);
        line.send(0, Side::Orig, SYN, 0, 0, 0, 1000);
        line.send(6, Side::Resp, SYN | ACK, 0, 1, 0, 1000);
        line.send(4, Side::Orig, ACK, 1, 1, 0, 1000);
        line
    }

    #[expect(clippy::too_many_arguments, reason = "a segment has that many parts")]
    fn send(
        &mut self,
        after_ms: u64,
        from: Side,
        flags: u8,
        seq: u32,
        ack: u32,
        len: u32,
        window: u16,
    ) -> Analysis {
        self.t_ns += after_ms * MS;
        let (own, peer) = match from {
            Side::Orig => (self.isn[0], self.isn[1]),
            Side::Resp => (self.isn[1], self.isn[0]),
        };
        let seg = Segment {
            seq: own.wrapping_add(seq),
            ack: if flags & ACK != 0 { peer.wrapping_add(ack) } else { 0 },
            window,
            flags,
            options: TcpOptions::default(),
        };
        self.analyser.segment(self.t_ns, from, &seg, len, None)
    }

    fn data(&mut self, after_ms: u64, seq: u32, len: u32) -> Analysis {
        self.send(after_ms, Side::Orig, ACK, seq, 1, len, 1000)
    }

    fn ack(&mut self, after_ms: u64, ack: u32) -> Analysis {
        self.send(after_ms, Side::Resp, ACK, 1, ack, 0, 1000)
    }
}

fn ms(d: Option<crate::time::DurationNs>) -> Option<u64> {
    d.map(|d| d.0 / MS)
}

#[test]
fn handshake_and_data_are_measured() {
    for isn in [[1_000, 9_000], [u32::MAX - 40, u32::MAX - 2]] {
        let mut line = Line::from(isn);
        assert_eq!(line.send(0, Side::Orig, SYN, 0, 0, 0, 1000).initial_rtt, None);
        assert_eq!(ms(line.send(6, Side::Resp, SYN | ACK, 0, 1, 0, 1000).ack_rtt), Some(6));
        let ack = line.send(4, Side::Orig, ACK, 1, 1, 0, 1000);
        assert_eq!((ms(ack.ack_rtt), ms(ack.initial_rtt)), (Some(4), Some(10)));
        assert_eq!(line.data(1, 1, 100).bytes_in_flight, Some(100));
        assert_eq!(line.data(1, 101, 100).bytes_in_flight, Some(200));
        let ack = line.ack(8, 101);
        assert_eq!((ack.verdicts, ms(ack.ack_rtt)), (Verdicts::NONE, Some(9)));
        assert_eq!(line.data(1, 201, 50).bytes_in_flight, Some(150));
    }
}

#[test]
fn retransmission_by_timer_tells_how_long_it_took() {
    let mut line = Line::open();
    line.data(1, 1, 100);
    let again = line.data(200, 1, 100);
    assert_eq!((again.verdicts, ms(again.rto)), (Verdicts::RETRANSMISSION, Some(200)));
    assert_eq!(again.bytes_in_flight, Some(100), "no byte is in flight twice");
    assert_eq!(ms(line.ack(5, 101).ack_rtt), Some(205), "from the first sending");
}

#[test]
fn three_kinds_of_retransmission() {
    let mut line = Line::open();
    line.data(1, 1, 100);
    line.data(0, 101, 100);
    line.data(0, 201, 100);
    line.ack(10, 101);
    assert_eq!(line.ack(1, 101).dup_ack_num, Some(1));
    let dup = line.ack(1, 101);
    assert_eq!((dup.verdicts, dup.dup_ack_num), (Verdicts::DUPLICATE_ACK, Some(2)));
    let fast = line.data(1, 101, 100);
    assert_eq!(fast.verdicts, Verdicts::RETRANSMISSION | Verdicts::FAST_RETRANSMISSION);
    line.ack(10, 301);
    let spurious = line.data(1, 101, 100);
    assert_eq!(spurious.verdicts, Verdicts::RETRANSMISSION | Verdicts::SPURIOUS_RETRANSMISSION);
}

#[test]
fn a_late_segment_is_out_of_order_only_within_the_initial_rtt() {
    for (late_ms, verdict) in [(5, Verdicts::OUT_OF_ORDER), (15, Verdicts::RETRANSMISSION)] {
        let mut line = Line::open();
        assert_eq!(line.data(1, 101, 100).verdicts, Verdicts::LOST_SEGMENT);
        assert_eq!(line.data(late_ms, 1, 100).verdicts, verdict);
    }
}

#[test]
fn what_was_not_captured_is_told_from_both_ends() {
    let mut line = Line::open();
    line.data(1, 1, 100);
    line.ack(1, 101);
    assert_eq!(line.ack(1, 201).verdicts, Verdicts::ACK_LOST_SEGMENT);
    let after_gap = line.data(1, 201, 100);
    assert_eq!((after_gap.verdicts, after_gap.bytes_in_flight), (Verdicts::LOST_SEGMENT, None));
}

#[test]
fn windows_shut_are_probed_and_open() {
    let mut line = Line::open();
    assert_eq!(line.data(1, 1, 1000).verdicts, Verdicts::WINDOW_FULL);
    assert_eq!(line.send(1, Side::Resp, ACK, 1, 1001, 0, 0).verdicts, Verdicts::ZERO_WINDOW);
    assert_eq!(line.data(200, 1001, 1).verdicts, Verdicts::ZERO_WINDOW_PROBE);
    let answer = line.send(1, Side::Resp, ACK, 1, 1001, 0, 0);
    assert_eq!(answer.verdicts, Verdicts::ZERO_WINDOW | Verdicts::ZERO_WINDOW_PROBE_ACK);
    assert_eq!(line.send(50, Side::Resp, ACK, 1, 1001, 0, 500).verdicts, Verdicts::WINDOW_UPDATE);
    assert_eq!(
        line.data(1, 1001, 100).verdicts,
        Verdicts::NONE,
        "the probe's byte goes again in a full segment"
    );
}

#[test]
fn keep_alive_and_its_answer() {
    let mut line = Line::open();
    line.data(1, 1, 100);
    line.ack(1, 101);
    assert_eq!(line.data(75_000, 100, 0).verdicts, Verdicts::KEEP_ALIVE);
    assert_eq!(line.ack(1, 101).verdicts, Verdicts::KEEP_ALIVE_ACK);
}

#[test]
fn a_later_connection_on_the_same_ports_starts_anew() {
    let mut line = Line::open();
    line.data(1, 1, 100);
    line.isn = [500_000, 600_000];
    assert_eq!(line.send(9, Side::Orig, SYN, 0, 0, 0, 1000).verdicts, Verdicts::REUSED_PORTS);
    assert_eq!(line.send(9, Side::Resp, SYN | ACK, 0, 1, 0, 1000).verdicts, Verdicts::NONE);
    assert_eq!(line.send(9, Side::Orig, ACK, 1, 1, 0, 1000).verdicts, Verdicts::NONE);
}

#[test]
fn streams_are_numbered_by_first_sight_and_anew_for_another_syn() {
    let (a, b, c) = ("10.0.0.1:1000", "10.0.0.2:80", "10.0.0.1:1001");
    let [a, b, c] = [a, b, c].map(|s| s.parse().expect("an address"));
    let syn = |seq| Segment { seq, flags: SYN, ..Segment::default() };
    let syn_ack = Segment { seq: 7, ack: 101, flags: SYN | ACK, ..Segment::default() };
    let mut streams = Streams::new();
    let first = streams.segment(1, a, b, &syn(100), 0, None);
    assert_eq!((first.stream, first.from), (0, Side::Orig));
    let answer = streams.segment(2, b, a, &syn_ack, 0, None);
    assert_eq!((answer.stream, answer.from), (0, Side::Resp));
    assert_eq!(streams.segment(3, c, b, &syn(100), 0, None).stream, 1);
    assert_eq!(streams.segment(4, a, b, &syn(100), 0, None).stream, 0, "the same SYN again");
    let reused = streams.segment(5, a, b, &syn(200), 0, None);
    assert_eq!((reused.stream, reused.analysis.verdicts), (2, Verdicts::REUSED_PORTS));
    assert_eq!(streams.count(), 3);
}

#[test]
fn streams_that_were_closed_are_freed_and_keep_their_number_for_a_while() {
    const SECOND: u64 = 1_000_000_000;
    let address = |n: u32| SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)), 1000);
    let server: SocketAddr = "192.0.2.1:80".parse().expect("an address");
    let segment = |flags| Segment { seq: 100, ack: 7, flags, ..Segment::default() };
    let mut streams = Streams::new();
    // One is reset, one stays open, one is never answered.
    for n in 0..3 {
        streams.segment(0, address(n), server, &segment(SYN), 0, None);
    }
    streams.segment(1, server, address(0), &segment(RST | ACK), 0, None);
    streams.segment(1, server, address(1), &segment(SYN | ACK), 0, None);
    assert_eq!((streams.open(), streams.ended().count()), (3, 0));
    streams.segment(130 * SECOND, address(9), server, &segment(SYN), 0, None);
    assert_eq!(streams.ended().collect::<Vec<_>>(), [0]);
    assert_eq!(streams.open(), 3, "the open one, the unanswered one and the new one");
    let straggler = streams.segment(131 * SECOND, server, address(0), &segment(ACK), 0, None);
    assert_eq!((straggler.stream, straggler.from), (0, Side::Resp));
    let other = Segment { seq: 9_000, ..segment(SYN) };
    let again = streams.segment(132 * SECOND, address(2), server, &other, 0, None);
    assert_eq!((again.stream, again.analysis.verdicts), (4, Verdicts::REUSED_PORTS));
}

#[test]
fn a_scan_that_is_turned_away_costs_bounded_memory() {
    let server: SocketAddr = "192.0.2.1:80".parse().expect("an address");
    let mut streams = Streams::new();
    // A thousand ports a second are refused.
    for n in 0..200_000_u32 {
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(n)), 1000);
        let segment = |flags| Segment { seq: n, flags, ..Segment::default() };
        let t = u64::from(n) * 1_000_000;
        streams.segment(t, from, server, &segment(SYN), 0, None);
        streams.segment(t, server, from, &segment(RST | ACK), 0, None);
        assert!(streams.open() <= 60_001 && streams.ended().count() <= 8);
    }
    assert_eq!((streams.count(), streams.evicted()), (200_000, 0));
}

#[test]
fn an_end_that_never_acknowledges_costs_bounded_memory() {
    let mut line = Line::open();
    for i in 0..2 * MAX_UNACKED as u32 {
        line.data(0, 1 + i * 10, 10);
    }
    assert_eq!(line.analyser.unacked_overflow(), MAX_UNACKED as u64);
}

#[test]
fn any_segments_in_any_order_give_an_answer() {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    let mut analyser = Analyser::new();
    for _ in 0..200_000 {
        let n = random();
        let around = |v: u64| u32::MAX.wrapping_add((v % 4096) as u32).wrapping_sub(2048);
        let seg = Segment {
            seq: if n & 1 == 0 { around(random()) } else { random() as u32 },
            ack: if n & 2 == 0 { around(random()) } else { random() as u32 },
            window: random() as u16,
            flags: random() as u8,
            options: TcpOptions { window_scale: Some(random() as u8), ..TcpOptions::default() },
        };
        let from = if n & 4 == 0 { Side::Orig } else { Side::Resp };
        let len = if n & 8 == 0 { (random() % 3000) as u32 } else { random() as u32 };
        let id = (n & 16 == 0).then(|| (random() % 512) as u32);
        let a = analyser.segment(random(), from, &seg, len, id);
        assert!(a.bytes_in_flight.is_none_or(|n| n > 0));
        assert_eq!(a.dup_ack_num.is_some(), a.verdicts.contains(Verdicts::DUPLICATE_ACK));
    }
}
