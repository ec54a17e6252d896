//! Everything that facts go to: the story, the capture file, OpenTelemetry.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tracenet_collectors::pcapng::{self, Record};
use tracenet_collectors::{capture::Link, clock};
use tracenet_config::{Config, Format};
use tracenet_core::event::GovernorWhy;
use tracenet_core::fact::{Fact, FactKind, PacketFact};
use tracenet_core::summary::EventLines;
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};
use tracenet_core::totals::LostTotals;
use tracenet_otel::{ExportReport, Exporter, Telemetry};

use crate::engine::Audience;
use crate::failure::Failure;
use crate::focus::{Explain, Focus};
use crate::governor;
use crate::identity::Identities;
use crate::output::{Destination, Output, OutputError};
use crate::paint::Paint;
use crate::settings;
use crate::story::{Story, StoryOptions};
use crate::strace::{Files, Habits, Lines};

/// Text handed to the writer at a time.
const CHUNK: usize = 64 << 10;

/// How often the clocks' distance is measured for the stamps.
const RESAMPLE_NS: u64 = 1_000_000_000;

/// The sinks of a run.
pub struct Sinks {
    output: Output,
    paint: Paint,
    text: Vec<u8>,
    line: String,
    lines: u64,
    json: bool,
    events: EventLines,
    packets: bool,
    quiet: bool,
    focus: Focus,
    story: Story,
    habits: Habits,
    /// Instead of the story.
    lines_of_calls: Option<Lines>,
    /// Those of each thread apart.
    files: Option<Files>,
    clock: ClockOffset,
    clock_at: MonoNs,
    file: Option<pcapng::Writer>,
    comment: String,
    export: Option<(Exporter, Telemetry)>,
    identities: Identities,
    failed: bool,
    closed: bool,
}

impl Sinks {
    /// Opens what the settings ask for. Everything that can't be written is an error here, before anything is
    /// attached.
    pub fn open(c: &Config, explain: Option<Explain>, habits: Habits) -> Result<Self, Failure> {
        let file = c.capture.write.as_deref().map(open_capture_file).transpose()?;
        let export = open_export(c)?;
        let style = habits.style.as_ref();
        let split = style.and_then(|s| s.split.as_deref());
        let append = style.is_some_and(|s| s.append);
        let to = match c.output.file.as_deref() {
            Some(path) if split.is_none() => Destination::File { path, append },
            None if style.is_none() => Destination::Stdout,
            // As strace: the command's output is its own.
            _ => Destination::Stderr,
        };
        let output = Output::open(to).map_err(|e| failure_of(&e))?;
        let paint = Paint::choose(c.output.color, output.is_terminal());
        let clock = clock::sample_offset().offset;
        let slow = c.output.slow.map(|t| DurationNs(u64::try_from(t.0.as_nanos()).unwrap_or(u64::MAX)));
        let focus = Focus::new(slow, explain);
        let syscalls = settings::rendering(c);
        let mut story = Story::new(StoryOptions {
            packets: c.output.packets,
            syscalls,
            explain: focus.explains(),
            paint,
        });
        story.set_clock(clock);
        let files = split.map(|stem| Files::new(stem, append));
        let lines_of_calls = style.map(|style| {
            let mut lines = Lines::new(style.clone(), syscalls);
            lines.set_clock(clock);
            lines
        });
        Ok(Self {
            output,
            paint,
            text: Vec::with_capacity(CHUNK),
            line: String::new(),
            lines: 0,
            json: c.output.format == Format::Json,
            events: EventLines::default(),
            packets: c.output.packets,
            quiet: c.output.quiet,
            focus,
            story,
            habits,
            lines_of_calls,
            files,
            clock,
            clock_at: clock::mono_now(),
            file,
            comment: String::new(),
            export,
            identities: Identities::default(),
            failed: false,
            closed: false,
        })
    }

    /// True where the output is JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// How the summary is painted.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// The distance of the clocks, as last measured.
    pub fn clock(&self) -> ClockOffset {
        self.clock
    }

    /// From here on facts are told with this distance of the clocks: that of a recording.
    pub fn set_clock(&mut self, clock: ClockOffset) {
        self.clock = clock;
        self.story.set_clock(clock);
        if let Some(lines) = &mut self.lines_of_calls {
            lines.set_clock(clock);
        }
    }

    /// True where strace's lines stand instead of the story.
    pub fn is_strace(&self) -> bool {
        self.lines_of_calls.is_some()
    }

    /// `-q` was given: no word on attaching.
    pub fn is_quiet(&self) -> bool {
        self.habits.style.as_ref().is_some_and(|s| s.quiet > 0)
    }

    /// Describes a capture in the file.
    pub fn add_link(&mut self, link: &Link) {
        if let Some(file) = &mut self.file
            && let Err(e) = file.add_interface(link)
        {
            self.fail(&with_remedy(&e));
        }
    }

    /// A line on standard error, now.
    pub fn warn(&self, text: &str) {
        warn(text);
    }

    /// Last words of `tracenet explain`.
    pub fn explained(&self, lost: &LostTotals) -> Option<String> {
        self.focus.is_explain().then(|| self.focus.last_words(lost))
    }

