//! The pcapng file: what tcpdump sees of the traced flows, no more and no less, with the process on each packet.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::sys::signal::Signal;
use serde_json::Value;
use tracenet_tests::agent::Agent;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::{Netns, Pair, stdout_of};
use tracenet_tests::program::Program;
use tracenet_tests::report::Lost;
use tracenet_tests::{case, load};

const NEEDS: &[Need] =
    &[Need::Root, Need::Bpf, Need::Tool("tcpdump"), Need::Tool("tshark"), Need::Tool("capinfos")];
/// Where a datagram tells that tcpdump has written everything before it.
const SENTINEL_PORT: u16 = 9;

fn main() -> ExitCode {
    harness::main(vec![
        case!(the_file_holds_what_tcpdump_saw_with_the_process_on_each_packet, NEEDS),
        case!(both_directions_of_a_server_are_captured_from_the_first_syn, NEEDS),
        case!(a_filter_expression_narrows_the_packets, NEEDS),
        case!(one_interface_can_be_chosen, NEEDS),
        case!(ipv6_and_datagrams_are_captured, NEEDS),
    ])
}

/// tcpdump beside tracenet, as the judge.
struct Tcpdump {
    program: Program,
    file: std::path::PathBuf,
}

impl Tcpdump {
    fn start(netns: &Netns, file: &Path, filter: &str) -> Self {
        let mut command = netns.command("tcpdump");
        command
            .args([
                "-i",
                "any",
                "-n",
                "-U",
                "-s",
                "256",
                "--immediate-mode",
                "-B",
                "65536",
                "-Z",
                "root",
                "-w",
            ])
            .arg(file);
        command.arg(format!("({filter}) or udp port {SENTINEL_PORT}"));
        let mut program = Program::start(&mut command);
        program.wait_for_stderr("listening on");
        Self { program, file: file.to_owned() }
    }

    /// Ends it when it has written everything that was sent before.
    fn stop(mut self, netns: &Netns) {
        netns.inside(|| {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("loopback is up");
            socket.send_to(b"end", ("127.0.0.1", SENTINEL_PORT)).expect("loopback takes it");
        });
        tracenet_tests::wait_for("tcpdump to write the last packet", || {
            let read = Command::new("tcpdump").arg("-nr").arg(&self.file).args(["udp", "port", "9"]).output();
            (!read.expect("tcpdump starts").stdout.is_empty()).then_some(())
        });
        self.program.signal(Signal::SIGINT);
        self.program.wait();
        let said = self.program.stderr();
        assert!(said.contains("\n0 packets dropped by kernel"), "the judge lost packets: {said}");
    }
}

/// A packet without its time: addresses, ports, sequence numbers, flags, IP id, length; and its comment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    key: String,
    comment: String,
}

fn frames(file: &Path, filter: &str) -> Vec<Frame> {
    const FIELDS: &[&str] = &[
        "ip.src",
        "ip.dst",
        "ipv6.src",
        "ipv6.dst",
        "ip.id",
        "tcp.srcport",
        "tcp.dstport",
        "udp.srcport",
        "udp.dstport",
        "tcp.seq",
        "tcp.ack",
        "tcp.flags",
        "tcp.len",
        "udp.length",
        "frame.len",
    ];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-o", "tcp.relative_sequence_numbers:FALSE"]);
    // Reassembly would move payload lengths between frames, retransmitted ones included.
    command.args(["-o", "tcp.desegment_tcp_streams:FALSE", "-Y", filter, "-T", "fields"]);
    for field in FIELDS.iter().chain(&["frame.comment"]) {
        command.args(["-e", field]);
    }
    command.args(["-E", "separator=|"]);
    let output = command.output().expect("tshark starts");
    assert!(
        output.stderr.is_empty() || !String::from_utf8_lossy(&output.stderr).contains("rror"),
        "{output:?}"
    );
    let text = stdout_of("tshark", &[], output);
    let mut all: Vec<_> = text
        .lines()
        .map(|line| {
            let mut parts = line.splitn(FIELDS.len() + 1, '|');
            let key: Vec<&str> = parts.by_ref().take(FIELDS.len()).collect();
            // The link header differs between cooked and Ethernet captures; the IP packet does not.
            Frame { key: key[..key.len() - 1].join("|"), comment: parts.next().unwrap_or("").to_owned() }
        })
        .collect();
    all.sort();
    all
}

