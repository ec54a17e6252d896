//! The core itself: events in, facts out.

mod endpoints;
mod flows;
mod governed;
mod lifecycle;
mod lookups;
mod names;
mod socket;
#[cfg(test)]
mod tests;
mod trouble;
mod wakeups;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::conn::Conn;
use crate::event::{Event, EventKind, LossSource, SocketIo, SyscallEvent, Task};
use crate::fact::{ConnSummary, Fact, FactKind, Who};
use crate::flow::{FlowKey, LocalIndex};
use crate::key::{ConnId, NetnsCookie, ProcessKey, SocketCookie, Transport};
use crate::process::{ProcessTable, TargetStatus};
use crate::syscall;
use crate::time::MonoNs;
use crate::totals::Totals;

use endpoints::Endpoints;
use governed::Steps;
use lifecycle::Table;
use lookups::Lookups;
use names::Names;
use rustc_hash::{FxHashMap, FxHashSet};
use wakeups::Users;

/// Bounds and constants of a [`Core`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Every process is a target, without being told so, and the core runs on: summaries of connections that are over are
    /// told and not kept.
    pub wide: bool,
    /// The core runs on, with targets that come and go: what is over is told and not kept.
    #[serde(skip)]
    pub forgets: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            max_processes: 16_384,
            max_half_open: 4_096,
            linger_ns: 1_000_000_000,
            trace_salt: *b"tracenet/1 salt\0",
            wide: false,
            forgets: false,
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

/// Calls that take a connection from a listener.
pub(crate) const ACCEPTING: [&str; 2] = ["accept", "accept4"];

/// Namespaces remembered; drops in further ones are not tied to a peer's connection by its flow.
const MAX_NAMESPACES: usize = 256;

/// Listening sockets held at once.
const MAX_LISTENERS: usize = 16_384;

/// The last sockets whose connections were told or left out: late words on them open nothing.
#[derive(Debug)]
struct Done {
    cookies: FxHashSet<SocketCookie>,
    order: VecDeque<SocketCookie>,
    max: usize,
}

impl Done {
    fn new(max: usize) -> Self {
        Self { cookies: FxHashSet::default(), order: VecDeque::new(), max: max.max(1) }
    }

    fn contains(&self, cookie: SocketCookie) -> bool {
        self.cookies.contains(&cookie)
    }

    /// True where it is news.
    fn insert(&mut self, cookie: SocketCookie) -> bool {
        let new = self.cookies.insert(cookie);
        if new {
            self.order.push_back(cookie);
            if self.order.len() > self.max
                && let Some(oldest) = self.order.pop_front()
            {
                self.cookies.remove(&oldest);
            }
        }
        new
    }

    fn remove(&mut self, cookie: SocketCookie) {
        if self.cookies.remove(&cookie) {
            self.order.retain(|c| *c != cookie);
        }
    }
}

/// One core: eats events in time order, says facts.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    processes: ProcessTable,
    table: Table,
    /// Namespaces in which targets have sockets.
    namespaces: Vec<NetnsCookie>,
    listeners: FxHashMap<SocketCookie, Listener>,
    listening: LocalIndex<SocketCookie>,
    early: VecDeque<(MonoNs, Early)>,
    /// Summaries of connections that are over, in the order of their end.
    retained: VecDeque<ConnSummary>,
    /// Sockets of which nothing more is to be heard.
    done: Done,
    /// Names given to sockets that a syscall is about to open.
    promised: VecDeque<(SocketCookie, ConnId)>,
    /// Numbers of the calls that open connections.
    opening: [Option<u32>; 4],
    /// Numbers of the calls that take connections from a listener.
    accepting: [Option<u32>; 2],
    /// What was accepted last: thread, when it entered the call, and the connection's socket.
    accepted: VecDeque<(u32, MonoNs, SocketCookie)>,
    /// Sockets that each thread used last.
    users: Users,
    /// Names that each thread asked for last.
    lookups: Lookups,
    /// Names to be given.
    names: Names,
    /// How long turns take, by server.
    endpoints: Endpoints,
    /// What was left out.
    steps: Steps,
    /// Until then the full table isn't searched again for what could make room.
    no_room_until: MonoNs,
    /// Grows with every loss: whoever has seen two values of it may be incomplete.
    loss_epoch: u64,
    /// Sources that lose something just now.
    losing: Vec<LossSource>,
    totals: Totals,
}

