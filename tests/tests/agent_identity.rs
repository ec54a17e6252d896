//! Who did it: the container of every process, however short it lived.

use std::collections::BTreeMap;
use std::process::{Child, Command, ExitCode, Stdio};

use tracenet_tests::cgroup::Group;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::kube_api::container_id;
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{EVERY_TURN, Node};
use tracenet_tests::{case, load, wait_for};

const NEEDS: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("ss"), Need::Tool("bash")];

fn main() -> ExitCode {
    harness::main(vec![case!(two_hundred_short_lived_processes_have_their_containers, NEEDS)])
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
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for point in &ended.points {
        if point.name == "tracenet.tcp.connections"
            && point.attributes["role"] == "client"
            && let Some(id) = point.resource.get("container.id").and_then(|id| id.as_str())
        {
            *sums.entry(id).or_default() += point.value;
        }
    }
    for (id, _) in &groups {
        assert_eq!(sums.get(id.as_str()), Some(&(EACH as u64)), "connections of {id}");
    }
}
