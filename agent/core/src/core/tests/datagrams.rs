//! UDP.

use super::*;
use crate::fact::CloseReason;
use crate::key::Role;
use crate::waterfall::Part;

const CLIENT: &str = "10.0.0.1:40000";
const RESOLVER: &str = "10.0.0.53:53";

fn udp(local: &str, remote: &str) -> Tuple {
    Tuple { transport: Transport::Udp, ..tuple(local, remote) }
}

fn usock(reason: SocketReason, cookie: u64, local: &str, remote: &str) -> SocketEvent {
    SocketEvent { tuple: udp(local, remote), state: TcpState::Close, ..sock(reason, cookie, local, remote) }
}

fn datagram(from: &str, to: &str, len: u32) -> Packet {
    Packet { tuple: udp(from, to), tcp: None, ..segment(from, to, 0, 0, 0, len) }
}

#[test]
fn a_dns_query() {
    let mut s = Script::new();
    s.socket(MS, usock(SocketReason::Flow, 5, CLIENT, RESOLVER));
    s.packet(MS, datagram(CLIENT, RESOLVER, 30));
    s.io(MS + 5, 10, 5, Direction::Out, 30, (30, 0, 0));
    s.packet(3 * MS, datagram(RESOLVER, CLIENT, 80));
    s.io(4 * MS, 10, 5, Direction::In, 80, (30, 80, 1));
    s.socket(5 * MS, usock(SocketReason::Destroy, 5, CLIENT, RESOLVER));
    s.tick(10 * S);
    let c = s.core.summaries().remove(0);
    assert_eq!((c.role, c.turns, c.packets, c.close), (Role::Client, 1, (1, 1), CloseReason::Fin));
    assert_eq!((c.bytes_sent, c.bytes_received, c.tuple), (30, 80, udp(CLIENT, RESOLVER)));
    assert!(!c.incomplete);
    assert_eq!(s.story(), ["c1 Opened", "c1 Packet", "c1 Packet", "c1 Turn", "c1 Closed"]);
}

/// A thread asks twice, is answered, connects 1 ms later and asks for something; what its first turn waited for.
fn resolved_and_connected(asks: u32, connects: u32, pause: u64) -> Vec<(Part, u64)> {
    let mut s = Script::new();
    s.socket(MS, usock(SocketReason::Flow, 5, CLIENT, RESOLVER));
    s.io(MS, asks, 5, Direction::Out, 30, (30, 0, 0));
    s.io(21 * MS, asks, 5, Direction::In, 0, (30, 0, 0));
    s.io(41 * MS, asks, 5, Direction::Out, 30, (60, 0, 0));
    s.io(61 * MS, asks, 5, Direction::In, 80, (60, 80, 1));
    let t = 61 * MS + pause;
    s.connected(t, 6, "10.0.0.1:41000", SERVER);
    s.io(t + 2 * MS, connects, 6, Direction::Out, 31, (31, 0, 0));
    s.io(t + 5 * MS, connects, 6, Direction::In, 1_200, (31, 1_200, 1));
    s.finish(S);
    let turns = s.turns();
    let turn = turns.iter().find(|t| t.tuple.transport == Transport::Tcp).expect("a turn");
    let parts = turn.waterfall.as_ref().expect("explained").parts;
    parts.iter().filter(|(_, t)| t.0 > 0).map(|(part, t)| (part, t.0 / MS)).collect()
}

#[test]
fn a_lookup_belongs_to_the_first_turn_of_the_thread_that_waited_for_it() {
    let unaccounted = (Part::Unaccounted, 3);
    let resolved = [(Part::Connect, 1), (Part::Application, 2), (Part::Dns, 60), unaccounted];
    assert_eq!(resolved_and_connected(10, 10, MS), resolved);
    let connected = [(Part::Connect, 1), (Part::Application, 1), unaccounted];
    assert_eq!(resolved_and_connected(11, 10, MS), connected, "another thread's");
    assert_eq!(resolved_and_connected(10, 10, 101 * MS), connected, "long ago");
}

