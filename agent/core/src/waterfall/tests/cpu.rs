//! Threads that were woken and get no CPU.

use super::*;

#[test]
fn a_server_that_gets_no_cpu_is_late_before_it_reads() {
    let mut s = Script::new(Role::Server);
    s.packet(0, In, 0, 10, 0);
    s.notes.readable(MonoNs(MS / 10));
    s.notes.ran(MonoNs(30 * MS), MonoNs(0), MonoNs(MS / 5));
    let w = s.call(0, 30, In, 10).call(30, 31, Out, 100).end();
    assert_eq!((w.start, w.parts.sum()), (MonoNs(0), DurationNs(31 * MS)));
    assert_eq!((w.parts.get(Part::RunQueue).0 / MS, w.cause), (29, Cause::Part(Part::RunQueue)), "{w:?}");
}

#[test]
fn an_acceptor_that_gets_no_cpu_leaves_the_connection_in_its_queue() {
    let mut s = Script::new(Role::Server);
    s.packet(31, In, 0, 10, 0).call(31, 31, In, 10).call(31, 32, Out, 100);
    let span = s.turns.end().expect("a turn");
    let at = |ms: u64| MonoNs(ms * MS);
    let sides = Sides { accept: Some((at(0), at(30))), acceptor: Some((at(5), at(29))), ..s.sides() };
    let w = s.notes.finish(&span, &sides, at(32));
    assert_eq!((w.parts.get(Part::RunQueue).0 / MS, w.parts.get(Part::AcceptQueue).0 / MS), (24, 6), "{w:?}");
    assert_eq!((w.cause, w.parts.sum()), (Cause::Part(Part::RunQueue), DurationNs(32 * MS)));
}
