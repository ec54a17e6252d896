//! What spans a story of facts becomes.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::*;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::sync::Arc;
use tracenet_core::drops::Hurt;
use tracenet_core::event::{RetransmitCause, SyscallEvent, Task, TcpState};
use tracenet_core::fact::{CloseReason, ConnSummary, DropFact, Fact, FactKind, PeerOwner, TraceIdSource};
use tracenet_core::key::{ConnId, Direction, Role, Transport};
use tracenet_core::syscall;
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};
use tracenet_core::waterfall::{Cause, Part, Parts, Waterfall};
use tracenet_otel::{MOST_EVENTS, MOST_TURNS, ProcessIdentity, Resources, SpanBuilder, SpanItem, Worth};

/// Runs facts through a builder, as a running tracenet does.
fn items(facts: &[Fact]) -> Vec<SpanItem> {
    let options =
        tracenet_otel::ExportOptions::from_flag_and_env(Some("http://h:4317"), |_| None).unwrap().unwrap();
    let mut resources = Resources::new(&options, None);
    let mut builder = SpanBuilder::new(1);
    let mut out = Vec::new();
    for fact in facts {
        let resource = fact.who.as_ref().map(|who| resources.process(who.key, &identity));
        out.extend(builder.on(fact, CLOCK, resource.as_ref()));
    }
    out.extend(builder.finish());
    out
}

fn spans(facts: &[Fact]) -> Vec<Span> {
    items(facts).into_iter().map(|item| item.span).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut all = spans.iter().filter(|s| s.name == name);
    let first = all.next().unwrap_or_else(|| panic!("no `{name}`"));
    assert!(all.next().is_none(), "several `{name}`");
    first
}

fn ms(wall: u64) -> f64 {
    (wall as i64 - CLOCK.wall_minus_mono_ns) as f64 / MS as f64
}

fn times(span: &Span) -> (f64, f64) {
    (ms(span.start_time_unix_nano), ms(span.end_time_unix_nano))
}

fn retransmit() -> FactKind {
    FactKind::Retransmit {
        cause: RetransmitCause::Timeout,
        seq: 1,
        seq_end: 32,
        segments: 1,
        after: Some(DurationNs(208 * MS)),
    }
}

fn dropped() -> FactKind {
    FactKind::Dropped(Arc::new(DropFact {
        reason: "NETFILTER_DROP".into(),
        location: "nft_do_chain".into(),
        details: Arc::default(),
        transport: Transport::Tcp,
        hurt: Hurt::Receiver,
        victim: PeerOwner { pid: 12, comm: "postgres".into() },
        direction: Direction::In,
        seq: 77,
        payload_len: 31,
        segments: 1,
        ifindex: 3,
        netns_inum: 9,
        at_peer: Some(PeerOwner { pid: 12, comm: "postgres".into() }),
    }))
}

fn closed(s: tracenet_core::fact::ConnSummary, tgid: u32) -> Fact {
    fact(s.end.0 / MS, tgid, s.id.0, FactKind::Closed(Box::new(s)))
}

fn turned(t: tracenet_core::fact::Turn, tgid: u32, conn: u32) -> Fact {
    fact(t.end.0 / MS, tgid, conn, FactKind::Turn(Box::new(t)))
}

#[test]
fn a_request_of_http_is_named_by_its_method() {
    use tracenet_core::opening::Request;
    let named = |path: &str| {
        let request = Some(Arc::new(Request { method: "POST".into(), path: path.into() }));
        let turn = tracenet_core::fact::Turn { request, ..turn(Role::Client, 0, 200) };
        spans(&[turned(turn, 1, 7)]).remove(0)
    };
    let span = named("/book/step1");
    assert_eq!(span.name, "POST");
    assert_eq!(string(&span.attributes, "http.request.method"), Some("POST"));
    assert_eq!(string(&span.attributes, "url.path"), Some("/book/step1"));
    assert_eq!(string(&named("db.test:443").attributes, "url.path"), None, "an authority is no path");
}

