//! One connection as seen on the wire: the same code for live packets and for those of a file (INV 1).

use serde::Serialize;

use super::sent::SentLog;
use crate::event::{Packet, Segment, tcp_flags};
use crate::fact::{CloseReason, RttSummary};
use crate::histogram::Histogram;
use crate::key::{Direction, Role};
use crate::tcp::seq::SeqNum;
use crate::tcp::{Analyser, Analysis, Side, Verdicts};
use crate::time::{DurationNs, MonoNs, WallNs};

/// An interface that has been silent this long may have been left for another one (a route changed).
const INTERFACE_SILENCE_NS: u64 = 1_000_000_000;

/// A packet of a connection, seen on an interface.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// When, by the clock of the kernel's events. A file has only the stamp: the same number there.
    pub t: MonoNs,
    /// Capture stamp. Times between packets are measured by it, so that a file of them tells the same.
    pub wall: WallNs,
    /// Number of the interface.
    pub interface: u32,
    /// Seen from the observed end.
    pub direction: Direction,
    /// Of the observed end.
    pub role: Role,
    /// TCP header; `None` for UDP.
    pub tcp: Option<&'a Segment>,
    /// Bytes above the transport header by the IP length.
    pub payload_len: u32,
    /// IP identification.
    pub ip_id: Option<u32>,
}

impl<'a> Sighting<'a> {
    /// A live packet.
    pub(crate) fn of(t: MonoNs, p: &'a Packet, direction: Direction, role: Role) -> Self {
        Self {
            t,
            wall: p.wall,
            interface: p.ifindex,
            direction,
            role,
            tcp: p.tcp.as_ref(),
            payload_len: p.payload_len,
            ip_id: p.ip_id.map(u32::from),
        }
    }
}

/// What verdicts add up to. The names are those of the verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "see Verdicts")]
pub struct VerdictCounts {
    pub retransmission: u64,
    pub out_of_order: u64,
    pub lost_segment: u64,
    pub duplicate_ack: u64,
    pub zero_window: u64,
}

impl VerdictCounts {
    /// Counts those of one segment.
    #[inline]
    pub fn add(&mut self, verdicts: Verdicts) {
        if verdicts.is_empty() {
            return;
        }
        let has = |v: Verdicts| u64::from(verdicts.contains(v));
        self.retransmission += has(Verdicts::RETRANSMISSION);
        self.out_of_order += has(Verdicts::OUT_OF_ORDER);
        self.lost_segment += has(Verdicts::LOST_SEGMENT);
        self.duplicate_ack += has(Verdicts::DUPLICATE_ACK);
        self.zero_window += has(Verdicts::ZERO_WINDOW);
    }
}

/// What the packets of a connection add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct WireCounts {
    /// Both directions.
    #[serde(flatten)]
    pub verdicts: VerdictCounts,
    /// Time from the SYN to the ACK that ends the handshake.
    pub initial_rtt_ns: Option<DurationNs>,
}

/// Packets of one connection. Where one packet is seen on several interfaces (bridge and port, bond and slave),
/// the first one that a direction was seen on counts, and the others are repetitions.
#[derive(Debug, Default)]
pub struct Wire {
    analyser: Option<Box<Analyser>>,
    interface: [Option<(u32, WallNs)>; 2],
    sent: SentLog,
    /// Packets out and in.
    pub(crate) packets: (u64, u64),
    rtt: Option<Box<Histogram>>,
    pub(crate) zero_window_stalls: u64,
    pub(crate) counts: WireCounts,
    zero_window: [bool; 2],
    fins: [bool; 2],
    reset: Option<Direction>,
    isn: [Option<u32>; 2],
    /// Our SYN or SYN/ACK: when it was first sent, and how often.
    syn: Option<(WallNs, u32)>,
    syn_acked: bool,
    /// End of what we have sent, and of what we have sent more than once.
    sent_end: Option<u32>,
    repeated_end: Option<u32>,
}

impl Wire {
    /// Takes a packet; `None` for UDP and for a repetition.
    pub fn packet(&mut self, s: &Sighting<'_>) -> Option<Analysis> {
        if !self.is_first_sight(s.wall, s.interface, s.direction) {
            return None;
        }
        match s.direction {
            Direction::Out => self.packets.0 += 1,
            Direction::In => self.packets.1 += 1,
        }
        let seg = s.tcp?;
        let from = match (s.role, s.direction) {
            (Role::Client, Direction::Out) | (Role::Server, Direction::In) => Side::Orig,
            (Role::Client, Direction::In) | (Role::Server, Direction::Out) => Side::Resp,
        };
        let analysis =
            self.analyser.get_or_insert_default().segment(s.wall.0, from, seg, s.payload_len, s.ip_id);
        self.count(&analysis);
        self.note(s, seg, &analysis);
        Some(analysis)
    }

    fn count(&mut self, analysis: &Analysis) {
        self.counts.initial_rtt_ns = self.counts.initial_rtt_ns.or(analysis.initial_rtt);
        self.counts.verdicts.add(analysis.verdicts);
    }

