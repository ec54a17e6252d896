//! As much of IP and TCP as a link has to know.

/// From whom a packet comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Way {
    /// The other way.
    pub fn back(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// TCP flags (RFC 9293, section 3.1).
#[expect(missing_docs, reason = "RFC 9293 names")]
pub mod flags {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const ACK: u8 = 16;
}

/// The header of a TCP packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tcp {
    /// 0 over IPv6.
    pub(super) ip_id: u16,
    pub(super) source: u16,
    pub(super) destination: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) len: u32,
}

fn at16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn at32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Identification and payload of an IPv4 (RFC 791) or IPv6 packet (RFC 8200) that carries TCP at once.
fn payload(packet: &[u8]) -> Option<(u16, &[u8])> {
    match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&6) => {
            let (header, total) = (usize::from(packet[0] & 15) * 4, usize::from(at16(packet, 2)?));
            Some((at16(packet, 4)?, packet.get(header..total)?))
        }
        6 if packet.get(6) == Some(&6) => Some((0, packet.get(40..40 + usize::from(at16(packet, 4)?))?)),
        _ => None,
    }
}

/// `None` for everything that isn't TCP.
pub(super) fn parse(packet: &[u8]) -> Option<Tcp> {
    let (ip_id, tcp) = payload(packet)?;
    let data = usize::from(tcp.get(12)? >> 4) * 4;
    Some(Tcp {
        ip_id,
        source: at16(tcp, 0)?,
        destination: at16(tcp, 2)?,
        seq: at32(tcp, 4)?,
        ack: at32(tcp, 8)?,
        flags: *tcp.get(13)?,
        window: at16(tcp, 14)?,
        len: u32::try_from(tcp.len().checked_sub(data)?).ok()?,
    })
}

/// The reset that somebody on the way would send over IPv4, in the name of the packet's receiver or (`back`) of its sender.
pub(super) fn reset(packet: &[u8], tcp: &Tcp, back: bool) -> Vec<u8> {
    let mut out = vec![0; 40];
    out[0] = 0x45;
    out[3] = 40;
    // Do not fragment; the hops that are left; TCP.
    (out[6], out[8], out[9]) = (0x40, 64, 6);
    let (from, to) = if back { (16..20, 12..16) } else { (12..16, 16..20) };
    out[12..16].copy_from_slice(&packet[from]);
    out[16..20].copy_from_slice(&packet[to]);
    let (source, destination, seq, ack) = match back {
        true => (tcp.destination, tcp.source, tcp.ack, tcp.seq.wrapping_add(tcp.len)),
        false => (tcp.source, tcp.destination, tcp.seq, tcp.ack),
    };
    out[20..22].copy_from_slice(&source.to_be_bytes());
    out[22..24].copy_from_slice(&destination.to_be_bytes());
    out[24..28].copy_from_slice(&seq.to_be_bytes());
    out[28..32].copy_from_slice(&ack.to_be_bytes());
    (out[32], out[33]) = (5 << 4, flags::RST | flags::ACK);
    let ip = checksum(&out[..20], 0);
    out[10..12].copy_from_slice(&ip.to_be_bytes());
    // The pseudo-header: addresses, protocol, length (RFC 9293, section 3.1).
    let sum = checksum(&out[12..], 6 + 20);
    out[36..38].copy_from_slice(&sum.to_be_bytes());
    out
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum =
        bytes.chunks_exact(2).fold(start, |sum, pair| sum + u32::from(pair[0]) * 256 + u32::from(pair[1]));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_a_packet_with_good_checksums() {
        let tcp =
            Tcp { ip_id: 1, source: 4000, destination: 80, seq: 100, ack: 7, flags: 16, window: 9, len: 10 };
        let mut packet = [0; 20];
        packet[12..20].copy_from_slice(&[10, 79, 0, 1, 10, 79, 0, 2]);
        for (back, ports, seq, ack) in [(false, (4000, 80), 100, 7), (true, (80, 4000), 7, 110)] {
            let made = reset(&packet, &tcp, back);
            let read = parse(&made).expect("TCP");
            assert_eq!((read.source, read.destination), ports);
            assert_eq!((read.seq, read.ack, read.len), (seq, ack, 0));
            assert_eq!(read.flags, flags::RST | flags::ACK);
            assert_eq!(checksum(&made[..20], 0), 0);
            assert_eq!(checksum(&made[12..], 26), 0);
        }
    }
}
