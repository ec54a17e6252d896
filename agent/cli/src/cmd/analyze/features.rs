//! `--flows`: features of each flow, a row for each direction.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use rustc_hash::FxHashMap;
use tracenet_collectors::decode::{Checksum, IpPacket, Layer, Protocol};
use tracenet_core::features::{CATALOGUE, Datagram, Direction, Features, Seen as Packet};
use tracenet_core::slab::Slab;
use tracenet_core::tcp::Verdicts;
use tracenet_core::time::WallNs;

use super::reading::Keep;
use super::{Closing, Print, Seen, View, Word};

mod pending;
mod show;

use pending::Pending;

/// Bytes of an ICMP header: type, code, checksum and four bytes by the type (RFC 792, RFC 4443).
const ICMP_HEADER: u32 = 8;

/// Flows that are followed at once.
const MAX_OPEN: usize = 1 << 20;

/// Packets between two looks for flows that have ended, at least.
const SWEEP: u64 = 1 << 16;

/// A closed connection is told after this time without a packet.
const CLOSED_NS: u64 = 120_000_000_000;

/// Any flow is told after this time; what comes later is a flow of its own.
const IDLE_NS: u64 = 3_600_000_000_000;

/// A flow.
struct Flow {
    /// In the order of the first packets.
    number: u64,
    transport: &'static str,
    stream: u32,
    /// Sender of the first packet.
    a: SocketAddr,
    b: SocketAddr,
    /// Its stream has ended; stragglers still count.
    is_over: bool,
    features: Features,
}

/// A fragment's flow: of ICMP, where ports are not needed, by its key; else one that only the fragments know until they
/// are put together.
enum Owner {
    Icmp(IcmpKey, Direction),
    Unknown(Box<Flow>),
}

/// Both addresses, the smaller one first, and the protocol.
type IcmpKey = (IpAddr, IpAddr, u8);

/// Places of the flows of one transport, by the number of their stream; [`NONE`] where there is none.
type Table = Vec<u32>;

const NONE: u32 = u32::MAX;

#[derive(Default)]
pub struct FlowFeatures {
    tcp: Table,
    udp: Table,
    icmp: FxHashMap<IcmpKey, u32>,
    flows: Slab<Flow>,
    icmp_count: u32,
    pending: Pending<Owner>,
    count: u64,
    open: usize,
    packets: u64,
    sweep_at: u64,
}

impl View for FlowFeatures {
    fn columns(&self) -> Cow<'static, str> {
        let mut columns = "flow\ttransport\tstream\tdir\tsource\tdestination".to_owned();
        for feature in CATALOGUE {
            columns.push('\t');
            columns.push_str(feature.name);
        }
        columns.into()
    }

    fn keep(&self) -> Keep {
        Keep { icmp: true, ..Keep::default() }
    }

    fn expect(&self, words: &[Word]) {
        for word in words {
            let place = match word {
                Word::Segment(said) => self.tcp.get(said.stream as usize),
                Word::Datagram(Some(number)) => self.udp.get(*number as usize),
                _ => None,
            };
            if let Some(flow) = place.and_then(|place| self.flows.get(*place)) {
                std::hint::black_box((flow.a.port(), flow.b.port(), flow.features.fetch()));
            }
        }
    }

    #[inline]
    fn packet(&mut self, seen: &Seen<'_>, print: &mut Print) {
        let wall = seen.dissected.packet.wall;
        let mut whole = None;
        for ip in seen.dissected.ips.iter().filter(|ip| !ip.quoted) {
            whole = self.ip(seen, ip, print).or(whole);
        }
        for (layer, word) in seen.layers() {
            let (transport, stream, verdicts) = match word {
                Word::Segment(said) => ("tcp", said.stream, said.analysis.verdicts),
                Word::Datagram(Some(number)) => ("udp", *number, Verdicts::NONE),
                Word::Datagram(None) | Word::Quoted(_) | Word::QuotedDatagram => continue,
            };
            let Some(flow) = self.flow(transport, stream, layer) else { continue };
            let from = if layer.source == flow.a { Direction::A } else { Direction::B };
            flow.features.packet(from, &facts(wall, seen.dissected.packet.wire_len, layer, verdicts));
            if let Some(datagram) = &whole
                && layer.ip.is_fragment()
            {
                flow.features.fragments(from, datagram);
            }
        }
        self.packets += 1;
        if self.packets >= self.sweep_at || self.open >= MAX_OPEN {
            self.sweep(wall, print);
        }
    }

    fn ended(&mut self, stream: u32, _: &mut Print) {
        let place = self.tcp.get(stream as usize).copied().unwrap_or(NONE);
        if let Some(flow) = self.flows.get_mut(place) {
            flow.is_over = true;
        }
    }

    fn end(&mut self, _: &Closing<'_>, print: &mut Print) {
        while let Some((datagram, owner)) = self.pending.next() {
            self.told(&datagram, owner, print);
        }
        self.take(print, |_| true);
    }
}

