//! The image: built by the Dockerfile's steps, and run by runc as deploy/ wants it to be run.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nix::sys::signal::Signal;
use serde_json::json;
use serde_yaml::Value;
use tempfile::TempDir;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::{Netns, stdout_of};
use tracenet_tests::node::{samples, sum};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, container, load, repository, wait_for};

const BUILT: &[Need] = &[Need::Root, Need::Tool("ldd"), Need::Tool("strip"), Need::Tool("nft")];
const RUN: &[Need] =
    &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("strip"), Need::Tool("curl"), Need::Runc];

fn main() -> ExitCode {
    harness::main(vec![
        case!(it_has_what_the_program_needs_and_no_more, BUILT),
        case!(it_runs_as_the_laptop_runs_it, RUN),
        case!(doctor_in_a_pod_tells_what_its_profile_lacks, RUN),
    ])
}

fn read(path: &str) -> String {
    let path = repository().join("deploy").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn said(command: &mut Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|e| panic!("{name}: {e}"));
    stdout_of(&name, &[], output)
}

/// What the second stage copies.
struct Image {
    folder: TempDir,
    tree: PathBuf,
    dockerfile: String,
}

impl Image {
    /// By the steps of the first stage.
    fn build() -> Self {
        let dockerfile = read("Dockerfile");
        let steps: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("RUN ")).collect();
        let expected = [
            "apt-get update && apt-get install --yes --no-install-recommends nftables",
            "make build",
            "make install DESTDIR=/image PREFIX=/usr",
            "deploy/image-files /usr/bin/tracenet /image",
        ];
        assert_eq!(steps, expected, "if this changes, so must the test");
        let folder = TempDir::new().expect("a folder");
        let tree = folder.path().join("image");
        // `make install` without building once more.
        let mut install = Command::new("install");
        said(install.args(["-D", "-m", "755"]).arg(agent::binary()).arg(tree.join("usr/bin/tracenet")));
        let files = repository().join("deploy/image-files");
        said(Command::new(files).arg("/usr/bin/tracenet").arg(&tree));
        Self { folder, tree, dockerfile }
    }

    /// A list in the Dockerfile, as ENTRYPOINT has one.
    fn list(&self, key: &str) -> Vec<String> {
        let line = self.dockerfile.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' '));
        serde_json::from_str(line.unwrap_or_else(|| panic!("no {key}"))).expect("a list")
    }

    /// Its container: the host's processes, these capabilities and no others, and what is mounted besides, read-only.
    fn run(
        &self,
        netns: &Netns,
        args: &[String],
        capabilities: &[String],
        mounts: &[(PathBuf, &str)],
    ) -> Program {
        assert!(self.dockerfile.contains("\nUSER 0:0\n"));
        let bundle = TempDir::new_in(self.folder.path()).expect("a folder").keep();
        let mut spec = container::spec(&bundle, &self.tree).expect("runc is there");
        let process = &mut spec["process"];
        process["args"] = json!([self.list("ENTRYPOINT"), args.to_vec()].concat());
        process["env"] = json!([]);
        process["user"] = json!({"uid": 0, "gid": 0});
        let names: Vec<String> = capabilities.iter().map(|c| format!("CAP_{c}")).collect();
        process["capabilities"] = json!({"bounding": names, "effective": names, "permitted": names});
        assert_eq!(process["noNewPrivileges"], true);
        assert_eq!(spec["root"]["readonly"], true);
        let group = format!("/tracenet-test-image-{}", std::process::id());
        let linux = &mut spec["linux"];
        linux["cgroupsPath"] = json!(group);
        let namespaces = linux["namespaces"].as_array_mut().expect("namespaces");
        namespaces.retain(|n| n["type"] != "pid");
        for namespace in namespaces.iter_mut().filter(|n| n["type"] == "network") {
            namespace["path"] = json!(netns.path());
        }
        let all = spec["mounts"].as_array_mut().expect("mounts");
        all.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
        all.extend(mounts.iter().map(|(from, to)| {
            json!({"destination": to, "source": from, "type": "none", "options": ["rbind", "ro"]})
        }));
        std::fs::write(bundle.join("config.json"), spec.to_string()).expect("written");
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.folder.path().join("state"));
        command.args(["run", "--bundle"]).arg(&bundle);
        Program::start(command.arg(format!("tracenet-test-{}", std::process::id())))
    }
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_sequence().expect("a list");
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

