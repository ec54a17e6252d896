//! The least that watching syscalls costs: a pair of raw tracepoint programs that does nothing, or that writes one record
//! of the size of tracenet's to a ring buffer. Written in BPF's instructions, so that nothing of ours is in it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags, mmap};

// bpf(2) commands and types (include/uapi/linux/bpf.h).
const MAP_CREATE: libc::c_int = 0;
const PROG_LOAD: libc::c_int = 5;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const TYPE_RINGBUF: u32 = 27;
const TYPE_RAW_TRACEPOINT: u32 = 17;
const RINGBUF_OUTPUT: i32 = 130;

/// Bytes of the record: those of one call without captured memory.
const RECORD: i16 = 104;
const RING_BYTES: u32 = 32 << 20;
const PAGE: usize = 4096;

/// The pair, attached until it is dropped.
pub struct Floor {
    _links: [OwnedFd; 2],
    reader: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Floor {
    /// Two programs that return at once.
    pub fn empty() -> io::Result<Self> {
        Ok(Self { _links: [attach("sys_enter", &NOTHING)?, attach("sys_exit", &NOTHING)?], reader: None })
    }

    /// One that returns at once, and one at the exit that writes a record. A thread takes the records away.
    pub fn writing() -> io::Result<Self> {
        let attr = [u64::from(TYPE_RINGBUF), u64::from(RING_BYTES) << 32];
        let map = bpf(MAP_CREATE, &attr)?;
        let links = [attach("sys_enter", &NOTHING)?, attach("sys_exit", &writing(map.as_raw_fd()))?];
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let reader = std::thread::spawn(move || consume(&map, &theirs));
        Ok(Self { _links: links, reader: Some((stop, reader)) })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        if let Some((stop, reader)) = self.reader.take() {
            stop.store(true, Ordering::Relaxed);
            let _ = reader.join();
        }
    }
}

/// `struct bpf_insn` as a number.
const fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> u64 {
    code as u64
        | (dst as u64) << 8
        | (src as u64) << 12
        | (off as u16 as u64) << 16
        | (imm as u32 as u64) << 32
}

/// `r0 = 0; exit`
const NOTHING: [u64; 2] = [insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0)];

/// `bpf_ringbuf_output(map, record on the stack, RECORD, 0)`
fn writing(map: i32) -> Vec<u64> {
    let mut code: Vec<u64> = (1..=RECORD / 8).map(|i| insn(0x7a, 10, 0, -8 * i, 0)).collect();
    code.extend([
        insn(0x18, 1, 1, 0, map),
        0,
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -i32::from(RECORD)),
        insn(0xb7, 3, 0, 0, RECORD.into()),
        insn(0xb7, 4, 0, 0, 0),
        insn(0x85, 0, 0, 0, RINGBUF_OUTPUT),
    ]);
    code.extend(NOTHING);
    code
}

fn attach(tracepoint: &str, code: &[u64]) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let count = u64::try_from(code.len()).map_err(io::Error::other)?;
    let attr = [u64::from(TYPE_RAW_TRACEPOINT) | count << 32, code.as_ptr() as u64, license.as_ptr() as u64];
    let program = bpf(PROG_LOAD, &attr)?;
    let name = std::ffi::CString::new(tracepoint)?;
    bpf(
        RAW_TRACEPOINT_OPEN,
        &[name.as_ptr() as u64, u64::try_from(program.as_raw_fd()).map_err(io::Error::other)?],
    )
}

fn bpf(command: libc::c_int, attr: &[u64]) -> io::Result<OwnedFd> {
    // SAFETY: the attribute and what it points at live through the call, and its size is told.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(attr)) };
    match i32::try_from(fd) {
        // SAFETY: a descriptor that the kernel has just made and nobody else knows.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Says of all records that they were read (`kernel/bpf/ringbuf.c`: the consumer's page, then the producer's).
fn consume(map: &OwnedFd, stop: &AtomicBool) {
    let Ok(file) = map.try_clone().map(File::from) else { return };
    let Ok(page) = std::num::NonZeroUsize::try_from(PAGE) else { return };
    // SAFETY: new mappings of a ring buffer's two pages; they stay for the process's life.
    let pages = unsafe {
        (
            mmap(None, page, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &file, 0),
            mmap(None, page, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, PAGE as i64),
        )
    };
    let (Ok(consumer), Ok(producer)) = pages else { return };
    // SAFETY: both pages begin with a position of 64 bits that is only read and written as a whole.
    let (consumer, producer) =
        unsafe { (consumer.cast::<AtomicU64>().as_ref(), producer.cast::<AtomicU64>().as_ref()) };
    while !stop.load(Ordering::Relaxed) {
        consumer.store(producer.load(Ordering::Acquire), Ordering::Release);
        std::thread::sleep(Duration::from_millis(1));
    }
}
