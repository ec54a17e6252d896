//! What the governor does, for people.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracenet_core::event::{GovernorStep, GovernorWhy};
use tracenet_core::time::DurationNs;

use crate::units::Time;

/// A ratio in per cent, three digits of it.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let digits = if percent >= 100.0 {
            0
        } else if percent >= 10.0 {
            1
        } else {
            2
        };
        let text = format!("{percent:.digits$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        write!(f, "{text} %")
    }
}

/// `governor: calls 0.22 % of the time, no payload, no packets: cost 431 % of the targets' CPU time, budget 1 %`
pub fn step(step: &GovernorStep, out: &mut String) {
    out.push_str("governor: ");
    let mut separator = "";
    if let Some(rung) = step.rung.as_ref().filter(|_| step.share < 1.0) {
        let _ = write!(out, "{rung} {} of the time", Percent(step.share));
        separator = ", ";
    }
    for rung in &step.left_out {
        let _ = write!(out, "{separator}no {rung}");
        separator = ", ";
    }
    if separator.is_empty() {
        out.push_str("everything is observed");
    }
    let because = match step.why {
        GovernorWhy::Ring => ": records were lost; ",
        GovernorWhy::Cpu => ": tracenet takes too much of the CPUs; ",
        GovernorWhy::Memory => ": tracenet takes too much memory; ",
        GovernorWhy::Lowest => ", and nothing else can be left out: ",
        _ => ": ",
    };
    let _ = write!(
        out,
        "{because}cost {} of the targets' CPU time, budget {}",
        Percent(step.cost),
        Percent(step.budget)
    );
}

/// `not observed, to hold 1 % of the targets' CPU time: payload 29.7 s, calls 28 s of 30.2 s`
pub fn unobserved(budget: f64, parts: &[(Arc<str>, DurationNs)], all: DurationNs, out: &mut String) {
    let _ = write!(out, "not observed, to hold {} of the targets' CPU time: ", Percent(budget));
    let mut separator = "";
    for (name, t) in parts {
        let _ = write!(out, "{separator}{name} {}", Time(*t));
        separator = ", ";
    }
    if separator.is_empty() {
        out.push_str("nothing");
    } else {
        let _ = write!(out, " of {}", Time(all));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_what_is_observed_and_why() {
        let mut it = GovernorStep {
            why: GovernorWhy::Costly,
            budget: 0.01,
            cost: 4.31,
            left_out: vec!["payload".into(), "packets".into()],
            rung: Some("calls".into()),
            share: 0.0022,
            unobserved: Vec::new(),
        };
        let text = |it: &GovernorStep| {
            let mut text = String::new();
            step(it, &mut text);
            text
        };
        assert_eq!(
            text(&it),
            "governor: calls 0.22 % of the time, no payload, no packets: cost 431 % of the targets' CPU time, budget 1 %"
        );
        (it.left_out, it.share, it.cost) = (Vec::new(), 1.0, 0.0004);
        assert_eq!(
            text(&it),
            "governor: everything is observed: cost 0.04 % of the targets' CPU time, budget 1 %"
        );
        (it.why, it.rung, it.cost) = (GovernorWhy::Lowest, None, 0.052);
        it.left_out = vec!["calls".into()];
        assert_eq!(
            text(&it),
            "governor: no calls, and nothing else can be left out: cost 5.2 % of the targets' CPU time, budget 1 %"
        );
    }
}
