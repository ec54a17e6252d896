//! The connection table: how connections come into view, are found, and leave.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use hashbrown::HashMap;
use rustc_hash::FxHashMap;

use super::{Core, Early, fact_of};
use crate::conn::Conn;
use crate::event::SocketEvent;
use crate::fact::{Fact, FactKind};
use crate::flow::{FlowKey, LocalIndex};
use crate::key::{ConnId, SocketCookie, Transport};
use crate::time::MonoNs;

/// Place of a connection in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u32);

/// How long a half-open connection is kept after its last sign of life. A SYN/ACK is sent again after 1, 2, 4, 8 and
/// 16 s and given up after 32 more (tcp_synack_retries, tcp(7)).
pub(super) const HALF_OPEN_NS: u64 = 64_000_000_000;

/// A UDP socket that was silent for this long may make room for another connection.
const SILENT_NS: u64 = 30_000_000_000;

/// Of the table, the share that silent UDP sockets make free at a time.
const SILENT_SHARE: usize = 16;

/// Flows of one UDP socket that are found by the whole flow; beyond it by the local end.
const MAX_FLOWS: usize = 16;

/// Connections and the ways to find them.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Box<Conn>>>,
    free: Vec<Slot>,
    by_cookie: FxHashMap<SocketCookie, Slot>,
    /// Flows come from the wire: hashed with a key that nobody can know.
    by_flow: HashMap<FlowKey, Slot>,
    by_local: LocalIndex<Slot>,
    /// Half-open ones, oldest first; entries of ones that are gone or have become sockets are stale.
    half_open: VecDeque<(Slot, ConnId)>,
    half_open_count: usize,
    /// (when, ticket, where): stale where the connection has another ticket.
    deadlines: BinaryHeap<Reverse<(MonoNs, u64, Slot)>>,
    last_ticket: u64,
    last_id: u32,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Conn> {
        self.slots.get(slot.0 as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Conn> {
        self.slots.get_mut(slot.0 as usize)?.as_deref_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    pub(super) fn by_cookie(&self, cookie: SocketCookie) -> Option<Slot> {
        self.by_cookie.get(&cookie).copied()
    }

    pub(super) fn by_flow(&self, key: &FlowKey) -> Option<Slot> {
        self.by_flow.get(key).copied().or_else(|| self.by_local.find(key))
    }

    /// All slots in use, in the order of the ids.
    pub(super) fn slots_by_id(&self) -> Vec<Slot> {
        let mut all: Vec<(ConnId, Slot)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(i, c)| Some((c.as_deref()?.id, Slot(i as u32))))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, slot)| slot).collect()
    }

    fn insert(&mut self, conn: Conn) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.slots[slot.0 as usize] = Some(Box::new(conn));
            return slot;
        }
        let slot = Slot(self.slots.len() as u32);
        self.slots.push(Some(Box::new(conn)));
        slot
    }

    /// Takes a connection out, with all the ways to it.
    fn remove(&mut self, slot: Slot) -> Option<Box<Conn>> {
        let conn = self.slots.get_mut(slot.0 as usize)?.take()?;
        self.free.push(slot);
        for key in &conn.flows {
            if self.by_flow.get(key) == Some(&slot) {
                self.by_flow.remove(key);
            }
        }
        for key in &conn.local_keys {
            self.by_local.remove(key, slot);
        }
        match conn.cookie {
            Some(cookie) => {
                if self.by_cookie.get(&cookie) == Some(&slot) {
                    self.by_cookie.remove(&cookie);
                }
            }
            None => self.half_open_count = self.half_open_count.saturating_sub(1),
        }
        Some(conn)
    }

    /// Packets of this flow are this connection's from now on.
    pub(super) fn link(&mut self, slot: Slot, key: FlowKey) {
        let Some(c) = self.slots.get_mut(slot.0 as usize).and_then(Option::as_deref_mut) else { return };
        if !key.is_whole() || c.flows.len() >= MAX_FLOWS {
            if !c.local_keys.iter().any(|k| k.same_local(&key)) && c.local_keys.len() < MAX_FLOWS {
                c.local_keys.push(key);
                self.by_local.insert(&key, slot);
            }
            return;
        }
        if self.by_flow.insert(key, slot) != Some(slot) && !c.flows.contains(&key) {
            c.flows.push(key);
        }
    }

    /// The socket is gone and somebody else uses the flow.
    pub(super) fn unlink(&mut self, key: &FlowKey) {
        self.by_flow.remove(key);
    }

    /// The next short name.
    pub(super) fn new_name(&mut self) -> ConnId {
        self.last_id = self.last_id.saturating_add(1);
        ConnId(self.last_id)
    }

    /// Names up to this one are given by somebody else.
    pub(super) fn skip_names(&mut self, up_to: ConnId) {
        self.last_id = self.last_id.max(up_to.0);
    }

    /// UDP sockets that have been silent since `t`, the longest silent first, at most `max`. The kernel doesn't tell
    /// when one is closed.
    fn silent_datagram_sockets(&self, t: MonoNs, max: usize) -> Vec<Slot> {
        let mut silent: Vec<(MonoNs, Slot)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(i, c)| Some((c.as_deref()?, Slot(i as u32))))
            .filter(|(c, _)| c.tuple.transport == Transport::Udp && c.last <= t)
            .map(|(c, slot)| (c.last, slot))
            .collect();
        silent.sort_unstable();
        silent.into_iter().take(max).map(|(_, slot)| slot).collect()
    }

    /// The table lets it go at `t`, unless told otherwise by then.
    pub(super) fn set_deadline(&mut self, slot: Slot, t: MonoNs) {
        let ticket = self.last_ticket + 1;
        let Some(c) = self.get_mut(slot) else { return };
        let sooner = c.deadline.is_none_or(|(d, _)| t < d);
        // A later one is found when the earlier one is due.
        match &mut c.deadline {
            Some((d, _)) if !sooner => *d = t,
            deadline => {
                *deadline = Some((t, ticket));
                self.last_ticket = ticket;
                self.deadlines.push(Reverse((t, ticket, slot)));
            }
        }
    }

    pub(super) fn clear_deadline(&mut self, slot: Slot) {
        if let Some(c) = self.get_mut(slot) {
            c.deadline = None;
        }
    }

    pub(super) fn poll_at(&self) -> Option<MonoNs> {
        self.deadlines.peek().map(|Reverse((t, ..))| *t)
    }

    /// A connection whose time is over by `now`.
    pub(super) fn expired(&mut self, now: MonoNs) -> Option<Slot> {
        loop {
            let Reverse((t, ticket, slot)) = *self.deadlines.peek()?;
            if t > now {
                return None;
            }
            self.deadlines.pop();
            match self.get(slot).and_then(|c| c.deadline) {
                Some((_, current)) if current != ticket => {}
                Some((d, _)) if d <= now => return Some(slot),
                Some((d, _)) => self.deadlines.push(Reverse((d, ticket, slot))),
                None => {}
            }
        }
    }

    /// The oldest half-open connection.
    fn oldest_half_open(&mut self) -> Option<Slot> {
        while let Some((slot, id)) = self.half_open.pop_front() {
            if self.get(slot).is_some_and(|c| c.id == id && c.is_embryonic()) {
                return Some(slot);
            }
        }
        None
    }
}

