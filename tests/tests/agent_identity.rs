//! Who did it: the container of every process, however short it lived.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tracenet_tests::cgroup::Group;
use tracenet_tests::container::{Container, Containers};
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::kube_api::container_id;
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{EVERY_TURN, Ended, Node, Span};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, load, wait_for};

const NEEDS: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("ss"), Need::Tool("bash")];
const RUNC: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("ss"), Need::Runc];
const PODMAN: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("ss"), Need::Podman];

fn main() -> ExitCode {
    harness::main(vec![
        case!(two_hundred_short_lived_processes_have_their_containers, NEEDS),
        case!(a_connection_that_outlives_its_process_has_its_container, LAB),
        case!(two_hundred_containers_of_runc_have_their_ids, RUNC),
        case!(containers_of_podman_have_their_ids, PODMAN),
        case!(a_container_of_podman_has_its_name, PODMAN),
    ])
}

/// One request of one byte, one byte as the answer, and the end.
const ONE_TURN: &str = r"exec 3<>/dev/tcp/127.0.0.1/8001; printf '\0\0\0\1\0\0\0\1q' >&3; read -r -N1 -u3";

/// As containerd with cgroupfs, containerd with systemd, CRI-O, Docker, and podman name them.
fn path_of(container: u64, id: &str) -> String {
    let uid = format!("1b4e28ba-2fa1-11d2-883f-{container:012x}");
    let slice = uid.replace('-', "_");
    match container % 5 {
        0 => format!("/kubepods/burstable/pod{uid}/{id}"),
        1 => format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-{id}.scope"
        ),
        2 => format!("/kubepods.slice/kubepods-pod{slice}.slice/crio-{id}.scope"),
        3 => format!("/system.slice/docker-{id}.scope"),
        _ => format!("/machine.slice/libpod-{id}.scope"),
    }
}

fn two_hundred_short_lived_processes_have_their_containers() {
    const CONTAINERS: u64 = 20;
    const EACH: usize = 10;
    let netns = Netns::new("short");
    let _server = load::serve(&netns, "127.0.0.1:8001");
    let agent = Node::start(&netns, EVERY_TURN);
    let groups: Vec<(String, Group)> = (0..CONTAINERS)
        .map(|n| {
            let id = container_id(n);
            let group = Group::new(&path_of(n, &id));
            (id, group)
        })
        .collect();
    let mut expected = BTreeMap::new();
    for _ in 0..EACH {
        // As many at once as there are containers.
        let mut running: Vec<Child> = Vec::new();
        for (id, group) in &groups {
            let mut command: Command = netns.command("bash");
            command.args(["-c", ONE_TURN]).stdin(Stdio::null());
            group.enter(&mut command);
            let child = command.spawn().expect("bash starts");
            expected.insert(u64::from(child.id()), id.clone());
            running.push(child);
        }
        for mut child in running {
            assert!(child.wait().expect("a child can be waited for").success());
        }
    }
    assert_eq!(expected.len(), CONTAINERS as usize * EACH, "no process id was used twice");

    let found = wait_for("a span of each process", || {
        let spans = agent.spans();
        let by_pid: BTreeMap<u64, Option<String>> = spans
            .iter()
            .filter(|s| s.name == "tcp request" && s.kind == 3)
            .map(|s| {
                let container = s.resource.get("container.id").and_then(|id| id.as_str()).map(str::to_owned);
                (s.resource["process.pid"].as_u64().expect("a pid"), container)
            })
            .filter(|(pid, _)| expected.contains_key(pid))
            .collect();
        (by_pid.len() == expected.len()).then_some(by_pid)
    });
    for (pid, id) in &expected {
        assert_eq!(found[pid].as_ref(), Some(id), "process {pid}");
    }
    // Their sums are told by container too, and are complete.
    let ended = agent.stop();
    let sums = connections_by_container(&ended);
    for (id, _) in &groups {
        assert_eq!(sums.get(id.as_str()), Some(&(EACH as u64)), "connections of {id}");
    }
}

/// Connections that were opened, by container, as the agent's last metrics tell them.
fn connections_by_container(ended: &Ended) -> BTreeMap<&str, u64> {
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for point in &ended.points {
        if point.name == "tracenet.tcp.connections"
            && point.attributes["role"] == "client"
            && let Some(id) = text(&point.resource, "container.id")
        {
            *sums.entry(id).or_default() += point.value;
        }
    }
    sums
}

fn text<'a>(attributes: &'a serde_json::Map<String, serde_json::Value>, key: &str) -> Option<&'a str> {
    attributes.get(key).and_then(|value| value.as_str())
}

/// The request of [`ONE_TURN`], as a file.
const REQUEST: &[(&str, &[u8])] = &[("request", b"\0\0\0\x01\0\0\0\x01q")];

/// Where a process of a container goes to and nobody else: the first by itself once its child, the second, has been there.
fn goal(container: usize, process: u8) -> String {
    format!("127.1.{container}.{process}")
}

fn two_exchanges(container: usize) -> String {
    let [first, second] = [1, 2].map(|process| goal(container, process));
    format!("nc {second} 8001 </request && exec nc {first} 8001 </request")
}

