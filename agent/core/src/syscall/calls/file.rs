//! Calls on paths.

use std::fmt::Write;

use super::time::{moment, timespec_fields};
use crate::syscall::call::Call;
use crate::syscall::names::file as n;
use crate::syscall::plan::{CaptureKind as K, entry, spec};
use crate::syscall::shape::Arg::{
    Dirfd, Fd, Flags, Hex, Hidden, Id, Int, Long, Mode, OneOf, Path, Ptr, Size, Str, With,
};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::text::{self, i64_at, u64_at};

const O_CREAT: u64 = 0x40;
const O_TMPFILE: u64 = 0x40_0000;

const OPEN: Arg = With(open);
const AT: Arg = Flags(n::AT, "AT_???");
const ACCESS: Arg = Flags(n::ACCESS, "?_OK");
const XATTR: Arg = Flags(n::XATTR, "XATTR_???");
const RENAME: Arg = Flags(n::RENAME, "RENAME_??");

pub(super) const CALLS: &[Shape] = &[
    call("open", &[Path, OPEN, Mode]).ret(Ret::Fd).count(|c| if creates(c.value(1)) { 3 } else { 2 }),
    call("openat", &[Dirfd, Path, OPEN, Mode])
        .ret(Ret::Fd)
        .count(|c| if creates(c.value(2)) { 4 } else { 3 }),
    call("openat2", &[Dirfd, Path, Arg::In(24, open_how), Size]).ret(Ret::Fd),
    call("creat", &[Path, Mode]).ret(Ret::Fd),
    call("access", &[Path, ACCESS]),
    call("faccessat", &[Dirfd, Path, ACCESS]),
    call("faccessat2", &[Dirfd, Path, ACCESS, Flags(n::FACCESSAT, "AT_???")]),
    call("umask", &[Mode]).ret(Ret::With(|c, ret| text::mode(c.out, ret as u64))),
    call("chmod", &[Path, Mode]),
    call("fchmod", &[Fd, Mode]),
    call("fchmodat", &[Dirfd, Path, Mode]),
    call("fchmodat2", &[Dirfd, Path, Mode, AT]),
    call("chown", &[Path, Id, Id]),
    call("lchown", &[Path, Id, Id]),
    call("fchown", &[Fd, Id, Id]),
    call("fchownat", &[Dirfd, Path, Id, Id, AT]),
    call("mkdir", &[Path, Mode]),
    call("mkdirat", &[Dirfd, Path, Mode]),
    call("mknod", &[Path, With(mode_type), With(device)]).count(|c| node_args(c, 1)),
    call("mknodat", &[Dirfd, Path, With(mode_type), With(device)]).count(|c| node_args(c, 2)),
    call("rmdir", &[Path]),
    call("unlink", &[Path]),
    call("unlinkat", &[Dirfd, Path, Flags(n::AT, "AT_???")]),
    call("rename", &[Path, Path]),
    call("renameat", &[Dirfd, Path, Dirfd, Path]),
    call("renameat2", &[Dirfd, Path, Dirfd, Path, RENAME]),
    call("link", &[Path, Path]),
    call("linkat", &[Dirfd, Path, Dirfd, Path, AT]),
    call("symlink", &[Path, Path]),
    call("symlinkat", &[Path, Dirfd, Path]),
    call("readlink", &[Path, Arg::BufOut, Size]),
    call("readlinkat", &[Dirfd, Path, Arg::BufOut, Size]),
    call("getcwd", &[With(cwd), Size]).reads(&[spec(0, K::CString, 0)]),
    call("chdir", &[Path]),
    call("fchdir", &[Fd]),
    call("chroot", &[Path]),
    call("truncate", &[Path, Long]),
    call("ftruncate", &[Fd, Long]),
    call("fallocate", &[Fd, Flags(n::FALLOC, "FALLOC_FL_???"), Long, Long]),
    call("utimensat", &[Dirfd, Path, Arg::In(32, utimes), AT]),
    call("utime", &[Path, Arg::In(16, utime)]),
    call("utimes", &[Path, Arg::In(32, utimes_micro)]),
    call("futimesat", &[Dirfd, Path, Arg::In(32, utimes_micro)]),
    call("setxattr", &[Path, Str, With(xattr_in), Size, XATTR]).reads(&[spec(2, K::BufferByArg, 3)]),
    call("lsetxattr", &[Path, Str, With(xattr_in), Size, XATTR]).reads(&[spec(2, K::BufferByArg, 3)]),
    call("fsetxattr", &[Fd, Str, With(xattr_in), Size, XATTR]).reads(&[spec(2, K::BufferByArg, 3)]),
    call("getxattr", &[Path, Str, With(xattr_out), Size]).reads(&[spec(2, K::BufferByRet, 0)]),
    call("lgetxattr", &[Path, Str, With(xattr_out), Size]).reads(&[spec(2, K::BufferByRet, 0)]),
    call("fgetxattr", &[Fd, Str, With(xattr_out), Size]).reads(&[spec(2, K::BufferByRet, 0)]),
    call("listxattr", &[Path, With(xattr_out1), Size]).reads(&[spec(1, K::BufferByRet, 0)]),
    call("llistxattr", &[Path, With(xattr_out1), Size]).reads(&[spec(1, K::BufferByRet, 0)]),
    call("flistxattr", &[Fd, With(xattr_out1), Size]).reads(&[spec(1, K::BufferByRet, 0)]),
    call("removexattr", &[Path, Str]),
    call("lremovexattr", &[Path, Str]),
    call("fremovexattr", &[Fd, Str]),
    call("mount", &[Path, Path, With(mount_type), With(mount_flags), Ptr]).reads(&[spec(2, K::CString, 0)]),
    call("umount2", &[Path, Flags(n::UMOUNT, "MNT_???")]),
    call("pivot_root", &[Path, Path]),
    call("acct", &[Path]),
    call("swapon", &[Path, Hex]),
    call("swapoff", &[Path]),
    call("sync", &[]),
    call("name_to_handle_at", &[Dirfd, Path, Ptr, Ptr, Flags(n::AT_HANDLE, "AT_???")]),
    call("memfd_create", &[With(memfd_name), With(memfd_flags)])
        .reads(&[spec(0, K::CString, 0)])
        .ret(Ret::Fd),
    call("execve", &[Path, With(argv), With(envp)]).reads(EXEC),
    call("execveat", &[Dirfd, Path, With(argv), With(envp), AT]).reads(EXECAT),
    call("inotify_add_watch", &[Fd, Path, Flags(n::INOTIFY, "IN_???")]),
    call("inotify_rm_watch", &[Fd, Int]),
    call("fsync", &[Fd]),
    call("fdatasync", &[Fd]),
    call("syncfs", &[Fd]),
    call("flock", &[Fd, Flags(n::LOCK, "LOCK_???")]),
    call("fadvise64", &[Fd, Long, Size, OneOf(n::FADV, "POSIX_FADV_???")]),
    call("readahead", &[Fd, Long, Size]),
    call("sync_file_range", &[Fd, Long, Long, Flags(n::SYNC_RANGE, "SYNC_FILE_RANGE_???")]),
    call("close_range", &[Arg::Uint, Arg::Uint, Flags(n::CLOSE_RANGE, "CLOSE_RANGE_???")]),
    call("uselib", &[Path]),
    call("sysfs", &[Int, Hex, Hex]),
    call("quotactl", &[Hex, Path, Int, Hidden]),
];

