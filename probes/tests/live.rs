//! The probes on the running kernel. Each test needs root (BPF); without it, it says so and passes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, ChildStdin, Command, Stdio, exit};
use std::thread;
use std::time::{Duration, Instant};

use tracenet_core::event::{Event, EventKind, SocketEvent, SocketIo, SocketReason};
use tracenet_core::key::{Direction, Role, SocketCookie, Transport};
use tracenet_probes::{Error, FlowFilter, Nothing, Options, Session, Statistics, SyscallFilter};

const ROLE: &str = "TRACENET_PROBES_TEST_ROLE";
const ADDRESSES: &str = "TRACENET_PROBES_TEST_ADDRESSES";
const DEADLINE: Duration = Duration::from_secs(20);
const EXIT_CODE: i32 = 7;
const REQUEST: usize = 100;
const RESPONSE: usize = 250;
const SLEEPS: usize = 200;

/// Not a test: what the other tests start as the process under observation.
#[test]
fn observed_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let addresses = std::env::var(ADDRESSES).unwrap_or_default();
    let addresses: Vec<SocketAddr> = addresses.split_whitespace().map(|a| a.parse().unwrap()).collect();
    match role.as_str() {
        "client" => client(&addresses),
        "server" => server(),
        "forker" => forker(&addresses),
        "sleeper" => sleeper(&addresses),
        other => panic!("role {other}"),
    }
    exit(EXIT_CODE);
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "@{line}").unwrap();
    out.flush().unwrap();
}

fn wait_for_go() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

fn turns(mut stream: &TcpStream, n: usize) {
    let mut response = [0; RESPONSE];
    for _ in 0..n {
        stream.write_all(&[b'q'; REQUEST]).unwrap();
        stream.read_exact(&mut response).unwrap();
    }
}

/// The response moves into a pipe and never comes to this process: no call of the recv family tells of it.
fn spliced_turn(mut stream: &TcpStream) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    stream.write_all(&[b'q'; REQUEST]).unwrap();
    let mut got = 0;
    while got < RESPONSE {
        let (from, to, null) = (stream.as_raw_fd(), writer.as_raw_fd(), std::ptr::null_mut());
        // SAFETY: both descriptors are open; no offsets are passed.
        let n = unsafe { libc::splice(from, null, to, null, RESPONSE - got, 0) };
        got += usize::try_from(n).unwrap();
    }
    reader.read_exact(&mut [0; RESPONSE]).unwrap();
}

/// One connection before the attach, then IPv4, IPv6 and UDP.
fn client(to: &[SocketAddr]) {
    let before = TcpStream::connect(to[0]).unwrap();
    turns(&before, 1);
    say("ready");
    wait_for_go();
    turns(&before, 2);
    turns(&TcpStream::connect(to[0]).unwrap(), 3);
    let v6 = TcpStream::connect(to[1]).unwrap();
    turns(&v6, 2);
    spliced_turn(&v6);
    spliced_turn(&v6);
    drop(v6);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut answer = [0; 512];
    for _ in 0..5 {
        udp.send_to(&[b'q'; REQUEST], to[2]).unwrap();
        udp.recv(&mut answer).unwrap();
    }
}

fn server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    say(&format!("ready {}", listener.local_addr().unwrap()));
    for _ in 0..3 {
        answer(listener.accept().unwrap().0);
    }
}

/// The child is forked after the attach and does its work at once.
fn forker(to: &[SocketAddr]) {
    say("ready");
    wait_for_go();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "observed_process", "--nocapture"])
        .env(ROLE, "client")
        .env(ADDRESSES, to.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(EXIT_CODE));
}

/// Waits for each of its answers, and says how often the kernel put it to sleep.
fn sleeper(to: &[SocketAddr]) {
    let stream = TcpStream::connect(to[0]).unwrap();
    // SAFETY: gettid(2) takes nothing and can't fail.
    say(&format!("ready {}", unsafe { libc::gettid() }));
    wait_for_go();
    let switches = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    let before = switches();
    turns(&stream, SLEEPS);
    say(&format!("{}", switches() - before));
}

