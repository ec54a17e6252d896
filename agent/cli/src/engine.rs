//! One thread that eats events and tells the story: merge ▶ core ▶ sinks.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustc_hash::FxHashSet;
use tracenet_core::core::Core;
use tracenet_core::event::{Event, EventKind};
use tracenet_core::fact::Fact;
use tracenet_core::merge::{Merger, SourceId};
use tracenet_core::record::Entry;
use tracenet_core::time::{ClockOffset, MonoNs};

use crate::flight::{self, Flight};
use crate::incident::Activity;
use crate::namespace::NamespaceThread;
use crate::namespaces::Namespaces;
use crate::recorder::Recorder;
use crate::sources::{Orders, Progress};
use tracenet_collectors::capture::Link;
use tracenet_collectors::clock::mono_now;

/// Who is told what the engine finds out.
pub trait Audience {
    /// Takes facts and empties the vector.
    fn tell(&mut self, facts: &mut Vec<Fact>);
    /// A batch is over.
    fn flush(&mut self, now: MonoNs);
    /// The distance of the clocks, as last measured.
    fn clock(&self) -> ClockOffset;
    /// Packets come from this capture too.
    fn add_link(&mut self, link: &Link);
    /// Something went wrong, in a line.
    fn warn(&self, text: &str);
    /// Nobody listens any more.
    fn is_broken(&self) -> bool;
}

/// What reaches the core's thread.
pub enum Message {
    /// A batch of one source, in its order.
    Events {
        /// Which.
        source: SourceId,
        /// The events.
        events: Vec<Event>,
    },
    /// The user or the system wants an end.
    Signal {
        /// Which.
        signal: Signal,
        /// Ctrl-C at the terminal: every process of the foreground group got it, the command of `run` too.
        from_terminal: bool,
    },
    /// The command of `run` ended with this status.
    Ended(u8),
    /// These processes are to be targets too.
    Follow(Vec<u32>),
    /// Whoever asked for it needs it no more.
    Leave,
    /// SIGUSR1: the flight recorder is to make a bundle.
    Freeze,
    /// A source can't go on, and why.
    Trouble(String),
}

/// Why the engine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Ctrl-C, SIGTERM or SIGHUP.
    Signal,
    /// `--duration` is over.
    Duration,
    /// No target is left.
    Targets,
    /// The output can't be written any more.
    Output,
    /// [`Message::Leave`].
    Left,
}

/// How long a run goes on after its last target is gone, for the kernel to finish closing its connections.
const AFTERMATH_NS: u64 = 1_000_000_000;

/// Longest sleep between two looks at the clock while events wait for their turn.
const PENDING: Duration = Duration::from_millis(5);

/// Between two looks at the inbox while events wait: less than [`tracenet_core::merge::HOLD_NS`], for which they do anyway.
const PAUSE: Duration = Duration::from_millis(1);

/// Longest sleep while nothing waits.
const IDLE: Duration = Duration::from_secs(1);

/// The core, its merger and its sources.
pub struct Engine {
    core: Core,
    recorder: Option<Recorder>,
    flight: Option<Flight>,
    merger: Merger,
    sources: Vec<(SourceId, Arc<Progress>)>,
    inbox: Receiver<Message>,
    activity: Activity,
    facts: Vec<Fact>,
    /// Namespaces (inode numbers) that are watched, or can't be.
    homes: FxHashSet<u32>,
    /// Targets to look at, and the namespace of the socket that says so.
    moves: Vec<(u32, Option<u32>)>,
    /// Processes that are to be targets, and who makes them so.
    coming: Vec<u32>,
    orders: Option<Orders>,
    /// Targets that lived when that was last looked at, and when some of them were seen to have ended.
    lived: usize,
    some_ended: Option<MonoNs>,
    /// Sources whose namespace was left: nobody waits for what they still say.
    left: FxHashSet<SourceId>,
    /// The command of `run`, to which signals are passed on instead of ending the trace.
    command: Option<Pid>,
    /// Its status, once it ended.
    status: Option<u8>,
    targets_gone: Option<MonoNs>,
}

