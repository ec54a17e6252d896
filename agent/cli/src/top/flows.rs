//! The TCP connections of all network namespaces, from the kernel's own counters (sock_diag(7)).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use tracenet_collectors::netns::Place;
use tracenet_collectors::owners::{Look, Owners};
use tracenet_collectors::process::Proc;
use tracenet_collectors::sockets::{self, Address, Kind, Query, Socket, State, States};

use super::rates::{Rate, Readings};
use crate::privilege::remedy;

/// Connections that are followed; more are counted.
const MAX_FLOWS: usize = 16_384;

/// Age at which it is looked again who holds which socket, and which namespaces there are: descriptors are handed on, and
/// namespaces made, without a sign.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A look at all descriptors of the host that took some time is not repeated for so many times that time.
const REST: u32 = 40;

/// One connection in one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// `sk->sk_cookie`
    pub cookie: u64,
}

/// What is shown of a connection.
#[derive(Debug, Clone)]
pub struct Flow {
    pub key: FlowKey,
    /// Name of the network namespace, where it has one.
    pub netns_name: Option<Arc<str>>,
    pub state: State,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Processes that hold it, with their names; in the order of their numbers.
    pub holders: Vec<(u32, Arc<str>)>,
    /// Over [`SPANS`](super::rates::SPANS), or the time since the first look if that is shorter.
    pub rates: [Rate; 3],
    /// Bytes a second, both ways, of each interval; the latest one last.
    pub history: Vec<u64>,
    /// Bytes sent and acknowledged, since it was opened.
    pub bytes_acked: u64,
    /// Bytes received, since it was opened.
    pub bytes_received: u64,
    /// Segments sent again, since it was opened.
    pub retransmits: u32,
    /// Smoothed, microseconds; 0 where nothing was measured yet.
    pub rtt_us: u32,
    /// Bytes not read.
    pub receive_queue: u32,
    /// Bytes not acknowledged.
    pub send_queue: u32,
}

impl Flow {
    /// The process that is named first.
    pub fn pid(&self) -> Option<u32> {
        self.holders.first().map(|(pid, _)| *pid)
    }

    pub fn is_held_by(&self, pid: u32) -> bool {
        self.holders.iter().any(|(holder, _)| *holder == pid)
    }
}

/// A connection that is followed.
#[derive(Debug)]
struct Known {
    /// As last read; without holders, rates and history.
    flow: Flow,
    inode: u32,
    readings: Readings,
    /// Number of the reading that saw it last.
    seen: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Flows {
    known: FxHashMap<FlowKey, Known>,
    places: Vec<Place>,
    owners: Owners,
    /// Inode numbers of sockets that nobody held at the last look.
    nobodys: FxHashSet<u32>,
    /// When the last look at all descriptors began, on two clocks, and how long it took.
    looked: Option<(Instant, Duration, Duration)>,
    /// Of each namespace, by inode number: after when all connections began that were not seen yet.
    since: FxHashMap<u32, Duration>,
    now: Duration,
    readings: u64,
    /// Connections for which there was no room at the last reading.
    pub omitted: u64,
    /// Why some of them are not seen.
    pub error: Option<String>,
}

impl Flows {
    /// Reads all of them `at` this time since the start. Who holds what is looked up where that is not known, but not so
    /// often that it costs much, or in any case (`thorough`).
    ///
    /// # Errors
    /// In [`Flows::error`]: the others are read all the same.
    pub fn read(&mut self, at: Duration, thorough: bool) {
        self.error = None;
        self.now = at;
        let due = self.looked.is_none_or(|(then, ..)| then.elapsed() >= LOOK_EVERY);
        if thorough || (due && self.is_rested()) {
            self.look();
        }
        self.readings += 1;
        self.omitted = 0;
        let mut strange = false;
        for place in std::mem::take(&mut self.places) {
            if let Err(e) = self.read_place(&place, &mut strange) {
                self.error = Some(e);
            }
            self.places.push(place);
        }
        let reading = self.readings;
        self.known.retain(|_, known| known.seen == reading);
        if strange && self.is_rested() {
            self.look();
        }
    }

    fn read_place(&mut self, place: &Place, strange: &mut bool) -> Result<(), String> {
        let there = place.enter().map_err(|e| {
            let way = e.way.display();
            format!("connections of {way} are not seen: {}: {}", e.source, remedy("CAP_SYS_ADMIN"))
        })?;
        let Some(_there) = there else { return Ok(()) };
        let query = Query {
            kinds: BTreeSet::from([Kind::Tcp]),
            v4: true,
            v6: true,
            // Those with two ends.
            states: States(
                !States::of(&[State::Listen, State::Close, State::TimeWait, State::BoundInactive]).0,
            ),
            tcp_info: true,
            ..Query::default()
        };
        let since = self.since.insert(place.inode, self.now);
        let name: Option<Arc<str>> = place.name.as_deref().map(Into::into);
        sockets::read(&query, &mut |socket| {
            *strange |= socket.inode != 0
                && self.owners.of(socket.inode).is_empty()
                && !self.nobodys.contains(&socket.inode);
            self.take(place.inode, name.as_ref(), &socket, since);
        })
        .map(drop)
        .map_err(|e| e.to_string())
    }

