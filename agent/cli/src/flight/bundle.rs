//! One bundle: a folder with what the ring held, told by another core into the sinks of every other run.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracenet_collectors::capture::Link;
use tracenet_config::{Color, Config, Time};
use tracenet_core::core::Settings;
use tracenet_core::event::{Event, EventKind};
use tracenet_core::fact::{Fact, FactKind};
use tracenet_core::record::{CounterChanges, Ending, Entry};
use tracenet_core::syscall::{self, RenderOptions};
use tracenet_core::time::{ClockOffset, MonoNs};

use super::ring::Contents;
use super::trigger::{Incident, Trigger};
use crate::cmd::replay::Telling;
use crate::focus::Explain;
use crate::recorder::Recorder;
use crate::settings;
use crate::sinks::Sinks;
use crate::stamp::Stamp;
use crate::strace::Habits;

/// How long the spans may take to reach their file.
const EXPORT: Duration = Duration::from_secs(5);

/// All that a bundle is made of.
pub struct Job {
    /// The ring.
    pub contents: Contents,
    /// The core's.
    pub settings: Settings,
    /// Distance of the clocks.
    pub clock: ClockOffset,
    /// The captures, for the capture file.
    pub links: Vec<Link>,
    /// Why.
    pub incident: Incident,
    /// When the ring was frozen.
    pub now: MonoNs,
    /// What the kernel counted since the run began.
    pub counters: Vec<CounterChanges>,
    /// Turns that are slow.
    pub slow: Option<Time>,
    /// Longest string, in bytes.
    pub string_limit: u32,
}

