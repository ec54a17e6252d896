//! Which syscalls to record: strace's `-e trace=` language.

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
    #[error("unknown system call '{}'{}", name.escape_debug(), did_you_mean(*suggestion))]
    UnknownName {
        /// What was given.
        name: String,
        /// The name nearest to it, where one is near.
        suggestion: Option<&'static str>,
    },
    /// Not a class of syscalls.
    #[error("unknown class of system calls '%{}': known are {}", name.escape_debug(), CLASS_NAMES)]
    UnknownClass {
        /// What was given, without the percent sign.
        name: String,
    },
    /// An element of the list has no name.
    #[error("a name is missing in the list of system calls '{}'", expr.escape_debug())]
    Empty {
        /// The whole expression.
        expr: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion
        .map_or(String::new(), |s| format!(", did you mean '{s}'? ('?' before a name ignores it if unknown)"))
}

const CLASS_NAMES: &str =
    "%all, %clock, %creds, %desc, %file, %ipc, %memory, %network (%net), %process, %signal";

#[rustfmt::skip]
const NETWORK: &[&str] = &[
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "getsockname",
    "getpeername", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
    "setsockopt", "getsockopt", "getpmsg", "putpmsg",
];

#[rustfmt::skip]
const PROCESS: &[&str] = &[
    "fork", "vfork", "clone", "clone3", "execve", "execveat", "exit", "exit_group", "wait4", "waitid",
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal",
    "process_mrelease",
];

#[rustfmt::skip]
const SIGNAL: &[&str] = &[
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait",
    "rt_sigqueueinfo", "rt_sigsuspend", "rt_tgsigqueueinfo", "sigaltstack", "kill", "tkill", "tgkill",
    "pause", "signalfd", "signalfd4", "pidfd_send_signal",
];

#[rustfmt::skip]
const IPC: &[&str] = &[
    "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "shmat", "shmctl",
    "shmdt", "shmget",
];

#[rustfmt::skip]
const MEMORY: &[&str] = &[
    "brk", "madvise", "process_madvise", "mbind", "get_mempolicy", "set_mempolicy",
    "set_mempolicy_home_node", "migrate_pages", "mincore", "mlock", "mlock2", "mlockall", "mmap",
    "move_pages", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap",
    "pkey_mprotect", "remap_file_pages", "shmat", "shmdt", "map_shadow_stack",
];

#[rustfmt::skip]
const CREDS: &[&str] = &[
    "capget", "capset", "getuid", "getgid", "geteuid", "getegid", "getgroups", "getresuid", "getresgid",
    "prctl", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
    "setgroups",
];

#[rustfmt::skip]
const CLOCK: &[&str] = &[
    "adjtimex", "clock_adjtime", "clock_getres", "clock_gettime", "clock_settime", "gettimeofday",
    "settimeofday", "time",
];

/// Calls on paths whose signature doesn't show it.
const FILE: &[&str] = &["getcwd", "fanotify_mark"];

/// Calls that take a string which is no path.
#[rustfmt::skip]
const NOT_FILE: &[&str] = &[
    "add_key", "request_key", "memfd_create", "fsopen", "fsconfig", "delete_module", "create_module",
    "init_module", "query_module", "finit_module", "mq_open", "mq_unlink", "fgetxattr", "fsetxattr",
    "fremovexattr", "kexec_file_load",
];

/// Calls that make or poll descriptors, whose signature doesn't show it.
#[rustfmt::skip]
const DESC: &[&str] = &[
    "open", "creat", "select", "pselect6", "poll", "ppoll", "pipe", "pipe2", "epoll_create",
    "epoll_create1", "eventfd", "eventfd2", "inotify_init", "inotify_init1", "timerfd_create",
    "userfaultfd", "memfd_create", "memfd_secret", "perf_event_open", "mmap", "bpf", "fanotify_init",
    "pidfd_open", "io_uring_setup", "landlock_create_ruleset", "socket", "socketpair",
];

/// Recorded by default whatever the descriptor: readiness, and the ends and beginnings of processes.
#[rustfmt::skip]
const STORY: &[&str] = &[
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "fork", "vfork", "clone", "clone3", "execve", "execveat", "exit",
    "exit_group", "wait4", "waitid", "kill", "tkill", "tgkill",
];

