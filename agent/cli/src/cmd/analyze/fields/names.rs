//! What a value may be called instead of its number.

use tracenet_filter::FieldType;

/// A checksum that is wrong, or left to the network card.
pub(super) const BAD: u64 = 0;
/// A checksum that is right.
pub(super) const GOOD: u64 = 1;
/// A checksum that could not be checked.
pub(super) const UNVERIFIED: u64 = 2;
/// No checksum.
pub(super) const NOT_PRESENT: u64 = 3;

const STATUS: &[(&str, u64)] =
    &[("Bad", BAD), ("Good", GOOD), ("Unverified", UNVERIFIED), ("Not present", NOT_PRESENT)];

/// Assigned Internet Protocol Numbers, as Wireshark writes them.
const PROTOCOLS: &[(&str, u64)] = &[
    ("ICMP", 1),
    ("IGMP", 2),
    ("IPIP", 4),
    ("TCP", 6),
    ("UDP", 17),
    ("IPv6", 41),
    ("Generic Routing Encapsulation", 47),
    ("Encap Security Payload", 50),
    ("Authentication Header", 51),
    ("ICMPv6", 58),
    ("SCTP", 132),
];

const ETHER_TYPES: &[(&str, u64)] = &[
    ("IPv4", 0x0800),
    ("ARP", 0x0806),
    ("802.1Q Virtual LAN", 0x8100),
    ("IPv6", 0x86dd),
    ("MPLS label switched packet", 0x8847),
    ("PPPoE Session", 0x8864),
];

/// The number that a name stands for in a field.
pub(super) fn value(field: &str, kind: FieldType, name: &str) -> Option<u64> {
    let names = match field {
        "ip.proto" | "ipv6.nxt" => PROTOCOLS,
        "eth.type" | "vlan.etype" | "sll.etype" | "gre.proto" | "geneve.proto_type" | "arp.proto.type" => {
            ETHER_TYPES
        }
        "arp.opcode" => &[("request", 1), ("reply", 2)],
        _ if field.ends_with(".checksum.status") => STATUS,
        _ if kind == FieldType::Bool => &[("Set", 1), ("Not set", 0)],
        _ => &[],
    };
    names.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}
