//! Syscalls by family: what their arguments are, and the printing of those that are like no others.

mod descriptor;
mod event;
mod file;
pub(super) mod info;
mod io;
mod ioctl;
mod ipc;
mod memory;
mod message;
mod network;
mod process;
mod ready;
mod signal;
mod stat;
mod time;

use super::shape::Shape;

/// All of them.
pub(super) const FAMILIES: &[&[Shape]] = &[
    file::CALLS,
    stat::CALLS,
    io::CALLS,
    descriptor::CALLS,
    memory::CALLS,
    process::CALLS,
    info::CALLS,
    signal::CALLS,
    time::CALLS,
    ready::CALLS,
    event::CALLS,
    network::CALLS,
    ioctl::CALLS,
    ipc::CALLS,
];
