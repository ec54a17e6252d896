//! Which syscalls to record.

use super::{MAX_NR, table};

/// Bitmaps over syscall numbers: bit `nr % 64` of word `nr / 64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// Calls to record.
    pub all: [u64; 8],
    /// Of those: calls to record only where the descriptor argument is a socket.
    pub socket_only: [u64; 8],
}

/// An expression that names no selection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Not a syscall of this architecture.
    #[error("unknown system call '{name}'{}", did_you_mean(suggestion))]
    UnknownName {
        /// What was given.
        name: String,
        /// The name nearest to it, where one is near.
        suggestion: Option<&'static str>,
    },
    /// Not a class of syscalls.
    #[error("unknown system call class '%{name}': known are {known}", known = KNOWN_CLASSES)]
    UnknownClass {
        /// What was given, without the percent sign.
        name: String,
    },
    /// An empty element of the list.
    #[error("empty element in the list of system calls '{expr}'")]
    Empty {
        /// The whole expression.
        expr: String,
    },
}

fn did_you_mean(suggestion: &Option<&'static str>) -> String {
    suggestion.map_or(String::new(), |s| format!(" (did you mean '{s}'?)"))
}

const KNOWN_CLASSES: &str =
    "%all, %file, %desc, %network (%net), %process, %signal, %ipc, %memory, %creds, %clock";

/// The network family (strace's `%network`), and the calls that make and end processes.
const ALWAYS: &[&str] = &[
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    "epoll_pwait2", "fork", "vfork", "clone", "clone3", "execve", "execveat", "exit", "exit_group", "wait4", "waitid",
    "kill", "tkill", "tgkill",
];

/// Calls that are part of the story when their descriptor is a socket.
const ON_SOCKETS: &[&str] = &[
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "sendfile",
    "splice", "tee", "vmsplice", "close", "dup", "dup2", "dup3", "fcntl", "ioctl",
];

const NETWORK: &[&str] = &[
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "getsockname", "getpeername", "sendto",
    "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown", "setsockopt", "getsockopt",
];

fn set(map: &mut [u64; 8], nr: u32) {
    if let Some(word) = map.get_mut((nr / 64) as usize) {
        *word |= 1 << (nr % 64);
    }
}

fn set_names(map: &mut [u64; 8], names: &[&str]) {
    for nr in names.iter().filter_map(|n| table::number(n)) {
        set(map, nr);
    }
}

impl Selection {
    /// Nothing.
    pub const NONE: Self = Self { all: [0; 8], socket_only: [0; 8] };

    /// What tells the story of a networked process when nothing else was asked for: the network family, readiness and
    /// process calls always, reads, writes and descriptor calls on sockets only.
    pub fn default_story() -> Self {
        let mut s = Self::NONE;
        for names in [NETWORK, ALWAYS, ON_SOCKETS] {
            set_names(&mut s.all, names);
        }
        set_names(&mut s.socket_only, ON_SOCKETS);
        s
    }

    /// True where calls of this number are recorded, on whatever descriptor.
    pub fn contains(&self, nr: u32) -> bool {
        nr < MAX_NR && self.all[(nr / 64) as usize] >> (nr % 64) & 1 == 1
    }

    /// Reads strace's `-e trace=` language.
    pub fn parse(expr: &str) -> Result<Self, SelectionError> {
        let mut s = Self::NONE;
        for name in expr.split(',') {
            match table::number(name) {
                Some(nr) => set(&mut s.all, nr),
                None => return Err(SelectionError::UnknownName { name: name.into(), suggestion: None }),
            }
        }
        Ok(s)
    }
}
