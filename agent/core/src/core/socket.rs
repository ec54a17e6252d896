//! What the kernel's sockets say: identity, state, owner, bytes.

use super::lifecycle::Slot;
use super::lookups;
use super::{Core, Early, Listener, MAX_EARLY, MAX_LISTENERS, MAX_NAMESPACES, fact_of};
use crate::conn::Conn;
use crate::event::{RetransmitCause, SocketEvent, SocketIo, SocketReason, Task, TcpState, TurnEvent};
use crate::fact::{Fact, FactKind};
use crate::flow::FlowKey;
use crate::key::{Direction, Role, SocketCookie, Transport};
use crate::time::MonoNs;

/// A closed socket that a program still holds may be read still (what came before the FIN); this many times the
/// linger time its last word is waited for.
const HELD_LINGERS: u64 = 10;

/// Ports from which Linux chooses a client's (net.ipv4.ip_local_port_range by default), the first of them.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;

impl Core {
    pub(super) fn socket(&mut self, t: MonoNs, s: &SocketEvent, out: &mut Vec<Fact>) {
        if let Some(owner) = &s.owner {
            self.processes.learn(owner);
        }
        if s.target && !self.namespaces.contains(&s.netns) {
            if self.settings.forgets && self.namespaces.len() >= MAX_NAMESPACES {
                self.namespaces.remove(0);
            }
            if self.namespaces.len() < MAX_NAMESPACES {
                self.namespaces.push(s.netns);
            }
        }
        if s.tuple.transport == Transport::Tcp && self.listener(s) {
            return;
        }
        let mut known = self.table.by_cookie(s.cookie);
        // A socket whose connection is over may connect again (connect(2) after a refusal, or AF_UNSPEC).
        let again = s.reason == SocketReason::State && s.state == TcpState::SynSent;
        if again {
            self.done.remove(s.cookie);
            if let Some(slot) = known
                && self.table.get(slot).is_some_and(|c| c.closed.is_some())
            {
                self.retire(slot, out);
                self.done.remove(s.cookie);
                known = None;
            }
        }
        let slot = match known {
            Some(slot) => slot,
            None => match self.new_connection(t, s, out) {
                Some(slot) => slot,
                None => return,
            },
        };
        self.update(t, slot, s, known.is_none(), out);
        if known.is_none() {
            self.replay(s.cookie, out);
        }
    }

    /// Listening sockets are kept apart. True where `s` is one, or was.
    fn listener(&mut self, s: &SocketEvent) -> bool {
        let gone = s.state != TcpState::Listen || s.reason == SocketReason::Destroy;
        if gone {
            if let Some(l) = self.listeners.remove(&s.cookie) {
                self.listening.remove(&l.key, s.cookie);
                return true;
            }
            return s.state == TcpState::Listen;
        }
        if s.target
            && self.listeners.len() < MAX_LISTENERS
            && let Some(owner) = &s.owner
        {
            let owner = self.processes.who(Task { tgid: owner.key.tgid, tid: owner.key.tgid });
            let key = FlowKey::new(s.netns, &s.tuple);
            self.listening.insert(&key, s.cookie);
            self.listeners.insert(s.cookie, Listener { key, netns_inum: s.netns_inum, owner });
        }
        true
    }

