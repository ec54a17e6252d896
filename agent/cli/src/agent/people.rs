//! The processes that use the network: who they are, to which workload they belong, and what they did since last time.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use tracenet_collectors::identity::cgroup::Cgroup;
use tracenet_collectors::identity::{Identifier, Identity};
use tracenet_collectors::process::{Proc, Process};
use tracenet_core::event::RetransmitCause;
use tracenet_core::key::{ProcessKey, Role};
use tracenet_otel::{Activity, ProcessIdentity};
use tracenet_probes::{Account, Turns};

use crate::identity::boot_to_wall;

/// So long a container's pod is asked for again: the API server tells of it a little later than it starts.
const PATIENCE: Duration = Duration::from_secs(30);

/// So long a process must have done nothing that /proc does not show, where that does not show all.
const IDLE: Duration = Duration::from_secs(60);

/// A workload without a process is forgotten after this time.
const KEPT: Duration = Duration::from_secs(60);

/// A process.
pub struct Person {
    pub identity: Identity,
    pub told: ProcessIdentity,
    pub workload: u32,
    since: Instant,
    /// When it last did anything.
    active: Instant,
    account: Account,
    turns: [Turns; 2],
    /// Found ended: its account is read once more.
    pub ended: bool,
}

impl Person {
    /// For how long the probes had held it up when its account was read last, in nanoseconds.
    pub fn probe_ns(&self) -> u64 {
        self.account.probe_ns
    }
}

/// What makes a workload: everything of its processes but the processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Workload {
    name: String,
    container: Option<String>,
    attributes: Vec<(String, String)>,
}

/// A workload's processes.
#[derive(Debug)]
struct Members {
    number: u32,
    count: usize,
    empty_since: Instant,
}

/// All of them. The kernel's table bounds the processes; workloads are bounded where they are told.
pub struct People {
    proc: Proc,
    identifier: Identifier,
    pods: bool,
    /// /proc shows every process of the host.
    sees_all: bool,
    known: FxHashMap<ProcessKey, Person>,
    workloads: FxHashMap<Workload, Members>,
    numbers: u32,
}

/// What is to be done about a process or workload that changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// These are others than was told of them.
    pub changed: Vec<ProcessKey>,
    /// These have ended, were read after their end, and have no connection any more.
    pub over: Vec<ProcessKey>,
    /// These workloads have no process any more.
    pub emptied: Vec<u32>,
}

impl People {
    /// `pods`: the identifier may come to know more of a container later.
    pub fn new(identifier: Identifier, pods: bool) -> Self {
        Self {
            proc: Proc::default(),
            identifier,
            pods,
            sees_all: sees_all(),
            known: FxHashMap::default(),
            workloads: FxHashMap::default(),
            numbers: 0,
        }
    }

    /// A process, where it is known.
    pub fn get(&self, key: ProcessKey) -> Option<&Person> {
        self.known.get(&key)
    }

    /// Makes a process known, by what the kernel side noted of it. True where it is new.
    pub fn meet(&mut self, key: ProcessKey, account: &Account, now: Instant) -> bool {
        if self.known.contains_key(&key) {
            return false;
        }
        let alive = self.proc.process(key.tgid).ok().filter(|p| started_at(p, key.start_ns));
        let cgroup = match &alive {
            // The kernel side keeps one hierarchy, /proc has all of them.
            Some(p) if account.cgroup.is_empty() || p.cgroup.container.is_some() => p.cgroup.clone(),
            _ => Cgroup::of_path(&account.cgroup),
        };
        let identity = self.identifier.identify(&cgroup, now);
        let told = ProcessIdentity {
            pid: key.tgid,
            executable_name: alive.as_ref().and_then(|p| p.called()).unwrap_or_else(|| account.comm.clone()),
            executable_path: alive.as_ref().and_then(|p| p.exe.as_ref()).map(|e| e.display().to_string()),
            creation_time: boot_to_wall(key.start_ns),
            ..ProcessIdentity::default()
        };
        let told = with(told, &identity);
        let workload = self.join(&told, now);
        self.known.insert(
            key,
            Person {
                identity,
                told,
                workload,
                since: now,
                active: now,
                account: Account::default(),
                turns: [Turns::default(), Turns::default()],
                ended: false,
            },
        );
        true
    }

