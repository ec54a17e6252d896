use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;

/// A segment of 5 bytes between 10.0.0.1:1000 and 10.0.0.2:2000, from the IP header on.
fn segment() -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1000, 2000, 3, 4)
        .ack(5)
        .write(&mut packet, b"hello")
        .unwrap();
    packet
}

fn ethernet(ip: &[u8]) -> Vec<u8> {
    [&[0; 12][..], &[8, 0], ip].concat()
}

/// An IPv4 packet of another host pair around `payload`.
fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .write(&mut packet, protocol.into(), payload)
        .unwrap();
    packet
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .udp(5000, port)
        .write(&mut packet, payload)
        .unwrap();
    packet
}

fn walk(layers: &mut Layers, ip: &[u8]) -> (Vec<Layer>, Result<(), Undecoded>) {
    let mut found = Vec::new();
    let outcome =
        layers.walk(LinkType::Raw, ip, u32::try_from(ip.len()).unwrap(), &mut |l: &Layer| found.push(*l));
    (found, outcome)
}

fn assert_is_segment(l: &Layer) {
    assert_eq!(l.source, "10.0.0.1:1000".parse().unwrap());
    assert_eq!((l.tcp.unwrap().seq, l.payload_len, l.checksum, l.cut), (3, 5, Checksum::Good, false));
}

#[test]
fn tunnels_lead_to_the_segment_inside() {
    let inner = segment();
    let mac = ethernet(&inner);
    let tunnels = [
        (0, inner.clone()),
        (0, outer(4, &inner)),
        (0, outer(47, &[&[0, 0, 8, 0][..], &inner].concat())),
        (0, outer(47, &[&[0x30, 0, 0x65, 0x58, 0, 0, 0, 1, 0, 0, 0, 2][..], &mac].concat())),
        (0, outer(47, &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &[0; 8], &mac].concat())),
        (0, outer(51, &[&[4, 4][..], &[0; 22], &inner].concat())),
        (1, udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &mac].concat())),
        (1, udp(6081, &[&[1, 0, 0x65, 0x58, 0, 0, 1, 0][..], &[0; 4], &mac].concat())),
        (1, udp(2152, &[&[0x30, 0xff, 0, 0, 0, 0, 0, 1][..], &inner].concat())),
        (1, udp(3544, &inner)),
    ];
    for (n, (before, packet)) in tunnels.iter().enumerate() {
        let (found, outcome) = walk(&mut Layers::new(), packet);
        assert_eq!((outcome, found.len()), (Ok(()), before + 1), "{n}");
        assert_is_segment(&found[*before]);
        assert!(found[..*before].iter().all(|l| l.tcp.is_none()));
        assert!(found[*before].ip_checksums.iter().all(|c| c == Checksum::Good), "{n}");
        assert_eq!(found[*before].ip_checksums.iter().count(), if n == 0 { 1 } else { 2 });
    }
}