const EXEC: &[crate::syscall::plan::CaptureSpec] = &[
    entry(0, K::CString, 0),
    entry(1, K::Strings, 0),
    entry(2, K::Strings, 0),
    entry(2, K::Count, 0),
    spec(1, K::ExecArgv, 0),
    spec(2, K::ExecEnviron, 0),
];
const EXECAT: &[crate::syscall::plan::CaptureSpec] = &[
    entry(1, K::CString, 0),
    entry(2, K::Strings, 0),
    entry(3, K::Strings, 0),
    entry(3, K::Count, 0),
    spec(2, K::ExecArgv, 0),
    spec(3, K::ExecEnviron, 0),
];

fn creates(flags: u64) -> bool {
    flags & (O_CREAT | O_TMPFILE) != 0
}

fn open(c: &mut Call<'_>, i: usize) {
    open_flags(c.out, c.ev.args.get(i).copied().unwrap_or(0) & 0xffff_ffff);
}

/// Flags of open(2): the access mode, then the rest.
pub(super) fn open_flags(out: &mut String, v: u64) {
    text::one_of(out, v & 3, n::ACCMODE, "O_???");
    let rest = text::known_flags(out, v & !3, n::OPEN, "|");
    if rest != 0 {
        let _ = write!(out, "|{rest:#x}");
    }
}

