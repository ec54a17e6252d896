//! The processes that the user named, looked up before anything is attached.

use tracenet_collectors::counters::{self, Snapshot};
use tracenet_collectors::netns;
use tracenet_collectors::process::{Proc, ProcessError};

use crate::failure::Failure;
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

/// The named processes; with `follow` their descendants too. One that does not exist is an error: half a story is
/// not what was asked for.
pub fn live(pids: &[u32], follow: bool) -> Result<Vec<Target>, Failure> {
    let proc = Proc::default();
    let mut targets: Vec<Target> = Vec::new();
    let mut add = |t: Target| {
        if targets.iter().all(|known| known.pid != t.pid) {
            targets.push(t);
        }
    };
    for &pid in pids {
        add(of(pid)?);
        if !follow {
            continue;
        }
        for child in proc.descendants(pid) {
            match of(child) {
                Ok(t) => add(t),
                // It may end while we look.
                Err(Failure::NotFound(_)) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(targets)
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
