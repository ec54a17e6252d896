//! Name resolution, by the thread that waited for it.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::event::SocketIo;
use crate::key::Direction;
use crate::time::MonoNs;
use crate::waterfall::PRECEDES_NS;

/// Where DNS is asked for by datagrams (RFC 1035, section 4.2).
pub(super) const PORT: u16 = 53;

/// Threads of which the last lookup is remembered; the one known longest makes room.
const MAX_THREADS: usize = 1_024;

/// Queries and answers that follow one another: both address families, further servers, further domains.
#[derive(Debug, Clone, Copy)]
struct Lookup {
    start: MonoNs,
    /// The last answer.
    end: Option<MonoNs>,
}

/// The last lookup of each thread.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    of: FxHashMap<u32, Lookup>,
    order: VecDeque<u32>,
}

impl Lookups {
    /// A thread asked a name server, or read what it answered.
    pub(super) fn io(&mut self, t: MonoNs, io: &SocketIo) {
        let known = self.of.get_mut(&io.task.tid);
        match (io.direction, known) {
            (Direction::In, Some(lookup)) => lookup.end = Some(t),
            (Direction::In, None) => {}
            (Direction::Out, known) => {
                let start = io.entered.unwrap_or(t);
                match known {
                    // Both at once, or again after no answer or a useless one.
                    Some(l) if l.end.is_none_or(|end| start.since(end).0 <= PRECEDES_NS) => {}
                    Some(l) => *l = Lookup { start, end: None },
                    None => self.remember(io.task.tid, Lookup { start, end: None }),
                }
            }
        }
    }

    fn remember(&mut self, tid: u32, lookup: Lookup) {
        if self.order.len() >= MAX_THREADS
            && let Some(oldest) = self.order.pop_front()
        {
            self.of.remove(&oldest);
        }
        self.order.push_back(tid);
        self.of.insert(tid, lookup);
    }

    /// The lookup of a thread that was answered shortly before it connected.
    pub(super) fn before(&self, tid: u32, connect: MonoNs) -> Option<(MonoNs, MonoNs)> {
        let Lookup { start, end } = *self.of.get(&tid)?;
        let end = end.filter(|end| *end <= connect && connect.since(*end).0 <= PRECEDES_NS)?;
        Some((start, end))
    }
}
