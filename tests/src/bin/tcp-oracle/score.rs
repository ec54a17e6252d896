//! Agreement, counted.

use std::collections::BTreeMap;
use std::fmt;

use tracenet_core::tcp::{StreamSegment, Verdicts};

use crate::oracle::Row;

#[derive(Debug, Default, Clone, Copy)]
struct Hits {
    both: u64,
    only_ours: u64,
    only_tshark: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Value {
    given: u64,
    equal: u64,
    /// Ours where tshark gives none.
    extra: u64,
}

/// Sums over frames.
#[derive(Debug, Default)]
pub struct Score {
    pub frames: u64,
    pub same_verdicts: u64,
    pub same_all: u64,
    pub missing: u64,
    /// Frames left out because their TCP header is cut: tshark gives up before it analyses them.
    pub cut: u64,
    verdicts: BTreeMap<&'static str, Hits>,
    values: BTreeMap<&'static str, Value>,
}

impl Score {
    /// Counts one frame; false where anything differs.
    pub fn add(&mut self, ours: &StreamSegment, theirs: &Row) -> bool {
        let a = &ours.analysis;
        self.frames += 1;
        for (v, name) in Verdicts::ALL {
            let hits = self.verdicts.entry(name).or_default();
            match (a.verdicts.contains(*v), theirs.verdicts.contains(*v)) {
                (true, true) => hits.both += 1,
                (true, false) => hits.only_ours += 1,
                (false, true) => hits.only_tshark += 1,
                (false, false) => {}
            }
        }
        let mut same = a.verdicts == theirs.verdicts;
        self.same_verdicts += u64::from(same);
        let mut value = |name, ours: Option<u64>, theirs: Option<u64>, strict: bool| {
            let v = self.values.entry(name).or_default();
            match (ours, theirs) {
                (_, Some(t)) => {
                    v.given += 1;
                    let equal = ours.is_some_and(|o| o / 1000 == t / 1000);
                    v.equal += u64::from(equal);
                    same &= equal;
                }
                (Some(_), None) => {
                    v.extra += 1;
                    same &= !strict;
                }
                (None, None) => {}
            }
        };
        // Counts are compared exactly, times to the microsecond.
        let exact = |n: Option<u32>| n.map(|n| u64::from(n) * 1000);
        value("stream", exact(Some(ours.stream)), exact(Some(theirs.stream)), true);
        value("bytes_in_flight", exact(a.bytes_in_flight), exact(theirs.bytes_in_flight), true);
        value("dup_ack_num", exact(a.dup_ack_num), exact(theirs.dup_ack_num), true);
        value("rto", a.rto.map(|d| d.0), theirs.rto, true);
        value("ack_rtt", a.ack_rtt.map(|d| d.0), theirs.ack_rtt, true);
        // tshark prints it only where it has more to say of the frame.
        value("initial_rtt", a.initial_rtt.map(|d| d.0), theirs.initial_rtt, false);
        self.same_all += u64::from(same);
        same
    }

    /// The lowest precision or recall of a verdict that tshark gives at least `at_least` times.
    pub fn lowest(&self, at_least: u64) -> f64 {
        self.verdicts
            .values()
            .filter(|h| h.both + h.only_tshark >= at_least)
            .map(|h| h.both as f64 / (h.both + h.only_ours.max(h.only_tshark)) as f64)
            .fold(1.0, f64::min)
    }

    /// Adds another file's sums.
    pub fn merge(&mut self, other: &Score) {
        self.frames += other.frames;
        self.same_verdicts += other.same_verdicts;
        self.same_all += other.same_all;
        self.missing += other.missing;
        self.cut += other.cut;
        for (name, h) in &other.verdicts {
            let sum = self.verdicts.entry(name).or_default();
            sum.both += h.both;
            sum.only_ours += h.only_ours;
            sum.only_tshark += h.only_tshark;
        }
        for (name, v) in &other.values {
            let sum = self.values.entry(name).or_default();
            sum.given += v.given;
            sum.equal += v.equal;
            sum.extra += v.extra;
        }
    }
}

fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.4}", part as f64 / whole as f64) }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<26}{:>8}{:>8}{:>8}{:>11}{:>9}",
            "verdict", "both", "ours", "tshark", "precision", "recall"
        )?;
        for (_, name) in Verdicts::ALL {
            let h = self.verdicts.get(name).copied().unwrap_or_default();
            writeln!(
                f,
                "{name:<26}{:>8}{:>8}{:>8}{:>11}{:>9}",
                h.both,
                h.only_ours,
                h.only_tshark,
                ratio(h.both, h.both + h.only_ours),
                ratio(h.both, h.both + h.only_tshark)
            )?;
        }
        writeln!(f, "{:<26}{:>8}{:>8}{:>8}{:>11}", "value", "given", "equal", "extra", "agreement")?;
        for (name, v) in &self.values {
            writeln!(
                f,
                "{name:<26}{:>8}{:>8}{:>8}{:>11}",
                v.given,
                v.equal,
                v.extra,
                ratio(v.equal, v.given)
            )?;
        }
        writeln!(
            f,
            "frames {} ({} not found by us; {} more with a cut TCP header, which tshark doesn't analyse)",
            self.frames, self.missing, self.cut
        )?;
        write!(
            f,
            "same verdicts {}, everything the same {}",
            ratio(self.same_verdicts, self.frames + self.missing),
            ratio(self.same_all, self.frames + self.missing)
        )
    }
}
