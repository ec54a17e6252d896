//! The streams with the most trouble, in the memory of those that are open.

use std::cmp::Reverse;

use tracenet_core::slab::Slab;

use super::flows::{Flow, MAX_FLOWS};
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
    flows: Slab<Flow>,
    ended: Vec<(usize, Flow)>,
    /// Packets of streams that were not looked at, because there are too many.
    pub omitted_packets: u64,
}

/// The worst first; among equals the first.
fn order((stream, flow): &(usize, &Flow)) -> (Reverse<u64>, usize) {
    (Reverse(flow.trouble()), *stream)
}

impl Worst {
    /// Looks at what is known of the streams of these words, so that it is at hand.
    pub fn fetch(&self, words: &[Word]) {
        for word in words {
            if let Word::Segment(said) = word
                && let Some(place) = self.open.get(said.stream as usize)
                && let Some(flow) = self.flows.get(*place)
            {
                std::hint::black_box((flow.last, flow.from_b.bytes, flow.zero_windows));
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
                let new = || Flow::new(packet, layer);
                self.open[at] = self.flows.give(|flow| *flow = new(), new);
            }
            if let Some(flow) = self.flows.get_mut(self.open[at]) {
                flow.add(packet, layer);
                flow.judge(&said.analysis);
            }
        }
    }

    /// The stream is over.
    pub fn ended(&mut self, stream: u32) {
        let at = stream as usize;
        let Some(place) = self.open.get_mut(at).map(|place| std::mem::replace(place, NONE)) else { return };
        let Some(flow) = self.flows.get(place) else { return };
        let troubled = (flow.trouble() > 0).then(|| flow.clone());
        self.flows.free(place);
        if self.flows.is_sparse() {
            self.flows.pack(self.open.iter_mut(), |flow| flow.clone());
        }
        let Some(flow) = troubled else { return };
        self.ended.push((at, flow));
        if self.ended.len() > NAMED {
            self.ended.sort_by_key(|(stream, flow)| order(&(*stream, flow)));
            self.ended.truncate(NAMED);
        }
    }

    /// Those with the most trouble, those with none left out.
    pub fn named(&self) -> Vec<(usize, &Flow)> {
        let open = self.open.iter().enumerate().filter_map(|(n, place)| Some((n, self.flows.get(*place)?)));
        let ended = self.ended.iter().map(|(n, flow)| (*n, flow));
        let mut all: Vec<(usize, &Flow)> = open.chain(ended).filter(|(_, f)| f.trouble() > 0).collect();
        if all.len() > NAMED {
            all.select_nth_unstable_by_key(NAMED, order);
            all.truncate(NAMED);
        }
        all.sort_unstable_by_key(order);
        all
    }
}
