//! OpenTelemetry spans and metrics of *observed* processes: facts of the core in, OTLP out.
//!
//! [`Telemetry`] turns [`Fact`](tracenet_core::fact::Fact)s into spans and metrics and hands them to a [`Sink`],
//! which never blocks; an [`Exporter`] sends them from a thread of its own. The same metrics can be scraped: an
//! [`Exposition`](prometheus::Exposition) keeps them, a [`Server`](serve::Server) shows them. What can't be kept or sent is counted
//! ([`Losses`]), never silently gone.
//!
//! Names follow OpenTelemetry's semantic conventions where these have one, and `tracenet.*` where not; all names
//! of ours stand in [`names`].
#![forbid(unsafe_code)]

pub mod names;
pub mod prometheus;
pub mod serve;

mod account;
mod batch;
mod calls;
mod capture;
mod describe;
mod endpoints;
mod exemplars;
mod exporter;
mod failure;
mod file;
mod histogram;
mod ids;
mod metrics;
mod options;
mod otlp;
mod pairing;
mod queue;
mod resource;
mod spans;
mod spool;
mod telemetry;
mod tls;
mod value;
mod weight;
mod workload;

pub use account::Account;
pub use capture::CaptureSpans;
pub use exporter::{ExportReport, Exporter};
pub use histogram::ExponentialHistogram;
pub use metrics::Meter;
pub use options::{Compression, Destination, Error, ExportOptions, Protocol, SignalOptions, SpoolOptions};
pub use queue::{Losses, Sink, SpanItem, Worth};
pub use resource::{ProcessIdentity, Resources};
pub use spans::{MOST_EVENTS, MOST_TURNS, SpanBuilder};
pub use telemetry::Telemetry;
pub use tls::Tls;
pub use workload::Activity;
