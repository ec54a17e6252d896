//! What was sent and not acknowledged yet: when did this sequence number leave before?

use std::collections::VecDeque;

use crate::time::{DurationNs, MonoNs};

/// Segments remembered per connection.
const MAX_SENT: usize = 256;

/// A captured packet that is this near to the report of a retransmission *is* the retransmission: the kernel sends
/// first and reports afterwards (`__tcp_retransmit_skb`). So is one within half a round trip, on a machine that was busy
/// in between: nobody sends again before he can have heard.
const SAME_PACKET_NS: u64 = 200_000;

#[derive(Debug, Clone, Copy)]
struct Sent {
    seq: u32,
    end: u32,
    t: MonoNs,
}

/// Segments on their way, oldest first. The oldest makes room when there are too many.
#[derive(Debug, Default)]
pub(super) struct SentLog {
    log: VecDeque<Sent>,
}

impl SentLog {
    /// A segment with sequence numbers `seq..end` left.
    pub(super) fn sent(&mut self, seq: u32, end: u32, t: MonoNs) {
        if self.log.len() >= MAX_SENT {
            self.log.pop_front();
        }
        self.log.push_back(Sent { seq, end, t });
    }

    /// Everything before `ack` has arrived.
    pub(super) fn acked(&mut self, ack: u32) {
        while self.log.front().is_some_and(|s| ack.wrapping_sub(s.end) as i32 >= 0) {
            self.log.pop_front();
        }
    }

    /// Time from the transmission of `seq` before the one that is reported at `now`.
    pub(super) fn before(&self, seq: u32, now: MonoNs, rtt: Option<DurationNs>) -> Option<DurationNs> {
        let same = rtt.map_or(0, |rtt| rtt.0 / 2).max(SAME_PACKET_NS);
        self.log
            .iter()
            .rev()
            .filter(|s| seq.wrapping_sub(s.seq) < s.end.wrapping_sub(s.seq))
            .map(|s| now.since(s.t))
            .find(|d| d.0 > same)
    }
}
