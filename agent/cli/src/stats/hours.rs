//! Times of day: stamps, and the bounds of `-s` and `-e`.

use std::str::FromStr;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use tracenet_core::time::WallNs;

/// A moment in local time.
pub fn local(t: WallNs) -> Option<Zoned> {
    let timestamp = Timestamp::from_nanosecond(i128::from(t.0)).ok()?;
    Some(timestamp.to_zoned(TimeZone::system()))
}

/// `12:49:57`
pub fn stamp(t: WallNs) -> String {
    local(t).map_or_else(|| "?".to_owned(), |z| z.strftime("%H:%M:%S").to_string())
}

/// `2026-11-30`
pub fn date(t: WallNs) -> String {
    local(t).map_or_else(|| "?".to_owned(), |z| z.strftime("%Y-%m-%d").to_string())
}

/// A time of day from the command line: HH:MM or HH:MM:SS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfDay(Time);

impl FromStr for OfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text}: expected HH:MM or HH:MM:SS, e.g. 08:30");
        let mut numbers = text.split(':').map(|n| (n.len() == 2).then(|| n.parse::<i8>().ok()).flatten());
        let (Some(Some(hour)), Some(Some(minute))) = (numbers.next(), numbers.next()) else {
            return Err(wrong());
        };
        let second = numbers.next().unwrap_or(Some(0)).ok_or_else(wrong)?;
        if numbers.next().is_some() {
            return Err(wrong());
        }
        Time::new(hour, minute, second, 0).map(Self).map_err(|_| wrong())
    }
}

/// What of a file is shown. Times are of the day on which the file begins; an end that is not after the start, or the
/// file's beginning, is the next day's.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Bounds {
    /// For a file whose first sample is of `first`.
    pub fn new(first: WallNs, start: Option<OfDay>, end: Option<OfDay>) -> Self {
        let Some(first) = local(first) else { return Self::default() };
        let on_day = |of_day: OfDay| first.with().time(of_day.0).build().ok();
        let start = start.and_then(on_day);
        let from = start.clone().unwrap_or_else(|| first.clone());
        let end = end
            .and_then(on_day)
            .and_then(|end| if end > from { Some(end) } else { end.checked_add(1.day()).ok() });
        Self { start: start.map(|z| z.timestamp()), end: end.map(|z| z.timestamp()) }
    }

    /// True where a sample of `t` lies within, both ends included to the second.
    pub fn contain(&self, t: WallNs) -> bool {
        let Ok(second) = i64::try_from(t.0 / 1_000_000_000) else { return false };
        self.start.is_none_or(|s| second >= s.as_second()) && self.end.is_none_or(|e| second <= e.as_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WallNs {
        let z = text.parse::<jiff::civil::DateTime>().unwrap().to_zoned(TimeZone::system()).unwrap();
        WallNs(u64::try_from(z.timestamp().as_nanosecond()).unwrap())
    }

    #[test]
    fn times_of_day() {
        assert!("08:30".parse::<OfDay>().is_ok());
        assert!("23:59:59".parse::<OfDay>().is_ok());
        for wrong in ["24:00", "8:30", "08", "08:30:00:00", "08:3x", "", "08:60"] {
            assert!(wrong.parse::<OfDay>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bounds_are_of_the_day_on_which_the_file_begins() {
        let day = |s: &str, e: &str| Bounds::new(at("2026-03-01T10:00"), s.parse().ok(), e.parse().ok());
        let b = day("11:00", "12:00");
        assert!(!b.contain(at("2026-03-01T10:59:59")));
        assert!(b.contain(at("2026-03-01T11:00")) && b.contain(at("2026-03-01T12:00")));
        assert!(!b.contain(at("2026-03-01T12:00:01")) && !b.contain(at("2026-03-02T11:30")));
        // Over midnight.
        let b = day("23:00", "01:00");
        assert!(b.contain(at("2026-03-02T00:30")) && !b.contain(at("2026-03-02T01:30")));
        // A start before the file's beginning.
        assert!(day("09:00", "").contain(at("2026-03-01T10:00")));
        // An end before the file's beginning is the next day's.
        assert!(day("", "01:00").contain(at("2026-03-02T00:59")));
    }
}
