//! Counters of a network namespace and of a process, and what they did between two moments.
//!
//! Names are nstat(8)'s, prefix and field in one: `TcpRetransSegs`, `TcpExtTCPTimeouts`, `Udp6InErrors`. What nstat
//! doesn't know has dots: `dev.eth0.rx_bytes`, `softnet.dropped`, `conntrack.drop`, `sockstat.TCP.inuse`, `stat.utime_ms`,
//! `io.read_bytes`, `schedstat.wait_ns`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::process::Proc;

mod parse;

/// Names kept at most: a namespace with very many interfaces must not fill the memory.
const NAMES_MAX: usize = 65_536;

/// How a number moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Only goes up, and begins again after 2³².
    Counter32,
    /// A level or a setting.
    Gauge,
}

/// A number at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// How it moves.
    pub kind: Kind,
    /// Its value.
    pub value: u64,
}

/// CPU time and waiting of one thread (`/proc/PID/task/TID/schedstat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sched {
    run_ns: u64,
    wait_ns: u64,
    slices: u64,
}

type Field = fn(&Sched) -> u64;

/// Puts what a file says into a snapshot.
type Parser = fn(&str, &mut Snapshot);

/// Numbers at one moment, by name, in the order in which they were read. A negative setting (`TcpMaxConn` -1) is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    readings: IndexMap<String, Reading>,
    /// By thread: the sum over the living would go down when one ends.
    threads: BTreeMap<u32, Sched>,
    left_out: u64,
}

/// What a number did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// How it moves.
    pub kind: Kind,
    /// Value at the first moment.
    pub before: u64,
    /// Value at the second.
    pub after: u64,
    /// The difference. A counter that was reset between counts from zero.
    pub change: i64,
}

/// What the numbers of both moments did, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    changes: BTreeMap<String, Change>,
}

impl Snapshot {
    /// A value.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.readings.get(name).map(|r| r.value)
    }

    /// All, in the order in which the files have them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Reading)> {
        self.readings.iter().map(|(name, r)| (name.as_str(), *r))
    }

    /// Numbers that were not kept because there were too many.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What a number did since `before`, as [`delta`] tells it; `None` where there is none.
    pub fn change(&self, before: &Self, name: &str) -> Option<i64> {
        let now = self.readings.get(name)?;
        moved(before.get(name), *now)
    }

    pub(crate) fn put(&mut self, name: String, kind: Kind, value: u64) {
        if self.readings.len() < NAMES_MAX || self.readings.contains_key(&name) {
            self.readings.insert(name, Reading { kind, value });
        } else {
            self.left_out += 1;
        }
    }
}

impl FromIterator<(String, Reading)> for Snapshot {
    fn from_iter<T: IntoIterator<Item = (String, Reading)>>(all: T) -> Self {
        let mut s = Self::default();
        for (name, reading) in all {
            s.put(name, reading.kind, reading.value);
        }
        s
    }
}

impl Delta {
    /// Change of a number that was there at both moments (a counter that came later counts from zero).
    pub fn get(&self, name: &str) -> Option<i64> {
        self.changes.get(name).map(|c| c.change)
    }

    /// Increase of a counter, zero where there is none.
    pub fn counter(&self, name: &str) -> u64 {
        self.get(name).map_or(0, |n| u64::try_from(n).unwrap_or(0))
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Change)> {
        self.changes.iter().map(|(name, c)| (name.as_str(), *c))
    }

    /// Those that changed, by name.
    pub fn changed(&self) -> impl Iterator<Item = (&str, Change)> {
        self.iter().filter(|(_, c)| c.change != 0)
    }
}

/// What happened between two moments. Counters that appear only later (an interface that came, a MIB of a module)
/// count from zero; what is gone is left out.
pub fn delta(before: &Snapshot, after: &Snapshot) -> Delta {
    let mut changes = BTreeMap::new();
    for (name, now) in &after.readings {
        let was = before.readings.get(name).map(|r| r.value);
        let Some(change) = moved(was, *now) else { continue };
        changes.insert(
            name.clone(),
            Change { kind: now.kind, before: was.unwrap_or(0), after: now.value, change },
        );
    }
    threads(before, after, &mut changes);
    Delta { changes }
}

/// The difference; none for a level that was not there.
fn moved(was: Option<u64>, now: Reading) -> Option<i64> {
    Some(match now.kind {
        Kind::Gauge => now.value.wrapping_sub(was?).cast_signed(),
        Kind::Counter => {
            let was = was.unwrap_or(0);
            signed(now.value.checked_sub(was).unwrap_or(now.value))
        }
        Kind::Counter32 => {
            // Both are sums modulo 2³², so their difference is right as long as it is below that.
            let (now, was) = (now.value as u32, was.unwrap_or(0) as u32);
            i64::from(now.wrapping_sub(was))
        }
    })
}

