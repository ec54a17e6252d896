//! Counts over a whole capture.

use tracenet_collectors::decode::{Checksum, Layer, Undecoded};
use tracenet_core::event::{Segment, tcp_flags};
use tracenet_core::tcp::{Analysis, Verdicts};
use tracenet_core::time::WallNs;

use super::{Seen, Word};

/// Sums of a capture. The kinds of frames add up to `frames`.
#[derive(Debug, Default)]
pub struct Tally {
    pub frames: u64,
    /// On the wire.
    pub bytes: u64,
    pub captured_bytes: u64,
    /// Frames of which less was captured than was on the wire.
    pub cut: u64,
    pub earliest: WallNs,
    pub latest: WallNs,
    pub tcp: u64,
    pub udp: u64,
    pub icmp: u64,
    pub other_ip: u64,
    pub not_ip: u64,
    /// Fragments other than the one that completed its datagram.
    pub fragments: u64,
    pub unknown_link: u64,
    pub damaged: u64,
    /// Segments: TCP headers that no ICMP error quotes.
    pub segments: u64,
    pub payload_bytes: u64,
    pub syn: u64,
    pub syn_ack: u64,
    pub fin: u64,
    pub rst: u64,
    verdicts: [u64; Verdicts::ALL.len()],
    pub checksums: Checks,
    pub ip_checksums: Checks,
}

/// Counts by [`Checksum`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Checks {
    pub good: u64,
    pub bad: u64,
    pub offloaded: u64,
    pub unverified: u64,
}

impl Checks {
    fn add(&mut self, c: Checksum) {
        *match c {
            Checksum::Good => &mut self.good,
            Checksum::Bad => &mut self.bad,
            Checksum::Offloaded => &mut self.offloaded,
            Checksum::Unverified => &mut self.unverified,
        } += 1;
    }
}

impl Tally {
    /// Takes a packet.
    #[inline]
    pub fn packet(&mut self, seen: &Seen<'_>) {
        let packet = seen.dissected.packet;
        if self.frames == 0 {
            self.earliest = packet.wall;
        }
        self.frames += 1;
        self.bytes += u64::from(packet.wire_len);
        self.captured_bytes += u64::from(packet.captured_len);
        self.cut += u64::from(packet.captured_len < packet.wire_len);
        self.earliest = self.earliest.min(packet.wall);
        self.latest = self.latest.max(packet.wall);
        let mut is_tcp = false;
        for (layer, word) in seen.layers() {
            is_tcp |= layer.tcp.is_some();
            if let (Some(segment), Word::Segment(said)) = (&layer.tcp, word) {
                self.segment(segment, layer, &said.analysis);
            }
        }
        *match packet.outcome {
            Ok(()) if is_tcp => &mut self.tcp,
            Ok(()) => &mut self.udp,
            Err(Undecoded::Protocol(1 | 58)) => &mut self.icmp,
            Err(Undecoded::Protocol(_)) => &mut self.other_ip,
            Err(Undecoded::NotIp(_)) => &mut self.not_ip,
            Err(Undecoded::Fragment) => &mut self.fragments,
            Err(Undecoded::Link) => &mut self.unknown_link,
            Err(Undecoded::Cut | Undecoded::Damaged) => &mut self.damaged,
        } += 1;
    }

    fn segment(&mut self, segment: &Segment, layer: &Layer, analysis: &Analysis) {
        self.segments += 1;
        self.payload_bytes += u64::from(layer.payload_len);
        let has = |flag: u8| segment.flags & flag != 0;
        if has(tcp_flags::SYN) {
            *(if has(tcp_flags::ACK) { &mut self.syn_ack } else { &mut self.syn }) += 1;
        }
        self.fin += u64::from(has(tcp_flags::FIN));
        self.rst += u64::from(has(tcp_flags::RST));
        self.checksums.add(layer.checksum);
        for c in layer.ip_checksums.iter() {
            self.ip_checksums.add(c);
        }
        if !analysis.verdicts.is_empty() {
            for (count, (verdict, _)) in self.verdicts.iter_mut().zip(Verdicts::ALL) {
                *count += u64::from(analysis.verdicts.contains(*verdict));
            }
        }
    }

    /// Every verdict with its name and how many segments have it.
    pub fn verdicts(&self) -> impl Iterator<Item = (Verdicts, &'static str, u64)> {
        Verdicts::ALL.iter().zip(self.verdicts).map(|((v, name), n)| (*v, *name, n))
    }

    /// Time from the earliest frame to the latest, in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.latest.0.saturating_sub(self.earliest.0)
    }
}
