//! Address spaces.

use std::fmt::Write;

use crate::syscall::call::Call;
use crate::syscall::names::memory as n;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Fd, Flags, Hex, Hex32, Int, OneOf, Ptr, Size, With};
use crate::syscall::shape::{Arg, Ret, Shape, call};
use crate::syscall::text;

const PROT: Arg = Flags(n::PROT, "PROT_???");

pub(super) const CALLS: &[Shape] = &[
    call("mmap", &[Ptr, Size, PROT, With(map_flags), Fd, Hex]).ret(Ret::Hex),
    call("munmap", &[Ptr, Size]),
    call("mprotect", &[Ptr, Size, PROT]),
    call("pkey_mprotect", &[Ptr, Size, PROT, Int]),
    call("pkey_alloc", &[Hex32, Flags(&[(1, "PKEY_DISABLE_ACCESS"), (2, "PKEY_DISABLE_WRITE")], "PKEY_???")]),
    call("mremap", &[Ptr, Size, Size, Flags(n::MREMAP, "MREMAP_???"), Ptr])
        .ret(Ret::Hex)
        .count(|c| if c.value(3) & 3 == 3 { 5 } else { 4 }),
    call("brk", &[Ptr]).ret(Ret::Hex),
    call("madvise", &[Ptr, Size, OneOf(n::MADV, "MADV_???")]),
    call("msync", &[Ptr, Size, Flags(n::MS, "MS_???")]),
    call("mincore", &[Ptr, Size, With(resident)]).reads(&[spec(2, K::Fixed, 64)]),
    call("mlock", &[Ptr, Size]),
    call("mlock2", &[Ptr, Size, Flags(&[(1, "MLOCK_ONFAULT")], "MLOCK_???")]),
    call("munlock", &[Ptr, Size]),
    call("mlockall", &[Flags(n::MCL, "MCL_???")]),
    call("munlockall", &[]),
    call("membarrier", &[OneOf(n::MEMBARRIER, "MEMBARRIER_CMD_???"), Hex32]).ret(Ret::With(membarrier)),
];

fn map_flags(c: &mut Call<'_>, i: usize) {
    let v = c.low(i);
    c.one_of(v & 0xf, n::MAP_TYPE, "MAP_???");
    let huge = if v & 0x40000 != 0 { v & 0x3f << 26 } else { 0 };
    let rest = text::known_flags(c.out, v & !0xf & !huge, n::MAP, "|");
    if rest != 0 {
        let _ = write!(c.out, "|{rest:#x}");
    }
    if huge != 0 {
        let _ = write!(c.out, "|{}<<MAP_HUGE_SHIFT", huge >> 26);
    }
}

/// A byte a page.
fn resident(c: &mut Call<'_>, i: usize) {
    let pages = c.value(1).div_ceil(4096);
    match c.fixed(i).filter(|_| !c.failed()) {
        Some(data) => c.array(data, 1, pages, |c, d| {
            let _ = write!(c.out, "{}", d.first()? & 1);
            Some(())
        }),
        None => c.address(c.value(i)),
    }
}

/// A query is answered by the commands that there are.
fn membarrier(c: &mut Call<'_>, ret: i64) {
    if c.low(0) != 0 {
        let _ = write!(c.out, "{ret}");
        return;
    }
    text::hex(c.out, ret as u64);
    if ret != 0 {
        c.push(" (");
        c.flags(ret as u64, n::MEMBARRIER, "MEMBARRIER_CMD_???");
        c.push(")");
    }
}