fn assert_same_packets(ours: &[Frame], theirs: &[Frame]) {
    let count = |frames: &[Frame]| {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for frame in frames {
            *counts.entry(frame.key.clone()).or_default() += 1;
        }
        counts
    };
    let mut difference = count(ours);
    for (key, n) in count(theirs) {
        *difference.entry(key).or_default() -= n;
    }
    difference.retain(|_, n| *n != 0);
    assert!(
        difference.is_empty(),
        "tracenet has {} packets, tcpdump {}; ours minus theirs: {difference:#?}",
        ours.len(),
        theirs.len()
    );
    assert!(!ours.is_empty());
}

fn capinfos(file: &Path) -> String {
    let output = Command::new("capinfos").arg(file).output().expect("capinfos starts");
    assert!(output.stderr.is_empty(), "capinfos: {}", String::from_utf8_lossy(&output.stderr));
    stdout_of("capinfos", &[], output)
}

fn the_file_holds_what_tcpdump_saw_with_the_process_on_each_packet() {
    let pair = Pair::new();
    // Retransmissions belong into the file like everything else.
    pair.server.lose_incoming("tcp dport 8001 numgen random mod 100 < 3");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours.pcapng"), folder.path().join("theirs.pcap"));
    let address = format!("{}:8001", Pair::SERVER);
    let noise_address = format!("{}:8002", Pair::SERVER);
    let _servers = [load::serve(&pair.server, &address), load::serve(&pair.server, &noise_address)];
    let mut client = load::client(&pair.client, &address, 20, 30, (3_000, 20_000), 3);
    let mut noise = load::client(&pair.client, &noise_address, 10, 30, (3_000, 20_000), 4);
    let tcpdump = Tcpdump::start(&pair.client, &theirs, "tcp port 8001");
    let agent = Agent::attach(&[client.pid()], &["-e", "trace=none", "-w", ours.to_str().expect("UTF-8")]);
    client.say("go");
    noise.say("go");
    let books = load::books(&client.json(), "local");
    noise.json();
    pair.settle();
    let story = agent.stop();
    tcpdump.stop(&pair.client);

    let info = capinfos(&ours);
    assert!(info.contains("pcapng"), "{info}");
    assert!(info.contains("nanoseconds"), "time stamps have nanoseconds: {info}");
    assert_eq!(story.summary.lost, Lost::NOTHING);
    let filter = format!("not udp.port == {SENTINEL_PORT}");
    let mine = frames(&ours, &filter);
    assert_same_packets(&mine, &frames(&theirs, &filter));

    // Each packet names the process and the connection of the summary.
    let connections = story.summary.by_local();
    for frame in &mine {
        let field = |n: usize| frame.key.split('|').nth(n).unwrap_or("");
        let end = |ip: &str, port: &str| format!("{ip}:{port}").parse::<SocketAddr>().expect("an address");
        let (source, destination) = (end(field(0), field(5)), end(field(1), field(6)));
        let connection = connections.get(&source).or(connections.get(&destination));
        let connection = connection.unwrap_or_else(|| panic!("no connection for {frame:?}"));
        assert!(books.contains_key(&connection.local), "{connection:?}");
        for part in [client.pid().to_string(), connection.id.clone(), "load".into()] {
            assert!(frame.comment.contains(&part), "no {part} in the comment of {frame:?}");
        }
    }
}

fn both_directions_of_a_server_are_captured_from_the_first_syn() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours.pcapng"), folder.path().join("theirs.pcap"));
    let address = format!("{}:8001", Pair::SERVER);
    let server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, 30, 10, (3_000, 20_000), 5);
    let tcpdump = Tcpdump::start(&pair.server, &theirs, "tcp port 8001");
    let agent = Agent::attach(&[server.pid()], &["-e", "trace=none", "-w", ours.to_str().expect("UTF-8")]);
    client.say("go");
    client.json();
    pair.settle();
    let story = agent.stop();
    tcpdump.stop(&pair.server);
    capinfos(&ours);
    assert_eq!(story.summary.connections.len(), 30);
    let filter = format!("not udp.port == {SENTINEL_PORT}");
    let mine = frames(&ours, &filter);
    assert_same_packets(&mine, &frames(&theirs, &filter));
    let syns = frames(&ours, "tcp.flags.syn == 1 && tcp.flags.ack == 0");
    assert_eq!(syns.len(), 30, "the SYN of every incoming connection");
    for frame in &mine {
        assert!(frame.comment.contains(&server.pid().to_string()), "{frame:?}");
    }
}

