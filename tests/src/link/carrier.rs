//! The thread that carries packets.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use super::packet::{self, Tcp, Way, flags};
use super::plan::{Action, Done, Random, Record, Sight};
use super::{Link, Sizes};

/// How often the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// The thread was late by more than this, nanoseconds: the machine did something else, and that was not the plan.
const STALL_NS: u64 = 5_000_000;

/// Packets read from one end before the other gets its turn.
const BURST: usize = 64;

/// The clock of the kernel's events.
pub(super) fn now() -> u64 {
    let t = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock is there");
    t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64
}

/// A packet on its way: when it is due, its number, which way, its bytes.
type Flight = Reverse<(u64, u64, Way, Vec<u8>)>;

/// A connection as the link knows it.
#[derive(Default)]
struct Connection {
    number: u32,
    /// Number of the first byte each way.
    first: [Option<u32>; 2],
    /// Sequence numbers that have been seen, by way and whether of a SYN.
    seen: HashSet<(Way, bool, u32)>,
}

struct Carrier {
    link: Link,
    random: Random,
    connections: HashMap<(u16, u16), Connection>,
    opened: u32,
    on_the_way: BinaryHeap<Flight>,
    flights: u64,
    /// Until when the line is taken, each way.
    busy: [u64; 2],
    records: Vec<Record>,
}

/// Carries packets between the ends (client, server) until `stop`.
pub(super) fn carry(mut ends: [File; 2], link: Link, stop: &AtomicBool) -> Done {
    be_prompt();
    // SAFETY: PR_SET_TIMERSLACK takes a number and concerns this thread only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
    let random = Random::new(link.seed);
    let mut carrier = Carrier {
        link,
        random,
        connections: HashMap::new(),
        opened: 0,
        on_the_way: BinaryHeap::new(),
        flights: 0,
        busy: [0; 2],
        records: Vec::new(),
    };
    let mut buffer = vec![0; 65_536];
    let (mut stalls, mut looked, mut waited) = (Vec::new(), now(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let wait = match carrier.on_the_way.peek() {
            Some(Reverse((due, ..))) => Duration::from_nanos(due.saturating_sub(now())).min(LOOK),
            None => LOOK,
        };
        let mut polled = [&ends[0], &ends[1]].map(|f| PollFd::new(f.as_fd(), PollFlags::POLLIN));
        let t = now();
        let awake = looked + waited.as_nanos() as u64;
        if t > awake + STALL_NS {
            stalls.push(awake..t);
        }
        (looked, waited) = (t, wait);
        nix::poll::ppoll(&mut polled, Some(TimeSpec::from_duration(wait)), Some(SigSet::empty()))
            .expect("ppoll of two files");
        for (end, way) in ends.iter_mut().zip([Way::Up, Way::Down]) {
            for _ in 0..BURST {
                match end.read(&mut buffer) {
                    Ok(n) => carrier.take(way, &buffer[..n]),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) => panic!("TUN: {e}"),
                }
            }
        }
        while let Some(Reverse((due, ..))) = carrier.on_the_way.peek()
            && *due <= now()
            && let Some(Reverse((_, _, way, bytes))) = carrier.on_the_way.pop()
        {
            let to = match way {
                Way::Up => 1,
                Way::Down => 0,
            };
            ends[to].write_all(&bytes).expect("a TUN takes packets");
        }
    }
    Done { records: carrier.records, stalls }
}

/// Ahead of everybody who waits for a CPU, where that is allowed: else a busy machine is part of the link.
fn be_prompt() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: 0 is the calling thread, and the parameter lives until the call has returned.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) };
}

impl Carrier {
    fn take(&mut self, way: Way, bytes: &[u8]) {
        let t = now();
        let Some(tcp) = packet::parse(bytes) else {
            self.send(t, way, Duration::ZERO, bytes.to_vec());
            return;
        };
        let sight = self.sight(t, way, &tcp);
        let action = (self.link.plan)(&sight, &mut self.random);
        let arrives = match action {
            Action::Pass => Some(self.send(t, way, Duration::ZERO, bytes.to_vec())),
            Action::Late(by) => Some(self.send(t, way, by, bytes.to_vec())),
            Action::Twice(after) => {
                let first = self.send(t, way, Duration::ZERO, bytes.to_vec());
                self.send(t, way, after, bytes.to_vec());
                Some(first)
            }
            Action::Drop => None,
            Action::Reset => {
                self.send(t, way, Duration::ZERO, packet::reset(bytes, &tcp, false));
                self.send(t, way.back(), Duration::ZERO, packet::reset(bytes, &tcp, true));
                None
            }
        };
        self.records.push(Record { sight, action, arrives });
    }

    /// Puts a packet on its way and says when it will be there.
    fn send(&mut self, t: u64, way: Way, extra: Duration, bytes: Vec<u8>) -> u64 {
        let mut start = t;
        if let Some(rate) = self.link.rate {
            let busy = &mut self.busy[way as usize];
            *busy = (*busy).max(t) + bytes.len() as u64 * 1_000_000_000 / rate.max(1);
            start = *busy;
        }
        let due = start + (self.link.delay + extra).as_nanos() as u64;
        self.flights += 1;
        self.on_the_way.push(Reverse((due, self.flights, way, bytes)));
        due
    }

    fn sight(&mut self, t: u64, way: Way, tcp: &Tcp) -> Sight {
        let ports = match way {
            Way::Up => (tcp.source, tcp.destination),
            Way::Down => (tcp.destination, tcp.source),
        };
        let syn = tcp.flags & flags::SYN != 0;
        let opened = &mut self.opened;
        let c = self.connections.entry(ports).or_insert_with(|| {
            *opened += 1;
            Connection { number: *opened - 1, ..Connection::default() }
        });
        if syn {
            let first = tcp.seq.wrapping_add(1);
            // A port that is used again begins a new connection.
            if way == Way::Up && c.first[0].is_some_and(|known| known != first) {
                *opened += 1;
                *c = Connection { number: *opened - 1, ..Connection::default() };
            }
            c.first[way as usize] = Some(first);
        }
        let place = |seq: u32, way: Way| seq.wrapping_sub(c.first[way as usize].unwrap_or(seq));
        let Sizes { request, response } = self.link.sizes;
        let size = |way: Way| if way == Way::Up { request } else { response }.max(1);
        let offset = place(tcp.seq, way);
        let turn = match tcp.len {
            _ if syn => 0,
            0 => place(tcp.ack, way.back()).saturating_sub(1) / size(way.back()),
            _ => offset / size(way),
        };
        let last = tcp.len > 0 && (offset + tcp.len).is_multiple_of(size(way));
        let (connection, len) = (c.number, tcp.len);
        let again = (syn || len > 0) && !c.seen.insert((way, syn, tcp.seq));
        let &Tcp { flags, window, ip_id, .. } = tcp;
        Sight { t, way, ports, connection, offset, len, flags, window, ip_id, turn, last, again }
    }
}
