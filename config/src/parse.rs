//! From bytes on disk to a [`Config`], or to one line that says where and what is wrong.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::schema::Config;

/// Larger files are refused: the example is a fortieth of it.
pub const MAX_FILE_BYTES: u64 = 128 << 10;

/// The YAML scanner looks at every open bracket at every token, so that many of them would cost seconds. Counted
/// without regard to quotes and comments: a file of two levels needs a handful.
const MOST_BRACKETS: usize = 1000;

/// A file that can't be used. Its text is one line: `FILE:LINE:COLUMN: what is wrong; what to do`.
#[derive(Debug)]
pub struct Error {
    /// The file, where there is one.
    pub path: Option<PathBuf>,
    /// 1-based line and column, where they are known.
    pub position: Option<(usize, usize)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", path.display())?;
        }
        if let Some((line, column)) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        if self.path.is_some() || self.position.is_some() {
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self { path: None, position: None, message: message.into() }
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let in_file = |error: Error| Error { path: Some(path.to_owned()), ..error };
        let unreadable = |e: std::io::Error| in_file(Error::new(format!("cannot be read: {e}")));
        let mut text = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        // One byte more than is allowed, so that a device or a pipe without a size is bounded too.
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
        let text = String::from_utf8(text).map_err(|e| {
            let line =
                e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            in_file(Error { position: Some((line, 1)), ..Error::new("is not UTF-8; save it as UTF-8 text") })
        })?;
        Self::parse(&text).map_err(in_file)
    }

    /// Checks a text. An empty one means the defaults.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::new("is larger than 128 KiB; that is no configuration of tracenet"));
        }
        if text.bytes().filter(|b| matches!(b, b'[' | b'{')).count() > MOST_BRACKETS {
            return Err(Error::new(format!(
                "has more than {MOST_BRACKETS} brackets; write lists one entry a line"
            )));
        }
        let parsed: Option<Self> = serde_yaml::from_str(text).map_err(|e| {
            let position = e.location().map(|at| (at.line(), at.column()));
            let mut message = e.to_string();
            // The position goes to the front, where editors look for it.
            if let Some((line, column)) = position {
                message = message.replace(&format!(" at line {line} column {column}"), "");
            }
            message = message.replace('\n', " ");
            Error { path: None, position, message: format!("{message}; see `tracenet config example`") }
        })?;
        Ok(parsed.unwrap_or_default())
    }
}
