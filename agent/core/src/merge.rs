//! Events of several sources, each nearly in order, become one stream in time order with bounded lateness.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use crate::core::ACCEPTING;
use crate::event::{Event, EventKind};
use crate::syscall;
use crate::time::MonoNs;

/// How long an event waits behind the slowest source: sources are in order only this far.
pub const HOLD_NS: u64 = 10_000_000;
/// How long an event waits at most, however slow a source is.
pub const MAX_WAIT_NS: u64 = 500_000_000;
/// How many events wait at most.
pub const MAX_WAITING: usize = 1_000_000;

/// A source of events: the ring buffer, one capture, and so on. Numbered by whoever opens them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u16);

/// What the merger has to say of its own work (INV 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MergeStats {
    /// Events that came after a later one had been released; they were passed on, out of order.
    pub late: u64,
    /// Events that were released before their time, because [`MAX_WAITING`] others waited.
    pub early: u64,
    /// Largest number of events that waited at once.
    pub max_waiting: usize,
}

/// Orders events by time. A source is active from [`add_source`](Self::add_source), or its first event or
/// watermark, until [`remove_source`](Self::remove_source).
#[derive(Debug)]
pub struct Merger {
    sources: Vec<Source>,
    /// Events that came behind a later one of their source: few, where a heap of all would cost more than all else here.
    stragglers: BinaryHeap<Reverse<Waiting>>,
    waiting: usize,
    arrivals: u64,
    released: MonoNs,
    max_waiting: usize,
    stats: MergeStats,
    accepting: [Option<u32>; 2],
}

/// A source, and those of its events that wait in the order in which it told them.
#[derive(Debug)]
struct Source {
    id: SourceId,
    /// `None`: nobody waits for it any more.
    watermark: Option<MonoNs>,
    run: VecDeque<Waiting>,
}

impl Default for Merger {
    fn default() -> Self {
        Self::new()
    }
}

impl Merger {
    /// No source, no event.
    pub fn new() -> Self {
        Self::with_capacity_limit(MAX_WAITING)
    }

    /// As [`new`](Self::new), with another bound than [`MAX_WAITING`].
    pub fn with_capacity_limit(max_waiting: usize) -> Self {
        Self {
            sources: Vec::new(),
            stragglers: BinaryHeap::new(),
            waiting: 0,
            arrivals: 0,
            released: MonoNs::default(),
            max_waiting: max_waiting.max(1),
            stats: MergeStats::default(),
            accepting: ACCEPTING.map(syscall::number),
        }
    }

    /// A source begins: from now on events wait until it has said how far it is.
    pub fn add_source(&mut self, source: SourceId) {
        self.watermark(source, MonoNs::default());
    }

    /// A source has ended: nobody waits for it any more.
    pub fn remove_source(&mut self, source: SourceId) {
        if let Some(s) = self.sources.iter_mut().find(|s| s.id == source) {
            s.watermark = None;
        }
        self.sources.retain(|s| s.watermark.is_some() || !s.run.is_empty());
    }

    /// Takes an event.
    pub fn push(&mut self, source: SourceId, event: Event) {
        let at = self.place(&event);
        if at < self.released {
            self.stats.late += 1;
        }
        self.arrivals += 1;
        let order = u64::from(rank(&event.kind)) << RANK_SHIFT | self.arrivals & ((1 << RANK_SHIFT) - 1);
        let waiting = Waiting { at, order, event };
        let run = &mut self.source(source).run;
        if run.back().is_none_or(|last| *last < waiting) {
            run.push_back(waiting);
        } else {
            self.stragglers.push(Reverse(waiting));
        }
        self.waiting += 1;
        self.stats.max_waiting = self.stats.max_waiting.max(self.waiting);
    }

    /// `source` has delivered everything that happened before `t`. A watermark never goes back.
    pub fn watermark(&mut self, source: SourceId, t: MonoNs) {
        let s = self.source(source);
        s.watermark = s.watermark.max(Some(t));
    }

    /// The next event in time order, if no source can still deliver an earlier one, or if it has waited for
    /// [`MAX_WAIT_NS`] by `now`.
    pub fn pop(&mut self, now: MonoNs) -> Option<Event> {
        let (at, whose) = self.first()?;
        let full = self.waiting > self.max_waiting;
        if at > self.release_until(now) {
            if !full {
                return None;
            }
            self.stats.early += 1;
        }
        self.take(whose)
    }

    /// The next event in time order, for callers who know that no source has more to say.
    pub fn finish(&mut self) -> Option<Event> {
        let (_, whose) = self.first()?;
        self.take(whose)
    }

