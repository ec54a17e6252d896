//! A run from beginning to end: attach, tell the story, sum up.

use crossbeam_channel::{Sender, bounded};
use tracenet_collectors::clock::mono_now;
use tracenet_collectors::firewall::Watch;
use tracenet_config::Config;
use tracenet_core::core::{Core, Settings};
use tracenet_core::event::{Event, EventKind};
use tracenet_core::merge::SourceId;
use tracenet_core::syscall::{PlanOptions, Selection};
use tracenet_probes::{Options, Session, SyscallFilter};

use crate::child::Held;
use crate::closing::{self, Closing};
use crate::engine::{Audience, Ended, Engine, Message};
use crate::failure::Failure;
use crate::flight::Flight;
use crate::focus::Explain;
use crate::governor::{self, GovernorThread};
use crate::incident::Activity;
use crate::namespace::NamespaceThread;
use crate::namespaces::Namespaces;
use crate::privilege::{self, Effective};
use crate::recorder::Recorder;
use crate::settings;
use crate::signals;
use crate::sinks::{self, Sinks};
use crate::sources::{RingEnd, RingThread};
use crate::strace::{self, Counting, Habits};
use crate::targets::{self, Target};

/// What is traced.
pub enum What {
    /// The processes of the settings.
    Live,
    /// A command that waits to be released.
    Command(Held),
}

/// Batches that may wait for the core: some 60 MB of the largest. When it can't keep up, the sources wait, and what the
/// kernel then can't store it counts.
pub const INBOX_BATCHES: usize = 32;

/// The ring buffer's name for the merger; captures come after it.
pub const RING: SourceId = SourceId(0);

/// Traces until something ends it. Returns the exit code.
pub fn trace(config: &Config, what: What, explain: Option<Explain>, habits: Habits) -> Result<u8, Failure> {
    let selection = settings::selection(config)?;
    if let Some(name) = Effective::read().missing_for_bpf() {
        let remedy = privilege::remedy(name);
        return Err(Failure::Privilege(format!(
            "{name} is missing, so no eBPF probe can be loaded: {remedy}"
        )));
    }
    let signals = signals::block(config.recorder.bytes.is_some())?;
    let targets = match &what {
        What::Live => targets::live(&config.targets.pids, config.targets.follow)?,
        // It is a copy of tracenet still; people know it by its command.
        What::Command(held) => vec![Target { comm: held.name().to_owned(), ..targets::of(held.pid())? }],
    };
    let counting = habits.counting;
    let fd_paths = config.syscalls.fd_paths > 0 || habits.need_fd_paths();
    let lines = habits.style.is_some() && counting.is_none_or(|c| c.lines);
    let mut sinks = Sinks::open(config, explain, habits)?;
    let recorder =
        config.output.record.as_deref().map(|p| Recorder::create(p, &core_settings(config))).transpose()?;
    let flight = Flight::start(config, core_settings(config), &targets)?;
    let (to, inbox) = bounded(INBOX_BATCHES);
    signals::forward(signals, to.clone())?;

    let held = match &what {
        What::Command(held) => Some(held.pid()),
        What::Live => None,
    };
    let mut session = open_session(config, &selection, &targets, lines, counting, held, fd_paths)?;
    for hook in session.status().iter().filter(|h| !h.attached) {
        sinks::warn(&format!(
            "{} is not attached, so there is no {} (tracenet doctor tells more)",
            hook.hook, hook.feature
        ));
    }
    let totals = session.totals();
    let counts = counting.map(|counting| (counting, session.counts()));
    let filter = session.flow_filter().map_err(|e| sinks::warn(&e.to_string())).ok();
    let activity = Activity::default();
    let mut namespaces = Namespaces::new(config, filter, totals.clone(), to.clone(), activity.clone());
    let mut firewalls = Watch::default();
    for t in &targets {
        namespaces.add(t.pid, t.netns)?;
        if let Some(netns) = namespaces.cookie(t.netns) {
            firewalls.add(netns, t.pid);
        }
    }
    let began = mono_now();
    let governing = match (config.budget, session.take_control()) {
        (Some(budget), Some(control)) => {
            let taps = config.capture.enabled.then(|| namespaces.taps());
            let parts = governor::Parts { packets: taps, turns: !lines };
            Some(GovernorThread::start(control, budget.ratio(), parts, RING, to.clone())?)
        }
        _ => None,
    };
    let ring = RingThread::start(session, firewalls, RING, to.clone(), None)?;
    let mut engine = Engine::new(Core::new(core_settings(config)), recorder, flight, inbox, activity);
    engine.add_source(RING, std::sync::Arc::clone(&ring.progress));
    for n in namespaces.threads() {
        engine.welcome(n, &mut sinks);
    }
    closing::greet(&targets, &namespaces, &mut engine, &mut sinks, began, matches!(what, What::Command(_)));
    if lines && matches!(what, What::Live) {
        let wanted = |e: &Event| matches!(&e.kind, EventKind::Sleeps(c) if selection.contains(c.nr));
        let events = targets.iter().flat_map(|t| strace::asleep(t.pid, began)).filter(wanted).collect();
        // The engine reads it as soon as it runs: there is room for the first batch.
        let _ = to.send(Message::Events { source: RING, events });
    }
    if let What::Command(held) = what {
        release(held, &mut engine, to.clone())?;
    }
    drop(to);

    let until = config.duration.map(|t| began.after(u64::try_from(t.0.as_nanos()).unwrap_or(u64::MAX)));
    let ended = engine.run(&mut sinks, &mut namespaces, until);
    let (ring_end, ends) = stop(ring, namespaces.into_threads(), governing, &mut engine, &mut sinks);
    let code = Closing {
        config,
        targets: &targets,
        began,
        totals: &totals,
        ring: ring_end,
        namespaces: ends,
        counts,
    }
    .finish(&mut engine, sinks);
    // A command that outlives the trace is waited for: its status is what the caller wants.
    let status = if ended == Ended::Targets { engine.status() } else { engine.wait_for_command() };
    Ok(match (code, status) {
        (0, Some(status)) => status,
        (code, _) => code,
    })
}

