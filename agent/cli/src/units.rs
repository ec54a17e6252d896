//! Numbers as people read them.

use std::fmt;

use tracenet_core::time::DurationNs;

/// A duration with three significant figures: `37 us`, `1.43 ms`, `208 ms`, `2.50 s`.
pub struct Time(pub DurationNs);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.0;
        let (value, unit) = match ns {
            0..1_000 => return write!(f, "{ns} ns"),
            1_000..1_000_000 => (ns as f64 / 1e3, "us"),
            1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
            _ => (ns as f64 / 1e9, "s"),
        };
        write!(f, "{value:.*} {unit}", decimals(value))
    }
}

/// Decimals that make three significant figures of a number below 1000.
pub fn decimals(value: f64) -> usize {
    if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    }
}

/// Bytes in decimal units: `31 B`, `1.2 kB`, `4.0 MB`.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        match n {
            0..1_000 => write!(f, "{n} B"),
            1_000..1_000_000 => write!(f, "{:.1} kB", n as f64 / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", n as f64 / 1e6),
            _ => write!(f, "{:.2} GB", n as f64 / 1e9),
        }
    }
}

/// `1 packet`, `2 packets`.
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// A number with at most so many significant digits and no zeros at its end: C's `%g`, as in ss's words.
pub struct General(pub f64, pub usize);

impl fmt::Display for General {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, digits) = *self;
        let digits = digits.max(1);
        // The exponent after rounding to these digits.
        let scientific = format!("{value:.*e}", digits - 1);
        let Some((mantissa, exponent)) = scientific.split_once('e') else { return value.fmt(f) };
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let trimmed = |text: &str| match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text.to_owned(),
        };
        match usize::try_from(exponent) {
            Err(_) if exponent >= -4 => {
                let places = digits - 1 + usize::try_from(-exponent).unwrap_or(0);
                f.write_str(&trimmed(&format!("{value:.places$}")))
            }
            Ok(whole) if whole < digits => f.write_str(&trimmed(&format!("{value:.*}", digits - 1 - whole))),
            _ => {
                let sign = if exponent < 0 { '-' } else { '+' };
                write!(f, "{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_significant_figures() {
        let t = |ns| Time(DurationNs(ns)).to_string();
        assert_eq!(t(999), "999 ns");
        assert_eq!(t(37_000), "37.0 us");
        assert_eq!(t(1_430_000), "1.43 ms");
        assert_eq!(t(208_480_000), "208 ms");
        assert_eq!(t(2_500_000_000), "2.50 s");
        assert_eq!(Bytes(31).to_string(), "31 B");
        assert_eq!(Bytes(1_234).to_string(), "1.2 kB");
        assert_eq!(Count(1, "packet").to_string(), "1 packet");
    }
    #[test]
    fn as_printf_has_it() {
        for (value, digits, text) in [
            (0.0, 6, "0"),
            (204.0, 6, "204"),
            (0.052, 6, "0.052"),
            (123.456, 6, "123.456"),
            (1_234.567, 6, "1234.57"),
            (120_000.0, 6, "120000"),
            (1_234_567.0, 6, "1.23457e+06"),
            (0.000_012_5, 6, "1.25e-05"),
            (999.96, 3, "1e+03"),
            (2.885_39, 6, "2.88539"),
            (65.04, 3, "65"),
        ] {
            assert_eq!(General(value, digits).to_string(), text, "{value}");
        }
    }
}
