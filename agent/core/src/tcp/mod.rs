//! The one TCP analyser (INV 1): segments in, verdicts out. Live packets and files feed the same code.
//!
//! The rules are those of Wireshark's documentation (User's Guide, section 7.5 "TCP Analysis"), held against
//! tshark's output; the terms are those of RFC 9293, 5681 and 7323.

mod analyser;
mod cause;
mod half;
pub mod reassembly;
pub mod seq;
pub mod streams;
mod unacked;
mod verdict;

#[cfg(test)]
mod tests;

pub use analyser::Analyser;
pub use cause::Cause;
pub(crate) use cause::{IdOrder, Ids};
pub use streams::{StreamSegment, Streams};
pub use unacked::MAX_UNACKED;
pub use verdict::Verdicts;

use crate::event::{RetransmitCause, tcp_flags};
use crate::time::DurationNs;

/// Which end sent a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Originator: sender of the first SYN, or of the first segment seen.
    Orig,
    /// Responder.
    Resp,
}

/// What the analyser says of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Analysis {
    /// Flags.
    pub verdicts: Verdicts,
    /// Bytes sent and not acknowledged, this segment included; `None` where unknown or zero.
    pub bytes_in_flight: Option<u32>,
    /// Time from the segment that this one acknowledges.
    pub ack_rtt: Option<DurationNs>,
    /// RTT of the handshake, once known.
    pub initial_rtt: Option<DurationNs>,
    /// Time since the original, for a retransmission.
    pub rto: Option<DurationNs>,
    /// Number of this duplicate ACK, from 1.
    pub dup_ack_num: Option<u32>,
    /// What really happened, where the segment is not plainly new.
    pub cause: Option<Cause>,
}

impl Analysis {
    /// Why a segment with these flags was sent again, as far as packets tell; `None` where it wasn't, by `cause` before
    /// Wireshark's rules. Of timeouts and probes only the sender's kernel knows: [`RetransmitCause::Other`].
    pub fn retransmit(&self, flags: u8) -> Option<RetransmitCause> {
        let again = match self.cause {
            Some(cause) => cause == Cause::Retransmission,
            None => self.verdicts.contains(Verdicts::RETRANSMISSION),
        };
        again.then_some(match (flags & tcp_flags::SYN != 0, flags & tcp_flags::ACK != 0) {
            (true, false) => RetransmitCause::Syn,
            (true, true) => RetransmitCause::SynAck,
            _ if self.verdicts.contains(Verdicts::FAST_RETRANSMISSION) => RetransmitCause::Fast,
            _ => RetransmitCause::Other,
        })
    }
}
