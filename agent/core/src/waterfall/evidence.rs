//! What proves a verdict.

use std::sync::Arc;

use crate::event::RetransmitCause;
use crate::fact::DropFact;
use crate::key::Direction;
use crate::time::{DurationNs, MonoNs};

/// Pieces of evidence kept of a turn.
pub const MAX_EVIDENCE: usize = 16;

/// One thing that happened during a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// A segment was sent again.
    Retransmit {
        /// When.
        t: MonoNs,
        /// Why, by the kernel that sent it.
        cause: RetransmitCause,
        /// First sequence number, from the initial one where that is known.
        seq: u32,
        /// One past the last.
        seq_end: u32,
        /// Segments by TcpRetransSegs' count.
        segments: u32,
        /// Since it was sent before.
        after: Option<DurationNs>,
        /// The peer sent it, another target on this host.
        by_peer: bool,
    },
    /// This host's kernel threw a packet away.
    Drop {
        /// When.
        t: MonoNs,
        /// Seen from this turn's socket: `Out` was sent by it.
        direction: Direction,
        /// What is known of it.
        drop: Arc<DropFact>,
    },
    /// Bytes were missing: later ones had arrived, or the packets' numbers show that some were lost.
    Hole {
        /// When it showed.
        t: MonoNs,
        /// How long it stood.
        stood: DurationNs,
    },
    /// A receive window was shut.
    ZeroWindow {
        /// When the segment that says so was seen.
        t: MonoNs,
        /// Until the update, or the end of the turn.
        shut: DurationNs,
        /// `Out`: ours; `In`: the peer's.
        direction: Direction,
    },
    /// The connection was reset.
    Reset {
        /// When.
        t: MonoNs,
        /// `Out`: by us; `In`: by the peer, or by somebody in its name.
        direction: Direction,
    },
    /// The call on the socket that took longest.
    Call {
        /// When it was entered.
        t: MonoNs,
        /// How long it took.
        took: DurationNs,
        /// `Out`: a write; `In`: a read.
        direction: Direction,
    },
}

impl Evidence {
    /// When it happened, or began.
    pub fn t(&self) -> MonoNs {
        match self {
            Self::Retransmit { t, .. }
            | Self::Drop { t, .. }
            | Self::Hole { t, .. }
            | Self::ZeroWindow { t, .. }
            | Self::Reset { t, .. }
            | Self::Call { t, .. } => *t,
        }
    }
}
