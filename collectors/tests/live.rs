//! Captures on real interfaces, in network namespaces made for the test. They vanish with their last process, so there
//! is nothing to clean up.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use tracenet_collectors::capture::{Capture, CaptureError, CaptureOptions, SNAPLEN_FULL, SNAPLEN_HEADERS};
use tracenet_collectors::{clock, netns};
use tracenet_core::event::{Event, EventKind, LossSource, Packet};
use tracenet_core::key::{NetnsCookie, Transport};

/// Port of the datagram that ends a comparison.
const MARKER: u16 = 9_999;

/// Runs `test` on a thread in a new network namespace with lo up.
fn in_new_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            eprintln!("skipped: needs root");
            return;
        }
        ip("link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(args: &str) {
    let status = Command::new("ip").args(args.split(' ')).status().unwrap();
    assert!(status.success(), "ip {args}");
}

/// A child that is killed and waited for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn options(interface: &str) -> CaptureOptions {
    CaptureOptions { interface: interface.into(), netns: NetnsCookie(77), ..CaptureOptions::default() }
}

fn packets(events: &[Event]) -> Vec<&Packet> {
    events
        .iter()
        .filter_map(|e| match &e.kind {
            EventKind::Packet(p) => Some(&**p),
            _ => None,
        })
        .collect()
}

fn is_marker(p: &Packet) -> bool {
    p.tuple.remote.port() == MARKER
}

/// Reads until the marker is there, waiting on the descriptor only.
fn read_to_marker(capture: &mut Capture) -> Vec<Event> {
    let offset = clock::sample_offset().offset;
    let mut events = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        capture.read_batch(64, offset, &mut events).unwrap();
        if packets(&events).iter().any(|p| is_marker(p)) {
            return events;
        }
        assert!(Instant::now() < end, "no marker among {} events", events.len());
        let mut fds = [PollFd::new(capture.fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(1_000u16)).unwrap();
    }
}

fn send_marker() {
    let s = UdpSocket::bind("127.0.0.1:0").unwrap();
    s.send_to(b"end", ("127.0.0.1", MARKER)).unwrap();
}

/// TCP over IPv4 and IPv6 with payload both ways, and UDP, all ended.
fn traffic() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let to = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut s, _) = listener.accept().unwrap();
            std::io::copy(&mut s.try_clone().unwrap(), &mut s).unwrap()
        });
        let mut client = TcpStream::connect(to).unwrap();
        let mut from = client.try_clone().unwrap();
        let reader = std::thread::spawn(move || std::io::copy(&mut from, &mut std::io::sink()).unwrap());
        std::io::copy(&mut std::io::Read::take(std::io::repeat(b'x'), 300_000), &mut client).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!((server.join().unwrap(), reader.join().unwrap()), (300_000, 300_000));
    }
    let to = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..50 {
        from.send_to(&vec![0; n * 100], to.local_addr().unwrap()).unwrap();
    }
}

/// tcpdump, once it listens; its lines are read to the marker.
fn tcpdump(filter: &str) -> Option<(Running, BufReader<std::process::ChildStdout>)> {
    // A slot of its ring is as large as what it keeps of a packet: whole ones would leave room for 256, fewer than come
    // while it waits for its turn on a busy machine.
    let mut child = Command::new("tcpdump")
        .args(["-i", "any", "-n", "-l", "-t", "--immediate-mode", "-B", "65536", "-s", "256", filter])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "tcpdump ended early");
    }
    let out = BufReader::new(child.stdout.take().unwrap());
    Some((Running(child), out))
}

/// Source, destination and payload length, as tcpdump prints them. (Not the time: the kernel stamps a TCP segment on
/// lo for each listener anew.)
type Line = (String, String, u32);

fn line(p: &Packet) -> Line {
    let address = |a: std::net::SocketAddr| format!("{}.{}", a.ip(), a.port());
    (address(p.tuple.local), address(p.tuple.remote), p.payload_len)
}

/// What tcpdump printed, up to the marker.
fn printed(out: BufReader<std::process::ChildStdout>) -> Vec<Line> {
    let mut all = Vec::new();
    for line in out.lines() {
        let line = line.unwrap();
        let (from, rest) = line.split_once(" > ").unwrap();
        let from = from.rsplit(' ').next().unwrap();
        let (to, rest) = rest.split_once(": ").unwrap();
        let length: u32 = rest.rsplit("length ").next().unwrap().parse().unwrap();
        all.push((from.to_owned(), to.to_owned(), length));
        if line.contains(&format!(".{MARKER}: ")) {
            return all;
        }
    }
    panic!("tcpdump ended before the marker");
}

