//! The exporting thread: batches, retries with backoff, and an account of every span.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::batch::{self, BATCH_BYTES};
use crate::endpoints::Endpoints;
use crate::file::JsonFile;
use crate::options::{Destination, Error, ExportOptions, SignalOptions};
use crate::otlp::Outcome;
use crate::queue::{Losses, Queue, Refused, Sink, SpanItem};
use crate::spool::Spool;

/// How long spans wait for company before they are sent.
const LINGER: Duration = Duration::from_secs(1);
/// The same, before they go into the spool.
const SPOOL_LINGER: Duration = Duration::from_secs(10);
/// What the spool may take to store the last spans, after the end.
const SPOOL_GRACE: Duration = Duration::from_millis(500);
/// First wait before a request is sent again; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// Longest wait before a request is sent again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// Longest wait that a collector may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// [`LONGEST_BACKOFF`], once the end is near.
const LONGEST_BACKOFF_AT_END: Duration = Duration::from_millis(500);

/// What became of everything, at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportReport {
    /// Spans that the collector (or file) took.
    pub sent_spans: u64,
    /// Metric points that it took.
    pub sent_points: u64,
    /// Spans that are in the spool, for the next run.
    pub spooled_spans: u64,
    /// Requests that had to be sent again.
    pub retries: u64,
    /// Changes from one collector to another.
    pub switches: u64,
    /// What was lost.
    pub losses: Losses,
}

/// Owns the thread that exports.
#[derive(Debug)]
pub struct Exporter {
    queue: Arc<Queue>,
    /// Set to the moment at which everything is given up.
    deadline: watch::Sender<Option<Instant>>,
    thread: JoinHandle<()>,
    done: mpsc::Receiver<()>,
}

impl Exporter {
    /// Starts the thread. A file is created here, so that a path that can't be written is an error at once; a
    /// collector that is down is none.
    pub fn start(options: &ExportOptions) -> Result<Self, Error> {
        let queue =
            Arc::new(Queue::new(options.queue_bytes, options.traces.is_some(), options.metrics.is_some()));
        let (deadline, deadline_seen) = watch::channel(None);
        let (started, start) = mpsc::sync_channel(1);
        let (finished, done) = mpsc::sync_channel(1);
        let thread = {
            let queue = Arc::clone(&queue);
            let options = options.clone();
            let grace = if options.spool.is_some() { SPOOL_GRACE } else { Duration::ZERO };
            std::thread::Builder::new().name("tracenet-otlp".to_owned()).spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(e) => {
                        let _ = started.send(Err(Error::Start(e)));
                        return;
                    }
                };
                runtime.block_on(async {
                    match Lane::both(&options, &queue, &deadline_seen) {
                        Err(e) => {
                            let _ = started.send(Err(e));
                        }
                        Ok((traces, metrics)) => {
                            let _ = started.send(Ok(()));
                            let lanes = async { tokio::join!(traces.run_traces(), metrics.run_metrics()) };
                            // What is cut off here is counted by `Queue::abandon`.
                            tokio::select! {
                                _ = lanes => {}
                                () = reached(deadline_seen, grace) => {}
                            }
                        }
                    }
                });
                // A name lookup that hangs would hold the thread.
                runtime.shutdown_background();
                let _ = finished.send(());
            })
        };
        let thread = thread.map_err(Error::Start)?;
        match start.recv() {
            Ok(Ok(())) => Ok(Self { queue, deadline, thread, done }),
            Ok(Err(e)) => Err(e),
            Err(_) => Err(Error::Start(std::io::Error::other("its thread ended at once"))),
        }
    }

    /// The data path's end.
    pub fn sink(&self) -> Sink {
        Sink { queue: Arc::clone(&self.queue) }
    }

    /// Sends what is left, for at most `deadline`, and tells what became of everything.
    pub fn shutdown(self, deadline: Duration) -> ExportReport {
        self.queue.close();
        self.deadline.send_replace(Some(Instant::now() + deadline));
        // A file that is a pipe without a reader may hold the thread; then it is left behind.
        let grace = Duration::from_secs(1);
        if self.done.recv_timeout(deadline + grace) != Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = self.thread.join();
        }
        self.queue.abandon()
    }
}

