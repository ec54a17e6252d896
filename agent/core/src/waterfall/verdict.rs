//! What a turn is to be blamed on.

use super::{Cause, Part, Parts};

/// A trouble that took less than this share of the time, as a divisor, is not what made the turn what it was.
const SHARE: u64 = 10;

/// The cause by the rule that [`Waterfall::cause`](super::Waterfall::cause) tells. `after` are the troubles after the
/// turn's end.
pub(super) fn cause(parts: &Parts, after: &Parts) -> Cause {
    let with_after = |part: Part| {
        let later = if part.is_trouble() { after.get(part).0 } else { 0 };
        parts.get(part).0.saturating_add(later)
    };
    let total = Part::ALL.into_iter().map(with_after).fold(0, u64::saturating_add);
    let largest = |of: &dyn Fn(Part) -> bool| {
        // Of equal ones the first in the order of precedence.
        Part::ALL.into_iter().rev().filter(|p| of(*p)).max_by_key(|p| with_after(*p))
    };
    let part = largest(&|part| part.is_trouble())
        .filter(|part| with_after(*part) > 0 && with_after(*part) >= total / SHARE)
        .or_else(|| largest(&|_| true).filter(|part| with_after(*part) > 0))
        .unwrap_or(Part::Unaccounted);
    Cause::Part(part)
}
