//! The loop: records out of the kernel, facts out of the core, spans and metrics out of both.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use rustc_hash::FxHashMap;
use tracenet_collectors::clock;
use tracenet_config::Config;
use tracenet_config::agent::Depth;
use tracenet_core::core::{Core, Settings};
use tracenet_core::event::Event;
use tracenet_core::fact::{Fact, FactKind};
use tracenet_core::key::{ProcessKey, Role};
use tracenet_core::time::{ClockOffset, MonoNs};
use tracenet_otel::{ExportReport, ProcessIdentity, Telemetry};
use tracenet_probes::{Session, Turns};

use super::calls::{self, Calls, Rights};
use super::export::Export;
use super::governor::{self, Governors};
use super::health::Health;
use super::people::People;
use super::rules::Rules;
use super::sampler::Sampler;
use super::selection::{self, Candidate};
use crate::failure::Failure;
use crate::memory;
use crate::own;
use crate::settings;

/// Pause between two looks into the rings: nobody is woken for a record.
const PAUSE: Duration = Duration::from_millis(50);

/// Records of one look at most; what is left is read at once in the next one.
const BUDGET: usize = 1 << 14;

/// Between two readings of what the kernel side has added up.
const TICK: Duration = Duration::from_secs(1);

/// Below this share of its limit the memory is enough again.
const ENOUGH: f64 = 0.9;

/// Everything that runs.
pub struct Node {
    config: Config,
    file: Option<(PathBuf, Option<SystemTime>)>,
    /// What the command line says in place of the collectors of the file.
    otlp: Option<String>,
    session: Session,
    rules: Option<Rules>,
    core: Core,
    people: People,
    sampler: Sampler,
    governors: Governors,
    calls: Calls,
    telemetry: Telemetry,
    export: Export,
    /// Exporters that a new configuration has replaced, sending what they had still.
    ending: Vec<JoinHandle<ExportReport>>,
    /// Spans that those delivered which have ended.
    sent_before: u64,
    health: Arc<Health>,
    clock: ClockOffset,
    facts: Vec<Fact>,
    events: Vec<Event>,
    read: Instant,
    /// Its memory is more than it may be: nobody's turns and connections are followed.
    short: bool,
    /// What it was when depth `calls` was let go.
    held_at: Option<u64>,
}

/// How it ended.
pub struct End {
    /// Spans that were delivered.
    pub sent: u64,
    /// Spans that were not.
    pub lost: u64,
    /// Spans that wait on disk for the next run.
    pub spooled: u64,
}

/// What [`Node::new`] is made of.
pub struct Parts {
    pub config: Config,
    pub file: Option<PathBuf>,
    pub otlp: Option<String>,
    pub session: Session,
    pub rules: Option<Rules>,
    pub people: People,
    pub rights: Rights,
    pub telemetry: Telemetry,
    pub export: Export,
    pub health: Arc<Health>,
}

impl Node {
    pub fn new(parts: Parts) -> Self {
        let Parts { config, file, otlp, session, rules, people, rights, telemetry, export, health } = parts;
        let settings = Settings {
            max_connections: usize::try_from(config.limits.connections).unwrap_or(usize::MAX),
            wide: true,
            ..Settings::default()
        };
        let file = file.map(|path| {
            let changed = changed(&path);
            (path, changed)
        });
        let governors = Governors::new(budget(&config), clock::mono_now());
        Self {
            calls: Calls::new(rights, &config),
            config,
            file,
            otlp,
            session,
            rules,
            core: Core::new(settings),
            people,
            sampler: Sampler::default(),
            governors,
            telemetry,
            export,
            ending: Vec::new(),
            sent_before: 0,
            health,
            clock: clock::sample_offset().offset,
            facts: Vec::new(),
            events: Vec::new(),
            read: Instant::now(),
            short: false,
            held_at: None,
        }
    }

    /// Goes on until SIGTERM or SIGINT. SIGHUP reads the configuration again.
    pub fn run(mut self, signals: &SignalFd) -> Result<End, Failure> {
        let mut tick = Instant::now() + TICK;
        let mut emptied = true;
        loop {
            // A storm that leaves something in the rings keeps the loop from its pause, and from nothing else.
            let pause = if emptied { PAUSE } else { Duration::ZERO };
            let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
            // Interrupted or not, the rings are looked into.
            let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
            while let Ok(Some(info)) = signals.read_signal() {
                match i32::try_from(info.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok()) {
                    Some(Signal::SIGHUP) => self.reload(true),
                    Some(Signal::SIGINT | Signal::SIGTERM) => return Ok(self.finish()),
                    _ => {}
                }
            }
            self.health.alive();
            let watched = self.governors.watches(clock::mono_now());
            self.session.watch_io(watched).map_err(|e| crate::trace::probe_failure(&e))?;
            emptied = self.drain();
            self.follow_calls();
            // A storm fills the memory in less than a tick.
            self.mind_memory();
            if Instant::now() >= tick {
                tick = Instant::now() + TICK;
                self.tick()?;
            }
        }
    }

