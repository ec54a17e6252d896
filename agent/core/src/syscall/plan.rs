//! What user memory to read of each syscall: the contract with the BPF program.

use super::table;
use super::values::EPOLL_EVENT;

/// One more than the highest syscall number that is recorded; every table here and in BPF has this size.
pub const MAX_NR: u32 = 512;

/// How to read what an argument points at. All is read at the exit of the call, but for the `filename` of execve.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaptureKind {
    /// Nothing: an unused slot.
    #[default]
    None = 0,
    /// NUL-terminated string; the captured length doesn't count the NUL, and is greater than the data where its end
    /// wasn't reached.
    CString = 1,
    /// Buffer of `args[len]` bytes.
    BufferByArg = 2,
    /// Buffer of as many bytes as the call returned.
    BufferByRet = 3,
    /// `struct sockaddr` of `args[len]` bytes.
    Sockaddr = 4,
    /// `struct sockaddr` of `*(u32 *)args[len]` bytes, the length being that after the call.
    SockaddrByPtr = 5,
    /// `struct iovec[args[len]]`, at most 8 of them; [`CaptureKind::IovData`] follows.
    Iovec = 6,
    /// `struct user_msghdr` (56 bytes); MsgName, Iovec and IovData follow.
    Msghdr = 7,
    /// `struct pollfd[args[len]]`, at most 32 of them.
    Pollfds = 8,
    /// `struct epoll_event[ret]`, at most 32 of them.
    EpollEvents = 9,
    /// `len` bytes.
    Fixed = 10,
    /// NUL-separated strings of an argv.
    StringArray = 11,
    /// Buffer of `*(u32 *)args[len]` bytes.
    FixedByPtrLen = 12,
    /// Only as part of [`CaptureKind::Msghdr`]: `msg_name`.
    MsgName = 13,
    /// Only as part of `Msghdr` and `Iovec`: the first bytes of the data, over all iovecs, up to the string limit.
    IovData = 14,
}

impl CaptureKind {
    /// From the byte in the ring buffer's record; `None` for a number that isn't one.
    pub fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::None,
            1 => Self::CString,
            2 => Self::BufferByArg,
            3 => Self::BufferByRet,
            4 => Self::Sockaddr,
            5 => Self::SockaddrByPtr,
            6 => Self::Iovec,
            7 => Self::Msghdr,
            8 => Self::Pollfds,
            9 => Self::EpollEvents,
            10 => Self::Fixed,
            11 => Self::StringArray,
            12 => Self::FixedByPtrLen,
            13 => Self::MsgName,
            14 => Self::IovData,
            _ => return None,
        })
    }
}

/// One piece of memory to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureSpec {
    /// Index of the pointer argument, 0..=5.
    pub arg: u8,
    /// How.
    pub kind: CaptureKind,
    /// Index of an argument, or a number of bytes: see [`CaptureKind`].
    pub len: u16,
}

/// What to read of one syscall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they appear in the event; unused slots are `CaptureKind::None` and come last.
    pub captures: [CaptureSpec; 3],
    /// The argument that is the descriptor of the call, -1 for none.
    pub fd_arg: i8,
}

const fn spec(arg: u8, kind: CaptureKind, len: u16) -> CaptureSpec {
    CaptureSpec { arg, kind, len }
}

/// The capture plan of a syscall; for a number without a name it reads nothing.
pub fn plan(nr: u32) -> Plan {
    let Some((_, name, signature)) = table::row(nr) else {
        return Plan { captures: [CaptureSpec::default(); 3], fd_arg: -1 };
    };
    let mut captures = [CaptureSpec::default(); 3];
    let mut put = |specs: &[CaptureSpec]| {
        for (slot, spec) in captures.iter_mut().zip(specs) {
            *slot = *spec;
        }
    };
    match special(name) {
        Some(specs) => put(specs),
        None => {
            let mut strings = [CaptureSpec::default(); 3];
            let args = (0u8..).zip(signature.bytes()).filter(|(_, c)| *c == b's');
            for (slot, (arg, _)) in strings.iter_mut().zip(args) {
                *slot = spec(arg, CaptureKind::CString, 0);
            }
            put(&strings);
        }
    }
    let fd_arg = match *name {
        // Decoded as the descriptor that the story is about, not as the first one.
        "splice" | "tee" | "sendfile" | "copy_file_range" => 0,
        _ => match signature.bytes().position(|c| c == b'f') {
            // mmap's, epoll_ctl's second and others' later descriptors are no socket calls.
            Some(0) => 0,
            _ => -1,
        },
    };
    Plan { captures, fd_arg }
}

