//! Connections come into view, take their numbers, and leave.

use super::*;
use crate::event::TcpInfo;
use crate::fact::CloseReason;
use crate::key::{ConnId, Role};
use crate::record::Named;

#[test]
fn a_client_connection_from_connect_to_fin() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.io(2 * MS, 10, 5, Direction::Out, 31, (31, 0, 0));
    s.io(5 * MS, 10, 5, Direction::In, 1_200, (31, 1_200, 1));
    s.socket(6 * MS, state(5, CLIENT, SERVER, TcpState::Established, TcpState::FinWait1));
    s.closed(7 * MS, 5, CLIENT, SERVER, TcpState::FinWait2);
    assert!(s.core.summaries().is_empty(), "it waits for trailing packets");
    assert_eq!(s.core.poll_at(), Some(MonoNs(7 * MS + 1 + S)));
    s.tick(7 * MS + 1 + S);
    let c = s.core.summaries().remove(0);
    assert_eq!((c.bytes_sent, c.bytes_received, c.turns), (31, 1_200, 1));
    assert_eq!((c.role, c.close, c.opened_before), (Role::Client, CloseReason::Fin, false));
    assert_eq!(c.connect.map(|d| d.0), Some(MS));
    assert_eq!(c.tuple, tuple(CLIENT, SERVER));
    assert_eq!(c.owner.map(|o| o.key.tgid), Some(10));
    assert!(!c.incomplete);
    let turn = s.turns()[0];
    assert_eq!((turn.start, turn.response_start, turn.end), (MonoNs(2 * MS), MonoNs(5 * MS), MonoNs(5 * MS)));
    assert_eq!(turn.trace_id, c.trace_id);
    assert_eq!(s.story(), ["c1 Opened", "c1 Established", "c1 State", "c1 State", "c1 Turn", "c1 Closed"]);
    assert_eq!(s.core.open_connections(), 0);
}

