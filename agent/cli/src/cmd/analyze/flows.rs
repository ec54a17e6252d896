//! Conversations: who with whom, how much each way, and how well.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use tracenet_collectors::decode::Layer;
use tracenet_core::tcp::Verdicts;
use tracenet_core::time::{DurationNs, WallNs};

use super::Word;
use super::reading::Packet;

/// Conversations of a transport that are kept; more are only counted.
const MAX_FLOWS: usize = 1 << 20;

/// One way of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    pub frames: u64,
    /// Of the whole frames on the wire.
    pub bytes: u64,
}

/// A conversation.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Sender of the first packet seen.
    pub a: SocketAddr,
    pub b: SocketAddr,
    pub from_a: Way,
    pub from_b: Way,
    pub first: WallNs,
    pub last: WallNs,
    pub initial_rtt: Option<DurationNs>,
    pub retransmissions: u32,
    pub out_of_order: u32,
    pub lost_segments: u32,
    pub duplicate_acks: u32,
    pub zero_windows: u32,
}

impl Flow {
    fn new(packet: &Packet, layer: &Layer) -> Self {
        Self {
            a: layer.source,
            b: layer.destination,
            from_a: Way::default(),
            from_b: Way::default(),
            first: packet.wall,
            last: packet.wall,
            initial_rtt: None,
            retransmissions: 0,
            out_of_order: 0,
            lost_segments: 0,
            duplicate_acks: 0,
            zero_windows: 0,
        }
    }

    fn add(&mut self, packet: &Packet, layer: &Layer) {
        if self.frames() == 0 {
            // Only quoted so far.
            (self.a, self.b) = (layer.source, layer.destination);
            (self.first, self.last) = (packet.wall, packet.wall);
        }
        let way = if layer.source == self.a { &mut self.from_a } else { &mut self.from_b };
        way.frames += 1;
        way.bytes += u64::from(packet.wire_len);
        self.first = self.first.min(packet.wall);
        self.last = self.last.max(packet.wall);
    }

    pub fn frames(&self) -> u64 {
        self.from_a.frames + self.from_b.frames
    }

    pub fn bytes(&self) -> u64 {
        self.from_a.bytes + self.from_b.bytes
    }

    /// Segments that went wrong on the way or at an end, for the order of the worst.
    pub fn trouble(&self) -> u64 {
        [self.retransmissions, self.out_of_order, self.lost_segments, self.zero_windows]
            .into_iter()
            .map(u64::from)
            .sum()
    }
}

/// The conversations of a capture.
#[derive(Debug, Default)]
pub struct Flows {
    /// By the number of the stream.
    pub tcp: Vec<Flow>,
    pub udp: Vec<Flow>,
    udp_by_pair: FxHashMap<(SocketAddr, SocketAddr), usize>,
    /// Packets of conversations that were not kept.
    pub omitted_packets: u64,
}

impl Flows {
    pub fn tcp(&mut self, stream: u32, packet: &Packet, layer: &Layer, word: &Word) {
        let at = stream as usize;
        // Streams are numbered without gaps.
        if at == self.tcp.len() && at < MAX_FLOWS {
            self.tcp.push(Flow::new(packet, layer));
        }
        let Some(flow) = self.tcp.get_mut(at) else {
            self.omitted_packets += 1;
            return;
        };
        // A quoted header takes a number, but is no packet of the conversation.
        let Word::Analysed(said) = word else { return };
        flow.add(packet, layer);
        let analysis = &said.analysis;
        flow.initial_rtt = flow.initial_rtt.or(analysis.initial_rtt);
        if analysis.verdicts.is_empty() {
            return;
        }
        let has = |v: Verdicts| u32::from(analysis.verdicts.contains(v));
        flow.retransmissions += has(Verdicts::RETRANSMISSION);
        flow.out_of_order += has(Verdicts::OUT_OF_ORDER);
        flow.lost_segments += has(Verdicts::LOST_SEGMENT);
        flow.duplicate_acks += has(Verdicts::DUPLICATE_ACK);
        flow.zero_windows += has(Verdicts::ZERO_WINDOW);
    }

    pub fn udp(&mut self, packet: &Packet, layer: &Layer) {
        if layer.quoted {
            return;
        }
        let (s, d) = (layer.source, layer.destination);
        let key = if s <= d { (s, d) } else { (d, s) };
        let at = match self.udp_by_pair.get(&key) {
            Some(at) => *at,
            None if self.udp.len() < MAX_FLOWS => {
                self.udp.push(Flow::new(packet, layer));
                self.udp_by_pair.insert(key, self.udp.len() - 1);
                self.udp.len() - 1
            }
            None => {
                self.omitted_packets += 1;
                return;
            }
        };
        if let Some(flow) = self.udp.get_mut(at) {
            flow.add(packet, layer);
        }
    }
}
