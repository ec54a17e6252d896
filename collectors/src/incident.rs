//! Counters that move when something is wrong, looked at now and then: what a namespace or the host suffered around a
//! slow turn. Names are those of [`counters`](crate::counters).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracenet_core::event::CounterSample;
use tracenet_core::time::MonoNs;

use crate::counters::{self, Looks, Snapshot};

/// Counters of a namespace that only trouble moves (Linux: `net/ipv4/proc.c`, `net/ipv6/proc.c`).
const OF_NAMESPACE: [&str; 39] = [
    "IpInHdrErrors",
    "IpInAddrErrors",
    "IpInDiscards",
    "IpOutDiscards",
    "IpOutNoRoutes",
    "IpReasmFails",
    "IpFragFails",
    "Ip6InHdrErrors",
    "Ip6InDiscards",
    "Ip6OutDiscards",
    "Ip6OutNoRoutes",
    "IcmpOutTimeExcds",
    "IcmpInTimeExcds",
    "TcpInErrs",
    "TcpInCsumErrors",
    "TcpAttemptFails",
    "TcpExtListenOverflows",
    "TcpExtListenDrops",
    "TcpExtTCPReqQFullDrop",
    "TcpExtTCPReqQFullDoCookies",
    "TcpExtTCPBacklogDrop",
    "TcpExtTCPRcvQDrop",
    "TcpExtTCPZeroWindowDrop",
    "TcpExtPruneCalled",
    "TcpExtRcvPruned",
    "TcpExtOfoPruned",
    "TcpExtTCPMemoryPressures",
    "TcpExtTCPAbortOnMemory",
    "TcpExtTCPAbortOnTimeout",
    "TcpExtPAWSEstab",
    "TcpExtIPReversePathFilter",
    "TcpExtTCPTimeouts",
    "TcpExtTCPSpuriousRTOs",
    "UdpRcvbufErrors",
    "UdpSndbufErrors",
    "UdpMemErrors",
    "UdpInCsumErrors",
    "Udp6RcvbufErrors",
    "Udp6SndbufErrors",
];

/// The same of an interface (`dev.NAME.`).
const OF_INTERFACE: [&str; 7] =
    ["rx_errors", "rx_dropped", "rx_fifo", "tx_errors", "tx_dropped", "tx_fifo", "tx_carrier"];

/// The same of the host.
const OF_HOST: [&str; 3] = ["softnet.dropped", "softnet.time_squeeze", "softnet.flow_limit"];

/// Time lost by waiting is told from this share of the time that passed, as a divisor.
const SHARE: u64 = 20;

/// A namespace, and perhaps the host, from one look to the next.
#[derive(Debug)]
pub struct Watch {
    netns_inum: u32,
    host: Option<Host>,
    looks: Looks,
    counters: Snapshot,
    at: MonoNs,
}

#[derive(Debug)]
struct Host {
    proc: PathBuf,
    cpus: u64,
    waited: Waited,
}

/// Microseconds so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Waited(Vec<(&'static str, u64)>);

impl Watch {
    /// Looks for the first time: at the namespace of the calling thread, which has the inode number `netns_inum`, and
    /// with `host` at what all namespaces share.
    pub fn begin(netns_inum: u32, host: bool, now: MonoNs) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let proc = PathBuf::from("/proc");
        let waited = if host { Waited::read(&proc) } else { Waited::default() };
        let mut looks = Looks::here();
        let counters = looks.look();
        Self { netns_inum, host: host.then_some(Host { proc, cpus, waited }), looks, counters, at: now }
    }

    /// What moved since the last look, the namespace's and the host's.
    pub fn look(&mut self, now: MonoNs) -> impl Iterator<Item = CounterSample> {
        let since = std::mem::replace(&mut self.at, now);
        let mut here = CounterSample { since, netns_inum: Some(self.netns_inum), moved: Vec::new() };
        let mut host = CounterSample { since, netns_inum: None, moved: Vec::new() };
        let counters = self.looks.look();
        for (name, change) in counters::delta(&self.counters, &counters).changed() {
            let sample = match () {
                () if is_of_namespace(name) => &mut here,
                () if self.host.is_some() && OF_HOST.contains(&name) => &mut host,
                () => continue,
            };
            sample.moved.push((Arc::from(name), u64::try_from(change.change).unwrap_or(0)));
        }
        self.counters = counters;
        if let Some(h) = &mut self.host {
            h.waiting(now.since(since).0 / 1_000, &mut host.moved);
        }
        [here, host].into_iter().filter(|s| !s.moved.is_empty())
    }
}

