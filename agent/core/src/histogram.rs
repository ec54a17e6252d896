//! A log-linear histogram of durations: exact minimum and maximum, quantiles within 2 %, bounded memory.

use crate::fact::RttSummary;
use crate::time::DurationNs;

/// Linear steps per power of two, as a power of two: a bucket is at most 1/32 of its value wide, so that its
/// middle is off by at most 1/64.
const STEP_BITS: u32 = 5;

/// Durations by bucket. Only buckets that were hit are kept: round-trip times of a connection lie close together,
/// and a host has many connections.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// (bucket, count), sorted by bucket; at most 1,920 entries exist.
    buckets: Vec<(u16, u64)>,
    count: u64,
    min: u64,
    max: u64,
}

impl Histogram {
    /// No sample.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample.
    pub fn record(&mut self, d: DurationNs) {
        let b = bucket(d.0);
        match self.buckets.binary_search_by_key(&b, |e| e.0) {
            Ok(i) => self.buckets[i].1 += 1,
            Err(i) => self.buckets.insert(i, (b, 1)),
        }
        self.min = if self.count == 0 { d.0 } else { self.min.min(d.0) };
        self.max = self.max.max(d.0);
        self.count += 1;
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest sample.
    pub fn min(&self) -> Option<DurationNs> {
        (self.count > 0).then_some(DurationNs(self.min))
    }

    /// The value at or below which the share `q` (0 to 1) of the samples lies; `None` without samples.
    pub fn quantile(&self, q: f64) -> Option<DurationNs> {
        let wanted = ((self.count as f64 * q.clamp(0.0, 1.0)).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (b, n) in &self.buckets {
            seen += n;
            if seen >= wanted {
                return Some(DurationNs(middle(*b).clamp(self.min, self.max)));
            }
        }
        None
    }

    /// What a summary tells; `None` without samples.
    pub fn summary(&self) -> Option<RttSummary> {
        Some(RttSummary {
            p50: self.quantile(0.5)?,
            p99: self.quantile(0.99)?,
            min: DurationNs(self.min),
            max: DurationNs(self.max),
            samples: self.count,
        })
    }
}

/// Values below 2^STEP_BITS have a bucket each; above, every power of two has 2^STEP_BITS of them.
fn bucket(v: u64) -> u16 {
    let magnitude = (64 - v.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let step = (v >> magnitude) as u16;
    ((magnitude as u16) << STEP_BITS) + step
}

fn middle(bucket: u16) -> u64 {
    let steps = 1u16 << STEP_BITS;
    if bucket < 2 * steps {
        return u64::from(bucket);
    }
    let magnitude = u32::from(bucket >> STEP_BITS) - 1;
    let step = u64::from(bucket & (steps - 1)) + u64::from(steps);
    (step << magnitude) + ((1 << magnitude) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_two_percent() {
        for scale in [1u64, 37, 1_000, 1_234_567, 90_000_000_000] {
            let mut h = Histogram::new();
            let n = 1000u64;
            for i in 1..=n {
                h.record(DurationNs(i * scale));
            }
            for (q, exact) in [(0.01, 10), (0.5, 500), (0.9, 900), (0.99, 990)] {
                let exact = (exact * scale) as f64;
                let got = h.quantile(q).map_or(0.0, |d| d.0 as f64);
                assert!((got - exact).abs() <= exact * 0.02, "q {q} scale {scale}: {got} for {exact}");
            }
            let s = h.summary().expect("there are samples");
            assert_eq!((s.min.0, s.max.0, s.samples), (scale, n * scale, n));
        }
    }

    #[test]
    fn every_value_has_a_bucket_whose_middle_is_near() {
        for shift in 0..64 {
            for v in [1u64 << shift, (1u64 << shift).wrapping_sub(1), (1u64 << shift) | (1 << (shift / 2))] {
                let m = middle(bucket(v));
                assert!(m.abs_diff(v) <= v / 50, "{v} became {m}");
            }
        }
        assert_eq!(middle(bucket(u64::MAX)) >> 62, 3);
    }

    #[test]
    fn few_samples_and_none() {
        let mut h = Histogram::new();
        assert_eq!(h.summary(), None);
        h.record(DurationNs(1_000_003));
        let s = h.summary().expect("one sample");
        assert_eq!((s.min, s.p50, s.p99, s.max), (DurationNs(1_000_003), s.min, s.min, s.min));
    }
}