/// Runs so many containers of two exchanges each, some at a time, while an agent follows everybody, and holds what the
/// agent says of each against what the runtime said and what the server saw.
fn have_their_ids(netns: &Netns, count: usize, run: impl Fn(usize) -> Result<Container, String> + Sync) {
    const AT_ONCE: usize = 4;
    let mut server = load::serve(netns, "0.0.0.0:8001");
    let agent = Node::start(netns, EVERY_TURN);
    let ran: Vec<Container> = std::thread::scope(|scope| {
        let run = &run;
        let some =
            |first| scope.spawn(move || (first..count).step_by(AT_ONCE).map(|n| (n, run(n))).collect());
        let threads: Vec<_> = (0..AT_ONCE).map(some).collect();
        let all: Vec<Vec<_>> = threads.into_iter().map(|t| t.join().expect("no panic")).collect();
        let all: BTreeMap<usize, _> = all.into_iter().flatten().collect();
        all.into_iter().map(|(n, ran)| ran.unwrap_or_else(|why| panic!("container {n}: {why}"))).collect()
    });
    server.say("report");
    let served = load::books(&server.json(), "local");
    assert_eq!(served.len(), 2 * count);

    let at = |span: &Span, key: &str| text(&span.attributes, key).map(str::to_owned);
    // Once, at the end: the spans of all that happens on the host meanwhile are many.
    let ended = agent.stop();
    let spans = &ended.spans;
    for (n, container) in ran.iter().enumerate() {
        for process in [1, 2] {
            let goal = goal(n, process);
            assert!(served.keys().any(|a| a.ip() == goal.parse::<IpAddr>().expect("an address")), "{goal}");
            let of = |key| spans.iter().filter(|s| at(s, key).as_deref() == Some(&goal)).collect::<Vec<_>>();
            let (client, server) = (of("network.peer.address"), of("network.local.address"));
            for (side, id) in [(&client, Some(container.id.as_str())), (&server, None)] {
                assert_eq!(side.iter().filter(|s| s.name == "tcp request").count(), 1, "{goal}: {side:?}");
                for span in side {
                    assert_eq!(
                        text(&span.resource, "container.id"),
                        id,
                        "{goal}: {}: {:?}",
                        span.name,
                        span.resource
                    );
                }
            }
            for span in client {
                let pid = span.resource["process.pid"].as_u64().expect("a pid");
                assert_eq!(pid == u64::from(container.pid), process == 1, "{container:?}: {span:?}");
            }
        }
    }
    let sums = connections_by_container(&ended);
    for container in &ran {
        assert_eq!(sums.get(container.id.as_str()), Some(&2), "connections of {container:?}");
    }
}

fn a_connection_that_outlives_its_process_has_its_container() {
    let netns = Netns::new("outlived");
    let _server = load::serve(&netns, "127.0.0.1:8001");
    let agent = Node::start(&netns, EVERY_TURN);
    let id = container_id(0);
    let group = Group::new(&path_of(3, &id));
    let mut command = netns.command("bash");
    command.args(["-c", &format!("{ONE_TURN}; echo done; read -r")]);
    group.enter(&mut command);
    let mut client = Program::start(&mut command);
    let pid = u64::from(client.pid());
    assert_eq!(client.line(), "done");
    netns.lose_incoming("tcp dport 8001");
    client.close_stdin();
    client.wait();
    // Nobody acknowledges its end; meanwhile the agent reads the account of who has ended for the last time.
    let since = Instant::now();
    wait_for("some looks at everything", || (since.elapsed() > Duration::from_secs(4)).then_some(()));
    let of_client = || {
        let mut spans = agent.spans();
        spans.retain(|s| s.resource["process.pid"].as_u64() == Some(pid));
        spans
    };
    assert!(of_client().iter().all(|s| s.name != "TCP connection"), "it is not over");
    netns.nft("flush ruleset");
    let spans = wait_for("the connection to be told", || {
        Some(of_client()).filter(|spans| spans.iter().any(|s| s.name == "TCP connection"))
    });
    for span in &spans {
        assert_eq!(text(&span.resource, "container.id"), Some(id.as_str()), "{span:?}");
    }
    assert_eq!(agent.stop().code, 0);
}

fn two_hundred_containers_of_runc_have_their_ids() {
    let netns = Netns::new("runc");
    let containers = Containers::new(REQUEST).expect("busybox and runc");
    have_their_ids(&netns, 200, |n| {
        let id = container_id(n as u64);
        containers.runc(&netns, &path_of(n as u64, &id), &id, &two_exchanges(n))
    });
}

/// A name that no other run of the tests gives.
fn podman_name(n: usize) -> String {
    format!("tracenet-test-{}-{n}", std::process::id())
}

fn containers_of_podman_have_their_ids() {
    let netns = Netns::new("podman");
    let containers = Containers::new(REQUEST).expect("busybox and runc");
    have_their_ids(&netns, 20, |n| containers.podman(&netns, &podman_name(n), &two_exchanges(n)));
}

fn a_container_of_podman_has_its_name() {
    let netns = Netns::new("named");
    let containers = Containers::new(&[]).expect("busybox and runc");
    let name = podman_name(0);
    let container = containers.podman_behind(&netns, &name, "sleep 1000").expect("it starts");
    let output = agent::command().args(["whois", "--json", &container.pid.to_string()]).output();
    containers.podman_remove(&name).expect("it is removed");
    let told: serde_json::Value =
        serde_json::from_slice(&output.expect("tracenet starts").stdout).expect("one object");
    let expected = serde_json::json!({"id": container.id, "runtime": "podman", "name": name, "image": null});
    assert_eq!(told["container"], expected, "{told}");
}
