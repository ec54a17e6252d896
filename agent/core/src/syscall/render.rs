//! A recorded syscall as strace would print it.

use std::fmt::Write;

use super::call::Call;
use super::shape::{Ret, shape};
use super::{errno, text};
use crate::event::SyscallEvent;
use crate::time::MonoNs;

/// Which strings are printed in hexadecimal, every byte of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HexStrings {
    /// None.
    #[default]
    Never,
    /// Those with bytes outside ASCII (`-x`).
    NonAscii,
    /// All (`-xx`).
    Always,
}

/// What is said of a descriptor beside its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum FdPaths {
    /// Nothing.
    #[default]
    None,
    /// Its path, or what stands for one (`-y`).
    Path,
    /// Protocol and addresses of sockets, numbers of devices too (`-yy`).
    Details,
}

/// Numbers and names of network interfaces, kept for the life of the program.
pub type Interfaces = &'static [(u32, Box<str>)];

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Bytes of a string, and elements of an array, to print at most (`-s`). Paths are printed as far as they were read.
    pub string_limit: u32,
    /// Append the time spent in the call (`-T`): see [`render_timed`].
    pub durations: bool,
    /// Strings in hexadecimal (`-x`, `-xx`).
    pub hex_strings: HexStrings,
    /// Structures in full, execve's environment as strings (`-v`); what was read depends on [`super::PlanOptions`].
    pub verbose: bool,
    /// What descriptors are (`-y`, `-yy`); what was read depends on [`super::PlanOptions`].
    pub fd_paths: FdPaths,
    /// Names of the interfaces that addresses and messages name by number.
    pub interfaces: Interfaces,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            string_limit: 32,
            durations: false,
            hex_strings: HexStrings::Never,
            verbose: false,
            fd_paths: FdPaths::None,
            interfaces: &[],
        }
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
/// What the event didn't capture is printed as its address. Whatever the bytes are, nothing but printable ASCII is
/// written, and nothing is allocated beyond `out`.
pub fn render(ev: &SyscallEvent, opts: &RenderOptions, out: &mut String) -> Layout {
    let start = out.len();
    let Some(shape) = shape(ev.nr) else {
        let _ = write!(out, "syscall_{:#x}(", ev.nr);
        for (i, arg) in ev.args.iter().enumerate() {
            out.push_str(if i == 0 { "" } else { ", " });
            text::hex(out, *arg);
        }
        let at_exit = out.len() - start;
        out.push(')');
        let result = out.len() - start;
        if !failure(ev, out) {
            let _ = write!(out, " = {}", ev.ret.unwrap_or(0));
        }
        return Layout { at_exit, result };
    };
    out.push_str(shape.name);
    out.push('(');
    let mut call = Call::new(ev, shape, opts, out);
    let at_exit = call.args() - start;
    call.out.push(')');
    let layout = Layout { at_exit, result: call.out.len() - start };
    if failure(ev, call.out) {
        return layout;
    }
    let ret = ev.ret.unwrap_or(0);
    call.out.push_str(" = ");
    match shape.ret {
        Ret::Dec => _ = write!(call.out, "{ret}"),
        Ret::Hex => _ = write!(call.out, "{ret:#x}"),
        Ret::Fd => call.fd_result(ret as i32),
        Ret::With(print) => print(&mut call, ret),
    }
    if let Some(tail) = shape.tail {
        tail(&mut call);
    }
    layout
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

/// ` = -1 EAGAIN (Resource temporarily unavailable)`, ` = ?`; false, and nothing written, for a success.
fn failure(ev: &SyscallEvent, out: &mut String) -> bool {
    let Some(ret) = ev.ret else {
        out.push_str(" = ?");
        return true;
    };
    if !(-4095..0).contains(&ret) {
        return false;
    }
    let n = (-ret) as i32;
    let _ = match (errno::errno_name(n), errno::errno_text(n), errno::restart(n)) {
        (Some(name), Some(text), _) => write!(out, " = -1 {name} ({text})"),
        (_, _, Some((name, text))) => write!(out, " = ? {name} ({text})"),
        _ => write!(out, " = -1 (errno {n})"),
    };
    true
}
