//! The TCP analyser, and the features of flows.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tracenet_core::features::{CATALOGUE, Direction, Features, Seen, Value};
use tracenet_core::ip::{IpFacts, IpOptions};
use tracenet_core::tcp::reassembly::{Piece, Reassembly, Told};
use tracenet_core::tcp::{Analysis, Side, Streams, Verdicts};
use tracenet_core::time::WallNs;

use super::Bytes;

/// Segments of a few connections in any order, with any numbers and times.
pub fn streams(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut streams = Streams::new();
    // Where each end is, so that most segments continue something.
    let mut next: BTreeMap<(SocketAddr, SocketAddr), u32> = BTreeMap::new();
    let (mut now, mut first, mut last) = (0, u64::MAX, 0);
    let mut flows: BTreeMap<u32, Flow> = BTreeMap::new();
    while !bytes.is_empty() {
        let (op, src, dst) = (bytes.u8(), bytes.end(), bytes.end());
        now = bytes.time(now);
        let seq = next.get(&(src, dst)).copied().unwrap_or_default();
        let ack = next.get(&(dst, src)).copied().unwrap_or_default();
        let seg = bytes.segment(seq, ack);
        let before = streams.count();
        if op == 0 {
            let stream = streams.quoted(now, src, dst, &seg);
            assert!(stream < streams.count());
        } else {
            first = first.min(now);
            last = last.max(now);
            let len = bytes.number();
            let ip = ip(&mut bytes);
            let found = streams.segment(now, src, dst, &seg, len, ip.id);
            assert!(found.stream < streams.count());
            check(&found.analysis, len, last - first);
            let flow = flows.entry(found.stream).or_insert_with(|| Flow {
                end: src,
                side: found.from,
                features: Features::new(),
            });
            if src != dst {
                assert_eq!(
                    flow.end == src,
                    found.from == flow.side,
                    "the ends of a stream never change places"
                );
            }
            let options = bytes.u8();
            flow.features.packet(
                if found.from == flow.side { Direction::A } else { Direction::B },
                &Seen {
                    t: WallNs(now),
                    ip: &ip,
                    tcp: Some(&seg).filter(|_| op != 1),
                    options: bytes.take(usize::from(options & 63)),
                    payload_len: len,
                    wire_len: len.saturating_add(54),
                    verdicts: found.analysis.verdicts,
                    bad_ip_checksum: options & 64 != 0,
                    bad_checksum: options & 128 != 0,
                    cut: op == 2,
                },
            );
            let syn_fin = u32::from(seg.flags & 3 != 0);
            next.insert((src, dst), seg.seq.wrapping_add(len).wrapping_add(syn_fin));
        }
        assert!((before..=before + 1).contains(&streams.count()), "a segment opens one stream at most");
    }
    assert_eq!(streams.evicted(), 0);
    assert!(
        streams.open() <= streams.count() as usize * 2,
        "a stream waits for its end once, or is looked at twice"
    );
    let count = streams.count();
    assert!(streams.ended().all(|stream| stream < count));
    for flow in flows.values() {
        for feature in CATALOGUE {
            for direction in [Direction::A, Direction::B] {
                match feature.value(&flow.features, direction) {
                    Value::Float(n) => assert!(n.is_finite(), "{} is {n}", feature.name),
                    Value::Bits(bits, digits) => {
                        assert!(
                            u32::from(digits) * 4 >= 64 - bits.leading_zeros(),
                            "{}: {bits:x}",
                            feature.name
                        );
                    }
                    Value::Time(ns) => assert!(
                        ns <= last - first || feature.name.contains("uptime"),
                        "{} is {ns}",
                        feature.name
                    ),
                    Value::Text(word) => {
                        assert!(!word.contains(|c: char| c.is_control()), "{}: {word:?}", feature.name)
                    }
                    Value::Absent | Value::Count(_) | Value::Wall(_) => {}
                }
            }
        }
    }
}

