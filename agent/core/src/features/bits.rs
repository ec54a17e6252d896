//! Meanings of the features that are sets of bits. Where Tranalyzer2 has a bit of the same meaning it is at the
//! same place.

use crate::event::tcp_flags;

/// A bit of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bit {
    /// Its value.
    pub value: u32,
    /// What it says.
    pub meaning: &'static str,
    /// Column and bit of Tranalyzer2 with the same meaning; empty where it has none.
    pub tranalyzer: &'static str,
}

macro_rules! bits {
    ($module:ident: $type:ty, $all:ident, $column:literal { $($name:ident = $value:literal, $meaning:literal, $same:literal;)* }) => {
        #[allow(dead_code, reason = "some bits are taken from a header as they are, without their names")]
        pub(super) mod $module {
            $(pub const $name: $type = $value;)*
        }

        #[doc = concat!("Bits of `", stringify!($module), "`.")]
        pub(super) const $all: &[Bit] = &[$(Bit {
            value: $value,
            meaning: $meaning,
            tranalyzer: if $same { concat!($column, " ", stringify!($value)) } else { "" },
        },)*];
    };
}

bits!(ip_flag: u32, IP_FLAGS, "ipFlags" {
    FRAGMENT_OVERLAP = 0x0001, "fragments of a datagram overlap", false;
    ID_BACK = 0x0004, "the IPv4 identification went back or rolled over", true;
    FRAGMENT_RANGE = 0x0010, "a fragment ends beyond the largest datagram", true;
    MORE_FRAGMENTS = 0x0020, "more fragments", true;
    DONT_FRAGMENT = 0x0040, "don't fragment", true;
    RESERVED = 0x0080, "reserved bit", true;
    FRAGMENT_POSITION = 0x0100, "a fragment does not begin where the one before it ended", true;
    FRAGMENT_MISSING = 0x0200, "a datagram lacks fragments", true;
    BAD_IP_CHECKSUM = 0x0400, "wrong IPv4 header checksum", true;
    BAD_CHECKSUM = 0x0800, "wrong TCP checksum", true;
    SAME_TIME = 0x4000, "two packets of this direction have the same time stamp", true;
    TIME_BACK = 0x8000, "a packet is stamped before the one before it", true;
});

bits!(flag: u16, TCP_FLAGS, "tcpFlags" {
    FIN = 0x0001, "FIN", true;
    SYN = 0x0002, "SYN", true;
    RST = 0x0004, "RST", true;
    PSH = 0x0008, "PSH", true;
    ACK = 0x0010, "ACK", true;
    URG = 0x0020, "URG", true;
    ECE = 0x0040, "ECE: ECN-Echo", true;
    CWR = 0x0080, "CWR: congestion window reduced", true;
    FIN_ACK = 0x0100, "FIN with ACK", true;
    SYN_ACK = 0x0200, "SYN with ACK", true;
    RST_ACK = 0x0400, "RST with ACK", true;
    NULL = 0x0800, "no flag at all: NULL scan", true;
    SYN_FIN = 0x1000, "SYN with FIN: scan", true;
    SYN_FIN_RST = 0x2000, "SYN with FIN and RST: scan", true;
    FIN_RST = 0x4000, "FIN with RST", true;
    XMAS = 0x8000, "FIN with PSH and URG: Xmas scan", true;
});

bits!(anomaly: u16, TCP_ANOMALY, "tcpAnomaly" {
    SYN_RETRANSMISSION = 0x0001, "SYN sent again", true;
    TIMEOUT_RETRANSMISSION = 0x0002, "sent again, not asked for by duplicate ACKs: most often a timeout", true;
    FAST_RETRANSMISSION = 0x0004, "sent again right after duplicate ACKs", true;
    DUPLICATE_ACK = 0x0008, "duplicate ACK", true;
    KEEP_ALIVE = 0x0010, "keep-alive", true;
    KEEP_ALIVE_ACK = 0x0020, "answer to a keep-alive", true;
    OUT_OF_ORDER = 0x0040, "out of order", true;
    SPURIOUS_RETRANSMISSION = 0x0080, "sent again although it had been acknowledged", true;
    ACK_UNSEEN = 0x0100, "ACK of what was not captured", true;
    PREVIOUS_NOT_CAPTURED = 0x0200, "something before a segment was not captured", true;
    REUSED_PORTS = 0x0400, "the ports of an earlier connection are used again", false;
    SCAN = 0x1000, "scan: opened or probed, and nothing said", true;
    SCAN_ANSWERED = 0x2000, "a scan that was answered", true;
    SYN_PAYLOAD = 0x4000, "payload in a SYN", true;
});

bits!(status: u16, TCP_STATUS, "tcpFStat" {
    TIMESTAMPS = 0x0002, "timestamps in use", true;
    TIMESTAMP_BACK = 0x0004, "a timestamp was lower than the one before", true;
    OPTIONS_DAMAGED = 0x0008, "options damaged, or not captured", true;
    WINDOW_UPDATE = 0x0020, "window update", true;
    ZERO_WINDOW_PROBE = 0x0040, "zero window probe", true;
    ZERO_WINDOW_PROBE_ACK = 0x0080, "answer to a zero window probe", true;
    ZERO_WINDOW = 0x0100, "window shut", true;
    SCALE_USED = 0x0200, "window scaling agreed", true;
    WINDOW_FULL = 0x0400, "the peer's window was filled", true;
    WINDOW_GREW = 0x0800, "the window grew", true;
    SACK = 0x4000, "selective acknowledgements", true;
    MPTCP = 0x8000, "multipath TCP", true;
});

