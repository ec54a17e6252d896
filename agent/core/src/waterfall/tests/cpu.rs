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

#[test]
fn a_client_that_is_pushed_aside_before_it_asks_waits_for_a_cpu() {
    let mut s = Script::new(Role::Client);
    s.ran(10, 10, 33).call(40, 40, Out, 10).packet(40, Out, 0, 10, 0);
    s.packet(60, In, 0, 10, 10).call(40, 60, In, 10);
    let span = s.turns.end().expect("a turn");
    let at = |ms: u64| MonoNs(ms * MS);
    let sides = Sides { connect: Some((at(0), at(2))), ..s.sides() };
    let w = s.notes.finish(&span, &sides, at(60));
    let of = |part| w.parts.get(part).0 / MS;
    assert_eq!((of(Part::Connect), of(Part::RunQueue), of(Part::Application)), (2, 23, 15), "{w:?}");
    assert_eq!((w.start, w.parts.sum()), (at(0), DurationNs(60 * MS)));
}

#[test]
fn a_server_that_is_pushed_aside_twice_before_it_reads_waits_for_a_cpu_both_times() {
    let mut s = Script::new(Role::Server);
    // A first turn, after which runs of an idle thread are no news.
    s.packet(0, In, 0, 10, 0).call(0, 0, In, 10).call(0, 1, Out, 100);
    s.packet(100, In, 10, 10, 100).ran(1, 100, 110).ran(111, 111, 140).call(1, 141, In, 10);
    let w = s.call(141, 142, Out, 100).end();
    assert_eq!((w.parts.get(Part::RunQueue).0 / MS, w.cause), (39, Cause::Part(Part::RunQueue)), "{w:?}");
}

#[test]
fn a_server_waits_for_a_client_that_connects_and_takes_its_time() {
    let mut s = Script::new(Role::Server);
    s.packet(60, In, 0, 10, 0).call(61, 61, In, 10).call(61, 62, Out, 100);
    let span = s.turns.end().expect("a turn");
    let at = |ms: u64| MonoNs(ms * MS);
    let w = s.notes.finish(&span, &Sides { accept: Some((at(0), at(5))), ..s.sides() }, at(62));
    let of = |part| w.parts.get(part).0 / MS;
    assert_eq!((of(Part::AcceptQueue), of(Part::Peer), of(Part::ReceiveBuffer)), (5, 55, 1), "{w:?}");
}

#[test]
fn what_precedes_a_request_precedes_its_turn_however_late_that_is_read() {
    let mut s = Script::new(Role::Server);
    s.packet(60, In, 0, 10, 0).call(160, 160, In, 10).call(160, 161, Out, 100);
    let span = s.turns.end().expect("a turn");
    let at = |ms: u64| MonoNs(ms * MS);
    let w = s.notes.finish(&span, &Sides { tls: Some((at(0), at(40))), ..s.sides() }, at(161));
    let of = |part| w.parts.get(part).0 / MS;
    assert_eq!((of(Part::Tls), of(Part::Peer), of(Part::ReceiveBuffer)), (40, 20, 100), "{w:?}");
}
