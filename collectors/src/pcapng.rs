//! Writing capture files: pcapng (draft-ietf-opsawg-pcapng), with comments, nanoseconds and statistics.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracenet_core::key::Direction;
use tracenet_core::time::WallNs;

use crate::capture::{CaptureStats, Link};

/// Blocks are collected up to about this many bytes before they are written.
const BUFFER: usize = 256 << 10;

/// An option's length is a 16-bit number, and a comment longer than this serves nobody.
const TEXT_MAX: usize = 4_096;

/// A capture file could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// A packet for the file.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Number of the capture ([`Link::source`]).
    pub source: u16,
    /// Capture stamp.
    pub wall: WallNs,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Captured bytes.
    pub data: &'a [u8],
    /// Comment, empty for none.
    pub comment: &'a str,
    /// Which way it went, where known.
    pub direction: Option<Direction>,
}

/// Totals of one capture, for the statistics block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// When the capture began.
    pub start: WallNs,
    /// When it ended.
    pub end: WallNs,
    /// What the capture says.
    pub capture: CaptureStats,
}

/// A capture file being written.
///
/// The first error is returned once; after it nothing is written any more and packets are counted as unwritten.
/// A regular file then ends with its last whole block, so that it can still be read.
#[derive(Debug)]
pub struct Writer {
    sink: Sink,
    path: PathBuf,
    /// Whole blocks that are not written yet.
    buffer: Vec<u8>,
    /// Sources in the order of their interface blocks, with the packets written for each.
    interfaces: Vec<(u16, u64)>,
    /// Bytes of the file that are there for sure.
    committed: u64,
    failed: bool,
    unwritten: u64,
}

#[derive(Debug)]
enum Sink {
    File(File),
    Stdout(io::Stdout),
}

impl Sink {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(f) => f.write(b),
            Self::Stdout(s) => s.write(b),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(f) => f.flush(),
            Self::Stdout(s) => s.flush(),
        }
    }
}

