//! Features of a flow, for each direction: what its packets had in common, how they spread, what went wrong.
//!
//! A is the direction of the flow's first packet, B the other one. Names are our own; [`CATALOGUE`] names the column
//! of Tranalyzer2 (basicFlow, basicStats, tcpFlags) that a feature corresponds to, and says where they differ.

mod bits;
mod catalogue;
mod clock;
mod fragments;
mod icmp;
mod options;
mod spread;
mod state;
mod way;

#[cfg(test)]
mod tests;

pub use bits::Bit;
pub use catalogue::{CATALOGUE, Feature, Tell, Value, feature};
pub use fragments::Datagram;

use std::sync::LazyLock;

use crate::event::{Segment, tcp_flags};
use crate::ip::IpFacts;
use crate::tcp::Verdicts;
use crate::time::WallNs;

use bits::{anomaly, flag, status};
use icmp::Messages;
use way::{Tcp, Way};

/// Windows smaller than this, in bytes, count as too small: those that are shut.
pub const WINDOW_THRESHOLD: u32 = 1;

/// Segments of a side that only probed, at most.
const SCAN_PACKETS: u32 = 3;

/// Direction of a packet in its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// As the first packet.
    A,
    /// The other way.
    B,
}

impl Direction {
    /// `A` or `B`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A packet of a flow.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Capture stamp.
    pub t: WallNs,
    /// IP header.
    pub ip: &'a IpFacts,
    /// TCP header; `None` for other protocols.
    pub tcp: Option<&'a Segment>,
    /// TCP options as they stand in the header, as far as captured.
    pub options: &'a [u8],
    /// Bytes above the transport header.
    pub payload_len: u32,
    /// Bytes of the frame on the wire.
    pub wire_len: u32,
    /// What the analyser says of the segment.
    pub verdicts: Verdicts,
    /// The IP header's checksum is wrong.
    pub bad_ip_checksum: bool,
    /// The TCP checksum is wrong, and not for want of the card's work.
    pub bad_checksum: bool,
    /// Not all of the TCP header was captured.
    pub cut: bool,
}

/// Features of one flow, both directions.
#[derive(Debug, Clone, Default)]
pub struct Features {
    a: Way,
    /// `None` until there is a packet of it: most flows of a scan never have one.
    b: Option<Box<Way>>,
    handshake: Handshake,
    /// ICMP messages of A and of B: few flows have any.
    icmp: Option<Box<[Messages; 2]>>,
}

/// When the handshake's segments passed.
#[derive(Debug, Clone, Copy, Default)]
struct Handshake {
    syn: Option<(Direction, u64)>,
    syn_ack_ns: Option<u64>,
    ack_ns: Option<u64>,
}

/// A direction without packets.
static UNSEEN: LazyLock<Way> = LazyLock::new(Way::default);

impl Features {
    /// Of a flow without packets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads something of every part, which takes what is known from the memory to the processor; the sum means nothing.
    #[inline]
    pub fn fetch(&self) -> u64 {
        self.a.fetch() ^ self.b.as_ref().map_or(0, |b| b.fetch()) ^ self.handshake.ack_ns.unwrap_or(0)
    }

    /// Takes the flow's next packet.
    #[inline]
    pub fn packet(&mut self, from: Direction, seen: &Seen<'_>) {
        let (way, peer) = match from {
            Direction::A => (&mut self.a, self.b.as_deref_mut()),
            Direction::B => (&mut **self.b.get_or_insert_default(), Some(&mut self.a)),
        };
        let silent = Tcp::default();
        let peer = match peer {
            Some(peer) => {
                if peer.packets > 0 {
                    peer.trips.add(seen.t.0.saturating_sub(peer.last.0));
                }
                &peer.tcp
            }
            None => &silent,
        };
        way.packet(seen);
        if let Some(seg) = seen.tcp {
            way.segment(seen, seg, peer);
            if seg.flags & tcp_flags::RST != 0 && !(way.tcp.is_closed() && peer.is_closed()) {
                way.tcp.reset_first |= !peer.reset_first;
            }
            if self.handshake.ack_ns.is_none() {
                self.handshake.segment(from, seen.t.0, seg.flags);
            }
        }
    }

    /// A datagram came in these fragments, or not all of it did.
    pub fn fragments(&mut self, from: Direction, datagram: &Datagram) {
        self.way_mut(from).ip.flags |= datagram.faults();
    }

    /// The packet at hand begins an ICMP message.
    pub fn icmp(&mut self, from: Direction, kind: u8, code: u8) {
        let [a, b] = &mut **self.icmp.get_or_insert_default();
        let messages = match from {
            Direction::A => a,
            Direction::B => b,
        };
        messages.add(kind, code);
    }

    /// Packets of a direction.
    pub fn packets(&self, direction: Direction) -> u32 {
        self.way(direction).packets
    }

    /// Stamp of the first packet of a direction, `None` before there was one.
    pub fn first(&self, direction: Direction) -> Option<WallNs> {
        let way = self.way(direction);
        (way.packets > 0).then_some(way.first)
    }

    /// Stamp of the latest packet.
    pub fn last(&self) -> WallNs {
        self.b.as_ref().map_or(self.a.last, |b| self.a.last.max(b.last))
    }

    /// Both sides closed, or one reset.
    pub fn is_closed(&self) -> bool {
        let (a, b) = (&self.a.tcp, &self.way(Direction::B).tcp);
        let reset = (a.flags | b.flags) & u16::from(tcp_flags::RST) != 0;
        reset || a.is_closed() && b.is_closed()
    }

