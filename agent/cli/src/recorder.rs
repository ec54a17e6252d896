//! The recording of a run: everything that the core eats, into a file, for `tracenet replay`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tracenet_core::core::Settings;
use tracenet_core::record::{Entry, MAGIC};
use tracenet_core::time::ClockOffset;

use crate::failure::Failure;
use crate::sinks;

/// Writes a recording. What can't be written is said once; the run goes on, and its exit code tells.
pub struct Recorder {
    file: BufWriter<File>,
    path: PathBuf,
    bytes: Vec<u8>,
    clock: Option<ClockOffset>,
    failed: bool,
}

impl Recorder {
    /// Creates the file, readable by its owner alone: it holds what the processes said.
    pub fn create(path: &Path, settings: &Settings) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let mut recorder = Self {
            file: BufWriter::with_capacity(256 << 10, file.map_err(|e| failure(path, &e))?),
            path: path.to_owned(),
            bytes: Vec::new(),
            clock: None,
            failed: false,
        };
        recorder.file.write_all(&MAGIC).map_err(|e| failure(path, &e))?;
        recorder.entry(&Entry::Begin(settings.clone()));
        recorder.flush();
        Ok(recorder)
    }

    /// The clocks' distance with which the next facts are told.
    pub fn clock(&mut self, offset: ClockOffset) {
        if self.clock.replace(offset) != Some(offset) {
            self.entry(&Entry::Clock(offset));
        }
    }

    /// Appends an entry.
    pub fn entry(&mut self, entry: &Entry) {
        if self.failed {
            return;
        }
        self.bytes.clear();
        let encoded = entry.encode(&mut self.bytes).map_err(io::Error::other);
        if let Err(e) = encoded.and_then(|()| self.file.write_all(&self.bytes)) {
            self.fail(&e);
        }
    }

    /// Hands everything to the kernel, so that a recording whose writer is killed has all but its last moment.
    pub fn flush(&mut self) {
        if !self.failed
            && let Err(e) = self.file.flush()
        {
            self.fail(&e);
        }
    }

    /// Something could not be written.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn fail(&mut self, e: &io::Error) {
        sinks::warn(&failure(&self.path, e).to_string());
        self.failed = true;
    }
}

fn failure(path: &Path, e: &io::Error) -> Failure {
    Failure::Runtime(format!(
        "cannot write {}: {e}; the recording ends there: free space or choose another path",
        path.display()
    ))
}
