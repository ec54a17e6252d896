//! Every transport header of a frame, through tunnels, fragments and the headers that ICMP errors quote.
//!
//! [`super::decode_frame`] is for live captures, whose flows are those of sockets; this is for files, which hold
//! whatever passed by. It reports from the outside in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tracenet_core::event::Segment;
use tracenet_core::ip::{IpFacts, IpOptions};

use super::checksum::{self, Checksum, Checksums};
use super::fragments::{Fragment, Fragments, Key};
use super::ip_options::{ipv4_options, ipv6_options};
use super::link::{self, LinkType, Network, be16, be32};
use super::protocol::tell;
use super::{IpPacket, Protocol, Undecoded, Visit, tcp};

mod plain;

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
    /// TCP options as they stand in the header.
    pub options: RawOptions,
    /// The IP header around it; of a datagram that came in fragments that of the last to come.
    pub ip: IpFacts,
    /// Bytes above the transport header by the IP length.
    pub payload_len: u32,
    /// Quoted in an ICMP error: the segment itself was seen elsewhere, or not at all.
    pub quoted: bool,
    /// The header was not captured to its end.
    pub cut: bool,
    /// TCP checksum; [`Checksum::Unverified`] for UDP.
    pub checksum: Checksum,
    /// Checksums of the IPv4 headers, from the outside in.
    pub ip_checksums: Checksums,
}

/// The bytes of a TCP header's options, as far as they were captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawOptions {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl RawOptions {
    /// A header has 60 bytes at most (RFC 9293, section 3.1).
    pub const MAX: usize = 40;

    #[inline]
    fn of(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        let len = bytes.len().min(Self::MAX);
        options.len = len as u8;
        // A header counts in words of four bytes; only a cut one has less than whole ones.
        let (places, _) = options.bytes.as_chunks_mut::<4>();
        let (words, rest) = bytes[..len].as_chunks::<4>();
        for (place, word) in places.iter_mut().zip(words) {
            *place = *word;
        }
        options.bytes[len - rest.len()..len].copy_from_slice(rest);
        options
    }

    /// What was captured of them.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Default for RawOptions {
    fn default() -> Self {
        Self { bytes: [0; Self::MAX], len: 0 }
    }
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

    /// Tells `visit` of each header, and returns what stopped the way inwards if it was not told of any transport
    /// header.
    ///
    /// # Errors
    /// [`Undecoded`] says what it is instead.
    #[inline]
    pub fn walk(
        &mut self,
        link: LinkType,
        captured: &[u8],
        wire_len: u32,
        visit: &mut impl Visit,
    ) -> Result<(), Undecoded> {
        if link == LinkType::Ethernet && plain::walk(captured, visit) {
            return Ok(());
        }
        self.long(link, captured, wire_len, visit)
    }

    /// The way that leads everywhere.
    fn long(
        &mut self,
        link: LinkType,
        captured: &[u8],
        wire_len: u32,
        visit: &mut impl Visit,
    ) -> Result<(), Undecoded> {
        let missing = (wire_len as usize).saturating_sub(captured.len());
        let l2 = match link::strip(link, captured, visit) {
            Ok(l2) => l2,
            Err(e) => {
                ended(e, missing, visit);
                return Err(e);
            }
        };
        let mut walk = Walk {
            fragments: &mut self.fragments,
            visit,
            told: false,
            depth: 0,
            quoted: false,
            ip_checksums: Checksums::default(),
        };
        let result = walk.network(l2.network, l2.rest, missing);
        let told = walk.told;
        if let Err(e) = result {
            ended(e, missing, visit);
        }
        if told { Ok(()) } else { result }
    }

    /// Datagrams whose fragments never came together, and which gave way to others.
    pub fn fragments_given_up(&self) -> u64 {
        self.fragments.given_up()
    }
}

/// Tells of a header that is not there to its end: `missing` bytes of the frame were not captured.
fn ended(why: Undecoded, missing: usize, visit: &mut impl Visit) {
    if why == Undecoded::Cut {
        visit.header(if missing > 0 { Protocol::Short } else { Protocol::Malformed }, &[]);
    }
}

