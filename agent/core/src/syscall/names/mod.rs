//! Names of the constants of the kernel's user-space interface (`include/uapi`), by family.

pub(super) mod file;
pub(super) mod ioctl;
pub(super) mod link;
pub(super) mod memory;
pub(super) mod net;
pub(super) mod netlink;
pub(super) mod process;
pub(super) mod ready;
pub(super) mod signal;
pub(super) mod sockopt;
pub(super) mod time;
pub(super) mod tty;
