//! Where the story goes: a writer thread behind a queue that is bounded in bytes, so that a stopped pager or a
//! slow disk never reaches the data path. Lines that do not fit are counted (INV 6, INV 7).

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Bytes that may wait for the writer.
const QUEUE_BYTES: usize = 64 << 20;

/// Written chunks of which the memory is kept for the next ones, and how large they may be: pages that the system has to clear
/// for each chunk would cost as much as what is put there.
const SPARES: usize = 4;
const SPARE_BYTES: usize = 1 << 20;

/// Where it goes.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    Stdout,
    Stderr,
    File {
        path: &'a Path,
        /// What is there stays.
        append: bool,
    },
}

/// How the output ended, other than well.
#[derive(Debug)]
pub enum OutputError {
    /// The reader went away (`| head`): a quiet end.
    Closed,
    /// Everything else: the path and the error.
    Failed { path: String, error: io::Error },
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    spares: Vec<Vec<u8>>,
    bytes: usize,
    finished: bool,
    error: Option<OutputError>,
    broken: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The story's output.
pub struct Output {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    lost_lines: u64,
    terminal: bool,
}

impl Output {
    /// Opens it; a file is created 0600.
    pub fn open(to: Destination<'_>) -> Result<Self, OutputError> {
        let (name, terminal, sink): (String, bool, Box<dyn Write + Send>) = match to {
            Destination::Stdout => {
                ("standard output".into(), io::stdout().is_terminal(), Box::new(io::stdout()))
            }
            Destination::Stderr => {
                ("standard error".into(), io::stderr().is_terminal(), Box::new(io::stderr()))
            }
            Destination::File { path, append } => {
                let name = path.display().to_string();
                let mut options = OpenOptions::new();
                options.write(true).create(true).append(append).truncate(!append).mode(0o600);
                match options.open(path) {
                    Ok(f) => (name, false, Box::new(f)),
                    Err(error) => return Err(OutputError::Failed { path: name, error }),
                }
            }
        };
        let shared = Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("tracenet-output".into())
            .spawn(move || write_all(&theirs, sink, PathBuf::from(name)))
            .map_err(|error| OutputError::Failed { path: "output thread".into(), error })?;
        Ok(Self { shared, writer: Some(writer), lost_lines: 0, terminal })
    }

    /// True where a person looks on.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Hands over whole lines; what does not fit in the queue is counted as lost.
    pub fn push(&mut self, text: &mut Vec<u8>, lines: u64) {
        if text.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        if state.broken || state.bytes + text.len() > QUEUE_BYTES {
            self.lost_lines += lines;
            text.clear();
            return;
        }
        state.bytes += text.len();
        let next = state.spares.pop().unwrap_or_default();
        state.chunks.push_back(std::mem::replace(text, next));
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Lines lost so far: the queue was full, or the output was broken.
    pub fn lost_lines(&self) -> u64 {
        self.lost_lines
    }

    /// The first error of the writer, once.
    pub fn take_error(&mut self) -> Option<OutputError> {
        self.shared.lock().error.take()
    }

    /// Writes the last words, whatever waits before them, and waits for the writer.
    pub fn finish(mut self, last: Vec<u8>) -> Result<(), OutputError> {
        {
            let mut state = self.shared.lock();
            if !last.is_empty() {
                state.bytes += last.len();
                state.chunks.push_back(last);
            }
            state.finished = true;
        }
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            return Err(OutputError::Failed {
                path: "output thread".into(),
                error: io::Error::other("panicked"),
            });
        }
        self.take_error().map_or(Ok(()), Err)
    }
}

fn write_all(shared: &Shared, mut sink: Box<dyn Write + Send>, path: PathBuf) {
    loop {
        let mut chunk = {
            let mut state = shared.lock();
            loop {
                if let Some(chunk) = state.chunks.pop_front() {
                    break chunk;
                }
                if state.finished {
                    return;
                }
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let result = sink.write_all(&chunk).and_then(|()| sink.flush());
        let mut state = shared.lock();
        state.bytes -= chunk.len();
        if let Err(error) = result {
            state.broken = true;
            state.chunks.clear();
            state.bytes = 0;
            state.error = Some(if error.kind() == io::ErrorKind::BrokenPipe {
                OutputError::Closed
            } else {
                OutputError::Failed { path: path.display().to_string(), error }
            });
            return;
        }
        if state.spares.len() < SPARES && chunk.capacity() <= SPARE_BYTES {
            chunk.clear();
            state.spares.push(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_in_order_and_the_file_is_private() {
        let dir = std::env::temp_dir().join(format!("tracenet-output-{}", std::process::id()));
        let mut out = Output::open(Destination::File { path: &dir, append: false })
            .map_err(|_| ())
            .expect("a writable temporary folder");
        out.push(&mut b"one\n".to_vec(), 1);
        out.push(&mut b"two\n".to_vec(), 1);
        assert!(out.finish(b"three\n".to_vec()).is_ok());
        assert_eq!(std::fs::read_to_string(&dir).unwrap(), "one\ntwo\nthree\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&dir).unwrap().permissions());
        std::fs::remove_file(&dir).unwrap();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_full_device_is_an_error_and_its_lines_are_counted() {
        let to = Destination::File { path: Path::new("/dev/full"), append: false };
        let mut out = Output::open(to).map_err(|_| ()).expect("/dev/full exists on Linux");
        out.push(&mut b"lost\n".to_vec(), 1);
        let error = loop {
            if let Some(e) = out.take_error() {
                break e;
            }
            std::thread::yield_now();
        };
        assert!(
            matches!(error, OutputError::Failed { ref error, .. } if error.raw_os_error() == Some(libc::ENOSPC))
        );
        out.push(&mut b"after\n".to_vec(), 1);
        assert_eq!(out.lost_lines(), 1);
    }
}
