//! What is exposed: series of workloads, added up from series of processes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value as ExemplarValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_semantic_conventions::attribute as semconv;
use rustc_hash::FxHashMap;

use super::format::Format;
use super::labels::{self, Labels};
use super::ladder::{self, STEPS};
use super::{naming, text};

/// Most series of one metric. The rest is added up in one with `otel_metric_overflow`.
const MOST_SERIES: usize = 1000;
/// Updates that a series outlives its last process by: ten minutes at the default interval, so that a scraper sees the last
/// state, and a process that starts again goes on where the one before it ended.
const KEPT_UPDATES: u64 = 60;

/// What a metric is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A measured value and the span it was measured on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub trace_id: Vec<u8>,
    pub span_id: Vec<u8>,
    pub value: f64,
    pub time_unix_nano: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Buckets {
    /// Values up to each bound.
    pub cumulative: [u64; STEPS],
    pub count: u64,
    pub sum: f64,
    /// The latest of each bucket, the last one of what is above all bounds.
    pub marks: [Option<Mark>; STEPS + 1],
}

impl Default for Buckets {
    fn default() -> Self {
        Self { cumulative: [0; STEPS], count: 0, sum: 0.0, marks: [const { None }; STEPS + 1] }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Histogram(Box<Buckets>),
}

#[derive(Debug)]
pub(super) struct Series {
    pub value: Value,
    /// The update that last had it.
    seen: u64,
}

/// A metric with all its series.
#[derive(Debug)]
pub(super) struct Family {
    pub kind: Kind,
    pub unit: Option<&'static str>,
    pub help: String,
    pub series: BTreeMap<Labels, Series>,
}

/// What a process said last, by metric and labels without its resource's.
#[derive(Debug, Default)]
struct Source {
    said: FxHashMap<(String, Labels), Value>,
    seen: u64,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub families: BTreeMap<String, Family>,
    sources: FxHashMap<Labels, Source>,
    updates: u64,
}

/// The metrics that a scrape gets.
///
/// Several processes share the labels of their workload; their counters are added up. A process that ends takes nothing
/// with it, because a sum that shrinks would look like a counter that began anew and double what it had counted. Gauges
/// that may be added (`UpDownCounter`s) are; of others the largest is told.
#[derive(Debug)]
pub struct Exposition {
    /// Labels of `target_info`.
    target: Labels,
    state: Mutex<State>,
}

impl Exposition {
    /// `agent` is tracenet's own resource: it describes the target of the scrape.
    pub fn new(agent: &Resource) -> Self {
        Self { target: labels::of_target(&agent.attributes), state: Mutex::default() }
    }

    /// Takes the state of all processes, as [`Meter::snapshot`](crate::Meter::snapshot) gives it. Cumulative sums, gauges and
    /// exponential histograms are taken; nothing here makes other points.
    pub fn update(&self, metrics: &[ResourceMetrics]) {
        self.lock().update(metrics);
    }

