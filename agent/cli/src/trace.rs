//! A run from beginning to end: attach, tell the story, sum up.

use std::collections::BTreeMap;

use crossbeam_channel::{Sender, bounded};
use tracenet_collectors::capture::{BUFFER_BYTES, CaptureOptions, SNAPLEN_HEADERS};
use tracenet_collectors::clock::mono_now;
use tracenet_config::Config;
use tracenet_core::core::{Core, Settings};
use tracenet_core::key::NetnsCookie;
use tracenet_core::merge::SourceId;
use tracenet_core::syscall::Selection;
use tracenet_probes::{NetnsTotals, Options, Session, SyscallFilter};

use crate::child::Held;
use crate::closing::{self, Closing};
use crate::engine::{Ended, Engine, Message};
use crate::failure::Failure;
use crate::namespace::{Assignment, NamespaceThread};
use crate::privilege::{self, Effective};
use crate::settings;
use crate::signals;
use crate::sinks::{self, Sinks};
use crate::sources::{RingEnd, RingThread};
use crate::targets::{self, Target};

/// What is traced.
pub enum What {
    /// The processes of the settings.
    Live,
    /// A command that waits to be released.
    Command(Held),
}

/// Batches that may wait for the core. When it can't keep up, the sources wait, and what the kernel then can't
/// store it counts.
const INBOX_BATCHES: usize = 256;

/// The ring buffer's name for the merger; captures come after it.
const RING: SourceId = SourceId(0);

/// Traces until something ends it. Returns the exit code.
pub fn trace(config: &Config, what: What) -> Result<u8, Failure> {
    let selection = settings::selection(config)?;
    if let Some(name) = Effective::read().missing_for_bpf() {
        let remedy = privilege::remedy(name);
        return Err(Failure::Privilege(format!(
            "{name} is missing, so no eBPF probe can be loaded: {remedy}"
        )));
    }
    let signals = signals::block()?;
    let targets = match &what {
        What::Live => targets::live(&config.targets.pids, config.targets.follow)?,
        // It is a copy of tracenet still; people know it by its command.
        What::Command(held) => vec![Target { comm: held.name().to_owned(), ..targets::of(held.pid())? }],
    };
    let mut sinks = Sinks::open(config)?;
    let (to, inbox) = bounded(INBOX_BATCHES);
    signals::forward(signals, to.clone())?;

    let session = open_session(config, &selection, &targets)?;
    for hook in session.status().iter().filter(|h| !h.attached) {
        sinks::warn(&format!(
            "{} is not attached, so there is no {} (tracenet doctor tells more)",
            hook.hook, hook.feature
        ));
    }
    let namespaces = open_namespaces(config, &targets, &session, &to)?;
    let before = totals(&session)?;
    let began = mono_now();
    for n in &namespaces {
        if let Some(link) = &n.ready.link {
            sinks.add_link(link);
        }
    }
    let ring = RingThread::start(session, RING, to.clone())?;
    let mut engine = Engine::new(Core::new(core_settings(config)), inbox);
    engine.add_source(RING, std::sync::Arc::clone(&ring.progress));
    for n in &namespaces {
        if let Some(progress) = &n.progress {
            engine.add_source(n.source, std::sync::Arc::clone(progress));
        }
    }
    closing::greet(&targets, &namespaces, &mut sinks, began);
    if let What::Command(held) = what {
        release(held, &mut engine, to.clone())?;
    }
    drop(to);

    let until = config.duration.map(|t| began.after(u64::try_from(t.0.as_nanos()).unwrap_or(u64::MAX)));
    let ended = engine.run(&mut sinks, until);
    let (ring_end, ends) = stop(ring, namespaces, &mut engine, &mut sinks);
    let code =
        Closing { config, targets: &targets, began, before: &before, ring: ring_end, namespaces: ends }
            .finish(&mut engine, sinks);
    // A command that outlives --duration is waited for: its status is what the caller wants.
    let status = if ended == Ended::Duration { engine.wait_for_command() } else { engine.status() };
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

fn open_session(config: &Config, selection: &Selection, targets: &[Target]) -> Result<Session, Failure> {
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
        follow: config.targets.follow,
        string_limit: config.syscalls.string_limit,
        syscalls,
        ring_bytes: u32::try_from(config.limits.ring_bytes.0).unwrap_or(u32::MAX),
    };
    Session::open(&options).map_err(|e| match e {
        tracenet_probes::Error::NoProcess(_) => Failure::NotFound(e.to_string()),
        tracenet_probes::Error::NoBtf { .. }
        | tracenet_probes::Error::NotPermitted { .. }
        | tracenet_probes::Error::NothingAttached(_) => Failure::Privilege(e.to_string()),
        _ => Failure::Runtime(e.to_string()),
    })
}

