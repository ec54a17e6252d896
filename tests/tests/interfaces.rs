//! `tracenet interfaces` beside ip and ethtool, in a namespace where nothing moves.

use std::process::{Command, ExitCode};

use serde_json::Value;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::{agent, case, wait_for};

const NEEDS: &[Need] = &[Need::Root, Need::Tool("ip"), Need::Tool("ethtool")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(numbers_are_those_of_ip, NEEDS),
        case!(offloads_are_those_of_ethtool, NEEDS),
        case!(a_missing_interface_is_told, &[]),
    ])
}

fn interfaces(netns: &Netns, options: &[&str]) -> Command {
    let mut command = netns.command(agent::binary());
    agent::clean_environment(&mut command);
    command.arg("interfaces").args(options);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(netns: &Netns, options: &[&str]) -> Vec<Value> {
    let text = run(interfaces(netns, options).arg("--json"));
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn ip(netns: &Netns, args: &[&str]) -> Vec<Value> {
    let text = netns.run("ip", args);
    serde_json::from_str(&text).expect("ip -j prints JSON")
}

/// Two namespaces after some packets, with IPv6's own (duplicate detection, router solicitations) behind them, or in
/// between two equal looks.
fn quiet() -> Pair {
    let pair = Pair::new();
    pair.client.ip(&["addr", "add", "10.99.0.1", "peer", "10.99.0.2/32", "dev", Pair::INTERFACE]);
    pair.client.ip(&["link", "add", "down0", "mtu", "1400", "type", "veth", "peer", "name", "down1"]);
    let socket = pair.client.inside(|| std::net::UdpSocket::bind((Pair::CLIENT, 0)).expect("free"));
    for _ in 0..10 {
        socket.send_to(b"x", (Pair::SERVER, 9)).expect("sent");
    }
    pair
}

fn numbers_are_those_of_ip() {
    let pair = quiet();
    let netns = &pair.client;
    // IPv6 says something now and then: a comparison counts when ip says the same before and after.
    let (links, addresses, ours) = wait_for("two equal looks", || {
        let links = ip(netns, &["-s", "-j", "link"]);
        let ours = json(netns, &[]);
        (ip(netns, &["-s", "-j", "link"]) == links).then(|| (links, ip(netns, &["-j", "addr"]), ours))
    });
    assert_eq!(ours.len(), links.len());
    assert_eq!(links.len(), 4);
    for ((ours, link), address) in ours.iter().zip(&links).zip(&addresses) {
        assert_eq!(ours["schema"], "tracenet.interface/1");
        for (mine, theirs) in [
            ("index", "ifindex"),
            ("name", "ifname"),
            ("mtu", "mtu"),
            ("mac", "address"),
            ("flags", "flags"),
            ("state", "operstate"),
            ("qdisc", "qdisc"),
            ("tx_queue_len", "txqlen"),
        ] {
            let mut expected = link[theirs].clone();
            if let Some(flags) = expected.as_array_mut() {
                // ip's own word for "the interface below is down": no flag of this interface.
                flags.retain(|flag| flag != "M-DOWN");
            }
            assert_eq!(ours[mine], expected, "{mine}: {ours}\n{link}");
        }
        let stats = &link["stats64"];
        for direction in ["rx", "tx"] {
            for name in ["bytes", "packets", "errors", "dropped"] {
                assert_eq!(ours[direction][name], stats[direction][name], "{direction} {name}");
            }
        }
        assert_eq!(ours["multicast"], stats["rx"]["multicast"]);
        assert_eq!(ours["rx_over_errors"], stats["rx"]["over_errors"]);
        assert_eq!(ours["tx_carrier_errors"], stats["tx"]["carrier_errors"]);
        assert_eq!(ours["collisions"], stats["tx"]["collisions"]);
        let theirs: Vec<_> = address["addr_info"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|a| (a["local"].clone(), a["prefixlen"].clone(), a["scope"].clone(), a["address"].clone()))
            .collect();
        let mine: Vec<_> = ours["addresses"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|a| (a["ip"].clone(), a["prefix"].clone(), a["scope"].clone(), a["peer"].clone()))
            .collect();
        assert_eq!(mine, theirs);
    }
    // The short table has the columns of netstat -i and a line for each.
    let short = run(&mut interfaces(netns, &["-s"]));
    assert!(short.starts_with("Iface "), "{short}");
    assert_eq!(short.lines().count(), 5);
    let lo = short.lines().nth(1).expect("lo");
    assert!(lo.starts_with("lo ") && lo.ends_with("LRU"), "{lo}");
}

fn offloads_are_those_of_ethtool() {
    let pair = quiet();
    let netns = &pair.client;
    netns.run("ethtool", &["-K", Pair::INTERFACE, "tso", "off", "gro", "on"]);
    let ours = json(netns, &[Pair::INTERFACE]);
    let [ours] = ours.as_slice() else { panic!("{ours:?}") };
    assert_eq!(ours["driver"], "veth");
    let features = netns.run("ethtool", &["-k", Pair::INTERFACE]);
    for (mine, theirs) in [
        ("gro", "generic-receive-offload"),
        ("lro", "large-receive-offload"),
        ("tso", "tcp-segmentation-offload"),
        ("gso", "generic-segmentation-offload"),
        ("rx_checksum", "rx-checksumming"),
        ("tx_checksum", "tx-checksumming"),
        ("rx_vlan", "rx-vlan-offload"),
        ("tx_vlan", "tx-vlan-offload"),
    ] {
        let line =
            features.lines().find_map(|line| line.strip_prefix(&format!("{theirs}: "))).expect("a line");
        assert_eq!(ours["offloads"][mine], line.starts_with("on"), "{mine}: {line}");
    }
    let settings = netns.run("ethtool", &[Pair::INTERFACE]);
    assert!(settings.contains("10000Mb/s") && settings.contains("Full"), "{settings}");
    assert_eq!(ours["link"]["speed_mbit"], 10_000);
    assert_eq!(ours["link"]["duplex"], "full");
    let counters = netns.run("ethtool", &["-S", Pair::INTERFACE]);
    let mut compared = 0;
    for line in counters.lines().skip(1) {
        let (name, value) = line.trim().rsplit_once(": ").expect("name and value");
        // Two looks: what moves meanwhile is not smaller in the later one.
        let mine = ours["driver_counters"][name.trim()].as_u64();
        let theirs = value.trim().parse::<u64>().expect("a number");
        assert!(mine.is_some_and(|n| n <= theirs), "{name}: {mine:?} {theirs}");
        compared += 1;
    }
    assert!(compared > 0, "{counters}");
    // For people: what is on says what it means for a capture.
    let text = run(&mut interfaces(netns, &[Pair::INTERFACE]));
    assert!(text.contains("gro    on   received segments are merged before the capture"), "{text}");
    assert!(text.contains("off: ") && text.contains("tso"), "{text}");
}

fn a_missing_interface_is_told() {
    let output = agent::command().args(["interfaces", "nosuchif0"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}
