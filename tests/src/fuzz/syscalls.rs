//! Syscalls as strace prints them.

use tracenet_core::event::{Capture, SyscallEvent, Task};
use tracenet_core::key::SocketCookie;
use tracenet_core::syscall::{FdPaths, HexStrings, PlanOptions, RenderOptions, plan, render_timed};
use tracenet_core::time::MonoNs;

use super::Bytes;

/// Any call with any captures: as its plan asks for them, or as nobody does.
pub fn syscalls(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut line = String::new();
    while !bytes.is_empty() {
        let call = call(&mut bytes, Task { tgid: 1, tid: 1 });
        let options = RenderOptions {
            string_limit: bytes.number(),
            durations: bytes.flag(),
            hex_strings: [HexStrings::Never, HexStrings::NonAscii, HexStrings::Always]
                [usize::from(bytes.u8() % 3)],
            verbose: bytes.flag(),
            fd_paths: [FdPaths::None, FdPaths::Path, FdPaths::Details][usize::from(bytes.u8() % 3)],
            interfaces: &[],
        };
        let captured: usize = call.captures.iter().map(|c| c.data.len()).sum();
        line.clear();
        render_timed(&call, MonoNs(bytes.u64()), &options, &mut line);
        assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line:?}");
        // A byte of a pollfd becomes no more than this, and what was not captured takes none.
        assert!(line.len() <= 4096 + 64 * captured, "{} bytes of {captured}: {line}", line.len());
    }
}

/// A call; its entry is any time.
pub(super) fn call(bytes: &mut Bytes<'_>, task: Task) -> SyscallEvent {
    let nr = if bytes.flag() { u32::from(bytes.u16()) % 512 } else { bytes.number() };
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = if bytes.flag() { u64::from(bytes.number()) } else { bytes.u64() };
    }
    let ret = match bytes.u8() {
        0 => None,
        1..=79 => Some(-i64::from(bytes.u16() % 600)),
        80..=239 => Some(i64::from(bytes.number())),
        _ => Some(bytes.u64() as i64),
    };
    let specs = plan(nr, PlanOptions { verbose: true, fd_paths: true }).captures;
    let mut captures = Vec::new();
    for _ in 0..bytes.u8() % 5 {
        let wanted = bytes.u8();
        let spec = specs.get(usize::from(wanted)).filter(|_| wanted < 12);
        let (arg, kind) =
            spec.map_or_else(|| (bytes.u8(), bytes.u8() % 32), |spec| (spec.arg, spec.kind as u8));
        let len = bytes.number().min(600) as usize;
        let data = bytes.take(len).to_vec();
        let full_len = if bytes.flag() { bytes.u32() } else { data.len() as u32 };
        captures.push(Capture { arg, kind, full_len, data });
    }
    SyscallEvent {
        task,
        nr,
        args,
        ret,
        entered: MonoNs(bytes.u64()),
        cookie: Some(u64::from(bytes.u8() & 7)).filter(|c| *c != 0).map(SocketCookie),
        captures,
    }
}
