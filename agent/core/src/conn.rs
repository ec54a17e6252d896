//! One connection: what the kernel, the wire and the application said of it.

mod requests;
mod sent;
mod tls;
pub mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::event::{
    DropEvent, IoTotals, Packet, SocketEvent, SocketIo, SocketReason, TcpInfo, TcpState, TurnEvent,
};
use crate::fact::{
    CloseReason, ConnSummary, DropTotals, PeerOwner, RetransmitTotals, TraceIdSource, Turn, Who,
};
use crate::flow::FlowKey;
use crate::key::{ConnId, Direction, NetnsCookie, Role, SocketCookie, Transport, Tuple};
use crate::opening::Opening;
use crate::time::{DurationNs, MonoNs};
use crate::trace_id;
use crate::turn::{TurnMachine, TurnSpan};
use crate::waterfall::{Cause, Early, Recorder, Sides};

use requests::Requests;
use tls::{Flight, Tls};
pub(crate) use wire::Wire;

/// Kinds of drop kept apart on one connection; the rest is added to the last one.
const MAX_DROP_KINDS: usize = 32;

/// Errno values (asm-generic/errno.h) that say why a connection ended.
mod errno {
    pub(super) const EPIPE: u32 = 32;
    pub(super) const ENETUNREACH: u32 = 101;
    pub(super) const ECONNRESET: u32 = 104;
    pub(super) const ETIMEDOUT: u32 = 110;
    pub(super) const ECONNREFUSED: u32 = 111;
    pub(super) const EHOSTUNREACH: u32 = 113;
}

/// State of one connection.
#[derive(Debug)]
pub(crate) struct Conn {
    /// 0 until somebody may hear of it.
    pub(crate) id: ConnId,
    /// `None`: half open, only packets know of it so far.
    pub(crate) cookie: Option<SocketCookie>,
    pub(crate) netns: NetnsCookie,
    pub(crate) netns_inum: u32,
    pub(crate) tuple: Tuple,
    pub(crate) role: Role,
    /// The role was told, not guessed.
    pub(crate) role_known: bool,
    pub(crate) opened_before: bool,
    /// `Opened` was said.
    pub(crate) announced: bool,
    pub(crate) owner: Option<Who>,
    owner_is_target: bool,
    pub(crate) start: MonoNs,
    pub(crate) last: MonoNs,
    pub(crate) state: TcpState,
    pub(crate) closed: Option<MonoNs>,
    /// The kernel's socket is gone.
    pub(crate) destroyed: bool,
    /// When the table lets it go, and the ticket of that appointment.
    pub(crate) deadline: Option<(MonoNs, u64)>,
    /// Keys under which packets find it.
    pub(crate) flows: Vec<FlowKey>,
    /// Keys under which packets of any peer find it (UDP).
    pub(crate) local_keys: Vec<FlowKey>,
    many_peers: bool,
    pub(crate) connect_start: Option<MonoNs>,
    pub(crate) connect: Option<DurationNs>,
    /// Query and answer of the name resolution before [`connect_start`](Self::connect_start).
    pub(crate) lookup: Option<(MonoNs, MonoNs)>,
    pub(crate) established: Option<MonoNs>,
    pub(crate) accept_wait: Option<DurationNs>,
    /// When the thread that accepted it was woken last before, and ran.
    pub(crate) acceptor: Option<(MonoNs, MonoNs)>,
    io: IoTotals,
    bytes_before: (u64, u64),
    /// Turns that the kernel had counted before the first event of this connection's bytes.
    turns_before: u32,
    /// The socket changed hands or was seen late: the kernel may have counted what no event told.
    mid_life: bool,
    pub(crate) turns: TurnMachine,
    tls: Tls,
    requests: Requests,
    /// What explains the turns.
    pub(crate) notes: Recorder,
    /// Threads that used the socket last, or that accepted it.
    users: [u32; 2],
    /// Bytes have passed.
    used: bool,
    told_turns: bool,
    pub(crate) retransmits: RetransmitTotals,
    retransmitted_before: u32,
    pub(crate) drops: Vec<DropTotals>,
    pub(crate) peer_drops: Vec<DropTotals>,
    pub(crate) wire: Wire,
    aborted: bool,
    err: u32,
    tcp_info: Option<TcpInfo>,
    loss_epoch: u64,
    incomplete: bool,
    trace: Option<([u8; 16], TraceIdSource)>,
}

