//! Wireshark's rules (User's Guide, section 7.5 "TCP Analysis"), one segment at a time.

use crate::event::{Segment, tcp_flags};
use crate::time::DurationNs;

use super::cause;
use super::half::{Half, Scale};
use super::seq::SeqNum;
use super::verdict::Verdicts;
use super::{Analysis, Side};

/// A retransmission this soon after the last ACK that asked for it is a fast one.
const FAST_RETRANSMISSION_NS: u64 = 20_000_000;

/// A late segment is out of order up to this long after its successor, where the handshake's RTT is unknown.
const OUT_OF_ORDER_NS: u64 = 3_000_000;

/// Duplicate ACKs after which a retransmission may be a fast one.
const FAST_RETRANSMISSION_DUP_ACKS: u32 = 2;

/// State of one connection as an observer may claim it.
#[derive(Debug, Default)]
pub struct Analyser {
    orig: Half,
    /// `None` until there is anything to say of it: most streams of a scan never have one.
    resp: Option<Box<Half>>,
    /// Stamp of the last SYN without ACK, until the handshake's RTT is known.
    syn_t_ns: Option<u64>,
    initial_rtt_ns: Option<u64>,
}

/// A segment as the rules look at it.
pub(super) struct Seen<'a> {
    pub t_ns: u64,
    pub seg: &'a Segment,
    pub seq: SeqNum,
    /// After the last sequence number; SYN and FIN count.
    pub end: SeqNum,
    ack: SeqNum,
    pub len: u32,
}

impl Seen<'_> {
    pub fn has(&self, flags: u8) -> bool {
        self.seg.flags & flags != 0
    }

    /// SYN, FIN or RST.
    fn is_control(&self) -> bool {
        self.has(tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST)
    }

    fn window(&self) -> u16 {
        self.seg.window
    }
}

impl Analyser {
    /// A connection of which nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all, and keeps the memory of its lists for another connection.
    pub(super) fn restart(&mut self) {
        let Self { orig, resp, syn_t_ns, initial_rtt_ns } = self;
        orig.restart();
        if let Some(resp) = resp {
            resp.restart();
        }
        (*syn_t_ns, *initial_rtt_ns) = (None, None);
    }

    /// Reads something of every part, which takes what is known from the memory to the processor; the sum means nothing.
    #[inline]
    pub(super) fn fetch(&self) -> u64 {
        self.orig.fetch()
            ^ self.resp.as_ref().map_or(0, |resp| resp.fetch())
            ^ self.initial_rtt_ns.unwrap_or(0)
    }

