//! Why a packet was thrown away: in which layer, by what rule, for want of which room, in words that people use.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::key::Transport;

/// What the place that threw a packet away knew, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Details {
    /// Name of the interface; empty where unknown. The way in, or the way out, as the packet went.
    pub interface: Arc<str>,
    /// Where the packet filter stood (`enum nf_inet_hooks`, `ingress`, `egress`), for its drops.
    pub hook: Option<Hook>,
    /// The rule of the packet filter.
    pub rule: Option<Suspects>,
    /// The queue that had no room, as it was then.
    pub queue: Option<Queue>,
    /// The table of tracked connections, where it is to be blamed.
    pub conntrack: Option<Conntrack>,
    /// Time to live, or hop limit, of the packet; 0 where unknown.
    pub ttl: u8,
}

/// Hooks of netfilter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "nft(8)'s own names")]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Egress,
}

impl Hook {
    /// As nft(8) names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Egress => "egress",
        }
    }

    /// The hook that a kernel function calls (`NF_HOOK` and its relatives); `None` for all others.
    pub fn of_caller(function: &str) -> Option<Self> {
        Some(match function {
            "ip_rcv" | "ipv6_rcv" | "ip_list_rcv" | "ip_sublist_rcv" | "ipv6_list_rcv"
            | "ip6_sublist_rcv" => Self::Prerouting,
            "ip_local_deliver" | "ip6_input" => Self::Input,
            "ip_forward" | "ip6_forward" => Self::Forward,
            "__ip_local_out" | "ip_local_out" | "__ip6_local_out" | "ip6_local_out" | "ip6_xmit"
            | "raw_sendmsg" | "rawv6_sendmsg" => Self::Output,
            "ip_output" | "ip_mc_output" | "ip6_output" => Self::Postrouting,
            "__netif_receive_skb_core" => Self::Ingress,
            "__dev_queue_xmit" => Self::Egress,
            _ => return None,
        })
    }
}

/// Rules that can have dropped a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Suspects {
    /// The first of them in the order in which the packet met them, at most [`MAX_SUSPECTS`].
    pub rules: Vec<Rule>,
    /// How many there are.
    pub of: u32,
    /// How sure it is that it was the first one.
    pub sure: Sure,
}

/// Rules that are named where it can't be told which it was.
pub const MAX_SUSPECTS: usize = 4;

/// How sure it is which rule dropped a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// Of all that can have done it only this one's counter moved.
    Proven,
    /// No other rule at this hook can have dropped this packet.
    OnlyCandidate,
    /// Any of several.
    OneOf,
}

impl Sure {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::OnlyCandidate => "only_candidate",
            Self::OneOf => "one_of",
        }
    }
}

/// A rule of the packet filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// `ip`, `ip6`, `inet`, `netdev`...
    pub family: Arc<str>,
    /// Table.
    pub table: Arc<str>,
    /// Chain.
    pub chain: Arc<str>,
    /// As `nft -a list ruleset` shows it; `None` for the policy of the chain.
    pub handle: Option<u64>,
}

/// What was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueKind {
    /// A queueing discipline, in packets.
    Qdisc,
    /// A socket's receive buffer, in bytes (`sk_rcvbuf`, `sk_rmem_alloc`).
    Receive,
    /// A TCP socket's backlog, in bytes: packets that came while the application was in a call.
    Backlog,
    /// A listener's accept queue, in connections (`sk_max_ack_backlog`, `sk_ack_backlog`).
    Accept,
}

/// A queue without room.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Queue {
    /// What it is.
    pub kind: QueueKind,
    /// Kind and handle of a qdisc as tc(8) prints them, `tbf 8001:`; empty for others.
    pub name: Arc<str>,
    /// What fits; 0 where it does not say.
    pub limit: u32,
    /// What was in it.
    pub fill: u32,
    /// Bytes that a qdisc held.
    pub bytes: u32,
}

/// The table of tracked connections of a namespace (`net.netfilter.nf_conntrack_count`, `_max`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conntrack {
    /// Connections in it, soon after the drop.
    pub count: u32,
    /// Connections that fit.
    pub max: u32,
}

/// Part of the stack that threw a packet away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the stack's own names")]
pub enum Layer {
    Link,
    Qdisc,
    Netfilter,
    Ip,
    Tcp,
    Udp,
    Socket,
}