    /// Opens a connection for a socket that isn't known, where there is one to open.
    fn new_connection(&mut self, t: MonoNs, s: &SocketEvent, out: &mut Vec<Fact>) -> Option<Slot> {
        use TcpState::{Close, NewSynRecv, TimeWait};
        if !s.target || self.done.contains(s.cookie) {
            return None;
        }
        let last_word = matches!(s.reason, SocketReason::Destroy | SocketReason::Final);
        let used = s.io.sent > 0 || s.io.received > 0 || s.retransmitted_segments > 0;
        let tcp = s.tuple.transport == Transport::Tcp;
        let over = tcp && matches!(s.state, Close | TimeWait | NewSynRecv);
        if tcp && s.tuple.remote.port() == 0 && !used {
            return None;
        }
        if (over || s.reason == SocketReason::Destroy || (last_word && !tcp)) && !used {
            return None;
        }
        let key = FlowKey::new(s.netns, &s.tuple);
        let half_open = self
            .table
            .by_flow(&key)
            .filter(|slot| tcp && key.is_whole() && self.table.get(*slot).is_some_and(Conn::is_embryonic));
        let existing = s.reason == SocketReason::Existing;
        let mid_life = !existing && s.reason != SocketReason::State && (tcp || last_word);
        let slot = match half_open {
            Some(slot) => {
                self.adopt(slot, s.cookie);
                slot
            }
            None => {
                let mut c = Conn::new(t, s.netns, s.tuple, self.role(s, &key), self.loss_epoch);
                c.role_known = s.role.is_some() || tcp;
                self.open(c, s, out)?
            }
        };
        if let Some(c) = self.table.get_mut(slot) {
            c.begin(s, existing, mid_life);
            if s.state == TcpState::SynSent && !existing {
                c.connect_start = Some(t);
            }
        }
        Some(slot)
    }

    fn update(&mut self, t: MonoNs, slot: Slot, s: &SocketEvent, new: bool, out: &mut Vec<Fact>) {
        let owner = s.owner.as_ref().map(|o| {
            let who = self.processes.who(Task { tgid: o.key.tgid, tid: o.key.tgid });
            // The number may be somebody else's by now.
            if who.key == o.key {
                who
            } else {
                crate::fact::Who { key: o.key, tid: o.key.tgid, comm: o.comm.clone() }
            }
        });
        let is_target = owner.as_ref().is_some_and(|o| self.processes.is_target(o.key.tgid));
        let Some(c) = self.table.get_mut(slot) else { return };
        c.seen(t);
        c.update(s);
        let last_word = matches!(s.reason, SocketReason::Destroy | SocketReason::Final);
        if last_word && self.steps.resumed.is_some() {
            c.make_up(s);
        }
        if let Some(owner) = &owner {
            c.set_owner(owner, is_target);
        }
        self.learn_tuple(slot, s);
        // A UDP socket that is there and silent is no connection yet.
        let quiet = s.tuple.transport == Transport::Udp
            && matches!(s.reason, SocketReason::Existing | SocketReason::Final | SocketReason::Destroy)
            && s.io.sent == 0
            && s.io.received == 0;
        if !quiet {
            self.announce(slot, t, out);
        }
        if s.reason == SocketReason::State {
            self.state(t, slot, s, new, out);
        }
        if matches!(s.reason, SocketReason::Destroy | SocketReason::Final) || s.state == TcpState::Close {
            self.reconcile(slot, s.retransmitted_segments);
        }
        if s.reason == SocketReason::Destroy
            && let Some(c) = self.table.get_mut(slot)
        {
            c.destroyed = true;
            let linger = self.settings.linger_ns;
            self.table.set_deadline(slot, t.after(linger));
        }
    }

    fn state(&mut self, t: MonoNs, slot: Slot, s: &SocketEvent, new: bool, out: &mut Vec<Fact>) {
        let Some(c) = self.table.get_mut(slot) else { return };
        let from = s.old_state.unwrap_or(c.state);
        let was_established = c.established.is_some();
        let telling = c.enter(t, from, s.state);
        if s.state == TcpState::Established && !was_established {
            out.push(fact_of(c, t, FactKind::Established { connect: c.connect }));
        } else if telling && !new {
            out.push(fact_of(c, t, FactKind::State { from, to: s.state }));
        }
        if s.state == TcpState::Close {
            let linger = self.settings.linger_ns.saturating_mul(HELD_LINGERS);
            self.table.set_deadline(slot, t.after(linger));
        }
    }

