use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;

/// A frame as a test looks at it: stamp, link type, wire length, bytes.
type Seen = (u64, LinkType, u32, Vec<u8>);

fn read(bytes: &[u8]) -> (Vec<Seen>, Option<Damage>) {
    let mut reader = Reader::new(Cursor::new(bytes.to_vec()));
    let mut seen = Vec::new();
    while let Some(f) = reader.next_frame() {
        seen.push((f.wall.0, f.link, f.wire_len, f.data.to_vec()));
    }
    assert!(reader.next_frame().is_none(), "the end is the end");
    (seen, reader.damage().cloned())
}

fn put(big: bool, n: u32) -> [u8; 4] {
    if big { n.to_be_bytes() } else { n.to_le_bytes() }
}

fn put16(big: bool, n: u16) -> [u8; 2] {
    if big { n.to_be_bytes() } else { n.to_le_bytes() }
}

const DATA: &[u8] = b"abcdefghij";

/// Two packets, the second one cut.
fn pcap(big: bool, magic: u32, fraction: u32) -> Vec<u8> {
    let mut file = put(big, magic).to_vec();
    file.extend([put16(big, 2), put16(big, 4)].concat());
    for n in [0, 0, 65_535, 1] {
        file.extend(put(big, n));
    }
    for (captured, wire) in [(10, 10), (6, 1500)] {
        for n in [1_700_000_000, fraction, captured, wire] {
            file.extend(put(big, n));
        }
        file.extend(&DATA[..captured as usize]);
    }
    file
}

fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let len = put(big, u32::try_from(body.len() + 12).unwrap());
    [&put(big, kind)[..], &len, &body, &len].concat()
}

fn section(big: bool) -> Vec<u8> {
    block(
        big,
        0x0a0d_0d0a,
        &[&put(big, 0x1a2b_3c4d)[..], &put16(big, 1), &put16(big, 0), &[0xff; 8]].concat(),
    )
}