#[test]
fn a_client_connection_is_a_tree() {
    let opened = FactKind::Opened { tuple: tuple(Role::Client), role: Role::Client, before: false };
    let all = spans(&[
        fact(100, 1, 7, opened),
        fact(102, 1, 7, FactKind::State { from: TcpState::SynSent, to: TcpState::Established }),
        turned(turn(Role::Client, 0, 200), 1, 7),
        closed(summary(Role::Client, 7, 1), 1),
    ]);
    assert_eq!(all.len(), 3);
    let (whole, connect, request) =
        (named(&all, "TCP connection"), named(&all, "TCP connect"), named(&all, "tcp request"));
    assert_eq!(whole.kind, SpanKind::Internal as i32, "its turns are the client's calls");
    assert_eq!(connect.kind, SpanKind::Internal as i32);
    assert_eq!(request.kind, SpanKind::Client as i32);
    assert!(whole.parent_span_id.is_empty());
    for child in [connect, request] {
        assert_eq!(child.parent_span_id, whole.span_id);
        assert_eq!(child.trace_id, vec![7; 16]);
    }
    assert_eq!(times(whole), (100.0, 900.0));
    assert_eq!(times(connect), (100.0, 102.0));
    assert_eq!(times(request), (200.0, 210.0));
    assert!(whole.status.is_none() && connect.status.is_none() && request.status.is_none());
    assert_eq!(whole.events[0].name, "tracenet.tcp.state");

    let a = &whole.attributes;
    assert_eq!(string(a, "network.transport"), Some("tcp"));
    assert_eq!(string(a, "network.type"), Some("ipv4"));
    assert_eq!(string(a, "network.local.address"), Some("10.0.0.1"));
    assert_eq!(int(a, "network.local.port"), Some(53440));
    assert_eq!(string(a, "network.peer.address"), Some("10.0.0.2"));
    assert_eq!(string(a, "server.address"), Some("10.0.0.2"));
    assert_eq!(int(a, "server.port"), Some(5432));
    assert_eq!(string(a, "client.address"), None);
    assert_eq!(string(a, "tracenet.connection.id"), Some("c7"));
    assert_eq!(string(a, "tracenet.connection.close_reason"), Some("fin"));
    assert_eq!(string(a, "tracenet.trace_id.source"), Some("isn_pair"));
    assert_eq!(int(a, "tracenet.connection.bytes_sent"), Some(31));
    assert_eq!(int(a, "tracenet.tcp.retransmits"), Some(1));
    assert_eq!(int(a, "tracenet.tcp.retransmits.timeout"), Some(1));
    assert_eq!(int(a, "tracenet.tcp.retransmits.fast"), None);
    assert_eq!(double(a, "tracenet.tcp.rtt.p50"), Some(0.002));
    assert_eq!(string(a, "error.type"), None);

    // The parts sum to the whole (INV 8).
    let a = &request.attributes;
    let parts: Vec<f64> = ["request", "wait", "response"]
        .map(|p| double(a, &format!("tracenet.turn.{p}.duration")).unwrap())
        .into();
    assert_eq!(parts, [0.001, 0.006, 0.003]);
}

#[test]
fn a_server_connection_waits_in_the_accept_queue() {
    let all = spans(&[turned(turn(Role::Server, 0, 200), 2, 1), closed(summary(Role::Server, 1, 2), 2)]);
    let (whole, wait, request) =
        (named(&all, "TCP connection"), named(&all, "TCP accept wait"), named(&all, "tcp request"));
    assert_eq!(times(wait), (102.0, 107.0));
    assert_eq!((wait.kind, request.kind), (SpanKind::Internal as i32, SpanKind::Server as i32));
    // The client is not observed: no parent may be named that nobody sends.
    assert_eq!(request.parent_span_id, whole.span_id);
    assert_eq!(string(&whole.attributes, "server.address"), Some("10.0.0.2"));
    assert_eq!(string(&whole.attributes, "client.address"), Some("10.0.0.1"));
}

#[test]
fn without_turns_the_connection_is_the_call() {
    for (role, kind) in [(Role::Client, SpanKind::Client), (Role::Server, SpanKind::Server)] {
        let all = spans(&[closed(summary(role, 1, 1), 1)]);
        assert_eq!(named(&all, "TCP connection").kind, kind as i32);
    }
}

