//! Why a segment is on the wire once more, or late: the word on what happened, beside Wireshark's verdict, which
//! goes by sequence numbers and times alone and calls many retransmissions out of order.
//!
//! The evidence, from the strongest to the weakest:
//! 1. The IPv4 identification. A stack that counts it up from packet to packet (Linux: `__ip_select_ident`, for
//!    each socket) gives a retransmission a later number than what was sent before it, a late original an earlier
//!    one, and a duplicate made by the network the very number of the original.
//! 2. The timestamps option: TSval never goes back in the order of sending (RFC 7323, section 5.4).
//! 3. Where the capture was made: next to the sender nothing has been overtaken or duplicated yet.
//! 4. Time: no answer to a gap takes less than a round trip.

use crate::event::tcp_flags;

use super::analyser::Seen;
use super::half::Half;
use super::seq::SeqNum;
use super::verdict::Verdicts;

#[cfg(test)]
mod tests;

/// What happened to a segment that is not plainly new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its sender sent it again.
    Retransmission,
    /// Sent once, and overtaken on its way by what was sent after it.
    Reordered,
    /// The very packet came before: the network (or a capture on two interfaces) made two of it.
    DuplicatedByNetwork,
    /// Sent to get an answer, not to transport anything: keep-alive, zero window probe.
    Probe,
}

impl Cause {
    /// The name in the output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retransmission => "retransmission",
            Self::Reordered => "reordered",
            Self::DuplicatedByNetwork => "duplicated_by_network",
            Self::Probe => "probe",
        }
    }
}

/// Gaps of one direction that are remembered, filled ones too.
const GAPS: usize = 6;

/// Steps of the IP identification that are taken for counting, and those once counting is certain.
const STEP: i16 = 256;
const CERTAIN_STEP: i16 = 4096;

/// Steps after which counting is certain.
const CERTAIN: u8 = 8;

/// Confidence is limited to this many steps, so that it is lost as quickly.
const CONFIDENCE: u8 = 16;

/// Confidence that a jump costs.
const JUMP: u8 = 4;

/// Most packets in a row whose loss ahead of the capture is taken for what left out identifications.
const MISSING: u8 = 8;

/// No timer of Linux sends again sooner (TCP_TIMEOUT_MIN, at 1000 Hz).
const TIMER_NS: u64 = 2_000_000;

/// Payload of an Ethernet frame at most, bytes.
const FRAME: u32 = 1460;

/// A capture is next to one end if the answers of the other take this many times as long.
const NEAR: u64 = 4;

/// Ticks of the timestamp clock that are more than the uncertainty of what is measured.
const TICKS: u128 = 4;

/// How one direction numbered and stamped its packets, and the gaps it left.
#[derive(Debug, Default)]
pub(super) struct Trail {
    ids: Ids,
    /// Highest TSval.
    stamp: Option<u32>,
    /// The first one, and when it was captured.
    first_stamp: Option<(u32, u64)>,
    /// Stamp of the last segment that asks for an acknowledgement.
    spoke_ns: u64,
    /// Shortest time from a segment of this direction to its acknowledgement, 0 while unknown: the way from the
    /// capture to the other end and back.
    answered_ns: u64,
    gaps: Option<Box<Gaps>>,
}

impl Trail {
    /// See [`super::Analyser::fetch`].
    #[inline]
    pub fn fetch(&self) -> u64 {
        self.spoke_ns ^ self.ids.seen ^ u64::from(self.stamp.unwrap_or(0)) ^ u64::from(self.ids.missing)
    }

    /// A segment of this direction was acknowledged after that time.
    pub fn answered(&mut self, after_ns: u64) {
        if self.answered_ns == 0 || after_ns < self.answered_ns {
            self.answered_ns = after_ns;
        }
    }

    /// TSval grows enough in that time that what is sent this much later can't carry the same; `now_ns` is the
    /// current capture stamp.
    fn ticks_in(&self, time_ns: u64, now_ns: u64) -> bool {
        let (Some((first, first_ns)), Some(stamp)) = (self.first_stamp, self.stamp) else { return false };
        let ticks = u128::from(SeqNum(stamp).since(SeqNum(first)));
        ticks * u128::from(time_ns) >= u128::from(now_ns.saturating_sub(first_ns)) * TICKS && ticks > 0
    }
}

