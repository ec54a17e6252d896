//! What is remembered of a rung.

/// A cost that differs by less than this factor is smoothed, since it may be noise; a larger one is news.
pub(super) const NEWS: f64 = 1.6;

/// What observing a rung does to the cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gain {
    /// It multiplies it by this, from 1.
    pub(super) ratio: f64,
    /// With it, and all rungs after it, it costs so much of the process's own time.
    pub(super) full: f64,
}

impl Gain {
    pub(super) fn new(full: f64, rest: f64, busy: f64) -> Self {
        let ratio = (full / rest.max(full / MOST)).clamp(1.0, MOST);
        Self { ratio, full: full / busy.max(1e-3) }
    }

    pub(super) fn smoothed(self, seen: Self) -> Self {
        Self { ratio: smooth(self.ratio, seen.ratio), full: smooth(self.full, seen.full) }
    }
}

/// A rung that multiplies the cost by more leaves nothing behind to measure a load by.
pub(super) const TELLS_NOTHING: f64 = 20.0;

/// No rung is thought to multiply the cost by more.
const MOST: f64 = 10_000.0;

/// A change within [`NEWS`] may be noise.
pub(super) fn smooth(known: f64, seen: f64) -> f64 {
    if seen > known * NEWS || seen * NEWS < known { seen } else { known + (seen - known) * 0.4 }
}
