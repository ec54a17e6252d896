//! Expressions against sockets.

use std::net::IpAddr;

use tracenet_collectors::interfaces::Interface;
use tracenet_collectors::sockets::{Kind, State};

use super::parse::{Context, Mistake};
use super::*;
use crate::cmd::sockets::flags::SocketsArgs;

fn parsed(text: &str) -> Result<(Filter, Option<Family>), Mistake> {
    let args = SocketsArgs { tcp: true, udp: true, ..SocketsArgs::default() };
    let choice = Choice::new(&args, None).map_err(|e| e.to_string()).unwrap();
    let services = Services::parse("ssh 22/tcp\nhttps 443/tcp\nhttps 443/udp\nodd 1/tcp\nodd 2/udp\n", "");
    let interfaces = Some(vec![Interface { index: 3, name: "eth0".into() }]);
    let hosts = |name: &str| match name {
        "db" => vec!["192.168.0.9".parse().unwrap(), "fd00::9".parse().unwrap()],
        _ => Vec::new(),
    };
    let cgroups = &Cgroups::default;
    let context = Context { choice: &choice, services: &services, interfaces, cgroups, hosts: &hosts };
    parse::parse(text, &context).map(|(node, family)| (Filter(node), family))
}

fn around() -> Surroundings {
    let interfaces = vec![Interface { index: 3, name: "eth0".into() }];
    Surroundings { interfaces, ephemeral: 32_768..=60_999 }
}

fn tcp(local: (&str, u16), remote: (&str, u16)) -> Socket {
    let end = |(ip, port): (&str, u16)| Address::Ip(ip.parse::<IpAddr>().unwrap(), port);
    socket(Kind::Tcp, end(local), end(remote))
}

fn socket(kind: Kind, local: Address, remote: Address) -> Socket {
    let mut s = Socket::new(kind, State::Established, local, remote);
    s.interface = 3;
    s.mark = 0x12;
    s
}

