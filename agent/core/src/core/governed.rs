//! What was left out while things happened.

use std::collections::VecDeque;

use super::Core;
use crate::event::{GovernorEvent, GovernorStep, GovernorWhy};
use crate::fact::{Fact, FactKind, Observation};
use crate::time::MonoNs;
use crate::totals::GovernorTotals;

/// Steps that are remembered; of a span that is older than all of them the oldest one is told.
const MAX_STEPS: usize = 64;

/// The last steps, and since when turns can be trusted.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Since when how much was left out.
    steps: VecDeque<(MonoNs, Option<Depth>)>,
    /// Turns are observed since then: what began earlier is not known to have gone on.
    pub(super) resumed: Option<MonoNs>,
}

/// How much is left out: the more rungs and the smaller the share, the less is observed.
#[derive(Debug, Clone, PartialEq)]
struct Depth {
    rungs: usize,
    least: Observation,
}

impl Depth {
    fn of(step: &GovernorStep) -> Option<Self> {
        let rungs = step.left_out.len();
        let share = step.rung.as_ref().filter(|_| step.share < 1.0).map(|rung| (rung, step.share));
        let (rung, share) = share.or_else(|| step.left_out.last().map(|rung| (rung, 0.0)))?;
        Some(Self { rungs, least: Observation::new(rung.clone(), share) })
    }

    /// Greater: less is observed.
    fn rank(&self) -> (usize, u32) {
        let partly = u32::from(self.least.share() > 0.0);
        (self.rungs + partly as usize, u32::MAX - self.least.millionths())
    }
}

impl Steps {
    fn push(&mut self, t: MonoNs, step: &GovernorStep) {
        if self.steps.len() >= MAX_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back((t, Depth::of(step)));
    }

    /// The least that was observed between two moments; `None` where all was.
    pub(super) fn least(&self, start: MonoNs, end: MonoNs) -> Option<Observation> {
        let mut least: Option<&Depth> = None;
        let ends = self.steps.iter().skip(1).map(|(t, _)| *t).chain([MonoNs(u64::MAX)]);
        for ((from, depth), to) in self.steps.iter().zip(ends) {
            if *from <= end
                && start <= to
                && let Some(depth) = depth
                && least.is_none_or(|l| depth.rank() > l.rank())
            {
                least = Some(depth);
            }
        }
        least.map(|depth| depth.least.clone())
    }
}

impl Core {
    pub(super) fn governed(&mut self, t: MonoNs, event: GovernorEvent, out: &mut Vec<Fact>) {
        match event {
            GovernorEvent::Turns { observed: true } => self.steps.resumed = Some(t),
            // What is open, turns and connections, has a gap from here on.
            GovernorEvent::Turns { observed: false } => {
                self.loss_epoch += 1;
                self.steps.resumed.get_or_insert(t);
            }
            GovernorEvent::Packets { .. } => self.loss_epoch += 1,
            GovernorEvent::Step(step) => {
                let totals = self.totals.governor.get_or_insert_with(GovernorTotals::default);
                totals.budget = step.budget;
                totals.unobserved.clone_from(&step.unobserved);
                totals.lowest |= step.why == GovernorWhy::Lowest;
                if step.why.is_step() {
                    totals.steps += 1;
                    self.steps.push(t, &step);
                }
                out.push(Fact { t, who: None, conn: None, kind: FactKind::Governor(step) });
            }
        }
    }
}
