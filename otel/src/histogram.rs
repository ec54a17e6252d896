//! A base-2 exponential histogram as OpenTelemetry's metrics data model has it ("ExponentialHistogram"): bucket `i`
//! holds values in `(base^i, base^(i+1)]`, where `base = 2^(2^-scale)`. The scale is lowered, by merging
//! neighbouring buckets, whenever the values span more than [`MOST_BUCKETS`].

use std::collections::VecDeque;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;

/// Most buckets kept, the data model's recommendation.
pub const MOST_BUCKETS: usize = 160;
/// Scale of a histogram that has one value, the data model's recommendation for the largest.
const LARGEST_SCALE: i32 = 20;

/// Counts non-negative values in buckets of equal relative width.
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialHistogram {
    scale: i32,
    /// Index of the first bucket.
    offset: i32,
    buckets: VecDeque<u64>,
    zeros: u64,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Default for ExponentialHistogram {
    fn default() -> Self {
        Self {
            scale: LARGEST_SCALE,
            offset: 0,
            buckets: VecDeque::new(),
            zeros: 0,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

/// Index of the bucket of a positive, finite value.
fn index(value: f64, scale: i32) -> i32 {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = value.max(f64::MIN_POSITIVE).to_bits();
    let exponent = ((bits >> MANTISSA_BITS) & 0x7ff) as i32 - 1023;
    let power_of_two = bits & ((1 << MANTISSA_BITS) - 1) == 0;
    if scale > 0 {
        // Exact for powers of two, where a logarithm may round across the bound.
        if power_of_two {
            return (exponent << scale) - 1;
        }
        let scaled = value.ln() * std::f64::consts::LOG2_E * f64::from(1 << scale);
        return scaled.ceil() as i32 - 1;
    }
    // A bucket's upper bound belongs to it.
    (exponent - i32::from(power_of_two)) >> -scale
}

impl ExponentialHistogram {
    /// Counts a value. Negative and non-finite ones are not values of a duration and are left out.
    pub fn record(&mut self, value: f64) {
        self.record_many(value, 1);
    }

    /// Counts a value `n` times.
    pub fn record_many(&mut self, value: f64, n: u64) {
        if !value.is_finite() || value < 0.0 || n == 0 {
            return;
        }
        self.count += n;
        self.sum += value * n as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value == 0.0 {
            self.zeros += n;
            return;
        }
        let mut at = index(value, self.scale);
        if self.buckets.is_empty() {
            self.offset = at;
        }
        let last = self.offset + self.buckets.len() as i32 - 1;
        let (mut low, mut high) = (at.min(self.offset), at.max(last));
        let mut shift = 0;
        while i64::from(high) - i64::from(low) >= MOST_BUCKETS as i64 {
            low >>= 1;
            high >>= 1;
            shift += 1;
        }
        if shift > 0 {
            self.lower_scale(shift);
            at = index(value, self.scale);
        }
        while at < self.offset {
            self.buckets.push_front(0);
            self.offset -= 1;
        }
        let place = (at - self.offset) as usize;
        while self.buckets.len() <= place {
            self.buckets.push_back(0);
        }
        self.buckets[place] += n;
    }

    fn lower_scale(&mut self, by: u32) {
        let offset = self.offset >> by;
        let mut merged: VecDeque<u64> = VecDeque::new();
        for (i, count) in self.buckets.iter().enumerate() {
            let place = (((self.offset + i as i32) >> by) - offset) as usize;
            while merged.len() <= place {
                merged.push_back(0);
            }
            merged[place] += count;
        }
        self.buckets = merged;
        self.offset = offset;
        self.scale -= by as i32;
    }

    /// The OTLP point.
    pub fn point(
        &self,
        attributes: Vec<KeyValue>,
        start_time_unix_nano: u64,
        time_unix_nano: u64,
    ) -> ExponentialHistogramDataPoint {
        let some = self.count > 0;
        ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count: self.count,
            sum: Some(self.sum),
            scale: self.scale,
            zero_count: self.zeros,
            positive: Some(Buckets {
                offset: self.offset,
                bucket_counts: self.buckets.iter().copied().collect(),
            }),
            min: some.then_some(self.min),
            max: some.then_some(self.max),
            ..ExponentialHistogramDataPoint::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> ExponentialHistogramDataPoint {
        let mut h = ExponentialHistogram::default();
        values.iter().for_each(|v| h.record(*v));
        h.point(Vec::new(), 1, 2)
    }

    fn buckets(point: &ExponentialHistogramDataPoint) -> (i32, i32, Vec<u64>) {
        let positive = point.positive.clone().unwrap();
        (point.scale, positive.offset, positive.bucket_counts)
    }

    #[test]
    fn indices_are_those_of_the_data_model() {
        // Scale 0: base 2, (1,2] is bucket 0. Scale 1: base sqrt 2. Scale -1: base 4.
        for (value, scale, at) in [
            (1.0, 0, -1),
            (1.1, 0, 0),
            (2.0, 0, 0),
            (2.1, 0, 1),
            (4.0, 0, 1),
            (0.5, 0, -2),
            (0.6, 0, -1),
            (1.0, 1, -1),
            (1.41, 1, 0),
            (1.42, 1, 1),
            (2.0, 1, 1),
            (2.1, 1, 2),
            (0.5, 1, -3),
            (1.0, -1, -1),
            (4.0, -1, 0),
            (4.1, -1, 1),
            (16.0, -1, 1),
            (0.25, -1, -2),
            (0.26, -1, -1),
            (1.0, 20, -1),
            (2.0, 20, (1 << 20) - 1),
            (8.0, 3, 23),
        ] {
            assert_eq!(index(value, scale), at, "{value} at scale {scale}");
        }
    }

    #[test]
    fn four_powers_of_two_keep_the_finest_scale_that_fits() {
        // 1, 2, 4, 8 span 3 octaves: 3 * 2^5 + 1 = 97 buckets fit into 160, 3 * 2^6 + 1 = 193 don't.
        let point = of(&[1.0, 2.0, 4.0, 8.0]);
        let (scale, offset, counts) = buckets(&point);
        assert_eq!((scale, offset, counts.len()), (5, -1, 97));
        let filled: Vec<usize> = (0..97).filter(|i| counts[*i] == 1).collect();
        assert_eq!(filled, [0, 32, 64, 96]);
        assert_eq!((point.count, point.sum, point.min, point.max), (4, Some(15.0), Some(1.0), Some(8.0)));
    }

    #[test]
    fn order_does_not_matter_and_nothing_is_lost() {
        let mut values: Vec<f64> = (1..=1000).map(|i| f64::from(i) * 1e-6).collect();
        values.extend([3600.0, 1e-9, 0.0, 0.0]);
        let forward = of(&values);
        values.reverse();
        let backward = of(&values);
        assert_eq!(buckets(&forward), buckets(&backward));
        assert_eq!(forward.zero_count, 2);
        let (scale, offset, counts) = buckets(&forward);
        assert_eq!(counts.iter().sum::<u64>(), 1002);
        assert!(counts.len() <= MOST_BUCKETS);
        // Every value lies within its bucket's bounds.
        let base = 2_f64.powf(2_f64.powi(-scale));
        assert!(
            base.powi(offset) < 1e-9 * 1.000_001
                && 3600.0 <= base.powi(offset + counts.len() as i32) * 1.000_001
        );
    }

    #[test]
    fn the_widest_range_still_fits() {
        let (scale, _, counts) = buckets(&of(&[f64::MIN_POSITIVE, f64::MAX]));
        assert!(counts.len() <= MOST_BUCKETS && counts.iter().sum::<u64>() == 2);
        assert_eq!(scale, -4, "2046 octaves, 16 a bucket");
    }

    #[test]
    fn what_is_no_duration_is_left_out() {
        let point = of(&[f64::NAN, f64::INFINITY, -1.0]);
        assert_eq!((point.count, point.min), (0, None));
    }
}