/// IP identifications of one direction.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// The latest, in the order of counting; 0 before there was one.
    latest: u16,
    /// Bit n: `latest - n` was seen.
    seen: u64,
    /// Steps that look like counting, at most [`CONFIDENCE`].
    counting: u8,
    /// The same for steps of exactly one: nothing was left to the network card.
    by_one: u8,
    /// They are those of one socket alone, by how it opened.
    of_socket: bool,
    /// Identifications that were left out since new data came last, and can't have been pure acknowledgements.
    missing: u8,
}

/// Where an identification stands among those seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdOrder {
    /// Later than all others, by so many.
    Later(i16),
    /// Seen before.
    Same,
    /// Passed over until now.
    Overtaken,
    /// Earlier than what is remembered.
    Ancient,
}

impl Ids {
    /// The packet that opens the connection, or (`answers`) accepts it, with TCP timestamps or without (`stamped`).
    /// Linux has no socket to count for when it answers; of those who count, it alone stamps its first segment.
    pub(crate) fn opened(id: Option<u16>, answers: bool, stamped: bool) -> Self {
        Self { of_socket: if answers { id == Some(0) } else { stamped }, ..Self::default() }
    }

    /// The latest identification, in the order of counting; 0 before there was one.
    pub(crate) fn latest(&self) -> u16 {
        self.latest
    }

    /// They are those of one socket alone, by how it opened or by so many steps of one.
    pub(crate) fn count_one_socket(&self, steps: u8) -> bool {
        self.of_socket || self.by_one >= steps
    }

    /// Takes the identification of the next packet; `None` while they tell nothing.
    pub(crate) fn take(&mut self, id: u16) -> Option<IdOrder> {
        let certain = self.counting >= CERTAIN;
        let reach = if certain { CERTAIN_STEP } else { STEP };
        let step = id.wrapping_sub(self.latest) as i16;
        let known = self.seen != 0;
        if !known || !(-reach..=reach).contains(&step) {
            if known {
                self.distrust();
            }
            (self.latest, self.seen) = (id, 1);
            return None;
        }
        let order = if step > 0 {
            self.seen = self.seen.checked_shl(step.unsigned_abs().into()).unwrap_or(0) | 1;
            self.latest = id;
            self.counting = (self.counting + 1).min(CONFIDENCE);
            IdOrder::Later(step)
        } else {
            match 1u64.checked_shl(step.unsigned_abs().into()) {
                Some(bit) if self.seen & bit != 0 => IdOrder::Same,
                Some(bit) => {
                    self.seen |= bit;
                    IdOrder::Overtaken
                }
                None => IdOrder::Ancient,
            }
        };
        (self.counting > 0 || self.of_socket).then_some(order)
    }

    /// This was no counter's step.
    fn distrust(&mut self) {
        self.counting = self.counting.saturating_sub(JUMP);
        self.by_one = 0;
        self.of_socket = false;
    }

    /// Takes note of how far the identification stepped: over a gap in the sequence numbers, or while nothing was
    /// left to acknowledge (`quiet`).
    fn stepped(&mut self, order: Option<IdOrder>, over_gap: bool, quiet: bool) {
        match order {
            Some(IdOrder::Later(_)) if over_gap => self.missing = 0,
            Some(IdOrder::Later(step @ 2..)) if quiet => {
                self.missing = self.missing.saturating_add(u8::try_from(step - 1).unwrap_or(u8::MAX));
            }
            Some(IdOrder::Overtaken) => self.missing = self.missing.saturating_sub(1),
            _ => {}
        }
    }

    /// Takes note of whether they step by one as long as nothing is lost. A segment longer than a frame takes as
    /// many as it will be cut into.
    pub(crate) fn watch(&mut self, order: Option<IdOrder>, len: u32) {
        match order {
            _ if len > FRAME => self.by_one = 0,
            Some(IdOrder::Later(1)) => self.by_one = (self.by_one + 1).min(CONFIDENCE),
            Some(IdOrder::Later(_)) | None => self.by_one = self.by_one.saturating_sub(JUMP),
            _ => {}
        }
    }
}

/// Sequence numbers that were left out.
#[derive(Debug, Clone, Copy, Default)]
struct Gap {
    /// Where it began, what was filled since included.
    start: SeqNum,
    /// Where it begins now; `end` once it is filled.
    open: SeqNum,
    end: SeqNum,
    /// Of the segment that left the gap: identification and TSval, where they tell something, and capture stamp.
    id: Option<u16>,
    stamp: Option<u32>,
    t_ns: u64,
    /// A retransmission filled it.
    resent: bool,
}

