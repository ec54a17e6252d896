//! A tcpdump expression over connections instead of packets.

use std::net::{IpAddr, SocketAddr};

use pcap::Linktype;

use super::error::CaptureError;
use super::expression::Expression;

/// Packets that begin with the IP header (`DLT_RAW`, pcap-linktype(7), as libpcap numbers it on Linux).
const DLT_RAW: Linktype = Linktype(12);

/// `IPPROTO_TCP`
const TCP: u8 = 6;

/// An expression that is tried on what the two directions of a TCP connection have in common: addresses, protocol and
/// ports. Whatever else a packet has is empty here: no payload, no flag but ACK.
pub struct Ends(Expression);

impl Ends {
    /// Compiles `text`.
    ///
    /// # Errors
    /// [`CaptureError::Expression`] with libpcap's words.
    pub fn compile(text: &str) -> Result<Self, CaptureError> {
        let why = "'inbound' and 'outbound' tell packets apart, not connections";
        Expression::compile_or(text, DLT_RAW, why).map(Self)
    }

    /// As the user wrote it.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// True where a packet in one of both directions passes.
    pub fn matches(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        [(local, remote), (remote, local)].into_iter().any(|(from, to)| {
            let packet = packet(from, to);
            self.0.matches(&packet, u32::try_from(packet.len()).unwrap_or(0))
        })
    }
}

/// An acknowledgement without data. IPv4 addresses written as IPv6 are IPv4 on the wire.
fn packet(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    const HEADER: u16 = 20;
    let mut packet = Vec::with_capacity(60);
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            // Version and length of the header, type of service, total length; no identification and no fragment.
            packet.extend([0x45, 0]);
            packet.extend((2 * HEADER).to_be_bytes());
            packet.extend([0, 0, 0, 0, 64, TCP, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(HEADER.to_be_bytes());
            packet.extend([TCP, 64]);
            packet.extend(octets(from));
            packet.extend(octets(to));
        }
    }
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    // Sequence and acknowledgement numbers; a header of five words with ACK; window, checksum, urgent pointer.
    packet.extend([0; 8]);
    packet.extend([0x50, 0x10]);
    packet.extend([0; 6]);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str, local: &str, remote: &str) -> bool {
        let ends = Ends::compile(text).unwrap_or_else(|e| panic!("{e}"));
        ends.matches(local.parse().unwrap(), remote.parse().unwrap())
    }

    #[test]
    fn both_directions_are_tried() {
        let (a, b) = ("10.0.0.1:40000", "10.0.0.2:443");
        for text in
            ["tcp", "port 443", "src port 443", "dst port 443", "host 10.0.0.2", "net 10.0.0.0/8", "ip", ""]
        {
            assert!(matches(text, a, b), "{text}");
        }
        for text in ["udp", "port 80", "ip6", "src host 10.0.0.1 and dst port 40000", "not port 443"] {
            assert!(!matches(text, a, b), "{text}");
        }
    }

    #[test]
    fn ipv6_and_mapped_addresses() {
        assert!(matches("ip6 and tcp port 443 and host fd77::2", "[fd77::1]:40000", "[fd77::2]:443"));
        assert!(!matches("ip", "[fd77::1]:40000", "[fd77::2]:443"));
        assert!(matches("ip and host 10.0.0.2", "[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.2]:2"));
    }

    #[test]
    fn what_no_connection_has_is_refused() {
        for text in ["port", "nonsense", "inbound", "ether host 02:00:00:00:00:01"] {
            assert!(Ends::compile(text).is_err(), "{text}");
        }
    }
}
