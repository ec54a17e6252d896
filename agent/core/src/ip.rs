//! What an IP header tells besides the addresses.

/// The IP header of one packet (RFC 791, section 3.1; RFC 8200, section 3), decoded at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpFacts {
    /// 4 or 6; 0 where no header was decoded.
    pub version: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Type of service, or traffic class: DSCP and ECN.
    pub tos: u8,
    /// The upper protocol, after extension headers.
    pub protocol: u8,
    /// Flags as IPv4 has them: 4 reserved, 2 don't fragment, 1 more fragments (IPv6: the fragment header's only).
    pub flags: u8,
    /// Identification: of every IPv4 packet, of an IPv6 packet with a fragment header.
    pub id: Option<u32>,
    /// Fragment offset, bytes.
    pub fragment_offset: u16,
    /// Header with options, or with extension headers, bytes.
    pub header_len: u16,
    /// Whole packet by the header, bytes; by the capture where segmentation offload left 0.
    pub total_len: u32,
    /// Options.
    pub options: IpOptions,
}

impl IpFacts {
    /// It is a part of a datagram.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment_offset != 0 || self.flags & 1 != 0
    }

    /// It carries ICMP or ICMPv6 (IANA protocol numbers 1 and 58).
    #[inline]
    pub fn is_icmp(&self) -> bool {
        matches!(self.protocol, 1 | 58)
    }
}

/// IPv4 options, or IPv6 hop-by-hop and destination options. Padding is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpOptions {
    /// Options of IPv4; hop-by-hop options of IPv6.
    pub count: u8,
    /// Destination options of IPv6.
    pub destination_count: u8,
    /// Copied flag and class of IPv4 options: bit n stands for the three high bits n of an option's type.
    pub classes: u8,
    /// Numbers of these options: bit n stands for the five low bits n of an option's type.
    pub numbers: u32,
    /// Numbers of IPv6 destination options.
    pub destination_numbers: u32,
}
