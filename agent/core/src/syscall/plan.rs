//! What user memory to read of each syscall: the contract with the BPF program.

use super::shape::{Arg, shape};
use super::table;

/// One more than the highest syscall number that is recorded; every table here and in BPF has this size.
pub const MAX_NR: u32 = 512;

/// How to read what an argument points at.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaptureKind {
    /// Nothing: an unused slot.
    #[default]
    None = 0,
    /// NUL-terminated string; the captured length doesn't count the NUL, and is greater than the data where its end
    /// wasn't reached.
    CString = 1,
    /// Buffer of `args[len]` bytes, up to the string limit.
    BufferByArg = 2,
    /// Buffer of as many bytes as the call returned, up to the string limit.
    BufferByRet = 3,
    /// `struct sockaddr` of `args[len]` bytes.
    Sockaddr = 4,
    /// `struct sockaddr` of `*(u32 *)args[len]` bytes, the length being that after the call.
    SockaddrByPtr = 5,
    /// `struct iovec[args[len & 0xff]]`, at most 64 of them; an [`CaptureKind::IovData`] for each follows, as much as the
    /// call returned, or, with [`CALLERS`], as much as the caller gave.
    Iovec = 6,
    /// `struct user_msghdr` (56 bytes); MsgName, Iovec, IovData and Control follow. Takes [`CALLERS`] too.
    Msghdr = 7,
    /// `struct pollfd[args[len]]`.
    Pollfds = 8,
    /// `struct epoll_event[ret]`.
    EpollEvents = 9,
    /// `len` bytes.
    Fixed = 10,
    /// The strings of an array that ends with NULL, each as `u16` length and bytes. The highest bit of the length is set
    /// where the string is longer; 0xffff: it couldn't be read. The captured length is the number of strings.
    Strings = 11,
    /// `*(u32 *)args[len]` bytes, whatever the string limit.
    StructByPtr = 12,
    /// Only as part of messages: `msg_name`.
    MsgName = 13,
    /// Only as part of iovecs: the beginning of what one of them names.
    IovData = 14,
    /// What the descriptor in the argument is: see [`super::fd`].
    Fd = 15,
    /// What the descriptor is that the call returned.
    FdRet = 16,
    /// What the two descriptors are that the call wrote there.
    FdPair = 17,
    /// What the descriptors of `struct pollfd[args[len]]` are.
    FdPoll = 18,
    /// What the descriptors of an `fd_set` are, below `args[len]`.
    FdSet = 19,
    /// How many pointers an array has before its NULL: the captured length.
    Count = 20,
    /// `args[len & 0xff]` elements of `len >> 8` bytes (0: one), whatever the string limit.
    StructByArg = 21,
    /// As many elements of `len` bytes as the call returned.
    StructByRet = 22,
    /// `struct mmsghdr[]`, each as Msghdr of 64 bytes; with [`CALLERS`] `args[len & 0xff]` of them, else as many as the call
    /// returned. The upper five bits of the captures' argument count them.
    Mmsghdrs = 23,
    /// Only as part of messages: `msg_control`.
    Control = 24,
    /// As many bytes as the call returned, up to 32 KiB.
    Dirents = 25,
    /// `{ void *p; size_t size; }`, and behind it the bytes at `p`.
    Pair = 26,
    /// 64 bytes, or 8, or 4: whatever can be read.
    Ioctl = 27,
    /// The arguments of the new image, NUL-separated, where [`CaptureKind::Strings`] couldn't read them all.
    ExecArgv = 28,
    /// Its environment.
    ExecEnviron = 29,
    /// The signal mask in the frame that rt_sigreturn returns from.
    Sigframe = 30,
}

/// In [`CaptureSpec::len`] of iovecs and messages: the data is the caller's, as much as it gave.
pub(super) const CALLERS: u16 = 0x100;

impl CaptureKind {
    /// From the byte in the ring buffer's record; `None` for a number that isn't one.
    pub fn from_u8(n: u8) -> Option<Self> {
        ALL.get(usize::from(n)).copied()
    }
}