/// Sums the threads' own differences; a thread that came counts fully, one that ended not at all.
fn threads(before: &Snapshot, after: &Snapshot, changes: &mut BTreeMap<String, Change>) {
    let fields: [(&str, Field); 3] =
        [("run_ns", |s| s.run_ns), ("wait_ns", |s| s.wait_ns), ("timeslices", |s| s.slices)];
    if after.threads.is_empty() {
        return;
    }
    for (name, field) in fields {
        let mut sum = Change { kind: Kind::Counter, before: 0, after: 0, change: 0 };
        for (tid, now) in &after.threads {
            let now = field(now);
            let was = before.threads.get(tid).map_or(0, field);
            sum.before += was;
            sum.after += now;
            // A thread id that was given away again begins at zero.
            sum.change += signed(now.checked_sub(was).unwrap_or(now));
        }
        changes.insert(format!("schedstat.{name}"), sum);
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Counters of the network namespace in which `pid` lives, and the host's softnet counters. `None` when the
/// process is gone.
pub fn namespace_of(proc: &Proc, pid: u32) -> Option<Snapshot> {
    namespace(&proc.root().join(pid.to_string()))
}

/// Counters of the network namespace of the calling thread: they can still be read when the process that lived
/// there is gone. `None` without `/proc`.
pub fn namespace_here() -> Option<Snapshot> {
    namespace(Path::new("/proc/thread-self"))
}

/// Files of `/proc/PID/net`, in nstat's order. Every kernel with IPv4 has the first one; the others depend on how it was built.
const OF_NAMESPACE: [(&str, Parser); 8] = [
    ("snmp", parse::pairs),
    ("snmp6", parse::lines),
    ("netstat", parse::pairs),
    ("dev", parse::dev),
    ("softnet_stat", parse::softnet),
    ("stat/nf_conntrack", parse::conntrack),
    ("sockstat", parse::sockstat),
    ("sockstat6", parse::sockstat),
];

fn namespace(dir: &Path) -> Option<Snapshot> {
    let net: PathBuf = dir.join("net");
    let mut s = Snapshot::default();
    for (i, (name, into)) in OF_NAMESPACE.into_iter().enumerate() {
        match fs::read_to_string(net.join(name)) {
            Ok(text) => into(&text, &mut s),
            // The process is gone.
            Err(_) if i == 0 => return None,
            Err(_) => {}
        }
    }
    Some(s)
}

/// The same counters again and again, without the levels: the files stay open, which halves what a look costs.
#[derive(Debug)]
pub struct Looks {
    files: Vec<(File, Parser)>,
    text: String,
}

impl Looks {
    /// At the namespace of the calling thread, wherever that thread goes later.
    pub fn here() -> Self {
        let net = Path::new("/proc/thread-self/net");
        let counters = OF_NAMESPACE.into_iter().filter(|(name, _)| !name.starts_with("sockstat"));
        let open = |(name, into)| Some((File::open(net.join(name)).ok()?, into));
        Self { files: counters.filter_map(open).collect(), text: String::new() }
    }

    /// The counters now; what can't be read is left out.
    pub fn look(&mut self) -> Snapshot {
        let mut s = Snapshot::default();
        for (file, into) in &mut self.files {
            self.text.clear();
            if file.rewind().and_then(|()| file.read_to_string(&mut self.text)).is_ok() {
                into(&self.text, &mut s);
            }
        }
        s
    }
}

/// Counters of a process: `stat`, `io` and its threads' `schedstat`. What may not be read is left out; `None`
/// when the process is gone.
pub fn process(proc: &Proc, pid: u32) -> Option<Snapshot> {
    let p = proc.open(pid).ok()?;
    let stat = p.stat().ok()?;
    let mut s = Snapshot::default();
    let ticks = procfs::ticks_per_second().max(1);
    let ms = |t: u64| t.saturating_mul(1_000) / ticks;
    for (name, kind, value) in [
        ("utime_ms", Kind::Counter, ms(stat.utime)),
        ("stime_ms", Kind::Counter, ms(stat.stime)),
        ("minflt", Kind::Counter, stat.minflt),
        ("majflt", Kind::Counter, stat.majflt),
        ("threads", Kind::Gauge, u64::try_from(stat.num_threads).unwrap_or(0)),
        ("rss_bytes", Kind::Gauge, stat.rss.saturating_mul(procfs::page_size())),
        ("vsize_bytes", Kind::Gauge, stat.vsize),
    ] {
        s.put(format!("stat.{name}"), kind, value);
    }
    if let Ok(io) = p.io() {
        for (name, value) in [
            ("rchar", io.rchar),
            ("wchar", io.wchar),
            ("syscr", io.syscr),
            ("syscw", io.syscw),
            ("read_bytes", io.read_bytes),
            ("write_bytes", io.write_bytes),
        ] {
            s.put(format!("io.{name}"), Kind::Counter, value);
        }
    }
    let tasks = proc.root().join(pid.to_string()).join("task");
    for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
        let Some(tid) = task.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        if let Some([run_ns, wait_ns, slices]) = parse::numbers(&text) {
            s.threads.insert(tid, Sched { run_ns, wait_ns, slices });
        }
    }
    Some(s)
}

#[cfg(test)]
mod tests;
