//! The ways to be watched: tracenet's and those of other tools, how each is started, and when it watches.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::worker::Workload;

/// How long a tool may take to begin, and to end.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long another's tool may take to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes at the end of an output that are looked at.
const TAIL: u64 = 64 << 10;

/// A way to watch.
#[derive(Debug)]
pub struct Way {
    /// As the table has it.
    pub name: &'static str,
    /// The program; tracenet is this binary.
    program: &'static str,
    /// Its arguments; `PIDS`, `IDLE`, `FILTER` and `FILE` stand for what is known later.
    arguments: &'static [&'static str],
    ready: Ready,
    /// It sees packets only, or as well.
    pub sees: Sees,
}

/// What tells that it watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ready {
    /// These words on standard error or output.
    Says(&'static str),
    /// It says nothing, but writes once there is something to see.
    Writes,
}

/// Of what a way has a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    All,
    Packets,
}

const ATTACHED: Ready = Ready::Says("attached");

/// All ways, tracenet's first.
pub const WAYS: [Way; 14] = [
    tracenet("another is traced", &["attach", "-p", "IDLE", "-q", "--json"], ATTACHED),
    tracenet(
        "sockets",
        &["attach", "-p", "PIDS", "-e", "trace=none", "-i", "none", "-q", "--json"],
        ATTACHED,
    ),
    tracenet(
        "turns and packets",
        &["attach", "-p", "PIDS", "-e", "trace=none", "--no-packets", "--json"],
        ATTACHED,
    ),
    tracenet("all calls and packets", &["attach", "-p", "PIDS", "-e", "trace=all", "--json"], ATTACHED),
    tracenet(
        "all recorded",
        &["attach", "-p", "PIDS", "-e", "trace=all", "-q", "--json", "--record", "FILE"],
        ATTACHED,
    ),
    tracenet("--strace", &["attach", "-p", "PIDS", "--strace", "-f", "-o", "/dev/stdout"], ATTACHED),
    tracenet("-c", &["attach", "-p", "PIDS", "-c", "-f", "-o", "/dev/stdout"], ATTACHED),
    // The namespace is the bench's own, so nobody else listens where the agent does.
    tracenet("agent", &["agent"], Ready::Says("every process is followed")),
    other("strace", &["-f", "-o", "/dev/stdout", "-p", "PIDS"], ATTACHED),
    Way {
        name: "strace -c",
        program: "strace",
        arguments: &["-f", "-c", "-o", "/dev/stdout", "-p", "PIDS"],
        ready: ATTACHED,
        sees: Sees::All,
    },
    Way {
        name: "perf trace",
        program: "perf",
        arguments: &["trace", "-o", "/dev/stdout", "-p", "PIDS"],
        ready: Ready::Writes,
        sees: Sees::All,
    },
    Way {
        name: "tcpdump",
        program: "tcpdump",
        arguments: &["-i", "lo", "-w", "-"],
        ready: Ready::Says("listening on"),
        sees: Sees::Packets,
    },
    Way {
        name: "bpftrace counts",
        program: "bpftrace",
        arguments: &[
            "-e",
            "BEGIN { printf(\"attached\\n\"); } tracepoint:raw_syscalls:sys_exit /FILTER/ { @[args->id] = count(); }",
        ],
        ready: ATTACHED,
        sees: Sees::All,
    },
    Way {
        name: "bpftrace prints",
        program: "bpftrace",
        arguments: &[
            "-e",
            "BEGIN { printf(\"attached\\n\"); } \
             tracepoint:raw_syscalls:sys_exit /FILTER/ { printf(\"%d = %d\\n\", args->id, args->ret); }",
        ],
        ready: ATTACHED,
        sees: Sees::All,
    },
];

const TRACENET: &str = "tracenet";