impl Host {
    /// Adds what took a noticeable share of `passed` microseconds.
    fn waiting(&mut self, passed: u64, moved: &mut Vec<(Arc<str>, u64)>) {
        let now = Waited::read(&self.proc);
        for (name, us) in &now.0 {
            let before = self.waited.0.iter().find(|(known, _)| known == name).map_or(*us, |(_, us)| *us);
            let grown = us.saturating_sub(before);
            if grown > 0 && grown >= passed / SHARE {
                moved.push((Arc::from(*name), grown));
            }
        }
        self.waited = now;
        let runnable = fs::read_to_string(self.proc.join("loadavg")).ok().and_then(|text| runnable(&text));
        // This thread is one of them.
        if let Some(n) = runnable.filter(|n| *n > self.cpus + 1) {
            moved.push((Arc::from(CounterSample::RUNNABLE), n - 1));
        }
    }
}

impl Waited {
    /// Stolen time (proc_stat(5)) and pressure (proc_pressure(5)); a kernel without them leaves them out.
    fn read(proc: &Path) -> Self {
        const PRESSURE: [(&str, [&str; 2]); 3] = [
            ("cpu", ["pressure.cpu.some_us", "pressure.cpu.full_us"]),
            ("io", ["pressure.io.some_us", "pressure.io.full_us"]),
            ("memory", ["pressure.memory.some_us", "pressure.memory.full_us"]),
        ];
        let mut found = Vec::new();
        let read = |name: &str| fs::read_to_string(proc.join(name)).unwrap_or_default();
        found.extend(stolen(&read("stat")).map(|us| ("cpu.steal_us", us)));
        for (name, [some, full]) in PRESSURE {
            let text = read(&format!("pressure/{name}"));
            found.extend(stalled(&text, "some").map(|us| (some, us)));
            found.extend(stalled(&text, "full").map(|us| (full, us)));
        }
        Self(found)
    }
}

fn is_of_namespace(name: &str) -> bool {
    OF_NAMESPACE.contains(&name)
        || name
            .strip_prefix("dev.")
            .and_then(|rest| rest.rsplit_once('.'))
            .is_some_and(|(_, column)| OF_INTERFACE.contains(&column))
}

/// Microseconds of the eighth number of the line of all CPUs, which counts clock ticks.
fn stolen(stat: &str) -> Option<u64> {
    let ticks: u64 = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().nth(7)?.parse().ok()?;
    Some(ticks.saturating_mul(1_000_000) / procfs::ticks_per_second().max(1))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=12345`
fn stalled(pressure: &str, kind: &str) -> Option<u64> {
    let line = pressure.lines().find_map(|l| l.strip_prefix(kind))?;
    line.rsplit_once("total=")?.1.trim().parse().ok()
}

/// `0.20 0.18 0.12 3/80 11206`
fn runnable(loadavg: &str) -> Option<u64> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_files_say_is_read() {
        assert_eq!(runnable("0.20 0.18 0.12 3/80 11206\n"), Some(3));
        assert_eq!(stalled("some avg10=1.00 total=77\nfull avg10=0.00 total=5\n", "full"), Some(5));
        assert_eq!(stalled("", "some"), None);
        let ticks = procfs::ticks_per_second();
        assert_eq!(stolen(&format!("cpu  1 2 3 4 5 6 7 {ticks} 9 10\ncpu0 1\n")), Some(1_000_000));
        assert_eq!(stolen("intr 5\n"), None);
    }

    #[test]
    fn waiting_is_told_from_a_twentieth_of_the_time_and_tasks_from_more_than_the_cpus() {
        let folder = tempfile::tempdir().unwrap();
        let put = |io: u64, tasks: u64| {
            fs::create_dir_all(folder.path().join("pressure")).unwrap();
            let text = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={io}\n");
            fs::write(folder.path().join("pressure/io"), text).unwrap();
            fs::write(folder.path().join("loadavg"), format!("0.0 0.0 0.0 {tasks}/80 1\n")).unwrap();
        };
        put(1_000, 1);
        let proc = folder.path().to_owned();
        let waited = Waited::read(&proc);
        let mut host = Host { proc, cpus: 2, waited };
        let mut look = |io, tasks| {
            put(io, tasks);
            let mut moved = Vec::new();
            host.waiting(100_000, &mut moved);
            moved.into_iter().map(|(name, n)| (name.to_string(), n)).collect::<Vec<_>>()
        };
        assert_eq!(look(1_000 + 4_999, 3), []);
        assert_eq!(
            look(1_000 + 4_999 + 5_000, 4),
            [("pressure.io.some_us".to_owned(), 5_000), (CounterSample::RUNNABLE.to_owned(), 3)]
        );
    }

    #[test]
    fn only_trouble_is_watched() {
        assert!(is_of_namespace("TcpExtListenOverflows") && is_of_namespace("dev.veth0.a.rx_dropped"));
        assert!(!is_of_namespace("dev.veth0.rx_bytes") && !is_of_namespace("TcpInSegs"));
    }
}
