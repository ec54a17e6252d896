//! Two clocks that must never be mixed: the kernel's monotonic clock, in which the core lives, and the wall
//! clock, in which people and collectors live. The only conversion is [`ClockOffset`], applied at the edge.

use serde::{Deserialize, Serialize};

/// Nanoseconds of `CLOCK_MONOTONIC` (what `bpf_ktime_get_ns` returns).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct MonoNs(pub u64);

/// Nanoseconds since the Unix epoch (`CLOCK_REALTIME`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct WallNs(pub u64);

/// A length of time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct DurationNs(pub u64);

impl MonoNs {
    /// Time from `earlier` to `self`; zero where the order is the other way round.
    pub fn since(self, earlier: MonoNs) -> DurationNs {
        DurationNs(self.0.saturating_sub(earlier.0))
    }

    /// `self` moved back by `ns`, not beyond zero.
    pub fn before(self, ns: u64) -> MonoNs {
        MonoNs(self.0.saturating_sub(ns))
    }

    /// `self` moved on by `ns`.
    pub fn after(self, ns: u64) -> MonoNs {
        MonoNs(self.0.saturating_add(ns))
    }
}

/// The distance between the two clocks, sampled at the edge and handed to whoever converts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClockOffset {
    /// `CLOCK_REALTIME - CLOCK_MONOTONIC`, in nanoseconds.
    pub wall_minus_mono_ns: i64,
}

impl ClockOffset {
    /// The wall time of a monotonic stamp.
    pub fn wall(self, t: MonoNs) -> WallNs {
        WallNs(t.0.saturating_add_signed(self.wall_minus_mono_ns))
    }

    /// The monotonic time of a wall stamp.
    pub fn mono(self, t: WallNs) -> MonoNs {
        MonoNs(t.0.saturating_add_signed(self.wall_minus_mono_ns.saturating_neg()))
    }
}
