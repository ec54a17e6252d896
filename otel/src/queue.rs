//! The bounded queue between the data path and the exporter (INV 7): the data path never waits for a collector.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::Notify;

use crate::account::{Account, Fates};
use crate::batch::{self, BATCH_BYTES};
use crate::exporter::ExportReport;
use crate::spool::Held;
use crate::weight;

/// What a span is worth: when the queue is full, the least valuable are shed first, and among these the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worth {
    /// A syscall.
    Syscall,
    /// A turn.
    Turn,
    /// A connection and its parts.
    Connection,
    /// Anything that failed.
    Error,
}

const WORTHS: usize = 4;

/// A span on its way.
#[derive(Debug, Clone)]
pub struct SpanItem {
    /// The observed process.
    pub resource: Arc<Resource>,
    /// The span.
    pub span: Span,
    /// Its place in the order of shedding.
    pub worth: Worth,
}

impl SpanItem {
    /// Bytes that it takes while it waits, by which the queue is bounded and batches are cut.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + size_of::<usize>() + weight::beside(&self.span)
    }
}

/// What was not exported, cumulative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Spans shed because the queue was full, by [`Worth`] in its order.
    pub shed: [u64; WORTHS],
    /// Spans that the collector refused or that could not be sent until the end.
    pub failed_spans: u64,
    /// Spans that were lost in the spool: shed because it was full, or in files that could not be read.
    pub spooled_spans: u64,
    /// Metric points that the collector refused or that could not be sent until the end.
    pub failed_points: u64,
}

impl Losses {
    /// All spans lost, for whatever reason.
    pub fn spans(&self) -> u64 {
        self.shed.iter().sum::<u64>() + self.failed_spans + self.spooled_spans
    }
}

/// How many of a request's spans or points were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// So many, which may be none; the others were taken.
    Some(u64),
    /// The request.
    All,
}

impl Fates {
    /// So many are on their way no longer. Returns how many of them were refused.
    fn settle(&mut self, n: u64, refused: Refused) -> u64 {
        self.inflight = self.inflight.saturating_sub(n);
        match refused {
            Refused::Some(some) => {
                let some = some.min(n);
                self.exported += n - some;
                self.rejected += some;
                some
            }
            Refused::All => {
                self.refused += n;
                n
            }
        }
    }
}

impl std::ops::Add for Losses {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let mut shed = self.shed;
        shed.iter_mut().zip(other.shed).for_each(|(sum, n)| *sum += n);
        Self {
            shed,
            failed_spans: self.failed_spans + other.failed_spans,
            failed_points: self.failed_points + other.failed_points,
            spooled_spans: self.spooled_spans + other.spooled_spans,
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    waiting: [VecDeque<(SpanItem, usize)>; WORTHS],
    /// Bytes that wait.
    waiting_bytes: usize,
    /// Taken by the exporter and not settled yet. The bytes count against the cap too.
    taken_bytes: usize,
    /// All that were taken in, by which the size of one is known.
    pushed: (u64, u64),
    /// Those that were taken are in flight.
    spans: Fates,
    points: Fates,
    /// Spans that were ever taken.
    taken: u64,
    /// The newest state of all metrics. They are cumulative, so that a newer one makes an unsent one unnecessary.
    metrics: Option<Vec<ResourceMetrics>>,
    spool: Held,
    retries: u64,
    switches: u64,
    losses: Losses,
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    cap_bytes: usize,
    traces: bool,
    metrics: bool,
    /// There are spans where there were none, or enough for a request, or the end has come.
    pub(crate) spans_wake: Notify,
    /// There are metrics, or the end has come.
    pub(crate) metrics_wake: Notify,
    /// Something was settled.
    room: Condvar,
}

/// The data path's end of the queue. Cloning it is cheap; only [`wait_for_room`](Self::wait_for_room) blocks on the
/// exporter.
#[derive(Debug, Clone)]
pub struct Sink {
    pub(crate) queue: Arc<Queue>,
}

impl Sink {
    /// Puts a span into the queue, shedding what is worth less (or this one) when it is full. `false`: this one was
    /// shed. Where traces are not exported, spans are dropped without being counted.
    pub fn try_push(&self, item: SpanItem) -> bool {
        self.queue.push(item)
    }

