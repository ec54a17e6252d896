//! Requests whose first line was seen, until the turn is told that they belong to.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::opening::Request;
use crate::time::MonoNs;

/// Requests that wait; of more at once (pipelining) the first ones are kept.
const MAX_WAITING: usize = 8;

/// Those of one connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<(MonoNs, Arc<Request>)>,
    /// Sequence number of the latest, to know it again.
    latest: Option<u32>,
}

impl Requests {
    /// A segment with this sequence number began with a request.
    pub(super) fn seen(&mut self, t: MonoNs, seq: u32, request: &Arc<Request>) {
        if self.latest.replace(seq) != Some(seq) && self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((t, Arc::clone(request)));
        }
    }

    /// The first one of a turn whose last byte was asked by `asked`; others until then are forgotten.
    pub(super) fn of_turn(&mut self, asked: MonoNs) -> Option<Arc<Request>> {
        let mut first = None;
        while self.waiting.front().is_some_and(|(t, _)| *t <= asked) {
            let (_, request) = self.waiting.pop_front()?;
            first.get_or_insert(request);
        }
        first
    }
}
