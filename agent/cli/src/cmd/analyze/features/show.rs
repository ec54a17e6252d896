//! What is printed of flows: more text than was read, so that many of them are written by several threads.

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::ser::{Serialize, SerializeMap, Serializer};
use tracenet_core::features::{CATALOGUE, Direction, Tell, Value};

use super::super::{Print, cell};
use super::Flow;
use crate::args::Format;

/// Flows that one thread writes at a time.
const SHEET: usize = 128;

/// Sheets of a thread that wait to be put in order.
const SHEETS: usize = 4;

/// Threads that write, at most.
const WRITERS: usize = 8;

/// Prints flows in their order.
pub fn flows(flows: &[&Flow], print: &mut Print) {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let writers = processors.min(WRITERS).min(flows.len() / (SHEET * SHEETS));
    // A terminal or a pipe that is gone is told at the next flush.
    let _ = if writers > 1 { in_parallel(flows, writers, print) } else { in_turn(flows, print) };
}

fn in_turn(flows: &[&Flow], print: &mut Print) -> io::Result<()> {
    for flow in flows {
        flow.print(print);
        print.flush_if_full()?;
    }
    Ok(())
}

/// Of n threads each writes every nth sheet.
fn in_parallel(flows: &[&Flow], writers: usize, print: &mut Print) -> io::Result<()> {
    print.flush()?;
    std::thread::scope(|scope| {
        let mut piles = Vec::new();
        for first in 0..writers {
            let (to_full, full) = bounded(SHEETS);
            let (empty, from_empty) = bounded(SHEETS);
            for _ in 0..SHEETS {
                // There is room for all of them.
                let _ = empty.try_send(print.sheet());
            }
            scope.spawn(move || {
                write(flows.chunks(SHEET).skip(first).step_by(writers), &from_empty, &to_full)
            });
            piles.push((full, empty));
        }
        for (full, empty) in piles.iter().cycle().take(flows.len().div_ceil(SHEET)) {
            let Ok(mut sheet) = full.recv() else { return Err(io::Error::other("a writing thread died")) };
            sheet.flush()?;
            // The writer may be through.
            let _ = empty.try_send(sheet);
        }
        Ok(())
    })
}

/// Ends, too, when nobody takes the sheets.
fn write<'a>(parts: impl Iterator<Item = &'a [&'a Flow]>, empty: &Receiver<Print>, full: &Sender<Print>) {
    for part in parts {
        let Ok(mut sheet) = empty.recv() else { return };
        part.iter().for_each(|flow| flow.print(&mut sheet));
        if full.send(sheet).is_err() {
            return;
        }
    }
}

impl Flow {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        [Direction::A, Direction::B]
            .into_iter()
            .filter(|direction| self.features.packets(*direction) > 0)
            .map(move |direction| Row { flow: self, direction })
    }

    pub(super) fn print(&self, print: &mut Print) {
        match print.format {
            Format::Text => self.text(print),
            Format::Json => self.rows().for_each(|row| print.json("tracenet.flow/1", &row)),
            Format::Tsv | Format::Csv => self.rows().for_each(|row| print.row_of(|text| row.cells(text))),
        }
    }

    /// Both directions side by side, without what says nothing.
    fn text(&self, print: &mut Print) {
        print.line(format_args!(
            "flow {}  {} stream {}  A {} -> B {}",
            self.number, self.transport, self.stream, self.a, self.b
        ));
        let [a, b] = [Direction::A, Direction::B].map(|direction| Column::of(self, direction));
        for (n, feature) in CATALOGUE.iter().enumerate() {
            let ((a, a_says), (b, b_says)) = (a.cell(n), b.cell(n));
            if !a_says && !b_says {
                continue;
            }
            print.bytes(|text| {
                text.extend_from_slice(b"  ");
                text.extend_from_slice(feature.name.as_bytes());
                pad(text, NAME.saturating_sub(feature.name.len()));
                for cell in [a, b] {
                    pad(text, 1 + CELL.saturating_sub(cell.len()));
                    text.extend_from_slice(cell);
                }
                text.push(b'\n');
            });
        }
        print.line(format_args!(""));
    }
}

