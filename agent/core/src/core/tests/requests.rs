//! Turns that are named by what was asked for, and those after a TLS handshake.

use super::*;
use crate::opening::{Opening, Request, TlsRecord, TlsRecords};
use Direction::{In, Out};

fn opening(p: Packet, opening: Opening) -> Packet {
    Packet { opening: Some(opening), ..p }
}

fn request(path: &str) -> Opening {
    Opening::Http(Arc::new(Request { method: "GET".into(), path: path.into() }))
}

/// One turn that takes so many ms, from `t` on in ms. The request is on the wire before the call has returned.
fn turn(s: &mut Script, n: u32, path: &str, t: u64, took: u64) {
    let (sent, received) = (100 * (n + 1), 1_000 * (n + 1));
    let p = segment(CLIENT, SERVER, ACK, sent - 99, received - 999, 100);
    s.packet(t * MS, opening(p, request(path)));
    s.io(t * MS + 20 * US, 10, 7, Out, 100, (sent.into(), u64::from(received) - 1_000, n));
    s.io((t + took) * MS, 10, 7, In, 1_000, (sent.into(), received.into(), n + 1));
}

#[test]
fn a_turn_is_named_by_its_own_request_and_compared_with_its_like() {
    let mut s = Script::new();
    s.connected(0, 7, CLIENT, SERVER);
    turn(&mut s, 0, "/fast", 10, 5);
    turn(&mut s, 1, "/slow", 20, 500);
    turn(&mut s, 2, "/fast", 1_000, 5);
    s.only(S * 2);
    let told: Vec<_> = s.turns().iter().map(|t| (t.request.as_ref().map(|r| r.to_string()), t.p50)).collect();
    let named = |path: &str| Some(format!("GET {path}"));
    assert_eq!((&told[0].0, &told[1].0, &told[2].0), (&named("/fast"), &named("/slow"), &named("/fast")));
    assert_eq!((told[0].1, told[1].1), (None, None), "the first of each");
    assert!(told[2].1.is_some_and(|p50| p50.0 < 20 * MS), "{told:?}");
}

#[test]
fn requests_without_end_have_a_median_together() {
    let mut s = Script::new();
    s.connected(0, 7, CLIENT, SERVER);
    for n in 0..1_000 {
        turn(&mut s, n, &format!("/{n}"), 10 + 10 * u64::from(n), 5);
    }
    s.only(S * 20);
    assert!(s.turns().last().is_some_and(|t| t.p50.is_some()));
    assert_eq!(s.core.totals().turns_without_median, 1_000 - 768);
}

#[test]
fn a_tls_handshake_is_a_part_of_the_first_turn_and_no_turn() {
    let mut s = Script::new();
    s.socket(0, syn_sent(7, SERVER));
    s.socket(10, sock(SocketReason::Flow, 7, CLIENT, SERVER));
    s.packet(20, segment(CLIENT, SERVER, SYN, 99, 0, 0));
    s.packet(MS, segment(SERVER, CLIENT, SYN | ACK, 499, 100, 0));
    s.socket(MS, state(7, CLIENT, SERVER, TcpState::SynSent, TcpState::Established));
    let tls = |records: &[(u8, u32)], cipher| {
        let records = records.iter().map(|&(content, size)| TlsRecord { content, size }).collect();
        Opening::Tls(TlsRecords { records, cipher })
    };
    let hello = segment(CLIENT, SERVER, ACK, 100, 500, 300);
    s.packet(2 * MS, opening(hello, tls(&[(22, 300)], None)));
    s.io(2 * MS, 10, 7, Out, 300, (300, 0, 0));
    let answer = segment(SERVER, CLIENT, ACK, 500, 400, 1_000);
    s.packet(32 * MS, opening(answer, tls(&[(22, 127), (23, 873)], Some(0x1301))));
    s.io(32 * MS, 10, 7, In, 1_000, (300, 1_000, 1));
    let finished = segment(CLIENT, SERVER, ACK, 400, 1_500, 58);
    s.packet(33 * MS, opening(finished, tls(&[(23, 58)], None)));
    s.io(33 * MS, 10, 7, Out, 58, (358, 1_000, 1));
    s.packet(34 * MS, segment(CLIENT, SERVER, ACK, 458, 1_500, 100));
    s.io(34 * MS, 10, 7, Out, 100, (458, 1_000, 1));
    s.packet(64 * MS, segment(SERVER, CLIENT, ACK, 1_500, 558, 500));
    s.io(64 * MS, 10, 7, In, 500, (458, 1_500, 2));
    let summary = s.only(S);
    assert_eq!((summary.turns, summary.incomplete), (1, false), "{summary:#?}");
    let turns = s.turns();
    let (turn, w) = (turns[0], turns[0].waterfall.as_ref().expect("a waterfall"));
    assert_eq!((turn.index, turn.request_bytes, turn.response_bytes), (0, 100, 500));
    assert_eq!(turn.duration().0, 64 * MS);
    let of = |part| w.parts.get(part).0 / MS;
    use crate::waterfall::Part::{Application, Connect, Tls};
    assert_eq!((of(Connect), of(Tls), of(Application)), (1, 31, 2), "{w:?}");
    assert_eq!(w.parts.sum(), turn.duration());
}
