//! Just enough of the link, network and tunnel headers to reach a TCP header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tracenet_core::event::{Segment, TcpOptions};

/// A TCP header in a frame.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub seg: Segment,
    pub payload_len: u32,
    /// IPv4's identification.
    pub ip_id: Option<u32>,
    /// Quoted in an ICMP error.
    pub quoted: bool,
    /// The header's options were not captured to their end.
    pub cut: bool,
}

/// Levels of encapsulation that are looked through.
const MAX_DEPTH: u8 = 12;

fn be16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn be32(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

/// The outermost TCP header of a frame; `wire_len` is the frame's length before it was cut.
pub fn tcp(linktype: i32, data: &[u8], wire_len: u32) -> Option<Found> {
    let cut = wire_len.saturating_sub(data.len() as u32);
    let walk = Walk { cut, quoted: false, depth: 0, ip_id: None };
    match linktype {
        0 | 108 => {
            let family = data.first_chunk::<4>()?;
            let n = u32::from_le_bytes(*family);
            let n = if n > 0xffff { u32::from_be_bytes(*family) } else { n };
            walk.ethertype(if n == 2 { 0x0800 } else { 0x86dd }, data.get(4..)?)
        }
        1 => walk.ethertype(be16(data, 12)?, data.get(14..)?),
        9 => {
            let at = if data.first() == Some(&0xff) { 2 } else { 0 };
            walk.ppp(data.get(at..)?)
        }
        10 => walk.llc(data.get(13..)?),
        12 | 14 | 101 | 228 | 229 => walk.ip(data),
        105 => walk.wlan(data),
        113 => walk.ethertype(be16(data, 14)?, data.get(16..)?),
        127 => walk.wlan(data.get(usize::from(u16::from_le_bytes([*data.get(2)?, *data.get(3)?]))..)?),
        276 => walk.ethertype(be16(data, 0)?, data.get(20..)?),
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct Walk {
    /// Bytes of the frame that were not captured.
    cut: u32,
    quoted: bool,
    depth: u8,
    /// Of the innermost IP header so far.
    ip_id: Option<u32>,
}

impl Walk {
    fn deeper(mut self) -> Option<Self> {
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(self)
    }

    fn ethertype(self, t: u16, b: &[u8]) -> Option<Found> {
        let w = self.deeper()?;
        match t {
            0x0800 | 0x86dd => w.ip(b),
            0x8100 | 0x88a8 | 0x9100 => w.ethertype(be16(b, 2)?, b.get(4..)?),
            0x8847 | 0x8848 => {
                let bottom = b.get(2)? & 1 == 1;
                if bottom { w.ip(b.get(4..)?) } else { w.ethertype(t, b.get(4..)?) }
            }
            0x8864 => w.ppp(b.get(6..)?),
            0x6558 => w.ethertype(be16(b, 12)?, b.get(14..)?),
            // ERSPAN type II
            0x88be => w.ethertype(be16(b, 20)?, b.get(22..)?),
            0..=1500 => w.llc(b),
            _ => None,
        }
    }

    fn llc(self, b: &[u8]) -> Option<Found> {
        (b.get(..3)? == [0xaa, 0xaa, 3]).then(|| self.ethertype(be16(b, 6)?, b.get(8..)?))?
    }

    fn ppp(self, b: &[u8]) -> Option<Found> {
        match be16(b, 0)? {
            0x21 | 0x57 => self.ip(b.get(2..)?),
            _ => None,
        }
    }

    fn wlan(self, b: &[u8]) -> Option<Found> {
        let (fc, flags) = (*b.first()?, *b.get(1)?);
        if fc & 0x0c != 0x08 || flags & 0x40 != 0 {
            return None;
        }
        let addr4 = if flags & 3 == 3 { 6 } else { 0 };
        let qos = if fc & 0x80 != 0 { 2 } else { 0 };
        self.llc(b.get(24 + addr4 + qos..)?)
    }

    fn ip(self, b: &[u8]) -> Option<Found> {
        let w = self.deeper()?;
        match b.first()? >> 4 {
            4 => {
                let header = usize::from(b[0] & 15) * 4;
                let total = usize::from(be16(b, 2)?);
                if header < 20 || be16(b, 6)? & 0x1fff != 0 {
                    return None;
                }
                let src = Ipv4Addr::from_bits(be32(b, 12)?);
                let dst = Ipv4Addr::from_bits(be32(b, 16)?);
                let on_wire = b.len() + self.cut as usize;
                // Zero is what a segmentation offload leaves.
                let total = if total == 0 { on_wire } else { total.min(on_wire) };
                let w = Self { ip_id: be16(b, 4).map(u32::from), ..w };
                w.transport(*b.get(9)?, src.into(), dst.into(), b.get(header..)?, total.checked_sub(header)?)
            }
            6 => {
                let src = Ipv6Addr::from(*b.get(8..)?.first_chunk::<16>()?);
                let dst = Ipv6Addr::from(*b.get(24..)?.first_chunk::<16>()?);
                let mut next = *b.get(6)?;
                let mut rest = b.get(40..)?;
                let mut left = usize::from(be16(b, 4)?);
                if left == 0 {
                    left = rest.len() + self.cut as usize;
                }
                while matches!(next, 0 | 43 | 60 | 44) {
                    let len = if next == 44 { 8 } else { (usize::from(*rest.get(1)?) + 1) * 8 };
                    if next == 44 && be16(rest, 2)? & 0xfff8 != 0 {
                        return None;
                    }
                    next = *rest.first()?;
                    rest = rest.get(len..)?;
                    left = left.checked_sub(len)?;
                }
                let w = Self { ip_id: None, ..w };
                w.transport(next, src.into(), dst.into(), rest, left)
            }
            _ => None,
        }
    }

    fn transport(self, proto: u8, src: IpAddr, dst: IpAddr, b: &[u8], len: usize) -> Option<Found> {
        let w = self.deeper()?;
        match proto {
            6 => self.segment(src, dst, b, len),
            4 | 41 => w.ip(b),
            47 => {
                let flags = be16(b, 0)?;
                let at = 4 + [0x8000u16, 0x2000, 0x1000].iter().filter(|f| flags & **f != 0).count() * 4;
                // ERSPAN type I has no header of its own.
                match be16(b, 2)? {
                    0x88be if flags & 0x1000 == 0 => w.ethertype(0x6558, b.get(at..)?),
                    t => w.ethertype(t, b.get(at..)?),
                }
            }
            17 => {
                let (sport, dport) = (be16(b, 0)?, be16(b, 2)?);
                let data = b.get(8..)?;
                if sport == 3544 || dport == 3544 {
                    let at = if data.first_chunk::<2>()? == &[0, 0] { 8 } else { 0 };
                    w.ip(data.get(at..)?)
                } else if dport == 2152 {
                    let at = if data.first()? & 7 != 0 { 12 } else { 8 };
                    (data.get(1)? == &0xff).then(|| w.ip(data.get(at..)?))?
                } else if dport == 4789 {
                    w.ethertype(0x6558, data.get(8..)?)
                } else {
                    None
                }
            }
            1 if matches!(b.first()?, 3 | 4 | 5 | 11 | 12) => Self { quoted: true, ..w }.ip(b.get(8..)?),
            58 if matches!(b.first()?, 1..=4) => Self { quoted: true, ..w }.ip(b.get(8..)?),
            _ => None,
        }
    }

    fn segment(self, src: IpAddr, dst: IpAddr, b: &[u8], len: usize) -> Option<Found> {
        let seg = Segment {
            seq: be32(b, 4)?,
            ack: if b.len() < 12 && self.quoted { 0 } else { be32(b, 8)? },
            window: if self.quoted { 0 } else { be16(b, 14)? },
            flags: if self.quoted { b.get(13).copied().unwrap_or(0) } else { *b.get(13)? },
            options: TcpOptions::default(),
        };
        let header = usize::from(b.get(12).copied().unwrap_or(0x50) >> 4) * 4;
        if header < 20 && !self.quoted {
            return None;
        }
        let seg = Segment { options: options(b.get(20..header.min(b.len())).unwrap_or(&[])), ..seg };
        Some(Found {
            src: SocketAddr::new(src, be16(b, 0)?),
            dst: SocketAddr::new(dst, be16(b, 2)?),
            seg,
            payload_len: len.saturating_sub(header) as u32,
            ip_id: self.ip_id,
            quoted: self.quoted,
            cut: header > b.len(),
        })
    }
}

fn options(mut b: &[u8]) -> TcpOptions {
    let mut o = TcpOptions::default();
    while let Some(&kind) = b.first() {
        if kind == 0 {
            break;
        }
        if kind == 1 {
            b = &b[1..];
            continue;
        }
        let Some(len) = b.get(1).map(|n| usize::from(*n)).filter(|n| *n >= 2 && *n <= b.len()) else { break };
        let (body, rest) = (&b[2..len], &b[len..]);
        b = rest;
        match kind {
            2 => o.mss = be16(body, 0),
            3 => o.window_scale = body.first().copied(),
            4 => o.sack_permitted = true,
            5 => {
                for (i, edges) in body.chunks_exact(8).take(4).enumerate() {
                    if let (Some(left), Some(right)) = (be32(edges, 0), be32(edges, 4)) {
                        o.sack[i] = (left, right);
                        o.sack_count = i as u8 + 1;
                    }
                }
            }
            8 => o.timestamps = be32(body, 0).zip(be32(body, 4)),
            30 => o.mptcp = true,
            _ => {}
        }
    }
    o
}
