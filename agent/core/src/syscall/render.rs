//! A recorded syscall as strace would print it.

use super::table;
use crate::event::SyscallEvent;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Bytes of a string to print at most (`-s`).
    pub string_limit: u32,
    /// Append the time spent in the call, `<seconds.microseconds>` (`-T`).
    pub durations: bool,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { string_limit: 32, durations: false }
    }
}

/// Appends the line (without a newline) of `ev` to `out`.
pub fn render(ev: &SyscallEvent, opts: &RenderOptions, out: &mut String) {
    let _ = opts;
    out.push_str(table::name(ev.nr).unwrap_or("syscall"));
}
