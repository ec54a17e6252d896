//! A share of the time, in slices.

use crate::time::MonoNs;

/// Says when to begin and to end slices, so that they make up a share of the time. A slice that ended late, because whoever
/// asks came late, is made up for by the pause after it.
#[derive(Debug, Clone)]
pub struct Slicer {
    share: f64,
    shortest_ns: u64,
    period_ns: u64,
    on: bool,
    since: MonoNs,
    /// How long the last slice was.
    last_ns: u64,
}

impl Slicer {
    /// In a slice that lasts as long as the share is 1. Others are a share of `period_ns` long, and `shortest_ns` at least.
    pub fn new(now: MonoNs, shortest_ns: u64, period_ns: u64) -> Self {
        Self { share: 1.0, shortest_ns, period_ns, on: true, since: now, last_ns: 0 }
    }

    /// From now on this share, from 0 to 1.
    pub fn set_share(&mut self, now: MonoNs, share: f64) {
        let share = share.clamp(0.0, 1.0);
        if share == self.share {
            return;
        }
        // What a longer slice than these has taken is not to be made up for.
        if self.on && now.since(self.since).0 > self.slice_ns(share) {
            self.since = now.before(self.slice_ns(share));
        }
        self.last_ns = self.last_ns.min(self.slice_ns(share));
        self.share = share;
    }

    /// True in a slice. To be asked at [`next`](Self::next) or later.
    pub fn poll(&mut self, now: MonoNs) -> bool {
        if self.next().is_some_and(|t| t <= now) || (self.share >= 1.0 && !self.on) {
            if self.on {
                self.last_ns = now.since(self.since).0;
            }
            self.on = !self.on;
            self.since = now;
        }
        self.on
    }

    /// When the slice or the pause ends; `None`: not before the share changes.
    pub fn next(&self) -> Option<MonoNs> {
        if self.on {
            return (self.share < 1.0).then(|| self.since.after(self.slice_ns(self.share)));
        }
        let slice = self.last_ns.max(self.slice_ns(self.share)) as f64;
        (self.share > 0.0).then(|| self.since.after((slice / self.share - slice) as u64))
    }

    fn slice_ns(&self, share: f64) -> u64 {
        if share <= 0.0 { 0 } else { ((share * self.period_ns as f64) as u64).max(self.shortest_ns) }
    }
}
