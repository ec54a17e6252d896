//! Samples in a file: raw counters, so that every report can be made of them later.
//!
//! [`MAGIC`], then entries as in a recording (`tracenet_core::record`): length, CRC-32, postcard. The names stand in the file
//! once, and again when they change (an interface came); a sample is the differences of the numbers from those before,
//! small numbers for the most part.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracenet_collectors::counters::{Kind, Reading};
use tracenet_collectors::sample::Sample;
use tracenet_collectors::task::Task;
use tracenet_core::record::encode;
use tracenet_core::time::WallNs;

use crate::entries::Entries;
use crate::failure::Failure;

/// First bytes of the file. The last one is the layout of the entries, raised with every change of a type below.
const MAGIC: [u8; 8] = *b"tnsar\r\n\x01";

/// Names in one entry: far below the longest entry that is read.
const NAMES: usize = 4_096;

/// Names in all, as many as a snapshot keeps.
const NAMES_MAX: usize = 65_536;

/// Where the samples come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the host.
    pub host: String,
    /// Architecture.
    pub machine: String,
    /// Processors.
    pub cpus: u32,
    /// There is one sample, and what it tells is since boot.
    pub since_boot: bool,
}

#[derive(Debug, Serialize, Deserialize)]
enum Entry {
    Begin(Begin),
    /// Some of the names; the first of them take the place of those before.
    Names {
        first: bool,
        names: Vec<(String, Kind)>,
    },
    Sample {
        wall_ns: u64,
        boot_ns: u64,
        changes: Vec<i64>,
        tasks: Vec<Task>,
    },
}

/// What both ends know of the sample before.
#[derive(Default)]
struct Before {
    names: Vec<(String, Kind)>,
    values: Vec<u64>,
}

/// Writes samples.
pub struct Writer {
    file: File,
    path: PathBuf,
    before: Before,
    bytes: Vec<u8>,
}

impl Writer {
    /// Creates the file.
    pub fn create(path: &Path, begin: &Begin) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.map_err(|e| failure(path, &e))?;
        let mut writer =
            Self { file, path: path.to_owned(), before: Before::default(), bytes: MAGIC.to_vec() };
        writer.entry(&Entry::Begin(begin.clone()))?;
        writer.flush()?;
        Ok(writer)
    }

    /// Appends a sample: it is with the kernel when this returns.
    pub fn sample(&mut self, sample: &Sample) -> Result<(), Failure> {
        let readings = || sample.counters.iter();
        let known = self.before.names.iter().map(|(name, kind)| (name.as_str(), *kind));
        if !known.eq(readings().map(|(name, r)| (name, r.kind))) {
            let names: Vec<_> = readings().map(|(name, r)| (name.to_owned(), r.kind)).collect();
            self.before.values = vec![0; names.len()];
            for (i, some) in names.chunks(NAMES).enumerate() {
                self.entry(&Entry::Names { first: i == 0, names: some.to_vec() })?;
            }
            self.before.names = names;
        }
        let values = &mut self.before.values;
        let mut changes = Vec::with_capacity(values.len());
        for (before, (_, now)) in values.iter_mut().zip(readings()) {
            changes.push(now.value.wrapping_sub(*before).cast_signed());
            *before = now.value;
        }
        let (wall_ns, boot_ns, tasks) = (sample.wall.0, sample.boot_ns, sample.tasks.clone());
        self.entry(&Entry::Sample { wall_ns, boot_ns, changes, tasks })?;
        self.flush()
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Failure> {
        encode(entry, &mut self.bytes).map_err(|e| failure(&self.path, &io::Error::other(e)))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let written = self.file.write_all(&self.bytes).map_err(|e| failure(&self.path, &e));
        self.bytes.clear();
        written
    }
}

fn failure(path: &Path, e: &io::Error) -> Failure {
    Failure::Runtime(format!(
        "cannot write {}: {e}; the samples end there: free space or choose another path",
        path.display()
    ))
}

/// Reads samples.
pub struct Reader {
    entries: Entries<Entry>,
    before: Before,
}