fn core_settings(config: &Config) -> Settings {
    Settings {
        max_connections: usize::try_from(config.limits.connections).unwrap_or(usize::MAX),
        ..Settings::default()
    }
}

pub fn open_session(
    config: &Config,
    selection: &Selection,
    targets: &[Target],
    lines: bool,
    counting: Option<Counting>,
    held: Option<u32>,
    fd_paths: bool,
) -> Result<Session, Failure> {
    let mut syscalls = SyscallFilter::none();
    for nr in 0..tracenet_core::syscall::MAX_NR {
        let bit = |set: &[u64]| set.get(nr as usize / 64).is_some_and(|w| w >> (nr % 64) & 1 == 1);
        if bit(&selection.socket_only) {
            syscalls.insert_socket_only(nr);
        } else if bit(&selection.all) {
            syscalls.insert(nr);
        }
    }
    let options = Options {
        targets: targets.iter().map(|t| t.pid).collect(),
        held,
        follow: config.targets.follow,
        string_limit: config.syscalls.string_limit,
        counted: if counting.is_some() { syscalls } else { SyscallFilter::none() },
        by_connection: counting.is_some_and(|c| c.by_connection),
        syscalls: if counting.is_some_and(|c| !c.lines) { SyscallFilter::none() } else { syscalls },
        captures: PlanOptions { verbose: config.syscalls.verbose, fd_paths },
        lines,
        // What is only counted can't be left out.
        governed: config.budget.is_some() && counting.is_none(),
        ring_bytes: u32::try_from(config.limits.ring_bytes.0).unwrap_or(u32::MAX),
        ..Options::default()
    };
    Session::open(&options).map_err(|e| probe_failure(&e))
}

/// Lets the command go and waits for it in a thread of its own.
fn release(held: Held, engine: &mut Engine, to: Sender<Message>) -> Result<(), Failure> {
    let running = held.release()?;
    engine.set_command(running.pid());
    std::thread::Builder::new()
        .name("tracenet-wait".into())
        .spawn(move || {
            let _ = to.send(Message::Ended(running.wait()));
        })
        .map(drop)
        .map_err(|e| Failure::Runtime(format!("cannot start the waiting thread: {e}")))
}

/// Ends the sources, the captures last: what the ring tells of may still be on the wire.
pub fn stop(
    ring: RingThread,
    namespaces: Vec<NamespaceThread>,
    governing: Option<GovernorThread>,
    engine: &mut Engine,
    sinks: &mut impl Audience,
) -> (RingEnd, Vec<closing::Namespace>) {
    if let Some(governing) = &governing {
        governing.stop();
    }
    ring.stop();
    for n in &namespaces {
        n.stop();
    }
    engine.drain(sinks, || {
        ring.is_finished()
            && namespaces.iter().all(NamespaceThread::is_finished)
            && governing.as_ref().is_none_or(GovernorThread::is_finished)
    });
    // Here the probes that can be left out are detached.
    drop(governing.and_then(GovernorThread::join));
    let ends = namespaces
        .into_iter()
        .map(|n| {
            let (source, netns, inum) = (n.source, n.ready.netns, n.ready.inum);
            closing::Namespace { source, netns, inum, end: n.join() }
        })
        .collect();
    (ring.join(), ends)
}

/// What it means for the exit code that the probes can't be loaded.
pub fn probe_failure(e: &tracenet_probes::Error) -> Failure {
    match e {
        tracenet_probes::Error::NoProcess(_) => Failure::NotFound(e.to_string()),
        tracenet_probes::Error::NoBtf { .. }
        | tracenet_probes::Error::NotPermitted { .. }
        | tracenet_probes::Error::NothingAttached(_) => Failure::Privilege(e.to_string()),
        _ => Failure::Runtime(e.to_string()),
    }
}
