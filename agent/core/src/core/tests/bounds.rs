//! Everything that may grow is bounded, and what is left out is counted.

use super::*;
use crate::key::Role;

fn client(n: u32) -> String {
    format!("10.0.{}.{}:{}", n / 250, 1 + n % 250, 40_000 + n % 1000)
}

#[test]
fn two_hundred_thousand_turns_on_one_connection() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    let mut told = 0;
    for n in 0..200_000u64 {
        let t = 2 * MS + n * 20 * US;
        let turns = n as u32;
        s.io(t, 10, 5, Direction::Out, 8, (8 * (n + 1), 8 * n, turns));
        s.io(t + 10 * US, 10, 5, Direction::In, 8, (8 * (n + 1), 8 * (n + 1), turns + 1));
        told += s.turns().len();
        s.facts.clear();
    }
    let c = s.only(100 * S);
    told += s.turns().len();
    assert_eq!((c.turns, told), (200_000, 200_000));
    assert_eq!((c.bytes_sent, c.bytes_received, c.incomplete), (1_600_000, 1_600_000, false));
    assert_eq!(s.core.totals().turns, 200_000);
}

#[test]
fn old_closed_connections_make_room_and_are_counted() {
    let mut s = Script::with(Settings { max_connections: 3, ..Settings::default() });
    for n in 0..10u32 {
        let t = u64::from(n) * 10 * S;
        s.connected(t, u64::from(n) + 1, &client(n), SERVER);
        s.closed(t + 2 * MS, u64::from(n) + 1, &client(n), SERVER, TcpState::LastAck);
        s.tick(t + 5 * S);
    }
    let ids: Vec<u32> = s.finish(1000 * S).iter().map(|c| c.id.0).collect();
    assert_eq!(ids, [8, 9, 10]);
    let closed = s.story().iter().filter(|n| n.ends_with("Closed")).count();
    assert_eq!((closed, s.core.totals().omitted, s.core.totals().connections), (10, 7, 10));
}

#[test]
fn when_all_are_open_new_ones_are_left_out_and_counted_once() {
    let mut s = Script::with(Settings { max_connections: 2, ..Settings::default() });
    for n in 0..4u32 {
        s.connected(MS, u64::from(n) + 1, &client(n), SERVER);
        s.io(3 * MS, 10, u64::from(n) + 1, Direction::Out, 1, (1, 0, 0));
    }
    s.retransmit(
        4 * MS,
        Retransmit { tuple: tuple(&client(3), SERVER), ..again(4, RetransmitCause::Fast, 0, 1, 2) },
    );
    let t = s.core.totals();
    assert_eq!((t.connections, t.omitted), (2, 2));
    assert_eq!(t.no_connection[0].retransmits.fast, 2, "their trouble is kept");
    assert_eq!(s.finish(S).len(), 2);
}

#[test]
fn one_that_lingers_makes_room_early() {
    let mut s = Script::with(Settings { max_connections: 1, ..Settings::default() });
    s.connected(0, 1, &client(1), SERVER);
    s.closed(2 * MS, 1, &client(1), SERVER, TcpState::LastAck);
    s.connected(3 * MS, 2, &client(2), SERVER);
    let all = s.finish(S);
    assert_eq!((all.len(), all[0].cookie, s.core.totals().omitted), (1, 2, 1));
}

#[test]
fn a_flood_of_syns_is_bounded_and_what_it_cost_is_kept() {
    let mut s = Script::with(Settings { max_half_open: 8, ..Settings::default() });
    s.socket(0, listen(1, "0.0.0.0:80"));
    for n in 0..1000u32 {
        let from = client(n);
        s.packet(u64::from(n) * US, segment(&from, SERVER, SYN, n, 0, 0));
        let r = Retransmit { tuple: tuple(SERVER, &from), ..again(1, RetransmitCause::SynAck, 0, 0, 1) };
        s.retransmit(u64::from(n) * US + 1, r);
    }
    let all = s.finish(10 * S);
    assert_eq!(all.len(), 8);
    assert!(all.iter().all(|c| c.role == Role::Server && c.retransmits.syn_ack == 1));
    let t = s.core.totals();
    assert_eq!((t.no_connection[0].retransmits.syn_ack, t.retransmits.syn_ack), (992, 1000));
}

#[test]
fn words_on_unknown_sockets_do_not_pile_up() {
    let mut s = Script::new();
    for n in 0..100_000 {
        s.io(n, 10, n + 1000, Direction::Out, 1, (1, 0, 0));
        s.accept(n, 10, n + 1000);
    }
    assert!(s.core.early.len() <= super::super::MAX_EARLY);
    assert!(s.finish(S).is_empty());
}

#[test]
fn hostile_packets_are_values() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    let mut x = 1u64;
    for n in 0..20_000u64 {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (from, to) = if x & (1 << 40) == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let mut p = segment(from, to, (x >> 32) as u8, (x >> 8) as u32, (x >> 20) as u32, (x >> 44) as u32);
        p.payload_len = if x & 7 == 0 { u32::MAX } else { p.payload_len };
        p.ifindex = (x >> 50) as u32 & 1;
        // Time may stand still or go back.
        s.packet(n ^ (x & 0xff), p);
        s.facts.clear();
    }
    assert_eq!(s.finish(S).len(), 1);
}

#[test]
fn silent_udp_sockets_make_room() {
    let mut s = Script::with(Settings { max_connections: 32, ..Settings::default() });
    let datagrams = |n: u32| {
        let local = client(n);
        let tuple = Tuple { transport: Transport::Udp, ..tuple(&local, "10.0.0.53:53") };
        let io = IoTotals { sent: 1, received: 0, turns: 0 };
        SocketEvent {
            tuple,
            io,
            state: TcpState::Close,
            ..sock(SocketReason::Owner, u64::from(n) + 1, &local, "10.0.0.53:53")
        }
    };
    for n in 0..1000 {
        s.socket(u64::from(n) * 10 * S, datagrams(n));
    }
    let all = s.finish(20_000 * S);
    assert_eq!((all.len(), all[31].cookie), (32, 1000), "the new ones are there");
    let t = s.core.totals();
    assert_eq!((t.connections, t.omitted), (1000, 1000 - 32));
}
