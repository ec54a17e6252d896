//! Requests out of queued spans, one `ResourceSpans` per process, and what is in them.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use rustc_hash::FxHashMap;

use crate::names;
use crate::queue::SpanItem;

/// Most bytes of metrics, as encoded, and of spans, as they lie in memory (which is more), in a request: collectors refuse
/// more than 4 MiB by default, and resources come on top.
pub(crate) const BATCH_BYTES: usize = 3 << 20;

/// Everything exported comes from this scope.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: names::SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Groups spans by the process they belong to.
pub(crate) fn trace_request(items: &[SpanItem]) -> ExportTraceServiceRequest {
    let mut resource_spans: Vec<ResourceSpans> = Vec::new();
    let mut place: FxHashMap<*const Resource, usize> = FxHashMap::default();
    for item in items {
        let at = *place.entry(Arc::as_ptr(&item.resource)).or_insert_with(|| {
            resource_spans.push(ResourceSpans {
                resource: Some(Resource::clone(&item.resource)),
                scope_spans: vec![ScopeSpans { scope: Some(scope()), ..ScopeSpans::default() }],
                schema_url: opentelemetry_semantic_conventions::SCHEMA_URL.to_owned(),
            });
            resource_spans.len() - 1
        });
        resource_spans[at].scope_spans[0].spans.push(item.span.clone());
    }
    ExportTraceServiceRequest { resource_spans }
}

/// Spans in a request.
pub(crate) fn spans(request: &ExportTraceServiceRequest) -> usize {
    request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum()
}

/// Cuts a request in two; `None` where it has no two spans.
pub(crate) fn halves(
    request: &ExportTraceServiceRequest,
) -> Option<(ExportTraceServiceRequest, ExportTraceServiceRequest)> {
    let mut left = spans(request) / 2;
    if left == 0 {
        return None;
    }
    let (mut first, mut rest) = (request.clone(), request.clone());
    for (one, other) in first.resource_spans.iter_mut().zip(&mut rest.resource_spans) {
        for (one, other) in one.scope_spans.iter_mut().zip(&mut other.scope_spans) {
            let here = left.min(one.spans.len());
            one.spans.truncate(here);
            other.spans.drain(..here);
            left -= here;
        }
    }
    for half in [&mut first, &mut rest] {
        half.resource_spans.retain(|r| r.scope_spans.iter().any(|s| !s.spans.is_empty()));
    }
    Some((first, rest))
}

/// The metrics of one process.
pub(crate) fn resource_metrics(resource: &Resource, metrics: Vec<Metric>) -> ResourceMetrics {
    ResourceMetrics {
        resource: Some(resource.clone()),
        scope_metrics: vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }],
        schema_url: opentelemetry_semantic_conventions::SCHEMA_URL.to_owned(),
    }
}

/// Cuts metrics into requests of bounded size.
pub(crate) fn metric_requests(metrics: Vec<ResourceMetrics>) -> Vec<ExportMetricsServiceRequest> {
    use prost::Message;
    let mut requests: Vec<ExportMetricsServiceRequest> = Vec::new();
    let mut bytes = 0;
    for resource in metrics {
        let len = resource.encoded_len();
        match requests.last_mut() {
            Some(request) if bytes + len <= BATCH_BYTES => {
                request.resource_metrics.push(resource);
                bytes += len;
            }
            _ => {
                requests.push(ExportMetricsServiceRequest { resource_metrics: vec![resource] });
                bytes = len;
            }
        }
    }
    requests
}

/// Data points in `metrics`.
pub(crate) fn points(metrics: &[ResourceMetrics]) -> u64 {
    let points =
        metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics).map(|m| match &m.data {
            Some(Data::Sum(d)) => d.data_points.len(),
            Some(Data::Gauge(d)) => d.data_points.len(),
            Some(Data::Histogram(d)) => d.data_points.len(),
            Some(Data::ExponentialHistogram(d)) => d.data_points.len(),
            Some(Data::Summary(d)) => d.data_points.len(),
            None => 0,
        });
    points.sum::<usize>() as u64
}