impl Gap {
    fn holds(&self, seq: SeqNum) -> bool {
        seq.ge(self.start) && seq.lt(self.end)
    }
}

/// The latest gaps of one direction.
#[derive(Debug, Default)]
struct Gaps {
    list: [Gap; GAPS],
}

impl Gaps {
    fn push(&mut self, gap: Gap) {
        // Filled ones give way first.
        if let Some(slot) = self.list.iter_mut().min_by_key(|g| (g.open != g.end, g.t_ns)) {
            *slot = gap;
        }
    }

    fn holding(&self, seq: SeqNum) -> Option<&Gap> {
        self.list.iter().find(|g| g.holds(seq))
    }

    fn fill(&mut self, seq: SeqNum, end: SeqNum, resent: bool) {
        let mut rest = None;
        for gap in self.list.iter_mut().filter(|g| g.open != g.end) {
            if end.le(gap.open) || seq.ge(gap.end) {
                continue;
            }
            gap.resent = resent;
            if seq.le(gap.open) {
                gap.open = if end.lt(gap.end) { end } else { gap.end };
                continue;
            }
            let after = if end.lt(gap.end) { end } else { gap.end };
            rest = Some(Gap { start: seq, open: after, ..*gap });
            gap.end = seq;
        }
        if let Some(rest) = rest {
            self.push(rest);
        }
    }
}

/// Takes the next segment of `fwd` before anything else is remembered of it. `round_trip_ns` is the whole way,
/// between both ends and back.
pub(super) fn judge(
    fwd: &mut Half,
    rev: &Half,
    s: &Seen,
    id: Option<u32>,
    verdicts: Verdicts,
    round_trip_ns: u64,
) -> Option<Cause> {
    let id = id.and_then(|id| u16::try_from(id).ok());
    if s.has(tcp_flags::SYN) {
        let stamped = s.seg.options.timestamps.is_some();
        fwd.trail.ids.of_socket = Ids::opened(id, s.has(tcp_flags::ACK), stamped).of_socket;
    }
    // Zero is what a packet that can't be fragmented may have for want of an identification (RFC 6864, section 4.1).
    let id = id.filter(|id| *id != 0);
    let order = id.and_then(|id| fwd.trail.ids.take(id));
    let before_ns = fwd.last_ack_t_ns;
    let stamp = s.seg.options.timestamps.map(|(value, _)| value);
    let highest = fwd.trail.stamp;
    if let Some(value) = stamp
        && highest.is_none_or(|h| SeqNum(value).gt(SeqNum(h)))
    {
        fwd.trail.stamp = stamp;
        fwd.trail.first_stamp.get_or_insert((value, s.t_ns));
    }
    let is_bare = s.end == s.seq || s.has(tcp_flags::RST);
    if !is_bare {
        fwd.trail.spoke_ns = s.t_ns;
    }
    let next = fwd.next?;
    let over_gap = s.seq.gt(next) && !s.has(tcp_flags::RST);
    let quiet = rev.trail.spoke_ns < before_ns && rev.next == Some(fwd.last_ack);
    fwd.trail.ids.stepped(order, over_gap, quiet);
    if over_gap {
        let id = id.filter(|_| order.is_some());
        let gap = Gap { start: next, open: next, end: s.seq, id, stamp, t_ns: s.t_ns, resent: false };
        fwd.trail.gaps.get_or_insert_default().push(gap);
    }
    if is_bare {
        fwd.trail.ids.watch(order, 0);
        return bare(rev, s, next, order, verdicts);
    }
    let near =
        rev.trail.answered_ns > 0 && rev.trail.answered_ns.saturating_mul(NEAR) < fwd.trail.answered_ns;
    let soon = |since_ns: u64| s.t_ns.saturating_sub(since_ns) < round_trip_ns / 8 * 7;
    if !s.seq.lt(next) {
        if order == Some(IdOrder::Same) {
            fwd.trail.ids.distrust();
        }
        let ids = &mut fwd.trail.ids;
        // Sent before, but lost ahead of the capture: identifications were left out, and it took a round trip.
        let resent = quiet
            && !near
            && !over_gap
            && ids.of_socket
            && ids.by_one > 0
            && (1..=MISSING).contains(&ids.missing)
            && !soon(before_ns.saturating_add(TIMER_NS));
        ids.missing = if resent { ids.missing - 1 } else { 0 };
        ids.watch(order, s.len);
        if verdicts.intersects(Verdicts::ZERO_WINDOW_PROBE) {
            return Some(Cause::Probe);
        }
        return resent.then_some(Cause::Retransmission);
    }
    // A keep-alive of old may carry a byte that the peer has; what it hasn't is sent again.
    if verdicts.intersects(Verdicts::KEEP_ALIVE) && rev.last_ack.ge(next) && order != Some(IdOrder::Same) {
        return Some(Cause::Probe);
    }
    let gap = fwd.trail.gaps.as_ref().and_then(|gaps| gaps.holding(s.seq)).copied();
    // The same tick as one that what is sent again must be a round trip behind.
    let same_tick =
        |of: Option<u32>| stamp.is_some() && stamp == of && fwd.trail.ticks_in(round_trip_ns, s.t_ns);
    let cause = match gap {
        Some(gap) => {
            let filled = s.seq.lt(gap.open);
            in_gap(&gap, filled, id, order, stamp, highest).unwrap_or_else(|| {
                if near || !(soon(gap.t_ns) || same_tick(gap.stamp)) {
                    Cause::Retransmission
                } else if filled && !gap.resent {
                    Cause::DuplicatedByNetwork
                } else {
                    Cause::Reordered
                }
            })
        }
        None => again(order, stamp, highest).unwrap_or_else(|| {
            let sent = fwd.unacked.stamp(s.seq, s.end).unwrap_or(fwd.next_t_ns);
            if near || !(soon(sent) || (s.end == next && same_tick(highest))) {
                Cause::Retransmission
            } else {
                Cause::DuplicatedByNetwork
            }
        }),
    };
    if let Some(gaps) = &mut fwd.trail.gaps {
        gaps.fill(s.seq, s.end, cause == Cause::Retransmission);
    }
    Some(cause)
}

