//! Threads that sleep and are woken, and the connections that wait with them.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Core;
use crate::event::Task;
use crate::key::SocketCookie;
use crate::time::MonoNs;

/// Threads of which it is remembered what they used; the one known longest makes room.
const MAX_THREADS: usize = 16_384;

/// Sockets remembered of a thread, the last ones that it used.
const MAX_SOCKETS: usize = 8;

/// Sockets of all threads that could be read last: an event loop may not have used them for long.
const MAX_READABLE: usize = 16;

/// Which thread waits for which sockets, as far as can be told from what it used last.
#[derive(Debug, Default)]
pub(super) struct Users {
    sockets: FxHashMap<u32, VecDeque<SocketCookie>>,
    order: VecDeque<u32>,
    readable: VecDeque<SocketCookie>,
    /// When each thread ran last after it had slept or waited, the latest [`MAX_RUNS`] times. Forgotten all at once when
    /// there are too many threads.
    runs: FxHashMap<u32, VecDeque<Run>>,
}

/// A thread runs again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) t: MonoNs,
    slept: MonoNs,
    pub(super) woken: MonoNs,
}

/// A thread that is pushed aside again and again before it first uses a socket is remembered so many times.
const MAX_RUNS: usize = 16;

/// Moves a socket to the end of the list.
fn remember(list: &mut VecDeque<SocketCookie>, cookie: SocketCookie, max: usize) {
    if list.back() == Some(&cookie) {
        return;
    }
    list.retain(|c| *c != cookie);
    if list.len() >= max {
        list.pop_front();
    }
    list.push_back(cookie);
}

impl Core {
    /// A thread used a socket.
    pub(super) fn used(&mut self, tid: u32, cookie: SocketCookie) {
        let Users { sockets, order, .. } = &mut self.users;
        if !sockets.contains_key(&tid) {
            if order.len() >= MAX_THREADS
                && let Some(oldest) = order.pop_front()
            {
                sockets.remove(&oldest);
            }
            order.push_back(tid);
        }
        remember(sockets.entry(tid).or_default(), cookie, MAX_SOCKETS);
    }

    /// A socket told its waiters that it can be read.
    pub(super) fn readable(&mut self, t: MonoNs, cookie: SocketCookie) {
        let Some(c) = self.table.by_cookie(cookie).and_then(|slot| self.table.get_mut(slot)) else { return };
        c.notes.readable(t);
        remember(&mut self.users.readable, cookie, MAX_READABLE);
    }

    /// A thread has used a socket for the first time, as far as is known: what it waited for before was this one.
    pub(super) fn first_use(&mut self, tid: u32, cookie: SocketCookie) {
        let Some(c) = self.table.by_cookie(cookie).and_then(|slot| self.table.get_mut(slot)) else { return };
        for run in self.users.runs.get(&tid).into_iter().flatten() {
            c.notes.ran(run.t, run.slept, run.woken);
        }
    }

    /// The last time that a thread ran after it had slept or waited.
    pub(super) fn last_run(&self, tid: u32) -> Option<Run> {
        self.users.runs.get(&tid)?.back().copied()
    }

    /// A thread runs again: those of its connections hear of it whose turn is open.
    pub(super) fn scheduled(&mut self, t: MonoNs, task: Task, slept: MonoNs, woken: MonoNs) {
        // It may have slept and run many times since, while nobody looked.
        if self.steps.resumed.is_some_and(|resumed| slept < resumed) {
            return;
        }
        if self.users.runs.len() >= MAX_THREADS {
            self.users.runs.clear();
        }
        let runs = self.users.runs.entry(task.tid).or_default();
        if runs.len() >= MAX_RUNS {
            runs.pop_front();
        }
        runs.push_back(Run { t, slept, woken });
        let Users { sockets, readable, .. } = &self.users;
        let own = sockets.get(&task.tid);
        let others = readable.iter().filter(|c| !own.is_some_and(|own| own.contains(c)));
        for cookie in own.into_iter().flatten().chain(others) {
            if let Some(slot) = self.table.by_cookie(*cookie)
                && let Some(c) = self.table.get_mut(slot)
                && c.is_used_by(task.tid)
            {
                c.notes.ran(t, slept, woken);
            }
        }
    }
}