/// Width of the names and of a column of values in the text.
const NAME: usize = 30;
const CELL: usize = 28;

fn pad(text: &mut Vec<u8>, n: usize) {
    const SPACES: [u8; 64] = [b' '; 64];
    text.extend_from_slice(&SPACES[..n.min(SPACES.len())]);
}

/// The cells of a direction, in the order of the table.
struct Column {
    text: Vec<u8>,
    /// Where each begins, and whether it says anything.
    cells: Vec<(usize, bool)>,
}

impl Tell for Column {
    #[inline(always)]
    fn value(&mut self, value: Value) {
        self.cells.push((self.text.len(), !says_nothing(&value)));
        cell::push(&mut self.text, &value);
    }
}

impl Column {
    fn of(flow: &Flow, direction: Direction) -> Self {
        let mut column = Self { text: Vec::with_capacity(1024), cells: Vec::with_capacity(CATALOGUE.len()) };
        if flow.features.packets(direction) > 0 {
            flow.features.values(direction, &mut column);
        }
        column
    }

    fn cell(&self, n: usize) -> (&[u8], bool) {
        let Some((from, says)) = self.cells.get(n) else { return (&[], false) };
        let to = self.cells.get(n + 1).map_or(self.text.len(), |(next, _)| *next);
        (&self.text[*from..to], *says)
    }
}

#[inline]
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Absent => true,
        Value::Count(n) | Value::Bits(n, _) | Value::Time(n) => *n == 0,
        Value::Float(n) => *n == 0.0,
        Value::Wall(_) | Value::Text(_) => false,
    }
}

/// The rest of a row, with tabs between the cells.
struct Cells<'a>(&'a mut Vec<u8>);

impl Tell for Cells<'_> {
    #[inline(always)]
    fn value(&mut self, value: Value) {
        self.0.push(b'\t');
        cell::push(self.0, &value);
    }
}

/// A direction of a flow.
struct Row<'a> {
    flow: &'a Flow,
    direction: Direction,
}

impl Row<'_> {
    /// Of a table.
    fn cells(&self, text: &mut Vec<u8>) {
        let (source, destination) = self.ends();
        cell::push_decimal(text, self.flow.number);
        text.push(b'\t');
        text.extend_from_slice(self.flow.transport.as_bytes());
        text.push(b'\t');
        cell::push_decimal(text, self.flow.stream.into());
        text.push(b'\t');
        text.extend_from_slice(self.direction.as_str().as_bytes());
        for end in [source, destination] {
            text.push(b'\t');
            cell::push_address(text, &end);
        }
        self.flow.features.values(self.direction, &mut Cells(text));
    }

    /// Source and destination.
    fn ends(&self) -> (SocketAddr, SocketAddr) {
        match self.direction {
            Direction::A => (self.flow.a, self.flow.b),
            Direction::B => (self.flow.b, self.flow.a),
        }
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        let (source, destination) = self.ends();
        map.serialize_entry("flow", &self.flow.number)?;
        map.serialize_entry("transport", self.flow.transport)?;
        map.serialize_entry("stream", &self.flow.stream)?;
        map.serialize_entry("dir", self.direction.as_str())?;
        map.serialize_entry("source", &source)?;
        map.serialize_entry("destination", &destination)?;
        for feature in CATALOGUE {
            match feature.value(&self.flow.features, self.direction) {
                Value::Absent => {}
                Value::Count(n) | Value::Bits(n, _) => map.serialize_entry(feature.name, &n)?,
                Value::Float(n) => map.serialize_entry(feature.name, &n)?,
                Value::Text(text) => map.serialize_entry(feature.name, &text)?,
                Value::Time(ns) | Value::Wall(ns) => {
                    map.serialize_entry(&format_args!("{}_ns", feature.name), &ns)?;
                }
            }
        }
        map.end()
    }
}
