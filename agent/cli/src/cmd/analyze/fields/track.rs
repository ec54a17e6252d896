//! What a filter has to remember: where sequence numbers begin, how windows are scaled, when a conversation began.

use std::net::SocketAddr;

use tracenet_core::event::tcp_flags;
use tracenet_core::tcp::Side;

use super::super::{Seen, Word};

/// Conversations that are remembered; the fields of later ones that need it have no value.
const MAX: usize = 1 << 20;

/// Of a SYN that was not seen.
pub(super) const SCALE_UNKNOWN: i32 = -1;
/// Of a SYN without the option.
pub(super) const SCALE_NONE: i32 = -2;

/// What is remembered from packet to packet.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// Stamp of the frame before this one.
    pub previous: Option<u64>,
    /// Stamp of the last frame that was shown.
    pub shown: Option<u64>,
    tcp: Vec<Conversation>,
    udp: Vec<Option<Times>>,
    /// Of the layers of the frame at hand.
    now: Vec<Option<Now>>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    first: u64,
    last: u64,
}

#[derive(Debug, Clone, Copy)]
struct Conversation {
    times: Option<Times>,
    originator: Option<SocketAddr>,
    /// Sequence number that counts as 0, of the originator and of the responder.
    base: [Option<u32>; 2],
    /// Shift count, or one of the constants above.
    scale: [i32; 2],
}

impl Default for Conversation {
    fn default() -> Self {
        Self { times: None, originator: None, base: [None; 2], scale: [SCALE_UNKNOWN; 2] }
    }
}

/// A packet within its conversation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Now {
    /// Nanoseconds since its first packet.
    pub since_first: i128,
    /// Nanoseconds since the packet before it.
    pub since_last: i128,
    /// Sequence number of the sender that counts as 0.
    pub base: u32,
    /// Sequence number of the receiver that counts as 0, once known.
    pub peer_base: Option<u32>,
    /// Scaling of the sender's window.
    pub scale: i32,
}

impl Track {
    /// Of a layer of the frame at hand.
    pub fn now(&self, layer: usize) -> Option<&Now> {
        self.now.get(layer)?.as_ref()
    }

    /// Looks at the next packet.
    pub fn packet(&mut self, seen: &Seen<'_>) {
        self.now.clear();
        let t = seen.dissected.packet.wall.0;
        for (layer, word) in seen.layers() {
            let now = match word {
                Word::Segment(said) => slot(&mut self.tcp, said.stream).map(|conversation| {
                    let segment = layer.tcp.unwrap_or_default();
                    let is_response = said.from == Side::Resp;
                    let me = usize::from(is_response);
                    conversation.originator =
                        Some(if is_response { layer.destination } else { layer.source });
                    let mut now = conversation.segment(me, &segment);
                    (now.since_first, now.since_last) = since(&mut conversation.times, t);
                    now
                }),
                Word::Quoted(stream) => slot(&mut self.tcp, *stream).map(|conversation| {
                    let (since_first, since_last) = since(&mut conversation.times, t);
                    let is_response = conversation.originator.is_some_and(|o| o != layer.source);
                    let scale = conversation.scale[usize::from(is_response)];
                    Now { since_first, since_last, scale, ..Now::default() }
                }),
                Word::Datagram(Some(number)) => slot(&mut self.udp, *number).map(|times| {
                    let (since_first, since_last) = since(times, t);
                    Now { since_first, since_last, ..Now::default() }
                }),
                Word::Datagram(None) | Word::QuotedDatagram => None,
            };
            self.now.push(now);
        }
    }

    /// Ends with the packet.
    pub fn done(&mut self, seen: &Seen<'_>, shown: bool) {
        let t = seen.dissected.packet.wall.0;
        self.previous = Some(t);
        if shown {
            self.shown = Some(t);
        }
    }
}

fn slot<T: Default + Clone>(all: &mut Vec<T>, number: u32) -> Option<&mut T> {
    let at = number as usize;
    if at >= all.len() && at < MAX {
        all.resize(at + 1, T::default());
    }
    all.get_mut(at)
}

/// Since the first packet, and since the one before.
fn since(times: &mut Option<Times>, t: u64) -> (i128, i128) {
    let times = times.get_or_insert(Times { first: t, last: t });
    let all = i128::from(t) - i128::from(times.first);
    let gap = i128::from(t) - i128::from(times.last);
    times.last = t;
    (all, gap)
}

impl Conversation {
    /// Follows a segment from one end: 0 is the originator.
    fn segment(&mut self, me: usize, segment: &tracenet_core::event::Segment) -> Now {
        let peer = 1 - me;
        let has = |flag| segment.flags & flag != 0;
        if has(tcp_flags::SYN) {
            let scale = segment.options.window_scale.map_or(SCALE_NONE, |shift| i32::from(shift.min(14)));
            self.scale[me] = scale;
            if has(tcp_flags::ACK) {
                // Scaling holds only if both SYNs offered it (RFC 7323, section 2.2).
                if scale == SCALE_NONE && self.scale[peer] >= 0 {
                    self.scale[peer] = SCALE_NONE;
                } else if self.scale[peer] == SCALE_NONE {
                    self.scale[me] = SCALE_NONE;
                }
                self.base[me] = Some(segment.seq);
            }
        }
        // A first segment that is no SYN follows an unseen one.
        let first = if has(tcp_flags::SYN) { segment.seq } else { segment.seq.wrapping_sub(1) };
        let base = *self.base[me].get_or_insert(first);
        if has(tcp_flags::ACK) {
            self.base[peer].get_or_insert(segment.ack.wrapping_sub(1));
        }
        Now { base, peer_base: self.base[peer], scale: self.scale[me], ..Now::default() }
    }
}
