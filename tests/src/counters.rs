//! What the kernel counted: SNMP tables, CPU time.

use std::collections::BTreeMap;

use crate::netns::Netns;

/// Counters of /proc/net/snmp and netstat under nstat's names (`TcpRetransSegs`, `TcpExtTCPTimeouts`).
pub type Mib = BTreeMap<String, i64>;

/// Reads the tables of a namespace.
pub fn mib(netns: &Netns) -> Mib {
    netns.inside(|| {
        let mut all = Mib::new();
        for table in ["snmp", "netstat"] {
            let text =
                std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).expect("procfs has it");
            parse(&text, &mut all);
        }
        all
    })
}

fn parse(text: &str, all: &mut Mib) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let mut names = names.split_whitespace();
        let group = names.next().unwrap_or("").trim_end_matches(':');
        for (name, value) in names.zip(values.split_whitespace().skip(1)) {
            if let Ok(value) = value.parse() {
                all.insert(format!("{group}{name}"), value);
            }
        }
    }
}

/// How much `name` grew.
pub fn delta(before: &Mib, after: &Mib, name: &str) -> u64 {
    let at = |mib: &Mib| *mib.get(name).unwrap_or_else(|| panic!("no counter {name}"));
    u64::try_from(at(after) - at(before)).expect("counters grow")
}

/// Nanoseconds that all threads of a process have been on a CPU.
pub fn cpu_ns(pid: u32) -> u64 {
    let folder = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    folder
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// CPU time of a process once all its threads sleep: one that has just answered is on its way there still.
pub fn cpu_ns_asleep(pid: u32) -> u64 {
    crate::wait_for("the process to sleep", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let asleep = tasks.flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The state follows the name, which is in parentheses (proc(5)).
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
        });
        asleep.then(|| cpu_ns(pid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_value_lines_are_paired() {
        let mut mib = Mib::new();
        parse("Tcp: MaxConn RetransSegs\nTcp: -1 42\nTcpExt: TCPTimeouts\nTcpExt: 7\n", &mut mib);
        assert_eq!(mib["TcpMaxConn"], -1);
        assert_eq!(mib["TcpRetransSegs"], 42);
        assert_eq!(mib["TcpExtTCPTimeouts"], 7);
    }
}
