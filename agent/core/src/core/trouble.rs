//! Retransmissions, drops and resets, and whose they are.

use std::sync::Arc;

use super::lifecycle::Slot;
use super::{Core, fact_of};
use crate::conn::{Conn, add_drop};
use crate::drops::Hurt;
use crate::event::{DropEvent, ProcessInfo, Retransmit, RetransmitCause, Task, tcp_flags};
use crate::fact::{DropFact, Fact, FactKind, PeerOwner, RetransmitTotals, Who};
use crate::flow::FlowKey;
use crate::key::{Direction, SocketCookie, Transport};
use crate::time::MonoNs;
use crate::totals::NoConnection;
use crate::waterfall::Lost;

impl NoConnection {
    /// What a connection suffered that nobody will hear of.
    pub(super) fn absorb(&mut self, c: &Conn) {
        let RetransmitTotals { total, fast, tail_loss_probe, timeout, syn, syn_ack, other } = c.retransmits;
        self.retransmits.total += total;
        self.retransmits.fast += fast;
        self.retransmits.tail_loss_probe += tail_loss_probe;
        self.retransmits.timeout += timeout;
        self.retransmits.syn += syn;
        self.retransmits.syn_ack += syn_ack;
        self.retransmits.other += other;
        for d in &c.drops {
            let same = |t: &&mut crate::fact::DropTotals| {
                t.reason == d.reason
                    && t.location == d.location
                    && t.direction == d.direction
                    && t.netns_inum == d.netns_inum
                    && t.details.same_kind(&d.details)
            };
            match self.drops.iter_mut().find(same) {
                Some(t) => {
                    t.packets += d.packets;
                    t.segments += d.segments;
                }
                None => self.drops.push(d.clone()),
            }
        }
    }
}

impl Core {
    pub(super) fn retransmit(&mut self, t: MonoNs, r: &Retransmit, out: &mut Vec<Fact>) {
        // The kernel tried and sent nothing (-EBUSY: the first copy hasn't left the host yet).
        if r.segments == 0 {
            return;
        }
        if let Some(owner) = &r.owner {
            self.processes.learn(owner);
        }
        let key = FlowKey::new(r.netns, &r.tuple);
        let segments = u64::from(r.segments);
        let slot = if r.cause == RetransmitCause::SynAck {
            self.table.by_flow(&key).or_else(|| self.half_open(t, &key, r.tuple, out))
        } else {
            self.find(r.cookie, &key)
        };
        if let Some(slot) = slot {
            self.name(slot);
        }
        let Some(c) = slot.and_then(|slot| self.table.get_mut(slot)) else {
            match self.target(r.owner.as_ref()).and_then(|who| self.no_connection(&who)) {
                Some(bucket) => {
                    bucket.retransmits.add(r.cause, segments);
                    self.totals.retransmits.add(r.cause, segments);
                }
                None => self.totals.unattributed_retransmits += segments,
            }
            return;
        };
        self.totals.retransmits.add(r.cause, segments);
        c.seen(t);
        c.retransmits.add(r.cause, segments);
        c.turns.retransmit(r.cause, r.segments);
        let isn = c.wire.local_isn();
        let seq = match (r.cause, isn) {
            // A SYN/ACK starts at the ISN, whatever the event says.
            (RetransmitCause::SynAck, Some(isn)) => isn,
            _ => r.seq,
        };
        let after = c.wire.sent_before(seq, t).or_else(|| r.sent_at.map(|at| t.since(at)));
        let seq = seq.wrapping_sub(isn.unwrap_or(0));
        let handshake = matches!(r.cause, RetransmitCause::Syn | RetransmitCause::SynAck);
        if handshake {
            c.notes.knocked(t, r, seq, after);
        } else {
            c.notes.retransmit(t, r, seq, after, false);
        }
        let kind = FactKind::Retransmit {
            cause: r.cause,
            seq,
            seq_end: seq.wrapping_add(r.len),
            segments: r.segments,
            after,
        };
        out.push(fact_of(c, t, kind));
        // The other end of it, where that is a target's, waits for these bytes.
        let reversed = key.reversed();
        let other = self.namespaces.iter().find_map(|n| self.table.by_flow(&reversed.within(*n)));
        if let Some(peer) = other.filter(|other| Some(*other) != slot && !handshake)
            && let Some(peer) = self.table.get_mut(peer)
        {
            peer.notes.retransmit(t, r, seq, after, true);
        }
    }

