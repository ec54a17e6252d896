//! The thread that follows a few processes as `tracenet attach` does: probes of its own, captures in their network
//! namespaces, a core. What it finds out goes to the agent's loop.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rustc_hash::FxHashSet;
use tracenet_collectors::capture::Link;
use tracenet_collectors::clock;
use tracenet_collectors::firewall::Watch;
use tracenet_collectors::netns;
use tracenet_config::{Bytes, Config};
use tracenet_core::core::{Core, Settings};
use tracenet_core::fact::{Fact, FactKind};
use tracenet_core::key::ConnId;
use tracenet_core::time::{ClockOffset, MonoNs};
use tracenet_otel::SpanBuilder;

use crate::engine::{Audience, Engine, Message};
use crate::failure::Failure;
use crate::incident::Activity;
use crate::namespaces::Namespaces;
use crate::settings;
use crate::sinks;
use crate::sources::{Desk, RingThread};
use crate::trace::{self, INBOX_BATCHES, RING};

/// Most bytes of the ring of calls, and of each capture's. Both are mapped, the former twice, and count as the agent's memory.
const MOST_RING_BYTES: u64 = 8 << 20;
const MOST_CAPTURE_BYTES: u64 = 4 << 20;

/// Connections held at once.
const MOST_CONNECTIONS: usize = 16_384;

/// Facts of a batch at most, and batches that may wait for the loop. When it can't keep up the sources wait, and what the
/// kernel then can't store it counts.
const BATCH: usize = 1_024;
const BATCHES: usize = 32;

/// Names of connections up to this one are those of the session that follows every process.
const FIRST_NAME: u32 = 3_000_000_000;

/// Of connections that were there before, turns are numbered from so many times the session's number: the session that
/// follows every process has numbered them too.
const TURNS_APART: u32 = 1 << 20;

/// Processes that are followed now, and those of the order that are not: they have ended.
pub type Done = (Vec<u32>, Vec<u32>);

/// The running thread.
pub struct Follower {
    thread: JoinHandle<Result<(), Failure>>,
    to: Sender<Message>,
    facts: Receiver<Vec<Fact>>,
    done: Receiver<Done>,
}

impl Follower {
    /// Starts it, with its first processes. `number` tells it from those before, `last` is the last name that one of those
    /// gave to a connection.
    pub fn start(
        config: &Config,
        pids: Vec<u32>,
        packets: bool,
        number: u32,
        last: ConnId,
    ) -> Result<Self, Failure> {
        let mut config = config.clone();
        config.limits.ring_bytes = Bytes(config.limits.ring_bytes.0.min(MOST_RING_BYTES));
        config.capture.buffer_bytes = Bytes(config.capture.buffer_bytes.0.min(MOST_CAPTURE_BYTES));
        config.capture.enabled &= packets;
        config.capture.write = None;
        config.recorder.bytes = None;
        config.targets.follow = false;
        // Of buffers nothing is exported.
        config.syscalls.string_limit = 0;
        let (to, inbox) = bounded(INBOX_BATCHES);
        let (outlet, facts) = bounded(BATCHES);
        let (tell_done, done) = unbounded();
        let outlet = Outlet::new(outlet, number);
        let sender = to.clone();
        let thread = std::thread::Builder::new()
            .name("tracenet-calls".into())
            .spawn(move || follow(&config, pids, last, (sender, inbox), outlet, tell_done))
            .map_err(|e| Failure::Runtime(format!("cannot start the thread of depth calls: {e}")))?;
        Ok(Self { thread, to, facts, done })
    }

    /// These too. False where it has no time to listen just now.
    pub fn follow(&self, pids: Vec<u32>) -> bool {
        self.to.try_send(Message::Follow(pids)).is_ok()
    }

    /// It is to end: its last facts are still to be taken. False where it has no time to listen just now.
    pub fn leave(&self) -> bool {
        self.to.try_send(Message::Leave).is_ok()
    }

    /// Facts, in batches that wait.
    pub fn facts(&self) -> impl Iterator<Item = Vec<Fact>> + '_ {
        self.facts.try_iter().take(BATCHES)
    }

    /// What came of orders.
    pub fn done(&self) -> impl Iterator<Item = Done> + '_ {
        self.done.try_iter()
    }

    /// True once it has ended, and all that it had to say was taken.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished() && self.facts.is_empty()
    }

    /// How it ended; waits for that.
    pub fn join(self) -> Result<(), Failure> {
        drop(self.facts);
        self.thread.join().unwrap_or_else(|_| Err(Failure::Runtime("the thread panicked".into())))
    }
}

