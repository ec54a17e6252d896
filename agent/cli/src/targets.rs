//! The processes that the user named, looked up before anything is attached.

use tracenet_collectors::counters::{self, Snapshot};
use tracenet_collectors::netns;
use tracenet_collectors::process::{Proc, ProcessError};

use crate::failure::Failure;
use crate::sinks;
use crate::units::Count;

/// A process to trace.
#[derive(Debug)]
pub struct Target {
    /// Thread-group id.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Threads.
    pub threads: u32,
    /// Sockets among its descriptors, where they may be counted.
    pub sockets: Option<u32>,
    /// Inode number of its network namespace.
    pub netns: u32,
    /// Its own counters at the beginning (/proc/PID/{stat,io,schedstat}).
    pub before: Option<Snapshot>,
}

impl Target {
    /// `api[28182]: 3 threads, 41 sockets, netns 4026531840`
    pub fn describe(&self, out: &mut String) {
        use std::fmt::Write as _;
        crate::paint::push_safe(out, &self.comm);
        let _ = write!(out, "[{}]: {}", self.pid, Count(u64::from(self.threads), "thread"));
        if let Some(n) = self.sockets {
            let _ = write!(out, ", {}", Count(u64::from(n), "socket"));
        }
        let _ = write!(out, ", netns {}", self.netns);
    }
}

/// The named processes that live; with `follow` their descendants too. One that is gone is warned of, unless it
/// was the only one.
pub fn live(pids: &[u32], follow: bool) -> Result<Vec<Target>, Failure> {
    let proc = Proc::default();
    let mut wanted = Vec::new();
    for &pid in pids {
        wanted.push((pid, true));
        if follow {
            wanted.extend(proc.descendants(pid).into_iter().map(|child| (child, false)));
        }
    }
    let mut targets: Vec<Target> = Vec::new();
    let mut missing = None;
    for (pid, named) in wanted {
        match of(pid) {
            Ok(t) if targets.iter().any(|known| known.pid == t.pid) => {}
            Ok(t) => targets.push(t),
            Err(e @ Failure::NotFound(_)) if named => {
                if let Some(earlier) = missing.replace(e) {
                    sinks::warn(&earlier.to_string());
                }
            }
            // A child may end while we look.
            Err(Failure::NotFound(_)) => {}
            Err(e) => return Err(e),
        }
    }
    match (targets.is_empty(), missing) {
        (true, Some(e)) => Err(e),
        (_, Some(e)) => {
            sinks::warn(&format!("{e}; going on with the others"));
            Ok(targets)
        }
        (_, None) => Ok(targets),
    }
}

/// One process.
pub fn of(pid: u32) -> Result<Target, Failure> {
    let proc = Proc::default();
    let p = proc.process(pid).map_err(|e| match e {
        ProcessError::NotFound(_) => {
            Failure::NotFound(format!("no process {pid}: it has ended, or lives in another PID namespace"))
        }
        other => Failure::Runtime(other.to_string()),
    })?;
    let inum = match p.netns_inum {
        Some(n) => n,
        None => netns::inode_of(p.pid).map_err(|e| {
            if e.is_privilege() {
                Failure::Privilege(e.to_string())
            } else {
                Failure::NotFound(e.to_string())
            }
        })?,
    };
    Ok(Target {
        pid: p.pid,
        before: counters::process(&proc, p.pid),
        comm: p.comm,
        threads: p.threads,
        sockets: p.sockets,
        netns: inum,
    })
}
