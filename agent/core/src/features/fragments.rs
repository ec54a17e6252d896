//! Fragments of one datagram (RFC 791, section 3.2; RFC 8200, section 4.5): where each should have begun, what came
//! twice, what never came.

use crate::ip::IpFacts;

use super::bits::ip_flag;

/// Largest datagram, bytes.
const MAX_LEN: u32 = 65_535;

/// What has come of a datagram.
#[derive(Debug, Clone, Default)]
pub struct Datagram {
    /// As ranges that neither touch nor overlap, in order.
    there: Vec<(u32, u32)>,
    /// Where the next fragment should begin.
    next: u32,
    /// Length, once the last fragment has come.
    len: Option<u32>,
    faults: u32,
}

impl Datagram {
    /// Takes the next fragment.
    pub fn fragment(&mut self, ip: &IpFacts) {
        let from = u32::from(ip.fragment_offset);
        let to = from.saturating_add(ip.total_len.saturating_sub(u32::from(ip.header_len)));
        if from != self.next {
            self.faults |= ip_flag::FRAGMENT_POSITION;
        }
        self.next = to;
        if ip.flags & 1 == 0 {
            self.len.get_or_insert(to);
        }
        if to > MAX_LEN {
            self.faults |= ip_flag::FRAGMENT_RANGE;
        } else if from < to {
            self.cover(from, to);
        }
    }

    fn cover(&mut self, from: u32, to: u32) {
        if self.there.iter().any(|&(left, right)| from < right && left < to) {
            self.faults |= ip_flag::FRAGMENT_OVERLAP;
        }
        let at = self.there.partition_point(|&(left, _)| left < from);
        self.there.insert(at, (from, to));
        self.there.dedup_by(|next, before| {
            let joined = next.0 <= before.1;
            if joined {
                before.1 = before.1.max(next.1);
            }
            joined
        });
    }

    /// Nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.len.is_some_and(|len| matches!(self.there.as_slice(), [(0, to)] if *to >= len))
    }

    /// What is wrong with it as it is now, as bits of `ip_flags`.
    pub(super) fn faults(&self) -> u32 {
        self.faults | if self.is_whole() { 0 } else { ip_flag::FRAGMENT_MISSING }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of fragments from and to these bytes, the last one with nothing behind it.
    fn faults(fragments: &[(u16, u32, bool)]) -> u32 {
        let mut datagram = Datagram::default();
        for &(from, to, more) in fragments {
            let total_len = 20 + to - u32::from(from);
            let flags = u8::from(more);
            let facts =
                IpFacts { fragment_offset: from, header_len: 20, total_len, flags, ..IpFacts::default() };
            datagram.fragment(&facts);
        }
        datagram.faults()
    }

    #[test]
    fn each_fault_has_its_bit() {
        use ip_flag::{FRAGMENT_MISSING, FRAGMENT_OVERLAP, FRAGMENT_POSITION, FRAGMENT_RANGE};
        let (first, middle, last) = ((0, 16, true), (16, 32, true), (32, 40, false));
        assert_eq!(faults(&[first, middle, last]), 0);
        assert_eq!(faults(&[first, last, middle]), FRAGMENT_POSITION, "another order");
        assert_eq!(faults(&[first, last]), FRAGMENT_POSITION | FRAGMENT_MISSING, "a gap");
        assert_eq!(faults(&[first, middle]), FRAGMENT_MISSING, "no end");
        assert_eq!(faults(&[first, first, middle, last]), FRAGMENT_POSITION | FRAGMENT_OVERLAP, "twice");
        assert_eq!(faults(&[first, (8, 40, false)]), FRAGMENT_POSITION | FRAGMENT_OVERLAP, "teardrop");
        let death = faults(&[first, (65_528, 66_000, false)]);
        assert_eq!(death, FRAGMENT_POSITION | FRAGMENT_MISSING | FRAGMENT_RANGE, "ping of death");
    }
}
