//! What is known of a traced process beyond its number, asked of /proc while it most likely lives.

use std::cell::RefCell;

use nix::time::{ClockId, clock_gettime};
use rustc_hash::FxHashMap;
use tracenet_collectors::clock;
use tracenet_collectors::process::Proc;
use tracenet_core::key::ProcessKey;
use tracenet_core::time::WallNs;
use tracenet_otel::ProcessIdentity;

/// Processes remembered; beyond it the memory starts anew, since every entry can be asked again.
const MAX_KNOWN: usize = 8_192;

/// Remembers what /proc said of a process, so that its resource is right although it has ended since.
#[derive(Debug, Default)]
pub struct Identities {
    known: RefCell<FxHashMap<ProcessKey, ProcessIdentity>>,
}

impl Identities {
    /// Asks /proc, if nobody did yet.
    pub fn learn(&self, key: ProcessKey, comm: &str) {
        let mut known = self.known.borrow_mut();
        if known.contains_key(&key) {
            return;
        }
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, ask(key, comm));
    }

    /// A process runs another program now.
    pub fn relearn(&self, key: ProcessKey, comm: &str) {
        self.known.borrow_mut().remove(&key);
        self.learn(key, comm);
    }

    /// What is known.
    pub fn of(&self, key: ProcessKey) -> ProcessIdentity {
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        ask(key, "")
    }
}

fn ask(key: ProcessKey, comm: &str) -> ProcessIdentity {
    let name = || comm.to_owned();
    let Ok(p) = Proc::default().process(key.tgid) else {
        return ProcessIdentity { pid: key.tgid, executable_name: name(), ..ProcessIdentity::default() };
    };
    ProcessIdentity {
        pid: key.tgid,
        executable_name: p.called().unwrap_or_else(name),
        executable_path: p.exe.as_ref().map(|e| e.display().to_string()),
        systemd_unit: p.cgroup.unit.as_ref().and_then(|u| u.service().map(str::to_owned)),
        container_id: p.cgroup.container.map(|c| c.id),
        creation_time: boot_to_wall(p.start_ns),
        ..ProcessIdentity::default()
    }
}

/// `CLOCK_BOOTTIME` runs on through suspend, so it has its own distance to the wall clock.
pub fn boot_to_wall(start_ns: u64) -> Option<WallNs> {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let boot_ns = u64::try_from(boot.tv_sec()).ok()? * 1_000_000_000 + u64::try_from(boot.tv_nsec()).ok()?;
    Some(WallNs(clock::wall_now().0.saturating_sub(boot_ns.saturating_sub(start_ns))))
}
