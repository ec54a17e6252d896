//! What the kernel tells of files, file systems and directories.

use std::fmt::Write;

use super::file::{file_mode, makedev};
use super::time::moment;
use crate::syscall::call::Call;
use crate::syscall::names::file as n;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Dirfd, Fd, Flags, Out, Path, Ptr, Size, Uint, With};
use crate::syscall::shape::{Shape, call};
use crate::syscall::text::{self, i32_at, i64_at, u16_at, u32_at, u64_at};

const STAT_SIZE: u16 = if cfg!(target_arch = "x86_64") { 144 } else { 128 };

pub(super) const CALLS: &[Shape] = &[
    call("stat", &[Path, Out(STAT_SIZE, stat)]),
    call("lstat", &[Path, Out(STAT_SIZE, stat)]),
    call("fstat", &[Fd, Out(STAT_SIZE, stat)]),
    call("newfstatat", &[Dirfd, Path, Out(STAT_SIZE, stat), Flags(n::AT, "AT_???")]),
    call("statx", &[Dirfd, Path, With(statx_flags), With(statx_mask), Out(256, statx)]),
    call("statfs", &[Path, Out(120, statfs)]),
    call("fstatfs", &[Fd, Out(120, statfs)]),
    call("getdents64", &[Fd, With(dirents), Size]).reads(&[spec(1, K::Dirents, 0)]),
    call("getdents", &[Fd, Ptr, Uint]),
];

/// A moment in `struct stat`: `, st_atime=1 /* 1970-01-01T00:00:01+0000 */, st_atime_nsec=0`.
fn stat_time(c: &mut Call<'_>, name: &str, sec: i64, nsec: i64) {
    let _ = write!(c.out, ", st_{name}={sec}");
    moment(c.out, sec, Some(nsec), 9);
    let _ = write!(c.out, ", st_{name}_nsec={nsec}");
}

/// `struct stat` (`asm/stat.h`).
pub(super) fn stat(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let x86 = cfg!(target_arch = "x86_64");
    let (dev, ino, rdev) = (u64_at(d, 0)?, u64_at(d, 8)?, u64_at(d, if x86 { 40 } else { 32 })?);
    let (mode, nlink) =
        if x86 { (u32_at(d, 24)?, u64_at(d, 16)?) } else { (u32_at(d, 16)?, u32_at(d, 20)?.into()) };
    let (uid, gid) = if x86 { (u32_at(d, 28)?, u32_at(d, 32)?) } else { (u32_at(d, 24)?, u32_at(d, 28)?) };
    let (size, blocks) = (i64_at(d, 48)?, i64_at(d, 64)?);
    let blksize = if x86 { i64_at(d, 56)? } else { i32_at(d, 56)?.into() };
    c.push("{");
    if c.opts.verbose {
        c.push("st_dev=");
        makedev(c.out, dev);
        let _ = write!(c.out, ", st_ino={ino}, ");
    }
    c.push("st_mode=");
    file_mode(c.out, mode.into());
    if c.opts.verbose {
        let _ = write!(
            c.out,
            ", st_nlink={nlink}, st_uid={uid}, st_gid={gid}, st_blksize={blksize}, st_blocks={blocks}"
        );
    }
    if matches!(mode & 0o170_000, 0o020_000 | 0o060_000) {
        c.push(", st_rdev=");
        makedev(c.out, rdev);
    } else {
        let _ = write!(c.out, ", st_size={size}");
    }
    if c.opts.verbose {
        for (name, at) in [("atime", 72), ("mtime", 88), ("ctime", 104)] {
            stat_time(c, name, i64_at(d, at)?, i64_at(d, at + 8)?);
        }
    } else {
        c.push(", ...");
    }
    c.push("}");
    Some(())
}

fn statx_flags(c: &mut Call<'_>, i: usize) {
    let v = c.low(i);
    match v & 0x6000 {
        0x6000 => c.push("AT_STATX_FORCE_SYNC|AT_STATX_DONT_SYNC"),
        sync => c.one_of(sync, n::STATX_SYNC, "AT_STATX_???"),
    }
    let rest = text::known_flags(c.out, v & !0x6000, n::AT, "|");
    if rest != 0 {
        let _ = write!(c.out, "|{rest:#x}");
    }
}

fn statx_mask(c: &mut Call<'_>, i: usize) {
    mask(c, c.low(i));
}

/// Fields of statx(2), of which most have a name for all together.
fn mask(c: &mut Call<'_>, v: u64) {
    const BASIC: u64 = 0x7ff;
    const ALL: u64 = 0xfff;
    let (name, rest) = match v {
        _ if v & ALL == ALL => ("STATX_ALL", v & !ALL),
        _ if v & BASIC == BASIC => ("STATX_BASIC_STATS", v & !BASIC),
        _ => return c.flags(v, n::STATX, "STATX_???"),
    };
    c.push(name);
    let rest = text::known_flags(c.out, rest, n::STATX, "|");
    if rest != 0 {
        let _ = write!(c.out, "|{rest:#x}");
    }
}

