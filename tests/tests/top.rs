//! The pages of `tracenet top` beside ss(8), nft(8) and what the programs say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;
use tracenet_tests::blindspot::BlindSpot;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, wait_for};

const TOOLS: &[Need] =
    &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("nft"), Need::Tool("ss"), Need::Tool("python3")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(connections_and_hosts_are_those_of_ss, TOOLS),
        case!(expressions_interfaces_and_filters_narrow_every_page, TOOLS),
        case!(drops_have_their_reason_and_processes_their_container, TOOLS),
        case!(what_is_wrong_is_said_before_anything_is_loaded, &[]),
    ])
}

/// Bytes that a client sends.
const BYTES: u64 = 1_000_000;

/// `ADDRESS PORT BYTES [GROUP]`: goes into the control group, listens, reads so many bytes from one peer, answers with one
/// and says so; keeps the connection open until it is told to end.
const SERVER: &str = r#"
import socket, sys
if len(sys.argv) > 4: open(sys.argv[4] + '/cgroup.procs', 'w').write('0')
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
print('{}', flush=True)
c, _ = s.accept()
left = int(sys.argv[3])
while left: left -= len(c.recv(min(left, 65536)))
c.sendall(b'.')
print('{}', flush=True)
input()
"#;

/// The same: connects, and sends when told to.
const CLIENT: &str = r#"
import socket, sys
if len(sys.argv) > 4: open(sys.argv[4] + '/cgroup.procs', 'w').write('0')
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print('{}', flush=True)
input()
s.sendall(bytes(int(sys.argv[3])))
assert s.recv(1)
print('{}', flush=True)
input()
"#;

/// A server and its client.
struct Talk {
    server: Program,
    client: Program,
}

impl Talk {
    fn new(server: &Netns, client: &Netns, address: &str, port: u16, groups: [Option<&Path>; 2]) -> Self {
        let start = |netns: &Netns, script: &str, group: Option<&Path>| {
            let mut command = netns.command("python3");
            command.args(["-c", script, address, &port.to_string(), &BYTES.to_string()]).args(group);
            let program = Program::start(&mut command);
            program.json();
            program
        };
        let server = start(server, SERVER, groups[0]);
        let client = start(client, CLIENT, groups[1]);
        Self { server, client }
    }

    fn go(&mut self) {
        self.client.say("go");
        self.client.json();
        self.server.json();
    }

    fn pids(&self) -> BTreeSet<u64> {
        [self.server.pid().into(), self.client.pid().into()].into()
    }
}

/// `tracenet top` inside `netns` or outside, once it counts.
fn top(netns: Option<&Netns>, args: &[&str]) -> Program {
    let mut command = match netns {
        Some(netns) => netns.command(agent::binary()),
        None => agent::command(),
    };
    let mut top = Program::start(command.args(["top", "--json", "--interval", "600s"]).args(args));
    top.wait_for_stderr("counting for");
    top
}

/// What it says now.
fn stop(top: &Program) -> Vec<Value> {
    top.signal(Signal::SIGINT);
    let lines = top.remaining_lines();
    lines.iter().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("{name} of {row}"))
}

fn numbers(rows: &[Value], name: &str) -> BTreeSet<u64> {
    rows.iter().map(|row| number(row, name)).collect()
}

/// Established connections: local and remote address, PID, bytes acknowledged and received, as ss has them.
fn ss(netns: &Netns) -> BTreeSet<(String, String, u64, u64, u64)> {
    let text = netns.run("ss", &["-HOtnpi", "state", "established"]);
    let after = |line: &str, name: &str| {
        let digits = line.split_once(name).map_or("0", |(_, rest)| rest);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().unwrap_or_else(|_| panic!("{name} in {line}"))
    };
    text.lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let bytes = (after(line, "bytes_acked:"), after(line, "bytes_received:"));
            (words[2].to_owned(), words[3].to_owned(), after(line, "pid="), bytes.0, bytes.1)
        })
        .collect()
}

