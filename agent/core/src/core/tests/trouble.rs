//! Retransmissions, drops, and their sums.

use super::*;
use crate::drops::Hurt;
use crate::key::Role;
use RetransmitCause::{Fast, SynAck, TailLossProbe, Timeout};

#[test]
fn a_retransmission_says_how_long_ago_it_was_sent_first() {
    let mut s = Script::new();
    s.socket(0, syn_sent(5, SERVER));
    s.socket(1, sock(SocketReason::Flow, 5, CLIENT, SERVER));
    s.packet(2, segment(CLIENT, SERVER, SYN, u32::MAX, 0, 0));
    s.packet(MS, segment(SERVER, CLIENT, SYN | ACK, 900, 0, 0));
    s.packet(2 * MS, segment(CLIENT, SERVER, ACK, 0, 901, 31));
    s.packet(210 * MS, segment(CLIENT, SERVER, ACK, 0, 901, 31));
    s.retransmit(210 * MS + 4 * US, again(5, Timeout, 0, 31, 1));
    let fact = s.facts.last().expect("a fact");
    let FactKind::Retransmit { cause, seq, seq_end, segments, after } = fact.kind else { panic!("{fact:?}") };
    assert_eq!((cause, seq, seq_end, segments), (Timeout, 1, 32, 1));
    assert_eq!(after.map(|d| d.0), Some(208 * MS + 4 * US), "not the copy that was just captured");
}

#[test]
fn causes_add_up_and_the_kernel_has_the_last_word() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.retransmit(2 * MS, again(5, Fast, 0, 1448, 1));
    s.retransmit(3 * MS, again(5, TailLossProbe, 0, 1448, 1));
    s.retransmit(4 * MS, again(5, Timeout, 0, 14480, 10));
    s.retransmit(5 * MS, again(5, Timeout, 0, 1448, 0));
    // Two more happened where BPF didn't run.
    s.socket(
        6 * MS,
        SocketEvent { retransmitted_segments: 14, ..sock(SocketReason::Destroy, 5, CLIENT, SERVER) },
    );
    let c = s.only(S);
    let r = c.retransmits;
    assert_eq!((r.total, r.fast, r.tail_loss_probe, r.timeout, r.other), (14, 1, 1, 10, 2));
    assert!(!c.incomplete, "the number is exact");
    assert_eq!(s.core.totals().retransmits, r);
}

#[test]
fn synacks_sent_again_belong_to_the_child() {
    let mut s = Script::new();
    s.socket(0, listen(1, "0.0.0.0:80"));
    let synack = Retransmit { tuple: tuple(SERVER, CLIENT), ..again(1, SynAck, 0, 0, 1) };
    // No capture: nothing was seen of the SYN.
    s.retransmit(S, synack.clone());
    s.retransmit(3 * S, synack);
    s.socket(3 * S + MS, state(7, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established));
    s.socket(
        4 * S,
        SocketEvent { retransmitted_segments: 1, ..sock(SocketReason::Destroy, 7, SERVER, CLIENT) },
    );
    let c = s.only(10 * S);
    let r = c.retransmits;
    assert_eq!((c.cookie, r.total, r.syn_ack, r.other), (7, 3, 2, 1));
}

#[test]
fn trouble_of_a_target_without_a_connection_is_kept() {
    let mut s = Script::new();
    s.retransmit(1, again(77, Fast, 0, 1, 3));
    s.dropped(2, DropEvent { owner: Some(process(10, "api")), ..drop_in(Some(77), SERVER, CLIENT, 2) });
    let nobody = Retransmit { owner: None, ..again(78, Fast, 0, 1, 5) };
    s.retransmit(3, nobody);
    s.dropped(4, drop_in(None, "10.9.9.9:1", "10.9.9.8:2", 1));
    let t = s.core.totals();
    assert_eq!((t.no_connection[0].owner.key.tgid, t.no_connection[0].retransmits.fast), (10, 3));
    assert_eq!(kinds(&t.no_connection[0].drops), [("NETFILTER_DROP", 1, 2, 10)]);
    assert_eq!((t.retransmits.total, t.drops, t.dropped_segments), (3, 1, 2));
    assert_eq!((t.unattributed_retransmits, t.unattributed_drops), (5, 1));
}

#[test]
fn drops_at_either_end_of_a_flow() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.io(2 * MS, 10, 5, Direction::Out, 10, (10, 0, 0));
    // In the client's namespace, without a socket yet.
    s.dropped(3 * MS, drop_in(None, CLIENT, SERVER, 4));
    s.dropped(3 * MS, drop_in(Some(5), CLIENT, SERVER, 1));
    // In the server's namespace, where the server is no target.
    let far = DropEvent {
        netns: NetnsCookie(2),
        netns_inum: 4_026_532_000,
        owner: Some(process(50, "nginx")),
        peer_cookie: Some(SocketCookie(5)),
        ..drop_in(Some(88), SERVER, CLIENT, 1)
    };
    s.dropped(4 * MS, far);
    let c = s.only(S);
    assert_eq!(kinds(&c.drops), [("NETFILTER_DROP", 2, 5, 10)]);
    assert_eq!(kinds(&c.peer_drops), [("NETFILTER_DROP", 1, 1, 50)]);
    assert_eq!(c.peer_drops[0].netns_inum, 4_026_532_000);
    let at_peer: Vec<_> = s
        .facts
        .iter()
        .filter_map(|f| match &f.kind {
            FactKind::Dropped(d) => Some(d.at_peer.as_ref().map(|p| p.pid)),
            _ => None,
        })
        .collect();
    assert_eq!(at_peer, [None, None, Some(50)]);
    assert_eq!(s.turns()[0].drops, 3);
    let t = s.core.totals();
    assert_eq!((t.drops, t.peer_drops, t.unattributed_drops), (2, 1, 0));
}

