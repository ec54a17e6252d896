//! The last events in a bounded piece of memory, shared fairly between sockets.
//!
//! When the ring is full every socket keeps its newest events down to one common level, so that a chatty socket can't
//! push out what a quiet one did last. What is evicted of a socket's own words (state, owner, totals) is folded into one
//! [`SocketEvent`] from which another core can begin, as if it had attached then.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tracenet_core::event::{Event, EventKind, Frame, IoTotals, SocketEvent, SocketReason, TcpState};
use tracenet_core::key::{ConnId, Role};
use tracenet_core::record::{Entry, EntryError, Head, Named};
use tracenet_core::time::MonoNs;

/// Of the ring, what an eviction frees beyond the need, as a divisor: finding the level takes a look at all sockets.
const FREED: usize = 64;

/// Bytes that an event takes beside its own: what is kept with it, its place in the queue, and the allocator's share of
/// three allocations.
const OVERHEAD: usize = size_of::<Kept>() + 96;

/// Events of processes (forks, execs, ends) that are kept whatever happens: without them nobody has a name.
const MAX_PROCESS_EVENTS: usize = 16_384;

/// An event as it is kept.
pub struct Kept {
    /// Its place among all.
    number: u64,
    /// When it happened.
    pub t: MonoNs,
    /// As in a recording, with the head.
    bytes: Box<[u8]>,
    /// The packet's bytes, which recordings leave out.
    frame: Option<Frame>,
    /// What is folded when it goes.
    fold: Fold,
}

#[derive(Clone, Copy)]
enum Fold {
    Nothing,
    Socket,
    Io(IoTotals),
}

impl Kept {
    fn new(number: u64, event: &Event, entry: &Entry) -> Result<Self, EntryError> {
        let fold = match &event.kind {
            EventKind::Socket(_) => Fold::Socket,
            EventKind::SocketIo(io) => Fold::Io(io.totals),
            _ => Fold::Nothing,
        };
        let frame = match &event.kind {
            EventKind::Packet(p) => p.frame.clone(),
            _ => None,
        };
        let mut bytes = Vec::with_capacity(256);
        entry.encode(&mut bytes)?;
        Ok(Self { number, t: event.t, bytes: bytes.into(), frame, fold })
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.frame.as_ref().map_or(0, |f| f.data.len()) + OVERHEAD
    }

    /// The event as it came.
    pub fn event(&self) -> Option<Event> {
        let (head, body) = self.bytes.split_first_chunk()?;
        let Ok(Entry::Event(mut event)) = Entry::decode(Head::read(*head).ok()?, body) else { return None };
        if let EventKind::Packet(p) = &mut event.kind {
            p.frame.clone_from(&self.frame);
        }
        Some(event)
    }
}

/// Whose an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Conn(ConnId),
    Nobody,
}

#[derive(Default)]
struct Share {
    kept: VecDeque<Arc<Kept>>,
    bytes: usize,
    /// What its evicted events said of it.
    head: Option<Box<SocketEvent>>,
    /// How another core is to name it.
    named: Option<Named>,
}

/// An event that is not in the ring yet.
pub struct Prepared {
    kept: Kept,
    /// It is about processes, not sockets.
    process: bool,
    /// The socket that it is about; the name is still to come.
    named: Option<Named>,
}

/// The ring.
pub struct Ring {
    shares: FxHashMap<Owner, Share>,
    processes: VecDeque<Arc<Kept>>,
    bytes: usize,
    max: usize,
    next: u64,
    evicted: u64,
}

/// What was in the ring at one moment.
pub struct Contents {
    /// Names of the connections.
    pub names: Vec<Named>,
    /// Sockets whose beginnings were evicted, as they were then.
    pub heads: Vec<SocketEvent>,
    /// The events in their order.
    pub events: Vec<Arc<Kept>>,
    /// Events that were evicted before.
    pub evicted: u64,
}

