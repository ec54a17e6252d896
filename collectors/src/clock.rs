//! The distance between the wall clock and the monotonic clock.

use nix::time::{ClockId, clock_gettime};
use tracenet_core::time::{ClockOffset, MonoNs, WallNs};

/// Triples taken per sample: one undisturbed by an interrupt is enough, and each costs well under a microsecond.
const TRIPLES: usize = 16;

/// A sampled offset and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetSample {
    /// `CLOCK_REALTIME - CLOCK_MONOTONIC`.
    pub offset: ClockOffset,
    /// Nanoseconds between the two monotonic readings around the wall reading: the offset is off by at most
    /// half of this.
    pub width_ns: u64,
}

/// `CLOCK_MONOTONIC` now.
pub fn mono_now() -> MonoNs {
    MonoNs(read(ClockId::CLOCK_MONOTONIC))
}

/// `CLOCK_REALTIME` now.
pub fn wall_now() -> WallNs {
    WallNs(read(ClockId::CLOCK_REALTIME))
}

/// Nanoseconds since boot, suspended time included (`CLOCK_BOOTTIME`).
pub fn boot_now_ns() -> u64 {
    read(ClockId::CLOCK_BOOTTIME)
}

/// Samples the offset. Take it again now and then: NTP slews one clock against the other by up to 500 ppm, and
/// an administrator may step the wall clock.
pub fn sample_offset() -> OffsetSample {
    tightest((0..TRIPLES).map(|_| (mono_now(), wall_now(), mono_now())))
}

/// Of several (mono, wall, mono) readings, the one with the least time between its monotonic ends.
fn tightest(triples: impl Iterator<Item = (MonoNs, WallNs, MonoNs)>) -> OffsetSample {
    triples
        .map(|(before, wall, after)| {
            let width_ns = after.since(before).0;
            let middle = before.after(width_ns / 2);
            let offset = ClockOffset { wall_minus_mono_ns: wall.0.wrapping_sub(middle.0).cast_signed() };
            OffsetSample { offset, width_ns }
        })
        .min_by_key(|s| s.width_ns)
        .unwrap_or(OffsetSample { offset: ClockOffset::default(), width_ns: u64::MAX })
}

fn read(clock: ClockId) -> u64 {
    // Fails for an unknown clock id or a bad address only, and both clocks always exist.
    clock_gettime(clock).map_or(0, |t| {
        let secs = u64::try_from(t.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(t.tv_nsec()).unwrap_or(0);
        secs.saturating_mul(1_000_000_000).saturating_add(nanos)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_triple_wins() {
        let t = [(1_000, 51_000, 9_000), (10_000, 60_050, 10_100), (20_000, 80_000, 29_000)];
        let s = tightest(t.into_iter().map(|(a, w, b)| (MonoNs(a), WallNs(w), MonoNs(b))));
        assert_eq!(s.offset.wall_minus_mono_ns, 50_000);
        assert_eq!(s.width_ns, 100);
    }

    #[test]
    fn a_sample_maps_now_to_now() {
        let s = sample_offset();
        let before = wall_now();
        let mapped = s.offset.wall(mono_now());
        let after = wall_now();
        // Both readings are off by at most the sample's own width.
        assert!(mapped.0 + s.width_ns >= before.0 && mapped.0 <= after.0 + s.width_ns, "{mapped:?} {s:?}");
    }
}
