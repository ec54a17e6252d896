//! The calls in which threads sleep when they are attached to: nothing tells of them before they return.

use std::fs;

use tracenet_core::event::{Event, EventKind, SyscallEvent, Task};
use tracenet_core::time::MonoNs;

/// Threads looked at.
const MAX_THREADS: usize = 65_536;

/// One event for each thread of `tgid` that is in a syscall (`/proc/PID/task/TID/syscall`, proc(5)). What the arguments
/// point at is not read.
pub fn asleep(tgid: u32, now: MonoNs) -> Vec<Event> {
    let threads = fs::read_dir(format!("/proc/{tgid}/task")).into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| {
        let tid = entry.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(entry.path().join("syscall")).ok()?;
        let (nr, args) = parse(&text)?;
        let call = SyscallEvent {
            task: Task { tgid, tid },
            nr,
            args,
            ret: None,
            entered: now,
            cookie: None,
            captures: Vec::new(),
        };
        Some(Event { t: now, kind: EventKind::Sleeps(Box::new(call)) })
    };
    threads.take(MAX_THREADS).filter_map(one).collect()
}

/// `0 0x3 0x7ffd... 0x1000 0x0 0x0 0x0 0x7ffd... 0x7f...`: number, arguments, stack and instruction pointers. `None`
/// for a thread that runs, or sleeps in no call (`-1`).
fn parse(text: &str) -> Option<(u32, [u64; 6])> {
    let mut words = text.split_ascii_whitespace();
    let nr = words.next()?.parse().ok()?;
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some((nr, args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_in_a_call_has_one() {
        let line = "230 0x0 0x1 0x7ffe 0x0 0x0 0xffffffffffffffff 0x7ffe5 0x7f12\n";
        assert_eq!(parse(line), Some((230, [0, 1, 0x7ffe, 0, 0, u64::MAX])));
        assert_eq!(parse("running\n"), None);
        assert_eq!(parse("-1 0x7ffe 0x7f\n"), None);
    }
}
