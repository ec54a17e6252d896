//! Whose a connection is.

use super::*;

fn owner(c: &ConnSummary) -> (u32, String) {
    c.owner.as_ref().map_or((0, String::new()), |o| (o.key.tgid, o.comm.to_string()))
}

#[test]
fn a_socket_handed_to_a_child_is_the_childs() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    s.event(2 * MS, EventKind::Fork { task: task(10), child: process(11, "api"), followed: true });
    s.event(
        3 * MS,
        EventKind::Exec { task: task(11), comm: Arc::from("worker"), filename: Arc::from("/bin/worker") },
    );
    s.io(4 * MS, 11, 5, Direction::Out, 10, (10, 0, 0));
    let c = s.only(S);
    assert_eq!(owner(&c), (11, "worker".into()));
    assert_eq!(s.core.live_targets(), 2);
}

#[test]
fn a_child_that_is_no_target_does_not_take_a_connection_out_of_view() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    let child =
        SocketEvent { owner: Some(process(11, "child")), ..sock(SocketReason::Owner, 5, CLIENT, SERVER) };
    s.socket(2 * MS, child);
    s.io(2 * MS, 11, 5, Direction::Out, 10, (10, 0, 0));
    let c = s.only(S);
    assert_eq!((owner(&c), c.bytes_sent), ((10, "api".into()), 10));
}

#[test]
fn a_prefork_worker_owns_what_it_accepts() {
    let mut s = Script::new();
    s.target(11, "worker");
    s.socket(0, listen(1, "0.0.0.0:80"));
    s.socket(MS, state(7, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established));
    s.accept(4 * MS, 11, 7);
    let accepted = s.facts.last().expect("a fact").clone();
    assert_eq!(accepted.who.map(|w| w.key.tgid), Some(11));
    assert!(matches!(accepted.kind, FactKind::Accepted { wait } if wait.0 == 3 * MS));
    assert_eq!(owner(&s.only(S)), (11, "worker".into()));
}

#[test]
fn a_socket_that_comes_to_a_target_from_outside_is_seen_from_then_on() {
    let mut s = Script::new();
    let foreign = SocketEvent {
        owner: Some(process(99, "parent")),
        target: false,
        ..state(5, CLIENT, SERVER, TcpState::SynSent, TcpState::Established)
    };
    s.socket(0, foreign);
    assert!(s.facts.is_empty());
    let io = IoTotals { sent: 100, received: 30, turns: 1 };
    let taken = SocketEvent {
        io,
        retransmitted_segments: 4,
        role: Some(crate::key::Role::Client),
        ..sock(SocketReason::Owner, 5, CLIENT, SERVER)
    };
    s.socket(MS, taken);
    s.io(MS, 10, 5, Direction::In, 30, (100, 30, 1));
    s.io(2 * MS, 10, 5, Direction::Out, 1, (101, 30, 1));
    s.io(3 * MS, 10, 5, Direction::In, 1, (101, 31, 2));
    s.socket(
        4 * MS,
        SocketEvent { retransmitted_segments: 4, ..sock(SocketReason::Final, 5, CLIENT, SERVER) },
    );
    let c = s.only(S);
    assert_eq!((c.bytes_sent, c.bytes_received, c.turns), (101, 31, 2));
    assert_eq!(c.retransmits.total, 0, "those before were another's");
    assert!(!c.incomplete && c.opened_before);
}

#[test]
fn a_socket_that_is_used_before_it_is_found_was_there_before() {
    let before = |s: &Script| {
        let all = s.facts.iter().filter_map(|f| match &f.kind {
            FactKind::Opened { before, .. } => Some(*before),
            _ => None,
        });
        all.collect::<Vec<_>>()
    };
    let mut s = Script::new();
    s.socket(MS, sock(SocketReason::Owner, 5, CLIENT, SERVER));
    s.io(MS, 10, 5, Direction::Out, 10, (10, 0, 0));
    s.socket(2 * MS, sock(SocketReason::Existing, 5, CLIENT, SERVER));
    // A connection that closes as the first thing that is told of it.
    s.socket(3 * MS, state(6, CLIENT, SERVER, TcpState::Established, TcpState::CloseWait));
    s.connected(5 * MS, 8, CLIENT, SERVER);
    assert_eq!(before(&s), [true, true, false]);
}

#[test]
fn the_process_table_follows_forks_execs_and_exits() {
    let mut s = Script::new();
    s.event(1, EventKind::Fork { task: task(10), child: process(11, "sh"), followed: true });
    s.event(2, EventKind::Fork { task: task(11), child: process(12, "sh"), followed: false });
    s.event(
        3,
        EventKind::Exec { task: task(11), comm: Arc::from("curl"), filename: Arc::from("/usr/bin/curl") },
    );
    s.event(4, EventKind::Exit { task: task(11), code: 7 << 8 });
    let pids: Vec<_> = s.core.targets().iter().map(|t| (t.key.tgid, &*t.comm, t.exit)).collect();
    assert_eq!(pids, [(10, "api", None), (11, "curl", Some(7 << 8))]);
    assert_eq!(s.story(), ["Forked", "Forked", "Executed", "Exited"]);
    let who = s.facts[3].who.as_ref().map(|w| (w.key, &*w.comm));
    assert_eq!(who, Some((process(11, "").key, "curl")));
    s.event(5, EventKind::Exit { task: task(10), code: 0 });
    assert_eq!(s.core.live_targets(), 0);
}

#[test]
fn a_syscall_is_told_under_its_connection() {
    let mut s = Script::new();
    s.connected(0, 5, CLIENT, SERVER);
    let call = |cookie| crate::event::SyscallEvent {
        task: Task { tgid: 10, tid: 14 },
        nr: 1,
        args: [0; 6],
        ret: Some(1),
        entered: MonoNs(2 * MS),
        cookie,
        captures: Vec::new(),
    };
    s.facts.clear();
    s.event(3 * MS, EventKind::Syscall(Box::new(call(Some(SocketCookie(5))))));
    s.event(4 * MS, EventKind::Syscall(Box::new(call(Some(SocketCookie(6))))));
    assert_eq!(s.story(), ["c1 Syscall", "Syscall"]);
    assert_eq!(s.facts[0].who.as_ref().map(|w| (w.tid, &*w.comm)), Some((14, "api")));
}

#[test]
fn an_accept_call_is_told_under_what_it_took() {
    let mut s = Script::new();
    s.socket(0, listen(1, "0.0.0.0:80"));
    s.socket(MS, state(7, SERVER, CLIENT, TcpState::SynRecv, TcpState::Established));
    let entered = MonoNs(100);
    let accept = EventKind::Accept { task: task(10), cookie: SocketCookie(7), entered };
    s.event(4 * MS, accept);
    let call = crate::event::SyscallEvent {
        task: task(10),
        nr: crate::syscall::number("accept4").expect("every machine has it"),
        args: [0; 6],
        ret: Some(9),
        entered,
        cookie: Some(SocketCookie(1)),
        captures: Vec::new(),
    };
    let failed = crate::event::SyscallEvent { entered: MonoNs(5 * MS), ret: Some(-11), ..call.clone() };
    s.facts.clear();
    s.event(4 * MS + 1, EventKind::Syscall(Box::new(call)));
    s.event(5 * MS + 1, EventKind::Syscall(Box::new(failed)));
    assert_eq!(s.story(), ["c1 Syscall", "Syscall"]);
}
