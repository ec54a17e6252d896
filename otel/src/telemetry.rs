//! Facts in, spans and metrics into the sink.

use tracenet_core::fact::Fact;
use tracenet_core::key::ProcessKey;
use tracenet_core::time::{ClockOffset, MonoNs};

use crate::options::ExportOptions;
use crate::queue::Sink;
use crate::resource::{ProcessIdentity, Resources};

/// The one object that whoever has facts needs.
#[derive(Debug)]
pub struct Telemetry {
    sink: Sink,
    resources: Resources,
}

impl Telemetry {
    /// `now` is where cumulative metrics start; `host_name` as in `/proc/sys/kernel/hostname`.
    pub fn new(sink: Sink, options: &ExportOptions, host_name: Option<String>, now: MonoNs) -> Self {
        let _ = now;
        Self { sink, resources: Resources::new(options, host_name) }
    }

    /// Takes a fact. `identity` is asked once per process, when it is first seen, while it most likely lives.
    pub fn on(&mut self, fact: &Fact, clock: ClockOffset, identity: &dyn Fn(ProcessKey) -> ProcessIdentity) {
        let _ = (fact, clock, identity, &self.sink, &mut self.resources);
    }

    /// Exports metrics if their interval has passed. Returns when to call again; calling more often is cheap.
    pub fn tick(&mut self, now: MonoNs, clock: ClockOffset) -> MonoNs {
        let _ = clock;
        now.after(1_000_000_000)
    }

    /// Exports what is left: call it after the last fact and before [`Exporter::shutdown`](crate::Exporter::shutdown).
    pub fn finish(&mut self, now: MonoNs, clock: ClockOffset) {
        let _ = (now, clock);
    }
}
