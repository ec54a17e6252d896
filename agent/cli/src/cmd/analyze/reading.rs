//! One thread reads and takes apart, another analyses, a third shows: batches of headers go from the first to the second
//! and to the third, and come back to be filled again, so that nothing is allocated for a packet.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use tracenet_collectors::decode::{IpPacket, Layer, Layers, LinkType, Protocol, Undecoded, Visit};
use tracenet_collectors::files::{Damage, Frame, Reader};
use tracenet_core::key::Direction;
use tracenet_core::time::WallNs;

use super::Word;

/// Packets of a batch: many, since a thread that has to wait for one gives its processor away.
const BATCH: usize = 4096;

/// Batches on their way.
pub const BATCHES: usize = 4;

/// A batch with packets' bytes ends here, even if it has few of them.
const BATCH_BYTES: usize = 1 << 20;

/// What of the packets is kept besides their transport headers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// IP headers, of fragments too.
    pub ips: bool,
    /// IP headers of fragments and of ICMP, and the name and first bytes of an ICMP header.
    pub icmp: bool,
    /// Names of all headers.
    pub headers: bool,
    /// Bytes of the frame and of all headers.
    pub bytes: bool,
}

/// A packet without its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    pub wall: WallNs,
    pub link: LinkType,
    /// Which interface it was captured on, by its number in the frame or else in the file.
    pub interface: u32,
    /// Which way it went at the capturing host, where the file tells.
    pub direction: Option<Direction>,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Bytes in the file.
    pub captured_len: u32,
    /// What stopped the way to a transport header.
    pub outcome: Result<(), Undecoded>,
    /// Layers, headers and IP headers of this packet.
    counts: (u32, u32, u32),
    /// Where its bytes begin, if they are kept.
    at: usize,
}

/// A header by name, and where its bytes are.
#[derive(Debug, Clone, Copy)]
struct Header {
    protocol: Protocol,
    at: usize,
    len: usize,
}

/// Packets with their layers, one after the other.
#[derive(Debug, Default)]
pub struct Batch {
    packets: Vec<Packet>,
    layers: Vec<Layer>,
    headers: Vec<Header>,
    ips: Vec<IpPacket>,
    bytes: Vec<u8>,
    /// Of the layers, one for each, once they are analysed.
    pub words: Vec<Word>,
    /// Streams that are over, each with the place of the packet by which that became known.
    pub ended: Vec<(usize, u32)>,
    /// Bytes of the file that were read up to here, packed if it is packed.
    pub position: u64,
    /// The next packet may take its time.
    pub is_last_for_now: bool,
}

/// A packet and all that is kept of it.
#[derive(Debug, Clone, Copy)]
pub struct Dissected<'a> {
    pub packet: &'a Packet,
    /// Transport headers, from the outside in.
    pub layers: &'a [Layer],
    /// IP headers, from the outside in; empty unless [`Keep::ips`], few with [`Keep::icmp`].
    pub ips: &'a [IpPacket],
    /// One for each of the layers, once they are analysed.
    pub words: &'a [Word],
    headers: &'a [Header],
    bytes: &'a [u8],
}

impl<'a> Dissected<'a> {
    /// The captured frame; empty unless [`Keep::bytes`].
    pub fn frame(&self) -> &'a [u8] {
        let end = self.packet.at.saturating_add(self.packet.captured_len as usize);
        self.bytes.get(self.packet.at..end).unwrap_or_default()
    }

    /// Every header from the outside in with the bytes from there to the end of its layer, as far as captured; no
    /// header unless [`Keep::headers`], no bytes unless [`Keep::bytes`].
    pub fn headers(&self) -> impl Iterator<Item = (Protocol, &'a [u8])> {
        let bytes = self.bytes;
        self.headers.iter().map(move |h| (h.protocol, bytes.get(h.at..h.at + h.len).unwrap_or_default()))
    }
}

impl Batch {
    /// Each packet.
    pub fn packets(&self) -> impl Iterator<Item = Dissected<'_>> {
        let (mut layers, mut headers, mut ips) =
            (self.layers.as_slice(), self.headers.as_slice(), self.ips.as_slice());
        let mut words = self.words.as_slice();
        self.packets.iter().map(move |packet| Dissected {
            packet,
            layers: take(&mut layers, packet.counts.0),
            headers: take(&mut headers, packet.counts.1),
            ips: take(&mut ips, packet.counts.2),
            words: take(&mut words, packet.counts.0),
            bytes: &self.bytes,
        })
    }

    /// Transport headers of all packets.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// How many packets there are.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.layers.clear();
        self.headers.clear();
        self.ips.clear();
        self.bytes.clear();
        self.words.clear();
        self.ended.clear();
        self.is_last_for_now = false;
    }
}

/// The first `n`, and leaves the others; all, if there are fewer.
fn take<'a, T>(all: &mut &'a [T], n: u32) -> &'a [T] {
    let (first, rest) = all.split_at_checked(n as usize).unwrap_or((all, &[]));
    *all = rest;
    first
}

