//! tracenet's counts next to the kernel's (INV 10): which counter counts what.

use std::borrow::Cow;

use tracenet_collectors::counters::Delta;
use tracenet_core::audit::{self, AuditRow, Counted, FirewallRule, Term};
use tracenet_core::key::{NetnsCookie, Transport};
use tracenet_probes::{DropTotal, NetnsTotals};

/// What both sides saw in one namespace.
pub struct Seen<'a> {
    /// What the probes had counted at the beginning, and at the end.
    pub totals: (&'a NetnsTotals, &'a NetnsTotals),
    /// What they had seen dropped at the beginning, and at the end.
    pub drops: (&'a [DropTotal], &'a [DropTotal]),
    /// What the kernel's counters did meanwhile.
    pub kernel: &'a Delta,
    /// Rules of the packet filter that dropped meanwhile.
    pub rules: &'a [&'a FirewallRule],
}

/// Name of a part and how often it happened.
type Part = (&'static str, fn(&NetnsTotals) -> u64);

/// A counter as people know it, and what it is the sum of. Left out is what no sum of ours equals:
/// * TCPLossProbes: a probe may carry what was never sent before (`tcp_send_loss_probe()`, RFC 8985, section 7.3), which no
///   tracepoint tells from any other transmission.
/// * ListenDrops: what a listener refuses for want of memory, a route or room for half-open connections has no reason of
///   its own, and its socket's count takes packets that `tcp_listendrop()` doesn't. ListenOverflows is compared below.
/// * softnet's dropped: it counts for the whole host, and frames of all protocols; ours are those with TCP and UDP. It stands
///   among the counters of trouble.
const COUNTERS: [(&str, &[Part]); 5] = [
    (
        "TcpRetransSegs",
        &[
            ("fast", |t| t.fast),
            ("TLP", |t| t.tail_loss_probe),
            ("RTO", |t| t.timeout),
            ("SYN", |t| t.syn),
            ("SYN/ACK", |t| t.syn_ack),
            ("other", |t| t.other),
        ],
    ),
    ("TCPSynRetrans", &[("SYN", |t| t.syn), ("SYN/ACK", |t| t.syn_ack)]),
    (
        "TCPTimeouts",
        &[
            ("RTO", |t| t.timeouts - t.timeouts_syn - t.timeouts_syn_ack),
            ("SYN", |t| t.timeouts_syn),
            ("SYN/ACK", |t| t.timeouts_syn_ack),
        ],
    ),
    ("TcpActiveOpens", &[("connect", |t| t.active_opens)]),
    ("TcpPassiveOpens", &[("accepted", |t| t.passive_opens)]),
];

/// A counter of drops, the kernel's names of it (their sum is meant), and which of those that the probes saw it counts.
struct Dropped {
    counter: &'static str,
    kernel: &'static [&'static str],
    counts: fn(&DropTotal) -> bool,
}

const fn dropped(
    counter: &'static str,
    kernel: &'static [&'static str],
    counts: fn(&DropTotal) -> bool,
) -> Dropped {
    Dropped { counter, kernel, counts }
}

const UDP: Option<Transport> = Some(Transport::Udp);
const TCP: Option<Transport> = Some(Transport::Tcp);

fn is(d: &DropTotal, reason: &str, transport: Option<Transport>) -> bool {
    &*d.reason == reason && d.transport == transport
}