struct Walk<'a, V> {
    fragments: &'a mut Fragments,
    visit: &'a mut V,
    /// Of a transport header.
    told: bool,
    depth: u8,
    quoted: bool,
    ip_checksums: Checksums,
}

impl<V: Visit> Walk<'_, V> {
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
            Network::Ethernet => self.ethernet(b, missing),
        }
    }

    fn ip(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let l2 = link::by_version(b)?;
        self.network(l2.network, l2.rest, missing)
    }

    fn ether_type(&mut self, kind: u16, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let l2 = link::by_ether_type(kind, b, self.visit)?;
        self.network(l2.network, l2.rest, missing)
    }

    fn ethernet(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        if b.is_empty() && missing == 0 {
            return Err(Undecoded::NotIp(0));
        }
        let l2 = link::strip(LinkType::Ethernet, b, self.visit)?;
        self.network(l2.network, l2.rest, missing)
    }

    fn ipv4(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let Some(fixed) = b.first_chunk::<20>() else {
            tell(self.visit, Protocol::Ipv4, b)?;
            return Err(Undecoded::Cut);
        };
        let header_len = usize::from(fixed[0] & 15) * 4;
        let on_wire = b.len() + missing;
        // Zero is what segmentation offload leaves.
        let told = match usize::from(u16::from_be_bytes([fixed[2], fixed[3]])) {
            0 => on_wire,
            n => n,
        };
        let total = if self.quoted { told } else { told.min(on_wire) };
        self.visit.header(Protocol::Ipv4, &b[..b.len().min(total)]);
        if fixed[0] >> 4 == 6 {
            return self.network(Network::Ipv6, b, missing);
        }
        if fixed[0] >> 4 != 4 || header_len < fixed.len() || told < header_len {
            return Err(Undecoded::Damaged);
        }
        let header = b.get(..header_len).ok_or(Undecoded::Cut)?;
        if total < header_len {
            return Err(Undecoded::Damaged);
        }
        self.ip_checksums.push(checksum::ipv4(header));
        let b = &b[header_len..b.len().min(total)];
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
        let id = u16::from_be_bytes([fixed[4], fixed[5]]);
        let ip = IpPacket {
            source: IpAddr::V4(Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15])),
            destination: IpAddr::V4(Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19])),
            facts: IpFacts {
                version: 4,
                ttl: fixed[8],
                tos: fixed[1],
                protocol: fixed[9],
                flags: fixed[6] >> 5,
                id: Some(u32::from(id)),
                fragment_offset: (fragment & 0x1fff) * 8,
                header_len: header_len as u16,
                total_len: u32::try_from(total).unwrap_or(u32::MAX),
                options: if header_len > fixed.len() {
                    ipv4_options(&header[fixed.len()..])
                } else {
                    IpOptions::default()
                },
            },
            quoted: self.quoted,
        };
        self.visit.ip(&ip);
        let len = total - header_len;
        if fragment & 0x3fff != 0 {
            return self.fragment(ip, b, len, told - header_len);
        }
        if len == 0 {
            return Err(Undecoded::Protocol(ip.facts.protocol));
        }
        self.transport(ip, b, len)
    }

    fn ipv6(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        let Some(fixed) = b.first_chunk::<40>() else {
            tell(self.visit, Protocol::Ipv6, b)?;
            return Err(Undecoded::Cut);
        };
        if fixed[0] >> 4 != 6 {
            self.visit.header(Protocol::Ipv6, b);
            link::data(b, self.visit);
            return Err(Undecoded::Damaged);
        }
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&fixed[at..at + 16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        let word = be32(fixed, 0)?;
        let mut ip = IpPacket {
            source: address(8),
            destination: address(24),
            facts: IpFacts {
                version: 6,
                ttl: fixed[7],
                tos: (word >> 20) as u8,
                protocol: fixed[6],
                ..IpFacts::default()
            },
            quoted: self.quoted,
        };
        let on_wire = b.len() - 40 + missing;
        let told = match usize::from(u16::from_be_bytes([fixed[4], fixed[5]])) {
            // A jumbogram, or what segmentation offload leaves.
            0 => on_wire,
            n => n,
        };
        let mut len = if self.quoted { told } else { told.min(on_wire) };
        let beyond = told - len;
        let whole = &b[..b.len().min(40 + len)];
        self.visit.header(Protocol::Ipv6, whole);
        ip.facts.total_len = u32::try_from(40 + len).unwrap_or(u32::MAX);
        let mut rest = &whole[40..];
        let mut is_fragment = false;
        // Hop-by-hop options, routing, fragment, destination options, mobility: each takes at least eight bytes.
        while matches!(ip.facts.protocol, 0 | 43 | 44 | 60 | 135) {
            let Some(head) = rest.first_chunk::<8>() else { return Err(Undecoded::Cut) };
            let kind = ip.facts.protocol;
            ip.facts.protocol = head[0];
            let size = if kind == 44 { 8 } else { (usize::from(head[1]) + 1) * 8 };
            let extension = rest.get(..size).ok_or(Undecoded::Cut)?;
            rest = &rest[size..];
            len = len.checked_sub(size).ok_or(Undecoded::Damaged)?;
            match kind {
                0 | 60 => ipv6_options(kind, &extension[2..], &mut ip.facts.options),
                44 => {
                    let fragment = u16::from_be_bytes([head[2], head[3]]);
                    ip.facts.id = Some(u32::from_be_bytes([head[4], head[5], head[6], head[7]]));
                    ip.facts.fragment_offset = fragment & 0xfff8;
                    ip.facts.flags = (fragment & 1) as u8;
                    is_fragment = fragment & 0xfff9 != 0;
                }
                _ => {}
            }
            if is_fragment {
                break;
            }
        }
        ip.facts.header_len = u16::try_from(whole.len() - rest.len()).unwrap_or(u16::MAX);
        self.visit.ip(&ip);
        if is_fragment { self.fragment(ip, rest, len, len + beyond) } else { self.transport(ip, rest, len) }
    }

    /// `told`: its length by the IP header, which may be more than the frame has room for.
    fn fragment(&mut self, ip: IpPacket, b: &[u8], len: usize, told: usize) -> Result<(), Undecoded> {
        let offset = usize::from(ip.facts.fragment_offset);
        let more = ip.facts.flags & 1 != 0;
        // It may not be put together; its first part still tells whose it is.
        if offset == 0 && self.quoted {
            return self.transport(ip, b, len);
        }
        if offset == 0 && b.len() < told && ip.facts.version == 4 {
            return self.unverified(ip, b, len);
        }
        if self.quoted || b.len() < told {
            link::data(b, self.visit);
            return Err(Undecoded::Fragment);
        }
        let key = Key {
            source: ip.source,
            destination: ip.destination,
            id: ip.facts.id.unwrap_or_default(),
            protocol: ip.facts.protocol,
        };
        let Some(whole) = self.fragments.add(key, Fragment { offset, more, bytes: b }) else {
            link::data(b, self.visit);
            return Err(Undecoded::Fragment);
        };
        self.transport(ip, &whole, whole.len())
    }

    /// A transport header whose checksum covers more than there is.
    fn unverified(&mut self, ip: IpPacket, b: &[u8], len: usize) -> Result<(), Undecoded> {
        self.transport(ip, b, len.max(b.len() + 1))
    }

    /// `len`: bytes by the IP header, of which `b` was captured.
    fn transport(&mut self, ip: IpPacket, b: &[u8], len: usize) -> Result<(), Undecoded> {
        let missing = len.saturating_sub(b.len());
        // To Wireshark AH is one of the extension headers in IPv6.
        if let Some(protocol) = Protocol::of_ip(ip.facts.protocol)
            && (protocol != Protocol::Ah || ip.facts.version == 4)
        {
            tell(self.visit, protocol, b)?;
        }
        match ip.facts.protocol {
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
                let facts = IpFacts { protocol: head[0], ..ip.facts };
                self.transport(IpPacket { facts, ..ip }, rest, len)
            }
            // Errors quote the packet that they are about (RFC 792, RFC 4443).
            1 if matches!(b.first(), Some(3 | 4 | 5 | 11 | 12)) => self.quote(b, missing),
            58 if matches!(b.first(), Some(1..=4)) => self.quote(b, missing),
            ETHER_IP => {
                self.deeper()?;
                self.tunnel(b, 2, missing, Self::ethernet)
            }
            other => {
                match Protocol::of_ip(other) {
                    None => link::data(b, self.visit),
                    Some(protocol) if b.len() < protocol.fixed(b) => return Err(Undecoded::Cut),
                    Some(_) => {}
                }
                Err(Undecoded::Protocol(other))
            }
        }
    }

    fn quote(&mut self, b: &[u8], missing: usize) -> Result<(), Undecoded> {
        self.quoted = true;
        self.ip(b.get(8..).ok_or(Undecoded::Cut)?, missing)
    }

    fn tcp(&mut self, ip: IpPacket, b: &[u8], len: usize) -> Result<(), Undecoded> {
        let (ports, segment, header_len) = if self.quoted { quoted_tcp(b)? } else { tcp::header(b)? };
        let checksum = if self.quoted || b.len() < len {
            Checksum::Unverified
        } else {
            checksum::tcp(ip.source, ip.destination, b)
        };
        self.told = true;
        self.visit.transport(&Layer {
            source: SocketAddr::new(ip.source, ports.0),
            destination: SocketAddr::new(ip.destination, ports.1),
            tcp: Some(segment),
            options: RawOptions::of(b.get(tcp::FIXED..header_len.min(b.len())).unwrap_or_default()),
            ip: ip.facts,
            payload_len: u32::try_from(len.saturating_sub(header_len)).unwrap_or(u32::MAX),
            quoted: self.quoted,
            cut: header_len > b.len(),
            checksum,
            ip_checksums: self.ip_checksums,
        });
        if b.len() < header_len && !self.quoted {
            ended(Undecoded::Cut, len.saturating_sub(b.len()), self.visit);
        }
        Ok(())
    }

    fn udp(&mut self, ip: IpPacket, b: &[u8], len: usize) -> Result<(), Undecoded> {
        let (source, destination) = tcp::ports(b)?;
        self.told = true;
        self.visit.transport(&Layer {
            source: SocketAddr::new(ip.source, source),
            destination: SocketAddr::new(ip.destination, destination),
            tcp: None,
            options: RawOptions::default(),
            ip: ip.facts,
            payload_len: u32::try_from(len.saturating_sub(super::UDP_HEADER)).unwrap_or(u32::MAX),
            quoted: self.quoted,
            cut: b.len() < super::UDP_HEADER,
            checksum: Checksum::Unverified,
            ip_checksums: self.ip_checksums,
        });
        let missing = len.saturating_sub(b.len());
        let Some(data) = b.get(super::UDP_HEADER..) else {
            if !self.quoted {
                ended(Undecoded::Cut, missing, self.visit);
            }
            return Ok(());
        };
        // What is inside is a guess by the port: where it leads nowhere the datagram stands for itself.
        let inner = match (source, destination) {
            (VXLAN, _) | (_, VXLAN) => {
                self.visit.header(Protocol::Vxlan, data);
                self.tunnel(data, 8, missing, Self::ethernet)
            }
            (VXLAN_GPE, _) | (_, VXLAN_GPE) => {
                self.visit.header(Protocol::Vxlan, data);
                match data.get(3) {
                    Some(1 | 2) => self.tunnel(data, 8, missing, Self::ip),
                    Some(3) => self.tunnel(data, 8, missing, Self::ethernet),
                    _ => Ok(()),
                }
            }
            (GENEVE, _) | (_, GENEVE) => self.geneve(data, missing),
            (GTP_U, _) | (_, GTP_U) => self.gtp(data, missing),
            (GRE_IN_UDP, _) | (_, GRE_IN_UDP) => {
                tell(self.visit, Protocol::Gre, data).and_then(|()| self.gre(data, missing))
            }
            (MPLS_IN_UDP, _) | (_, MPLS_IN_UDP) => self.ether_type(MPLS, data, missing),
            (LISP_DATA, _) | (_, LISP_DATA) => {
                self.visit.header(Protocol::LispData, data);
                self.tunnel(data, 8, missing, Self::ip)
            }
            (L2TP, _) | (_, L2TP) => self.l2tp(data, missing),
            (UDP_ENCAPSULATION, _) | (_, UDP_ENCAPSULATION) => {
                self.visit.header(Protocol::UdpEncap, data);
                match *data {
                    // A keep-alive of one byte; what is no ESP begins with zero (RFC 3948, section 2).
                    [0xff] => {}
                    [0, 0, 0, 0, ..] => self.visit.header(Protocol::Isakmp, &data[4..]),
                    _ => self.visit.header(Protocol::Esp, data),
                }
                Ok(())
            }
            (TEREDO, _) | (_, TEREDO) => tell(self.visit, Protocol::Teredo, data)
                .and_then(|()| self.tunnel(data, teredo(data)?, missing, Self::ip)),
            _ => Ok(()),
        };
        if let Err(e) = inner {
            ended(e, missing, self.visit);
        }
        Ok(())
    }

    /// Version 2 (RFC 2661, section 3.1), data messages: PPP.
    fn l2tp(&mut self, data: &[u8], missing: usize) -> Result<(), Undecoded> {
        self.visit.header(Protocol::L2tp, data);
        let flags = be16(data, 0)?;
        if flags & 0x8000 != 0 || flags & 0xf != 2 {
            return Ok(());
        }
        let mut at = 6;
        for (bit, size) in [(0x4000, 2), (0x0800, 4)] {
            if flags & bit != 0 {
                at += size;
            }
        }
        if flags & 0x0200 != 0 {
            at += 2 + usize::from(be16(data, at)?);
        }
        let rest = data.get(at..).ok_or(Undecoded::Cut)?;
        self.visit.header(Protocol::Ppp, rest);
        let l2 = link::ppp(rest, self.visit)?;
        self.network(l2.network, l2.rest, missing)
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
        self.visit.header(Protocol::Geneve, data);
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
        tell(self.visit, Protocol::Gtp, data)?;
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
            ERSPAN | ERSPAN_3 => self.visit.header(Protocol::Erspan, rest),
            PPP => self.visit.header(Protocol::Ppp, rest),
            _ => {}
        }
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
                let l2 = link::ppp(rest, self.visit)?;
                self.network(l2.network, l2.rest, missing)
            }
            CDP => Err(self.last(Protocol::Cdp, rest)),
            NHRP => Err(self.last(Protocol::Nhrp, rest)),
            // A redirection header comes first (RFC 3040's WCCP, version 2).
            WCCP => self.tunnel(rest, 4, missing, Self::ip),
            0x0800 | 0x86dd | 0x0806 | MPLS | 0x8848 => self.ether_type(kind, rest, missing),
            _ => Err(Undecoded::Protocol(47)),
        }
    }

    /// Tells of a header within GRE that leads no further.
    fn last(&mut self, protocol: Protocol, b: &[u8]) -> Undecoded {
        self.visit.header(protocol, b);
        Undecoded::Protocol(47)
    }
}