fn facts<'a>(t: WallNs, wire_len: u32, layer: &'a Layer, verdicts: Verdicts) -> Packet<'a> {
    Packet {
        t,
        ip: &layer.ip,
        tcp: layer.tcp.as_ref(),
        options: layer.options.as_slice(),
        payload_len: layer.payload_len,
        wire_len,
        verdicts,
        // The last one is of the header around this layer.
        bad_ip_checksum: layer.ip.version == 4 && layer.ip_checksums.iter().last() == Some(Checksum::Bad),
        bad_checksum: layer.checksum == Checksum::Bad,
        cut: layer.cut,
    }
}

/// Its addresses, for what has no ports.
fn of_ip(ip: &IpPacket) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(ip.source, 0), SocketAddr::new(ip.destination, 0))
}

/// A packet as a flow without ports sees it: of ICMP without its header.
fn packet_of<'a>(seen: &Seen<'_>, ip: &'a IpPacket) -> Packet<'a> {
    let header = if ip.facts.is_icmp() && ip.facts.fragment_offset == 0 { ICMP_HEADER } else { 0 };
    Packet {
        t: seen.dissected.packet.wall,
        ip: &ip.facts,
        tcp: None,
        options: &[],
        payload_len: ip.facts.total_len.saturating_sub(u32::from(ip.facts.header_len) + header),
        wire_len: seen.dissected.packet.wire_len,
        verdicts: Verdicts::NONE,
        bad_ip_checksum: false,
        bad_checksum: false,
        cut: false,
    }
}

impl FlowFeatures {
    /// The flow of a stream.
    #[inline]
    fn flow(&mut self, transport: &'static str, stream: u32, layer: &Layer) -> Option<&mut Flow> {
        let table = if transport == "tcp" { &mut self.tcp } else { &mut self.udp };
        let at = stream as usize;
        if at >= table.len() {
            table.resize(at + 1, NONE);
        }
        if table[at] == NONE {
            let new = || Flow {
                number: self.count,
                ..Flow::new(transport, stream, (layer.source, layer.destination))
            };
            table[at] = self.flows.give(|flow| *flow = new(), new);
            self.count += 1;
            self.open += 1;
        }
        self.flows.get_mut(table[at])
    }

    /// A fragment, or a packet of ICMP. A datagram that it makes whole is returned.
    #[cold]
    fn ip(&mut self, seen: &Seen<'_>, ip: &IpPacket, print: &mut Print) -> Option<Datagram> {
        let is_icmp = ip.facts.is_icmp();
        let key = (ip.source.min(ip.destination), ip.source.max(ip.destination), ip.facts.protocol);
        let packet = packet_of(seen, ip);
        let mut from = Direction::A;
        if is_icmp {
            let flow = self.icmp_flow(key, ip)?;
            from = if flow.a.ip() == ip.source { Direction::A } else { Direction::B };
            flow.features.packet(from, &packet);
            let message =
                seen.dissected.headers().find(|(p, _)| matches!(p, Protocol::Icmp | Protocol::Icmpv6));
            if let Some((_, &[kind, code, ..])) = message {
                flow.features.icmp(from, kind, code);
            }
        }
        if !ip.facts.is_fragment() {
            return None;
        }
        let begin = || match is_icmp {
            true => Owner::Icmp(key, from),
            false => Owner::Unknown(Box::new(Flow::new("fragments", ip.facts.id.unwrap_or(0), of_ip(ip)))),
        };
        let also = |owner: &mut Owner| {
            if let Owner::Unknown(flow) = owner {
                flow.features.packet(Direction::A, &packet);
            }
        };
        let (datagram, owner) = self.pending.fragment(ip, begin, also)?;
        if !datagram.is_whole() || is_icmp {
            self.told(&datagram, owner, print);
            return None;
        }
        Some(datagram)
    }

