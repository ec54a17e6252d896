//! The headers of a frame by name, and who is told of them.

use std::net::IpAddr;

use tracenet_core::ip::IpFacts;

use super::{Layer, LinkType, Undecoded};

macro_rules! protocols {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A protocol whose header the walk through a frame passes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Protocol {
            $($(#[$doc])* $name,)*
        }

        impl Protocol {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in Wireshark's display filters.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

protocols! {
    /// Ethernet II, or IEEE 802.3.
    Ethernet = "eth",
    /// IEEE 802.1Q or 802.1ad tag: after the type that announces it.
    Vlan = "vlan",
    /// IEEE 802.2 logical link control.
    Llc = "llc",
    /// A label stack entry (RFC 3032).
    Mpls = "mpls",
    /// PPP over Ethernet, session stage (RFC 2516).
    Pppoe = "pppoes",
    /// PPP (RFC 1661).
    Ppp = "ppp",
    /// Linux cooked capture, either version.
    Sll = "sll",
    /// BSD loopback, OpenBSD's too.
    Null = "null",
    /// No link header.
    Raw = "raw",
    /// FDDI.
    Fddi = "fddi",
    /// IEEE 802.11.
    Wlan = "wlan",
    /// Radiotap.
    Radiotap = "radiotap",
    /// RFC 826.
    Arp = "arp",
    /// RFC 791.
    Ipv4 = "ip",
    /// RFC 8200, with its extension headers.
    Ipv6 = "ipv6",
    /// RFC 792.
    Icmp = "icmp",
    /// RFC 4443.
    Icmpv6 = "icmpv6",
    /// RFC 3376.
    Igmp = "igmp",
    /// RFC 2784.
    Gre = "gre",
    /// ERSPAN, any type.
    Erspan = "erspan",
    /// IPsec authentication header (RFC 4302).
    Ah = "ah",
    /// IPsec encapsulating security payload (RFC 4303).
    Esp = "esp",
    /// RFC 9260.
    Sctp = "sctp",
    /// RFC 9293.
    Tcp = "tcp",
    /// RFC 768.
    Udp = "udp",
    /// RFC 7348.
    Vxlan = "vxlan",
    /// RFC 8926.
    Geneve = "geneve",
    /// GTP, user plane (3GPP TS 29.281).
    Gtp = "gtp",
    /// RFC 4380.
    Teredo = "teredo",
    /// RFC 9300, data.
    LispData = "lisp-data",
    /// IEEE 802.1ad service tag.
    ServiceVlan = "ieee8021ad",
    /// PPP over Ethernet, discovery stage.
    PppoeDiscovery = "pppoed",
    /// Ethernet pseudowire: that there is a control word (RFC 4448).
    PseudowireCw = "pweth.cw",
    /// The control word of an Ethernet pseudowire.
    PseudowireCwBody = "pwethcw",
    /// Metadata of an 802.11 frame, which radiotap tells.
    WlanRadio = "wlan_radio",
    /// Body of an 802.11 management frame.
    WlanManagement = "wlan.mgt",
    /// Aggregated 802.11 frames.
    WlanAggregate = "wlan_aggregate",
    /// Configuration testing protocol of DIX Ethernet.
    Loop = "loop",
    /// IEEE 802.1X.
    Eapol = "eapol",
    /// IEEE 802.1AB.
    Lldp = "lldp",
    /// IEEE 802.3 slow protocols.
    Slow = "slow",
    /// Link aggregation control (IEEE 802.1AX).
    Lacp = "lacp",
    /// Precision time (IEEE 1588).
    Ptp = "ptp",
    /// Wake-on-LAN.
    Wol = "wol",
    /// IEEE 802.1AE.
    Macsec = "macsec",
    /// Spanning tree (IEEE 802.1D).
    Stp = "stp",
    /// Cisco discovery.
    Cdp = "cdp",
    /// Cisco VLAN trunking.
    Vtp = "vtp",
    /// Cisco dynamic trunking.
    Dtp = "dtp",
    /// Cisco unidirectional link detection.
    Udld = "udld",
    /// NetBIOS over LLC.
    Netbios = "netbios",
    /// Novell.
    Ipx = "ipx",
    /// ISO 10589.
    Isis = "isis",
    /// ISO 10589: who is there.
    IsisHello = "isis.hello",
    /// ISO 10589: link states.
    IsisLsp = "isis.lsp",
    /// ISO 10589: all sequence numbers.
    IsisCsnp = "isis.csnp",
    /// ISO 10589: some sequence numbers.
    IsisPsnp = "isis.psnp",
    /// PPP link control (RFC 1661).
    Lcp = "lcp",
    /// PPP password authentication (RFC 1334).
    Pap = "pap",
    /// PPP challenge handshake (RFC 1994).
    Chap = "chap",
    /// PPP and IPv4 (RFC 1332).
    Ipcp = "ipcp",
    /// PPP and IPv6 (RFC 5072).
    Ipv6cp = "ipv6cp",
    /// PPP compression control (RFC 1962).
    Ccp = "ccp",
    /// PPP, compressed.
    CompressedData = "comp_data",
    /// RFC 2328, RFC 5340.
    Ospf = "ospf",
    /// RFC 7868.
    Eigrp = "eigrp",
    /// RFC 7761.
    Pim = "pim",
    /// RFC 5798.
    Vrrp = "vrrp",
    /// RFC 2205.
    Rsvp = "rsvp",
    /// RFC 3378.
    EtherIp = "etherip",
    /// RFC 2332.
    Nhrp = "nhrp",
    /// RFC 3173.
    Ipcomp = "ipcomp",
    /// RFC 4340.
    Dccp = "dccp",
    /// RFC 3828.
    Udplite = "udplite",
    /// RFC 3208.
    Pgm = "pgm",
    /// RFC 7401.
    Hip = "hip",
    /// RFC 2661, RFC 3931.
    L2tp = "l2tp",
    /// RFC 3948.
    UdpEncap = "udpencap",
    /// IKE (RFC 7296).
    Isakmp = "isakmp",
    /// Bytes that nothing tells the meaning of.
    Data = "data",
    /// What follows was not captured.
    Short = "_ws.short",
    /// The packet ends before what its headers tell of.
    Malformed = "_ws.malformed",
}

impl Protocol {
    /// The outermost header of a frame of that link type.
    pub fn of_link(link: LinkType) -> Option<Self> {
        Some(match link {
            LinkType::Null | LinkType::Loop => Self::Null,
            LinkType::Ethernet => Self::Ethernet,
            LinkType::Ppp => Self::Ppp,
            LinkType::Raw => Self::Raw,
            LinkType::Fddi => Self::Fddi,
            LinkType::Wlan => Self::Wlan,
            LinkType::Radiotap => Self::Radiotap,
            LinkType::LinuxSll | LinkType::LinuxSll2 => Self::Sll,
            LinkType::Ipv4 | LinkType::Ipv6 | LinkType::Other(_) => return None,
        })
    }

    /// Bytes of a header that must have been captured for it to be told; with less, the way ends at what is around
    /// it. As seen of tshark 4.0, which looks at so many before it calls the header by its name.
    pub(super) const fn least(self) -> usize {
        match self {
            Self::Ethernet => 14,
            Self::Sll | Self::Null | Self::Radiotap | Self::Mpls => 4,
            Self::Tcp | Self::Udp | Self::Gre => 4,
            Self::Pppoe | Self::Icmp => 6,
            Self::Arp | Self::Wlan | Self::Igmp | Self::Vlan | Self::ServiceVlan | Self::Gtp => 2,
            Self::Llc | Self::Ipv4 | Self::Isis | Self::Teredo => 1,
            Self::IsisHello | Self::IsisLsp | Self::IsisCsnp | Self::IsisPsnp => 9,
            Self::PseudowireCw => 9,
            Self::Eigrp => 16,
            _ => 0,
        }
    }

    /// Bytes that its fixed part has: what is shorter was cut.
    pub(super) fn fixed(self, b: &[u8]) -> usize {
        match self {
            // Two pairs of addresses, whose lengths it tells.
            Self::Arp => b.get(4..6).map_or(8, |len| 8 + 2 * (usize::from(len[0]) + usize::from(len[1]))),
            Self::Icmp | Self::Igmp => 8,
            Self::Eigrp => 20,
            _ => 0,
        }
    }

    /// Of an IP packet's upper protocol by its number, where it has a name here.
    pub(super) fn of_ip(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Icmp,
            2 => Self::Igmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            33 => Self::Dccp,
            46 => Self::Rsvp,
            47 => Self::Gre,
            50 => Self::Esp,
            51 => Self::Ah,
            54 => Self::Nhrp,
            58 => Self::Icmpv6,
            88 => Self::Eigrp,
            89 => Self::Ospf,
            97 => Self::EtherIp,
            103 => Self::Pim,
            108 => Self::Ipcomp,
            112 => Self::Vrrp,
            113 => Self::Pgm,
            115 => Self::L2tp,
            132 => Self::Sctp,
            136 => Self::Udplite,
            139 => Self::Hip,
            _ => return None,
        })
    }

    /// Of an Ethernet type that is no way to IP, where it has a name here.
    pub(super) fn of_ether_type(kind: u16) -> Option<Self> {
        Some(match kind {
            // RARP (RFC 903) has the same header.
            0x0806 | 0x8035 => Self::Arp,
            0x0842 => Self::Wol,
            0x8137 => Self::Ipx,
            0x8809 => Self::Slow,
            0x8863 => Self::PppoeDiscovery,
            0x888e | 0x88c7 => Self::Eapol,
            0x88cc => Self::Lldp,
            0x88e5 => Self::Macsec,
            0x88f7 => Self::Ptp,
            0x9000 => Self::Loop,
            _ => return None,
        })
    }

    /// Of a PPP protocol that is no way to IP, where it has a name here.
    pub(super) fn of_ppp(number: u16) -> Option<Self> {
        Some(match number {
            0x00fd => Self::CompressedData,
            0x8021 => Self::Ipcp,
            0x8057 => Self::Ipv6cp,
            0x80fd => Self::Ccp,
            0xc021 => Self::Lcp,
            0xc023 => Self::Pap,
            0xc223 => Self::Chap,
            _ => return None,
        })
    }
}

/// An IP packet, or a fragment of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpPacket {
    /// Where it came from.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// The rest of its header.
    pub facts: IpFacts,
    /// Quoted in an ICMP error.
    pub quoted: bool,
}

/// Told of the headers of a frame on the way through it, from the outside in. What an ICMP error quotes is told, too.
pub trait Visit {
    /// A header begins. `bytes` are from there to the end of what was captured of the layer: padding behind an IP
    /// packet is not in them. They may be fewer than the header has.
    #[inline]
    fn header(&mut self, protocol: Protocol, bytes: &[u8]) {
        let _ = (protocol, bytes);
    }

    /// An IP header was decoded: of a whole packet, and of each fragment.
    #[inline]
    fn ip(&mut self, packet: &IpPacket) {
        let _ = packet;
    }

    /// A TCP or UDP header was decoded. Its [`Visit::header`] came before.
    #[inline]
    fn transport(&mut self, layer: &Layer) {
        let _ = layer;
    }
}

/// Tells of a header, if enough of it was captured.
#[inline]
pub(super) fn tell(visit: &mut impl Visit, protocol: Protocol, b: &[u8]) -> Result<(), Undecoded> {
    if b.len() < protocol.least() {
        return Err(Undecoded::Cut);
    }
    visit.header(protocol, b);
    Ok(())
}

/// Tells of a header that nothing is looked for in.
pub(super) fn tell_last(visit: &mut impl Visit, protocol: Protocol, b: &[u8]) -> Result<(), Undecoded> {
    tell(visit, protocol, b)?;
    if b.len() < protocol.fixed(b) { Err(Undecoded::Cut) } else { Ok(()) }
}

/// Nobody.
impl Visit for () {}

/// Whoever wants the transport headers only.
impl<F: FnMut(&Layer)> Visit for F {
    #[inline]
    fn transport(&mut self, layer: &Layer) {
        self(layer);
    }
}
