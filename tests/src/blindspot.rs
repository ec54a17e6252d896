//! Drops and retransmissions that no BPF program could see.
//!
//! On some virtual machines the kernel skips BPF programs when a softirq lands on a thread of PID 1, while ftrace still
//! records the event. This counts those events, so that a test can demand equality and know what the rest is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TRACEFS: &str = "/sys/kernel/tracing";

const EVENTS: [&str; 3] = ["skb/kfree_skb", "tcp/tcp_retransmit_skb", "tcp/tcp_retransmit_synack"];

/// Counts events on the threads of PID 1, from its making on.
pub struct BlindSpot {
    instance: Option<PathBuf>,
}

impl BlindSpot {
    /// Begins to count drops and retransmissions. tracefs is mounted where it isn't; if it can't be, there is nothing to
    /// count with, and nothing is excused.
    pub fn watch() -> Self {
        if !Path::new(TRACEFS).join("instances").exists() {
            // A fresh machine has it on demand only.
            let _ = Command::new("mount").args(["-t", "tracefs", "nodev", TRACEFS]).output();
        }
        let instance = Path::new(TRACEFS).join(format!("instances/tracenet-test-{}", std::process::id()));
        let threads: Vec<String> = fs::read_dir("/proc/1/task")
            .map(|folder| {
                folder.flatten().map(|t| format!("common_pid == {}", t.file_name().display())).collect()
            })
            .unwrap_or_default();
        let enable = |event: &&str| -> std::io::Result<()> {
            let folder = instance.join("events").join(event);
            fs::write(folder.join("filter"), threads.join(" || "))?;
            fs::write(folder.join("enable"), "1")
        };
        let begun = fs::create_dir(&instance).and_then(|()| EVENTS.iter().try_for_each(enable));
        Self { instance: begun.is_ok().then_some(instance) }
    }

    /// Retransmissions so far that happened there.
    pub fn retransmissions(&self) -> u64 {
        let Some(instance) = &self.instance else { return 0 };
        let trace = fs::read_to_string(instance.join("trace")).unwrap_or_default();
        trace.lines().filter(|line| line.contains("tcp_retransmit_")).count() as u64
    }

    /// Drops by netfilter so far that happened there.
    pub fn netfilter_drops(&self) -> u64 {
        self.drops("NETFILTER_DROP")
    }

    /// Drops for this reason so far that happened there.
    pub fn drops(&self, reason: &str) -> u64 {
        let Some(instance) = &self.instance else { return 0 };
        let trace = fs::read_to_string(instance.join("trace")).unwrap_or_default();
        let of_it = |line: &&str| line.split_whitespace().any(|word| word == reason);
        trace.lines().filter(of_it).count() as u64
    }
}

impl Drop for BlindSpot {
    fn drop(&mut self) {
        if let Some(instance) = &self.instance {
            for event in EVENTS {
                let _ = fs::write(instance.join("events").join(event).join("enable"), "0");
            }
            let _ = fs::remove_dir(instance);
        }
    }
}

/// Demands that `ours` is `kernels`, but for at most `blind` that could not be seen.
///
/// # Panics
/// Where it is not.
pub fn assert_seen(ours: u64, kernels: u64, blind: u64, what: &str) {
    assert!(
        ours <= kernels && kernels - ours <= blind,
        "{what}: tracenet {ours}, kernel {kernels}; {blind} happened where BPF programs are not run"
    );
    if ours < kernels {
        println!("{what}: {} of {kernels} happened where BPF programs are not run", kernels - ours);
    }
}
