//! Streams: which connection a segment of a capture belongs to, numbered as tshark numbers `tcp.stream`.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::event::{Segment, tcp_flags};
use crate::slab::Slab;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    addresses: [u64; 4],
    ports: u64,
}

impl Hash for Key {
    /// By words: an array would be hashed as a string of bytes.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.addresses.into_iter().for_each(|word| state.write_u64(word));
        state.write_u64(self.ports);
    }
}

impl Key {
    /// And which of the two `src` is.
    #[inline]
    fn of(src: SocketAddr, dst: SocketAddr) -> (Self, usize) {
        if let (IpAddr::V4(s), IpAddr::V4(d)) = (src.ip(), dst.ip()) {
            // Address and port in one word.
            let end = |ip: Ipv4Addr, port: u16| u64::from(ip.to_bits()) << 16 | u64::from(port);
            let (s, d) = (end(s, src.port()), end(d, dst.port()));
            let (low, high) = (s.min(d), s.max(d));
            let ports = (low & 0xffff) << 16 | high & 0xffff;
            return (Self { addresses: [0, low >> 16, 0, high >> 16], ports }, usize::from(s > d));
        }
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

/// Two ends, and where the streams between them are to be looked for.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    key: Key,
    hash: u64,
    /// Where the stream was when it was fetched; [`NONE`] before, and where there was none.
    place: u32,
    /// Which end sent the segment: low or high.
    at: u8,
}

/// No number.
const NONE: u32 = u32::MAX;

/// Streams that are fetched at once.
const FETCHED: usize = 32;

/// The connection that holds a pair of addresses now.
#[derive(Debug, Clone, Copy)]
struct Stream {
    key: Key,
    /// [`NONE`] once the stream is forgotten.
    index: u32,
    /// Number of its analyser; [`NONE`] once the stream is over.
    analyser: u32,
    /// Which end, low or high, is the originator.
    orig: u8,
    /// Flags that each end has sent.
    flags: [u8; 2],
    /// It waits in [`Streams::closed`].
    waits: bool,
    /// Sequence number of the first segment from each end: low, high.
    first_seq: [Option<u32>; 2],
    /// Stamp of the last segment.
    last_t_ns: u64,
}

impl Stream {
    fn new(key: Key, index: u32, analyser: u32, orig: u8, t_ns: u64) -> Self {
        Self {
            key,
            index,
            analyser,
            orig,
            flags: [0; 2],
            waits: false,
            first_seq: [None; 2],
            last_t_ns: t_ns,
        }
    }

    /// Both ends are through, or one has reset the connection.
    #[inline]
    fn is_closed(&self) -> bool {
        let [low, high] = self.flags;
        (low | high) & tcp_flags::RST != 0 || low & high & tcp_flags::FIN != 0
    }
}

/// Which streams there are, by number of their place.
#[derive(Debug, Default)]
struct Table {
    places: HashTable<u32>,
    streams: Slab<Stream>,
    hasher: DefaultHashBuilder,
}

impl Table {
    #[inline]
    fn find(&self, pair: &Pair) -> Option<u32> {
        let is_it = |place: &u32| self.streams.get(*place).is_some_and(|s| s.key == pair.key);
        self.places.find(pair.hash, is_it).copied()
    }

    /// Place of the stream of a pair; a new one is as `begin` says.
    #[inline]
    fn place(&mut self, pair: &Pair, begin: impl FnOnce() -> Stream) -> u32 {
        let Self { places, streams, hasher } = self;
        if streams.get(pair.place).is_some_and(|s| s.key == pair.key && s.index != NONE) {
            return pair.place;
        }
        let entry = places.entry(
            pair.hash,
            |place| streams.get(*place).is_some_and(|s| s.key == pair.key),
            |place| streams.get(*place).map_or(0, |s| hasher.hash_one(s.key)),
        );
        match entry {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let stream = begin();
                let place = streams.give(|free| *free = stream, || stream);
                vacant.insert(place);
                place
            }
        }
    }