#[test]
fn both_ends_here_are_joined_whichever_half_comes_first() {
    let client = turned(turn(Role::Client, 0, 200), 1, 1);
    // The server's clock reads stick out by a little at both ends.
    let mut half = turn(Role::Server, 0, 200);
    half.start = MonoNs(200 * MS - 1000);
    half.end = MonoNs(210 * MS + 1000);
    let server = fact(210, 2, 2, FactKind::Turn(Box::new(half)));
    let ends = [closed(summary(Role::Client, 1, 1), 1), closed(summary(Role::Server, 2, 2), 2)];
    // So does a drop at the server.
    let lost = Fact { t: MonoNs(210 * MS + 900), ..fact(210, 2, 2, dropped()) };
    for first in [[lost.clone(), client.clone(), server.clone()], [lost, server, client]] {
        let all = spans(&[&first[..], &ends[..]].concat());
        let turns: Vec<&Span> = all.iter().filter(|s| s.name == "tcp request").collect();
        let client = turns.iter().find(|s| s.kind == SpanKind::Client as i32).unwrap();
        let server = turns.iter().find(|s| s.kind == SpanKind::Server as i32).unwrap();
        assert_eq!(turns.len(), 2);
        assert_eq!(server.parent_span_id, client.span_id);
        assert_ne!(server.span_id, client.span_id);
        assert!(server.start_time_unix_nano >= client.start_time_unix_nano);
        assert!(server.end_time_unix_nano <= client.end_time_unix_nano);
        let times: Vec<u64> = server.events.iter().map(|e| e.time_unix_nano).collect();
        assert_eq!(times, [server.end_time_unix_nano], "events lie within their span");
        assert_eq!(string(&server.attributes, "peer.service"), Some("exe1"));
        let wholes: Vec<&Span> = all.iter().filter(|s| s.name == "TCP connection").collect();
        let roots: Vec<_> = wholes.iter().filter(|s| s.parent_span_id.is_empty()).collect();
        assert_eq!(roots.len(), 1, "a trace has one root");
        assert!(
            wholes.iter().any(|s| s.parent_span_id == roots[0].span_id),
            "the server's is a child of the client's"
        );
        for whole in wholes {
            let peer = string(&whole.attributes, "service.peer.name").unwrap();
            let own = if string(&whole.attributes, "client.address").is_some() { "exe1" } else { "exe2" };
            assert_eq!(peer, own);
        }
    }
}

#[test]
fn a_servers_connection_waits_for_the_clients_and_begins_no_earlier() {
    let client = closed(summary(Role::Client, 1, 1), 1);
    let mut early = summary(Role::Server, 2, 2);
    early.start = MonoNs(99 * MS);
    let server = closed(early, 2);
    for both in [[server.clone(), client.clone()], [client, server.clone()]] {
        let all = spans(&both);
        let of = |address: &str| {
            let mut wholes = all.iter().filter(|s| s.name == "TCP connection");
            wholes.find(|s| string(&s.attributes, address).is_some()).unwrap()
        };
        let (asking, asked) = (of("server.address"), of("client.address"));
        assert!(asking.parent_span_id.is_empty());
        assert_eq!(asked.parent_span_id, asking.span_id);
        assert!(asked.start_time_unix_nano >= asking.start_time_unix_nano);
    }
    let alone = spans(&[server]);
    assert!(named(&alone, "TCP connection").parent_span_id.is_empty(), "the other end is not observed here");
}

#[test]
fn turns_of_connections_that_were_there_before_are_not_joined() {
    let before = |role| FactKind::Opened { tuple: tuple(role), role, before: true };
    let all = spans(&[
        fact(1, 1, 1, before(Role::Client)),
        fact(1, 2, 2, before(Role::Server)),
        turned(turn(Role::Client, 0, 200), 1, 1),
        turned(turn(Role::Server, 0, 200), 2, 2),
        closed(summary(Role::Client, 1, 1), 1),
        closed(summary(Role::Server, 2, 2), 2),
    ]);
    let wholes: Vec<_> = all.iter().filter(|s| s.name == "TCP connection").map(|s| &s.span_id).collect();
    for turn in all.iter().filter(|s| s.name == "tcp request") {
        assert!(wholes.contains(&&turn.parent_span_id), "numbers of turns may differ between the ends");
    }
}

