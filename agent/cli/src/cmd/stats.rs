//! `tracenet stats`: what sar, pidstat and nstat tell, from one look at the counters.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::unistd::{SysconfVar, sysconf};
use tracenet_collectors::process::{Proc, ProcessError};
use tracenet_collectors::sample::{Sample, Sampler};

use crate::failure::Failure;
use crate::stats::catalogue as c;
use crate::stats::file::{Begin, Reader, Writer};
use crate::stats::hours::{Bounds, OfDay};
use crate::stats::nstat::Nstat;
use crate::stats::report::Report;
use crate::stats::view::{Choice, View};
use crate::{signals, sinks};

/// `tracenet stats`
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Seconds between samples; without it, one report of the time since boot.
    #[arg(value_name = "INTERVAL", value_parser = parse_interval, conflicts_with = "from")]
    pub interval: Option<Duration>,
    /// How many reports; without it, until Ctrl-C.
    #[arg(value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// The network, by sar's keywords: DEV, EDEV, SOCK, IP, EIP, ICMP, EICMP, TCP, ETCP, UDP, SOCK6, IP6, EIP6, ICMP6,
    /// EICMP6, UDP6, SOFT, or ALL.
    #[arg(short = 'n', value_name = "KEYWORD", value_delimiter = ',', value_parser = parse_keyword)]
    pub network: Vec<Keyword>,
    /// Time of all processors, or with -p of the processes (this is the default).
    #[arg(short = 'u')]
    pub cpu: bool,
    /// Memory, or with -p faults and memory of the processes.
    #[arg(short = 'r')]
    pub memory: bool,
    /// Run queue and load.
    #[arg(short = 'q')]
    pub load: bool,
    /// Tasks made and context switches, or with -p switches of the processes.
    #[arg(short = 'w')]
    pub switches: bool,
    /// Block devices, or with -p input and output of the processes.
    #[arg(short = 'd')]
    pub disks: bool,
    /// Paging.
    #[arg(short = 'B')]
    pub paging: bool,
    /// Swap space.
    #[arg(short = 'S')]
    pub swap: bool,
    /// Time lost by waiting for processors, disks and memory (/proc/pressure), as sar -q ALL tells it.
    #[arg(long)]
    pub psi: bool,
    /// Processes, as in pidstat: -u, -r, -w and -d are then theirs. Waiting and switches are those of all threads.
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Every counter of the protocols, as nstat prints them: since the namespace was made, or with INTERVAL what they
    /// grew by and the rate.
    #[arg(long)]
    pub nstat: bool,
    /// With --nstat: values since the namespace was made, also with INTERVAL.
    #[arg(short = 'a', requires = "nstat")]
    pub absolute: bool,
    /// With --nstat: zeros too.
    #[arg(short = 'z', requires = "nstat")]
    pub zeros: bool,
    /// One tracenet.stats/1 object for each row, in base units.
    #[arg(long)]
    pub json: bool,
    /// Keep every sample in this file too, for -f: all counters, whatever is shown.
    #[arg(short = 'o', value_name = "FILE", conflicts_with = "from")]
    pub output: Option<PathBuf>,
    /// Show what -o has kept.
    #[arg(short = 'f', value_name = "FILE", id = "from")]
    pub from: Option<PathBuf>,
    /// With -f: from this time of the day on which the file begins.
    #[arg(short = 's', value_name = "HH:MM[:SS]", requires = "from")]
    pub start: Option<OfDay>,
    /// With -f: until this time; one that is not after the start is the next day's.
    #[arg(short = 'e', value_name = "HH:MM[:SS]", requires = "from")]
    pub end: Option<OfDay>,
}

/// A keyword of `-n`.
#[derive(Clone)]
pub enum Keyword {
    One(&'static Report),
    All,
}

impl std::fmt::Debug for Keyword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(report) => report.name,
            Self::All => "ALL",
        })
    }
}

fn parse_keyword(text: &str) -> Result<Keyword, String> {
    match text {
        "ALL" => Ok(Keyword::All),
        _ => c::network(text).map(Keyword::One).ok_or_else(|| {
            let known: Vec<&str> = c::NETWORK.iter().chain([&c::SOFT]).map(|r| r.name).collect();
            format!("expected one of {} or ALL", known.join(", "))
        }),
    }
}

/// Seconds as sar has them; a unit is understood too.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => tracenet_config::parse_duration(text).map_err(|e| e.to_string())?,
    };
    // Below that the reading itself is a good part of the interval.
    if interval < Duration::from_millis(10) { Err("must be at least 10ms".to_owned()) } else { Ok(interval) }
}

/// Shows live samples or those of a file.
pub fn main(args: &StatsArgs) -> Result<u8, Failure> {
    let choice = choice(args);
    let done = match &args.from {
        Some(file) => replay(args, &choice, file),
        None => live(args, &choice),
    };
    match done {
        Ok(code) => Ok(code),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Unread) => Ok(0),
    }
}