    pub(super) fn dropped(&mut self, t: MonoNs, d: &DropEvent, out: &mut Vec<Fact>) {
        if let Some(owner) = &d.owner {
            self.processes.learn(owner);
        }
        let key = FlowKey::new(d.netns, &d.tuple);
        let mut hurt = self.find(d.cookie, &key);
        // Any part of a handshake with a listener, or what follows it, may be the first that is heard of it. What ends
        // a connection is a straggler of one that is over.
        let opening = d.tcp_flags & (tcp_flags::FIN | tcp_flags::RST) == 0;
        if hurt.is_none() && opening && d.tuple.transport == Transport::Tcp {
            hurt = self.half_open(t, &key, d.tuple, out);
        }
        let peer = match d.peer_cookie.and_then(|c| self.table.by_cookie(c)) {
            Some(slot) => Some(slot),
            None => self.other_end(t, &key, d, out),
        };
        let peer = peer.filter(|slot| hurt != Some(*slot));
        let owner = self.peer_owner(d.owner.as_ref());
        if let Some(slot) = hurt {
            self.totals.drops += 1;
            self.totals.dropped_segments += u64::from(d.segments.max(1));
            self.announce_quiet_udp(slot, t, out);
            if let Some(c) = self.table.get_mut(slot) {
                c.seen(t);
                c.turns.dropped();
                let owner = match (&d.owner, &c.owner) {
                    (None, Some(o)) => PeerOwner { pid: o.key.tgid, comm: o.comm.clone() },
                    _ => owner.clone(),
                };
                let fact = Arc::new(drop_fact(d, None, side(d.direction), owner.clone()));
                c.notes.dropped(t, &Lost { drop: d, direction: d.direction, fact: &fact });
                add_drop(&mut c.drops, d, d.direction, owner);
                out.push(fact_of(c, t, FactKind::Dropped(fact)));
            }
        }
        // Where nobody has a socket, as on a router, both ends may be here all the same.
        let nobody = hurt.is_none() && owner.pid == 0;
        let far = if nobody { self.end_elsewhere(&key).filter(|slot| peer != Some(*slot)) } else { None };
        let (mut whose, mut victim) = (side(d.direction), owner.clone());
        if nobody {
            // Then it hurt the sender, or the receiver if no more than that is known.
            let (sender, receiver) = if d.direction == Direction::Out { (far, peer) } else { (peer, far) };
            let known = |slot: Option<Slot>| {
                let o = self.table.get(slot?)?.owner.as_ref()?;
                Some(PeerOwner { pid: o.key.tgid, comm: o.comm.clone() })
            };
            if let Some((hurt, o)) = known(sender)
                .map(|o| (Hurt::Sender, o))
                .or_else(|| known(receiver).map(|o| (Hurt::Receiver, o)))
            {
                (whose, victim) = (hurt, o);
            }
        }
        self.totals.peer_drops += u64::from(peer.is_some() || far.is_some());
        for (slot, direction) in [(peer, d.direction.reversed()), (far, d.direction)] {
            let Some(slot) = slot else { continue };
            self.announce_quiet_udp(slot, t, out);
            let Some(c) = self.table.get_mut(slot) else { continue };
            c.seen(t);
            c.turns.dropped();
            let fact = Arc::new(drop_fact(d, Some(owner.clone()), whose, victim.clone()));
            c.notes.dropped(t, &Lost { drop: d, direction, fact: &fact });
            add_drop(&mut c.peer_drops, d, d.direction, owner.clone());
            out.push(fact_of(c, t, FactKind::Dropped(fact)));
        }
        if hurt.is_some() {
            return;
        }
        let owner_of_listener = d.cookie.and_then(|c| self.listeners.get(&c)).map(|l| l.owner.clone());
        let who = owner_of_listener.or_else(|| self.target(d.owner.as_ref()));
        match who.as_ref().and_then(|who| self.no_connection(who)) {
            Some(bucket) => {
                let owner = PeerOwner { pid: bucket.owner.key.tgid, comm: bucket.owner.comm.clone() };
                let fact = drop_fact(d, None, side(d.direction), owner.clone());
                add_drop(&mut bucket.drops, d, d.direction, owner);
                self.totals.drops += 1;
                self.totals.dropped_segments += u64::from(d.segments.max(1));
                out.push(Fact { t, who, conn: None, kind: FactKind::Dropped(Arc::new(fact)) });
            }
            // It hurt nobody of ours, but the connection of ours at the other end has heard of it.
            None if peer.is_some() || far.is_some() => {}
            None => self.totals.unattributed_drops += 1,
        }
    }

