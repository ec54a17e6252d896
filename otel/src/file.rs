//! OTLP JSON lines: one export request a line, as collectors' file exporters write and file receivers read them.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::options::Error;
use crate::otlp::Outcome;

/// A file that both signals may share.
#[derive(Debug, Clone)]
pub(crate) struct JsonFile {
    file: Arc<Mutex<File>>,
}

impl JsonFile {
    /// Creates or empties the file. Command lines and addresses are nobody else's business: mode 0600.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.map_err(|source| Error::File { path: path.to_owned(), source })?;
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    /// Writes a request as a line, whole or not at all (but for pipes, which can't take back).
    pub(crate) fn write(&self, request: &impl Serialize) -> Outcome {
        let mut line = match tracenet_core::json::to_string(request) {
            Ok(line) => line.into_bytes(),
            Err(e) => return Outcome::Failed { why: e.to_string() },
        };
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let before = file.stream_position().ok();
        match file.write_all(&line) {
            Ok(()) => Outcome::Delivered { rejected: 0, message: String::new() },
            Err(e) => {
                if let Some(before) = before {
                    // A disk that is full still shortens files; if even that fails, the line stays torn.
                    let _ = file.set_len(before).and_then(|()| file.seek(SeekFrom::Start(before)));
                }
                Outcome::Failed { why: e.to_string() }
            }
        }
    }
}
