//! Names the rule behind each drop by the packet filter, without touching the rules: who can have done it by what the
//! rules say, and whose counter moved. A look at the rules takes some 10 ms, so there are few of them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use tracenet_core::drops::{Conntrack, MAX_SUSPECTS, Rule, Sure, Suspects};
use tracenet_core::event::{DropEvent, Event, EventKind};
use tracenet_core::key::NetnsCookie;

use super::listing_here;
use super::suspects::{Met, Ruleset};

/// Namespaces that are watched.
const MAX_NAMESPACES: usize = 256;

/// Packets of which it is remembered who can have dropped them.
const MAX_MEMORY: usize = 4_096;

/// While the counters are wanted, so often they are read at most.
const COUNTERS_EVERY: Duration = Duration::from_millis(100);

/// So old the rules may be.
const RULES_EVERY: Duration = Duration::from_secs(1);

/// Of those who spare themselves: a look that took so long is followed by none for so many times that long.
const REST: u32 = 40;

/// Of those too: while they rest, rules may be so old.
const RULES_WHILE_RESTING: Duration = Duration::from_secs(10);

/// Of those too: a namespace in which nothing was dropped for so long is let go, for to watch it is to keep it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// All namespaces whose packet filter has dropped something, or may.
#[derive(Debug, Default)]
pub struct Watch {
    namespaces: HashMap<NetnsCookie, Watched>,
    effort: Effort,
}

/// What is known of a namespace.
#[derive(Debug)]
struct Watched {
    /// `None` where it can't be entered.
    namespace: Option<Namespace>,
    used: Instant,
}

/// How much of the time may go into looks at rules.
#[derive(Debug, Default)]
struct Effort {
    sparing: bool,
    rests_until: Option<Instant>,
}

impl Effort {
    fn may_look(&self) -> bool {
        self.rests_until.is_none_or(|until| Instant::now() >= until)
    }

    fn look<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = f();
        if self.sparing {
            self.rests_until =
                began.elapsed().checked_mul(REST).and_then(|rest| Instant::now().checked_add(rest));
        }
        result
    }
}

#[derive(Debug)]
struct Namespace {
    /// `None`: the caller's own.
    home: Option<File>,
    rules: Ruleset,
    conntrack: Option<Tracking>,
    looked: Instant,
    /// Between the last two looks.
    moved: Moved,
    /// When connection tracking was last seen to have dropped something.
    tracked: Option<Instant>,
    memory: HashMap<Met, Arc<Vec<Rule>>>,
}

/// Connection tracking's own count.
#[derive(Debug, Clone, Copy)]
struct Tracking {
    now: Conntrack,
    drops: u64,
}

/// Rules whose counters grew.
type Moved = Vec<(String, String, u64)>;

impl Watch {
    /// One that looks at rules for a fortieth of its time at most, and keeps no namespace for long. Drops for which it has no
    /// time have no rule.
    pub fn sparing() -> Self {
        Self { effort: Effort { sparing: true, rests_until: None }, ..Self::default() }
    }

    /// Looks at the rules of a target's namespace before anything is dropped: what counters say later is a difference.
    pub fn add(&mut self, netns: NetnsCookie, pid: u32) {
        if self.namespaces.len() < MAX_NAMESPACES {
            let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
            self.namespaces.entry(netns).or_insert_with(|| Watched {
                namespace: Namespace::open(&path, false),
                used: Instant::now(),
            });
        }
    }

    /// Namespaces other than these (inode numbers) are not kept from their end. One in which something is dropped is found
    /// again.
    pub fn keep(&mut self, inodes: &[u64]) {
        self.namespaces.retain(|_, watched| {
            let Some(Namespace { home: Some(home), .. }) = &watched.namespace else { return true };
            home.metadata().is_ok_and(|m| inodes.contains(&m.ino()))
        });
    }

    /// Says of each drop by netfilter what can be said.
    pub fn explain(&mut self, events: &mut [Event]) {
        let mut of: HashMap<NetnsCookie, Vec<&mut DropEvent>> = HashMap::new();
        for event in events {
            if let EventKind::Drop(d) = &mut event.kind
                && &*d.reason == "NETFILTER_DROP"
            {
                of.entry(d.netns).or_default().push(d);
            }
        }
        if self.effort.sparing {
            self.namespaces.retain(|_, watched| watched.used.elapsed() < FORGOTTEN_AFTER);
        }
        for (netns, mut drops) in of {
            let Some(first) = drops.first() else { continue };
            if !self.namespaces.contains_key(&netns) {
                if self.namespaces.len() >= MAX_NAMESPACES || !self.effort.may_look() {
                    continue;
                }
                let inum = first.netns_inum;
                let namespace = self.effort.look(|| Namespace::open(&find(inum)?, true));
                self.namespaces.insert(netns, Watched { namespace, used: Instant::now() });
            }
            let Some(watched) = self.namespaces.get_mut(&netns) else { continue };
            watched.used = Instant::now();
            if let Some(namespace) = &mut watched.namespace {
                namespace.explain(&mut drops, &mut self.effort);
            }
        }
    }
}

/// A file that stands for the namespace with this inode number: of a process that lives there, or where ip-netns(8)
/// keeps it.
fn find(inum: u32) -> Option<PathBuf> {
    let is_it = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.ino() == u64::from(inum));
    let processes = fs::read_dir("/proc").ok()?.flatten().map(|p| p.path().join("ns/net"));
    let named = fs::read_dir("/run/netns").into_iter().flatten().flatten().map(|n| n.path());
    processes.chain(named).find(is_it)
}

