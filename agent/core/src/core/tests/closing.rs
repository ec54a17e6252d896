//! How connections end.

use super::*;
use crate::fact::CloseReason;
use crate::time::DurationNs;
use crate::waterfall::{Cause, Evidence, Part};
use TcpState::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, SynSent};

/// The reason after these last words on an established connection.
fn ended(script: impl FnOnce(&mut Script)) -> CloseReason {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    script(&mut s);
    s.only(100 * S).close
}

fn closing(from: TcpState, err: u32) -> SocketEvent {
    SocketEvent { err, ..state(5, CLIENT, SERVER, from, Close) }
}

fn moves(from: TcpState, to: TcpState) -> SocketEvent {
    state(5, CLIENT, SERVER, from, to)
}

#[test]
fn fin_from_either_side() {
    let active = ended(|s| {
        s.socket(2 * MS, moves(Established, FinWait1));
        s.socket(3 * MS, moves(FinWait1, FinWait2));
        s.socket(4 * MS, closing(FinWait2, 0));
    });
    let passive = ended(|s| {
        s.socket(2 * MS, moves(Established, CloseWait));
        s.socket(3 * MS, moves(CloseWait, LastAck));
        s.socket(4 * MS, closing(LastAck, 0));
    });
    assert_eq!((active, passive), (CloseReason::Fin, CloseReason::Fin));
}

#[test]
fn resets_by_the_tracepoint_by_the_wire_and_by_the_error() {
    for direction in [Direction::Out, Direction::In] {
        let want =
            if direction == Direction::Out { CloseReason::ResetSent } else { CloseReason::ResetReceived };
        // tcp_close() enters CLOSE before it sends its reset.
        let by_event = ended(|s| {
            s.socket(2 * MS, closing(Established, 0));
            s.reset(2 * MS + 1, 5, direction);
        });
        let by_wire = ended(|s| {
            let (from, to) = if direction == Direction::Out { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
            s.packet(2 * MS, segment(from, to, RST, 1, 0, 0));
            s.socket(2 * MS, closing(Established, 0));
        });
        assert_eq!((by_event, by_wire), (want, want));
    }
    for err in [104, 32] {
        assert_eq!(ended(|s| s.socket(2 * MS, closing(CloseWait, err))), CloseReason::ResetReceived);
    }
}

#[test]
fn a_direct_close_is_a_reset_even_where_its_event_is_missing() {
    assert_eq!(ended(|s| s.socket(2 * MS, closing(Established, 0))), CloseReason::ResetSent);
}

#[test]
fn timeouts_come_before_the_reset_that_they_cause() {
    for err in [110, 113] {
        let reason = ended(|s| {
            s.reset(2 * MS, 5, Direction::Out);
            s.socket(2 * MS, closing(Established, err));
        });
        assert_eq!(reason, CloseReason::Timeout);
    }
}

#[test]
fn a_reset_after_both_fins_changes_nothing() {
    let reason = ended(|s| {
        s.packet(2 * MS, segment(CLIENT, SERVER, FIN | ACK, 1, 1, 0));
        s.packet(3 * MS, segment(SERVER, CLIENT, FIN | ACK, 1, 2, 0));
        s.socket(3 * MS, closing(FinWait2, 0));
        s.packet(4 * MS, segment(CLIENT, SERVER, RST, 2, 0, 0));
    });
    assert_eq!(reason, CloseReason::Fin);
}

#[test]
fn a_refused_connect() {
    let mut s = Script::new();
    s.socket(0, syn_sent(5, SERVER));
    s.socket(1, sock(SocketReason::Flow, 5, CLIENT, SERVER));
    s.packet(2, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    s.packet(3, segment(SERVER, CLIENT, RST | ACK, 0, 101, 0));
    s.socket(4, SocketEvent { err: 111, ..state(5, CLIENT, SERVER, SynSent, Close) });
    s.destroyed(5, 5, CLIENT, SERVER);
    let c = s.only(10 * S);
    assert_eq!((c.close, c.err, c.established), (CloseReason::ResetReceived, 111, None));
    assert_eq!((c.connect_start, c.connect, c.rtt), (Some(MonoNs(0)), None, None));
    let [turn] = s.turns()[..] else { panic!("{:?}", s.turns()) };
    let w = turn.waterfall.as_ref().expect("explained");
    assert_eq!((turn.request_bytes, turn.duration(), w.cause), (0, DurationNs(4), Cause::Refused));
    assert_eq!(w.parts.get(Part::Connect), DurationNs(4));
    assert_eq!(w.evidence, [Evidence::Reset { t: MonoNs(3), direction: Direction::In }]);
}

#[test]
fn a_turn_that_a_reset_ends_lasts_until_then() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.io(200 * MS, 10, 5, Direction::Out, 10, (10, 0, 0));
    s.packet(230 * MS, segment(SERVER, CLIENT, RST | ACK, 1, 11, 0));
    s.socket(230 * MS, closing(Established, 104));
    s.destroyed(231 * MS, 5, CLIENT, SERVER);
    s.only(10 * S);
    let [turn] = s.turns()[..] else { panic!("{:?}", s.turns()) };
    let w = turn.waterfall.as_ref().expect("explained");
    assert_eq!(
        (turn.duration(), w.parts.sum(), w.cause),
        (DurationNs(30 * MS), DurationNs(30 * MS), Cause::Reset)
    );
}

#[test]
fn a_turn_that_is_never_answered_lasts_until_the_kernel_gives_up() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.io(200 * MS, 10, 5, Direction::Out, 10, (10, 0, 0));
    s.packet(200 * MS, segment(CLIENT, SERVER, ACK, 1, 1, 10));
    s.retransmit(400 * MS, again(5, RetransmitCause::Timeout, 1, 10, 1));
    s.socket(3 * S, closing(Established, 110));
    s.destroyed(3 * S, 5, CLIENT, SERVER);
    s.only(10 * S);
    let [turn] = s.turns()[..] else { panic!("{:?}", s.turns()) };
    let w = turn.waterfall.as_ref().expect("explained");
    assert_eq!((turn.duration(), w.cause), (DurationNs(2_800 * MS), Cause::Part(Part::LossRto)));
}

