//! The kernel's counters since the run began, read from outside of the namespaces.

use tracenet_collectors::counters::{self, Snapshot};
use tracenet_collectors::netns;
use tracenet_collectors::process::Proc;
use tracenet_core::record::CounterChanges;

use crate::closing::changes;
use crate::targets::Target;

/// Where the counters stood.
pub struct Counting {
    proc: Proc,
    /// A process of each namespace, the namespace's inode number, its counters.
    namespaces: Vec<(u32, u32, Snapshot)>,
    /// PID, name, counters.
    processes: Vec<(u32, String, Snapshot)>,
}

impl Counting {
    /// From now on.
    pub fn begin(targets: &[Target]) -> Self {
        let proc = Proc::default();
        let mut namespaces: Vec<(u32, u32, Snapshot)> = Vec::new();
        for t in targets {
            if namespaces.iter().all(|(_, inum, _)| *inum != t.netns)
                && let Some(before) = counters::namespace_of(&proc, t.pid)
            {
                namespaces.push((t.pid, t.netns, before));
            }
        }
        let processes = targets
            .iter()
            .filter_map(|t| Some((t.pid, format!("{}[{}]", t.comm, t.pid), t.before.clone()?)))
            .collect();
        Self { proc, namespaces, processes }
    }

    /// What moved. A namespace is left out where the process through which it is read has left it.
    pub fn changes(&self) -> Vec<CounterChanges> {
        let namespaces = self.namespaces.iter().filter_map(|(pid, inum, before)| {
            let after = counters::namespace_of(&self.proc, *pid)?;
            let still = netns::inode_of(*pid).is_ok_and(|n| n == *inum);
            still.then(|| {
                changes(format!("kernel counters of netns {inum}"), &counters::delta(before, &after))
            })
        });
        let processes = self.processes.iter().filter_map(|(pid, title, before)| {
            let after = counters::process(&self.proc, *pid)?;
            Some(changes(title.clone(), &counters::delta(before, &after)))
        });
        namespaces.chain(processes).collect()
    }
}
