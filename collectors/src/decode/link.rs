use tracenet_core::key::Direction;

use super::protocol::{tell, tell_last};
use super::{Protocol, Undecoded, Visit};

/// Link types by their LINKTYPE_ names (the numbers of capture files).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback: address family in the byte order of the capturing host.
    Null,
    /// Ethernet, with any number of VLAN tags.
    Ethernet,
    /// PPP, with or without HDLC-like framing (RFC 1662).
    Ppp,
    /// An IPv4 or IPv6 packet, told by its version.
    Raw,
    /// FDDI, with LLC and SNAP.
    Fddi,
    /// IEEE 802.11.
    Wlan,
    /// IEEE 802.11 after a radiotap header.
    Radiotap,
    /// OpenBSD loopback: address family in network byte order.
    Loop,
    /// Linux cooked capture.
    LinuxSll,
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// Linux cooked capture, version 2: tells the interface of each packet.
    LinuxSll2,
    /// One that tracenet doesn't decode.
    Other(u16),
}

impl LinkType {
    /// From the number in a capture file.
    pub fn from_number(n: u16) -> Self {
        match n {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            10 => Self::Fddi,
            105 => Self::Wlan,
            127 => Self::Radiotap,
            // 12 and 14 are raw IP on some systems, and such files are about.
            12 | 14 | 101 => Self::Raw,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }

    /// From libpcap's DLT_ number of a live handle. On Linux the two differ for raw IP (12) only.
    pub fn from_dlt(dlt: i32) -> Self {
        u16::try_from(dlt).map_or(Self::Other(u16::MAX), Self::from_number)
    }

    /// The number for a capture file.
    pub fn number(self) -> u16 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Ppp => 9,
            Self::Fddi => 10,
            Self::Wlan => 105,
            Self::Radiotap => 127,
            Self::Raw => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::Ipv4 => 228,
            Self::Ipv6 => 229,
            Self::LinuxSll2 => 276,
            Self::Other(n) => n,
        }
    }

    /// True where [`super::decode_frame`] can read it.
    pub fn is_known(self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
    /// A frame again.
    Ethernet,
}

#[derive(Debug)]
pub(super) struct Stripped<'a> {
    pub network: Network,
    pub rest: &'a [u8],
    pub ifindex: Option<u32>,
    pub direction: Option<Direction>,
}

/// Removes the link header.
#[inline]
pub(super) fn strip<'a>(
    link: LinkType,
    b: &'a [u8],
    visit: &mut impl Visit,
) -> Result<Stripped<'a>, Undecoded> {
    if let Some(protocol) = Protocol::of_link(link) {
        if link == LinkType::LinuxSll2 {
            // Up to the addresses.
            from(b, 12)?;
        }
        tell(visit, protocol, b)?;
    }
    match link {
        LinkType::Ethernet => by_ether_type(be16(b, 12)?, from(b, 14)?, visit),
        LinkType::LinuxSll => {
            let direction = sll_direction(be16(b, 0)?);
            let mut s = by_ether_type(be16(b, 14)?, from(b, 16)?, visit)?;
            s.direction = direction;
            Ok(s)
        }
        LinkType::LinuxSll2 => {
            let ifindex = be32(b, 4)?;
            let direction = sll_direction(u16::from(*b.get(10).ok_or(Undecoded::Cut)?));
            let mut s = by_ether_type(be16(b, 0)?, from(b, 20)?, visit)?;
            s.ifindex = Some(ifindex);
            s.direction = direction;
            Ok(s)
        }
        LinkType::Null => {
            let family = be32(b, 0)?;
            // Written in the capturing host's order, which nobody noted down: families are small numbers.
            by_family(if family > 0xffff { family.swap_bytes() } else { family }, from(b, 4)?, visit)
        }
        LinkType::Fddi => llc(from(b, 13)?, visit),
        LinkType::Wlan => wlan(b, visit),
        LinkType::Radiotap => {
            let len = be16(b, 2)?.swap_bytes();
            let b = from(b, usize::from(len))?;
            visit.header(Protocol::WlanRadio, b);
            tell(visit, Protocol::Wlan, b)?;
            wlan(b, visit)
        }
        LinkType::Loop => by_family(be32(b, 0)?, from(b, 4)?, visit),
        LinkType::Ppp => ppp(b, visit),
        // tshark looks for PPP in the first bytes.
        LinkType::Raw if b.len() < 8 => Err(Undecoded::Cut),
        LinkType::Raw => by_version(b).inspect_err(|_| data(b, visit)),
        LinkType::Ipv4 => Ok(plain(Network::Ipv4, b)),
        LinkType::Ipv6 => Ok(plain(Network::Ipv6, b)),
        LinkType::Other(_) => {
            data(b, visit);
            Err(Undecoded::Link)
        }
    }
}