/// RFC 3378.
const ETHER_IP: u8 = 97;
/// Where the IPv6 packet begins: an authentication and the indication of an origin may come first (RFC 4380, section
/// 5.1.1).
fn teredo(data: &[u8]) -> Result<usize, Undecoded> {
    let mut at = 0;
    if data.starts_with(&[0, 1]) {
        let head = data.first_chunk::<4>().ok_or(Undecoded::Cut)?;
        at = 13 + usize::from(head[2]) + usize::from(head[3]);
    }
    if data.get(at..).is_some_and(|rest| rest.starts_with(&[0, 0])) {
        at += 8;
    }
    Ok(at)
}

/// RFC 7348.
const VXLAN: u16 = 4789;
/// draft-ietf-nvo3-vxlan-gpe.
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;
/// RFC 8086.
const GRE_IN_UDP: u16 = 4754;
/// RFC 7510.
const MPLS_IN_UDP: u16 = 6635;
/// RFC 9300.
const LISP_DATA: u16 = 4341;
const GTP_U: u16 = 2152;
/// RFC 2661.
const L2TP: u16 = 1701;
/// RFC 3948.
const UDP_ENCAPSULATION: u16 = 4500;
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
const CDP: u16 = 0x2000;
const NHRP: u16 = 0x2001;
const WCCP: u16 = 0x883e;
const MPLS: u16 = 0x8847;

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
