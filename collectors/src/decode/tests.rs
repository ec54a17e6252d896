use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, PacketBuilder, TcpOptionElement};
use proptest::prelude::*;
use tracenet_core::event::tcp_flags::{ACK, SYN};

use super::*;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

/// Ethernet, IPv4, a SYN with Linux's options, then `payload`.
fn syn(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4(CLIENT, SERVER, 64)
        .tcp(53440, 5432, 2_707_990_323, 64_240)
        .syn()
        .options(&[
            TcpOptionElement::MaximumSegmentSize(1460),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Timestamp(11, 22),
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(7),
        ])
        .unwrap()
        .write(&mut frame, payload)
        .unwrap();
    frame
}

fn decode(link: LinkType, frame: &[u8]) -> Result<Decoded<'_>, Undecoded> {
    decode_frame(link, frame, u32::try_from(frame.len()).unwrap())
}

#[test]
fn a_syn_is_told_with_its_options() {
    let frame = syn(b"fast open");
    let d = decode(LinkType::Ethernet, &frame).unwrap();
    assert_eq!(d.tuple.local, "10.0.0.1:53440".parse().unwrap());
    assert_eq!(d.tuple.remote, "10.0.0.2:5432".parse().unwrap());
    assert_eq!((d.payload_len, d.payload), (9, &b"fast open"[..]));
    let t = d.tcp.unwrap();
    assert_eq!((t.seq, t.ack, t.window, t.flags), (2_707_990_323, 0, 64_240, SYN));
    assert_eq!(t.options.mss, Some(1460));
    assert_eq!(t.options.window_scale, Some(7));
    assert!(t.options.sack_permitted && !t.options.mptcp);
    assert_eq!(t.options.timestamps, Some((11, 22)));
    assert_eq!(d.ip_id, Some(0));
}

#[test]
fn a_frame_cut_anywhere_keeps_what_it_has() {
    let frame = syn(&[0x55; 100]);
    let whole = decode(LinkType::Ethernet, &frame).unwrap();
    let wire = u32::try_from(frame.len()).unwrap();
    let tcp_at = 14 + 20;
    for cut in 0..frame.len() {
        let got = decode_frame(LinkType::Ethernet, &frame[..cut], wire);
        if cut < tcp_at + 16 {
            assert_eq!(got.unwrap_err(), Undecoded::Cut, "{cut}");
            continue;
        }
        let got = got.unwrap();
        assert_eq!((got.tuple, got.payload_len), (whole.tuple, 100), "{cut}");
        let (got_tcp, whole_tcp) = (got.tcp.unwrap(), whole.tcp.unwrap());
        assert_eq!(Segment { options: whole_tcp.options, ..got_tcp }, whole_tcp);
        if cut < tcp_at + 20 {
            assert_eq!(got_tcp.options, Default::default());
        }
        if cut >= tcp_at + 40 {
            assert_eq!(got_tcp.options, whole_tcp.options);
            assert_eq!(got.payload.len(), cut - tcp_at - 40);
        }
    }
}

#[test]
fn sack_blocks_and_mptcp_are_seen_between_unknown_options() {
    let mut options = vec![253, 4, 1, 2, 30, 4, 0, 0, 1, 5, 18];
    for n in [1u32, 2, 3, 4] {
        options.extend_from_slice(&n.to_be_bytes());
    }
    options.push(0);
    let mut frame = Vec::new();
    PacketBuilder::ipv4(CLIENT, SERVER, 64)
        .tcp(1, 2, 3, 4)
        .ack(5)
        .options_raw(&options)
        .unwrap()
        .write(&mut frame, b"")
        .unwrap();
    let t = decode(LinkType::Raw, &frame).unwrap().tcp.unwrap();
    assert_eq!((t.flags, t.ack), (ACK, 5));
    assert!(t.options.mptcp);
    assert_eq!(t.options.sack_count, 2);
    assert_eq!(t.options.sack[..2], [(1, 2), (3, 4)]);
}

