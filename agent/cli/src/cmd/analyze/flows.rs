//! Conversations: who with whom, how much each way, and how well.

use std::net::SocketAddr;

use tracenet_collectors::decode::Layer;
use tracenet_core::tcp::{Analysis, Verdicts};
use tracenet_core::time::{DurationNs, WallNs};

use super::reading::Packet;
use super::{Seen, Word};

/// Conversations of a transport that are kept; more are only counted.
pub const MAX_FLOWS: usize = 1 << 20;

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
    pub fn new(packet: &Packet, layer: &Layer) -> Self {
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

    pub fn add(&mut self, packet: &Packet, layer: &Layer) {
        if self.frames() == 0 {
            // Only quoted so far, or not shown.
            (self.a, self.b) = (layer.source, layer.destination);
            (self.first, self.last) = (packet.wall, packet.wall);
        }
        let way = if layer.source == self.a { &mut self.from_a } else { &mut self.from_b };
        way.frames += 1;
        way.bytes += u64::from(packet.wire_len);
        self.first = self.first.min(packet.wall);
        self.last = self.last.max(packet.wall);
    }

    pub fn judge(&mut self, analysis: &Analysis) {
        self.initial_rtt = self.initial_rtt.or(analysis.initial_rtt);
        if analysis.verdicts.is_empty() {
            return;
        }
        let has = |v: Verdicts| u32::from(analysis.verdicts.contains(v));
        self.retransmissions += has(Verdicts::RETRANSMISSION);
        self.out_of_order += has(Verdicts::OUT_OF_ORDER);
        self.lost_segments += has(Verdicts::LOST_SEGMENT);
        self.duplicate_acks += has(Verdicts::DUPLICATE_ACK);
        self.zero_windows += has(Verdicts::ZERO_WINDOW);
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
    /// By the number of the conversation.
    pub udp: Vec<Flow>,
    /// Packets of TCP conversations that were not kept.
    pub omitted_packets: u64,
}

impl Flows {
    /// Takes a packet.
    #[inline]
    pub fn packet(&mut self, seen: &Seen<'_>) {
        let packet = seen.dissected.packet;
        for (layer, word) in seen.layers() {
            match word {
                Word::Segment(said) => match place(&mut self.tcp, said.stream, packet, layer) {
                    Some(flow) => {
                        // As tshark has it: what is cut within its header is no packet of the conversation.
                        if !layer.cut {
                            flow.add(packet, layer);
                        }
                        flow.judge(&said.analysis);
                    }
                    None => self.omitted_packets += 1,
                },
                // It takes a number, but is no packet of the conversation.
                Word::Quoted(stream) => {
                    place(&mut self.tcp, *stream, packet, layer);
                }
                Word::Datagram(Some(number)) => {
                    if let Some(flow) = place(&mut self.udp, *number, packet, layer)
                        && !layer.cut
                    {
                        flow.add(packet, layer);
                    }
                }
                Word::Datagram(None) | Word::QuotedDatagram => {}
            }
        }
    }
}

/// The flow of that number. Numbers are given without gaps, but not every packet may be shown.
fn place<'a>(flows: &'a mut Vec<Flow>, number: u32, packet: &Packet, layer: &Layer) -> Option<&'a mut Flow> {
    let at = number as usize;
    if at >= flows.len() && at < MAX_FLOWS {
        flows.resize_with(at + 1, || Flow::new(packet, layer));
    }
    flows.get_mut(at)
}
