//! The exporting thread: batches, retries with backoff, and an account of every span.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::batch::{self, BATCH_BYTES};
use crate::file::JsonFile;
use crate::options::{Destination, Error, ExportOptions, SignalOptions};
use crate::otlp::{Client, Outcome};
use crate::queue::{Losses, Queue, Sink, SpanItem};

/// How long spans wait for company before they are sent.
const LINGER: Duration = Duration::from_secs(1);
/// First wait before a request is sent again; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// Longest wait before a request is sent again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// The same, once the end is near.
const LONGEST_BACKOFF_AT_END: Duration = Duration::from_millis(500);

/// What became of everything, at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportReport {
    /// Spans that the collector (or file) took.
    pub sent_spans: u64,
    /// Metric points that it took.
    pub sent_points: u64,
    /// Requests that had to be sent again.
    pub retries: u64,
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
            std::thread::Builder::new().name("tracenet-otlp".to_owned()).spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(e) => {
                        let _ = started.send(Err(Error::Start(e)));
                        return;
                    }
                };
                runtime.block_on(async {
                    match Lane::both(&options, &queue) {
                        Err(e) => {
                            let _ = started.send(Err(e));
                        }
                        Ok((traces, metrics)) => {
                            let _ = started.send(Ok(()));
                            let (of_traces, of_metrics) = (deadline_seen.clone(), deadline_seen.clone());
                            let lanes = async {
                                tokio::join!(traces.run_traces(of_traces), metrics.run_metrics(of_metrics))
                            };
                            // What is cut off here is counted by `Queue::abandon`.
                            tokio::select! {
                                _ = lanes => {}
                                () = reached(deadline_seen) => {}
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

/// Waits until the deadline is set and past.
async fn reached(mut deadline: watch::Receiver<Option<Instant>>) {
    let at = match deadline.wait_for(Option::is_some).await {
        Ok(at) => *at,
        // The exporter was dropped without a shutdown: nobody waits for the rest.
        Err(_) => return,
    };
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
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

/// One signal's way to its collector.
struct Lane {
    queue: Arc<Queue>,
    client: Option<Client>,
    /// For the log: "traces to http://...".
    label: String,
    health: Health,
    /// Requests in a row that had to be sent again.
    failures: u32,
}

impl Lane {
    fn both(options: &ExportOptions, queue: &Arc<Queue>) -> Result<(Self, Self), Error> {
        let mut files = Vec::new();
        let traces = Self::new("traces", options.traces.as_ref(), queue, &mut files)?;
        let metrics = Self::new("metrics", options.metrics.as_ref(), queue, &mut files)?;
        Ok((traces, metrics))
    }

    /// `files` are those that are open: both signals in one file is the usual case, and lines must not mix.
    fn new(
        name: &str,
        signal: Option<&SignalOptions>,
        queue: &Arc<Queue>,
        files: &mut Vec<(PathBuf, JsonFile)>,
    ) -> Result<Self, Error> {
        let mut label = name.to_owned();
        let client = match signal {
            None => None,
            Some(signal) => {
                let file = match &signal.destination {
                    Destination::Collector { uri, .. } => {
                        label = format!("{name} to {uri}");
                        None
                    }
                    Destination::File(path) => {
                        label = format!("{name} to {}", path.display());
                        let known = files.iter().find(|(p, _)| p == path).map(|(_, file)| file.clone());
                        let file = match known {
                            Some(file) => file,
                            None => JsonFile::create(path)?,
                        };
                        files.push((path.clone(), file.clone()));
                        Some(file)
                    }
                };
                Some(Client::new(signal, file)?)
            }
        };
        Ok(Self { queue: Arc::clone(queue), client, label, health: Health::Good, failures: 0 })
    }

    async fn run_traces(mut self, mut deadline: watch::Receiver<Option<Instant>>) {
        let Some(mut client) = self.client.take() else { return };
        loop {
            self.gather().await;
            match self.queue.take() {
                None => return,
                Some((items, _)) if items.is_empty() => self.queue.spans_wake.notified().await,
                Some((items, bytes)) => self.deliver(&mut client, items, bytes, &mut deadline).await,
            }
        }
    }

    /// Waits until there is a request's worth of spans, or some that waited for [`LINGER`], or the end.
    async fn gather(&self) {
        while self.queue.waiting_bytes() == 0 && !self.queue.is_closed() {
            self.queue.spans_wake.notified().await;
        }
        let until = Instant::now() + LINGER;
        while self.queue.waiting_bytes() < BATCH_BYTES && !self.queue.is_closed() {
            if tokio::time::timeout_at(until, self.queue.spans_wake.notified()).await.is_err() {
                return;
            }
        }
    }

    async fn deliver(
        &mut self,
        client: &mut Client,
        items: Vec<SpanItem>,
        bytes: usize,
        deadline: &mut watch::Receiver<Option<Instant>>,
    ) {
        let mut bytes_left = bytes;
        let mut parts = vec![items];
        while let Some(mut part) = parts.pop() {
            let spans = part.len() as u64;
            let failed = match client.traces(batch::trace_request(&part)).await {
                Outcome::Delivered { rejected, message } => {
                    self.delivered(rejected, &message);
                    rejected
                }
                Outcome::Retry { after, why } => {
                    parts.push(part);
                    self.back_off(after, &why, deadline).await;
                    continue;
                }
                Outcome::TooLarge { .. } if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                    continue;
                }
                Outcome::TooLarge { why } | Outcome::Failed { why } => {
                    self.refused(&why);
                    spans
                }
            };
            let part_bytes =
                if parts.is_empty() { bytes_left } else { part.iter().map(SpanItem::encoded_len).sum() };
            bytes_left = bytes_left.saturating_sub(part_bytes);
            self.queue.settle(spans, part_bytes, failed);
        }
    }

    async fn run_metrics(mut self, mut deadline: watch::Receiver<Option<Instant>>) {
        let Some(mut client) = self.client.take() else { return };
        loop {
            match self.queue.take_metrics() {
                Err(_) => return,
                Ok(None) => self.queue.metrics_wake.notified().await,
                Ok(Some(metrics)) => self.deliver_metrics(&mut client, metrics, &mut deadline).await,
            }
        }
    }

    async fn deliver_metrics(
        &mut self,
        client: &mut Client,
        metrics: Vec<ResourceMetrics>,
        deadline: &mut watch::Receiver<Option<Instant>>,
    ) {
        let mut requests = batch::metric_requests(metrics);
        while let Some(request) = requests.pop() {
            let points = batch::points(&request.resource_metrics);
            let failed = match client.metrics(request.clone()).await {
                Outcome::Delivered { rejected, message } => {
                    self.delivered(rejected, &message);
                    rejected
                }
                Outcome::Retry { after, why } => {
                    requests.push(request);
                    self.back_off(after, &why, deadline).await;
                    self.queue
                        .return_metrics(requests.into_iter().flat_map(|r| r.resource_metrics).collect());
                    return;
                }
                Outcome::TooLarge { why } | Outcome::Failed { why } => {
                    self.refused(&why);
                    points
                }
            };
            self.queue.settle_points(points, failed);
        }
    }

    fn delivered(&mut self, rejected: u64, message: &str) {
        self.failures = 0;
        if rejected > 0 {
            if self.health != Health::PartlyRefusing {
                tracing::warn!(
                    "export of {}: the collector refused {rejected} of a request: {message}",
                    self.label
                );
            }
            self.health = Health::PartlyRefusing;
        } else if self.health != Health::Good {
            tracing::info!("export of {} works again", self.label);
            self.health = Health::Good;
        }
    }

    fn refused(&mut self, why: &str) {
        self.failures = 0;
        if self.health != Health::Refusing {
            tracing::warn!("export of {} refused, spans or points are lost and counted: {why}", self.label);
        }
        self.health = Health::Refusing;
    }

    /// Waits before the next attempt: as long as the collector asks, else exponentially longer, with jitter so that
    /// the agents of a cluster don't come back at once.
    async fn back_off(
        &mut self,
        after: Option<Duration>,
        why: &str,
        deadline: &mut watch::Receiver<Option<Instant>>,
    ) {
        self.queue.count_retry();
        if self.health != Health::Unreachable {
            tracing::warn!("export of {} fails, will be tried again: {why}", self.label);
        }
        self.health = Health::Unreachable;
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        let jitter = 0.8 + 0.4 * (RandomState::new().build_hasher().finish() % 1024) as f64 / 1024.0;
        let wait = |longest: Duration| after.unwrap_or(doubled.min(longest).mul_f64(jitter));
        let begun = Instant::now();
        let ends = tokio::select! {
            () = tokio::time::sleep(wait(LONGEST_BACKOFF)) => None,
            at = deadline.wait_for(Option::is_some) => at.ok().and_then(|at| *at),
        };
        if ends.is_some() {
            tokio::time::sleep_until(begun + wait(LONGEST_BACKOFF_AT_END)).await;
        }
    }
}
