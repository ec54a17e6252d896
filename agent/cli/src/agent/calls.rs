//! Depth `calls`: the few processes that are followed as `tracenet attach` follows its targets, by a session of its own
//! that is there only as long as one of them is. The session that follows every process goes on adding them up.

mod follower;
mod periods;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tracenet_collectors::clock::mono_now;
use tracenet_config::Config;
use tracenet_core::fact::{Fact, FactKind};
use tracenet_core::key::{ConnId, ProcessKey};
use tracenet_core::time::MonoNs;

use follower::Follower;
use periods::Periods;

use super::people::sees_all;
use crate::privilege::Effective;

/// So long the session waits for another process when the last one has ended: to load it takes most of a second's work.
const LINGERS: Duration = Duration::from_secs(5);

/// Between two looks at a session that is ending.
const PAUSE: Duration = Duration::from_millis(1);

/// So long its last words are waited for when the agent ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a session that failed, the next one is tried so much later.
const RETRY: Duration = Duration::from_secs(60);

/// What the agent kept at its start, of what this takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// All of it, as far as it was there.
    Kept {
        /// There are packets.
        packets: bool,
    },
    /// Nobody asked for it then.
    GivenUp,
    /// This is not the host's PID namespace: the kernel's numbers are not those of /proc.
    Elsewhere,
}

impl Rights {
    /// Says what is missing, before it is missed: call it when capabilities were given up.
    pub fn look(asked: bool) -> Self {
        const CAP_NET_RAW: u8 = 13;
        const CAP_SYS_ADMIN: u8 = 21;
        if !asked {
            return Self::GivenUp;
        }
        if !sees_all() {
            tracing::warn!("depth calls is turns: it takes the host's PID namespace");
            return Self::Elsewhere;
        }
        let effective = Effective::read();
        let packets = effective.has(CAP_NET_RAW);
        if !packets {
            tracing::warn!("CAP_NET_RAW is missing: depth calls has no packets, but system calls and turns");
        } else if !effective.has(CAP_SYS_ADMIN) {
            tracing::warn!(
                "CAP_SYS_ADMIN is missing: depth calls has no packets of other network namespaces, but system calls and turns"
            );
        }
        Self::Kept { packets }
    }
}

/// How far it is with a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is to be followed.
    Waits,
    /// That was ordered.
    Asked,
    /// It is.
    Followed,
}

/// All of it, as the agent's loop sees it.
pub struct Calls {
    rights: Rights,
    limit: usize,
    chosen: FxHashMap<ProcessKey, Stage>,
    /// Those for which there was no room, in the order in which they came.
    beyond: VecDeque<ProcessKey>,
    periods: Periods,
    follower: Option<Follower>,
    /// It was told to end: it is made anew, if there is still somebody for it.
    leaving: bool,
    /// One of its processes is to be let go, which lives.
    anew: bool,
    /// There is no memory for it.
    held: bool,
    empty_since: Option<Instant>,
    not_before: Option<Instant>,
    ends_by: Option<Instant>,
    told_limit: bool,
    told_rights: bool,
    number: u32,
    last: ConnId,
}

impl Calls {
    pub fn new(rights: Rights, config: &Config) -> Self {
        Self {
            rights,
            limit: limit(config),
            chosen: FxHashMap::default(),
            beyond: VecDeque::new(),
            periods: Periods::default(),
            follower: None,
            leaving: false,
            anew: false,
            held: false,
            empty_since: None,
            not_before: None,
            ends_by: None,
            told_limit: false,
            told_rights: false,
            number: 0,
            last: ConnId(0),
        }
    }

    /// There is another configuration, by which processes will be chosen anew.
    pub fn configure(&mut self, before: &Config, config: &Config) {
        self.limit = limit(config);
        self.told_limit = false;
        self.told_rights = false;
        // The session has what it was made of.
        let differs = (&before.syscalls, &before.capture) != (&config.syscalls, &config.capture);
        self.anew |= differs && self.follower.is_some();
        while self.chosen.len() > self.limit {
            let Some(key) = self.chosen.keys().next().copied() else { break };
            self.drop_out(key);
            self.beyond.push_back(key);
        }
        self.promote();
    }