/// Why, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A rule or a policy of the packet filter.
    FirewallRule,
    /// The table of tracked connections was full.
    ConntrackFull,
    /// Netfilter, and not one of its rules.
    Netfilter,
    /// A queueing discipline was full.
    QdiscFull,
    /// The socket's receive buffer was full.
    ReceiveBufferFull,
    /// The socket's backlog was full.
    BacklogFull,
    /// The listener's accept queue was full.
    AcceptQueueFull,
    /// The kernel's queue between the card and the stack was full (`net.core.netdev_max_backlog`).
    CpuQueueFull,
    /// The way back to its source leads elsewhere (`rp_filter`, RFC 3704).
    ReversePath,
    /// It had made too many hops.
    TtlExpired,
    /// A checksum was wrong.
    BadChecksum,
    /// Its TCP timestamp was older than what had come before (RFC 7323, section 5: PAWS).
    OldTimestamp,
    /// There was no way to its destination.
    NoRoute,
    /// Nobody was there at its port.
    NoListener,
    /// The neighbour on the link did not answer (ARP, NDP).
    NoNeighbour,
    /// A BPF program or a traffic-control filter said so.
    Program,
    /// There was no memory.
    NoMemory,
    /// Sequence numbers outside the window, or flags that make no sense.
    OutOfWindow,
    /// Its headers were malformed.
    Malformed,
    /// Anything else: the kernel's reason tells.
    Other,
}

impl Layer {
    /// Of a drop with this reason at this function.
    pub fn of(reason: &str, location: &str, transport: Transport) -> Self {
        const BY_REASON: [(&str, Layer); 20] = [
            ("NETFILTER", Layer::Netfilter),
            ("QDISC", Layer::Qdisc),
            ("CAKE_", Layer::Qdisc),
            ("FQ_", Layer::Qdisc),
            ("DUALPI2", Layer::Qdisc),
            ("TCP_LISTEN_OVERFLOW", Layer::Socket),
            ("TCP_CSUM", Layer::Tcp),
            ("TCP_", Layer::Tcp),
            ("UDP_", Layer::Udp),
            ("SOCKET_", Layer::Socket),
            ("PROTO_MEM", Layer::Socket),
            ("IP_", Layer::Ip),
            ("IPV6", Layer::Ip),
            ("ICMP", Layer::Ip),
            ("PKT_TOO_BIG", Layer::Ip),
            ("NEIGH_", Layer::Link),
            ("TC_", Layer::Link),
            ("DEV_", Layer::Link),
            ("XDP", Layer::Link),
            ("CPU_BACKLOG", Layer::Link),
        ];
        const BY_LOCATION: [(&str, Layer); 9] = [
            ("tcp_", Layer::Tcp),
            ("__tcp_", Layer::Tcp),
            ("udp", Layer::Udp),
            ("__udp", Layer::Udp),
            ("nf_", Layer::Netfilter),
            ("nft_", Layer::Netfilter),
            ("ip", Layer::Ip),
            ("__ip", Layer::Ip),
            ("sock_", Layer::Socket),
        ];
        if reason == "NO_SOCKET" {
            return if transport == Transport::Udp { Self::Udp } else { Self::Tcp };
        }
        let find = |table: &[(&str, Self)], text: &str| {
            table.iter().find(|(prefix, _)| text.starts_with(prefix)).map(|(_, layer)| *layer)
        };
        find(&BY_REASON, reason).or_else(|| find(&BY_LOCATION, location)).unwrap_or(Self::Link)
    }

    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Qdisc => "qdisc",
            Self::Netfilter => "netfilter",
            Self::Ip => "ip",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Socket => "socket",
        }
    }
}

impl Why {
    /// Of a drop with this reason at this function.
    pub fn of(reason: &str, location: &str, details: &Details) -> Self {
        match reason {
            "NETFILTER_DROP" if details.conntrack.is_some() => Self::ConntrackFull,
            "NETFILTER_DROP" if details.rule.is_some() || location.starts_with("nft_") => Self::FirewallRule,
            "NETFILTER_DROP" => Self::Netfilter,
            "SOCKET_RCVBUFF" | "TCP_OFO_QUEUE_PRUNE" | "TCP_ZEROWINDOW" => Self::ReceiveBufferFull,
            // tcp_data_queue(): no room for the segment, or no memory for the room that there is.
            "PROTO_MEM" => match &details.queue {
                Some(q) if q.fill < q.limit / 2 => Self::NoMemory,
                _ => Self::ReceiveBufferFull,
            },
            "SOCKET_BACKLOG" => Self::BacklogFull,
            "TCP_LISTEN_OVERFLOW" => Self::AcceptQueueFull,
            "CPU_BACKLOG" => Self::CpuQueueFull,
            "IP_RPFILTER" => Self::ReversePath,
            // ip_forward() and ip6_forward() say so of nothing else.
            "IP_INHDR" if location.ends_with("_forward") => Self::TtlExpired,
            "TCP_MINTTL" => Self::TtlExpired,
            "TCP_RFC7323_PAWS" | "TCP_RFC7323_TW_PAWS" | "TCP_RFC7323_TSECR" => Self::OldTimestamp,
            "IP_OUTNOROUTES" | "IP_INNOROUTES" | "IP_INADDRERRORS" | "IP_INVALID_DEST" | "NO_TX_TARGET" => {
                Self::NoRoute
            }
            "NO_SOCKET" => Self::NoListener,
            "TC_INGRESS" | "TC_EGRESS" | "XDP" | "SOCKET_FILTER" | "BPF_CGROUP_EGRESS" | "SECURITY_HOOK" => {
                Self::Program
            }
            "NOMEM" => Self::NoMemory,
            "IP_INHDR" | "PKT_TOO_SMALL" | "HDR_TRUNC" | "IPV6_BAD_EXTHDR" | "TCP_FLAGS" => Self::Malformed,
            _ if reason.ends_with("_CSUM") => Self::BadChecksum,
            _ if reason.starts_with("NEIGH_") => Self::NoNeighbour,
            _ if Layer::of(reason, "", Transport::Tcp) == Layer::Qdisc => Self::QdiscFull,
            "TCP_OVERWINDOW" | "TCP_TOO_OLD_ACK" | "TCP_ACK_UNSENT_DATA" => Self::OutOfWindow,
            _ if reason.starts_with("TCP_INVALID_") => Self::OutOfWindow,
            _ => Self::Other,
        }
    }

    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirewallRule => "firewall_rule",
            Self::ConntrackFull => "conntrack_full",
            Self::Netfilter => "netfilter",
            Self::QdiscFull => "qdisc_full",
            Self::ReceiveBufferFull => "receive_buffer_full",
            Self::BacklogFull => "backlog_full",
            Self::AcceptQueueFull => "accept_queue_full",
            Self::CpuQueueFull => "cpu_queue_full",
            Self::ReversePath => "reverse_path",
            Self::TtlExpired => "ttl_expired",
            Self::BadChecksum => "bad_checksum",
            Self::OldTimestamp => "old_timestamp",
            Self::NoRoute => "no_route",
            Self::NoListener => "no_listener",
            Self::NoNeighbour => "no_neighbour",
            Self::Program => "program",
            Self::NoMemory => "no_memory",
            Self::OutOfWindow => "out_of_window",
            Self::Malformed => "malformed",
            Self::Other => "other",
        }
    }
}