    /// Appends an object that is no fact, where the story is made of objects.
    pub fn say(&mut self, line: &str) {
        if !self.json || self.focus.is_explain() {
            return;
        }
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        self.lines += 1;
    }

    /// Tells facts to every sink and empties the vector.
    pub fn tell(&mut self, facts: &mut Vec<Fact>) {
        for fact in facts.drain(..) {
            self.tell_one(&fact);
        }
        if self.text.len() >= CHUNK {
            self.push();
        }
    }

    fn tell_one(&mut self, fact: &Fact) {
        if self.export.is_some() {
            self.learn(fact);
        }
        if let FactKind::Packet(packet) = &fact.kind {
            self.write_packet(fact, packet);
        }
        if let Some((_, telemetry)) = &mut self.export {
            telemetry.on(fact, self.clock, &|key| self.identities.of(key));
        }
        if !self.habits.take(&fact.kind) {
            return;
        }
        if self.lines_of_calls.is_some() {
            self.tell_line(fact);
            return;
        }
        let shown = !self.quiet && (self.packets || !matches!(fact.kind, FactKind::Packet(_)));
        if shown && self.focus.takes(fact, self.json) {
            self.write(fact);
            for more in self.focus.after(fact) {
                self.write(&more);
            }
        }
        if let (FactKind::Closed(_), Some(conn)) = (&fact.kind, fact.conn) {
            self.story.forget(conn);
        }
    }

    /// As strace does.
    fn tell_line(&mut self, fact: &Fact) {
        if let FactKind::Governor(step) = &fact.kind {
            // There is nothing like it in strace's lines.
            let mut text = String::new();
            governor::step(step, &mut text);
            if step.why.is_step() || step.why == GovernorWhy::Lowest {
                warn(&text);
            }
            return;
        }
        let Some(lines) = &mut self.lines_of_calls else { return };
        self.line.clear();
        lines.tell(fact, &mut self.line);
        self.lines += lines.take_count();
        let Some(files) = &mut self.files else {
            self.text.extend_from_slice(self.line.as_bytes());
            return;
        };
        let tid = fact.who.as_ref().map_or(0, |w| w.tid);
        let mut result = if self.line.is_empty() { Ok(()) } else { files.push(tid, self.line.as_bytes()) };
        if matches!(fact.kind, FactKind::ThreadExited { .. }) {
            result = result.and(files.close(tid));
        }
        self.split_error(result);
    }

    /// The first file that can't be written ends the run.
    fn split_error(&mut self, result: Result<(), (PathBuf, std::io::Error)>) {
        if let Err((path, error)) = result
            && !self.closed
        {
            self.output_error(&OutputError::Failed { path: path.display().to_string(), error });
        }
    }

    fn write(&mut self, fact: &Fact) {
        let told = if self.json {
            self.events.append(fact, self.clock, &mut self.text);
            true
        } else {
            self.line.clear();
            let told = self.story.line(fact, &mut self.line);
            self.text.extend_from_slice(self.line.as_bytes());
            told
        };
        self.lines += u64::from(told);
    }

    fn learn(&self, fact: &Fact) {
        match (&fact.kind, &fact.who) {
            (FactKind::Executed { .. }, Some(who)) => self.identities.relearn(who.key, &who.comm),
            (FactKind::Forked { child, comm, followed: true }, _) => self.identities.learn(*child, comm),
            (_, Some(who)) => self.identities.learn(who.key, &who.comm),
            _ => {}
        }
    }

    fn write_packet(&mut self, fact: &Fact, packet: &PacketFact) {
        use std::fmt::Write as _;
        let (Some(file), Some(frame)) = (&mut self.file, &packet.packet.frame) else { return };
        self.comment.clear();
        if let Some(who) = &fact.who {
            let _ = write!(self.comment, "pid={} comm=", who.key.tgid);
            crate::paint::push_safe(&mut self.comment, &who.comm);
            self.comment.push(' ');
        }
        if let Some(conn) = fact.conn {
            let _ = write!(self.comment, "conn={conn}");
        }
        let result = file.packet(&Record {
            source: frame.source,
            wall: packet.packet.wall,
            wire_len: packet.packet.wire_len,
            data: &frame.data,
            comment: self.comment.trim_end(),
            direction: Some(packet.direction),
        });
        if let Err(e) = result {
            self.fail(&with_remedy(&e));
        }
    }

    /// Hands what was told to the writers. Call it after every batch.
    pub fn flush(&mut self, now: MonoNs) {
        if now.since(self.clock_at).0 >= RESAMPLE_NS {
            self.clock = clock::sample_offset().offset;
            self.clock_at = now;
            self.set_clock(self.clock);
            if let Some(file) = &mut self.file
                && let Err(e) = file.flush()
            {
                self.fail(&with_remedy(&e));
            }
        }
        if let Some((_, telemetry)) = &mut self.export {
            telemetry.tick(now, self.clock);
        }
        if let Some(files) = &mut self.files {
            let result = files.flush();
            self.split_error(result);
        } else if let Some(lines) = &mut self.lines_of_calls {
            self.line.clear();
            lines.settle(now, &mut self.line);
            self.text.extend_from_slice(self.line.as_bytes());
        }
        self.push();
        if let Some(error) = self.output.take_error() {
            self.output_error(&error);
        }
    }