    /// Waits until the queue has room for `item`, for as long as something is delivered at least every `patience`.
    /// For whoever reads what is there already: a live data path must not wait. `false`: there is no room.
    pub fn wait_for_room(&self, item: &SpanItem, patience: Duration) -> bool {
        self.queue.wait_for_room(item.weight(), patience)
    }

    /// Replaces the metrics that wait for export by a newer state of all of them.
    pub fn set_metrics(&self, metrics: Vec<ResourceMetrics>) {
        self.queue.set_metrics(metrics);
    }

    /// True where spans are wanted.
    pub fn wants_spans(&self) -> bool {
        self.queue.traces
    }

    /// True where metrics are wanted.
    pub fn wants_metrics(&self) -> bool {
        self.queue.metrics
    }

    /// True where no metrics wait or are on their way: the last state that was set has arrived, or is counted as
    /// lost.
    pub fn metrics_settled(&self) -> bool {
        let inner = self.queue.lock();
        inner.metrics.is_none() && inner.points.inflight == 0
    }

    /// What became of everything so far, and how full the queue is.
    pub fn account(&self) -> Account {
        self.queue.account()
    }

    /// Requests that had to be sent again so far.
    pub fn retries(&self) -> u64 {
        self.queue.lock().retries
    }

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        self.queue.lock().losses
    }
}

