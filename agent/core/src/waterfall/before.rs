//! What preceded a connection's first turn, where one thing followed the other at once: its name was asked for, it was
//! connected or waited for accept(2), and spoke TLS.

use super::Part;
use super::phases::{Mark, MarkKind};
use super::recorder::{PRECEDES_NS, Sides};
use super::sweep::Span;
use crate::key::Role;
use crate::time::MonoNs;
use crate::turn::TurnSpan;

/// Adds the intervals before the turn, whose request came (of a client: was written) at `asked`; returns where the parts
/// begin. What lies between them is the client's own time, or waited for a CPU; a server waits for its client.
pub(super) fn before(
    turn: &TurnSpan,
    asked: MonoNs,
    sides: &Sides,
    marks: &[Mark],
    spans: &mut Vec<Span>,
) -> MonoNs {
    let (opened, between) = match sides.role {
        Role::Client => (sides.connect.map(|c| (Part::Connect, c)), Part::Application),
        Role::Server => (sides.accept.map(|a| (Part::AcceptQueue, a)), Part::Peer),
    };
    let stages = [sides.tls.map(|t| (Part::Tls, t)), opened, sides.lookup.map(|l| (Part::Dns, l))];
    let mut start = asked;
    for (part, (from, to)) in stages.into_iter().flatten() {
        let soon = to.since(from).0.max(PRECEDES_NS);
        if from > to || to > turn.start || start.since(to).0 > soon {
            break;
        }
        spans.push(Span::new(between, to, start));
        if part == Part::AcceptQueue {
            accept_queue(from, to, sides.acceptor, spans);
        } else {
            spans.push(Span::new(part, from, to));
        }
        start = start.min(from);
    }
    for m in marks {
        if let MarkKind::Ran { woken, .. } = m.kind {
            spans.push(Span::new(Part::RunQueue, woken, m.t).within(start, turn.start));
        }
    }
    start
}

/// In the accept queue it may be that the thread who is to take it out has been called and gets no CPU.
fn accept_queue(from: MonoNs, to: MonoNs, acceptor: Option<(MonoNs, MonoNs)>, spans: &mut Vec<Span>) {
    let waited = acceptor.filter(|(woken, ran)| from < *ran && woken < ran && *ran <= to);
    let (woken, ran) = waited.map_or((to, to), |(woken, ran)| (woken.max(from), ran));
    spans.push(Span::new(Part::AcceptQueue, from, woken));
    spans.push(Span::new(Part::RunQueue, woken, ran));
    spans.push(Span::new(Part::AcceptQueue, ran, to));
}
