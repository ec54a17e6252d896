//! Exemplars: for each magnitude of a measured value, the newest trace in which it was seen.

use std::collections::BTreeMap;

use opentelemetry::{SpanId, TraceId};
use opentelemetry_proto::tonic::metrics::v1::{Exemplar as Point, exemplar::Value};
use tracenet_core::time::{ClockOffset, MonoNs};

/// Powers of two of seconds that are told apart: from below a microsecond to 17 minutes. What lies outside is put to
/// the nearest.
const POWERS: std::ops::RangeInclusive<i32> = -20..=10;

/// The span that a value was measured on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Link {
    pub trace: TraceId,
    pub span: SpanId,
    /// When it was measured.
    pub t: MonoNs,
}

/// At most one exemplar for each power of two, so that every bucket of the Prometheus endpoint can have its own. The
/// latest wins.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Exemplars(BTreeMap<i32, (f64, Link)>);

impl Exemplars {
    /// `value` in seconds; zero and less belong to no power of two and are left out.
    pub(crate) fn offer(&mut self, value: f64, link: Link) {
        if value > 0.0 && value.is_finite() {
            // Buckets include their upper bound, so that a power of two is the end of the one below it.
            let power = (value.log2().ceil() as i32 - 1).clamp(*POWERS.start(), *POWERS.end());
            self.0.insert(power, (value, link));
        }
    }

    /// As OTLP has them, the smallest value first.
    pub(crate) fn points(&self, clock: ClockOffset) -> Vec<Point> {
        let points = self.0.values().map(|(value, link)| Point {
            time_unix_nano: clock.wall(link.t).0,
            trace_id: link.trace.to_bytes().to_vec(),
            span_id: link.span.to_bytes().to_vec(),
            value: Some(Value::AsDouble(*value)),
            ..Point::default()
        });
        points.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_power_of_two_is_kept_and_no_more() {
        let mut exemplars = Exemplars::default();
        let link = |n: u64| Link {
            trace: TraceId::from_bytes([1; 16]),
            span: SpanId::from_bytes(n.to_be_bytes()),
            t: MonoNs(n),
        };
        let clock = ClockOffset::default();
        for (n, value) in [(1, 0.3), (2, 0.5), (3, 0.6), (4, 0.4), (5, 0.0), (6, f64::NAN), (7, -1.0)] {
            exemplars.offer(value, link(n));
        }
        let kept: Vec<_> = exemplars.points(clock).into_iter().map(|p| p.value).collect();
        assert_eq!(kept, [Some(Value::AsDouble(0.4)), Some(Value::AsDouble(0.6))]);
        for n in 1..200_000 {
            exemplars.offer(f64::from_bits(n << 40), link(n));
            exemplars.offer(n as f64, link(n));
        }
        assert!(exemplars.0.len() <= POWERS.count());
    }
}
