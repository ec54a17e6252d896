//! The watch of pods against a stand-in of the API server, through `tracenet whois`: whatever the server does, the pods
//! that are told end up equal to the server's, none is told twice, and the server is asked no more than it has to be.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::kube_api::{Gone, KubeApi, container_id, pod};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, wait_for};

fn main() -> ExitCode {
    harness::main(vec![
        case!(ten_thousand_pods_come_in_pages, &[]),
        case!(a_node_asks_for_its_own_pods, &[]),
        case!(a_connection_that_breaks_costs_no_second_list, &[]),
        case!(bookmarks_keep_the_version_young, &[]),
        case!(a_version_that_is_gone_costs_one_list, &[]),
        case!(a_list_that_expires_between_pages_begins_anew, &[]),
        case!(a_server_that_was_restored_is_listed_anew, &[]),
        case!(a_new_token_is_read_from_its_file, &[]),
        case!(a_server_that_is_away_is_not_besieged, &[]),
        case!(pods_are_listed_once_without_watch, &[]),
        case!(failures_are_told_in_one_line, &[]),
        case!(a_process_is_told_up_to_its_workload, &[Need::Root]),
        case!(a_service_account_is_found_in_a_pod, IN_A_POD),
        case!(kubectl_takes_the_stand_in_for_a_server, &[Need::Kubernetes]),
    ])
}

const IN_A_POD: &[Need] = &[Need::Root, Need::Tool("openssl"), Need::Tool("socat"), Need::Tool("unshare")];

/// What a pod is compared by: everything that a line tells, except its workload.
fn compared(pod: &Value) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array().expect("statuses");
    let containers: Vec<Value> = statuses
        .iter()
        .zip(pod["spec"]["containers"].as_array().expect("containers"))
        .map(|(status, spec)| {
            let id = status["containerID"].as_str().and_then(|uri| uri.strip_prefix("containerd://"));
            serde_json::json!({"name": spec["name"], "id": id, "image": spec["image"]})
        })
        .collect();
    let meta = &pod["metadata"];
    serde_json::json!({"schema": "tracenet.pod/1", "namespace": meta["namespace"], "name": meta["name"],
        "uid": meta["uid"], "node": pod["spec"]["nodeName"], "containers": containers,
        "workload": {"kind": "Deployment", "name": "web"}})
}

/// `tracenet whois --pods --watch`, and the pods as its lines have told them.
struct Watched {
    program: Program,
    pods: BTreeMap<String, Value>,
    lines: usize,
}

impl Watched {
    fn start(options: &[&str]) -> Self {
        let mut command = agent::command();
        command.args(["whois", "--pods", "--watch", "--json"]).args(options);
        Self { program: Program::start(&mut command), pods: BTreeMap::new(), lines: 0 }
    }

    fn of(server: &KubeApi) -> Self {
        Self::start(&["--kube-api", &server.url(), "--all-nodes"])
    }

    /// Takes one line; what can't be true is a failure.
    fn take(&mut self) {
        let mut line = self.program.json();
        self.lines += 1;
        let change = line.as_object_mut().and_then(|o| o.remove("change")).expect("a change");
        let uid = line["uid"].as_str().expect("a UID").to_owned();
        let before = match change.as_str() {
            Some("deleted") => self.pods.remove(&uid),
            _ => self.pods.insert(uid, line.clone()),
        };
        match change.as_str() {
            Some("added") => assert_eq!(before, None, "added twice: {line}"),
            Some("modified") => assert!(before.is_some_and(|b| b != line), "not modified: {line}"),
            Some("deleted") => assert!(before.is_some(), "deleted, but never told: {line}"),
            other => panic!("{other:?}"),
        }
    }

    /// Reads until what was told is what the server has.
    fn read_until_equal(&mut self, server: &KubeApi, wanted: impl Fn(&Value) -> bool) {
        let pods = server.pods();
        let expected: BTreeMap<String, Value> = pods
            .iter()
            .filter(|pod| wanted(pod))
            .map(|pod| (pod["metadata"]["uid"].as_str().expect("a UID").to_owned(), compared(pod)))
            .collect();
        while self.pods != expected {
            self.take();
        }
    }

    fn equal(&mut self, server: &KubeApi) {
        self.read_until_equal(server, |_| true);
    }