impl Writer {
    /// Creates the file, readable by its owner alone (it holds others' payload), or takes stdout for `-`.
    ///
    /// # Errors
    /// [`WriteError`] naming the path.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let sink = if path == Path::new("-") {
            Sink::Stdout(io::stdout())
        } else {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(path)
                .map(Sink::File)
                .map_err(|source| WriteError { path: path.to_owned(), source })?
        };
        let mut writer = Self {
            sink,
            path: path.to_owned(),
            buffer: Vec::with_capacity(BUFFER),
            interfaces: Vec::new(),
            committed: 0,
            failed: false,
            unwritten: 0,
        };
        writer.section_header();
        // Written at once: a full disk or a closed pipe is told before the capture begins.
        writer.flush()?;
        Ok(writer)
    }

    /// Describes a capture; packets refer to it by [`Link::source`].
    ///
    /// # Errors
    /// [`WriteError`], once.
    pub fn add_interface(&mut self, link: &Link) -> Result<(), WriteError> {
        if self.failed {
            return Ok(());
        }
        let start = self.begin(1);
        self.put16(link.link_type.number());
        self.put16(0);
        self.put32(link.snaplen);
        self.text(2, &link.name);
        if let Some(description) = &link.description {
            self.text(3, description);
        }
        self.option(9, &[9]);
        if let Some(filter) = &link.filter {
            // Code 0: the text of a libpcap filter.
            let mut value = vec![0];
            value.extend_from_slice(cut(filter).as_bytes());
            self.option(11, &value);
        }
        self.end_options();
        self.end(start);
        self.interfaces.push((link.source, 0));
        self.flush()
    }

    /// Writes a packet. One of a capture that was never described is counted as unwritten.
    ///
    /// # Errors
    /// [`WriteError`], once.
    pub fn packet(&mut self, r: &Record<'_>) -> Result<(), WriteError> {
        let interface = self.interfaces.iter().position(|(source, _)| *source == r.source);
        let (Some(interface), false) = (interface, self.failed) else {
            self.unwritten += 1;
            return Ok(());
        };
        self.interfaces[interface].1 += 1;
        let start = self.begin(6);
        self.put32(u32::try_from(interface).unwrap_or(u32::MAX));
        self.stamp(r.wall);
        // A frame never exceeds SNAPLEN_FULL.
        self.put32(u32::try_from(r.data.len()).unwrap_or(u32::MAX));
        self.put32(r.wire_len);
        self.buffer.extend_from_slice(r.data);
        self.pad();
        let options = self.buffer.len();
        if !r.comment.is_empty() {
            self.text(1, r.comment);
        }
        if let Some(direction) = r.direction {
            let flags: u32 = match direction {
                Direction::In => 1,
                Direction::Out => 2,
            };
            self.option(2, &flags.to_ne_bytes());
        }
        if self.buffer.len() > options {
            self.end_options();
        }
        self.end(start);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes the statistics block of a capture.
    ///
    /// # Errors
    /// [`WriteError`], once.
    pub fn statistics(&mut self, source: u16, t: &Totals) -> Result<(), WriteError> {
        let Some((interface, &(_, delivered))) =
            self.interfaces.iter().enumerate().find(|(_, (s, _))| *s == source)
        else {
            return Ok(());
        };
        if self.failed {
            return Ok(());
        }
        let start = self.begin(5);
        self.put32(u32::try_from(interface).unwrap_or(u32::MAX));
        self.stamp(t.end);
        self.stamp_option(2, t.start);
        self.stamp_option(3, t.end);
        for (code, n) in
            [(4, t.capture.received), (5, t.capture.if_dropped), (7, t.capture.dropped), (8, delivered)]
        {
            self.option(code, &n.to_ne_bytes());
        }
        self.end_options();
        self.end(start);
        self.flush()
    }

    /// Writes what is buffered. Call it now and then, so that a reader of a pipe or of a growing file sees the
    /// packets.
    ///
    /// # Errors
    /// [`WriteError`], once.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        if self.failed {
            return Ok(());
        }
        let mut done = 0;
        let result = loop {
            if done == self.buffer.len() {
                break self.sink.flush();
            }
            match self.sink.write(&self.buffer[done..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        match result {
            Ok(()) => {
                self.committed += done as u64;
                self.buffer.clear();
                Ok(())
            }
            Err(source) => {
                self.give_up(done);
                Err(WriteError { path: self.path.clone(), source })
            }
        }
    }

    /// Packets that were not written, because of an error or an unknown source.
    pub fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// True after an error.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Cuts the file behind the last whole block that fits, and counts the packets of the others.
    fn give_up(&mut self, done: usize) {
        self.failed = true;
        let mut at = 0;
        let mut whole = 0;
        while let Some((kind, len)) = block(&self.buffer[at..]) {
            at += len;
            if at <= done {
                whole = at;
            } else if kind == 6 {
                self.unwritten += 1;
            }
        }
        if let Sink::File(f) = &self.sink
            && f.metadata().is_ok_and(|m| m.is_file())
        {
            // Nothing more can be done for the reader if this fails too; the error itself is told.
            let _ = f.set_len(self.committed + whole as u64);
        }
        self.buffer = Vec::new();
    }

    fn section_header(&mut self) {
        let start = self.begin(0x0a0d_0d0a);
        self.put32(0x1a2b_3c4d);
        self.put16(1);
        self.put16(0);
        // Length of the section: not known.
        self.buffer.extend_from_slice(&u64::MAX.to_ne_bytes());
        if let Some(os) = operating_system() {
            self.text(3, &os);
        }
        self.text(4, concat!("tracenet ", env!("CARGO_PKG_VERSION")));
        self.end_options();
        self.end(start);
    }

    fn begin(&mut self, kind: u32) -> usize {
        let start = self.buffer.len();
        self.put32(kind);
        self.put32(0);
        start
    }

    fn end(&mut self, start: usize) {
        let len = u32::try_from(self.buffer.len() - start + 4).unwrap_or(u32::MAX);
        self.buffer[start + 4..start + 8].copy_from_slice(&len.to_ne_bytes());
        self.put32(len);
    }

    fn put16(&mut self, n: u16) {
        self.buffer.extend_from_slice(&n.to_ne_bytes());
    }

    fn put32(&mut self, n: u32) {
        self.buffer.extend_from_slice(&n.to_ne_bytes());
    }

    /// Two halves, high first, in the file's byte order.
    fn stamp(&mut self, t: WallNs) {
        self.buffer.extend_from_slice(&halves(t));
    }

    fn stamp_option(&mut self, code: u16, t: WallNs) {
        self.option(code, &halves(t));
    }

    fn text(&mut self, code: u16, text: &str) {
        self.option(code, cut(text).as_bytes());
    }

    /// Values are short: texts are cut to [`TEXT_MAX`].
    fn option(&mut self, code: u16, value: &[u8]) {
        self.put16(code);
        self.put16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        self.buffer.extend_from_slice(value);
        self.pad();
    }

    fn end_options(&mut self) {
        self.put32(0);
    }

    /// Everything in a block is aligned to 32 bits, and all blocks before are whole.
    fn pad(&mut self) {
        self.buffer.resize(self.buffer.len().next_multiple_of(4), 0);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // For ways out on which nobody flushed: whoever wants to know of errors calls `flush`.
        let _ = self.flush();
    }
}

fn halves(t: WallNs) -> [u8; 8] {
    // The high half is the upper 32 bits and the low half the lower ones, so nothing is lost in either.
    let high = ((t.0 >> 32) as u32).to_ne_bytes();
    let low = (t.0 as u32).to_ne_bytes();
    [high[0], high[1], high[2], high[3], low[0], low[1], low[2], low[3]]
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

/// Kind and length of the block at the start of `b`.
fn block(b: &[u8]) -> Option<(u32, usize)> {
    let (kind, rest) = b.split_first_chunk::<4>()?;
    let len = rest.first_chunk::<4>()?;
    Some((u32::from_ne_bytes(*kind), usize::try_from(u32::from_ne_bytes(*len)).ok()?))
}

fn operating_system() -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
    Some(format!("{} {}", read("ostype")?.trim(), read("osrelease")?.trim()))
}

#[cfg(test)]
mod tests;
