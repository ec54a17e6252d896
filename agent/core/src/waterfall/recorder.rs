//! One connection's notes while a turn is open.

use std::sync::Arc;

use super::before::before;
use super::evidence::{Evidence, MAX_EVIDENCE};
use super::incoming::{Arrival, Findings, Incoming};
use super::numbering::Numbering;
use super::outgoing::{Outgoing, Word};
use super::phases::{self, Bounds, COPY_NS, Mark, MarkKind};
use super::sweep::{Span, sweep};
use super::{Cause, Part, Waterfall, trouble, verdict};
use crate::event::{DropEvent, Retransmit, Segment, SocketIo, tcp_flags};
use crate::fact::DropFact;
use crate::key::{Direction, Role};
use crate::tcp;
use crate::tcp::seq::SeqNum;
use crate::time::{DurationNs, MonoNs};
use crate::turn::TurnSpan;

/// Marks of one turn.
const MAX_MARKS: usize = 2_048;

/// Marks kept while no turn is open: those of a request that is about to be heard of.
const MAX_IDLE_MARKS: usize = 64;

/// Bytes of the timestamps option with its padding.
const STAMPS: u32 = 12;

/// Troubles of one turn.
const MAX_SPANS: usize = 1_024;

/// A handshake belongs to the first turn where that begins so soon after it, or as soon as the handshake took; else the
/// connection was made in stock.
pub(crate) const PRECEDES_NS: u64 = 100_000_000;

/// A packet, as the connection knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) direction: Direction,
    /// Payload bytes.
    pub(crate) len: u32,
    /// `None` for UDP.
    pub(crate) tcp: Option<&'a Segment>,
    pub(crate) ip_id: Option<u16>,
    /// What the analyser says of it.
    pub(crate) cause: Option<tcp::Cause>,
    /// Smallest RTT so far.
    pub(crate) rtt: Option<DurationNs>,
    /// It carries bytes of a TLS handshake: nothing that a turn waits for.
    pub(crate) handshake: bool,
}

/// What the connection knows besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides {
    pub(crate) role: Role,
    /// Smallest RTT so far.
    pub(crate) rtt: Option<DurationNs>,
    /// connect(2) and ESTABLISHED, of a client.
    pub(crate) connect: Option<(MonoNs, MonoNs)>,
    /// Query and answer of the name resolution before that.
    pub(crate) lookup: Option<(MonoNs, MonoNs)>,
    /// First and last sign of the TLS handshake.
    pub(crate) tls: Option<(MonoNs, MonoNs)>,
    /// ESTABLISHED and the return of accept(2), of a server.
    pub(crate) accept: Option<(MonoNs, MonoNs)>,
    /// When the accepting thread was woken last, and ran.
    pub(crate) acceptor: Option<(MonoNs, MonoNs)>,
    /// Set where the turn did not end by its last byte.
    pub(crate) early: Option<Early>,
}

/// An end that came before the answer did, or all of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Early {
    /// The last byte that passed.
    pub(crate) last: MonoNs,
    /// What is to be blamed, where it isn't a part.
    pub(crate) cause: Option<Cause>,
}

/// Bytes that somebody's word says were lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost<'a> {
    pub(crate) drop: &'a DropEvent,
    /// Seen from this connection.
    pub(crate) direction: Direction,
    /// As it is told.
    pub(crate) fact: &'a Arc<DropFact>,
}

/// Notes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    in_turn: bool,
    /// A turn was over before.
    told_any: bool,
    marks: Vec<Mark>,
    spans: Vec<Span>,
    evidence: Vec<Evidence>,
    outgoing: Outgoing,
    incoming: Incoming,
    /// Of the peer's packets.
    numbering: Numbering,
    /// Payload of the peer's segments at most: what we offered, less the timestamps (RFC 7323, section 3.2).
    largest: Option<u32>,
    /// When bytes left for the first time, the last ones.
    last_out: Option<MonoNs>,
    /// The first reset, and whose.
    reset: Option<(MonoNs, Direction)>,
    /// Bytes of the peer's that arrived and were not read.
    unread: u64,
    /// Some arrived after the reset.
    came_after: bool,
    /// Since when the window that these segments tell of is shut; ours (out) and the peer's (in).
    shut: [Option<MonoNs>; 2],
    overflow: bool,
}

