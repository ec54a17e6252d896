//! Roots of traces: a connection's, and those of its chapters.

use std::sync::Arc;

use opentelemetry::TraceId;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use tracenet_core::fact::{ConnSummary, TraceIdSource, Turn};
use tracenet_core::key::{ConnId, Role, Transport, Tuple};
use tracenet_core::time::ClockOffset;

use super::connection::Chapter;
use super::{MOST_TURNS, SpanBuilder, span};
use crate::describe;
use crate::ids::{self, Part};
use crate::names::{attribute, span as names};
use crate::queue::{SpanItem, Worth};
use crate::value;

/// What the root of a chapter says of its connection.
pub(super) struct Identity {
    trace_id: [u8; 16],
    source: TraceIdSource,
    role: Role,
    tuple: Tuple,
}

impl From<&Turn> for Identity {
    fn from(t: &Turn) -> Self {
        Self { trace_id: t.trace_id, source: t.trace_id_source, role: t.role, tuple: t.tuple }
    }
}

impl From<&ConnSummary> for Identity {
    fn from(s: &ConnSummary) -> Self {
        Self { trace_id: s.trace_id, source: s.trace_id_source, role: s.role, tuple: s.tuple }
    }
}

impl SpanBuilder {
    /// The root of a chapter's trace. The first chapter's is the connection itself, when that is over.
    pub(super) fn chapter_over(
        &mut self,
        chapter: Chapter,
        of: Identity,
        conn: Option<ConnId>,
        clock: ClockOffset,
        resource: &Arc<Resource>,
    ) {
        let Some(bounds) = chapter.bounds.filter(|_| chapter.number > 0) else { return };
        let connection = ids::of_connection(of.trace_id, self.run, conn);
        let trace = ids::of_turn(connection, chapter.number * MOST_TURNS);
        let name = match of.tuple.transport {
            Transport::Tcp => names::TCP_CONTINUED,
            Transport::Udp => names::UDP_CONTINUED,
        };
        let mut root = span(trace, of.role, (Part::Connection, None), name, bounds, clock);
        root.attributes = describe::network(&of.tuple, of.role, conn);
        root.attributes.push(value::int(attribute::CHAPTER, i64::from(chapter.number)));
        root.links.push(Link {
            trace_id: connection.to_bytes().to_vec(),
            span_id: ids::span_id(connection, of.role, Part::Connection).to_bytes().to_vec(),
            ..Link::default()
        });
        if let Some(peer) = self.pairing.peer_of(trace, of.role) {
            root.attributes.extend(describe::peer(peer));
        }
        let item = SpanItem { resource: Arc::clone(resource), span: root, worth: Worth::Connection };
        self.send_root(trace, of.role, of.source, conn, item);
    }

    /// A trace has one root, so a server's waits for the client's.
    pub(super) fn send_root(
        &mut self,
        trace: TraceId,
        role: Role,
        source: TraceIdSource,
        conn: Option<ConnId>,
        item: SpanItem,
    ) {
        match role {
            Role::Client if source == TraceIdSource::IsnPair => {
                let servers = self.pairing.client_connection(trace, item.span.start_time_unix_nano);
                self.out.push(item);
                self.out.extend(servers);
            }
            Role::Server if source == TraceIdSource::IsnPair => {
                let ready = self.pairing.server_connection(trace, conn, self.now, item);
                self.out.extend(ready);
            }
            Role::Client | Role::Server => self.out.push(item),
        }
    }
}
