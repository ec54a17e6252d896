//! Sizes (`64MiB`) and times (`10s`) as people write them. Strict: a number without a unit is a mistake for a time,
//! and bytes for a size.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::checked;

/// What is wrong with a size or a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a size.
    #[error("`{}` is no size: use bytes or a unit, such as 4096, 64KiB, 16MiB, 1GiB", .0.escape_debug())]
    Size(String),
    /// Not a time.
    #[error("`{}` is no time: use a number and a unit, such as 500ms, 10s, 2m, 1h", .0.escape_debug())]
    Time(String),
    /// Not a share.
    #[error("`{}` is no share: use a number and a percent sign, 0.01% to 100%, such as 1%", .0.escape_debug())]
    Percent(String),
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// A share, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u32);

impl Percent {
    /// 0.01 for 1 %.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

const SIZES: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

const TIMES: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// `digits[.digits]unit`, exactly: no sign, no spaces, no exponent, nothing below one of the smallest unit.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let mut total = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale);
    if !fraction.is_empty() {
        let parts = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale);
        let per = 10_u128.pow(fraction.len() as u32);
        if parts % per != 0 {
            return None;
        }
        total += parts / per;
    }
    u64::try_from(total).ok()
}

/// Reads a size: `4096`, `64KiB`, `1.5GiB`, `10MB`.
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    quantity(text, &SIZES).ok_or_else(|| QuantityError::Size(text.to_owned()))
}

/// Reads a time: `500ms`, `10s`, `1.5h`. The largest is 2^64 ns, 584 years.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    quantity(text, &TIMES).map(Duration::from_nanos).ok_or_else(|| QuantityError::Time(text.to_owned()))
}

/// Reads a share from 0.01 % to 100 %: `1%`, `0.5%`.
pub fn parse_percent(text: &str) -> Result<Percent, QuantityError> {
    quantity(text, &[("%", 10_000)])
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| (100..=1_000_000).contains(n))
        .map(Percent)
        .ok_or_else(|| QuantityError::Percent(text.to_owned()))
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 1e4)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZES[..3].iter().find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale));
        match exact {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if ns == 0 {
            return f.write_str("0s");
        }
        let exact = TIMES.iter().find(|(_, scale)| ns.is_multiple_of(*scale));
        let (unit, scale) = exact.copied().unwrap_or(("ns", 1));
        write!(f, "{}{unit}", ns / scale)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        checked::percent(from)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        checked::bytes::<D, 0, { u64::MAX }>(from)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        checked::time::<D, 0, { u64::MAX }>(from)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size: bytes, or a number with a unit (KiB, MiB, GiB, kB, MB, GB).",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,9})?(GiB|MiB|KiB|GB|MB|kB|B)?$" },
            ],
        })
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share: a number from 0.01 to 100 and a percent sign.",
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]{1,9})?%$",
        })
    }
}

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time: a number with a unit (h, m, s, ms, us, ns).",
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]{1,9})?(h|m|s|ms|us|ns)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_mean_what_they_say() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1B", 1),
            ("64KiB", 65_536),
            ("1.5GiB", 1_610_612_736),
            ("10MB", 10_000_000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for (text, ns) in [
            ("500ms", 500_000_000),
            ("10s", 10_000_000_000),
            ("2m", 120_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("0.001us", 1),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn sloppy_ones_are_refused() {
        for text in [
            "",
            "MiB",
            "64 MiB",
            "64mib",
            "64M",
            "-1",
            "+1",
            "1e3",
            ".5MiB",
            "1.MiB",
            "1.5B",
            "1.5.5MiB",
            "0x10",
            "18446744073709551616",
            "17179869184GiB",
            "٣KiB",
            "64MiB ",
        ] {
            assert_eq!(parse_bytes(text), Err(QuantityError::Size(text.to_owned())));
        }
        for text in ["", "1", "%", "1 %", "0%", "0.001%", "100.1%", "-1%", "1%%"] {
            assert_eq!(parse_percent(text), Err(QuantityError::Percent(text.to_owned())));
        }
        for text in
            ["", "10", "s", "10 s", "-1s", "1.5ns", "1d", "1sec", "10S", "1h30m", "99999999999h", "infs"]
        {
            assert_eq!(parse_duration(text), Err(QuantityError::Time(text.to_owned())));
        }
    }

    #[test]
    fn printed_ones_read_back() {
        for n in [0, 1, 1023, 1024, 65_536, 3 << 19, 16 << 20, 1 << 40, u64::MAX] {
            assert_eq!(parse_bytes(&Bytes(n).to_string()), Ok(n));
            let t = Time(Duration::from_nanos(n));
            assert_eq!(parse_duration(&t.to_string()), Ok(t.0));
        }
        for text in ["0.01%", "0.5%", "1%", "100%"] {
            assert_eq!(parse_percent(text).map(|p| p.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(parse_percent("1%").map(Percent::ratio), Ok(0.01));
        assert_eq!(Bytes(16 << 20).to_string(), "16MiB");
        assert_eq!(Time(Duration::from_millis(1500)).to_string(), "1500ms");
    }
}