    /// A process runs another program now. False where it is not known, or can't be looked at.
    pub fn run_anew(&mut self, key: ProcessKey, now: Instant) -> bool {
        let alive = self.proc.process(key.tgid).ok().filter(|p| started_at(p, key.start_ns));
        let (Some(alive), Some(person)) = (alive, self.known.get_mut(&key)) else { return false };
        if let Some(name) = alive.called() {
            person.told.executable_name = name;
        }
        person.told.executable_path = alive.exe.as_ref().map(|e| e.display().to_string());
        let (told, left) = (person.told.clone(), person.workload);
        self.leave(left, now);
        let number = self.join(&told, now);
        if let Some(person) = self.known.get_mut(&key) {
            person.workload = number;
        }
        true
    }

    /// What a process did since the last time, by what the kernel side has added up.
    pub fn did(
        &mut self,
        key: ProcessKey,
        account: Account,
        turns: &mut FxHashMap<(ProcessKey, Role), Turns>,
        at: Instant,
    ) -> Activity {
        let Some(person) = self.known.get_mut(&key) else { return Activity::default() };
        let mut what = growth(&person.account, &account);
        person.account = account;
        for (role, before) in [Role::Client, Role::Server].into_iter().zip(&mut person.turns) {
            let Some(mut now) = turns.remove(&(key, role)) else { continue };
            let lately = now.since(before);
            let durations = estimate(&lately);
            if !durations.is_empty() {
                what.turns.push((role, durations));
            }
            if lately.unanswered > 0 {
                what.unanswered.push((role, lately.unanswered));
            }
            // Of those that were counted only, the next that is followed may tell.
            if lately.answered == 0 {
                now.unfollowed = before.unfollowed;
            }
            *before = now;
        }
        if !what.is_empty() {
            person.active = at;
        }
        what
    }

    /// The turns of a process at one side so far, as of the last look.
    pub fn turns(&self, key: ProcessKey, role: Role) -> Option<&Turns> {
        let at = usize::from(role == Role::Server);
        self.known.get(&key).and_then(|p| p.turns.get(at))
    }

    /// Looks who has ended, and who has become known better. Of `owners` something may be told yet: a connection often ends
    /// later than its process, and who they are has to be known until then.
    pub fn look(&mut self, now: Instant, owners: impl FnOnce() -> FxHashSet<ProcessKey>) -> Changes {
        let mut changes = Changes::default();
        let mut joined = Vec::new();
        for (key, person) in &mut self.known {
            if person.ended {
                changes.over.push(*key);
                continue;
            }
            // It may have ended after its account was read: the next reading is the last one.
            let shown = self.proc.exists(key.tgid);
            let idle = now.saturating_duration_since(person.active) >= IDLE;
            person.ended = !shown && (self.sees_all || idle);
            let wanting =
                self.pods && person.identity.cgroup.container.is_some() && person.identity.pod.is_none();
            if wanting && now.saturating_duration_since(person.since) < PATIENCE {
                let identity = self.identifier.identify(&person.identity.cgroup, now);
                if identity != person.identity {
                    person.told = with(std::mem::take(&mut person.told), &identity);
                    person.identity = identity;
                    joined.push(*key);
                }
            }
        }
        for key in joined {
            let Some(person) = self.known.get(&key) else { continue };
            let (told, left) = (person.told.clone(), person.workload);
            self.leave(left, now);
            let number = self.join(&told, now);
            if let Some(person) = self.known.get_mut(&key) {
                person.workload = number;
            }
            changes.changed.push(key);
        }
        if !changes.over.is_empty() {
            let owners = owners();
            changes.over.retain(|key| !owners.contains(key));
        }
        for key in &changes.over {
            if let Some(person) = self.known.remove(key) {
                self.leave(person.workload, now);
            }
        }
        self.workloads.retain(|_, members| {
            let kept = members.count > 0 || now.saturating_duration_since(members.empty_since) < KEPT;
            if !kept {
                changes.emptied.push(members.number);
            }
            kept
        });
        changes
    }

    /// All that are known.
    pub fn keys(&self) -> FxHashSet<ProcessKey> {
        self.known.keys().copied().collect()
    }

