//! The agent's traces: both halves of a connection in one, by two agents with a NAT between them, and by one agent as
//! viewers read them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde_json::Value;
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::node::{EVERY_TURN, Node, Span, child_of};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, load, wait_for};

fn main() -> ExitCode {
    harness::main(vec![
        case!(two_agents_behind_a_nat_give_both_halves_one_trace, LAB),
        case!(a_trace_of_one_agent_is_one_tree_with_an_edge_between_services, LAB),
        case!(a_connection_that_lives_on_has_a_trace_for_each_chapter, LAB),
    ])
}

const TURNS: u64 = 10;
/// Connections by way: translated source, translated destination, one of two servers by turns.
const WAYS: [(&str, u16, u64); 3] =
    [("10.79.0.2", 8001, 200), ("10.78.0.1", 8000, 150), ("10.78.0.1", 8080, 150)];
/// Of each way so many connections are there before the agents.
const BEFORE: u64 = 30;

/// A client, a router that translates addresses, a server.
struct Road {
    client: Netns,
    server: Netns,
    _router: Netns,
}

impl Road {
    fn new() -> Self {
        let (client, router, server) = (Netns::new("client"), Netns::new("router"), Netns::new("server"));
        let router_file = router.path().display().to_string();
        for (end, near, far, name) in [
            (&client, "10.78.0.1/24", "10.78.0.2/24", "left"),
            (&server, "10.79.0.1/24", "10.79.0.2/24", "right"),
        ] {
            end.ip(&["link", "add", "veth0", "type", "veth", "peer", "name", name, "netns", &router_file]);
            end.ip(&["addr", "add", far, "dev", "veth0"]);
            end.ip(&["link", "set", "veth0", "up"]);
            router.ip(&["addr", "add", near, "dev", name]);
            router.ip(&["link", "set", name, "up"]);
        }
        client.ip(&["route", "add", "default", "via", "10.78.0.1"]);
        // The server has no way back to the client's address: it must have been translated.
        router.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
        router.nft(
            "table ip nat {
                chain prerouting {
                    type nat hook prerouting priority dstnat;
                    iifname left tcp dport 8000 dnat to 10.79.0.2:8001
                    iifname left tcp dport 8080 dnat to numgen inc mod 2 map { 0 : 10.79.0.2 . 8002, 1 : 10.79.0.2 . 8003 }
                }
                chain postrouting {
                    type nat hook postrouting priority srcnat;
                    oifname right masquerade
                }
            }",
        );
        Self { client, server, _router: router }
    }
}

/// Python under a name of its own, so that a selector can tell it from all others.
fn named_python(folder: &std::path::Path, name: &str) -> PathBuf {
    let python = std::fs::canonicalize("/usr/bin/python3").expect("Debian's python");
    let file = folder.join(name);
    std::fs::copy(python, &file).expect("a copy");
    file
}

/// An agent that follows one program alone, within the program's view of processes and mounts.
fn agent_of<'a>(netns: &'a Netns, program: &Program, executable: &str) -> Node<'a> {
    let config = EVERY_TURN.replace(
        "agent:\n",
        &format!("agent:\n  depth: counters\n  selectors:\n  - {{executable: {executable}, depth: turns}}\n"),
    );
    let first = child_of(program.pid()).expect("unshare has started the program").to_string();
    let mut command = netns.command("nsenter");
    command.args(["--target", &first, "--pid", "--mount"]).arg(agent::binary());
    Node::start_as(netns, command, &config, &[])
}

fn ask(program: &mut Program, what: &str) -> Value {
    program.say(what);
    program.json()
}

/// Of each port of the program's own host: the trace of its connection, and its turns by number.
type Half = BTreeMap<(u64, u64), (String, BTreeSet<u64>)>;

