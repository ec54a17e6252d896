//! A base-2 exponential histogram as the OpenTelemetry metrics data model has it.
/// Histogram.
#[derive(Debug, Clone)]
pub struct ExponentialHistogram {}
