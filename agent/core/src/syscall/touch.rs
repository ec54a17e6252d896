//! Which calls have to do with a file (strace's `-P`).

use super::call::AT_ENTRY;
use super::fd;
use super::plan::CaptureKind;
use crate::event::SyscallEvent;

/// Whether a call names this path, just so, or is given a descriptor of it or returns one. What descriptors are is known
/// where [`PlanOptions::fd_paths`](super::PlanOptions) asked for it.
pub fn touches(ev: &SyscallEvent, path: &[u8]) -> bool {
    const FDS: [CaptureKind; 5] =
        [CaptureKind::Fd, CaptureKind::FdRet, CaptureKind::FdPair, CaptureKind::FdPoll, CaptureKind::FdSet];
    ev.captures.iter().any(|c| {
        let kind = c.kind & !AT_ENTRY;
        if kind == CaptureKind::CString as u8 {
            return c.data.split(|b| *b == 0).next() == Some(path);
        }
        FDS.iter().any(|k| *k as u8 == kind) && fd::is_of(&c.data, path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Capture, Task};
    use crate::time::MonoNs;

    fn call(kind: u8, data: Vec<u8>) -> SyscallEvent {
        let capture = Capture { arg: 1, kind, full_len: data.len() as u32, data };
        SyscallEvent {
            task: Task::default(),
            nr: 0,
            args: [0; 6],
            ret: Some(0),
            entered: MonoNs(0),
            cookie: None,
            captures: vec![capture],
        }
    }

    #[test]
    fn a_path_is_matched_whole_in_arguments_and_descriptors() {
        let named = call(CaptureKind::CString as u8, b"/etc/passwd\0".to_vec());
        assert!(touches(&named, b"/etc/passwd") && !touches(&named, b"/etc"));
        let mut info = vec![0; 72];
        info[28..30].copy_from_slice(&0o100_644u16.to_ne_bytes());
        info.extend_from_slice(b"passwd\0etc\0");
        let held = call(CaptureKind::Fd as u8 | AT_ENTRY, info);
        assert!(touches(&held, b"/etc/passwd"));
        assert!(!touches(&held, b"/passwd") && !touches(&held, b"/var/etc/passwd") && !touches(&held, b""));
        assert!(!touches(&call(CaptureKind::Fd as u8, vec![1; 80]), b"/etc/passwd"));
    }
}
