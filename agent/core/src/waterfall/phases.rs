//! The phases of a turn: marks in, labelled intervals out.

use super::sweep::Span;
use super::{Part, trouble};
use crate::key::Role;
use crate::time::{DurationNs, MonoNs};

/// Something that happened on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) t: MonoNs,
    pub(super) kind: MarkKind,
}

/// What happened; bytes are of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkKind {
    /// A write returned.
    Wrote { entered: MonoNs, bytes: u32 },
    /// A read returned.
    Read { entered: MonoNs },
    /// Bytes were seen leaving for the first time.
    Sent { bytes: u32 },
    /// The peer acknowledged them.
    Acked { bytes: u32 },
    /// Bytes were seen arriving, in order.
    Arrived,
    /// The socket told its waiters that it can be read.
    Readable,
    /// A thread that uses the socket runs again.
    Ran { slept: MonoNs, woken: MonoNs },
}

/// A write that takes longer than this did more than copy.
pub(super) const COPY_NS: u64 = 1_000_000;

/// A thread that is woken this soon after an event was woken by it, where nothing tells more.
const WAKING_NS: u64 = 1_000_000;

/// A wake-up this soon after an acknowledgement is one for room in the send buffer.
const ROOM_NS: u64 = 200_000;

/// Bytes that must wait to be acknowledged before a sleep between two writes is taken for one for room: the least
/// send buffer that Linux gives (the second number of `net.ipv4.tcp_wmem` by default).
const FULL_BUFFER: u64 = 16_384;

/// Packets and calls are stamped in different places of the kernel: as much may be between them.
const STAMP_NS: u64 = 100_000;

/// Times that a turn is laid out by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) role: Role,
    /// Smallest of the connection.
    pub(super) rtt: Option<DurationNs>,
    pub(super) start: MonoNs,
    pub(super) request_end: MonoNs,
    pub(super) end: MonoNs,
}

/// Packets that part the phases, where they were seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Landmarks {
    /// The last new bytes of a client's request left.
    pub(super) last_out: Option<MonoNs>,
    /// The first bytes of a client's response arrived.
    pub(super) first_in: Option<MonoNs>,
    /// The last bytes arrived: a client's response, a server's request.
    pub(super) last_in: Option<MonoNs>,
}

/// Adds the intervals of the phases. `marks` are in the order of time.
pub(super) fn lay(b: &Bounds, marks: &[Mark], spans: &mut Vec<Span>) -> Landmarks {
    match b.role {
        Role::Client => client(b, marks, spans),
        Role::Server => server(b, marks, spans),
    }
}

fn client(b: &Bounds, marks: &[Mark], spans: &mut Vec<Span>) -> Landmarks {
    let sent = |m: &&Mark| matches!(m.kind, MarkKind::Sent { .. });
    let arrived = |m: &&Mark| m.kind == MarkKind::Arrived && m.t <= b.end;
    let first_out = marks.iter().find(sent).map(|m| m.t);
    let first_in =
        marks.iter().filter(arrived).map(|m| m.t).find(|t| *t >= first_out.unwrap_or(b.start).min(b.start));
    let until = first_in.unwrap_or(b.end);
    let last_out = marks.iter().filter(sent).map(|m| m.t).rfind(|t| *t <= until);
    let last_in = first_in.and_then(|_| marks.iter().filter(arrived).map(|m| m.t).next_back());

    writing(marks, b.start, b.request_end, spans);
    if let Some(out) = last_out {
        leaving(marks, b.request_end, out, spans);
        waiting(b, out.max(b.start), until, spans);
    }
    if let (Some(first), Some(last)) = (first_in, last_in) {
        arrivals(b, marks, first, last, spans);
        reading(marks, last, b.end, spans);
    }
    Landmarks { last_out, first_in, last_in }
}

fn server(b: &Bounds, marks: &[Mark], spans: &mut Vec<Span>) -> Landmarks {
    let arrived = |m: &&Mark| m.kind == MarkKind::Arrived && m.t <= b.request_end;
    let last_in = marks.iter().filter(arrived).map(|m| m.t).next_back();
    if let Some(last) = last_in {
        arrivals(b, marks, b.start, last, spans);
    }
    // What was there before the first read, or was not captured, is read late by the server alone.
    reading(marks, last_in.unwrap_or(b.start).max(b.start), b.request_end, spans);
    writing(marks, b.request_end, b.end, spans);
    Landmarks { last_in, ..Landmarks::default() }
}

