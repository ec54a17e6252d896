//! What is left out is known of what it touched.

use super::*;
use crate::event::{GovernorEvent, GovernorStep, GovernorWhy};
use crate::time::DurationNs;

fn step(left_out: &[&str], rung: &str, share: f64, why: GovernorWhy) -> EventKind {
    EventKind::Governor(GovernorEvent::Step(Box::new(GovernorStep {
        why,
        budget: 0.01,
        cost: 0.2,
        left_out: left_out.iter().map(|name| Arc::from(*name)).collect(),
        rung: Some(Arc::from(rung)),
        share,
        unobserved: vec![(Arc::from("calls"), DurationNs(7))],
    })))
}

fn turns(s: &Script) -> Vec<&Turn> {
    let turn = |f| match f {
        &Fact { kind: FactKind::Turn(ref turn), .. } => Some(&**turn),
        _ => None,
    };
    s.facts.iter().filter_map(turn).collect()
}

#[test]
fn no_turn_spans_a_pause() {
    let mut s = Script::new();
    s.connected(MS, 1, CLIENT, SERVER);
    s.io(10 * MS, 10, 1, Direction::Out, 5, (5, 0, 0));
    s.io(12 * MS, 10, 1, Direction::In, 7, (5, 7, 1));
    s.event(15 * MS, step(&[], "turns", 0.1, GovernorWhy::Costly));
    s.event(20 * MS, EventKind::Governor(GovernorEvent::Turns { observed: false }));
    s.event(S, EventKind::Governor(GovernorEvent::Turns { observed: true }));
    // The end of an answer to which nobody saw the question.
    s.io(S + MS, 10, 1, Direction::In, 7, (5, 700, 1));
    s.io(S + 2 * MS, 10, 1, Direction::Out, 5, (10, 700, 1));
    s.io(S + 3 * MS, 10, 1, Direction::In, 7, (10, 707, 2));
    let c = s.only(2 * S);
    assert!(c.incomplete, "turns are missing");
    let turns = turns(&s);
    let times: Vec<_> = turns.iter().map(|t| (t.start.0, t.end.0)).collect();
    assert_eq!(times, [(10 * MS, 12 * MS), (S + 2 * MS, S + 3 * MS)]);
    assert!(turns[0].incomplete, "more of it may have come");
    assert_eq!(turns[0].observation, None, "all was observed by then");
    let least = turns[1].observation.as_ref().expect("turns were left out");
    assert_eq!((&*least.rung, least.share()), ("turns", 0.1));
}

#[test]
fn the_least_that_was_observed_is_told() {
    let mut s = Script::new();
    s.event(S, step(&["payload"], "packets", 1.0, GovernorWhy::Costly));
    s.event(2 * S, step(&["payload", "packets"], "calls", 0.25, GovernorWhy::Costly));
    s.event(3 * S, step(&["payload", "packets"], "calls", 0.5, GovernorWhy::Room));
    s.event(4 * S, step(&[], "payload", 1.0, GovernorWhy::Room));
    s.event(5 * S, step(&[], "payload", 1.0, GovernorWhy::End));
    let least = |from, to| {
        let least = s.core.steps.least(MonoNs(from), MonoNs(to))?;
        Some((least.rung.to_string(), least.share()))
    };
    assert_eq!(least(0, S / 2), None);
    assert_eq!(least(0, S + 1), Some(("payload".into(), 0.0)));
    assert_eq!(least(0, 9 * S), Some(("calls".into(), 0.25)));
    assert_eq!(least(3 * S + 1, 9 * S), Some(("calls".into(), 0.5)));
    assert_eq!(least(4 * S + 1, 9 * S), None);
    let totals = s.core.totals().governor.expect("there is a governor");
    assert_eq!((totals.steps, totals.unobserved.len(), totals.lowest), (4, 1, false));
}

#[test]
fn the_last_word_makes_up_for_bytes_that_nobody_saw() {
    let mut s = Script::new();
    s.connected(MS, 1, CLIENT, SERVER);
    s.event(2 * MS, EventKind::Governor(GovernorEvent::Turns { observed: false }));
    let tcp =
        crate::event::TcpInfo { bytes_sent: 9_000, bytes_retrans: 1_000, segs_out: 9, ..Default::default() };
    s.socket(
        S,
        SocketEvent {
            state: TcpState::Close,
            tcp: Some(tcp),
            ..sock(SocketReason::Destroy, 1, CLIENT, SERVER)
        },
    );
    assert_eq!(s.only(2 * S).bytes_sent, 8_000);
}