fn plain(network: Network, rest: &[u8]) -> Stripped<'_> {
    Stripped { network, rest, ifindex: None, direction: None }
}

const ETHER_IPV4: u16 = 0x0800;
const ETHER_IPV6: u16 = 0x86dd;
const ETHER_SLOW: u16 = 0x8809;
const ETHER_LOOPBACK: u16 = 0x9000;
/// IEEE 802.1Q, 802.1ad, and what switches used before 802.1ad.
const ETHER_VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
const ETHER_SERVICE_VLAN: u16 = 0x88a8;
/// RFC 2516, session stage.
const ETHER_PPPOE: u16 = 0x8864;
/// RFC 3032: unicast and multicast.
const ETHER_MPLS: [u16; 2] = [0x8847, 0x8848];
/// The bit of a label stack entry that says it is the last.
const MPLS_BOTTOM: u8 = 1;
/// Longest content of an IEEE 802.3 frame.
const ETHER_LENGTH_MAX: u16 = 1500;
/// Below this it is the length of an IEEE 802.3 frame.
const ETHER_TYPE_MIN: u16 = 0x0600;
/// LLC header of a SNAP frame with an Ethernet type (RFC 1042).
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

pub(super) fn by_ether_type<'a>(
    mut kind: u16,
    mut rest: &'a [u8],
    visit: &mut impl Visit,
) -> Result<Stripped<'a>, Undecoded> {
    // Each turn takes four bytes, so this ends with the frame.
    while ETHER_VLAN.contains(&kind) {
        let tag = if kind == ETHER_SERVICE_VLAN { Protocol::ServiceVlan } else { Protocol::Vlan };
        tell(visit, tag, rest)?;
        kind = be16(rest, 2)?;
        rest = from(rest, 4)?;
    }
    if kind < ETHER_TYPE_MIN {
        // Between the lengths and the types nothing is assigned; Novell has neither type nor LLC.
        if kind > ETHER_LENGTH_MAX {
            data(rest, visit);
        } else if rest.starts_with(&[0xff, 0xff]) {
            visit.header(Protocol::Ipx, rest);
        } else {
            return llc(rest, visit);
        }
        return Err(Undecoded::NotIp(kind));
    }
    match kind {
        ETHER_IPV4 => Ok(plain(Network::Ipv4, rest)),
        ETHER_IPV6 => Ok(plain(Network::Ipv6, rest)),
        ETHER_PPPOE => {
            tell(visit, Protocol::Pppoe, rest)?;
            let rest = from(rest, 6)?;
            tell(visit, Protocol::Ppp, rest)?;
            ppp(rest, visit)
        }
        other if ETHER_MPLS.contains(&other) => {
            // What follows the labels is agreed between the routers and not told: IP shows by its version.
            loop {
                tell(visit, Protocol::Mpls, rest)?;
                let bottom = be16(rest, 2)?.to_be_bytes()[0] & MPLS_BOTTOM != 0;
                rest = from(rest, 4)?;
                if bottom {
                    return pseudowire(rest, visit);
                }
            }
        }
        other => {
            match Protocol::of_ether_type(other) {
                Some(protocol) => tell_last(visit, protocol, rest)?,
                None => data(rest, visit),
            }
            match other {
                // Its first subtype.
                ETHER_SLOW if rest.first() == Some(&1) => visit.header(Protocol::Lacp, from(rest, 1)?),
                // A skip count and, without functions to follow, one that answers.
                ETHER_LOOPBACK => data(from(rest, 6)?, visit),
                _ => {}
            }
            Err(Undecoded::NotIp(other))
        }
    }
}