impl Engine {
    /// An engine with sources still to come.
    pub fn new(
        core: Core,
        recorder: Option<Recorder>,
        flight: Option<Flight>,
        inbox: Receiver<Message>,
        activity: Activity,
    ) -> Self {
        Self {
            core,
            recorder,
            flight,
            merger: Merger::new(),
            sources: Vec::new(),
            inbox,
            activity,
            facts: Vec::new(),
            homes: FxHashSet::default(),
            moves: Vec::new(),
            coming: Vec::new(),
            orders: None,
            lived: 0,
            some_ended: None,
            left: FxHashSet::default(),
            command: None,
            status: None,
            targets_gone: None,
        }
    }

    /// Targets may come later, by [`Message::Follow`]: the engine goes on without any, until [`Message::Leave`].
    pub fn take_orders(&mut self, orders: Orders) {
        self.orders = Some(orders);
    }

    /// A namespace's thread has begun: its packets are waited for, and described in the capture file.
    pub fn welcome(&mut self, thread: &NamespaceThread, sinks: &mut impl Audience) {
        self.homes.insert(thread.ready.inum);
        if let Some(link) = &thread.ready.link {
            sinks.add_link(link);
            if let Some(flight) = &mut self.flight {
                flight.add_link(link);
            }
        }
        self.left.remove(&thread.source);
        if let Some(progress) = &thread.progress {
            self.add_source(thread.source, Arc::clone(progress));
        }
    }

    /// Registers a source, so that the merger waits for it.
    pub fn add_source(&mut self, id: SourceId, progress: Arc<Progress>) {
        self.merger.add_source(id);
        self.sources.push((id, progress));
    }

    /// From now on signals go to the command of `run`; its end ends the trace.
    pub fn set_command(&mut self, pid: Pid) {
        self.command = Some(pid);
    }

    /// Events that were told after later ones, because their source had fallen far behind.
    pub fn out_of_order(&self) -> u64 {
        self.merger.stats().late
    }

    /// Status of the command, once it ended.
    pub fn status(&self) -> Option<u8> {
        self.status
    }

    /// Goes on until something ends it.
    pub fn run(
        &mut self,
        sinks: &mut impl Audience,
        namespaces: &mut Namespaces<'_>,
        until: Option<MonoNs>,
    ) -> Ended {
        loop {
            for (pid, inum) in std::mem::take(&mut self.moves) {
                self.homes.extend(inum);
                if let Some(thread) = namespaces.follow(pid, inum) {
                    self.welcome(thread, sinks);
                }
            }
            self.let_come(sinks, namespaces);
            self.look_who_left(namespaces);
            if let Some(ended) = self.step(sinks, until) {
                return ended;
            }
        }
    }

    /// Their packets are captured before anything else is told of them.
    fn let_come(&mut self, sinks: &mut impl Audience, namespaces: &mut Namespaces<'_>) {
        if self.coming.is_empty() {
            return;
        }
        let coming = std::mem::take(&mut self.coming);
        for pid in &coming {
            if let Some(thread) = namespaces.follow(*pid, None) {
                self.welcome(thread, sinks);
            }
        }
        if let Some(orders) = &self.orders {
            orders.follow(coming);
        }
    }

    /// Where targets come and go, no namespace is held in which nobody is followed any more.
    fn look_who_left(&mut self, namespaces: &mut Namespaces<'_>) {
        let Some(orders) = &self.orders else { return };
        let live = self.core.live_targets();
        if live < std::mem::replace(&mut self.lived, live) {
            self.some_ended = Some(mono_now());
        }
        if self.some_ended.is_none_or(|t| mono_now().since(t).0 < AFTERMATH_NS) {
            return;
        }
        self.some_ended = None;
        let targets: Vec<u32> =
            self.core.targets().iter().filter(|t| t.exit.is_none()).map(|t| t.key.tgid).collect();
        for (source, inum) in namespaces.leave_all_but(&targets) {
            self.homes.remove(&inum);
            self.sources.retain(|(id, _)| *id != source);
            self.merger.remove_source(source);
            self.left.insert(source);
        }
        orders.follow(Vec::new());
    }

