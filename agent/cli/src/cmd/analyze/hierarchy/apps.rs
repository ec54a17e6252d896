//! What is in a UDP datagram, as far as its ports and a light look tell it for certain.
//!
//! tshark asks the dissector of the lower port, then that of the higher one, then guesses by the bytes, and calls the
//! rest data. Where it would know a protocol that is not told here, nothing is said.

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// One protocol, the given number of times within each other.
    Is(&'static str, usize),
    /// None that anyone knows of.
    Data,
    /// Maybe one that is not told here.
    Unsure,
}

/// Of the payload of a datagram between two ports.
pub fn of_udp(ports: (u16, u16), payload: &[u8]) -> App {
    for port in [ports.0.min(ports.1), ports.0.max(ports.1)] {
        match of_port(port) {
            Some(name) if is_valid(name, payload) => return App::Is(name, 1),
            None if TAKEN.iter().any(|(first, last)| (*first..=*last).contains(&port)) => return App::Unsure,
            _ => {}
        }
    }
    match quic(payload) {
        Some(packets) => App::Is(QUIC, packets),
        None if may_be_guessed(ports, payload) => App::Unsure,
        None => App::Data,
    }
}

/// Its later packets are told by those before.
pub const QUIC: &str = "quic";

/// Its answers come from another port (RFC 1350).
pub const TFTP: &str = "tftp";

/// True of protocols that are read to their end, so that a cut shows.
pub fn is_read_to_its_end(name: &str) -> bool {
    matches!(name, "dns" | "mdns" | "llmnr" | "nbns" | "dhcp" | "dhcpv6" | "snmp" | "rip")
}

fn of_port(port: u16) -> Option<&'static str> {
    Some(match port {
        53 => "dns",
        67 | 68 | 4011 => "dhcp",
        69 => TFTP,
        123 => "ntp",
        137 => "nbns",
        138 => "nbdgm",
        161 | 162 | 8161 => "snmp",
        500 => "isakmp",
        514 => "syslog",
        520 => "rip",
        521 => "ripng",
        546 | 547 => "dhcpv6",
        1645 | 1646 | 1700 | 1812 | 1813 | 3799 => "radius",
        1900 => "ssdp",
        1985 | 2029 => "hsrp",
        5353 => "mdns",
        5355 => "llmnr",
        17500 => "db-lsp-disc",
        _ => return None,
    })
}

/// False where the first bytes show that it is something else.
fn is_valid(name: &str, payload: &[u8]) -> bool {
    match (name, payload) {
        // A sequence (X.690, section 8.9).
        ("snmp", [first, ..]) => *first == 0x30,
        (TFTP, [high, low, ..]) => *high == 0 && (1..=6).contains(low),
        // RFC 2865, section 3.
        ("radius", [_, _, high, low, ..]) => (20..=4096).contains(&u16::from_be_bytes([*high, *low])),
        ("radius" | "snmp" | TFTP, _) => false,
        _ => true,
    }
}

/// How many QUIC packets are in the datagram, the first having a long header (RFC 9000, sections 12.2 and 17.2);
/// `None` where it has not.
fn quic(payload: &[u8]) -> Option<usize> {
    let version = u32::from_be_bytes(*payload.get(1..)?.first_chunk()?);
    let is_known = matches!(version, 1 | 0x6b33_43cf | 0x709a_50c4 | 0xff00_0001..=0xff00_0022);
    (payload.len() >= 13 && payload[0] & 0x80 != 0 && is_known).then(|| quic_packets(payload))
}

/// How many QUIC packets are in a datagram of a QUIC connection.
pub fn quic_packets(mut payload: &[u8]) -> usize {
    let mut packets = 0;
    while !payload.is_empty() {
        packets += 1;
        match quic_len(payload).and_then(|len| payload.get(len..)) {
            Some(rest) => payload = rest,
            None => break,
        }
    }
    packets
}

