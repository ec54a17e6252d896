//! Spans of the connections in a capture file.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tracenet_core::fact::Fact;
use tracenet_core::time::ClockOffset;

use crate::ids;
use crate::names::attribute;
use crate::options::ExportOptions;
use crate::queue::Sink;
use crate::resource::Resources;
use crate::spans::SpanBuilder;
use crate::value;

/// What only a live observation knows: a zero would say that there was none.
const UNKNOWN: [&str; 4] =
    [attribute::NETNS, attribute::DROPS, attribute::PEER_DROPS, attribute::CONNECTION_ID];

/// The counterpart of [`Telemetry`](crate::Telemetry) for a capture file: the same spans, without processes and
/// without metrics. The times of its facts are the capture's stamps.
///
/// Trace ids are those of a live observation of the same connection; span ids are made for the file, so that several
/// observers of a connection don't take one another's.
#[derive(Debug)]
pub struct CaptureSpans {
    sink: Sink,
    resource: Arc<Resource>,
    spans: SpanBuilder,
    observer: u64,
    patience: Option<Duration>,
}

impl CaptureSpans {
    /// `file` is its name for the resource. Where the collector is slower than the file is read, reading waits as long
    /// as something is delivered at least every `patience`.
    pub fn new(sink: Sink, options: &ExportOptions, file: &str, patience: Duration) -> Self {
        let observer = ids::observer(file);
        Self {
            sink,
            resource: Resources::capture(options, file),
            spans: SpanBuilder::of_packets(observer),
            observer,
            patience: Some(patience),
        }
    }

    /// Takes a fact of the connection whose id is the number of its stream.
    pub fn on(&mut self, fact: &Fact) {
        for mut item in self.spans.on(fact, ClockOffset::default(), Some(&self.resource)) {
            of_file(&mut item.span, self.observer);
            item.span.attributes.retain(|a| !UNKNOWN.contains(&a.key.as_str()));
            if let Some(stream) = fact.conn {
                item.span.attributes.push(value::count(attribute::CAPTURE_STREAM, u64::from(stream.0)));
            }
            if let Some(patience) = self.patience
                && !self.sink.wait_for_room(&item, patience)
            {
                // Nobody takes anything: the queue counts what it can't hold from here on.
                self.patience = None;
            }
            self.sink.try_push(item);
        }
    }
}

/// Gives the span, and its parent, ids of this file.
fn of_file(span: &mut Span, observer: u64) {
    for id in [&mut span.span_id, &mut span.parent_span_id] {
        for (byte, other) in id.iter_mut().zip(observer.to_be_bytes()) {
            *byte ^= other;
        }
        if !id.is_empty() && id.iter().all(|byte| *byte == 0) {
            // Zero would mean "no span".
            id.fill(1);
        }
    }
}
