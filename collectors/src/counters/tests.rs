use super::*;

const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 100
Tcp: RtoMin MaxConn CurrEstab InSegs RetransSegs
Tcp: 200 -1 7 1000 5
Udp: InDatagrams NoPorts
Udp: 20 1
";

fn write(root: &Path, pid: u32, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(pid.to_string()).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_namespace_is_read_by_nstat_s_names() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        9,
        &[
            ("net/snmp", SNMP),
            (
                "net/netstat",
                "TcpExt: TCPTimeouts TCPLossProbes\nTcpExt: 3 4\nIpExt: InOctets\nIpExt: 18446744073709551615\n",
            ),
            ("net/snmp6", "Ip6InReceives                   \t12\nUdp6InErrors\t2\n"),
            (
                "net/dev",
                "Inter-| Receive | Transmit\n face |bytes packets\n    lo: 10 1 2 3 4 5 6 7 20 8 9 10 11 12 13 14\neth0:1:99 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n",
            ),
            (
                "net/softnet_stat",
                "00000010 00000001 00000002 0 0 0 0 0 0 00000003 00000004\n000000ff 0 0 0 0 0 0 0 0 0 0\n",
            ),
            ("net/sockstat", "sockets: used 29\nTCP: inuse 1 orphan 0 mem 167\n"),
            ("net/sockstat6", "TCP6: inuse 6\n"),
        ],
    );
    let s = namespace_of(&Proc::at(root.path()), 9).unwrap();
    for (name, value) in [
        ("TcpRetransSegs", 5),
        ("TcpExtTCPTimeouts", 3),
        ("TcpExtTCPLossProbes", 4),
        ("IpExtInOctets", u64::MAX),
        ("Ip6InReceives", 12),
        ("Udp6InErrors", 2),
        ("UdpNoPorts", 1),
        ("dev.lo.rx_bytes", 10),
        ("dev.lo.tx_compressed", 14),
        ("dev.eth0:1.rx_bytes", 99),
        ("dev.eth0:1.tx_packets", 4),
        ("softnet.processed", 0x10f),
        ("softnet.dropped", 1),
        ("softnet.received_rps", 3),
        ("softnet.flow_limit", 4),
        ("sockstat.sockets.used", 29),
        ("sockstat.TCP.mem", 167),
        ("sockstat.TCP6.inuse", 6),
    ] {
        assert_eq!(s.get(name), Some(value), "{name}");
    }
    // "No limit" is no number.
    assert_eq!(s.get("TcpMaxConn"), None);
    let kinds: BTreeMap<_, _> = s.iter().map(|(n, r)| (n.to_owned(), r.kind)).collect();
    assert_eq!(kinds["TcpCurrEstab"], Kind::Gauge);
    assert_eq!(kinds["TcpRtoMin"], Kind::Gauge);
    assert_eq!(kinds["IpForwarding"], Kind::Gauge);
    assert_eq!(kinds["TcpRetransSegs"], Kind::Counter);
    assert_eq!(kinds["sockstat.TCP.inuse"], Kind::Gauge);
}

#[test]
fn a_process_that_is_gone_is_none() {
    let root = tempfile::tempdir().unwrap();
    let proc = Proc::at(root.path());
    assert_eq!(namespace_of(&proc, 9), None);
    assert_eq!(process(&proc, 9), None);
    // Gone between two files.
    write(root.path(), 9, &[("net/dev", "\n\n")]);
    assert_eq!(namespace_of(&proc, 9), None);
    assert_eq!(process(&proc, 9), None);
}

fn with(readings: &[(&str, Kind, u64)]) -> Snapshot {
    let mut s = Snapshot::default();
    for (name, kind, value) in readings {
        s.put((*name).to_owned(), *kind, *value);
    }
    s
}

#[test]
fn counters_gauges_and_wraps_are_told_apart() {
    use Kind::{Counter, Counter32, Gauge};
    let before = with(&[
        ("up", Counter, 10),
        ("reset", Counter, 100),
        ("level", Gauge, 7),
        ("wrap", Counter32, 0xffff_fff0),
        ("gone", Counter, 1),
    ]);
    let after = with(&[
        ("up", Counter, 15),
        ("reset", Counter, 3),
        ("level", Gauge, 4),
        ("wrap", Counter32, 0x10),
        ("came", Counter, 2),
        ("level_came", Gauge, 9),
    ]);
    let d = delta(&before, &after);
    assert_eq!(d.get("up"), Some(5));
    assert_eq!(d.get("reset"), Some(3));
    assert_eq!(d.get("level"), Some(-3));
    assert_eq!(d.counter("level"), 0);
    assert_eq!(d.get("wrap"), Some(0x20));
    assert_eq!(d.get("came"), Some(2));
    assert_eq!(d.get("level_came"), None);
    assert_eq!(d.get("gone"), None);
    assert_eq!(d.counter("never"), 0);
}

#[test]
fn an_ended_thread_doesn_t_turn_time_back() {
    let mut before = Snapshot::default();
    before.threads.insert(1, Sched { run_ns: 100, wait_ns: 10, slices: 3 });
    before.threads.insert(2, Sched { run_ns: 900, wait_ns: 90, slices: 9 });
    let mut after = Snapshot::default();
    after.threads.insert(1, Sched { run_ns: 150, wait_ns: 11, slices: 5 });
    after.threads.insert(3, Sched { run_ns: 40, wait_ns: 0, slices: 1 });
    let d = delta(&before, &after);
    assert_eq!(d.get("schedstat.run_ns"), Some(90));
    assert_eq!(d.get("schedstat.wait_ns"), Some(1));
    assert_eq!(d.get("schedstat.timeslices"), Some(3));
}

#[test]
fn this_process_s_own_numbers_move() {
    let proc = Proc::default();
    let me = std::process::id();
    let before = process(&proc, me).unwrap();
    let ns_before = namespace_here().unwrap();
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..10 {
        sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
        receiver.recv(&mut [0]).unwrap();
    }
    fs::read("/proc/self/status").unwrap();
    let d = delta(&before, &process(&proc, me).unwrap());
    assert!(d.counter("io.rchar") > 0 && d.counter("io.syscr") > 0);
    assert!(d.counter("schedstat.run_ns") > 0);
    let ns_after = namespace_of(&proc, me).unwrap();
    let d = delta(&ns_before, &ns_after);
    assert!(d.counter("UdpInDatagrams") >= 10);
    assert!(d.counter("UdpOutDatagrams") >= 10);
    assert!(d.counter("dev.lo.rx_packets") >= 10);
    assert!(d.changed().all(|(_, c)| c.change != 0));
}

#[test]
fn garbage_is_passed_over() {
    let mut s = Snapshot::default();
    for text in ["", ":", "a:", "a: b\n", "a: b\nc", "a: b c\na: 1 x\n", "\u{0}\n\n\n: :\n", "x: -5 y"] {
        parse::pairs(text, &mut s);
        parse::lines(text, &mut s);
        parse::dev(text, &mut s);
        parse::softnet(text, &mut s);
        parse::sockstat(text, &mut s);
    }
    assert_eq!(s.get("ab"), Some(1));
    assert_eq!(parse::numbers::<3>("1 2"), None);
}
