//! `tracenet replay`: a recording through the core once more.

use std::path::Path;

use tracenet_config::{Config, Format, Time};
use tracenet_core::core::{Core, Settings};
use tracenet_core::fact::Fact;
use tracenet_core::record::{Entry, MAGIC};
use tracenet_core::time::MonoNs;

use crate::args::ReplayArgs;
use crate::closing;
use crate::entries::Entries;
use crate::failure::Failure;
use crate::focus::Explain;
use crate::sinks::{self, Sinks};
use crate::strace::Habits;

/// Tells the story of a recording, as the run that was recorded would have told it with these options.
pub fn main(args: &ReplayArgs) -> Result<u8, Failure> {
    let mut config = Config::default();
    config.output.format = if args.json { Format::Json } else { Format::Text };
    config.output.file.clone_from(&args.output);
    config.output.packets = !args.no_packets;
    config.output.quiet = args.quiet;
    config.output.slow = args.slow.map(Time);
    config.output.color = args.color.into();
    config.syscalls.durations = args.durations;
    config.export.otlp.flag.clone_from(&args.otlp);
    if let Some(n) = args.string_limit {
        config.syscalls.string_limit = n;
    }
    tell(&args.file, &config, None, Habits::of_lines(&args.lines)?)
}

/// Tells the recording at `path` with these settings.
pub fn tell(path: &Path, config: &Config, explain: Option<Explain>, habits: Habits) -> Result<u8, Failure> {
    let mut recording = Entries::<Entry>::open(path, MAGIC, "recording")?;
    let Ok(Some(Entry::Begin(settings))) = recording.next() else {
        return Err(recording.refused("it has no beginning"));
    };
    let sinks = Sinks::open(config, explain, habits)?;
    replay(recording, config, Telling::new(settings, sinks))
}

fn replay(mut recording: Entries<Entry>, config: &Config, mut telling: Telling) -> Result<u8, Failure> {
    loop {
        let next =
            recording.next().and_then(|entry| entry.ok_or_else(|| "it was not ended: no summary".to_owned()));
        match next {
            Ok(Entry::End(ending)) => {
                let deadline = config.export.otlp.shutdown_timeout.0;
                return Ok(closing::end(&ending, &telling.core, telling.sinks, deadline, ""));
            }
            Ok(entry) => telling.take(entry),
            Err(why) => {
                sinks::warn(&format!("{}: {why}", recording.name()));
                let last = closing::explained(&telling.sinks, &telling.core.totals().lost);
                telling.sinks.finish(&last.unwrap_or_default());
                return Ok(1);
            }
        }
        telling.tell();
        if telling.sinks.is_broken() {
            return Ok(u8::from(!telling.sinks.finish(&[])));
        }
    }
}

/// A core that eats entries once more, and the sinks that hear of it.
pub struct Telling {
    /// The core.
    pub core: Core,
    /// Where its facts go.
    pub sinks: Sinks,
    /// Facts that are not told yet.
    pub facts: Vec<Fact>,
    now: MonoNs,
}

impl Telling {
    /// With a core that knows nothing yet.
    pub fn new(settings: Settings, sinks: Sinks) -> Self {
        Self { core: Core::new(settings), sinks, facts: Vec::new(), now: MonoNs(0) }
    }

    /// Lets the core eat an entry.
    pub fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Begin(_) | Entry::End(_) => {}
            Entry::Clock(offset) => self.sinks.set_clock(offset),
            Entry::Line(line) => self.sinks.say(&line),
            Entry::Named(named) => self.core.call(&named),
            Entry::Event(event) => {
                self.now = self.now.max(event.t);
                self.core.handle(event, &mut self.facts);
            }
            Entry::Tick(t) => {
                self.now = self.now.max(t);
                self.core.tick(t, &mut self.facts);
            }
            Entry::Finish(t) => {
                self.now = self.now.max(t);
                self.core.finish(t, &mut self.facts);
            }
        }
    }

    /// Tells what the core said.
    pub fn tell(&mut self) {
        self.sinks.tell(&mut self.facts);
        self.sinks.pass_on(self.now);
    }
}