const DROPS: [Dropped; 14] = [
    dropped("UdpRcvbufErrors", &["UdpRcvbufErrors"], |d| is(d, "SOCKET_RCVBUFF", UDP) && !d.ipv6),
    dropped("Udp6RcvbufErrors", &["Udp6RcvbufErrors"], |d| is(d, "SOCKET_RCVBUFF", UDP) && d.ipv6),
    dropped("UdpNoPorts", &["UdpNoPorts"], |d| is(d, "NO_SOCKET", UDP) && !d.ipv6),
    dropped("Udp6NoPorts", &["Udp6NoPorts"], |d| is(d, "NO_SOCKET", UDP) && d.ipv6),
    dropped("UdpInCsumErrors", &["UdpInCsumErrors"], |d| is(d, "UDP_CSUM", UDP) && !d.ipv6),
    dropped("TcpInCsumErrors", &["TcpInCsumErrors"], |d| is(d, "TCP_CSUM", TCP)),
    dropped("ListenOverflows", &["TcpExtListenOverflows"], |d| is(d, "TCP_LISTEN_OVERFLOW", TCP)),
    dropped("TCPBacklogDrop", &["TcpExtTCPBacklogDrop"], |d| is(d, "SOCKET_BACKLOG", TCP)),
    // tcp_data_queue() and tcp_data_queue_ofo() give one reason and count apart.
    dropped("TCPRcvQDrop + TCPOFODrop", &["TcpExtTCPRcvQDrop", "TcpExtTCPOFODrop"], |d| {
        is(d, "PROTO_MEM", TCP)
    }),
    dropped("TCPZeroWindowDrop", &["TcpExtTCPZeroWindowDrop"], |d| is(d, "TCP_ZEROWINDOW", TCP)),
    dropped("PAWSEstab", &["TcpExtPAWSEstab"], |d| is(d, "TCP_RFC7323_PAWS", TCP)),
    dropped("IPReversePathFilter", &["TcpExtIPReversePathFilter"], |d| &*d.reason == "IP_RPFILTER"),
    dropped("IpInHdrErrors", &["IpInHdrErrors"], |d| &*d.reason == "IP_INHDR" && !d.ipv6),
    dropped("Ip6InHdrErrors", &["Ip6InHdrErrors"], |d| &*d.reason == "IP_INHDR" && d.ipv6),
];

/// Of the packet filter: what its rules and connection tracking counted.
const FIREWALL: &str = "nft and conntrack";

impl Seen<'_> {
    /// A row for each counter that moved on either side.
    pub fn rows(&self, netns: NetnsCookie, netns_inum: u32) -> Vec<AuditRow> {
        let (before, now) = self.totals;
        let term = |name: &str, count| Term { name: Cow::Owned(name.to_owned()), count };
        let grown = |parts: &[Part]| {
            parts.iter().map(|(name, f)| term(name, f(now).saturating_sub(f(before)))).collect::<Vec<_>>()
        };
        let by_reason = |counts: &dyn Fn(&DropTotal) -> bool| {
            let of = |drops: &[DropTotal]| drops.iter().filter(|d| counts(d)).map(|d| d.packets).sum::<u64>();
            of(self.drops.1).saturating_sub(of(self.drops.0))
        };
        let mut counters: Vec<(&'static str, Vec<Term>)> =
            COUNTERS.iter().map(|(name, parts)| (*name, grown(parts))).collect();
        counters.extend(DROPS.iter().map(|d| (d.counter, vec![term("drops", by_reason(&d.counts))])));
        // Where a rule doesn't count there is nothing to compare with.
        if self.firewall().is_some() {
            let by_netfilter = by_reason(&|d| &*d.reason == "NETFILTER_DROP");
            counters.push((FIREWALL, vec![term("drops", by_netfilter)]));
        }
        let kernel = |_: NetnsCookie, name: &str| {
            if name == FIREWALL {
                return self.firewall();
            }
            let get =
                |name: &str| self.kernel.get(name).or_else(|| self.kernel.get(&format!("TcpExt{name}")));
            let sum = match DROPS.iter().find(|d| d.counter == name) {
                Some(d) => d.kernel.iter().try_fold(0, |sum, name| Some(sum + get(name)?)),
                None => get(name),
            };
            Some(u64::try_from(sum?).unwrap_or(0))
        };
        audit::compare(&kernel, &[Counted { netns, netns_inum, counters }])
    }

    /// `None` where a rule that may have dropped doesn't count.
    fn firewall(&self) -> Option<u64> {
        let rules = self.rules.iter().try_fold(0, |sum: u64, r| Some(sum + r.packets?))?;
        Some(rules + self.kernel.counter("conntrack.drop"))
    }
}
