//! Socket options: names, and the shapes of their values.

use std::fmt::Write;

use super::sockaddr::{inet_addr, inet_pton6};
use super::text::{self, Names, be32_at, i32_at, u16_at, u32_at, u64_at};

const SOL_IP: u64 = 0;
const SOL_SOCKET: u64 = 1;
const SOL_IPV6: u64 = 41;

/// `asm-generic/socket.h`
#[rustfmt::skip]
const SO: Names = &[
    (1, "SO_DEBUG"), (2, "SO_REUSEADDR"), (3, "SO_TYPE"), (4, "SO_ERROR"), (5, "SO_DONTROUTE"),
    (6, "SO_BROADCAST"), (7, "SO_SNDBUF"), (8, "SO_RCVBUF"), (9, "SO_KEEPALIVE"), (10, "SO_OOBINLINE"),
    (11, "SO_NO_CHECK"), (12, "SO_PRIORITY"), (13, "SO_LINGER"), (14, "SO_BSDCOMPAT"), (15, "SO_REUSEPORT"),
    (16, "SO_PASSCRED"), (17, "SO_PEERCRED"), (18, "SO_RCVLOWAT"), (19, "SO_SNDLOWAT"), (20, "SO_RCVTIMEO_OLD"),
    (21, "SO_SNDTIMEO_OLD"), (22, "SO_SECURITY_AUTHENTICATION"), (23, "SO_SECURITY_ENCRYPTION_TRANSPORT"),
    (24, "SO_SECURITY_ENCRYPTION_NETWORK"), (25, "SO_BINDTODEVICE"), (26, "SO_ATTACH_FILTER"),
    (27, "SO_DETACH_FILTER"), (28, "SO_PEERNAME"), (29, "SO_TIMESTAMP_OLD"), (30, "SO_ACCEPTCONN"),
    (31, "SO_PEERSEC"), (32, "SO_SNDBUFFORCE"), (33, "SO_RCVBUFFORCE"), (34, "SO_PASSSEC"),
    (35, "SO_TIMESTAMPNS_OLD"), (36, "SO_MARK"), (37, "SO_TIMESTAMPING_OLD"), (38, "SO_PROTOCOL"),
    (39, "SO_DOMAIN"), (40, "SO_RXQ_OVFL"), (41, "SO_WIFI_STATUS"), (42, "SO_PEEK_OFF"), (43, "SO_NOFCS"),
    (44, "SO_LOCK_FILTER"), (45, "SO_SELECT_ERR_QUEUE"), (46, "SO_BUSY_POLL"), (47, "SO_MAX_PACING_RATE"),
    (48, "SO_BPF_EXTENSIONS"), (49, "SO_INCOMING_CPU"), (50, "SO_ATTACH_BPF"), (51, "SO_ATTACH_REUSEPORT_CBPF"),
    (52, "SO_ATTACH_REUSEPORT_EBPF"), (53, "SO_CNX_ADVICE"), (55, "SO_MEMINFO"), (56, "SO_INCOMING_NAPI_ID"),
    (57, "SO_COOKIE"), (59, "SO_PEERGROUPS"), (60, "SO_ZEROCOPY"), (61, "SO_TXTIME"), (62, "SO_BINDTOIFINDEX"),
    (63, "SO_TIMESTAMP_NEW"), (64, "SO_TIMESTAMPNS_NEW"), (65, "SO_TIMESTAMPING_NEW"), (66, "SO_RCVTIMEO_NEW"),
    (67, "SO_SNDTIMEO_NEW"), (68, "SO_DETACH_REUSEPORT_BPF"), (69, "SO_PREFER_BUSY_POLL"),
    (70, "SO_BUSY_POLL_BUDGET"), (71, "SO_NETNS_COOKIE"), (72, "SO_BUF_LOCK"), (73, "SO_RESERVE_MEM"),
    (74, "SO_TXREHASH"), (75, "SO_RCVMARK"),
];