impl Ring {
    /// Keeps at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { shares: FxHashMap::default(), processes: VecDeque::new(), bytes: 0, max, next: 0, evicted: 0 }
    }

    /// Prepares an event; [`push`](Self::push) it when it is known whose it is. `None`: it can't be kept, and is counted
    /// as evicted.
    pub fn prepare(&mut self, entry: &Entry) -> Option<Prepared> {
        use EventKind::{Exec, Exit, Fork, Socket, Target};
        let Entry::Event(event) = entry else { return None };
        self.next += 1;
        let Ok(kept) = Kept::new(self.next, event, entry) else {
            self.evicted += 1;
            return None;
        };
        let named = match &event.kind {
            Socket(s) => Some(Named { id: ConnId(0), cookie: s.cookie, netns: s.netns, tuple: s.tuple }),
            _ => None,
        };
        let process = matches!(event.kind, Target(_) | Fork { .. } | Exec { .. } | Exit { .. });
        Some(Prepared { kept, process, named })
    }

    /// Keeps a prepared event of this connection, or of none.
    pub fn push(&mut self, Prepared { kept, process, named }: Prepared, conn: Option<ConnId>) {
        let size = kept.size();
        self.bytes += size;
        if process {
            self.processes.push_back(Arc::new(kept));
            if self.processes.len() > MAX_PROCESS_EVENTS
                && let Some(oldest) = self.processes.pop_front()
            {
                self.bytes -= oldest.size();
                self.evicted += 1;
            }
        } else {
            let share = self.shares.entry(conn.map_or(Owner::Nobody, Owner::Conn)).or_default();
            share.bytes += size;
            share.kept.push_back(Arc::new(kept));
            // At its end a socket's addresses are wiped.
            if let (Some(named), Some(id)) = (named, conn)
                && named.tuple.remote.port() != 0
                && named.tuple.local.port() != 0
            {
                share.named = Some(Named { id, ..named });
            }
        }
        if self.bytes > self.max {
            self.evict();
        }
    }

    fn evict(&mut self) {
        let pinned = self.bytes - self.shares.values().map(|s| s.bytes).sum::<usize>();
        let room = (self.max - self.max / FREED).saturating_sub(pinned);
        let level = level(self.shares.values().map(|s| s.bytes).collect(), room);
        let (mut bytes, mut evicted) = (pinned, 0);
        self.shares.retain(|_, share| {
            evicted += share.shrink(level);
            bytes += share.bytes;
            share.bytes > 0
        });
        self.bytes = bytes;
        self.evicted += evicted;
    }

    /// What is there now.
    pub fn contents(&self) -> Contents {
        let kept = self.shares.values().flat_map(|s| &s.kept).chain(&self.processes);
        Contents {
            names: self.shares.values().filter_map(|s| s.named).collect(),
            heads: self.shares.values().filter_map(|s| s.head.as_deref().cloned()).collect(),
            events: kept.cloned().collect(),
            evicted: self.evicted,
        }
    }
}

impl Contents {
    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        self.events.iter().map(|kept| kept.size() as u64).sum()
    }

    /// Puts the events in order.
    pub fn sort(&mut self) {
        self.events.sort_unstable_by_key(|kept| kept.number);
        self.heads.sort_unstable_by_key(|s| s.cookie.0);
        self.names.sort_unstable_by_key(|n| n.id);
    }
}

impl Share {
    /// Drops the oldest events until it takes `level` bytes. Returns how many were dropped.
    fn shrink(&mut self, level: usize) -> u64 {
        let mut evicted = 0;
        while self.bytes > level {
            let Some(kept) = self.kept.pop_front() else {
                // Nothing but the head is left, and there is no room even for that.
                self.head = None;
                self.bytes = 0;
                break;
            };
            self.bytes -= kept.size();
            evicted += 1;
            self.fold(&kept);
        }
        evicted
    }

    fn fold(&mut self, kept: &Kept) {
        match kept.fold {
            Fold::Nothing => {}
            Fold::Io(totals) => {
                if let Some(head) = &mut self.head {
                    head.io = totals;
                }
            }
            Fold::Socket => {
                if let Some(Event { kind: EventKind::Socket(s), .. }) = kept.event() {
                    let before = self.head.take();
                    self.bytes -= before.as_ref().map_or(0, |_| HEAD_BYTES);
                    self.head = folded(before, s);
                    self.bytes += self.head.as_ref().map_or(0, |_| HEAD_BYTES);
                }
            }
        }
    }
}

/// Bytes that a head takes.
const HEAD_BYTES: usize = size_of::<SocketEvent>() + OVERHEAD;

/// A socket as it is after `s`, told as one that was found at attach; nothing once it is gone.
fn folded(before: Option<Box<SocketEvent>>, mut s: Box<SocketEvent>) -> Option<Box<SocketEvent>> {
    if s.reason == SocketReason::Destroy || s.state == TcpState::Close && s.old_state.is_some() {
        return None;
    }
    if s.role.is_none() {
        s.role = before.and_then(|b| b.role).or(match s.old_state {
            Some(TcpState::SynRecv) => Some(Role::Server),
            Some(TcpState::Close | TcpState::SynSent) => Some(Role::Client),
            _ => None,
        });
    }
    s.reason = SocketReason::Existing;
    s.old_state = None;
    Some(s)
}

