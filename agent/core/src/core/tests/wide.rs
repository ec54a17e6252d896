//! Where every process is a target: what the kernel side put together.

use super::*;
use crate::event::{SampleReason, Sampling, TcpInfo, TurnEvent};
use crate::fact::TraceIdSource;

fn wide() -> Script {
    Script { core: Core::new(Settings { wide: true, ..Settings::default() }), facts: Vec::new() }
}

/// Told of late, with what was kept of its beginning.
fn told(cookie: u64) -> SocketEvent {
    SocketEvent {
        owner: Some(process(77, "stranger")),
        tcp: Some(TcpInfo { local_isn: 100, remote_isn: 200, ..TcpInfo::default() }),
        isns_kept: true,
        began: Some(MonoNs(MS)),
        established: Some(MonoNs(3 * MS)),
        ..sock(SocketReason::Owner, cookie, CLIENT, SERVER)
    }
}

fn turn(cookie: u64, index: u32) -> TurnEvent {
    TurnEvent {
        cookie: SocketCookie(cookie),
        index,
        start: MonoNs(10 * MS),
        request_end: MonoNs(11 * MS),
        response_start: Some(MonoNs(40 * MS)),
        end: MonoNs(41 * MS),
        request_bytes: 30,
        response_bytes: 4_000,
        retransmits: 2,
        sampling: Sampling { reason: SampleReason::Share, share: u32::MAX / 4 },
    }
}

#[test]
fn a_turn_of_a_stranger_is_told_with_why_and_the_connection_with_its_beginning() {
    let mut s = wide();
    s.socket(41 * MS, told(5));
    s.event(41 * MS, EventKind::Turn(Box::new(turn(5, 3))));
    let Some(FactKind::Turn(t)) = s.facts.last().map(|f| &f.kind) else { panic!("{:?}", s.facts) };
    assert_eq!((t.index, t.duration().0, t.retransmits), (3, 31 * MS, 2));
    assert_eq!(t.trace_id_source, TraceIdSource::IsnPair);
    let sampling = t.sampling.expect("it is one of many");
    assert!(sampling.reason == SampleReason::Share && (sampling.ratio() - 0.25).abs() < 1e-6);
    // The parts of its time sum to it, and the connect was another turn's.
    let parts = t.waterfall.as_ref().expect("the kernel saw it").parts;
    assert_eq!(parts.by_size().iter().map(|(_, t)| t.0).sum::<u64>(), 31 * MS);

    let destroyed = SocketEvent { reason: SocketReason::Destroy, state: TcpState::Close, ..told(5) };
    s.socket(50 * MS, destroyed);
    s.core.tick(MonoNs(10 * S), &mut s.facts);
    let Some(FactKind::Closed(c)) = s.facts.last().map(|f| &f.kind) else { panic!("{:?}", s.facts) };
    assert_eq!((c.connect_start, c.connect.map(|d| d.0)), (Some(MonoNs(MS)), Some(2 * MS)));
    assert_eq!((c.start, c.opened_before, c.turns, c.incomplete), (MonoNs(MS), false, 4, false));
    assert_eq!(c.owner.as_ref().map(|o| o.key.tgid), Some(77));
    // An agent runs for months: what was told is not kept.
    assert!(s.core.summaries().is_empty());
}

#[test]
fn what_was_open_before_is_known_as_such_and_has_its_trace() {
    let mut s = wide();
    s.socket(MS, SocketEvent { began: None, established: None, ..told(5) });
    s.event(2 * MS, EventKind::Turn(Box::new(turn(5, 0))));
    s.event(2 * MS, EventKind::Turn(Box::new(turn(6, 0))));
    let turns = s.facts.iter().filter(|f| matches!(f.kind, FactKind::Turn(_))).count();
    assert_eq!(turns, 1, "of a socket that nobody told of there is no turn");
    s.core.finish(MonoNs(S), &mut s.facts);
    let Some(FactKind::Closed(c)) = s.facts.last().map(|f| &f.kind) else { panic!("{:?}", s.facts) };
    assert!(c.opened_before && c.trace_id_source == TraceIdSource::IsnPair);
}