    /// Takes the next segment. `t_ns` is the capture stamp (any epoch, the same for all calls); `payload_len` is
    /// the length by the IP header, in bytes, whatever part of it was captured; `ip_id` is the IP header's
    /// identification, where it has one.
    ///
    /// A SYN with another initial sequence number starts anew: a later connection on the same ports.
    pub fn segment(
        &mut self,
        t_ns: u64,
        from: Side,
        seg: &Segment,
        payload_len: u32,
        ip_id: Option<u32>,
    ) -> Analysis {
        let syn_or_fin = u32::from(seg.flags & (tcp_flags::SYN | tcp_flags::FIN) != 0);
        let seq = SeqNum(seg.seq);
        let s = Seen {
            t_ns,
            seg,
            seq,
            end: seq.plus(payload_len).plus(syn_or_fin),
            ack: SeqNum(seg.ack),
            len: payload_len,
        };
        let mut verdicts = Verdicts::NONE;
        let bare_syn = seg.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN;
        if bare_syn {
            if self.half(from).and_then(|half| half.isn).is_some_and(|isn| isn != seq) {
                self.restart();
                verdicts.insert(Verdicts::REUSED_PORTS);
            }
            self.syn_t_ns = Some(t_ns);
        } else if self.initial_rtt_ns.is_none()
            && seg.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::ACK
            && let Some(syn) = self.syn_t_ns
        {
            self.initial_rtt_ns = Some(t_ns.saturating_sub(syn));
        }
        let out_of_order_ns = self.initial_rtt_ns.unwrap_or(OUT_OF_ORDER_NS);
        let (orig, mut unknown) = (&mut self.orig, Half::default());
        let (fwd, rev) = match (from, &mut self.resp) {
            // What acknowledges nothing tells nothing of the other side.
            (Side::Orig, None) if !s.has(tcp_flags::ACK) => (orig, &mut unknown),
            (Side::Orig, resp) => (orig, &mut **resp.get_or_insert_default()),
            (Side::Resp, resp) => (&mut **resp.get_or_insert_default(), orig),
        };

        if s.has(tcp_flags::SYN) {
            fwd.scale = match seg.options.window_scale {
                Some(n) => Scale::Shift(n),
                None => Scale::NotOffered,
            };
            // Scaling holds only if both SYNs offered it (RFC 7323, section 2.2).
            if s.has(tcp_flags::ACK) {
                if fwd.scale == Scale::NotOffered && matches!(rev.scale, Scale::Shift(_)) {
                    rev.scale = Scale::NotOffered;
                } else if rev.scale == Scale::NotOffered {
                    fwd.scale = Scale::NotOffered;
                }
            }
        }
        let syn_ack = tcp_flags::SYN | tcp_flags::ACK;
        if seg.flags & syn_ack == syn_ack && fwd.isn.is_some_and(|isn| isn != seq) {
            fwd.isn = Some(seq);
            verdicts.insert(Verdicts::REUSED_PORTS);
        }
        // A first segment that is no SYN follows an unseen one; so does what is acknowledged first.
        fwd.isn.get_or_insert(if s.has(tcp_flags::SYN) { seq } else { seq.minus(1) });
        if s.has(tcp_flags::ACK) {
            rev.isn.get_or_insert(s.ack.minus(1));
        }

        let mut out = Analysis::default();
        verdicts.insert(window_verdicts(fwd, rev, &s));
        if !verdicts.intersects(Verdicts::ZERO_WINDOW_PROBE) {
            let answers = Verdicts::KEEP_ALIVE_ACK | Verdicts::ZERO_WINDOW_PROBE_ACK;
            if !verdicts.intersects(answers) && is_duplicate_ack(fwd, &s) {
                fwd.dup_acks += 1;
                verdicts.insert(Verdicts::DUPLICATE_ACK);
                out.dup_ack_num = Some(fwd.dup_acks);
            }
            if s.has(tcp_flags::ACK) && rev.is_beyond(s.ack) {
                verdicts.insert(Verdicts::ACK_LOST_SEGMENT);
                rev.acknowledged_unseen();
            }
            if !verdicts.intersects(Verdicts::KEEP_ALIVE) {
                let again = sent_again(fwd, rev, &s, out_of_order_ns);
                if again == Verdicts::RETRANSMISSION {
                    let first = fwd.unacked.oldest().unwrap_or(fwd.next_t_ns);
                    out.rto = nonzero(t_ns.abs_diff(first));
                }
                verdicts.insert(again);
            }
        }

        out.cause = cause::judge(fwd, rev, &s, ip_id, verdicts, out_of_order_ns);
        remember(fwd, &s, verdicts);
        if s.has(tcp_flags::ACK) {
            out.ack_rtt = nonzero(rev.unacked.acknowledge(s.ack).map_or(0, |sent| t_ns.abs_diff(sent)));
            if let Some(after) = out.ack_rtt {
                rev.trail.answered(after.0);
            }
            rev.flight_unknown = false;
        }
        if s.len > 0 && !fwd.flight_unknown {
            out.bytes_in_flight = bytes_in_flight(fwd, rev, &s);
        }
        out.verdicts = verdicts;
        out.initial_rtt = self.initial_rtt_ns.map(DurationNs);
        out
    }

    fn half(&self, side: Side) -> Option<&Half> {
        match side {
            Side::Orig => Some(&self.orig),
            Side::Resp => self.resp.as_deref(),
        }
    }

    /// Segments that were not followed because too many were in flight (both directions).
    pub fn unacked_overflow(&self) -> u64 {
        let of = |side| self.half(side).map_or(0, |half| u64::from(half.unacked.overflow));
        of(Side::Orig) + of(Side::Resp)
    }
}

/// A time, where there is one to speak of.
fn nonzero(ns: u64) -> Option<DurationNs> {
    (ns > 0).then_some(DurationNs(ns))
}

/// Bytes sent and neither acknowledged nor selectively acknowledged.
fn bytes_in_flight(fwd: &Half, rev: &Half, s: &Seen) -> Option<u32> {
    let (first, end) = fwd.unacked.span(fwd.isn.unwrap_or_default())?;
    let not_a_byte = u32::from(s.has(tcp_flags::SYN | tcp_flags::FIN));
    Some(end.since(first).wrapping_sub(rev.sacked).wrapping_sub(not_a_byte))
        .filter(|n| (1..2_000_000_000).contains(n))
}

