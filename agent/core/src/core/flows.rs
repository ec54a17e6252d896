//! Packets and the connections they belong to.

use super::lifecycle::{HALF_OPEN_NS, Slot};
use super::{Core, fact_of};
use crate::conn::Conn;
use crate::conn::wire::Sighting;
use crate::event::{Packet, tcp_flags};
use crate::fact::{Fact, FactKind, PacketFact};
use crate::flow::FlowKey;
use crate::key::{Direction, Role, Transport, Tuple};
use crate::time::MonoNs;
use crate::waterfall::Seen;

impl Core {
    pub(super) fn packet(&mut self, t: MonoNs, p: Packet, out: &mut Vec<Fact>) {
        let sender = FlowKey::new(p.netns, &p.tuple);
        let receiver = sender.reversed();
        let flags = p.tcp.map_or(0, |s| s.flags);
        let opening = flags & (tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST);
        if opening == tcp_flags::SYN {
            self.forget_closed(&sender);
            self.forget_closed(&receiver);
        }
        let from = self.table.by_flow(&sender);
        let mut to = self.table.by_flow(&receiver);
        if to.is_none() && opening == tcp_flags::SYN {
            to = self.half_open(t, &receiver, p.tuple.reversed(), out);
        }
        let from = match from {
            None if opening == tcp_flags::SYN | tcp_flags::ACK => self.half_open(t, &sender, p.tuple, out),
            known => known,
        };
        // On loopback both ends may be targets: both see the packet, one tells it.
        let sent = from.map(|slot| (slot, self.sighting(t, slot, &p, Direction::Out, out)));
        let received = to
            .filter(|to| Some(*to) != from)
            .map(|slot| (slot, self.sighting(t, slot, &p, Direction::In, out)));
        let (slot, direction, analysis) = match (sent, received) {
            (Some((slot, analysis)), _) => (slot, Direction::Out, analysis),
            (None, Some((slot, analysis))) => (slot, Direction::In, analysis),
            (None, None) => {
                self.totals.packets_of_others += 1;
                return;
            }
        };
        self.totals.packets += 1;
        if let Some(c) = self.table.get(slot) {
            let kind = FactKind::Packet(Box::new(PacketFact { packet: p, direction, analysis }));
            out.push(fact_of(c, t, kind));
        }
    }

    /// One end's view of a packet.
    fn sighting(
        &mut self,
        t: MonoNs,
        slot: Slot,
        p: &Packet,
        direction: Direction,
        out: &mut Vec<Fact>,
    ) -> Option<crate::tcp::Analysis> {
        let c = self.table.get_mut(slot)?;
        c.seen(t);
        let mut analysis = None;
        let (before, len) = (c.wire.packets, p.payload_len);
        if c.tuple.transport == Transport::Udp {
            if !c.role_known {
                c.role_known = true;
                c.role = if direction == Direction::Out { Role::Client } else { Role::Server };
            }
            let seen = if direction == Direction::Out { p.tuple } else { p.tuple.reversed() };
            c.add_peer(&seen);
            c.wire.packet(&Sighting::of(t, p, direction, c.role));
            if c.wire.packets != before {
                let (tcp, ip_id, cause, rtt) = (None, None, None, None);
                c.notes.packet(t, &Seen { direction, len, tcp, ip_id, cause, rtt, handshake: false });
            }
            self.announce(slot, t, out);
        } else {
            analysis = c.wire.packet(&Sighting::of(t, p, direction, c.role));
            if p.tcp.is_some_and(|s| s.flags & tcp_flags::RST != 0) {
                if c.wire.reset(direction) {
                    c.notes.reset(t, direction);
                }
                if c.is_embryonic() {
                    c.closed.get_or_insert(t);
                }
            }
            if let Some(analysis) = &analysis {
                let (tcp, ip_id, rtt) = (p.tcp.as_ref(), p.ip_id, c.wire.min_rtt());
                let (cause, handshake) = (analysis.cause, c.opens(t, p, direction));
                c.notes.packet(t, &Seen { direction, len, tcp, ip_id, cause, rtt, handshake });
            }
            if c.is_embryonic() {
                self.table.set_deadline(slot, t.after(HALF_OPEN_NS));
            }
        }
        analysis
    }

    /// The half-open connection of a handshake with a target's listener.
    pub(super) fn half_open(
        &mut self,
        t: MonoNs,
        key: &FlowKey,
        tuple: Tuple,
        out: &mut Vec<Fact>,
    ) -> Option<Slot> {
        let listener = self.listeners.get(&self.listening.find(key)?)?;
        let mut c = Conn::new(t, key.netns(), tuple, Role::Server, self.loss_epoch);
        c.netns_inum = listener.netns_inum;
        let owner = listener.owner.clone();
        c.set_owner(&owner, self.processes.is_target(owner.key.tgid));
        self.open_half(t, c, *key, out)
    }

    /// A SYN on a closed connection's flow is the beginning of another one, maybe of somebody else's.
    fn forget_closed(&mut self, key: &FlowKey) {
        if let Some(slot) = self.table.by_flow(key)
            && self.table.get(slot).is_some_and(|c| c.closed.is_some() || c.destroyed)
        {
            self.table.unlink(key);
        }
    }
}