impl Conn {
    /// A connection of which only the flow is known.
    pub(crate) fn new(t: MonoNs, netns: NetnsCookie, tuple: Tuple, role: Role, loss_epoch: u64) -> Self {
        Self {
            id: ConnId(0),
            cookie: None,
            netns,
            netns_inum: 0,
            tuple,
            role,
            role_known: false,
            opened_before: false,
            announced: false,
            owner: None,
            owner_is_target: false,
            start: t,
            last: t,
            state: TcpState::Close,
            closed: None,
            destroyed: false,
            deadline: None,
            flows: Vec::new(),
            local_keys: Vec::new(),
            many_peers: false,
            connect_start: None,
            connect: None,
            lookup: None,
            established: None,
            accept_wait: None,
            acceptor: None,
            io: IoTotals::default(),
            bytes_before: (0, 0),
            turns_before: 0,
            mid_life: false,
            turns: TurnMachine::default(),
            tls: Tls::default(),
            requests: Requests::default(),
            notes: Recorder::default(),
            users: [0; 2],
            used: false,
            told_turns: false,
            retransmits: RetransmitTotals::default(),
            retransmitted_before: 0,
            drops: Vec::new(),
            peer_drops: Vec::new(),
            wire: Wire::default(),
            aborted: false,
            err: 0,
            tcp_info: None,
            loss_epoch,
            incomplete: false,
            trace: None,
        }
    }

    /// Half open: a SYN came for a listener, and there is no socket yet.
    pub(crate) fn is_embryonic(&self) -> bool {
        self.cookie.is_none()
    }

    /// Something happened at `t`.
    pub(crate) fn seen(&mut self, t: MonoNs) {
        self.start = self.start.min(t);
        self.last = self.last.max(t);
    }

    /// The first socket event: what was there before it.
    pub(crate) fn begin(&mut self, s: &SocketEvent, existing: bool, mid_life: bool) {
        self.cookie = Some(s.cookie);
        self.netns_inum = s.netns_inum;
        // Of one that was told of late the kernel may have seen the beginning.
        let unseen = existing || mid_life;
        // Packets may have told of a handshake before the socket did.
        self.opened_before = existing || !(tells_of_the_beginning(s) || self.wire.isn_pair().is_some());
        self.connect_start = s.began;
        self.established = s.established;
        self.connect = s.began.zip(s.established).map(|(from, to)| to.since(from));
        for t in [s.began, s.established].into_iter().flatten() {
            self.start = self.start.min(t);
        }
        self.mid_life = mid_life;
        self.state = s.state;
        self.turns_before = s.io.turns;
        if mid_life && !existing {
            self.retransmitted_before = s.retransmitted_segments;
        }
        if unseen
            && s.established.is_none()
            && let Some(tcp) = &s.tcp
        {
            let (sent, received) = bytes_so_far(tcp, s.state);
            self.bytes_before = (sent.saturating_sub(s.io.sent), received.saturating_sub(s.io.received));
        }
    }

    /// What every socket event tells.
    pub(crate) fn update(&mut self, s: &SocketEvent) {
        if s.netns_inum != 0 {
            self.netns_inum = s.netns_inum;
        }
        self.totals(s.io);
        if self.err == 0 {
            self.err = s.err;
        }
        if let Some(tcp) = &s.tcp {
            // tcp_disconnect() wipes most of it: what was before says more.
            let wiped = self.tcp_info.is_some_and(|old| tcp.segs_out < old.segs_out);
            if !wiped {
                self.tcp_info = Some(*tcp);
            }
            // Before ESTABLISHED there is nothing to derive the peer's from, after CLOSE nothing left.
            let sure = !matches!(s.state, TcpState::SynSent | TcpState::SynRecv | TcpState::Close);
            if (sure || s.isns_kept) && tcp.local_isn != 0 && tcp.remote_isn != 0 {
                self.wire.isns(tcp.local_isn, tcp.remote_isn);
            }
        }
    }

    /// The last word on a socket whose calls were not all seen: its sequence numbers know the bytes, as long as it is open;
    /// afterwards what was sent is known, once.
    pub(crate) fn make_up(&mut self, s: &SocketEvent) {
        let Some(tcp) = &s.tcp else { return };
        let (sent, received) = if matches!(s.state, TcpState::Close) {
            (tcp.bytes_sent.saturating_sub(tcp.bytes_retrans), 0)
        } else {
            bytes_so_far(tcp, s.state)
        };
        self.io.sent = self.io.sent.max(sent.saturating_sub(self.bytes_before.0));
        self.io.received = self.io.received.max(received.saturating_sub(self.bytes_before.1));
    }

