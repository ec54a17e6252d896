//! Moments as people read them: `14:44:42.851203`, local time.

use std::fmt::Write as _;

use tracenet_core::time::{ClockOffset, MonoNs};

use crate::strace::Stamps;

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
        let nanos = self.second(t, out);
        let _ = write!(out, ".{:06}", nanos / 1_000);
    }

    /// Appends the time as strace's flags ask for it, and a space.
    pub fn write_as(&mut self, stamps: Stamps, t: MonoNs, out: &mut String) {
        match stamps {
            Stamps::None => return,
            Stamps::Seconds => drop(self.second(t, out)),
            Stamps::Micros => self.write(t, out),
            Stamps::Epoch => {
                let wall = self.clock.wall(t).0;
                let _ = write!(out, "{}.{:06}", wall / 1_000_000_000, wall % 1_000_000_000 / 1_000);
            }
        }
        out.push(' ');
    }

    /// Appends the time of day and returns the nanoseconds after it.
    fn second(&mut self, t: MonoNs, out: &mut String) -> u64 {
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
        out.push_str(&self.text);
        nanos
    }
}
