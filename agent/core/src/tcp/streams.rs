//! Streams: which connection a segment of a capture belongs to, numbered as tshark numbers `tcp.stream`.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Slot;
use std::net::{IpAddr, SocketAddr};

use rustc_hash::FxHashMap;

use crate::event::{Segment, tcp_flags};

use super::{Analyser, Analysis, Side, Verdicts};

/// Most streams that are followed at once.
pub const MAX_STREAMS: usize = 1 << 20;

/// A stream that is over, or that nobody answered, keeps its state this long after its last segment: `TIME_WAIT` in
/// Linux (include/net/tcp.h `TCP_TIMEWAIT_LEN`), in which stragglers are to be expected.
const LINGER_NS: u64 = 60_000_000_000;

/// Streams without state of which the number is still known, for stragglers and for ports that are used again. The
/// oldest give way.
const MAX_OVER: usize = 1 << 16;

/// Both ends, the lower one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    addresses: [u64; 4],
    ports: u64,
}

impl Key {
    /// And which of the two `src` is.
    #[inline]
    fn of(src: SocketAddr, dst: SocketAddr) -> (Self, usize) {
        let family = u64::from(src.is_ipv6()) << 32 | u64::from(dst.is_ipv6()) << 33;
        let (s, d) = ((bits(src.ip()), src.port()), (bits(dst.ip()), dst.port()));
        let (low, high, at) = if s <= d { (s, d, 0) } else { (d, s, 1) };
        let halves = |a: u128| ((a >> 64) as u64, a as u64);
        let ((a, b), (c, e)) = (halves(low.0), halves(high.0));
        let ports = family | u64::from(low.1) << 16 | u64::from(high.1);
        (Self { addresses: [a, b, c, e], ports }, at)
    }
}

#[inline]
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// A stream: number and analyser of the connection that holds a pair of addresses now.
#[derive(Debug)]
struct Stream {
    index: u32,
    /// Which end, low or high, is the originator.
    orig: u8,
    /// Flags that each end has sent.
    flags: [u8; 2],
    /// Sequence number of the first segment from each end: low, high.
    first_seq: [Option<u32>; 2],
    /// Stamp of the last segment.
    last_t_ns: u64,
    /// It waits in [`Streams::closed`].
    waits: bool,
    /// `None` once the stream is over.
    analyser: Option<Box<Analyser>>,
}

impl Stream {
    fn new(index: u32, orig: usize, t_ns: u64) -> Self {
        Self {
            index,
            orig: orig as u8,
            flags: [0; 2],
            first_seq: [None; 2],
            last_t_ns: t_ns,
            waits: false,
            analyser: Some(Box::default()),
        }
    }

    /// Both ends are through, or one has reset the connection.
    #[inline]
    fn is_closed(&self) -> bool {
        let [low, high] = self.flags;
        (low | high) & tcp_flags::RST != 0 || low & high & tcp_flags::FIN != 0
    }
}

