//! Columns as wide as what is in them. All cells lie in one text, so that a hundred thousand rows are no million strings.

use crate::paint::{Ink, Paint};

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    /// Flush with the next column: an address before its port.
    Right,
    /// As it is: the last column.
    Free,
}

/// A table.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    text: String,
    /// Where each cell ends.
    ends: Vec<usize>,
}

impl Table {
    /// With these columns.
    pub fn new(columns: Vec<(&'static str, Align)>) -> Self {
        Self { columns, text: String::new(), ends: Vec::new() }
    }

    /// The next cell's text is appended to this.
    pub fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// Ends a cell.
    pub fn end(&mut self) {
        self.ends.push(self.text.len());
    }

    /// The whole of it.
    pub fn finish(self, header: bool, paint: Paint) -> String {
        let mut widths: Vec<usize> =
            self.columns.iter().map(|(title, _)| if header { title.len() } else { 0 }).collect();
        for row in self.rows() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns_of(cell));
            }
        }
        let mut out = String::with_capacity(self.text.len() * 2);
        if header {
            let mut line = String::new();
            self.line(&mut line, self.columns.iter().map(|(title, _)| *title), &widths);
            paint.start(&mut out, Ink::Strong);
            out.push_str(line.trim_end());
            paint.end(&mut out);
            out.push('\n');
        }
        for row in self.rows() {
            self.line(&mut out, row, &widths);
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
        out
    }

    fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        let mut start = 0;
        self.ends.chunks(self.columns.len()).map(move |ends| {
            let first = start;
            start = ends.last().copied().unwrap_or(start);
            let starts = std::iter::once(first).chain(ends.iter().copied());
            starts.zip(ends).map(|(from, to)| self.text.get(from..*to).unwrap_or(""))
        })
    }

    fn line<'a>(&self, out: &mut String, cells: impl Iterator<Item = &'a str>, widths: &[usize]) {
        let mut glued = true;
        for ((cell, (_, align)), width) in cells.zip(&self.columns).zip(widths) {
            if !glued {
                out.push(' ');
            }
            let padding = width.saturating_sub(columns_of(cell));
            match align {
                Align::Left => {
                    out.push_str(cell);
                    out.extend(std::iter::repeat_n(' ', padding));
                }
                Align::Right => {
                    out.extend(std::iter::repeat_n(' ', padding));
                    out.push_str(cell);
                }
                Align::Free => out.push_str(cell),
            }
            glued = *align == Align::Right;
        }
    }
}

fn columns_of(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_flush_with_their_ports() {
        let mut table = Table::new(vec![
            ("State", Align::Left),
            ("Address:", Align::Right),
            ("Port", Align::Left),
            ("", Align::Free),
        ]);
        for cells in [["LISTEN", "0.0.0.0:", "22", ""], ["ESTAB", "[::ffff:10.0.0.1]:", "https", "users:(x)"]]
        {
            for cell in cells {
                table.text().push_str(cell);
                table.end();
            }
        }
        let expected = "State            Address:Port\n\
                        LISTEN           0.0.0.0:22\n\
                        ESTAB  [::ffff:10.0.0.1]:https users:(x)\n";
        assert_eq!(table.finish(true, Paint::plain()), expected);
        assert_eq!(Table::new(vec![("State", Align::Left)]).finish(false, Paint::plain()), "");
    }
}
