//! Drops on the agent's spans, and the rules behind them: named where the agent may ask for them, in whatever network
//! namespace they are.

use std::cell::Cell;
use std::process::ExitCode;

use serde_json::{Map, Value};
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::netns::Pair;
use tracenet_tests::node::{EVERY_TURN, Node, Span};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, load, wait_for};

const SETPRIV: &[Need] = &[LAB[0], LAB[1], LAB[2], LAB[3], LAB[4], Need::Tool("setpriv")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(the_rule_of_another_namespace_is_named, LAB),
        case!(the_profile_for_it_is_enough, SETPRIV),
        case!(without_the_capability_drops_are_told_without_a_rule, SETPRIV),
    ])
}

const ADDRESS: &str = "10.77.0.2:8001";

/// Two namespaces; that of the server drops every eighth request, and has rules that drop nothing of it.
struct Lossy {
    pair: Pair,
    _server: Program,
    plays: Cell<u64>,
}

impl Lossy {
    fn new() -> Self {
        let pair = Pair::new();
        pair.server.nft(
            "table ip lossy {
                chain in {
                    type filter hook input priority 0;
                    tcp dport 9 counter drop
                    tcp dport 8001 meta length > 100 numgen inc mod 8 == 5 counter drop
                    udp dport 8001 counter drop
                }
            }",
        );
        let server = load::serve(&pair.server, ADDRESS);
        Self { pair, _server: server, plays: Cell::new(0) }
    }

    /// As the spans name the rule.
    fn rule(&self) -> String {
        let listing = self.pair.server.run("nft", &["-a", "list", "ruleset"]);
        let line = listing.lines().find(|l| l.contains("meta length")).expect("the rule is there");
        format!("ip lossy in {}", line.rsplit(' ').next().expect("a handle"))
    }

    fn play(&self) {
        self.plays.update(|n| n + 1);
        let mut client = load::client(&self.pair.client, ADDRESS, 2, 20, (500, 100), self.plays.get());
        client.say("go");
        client.json();
    }
}

/// What the spans of both ends say of drops.
fn drops(spans: Vec<Span>) -> Vec<Map<String, Value>> {
    let load = spans.into_iter().filter(|s| s.resource["service.name"] == "load");
    let events = load.flat_map(|s| s.events);
    events.filter(|(name, _)| name == "tracenet.drop").map(|(_, attributes)| attributes).collect()
}

fn the_rule_of_another_namespace_is_named() {
    let lossy = Lossy::new();
    let agent = Node::start(&lossy.pair.client, EVERY_TURN);
    wait_for("a drop whose rule is named", || {
        lossy.play();
        drops(agent.spans()).iter().any(|d| d.contains_key("rule")).then_some(())
    });
    lossy.play();
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("rules"), "{}", ended.stderr);
    let turns = ended.spans.iter().filter(|s| s.name == "tcp request");
    let hit = turns.flat_map(|s| &s.events).filter(|(name, _)| name == "tracenet.drop").count();
    assert!(hit > 0, "a lost request is its turn's");
    let (all, rule) = (drops(ended.spans), lossy.rule());
    println!("{} drops, {} with a rule", all.len(), all.iter().filter(|d| d.contains_key("rule")).count());
    for drop in &all {
        assert_eq!(
            (&drop["reason"], &drop["why"]),
            (&"NETFILTER_DROP".into(), &"firewall_rule".into()),
            "{drop:?}"
        );
        if let Some(named) = drop.get("rule") {
            assert_eq!(*named, rule.as_str(), "{drop:?}");
            // No other rule of the three fits what was dropped.
            assert!(drop["rule.sure"] == "proven" || drop["rule.sure"] == "only_candidate", "{drop:?}");
        }
    }
}

/// The agent with these capabilities and no others, nor new ones.
fn confined<'a>(lossy: &'a Lossy, capabilities: &str) -> Node<'a> {
    let mut command = lossy.pair.client.command("setpriv");
    command.arg(format!("--bounding-set=-all,{capabilities}")).arg("--no-new-privs").arg(agent::binary());
    Node::start_as(&lossy.pair.client, command, EVERY_TURN, &[])
}

fn the_profile_for_it_is_enough() {
    let lossy = Lossy::new();
    let agent =
        confined(&lossy, "+bpf,+perfmon,+net_raw,+sys_ptrace,+dac_read_search,+sys_admin,+net_admin,+syslog");
    wait_for("a drop whose rule is named", || {
        lossy.play();
        drops(agent.spans()).iter().any(|d| d.contains_key("rule")).then_some(())
    });
    assert_eq!(agent.stop().code, 0);
}

fn without_the_capability_drops_are_told_without_a_rule() {
    let lossy = Lossy::new();
    let agent = confined(&lossy, "+bpf,+perfmon,+sys_ptrace,+dac_read_search");
    wait_for("a drop", || {
        lossy.play();
        (!drops(agent.spans()).is_empty()).then_some(())
    });
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("rules"), "nothing to warn of: {}", ended.stderr);
    assert!(drops(ended.spans).iter().all(|d| !d.contains_key("rule")));
}
