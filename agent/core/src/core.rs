//! The core itself: events in, facts out.

mod flows;
mod lifecycle;
mod socket;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::conn::Conn;
use crate::event::{Event, EventKind, LossSource, SocketIo, SyscallEvent, Task};
use crate::fact::{ConnSummary, Fact, FactKind, Who};
use crate::flow::{FlowKey, LocalIndex};
use crate::key::{ConnId, SocketCookie};
use crate::process::{ProcessTable, TargetStatus};
use crate::time::MonoNs;
use crate::totals::Totals;

use lifecycle::Table;
use rustc_hash::{FxHashMap, FxHashSet};

/// Bounds and constants of a [`Core`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Connections held at once, open and closed. Beyond it the oldest closed ones are left out of the summary, then
    /// new ones are left out; both are counted.
    pub max_connections: usize,
    /// Processes held at once, and targets.
    pub max_processes: usize,
    /// Half-open incoming connections held at once. Beyond it the oldest is given up.
    pub max_half_open: usize,
    /// How long a closed connection waits for trailing packets before its summary is told, in nanoseconds.
    pub linger_ns: u64,
    /// Key of the hash that makes trace ids: the same on all hosts whose traces are to be joined.
    pub trace_salt: [u8; 16],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            max_processes: 16_384,
            max_half_open: 4_096,
            linger_ns: 1_000_000_000,
            trace_salt: *b"tracenet/1 salt\0",
        }
    }
}

/// A listening socket of a target.
#[derive(Debug)]
struct Listener {
    key: FlowKey,
    netns_inum: u32,
    owner: Who,
}

/// What came for a socket before the socket itself: the probes' hooks of one call don't all come in one order.
#[derive(Debug, Clone, Copy)]
enum Early {
    Io(SocketIo),
    Accept(Task, SocketCookie),
}

/// Events that wait for their socket; the oldest makes room.
const MAX_EARLY: usize = 256;

/// Listening sockets held at once.
const MAX_LISTENERS: usize = 16_384;

/// One core: eats events in time order, says facts.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    processes: ProcessTable,
    table: Table,
    listeners: FxHashMap<SocketCookie, Listener>,
    listening: LocalIndex<SocketCookie>,
    early: VecDeque<(MonoNs, Early)>,
    /// Summaries of connections that are over, in the order of their end.
    retained: VecDeque<ConnSummary>,
    /// Cookies of these, and of sockets that found no room: late words on them open nothing.
    done: FxHashSet<SocketCookie>,
    /// Grows with every loss: whoever has seen two values of it may be incomplete.
    loss_epoch: u64,
    totals: Totals,
}

