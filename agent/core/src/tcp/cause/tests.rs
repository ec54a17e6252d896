//! What each piece of evidence proves. Shares of right answers on real links are in the end-to-end test `cause`.

use super::Cause::{self, DuplicatedByNetwork, Probe, Reordered, Retransmission};
use crate::event::{Segment, TcpOptions, tcp_flags};
use crate::tcp::{Analyser, Side};

const MS: u64 = 1_000_000;
const ACK: u8 = tcp_flags::ACK;
const SYN: u8 = tcp_flags::SYN;

/// What a sender puts on its packets besides the segment.
#[derive(Clone, Copy)]
enum Marks {
    /// IPv4 identifications, by what the test says.
    Ids,
    /// IPv6 and timestamps.
    Stamps,
    Nothing,
}

/// A connection seen where the capture was made, its round trip being 20 ms.
struct Line {
    analyser: Analyser,
    t_ns: u64,
    marks: Marks,
}

impl Line {
    /// The originator is `near_ms` away from the capture and back.
    fn open(marks: Marks, near_ms: u64) -> Self {
        let mut line = Self { analyser: Analyser::new(), t_ns: 1_000_000_000, marks };
        line.send(0, Side::Orig, SYN, 0, 0, 0, 1);
        line.send(20 - near_ms, Side::Resp, SYN | ACK, 0, 1, 0, 0);
        line.send(near_ms, Side::Orig, ACK, 1, 1, 0, 2);
        line
    }

    fn far(marks: Marks) -> Self {
        Self::open(marks, 19)
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
        mark: u16,
    ) -> Option<Cause> {
        self.t_ns += after_ms * MS;
        let stamps = matches!(self.marks, Marks::Stamps).then_some((u32::from(mark), 0));
        let options = TcpOptions { timestamps: stamps, ..TcpOptions::default() };
        let seg = Segment { seq: 1000 + seq, ack: 1000 + ack, window: 60_000, flags, options };
        let id = matches!(self.marks, Marks::Ids).then_some(u32::from(mark));
        self.analyser.segment(self.t_ns, from, &seg, len, id).cause
    }

    /// 100 bytes from `seq`; `mark` is the identification, or TSval.
    fn data(&mut self, after_ms: u64, seq: u32, mark: u16) -> Option<Cause> {
        self.send(after_ms, Side::Orig, ACK, seq, 1, 100, mark)
    }

    fn ack(&mut self, ack: u32) {
        self.send(0, Side::Resp, ACK, 1, ack, 0, 0);
    }
}

#[test]
fn the_identification_tells_late_from_sent_again_and_from_doubled() {
    let mut line = Line::far(Marks::Ids);
    assert_eq!(line.data(1, 1, 3), None);
    assert_eq!(line.data(1, 201, 5), None);
    assert_eq!(line.data(30, 101, 4), Some(Reordered), "though it took longer than a round trip");
    assert_eq!(line.data(1, 401, 7), None);
    assert_eq!(line.data(1, 301, 8), Some(Retransmission), "though it took no time");
    assert_eq!(line.data(1, 301, 8), Some(DuplicatedByNetwork));
    assert_eq!(line.data(1, 301, 6), Some(Reordered), "the first one, after the second");
    line.ack(501);
    assert_eq!(line.data(1, 401, 7), Some(DuplicatedByNetwork));
    assert_eq!(line.data(300, 401, 9), Some(Retransmission));
    assert_eq!(line.send(1, Side::Orig, ACK, 501, 1, 0, 10), None);
    assert_eq!(line.send(0, Side::Orig, ACK, 501, 1, 0, 10), Some(DuplicatedByNetwork), "a pure ACK, twice");
    assert_eq!(line.send(0, Side::Resp, ACK, 1, 501, 0, 77), None);
    assert_eq!(line.send(0, Side::Resp, ACK, 1, 501, 0, 77), Some(DuplicatedByNetwork), "the first to count");
}

#[test]
fn an_overtaken_retransmission_is_no_late_original() {
    let mut line = Line::far(Marks::Ids);
    line.data(1, 1, 3);
    line.data(1, 201, 5);
    line.data(21, 401, 8);
    assert_eq!(line.data(0, 301, 7), Some(Reordered));
    assert_eq!(line.data(0, 101, 6), Some(Retransmission), "sent after 201");
}