#[test]
fn conditions() {
    let s = tcp(("10.1.2.3", 40_000), ("192.168.0.9", 443));
    for (text, shown) in [
        ("", true),
        ("dport = :443", true),
        ("dst db", true),
        ("src db", false),
        ("dport = 443", true),
        ("dport == :https", true),
        ("dport eq :https", true),
        ("dport :https", true),
        ("dport=:443", true),
        ("dport != :443", false),
        ("dport >= :443 and dport <= :443", true),
        ("dport > :443", false),
        ("dport lt 1024", true),
        ("sport ge :1024", true),
        ("( dport = :443 or sport = :ssh ) and dst 10.0.0.0/8", false),
        ("(dport = :443 or sport = :ssh) && src 10.0.0.0/8", true),
        // From left to right: (yes or no) and no.
        ("dport = :443 or dport = :1 and dport = :2", false),
        ("dport = :1 and dport = :2 or dport = :443", true),
        ("not dport = :1 and ! dport = :2", true),
        ("dport = :443 sport = :1", false),
        ("src 10/8", true),
        ("src = 10.1.2.3", true),
        ("src != 10.1.2.3", false),
        ("src 10.1.2.3:40000", true),
        ("src 10.1.2.3:40001", false),
        ("src 10.0.0.0/8:40000", true),
        ("dst *:443", true),
        ("dst [::1]:443", false),
        ("dst any", true),
        ("dev eth0", true),
        ("dev != 3", false),
        ("fwmark 0x12 and fwmark 0x10/0xf0", true),
        ("fwmark != 0x12", false),
        ("autobound", true),
        ("! autobound", false),
    ] {
        let (filter, family) = parsed(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(filter.matches(&s, &around()), shown, "{text}");
        assert_eq!(family, None, "{text}");
    }
}

#[test]
fn ipv4_networks_take_in_mapped_addresses() {
    let mapped = tcp(("::ffff:10.1.2.3", 80), ("fd00::1", 50_000));
    for (text, shown) in [
        ("src 10.0.0.0/8", true),
        ("src 11.0.0.0/8", false),
        ("dst fd00::/16", true),
        ("dst fd00::1", true),
        ("dst [fd00::1]:50000", true),
        ("dst [fd00::/16]:50000", true),
        ("dst [fd00::1]/64:50000", true),
        ("dst 0.0.0.0/0", false),
        ("src ::ffff:10.1.2.3/128", true),
    ] {
        assert_eq!(parsed(text).unwrap().0.matches(&mapped, &around()), shown, "{text}");
    }
}

#[test]
fn other_families() {
    let name = |n: &[u8]| Address::Unix { name: Some(n.into()), inode: 7 };
    let unix = socket(Kind::UnixStream, name(b"/run/Some.socket\0"), Address::Unix { name: None, inode: 8 });
    for (text, shown) in [
        ("src unix:/run/*.socket", true),
        ("src unix:*some*", true),
        ("src unix:/run/[a-s]ome.s?cket", true),
        ("src unix:/run/[!s]ome.socket", false),
        ("src unix:some", false),
        ("src unix:/run/(some)", false),
    ] {
        let (filter, family) = parsed(text).unwrap();
        assert_eq!(filter.matches(&unix, &around()), shown, "{text}");
        assert_eq!(family, Some(Family::Unix));
    }
    let autobound = socket(Kind::UnixDgram, name(b"\x000a1b2"), Address::None);
    assert!(parsed("autobound").unwrap().0.matches(&autobound, &around()));
    assert!(!parsed("autobound").unwrap().0.matches(&unix, &around()));
    let packet = socket(Kind::PacketRaw, Address::Packet { protocol: 0x0800, interface: 3 }, Address::None);
    for (text, shown) in [("src link:ip:eth0", true), ("src link:arp", false), ("src link:*:eth0", true)] {
        let (filter, family) = parsed(text).unwrap();
        assert_eq!((filter.matches(&packet, &around()), family), (shown, Some(Family::Link)), "{text}");
    }
    let netlink = socket(Kind::Netlink, Address::Netlink { protocol: 0, port: 0 }, Address::None);
    assert!(parsed("src netlink:rtnl:kernel").unwrap().0.matches(&netlink, &around()));
    assert!(!parsed("src netlink:uevent").unwrap().0.matches(&netlink, &around()));
}

#[test]
fn mistakes_point_at_their_column() {
    for (text, column, part) in [
        ("( dport = :443", 1, "never closed"),
        ("dport = :443 )", 14, "never opened"),
        ("dport = :nosuch", 9, "neither a number nor a service"),
        ("dport = :odd", 9, "say which"),
        ("dport = :70000", 9, "65535"),
        ("dport = ", 9, "expected a port"),
        ("dport > *", 9, "expected a port"),
        ("sport = :22 and", 16, "expected a condition"),
        ("port = :22", 1, "expected a condition"),
        ("src > 10.0.0.1", 5, "only = and !="),
        ("src 10.0.0.0/33", 5, "at most 32 bits"),
        ("src [::1", 5, "] is missing"),
        ("dst nosuch", 5, "no host of this name"),
        ("dev nosuch0", 5, "no interface nosuch0"),
        ("fwmark x", 8, "no mark"),
        ("not", 4, "expected a condition"),
        ("src unix:[", 5, "no pattern"),
    ] {
        let e = parsed(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert_eq!(e.column, column, "{text}: {}", e.message);
        assert!(e.message.contains(part), "{text}: {}", e.message);
    }
    assert!(parsed(&"(".repeat(10_000)).is_err());
    assert!(parsed(&"! ".repeat(10_000)).is_err());
    assert!(parsed(&"autobound ".repeat(10_000)).is_err());
}

/// What a fuzzer would try, as far as a unit test goes: pieces of the language in any order.
#[test]
fn whatever_is_typed_is_taken_or_has_its_column() {
    const PIECES: [&str; 46] = [
        "sport >= :1 ",
        "dst 10.0.0.0/8 ",
        "src * ",
        "dport = :443 ",
        "autobound ",
        "dev eth0 ",
        "(",
        ")",
        "!",
        "not ",
        "and ",
        "or ",
        "&& ",
        "|| ",
        ",",
        "=",
        "==",
        "!=",
        ">",
        "<= ",
        "eq ",
        "lt ",
        "sport ",
        "dport ",
        "src ",
        "dst ",
        "dev ",
        "fwmark ",
        "cgroup ",
        "autobound ",
        ":22",
        ":https",
        ":*",
        "*",
        "10.0.0.0/8",
        "::/0",
        "[::1]:5",
        "unix:/r*",
        "link:x",
        "netlink:1",
        "vsock:3:4",
        "eth0",
        "0x12/0xff",
        "db",
        "\u{9b}é",
        "\0",
    ];
    let around = around();
    let mut sockets = vec![tcp(("10.1.2.3", 40_000), ("192.168.0.9", 443)), tcp(("::1", 1), ("::1", 2))];
    let unix = |name: Option<Box<[u8]>>| Address::Unix { name, inode: 7 };
    sockets.push(socket(Kind::UnixStream, unix(Some((*b"/run/x").into())), unix(None)));
    sockets.push(socket(Kind::Netlink, Address::Netlink { protocol: 0, port: 5 }, Address::None));
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let (mut taken, mut shown) = (0, 0);
    for _ in 0..100_000 {
        let text: String = (0..1 + next(8)).map(|_| PIECES[next(PIECES.len())]).collect();
        match parsed(&text) {
            Ok((filter, _)) => {
                taken += 1;
                shown += sockets.iter().filter(|s| filter.matches(s, &around)).count();
            }
            Err(e) => {
                assert!((1..=text.len() + 1).contains(&e.column), "{text:?}: {} {}", e.column, e.message)
            }
        }
    }
    assert!(taken > 1_000 && shown > 1_000, "{taken} of them mean something, {shown} times yes");
}