    /// A state change. True where it is worth a line.
    pub(crate) fn enter(&mut self, t: MonoNs, from: TcpState, to: TcpState) -> bool {
        use TcpState::{
            Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, SynRecv, TimeWait,
        };
        self.state = to;
        match to {
            Established => {
                if self.established.is_none() {
                    self.established = Some(t);
                    self.connect = self.connect_start.map(|s| t.since(s));
                }
                false
            }
            FinWait1 => {
                self.wire.fin(Direction::Out);
                true
            }
            CloseWait => {
                self.wire.fin(Direction::In);
                true
            }
            LastAck | Closing | TimeWait => {
                self.wire.fin(Direction::Out);
                self.wire.fin(Direction::In);
                true
            }
            FinWait2 => true,
            Close => {
                self.aborted |= matches!(from, Established | CloseWait | SynRecv);
                self.closed.get_or_insert(t);
                true
            }
            _ => false,
        }
    }

    /// The process that used the socket last, where that is a target or there is no better one.
    pub(crate) fn set_owner(&mut self, who: &Who, is_target: bool) {
        if self.owner.is_some() && self.owner_is_target && !is_target {
            return;
        }
        self.owner_is_target = is_target;
        match &self.owner {
            Some(o) if o.key == who.key && o.comm == who.comm => {}
            _ => self.owner = Some(Who { key: who.key, tid: who.key.tgid, comm: who.comm.clone() }),
        }
    }

    /// Bytes passed. Returns the turn that ended with it.
    pub(crate) fn io(&mut self, t: MonoNs, io: &SocketIo, loss_epoch: u64) -> Option<TurnSpan> {
        let (known, now) = match io.direction {
            Direction::Out => (self.io.sent, io.totals.sent),
            Direction::In => (self.io.received, io.totals.received),
        };
        let missed = now > known.saturating_add(u64::from(io.bytes));
        if missed {
            self.turns.gap();
        }
        self.totals(io.totals);
        if !self.users.contains(&io.task.tid) {
            // Who accepted it waits for others, once somebody else uses it.
            let before = if self.used { self.users[0] } else { 0 };
            self.users = [io.task.tid, before];
        }
        self.used = true;
        let (bytes, shook) = self.tls.io(t, io, self.role);
        if let Some(shook) = shook {
            self.notes.begin_after(shook);
        }
        let ended = self.turns.io(t, self.role, io.direction, bytes, loss_epoch);
        if missed {
            // The beginning of a new one, too.
            self.turns.gap();
        }
        ended
    }

    /// The kernel put a turn together, and told of this one.
    pub(crate) fn kernel_turn(&mut self, e: &TurnEvent, salt: &[u8; 16], loss_epoch: u64) -> Turn {
        // Only the first one may include the handshake.
        self.told_turns |= e.index > 0;
        self.io.turns = self.io.turns.max(e.index.saturating_add(u32::from(e.response_start.is_some())));
        // A recording may say anything.
        let end = e.end.max(e.start);
        let span = TurnSpan {
            index: e.index,
            request_end: e.request_end.clamp(e.start, end),
            response_start: e.response_start.map(|t| t.clamp(e.start, end)),
            end,
            request_bytes: e.request_bytes,
            response_bytes: e.response_bytes,
            retransmits: e.retransmits,
            ..TurnSpan::empty(e.start, loss_epoch)
        };
        let turn = self.turn(&span, None, salt, loss_epoch, e.end.after(1));
        Turn { sampling: Some(e.sampling), ..turn }
    }

    /// What the payload of a new segment begins with. True where that is a TLS handshake's.
    pub(crate) fn opens(&mut self, t: MonoNs, p: &Packet, direction: Direction) -> bool {
        let Some(seg) = &p.tcp else { return false };
        let from_client = (self.role == Role::Client) == (direction == Direction::Out);
        if let Some(Opening::Http(request)) = p.opening.as_ref().filter(|_| from_client) {
            self.requests.seen(t, seg.seq, request);
        }
        let Some((ours, theirs)) = self.wire.isn_pair().filter(|_| !self.opened_before && !self.mid_life)
        else {
            return false;
        };
        let (sender, receiver) = if direction == Direction::Out { (ours, theirs) } else { (theirs, ours) };
        self.tls.segment(&Flight {
            t,
            from_client,
            offset: seg.seq.wrapping_sub(sender).wrapping_sub(1),
            len: p.payload_len,
            acked: seg.ack.wrapping_sub(receiver).wrapping_sub(1),
            opening: p.opening.as_ref(),
        })
    }

