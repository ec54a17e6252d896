//! Intervals with labels, and the sweep that gives every instant to one of them.

use super::{Part, Parts};
use crate::tcp::seq::SeqNum;
use crate::time::MonoNs;

/// An interval with a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) part: Part,
    pub(super) from: MonoNs,
    pub(super) to: MonoNs,
    /// Sequence numbers of the bytes that it is about, for a loss that we sent.
    pub(super) range: Option<(SeqNum, SeqNum)>,
    /// A loss that no word of the peer's takes back.
    pub(super) sure: bool,
    /// Not the bytes were lost but what the peer answered: nothing to one who waits for no answer.
    pub(super) unheard: bool,
}

impl Span {
    pub(super) fn new(part: Part, from: MonoNs, to: MonoNs) -> Self {
        Self { part, from, to, range: None, sure: true, unheard: false }
    }

    /// What of it lies within the bounds.
    pub(super) fn within(self, from: MonoNs, to: MonoNs) -> Self {
        Self { from: self.from.max(from), to: self.to.min(to), ..self }
    }
}

/// Each instant from `start` to `end` to the first part, in the order of [`Part::ALL`], that covers it.
pub(super) fn sweep(start: MonoNs, end: MonoNs, spans: &[Span]) -> Parts {
    let mut edges: Vec<(MonoNs, Part, bool)> = Vec::with_capacity(2 * spans.len());
    for span in spans.iter().map(|s| s.within(start, end)).filter(|s| s.from < s.to) {
        edges.push((span.from, span.part, true));
        edges.push((span.to, span.part, false));
    }
    edges.sort_unstable_by_key(|(t, ..)| *t);
    let mut covers = [0_u32; Part::ALL.len()];
    let mut parts = Parts::default();
    let mut at = start;
    for (t, part, begins) in edges {
        parts.add(first(&covers), t.since(at).0);
        at = t;
        if let Some(n) = covers.get_mut(part as usize) {
            // Of edges at one instant an end may come before its beginning's neighbour, never before its own.
            *n = if begins { n.saturating_add(1) } else { n.saturating_sub(1) };
        }
    }
    parts.add(first(&covers), end.since(at).0);
    parts
}

fn first(covers: &[u32; Part::ALL.len()]) -> Part {
    Part::ALL.into_iter().zip(covers).find(|(_, n)| **n > 0).map_or(Part::Unaccounted, |(part, _)| part)
}