/// Kinds of TCP options (IANA, "TCP Option Kind Numbers").
pub(super) const TCP_OPTIONS: &[Bit] = &[
    kind(0, "end of the list (never counted)"),
    kind(1, "no operation"),
    kind(2, "maximum segment size"),
    kind(3, "window scale"),
    kind(4, "SACK permitted"),
    kind(5, "SACK"),
    kind(6, "echo"),
    kind(7, "echo reply"),
    kind(8, "timestamps"),
    kind(14, "alternate checksum request"),
    kind(15, "alternate checksum data"),
    kind(19, "MD5 signature"),
    kind(27, "quick-start response"),
    kind(28, "user timeout"),
    kind(29, "authentication (TCP-AO)"),
    kind(30, "multipath TCP"),
    kind(31, "a kind above 30"),
];

/// Subtypes of multipath TCP (RFC 8684, section 8.2).
pub(super) const MPTCP_SUBTYPES: &[Bit] = &[
    subtype(0, "MP_CAPABLE"),
    subtype(1, "MP_JOIN"),
    subtype(2, "DSS"),
    subtype(3, "ADD_ADDR"),
    subtype(4, "REMOVE_ADDR"),
    subtype(5, "MP_PRIO"),
    subtype(6, "MP_FAIL"),
    subtype(7, "MP_FASTCLOSE"),
    subtype(8, "MP_TCPRST"),
    subtype(15, "experimental"),
];

/// Flags of the DSS option (RFC 8684, section 3.3).
pub(super) const MPTCP_DSS: &[Bit] = &[
    dss(0x01, "data ACK present"),
    dss(0x02, "data ACK is 8 bytes"),
    dss(0x04, "data sequence number and mapping present"),
    dss(0x08, "data sequence number is 8 bytes"),
    dss(0x10, "DATA_FIN"),
];

/// Differentiated services and ECN (RFC 2474, RFC 3168), of all packets together.
pub(super) const IP_TOS: &[Bit] = &[
    tos(0x01, "ECN, low bit (ECT(1); with the high bit: congestion experienced)"),
    tos(0x02, "ECN, high bit (ECT(0))"),
    tos(0x04, "DSCP 1"),
    tos(0x08, "DSCP 2"),
    tos(0x10, "DSCP 4"),
    tos(0x20, "DSCP 8"),
    tos(0x40, "DSCP 16"),
    tos(0x80, "DSCP 32"),
];

const fn kind(n: u32, meaning: &'static str) -> Bit {
    Bit { value: 1 << n, meaning, tranalyzer: "tcpOptions, same bit" }
}

const fn subtype(n: u32, meaning: &'static str) -> Bit {
    Bit { value: 1 << n, meaning, tranalyzer: if n < 8 { "tcpMPTBF, same bit" } else { "" } }
}

const fn dss(value: u32, meaning: &'static str) -> Bit {
    Bit { value, meaning, tranalyzer: "tcpMPDSSF, same bit" }
}

const fn tos(value: u32, meaning: &'static str) -> Bit {
    Bit { value, meaning, tranalyzer: "ipToS, same bit" }
}

/// The flags of a segment with the combinations that have a bit of their own.
#[inline]
pub(super) fn combined(flags: u8) -> u16 {
    const COMBINATIONS: [(u8, u16); 7] = [
        (tcp_flags::FIN | tcp_flags::ACK, flag::FIN_ACK),
        (tcp_flags::SYN | tcp_flags::ACK, flag::SYN_ACK),
        (tcp_flags::RST | tcp_flags::ACK, flag::RST_ACK),
        (tcp_flags::SYN | tcp_flags::FIN, flag::SYN_FIN),
        (tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST, flag::SYN_FIN_RST),
        (tcp_flags::FIN | tcp_flags::RST, flag::FIN_RST),
        (tcp_flags::FIN | tcp_flags::PSH | tcp_flags::URG, flag::XMAS),
    ];
    let own = u16::from(flags);
    if flags & (tcp_flags::FIN | tcp_flags::SYN | tcp_flags::RST) == 0 {
        return if flags == 0 { flag::NULL } else { own };
    }
    let has = |set: u8| flags & set == set;
    COMBINATIONS.into_iter().filter(|(set, _)| has(*set)).fold(own, |all, (_, bit)| all | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_have_bits_of_their_own() {
        assert_eq!(combined(0), flag::NULL);
        assert_eq!(combined(tcp_flags::PSH | tcp_flags::ACK), 0x0018);
        assert_eq!(combined(tcp_flags::SYN | tcp_flags::ACK), 0x0212);
        assert_eq!(combined(tcp_flags::FIN | tcp_flags::PSH | tcp_flags::URG), 0x8029);
        assert_eq!(combined(tcp_flags::FIN | tcp_flags::SYN | tcp_flags::RST), 0x7007);
    }

    #[test]
    fn no_bit_has_two_meanings() {
        for table in
            [IP_FLAGS, TCP_FLAGS, TCP_ANOMALY, TCP_STATUS, TCP_OPTIONS, MPTCP_SUBTYPES, MPTCP_DSS, IP_TOS]
        {
            let all = table.iter().fold(0, |all: u32, bit| {
                assert_eq!(bit.value.count_ones(), 1, "{bit:?}");
                assert_eq!(all & bit.value, 0, "{bit:?}");
                all | bit.value
            });
            assert_ne!(all, 0);
        }
    }
}