    /// One look into the rings; false where something is left in them.
    fn drain(&mut self) -> bool {
        let mut events = std::mem::take(&mut self.events);
        let emptied = self.session.drain(BUDGET, &mut events).emptied;
        if let Some(rules) = &mut self.rules {
            rules.explain(&mut events);
        }
        for event in events.drain(..) {
            self.core.handle(event, &mut self.facts);
        }
        self.events = events;
        self.core.tick(clock::mono_now(), &mut self.facts);
        self.tell();
        emptied
    }

    /// What the session that follows calls has found out.
    fn follow_calls(&mut self) {
        let facts = self.calls.go_round(&self.config);
        self.tell_calls(facts);
    }

    fn tell_calls(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            if let Some(key) = calls::ran_anew(&fact)
                && self.people.run_anew(key, Instant::now())
            {
                self.telemetry.forget(key);
                self.place(key);
            }
            self.tell_one(&fact);
        }
    }

    fn tell(&mut self) {
        let mut facts = std::mem::take(&mut self.facts);
        for fact in facts.drain(..) {
            if let Some(who) = &fact.who
                && self.people.get(who.key).is_none()
                && let Some(account) = self.session.account(who.key)
            {
                self.meet(who.key, &account);
            }
            if !self.calls.tell(&fact) {
                self.tell_one(&fact);
            } else if let (FactKind::Closed(_), Some(conn)) = (&fact.kind, fact.conn) {
                self.telemetry.forget_connection(conn);
            }
        }
        self.facts = facts;
    }

    fn tell_one(&mut self, fact: &Fact) {
        let person = fact.who.as_ref().and_then(|who| self.people.get(who.key));
        let stranger = |key: ProcessKey| ProcessIdentity {
            pid: key.tgid,
            executable_name: fact.who.as_ref().map_or_else(String::new, |who| who.comm.to_string()),
            ..ProcessIdentity::default()
        };
        let identity = |key: ProcessKey| person.map_or_else(|| stranger(key), |p| p.told.clone());
        self.telemetry.span(fact, self.clock, &identity);
        if let (FactKind::Turn(turn), Some(person)) = (&fact.kind, person) {
            self.telemetry.example(person.workload, turn, fact.conn);
        }
    }

    /// Somebody new: how far it is followed is settled.
    fn meet(&mut self, key: ProcessKey, account: &tracenet_probes::Account) {
        if !self.people.meet(key, account, Instant::now()) {
            return;
        }
        self.place(key);
    }

    fn place(&mut self, key: ProcessKey) {
        let Some(person) = self.people.get(key) else { return };
        let ports = || listening_ports(key.tgid);
        let candidate = Candidate {
            identity: &person.identity,
            executable: &person.told.executable_name,
            path: person.told.executable_path.as_deref(),
            ports: &ports,
        };
        let depth = selection::depth(&self.config.agent, candidate);
        if depth == Depth::Calls {
            self.calls.choose(key);
        } else {
            self.calls.leave(key);
        }
        let share = self.governors.turns(key);
        if depth == self.config.agent.depth && share >= 1.0 {
            self.session.unset_depth(key.tgid);
        } else if let Err(e) = self.session.set_depth(Some(key.tgid), self.allowed(depth), share) {
            tracing::warn!(
                "{}[{}] is followed as all others are: {e}",
                person.told.executable_name,
                key.tgid
            );
        }
    }

    /// Holds what observing a process costs to its budget.
    fn govern(&mut self, key: ProcessKey, probe_ns: u64, seconds: f64, now: MonoNs) {
        let Some(person) = self.people.get(key) else { return };
        let lately = probe_ns.saturating_sub(person.probe_ns());
        let before = self.governors.turns(key);
        if let Some(told) = self.governors.look(key, probe_ns, lately, seconds, now) {
            let resource = self.telemetry.workload(&person.told);
            self.telemetry.governed(person.workload, &resource, now, told.what);
            let (name, pid) = (&person.told.executable_name, key.tgid);
            if told.less {
                tracing::warn!("{name}[{pid}]: {}", told.line);
            } else {
                tracing::info!("{name}[{pid}]: {}", told.line);
            }
        }
        if self.governors.turns(key) != before {
            self.place(key);
        }
    }

    /// While the memory is short, nobody is followed far.
    fn allowed(&self, depth: Depth) -> tracenet_probes::Depth {
        if self.short { tracenet_probes::Depth::Counters } else { selection::probed(depth) }
    }

    fn tick(&mut self) -> Result<(), Failure> {
        let (at, now) = (Instant::now(), clock::mono_now());
        self.clock = clock::sample_offset().offset;
        self.look(at, now)?;
        self.telemetry.own(own::cpu_time(), own::memory());
        self.telemetry.tick(now, self.clock);
        if self.short {
            // What was freed is seen to be.
            memory::give_back();
        }
        self.reload(false);
        Ok(())
    }

    /// Reads what the kernel side has added up.
    fn look(&mut self, at: Instant, now: MonoNs) -> Result<(), Failure> {
        let seconds = at.saturating_duration_since(self.read).as_secs_f64();
        self.read = at;
        self.governors.begin(self.core.totals().lost.ringbuf, Duration::from_secs_f64(seconds));
        let accounts = self.session.accounts().map_err(|e| crate::trace::probe_failure(&e))?;
        let mut turns: FxHashMap<(ProcessKey, Role), Turns> = self.session.turns().into_iter().collect();
        for (key, account) in accounts {
            self.meet(key, &account);
            for role in [Role::Client, Role::Server] {
                let Some(all) = turns.get(&(key, role)) else { continue };
                let lately = self.people.turns(key, role).map(|before| all.since(before)).unwrap_or_default();
                let sampling = &self.config.agent.sampling;
                if let Some(policy) = self.sampler.look((key, role), &lately, all, seconds, sampling)
                    && let Err(e) = self.session.set_turn_policy((key, role), policy.slow_ns, policy.share)
                {
                    tracing::warn!("turns of process {} are told as they were: {e}", key.tgid);
                }
            }
            self.govern(key, account.probe_ns, seconds, now);
            let what = self.people.did(key, account, &mut turns, at);
            if let Some(person) = self.people.get(key).filter(|_| !what.is_empty()) {
                let resource = self.telemetry.workload(&person.told);
                self.telemetry.did(person.workload, &resource, now, &what);
            }
        }
        let missed = self.governors.missed();
        if missed.0 > 0 {
            self.telemetry.unobserved(governor::IO, missed);
        }
        let changes = self.people.look(at, || self.core.owners());
        for key in changes.changed {
            self.telemetry.forget(key);
            self.place(key);
        }
        for key in changes.over {
            self.telemetry.forget(key);
            self.governors.forget(key);
            self.calls.ended(key);
            self.session.forget_process(key);
            for role in [Role::Client, Role::Server] {
                self.sampler.forget((key, role));
            }
        }
        for workload in changes.emptied {
            self.telemetry.ended(workload, now);
        }
        Ok(())
    }

    /// Less is followed while the own memory is more than it may be.
    fn mind_memory(&mut self) {
        let (used, limit) = (own::memory(), self.config.agent.memory_limit.0);
        if self.hold_calls(used, limit) {
            return;
        }
        let short = if self.short { used as f64 > limit as f64 * ENOUGH } else { used > limit };
        if short == self.short {
            return;
        }
        self.short = short;
        if short {
            tracing::warn!(
                "{used} bytes of memory are more than agent.memory_limit: only sums are kept until it is less"
            );
        } else {
            tracing::info!("memory is enough again");
        }
        self.place_all();
    }

    /// Depth `calls` is the first to go, and the last to come back. True where that may be enough.
    fn hold_calls(&mut self, used: u64, limit: u64) -> bool {
        let Some(before) = self.held_at else {
            if used <= limit {
                return false;
            }
            self.held_at = Some(used);
            let any = self.calls.hold(true);
            if any {
                tracing::warn!(
                    "{used} bytes of memory are more than agent.memory_limit: nobody is followed at depth calls until it is less"
                );
            }
            return any;
        };
        // What it took is known when its session has ended.
        if self.calls.is_running() {
            return true;
        }
        let took = before.saturating_sub(used);
        if !self.short && used.saturating_add(took) as f64 <= limit as f64 * ENOUGH {
            self.calls.hold(false);
            self.held_at = None;
        }
        false
    }

    fn place_all(&mut self) {
        if let Err(e) = self.session.set_depth(None, self.allowed(self.config.agent.depth), 1.0) {
            tracing::warn!("processes are followed as they were: {e}");
        }
        for key in self.people.keys() {
            self.session.unset_depth(key.tgid);
            self.place(key);
        }
    }

    /// Reads the configuration again where it has changed, or `anyway`. What is wrong with it is told, and the one before stays.
    fn reload(&mut self, anyway: bool) {
        let Some((path, seen)) = &mut self.file else { return };
        let now = changed(path);
        if now == *seen && !anyway {
            return;
        }
        *seen = now;
        let mut config = match Config::load(path) {
            Ok(config) => config,
            Err(e) => {
                tracing::warn!("the configuration stays as it was: {e}");
                return;
            }
        };
        if let Some(url) = &self.otlp {
            settings::export_to(&mut config, url.clone());
        }
        if self.export.differs(&config)
            && let Err(e) = self.export_anew(&config)
        {
            tracing::warn!("the configuration stays as it was: {e}");
            return;
        }
        for (what, before, after) in [
            ("agent.listen", format!("{:?}", self.config.agent.listen), format!("{:?}", config.agent.listen)),
            (
                "agent.kubernetes",
                format!("{:?}", self.config.agent.kubernetes),
                format!("{:?}", config.agent.kubernetes),
            ),
            ("limits", format!("{:?}", self.config.limits), format!("{:?}", config.limits)),
        ] {
            if before != after {
                tracing::warn!("{what} has changed, which a restart takes notice of");
            }
        }
        self.calls.configure(&self.config, &config);
        self.config = config;
        self.sampler.start_over();
        self.governors.start_over(budget(&self.config), clock::mono_now());
        self.place_all();
        tracing::info!("the configuration was read again");
    }

    /// Exports to where the new configuration says.
    fn export_anew(&mut self, config: &Config) -> Result<(), Failure> {
        let export = Export::start(config)?;
        self.telemetry.redirect(export.sink(), export.options(), clock::mono_now());
        let old = std::mem::replace(&mut self.export, export);
        let (over, ending) = std::mem::take(&mut self.ending).into_iter().partition(JoinHandle::is_finished);
        self.ending = ending;
        self.settle(over);
        // It may have much to send still: nobody waits for it before the end.
        self.ending.push(std::thread::spawn(move || old.shutdown()));
        Ok(())
    }

    /// Adds up what exporters delivered that have ended, or are about to.
    fn settle(&mut self, ended: Vec<JoinHandle<ExportReport>>) {
        let reports = ended.into_iter().filter_map(|thread| thread.join().ok());
        self.sent_before += reports.map(|report| report.sent_spans).sum::<u64>();
    }

    fn finish_calls(&mut self) {
        while let Some(facts) = self.calls.finish() {
            self.tell_calls(facts);
        }
    }

    fn finish(mut self) -> End {
        let (at, now) = (Instant::now(), clock::mono_now());
        let mut last = Vec::new();
        if let Err(e) = self.session.flush(&mut last) {
            tracing::warn!("open connections could not be read: {e}");
        }
        for event in last {
            self.core.handle(event, &mut self.facts);
        }
        if let Err(e) = self.look(at, now) {
            tracing::warn!("the last sums could not be read: {e}");
        }
        self.core.finish(now, &mut self.facts);
        self.tell();
        self.finish_calls();
        self.telemetry.finish(now, self.clock);
        let ending = std::mem::take(&mut self.ending);
        self.settle(ending);
        let report = self.export.shutdown();
        End {
            sent: report.sent_spans + self.sent_before,
            lost: self.telemetry.losses().spans(),
            spooled: report.spooled_spans,
        }
    }
}

/// What the probes may cost a process, of its own CPU time.
fn budget(config: &Config) -> Option<f64> {
    config.agent.budget.map(|budget| budget.ratio())
}

fn changed(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// TCP ports on which a process listens, in its network namespace. Reads /proc only: the agent enters no namespace.
fn listening_ports(pid: u32) -> Vec<u16> {
    const LISTEN: &str = "0A";
    let mut ports = Vec::new();
    let inodes = own_sockets(pid);
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(&LISTEN), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            let port = local.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            if inode.parse().is_ok_and(|inode: u64| inodes.contains(&inode)) {
                ports.extend(port);
            }
        }
    }
    ports
}

/// Inode numbers of the sockets that a process holds.
fn own_sockets(pid: u32) -> Vec<u64> {
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    fds.flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}
