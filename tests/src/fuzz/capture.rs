//! Capture files and the frames in them.

use std::cell::RefCell;
use std::io::Cursor;

use tempfile::NamedTempFile;
use tracenet_collectors::capture::Link;
use tracenet_collectors::decode::{Layer, Layers, LinkType, decode_frame};
use tracenet_collectors::files::{MAX_PACKET, Reader};
use tracenet_collectors::pcapng::{Record, Writer};
use tracenet_core::key::{Direction, unmap};
use tracenet_core::time::WallNs;

use super::Bytes;

/// Bytes that a packed input may become before it counts as seen: a bomb only takes time.
const MOST_UNPACKED: u64 = 16 << 20;

/// A file: pcap, pcapng, gzip or zstd. Reading ends, tells the truth of the place of a damage, and every frame is
/// taken apart.
pub fn reader(data: &[u8]) {
    let mut reader = Reader::new(Cursor::new(data.to_vec()));
    let mut layers = Layers::new();
    let mut offset = 0;
    while let Some(frame) = reader.next_frame() {
        assert!(frame.data.len() <= MAX_PACKET);
        frame_with(&mut layers, frame.link, frame.data, frame.wire_len);
        assert!(reader.offset() > offset, "a packet takes room in the file");
        offset = reader.offset();
        if offset > MOST_UNPACKED {
            return;
        }
    }
    assert!(reader.next_frame().is_none(), "the end stays the end");
    if let Some(damage) = reader.damage() {
        assert!(damage.offset <= reader.offset());
        assert!(damage.unpacked || damage.offset <= data.len() as u64);
        assert!(!damage.to_string().contains('\n'));
    } else {
        assert!(data.len() >= 24, "an empty capture has a header");
    }
}

/// Frames of one link type. They share what is known of fragments.
pub fn decode(data: &[u8]) {
    let mut bytes = Bytes(data);
    let link = LinkType::from_number(bytes.one_of(&LINKS));
    let mut layers = Layers::new();
    while !bytes.is_empty() {
        let (len, extra) = (bytes.u16(), bytes.u8());
        let frame = bytes.take(usize::from(len));
        let wire_len = match extra {
            0..=127 => frame.len() as u32 + u32::from(extra),
            128..=254 => bytes.u32(),
            255 => 0,
        };
        frame_with(&mut layers, link, frame, wire_len);
    }
}

/// The numbers of capture files: every known one, and one that isn't.
const LINKS: [u16; 14] = [0, 1, 9, 10, 12, 50, 101, 105, 108, 113, 127, 228, 229, 276];

/// Largest datagram: fragments never make more.
const MAX_DATAGRAM: u32 = 65_535;

fn frame_with(layers: &mut Layers, link: LinkType, frame: &[u8], wire_len: u32) {
    let most = wire_len.max(frame.len() as u32).max(MAX_DATAGRAM);
    let mut first: Option<Layer> = None;
    let mut told = 0;
    let walked = layers.walk(link, frame, wire_len, &mut |layer: &Layer| {
        assert!(layer.payload_len <= most, "{} of {most} bytes", layer.payload_len);
        first.get_or_insert(*layer);
        told += 1;
    });
    assert!(told <= 12, "levels are bounded");
    if told == 0 {
        assert!(walked.is_err(), "what is not told of has a reason");
    }
    // Live captures take the other way; both say the same of a plain packet.
    let Ok(live) = decode_frame(link, frame, wire_len) else { return };
    assert!(live.payload.len() <= frame.len() && live.payload.len() as u64 <= u64::from(live.payload_len));
    if let (Some(file), false) = (first, live.more_fragments) {
        let ends = |l: &Layer| {
            let (s, d) = (l.source, l.destination);
            (unmap(s.ip()), s.port(), unmap(d.ip()), d.port())
        };
        let (s, d) = (live.tuple.local, live.tuple.remote);
        assert_eq!(ends(&file), (s.ip(), s.port(), d.ip(), d.port()));
        assert_eq!(file.tcp, live.tcp);
    }
}

thread_local! {
    /// One file for all runs: making one each time would be most of the work.
    static FILE: RefCell<Option<NamedTempFile>> = const { RefCell::new(None) };
}

/// What the writer of live captures writes, the reader of files reads.
pub fn round_trip(data: &[u8]) {
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| NamedTempFile::new().expect("a temporary file"));
        let mut writer = Writer::create(file.path()).expect("created");
        let mut bytes = Bytes(data);
        let mut links: Vec<(u16, LinkType)> = Vec::new();
        let mut expected = Vec::new();
        let mut unwritten = 0;
        while !bytes.is_empty() {
            let text = |b: &mut Bytes<'_>| {
                let len = usize::from(b.u8());
                String::from_utf8_lossy(b.take(len)).into_owned()
            };
            if bytes.u8() & 7 == 0 {
                let source = u16::from(bytes.u8() & 3);
                let link_type = LinkType::from_number(bytes.u16());
                let link = Link {
                    source,
                    name: text(&mut bytes),
                    description: bytes.flag().then(|| text(&mut bytes)),
                    link_type,
                    snaplen: bytes.number(),
                    filter: bytes.flag().then(|| text(&mut bytes)),
                };
                if links.iter().all(|(s, _)| *s != source) {
                    writer.add_interface(&link).expect("written");
                    links.push((source, link_type));
                }
                continue;
            }
            let (source, wall, wire_len) = (u16::from(bytes.u8() & 3), WallNs(bytes.u64()), bytes.number());
            let comment = text(&mut bytes);
            let direction = bytes.one_of(&[None, Some(Direction::In), Some(Direction::Out)]);
            let len = bytes.number().min(0xffff) as usize;
            let data = bytes.take(len);
            let record = Record { source, wall, wire_len, data, comment: &comment, direction };
            writer.packet(&record).expect("written");
            match links.iter().find(|(s, _)| *s == source) {
                Some((_, link)) => expected.push((wall, *link, wire_len, data)),
                None => unwritten += 1,
            }
        }
        writer.flush().expect("written");
        assert_eq!(writer.unwritten(), unwritten);
        drop(writer);
        let mut reader = Reader::open(file.path()).expect("opened");
        for (n, packet) in expected.iter().enumerate() {
            let frame = reader.next_frame().unwrap_or_else(|| panic!("packet {n} is missing"));
            assert_eq!((frame.wall, frame.link, frame.wire_len, frame.data), *packet, "packet {n}");
        }
        assert!(reader.next_frame().is_none());
        assert_eq!(reader.damage(), None);
    });
}