    /// The kernel's count of retransmitted segments is right; what no event told of has no known cause.
    fn reconcile(&mut self, slot: Slot, retransmitted: u32) {
        let Some(c) = self.table.get_mut(slot) else { return };
        let missing = c.reconcile(retransmitted);
        if missing > 0 {
            c.retransmits.add(RetransmitCause::Other, missing);
            self.totals.retransmits.add(RetransmitCause::Other, missing);
        }
    }

    /// Addresses become known bit by bit: the local port of a client after SYN_SENT, the peers of a UDP socket one by
    /// one. At the end they are wiped, which is no news.
    fn learn_tuple(&mut self, slot: Slot, s: &SocketEvent) {
        let Some(c) = self.table.get_mut(slot) else { return };
        let key = FlowKey::new(s.netns, &s.tuple);
        match s.tuple.transport {
            Transport::Tcp => {
                let fuller = !FlowKey::new(c.netns, &c.tuple).is_whole() && key.is_whole();
                if fuller {
                    c.tuple = s.tuple;
                    self.table.link(slot, key);
                }
            }
            Transport::Udp => {
                if s.tuple.local.port() != 0 && s.reason != SocketReason::Destroy {
                    c.add_peer(&s.tuple);
                    self.table.link(slot, key);
                }
            }
        }
    }

    /// The side of a socket, where the kernel didn't see it begin: a server's local port is one that somebody
    /// listens on, or at least no ephemeral one.
    fn role(&self, s: &SocketEvent, key: &FlowKey) -> Role {
        if let Some(role) = s.role {
            return role;
        }
        match (s.tuple.transport, s.reason, s.old_state) {
            (Transport::Tcp, SocketReason::State, Some(TcpState::SynRecv)) => Role::Server,
            (Transport::Tcp, SocketReason::State, _) => Role::Client,
            (Transport::Tcp, ..) if self.listening.find(key).is_some() => Role::Server,
            (Transport::Tcp, ..) => {
                let (local, remote) = (s.tuple.local.port(), s.tuple.remote.port());
                let server = local < FIRST_EPHEMERAL_PORT && remote >= FIRST_EPHEMERAL_PORT;
                if server { Role::Server } else { Role::Client }
            }
            (Transport::Udp, ..) if s.io.received > 0 && s.io.sent == 0 => Role::Server,
            (Transport::Udp, ..) => Role::Client,
        }
    }

    pub(super) fn socket_io(&mut self, t: MonoNs, io: SocketIo, out: &mut Vec<Fact>) {
        let Some(slot) = self.table.by_cookie(io.cookie) else {
            self.wait_for_socket(t, io.cookie, Early::Io(io));
            return;
        };
        let who = self.processes.who(io.task);
        let is_target = self.processes.is_target(io.task.tgid);
        if let Some(c) = self.table.get_mut(slot) {
            c.seen(t);
            c.set_owner(&who, is_target);
            if !c.role_known {
                c.role_known = true;
                c.role = if io.direction == Direction::Out { Role::Client } else { Role::Server };
            }
        }
        self.announce(slot, t, out);
        // Of a turn that has two ends within a loss something may be missing, too.
        self.loss_epoch += u64::from(!self.losing.is_empty());
        let epoch = self.loss_epoch;
        let Some(c) = self.table.get_mut(slot) else { return };
        let completed = c.turns.completed();
        let newcomer = !c.is_used_by(io.task.tid);
        if c.tuple.transport == Transport::Udp && c.tuple.remote.port() == lookups::PORT {
            self.lookups.io(t, &io);
        } else if io.direction == Direction::Out
            && c.lookup.is_none()
            && completed == 0
            && let Some(connect) = c.connect_start
        {
            c.lookup = self.lookups.before(io.task.tid, connect);
        }
        // What was open when turns were left out may have gone on, and others after it: nobody knows.
        let cut_off = self.steps.resumed.and_then(|resumed| c.turns.cut_off(resumed));
        let ended = c.io(t, &io, epoch).or(cut_off);
        if let Some(resumed) = self.steps.resumed.filter(|_| ended.is_none()) {
            c.notes.forget_before(resumed);
        }
        self.totals.turns += u64::from(c.turns.completed() - completed);
        if let Some((at, _)) = c.deadline {
            // Closed, and still read.
            let at = at.max(t.after(self.settings.linger_ns));
            self.table.set_deadline(slot, at);
        }
        if let Some(span) = ended
            && let Some(c) = self.table.get_mut(slot)
        {
            // A server that waits for the next request has entered the call long before that came.
            let cut = if c.role == Role::Client { io.entered.unwrap_or(t) } else { t };
            let mut turn = c.turn(&span, None, &self.settings.trace_salt, epoch, cut);
            turn.p50 = self.endpoints.median(c, &turn);
            turn.observation = self.steps.least(turn.start, turn.end);
            out.push(fact_of(c, span.end, FactKind::Turn(Box::new(turn))));
        }
        if let Some(c) = self.table.get_mut(slot) {
            c.notes.io(t, &io, c.turns.is_open());
        }
        if newcomer {
            self.first_use(io.task.tid, io.cookie);
        }
        self.used(io.task.tid, io.cookie);
    }