/// Every link header before the same packet.
#[test]
fn link_types_lead_to_the_same_packet() {
    let frame = syn(b"x");
    let ip = &frame[14..];
    let before = |header: &[u8]| [header, ip].concat();
    let mac = [0u8; 12];
    let sll = |kind: u8, protocol: [u8; 2]| [&[0, kind, 3, 4, 0, 6][..], &[0; 8], &protocol].concat();
    let sll2 =
        |kind: u8, protocol: [u8; 2]| [&protocol[..], &[0, 0, 0, 0, 0, 7, 3, 4, kind, 6], &[0; 8]].concat();
    let mut vlan_after_sll2 = sll2(0, [0x81, 0]);
    vlan_after_sll2.extend_from_slice(&[0, 5, 8, 0]);
    let cases = vec![
        (LinkType::Ethernet, before(&[&mac[..], &[0x81, 0, 0, 5, 8, 0]].concat()), None, None),
        (
            LinkType::Ethernet,
            before(&[&mac[..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]].concat()),
            None,
            None,
        ),
        (
            LinkType::Ethernet,
            before(&[&mac[..], &[0, 60, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat()),
            None,
            None,
        ),
        (
            LinkType::Ethernet,
            before(&[&mac[..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 50, 0, 0x21]].concat()),
            None,
            None,
        ),
        (
            LinkType::Ethernet,
            before(&[&mac[..], &[0x88, 0x47, 0, 1, 0xd0, 0xff, 0, 1, 0xd1, 0xff]].concat()),
            None,
            None,
        ),
        (LinkType::LinuxSll, before(&sll(4, [8, 0])), None, Some(Direction::Out)),
        (LinkType::LinuxSll, before(&sll(0, [8, 0])), None, Some(Direction::In)),
        (LinkType::LinuxSll2, before(&sll2(4, [8, 0])), Some(7), Some(Direction::Out)),
        (LinkType::LinuxSll2, before(&vlan_after_sll2), Some(7), Some(Direction::In)),
        (LinkType::Null, before(&[2, 0, 0, 0]), None, None),
        (LinkType::Null, before(&[0, 0, 0, 2]), None, None),
        (LinkType::Loop, before(&[0, 0, 0, 2]), None, None),
        (LinkType::Ppp, before(&[0xff, 3, 0, 0x21]), None, None),
        (LinkType::Ppp, before(&[0x21]), None, None),
        (LinkType::Raw, ip.to_vec(), None, None),
        (LinkType::Ipv4, ip.to_vec(), None, None),
    ];
    let expected = decode(LinkType::Ethernet, &frame).unwrap();
    for (link, bytes, ifindex, direction) in cases {
        let d = decode(link, &bytes).unwrap_or_else(|e| panic!("{link:?}: {e}"));
        assert_eq!((d.tuple, d.tcp, d.payload), (expected.tuple, expected.tcp, expected.payload), "{link:?}");
        assert_eq!((d.ifindex, d.direction), (ifindex, direction), "{link:?}");
    }
    assert_eq!(decode(LinkType::Other(105), &frame).unwrap_err(), Undecoded::Link);
    assert_eq!(decode(LinkType::Ethernet, &[0; 60]).unwrap_err(), Undecoded::NotIp(0));
}

#[test]
fn ethernet_padding_is_no_payload() {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4(CLIENT, SERVER, 64)
        .tcp(1, 2, 3, 4)
        .write(&mut frame, b"")
        .unwrap();
    frame.resize(60, 0);
    let d = decode(LinkType::Ethernet, &frame).unwrap();
    assert_eq!((d.payload_len, d.payload), (0, &b""[..]));
}

#[test]
fn a_length_of_zero_means_the_wire_length() {
    let mut frame = syn(b"");
    frame[16..18].copy_from_slice(&[0, 0]);
    let big = 14 + 40 + 20 + 100_000;
    assert_eq!(decode_frame(LinkType::Ethernet, &frame, big).unwrap().payload_len, 100_000);

    let mut v6 = Vec::new();
    PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(1, 2, 3, 4).write(&mut v6, b"").unwrap();
    v6[4..6].copy_from_slice(&[0, 0]);
    assert_eq!(decode_frame(LinkType::Raw, &v6, 40 + 20 + 180_000).unwrap().payload_len, 180_000);
    // With the hop-by-hop jumbo option of RFC 2675 in front.
    let mut jumbo = v6[..40].to_vec();
    jumbo[6] = 0;
    jumbo.extend_from_slice(&[6, 0, 0xc2, 4, 0, 2, 0xbf, 0x20]);
    jumbo.extend_from_slice(&v6[40..]);
    assert_eq!(decode_frame(LinkType::Raw, &jumbo, 40 + 8 + 20 + 180_000).unwrap().payload_len, 180_000);
}

#[test]
fn ipv4_options_are_passed_over() {
    let frame = syn(b"abc");
    let mut ip = frame[14..].to_vec();
    // Router alert, four bytes more.
    ip[0] = 0x46;
    ip[3] += 4;
    ip.splice(20..20, [0x94, 4, 0, 0]);
    let d = decode(LinkType::Raw, &ip).unwrap();
    assert_eq!((d.payload, d.tcp.unwrap().options.mss), (&b"abc"[..], Some(1460)));
}

#[test]
fn ipv6_extension_headers_are_passed_over() {
    let mut v6 = Vec::new();
    PacketBuilder::ipv6([1; 16], [2; 16], 64).udp(53, 5353).write(&mut v6, b"query").unwrap();
    // Hop-by-hop, destination options, first fragment.
    let extensions = [
        [60u8, 0, 1, 4, 0, 0, 0, 0], // hop-by-hop, then destination options
        [44, 0, 1, 4, 0, 0, 0, 0],   // destination options, then fragment
        [17, 0, 0, 1, 0, 0, 0, 9],   // fragment at offset 0 with more to come, then UDP
    ]
    .concat();
    let mut packet = v6[..40].to_vec();
    packet[5] += u8::try_from(extensions.len()).unwrap();
    packet[6] = 0;
    packet.extend_from_slice(&extensions);
    packet.extend_from_slice(&v6[40..]);
    let d = decode(LinkType::Ipv6, &packet).unwrap();
    assert_eq!(d.tuple.transport, Transport::Udp);
    assert_eq!((d.tuple.local.port(), d.tuple.remote.port()), (53, 5353));
    assert_eq!((d.payload_len, d.payload), (5, &b"query"[..]));
    assert!(d.more_fragments && d.tcp.is_none() && d.ip_id.is_none());
    // The same at an offset.
    packet[40 + 16 + 2..40 + 16 + 4].copy_from_slice(&[0, 8]);
    assert_eq!(decode(LinkType::Ipv6, &packet).unwrap_err(), Undecoded::Fragment);
}

#[test]
fn a_chain_of_ipv6_extensions_may_end_anywhere() {
    let mut v6 = Vec::new();
    PacketBuilder::ipv6([1; 16], [2; 16], 64).udp(53, 5353).write(&mut v6, b"").unwrap();
    for kind in [0u8, 43, 44, 51, 60, 135] {
        // The second header is a hop-by-hop one, which belongs to the front, and claims more than there is.
        for extensions in
            [vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 17], vec![0; 12], vec![kind, 0, 0, 0, 0], vec![]]
        {
            let mut packet = v6[..40].to_vec();
            packet[6] = kind;
            packet.extend_from_slice(&extensions);
            assert_eq!(decode(LinkType::Ipv6, &packet).unwrap_err(), Undecoded::Cut, "{kind} {extensions:?}");
        }
    }
}

#[test]
fn later_ipv4_fragments_and_other_protocols_are_named() {
    let mut frame = syn(b"x");
    frame[20..22].copy_from_slice(&[0, 8]);
    assert_eq!(decode(LinkType::Ethernet, &frame).unwrap_err(), Undecoded::Fragment);
    frame[23] = 1;
    assert_eq!(decode(LinkType::Ethernet, &frame).unwrap_err(), Undecoded::Protocol(1));
    let mut v6 = Vec::new();
    PacketBuilder::ipv6([1; 16], [2; 16], 64).write(&mut v6, IpNumber(58), &[0; 8]).unwrap();
    assert_eq!(decode(LinkType::Raw, &v6).unwrap_err(), Undecoded::Protocol(58));
}

#[test]
fn mapped_addresses_are_those_of_the_dual_stack_socket() {
    let source = Ipv4Addr::from(CLIENT).to_ipv6_mapped().octets();
    let mut v6 = Vec::new();
    PacketBuilder::ipv6(source, Ipv6Addr::LOCALHOST.octets(), 64).udp(1, 2).write(&mut v6, b"").unwrap();
    let d = decode(LinkType::Raw, &v6).unwrap();
    assert_eq!(d.tuple.local.ip(), Ipv4Addr::from(CLIENT));
    assert_eq!(d.tuple.remote.ip(), Ipv6Addr::LOCALHOST);
}

#[test]
fn lengths_that_contradict_are_damage() {
    let mut frame = syn(b"");
    // A TCP header of 60 bytes in an IP packet of 60.
    frame[14 + 20 + 12] = 0xf0;
    assert_eq!(decode(LinkType::Ethernet, &frame).unwrap_err(), Undecoded::Damaged);
    frame[14 + 20 + 12] = 0x40;
    assert_eq!(decode(LinkType::Ethernet, &frame).unwrap_err(), Undecoded::Damaged);
    let mut frame = syn(b"");
    frame[17] = 19;
    assert_eq!(decode(LinkType::Ethernet, &frame).unwrap_err(), Undecoded::Damaged);
}

fn links() -> impl Strategy<Value = LinkType> {
    prop_oneof![prop::sample::select(vec![0u16, 1, 9, 101, 108, 113, 228, 229, 276]), any::<u16>(),]
        .prop_map(LinkType::from_number)
}

proptest! {
    #[test]
    fn noise_never_panics(link in links(), bytes in prop::collection::vec(any::<u8>(), 0..200), wire in any::<u32>()) {
        let _ = decode_frame(link, &bytes, wire);
    }

    /// Real frames with a few bytes changed and an end cut off get deeper than noise.
    #[test]
    fn damaged_frames_never_panic_nor_claim_more_than_captured(
        v6 in any::<bool>(),
        changes in prop::collection::vec((0usize..120, any::<u8>()), 0..6),
        cut in 0usize..200,
        wire in any::<u32>(),
    ) {
        let mut frame = Vec::new();
        if v6 {
            PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(1, 2, 3, 4).write(&mut frame, &[7; 40]).unwrap();
        } else {
            frame = syn(&[7; 40])[14..].to_vec();
        }
        for (at, value) in changes {
            if let Some(b) = frame.get_mut(at) {
                *b = value;
            }
        }
        frame.truncate(cut);
        if let Ok(d) = decode_frame(LinkType::Raw, &frame, wire) {
            prop_assert!(d.payload.len() <= frame.len());
            prop_assert!(d.payload.len() <= usize::try_from(d.payload_len).unwrap());
            prop_assert!(d.tcp.is_none_or(|t| t.options.sack_count <= 4));
        }
    }
}
