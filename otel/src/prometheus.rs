//! Metrics of observed processes as Prometheus scrapes them: OpenMetrics 1.0 (with exemplars) and the text format 0.0.4.
//!
//! [`Exposition`] takes the same snapshots that OTLP exports and adds up what falls on one set of labels, because labels
//! name workloads and not processes. Names follow OpenTelemetry's "Prometheus and OpenMetrics Compatibility": dots become
//! underscores, the unit and, for counters, `_total` are appended.
//!
//! The text is written here and not by the prometheus-client crate: that writes OpenMetrics alone, and exemplars only of
//! values that its own instruments counted.

mod exposition;
mod format;
mod labels;
mod ladder;
mod naming;
mod text;

pub use exposition::Exposition;
pub use format::Format;
pub use ladder::BOUNDS;