/// Makes the folder below `directory`, readable by its owner alone, and fills it. The error is a line for the user.
pub fn write(mut job: Job, directory: &Path) -> Result<PathBuf, String> {
    job.contents.sort();
    let folder = directory.join(name(&job));
    let cannot = |e: io::Error| format!("cannot write the bundle {}: {e}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cannot)?;
    let room = nix::sys::statvfs::statvfs(directory).map_err(|e| cannot(e.into()))?;
    let free = room.blocks_available().saturating_mul(room.fragment_size());
    // The recording, the packets and the calls are about as long as the ring, all together; so are spans and turns.
    let needed = job.contents.bytes().saturating_mul(2);
    if free < needed {
        return Err(format!(
            "cannot write the bundle {}: it may take {} MiB, and {} MiB are free",
            folder.display(),
            needed.div_ceil(1 << 20),
            free >> 20
        ));
    }
    DirBuilder::new().mode(0o700).create(&folder).map_err(cannot)?;
    match fill(&job, &folder) {
        Ok(true) => Ok(folder),
        Ok(false) => Err(format!("the bundle {} is incomplete", folder.display())),
        Err(e) => Err(cannot(e)),
    }
}

/// `tracenet-20261123T083451.123Z-drop`
fn name(job: &Job) -> String {
    let wall = i128::from(job.clock.wall(job.incident.t).0);
    let time = jiff::Timestamp::from_nanosecond(wall)
        .map_or_else(|_| wall.to_string(), |t| t.strftime("%Y%m%dT%H%M%S.%3fZ").to_string());
    format!("tracenet-{time}-{}", job.incident.trigger.as_str())
}

/// False where something of it could not be written, which was said.
fn fill(job: &Job, folder: &Path) -> io::Result<bool> {
    write_counters(job, &folder.join("counters.json"))?;
    let failed = |e: crate::failure::Failure| io::Error::other(e.to_string());
    let mut recorder = Recorder::create(&folder.join("events.tnrec"), &job.settings).map_err(failed)?;
    let mut calls = Calls::create(&folder.join("syscalls.txt"), job)?;
    let sinks =
        Sinks::open(&config(job, folder), Some(Explain::default()), Habits::default()).map_err(failed)?;
    let mut telling = Telling::new(job.settings.clone(), sinks);
    for link in &job.links {
        telling.sinks.add_link(link);
    }
    recorder.clock(job.clock);
    telling.sinks.set_clock(job.clock);
    let first = job.contents.events.first().map_or(job.now, |kept| kept.t);
    let names = job.contents.names.iter().map(|n| Entry::Named(*n));
    let heads = job
        .contents
        .heads
        .iter()
        .map(|s| Entry::Event(Event { t: first, kind: EventKind::Socket(Box::new(s.clone())) }));
    let events = job.contents.events.iter().filter_map(|kept| kept.event()).map(Entry::Event);
    for entry in names.chain(heads).chain(events).chain([Entry::Finish(job.now)]) {
        if let Entry::Event(event) = &entry
            && telling.core.poll_at().is_some_and(|t| t <= event.t)
        {
            let tick = Entry::Tick(event.t);
            recorder.entry(&tick);
            telling.take(tick);
            calls.tell(&telling.facts)?;
            telling.tell();
        }
        recorder.entry(&entry);
        telling.take(entry);
        calls.tell(&telling.facts)?;
        telling.tell();
    }
    calls.file.flush()?;
    let ending =
        Ending { duration: job.now.since(first), counters: job.counters.clone(), ..Ending::default() };
    recorder.entry(&Entry::End(ending));
    recorder.flush();
    let mut sinks = telling.sinks;
    let exported = sinks.finish_export(EXPORT).is_none_or(|report| report.losses.spans() == 0);
    let words = sinks.explained(&telling.core.totals().lost).unwrap_or_default();
    let last = format!("{words}\n{}", last_words(job));
    let written = sinks.unwritten_packets() == 0;
    Ok(sinks.finish(last.as_bytes()) && exported && written && !recorder.has_failed())
}

fn last_words(job: &Job) -> String {
    let mut text = "frozen by: ".to_owned();
    text.push_str(job.incident.trigger.as_str());
    if let Some(conn) = job.incident.conn {
        text.push_str(&format!(" on {conn}"));
    }
    text.push_str(" at ");
    let mut stamp = Stamp::default();
    stamp.set_clock(job.clock);
    stamp.write(job.incident.t, &mut text);
    let evicted = job.contents.evicted;
    text.push_str(&format!(". {} events kept, {evicted} older ones evicted.\n", job.contents.events.len()));
    text
}

fn config(job: &Job, folder: &Path) -> Config {
    let mut c = Config::default();
    c.output.file = Some(folder.join("explanation.txt"));
    c.output.color = Color::Never;
    // Who asks wants to see everything.
    c.output.slow =
        if job.incident.trigger == Trigger::Signal { Some(Time(Duration::ZERO)) } else { job.slow };
    c.capture.write = (!job.links.is_empty()).then(|| folder.join("packets.pcapng"));
    settings::export_to(&mut c, format!("file:{}", folder.join("spans.json").display()));
    c
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(BufWriter::new)
}

fn write_counters(job: &Job, path: &Path) -> io::Result<()> {
    let counters: Vec<_> = job
        .counters
        .iter()
        .map(|c| {
            let changes: serde_json::Map<_, _> =
                c.changes.iter().map(|(name, n)| (name.clone(), (*n).into())).collect();
            serde_json::json!({ "of": c.title, "changes": changes })
        })
        .collect();
    let t_ns = job.clock.wall(job.now).0;
    let all = serde_json::json!({ "schema": "tracenet.counters/1", "t_ns": t_ns, "counters": counters });
    let mut file = create(path)?;
    writeln!(file, "{all:#}")?;
    file.flush()
}

/// System calls as `strace -f -tt -o FILE` writes them: thread, time, call.
struct Calls {
    file: BufWriter<File>,
    stamp: Stamp,
    options: RenderOptions,
    line: String,
}

impl Calls {
    fn create(path: &Path, job: &Job) -> io::Result<Self> {
        let mut stamp = Stamp::default();
        stamp.set_clock(job.clock);
        let options = RenderOptions { string_limit: job.string_limit, ..RenderOptions::default() };
        Ok(Self { file: create(path)?, stamp, options, line: String::new() })
    }

    fn tell(&mut self, facts: &[Fact]) -> io::Result<()> {
        use std::fmt::Write as _;
        for fact in facts {
            let FactKind::Syscall(call) = &fact.kind else { continue };
            self.line.clear();
            let _ = write!(self.line, "{} ", call.task.tid);
            self.stamp.write(call.entered, &mut self.line);
            self.line.push(' ');
            syscall::render_timed(call, fact.t, &self.options, &mut self.line);
            self.line.push('\n');
            self.file.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }
}