fn connections_and_hosts_are_those_of_ss() {
    let pair = Pair::new();
    let mut talks = [(Pair::SERVER, 5_001), (Pair::SERVER6, 5_002)]
        .map(|(address, port)| Talk::new(&pair.server, &pair.client, address, port, [None; 2]));
    let begin = Instant::now();
    let connections = top(None, &["--page", "connections"]);
    let counting = Instant::now();
    let hosts = top(None, &["--page", "hosts"]);
    let ports = top(None, &["--page", "hosts", "-P"]);
    talks.iter_mut().for_each(Talk::go);
    wait_for("everything to be acknowledged", || {
        (pair.client.busy_sockets().is_empty() && pair.server.busy_sockets().is_empty()).then_some(())
    });
    let truth = [&pair.client, &pair.server].map(|netns| (netns.inode(), ss(netns)));
    let least = counting.elapsed().as_secs_f64();
    let rows = stop(&connections);
    let most = begin.elapsed().as_secs_f64();

    for (inode, expected) in &truth {
        let of_it: Vec<&Value> = rows.iter().filter(|row| number(row, "netns") == *inode).collect();
        let text = |row: &Value, name: &str| row[name].as_str().expect("text").to_owned();
        let ours: BTreeSet<_> = of_it
            .iter()
            .map(|row| {
                let (acked, received) = (number(row, "bytes_acked"), number(row, "bytes_received"));
                (text(row, "local"), text(row, "remote"), number(row, "pid"), acked, received)
            })
            .collect();
        assert_eq!(ours, *expected);
        assert_eq!(ours.len(), 2);
        for row in of_it {
            // All of it went between two readings, so much is known of the time between them.
            let way = if text(row, "remote").ends_with(":5001") || text(row, "remote").ends_with(":5002") {
                "sent"
            } else {
                "received"
            };
            for span in ["2s", "10s", "40s"] {
                let rate = number(row, &format!("{way}_{span}")) as f64;
                let bytes = BYTES as f64;
                assert!((bytes / most - 1.0..=bytes / least + 1.0).contains(&rate), "{span}, {least}: {row}");
            }
        }
    }

    let of_pair = |rows: Vec<Value>| -> Vec<Value> {
        let ends = [Pair::CLIENT, Pair::CLIENT6, Pair::SERVER, Pair::SERVER6];
        rows.into_iter().filter(|row| ends.contains(&row["remote"].as_str().expect("an address"))).collect()
    };
    let hosts = of_pair(stop(&hosts));
    assert_eq!(hosts.len(), 4, "{hosts:?}");
    for host in &hosts {
        assert_eq!((number(host, "connections"), &host["remote_port"]), (1, &Value::Null), "{host}");
        assert_eq!(host["processes"].as_array().map(Vec::len), Some(1), "{host}");
    }
    let ports: BTreeSet<u64> =
        of_pair(stop(&ports)).iter().map(|host| number(host, "remote_port")).filter(|p| *p < 6_000).collect();
    assert_eq!(ports, [5_001, 5_002].into());
}

fn expressions_interfaces_and_filters_narrow_every_page() {
    let pair = Pair::new();
    let mut first = Talk::new(&pair.server, &pair.client, Pair::SERVER, 5_001, [None; 2]);
    let mut second = Talk::new(&pair.server, &pair.client, Pair::SERVER, 5_002, [None; 2]);
    let mut local = Talk::new(&pair.client, &pair.client, "127.0.0.1", 5_001, [None; 2]);
    let here = Some(&pair.client);
    let page = |args: &[&str]| {
        let all: Vec<&str> = args.iter().copied().chain(["--page", "connections"]).collect();
        stop(&top(here, &all))
    };
    let pids = |rows: Vec<Value>| numbers(&rows, "pid");
    let both = |a: &Talk, b: &Talk| a.pids().union(&b.pids()).copied().collect::<BTreeSet<u64>>();

    assert_eq!(pids(page(&["port 5002"])), second.pids());
    assert_eq!(pids(page(&["src port 5001 and net 10.77.0.0/24"])), first.pids());
    assert_eq!(pids(page(&["-Y", "remote_port == 5001 || local_port == 5001"])), both(&first, &local));
    assert_eq!(pids(page(&["-i", "lo"])), local.pids());
    // Of the other namespace there is nothing on this one's interface.
    let mine = [u64::from(first.client.pid()), second.client.pid().into()];
    assert_eq!(pids(page(&["-i", Pair::INTERFACE])), mine.into());
    assert_eq!(pids(page(&["-i", Pair::INTERFACE, "port 5001"])), [mine[0]].into());
    assert_eq!(pids(page(&["-p", &mine[1].to_string()])), [mine[1]].into());

    // Processes are told of what they did meanwhile.
    let [by_port, by_interface] = [&["port 5001"][..], &["-i", "lo", "tcp"]].map(|args| top(here, args));
    let hosts = top(here, &["--page", "hosts", "port 5002"]);
    for talk in [&mut first, &mut second, &mut local] {
        talk.go();
    }
    assert_eq!(pids(stop(&by_port)), both(&first, &local));
    assert_eq!(pids(stop(&by_interface)), local.pids());
    let hosts = stop(&hosts);
    let hosts: BTreeSet<&str> = hosts.iter().filter_map(|row| row["remote"].as_str()).collect();
    assert_eq!(hosts, [Pair::CLIENT, Pair::SERVER].into());
}