/// `struct open_how` (`linux/openat2.h`).
fn open_how(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    let (flags, mode, resolve) = (u64_at(data, 0)?, u64_at(data, 8)?, u64_at(data, 16)?);
    c.push("{flags=");
    open_flags(c.out, flags);
    if creates(flags) || mode != 0 {
        c.push(", mode=");
        text::mode(c.out, mode);
    }
    c.push(", resolve=");
    c.flags(resolve, n::RESOLVE, "RESOLVE_???");
    c.push("}");
    Some(())
}

/// The type of a file and its permissions: `S_IFREG|0644`.
pub(super) fn file_mode(out: &mut String, mode: u64) {
    let kind = mode & 0o170_000;
    match n::FILE_TYPE.iter().find(|t| t.0 == kind) {
        None if kind != 0 || mode & 0o7000 == 0 => text::mode(out, mode),
        known => {
            let mut separator = "";
            if let Some((_, name)) = known {
                out.push_str(name);
                separator = "|";
            }
            for (bit, name) in [(0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISVTX")] {
                if mode & bit != 0 {
                    let _ = write!(out, "{separator}{name}");
                    separator = "|";
                }
            }
            out.push('|');
            text::mode(out, mode & 0o777);
        }
    }
}

fn mode_type(c: &mut Call<'_>, i: usize) {
    file_mode(c.out, c.ev.args.get(i).copied().unwrap_or(0) & 0xffff);
}

fn node_args(c: &Call<'_>, mode: usize) -> usize {
    // Only devices have a number.
    if matches!(c.value(mode) & 0o170_000, 0o020_000 | 0o060_000) { mode + 2 } else { mode + 1 }
}

fn device(c: &mut Call<'_>, i: usize) {
    makedev(c.out, c.low(i));
}

/// `makedev(0xfe, 0)` of a number as user space has it.
pub(super) fn makedev(out: &mut String, dev: u64) {
    let major = dev >> 8 & 0xfff | dev >> 32 & 0xffff_f000;
    let minor = dev & 0xff | dev >> 12 & 0xffff_ff00;
    out.push_str("makedev(");
    text::hex(out, major);
    out.push_str(", ");
    text::hex(out, minor);
    out.push(')');
}

/// The folder with its NUL, which the call counts too.
fn cwd(c: &mut Call<'_>, i: usize) {
    if c.failed() { c.address(c.value(i)) } else { c.path(i) }
}

fn utimes(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    const NOW: i64 = (1 << 30) - 1;
    const OMIT: i64 = (1 << 30) - 2;
    c.push("[");
    for (i, at) in [0, 16].into_iter().enumerate() {
        let (sec, nsec) = (i64_at(data, at)?, i64_at(data, at + 8)?);
        c.push(if i == 0 { "" } else { ", " });
        match nsec {
            NOW => c.push("UTIME_NOW"),
            OMIT => c.push("UTIME_OMIT"),
            _ => {
                timespec_fields(c.out, sec, nsec, "tv_nsec");
                moment(c.out, sec, Some(nsec), 9);
            }
        }
    }
    c.push("]");
    Some(())
}

fn utimes_micro(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    c.push("[");
    for (i, at) in [0, 16].into_iter().enumerate() {
        let (sec, usec) = (i64_at(data, at)?, i64_at(data, at + 8)?);
        c.push(if i == 0 { "" } else { ", " });
        timespec_fields(c.out, sec, usec, "tv_usec");
        moment(c.out, sec, Some(usec), 6);
    }
    c.push("]");
    Some(())
}

fn utime(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    c.push("{actime=");
    for (name, at) in [("", 0), (", modtime=", 8)] {
        let sec = i64_at(data, at)?;
        let _ = write!(c.out, "{name}{sec}");
        moment(c.out, sec, None, 9);
    }
    c.push("}");
    Some(())
}

fn xattr_in(c: &mut Call<'_>, i: usize) {
    c.buffer(i, K::BufferByArg, c.value(i + 1));
}

fn xattr_out(c: &mut Call<'_>, i: usize) {
    // With a size of 0 the call only tells how much there is.
    if c.failed() || c.value(i + 1) == 0 {
        c.address(c.value(i));
    } else {
        c.buffer(i, K::BufferByRet, c.returned());
    }
}

fn xattr_out1(c: &mut Call<'_>, i: usize) {
    xattr_out(c, i);
}

/// Nothing new is mounted where a mount is changed, bound or moved.
fn mount_type(c: &mut Call<'_>, i: usize) {
    const MS_REMOUNT_BIND_MOVE: u64 = 0x20 | 0x1000 | 0x2000;
    if c.value(3) & MS_REMOUNT_BIND_MOVE != 0 { c.address(c.value(i)) } else { c.path(i) }
}

fn mount_flags(c: &mut Call<'_>, i: usize) {
    c.flags(c.value(i), n::MOUNT, "MS_???");
}

fn memfd_flags(c: &mut Call<'_>, i: usize) {
    let v = c.low(i);
    // The size of huge pages, as a power of two.
    let huge = v >> 26;
    let v = v & 0x3ff_ffff;
    if v != 0 || huge == 0 {
        c.flags(v, crate::syscall::names::memory::MEMFD, "MFD_???");
    }
    if huge != 0 {
        let _ = write!(c.out, "{}{huge}<<MFD_HUGE_SHIFT", if v == 0 { "" } else { "|" });
    }
}

/// The kernel takes 249 bytes.
fn memfd_name(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::CString) {
        Some(name) => {
            let limit = c.opts.string_limit.min(249);
            text::quoted(c.out, &name.data, name.full_len.into(), limit, c.opts.hex_strings);
        }
        None => c.address(c.value(i)),
    }
}

