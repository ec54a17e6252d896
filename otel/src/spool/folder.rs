//! The files of a spool. Each is [`MAGIC`], then length and CRC-32 (both `u32`, little endian), and so many bytes of an
//! `ExportTraceServiceRequest`. A name tells the order and how many spans there are: `000000000000002a-512.otlp`.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read as _, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::Held;
use crate::options::SpoolOptions;

/// First bytes of a file; the last one is its layout.
const MAGIC: [u8; 8] = *b"tnspl\r\n\x01";
/// Bytes before the request.
const HEAD: usize = MAGIC.len() + 8;
/// Longest file that is read, bytes: batches are a fourth of it.
const MOST_FILE_BYTES: u64 = 16 << 20;
/// Most files, so that a trickle of spans doesn't use the disk's inodes up.
const MOST_FILES: usize = 16_384;
/// Most files that are set aside; of more, none is kept.
const MOST_DAMAGED: usize = 16;
/// What a file is called until it is whole.
const UNFINISHED: &str = "unfinished.tmp";

/// A request out of a spool.
pub(super) enum Read {
    /// As it was put in, with the number of its spans.
    Whole(ExportTraceServiceRequest, u64),
    /// Nothing that can be used: it is out of the way already.
    Damaged(Error),
}

#[derive(Debug)]
struct Entry {
    number: u64,
    spans: u64,
    bytes: u64,
}

impl Entry {
    fn name(&self) -> String {
        format!("{:016x}-{}.otlp", self.number, self.spans)
    }

    fn parse(name: &str, bytes: u64) -> Option<Self> {
        let (number, spans) = name.strip_suffix(".otlp")?.split_once('-')?;
        let entry = Self { number: u64::from_str_radix(number, 16).ok()?, spans: spans.parse().ok()?, bytes };
        // Only names that are made here, so that a name found is a name that can be removed.
        (entry.name() == name).then_some(entry)
    }
}

/// A spool's folder, which nobody else uses meanwhile.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    most_bytes: u64,
    /// Oldest first.
    entries: VecDeque<Entry>,
    damaged_files: usize,
    held: Held,
    next: u64,
    _lock: File,
}

impl Folder {
    pub(super) fn open(options: &SpoolOptions) -> Result<Self> {
        let path = options.directory.clone();
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        // Spans have command lines and addresses, which are nobody else's business.
        if path.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(Error::new(ErrorKind::PermissionDenied, "others can look into it: chmod 700"));
        }
        let lock = private().create(true).truncate(false).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    ErrorKind::ResourceBusy,
                    "another exporter uses it: give each its own",
                ));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
        let (mut entries, mut damaged_files) = (Vec::new(), 0);
        for file in path.read_dir()? {
            let file = file?;
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            if name == UNFINISHED {
                std::fs::remove_file(file.path())?;
            } else if name.ends_with(".damaged") {
                damaged_files += 1;
            } else if let Some(entry) = Entry::parse(name, file.metadata()?.len()) {
                entries.push(entry);
            }
        }
        entries.sort_unstable_by_key(|entry| entry.number);
        let held = Held {
            spans: entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.spans)),
            bytes: entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.bytes)),
            ..Held::default()
        };
        let next = entries.last().map_or(0, |entry| entry.number.saturating_add(1));
        let mut folder = Self {
            path,
            most_bytes: options.bytes,
            entries: entries.into(),
            damaged_files,
            held,
            next,
            _lock: lock,
        };
        // The bound may be a smaller one now.
        folder.make_room(0)?;
        Ok(folder)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn held(&self) -> Held {
        self.held
    }

    pub(super) fn put(&mut self, request: &ExportTraceServiceRequest, spans: u64) -> Result<()> {
        let body = request.encode_to_vec();
        let bytes = (HEAD + body.len()) as u64;
        let len = u32::try_from(body.len()).ok().filter(|_| bytes <= MOST_FILE_BYTES.min(self.most_bytes));
        let len =
            len.ok_or_else(|| Error::new(ErrorKind::FileTooLarge, "a request is larger than its bound"))?;
        self.make_room(bytes)?;
        let entry = Entry { number: self.next, spans, bytes };
        let unfinished = self.path.join(UNFINISHED);
        let written = private().create(true).truncate(true).open(&unfinished).and_then(|mut file| {
            file.write_all(&MAGIC)?;
            file.write_all(&len.to_le_bytes())?;
            file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
            file.write_all(&body)?;
            std::fs::rename(&unfinished, self.path.join(entry.name()))
        });
        if let Err(e) = written {
            // A disk that is full still removes files.
            let _ = std::fs::remove_file(&unfinished);
            return Err(e);
        }
        self.next = self.next.saturating_add(1);
        self.held.spans = self.held.spans.saturating_add(spans);
        self.held.bytes = self.held.bytes.saturating_add(bytes);
        self.entries.push_back(entry);
        Ok(())
    }

    pub(super) fn oldest(&mut self) -> Option<Read> {
        let entry = self.entries.front()?;
        let path = self.path.join(entry.name());
        match read(&path) {
            Ok(request) => Some(Read::Whole(request, entry.spans)),
            Err(e) => {
                self.set_aside(&path);
                Some(Read::Damaged(Error::new(e.kind(), format!("{}: {e}", path.display()))))
            }
        }
    }

    pub(super) fn remove_oldest(&mut self) -> Result<()> {
        let Some(entry) = self.forget_oldest() else { return Ok(()) };
        match std::fs::remove_file(self.path.join(entry.name())) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn set_aside(&mut self, path: &Path) {
        let Some(entry) = self.forget_oldest() else { return };
        self.held.damaged = self.held.damaged.saturating_add(entry.spans);
        let mut aside = path.as_os_str().to_owned();
        aside.push(".damaged");
        // If even that fails, it is forgotten, and found again by the next run.
        let _ = if self.damaged_files < MOST_DAMAGED {
            self.damaged_files += 1;
            std::fs::rename(path, aside)
        } else {
            std::fs::remove_file(path)
        };
    }

    fn make_room(&mut self, bytes: u64) -> Result<()> {
        while !self.is_empty()
            && (self.held.bytes.saturating_add(bytes) > self.most_bytes || self.entries.len() >= MOST_FILES)
        {
            let spans = self.entries.front().map_or(0, |entry| entry.spans);
            self.remove_oldest()?;
            self.held.shed = self.held.shed.saturating_add(spans);
        }
        Ok(())
    }

    fn forget_oldest(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.held.spans = self.held.spans.saturating_sub(entry.spans);
        self.held.bytes = self.held.bytes.saturating_sub(entry.bytes);
        Some(entry)
    }
}

/// For files that only this user can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn read(path: &Path) -> Result<ExportTraceServiceRequest> {
    let invalid = |why| Error::new(ErrorKind::InvalidData, why);
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_FILE_BYTES).read_to_end(&mut bytes)?;
    let (head, body) = bytes.split_at_checked(HEAD).ok_or_else(|| invalid("it is cut off"))?;
    let (magic, head) = head.split_at(MAGIC.len());
    let (len, checksum) = head.split_at(4);
    if magic != MAGIC {
        return Err(invalid("it has another layout"));
    }
    if len != (body.len() as u32).to_le_bytes() {
        return Err(invalid("it is cut off"));
    }
    if checksum != crc32fast::hash(body).to_le_bytes() {
        return Err(invalid("its checksum is wrong"));
    }
    ExportTraceServiceRequest::decode(body).map_err(|e| Error::new(ErrorKind::InvalidData, e))
}
