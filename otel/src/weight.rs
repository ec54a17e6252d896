//! What a span takes in memory while it waits: several times what it takes on the wire.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;

/// Bytes that an allocation of `n` takes: those of the C library come in sixteens, with eight of its own.
fn allocated(n: usize) -> usize {
    if n == 0 { 0 } else { (n + 8).next_multiple_of(16).max(32) }
}

fn list<T>(items: &Vec<T>, beside: impl Fn(&T) -> usize) -> usize {
    allocated(items.capacity() * size_of::<T>()) + items.iter().map(beside).sum::<usize>()
}

fn value(value: &AnyValue) -> usize {
    match &value.value {
        Some(Value::StringValue(s)) => allocated(s.capacity()),
        Some(Value::BytesValue(b)) => allocated(b.capacity()),
        Some(Value::ArrayValue(a)) => list(&a.values, self::value),
        Some(Value::KvlistValue(l)) => attributes(&l.values),
        _ => 0,
    }
}

fn attributes(all: &Vec<KeyValue>) -> usize {
    list(all, |a| allocated(a.key.capacity()) + a.value.as_ref().map_or(0, value))
}

/// Bytes of a span outside of its own structure. Never less than its encoded form, but for that of its numbers.
pub(crate) fn beside(span: &Span) -> usize {
    let ids = [&span.trace_id, &span.span_id, &span.parent_span_id];
    ids.iter().map(|id| allocated(id.capacity())).sum::<usize>()
        + allocated(span.name.capacity())
        + allocated(span.trace_state.capacity())
        + attributes(&span.attributes)
        + list(&span.events, |e| allocated(e.name.capacity()) + attributes(&e.attributes))
        + list(&span.links, |l| {
            allocated(l.trace_id.capacity())
                + allocated(l.span_id.capacity())
                + allocated(l.trace_state.capacity())
                + attributes(&l.attributes)
        })
        + span.status.as_ref().map_or(0, |s| allocated(s.message.capacity()))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
    use prost::Message;

    use super::*;
    use crate::value;

    #[test]
    fn what_waits_weighs_more_than_what_is_sent() {
        let attributes = || {
            vec![
                value::string("network.peer.address", "10.0.0.1"),
                value::int("network.peer.port", 80),
                value::strings("tracenet.words", &["one".into(), "another".into()]),
            ]
        };
        let mut span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
        let empty = beside(&span);
        assert_eq!(empty, 32 + 32);
        span.name = "TCP connection".into();
        span.attributes = attributes();
        let attributed = beside(&span);
        assert!(attributed > span.encoded_len(), "{attributed}");
        span.events = vec![Event { name: "drop".into(), attributes: attributes(), ..Event::default() }];
        span.links = vec![Link { trace_id: vec![1; 16], attributes: attributes(), ..Link::default() }];
        let whole = beside(&span);
        assert!(whole > 2 * attributed && whole > span.encoded_len(), "{whole}");
    }
}
