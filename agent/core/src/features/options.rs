//! TCP options as they stand in a header: which, how many, in which order.

/// Option kinds kept for the fingerprint.
pub(super) const MAX_KINDS: usize = 20;

/// Kinds (IANA, "TCP Option Kind Numbers").
const END: u8 = 0;
const NOP: u8 = 1;
const MPTCP: u8 = 30;

/// Options that nearly every segment carries: two of no operation, then timestamps (RFC 7323, appendix A).
const USUAL: [u8; 4] = [NOP, NOP, 8, 10];

/// What the options of one or more segments were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct OptionsSeen {
    /// Segments with options.
    pub packets: u32,
    /// Options, those of no operation included, the end of the list not.
    pub count: u32,
    /// Bit n: kind n; bit 31: kinds above 30.
    pub kinds: u32,
    /// An option's length leads out of the header, or the header was cut.
    pub damaged: bool,
    pub mptcp: Mptcp,
}

/// Multipath TCP (RFC 8684, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mptcp {
    /// Bit n: subtype n.
    pub subtypes: u16,
    /// Flags of MP_CAPABLE.
    pub flags: u8,
    /// Last address identifier told (MP_JOIN, ADD_ADDR, REMOVE_ADDR, MP_PRIO).
    pub address_id: u8,
    /// Flags of DSS.
    pub dss_flags: u8,
}

impl OptionsSeen {
    /// Takes a segment's options in.
    #[inline]
    pub fn add(&mut self, raw: &[u8]) {
        if raw.is_empty() {
            return;
        }
        self.packets = self.packets.saturating_add(1);
        if raw.len() == 12 && raw.starts_with(&USUAL) {
            self.count = self.count.saturating_add(3);
            self.kinds |= 1 << NOP | 1 << 8;
            return;
        }
        self.walk(raw);
    }

    fn walk(&mut self, raw: &[u8]) {
        for option in Walk(raw) {
            let Some((kind, data)) = option else {
                self.damaged = true;
                return;
            };
            self.count = self.count.saturating_add(1);
            self.kinds |= 1 << kind.min(31);
            if kind == MPTCP {
                self.mptcp.add(data);
            }
        }
    }
}

impl Mptcp {
    fn add(&mut self, data: &[u8]) {
        let (Some(first), second) = (data.first(), data.get(1).copied().unwrap_or(0)) else { return };
        let subtype = first >> 4;
        self.subtypes |= 1 << subtype;
        match subtype {
            0 => self.flags |= second,
            2 => self.dss_flags |= second,
            1 | 3 | 4 | 5 => self.address_id = second,
            _ => {}
        }
    }
}

/// Kinds of a SYN's options in their order, for JA4T.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kinds {
    kinds: [u8; MAX_KINDS],
    len: u8,
}

impl Kinds {
    /// The bytes that fill the header up after the end of the list count as ends, as in FoxIO's own examples.
    pub fn of(raw: &[u8]) -> Self {
        let mut all = Self::default();
        let mut walk = Walk(raw);
        let mut rest = raw;
        while let Some((place, option)) = all.kinds.get_mut(usize::from(all.len)).zip(walk.next()) {
            let Some((kind, _)) = option else { return all };
            *place = kind;
            all.len += 1;
            rest = walk.0;
        }
        for _ in rest.iter().take_while(|b| **b == END) {
            let Some(place) = all.kinds.get_mut(usize::from(all.len)) else { break };
            *place = END;
            all.len += 1;
        }
        all
    }

    pub fn as_slice(&self) -> &[u8] {
        self.kinds.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Kind and data of each option up to the end of the list; `None` once, last, where one is damaged.
struct Walk<'a>(&'a [u8]);

impl<'a> Iterator for Walk<'a> {
    type Item = Option<(u8, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, rest) = self.0.split_first()?;
        match *kind {
            END => {
                self.0 = &[];
                None
            }
            NOP => {
                self.0 = rest;
                Some(Some((NOP, &[])))
            }
            kind => {
                let len = rest.first().copied().unwrap_or(0).checked_sub(2).map(usize::from);
                let data = len.and_then(|len| rest.get(1..)?.split_at_checked(len));
                self.0 = data.map_or(&[], |(_, rest)| rest);
                Some(data.map(|(data, _)| (kind, data)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MSS 1460, SACK permitted, timestamps, no operation, window scale 10.
    const SYN: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 10];

    #[test]
    fn options_are_counted_and_kept_in_order() {
        let mut seen = OptionsSeen::default();
        seen.add(&SYN);
        seen.add(&[1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 1]);
        seen.add(&[]);
        assert_eq!((seen.packets, seen.count, seen.kinds, seen.damaged), (2, 8, 0x11e, false));
        assert_eq!(Kinds::of(&SYN).as_slice(), [2, 4, 8, 1, 3]);
    }

    #[test]
    fn the_end_of_the_list_ends_it() {
        let mut seen = OptionsSeen::default();
        seen.add(&[2, 4, 5, 0xb4, 0, 1, 1, 1]);
        assert_eq!((seen.count, seen.kinds), (1, 4));
    }

    #[test]
    fn a_fingerprint_shows_the_ends() {
        assert_eq!(Kinds::of(&[2, 4, 5, 0xb4, 1, 0, 0, 0]).as_slice(), [2, 1, 0, 0, 0]);
    }

    #[test]
    fn damage_is_told_whatever_the_length_says() {
        for raw in [&[3][..], &[3, 0], &[3, 1, 0], &[8, 10, 0, 0], &[255, 255]] {
            let mut seen = OptionsSeen::default();
            seen.add(raw);
            assert!(seen.damaged, "{raw:?}");
            assert!(Kinds::of(raw).as_slice().is_empty());
        }
    }

    #[test]
    fn more_options_than_fit_are_left_out() {
        assert_eq!(Kinds::of(&[1; 40]).as_slice().len(), MAX_KINDS);
    }

    #[test]
    fn multipath_tcp_tells_its_subtypes() {
        let mut seen = OptionsSeen::default();
        seen.add(&[30, 4, 0x01, 0x81]);
        seen.add(&[30, 4, 0x20, 0x05]);
        seen.add(&[30, 4, 0x30, 0x07]);
        seen.add(&[30, 2]);
        let want = Mptcp { subtypes: 0b1101, flags: 0x81, address_id: 7, dss_flags: 5 };
        assert_eq!(seen.mptcp, want);
    }
}
