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
}

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

    /// A thread runs again: those of its connections hear of it whose turn is open.
    pub(super) fn scheduled(&mut self, t: MonoNs, task: Task, slept: MonoNs, woken: MonoNs) {
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