/// Whom of this host a drop hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hurt {
    /// The process that had sent the packet.
    Sender,
    /// The process that was to receive it.
    Receiver,
    /// Nobody whose socket is known.
    None,
}

impl Details {
    /// What makes two drops of one kind: everything but how full a queue was and how sure the rule is.
    pub(crate) fn same_kind(&self, other: &Self) -> bool {
        let rules = |d: &Self| d.rule.as_ref().map(|s| s.rules.clone());
        let queue = |d: &Self| d.queue.as_ref().map(|q| (q.kind, q.name.clone()));
        self.interface == other.interface
            && self.hook == other.hook
            && rules(self) == rules(other)
            && queue(self) == queue(other)
            && self.conntrack.is_some() == other.conntrack.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(reason: &str, location: &str) -> (&'static str, &'static str) {
        let layer = Layer::of(reason, location, Transport::Tcp);
        (layer.as_str(), Why::of(reason, location, &Details::default()).as_str())
    }

    #[test]
    fn reasons_of_the_kernel_have_a_layer_and_a_word() {
        assert_eq!(why("NETFILTER_DROP", "nft_do_chain"), ("netfilter", "firewall_rule"));
        assert_eq!(why("NETFILTER_DROP", "nf_hook_slow"), ("netfilter", "netfilter"));
        assert_eq!(why("QDISC_DROP", "__dev_xmit_skb"), ("qdisc", "qdisc_full"));
        assert_eq!(why("FQ_FLOW_LIMIT", "fq_enqueue"), ("qdisc", "qdisc_full"));
        assert_eq!(why("SOCKET_RCVBUFF", "__udp_queue_rcv_skb"), ("socket", "receive_buffer_full"));
        assert_eq!(why("TCP_LISTEN_OVERFLOW", "tcp_conn_request"), ("socket", "accept_queue_full"));
        assert_eq!(why("TCP_CSUM", "tcp_v4_rcv"), ("tcp", "bad_checksum"));
        assert_eq!(why("IP_CSUM", "ip_rcv_core"), ("ip", "bad_checksum"));
        assert_eq!(why("TCP_RFC7323_PAWS", "tcp_validate_incoming"), ("tcp", "old_timestamp"));
        assert_eq!(why("IP_INHDR", "ip_forward"), ("ip", "ttl_expired"));
        assert_eq!(why("IP_INHDR", "ip_rcv_core"), ("ip", "malformed"));
        assert_eq!(why("IP_RPFILTER", "ip_rcv_finish_core"), ("ip", "reverse_path"));
        assert_eq!(why("NO_SOCKET", "tcp_v4_rcv"), ("tcp", "no_listener"));
        assert_eq!(why("NEIGH_FAILED", "neigh_invalidate"), ("link", "no_neighbour"));
        assert_eq!(why("NOT_SPECIFIED", "tcp_conn_request"), ("tcp", "other"));
        assert_eq!(why("SOMETHING_NEW", "veth_xmit"), ("link", "other"));
    }

    #[test]
    fn a_full_table_of_connections_is_no_rule() {
        let details = Details { conntrack: Some(Conntrack { count: 9, max: 8 }), ..Details::default() };
        assert_eq!(Why::of("NETFILTER_DROP", "nf_hook_slow", &details), Why::ConntrackFull);
    }
}
