//! How many sockets there are, without listing them: `/proc/net/sockstat`, `sockstat6` and `snmp` (proc_net(5)).

use std::fs;
use std::io;

/// Counts of the calling thread's network namespace. Memory and orphans are the host's (net/ipv4/proc.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SockStat {
    /// Sockets of all families (of the namespace).
    pub sockets: u64,
    /// TCP sockets that have memory: `alloc`.
    pub tcp_allocated: u64,
    /// TCP over IPv4, bound or more.
    pub tcp4: u64,
    /// TCP over IPv6, bound or more.
    pub tcp6: u64,
    /// TCP sockets that no descriptor leads to.
    pub orphans: u64,
    /// In TIME-WAIT.
    pub time_wait: u64,
    /// TcpCurrEstab: ESTABLISHED and CLOSE-WAIT.
    pub established: u64,
    /// UDP over IPv4.
    pub udp4: u64,
    /// UDP over IPv6.
    pub udp6: u64,
    /// Raw over IPv4.
    pub raw4: u64,
    /// Raw over IPv6.
    pub raw6: u64,
    /// Fragments of IPv4 that wait for the others.
    pub frag4: u64,
    /// Of IPv6.
    pub frag6: u64,
}

impl SockStat {
    /// Reads them.
    ///
    /// # Errors
    /// `/proc` isn't mounted.
    pub fn read() -> io::Result<Self> {
        // The thread's own view: it may have entered another namespace than its process.
        let file = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
        // Without IPv6 there is no second file.
        Ok(Self::parse(&file("sockstat")?, &file("sockstat6").unwrap_or_default(), &file("snmp")?))
    }

    /// From the text of the three files.
    pub fn parse(v4: &str, v6: &str, snmp: &str) -> Self {
        Self {
            sockets: value(v4, "sockets:", "used"),
            tcp_allocated: value(v4, "TCP:", "alloc"),
            tcp4: value(v4, "TCP:", "inuse"),
            tcp6: value(v6, "TCP6:", "inuse"),
            orphans: value(v4, "TCP:", "orphan"),
            time_wait: value(v4, "TCP:", "tw"),
            established: current_established(snmp).unwrap_or(0),
            udp4: value(v4, "UDP:", "inuse"),
            udp6: value(v6, "UDP6:", "inuse"),
            raw4: value(v4, "RAW:", "inuse"),
            raw6: value(v6, "RAW6:", "inuse"),
            frag4: value(v4, "FRAG:", "inuse"),
            frag6: value(v6, "FRAG6:", "inuse"),
        }
    }
}

/// The number after `name` in the line of `head`.
fn value(text: &str, head: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(head)).unwrap_or("");
    let mut words = line.split_ascii_whitespace().skip_while(|word| *word != name);
    words.nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn current_established(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let column = lines.next()?.split_ascii_whitespace().position(|name| name == "CurrEstab")?;
    lines.next()?.split_ascii_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_files() {
        let v4 = "sockets: used 77\nTCP: inuse 3 orphan 1 tw 2 alloc 9 mem 1\nUDP: inuse 4 mem 2\nUDPLITE: inuse 0\nRAW: inuse 1\nFRAG: inuse 0 memory 0\n";
        let v6 = "TCP6: inuse 5\nUDP6: inuse 6\nRAW6: inuse 1\nFRAG6: inuse 0 memory 0\n";
        let snmp = "Ip: A B\nIp: 1 2\nTcp: RtoMin CurrEstab\nTcp: 200 8\nUdp: X\nUdp: 1\n";
        let all = SockStat::parse(v4, v6, snmp);
        let expected = SockStat {
            sockets: 77,
            tcp_allocated: 9,
            tcp4: 3,
            tcp6: 5,
            orphans: 1,
            time_wait: 2,
            established: 8,
            udp4: 4,
            udp6: 6,
            raw4: 1,
            raw6: 1,
            frag4: 0,
            frag6: 0,
        };
        assert_eq!(all, expected);
        assert_eq!(SockStat::parse("", "", ""), SockStat::default());
    }
}
