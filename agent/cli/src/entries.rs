//! Files that are made of entries: a magic with the number of the layout, then postcard with length and checksum
//! (`tracenet_core::record`).

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::marker::PhantomData;
use std::path::Path;

use serde::de::DeserializeOwned;
use tracenet_core::record::{EntryError, Head, decode};

use crate::failure::Failure;

/// An open file of entries of type `T`.
pub struct Entries<T> {
    file: BufReader<File>,
    name: String,
    /// What the file is.
    what: &'static str,
    /// Where the next entry begins, in bytes.
    offset: u64,
    bytes: Vec<u8>,
    _entry: PhantomData<T>,
}

impl<T: DeserializeOwned> Entries<T> {
    /// Opens one that begins with `magic`, whose last byte is the number of the layout; `what` it is told to be.
    pub fn open(path: &Path, magic: [u8; 8], what: &'static str) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Failure::NotFound(format!("no such file: {name}")),
            _ => Failure::Runtime(format!("cannot read {name}: {e}")),
        })?;
        let file = BufReader::with_capacity(256 << 10, file);
        let mut entries = Self { file, name, what, offset: 0, bytes: Vec::new(), _entry: PhantomData };
        let mut begin = [0; 8];
        if entries.file.read_exact(&mut begin).is_err() || begin[..5] != magic[..5] {
            return Err(entries.refused(&format!("it is no {what} of tracenet")));
        }
        if begin != magic {
            return Err(
                entries.refused("it was made by another version of tracenet: replay it with that one")
            );
        }
        entries.offset = magic.len() as u64;
        Ok(entries)
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// That it can't be used, and why.
    pub fn refused(&self, why: &str) -> Failure {
        Failure::Usage(format!("{}: {why}", self.name))
    }

    /// The next entry; nothing at the end, and a line about what is there where it is none.
    pub fn next(&mut self) -> Result<Option<T>, String> {
        let at = self.offset;
        let mut head = [0; Head::LEN];
        match self.file.read(&mut head[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(e) => return Err(format!("cannot read at offset {at}: {e}")),
        }
        let cut = |_| format!("the {} is cut in the entry at offset {at}", self.what);
        self.file.read_exact(&mut head[1..]).map_err(cut)?;
        let damaged = |e: EntryError| format!("damaged at offset {at}: {e}");
        let head = Head::read(head).map_err(damaged)?;
        self.bytes.resize(head.len, 0);
        self.file.read_exact(&mut self.bytes).map_err(cut)?;
        self.offset = at + (Head::LEN + head.len) as u64;
        decode(head, &self.bytes).map(Some).map_err(damaged)
    }
}
