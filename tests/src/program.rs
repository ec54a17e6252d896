//! Child processes that are talked to line by line and never outlive their value.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::DEADLINE;

/// A running program. Dropped, it is killed.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    stderr_reader: JoinHandle<()>,
}

impl Program {
    /// Starts `command` with its three standard streams connected to this value.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("piped");
        let mut errors = child.stderr.take().expect("piped");
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&stderr);
        let stderr_reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = errors.read(&mut buffer) {
                into.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Self { name, child, stdin, lines, stderr, stderr_reader }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next line of standard output.
    ///
    /// # Panics
    /// When none comes.
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("{} said nothing for {DEADLINE:?}", self.name),
            Err(RecvTimeoutError::Disconnected) => {
                panic!("{} closed its output: {}", self.name, self.stderr())
            }
        }
    }

    /// The next line of standard output, as JSON.
    pub fn json(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{}: {e}: {line}", self.name))
    }

    /// Every line until the output is closed.
    pub fn remaining_lines(&self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => all.push(line),
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) => panic!("{} did not end in {DEADLINE:?}", self.name),
            }
        }
    }

    /// Waits for a line on standard error that contains `text`, and returns it.
    pub fn wait_for_stderr(&mut self, text: &str) -> String {
        let what = format!("{} to say '{text}'", self.name);
        crate::wait_for(&what, || {
            let so_far = self.stderr();
            if let Some(line) = so_far.lines().find(|line| line.contains(text)) {
                return Some(line.to_owned());
            }
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("{} ended with {status} before it said '{text}': {so_far}", self.name);
            }
            None
        })
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        writeln!(stdin, "{line}").unwrap_or_else(|e| panic!("{}: {e}: {}", self.name, self.stderr()));
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name));
    }

    /// True where it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for its end, and until all that it wrote to standard error has been read. Its input stays open.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("{} to end", self.name);
        let child = &mut self.child;
        // Child::wait would close the input, which some programs take for a request.
        let status = crate::wait_for(&what, || child.try_wait().expect("a child can be waited for"));
        let what = format!("the standard error of {} to be closed", self.name);
        crate::wait_for(&what, || self.stderr_reader.is_finished().then_some(()));
        status
    }

    /// Closes its input, waits for its end, and demands success.
    pub fn finish(&mut self) {
        self.close_stdin();
        let status = self.wait();
        assert!(status.success(), "{}: {status}: {}", self.name, self.stderr());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
