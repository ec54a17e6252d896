//! What is wrong with a filter, and where.

use std::fmt;

/// A filter that can't be understood.
///
/// It is displayed as one line; [`ParseError::pointer`] shows the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    text: String,
    column: usize,
    message: String,
}

impl ParseError {
    /// Where it is wrong: characters from the start, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The filter, and below it a caret at the column: two lines without a line break at the end. Control characters
    /// are shown as `?`.
    pub fn pointer(&self) -> String {
        let shown: String = self.text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        format!("{shown}\n{}^", " ".repeat(self.column - 1))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

/// An error before its text is known.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Byte offset.
    at: usize,
    message: String,
}

impl Problem {
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    pub fn within(self, text: &str) -> ParseError {
        let before = text.char_indices().take_while(|(at, _)| *at < self.at).count();
        // It quotes the text, and is shown as one line.
        let message = self.message.replace(char::is_control, "?");
        ParseError { text: text.to_owned(), column: before + 1, message }
    }
}

/// Names that `name` may have been meant for, the nearest first.
pub(crate) fn near<'a>(name: &str, names: &[&'a str]) -> Vec<&'a str> {
    let name = name.to_ascii_lowercase();
    // A third of the letters may be wrong; long ones are no slips.
    let limit = (name.len() / 3).clamp(1, 3);
    if name.len() > 64 {
        return Vec::new();
    }
    let mut found: Vec<(usize, &str)> = names
        .iter()
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), *candidate))
        .filter(|(d, _)| *d <= limit)
        .collect();
    found.sort_unstable();
    let best = found.first().map_or(0, |(d, _)| *d);
    found.into_iter().filter(|(d, _)| *d <= best + 1).map(|(_, n)| n).take(3).collect()
}

/// Edits from `a` to `b`, a swap of neighbours being one (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut d = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && *x == b[j - 1] {
                d = d.min(before[j - 1] + 1);
            }
            row.push(d);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn near_names_are_found() {
        let names = ["tcp.port", "tcp.srcport", "udp.port", "ip.src", "ip.dst", "tcp"];
        assert_eq!(near("tcp.prot", &names), ["tcp.port"]);
        assert_eq!(near("TCP", &names), ["tcp"]);
        assert_eq!(near("ip.scr", &names), ["ip.src"]);
        assert!(near("http.host", &names).is_empty());
        assert!(near("", &names).is_empty());
    }
}
