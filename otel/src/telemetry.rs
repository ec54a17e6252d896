//! Facts in, spans and metrics into the sink.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource;
use tracenet_core::fact::{Fact, FactKind, Turn};
use tracenet_core::key::{ConnId, ProcessKey};
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};

use crate::account::Account;
use crate::metrics::Meter;
use crate::options::ExportOptions;
use crate::prometheus::Exposition;
use crate::queue::{Losses, Sink};
use crate::resource::{ProcessIdentity, Resources};
use crate::spans::SpanBuilder;
use crate::workload::Activity;

/// Most sinks before this one that are asked what they lost.
const MOST_BEFORE: usize = 8;

/// The one object that whoever has facts needs.
#[derive(Debug)]
pub struct Telemetry {
    sink: Sink,
    /// Those before it, whose losses still grow until they have ended.
    before: VecDeque<Sink>,
    /// What those lost of which no more is asked.
    lost_before: Losses,
    /// What these did, likewise.
    earlier: Account,
    /// What the builder of spans was made with.
    run: u64,
    resources: Resources,
    spans: SpanBuilder,
    meter: Meter,
    exposition: Option<Arc<Exposition>>,
    interval_ns: u64,
    due: MonoNs,
}

impl Telemetry {
    /// `now` is where cumulative metrics start; `host_name` as in `/proc/sys/kernel/hostname`.
    pub fn new(sink: Sink, options: &ExportOptions, host_name: Option<String>, now: MonoNs) -> Self {
        let resources = Resources::new(options, host_name);
        let interval_ns = u64::try_from(options.metric_interval.as_nanos()).unwrap_or(u64::MAX);
        let mut meter = Meter::new(resources.agent(), now);
        if sink.wants_spans() {
            meter.link_to_spans(now.0);
        }
        Self {
            meter,
            exposition: None,
            spans: SpanBuilder::new(now.0),
            sink,
            before: VecDeque::new(),
            lost_before: Losses::default(),
            earlier: Account::default(),
            run: now.0,
            resources,
            interval_ns,
            due: now.after(interval_ns),
        }
    }

    /// Metrics for scrapers as well, as new as the metric interval; from here on, with or without an exporter that wants
    /// metrics.
    pub fn expose(&mut self) -> Arc<Exposition> {
        let agent = self.resources.agent();
        Arc::clone(self.exposition.get_or_insert_with(|| Arc::new(Exposition::new(&agent))))
    }

    /// Takes a fact. `identity` is asked once per process, when it is first seen (and again after an exec), while
    /// it most likely lives.
    pub fn on(&mut self, fact: &Fact, clock: ClockOffset, identity: &dyn Fn(ProcessKey) -> ProcessIdentity) {
        let resource = match &fact.who {
            Some(who) => {
                if let FactKind::Executed { .. } = fact.kind {
                    self.resources.forget(who.key);
                }
                Some(self.resources.process(who.key, identity))
            }
            None => None,
        };
        if self.wants_metrics() {
            self.meter.on(fact, resource.as_ref());
        }
        if self.sink.wants_spans() {
            for item in self.spans.on(fact, clock, resource.as_ref()) {
                self.sink.try_push(item);
            }
        }
    }

    /// Takes a fact for spans alone: its process's metrics come by [`did`](Self::did). What was lost is counted all the same.
    pub fn span(
        &mut self,
        fact: &Fact,
        clock: ClockOffset,
        identity: &dyn Fn(ProcessKey) -> ProcessIdentity,
    ) {
        let resource = fact.who.as_ref().map(|who| self.resources.process(who.key, identity));
        if let FactKind::Lost { .. } = fact.kind {
            self.meter.on(fact, None);
        }
        if self.sink.wants_spans() {
            for item in self.spans.on(fact, clock, resource.as_ref()) {
                self.sink.try_push(item);
            }
        }
    }

    /// System calls of connections become spans below their turns, where facts tell of them.
    pub fn tell_calls(&mut self) {
        self.spans.tell_calls();
    }

    /// A connection is told under another name: what waits under this one is of no use.
    pub fn forget_connection(&mut self, id: ConnId) {
        self.spans.forget(id);
    }

    /// What is known of a process has changed, or it has ended.
    pub fn forget(&mut self, key: ProcessKey) {
        self.resources.forget(key);
    }