impl Recorder {
    fn mark(&mut self, t: MonoNs, kind: MarkKind) {
        if !self.in_turn && self.marks.len() >= MAX_IDLE_MARKS {
            self.marks.drain(..MAX_IDLE_MARKS / 2);
        }
        if self.marks.len() < MAX_MARKS {
            self.marks.push(Mark { t, kind });
        } else {
            self.overflow = true;
        }
    }

    /// What came before is of turns of which nobody knows how they went on: nothing was heard until `resumed`.
    pub(crate) fn forget_before(&mut self, resumed: MonoNs) {
        if self.marks.first().is_some_and(|m| m.t < resumed) {
            self.marks.retain(|m| m.t >= resumed);
            self.unread = 0;
        }
    }

    /// Bytes passed through a call. `in_turn`: they belong to a turn.
    pub(crate) fn io(&mut self, t: MonoNs, io: &SocketIo, in_turn: bool) {
        self.in_turn = in_turn;
        let entered = io.entered.map_or(t, |e| e.min(t));
        if io.direction == Direction::In {
            self.unread = self.unread.saturating_sub(io.bytes.into());
        }
        self.mark(
            t,
            match io.direction {
                Direction::Out => MarkKind::Wrote { entered, bytes: io.bytes },
                Direction::In => MarkKind::Read { entered },
            },
        );
    }

    /// The socket can be read.
    pub(crate) fn readable(&mut self, t: MonoNs) {
        self.mark(t, MarkKind::Readable);
    }

    /// A thread that uses the socket slept and runs again.
    pub(crate) fn ran(&mut self, t: MonoNs, slept: MonoNs, woken: MonoNs) {
        // What came for a server woke it before it could read; and before the first turn a thread may have been pushed
        // aside once it had the connection.
        let came = || self.marks.iter().any(|m| matches!(m.kind, MarkKind::Arrived | MarkKind::Readable));
        if self.in_turn || !self.told_any || came() {
            let woken = woken.min(t);
            self.mark(t, MarkKind::Ran { slept: slept.min(woken), woken });
        }
    }

    /// A TLS handshake was over at `t`: what was noted of it is no turn's.
    pub(crate) fn begin_after(&mut self, t: MonoNs) {
        self.marks.retain(|m| m.t > t);
    }

    /// A packet was seen.
    pub(crate) fn packet(&mut self, t: MonoNs, p: &Seen<'_>) {
        let &Seen { direction, len, tcp, rtt, .. } = p;
        let Some(seg) = tcp else {
            match direction {
                Direction::Out if len > 0 => self.mark(t, MarkKind::Sent { bytes: len }),
                Direction::In if len > 0 => self.mark(t, MarkKind::Arrived),
                _ => {}
            }
            return;
        };
        let has = |flag: u8| seg.flags & flag != 0;
        if has(tcp_flags::SYN) {
            // Its number is taken by no byte.
            match direction {
                Direction::Out => {
                    self.outgoing = Outgoing::from(SeqNum(seg.seq).plus(1));
                    let stamps = if seg.options.timestamps.is_some() { STAMPS } else { 0 };
                    let most = seg.options.mss.map(|mss| u32::from(mss).saturating_sub(stamps));
                    self.largest = most.filter(|most| *most > 0);
                }
                Direction::In => {
                    self.incoming = Incoming::from(SeqNum(seg.seq).plus(1));
                    let stamped = seg.options.timestamps.is_some();
                    self.numbering.opened(p.ip_id, has(tcp_flags::ACK), stamped);
                }
            }
            return;
        }
        if has(tcp_flags::RST) {
            // It acknowledges what came before it.
            if direction == Direction::In && has(tcp_flags::ACK) {
                let bytes = self.outgoing.acked(t, SeqNum(seg.ack), None, rtt, &mut self.spans);
                if bytes > 0 {
                    self.mark(t, MarkKind::Acked { bytes });
                }
            }
            return;
        }
        let (seq, ack) = (SeqNum(seg.seq), has(tcp_flags::ACK).then_some(SeqNum(seg.ack)));
        let found = &mut Findings { spans: &mut self.spans, evidence: &mut self.evidence, rtt };
        match direction {
            Direction::Out => {
                let read = ack.map_or(0, |ack| self.incoming.acknowledged(t, ack, found));
                let bytes = if len > 0 { self.outgoing.sent(t, seq, len) } else { 0 };
                // A FIN that is acknowledged is no byte, and what comes after it is nothing.
                if read > 1 {
                    self.unread = self.unread.saturating_add(read.into());
                    self.mark(t, MarkKind::Arrived);
                }
                if bytes > 0 {
                    self.last_out = Some(t);
                    self.mark(t, MarkKind::Sent { bytes });
                }
            }
            Direction::In => {
                self.numbering.take(p.ip_id, len);
                let expected = self.last_out.map(|out| out.after(rtt.map_or(0, |rtt| rtt.0)));
                // One that was left out may have been the acknowledgement of what we sent, unless nobody delays one for
                // so long.
                let early = expected.is_none_or(|e| t.since(e).0 < trouble::RTO_MIN_NS);
                let spare = u16::from(early && !self.outgoing.is_acked());
                let dsack = ack.and_then(|ack| dsack(seg, ack));
                let bytes = ack.map_or(0, |ack| self.outgoing.acked(t, ack, dsack, rtt, &mut self.spans));
                let found = &mut Findings { spans: &mut self.spans, evidence: &mut self.evidence, rtt };
                let new = if len > 0 && !self.incoming.is_old(seq, len) {
                    let left_out = self.numbering.left_out() > spare;
                    let full = p.ip_id.is_none() && self.largest.is_some_and(|most| len % most == 0);
                    let late = p.cause == Some(tcp::Cause::Reordered);
                    self.incoming.arrived(t, &Arrival { seq, len, left_out, full, expected, late }, found)
                } else {
                    0
                };
                if bytes > 0 {
                    self.mark(t, MarkKind::Acked { bytes });
                    if len == 0 && early && dsack.is_none() {
                        // It came in time: what was left out before it were its like.
                        self.numbering.left_out();
                    }
                }
                self.unread = self.unread.saturating_add(new.into());
                self.came_after |= new > 0 && self.reset.is_some();
                if new > 0 && !p.handshake {
                    self.mark(t, MarkKind::Arrived);
                }
            }
        }
        if ack.is_some() {
            self.window(t, direction, seg.window == 0);
        }
        self.bound();
    }

