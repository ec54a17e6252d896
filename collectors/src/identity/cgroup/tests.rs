//! Forms of cgroup paths as they occur, each with where it comes from.

use super::*;

const ID: &str = "3f29f1c3a0b14e5d8c7b6a5948372615f0e1d2c3b4a5968778695a4b3c2d1e0f";
const OUTER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const UID: &str = "1b4e28ba-2fa1-11d2-883f-b9a761bde3fb";
const HASH: &str = "0123456789abcdef0123456789abcdef";

/// A line of the table in words: `cri-o ID`, `pod UID Burstable`, `lxc web`, `nginx.service`, `user 1000 x.service`.
fn told(cgroup: &Cgroup) -> String {
    let mut words = Vec::new();
    if let Some(c) = &cgroup.container {
        words.push(format!("{} {}", c.runtime.map_or("container", Runtime::name), c.id));
    }
    if let Some(pod) = &cgroup.pod {
        words.push(format!("pod {} {}", pod.uid, pod.qos.map_or("?", Qos::name)));
    }
    if let Some(machine) = &cgroup.machine {
        words.push(format!("{} {}", machine.manager.name(), machine.name));
    }
    if let Some(unit) = &cgroup.unit {
        let user = unit.user.map(|uid| format!("user {uid} ")).unwrap_or_default();
        words.push(format!("{user}{}", unit.name));
    }
    words.join(", ")
}