    /// As [`flush`](Self::flush), for facts that are not of now.
    pub fn pass_on(&mut self, now: MonoNs) {
        if let Some((_, telemetry)) = &mut self.export {
            telemetry.tick(now, self.clock);
        }
        if self.text.len() >= CHUNK {
            self.push();
        }
        if let Some(error) = self.output.take_error() {
            self.output_error(&error);
        }
    }

    fn push(&mut self) {
        self.output.push(&mut self.text, self.lines);
        self.lines = 0;
    }

    fn output_error(&mut self, error: &OutputError) {
        match error {
            OutputError::Closed => self.closed = true,
            OutputError::Failed { .. } => {
                self.closed = true;
                self.fail(&failure_of(error).to_string());
            }
        }
    }

    /// Says a failure at once and keeps it in mind for the exit code.
    fn fail(&mut self, text: &str) {
        warn(text);
        self.failed = true;
    }

    /// True where nobody can read the story any more.
    pub fn is_broken(&self) -> bool {
        self.closed
    }

    /// Lines of the story that were lost.
    pub fn lost_lines(&self) -> u64 {
        self.output.lost_lines()
    }

    /// Writes the capture file's statistics.
    pub fn finish_capture(&mut self, source: u16, totals: &pcapng::Totals) {
        if let Some(file) = &mut self.file
            && let Err(e) = file.statistics(source, totals).and_then(|()| file.flush())
        {
            self.fail(&with_remedy(&e));
        }
    }

    /// Packets that the capture file could not take.
    pub fn unwritten_packets(&self) -> u64 {
        self.file.as_ref().map_or(0, pcapng::Writer::unwritten)
    }

    /// Sends what is left to the collector, for as long as the settings say.
    pub fn finish_export(&mut self, deadline: std::time::Duration) -> Option<ExportReport> {
        let (exporter, mut telemetry) = self.export.take()?;
        telemetry.finish(clock::mono_now(), self.clock);
        drop(telemetry);
        Some(exporter.shutdown(deadline))
    }

    /// Writes the last words. False where any sink failed; what failed was said when it did.
    pub fn finish(mut self, last: &[u8]) -> bool {
        if let Some(lines) = self.lines_of_calls.as_mut().filter(|_| self.files.is_none()) {
            self.line.clear();
            lines.finish(&mut self.line);
            self.text.extend_from_slice(self.line.as_bytes());
        }
        if let Some(files) = &mut self.files {
            let result = files.flush();
            self.split_error(result);
        }
        self.text.extend_from_slice(last);
        let text = std::mem::take(&mut self.text);
        if self.closed {
            return !self.failed;
        }
        match self.output.finish(text) {
            Ok(()) | Err(OutputError::Closed) => !self.failed,
            Err(e) => {
                warn(&failure_of(&e).to_string());
                false
            }
        }
    }
}

impl Audience for Sinks {
    fn tell(&mut self, facts: &mut Vec<Fact>) {
        Self::tell(self, facts);
    }

    fn flush(&mut self, now: MonoNs) {
        Self::flush(self, now);
    }

    fn clock(&self) -> ClockOffset {
        self.clock
    }

    fn add_link(&mut self, link: &Link) {
        Self::add_link(self, link);
    }

    fn warn(&self, text: &str) {
        warn(text);
    }

    fn is_broken(&self) -> bool {
        self.closed
    }
}

/// A line on standard error, in the tool's name.
pub fn warn(text: &str) {
    let line = text.replace('\n', " ");
    if LOGGED.load(Ordering::Relaxed) {
        tracing::warn!("{line}");
    } else {
        eprintln!("tracenet: {line}");
    }
}

static LOGGED: AtomicBool = AtomicBool::new(false);

/// From now on warnings are lines of the log, in its format.
pub fn warn_by_log() {
    LOGGED.store(true, Ordering::Relaxed);
}

fn open_capture_file(path: &Path) -> Result<pcapng::Writer, Failure> {
    pcapng::Writer::create(path).map_err(|e| Failure::Runtime(with_remedy(&e)))
}

fn with_remedy(e: &pcapng::WriteError) -> String {
    format!("{e}; the capture file ends there: free space or choose another path with -w")
}

fn open_export(c: &Config) -> Result<Option<(Exporter, Telemetry)>, Failure> {
    let Some(options) = settings::export(c)? else { return Ok(None) };
    let exporter = Exporter::start(&options).map_err(|e| Failure::Runtime(e.to_string()))?;
    let host = nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok());
    let telemetry = Telemetry::new(exporter.sink(), &options, host, clock::mono_now());
    Ok(Some((exporter, telemetry)))
}

fn failure_of(e: &OutputError) -> Failure {
    match e {
        OutputError::Closed => Failure::Runtime("the output was closed".into()),
        OutputError::Failed { path, error } => Failure::Runtime(format!(
            "cannot write {path}: {error}; free space or choose another path with -o"
        )),
    }
}