/// The highest level to which all have to shrink so that together they take no more than `room`: who has less keeps it
/// all.
fn level(mut sizes: Vec<usize>, room: usize) -> usize {
    sizes.sort_unstable();
    let mut rest = room;
    let mut left = sizes.len();
    for size in sizes {
        let even = rest / left;
        if size > even {
            return even;
        }
        rest -= size;
        left -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracenet_core::event::{SocketIo, Task};
    use tracenet_core::key::{Direction, NetnsCookie, SocketCookie, Transport, Tuple};

    fn io(t: u64, cookie: u64) -> Event {
        let io = SocketIo {
            task: Task { tgid: 1, tid: 1 },
            cookie: SocketCookie(cookie),
            direction: Direction::Out,
            bytes: 1,
            entered: None,
            totals: IoTotals::default(),
        };
        Event { t: MonoNs(t), kind: EventKind::SocketIo(io) }
    }

    #[test]
    fn the_level_leaves_the_small_ones_whole() {
        assert_eq!(level(vec![10, 20, 30], 100), usize::MAX);
        assert_eq!(level(vec![10, 100, 100], 110), 50);
        assert_eq!(level(vec![100; 4], 100), 25);
        assert_eq!(level(vec![], 0), usize::MAX);
        assert_eq!(level(vec![5], 0), 0);
    }

    #[test]
    fn a_chatty_socket_does_not_push_out_a_quiet_one() {
        let mut ring = Ring::new(64 << 10);
        let mut add = |t, cookie| {
            let kept = ring.prepare(&Entry::Event(io(t, cookie))).expect("it can be encoded");
            ring.push(kept, Some(ConnId(u32::try_from(cookie).expect("small"))));
            assert!(ring.bytes <= ring.max);
        };
        add(0, 1);
        for t in 1..10_000 {
            add(t, 2);
        }
        let mut contents = ring.contents();
        contents.sort();
        let times: Vec<u64> = contents.events.iter().map(|k| k.t.0).collect();
        assert_eq!((times.first(), times.last()), (Some(&0), Some(&9_999)));
        assert_eq!(contents.evicted, 10_000 - times.len() as u64);
        assert!(
            times.len() > 100 && times[1..].is_sorted_by(|a, b| a + 1 == *b),
            "the newest, without holes"
        );
        assert_eq!(contents.events[0].event(), Some(io(0, 1)));
    }

    #[test]
    fn what_is_evicted_of_a_socket_is_folded_into_its_beginning() {
        let (local, remote) = ("10.0.0.1:80".parse(), "10.0.0.2:50000".parse());
        let tuple = Tuple {
            transport: Transport::Tcp,
            local: local.expect("an address"),
            remote: remote.expect("an address"),
        };
        let socket = |reason, old_state, state| SocketEvent {
            reason,
            cookie: SocketCookie(7),
            netns: NetnsCookie(1),
            netns_inum: 2,
            tuple,
            owner: None,
            target: true,
            role: None,
            state,
            old_state,
            err: 0,
            retransmitted_segments: 0,
            io: IoTotals::default(),
            tcp: None,
            isns_kept: false,
            began: None,
            established: None,
        };
        let accepted = socket(SocketReason::State, Some(TcpState::SynRecv), TcpState::Established);
        let changed_hands = socket(SocketReason::Owner, None, TcpState::Established);
        let mut share = Share::default();
        let evict = |share: &mut Share, event: Event| {
            let entry = Entry::Event(event);
            let Entry::Event(event) = &entry else { return };
            let kept = Kept::new(0, event, &entry).expect("it can be encoded");
            share.fold(&kept);
        };
        let of = |s: &SocketEvent| Event { t: MonoNs(1), kind: EventKind::Socket(Box::new(s.clone())) };
        evict(&mut share, of(&accepted));
        evict(&mut share, of(&changed_hands));
        let mut sent = io(2, 7);
        if let EventKind::SocketIo(io) = &mut sent.kind {
            io.totals.sent = 100;
        }
        evict(&mut share, sent);
        let head = share.head.as_deref().expect("it is open");
        assert_eq!(
            (head.reason, head.role, head.io.sent),
            (SocketReason::Existing, Some(Role::Server), 100),
            "as if it had been found at attach"
        );
        evict(&mut share, of(&socket(SocketReason::Destroy, None, TcpState::Close)));
        assert!(share.head.is_none() && share.bytes == 0, "it is gone");
    }
}
