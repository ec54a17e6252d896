//! A recorded syscall as strace would print it.

use std::fmt::Write;

use super::args::Call;
use super::{errno, table, text};
use crate::event::SyscallEvent;
use crate::time::MonoNs;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Bytes of a string to print at most (`-s`). Paths are printed as far as they were read.
    pub string_limit: u32,
    /// Append the time spent in the call (`-T`): see [`render_timed`].
    pub durations: bool,
    /// Print strings with bytes outside ASCII wholly in hexadecimal (`-x`).
    pub hex_strings: bool,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { string_limit: 32, durations: false, hex_strings: false }
    }
}

/// Places in a line, in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What stands before it strace prints at the entry of the call.
    pub at_exit: usize,
    /// The space before the equals sign.
    pub result: usize,
}

/// Appends `ev` to `out` as strace 6.1 prints it, without column padding and newline.
///
/// What the event didn't capture is printed as its address; what strace reads at the entry of a call (the length before
/// `=>`, the time to wait that the kernel overwrites) is left out, because captures are of the exit. Whatever the bytes
/// are, nothing but printable ASCII is written, and nothing is allocated beyond `out`.
pub fn render(ev: &SyscallEvent, opts: &RenderOptions, out: &mut String) -> Layout {
    let start = out.len();
    let Some((_, name, signature)) = table::row(ev.nr) else {
        let _ = write!(out, "syscall_{:#x}(", ev.nr);
        for (i, arg) in ev.args.iter().enumerate() {
            out.push_str(if i == 0 { "" } else { ", " });
            text::hex(out, *arg);
        }
        let at_exit = out.len() - start;
        out.push(')');
        let result_at = out.len() - start;
        result(ev, "", out);
        return Layout { at_exit, result: result_at };
    };
    let call = Call::new(ev, name, signature, opts);
    out.push_str(name);
    out.push('(');
    let at_exit = call.args(out) - start;
    out.push(')');
    let result_at = out.len() - start;
    result(ev, name, out);
    call.tail(out);
    Layout { at_exit, result: result_at }
}

/// As [`render`], and where the options ask for durations, the time from the entry to `returned` behind it:
/// ` <0.000037>`, in seconds.
pub fn render_timed(ev: &SyscallEvent, returned: MonoNs, opts: &RenderOptions, out: &mut String) -> Layout {
    let layout = render(ev, opts, out);
    if opts.durations && ev.ret.is_some() {
        let took = returned.since(ev.entered).0;
        let _ = write!(out, " <{}.{:06}>", took / 1_000_000_000, took % 1_000_000_000 / 1000);
    }
    layout
}

/// ` = 3`, ` = -1 EAGAIN (Resource temporarily unavailable)`, ` = ?`.
fn result(ev: &SyscallEvent, name: &str, out: &mut String) {
    let Some(ret) = ev.ret else {
        out.push_str(" = ?");
        return;
    };
    let _ = match ret {
        -4095..=-1 => {
            let n = (-ret) as i32;
            match (errno::errno_name(n), errno::errno_text(n), errno::restart(n)) {
                (Some(name), Some(text), _) => write!(out, " = -1 {name} ({text})"),
                (_, _, Some((name, text))) => write!(out, " = ? {name} ({text})"),
                _ => write!(out, " = -1 (errno {n})"),
            }
        }
        _ => match name {
            "mmap" | "brk" | "mremap" | "shmat" => write!(out, " = {ret:#x}"),
            "fcntl" if ret != 0 && matches!(ev.args[1], 1 | 3 | 1025) => write!(out, " = {ret:#x}"),
            _ => write!(out, " = {ret}"),
        },
    };
}
