//! `tracenet stats`: what sar, pidstat and nstat tell, from one look at the counters.

mod args;

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::unistd::{SysconfVar, sysconf};
use tracenet_collectors::process::{Proc, ProcessError};
use tracenet_collectors::sample::{Sample, Sampler};

use crate::failure::Failure;
use crate::stats::file::{Begin, Reader, Writer};
use crate::stats::hours::Bounds;
use crate::stats::view::{Choice, View};
use crate::{signals, sinks};

pub use args::StatsArgs;

/// Shows live samples or those of a file.
pub fn main(args: &StatsArgs) -> Result<u8, Failure> {
    let choice = args.choice();
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
    let begin = origin(args.every().is_none());
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
    if let Some(interval) = args.every() {
        let mut left = args.count.unwrap_or(u64::MAX);
        while left > 0 {
            // After a stop (Ctrl-Z) the samples that were missed are left out.
            at = (at + interval).max(Instant::now());
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
    loop {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // Rounded up: poll(2) has milliseconds, and waking early would only mean to wait again.
        let ms = left.as_micros().div_ceil(1_000).min(60_000);
        let timeout = PollTimeout::from(u16::try_from(ms).unwrap_or(u16::MAX));
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            // A process that is continued after a stop wakes up here.
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(Failure::Runtime(format!("cannot wait: {e}"))),
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
