//! Fields of link headers, and of what stands between them and IP.

use tracenet_collectors::decode::LinkType;
use tracenet_collectors::decode::Protocol as P;
use tracenet_filter::FieldType::{Bool, Bytes, Ether, Ipv4, Protocol as Span, Uint};
use tracenet_filter::Value;

use super::{Definition, Header, Of};

const ETH: Of = Of::Header(P::Ethernet);
const VLAN: Of = Of::Header(P::Vlan);
const SLL: Of = Of::Header(P::Sll);
const ARP: Of = Of::Header(P::Arp);
const MPLS: Of = Of::Header(P::Mpls);
const PPPOE: Of = Of::Header(P::Pppoe);
const LLC: Of = Of::Header(P::Llc);

/// Below this the type of an Ethernet frame is its length.
const TYPE_MIN: u64 = 0x0600;

/// Both addresses of an Ethernet frame.
fn addresses<'a>(h: &Header<'a>) -> [Option<&'a [u8]>; 2] {
    [h.slice(0, 6), h.slice(6, 6)]
}

/// A bit of the first byte of an address: 1 is a group's, 2 was given locally.
fn address_bit(address: Option<&[u8]>, mask: u8) -> Option<Value<'static>> {
    address?.first().map(|b| Value::Uint(u64::from(b & mask != 0)))
}

/// The second version of Linux cooked capture has its fields elsewhere.
fn is_sll2(h: &Header<'_>) -> bool {
    h.packet.seen.dissected.packet.link == LinkType::LinuxSll2
}

fn by_version(h: &Header<'_>, first: (usize, usize), second: (usize, usize)) -> Option<u64> {
    let (at, len) = if is_sll2(h) { second } else { first };
    h.number(at, len)
}

/// Where the addresses of an ARP packet for IPv4 over Ethernet are (RFC 826); `None` for others.
fn arp(h: &Header<'_>, at: usize) -> Option<usize> {
    (h.slice(0, 6)? == [0, 1, 8, 0, 6, 4]).then_some(at)
}

