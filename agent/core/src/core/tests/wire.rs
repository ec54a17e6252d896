//! What the wire says of a connection.

use super::*;

/// An established connection: the SYN leaves at 2, its answer comes at 1 ms + 2.
fn open() -> Script {
    let mut s = Script::new();
    s.socket(0, syn_sent(5, SERVER));
    s.socket(1, sock(SocketReason::Flow, 5, CLIENT, SERVER));
    s.packet(2, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    s.packet(MS + 2, segment(SERVER, CLIENT, SYN | ACK, 900, 101, 0));
    s.socket(MS + 3, state(5, CLIENT, SERVER, TcpState::SynSent, TcpState::Established));
    s.packet(MS + 4, segment(CLIENT, SERVER, ACK, 101, 901, 0));
    s
}

#[test]
fn round_trips_of_what_we_sent() {
    let mut s = open();
    s.packet(10 * MS, segment(CLIENT, SERVER, ACK, 101, 901, 50));
    s.packet(13 * MS, segment(SERVER, CLIENT, ACK, 901, 151, 0));
    // What the peer sent and we acknowledge tells nothing of the way.
    s.packet(14 * MS, segment(SERVER, CLIENT, ACK, 901, 151, 10));
    s.packet(54 * MS, segment(CLIENT, SERVER, ACK, 151, 911, 0));
    let rtt = s.only(S).rtt.expect("samples");
    assert_eq!((rtt.samples, rtt.min.0, rtt.max.0), (2, MS, 3 * MS));
}

#[test]
fn a_handshake_that_was_repeated_gives_no_sample() {
    let mut s = Script::new();
    s.socket(0, syn_sent(5, SERVER));
    s.socket(1, sock(SocketReason::Flow, 5, CLIENT, SERVER));
    s.packet(2, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    s.packet(S, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    s.packet(S + MS, segment(SERVER, CLIENT, SYN | ACK, 900, 101, 0));
    assert_eq!(s.only(2 * S).rtt, None);
}

#[test]
fn what_was_sent_twice_gives_no_sample_until_all_of_it_is_acknowledged() {
    let mut s = open();
    s.packet(10 * MS, segment(CLIENT, SERVER, ACK, 101, 901, 50));
    s.packet(11 * MS, segment(CLIENT, SERVER, ACK, 151, 901, 50));
    s.packet(210 * MS, segment(CLIENT, SERVER, ACK, 101, 901, 50));
    s.packet(212 * MS, segment(SERVER, CLIENT, ACK, 901, 201, 0));
    // The next one is sure again.
    s.packet(300 * MS, segment(CLIENT, SERVER, ACK, 201, 901, 50));
    s.packet(304 * MS, segment(SERVER, CLIENT, ACK, 901, 251, 0));
    let rtt = s.only(S).rtt.expect("samples");
    assert_eq!((rtt.samples, rtt.min.0, rtt.max.0), (2, MS, 4 * MS));
}

#[test]
fn one_packet_on_two_interfaces_counts_once() {
    let mut s = open();
    let on = |ifindex, p| Packet { ifindex, ..p };
    s.facts.clear();
    s.packet(10 * MS, on(2, segment(CLIENT, SERVER, ACK, 101, 901, 50)));
    s.packet(10 * MS + 1, on(3, segment(CLIENT, SERVER, ACK, 101, 901, 50)));
    let analysed: Vec<_> = s
        .facts
        .iter()
        .filter_map(|f| match &f.kind {
            FactKind::Packet(p) => Some(p.analysis.is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(analysed, [true, false]);
    // The route changes.
    s.packet(5 * S, on(3, segment(CLIENT, SERVER, ACK, 151, 901, 50)));
    assert_eq!(s.only(6 * S).packets, (4, 1));
}

#[test]
fn zero_windows_count_once_each() {
    let mut s = open();
    for (t, window) in [(2, 100), (3, 0), (4, 0), (5, 100), (6, 0)] {
        let mut p = segment(SERVER, CLIENT, ACK, 901, 101, 0);
        p.tcp = p.tcp.map(|seg| Segment { window, ..seg });
        s.packet(t * MS, p);
    }
    // A reset's window means nothing.
    let mut p = segment(CLIENT, SERVER, RST, 101, 0, 0);
    p.tcp = p.tcp.map(|seg| Segment { window: 0, ..seg });
    s.packet(7 * MS, p);
    assert_eq!(s.only(S).zero_window_stalls, 2);
}

#[test]
fn the_trace_id_is_made_of_both_isns_and_stays() {
    let mut s = open();
    let c = s.only(S);
    let salt = Settings::default().trace_salt;
    assert_eq!(c.trace_id, crate::trace_id::from_isns(&salt, 900, 100).0);
    // Nothing of the handshake was seen: an id of this host only, for turns and summary alike.
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.io(2 * MS, 10, 5, Direction::Out, 1, (1, 0, 0));
    s.io(3 * MS, 10, 5, Direction::In, 1, (1, 1, 1));
    s.io(4 * MS, 10, 5, Direction::Out, 1, (2, 1, 1));
    s.packet(5 * MS, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    s.packet(6 * MS, segment(SERVER, CLIENT, SYN | ACK, 900, 101, 0));
    let c = s.only(S);
    assert_eq!(c.trace_id_source, crate::fact::TraceIdSource::Local);
    assert!(s.turns().iter().all(|t| t.trace_id == c.trace_id));
}