/// A burst of writes: the application's time, less what it slept or waited for.
fn writing(marks: &[Mark], from: MonoNs, to: MonoNs, spans: &mut Vec<Span>) {
    spans.push(Span::new(Part::Application, from, to));
    let mut add = |part, start, end| spans.push(Span::new(part, start, end).within(from, to));
    let (mut unacked, mut acked_at) = (0_u64, None);
    for m in marks.iter().filter(|m| m.t <= to.after(STAMP_NS)) {
        match m.kind {
            MarkKind::Wrote { entered, bytes } => {
                unacked = unacked.saturating_add(u64::from(bytes));
                if m.t.since(entered).0 > COPY_NS {
                    add(Part::SendBuffer, entered, m.t);
                }
            }
            MarkKind::Acked { bytes } => {
                acked_at = Some((m.t, unacked));
                unacked = unacked.saturating_sub(u64::from(bytes));
            }
            MarkKind::Ran { slept, woken } => {
                add(Part::RunQueue, woken, m.t);
                let for_room = acked_at.is_some_and(|(t, before)| {
                    before >= FULL_BUFFER
                        && slept <= t
                        && woken >= t.before(ROOM_NS)
                        && woken <= t.after(ROOM_NS)
                });
                if for_room {
                    add(Part::SendBuffer, slept, woken);
                }
            }
            _ => {}
        }
    }
}

/// The request is written and not all of it has left.
fn leaving(marks: &[Mark], from: MonoNs, to: MonoNs, spans: &mut Vec<Span>) {
    spans.push(Span::new(Part::Network, from, to));
    let (mut written, mut sent, mut flying) = (0_u64, 0_u64, 0_u64);
    let mut at = from;
    for m in marks.iter().filter(|m| m.t <= to) {
        if written > sent && flying == 0 {
            spans.push(Span::new(Part::EgressQueue, at, m.t).within(from, to));
        }
        at = m.t;
        match m.kind {
            MarkKind::Wrote { bytes, .. } => written = written.saturating_add(u64::from(bytes)),
            MarkKind::Sent { bytes } => {
                sent = sent.saturating_add(u64::from(bytes));
                flying = flying.saturating_add(u64::from(bytes));
            }
            MarkKind::Acked { bytes } => flying = flying.saturating_sub(u64::from(bytes)),
            _ => {}
        }
    }
}

/// Somebody waits for the peer: the way there and back, then what the peer takes.
fn waiting(b: &Bounds, from: MonoNs, to: MonoNs, spans: &mut Vec<Span>) {
    let back = from.after(b.rtt.map_or(0, |rtt| rtt.0)).min(to);
    spans.push(Span::new(Part::Network, from, back));
    spans.push(Span::new(Part::Peer, back, to));
}

/// Packets come in. A gap that a sender needs to hear of its window is the network's.
fn arrivals(b: &Bounds, marks: &[Mark], from: MonoNs, to: MonoNs, spans: &mut Vec<Span>) {
    let mut at = from;
    for m in marks.iter().filter(|m| m.kind == MarkKind::Arrived && m.t > from && m.t <= to) {
        if m.t.since(at).0 <= trouble::turn_round(b.rtt) {
            spans.push(Span::new(Part::Network, at, m.t));
        } else {
            waiting(b, at, m.t, spans);
        }
        at = m.t;
    }
}

/// All has arrived at `from`, and the last of it is read at `to`.
fn reading(marks: &[Mark], from: MonoNs, to: MonoNs, spans: &mut Vec<Span>) {
    if from >= to {
        return;
    }
    spans.push(Span::new(Part::ReceiveBuffer, from, to));
    let asleep = |m: &Mark| match m.kind {
        MarkKind::Ran { slept, woken } if slept <= from && woken >= from && woken <= to => Some(woken),
        _ => None,
    };
    let readable =
        marks.iter().find(|m| m.kind == MarkKind::Readable && m.t >= from.before(STAMP_NS) && m.t <= to);
    let woken = marks.iter().find_map(asleep);
    let blocked = marks.iter().find_map(|m| match m.kind {
        MarkKind::Read { entered } if m.t > from => Some((entered <= from, m.t)),
        _ => None,
    });
    let path = match (readable, woken, blocked) {
        (Some(m), ..) => Some(m.t),
        (None, Some(woken), Some((true, _))) => Some(woken),
        (None, Some(woken), _) if woken.since(from).0 <= WAKING_NS => Some(woken),
        (None, None, Some((true, read))) => Some(read),
        _ => None,
    };
    if let Some(until) = path {
        spans.push(Span::new(Part::ReceivePath, from, until).within(from, to));
    }
    for m in marks {
        if let MarkKind::Ran { woken, .. } = m.kind {
            spans.push(Span::new(Part::RunQueue, woken, m.t).within(from, to));
        }
    }
}