    fn way(&self, direction: Direction) -> &Way {
        match direction {
            Direction::A => &self.a,
            Direction::B => self.b.as_deref().unwrap_or_else(|| &UNSEEN),
        }
    }

    fn way_mut(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::A => &mut self.a,
            Direction::B => self.b.get_or_insert_default(),
        }
    }

    /// ICMP messages that one side sent.
    fn icmp_messages(&self, from: Direction) -> Option<String> {
        let [a, b] = &**self.icmp.as_ref()?;
        match from {
            Direction::A => a.text(),
            Direction::B => b.text(),
        }
    }

    /// How the connection went. The side of the first packet is the originator, unless that answers a SYN.
    fn conn_state(&self) -> &'static str {
        let answers = |way: &Way| way.tcp.flags & flag::SYN_ACK != 0;
        let turned = answers(&self.a) && !answers(self.way(Direction::B));
        let (originator, responder) =
            if turned { (Direction::B, Direction::A) } else { (Direction::A, Direction::B) };
        let side = |direction| {
            let tcp = &self.way(direction).tcp;
            state::Side { opened: tcp.syn_seen, closed: tcp.is_closed(), reset: tcp.reset_first }
        };
        let responder = state::Side { opened: answers(self.way(responder)), ..side(responder) };
        state::conn_state(side(originator), responder)
    }

    /// SYN to SYN/ACK for the side of the SYN, SYN/ACK to ACK for the other one.
    fn handshake_trip(&self, direction: Direction) -> Option<u64> {
        let (from, syn) = self.handshake.syn?;
        let syn_ack = self.handshake.syn_ack_ns?;
        if direction == from {
            Some(syn_ack.saturating_sub(syn))
        } else {
            Some(self.handshake.ack_ns?.saturating_sub(syn_ack))
        }
    }

    /// SYN to ACK.
    fn handshake_round_trip(&self) -> Option<u64> {
        Some(self.handshake.ack_ns?.saturating_sub(self.handshake.syn?.1))
    }

    /// A side that only knocked: its first segment is no part of a conversation, and neither side said anything.
    fn is_scan(&self, direction: Direction) -> bool {
        let (own, peer) = (self.way(direction), self.way(direction.other()));
        let begins = direction == Direction::A && own.windows.count > 0;
        let first = own.tcp.first_flags;
        let plain =
            first & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::ACK || first & tcp_flags::RST != 0;
        begins && !plain && own.packets <= SCAN_PACKETS && own.sizes.sum() == 0 && peer.sizes.sum() == 0
    }

    fn anomalies(&self, direction: Direction) -> u16 {
        let own = self.way(direction).tcp.anomalies;
        let scan = match (self.is_scan(Direction::A), direction, self.way(Direction::B).packets > 0) {
            (true, Direction::A, answered) => {
                anomaly::SCAN | if answered { anomaly::SCAN_ANSWERED } else { 0 }
            }
            (true, Direction::B, true) => anomaly::SCAN_ANSWERED,
            _ => 0,
        };
        own | scan
    }

    fn status(&self, direction: Direction) -> u16 {
        let way = self.way(direction);
        let bit = |set: bool, bit: u16| if set { bit } else { 0 };
        way.tcp.status
            | bit(way.clock.seen, status::TIMESTAMPS)
            | bit(way.clock.went_back, status::TIMESTAMP_BACK)
            | bit(way.options.damaged, status::OPTIONS_DAMAGED)
            | bit(way.windows.grew(), status::WINDOW_GREW)
            | bit(way.options.kinds & 1 << 5 != 0, status::SACK)
            | bit(way.options.kinds & 1 << 30 != 0, status::MPTCP)
    }

    /// JA4T of the side that sent the SYN, JA4TS of the one that sent the SYN/ACK (FoxIO, "JA4T: TCP
    /// fingerprinting"): window, kinds of the options in their order, MSS, window scale.
    fn ja4t(&self, direction: Direction) -> Option<String> {
        let tcp = &self.way(direction).tcp;
        if !tcp.syn_seen {
            return None;
        }
        let mut text = String::with_capacity(64);
        push_decimal(&mut text, tcp.syn_window);
        text.push('_');
        let kinds = tcp.kinds.as_slice();
        if kinds.is_empty() {
            text.push_str("00");
        }
        for (n, kind) in kinds.iter().enumerate() {
            if n > 0 {
                text.push('-');
            }
            push_decimal(&mut text, u16::from(*kind));
        }
        for part in [tcp.mss, tcp.scale.map(u16::from)] {
            text.push('_');
            match part {
                Some(n) => push_decimal(&mut text, n),
                None => text.push_str("00"),
            }
        }
        Some(text)
    }
}

/// Appends a number without the formatter, which would take longer than the rest of a fingerprint.
fn push_decimal(text: &mut String, n: u16) {
    for unit in [10_000, 1_000, 100, 10, 1].into_iter().skip_while(|unit| *unit > n.max(1)) {
        text.push(char::from(b'0' + (n / unit % 10) as u8));
    }
}

impl Handshake {
    fn segment(&mut self, from: Direction, t_ns: u64, flags: u8) {
        match (flags & (tcp_flags::SYN | tcp_flags::ACK), self.syn) {
            (tcp_flags::SYN, None) => self.syn = Some((from, t_ns)),
            (both, Some((side, _))) if side != from && both == tcp_flags::SYN | tcp_flags::ACK => {
                self.syn_ack_ns.get_or_insert(t_ns);
            }
            (tcp_flags::ACK, Some((side, _))) if side == from && self.syn_ack_ns.is_some() => {
                self.ack_ns = Some(t_ns);
            }
            _ => {}
        }
    }
}
