//! The shortest way through a frame, which nearly all of them take: Ethernet without tags, IPv4 without options and
//! whole, a whole TCP segment. It tells what the long way would tell, with fewer questions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tracenet_core::ip::{IpFacts, IpOptions};

use super::{Layer, RawOptions};
use crate::decode::checksum::{self, Checksums};
use crate::decode::{IpPacket, Protocol, Visit, tcp};

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const TCP: u8 = 6;

/// Version 4, and a header of five words.
const VERSION_AND_LENGTH: u8 = 0x45;

/// Bits of the fragment field that must not be set: more fragments, and the offset.
const FRAGMENT: u16 = 0x3fff;

/// Tells `visit` of the headers of an Ethernet frame; of none, and false, where the frame is another one.
#[inline]
pub(super) fn walk(frame: &[u8], visit: &mut impl Visit) -> bool {
    let Some((_, packet)) = frame.split_at_checked(ETHERNET) else { return false };
    let Some((ip, _)) = packet.split_first_chunk::<IPV4>() else { return false };
    let be16 = |at: usize| u16::from_be_bytes([ip[at], ip[at + 1]]);
    let total = usize::from(be16(2));
    let is_plain = frame[12..14] == [8, 0]
        && ip[0] == VERSION_AND_LENGTH
        && ip[9] == TCP
        && be16(6) & FRAGMENT == 0
        && total >= IPV4 + tcp::FIXED;
    let Some(packet) = packet.get(..total).filter(|_| is_plain) else { return false };
    let segment = &packet[IPV4..];
    let Ok((ports, header, header_len)) = tcp::header(segment) else { return false };
    let Some(options) = segment.get(tcp::FIXED..header_len) else { return false };
    let (source, destination) = (
        IpAddr::V4(Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15])),
        IpAddr::V4(Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19])),
    );
    let facts = IpFacts {
        version: 4,
        ttl: ip[8],
        tos: ip[1],
        protocol: TCP,
        flags: ip[6] >> 5,
        id: Some(be16(4).into()),
        fragment_offset: 0,
        header_len: IPV4 as u16,
        total_len: total as u32,
        options: IpOptions::default(),
    };
    let mut ip_checksums = Checksums::default();
    ip_checksums.push(checksum::ipv4(ip));
    visit.header(Protocol::Ethernet, frame);
    visit.header(Protocol::Ipv4, packet);
    visit.ip(&IpPacket { source, destination, facts, quoted: false });
    visit.header(Protocol::Tcp, segment);
    visit.transport(&Layer {
        source: SocketAddr::new(source, ports.0),
        destination: SocketAddr::new(destination, ports.1),
        tcp: Some(header),
        options: RawOptions::of(options),
        ip: facts,
        payload_len: (segment.len() - header_len) as u32,
        quoted: false,
        cut: false,
        checksum: checksum::tcp(source, destination, segment),
        ip_checksums,
    });
    true
}