    fn join(&mut self, told: &ProcessIdentity, now: Instant) -> u32 {
        let name = told.systemd_unit.clone().unwrap_or_else(|| told.executable_name.clone());
        let workload =
            Workload { name, container: told.container_id.clone(), attributes: told.attributes.clone() };
        let number = self.numbers;
        let members =
            self.workloads.entry(workload).or_insert(Members { number, count: 0, empty_since: now });
        if members.number == number {
            self.numbers = self.numbers.wrapping_add(1);
        }
        members.count += 1;
        members.number
    }

    fn leave(&mut self, number: u32, now: Instant) {
        if let Some(members) = self.workloads.values_mut().find(|m| m.number == number) {
            members.count = members.count.saturating_sub(1);
            members.empty_since = now;
        }
    }
}

/// The process that the kernel says was started then: /proc has whole ticks alone, rounded down (`USER_HZ` is 100).
fn started_at(process: &Process, ns: u64) -> bool {
    const TICK_NS: u64 = 10_000_000;
    ns.checked_sub(process.start_ns).is_some_and(|rest| rest < TICK_NS)
}

/// True in the host's PID namespace: elsewhere /proc shows only some of the processes, by other numbers than the kernel's
/// (`PROC_PID_INIT_INO` of include/linux/proc_ns.h).
pub fn sees_all() -> bool {
    const HOST: u64 = 0xefff_fffc;
    std::fs::metadata("/proc/self/ns/pid").is_ok_and(|pids| pids.ino() == HOST)
}

/// What was found out of the place where it runs.
fn with(told: ProcessIdentity, identity: &Identity) -> ProcessIdentity {
    ProcessIdentity {
        systemd_unit: identity.cgroup.unit.as_ref().and_then(|u| u.service().map(str::to_owned)),
        container_id: identity.cgroup.container.as_ref().map(|c| c.id.clone()),
        attributes: identity.attributes.clone(),
        ..told
    }
}

/// How many turns took how long. Those of connections on which turns are counted only are taken to be as those of the others.
fn estimate(turns: &Turns) -> Vec<(u64, u64)> {
    let all = turns.answered + turns.unfollowed;
    let (mut seen, mut told) = (0, 0);
    turns
        .durations()
        .map(|(ns, n)| {
            seen += n;
            // What is rounded off of one is made up for by the next, so that they sum up to all.
            let until = (u128::from(seen) * u128::from(all) / u128::from(turns.answered.max(1))) as u64;
            let n = until - told;
            told = until;
            (ns, n)
        })
        .collect()
}

/// One of an account's sums.
type Sum = fn(&Account) -> u64;

fn growth(before: &Account, now: &Account) -> Activity {
    let more = |of: Sum| of(now).saturating_sub(of(before));
    let causes: [(RetransmitCause, Sum); 6] = [
        (RetransmitCause::Fast, |a| a.fast),
        (RetransmitCause::TailLossProbe, |a| a.tail_loss_probe),
        (RetransmitCause::Timeout, |a| a.timeout),
        (RetransmitCause::Syn, |a| a.syn),
        (RetransmitCause::SynAck, |a| a.syn_ack),
        (RetransmitCause::Other, |a| a.other),
    ];
    let drops = now.drop_reasons.iter().map(|(reason, n)| {
        (Arc::clone(reason), n.saturating_sub(before.drop_reasons.get(reason).copied().unwrap_or(0)))
    });
    Activity {
        sent: more(Account::sent),
        received: more(Account::received),
        segments: (more(|a| a.segments_sent), more(|a| a.segments_received)),
        opened: more(|a| a.opened),
        accepted: more(|a| a.accepted),
        failed: more(|a| a.failed),
        retransmits: causes
            .into_iter()
            .map(|(cause, of)| (cause, more(of)))
            .filter(|(_, n)| *n > 0)
            .collect(),
        drops: drops.filter(|(_, n)| *n > 0).collect(),
        lookups: more(|a| a.lookups),
        errors: more(|a| a.errors),
        rtt_us: (more(|a| a.rtt_us), more(|a| a.rtts)),
        turns: Vec::new(),
        unanswered: Vec::new(),
    }
}