    fn step(&mut self, sinks: &mut impl Audience, until: Option<MonoNs>) -> Option<Ended> {
        let now = mono_now();
        let mut timeout = if self.merger.is_empty() { IDLE } else { PENDING };
        let aftermath = self.targets_gone.map(|t| t.after(AFTERMATH_NS));
        let frozen = self.flight.as_ref().and_then(Flight::due);
        for t in [until, self.core.poll_at(), aftermath, frozen].into_iter().flatten() {
            timeout = timeout.min(Duration::from_nanos(t.since(now).0).max(Duration::from_millis(1)));
        }
        let first = if self.merger.is_empty() || !self.inbox.is_empty() {
            self.inbox.recv_timeout(timeout)
        } else {
            // What comes meanwhile is not due before those that wait: to be woken for it would only cost the traced
            // process its CPU.
            std::thread::sleep(timeout.min(PAUSE));
            self.inbox.try_recv().map_err(|e| match e {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            })
        };
        let first = match first {
            Ok(m) => Some(m),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Some(Ended::Targets),
        };
        let ended = self.take(first, sinks);
        if ended.is_some() {
            return ended;
        }
        let now = mono_now();
        if until.is_some_and(|t| t <= now) {
            return Some(Ended::Duration);
        }
        if sinks.is_broken() {
            return Some(Ended::Output);
        }
        if self.orders.is_some() {
            return None;
        }
        // None at all: the ring has not told of them yet.
        if self.core.live_targets() > 0 || self.core.targets().is_empty() {
            self.targets_gone = None;
            return None;
        }
        let since = *self.targets_gone.get_or_insert(now);
        let over = self.core.unclosed_connections() == 0 && self.merger.is_empty();
        (over || now.since(since).0 >= AFTERMATH_NS).then_some(Ended::Targets)
    }

    /// Takes what waits in the inbox and tells what is ripe.
    fn take(&mut self, first: Option<Message>, sinks: &mut impl Audience) -> Option<Ended> {
        let mut ended = None;
        // The watermarks first: what they promise was sent before, so it is in the inbox by now.
        let now = mono_now();
        let marks: Vec<(SourceId, MonoNs)> =
            self.sources.iter().map(|(id, p)| (*id, p.watermark(now))).collect();
        // No more than that: a storm fills the inbox again while it is emptied, and what is taken must be told in between.
        let waiting = self.inbox.len();
        for message in first.into_iter().chain(self.inbox.try_iter().take(waiting)) {
            match message {
                Message::Events { source, .. } if self.left.contains(&source) => {}
                Message::Events { source, events } => {
                    self.activity.goes_on(&events);
                    for event in events {
                        if let Some(m) = a_move(&event.kind, &self.homes)
                            && !self.moves.contains(&m)
                        {
                            self.moves.push(m);
                        }
                        self.merger.push(source, event);
                    }
                }
                Message::Signal { signal, from_terminal } => match self.command {
                    // It may be gone already: then its end is on its way here.
                    Some(pid) if !from_terminal => drop(kill(pid, signal)),
                    Some(_) => {}
                    None => ended = Some(Ended::Signal),
                },
                Message::Ended(status) => self.status = Some(status),
                Message::Follow(pids) => self.coming.extend(pids),
                Message::Leave => ended = Some(Ended::Left),
                Message::Freeze => {
                    if let Some(flight) = &mut self.flight {
                        flight.asked(now);
                    }
                }
                Message::Trouble(text) => sinks.warn(&text),
            }
        }
        for (id, t) in marks {
            self.merger.watermark(id, t);
        }
        let now = mono_now();
        while let Some(event) = self.merger.pop(now) {
            self.handle(event, now, sinks);
        }
        // A tick before its time says nothing.
        if self.core.poll_at().is_some_and(|t| t <= now) {
            self.record(sinks, || Entry::Tick(now));
        }
        self.core.tick(now, &mut self.facts);
        if let Some(flight) = &mut self.flight {
            flight.watch(&self.facts, now);
            flight.freeze(now, sinks.clock());
        }
        sinks.tell(&mut self.facts);
        sinks.flush(now);
        ended
    }