/// Tells of bytes that nothing tells the meaning of.
pub(super) fn data(b: &[u8], visit: &mut impl Visit) {
    if !b.is_empty() {
        visit.header(Protocol::Data, b);
    }
}

/// What follows the last label: IP, or a frame after a control word (RFC 4385, RFC 4448).
fn pseudowire<'a>(b: &'a [u8], visit: &mut impl Visit) -> Result<Stripped<'a>, Undecoded> {
    if b.first().ok_or(Undecoded::Cut)? >> 4 != 0 {
        return by_version(b);
    }
    let rest = from(b, 4)?;
    tell(visit, Protocol::PseudowireCw, b)?;
    visit.header(Protocol::PseudowireCwBody, b);
    Ok(plain(Network::Ethernet, rest))
}

/// IEEE 802.2, and above it what a SNAP header tells.
fn llc<'a>(b: &'a [u8], visit: &mut impl Visit) -> Result<Stripped<'a>, Undecoded> {
    tell(visit, Protocol::Llc, b)?;
    match be16(b, SNAP.len()) {
        // A length again would go in circles.
        Ok(kind) if b.starts_with(&SNAP) && kind >= ETHER_TYPE_MIN => {
            by_ether_type(kind, from(b, SNAP.len() + 2)?, visit)
        }
        _ => {
            llc_upper(b, visit)?;
            Err(Undecoded::NotIp(0))
        }
    }
}

/// Names what is above an LLC header, by its destination or by what a SNAP header tells.
fn llc_upper(b: &[u8], visit: &mut impl Visit) -> Result<(), Undecoded> {
    let (dsap, organisation, kind) = match *b {
        [0xaa, 0xaa, 3, a, b, c, d, e, ..] => (0xaa, [a, b, c], u16::from_be_bytes([d, e])),
        [] | [_] | [_, _] | [0xaa, 0xaa, 3, ..] => return Err(Undecoded::Cut),
        [dsap, _, 3, ..] => (dsap, [0; 3], 0),
        _ => return Ok(()),
    };
    let rest = b.get(if dsap == 0xaa { 8 } else { 3 }..).unwrap_or_default();
    let protocol = match (dsap, organisation, kind) {
        (0x42, ..) => Protocol::Stp,
        (0xe0, ..) => Protocol::Ipx,
        (0xf0, ..) => Protocol::Netbios,
        (0xfe, ..) if rest.first().is_none_or(|kind| *kind == 0x83) => Protocol::Isis,
        // Cisco's.
        (0xaa, [0, 0, 0x0c], 0x2000) => Protocol::Cdp,
        (0xaa, [0, 0, 0x0c], 0x2003) => Protocol::Vtp,
        (0xaa, [0, 0, 0x0c], 0x2004) => Protocol::Dtp,
        (0xaa, [0, 0, 0x0c], 0x0111) => Protocol::Udld,
        (0xaa, [0, 0, 0x0c], 0x010b) => Protocol::Stp,
        (0xaa, ..) => {
            data(rest, visit);
            return Ok(());
        }
        _ => return Ok(()),
    };
    tell(visit, protocol, rest)?;
    if protocol == Protocol::Isis {
        let kind = match rest.get(4).map(|kind| kind & 0x1f) {
            None => return Err(Undecoded::Cut),
            Some(15..=17) => Protocol::IsisHello,
            Some(18 | 20) => Protocol::IsisLsp,
            Some(24 | 25) => Protocol::IsisCsnp,
            Some(26 | 27) => Protocol::IsisPsnp,
            _ => return Ok(()),
        };
        tell(visit, kind, rest)?;
    }
    Ok(())
}