#[test]
fn a_bound_server_hears_from_anybody() {
    let mut s = Script::new();
    s.socket(0, usock(SocketReason::Existing, 5, "0.0.0.0:53", "0.0.0.0:0"));
    assert!(s.facts.is_empty(), "a silent socket is no connection");
    s.packet(MS, datagram("10.0.0.1:1000", RESOLVER, 30));
    s.io(MS + 5, 10, 5, Direction::In, 30, (0, 30, 0));
    s.io(2 * MS, 10, 5, Direction::Out, 80, (80, 30, 1));
    s.packet(2 * MS, datagram(RESOLVER, "10.0.0.1:1000", 80));
    let first = s.core.conn_of(SocketCookie(5));
    s.packet(3 * MS, datagram("10.0.0.9:2000", RESOLVER, 30));
    let c = s.only(S);
    assert_eq!((Some(c.id), c.role, c.turns, c.packets), (first, Role::Server, 1, (1, 2)));
    assert!(c.opened_before);
    assert_eq!(c.tuple.remote.port(), 0, "there are many peers");
}

#[test]
fn an_unconnected_client_with_many_peers_is_one_flow() {
    let mut s = Script::new();
    for n in 1..=40 {
        let peer = format!("10.0.1.{n}:53");
        s.socket(n * MS, usock(SocketReason::Flow, 5, CLIENT, &peer));
        s.packet(n * MS, datagram(CLIENT, &peer, 30));
        s.packet(n * MS + 1, datagram(&peer, CLIENT, 30));
    }
    let c = s.only(S);
    assert_eq!(c.packets, (40, 40));
    assert_eq!((c.tuple.local, c.tuple.remote.port()), (addr(CLIENT), 0));
}

#[test]
fn a_silent_socket_ends_in_silence() {
    let mut s = Script::new();
    s.socket(0, usock(SocketReason::Existing, 5, "0.0.0.0:53", "0.0.0.0:0"));
    s.socket(MS, usock(SocketReason::Destroy, 5, "0.0.0.0:53", "0.0.0.0:0"));
    s.socket(MS, usock(SocketReason::Existing, 6, "0.0.0.0:54", "0.0.0.0:0"));
    s.socket(2 * MS, usock(SocketReason::Final, 6, "0.0.0.0:54", "0.0.0.0:0"));
    assert!(s.finish(S).is_empty() && s.facts.is_empty());
}

#[test]
fn a_full_receive_buffer_is_told_of_a_silent_socket() {
    let mut s = Script::new();
    s.socket(0, usock(SocketReason::Existing, 5, "0.0.0.0:53", "0.0.0.0:0"));
    let d = DropEvent {
        tuple: udp(RESOLVER, "10.0.0.1:1000"),
        reason: Arc::from("SOCKET_RCVBUFF"),
        tcp_flags: 0,
        ..drop_in(Some(5), RESOLVER, "10.0.0.1:1000", 1)
    };
    s.dropped(MS, d);
    let c = s.only(S);
    assert_eq!(kinds(&c.drops), [("SOCKET_RCVBUFF", 1, 1, 10)]);
}

#[test]
fn a_drop_at_the_peer_brings_a_silent_socket_into_view() {
    let mut s = Script::new();
    s.socket(0, usock(SocketReason::Existing, 5, "0.0.0.0:53", "0.0.0.0:0"));
    let d = DropEvent {
        tuple: udp("10.0.0.1:1000", RESOLVER),
        peer_cookie: Some(SocketCookie(5)),
        tcp_flags: 0,
        ..drop_in(None, "10.0.0.1:1000", RESOLVER, 1)
    };
    s.dropped(MS, d);
    assert_eq!(s.story(), ["c1 Opened", "c1 Dropped"]);
    assert_eq!(s.only(S).peer_drops.len(), 1);
}