    fn note(&mut self, s: &Sighting<'_>, seg: &Segment, analysis: &Analysis) {
        let (direction, len) = (s.direction, s.payload_len);
        let has = |flag: u8| seg.flags & flag != 0;
        if has(tcp_flags::SYN) {
            self.isn[direction as usize].get_or_insert(seg.seq);
        }
        if has(tcp_flags::FIN) {
            self.fin(direction);
        }
        match direction {
            Direction::Out => {
                let extra = u32::from(has(tcp_flags::SYN)) + u32::from(has(tcp_flags::FIN));
                let end = seg.seq.wrapping_add(len).wrapping_add(extra);
                if end != seg.seq {
                    self.sent.sent(seg.seq, end, s.t);
                    match self.sent_end {
                        Some(sent) if SeqNum(seg.seq).lt(SeqNum(sent)) => self.repeated_end = Some(sent),
                        _ => {}
                    }
                    if self.sent_end.is_none_or(|sent| SeqNum(sent).lt(SeqNum(end))) {
                        self.sent_end = Some(end);
                    }
                }
                if has(tcp_flags::SYN) {
                    let (_, times) = self.syn.get_or_insert((s.wall, 0));
                    *times = times.saturating_add(1);
                }
            }
            Direction::In if has(tcp_flags::ACK) => {
                self.sent.acked(seg.ack);
                if !has(tcp_flags::RST)
                    && let Some(rtt) = self.rtt_sample(s.wall, seg.ack, has(tcp_flags::SYN), analysis)
                {
                    self.rtt.get_or_insert_default().record(rtt);
                }
            }
            Direction::In => {}
        }
        if has(tcp_flags::ACK) && !has(tcp_flags::SYN) && !has(tcp_flags::RST) {
            let was = std::mem::replace(&mut self.zero_window[direction as usize], seg.window == 0);
            if seg.window == 0 && !was {
                self.zero_window_stalls += 1;
            }
        }
    }

    /// The handshake's round trip (our SYN to its ACK), then what the analyser measured. What was sent more than once
    /// gives no sample, since nobody knows which copy was answered (RFC 6298, section 3: Karn's algorithm).
    fn rtt_sample(&mut self, t: WallNs, ack: u32, is_syn: bool, analysis: &Analysis) -> Option<DurationNs> {
        match self.syn {
            Some((at, times)) if !self.syn_acked => {
                self.syn_acked = true;
                (times == 1).then(|| since(t, at))
            }
            _ if is_syn => None,
            _ => match self.repeated_end {
                Some(repeated) if SeqNum(ack).le(SeqNum(repeated)) => None,
                _ => {
                    self.repeated_end = None;
                    analysis.ack_rtt
                }
            },
        }
    }

    fn is_first_sight(&mut self, t: WallNs, ifindex: u32, direction: Direction) -> bool {
        let seen = &mut self.interface[direction as usize];
        match seen {
            Some((on, last)) if *on != ifindex && since(t, *last).0 < INTERFACE_SILENCE_NS => false,
            _ => {
                *seen = Some((ifindex, t));
                true
            }
        }
    }

    /// A reset. True where it ends the connection: not the first one does, or one that answers stray segments after
    /// both sides had finished.
    pub fn reset(&mut self, direction: Direction) -> bool {
        let ends = self.reset.is_none() && !self.both_fins();
        if ends {
            self.reset = Some(direction);
        }
        ends
    }

    /// Which way the reset went that ended it.
    pub(crate) fn reset_by(&self) -> Option<Direction> {
        self.reset
    }

    /// How it ended by its packets alone; [`CloseReason::Open`] where they don't show an end.
    pub fn close(&self) -> CloseReason {
        match self.reset {
            Some(Direction::Out) => CloseReason::ResetSent,
            Some(Direction::In) => CloseReason::ResetReceived,
            None if self.both_fins() => CloseReason::Fin,
            None => CloseReason::Open,
        }
    }

    /// Packets out and in.
    pub fn packets(&self) -> (u64, u64) {
        self.packets
    }

    /// Round-trip times from this end to the other.
    pub fn rtt(&self) -> Option<RttSummary> {
        self.rtt.as_deref().and_then(Histogram::summary)
    }

    /// The smallest of them so far.
    pub(crate) fn min_rtt(&self) -> Option<DurationNs> {
        self.rtt.as_deref().and_then(Histogram::min)
    }

    /// Times that a zero window stopped the sender, either way.
    pub fn zero_window_stalls(&self) -> u64 {
        self.zero_window_stalls
    }

    /// What the verdicts add up to.
    pub fn counts(&self) -> WireCounts {
        self.counts
    }

    /// The kernel's word on the initial sequence numbers, where the wire didn't tell.
    pub(crate) fn isns(&mut self, local: u32, remote: u32) {
        self.isn[Direction::Out as usize].get_or_insert(local);
        self.isn[Direction::In as usize].get_or_insert(remote);
    }

    /// Initial sequence numbers, local and remote, where both are known.
    pub fn isn_pair(&self) -> Option<(u32, u32)> {
        Some((self.local_isn()?, self.isn[Direction::In as usize]?))
    }

    /// Our initial sequence number.
    pub(crate) fn local_isn(&self) -> Option<u32> {
        self.isn[Direction::Out as usize]
    }

    /// A FIN was sent or received.
    pub(crate) fn fin(&mut self, direction: Direction) {
        self.fins[direction as usize] = true;
    }

    pub(crate) fn has_fin(&self, direction: Direction) -> bool {
        self.fins[direction as usize]
    }

    pub(crate) fn both_fins(&self) -> bool {
        self.fins == [true, true]
    }

    /// Time since `seq` was sent before, for a retransmission reported at `now`.
    pub(crate) fn sent_before(&self, seq: u32, now: MonoNs) -> Option<DurationNs> {
        self.sent.before(seq, now, self.min_rtt())
    }
}

/// Time between two stamps; zero where the order is the other way round.
fn since(t: WallNs, earlier: WallNs) -> DurationNs {
    DurationNs(t.0.saturating_sub(earlier.0))
}