/// Length of a packet that tells it.
fn quic_len(b: &[u8]) -> Option<usize> {
    let first = *b.first()?;
    let version = u32::from_be_bytes(*b.get(1..)?.first_chunk()?);
    if first & 0x80 == 0 || version == 0 {
        return None;
    }
    let mut at = 5;
    for _ in 0..2 {
        at += 1 + usize::from(*b.get(at)?);
    }
    // Version 2 counts the types from another one (RFC 9369, section 3.2).
    let shift = if version == 1 || version >> 8 == 0x00ff_0000 { 0 } else { 3 };
    match (first >> 4 & 3).wrapping_add(shift) & 3 {
        // Initial: a token comes before the length.
        0 => {
            let (len, size) = varint(b, at)?;
            at = at.checked_add(size)?.checked_add(len)?;
        }
        // Retry.
        3 => return None,
        _ => {}
    }
    let (len, size) = varint(b, at)?;
    at.checked_add(size)?.checked_add(len)
}

/// Value and size (RFC 9000, section 16).
fn varint(b: &[u8], at: usize) -> Option<(usize, usize)> {
    let first = *b.get(at)?;
    let size = 1 << (first >> 6);
    let rest = b.get(at + 1..at + size)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, b| value << 8 | u64::from(*b));
    Some((usize::try_from(value).ok()?, size))
}

/// True where tshark may guess a protocol from the bytes.
fn may_be_guessed(ports: (u16, u16), payload: &[u8]) -> bool {
    // QUIC before it was standardised, whose packets tell little.
    if [ports.0, ports.1].iter().any(|port| matches!(port, 80 | 443)) {
        return true;
    }
    match *payload {
        // STUN; RPC; RTCP; DTLS; WireGuard; a magic packet.
        [_, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..] => true,
        [_, _, _, _, 0, 0, 0, 0 | 1, 0, 0, 0, 2, ..] => true,
        [0x80..=0xbf, 192..=213, ..] => true,
        [20..=26, 0xfe, 0xfd | 0xff, ..] => true,
        [1..=4, 0, 0, 0, ..] => true,
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ..] => true,
        // DCE/RPC without connections.
        [4, ..] => true,
        // JSON, bencoding.
        [b'{' | b'[' | b'd', ..] => true,
        _ => payload.starts_with(b"RTPS") || payload.windows(8).take(200).any(|w| w == b" SIP/2.0"),
    }
}