impl Namespace {
    /// `late`: something was dropped already.
    fn open(path: &Path, late: bool) -> Option<Self> {
        let inode = |path: &Path| fs::metadata(path).ok().map(|m| m.ino());
        let own = inode(path)? == inode(Path::new("/proc/thread-self/ns/net"))?;
        let mut namespace = Self {
            home: if own { None } else { Some(File::open(path).ok()?) },
            rules: Ruleset::default(),
            conntrack: None,
            looked: Instant::now(),
            moved: Moved::new(),
            tracked: None,
            memory: HashMap::new(),
        };
        namespace.look();
        namespace.track();
        // What the counters had before is nobody's.
        namespace.moved.clear();
        if late && namespace.conntrack.is_some_and(|t| t.drops > 0) {
            namespace.tracked = Some(Instant::now());
        }
        Some(namespace)
    }

    /// Runs `f` in the namespace.
    fn within<T: Send>(&self, f: impl FnOnce() -> Option<T> + Send) -> Option<T> {
        let Some(home) = &self.home else { return f() };
        std::thread::scope(|scope| {
            let there = scope.spawn(|| setns(home, CloneFlags::CLONE_NEWNET).ok().and_then(|()| f()));
            there.join().ok().flatten()
        })
    }

    /// Lists the rules and takes the difference of their counters.
    fn look(&mut self) {
        self.looked = Instant::now();
        let Some(rules) = self.within(|| Some(Ruleset::parse(&listing_here()?))) else { return };
        let grew = |(place, n): (&(String, String, u64), &u64)| {
            self.rules.counters.get(place).is_none_or(|before| n > before).then(|| place.clone())
        };
        self.moved = rules.counters.iter().filter_map(grew).collect();
        self.rules = rules;
        self.memory.clear();
    }

    /// Asks connection tracking what it dropped, which is cheap.
    fn track(&mut self) {
        let now = self.within(tracking_here);
        if let (Some(before), Some(now)) = (&self.conntrack, &now)
            && now.drops > before.drops
        {
            self.tracked = Some(Instant::now());
        }
        self.conntrack = now;
    }

    fn explain(&mut self, drops: &mut [&mut DropEvent], effort: &mut Effort) {
        // Rules of nft say so in nft_do_chain, since Linux 6.8; before they did in nf_hook_slow, as all others.
        let by_nft = |d: &DropEvent| d.location.starts_with("nft_");
        if !drops.iter().all(|d| by_nft(d)) {
            self.track();
        }
        let tracked = self.tracked.is_some_and(|at| at.elapsed() < RULES_EVERY)
            || self.conntrack.is_some_and(|t| t.now.count >= t.now.max);
        let age = self.looked.elapsed();
        let wanted = age >= RULES_EVERY
            || age >= COUNTERS_EVERY
                && drops.iter().any(|d| (by_nft(d) || !tracked) && self.suspects(d).len() != 1);
        let looks = wanted && effort.may_look();
        if looks {
            effort.look(|| self.look());
        }
        // They may be others by now.
        let stale = !looks && age >= RULES_WHILE_RESTING;
        for d in drops {
            let suspects = self.suspects(d);
            let conntrack = self.conntrack.filter(|_| tracked && !by_nft(d)).map(|t| t.now);
            let details = Arc::make_mut(&mut d.details);
            match conntrack {
                Some(table) => details.conntrack = Some(table),
                None if stale => {}
                None => details.rule = self.verdict(&suspects),
            }
        }
    }

    fn suspects(&mut self, d: &DropEvent) -> Arc<Vec<Rule>> {
        let Some(met) = Met::of(d) else { return Arc::default() };
        if let Some(known) = self.memory.get(&met) {
            return Arc::clone(known);
        }
        if self.memory.len() >= MAX_MEMORY {
            self.memory.clear();
        }
        let found = Arc::new(self.rules.suspects(&met));
        self.memory.insert(met, Arc::clone(&found));
        found
    }

    fn verdict(&self, suspects: &[Rule]) -> Option<Suspects> {
        let moved = |r: &&Rule| {
            let place = (r.family.as_ref(), r.table.as_ref(), r.handle);
            self.moved.iter().any(|(f, t, h)| (f.as_str(), t.as_str(), Some(*h)) == place)
        };
        let all_count = suspects.iter().all(|r| self.rules.count(r).is_some());
        let mut who = suspects.iter().filter(moved);
        if let (Some(one), None, true) = (who.next(), who.next(), all_count) {
            return Some(Suspects { rules: vec![one.clone()], of: 1, sure: Sure::Proven });
        }
        let of = u32::try_from(suspects.len()).unwrap_or(u32::MAX);
        Some(Suspects {
            rules: suspects.iter().take(MAX_SUSPECTS).cloned().collect(),
            of,
            sure: match of {
                0 => return None,
                1 => Sure::OnlyCandidate,
                _ => Sure::OneOf,
            },
        })
    }
}

/// `None` where connections are not tracked.
fn tracking_here() -> Option<Tracking> {
    let number = |name: &str| -> Option<u32> {
        fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?.trim().parse().ok()
    };
    let stat = fs::read_to_string("/proc/thread-self/net/stat/nf_conntrack").ok()?;
    let mut lines = stat.lines();
    let column = lines.next()?.split_whitespace().position(|name| name == "drop")?;
    let drops =
        lines.filter_map(|cpu| u64::from_str_radix(cpu.split_whitespace().nth(column)?, 16).ok()).sum();
    Some(Tracking {
        now: Conntrack { count: number("nf_conntrack_count")?, max: number("nf_conntrack_max")? },
        drops,
    })
}