/// Waits until the deadline is set and past, with some `grace`.
async fn reached(mut deadline: watch::Receiver<Option<Instant>>, grace: Duration) {
    let at = match deadline.wait_for(Option::is_some).await {
        Ok(at) => *at,
        // The exporter was dropped without a shutdown: nobody waits for the rest.
        Err(_) => return,
    };
    if let Some(at) = at {
        tokio::time::sleep_until(at + grace).await;
    }
}

/// How the collector does, so that a change is logged and the same again is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    Unreachable,
    Refusing,
    PartlyRefusing,
}

/// One signal's way to its collectors.
struct Lane {
    queue: Arc<Queue>,
    endpoints: Option<Endpoints>,
    spool: Option<Spool>,
    deadline: watch::Receiver<Option<Instant>>,
    health: Health,
    /// Requests in a row that had to be sent again.
    failures: u32,
    /// When what is in the spool is tried again.
    again: Instant,
    /// When spans that wait go into the spool.
    stow_at: Instant,
}

impl Lane {
    fn both(
        options: &ExportOptions,
        queue: &Arc<Queue>,
        deadline: &watch::Receiver<Option<Instant>>,
    ) -> Result<(Self, Self), Error> {
        let mut files = Vec::new();
        let mut lane = |name, signal: Option<&SignalOptions>| {
            let endpoints = signal.map(|signal| Self::endpoints(name, signal, queue, &mut files));
            Ok(Self {
                queue: Arc::clone(queue),
                endpoints: endpoints.transpose()?,
                spool: None,
                deadline: deadline.clone(),
                health: Health::Good,
                failures: 0,
                again: Instant::now(),
                stow_at: Instant::now(),
            })
        };
        let mut traces = lane("traces", options.traces.as_ref())?;
        let metrics = lane("metrics", options.metrics.as_ref())?;
        // A file needs none.
        if traces.endpoints.as_ref().is_some_and(Endpoints::has_collector) {
            traces.spool = options.spool.clone().map(Spool::new);
        }
        Ok((traces, metrics))
    }

    /// `files` are those that are open: both signals in one file is the usual case, and lines must not mix.
    fn endpoints(
        name: &'static str,
        signal: &SignalOptions,
        queue: &Arc<Queue>,
        files: &mut Vec<(PathBuf, JsonFile)>,
    ) -> Result<Endpoints, Error> {
        let file = match &signal.destination {
            Destination::Collector { .. } => None,
            Destination::File(path) => {
                let known = files.iter().find(|(p, _)| p == path).map(|(_, file)| file.clone());
                let file = match known {
                    Some(file) => file,
                    None => JsonFile::create(path)?,
                };
                files.push((path.clone(), file.clone()));
                Some(file)
            }
        };
        Endpoints::new(name, signal, file, queue)
    }

    async fn run_traces(mut self) {
        let Some(mut endpoints) = self.endpoints.take() else { return };
        loop {
            if let Some(spool) = &mut self.spool {
                spool.open();
                self.queue.set_spool(spool.held());
                if !spool.is_empty() {
                    if !self.catch_up(&mut endpoints).await {
                        return;
                    }
                    continue;
                }
            }
            self.gather().await;
            match self.queue.take() {
                None => return,
                Some((items, _)) if items.is_empty() => self.queue.spans_wake.notified().await,
                Some((items, bytes)) => self.deliver(&mut endpoints, items, bytes).await,
            }
        }
    }

    /// Waits until there is a request's worth of spans, or some that waited for [`LINGER`], or the end.
    async fn gather(&self) {
        while self.queue.waiting_bytes() == 0 && !self.queue.is_closed() {
            self.queue.spans_wake.notified().await;
        }
        self.gather_until(Instant::now() + LINGER).await;
    }

    /// Waits until there is a request's worth of spans, or until then, or the end.
    async fn gather_until(&self, then: Instant) {
        while self.queue.waiting_bytes() < BATCH_BYTES && !self.queue.is_closed() {
            if tokio::time::timeout_at(then, self.queue.spans_wake.notified()).await.is_err() {
                return;
            }
        }
    }