    /// A datagram of ICMP, or one of which not all came: that is told as a flow of its own.
    fn told(&mut self, datagram: &Datagram, owner: Owner, print: &mut Print) {
        match owner {
            Owner::Icmp(key, from) => {
                if let Some(flow) = self.icmp.get(&key).and_then(|place| self.flows.get_mut(*place)) {
                    flow.features.fragments(from, datagram);
                }
            }
            Owner::Unknown(mut flow) => {
                flow.number = self.count;
                self.count += 1;
                flow.features.fragments(Direction::A, datagram);
                flow.print(print);
            }
        }
    }

    fn icmp_flow(&mut self, key: IcmpKey, ip: &IpPacket) -> Option<&mut Flow> {
        let Self { icmp, icmp_count, count, open, flows, .. } = self;
        let place = icmp.entry(key).or_insert_with(|| {
            let name = if ip.facts.protocol == 1 { "icmp" } else { "icmpv6" };
            let new = || Flow { number: *count, ..Flow::new(name, *icmp_count, of_ip(ip)) };
            let place = flows.give(|flow| *flow = new(), new);
            *icmp_count += 1;
            *count += 1;
            *open += 1;
            place
        });
        flows.get_mut(*place)
    }

    /// Tells and frees what has ended. Where there is no room for more flows, all are told.
    fn sweep(&mut self, now: WallNs, print: &mut Print) {
        self.take(print, |flow| {
            let idle = now.0.saturating_sub(flow.features.last().0);
            flow.is_over || idle > if flow.features.is_closed() { CLOSED_NS } else { IDLE_NS }
        });
        if self.open >= MAX_OPEN {
            self.take(print, |_| true);
        }
        // Looking costs as much as there are flows.
        self.sweep_at = self.packets.saturating_add(SWEEP.max(4 * self.open as u64));
    }

    /// Prints the flows that are `over`, in the order of their first packets, and frees them.
    fn take(&mut self, print: &mut Print, over: impl Fn(&Flow) -> bool) {
        let flows = &self.flows;
        let is_over = |place: &mut u32| flows.get(*place).is_some_and(&over);
        let mut all = Vec::new();
        for place in [&mut self.tcp, &mut self.udp].into_iter().flatten() {
            if is_over(place) {
                all.push(std::mem::replace(place, NONE));
            }
        }
        all.extend(self.icmp.extract_if(|_, place| is_over(place)).map(|(_, place)| place));
        let mut shown: Vec<&Flow> = all.iter().filter_map(|place| flows.get(*place)).collect();
        shown.sort_unstable_by_key(|flow| flow.number);
        show::flows(&shown, print);
        self.open -= all.len();
        all.into_iter().for_each(|place| self.flows.free(place));
        if self.flows.is_sparse() {
            let places = [&mut self.tcp, &mut self.udp].into_iter().flatten().chain(self.icmp.values_mut());
            self.flows.pack(places, |flow| Flow { features: std::mem::take(&mut flow.features), ..*flow });
        }
    }
}

impl Flow {
    fn new(transport: &'static str, stream: u32, (a, b): (SocketAddr, SocketAddr)) -> Self {
        Self { number: 0, transport, stream, a, b, is_over: false, features: Features::new() }
    }
}
