//! Reads, writes, and what moves bytes between descriptors.

use std::fmt::Write;

use crate::syscall::call::Call;
use crate::syscall::names::file as n;
use crate::syscall::netlink;
use crate::syscall::plan::{CALLERS, CaptureKind as K, entry, spec};
use crate::syscall::shape::Arg::{BufIn, BufOut, Fd, Flags, Hidden, Int, Long, OneOf, Size, Uint, With};
use crate::syscall::shape::{Arg, Shape, call};
use crate::syscall::text::{i64_at, u64_at};

const SPLICE: Arg = Flags(n::SPLICE, "SPLICE_F_???");
const RWF: Arg = Flags(n::RWF, "RWF_???");
const READ_VECTOR: Arg = Arg::Late(|c, i| iovecs(c, i, i + 1, false));
const WRITE_VECTOR: Arg = With(|c, i| iovecs(c, i, i + 1, true));
const READS: &[crate::syscall::plan::CaptureSpec] = &[spec(1, K::Iovec, 2)];
const WRITES: &[crate::syscall::plan::CaptureSpec] = &[spec(1, K::Iovec, 2 | CALLERS)];

pub(super) const CALLS: &[Shape] = &[
    call("read", &[Fd, BufOut, Size]),
    call("write", &[Fd, BufIn(2), Size]),
    call("pread64", &[Fd, BufOut, Size, Long]),
    call("pwrite64", &[Fd, BufIn(2), Size, Long]),
    call("readv", &[Fd, READ_VECTOR, Size]).reads(READS),
    call("writev", &[Fd, WRITE_VECTOR, Size]).reads(WRITES),
    call("preadv", &[Fd, READ_VECTOR, Size, Long]).reads(READS),
    call("pwritev", &[Fd, WRITE_VECTOR, Size, Long]).reads(WRITES),
    call("preadv2", &[Fd, READ_VECTOR, Size, Long, Hidden, RWF]).reads(READS),
    call("pwritev2", &[Fd, WRITE_VECTOR, Size, Long, Hidden, RWF]).reads(WRITES),
    call("vmsplice", &[Fd, WRITE_VECTOR, Size, SPLICE]).reads(WRITES),
    call("process_vm_readv", &[Int, With(|c, i| iovecs(c, i, i + 1, false)), Size, With(remote), Size, Size])
        .reads(&[spec(1, K::Iovec, 2), spec(3, K::StructByArg, 4 | 16 << 8)]),
    call("process_vm_writev", &[Int, With(|c, i| iovecs(c, i, i + 1, true)), Size, With(remote), Size, Size])
        .reads(&[spec(1, K::Iovec, 2 | CALLERS), spec(3, K::StructByArg, 4 | 16 << 8)]),
    call("lseek", &[Fd, Long, OneOf(n::WHENCE, "SEEK_???")]),
    call("sendfile", &[Fd, Fd, With(sendfile_offset), Size])
        .reads(&[entry(2, K::Fixed, 8), spec(2, K::Fixed, 8)]),
    call("splice", &[Fd, With(offset), Fd, With(offset), Size, SPLICE])
        .reads(&[entry(1, K::Fixed, 8), entry(3, K::Fixed, 8)]),
    call("copy_file_range", &[Fd, With(offset), Fd, With(offset), Size, Arg::Uint])
        .reads(&[entry(1, K::Fixed, 8), entry(3, K::Fixed, 8)]),
    call("tee", &[Fd, Fd, Size, SPLICE]),
    call(
        "process_madvise",
        &[Fd, With(remote2), Size, OneOf(crate::syscall::names::memory::MADV, "MADV_???"), Uint],
    )
    .reads(&[spec(1, K::StructByArg, 2 | 16 << 8)]),
];

/// `struct iovec`.
const IOVEC: usize = 16;

fn iovecs(c: &mut Call<'_>, i: usize, count: usize, writes: bool) {
    let moved = if writes { u64::MAX } else { c.returned() };
    let known = writes || !c.failed();
    vector(c, i, c.value(i), c.value(count), known.then_some(moved));
}

/// The iovecs that the captures of argument `tag` tell of, with their data; without it where `moved` is `None`.
pub(super) fn vector(c: &mut Call<'_>, tag: usize, address: u64, count: u64, moved: Option<u64>) {
    let array = c.capture(tag, K::Iovec).map_or(&[][..], |read| &read.data);
    if address == 0 || (count > 0 && array.len() < IOVEC) {
        return c.address(address);
    }
    let mut pieces = c.ev.captures.iter().filter(|x| usize::from(x.arg) == tag && x.kind == K::IovData as u8);
    let mut left = moved.unwrap_or(0);
    c.push("[");
    let mut shown = 0;
    for iovec in array.chunks_exact(IOVEC).take(c.array_limit()) {
        let (base, len) = (u64_at(iovec, 0).unwrap_or(0), u64_at(iovec, 8).unwrap_or(0));
        let there = len.min(left);
        // The probe captures a piece for each iovec until all that was moved has been told.
        let piece = if left > 0 { pieces.next() } else { None };
        left -= there;
        c.push(if shown == 0 { "" } else { ", " });
        shown += 1;
        c.push("{iov_base=");
        match (piece, c.netlink()) {
            _ if moved.is_none() => c.address(base),
            (Some(p), Some(protocol)) if base != 0 && netlink::messages(c, protocol, &p.data, there) => {}
            (Some(p), _) if base != 0 && (there == 0 || !p.data.is_empty() || c.opts.string_limit == 0) => {
                c.quoted(&p.data, there);
            }
            (None, _) if base != 0 && there == 0 => c.push("\"\""),
            _ => c.address(base),
        }
        let _ = write!(c.out, ", iov_len={len}}}");
    }
    c.push(match (count > shown, shown) {
        (true, 0) => "...]",
        (true, _) => ", ...]",
        (false, _) => "]",
    });
}

/// iovecs of another process's memory: addresses only.
fn remote(c: &mut Call<'_>, i: usize) {
    match c.capture(i, K::StructByArg) {
        Some(read) if c.value(i) != 0 => c.array(&read.data, IOVEC, c.value(i + 1), |c, d| {
            c.push("{iov_base=");
            c.address(u64_at(d, 0)?);
            let _ = write!(c.out, ", iov_len={}}}", u64_at(d, 8)?);
            Some(())
        }),
        _ => c.address(c.value(i)),
    }
}

fn remote2(c: &mut Call<'_>, i: usize) {
    remote(c, i);
}

/// An offset as it was when the call was entered.
fn offset(c: &mut Call<'_>, i: usize) {
    match c.fixed_before(i).and_then(|d| i64_at(d, 0)) {
        Some(before) => _ = write!(c.out, "[{before}]"),
        None => c.address(c.value(i)),
    }
}

fn sendfile_offset(c: &mut Call<'_>, i: usize) {
    offset(c, i);
    if let Some(after) = c.fixed(i).and_then(|d| i64_at(d, 0)).filter(|_| c.returned() > 0) {
        let _ = write!(c.out, " => [{after}]");
    }
}
