//! Metrics of observed processes, accumulated from facts.
/// Meter.
#[derive(Debug)]
pub struct Meter {}