fn interface(big: bool, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [&put16(big, link)[..], &[0, 0], &put(big, snaplen)].concat();
    for (code, value) in options {
        body.extend([put16(big, *code), put16(big, u16::try_from(value.len()).unwrap())].concat());
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(big, 1, &body)
}

fn enhanced(big: bool, interface: u32, stamp: u64, wire: u32, tail: &[u8]) -> Vec<u8> {
    let words = [interface, (stamp >> 32) as u32, stamp as u32, 10, wire].map(|n| put(big, n)).concat();
    block(big, 6, &[&words[..], DATA, &[0, 0], tail].concat())
}

/// Both byte orders, three kinds of packet block, several resolutions, comments and an unknown block.
fn pcapng() -> Vec<u8> {
    let comment = [&put16(false, 1)[..], &put16(false, 3), b"why\0", &[0; 4]].concat();
    let mut file = section(false);
    file.extend(interface(false, 1, 0, &[(2, b"eth0")]));
    file.extend(interface(false, 113, 4, &[(9, &[9])]));
    file.extend(enhanced(false, 0, 1_700_000_000_000_001, 10, &comment));
    file.extend(block(false, 0x0bad_cafe, b"who knows"));
    file.extend(enhanced(false, 1, 1_700_000_000_000_000_002, 99, &[]));
    file.extend(section(true));
    file.extend(interface(true, 101, 4, &[(9, &[0x80 | 10]), (14, &3i64.to_be_bytes())]));
    // Superseded packet block: interface and drops in 16 bits each.
    let words = [0, 1, 512, 10, 10].map(|n| put(true, n)).concat();
    file.extend(block(true, 2, &[&words[..], DATA].concat()));
    // Simple packet: no stamp, cut by the snapshot length.
    file.extend(block(true, 3, &[&put(true, 10)[..], b"abcd"].concat()));
    file
}

#[test]
fn pcap_in_both_byte_orders_and_resolutions() {
    for big in [false, true] {
        for (magic, fraction) in [(0xa1b2_c3d4, 123_456), (0xa1b2_3c4d, 123_456_000)] {
            let (seen, damage) = read(&pcap(big, magic, fraction));
            let t = 1_700_000_000_123_456_000;
            assert_eq!(damage, None);
            assert_eq!(seen[0], (t, LinkType::Ethernet, 10, DATA.to_vec()));
            assert_eq!(seen[1], (t, LinkType::Ethernet, 1500, DATA[..6].to_vec()));
            assert_eq!(seen.len(), 2);
        }
    }
}

#[test]
fn pcapng_with_sections_interfaces_and_every_packet_block() {
    let (seen, damage) = read(&pcapng());
    assert_eq!(damage, None);
    assert_eq!(
        seen,
        [
            (1_700_000_000_000_001_000, LinkType::Ethernet, 10, DATA.to_vec()),
            (1_700_000_000_000_000_002, LinkType::LinuxSll, 99, DATA.to_vec()),
            // 2^32 + 512 units of 2^-10 seconds, three seconds later.
            ((4_194_304 + 3) * 1_000_000_000 + 500_000_000, LinkType::Raw, 10, DATA.to_vec()),
            ((4_194_304 + 3) * 1_000_000_000 + 500_000_000, LinkType::Raw, 10, b"abcd".to_vec()),
        ]
    );
}

#[test]
fn what_comes_before_a_cut_counts_and_the_cut_is_named() {
    for (file, starts) in [(pcap(false, 0xa1b2_c3d4, 0), vec![24, 50, 72]), (pcapng(), Vec::new())] {
        let whole = read(&file).0;
        for cut in 1..file.len() {
            let (seen, damage) = read(&file[..cut]);
            assert_eq!(seen, whole[..seen.len()], "{cut}");
            if let Some(damage) = damage {
                assert!(damage.offset < cut as u64, "{cut}: {damage}");
                assert!(starts.is_empty() || damage.offset == 0 || starts.contains(&damage.offset));
            } else {
                assert!(starts.is_empty() || starts.contains(&(cut as u64)), "{cut}");
            }
        }
    }
    let damage = read(&pcap(false, 0xa1b2_c3d4, 0)[..60]).1.unwrap();
    assert_eq!(damage.to_string(), "the file ends in the middle of a packet's header at byte 50");
}

#[test]
fn what_is_no_capture_says_so() {
    for (bytes, words) in
        [(&b""[..], "empty file"), (b"abc", "too short"), (b"#!/bin/sh\n", "starts with 23212f62")]
    {
        let (seen, damage) = read(bytes);
        let damage = damage.unwrap();
        assert!(seen.is_empty() && damage.offset == 0 && damage.what.contains(words), "{damage}");
    }
}

#[test]
fn impossible_lengths_end_the_reading() {
    let mut file = pcap(false, 0xa1b2_c3d4, 0);
    file[50 + 8..50 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (seen, damage) = read(&file);
    assert_eq!((seen.len(), damage.unwrap().offset), (1, 50));
    let mut file = section(false);
    let at = file.len() as u64;
    file.extend(enhanced(false, 7, 0, 10, &[]));
    let damage = read(&file).1.unwrap();
    assert_eq!(damage.to_string(), format!("a packet of interface 7, which isn't described at byte {at}"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn packed_files_are_unpacked_also_in_several_parts() {
    let file = pcapng();
    let whole = read(&file);
    let (a, b) = file.split_at(100);
    for packed in [gzip(&file), zstd(&file), [gzip(a), gzip(b)].concat(), [zstd(a), zstd(b)].concat()] {
        assert_eq!(read(&packed), whole);
        let mut reader = Reader::new(Cursor::new(packed.clone()));
        while reader.next_frame().is_some() {}
        assert_eq!((reader.position(), reader.offset()), (packed.len() as u64, file.len() as u64));
        let damage = read(&packed[..packed.len() - 20]).1.unwrap();
        assert!(damage.unpacked && damage.to_string().ends_with("of the unpacked data"), "{damage}");
    }
}

#[test]
fn skippable_frames_are_passed() {
    let file = pcapng();
    let note = |n: u8, len: usize| {
        let len_field = u32::try_from(len).unwrap().to_le_bytes();
        [&[0x50 | n, 0x2a, 0x4d, 0x18], &len_field[..], &vec![0xff; len]].concat()
    };
    let (a, b) = file.split_at(100);
    let packed = [note(0, 3), note(15, 0), zstd(a), note(7, 1_000_000), zstd(b), note(1, 40)].concat();
    assert_eq!(read(&packed), read(&file));
    assert!(read(&packed[..packed.len() - 10]).1.unwrap().unpacked, "cut within the last one");
    let (frames, damage) = read(&note(2, 5));
    assert!(frames.is_empty() && damage.is_some(), "nothing else: no capture");
}

#[test]
fn a_file_larger_than_the_buffer_keeps_the_buffer_small() {
    let one = pcap(false, 0xa1b2_c3d4, 0);
    let (header, records) = one.split_at(24);
    let mut file = header.to_vec();
    for _ in 0..40_000 {
        file.extend_from_slice(records);
    }
    let mut reader = Reader::new(Cursor::new(file.clone()));
    let mut frames = 0;
    while reader.next_frame().is_some() {
        frames += 1;
    }
    assert_eq!((frames, reader.offset(), reader.damage()), (80_000, file.len() as u64, None));
}

proptest! {
    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600), magic in 0usize..6) {
        let magics = [&[][..], b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", &pcapng::SECTION_HEADER, b"\x1f\x8b", b"\x28\xb5\x2f\xfd"];
        read(&[magics[magic], &bytes].concat());
    }

    /// Real files with bytes changed get deeper than noise.
    #[test]
    fn damaged_files_never_panic(
        kind in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = match kind {
            0 => pcap(true, 0xa1b2_c3d4, 5),
            1 => pcapng(),
            2 => gzip(&pcapng()),
            _ => zstd(&pcapng()),
        };
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        file.truncate(cut.index(file.len()) + 1);
        let (seen, _) = read(&file);
        prop_assert!(seen.len() <= 100);
    }
}