fn answer(stream: TcpStream) {
    answer_when(stream, || true);
}

/// Holds each answer back until `ready`.
fn answer_when(mut stream: TcpStream, ready: impl Fn() -> bool) {
    let mut request = [0; REQUEST];
    while stream.read_exact(&mut request).is_ok() {
        while !ready() {
            thread::yield_now();
        }
        stream.write_all(&[b'r'; RESPONSE]).unwrap();
    }
}

/// What the kernel says of a thread, by the third field of its `stat` (proc_pid_stat(5)).
fn sleeps(stat: &str) -> bool {
    let stat = std::fs::read_to_string(stat).unwrap();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('S'))
}

/// Servers in this process, which is not observed: IPv4, IPv6 and UDP.
fn start_servers() -> Vec<SocketAddr> {
    let mut out = Vec::new();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        out.push(listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(|| answer(stream.unwrap()));
            }
        });
    }
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    out.push(udp.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((_, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&[b'r'; RESPONSE], from).unwrap();
        }
    });
    out
}

struct Observed {
    child: Child,
    stdin: ChildStdin,
    said: String,
    /// Reads on; what was said last.
    rest: thread::JoinHandle<Option<String>>,
}

impl Observed {
    fn start(role: &str, addresses: &[SocketAddr]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "observed_process", "--nocapture"])
            .env(ROLE, role)
            .env(ADDRESSES, addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let word = |l: String| l.split_once('@').map(|(_, said)| said.to_owned());
        let said = lines.find_map(word).unwrap();
        // The harness of the child writes on; its pipe must not fill.
        let rest = thread::spawn(move || lines.filter_map(word).last());
        Self { child, stdin, said, rest }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn go(&mut self) {
        writeln!(self.stdin, "go").unwrap();
    }
}

