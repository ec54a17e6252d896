//! What the core has counted over all connections.

use std::sync::Arc;

use crate::event::LossSource;
use crate::fact::{DropTotals, RetransmitTotals, Who};
use crate::time::DurationNs;

/// Events lost, by where (INV 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "named as LossSource")]
pub struct LostTotals {
    pub ringbuf: u64,
    pub capture: u64,
    pub queue: u64,
    pub export: u64,
}

impl LostTotals {
    /// Counts `n` events lost at `source`.
    pub fn add(&mut self, source: LossSource, n: u64) {
        let at = match source {
            LossSource::Ringbuf => &mut self.ringbuf,
            LossSource::Capture => &mut self.capture,
            LossSource::Queue => &mut self.queue,
            LossSource::Export => &mut self.export,
        };
        *at = at.saturating_add(n);
    }
}

/// Trouble of a target's sockets that belongs to no connection: a listener whose client never came through, a
/// socket for which the connection table had no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoConnection {
    /// The target.
    pub owner: Who,
    /// Segments sent again.
    pub retransmits: RetransmitTotals,
    /// Packets dropped.
    pub drops: Vec<DropTotals>,
}

/// Sums over everything that was handled so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totals {
    /// Events handled.
    pub events: u64,
    /// Syscalls of targets.
    pub syscalls: u64,
    /// Packets of targets' flows, each once for each interface that showed it.
    pub packets: u64,
    /// Packets that the kernel's filter let pass, but that belong to no connection of a target.
    pub packets_of_others: u64,
    /// Connections and UDP flows that came into view.
    pub connections: u64,
    /// Connections that are not among [`Core::summaries`](crate::core::Core::summaries): no room, or made room.
    pub omitted: u64,
    /// Processes that found no room in the process table.
    pub processes_omitted: u64,
    /// Turns that got an answer.
    pub turns: u64,
    /// Turns at endpoints for which there was no room: their [`Turn::p50`](crate::fact::Turn::p50) is unknown, or that of
    /// all such requests at the server's address.
    pub turns_without_median: u64,
    /// Segments that targets' sockets sent again, [`no_connection`](Self::no_connection) included.
    pub retransmits: RetransmitTotals,
    /// Packets dropped that hurt targets' sockets, [`no_connection`](Self::no_connection) included.
    pub drops: u64,
    /// Segments inside these.
    pub dropped_segments: u64,
    /// Packets dropped that hurt the peer of a target's socket on this host.
    pub peer_drops: u64,
    /// Segments sent again of which no owner is known.
    pub unattributed_retransmits: u64,
    /// Packets dropped of which no owner is known.
    pub unattributed_drops: u64,
    /// What belongs to targets, but to none of their connections.
    pub no_connection: Vec<NoConnection>,
    /// Events lost.
    pub lost: LostTotals,
    /// What the overhead governor did, where there is one.
    pub governor: Option<GovernorTotals>,
}

/// What was left out to hold the cost of observing to a budget.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GovernorTotals {
    /// The budget: nanoseconds of probes per nanosecond of the targets' own CPU time.
    pub budget: f64,
    /// Steps down and up.
    pub steps: u64,
    /// The budget could not be held although all was left out that can be.
    pub lowest: bool,
    /// For how long what was not observed.
    pub unobserved: Vec<(Arc<str>, DurationNs)>,
}
