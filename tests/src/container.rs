//! Containers of real runtimes, runc and Podman, each with no more than busybox for a root file system.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::which;
use crate::netns::{Netns, stdout_of};

/// What the scripts of tests use.
const APPLETS: [&str; 5] = ["sh", "nc", "cat", "sleep", "true"];

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Makes containers that share a root file system, which they can't write to. Dropped, it removes what runc left of their
/// control groups.
pub struct Containers {
    folder: TempDir,
    spec: Value,
    parent: String,
}

/// A container that has ended, or that was told to stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The runtime's word for the process id of the first process, as the host sees it.
    pub pid: u32,
}

impl Containers {
    /// With these files in the root folder of each.
    ///
    /// # Errors
    /// Where busybox or runc is not there.
    pub fn new(files: &[(&str, &[u8])]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| format!("a temporary folder: {e}"))?;
        let root = folder.path().join("root");
        let done = (|| {
            std::fs::create_dir_all(root.join("bin"))?;
            // Podman and runc mount there, and can't make them in what is read-only.
            for name in ["proc", "sys", "dev", "etc", "run", "tmp"] {
                std::fs::create_dir(root.join(name))?;
            }
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
            let busybox = which("busybox").ok_or_else(|| std::io::Error::other("no busybox in PATH"))?;
            std::fs::copy(&busybox, root.join("bin/busybox"))?;
            // Not all are static. ldd of one that is fails, and lists nothing.
            let libraries = Command::new("ldd").arg(&busybox).output()?.stdout;
            for library in
                String::from_utf8_lossy(&libraries).split_whitespace().filter(|w| w.starts_with('/'))
            {
                let to = root.join(library.trim_start_matches('/'));
                std::fs::create_dir_all(to.parent().unwrap_or(&root))?;
                std::fs::copy(library, to)?;
            }
            for applet in APPLETS {
                symlink("busybox", root.join("bin").join(applet))?;
            }
            files.iter().try_for_each(|(name, bytes)| std::fs::write(root.join(name), bytes))
        })();
        done.map_err(|e| format!("a root file system: {e}"))?;
        let spec = spec(folder.path(), &root)?;
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = format!("tracenet-test-{}-{n}", std::process::id());
        Ok(Self { folder, spec, parent })
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Runs a shell's script in a container of runc, in a network namespace, to its end: a failure is an error. `group` is where
    /// the control group is below one of the test's own.
    ///
    /// # Errors
    /// What runc or the script wrote to standard error.
    pub fn runc(&self, netns: &Netns, group: &str, id: &str, script: &str) -> Result<Container, String> {
        let bundle = self.folder.path().join(id);
        let pid_file = bundle.join("pid");
        let mut spec = self.spec.clone();
        spec["process"]["args"] = json!(["sh", "-c", script]);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}{group}", self.parent));
        let namespaces =
            spec["linux"]["namespaces"].as_array_mut().ok_or("a specification without namespaces")?;
        for namespace in namespaces.iter_mut().filter(|n| n["type"] == "network") {
            namespace["path"] = json!(netns.path());
        }
        std::fs::create_dir(&bundle).map_err(|e| format!("{}: {e}", bundle.display()))?;
        std::fs::write(bundle.join("config.json"), spec.to_string())
            .map_err(|e| format!("config.json: {e}"))?;
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.folder.path().join("state"));
        command.args(["run", "--bundle"]).arg(&bundle).arg("--pid-file").arg(&pid_file).arg(id);
        succeeded(&mut command)?;
        Ok(Container { id: id.to_owned(), pid: pid_in(&pid_file)? })
    }

    /// The same by Podman, which chooses the id and the control group.
    ///
    /// # Errors
    /// What Podman or the script wrote to standard error.
    pub fn podman(&self, netns: &Netns, name: &str, script: &str) -> Result<Container, String> {
        let ran = self.podman_start(netns, name, script, &["--attach"]);
        self.podman_remove(name)?;
        ran
    }

    /// The same without waiting for its end, which is [`Containers::podman_remove`].
    ///
    /// # Errors
    /// What Podman wrote to standard error.
    pub fn podman_behind(&self, netns: &Netns, name: &str, script: &str) -> Result<Container, String> {
        self.podman_start(netns, name, script, &[])
    }

    fn podman_start(
        &self,
        netns: &Netns,
        name: &str,
        script: &str,
        how: &[&str],
    ) -> Result<Container, String> {
        let pid_file = self.folder.path().join(name);
        let network = format!("ns:{}", netns.path().display());
        let mut create = podman();
        create.args(["create", "--name", name, "--network", &network, "--pidfile"]).arg(&pid_file);
        // Its own limits are higher than some hosts allow.
        create.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--rootfs"]);
        let id = succeeded(create.arg(self.root()).args(["sh", "-c", script]))?;
        succeeded(podman().arg("start").args(how).arg(name))?;
        Ok(Container { id: id.trim().to_owned(), pid: pid_in(&pid_file)? })
    }

    /// Removes a container of Podman, also one that runs.
    ///
    /// # Errors
    /// What Podman wrote to standard error.
    pub fn podman_remove(&self, name: &str) -> Result<(), String> {
        succeeded(podman().args(["rm", "--force", "--time", "0", name])).map(drop)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let Ok(hierarchies) = std::fs::read_dir("/sys/fs/cgroup") else { return };
        for hierarchy in hierarchies.flatten().map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]) {
            remove_groups(&hierarchy.join(&self.parent));
        }
    }
}

/// The folder and those below it: the kernel's files in them go with them.
fn remove_groups(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_groups(&entry.path());
    }
    let _ = std::fs::remove_dir(folder);
}

/// What `runc spec` writes into a folder, without the limits that a host with lower ones refuses, and without a terminal: a
/// container with a root file system that it can't write to.
///
/// # Errors
/// Where there is no runc.
pub fn spec(folder: &Path, root: &Path) -> Result<Value, String> {
    succeeded(Command::new("runc").args(["spec", "--bundle"]).arg(folder))?;
    let text = std::fs::read_to_string(folder.join("config.json")).map_err(|e| format!("runc spec: {e}"))?;
    let mut spec: Value = serde_json::from_str(&text).map_err(|e| format!("runc spec: {e}"))?;
    let process = spec["process"].as_object_mut().ok_or("a specification without a process")?;
    process.remove("rlimits");
    process.insert("terminal".to_owned(), json!(false));
    spec["root"]["path"] = json!(root);
    Ok(spec)
}

/// crun, its default, doesn't run everywhere where runc does; nor is systemd.
fn podman() -> Command {
    let mut command = Command::new("podman");
    command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
    command
}

fn pid_in(file: &Path) -> Result<u32, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    text.trim().parse().map_err(|e| format!("{}: {e}: {text}", file.display()))
}

fn succeeded(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        return Ok(stdout_of(&name, &[], output));
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(format!("{name}: {}: {said}", output.status))
}

/// Why runc can't run a container here: what one says that does nothing.
pub fn trouble_of_runc() -> Option<String> {
    trouble(|containers, netns| containers.runc(netns, "/probe", "probe", "true"))
}

/// Why Podman can't.
pub fn trouble_of_podman() -> Option<String> {
    let name = format!("tracenet-test-{}-probe", std::process::id());
    trouble(|containers, netns| containers.podman(netns, &name, "true"))
}

fn trouble(run: impl Fn(&Containers, &Netns) -> Result<Container, String>) -> Option<String> {
    let containers = match Containers::new(&[]) {
        Ok(containers) => containers,
        Err(why) => return Some(why),
    };
    run(&containers, &Netns::new("probe")).err()
}
