//! Processes as `/proc` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use procfs::ProcError;
use procfs::process::Stat;
use thiserror::Error;

use crate::identity::cgroup::Cgroup;

/// Arguments kept of a command line.
const ARGS_MAX: usize = 256;

/// Descendants found at most: the kernel's default PID_MAX on 64 bits is 4 M, but a tree of this size is broken.
const DESCENDANTS_MAX: usize = 65_536;

/// Why a process can't be told of.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// No such process, or it has ended and only waits for its parent.
    #[error("no process {0}")]
    NotFound(u32),
    /// `/proc` hides it.
    #[error("process {0} may not be looked at: permission denied (run as root, or with CAP_SYS_PTRACE)")]
    Denied(u32),
    /// Anything else.
    #[error("process {pid}: {message}")]
    Other {
        /// The process.
        pid: u32,
        /// What the system said.
        message: String,
    },
}

/// A process at one moment. What may not be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Thread-group id, also where a thread's id was asked for.
    pub pid: u32,
    /// Parent.
    pub ppid: u32,
    /// Name of the main thread.
    pub comm: String,
    /// Threads.
    pub threads: u32,
    /// Start, in clock ticks after boot (`CLOCK_BOOTTIME`).
    pub start_ticks: u64,
    /// The same in nanoseconds, rounded down to the tick (10 ms, usually).
    pub start_ns: u64,
    /// Descriptors that are sockets.
    pub sockets: Option<u32>,
    /// Inode number of the network namespace.
    pub netns_inum: Option<u32>,
    /// Path of the executable.
    pub exe: Option<PathBuf>,
    /// Command line; empty for kernel threads.
    pub args: Vec<String>,
    /// What its cgroup names; of nothing where it may not be read.
    pub cgroup: Cgroup,
}

impl Process {
    /// Name of the executable without its folders.
    pub fn exe_name(&self) -> Option<String> {
        let name = self.exe.as_deref()?.file_name()?.to_string_lossy();
        Some(name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned())
    }

    /// What people call it: its executable's name, or the one that it was started by where one file is several programs
    /// (busybox; Debian's redis-server is a link to redis-check-rdb).
    pub fn called(&self) -> Option<String> {
        let exe = self.exe_name()?;
        // Some write a title over it, of which this is the first word.
        let first = self.args.first().and_then(|arg| arg.split_whitespace().next()).unwrap_or_default();
        let started = first.rsplit('/').next().unwrap_or_default();
        // The kernel took `comm` from the path that was executed, cut to 15 bytes.
        let by_another =
            !self.comm.is_empty() && !exe.starts_with(&self.comm) && started.starts_with(&self.comm);
        Some(if by_another { started.to_owned() } else { exe })
    }
}

/// A mounted procfs.
#[derive(Debug, Clone)]
pub struct Proc {
    root: PathBuf,
}

impl Default for Proc {
    fn default() -> Self {
        Self::at("/proc")
    }
}

impl Proc {
    /// One that is mounted elsewhere: the host's, in a container.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads a process.
    ///
    /// # Errors
    /// [`ProcessError::NotFound`] and others. What is merely not readable is `None` in the result.
    pub fn process(&self, pid: u32) -> Result<Process, ProcessError> {
        let pid = self.leader(pid)?;
        let dir = self.root.join(pid.to_string());
        let stat = self.stat(pid)?;
        if matches!(stat.state, 'Z' | 'X') {
            return Err(ProcessError::NotFound(pid));
        }
        let ticks = procfs::ticks_per_second().max(1);
        let start_ns = u128::from(stat.starttime) * 1_000_000_000 / u128::from(ticks);
        Ok(Process {
            pid,
            ppid: u32::try_from(stat.ppid).unwrap_or(0),
            comm: stat.comm,
            threads: u32::try_from(stat.num_threads).unwrap_or(0),
            start_ticks: stat.starttime,
            start_ns: u64::try_from(start_ns).unwrap_or(u64::MAX),
            sockets: sockets(&dir),
            netns_inum: fs::metadata(dir.join("ns/net")).ok().and_then(|m| u32::try_from(m.ino()).ok()),
            exe: fs::read_link(dir.join("exe")).ok(),
            args: fs::read(dir.join("cmdline")).map(|b| args(&b)).unwrap_or_default(),
            cgroup: fs::read(dir.join("cgroup"))
                .map(|text| Cgroup::parse(&String::from_utf8_lossy(&text)))
                .unwrap_or_default(),
        })
    }

