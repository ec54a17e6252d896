//! What really happened to a turn: the client's word and the link's.

use std::collections::{BTreeMap, BTreeSet};

use super::load::Report;
use crate::link::{Action, Done, Record, Way, flags};

/// One turn. A connection that never came to one has one all the same, that of its handshake.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The client's port and the server's.
    pub ports: (u16, u16),
    /// Number on its connection.
    pub turn: u32,
    /// Time that the client measured, nanoseconds; 0 where it never asked.
    pub took_ns: u64,
    /// The load's habit showed.
    pub habit: bool,
    /// Why it, or the connection, ended early.
    pub error: Option<String>,
    /// Its packets, and of a first turn those of the handshake.
    pub packets: Vec<Record>,
    /// The link stood still meanwhile, which is not what it was told, or the ports were used twice: nothing can be
    /// demanded of the turn.
    pub disturbed: bool,
}

/// Everything that happened, by ports and turn.
pub type Truths = BTreeMap<((u16, u16), u32), Truth>;

/// Joins what the client and the link say.
pub fn join(reports: &[Report], done: &Done) -> Truths {
    let mut truths = Truths::new();
    // The kernel gives a port to another connection once the first is over: their turns can't be told apart.
    let mut twice = BTreeSet::new();
    let mut last: BTreeMap<(u16, u16), u32> = BTreeMap::new();
    for report in reports.iter().filter(|r| r.ports.0 != 0) {
        for (turn, t) in (0..).zip(&report.turns) {
            let (ports, took_ns, habit) = (report.ports, t.took_ns, t.habit);
            let error = t.error.clone();
            let truth = Truth { ports, turn, took_ns, habit, error, packets: Vec::new(), disturbed: false };
            if truths.insert((ports, turn), truth).is_some() {
                twice.insert(ports);
            }
            last.insert(ports, turn);
        }
    }
    for record in &done.records {
        let (ports, turn) = (record.sight.ports, record.sight.turn);
        // What ends a connection belongs to its last turn.
        let turn = last.get(&ports).map_or(0, |last| turn.min(*last));
        let failed = || {
            let error = Some("not connected".to_owned());
            Truth { ports, turn, took_ns: 0, habit: false, error, packets: Vec::new(), disturbed: false }
        };
        truths.entry((ports, turn)).or_insert_with(failed).packets.push(*record);
    }
    for truth in truths.values_mut() {
        let times = || truth.packets.iter().flat_map(|r| [Some(r.sight.t), r.arrives]).flatten();
        if let (Some(first), Some(last)) = (times().min(), times().max()) {
            truth.disturbed =
                twice.contains(&truth.ports) || done.stalls.iter().any(|s| s.start < last && first < s.end);
        }
    }
    truths
}

impl Truth {
    /// Packets with payload that were lost, one way.
    pub fn losses(&self, way: Way) -> impl Iterator<Item = &Record> {
        self.packets.iter().filter(move |r| r.sight.way == way && r.sight.is_data() && is_loss(r))
    }

    /// How much later than without losses the last of the lost bytes came, one way, in nanoseconds.
    pub fn held(&self, way: Way) -> u64 {
        let delayed = |lost: &Record| {
            let covers = |r: &&Record| {
                let s = &r.sight;
                s.way == way
                    && s.is_data()
                    && s.offset <= lost.sight.offset
                    && s.offset + s.len >= lost.sight.offset + lost.sight.len
            };
            let at_last = self.packets.iter().filter(covers).filter_map(|r| r.arrives).min();
            at_last.map_or(u64::MAX, |at| at.saturating_sub(lost.sight.t))
        };
        // What an earlier copy of brought is no loss to anybody.
        self.losses(way).map(delayed).max().unwrap_or(0)
    }

    /// Nanoseconds that the server had the whole request before its answer came to the link.
    pub fn server_took(&self) -> u64 {
        let data = |way: Way| self.packets.iter().filter(move |r| r.sight.way == way && r.sight.is_data());
        let asked = data(Way::Up).filter_map(|r| r.arrives).max();
        let answered = data(Way::Down).map(|r| r.sight.t).min();
        asked.zip(answered).map_or(0, |(asked, answered)| answered.saturating_sub(asked))
    }

    /// Nanoseconds of the turn that nothing was on its way to the client or from it: the client's own time.
    pub fn client_took(&self) -> u64 {
        let data = || self.packets.iter().filter(|r| r.sight.is_data());
        let first = data().map(|r| r.sight.t).min();
        let last = data().filter_map(|r| r.arrives).max();
        let away = first.zip(last).map_or(0, |(first, last)| last.saturating_sub(first));
        self.took_ns.saturating_sub(away)
    }

    /// A packet of the handshake was lost.
    pub fn handshake_lost(&self) -> bool {
        self.packets.iter().any(|r| r.sight.is_syn() && is_loss(r))
    }

    /// Somebody sent something again that had not been lost.
    pub fn sent_in_vain(&self) -> bool {
        self.packets.iter().any(|r| r.sight.again && r.sight.is_data() && !self.was_lost_before(r))
    }

    fn was_lost_before(&self, again: &Record) -> bool {
        let same = |r: &&Record| {
            r.sight.t < again.sight.t
                && r.sight.way == again.sight.way
                && r.sight.is_data()
                && r.sight.offset == again.sight.offset
        };
        self.packets.iter().filter(same).all(is_loss)
    }

    /// The request's first bytes were lost: its server hears of it when they have come.
    pub fn begins_late(&self) -> bool {
        let first = self.packets.iter().filter(|r| r.sight.way == Way::Up && r.sight.is_data());
        let first = first.min_by_key(|r| r.sight.offset).map(|r| r.sight.offset);
        self.losses(Way::Up).any(|r| Some(r.sight.offset) == first)
    }

    /// The request's acknowledgement came by itself, and then its answer from the first byte on: to the client no different
    /// from a server that thinks, whatever was lost in between (IPv4's packet numbers may tell).
    pub fn looks_like_thought(&self) -> bool {
        let down = || self.packets.iter().filter(|r| r.sight.way == Way::Down && !r.sight.is_syn());
        let Some(asked) = self
            .packets
            .iter()
            .filter(|r| r.sight.way == Way::Up && r.sight.is_data())
            .map(|r| r.sight.t)
            .min()
        else {
            return false;
        };
        let begins = down().filter(|r| r.sight.is_data()).map(|r| r.sight.offset).min();
        let answered = down().filter(|r| r.sight.is_data() && r.arrives.is_some()).min_by_key(|r| r.arrives);
        answered.is_some_and(|first| {
            let waits = |r: &&Record| {
                !r.sight.is_data() && r.arrives.is_some_and(|t| t > asked) && r.arrives < first.arrives
            };
            Some(first.sight.offset) == begins
                && self.losses(Way::Up).next().is_none()
                && down().any(|r| waits(&r))
        })
    }

    /// Somebody had no room for what was to come.
    pub fn window_was_shut(&self) -> bool {
        self.packets.iter().any(|r| r.sight.window == 0 && r.sight.flags & flags::RST == 0)
    }

    /// A reset passed, whoever made it.
    pub fn was_reset(&self) -> bool {
        self.packets.iter().any(|r| r.action == Action::Reset || r.sight.flags & flags::RST != 0)
    }
}

fn is_loss(r: &Record) -> bool {
    matches!(r.action, Action::Drop | Action::Reset)
}
