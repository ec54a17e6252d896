//! Everything that the kernel and the drivers say of the interfaces of a network namespace: what ifconfig(8), `ip -s addr`
//! and ethtool(8) show, read by rtnetlink(7) and ethtool's ioctl.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkMessage, Stats64};
use serde::{Serialize, Serializer};

use super::ethtool::{self, Link, Offloads, Rings};
use super::netlink::dump;

/// Interfaces told at most.
const INTERFACES_MAX: usize = 65_536;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The interface's own.
    pub ip: IpAddr,
    /// Length of the network part in bits.
    pub prefix: u8,
    /// `global`, `link`, `host`, `site`, `nowhere` or a number, as ip(8) says it.
    pub scope: String,
    /// The other end's, on a point-to-point link.
    pub peer: Option<IpAddr>,
}

/// Counters of an interface since it was made (`struct rtnl_link_stats64`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Bytes, link-layer headers included.
    pub bytes: u64,
    /// Socket buffers: with segmentation offload several packets of the wire each.
    pub packets: u64,
    /// Bad ones.
    pub errors: u64,
    /// Good ones that nobody had room for.
    pub dropped: u64,
    /// FIFO of the card or the driver too full or too empty.
    pub fifo_errors: u64,
}

/// An interface with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Details {
    /// Kernel's index, unique within its namespace.
    pub index: u32,
    /// Name, as ip(8) shows it.
    pub name: String,
    /// `UP`, `LOWER_UP` ..., ip(8)'s names.
    pub flags: Vec<&'static str>,
    /// `UP`, `DOWN`, `UNKNOWN` ... (RFC 2863).
    pub state: &'static str,
    /// Bytes of the largest packet, without the link-layer header.
    pub mtu: u32,
    /// Packets that may wait in the queue before the driver.
    pub tx_queue_len: u32,
    /// Hardware address, as `02:00:00:00:00:01`; empty where it has none.
    pub mac: String,
    /// Kind of its root queueing discipline.
    pub qdisc: String,
    /// IPv4 first, each in the kernel's order.
    pub addresses: Vec<Address>,
    /// Received.
    pub rx: Counters,
    /// Sent.
    pub tx: Counters,
    /// Received packets to a group.
    pub multicast: u64,
    /// Received packets that the card lost because its ring was full.
    pub rx_over_errors: u64,
    /// Received packets that the card lost for want of buffers of the host's.
    pub rx_missed_errors: u64,
    /// Received packets of a wrong length or alignment.
    pub rx_frame_errors: u64,
    /// Received packets whose checksum at the link layer is wrong.
    pub rx_crc_errors: u64,
    /// Losses of the carrier while sending.
    pub tx_carrier_errors: u64,
    /// Collisions while sending.
    pub collisions: u64,
    /// Driver.
    pub driver: Option<String>,
    /// Speed and duplex.
    pub link: Link,
    /// Offloads.
    pub offloads: Offloads,
    /// Rings.
    pub rings: Option<Rings>,
    /// The driver's own counters.
    #[serde(serialize_with = "as_map")]
    pub driver_counters: Vec<(String, u64)>,
}

fn as_map<S: Serializer>(counters: &[(String, u64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(counters.iter().map(|(name, value)| (name, value)))
}

/// All interfaces of the calling thread's namespace, by index.
///
/// # Errors
/// What netlink says.
pub fn all() -> io::Result<Vec<Details>> {
    let mut found = BTreeMap::new();
    for message in dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
        if let RouteNetlinkMessage::NewLink(link) = message
            && found.len() < INTERFACES_MAX
        {
            found.insert(link.header.index, of_link(&link));
        }
    }
    for message in dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        if let RouteNetlinkMessage::NewAddress(address) = message
            && let Some(details) = found.get_mut(&address.header.index)
        {
            details.addresses.extend(of_address(&address));
        }
    }
    let socket = ethtool::Socket::open()?;
    for d in found.values_mut() {
        d.addresses.sort_by_key(|a| a.ip.is_ipv6());
        d.driver = socket.driver(&d.name);
        d.link = socket.link(&d.name).unwrap_or_default();
        d.offloads = socket.offloads(&d.name);
        d.rings = socket.rings(&d.name);
        d.driver_counters = socket.statistics(&d.name);
    }
    Ok(found.into_values().collect())
}