    /// Ctrl-C: the last line on standard error has the counters, and there was nothing more to be told.
    fn stop(mut self) -> String {
        self.program.signal(Signal::SIGINT);
        let status = self.program.wait();
        let stderr = self.program.stderr();
        assert!(status.success(), "{status}: {stderr}");
        assert_eq!(self.program.remaining_lines(), [""; 0], "lines after the end");
        stderr.lines().last().expect("counters").to_owned()
    }
}

/// A number of the line of counters.
fn counter(line: &str, name: &str) -> u64 {
    let (_, rest) = line.split_once(&format!("{name} ")).unwrap_or_else(|| panic!("no {name} in {line}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|e| panic!("{e}: {line}"))
}

fn fill(server: &KubeApi, count: u64) {
    for number in 0..count {
        server.set(pod(
            ["shop", "bank", "mail"][number as usize % 3],
            number,
            &format!("node-{}", number % 4),
        ));
    }
}

fn name_of(pod: &Value) -> (&str, &str) {
    let text = |key: &str| pod["metadata"][key].as_str().expect("a text");
    (text("namespace"), text("name"))
}

/// A restart: the same pod with another container.
fn restarted(mut pod: Value, seed: u64) -> Value {
    pod["status"]["containerStatuses"][0]["containerID"] =
        format!("containerd://{}", container_id(seed)).into();
    pod
}

fn ten_thousand_pods_come_in_pages() {
    let server = KubeApi::start();
    fill(&server, 10_000);
    let mut watched = Watched::of(&server);
    watched.equal(&server);
    assert_eq!(watched.lines, 10_000, "each once");
    assert_eq!(server.lists(), 20, "pages of 500");
    server.wait_for_watches(1);
    // Then only what changes is told.
    for (i, pod) in server.pods().into_iter().enumerate().take(900) {
        let (namespace, name) = name_of(&pod);
        match i % 3 {
            0 => server.remove(namespace, name),
            1 => server.set(restarted(pod, 1_000_000 + i as u64)),
            // Nothing of what is kept has changed.
            _ => {
                let mut pod = pod;
                pod["status"]["conditions"][1]["status"] = "False".into();
                server.set(pod);
            }
        }
    }
    for number in 20_000..20_100 {
        server.set(pod("shop", number, "node-9"));
    }
    watched.equal(&server);
    assert_eq!(watched.lines, 10_000 + 300 + 300 + 100);
    assert_eq!((server.lists(), server.watches()), (20, 1));
    let counters = watched.stop();
    assert_eq!(counter(&counters, "pods:"), 9_800, "{counters}");
    assert_eq!(counter(&counters, "errors"), 0, "{counters}");
}

fn a_node_asks_for_its_own_pods() {
    let server = KubeApi::start();
    fill(&server, 40);
    let mut watched = Watched::start(&["--kube-api", &server.url(), "--node", "node-1"]);
    let ours = |pod: &Value| pod["spec"]["nodeName"] == "node-1";
    watched.read_until_equal(&server, ours);
    assert_eq!(watched.pods.len(), 10);
    server.wait_for_watches(1);
    // One that waits for a node, and is then given this one.
    let mut late = pod("shop", 99, "node-1");
    late["spec"].as_object_mut().expect("an object").remove("nodeName");
    server.set(late.clone());
    server.set(pod("shop", 98, "node-2"));
    late["spec"]["nodeName"] = "node-1".into();
    server.set(late);
    watched.read_until_equal(&server, ours);
    assert_eq!(watched.lines, 11);
    for seen in server.requests() {
        assert_eq!(seen.query["fieldSelector"], "spec.nodeName=node-1", "{seen:?}");
        // From the server's cache, since a node's pods are few.
        assert!(seen.is_watch() || seen.query["resourceVersion"] == "0", "{seen:?}");
        assert!(!seen.is_watch() || seen.query["allowWatchBookmarks"] == "true", "{seen:?}");
        assert!(
            !seen.is_watch()
                || seen.query["timeoutSeconds"].parse::<u32>().is_ok_and(|s| (240..=300).contains(&s))
        );
    }
    assert_eq!((server.lists(), server.watches()), (1, 1));
    watched.stop();
}

fn a_connection_that_breaks_costs_no_second_list() {
    let server = KubeApi::start();
    fill(&server, 100);
    let mut watched = Watched::of(&server);
    watched.equal(&server);
    server.wait_for_watches(1);
    for round in 0..4 {
        server.cut();
        // Changes while nobody watches.
        server.remove_first();
        server.set(pod("shop", 500 + round, "node-1"));
        watched.equal(&server);
        server.wait_for_watches(1);
    }
    assert_eq!(watched.lines, 100 + 8);
    assert_eq!((server.lists(), server.watches()), (1, 5));
    let counters = watched.stop();
    assert_eq!(counter(&counters, "expired"), 0, "{counters}");
}

fn bookmarks_keep_the_version_young() {
    let server = KubeApi::start();
    fill(&server, 20);
    // Others' pods change; of this node's, nothing is told but bookmarks.
    let mut watched = Watched::start(&["--kube-api", &server.url(), "--node", "node-1"]);
    let ours = |pod: &Value| pod["spec"]["nodeName"] == "node-1";
    watched.read_until_equal(&server, ours);
    server.wait_for_watches(1);
    for number in 0..50 {
        server.set(pod("shop", 1_000 + number, "node-7"));
    }
    // The past is forgotten, and the watch told where the present begins.
    server.compact(Gone::Status);
    server.bookmark();
    server.cut();
    server.set(pod("shop", 2_000, "node-1"));
    watched.read_until_equal(&server, ours);
    assert_eq!((server.lists(), server.watches()), (1, 2), "nothing was gone");
    let counters = watched.stop();
    assert_eq!(counter(&counters, "expired"), 0, "{counters}");
    assert!(counter(&counters, "bookmarks") >= 1, "{counters}");
}

fn a_version_that_is_gone_costs_one_list() {
    for how in [Gone::Event, Gone::Status] {
        let server = KubeApi::start();
        fill(&server, 1_200);
        let mut watched = Watched::of(&server);
        watched.equal(&server);
        server.wait_for_watches(1);
        server.cut();
        server.remove_first();
        server.set(pod("shop", 5_000, "node-1"));
        let first = server.pods().remove(0);
        server.set(restarted(first, 77));
        server.compact(how);
        watched.equal(&server);
        // The list tells of the deletion by what it doesn't have, and of the rest not again.
        assert_eq!(watched.lines, 1_200 + 3, "{how:?}");
        server.wait_for_watches(1);
        server.set(pod("shop", 5_001, "node-1"));
        watched.equal(&server);
        assert_eq!(server.lists(), 2 * 3, "{how:?}");
        assert_eq!(server.watches(), 3, "{how:?}");
        let second =
            server.requests().into_iter().filter(|seen| seen.is_list()).nth(3).expect("a second list");
        assert!(!second.query.contains_key("resourceVersion"), "no older than what was known: {second:?}");
        let counters = watched.stop();
        assert_eq!((counter(&counters, "expired"), counter(&counters, "errors")), (1, 1), "{counters}");
    }
}

fn a_list_that_expires_between_pages_begins_anew() {
    let server = KubeApi::start();
    fill(&server, 2_000);
    server.compact_after_pages(1);
    let mut watched = Watched::of(&server);
    watched.equal(&server);
    assert_eq!(watched.lines, 2_000);
    // Two pages, the third refused, and then all four.
    assert_eq!(server.lists(), 3 + 4);
    let refused = server.requests().into_iter().filter(|seen| seen.status == 410).count();
    assert_eq!(refused, 1);
    server.wait_for_watches(1);
    watched.stop();
}

fn a_server_that_was_restored_is_listed_anew() {
    let server = KubeApi::start();
    fill(&server, 100);
    let mut watched = Watched::of(&server);
    watched.equal(&server);
    server.wait_for_watches(1);
    server.leave();
    server.restore();
    fill(&server, 60);
    server.come_back();
    watched.equal(&server);
    assert_eq!(watched.lines, 100 + 40, "forty were gone, sixty are as they were");
    server.wait_for_watches(1);
    assert_eq!((server.lists(), server.watches()), (2, 3));
    watched.stop();
}

fn a_new_token_is_read_from_its_file() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "old").expect("writable");
    let server = KubeApi::start();
    server.require_token("old");
    fill(&server, 30);
    let kubeconfig = server.kubeconfig(folder.path(), Some(&file));
    let kubeconfig = kubeconfig.to_str().expect("UTF-8");
    let mut watched = Watched::start(&["--kubeconfig", kubeconfig, "--all-nodes"]);
    watched.equal(&server);
    server.wait_for_watches(1);
    // As the kubelet does it: the file first. The token that is in memory is refused.
    std::fs::write(&file, "new").expect("writable");
    server.require_token("new");
    server.cut();
    server.set(pod("shop", 500, "node-1"));
    watched.equal(&server);
    let refused = server.requests().into_iter().filter(|seen| seen.status == 401).count();
    assert_eq!(refused, 1);
    assert_eq!(server.lists(), 1);
    // A token that is wrong for longer: told, and asked more and more seldom.
    server.require_token("later");
    server.cut();
    watched.program.wait_for_stderr("the server does not accept our token (401)");
    wait_for("three refusals", || {
        (server.requests().iter().filter(|s| s.status == 401).count() >= 4).then_some(())
    });
    std::fs::write(&file, "later").expect("writable");
    server.set(pod("shop", 501, "node-1"));
    watched.equal(&server);
    assert_eq!(server.lists(), 1);
    delays_grow(&server);
    watched.stop();
}