    /// The resource of a workload.
    pub fn workload(&self, of: &ProcessIdentity) -> Arc<Resource> {
        self.resources.workload(of)
    }

    /// Adds what a workload did until `t` to its metrics.
    pub fn did(&mut self, workload: u32, resource: &Arc<Resource>, t: MonoNs, what: &Activity) {
        self.meter.did(workload, resource, t, what);
    }

    /// A workload's process is observed less, or more again, from `t`: which part of it (`turns`, `io`), and why (`costly`,
    /// `room`, `lowest`).
    pub fn governed(
        &mut self,
        workload: u32,
        resource: &Arc<Resource>,
        t: MonoNs,
        what: (&'static str, &'static str),
    ) {
        self.meter.governed(workload, resource, t, what);
    }

    /// For so long all in all something was not observed of anybody.
    pub fn unobserved(&mut self, rung: &'static str, time: DurationNs) {
        self.meter.unobserved(rung, time);
    }

    /// A workload has ended.
    pub fn ended(&mut self, workload: u32, t: MonoNs) {
        self.meter.ended(workload, t);
    }

    /// A turn of a workload that has become a span: its metrics point to it, and it says what the time of those like it was
    /// spent on.
    pub fn example(&mut self, workload: u32, turn: &Turn, conn: Option<ConnId>) {
        self.meter.example(workload, turn, conn);
    }

    /// From now on spans and metrics go there, metrics as often as `options` say. What was lost before stays counted.
    pub fn redirect(&mut self, sink: Sink, options: &ExportOptions, now: MonoNs) {
        if self.before.len() >= MOST_BEFORE
            && let Some(oldest) = self.before.pop_front()
        {
            self.lost_before = self.lost_before + oldest.losses();
            self.earlier = self.earlier + oldest.account().ended();
        }
        self.before.push_back(std::mem::replace(&mut self.sink, sink));
        if self.sink.wants_spans() {
            self.meter.link_to_spans(self.run);
        }
        self.interval_ns = u64::try_from(options.metric_interval.as_nanos()).unwrap_or(u64::MAX);
        self.due = self.due.min(now.after(self.interval_ns));
    }

    /// What was not exported so far, to wherever it was to go.
    pub fn losses(&self) -> Losses {
        let before = self.before.iter().fold(self.lost_before, |sum, sink| sum + sink.losses());
        before + self.sink.losses()
    }

    /// What tracenet itself used so far and uses: CPU time and resident memory in bytes. Told with the next metrics.
    pub fn own(&mut self, cpu: Duration, memory: u64) {
        self.meter.own(cpu, memory);
    }

    /// Exports metrics if their interval has passed, and spans that have waited for their other half. Returns when to call
    /// again; calling more often is cheap.
    pub fn tick(&mut self, now: MonoNs, clock: ClockOffset) -> MonoNs {
        if self.sink.wants_spans() {
            for item in self.spans.tick(now) {
                self.sink.try_push(item);
            }
        }
        if now >= self.due {
            self.due = now.after(self.interval_ns);
            self.export_metrics(now, clock);
        }
        self.due
    }

    /// Exports what is left: call it after the last fact and before [`Exporter::shutdown`](crate::Exporter::shutdown).
    pub fn finish(&mut self, now: MonoNs, clock: ClockOffset) {
        for item in self.spans.finish() {
            self.sink.try_push(item);
        }
        self.export_metrics(now, clock);
    }

    /// Turns that became no span because their connection had [`MOST_TURNS`](crate::MOST_TURNS) already.
    pub fn spans_omitted(&self) -> u64 {
        self.spans.spans_omitted()
    }

    fn export_metrics(&mut self, now: MonoNs, clock: ClockOffset) {
        if self.wants_metrics() {
            let settled = self.sink.metrics_settled();
            let before = self.before.iter().fold(self.earlier, |sum, sink| sum + sink.account());
            self.meter.exporter(&(before + self.sink.account()));
            let metrics = self.meter.snapshot(now, clock, &self.losses(), settled);
            if let Some(exposition) = &self.exposition {
                exposition.update(&metrics);
            }
            self.sink.set_metrics(metrics);
        }
    }

    fn wants_metrics(&self) -> bool {
        self.sink.wants_metrics() || self.exposition.is_some()
    }
}