/// What is read beyond strings.
fn special(name: &str) -> Option<&'static [CaptureSpec]> {
    use CaptureKind as K;
    Some(match name {
        "read" | "pread64" => const { &[spec(1, K::BufferByRet, 0)] },
        "write" | "pwrite64" => const { &[spec(1, K::BufferByArg, 2)] },
        "recvfrom" => {
            const { &[spec(1, K::BufferByRet, 0), spec(4, K::SockaddrByPtr, 5), spec(5, K::Fixed, 4)] }
        }
        "sendto" => const { &[spec(1, K::BufferByArg, 2), spec(4, K::Sockaddr, 5)] },
        "readv" | "writev" | "preadv" | "pwritev" | "preadv2" | "pwritev2" | "vmsplice" => {
            const { &[spec(1, K::Iovec, 2)] }
        }
        "sendmsg" | "recvmsg" => const { &[spec(1, K::Msghdr, 0)] },
        "connect" | "bind" => const { &[spec(1, K::Sockaddr, 2)] },
        "accept" | "accept4" | "getsockname" | "getpeername" => {
            const { &[spec(1, K::SockaddrByPtr, 2), spec(2, K::Fixed, 4)] }
        }
        "setsockopt" => const { &[spec(3, K::BufferByArg, 4)] },
        "getsockopt" => const { &[spec(3, K::FixedByPtrLen, 4), spec(4, K::Fixed, 4)] },
        "socketpair" => const { &[spec(3, K::Fixed, 8)] },
        "pipe" | "pipe2" => const { &[spec(0, K::Fixed, 8)] },
        "ioctl" => const { &[spec(2, K::Fixed, 4)] },
        "fcntl" => const { &[spec(2, K::Fixed, 32)] },
        "poll" => const { &[spec(0, K::Pollfds, 1)] },
        "ppoll" => const { &[spec(0, K::Pollfds, 1), spec(2, K::Fixed, 16)] },
        // struct fd_set of 1024 descriptors: what is asked for beyond them is rare.
        "select" | "pselect6" => {
            const { &[spec(1, K::Fixed, 128), spec(2, K::Fixed, 128), spec(3, K::Fixed, 128)] }
        }
        "epoll_ctl" => const { &[spec(3, K::Fixed, EPOLL_EVENT as u16)] },
        "epoll_wait" | "epoll_pwait" => const { &[spec(1, K::EpollEvents, 0)] },
        "epoll_pwait2" => const { &[spec(1, K::EpollEvents, 0), spec(3, K::Fixed, 16)] },
        "sendfile" => const { &[spec(2, K::Fixed, 8)] },
        "splice" | "copy_file_range" => const { &[spec(1, K::Fixed, 8), spec(3, K::Fixed, 8)] },
        "execve" => const { &[spec(0, K::CString, 0), spec(1, K::StringArray, 0)] },
        "execveat" => const { &[spec(1, K::CString, 0), spec(2, K::StringArray, 0)] },
        "wait4" => const { &[spec(1, K::Fixed, 4)] },
        "clone" => const { &[spec(2, K::Fixed, 4)] },
        "clone3" => const { &[spec(0, K::Fixed, 88)] },
        "nanosleep" => const { &[spec(0, K::Fixed, 16)] },
        "clock_nanosleep" => const { &[spec(2, K::Fixed, 16)] },
        _ => return None,
    })
}
