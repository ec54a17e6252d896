//! Processes: who is a target, what it is called, whether it still lives.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::event::{ProcessInfo, Task};
use crate::fact::Who;
use crate::key::ProcessKey;

/// A target, for the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// Identity.
    pub key: ProcessKey,
    /// Last `comm` known.
    pub comm: Arc<str>,
    /// As wait(2) encodes it, once it has ended.
    pub exit: Option<u32>,
}

#[derive(Debug, Clone)]
struct Process {
    key: ProcessKey,
    comm: Arc<str>,
    /// Index into `targets`.
    target: Option<usize>,
    ended: bool,
}

/// The process table. It holds at most `max` processes and `max` targets; ended ones make room first, then ones that
/// are no targets; a process that finds no room goes unnamed, and is counted.
#[derive(Debug)]
pub(crate) struct ProcessTable {
    by_tgid: FxHashMap<u32, Process>,
    targets: Vec<TargetStatus>,
    live: usize,
    max: usize,
    everyone: bool,
    forgets: bool,
    pub(crate) omitted: u64,
    unnamed: Arc<str>,
}

impl ProcessTable {
    /// `everyone`: all processes that are known are targets. `forgets`: targets that have ended make room for others.
    pub(crate) fn new(max: usize, everyone: bool, forgets: bool) -> Self {
        Self {
            everyone,
            forgets,
            by_tgid: FxHashMap::default(),
            targets: Vec::new(),
            live: 0,
            max: max.max(1),
            omitted: 0,
            unnamed: Arc::from(""),
        }
    }

    /// Remembers a process by its name; another start time makes it another process.
    pub(crate) fn learn(&mut self, info: &ProcessInfo) {
        if let Some(p) = self.by_tgid.get_mut(&info.key.tgid) {
            if p.key == info.key {
                if !info.comm.is_empty() && p.comm != info.comm {
                    p.comm = Arc::clone(&info.comm);
                    if let Some(s) = p.target.and_then(|i| self.targets.get_mut(i)) {
                        s.comm = Arc::clone(&info.comm);
                    }
                }
                return;
            }
            // What is told of the process that had the number before is no news.
            if info.key.start_ns != 0 && info.key.start_ns < p.key.start_ns {
                return;
            }
            self.forget(info.key.tgid);
        }
        if self.by_tgid.len() >= self.max && !self.make_room() {
            self.omitted += 1;
            return;
        }
        let p = Process { key: info.key, comm: Arc::clone(&info.comm), target: None, ended: false };
        self.by_tgid.insert(info.key.tgid, p);
    }

    /// Remembers a process and makes it a target.
    pub(crate) fn add_target(&mut self, info: &ProcessInfo) {
        self.learn(info);
        if self.forgets && self.targets.len() >= self.max {
            self.forget_ended();
        }
        let Some(p) = self.by_tgid.get_mut(&info.key.tgid) else { return };
        if p.target.is_some() || p.key != info.key {
            return;
        }
        if self.targets.len() >= self.max {
            self.omitted += 1;
            return;
        }
        p.target = Some(self.targets.len());
        self.targets.push(TargetStatus { key: p.key, comm: Arc::clone(&p.comm), exit: None });
        self.live += 1;
    }

    fn forget_ended(&mut self) {
        self.targets.retain(|t| t.exit.is_none());
        for p in self.by_tgid.values_mut().filter(|p| p.target.is_some()) {
            p.target = self.targets.iter().position(|t| t.key == p.key);
        }
    }

    /// A new image: a new name.
    pub(crate) fn exec(&mut self, tgid: u32, comm: &Arc<str>) {
        if let Some(p) = self.by_tgid.get_mut(&tgid) {
            p.comm = Arc::clone(comm);
            if let Some(s) = p.target.and_then(|i| self.targets.get_mut(i)) {
                s.comm = Arc::clone(comm);
            }
        }
    }

    /// It has ended. Its name is kept for what trails behind.
    pub(crate) fn exit(&mut self, tgid: u32, code: u32) {
        let Some(p) = self.by_tgid.get_mut(&tgid) else { return };
        if p.ended {
            return;
        }
        p.ended = true;
        if let Some(s) = p.target.and_then(|i| self.targets.get_mut(i)) {
            s.exit = Some(code);
            self.live = self.live.saturating_sub(1);
        }
    }

    /// True for a target, ended or not.
    pub(crate) fn is_target(&self, tgid: u32) -> bool {
        self.by_tgid.get(&tgid).is_some_and(|p| self.everyone || p.target.is_some())
    }

