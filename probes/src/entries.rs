//! Syscalls put together: what was read when a call was entered comes in a record of its own, before the call's.

use rustc_hash::FxHashMap;
use tracenet_core::event::{Capture, EventKind, SyscallEvent, Task};
use tracenet_core::key::SocketCookie;
use tracenet_core::syscall::CaptureKind;
use tracenet_core::time::MonoNs;

use crate::abi::{self, EvSyscall, phase};

/// Threads that may be in a call of which something was read at the entry. Beyond them, what was read is forgotten, and
/// those calls print as addresses what they overwrote.
const ENTRIES_MAX: usize = 65_536;

/// Other ends of AF_UNIX sockets that are remembered.
const PEERS_MAX: usize = 65_536;

/// What was read at the entries of calls that are under way.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    by_thread: FxHashMap<u32, (u32, Vec<Capture>)>,
    /// Inode of an AF_UNIX socket -> that of its other end: once that is closed, the kernel knows it no more.
    peers: FxHashMap<u64, u64>,
}

impl Entries {
    /// Takes a record: `Some(None)` for what was read at an entry, the call once its thread sleeps in it, it returned, or
    /// never will. `None` where the record is cut short.
    #[expect(clippy::option_option, reason = "a record that makes no sense differs from one that waits")]
    pub(crate) fn complete(&mut self, task: Task, record: &[u8]) -> Option<Option<EventKind>> {
        let e: EvSyscall = abi::read(record)?;
        let start = size_of::<EvSyscall>();
        // The ring buffer pads records; what counts is the length said.
        let rest = record.get(start..start.checked_add(usize::from(e.captures_len))?)?;
        let mut read = Vec::new();
        if e.phase == phase::ENTERED {
            captures(rest, &mut read)?;
            read.iter_mut().for_each(|c| self.recall_peer(c));
            if self.by_thread.len() >= ENTRIES_MAX {
                self.by_thread.clear();
            }
            self.by_thread.insert(task.tid, (e.nr, read));
            return Some(None);
        }
        let sleeps = e.phase == phase::SLEEPS;
        if !self.by_thread.is_empty() {
            let before = match sleeps {
                true => self.by_thread.get(&task.tid).cloned(),
                false => self.by_thread.remove(&task.tid),
            };
            if let Some((nr, before)) = before
                && nr == e.nr
            {
                read = before;
            }
        }
        captures(rest, &mut read)?;
        let call = Box::new(SyscallEvent {
            task,
            nr: e.nr,
            args: e.args,
            ret: (e.phase == phase::RETURNED).then_some(e.ret),
            entered: MonoNs(e.entered),
            cookie: (e.cookie != 0).then_some(SocketCookie(e.cookie)),
            captures: read,
        });
        Some(Some(if sleeps { EventKind::Sleeps(call) } else { EventKind::Syscall(call) }))
    }
}

impl Entries {
    /// Completes what is known of an AF_UNIX socket.
    fn recall_peer(&mut self, capture: &mut Capture) {
        const AF_UNIX: u16 = 1;
        if capture.kind & !abi::CAPTURE_AT_ENTRY != CaptureKind::Fd as u8 {
            return;
        }
        let Some(info) = abi::read::<abi::FdInfo>(&capture.data).filter(|i| { i.family } == AF_UNIX) else {
            return;
        };
        let (inode, peer) = (info.ino, info.peer);
        if peer != 0 {
            if self.peers.len() >= PEERS_MAX {
                self.peers.clear();
            }
            self.peers.insert(inode, peer);
        } else if let Some(peer) = self.peers.get(&inode) {
            let at = std::mem::offset_of!(abi::FdInfo, peer);
            if let Some(field) = capture.data.get_mut(at..at + 8) {
                field.copy_from_slice(&peer.to_ne_bytes());
            }
        }
    }
}

