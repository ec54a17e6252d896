//! Every transport header of a frame, through tunnels, fragments and the headers that ICMP errors quote.
//!
//! [`super::decode_frame`] is for live captures, whose flows are those of sockets; this is for files, which hold
//! whatever passed by. It reports from the outside in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tracenet_core::event::Segment;

use super::checksum::{self, Checksum, Checksums};
use super::fragments::{Fragment, Fragments, Key};
use super::link::{self, LinkType, Network, be16, be32};
use super::{Undecoded, tcp};

/// Levels of encapsulation that are looked through.
const MAX_DEPTH: u8 = 12;

/// A TCP or UDP header in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Where it came from.
    pub source: SocketAddr,
    /// Where it went.
    pub destination: SocketAddr,
    /// TCP header; `None` for UDP.
    pub tcp: Option<Segment>,
    /// Bytes above the transport header by the IP length.
    pub payload_len: u32,
    /// Quoted in an ICMP error: the segment itself was seen elsewhere, or not at all.
    pub quoted: bool,
    /// The TCP header was not captured to its end.
    pub cut: bool,
    /// TCP checksum; [`Checksum::Unverified`] for UDP.
    pub checksum: Checksum,
    /// Checksums of the IPv4 headers, from the outside in.
    pub ip_checksums: Checksums,
}

/// Takes frames apart; keeps IP fragments until they are whole.
#[derive(Debug, Default)]
pub struct Layers {
    fragments: Fragments,
}

impl Layers {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells `found` of each transport header, and returns what stopped the way inwards if it was not told of any.
    ///
    /// # Errors
    /// [`Undecoded`] says what it is instead.
    #[inline]
    pub fn walk(
        &mut self,
        link: LinkType,
        captured: &[u8],
        wire_len: u32,
        mut found: impl FnMut(&Layer),
    ) -> Result<(), Undecoded> {
        let l2 = link::strip(link, captured)?;
        let missing = (wire_len as usize).saturating_sub(captured.len());
        let mut told = false;
        let mut walk = Walk {
            fragments: &mut self.fragments,
            found: |layer: &Layer| {
                told = true;
                found(layer);
            },
            depth: 0,
            quoted: false,
            ip_checksums: Checksums::default(),
        };
        let result = walk.network(l2.network, l2.rest, missing);
        if told { Ok(()) } else { result }
    }

    /// Datagrams whose fragments never came together, and which gave way to others.
    pub fn fragments_given_up(&self) -> u64 {
        self.fragments.given_up()
    }
}

struct Walk<'a, F> {
    fragments: &'a mut Fragments,
    found: F,
    depth: u8,
    quoted: bool,
    ip_checksums: Checksums,
}

/// Addresses and protocol of an IP packet.
#[derive(Clone, Copy)]
struct Ip {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
}