/// On a segment without sequence space.
fn bare(rev: &Half, s: &Seen, next: SeqNum, order: Option<IdOrder>, verdicts: Verdicts) -> Option<Cause> {
    match order {
        Some(IdOrder::Same) => Some(Cause::DuplicatedByNetwork),
        Some(IdOrder::Overtaken) => Some(Cause::Reordered),
        _ if s.has(tcp_flags::RST) => None,
        // Linux probes from before what is not acknowledged (tcp_xmit_probe_skb), whatever is in flight.
        _ if verdicts.intersects(Verdicts::KEEP_ALIVE)
            || (s.seq.lt(next) && s.seq == rev.last_ack.minus(1)) =>
        {
            Some(Cause::Probe)
        }
        _ => None,
    }
}

/// On a segment in a gap, by what it carries; `None` where that leaves it open.
fn in_gap(
    gap: &Gap,
    filled: bool,
    id: Option<u16>,
    order: Option<IdOrder>,
    stamp: Option<u32>,
    highest: Option<u32>,
) -> Option<Cause> {
    if order == Some(IdOrder::Same) {
        return Some(Cause::DuplicatedByNetwork);
    }
    if let (Some(order), Some(id)) = (order, id) {
        let after_gap = match gap.id {
            Some(of_gap) => (id.wrapping_sub(of_gap) as i16) > 0,
            None => matches!(order, IdOrder::Later(_)),
        };
        return Some(if after_gap { Cause::Retransmission } else { Cause::Reordered });
    }
    let (stamp, of_gap) = (SeqNum(stamp?), SeqNum(gap.stamp?));
    if stamp.gt(of_gap) {
        // Stamped before what came since: the retransmission that filled the gap, once more.
        let late = filled && gap.resent && highest.is_some_and(|h| stamp.lt(SeqNum(h)));
        return Some(if late { Cause::DuplicatedByNetwork } else { Cause::Retransmission });
    }
    stamp.lt(of_gap).then_some(if filled && !gap.resent {
        Cause::DuplicatedByNetwork
    } else {
        Cause::Reordered
    })
}

/// On a segment that came before, by what it carries; `None` where that leaves it open.
fn again(order: Option<IdOrder>, stamp: Option<u32>, highest: Option<u32>) -> Option<Cause> {
    match order {
        // The original isn't missing: who sent it again was overtaken.
        Some(IdOrder::Later(_) | IdOrder::Overtaken) => return Some(Cause::Retransmission),
        Some(IdOrder::Same | IdOrder::Ancient) => return Some(Cause::DuplicatedByNetwork),
        None => {}
    }
    let (stamp, highest) = (SeqNum(stamp?), SeqNum(highest?));
    if stamp == highest {
        return None;
    }
    Some(if stamp.gt(highest) { Cause::Retransmission } else { Cause::DuplicatedByNetwork })
}