/// `struct statx` (`linux/stat.h`).
fn statx(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    c.push("{stx_mask=");
    mask(c, u32_at(d, 0)?.into());
    if c.opts.verbose {
        let _ = write!(c.out, ", stx_blksize={}", u32_at(d, 4)?);
    }
    c.push(", stx_attributes=");
    c.flags(u64_at(d, 8)?, n::STATX_ATTR, "STATX_ATTR_???");
    if c.opts.verbose {
        let (nlink, uid, gid) = (u32_at(d, 16)?, u32_at(d, 20)?, u32_at(d, 24)?);
        let _ = write!(c.out, ", stx_nlink={nlink}, stx_uid={uid}, stx_gid={gid}");
    }
    c.push(", stx_mode=");
    file_mode(c.out, u16_at(d, 28)?.into());
    if c.opts.verbose {
        let _ = write!(c.out, ", stx_ino={}", u64_at(d, 32)?);
    }
    let _ = write!(c.out, ", stx_size={}", u64_at(d, 40)?);
    if !c.opts.verbose {
        c.push(", ...}");
        return Some(());
    }
    let _ = write!(c.out, ", stx_blocks={}, stx_attributes_mask=", u64_at(d, 48)?);
    c.flags(u64_at(d, 56)?, n::STATX_ATTR, "STATX_ATTR_???");
    let told = u32_at(d, 0)?;
    for (name, at, bit) in
        [("atime", 64, 0x20), ("btime", 80, 0x800), ("ctime", 96, 0x80), ("mtime", 112, 0x40)]
    {
        if told & bit == 0 {
            continue;
        }
        let (sec, nsec) = (i64_at(d, at)?, u32_at(d, at + 8)?);
        let _ = write!(c.out, ", stx_{name}={{tv_sec={sec}, tv_nsec={nsec}}}");
        moment(c.out, sec, Some(nsec.into()), 9);
    }
    for (name, at) in [("rdev", 128), ("dev", 136)] {
        let _ = write!(c.out, ", stx_{name}_major=");
        let _ = write!(c.out, "{}, stx_{name}_minor={}", u32_at(d, at)?, u32_at(d, at + 4)?);
    }
    let _ = write!(c.out, ", stx_mnt_id=");
    c.hex(u64_at(d, 144)?);
    c.push("}");
    Some(())
}

/// `struct statfs` (`asm-generic/statfs.h`).
fn statfs(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    c.push("{f_type=");
    c.one_of(u64_at(d, 0)?, n::FS_MAGIC, "????");
    for (i, name) in ["bsize", "blocks", "bfree", "bavail", "files", "ffree"].iter().enumerate() {
        let _ = write!(c.out, ", f_{name}={}", u64_at(d, 8 + i * 8)?);
    }
    c.push(", f_fsid={val=[");
    c.hex(u32_at(d, 56)?.into());
    c.push(", ");
    c.hex(u32_at(d, 60)?.into());
    let _ = write!(c.out, "]}}, f_namelen={}, f_frsize={}, f_flags=", u64_at(d, 64)?, u64_at(d, 72)?);
    c.flags(u64_at(d, 80)?, n::ST_FLAGS, "ST_???");
    c.push("}");
    Some(())
}

/// `struct linux_dirent64` and its name.
struct Dirent<'d> {
    ino: u64,
    off: u64,
    reclen: u16,
    kind: u8,
    name: &'d [u8],
}

fn entries(data: &[u8]) -> impl Iterator<Item = Dirent<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let reclen = u16_at(rest, 16).filter(|n| *n >= 20)?;
        let (entry, after) = rest.split_at_checked(usize::from(reclen))?;
        rest = after;
        let name = entry.get(19..)?.split(|b| *b == 0).next()?;
        Some(Dirent { ino: u64_at(entry, 0)?, off: u64_at(entry, 8)?, reclen, kind: *entry.get(18)?, name })
    })
}

fn dirents(c: &mut Call<'_>, i: usize) {
    let data = match c.capture(i, K::Dirents) {
        Some(read) if !c.failed() => read.data.as_slice(),
        None if c.ret() == Some(0) => &[],
        _ => return c.address(c.value(i)),
    };
    if !c.opts.verbose {
        c.address(c.value(i));
        let _ = write!(c.out, " /* {} entries */", entries(data).count());
        return;
    }
    c.push("[");
    for (k, e) in entries(data).enumerate() {
        c.push(if k == 0 { "" } else { ", " });
        let _ = write!(c.out, "{{d_ino={}, d_off={}, d_reclen={}, d_type=", e.ino, e.off as i64, e.reclen);
        c.one_of(e.kind.into(), n::DT, "DT_???");
        c.push(", d_name=");
        text::quoted(c.out, e.name, e.name.len() as u64, u32::MAX, c.opts.hex_strings);
        c.push("}");
    }
    c.push("]");
}
