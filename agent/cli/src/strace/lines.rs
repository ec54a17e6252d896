//! Facts as strace's lines: a call begins a line, its return ends it, and what comes between breaks it in two.

use std::fmt::Write as _;

use rustc_hash::FxHashMap;
use tracenet_core::event::{SignalInfo, SyscallEvent};
use tracenet_core::fact::{Fact, FactKind};
use tracenet_core::syscall::{self, RenderOptions};
use tracenet_core::time::{ClockOffset, MonoNs};

use super::{Stamps, Style};
use crate::stamp::Stamp;
use crate::units::Count;

/// Threads whose lines may be broken in two; calls of further ones are told when they are over.
const MAX_THREADS: usize = 65_536;

/// Ignored signals that wait for the end of their receiver's call.
const MAX_HELD: usize = 64;

/// A thread that was heard of.
#[derive(Default)]
struct Thread {
    /// It is in a call whose line was begun: so many bytes of it.
    begun: Option<usize>,
    /// It sleeps in a call.
    asleep: bool,
    held: Vec<SignalInfo>,
}

/// The beginning of a line.
struct Pending {
    tid: u32,
    entered: MonoNs,
    entry: String,
}

/// How long a call may take before its beginning is shown without its end.
const SHOWN_AFTER_NS: u64 = 50_000_000;

/// Makes lines.
pub struct Lines {
    style: Style,
    render: RenderOptions,
    stamp: Stamp,
    threads: FxHashMap<u32, Thread>,
    /// Whose line has no end yet.
    open: Option<u32>,
    /// A line that would be begun, if another's had to come between, or it took long.
    pending: Option<Pending>,
    before: Option<MonoNs>,
    call: String,
    lines: u64,
}

impl Lines {
    /// None yet.
    pub fn new(style: Style, render: RenderOptions) -> Self {
        Self {
            style,
            render,
            stamp: Stamp::default(),
            threads: FxHashMap::default(),
            open: None,
            pending: None,
            before: None,
            call: String::new(),
            lines: 0,
        }
    }

    /// The clocks' distance from here on.
    pub fn set_clock(&mut self, clock: ClockOffset) {
        self.stamp.set_clock(clock);
    }

    /// A file for each thread.
    pub fn is_split(&self) -> bool {
        self.style.split.is_some()
    }

