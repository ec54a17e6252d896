//! What the views write, and in which form.

use std::io::{self, IsTerminal, Write};

use tracenet_collectors::decode::Layer;
use tracenet_core::event::tcp_flags;
use tracenet_core::tcp::Verdicts;

use super::progress::Progress;
use crate::args::{Color, Format};
use crate::paint::{Ink, Paint};

/// Output is collected up to about this many bytes.
const BUFFER: usize = 64 << 10;

/// Where the views write.
pub struct Print {
    pub format: Format,
    /// Colours of the text for people; other forms have none.
    pub paint: Paint,
    /// Name of the capture, where there are several.
    file: Option<String>,
    text: Vec<u8>,
    /// What is told on the way.
    pub progress: Option<Progress>,
}

impl Print {
    pub fn new(format: Format, color: Color) -> Self {
        let paint = match format {
            Format::Text => Paint::choose(color.into(), io::stdout().is_terminal()),
            Format::Tsv | Format::Csv | Format::Json => Paint::plain(),
        };
        Self { format, paint, progress: None, file: None, text: Vec::with_capacity(BUFFER + 4096) }
    }

    /// A place to write apart, in the same form; flushing it writes it out.
    pub fn sheet(&self) -> Self {
        let (format, paint, file) = (self.format, self.paint, self.file.clone());
        Self { format, paint, progress: None, file, text: Vec::with_capacity(BUFFER) }
    }

    /// What comes before a capture: its name, if there are several, and before the `first` one a table's `header`.
    pub fn head(&mut self, file: Option<String>, first: bool, header: &str) -> io::Result<()> {
        self.file = file;
        match (self.format, &self.file) {
            (Format::Text, Some(file)) => {
                let mut name = String::new();
                crate::paint::push_safe(&mut name, file);
                let gap = if first { "" } else { "\n" };
                writeln!(self.text, "{gap}{}", self.paint.show(Ink::Strong, name))?;
            }
            (Format::Tsv | Format::Csv, file) if first => {
                let from = self.text.len();
                if file.is_some() {
                    self.text.extend_from_slice(b"file\t");
                }
                self.text.extend_from_slice(header.as_bytes());
                self.text.push(b'\n');
                self.separate(from);
            }
            _ => {}
        }
        self.flush()
    }

    /// A row of a table: the cells with tabs between them.
    pub fn row(&mut self, cells: std::fmt::Arguments<'_>) {
        self.row_of(|text| {
            // A vector takes everything.
            let _ = text.write_fmt(cells);
        });
    }

    /// The same for cells that are written without formatting, which takes several times as long.
    pub fn row_of(&mut self, cells: impl FnOnce(&mut Vec<u8>)) {
        let from = self.text.len();
        if let Some(file) = &self.file {
            let mut name = String::new();
            crate::paint::push_safe(&mut name, file);
            self.text.extend_from_slice(name.as_bytes());
            self.text.push(b'\t');
        }
        cells(&mut self.text);
        self.text.push(b'\n');
        self.separate(from);
    }

    /// Turns the line from `from` on into comma-separated values (RFC 4180), where they are asked for.
    fn separate(&mut self, from: usize) {
        if self.format != Format::Csv {
            return;
        }
        let line = self.text.split_off(from);
        for (n, cell) in line.trim_ascii_end().split(|b| *b == b'\t').enumerate() {
            if n > 0 {
                self.text.push(b',');
            }
            if cell.iter().any(|b| matches!(b, b',' | b'"' | b'\r')) {
                self.text.push(b'"');
                for b in cell {
                    self.text.extend_from_slice(if *b == b'"' { b"\"\"" } else { std::slice::from_ref(b) });
                }
                self.text.push(b'"');
            } else {
                self.text.extend_from_slice(cell);
            }
        }
        self.text.push(b'\n');
    }

    pub fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A vector takes everything.
        let _ = self.text.write_fmt(line);
        self.text.push(b'\n');
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
    }

    /// Text as it is.
    pub fn part(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// One object a line, its first members being the schema and, where there are several, the file.
    pub fn json<T: serde::Serialize>(&mut self, schema: &'static str, body: &T) {
        #[derive(serde::Serialize)]
        struct Line<'a, T> {
            schema: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            file: Option<&'a str>,
            #[serde(flatten)]
            body: &'a T,
        }
        let line = Line { schema, file: self.file.as_deref(), body };
        // Our own types, into a vector: nothing can fail.
        let _ = tracenet_core::json::append(&line, &mut self.text);
        self.text.push(b'\n');
    }

    /// Nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Writes out what has collected, if that is enough to be worth it.
    pub fn flush_if_full(&mut self) -> io::Result<()> {
        if self.text.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        self.progress.take_if(|progress| !progress.give_way());
        let mut out = io::stdout().lock();
        let result = out.write_all(&self.text).and_then(|()| out.flush());
        self.text.clear();
        result.map_err(|e| io::Error::new(e.kind(), format!("cannot write standard output: {e}")))
    }
}

/// How verdicts look: what is missing is worse than what came twice or late.
pub fn verdict_ink(verdicts: Verdicts) -> Ink {
    let lost = Verdicts::LOST_SEGMENT | Verdicts::ACK_LOST_SEGMENT;
    if verdicts.intersects(lost) { Ink::Bad } else { Ink::Warn }
}

/// How a segment's flags look.
pub fn flags_ink(flags: u8) -> Option<Ink> {
    (flags & tcp_flags::RST != 0).then_some(Ink::Bad)
}

/// Nanoseconds as seconds with nine decimals.
pub struct Seconds(pub u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A value, or nothing.
pub struct Cell<T>(pub Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Cell<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |v| v.fmt(f))
    }
}

/// Names of the IP headers' checksums, from the outside in.
pub fn ip_checksums(layer: &Layer) -> impl std::fmt::Display {
    std::fmt::from_fn(|f| {
        for (n, c) in layer.ip_checksums.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { "," }, c.as_str())?;
        }
        Ok(())
    })
}

/// A value after its name, or nothing.
pub struct Titled<T>(pub &'static str, pub Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Titled<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.1.as_ref().map_or(Ok(()), |value| write!(f, "{}{value}", self.0))
    }
}
