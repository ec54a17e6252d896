//! One connection as seen on the wire.

use super::sent::SentLog;
use crate::event::{Packet, Segment, tcp_flags};
use crate::histogram::Histogram;
use crate::key::{Direction, Role};
use crate::tcp::seq::SeqNum;
use crate::tcp::{Analyser, Analysis, Side};
use crate::time::{DurationNs, MonoNs};

/// An interface that has been silent this long may have been left for another one (a route changed).
const INTERFACE_SILENCE_NS: u64 = 1_000_000_000;

/// Packets of one connection. Where one packet is seen on several interfaces (bridge and port, bond and slave),
/// the first one that a direction was seen on counts, and the others are repetitions.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    analyser: Option<Box<Analyser>>,
    interface: [Option<(u32, MonoNs)>; 2],
    sent: SentLog,
    /// Packets out and in.
    pub(crate) packets: (u64, u64),
    pub(crate) rtt: Option<Box<Histogram>>,
    pub(crate) zero_window_stalls: u64,
    zero_window: [bool; 2],
    fins: [bool; 2],
    isn: [Option<u32>; 2],
    /// Our SYN or SYN/ACK: when it was first sent, and how often.
    syn: Option<(MonoNs, u32)>,
    syn_acked: bool,
    /// End of what we have sent, and of what we have sent more than once.
    sent_end: Option<u32>,
    repeated_end: Option<u32>,
}

impl Wire {
    /// Takes a packet; `None` for UDP and for a repetition.
    pub(crate) fn packet(
        &mut self,
        t: MonoNs,
        p: &Packet,
        direction: Direction,
        role: Role,
    ) -> Option<Analysis> {
        if !self.is_first_sight(t, p.ifindex, direction) {
            return None;
        }
        match direction {
            Direction::Out => self.packets.0 += 1,
            Direction::In => self.packets.1 += 1,
        }
        let seg = p.tcp.as_ref()?;
        let from = match (role, direction) {
            (Role::Client, Direction::Out) | (Role::Server, Direction::In) => Side::Orig,
            (Role::Client, Direction::In) | (Role::Server, Direction::Out) => Side::Resp,
        };
        let analysis = self.analyser.get_or_insert_default().segment(
            t.0,
            from,
            seg,
            p.payload_len,
            p.ip_id.map(u32::from),
        );
        self.note(t, seg, p.payload_len, direction, &analysis);
        Some(analysis)
    }

    fn note(&mut self, t: MonoNs, seg: &Segment, len: u32, direction: Direction, analysis: &Analysis) {
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
                    self.sent.sent(seg.seq, end, t);
                    match self.sent_end {
                        Some(sent) if SeqNum(seg.seq).lt(SeqNum(sent)) => self.repeated_end = Some(sent),
                        _ => {}
                    }
                    if self.sent_end.is_none_or(|sent| SeqNum(sent).lt(SeqNum(end))) {
                        self.sent_end = Some(end);
                    }
                }
                if has(tcp_flags::SYN) {
                    let (_, times) = self.syn.get_or_insert((t, 0));
                    *times = times.saturating_add(1);
                }
            }
            Direction::In if has(tcp_flags::ACK) => {
                self.sent.acked(seg.ack);
                if !has(tcp_flags::RST)
                    && let Some(rtt) = self.rtt_sample(t, seg.ack, has(tcp_flags::SYN), analysis)
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
    fn rtt_sample(&mut self, t: MonoNs, ack: u32, is_syn: bool, analysis: &Analysis) -> Option<DurationNs> {
        match self.syn {
            Some((at, times)) if !self.syn_acked => {
                self.syn_acked = true;
                (times == 1).then(|| t.since(at))
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

    fn is_first_sight(&mut self, t: MonoNs, ifindex: u32, direction: Direction) -> bool {
        let seen = &mut self.interface[direction as usize];
        match seen {
            Some((on, last)) if *on != ifindex && t.since(*last).0 < INTERFACE_SILENCE_NS => false,
            _ => {
                *seen = Some((ifindex, t));
                true
            }
        }
    }

    /// The kernel's word on the initial sequence numbers, where the wire didn't tell.
    pub(crate) fn isns(&mut self, local: u32, remote: u32) {
        self.isn[Direction::Out as usize].get_or_insert(local);
        self.isn[Direction::In as usize].get_or_insert(remote);
    }

    /// Initial sequence numbers, local and remote, where both are known.
    pub(crate) fn isn_pair(&self) -> Option<(u32, u32)> {
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
        self.sent.before(seq, now)
    }
}