/// Why it ends early.
enum Stop {
    Failed(Failure),
    /// The reader went away (`| head`).
    Unread,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The reports in sar's order, those of processes last.
fn choice(args: &StatsArgs) -> Choice {
    let of_tasks = !args.pids.is_empty();
    let asked = |report: &Report| {
        args.network
            .iter()
            .any(|k| matches!(k, Keyword::All) || matches!(k, Keyword::One(r) if r.name == report.name))
    };
    let nothing = args.network.is_empty()
        && !(args.memory
            || args.load
            || args.switches
            || args.disks
            || args.paging
            || args.swap
            || args.psi
            || args.nstat);
    let nothing_of_tasks = of_tasks && !(args.memory || args.switches || args.disks);
    let cpu = args.cpu || nothing || nothing_of_tasks;
    let mut reports: Vec<&'static Report> = Vec::new();
    let mut add = |wanted: bool, report: &'static Report| reports.extend(wanted.then_some(report));
    add(cpu && !of_tasks, &c::CPU);
    add(args.switches && !of_tasks, &c::SWITCHES);
    add(args.paging, &c::PAGING);
    add(args.memory && !of_tasks, &c::MEMORY);
    add(args.swap, &c::SWAP);
    add(args.load, &c::LOAD);
    add(args.disks && !of_tasks, &c::DISKS);
    for report in &c::NETWORK {
        add(asked(report), report);
    }
    add(asked(&c::SOFT), &c::SOFT);
    for report in &c::PRESSURE {
        add(args.psi, report);
    }
    add(cpu && of_tasks, &c::TASK_CPU);
    add(args.memory && of_tasks, &c::TASK_MEMORY);
    add(args.disks && of_tasks, &c::TASK_IO);
    add(args.switches && of_tasks, &c::TASK_SWITCHES);
    let nstat = args.nstat.then_some(Nstat { absolute: args.absolute, zeros: args.zeros });
    Choice { reports, nstat, json: args.json }
}

fn live(args: &StatsArgs, choice: &Choice) -> Result<u8, Stop> {
    let proc = Proc::default();
    for pid in &args.pids {
        proc.process(*pid).map_err(|e| match e {
            ProcessError::NotFound(_) => Failure::NotFound(e.to_string()),
            ProcessError::Denied(_) => Failure::Privilege(e.to_string()),
            ProcessError::Other { .. } => Failure::Runtime(e.to_string()),
        })?;
    }
    let signals = signals::block(false)?;
    let signals =
        SignalFd::new(&signals).map_err(|e| Failure::Runtime(format!("cannot create a signalfd: {e}")))?;
    let begin = origin(args.interval.is_none());
    let mut file = args.output.as_deref().map(|path| Writer::create(path, &begin)).transpose()?;
    let mut view = View::new(choice, begin, io::stdout().is_terminal());
    let mut sampler = Sampler::new(proc, args.pids.iter().copied());
    let mut take = |view: &mut View| -> Result<(), Stop> {
        let sample = sampler.take();
        if let Some(file) = &mut file {
            file.sample(&sample)?;
        }
        let mut text = String::new();
        view.take(sample, &mut text)?;
        print(&text)
    };
    let mut at = Instant::now();
    take(&mut view)?;
    if let Some(interval) = args.interval {
        let mut left = args.count.unwrap_or(u64::MAX);
        while left > 0 {
            at += interval;
            if wait_until(at, &signals)? {
                break;
            }
            take(&mut view)?;
            left -= 1;
        }
    }
    end(view)?;
    Ok(0)
}

/// Waits; true where a signal asked to end.
fn wait_until(at: Instant, signals: &SignalFd) -> Result<bool, Failure> {
    let failed = |e| Failure::Runtime(format!("cannot wait: {e}"));
    loop {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // Rounded up: poll(2) has milliseconds, and waking early would only mean to wait again.
        let ms = left.as_micros().div_ceil(1_000).min(60_000);
        let timeout = PollTimeout::from(u16::try_from(ms).unwrap_or(u16::MAX));
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, timeout).map_err(failed)? > 0 {
            return Ok(true);
        }
    }
}

fn replay(args: &StatsArgs, choice: &Choice, path: &Path) -> Result<u8, Stop> {
    let (mut reader, begin) = Reader::open(path)?;
    let mut view = View::new(choice, begin, io::stdout().is_terminal());
    let mut bounds: Option<Bounds> = None;
    let code = loop {
        let sample = match reader.next() {
            Ok(Some(sample)) => sample,
            Ok(None) => break 0,
            Err(why) => {
                sinks::warn(&why);
                break 1;
            }
        };
        let bounds = bounds.get_or_insert_with(|| Bounds::new(sample.wall, args.start, args.end));
        if bounds.contain(sample.wall) {
            let mut text = String::new();
            view.take(chosen(sample, &args.pids), &mut text)?;
            print(&text)?;
        }
    };
    end(view)?;
    Ok(code)
}

/// The file may have more processes than are asked for.
fn chosen(mut sample: Sample, pids: &[u32]) -> Sample {
    sample.tasks.retain(|task| pids.contains(&task.pid));
    sample
}

fn end(view: View) -> Result<(), Stop> {
    let mut text = String::new();
    view.finish(&mut text);
    print(&text)
}

fn print(text: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Stop::Unread),
        Err(e) => Err(Failure::Runtime(format!("cannot write standard output: {e}")).into()),
    }
}

fn origin(since_boot: bool) -> Begin {
    let uname = nix::sys::utsname::uname().ok();
    let text = |f: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        uname.as_ref().map_or_else(|| "?".to_owned(), |u| f(u).to_string_lossy().into_owned())
    };
    let cpus = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().and_then(|n| u32::try_from(n).ok());
    Begin {
        kernel: text(|u| u.release()),
        host: text(|u| u.nodename()),
        machine: text(|u| u.machine()),
        cpus: cpus.unwrap_or(1),
        since_boot,
    }
}
