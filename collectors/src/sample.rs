//! One moment of a host: every counter of this network namespace, of the host and of chosen processes, read together.

use tracenet_core::time::WallNs;

use crate::clock;
use crate::counters::{self, Kind, Snapshot};
use crate::host;
use crate::interfaces::ethtool;
use crate::process::Proc;
use crate::task::{Task, Tasks};

/// Everything at one moment; the rates of an interval are made of two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// When the reading began.
    pub wall: WallNs,
    /// Nanoseconds since boot then, suspended time included (`CLOCK_BOOTTIME`, as `/proc/uptime`).
    pub boot_ns: u64,
    /// The numbers, by name.
    pub counters: Snapshot,
    /// Processes that were asked for and live.
    pub tasks: Vec<Task>,
}

/// Takes samples.
#[derive(Debug)]
pub struct Sampler {
    proc: Proc,
    tasks: Tasks,
}

impl Sampler {
    /// With the processes whose counters are read too.
    pub fn new(proc: Proc, pids: impl IntoIterator<Item = u32>) -> Self {
        let tasks = Tasks::new(proc.clone(), pids);
        Self { proc, tasks }
    }

    /// Reads everything now. What this kernel doesn't have, or this user may not read, is left out.
    pub fn take(&mut self) -> Sample {
        let (wall, boot_ns) = (clock::wall_now(), clock::boot_now_ns());
        let mut counters = counters::namespace_here().unwrap_or_default();
        links(&mut counters);
        host::read(&self.proc, &mut counters);
        let tasks = self.tasks.look(&mut counters);
        Sample { wall, boot_ns, counters, tasks }
    }
}

/// Speed and duplex of each interface that has them: what a link can carry is needed to say how busy it is.
fn links(s: &mut Snapshot) {
    let names: Vec<String> = s
        .iter()
        .filter_map(|(name, _)| name.strip_prefix("dev.")?.strip_suffix(".rx_bytes"))
        .map(str::to_owned)
        .collect();
    let Ok(socket) = ethtool::Socket::open() else { return };
    for name in names {
        let Some(link) = socket.link(&name) else { continue };
        if let Some(speed) = link.speed_mbit {
            s.put(format!("dev.{name}.speed_mbit"), Kind::Gauge, speed.into());
        }
        s.put(format!("dev.{name}.full_duplex"), Kind::Gauge, u64::from(link.duplex == Some("full")));
    }
}
