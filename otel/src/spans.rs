//! Spans of observed processes, built from facts.
/// Builder.
#[derive(Debug)]
pub struct SpanBuilder {}