impl Core {
    /// Finds room for a connection and gives it. `None` where all the room is taken by open connections.
    fn add(&mut self, conn: Conn, out: &mut Vec<Fact>) -> Option<Slot> {
        if self.table.len() >= self.settings.max_connections {
            self.make_room(conn.start, out);
            if self.table.len() >= self.settings.max_connections {
                return None;
            }
        }
        let slot = self.table.insert(conn);
        self.trim();
        Some(slot)
    }

    /// Lets those go that wait for nothing but trailing packets, else silent UDP sockets, many at a time, since
    /// finding them takes a look at all.
    fn make_room(&mut self, now: MonoNs, out: &mut Vec<Fact>) {
        if let Some(slot) = self.table.expired(MonoNs(u64::MAX)) {
            self.retire(slot, out);
            return;
        }
        // Nothing to be found again so soon.
        if now < self.no_room_until {
            return;
        }
        let share = (self.settings.max_connections / SILENT_SHARE).max(1);
        let silent = self.table.silent_datagram_sockets(now.before(SILENT_NS), share);
        if silent.is_empty() {
            self.no_room_until = now.after(SILENT_NS / 10);
        }
        for slot in silent {
            self.retire(slot, out);
        }
    }

    /// The short name, given at first need.
    pub(super) fn name(&mut self, slot: Slot) -> ConnId {
        let Some(c) = self.table.get(slot) else { return ConnId(0) };
        if c.id.0 != 0 {
            return c.id;
        }
        let cookie = c.cookie;
        let named = self.names.of(c);
        let promised = self.promised.iter().position(|(c, _)| Some(*c) == cookie);
        let id = match promised.and_then(|i| self.promised.remove(i)) {
            Some((_, id)) => id,
            None => named.unwrap_or_else(|| self.table.new_name()),
        };
        if let Some(c) = self.table.get_mut(slot) {
            c.id = id;
        }
        id
    }

