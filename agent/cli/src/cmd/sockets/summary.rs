//! `-s`: how many sockets there are.

use std::io;

use tracenet_collectors::sockstat::SockStat;

/// ss's table, of the thread's namespace.
pub fn text() -> io::Result<String> {
    SockStat::read().map(|s| table(&s))
}

fn table(s: &SockStat) -> String {
    let (raw, udp) = (s.raw4 + s.raw6, s.udp4 + s.udp6);
    let tcp = s.tcp4 + s.tcp6;
    // Those without a port: closed, but not yet let go.
    let closed = (s.tcp_allocated + s.time_wait).saturating_sub(tcp);
    let mut out = format!(
        "Total: {}\nTCP:   {} (estab {}, closed {closed}, orphaned {}, timewait {})\n\nTransport Total     IP        IPv6\n",
        s.sockets,
        s.tcp_allocated + s.time_wait,
        s.established,
        s.orphans,
        s.time_wait
    );
    for (name, all, v4, v6) in [
        ("RAW", raw, s.raw4, s.raw6),
        ("UDP", udp, s.udp4, s.udp6),
        ("TCP", tcp, s.tcp4, s.tcp6),
        ("INET", raw + udp + tcp, s.raw4 + s.udp4 + s.tcp4, s.raw6 + s.udp6 + s.tcp6),
        ("FRAG", s.frag4 + s.frag6, s.frag4, s.frag6),
    ] {
        out.push_str(&format!("{name:<9} {all:<9} {v4:<9} {v6}\n"));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let s = SockStat {
            sockets: 9,
            tcp_allocated: 6,
            tcp4: 4,
            tcp6: 1,
            time_wait: 2,
            udp6: 3,
            ..SockStat::default()
        };
        let text = table(&s);
        assert!(text.contains("TCP:   8 (estab 0, closed 3, orphaned 0, timewait 2)"), "{text}");
        assert!(text.contains("INET      8         4         4\n"), "{text}");
    }
}