impl Core {
    /// Knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        let processes = ProcessTable::new(settings.max_processes, settings.wide, settings.forgets);
        let max_connections = settings.max_connections;
        Self {
            settings,
            processes,
            table: Table::default(),
            namespaces: Vec::new(),
            listeners: FxHashMap::default(),
            listening: LocalIndex::default(),
            early: VecDeque::new(),
            retained: VecDeque::new(),
            done: Done::new(max_connections),
            promised: VecDeque::new(),
            opening: ["connect", "sendto", "sendmsg", "sendmmsg"].map(syscall::number),
            accepting: ACCEPTING.map(syscall::number),
            accepted: VecDeque::new(),
            users: Users::default(),
            lookups: Lookups::default(),
            names: Names::default(),
            endpoints: Endpoints::default(),
            steps: Steps::default(),
            no_room_until: MonoNs::default(),
            loss_epoch: 0,
            losing: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Connections get names after this one: those up to it are another core's.
    pub fn name_after(&mut self, last: ConnId) {
        self.table.skip_names(last);
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
                self.act(t, task, FactKind::Executed { filename }, out);
            }
            EventKind::Exit { task, code } => {
                self.act(t, task, FactKind::Exited { code }, out);
                self.processes.exit(task.tgid, code);
            }
            EventKind::ThreadExit { task, code } => {
                self.act(t, task, FactKind::ThreadExited { code }, out);
            }
            EventKind::Signal { task, info, ignored } => {
                self.act(t, task, FactKind::Signal { info, ignored }, out);
            }
            EventKind::Sleeps(s) => {
                let conn = s.cookie.and_then(|cookie| self.conn_of(cookie));
                let who = self.processes.who(s.task);
                out.push(Fact { t, who: Some(who), conn, kind: FactKind::Sleeps(s) });
            }
            EventKind::Syscall(s) => self.syscall(t, s, out),
            EventKind::Socket(s) => self.socket(t, &s, out),
            EventKind::SocketIo(io) => self.socket_io(t, io, out),
            EventKind::Turn(turn) => self.turn(t, &turn, out),
            EventKind::Accept { task, cookie, entered } => {
                if self.accepted.len() >= MAX_EARLY {
                    self.accepted.pop_front();
                }
                self.accepted.push_back((task.tid, entered, cookie));
                self.accept(t, task, cookie, out);
            }
            EventKind::Scheduled { task, slept, woken } => self.scheduled(t, task, slept, woken),
            EventKind::Readable { cookie } => self.readable(t, cookie),
            EventKind::Retransmit(r) => self.retransmit(t, &r, out),
            EventKind::Drop(d) => self.dropped(t, &d, out),
            EventKind::Reset { cookie, netns, tuple, direction, reason } => {
                self.reset(t, cookie, FlowKey::new(netns, &tuple), direction, reason, out);
            }
            EventKind::Packet(p) => self.packet(t, *p, out),
            EventKind::Counters(sample) => {
                out.push(Fact { t, who: None, conn: None, kind: FactKind::Counters(sample) });
            }
            EventKind::Governor(event) => self.governed(t, event, out),
            EventKind::Lost { source, what, count } => self.lost(t, source, what, count, out),
        }
    }

    /// Says what is known by the passing of time: connections that have closed and waited long enough.
    pub fn tick(&mut self, now: MonoNs, out: &mut Vec<Fact>) {
        while let Some(slot) = self.table.expired(now) {
            if let Some(c) = self.table.get_mut(slot)
                && c.is_embryonic()
            {
                c.closed.get_or_insert(c.last);
            }
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
        t.turns_without_median = self.endpoints.omitted;
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

    /// Processes of which something may be told yet: owners of connections whose end has not been.
    pub fn owners(&self) -> FxHashSet<ProcessKey> {
        self.table.iter().filter_map(|c| c.owner.as_ref().map(|who| who.key)).collect()
    }

    /// TCP connections in view that the kernel has not closed yet.
    pub fn unclosed_connections(&self) -> usize {
        let unclosed = |c: &&Conn| {
            c.announced && !c.destroyed && c.closed.is_none() && c.tuple.transport == Transport::Tcp
        };
        self.table.iter().filter(unclosed).count()
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

    /// What a thread did that belongs to no connection.
    fn act(&mut self, t: MonoNs, task: Task, kind: FactKind, out: &mut Vec<Fact>) {
        out.push(Fact { t, who: Some(self.processes.who(task)), conn: None, kind });
    }

    fn syscall(&mut self, t: MonoNs, s: Box<SyscallEvent>, out: &mut Vec<Fact>) {
        self.totals.syscalls += 1;
        let who = self.processes.who(s.task);
        let conn = if self.accepting.contains(&Some(s.nr)) {
            // The descriptor is the listener's; the story is that of what came out of it.
            let call = |a: &&(u32, MonoNs, SocketCookie)| (a.0, a.1) == (s.task.tid, s.entered);
            self.accepted.iter().rev().find(call).and_then(|a| self.conn_of(a.2))
        } else {
            s.cookie.and_then(|cookie| match self.conn_of(cookie) {
                None if self.opening.contains(&Some(s.nr)) => self.promise(cookie),
                known => known,
            })
        };
        out.push(Fact { t, who: Some(who), conn, kind: FactKind::Syscall(s) });
    }

    /// A call that opens a connection comes before the connection, and is told under its name.
    fn promise(&mut self, cookie: SocketCookie) -> Option<ConnId> {
        if self.done.contains(cookie) {
            return None;
        }
        if let Some((_, id)) = self.promised.iter().find(|(c, _)| *c == cookie) {
            return Some(*id);
        }
        let id = self.names.of_socket(cookie).unwrap_or_else(|| self.table.new_name());
        if self.promised.len() >= MAX_EARLY {
            self.promised.pop_front();
        }
        self.promised.push_back((cookie, id));
        Some(id)
    }

    fn lost(&mut self, t: MonoNs, source: LossSource, what: Arc<str>, count: u64, out: &mut Vec<Fact>) {
        // What the exporter gave up was known here.
        if source != LossSource::Export {
            self.loss_epoch += 1;
            self.losing.retain(|losing| *losing != source);
            if count == 0 {
                self.losing.push(source);
            }
        }
        if count == 0 {
            return;
        }
        self.totals.lost.add(source, count);
        out.push(Fact { t, who: None, conn: None, kind: FactKind::Lost { source, what, count } });
    }
}

/// A fact of a connection.
fn fact_of(c: &Conn, t: MonoNs, kind: FactKind) -> Fact {
    Fact { t, who: c.owner.clone(), conn: Some(c.id), kind }
}