#[test]
fn identifications_count_across_the_wrap_and_over_segmentation_offload() {
    let mut line = Line::open(Marks::Ids, 1);
    line.data(1, 1, u16::MAX - 1);
    for (at, id) in [(101, u16::MAX), (201, 44), (301, 88), (401, 90)] {
        assert_eq!(line.data(1, at, id), None);
    }
    assert_eq!(line.data(1, 101, 130), Some(Retransmission));
}

#[test]
fn identifications_that_do_not_count_prove_nothing() {
    let mut line = Line::far(Marks::Ids);
    let mut id = 1u16;
    for n in 0..20 {
        id = id.wrapping_mul(25_173).wrapping_add(13_849);
        if n != 10 {
            assert_eq!(line.data(1, 1 + n * 100, id), None, "segment {n}");
        }
    }
    assert_eq!(line.data(20, 1001, 7), Some(Retransmission), "by time");
}

#[test]
fn the_timestamp_tells_where_there_is_no_identification() {
    let mut line = Line::far(Marks::Stamps);
    line.data(1, 1, 100);
    line.data(1, 201, 105);
    assert_eq!(line.data(30, 101, 104), Some(Reordered));
    line.data(1, 401, 110);
    assert_eq!(line.data(1, 301, 111), Some(Retransmission));
    assert_eq!(line.data(1, 301, 109), Some(Reordered), "the first one, after the second");
    line.data(1, 501, 112);
    line.ack(601);
    assert_eq!(line.data(1, 401, 110), Some(DuplicatedByNetwork));
    assert_eq!(line.data(9, 401, 120), Some(Retransmission));
}

#[test]
fn place_and_time_decide_where_nothing_else_does() {
    let at_the_sender = Line::open(Marks::Nothing, 1);
    let at_the_receiver = Line::far(Marks::Nothing);
    for (mut line, soon, twice) in
        [(at_the_sender, Retransmission, Retransmission), (at_the_receiver, Reordered, DuplicatedByNetwork)]
    {
        line.data(1, 1, 0);
        line.data(1, 201, 0);
        assert_eq!(line.data(5, 101, 0), Some(soon));
        assert_eq!(line.data(1, 101, 0), Some(twice));
        line.data(1, 401, 0);
        assert_eq!(line.data(20, 301, 0), Some(Retransmission), "after a round trip");
    }
}

#[test]
fn what_was_lost_ahead_of_the_capture_shows_by_its_identification() {
    // The responder opens as Linux does: with 0.
    let data = |line: &mut Line, after_ms, seq, id| line.send(after_ms, Side::Resp, ACK, seq, 1, 100, id);
    let open = || {
        let mut line = Line::open(Marks::Ids, 1);
        for n in 0..3 {
            assert_eq!(data(&mut line, 1, 1 + u32::from(n) * 100, 700 + n), None);
        }
        line.send(0, Side::Orig, ACK, 1, 301, 0, 3);
        line
    };
    let mut line = open();
    assert_eq!(data(&mut line, 300, 301, 704), Some(Retransmission));
    assert_eq!(data(&mut line, 300, 401, 705), None, "the next one is new");
    let mut line = open();
    line.send(1, Side::Orig, ACK, 1, 301, 50, 4);
    assert_eq!(line.send(300, Side::Resp, ACK, 301, 51, 100, 704), None, "a pure acknowledgement was due");
    let mut line = open();
    assert_eq!(data(&mut line, 2, 301, 704), None, "too soon to be sent again");
    let mut line = Line::far(Marks::Ids);
    for n in 0..3 {
        line.data(1, 1 + u32::from(n) * 100, 3 + n);
    }
    line.ack(301);
    assert_eq!(line.data(300, 301, 7), None, "they may be those of all sockets");
}

#[test]
fn a_probe_is_told_from_the_last_byte_sent_again() {
    for (acked, cause) in [(101, Probe), (1, Retransmission)] {
        let mut line = Line::open(Marks::Nothing, 1);
        line.data(1, 1, 0);
        line.ack(acked);
        assert_eq!(line.send(500, Side::Orig, ACK, 100, 1, 1, 0), Some(cause));
    }
    let mut line = Line::open(Marks::Nothing, 1);
    line.data(1, 1, 0);
    line.data(1, 101, 0);
    line.ack(101);
    assert_eq!(line.send(500, Side::Orig, ACK, 100, 1, 0, 0), Some(Probe), "before what is in flight");
}
