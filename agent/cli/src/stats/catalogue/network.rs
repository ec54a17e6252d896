//! Reports of the network namespace: the keywords of `sar -n`.

use crate::stats::report::{Items, Report, level, over, rate};
use crate::stats::span::{Span, percent};

/// All but `SOFT`, in sar's order. Names of counters are those of `/proc/net/snmp` and `snmp6`.
pub static NETWORK: [Report; 16] = [
    Report {
        name: "DEV",
        items: Items::Interfaces,
        columns: &[
            rate("rxpck/s", "dev.*.rx_packets"),
            rate("txpck/s", "dev.*.tx_packets"),
            rate("rxkB/s", "dev.*.rx_bytes").bytes(),
            rate("txkB/s", "dev.*.tx_bytes").bytes(),
            rate("rxcmp/s", "dev.*.rx_compressed"),
            rate("txcmp/s", "dev.*.tx_compressed"),
            rate("rxmcst/s", "dev.*.rx_multicast"),
            over("%ifutil", "utilization_percent", utilization),
        ],
    },
    Report {
        name: "EDEV",
        items: Items::Interfaces,
        columns: &[
            rate("rxerr/s", "dev.*.rx_errors"),
            rate("txerr/s", "dev.*.tx_errors"),
            rate("coll/s", "dev.*.tx_collisions"),
            rate("rxdrop/s", "dev.*.rx_dropped"),
            rate("txdrop/s", "dev.*.tx_dropped"),
            rate("txcarr/s", "dev.*.tx_carrier"),
            rate("rxfram/s", "dev.*.rx_frame"),
            rate("rxfifo/s", "dev.*.rx_fifo"),
            rate("txfifo/s", "dev.*.tx_fifo"),
        ],
    },
    Report {
        name: "SOCK",
        items: Items::None,
        columns: &[
            level("totsck", "sockstat.sockets.used").key("sockets"),
            level("tcpsck", "sockstat.TCP.inuse").key("tcp_sockets"),
            level("udpsck", "sockstat.UDP.inuse").key("udp_sockets"),
            level("rawsck", "sockstat.RAW.inuse").key("raw_sockets"),
            level("ip-frag", "sockstat.FRAG.inuse").key("fragment_queues"),
            level("tcp-tw", "sockstat.TCP.tw").key("time_wait"),
        ],
    },
    Report {
        name: "IP",
        items: Items::None,
        columns: &[
            rate("irec/s", "IpInReceives"),
            rate("fwddgm/s", "IpForwDatagrams"),
            rate("idel/s", "IpInDelivers"),
            rate("orq/s", "IpOutRequests"),
            rate("asmrq/s", "IpReasmReqds"),
            rate("asmok/s", "IpReasmOKs"),
            rate("fragok/s", "IpFragOKs"),
            rate("fragcrt/s", "IpFragCreates"),
        ],
    },
    Report {
        name: "EIP",
        items: Items::None,
        columns: &[
            rate("ihdrerr/s", "IpInHdrErrors"),
            rate("iadrerr/s", "IpInAddrErrors"),
            rate("iukwnpr/s", "IpInUnknownProtos"),
            rate("idisc/s", "IpInDiscards"),
            rate("odisc/s", "IpOutDiscards"),
            rate("onort/s", "IpOutNoRoutes"),
            rate("asmf/s", "IpReasmFails"),
            rate("fragf/s", "IpFragFails"),
        ],
    },
    Report {
        name: "ICMP",
        items: Items::None,
        columns: &[
            rate("imsg/s", "IcmpInMsgs"),
            rate("omsg/s", "IcmpOutMsgs"),
            rate("iech/s", "IcmpInEchos"),
            rate("iechr/s", "IcmpInEchoReps"),
            rate("oech/s", "IcmpOutEchos"),
            rate("oechr/s", "IcmpOutEchoReps"),
            rate("itm/s", "IcmpInTimestamps"),
            rate("itmr/s", "IcmpInTimestampReps"),
            rate("otm/s", "IcmpOutTimestamps"),
            rate("otmr/s", "IcmpOutTimestampReps"),
            rate("iadrmk/s", "IcmpInAddrMasks"),
            rate("iadrmkr/s", "IcmpInAddrMaskReps"),
            rate("oadrmk/s", "IcmpOutAddrMasks"),
            rate("oadrmkr/s", "IcmpOutAddrMaskReps"),
        ],
    },
    Report {
        name: "EICMP",
        items: Items::None,
        columns: &[
            rate("ierr/s", "IcmpInErrors"),
            rate("oerr/s", "IcmpOutErrors"),
            rate("idstunr/s", "IcmpInDestUnreachs"),
            rate("odstunr/s", "IcmpOutDestUnreachs"),
            rate("itmex/s", "IcmpInTimeExcds"),
            rate("otmex/s", "IcmpOutTimeExcds"),
            rate("iparmpb/s", "IcmpInParmProbs"),
            rate("oparmpb/s", "IcmpOutParmProbs"),
            rate("isrcq/s", "IcmpInSrcQuenchs"),
            rate("osrcq/s", "IcmpOutSrcQuenchs"),
            rate("iredir/s", "IcmpInRedirects"),
            rate("oredir/s", "IcmpOutRedirects"),
        ],
    },
    Report {
        name: "TCP",
        items: Items::None,
        columns: &[
            rate("active/s", "TcpActiveOpens"),
            rate("passive/s", "TcpPassiveOpens"),
            rate("iseg/s", "TcpInSegs"),
            rate("oseg/s", "TcpOutSegs"),
        ],
    },
    Report {
        name: "ETCP",
        items: Items::None,
        columns: &[
            rate("atmptf/s", "TcpAttemptFails"),
            rate("estres/s", "TcpEstabResets"),
            rate("retrans/s", "TcpRetransSegs"),
            rate("isegerr/s", "TcpInErrs"),
            rate("orsts/s", "TcpOutRsts"),
        ],
    },
    Report {
        name: "UDP",
        items: Items::None,
        columns: &[
            rate("idgm/s", "UdpInDatagrams"),
            rate("odgm/s", "UdpOutDatagrams"),
            rate("noport/s", "UdpNoPorts"),
            rate("idgmerr/s", "UdpInErrors"),
        ],
    },
    Report {
        name: "SOCK6",
        items: Items::None,
        columns: &[
            level("tcp6sck", "sockstat.TCP6.inuse").key("tcp6_sockets"),
            level("udp6sck", "sockstat.UDP6.inuse").key("udp6_sockets"),
            level("raw6sck", "sockstat.RAW6.inuse").key("raw6_sockets"),
            level("ip6-frag", "sockstat.FRAG6.inuse").key("fragment_queues"),
        ],
    },
    Report {
        name: "IP6",
        items: Items::None,
        columns: &[
            rate("irec6/s", "Ip6InReceives"),
            rate("fwddgm6/s", "Ip6OutForwDatagrams"),
            rate("idel6/s", "Ip6InDelivers"),
            rate("orq6/s", "Ip6OutRequests"),
            rate("asmrq6/s", "Ip6ReasmReqds"),
            rate("asmok6/s", "Ip6ReasmOKs"),
            rate("imcpck6/s", "Ip6InMcastPkts"),
            rate("omcpck6/s", "Ip6OutMcastPkts"),
            rate("fragok6/s", "Ip6FragOKs"),
            rate("fragcr6/s", "Ip6FragCreates"),
        ],
    },
    Report {
        name: "EIP6",
        items: Items::None,
        columns: &[
            rate("ihdrer6/s", "Ip6InHdrErrors"),
            rate("iadrer6/s", "Ip6InAddrErrors"),
            rate("iukwnp6/s", "Ip6InUnknownProtos"),
            rate("i2big6/s", "Ip6InTooBigErrors"),
            rate("idisc6/s", "Ip6InDiscards"),
            rate("odisc6/s", "Ip6OutDiscards"),
            rate("inort6/s", "Ip6InNoRoutes"),
            rate("onort6/s", "Ip6OutNoRoutes"),
            rate("asmf6/s", "Ip6ReasmFails"),
            rate("fragf6/s", "Ip6FragFails"),
            rate("itrpck6/s", "Ip6InTruncatedPkts"),
        ],
    },
    Report {
        name: "ICMP6",
        items: Items::None,
        columns: &[
            rate("imsg6/s", "Icmp6InMsgs"),
            rate("omsg6/s", "Icmp6OutMsgs"),
            rate("iech6/s", "Icmp6InEchos"),
            rate("iechr6/s", "Icmp6InEchoReplies"),
            rate("oechr6/s", "Icmp6OutEchoReplies"),
            rate("igmbq6/s", "Icmp6InGroupMembQueries"),
            rate("igmbr6/s", "Icmp6InGroupMembResponses"),
            rate("ogmbr6/s", "Icmp6OutGroupMembResponses"),
            rate("igmbrd6/s", "Icmp6InGroupMembReductions"),
            rate("ogmbrd6/s", "Icmp6OutGroupMembReductions"),
            rate("irtsol6/s", "Icmp6InRouterSolicits"),
            rate("ortsol6/s", "Icmp6OutRouterSolicits"),
            rate("irtad6/s", "Icmp6InRouterAdvertisements"),
            rate("inbsol6/s", "Icmp6InNeighborSolicits"),
            rate("onbsol6/s", "Icmp6OutNeighborSolicits"),
            rate("inbad6/s", "Icmp6InNeighborAdvertisements"),
            rate("onbad6/s", "Icmp6OutNeighborAdvertisements"),
        ],
    },
    Report {
        name: "EICMP6",
        items: Items::None,
        columns: &[
            rate("ierr6/s", "Icmp6InErrors"),
            rate("idtunr6/s", "Icmp6InDestUnreachs"),
            rate("odtunr6/s", "Icmp6OutDestUnreachs"),
            rate("itmex6/s", "Icmp6InTimeExcds"),
            rate("otmex6/s", "Icmp6OutTimeExcds"),
            rate("iprmpb6/s", "Icmp6InParmProblems"),
            rate("oprmpb6/s", "Icmp6OutParmProblems"),
            rate("iredir6/s", "Icmp6InRedirects"),
            rate("oredir6/s", "Icmp6OutRedirects"),
            rate("ipck2b6/s", "Icmp6InPktTooBigs"),
            rate("opck2b6/s", "Icmp6OutPktTooBigs"),
        ],
    },
    Report {
        name: "UDP6",
        items: Items::None,
        columns: &[
            rate("idgm6/s", "Udp6InDatagrams"),
            rate("odgm6/s", "Udp6OutDatagrams"),
            rate("noport6/s", "Udp6NoPorts"),
            rate("idgmer6/s", "Udp6InErrors"),
        ],
    },
];

/// Softirqs of the network, all processors' together. sar prints it last.
pub static SOFT: Report = Report {
    name: "SOFT",
    items: Items::Processors,
    columns: &[
        rate("total/s", "softnet.processed"),
        rate("dropd/s", "softnet.dropped"),
        rate("squeezd/s", "softnet.time_squeeze"),
        rate("rx_rps/s", "softnet.received_rps"),
        rate("flw_lim/s", "softnet.flow_limit"),
        level("blg_len", "host.backlog_packets"),
    ],
};

/// Of the link's speed, the busier direction where it is full duplex, else both; zero where the speed isn't known.
fn utilization(s: &Span<'_>) -> Option<f64> {
    let (rx, tx) = (s.rate("dev.*.rx_bytes")?, s.rate("dev.*.tx_bytes")?);
    let bytes = if s.level("dev.*.full_duplex") == Some(1.0) { rx.max(tx) } else { rx + tx };
    let speed = s.level("dev.*.speed_mbit").unwrap_or(0.0);
    Some(percent(bytes * 8.0, speed * 1e6))
}
