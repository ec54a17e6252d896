//! Which columns each report has, in the order in which sar(1) prints the reports.

mod host;
mod network;
mod tasks;

use super::report::Report;

/// `-u`
pub use host::CPU;
/// `-B`
pub use host::PAGING;
/// `-w`, `-q`, `-d`, `--psi`
pub use host::{DISKS, LOAD, PRESSURE, SWITCHES};
/// `-r` and `-S`
pub use host::{MEMORY, SWAP};
/// `-n`
pub use network::{NETWORK, SOFT};
/// `-p` with `-u -r -d -w`
pub use tasks::{TASK_CPU, TASK_IO, TASK_MEMORY, TASK_SWITCHES};

/// The report of a keyword of `-n`.
pub fn network(keyword: &str) -> Option<&'static Report> {
    NETWORK.iter().chain([&SOFT]).find(|r| r.name == keyword)
}