    fn window(&mut self, t: MonoNs, direction: Direction, shut: bool) {
        let Some(since) = self.shut.get_mut(direction as usize) else { return };
        match (*since, shut) {
            (None, true) => *since = Some(t),
            (Some(from), false) => {
                *since = None;
                self.spans.push(Span::new(shut_part(direction), from, t));
                self.evidence.push(Evidence::ZeroWindow { t: from, shut: t.since(from), direction });
            }
            _ => {}
        }
    }

    /// We, or the peer on this host, sent again. `seq` is for the reader, from the initial sequence number.
    pub(crate) fn retransmit(
        &mut self,
        t: MonoNs,
        r: &Retransmit,
        seq: u32,
        after: Option<DurationNs>,
        by_peer: bool,
    ) {
        let sent_at = after.map_or(t, |after| t.before(after.0));
        match (by_peer, trouble::part_of(r.cause)) {
            (false, part) => {
                let word = Word { seq: SeqNum(r.seq), len: r.len, part, dropped: false, sent_at };
                self.outgoing.lost(t, &word);
            }
            (true, Some(part)) => self.incoming.sent_again(SeqNum(r.seq), r.len, part, sent_at),
            (true, None) => {}
        }
        self.evidence.push(Evidence::Retransmit {
            t,
            cause: r.cause,
            seq,
            seq_end: seq.wrapping_add(r.len),
            segments: r.segments,
            after,
            by_peer,
        });
        self.bound();
    }

    /// A segment of the handshake was sent again.
    pub(crate) fn knocked(&mut self, t: MonoNs, r: &Retransmit, seq: u32, after: Option<DurationNs>) {
        let (cause, segments) = (r.cause, r.segments);
        let seq_end = seq.wrapping_add(r.len);
        self.evidence.push(Evidence::Retransmit { t, cause, seq, seq_end, segments, after, by_peer: false });
        self.bound();
    }

    /// A reset ends the connection.
    pub(crate) fn reset(&mut self, t: MonoNs, direction: Direction) {
        self.reset.get_or_insert((t, direction));
    }