fn open(options: &Options) -> Option<Session> {
    match Session::open(options) {
        Ok(session) => Some(session),
        Err(Error::NotPermitted { .. } | Error::NoBtf { .. }) => {
            eprintln!("skipped: needs root/BPF");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

/// Everything up to the exit of `pid` and the end of what it left to its peers to close, and the last words.
fn until_exit(session: &mut Session, pid: u32) -> Vec<Event> {
    let (mut out, start) = (Vec::new(), Instant::now());
    while !out.iter().any(|e: &Event| matches!(e.kind, EventKind::Exit { task, .. } if task.tgid == pid))
        || has_open(&out)
    {
        assert!(start.elapsed() < DEADLINE, "{pid} didn't exit; seen: {out:#?}");
        let mut fd = libc::pollfd { fd: session.fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&raw mut fd, 1, 1000) };
        session.drain(usize::MAX, &mut out);
    }
    session.flush(&mut out).unwrap();
    for e in &out {
        assert!(!matches!(e.kind, EventKind::Lost { .. }), "{e:?}");
    }
    out
}

fn sockets(events: &[Event]) -> impl Iterator<Item = &SocketEvent> {
    events.iter().filter_map(|e| match &e.kind {
        EventKind::Socket(s) => Some(&**s),
        _ => None,
    })
}

fn ios(events: &[Event]) -> impl Iterator<Item = &SocketIo> {
    events.iter().filter_map(|e| match &e.kind {
        EventKind::SocketIo(io) => Some(io),
        _ => None,
    })
}

/// A TCP connection of which there was no last word.
fn has_open(events: &[Event]) -> bool {
    let mut open = std::collections::HashSet::new();
    for s in sockets(events).filter(|s| s.tuple.transport == Transport::Tcp && s.tuple.remote.port() != 0) {
        if s.reason == SocketReason::Destroy {
            open.remove(&s.cookie);
        } else {
            open.insert(s.cookie);
        }
    }
    !open.is_empty()
}

/// The last SocketEvent of each socket that spoke to `remote`.
fn last_words(events: &[Event], remote: SocketAddr) -> Vec<&SocketEvent> {
    let mut last: HashMap<SocketCookie, &SocketEvent> = HashMap::new();
    for s in sockets(events).filter(|s| s.tuple.remote == remote) {
        last.insert(s.cookie, s);
    }
    last.into_values().collect()
}

fn network_syscalls() -> SyscallFilter {
    let mut filter = SyscallFilter::none();
    for nr in [libc::SYS_connect, libc::SYS_accept4, libc::SYS_sendto, libc::SYS_exit_group] {
        filter.insert(u32::try_from(nr).unwrap());
    }
    filter.insert_socket_only(u32::try_from(libc::SYS_write).unwrap());
    filter
}

#[test]
fn a_client_is_told_with_its_owner_bytes_and_turns() {
    let servers = start_servers();
    let mut client = Observed::start("client", &servers);
    let pid = client.pid();
    let options = Options { targets: vec![pid], syscalls: network_syscalls(), ..Options::default() };
    let Some(mut session) = open(&options) else {
        client.child.kill().unwrap();
        return;
    };
    client.go();
    let events = until_exit(&mut session, pid);

    let target = events.iter().find_map(|e| match &e.kind {
        EventKind::Target(p) if p.key.tgid == pid => Some(p.clone()),
        _ => None,
    });
    let target = target.expect("the target is announced");
    assert!(target.key.start_ns > 0);
    // The servers of this process are nobody's business.
    for s in sockets(&events) {
        assert_eq!(s.owner.as_ref().map(|o| o.key), Some(target.key), "{s:?}");
    }

    let v4 = last_words(&events, servers[0]);
    let mut counted: Vec<_> = v4.iter().map(|s| (s.io.turns, s.io.sent, s.io.received)).collect();
    counted.sort_unstable();
    assert_eq!(counted, [(2, 200, 500), (3, 300, 750)], "{v4:#?}");
    let before = v4.iter().find(|s| s.io.turns == 2).unwrap();
    assert!(sockets(&events).any(|s| s.cookie == before.cookie && s.reason == SocketReason::Existing));
    // What came before the attach is in the kernel's counters: one response more. They count the FIN, too, where that came
    // before tcp_close() left the rest to a time-wait socket.
    let tcp = before.tcp.unwrap();
    let fin = tcp.bytes_received - 3 * RESPONSE as u64;
    assert!(fin <= 1 && tcp.total_retrans == 0, "{tcp:?}");
    for s in &v4 {
        assert_eq!((s.role, s.reason), (Some(Role::Client), SocketReason::Destroy));
        assert_ne!(s.tuple.local.port(), 0, "a closed socket keeps the port it had");
    }

    let v6 = last_words(&events, servers[1]);
    assert_eq!(v6.len(), 1, "{v6:#?}");
    assert!(v6[0].tuple.local.is_ipv6());
    assert_eq!((v6[0].io.turns, v6[0].io.sent, v6[0].io.received), (4, 400, 1000));

    let udp = sockets(&events).find(|s| s.tuple.transport == Transport::Udp && s.tuple.remote == servers[2]);
    let udp = udp.expect("the datagram flow is told");
    assert_eq!((udp.reason, udp.role), (SocketReason::Flow, Some(Role::Client)));
    let last = ios(&events).filter(|io| io.cookie == udp.cookie).last().unwrap().totals;
    assert_eq!((last.turns, last.sent, last.received), (5, 500, 1250));

    let connects: Vec<_> = events
        .iter()
        .filter_map(|e| match &e.kind {
            EventKind::Syscall(s) if i64::from(s.nr) == libc::SYS_connect => Some((e.t, &**s)),
            _ => None,
        })
        .collect();
    assert_eq!(connects.len(), 2);
    for (t, s) in connects {
        assert_eq!(s.ret, Some(0));
        assert!(s.entered < t);
        assert!(s.cookie.is_some_and(|c| sockets(&events).any(|e| e.cookie == c)), "{s:?}");
        assert_eq!(s.captures.len(), 1, "{s:?}");
        assert_eq!(s.captures[0].full_len as usize, s.captures[0].data.len());
    }
    assert!(events.iter().any(|e| matches!(&e.kind, EventKind::Syscall(s) if s.ret.is_none())), "exit_group");
    assert!(
        events
            .iter()
            .any(|e| matches!(e.kind, EventKind::Exit { code, .. } if code == (EXIT_CODE as u32) << 8))
    );
}

#[test]
fn a_thread_that_waits_is_told_with_each_sleep_and_what_it_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Observed::start("sleeper", &[listener.local_addr().unwrap()]);
    let pid = client.pid();
    let options = Options { targets: vec![pid], ..Options::default() };
    let Some(mut session) = open(&options) else {
        client.child.kill().unwrap();
        return;
    };
    let (stream, _) = listener.accept().unwrap();
    let stat = format!("/proc/{pid}/task/{}/stat", client.said.trim_start_matches("ready "));
    thread::spawn(move || answer_when(stream, || sleeps(&stat)));
    client.go();
    let events = until_exit(&mut session, pid);
    let kernel: usize = client.rest.join().unwrap().unwrap().parse().unwrap();
    assert!(kernel >= SLEEPS, "each answer had to be waited for: {kernel}");

    let reads: Vec<_> = ios(&events).filter(|io| io.direction == Direction::In).collect();
    let between = events
        .iter()
        .filter(|e| matches!(e.kind, EventKind::SocketIo(_)))
        .map(|e| e.t)
        .fold(None, |span, t| Some(span.map_or((t, t), |(first, _)| (first, t))));
    let (first, last) = between.expect("bytes passed");
    let mut sleeps = 0;
    for e in events.iter().filter(|e| first <= e.t && e.t <= last) {
        if let EventKind::Scheduled { task, slept, woken } = e.kind {
            assert_eq!(task.tgid, pid);
            assert!(slept <= woken && woken <= e.t, "{e:?}");
            sleeps += usize::from(slept < woken);
        }
    }
    // The kernel counts a few between the first byte and its own count, and after the last.
    assert!(sleeps.abs_diff(kernel) <= 4, "told {sleeps}, the kernel counted {kernel}");
    // Each wait has a reason, told once, while nothing was read.
    let readable = events.iter().filter(|e| matches!(e.kind, EventKind::Readable { .. })).count();
    assert!((SLEEPS..=SLEEPS + 2).contains(&readable), "{readable} of {SLEEPS} answers");
    for io in &reads {
        assert!(io.entered.is_some_and(|t| t > first.before(1_000_000_000)), "{io:?}");
    }
}

#[test]
fn a_server_is_told_of_each_connection_it_accepts() {
    let server = Observed::start("server", &[]);
    let pid = server.pid();
    let options = Options { targets: vec![pid], syscalls: network_syscalls(), ..Options::default() };
    let Some(mut session) = open(&options) else {
        let mut server = server;
        server.child.kill().unwrap();
        return;
    };
    let address: SocketAddr = server.said.trim_start_matches("ready ").parse().unwrap();
    let mut locals = Vec::new();
    for n in 1..=3 {
        let stream = TcpStream::connect(address).unwrap();
        locals.push(stream.local_addr().unwrap());
        turns(&stream, n);
    }
    let events = until_exit(&mut session, pid);

    let accepted: Vec<SocketCookie> = events
        .iter()
        .filter_map(|e| match &e.kind {
            EventKind::Accept { task, cookie, .. } if task.tgid == pid => Some(*cookie),
            _ => None,
        })
        .collect();
    assert_eq!(accepted.len(), 3);
    for (n, (cookie, local)) in (1..).zip(accepted.iter().zip(&locals)) {
        let told: Vec<_> = sockets(&events).filter(|s| s.cookie == *cookie).collect();
        let last = told.last().unwrap();
        assert_eq!(last.tuple.remote, *local);
        assert_eq!(last.role, Some(Role::Server));
        assert_eq!(last.owner.as_ref().map(|o| o.key.tgid), Some(pid));
        assert_eq!((last.io.turns, last.io.received), (n, u64::from(n) * REQUEST as u64));
        // A passive side's sequence numbers: everything between the SYN and the end is payload, and a FIN.
        let tcp = last.tcp.unwrap();
        let payload = tcp.rcv_nxt.wrapping_sub(tcp.remote_isn).wrapping_sub(1);
        assert!((n * REQUEST as u32..=n * REQUEST as u32 + 1).contains(&payload), "{tcp:?}");
    }
}

#[test]
fn a_forked_child_is_followed_from_its_first_call() {
    let servers = start_servers();
    let mut forker = Observed::start("forker", &servers);
    let pid = forker.pid();
    let options =
        Options { targets: vec![pid], follow: true, syscalls: network_syscalls(), ..Options::default() };
    let Some(mut session) = open(&options) else {
        forker.child.kill().unwrap();
        return;
    };
    forker.go();
    let events = until_exit(&mut session, pid);

    let child = events.iter().find_map(|e| match &e.kind {
        EventKind::Fork { task, child, followed: true } if task.tgid == pid => Some(child.key),
        _ => None,
    });
    let child = child.expect("the fork is told");
    assert!(
        events.iter().any(|e| matches!(&e.kind, EventKind::Exec { task, .. } if task.tgid == child.tgid))
    );
    let owned: Vec<_> = last_words(&events, servers[0]);
    assert_eq!(owned.len(), 2, "both connections of the child: {owned:#?}");
    for s in owned {
        assert_eq!(s.owner.as_ref().map(|o| o.key), Some(child));
    }
    assert!(
        events.iter().any(|e| matches!(e.kind, EventKind::Exit { task, code } if task.tgid == child.tgid
            && code == (EXIT_CODE as u32) << 8))
    );
}

#[test]
fn a_target_added_later_is_told_with_the_sockets_it_has() {
    let servers = start_servers();
    let mut client = Observed::start("client", &servers);
    let pid = client.pid();
    let Some(mut session) = open(&Options::default()) else {
        client.child.kill().unwrap();
        return;
    };
    const NOBODY: u32 = 0x7fff_fff0;
    assert_eq!(session.add_targets(&[pid, NOBODY]).unwrap(), [pid], "the other one does not live");
    client.go();
    let events = until_exit(&mut session, pid);
    assert!(events.iter().any(|e| matches!(&e.kind, EventKind::Target(p) if p.key.tgid == pid)));
    let existing: Vec<_> = sockets(&events).filter(|s| s.reason == SocketReason::Existing).collect();
    assert_eq!(existing.len(), 1, "{existing:#?}");
    assert_eq!(existing[0].tuple.remote, servers[0]);
    // No syscall was asked for.
    assert!(!events.iter().any(|e| matches!(e.kind, EventKind::Syscall(_))));
}

/// Source and destination port, and TCP's flags, of a frame on the loopback device.
fn ports_and_flags(frame: &[u8]) -> (u16, u16, Option<u8>) {
    let ip = &frame[14..];
    let (transport, protocol) =
        if ip[0] >> 4 == 4 { (&ip[usize::from(ip[0] & 15) * 4..], ip[9]) } else { (&ip[40..], ip[6]) };
    let port = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
    (port(0), port(2), (protocol == 6).then(|| transport[13]))
}

#[test]
fn the_flow_filter_passes_the_targets_packets_and_no_others() {
    const SYN: u8 = 2;
    const SYN_ACK: u8 = 18;
    let (servers, others) = (start_servers(), start_servers());
    let mut client = Observed::start("client", &servers);
    let pid = client.pid();
    let Some(mut session) = open(&Options { targets: vec![pid], ..Options::default() }) else {
        client.child.kill().unwrap();
        return;
    };
    // SAFETY: a plain socket call; protocol 0 receives nothing until it is bound.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, 0) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and nobody else's.
    let packets = unsafe { OwnedFd::from_raw_fd(fd) };
    session.attach_flow_filter(packets.as_fd()).unwrap();
    // SAFETY: an all-zero sockaddr_ll is valid.
    let mut lo: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    lo.sll_family = libc::AF_PACKET as u16;
    lo.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    lo.sll_ifindex = 1;
    // SAFETY: the address is valid and its size is right.
    let bound = unsafe { libc::bind(fd, (&raw const lo).cast(), size_of_val(&lo) as u32) };
    assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());

    client.go();
    turns(&TcpStream::connect(others[0]).unwrap(), 5);
    let events = until_exit(&mut session, pid);

    let mut packets = std::fs::File::from(packets);
    let (mut frame, mut seen) = (vec![0; 1 << 16], Vec::new());
    while let Ok(n) = packets.read(&mut frame) {
        seen.push(ports_and_flags(&frame[..n]));
    }
    assert!(!seen.is_empty());
    let ports: Vec<u16> = servers.iter().map(SocketAddr::port).collect();
    for (source, destination, _) in &seen {
        assert!(ports.contains(source) || ports.contains(destination), "{source} > {destination}");
    }
    // Each connection since the attach from its very first packet on, once: loopback's outgoing sighting is filtered out.
    for s in sockets(&events).filter(|s| s.reason == SocketReason::Flow && s.tcp.is_some()) {
        let (local, remote) = (s.tuple.local.port(), s.tuple.remote.port());
        assert_eq!(
            seen.iter().filter(|p| **p == (local, remote, Some(SYN))).count(),
            1,
            "SYN of {:?}",
            s.tuple
        );
        assert_eq!(seen.iter().filter(|p| **p == (remote, local, Some(SYN_ACK))).count(), 1);
    }
    // Five requests and five answers.
    assert_eq!(seen.iter().filter(|p| p.2.is_none()).count(), 10);
}

