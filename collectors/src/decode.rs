//! Frame bytes into the core's words: link layer, IP, TCP and UDP headers. Borrows, never allocates, never panics.
//!
//! Lengths come from the IP header, so that a frame cut by the snapshot length counts fully; what is missing of a
//! cut header is left out of the result, and what is there is told.

use std::net::{IpAddr, SocketAddr};

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use thiserror::Error;
use tracenet_core::event::Segment;
use tracenet_core::key::{Direction, Transport, Tuple, unmap};

mod checksum;
mod fragments;
mod ip_options;
mod layers;
mod link;
mod protocol;
mod tcp;

pub use checksum::{Checksum, Checksums};
pub use layers::{Layer, Layers, RawOptions};
pub use link::LinkType;
pub use protocol::{IpPacket, Protocol, Visit};

/// A frame, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// `local` is the source, `remote` the destination. IPv4-mapped addresses are unmapped.
    pub tuple: Tuple,
    /// Interface index, where the link header tells (Linux cooked, version 2).
    pub ifindex: Option<u32>,
    /// Which way the frame went, where the link header tells (Linux cooked).
    pub direction: Option<Direction>,
    /// IPv4 identification.
    pub ip_id: Option<u16>,
    /// The datagram goes on in later fragments, which are not told.
    pub more_fragments: bool,
    /// Bytes above the transport header by the IP length.
    pub payload_len: u32,
    /// Those of them that were captured.
    pub payload: &'a [u8],
    /// TCP header; `None` for UDP.
    pub tcp: Option<Segment>,
}

/// Why a frame holds no transport header to tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Undecoded {
    /// Link type that this module doesn't know.
    #[error("unknown link type")]
    Link,
    /// Not IP: the Ethernet type, 0 where there is none.
    #[error("not IP (type {0:#06x})")]
    NotIp(u16),
    /// Neither TCP nor UDP: the IP protocol number.
    #[error("neither TCP nor UDP (protocol {0})")]
    Protocol(u8),
    /// A later fragment: it has no transport header.
    #[error("later fragment")]
    Fragment,
    /// Cut before the ports, sequence numbers or flags.
    #[error("cut inside a header")]
    Cut,
    /// Lengths that contradict each other, or a wrong version.
    #[error("damaged header")]
    Damaged,
}

/// Takes a frame apart. `captured` is what was captured of its `wire_len` bytes.
///
/// # Errors
/// [`Undecoded`] says what it is instead.
pub fn decode_frame(link: LinkType, captured: &[u8], wire_len: u32) -> Result<Decoded<'_>, Undecoded> {
    let l2 = link::strip(link, captured, &mut ())?;
    let header_len = captured.len() - l2.rest.len();
    let on_wire = wire_len.saturating_sub(u32::try_from(header_len).unwrap_or(u32::MAX));
    let ip = match l2.network {
        link::Network::Ipv4 => ipv4(l2.rest, on_wire)?,
        link::Network::Ipv6 => ipv6(l2.rest, on_wire)?,
        link::Network::Ethernet => return Err(Undecoded::NotIp(0)),
    };
    let (ports, tcp, transport_len) = match ip.transport {
        Transport::Tcp => {
            let (ports, segment, len) = tcp::header(ip.rest)?;
            (ports, Some(segment), len)
        }
        Transport::Udp => (tcp::ports(ip.rest)?, None, UDP_HEADER),
    };
    let payload_len =
        ip.len.checked_sub(u32::try_from(transport_len).unwrap_or(u32::MAX)).ok_or(Undecoded::Damaged)?;
    let captured_payload = ip.rest.get(transport_len..).unwrap_or_default();
    // Ethernet pads short frames: what is beyond the IP length is no payload.
    let end = captured_payload.len().min(usize::try_from(payload_len).unwrap_or(usize::MAX));
    Ok(Decoded {
        tuple: Tuple {
            transport: ip.transport,
            local: SocketAddr::new(unmap(ip.source), ports.0),
            remote: SocketAddr::new(unmap(ip.destination), ports.1),
        },
        ifindex: l2.ifindex,
        direction: l2.direction,
        ip_id: ip.id,
        more_fragments: ip.more_fragments,
        payload_len,
        payload: &captured_payload[..end],
        tcp,
    })
}

