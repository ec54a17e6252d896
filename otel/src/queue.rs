//! The bounded queue between the data path and the exporter (INV 7): the data path never waits for a collector.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::Notify;

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
    /// Encoded bytes, by which the queue is bounded and batches are cut.
    pub(crate) fn encoded_len(&self) -> usize {
        let len = self.span.encoded_len();
        len + 1 + prost::length_delimiter_len(len)
    }
}

/// What was not exported, cumulative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Spans shed because the queue was full, by [`Worth`] in its order.
    pub shed: [u64; WORTHS],
    /// Spans that the collector refused or that could not be sent until the end.
    pub failed_spans: u64,
    /// Metric points that the collector refused or that could not be sent until the end.
    pub failed_points: u64,
}

impl Losses {
    /// All spans lost, for whatever reason.
    pub fn spans(&self) -> u64 {
        self.shed.iter().sum::<u64>() + self.failed_spans
    }
}

#[derive(Debug, Default)]
struct Inner {
    waiting: [VecDeque<(SpanItem, usize)>; WORTHS],
    /// Bytes that wait.
    waiting_bytes: usize,
    /// Bytes taken by the exporter and not settled yet: they count against the cap too.
    taken_bytes: usize,
    /// The newest state of all metrics. They are cumulative, so that a newer one makes an unsent one unnecessary.
    metrics: Option<Vec<ResourceMetrics>>,
    losses: Losses,
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    cap_bytes: usize,
    traces: bool,
    metrics: bool,
    pub(crate) wake: Notify,
}

/// The data path's end of the queue. Cloning it is cheap; no method of it blocks on the exporter.
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

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        self.queue.lock().losses
    }
}

/// Whether more is to be expected of the queue.
pub(crate) enum Taken {
    /// Spans for one request, or none for now.
    Spans(Vec<SpanItem>),
    /// Empty, and nothing will come.
    End,
}

impl Queue {
    pub(crate) fn new(cap_bytes: usize, traces: bool, metrics: bool) -> Self {
        Self { inner: Mutex::default(), cap_bytes, traces, metrics, wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The state is consistent after every statement that could panic, so that a poisoned lock is good.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: SpanItem) -> bool {
        if !self.traces {
            return true;
        }
        let bytes = item.encoded_len();
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
        inner.waiting_bytes += bytes;
        inner.waiting[worth as usize].push_back((item, bytes));
        drop(inner);
        self.wake.notify_one();
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
            self.wake.notify_one();
        }
    }

    /// Takes spans up to `most_bytes` (at least one, if there is one), the most valuable first.
    pub(crate) fn take(&self, most_bytes: usize) -> Taken {
        let mut inner = self.lock();
        let mut items = Vec::new();
        let mut taken = 0;
        for class in (0..WORTHS).rev() {
            while let Some(&(_, bytes)) = inner.waiting[class].front() {
                if !items.is_empty() && taken + bytes > most_bytes {
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
        if items.is_empty() && inner.closed && inner.metrics.is_none() { Taken::End } else { Taken::Spans(items) }
    }

    pub(crate) fn take_metrics(&self) -> Option<Vec<ResourceMetrics>> {
        self.lock().metrics.take()
    }

    /// Puts metrics back that could not be sent, unless newer ones came.
    pub(crate) fn return_metrics(&self, metrics: Vec<ResourceMetrics>) {
        self.lock().metrics.get_or_insert(metrics);
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.lock().waiting_bytes
    }

    /// Taken spans were delivered or given up: their memory is free again.
    pub(crate) fn settle(&self, bytes: usize, failed_spans: u64) {
        let mut inner = self.lock();
        inner.taken_bytes = inner.taken_bytes.saturating_sub(bytes);
        inner.losses.failed_spans += failed_spans;
    }

    pub(crate) fn settle_points(&self, failed_points: u64) {
        self.lock().losses.failed_points += failed_points;
    }

    /// No more is taken in.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Gives up everything that still waits.
    pub(crate) fn abandon(&self) -> Losses {
        let mut inner = self.lock();
        inner.closed = true;
        let spans: usize = inner.waiting.iter_mut().map(|class| class.drain(..).count()).sum();
        inner.losses.failed_spans += spans as u64;
        inner.waiting_bytes = 0;
        if let Some(metrics) = inner.metrics.take() {
            inner.losses.failed_points += crate::batch::points(&metrics);
        }
        inner.losses
    }
}