/// One thread for each network namespace in which a target lives.
fn open_namespaces(
    config: &Config,
    targets: &[Target],
    session: &Session,
    to: &Sender<Message>,
) -> Result<Vec<NamespaceThread>, Failure> {
    let mut homes: BTreeMap<u32, u32> = BTreeMap::new();
    for t in targets {
        homes.entry(t.netns).or_insert(t.pid);
    }
    let filter = session.flow_filter().map_err(|e| sinks::warn(&e.to_string())).ok();
    let mut threads = Vec::new();
    for (index, (_, pid)) in (1..).zip(homes) {
        let wanted = config.capture.enabled && filter.is_some();
        let thread = NamespaceThread::start(
            Assignment {
                pid,
                capture: wanted.then(|| capture_options(config, index)),
                filter: filter.clone(),
                source: SourceId(index),
            },
            to.clone(),
        );
        let thread = match thread {
            Ok(t) => t,
            // Without setns the sockets, syscalls and drops of that namespace are still told.
            Err(Failure::Privilege(text)) if config.capture.write.is_none() => {
                sinks::warn(&format!("{text}; no packets and no counters of the network namespace of {pid}"));
                continue;
            }
            Err(e) => return Err(e),
        };
        if let Some(problem) = &thread.ready.problem {
            if config.capture.write.is_some() {
                return Err(if problem.is_privilege() {
                    Failure::Privilege(problem.to_string())
                } else {
                    Failure::Runtime(problem.to_string())
                });
            }
            sinks::warn(&format!("{problem}; the packet view is off"));
        }
        threads.push(thread);
    }
    Ok(threads)
}

fn capture_options(config: &Config, source: u16) -> CaptureOptions {
    let keep = config.capture.write.is_some();
    let snaplen = i32::try_from(config.capture.snaplen).unwrap_or(i32::MAX);
    CaptureOptions {
        interface: config.capture.interface.clone(),
        filter: config.capture.filter.clone(),
        // Headers are all that the analysis needs; whole frames are for the file.
        snaplen: if keep { snaplen } else { snaplen.min(SNAPLEN_HEADERS) },
        buffer_bytes: i32::try_from(config.capture.buffer_bytes.0).unwrap_or(BUFFER_BYTES),
        keep_frames: keep,
        source,
        netns: NetnsCookie::default(),
    }
}

fn totals(session: &Session) -> Result<BTreeMap<NetnsCookie, NetnsTotals>, Failure> {
    Ok(session.netns_totals().map_err(|e| Failure::Runtime(e.to_string()))?.into_iter().collect())
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
fn stop(
    ring: RingThread,
    namespaces: Vec<NamespaceThread>,
    engine: &mut Engine,
    sinks: &mut Sinks,
) -> (RingEnd, Vec<closing::Namespace>) {
    ring.stop();
    for n in &namespaces {
        n.stop();
    }
    engine.drain(sinks, || ring.is_finished() && namespaces.iter().all(NamespaceThread::is_finished));
    let ends = namespaces
        .into_iter()
        .map(|n| {
            let (source, netns, inum) = (n.source, n.ready.netns, n.ready.inum);
            closing::Namespace { source, netns, inum, end: n.join() }
        })
        .collect();
    (ring.join(), ends)
}