/// Refused requests that follow each other come later each time.
fn delays_grow(server: &KubeApi) {
    let refused: Vec<_> =
        server.requests().into_iter().filter(|s| s.status == 401).map(|s| s.at).skip(1).collect();
    let gaps: Vec<f64> = refused.windows(2).map(|w| (w[1] - w[0]).as_secs_f64()).collect();
    assert!(gaps.len() >= 2, "{gaps:?}");
    for (n, gap) in gaps.iter().enumerate() {
        // Half a second before the second attempt, and twice as much each time.
        assert!(*gap >= 0.5 * f64::from(1 << n.min(6)), "{gaps:?}");
    }
}

fn a_server_that_is_away_is_not_besieged() {
    let server = KubeApi::start();
    fill(&server, 300);
    let mut watched = Watched::of(&server);
    watched.equal(&server);
    server.wait_for_watches(1);
    server.leave();
    for number in 0..20 {
        server.set(pod("shop", 700 + number, "node-1"));
        server.remove_first();
    }
    // Refused three times at least.
    let refused = |program: &Program| program.stderr().matches("Connection refused").count();
    wait_for("three attempts", || (refused(&watched.program) >= 3).then_some(()));
    server.come_back();
    watched.equal(&server);
    assert_eq!((server.lists(), server.watches()), (1, 2));
    let stderr = watched.program.stderr();
    assert!(stderr.contains("; waiting "), "the next attempt is announced: {stderr}");
    let counters = watched.stop();
    assert!(counter(&counters, "errors") < 10, "{counters}");
}