fn it_has_what_the_program_needs_and_no_more() {
    let image = Image::build();
    let tree = &image.tree;
    let version = said(Command::new("chroot").arg(tree).args(["/usr/bin/tracenet", "--version"]));
    assert!(version.starts_with("tracenet "), "{version}");
    let writable = said(Command::new("find").arg(tree).args(["-perm", "/222", "-not", "-type", "l"]));
    assert!(writable.is_empty(), "{writable}");
    assert!(!tree.join("bin").exists() && !tree.join("usr/bin/sh").exists(), "a shell");
    let nft = said(Command::new("chroot").arg(tree).args(["/usr/sbin/nft", "--version"]));
    assert!(nft.starts_with("nftables "), "{nft}");
    for mounted in ["etc/tracenet", "var/spool/tracenet"] {
        assert!(tree.join(mounted).is_dir(), "{mounted} is mounted");
    }
    assert!(image.dockerfile.contains("\nFROM scratch\n"));
}

fn it_runs_as_the_laptop_runs_it() {
    let image = Image::build();
    let netns = Netns::new("image");
    let compose: Value = serde_yaml::from_str(&read("compose/compose.yaml")).expect("YAML");
    let service = &compose["services"]["agent"];
    assert!(service["pid"] == "host" && service["read_only"] == true);
    let here = repository().join("deploy/compose");
    let volumes = strings(&service["volumes"]);
    let mounts: Vec<(PathBuf, &str)> = volumes
        .iter()
        .map(|volume| {
            let mut words = volume.split(':');
            let (from, to) = (words.next().expect("from"), words.next().expect("to"));
            (here.join(from), to)
        })
        .collect();
    // It can't make the file's mount point in a tree that is read-only; Docker makes it in a layer of its own.
    let config = image.tree.join("etc/tracenet/tracenet.yaml");
    std::fs::write(&config, "").expect("root may");
    let mut program = image.run(&netns, &image.list("CMD"), &strings(&service["cap_add"]), &mounts);
    program.wait_for_stderr("every process is followed");
    let get = |path: &str| netns.run("curl", &["-sf", &format!("http://127.0.0.1:9464{path}")]);
    get("/livez");
    get("/readyz");
    let _server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", 2, 10, (100, 100), 1);
    client.say("go");
    client.json();
    wait_for("the turns of both ends", || {
        let all = samples(&get("/metrics"));
        let turns = sum(&all, "tracenet_turn_duration_seconds_count", &[("service_name", "load")]);
        (turns >= 40.0).then_some(())
    });
    program.signal(Signal::SIGTERM);
    let status = program.wait();
    assert!(status.success(), "{status}: {}", program.stderr());
    assert!(!program.stderr().contains("missing"), "{}", program.stderr());
}

fn doctor_in_a_pod_tells_what_its_profile_lacks() {
    let image = Image::build();
    let netns = Netns::new("image");
    for (profile, lacks) in [
        ("minimal", &["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYSLOG"][..]),
        ("netns", &["CAP_NET_ADMIN", "CAP_SYSLOG"]),
        ("conntrack", &[]),
    ] {
        let text = read(&format!("manifests/tracenet-{profile}.yaml"));
        let objects = text.split("\n---\n").map(|o| serde_yaml::from_str::<Value>(o).expect("YAML"));
        let set = objects.into_iter().find(|o| o["kind"] == "DaemonSet").expect("a DaemonSet");
        let security = &set["spec"]["template"]["spec"]["containers"][0]["securityContext"];
        let args = ["doctor", "--json"].map(str::to_owned);
        let mut program = image.run(&netns, &args, &strings(&security["capabilities"]["add"]), &[]);
        let rows: Vec<serde_json::Value> = program
            .remaining_lines()
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let status = program.wait();
        assert!(status.success(), "{profile}: {status}: {}", program.stderr());
        assert!(rows.len() > 30, "{profile}: {}", rows.len());
        let missing: Vec<&str> =
            rows.iter().filter(|row| row["ok"] == false).filter_map(|row| row["name"].as_str()).collect();
        assert_eq!(missing, lacks, "{profile}");
    }
}
