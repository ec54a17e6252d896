//! What waits of a connection that is not closed.

use std::sync::Arc;

use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use tracenet_core::fact::Turn;
use tracenet_core::time::{ClockOffset, MonoNs};

use super::MOST_EVENTS;
use crate::calls::Calls;
use crate::names::attribute;
use crate::value;

/// Most events that wait for the turn to which they may belong.
const MOST_PENDING: usize = 2 * MOST_EVENTS;

/// Events of a span to be, bounded.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) kept: Vec<Event>,
    pub(super) dropped: u32,
    /// Of the turn's system calls, those that became no spans.
    pub(super) calls_omitted: u64,
}

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        if self.kept.len() < MOST_EVENTS {
            self.kept.push(event);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    pub(super) fn put_into(self, span: &mut Span) {
        span.events = self.kept;
        span.events.sort_by_key(|e| e.time_unix_nano);
        span.dropped_events_count = self.dropped;
        if self.calls_omitted > 0 {
            span.attributes.push(value::count(attribute::SYSCALLS_OMITTED, self.calls_omitted));
        }
    }
}

/// What waits of a connection that is not closed.
#[derive(Debug)]
pub(super) struct Connection {
    /// Taken once, so that a step of the wall clock can't tear parent and child apart.
    pub(super) clock: ClockOffset,
    pub(super) opened_before: bool,
    pub(super) opened: Option<MonoNs>,
    pub(super) own: Events,
    pub(super) pending: Vec<(MonoNs, Event)>,
    /// Events that `pending` had no room for, and when the last of them happened.
    pub(super) overflowed: u32,
    pub(super) overflowed_at: MonoNs,
    pub(super) handshake: Vec<Event>,
    pub(super) chapter: Chapter,
    pub(super) omitted: u64,
    pub(super) calls: Calls,
    /// Bounds of the turns sent.
    pub(super) bounds: Option<(MonoNs, MonoNs)>,
    /// A turn without an answer: whether it failed is known when the connection ends.
    pub(super) unanswered: Option<(Turn, Events, Arc<Resource>)>,
}

/// Turns of a connection that are one trace.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chapter {
    pub(super) number: u32,
    pub(super) turns: u32,
    pub(super) bounds: Option<(MonoNs, MonoNs)>,
}

pub(super) fn around(
    bounds: Option<(MonoNs, MonoNs)>,
    start: MonoNs,
    end: MonoNs,
) -> Option<(MonoNs, MonoNs)> {
    Some(bounds.map_or((start, end), |(first, last)| (first.min(start), last.max(end))))
}

impl Connection {
    pub(super) fn new(clock: ClockOffset) -> Self {
        Self {
            clock,
            opened_before: false,
            opened: None,
            own: Events::default(),
            pending: Vec::new(),
            overflowed: 0,
            overflowed_at: MonoNs::default(),
            handshake: Vec::new(),
            chapter: Chapter::default(),
            omitted: 0,
            calls: Calls::default(),
            bounds: None,
            unanswered: None,
        }
    }

    /// Trouble that belongs to a turn or to the connection: which, is known when the turn is over.
    pub(super) fn trouble(&mut self, t: MonoNs, event: Event) {
        if self.pending.len() < MOST_PENDING {
            self.pending.push((t, event));
        } else {
            self.overflowed = self.overflowed.saturating_add(1);
            self.overflowed_at = t;
        }
    }

    /// The events within a turn. What happened before it is the connection's for good.
    pub(super) fn take_events(&mut self, start: MonoNs, end: MonoNs) -> Events {
        let mut events = Events::default();
        let mut later = Vec::new();
        for (t, event) in self.pending.drain(..) {
            if t < start {
                self.own.push(event);
            } else if t <= end {
                events.push(event);
            } else {
                later.push((t, event));
            }
        }
        self.pending = later;
        if self.overflowed > 0 && self.overflowed_at <= end {
            let whose = if self.overflowed_at >= start { &mut events } else { &mut self.own };
            whose.dropped = whose.dropped.saturating_add(std::mem::take(&mut self.overflowed));
        }
        events
    }
}