#[rustfmt::skip]
const ALL: [CaptureKind; 31] = {
    use CaptureKind as K;
    [
        K::None, K::CString, K::BufferByArg, K::BufferByRet, K::Sockaddr, K::SockaddrByPtr, K::Iovec, K::Msghdr,
        K::Pollfds, K::EpollEvents, K::Fixed, K::Strings, K::StructByPtr, K::MsgName, K::IovData, K::Fd, K::FdRet,
        K::FdPair, K::FdPoll, K::FdSet, K::Count, K::StructByArg, K::StructByRet, K::Mmsghdrs, K::Control, K::Dirents,
        K::Pair, K::Ioctl, K::ExecArgv, K::ExecEnviron, K::Sigframe,
    ]
};

/// One piece of memory to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureSpec {
    /// Index of the pointer argument, 0..=5.
    pub arg: u8,
    /// How.
    pub kind: CaptureKind,
    /// Index of an argument, or a number of bytes: see [`CaptureKind`].
    pub len: u16,
    /// Read when the call is entered, because it overwrites it or ends it; else when it returns, and the memory is
    /// certainly resident.
    pub at_entry: bool,
}

/// Most captures of a plan.
pub const CAPTURES_MAX: usize = 12;

/// What to read of one syscall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they appear in the event, those at the entry first; unused slots are `CaptureKind::None`
    /// and come last.
    pub captures: [CaptureSpec; CAPTURES_MAX],
    /// The argument that is the descriptor of the call, -1 for none.
    pub fd_arg: i8,
}

/// What will be printed, as far as more has to be read for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanOptions {
    /// See [`RenderOptions::verbose`](super::RenderOptions::verbose).
    pub verbose: bool,
    /// See [`RenderOptions::fd_paths`](super::RenderOptions::fd_paths): anything but `None`.
    pub fd_paths: bool,
}

/// Read at the exit.
pub(super) const fn spec(arg: u8, kind: CaptureKind, len: u16) -> CaptureSpec {
    CaptureSpec { arg, kind, len, at_entry: false }
}

/// Read at the entry.
pub(super) const fn entry(arg: u8, kind: CaptureKind, len: u16) -> CaptureSpec {
    CaptureSpec { arg, kind, len, at_entry: true }
}

/// The capture plan of a syscall; for a number without a name it reads nothing.
pub fn plan(nr: u32, opts: PlanOptions) -> Plan {
    let mut captures = [CaptureSpec::default(); CAPTURES_MAX];
    let (Some((_, name, signature)), Some(shape)) = (table::row(nr), shape(nr)) else {
        return Plan { captures, fd_arg: -1 };
    };
    let fds = |kind| matches!(kind, CaptureKind::FdPair | CaptureKind::FdPoll | CaptureKind::FdSet);
    let mut wanted: Vec<CaptureSpec> = Vec::new();
    for (i, arg) in (0u8..).zip(shape.args) {
        match arg {
            Arg::Fd | Arg::Dirfd if opts.fd_paths => wanted.push(entry(i, CaptureKind::Fd, 0)),
            arg => wanted.extend(arg.read(i)),
        }
    }
    wanted.extend(shape.reads.iter().filter(|s| opts.fd_paths || !fds(s.kind)));
    if opts.fd_paths && shape.makes_fd() {
        wanted.push(spec(0, CaptureKind::FdRet, 0));
    }
    // The environment is counted, or told.
    wanted.retain(|s| match s.kind {
        CaptureKind::Count => !opts.verbose,
        CaptureKind::ExecEnviron => opts.verbose,
        CaptureKind::Strings => opts.verbose || s.arg != environ_arg(name),
        _ => true,
    });
    wanted.sort_by_key(|s| !s.at_entry);
    for (slot, spec) in captures.iter_mut().zip(wanted) {
        *slot = spec;
    }
    let fd_arg = match signature.bytes().position(|c| c == b'f') {
        // mmap's, epoll_ctl's second and others' later descriptors are no socket calls.
        Some(0) => 0,
        _ => -1,
    };
    Plan { captures, fd_arg }
}

fn environ_arg(name: &str) -> u8 {
    if name == "execveat" { 3 } else { 2 }
}