    /// A thread took it from its listener: what that waits for is this connection's, until somebody else uses it.
    pub(crate) fn accepted_by(&mut self, tid: u32) {
        if !self.used {
            self.users = [tid, 0];
        }
    }

    /// Whether this thread is one of the last that used the socket.
    pub(crate) fn is_used_by(&self, tid: u32) -> bool {
        self.users.contains(&tid)
    }

    /// What the waterfall needs to know beside its notes.
    fn sides(&self) -> Sides {
        // The wire's word, else the kernel's: it tells the smallest as 0xffffffff while it has none.
        let kernel = || self.tcp_info.map(|i| i.min_rtt_us).filter(|us| !matches!(*us, 0 | u32::MAX));
        let rtt = self.wire.min_rtt().or_else(|| Some(DurationNs(u64::from(kernel()?) * 1_000)));
        let first = !self.told_turns && !self.opened_before;
        let connected = self.established.or(self.closed);
        let handshake = self.connect_start.zip(connected).filter(|_| first);
        let queue = self.established.zip(self.accept_wait).map(|(from, wait)| (from, from.after(wait.0)));
        Sides {
            role: self.role,
            rtt,
            connect: handshake,
            lookup: self.lookup.filter(|_| first),
            tls: self.tls.period().filter(|_| first),
            accept: queue.filter(|_| first),
            acceptor: self.acceptor,
            early: None,
        }
    }

    /// Cumulative counters only grow; whichever event told more is right.
    fn totals(&mut self, io: IoTotals) {
        self.io.sent = self.io.sent.max(io.sent);
        self.io.received = self.io.received.max(io.received);
        self.io.turns = self.io.turns.max(io.turns);
    }

    /// The kernel's count of retransmitted segments. Returns those that no event told of.
    pub(crate) fn reconcile(&mut self, retransmitted: u32) -> u64 {
        let kernel = u64::from(retransmitted.saturating_sub(self.retransmitted_before));
        // SYN/ACKs are sent again by the listener: they are not in the child's counter.
        kernel.saturating_sub(self.retransmits.total - self.retransmits.syn_ack)
    }

    /// Another peer of a UDP socket.
    pub(crate) fn add_peer(&mut self, tuple: &Tuple) {
        if self.tuple.transport != Transport::Udp {
            return;
        }
        if self.tuple.remote.port() == 0 && !self.many_peers {
            self.tuple = *tuple;
        } else if self.tuple.remote != tuple.remote && tuple.remote.port() != 0 {
            self.many_peers = true;
            let none = match self.tuple.remote.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            self.tuple.remote = SocketAddr::new(none, 0);
        }
    }

    /// The trace id, fixed the first time that somebody asks.
    pub(crate) fn trace(&mut self, salt: &[u8; 16]) -> ([u8; 16], TraceIdSource) {
        if let Some(made) = self.trace {
            return made;
        }
        let made = match self.wire.isn_pair() {
            Some((a, b)) if self.tuple.transport == Transport::Tcp => trace_id::from_isns(salt, a, b),
            _ => trace_id::local(salt, self.cookie, self.start),
        };
        self.trace = Some(made);
        made
    }

    /// The last turn, answered or not; of a connection that was never established its connect(2), if it failed.
    pub(crate) fn last_turn(&mut self) -> Option<(TurnSpan, Option<Early>)> {
        let Some(mut span) = self.turns.end() else {
            if self.tls.is_unfinished() && self.wire.reset_by().is_some() {
                let end = self.closed.unwrap_or(self.last);
                let early = Early { last: end, cause: Some(Cause::Reset) };
                return Some((TurnSpan::empty(end, self.loss_epoch), Some(early)));
            }
            let (closed, _) = self.closed.zip(self.connect_start)?;
            // A program that gives up before the kernel does leaves no error behind.
            let tcp = self.tuple.transport == Transport::Tcp;
            let tried = tcp && self.role == Role::Client && self.established.is_none();
            let failed = tried && (self.err != 0 || self.retransmits.syn > 0);
            let cause = (self.err == errno::ECONNREFUSED).then_some(Cause::Refused);
            let span = TurnSpan::empty(closed, self.loss_epoch);
            return failed.then_some((span, Some(Early { last: closed, cause })));
        };
        let unanswered = span.response_start.is_none();
        let finished = (self.wire.has_fin(Direction::Out), self.wire.has_fin(Direction::In));
        let last = span.end;
        let early = if let Some(at) = self.notes.cut_off(&span, &self.sides(), finished) {
            if unanswered || self.role == Role::Client {
                span.end = span.end.max(at);
            }
            Some(Early { last, cause: Some(Cause::Reset) })
        } else if unanswered && self.close_reason() == CloseReason::Timeout {
            // The kernel gave up.
            span.end = span.end.max(self.closed.unwrap_or(span.end));
            Some(Early { last, cause: None })
        } else {
            None
        };
        Some((span, early))
    }