/// A data frame that isn't encrypted (IEEE 802.11, section 9.2.3).
fn wlan<'a>(b: &'a [u8], visit: &mut impl Visit) -> Result<Stripped<'a>, Undecoded> {
    let [kind, flags] = be16(b, 0)?.to_be_bytes();
    if kind & 0x0c == 0 {
        visit.header(Protocol::WlanManagement, from(b, 24)?);
    }
    // Type 2 is data; its subtypes from 4 on, by the third bit, hold none.
    if kind & 0x0c != 0x08 || kind & 0x40 != 0 || flags & 0x40 != 0 {
        return Err(Undecoded::NotIp(0));
    }
    let fourth_address = if flags & 3 == 3 { 6 } else { 0 };
    let quality_of_service = if kind & 0x80 != 0 { 2 } else { 0 };
    llc(from(b, 24 + fourth_address + quality_of_service)?, visit)
}

pub(super) fn ppp<'a>(b: &'a [u8], visit: &mut impl Visit) -> Result<Stripped<'a>, Undecoded> {
    // Address and control may be compressed away (RFC 1661, section 6.6).
    let b = b.strip_prefix(&[0xff, 0x03]).unwrap_or(b);
    // So may the high byte of the protocol: the low byte is odd, the high one even (section 6.5).
    let first = *b.first().ok_or(Undecoded::Cut)?;
    let (protocol, rest) =
        if first & 1 == 1 { (u16::from(first), from(b, 1)?) } else { (be16(b, 0)?, from(b, 2)?) };
    match protocol {
        0x0021 => Ok(plain(Network::Ipv4, rest)),
        0x0057 => Ok(plain(Network::Ipv6, rest)),
        other => {
            match Protocol::of_ppp(other) {
                Some(protocol) => visit.header(protocol, rest),
                None => data(rest, visit),
            }
            Err(Undecoded::NotIp(0))
        }
    }
}

fn by_family<'a>(family: u32, rest: &'a [u8], visit: &mut impl Visit) -> Result<Stripped<'a>, Undecoded> {
    match family {
        2 => Ok(plain(Network::Ipv4, rest)),
        // Linux; NetBSD and OpenBSD; FreeBSD; macOS.
        10 | 24 | 28 | 30 => Ok(plain(Network::Ipv6, rest)),
        _ => {
            data(rest, visit);
            Err(Undecoded::NotIp(0))
        }
    }
}

pub(super) fn by_version(b: &[u8]) -> Result<Stripped<'_>, Undecoded> {
    match b.first().ok_or(Undecoded::Cut)? >> 4 {
        4 => Ok(plain(Network::Ipv4, b)),
        6 => Ok(plain(Network::Ipv6, b)),
        _ => Err(Undecoded::NotIp(0)),
    }
}

/// `PACKET_OUTGOING` is 4; 0 to 3 are kinds of incoming (include/uapi/linux/if_packet.h).
fn sll_direction(packet_type: u16) -> Option<Direction> {
    match packet_type {
        0..=3 => Some(Direction::In),
        4 => Some(Direction::Out),
        _ => None,
    }
}

fn from(b: &[u8], at: usize) -> Result<&[u8], Undecoded> {
    b.get(at..).ok_or(Undecoded::Cut)
}

#[inline]
pub(super) fn be16(b: &[u8], at: usize) -> Result<u16, Undecoded> {
    b.get(at..).and_then(|b| b.first_chunk()).map(|c| u16::from_be_bytes(*c)).ok_or(Undecoded::Cut)
}

#[inline]
pub(super) fn be32(b: &[u8], at: usize) -> Result<u32, Undecoded> {
    b.get(at..).and_then(|b| b.first_chunk()).map(|c| u32::from_be_bytes(*c)).ok_or(Undecoded::Cut)
}
