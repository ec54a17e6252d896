//! Turns that the kernel side has added up of each process, where every one is followed.

use aya::maps::{HashMap, MapData};
use tracenet_core::key::{ProcessKey, Role};

use crate::abi::{COUNT_BUCKETS, TurnKey, TurnPolicy, TurnStats};
use crate::counts::{quantile, upper};
use crate::load::one_line;
use crate::session::{Error, Result};

/// Whose turns, and at which end of their connections.
pub type TurnsOf = (ProcessKey, Role);

/// The turns of a process at one end of its connections, since the session began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turns {
    /// Turns that were answered.
    pub answered: u64,
    /// Requests whose connection ended without an answer.
    pub unanswered: u64,
    /// Time from the first byte of a request to the last of its answer, of all that were answered, in nanoseconds.
    pub ns: u64,
    /// Turns that became events, or for which there was room.
    pub told: u64,
    /// Turns of connections on which they are counted only: see [`Session::set_depth`](crate::Session::set_depth).
    pub unfollowed: u64,
    /// Those answered by the time that they took: see [`durations`](Self::durations).
    buckets: Vec<u32>,
}

impl Turns {
    /// Turns that were answered: how many took how long, in nanoseconds.
    pub fn of(durations: &[(u64, u64)]) -> Self {
        let mut turns = Self { buckets: vec![0; COUNT_BUCKETS], ..Self::default() };
        for (ns, n) in durations {
            turns.answered += n;
            turns.ns += ns * n;
            let bucket = (0..COUNT_BUCKETS).position(|bucket| *ns <= upper(bucket));
            if let Some(slot) = bucket.and_then(|b| turns.buckets.get_mut(b)) {
                *slot += u32::try_from(*n).unwrap_or(u32::MAX);
            }
        }
        turns
    }

    /// Times in nanoseconds, each the upper bound of a bucket that is a quarter wide, and how many turns took so long;
    /// ascending, empty buckets left out.
    pub fn durations(&self) -> impl Iterator<Item = (u64, u64)> {
        let some = self.buckets.iter().enumerate().filter(|(_, n)| **n > 0);
        some.map(|(bucket, n)| (upper(bucket), u64::from(*n)))
    }

    /// What was added since an earlier look.
    pub fn since(&self, before: &Self) -> Self {
        let n = |at: usize| before.buckets.get(at).copied().unwrap_or(0);
        let buckets = self.buckets.iter().enumerate();
        Self {
            answered: self.answered.saturating_sub(before.answered),
            unanswered: self.unanswered.saturating_sub(before.unanswered),
            ns: self.ns.saturating_sub(before.ns),
            told: self.told.saturating_sub(before.told),
            unfollowed: self.unfollowed.saturating_sub(before.unfollowed),
            // They count modulo 2^32.
            buckets: buckets.map(|(at, now)| now.wrapping_sub(n(at))).collect(),
        }
    }

    /// The time within which the share `q` (0 to 1) of the turns was over, in nanoseconds, at most a quarter too much.
    /// `None` where there was none.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        quantile(self.buckets.iter().map(|n| u64::from(*n)), q)
    }
}

/// A share of 2^32, of lots that are to be drawn.
pub(crate) fn lot(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32
}

/// The map.
pub(crate) struct TurnMap {
    map: HashMap<MapData, TurnKey, TurnStats>,
    policies: HashMap<MapData, TurnKey, TurnPolicy>,
}

fn key((process, role): TurnsOf) -> TurnKey {
    TurnKey {
        start_ns: process.start_ns,
        tgid: process.tgid,
        role: match role {
            Role::Client => 1,
            Role::Server => 2,
        },
    }
}

impl TurnMap {
    pub(crate) fn new(
        map: HashMap<MapData, TurnKey, TurnStats>,
        policies: HashMap<MapData, TurnKey, TurnPolicy>,
    ) -> Self {
        Self { map, policies }
    }

    pub(crate) fn all(&self) -> Vec<(TurnsOf, Turns)> {
        let all = self.map.iter().map_while(std::result::Result::ok);
        all.map(|(key, s)| {
            let role = if key.role == 2 { Role::Server } else { Role::Client };
            let turns = Turns {
                answered: s.turns,
                unanswered: s.unanswered,
                ns: s.ns,
                told: s.told,
                unfollowed: s.unfollowed,
                buckets: s.buckets.to_vec(),
            };
            ((ProcessKey { tgid: key.tgid, start_ns: key.start_ns }, role), turns)
        })
        .collect()
    }

    /// Which turns become events: those that take `slow_ns`, and of the others this share (0 to 1).
    pub(crate) fn set_policy(&mut self, of: TurnsOf, slow_ns: u64, share: f64) -> Result<()> {
        // A threshold of 0 would mean that there is none.
        let share = lot(share);
        let policy = TurnPolicy { slow_ns: slow_ns.max(1), share, followed: 0 };
        self.policies
            .insert(key(of), policy, 0)
            .map_err(|e| Error::Map { map: "turn_policies", detail: one_line(&e) })
    }

    pub(crate) fn forget(&mut self, of: TurnsOf) {
        // What is gone already needs no taking out.
        let _ = self.map.remove(&key(of));
        let _ = self.policies.remove(&key(of));
    }
}
