//! A buffer over a file, a pipe or a decompressor.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::{MAX_PACKET, Stop};

/// Bytes of the buffer: a largest record and what is read ahead.
pub(super) const BUFFER: usize = 2 * MAX_PACKET;

/// Bytes asked of the source at a time: they are still in the processor's cache when they are looked at.
const READ: usize = 64 << 10;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A zstd frame of the user's own data, which says nothing of the contents (RFC 8878, section 3.1.2).
fn is_skippable(magic: &[u8]) -> bool {
    matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

pub(super) struct Input {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Position of `start` in the (unpacked) file.
    offset: u64,
    /// Bytes that the source gave, packed if it is packed.
    taken: Arc<AtomicU64>,
    /// Start of the record or block being read.
    mark: u64,
    ended: bool,
    error: Option<io::Error>,
    unpacked: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("offset", &self.offset)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Input {
    pub fn new(source: Box<dyn Read + Send>) -> Self {
        let taken = Arc::default();
        Self {
            source: Box::new(Counted { source, taken: Arc::clone(&taken) }),
            taken,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            offset: 0,
            mark: 0,
            ended: false,
            error: None,
            unpacked: false,
        }
    }

    /// Puts a decompressor in between where the file starts like a compressed one.
    pub fn unpack(&mut self) -> io::Result<()> {
        let head = self.peek(4);
        let (gzip, zstd) = (head.starts_with(&GZIP), head.starts_with(&ZSTD) || is_skippable(head));
        if !gzip && !zstd {
            return Ok(());
        }
        let head = io::Cursor::new(self.buffer[self.start..self.end].to_vec());
        let rest = std::mem::replace(&mut self.source, Box::new(io::empty()));
        let packed = head.chain(rest);
        self.source =
            if gzip { Box::new(MultiGzDecoder::new(packed)) } else { Box::new(Frames::new(packed)?) };
        (self.start, self.end, self.ended, self.unpacked) = (0, 0, false, true);
        Ok(())
    }

    pub fn is_unpacked(&self) -> bool {
        self.unpacked
    }

    /// A record or block starts here.
    #[inline]
    pub fn mark(&mut self) {
        self.mark = self.offset;
    }

    /// Where the last record or block started.
    pub fn marked(&self) -> u64 {
        self.mark
    }

    pub fn is_drained(&self) -> bool {
        self.start == self.end
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes taken from the source, which is ahead of what was consumed.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What is there of the next `n` bytes, at least those unless the file ends; `n` is at most [`BUFFER`].
    #[inline]
    pub fn peek(&mut self, n: usize) -> &[u8] {
        if self.end - self.start < n {
            self.fill(n);
        }
        &self.buffer[self.start..self.end]
    }

    #[cold]
    fn fill(&mut self, n: usize) {
        // The front of the buffer is in the cache, and what is left over is little.
        if self.end - self.start < READ || self.start + n > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < n && !self.ended {
            let until = (self.end + READ).min(self.buffer.len());
            match self.source.read(&mut self.buffer[self.end..until]) {
                Ok(0) => self.ended = true,
                Ok(got) => self.end += got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.ended = true;
                    self.error = Some(e);
                }
            }
        }
    }

    /// Moves on by `n` bytes that were peeked at.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        self.offset += n as u64;
    }

    /// Moves on by `n` bytes; false where the file ends before.
    pub fn skip(&mut self, mut n: u64) -> bool {
        while n > 0 {
            let there = self.peek(1).len();
            if there == 0 {
                return false;
            }
            let step = there.min(usize::try_from(n).unwrap_or(usize::MAX));
            self.consume(step);
            n -= step as u64;
        }
        true
    }

    /// Place of the next byte in the buffer, for [`Input::bytes`]; good until the next peek.
    #[inline]
    pub fn place(&self) -> usize {
        self.start
    }

    #[inline]
    pub fn bytes(&self, place: usize, len: usize) -> &[u8] {
        &self.buffer[place..place + len]
    }

    /// Why the file ended, if it did not end well.
    pub fn error(&mut self) -> Option<Stop> {
        self.error.take().map(|e| Stop::Damaged(format!("cannot be read on ({e})")))
    }

    /// The file ends in the middle of something.
    #[cold]
    pub fn cut(&mut self, what: &str) -> Stop {
        self.error().unwrap_or_else(|| Stop::Damaged(format!("the file ends in the middle of {what}")))
    }
}

/// A source that tells, also from within a decompressor, how much was read of it.
struct Counted {
    source: Box<dyn Read + Send>,
    taken: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(to)?;
        self.taken.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// Zstandard frames one after the other (RFC 8878, section 3), skippable ones left out: the decoder reads a single one.
struct Frames<R: Read> {
    decoder: Option<StreamingDecoder<Peeked<R>, ruzstd::decoding::FrameDecoder>>,
}

impl<R: Read> Frames<R> {
    fn new(source: R) -> io::Result<Self> {
        let mut source = Peeked { source, head: [0; 4], len: 0, at: 0 };
        Ok(Self { decoder: if source.finds_frame()? { Some(frame(source)?) } else { None } })
    }
}

fn frame<R: Read>(source: R) -> io::Result<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>> {
    StreamingDecoder::new(source).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(decoder) = &mut self.decoder else { return Ok(0) };
            let got = decoder.read(to)?;
            if got > 0 || to.is_empty() {
                return Ok(got);
            }
            let Some(decoder) = self.decoder.take() else { return Ok(0) };
            let mut source = decoder.into_inner();
            if !source.finds_frame()? {
                return Ok(0);
            }
            self.decoder = Some(frame(source)?);
        }
    }
}

/// A source of which the next frame's magic number can be looked at without losing a byte.
struct Peeked<R: Read> {
    source: R,
    head: [u8; 4],
    len: usize,
    at: usize,
}

impl<R: Read> Peeked<R> {
    /// Passes skippable frames. False at the end.
    fn finds_frame(&mut self) -> io::Result<bool> {
        loop {
            (self.at, self.len) = (0, 0);
            while self.len < self.head.len() {
                match self.source.read(&mut self.head[self.len..]) {
                    Ok(0) => return Ok(self.len > 0),
                    Ok(got) => self.len += got,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            if !is_skippable(&self.head) {
                return Ok(true);
            }
            let mut size = [0; 4];
            self.source.read_exact(&mut size)?;
            let size = u64::from(u32::from_le_bytes(size));
            if io::copy(&mut self.source.by_ref().take(size), &mut io::sink())? < size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.at == self.len {
            return self.source.read(to);
        }
        let n = to.len().min(self.len - self.at);
        to[..n].copy_from_slice(&self.head[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
