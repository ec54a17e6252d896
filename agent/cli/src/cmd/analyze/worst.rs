//! The streams with the most trouble, in the memory of those that are open.

use std::cmp::Reverse;

use super::flows::{Flow, MAX_FLOWS};
use super::{Seen, Word};

/// Streams that are named.
const NAMED: usize = 5;

/// Streams by their number while they are open, and the worst of those that have ended.
#[derive(Debug, Default)]
pub struct Worst {
    open: Vec<Option<Box<Flow>>>,
    ended: Vec<(usize, Box<Flow>)>,
    /// Packets of streams that were not looked at, because there are too many.
    pub omitted_packets: u64,
}

/// The worst first; among equals the first.
fn order((stream, flow): &(usize, &Flow)) -> (Reverse<u64>, usize) {
    (Reverse(flow.trouble()), *stream)
}

impl Worst {
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
                self.open.resize_with(at + 1, || None);
            }
            let packet = seen.dissected.packet;
            if let Some(place) = self.open.get_mut(at) {
                let flow = place.get_or_insert_with(|| Box::new(Flow::new(packet, layer)));
                flow.add(packet, layer);
                flow.judge(&said.analysis);
            }
        }
    }

    /// The stream is over.
    pub fn ended(&mut self, stream: u32) {
        let at = stream as usize;
        let Some(flow) = self.open.get_mut(at).and_then(Option::take).filter(|f| f.trouble() > 0) else {
            return;
        };
        self.ended.push((at, flow));
        if self.ended.len() > NAMED {
            self.ended.sort_by_key(|(stream, flow)| order(&(*stream, flow)));
            self.ended.truncate(NAMED);
        }
    }

    /// Those with the most trouble, those with none left out.
    pub fn named(&self) -> Vec<(usize, &Flow)> {
        let open = self.open.iter().enumerate().filter_map(|(n, flow)| Some((n, flow.as_deref()?)));
        let ended = self.ended.iter().map(|(n, flow)| (*n, flow.as_ref()));
        let mut all: Vec<(usize, &Flow)> = open.chain(ended).filter(|(_, f)| f.trouble() > 0).collect();
        if all.len() > NAMED {
            all.select_nth_unstable_by_key(NAMED, order);
            all.truncate(NAMED);
        }
        all.sort_unstable_by_key(order);
        all
    }
}
