//! Every counter of the protocols, as nstat(8) prints them.

use std::fmt::Write as _;

use super::json;
use super::span::{Span, ratio};

/// `--nstat` with its flags.
#[derive(Clone, Copy)]
pub struct Nstat {
    /// `-a`: values since the namespace was made, not what they grew by.
    pub absolute: bool,
    /// `-z`: zeros too.
    pub zeros: bool,
}

/// Settings and levels that nstat takes for useless.
const USELESS: [&str; 7] = [
    "IpForwarding",
    "IpDefaultTTL",
    "TcpRtoAlgorithm",
    "TcpRtoMin",
    "TcpRtoMax",
    "TcpMaxConn",
    "TcpCurrEstab",
];

impl Nstat {
    /// Name, value and rate of each counter that is to be told, in the kernel's order.
    fn rows<'a>(self, span: &Span<'a>) -> impl Iterator<Item = (&'a str, u64, f64)> {
        let (before, after, seconds) = (span.before(), span.after(), span.seconds());
        // What the other files say has a dot in its name.
        let mibs = after.counters.iter().filter(|(name, _)| !name.contains('.') && !USELESS.contains(name));
        mibs.filter_map(move |(name, now)| {
            let grown = after.counters.change(&before.counters, name).unwrap_or(0);
            let grown = u64::try_from(grown).unwrap_or(0);
            let value = if self.absolute { now.value } else { grown };
            (self.zeros || value != 0).then(|| (name, value, ratio(grown as f64, seconds)))
        })
    }

    /// As nstat prints it. The rate is that of the interval; since boot it is none, as there.
    pub fn text(self, span: &Span<'_>, stamp: Option<&str>, out: &mut String) {
        let _ = match stamp {
            Some(stamp) => writeln!(out, "#kernel {stamp}"),
            None => writeln!(out, "#kernel"),
        };
        for (name, value, rate) in self.rows(span) {
            let rate = if stamp.is_some() { rate } else { 0.0 };
            let _ = writeln!(out, "{name:<32}{value:<16}{rate:>6.1}");
        }
    }

    /// One object with all counters.
    pub fn json(self, span: &Span<'_>, out: &mut String) {
        json::begin("NSTAT", span, false, out);
        json::field("absolute", &self.absolute, out);
        out.push_str(",\"counters\":{");
        let from = out.len();
        for (name, value, _) in self.rows(span) {
            json::field(name, &value, out);
        }
        // The first has no comma before it.
        if out.len() > from {
            out.remove(from);
        }
        out.push_str("}}\n");
    }
}
