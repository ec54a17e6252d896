//! Network namespaces that live as long as their value, joined by veth pairs, with nft rules inside.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PREFIX: &str = "tracenet-test";
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A named network namespace with `lo` up. Dropping it kills what still runs inside and deletes it, also while a
/// failed test unwinds.
pub struct Netns {
    name: String,
    handle: File,
}

/// Packets and bytes of a named nft counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NftCounter {
    /// Packets as netfilter sees them: socket buffers, before segmentation.
    pub packets: u64,
    /// Bytes of these, network header included.
    pub bytes: u64,
}

impl Netns {
    /// A new namespace; `role` makes its name readable.
    pub fn new(role: &str) -> Self {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{n}-{role}", std::process::id());
        ip(&["netns", "add", &name]);
        let handle = File::open(path_of(&name)).expect("ip netns add made the file");
        let netns = Self { name, handle };
        netns.ip(&["link", "set", "lo", "up"]);
        netns
    }

    /// The inode number, as in `net:[4026532008]`.
    pub fn inode(&self) -> u64 {
        self.handle.metadata().expect("an open file has metadata").ino()
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> PathBuf {
        path_of(&self.name)
    }

    /// A command that will run inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let handle = self.handle.try_clone().expect("one more descriptor");
        // SAFETY: between fork and exec only setns(2) is called, which is async-signal-safe.
        unsafe {
            command.pre_exec(move || Ok(setns(handle.as_fd(), CloneFlags::CLONE_NEWNET)?));
        }
        command
    }

    /// Runs a command inside to its end and returns its output; it must succeed.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
        stdout_of(program, args, output)
    }

    /// Runs `f` on a thread that has entered the namespace.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(self.handle.as_fd(), CloneFlags::CLONE_NEWNET)
                    .expect("root may enter its own namespace");
                f()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `ip ARGS` inside.
    pub fn ip(&self, args: &[&str]) {
        self.run("ip", args);
    }

    /// Loads an nft script.
    pub fn nft(&self, script: &str) {
        let mut child = self
            .command("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nft starts");
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("nft reads its script");
        let output = child.wait_with_output().expect("nft ends");
        assert!(output.status.success(), "nft: {}\n{script}", String::from_utf8_lossy(&output.stderr));
    }

    /// Drops incoming packets that match, before anything else looks at them; the counter `lost` counts them.
    pub fn lose_incoming(&self, matching: &str) {
        self.nft(&format!(
            "table inet incoming {{
                counter lost {{ }}
                chain prerouting {{
                    type filter hook prerouting priority -300; policy accept;
                    {matching} counter name lost drop
                }}
            }}"
        ));
    }

    /// The named counters of all tables.
    pub fn nft_counters(&self) -> BTreeMap<String, NftCounter> {
        let text = self.run("nft", &["-j", "list", "counters"]);
        let json: Value = serde_json::from_str(&text).expect("nft -j prints JSON");
        let rows = json["nftables"].as_array().expect("nft's list");
        rows.iter()
            .filter_map(|row| row.get("counter"))
            .map(|c| {
                let counter = NftCounter {
                    packets: c["packets"].as_u64().expect("a number"),
                    bytes: c["bytes"].as_u64().expect("a number"),
                };
                (c["name"].as_str().expect("a name").to_owned(), counter)
            })
            .collect()
    }

    /// TCP sockets that may still send something: every state but LISTEN and TIME-WAIT.
    pub fn unsettled_sockets(&self) -> Vec<String> {
        let all = self.run("ss", &["-Htan", "state", "connected", "exclude", "time-wait"]);
        all.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }

    /// Established TCP sockets with bytes that are unread or not acknowledged.
    pub fn busy_sockets(&self) -> Vec<String> {
        let all = self.run("ss", &["-Htan", "state", "connected", "exclude", "time-wait"]);
        all.lines()
            .filter(|line| {
                let mut words = line.split_whitespace();
                let state = words.next().unwrap_or("");
                let queues = [words.next(), words.next()];
                state != "ESTAB" || queues.iter().any(|queue| *queue != Some("0"))
            })
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Two namespaces with one veth pair between them.
pub struct Pair {
    /// 10.77.0.1 and fd77::1.
    pub client: Netns,
    /// 10.77.0.2 and fd77::2.
    pub server: Netns,
}

impl Pair {
    /// IPv4 address of [`Pair::client`].
    pub const CLIENT: &str = "10.77.0.1";
    /// IPv4 address of [`Pair::server`].
    pub const SERVER: &str = "10.77.0.2";
    /// IPv6 address of [`Pair::client`].
    pub const CLIENT6: &str = "fd77::1";
    /// IPv6 address of [`Pair::server`].
    pub const SERVER6: &str = "fd77::2";
    /// Name of the interface at either end.
    pub const INTERFACE: &str = "veth0";

    /// Makes and connects them.
    pub fn new() -> Self {
        let pair = Self { client: Netns::new("client"), server: Netns::new("server") };
        let (a, b) = (&pair.client, &pair.server);
        let i = Self::INTERFACE;
        a.ip(&["link", "add", i, "type", "veth", "peer", "name", i, "netns", &b.name]);
        for (netns, v4, v6) in [(a, Self::CLIENT, Self::CLIENT6), (b, Self::SERVER, Self::SERVER6)] {
            netns.ip(&["addr", "add", &format!("{v4}/24"), "dev", i]);
            netns.ip(&["addr", "add", &format!("{v6}/64"), "dev", i, "nodad"]);
            netns.ip(&["link", "set", i, "up"]);
        }
        pair
    }

    /// Waits until neither side can send anything more on its own.
    pub fn settle(&self) {
        for netns in [&self.client, &self.server] {
            crate::wait_for("all TCP sockets to be closed for good", || {
                netns.unsettled_sockets().is_empty().then_some(())
            });
        }
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

/// Deletes namespaces whose test process is gone without having cleaned up (it was killed).
pub fn sweep() {
    let Ok(folder) = std::fs::read_dir("/run/netns") else { return };
    for entry in folder.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if let Some(pid) = owner
            && !Path::new("/proc").join(pid).exists()
        {
            remove(&name);
        }
    }
}

fn remove(name: &str) {
    // Errors are of no use here: this runs while a test unwinds, and the next sweep tries again.
    if let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() {
        for pid in String::from_utf8_lossy(&output.stdout).split_whitespace() {
            if let Ok(pid) = pid.parse() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}

fn path_of(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("ip starts");
    stdout_of("ip", args, output);
}

/// Standard output of a command that has to succeed.
///
/// # Panics
/// With the command's standard error where it failed.
pub fn stdout_of(program: &str, args: &[&str], output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {}\n{error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