/// Recorded by default on sockets.
#[rustfmt::skip]
const ON_SOCKETS: &[&str] = &[
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
    "sendfile", "splice", "tee", "vmsplice", "close", "dup", "dup2", "dup3", "fcntl", "ioctl",
];

type Bits = [u64; 8];

fn set(bits: &mut Bits, nr: u32) {
    if let Some(word) = bits.get_mut((nr / 64) as usize) {
        *word |= 1 << (nr % 64);
    }
}

fn add_names(bits: &mut Bits, names: &[&str]) {
    for nr in names.iter().filter_map(|n| table::number(n)) {
        set(bits, nr);
    }
}

/// The calls of a class, by strace's name of it.
fn class(name: &str) -> Option<Bits> {
    let mut bits = [0; 8];
    match name {
        "all" => table::rows().iter().for_each(|r| set(&mut bits, r.0)),
        "network" | "net" => add_names(&mut bits, NETWORK),
        "process" => add_names(&mut bits, PROCESS),
        "signal" => add_names(&mut bits, SIGNAL),
        "ipc" => add_names(&mut bits, IPC),
        "memory" => add_names(&mut bits, MEMORY),
        "creds" => add_names(&mut bits, CREDS),
        "clock" => add_names(&mut bits, CLOCK),
        "file" => {
            add_names(&mut bits, FILE);
            for (nr, name, signature) in table::rows() {
                if signature.contains('s') && !NOT_FILE.contains(name) {
                    set(&mut bits, *nr);
                }
            }
        }
        "desc" => {
            add_names(&mut bits, DESC);
            for (nr, name, signature) in table::rows() {
                // strace keeps the socket calls out of this class.
                if signature.contains(['f', 'D']) && !NETWORK.contains(name) {
                    set(&mut bits, *nr);
                }
            }
        }
        _ => return None,
    }
    Some(bits)
}

impl Selection {
    /// Nothing.
    pub const NONE: Self = Self { all: [0; 8], socket_only: [0; 8] };

    /// What tells the story of a networked process when nothing else was asked for: the network family, readiness and
    /// process calls always; reads, writes and descriptor calls on sockets only.
    pub fn default_story() -> Self {
        let mut s = Self::NONE;
        for names in [NETWORK, STORY, ON_SOCKETS] {
            add_names(&mut s.all, names);
        }
        add_names(&mut s.socket_only, ON_SOCKETS);
        s
    }

    /// True where calls of this number are recorded, if only on sockets.
    pub fn contains(&self, nr: u32) -> bool {
        nr < MAX_NR && self.all[(nr / 64) as usize] >> (nr % 64) & 1 == 1
    }

    /// Reads a list of names and classes, separated by commas, as strace's `-e trace=` takes it.
    ///
    /// `%network`, `all` and `none` are classes; `?name` may be unknown. A `!` before the list takes the calls that it
    /// does *not* name; a `!` before a later element takes that element out again (`%network,!close`).
    ///
    /// # Errors
    /// A name or class that this architecture doesn't know, or an element without a name.
    pub fn parse(expr: &str) -> Result<Self, SelectionError> {
        let expr = expr.trim();
        let empty = || SelectionError::Empty { expr: expr.to_owned() };
        let (inverted, list) = expr.strip_prefix('!').map_or((false, expr), |list| (true, list));
        let mut all = if inverted { class("all").unwrap_or_default() } else { [0; 8] };
        for element in list.split(',') {
            let element = element.trim();
            let (minus, element) = element.strip_prefix('!').map_or((false, element), |rest| (true, rest));
            let (optional, element) = element.strip_prefix('?').map_or((false, element), |rest| (true, rest));
            let bits = match element.strip_prefix('%') {
                Some("") => return Err(empty()),
                Some(name) => match class(name) {
                    Some(bits) => bits,
                    None if optional => continue,
                    None => return Err(SelectionError::UnknownClass { name: name.to_owned() }),
                },
                None => match element {
                    "" => return Err(empty()),
                    "all" => class("all").unwrap_or_default(),
                    "none" => [0; 8],
                    name => match table::number(name) {
                        Some(nr) => {
                            let mut bits = [0; 8];
                            set(&mut bits, nr);
                            bits
                        }
                        // strace takes `network` for `%network` still.
                        None if let Some(bits) = class(name) => bits,
                        None if optional => continue,
                        None => {
                            let suggestion = nearest(name);
                            return Err(SelectionError::UnknownName { name: name.to_owned(), suggestion });
                        }
                    },
                },
            };
            for (word, bits) in all.iter_mut().zip(bits) {
                if minus || inverted {
                    *word &= !bits;
                } else {
                    *word |= bits;
                }
            }
        }
        Ok(Self { all, socket_only: [0; 8] })
    }
}

