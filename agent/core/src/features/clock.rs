//! The clock behind TCP timestamps: how fast it runs, and since when.

use crate::time::WallNs;

/// Rates of timestamp clocks in use, Hz (RFC 7323, section 5.4 allows 1 to 1000).
const RATES: [u32; 7] = [1, 2, 10, 100, 250, 500, 1000];

/// Ticks that must have passed before the rate is told from others.
const MIN_TICKS: u32 = 8;

/// Timestamps of one direction (RFC 7323, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Clock {
    /// First value and its arrival.
    first: (u32, u64),
    /// Last value.
    pub last: u32,
    last_ns: u64,
    /// Last echo.
    pub echo: u32,
    pub seen: bool,
    /// A value was lower than the one before.
    pub went_back: bool,
}

impl Clock {
    #[inline]
    pub fn add(&mut self, t: WallNs, value: u32, echo: u32) {
        if self.seen {
            self.went_back |= (value.wrapping_sub(self.last) as i32) < 0;
        } else {
            self.first = (value, t.0);
            self.seen = true;
        }
        (self.last, self.last_ns, self.echo) = (value, t.0, echo);
    }

    /// Ticks a second, the nearest rate in use; `None` before enough of them passed, or where none is near.
    pub fn rate(&self) -> Option<u32> {
        let ticks = self.last.wrapping_sub(self.first.0);
        let ns = self.last_ns.saturating_sub(self.first.1);
        if !(MIN_TICKS..1 << 31).contains(&ticks) || ns == 0 {
            return None;
        }
        let measured = f64::from(ticks) * 1e9 / ns as f64;
        let off = |rate: &u32| (measured / f64::from(*rate) - 1.0).abs();
        RATES.into_iter().min_by(|a, b| off(a).total_cmp(&off(b))).filter(|rate| off(rate) < 0.25)
    }

    /// How long the clock had been running at the last value, if it began at zero and never wrapped.
    pub fn uptime_ns(&self) -> Option<u64> {
        Some(u64::from(self.last) * 1_000_000_000 / u64::from(self.rate()?))
    }

    /// When it then began.
    pub fn boot(&self) -> Option<WallNs> {
        self.last_ns.checked_sub(self.uptime_ns()?).map(WallNs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_nearest_in_use() {
        let mut c = Clock::default();
        c.add(WallNs(10_000_000_000), 1000, 0);
        c.add(WallNs(10_002_000_000), 1002, 0);
        assert_eq!(c.rate(), None, "too few ticks");
        c.add(WallNs(11_000_000_000), 1997, 0);
        assert_eq!(c.rate(), Some(1000));
        assert_eq!(c.uptime_ns(), Some(1_997_000_000));
        assert_eq!(c.boot(), Some(WallNs(9_003_000_000)));
        assert!(!c.went_back);
        c.add(WallNs(11_000_000_001), 1996, 0);
        assert!(c.went_back);
    }

    #[test]
    fn random_stamps_have_no_rate() {
        let mut c = Clock::default();
        c.add(WallNs(5), 7, 0);
        c.add(WallNs(1_000_000_005), 0x7fff_0000, 0);
        assert_eq!((c.rate(), c.uptime_ns(), c.boot()), (None, None, None));
        let mut same = Clock::default();
        same.add(WallNs(5), 7, 0);
        same.add(WallNs(5), 4_000_000_000, 0);
        assert_eq!(same.rate(), None);
    }
}