    /// True while the process lives (a zombie doesn't).
    pub fn exists(&self, pid: u32) -> bool {
        self.stat(pid).is_ok_and(|s| !matches!(s.state, 'Z' | 'X'))
    }

    /// Children, their children and so on, in the order of their PIDs, as far as they live. One that was
    /// orphaned by its parent's death belongs to init and is not found.
    pub fn descendants(&self, pid: u32) -> Vec<u32> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        for entry in entries.flatten() {
            let Some(child) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
                continue;
            };
            let Ok(stat) = self.stat(child) else { continue };
            if matches!(stat.state, 'Z' | 'X') {
                continue;
            }
            if let Ok(parent) = u32::try_from(stat.ppid) {
                children.entry(parent).or_default().push(child);
            }
        }
        let mut found = BTreeSet::new();
        let mut next = vec![pid];
        while let Some(parent) = next.pop() {
            for &child in children.get(&parent).into_iter().flatten() {
                // A PID reused during the scan could close a circle.
                if child != pid && found.len() < DESCENDANTS_MAX && found.insert(child) {
                    next.push(child);
                }
            }
        }
        found.into_iter().collect()
    }

    pub(crate) fn open(&self, pid: u32) -> Result<procfs::process::Process, ProcessError> {
        procfs::process::Process::new_with_root(self.root.join(pid.to_string())).map_err(|e| error(pid, &e))
    }

    fn stat(&self, pid: u32) -> Result<Stat, ProcessError> {
        self.open(pid)?.stat().map_err(|e| error(pid, &e))
    }

    /// `/proc/TID` exists for every thread, though it isn't listed.
    fn leader(&self, pid: u32) -> Result<u32, ProcessError> {
        let status =
            fs::read(self.root.join(pid.to_string()).join("status")).map_err(|e| io_error(pid, &e))?;
        // Read as bytes: the name in the first line may be anything.
        let tgid = status
            .split(|b| *b == b'\n')
            .find_map(|line| line.strip_prefix(b"Tgid:"))
            .and_then(|v| std::str::from_utf8(v).ok()?.trim().parse().ok());
        tgid.ok_or_else(|| ProcessError::Other { pid, message: "no Tgid in its status".into() })
    }
}

fn sockets(dir: &Path) -> Option<u32> {
    let count = fs::read_dir(dir.join("fd"))
        .ok()?
        .flatten()
        .filter(|e| {
            fs::read_link(e.path()).is_ok_and(|t| t.as_os_str().as_encoded_bytes().starts_with(b"socket:["))
        })
        .count();
    u32::try_from(count).ok()
}

fn args(cmdline: &[u8]) -> Vec<String> {
    let cmdline = cmdline.strip_suffix(&[0]).unwrap_or(cmdline);
    if cmdline.is_empty() {
        return Vec::new();
    }
    cmdline.split(|b| *b == 0).take(ARGS_MAX).map(|a| String::from_utf8_lossy(a).into_owned()).collect()
}

fn error(pid: u32, e: &ProcError) -> ProcessError {
    match e {
        ProcError::NotFound(_) => ProcessError::NotFound(pid),
        ProcError::PermissionDenied(_) => ProcessError::Denied(pid),
        ProcError::Io(e, _) => io_error(pid, e),
        other => ProcessError::Other { pid, message: other.to_string() },
    }
}

fn io_error(pid: u32, e: &io::Error) -> ProcessError {
    match e.raw_os_error() {
        // ESRCH: it ended between open and read.
        Some(libc::ENOENT | libc::ESRCH) => ProcessError::NotFound(pid),
        Some(libc::EACCES | libc::EPERM) => ProcessError::Denied(pid),
        _ => ProcessError::Other { pid, message: e.to_string() },
    }
}

/// CPU time that a process has used so far, of all its threads and of those that have ended, in nanoseconds
/// (clock_getcpuclockid(3)); `None` where there is no such process.
pub fn cpu_time_ns(pid: u32) -> Option<u64> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    let t = nix::time::clock_gettime(nix::time::clock_getcpuclockid(pid).ok()?).ok()?;
    Some(u64::try_from(t.tv_sec()).ok()? * 1_000_000_000 + u64::try_from(t.tv_nsec()).ok()?)
}

#[cfg(test)]
mod tests;
