//! `tracenet bench`

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::bench::crew::Crew;
use crate::bench::pairs::{self, Outcome};
use crate::bench::probes;
use crate::bench::report::{self, Document, Head};
use crate::bench::ways::{WAYS, Way};
use crate::bench::worker::{self, Role, Workload};
use crate::failure::Failure;
use crate::privilege::Effective;
use crate::sinks;

/// `tracenet bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Alternating pairs of runs, bare and watched, of each workload and way.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pairs: u32,
    /// How long a run takes.
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = run_time)]
    pub time: Duration,
    /// One pair of 20 ms: whether everything works, but no figures to believe.
    #[arg(long, conflicts_with_all = ["pairs", "time"])]
    pub quick: bool,
    /// Only the way of this name, or where there is none those that have it in theirs, e.g. agent, -c, bpftrace; repeatable.
    #[arg(long = "way", value_name = "NAME", allow_hyphen_values = true)]
    pub ways: Vec<String>,
    /// Only these workloads; repeatable.
    #[arg(long = "workload", value_name = "NAME", value_enum)]
    pub workloads: Vec<Workload>,
    /// What each BPF program costs instead: nanoseconds of a run, instructions, size.
    #[arg(long, conflicts_with_all = ["pairs", "ways"])]
    pub probes: bool,
    /// Keep every run in a file too, as --json prints it.
    #[arg(long, value_name = "FILE")]
    pub raw: Option<PathBuf>,
    /// One JSON object with every run.
    #[arg(long)]
    pub json: bool,
    /// For the bench's own processes.
    #[arg(long, hide = true, value_enum, value_name = "ROLE")]
    pub worker: Option<Role>,
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(60);

fn run_time(text: &str) -> Result<Duration, String> {
    let time = tracenet_config::parse_duration(text).map_err(|e| e.to_string())?;
    if (SHORTEST..=LONGEST).contains(&time) { Ok(time) } else { Err("give 1ms to 60s".to_owned()) }
}

/// Measures and prints.
pub fn main(args: &BenchArgs) -> Result<u8, Failure> {
    if let Some(role) = args.worker {
        return worker::main(role);
    }
    let chosen = |way: &Way, name: &str| match WAYS.iter().any(|other| other.name == name) {
        true => way.name == name,
        false => way.name.contains(name),
    };
    let ways: Vec<&Way> = WAYS
        .iter()
        .filter(|way| args.ways.is_empty() || args.ways.iter().any(|name| chosen(way, name)))
        .collect();
    if ways.is_empty() {
        let names: Vec<&str> = WAYS.iter().map(|way| way.name).collect();
        return Err(Failure::Usage(format!("no way of that name; there are: {}", names.join(", "))));
    }
    // Namespaces, other processes' programs, and what the tools ask for.
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::Privilege("bench needs root: sudo tracenet bench".into()));
    }
    if let Some(name) = Effective::read().missing_for_bpf() {
        return Err(Failure::Privilege(format!("{name} is missing: run as root of the host")));
    }
    let workloads = if args.workloads.is_empty() { Workload::ALL.to_vec() } else { args.workloads.clone() };
    let (pairs, time) =
        if args.quick { (1, Duration::from_millis(20)) } else { (args.pairs as usize, args.time) };
    // Before the minutes that follow.
    let raw = args.raw.as_deref().map(|path| create(path).map(|file| (path, file))).transpose()?;
    let mut crew = Crew::start()?;
    // What is slow the first time only.
    for workload in &workloads {
        crew.run(*workload, time)?;
    }
    let head = Head::now(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let run_ns = head.run_ns;
    let mut document = Document { head, rows: Vec::new(), programs: None };
    if args.probes {
        document.programs = Some(probes::measure(&mut crew, &workloads, time)?);
    } else {
        for way in ways {
            progress(way.name);
            let outcome = pairs::measure(&mut crew, way, &workloads, pairs, time)?;
            if let Outcome::Failed(why) = &outcome {
                sinks::warn(&format!("{}: {why}", way.name));
            }
            document.rows.extend(report::rows(way, &workloads, outcome));
        }
        progress("");
    }
    let json = serde_json::to_string(&document).map_err(|e| Failure::Runtime(e.to_string()))? + "\n";
    if let Some((path, mut file)) = raw {
        file.write_all(json.as_bytes()).map_err(|e| unwritable(path, &e))?;
    }
    let text = if args.json {
        json
    } else {
        let mut text = document.head.text();
        match &document.programs {
            Some(programs) => text.push_str(&report::programs(programs)),
            None => text.push_str(&report::table(&document.rows, pairs, run_ns)),
        }
        text
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write standard output: {e}")))
        }
        _ => Ok(u8::from(failed(&document))),
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, e: &io::Error) -> Failure {
    Failure::Runtime(format!("cannot write {}: {e}", path.display()))
}

/// Exit code 1: a way of tracenet's own failed. What another tool does is its own matter.
fn failed(document: &Document) -> bool {
    let ours = |name: &str| WAYS.iter().any(|way| way.name == name && way.is_ours());
    document.rows.iter().any(|row| row.error.is_some() && ours(row.way))
}

/// What is being measured, on a terminal.
fn progress(what: &str) {
    if io::IsTerminal::is_terminal(&io::stderr()) {
        eprint!("\r\x1b[K{what}");
    }
}