    /// Forgets a stream.
    fn remove(&mut self, place: u32) {
        let Some(stream) = self.streams.get_mut(place) else { return };
        let hash = self.hasher.hash_one(stream.key);
        stream.index = NONE;
        if let Ok(entry) = self.places.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
        self.streams.free(place);
    }
}

/// All streams of one capture.
///
/// The memory is that of the open streams, [`MAX_STREAMS`] at most: then those that have been silent for longest give
/// way, half of them all at once, and are counted.
#[derive(Debug, Default)]
pub struct Streams {
    table: Table,
    analysers: Slab<Analyser>,
    /// Closed streams that still have their state, by the time when they may lose it: place and number.
    closed: VecDeque<(u64, u32, u32)>,
    /// Streams without state: place and number.
    over: VecDeque<(u32, u32)>,
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

    /// [`Streams::ended`] has something to tell.
    #[inline]
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Numbers of the streams whose state was freed since the last call. A straggler of one is analysed as if it were
    /// the first segment seen; it keeps the number, and the number is told again.
    pub fn ended(&mut self) -> impl Iterator<Item = u32> {
        self.ended.drain(..)
    }

    /// Where to look for the streams between two ends.
    #[inline]
    pub fn pair(&self, src: SocketAddr, dst: SocketAddr) -> Pair {
        let (key, at) = Key::of(src, dst);
        Pair { key, hash: self.table.hasher.hash_one(key), place: NONE, at: at as u8 }
    }

    /// Looks at what is known of the pairs of the next segments, so that it is at hand when it is needed: many waits
    /// for the memory at once take as long as one.
    pub fn fetch(&self, pairs: &mut [Pair]) {
        for group in pairs.chunks_mut(FETCHED) {
            let mut numbers = [NONE; FETCHED];
            for (number, pair) in numbers.iter_mut().zip(group) {
                if let Some(place) = self.table.find(pair) {
                    pair.place = place;
                    *number = self.table.streams.get(place).map_or(NONE, |stream| stream.analyser);
                }
            }
            for number in numbers {
                if let Some(analyser) = self.analysers.get(number) {
                    std::hint::black_box(analyser.fetch());
                }
            }
        }
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
        self.segment_of(&self.pair(src, dst), t_ns, seg, payload_len, ip_id)
    }

    /// The same for a pair that is known already.
    pub fn segment_of(
        &mut self,
        pair: &Pair,
        t_ns: u64,
        seg: &Segment,
        payload_len: u32,
        ip_id: Option<u32>,
    ) -> StreamSegment {
        let at = usize::from(pair.at & 1);
        let (place, reused) = self.place(pair, at, t_ns, seg);
        let Self { table, analysers, closed, .. } = self;
        let (from, index, analyser) = match table.streams.get_mut(place) {
            Some(stream) => {
                stream.flags[at] |= seg.flags;
                if stream.is_closed() && !stream.waits {
                    stream.waits = true;
                    closed.push_back((t_ns.saturating_add(LINGER_NS), place, stream.index));
                }
                let from = if pair.at == stream.orig { Side::Orig } else { Side::Resp };
                (from, stream.index, stream.analyser)
            }
            None => (Side::Orig, NONE, NONE),
        };
        // There is one: it was given with the place.
        let mut analysis = match analysers.get_mut(analyser) {
            Some(analyser) => analyser.segment(t_ns, from, seg, payload_len, ip_id),
            None => Analysis::default(),
        };
        if reused {
            analysis.verdicts.insert(Verdicts::REUSED_PORTS);
        }
        StreamSegment { stream: index, from, analysis }
    }

    /// Stream of a TCP header quoted in an ICMP error: it gets a number, but no analysis.
    pub fn quoted(&mut self, t_ns: u64, src: SocketAddr, dst: SocketAddr, seg: &Segment) -> u32 {
        let pair = self.pair(src, dst);
        let (place, _) = self.place(&pair, usize::from(pair.at & 1), t_ns, seg);
        self.table.streams.get(place).map_or(NONE, |stream| stream.index)
    }