/// RFC 768.
const UDP_HEADER: usize = 8;

struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    transport: Transport,
    id: Option<u16>,
    more_fragments: bool,
    /// Bytes from the transport header on, as the IP header says.
    len: u32,
    /// The captured ones of them, and perhaps padding.
    rest: &'a [u8],
}

fn ipv4(b: &[u8], on_wire: u32) -> Result<Ip<'_>, Undecoded> {
    use etherparse::err::ipv4::HeaderSliceError;
    let h = Ipv4HeaderSlice::from_slice(b).map_err(|e| match e {
        HeaderSliceError::Len(_) => Undecoded::Cut,
        HeaderSliceError::Content(_) => Undecoded::Damaged,
    })?;
    let transport = Transport::from_ip_proto(h.protocol().0).ok_or(Undecoded::Protocol(h.protocol().0))?;
    if h.fragments_offset().value() != 0 {
        return Err(Undecoded::Fragment);
    }
    let header_len = h.slice().len();
    // A packet that is larger than its length field can say has 0 there: it was captured before the card cut it
    // into segments (BIG TCP, net/ipv4/ip_output.c `iph_set_totlen`).
    let total = match h.total_len() {
        0 => on_wire,
        n => u32::from(n),
    };
    let len = total.checked_sub(u32::try_from(header_len).unwrap_or(u32::MAX)).ok_or(Undecoded::Damaged)?;
    Ok(Ip {
        source: IpAddr::V4(h.source_addr()),
        destination: IpAddr::V4(h.destination_addr()),
        transport,
        id: Some(h.identification()),
        more_fragments: h.more_fragments(),
        len,
        rest: &b[header_len..],
    })
}

fn ipv6(b: &[u8], on_wire: u32) -> Result<Ip<'_>, Undecoded> {
    use etherparse::err::ipv6::HeaderSliceError;
    let h = Ipv6HeaderSlice::from_slice(b).map_err(|e| match e {
        HeaderSliceError::Len(_) => Undecoded::Cut,
        HeaderSliceError::Content(_) => Undecoded::Damaged,
    })?;
    let after = &b[h.slice().len()..];
    // 0 stands for a jumbogram (RFC 2675), and for BIG TCP with and without its hop-by-hop option.
    let total = match h.payload_length() {
        0 => on_wire.saturating_sub(u32::try_from(h.slice().len()).unwrap_or(0)),
        n => u32::from(n),
    };
    let (mut rest, mut next, mut more_fragments) = (after, h.next_header().0, false);
    // Hop-by-hop options, routing, fragment, authentication (RFC 4302), destination options, mobility. By hand:
    // etherparse's iterator reads beyond a chain that its lax parser cut short.
    while matches!(next, 0 | 43 | 44 | 51 | 60 | 135) {
        let head = rest.first_chunk::<8>().ok_or(Undecoded::Cut)?;
        let size = match next {
            44 => head.len(),
            51 => (usize::from(head[1]) + 2) * 4,
            _ => (usize::from(head[1]) + 1) * 8,
        };
        if next == 44 {
            let fragment = u16::from_be_bytes([head[2], head[3]]);
            if fragment & 0xfff8 != 0 {
                return Err(Undecoded::Fragment);
            }
            more_fragments = fragment & 1 != 0;
        }
        next = head[0];
        rest = rest.get(size..).ok_or(Undecoded::Cut)?;
    }
    let transport = Transport::from_ip_proto(next).ok_or(Undecoded::Protocol(next))?;
    let extensions_len = u32::try_from(after.len() - rest.len()).unwrap_or(u32::MAX);
    Ok(Ip {
        source: IpAddr::V6(h.source_addr()),
        destination: IpAddr::V6(h.destination_addr()),
        transport,
        id: None,
        more_fragments,
        len: total.checked_sub(extensions_len).ok_or(Undecoded::Damaged)?,
        rest,
    })
}

#[cfg(test)]
mod tests;
