//! Times of day and time spans as they are written in filters.

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// Seconds with decimals: nanoseconds. What is finer than a nanosecond is dropped.
pub fn span(word: &str) -> Option<i128> {
    let word = word.strip_suffix('s').unwrap_or(word);
    let (whole, fraction) = match word.split_once('.') {
        Some((whole, fraction)) => (whole, nanoseconds(fraction)?),
        None => (word, 0),
    };
    let whole = number(whole, 1, 18)?;
    Some(i128::from(whole) * SECOND + i128::from(fraction))
}

/// A number of `least` to `most` decimal digits.
fn number(digits: &str, least: usize, most: usize) -> Option<i64> {
    let fits = (least..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}

/// Decimals of a second.
fn nanoseconds(decimals: &str) -> Option<i64> {
    if decimals.is_empty() || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nine = decimals.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(nine.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// `2024-01-02 03:04:05.678`, with `T` between, with `Z` or an offset after, with less than seconds; or
/// `Jan 2, 2024 03:04:05.678`, perhaps followed by ` UTC`. Nanoseconds since 1970; `to_utc` tells what to add to a
/// local time.
pub fn absolute(text: &str, to_utc: &dyn Fn(i64) -> i64) -> Option<i128> {
    let text = text.trim();
    let (day, clock, utc) =
        if text.as_bytes().first()?.is_ascii_digit() { iso(text)? } else { legacy(text)? };
    let (seconds, fraction) = clock;
    let local = day * 86_400 + seconds;
    let offset = match utc {
        Some(offset) => offset,
        None => to_utc(local),
    };
    Some(i128::from(local.checked_add(offset)?) * SECOND + i128::from(fraction))
}

/// Day since 1970, (seconds, nanoseconds) of the day, and what to add to get UTC where it is said.
type Parts = (i64, (i64, i64), Option<i64>);

fn iso(text: &str) -> Option<Parts> {
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, Some(clock.trim())),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4, 4)?;
    let month = number(parts.next()?, 2, 2)?;
    let of_month = number(parts.next()?, 2, 2)?;
    if parts.next().is_some() {
        return None;
    }
    let day = day(year, month, of_month)?;
    let Some(clock) = clock else { return Some((day, (0, 0), None)) };
    let (clock, utc) = match clock.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, Some(0)),
        None => match clock.rfind(['+', '-']) {
            Some(at) => (clock[..at].trim_end(), Some(offset(&clock[at..])?)),
            None => (clock, None),
        },
    };
    Some((day, time_of_day(clock)?, utc))
}

/// `+01:00` east of Greenwich: an hour less is UTC.
fn offset(text: &str) -> Option<i64> {
    let (east, digits) = match text.strip_prefix('+') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('-')?),
    };
    let digits = digits.replace(':', "");
    let seconds = match digits.len() {
        2 => number(&digits, 2, 2)? * 3600,
        4 => number(digits.get(..2)?, 2, 2)? * 3600 + number(digits.get(2..)?, 2, 2)? * 60,
        _ => return None,
    };
    Some(if east { -seconds } else { seconds })
}

fn legacy(text: &str) -> Option<Parts> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (text, utc) = match text.strip_suffix("UTC") {
        Some(text) => (text, Some(0)),
        None => (text, None),
    };
    let mut words = text.split_whitespace();
    let name = words.next()?;
    let month = (1..).zip(MONTHS).find(|(_, m)| m.eq_ignore_ascii_case(name))?.0;
    let of_month = number(words.next()?.trim_end_matches(','), 1, 2)?;
    let year = number(words.next()?, 4, 4)?;
    let clock = time_of_day(words.next()?)?;
    if words.next().is_some() {
        return None;
    }
    Some((day(year, month, of_month)?, clock, utc))
}

/// `03:04[:05[.678]]`: seconds and nanoseconds.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    let mut parts = text.split(':');
    let hour = number(parts.next()?, 1, 2).filter(|h| *h < 24)?;
    let minute = number(parts.next()?, 2, 2).filter(|m| *m < 60)?;
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(text) => {
            let (whole, fraction) = match text.split_once(['.', ',']) {
                Some((whole, fraction)) => (whole, nanoseconds(fraction)?),
                None => (text, 0),
            };
            (number(whole, 2, 2).filter(|s| *s <= 60)?, fraction)
        }
    };
    if parts.next().is_some() {
        return None;
    }
    Some((hour * 3600 + minute * 60 + second, fraction))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn day(year: i64, month: i64, of_month: i64) -> Option<i64> {
    let leap = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month - 1).ok().filter(|m| *m < 12)?;
    if !(1..=lengths[before]).contains(&of_month) {
        return None;
    }
    let past = year - 1;
    let days = past * 365 + past / 4 - past / 100 + past / 400 - 719_162;
    Some(days + lengths[..before].iter().sum::<i64>() + of_month - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (word, ns) in [("0", 0), ("1", SECOND), ("0.1", 100_000_000), ("0.1s", 100_000_000)] {
            assert_eq!(span(word), Some(ns), "{word}");
        }
        assert_eq!(span("0.1234567899"), Some(123_456_789));
        for word in ["1e-1", "0x10", "1.", ".1", "", "s", "1.2.3", "99999999999999999999"] {
            assert_eq!(span(word), None, "{word}");
        }
    }

    #[test]
    fn times_of_day() {
        let east = |_| -3600;
        let at = |text| absolute(text, &east);
        let s = 1_704_164_645;
        assert_eq!(at("2024-01-02T03:04:05Z"), Some(s * SECOND));
        assert_eq!(at("2024-01-02 03:04:05.25Z"), Some(s * SECOND + SECOND / 4));
        assert_eq!(at("2024-01-02 03:04:05"), Some((s - 3600) * SECOND));
        assert_eq!(at("2024-01-02T03:04:05+01:00"), at("2024-01-02 03:04:05"));
        assert_eq!(at("2024-01-02T03:04:05-0100"), Some((s + 3600) * SECOND));
        assert_eq!(at("Jan 2, 2024 03:04:05 UTC"), Some(s * SECOND));
        assert_eq!(at("Jan  2, 2024 03:04:05.5 UTC"), Some(s * SECOND + SECOND / 2));
        assert_eq!(at("2024-01-02 03:04Z"), Some((s - 5) * SECOND));
        assert_eq!(absolute("1970-01-01", &|_| 0), Some(0));
        assert_eq!(absolute("2000-03-01", &|_| 0), Some(951_868_800 * SECOND));
        assert_eq!(absolute("1969-12-31 23:59:59", &|_| 0), Some(-SECOND));
        for text in [
            "nonsense",
            "2000-13-02 03:04:05",
            "2001-02-29",
            "1000",
            "Jan 2, 2000",
            "2000-01-02 25:00",
            "",
            "é",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
