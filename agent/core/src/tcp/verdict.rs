//! What the analyser says of a segment, in Wireshark's words.

use std::fmt;

use serde::{Serialize, Serializer};

/// Verdicts on one segment, as a set of bits. Names and meaning are those of Wireshark's TCP analysis (User's
/// Guide, section 7.5), where the field is `tcp.analysis.<name>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Verdicts(pub u32);

macro_rules! verdicts {
    ($($(#[$doc:meta])* $konst:ident = $bit:literal, $name:literal;)*) => {
        impl Verdicts {
            $($(#[$doc])* pub const $konst: Self = Self(1 << $bit);)*

            /// Every verdict with its name, in the order in which names are printed.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$konst, $name),)*];
        }
    };
}

verdicts! {
    /// Sent again: sequence space that was seen before, or that should have been.
    RETRANSMISSION = 0, "retransmission";
    /// Sent again right after duplicate ACKs asked for it (RFC 5681, section 3.2). Comes with `RETRANSMISSION`.
    FAST_RETRANSMISSION = 1, "fast_retransmission";
    /// Sent again although the peer had acknowledged it. Comes with `RETRANSMISSION`.
    SPURIOUS_RETRANSMISSION = 2, "spurious_retransmission";
    /// Something before this segment was not captured.
    LOST_SEGMENT = 3, "lost_segment";
    /// Acknowledges something that was not captured.
    ACK_LOST_SEGMENT = 4, "ack_lost_segment";
    /// Arrived later than its successor, too soon after it for a retransmission.
    OUT_OF_ORDER = 5, "out_of_order";
    /// Acknowledges again what was acknowledged, and asks for what follows.
    DUPLICATE_ACK = 6, "duplicate_ack";
    /// The sender's receive window is shut.
    ZERO_WINDOW = 7, "zero_window";
    /// One byte sent into a shut window (RFC 9293, section 3.8.6.1).
    ZERO_WINDOW_PROBE = 8, "zero_window_probe";
    /// Answer to a zero window probe, the window still being shut.
    ZERO_WINDOW_PROBE_ACK = 9, "zero_window_probe_ack";
    /// The segment fills the peer's receive window to the brim.
    WINDOW_FULL = 10, "window_full";
    /// Nothing new but the window.
    WINDOW_UPDATE = 11, "window_update";
    /// Keep-alive probe (RFC 9293, section 3.8.4).
    KEEP_ALIVE = 12, "keep_alive";
    /// Answer to a keep-alive probe.
    KEEP_ALIVE_ACK = 13, "keep_alive_ack";
    /// A new connection on the addresses and ports of an earlier one.
    REUSED_PORTS = 14, "reused_ports";
}

impl Verdicts {
    /// No verdict.
    pub const NONE: Self = Self(0);

    /// No verdict at all.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of `other`'s verdicts are in `self`.
    #[inline]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// At least one of `other`'s verdicts is in `self`.
    #[inline]
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds `other`'s verdicts.
    #[inline]
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Names of the verdicts in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(v, _)| self.contains(*v)).map(|(_, name)| *name)
    }

    /// The single verdict of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(v, _)| *v)
    }
}

impl std::ops::BitOr for Verdicts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Verdicts {
    /// The names, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verdicts({self})")
    }
}

/// As a list of names.
impl Serialize for Verdicts {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::Verdicts;

    #[test]
    fn names_go_both_ways() {
        for (v, name) in Verdicts::ALL {
            assert_eq!(Verdicts::from_name(name), Some(*v));
            assert_eq!(v.to_string(), *name);
        }
        assert_eq!(Verdicts::from_name("rto"), None);
        let two = Verdicts::RETRANSMISSION | Verdicts::FAST_RETRANSMISSION;
        assert_eq!(two.names().collect::<Vec<_>>(), ["retransmission", "fast_retransmission"]);
        assert_eq!(two.to_string(), "retransmission,fast_retransmission");
    }
}