/// `{ u8 arg; u8 kind; u16 len; u32 full_len; u8 data[len]; }`, one behind the other. `None` where one is cut short.
fn captures(mut rest: &[u8], out: &mut Vec<Capture>) -> Option<()> {
    const HEAD: usize = 8;
    while !rest.is_empty() {
        let head: [u8; HEAD] = rest.get(..HEAD)?.try_into().ok()?;
        let len = usize::from(u16::from_ne_bytes([head[2], head[3]]));
        let data = rest.get(HEAD..HEAD + len)?;
        out.push(Capture {
            arg: head[0],
            kind: head[1],
            full_len: u32::from_ne_bytes([head[4], head[5], head[6], head[7]]),
            data: data.to_vec(),
        });
        rest = rest.get(HEAD + len..)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{Wire, kind};
    use crate::decode::Decoder;

    fn bytes_of<T: Wire>(t: &T) -> Vec<u8> {
        // SAFETY: `Wire` types have no padding, so every byte is initialised.
        unsafe { std::slice::from_raw_parts((&raw const *t).cast::<u8>(), size_of::<T>()) }.to_vec()
    }

    fn zeroed<T: Wire>() -> T {
        abi::read(&vec![0; size_of::<T>()]).unwrap()
    }

    fn decoder() -> Decoder {
        Decoder::default()
    }

    fn syscall_record(captures: &[u8]) -> Vec<u8> {
        let mut e: EvSyscall = zeroed();
        e.h.kind = kind::SYSCALL;
        e.nr = 1;
        e.phase = phase::RETURNED;
        e.captures_len = captures.len() as u16;
        let mut record = bytes_of(&e);
        record.extend_from_slice(captures);
        record
    }

    #[test]
    fn captures_come_out_as_they_were_packed() {
        let record = syscall_record(&[1, 2, 3, 0, 9, 0, 0, 0, b'a', b'b', b'c', 4, 4, 0, 0, 0, 0, 0, 0]);
        let mut out = Vec::new();
        decoder().decode(&record, &mut out);
        let EventKind::Syscall(s) = &out[0].kind else { panic!("{out:?}") };
        assert_eq!(s.ret, Some(0));
        assert_eq!(s.captures.len(), 2);
        assert_eq!((s.captures[0].full_len, s.captures[0].data.as_slice()), (9, b"abc".as_slice()));
        assert_eq!((s.captures[1].arg, s.captures[1].data.len()), (4, 0));
    }

    #[test]
    fn records_cut_short_are_counted_and_say_nothing() {
        let whole = syscall_record(&[1, 2, 3, 0, 9, 0, 0, 0, b'a', b'b', b'c']);
        let mut decoder = decoder();
        for len in 0..whole.len() {
            let mut out = Vec::new();
            decoder.decode(&whole[..len], &mut out);
            assert!(out.is_empty(), "{len}: {out:?}");
        }
        assert_eq!(decoder.malformed, whole.len() as u64);
        // A capture that claims more than the record has.
        let mut out = Vec::new();
        decoder.decode(&syscall_record(&[1, 2, 200, 0, 9, 0, 0, 0, b'a']), &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn what_was_read_at_the_entry_stands_before_what_was_read_at_the_exit() {
        let mut decoder = decoder();
        let mut out = Vec::new();
        let mut entry = syscall_record(&[2, 0x8a, 1, 0, 1, 0, 0, 0, b'x']);
        entry[std::mem::offset_of!(EvSyscall, phase)] = phase::ENTERED;
        decoder.decode(&entry, &mut out);
        assert!(out.is_empty());
        for _ in 0..2 {
            decoder.decode(&syscall_record(&[1, 2, 1, 0, 1, 0, 0, 0, b'y']), &mut out);
        }
        let kinds = |i: usize| match &out[i].kind {
            EventKind::Syscall(s) => s.captures.iter().map(|c| c.kind).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!((kinds(0), kinds(1)), (vec![0x8a, 2], vec![2]));
    }
}
