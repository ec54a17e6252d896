//! Packets that never came, by the IPv4 identifications of those that did.

use crate::tcp::{IdOrder, Ids};

/// Steps of one in a row, about, after which a count is trusted that nothing else speaks for.
const TRUSTED: u8 = 4;

/// Payload of an Ethernet frame at most, bytes. A longer packet was put together of several, and stands for their numbers.
const FRAME: u32 = 1460;

/// The identifications of one direction. Linux counts them up with every packet of a socket
/// (`ip_select_ident_segs`), so that a number which is left out is a packet that was lost, or is late.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    ids: Ids,
    /// The latest packet stands for several.
    merged: bool,
    left_out: u16,
}

impl Numbering {
    /// The packet that opens the connection, or (`answers`) accepts it, with TCP timestamps or without (`stamped`).
    pub(super) fn opened(&mut self, id: Option<u16>, answers: bool, stamped: bool) {
        *self = Self { ids: Ids::opened(id, answers, stamped), ..Self::default() };
        self.take(id, 0);
    }

    /// The next packet. Zero is what one that can't be fragmented may have for want of a number (RFC 6864,
    /// section 4.1).
    pub(super) fn take(&mut self, id: Option<u16>, len: u32) {
        let Some(id) = id.filter(|id| *id != 0) else { return };
        let latest = self.ids.latest();
        let order = self.ids.take(id);
        match order {
            Some(IdOrder::Later(step)) => {
                let merged = std::mem::replace(&mut self.merged, len > FRAME);
                if step > 1 && !merged {
                    // Zero may have been there, and be none.
                    let passed_zero = u16::from(id < latest);
                    self.left_out = self.left_out.saturating_add(step.unsigned_abs() - 1 - passed_zero);
                }
            }
            Some(IdOrder::Overtaken) => self.left_out = self.left_out.saturating_sub(1),
            Some(IdOrder::Same | IdOrder::Ancient) => {}
            None => (self.merged, self.left_out) = (len > FRAME, 0),
        }
        self.ids.watch(order, len);
    }

    /// Packets that were left out since this was asked last.
    pub(super) fn left_out(&mut self) -> u16 {
        let left_out = std::mem::take(&mut self.left_out);
        if self.ids.count_one_socket(TRUSTED) { left_out } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(numbering: &mut Numbering, ids: &[u16]) -> u16 {
        ids.iter().for_each(|id| numbering.take(Some(*id), 1_000));
        numbering.left_out()
    }

    #[test]
    fn numbers_of_a_socket_that_are_left_out_are_packets_that_were_lost() {
        let mut n = Numbering::default();
        n.opened(Some(0), true, true);
        assert_eq!(left_out(&mut n, &[65_534, 65_535, 2, 3]), 1, "0 is no number");
        assert_eq!(left_out(&mut n, &[7, 5, 6, 8]), 1, "4 is missing, the others were late");
        assert_eq!(left_out(&mut n, &[9, 9, 9]), 0);
    }

    #[test]
    fn a_host_that_counts_for_all_or_not_at_all_tells_nothing() {
        let mut n = Numbering::default();
        n.opened(Some(700), true, true);
        assert_eq!(left_out(&mut n, &[702, 703, 709, 710, 714, 715]), 0);
        assert_eq!(left_out(&mut n, &[9_000, 22_000, 3]), 0);
        assert_eq!(left_out(&mut n, &[4, 5, 6, 7, 8, 10]), 0, "not trusted enough after the step");
        assert_eq!(left_out(&mut n, &[11, 12, 13, 14, 15, 16, 17, 19]), 1);
    }

    #[test]
    fn a_packet_that_was_put_together_takes_several_numbers() {
        let mut n = Numbering::default();
        n.opened(Some(0), true, true);
        n.take(Some(1), 100);
        n.take(Some(2), 14_480);
        n.take(Some(12), 100);
        assert_eq!(n.left_out(), 0);
    }
}