/// `linux/tcp.h`
#[rustfmt::skip]
const TCP: Names = &[
    (1, "TCP_NODELAY"), (2, "TCP_MAXSEG"), (3, "TCP_CORK"), (4, "TCP_KEEPIDLE"), (5, "TCP_KEEPINTVL"),
    (6, "TCP_KEEPCNT"), (7, "TCP_SYNCNT"), (8, "TCP_LINGER2"), (9, "TCP_DEFER_ACCEPT"), (10, "TCP_WINDOW_CLAMP"),
    (11, "TCP_INFO"), (12, "TCP_QUICKACK"), (13, "TCP_CONGESTION"), (14, "TCP_MD5SIG"),
    (16, "TCP_THIN_LINEAR_TIMEOUTS"), (17, "TCP_THIN_DUPACK"), (18, "TCP_USER_TIMEOUT"), (19, "TCP_REPAIR"),
    (20, "TCP_REPAIR_QUEUE"), (21, "TCP_QUEUE_SEQ"), (22, "TCP_REPAIR_OPTIONS"), (23, "TCP_FASTOPEN"), (24, "TCP_TIMESTAMP"),
    (25, "TCP_NOTSENT_LOWAT"), (26, "TCP_CC_INFO"), (27, "TCP_SAVE_SYN"), (28, "TCP_SAVED_SYN"),
    (29, "TCP_REPAIR_WINDOW"), (30, "TCP_FASTOPEN_CONNECT"), (31, "TCP_ULP"), (32, "TCP_MD5SIG_EXT"),
    (33, "TCP_FASTOPEN_KEY"), (34, "TCP_FASTOPEN_NO_COOKIE"), (35, "TCP_ZEROCOPY_RECEIVE"), (36, "TCP_INQ"),
    (37, "TCP_TX_DELAY"),
];

/// `linux/in.h`
#[rustfmt::skip]
const IP: Names = &[
    (1, "IP_TOS"), (2, "IP_TTL"), (3, "IP_HDRINCL"), (4, "IP_OPTIONS"), (5, "IP_ROUTER_ALERT"), (6, "IP_RECVOPTS"),
    (7, "IP_RETOPTS"), (8, "IP_PKTINFO"), (9, "IP_PKTOPTIONS"), (10, "IP_MTU_DISCOVER"), (11, "IP_RECVERR"),
    (12, "IP_RECVTTL"), (13, "IP_RECVTOS"), (14, "IP_MTU"), (15, "IP_FREEBIND"), (16, "IP_IPSEC_POLICY"),
    (17, "IP_XFRM_POLICY"), (18, "IP_PASSSEC"), (19, "IP_TRANSPARENT"), (20, "IP_ORIGDSTADDR"), (21, "IP_MINTTL"),
    (22, "IP_NODEFRAG"), (23, "IP_CHECKSUM"), (24, "IP_BIND_ADDRESS_NO_PORT"), (25, "IP_RECVFRAGSIZE"),
    (26, "IP_RECVERR_RFC4884"), (32, "IP_MULTICAST_IF"), (33, "IP_MULTICAST_TTL"), (34, "IP_MULTICAST_LOOP"),
    (35, "IP_ADD_MEMBERSHIP"), (36, "IP_DROP_MEMBERSHIP"), (37, "IP_UNBLOCK_SOURCE"), (38, "IP_BLOCK_SOURCE"),
    (39, "IP_ADD_SOURCE_MEMBERSHIP"), (40, "IP_DROP_SOURCE_MEMBERSHIP"), (41, "IP_MSFILTER"),
    (49, "IP_MULTICAST_ALL"), (50, "IP_UNICAST_IF"), (51, "IP_LOCAL_PORT_RANGE"), (52, "IP_PROTOCOL"),
];

/// `linux/in6.h`
#[rustfmt::skip]
const IPV6: Names = &[
    (1, "IPV6_ADDRFORM"), (2, "IPV6_2292PKTINFO"), (3, "IPV6_2292HOPOPTS"), (4, "IPV6_2292DSTOPTS"),
    (5, "IPV6_2292RTHDR"), (6, "IPV6_2292PKTOPTIONS"), (7, "IPV6_CHECKSUM"), (8, "IPV6_2292HOPLIMIT"),
    (9, "IPV6_NEXTHOP"), (10, "IPV6_AUTHHDR"), (11, "IPV6_FLOWINFO"), (16, "IPV6_UNICAST_HOPS"),
    (17, "IPV6_MULTICAST_IF"), (18, "IPV6_MULTICAST_HOPS"), (19, "IPV6_MULTICAST_LOOP"),
    (20, "IPV6_ADD_MEMBERSHIP"), (21, "IPV6_DROP_MEMBERSHIP"), (22, "IPV6_ROUTER_ALERT"),
    (23, "IPV6_MTU_DISCOVER"), (24, "IPV6_MTU"), (25, "IPV6_RECVERR"), (26, "IPV6_V6ONLY"),
    (27, "IPV6_JOIN_ANYCAST"), (28, "IPV6_LEAVE_ANYCAST"), (29, "IPV6_MULTICAST_ALL"),
    (30, "IPV6_ROUTER_ALERT_ISOLATE"), (31, "IPV6_RECVERR_RFC4884"), (32, "IPV6_FLOWLABEL_MGR"),
    (33, "IPV6_FLOWINFO_SEND"), (34, "IPV6_IPSEC_POLICY"), (35, "IPV6_XFRM_POLICY"), (36, "IPV6_HDRINCL"),
    (49, "IPV6_RECVPKTINFO"), (50, "IPV6_PKTINFO"), (51, "IPV6_RECVHOPLIMIT"), (52, "IPV6_HOPLIMIT"),
    (53, "IPV6_RECVHOPOPTS"), (54, "IPV6_HOPOPTS"), (55, "IPV6_RTHDRDSTOPTS"), (56, "IPV6_RECVRTHDR"),
    (57, "IPV6_RTHDR"), (58, "IPV6_RECVDSTOPTS"), (59, "IPV6_DSTOPTS"), (60, "IPV6_RECVPATHMTU"),
    (61, "IPV6_PATHMTU"), (62, "IPV6_DONTFRAG"), (66, "IPV6_RECVTCLASS"), (67, "IPV6_TCLASS"),
    (70, "IPV6_AUTOFLOWLABEL"), (72, "IPV6_ADDR_PREFERENCES"), (73, "IPV6_MINHOPCOUNT"), (74, "IPV6_ORIGDSTADDR"),
    (75, "IPV6_TRANSPARENT"), (76, "IPV6_UNICAST_IF"), (77, "IPV6_RECVFRAGSIZE"), (78, "IPV6_FREEBIND"),
];

