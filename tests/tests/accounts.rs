//! What each process of the host did on the network: `tracenet top --json` beside what the programs say, and beside the
//! interface's counters.

use std::collections::BTreeMap;
use std::process::ExitCode;

use nix::sys::signal::Signal;
use serde_json::Value;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case};

const TOOLS: &[Need] = &[
    Need::Root,
    Need::Bpf,
    Need::Tool("ip"),
    Need::Tool("nft"),
    Need::Tool("python3"),
    Need::Tool("iperf3"),
    Need::Tool("nstat"),
    Need::Tool("curl"),
];

fn main() -> ExitCode {
    harness::main(vec![case!(each_process_has_its_bytes_and_all_have_the_interfaces, TOOLS)])
}

/// Says where it listens, serves one peer over TCP and says how much it read and wrote.
const HTTP: &str = r#"
import json, socket
s = socket.socket(socket.AF_INET6); s.bind(('::1', 8080)); s.listen()
print(json.dumps({}), flush=True)
c, _ = s.accept()
request = b''
while not request.endswith(b'\r\n\r\n'): request += c.recv(4096)
answer = b'HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n' + bytes(3000000)
c.sendall(answer); c.shutdown(socket.SHUT_WR)
while c.recv(4096): pass
print(json.dumps({'sent': len(answer), 'received': len(request)}), flush=True)
input()
"#;

/// `FAMILY ADDRESS PORT`: answers datagrams with three times as many bytes until an empty one comes.
const UDP_SERVER: &str = r#"
import json, socket, sys
s = socket.socket(getattr(socket, sys.argv[1]), socket.SOCK_DGRAM); s.bind((sys.argv[2], int(sys.argv[3])))
print(json.dumps({}), flush=True)
sent = received = calls = 0
while True:
    data, peer = s.recvfrom(65536)
    if not data: break
    received += len(data); calls += 1
    sent += s.sendto(data * 3, peer)
print(json.dumps({'sent': sent, 'received': received, 'calls': calls}), flush=True)
input()
"#;

/// `FAMILY ADDRESS PORT`: its client, over a connected socket.
const UDP_CLIENT: &str = r#"
import json, socket, sys
s = socket.socket(getattr(socket, sys.argv[1]), socket.SOCK_DGRAM); s.connect((sys.argv[2], int(sys.argv[3])))
sent = received = calls = 0
for n in range(1, 201):
    sent += s.send(bytes(n)); calls += 1
    received += len(s.recv(65536))
s.send(b'')
print(json.dumps({'sent': sent, 'received': received, 'calls': calls}), flush=True)
input()
"#;

/// Bytes of the headers of one packet: Ethernet's 14 of the loopback, IPv4's 20 and UDP's 8 at least; IPv6's 40 and TCP's
/// 60 at most.
const HEADERS: (u64, u64) = (14 + 20 + 8, 14 + 40 + 60);

/// What iperf3 exchanges over its control connection beside the data: its parameters and results as JSON.
const CONTROL: u64 = 64 << 10;

fn python(netns: &Netns, script: &str, args: &[&str]) -> Program {
    Program::start(netns.command("python3").arg("-c").arg(script).args(args))
}

fn number(line: &Value, name: &str) -> u64 {
    line[name].as_u64().unwrap_or_else(|| panic!("{name} of {line}"))
}

