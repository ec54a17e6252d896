//! Moments as people read them: `14:44:42.851203`, local time.

use std::fmt::Write as _;

use tracenet_core::time::{ClockOffset, MonoNs};

/// Writes moments; the second before the point is formatted when it changes.
#[derive(Default)]
pub struct Stamp {
    clock: ClockOffset,
    second: Option<u64>,
    text: String,
}

impl Stamp {
    /// The clocks' distance from here on.
    pub fn set_clock(&mut self, clock: ClockOffset) {
        self.clock = clock;
    }

    /// Appends the time of day with microseconds.
    pub fn write(&mut self, t: MonoNs, out: &mut String) {
        let wall = self.clock.wall(t).0;
        let (second, nanos) = (wall / 1_000_000_000, wall % 1_000_000_000);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text =
                i64::try_from(second).ok().and_then(|s| jiff::Timestamp::from_second(s).ok()).map_or_else(
                    || second.to_string(),
                    |t| t.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string(),
                );
        }
        let _ = write!(out, "{}.{:06}", self.text, nanos / 1_000);
    }
}
