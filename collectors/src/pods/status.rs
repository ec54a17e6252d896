//! How the watch is doing, for whoever shows it.

use std::fmt;
use std::time::Duration;

/// State and counters of the watch since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// What it does now.
    pub state: State,
    /// True once a list was complete: the table has every pod that the server had.
    pub synced: bool,
    /// Pods known, without the deleted ones.
    pub pods: usize,
    /// Requests for a page of the list.
    pub lists: u64,
    /// Requests to watch.
    pub watches: u64,
    /// Pods told by watches.
    pub events: u64,
    /// Bookmarks told by watches.
    pub bookmarks: u64,
    /// Times that the server did not know our resource version (410, mostly), and the list was begun anew.
    pub expired: u64,
    /// Times that the server did not accept our credentials (401), and they were read again.
    pub unauthorized: u64,
    /// Attempts that failed, those included.
    pub errors: u64,
    /// Pods that the table had no room for.
    pub not_kept: u64,
    /// The last failure, in one line.
    pub last_error: Option<String>,
}

/// What the watch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It reads its credentials.
    #[default]
    Connecting,
    /// It lists all pods.
    Listing,
    /// It is told of changes.
    Watching,
    /// It waits before the next attempt.
    Waiting(Duration),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Listing => f.write_str("listing"),
            Self::Watching => f.write_str("watching"),
            Self::Waiting(delay) => write!(f, "waiting {:.1} s", delay.as_secs_f64()),
        }
    }
}
