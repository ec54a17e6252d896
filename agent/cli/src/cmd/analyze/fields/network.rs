//! Fields of IP headers, of ICMP, and of tunnels. Which protocols span their payload is as in Wireshark.

use tracenet_collectors::decode::Protocol as P;
use tracenet_filter::FieldType::{Bool, Ipv4, Ipv6, Protocol as Span, Uint};

use super::{Definition, Header, Of};

const IP: Of = Of::Header(P::Ipv4);
const IPV6: Of = Of::Header(P::Ipv6);
const ICMP: Of = Of::Header(P::Icmp);
const ICMPV6: Of = Of::Header(P::Icmpv6);
const GRE: Of = Of::Header(P::Gre);
const VXLAN: Of = Of::Header(P::Vxlan);
const GENEVE: Of = Of::Header(P::Geneve);

/// Of an IPv4 header, bytes.
fn header_len(h: &Header<'_>) -> usize {
    h.bytes.first().map_or(0, |b| usize::from(b & 15) * 4)
}

/// Wireshark's status of an IPv4 header's checksum.
fn checksum_status(h: &Header<'_>) -> u64 {
    let Some(header) = h.bytes.get(..header_len(h)) else { return super::names::UNVERIFIED };
    let sum: u32 = header.chunks_exact(2).map(|b| u32::from(u16::from_be_bytes([b[0], b[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    if (folded & 0xffff) + (folded >> 16) == 0xffff { super::names::GOOD } else { super::names::BAD }
}

/// An echo request or reply (RFC 792, RFC 4443).
fn is_echo(h: &Header<'_>) -> bool {
    matches!(h.bytes.first(), Some(0 | 8 | 128 | 129))
}

/// Where an optional word of a GRE header is, after those before it (RFC 2890).
fn gre_word(h: &Header<'_>, flag: u64) -> Option<u64> {
    let flags = h.u16(0)?;
    if flags & flag == 0 {
        return None;
    }
    let before = [0x8000, 0x2000, 0x1000, 0x0080].into_iter().take_while(|f| *f != flag);
    let at = 4 + before.filter(|f| flags & f != 0).count() * 4;
    h.u32(at)
}

pub(super) const FIELDS: &[Definition] = &[
    Definition { name: "ip", kind: Span, of: IP, read: |h, to| to.bytes(Some(h.span(header_len(h)))) },
    Definition {
        name: "ip.version",
        kind: Uint(8),
        of: Of::AnyIp,
        read: |h, to| to.uint(h.u8(0).map(|b| b >> 4)),
    },
    Definition {
        name: "ip.hdr_len",
        kind: Uint(8),
        of: IP,
        read: |h, to| to.uint(h.u8(0).map(|b| (b & 15) * 4)),
    },
    Definition { name: "ip.dsfield", kind: Uint(8), of: IP, read: |h, to| to.uint(h.u8(1)) },
    Definition {
        name: "ip.dsfield.dscp",
        kind: Uint(8),
        of: IP,
        read: |h, to| to.uint(h.u8(1).map(|b| b >> 2)),
    },
    Definition {
        name: "ip.dsfield.ecn",
        kind: Uint(8),
        of: IP,
        read: |h, to| to.uint(h.u8(1).map(|b| b & 3)),
    },
    Definition {
        name: "ip.len",
        kind: Uint(16),
        of: IP,
        // Wireshark shows the captured length where segmentation offload left 0.
        read: |h, to| {
            let captured = u64::try_from(h.bytes.len()).ok();
            to.uint(h.u16(2).map(|n| if n == 0 { captured.unwrap_or(0) } else { n }))
        },
    },
    Definition { name: "ip.id", kind: Uint(16), of: IP, read: |h, to| to.uint(h.u16(4)) },
    Definition { name: "ip.flags", kind: Uint(8), of: IP, read: |h, to| to.uint(h.u8(6).map(|b| b >> 5)) },
    Definition { name: "ip.flags.rb", kind: Bool, of: IP, read: |h, to| to.bit(h.u8(6), 0x80) },
    Definition { name: "ip.flags.df", kind: Bool, of: IP, read: |h, to| to.bit(h.u8(6), 0x40) },
    Definition { name: "ip.flags.mf", kind: Bool, of: IP, read: |h, to| to.bit(h.u8(6), 0x20) },
    Definition {
        name: "ip.frag_offset",
        kind: Uint(16),
        of: IP,
        // In units of eight bytes.
        read: |h, to| to.uint(h.u16(6).map(|n| n & 0x1fff)),
    },
    Definition { name: "ip.ttl", kind: Uint(8), of: IP, read: |h, to| to.uint(h.u8(8)) },
    Definition { name: "ip.proto", kind: Uint(8), of: IP, read: |h, to| to.uint(h.u8(9)) },
    Definition { name: "ip.checksum", kind: Uint(16), of: IP, read: |h, to| to.uint(h.u16(10)) },
    Definition {
        name: "ip.checksum.status",
        kind: Uint(8),
        of: IP,
        read: |h, to| to.uint(Some(checksum_status(h))),
    },
    Definition { name: "ip.src", kind: Ipv4, of: IP, read: |h, to| to.value(h.ipv4(12)) },
    Definition { name: "ip.dst", kind: Ipv4, of: IP, read: |h, to| to.value(h.ipv4(16)) },
    Definition {
        name: "ip.addr",
        kind: Ipv4,
        of: IP,
        read: |h, to| {
            to.value(h.ipv4(12))?;
            to.value(h.ipv4(16))
        },
    },
    Definition { name: "ipv6", kind: Span, of: IPV6, read: |h, to| to.bytes(Some(h.span(40))) },
    Definition {
        name: "ipv6.version",
        kind: Uint(8),
        of: IPV6,
        read: |h, to| to.uint(h.u8(0).map(|b| b >> 4)),
    },
    Definition {
        name: "ipv6.tclass",
        kind: Uint(32),
        of: IPV6,
        read: |h, to| to.uint(h.u32(0).map(|w| w >> 20 & 0xff)),
    },
    Definition {
        name: "ipv6.tclass.dscp",
        kind: Uint(32),
        of: IPV6,
        read: |h, to| to.uint(h.u32(0).map(|w| w >> 22 & 0x3f)),
    },
    Definition {
        name: "ipv6.tclass.ecn",
        kind: Uint(32),
        of: IPV6,
        read: |h, to| to.uint(h.u32(0).map(|w| w >> 20 & 3)),
    },
    Definition {
        name: "ipv6.flow",
        kind: Uint(24),
        of: IPV6,
        read: |h, to| to.uint(h.u32(0).map(|w| w & 0xf_ffff)),
    },
    Definition { name: "ipv6.plen", kind: Uint(16), of: IPV6, read: |h, to| to.uint(h.u16(4)) },
    Definition { name: "ipv6.nxt", kind: Uint(8), of: IPV6, read: |h, to| to.uint(h.u8(6)) },
    Definition { name: "ipv6.hlim", kind: Uint(8), of: IPV6, read: |h, to| to.uint(h.u8(7)) },
    Definition { name: "ipv6.src", kind: Ipv6, of: IPV6, read: |h, to| to.value(h.ipv6(8)) },
    Definition { name: "ipv6.dst", kind: Ipv6, of: IPV6, read: |h, to| to.value(h.ipv6(24)) },
    Definition {
        name: "ipv6.addr",
        kind: Ipv6,
        of: IPV6,
        read: |h, to| {
            to.value(h.ipv6(8))?;
            to.value(h.ipv6(24))
        },
    },
];

pub(super) const OTHERS: &[Definition] = &[
    Definition { name: "icmp", kind: Span, of: ICMP, read: |h, to| to.bytes(Some(h.bytes)) },
    Definition { name: "icmp.type", kind: Uint(8), of: ICMP, read: |h, to| to.uint(h.u8(0)) },
    Definition { name: "icmp.code", kind: Uint(8), of: ICMP, read: |h, to| to.uint(h.u8(1)) },
    Definition { name: "icmp.checksum", kind: Uint(16), of: ICMP, read: |h, to| to.uint(h.u16(2)) },
    Definition {
        name: "icmp.ident",
        kind: Uint(16),
        of: ICMP,
        read: |h, to| to.uint(h.u16(4).filter(|_| is_echo(h))),
    },
    Definition {
        name: "icmp.seq",
        kind: Uint(16),
        of: ICMP,
        read: |h, to| to.uint(h.u16(6).filter(|_| is_echo(h))),
    },
    Definition {
        name: "icmp.mtu",
        kind: Uint(16),
        of: ICMP,
        read: |h, to| to.uint(h.u16(6).filter(|_| h.bytes.starts_with(&[3, 4]))),
    },
    Definition { name: "icmpv6", kind: Span, of: ICMPV6, read: |h, to| to.bytes(Some(h.bytes)) },
    Definition { name: "icmpv6.type", kind: Uint(8), of: ICMPV6, read: |h, to| to.uint(h.u8(0)) },
    Definition { name: "icmpv6.code", kind: Uint(8), of: ICMPV6, read: |h, to| to.uint(h.u8(1)) },
    Definition { name: "icmpv6.checksum", kind: Uint(16), of: ICMPV6, read: |h, to| to.uint(h.u16(2)) },
    Definition {
        name: "icmpv6.mtu",
        kind: Uint(32),
        of: ICMPV6,
        read: |h, to| to.uint(h.u32(4).filter(|_| h.bytes.first() == Some(&2))),
    },
    Definition {
        name: "icmpv6.echo.identifier",
        kind: Uint(16),
        of: ICMPV6,
        read: |h, to| to.uint(h.u16(4).filter(|_| is_echo(h))),
    },
    Definition {
        name: "icmpv6.echo.sequence_number",
        kind: Uint(16),
        of: ICMPV6,
        read: |h, to| to.uint(h.u16(6).filter(|_| is_echo(h))),
    },
    Definition { name: "gre", kind: Span, of: GRE, read: |h, to| to.bytes(Some(h.bytes)) },
    Definition { name: "gre.flags_and_version", kind: Uint(16), of: GRE, read: |h, to| to.uint(h.u16(0)) },
    Definition { name: "gre.proto", kind: Uint(16), of: GRE, read: |h, to| to.uint(h.u16(2)) },
    Definition { name: "gre.key", kind: Uint(32), of: GRE, read: |h, to| to.uint(gre_word(h, 0x2000)) },
    Definition {
        name: "gre.sequence_number",
        kind: Uint(32),
        of: GRE,
        read: |h, to| to.uint(gre_word(h, 0x1000)),
    },
    Definition { name: "vxlan", kind: Span, of: VXLAN, read: |h, to| to.bytes(Some(h.span(8))) },
    Definition { name: "vxlan.flags", kind: Uint(16), of: VXLAN, read: |h, to| to.uint(h.u16(0)) },
    Definition { name: "vxlan.vni", kind: Uint(24), of: VXLAN, read: |h, to| to.uint(h.number(4, 3)) },
    Definition {
        name: "geneve",
        kind: Span,
        of: GENEVE,
        read: |h, to| {
            let options = h.bytes.first().map_or(0, |b| usize::from(b & 0x3f) * 4);
            to.bytes(Some(h.span(8 + options)))
        },
    },
    Definition { name: "geneve.proto_type", kind: Uint(16), of: GENEVE, read: |h, to| to.uint(h.u16(2)) },
    Definition { name: "geneve.vni", kind: Uint(24), of: GENEVE, read: |h, to| to.uint(h.number(4, 3)) },
    Definition { name: "igmp", kind: Span, of: Of::Header(P::Igmp), read: |h, to| to.bytes(Some(h.bytes)) },
    Definition { name: "igmp.type", kind: Uint(8), of: Of::Header(P::Igmp), read: |h, to| to.uint(h.u8(0)) },
    Definition {
        name: "erspan",
        kind: Span,
        of: Of::Header(P::Erspan),
        read: |h, to| to.bytes(Some(h.span(8))),
    },
    Definition { name: "ah", kind: Span, of: Of::Header(P::Ah), read: |h, to| to.bytes(Some(h.bytes)) },
    Definition { name: "esp", kind: Span, of: Of::Header(P::Esp), read: |h, to| to.bytes(Some(h.bytes)) },
    Definition { name: "sctp", kind: Span, of: Of::Header(P::Sctp), read: |h, to| to.bytes(Some(h.bytes)) },
    Definition {
        name: "sctp.srcport",
        kind: Uint(16),
        of: Of::Header(P::Sctp),
        read: |h, to| to.uint(h.u16(0)),
    },
    Definition {
        name: "sctp.dstport",
        kind: Uint(16),
        of: Of::Header(P::Sctp),
        read: |h, to| to.uint(h.u16(2)),
    },
    Definition {
        name: "sctp.port",
        kind: Uint(16),
        of: Of::Header(P::Sctp),
        read: |h, to| {
            to.uint(h.u16(0))?;
            to.uint(h.u16(2))
        },
    },
    Definition { name: "gtp", kind: Span, of: Of::Header(P::Gtp), read: |h, to| to.bytes(Some(h.bytes)) },
    Definition {
        name: "teredo",
        kind: Span,
        of: Of::Header(P::Teredo),
        read: |h, to| to.bytes(Some(h.bytes)),
    },
];