fn a_filter_expression_narrows_the_packets() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours.pcapng"), folder.path().join("theirs.pcap"));
    let address = format!("{}:8001", Pair::SERVER);
    let _server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, 5, 5, (100, 100), 6);
    let expression = "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0";
    let tcpdump = Tcpdump::start(&pair.client, &theirs, &format!("tcp port 8001 and {expression}"));
    let agent = Agent::attach(&[client.pid()], &["-w", ours.to_str().expect("UTF-8"), expression]);
    client.say("go");
    client.json();
    pair.settle();
    let story = agent.stop();
    tcpdump.stop(&pair.client);
    let filter = format!("not udp.port == {SENTINEL_PORT}");
    assert_same_packets(&frames(&ours, &filter), &frames(&theirs, &filter));
    assert_eq!(story.summary.connections.len(), 5);
    assert!(story.summary.connections.iter().all(|c| c.turns == 5), "the socket view needs no packets");
}

fn one_interface_can_be_chosen() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours.pcapng"), folder.path().join("theirs.pcap"));
    let address = format!("{}:8001", Pair::SERVER);
    let _server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, 5, 5, (100, 100), 6);
    let tcpdump = Tcpdump::start(&pair.client, &theirs, "tcp port 8001");
    let file = ours.to_str().expect("UTF-8");
    let agent = Agent::attach(&[client.pid()], &["-i", Pair::INTERFACE, "-w", file, "-e", "trace=none"]);
    client.say("go");
    client.json();
    pair.settle();
    agent.stop();
    tcpdump.stop(&pair.client);
    let filter = format!("not udp.port == {SENTINEL_PORT}");
    assert_same_packets(&frames(&ours, &filter), &frames(&theirs, &filter));
    let info = capinfos(&ours);
    assert!(info.contains(Pair::INTERFACE), "{info}");
}

fn ipv6_and_datagrams_are_captured() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours.pcapng"), folder.path().join("theirs.pcap"));
    let address = format!("[{}]:8001", Pair::SERVER6);
    let _server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, 5, 5, (1_000, 10_000), 8);
    let datagrams =
        Program::start(load::script(&pair.server, "datagrams.py").args(["serve", Pair::SERVER6, "8003"]));
    datagrams.json();
    let mut asker = Program::start(load::script(&pair.client, "datagrams.py").args([
        "client",
        Pair::SERVER6,
        "8003",
        "50",
    ]));
    asker.json();
    let tcpdump = Tcpdump::start(&pair.client, &theirs, "tcp port 8001 or udp port 8003");
    let file = ours.to_str().expect("UTF-8");
    let agent = Agent::attach(&[client.pid(), asker.pid()], &["-w", file, "-e", "trace=none"]);
    client.say("go");
    client.json();
    asker.say("go");
    let said: Value = asker.json();
    pair.settle();
    let story = agent.stop();
    tcpdump.stop(&pair.client);
    let filter = format!("not udp.port == {SENTINEL_PORT}");
    let mine = frames(&ours, &filter);
    assert_same_packets(&mine, &frames(&theirs, &filter));
    for frame in &mine {
        // Its ports by themselves: a sequence number may have the same digits.
        let owner =
            if frame.key.split('|').any(|field| field == "8003") { asker.pid() } else { client.pid() };
        assert!(frame.comment.contains(&owner.to_string()), "{frame:?}");
    }
    let flow = story.summary.of(asker.pid()).next().expect("the UDP flow");
    assert_eq!((flow.transport.as_str(), flow.role.as_str()), ("udp", "client"));
    assert_eq!(Some(u64::from(flow.local.port())), said["port"].as_u64());
    assert_eq!(
        (Some(flow.bytes_sent), Some(flow.bytes_received)),
        (said["sent"].as_u64(), said["received"].as_u64())
    );
    assert_eq!(flow.turns, 50);
}