    /// Lines that ended since the last call of this.
    pub fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.lines)
    }

    /// Appends what is to be printed of `fact`; it may be part of a line.
    pub fn tell(&mut self, fact: &Fact, out: &mut String) {
        let tid = fact.who.as_ref().map_or(0, |w| w.tid);
        match &fact.kind {
            FactKind::Sleeps(call) => self.sleeps(tid, call, out),
            FactKind::Syscall(call) => self.returned(tid, call, fact.t, out),
            FactKind::Signal { info, ignored } => {
                let Some(thread) = self.thread(tid) else { return };
                // What is ignored doesn't wake the thread from its call.
                if *ignored && thread.asleep && thread.held.len() < MAX_HELD {
                    thread.held.push(*info);
                } else {
                    self.signal(tid, info, fact.t, out);
                }
            }
            FactKind::ThreadExited { code } => self.exited(tid, *code, fact.t, out),
            FactKind::Forked { child, followed: true, .. } => {
                self.thread(child.tgid);
                if self.style.quiet == 0 && !self.style.to_file {
                    self.say(&format!("Process {} attached", child.tgid), out);
                }
            }
            FactKind::Lost { what, count, .. } => {
                self.say(&format!("{} lost here ({what})", Count(*count, "event")), out);
            }
            _ => {}
        }
    }

    /// The end: a line that was begun is broken off, as when strace detaches.
    pub fn finish(&mut self, out: &mut String) {
        self.show_pending(out);
        if self.open.take().is_some() {
            out.push_str(" <detached ...>\n");
            self.lines += 1;
        }
    }

    fn thread(&mut self, tid: u32) -> Option<&mut Thread> {
        if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&tid) {
            return None;
        }
        Some(self.threads.entry(tid).or_default())
    }

    fn sleeps(&mut self, tid: u32, call: &SyscallEvent, out: &mut String) {
        // In a file of its own a thread's lines are never broken.
        if self.is_split() || self.thread(tid).is_none_or(|t| t.asleep) {
            return;
        }
        self.break_off(out);
        let mut entry = String::new();
        let layout = syscall::render(call, &self.render, &mut entry);
        entry.truncate(layout.at_exit);
        self.pending = Some(Pending { tid, entered: call.entered, entry });
        if let Some(thread) = self.thread(tid) {
            thread.asleep = true;
        }
    }

    /// Shows what is under way for long. `now`: all that happened before was told.
    pub fn settle(&mut self, now: MonoNs, out: &mut String) {
        if self.pending.as_ref().is_some_and(|p| now.since(p.entered).0 >= SHOWN_AFTER_NS) {
            self.show_pending(out);
        }
    }

    fn show_pending(&mut self, out: &mut String) {
        let Some(Pending { tid, entered, entry }) = self.pending.take() else { return };
        let start = self.start(tid, entered, out);
        out.push_str(&entry);
        self.open = Some(tid);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.begun = Some(out.len() - start);
        }
    }

    fn returned(&mut self, tid: u32, call: &SyscallEvent, t: MonoNs, out: &mut String) {
        let mut text = std::mem::take(&mut self.call);
        text.clear();
        let layout = syscall::render_timed(call, t, &self.render, &mut text);
        let (entry, rest) = text.split_at_checked(layout.at_exit).unwrap_or((&text, ""));
        let (args, result) =
            rest.split_at_checked(layout.result.saturating_sub(layout.at_exit)).unwrap_or(("", rest));
        if self.pending.as_ref().is_some_and(|p| p.tid == tid) {
            self.pending = None;
        }
        let begun = self.thread(tid).and_then(|thread| {
            thread.asleep = false;
            thread.begun.take()
        });
        let column = match begun {
            Some(column) if self.open == Some(tid) => {
                self.open = None;
                column
            }
            Some(_) => {
                let start = self.begin(tid, t, out);
                let _ = write!(out, "<... {} resumed>", syscall::name(call.nr).unwrap_or("syscall"));
                out.len() - start
            }
            None => {
                let start = self.begin(tid, call.entered, out);
                out.push_str(entry);
                out.len() - start
            }
        };
        let before = out.len();
        // It ended with its thread.
        let killed = call.ret.is_none() && !matches!(syscall::name(call.nr), Some("exit" | "exit_group"));
        out.push_str(if killed { " <unfinished ...>)" } else { args });
        let column = column + out.len() - before;
        // The result begins with a space.
        for _ in column + 1..self.style.column {
            out.push(' ');
        }
        out.push_str(result);
        self.end(out);
        self.call = text;
        let held = self.threads.get_mut(&tid).map(|thread| std::mem::take(&mut thread.held));
        for info in held.unwrap_or_default() {
            self.signal(tid, &info, t, out);
        }
    }

    fn signal(&mut self, tid: u32, info: &SignalInfo, t: MonoNs, out: &mut String) {
        // Nobody is told of it as a signal: it ends the process.
        if info.number == nix::libc::SIGKILL as u32 {
            return;
        }
        self.begin(tid, t, out);
        out.push_str("--- ");
        syscall::render_signal(info, out);
        out.push_str(" ---");
        self.end(out);
    }

    fn exited(&mut self, tid: u32, code: u32, t: MonoNs, out: &mut String) {
        if self.style.quiet < 2 {
            self.begin(tid, t, out);
            let _ = match (code & 0x7f, code >> 8 & 0xff) {
                (0, status) => write!(out, "+++ exited with {status} +++"),
                (signal, _) => {
                    let core = if code & 0x80 != 0 { " (core dumped)" } else { "" };
                    match syscall::signal_name(signal) {
                        Some(name) => write!(out, "+++ killed by {name}{core} +++"),
                        None => write!(out, "+++ killed by {signal}{core} +++"),
                    }
                }
            };
            self.end(out);
        }
        self.threads.remove(&tid);
    }

    /// A word of ours between the lines.
    fn say(&mut self, text: &str, out: &mut String) {
        self.break_off(out);
        let _ = write!(out, "tracenet: {text}");
        self.end(out);
    }

    /// Breaks off what was begun on the same output.
    fn break_off(&mut self, out: &mut String) {
        self.show_pending(out);
        if self.open.take().is_some() {
            out.push_str(" <unfinished ...>\n");
            self.lines += 1;
        }
    }

    /// Begins a line and returns where, in bytes.
    fn begin(&mut self, tid: u32, t: MonoNs, out: &mut String) -> usize {
        self.break_off(out);
        self.start(tid, t, out)
    }

    /// Writes what stands before a line.
    fn start(&mut self, tid: u32, t: MonoNs, out: &mut String) -> usize {
        self.thread(tid);
        let start = out.len();
        if self.is_split() {
        } else if self.style.to_file {
            if self.style.follow || self.threads.len() > 1 {
                let _ = write!(out, "{tid:<5} ");
            }
        } else if self.threads.len() > 1 {
            let _ = write!(out, "[pid {tid:>5}] ");
        }
        self.stamp.write_as(self.style.stamps, t, out);
        if self.style.relative {
            let since = self.before.map_or(0, |before| t.since(before).0);
            let (open, close) = if self.style.stamps == Stamps::None { ("", " ") } else { ("(+", ") ") };
            let _ =
                write!(out, "{open}{:>6}.{:06}{close}", since / 1_000_000_000, since % 1_000_000_000 / 1_000);
        }
        self.before = Some(t);
        start
    }

    fn end(&mut self, out: &mut String) {
        out.push('\n');
        self.lines += 1;
    }
}