    pub(super) fn reset(
        &mut self,
        t: MonoNs,
        cookie: Option<SocketCookie>,
        key: FlowKey,
        direction: Direction,
        reason: Option<Arc<str>>,
        out: &mut Vec<Fact>,
    ) {
        let Some(slot) = self.find(cookie, &key) else { return };
        self.name(slot);
        let Some(c) = self.table.get_mut(slot) else { return };
        c.seen(t);
        if c.wire.reset(direction) {
            c.notes.reset(t, direction);
        }
        out.push(fact_of(c, t, FactKind::Reset { direction, reason }));
    }

    /// By the socket, else by the flow.
    fn find(&self, cookie: Option<SocketCookie>, key: &FlowKey) -> Option<Slot> {
        cookie.and_then(|c| self.table.by_cookie(c)).or_else(|| self.table.by_flow(key))
    }

    /// A target's socket at the other end of a dropped packet's flow: the same flow the other way round, in the same
    /// namespace or in another one that targets live in. It may be half open still, when its SYN/ACK was dropped.
    fn other_end(&mut self, t: MonoNs, key: &FlowKey, d: &DropEvent, out: &mut Vec<Fact>) -> Option<Slot> {
        let reversed = key.reversed();
        let keys = || self.namespaces.iter().map(|n| reversed.within(*n));
        if let Some(slot) = keys().find_map(|k| self.table.by_flow(&k)) {
            return Some(slot);
        }
        if d.tcp_flags & tcp_flags::SYN == 0 || d.tuple.transport != Transport::Tcp {
            return None;
        }
        let listening = keys().find(|k| self.listening.find(k).is_some())?;
        self.half_open(t, &listening, d.tuple.reversed(), out)
    }

    /// The socket that sees the flow so, in a namespace other than that of the drop.
    fn end_elsewhere(&self, key: &FlowKey) -> Option<Slot> {
        self.namespaces.iter().find_map(|n| self.table.by_flow(&key.within(*n)))
    }

    fn announce_quiet_udp(&mut self, slot: Slot, t: MonoNs, out: &mut Vec<Fact>) {
        if self.table.get(slot).is_some_and(|c| c.tuple.transport == Transport::Udp) {
            self.announce(slot, t, out);
        }
    }

    fn peer_owner(&self, owner: Option<&ProcessInfo>) -> PeerOwner {
        match owner {
            Some(o) => PeerOwner { pid: o.key.tgid, comm: o.comm.clone() },
            None => PeerOwner { pid: 0, comm: Arc::from("") },
        }
    }

    /// The process, where it is a target.
    fn target(&self, owner: Option<&ProcessInfo>) -> Option<Who> {
        let tgid = owner?.key.tgid;
        self.processes.is_target(tgid).then(|| self.processes.who(Task { tgid, tid: tgid }))
    }

    /// The bucket of what belongs to a target but to none of its connections.
    pub(super) fn no_connection(&mut self, owner: &Who) -> Option<&mut NoConnection> {
        let buckets = &mut self.totals.no_connection;
        let at = match buckets.iter().position(|b| b.owner.key == owner.key) {
            Some(i) => i,
            None if buckets.len() < self.settings.max_processes => {
                buckets.push(NoConnection {
                    owner: owner.clone(),
                    retransmits: RetransmitTotals::default(),
                    drops: Vec::new(),
                });
                buckets.len() - 1
            }
            None => return None,
        };
        buckets.get_mut(at)
    }
}

/// Who is hurt by a drop that goes this way, seen from the socket.
fn side(direction: Direction) -> Hurt {
    match direction {
        Direction::Out => Hurt::Sender,
        Direction::In => Hurt::Receiver,
    }
}

fn drop_fact(d: &DropEvent, at_peer: Option<PeerOwner>, hurt: Hurt, victim: PeerOwner) -> DropFact {
    DropFact {
        reason: d.reason.clone(),
        location: d.location.clone(),
        details: d.details.clone(),
        transport: d.tuple.transport,
        direction: d.direction,
        hurt: if victim.pid == 0 { Hurt::None } else { hurt },
        victim,
        seq: d.seq,
        payload_len: d.payload_len,
        segments: d.segments.max(1),
        ifindex: d.ifindex,
        netns_inum: d.netns_inum,
        at_peer,
    }
}