fn follow(
    config: &Config,
    pids: Vec<u32>,
    last: ConnId,
    (to, inbox): (Sender<Message>, Receiver<Message>),
    mut outlet: Outlet,
    done: Sender<Done>,
) -> Result<(), Failure> {
    let selection = settings::selection(config)?;
    // Targets come when their packets are captured.
    let session = trace::open_session(config, &selection, &[], false, None, None, false)?;
    let filter = session.flow_filter().map_err(|e| sinks::warn(&e.to_string())).ok();
    let activity = Activity::default();
    let mut namespaces = Namespaces::new(config, filter, session.totals(), to.clone(), activity.clone());
    let mut firewalls = Watch::default();
    let settings = Settings {
        max_connections: MOST_CONNECTIONS
            .min(usize::try_from(config.limits.connections).unwrap_or(usize::MAX)),
        forgets: true,
        ..Settings::default()
    };
    let mut core = Core::new(settings);
    core.name_after(last.max(ConnId(FIRST_NAME)));
    let mut engine = Engine::new(core, None, None, inbox, activity);
    for pid in &pids {
        if let Some(thread) = namespaces.follow(*pid, None) {
            engine.welcome(thread, &mut outlet);
        }
        if let Some(cookie) = netns::inode_of(*pid).ok().and_then(|inum| namespaces.cookie(inum)) {
            firewalls.add(cookie, *pid);
        }
    }
    let (desk, orders) = Desk::new(done)?;
    orders.follow(pids);
    let ring = RingThread::start(session, firewalls, RING, to, Some(desk))?;
    engine.add_source(RING, std::sync::Arc::clone(&ring.progress));
    engine.take_orders(orders);
    engine.run(&mut outlet, &mut namespaces, None);
    let (end, _) = trace::stop(ring, namespaces.into_threads(), None, &mut engine, &mut outlet);
    match end.problem {
        Some(problem) => Err(Failure::Runtime(problem)),
        None => Ok(()),
    }
}

/// Hands on what the agent has a use for.
struct Outlet {
    to: Sender<Vec<Fact>>,
    batch: Vec<Fact>,
    number: u32,
    /// Connections that were there before.
    before: FxHashSet<ConnId>,
    broken: bool,
}

impl Outlet {
    fn new(to: Sender<Vec<Fact>>, number: u32) -> Self {
        Self { to, batch: Vec::new(), number, before: FxHashSet::default(), broken: false }
    }

    fn take(&mut self, mut fact: Fact) {
        match (&mut fact.kind, fact.conn) {
            (FactKind::Opened { before: true, .. }, Some(conn)) => drop(self.before.insert(conn)),
            (FactKind::Turn(turn), Some(conn)) if self.before.contains(&conn) => {
                turn.index = turn.index.saturating_add(self.number.saturating_mul(TURNS_APART));
            }
            (FactKind::Closed(_), Some(conn)) => drop(self.before.remove(&conn)),
            (FactKind::Syscall(_), None) => return,
            (FactKind::Executed { .. } | FactKind::Exited { .. } | FactKind::Lost { .. }, _) => {}
            (kind, _) if !SpanBuilder::needs(kind) => return,
            _ => {}
        }
        self.batch.push(fact);
        if self.batch.len() >= BATCH {
            self.push();
        }
    }

    fn push(&mut self) {
        if !self.batch.is_empty() {
            self.broken |= self.to.send(std::mem::take(&mut self.batch)).is_err();
        }
    }
}

impl Audience for Outlet {
    fn tell(&mut self, facts: &mut Vec<Fact>) {
        for fact in facts.drain(..) {
            self.take(fact);
        }
    }

    fn flush(&mut self, _: MonoNs) {
        self.push();
    }

    fn clock(&self) -> ClockOffset {
        clock::sample_offset().offset
    }

    fn add_link(&mut self, _: &Link) {}

    fn warn(&self, text: &str) {
        sinks::warn(text);
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}