#[test]
fn a_servers_turn_does_not_wait_for_ever() {
    let options =
        tracenet_otel::ExportOptions::from_flag_and_env(Some("http://h:4317"), |_| None).unwrap().unwrap();
    let mut resources = Resources::new(&options, None);
    let mut builder = SpanBuilder::new(1);
    let resource = resources.process(who(2).key, &identity);
    assert_eq!(builder.on(&turned(turn(Role::Server, 0, 200), 2, 2), CLOCK, Some(&resource)).count(), 0);
    let later = fact(1300, 2, 3, FactKind::Exited { code: 0 });
    assert_eq!(builder.on(&later, CLOCK, Some(&resource)).count(), 1);
}

#[test]
fn a_clients_first_turn_waits_a_moment_for_the_servers_name() {
    let options =
        tracenet_otel::ExportOptions::from_flag_and_env(Some("http://h:4317"), |_| None).unwrap().unwrap();
    let mut resources = Resources::new(&options, None);
    let mut builder = SpanBuilder::new(1);
    let processes = [1, 2].map(|tgid| resources.process(who(tgid).key, &identity));
    let tell = |builder: &mut SpanBuilder, fact: Fact| {
        let resource = &processes[fact.who.as_ref().unwrap().key.tgid as usize - 1];
        builder.on(&fact, CLOCK, Some(resource)).map(|item| item.span).collect::<Vec<Span>>()
    };
    // The server is observed here: its first turn names it.
    assert!(tell(&mut builder, turned(turn(Role::Client, 0, 200), 1, 1)).is_empty());
    let both = tell(&mut builder, turned(turn(Role::Server, 0, 200), 2, 2));
    let peers: Vec<_> = both.iter().map(|s| string(&s.attributes, "peer.service").unwrap()).collect();
    assert_eq!(peers.len(), 2);
    assert!(peers.contains(&"exe1") && peers.contains(&"exe2"));
    assert_eq!(tell(&mut builder, turned(turn(Role::Client, 1, 300), 1, 1)).len(), 1, "it is known");

    // Elsewhere: the first waits, the second does not, and the wait has an end without facts.
    let elsewhere =
        |index, at| tracenet_core::fact::Turn { trace_id: [8; 16], ..turn(Role::Client, index, at) };
    assert!(tell(&mut builder, turned(elsewhere(0, 400), 1, 3)).is_empty());
    assert_eq!(tell(&mut builder, turned(elsewhere(1, 500), 1, 3)).len(), 1);
    assert_eq!(builder.tick(MonoNs(1400 * MS)).count(), 0);
    let mut late: Vec<_> = builder.tick(MonoNs(1420 * MS)).map(|item| item.span).collect();
    let late = late.pop().unwrap();
    assert_eq!(
        (int(&late.attributes, "tracenet.turn.index"), late.start_time_unix_nano),
        (Some(0), CLOCK.wall(MonoNs(400 * MS)).0)
    );
    assert_eq!(string(&late.attributes, "peer.service"), None);

    // A turn may be told long after it was over: the wait begins then.
    builder.tick(MonoNs(5000 * MS));
    let old = tracenet_core::fact::Turn { trace_id: [9; 16], ..turn(Role::Client, 0, 3000) };
    assert!(tell(&mut builder, turned(old, 1, 4)).is_empty());
    assert_eq!(builder.tick(MonoNs(5500 * MS)).count(), 0);
    assert_eq!(builder.tick(MonoNs(6001 * MS)).count(), 1);
}

#[test]
fn trouble_goes_to_the_turn_that_it_hit() {
    let all = spans(&[
        fact(150, 1, 7, retransmit()),
        fact(205, 1, 7, dropped()),
        turned(turn(Role::Client, 0, 200), 1, 7),
        fact(
            300,
            1,
            7,
            FactKind::Reset { direction: Direction::In, reason: Some("TCP_RFC7323_PAWS".into()) },
        ),
        closed(summary(Role::Client, 7, 1), 1),
    ]);
    let names = |s: &Span| s.events.iter().map(|e| e.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(named(&all, "tcp request")), ["tracenet.drop"]);
    assert_eq!(names(named(&all, "TCP connection")), ["tracenet.retransmit", "tracenet.reset"]);
    let drop = &named(&all, "tcp request").events[0];
    assert_eq!(ms(drop.time_unix_nano), 205.0);
    assert_eq!(string(&drop.attributes, "reason"), Some("NETFILTER_DROP"));
    assert_eq!(string(&drop.attributes, "layer"), Some("netfilter"));
    assert_eq!(int(&drop.attributes, "peer.pid"), Some(12));
    let sent_again = &named(&all, "TCP connection").events[0];
    assert_eq!(string(&sent_again.attributes, "type"), Some("timeout"));
    assert_eq!(double(&sent_again.attributes, "after"), Some(0.208));
    assert!(named(&all, "TCP connection").status.is_none(), "what was repaired is no error");
}