    /// The process of a task; without a name where it was never told.
    pub(crate) fn who(&self, task: Task) -> Who {
        match self.by_tgid.get(&task.tgid) {
            Some(p) => Who { key: p.key, tid: task.tid, comm: Arc::clone(&p.comm) },
            None => Who {
                key: ProcessKey { tgid: task.tgid, start_ns: 0 },
                tid: task.tid,
                comm: Arc::clone(&self.unnamed),
            },
        }
    }

    /// Targets in the order in which they came.
    pub(crate) fn targets(&self) -> &[TargetStatus] {
        &self.targets
    }

    /// Targets that have not ended.
    pub(crate) fn live_targets(&self) -> usize {
        self.live
    }

    /// The number was given to another process: the one before has ended, unnoticed.
    fn forget(&mut self, tgid: u32) {
        if let Some(p) = self.by_tgid.remove(&tgid)
            && p.target.is_some()
            && !p.ended
        {
            self.live = self.live.saturating_sub(1);
        }
    }

    fn make_room(&mut self) -> bool {
        let spare = self
            .by_tgid
            .iter()
            .filter(|(_, p)| p.ended || p.target.is_none())
            .min_by_key(|(_, p)| (!p.ended, p.key.start_ns))
            .map(|(tgid, _)| *tgid);
        match spare {
            Some(tgid) => {
                self.forget(tgid);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(tgid: u32, start_ns: u64, comm: &str) -> ProcessInfo {
        ProcessInfo { key: ProcessKey { tgid, start_ns }, comm: Arc::from(comm) }
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let mut t = ProcessTable::new(8, false, false);
        t.add_target(&info(7, 100, "first"));
        t.exit(7, 256);
        assert_eq!(t.live_targets(), 0);
        t.learn(&info(7, 200, "second"));
        assert!(!t.is_target(7), "the number is not the process");
        assert_eq!(&*t.who(Task { tgid: 7, tid: 7 }).comm, "second");
        t.learn(&info(7, 100, "first"));
        assert_eq!(&*t.who(Task { tgid: 7, tid: 7 }).comm, "second", "old news");
        assert_eq!(
            t.targets(),
            [TargetStatus { key: info(7, 100, "").key, comm: Arc::from("first"), exit: Some(256) }]
        );
    }

    #[test]
    fn a_reused_pid_ends_a_target_whose_exit_was_lost() {
        let mut t = ProcessTable::new(8, false, false);
        t.add_target(&info(7, 100, "a"));
        t.learn(&info(7, 200, "b"));
        assert_eq!(t.live_targets(), 0);
    }

    #[test]
    fn exec_renames_and_exit_counts_once() {
        let mut t = ProcessTable::new(8, false, false);
        t.add_target(&info(7, 1, "sh"));
        t.add_target(&info(7, 1, "sh"));
        t.exec(7, &Arc::from("curl"));
        assert_eq!((&*t.targets()[0].comm, t.live_targets()), ("curl", 1));
        t.exit(7, 0);
        t.exit(7, 0);
        assert_eq!((t.targets()[0].exit, t.live_targets()), (Some(0), 0));
    }

    #[test]
    fn the_table_is_bounded_and_prefers_the_living_targets() {
        let mut t = ProcessTable::new(2, false, false);
        t.add_target(&info(1, 1, "target"));
        t.learn(&info(2, 2, "other"));
        t.learn(&info(3, 3, "newer"));
        assert_eq!(&*t.who(Task { tgid: 3, tid: 3 }).comm, "newer");
        assert_eq!(&*t.who(Task { tgid: 2, tid: 2 }).comm, "");
        t.add_target(&info(3, 3, "newer"));
        t.learn(&info(4, 4, "no room"));
        assert_eq!((t.omitted, t.live_targets()), (1, 2));
    }

    #[test]
    fn targets_that_have_ended_make_room_where_nobody_sums_up() {
        let mut t = ProcessTable::new(2, false, true);
        t.add_target(&info(1, 1, "stays"));
        for tgid in 2..6 {
            t.add_target(&info(tgid, 1, "short"));
            assert!(t.is_target(tgid) && t.is_target(1), "{tgid}");
            t.exit(tgid, 0);
        }
        assert_eq!((t.omitted, t.live_targets()), (0, 1));
        t.exit(1, 0);
        assert_eq!(t.live_targets(), 0);
    }
}