/// The known name with the fewest edits to `name`, where those are few for its length.
fn nearest(name: &str) -> Option<&'static str> {
    // No syscall has a name as long as this; and the work below grows with the length.
    if name.len() > 40 {
        return None;
    }
    table::rows()
        .iter()
        .map(|r| (edits(name.as_bytes(), r.1.as_bytes()), r.1))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, known)| *edits <= 1 + known.len().min(name.len()) / 4)
        .map(|(_, known)| known)
}

/// Levenshtein distance.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(s: &Selection, name: &str) -> bool {
        s.contains(table::number(name).unwrap())
    }

    #[test]
    fn default_story_tells_reads_on_sockets_only() {
        let s = Selection::default_story();
        let socket_only = Selection { all: s.socket_only, ..Selection::NONE };
        for name in ["connect", "accept4", "sendto", "epoll_pwait", "execve", "exit_group", "clone"] {
            assert!(has(&s, name) && !has(&socket_only, name), "{name}");
        }
        for name in ["read", "writev", "close", "sendfile"] {
            assert!(has(&s, name) && has(&socket_only, name), "{name}");
        }
        for name in ["openat", "mmap", "futex", "getpid"] {
            assert!(!has(&s, name), "{name}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn classes_name_known_calls_only() {
        let lists =
            [NETWORK, PROCESS, SIGNAL, IPC, MEMORY, CREDS, CLOCK, FILE, NOT_FILE, DESC, STORY, ON_SOCKETS];
        for name in lists.into_iter().flatten() {
            assert!(table::number(name).is_some(), "{name}");
        }
    }

    #[test]
    fn lists_classes_and_their_inversion() {
        let s = Selection::parse("read,?nosuchcall,%net").unwrap();
        assert!(has(&s, "read") && has(&s, "connect") && !has(&s, "write"));
        assert_eq!(s.socket_only, [0; 8]);

        assert_eq!(Selection::parse("network"), Selection::parse("%network"));

        let s = Selection::parse("!read,write").unwrap();
        assert!(!has(&s, "read") && !has(&s, "write") && has(&s, "close"));
        assert_eq!(Selection::parse("!read,!write").unwrap(), s);

        let s = Selection::parse("%network,!sendto").unwrap();
        assert!(has(&s, "recvfrom") && !has(&s, "sendto"));

        let s = Selection::parse("%file").unwrap();
        assert!(has(&s, "openat") && has(&s, "execve") && !has(&s, "read") && !has(&s, "memfd_create"));
        let s = Selection::parse("%desc").unwrap();
        assert!(has(&s, "read") && has(&s, "epoll_pwait") && has(&s, "openat") && !has(&s, "connect"));

        assert_eq!(Selection::parse("none").unwrap(), Selection::NONE);
        assert_eq!(Selection::parse("!all").unwrap(), Selection::NONE);
        assert_eq!(Selection::parse("!none").unwrap(), Selection::parse("all").unwrap());
        for class in CLASS_NAMES.split(", ").map(|c| c.split(' ').next().unwrap()) {
            assert_ne!(Selection::parse(class).unwrap(), Selection::NONE, "{class}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_near_one() {
        let message = |expr: &str| Selection::parse(expr).unwrap_err().to_string();
        assert!(message("conect").starts_with("unknown system call 'conect', did you mean 'connect'?"));
        assert_eq!(message("frobnicate_it"), "unknown system call 'frobnicate_it'");
        assert_eq!(message(&"x".repeat(5000)).len(), 5022);
        assert!(message("%nework").contains("%network"));
        for expr in ["", ",", "read,", "!", "%"] {
            assert!(matches!(Selection::parse(expr), Err(SelectionError::Empty { .. })), "{expr}");
        }
    }
}