    /// The reset that ended a connection's last turn before it was over; `finished`: we had said all, and the peer. A
    /// turn is over when its answer is: of a client's nothing is known to be missing, and there was time for more to
    /// come, or the client has given up by itself with all of it read; of a server's all has been acknowledged, and it did
    /// not give up at once with nothing closed.
    pub(crate) fn cut_off(&self, turn: &TurnSpan, sides: &Sides, finished: (bool, bool)) -> Option<MonoNs> {
        let (at, from) = self.reset.filter(|(at, _)| *at >= turn.start)?;
        let rtt = sides.rtt.map_or(0, |rtt| rtt.0);
        let soon = at.since(turn.end).0 <= PRECEDES_NS.saturating_add(rtt);
        let cut = turn.response_start.is_none()
            || match sides.role {
                Role::Client if finished.1 => false,
                Role::Client if from == Direction::Out => {
                    !finished.0 && (self.incoming.has_hole() || self.unread > 0 || self.came_after)
                }
                Role::Client => self.incoming.has_hole() || soon,
                // It may have waited for its CPU until all that it wrote had been acknowledged.
                Role::Server if from == Direction::Out && soon => !finished.0 && !finished.1,
                Role::Server => self.unacknowledged(turn),
            };
        cut.then_some(at)
    }

    /// The server wrote more than was acknowledged, as far as all is known of it.
    fn unacknowledged(&self, turn: &TurnSpan) -> bool {
        let (mut written, mut acked, mut sent) = (0_u64, 0_u64, false);
        for m in self.marks.iter().filter(|m| m.t >= turn.start) {
            match m.kind {
                MarkKind::Wrote { bytes, .. } => written = written.saturating_add(bytes.into()),
                MarkKind::Acked { bytes } => acked = acked.saturating_add(bytes.into()),
                MarkKind::Sent { .. } => sent = true,
                _ => {}
            }
        }
        sent && !self.overflow && acked < written
    }

    /// A packet was thrown away.
    pub(crate) fn dropped(&mut self, t: MonoNs, lost: &Lost<'_>) {
        let d = lost.drop;
        let payload = d.tcp_flags & tcp_flags::ACK != 0 && d.payload_len > 0;
        match lost.direction {
            Direction::Out if payload => {
                let (seq, len) = (SeqNum(d.seq), d.payload_len);
                self.outgoing.lost(t, &Word { seq, len, part: None, dropped: true, sent_at: t });
            }
            Direction::In if payload => {
                if self.incoming.lost(t, SeqNum(d.seq), d.payload_len)
                    && let Some(at) = self.marks.iter().rposition(|m| m.kind == MarkKind::Arrived)
                {
                    self.marks.remove(at);
                }
            }
            _ => {}
        }
        self.evidence.push(Evidence::Drop { t, direction: lost.direction, drop: Arc::clone(lost.fact) });
        self.bound();
    }

    fn bound(&mut self) {
        self.evidence.truncate(MAX_EVIDENCE);
        self.overflow |= self.spans.len() > MAX_SPANS;
        self.spans.truncate(MAX_SPANS);
    }

    /// The turn is over, and `cut` is when the next one, or nothing, begins.
    pub(crate) fn finish(&mut self, turn: &TurnSpan, sides: &Sides, cut: MonoNs) -> Waterfall {
        let end = turn.end.max(turn.start);
        let cut = cut.max(end);
        let request_end = turn.request_end.clamp(turn.start, end);
        let answered = turn.response_start.is_some();
        let last = sides.early.map_or(end, |early| early.last.clamp(turn.start, end));
        let end_of_phases = if answered { last } else { end };
        self.marks.sort_by_key(|m| m.t);
        let asked = self.asked(turn, sides);
        let bounds =
            Bounds { role: sides.role, rtt: sides.rtt, start: asked, request_end, end: end_of_phases };
        let mut spans = Vec::new();
        let seen = phases::lay(&bounds, &self.marks, &mut spans);
        // More of the answer was waited for, until it could not come any more.
        spans.push(Span::new(Part::Peer, end_of_phases, end));
        let start = before(turn, asked, sides, &self.marks, &mut spans);

        let server = sides.role == Role::Server;
        let mut troubles = self.troubles(cut, sides.rtt);
        // What was lost with the acknowledgement was the answer, if that came as soon as the request had been sent again.
        let rtt = sides.rtt.map_or(0, |rtt| rtt.0);
        let answered_at_once = |s: &Span| seen.first_in.is_some_and(|t| t <= s.to.after(rtt));
        troubles.retain(|s| !s.unheard || !server && answered_at_once(s));
        spans.extend(troubles.iter().map(|s| {
            // A trouble counts while somebody waits for the bytes that it is about.
            let until = match s.part {
                Part::ZeroWindowLocal => seen.last_in,
                Part::ZeroWindowPeer if server => None,
                Part::ZeroWindowPeer => seen.last_out,
                _ if s.range.is_some() && server => None,
                _ if s.range.is_some() => seen.first_in,
                _ => seen.last_in,
            };
            s.within(start, until.unwrap_or(end))
        }));
        let parts = sweep(start, end, &spans);
        // A server has written long before its response arrives; who waits for that is the client.
        let of_response = |s: &&Span| s.range.is_some() || s.part == Part::ZeroWindowPeer;
        let after: Vec<Span> = troubles.iter().filter(of_response).copied().collect();
        let after = if server { sweep(end, cut, &after) } else { Default::default() };
        let waterfall = Waterfall {
            start,
            parts,
            before: sweep(start, turn.start, &spans),
            cause: sides.early.and_then(|e| e.cause).unwrap_or_else(|| verdict::cause(&parts, &after)),
            evidence: self.take_evidence(start, end, cut),
            incomplete: std::mem::take(&mut self.overflow),
        };
        self.marks.retain(|m| m.t > end);
        self.marks.shrink_to(MAX_IDLE_MARKS);
        self.spans.retain(|s| s.to > cut);
        (self.in_turn, self.told_any) = (false, true);
        waterfall
    }

