//! The internet checksum (RFC 1071) of IPv4 headers and TCP segments, and what a wrong one means.

use std::net::IpAddr;

/// What the checksum of a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checksum {
    /// Not everything that it covers is there.
    #[default]
    Unverified,
    /// As it must be.
    Good,
    /// Left to the network card by the host that captured: no damage.
    Offloaded,
    /// Wrong.
    Bad,
}

impl Checksum {
    /// Its name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Good => "good",
            Self::Offloaded => "offloaded",
            Self::Bad => "bad",
        }
    }
}

/// The checksums of the IPv4 headers of a frame, from the outside in; the first [`Checksums::MAX`] are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksums {
    kept: [Checksum; Self::MAX],
    len: u8,
}

impl Checksums {
    /// Headers that are kept.
    pub const MAX: usize = 4;

    #[inline]
    pub(super) fn push(&mut self, checksum: Checksum) {
        if let Some(slot) = self.kept.get_mut(usize::from(self.len)) {
            *slot = checksum;
            self.len += 1;
        }
    }

    /// From the outside in; nothing for IPv6, which has none.
    pub fn iter(&self) -> impl Iterator<Item = Checksum> {
        self.kept.into_iter().take(usize::from(self.len))
    }
}

/// Of a whole IPv4 header.
#[inline]
pub(super) fn ipv4(header: &[u8]) -> Checksum {
    if fold(sum(header)) == u16::MAX {
        return Checksum::Good;
    }
    // Cards that cut large packets into segments compute it for each of them.
    if header.get(10..12) == Some(&[0, 0]) { Checksum::Offloaded } else { Checksum::Bad }
}

/// Of a whole TCP segment.
pub(super) fn tcp(source: IpAddr, destination: IpAddr, segment: &[u8]) -> Checksum {
    let Some(field) = segment.get(16..18).and_then(|b| b.first_chunk()).map(|b| u16::from_ne_bytes(*b))
    else {
        return Checksum::Unverified;
    };
    let addresses = match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            u64::from(u32::from_ne_bytes(s.octets())) + u64::from(u32::from_ne_bytes(d.octets()))
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => sum(&s.octets()) + sum(&d.octets()),
        _ => return Checksum::Unverified,
    };
    let word = |n: usize| u64::from((n as u16).to_be()) + u64::from(((n >> 16) as u16).to_be());
    let pseudo = addresses + word(6);
    let with_length = pseudo + word(segment.len());
    if fold(with_length + sum(segment)) == u16::MAX {
        return Checksum::Good;
    }
    // The kernel leaves the sum over the pseudo header to the card, for segments still to be cut up some drivers
    // the one without a length, and others leave nothing.
    if field == 0 || field == fold(with_length) || field == fold(pseudo) {
        Checksum::Offloaded
    } else {
        Checksum::Bad
    }
}

/// Sum in words of 64 bits as they lie in memory, carries added in: folded, it is the sum of the 16-bit words (RFC 1071,
/// section 2). Less than 2³⁵, so that several of them can be added.
#[inline]
fn sum(b: &[u8]) -> u64 {
    let add = |sum: u64, word: u64| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u64::from(carry)
    };
    let (mut even, mut odd) = (0, 0);
    let (pairs, rest) = b.as_chunks::<16>();
    for pair in pairs {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *pair;
        even = add(even, u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
        odd = add(odd, u64::from_ne_bytes([i, j, k, l, m, n, o, p]));
    }
    let halves = |sum: u64| (sum & 0xffff_ffff) + (sum >> 32);
    let mut total = halves(even) + halves(odd);
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    match *rest {
        [a, b, c] => total += u64::from(u32::from_ne_bytes([a, b, c, 0])),
        [a, b] => total += u64::from(u32::from_ne_bytes([a, b, 0, 0])),
        [a] => total += u64::from(u32::from_ne_bytes([a, 0, 0, 0])),
        _ => {}
    }
    total
}

#[inline]
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes)).to_be(), 0xddf2);
        let long: Vec<u8> = bytes.repeat(100);
        let slow = long.chunks(2).fold(0u64, |s, w| s + u64::from(u16::from_ne_bytes([w[0], w[1]])));
        assert_eq!(fold(sum(&long)), fold(slow));
        assert_eq!(fold(sum(&long[..41])), fold(sum(&[&long[..41], &[0][..]].concat())));
        // The largest numbers of every length, in which carries come from everywhere.
        let ones = [0xff; 200];
        for len in 0..ones.len() {
            let slow = ones[..len]
                .chunks(2)
                .fold(0u64, |s, w| s + u64::from(u16::from_ne_bytes([w[0], w.get(1).copied().unwrap_or(0)])));
            assert_eq!(fold(sum(&ones[..len])), fold(slow), "{len} bytes");
        }
    }

    #[test]
    fn a_segment_with_the_kernels_partial_sum_is_offloaded() {
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut segment = vec![7u8; 40];
        segment[16..18].copy_from_slice(&[0, 0]);
        // 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 6 + 40
        segment[16..18].copy_from_slice(&0x1431u16.to_be_bytes());
        assert_eq!(tcp(a, b, &segment), Checksum::Offloaded);
        segment[16..18].copy_from_slice(&[0, 0]);
        let good = !fold(sum(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 40]) + sum(&segment));
        segment[16..18].copy_from_slice(&good.to_ne_bytes());
        assert_eq!(tcp(a, b, &segment), Checksum::Good);
        segment[30] ^= 1;
        assert_eq!(tcp(a, b, &segment), Checksum::Bad);
    }
}
