//! What workloads did, where it is added up in the kernel and not told turn by turn.

use std::sync::Arc;

use tracenet_core::event::RetransmitCause;
use tracenet_core::key::Role;

/// What one or more processes of a workload did since the last time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    /// Bytes that the applications sent.
    pub sent: u64,
    /// Bytes that they received.
    pub received: u64,
    /// TCP segments sent and received.
    pub segments: (u64, u64),
    /// Connections that they opened.
    pub opened: u64,
    /// Connections that they accepted.
    pub accepted: u64,
    /// Connections that they could not open.
    pub failed: u64,
    /// Segments sent again.
    pub retransmits: Vec<(RetransmitCause, u64)>,
    /// Packets thrown away that hurt them, by reason.
    pub drops: Vec<(Arc<str>, u64)>,
    /// Names asked for.
    pub lookups: u64,
    /// Calls that send or receive and failed.
    pub errors: u64,
    /// Sum of round-trip times in microseconds, and how many they are.
    pub rtt_us: (u64, u64),
    /// Turns that were answered, by side: how many took how long, in nanoseconds.
    pub turns: Vec<(Role, Vec<(u64, u64)>)>,
    /// Requests whose connection ended without an answer, by side.
    pub unanswered: Vec<(Role, u64)>,
}

impl Activity {
    /// Nothing happened.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
