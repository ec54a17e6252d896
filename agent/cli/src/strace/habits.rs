//! What strace's flags ask for beyond the settings that a file can hold.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use tracenet_core::event::{SignalInfo, SyscallEvent};
use tracenet_core::fact::FactKind;
use tracenet_core::syscall;

use super::Counting;
use crate::args::{LineArgs, TraceArgs};
use crate::failure::Failure;

/// Column in which results begin (strace's `-a`).
const COLUMN: usize = 40;

/// Highest number of a signal (signal(7)).
const SIGNALS: u32 = 64;

/// Which calls and signals are told, and how.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Nothing but strace's lines, in this style; `None`: the story.
    pub style: Option<Style>,
    /// Calls are counted in the kernel.
    pub counting: Option<Counting>,
    statuses: Statuses,
    /// Bit `n` of signal `n`.
    signals: u128,
    /// Only calls that have to do with one of these, where there are any.
    paths: Vec<Vec<u8>>,
}

impl Default for Habits {
    fn default() -> Self {
        Self { style: None, counting: None, statuses: Statuses::ALL, signals: u128::MAX, paths: Vec::new() }
    }
}

/// How strace's lines look and where they go.
#[derive(Debug, Clone)]
pub struct Style {
    /// Time of each line.
    pub stamps: Stamps,
    /// Time since the line before (`-r`).
    pub relative: bool,
    /// Column of the equals sign (`-a`).
    pub column: usize,
    /// Children are followed: lines in a file begin with the thread.
    pub follow: bool,
    /// Lines go to a file (`-o`), not to standard error.
    pub to_file: bool,
    /// A file for each thread: this name, a dot and the thread (`-ff`).
    pub split: Option<PathBuf>,
    /// Files are added to (`-A`).
    pub append: bool,
    /// Not told (`-q`): 1 attaching, 2 the ends of processes too.
    pub quiet: u8,
}

/// `-t`, `-tt`, `-ttt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamps {
    /// None.
    #[default]
    None,
    /// `14:44:42`
    Seconds,
    /// `14:44:42.851203`
    Micros,
    /// `1796026466.489423`
    Epoch,
}

/// How a call may have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Statuses {
    successful: bool,
    failed: bool,
    unfinished: bool,
}

impl Statuses {
    const ALL: Self = Self { successful: true, failed: true, unfinished: true };
    const NONE: Self = Self { successful: false, failed: false, unfinished: false };

    fn take(&mut self, other: Self, with: bool) {
        for (mine, theirs) in [
            (&mut self.successful, other.successful),
            (&mut self.failed, other.failed),
            (&mut self.unfinished, other.unfinished),
        ] {
            if theirs {
                *mine = with;
            }
        }
    }

    fn has(self, call: &SyscallEvent) -> bool {
        match call.ret {
            None => self.unfinished,
            Some(-4095..=-1) => self.failed,
            Some(_) => self.successful,
        }
    }
}

impl Habits {
    /// From the flags of `attach` and `run`.
    pub fn of(args: &TraceArgs) -> Result<Self, Failure> {
        if let Some((flag, why)) = args.refused.given() {
            return Err(Failure::Usage(format!("{flag} makes no sense here: {why}")));
        }
        let mut habits = Self::of_lines(&args.lines)?;
        for e in &args.expressions {
            habits.expression(e)?;
        }
        let split = args.follow >= 2;
        if (args.lines.strace || split) && args.json {
            return Err(Failure::Usage("--json and strace's lines exclude each other: leave one out".into()));
        }
        if split && args.output.is_none() {
            return Err(Failure::Usage("-ff needs -o FILE: each thread's lines go to FILE.TID".into()));
        }
        if split && habits.style.is_none() {
            habits.style = Some(style_of(&args.lines));
        }
        if args.count || args.count_too {
            let lines = args.count_too;
            let sort = args.sort.unwrap_or_default();
            habits.counting = Some(Counting { sort, by_connection: args.by_connection, lines });
            if habits.style.is_none() {
                habits.style = Some(style_of(&args.lines));
            }
        } else if args.sort.is_some() || args.by_connection {
            return Err(Failure::Usage("-S and --by-connection shape the table of -c or -C: add one".into()));
        }
        if let Some(style) = &mut habits.style {
            style.follow = args.follow > 0;
            style.to_file = args.output.is_some();
            style.split = args.output.clone().filter(|_| split);
            style.append = args.append;
            style.quiet = args.quiet;
        }
        Ok(habits)
    }

    /// From the flags that shape lines.
    pub fn of_lines(args: &LineArgs) -> Result<Self, Failure> {
        let mut habits = Self::default();
        if args.successful || args.failed {
            habits.statuses = Statuses { successful: args.successful, failed: args.failed, ..Statuses::NONE };
        }
        habits.paths = args.paths.iter().flat_map(|p| both_names(p)).collect();
        if args.strace {
            habits.style = Some(style_of(args));
        }
        Ok(habits)
    }

    /// An `-e` that sets no traced calls.
    fn expression(&mut self, text: &str) -> Result<(), Failure> {
        let Some((kind, set)) = text.split_once('=') else { return Ok(()) };
        let refuse = |why: &str| Err(Failure::Usage(format!("-e {kind}= {why}")));
        match kind {
            "trace" | "t" => Ok(()),
            "signal" | "signals" | "s" => {
                self.signals = signals(set)?;
                Ok(())
            }
            "status" => {
                self.statuses = statuses(set)?;
                Ok(())
            }
            "inject" | "fault" => refuse("makes no sense here: tracenet watches and changes nothing"),
            "kvm" => refuse("makes no sense here: tracenet doesn't stop at exits of a virtual machine"),
            "abbrev" | "verbose" | "raw" | "read" | "write" | "decode-fd" | "decode-fds" | "decode-pids"
            | "quiet" | "silent" | "silence" | "q" | "namespace" => {
                refuse("is not supported: see -v, -y, -x and -q for all calls at once")
            }
            _ => refuse("is not known: -e takes trace=SET, signal=SET or status=SET"),
        }
    }