pub(super) const FIELDS: &[Definition] = &[
    Definition { name: "eth", kind: Span, of: ETH, read: |h, to| to.bytes(Some(h.span(14))) },
    Definition { name: "eth.dst", kind: Ether, of: ETH, read: |h, to| to.bytes(h.slice(0, 6)) },
    Definition { name: "eth.src", kind: Ether, of: ETH, read: |h, to| to.bytes(h.slice(6, 6)) },
    Definition {
        name: "eth.addr",
        kind: Ether,
        of: ETH,
        read: |h, to| addresses(h).into_iter().try_for_each(|a| to.bytes(a)),
    },
    Definition {
        name: "eth.type",
        kind: Uint(16),
        of: ETH,
        read: |h, to| to.uint(h.u16(12).filter(|t| *t >= TYPE_MIN)),
    },
    Definition {
        name: "eth.len",
        kind: Uint(16),
        of: ETH,
        read: |h, to| to.uint(h.u16(12).filter(|t| *t < TYPE_MIN)),
    },
    Definition {
        name: "eth.ig",
        kind: Bool,
        of: ETH,
        read: |h, to| addresses(h).into_iter().try_for_each(|a| to.value(address_bit(a, 1))),
    },
    Definition {
        name: "eth.lg",
        kind: Bool,
        of: ETH,
        read: |h, to| addresses(h).into_iter().try_for_each(|a| to.value(address_bit(a, 2))),
    },
    Definition {
        name: "eth.dst.ig",
        kind: Bool,
        of: ETH,
        read: |h, to| to.value(address_bit(h.slice(0, 6), 1)),
    },
    Definition {
        name: "eth.src.ig",
        kind: Bool,
        of: ETH,
        read: |h, to| to.value(address_bit(h.slice(6, 6), 1)),
    },
    Definition {
        name: "eth.dst.lg",
        kind: Bool,
        of: ETH,
        read: |h, to| to.value(address_bit(h.slice(0, 6), 2)),
    },
    Definition {
        name: "eth.src.lg",
        kind: Bool,
        of: ETH,
        read: |h, to| to.value(address_bit(h.slice(6, 6), 2)),
    },
    Definition { name: "vlan", kind: Span, of: VLAN, read: |h, to| to.bytes(Some(h.span(4))) },
    Definition {
        name: "vlan.id",
        kind: Uint(16),
        of: VLAN,
        read: |h, to| to.uint(h.u16(0).map(|t| t & 0xfff)),
    },
    Definition {
        name: "vlan.priority",
        kind: Uint(16),
        of: VLAN,
        read: |h, to| to.uint(h.u16(0).map(|t| t >> 13)),
    },
    Definition { name: "vlan.dei", kind: Bool, of: VLAN, read: |h, to| to.bit(h.u16(0), 0x1000) },
    Definition {
        name: "vlan.etype",
        kind: Uint(16),
        of: VLAN,
        read: |h, to| to.uint(h.u16(2).filter(|t| *t >= TYPE_MIN)),
    },
    Definition {
        name: "vlan.len",
        kind: Uint(16),
        of: VLAN,
        read: |h, to| to.uint(h.u16(2).filter(|t| *t < TYPE_MIN)),
    },
    Definition {
        name: "sll",
        kind: Span,
        of: SLL,
        read: |h, to| to.bytes(Some(h.span(if is_sll2(h) { 20 } else { 16 }))),
    },
    Definition {
        name: "sll.pkttype",
        kind: Uint(16),
        of: SLL,
        read: |h, to| to.uint(by_version(h, (0, 2), (10, 1))),
    },
    Definition {
        name: "sll.hatype",
        kind: Uint(16),
        of: SLL,
        read: |h, to| to.uint(by_version(h, (2, 2), (8, 2))),
    },
    Definition {
        name: "sll.halen",
        kind: Uint(16),
        of: SLL,
        read: |h, to| to.uint(by_version(h, (4, 2), (11, 1))),
    },
    Definition {
        name: "sll.src.eth",
        kind: Ether,
        of: SLL,
        read: |h, to| {
            let is_ether = by_version(h, (4, 2), (11, 1)) == Some(6);
            to.bytes(h.slice(if is_sll2(h) { 12 } else { 6 }, 6).filter(|_| is_ether))
        },
    },
    Definition {
        name: "sll.etype",
        kind: Uint(16),
        of: SLL,
        read: |h, to| to.uint(by_version(h, (14, 2), (0, 2)).filter(|t| *t >= TYPE_MIN)),
    },
    Definition {
        name: "sll.ifindex",
        kind: Uint(32),
        of: SLL,
        read: |h, to| to.uint(h.u32(4).filter(|_| is_sll2(h))),
    },
    Definition { name: "llc", kind: Span, of: LLC, read: |h, to| to.bytes(Some(h.span(3))) },
    Definition { name: "llc.dsap", kind: Uint(8), of: LLC, read: |h, to| to.uint(h.u8(0)) },
    Definition { name: "llc.ssap", kind: Uint(8), of: LLC, read: |h, to| to.uint(h.u8(1)) },
    Definition { name: "arp", kind: Span, of: ARP, read: |h, to| to.bytes(Some(h.span(28))) },
    Definition { name: "arp.hw.type", kind: Uint(16), of: ARP, read: |h, to| to.uint(h.u16(0)) },
    Definition { name: "arp.proto.type", kind: Uint(16), of: ARP, read: |h, to| to.uint(h.u16(2)) },
    Definition { name: "arp.hw.size", kind: Uint(8), of: ARP, read: |h, to| to.uint(h.u8(4)) },
    Definition { name: "arp.proto.size", kind: Uint(8), of: ARP, read: |h, to| to.uint(h.u8(5)) },
    Definition { name: "arp.opcode", kind: Uint(16), of: ARP, read: |h, to| to.uint(h.u16(6)) },
    Definition {
        name: "arp.src.hw_mac",
        kind: Ether,
        of: ARP,
        read: |h, to| to.bytes(arp(h, 8).and_then(|at| h.slice(at, 6))),
    },
    Definition {
        name: "arp.src.proto_ipv4",
        kind: Ipv4,
        of: ARP,
        read: |h, to| to.value(arp(h, 14).and_then(|at| h.ipv4(at))),
    },
    Definition {
        name: "arp.dst.hw_mac",
        kind: Ether,
        of: ARP,
        read: |h, to| to.bytes(arp(h, 18).and_then(|at| h.slice(at, 6))),
    },
    Definition {
        name: "arp.dst.proto_ipv4",
        kind: Ipv4,
        of: ARP,
        read: |h, to| to.value(arp(h, 24).and_then(|at| h.ipv4(at))),
    },
    Definition { name: "mpls", kind: Span, of: MPLS, read: |h, to| to.bytes(Some(h.span(4))) },
    Definition {
        name: "mpls.label",
        kind: Uint(32),
        of: MPLS,
        read: |h, to| to.uint(h.u32(0).map(|e| e >> 12)),
    },
    Definition {
        name: "mpls.exp",
        kind: Uint(32),
        of: MPLS,
        read: |h, to| to.uint(h.u32(0).map(|e| e >> 9 & 7)),
    },
    Definition {
        name: "mpls.bottom",
        kind: Uint(32),
        of: MPLS,
        read: |h, to| to.uint(h.u32(0).map(|e| e >> 8 & 1)),
    },
    Definition {
        name: "mpls.ttl",
        kind: Uint(32),
        of: MPLS,
        read: |h, to| to.uint(h.u32(0).map(|e| e & 0xff)),
    },
    Definition { name: "pppoes", kind: Span, of: PPPOE, read: |h, to| to.bytes(Some(h.span(6))) },
    Definition { name: "pppoe.code", kind: Uint(8), of: PPPOE, read: |h, to| to.uint(h.u8(1)) },
    Definition { name: "pppoe.session_id", kind: Uint(16), of: PPPOE, read: |h, to| to.uint(h.u16(2)) },
    Definition { name: "pppoe.payload_length", kind: Uint(16), of: PPPOE, read: |h, to| to.uint(h.u16(4)) },
    Definition { name: "ppp", kind: Span, of: Of::Header(P::Ppp), read: |h, to| to.bytes(Some(h.bytes)) },
    Definition { name: "null", kind: Span, of: Of::Header(P::Null), read: |h, to| to.bytes(Some(h.span(4))) },
    Definition { name: "loop", kind: Span, of: Of::Header(P::Loop), read: |h, to| to.bytes(Some(h.span(4))) },
    Definition { name: "raw", kind: Span, of: Of::Header(P::Raw), read: |h, to| to.bytes(Some(h.bytes)) },
    Definition {
        name: "fddi",
        kind: Span,
        of: Of::Header(P::Fddi),
        read: |h, to| to.bytes(Some(h.span(13))),
    },
    Definition { name: "wlan", kind: Span, of: Of::Header(P::Wlan), read: |h, to| to.bytes(Some(h.bytes)) },
    Definition {
        name: "radiotap",
        kind: Span,
        of: Of::Header(P::Radiotap),
        read: |h, to| {
            let len = h.slice(2, 2).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b));
            to.bytes(Some(h.span(usize::from(len))))
        },
    },
    Definition {
        name: "sll.unused",
        kind: Bytes,
        of: SLL,
        read: |h, to| {
            let len = usize::try_from(by_version(h, (4, 2), (11, 1)).unwrap_or(8)).unwrap_or(8);
            let at = if is_sll2(h) { 12 } else { 6 };
            to.bytes(h.slice(at, 8).and_then(|b| b.get(len..)).filter(|b| !b.is_empty()))
        },
    },
];
