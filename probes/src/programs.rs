//! What the kernel knows of loaded BPF programs (bpf(2), proc(5)): size, what the verifier did, and how long they ran.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya::sys::{Stats, enable_stats};

use crate::spec::SPECS;

// Commands and types of bpf(2) (include/uapi/linux/bpf.h).
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u64 = 17;

/// One program in the kernel, as `struct bpf_prog_info` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The kernel's number for it.
    pub id: u32,
    /// Its name; of one that isn't tracenet's the 15 bytes that the kernel keeps.
    pub name: String,
    /// Where it hooks, of tracenet's own, e.g. `tp_btf/tcp_retransmit_skb`.
    pub hook: Option<&'static str>,
    /// A link of the process holds it, so that it runs where it hooks. Iterators and filters are attached on demand.
    pub attached: bool,
    /// Runs while statistics were enabled ([`Statistics`]).
    pub runs: u64,
    /// Nanoseconds of these, the statistics' own cost included.
    pub run_ns: u64,
    /// Instructions that the verifier went through (since 5.16, else 0). Those of all paths: more than the program has.
    pub verified_insns: u32,
    /// Bytes of BPF instructions, 8 each, after the verifier removed what can't be reached.
    pub translated_bytes: u32,
    /// Bytes of machine code; 0 where the kernel interprets, or hides them.
    pub jited_bytes: u32,
}

impl Program {
    fn new(info: &Info, attached: bool) -> Self {
        let known = info.known_name();
        let spec = SPECS.iter().find(|spec| kept(spec.name) == known);
        Self {
            id: info.u32_at(ID),
            name: spec
                .map_or_else(|| String::from_utf8_lossy(known).into_owned(), |spec| spec.name.to_owned()),
            hook: spec.map(|spec| spec.label),
            attached,
            runs: info.u64_at(RUN_COUNT),
            run_ns: info.u64_at(RUN_TIME),
            verified_insns: info.u32_at(VERIFIED_INSNS),
            translated_bytes: info.u32_at(TRANSLATED),
            jited_bytes: info.u32_at(JITED),
        }
    }
}

/// What the kernel keeps of a name: BPF_OBJ_NAME_LEN with the final zero.
fn kept(name: &str) -> &[u8] {
    name.as_bytes().get(..15).unwrap_or(name.as_bytes())
}

/// The programs that a process holds, in the order in which they were loaded. It needs CAP_SYS_ADMIN.
///
/// # Errors
/// Where the process is gone, or its descriptors or programs may not be looked at.
pub fn programs_of(pid: u32) -> io::Result<Vec<Program>> {
    let mut held: BTreeMap<u32, bool> = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A descriptor that was closed meanwhile.
        let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
        let link = text.lines().any(|line| line.starts_with("link_id:"));
        if let Some(id) = text
            .lines()
            .find_map(|line| line.strip_prefix("prog_id:"))
            .and_then(|id| id.trim().parse::<u32>().ok())
        {
            *held.entry(id).or_default() |= link;
        }
    }
    held.into_iter()
        .map(|(id, attached)| {
            let program = bpf_fd(BPF_PROG_GET_FD_BY_ID, &[u64::from(id)])?;
            let info = Info::of(program.as_fd()).ok_or_else(io::Error::last_os_error)?;
            Ok(Program::new(&info, attached))
        })
        .collect()
}

/// Statistics of all BPF programs of the host (BPF_ENABLE_STATS, since 5.8), for as long as this lives. They cost each
/// run some tens of nanoseconds, of which [`Nothing`] shows what is within [`Program::run_ns`].
#[derive(Debug)]
pub struct Statistics(#[expect(dead_code, reason = "held, not used")] OwnedFd);

impl Statistics {
    /// Needs CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// Where it is missing, or the kernel is older.
    pub fn enable() -> io::Result<Self> {
        enable_stats(Stats::RunTime).map(Self).map_err(|e| e.io_error)
    }
}

/// A program that does nothing, attached to a tracepoint while this lives.
#[derive(Debug)]
pub struct Nothing {
    program: OwnedFd,
    _link: OwnedFd,
}

impl Nothing {
    /// Attaches one to a raw tracepoint, e.g. `sys_enter`.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn attach(tracepoint: &std::ffi::CStr) -> io::Result<Self> {
        // `r0 = 0; exit` (`struct bpf_insn`).
        const CODE: [u64; 2] = [0xb7, 0x95];
        let license = c"GPL";
        let count = CODE.len() as u64;
        let load =
            [BPF_PROG_TYPE_RAW_TRACEPOINT | count << 32, CODE.as_ptr() as u64, license.as_ptr() as u64];
        let program = bpf_fd(BPF_PROG_LOAD, &load)?;
        let link = open_raw_tracepoint(&program, Some(tracepoint))?;
        Ok(Self { program, _link: link })
    }

    /// What the kernel counted of it; `None` where it doesn't tell.
    pub fn program(&self) -> Option<Program> {
        Info::of(self.program.as_fd()).map(|info| Program::new(&info, true))
    }
}