    /// A turn that the kernel side put together.
    pub(super) fn turn(&mut self, t: MonoNs, e: &TurnEvent, out: &mut Vec<Fact>) {
        if e.request_bytes == 0 && e.response_bytes == 0 {
            return;
        }
        let Some(slot) = self.table.by_cookie(e.cookie) else { return };
        self.announce(slot, t, out);
        let Some(c) = self.table.get_mut(slot) else { return };
        c.seen(e.end);
        self.totals.turns += u64::from(e.response_start.is_some());
        let mut turn = c.kernel_turn(e, &self.settings.trace_salt, self.loss_epoch);
        turn.p50 = self.endpoints.median(c, &turn);
        turn.observation = self.steps.least(turn.start, turn.end);
        out.push(fact_of(c, e.end, FactKind::Turn(Box::new(turn))));
    }

    /// Says a turn that ended with its connection.
    pub(super) fn tell_last_turn(&mut self, c: &mut Conn, out: &mut Vec<Fact>) {
        let Some((span, early)) = c.last_turn() else { return };
        let mut turn = c.turn(&span, early, &self.settings.trace_salt, self.loss_epoch, c.last);
        turn.p50 = self.endpoints.median(c, &turn);
        turn.observation = self.steps.least(turn.start, turn.end);
        out.push(fact_of(c, span.end, FactKind::Turn(Box::new(turn))));
    }

    pub(super) fn accept(&mut self, t: MonoNs, task: Task, cookie: SocketCookie, out: &mut Vec<Fact>) {
        let Some(slot) = self.table.by_cookie(cookie) else {
            self.wait_for_socket(t, cookie, Early::Accept(task, cookie));
            return;
        };
        let who = self.processes.who(task);
        let is_target = self.processes.is_target(task.tgid);
        let ran = self.last_run(task.tid);
        let Some(c) = self.table.get_mut(slot) else { return };
        c.seen(t);
        c.set_owner(&who, is_target);
        c.acceptor = ran.map(|run| (run.woken, run.t));
        c.accepted_by(task.tid);
        self.announce(slot, t, out);
        let Some(c) = self.table.get_mut(slot) else { return };
        if let Some(established) = c.established {
            let wait = t.since(established);
            c.accept_wait = Some(wait);
            let mut fact = fact_of(c, t, FactKind::Accepted { wait });
            fact.who = Some(who);
            out.push(fact);
        }
        self.used(task.tid, cookie);
    }

    fn wait_for_socket(&mut self, t: MonoNs, cookie: SocketCookie, early: Early) {
        if self.done.contains(cookie) {
            return;
        }
        if self.early.len() >= MAX_EARLY {
            self.early.pop_front();
        }
        self.early.push_back((t, early));
    }
}