fn compare_with_tcpdump(snaplen: i32, filter: Option<&str>) {
    let filter = filter.map(str::to_owned);
    in_new_namespace(move || {
        let Some((_running, out)) = tcpdump(filter.as_deref().unwrap_or("tcp or udp")) else {
            eprintln!("skipped: tcpdump is not installed");
            return;
        };
        let mut capture = Capture::open(CaptureOptions {
            snaplen,
            filter,
            keep_frames: snaplen == SNAPLEN_FULL,
            source: 5,
            ..options("any")
        })
        .unwrap();
        capture.start().unwrap();
        traffic();
        send_marker();
        let events = read_to_marker(&mut capture);
        let mut ours: Vec<Line> = packets(&events).into_iter().map(line).collect();
        let mut theirs = printed(out);
        assert!(ours.len() > 60, "{}", ours.len());
        // Two processors send at once: each listener has its own order of such packets.
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
        assert_eq!(capture.stats().dropped, 0);
        for p in packets(&events) {
            assert_eq!((p.netns, p.ifindex), (NetnsCookie(77), 1));
            match &p.frame {
                Some(f) => {
                    assert_eq!((f.source, f.data.len()), (5, usize::try_from(p.wire_len).unwrap()));
                    assert_eq!(snaplen, SNAPLEN_FULL);
                }
                None => assert_eq!(snaplen, SNAPLEN_HEADERS),
            }
        }
        println!("{} packets, snaplen {snaplen}", ours.len());
    });
}

#[test]
fn headers_are_those_that_tcpdump_sees() {
    compare_with_tcpdump(SNAPLEN_HEADERS, None);
}

#[test]
fn whole_frames_are_those_that_tcpdump_sees() {
    compare_with_tcpdump(SNAPLEN_FULL, None);
}

/// The wire length counts, though only the headers were captured.
#[test]
fn an_expression_selects_what_it_selects_in_tcpdump() {
    compare_with_tcpdump(SNAPLEN_HEADERS, Some("(greater 1000 and inbound) or (udp and less 200)"));
}

/// Loads an eBPF socket filter that returns `verdict`: `r0 = verdict; exit`.
fn socket_filter(verdict: i32) -> Option<OwnedFd> {
    let code: [u64; 2] = [0xb7 | (u64::from(verdict.cast_unsigned()) << 32), 0x95];
    let licence = c"GPL";
    // The first fields of `union bpf_attr` for BPF_PROG_LOAD (5).
    #[repr(C)]
    struct Load {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        rest: [u64; 16],
    }
    let attr = Load {
        prog_type: 1,
        insn_cnt: 2,
        insns: code.as_ptr() as u64,
        license: licence.as_ptr() as u64,
        rest: [0; 16],
    };
    // SAFETY: `attr` and all it points to live through the call, and its size is told.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 5, &raw const attr, size_of::<Load>()) };
    // SAFETY: a descriptor that the kernel just gave belongs to nobody else.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) })
}

fn attach(capture: &Capture, program: &OwnedFd) {
    let fd = program.as_raw_fd();
    // SAFETY: the option's value is a descriptor, an int.
    let rc = unsafe {
        libc::setsockopt(
            capture.fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            (&raw const fd).cast(),
            size_of::<i32>() as u32,
        )
    };
    assert_eq!(rc, 0);
}

#[test]
fn nothing_from_before_the_start_is_delivered() {
    for snaplen in [SNAPLEN_HEADERS, SNAPLEN_FULL] {
        in_new_namespace(move || {
            let mut capture = Capture::open(CaptureOptions { snaplen, ..options("any") }).unwrap();
            traffic();
            capture.start().unwrap();
            send_marker();
            let events = read_to_marker(&mut capture);
            assert!(is_marker(packets(&events)[0]));
            assert_eq!(capture.stats().delivered, packets(&events).len() as u64);
        });
    }
}

