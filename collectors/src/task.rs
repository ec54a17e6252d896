//! Counters of chosen processes, for pidstat(1)'s reports: `task.PID.user_ms`, `task.PID.rss_bytes`.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::counters::{Kind, Snapshot};
use crate::process::Proc;

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Thread-group id.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// Name of the main thread.
    pub comm: String,
}

/// What one thread waited and how often it was switched away.
#[derive(Debug, Clone, Copy, Default)]
struct Thread {
    /// Runnable, but not running (`/proc/TID/schedstat`, the second number).
    wait_ns: u64,
    voluntary: u64,
    forced: u64,
}

/// Threads' sums, which go on when a thread ends.
#[derive(Debug, Default)]
struct Sums {
    start_ticks: u64,
    threads: BTreeMap<u32, Thread>,
    total: Thread,
}

/// Processes that are looked at again and again.
#[derive(Debug)]
pub struct Tasks {
    proc: Proc,
    known: BTreeMap<u32, Sums>,
}

impl Tasks {
    /// `pids` must be processes that live; those that do not are left out of every look.
    pub fn new(proc: Proc, pids: impl IntoIterator<Item = u32>) -> Self {
        let start =
            |pid| Some((pid, Sums { start_ticks: proc.process(pid).ok()?.start_ticks, ..Sums::default() }));
        let known = pids.into_iter().filter_map(start).collect();
        Self { proc, known }
    }

    /// Adds the counters of those that still live, and says who they are. One that ended is not looked at again:
    /// its number may be another's by then.
    pub fn look(&mut self, s: &mut Snapshot) -> Vec<Task> {
        let mut found = Vec::new();
        let proc = &self.proc;
        self.known.retain(|pid, sums| {
            let task = one(proc, *pid, sums, s);
            let lives = task.is_some();
            found.extend(task);
            lives
        });
        found
    }
}

fn one(proc: &Proc, pid: u32, sums: &mut Sums, s: &mut Snapshot) -> Option<Task> {
    let p = proc.open(pid).ok()?;
    let stat = p
        .stat()
        .ok()
        .filter(|stat| stat.starttime == sums.start_ticks && !matches!(stat.state, 'Z' | 'X'))?;
    let uid = p.status().ok()?.ruid;
    sums.add(threads(proc, pid));
    let mut put = |name: &str, kind, value: Option<u64>| {
        if let Some(value) = value {
            s.put(format!("task.{pid}.{name}"), kind, value);
        }
    };
    let io = p.io().ok();
    let ticks = procfs::ticks_per_second().max(1);
    let ms = |t: u64| t.saturating_mul(1_000) / ticks;
    for (name, value) in [
        // The kernel's user time has the guest's in it.
        ("user_ms", Some(ms(stat.utime.saturating_sub(stat.guest_time.unwrap_or(0))))),
        ("system_ms", Some(ms(stat.stime))),
        ("guest_ms", stat.guest_time.map(ms)),
        ("minor_faults", Some(stat.minflt)),
        ("major_faults", Some(stat.majflt)),
        ("block_delay_ticks", stat.delayacct_blkio_ticks),
        ("wait_ns", Some(sums.total.wait_ns)),
        ("voluntary_switches", Some(sums.total.voluntary)),
        ("involuntary_switches", Some(sums.total.forced)),
        ("read_bytes", io.map(|io| io.read_bytes)),
        ("write_bytes", io.map(|io| io.write_bytes)),
        ("cancelled_write_bytes", io.map(|io| io.cancelled_write_bytes)),
    ] {
        put(name, Kind::Counter, value);
    }
    for (name, value) in [
        ("cpu", stat.processor.and_then(|n| u64::try_from(n).ok())),
        ("virtual_bytes", Some(stat.vsize)),
        ("rss_bytes", Some(stat.rss.saturating_mul(procfs::page_size()))),
    ] {
        put(name, Kind::Gauge, value);
    }
    Some(Task { pid, uid, comm: stat.comm })
}

impl Sums {
    /// Adds what each living thread did since the last look. What a thread did between that look and its end is
    /// nobody's.
    fn add(&mut self, now: BTreeMap<u32, Thread>) {
        for (tid, t) in &now {
            let was = self.threads.get(tid).copied().unwrap_or_default();
            // A thread id that was given away again begins at zero.
            let more = |now: u64, was: u64| now.checked_sub(was).unwrap_or(now);
            self.total.wait_ns += more(t.wait_ns, was.wait_ns);
            self.total.voluntary += more(t.voluntary, was.voluntary);
            self.total.forced += more(t.forced, was.forced);
        }
        self.threads = now;
    }
}

fn threads(proc: &Proc, pid: u32) -> BTreeMap<u32, Thread> {
    let tasks = fs::read_dir(proc.root().join(pid.to_string()).join("task"));
    let mut all = BTreeMap::new();
    for task in tasks.into_iter().flatten().flatten() {
        let Some(tid) = task.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let text = |name: &str| fs::read(task.path().join(name)).unwrap_or_default();
        let schedstat = String::from_utf8_lossy(&text("schedstat")).into_owned();
        // The name in the first line may be anything.
        let status = String::from_utf8_lossy(&text("status")).into_owned();
        all.insert(tid, thread(&schedstat, &status));
    }
    all
}

fn thread(schedstat: &str, status: &str) -> Thread {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
    };
    Thread {
        wait_ns: schedstat.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0),
        voluntary: field("voluntary_ctxt_switches:"),
        forced: field("nonvoluntary_ctxt_switches:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_go_on_when_a_thread_ends() {
        let t = |n| {
            thread(
                &format!("5 {n} 1"),
                &format!(
                    "Name:\tx\nvoluntary_ctxt_switches:\t{n}\n\
            nonvoluntary_ctxt_switches:\t1\n"
                ),
            )
        };
        let mut sums = Sums::default();
        sums.add(BTreeMap::from([(1, t(10)), (2, t(100))]));
        assert_eq!((sums.total.voluntary, sums.total.forced, sums.total.wait_ns), (110, 2, 110));
        sums.add(BTreeMap::from([(1, t(12)), (3, t(4))]));
        assert_eq!((sums.total.voluntary, sums.total.forced), (116, 3));
    }

    #[test]
    fn this_process_is_known_by_its_numbers() {
        let me = std::process::id();
        let mut tasks = Tasks::new(Proc::default(), [me, u32::MAX]);
        let mut s = Snapshot::default();
        let found = tasks.look(&mut s);
        assert_eq!(found.iter().map(|t| t.pid).collect::<Vec<_>>(), [me]);
        assert!(s.get(&format!("task.{me}.rss_bytes")).is_some_and(|n| n > 0));
    }
}
