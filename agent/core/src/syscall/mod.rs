//! Syscalls: numbers, names, what to read of their arguments, and how strace would print them.
//!
//! Of each call one description ([`shape`]) says what its arguments are: what is read of them and how they are printed
//! both follow from it. Three users: the BPF loader asks [`plan`] what to read of a call's memory, the command line asks
//! [`Selection`] which calls to record, and the printer asks [`render`] for the line.

mod call;
mod calls;
mod errno;
mod fd;
mod names;
mod netlink;
mod plan;
mod render;
mod select;
mod shape;
mod siginfo;
mod sockaddr;
mod sockopt;
mod table;
#[cfg(target_arch = "aarch64")]
mod table_aarch64;
#[cfg(target_arch = "x86_64")]
mod table_x86_64;
#[cfg(test)]
mod tests;
mod text;
mod touch;

pub use errno::{errno_name, errno_text};
pub use plan::{CAPTURES_MAX, CaptureKind, CaptureSpec, MAX_NR, Plan, PlanOptions, plan};
pub use render::{FdPaths, HexStrings, Interfaces, Layout, RenderOptions, render, render_timed};
pub use select::{Selection, SelectionError};
pub use siginfo::{render_signal, signal_name};
pub use table::{name, number};
pub use touch::touches;
