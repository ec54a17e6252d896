//! `-w`: the packets that are shown into a capture file, each with what was found as its comment.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use tracenet_collectors::capture::{Link, SNAPLEN_FULL};
use tracenet_collectors::decode::LinkType;
use tracenet_collectors::pcapng::{Record, WriteError, Writer};

use super::{Print, Seen, View, Word};

/// A capture file being written, with an interface for each one that packets were captured on.
#[derive(Debug)]
pub struct Written {
    writer: Writer,
    /// Number of the capture that is read, interface there, link type: their place is the number here.
    interfaces: Vec<(usize, u32, LinkType)>,
    comment: String,
    file: usize,
    name: String,
}

impl Written {
    /// Creates the file.
    ///
    /// # Errors
    /// It can't be written to.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let writer = Writer::create(path)?;
        Ok(Self { writer, interfaces: Vec::new(), comment: String::new(), file: 0, name: String::new() })
    }

    /// The packets that follow are of that capture.
    pub fn begin(&mut self, file: usize, path: &Path) {
        self.file = file;
        self.name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    }

    /// Writes a packet.
    ///
    /// # Errors
    /// The system's, once.
    pub fn packet(&mut self, seen: &Seen<'_>) -> io::Result<()> {
        let packet = seen.dissected.packet;
        let here = (self.file, packet.interface, packet.link);
        let at = match self.interfaces.iter().rposition(|i| *i == here) {
            Some(at) => at,
            None => {
                let at = self.interfaces.len();
                let link = Link {
                    source: u16::try_from(at).map_err(|_| io::Error::other("more than 65536 interfaces"))?,
                    name: packet.interface.to_string(),
                    description: Some(self.name.clone()),
                    link_type: packet.link,
                    snaplen: SNAPLEN_FULL.unsigned_abs(),
                    filter: None,
                };
                self.writer.add_interface(&link).map_err(failed)?;
                self.interfaces.push(here);
                at
            }
        };
        self.comment.clear();
        for word in seen.dissected.words {
            comment(word, &mut self.comment);
        }
        let record = Record {
            source: u16::try_from(at).unwrap_or(u16::MAX),
            wall: packet.wall,
            wire_len: packet.wire_len,
            data: seen.dissected.frame(),
            comment: &self.comment,
            direction: packet.direction,
        };
        self.writer.packet(&record).map_err(failed)
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The system's, once.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush().map_err(failed)
    }
}

fn comment(word: &Word, out: &mut String) {
    let Word::Segment(said) = word else { return };
    let gap = if out.is_empty() { "" } else { "; " };
    // A string takes everything.
    let _ = write!(out, "{gap}stream {}", said.stream);
    if !said.analysis.verdicts.is_empty() {
        let _ = write!(out, ": {}", said.analysis.verdicts);
    }
    if let Some(cause) = said.analysis.cause {
        let _ = write!(out, ", cause {}", cause.as_str());
    }
}

fn failed(e: WriteError) -> io::Error {
    io::Error::new(
        e.source.kind(),
        format!("{e}; the file ends there: free space or choose another path with -w"),
    )
}

/// Nothing is printed: whoever only writes wants to hear of trouble only.
pub struct Quiet;

impl View for Quiet {
    fn columns(&self) -> Cow<'static, str> {
        "".into()
    }

    fn packet(&mut self, _: &Seen<'_>, _: &mut Print) {}
}
