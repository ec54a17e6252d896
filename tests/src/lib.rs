//! A laboratory of network namespaces, real programs and independent oracles, in which the release binary of
//! tracenet is run and its answers are compared with what the kernel, the firewall and the programs say.
//!
//! Nothing here waits for a fixed time: every wait has a condition and a deadline that fails the test.

pub mod agent;
pub mod blindspot;
pub mod bpf;
pub mod cgroup;
pub mod collector;
pub mod container;
pub mod counters;
pub mod dashboards;
pub mod floor;
pub mod fuzz;
pub mod harness;
pub mod host;
pub mod kube_api;
pub mod link;
pub mod load;
pub mod netns;
pub mod node;
pub mod program;
pub mod report;
pub mod scenario;
pub mod strace;

use std::time::{Duration, Instant};

/// How long anything may take before a test calls it a failure.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Polls `condition` until it yields a value.
///
/// # Panics
/// When [`DEADLINE`] has passed; `what` says what was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// True where `TRACENET_SOAK` asks for the large sizes (`make soak`).
pub fn soak() -> bool {
    std::env::var_os("TRACENET_SOAK").is_some_and(|value| value != "0")
}

/// The root of the repository.
pub fn repository() -> std::path::PathBuf {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// The kubectl that `.ci/setup` unpacks.
pub fn kubectl() -> std::path::PathBuf {
    target_folder().join("kubernetes/kubectl")
}

/// The helm that `.ci/setup` unpacks.
pub fn helm() -> std::path::PathBuf {
    target_folder().join("kubernetes/helm")
}

/// The cargo target folder that `make test` uses.
pub fn target_folder() -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), |d| repository().join(d))
}