    /// Number of events that wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// True where none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// When the next waiting event is due at the latest.
    pub fn poll_at(&self) -> Option<MonoNs> {
        self.first().map(|(at, _)| at.after(MAX_WAIT_NS))
    }

    /// Counters.
    pub fn stats(&self) -> MergeStats {
        self.stats
    }

    /// Where an event stands in the story. A short syscall stands where it was entered, before what it caused; a long
    /// one where it returned, since nobody can wait that long. accept(2) causes nothing: it stands after what it took.
    fn place(&self, event: &Event) -> MonoNs {
        match &event.kind {
            EventKind::Syscall(s)
                if event.t.since(s.entered).0 <= HOLD_NS && !self.accepting.contains(&Some(s.nr)) =>
            {
                s.entered.min(event.t)
            }
            _ => event.t,
        }
    }

    fn source(&mut self, id: SourceId) -> &mut Source {
        let at = self.sources.iter().position(|s| s.id == id).unwrap_or_else(|| {
            self.sources.push(Source { id, watermark: None, run: VecDeque::new() });
            self.sources.len() - 1
        });
        let source = &mut self.sources[at];
        source.watermark.get_or_insert_default();
        source
    }

    /// When the next event in time order is due, and the source at whose front it is; a straggler is at none.
    fn first(&self) -> Option<(MonoNs, Option<usize>)> {
        let fronts = self.sources.iter().enumerate().filter_map(|(i, s)| Some((s.run.front()?, Some(i))));
        let straggler = self.stragglers.peek().map(|Reverse(w)| (w, None));
        let (first, whose) = fronts.chain(straggler).min_by(|(a, _), (b, _)| a.cmp(b))?;
        Some((first.at, whose))
    }

    /// Takes what [`first`](Self::first) found.
    fn take(&mut self, whose: Option<usize>) -> Option<Event> {
        let waiting = match whose {
            Some(i) => {
                let source = &mut self.sources[i];
                let waiting = source.run.pop_front();
                if source.watermark.is_none() && source.run.is_empty() {
                    self.sources.swap_remove(i);
                }
                waiting
            }
            None => self.stragglers.pop().map(|Reverse(w)| w),
        }?;
        self.waiting -= 1;
        self.released = self.released.max(waiting.at);
        Some(waiting.event)
    }

    fn release_until(&self, now: MonoNs) -> MonoNs {
        let sure = match self.sources.iter().filter_map(|s| s.watermark).min() {
            Some(w) => w.before(HOLD_NS),
            None => MonoNs(u64::MAX),
        };
        // What is late already can't get better by waiting.
        sure.max(now.before(MAX_WAIT_NS)).max(self.released)
    }
}

/// Above the count of arrivals, which would take centuries to reach it.
const RANK_SHIFT: u32 = 56;

