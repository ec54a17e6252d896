//! Streams: which connection a segment of a capture belongs to, numbered as tshark numbers `tcp.stream`.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use rustc_hash::FxHashMap;

use crate::event::{Segment, tcp_flags};

use super::{Analyser, Analysis, Side, Verdicts};

/// A stream: index and analyser of the connection that holds a pair of addresses now.
#[derive(Debug)]
struct Stream {
    index: u32,
    /// The originator's address is the lower one of the key.
    orig_is_low: bool,
    /// Sequence number of the first segment from each end: low, high.
    first_seq: [Option<u32>; 2],
    analyser: Analyser,
}

/// Both ends, the lower address first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair(SocketAddr, SocketAddr);

impl Pair {
    /// And which of them `src` is.
    fn of(src: SocketAddr, dst: SocketAddr) -> (Self, usize) {
        if src <= dst { (Self(src, dst), 0) } else { (Self(dst, src), 1) }
    }
}

/// In few words: the derived one hashes an address octet by octet, for every packet.
impl Hash for Pair {
    #[inline]
    fn hash<H: Hasher>(&self, to: &mut H) {
        for end in [self.0, self.1] {
            match end.ip() {
                IpAddr::V4(ip) => to.write_u64(u64::from(ip.to_bits()) << 16 | u64::from(end.port())),
                IpAddr::V6(ip) => {
                    to.write_u128(ip.to_bits());
                    to.write_u16(end.port());
                }
            }
        }
    }
}

/// All streams of one capture.
///
/// The table has one entry for each pair of addresses, [`MAX_STREAMS`] at most: then an arbitrary one gives way,
/// and is counted. [`Streams::forget`] frees one that is closed.
#[derive(Debug, Default)]
pub struct Streams {
    table: FxHashMap<Pair, Box<Stream>>,
    count: u32,
    evicted: u64,
}

/// Most streams that are followed at once.
pub const MAX_STREAMS: usize = 1 << 20;

/// What was found of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSegment {
    /// Number of the stream, from 0 in the order of first sight.
    pub stream: u32,
    /// Which end sent the segment.
    pub from: Side,
    /// The analyser's word.
    pub analysis: Analysis,
}

impl Streams {
    /// No stream yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Streams numbered so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Streams that gave way to others before they were forgotten: a later segment of theirs opens a new stream.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Takes the next segment of the capture (see [`Analyser::segment`] for `t_ns`, `payload_len` and
    /// `ip_id`).
    pub fn segment(
        &mut self,
        t_ns: u64,
        src: SocketAddr,
        dst: SocketAddr,
        seg: &Segment,
        payload_len: u32,
        ip_id: Option<u32>,
    ) -> StreamSegment {
        let (stream, at, reused) = self.place(src, dst, seg);
        let from = if (at == 0) == stream.orig_is_low { Side::Orig } else { Side::Resp };
        let mut analysis = stream.analyser.segment(t_ns, from, seg, payload_len, ip_id);
        if reused {
            analysis.verdicts.insert(Verdicts::REUSED_PORTS);
        }
        StreamSegment { stream: stream.index, from, analysis }
    }

    /// Stream of a TCP header quoted in an ICMP error: it gets a number, but no analysis.
    pub fn quoted(&mut self, src: SocketAddr, dst: SocketAddr, seg: &Segment) -> u32 {
        self.place(src, dst, seg).0.index
    }

    fn place(&mut self, src: SocketAddr, dst: SocketAddr, seg: &Segment) -> (&mut Stream, usize, bool) {
        let (key, at) = Pair::of(src, dst);
        if self.table.len() >= MAX_STREAMS
            && !self.table.contains_key(&key)
            && let Some(other) = self.table.keys().next().copied()
        {
            self.table.remove(&other);
            self.evicted += 1;
        }
        let count = &mut self.count;
        let mut open = || {
            let index = *count;
            *count = count.saturating_add(1);
            Stream { index, orig_is_low: at == 0, first_seq: [None; 2], analyser: Analyser::new() }
        };
        let stream = self.table.entry(key).or_insert_with(|| Box::new(open()));
        let bare_syn = seg.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN;
        let reused = bare_syn && stream.first_seq[at].is_some_and(|seq| seq != seg.seq);
        if reused {
            **stream = open();
        }
        let syn = seg.flags & tcp_flags::SYN != 0;
        stream.first_seq[at].get_or_insert(if syn { seg.seq } else { seg.seq.wrapping_sub(1) });
        if seg.flags & tcp_flags::ACK != 0 {
            stream.first_seq[1 - at].get_or_insert(seg.ack.wrapping_sub(1));
        }
        (stream, at, reused)
    }

    /// Frees the stream between two addresses; a later segment between them opens a new one.
    pub fn forget(&mut self, a: SocketAddr, b: SocketAddr) {
        self.table.remove(&Pair::of(a, b).0);
    }
}
