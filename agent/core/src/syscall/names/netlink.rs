//! Names of netlink messages (`linux/netlink.h`, `linux/rtnetlink.h`, `linux/if_addr.h`, `linux/if_link.h`).

use crate::syscall::text::Names;

/// Messages of every protocol.
#[rustfmt::skip]
pub(in crate::syscall) const NLMSG: Names = &[
    (1, "NLMSG_NOOP"), (2, "NLMSG_ERROR"), (3, "NLMSG_DONE"), (4, "NLMSG_OVERRUN"),
];

/// Flags of every message.
#[rustfmt::skip]
pub(in crate::syscall) const NLM_F: Names = &[
    (0x1, "NLM_F_REQUEST"), (0x2, "NLM_F_MULTI"), (0x4, "NLM_F_ACK"), (0x8, "NLM_F_ECHO"), (0x10, "NLM_F_DUMP_INTR"),
    (0x20, "NLM_F_DUMP_FILTERED"),
];

/// Further flags of those that ask.
#[rustfmt::skip]
pub(in crate::syscall) const NLM_F_GET: Names = &[
    (0x300, "NLM_F_DUMP"), (0x100, "NLM_F_ROOT"), (0x200, "NLM_F_MATCH"), (0x400, "NLM_F_ATOMIC"),
];

/// Further flags of those that make.
#[rustfmt::skip]
pub(in crate::syscall) const NLM_F_NEW: Names = &[
    (0x100, "NLM_F_REPLACE"), (0x200, "NLM_F_EXCL"), (0x400, "NLM_F_CREATE"), (0x800, "NLM_F_APPEND"),
];

/// Further flags of answers.
#[rustfmt::skip]
pub(in crate::syscall) const NLM_F_ERROR: Names = &[
    (0x100, "NLM_F_CAPPED"), (0x200, "NLM_F_ACK_TLVS"),
];

/// Messages of NETLINK_ROUTE.
#[rustfmt::skip]
pub(in crate::syscall) const RTM: Names = &[
    (16, "RTM_NEWLINK"), (17, "RTM_DELLINK"), (18, "RTM_GETLINK"), (19, "RTM_SETLINK"), (20, "RTM_NEWADDR"),
    (21, "RTM_DELADDR"), (22, "RTM_GETADDR"), (24, "RTM_NEWROUTE"), (25, "RTM_DELROUTE"), (26, "RTM_GETROUTE"),
    (28, "RTM_NEWNEIGH"), (29, "RTM_DELNEIGH"), (30, "RTM_GETNEIGH"), (32, "RTM_NEWRULE"), (33, "RTM_DELRULE"),
    (34, "RTM_GETRULE"), (36, "RTM_NEWQDISC"), (37, "RTM_DELQDISC"), (38, "RTM_GETQDISC"), (40, "RTM_NEWTCLASS"),
    (41, "RTM_DELTCLASS"), (42, "RTM_GETTCLASS"), (44, "RTM_NEWTFILTER"), (45, "RTM_DELTFILTER"),
    (46, "RTM_GETTFILTER"), (48, "RTM_NEWACTION"), (49, "RTM_DELACTION"), (50, "RTM_GETACTION"),
    (52, "RTM_NEWPREFIX"), (58, "RTM_GETMULTICAST"), (62, "RTM_GETANYCAST"), (64, "RTM_NEWNEIGHTBL"),
    (66, "RTM_GETNEIGHTBL"), (67, "RTM_SETNEIGHTBL"), (68, "RTM_NEWNDUSEROPT"), (72, "RTM_NEWADDRLABEL"),
    (73, "RTM_DELADDRLABEL"), (74, "RTM_GETADDRLABEL"), (78, "RTM_GETDCB"), (79, "RTM_SETDCB"),
    (80, "RTM_NEWNETCONF"), (81, "RTM_DELNETCONF"), (82, "RTM_GETNETCONF"), (84, "RTM_NEWMDB"), (85, "RTM_DELMDB"),
    (86, "RTM_GETMDB"), (88, "RTM_NEWNSID"), (89, "RTM_DELNSID"), (90, "RTM_GETNSID"), (92, "RTM_NEWSTATS"),
    (94, "RTM_GETSTATS"), (95, "RTM_SETSTATS"), (96, "RTM_NEWCACHEREPORT"), (100, "RTM_NEWCHAIN"),
    (101, "RTM_DELCHAIN"), (102, "RTM_GETCHAIN"), (104, "RTM_NEWNEXTHOP"), (105, "RTM_DELNEXTHOP"),
    (106, "RTM_GETNEXTHOP"), (108, "RTM_NEWLINKPROP"), (109, "RTM_DELLINKPROP"), (110, "RTM_GETLINKPROP"),
    (112, "RTM_NEWVLAN"), (113, "RTM_DELVLAN"), (114, "RTM_GETVLAN"), (116, "RTM_NEWNEXTHOPBUCKET"),
    (117, "RTM_DELNEXTHOPBUCKET"), (118, "RTM_GETNEXTHOPBUCKET"), (120, "RTM_NEWTUNNEL"), (121, "RTM_DELTUNNEL"),
    (122, "RTM_GETTUNNEL"),
];

