//! The story on the terminal and as JSON lines: the syscall view beside strace, addresses, namespaces, order.

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;
use tracenet_tests::agent::{self, Agent};
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::program::Program;
use tracenet_tests::report::Lost;
use tracenet_tests::{case, load};

const STRACE: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("strace")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(network_calls_read_as_strace_prints_them, STRACE),
        case!(a_connection_stands_together_under_one_id, LAB),
        case!(ipv6_and_dual_stack_sockets_are_told, LAB),
        case!(targets_in_two_namespaces_are_told_apart, LAB),
        case!(datagrams_are_flows_with_turns, LAB),
        case!(a_refused_and_a_reset_connection_are_named, LAB),
        case!(duration_ends_the_story, LAB),
        case!(colour_is_for_terminals_and_on_demand, LAB),
        case!(the_json_story_has_the_documented_fields, LAB),
    ])
}

/// A call without padding, and without the lengths that buffers had before the call: `[128 => 16]` is `[16]`.
/// tracenet reads arguments when the call returns, and knows the later value only.
fn normal(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut later = None;
    for word in line.split_whitespace() {
        if word == "=>" {
            later = words.pop();
        } else if let Some(before) = later.take() {
            words.push(before.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned() + word);
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// The call part of a line of the story: from `NAME(` on.
fn call_of(line: &str, pid: u32) -> Option<&str> {
    let (_, rest) = line.split_once(&format!("[{pid}] "))?;
    let rest = rest.trim_start();
    let name = rest.split('(').next()?;
    (rest.contains(") ") && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).then_some(rest)
}

fn network_calls_read_as_strace_prints_them() {
    let netns = Netns::new("calls");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    let mut program = Program::start(&mut load::script(&netns, "calls.py"));
    let pid = program.pid();
    let mut strace = Command::new("strace");
    strace.args(["-e", "trace=%network", "-p", &pid.to_string(), "-o"]).arg(&theirs);
    let mut strace = Program::start(&mut strace);
    strace.wait_for_stderr("attached");
    let mut command = agent::command();
    command.args(["attach", "-p", &pid.to_string(), "-e", "trace=%network", "--no-packets", "-o"]).arg(&ours);
    let mut agent = Program::start(&mut command);
    agent.wait_for_stderr("attached to");
    program.say("go");
    assert_eq!(program.line(), "done");
    program.finish();
    assert!(agent.wait().success(), "{}", agent.stderr());
    strace.wait();

    let read = |file: &Path| std::fs::read_to_string(file).expect("the file exists");
    let theirs: Vec<String> = read(&theirs).lines().filter(|l| !l.starts_with("+++")).map(normal).collect();
    let ours = read(&ours);
    let ours: Vec<String> = ours.lines().filter_map(|line| call_of(line, pid)).map(normal).collect();
    assert!(theirs.len() > 30, "strace saw the program: {theirs:#?}");
    for (n, (mine, its)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(mine, its, "call {n}");
    }
    assert_eq!(ours.len(), theirs.len(), "{ours:#?}\n{theirs:#?}");
}

/// Runs a load under `attach` without `--json` and returns the text.
fn text_story(netns: &Netns, options: &[&str], port: u16) -> (String, u32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("story");
    let address = format!("127.0.0.1:{port}");
    let _server = load::serve(netns, &address);
    let mut client = load::client(netns, &address, 1, 3, (20, 20), 1);
    let mut command = agent::command();
    command.args(["attach", "-p", &client.pid().to_string(), "-o"]).arg(&file).args(options);
    let mut agent = Program::start(&mut command);
    agent.wait_for_stderr("attached to");
    client.say("go");
    client.json();
    client.finish();
    assert!(agent.wait().success(), "{}", agent.stderr());
    (std::fs::read_to_string(&file).expect("the story"), client.pid())
}

fn a_connection_stands_together_under_one_id() {
    let netns = Netns::new("text");
    let (story, pid) = text_story(&netns, &["-T"], 8001);
    let line = |what: &str| {
        story.lines().position(|l| l.contains(what)).unwrap_or_else(|| panic!("no '{what}' in:\n{story}"))
    };
    let order = [
        line("Flags [S], seq"),
        line("Flags [S.], seq"),
        line("established"),
        line("sendto("),
        line("turn 3:"),
    ];
    assert!(order.is_sorted(), "{order:?}\n{story}");
    // A blocking connect is told when it returns.
    assert!(line("connect(") < line("sendto("), "{story}");
    let connect = story.lines().nth(line("connect(")).expect("found above");
    assert!(connect.contains("sin_port=htons(8001), sin_addr=inet_addr(\"127.0.0.1\")"), "{connect}");
    assert!(connect.ends_with('>') && connect.contains(" <0."), "the time in it (-T): {connect}");
    let id = connect.split_whitespace().nth(1).expect("an id");
    assert!(id.starts_with('c') && id[1..].parse::<u32>().is_ok(), "{connect}");
    for n in &order {
        let found = story.lines().nth(*n).and_then(|l| l.split_whitespace().nth(1));
        assert_eq!(found, Some(id), "{story}");
    }
    let summary =
        story.lines().find(|l| l.starts_with(&format!("{id} "))).unwrap_or_else(|| panic!("{story}"));
    for part in [&format!("[{pid}]"), "3 turns", "closed by FIN"] {
        assert!(summary.contains(part), "no {part}: {summary}");
    }
    let audit = story.lines().find(|l| l.starts_with("audit")).unwrap_or_else(|| panic!("{story}"));
    assert!(audit.contains("TcpRetransSegs"), "{audit}");
    let lost = story.lines().find(|l| l.contains("lost: ")).unwrap_or_else(|| panic!("{story}"));
    for part in ["ring buffer 0", "capture 0", "queues 0", "export 0"] {
        assert!(lost.contains(part), "{lost}");
    }
}

fn ipv6_and_dual_stack_sockets_are_told() {
    let pair = Pair::new();
    let six = format!("[{}]:8001", Pair::SERVER6);
    // One listener for both: its IPv4 peers have IPv4 addresses in the story.
    let mut server = load::serve(&pair.server, "[::]:8001");
    let mut clients = [
        load::client(&pair.client, &six, 3, 4, (1_000, 10_000), 1),
        load::client(&pair.client, &format!("{}:8001", Pair::SERVER), 3, 4, (1_000, 10_000), 2),
    ];
    let pids = [clients[0].pid(), clients[1].pid(), server.pid()];
    let agent = Agent::attach(&pids, &[]);
    let mut books = Vec::new();
    for client in &mut clients {
        client.say("go");
        books.push(load::books(&client.json(), "local"));
    }
    pair.settle();
    let story = agent.stop();
    server.say("report");
    let answered = load::books(&server.json(), "remote");
    assert_eq!(story.summary.connections.len(), 12);
    for (n, books) in books.iter().enumerate() {
        for (local, wanted) in books {
            assert_eq!(local.is_ipv6(), n == 0);
            let ends: Vec<_> = story
                .summary
                .connections
                .iter()
                .filter(|c| c.local == *local || c.remote == *local)
                .collect();
            assert_eq!(ends.len(), 2, "{local}: {ends:?}");
            for end in ends {
                let (pid, sent) = match end.role.as_str() {
                    "client" => (pids[n], wanted.sent),
                    _ => (pids[2], wanted.received),
                };
                assert_eq!((end.pid, end.bytes_sent, end.turns), (pid, sent, 4), "{end:?}");
                assert!(end.rtt_ns.is_some(), "its packets were seen: {end:?}");
            }
        }
    }
    assert_eq!(answered.len(), 6);
    let packets = story.kind("packet");
    assert!(packets.iter().any(|p| p.to_string().contains(Pair::SERVER6)));
    assert_eq!(story.summary.lost, Lost::NOTHING);
}

fn targets_in_two_namespaces_are_told_apart() {
    // The same addresses and ports in both: only the namespace tells them apart.
    let pairs = [Pair::new(), Pair::new()];
    let address = format!("{}:8001", Pair::SERVER);
    let _servers = [0, 1].map(|n| load::serve(&pairs[n].server, &address));
    for pair in &pairs {
        pair.client.run("sysctl", &["-qw", "net.ipv4.ip_local_port_range=40000 40009"]);
    }
    let mut clients =
        [0, 1].map(|n: usize| load::client(&pairs[n].client, &address, 8, 3 + n as u64, (500, 500), 1));
    let pids = [clients[0].pid(), clients[1].pid()];
    let agent = Agent::attach(&pids, &["-e", "trace=none"]);
    for client in &mut clients {
        client.say("go");
    }
    let books = [0, 1].map(|n: usize| load::books(&clients[n].json(), "local"));
    for pair in &pairs {
        pair.settle();
    }
    let story = agent.stop();
    assert_eq!(story.summary.connections.len(), 16);
    for n in 0..2 {
        for connection in story.summary.of(pids[n]) {
            assert_eq!(connection.netns, pairs[n].client.inode());
            let wanted = books[n][&connection.local];
            assert_eq!(
                (connection.bytes_sent, connection.turns),
                (wanted.sent, wanted.turns),
                "{connection:?}"
            );
            assert!(connection.rtt_ns.is_some(), "captured in its own namespace: {connection:?}");
        }
        story.summary.audit("TcpRetransSegs", pairs[n].client.inode());
    }
    let shared = books[0].keys().filter(|local| books[1].contains_key(local)).count();
    assert!(shared > 0, "some addresses are the same");
}

fn datagrams_are_flows_with_turns() {
    let pair = Pair::new();
    for (host, port) in [(Pair::SERVER, "8003"), (Pair::SERVER6, "8004")] {
        let server = Program::start(load::script(&pair.server, "datagrams.py").args(["serve", host, port]));
        server.json();
        let mut client =
            Program::start(load::script(&pair.client, "datagrams.py").args(["client", host, port, "40"]));
        client.json();
        let agent = Agent::attach(&[client.pid(), server.pid()], &["-e", "trace=none"]);
        client.say("go");
        let said = client.json();
        client.finish();
        let story = agent.stop();
        let flow = story.summary.of(client.pid()).next().expect("the client's flow");
        assert_eq!((flow.transport.as_str(), flow.role.as_str(), flow.turns), ("udp", "client", 40));
        assert_eq!(Some(flow.bytes_sent), said["sent"].as_u64());
        assert_eq!(Some(flow.bytes_received), said["received"].as_u64());
        let bytes: u64 = story.summary.of(server.pid()).map(|c| c.bytes_received).sum();
        assert_eq!(Some(bytes), said["sent"].as_u64(), "{:?}", story.summary.connections);
    }
}

fn a_refused_and_a_reset_connection_are_named() {
    let netns = Netns::new("reset");
    let mut program = Program::start(netns.command("/usr/bin/python3").args([
        "-u",
        "-c",
        "import socket, struct, sys\n\
         print('ready'); sys.stdin.readline()\n\
         refused = socket.socket(); print(refused.connect_ex(('127.0.0.1', 1))); refused.close()\n\
         listener = socket.create_server(('127.0.0.1', 8001))\n\
         client = socket.create_connection(('127.0.0.1', 8001)); server, _ = listener.accept()\n\
         server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); server.close()\n\
         try: client.recv(1)\n\
         except ConnectionResetError: print('reset')\n\
         client.close(); sys.stdin.readline()",
    ]));
    program.line();
    let agent = Agent::attach(&[program.pid()], &["-e", "trace=none"]);
    program.say("go");
    assert_eq!(program.line(), "111");
    assert_eq!(program.line(), "reset");
    program.say("end");
    let story = agent.ended();
    let of = |port: u16, role: &str| {
        let found = story.summary.connections.iter().find(|c| {
            c.role == role && (if role == "client" { c.remote.port() } else { c.local.port() }) == port
        });
        found.unwrap_or_else(|| panic!("no {role} at {port}: {:?}", story.summary.connections)).close.clone()
    };
    assert_eq!(of(1, "client"), "reset_received");
    assert_eq!(of(8001, "client"), "reset_received");
    assert_eq!(of(8001, "server"), "reset_sent");
}

fn duration_ends_the_story() {
    let netns = Netns::new("idle");
    let target = Program::start(netns.command("cat").arg("-"));
    let agent = Agent::attach(&[target.pid()], &["--duration", "300ms"]);
    let story = agent.ended();
    assert!(
        (300_000_000..5_000_000_000).contains(&story.summary.duration_ns),
        "{}",
        story.summary.duration_ns
    );
    assert!(story.summary.targets[0].exit.is_null());
}

fn colour_is_for_terminals_and_on_demand() {
    let netns = Netns::new("colour");
    let (plain, _) = text_story(&netns, &[], 8001);
    assert!(!plain.contains('\u{1b}'), "a file gets no colour");
    let (coloured, _) = text_story(&netns, &["--color", "always"], 8002);
    assert!(coloured.contains("\u{1b}["), "unless it is asked for");
}

fn the_json_story_has_the_documented_fields() {
    let pair = Pair::new();
    pair.server.lose_incoming("tcp dport 8001 numgen random mod 100 < 10");
    let address = format!("{}:8001", Pair::SERVER);
    let _server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, 10, 10, (1_000, 1_000), 1);
    let agent = Agent::attach(&[client.pid()], &[]);
    client.say("go");
    client.json();
    client.finish();
    let story = agent.ended();
    let mut events = story.events();
    let first = events.next().expect("a story");
    assert_eq!(first["kind"], "attached", "{first}");
    let mut kinds = std::collections::BTreeSet::new();
    let ids: Vec<&str> = story.summary.connections.iter().map(|c| c.id.as_str()).collect();
    for event in story.events().skip(1) {
        let kind = event["kind"].as_str().unwrap_or_else(|| panic!("no kind: {event}")).to_owned();
        assert!(event["t_ns"].as_u64().is_some(), "integer nanoseconds: {event}");
        if let Some(conn) = event["conn"].as_str() {
            assert!(ids.contains(&conn), "{event}");
        }
        if kind == "syscall" {
            assert_eq!(event["pid"], client.pid(), "{event}");
            assert!(event["tid"].as_u64().is_some() && event["conn"].is_string() || event["conn"].is_null());
        }
        assert_floats(&event);
        kinds.insert(kind);
    }
    for kind in ["syscall", "packet", "retransmit", "drop", "turn"] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
}

/// Times and counts are integers.
fn assert_floats(value: &Value) {
    match value {
        Value::Number(n) => assert!(n.is_u64() || n.is_i64(), "{n} is not an integer"),
        Value::Array(all) => all.iter().for_each(assert_floats),
        Value::Object(map) => map.values().for_each(assert_floats),
        _ => {}
    }
}
