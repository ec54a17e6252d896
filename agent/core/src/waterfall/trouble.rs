//! What kind of loss it was.

use super::Part;
use super::phases::COPY_NS;
use crate::event::RetransmitCause;
use crate::time::DurationNs;

/// Smallest retransmission timeout of Linux (`TCP_RTO_MIN`).
pub(super) const RTO_MIN_NS: u64 = 200_000_000;

/// What a host may need to answer a duplicate acknowledgement.
const REACTION_NS: u64 = 5_000_000;

/// A hole that is filled this soon, where the RTT is unknown, was no loss (the analyser's rule for late segments).
const REORDERING_NS: u64 = 3_000_000;

/// What a sender needs to hear of its window, at most: one and a half RTT and what its host takes.
pub(super) fn turn_round(rtt: Option<DurationNs>) -> u64 {
    (rtt.map_or(0, |rtt| rtt.0) / 2).saturating_mul(3).saturating_add(COPY_NS)
}

/// The kind of a loss whose retransmission was not seen at its sender, by how long the bytes were missed after later
/// ones had come:
///
/// * less than three quarters of an RTT: none, since no sender can have heard of it; the packets were reordered;
/// * up to 3 RTT and 5 ms: fast retransmit, which takes one, and a second one if that is lost, too;
/// * less than 200 ms, the least timeout: a tail loss probe, which comes after 2 RTT (RFC 8985, section 7.2);
/// * longer: a timeout.
pub(super) fn kind_of_hole(stood: DurationNs, rtt: Option<DurationNs>) -> Option<Part> {
    let late = rtt.map_or(REORDERING_NS, |rtt| rtt.0 / 4 * 3);
    let fast = rtt.map_or(0, |rtt| rtt.0.saturating_mul(3)).saturating_add(REACTION_NS);
    match stood.0 {
        t if t < late => None,
        t if t >= RTO_MIN_NS && t >= fast => Some(Part::LossRto),
        t if t <= fast => Some(Part::LossFast),
        _ => Some(Part::LossTlp),
    }
}

/// The kind of a loss that no later bytes showed, by how long nothing came: as [`kind_of_hole`], but nobody could ask
/// for it by duplicate acknowledgements.
pub(super) fn kind_of_silence(stood: DurationNs, rtt: Option<DurationNs>) -> Option<Part> {
    let part = kind_of_hole(stood, rtt)?;
    Some(if part == Part::LossRto { part } else { Part::LossTlp })
}

/// The part that a retransmission's cause belongs to; `None` where the cause tells nothing of a turn's bytes.
pub(super) fn part_of(cause: RetransmitCause) -> Option<Part> {
    match cause {
        RetransmitCause::Fast => Some(Part::LossFast),
        RetransmitCause::TailLossProbe => Some(Part::LossTlp),
        RetransmitCause::Timeout => Some(Part::LossRto),
        RetransmitCause::Syn | RetransmitCause::SynAck | RetransmitCause::Other => None,
    }
}
