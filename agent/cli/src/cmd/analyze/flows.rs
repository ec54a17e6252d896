//! Conversations: who with whom, and how much each way.

use std::net::SocketAddr;

use tracenet_collectors::decode::Layer;
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

    fn frames(&self) -> u64 {
        self.from_a.frames + self.from_b.frames
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
                        flow.initial_rtt = flow.initial_rtt.or(said.analysis.initial_rtt);
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
