//! Spans on disk while no collector takes them: a folder of files, one request each, sent later in order.
//!
//! Trouble with the disk never stops the export: spans then wait in memory, as they do without a spool.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use tokio::time::Instant;

use crate::options::SpoolOptions;
use folder::{Folder, Read};

mod folder;

/// Time between attempts to open a folder that couldn't be.
const OPEN_AGAIN: Duration = Duration::from_secs(10);

/// What is in a spool, and what was lost in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    /// Spans that wait.
    pub spans: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Spans shed because there was no room for newer ones, cumulative.
    pub shed: u64,
    /// Spans in files that could not be read, cumulative.
    pub damaged: u64,
    /// Failed operations on the disk, cumulative.
    pub errors: u64,
}

/// A folder, once it can be opened.
#[derive(Debug)]
pub(crate) struct Spool {
    options: SpoolOptions,
    folder: Option<Folder>,
    open_at: Instant,
    errors: u64,
    /// The last operation failed, and that was said.
    troubled: bool,
}

impl Spool {
    /// Opens it, and takes over what an earlier run left in it.
    pub(crate) fn new(options: SpoolOptions) -> Self {
        let mut spool = Self { options, folder: None, open_at: Instant::now(), errors: 0, troubled: false };
        // An exporter that is about to end may still have it.
        if let Err(e) = spool.try_open()
            && e.kind() != ErrorKind::ResourceBusy
        {
            spool.trouble(&e);
        }
        spool
    }

    /// Opens it where that is not done and time to try.
    pub(crate) fn open(&mut self) {
        if self.folder.is_some() || Instant::now() < self.open_at {
            return;
        }
        match self.try_open() {
            Ok(()) => self.works(),
            Err(e) => self.trouble(&e),
        }
    }

    fn try_open(&mut self) -> Result<(), Error> {
        self.open_at = Instant::now() + OPEN_AGAIN;
        self.folder = Some(Folder::open(&self.options)?);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.folder.as_ref().is_none_or(Folder::is_empty)
    }

    /// Keeps a request of so many spans, at the expense of the oldest. False: it can't.
    pub(crate) fn put(&mut self, request: &ExportTraceServiceRequest, spans: u64) -> bool {
        self.open();
        let Some(folder) = &mut self.folder else { return false };
        match folder.put(request, spans) {
            Ok(()) => {
                self.works();
                true
            }
            Err(e) => {
                self.trouble(&e);
                false
            }
        }
    }

    /// The oldest request with the number of its spans. It stays until it is [removed](Self::remove_oldest).
    pub(crate) fn oldest(&mut self) -> Option<(ExportTraceServiceRequest, u64)> {
        loop {
            match self.folder.as_mut()?.oldest()? {
                Read::Whole(request, spans) => return Some((request, spans)),
                // It is set aside; the next one may be better.
                Read::Damaged(e) => self.trouble(&e),
            }
        }
    }

    /// The oldest request was taken by a collector, or refused for good.
    pub(crate) fn remove_oldest(&mut self) {
        if let Some(Err(e)) = self.folder.as_mut().map(Folder::remove_oldest) {
            self.trouble(&e);
        }
    }

    /// How it stands.
    pub(crate) fn held(&self) -> Held {
        Held { errors: self.errors, ..self.folder.as_ref().map(Folder::held).unwrap_or_default() }
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.troubled) {
            tracing::info!("the spool {} works again", self.options.directory.display());
        }
    }

    fn trouble(&mut self, e: &Error) {
        self.errors += 1;
        if !std::mem::replace(&mut self.troubled, true) {
            let directory = self.options.directory.display();
            tracing::warn!(
                "the spool {directory}: {e}; what can't be kept there waits in memory or is counted"
            );
        }
    }
}