#[test]
fn a_syn_into_a_black_hole() {
    for err in [110, 0] {
        // 0: the program gave up first.
        let mut s = Script::new();
        s.socket(0, syn_sent(5, SERVER));
        s.socket(1, sock(SocketReason::Flow, 5, CLIENT, SERVER));
        s.packet(2, segment(CLIENT, SERVER, SYN, 100, 0, 0));
        for n in 1..=3u64 {
            s.packet(n * S, segment(CLIENT, SERVER, SYN, 100, 0, 0));
            s.retransmit(n * S + 5 * US, again(5, RetransmitCause::Syn, 100, 0, 1));
        }
        s.socket(
            9 * S,
            SocketEvent { err, retransmitted_segments: 3, ..state(5, CLIENT, SERVER, SynSent, Close) },
        );
        let c = s.only(20 * S);
        let told: Vec<_> = s.turns().iter().map(|t| (t.duration(), t.retransmits)).collect();
        assert_eq!(told, [(DurationNs(9 * S), 0)]);
        assert_eq!((c.close, c.retransmits.syn, c.retransmits.total), (CloseReason::Timeout, 3, 3));
        let after: Vec<_> = s
            .facts
            .iter()
            .filter_map(|f| match f.kind {
                FactKind::Retransmit { seq, after, .. } => Some((seq, after.map(|d| d.0))),
                _ => None,
            })
            .collect();
        assert_eq!(after, [(0, Some(S + 5 * US - 2)), (0, Some(S + 5 * US)), (0, Some(S + 5 * US))]);
    }
}

#[test]
fn open_at_the_end() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.io(2 * MS, 10, 5, Direction::Out, 10, (10, 0, 0));
    let mut out = Vec::new();
    assert_eq!(s.core.finish(MonoNs(S), &mut out), 1);
    let c = s.core.summaries().remove(0);
    assert_eq!((c.close, c.turns), (CloseReason::Open, 0));
    assert!(matches!(&out[0].kind, FactKind::Turn(t) if t.response_bytes == 0 && t.request_bytes == 10));
    assert!(matches!(&out[1].kind, FactKind::Closed(_)));
    assert_eq!(s.core.finish(MonoNs(2 * S), &mut out), 0, "once is enough");
}
