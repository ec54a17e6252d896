//! The ways to be watched, and one of them at work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tracenet_tests::agent;
use tracenet_tests::counters::cpu_ns;
use tracenet_tests::harness::which;
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;

/// A way to watch a server.
pub struct Way {
    /// As the table has it.
    pub name: &'static str,
    program: &'static str,
    /// `PID` is the server; `OUT`, `FILE` and `CONFIG` are files.
    arguments: &'static [&'static str],
    /// What it says once it watches.
    says: &'static str,
    /// Requests a second beside bare that are wanted.
    pub goal: Option<f64>,
    /// It stops the server at each call: a tenth of the requests will do.
    pub slow: bool,
    /// The load has run for so long when the measuring begins.
    pub settles: Duration,
}

const TRACENET: &str = "tracenet";
const FOLLOWS: &str = "every process is followed";

/// All of them: sums of everybody, turns of everybody (at first, and once the governor holds it to its budget), and the
/// server alone.
pub const WAYS: [Way; 7] = [
    ours("top", &["top", "--json", "--interval", "600s"], "counting for", 0.98),
    ours("agent", &["agent", "--config", "CONFIG"], FOLLOWS, 0.98),
    Way {
        // The time that the governor may take, and some looks.
        settles: Duration::from_secs(12),
        ..ours("agent, settled", &["agent", "--config", "CONFIG"], FOLLOWS, 0.98)
    },
    ours(
        "attach, turns and packets",
        &["attach", "-p", "PID", "-e", "trace=none", "--no-packets", "--json", "-o", "OUT"],
        "attached",
        0.90,
    ),
    ours(
        "attach, all recorded",
        &["attach", "-p", "PID", "-e", "trace=all", "-q", "--json", "-o", "OUT", "--record", "FILE"],
        "attached",
        0.70,
    ),
    Way {
        name: "strace -f",
        program: "strace",
        arguments: &["-f", "-o", "OUT", "-p", "PID"],
        says: "attached",
        goal: None,
        slow: true,
        settles: Duration::ZERO,
    },
    Way {
        name: "tcpdump",
        program: "tcpdump",
        arguments: &["-i", "lo", "-Z", "root", "-w", "OUT"],
        says: "listening on",
        goal: None,
        slow: false,
        settles: Duration::ZERO,
    },
];

const fn ours(name: &'static str, arguments: &'static [&'static str], says: &'static str, goal: f64) -> Way {
    Way { name, program: TRACENET, arguments, says, goal: Some(goal), slow: false, settles: Duration::ZERO }
}

impl Way {
    /// Whether it has BPF programs of ours.
    pub fn is_ours(&self) -> bool {
        self.program == TRACENET
    }

    /// Whether it can be run here.
    pub fn installed(&self) -> bool {
        self.is_ours() || which(self.program).is_some()
    }

    /// Starts it in the server's namespace; it watches when this returns.
    pub fn start(&self, netns: &Netns, server: u32) -> Watcher {
        let folder = folder();
        let file = |name: &str| folder.path().join(name);
        let mut command = if self.is_ours() {
            agent::command()
        } else {
            netns.command(which(self.program).expect("it is there"))
        };
        for argument in self.arguments {
            match *argument {
                "PID" => command.arg(server.to_string()),
                "OUT" => command.arg(file("out")),
                "FILE" => command.arg(file("file")),
                "CONFIG" => command.arg(config(folder.path())),
                other => command.arg(other),
            };
        }
        Watcher::start(&mut command, self.says, folder)
    }
}

/// In memory where there is such a place, so that no disk is measured.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// Nobody is to find the agent's port taken.
fn config(folder: &Path) -> PathBuf {
    let file = folder.join("agent.yaml");
    std::fs::write(&file, "agent:\n  listen: null\n").expect("a temporary file");
    file
}

/// One that watches.
pub struct Watcher {
    program: Program,
    folder: TempDir,
}

impl Watcher {
    /// `tracenet agent`.
    pub fn agent() -> Self {
        let folder = folder();
        let config = config(folder.path());
        Self::start(agent::command().arg("agent").arg("--config").arg(config), FOLLOWS, folder)
    }

    fn start(command: &mut Command, says: &str, folder: TempDir) -> Self {
        let mut program = Program::start(command);
        program.wait_for_stderr(says);
        Self { program, folder }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Its CPU time so far.
    pub fn cpu_ns(&self) -> u64 {
        cpu_ns(self.pid())
    }

    /// Ends it: events that it lost, where its summary says so.
    pub fn end(mut self) -> u64 {
        self.program.signal(Signal::SIGINT);
        self.program.wait();
        let text = std::fs::read(self.folder.path().join("out")).unwrap_or_default();
        let last = text.trim_ascii_end().rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let summary: Value = serde_json::from_slice(last).unwrap_or_default();
        summary["lost"].as_object().map_or(0, |lost| lost.values().filter_map(Value::as_u64).sum())
    }
}