/// `linux/udp.h`
#[rustfmt::skip]
const UDP: Names = &[
    (1, "UDP_CORK"), (100, "UDP_ENCAP"), (101, "UDP_NO_CHECK6_TX"), (102, "UDP_NO_CHECK6_RX"),
    (103, "UDP_SEGMENT"), (104, "UDP_GRO"),
];

/// `linux/if_packet.h`
#[rustfmt::skip]
const PACKET: Names = &[
    (1, "PACKET_ADD_MEMBERSHIP"), (2, "PACKET_DROP_MEMBERSHIP"), (3, "PACKET_RECV_OUTPUT"), (5, "PACKET_RX_RING"),
    (6, "PACKET_STATISTICS"), (7, "PACKET_COPY_THRESH"), (8, "PACKET_AUXDATA"), (9, "PACKET_ORIGDEV"),
    (10, "PACKET_VERSION"), (11, "PACKET_HDRLEN"), (12, "PACKET_RESERVE"), (13, "PACKET_TX_RING"),
    (14, "PACKET_LOSS"), (15, "PACKET_VNET_HDR"), (16, "PACKET_TX_TIMESTAMP"), (17, "PACKET_TIMESTAMP"),
    (18, "PACKET_FANOUT"), (19, "PACKET_TX_HAS_OFF"), (20, "PACKET_QDISC_BYPASS"), (21, "PACKET_ROLLOVER_STATS"),
    (22, "PACKET_FANOUT_DATA"), (23, "PACKET_IGNORE_OUTGOING"),
];

/// `linux/netlink.h`
#[rustfmt::skip]
const NETLINK: Names = &[
    (1, "NETLINK_ADD_MEMBERSHIP"), (2, "NETLINK_DROP_MEMBERSHIP"), (3, "NETLINK_PKTINFO"),
    (4, "NETLINK_BROADCAST_ERROR"), (5, "NETLINK_NO_ENOBUFS"), (6, "NETLINK_RX_RING"), (7, "NETLINK_TX_RING"),
    (8, "NETLINK_LISTEN_ALL_NSID"), (9, "NETLINK_LIST_MEMBERSHIPS"), (10, "NETLINK_CAP_ACK"),
    (11, "NETLINK_EXT_ACK"), (12, "NETLINK_GET_STRICT_CHK"),
];

/// Levels of setsockopt(2) (`linux/socket.h`).
#[rustfmt::skip]
const LEVEL: Names = &[
    (0, "SOL_IP"), (1, "SOL_SOCKET"), (6, "SOL_TCP"), (17, "SOL_UDP"), (41, "SOL_IPV6"), (58, "SOL_ICMPV6"),
    (132, "SOL_SCTP"), (136, "SOL_UDPLITE"), (255, "SOL_RAW"), (256, "SOL_IPX"), (257, "SOL_AX25"),
    (258, "SOL_ATALK"), (259, "SOL_NETROM"), (260, "SOL_ROSE"), (261, "SOL_DECNET"), (262, "SOL_X25"),
    (263, "SOL_PACKET"), (264, "SOL_ATM"), (265, "SOL_AAL"), (266, "SOL_IRDA"), (267, "SOL_NETBEUI"),
    (268, "SOL_LLC"), (269, "SOL_DCCP"), (270, "SOL_NETLINK"), (271, "SOL_TIPC"), (272, "SOL_RXRPC"),
    (273, "SOL_PPPOL2TP"), (274, "SOL_BLUETOOTH"), (275, "SOL_PNPIPE"), (276, "SOL_RDS"), (277, "SOL_IUCV"),
    (278, "SOL_CAIF"), (279, "SOL_ALG"), (280, "SOL_NFC"), (281, "SOL_KCM"), (282, "SOL_TLS"), (283, "SOL_XDP"),
];