/// Ports on which tshark looks for a protocol that is not told here, first to last.
const TAKEN: &[(u16, u16)] = &[
    (7, 7),
    (13, 13),
    (19, 19),
    (37, 37),
    (49, 49),
    (88, 88),
    (111, 111),
    (173, 173),
    (177, 177),
    (213, 213),
    (269, 269),
    (319, 320),
    (389, 389),
    (427, 427),
    (434, 434),
    (464, 464),
    (473, 473),
    (496, 496),
    (502, 502),
    (513, 513),
    (524, 525),
    (539, 539),
    (573, 573),
    (623, 623),
    (631, 631),
    (646, 646),
    (654, 654),
    (664, 664),
    (698, 699),
    (701, 701),
    (750, 750),
    (853, 854),
    (910, 910),
    (921, 921),
    (925, 925),
    (1001, 1001),
    (1044, 1044),
    (1052, 1052),
    (1069, 1069),
    (1089, 1091),
    (1101, 1101),
    (1113, 1113),
    (1153, 1153),
    (1194, 1194),
    (1293, 1293),
    (1547, 1547),
    (1628, 1629),
    (1701, 1701),
    (1718, 1719),
    (1745, 1745),
    (1755, 1755),
    (2048, 2048),
    (2055, 2055),
    (2067, 2067),
    (2099, 2099),
    (2123, 2123),
    (2152, 2152),
    (2157, 2157),
    (2190, 2190),
    (2221, 2222),
    (2231, 2231),
    (2246, 2246),
    (2268, 2269),
    (2313, 2313),
    (2345, 2345),
    (2424, 2424),
    (2427, 2428),
    (2727, 2727),
    (2887, 2887),
    (2944, 2945),
    (2948, 2949),
    (2960, 2960),
    (3000, 3000),
    (3121, 3121),
    (3130, 3130),
    (3205, 3205),
    (3222, 3222),
    (3250, 3250),
    (3333, 3333),
    (3343, 3343),
    (3357, 3357),
    (3386, 3386),
    (3389, 3389),
    (3452, 3452),
    (3455, 3455),
    (3478, 3478),
    (3483, 3483),
    (3503, 3503),
    (3540, 3540),
    (3544, 3544),
    (3567, 3567),
    (3622, 3622),
    (3671, 3671),
    (3784, 3785),
    (3792, 3792),
    (3804, 3804),
    (3819, 3819),
    (3863, 3863),
    (3956, 3956),
    (4000, 4000),
    (4058, 4058),
    (4305, 4307),
    (4341, 4342),
    (4500, 4500),
    (4533, 4534),
    (4551, 4551),
    (4555, 4556),
    (4569, 4569),
    (4665, 4665),
    (4672, 4672),
    (4713, 4713),
    (4729, 4729),
    (4739, 4739),
    (4754, 4754),
    (4784, 4784),
    (4789, 4791),
    (4991, 4991),
    (5000, 5001),
    (5031, 5031),
    (5050, 5050),
    (5060, 5060),
    (5072, 5072),
    (5094, 5094),
    (5246, 5247),
    (5264, 5265),
    (5350, 5351),
    (5404, 5405),
    (5436, 5436),
    (5555, 5555),
    (5567, 5567),
    (5678, 5678),
    (5683, 5684),
    (5868, 5868),
    (6060, 6060),
    (6073, 6073),
    (6081, 6081),
    (6084, 6084),
    (6087, 6087),
    (6118, 6118),
    (6160, 6160),
    (6343, 6343),
    (6543, 6543),
    (6635, 6635),
    (6666, 6666),
    (6696, 6696),
    (6784, 6784),
    (6970, 6970),
    (7000, 7010),
    (7021, 7021),
    (7074, 7075),
    (7255, 7255),
    (7275, 7275),
    (7784, 7784),
    (8000, 8000),
    (8116, 8116),
    (8200, 8200),
    (8211, 8211),
    (8600, 8600),
    (8611, 8614),
    (8755, 8755),
    (8767, 8767),
    (8805, 8805),
    (8848, 8848),
    (9003, 9003),
    (9200, 9203),
    (9214, 9214),
    (9600, 9600),
    (9875, 9875),
    (9877, 9877),
    (9899, 9899),
    (9901, 9901),
    (9955, 9956),
    (9996, 9996),
    (9999, 9999),
    (10253, 10253),
    (10500, 10500),
    (11211, 11211),
    (11273, 11273),
    (11898, 11898),
    (12000, 12004),
    (12220, 12220),
    (12222, 12223),
    (13400, 13400),
    (13819, 13819),
    (13907, 13907),
    (13910, 13910),
    (17220, 17220),
    (17754, 17756),
    (18246, 18246),
    (19132, 19132),
    (19788, 19788),
    (19948, 19948),
    (19999, 20000),
    (20561, 20561),
    (22222, 22222),
    (23272, 23272),
    (24576, 24577),
    (25826, 25826),
    (26000, 26000),
    (27036, 27036),
    (27500, 27500),
    (27910, 27910),
    (27950, 27953),
    (27960, 27963),
    (30030, 30030),
    (32000, 32000),
    (32512, 32512),
    (34962, 34962),
    (34980, 34980),
    (37008, 37008),
    (41170, 41170),
    (44818, 44818),
    (45564, 45564),
    (47000, 47000),
    (47808, 47808),
    (49999, 49999),
    (54328, 54328),
    (56000, 56001),
    (56500, 56501),
    (57000, 57001),
    (57032, 57033),
    (57500, 57501),
    (57532, 57533),
    (59000, 59001),
    (59032, 59033),
    (59500, 59501),
    (59532, 59533),
    (60001, 60001),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_port_is_asked_first() {
        assert_eq!(of_udp((40_000, 53), &[0; 12]), App::Is("dns", 1));
        assert_eq!(of_udp((123, 53), &[0; 12]), App::Is("dns", 1));
        assert_eq!(of_udp((161, 40_001), b"no sequence"), App::Data);
        assert_eq!(of_udp((40_000, 5060), b"OPTIONS"), App::Unsure);
        assert_eq!(of_udp((40_001, 40_003), b"hello"), App::Data);
    }

    #[test]
    fn coalesced_quic_packets_are_counted() {
        let initial = [0xc0, 0, 0, 0, 1, 0, 0, 0, 5, 1, 2, 3, 4, 5];
        let handshake = [0xe0, 0, 0, 0, 1, 0, 0, 2, 1, 2];
        let datagram = [&initial[..], &handshake, &[0x40, 1]].concat();
        assert_eq!(of_udp((40_001, 443), &datagram), App::Is(QUIC, 3));
        for cut in 0..datagram.len() {
            of_udp((40_001, 443), &datagram[..cut]);
        }
    }
}
