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
        let digits = if value < 9.995 {
            2
        } else if value < 99.95 {
            1
        } else {
            0
        };
        write!(f, "{value:.digits$} {unit}")
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
}
