//! `tracenet explain-bits`: what the bits of a flow's features mean.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use tracenet_core::features::{CATALOGUE, Feature, feature};

use crate::failure::Failure;

/// Explains each `NAME=VALUE`; without one, lists every feature and bit.
pub fn main(values: &[String]) -> Result<u8, Failure> {
    let mut text = String::new();
    for value in values {
        explain(value, &mut text)?;
    }
    if values.is_empty() {
        list(&mut text);
    }
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write standard output: {e}")))
        }
        _ => Ok(0),
    }
}

fn explain(argument: &str, text: &mut String) -> Result<(), Failure> {
    let usage = |why: String| Failure::Usage(why);
    let (name, value) = argument
        .split_once('=')
        .ok_or_else(|| usage(format!("{argument}: expected NAME=VALUE, e.g. tcp_anomaly=0x02c4")))?;
    let feature = feature(name).filter(|f| !f.bits.is_empty()).ok_or_else(|| {
        let known: Vec<&str> = CATALOGUE.iter().filter(|f| !f.bits.is_empty()).map(|f| f.name).collect();
        usage(format!("{name} is no feature with bits; these are: {}", known.join(", ")))
    })?;
    let value = number(value).ok_or_else(|| {
        usage(format!("{argument}: the value must be a number of 32 bits, e.g. 0x02c4 or 708"))
    })?;
    line(text, format_args!("{name} {value:#06x}: {}", feature.meaning));
    let known = feature.bits.iter().fold(0, |all, bit| all | bit.value);
    for bit in feature.bits.iter().filter(|bit| value & bit.value != 0) {
        bit_line(text, bit.value, bit.meaning, bit.tranalyzer);
    }
    if value & !known != 0 {
        bit_line(text, value & !known, "no meaning", "");
    }
    Ok(())
}

/// As 0x2c4, or decimal.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn list(text: &mut String) {
    line(text, format_args!("Features of `tracenet analyze --flows`, for each direction of a flow."));
    line(
        text,
        format_args!("In brackets: the column of Tranalyzer2 that says the same, and where it differs."),
    );
    for Feature { name, meaning, tranalyzer, bits, .. } in CATALOGUE {
        let same = if tranalyzer.is_empty() { String::new() } else { format!("  [{tranalyzer}]") };
        line(text, format_args!("\n{name}\n    {meaning}{same}"));
        for bit in *bits {
            bit_line(text, bit.value, bit.meaning, bit.tranalyzer);
        }
    }
}

fn bit_line(text: &mut String, value: u32, meaning: &str, tranalyzer: &str) {
    let same = if tranalyzer.is_empty() { String::new() } else { format!("  [{tranalyzer}]") };
    line(text, format_args!("    {value:#06x}  {meaning}{same}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_explained() {
        let mut text = String::new();
        explain("tcp_anomaly=0x02c4", &mut text).expect("a feature");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[1].starts_with("    0x0004  sent again right after duplicate ACKs"), "{text}");
        assert!(lines[4].contains("not captured  [tcpAnomaly 0x0200]"), "{text}");
    }

    #[test]
    fn values_may_be_decimal_and_unknown_bits_are_named() {
        let mut text = String::new();
        explain("tcp_status=3", &mut text).expect("a feature");
        assert!(text.contains("0x0001  no meaning"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (argument, says) in [
            ("tcp_anomaly", "expected NAME=VALUE"),
            ("tcp_anomalies=1", "tcp_anomaly, "),
            ("packets=1", "no feature with bits"),
            ("tcp_flags=0xzz", "0x02c4 or 708"),
            ("tcp_flags=0x100000000", "32 bits"),
        ] {
            let failure = explain(argument, &mut String::new()).expect_err(argument);
            assert!(matches!(&failure, Failure::Usage(text) if text.contains(says)), "{failure}");
        }
    }
}