/// Attributes of links.
#[rustfmt::skip]
pub(in crate::syscall) const IFLA: Names = &[
    (0, "IFLA_UNSPEC"), (1, "IFLA_ADDRESS"), (2, "IFLA_BROADCAST"), (3, "IFLA_IFNAME"), (4, "IFLA_MTU"),
    (5, "IFLA_LINK"), (6, "IFLA_QDISC"), (7, "IFLA_STATS"), (8, "IFLA_COST"), (9, "IFLA_PRIORITY"),
    (10, "IFLA_MASTER"), (11, "IFLA_WIRELESS"), (12, "IFLA_PROTINFO"), (13, "IFLA_TXQLEN"), (14, "IFLA_MAP"),
    (15, "IFLA_WEIGHT"), (16, "IFLA_OPERSTATE"), (17, "IFLA_LINKMODE"), (18, "IFLA_LINKINFO"),
    (19, "IFLA_NET_NS_PID"), (20, "IFLA_IFALIAS"), (21, "IFLA_NUM_VF"), (22, "IFLA_VFINFO_LIST"),
    (23, "IFLA_STATS64"), (24, "IFLA_VF_PORTS"), (25, "IFLA_PORT_SELF"), (26, "IFLA_AF_SPEC"), (27, "IFLA_GROUP"),
    (28, "IFLA_NET_NS_FD"), (29, "IFLA_EXT_MASK"), (30, "IFLA_PROMISCUITY"), (31, "IFLA_NUM_TX_QUEUES"),
    (32, "IFLA_NUM_RX_QUEUES"), (33, "IFLA_CARRIER"), (34, "IFLA_PHYS_PORT_ID"), (35, "IFLA_CARRIER_CHANGES"),
    (36, "IFLA_PHYS_SWITCH_ID"), (37, "IFLA_LINK_NETNSID"), (38, "IFLA_PHYS_PORT_NAME"), (39, "IFLA_PROTO_DOWN"),
    (40, "IFLA_GSO_MAX_SEGS"), (41, "IFLA_GSO_MAX_SIZE"), (42, "IFLA_PAD"), (43, "IFLA_XDP"), (44, "IFLA_EVENT"),
    (45, "IFLA_NEW_NETNSID"), (46, "IFLA_IF_NETNSID"), (47, "IFLA_CARRIER_UP_COUNT"), (48, "IFLA_CARRIER_DOWN_COUNT"),
    (49, "IFLA_NEW_IFINDEX"), (50, "IFLA_MIN_MTU"), (51, "IFLA_MAX_MTU"), (52, "IFLA_PROP_LIST"),
    (53, "IFLA_ALT_IFNAME"), (54, "IFLA_PERM_ADDRESS"), (55, "IFLA_PROTO_DOWN_REASON"), (56, "IFLA_PARENT_DEV_NAME"),
    (57, "IFLA_PARENT_DEV_BUS_NAME"), (58, "IFLA_GRO_MAX_SIZE"), (59, "IFLA_TSO_MAX_SIZE"), (60, "IFLA_TSO_MAX_SEGS"),
    (61, "IFLA_ALLMULTI"),
];

/// Attributes of addresses.
#[rustfmt::skip]
pub(in crate::syscall) const IFA: Names = &[
    (0, "IFA_UNSPEC"), (1, "IFA_ADDRESS"), (2, "IFA_LOCAL"), (3, "IFA_LABEL"), (4, "IFA_BROADCAST"),
    (5, "IFA_ANYCAST"), (6, "IFA_CACHEINFO"), (7, "IFA_MULTICAST"), (8, "IFA_FLAGS"), (9, "IFA_RT_PRIORITY"),
    (10, "IFA_TARGET_NETNSID"), (11, "IFA_PROTO"),
];

/// Flags of addresses.
#[rustfmt::skip]
pub(in crate::syscall) const IFA_F: Names = &[
    (0x1, "IFA_F_SECONDARY"), (0x2, "IFA_F_NODAD"), (0x4, "IFA_F_OPTIMISTIC"), (0x8, "IFA_F_DADFAILED"), (0x20, "IFA_F_DEPRECATED"),
    (0x40, "IFA_F_TENTATIVE"), (0x80, "IFA_F_PERMANENT"), (0x100, "IFA_F_MANAGETEMPADDR"),
    (0x200, "IFA_F_NOPREFIXROUTE"), (0x400, "IFA_F_MCAUTOJOIN"),
];