#[test]
fn a_kernel_filter_attached_by_the_caller_stays() {
    in_new_namespace(|| {
        let (Some(all), Some(none)) = (socket_filter(-1), socket_filter(0)) else {
            eprintln!("skipped: needs BPF");
            return;
        };
        let mut capture = Capture::open(options("any")).unwrap();
        traffic();
        attach(&capture, &none);
        capture.start().unwrap();
        traffic();
        // From here on the filter lets everything pass.
        attach(&capture, &all);
        send_marker();
        let events = read_to_marker(&mut capture);
        assert!(is_marker(packets(&events)[0]));
    });
}

#[test]
fn a_full_ring_is_told_as_loss() {
    in_new_namespace(|| {
        let mut capture = Capture::open(CaptureOptions { buffer_bytes: 64 << 10, ..options("lo") }).unwrap();
        capture.start().unwrap();
        const SENT: u64 = 20_000;
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..SENT {
            from.send_to(b"x", to.local_addr().unwrap()).unwrap();
        }
        let mut events = Vec::new();
        let batch = capture.read_batch(usize::MAX, clock::sample_offset().offset, &mut events).unwrap();
        assert!(batch.emptied);
        let lost: u64 = events
            .iter()
            .map(|e| match &e.kind {
                EventKind::Lost { source, what, count } => {
                    assert_eq!((*source, &**what), (LossSource::Capture, "lo"));
                    *count
                }
                _ => 0,
            })
            .sum();
        assert!(lost > 0);
        assert_eq!(lost + batch.read as u64, SENT);
        let stats = capture.stats();
        assert_eq!((stats.received, stats.dropped, stats.delivered), (SENT, lost, batch.read as u64));
        // Told once.
        let told = events.len();
        capture.tell_losses(&mut events);
        assert_eq!(events.len(), told);
    });
}

#[test]
fn an_interface_that_goes_away_ends_the_capture_with_an_error_value() {
    for snaplen in [SNAPLEN_HEADERS, SNAPLEN_FULL] {
        in_new_namespace(move || {
            ip("link add v0 type veth peer name v1");
            ip("link set v0 up");
            ip("link set v1 up");
            let mut capture = Capture::open(CaptureOptions { snaplen, ..options("v0") }).unwrap();
            capture.start().unwrap();
            ip("link del v0");
            let offset = clock::sample_offset().offset;
            let mut events = Vec::new();
            let end = Instant::now() + Duration::from_secs(20);
            let error = loop {
                match capture.read_batch(64, offset, &mut events) {
                    Err(e) => break e,
                    Ok(_) => assert!(Instant::now() < end, "no error"),
                }
                let mut fds = [PollFd::new(capture.fd(), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::from(100u16)).unwrap();
            };
            assert!(matches!(&error, CaptureError::Gone { .. }), "{error}");
            assert!(error.to_string().starts_with("capture on v0 ended: "), "{error}");
            // Told once; then there is just nothing more.
            let batch = capture.read_batch(64, offset, &mut events).unwrap();
            assert!(batch.emptied && batch.read == 0);
            println!("{error}");
        });
    }
}

#[test]
fn an_interface_that_goes_down_and_up_again_is_captured_on() {
    for snaplen in [SNAPLEN_HEADERS, SNAPLEN_FULL] {
        in_new_namespace(move || {
            ip("link add v0 type veth peer name v1");
            ip("link set v1 up");
            ip("link set v0 up");
            ip("address add 10.9.0.1/24 dev v0");
            let mut capture = Capture::open(CaptureOptions { snaplen, ..options("v0") }).unwrap();
            capture.start().unwrap();
            ip("link set v0 down");
            let mut events = Vec::new();
            capture.read_batch(64, clock::sample_offset().offset, &mut events).unwrap();
            ip("link set v0 up");
            ip("neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev v0");
            let s = UdpSocket::bind("10.9.0.1:0").unwrap();
            s.send_to(b"end", ("10.9.0.2", MARKER)).unwrap();
            let events = read_to_marker(&mut capture);
            let index = tracenet_collectors::interfaces::index("v0").unwrap();
            assert_eq!(packets(&events)[0].ifindex, index);
        });
    }
}

#[test]
fn what_the_user_got_wrong_is_one_line_with_the_remedy() {
    in_new_namespace(|| {
        ip("link add v0 type veth peer name v1");
        let open = |interface: &str, filter: Option<&str>| {
            let options = CaptureOptions { filter: filter.map(str::to_owned), ..options(interface) };
            let e = Capture::open(options).err().expect("must fail");
            let text = e.to_string();
            assert!(!text.contains('\n'), "{text}");
            println!("{text}");
            (e, text)
        };
        let (e, text) = open("eth9", None);
        assert!(
            e.is_usage() && text.contains("eth9") && text.contains("lo, ") && text.contains("v0"),
            "{text}"
        );
        let (e, text) = open("any", Some("tcp prot 80"));
        assert!(e.is_usage() && text.contains("'tcp prot 80'") && text.contains("syntax error"), "{text}");
        let (e, _) = open("lo", Some("inbound"));
        assert!(e.is_usage());
        let (e, text) = open("v0", None);
        assert!(matches!(e, CaptureError::Down { .. }) && text.contains("ip link set v0 up"), "{e:?}");
    });
}

/// Takes capabilities from the calling thread only (capset(2) acts on a thread).
fn drop_capability(number: u32) {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let mut data = [[0u32; 3]; 2];
    // SAFETY: version 3 reads and writes two triples of 32 bits: effective, permitted, inheritable.
    let rc = unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) };
    assert_eq!(rc, 0);
    data[usize::try_from(number / 32).unwrap()][0] &= !(1 << (number % 32));
    // SAFETY: as above.
    let rc = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    assert_eq!(rc, 0);
}