#[test]
fn a_server_connection_starts_with_its_syn_and_waits_for_accept() {
    let mut s = Script::new();
    s.socket(0, listen(1, "0.0.0.0:80"));
    s.packet(MS, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    s.packet(MS + 50 * US, segment(SERVER, CLIENT, SYN | ACK, 900, 101, 0));
    s.packet(2 * MS, segment(CLIENT, SERVER, ACK, 101, 901, 0));
    s.socket(2 * MS, state(7, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established));
    s.accept(5 * MS, 10, 7);
    let c = s.only(S);
    assert_eq!((c.role, c.close, c.cookie), (Role::Server, CloseReason::Open, 7));
    assert_eq!(c.start, MonoNs(MS), "the SYN is its beginning");
    assert_eq!(c.accept_wait.map(|d| d.0), Some(3 * MS));
    assert_eq!(c.connect, None);
    assert_eq!(c.packets, (1, 2));
    assert_eq!(c.rtt.map(|r| r.min.0), Some(950 * US), "SYN/ACK to ACK");
    assert_eq!(
        s.story(),
        ["c1 Packet", "c1 Packet", "c1 Packet", "c1 Opened", "c1 Established", "c1 Accepted", "c1 Closed"]
    );
}

#[test]
fn a_half_open_connection_that_comes_to_nothing_is_not_told() {
    let mut s = Script::new();
    s.socket(0, listen(1, "[::]:80"));
    s.packet(MS, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    s.tick(200 * S);
    assert_eq!(s.core.poll_at(), None);
    assert!(s.finish(300 * S).is_empty());
    assert_eq!(s.story(), ["c1 Packet"]);
}

#[test]
fn one_that_had_trouble_is_told() {
    let mut s = Script::new();
    s.socket(0, listen(1, "0.0.0.0:80"));
    s.packet(MS, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    let r = Retransmit { tuple: tuple(SERVER, CLIENT), ..again(1, RetransmitCause::SynAck, 0, 0, 1) };
    s.retransmit(S, r);
    s.tick(200 * S);
    let c = s.core.summaries().remove(0);
    assert_eq!((c.retransmits.syn_ack, c.close, c.role), (1, CloseReason::Timeout, Role::Server));
    assert_eq!(c.owner.map(|o| o.key.tgid), Some(10));
}

#[test]
fn a_connection_from_before_has_its_bytes_from_the_sequence_numbers() {
    let mut s = Script::new();
    // 5 GiB were sent, 300 bytes received, of which 20 are unread; the ISN is near the wrap.
    let sent = 5u64 << 30;
    let isn = 0xffff_fff0u32;
    let tcp = TcpInfo {
        local_isn: isn,
        remote_isn: 7,
        write_seq: isn.wrapping_add(1).wrapping_add(sent as u32),
        snd_una: isn.wrapping_add(1).wrapping_add((sent - 1000) as u32),
        bytes_acked: sent - 1000,
        rcv_nxt: 7 + 1 + 300,
        copied_seq: 7 + 1 + 280,
        bytes_received: 300,
        segs_out: 10,
        ..TcpInfo::default()
    };
    let existing = SocketEvent { tcp: Some(tcp), ..sock(SocketReason::Existing, 5, SERVER, CLIENT) };
    s.socket(0, existing);
    s.io(MS, 10, 5, Direction::In, 20, (0, 20, 0));
    s.io(2 * MS, 10, 5, Direction::Out, 50, (50, 20, 1));
    let c = s.only(S);
    assert!(c.opened_before);
    assert_eq!((c.bytes_sent, c.bytes_received), (sent + 50, 300));
    assert_eq!((c.bytes_sent_before, c.bytes_received_before), (sent, 280));
    assert_eq!((c.role, c.turns), (Role::Server, 1), "80 is nobody's ephemeral port");
    assert_eq!(c.trace_id, crate::trace_id::from_isns(&Settings::default().trace_salt, isn, 7).0);
}

#[test]
fn fins_take_sequence_numbers_but_are_no_bytes() {
    let mut s = Script::new();
    let tcp = TcpInfo {
        local_isn: 100,
        remote_isn: 200,
        write_seq: 100 + 1 + 10 + 1,
        snd_una: 100 + 1 + 10 + 1,
        bytes_acked: 11,
        rcv_nxt: 200 + 1 + 30 + 1,
        copied_seq: 200 + 1 + 30 + 1,
        bytes_received: 30,
        ..TcpInfo::default()
    };
    let existing = SocketEvent {
        tcp: Some(tcp),
        state: TcpState::LastAck,
        ..sock(SocketReason::Existing, 5, CLIENT, SERVER)
    };
    s.socket(0, existing);
    let c = s.only(S);
    assert_eq!((c.bytes_sent, c.bytes_received), (10, 30));
}

#[test]
fn both_ends_on_loopback_share_a_packet_but_tell_it_once() {
    let (a, b) = ("127.0.0.1:40000", "127.0.0.1:80");
    let mut s = Script::new();
    s.target(20, "server");
    let server = |e: SocketEvent| SocketEvent { owner: Some(process(20, "server")), ..e };
    s.socket(0, server(listen(1, "127.0.0.1:80")));
    s.socket(1, syn_sent(5, b));
    s.socket(2, sock(SocketReason::Flow, 5, a, b));
    s.packet(3, segment(a, b, SYN, 100, 0, 0));
    s.packet(4, segment(b, a, SYN | ACK, 900, 101, 0));
    s.socket(5, state(5, a, b, TcpState::SynSent, TcpState::Established));
    s.packet(6, segment(a, b, ACK, 101, 901, 0));
    s.socket(7, server(state(6, b, a, TcpState::SynRecv, TcpState::Established)));
    s.packet(8, segment(a, b, ACK, 101, 901, 10));
    s.packet(9, segment(b, a, ACK, 901, 111, 0));
    let told: Vec<_> = s
        .facts
        .iter()
        .filter_map(|f| match &f.kind {
            FactKind::Packet(p) => {
                Some((f.conn.map(|c| c.0), p.direction, f.who.as_ref().map(|w| w.key.tgid)))
            }
            _ => None,
        })
        .collect();
    let (client, server) = ((Some(1), Direction::Out, Some(10)), (Some(2), Direction::Out, Some(20)));
    assert_eq!(told, [client, server, client, client, server]);
    let all = s.finish(S);
    assert_eq!(all.iter().map(|c| c.packets).collect::<Vec<_>>(), [(3, 2), (2, 3)]);
    assert_eq!(all[0].trace_id, all[1].trace_id, "both ends make the same trace id");
    assert_eq!((all[0].role, all[1].role), (Role::Client, Role::Server));
}

#[test]
fn packets_of_nobody_are_no_facts() {
    let mut s = Script::new();
    s.packet(1, segment(CLIENT, SERVER, SYN, 1, 0, 0));
    let other = Packet { netns: NetnsCookie(2), ..segment(CLIENT, SERVER, ACK, 1, 1, 1) };
    s.connected(10, 5, CLIENT, SERVER);
    s.facts.clear();
    s.packet(2 * MS, other);
    assert!(s.facts.is_empty(), "the same addresses in another namespace are another flow");
    assert_eq!(s.core.totals().packets_of_others, 2);
}

#[test]
fn a_flow_that_is_used_again_is_a_new_connection() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.closed(2 * MS, 5, CLIENT, SERVER, TcpState::LastAck);
    // A process that is no target takes the same port at once.
    s.packet(3 * MS, segment(CLIENT, SERVER, SYN, 1, 0, 0));
    s.packet(4 * MS, segment(SERVER, CLIENT, SYN | ACK, 1, 2, 0));
    // And then a target again, before the first is told.
    s.connected(5 * MS, 6, CLIENT, SERVER);
    s.packet(7 * MS, segment(CLIENT, SERVER, ACK, 1, 1, 5));
    let all = s.finish(S);
    assert_eq!(all.iter().map(|c| (c.cookie, c.packets)).collect::<Vec<_>>(), [(5, (0, 0)), (6, (1, 0))]);
}

#[test]
fn trailing_packets_still_belong_to_a_closed_connection() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.closed(2 * MS, 5, CLIENT, SERVER, TcpState::LastAck);
    s.packet(3 * MS, segment(SERVER, CLIENT, ACK, 1, 2, 0));
    assert_eq!(s.only(S).packets, (0, 1));
}

#[test]
fn the_same_socket_connects_again_after_a_refusal() {
    let mut s = Script::new();
    for t in [0, 10 * MS] {
        s.socket(t, syn_sent(5, SERVER));
        s.socket(t + 1, sock(SocketReason::Flow, 5, CLIENT, SERVER));
        s.socket(
            t + MS,
            SocketEvent { err: 111, ..state(5, CLIENT, SERVER, TcpState::SynSent, TcpState::Close) },
        );
    }
    s.destroyed(20 * MS, 5, CLIENT, SERVER);
    let all = s.finish(S);
    assert_eq!(
        all.iter().map(|c| (c.id.0, c.close)).collect::<Vec<_>>(),
        [(1, CloseReason::ResetReceived), (2, CloseReason::ResetReceived)]
    );
}

#[test]
fn a_closed_socket_that_is_read_on_is_waited_for() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.socket(2 * MS, state(5, CLIENT, SERVER, TcpState::FinWait2, TcpState::Close));
    s.io(3 * S, 10, 5, Direction::In, 70, (0, 70, 0));
    s.tick(9 * S);
    s.io(9 * S, 10, 5, Direction::In, 30, (0, 100, 0));
    s.destroyed(9 * S + 1, 5, CLIENT, SERVER);
    s.tick(10 * S + 1);
    assert_eq!(s.core.summaries()[0].bytes_received, 100);
}