fn whois(options: &[&str]) -> std::process::Output {
    agent::command().arg("whois").args(options).output().expect("tracenet starts")
}

fn pods_are_listed_once_without_watch() {
    let server = KubeApi::start();
    fill(&server, 700);
    let output = whois(&["--pods", "--json", "--kube-api", &server.url(), "--all-nodes"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let expected: Vec<Value> = server.pods().iter().map(compared).collect();
    assert_eq!(told, expected, "in the order of namespace and name");
    let text = whois(&["--pods", "--kube-api", &server.url(), "--node", "node-1"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert_eq!(text.lines().count(), 175);
    let line = text.lines().next().expect("a line");
    assert_eq!(
        line,
        format!("bank/web-7d9f8c6b5-00001  Deployment web  node node-1  nginx={}", &container_id(1)[..12])
    );
}

fn failures_are_told_in_one_line() {
    let server = KubeApi::start();
    server.require_token("secret");
    let url = server.url();
    for (options, code, says) in [
        (&["--pods"][..], 2, "no API server"),
        (&["--pods", "--kube-api", &url], 1, "does not accept our token (401)"),
        (&["--pods", "--kube-api", "http://127.0.0.1:1"], 1, "Connection refused"),
        (&["--pods", "--kubeconfig", "/nonexistent"], 1, "/nonexistent"),
        (&["4194305"], 4, "no process 4194305"),
    ] {
        let output = whois(options);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{options:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{options:?}: {stderr}");
        assert!(stderr.contains(says), "{options:?}: {stderr}");
    }
}

/// A cgroup, taken away again with the process in it.
struct Cgroup {
    folders: Vec<std::path::PathBuf>,
    process: std::process::Child,
}

impl Cgroup {
    /// A process in a cgroup of this path, below the mount of version 2 or, where there is none, of systemd's own.
    fn with_process(path: &str) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("readable");
        let mount = mounts
            .lines()
            .find(|line| line.contains(" - cgroup2 "))
            .and_then(|line| line.split(' ').nth(4))
            .expect("cgroup2 is mounted");
        let mut folder = std::path::PathBuf::from(mount);
        let mut folders = Vec::new();
        for part in path.trim_matches('/').split('/') {
            folder.push(part);
            if std::fs::create_dir(&folder).is_ok() {
                folders.push(folder.clone());
            }
        }
        let process = Command::new("sleep").arg("300").spawn().expect("sleep starts");
        std::fs::write(folder.join("cgroup.procs"), process.id().to_string())
            .expect("a process can be moved");
        Self { folders, process }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for folder in self.folders.iter().rev() {
            // The kernel takes a moment to let a dead process go.
            wait_for("the cgroup to be empty", || std::fs::remove_dir(folder).is_ok().then_some(()));
        }
    }
}

fn a_process_is_told_up_to_its_workload() {
    let server = KubeApi::start();
    fill(&server, 10);
    let node = nix::unistd::gethostname().expect("a name").to_string_lossy().to_lowercase();
    server.set(pod("shop", 4_242, &node));
    let (uid, id) = ("1b4e28ba-2fa1-11d2-883f-000000001092", container_id(4_242));
    let slice = format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
    let path = format!("/kubepods.slice/kubepods-burstable.slice/{slice}/cri-containerd-{id}.scope");
    let cgroup = Cgroup::with_process(&path);
    let pid = cgroup.process.id().to_string();
    let json = |options: &[&str]| -> Value {
        let output = whois(&[&[pid.as_str(), "--json"], options].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one object")
    };

    let told = json(&["--kube-api", &server.url()]);
    assert_eq!(told["schema"], "tracenet.identity/1");
    assert_eq!(told["cgroup"], path);
    assert_eq!((&told["comm"], &told["service"]), (&"sleep".into(), &"web".into()));
    assert_eq!(
        (&told["container"]["id"], &told["container"]["runtime"]),
        (&id.clone().into(), &"containerd".into())
    );
    let pod = &told["pod"];
    assert_eq!((&pod["uid"], &pod["qos"], &pod["node"]), (&uid.into(), &"Burstable".into(), &node.into()));
    assert_eq!((&pod["name"], &pod["container"]), (&"web-7d9f8c6b5-04242".into(), &"nginx".into()));
    assert_eq!(pod["workload"], serde_json::json!({"kind": "Deployment", "name": "web"}));
    let attributes = &told["attributes"];
    for (key, value) in [
        ("k8s.deployment.name", "web"),
        ("k8s.replicaset.name", "web-7d9f8c6b5"),
        ("service.namespace", "shop"),
        ("service.version", "1.27.3"),
        ("service.instance.id", "shop.web-7d9f8c6b5-04242.nginx"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(attributes[key], value, "{told}");
    }

    // Without a server, by what the runtime wrote down.
    let root = TempDir::new().expect("a folder");
    let bundle = root.path().join("run/containerd/io.containerd.runtime.v2.task/k8s.io").join(&id);
    std::fs::create_dir_all(&bundle).expect("writable");
    let spec = serde_json::json!({"ociVersion": "1.2.0", "annotations": {
        "io.kubernetes.cri.container-name": "nginx", "io.kubernetes.cri.image-name": "nginx:1.27.3",
        "io.kubernetes.cri.sandbox-name": "web-7d9f8c6b5-04242", "io.kubernetes.cri.sandbox-namespace": "shop"}});
    std::fs::write(bundle.join("config.json"), spec.to_string()).expect("writable");
    let told = json(&["--root", root.path().to_str().expect("UTF-8")]);
    assert_eq!((&told["pod"]["name"], &told["pod"]["uid"]), (&"web-7d9f8c6b5-04242".into(), &uid.into()));
    assert_eq!(told["service"], "web-7d9f8c6b5-04242", "no workload is known");

    // A server that is not there takes nothing away.
    let told = whois(&[&pid, "--kube-api", "http://127.0.0.1:1"]);
    let stderr = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(stderr.starts_with("tracenet: without pods: ") && stderr.lines().count() == 1, "{stderr}");
    let line = String::from_utf8_lossy(&told.stdout).into_owned();
    let expected =
        format!("{pid} sleep  container {} containerd  pod {uid}  cgroup {path}  service sleep\n", &id[..12]);
    assert_eq!(line, expected);
}

/// The stand-in behind TLS, and the folder that the kubelet mounts into a pod: `ca.crt`, `token`, `namespace`.
struct Secured {
    _tls: Program,
    port: u16,
}

impl Secured {
    fn start(server: &KubeApi, folder: &Path) -> Self {
        let at = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
        let (certificate, key) = (at("ca.crt"), at("key.pem"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &key, "-out", &certificate])
            .output()
            .expect("openssl starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(folder.join("namespace"), "shop").expect("writable");
        let free =
            std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a port");
        let port = free.port();
        let listen = format!(
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,cert={certificate},key={key},verify=0"
        );
        let to = server.url().replace("http://", "TCP:");
        let tls = Program::start(Command::new("socat").args([&listen, &to]));
        wait_for("socat to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { _tls: tls, port }
    }
}

fn a_service_account_is_found_in_a_pod() {
    let folder = TempDir::new().expect("a folder");
    let server = KubeApi::start();
    server.require_token("secret");
    fill(&server, 40);
    std::fs::write(folder.path().join("token"), "secret").expect("writable");
    let secured = Secured::start(&server, folder.path());
    // The folder is at a fixed place: in a mount namespace it is nobody else's.
    let run = |account: &Path| {
        let script = "mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && \
                      mount --bind \"$1\" /run/secrets/kubernetes.io/serviceaccount && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(account).arg(agent::binary());
        agent::clean_environment(&mut command);
        command.args(["whois", "--pods", "--json"]);
        command
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", secured.port.to_string());
        command.env("NODE_NAME", "node-3").output().expect("unshare starts")
    };
    let output = run(folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let pods = server.pods();
    let expected: Vec<Value> =
        pods.iter().filter(|pod| pod["spec"]["nodeName"] == "node-3").map(compared).collect();
    assert_eq!(told, expected);

    // Somebody else's certificate is nobody's.
    let other = TempDir::new().expect("a folder");
    Secured::start(&server, other.path());
    std::fs::write(other.path().join("token"), "secret").expect("writable");
    let before = server.requests().len();
    let output = run(other.path());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("certificate") && stderr.lines().count() == 1, "{stderr}");
    assert_eq!(server.requests().len(), before, "the token was not sent");
}

fn kubectl_takes_the_stand_in_for_a_server() {
    let folder = TempDir::new().expect("a folder");
    let server = KubeApi::start();
    fill(&server, 1_100);
    // kubectl sends no token without TLS.
    let kubeconfig = server.kubeconfig(folder.path(), None);
    let kubectl = |args: &[&str]| {
        let mut command = Command::new(tracenet_tests::kubectl());
        command.env_clear().env("HOME", folder.path()).env("KUBECONFIG", &kubeconfig).args(args);
        command
    };
    let run = |args: &[&str]| {
        let output = kubectl(args).output().expect("kubectl starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(run(&["version"]).contains("Server Version: v1.37.1"));
    assert!(run(&["api-resources"]).contains("pods"));
    // The whole list, in pages of 500.
    let before = server.lists();
    let list: Value = serde_json::from_str(&run(&["get", "pods", "-A", "-o", "json"])).expect("JSON");
    assert_eq!(server.lists() - before, 3);
    let mut theirs = list["items"].as_array().expect("items").clone();
    for pod in &mut theirs {
        // kubectl fills in what items of lists leave out, and shows managed fields only when asked.
        let object = pod.as_object_mut().expect("an object");
        assert_eq!(
            (object.remove("kind"), object.remove("apiVersion")),
            (Some("Pod".into()), Some("v1".into()))
        );
    }
    let mut ours = server.pods();
    for pod in ours.iter_mut().chain(&mut theirs) {
        pod["metadata"].as_object_mut().expect("an object").remove("managedFields");
    }
    assert_eq!(theirs, ours);
    let of_node = run(&["get", "pods", "-A", "-o", "name", "--field-selector", "spec.nodeName=node-1"]);
    assert_eq!(of_node.lines().count(), 275);
    let one = run(&["-n", "shop", "get", "pod", "web-7d9f8c6b5-00003", "-o", "jsonpath={.spec.nodeName}"]);
    assert_eq!(one, "node-3");

    // A watch sees what comes, changes and goes.
    let options = ["get", "po", "-A", "--watch-only", "--output-watch-events", "--no-headers"];
    let mut watch = Program::start(&mut kubectl(&options));
    let told = |watch: &Program| watch.line().split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    server.wait_for_watches(1);
    server.set(pod("shop", 9_000, "node-1"));
    assert_eq!(told(&watch), "ADDED shop web-7d9f8c6b5-09000");
    server.set(restarted(pod("shop", 9_000, "node-1"), 5));
    assert_eq!(told(&watch), "MODIFIED shop web-7d9f8c6b5-09000");
    server.remove("shop", "web-7d9f8c6b5-09000");
    assert_eq!(told(&watch), "DELETED shop web-7d9f8c6b5-09000");
    assert!(watch.is_running(), "{}", watch.stderr());
}