#[test]
fn what_a_request_met_within_its_call_belongs_to_the_turn_of_the_kernel_side() {
    use tracenet_core::event::{SampleReason, Sampling};
    let lost = |before_ns: u64| Fact { t: MonoNs(200 * MS - before_ns), ..fact(0, 1, 7, dropped()) };
    let of = |sampling, earlier: Option<Fact>, before_ns| {
        let turn = tracenet_core::fact::Turn { sampling, ..turn(Role::Client, 1, 200) };
        let facts = earlier.into_iter().chain([lost(before_ns), turned(turn, 1, 7)]);
        let all = spans(&facts.collect::<Vec<_>>());
        let turn = all.into_iter().find(|s| int(&s.attributes, "tracenet.turn.index") == Some(1)).unwrap();
        assert!(turn.events.iter().all(|e| e.time_unix_nano == turn.start_time_unix_nano), "within its span");
        turn.events.len()
    };
    let kernels = Some(Sampling { reason: SampleReason::Loss, share: 0 });
    assert_eq!(of(kernels, None, 300_000), 1);
    assert_eq!(of(kernels, None, 5_000_000), 0, "long before");
    assert_eq!(of(None, None, 300_000), 0, "otherwise a turn begins when its first call does");
    // From 189 to 199 ms: what happened before its end was its own.
    let turn_before = turned(turn(Role::Client, 0, 189), 1, 7);
    let late = Fact { t: MonoNs(199 * MS - 500_000), ..lost(0) };
    assert_eq!(of(kernels, Some(turn_before.clone()), 500_000), 1);
    let all = spans(&[
        late,
        turn_before,
        turned(tracenet_core::fact::Turn { sampling: kernels, ..turn(Role::Client, 1, 199) }, 1, 7),
    ]);
    let events: Vec<usize> = all.iter().map(|s| s.events.len()).collect();
    assert_eq!(events.iter().sum::<usize>(), 1);
    let first = all.iter().find(|s| int(&s.attributes, "tracenet.turn.index") == Some(0)).unwrap();
    assert_eq!(first.events.len(), 1);
}

#[test]
fn events_and_turns_are_bounded_and_the_rest_is_counted() {
    let mut facts: Vec<Fact> = (0..1000).map(|_| fact(205, 1, 7, retransmit())).collect();
    facts.push(turned(turn(Role::Client, 0, 200), 1, 7));
    // Numbers that come again are no new chapter.
    facts.extend((1..MOST_TURNS + 10).map(|i| turned(turn(Role::Client, i % MOST_TURNS, 300), 1, 7)));
    facts.extend((0..100).map(|_| fact(800, 1, 7, retransmit())));
    facts.push(closed(summary(Role::Client, 7, 1), 1));
    let all = spans(&facts);
    let turns: Vec<&Span> = all.iter().filter(|s| s.name == "tcp request").collect();
    assert_eq!(turns.len(), MOST_TURNS as usize);
    let first = turns.iter().find(|s| int(&s.attributes, "tracenet.turn.index") == Some(0)).unwrap();
    assert_eq!((first.events.len(), first.dropped_events_count), (MOST_EVENTS, 1000 - MOST_EVENTS as u32));
    let whole = named(&all, "TCP connection");
    assert_eq!((whole.events.len(), whole.dropped_events_count), (MOST_EVENTS, 100 - MOST_EVENTS as u32));
    assert_eq!(int(&whole.attributes, "tracenet.trace.spans_omitted"), Some(10));
}