/// Rules about windows, probes, keep-alives and gaps.
fn window_verdicts(fwd: &Half, rev: &Half, s: &Seen) -> Verdicts {
    let mut v = Verdicts::NONE;
    let Some(next) = fwd.next else {
        if s.window() == 0 && !s.is_control() {
            v.insert(Verdicts::ZERO_WINDOW);
        }
        return v;
    };
    let at_next = s.seq == next;
    if s.len == 1 && at_next && rev.window == 0 && rev.next.is_some() {
        return Verdicts::ZERO_WINDOW_PROBE;
    }
    if s.window() == 0 && !s.is_control() {
        v.insert(Verdicts::ZERO_WINDOW);
    }
    if s.seq.gt(next) && !s.has(tcp_flags::RST) {
        v.insert(Verdicts::LOST_SEGMENT);
    }
    if s.is_control() {
        return v;
    }
    if s.len <= 1 && s.seq == next.minus(1) {
        v.insert(Verdicts::KEEP_ALIVE);
    }
    let repeats_ack = s.len == 0 && at_next && fwd.last_ack == s.ack;
    let same_window = s.window() == fwd.window;
    if repeats_ack && s.window() != 0 && !same_window {
        v.insert(Verdicts::WINDOW_UPDATE);
    }
    if s.len > 0 && rev.window_bytes().is_some_and(|window| s.end == rev.last_ack.plus(window)) {
        v.insert(Verdicts::WINDOW_FULL);
    }
    if repeats_ack && same_window {
        if s.window() != 0 && rev.last_verdicts.intersects(Verdicts::KEEP_ALIVE) {
            v.insert(Verdicts::KEEP_ALIVE_ACK);
        } else if s.window() == 0 && rev.last_verdicts.intersects(Verdicts::ZERO_WINDOW_PROBE) {
            v.insert(Verdicts::ZERO_WINDOW_PROBE_ACK);
        }
    }
    v
}

/// An ACK that says nothing new, in the sense of RFC 5681, section 2.
fn is_duplicate_ack(fwd: &Half, s: &Seen) -> bool {
    s.len == 0
        && !s.is_control()
        && s.window() != 0
        && s.window() == fwd.window
        && fwd.next.unwrap_or_default() == s.seq
        && fwd.last_ack == s.ack
}

/// Tells retransmissions of every kind from late segments.
fn sent_again(fwd: &Half, rev: &Half, s: &Seen, out_of_order_ns: u64) -> Verdicts {
    if s.len > 0 && rev.last_ack.0 != 0 && s.seq.plus(s.len).le(rev.last_ack) {
        return Verdicts::RETRANSMISSION | Verdicts::SPURIOUS_RETRANSMISSION;
    }
    let Some(next) = fwd.next else { return Verdicts::NONE };
    // One before the next is where keep-alives are, whatever their length.
    if !s.seq.lt(next)
        || (s.seq == next.minus(1) && !s.is_control())
        || (s.len == 0 && !s.has(tcp_flags::SYN | tcp_flags::FIN))
    {
        return Verdicts::NONE;
    }
    // tshark takes an acknowledgement of unseen data for duplicate ACKs of the other side, too.
    if (rev.dup_acks >= FAST_RETRANSMISSION_DUP_ACKS || rev.was_outrun)
        && rev.last_ack == s.seq
        && s.t_ns.wrapping_sub(rev.last_ack_t_ns) < FAST_RETRANSMISSION_NS
    {
        return Verdicts::RETRANSMISSION | Verdicts::FAST_RETRANSMISSION;
    }
    if s.t_ns.wrapping_sub(fwd.next_t_ns) < out_of_order_ns && next != s.end {
        return Verdicts::OUT_OF_ORDER;
    }
    Verdicts::RETRANSMISSION
}

/// Moves the state on by the segment.
fn remember(fwd: &mut Half, s: &Seen, verdicts: Verdicts) {
    let gap = verdicts.intersects(Verdicts::LOST_SEGMENT);
    fwd.flight_unknown |= gap;
    let before = fwd.next;
    let probe = verdicts.intersects(Verdicts::ZERO_WINDOW_PROBE);
    if before.is_none_or(|next| s.end.gt(next) && !probe) {
        // Zero is what a RST has that answers a SYN (RFC 9293, section 3.10.7.1): no number at all.
        fwd.next = Some(s.end).filter(|end| end.0 != 0);
        fwd.next_t_ns = s.t_ns;
    }
    fwd.sent(s.seq, before, gap, s.ack != fwd.last_ack);
    if verdicts.intersects(Verdicts::DUPLICATE_ACK) {
        fwd.repeated_ack();
    }
    if s.end != s.seq && !fwd.unacked.has(s.seq, s.end) {
        fwd.unacked.push(s.seq, s.end, s.t_ns, fwd.isn.unwrap_or(s.seq));
    }
    // The field counts even without ACK (the guide: "always updated for each packet").
    if fwd.last_ack != s.ack {
        fwd.dup_acks = 0;
    }
    fwd.last_ack = s.ack;
    fwd.last_ack_t_ns = s.t_ns;
    let sack = &s.seg.options.sack;
    fwd.sacked = sack.iter().map(|(left, right)| right.wrapping_sub(*left)).fold(0, u32::wrapping_add);
    fwd.window = s.window();
    fwd.last_verdicts = verdicts;
}
