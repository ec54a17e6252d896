//! Reading capture files: pcap and pcapng, plain, gzip or zstd, from a path or a pipe.
//!
//! A reader holds one buffer, whatever the size of the file. A damaged file is read up to the damage, which is
//! then told with its offset ([`Damage`]): what came before it counts.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracenet_core::key::Direction;
use tracenet_core::time::WallNs;

use crate::decode::LinkType;

mod input;
mod pcap;
mod pcapng;

use input::Input;

/// Most bytes of one packet that a file may hold: what libpcap and Wireshark accept. More is a sign of damage.
pub const MAX_PACKET: usize = 262_144;

/// A packet of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Capture stamp. One without a stamp (pcapng's simple packets) has that of the packet before it.
    pub wall: WallNs,
    /// Link type of the interface.
    pub link: LinkType,
    /// Bytes on the wire, as the file says: may be less than was captured.
    pub wire_len: u32,
    /// Which interface of the file: 0 where there is only one.
    pub interface: u32,
    /// Which way it went at the capturing host, where the file tells (pcapng's epb_flags).
    pub direction: Option<Direction>,
    /// Captured bytes.
    pub data: &'a [u8],
}

/// Where and why reading ended before the end of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} at byte {offset}{}", if *unpacked { " of the unpacked data" } else { "" })]
pub struct Damage {
    /// Start of the record or block that could not be read, in bytes from the start.
    pub offset: u64,
    /// The offset counts the bytes that came out of the decompressor.
    pub unpacked: bool,
    /// What is wrong.
    pub what: String,
}

/// A file could not be opened.
#[derive(Debug, Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// A capture file being read.
#[derive(Debug)]
pub struct Reader {
    input: Input,
    format: Format,
    damage: Option<Damage>,
    last: WallNs,
}

#[derive(Debug)]
enum Format {
    /// Not looked at yet.
    Unknown,
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
    /// Nothing more to come.
    Ended,
}

/// Why a record could not be read: its start is where the damage is.
#[derive(Debug)]
enum Stop {
    /// The file ends between two records.
    End,
    Damaged(String),
}

/// A record in the buffer: the packet's bytes start after those that were consumed.
struct Record {
    wall: Option<WallNs>,
    link: LinkType,
    wire_len: u32,
    interface: u32,
    direction: Option<Direction>,
    start: usize,
    len: usize,
}

impl Reader {
    /// Opens a file, or takes standard input for `-`. Whether it is a capture shows at the first packet.
    ///
    /// # Errors
    /// [`OpenError`] naming the path.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path == Path::new("-") {
            return Ok(Self::new(io::stdin()));
        }
        let error = |source| OpenError { path: path.to_owned(), source };
        let file = File::open(path).map_err(error)?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(error(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::new(file))
    }

    /// Reads from anything.
    pub fn new(source: impl Read + Send + 'static) -> Self {
        Self {
            input: Input::new(Box::new(source)),
            format: Format::Unknown,
            damage: None,
            last: WallNs::default(),
        }
    }

    /// The next packet; `None` at the end, which is damage if [`Reader::damage`] says so.
    #[inline]
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let record = loop {
            let result = match &mut self.format {
                Format::Pcap(header) => header.record(&mut self.input),
                Format::Pcapng(section) => section.record(&mut self.input),
                Format::Ended => return None,
                Format::Unknown => match self.begin() {
                    Ok(()) => continue,
                    Err(stop) => Err(stop),
                },
            };
            match result {
                Ok(record) => break record,
                Err(stop) => self.stop(stop),
            }
        };
        self.last = record.wall.unwrap_or(self.last);
        Some(Frame {
            wall: self.last,
            link: record.link,
            wire_len: record.wire_len,
            interface: record.interface,
            direction: record.direction,
            data: self.input.bytes(record.start, record.len),
        })
    }

    /// What ended the reading before the end.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Bytes read so far, unpacked.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Bytes taken from the source so far, of the packed file where it is packed: ahead of the last packet by no
    /// more than a few buffers.
    pub fn position(&self) -> u64 {
        self.input.taken()
    }

    /// Nothing is left of what the source gave so far: the next packet may have to be waited for.
    pub fn is_drained(&self) -> bool {
        self.input.is_drained()
    }

    fn begin(&mut self) -> Result<(), Stop> {
        self.input.unpack().map_err(|e| Stop::Damaged(e.to_string()))?;
        let magic = match self.input.peek(4) {
            [a, b, c, d, ..] => [*a, *b, *c, *d],
            short => {
                let what = if short.is_empty() { "empty file" } else { "not a capture file: too short" };
                return Err(self.input.error().unwrap_or_else(|| Stop::Damaged(what.to_owned())));
            }
        };
        self.format = if magic == pcapng::SECTION_HEADER {
            Format::Pcapng(pcapng::Section::default())
        } else if let Some(header) = pcap::Header::read(magic, &mut self.input)? {
            Format::Pcap(header)
        } else {
            return Err(Stop::Damaged(format!(
                "not a capture file (pcap or pcapng): it starts with {:02x}{:02x}{:02x}{:02x}",
                magic[0], magic[1], magic[2], magic[3]
            )));
        };
        Ok(())
    }

    #[cold]
    fn stop(&mut self, stop: Stop) {
        self.format = Format::Ended;
        if let Stop::Damaged(what) = stop {
            let offset = self.input.marked();
            self.damage = Some(Damage { offset, unpacked: self.input.is_unpacked(), what });
        }
    }
}

#[cfg(test)]
mod tests;
