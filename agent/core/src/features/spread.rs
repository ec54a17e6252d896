//! Smallest, largest, mean and standard deviation of values that are not kept.

/// Of packet sizes: exact, no division until somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sizes {
    count: u32,
    min: u32,
    max: u32,
    sum: u64,
    squares: u64,
}

impl Sizes {
    #[inline]
    pub fn add(&mut self, value: u32) {
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count = self.count.saturating_add(1);
        let value = u64::from(value);
        self.sum = self.sum.saturating_add(value);
        self.squares = self.squares.saturating_add(value.saturating_mul(value));
    }

    pub fn sum(&self) -> u64 {
        self.sum
    }

    pub fn min(&self) -> Option<u32> {
        (self.count > 0).then_some(self.min)
    }

    pub fn max(&self) -> Option<u32> {
        (self.count > 0).then_some(self.max)
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / f64::from(self.count))
    }

    /// Of the sample: divided by one less than the count. `None` for fewer than two values.
    pub fn deviation(&self) -> Option<f64> {
        let n = u128::from(self.count);
        let rest = n.checked_sub(1).filter(|rest| *rest > 0)?;
        let sum = u128::from(self.sum);
        let spread = (n * u128::from(self.squares)).saturating_sub(sum * sum);
        Some((spread as f64 / (n * rest) as f64).sqrt())
    }
}

/// Of times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Times {
    count: u32,
    min: u64,
    max: u64,
    sum: u64,
    squares: f64,
}

impl Times {
    #[inline]
    pub fn add(&mut self, ns: u64) {
        self.min = if self.count == 0 { ns } else { self.min.min(ns) };
        self.max = self.max.max(ns);
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(ns);
        let ns = ns as f64;
        self.squares += ns * ns;
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(u64::from(self.count))
    }

    /// Of the sample, as [`Sizes::deviation`].
    pub fn deviation(&self) -> Option<u64> {
        if self.count < 2 {
            return None;
        }
        let (n, sum) = (f64::from(self.count), self.sum as f64);
        let variance = (self.squares - sum * sum / n) / (n - 1.0);
        // Stamps centuries apart, as damaged files have them, saturate the sum.
        Some((variance.max(0.0).sqrt() as u64).min(self.max - self.min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_spread_as_the_textbook_says() {
        let mut s = Sizes::default();
        assert_eq!((s.min(), s.mean(), s.deviation()), (None, None, None));
        for n in [2, 4, 4, 4, 5, 5, 7, 9] {
            s.add(n);
        }
        assert_eq!((s.min(), s.max(), s.sum(), s.mean()), (Some(2), Some(9), 40, Some(5.0)));
        let deviation = s.deviation().expect("eight values");
        assert!((deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_value_has_no_deviation() {
        let mut t = Times::default();
        t.add(7);
        assert_eq!((t.min(), t.max(), t.mean(), t.deviation()), (Some(7), Some(7), Some(7), None));
        t.add(9);
        assert_eq!((t.mean(), t.deviation()), (Some(8), Some(1)));
    }

    #[test]
    fn times_spread_no_further_than_they_reach() {
        let mut t = Times::default();
        for ns in [u64::MAX, u64::MAX, u64::MAX - 5] {
            t.add(ns);
        }
        assert!(t.deviation() <= Some(5));
    }
}
