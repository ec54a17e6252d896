//! `tracenet replay`: a recording through the core once more.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use tracenet_config::{Config, Format, Time};
use tracenet_core::core::{Core, Settings};
use tracenet_core::fact::Fact;
use tracenet_core::record::{Entry, EntryError, Head, MAGIC};
use tracenet_core::time::MonoNs;

use crate::args::ReplayArgs;
use crate::closing;
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
    config.export.otlp.endpoint.clone_from(&args.otlp);
    if let Some(n) = args.string_limit {
        config.syscalls.string_limit = n;
    }
    tell(&args.file, &config, None, Habits::of_lines(&args.lines)?)
}

/// Tells the recording at `path` with these settings.
pub fn tell(path: &Path, config: &Config, explain: Option<Explain>, habits: Habits) -> Result<u8, Failure> {
    let mut recording = Recording::open(path)?;
    let Ok(Some(Entry::Begin(settings))) = recording.next() else {
        return Err(recording.refused("it has no beginning"));
    };
    let sinks = Sinks::open(config, explain, habits)?;
    replay(recording, config, Telling::new(settings, sinks))
}

fn replay(mut recording: Recording, config: &Config, mut telling: Telling) -> Result<u8, Failure> {
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
                sinks::warn(&format!("{}: {why}", recording.name));
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

/// An open recording.
struct Recording {
    file: BufReader<File>,
    name: String,
    /// Where the next entry begins, in bytes.
    offset: u64,
    bytes: Vec<u8>,
}

impl Recording {
    fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Failure::NotFound(format!("no such file: {name}")),
            _ => Failure::Runtime(format!("cannot read {name}: {e}")),
        })?;
        let mut recording =
            Self { file: BufReader::with_capacity(256 << 10, file), name, offset: 0, bytes: Vec::new() };
        let mut magic = [0; MAGIC.len()];
        if recording.file.read_exact(&mut magic).is_err() || magic[..5] != MAGIC[..5] {
            return Err(recording.refused("it is no recording of tracenet"));
        }
        if magic != MAGIC {
            return Err(
                recording.refused("it was made by another version of tracenet: replay it with that one")
            );
        }
        recording.offset = MAGIC.len() as u64;
        Ok(recording)
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::Usage(format!("{}: {why}", self.name))
    }

    /// The next entry; nothing at the end, and a line about what is there where it is none.
    fn next(&mut self) -> Result<Option<Entry>, String> {
        let at = self.offset;
        let mut head = [0; Head::LEN];
        match self.file.read(&mut head[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(e) => return Err(format!("cannot read at offset {at}: {e}")),
        }
        let cut = |_| format!("the recording is cut in the entry at offset {at}");
        self.file.read_exact(&mut head[1..]).map_err(cut)?;
        let damaged = |e: EntryError| format!("damaged at offset {at}: {e}");
        let head = Head::read(head).map_err(damaged)?;
        self.bytes.resize(head.len, 0);
        self.file.read_exact(&mut self.bytes).map_err(cut)?;
        self.offset = at + (Head::LEN + head.len) as u64;
        Entry::decode(head, &self.bytes).map(Some).map_err(damaged)
    }
}
