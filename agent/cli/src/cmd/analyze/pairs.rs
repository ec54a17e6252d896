//! Conversations between addresses below the transport: who with whom, how much each way.

use std::fmt;
use std::hash::Hash;

use rustc_hash::FxHashMap;
use tracenet_core::time::WallNs;

use super::flows::Way;
use super::reading::Packet;

/// Conversations that are told apart; the packets of more are only counted.
const MAX: usize = 1 << 20;

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, b) in self.0.iter().enumerate() {
            write!(f, "{}{b:02x}", if n == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// A conversation.
#[derive(Debug, Clone)]
pub struct Pair<A> {
    /// Sender of the first packet seen.
    pub a: A,
    pub b: A,
    pub from_a: Way,
    pub from_b: Way,
    pub first: WallNs,
    pub last: WallNs,
}

/// Conversations in the order of first sight.
#[derive(Debug)]
pub struct Pairs<A> {
    numbers: FxHashMap<(A, A), usize>,
    pub all: Vec<Pair<A>>,
    /// Packets of conversations that were not kept.
    pub omitted: u64,
}

impl<A> Default for Pairs<A> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default(), all: Vec::new(), omitted: 0 }
    }
}

impl<A: Copy + Ord + Hash> Pairs<A> {
    /// Counts a packet from `source` to `destination`.
    pub fn add(&mut self, packet: &Packet, source: A, destination: A) {
        let key = if source <= destination { (source, destination) } else { (destination, source) };
        let next = self.all.len();
        if next >= MAX && !self.numbers.contains_key(&key) {
            self.omitted += 1;
            return;
        }
        let at = *self.numbers.entry(key).or_insert(next);
        if at == next {
            self.all.push(Pair {
                a: source,
                b: destination,
                from_a: Way::default(),
                from_b: Way::default(),
                first: packet.wall,
                last: packet.wall,
            });
        }
        let Some(pair) = self.all.get_mut(at) else { return };
        let way = if pair.a == source { &mut pair.from_a } else { &mut pair.from_b };
        way.frames += 1;
        way.bytes += u64::from(packet.wire_len);
        pair.first = pair.first.min(packet.wall);
        pair.last = pair.last.max(packet.wall);
    }
}
