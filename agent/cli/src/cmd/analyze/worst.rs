//! The streams with the most trouble, in the memory of those that are open.

use std::cmp::Reverse;
use std::net::SocketAddr;

use tracenet_core::slab::Slab;
use tracenet_core::tcp::{Side, StreamSegment, Verdicts};
use tracenet_core::time::{DurationNs, WallNs};

use super::flows::MAX_FLOWS;
use super::reading::Packet;
use super::{Seen, Word};

/// Streams that are named.
const NAMED: usize = 5;

/// No place.
const NONE: u32 = u32::MAX;

/// Streams by their number while they are open, and the worst of those that have ended.
#[derive(Debug, Default)]
pub struct Worst {
    /// Places of the open ones, [`NONE`] for others.
    open: Vec<u32>,
    streams: Slab<Stream>,
    ended: Vec<Named>,
    /// Packets of streams that were not looked at, because there are too many.
    pub omitted_packets: u64,
}

/// Segments with verdicts of trouble.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    pub retransmissions: u32,
    pub out_of_order: u32,
    pub lost_segments: u32,
    pub duplicate_acks: u32,
    pub zero_windows: u32,
}

impl Faults {
    pub fn add(&mut self, verdicts: Verdicts) {
        let has = |v: Verdicts| u32::from(verdicts.contains(v));
        self.retransmissions += has(Verdicts::RETRANSMISSION);
        self.out_of_order += has(Verdicts::OUT_OF_ORDER);
        self.lost_segments += has(Verdicts::LOST_SEGMENT);
        self.duplicate_acks += has(Verdicts::DUPLICATE_ACK);
        self.zero_windows += has(Verdicts::ZERO_WINDOW);
    }

    /// Segments that went wrong on the way or at an end, for the order of the worst.
    pub fn trouble(&self) -> u64 {
        [self.retransmissions, self.out_of_order, self.lost_segments, self.zero_windows]
            .into_iter()
            .map(u64::from)
            .sum()
    }
}

/// What is counted of every stream; what few need is elsewhere.
#[derive(Debug)]
struct Stream {
    first: WallNs,
    last: WallNs,
    bytes: u64,
    initial_rtt: Option<DurationNs>,
    trouble: Option<Box<Trouble>>,
    packets: u32,
    /// Who sent the first packet.
    from: Side,
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    /// Sender of the stream's first packet.
    a: SocketAddr,
    b: SocketAddr,
    faults: Faults,
}

/// A stream with trouble.
#[derive(Debug, Clone)]
pub struct Named {
    pub stream: usize,
    /// Sender of the first packet.
    pub a: SocketAddr,
    pub b: SocketAddr,
    pub packets: u32,
    /// Of the whole frames on the wire.
    pub bytes: u64,
    pub duration: DurationNs,
    pub initial_rtt: Option<DurationNs>,
    pub faults: Faults,
}

impl Named {
    fn of(stream: usize, s: &Stream) -> Option<Self> {
        let Trouble { a, b, faults } = **s.trouble.as_ref()?;
        let duration = DurationNs(s.last.0 - s.first.0);
        let (packets, bytes, initial_rtt) = (s.packets, s.bytes, s.initial_rtt);
        (faults.trouble() > 0).then_some(Self { stream, a, b, packets, bytes, duration, initial_rtt, faults })
    }

    /// The worst first; among equals the first.
    fn order(&self) -> (Reverse<u64>, usize) {
        (Reverse(self.faults.trouble()), self.stream)
    }
}

impl Stream {
    fn new(packet: &Packet, from: Side) -> Self {
        let (first, last) = (packet.wall, packet.wall);
        Self { first, last, bytes: 0, initial_rtt: None, trouble: None, packets: 0, from }
    }

    #[inline]
    fn add(&mut self, packet: &Packet, said: &StreamSegment, ends: (SocketAddr, SocketAddr)) {
        self.first = self.first.min(packet.wall);
        self.last = self.last.max(packet.wall);
        self.packets = self.packets.saturating_add(1);
        self.bytes += u64::from(packet.wire_len);
        self.initial_rtt = self.initial_rtt.or(said.analysis.initial_rtt);
        if !said.analysis.verdicts.is_empty() {
            let (a, b) = if said.from == self.from { ends } else { (ends.1, ends.0) };
            let trouble =
                self.trouble.get_or_insert_with(|| Box::new(Trouble { a, b, faults: Faults::default() }));
            trouble.faults.add(said.analysis.verdicts);
        }
    }
}

impl Worst {
    /// Looks at what is known of the streams of these words, so that it is at hand.
    pub fn fetch(&self, words: &[Word]) {
        for word in words {
            if let Word::Segment(said) = word
                && let Some(place) = self.open.get(said.stream as usize)
                && let Some(stream) = self.streams.get(*place)
            {
                std::hint::black_box((stream.last, stream.packets));
            }
        }
    }

    /// Takes a packet.
    #[inline]
    pub fn packet(&mut self, seen: &Seen<'_>) {
        for (layer, word) in seen.layers() {
            let Word::Segment(said) = word else { continue };
            let at = said.stream as usize;
            if at >= MAX_FLOWS {
                self.omitted_packets += 1;
                continue;
            }
            if at >= self.open.len() {
                self.open.resize(at + 1, NONE);
            }
            let packet = seen.dissected.packet;
            if self.open[at] == NONE {
                let new = || Stream::new(packet, said.from);
                self.open[at] = self.streams.give(|stream| *stream = new(), new);
            }
            if let Some(stream) = self.streams.get_mut(self.open[at]) {
                stream.add(packet, said, (layer.source, layer.destination));
            }
        }
    }

    /// The stream is over.
    pub fn ended(&mut self, stream: u32) {
        let at = stream as usize;
        let Some(place) = self.open.get_mut(at).map(|place| std::mem::replace(place, NONE)) else { return };
        let Some(stream) = self.streams.get(place) else { return };
        let named = Named::of(at, stream);
        self.streams.free(place);
        if self.streams.is_sparse() {
            self.streams.pack(self.open.iter_mut(), |s| Stream { trouble: s.trouble.take(), ..*s });
        }
        let Some(named) = named else { return };
        self.ended.push(named);
        if self.ended.len() > NAMED {
            self.ended.sort_by_key(Named::order);
            self.ended.truncate(NAMED);
        }
    }

    /// Those with the most trouble, those with none left out.
    pub fn named(&self) -> Vec<Named> {
        let open = self.open.iter().enumerate();
        let open = open.filter_map(|(n, place)| Named::of(n, self.streams.get(*place)?));
        let mut all: Vec<Named> = open.chain(self.ended.iter().cloned()).collect();
        if all.len() > NAMED {
            all.select_nth_unstable_by_key(NAMED, Named::order);
            all.truncate(NAMED);
        }
        all.sort_unstable_by_key(Named::order);
        all
    }
}