    /// A finished turn as a fact. Until `cut` nothing that happened belongs to the next one.
    pub(crate) fn turn(
        &mut self,
        span: &TurnSpan,
        early: Option<Early>,
        salt: &[u8; 16],
        loss_epoch: u64,
        cut: MonoNs,
    ) -> Turn {
        let (trace_id, trace_id_source) = self.trace(salt);
        let sides = Sides { early, ..self.sides() };
        let waterfall = self.notes.finish(span, &sides, cut);
        self.told_turns = true;
        let mut request = self.requests.of_turn(span.request_end);
        if request.is_none() && self.role == Role::Client {
            // It may leave long after it was written.
            request = self.requests.of_turn(cut.before(1));
        }
        Turn {
            request,
            index: span.index,
            role: self.role,
            start: span.start,
            request_end: span.request_end,
            response_start: span.response_start.unwrap_or(span.end),
            end: span.end,
            request_bytes: span.request_bytes,
            response_bytes: span.response_bytes,
            retransmits: span.retransmits,
            drops: span.drops,
            incomplete: span.gap || span.loss_epoch != loss_epoch || waterfall.incomplete,
            waterfall: Some(Box::new(waterfall)),
            p50: None,
            sampling: None,
            observation: None,
            tuple: self.tuple,
            trace_id,
            trace_id_source,
        }
    }

    fn turns_total(&self) -> (u64, bool) {
        let told = u64::from(self.turns.completed()) + u64::from(self.turns_before);
        let kernel = u64::from(self.io.turns.saturating_sub(self.tls.turns()));
        (told.max(kernel), told != kernel && !self.mid_life)
    }

    fn close_reason(&self) -> CloseReason {
        use errno::{ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, EPIPE, ETIMEDOUT};
        if self.tuple.transport == Transport::Udp {
            return CloseReason::Fin;
        }
        // Keep-alive and user timeouts send a reset as well, but that is not why it ended.
        if matches!(self.err, ETIMEDOUT | EHOSTUNREACH | ENETUNREACH) {
            return CloseReason::Timeout;
        }
        match self.wire.reset_by() {
            Some(Direction::Out) => return CloseReason::ResetSent,
            Some(Direction::In) => return CloseReason::ResetReceived,
            None => {}
        }
        match self.err {
            ECONNREFUSED | ECONNRESET | EPIPE => CloseReason::ResetReceived,
            // tcp_close() with unread data or with SO_LINGER 0 goes straight to CLOSE.
            _ if self.aborted && !self.wire.has_fin(Direction::Out) => CloseReason::ResetSent,
            // The program gave up before anything answered.
            _ if self.connect_start.is_some() && self.established.is_none() => CloseReason::Timeout,
            _ if self.is_embryonic() => CloseReason::Timeout,
            _ => CloseReason::Fin,
        }
    }

    /// True where there is something to tell in the end.
    pub(crate) fn is_worth_telling(&self) -> bool {
        self.announced || self.retransmits.total > 0 || !self.drops.is_empty() || !self.peer_drops.is_empty()
    }