impl Core {
    /// Knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        let processes = ProcessTable::new(settings.max_processes);
        Self {
            settings,
            processes,
            table: Table::default(),
            listeners: FxHashMap::default(),
            listening: LocalIndex::default(),
            early: VecDeque::new(),
            retained: VecDeque::new(),
            done: FxHashSet::default(),
            loss_epoch: 0,
            totals: Totals::default(),
        }
    }

    /// Takes the next event and appends what is known by it to `out`. Events come in time order; one that comes late
    /// is taken as it is.
    pub fn handle(&mut self, event: Event, out: &mut Vec<Fact>) {
        let t = event.t;
        self.totals.events += 1;
        match event.kind {
            EventKind::Target(info) => self.processes.add_target(&info),
            EventKind::Fork { task, child, followed } => {
                let who = self.processes.who(task);
                if followed {
                    self.processes.add_target(&child);
                } else {
                    self.processes.learn(&child);
                }
                let kind = FactKind::Forked { child: child.key, comm: child.comm, followed };
                out.push(Fact { t, who: Some(who), conn: None, kind });
            }
            EventKind::Exec { task, comm, filename } => {
                self.processes.exec(task.tgid, &comm);
                let who = self.processes.who(task);
                out.push(Fact { t, who: Some(who), conn: None, kind: FactKind::Executed { filename } });
            }
            EventKind::Exit { task, code } => {
                let who = self.processes.who(task);
                self.processes.exit(task.tgid, code);
                out.push(Fact { t, who: Some(who), conn: None, kind: FactKind::Exited { code } });
            }
            EventKind::Syscall(s) => self.syscall(t, s, out),
            EventKind::Socket(s) => self.socket(t, &s, out),
            EventKind::SocketIo(io) => self.socket_io(t, io, out),
            EventKind::Accept { task, cookie, entered: _ } => self.accept(t, task, cookie, out),
            EventKind::Retransmit(r) => self.retransmit(t, &r, out),
            EventKind::Drop(d) => self.dropped(t, &d, out),
            EventKind::Reset { cookie, netns, tuple, direction, reason } => {
                self.reset(t, cookie, FlowKey::new(netns, &tuple), direction, reason, out);
            }
            EventKind::Packet(p) => self.packet(t, *p, out),
            EventKind::Lost { source, what, count } => self.lost(t, source, what, count, out),
        }
    }

    /// Says what is known by the passing of time: connections that have closed and waited long enough.
    pub fn tick(&mut self, now: MonoNs, out: &mut Vec<Fact>) {
        while let Some(slot) = self.table.expired(now) {
            self.retire(slot, out);
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn poll_at(&self) -> Option<MonoNs> {
        self.table.poll_at()
    }

    /// The end: every connection is told as it is. Returns how many of them were open.
    pub fn finish(&mut self, now: MonoNs, out: &mut Vec<Fact>) -> usize {
        self.tick(now, out);
        let mut open = 0;
        for slot in self.table.slots_by_id() {
            if let Some(c) = self.table.get_mut(slot)
                && c.announced
                && c.closed.is_none()
                && !c.destroyed
            {
                open += 1;
            }
            self.retire(slot, out);
        }
        open
    }

    /// Sums so far.
    pub fn totals(&self) -> Totals {
        let mut t = self.totals.clone();
        t.processes_omitted = self.processes.omitted;
        t
    }

    /// Targets in the order in which they came.
    pub fn targets(&self) -> &[TargetStatus] {
        self.processes.targets()
    }

    /// Targets that have not ended. None is left: nothing new will come.
    pub fn live_targets(&self) -> usize {
        self.processes.live_targets()
    }

    /// Connections in view whose end has not been told.
    pub fn open_connections(&self) -> usize {
        self.table.iter().filter(|c| c.announced).count()
    }

    /// Connections that are over (after [`finish`](Self::finish): all), in the order of their ids.
    /// [`Totals::omitted`] says how many are not here.
    pub fn summaries(&self) -> Vec<ConnSummary> {
        let mut all: Vec<ConnSummary> = self.retained.iter().cloned().collect();
        all.sort_by_key(|s| s.id);
        all
    }

    /// The short name of a socket's connection, while it is in view.
    pub fn conn_of(&self, cookie: SocketCookie) -> Option<ConnId> {
        let slot = self.table.by_cookie(cookie)?;
        self.table.get(slot).filter(|c| c.id.0 != 0).map(|c| c.id)
    }

    fn syscall(&mut self, t: MonoNs, s: Box<SyscallEvent>, out: &mut Vec<Fact>) {
        self.totals.syscalls += 1;
        let who = self.processes.who(s.task);
        let conn = s.cookie.and_then(|c| self.conn_of(c));
        out.push(Fact { t, who: Some(who), conn, kind: FactKind::Syscall(s) });
    }

    fn lost(&mut self, t: MonoNs, source: LossSource, what: Arc<str>, count: u64, out: &mut Vec<Fact>) {
        if count == 0 {
            return;
        }
        self.totals.lost.add(source, count);
        // What the exporter gave up was known here.
        if source != LossSource::Export {
            self.loss_epoch += 1;
        }
        out.push(Fact { t, who: None, conn: None, kind: FactKind::Lost { source, what, count } });
    }
}

/// A fact of a connection.
fn fact_of(c: &Conn, t: MonoNs, kind: FactKind) -> Fact {
    Fact { t, who: c.owner.clone(), conn: Some(c.id), kind }
}