/// Where control groups can be made: version 2, and the hierarchy of memory of version 1 where it is mounted.
fn hierarchies() -> Vec<PathBuf> {
    let is_v2 = |folder: &&str| Path::new(folder).join("cgroup.controllers").exists();
    let v2 = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].into_iter().find(is_v2);
    let v1 = Some("/sys/fs/cgroup/memory").filter(|folder| Path::new(folder).join("tasks").exists());
    v2.into_iter().chain(v1).map(PathBuf::from).collect()
}

/// A control group that goes with its value, once nobody is in it.
struct Group(PathBuf);

impl Group {
    fn new(hierarchy: &Path, id: &str) -> Self {
        let folder = hierarchy.join(format!("docker-{id}.scope"));
        fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        Self(folder)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn drops_have_their_reason_and_processes_their_container() {
    let hierarchies = hierarchies();
    let ids = ["0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4)];
    let (first, last) =
        (hierarchies.first().expect("there is one"), hierarchies.last().expect("there is one"));
    let groups = [Group::new(first, &ids[0]), Group::new(last, &ids[1])];

    let pair = Pair::new();
    pair.server.lose_incoming("tcp dport 5001 meta length > 1000 numgen inc mod 4 == 0");
    let blindspot = BlindSpot::watch();
    let watch = top(None, &[]);
    let held = [Some(&*groups[0].0), Some(&*groups[1].0)];
    let mut talk = Talk::new(&pair.server, &pair.client, Pair::SERVER, 5_001, held);
    talk.go();
    // Both end, and are told of all the same.
    for program in [&mut talk.client, &mut talk.server] {
        program.say("end");
        assert!(program.wait().success());
    }
    pair.settle();
    let (lost, blind) = (pair.server.nft_counters()["lost"].packets, blindspot.netfilter_drops());
    let rows = stop(&watch);
    let row = |pid: u32| {
        rows.iter().find(|row| number(row, "pid") == u64::from(pid)).unwrap_or_else(|| panic!("{rows:?}"))
    };
    let (server, client) = (row(talk.server.pid()), row(talk.client.pid()));
    assert_eq!((server["container"].as_str(), &server["ended"]), (Some(&*ids[0]), &true.into()));
    assert_eq!((client["container"].as_str(), &client["ended"]), (Some(&*ids[1]), &true.into()));

    assert!(lost > 5, "the rule dropped {lost}");
    let dropped = number(&server["drops_by_reason"], "NETFILTER_DROP");
    assert!((lost - blind..=lost).contains(&dropped), "{lost} dropped, {blind} unseen: {server}");
    assert_eq!(number(server, "drops"), dropped, "no other reason: {server}");
}

fn what_is_wrong_is_said_before_anything_is_loaded() {
    let said = |args: &[&str]| {
        let output = Command::new(agent::binary()).args(["top", "--once"]).args(args).output();
        let output = output.expect("tracenet starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (args, code, words) in [
        (&["port", "nonsense"][..], 2, "bad filter expression 'port nonsense': "),
        (&["inbound"], 2, "tell packets apart, not connections"),
        (&["-Y", "retransmits > 0 && nam == \"x\""], 2, "column 20: nam is neither a field"),
        (&["--page", "connections", "-Y", "container"], 2, "column 1: container is neither a field"),
        (&["--page", "hosts", "--sort", "pid"], 2, "--sort pid: nothing to sort by; one of total_2s, "),
        (&["--page", "nobody"], 2, "processes, connections, hosts"),
        (&["-i", "no-such-if"], 4, "no interface no-such-if in this network namespace"),
    ] {
        let (status, text) = said(args);
        assert!(status == Some(code) && text.contains(words), "{args:?}: {status:?}: {text}");
    }
}