/// Attributes of routes.
#[rustfmt::skip]
pub(in crate::syscall) const RTA: Names = &[
    (0, "RTA_UNSPEC"), (1, "RTA_DST"), (2, "RTA_SRC"), (3, "RTA_IIF"), (4, "RTA_OIF"), (5, "RTA_GATEWAY"),
    (6, "RTA_PRIORITY"), (7, "RTA_PREFSRC"), (8, "RTA_METRICS"), (9, "RTA_MULTIPATH"), (10, "RTA_PROTOINFO"),
    (11, "RTA_FLOW"), (12, "RTA_CACHEINFO"), (13, "RTA_SESSION"), (14, "RTA_MP_ALGO"), (15, "RTA_TABLE"),
    (16, "RTA_MARK"), (17, "RTA_MFC_STATS"), (18, "RTA_VIA"), (19, "RTA_NEWDST"), (20, "RTA_PREF"),
    (21, "RTA_ENCAP_TYPE"), (22, "RTA_ENCAP"), (23, "RTA_EXPIRES"), (24, "RTA_PAD"), (25, "RTA_UID"),
    (26, "RTA_TTL_PROPAGATE"), (27, "RTA_IP_PROTO"), (28, "RTA_SPORT"), (29, "RTA_DPORT"), (30, "RTA_NH_ID"),
];

/// Who made a route.
#[rustfmt::skip]
pub(in crate::syscall) const RTPROT: Names = &[
    (0, "RTPROT_UNSPEC"), (1, "RTPROT_REDIRECT"), (2, "RTPROT_KERNEL"), (3, "RTPROT_BOOT"), (4, "RTPROT_STATIC"),
    (8, "RTPROT_GATED"), (9, "RTPROT_RA"), (10, "RTPROT_MRT"), (11, "RTPROT_ZEBRA"), (12, "RTPROT_BIRD"),
    (13, "RTPROT_DNROUTED"), (14, "RTPROT_XORP"), (15, "RTPROT_NTK"), (16, "RTPROT_DHCP"), (17, "RTPROT_MROUTED"),
    (18, "RTPROT_KEEPALIVED"), (42, "RTPROT_BABEL"), (99, "RTPROT_OPENR"), (186, "RTPROT_BGP"), (187, "RTPROT_ISIS"),
    (188, "RTPROT_OSPF"), (189, "RTPROT_RIP"), (192, "RTPROT_EIGRP"),
];

/// Types of routes.
#[rustfmt::skip]
pub(in crate::syscall) const RTN: Names = &[
    (0, "RTN_UNSPEC"), (1, "RTN_UNICAST"), (2, "RTN_LOCAL"), (3, "RTN_BROADCAST"), (4, "RTN_ANYCAST"),
    (5, "RTN_MULTICAST"), (6, "RTN_BLACKHOLE"), (7, "RTN_UNREACHABLE"), (8, "RTN_PROHIBIT"), (9, "RTN_THROW"),
    (10, "RTN_NAT"), (11, "RTN_XRESOLVE"),
];

/// Scopes.
#[rustfmt::skip]
pub(in crate::syscall) const RT_SCOPE: Names = &[
    (0, "RT_SCOPE_UNIVERSE"), (200, "RT_SCOPE_SITE"), (253, "RT_SCOPE_LINK"), (254, "RT_SCOPE_HOST"),
    (255, "RT_SCOPE_NOWHERE"),
];

/// Routing tables.
#[rustfmt::skip]
pub(in crate::syscall) const RT_TABLE: Names = &[
    (0, "RT_TABLE_UNSPEC"), (252, "RT_TABLE_COMPAT"), (253, "RT_TABLE_DEFAULT"), (254, "RT_TABLE_MAIN"),
    (255, "RT_TABLE_LOCAL"),
];

/// Flags of routes.
#[rustfmt::skip]
pub(in crate::syscall) const RTM_F: Names = &[
    (0x100, "RTM_F_NOTIFY"), (0x200, "RTM_F_CLONED"), (0x400, "RTM_F_EQUALIZE"), (0x800, "RTM_F_PREFIX"),
    (0x1000, "RTM_F_LOOKUP_TABLE"), (0x2000, "RTM_F_FIB_MATCH"),
];

/// What a list of links is to hold.
#[rustfmt::skip]
pub(in crate::syscall) const RTEXT_FILTER: Names = &[
    (0x1, "RTEXT_FILTER_VF"), (0x2, "RTEXT_FILTER_BRVLAN"), (0x4, "RTEXT_FILTER_BRVLAN_COMPRESSED"),
    (0x8, "RTEXT_FILTER_SKIP_STATS"), (0x10, "RTEXT_FILTER_MRP"), (0x20, "RTEXT_FILTER_CFM_CONFIG"),
    (0x40, "RTEXT_FILTER_CFM_STATUS"),
];
