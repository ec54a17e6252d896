//! Exponential histograms as the classic buckets that every Prometheus reads.

use opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint;

/// Number of [`BOUNDS`].
pub(super) const STEPS: usize = 24;

/// Exponent of the lowest bound: 2^-17 s are 7.6 us.
const LOWEST: i32 = -17;

/// Upper bounds of the buckets (`le`), in seconds: the powers of two from 2^-17 (7.6 us) to 2^6 (64 s).
///
/// A base-2 exponential histogram has a bucket's end at each power of two as long as its scale is 0 or more, and durations
/// (64 octaves of nanoseconds at most) never make it less: counts are exact, nothing straddles a bound. If other values
/// ever lower the scale, a bucket that straddles a bound counts as if all its values were at its upper end.
pub const BOUNDS: [f64; STEPS] = {
    let mut bounds = [0.0; STEPS];
    let mut at = 0;
    while at < STEPS {
        // 2^n from its bits: the exponent of a double is biased by 1023 and stands above 52 bits of fraction.
        bounds[at] = f64::from_bits(((1023 + LOWEST + at as i32) as u64) << 52);
        at += 1;
    }
    bounds
};

/// The bucket that a value falls in: an index into [`BOUNDS`], or [`STEPS`] for what is above all of them.
pub(super) fn bucket(value: f64) -> usize {
    BOUNDS.partition_point(|bound| *bound < value)
}

/// Counts of values up to each bound. What is negative lies below the lowest.
pub(super) fn cumulative(point: &ExponentialHistogramDataPoint) -> [u64; STEPS] {
    let mut counts = [0_u64; STEPS];
    let below = point.negative.iter().flat_map(|b| &b.bucket_counts).sum::<u64>() + point.zero_count;
    counts[0] = below;
    if let Some(positive) = &point.positive {
        for (n, count) in positive.bucket_counts.iter().enumerate() {
            // (base^i, base^(i+1)] with base = 2^(2^-scale): the logarithm of the upper end.
            let end = (f64::from(positive.offset) + n as f64 + 1.0) * (-f64::from(point.scale)).exp2();
            let at = (end - f64::from(LOWEST)).ceil().max(0.0) as usize;
            if let Some(bucket) = counts.get_mut(at) {
                *bucket += count;
            }
        }
    }
    let mut sum = 0_u64;
    counts.map(|count| {
        sum = sum.saturating_add(count);
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::ExponentialHistogram;

    #[test]
    fn the_bounds_are_powers_of_two() {
        assert_eq!((BOUNDS[0], BOUNDS[17], BOUNDS[STEPS - 1]), (0.000_007_629_394_531_25, 1.0, 64.0));
        assert_eq!([bucket(0.0), bucket(1.0), bucket(1.1), bucket(64.0), bucket(65.0)], [0, 17, 18, 23, 24]);
    }

    #[test]
    fn counts_are_exact_at_every_bound() {
        // Two runs: durations of one magnitude, where buckets are finest, and of all that clocks can tell.
        for range in [1_000_000..2_000_000_u64, 1..u64::MAX] {
            let mut values: Vec<f64> = BOUNDS.iter().flat_map(|b| [*b, b.next_up(), b.next_down()]).collect();
            let step = (range.end - range.start) / 10_000;
            values.extend((0..10_000).map(|n| (range.start + n * step) as f64 / 1e9));
            let mut histogram = ExponentialHistogram::default();
            values.iter().for_each(|v| histogram.record(*v));
            let point = histogram.point(Vec::new(), 0, 0);
            assert!(point.scale >= 0, "{}", point.scale);
            for (bound, count) in BOUNDS.iter().zip(cumulative(&point)) {
                // On a bound, or off it by more than what the rounding of a logarithm may hide.
                let sure = values.iter().filter(|v| **v == *bound || **v < bound * (1.0 - 1e-14)).count();
                let perhaps = values.iter().filter(|v| **v < bound * (1.0 + 1e-14)).count();
                let (sure, perhaps) = (sure as u64, perhaps as u64);
                assert!((sure..=perhaps).contains(&count), "{count} up to {bound}, {sure} to {perhaps}");
            }
        }
    }

    #[test]
    fn a_bucket_across_bounds_counts_at_its_upper_end() {
        let point = |scale, offset, counts: &[u64]| ExponentialHistogramDataPoint {
            scale,
            positive: Some(
                opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets {
                    offset,
                    bucket_counts: counts.to_vec(),
                },
            ),
            ..ExponentialHistogramDataPoint::default()
        };
        // Scale -1: (1, 4] is bucket 0.
        let counts = cumulative(&point(-1, 0, &[5]));
        assert_eq!((counts[bucket(1.0)], counts[bucket(2.0)], counts[bucket(4.0)]), (0, 0, 5));
        // Nonsense is nowhere, and breaks nothing.
        for (scale, offset) in [(i32::MIN, i32::MAX), (i32::MAX, i32::MIN), (0, i32::MAX), (0, i32::MIN)] {
            cumulative(&point(scale, offset, &[1, 1]));
        }
    }
}