/// An event that waits. In the order in which events are released: by time, then cause before effect, then by arrival.
#[derive(Debug)]
struct Waiting {
    at: MonoNs,
    order: u64,
    event: Event,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

/// Order of cause and effect among events of the same nanosecond.
fn rank(kind: &EventKind) -> u8 {
    match kind {
        EventKind::Target(_) | EventKind::Fork { .. } | EventKind::Exec { .. } => 0,
        EventKind::Sleeps(_) => 0,
        EventKind::Syscall(_) => 1,
        EventKind::Socket(_) => 2,
        EventKind::Packet(_) => 3,
        EventKind::Retransmit(_) | EventKind::Drop(_) | EventKind::Reset { .. } => 4,
        EventKind::Readable { .. } | EventKind::Scheduled { .. } => 5,
        EventKind::SocketIo(_) | EventKind::Turn(_) | EventKind::Accept { .. } => 6,
        EventKind::Lost { .. } | EventKind::Counters(_) => 7,
        EventKind::Governor(_) => 0,
        EventKind::Signal { .. } => 8,
        EventKind::ThreadExit { .. } => 9,
        EventKind::Exit { .. } => 10,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{LossSource, SyscallEvent, Task};

    const MS: u64 = 1_000_000;
    const RING: SourceId = SourceId(0);
    const CAP: SourceId = SourceId(1);

    fn mark(t: u64) -> Event {
        let kind = EventKind::Lost { source: LossSource::Queue, what: Arc::from("t"), count: t };
        Event { t: MonoNs(t), kind }
    }

    fn syscall(entered: u64, exit: u64) -> Event {
        let s = SyscallEvent {
            task: Task::default(),
            nr: 0,
            args: [0; 6],
            ret: Some(0),
            entered: MonoNs(entered),
            cookie: None,
            captures: Vec::new(),
        };
        Event { t: MonoNs(exit), kind: EventKind::Syscall(Box::new(s)) }
    }

    fn drain(m: &mut Merger, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| m.pop(MonoNs(now))).map(|e| e.t.0).collect()
    }

    #[test]
    fn waits_for_the_slowest_source_and_holds() {
        let mut m = Merger::new();
        m.add_source(RING);
        m.add_source(CAP);
        m.push(RING, mark(30 * MS));
        m.push(RING, mark(10 * MS));
        m.watermark(RING, MonoNs(100 * MS));
        assert!(drain(&mut m, 100 * MS).is_empty(), "the capture has said nothing yet");
        m.push(CAP, mark(20 * MS));
        m.watermark(CAP, MonoNs(35 * MS));
        assert_eq!(drain(&mut m, 100 * MS), [10 * MS, 20 * MS]);
        m.watermark(CAP, MonoNs(40 * MS));
        assert_eq!(drain(&mut m, 100 * MS), [30 * MS]);
    }

    #[test]
    fn a_stuck_source_delays_by_no_more_than_max_wait() {
        let mut m = Merger::new();
        m.add_source(CAP);
        m.push(RING, mark(5));
        assert!(drain(&mut m, MAX_WAIT_NS).is_empty());
        assert_eq!(m.poll_at(), Some(MonoNs(5 + MAX_WAIT_NS)));
        assert_eq!(drain(&mut m, 5 + MAX_WAIT_NS), [5]);
    }

    #[test]
    fn late_events_pass_at_once_and_are_counted() {
        let mut m = Merger::new();
        m.push(RING, mark(50 * MS));
        m.watermark(RING, MonoNs(60 * MS));
        assert_eq!(drain(&mut m, 60 * MS), [50 * MS]);
        m.push(RING, mark(40 * MS));
        assert_eq!(drain(&mut m, 60 * MS), [40 * MS]);
        assert_eq!(m.stats().late, 1);
    }

    #[test]
    fn a_closed_source_is_not_waited_for() {
        let mut m = Merger::new();
        m.add_source(CAP);
        m.push(RING, mark(1));
        m.watermark(RING, MonoNs(1 + HOLD_NS));
        m.remove_source(CAP);
        assert_eq!(drain(&mut m, 2), [1]);
    }

    #[test]
    fn a_short_syscall_stands_where_it_was_entered_a_long_one_where_it_returned() {
        let mut m = Merger::new();
        m.push(RING, mark(5 * MS));
        m.push(RING, syscall(4 * MS, 6 * MS));
        m.push(RING, syscall(MS, 20 * MS));
        let order: Vec<u64> = std::iter::from_fn(|| m.finish()).map(|e| e.t.0).collect();
        assert_eq!(order, [6 * MS, 5 * MS, 20 * MS]);
    }

    #[test]
    fn equal_times_keep_arrival_order_and_causes_come_first() {
        let mut m = Merger::new();
        let task = Task { tgid: 1, tid: 1 };
        m.push(RING, Event { t: MonoNs(7), kind: EventKind::Exit { task, code: 0 } });
        for n in 0..3 {
            let kind = EventKind::Lost { source: LossSource::Queue, what: Arc::from("t"), count: n };
            m.push(RING, Event { t: MonoNs(7), kind });
        }
        let mut counts = Vec::new();
        while let Some(e) = m.finish() {
            match e.kind {
                EventKind::Lost { count, .. } => counts.push(Some(count)),
                _ => counts.push(None),
            }
        }
        assert_eq!(counts, [Some(0), Some(1), Some(2), None]);
    }

    #[test]
    fn what_an_ended_source_left_keeps_its_place() {
        let mut m = Merger::new();
        for t in [3, 1, 4] {
            m.push(CAP, mark(t));
        }
        m.remove_source(CAP);
        for t in [2, 5] {
            m.push(RING, mark(t));
        }
        m.watermark(RING, MonoNs(6 + HOLD_NS));
        assert_eq!(drain(&mut m, 6), [1, 2, 3, 4, 5]);
        assert!(m.is_empty());
    }

    #[test]
    fn beyond_its_bound_it_lets_the_oldest_go() {
        let mut m = Merger::with_capacity_limit(2);
        m.add_source(CAP);
        for t in [3, 1, 2] {
            m.push(RING, mark(t));
        }
        assert_eq!(drain(&mut m, 0), [1]);
        assert_eq!(m.stats(), MergeStats { late: 0, early: 1, max_waiting: 3 });
    }
}
