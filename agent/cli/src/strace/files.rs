//! `-ff`: each thread's lines in a file of its own.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

/// Files open at a time; of further threads the one that was opened first is closed, and opened again at need.
const MAX_OPEN: usize = 256;

/// Bytes of a thread that wait to be written.
const CHUNK: usize = 16 << 10;

/// The files.
pub struct Files {
    stem: PathBuf,
    append: bool,
    open: FxHashMap<u32, File>,
    order: VecDeque<u32>,
    waiting: FxHashMap<u32, Vec<u8>>,
    /// Threads that have a file already.
    begun: FxHashSet<u32>,
}

impl Files {
    /// `stem` and a dot stand before the thread's number. `append`: what is there stays.
    pub fn new(stem: &Path, append: bool) -> Self {
        Self {
            stem: stem.to_owned(),
            append,
            open: FxHashMap::default(),
            order: VecDeque::new(),
            waiting: FxHashMap::default(),
            begun: FxHashSet::default(),
        }
    }

    /// Adds text to a thread's file.
    ///
    /// # Errors
    /// What the kernel says of the file, with its path.
    pub fn push(&mut self, tid: u32, text: &[u8]) -> Result<(), (PathBuf, io::Error)> {
        let waiting = self.waiting.entry(tid).or_default();
        waiting.extend_from_slice(text);
        if waiting.len() >= CHUNK { self.write(tid) } else { Ok(()) }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// As [`push`](Self::push); the rest is written all the same.
    pub fn flush(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let tids: Vec<u32> = self.waiting.keys().copied().collect();
        let mut result = Ok(());
        for tid in tids {
            let one = self.write(tid);
            if result.is_ok() {
                result = one;
            }
        }
        result
    }

    /// A thread is over: its file is written and closed.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn close(&mut self, tid: u32) -> Result<(), (PathBuf, io::Error)> {
        let result = self.write(tid);
        self.open.remove(&tid);
        self.order.retain(|t| *t != tid);
        result
    }

    fn write(&mut self, tid: u32) -> Result<(), (PathBuf, io::Error)> {
        let Some(text) = self.waiting.remove(&tid) else { return Ok(()) };
        let mut path = self.stem.clone().into_os_string();
        path.push(format!(".{tid}"));
        let path = PathBuf::from(path);
        self.file(tid, &path).and_then(|f| f.write_all(&text)).map_err(|e| (path, e))
    }

    fn file(&mut self, tid: u32, path: &Path) -> io::Result<&mut File> {
        if !self.open.contains_key(&tid) {
            if self.open.len() >= MAX_OPEN
                && let Some(first) = self.order.pop_front()
            {
                self.open.remove(&first);
            }
            let again = !self.begun.insert(tid) || self.append;
            let file = OpenOptions::new()
                .create(true)
                .append(again)
                .write(true)
                .truncate(!again)
                .mode(0o600)
                .open(path)?;
            self.order.push_back(tid);
            self.open.insert(tid, file);
        }
        self.open.get_mut(&tid).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_open_files_keep_all_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::new(&folder.path().join("t"), false);
        for round in 0..2 {
            for tid in 0..2 * MAX_OPEN as u32 {
                files.push(tid, format!("{round}\n").as_bytes()).unwrap();
            }
            files.flush().unwrap();
        }
        for tid in 0..2 * MAX_OPEN {
            let text = std::fs::read_to_string(folder.path().join(format!("t.{tid}"))).unwrap();
            assert_eq!(text, "0\n1\n");
        }
    }
}