    /// The place of a segment's stream, and whether its ports were another one's before.
    #[inline]
    fn place(&mut self, pair: &Pair, at: usize, t_ns: u64, seg: &Segment) -> (u32, bool) {
        if self.closed.front().is_some_and(|(due, ..)| *due <= t_ns) {
            self.free_closed(t_ns);
        }
        if self.table.places.len() >= MAX_STREAMS {
            self.make_room();
        }
        let Self { table, analysers, ended, count, open, .. } = self;
        let mut begin = || {
            let index = *count;
            *count = count.saturating_add(1);
            *open += 1;
            let analyser = analysers.give(Analyser::restart, Analyser::new);
            Stream::new(pair.key, index, analyser, pair.at, t_ns)
        };
        let place = table.place(pair, &mut begin);
        let Some(stream) = table.streams.get_mut(place) else { return (place, false) };
        let bare_syn = seg.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN;
        let reused = bare_syn && stream.first_seq[at].is_some_and(|seq| seq != seg.seq);
        if reused {
            let before = std::mem::replace(stream, begin());
            if before.analyser != NONE {
                analysers.free(before.analyser);
                ended.push(before.index);
                *open -= 1;
            }
        } else if stream.analyser == NONE {
            stream.analyser = analysers.give(Analyser::restart, Analyser::new);
            *open += 1;
        }
        stream.last_t_ns = t_ns;
        let syn = seg.flags & tcp_flags::SYN != 0;
        stream.first_seq[at].get_or_insert(if syn { seg.seq } else { seg.seq.wrapping_sub(1) });
        if seg.flags & tcp_flags::ACK != 0 {
            stream.first_seq[1 - at].get_or_insert(seg.ack.wrapping_sub(1));
        }
        (place, reused)
    }

    /// Frees the state of streams that were closed and have been silent since.
    #[cold]
    fn free_closed(&mut self, t_ns: u64) {
        while let Some((due, place, index)) = self.closed.front().copied() {
            if due > t_ns {
                break;
            }
            self.closed.pop_front();
            // Otherwise the ports were used again.
            let Some(stream) = self.table.streams.get_mut(place).filter(|s| s.index == index) else {
                continue;
            };
            let due = stream.last_t_ns.saturating_add(LINGER_NS);
            if due > t_ns {
                self.closed.push_back((due, place, index));
                continue;
            }
            stream.waits = false;
            if stream.analyser != NONE {
                self.analysers.free(std::mem::replace(&mut stream.analyser, NONE));
                self.open -= 1;
                self.ended.push(index);
                self.over.push_back((place, index));
            }
        }
        while self.over.len() > MAX_OVER {
            if let Some((place, index)) = self.over.pop_front()
                && self.table.streams.get(place).is_some_and(|s| s.index == index && s.analyser == NONE)
            {
                self.table.remove(place);
            }
        }
        self.pack();
    }

    /// Gives memory back after a peak.
    fn pack(&mut self) {
        if self.analysers.is_sparse() {
            let numbers = self.table.streams.values_mut().map(|stream| &mut stream.analyser);
            self.analysers.pack(numbers, std::mem::take);
        }
    }

    /// Lets half of the streams go, so that looking for them costs little for each.
    #[cold]
    fn make_room(&mut self) {
        let Self { table, analysers, ended, open, evicted, .. } = self;
        let Table { places, streams, .. } = table;
        let mut stamps: Vec<u64> =
            places.iter().filter_map(|place| Some(streams.get(*place)?.last_t_ns)).collect();
        let middle = stamps.len() / 2;
        let (_, median, _) = stamps.select_nth_unstable(middle);
        places.retain(|place| {
            let Some(stream) = streams.get_mut(*place) else { return false };
            if stream.last_t_ns > *median {
                return true;
            }
            if stream.analyser != NONE {
                *evicted += 1;
                *open -= 1;
                ended.push(stream.index);
                analysers.free(stream.analyser);
            }
            (stream.index, stream.analyser) = (NONE, NONE);
            streams.free(*place);
            false
        });
        self.pack();
    }
}
