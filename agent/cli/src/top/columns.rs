//! Columns of numbers, rates, and bars of the latest ones.

use ratatui::style::{Color, Modifier, Style};
use tracenet_core::time::DurationNs;

use super::fields::Listed;
use super::screen::Look;
use crate::units::{Time, decimals};

/// A column of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub width: usize,
}

pub const fn column(name: &'static str, width: usize) -> Column {
    Column { name, width }
}

impl Column {
    pub fn head<R: Listed>(&self) -> String {
        let title = R::number(self.name).map_or("", |n| n.title);
        format!("{title:>width$}", width = self.width)
    }

    pub fn cell<R: Listed>(&self, row: &R, look: Look) -> String {
        let n = R::number(self.name).map_or(0, |n| (n.of)(row));
        let text = match self.name {
            "rtt_us" | "pid" if n == 0 => "-".to_owned(),
            "rtt_us" => Time(DurationNs(n.saturating_mul(1_000))).to_string(),
            name if is_rate(name) => rate(n, look),
            _ => n.to_string(),
        };
        format!("{text:>width$}", width = self.width)
    }

    pub fn style<R: Listed>(&self, row: &R, look: Look) -> Style {
        let bad = matches!(self.name, "retransmits" | "drops" | "failed" | "errors" | "timeout")
            && R::number(self.name).is_some_and(|n| (n.of)(row) > 0);
        match bad {
            true if look.color && self.name == "drops" => Style::new().fg(Color::Red),
            true if look.color => Style::new().fg(Color::Yellow),
            true => Style::new().add_modifier(Modifier::BOLD),
            false => Style::new(),
        }
    }
}

/// True for a number of bytes a second.
pub fn is_rate(name: &str) -> bool {
    ["_2s", "_10s", "_40s"].iter().any(|span| name.ends_with(span))
}

/// Bytes a second as iftop shows them: bits, unless bytes are asked for.
pub fn rate(bytes: u64, look: Look) -> String {
    let (n, unit) = if look.bytes { (bytes, 'B') } else { (bytes.saturating_mul(8), 'b') };
    let scaled = |by: f64, prefix: &str| {
        let value = n as f64 / by;
        format!("{value:.*}{prefix}{unit}", decimals(value))
    };
    match n {
        0..1_000 => format!("{n}{unit}"),
        1_000..1_000_000 => scaled(1e3, "k"),
        1_000_000..1_000_000_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// The latest rates as bars, as high as the highest of them allows.
pub fn bars(rates: &[u64], width: usize) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &rates[rates.len().saturating_sub(width)..];
    let most = shown.iter().copied().max().unwrap_or(0).max(1);
    shown.iter().map(|n| BARS[(u128::from(*n) * 8).div_ceil(most.into()).min(8) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_figures() {
        let look = Look::default();
        let bits = [0, 124, 125, 1_250_000, 125_000_000].map(|n| rate(n, look));
        assert_eq!(bits, ["0b", "992b", "1.00kb", "10.0Mb", "1.00Gb"]);
        assert_eq!(rate(999, Look { bytes: true, ..look }), "999B");
    }
}