#[test]
fn a_late_word_opens_no_second_connection() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.socket(2 * MS, state(5, CLIENT, SERVER, TcpState::LastAck, TcpState::Close));
    s.tick(60 * S);
    let io = IoTotals { sent: 10, received: 0, turns: 0 };
    s.socket(61 * S, SocketEvent { io, ..sock(SocketReason::Destroy, 5, CLIENT, SERVER) });
    assert_eq!(s.finish(70 * S).len(), 1);
}

#[test]
fn sockets_that_never_connected_are_no_connections() {
    let mut s = Script::new();
    s.destroyed(1, 5, "0.0.0.0:0", "0.0.0.0:0");
    s.socket(2, listen(6, "0.0.0.0:80"));
    s.destroyed(3, 6, "0.0.0.0:80", "0.0.0.0:0");
    s.packet(4, segment(CLIENT, SERVER, SYN, 1, 0, 0));
    assert!(s.finish(S).is_empty());
    assert!(s.facts.is_empty(), "nobody listens any more");
}

#[test]
fn io_before_its_socket_is_not_lost() {
    let mut s = Script::new();
    s.io(10, 10, 5, Direction::Out, 7, (7, 0, 0));
    s.accept(11, 10, 5);
    s.socket(20, sock(SocketReason::Flow, 5, CLIENT, SERVER));
    s.io(30, 10, 5, Direction::In, 9, (7, 9, 1));
    let c = s.only(S);
    assert_eq!((c.bytes_sent, c.turns, c.start), (7, 1, MonoNs(10)));
}