const fn tracenet(name: &'static str, arguments: &'static [&'static str], ready: Ready) -> Way {
    Way { name, program: TRACENET, arguments, ready, sees: Sees::All }
}

const fn other(program: &'static str, arguments: &'static [&'static str], ready: Ready) -> Way {
    Way { name: program, program, arguments, ready, sees: Sees::All }
}

/// Who is to be watched.
#[derive(Debug, Clone)]
pub struct Whom {
    /// Those who work.
    pub targets: Vec<u32>,
    /// One who doesn't.
    pub idle: u32,
}

impl Way {
    /// Whether this has anything to see in a workload.
    pub fn sees(&self, workload: Workload) -> bool {
        self.sees == Sees::All || matches!(workload, Workload::Request | Workload::Packet)
    }

    /// True of tracenet itself.
    pub fn is_ours(&self) -> bool {
        self.program == TRACENET
    }

    /// Where its program is; `None`: not installed.
    pub fn installed(&self) -> Option<PathBuf> {
        if self.is_ours() {
            return std::env::current_exe().ok();
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .map(|folder| folder.join(self.program))
            .find(|file| file.is_file())
    }

    /// As a user would type it; what differs from run to run is in capitals.
    pub fn command(&self) -> String {
        let quoted = self.arguments.iter().map(|a| match a.contains([' ', '"']) {
            true => format!("'{a}'"),
            false => (*a).to_owned(),
        });
        std::iter::once(self.program.to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
    }

    /// Starts it and waits until it watches; `burst` lets those who are watched do something.
    ///
    /// # Errors
    /// One line: what it said last.
    pub fn start(
        &self,
        whom: &Whom,
        mut burst: impl FnMut() -> Result<(), String>,
    ) -> Result<Watcher, String> {
        let program = self.installed().ok_or("not installed")?;
        let memory = || {
            memfd_create(c"tracenet-bench", MFdFlags::MFD_CLOEXEC)
                .map(File::from)
                .map_err(|e| format!("cannot make a file in memory: {e}"))
        };
        let (stdout, stderr, file) = (memory()?, memory()?, memory()?);
        let pids = whom.targets.iter().map(u32::to_string).collect::<Vec<_>>();
        let filter = pids.iter().map(|pid| format!("pid == {pid}")).collect::<Vec<_>>().join(" || ");
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let copy = |file: &File| file.try_clone().map_err(|e| e.to_string());
        let mut command = Command::new(program);
        for argument in self.arguments {
            command.arg(match *argument {
                "PIDS" => pids.join(","),
                "IDLE" => whom.idle.to_string(),
                "FILE" => path.clone(),
                other => other.replace("FILTER", &filter),
            });
        }
        command.stdin(Stdio::null()).stdout(copy(&stdout)?).stderr(copy(&stderr)?);
        // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe.
        unsafe { command.pre_exec(end_with_parent) };
        let child = command.spawn().map_err(|e| format!("cannot start {}: {e}", self.program))?;
        let mut watcher = Watcher { child, stdout, stderr, ours: self.is_ours(), _file: file };
        let begin = Instant::now();
        loop {
            let ready = match self.ready {
                Ready::Says(words) => {
                    tail(&watcher.stderr).contains(words) || tail(&watcher.stdout).contains(words)
                }
                Ready::Writes => watcher.stdout.metadata().is_ok_and(|m| m.len() > 0),
            };
            if ready {
                return Ok(watcher);
            }
            if let Ok(Some(status)) = watcher.child.try_wait() {
                return Err(watcher
                    .last_words()
                    .unwrap_or_else(|| format!("{} ended: {status}", self.program)));
            }
            if begin.elapsed() > DEADLINE {
                return Err(format!("{} did not begin within {} s", self.program, DEADLINE.as_secs()));
            }
            if self.ready == Ready::Writes {
                burst()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn end_with_parent() -> io::Result<()> {
    // SAFETY: takes two numbers.
    let done = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
    nix::errno::Errno::result(done).map(drop).map_err(io::Error::from)
}

/// A tool that watches. Dropped, it is killed. What it writes is in memory, and gone with the bench.
pub struct Watcher {
    child: Child,
    stdout: File,
    stderr: File,
    ours: bool,
    /// For what is not on standard output.
    _file: File,
}

impl Watcher {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end and waits for that: events that it lost, where it says so.
    pub fn end(mut self) -> Result<Option<u64>, String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            let said = self.last_words().unwrap_or_default();
            return Err(format!("it did not watch to the end ({status}): {said}"));
        }
        kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGINT).map_err(|e| e.to_string())?;
        let begin = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            // Another's tool that doesn't hear the signal has measured all the same, and is killed as this is dropped.
            if !self.ours && begin.elapsed() > PATIENCE {
                break;
            }
            if begin.elapsed() > DEADLINE {
                return Err(format!("it did not end within {} s", DEADLINE.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(if self.ours { lost(&tail(&self.stdout)) } else { None })
    }

    fn last_words(&self) -> Option<String> {
        let text = tail(&self.stderr);
        text.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(file: &File) -> String {
    let length = file.metadata().map_or(0, |m| m.len());
    let wanted = length.min(TAIL);
    let mut bytes = vec![0; wanted as usize];
    let read = file.read_at(&mut bytes, length - wanted).unwrap_or(0);
    bytes.truncate(read);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// From a summary, the last line of the output. Lines of strace's have none.
fn lost(text: &str) -> Option<u64> {
    let summary: serde_json::Value = serde_json::from_str(text.trim_end().lines().last()?).ok()?;
    let lost = summary.get("lost")?.as_object()?;
    Some(lost.values().filter_map(serde_json::Value::as_u64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_of_the_summary() {
        let text = "{\"kind\":\"turn\"}\n{\"schema\":\"x\",\"lost\":{\"ringbuf\":3,\"capture\":4,\"queue\":0,\"export\":0}}\n";
        assert_eq!(lost(text), Some(7));
        assert_eq!(lost("getppid() = 1\n"), None);
    }

    #[test]
    fn names_are_one_each() {
        let names: std::collections::BTreeSet<&str> = WAYS.iter().map(|way| way.name).collect();
        assert_eq!(names.len(), WAYS.len());
    }
}