#[test]
fn a_header_in_an_icmp_error_is_quoted() {
    let quoted = &segment()[..28];
    let (found, outcome) =
        walk(&mut Layers::new(), &outer(1, &[&[3, 1, 0, 0, 0, 0, 0, 0][..], quoted].concat()));
    assert_eq!((outcome, found.len()), (Ok(()), 1));
    assert!(found[0].quoted);
    assert_eq!((found[0].tcp.unwrap().seq, found[0].checksum), (3, Checksum::Unverified));
    let (found, outcome) = walk(&mut Layers::new(), &outer(1, &[8, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!((outcome, found.len()), (Err(Undecoded::Protocol(1)), 0));
}

#[test]
fn fragments_tell_of_their_segment_when_the_last_has_come() {
    let whole = segment();
    let fragment = |from: usize, to: usize, more: u8| {
        let mut packet = outer(6, &whole[20..][from..to]);
        packet[4..6].copy_from_slice(&[7, 7]);
        packet[6..8].copy_from_slice(&[more << 5, u8::try_from(from / 8).unwrap()]);
        packet[12..20].copy_from_slice(&whole[12..20]);
        packet
    };
    let mut layers = Layers::new();
    let (found, outcome) = walk(&mut layers, &fragment(16, 25, 0));
    assert_eq!((outcome, found.len()), (Err(Undecoded::Fragment), 0));
    let (found, outcome) = walk(&mut layers, &fragment(0, 16, 1));
    assert_eq!((outcome, found.len()), (Ok(()), 1));
    assert_is_segment(&found[0]);
}

#[test]
fn what_was_not_captured_is_not_verified_but_counted() {
    let packet = segment();
    let mut found = Vec::new();
    Layers::new().walk(LinkType::Raw, &packet[..30], 45, &mut |l: &Layer| found.push(*l)).unwrap_err();
    Layers::new().walk(LinkType::Raw, &packet[..38], 45, &mut |l: &Layer| found.push(*l)).unwrap();
    Layers::new().walk(LinkType::Raw, &packet[..44], 45, &mut |l: &Layer| found.push(*l)).unwrap();
    assert!(found.iter().all(|l| l.checksum == Checksum::Unverified && l.payload_len == 5));
    assert_eq!(found.iter().map(|l| l.cut).collect::<Vec<_>>(), [true, false]);
}

proptest! {
    #[test]
    fn noise_never_panics(
        link in prop::sample::select(vec![0u16, 1, 9, 10, 101, 105, 108, 113, 127, 228, 229, 276, 999]),
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..150), any::<u32>()), 0..4),
    ) {
        let mut layers = Layers::new();
        for (bytes, wire) in &frames {
            let _ = layers.walk(LinkType::from_number(link), bytes, *wire, &mut ());
        }
    }

    /// Tunnels in tunnels with bytes changed get deeper than noise.
    #[test]
    fn damaged_tunnels_never_panic(
        kinds in prop::collection::vec(0usize..8, 0..16),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        wire in any::<u32>(),
    ) {
        let mut packet = segment();
        for kind in kinds {
            packet = match kind {
                0 => outer(4, &packet),
                1 => outer(47, &[&[0x20, 0, 8, 0, 0, 0, 0, 1][..], &packet].concat()),
                2 => outer(47, &[&[0, 0, 0x65, 0x58][..], &ethernet(&packet)].concat()),
                3 => udp(4789, &[&[0; 8][..], &ethernet(&packet)].concat()),
                4 => udp(3544, &packet),
                5 => udp(2152, &[&[0x30, 0xff, 0, 0, 0, 0, 0, 1][..], &packet].concat()),
                6 => outer(51, &[&[4, 4][..], &[0; 22], &packet].concat()),
                _ => outer(1, &[&[3, 0, 0, 0, 0, 0, 0, 0][..], &packet].concat()),
            };
        }
        for (at, value) in changes {
            let at = at.index(packet.len());
            packet[at] = value;
        }
        packet.truncate(cut.index(packet.len()) + 1);
        let mut layers = Layers::new();
        for _ in 0..2 {
            let _ = layers.walk(LinkType::Raw, &packet, wire, &mut ());
        }
    }
}

/// Notes all that is told, in its order.
#[derive(Debug, Default, PartialEq)]
struct Told(Vec<String>);

impl Visit for Told {
    fn header(&mut self, protocol: Protocol, bytes: &[u8]) {
        self.0.push(format!("{protocol:?} {:?} {}", bytes.as_ptr(), bytes.len()));
    }

    fn ip(&mut self, packet: &IpPacket) {
        self.0.push(format!("{packet:?}"));
    }

    fn transport(&mut self, layer: &Layer) {
        self.0.push(format!("{layer:?}"));
    }
}

/// Whether the short way is taken, which then must say what the long one says.
fn short_way_is_right(frame: &[u8], wire_len: u32) -> bool {
    let (mut short, mut long) = (Told::default(), Told::default());
    if !plain::walk(frame, &mut short) {
        assert_eq!(short, Told::default(), "told, and then left");
        return false;
    }
    let outcome = Layers::new().long(LinkType::Ethernet, frame, wire_len, &mut long);
    assert_eq!((short, Ok(())), (long, outcome), "{frame:02x?}");
    true
}

#[test]
fn the_short_way_says_what_the_long_one_says() {
    let root = std::env::var_os("TRACENET_CORPUS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
        std::path::PathBuf::from,
    );
    let Ok(captures) = std::fs::read_dir(root.join("captures")) else {
        eprintln!("skipped: no corpus (set TRACENET_CORPUS)");
        return;
    };
    let (mut frames, mut short) = (0, 0);
    for capture in captures.flatten() {
        let Ok(mut reader) = crate::files::Reader::open(&capture.path()) else { continue };
        while let Some(frame) = reader.next_frame() {
            if frame.link == LinkType::Ethernet {
                frames += 1;
                short += u32::from(short_way_is_right(frame.data, frame.wire_len));
            }
        }
    }
    assert!(short > frames / 2, "{short} of {frames} frames took it");
}

proptest! {
    #[test]
    fn the_short_way_is_left_where_it_leads_wrong(
        options in prop::collection::vec(any::<u8>(), 0..40),
        payload in prop::collection::vec(any::<u8>(), 0..60),
        changes in prop::collection::vec((0usize..70, any::<u8>()), 0..3),
        len in 0usize..160,
        more in 0u32..100,
    ) {
        let mut ip = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(1000, 2000, 3, 4)
            .options_raw(&options).unwrap()
            .write(&mut ip, &payload)
            .unwrap();
        let mut frame = ethernet(&ip);
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.resize(if len < 20 { frame.len() + len } else { len }, 0);
        short_way_is_right(&frame, frame.len() as u32 + more);
    }
}
