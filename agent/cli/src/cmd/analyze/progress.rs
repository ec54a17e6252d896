//! How far the reading of a long file has come, told on a terminal while nothing else is.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Cell;
use crate::paint::push_safe;
use crate::units::Bytes;

/// What is read within this time needs no progress.
const PATIENCE: Duration = Duration::from_millis(400);

/// Between two looks at the clock that lead to a line.
const PERIOD: Duration = Duration::from_millis(200);

/// Back to the start of the line, and nothing on it.
const ERASE: &str = "\r\x1b[K";

/// A line on standard error, drawn again and again and gone at the end.
pub struct Progress {
    name: Option<String>,
    /// Of the file; unknown of a pipe.
    size: Option<u64>,
    start: Instant,
    /// When to draw again.
    due: Duration,
    packets: u64,
    is_drawn: bool,
    /// The output goes to a terminal: once it flows, that is progress enough.
    shares_terminal: bool,
}

impl Progress {
    /// Of a file that is about to be read, unless standard error is no terminal; with its name, if that is to be told.
    pub fn start(file: &Path, name: Option<&str>) -> Option<Self> {
        let obeys = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        if !obeys || !io::stderr().is_terminal() {
            return None;
        }
        let is_input = file == Path::new("-");
        let size = std::fs::metadata(file).ok().filter(|m| m.is_file() && !is_input).map(|m| m.len());
        let name = name.map(|name| {
            let mut safe = String::new();
            push_safe(&mut safe, name);
            safe
        });
        Some(Self {
            name,
            size,
            start: Instant::now(),
            due: PATIENCE,
            packets: 0,
            is_drawn: false,
            shares_terminal: io::stdout().is_terminal(),
        })
    }

    /// So many more `packets` are done; `position` bytes of the file were read for all of them.
    pub fn step(&mut self, packets: usize, position: u64) {
        self.packets = self.packets.saturating_add(packets as u64);
        let elapsed = self.start.elapsed();
        if elapsed < self.due {
            return;
        }
        self.due = elapsed + PERIOD;
        let line = Line {
            name: self.name.as_deref(),
            position,
            size: self.size.filter(|size| *size >= position),
            packets: self.packets,
            elapsed,
        };
        // Without wrapping: of a line that is too long for the terminal the end is missing, and one line is erased.
        tell(&format!("{ERASE}\x1b[?7l{line}\x1b[?7h"));
        self.is_drawn = true;
    }

    /// Output comes: false where that ends the progress.
    pub fn give_way(&mut self) -> bool {
        self.erase();
        !self.shares_terminal
    }

    fn erase(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            tell(ERASE);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.erase();
    }
}

fn tell(text: &str) {
    // Progress that nobody sees is no reason to fail.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// What the line says.
struct Line<'a> {
    name: Option<&'a str>,
    position: u64,
    size: Option<u64>,
    packets: u64,
    elapsed: Duration,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(1e-3);
        let name = self.name.map(|name| format!("{name}: "));
        write!(f, "{}{}", Cell(name), Bytes(self.position))?;
        if let Some(size) = self.size {
            let percent = self.position as f64 * 100.0 / size.max(1) as f64;
            write!(f, " of {} ({percent:.0} %)", Bytes(size))?;
        }
        write!(f, ", {} packets/s", Rate(self.packets as f64 / seconds))?;
        match self.size {
            Some(size) if self.position > 0 => {
                let left = seconds * (size - self.position) as f64 / self.position as f64;
                write!(f, ", {} left", Left(left.ceil() as u64))
            }
            _ => Ok(()),
        }
    }
}

/// Something a second, with few digits: `640`, `12.3 k`, `3.45 M`.
struct Rate(f64);

impl Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n < 1e3 => write!(f, "{n:.0}"),
            n if n < 1e6 => write!(f, "{:.1} k", n / 1e3),
            n => write!(f, "{:.2} M", n / 1e6),
        }
    }
}

/// Seconds as a clock shows them: `0:07`, `12:30`, `1:02:03`.
struct Left(u64);

impl Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        if hours > 0 {
            write!(f, "{hours}:{minutes:02}:{seconds:02}")
        } else {
            write!(f, "{minutes}:{seconds:02}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_was_read() {
        let line = |position, size, packets, seconds| {
            let elapsed = Duration::from_secs(seconds);
            Line { name: None, position, size, packets, elapsed }.to_string()
        };
        assert_eq!(
            line(250_000_000, Some(1_000_000_000), 900_000, 2),
            "250.0 MB of 1.00 GB (25 %), 450.0 k packets/s, 0:06 left"
        );
        assert_eq!(line(1, Some(4_001), 1, 1), "1 B of 4.0 kB (0 %), 1 packets/s, 1:06:40 left");
        assert_eq!(line(0, Some(0), 0, 0), "0 B of 0 B (0 %), 0 packets/s");
        assert_eq!(line(5_000, None, 7_000_000, 2), "5.0 kB, 3.50 M packets/s");
    }
}