#[test]
fn a_connection_that_lives_on_is_told_in_chapters() {
    let numbers = [0, MOST_TURNS - 1, MOST_TURNS, MOST_TURNS + 1, 5 * MOST_TURNS];
    let mut facts = Vec::new();
    for (n, index) in (1..).zip(numbers) {
        facts.push(turned(turn(Role::Client, index, n * 100), 1, 1));
        facts.push(turned(turn(Role::Server, index, n * 100 + 1), 2, 2));
    }
    facts.extend([closed(summary(Role::Client, 1, 1), 1), closed(summary(Role::Server, 2, 2), 2)]);
    let all = spans(&facts);
    let mut traces: Vec<&[u8]> = all.iter().map(|s| s.trace_id.as_slice()).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 3, "the connection's own, and those of chapters 1 and 5");
    let whole = all.iter().find(|s| s.trace_id == [7; 16] && s.parent_span_id.is_empty()).unwrap();
    assert_eq!(int(&whole.attributes, "tracenet.trace.chapter"), None);
    for trace in traces {
        let of: Vec<&Span> = all.iter().filter(|s| s.trace_id == trace).collect();
        let roots: Vec<&&Span> = of.iter().filter(|s| s.parent_span_id.is_empty()).collect();
        let name = if trace == [7; 16] { "TCP connection" } else { "TCP connection, continued" };
        assert_eq!(roots.iter().map(|s| &*s.name).collect::<Vec<_>>(), [name], "one root");
        let parent = |s: &Span| of.iter().any(|p| p.span_id == s.parent_span_id);
        assert!(of.iter().all(|s| s.parent_span_id.is_empty() || parent(s)), "and all stand below it");
        if trace != [7; 16] {
            let links: Vec<_> = roots[0].links.iter().map(|l| (&l.trace_id, &l.span_id)).collect();
            assert_eq!(links, [(&whole.trace_id, &whole.span_id)]);
        }
    }
    let in_chapter = |n: i64| {
        let root = all.iter().find(|s| int(&s.attributes, "tracenet.trace.chapter") == Some(n)).unwrap();
        let turns = all.iter().filter(|s| s.name == "tcp request" && s.trace_id == root.trace_id);
        (turns.count(), times(root))
    };
    assert_eq!(in_chapter(1), (4, (300.0, 410.0)));
    assert_eq!(in_chapter(5), (2, (500.0, 510.0)));
}

#[test]
fn a_refused_connection_is_an_error_with_its_connect() {
    let mut s = summary(Role::Client, 1, 1);
    (s.connect, s.established, s.close, s.err, s.turns) = (None, None, CloseReason::ResetReceived, 111, 0);
    let all = items(&[closed(s, 1)]);
    for item in &all {
        assert_eq!(item.span.status.as_ref().unwrap().code, StatusCode::Error as i32);
        assert_eq!(string(&item.span.attributes, "error.type"), Some("connection_refused"));
        assert_eq!(item.worth, Worth::Error, "errors are the last to be shed");
    }
    let connect = all.iter().find(|i| i.span.name == "TCP connect").unwrap();
    assert_eq!(times(&connect.span), (100.0, 900.0));
}

#[test]
fn a_request_without_answer_fails_with_its_connection() {
    for (close, error) in [(CloseReason::ResetReceived, Some("connection_reset")), (CloseReason::Fin, None)] {
        let mut unanswered = turn(Role::Client, 0, 200);
        (unanswered.response_bytes, unanswered.response_start) = (0, MonoNs(0));
        let mut s = summary(Role::Client, 1, 1);
        s.close = close;
        let all = spans(&[turned(unanswered, 1, 1), closed(s, 1)]);
        let request = named(&all, "tcp request");
        assert_eq!(string(&request.attributes, "error.type"), error);
        assert_eq!(request.status.is_some(), error.is_some());
        assert_eq!(double(&request.attributes, "tracenet.turn.wait.duration"), Some(0.009));
    }
}

#[test]
fn odd_times_make_no_negative_duration_and_no_child_outside() {
    let mut t = turn(Role::Client, 0, 50);
    (t.request_end, t.response_start, t.end) = (MonoNs(0), MonoNs(u64::MAX), MonoNs(10));
    let mut s = summary(Role::Client, 1, 1);
    (s.end, s.connect) = (MonoNs(0), Some(DurationNs(u64::MAX)));
    let all = spans(&[fact(50, 1, 1, FactKind::Turn(Box::new(t))), closed(s, 1)]);
    let whole = named(&all, "TCP connection").clone();
    for span in &all {
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        assert!(whole.start_time_unix_nano <= span.start_time_unix_nano, "{span:?}");
        assert!(span.end_time_unix_nano <= whole.end_time_unix_nano, "{span:?}");
    }
}

