//! The series of one process, or of whoever else has some.

use std::sync::Arc;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram as Histogram, Metric, NumberDataPoint, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use rustc_hash::FxHashMap;
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};

use super::instrument::{Instrument, Label, LabelValue, key_value};
use crate::exemplars::{Exemplars, Link};
use crate::histogram::ExponentialHistogram;
use crate::names::attribute;

/// Most series of one metric of one process; the rest goes into one with `otel.metric.overflow` (OpenTelemetry SDK,
/// "cardinality limits", whose default is 2000).
const MOST_SERIES: usize = 2000;
#[derive(Debug)]
pub(super) enum Series {
    Sum(u64),
    /// A sum of times, nanoseconds.
    Time(u64),
    /// What may also shrink.
    Level(u64),
    Histogram(Box<Durations>),
}

/// How long something took, s.
#[derive(Debug, Default)]
pub(super) struct Durations {
    histogram: ExponentialHistogram,
    exemplars: Exemplars,
}

/// The series of one process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) resource: Arc<Resource>,
    start: MonoNs,
    series: FxHashMap<Instrument, FxHashMap<Vec<Label>, Series>>,
    pub(super) exited: Option<MonoNs>,
    pub(super) exported_after_exit: bool,
}

impl Process {
    pub(super) fn new(resource: Arc<Resource>, start: MonoNs) -> Self {
        Self { resource, start, series: FxHashMap::default(), exited: None, exported_after_exit: false }
    }

    /// There is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    fn series(&mut self, instrument: Instrument, labels: &[Label], empty: fn() -> Series) -> &mut Series {
        let of_metric = self.series.entry(instrument).or_default();
        let overflow = [(attribute::OVERFLOW, LabelValue::Yes)];
        let labels = if of_metric.len() >= MOST_SERIES && !of_metric.contains_key(labels) {
            &overflow[..]
        } else {
            labels
        };
        if !of_metric.contains_key(labels) {
            of_metric.insert(labels.to_vec(), empty());
        }
        of_metric.entry(labels.to_vec()).or_insert_with(empty)
    }

    pub(super) fn add(&mut self, instrument: Instrument, labels: &[Label], n: u64) {
        if let Series::Sum(sum) = self.series(instrument, labels, || Series::Sum(0)) {
            *sum = sum.saturating_add(n);
        }
    }

    /// A sum is at least so much.
    pub(super) fn reaches(&mut self, instrument: Instrument, labels: &[Label], n: u64) {
        if let Series::Sum(sum) = self.series(instrument, labels, || Series::Sum(0)) {
            *sum = (*sum).max(n);
        }
    }

    pub(super) fn add_time(&mut self, instrument: Instrument, labels: &[Label], t: DurationNs) {
        if let Series::Time(sum) = self.series(instrument, labels, || Series::Time(0)) {
            *sum = sum.saturating_add(t.0);
        }
    }

    /// What is summed up elsewhere.
    pub(super) fn set(&mut self, instrument: Instrument, labels: &[Label], now: Series) {
        *self.series(instrument, labels, || Series::Level(0)) = now;
    }

    pub(super) fn record(
        &mut self,
        instrument: Instrument,
        labels: &[Label],
        t: DurationNs,
        link: Option<Link>,
    ) {
        self.record_many(instrument, labels, t, 1, link);
    }

    pub(super) fn record_many(
        &mut self,
        instrument: Instrument,
        labels: &[Label],
        t: DurationNs,
        n: u64,
        link: Option<Link>,
    ) {
        if let Series::Histogram(h) = self.series(instrument, labels, || Series::Histogram(Box::default())) {
            let seconds = t.0 as f64 / 1e9;
            h.histogram.record_many(seconds, n);
            if let Some(link) = link {
                h.exemplars.offer(seconds, link);
            }
        }
    }

    pub(super) fn metrics(&self, now: MonoNs, clock: ClockOffset) -> Vec<Metric> {
        let (start, now) = (clock.wall(self.start).0, clock.wall(now.max(self.start)).0);
        let mut instruments: Vec<_> = self.series.iter().collect();
        instruments.sort_by_key(|(instrument, _)| **instrument);
        let metrics = instruments.into_iter().map(|(instrument, of_metric)| {
            let (mut sums, mut histograms, mut is_monotonic) = (Vec::new(), Vec::new(), true);
            let mut of_metric: Vec<_> = of_metric.iter().collect();
            of_metric.sort_by_key(|(labels, _)| *labels);
            for (labels, series) in of_metric {
                let attributes = labels.iter().map(key_value).collect();
                let value = match series {
                    Series::Sum(n) => Number::AsInt(i64::try_from(*n).unwrap_or(i64::MAX)),
                    Series::Time(ns) => Number::AsDouble(*ns as f64 / 1e9),
                    Series::Level(n) => {
                        is_monotonic = false;
                        Number::AsInt(i64::try_from(*n).unwrap_or(i64::MAX))
                    }
                    Series::Histogram(h) => {
                        let mut point = h.histogram.point(attributes, start, now);
                        point.exemplars = h.exemplars.points(clock);
                        histograms.push(point);
                        continue;
                    }
                };
                sums.push(NumberDataPoint {
                    attributes,
                    start_time_unix_nano: start,
                    time_unix_nano: now,
                    value: Some(value),
                    ..NumberDataPoint::default()
                });
            }
            let aggregation_temporality = AggregationTemporality::Cumulative as i32;
            let data = if histograms.is_empty() {
                Data::Sum(Sum { data_points: sums, aggregation_temporality, is_monotonic })
            } else {
                Data::ExponentialHistogram(Histogram { data_points: histograms, aggregation_temporality })
            };
            let (name, unit, description) = instrument.describe();
            Metric {
                name: name.to_owned(),
                description: description.to_owned(),
                unit: unit.to_owned(),
                data: Some(data),
                ..Metric::default()
            }
        });
        metrics.collect()
    }
}
