//! Which facts have a line in the story: all, or only the turns that are worth an explanation.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracenet_core::event::{CounterSample, RetransmitCause};
use tracenet_core::fact::{Fact, FactKind, Turn};
use tracenet_core::key::ConnId;
use tracenet_core::time::DurationNs;
use tracenet_core::totals::LostTotals;
use tracenet_core::waterfall::{Cause, Evidence};

use crate::incident::Incidents;
use crate::units::Count;

/// `tracenet explain`: nothing but turns, the slow and the damaged ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Explain {
    /// Those of this connection only.
    pub conn: Option<ConnId>,
}

/// What is told, and of how many turns.
pub struct Focus {
    slow: Option<DurationNs>,
    explain: Option<Explain>,
    turns: u64,
    told: BTreeMap<Cause, u64>,
    incidents: Incidents,
}

impl Focus {
    /// Everything, unless `slow` or `explain` narrows it.
    pub fn new(slow: Option<DurationNs>, explain: Option<Explain>) -> Self {
        Self { slow, explain, turns: 0, told: BTreeMap::new(), incidents: Incidents::default() }
    }

    /// Turns are told with what they waited for.
    pub fn explains(&self) -> bool {
        self.slow.is_some() || self.explain.is_some()
    }

    /// True for `tracenet explain`.
    pub fn is_explain(&self) -> bool {
        self.explain.is_some()
    }

    /// Whether the fact is told. `json`: as an object.
    pub fn takes(&mut self, fact: &Fact, json: bool) -> bool {
        match (&fact.kind, self.explain) {
            (FactKind::Turn(turn), Some(explain)) => {
                if explain.conn.is_some_and(|only| fact.conn != Some(only)) {
                    return false;
                }
                self.turns += 1;
                let told = self.is_slow(turn) || is_damaged(turn);
                if let Some(w) = turn.waterfall.as_ref().filter(|_| told) {
                    *self.told.entry(w.cause).or_default() += 1;
                }
                told
            }
            (FactKind::Turn(turn), None) => self.slow.is_none() || self.is_slow(turn),
            // As objects turns only: what was lost is in the last words, and marks the turns that it touched.
            (FactKind::Lost { .. } | FactKind::Counters(_) | FactKind::Governor(_), Some(_)) if json => false,
            (FactKind::Counters(sample), _) if self.explains() => self.incidents.looked(fact.t, sample),
            (FactKind::Counters(sample), _) => {
                sample.moved.iter().any(|(name, _)| !CounterSample::is_pressure(name))
            }
            (FactKind::Governor(step), _) => !self.explains() || step.why.is_step(),
            (FactKind::Lost { .. }, _) => true,
            _ => !self.explains(),
        }
    }

    /// What is told after a fact that was: the counters that moved during a turn.
    pub fn after(&mut self, fact: &Fact) -> Vec<Fact> {
        match &fact.kind {
            FactKind::Turn(turn) if self.explains() => self.incidents.told(turn),
            _ => Vec::new(),
        }
    }

    fn is_slow(&self, turn: &Turn) -> bool {
        self.slow.is_some_and(|slow| turn.duration() >= slow)
    }

    /// The last words of `tracenet explain`: `2 of 180 turns explained (2 loss_rto). lost: ...`
    pub fn last_words(&self, lost: &LostTotals) -> String {
        let told: u64 = self.told.values().sum();
        let mut line = format!("{told} of {} explained", Count(self.turns, "turn"));
        for (i, (cause, n)) in self.told.iter().enumerate() {
            let _ = write!(line, "{}{n} {}", if i == 0 { " (" } else { ", " }, cause.as_str());
        }
        line.push_str(if told > 0 { ")." } else { "." });
        let LostTotals { ringbuf, capture, queue, export } = lost;
        let _ =
            write!(line, " lost: ring buffer {ringbuf}, capture {capture}, queues {queue}, export {export}.");
        line
    }
}

/// It is to be blamed on a loss, a shut window or a reset, or its connection's handshake was sent again.
fn is_damaged(turn: &Turn) -> bool {
    use RetransmitCause::{Syn, SynAck};
    turn.waterfall.as_ref().is_some_and(|w| {
        let knocks = |e: &Evidence| matches!(e, Evidence::Retransmit { cause: Syn | SynAck, .. });
        w.cause.is_trouble() || w.evidence.iter().any(knocks)
    })
}