    /// Everything, at the end of it or of tracenet.
    pub(crate) fn summary(&mut self, salt: &[u8; 16], loss_epoch: u64) -> ConnSummary {
        let (trace_id, trace_id_source) = self.trace(salt);
        let (turns, turns_disagree) = self.turns_total();
        let over = self.closed.is_some() || self.destroyed;
        ConnSummary {
            id: self.id,
            cookie: self.cookie.map_or(0, |c| c.0),
            owner: self.owner.clone(),
            netns: self.netns,
            netns_inum: self.netns_inum,
            tuple: self.tuple,
            role: self.role,
            opened_before: self.opened_before,
            start: self.start,
            end: self.last,
            bytes_sent: self.bytes_before.0.saturating_add(self.io.sent),
            bytes_received: self.bytes_before.1.saturating_add(self.io.received),
            bytes_sent_before: self.bytes_before.0,
            bytes_received_before: self.bytes_before.1,
            turns,
            connect_start: self.connect_start,
            connect: self.connect,
            established: self.established,
            accept_wait: self.accept_wait,
            rtt: self.wire.rtt(),
            retransmits: self.retransmits,
            drops: self.drops.clone(),
            peer_drops: self.peer_drops.clone(),
            zero_window_stalls: self.wire.zero_window_stalls,
            close: if over { self.close_reason() } else { CloseReason::Open },
            err: self.err,
            tcp_info: self.tcp_info,
            packets: self.wire.packets,
            wire: self.wire.counts,
            trace_id,
            trace_id_source,
            incomplete: self.incomplete || turns_disagree || self.loss_epoch != loss_epoch,
            observation: None,
        }
    }
}

/// Adds a drop to the totals of its kind.
pub(crate) fn add_drop(totals: &mut Vec<DropTotals>, d: &DropEvent, direction: Direction, owner: PeerOwner) {
    let same = |t: &DropTotals| {
        t.reason == d.reason
            && t.location == d.location
            && t.direction == direction
            && t.netns_inum == d.netns_inum
            && t.owner == owner
            && t.details.same_kind(&d.details)
    };
    let at = match totals.iter().position(same) {
        Some(i) => i,
        None if totals.len() < MAX_DROP_KINDS => {
            totals.push(DropTotals {
                reason: d.reason.clone(),
                location: d.location.clone(),
                details: d.details.clone(),
                transport: d.tuple.transport,
                direction,
                packets: 0,
                segments: 0,
                netns_inum: d.netns_inum,
                owner,
            });
            totals.len() - 1
        }
        None => totals.len() - 1,
    };
    if let Some(t) = totals.get_mut(at) {
        t.packets += 1;
        t.segments += u64::from(d.segments.max(1));
        t.details = d.details.clone();
    }
}

/// True where the first event of a socket is of a connection that begins, or the kernel side has kept when it did. Not so where
/// a process with open sockets becomes a target and uses one before it is found, or is given one by another process.
fn tells_of_the_beginning(s: &SocketEvent) -> bool {
    use TcpState::{Established, NewSynRecv, SynRecv, SynSent};
    let opening = |state| matches!(state, SynSent | SynRecv | NewSynRecv);
    s.tuple.transport != Transport::Tcp
        || s.began.is_some()
        || s.established.is_some()
        || opening(s.state)
        || s.reason == SocketReason::State && (s.state == Established || s.old_state.is_some_and(opening))
}

/// Bytes that the application had written and read by the sequence numbers (`struct tcp_sock`): those are modulo
/// 2^32, so the 64-bit counters of acknowledged and received bytes say how often they went round.
fn bytes_so_far(tcp: &TcpInfo, state: TcpState) -> (u64, u64) {
    use TcpState::{CloseWait, Closing, FinWait1, FinWait2, LastAck, SynSent, TimeWait};
    if state == SynSent {
        return (0, 0);
    }
    let fin_sent = matches!(state, FinWait1 | FinWait2 | Closing | LastAck | TimeWait);
    let fin_received = matches!(state, CloseWait | LastAck | Closing | TimeWait);
    let unsent = u64::from(tcp.write_seq.wrapping_sub(tcp.snd_una));
    let unread = u64::from(tcp.rcv_nxt.wrapping_sub(tcp.copied_seq));
    let about_sent = tcp.bytes_acked.saturating_add(unsent);
    let about_received = tcp.bytes_received.saturating_sub(unread);
    if tcp.local_isn == 0 && tcp.remote_isn == 0 {
        return (about_sent, about_received);
    }
    // The SYN takes one number, the FIN another; a FIN that is still unread isn't passed by copied_seq.
    let sent = tcp.write_seq.wrapping_sub(tcp.local_isn).wrapping_sub(1 + u32::from(fin_sent));
    let fin_read = fin_received && tcp.copied_seq == tcp.rcv_nxt;
    let received = tcp.copied_seq.wrapping_sub(tcp.remote_isn).wrapping_sub(1 + u32::from(fin_read));
    (extend(sent, about_sent), extend(received, about_received))
}

/// The 64-bit number next to `about` whose low half is `low`.
fn extend(low: u32, about: u64) -> u64 {
    let off = low.wrapping_sub(about as u32) as i32;
    about.saturating_add_signed(i64::from(off))
}