    /// A process is to be followed so.
    pub fn choose(&mut self, key: ProcessKey) {
        if self.chosen.contains_key(&key) || self.beyond.contains(&key) {
            return;
        }
        if !matches!(self.rights, Rights::Kept { .. }) {
            if self.rights == Rights::GivenUp && !std::mem::replace(&mut self.told_rights, true) {
                tracing::warn!(
                    "depth calls takes a restart of the agent: what it needs was given up at the start. Until then such \
                     processes are followed at turns"
                );
            }
            return;
        }
        if self.chosen.len() >= self.limit {
            if !std::mem::replace(&mut self.told_limit, true) {
                tracing::warn!(
                    "process {} and further ones are followed at depth turns instead of calls: agent.calls_limit is {}",
                    key.tgid,
                    self.limit
                );
            }
            self.beyond.push_back(key);
            return;
        }
        self.chosen.insert(key, Stage::Waits);
    }

    /// A process is to be followed less far.
    pub fn leave(&mut self, key: ProcessKey) {
        self.beyond.retain(|k| *k != key);
        if self.chosen.contains_key(&key) {
            self.drop_out(key);
            self.promote();
        }
    }

    /// A process has ended.
    pub fn ended(&mut self, key: ProcessKey) {
        self.beyond.retain(|k| *k != key);
        self.periods.over(key, mono_now());
        if self.chosen.remove(&key).is_some() {
            self.promote();
        }
    }

    /// There is no memory for it, or there is again. True where it held any.
    pub fn hold(&mut self, held: bool) -> bool {
        self.held = held;
        self.follower.is_some()
    }

    /// True where a fact of the session that follows every process is told here.
    pub fn tell(&self, fact: &Fact) -> bool {
        self.periods.hold(fact)
    }

    /// Does what is to be done, and takes the facts that have come, in time order nearly.
    pub fn go_round(&mut self, config: &Config) -> Vec<Fact> {
        let now = Instant::now();
        self.periods.tick(mono_now());
        self.take_answers();
        let facts = self.take_facts();
        self.end_what_is_over(now);
        self.order(config, now);
        facts
    }

    /// The agent ends: what there is to say still, to be asked for until there is nothing.
    pub fn finish(&mut self) -> Option<Vec<Fact>> {
        self.follower.as_ref()?;
        self.held = true;
        let now = Instant::now();
        if now >= *self.ends_by.get_or_insert(now + PATIENCE) {
            tracing::warn!("the session of depth calls does not end: its last words are lost");
            self.follower = None;
            return None;
        }
        if !self.leaving {
            self.dismiss(mono_now());
        }
        self.take_answers();
        let facts = self.take_facts();
        if facts.is_empty() {
            self.end_what_is_over(now);
            std::thread::sleep(PAUSE);
        }
        Some(facts)
    }

    /// True where its session is loaded.
    pub fn is_running(&self) -> bool {
        self.follower.is_some()
    }

    fn take_answers(&mut self) {
        let Some(follower) = &self.follower else { return };
        for (followed, gone) in follower.done() {
            // From here on: what the other session has told until now was told.
            let now = mono_now();
            for (key, stage) in &mut self.chosen {
                if *stage == Stage::Asked && followed.contains(&key.tgid) {
                    *stage = Stage::Followed;
                    self.periods.begin(*key, now);
                    if self.leaving {
                        self.periods.end(*key, now);
                    }
                }
            }
            // Their end is told elsewhere.
            self.chosen.retain(|key, stage| *stage != Stage::Asked || !gone.contains(&key.tgid));
        }
    }

    fn take_facts(&mut self) -> Vec<Fact> {
        let Some(follower) = &self.follower else { return Vec::new() };
        let mut facts = Vec::new();
        for batch in follower.facts() {
            for fact in batch {
                self.last = fact.conn.map_or(self.last, |conn| self.last.max(conn));
                if self.periods.take(&fact, self.leaving) {
                    facts.push(fact);
                }
            }
        }
        facts
    }