fn of_link(link: &LinkMessage) -> Details {
    let mut d = Details {
        index: link.header.index,
        flags: flags(link.header.flags.bits()),
        state: "UNKNOWN",
        ..Details::default()
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => d.name.clone_from(name),
            LinkAttribute::Mtu(n) => d.mtu = *n,
            LinkAttribute::TxQueueLen(n) => d.tx_queue_len = *n,
            LinkAttribute::Qdisc(name) => d.qdisc.clone_from(name),
            LinkAttribute::Address(bytes) => d.mac = hexadecimal(bytes),
            LinkAttribute::OperState(state) => d.state = state_name((*state).into()),
            LinkAttribute::Stats64(s) => count(&mut d, s),
            _ => {}
        }
    }
    d
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

fn count(d: &mut Details, s: &Stats64) {
    d.rx = Counters {
        bytes: s.rx_bytes,
        packets: s.rx_packets,
        errors: s.rx_errors,
        dropped: s.rx_dropped,
        fifo_errors: s.rx_fifo_errors,
    };
    d.tx = Counters {
        bytes: s.tx_bytes,
        packets: s.tx_packets,
        errors: s.tx_errors,
        dropped: s.tx_dropped,
        fifo_errors: s.tx_fifo_errors,
    };
    d.multicast = s.multicast;
    d.rx_over_errors = s.rx_over_errors;
    d.rx_missed_errors = s.rx_missed_errors;
    d.rx_frame_errors = s.rx_frame_errors.saturating_add(s.rx_length_errors);
    d.rx_crc_errors = s.rx_crc_errors;
    d.tx_carrier_errors = s.tx_carrier_errors;
    d.collisions = s.collisions;
}

/// Where both are there, IFA_LOCAL is the interface's own and IFA_ADDRESS the peer's (net/ipv4/devinet.c).
fn of_address(a: &AddressMessage) -> Option<Address> {
    let (mut address, mut local) = (None, None);
    for attribute in &a.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            _ => {}
        }
    }
    let ip = local.or(address)?;
    let scope = match u8::from(a.header.scope) {
        0 => "global".into(),
        200 => "site".into(),
        253 => "link".into(),
        254 => "host".into(),
        255 => "nowhere".into(),
        other => other.to_string(),
    };
    Some(Address { ip, prefix: a.header.prefix_len, scope, peer: address.filter(|peer| *peer != ip) })
}

/// include/uapi/linux/if.h, in ip(8)'s order (`print_link_flags`), which doesn't name RUNNING: where it is missing on an
/// interface that is up, it says NO-CARRIER.
fn flags(bits: u32) -> Vec<&'static str> {
    const UP: u32 = 1;
    const RUNNING: u32 = 1 << 6;
    const NAMES: [(u32, &str); 16] = [
        (1 << 3, "LOOPBACK"),
        (1 << 1, "BROADCAST"),
        (1 << 4, "POINTOPOINT"),
        (1 << 12, "MULTICAST"),
        (1 << 7, "NOARP"),
        (1 << 9, "ALLMULTI"),
        (1 << 8, "PROMISC"),
        (1 << 10, "MASTER"),
        (1 << 11, "SLAVE"),
        (1 << 2, "DEBUG"),
        (1 << 15, "DYNAMIC"),
        (1 << 14, "AUTOMEDIA"),
        (1 << 13, "PORTSEL"),
        (1 << 5, "NOTRAILERS"),
        (UP, "UP"),
        (1 << 16, "LOWER_UP"),
    ];
    let no_carrier = (bits & UP != 0 && bits & RUNNING == 0).then_some("NO-CARRIER");
    no_carrier
        .into_iter()
        .chain(NAMES.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name))
        .collect()
}

/// IF_OPER_* (include/uapi/linux/if.h), as ip(8) says them.
fn state_name(state: u8) -> &'static str {
    match state {
        1 => "NOTPRESENT",
        2 => "DOWN",
        3 => "LOWERLAYERDOWN",
        4 => "TESTING",
        5 => "DORMANT",
        6 => "UP",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_ip() {
        assert_eq!(flags(0x1_0049), ["LOOPBACK", "UP", "LOWER_UP"]);
        assert_eq!(flags(0x1003), ["NO-CARRIER", "BROADCAST", "MULTICAST", "UP"]);
        assert_eq!(flags(0x82), ["BROADCAST", "NOARP"]);
    }

    #[test]
    fn loopback_has_its_addresses_and_numbers() {
        let all = all().expect("a socket");
        let lo = all.iter().find(|d| d.name == "lo").expect("every namespace has lo");
        assert!(lo.flags.contains(&"LOOPBACK"));
        assert_eq!(lo.mac, "00:00:00:00:00:00");
        assert_eq!(lo.rx.packets, lo.tx.packets);
        let v4 = lo.addresses.iter().find(|a| a.ip.is_ipv4());
        if let Some(a) = v4 {
            assert_eq!((a.prefix, a.scope.as_str(), a.peer), (8, "host", None));
        }
    }
}