#[test]
fn a_step_of_the_wall_clock_does_not_tear_a_trace() {
    let mut builder = SpanBuilder::new(1);
    let resource = Arc::default();
    let stepped = ClockOffset { wall_minus_mono_ns: CLOCK.wall_minus_mono_ns - 5_000_000_000 };
    let mut all: Vec<SpanItem> =
        builder.on(&turned(turn(Role::Client, 0, 200), 1, 1), CLOCK, Some(&resource)).collect();
    all.extend(builder.on(&closed(summary(Role::Client, 1, 1), 1), stepped, Some(&resource)));
    all.extend(builder.finish());
    let all: Vec<Span> = all.into_iter().map(|item| item.span).collect();
    assert_eq!(times(named(&all, "tcp request")), (200.0, 210.0));
    assert_eq!(times(named(&all, "TCP connection")), (100.0, 900.0));
}

#[test]
fn a_connection_without_trace_id_still_gets_a_valid_one() {
    let mut s = summary(Role::Client, 1, 1);
    (s.trace_id, s.trace_id_source) = ([0; 16], TraceIdSource::Local);
    for span in spans(&[closed(s, 1)]) {
        assert_ne!(span.trace_id, vec![0; 16]);
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    }
}

#[test]
fn the_resource_is_the_observed_process() {
    let env = |name: &str| match name {
        "OTEL_RESOURCE_ATTRIBUTES" => Some("deployment.environment.name=test".to_owned()),
        _ => None,
    };
    let options =
        tracenet_otel::ExportOptions::from_flag_and_env(Some("http://h:4317"), env).unwrap().unwrap();
    let mut resources = Resources::new(&options, Some("node1".to_owned()));
    let resource = resources.process(who(3).key, &|key| ProcessIdentity {
        executable_path: Some("/usr/sbin/nginx".into()),
        systemd_unit: Some("nginx.service".into()),
        container_id: Some("c0ffee".into()),
        ..identity(key)
    });
    let a = &resource.attributes;
    for (key, value) in [
        ("service.name", "nginx"),
        ("process.executable.name", "exe3"),
        ("process.executable.path", "/usr/sbin/nginx"),
        ("container.id", "c0ffee"),
        ("host.name", "node1"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(string(a, key), Some(value));
    }
    assert_eq!(int(a, "process.pid"), Some(3));
    assert!(value(a, "process.command_args").is_none(), "arguments may be secrets");
    // The identity is asked once.
    let again = resources.process(who(3).key, &|_| panic!("asked twice"));
    assert!(Arc::ptr_eq(&resource, &again));
}

#[test]
fn a_turns_parts_and_verdict_are_attributes_that_sum_to_its_span() {
    let of = |times: &[(Part, u64)]| -> Parts {
        times.iter().map(|(part, ms)| (*part, DurationNs(ms * MS))).collect()
    };
    let mut t = turn(Role::Client, 0, 100);
    t.waterfall = Some(Box::new(Waterfall {
        start: MonoNs(70 * MS),
        parts: of(&[(Part::Connect, 30), (Part::Network, 4), (Part::Peer, 6)]),
        before: of(&[(Part::Connect, 30)]),
        cause: Cause::Part(Part::Connect),
        evidence: Vec::new(),
        incomplete: false,
    }));
    let all = spans(&[fact(110, 10, 1, FactKind::Turn(Box::new(t)))]);
    let request = named(&all, "tcp request");
    let part = |name: &str| double(&request.attributes, &format!("tracenet.turn.part.{name}"));
    assert_eq!((part("network"), part("peer"), part("connect")), (Some(0.004), Some(0.006), None));
    assert_eq!(string(&request.attributes, "tracenet.verdict"), Some("connect"));
}

/// A call of a connection's that lasted from `entered` to `left`, ms.
fn call(conn: u32, (entered, left): (u64, u64), name: &str, ret: i64) -> Fact {
    let key = who(1).key;
    let call = SyscallEvent {
        task: Task { tgid: key.tgid, tid: 7 },
        nr: syscall::number(name).unwrap(),
        args: [0; 6],
        ret: Some(ret),
        entered: MonoNs(entered * MS),
        cookie: None,
        captures: Vec::new(),
    };
    fact(left, 1, conn, FactKind::Syscall(Box::new(call)))
}

fn with_calls(facts: &[Fact]) -> Vec<SpanItem> {
    let mut builder = SpanBuilder::new(1);
    builder.tell_calls();
    let resource = Arc::default();
    let mut out = Vec::new();
    for fact in facts {
        out.extend(builder.on(fact, CLOCK, Some(&resource)));
    }
    out.extend(builder.finish());
    out
}

#[test]
fn calls_stand_below_their_turn_or_the_connection() {
    // The turn lasts from 100 ms to when `turn` says.
    let turn = turn(Role::Client, 0, 100);
    let end = turn.end.0 / MS;
    let facts = [
        call(1, (10, 20), "connect", -115),
        call(1, (99, 101), "sendto", 30),
        call(1, (102, end + 1), "recvfrom", 40),
        fact(end + 5, 1, 1, FactKind::Turn(Box::new(turn))),
        call(1, (end + 6, end + 7), "close", 0),
        fact(end + 9, 1, 1, FactKind::Closed(Box::new(summary(Role::Client, 1, 1)))),
    ];
    let items = with_calls(&facts);
    assert!(items.iter().filter(|i| i.span.name.starts_with("syscall ")).all(|i| i.worth == Worth::Syscall));
    let spans: Vec<Span> = items.into_iter().map(|i| i.span).collect();
    let (connection, request) = (named(&spans, "TCP connection"), named(&spans, "tcp request"));
    for (name, parent) in [
        ("syscall connect", connection),
        ("syscall sendto", request),
        ("syscall recvfrom", request),
        ("syscall close", connection),
    ] {
        let span = named(&spans, name);
        assert_eq!(span.parent_span_id, parent.span_id, "{name}");
        assert_eq!(span.trace_id, parent.trace_id, "{name}");
        assert_eq!(int(&span.attributes, "thread.id"), Some(7));
    }
    let connect = named(&spans, "syscall connect");
    assert_eq!(int(&connect.attributes, "tracenet.syscall.result"), Some(-115));
    assert_eq!(string(&connect.attributes, "tracenet.syscall.error"), Some("EINPROGRESS"));
    assert_eq!(times(connect), (10.0, 20.0));
    // Where nobody asked for them there are none.
    assert!(!spans_of_names(&facts).iter().any(|name| name.starts_with("syscall")));
}

fn spans_of_names(facts: &[Fact]) -> Vec<String> {
    spans(facts).into_iter().map(|s| s.name).collect()
}

#[test]
fn calls_of_a_turn_are_bounded_and_the_rest_is_counted() {
    let turn = turn(Role::Client, 0, 100);
    let end = turn.end.0 / MS;
    let mut facts: Vec<Fact> = (0..200).map(|_| call(1, (101, 102), "recvfrom", 1)).collect();
    facts.push(fact(end + 5, 1, 1, FactKind::Turn(Box::new(turn))));
    let spans: Vec<Span> = with_calls(&facts).into_iter().map(|i| i.span).collect();
    assert_eq!(spans.iter().filter(|s| s.name == "syscall recvfrom").count(), 128);
    let request = named(&spans, "tcp request");
    assert_eq!(int(&request.attributes, "tracenet.turn.syscalls_omitted"), Some(72));
}

#[test]
fn a_connection_that_was_told_while_it_was_open_is_told_once() {
    let open = || ConnSummary { close: CloseReason::Open, ..summary(Role::Client, 1, 1) };
    let facts = [
        fact(200, 1, 1, FactKind::Closed(Box::new(open()))),
        // Another core's name for the same one.
        fact(300, 1, 9, FactKind::Closed(Box::new(ConnSummary { id: ConnId(9), ..open() }))),
        fact(
            400,
            1,
            9,
            FactKind::Closed(Box::new(ConnSummary { id: ConnId(9), ..summary(Role::Client, 9, 1) })),
        ),
    ];
    named(&spans(&facts), "TCP connection");
}