    /// A connection for a socket that wasn't known.
    pub(super) fn open(&mut self, mut conn: Conn, s: &SocketEvent, out: &mut Vec<Fact>) -> Option<Slot> {
        conn.cookie = Some(s.cookie);
        let Some(slot) = self.add(conn, out) else {
            if self.done.insert(s.cookie) {
                self.totals.omitted += 1;
            }
            return None;
        };
        self.table.by_cookie.insert(s.cookie, slot);
        self.table.link(slot, FlowKey::new(s.netns, &s.tuple));
        Some(slot)
    }

    /// A connection for a handshake that has no socket yet.
    pub(super) fn open_half(
        &mut self,
        t: MonoNs,
        conn: Conn,
        key: FlowKey,
        out: &mut Vec<Fact>,
    ) -> Option<Slot> {
        if self.table.half_open_count >= self.settings.max_half_open
            && let Some(oldest) = self.table.oldest_half_open()
        {
            self.give_up_half_open(oldest);
        }
        let slot = self.add(conn, out)?;
        self.table.half_open_count += 1;
        self.table.link(slot, key);
        let id = self.name(slot);
        if self.table.half_open.len() > 2 * self.settings.max_half_open {
            let Table { half_open, slots, .. } = &mut self.table;
            half_open.retain(|(slot, id)| {
                let c = slots.get(slot.0 as usize).and_then(Option::as_deref);
                c.is_some_and(|c| c.id == *id && c.is_embryonic())
            });
        }
        self.table.half_open.push_back((slot, id));
        self.table.set_deadline(slot, t.after(HALF_OPEN_NS));
        Some(slot)
    }

    /// A half-open connection becomes a socket's.
    pub(super) fn adopt(&mut self, slot: Slot, cookie: SocketCookie) {
        if let Some(c) = self.table.get_mut(slot) {
            c.cookie = Some(cookie);
            self.table.by_cookie.insert(cookie, slot);
            self.table.half_open_count = self.table.half_open_count.saturating_sub(1);
            self.table.clear_deadline(slot);
        }
    }

    /// Says that a connection is in view, once.
    pub(super) fn announce(&mut self, slot: Slot, t: MonoNs, out: &mut Vec<Fact>) {
        self.name(slot);
        if let Some(c) = self.table.get_mut(slot)
            && !c.announced
        {
            c.announced = true;
            self.totals.connections += 1;
            let kind = FactKind::Opened { tuple: c.tuple, role: c.role, before: c.opened_before };
            out.push(fact_of(c, t, kind));
        }
    }

    /// What came too early for this socket comes now.
    pub(super) fn replay(&mut self, cookie: SocketCookie, out: &mut Vec<Fact>) {
        let mut i = 0;
        while let Some(&(t, early)) = self.early.get(i) {
            match early {
                Early::Io(io) if io.cookie == cookie => {
                    self.early.remove(i);
                    self.socket_io(t, io, out);
                }
                Early::Accept(task, c) if c == cookie => {
                    self.early.remove(i);
                    self.accept(t, task, cookie, out);
                }
                _ => i += 1,
            }
        }
    }

    /// There is no room for another half-open connection: what it suffered goes to its owner.
    fn give_up_half_open(&mut self, slot: Slot) {
        let Some(c) = self.table.remove(slot) else { return };
        if let Some(owner) = &c.owner
            && c.is_worth_telling()
            && let Some(bucket) = self.no_connection(&owner.clone())
        {
            bucket.absorb(&c);
        }
    }

    /// A connection leaves the table and is told.
    pub(super) fn retire(&mut self, slot: Slot, out: &mut Vec<Fact>) {
        if self.table.get(slot).is_some_and(Conn::is_worth_telling) {
            self.name(slot);
        }
        let Some(mut c) = self.table.remove(slot) else { return };
        if !c.is_worth_telling() {
            return;
        }
        if let Some(cookie) = c.cookie {
            self.done.insert(cookie);
        }
        self.tell_last_turn(&mut c, out);
        let mut summary = c.summary(&self.settings.trace_salt, self.loss_epoch);
        summary.observation = self.steps.least(summary.start, summary.end);
        let kind = FactKind::Closed(Box::new(summary.clone()));
        out.push(fact_of(&c, summary.end, kind));
        if !self.settings.wide && !self.settings.forgets {
            self.retained.push_back(summary);
        }
        self.trim();
    }

    /// Keeps the whole within `max_connections`.
    fn trim(&mut self) {
        while self.retained.len() + self.table.len() > self.settings.max_connections {
            match self.retained.pop_front() {
                Some(_) => self.totals.omitted += 1,
                None => break,
            }
        }
    }
}