    /// True where the fact has a line. Facts that are neither calls nor signals have.
    pub fn take(&self, kind: &FactKind) -> bool {
        if self.counting.is_some_and(|c| !c.lines) {
            return matches!(kind, FactKind::Lost { .. });
        }
        match kind {
            FactKind::Syscall(call) => self.statuses.has(call) && self.has_path(call),
            FactKind::Signal { info, ignored } => self.has_signal(info) && (self.style.is_some() || !ignored),
            // How a call ends may decide whether it is told: then nothing of it can be before.
            FactKind::Sleeps(call) => {
                self.style.is_some() && self.statuses == Statuses::ALL && self.has_path(call)
            }
            FactKind::ThreadExited { .. } => self.style.is_some(),
            _ => true,
        }
    }

    /// What descriptors are has to be read to tell.
    pub fn need_fd_paths(&self) -> bool {
        !self.paths.is_empty()
    }

    fn has_path(&self, call: &SyscallEvent) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|p| syscall::touches(call, p))
    }

    fn has_signal(&self, info: &SignalInfo) -> bool {
        info.number > SIGNALS || self.signals >> info.number & 1 == 1
    }
}

/// As far as the flags that shape lines say.
fn style_of(args: &LineArgs) -> Style {
    Style {
        stamps: match args.stamps {
            0 => Stamps::None,
            1 => Stamps::Seconds,
            2 => Stamps::Micros,
            _ => Stamps::Epoch,
        },
        relative: args.relative,
        column: args.column.map_or(COLUMN, usize::from),
        follow: false,
        to_file: false,
        split: None,
        append: false,
        quiet: 0,
    }
}

/// A path as it was given, and what it leads to.
fn both_names(path: &Path) -> impl Iterator<Item = Vec<u8>> {
    let bytes = |p: PathBuf| p.into_os_string().into_vec();
    let led = path.canonicalize().ok().filter(|p| p != path);
    [Some(path.to_owned()), led].into_iter().flatten().map(bytes)
}

/// strace's sets: names with commas between them, `all`, `none`, and all others with a `!` in front.
fn set_of(text: &str, mut add: impl FnMut(&str) -> Result<(), Failure>) -> Result<bool, Failure> {
    let (inverted, list) = text.strip_prefix('!').map_or((false, text), |list| (true, list));
    for name in list.split(',').map(str::trim) {
        match name {
            "none" => {}
            name => add(name)?,
        }
    }
    Ok(inverted)
}

fn statuses(text: &str) -> Result<Statuses, Failure> {
    let mut named = Statuses::NONE;
    let inverted = set_of(text, |name| {
        let one = match name {
            "all" => Statuses::ALL,
            "successful" => Statuses { successful: true, ..Statuses::NONE },
            "failed" => Statuses { failed: true, ..Statuses::NONE },
            "unfinished" => Statuses { unfinished: true, ..Statuses::NONE },
            "unavailable" | "detached" => Statuses::NONE,
            other => {
                return Err(Failure::Usage(format!(
                    "-e status={}: known are successful, failed, unfinished, unavailable, detached",
                    other.escape_debug()
                )));
            }
        };
        named.take(one, true);
        Ok(())
    })?;
    let mut all = Statuses::ALL;
    all.take(named, false);
    Ok(if inverted { all } else { named })
}

fn signals(text: &str) -> Result<u128, Failure> {
    let mut bits = 0u128;
    let inverted = set_of(text, |name| {
        if name == "all" {
            bits = u128::MAX;
            return Ok(());
        }
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("SIG").unwrap_or(&upper);
        let found = (1..=SIGNALS)
            .find(|n| syscall::signal_name(*n).is_some_and(|s| s.strip_prefix("SIG") == Some(short)))
            .or_else(|| name.parse().ok().filter(|n| (1..=SIGNALS).contains(n)));
        match found {
            Some(n) => bits |= 1 << n,
            None => {
                return Err(Failure::Usage(format!(
                    "-e signal={}: no such signal; names are those of `kill -l`",
                    name.escape_debug()
                )));
            }
        }
        Ok(())
    })?;
    Ok(if inverted { !bits } else { bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_signals_and_statuses_are_straces() {
        assert_eq!(signals("term,SIGKILL,!int").unwrap_err().code(), 2);
        assert_eq!(signals("term,SIGKILL").unwrap(), 1 << 15 | 1 << 9);
        assert_eq!(signals("!sigterm").unwrap(), !(1 << 15));
        assert_eq!((signals("none").unwrap(), signals("!all").unwrap()), (0, 0));
        assert_eq!(statuses("failed").unwrap(), Statuses { failed: true, ..Statuses::NONE });
        assert_eq!(statuses("!failed").unwrap(), Statuses { failed: false, ..Statuses::ALL });
        assert_eq!(statuses("bad").unwrap_err().code(), 2);
    }

    #[test]
    fn flags_that_change_the_traced_are_refused_in_a_line() {
        let message = |e: &str| Habits::default().expression(e).unwrap_err().to_string();
        assert!(message("inject=all:error=EIO").contains("tracenet watches"));
        assert!(message("frobnicate=1").contains("not known"));
        assert!(Habits::default().expression("trace=open").is_ok());
    }
}
