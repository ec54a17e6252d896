//! The flight recorder: the last events in a ring, frozen into a bundle when something goes wrong.

mod bundle;
mod counting;
mod ring;
mod trigger;

use std::path::PathBuf;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError, bounded};
use tracenet_collectors::capture::Link;
use tracenet_config::{Config, Time};
use tracenet_core::core::{Core, Settings};
use tracenet_core::event::EventKind;
use tracenet_core::fact::Fact;
use tracenet_core::key::{ConnId, SocketCookie};
use tracenet_core::record::Entry;
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};

use crate::failure::Failure;
use crate::sinks;
use crate::targets::Target;
use crate::units::Count;
use bundle::Job;
use counting::Counting;
use ring::{Prepared, Ring};
use trigger::{Incident, Limiter, Trigger};

/// How long what follows a trigger is waited for, in nanoseconds.
const GRACE_NS: u64 = 1_000_000_000;

/// The ring, its triggers, and the thread that writes bundles.
pub struct Flight {
    ring: Ring,
    prepared: Option<Prepared>,
    settings: Settings,
    slow: Option<Time>,
    string_limit: u32,
    links: Vec<Link>,
    counting: Counting,
    limiter: Limiter,
    /// A trigger that was heeded, and when the ring is frozen.
    pending: Option<(Incident, MonoNs)>,
    /// Bundles that were not written since another was being written.
    busy: u64,
    writer: Writer,
}

struct Writer {
    jobs: Sender<Job>,
    thread: JoinHandle<Written>,
}

/// What the writer did.
#[derive(Default)]
struct Written {
    bundles: u64,
    failed: u64,
}

impl Flight {
    /// What the settings ask for, if they do.
    pub fn start(config: &Config, settings: Settings, targets: &[Target]) -> Result<Option<Self>, Failure> {
        let Some(bytes) = config.recorder.bytes else { return Ok(None) };
        Ok(Some(Self {
            ring: Ring::new(usize::try_from(bytes.0).unwrap_or(usize::MAX)),
            prepared: None,
            settings,
            slow: config.output.slow,
            string_limit: config.syscalls.string_limit,
            links: Vec::new(),
            counting: Counting::begin(targets),
            limiter: Limiter::default(),
            pending: None,
            busy: 0,
            writer: Writer::start(config.recorder.directory.clone())?,
        }))
    }

    /// A capture whose packets will come.
    pub fn add_link(&mut self, link: &Link) {
        self.links.push(link.clone());
    }

    /// An event that the core is about to eat.
    pub fn before(&mut self, entry: &Entry) {
        self.prepared = self.ring.prepare(entry);
    }

    /// What the core said of it: whose it is, and whether it is trouble.
    pub fn after(&mut self, cookie: Option<SocketCookie>, core: &Core, facts: &[Fact], now: MonoNs) {
        if let Some(prepared) = self.prepared.take() {
            let conn = cookie.and_then(|c| core.conn_of(c)).or_else(|| facts.iter().find_map(|f| f.conn));
            self.ring.push(prepared, conn);
        }
        self.watch(facts, now);
    }

    /// Looks for triggers among facts.
    pub fn watch(&mut self, facts: &[Fact], now: MonoNs) {
        let slow = self.slow.map(|t| DurationNs(u64::try_from(t.0.as_nanos()).unwrap_or(u64::MAX)));
        for fact in facts {
            if let Some(trigger) = Trigger::of(fact, slow) {
                self.pull(trigger, fact.t, fact.conn, now);
            }
        }
    }

    /// SIGUSR1.
    pub fn asked(&mut self, now: MonoNs) {
        self.pull(Trigger::Signal, now, None, now);
    }

    fn pull(&mut self, trigger: Trigger, t: MonoNs, conn: Option<ConnId>, now: MonoNs) {
        if self.pending.is_some() {
            self.limiter.includes(trigger, now);
        } else if self.limiter.heeds(trigger, now) {
            self.pending = Some((Incident { trigger, t, conn }, now.after(GRACE_NS)));
        }
    }

    /// When the ring is to be frozen.
    pub fn due(&self) -> Option<MonoNs> {
        self.pending.as_ref().map(|(_, due)| *due)
    }

    /// Freezes the ring if it is time.
    pub fn freeze(&mut self, now: MonoNs, clock: ClockOffset) {
        let Some((incident, _)) = self.pending.take_if(|(_, due)| *due <= now) else { return };
        let job = Job {
            contents: self.ring.contents(),
            settings: self.settings.clone(),
            clock,
            links: self.links.clone(),
            incident,
            now,
            counters: self.counting.changes(),
            slow: self.slow,
            string_limit: self.string_limit,
        };
        match self.writer.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.busy += 1,
        }
    }

    /// The end: what is pending is frozen now, what is being written is waited for, and all of it is said. False where
    /// a bundle could not be written.
    pub fn finish(mut self, now: MonoNs, clock: ClockOffset) -> bool {
        if let Some((_, due)) = &mut self.pending {
            *due = now;
        }
        self.freeze(now, clock);
        let left_out = self.limiter.left_out();
        let Written { bundles, failed } = self.writer.finish();
        if bundles + failed + self.busy + left_out > 0 {
            sinks::warn(&format!(
                "recorder: {} written, {failed} failed, {} left out while another was written; {} came too soon \
                 after one of its kind",
                Count(bundles, "bundle"),
                self.busy,
                Count(left_out, "trigger"),
            ));
        }
        failed == 0
    }
}

impl Writer {
    fn start(directory: PathBuf) -> Result<Self, Failure> {
        let (jobs, inbox) = bounded::<Job>(1);
        let thread = std::thread::Builder::new()
            .name("tracenet-bundle".into())
            .spawn(move || {
                let mut written = Written::default();
                for job in inbox {
                    match bundle::write(job, &directory) {
                        Ok(folder) => {
                            written.bundles += 1;
                            sinks::warn(&format!("recorder: wrote {}", folder.display()));
                        }
                        Err(why) => {
                            written.failed += 1;
                            sinks::warn(&format!("recorder: {why}"));
                        }
                    }
                }
                written
            })
            .map_err(|e| Failure::Runtime(format!("cannot start the recorder's thread: {e}")))?;
        Ok(Self { jobs, thread })
    }

    fn finish(self) -> Written {
        drop(self.jobs);
        self.thread.join().unwrap_or_default()
    }
}

/// The socket that an event names.
pub fn cookie_of(kind: &EventKind) -> Option<SocketCookie> {
    match kind {
        EventKind::Syscall(s) | EventKind::Sleeps(s) => s.cookie,
        EventKind::Socket(s) => Some(s.cookie),
        EventKind::SocketIo(io) => Some(io.cookie),
        EventKind::Turn(turn) => Some(turn.cookie),
        EventKind::Accept { cookie, .. } | EventKind::Readable { cookie } => Some(*cookie),
        EventKind::Retransmit(r) => r.cookie,
        EventKind::Drop(d) => d.cookie.or(d.peer_cookie),
        EventKind::Reset { cookie, .. } => *cookie,
        EventKind::Target(_)
        | EventKind::Fork { .. }
        | EventKind::Exec { .. }
        | EventKind::Exit { .. }
        | EventKind::ThreadExit { .. }
        | EventKind::Signal { .. }
        | EventKind::Scheduled { .. }
        | EventKind::Packet(_)
        | EventKind::Lost { .. }
        | EventKind::Governor(_)
        | EventKind::Counters(_) => None,
    }
}