fn half(spans: &[Span]) -> Half {
    let mut by_trace: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for turn in spans.iter().filter(|s| s.name == "tcp request") {
        let index = turn.attributes["tracenet.turn.index"].as_u64().expect("a number");
        assert!(by_trace.entry(&turn.trace).or_default().insert(index), "told twice: {turn:?}");
    }
    let connections = spans.iter().filter(|s| s.name == "TCP connection");
    connections
        .map(|s| {
            let port = |end: &str| s.attributes[&format!("network.{end}.port")].as_u64().expect("a port");
            assert_eq!(s.attributes["tracenet.trace_id.source"], "isn_pair", "{s:?}");
            let turns = by_trace.get(s.trace.as_str()).cloned().unwrap_or_default();
            ((port("local"), port("peer")), (s.trace.clone(), turns))
        })
        .collect()
}

fn two_agents_behind_a_nat_give_both_halves_one_trace() {
    let road = Road::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |netns: &Netns, name: &str, args: &[&str]| -> Command {
        let mut command = netns.command("unshare");
        command.args(["--pid", "--fork", "--mount", "--mount-proc", "--kill-child"]);
        command
            .arg(named_python(folder.path(), name))
            .arg("-u")
            .arg(load::script_path("halves.py"))
            .args(args);
        command
    };
    let mut server =
        Program::start(&mut run(&road.server, "halves-serve", &["serve", "8001", "8002", "8003"]));
    server.json();
    let mut client = Program::start(&mut run(&road.client, "halves-call", &["call"]));
    let open = |client: &mut Program, count: &dyn Fn(u64) -> u64| {
        for (address, port, all) in WAYS {
            ask(client, &format!("open {address} {port} {}", count(all)));
        }
    };
    open(&mut client, &|_| BEFORE);
    ask(&mut client, "turns 2");

    let agents =
        [agent_of(&road.client, &client, "halves-call"), agent_of(&road.server, &server, "halves-serve")];
    // Who they are is found out while they do something.
    let old = 3 * BEFORE as usize;
    wait_for("both agents to tell turns of all connections that were there before", || {
        ask(&mut client, "turns 1");
        let traces = |spans: Vec<Span>| spans.into_iter().map(|s| s.trace).collect::<BTreeSet<_>>().len();
        agents.iter().all(|agent| traces(agent.spans()) == old).then_some(())
    });
    open(&mut client, &|all| all - BEFORE);
    ask(&mut client, &format!("turns {TURNS}"));
    ask(&mut client, "close");
    let (calls, answers) = (ask(&mut client, "books"), ask(&mut server, "books"));
    wait_for("the connections to be closed", || road.server.unsettled_sockets().is_empty().then_some(()));
    let [calling, serving] = agents.map(Node::stop);
    for agent in [&calling, &serving] {
        assert_eq!(agent.code, 0, "{}", agent.stderr);
        assert!(!agent.stderr.contains("not exported"), "{}", agent.stderr);
    }

    let (callers, servers) = (half(&calling.spans), half(&serving.spans));
    let calls = calls.as_object().expect("books");
    let all: u64 = WAYS.iter().map(|(_, _, count)| count).sum();
    assert_eq!(calls.len() as u64, all);
    let mut traces = BTreeSet::new();
    let mut turns = 0;
    for (number, call) in calls {
        let answer = &answers[number];
        let key = |book: &Value| {
            let port = |end: &str| book[end][1].as_u64().expect("a port");
            (port("local"), port("remote"))
        };
        let (near, far) = (key(call), key(answer));
        let ours = callers.get(&near).unwrap_or_else(|| panic!("the client's {near:?} is not told: {call}"));
        let theirs =
            servers.get(&far).unwrap_or_else(|| panic!("the server's {far:?} is not told: {answer}"));
        assert_eq!(ours.0, theirs.0, "both halves have one trace: {call} {answer}");
        assert!(traces.insert(&ours.0), "two connections in one trace: {call}");
        assert_eq!(call["turns"], answer["turns"]);
        if call["turns"] == TURNS {
            let every: BTreeSet<u64> = (0..TURNS).collect();
            assert_eq!((&ours.1, &theirs.1), (&every, &every), "every turn of a new connection: {call}");
        } else {
            for half in [&ours.1, &theirs.1] {
                assert!(half.len() as u64 >= TURNS, "{} turns of {call}", half.len());
            }
        }
        turns += ours.1.len() as u64;
    }
    assert!(turns >= all * TURNS, "{turns} turns");
    for (agent, name) in [(&calling, "halves-call"), (&serving, "halves-serve")] {
        for span in &agent.spans {
            assert_eq!(span.resource["service.name"], name, "nobody else is told of: {span:?}");
        }
    }
}