/// All streams of one capture.
///
/// The memory is that of the open streams, [`MAX_STREAMS`] at most: then those that have been silent for longest give
/// way, half of them all at once, and are counted.
#[derive(Debug, Default)]
pub struct Streams {
    table: FxHashMap<Key, Stream>,
    /// Closed streams that still have their state, by the time when they may lose it.
    closed: VecDeque<(u64, Key, u32)>,
    /// Streams without state.
    over: VecDeque<(Key, u32)>,
    ended: Vec<u32>,
    open: usize,
    count: u32,
    evicted: u64,
}

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

    /// Streams with state.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Streams that gave way to others before they were over.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Numbers of the streams whose state was freed since the last call. A straggler of one is analysed as if it were
    /// the first segment seen; it keeps the number, and the number is told again.
    pub fn ended(&mut self) -> impl Iterator<Item = u32> {
        self.ended.drain(..)
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
        let (key, at) = Key::of(src, dst);
        let (stream, closed, reused) = self.place(t_ns, key, at, seg);
        stream.flags[at] |= seg.flags;
        if stream.is_closed() && !stream.waits {
            stream.waits = true;
            closed.push_back((t_ns.saturating_add(LINGER_NS), key, stream.index));
        }
        let from = if at == usize::from(stream.orig) { Side::Orig } else { Side::Resp };
        let analyser = stream.analyser.get_or_insert_default();
        let mut analysis = analyser.segment(t_ns, from, seg, payload_len, ip_id);
        if reused {
            analysis.verdicts.insert(Verdicts::REUSED_PORTS);
        }
        StreamSegment { stream: stream.index, from, analysis }
    }

    /// Stream of a TCP header quoted in an ICMP error: it gets a number, but no analysis.
    pub fn quoted(&mut self, t_ns: u64, src: SocketAddr, dst: SocketAddr, seg: &Segment) -> u32 {
        let (key, at) = Key::of(src, dst);
        self.place(t_ns, key, at, seg).0.index
    }

    /// The stream of a segment, where to note that it is closed, and whether its ports were another one's before.
    #[inline]
    fn place(
        &mut self,
        t_ns: u64,
        key: Key,
        at: usize,
        seg: &Segment,
    ) -> (&mut Stream, &mut VecDeque<(u64, Key, u32)>, bool) {
        if self.closed.front().is_some_and(|(due, ..)| *due <= t_ns) {
            self.free_closed(t_ns);
        }
        if self.table.len() >= MAX_STREAMS {
            self.make_room();
        }
        let Self { table, closed, ended, count, open, .. } = self;
        let mut begin = || {
            let index = *count;
            *count = count.saturating_add(1);
            *open += 1;
            Stream::new(index, at, t_ns)
        };
        let stream = match table.entry(key) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(begin()),
        };
        let bare_syn = seg.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN;
        let reused = bare_syn && stream.first_seq[at].is_some_and(|seq| seq != seg.seq);
        if reused {
            let before = std::mem::replace(stream, begin());
            if before.analyser.is_some() {
                ended.push(before.index);
                *open -= 1;
            }
        } else if stream.analyser.is_none() {
            stream.analyser = Some(Box::default());
            *open += 1;
        }
        stream.last_t_ns = t_ns;
        let syn = seg.flags & tcp_flags::SYN != 0;
        stream.first_seq[at].get_or_insert(if syn { seg.seq } else { seg.seq.wrapping_sub(1) });
        if seg.flags & tcp_flags::ACK != 0 {
            stream.first_seq[1 - at].get_or_insert(seg.ack.wrapping_sub(1));
        }
        (stream, closed, reused)
    }

    /// Frees the state of streams that were closed and have been silent since.
    #[cold]
    fn free_closed(&mut self, t_ns: u64) {
        while let Some((due, key, index)) = self.closed.front().copied() {
            if due > t_ns {
                break;
            }
            self.closed.pop_front();
            // Otherwise the ports were used again.
            let Some(stream) = self.table.get_mut(&key).filter(|s| s.index == index) else { continue };
            let due = stream.last_t_ns.saturating_add(LINGER_NS);
            if due > t_ns {
                self.closed.push_back((due, key, index));
                continue;
            }
            stream.waits = false;
            if stream.analyser.take().is_some() {
                self.open -= 1;
                self.ended.push(index);
                self.over.push_back((key, index));
            }
        }
        while self.over.len() > MAX_OVER {
            if let Some((key, index)) = self.over.pop_front()
                && self.table.get(&key).is_some_and(|s| s.index == index && s.analyser.is_none())
            {
                self.table.remove(&key);
            }
        }
    }

    /// Lets half of the streams go, so that looking for them costs little for each.
    #[cold]
    fn make_room(&mut self) {
        let mut stamps: Vec<u64> = self.table.values().map(|s| s.last_t_ns).collect();
        let middle = stamps.len() / 2;
        let (_, median, _) = stamps.select_nth_unstable(middle);
        let Self { table, ended, open, evicted, .. } = self;
        table.retain(|_, stream| {
            let stays = stream.last_t_ns > *median;
            if !stays && stream.analyser.is_some() {
                *evicted += 1;
                *open -= 1;
                ended.push(stream.index);
            }
            stays
        });
    }
}
