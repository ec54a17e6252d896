//! Each kind of selector takes its process, and no other.

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};

use tracenet_tests::cgroup::Group;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::kube_api::{KubeApi, container_id, pod};
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{EVERY_TURN, Node};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, load, wait_for};

const NEEDS: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("ss")];

fn main() -> ExitCode {
    harness::main(vec![case!(each_kind_of_selector_takes_its_process_and_no_other, NEEDS)])
}

fn ask(program: &mut Program, what: &str) {
    program.say(what);
    program.json();
}

fn each_kind_of_selector_takes_its_process_and_no_other() {
    let netns = Netns::new("chosen");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let named = folder.path().join("chosen-by-name");
    let python = std::fs::canonicalize("/usr/bin/python3").expect("Debian's python");
    std::fs::copy(&python, &named).expect("a copy");

    let api = netns.inside(KubeApi::start);
    api.set(pod("shop", 7, "here"));
    let (in_pod, alone) = (container_id(7), container_id(8));
    let config = EVERY_TURN.replace(
        "agent:\n  kubernetes: {enabled: false}\n",
        &format!(
            "agent:
  kubernetes: {{enabled: true, node: here}}
  depth: counters
  selectors:
  - {{executable: chosen-by-name, depth: turns}}
  - {{cgroup: '/chosen-*/by-path', depth: turns}}
  - {{unit: chosen.service, depth: turns}}
  - {{container: '{}*', depth: turns}}
  - {{namespace: shop, pod_labels: {{app.kubernetes.io/name: web}}, depth: turns}}
  - {{port: 8105, depth: turns}}
",
            &alone[..12]
        ),
    );
    let agent = Node::start_as(&netns, netns.command(agent::binary()), &config, &["--kube-api", &api.url()]);

    let groups = [
        Group::new("/chosen-group/by-path"),
        Group::new("/system.slice/chosen.service"),
        Group::new(&format!("/system.slice/docker-{alone}.scope")),
        Group::new(&format!("/kubepods/burstable/pod1b4e28ba-2fa1-11d2-883f-000000000007/{in_pod}")),
        Group::new("/system.slice/other.service"),
    ];
    let script = |mut command: Command, args: &[&str]| {
        Program::start(command.arg("-u").arg(load::script_path("halves.py")).args(args))
    };
    let serve = |port: &str| {
        let server = script(netns.command(&python), &["serve", port]);
        server.json();
        server
    };
    let (other, by_port) = (serve("8001"), serve("8105"));
    let in_group = |group: &Group| {
        let mut command = netns.command(&python);
        group.enter(&mut command);
        script(command, &["call"])
    };
    let mut callers = vec![script(netns.command(&named), &["call"])];
    callers.extend(groups.iter().map(in_group));
    for caller in &mut callers {
        ask(caller, "open 127.0.0.1 8001 1");
        ask(caller, "open 127.0.0.1 8105 1");
    }
    let left_out = [callers[5].pid(), other.pid()];
    let chosen: BTreeSet<u64> =
        callers[..5].iter().chain([&by_port]).map(|program| u64::from(program.pid())).collect();
    let ours: BTreeSet<u64> = chosen.iter().copied().chain(left_out.map(u64::from)).collect();
    let told = || {
        let spans = agent.spans();
        let turns = spans.iter().filter(|s| s.name == "tcp request");
        let pids: BTreeSet<u64> = turns.filter_map(|s| s.resource["process.pid"].as_u64()).collect();
        pids.intersection(&ours).copied().collect::<BTreeSet<u64>>()
    };
    wait_for("turns of all that are chosen", || {
        callers.iter_mut().for_each(|caller| ask(caller, "turns 1"));
        (told().len() >= chosen.len()).then_some(())
    });
    callers.iter_mut().for_each(|caller| ask(caller, "turns 5"));
    callers.iter_mut().for_each(|caller| ask(caller, "close"));
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told: BTreeSet<u64> = ended
        .spans
        .iter()
        .filter(|s| s.name == "tcp request")
        .filter_map(|s| s.resource["process.pid"].as_u64())
        .filter(|pid| ours.contains(pid))
        .collect();
    assert_eq!(told, chosen, "turns of those that are chosen, and of nobody else");
    drop(callers);
}