fn a_trace_of_one_agent_is_one_tree_with_an_edge_between_services() {
    assert_trees(20, 30, 20);
}

fn a_connection_that_lives_on_has_a_trace_for_each_chapter() {
    assert_trees(1, 9_000, 3);
}

/// Of the first trace of a connection; that of a further one is `continued`.
const ROOT: &str = "TCP connection";

/// So many connections of so many turns each become so many traces, each a tree.
fn assert_trees(connections: usize, turns: usize, traces: usize) {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Two services: the same program under two names.
    let named = |name: &str| {
        let file = folder.path().join(name);
        std::fs::copy(load::binary(), &file).expect("a copy");
        file
    };
    let address = format!("{}:8001", Pair::SERVER);
    let agent = Node::start(&pair.client, EVERY_TURN);
    let server = Program::start(pair.server.command(named("shop")).args(["serve", &address]));
    server.json();
    let [some, each] = [connections, turns].map(|n| n.to_string());
    let mut client = Program::start(
        pair.client.command(named("web")).args(["client", &address, &some, &each, "2000", "3000", "5"]),
    );
    client.json();
    client.say("go");
    load::books(&client.json(), "local");
    pair.settle();
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let services = ["web", "shop"];
    let told = |s: &&Span| services.iter().any(|name| s.resource["service.name"] == *name);
    let mut by_trace: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in ended.spans.iter().filter(told) {
        by_trace.entry(&span.trace).or_default().push(span);
    }
    assert_eq!(by_trace.len(), traces);
    let mut edges: BTreeMap<(String, String), usize> = BTreeMap::new();
    for spans in by_trace.values() {
        let ids: BTreeMap<&str, &Span> = spans.iter().map(|s| (s.id.as_str(), *s)).collect();
        assert_eq!(ids.len(), spans.len(), "ids are unique");
        let roots: Vec<_> = spans.iter().filter(|s| s.parent.is_empty()).collect();
        assert_eq!(roots.len(), 1, "one root: {roots:#?}");
        assert!(roots[0].name.starts_with(ROOT), "{roots:#?}");
        assert_eq!(roots[0].resource["service.name"], "web");
        for span in spans.iter().filter(|s| !s.parent.is_empty()) {
            let parent = ids.get(span.parent.as_str()).unwrap_or_else(|| panic!("no parent: {span:?}"));
            // The server closes its end after the client has closed its own.
            let until = if span.name.starts_with(ROOT) { span.end } else { parent.end };
            assert!(
                parent.start <= span.start && span.start <= span.end && span.end <= until,
                "a child outside of its parent: {span:?} in {parent:?}"
            );
            let name = |s: &Span| s.resource["service.name"].as_str().expect("a name").to_owned();
            if name(parent) != name(span) {
                *edges.entry((name(parent), name(span))).or_default() += 1;
                assert_eq!(parent.name, span.name, "{span:?}");
            }
            if span.name == "tcp request" {
                let server = span.resource["service.name"] == "shop";
                assert_eq!((span.kind, parent.kind), if server { (2, 3) } else { (3, 1) }, "{span:?}");
                for name in ["peer.service", "service.peer.name"] {
                    let peer = span.attributes.get(name);
                    assert!(peer.is_some_and(|p| *p == if server { "web" } else { "shop" }), "{span:?}");
                }
            }
        }
    }
    let edge = ("web".to_owned(), "shop".to_owned());
    assert_eq!(
        edges.into_iter().collect::<Vec<_>>(),
        [(edge, connections * turns + traces)],
        "each turn, and the root of each trace"
    );
    assert_eq!(ended.spans.iter().filter(told).filter(|s| s.name == ROOT).count(), 2 * connections);
}