/// The drain runs on a thread of its own.
#[test]
fn a_session_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Session>();
    is_send::<FlowFilter>();
}

#[test]
fn a_process_that_is_not_there_is_named() {
    let options = Options { targets: vec![u32::MAX - 1], ..Options::default() };
    assert!(matches!(Session::open(&options), Err(Error::NoProcess(n)) if n == u32::MAX - 1));
}

#[test]
fn the_kernel_tells_of_the_programs_that_a_process_holds() {
    let options = Options { syscalls: SyscallFilter::every(), ..Options::default() };
    let Some(session) = open(&options) else { return };
    let statistics = Statistics::enable().unwrap();
    let nothing = Nothing::attach(c"sys_enter").unwrap();
    for _ in 0..1000 {
        // SAFETY: getppid(2) takes nothing and can't fail.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
    let empty = nothing.program().unwrap();
    let programs = tracenet_probes::programs_of(std::process::id()).unwrap();
    // Of other tests in this process there may be more.
    for hook in session.status() {
        let found: Vec<_> = programs.iter().filter(|p| p.name == hook.name).collect();
        assert!(!found.is_empty(), "{hook:?}");
        assert!(found.iter().all(|p| p.hook == Some(hook.hook)), "{found:?}");
        assert!(found.iter().all(|p| p.verified_insns > 0 && p.translated_bytes > 0), "{found:?}");
    }
    let enter = programs.iter().find(|p| p.name == "on_sys_enter" && p.attached).unwrap();
    assert!(enter.runs >= 1000 && enter.run_ns > 0, "{enter:?}");
    assert!(empty.runs >= 1000 && empty.run_ns > 0, "{empty:?}");
    assert_eq!((empty.translated_bytes, empty.hook), (16, None));
    drop(statistics);
}
