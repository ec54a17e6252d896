//! Messages as the kernel lays them out, built by hand.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::message::{Fields, Messages};
use super::*;

fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + payload.len()).unwrap();
    let mut all = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    all.extend(payload);
    all.resize(all.len().next_multiple_of(4), 0);
    all
}

fn inet_message(family: i32, state: u8) -> Vec<u8> {
    let mut m = vec![u8::try_from(family).unwrap(), state, 2, 1];
    m.extend(443u16.to_be_bytes());
    m.extend(40_000u16.to_be_bytes());
    m.extend(Ipv6Addr::LOCALHOST.octets());
    m.extend(Ipv6Addr::UNSPECIFIED.octets());
    for word in [7u32, 0x11, 0x22, 1_500, 3, 4, 1_000, 99] {
        m.extend(word.to_ne_bytes());
    }
    m
}

#[test]
fn an_inet_message_with_attributes() {
    let mut m = inet_message(libc::AF_INET6, 10);
    assert_eq!(m.len(), 72);
    m.extend(attribute(11, &[1]));
    m.extend(attribute(8, &[2]));
    m.extend(attribute(7, &(1u32..=9).flat_map(u32::to_ne_bytes).collect::<Vec<_>>()));
    m.extend(attribute(4, b"bbr\0"));
    m.extend(attribute(16, &[1, 0, 0, 0, 1, 0, 0, 0]));
    let mut info = vec![0; 104];
    info[5] = 0x0f;
    info[6] = 0xa7;
    info[68..72].copy_from_slice(&1_234u32.to_ne_bytes());
    m.extend(attribute(2, &info));
    let s = inet::parse(Fields(&m), Kind::Tcp);
    assert_eq!(s.state, State::Listen);
    assert_eq!(s.local, Address::Ip(Ipv6Addr::LOCALHOST.into(), 443));
    assert_eq!(s.remote, Address::Ip(Ipv6Addr::UNSPECIFIED.into(), 40_000));
    assert_eq!((s.recv_q, s.send_q, s.uid, s.inode), (3, 4, Some(1_000), 99));
    assert_eq!((s.interface, s.cookie), (7, 0x22_0000_0011));
    assert_eq!(s.timer, Some(Timer { name: "keepalive", expires_ms: 1_500, retransmits: 1 }));
    assert_eq!((s.v6only, s.shutdown), (Some(true), Some(2)));
    assert_eq!(s.memory.unwrap().drops, 9);
    let tcp = s.tcp.unwrap();
    assert_eq!(tcp.congestion.as_deref(), Some("bbr"));
    assert_eq!((tcp.info.rtt, tcp.info.snd_wscale, tcp.info.rcv_wscale), (1_234, 7, 10));
    assert_eq!(tcp.bbr.unwrap().bw, 0x1_0000_0001);
    // What an older kernel's struct has not got.
    assert_eq!(tcp.info.snd_wnd, 0);
    let v4 = inet::parse(Fields(&inet_message(libc::AF_INET, 1)), Kind::Udp);
    assert_eq!(v4.local, Address::Ip(Ipv4Addr::UNSPECIFIED.into(), 443));
}

#[test]
fn a_listener_is_full_when_no_further_connection_fits() {
    let mut s = inet::parse(Fields(&inet_message(libc::AF_INET, 10)), Kind::Tcp);
    for (waiting, limit, full) in [(4, 4, false), (5, 4, true), (1, 0, true), (0, 0, false)] {
        (s.recv_q, s.send_q) = (waiting, limit);
        assert_eq!(s.is_queue_full(), full, "{waiting} of {limit}");
    }
}

#[test]
fn unix_names() {
    let head = [1, 1, 10, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut m = head.to_vec();
    m.extend(attribute(0, b"\0abstract"));
    m.extend(attribute(3, &[8u32, 9].map(u32::to_ne_bytes).concat()));
    let s = unix::parse(Fields(&m)).unwrap();
    let name: Box<[u8]> = b"\0abstract".as_slice().into();
    assert_eq!(s.local, Address::Unix { name: Some(name), inode: 5 });
    assert_eq!(s.detail, Some(Detail::Unix { file: None, pending: Some(vec![8, 9]) }));
    assert_eq!(s.kind, Kind::UnixStream);
}

#[test]
fn lines_of_proc_net() {
    let head =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    assert_eq!(proc_net::parse(head, Kind::Raw), None);
    let line = "    1: 0100007F:0001 00000000:0000 07 00000002:00000003 00:00000000 00000000  1000        0 4711 2 0000000000000000 0";
    let s = proc_net::parse(line, Kind::Raw).unwrap();
    assert_eq!(s.local, Address::Ip(Ipv4Addr::LOCALHOST.into(), 1));
    assert_eq!((s.send_q, s.recv_q, s.uid, s.inode), (2, 3, Some(1_000), 4_711));
    let v6 = "1: 00000000000000000000000001000000:003A 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 1 2 0";
    let s = proc_net::parse(v6, Kind::Raw).unwrap();
    assert_eq!(s.local, Address::Ip(Ipv6Addr::LOCALHOST.into(), 58));
}

#[test]
fn messages_that_lie_about_their_length_end_the_walk() {
    assert_eq!(Messages(&[255; 40]).count(), 0);
    assert_eq!(Messages(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
    assert_eq!(Fields(&[0; 8]).attributes(0).count(), 0);
    assert_eq!(Fields(&[9, 0, 0, 0, 1]).attributes(0).count(), 0);
    assert!(unix::parse(Fields(&[])).is_none());
}

#[test]
fn this_namespace_has_a_netlink_socket_of_the_kernel() {
    let mut found = 0;
    let kinds = BTreeSet::from([Kind::Netlink]);
    let query = Query { kinds, states: States::of(&[State::Close]), ..Query::default() };
    let missing = read(&query, &mut |s| {
        assert_eq!(s.kind, Kind::Netlink);
        found += 1;
    });
    assert!(missing.is_ok_and(|m| !m.is_empty()) || found > 0);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let query = Query { details: true, memory: true, ..Query::default() };
        for message in Messages(&bytes) {
            unix::parse(Fields(message.payload));
        }
        inet::parse(Fields(&bytes), Kind::Tcp);
        unix::parse(Fields(&bytes));
        packet::parse(Fields(&bytes), &query);
        netlink::parse(Fields(&bytes), &query);
        proc_net::parse(&String::from_utf8_lossy(&bytes), Kind::Tcp);
    }
}