/// Writes the level.
pub(super) fn level(out: &mut String, level: u64) {
    text::one_of(out, level, LEVEL, "SOL_??");
}

/// Writes the option's name.
pub(super) fn option(out: &mut String, level: u64, option: u64) {
    let (names, unknown) = match level {
        SOL_SOCKET => (SO, "SO_???"),
        SOL_IP => (IP, "IP_???"),
        6 => (TCP, "TCP_???"),
        17 => (UDP, "UDP_???"),
        SOL_IPV6 => (IPV6, "IPV6_???"),
        263 => (PACKET, "PACKET_???"),
        270 => (NETLINK, "NETLINK_???"),
        _ => {
            let _ = write!(out, "{option}");
            return;
        }
    };
    text::one_of(out, option, names, unknown);
}

/// What a value is.
enum Shape {
    /// An `int`, or bytes where it is not as long as one.
    Default,
    /// An `int`, where it is at least as long as one.
    Int,
    /// Bytes.
    Bytes,
    Linger,
    Credentials,
    Filter,
    Membership,
    Membership6,
}

fn shape(level: u64, option: u64) -> Shape {
    match (level, option) {
        (SOL_SOCKET, 13) => Shape::Linger,
        (SOL_SOCKET, 17) => Shape::Credentials,
        (SOL_SOCKET, 26 | 51) => Shape::Filter,
        (SOL_SOCKET, 20 | 21 | 25 | 31 | 66 | 67) => Shape::Bytes,
        (SOL_SOCKET, 1..=12 | 14..=16 | 18 | 19 | 32 | 33) => Shape::Int,
        (SOL_IP, 35 | 36) => Shape::Membership,
        (SOL_IPV6, 20 | 21 | 27 | 28) => Shape::Membership6,
        _ => Shape::Default,
    }
}

/// Writes a value of `full` bytes of which `data` was read; false, and nothing written, where it doesn't have the shape
/// of the option. `set` is true for setsockopt, which never prints half a structure.
pub(super) fn value(
    out: &mut String,
    level: u64,
    option: u64,
    data: &[u8],
    full: u64,
    set: bool,
    limit: u32,
) -> bool {
    let int = |out: &mut String| i32_at(data, 0).map(|v| write!(out, "[{v}]"));
    match shape(level, option) {
        // What getsockopt returns of an option may be shorter than its int: then it is bytes.
        Shape::Int if set || full >= 4 => int(out).is_some(),
        Shape::Default if full == 4 => int(out).is_some(),
        Shape::Int | Shape::Default | Shape::Bytes => {
            text::quoted(out, data, full, limit, false);
            true
        }
        Shape::Linger if !set || full >= 8 => fields(out, data, &["l_onoff", "l_linger"]),
        Shape::Credentials if !set || full >= 12 => fields(out, data, &["pid", "uid", "gid"]),
        Shape::Filter if set => filter(out, data).is_some(),
        Shape::Filter => {
            text::quoted(out, data, full, limit, false);
            true
        }
        Shape::Membership => membership(out, data).is_some(),
        Shape::Membership6 => membership6(out, data).is_some(),
        Shape::Linger | Shape::Credentials => false,
    }
}

/// `{a=1, b=2}`, as many `int`s as there are.
fn fields(out: &mut String, data: &[u8], names: &[&str]) -> bool {
    let mut separator = "{";
    for (i, name) in names.iter().enumerate() {
        let Some(v) = i32_at(data, i * 4) else { break };
        let _ = write!(out, "{separator}{name}={v}");
        separator = ", ";
    }
    let any = separator == ", ";
    if any {
        out.push('}');
    }
    any
}

/// `struct sock_fprog` (`linux/filter.h`).
fn filter(out: &mut String, data: &[u8]) -> Option<()> {
    let (len, filter) = (u16_at(data, 0)?, u64_at(data, 8)?);
    let _ = write!(out, "{{len={len}, filter=");
    text::address(out, filter);
    out.push('}');
    Some(())
}

/// `struct ip_mreq` (`linux/in.h`).
fn membership(out: &mut String, data: &[u8]) -> Option<()> {
    let (group, interface) = (be32_at(data, 0)?, be32_at(data, 4)?);
    out.push_str("{imr_multiaddr=");
    inet_addr(out, group);
    out.push_str(", imr_interface=");
    inet_addr(out, interface);
    out.push('}');
    Some(())
}

/// `struct ipv6_mreq` (`linux/in6.h`).
fn membership6(out: &mut String, data: &[u8]) -> Option<()> {
    let interface = u32_at(data, 16)?;
    out.push('{');
    inet_pton6(out, data, "ipv6mr_multiaddr")?;
    let _ = write!(out, ", ipv6mr_interface={interface}}}");
    Some(())
}