const CAP_NET_RAW: u32 = 13;
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;

#[test]
fn missing_privileges_are_named() {
    in_new_namespace(|| {
        let elsewhere = Running(Command::new("sleep").arg("60").spawn().unwrap());
        let pid = elsewhere.0.id();
        std::thread::scope(|s| {
            s.spawn(|| {
                drop_capability(CAP_NET_RAW);
                let e = Capture::open(options("any")).err().expect("must fail");
                assert!(e.is_privilege() && e.to_string().contains("CAP_NET_RAW"), "{e}");
                println!("{e}");
            });
        });
        std::thread::scope(|s| {
            s.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                drop_capability(CAP_SYS_ADMIN);
                let e = netns::enter(pid).unwrap_err();
                assert!(e.is_privilege() && e.to_string().contains("CAP_SYS_ADMIN"), "{e}");
                println!("{e}");
                drop_capability(CAP_SYS_PTRACE);
                if let Err(e) = netns::enter(1) {
                    assert!(e.is_privilege(), "{e}");
                    println!("{e}");
                }
            });
        });
    });
}

#[test]
fn another_process_s_namespace_is_entered_and_left() {
    in_new_namespace(|| {
        let there = netns::current_inode().unwrap();
        let cookie_there = netns::current_cookie().unwrap();
        let child = Running(Command::new("sleep").arg("60").spawn().unwrap());
        let pid = child.0.id();
        assert_eq!(netns::inode_of(pid).unwrap(), there);
        std::thread::scope(|s| {
            s.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                let home = netns::current_inode().unwrap();
                assert_ne!(home, there);
                let inside = netns::enter(pid).unwrap();
                assert_eq!(netns::current_inode().unwrap(), there);
                assert_eq!(netns::current_cookie().unwrap(), cookie_there);
                drop(inside);
                assert_eq!(netns::current_inode().unwrap(), home);
                assert_ne!(netns::current_cookie().unwrap(), cookie_there);
                netns::enter(pid).unwrap().stay();
                assert_eq!(netns::current_inode().unwrap(), there);
            });
        });
    });
}

/// A capture opened inside goes on seeing the namespace after its thread has left it.
#[test]
fn a_capture_stays_in_its_namespace() {
    in_new_namespace(|| {
        let child = Running(Command::new("sleep").arg("60").spawn().unwrap());
        let pid = child.0.id();
        let (ready, start) = std::sync::mpsc::channel();
        std::thread::scope(|s| {
            s.spawn(move || {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                let inside = netns::enter(pid).unwrap();
                let mut capture = Capture::open(options("lo")).unwrap();
                drop(inside);
                capture.start().unwrap();
                ready.send(()).unwrap();
                let events = read_to_marker(&mut capture);
                let p = packets(&events)[0];
                assert_eq!((p.tuple.transport, p.ifindex), (Transport::Udp, 1));
            });
            start.recv().unwrap();
            send_marker();
        });
    });
}