/// Source, `/proc/PID/cgroup`, what is told of it. ID, OUTER, UID, UID_ and HASH stand for the constants above.
const FORMS: &[(&str, &str, &str)] = &[
    // Kubernetes, systemd driver.
    (
        "containerd, systemd, v2",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/cri-containerd-ID.scope",
        "containerd ID, pod UID Burstable",
    ),
    (
        "containerd, systemd, v2, best effort",
        "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUID_.slice/cri-containerd-ID.scope",
        "containerd ID, pod UID BestEffort",
    ),
    (
        "containerd, systemd, v2, guaranteed",
        "0::/kubepods.slice/kubepods-podUID_.slice/cri-containerd-ID.scope",
        "containerd ID, pod UID Guaranteed",
    ),
    (
        "CRI-O, systemd, v2 (OpenShift)",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/crio-ID.scope",
        "cri-o ID, pod UID Burstable",
    ),
    (
        "CRI-O with crun, its sub-cgroup",
        "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUID_.slice/crio-ID.scope/container",
        "cri-o ID, pod UID BestEffort",
    ),
    (
        "CRI-O's monitor in the pod's slice",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/crio-conmon-ID.scope",
        "pod UID Burstable",
    ),
    (
        "cri-dockerd, systemd",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/docker-ID.scope",
        "docker ID, pod UID Burstable",
    ),
    (
        "static pod, systemd",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podHASH.slice/cri-containerd-ID.scope",
        "containerd ID, pod HASH Burstable",
    ),
    (
        "systemd in a pod's container",
        "0::/kubepods.slice/kubepods-podUID_.slice/crio-ID.scope/system.slice/nginx.service",
        "cri-o ID, pod UID Guaranteed, nginx.service",
    ),
    (
        "a pod's cgroup itself (kata shim)",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice",
        "pod UID Burstable",
    ),
    (
        "kubelet with --cgroup-root",
        "0::/workload.slice/workload-kubepods.slice/workload-kubepods-podUID_.slice/cri-containerd-ID.scope",
        "containerd ID, pod UID Guaranteed",
    ),
    // Kubernetes, cgroupfs driver.
    ("containerd, cgroupfs, v2", "0::/kubepods/burstable/podUID/ID", "container ID, pod UID Burstable"),
    ("containerd, cgroupfs, guaranteed", "0::/kubepods/podUID/ID", "container ID, pod UID Guaranteed"),
    ("k3s, cgroupfs", "0::/kubepods/besteffort/podUID/ID", "container ID, pod UID BestEffort"),
    ("static pod, cgroupfs", "0::/kubepods/besteffort/podHASH/ID", "container ID, pod HASH BestEffort"),
    ("CRI-O, cgroupfs", "0::/kubepods/burstable/podUID/crio-ID", "cri-o ID, pod UID Burstable"),
    ("CRI-O's monitor, cgroupfs", "0::/kubepods/burstable/podUID/crio-conmon-ID", "pod UID Burstable"),
    (
        "v1, cgroupfs (EKS, AL2)",
        "11:memory:/kubepods/burstable/podUID/ID\n10:cpu,cpuacct:/kubepods/burstable/podUID/ID\n1:name=systemd:/kubepods/burstable/podUID/ID",
        "container ID, pod UID Burstable",
    ),
    (
        "v1, systemd (GKE)",
        "12:pids:/kubepods.slice/kubepods-podUID_.slice/cri-containerd-ID.scope\n1:name=systemd:/kubepods.slice/kubepods-podUID_.slice/cri-containerd-ID.scope",
        "containerd ID, pod UID Guaranteed",
    ),
    (
        "hybrid: only the controllers are told",
        "12:pids:/kubepods/podUID/ID\n1:name=systemd:/\n0::/",
        "container ID, pod UID Guaranteed",
    ),
    // The colon form of runc, where kubelet and runtime disagree about the driver.
    (
        "containerd, wrong driver",
        "0::/system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:ID",
        "containerd ID, pod UID Burstable",
    ),
    (
        "CRI-O, wrong driver",
        "4:cpu:/kubepods-besteffort-podUID_.slice:crio:ID",
        "cri-o ID, pod UID BestEffort",
    ),
    ("docker, wrong driver", "4:cpu:/system.slice:docker:ID", "docker ID"),
    // Seen from within a cgroup namespace.
    ("agent in a pod, v2", "0::/../../podUID/ID", "container ID, pod UID ?"),
    ("agent in a pod, same pod", "0::/../cri-containerd-ID.scope", "containerd ID"),
    (
        "agent in a pod, another class",
        "0::/../../kubepods-besteffort.slice/kubepods-besteffort-podUID_.slice/cri-containerd-ID.scope",
        "containerd ID, pod UID BestEffort",
    ),
    ("a service, seen from a container", "0::/../../system.slice/sshd.service", "sshd.service"),
    // Nested.
    (
        "kind",
        "0::/docker/OUTER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID_.slice/cri-containerd-ID.scope",
        "containerd ID, pod UID Guaranteed",
    ),
    (
        "kind, systemd driver outside",
        "0::/system.slice/docker-OUTER.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podUID_.slice/cri-containerd-ID.scope",
        "containerd ID, pod UID Burstable",
    ),
    (
        "kind, v1",
        "8:memory:/docker/OUTER/kubelet/kubepods/besteffort/podUID/ID",
        "container ID, pod UID BestEffort",
    ),
    ("kind's own kubelet", "0::/docker/ID/system.slice/kubelet.service", "docker ID, kubelet.service"),
    ("minikube", "5:cpu:/docker/OUTER/kubepods/burstable/podUID/ID", "container ID, pod UID Burstable"),
    ("a pod's cgroup in kind", "0::/docker/OUTER/kubepods/podUID", "pod UID Guaranteed"),
    ("docker in a pod", "0::/kubepods/besteffort/podUID/OUTER/docker/ID", "docker ID, pod UID BestEffort"),
    // Docker, containerd and podman by themselves.
    ("docker, systemd", "0::/system.slice/docker-ID.scope", "docker ID"),
    ("docker, cgroupfs", "0::/docker/ID", "docker ID"),
    ("docker, init of its own", "0::/docker/ID/init.scope", "docker ID, init.scope"),
    ("docker, v1", "3:cpu:/\n2:memory:/docker/ID", "docker ID"),
    (
        "docker, rootless",
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
        "docker ID",
    ),
    ("GitHub's runner", "0::/actions_job/ID", "container ID"),
    ("ctr, namespace k8s.io", "0::/k8s.io/ID", "containerd ID"),
    ("nerdctl, cgroupfs", "0::/default/ID", "containerd ID"),
    ("nerdctl, systemd", "0::/system.slice/nerdctl-ID.scope", "containerd ID"),
    ("podman", "0::/machine.slice/libpod-ID.scope/container", "podman ID"),
    (
        "podman, rootless",
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
        "podman ID",
    ),
    ("podman, quadlet", "0::/system.slice/web.service/libpod-payload-ID", "podman ID"),
    ("podman, quadlet's monitor", "0::/system.slice/web.service/supervisor", "web.service"),
    ("podman, cgroupfs", "9:pids:/libpod_parent/libpod-ID", "podman ID"),
    ("podman's monitor", "0::/machine.slice/libpod-conmon-ID.scope", ""),
    // Amazon ECS runs Docker.
    ("ECS", "9:perf_event:/ecs/HASH/ID", "container ID"),
    ("ECS, v2", "0::/ecstasks.slice/ecstasks-HASH.slice/docker-ID.scope", "docker ID"),
    ("Fargate: no id of 64 digits", "9:perf_event:/ecs/HASH/HASH-2574345601", ""),
    // Machines.
    ("LXC 2, 3", "3:cpu:/lxc/web", "lxc web"),
    ("LXD, Incus", "0::/lxc.payload.web/system.slice/nginx.service", "lxc web, nginx.service"),
    ("LXC's monitor", "0::/lxc.monitor.web", ""),
    (
        "Proxmox VE",
        "0::/lxc/101/ns/system.slice/postgresql@15-main.service",
        "lxc 101, postgresql@15-main.service",
    ),
    ("docker in LXD", "0::/lxc.payload.web/docker/ID", "docker ID"),
    ("machined", r"0::/machine.slice/machine-my\x2dweb.scope", "systemd-nspawn my-web"),
    (
        "systemd-nspawn",
        "0::/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service",
        "systemd-nspawn web, nginx.service",
    ),
    (
        "systemd-nspawn itself",
        "0::/machine.slice/systemd-nspawn@web.service/supervisor",
        "systemd-nspawn@web.service",
    ),
    ("libvirt", r"0::/machine.slice/machine-qemu\x2d1\x2dvm\x2da.scope/libvirt/emulator", "qemu vm-a"),
    ("libvirt's LXC", r"0::/machine.slice/machine-lxc\x2d4242\x2dweb.scope", "lxc web"),
    ("libvirt without systemd", "7:cpu:/machine/qemu-3-vm.libvirt-qemu/vcpu0", "qemu vm"),
    // systemd.
    ("a service", "0::/system.slice/nginx.service", "nginx.service"),
    ("a template", "0::/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
    ("a service's sub-cgroup", "0::/system.slice/systemd-udevd.service/udev", "systemd-udevd.service"),
    (
        "hybrid: systemd's own hierarchy tells",
        "4:memory:/user.slice\n1:name=systemd:/system.slice/cron.service\n0::/system.slice/cron.service",
        "cron.service",
    ),
    ("a snap", "0::/system.slice/snap.docker.dockerd.service", "snap.docker.dockerd.service"),
    ("containerd itself", "0::/system.slice/containerd.service", "containerd.service"),
    ("escaped name", "0::/system.slice/_cpu.load.service", "cpu.load.service"),
    ("a removed cgroup", "0::/system.slice/backup.service (deleted)", "backup.service"),
    ("ssh", "0::/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
    (
        "a user's service",
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service",
        "user 1000 syncthing.service",
    ),
    (
        "a desktop's application",
        r"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4211.scope",
        "user 1000 app-gnome-firefox-4211.scope",
    ),
    ("a user's manager", "0::/user.slice/user-0.slice/user@0.service/init.scope", "user 0 init.scope"),
    ("init", "0::/init.scope", "init.scope"),
    ("a slice is no unit", "0::/system.slice", ""),
    ("kernel threads", "0::/", ""),
    // What only looks like something.
    ("too short", "4:memory:/process_api/5d90004681f2f9d4d83c9e2432ed6683", ""),
    ("a digit too few", "0::/lost/3f29f1c3a0b14e5d8c7b6a5948372615f0e1d2c3b4a5968778695a4b3c2d1e0", ""),
    ("a digit too many", "0::/lost/ID0", ""),
    ("no hexadecimal", "0::/lost/gf29f1c3a0b14e5d8c7b6a5948372615f0e1d2c3b4a5968778695a4b3c2d1e0f", ""),
    ("a transient unit", "0::/system.slice/run-rHASH.scope", "run-rHASH.scope"),
    ("a pod without UID", "0::/kubepods/burstable/podinfo", ""),
    ("a name with a colon", "0::/system.slice/a:b.service", "a:b.service"),
    ("not this file", "garbage", ""),
    ("nothing", "", ""),
];

fn filled(text: &str) -> String {
    text.replace("UID_", &UID.replace('-', "_"))
        .replace("OUTER", OUTER)
        .replace("UID", UID)
        .replace("ID", ID)
        .replace("HASH", HASH)
}

#[test]
fn every_form_is_told() {
    assert!(FORMS.len() >= 40);
    for (source, text, expected) in FORMS {
        let cgroup = Cgroup::parse(&filled(text));
        assert_eq!(told(&cgroup), filled(expected), "{source}: {text}");
    }
}

#[test]
fn the_path_is_the_one_that_told() {
    let cgroup = Cgroup::parse("4:memory:/user.slice\n1:name=systemd:/init.scope\n0::/init.scope\n");
    assert_eq!(cgroup.path, "/init.scope");
    assert_eq!(Cgroup::parse("4:memory:/a\n0::/b\n").path, "/b");
    assert_eq!(Cgroup::parse("4:memory:/a\n").path, "/a");
    assert!(Cgroup::parse("0::/user.slice").is_plain());
}

#[test]
fn only_services_say_what_they_serve() {
    let service = |text| Cgroup::parse(text).unit.and_then(|u| u.service().map(str::to_owned));
    assert_eq!(service("0::/system.slice/getty@tty1.service").as_deref(), Some("getty@tty1"));
    assert_eq!(service("0::/user.slice/user-1000.slice/session-3.scope"), None);
}

proptest::proptest! {
    /// Anything at all, and anything made of the words that paths have.
    #[test]
    fn nothing_panics(text in ".*", words in proptest::collection::vec(0..WORDS.len(), 0..12)) {
        let _ = Cgroup::parse(&text);
        let path: String = words.iter().map(|at| WORDS[*at]).collect();
        let _ = Cgroup::parse(&filled(&format!("0::{path}\n1:name=systemd:{path}")));
    }
}

const WORDS: &[&str] = &[
    "/",
    "pod",
    "UID",
    "ID",
    "HASH",
    "-",
    ":",
    "_",
    "kubepods",
    ".slice",
    ".scope",
    ".service",
    "conmon",
    "libpod",
    "docker",
    "lxc",
    "lxc.payload",
    "machine-",
    "\\x2d",
    "\\x",
    "user@1000",
    "..",
    " (deleted)",
    "payload",
    "é",
];