    fn end_what_is_over(&mut self, now: Instant) {
        if !self.follower.as_ref().is_some_and(Follower::is_over) {
            return;
        }
        let Some(follower) = self.follower.take() else { return };
        let asked_to = std::mem::take(&mut self.leaving);
        match follower.join() {
            Ok(()) if asked_to => tracing::info!("the session of depth calls has ended"),
            ended => {
                let why = ended.err().map_or_else(|| "it ended".to_owned(), |e| e.to_string());
                tracing::warn!(
                    "depth calls is turns until it is tried again in {} s: {why}",
                    RETRY.as_secs()
                );
                self.not_before = Some(now + RETRY);
            }
        }
        let at = mono_now();
        for (key, stage) in &mut self.chosen {
            if *stage == Stage::Followed {
                self.periods.end(*key, at);
            }
            *stage = Stage::Waits;
        }
    }

    fn order(&mut self, config: &Config, now: Instant) {
        let idle = self.chosen.is_empty();
        self.empty_since = if idle { self.empty_since.or(Some(now)) } else { None };
        let lingered = self.empty_since.is_some_and(|since| now.saturating_duration_since(since) >= LINGERS);
        if let Some(follower) = &self.follower {
            if self.leaving {
                return;
            }
            if self.held || self.anew || lingered {
                self.dismiss(mono_now());
                return;
            }
            let waiting = self.at(Stage::Waits);
            if !waiting.is_empty() && follower.follow(pids(&waiting)) {
                self.are_asked(&waiting);
            }
            return;
        }
        self.anew = false;
        if idle || self.held || self.not_before.is_some_and(|t| now < t) {
            return;
        }
        let Rights::Kept { packets } = self.rights else { return };
        let waiting = self.at(Stage::Waits);
        self.number = self.number.saturating_add(1);
        match Follower::start(config, pids(&waiting), packets, self.number, self.last) {
            Ok(follower) => {
                tracing::info!(
                    "{} followed at depth calls: every system call of this host takes some 100 ns longer meanwhile",
                    named(&waiting)
                );
                self.follower = Some(follower);
                self.are_asked(&waiting);
            }
            Err(e) => {
                tracing::warn!("depth calls is turns until it is tried again in {} s: {e}", RETRY.as_secs());
                self.not_before = Some(now + RETRY);
            }
        }
    }

    /// The session is to end. From now on the other one tells.
    fn dismiss(&mut self, now: MonoNs) {
        if !self.follower.as_ref().is_some_and(Follower::leave) {
            return;
        }
        self.leaving = true;
        for key in self.at(Stage::Followed) {
            self.periods.end(key, now);
        }
    }

    fn drop_out(&mut self, key: ProcessKey) {
        let stage = self.chosen.remove(&key);
        // The kernel side has no way to let one go that lives.
        self.anew |= stage.is_some_and(|stage| stage != Stage::Waits);
        self.periods.end(key, mono_now());
    }

    /// There may be room for somebody who waits for it.
    fn promote(&mut self) {
        while self.chosen.len() < self.limit
            && let Some(key) = self.beyond.pop_front()
        {
            self.chosen.insert(key, Stage::Waits);
        }
    }

    fn at(&self, stage: Stage) -> Vec<ProcessKey> {
        self.chosen.iter().filter(|(_, s)| **s == stage).map(|(key, _)| *key).collect()
    }

    fn are_asked(&mut self, keys: &[ProcessKey]) {
        for key in keys {
            self.chosen.insert(*key, Stage::Asked);
        }
    }
}

/// A process that runs another program now, if that is what a fact says.
pub fn ran_anew(fact: &Fact) -> Option<ProcessKey> {
    match (&fact.kind, &fact.who) {
        (FactKind::Executed { .. }, Some(who)) => Some(who.key),
        _ => None,
    }
}

/// `process 7 is`, `processes 7, 8 are`
fn named(keys: &[ProcessKey]) -> String {
    let all: Vec<String> = keys.iter().map(|key| key.tgid.to_string()).collect();
    match all.as_slice() {
        [one] => format!("process {one} is"),
        _ => format!("processes {} are", all.join(", ")),
    }
}

fn limit(config: &Config) -> usize {
    usize::try_from(config.agent.calls_limit).unwrap_or(usize::MAX)
}

fn pids(keys: &[ProcessKey]) -> Vec<u32> {
    keys.iter().map(|key| key.tgid).collect()
}