    fn handle(&mut self, event: Event, now: MonoNs, sinks: &mut impl Audience) {
        let cookie = flight::cookie_of(&event.kind);
        let entry = Entry::Event(event);
        if let Some(recorder) = &mut self.recorder {
            recorder.clock(sinks.clock());
            recorder.entry(&entry);
        }
        if let Some(flight) = &mut self.flight {
            flight.before(&entry);
        }
        if let Entry::Event(event) = entry {
            self.core.handle(event, &mut self.facts);
        }
        if let Some(flight) = &mut self.flight {
            flight.after(cookie, &self.core, &self.facts, now);
        }
        sinks.tell(&mut self.facts);
    }

    /// Keeps what is no event, where there is a recording.
    pub fn record(&mut self, sinks: &impl Audience, entry: impl FnOnce() -> Entry) {
        if let Some(recorder) = &mut self.recorder {
            recorder.clock(sinks.clock());
            recorder.entry(&entry());
        }
    }

    /// Closes the recordings. False where something of them could not be written.
    pub fn finish_recording(&mut self, clock: ClockOffset) -> bool {
        let bundled = self.flight.take().is_none_or(|flight| flight.finish(mono_now(), clock));
        bundled
            & self.recorder.take().is_none_or(|mut recorder| {
                recorder.flush();
                !recorder.has_failed()
            })
    }

    /// Takes what the sources still send until `done` says that they have ended, then everything that waits.
    pub fn drain(&mut self, sinks: &mut impl Audience, mut done: impl FnMut() -> bool) {
        loop {
            let last = done();
            let first = self.inbox.recv_timeout(Duration::from_millis(if last { 0 } else { 5 })).ok();
            self.take(first, sinks);
            if last && self.inbox.is_empty() {
                break;
            }
        }
        let now = mono_now();
        while let Some(event) = self.merger.finish() {
            self.handle(event, now, sinks);
        }
        let now = mono_now();
        self.record(sinks, || Entry::Finish(now));
        self.core.finish(now, &mut self.facts);
        if let Some(flight) = &mut self.flight {
            flight.watch(&self.facts, now);
        }
        sinks.tell(&mut self.facts);
        sinks.flush(now);
    }

    /// Waits for the command of `run` to end.
    pub fn wait_for_command(&mut self) -> Option<u8> {
        while let (Some(_), None) = (self.command, self.status) {
            match self.inbox.recv() {
                Ok(Message::Ended(status)) => self.status = Some(status),
                Ok(Message::Signal { signal, from_terminal: false }) => {
                    self.command.map(|pid| kill(pid, signal));
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.status
    }

    /// The core, for its totals and summaries.
    pub fn core(&self) -> &Core {
        &self.core
    }
}

/// A target may be in another network namespace after an exec, or have opened a socket in one: which process to look
/// at, and the namespace of the socket. It is looked at as soon as the event arrives, before it is due, since packets
/// follow at once.
fn a_move(kind: &EventKind, homes: &FxHashSet<u32>) -> Option<(u32, Option<u32>)> {
    match kind {
        EventKind::Exec { task, .. } => Some((task.tgid, None)),
        EventKind::Socket(s) if s.target && !homes.contains(&s.netns_inum) => {
            s.owner.as_ref().map(|owner| (owner.key.tgid, Some(s.netns_inum)))
        }
        _ => None,
    }
}