impl<F: FnMut(&Layer)> Walk<'_, F> {
    fn deeper(&mut self) -> Result<(), Undecoded> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Undecoded::Damaged) } else { Ok(()) }
    }

    /// `missing`: bytes of the packet after those of `b`, which were not captured.
    fn network(&mut self, network: Network, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        self.deeper()?;
        match network {
            Network::Ipv4 => self.ipv4(b, missing),
            Network::Ipv6 => self.ipv6(b, missing),
        }
    }

    fn ip(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let l2 = link::strip(LinkType::Raw, b)?;
        self.network(l2.network, l2.rest, missing)
    }

    fn ether_type(&mut self, kind: u16, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let l2 = link::by_ether_type(kind, b)?;
        self.network(l2.network, l2.rest, missing)
    }

    fn ethernet(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let l2 = link::strip(LinkType::Ethernet, b)?;
        self.network(l2.network, l2.rest, missing)
    }

    fn ipv4(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let Some(fixed) = b.first_chunk::<20>() else { return Err(Undecoded::Cut) };
        let header_len = usize::from(fixed[0] & 15) * 4;
        if fixed[0] >> 4 != 4 || header_len < fixed.len() {
            return Err(Undecoded::Damaged);
        }
        let header = b.get(..header_len).ok_or(Undecoded::Cut)?;
        let on_wire = b.len() + missing;
        // Zero is what segmentation offload leaves.
        let total = match usize::from(u16::from_be_bytes([fixed[2], fixed[3]])) {
            0 => on_wire,
            n if self.quoted => n,
            n => n.min(on_wire),
        };
        if total < header_len {
            return Err(Undecoded::Damaged);
        }
        self.ip_checksums.push(checksum::ipv4(header));
        let b = &b[header_len..b.len().min(total)];
        let ip = Ip {
            source: IpAddr::V4(Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15])),
            destination: IpAddr::V4(Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19])),
            protocol: fixed[9],
        };
        let len = total - header_len;
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
        if fragment & 0x3fff != 0 {
            let id = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
            return self.fragment(ip, id, usize::from(fragment & 0x1fff) * 8, fragment & 0x2000 != 0, b, len);
        }
        self.transport(ip, b, len)
    }

    fn ipv6(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let Some(fixed) = b.first_chunk::<40>() else { return Err(Undecoded::Cut) };
        if fixed[0] >> 4 != 6 {
            return Err(Undecoded::Damaged);
        }
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&fixed[at..at + 16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        let mut ip = Ip { source: address(8), destination: address(24), protocol: fixed[6] };
        let on_wire = b.len() - 40 + missing;
        let mut len = match usize::from(u16::from_be_bytes([fixed[4], fixed[5]])) {
            // A jumbogram, or what segmentation offload leaves.
            0 => on_wire,
            n if self.quoted => n,
            n => n.min(on_wire),
        };
        let mut rest = &b[40..b.len().min(40 + len)];
        // Hop-by-hop options, routing, fragment, destination options, mobility: each takes at least eight bytes.
        while matches!(ip.protocol, 0 | 43 | 44 | 60 | 135) {
            let Some(head) = rest.first_chunk::<8>() else { return Err(Undecoded::Cut) };
            let kind = ip.protocol;
            ip.protocol = head[0];
            let size = if kind == 44 { 8 } else { (usize::from(head[1]) + 1) * 8 };
            rest = rest.get(size..).ok_or(Undecoded::Cut)?;
            len = len.checked_sub(size).ok_or(Undecoded::Damaged)?;
            let fragment = u16::from_be_bytes([head[2], head[3]]);
            if kind == 44 && fragment & 0xfff9 != 0 {
                let id = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
                return self.fragment(ip, id, usize::from(fragment & 0xfff8), fragment & 1 != 0, rest, len);
            }
        }
        self.transport(ip, rest, len)
    }

    fn fragment(
        &mut self,
        ip: Ip,
        id: u32,
        offset: usize,
        more: bool,
        b: &[u8],
        len: usize,
    ) -> Result<(), Undecoded> {
        if self.quoted {
            return if offset == 0 { self.transport(ip, b, len) } else { Err(Undecoded::Fragment) };
        }
        if b.len() < len {
            // It can't be put together; its first part still tells whose it is.
            return if offset == 0 { self.unverified(ip, b, len) } else { Err(Undecoded::Fragment) };
        }
        let key = Key { source: ip.source, destination: ip.destination, id, protocol: ip.protocol };
        let Some(whole) = self.fragments.add(key, Fragment { offset, more, bytes: b }) else {
            return Err(Undecoded::Fragment);
        };
        self.transport(ip, &whole, whole.len())
    }

    /// A transport header whose checksum covers more than there is.
    fn unverified(&mut self, ip: Ip, b: &[u8], len: usize) -> Result<(), Undecoded> {
        self.transport(ip, b, len.max(b.len() + 1))
    }

    /// `len`: bytes by the IP header, of which `b` was captured.
    fn transport(&mut self, ip: Ip, b: &[u8], len: usize) -> Result<(), Undecoded> {
        let missing = len.saturating_sub(b.len());
        match ip.protocol {
            6 => self.tcp(ip, b, len),
            17 => self.udp(ip, b, len),
            4 | 41 => self.ip(b, missing),
            47 => self.gre(b, missing),
            // Authentication header (RFC 4302, section 2): its length counts words, less two.
            51 => {
                let Some(head) = b.first_chunk::<2>() else { return Err(Undecoded::Cut) };
                let size = (usize::from(head[1]) + 2) * 4;
                let rest = b.get(size..).ok_or(Undecoded::Cut)?;
                self.deeper()?;
                let len = len.checked_sub(size).ok_or(Undecoded::Damaged)?;
                self.transport(Ip { protocol: head[0], ..ip }, rest, len)
            }
            // Errors quote the packet that they are about (RFC 792, RFC 4443).
            1 if matches!(b.first(), Some(3 | 4 | 5 | 11 | 12)) => self.quote(b, missing),
            58 if matches!(b.first(), Some(1..=4)) => self.quote(b, missing),
            other => Err(Undecoded::Protocol(other)),
        }
    }

    fn quote(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        self.quoted = true;
        self.ip(b.get(8..).ok_or(Undecoded::Cut)?, missing)
    }

    fn tcp(&mut self, ip: Ip, b: &[u8], len: usize) -> Result<(), Undecoded> {
        let (ports, segment, header_len) = if self.quoted { quoted_tcp(b)? } else { tcp::header(b)? };
        let checksum = if self.quoted || b.len() < len {
            Checksum::Unverified
        } else {
            checksum::tcp(ip.source, ip.destination, b)
        };
        (self.found)(&Layer {
            source: SocketAddr::new(ip.source, ports.0),
            destination: SocketAddr::new(ip.destination, ports.1),
            tcp: Some(segment),
            payload_len: u32::try_from(len.saturating_sub(header_len)).unwrap_or(u32::MAX),
            quoted: self.quoted,
            cut: header_len > b.len(),
            checksum,
            ip_checksums: self.ip_checksums,
        });
        Ok(())
    }

    fn udp(&mut self, ip: Ip, b: &[u8], len: usize) -> Result<(), Undecoded> {
        let (source, destination) = tcp::ports(b)?;
        (self.found)(&Layer {
            source: SocketAddr::new(ip.source, source),
            destination: SocketAddr::new(ip.destination, destination),
            tcp: None,
            payload_len: u32::try_from(len.saturating_sub(super::UDP_HEADER)).unwrap_or(u32::MAX),
            quoted: self.quoted,
            cut: false,
            checksum: Checksum::Unverified,
            ip_checksums: self.ip_checksums,
        });
        let Some(data) = b.get(super::UDP_HEADER..) else { return Ok(()) };
        let missing = len.saturating_sub(b.len());
        // What is inside is a guess by the port: where it leads nowhere the datagram stands for itself.
        let _ = match (source, destination) {
            (_, VXLAN) => self.tunnel(data, 8, missing, Self::ethernet),
            (_, GENEVE) => self.geneve(data, missing),
            (_, GTP_U) => self.gtp(data, missing),
            (TEREDO, _) | (_, TEREDO) => {
                // An indication of the origin may come first (RFC 4380, section 5.1.1).
                let at = if data.starts_with(&[0, 0]) { 8 } else { 0 };
                self.tunnel(data, at, missing, Self::ip)
            }
            _ => Ok(()),
        };
        Ok(())
    }

    fn tunnel(
        &mut self,
        data: &[u8],
        header: usize,
        missing: usize,
        inner: fn(&mut Self, &[u8], usize) -> Result<(), Undecoded>,
    ) -> Result<(), Undecoded> {
        inner(self, data.get(header..).ok_or(Undecoded::Cut)?, missing)
    }

    /// RFC 8926, section 3.4.
    fn geneve(&mut self, data: &[u8], missing: usize) -> Result<(), Undecoded> {
        let header = 8 + usize::from(data.first().ok_or(Undecoded::Cut)? & 0x3f) * 4;
        let kind = be16(data, 2)?;
        let inner = data.get(header..).ok_or(Undecoded::Cut)?;
        if kind == TRANSPARENT_ETHERNET {
            self.ethernet(inner, missing)
        } else {
            self.ether_type(kind, inner, missing)
        }
    }

    /// GTP, version 1 (3GPP TS 29.281, section 5.1): only packets of users.
    fn gtp(&mut self, data: &[u8], missing: usize) -> Result<(), Undecoded> {
        let Some(head) = data.first_chunk::<2>() else { return Err(Undecoded::Cut) };
        if head[1] != 0xff {
            return Err(Undecoded::Protocol(17));
        }
        let header = if head[0] & 7 == 0 { 8 } else { 12 };
        self.tunnel(data, header, missing, Self::ip)
    }

    /// RFC 2784, 2890 and, for version 1, 2637.
    fn gre(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let (flags, kind) = (be16(b, 0)?, be16(b, 2)?);
        if flags & GRE_ROUTING != 0 {
            return Err(Undecoded::Protocol(47));
        }
        let has = |bit: u16| flags & bit != 0;
        let acknowledged = flags & 7 == 1 && has(0x0080);
        let words = [has(GRE_CHECKSUM), has(GRE_KEY), has(GRE_SEQUENCE), acknowledged];
        let at = 4 + words.into_iter().filter(|w| *w).count() * 4;
        let rest = b.get(at..).ok_or(Undecoded::Cut)?;
        match kind {
            TRANSPARENT_ETHERNET => self.ethernet(rest, missing),
            // Type I has neither a sequence number nor a header of its own.
            ERSPAN if !has(GRE_SEQUENCE) => self.ethernet(rest, missing),
            ERSPAN => self.tunnel(rest, 8, missing, Self::ethernet),
            ERSPAN_3 => {
                // The last bit says that a subheader follows.
                let header = if be32(rest, 8)? & 1 == 1 { 20 } else { 12 };
                self.tunnel(rest, header, missing, Self::ethernet)
            }
            PPP => {
                let l2 = link::strip(LinkType::Ppp, rest)?;
                self.network(l2.network, l2.rest, missing)
            }
            other => self.ether_type(other, rest, missing),
        }
    }
}

/// RFC 7348.
const VXLAN: u16 = 4789;
const GENEVE: u16 = 6081;
const GTP_U: u16 = 2152;
/// RFC 4380.
const TEREDO: u16 = 3544;

const GRE_CHECKSUM: u16 = 0x8000;
const GRE_ROUTING: u16 = 0x4000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const ERSPAN: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;
const PPP: u16 = 0x880b;

/// An ICMP error quotes eight bytes at least (RFC 792): ports and sequence number.
fn quoted_tcp(b: &[u8]) -> Result<((u16, u16), Segment, usize), Undecoded> {
    if let Ok(whole) = tcp::header(b) {
        return Ok(whole);
    }
    let segment = Segment {
        seq: be32(b, 4)?,
        ack: be32(b, 8).unwrap_or(0),
        window: 0,
        flags: b.get(13).copied().unwrap_or(0),
        options: Default::default(),
    };
    Ok((tcp::ports(b)?, segment, 20))
}

#[cfg(test)]
mod tests;
