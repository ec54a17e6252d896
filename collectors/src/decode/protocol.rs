//! The headers of a frame by name, and who is told of them.

use std::net::IpAddr;

use tracenet_core::ip::IpFacts;

use super::{Layer, LinkType};

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
    /// BSD loopback.
    Null = "null",
    /// OpenBSD loopback.
    Loop = "loop",
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
}

impl Protocol {
    /// The outermost header of a frame of that link type.
    pub fn of_link(link: LinkType) -> Option<Self> {
        Some(match link {
            LinkType::Null => Self::Null,
            LinkType::Ethernet => Self::Ethernet,
            LinkType::Ppp => Self::Ppp,
            LinkType::Raw | LinkType::Ipv4 | LinkType::Ipv6 => Self::Raw,
            LinkType::Fddi => Self::Fddi,
            LinkType::Wlan => Self::Wlan,
            LinkType::Radiotap => Self::Radiotap,
            LinkType::Loop => Self::Loop,
            LinkType::LinuxSll | LinkType::LinuxSll2 => Self::Sll,
            LinkType::Other(_) => return None,
        })
    }

    /// Of an IP packet's upper protocol by its number, where it has a name here.
    pub(super) fn of_ip(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Icmp,
            2 => Self::Igmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            47 => Self::Gre,
            50 => Self::Esp,
            51 => Self::Ah,
            58 => Self::Icmpv6,
            132 => Self::Sctp,
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

/// Nobody.
impl Visit for () {}

/// Whoever wants the transport headers only.
impl<F: FnMut(&Layer)> Visit for F {
    #[inline]
    fn transport(&mut self, layer: &Layer) {
        self(layer);
    }
}