impl Reader {
    /// Opens a file and reads its beginning.
    pub fn open(path: &Path) -> Result<(Self, Begin), Failure> {
        let mut entries = Entries::<Entry>::open(path, MAGIC, "file of samples")?;
        match entries.next() {
            Ok(Some(Entry::Begin(begin))) => Ok((Self { entries, before: Before::default() }, begin)),
            _ => Err(entries.refused("it has no beginning")),
        }
    }

    /// The next sample; nothing at the end, and a line about what is there where it is none.
    pub fn next(&mut self) -> Result<Option<Sample>, String> {
        let damaged = |r: &Self, why: &str| Err(format!("{}: {why}", r.entries.name()));
        loop {
            match self.entries.next() {
                Err(why) => return damaged(self, &why),
                Ok(None) => return Ok(None),
                Ok(Some(Entry::Begin(_))) => return damaged(self, "it begins twice"),
                Ok(Some(Entry::Names { first, names })) => {
                    if first {
                        self.before.names.clear();
                    }
                    self.before.names.extend(names);
                    if self.before.names.len() > NAMES_MAX {
                        return damaged(self, "it has more names than there can be");
                    }
                    self.before.values = vec![0; self.before.names.len()];
                }
                Ok(Some(Entry::Sample { wall_ns, boot_ns, changes, tasks })) => {
                    if changes.len() != self.before.names.len() {
                        return damaged(self, "a sample has other numbers than its names say");
                    }
                    for (value, change) in self.before.values.iter_mut().zip(changes) {
                        *value = value.wrapping_add_signed(change);
                    }
                    let named = self.before.names.iter().zip(&self.before.values);
                    let counters = named
                        .map(|((name, kind), value)| (name.clone(), Reading { kind: *kind, value: *value }))
                        .collect();
                    return Ok(Some(Sample { wall: WallNs(wall_ns), boot_ns, counters, tasks }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> Begin {
        Begin { kernel: "6".into(), host: "h".into(), machine: "m".into(), cpus: 2, since_boot: false }
    }

    fn sample(t: u64, readings: &[(&str, u64)]) -> Sample {
        let reading = |(name, value): &(&str, u64)| {
            ((*name).to_owned(), Reading { kind: Kind::Counter, value: *value })
        };
        let tasks = vec![Task { pid: 7, uid: 0, comm: "x".into() }];
        Sample { wall: WallNs(t), boot_ns: t, counters: readings.iter().map(reading).collect(), tasks }
    }

    #[test]
    fn samples_come_back_as_they_were_and_a_cut_tail_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples");
        let all = [
            sample(1, &[("a", 5), ("b", u64::MAX)]),
            sample(2, &[("a", 3), ("b", 0)]),
            sample(3, &[("a", 3), ("new", 9), ("b", 0)]),
        ];
        let mut writer = Writer::create(&path, &begin()).unwrap();
        for s in &all {
            writer.sample(s).unwrap();
        }
        let (mut reader, b) = Reader::open(&path).unwrap();
        assert_eq!(b, begin());
        for s in &all {
            assert_eq!(reader.next().unwrap().as_ref(), Some(s));
        }
        assert_eq!(reader.next(), Ok(None));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let (mut reader, _) = Reader::open(&path).unwrap();
        assert!(reader.next().is_ok() && reader.next().is_ok());
        assert!(reader.next().unwrap_err().contains("is cut in the entry at offset"));
    }

    #[test]
    fn what_is_no_file_of_samples_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples");
        assert!(matches!(Reader::open(&path).err(), Some(Failure::NotFound(_))));
        for bytes in [b"tnrec\r\n\x08".as_slice(), b"tns", b"tnsar\r\n\xff", b"tnsar\r\n\x01"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(Reader::open(&path).err(), Some(Failure::Usage(_))), "{bytes:?}");
        }
        let full = Writer::create(Path::new("/dev/full"), &begin()).err();
        assert!(matches!(full, Some(Failure::Runtime(text)) if text.contains("free space")));
    }
}