    async fn deliver(&mut self, endpoints: &mut Endpoints, items: Vec<SpanItem>, bytes: usize) {
        let mut bytes_left = bytes;
        let mut parts = vec![items];
        while let Some(mut part) = parts.pop() {
            let spans = part.len() as u64;
            let refused = match self.attempt(endpoints, batch::trace_request(&part)).await {
                Outcome::Delivered { rejected, message } => {
                    self.delivered(endpoints, rejected, &message);
                    Refused::Some(rejected)
                }
                Outcome::Retry { after, why } => {
                    let wait = self.failed(endpoints, after, &why);
                    parts.push(part);
                    if self.spool.is_some() && self.no_collector(endpoints) {
                        let left: Vec<SpanItem> = parts.into_iter().rev().flatten().collect();
                        if self.stow(&left, bytes_left) {
                            self.again = Instant::now() + wait;
                            self.stow_at = Instant::now() + SPOOL_LINGER;
                            return;
                        }
                        parts = vec![left];
                    }
                    self.back_off(after, wait).await;
                    continue;
                }
                Outcome::TooLarge { .. } if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                    continue;
                }
                Outcome::TooLarge { why } | Outcome::Failed { why } => {
                    self.refused(endpoints, &why);
                    Refused::All
                }
            };
            let part_bytes =
                if parts.is_empty() { bytes_left } else { part.iter().map(SpanItem::weight).sum() };
            bytes_left = bytes_left.saturating_sub(part_bytes);
            self.queue.settle(spans, part_bytes, refused);
        }
    }

    /// One request. With a spool it ends in time for its spans to be kept there.
    async fn attempt(&self, endpoints: &mut Endpoints, request: ExportTraceServiceRequest) -> Outcome {
        let answer = endpoints.client().traces(request);
        if self.spool.is_none() {
            return answer.await;
        }
        tokio::select! {
            outcome = answer => outcome,
            () = reached(self.deadline.clone(), Duration::ZERO) => {
                Outcome::Retry { after: None, why: "no answer until the end".to_owned() }
            }
        }
    }

    /// True where all collectors had their tries, or there is no time for more.
    fn no_collector(&self, endpoints: &Endpoints) -> bool {
        self.failures >= endpoints.tries() || self.queue.is_closed()
    }

    /// Puts taken spans into the spool; false where that can't be.
    fn stow(&mut self, items: &[SpanItem], bytes: usize) -> bool {
        let Some(spool) = &mut self.spool else { return false };
        let spans = items.len() as u64;
        let stowed = spool.put(&batch::trace_request(items), spans);
        self.queue.set_spool(spool.held());
        if stowed {
            self.queue.settle_spooled(spans, bytes);
        }
        stowed
    }

    /// While there is something in the spool, what is new goes in behind it, and its oldest is sent when it is time to.
    /// False: it is over.
    async fn catch_up(&mut self, endpoints: &mut Endpoints) -> bool {
        tokio::select! {
            biased;
            () = self.gather_until(self.stow_at) => {}
            () = tokio::time::sleep_until(self.again) => {
                self.send_oldest(endpoints).await;
                return true;
            }
        }
        self.stow_at = Instant::now() + SPOOL_LINGER;
        match self.queue.take() {
            Some((items, _)) if items.is_empty() => true,
            Some((items, bytes)) => {
                if !self.stow(&items, bytes) {
                    self.deliver(endpoints, items, bytes).await;
                }
                true
            }
            None => {
                // What a collector doesn't take now is for the next run.
                while self.send_oldest(endpoints).await {}
                false
            }
        }
    }

    /// Sends the oldest request of the spool. False: there is none, or no collector takes it now.
    async fn send_oldest(&mut self, endpoints: &mut Endpoints) -> bool {
        let Some((request, spans)) = self.spool.as_mut().and_then(Spool::oldest) else { return false };
        self.queue.take_spooled(spans);
        let mut parts = vec![request];
        let mut left = spans;
        while let Some(part) = parts.pop() {
            let refused = match self.attempt(endpoints, part.clone()).await {
                Outcome::Delivered { rejected, message } => {
                    self.delivered(endpoints, rejected, &message);
                    Refused::Some(rejected)
                }
                Outcome::Retry { after, why } => {
                    // Where parts of it were taken, they will be sent twice.
                    self.queue.return_spooled(left);
                    self.again = Instant::now() + self.failed(endpoints, after, &why);
                    return false;
                }
                Outcome::TooLarge { why } => match batch::halves(&part) {
                    Some((one, other)) => {
                        parts.extend([other, one]);
                        continue;
                    }
                    None => {
                        self.refused(endpoints, &why);
                        Refused::All
                    }
                },
                Outcome::Failed { why } => {
                    self.refused(endpoints, &why);
                    Refused::All
                }
            };
            let settled = if parts.is_empty() { left } else { (batch::spans(&part) as u64).min(left) };
            left -= settled;
            self.queue.settle(settled, 0, refused);
        }
        if let Some(spool) = &mut self.spool {
            spool.remove_oldest();
            self.queue.set_spool(spool.held());
        }
        self.again = Instant::now();
        true
    }

    async fn run_metrics(mut self) {
        let Some(mut endpoints) = self.endpoints.take() else { return };
        loop {
            match self.queue.take_metrics() {
                Err(_) => return,
                Ok(None) => self.queue.metrics_wake.notified().await,
                Ok(Some(metrics)) => self.deliver_metrics(&mut endpoints, metrics).await,
            }
        }
    }

    async fn deliver_metrics(&mut self, endpoints: &mut Endpoints, metrics: Vec<ResourceMetrics>) {
        let mut requests = batch::metric_requests(metrics);
        while let Some(request) = requests.pop() {
            let points = batch::points(&request.resource_metrics);
            let refused = match endpoints.client().metrics(request.clone()).await {
                Outcome::Delivered { rejected, message } => {
                    self.delivered(endpoints, rejected, &message);
                    Refused::Some(rejected)
                }
                Outcome::Retry { after, why } => {
                    requests.push(request);
                    let wait = self.failed(endpoints, after, &why);
                    self.back_off(after, wait).await;
                    self.queue
                        .return_metrics(requests.into_iter().flat_map(|r| r.resource_metrics).collect());
                    return;
                }
                Outcome::TooLarge { why } | Outcome::Failed { why } => {
                    self.refused(endpoints, &why);
                    Refused::All
                }
            };
            self.queue.settle_points(points, refused);
        }
    }

    fn delivered(&mut self, endpoints: &mut Endpoints, rejected: u64, message: &str) {
        self.failures = 0;
        endpoints.worked();
        if rejected > 0 {
            if self.health != Health::PartlyRefusing {
                let label = endpoints.label();
                tracing::warn!("export of {label}: the collector refused {rejected} of a request: {message}");
            }
            self.health = Health::PartlyRefusing;
        } else if self.health != Health::Good {
            tracing::info!("export of {} works again", endpoints.label());
            self.health = Health::Good;
        }
    }

    fn refused(&mut self, endpoints: &mut Endpoints, why: &str) {
        self.failures = 0;
        if self.health != Health::Refusing {
            let label = endpoints.label();
            tracing::warn!("export of {label} refused, spans or points are lost and counted: {why}");
        }
        self.health = Health::Refusing;
        endpoints.failed();
    }

    /// A request has to be sent again. Returns when: as long from now as the collector asks, else exponentially longer,
    /// with jitter so that the agents of a cluster don't come back at once; now where it is another collector's turn.
    fn failed(&mut self, endpoints: &mut Endpoints, after: Option<Duration>, why: &str) -> Duration {
        self.queue.count_retry();
        if !endpoints.is_trying_first() {
            if self.health != Health::Unreachable {
                tracing::warn!("export of {} fails, will be tried again: {why}", endpoints.label());
            }
            self.health = Health::Unreachable;
        }
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        if endpoints.failed() {
            return Duration::ZERO;
        }
        let jitter = 0.8 + 0.4 * (RandomState::new().build_hasher().finish() % 1024) as f64 / 1024.0;
        let after = after.map(|after| after.min(LONGEST_RETRY_AFTER));
        after.unwrap_or(doubled.min(LONGEST_BACKOFF).mul_f64(jitter))
    }

    /// Waits before the next attempt; less once the end is near, unless the collector asked for it (`after`).
    async fn back_off(&mut self, after: Option<Duration>, wait: Duration) {
        let begun = Instant::now();
        let ends = tokio::select! {
            () = tokio::time::sleep(wait) => None,
            at = self.deadline.wait_for(Option::is_some) => at.ok().and_then(|at| *at),
        };
        if ends.is_some() {
            let wait = if after.is_some() { wait } else { wait.min(LONGEST_BACKOFF_AT_END) };
            tokio::time::sleep_until(begun + wait).await;
        }
    }
}