/// Notes what the walk through a frame passes.
struct Noting<'a> {
    layers: &'a mut Vec<Layer>,
    headers: &'a mut Vec<Header>,
    ips: &'a mut Vec<IpPacket>,
    bytes: &'a mut Vec<u8>,
    keep: Keep,
    /// Address of the frame, and where its copy is.
    frame: std::ops::Range<usize>,
    at: usize,
}

impl Visit for Noting<'_> {
    #[inline]
    fn header(&mut self, protocol: Protocol, bytes: &[u8]) {
        if !self.keep.headers {
            if self.keep.icmp && matches!(protocol, Protocol::Icmp | Protocol::Icmpv6) {
                // Its type and code.
                let bytes = &bytes[..bytes.len().min(2)];
                self.headers.push(Header { protocol, at: self.bytes.len(), len: bytes.len() });
                self.bytes.extend_from_slice(bytes);
            }
            return;
        }
        let mut header = Header { protocol, at: 0, len: 0 };
        if self.keep.bytes {
            let address = bytes.as_ptr() as usize;
            header.len = bytes.len();
            header.at = if self.frame.contains(&address) {
                self.at + (address - self.frame.start)
            } else {
                // Of a datagram that came in fragments.
                self.bytes.extend_from_slice(bytes);
                self.bytes.len() - bytes.len()
            };
        }
        self.headers.push(header);
    }

    #[inline]
    fn ip(&mut self, packet: &IpPacket) {
        if self.keep.ips || self.keep.icmp && (packet.facts.is_fragment() || packet.facts.is_icmp()) {
            self.ips.push(*packet);
        }
    }

    #[inline]
    fn transport(&mut self, layer: &Layer) {
        self.layers.push(*layer);
    }
}

/// How the reading ended.
#[derive(Debug)]
pub struct End {
    pub damage: Option<Damage>,
    /// Datagrams of which fragments are missing.
    pub fragments_given_up: u64,
}

/// A capture being read.
pub struct Reading {
    /// Batches as they come.
    pub full: Receiver<Batch>,
    thread: JoinHandle<End>,
}

impl Reading {
    /// Starts to read into the batches that come from `empty`.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(reader: Reader, keep: Keep, empty: Receiver<Batch>) -> std::io::Result<Self> {
        let (to_full, full) = bounded(BATCHES);
        let thread = std::thread::Builder::new()
            .name("tracenet-read".into())
            .spawn(move || read(reader, keep, &to_full, &empty))?;
        Ok(Self { full, thread })
    }

    /// Waits for the reader, after the last batch; `None` if it died.
    pub fn end(self) -> Option<End> {
        drop(self.full);
        self.thread.join().ok()
    }
}

fn read(mut reader: Reader, keep: Keep, full: &Sender<Batch>, empty: &Receiver<Batch>) -> End {
    let mut layers = Layers::new();
    // Without a batch to fill, nobody reads any more.
    while let Ok(mut batch) = empty.recv() {
        batch.clear();
        let more = fill(&mut batch, keep, &mut reader, &mut layers);
        batch.position = reader.position();
        if full.send(batch).is_err() || !more {
            break;
        }
    }
    End { damage: reader.damage().cloned(), fragments_given_up: layers.fragments_given_up() }
}

fn fill(batch: &mut Batch, keep: Keep, reader: &mut Reader, walker: &mut Layers) -> bool {
    let Batch { packets, layers, headers, ips, bytes, is_last_for_now, .. } = batch;
    while packets.len() < BATCH && bytes.len() < BATCH_BYTES {
        let Some(frame) = reader.next_frame() else { return false };
        let before = (layers.len(), headers.len(), ips.len());
        let at = bytes.len();
        if keep.bytes {
            bytes.extend_from_slice(frame.data);
        }
        let address = frame.data.as_ptr() as usize;
        let mut noting = Noting {
            layers: &mut *layers,
            headers: &mut *headers,
            ips: &mut *ips,
            bytes: &mut *bytes,
            keep,
            frame: address..address + frame.data.len(),
            at,
        };
        let outcome = walker.walk(frame.link, frame.data, frame.wire_len, &mut noting);
        let (wall, link, wire_len) = (frame.wall, frame.link, frame.wire_len);
        let (interface, direction) = (interface(&frame), frame.direction);
        // No frame exceeds MAX_PACKET.
        let captured_len = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
        // A frame has few headers: each takes some of its bytes.
        let counts = (
            (layers.len() - before.0) as u32,
            (headers.len() - before.1) as u32,
            (ips.len() - before.2) as u32,
        );
        packets.push(Packet {
            wall,
            link,
            interface,
            direction,
            wire_len,
            captured_len,
            outcome,
            counts,
            at,
        });
        if reader.is_drained() {
            *is_last_for_now = true;
            break;
        }
    }
    true
}

/// A cooked capture of all interfaces names each packet's (LINKTYPE_LINUX_SLL2).
#[inline]
fn interface(frame: &Frame<'_>) -> u32 {
    match frame.data.get(4..8).and_then(|b| b.first_chunk()) {
        Some(index) if frame.link == LinkType::LinuxSll2 => u32::from_be_bytes(*index),
        _ => frame.interface,
    }
}
