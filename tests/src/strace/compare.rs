//! Two traces of the same threads, line by line.

use std::collections::BTreeMap;

use super::lines::{name_of, result_of};

/// How far a call may be looked for on the other side when the two have come apart.
const WINDOW: usize = 400;
/// Pairs of differing lines that are kept of each call.
const EXAMPLES: usize = 400;

/// What a comparison found. Lines that only one side has count as different.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// Calls on the side that has more of them.
    pub lines: usize,
    /// Lines that are the same.
    pub equal: usize,
    /// Calls of the same name and result at the same place.
    pub in_order: usize,
    /// Lines and differing lines by name of the call.
    pub by_call: BTreeMap<String, (usize, usize)>,
    /// What differs: the oracle's line, then tracenet's; an empty one is missing.
    pub differences: Vec<(String, String)>,
}

impl Score {
    /// Equal lines, in percent.
    pub fn share(&self) -> f64 {
        percent(self.equal, self.lines)
    }

    /// Calls in order with the same result, in percent.
    pub fn order_share(&self) -> f64 {
        percent(self.in_order, self.lines)
    }

    /// Takes another comparison in.
    pub fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.equal += other.equal;
        self.in_order += other.in_order;
        for (name, (lines, unequal)) in &other.by_call {
            let sum = self.by_call.entry(name.clone()).or_default();
            *sum = (sum.0 + lines, sum.1 + unequal);
        }
        self.differences.extend_from_slice(&other.differences);
    }

    fn count(&mut self, theirs: &str, ours: &str) {
        let line = if theirs.is_empty() { ours } else { theirs };
        self.lines += 1;
        let both = !theirs.is_empty() && !ours.is_empty();
        if both && name_of(theirs) == name_of(ours) && result_of(theirs) == result_of(ours) {
            self.in_order += 1;
        }
        let of_call = self.by_call.entry(name_of(line).to_owned()).or_default();
        of_call.0 += 1;
        if theirs == ours {
            self.equal += 1;
            return;
        }
        of_call.1 += 1;
        if of_call.1 <= EXAMPLES {
            self.differences.push((theirs.to_owned(), ours.to_owned()));
        }
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Compares the calls of one thread.
pub fn compare(theirs: &[String], ours: &[String], score: &mut Score) {
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (theirs.get(i), ours.get(j)) {
        if name_of(a) != name_of(b) {
            let (skip_a, skip_b) = nearest(&theirs[i..], &ours[j..]);
            theirs[i..i + skip_a].iter().for_each(|line| score.count(line, ""));
            ours[j..j + skip_b].iter().for_each(|line| score.count("", line));
            i += skip_a;
            j += skip_b;
            if skip_a + skip_b > 0 {
                continue;
            }
        }
        score.count(a, b);
        i += 1;
        j += 1;
    }
    theirs[i.min(theirs.len())..].iter().for_each(|line| score.count(line, ""));
    ours[j.min(ours.len())..].iter().for_each(|line| score.count("", line));
}

/// The fewest lines to leave out on either side until two calls of one name follow on both.
fn nearest(theirs: &[String], ours: &[String]) -> (usize, usize) {
    let same = |i: usize, j: usize| match (theirs.get(i), ours.get(j)) {
        (Some(a), Some(b)) => name_of(a) == name_of(b),
        _ => false,
    };
    for sum in 1..WINDOW {
        for i in 0..=sum {
            let j = sum - i;
            let last = i + 1 >= theirs.len() || j + 1 >= ours.len();
            if same(i, j) && (last || same(i + 1, j + 1)) {
                return (i, j);
            }
        }
    }
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_call_costs_one_line() {
        let lines = |names: &[&str]| names.iter().map(|n| format!("{n}() = 0")).collect::<Vec<_>>();
        let mut score = Score::default();
        compare(&lines(&["a", "b", "c", "d"]), &lines(&["a", "c", "d"]), &mut score);
        assert_eq!((score.lines, score.equal, score.in_order), (4, 3, 3));
        assert_eq!(score.differences, [("b() = 0".to_owned(), String::new())]);
    }

    #[test]
    fn a_result_is_part_of_the_order_and_an_argument_is_not() {
        let mut score = Score::default();
        compare(&["a(1) = 2".into(), "b() = 1".into()], &["a(3) = 2".into(), "b() = 2".into()], &mut score);
        assert_eq!((score.lines, score.equal, score.in_order), (2, 0, 1));
    }
}