/// The arguments as the caller gave them, or as the new image has them.
fn argv(c: &mut Call<'_>, i: usize) {
    strings(c, i, K::ExecArgv);
}

fn envp(c: &mut Call<'_>, i: usize) {
    if c.opts.verbose {
        return strings(c, i, K::ExecEnviron);
    }
    c.address(c.value(i));
    if let Some(count) = c.ev.captures.iter().find(|x| x.kind == K::Count as u8 | 0x80) {
        let _ = write!(c.out, " /* {} var{} */", count.full_len, if count.full_len == 1 { "" } else { "s" });
    }
}

fn strings(c: &mut Call<'_>, i: usize, image: K) {
    let read = c.before(i, K::Strings);
    let whole = read.is_some_and(|r| elements(&r.data).all(|e| e.is_some()));
    match (read, c.capture(i, image)) {
        _ if c.value(i) == 0 => c.push("NULL"),
        (Some(read), None) => list(c, elements(&read.data), read.full_len as usize),
        (Some(read), _) if whole => list(c, elements(&read.data), read.full_len as usize),
        (_, Some(new)) => {
            let cut = new.full_len as usize > new.data.len();
            let strings =
                new.data.split_last().filter(|(last, _)| **last == 0).map_or(&new.data[..], |(_, s)| s);
            let whole = strings.split(|b| *b == 0).count();
            let pieces = strings.split(|b| *b == 0).enumerate();
            list(c, pieces.map(|(k, s)| Some((s, cut && k + 1 == whole))), whole + usize::from(cut));
        }
        (None, None) => c.address(c.value(i)),
    }
}

/// Strings as the probe packs them: `None` for one that couldn't be read, else with whether it was cut.
fn elements(data: &[u8]) -> impl Iterator<Item = Option<(&[u8], bool)>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let mark = text::u16_at(rest, 0)?;
        if mark == u16::MAX {
            rest = rest.get(2..)?;
            return Some(None);
        }
        let (string, after) = rest.get(2..)?.split_at_checked(usize::from(mark & 0x7fff))?;
        rest = after;
        Some(Some((string, mark & 0x8000 != 0)))
    })
}

fn list<'d>(c: &mut Call<'_>, strings: impl Iterator<Item = Option<(&'d [u8], bool)>>, count: usize) {
    let mut shown = 0;
    c.push("[");
    for string in strings.take(c.array_limit()) {
        c.push(if shown == 0 { "" } else { ", " });
        match string {
            Some((string, cut)) => c.quoted(string, string.len() as u64 + u64::from(cut)),
            None => c.push("???"),
        }
        shown += 1;
    }
    c.push(if count > shown { if shown == 0 { "...]" } else { ", ...]" } } else { "]" });
}
