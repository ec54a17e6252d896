//! `--flows`: features of each flow, a row for each direction.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use rustc_hash::FxHashMap;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tracenet_collectors::decode::{Checksum, IpPacket, Layer, Protocol};
use tracenet_core::features::{CATALOGUE, Datagram, Direction, Features, Seen as Packet, Value};
use tracenet_core::tcp::Verdicts;
use tracenet_core::time::WallNs;

use super::reading::Keep;
use super::{Closing, Print, Seen, View, Word, cell};
use crate::args::Format;

mod pending;

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

/// Flows of one transport by the number of their stream.
type Table = Vec<Option<Box<Flow>>>;

#[derive(Default)]
pub struct FlowFeatures {
    tcp: Table,
    udp: Table,
    icmp: FxHashMap<IcmpKey, Box<Flow>>,
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
            let flow = self.flow(transport, stream, layer);
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
        if let Some(Some(flow)) = self.tcp.get_mut(stream as usize) {
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
    fn flow(&mut self, transport: &'static str, stream: u32, layer: &Layer) -> &mut Flow {
        let table = if transport == "tcp" { &mut self.tcp } else { &mut self.udp };
        let at = stream as usize;
        if at >= table.len() {
            table.resize_with(at + 1, || None);
        }
        let (count, open) = (&mut self.count, &mut self.open);
        // There is one: the table was made long enough.
        table[at].get_or_insert_with(|| {
            *count += 1;
            *open += 1;
            let mut flow = Flow::new(transport, stream, (layer.source, layer.destination));
            flow.number = *count - 1;
            Box::new(flow)
        })
    }

    /// A fragment, or a packet of ICMP. A datagram that it makes whole is returned.
    #[cold]
    fn ip(&mut self, seen: &Seen<'_>, ip: &IpPacket, print: &mut Print) -> Option<Datagram> {
        let is_icmp = ip.facts.is_icmp();
        let key = (ip.source.min(ip.destination), ip.source.max(ip.destination), ip.facts.protocol);
        let packet = packet_of(seen, ip);
        let mut from = Direction::A;
        if is_icmp {
            let flow = self.icmp_flow(key, ip);
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
                if let Some(flow) = self.icmp.get_mut(&key) {
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

    fn icmp_flow(&mut self, key: IcmpKey, ip: &IpPacket) -> &mut Flow {
        let Self { icmp, icmp_count, count, open, .. } = self;
        icmp.entry(key).or_insert_with(|| {
            let name = if ip.facts.protocol == 1 { "icmp" } else { "icmpv6" };
            let mut flow = Flow::new(name, *icmp_count, of_ip(ip));
            flow.number = *count;
            *icmp_count += 1;
            *count += 1;
            *open += 1;
            Box::new(flow)
        })
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
        let mut all: Vec<Box<Flow>> = [&mut self.tcp, &mut self.udp]
            .into_iter()
            .flatten()
            .filter_map(|place| place.take_if(|flow| over(flow)))
            .collect();
        all.extend(self.icmp.extract_if(|_, flow| over(flow)).map(|(_, flow)| flow));
        self.open -= all.len();
        all.sort_unstable_by_key(|flow| flow.number);
        for flow in &all {
            flow.print(print);
            // A terminal or a pipe that is gone is told at the next flush.
            let _ = print.flush_if_full();
        }
    }
}

impl Flow {
    fn new(transport: &'static str, stream: u32, (a, b): (SocketAddr, SocketAddr)) -> Self {
        Self { number: 0, transport, stream, a, b, is_over: false, features: Features::new() }
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        [Direction::A, Direction::B]
            .into_iter()
            .filter(|direction| self.features.packets(*direction) > 0)
            .map(move |direction| Row { flow: self, direction })
    }

    fn print(&self, print: &mut Print) {
        match print.format {
            Format::Text => self.text(print),
            Format::Json => self.rows().for_each(|row| print.json("tracenet.flow/1", &row)),
            Format::Tsv | Format::Csv => {
                let ends = [self.a, self.b].map(|end| end.to_string());
                for row in self.rows() {
                    let [a, b] = &ends;
                    let (source, destination) = if row.direction == Direction::A { (a, b) } else { (b, a) };
                    print.row_of(|text| {
                        cell::push(text, &Value::Count(self.number));
                        for part in [self.transport, &self.stream.to_string(), row.direction.as_str()] {
                            text.push(b'\t');
                            text.extend_from_slice(part.as_bytes());
                        }
                        for end in [source, destination] {
                            text.push(b'\t');
                            text.extend_from_slice(end.as_bytes());
                        }
                        for feature in CATALOGUE {
                            text.push(b'\t');
                            cell::push(text, &feature.value(&self.features, row.direction));
                        }
                    });
                }
            }
        }
    }

    /// Both directions side by side, without what says nothing.
    fn text(&self, print: &mut Print) {
        print.line(format_args!(
            "flow {}  {} stream {}  A {} -> B {}",
            self.number, self.transport, self.stream, self.a, self.b
        ));
        let of = |direction| {
            let silent = self.features.packets(direction) == 0;
            move |feature: &tracenet_core::features::Feature| {
                if silent { Value::Absent } else { feature.value(&self.features, direction) }
            }
        };
        let (a, b) = (of(Direction::A), of(Direction::B));
        for feature in CATALOGUE {
            let (a, b) = (a(feature), b(feature));
            if says_nothing(&a) && says_nothing(&b) {
                continue;
            }
            let (a, b) = (shown(&a), shown(&b));
            print.line(format_args!("  {:<30} {a:>28} {b:>28}", feature.name));
        }
        print.line(format_args!(""));
    }
}

fn shown(value: &Value) -> String {
    let mut text = Vec::new();
    cell::push(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Absent => true,
        Value::Count(n) | Value::Bits(n, _) | Value::Time(n) => *n == 0,
        Value::Float(n) => *n == 0.0,
        Value::Wall(_) | Value::Text(_) => false,
    }
}

/// A direction of a flow.
struct Row<'a> {
    flow: &'a Flow,
    direction: Direction,
}

impl Row<'_> {
    /// Source and destination.
    fn ends(&self) -> (SocketAddr, SocketAddr) {
        match self.direction {
            Direction::A => (self.flow.a, self.flow.b),
            Direction::B => (self.flow.b, self.flow.a),
        }
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        let (source, destination) = self.ends();
        map.serialize_entry("flow", &self.flow.number)?;
        map.serialize_entry("transport", self.flow.transport)?;
        map.serialize_entry("stream", &self.flow.stream)?;
        map.serialize_entry("dir", self.direction.as_str())?;
        map.serialize_entry("source", &source)?;
        map.serialize_entry("destination", &destination)?;
        for feature in CATALOGUE {
            match feature.value(&self.flow.features, self.direction) {
                Value::Absent => {}
                Value::Count(n) | Value::Bits(n, _) => map.serialize_entry(feature.name, &n)?,
                Value::Float(n) => map.serialize_entry(feature.name, &n)?,
                Value::Text(text) => map.serialize_entry(feature.name, &text)?,
                Value::Time(ns) | Value::Wall(ns) => {
                    map.serialize_entry(&format_args!("{}_ns", feature.name), &ns)?;
                }
            }
        }
        map.end()
    }
}
