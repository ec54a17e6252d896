//! The formats of `/proc/net`.

use super::{Kind, Snapshot};

/// Levels and settings among the counters of `snmp` and `netstat` (include/uapi/linux/snmp.h, RFC 4022, RFC 4293).
const GAUGES: [&str; 8] = [
    "IpForwarding",
    "IpDefaultTTL",
    "TcpRtoAlgorithm",
    "TcpRtoMin",
    "TcpRtoMax",
    "TcpMaxConn",
    "TcpCurrEstab",
    "MPTcpExtMPCurrEstab",
];

fn kind(name: &str) -> Kind {
    if GAUGES.contains(&name) { Kind::Gauge } else { Kind::Counter }
}

/// `snmp` and `netstat`: a line of names, then a line of values, both with the same prefix.
pub(super) fn pairs(text: &str, s: &mut Snapshot) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((prefix, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            // -1 stands for "no limit".
            let Ok(value) = value.parse() else { continue };
            let name = format!("{prefix}{name}");
            let kind = kind(&name);
            s.put(name, kind, value);
        }
    }
}

/// `snmp6`: a name and a value in each line. The names have their prefix already.
pub(super) fn lines(text: &str, s: &mut Snapshot) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse)) {
            s.put(name.to_owned(), kind(name), value);
        }
    }
}

/// `stat/nf_conntrack`: a line of names, then one of hexadecimal values for each CPU (`ct_cpu_seq_show`). `entries` is a
/// level, the same in each line.
pub(super) fn conntrack(text: &str, s: &mut Snapshot) {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let mut sums = vec![0_u64; names.len()];
    for line in lines {
        for (sum, value) in sums.iter_mut().zip(line.split_whitespace()) {
            *sum = sum.saturating_add(u64::from_str_radix(value, 16).unwrap_or(0));
        }
    }
    for (name, sum) in names.into_iter().zip(sums).filter(|(name, _)| *name != "entries") {
        s.put(format!("conntrack.{name}"), Kind::Counter, sum);
    }
}

/// Columns of `dev` (net/core/net-procfs.c, `dev_seq_printf_stats`).
const DEV: [&str; 16] = [
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "rx_fifo",
    "rx_frame",
    "rx_compressed",
    "rx_multicast",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
    "tx_fifo",
    "tx_collisions",
    "tx_carrier",
    "tx_compressed",
];

/// `dev`: two lines of heading, then one per interface. Its name may hold a colon (an alias), so the last one ends
/// it.
pub(super) fn dev(text: &str, s: &mut Snapshot) {
    for line in text.lines().skip(2) {
        let Some((name, values)) = line.rsplit_once(':') else { continue };
        let name = name.trim();
        for (column, value) in DEV.iter().zip(values.split_whitespace()) {
            if let Ok(value) = value.parse() {
                s.put(format!("dev.{name}.{column}"), Kind::Counter, value);
            }
        }
    }
}

/// `softnet_stat`: a line per CPU, hexadecimal 32-bit numbers (net/core/net-procfs.c, `softnet_seq_show`). Summed
/// over the CPUs.
pub(super) fn softnet(text: &str, s: &mut Snapshot) {
    const COLUMNS: [(usize, &str); 5] =
        [(0, "processed"), (1, "dropped"), (2, "time_squeeze"), (9, "received_rps"), (10, "flow_limit")];
    let mut sums = [None::<u32>; COLUMNS.len()];
    for line in text.lines() {
        let values: Vec<&str> = line.split_whitespace().collect();
        for (sum, (column, _)) in sums.iter_mut().zip(COLUMNS) {
            let value = values.get(column).and_then(|v| u32::from_str_radix(v, 16).ok());
            if let Some(value) = value {
                *sum = Some(sum.unwrap_or(0).wrapping_add(value));
            }
        }
    }
    for (sum, (_, name)) in sums.into_iter().zip(COLUMNS) {
        if let Some(sum) = sum {
            s.put(format!("softnet.{name}"), Kind::Counter32, u64::from(sum));
        }
    }
}

/// `sockstat` and `sockstat6`: `TCP: inuse 1 orphan 0`. All are levels.
pub(super) fn sockstat(text: &str, s: &mut Snapshot) {
    for line in text.lines() {
        let Some((protocol, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_whitespace();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if let Ok(value) = value.parse() {
                s.put(format!("sockstat.{protocol}.{name}"), Kind::Gauge, value);
            }
        }
    }
}

/// The first `N` numbers of a line.
pub(super) fn numbers<const N: usize>(text: &str) -> Option<[u64; N]> {
    let mut found = [0; N];
    let mut words = text.split_whitespace();
    for slot in &mut found {
        *slot = words.next()?.parse().ok()?;
    }
    Some(found)
}