impl Queue {
    pub(crate) fn new(cap_bytes: usize, traces: bool, metrics: bool) -> Self {
        Self {
            inner: Mutex::default(),
            cap_bytes,
            traces,
            metrics,
            spans_wake: Notify::new(),
            metrics_wake: Notify::new(),
            room: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The state is consistent after every statement that could panic, so that a poisoned lock is good.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: SpanItem) -> bool {
        if !self.traces {
            return true;
        }
        let bytes = item.weight();
        let worth = item.worth;
        let mut inner = self.lock();
        if inner.closed {
            inner.losses.failed_spans += 1;
            return false;
        }
        while inner.taken_bytes + inner.waiting_bytes + bytes > self.cap_bytes {
            let Some(class) = (0..=worth as usize).find(|&class| !inner.waiting[class].is_empty()) else {
                inner.losses.shed[worth as usize] += 1;
                return false;
            };
            if let Some((_, shed)) = inner.waiting[class].pop_front() {
                inner.waiting_bytes -= shed;
                inner.losses.shed[class] += 1;
            }
        }
        let before = inner.waiting_bytes;
        inner.waiting_bytes += bytes;
        inner.pushed = (inner.pushed.0 + 1, inner.pushed.1 + bytes as u64);
        let now = inner.waiting_bytes;
        inner.waiting[worth as usize].push_back((item, bytes));
        drop(inner);
        // Waking costs a system call, so not for every span.
        if before == 0 || (before < BATCH_BYTES && now >= BATCH_BYTES) {
            self.spans_wake.notify_one();
        }
        true
    }

    fn wait_for_room(&self, bytes: usize, patience: Duration) -> bool {
        let mut inner = self.lock();
        while inner.taken_bytes + inner.waiting_bytes + bytes > self.cap_bytes && !inner.closed {
            let waited = self.room.wait_timeout(inner, patience).unwrap_or_else(PoisonError::into_inner);
            inner = waited.0;
            if waited.1.timed_out() {
                return false;
            }
        }
        true
    }

    fn set_metrics(&self, metrics: Vec<ResourceMetrics>) {
        if !self.metrics || metrics.is_empty() {
            return;
        }
        let mut inner = self.lock();
        if !inner.closed {
            inner.metrics = Some(metrics);
            drop(inner);
            self.metrics_wake.notify_one();
        }
    }

    /// Takes spans for one request, the most valuable first, with the bytes to settle. Without spans: `None` at
    /// the end, an empty list before it.
    pub(crate) fn take(&self) -> Option<(Vec<SpanItem>, usize)> {
        let mut inner = self.lock();
        let mut items = Vec::new();
        let mut taken = 0;
        for class in (0..WORTHS).rev() {
            while let Some(&(_, bytes)) = inner.waiting[class].front() {
                if !items.is_empty() && taken + bytes > BATCH_BYTES {
                    break;
                }
                if let Some((item, _)) = inner.waiting[class].pop_front() {
                    items.push(item);
                }
                taken += bytes;
            }
        }
        inner.waiting_bytes -= taken;
        inner.taken_bytes += taken;
        inner.spans.inflight += items.len() as u64;
        inner.taken += items.len() as u64;
        (!items.is_empty() || !inner.closed).then_some((items, taken))
    }

    /// Taken spans were delivered, but for those that were refused.
    pub(crate) fn settle(&self, spans: u64, bytes: usize, refused: Refused) {
        let mut inner = self.lock();
        inner.taken_bytes = inner.taken_bytes.saturating_sub(bytes);
        inner.losses.failed_spans += inner.spans.settle(spans, refused);
        drop(inner);
        self.room.notify_all();
    }

    /// Taken spans are in the spool.
    pub(crate) fn settle_spooled(&self, spans: u64, bytes: usize) {
        let mut inner = self.lock();
        inner.taken_bytes = inner.taken_bytes.saturating_sub(bytes);
        inner.spans.inflight = inner.spans.inflight.saturating_sub(spans);
        drop(inner);
        self.room.notify_all();
    }

    /// Spans out of the spool are on their way.
    pub(crate) fn take_spooled(&self, spans: u64) {
        self.lock().spans.inflight += spans;
    }

    /// They are not: they stay in the spool.
    pub(crate) fn return_spooled(&self, spans: u64) {
        let mut inner = self.lock();
        inner.spans.inflight = inner.spans.inflight.saturating_sub(spans);
    }

    /// How the spool stands.
    pub(crate) fn set_spool(&self, held: Held) {
        let mut inner = self.lock();
        inner.spool = held;
        inner.losses.spooled_spans = held.shed + held.damaged;
    }

    /// Takes the metrics that wait. `Err`: none will come.
    pub(crate) fn take_metrics(&self) -> Result<Option<Vec<ResourceMetrics>>, End> {
        let mut inner = self.lock();
        match inner.metrics.take() {
            Some(metrics) => {
                inner.points.inflight = batch::points(&metrics);
                Ok(Some(metrics))
            }
            None if inner.closed => Err(End),
            None => Ok(None),
        }
    }

    /// Taken points were delivered, but for those that were refused.
    pub(crate) fn settle_points(&self, points: u64, refused: Refused) {
        let mut inner = self.lock();
        inner.losses.failed_points += inner.points.settle(points, refused);
    }

    /// Taken metrics could not be sent yet: they wait again, unless newer ones came in their place.
    pub(crate) fn return_metrics(&self, metrics: Vec<ResourceMetrics>) {
        let mut inner = self.lock();
        inner.points.inflight = 0;
        inner.metrics.get_or_insert(metrics);
        drop(inner);
        self.metrics_wake.notify_one();
    }

    pub(crate) fn count_retry(&self) {
        self.lock().retries += 1;
    }

    pub(crate) fn count_switch(&self) {
        self.lock().switches += 1;
    }

    fn account(&self) -> Account {
        let inner = self.lock();
        let (spans, bytes) = inner.pushed;
        let capacity = u128::from(spans) * self.cap_bytes as u128 / u128::from(bytes.max(1));
        Account {
            spans: inner.spans,
            points: inner.points,
            taken: inner.taken,
            shed: inner.losses.shed.iter().sum(),
            waiting: inner.waiting.iter().map(|class| class.len() as u64).sum(),
            capacity: u64::try_from(capacity).unwrap_or(u64::MAX),
            spool: inner.spool,
            switches: inner.switches,
        }
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.lock().waiting_bytes
    }

    /// No more is taken in.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.spans_wake.notify_one();
        self.metrics_wake.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Gives up everything that is not settled, and says what became of all.
    pub(crate) fn abandon(&self) -> ExportReport {
        let mut inner = self.lock();
        inner.closed = true;
        let waiting: usize = inner.waiting.iter_mut().map(|class| class.drain(..).count()).sum();
        inner.losses.failed_spans += waiting as u64 + std::mem::take(&mut inner.spans.inflight);
        inner.waiting_bytes = 0;
        let points = inner.metrics.take().map_or(0, |metrics| batch::points(&metrics));
        inner.losses.failed_points += points + std::mem::take(&mut inner.points.inflight);
        ExportReport {
            sent_spans: inner.spans.exported,
            sent_points: inner.points.exported,
            spooled_spans: inner.spool.spans,
            retries: inner.retries,
            switches: inner.switches,
            losses: inner.losses,
        }
    }
}

/// Nothing will come any more.
#[derive(Debug)]
pub(crate) struct End;
