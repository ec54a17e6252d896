//! Memory of the analyser: none is taken for a packet once its connection is known, and what is held follows the
//! connections that are open.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};

use tracenet_collectors::decode::{Layer, Layers};
use tracenet_collectors::files::Reader;
use tracenet_core::event::{Segment, tcp_flags};
use tracenet_core::features::{Direction, Features, Seen};
use tracenet_core::tcp::streams::MAX_STREAMS;
use tracenet_core::tcp::{Side, Streams, Verdicts};

/// The system's allocator, which counts. Each test runs on a thread of its own and sees its own counts.
struct Counting;

thread_local! {
    /// Calls that took memory.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
    /// Bytes held.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn count(calls: u64, bytes: i64) {
    TAKEN.set(TAKEN.get() + calls);
    HELD.set(HELD.get() + bytes);
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to the system's allocator unchanged. Counting allocates nothing: the cells are initialised
// at compile time and have no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, size(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, -size(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, size(layout.size()));
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, size(new_size) - size(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CLIENTS: u16 = 40;
const MSS: u32 = 100;
/// Segments that a sender has in flight.
const WINDOW: u32 = 24;
const ROUNDS: u32 = 80;

/// Frames of a capture file (pcap, nanoseconds, Ethernet).
struct File {
    bytes: Vec<u8>,
    now_ns: u64,
    ip_id: u16,
}

impl File {
    fn new() -> Self {
        let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 1];
        let bytes = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        Self { bytes, now_ns: 1_000_000_000, ip_id: 0 }
    }

    /// A segment of client `n` to its server, or of the server to it.
    fn segment(&mut self, n: u16, to_server: bool, flags: u8, (seq, ack): (u32, u32), len: u32) {
        self.now_ns += 20_000;
        self.ip_id = self.ip_id.wrapping_add(1);
        let total = 20 + 32 + len as u16;
        let wire = u32::from(total) + 14;
        for word in [(self.now_ns / 1_000_000_000) as u32, (self.now_ns % 1_000_000_000) as u32, wire, wire] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        let ([client, server], [high, low]) = ([[10, 0, 0, 1], [10, 0, 0, 2]], (40_000 + n).to_be_bytes());
        let (ends, ports) = if to_server {
            ([client, server], [high, low, 0, 80])
        } else {
            ([server, client], [0, 80, high, low])
        };
        let ([t1, t2], [i1, i2]) = (total.to_be_bytes(), self.ip_id.to_be_bytes());
        self.bytes.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        self.bytes.extend_from_slice(&[0x45, 0, t1, t2, i1, i2, 0x40, 0, 64, 6, 0, 0]);
        self.bytes.extend_from_slice(&ends.concat());
        self.bytes.extend_from_slice(&ports);
        self.bytes.extend_from_slice(&[seq.to_be_bytes(), ack.to_be_bytes()].concat());
        self.bytes.extend_from_slice(&[0x80, flags, 0xff, 0xff, 0, 0, 0, 0]);
        // Timestamps, padded (RFC 7323, appendix A).
        let ms = ((self.now_ns / 1_000_000) as u32).to_be_bytes();
        self.bytes.extend_from_slice(&[&[1, 1, 8, 10][..], &ms, &[0; 4]].concat());
        self.bytes.resize(self.bytes.len() + len as usize, b'x');
    }
}

/// Some tens of connections, interleaved, that send window after window: a segment of each is lost and sent again
/// after duplicate ACKs, one is overtaken, and one is sent twice for nothing.
fn capture() -> File {
    use tcp_flags::{ACK, PSH, SYN};
    let mut file = File::new();
    // One after the other, so that a handshake takes a while: what comes late within that time is out of order.
    for (to_server, flags, numbers) in [(true, SYN, (0, 0)), (false, SYN | ACK, (0, 1)), (true, ACK, (1, 1))]
    {
        for n in 0..CLIENTS {
            file.segment(n, to_server, flags, numbers, 0);
        }
    }
    for round in 0..ROUNDS {
        for n in 0..CLIENTS {
            let first = 1 + round * WINDOW * MSS;
            let at = |k: u32| (first + k * MSS, 1);
            let lost = u32::from(n) % (WINDOW - 4);
            for k in (0..WINDOW).filter(|k| *k != lost) {
                // The last two change places.
                let k = if k >= WINDOW - 2 { 2 * WINDOW - 3 - k } else { k };
                file.segment(n, true, ACK, at(k), MSS);
                if k > lost {
                    file.segment(n, false, ACK, (1, at(lost).0), 0);
                }
            }
            file.segment(n, true, ACK | PSH, at(lost), MSS);
            file.segment(n, false, ACK, (1, at(WINDOW).0), 0);
            file.segment(n, true, ACK | PSH, at(lost), MSS);
            file.segment(n, false, ACK, (1, at(WINDOW).0), 0);
        }
    }
    file
}

#[test]
fn no_packet_of_a_known_connection_takes_memory() {
    let file = capture();
    let mut reader = Reader::new(Cursor::new(file.bytes));
    let mut layers = Layers::new();
    let mut streams = Streams::new();
    let mut features: Vec<Features> = Vec::new();
    let mut verdicts = Verdicts::NONE;
    let (mut packets, mut steady, mut warm) = (0u32, 0u32, None);
    let half = file.now_ns / 2;
    while let Some(frame) = reader.next_frame() {
        if frame.wall.0 > half {
            warm.get_or_insert_with(|| TAKEN.get());
            steady += 1;
        }
        packets += 1;
        let walked = layers.walk(frame.link, frame.data, frame.wire_len, &mut |layer: &Layer| {
            let Some(seg) = &layer.tcp else { return };
            let found = streams.segment(
                frame.wall.0,
                layer.source,
                layer.destination,
                seg,
                layer.payload_len,
                layer.ip.id,
            );
            verdicts.insert(found.analysis.verdicts);
            if features.len() <= found.stream as usize {
                features.push(Features::new());
            }
            features[found.stream as usize].packet(
                if found.from == Side::Orig { Direction::A } else { Direction::B },
                &Seen {
                    t: frame.wall,
                    ip: &layer.ip,
                    tcp: Some(seg),
                    options: layer.options.as_slice(),
                    payload_len: layer.payload_len,
                    wire_len: frame.wire_len,
                    verdicts: found.analysis.verdicts,
                    bad_ip_checksum: false,
                    bad_checksum: false,
                    cut: layer.cut,
                },
            );
        });
        assert_eq!(walked, Ok(()));
    }
    let taken = TAKEN.get() - warm.expect("a second half");
    assert_eq!(reader.damage(), None);
    assert_eq!(streams.count(), u32::from(CLIENTS));
    assert!(packets > 100_000 && steady > packets / 3, "{steady} of {packets} packets");
    for expected in [
        Verdicts::FAST_RETRANSMISSION,
        Verdicts::SPURIOUS_RETRANSMISSION,
        Verdicts::OUT_OF_ORDER,
        Verdicts::LOST_SEGMENT,
        Verdicts::DUPLICATE_ACK,
    ] {
        assert!(verdicts.contains(expected), "the capture has {expected}: {verdicts}");
    }
    assert_eq!(taken, 0, "for {steady} packets");
}

/// Bytes that an open stream may cost, all that belongs to it included.
const OPEN: i64 = 1024;

/// Streams without state whose number is remembered, and the bytes of one: a place in a queue, which may be half empty,
/// and an entry of the table, of which less than a quarter may be in use, since removals wear it out.
const OVER: (i64, i64) = (65_536, 448);

/// A SYN every millisecond, each to another port or host; `answered` by a reset or not at all. Returns the streams that
/// gave way to others.
fn scan(syns: u32, answered: bool, most_open: usize) -> u64 {
    const GAP_NS: u64 = 1_000_000;
    let mut streams = Streams::new();
    let before = HELD.get();
    let syn = Segment { seq: 7, flags: tcp_flags::SYN, window: 1024, ..Segment::default() };
    let reset = Segment { ack: 8, flags: tcp_flags::RST | tcp_flags::ACK, ..Segment::default() };
    for n in 0..syns {
        let t = u64::from(n) * GAP_NS;
        let scanner = SocketAddr::from(([10, 0, 0, 1], 40_000));
        let host = SocketAddr::new(Ipv4Addr::from_bits(0x0a01_0000 + n / 1000).into(), (n % 1000) as u16 + 1);
        assert_eq!(streams.segment(t, scanner, host, &syn, 0, Some(n & 0xffff)).stream, n);
        if answered {
            assert_eq!(streams.segment(t + GAP_NS / 2, host, scanner, &reset, 0, Some(0)).stream, n);
        }
        // Whoever shows the flows takes these.
        streams.ended().for_each(drop);
        assert!(streams.open() <= most_open, "{} open", streams.open());
        // By then the table has grown to its size: while it grows it is there twice.
        if n % 100_000 == 0 && n >= syns / 4 {
            let held = HELD.get() - before;
            let most = OPEN * size(streams.open()) + OVER.0 * OVER.1;
            assert!(held <= most, "{held} bytes for {} open streams", streams.open());
        }
    }
    let evicted = streams.evicted();
    drop(streams);
    assert_eq!(HELD.get(), before);
    evicted
}

#[test]
fn a_refused_scan_holds_a_minute_of_it() {
    assert_eq!(scan(500_000, true, 60_002), 0);
}

#[test]
fn a_scan_without_answers_holds_what_its_open_streams_take() {
    let syns = 2_000_000;
    let evicted = scan(syns, false, MAX_STREAMS);
    assert!(evicted >= u64::from(syns) - MAX_STREAMS as u64, "{evicted} gave way");
}