fn each_process_has_its_bytes_and_all_have_the_interfaces() {
    let netns = Netns::new("accounts");
    let mut top = Program::start(agent::command().args(["top", "--json", "--interval", "600s"]));
    top.wait_for_stderr("counting for");
    let (before, again_before) = (loopback(&netns), sent_again(&netns));

    let http = python(&netns, HTTP, &[]);
    http.json();
    let v6 = ["AF_INET6", "::1", "5353"];
    let dns = ["AF_INET", "127.0.0.1", "53"];
    let servers = [python(&netns, UDP_SERVER, &v6), python(&netns, UDP_SERVER, &dns)];
    for server in &servers {
        server.json();
    }
    let mut iperf_server = Program::start(netns.command("iperf3").args(["-s", "-1", "--forceflush"]));
    while !iperf_server.line().contains("Server listening") {}
    let clients = [python(&netns, UDP_CLIENT, &v6), python(&netns, UDP_CLIENT, &dns)];
    let format = r#"{"sent": %{size_request}, "header": %{size_header}, "body": %{size_download}}\n"#;
    let curl = Program::start(netns.command("curl").args([
        "-g",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        format,
        "http://[::1]:8080/",
    ]));
    let mut iperf = Program::start(netns.command("iperf3").args(["-c", "127.0.0.1", "-n", "20M", "-J"]));

    // pid → sent and received, as the program says.
    let mut truth: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let mut calls = Vec::new();
    for p in clients.iter().chain(&servers) {
        let said = p.json();
        truth.insert(p.pid(), (number(&said, "sent"), number(&said, "received")));
        calls.push((p.pid(), number(&said, "calls")));
    }
    let said = http.json();
    truth.insert(http.pid(), (number(&said, "sent"), number(&said, "received")));
    let said = curl.json();
    truth.insert(curl.pid(), (number(&said, "sent"), number(&said, "header") + number(&said, "body")));
    let (iperf_pid, iperf_server_pid) = (iperf.pid(), iperf_server.pid());
    let said: Value = serde_json::from_str(&iperf.remaining_lines().join("\n")).expect("-J prints JSON");
    let streamed = |end: &str| number(&said["end"][end], "bytes");
    let streamed =
        [(iperf_pid, "sent", streamed("sum_sent")), (iperf_server_pid, "received", streamed("sum_received"))];
    iperf.wait();
    iperf_server.wait();
    let (after, again) = (loopback(&netns), sent_again(&netns) - again_before);
    top.signal(Signal::SIGINT);
    let rows: BTreeMap<u32, Value> = top
        .remaining_lines()
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("an object a line"))
        .map(|row| (u32::try_from(number(&row, "pid")).expect("a pid"), row))
        .collect();

    let bytes = |pid: u32, way: &str| {
        let row = rows.get(&pid).unwrap_or_else(|| panic!("process {pid} is told of"));
        number(row, &format!("tcp_{way}")) + number(row, &format!("udp_{way}"))
    };
    for (pid, said) in &truth {
        assert_eq!((bytes(*pid, "sent"), bytes(*pid, "received")), *said, "{}", rows[pid]);
    }
    for (pid, calls) in calls {
        // And the empty one at the end, which one side sends and the other receives.
        let row = &rows[&pid];
        assert_eq!(number(row, "datagrams_sent").max(number(row, "datagrams_received")), calls, "{row}");
    }
    assert_eq!(number(&rows[&clients[1].pid()], "lookups"), 200);
    for (pid, way, streamed) in streamed {
        let ours = bytes(pid, way);
        assert!((streamed..streamed + CONTROL).contains(&ours), "iperf3 {streamed}, tracenet {ours}");
    }
    assert_eq!((number(&rows[&curl.pid()], "opened"), number(&rows[&http.pid()], "accepted")), (1, 1));

    // Whatever went over the loopback was sent by one of them, and received by another; but for what iperf3 wrote last: its
    // server closes without having read it, and it may never have left. Where a CPU is long in coming TCP sends segments again,
    // which no process has written.
    let all: Vec<u32> = truth.keys().copied().chain([iperf_pid, iperf_server_pid]).collect();
    let (packets, wire) = (after.0 - before.0, after.1 - before.1);
    let unread = bytes(iperf_pid, "sent") - bytes(iperf_server_pid, "received");
    let extra = (packets * HEADERS.0, packets * HEADERS.1 + again * SEGMENT);
    for way in ["sent", "received"] {
        let sum: u64 = all.iter().map(|pid| bytes(*pid, way)).sum();
        println!(
            "{way}: {sum} bytes of 8 processes, {wire} on the interface in {packets} packets; {unread} unread, {again} segments again"
        );
        let (least, most) = if way == "sent" { (sum - unread, sum) } else { (sum, sum + unread) };
        assert!(
            (least + extra.0..=most + extra.1).contains(&wire),
            "{way}: {sum}, interface {wire} in {packets} packets"
        );
    }
}

/// Bytes of a segment, at most: those of the loopback's MTU.
const SEGMENT: u64 = 65_536;

/// Segments of the namespace that were sent again.
fn sent_again(netns: &Netns) -> u64 {
    let text = netns.run("nstat", &["-asz", "TcpRetransSegs"]);
    let words = text.lines().find_map(|line| line.strip_prefix("TcpRetransSegs"));
    words.and_then(|words| words.split_whitespace().next()?.parse().ok()).expect("nstat tells it")
}

/// Packets and bytes that the loopback has carried.
fn loopback(netns: &Netns) -> (u64, u64) {
    let text = netns.run("ip", &["-j", "-s", "link", "show", "lo"]);
    let all: Value = serde_json::from_str(&text).expect("ip prints JSON");
    let sent = &all[0]["stats64"]["tx"];
    (number(sent, "packets"), number(sent, "bytes"))
}