    fn take(&mut self, netns: u32, name: Option<&Arc<str>>, socket: &Socket, since: Option<Duration>) {
        let (Address::Ip(local, lport), Address::Ip(remote, rport)) = (&socket.local, &socket.remote) else {
            return;
        };
        let Some(tcp) = &socket.tcp else {
            // Out of `/proc/net`: there are no counters. A connection that begins has none anywhere.
            if socket.state == State::Established {
                let why = || "connections have no counters: load the kernel's module tcp_diag".to_owned();
                self.error.get_or_insert_with(why);
            }
            return;
        };
        let key = FlowKey { netns, cookie: socket.cookie };
        let end = |ip: &IpAddr, port: &u16| SocketAddr::new(ip.to_canonical(), *port);
        let flow = Flow {
            key,
            netns_name: name.cloned(),
            state: socket.state,
            local: end(local, lport),
            remote: end(remote, rport),
            holders: Vec::new(),
            rates: Default::default(),
            history: Vec::new(),
            bytes_acked: tcp.info.bytes_acked,
            bytes_received: tcp.info.bytes_received,
            retransmits: tcp.info.total_retrans,
            rtt_us: tcp.info.rtt,
            receive_queue: socket.recv_q,
            send_queue: socket.send_q,
        };
        let (sent, received) = (flow.bytes_acked, flow.bytes_received);
        if let Some(known) = self.known.get_mut(&key) {
            // A dump that a change interrupted may tell of one twice.
            if known.seen != self.readings {
                known.readings.push(self.now, sent, received);
            }
            (known.flow, known.inode, known.seen) = (flow, socket.inode, self.readings);
        } else if self.known.len() >= MAX_FLOWS {
            self.omitted += 1;
        } else {
            let readings = match since {
                // When it did what it did is not known.
                None => Readings::new(self.now, sent, received),
                Some(since) => {
                    let mut readings = Readings::new(since, 0, 0);
                    readings.push(self.now, sent, received);
                    readings
                }
            };
            self.known.insert(key, Known { flow, inode: socket.inode, readings, seen: self.readings });
        }
    }

    fn is_rested(&self) -> bool {
        self.looked.is_none_or(|(then, _, took)| then.elapsed() >= took.saturating_mul(REST))
    }

    /// Looks at the descriptors of all processes.
    fn look(&mut self) {
        let begin = Instant::now();
        match Owners::find(&Proc::default(), Look::Namespaces) {
            Ok(owners) => self.owners = owners,
            Err(e) => self.error = Some(format!("cannot read /proc: {e}")),
        }
        match Place::all(&self.owners) {
            Ok(places) => {
                if let Some((_, prior, _)) = self.looked {
                    // Those that the look before this one has not seen began after it.
                    for place in &places {
                        self.since.entry(place.inode).or_insert(prior);
                    }
                }
                self.since.retain(|inode, _| places.iter().any(|place| place.inode == *inode));
                self.places = places;
            }
            Err(e) => self.error = Some(e.to_string()),
        }
        let inodes = self.known.values().map(|known| known.inode);
        self.nobodys = inodes.filter(|inode| self.owners.of(*inode).is_empty()).collect();
        self.looked = Some((begin, self.now, begin.elapsed()));
    }

    /// All of them, in no order.
    pub fn rows(&self) -> impl Iterator<Item = Flow> {
        self.known.values().map(|known| {
            let mut holders: Vec<(u32, Arc<str>)> = Vec::new();
            for holder in self.owners.of(known.inode) {
                if holders.last().is_none_or(|(pid, _)| *pid != holder.pid) {
                    holders.push((holder.pid, Arc::clone(&holder.comm)));
                }
            }
            holders.sort_unstable_by_key(|(pid, _)| *pid);
            Flow {
                holders,
                rates: known.readings.rates(self.now),
                history: known.readings.history(),
                ..known.flow.clone()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn between(flows: &Flows, a: SocketAddr, b: SocketAddr) -> Option<Flow> {
        flows.rows().find(|flow| (flow.local, flow.remote) == (a, b))
    }

    #[test]
    fn a_connection_has_the_rates_of_its_bytes_and_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let mut client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (mut server, _) = listener.accept().expect("it came");
        let (a, b) =
            (client.local_addr().expect("it is bound"), client.peer_addr().expect("it is connected"));
        client.write_all(&[0; 500]).expect("there is room");
        server.read_exact(&mut [0; 500]).expect("it arrives");

        let mut flows = Flows::default();
        flows.read(Duration::from_secs(1), true);
        let first = between(&flows, a, b).expect("it is open");
        assert_eq!((first.rates[0], first.pid()), (Rate::default(), Some(std::process::id())));
        client.write_all(&[0; 3_000]).expect("there is room");
        server.read_exact(&mut [0; 3_000]).expect("it arrives");
        flows.read(Duration::from_secs(4), false);
        let there = between(&flows, b, a).expect("it is open");
        assert_eq!((there.rates[0].received, there.rates[0].sent), (1_000, 0));
        assert_eq!(there.bytes_received, 3_500);

        // One that came later did all that it did since the last reading.
        let mut late = TcpStream::connect(b).expect("it listens");
        let (mut second, _) = listener.accept().expect("it came");
        late.write_all(&[0; 200]).expect("there is room");
        second.read_exact(&mut [0; 200]).expect("it arrives");
        drop((client, server));
        flows.read(Duration::from_secs(6), true);
        let from = late.local_addr().expect("it is bound");
        assert_eq!(between(&flows, b, from).map(|flow| flow.rates[0].received), Some(100));
        assert!(between(&flows, b, a).is_none_or(|flow| flow.holders.is_empty()));
    }
}