/// `bpf_prog_info.recursion_misses` (since 5.12); `None` where the kernel doesn't tell.
pub(crate) fn recursion_misses(program: BorrowedFd<'_>) -> Option<u64> {
    Info::of(program)
        .filter(|info| info.told >= RECURSION_MISSES + 8)
        .map(|info| info.u64_at(RECURSION_MISSES))
}

// Offsets in `struct bpf_prog_info`.
const ID: usize = 4;
const JITED: usize = 16;
const TRANSLATED: usize = 20;
const NAME: usize = 64;
const RUN_TIME: usize = 192;
const RUN_COUNT: usize = 200;
const RECURSION_MISSES: usize = 208;
const VERIFIED_INSNS: usize = 216;
const INFO_BYTES: usize = 232;

/// `struct bpf_prog_info`; what the kernel doesn't know of it is 0. Its arrays are not asked for.
#[repr(C, align(8))]
struct Info {
    bytes: [u8; INFO_BYTES],
    /// So many bytes were filled in.
    told: usize,
}

impl Info {
    fn of(program: BorrowedFd<'_>) -> Option<Self> {
        let mut info = Self { bytes: [0; INFO_BYTES], told: 0 };
        let number = u64::try_from(program.as_raw_fd()).ok()?;
        let mut attr = [number | (INFO_BYTES as u64) << 32, info.bytes.as_mut_ptr() as u64];
        // SAFETY: attr and info are valid for the call, and the kernel writes no more than INFO_BYTES.
        let r = unsafe {
            libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, attr.as_mut_ptr(), size_of_val(&attr))
        };
        info.told = usize::try_from(attr.first()? >> 32).ok()?;
        (r == 0).then_some(info)
    }

    fn u32_at(&self, at: usize) -> u32 {
        self.bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
    }

    fn u64_at(&self, at: usize) -> u64 {
        self.bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b))
    }

    fn known_name(&self) -> &[u8] {
        let field = self.bytes.get(NAME..NAME + 16).unwrap_or_default();
        field.split(|b| *b == 0).next().unwrap_or_default()
    }
}

/// Attaches a program to a raw tracepoint; without a name, to the one that it was loaded for. Closing the link detaches it.
pub(crate) fn open_raw_tracepoint(program: &OwnedFd, name: Option<&std::ffi::CStr>) -> io::Result<OwnedFd> {
    let number = u64::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    bpf_fd(BPF_RAW_TRACEPOINT_OPEN, &[name.map_or(0, |name| name.as_ptr() as u64), number])
}

/// A command of bpf(2) that makes a descriptor.
fn bpf_fd(command: libc::c_int, attr: &[u64]) -> io::Result<OwnedFd> {
    // SAFETY: the attribute and what it points at live through the call, and its size is told.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(attr)) };
    match i32::try_from(fd) {
        // SAFETY: a descriptor that the kernel has just made and nobody else knows.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_keeps_of_the_names_tells_them_apart() {
        let names: std::collections::BTreeSet<&[u8]> = SPECS.iter().map(|spec| kept(spec.name)).collect();
        assert_eq!(names.len(), SPECS.len());
    }

    #[test]
    fn offsets_are_those_of_the_header() {
        use aya_obj::generated::bpf_prog_info as Header;
        assert_eq!(std::mem::offset_of!(Header, id), ID);
        assert_eq!(std::mem::offset_of!(Header, jited_prog_len), JITED);
        assert_eq!(std::mem::offset_of!(Header, xlated_prog_len), TRANSLATED);
        assert_eq!(std::mem::offset_of!(Header, name), NAME);
        assert_eq!(std::mem::offset_of!(Header, run_time_ns), RUN_TIME);
        assert_eq!(std::mem::offset_of!(Header, run_cnt), RUN_COUNT);
        assert_eq!(std::mem::offset_of!(Header, recursion_misses), RECURSION_MISSES);
        assert_eq!(std::mem::offset_of!(Header, verified_insns), VERIFIED_INSNS);
    }
}
