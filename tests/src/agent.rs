//! tracenet itself: started, waited for, stopped, and its output read.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::Program;
use crate::report::Summary;

/// The release binary: `TRACENET_BIN`, or what `make test` built.
pub fn binary() -> PathBuf {
    std::env::var_os("TRACENET_BIN")
        .map_or_else(|| crate::target_folder().join("release/tracenet"), PathBuf::from)
}

/// A command of the binary with colours and exporters of the surroundings switched off.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    clean_environment(&mut command);
    command
}

/// Takes away what would change the binary's behaviour.
pub fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || text.starts_with("TRACENET_") && text != "TRACENET_BIN" {
            command.env_remove(&name);
        }
    }
    command.env("NO_COLOR", "1");
}

/// A running `tracenet attach --json`, attached.
pub struct Agent {
    program: Program,
    folder: TempDir,
}

/// What it said, complete.
pub struct Story {
    /// The last line.
    pub summary: Summary,
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard error.
    pub stderr: String,
    folder: TempDir,
}

impl Agent {
    /// Attaches to `pids` and returns when the agent says that it is attached.
    pub fn attach(pids: &[u32], options: &[&str]) -> Self {
        Self::attach_by(command(), pids, options)
    }

    /// The same, by a command of the caller's making (in a namespace, with an environment).
    pub fn attach_by(mut command: Command, pids: &[u32], options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        command.arg("attach").arg("--json").arg("-o").arg(folder.path().join("out"));
        for pid in pids {
            command.args(["-p", &pid.to_string()]);
        }
        command.args(options);
        let mut program = Program::start(&mut command);
        program.wait_for_stderr("attached to");
        Self { program, folder }
    }

    /// The agent's own process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// True while it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.program.stderr()
    }

    /// Ctrl-C, then the whole story. A story that ends with another status than 0 fails the test.
    pub fn stop(self) -> Story {
        self.program.signal(Signal::SIGINT);
        self.ended()
    }

    /// The whole story of an agent that ends by itself.
    pub fn ended(mut self) -> Story {
        let status = self.program.wait();
        let stderr = self.program.stderr();
        assert!(status.success(), "tracenet: {status}: {stderr}");
        let summary = last_line(&self.folder.path().join("out"));
        let value: Value = serde_json::from_str(&summary).unwrap_or_else(|e| panic!("{e}: {summary}"));
        let summary: Summary = serde_json::from_value(value).unwrap_or_else(|e| panic!("{e}: {summary}"));
        assert_eq!(summary.schema, "tracenet.summary/1");
        Story { summary, status, stderr, folder: self.folder }
    }
}

impl Story {
    /// The event lines, in order, without the summary.
    pub fn events(&self) -> impl Iterator<Item = Value> {
        let file = File::open(self.folder.path().join("out")).expect("the story exists");
        let lines = BufReader::with_capacity(1 << 20, file).lines();
        lines
            .map(|line| {
                let line = line.expect("the story is readable");
                serde_json::from_str::<Value>(&line).unwrap_or_else(|e| panic!("not JSON: {e}: {line}"))
            })
            .filter(|value| match value["schema"].as_str() {
                Some("tracenet.event/1" | "tracenet.turn/1") => true,
                Some("tracenet.summary/1") => false,
                other => panic!("unknown schema {other:?}: {value}"),
            })
    }

    /// The summary with all its fields.
    pub fn whole_summary(&self) -> Value {
        let text = last_line(&self.folder.path().join("out"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// The whole story as it was written.
    pub fn text(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("out")).expect("the story exists")
    }

    /// The events of one kind.
    pub fn kind(&self, kind: &str) -> Vec<Value> {
        self.events().filter(|event| event["kind"] == kind).collect()
    }
}

fn last_line(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let text = text.strip_suffix(b"\n").unwrap_or_else(|| panic!("the last line is not complete"));
    let start = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

/// It ended with this code and one line on standard error, no panic, the words in it.
pub fn assert_one_line(output: &Output, code: i32, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "one line:\n{error}");
    for word in words {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
}