    /// The body of an answer.
    pub fn render(&self, format: Format) -> String {
        text::render(&self.target, &self.lock().families, format)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells a process from others: its PID and begin, which outlive an exec; else all that is known.
fn identity(resource: &[KeyValue]) -> Labels {
    let process: Vec<KeyValue> = resource
        .iter()
        .filter(|a| a.key == semconv::PROCESS_PID || a.key == semconv::PROCESS_CREATION_TIME)
        .cloned()
        .collect();
    labels::of_target(if process.is_empty() { resource } else { &process })
}

/// What was counted since `before`; everything where the process began to count anew.
fn grown(now: f64, before: f64) -> f64 {
    if now >= before { now - before } else { now }
}

impl State {
    fn update(&mut self, metrics: &[ResourceMetrics]) {
        self.updates += 1;
        for of_process in metrics {
            let resource = of_process.resource.as_ref().map_or(&[][..], |r| &r.attributes);
            let mut source = self.sources.remove(&identity(resource)).unwrap_or_default();
            for metric in of_process.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                self.metric(metric, resource, &mut source);
            }
            source.seen = self.updates;
            self.sources.insert(identity(resource), source);
        }
        let now = self.updates;
        self.sources.retain(|_, source| source.seen == now);
        for family in self.families.values_mut() {
            // A gauge tells of now, and is gone with its process.
            let kept = if family.kind == Kind::Gauge { 0 } else { KEPT_UPDATES };
            family.series.retain(|_, series| now - series.seen <= kept);
        }
        self.families.retain(|_, family| !family.series.is_empty());
    }

    fn metric(&mut self, metric: &Metric, resource: &[KeyValue], source: &mut Source) {
        const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
        match &metric.data {
            Some(Data::Sum(sum)) if sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE => {
                for point in &sum.data_points {
                    self.counter(metric, resource, point, source);
                }
            }
            Some(Data::Sum(sum)) if !sum.is_monotonic => {
                for point in &sum.data_points {
                    self.gauge(metric, resource, point, |a, b| a + b);
                }
            }
            Some(Data::Gauge(gauge)) => {
                for point in &gauge.data_points {
                    self.gauge(metric, resource, point, f64::max);
                }
            }
            Some(Data::ExponentialHistogram(h)) if h.aggregation_temporality == CUMULATIVE => {
                for point in &h.data_points {
                    self.histogram(metric, resource, point, source);
                }
            }
            _ => {}
        }
    }

    fn counter(
        &mut self,
        metric: &Metric,
        resource: &[KeyValue],
        point: &NumberDataPoint,
        source: &mut Source,
    ) {
        let Some(now) = number(point) else { return };
        let before = source.said.entry(key(metric, &point.attributes)).or_insert(Value::Number(0.0));
        let Value::Number(before) = before else { return };
        let grown = grown(now, std::mem::replace(before, now));
        let empty = || Value::Number(0.0);
        if let Some(Value::Number(sum)) =
            self.series(metric, Kind::Counter, resource, &point.attributes, empty).map(|s| &mut s.value)
        {
            *sum += grown;
        }
    }

    fn gauge(
        &mut self,
        metric: &Metric,
        resource: &[KeyValue],
        point: &NumberDataPoint,
        both: fn(f64, f64) -> f64,
    ) {
        let (Some(now), updates) = (number(point), self.updates) else { return };
        let Some(series) = self.peek(metric, Kind::Gauge, resource, &point.attributes) else { return };
        let earlier = match series.value {
            Value::Number(n) if series.seen == updates => Some(n),
            _ => None,
        };
        series.seen = updates;
        series.value = Value::Number(earlier.map_or(now, |earlier| both(earlier, now)));
    }

    fn histogram(
        &mut self,
        metric: &Metric,
        resource: &[KeyValue],
        point: &ExponentialHistogramDataPoint,
        source: &mut Source,
    ) {
        let empty = || Value::Histogram(Box::default());
        let before = source.said.entry(key(metric, &point.attributes)).or_insert_with(empty);
        let Value::Histogram(before) = before else { return };
        if point.count < before.count {
            **before = Buckets::default();
        }
        let series = self.series(metric, Kind::Histogram, resource, &point.attributes, empty);
        let Some(Value::Histogram(all)) = series.map(|s| &mut s.value) else { return };
        let now = ladder::cumulative(point);
        for ((all, before), now) in all.cumulative.iter_mut().zip(&mut before.cumulative).zip(now) {
            // A coarser scale may move counts over a bound; what was known to lie below it still does.
            *all += now.saturating_sub(*before);
            *before = now.max(*before);
        }
        all.count += point.count - before.count;
        before.count = point.count;
        let sum = point.sum.unwrap_or(0.0);
        all.sum += grown(sum, before.sum);
        before.sum = sum;
        for exemplar in &point.exemplars {
            let Some(mark) = mark(exemplar) else { continue };
            let place = &mut all.marks[ladder::bucket(mark.value)];
            if place.as_ref().is_none_or(|old| old.time_unix_nano <= mark.time_unix_nano) {
                *place = Some(mark);
            }
        }
    }

    /// The series of a point, marked as seen.
    fn series(
        &mut self,
        metric: &Metric,
        kind: Kind,
        resource: &[KeyValue],
        point: &[KeyValue],
        empty: fn() -> Value,
    ) -> Option<&mut Series> {
        let updates = self.updates;
        let series = self.peek(metric, kind, resource, point)?;
        if series.seen == 0 {
            series.value = empty();
        }
        series.seen = updates;
        Some(series)
    }

    /// The series of a point. `None` where another metric has the name already, and is something else.
    fn peek(
        &mut self,
        metric: &Metric,
        kind: Kind,
        resource: &[KeyValue],
        point: &[KeyValue],
    ) -> Option<&mut Series> {
        let unit = naming::unit_word(&metric.unit);
        let family = self.families.entry(naming::family(&metric.name, unit)).or_insert_with(|| Family {
            kind,
            unit,
            help: metric.description.clone(),
            series: BTreeMap::new(),
        });
        if family.kind != kind {
            return None;
        }
        let mut labels = labels::of_point(resource, point);
        if family.series.len() >= MOST_SERIES && !family.series.contains_key(&labels) {
            labels = labels::overflow();
        }
        Some(family.series.entry(labels).or_insert(Series { value: Value::Number(0.0), seen: 0 }))
    }
}

fn key(metric: &Metric, attributes: &[KeyValue]) -> (String, Labels) {
    (metric.name.clone(), labels::of_point(&[], attributes))
}

fn number(point: &NumberDataPoint) -> Option<f64> {
    match point.value? {
        Number::AsInt(n) => Some(n as f64),
        Number::AsDouble(n) => Some(n),
    }
}

fn mark(exemplar: &Exemplar) -> Option<Mark> {
    let value = match exemplar.value? {
        ExemplarValue::AsDouble(value) => value,
        ExemplarValue::AsInt(value) => value as f64,
    };
    Some(Mark {
        trace_id: exemplar.trace_id.clone(),
        span_id: exemplar.span_id.clone(),
        value,
        time_unix_nano: exemplar.time_unix_nano,
    })
}