#[test]
fn a_drop_on_a_router_hurts_the_sender_and_shows_at_both_ends() {
    let mut s = Script::new();
    s.target(20, "server");
    s.connected(0, 5, CLIENT, SERVER);
    let mut server = state(6, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established);
    server.owner = Some(process(20, "server"));
    server.netns = NetnsCookie(2);
    s.socket(MS, server);
    // From the server, told by the probes from the other side.
    let d = DropEvent {
        netns: NetnsCookie(3),
        peer_cookie: Some(SocketCookie(6)),
        ..drop_in(None, CLIENT, SERVER, 1)
    };
    s.dropped(2 * MS, d);
    let told: Vec<_> = s
        .facts
        .iter()
        .filter_map(|f| match &f.kind {
            FactKind::Dropped(d) => Some((f.conn.map(|c| c.0), d.hurt, d.victim.pid, d.at_peer.is_some())),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(Some(2), Hurt::Sender, 20, true), (Some(1), Hurt::Sender, 20, true)]);
    let t = s.core.totals();
    assert_eq!((t.drops, t.peer_drops, t.unattributed_drops), (0, 1, 0));
}

#[test]
fn a_drop_between_two_targets_shows_at_both() {
    let mut s = Script::new();
    s.target(20, "server");
    s.connected(0, 5, CLIENT, SERVER);
    let mut server = state(6, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established);
    server.owner = Some(process(20, "server"));
    server.netns = NetnsCookie(2);
    s.socket(MS, server);
    let d = DropEvent {
        netns: NetnsCookie(2),
        owner: Some(process(20, "server")),
        peer_cookie: Some(SocketCookie(5)),
        ..drop_in(Some(6), SERVER, CLIENT, 1)
    };
    s.dropped(2 * MS, d);
    let all = s.finish(S);
    assert_eq!(
        (kinds(&all[0].drops).len(), kinds(&all[0].peer_drops)),
        (0, vec![("NETFILTER_DROP", 1, 1, 20)])
    );
    assert_eq!(
        (kinds(&all[1].drops), kinds(&all[1].peer_drops).len()),
        (vec![("NETFILTER_DROP", 1, 1, 20)], 0)
    );
}

#[test]
fn the_other_end_in_the_same_namespace_is_found_by_the_flow() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.dropped(2 * MS, drop_in(None, SERVER, CLIENT, 1));
    let c = s.only(S);
    assert_eq!((kinds(&c.drops).len(), kinds(&c.peer_drops)), (0, vec![("NETFILTER_DROP", 1, 1, 0)]));
}

#[test]
fn a_dropped_syn_is_the_connections_that_comes_of_it() {
    let mut s = Script::new();
    s.socket(0, listen(1, "0.0.0.0:80"));
    s.dropped(MS, DropEvent { tcp_flags: SYN, ..drop_in(Some(1), SERVER, CLIENT, 1) });
    s.packet(S, segment(CLIENT, SERVER, SYN, 1, 0, 0));
    s.socket(S + MS, state(7, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established));
    let c = s.only(2 * S);
    assert_eq!((c.cookie, kinds(&c.drops)), (7, vec![("NETFILTER_DROP", 1, 1, 10)]));
}

#[test]
fn stragglers_dropped_before_a_listener_are_its_owners() {
    let mut s = Script::new();
    s.socket(0, listen(1, "0.0.0.0:80"));
    s.dropped(MS, DropEvent { tcp_flags: FIN | ACK, ..drop_in(Some(1), SERVER, CLIENT, 1) });
    let t = s.core.totals();
    assert_eq!(kinds(&t.no_connection[0].drops), [("NETFILTER_DROP", 1, 1, 10)]);
    assert_eq!(t.unattributed_drops, 0);
}

#[test]
fn kinds_of_drop_are_bounded_and_their_sum_is_not() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    for n in 0..100 {
        s.dropped(
            2 * MS,
            DropEvent { location: Arc::from(format!("f{n}")), ..drop_in(Some(5), CLIENT, SERVER, 1) },
        );
    }
    let c = s.only(S);
    assert_eq!(c.drops.len(), 32);
    assert_eq!(c.drops.iter().map(|d| d.packets).sum::<u64>(), 100);
}