#[test]
fn a_lost_io_event_heals_in_the_sums_and_shows_in_the_turn() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.io(2 * MS, 10, 5, Direction::Out, 10, (10, 0, 0));
    // The read of 50 and the next request of 10 were lost.
    s.io(4 * MS, 10, 5, Direction::In, 60, (20, 110, 2));
    let c = s.only(S);
    assert_eq!((c.bytes_sent, c.bytes_received, c.turns), (20, 110, 2));
    assert!(c.incomplete);
    assert!(s.turns()[0].incomplete);
}

#[test]
fn the_call_that_opens_a_connection_bears_its_name() {
    let mut s = Script::new();
    let connect = crate::event::SyscallEvent {
        task: task(10),
        nr: crate::syscall::number("connect").expect("every machine has it"),
        args: [0; 6],
        ret: Some(0),
        entered: MonoNs(0),
        cookie: Some(SocketCookie(5)),
        captures: Vec::new(),
    };
    s.event(0, EventKind::Syscall(Box::new(connect)));
    s.connected(10, 5, CLIENT, SERVER);
    s.connected(2 * MS, 6, "10.0.0.1:40001", SERVER);
    assert_eq!(s.story(), ["c1 Syscall", "c1 Opened", "c1 Established", "c2 Opened", "c2 Established"]);
}

#[test]
fn a_connection_gets_the_name_that_it_had_elsewhere() {
    let mut s = Script::new();
    let named = |id, cookie, local: &str, remote: &str| Named {
        id: ConnId(id),
        cookie: SocketCookie(cookie),
        netns: NS,
        tuple: tuple(local, remote),
    };
    s.core.call(&named(7, 1, CLIENT, SERVER));
    s.core.call(&named(4, 2, "10.0.0.1:80", "10.0.0.9:50000"));
    s.socket(0, listen(9, "10.0.0.1:80"));
    s.connected(MS, 3, "10.0.0.1:40001", "10.0.0.3:80");
    s.connected(2 * MS, 1, CLIENT, SERVER);
    s.packet(3 * MS, segment("10.0.0.9:50000", "10.0.0.1:80", SYN, 1, 0, 0));
    let from = TcpState::SynRecv;
    s.socket(4 * MS, state(2, "10.0.0.1:80", "10.0.0.9:50000", from, TcpState::Established));
    let names: Vec<_> = s.finish(9_000 * MS).iter().map(|c| (c.cookie, c.id.0)).collect();
    assert_eq!(names, [(2, 4), (1, 7), (3, 8)]);
}

#[test]
fn turns_are_measured_against_the_earlier_ones_at_their_server() {
    let mut s = Script::new();
    for (cookie, local, remote) in
        [(1, CLIENT, SERVER), (2, "10.0.0.1:40001", SERVER), (3, CLIENT, "10.0.0.3:80")]
    {
        let t = cookie * 1_000 * MS;
        s.socket(t, sock(SocketReason::Existing, cookie, local, remote));
        s.io(t + MS, 10, cookie, Direction::Out, 10, (10, 0, 0));
        s.io(t + 5 * MS, 10, cookie, Direction::In, 10, (10, 10, 1));
        s.io(t + 10 * MS, 10, cookie, Direction::Out, 10, (20, 10, 1));
    }
    s.finish(9_000 * MS);
    let told: Vec<_> = s.turns().iter().map(|t| (t.response_bytes, t.p50.map(|p50| p50.0))).collect();
    let (none, four) = (None, Some(4 * MS));
    // The last three were never answered and count for nobody.
    assert_eq!(told, [(10, none), (10, four), (10, none), (0, four), (0, four), (0, four)]);
}

#[test]
fn a_reset_handshake_is_over() {
    let mut s = Script::new();
    s.socket(0, listen(1, "0.0.0.0:80"));
    s.dropped(1, DropEvent { tcp_flags: SYN, ..drop_in(Some(1), SERVER, CLIENT, 1) });
    s.packet(MS, segment(CLIENT, SERVER, SYN, 100, 0, 0));
    s.packet(2 * MS, segment(CLIENT, SERVER, RST, 101, 0, 0));
    assert_eq!(s.only(S).close, CloseReason::ResetReceived);
}