/// Segments of one connection, in any order and cut anywhere. What is told of a direction has neither holes nor
/// repetitions, and what waits is bounded.
pub fn reassembly(data: &[u8]) {
    const LIMIT: usize = 4096;
    let mut bytes = Bytes(data);
    let mut reassembly = Reassembly::with_limit(LIMIT);
    let mut next = [0u32; 2];
    let (mut told, mut sent, mut frames) = ([0u64; 2], [0u64; 2], 0u32);
    while !bytes.is_empty() {
        let (from, cut) = (bytes.u8(), bytes.u8());
        let (own, peer) = (usize::from(from & 1), usize::from(!from & 1));
        let seg = bytes.segment(next[own], next[peer]);
        let len = bytes.number();
        let captured = bytes.take(if cut & 7 == 0 { usize::from(cut >> 3) } else { len.min(2048) as usize });
        next[own] = seg.seq.wrapping_add(len).wrapping_add(u32::from(seg.flags & 3 != 0));
        sent[own] += captured.len() as u64;
        frames += 1;
        let side = if own == 0 { Side::Orig } else { Side::Resp };
        reassembly.segment(frames, side, &seg, len, captured, &mut |t| tell(&mut told, &mut sent, frames, t));
    }
    reassembly.finish(&mut |t| tell(&mut told, &mut sent, frames, t));
    assert!(reassembly.given_up() <= u64::from(frames) * 2);
}

fn tell(told: &mut [u64; 2], sent: &mut [u64; 2], frames: u32, t: Told<'_, u32>) {
    let way = usize::from(t.from == Side::Resp);
    assert_eq!(t.offset, told[way], "{t:?}");
    assert!((1..=frames).contains(&t.tag), "{t:?}");
    let len = match t.piece {
        Piece::Data(b) => {
            assert!(b.len() as u64 <= sent[way], "more bytes than were captured: {t:?}");
            sent[way] -= b.len() as u64;
            b.len() as u64
        }
        Piece::Missing(n, _) => n,
    };
    assert_ne!(len, 0, "{t:?}");
    told[way] += len;
}

/// What is remembered of a stream: one of its ends, which side that is, and its features.
struct Flow {
    end: SocketAddr,
    side: Side,
    features: Features,
}

fn ip(bytes: &mut Bytes<'_>) -> IpFacts {
    if bytes.u8() & 3 != 0 {
        return IpFacts { version: 4, ttl: 64, id: Some(u32::from(bytes.u8())), ..IpFacts::default() };
    }
    IpFacts {
        version: if bytes.flag() { 4 } else { 6 },
        ttl: bytes.u8(),
        tos: bytes.u8(),
        protocol: 6,
        flags: bytes.u8() & 7,
        id: bytes.flag().then(|| bytes.number()),
        fragment_offset: bytes.u16(),
        header_len: bytes.u16(),
        total_len: bytes.number(),
        options: IpOptions {
            count: bytes.u8(),
            destination_count: bytes.u8(),
            classes: bytes.u8(),
            numbers: bytes.u32(),
            destination_numbers: bytes.u32(),
        },
    }
}

/// What holds of any segment of `len` bytes, `span` nanoseconds being all the time there was.
pub(super) fn check(a: &Analysis, len: u32, span: u64) {
    let has = |v: Verdicts| a.verdicts.intersects(v);
    if has(Verdicts::FAST_RETRANSMISSION | Verdicts::SPURIOUS_RETRANSMISSION) {
        assert!(has(Verdicts::RETRANSMISSION), "{a:?}");
    }
    assert!(!(has(Verdicts::RETRANSMISSION) && has(Verdicts::OUT_OF_ORDER)), "{a:?}");
    assert_eq!(a.dup_ack_num.is_some(), has(Verdicts::DUPLICATE_ACK), "{a:?}");
    assert_ne!(a.dup_ack_num, Some(0));
    assert!(a.rto.is_none() || has(Verdicts::RETRANSMISSION), "{a:?}");
    if let Some(flight) = a.bytes_in_flight {
        assert!(len > 0 && (1..2_000_000_000).contains(&flight), "{a:?}");
    }
    for duration in [a.ack_rtt, a.initial_rtt, a.rto].into_iter().flatten() {
        assert!(duration.0 <= span, "{a:?} within {span} ns");
    }
    let names = a.verdicts.to_string();
    assert_eq!(names.is_empty(), a.verdicts.is_empty());
}