#[test]
fn lost_events_mark_what_was_open_then() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.closed(2 * MS, 5, CLIENT, SERVER, TcpState::LastAck);
    s.tick(2 * S);
    s.connected(3 * S, 6, "10.0.0.1:40001", SERVER);
    s.io(4 * S, 10, 6, Direction::Out, 1, (1, 0, 0));
    s.lost(5 * S, LossSource::Ringbuf, 12);
    s.lost(5 * S, LossSource::Export, 3);
    s.io(6 * S, 10, 6, Direction::In, 1, (1, 1, 1));
    s.io(7 * S, 10, 6, Direction::Out, 1, (2, 1, 1));
    s.io(8 * S, 10, 6, Direction::In, 1, (2, 2, 2));
    s.connected(9 * S, 7, "10.0.0.1:40002", SERVER);
    let all = s.finish(10 * S);
    assert_eq!(all.iter().map(|c| c.incomplete).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(s.turns().iter().map(|t| t.incomplete).collect::<Vec<_>>(), [true, false]);
    let lost = s.core.totals().lost;
    assert_eq!((lost.ringbuf, lost.capture, lost.queue, lost.export), (12, 0, 0, 3));
    assert_eq!(s.story().iter().filter(|n| *n == "Lost").count(), 2);
}

#[test]
fn a_synack_dropped_in_another_namespace_is_known_to_the_listeners_side() {
    const THERE: NetnsCookie = NetnsCookie(2);
    let mut s = Script::new();
    s.target(20, "server");
    s.socket(0, SocketEvent { netns: THERE, owner: Some(process(20, "server")), ..listen(1, "0.0.0.0:80") });
    s.socket(0, syn_sent(5, SERVER));
    s.socket(10, sock(SocketReason::Flow, 5, CLIENT, SERVER));
    s.dropped(
        MS,
        DropEvent {
            tcp_flags: SYN | ACK,
            owner: Some(process(10, "api")),
            ..drop_in(Some(5), CLIENT, SERVER, 1)
        },
    );
    let child = state(6, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established);
    let child =
        SocketEvent { netns: THERE, owner: Some(process(20, "server")), role: Some(Role::Server), ..child };
    s.socket(1_000 * MS, child);
    let all = s.finish(2 * S);
    let of = |role| all.iter().find(|c| c.role == role).expect("both ends");
    assert_eq!(kinds(&of(Role::Client).drops), [("NETFILTER_DROP", 1, 1, 10)]);
    assert_eq!(kinds(&of(Role::Server).peer_drops), [("NETFILTER_DROP", 1, 1, 10)]);
}

#[test]
fn a_lost_end_of_a_handshake_belongs_to_the_connection_that_comes_of_it() {
    let mut s = Script::new();
    s.socket(0, listen(1, "0.0.0.0:80"));
    s.dropped(MS, drop_in(None, SERVER, CLIENT, 1));
    s.socket(S, state(7, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established));
    let c = s.only(2 * S);
    assert_eq!((c.cookie, kinds(&c.drops)), (7, vec![("NETFILTER_DROP", 1, 1, 10)]));
}

#[test]
fn what_happens_while_something_is_lost_is_incomplete() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    let turn = |s: &mut Script, n: u64, at: u64| {
        s.io(at * MS, 10, 5, Direction::Out, 1, (n, n - 1, n as u32 - 1));
        s.io(at * MS + 1, 10, 5, Direction::In, 1, (n, n, n as u32));
    };
    turn(&mut s, 1, 5);
    turn(&mut s, 2, 10);
    s.lost(20 * MS, LossSource::Ringbuf, 0);
    turn(&mut s, 3, 21);
    turn(&mut s, 4, 22);
    s.lost(25 * MS, LossSource::Ringbuf, 3);
    turn(&mut s, 5, 30);
    turn(&mut s, 6, 40);
    let c = s.only(S);
    let incomplete = s.facts.iter().filter_map(|f| match &f.kind {
        FactKind::Turn(turn) => Some(turn.incomplete),
        _ => None,
    });
    // Of the second one more might have come.
    assert_eq!(incomplete.collect::<Vec<_>>(), [false, true, true, true, false, false]);
    let told = s.facts.iter().filter(|f| matches!(f.kind, FactKind::Lost { .. }));
    assert_eq!((told.count(), s.core.totals().lost.ringbuf, c.incomplete), (1, 3, true));
}

#[test]
fn a_turn_whose_beginning_was_missed_is_incomplete() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.io(5 * MS, 10, 5, Direction::Out, 9, (9, 0, 0));
    s.io(6 * MS, 10, 5, Direction::In, 1, (9, 1, 1));
    // Of nine bytes eight were told nowhere.
    s.io(7 * MS, 10, 5, Direction::Out, 1, (18, 1, 1));
    s.io(8 * MS, 10, 5, Direction::In, 1, (18, 2, 2));
    s.io(9 * MS, 10, 5, Direction::Out, 9, (27, 2, 2));
    s.io(10 * MS, 10, 5, Direction::In, 1, (27, 3, 3));
    s.finish(S);
    // Of the first an answer might have been missed as well.
    assert_eq!(s.turns().iter().map(|t| t.incomplete).collect::<Vec<_>>(), [true, true, false]);
}