    /// When the request came: a server is waited for from there on, whenever it reads. The marks are those since the turn
    /// before.
    fn asked(&self, turn: &TurnSpan, sides: &Sides) -> MonoNs {
        let came = |m: &&Mark| matches!(m.kind, MarkKind::Arrived | MarkKind::Readable);
        let first = self.marks.iter().find(came).filter(|_| sides.role == Role::Server);
        first.map_or(turn.start, |m| m.t.min(turn.start))
    }

    /// What is over and what still goes on at `cut`.
    fn troubles(&self, cut: MonoNs, rtt: Option<DurationNs>) -> Vec<Span> {
        let mut spans = self.spans.clone();
        spans.extend(self.outgoing.open(cut, rtt));
        spans.extend(self.incoming.open(cut, rtt));
        for direction in [Direction::In, Direction::Out] {
            if let Some(Some(since)) = self.shut.get(direction as usize) {
                spans.push(Span::new(shut_part(direction), *since, cut));
            }
        }
        spans
    }

    fn take_evidence(&mut self, start: MonoNs, end: MonoNs, cut: MonoNs) -> Vec<Evidence> {
        let (mut mine, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.evidence).into_iter().partition(|e| e.t() < cut || e.t() <= end);
        self.evidence = later;
        mine.retain(|e| e.t() >= start.before(COPY_NS) || matches!(e, Evidence::ZeroWindow { .. }));
        let calls = self.marks.iter().filter(|m| m.t <= end).filter_map(|m| match m.kind {
            MarkKind::Wrote { entered, .. } => Some((m.t.since(entered), entered, Direction::Out)),
            MarkKind::Read { entered } => Some((m.t.since(entered), entered, Direction::In)),
            _ => None,
        });
        if let Some((took, t, direction)) = calls.max_by_key(|c| c.0).filter(|c| c.0.0 > COPY_NS) {
            mine.truncate(MAX_EVIDENCE - 1);
            mine.push(Evidence::Call { t, took, direction });
        }
        if let Some((t, direction)) = self.reset {
            mine.truncate(MAX_EVIDENCE - 1);
            mine.push(Evidence::Reset { t, direction });
        }
        mine.sort_by_key(Evidence::t);
        mine
    }
}

fn shut_part(direction: Direction) -> Part {
    match direction {
        Direction::Out => Part::ZeroWindowLocal,
        Direction::In => Part::ZeroWindowPeer,
    }
}

/// The first SACK block, where it tells of bytes that came twice (RFC 2883, section 4).
fn dsack(seg: &Segment, ack: SeqNum) -> Option<(SeqNum, SeqNum)> {
    let blocks = seg.options.sack.get(..usize::from(seg.options.sack_count))?;
    let &(left, right) = blocks.first()?;
    let (left, right) = (SeqNum(left), SeqNum(right));
    let within_second = blocks.get(1).is_some_and(|&(l, r)| SeqNum(l).le(left) && right.le(SeqNum(r)));
    (right.le(ack) || within_second).then_some((left, right))
}
