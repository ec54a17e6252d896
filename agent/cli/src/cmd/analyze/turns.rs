//! `--turns`: requests and their answers on each TCP stream, how long each took, and the sums for each server.

use std::borrow::Cow;
use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use serde::Serialize;
use tracenet_collectors::decode::Layer;
use tracenet_core::event::Segment;
use tracenet_core::histogram::Histogram;
use tracenet_core::key::{Direction, Role};
use tracenet_core::tcp::reassembly::{Piece, Reassembly};
use tracenet_core::tcp::{Side, StreamSegment};
use tracenet_core::time::{DurationNs, MonoNs, WallNs};
use tracenet_core::turn::{TurnMachine, TurnSpan};
use tracenet_core::wire::VerdictCounts;

use super::{Cell, Closing, Ends, Print, Seconds, Seen, View, Word};
use crate::args::Format;
use crate::paint::Ink;
use crate::units::{Bytes, Count, Time};

const COLUMNS: &str = "stream\tturn\tclient\tserver\tstart\trequest_bytes\tresponse_bytes\tthink\trequest\tfirst_byte\t\
                       last_byte\tnetwork\tretransmission\tout_of_order\tlost_segment\tduplicate_ack\tzero_window";

/// Streams that are followed at once; the segments of more are only counted.
const MAX_STREAMS: usize = 1 << 18;

/// Servers that are summed up; the turns of more are only told.
const MAX_SERVERS: usize = 1 << 14;

#[derive(Serialize)]
struct Line {
    stream: u32,
    turn: u32,
    client: String,
    server: String,
    start_ns: u64,
    request_bytes: u64,
    response_bytes: u64,
    /// Since the end of the turn before: the client's time.
    think_ns: Option<u64>,
    /// First to last byte of the request.
    request_ns: u64,
    /// Last byte of the request to the first of the response.
    first_byte_ns: Option<u64>,
    /// Last byte of the request to the last of the response.
    last_byte_ns: Option<u64>,
    /// Of `first_byte_ns`, the way to the server and back; the rest is the server's time.
    network_ns: Option<u64>,
    verdicts: VerdictCounts,
}

#[derive(Serialize)]
struct Sum {
    server: String,
    turns: u64,
    unanswered: u64,
    first_byte_ns: Option<Quantiles>,
    last_byte_ns: Option<Quantiles>,
}

#[derive(Clone, Copy, Serialize)]
struct Quantiles {
    p50: DurationNs,
    p95: DurationNs,
    p99: DurationNs,
    max: DurationNs,
}

impl Quantiles {
    fn of(h: &Histogram) -> Option<Self> {
        let at = |q| h.quantile(q);
        Some(Self { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)?, max: h.summary()?.max })
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p50 {} p95 {} p99 {} max {}",
            Time(self.p50),
            Time(self.p95),
            Time(self.p99),
            Time(self.max)
        )
    }
}

struct Stream {
    client: SocketAddr,
    server: SocketAddr,
    client_side: Side,
    /// Knows which bytes are new: only lengths go in.
    bytes: Reassembly<WallNs>,
    machine: TurnMachine,
    trouble: VerdictCounts,
    /// Shortest time in which the server acknowledged.
    network: Option<DurationNs>,
    before: Option<MonoNs>,
}

#[derive(Default)]
struct Server {
    turns: u64,
    unanswered: u64,
    first_byte: Histogram,
    last_byte: Histogram,
}

#[derive(Default)]
pub struct Turns {
    streams: FxHashMap<u32, Box<Stream>>,
    servers: FxHashMap<SocketAddr, Server>,
    omitted: u64,
    first: Option<WallNs>,
    finished: Vec<TurnSpan>,
}

impl View for Turns {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn packet(&mut self, seen: &Seen<'_>, print: &mut Print) {
        self.first.get_or_insert(seen.first);
        let wall = seen.dissected.packet.wall;
        for (layer, word) in seen.layers() {
            if let (Word::Segment(said), Some(segment)) = (word, &layer.tcp) {
                self.segment(wall, layer, said, segment, print);
            }
        }
    }

    fn ended(&mut self, stream: u32, print: &mut Print) {
        if let Some(s) = self.streams.remove(&stream) {
            self.close(stream, *s, print);
        }
    }

    fn end(&mut self, _: &Closing<'_>, print: &mut Print) {
        let mut rest: Vec<_> = std::mem::take(&mut self.streams).into_iter().collect();
        rest.sort_unstable_by_key(|(number, _)| *number);
        for (number, stream) in rest {
            self.close(number, *stream, print);
        }
        self.sums(print);
    }
}

impl Turns {
    fn segment(
        &mut self,
        wall: WallNs,
        layer: &Layer,
        said: &StreamSegment,
        segment: &Segment,
        print: &mut Print,
    ) {
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&said.stream) {
            self.omitted += 1;
            return;
        }
        let s = self.streams.entry(said.stream).or_insert_with(|| Box::new(Stream::new(layer, said.from)));
        let (machine, finished, client) = (&mut s.machine, &mut self.finished, s.client_side);
        s.bytes.segment(wall, said.from, segment, layer.payload_len, &[], &mut |told| {
            // Without the bytes each piece is one that is missing.
            let Piece::Missing(n, _) = told.piece else { return };
            let direction = if told.from == client { Direction::Out } else { Direction::In };
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            finished.extend(machine.io(MonoNs(told.tag.0), Role::Client, direction, n, 0));
        });
        if said.from != client
            && let Some(rtt) = said.analysis.ack_rtt
        {
            s.network = Some(s.network.map_or(rtt, |least| least.min(rtt)));
        }
        let mut spans = std::mem::take(&mut self.finished);
        for span in spans.drain(..) {
            let line = s.line(said.stream, &span);
            show(&line, self.first.unwrap_or_default(), print);
            add(&mut self.servers, s.server, &line);
        }
        self.finished = spans;
        s.trouble.add(said.analysis.verdicts);
    }

    fn close(&mut self, number: u32, mut s: Stream, print: &mut Print) {
        let mut spans = Vec::new();
        let (machine, client) = (&mut s.machine, s.client_side);
        s.bytes.finish(&mut |told| {
            let Piece::Missing(n, _) = told.piece else { return };
            let direction = if told.from == client { Direction::Out } else { Direction::In };
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            spans.extend(machine.io(MonoNs(told.tag.0), Role::Client, direction, n, 0));
        });
        spans.extend(machine.end());
        for span in spans {
            let line = s.line(number, &span);
            show(&line, self.first.unwrap_or_default(), print);
            add(&mut self.servers, s.server, &line);
        }
    }

    fn sums(&self, print: &mut Print) {
        if matches!(print.format, Format::Tsv | Format::Csv) {
            return;
        }
        let mut order: Vec<_> = self.servers.iter().collect();
        order.sort_unstable_by_key(|(address, s)| (std::cmp::Reverse(s.turns + s.unanswered), **address));
        for (address, s) in order {
            let sum = Sum {
                server: address.to_string(),
                turns: s.turns,
                unanswered: s.unanswered,
                first_byte_ns: Quantiles::of(&s.first_byte),
                last_byte_ns: Quantiles::of(&s.last_byte),
            };
            if print.format == Format::Json {
                print.json("tracenet.turns/1", &sum);
                continue;
            }
            let open = Cell((s.unanswered > 0).then(|| format!(", {} without an answer", s.unanswered)));
            print.line(format_args!("{}  {}{open}", sum.server, Count(s.turns, "turn")));
            if let (Some(first), Some(last)) = (sum.first_byte_ns, sum.last_byte_ns) {
                print.line(format_args!("  first byte {first}"));
                print.line(format_args!("  last byte  {last}"));
            }
        }
        if self.omitted > 0 && print.format == Format::Text {
            print.line(format_args!("{} of further streams", Count(self.omitted, "segment")));
        }
    }
}

impl Stream {
    fn new(layer: &Layer, from: Side) -> Self {
        let Ends { client, server, client_side } = Ends::of(layer, from);
        Self {
            client,
            server,
            client_side,
            bytes: Reassembly::new(),
            machine: TurnMachine::default(),
            trouble: VerdictCounts::default(),
            network: None,
            before: None,
        }
    }

    fn line(&mut self, stream: u32, span: &TurnSpan) -> Line {
        let first_byte = span.response_start.map(|t| t.since(span.request_end).0);
        let before = self.before.replace(span.end);
        Line {
            stream,
            turn: span.index,
            client: self.client.to_string(),
            server: self.server.to_string(),
            start_ns: span.start.0,
            request_bytes: span.request_bytes,
            response_bytes: span.response_bytes,
            think_ns: before.map(|t| span.start.since(t).0),
            request_ns: span.request_end.since(span.start).0,
            first_byte_ns: first_byte,
            last_byte_ns: span.response_start.map(|_| span.end.since(span.request_end).0),
            network_ns: first_byte.and_then(|all| Some(self.network?.0.min(all))),
            verdicts: std::mem::take(&mut self.trouble),
        }
    }
}

fn add(servers: &mut FxHashMap<SocketAddr, Server>, address: SocketAddr, line: &Line) {
    if servers.len() >= MAX_SERVERS && !servers.contains_key(&address) {
        return;
    }
    let server = servers.entry(address).or_default();
    match (line.first_byte_ns, line.last_byte_ns) {
        (Some(first), Some(last)) => {
            server.turns += 1;
            server.first_byte.record(DurationNs(first));
            server.last_byte.record(DurationNs(last));
        }
        _ => server.unanswered += 1,
    }
}

fn show(line: &Line, first: WallNs, print: &mut Print) {
    let v = &line.verdicts;
    let start = Seconds(line.start_ns.saturating_sub(first.0));
    match print.format {
        Format::Json => print.json("tracenet.turn/1", line),
        Format::Tsv | Format::Csv => {
            let seconds = |ns: Option<u64>| Cell(ns.map(Seconds));
            print.row(format_args!(
                "{}\t{}\t{}\t{}\t{start}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                line.stream,
                line.turn,
                line.client,
                line.server,
                line.request_bytes,
                line.response_bytes,
                seconds(line.think_ns),
                Seconds(line.request_ns),
                seconds(line.first_byte_ns),
                seconds(line.last_byte_ns),
                seconds(line.network_ns),
                v.retransmission,
                v.out_of_order,
                v.lost_segment,
                v.duplicate_ack,
                v.zero_window,
            ));
        }
        Format::Text => {
            let time = |ns: u64| Time(DurationNs(ns));
            let took = match (line.first_byte_ns, line.last_byte_ns) {
                (Some(first), Some(last)) => {
                    let network = line.network_ns.map(|n| format!(" (network {})", time(n)));
                    format!("first byte {}{}, last {}", time(first), Cell(network), time(last))
                }
                _ => print.paint.show(Ink::Warn, "no answer").to_string(),
            };
            let mut trouble = String::new();
            let paint = print.paint;
            for (n, what) in [
                (v.retransmission, "retransmission"),
                (v.out_of_order, "late segment"),
                (v.lost_segment, "gap"),
                (v.zero_window, "zero window"),
            ] {
                if n > 0 {
                    trouble.push_str(if trouble.is_empty() { "! " } else { ", " });
                    trouble.push_str(&Count(n, what).to_string());
                }
            }
            let ink = if v.lost_segment > 0 { Ink::Bad } else { Ink::Warn };
            let trouble = (!trouble.is_empty()).then(|| format!("  {}", paint.show(ink, trouble)));
            print.line(format_args!(
                "{:>16} stream {} turn {}  {} -> {}  {} asked, {} answered, {took}{}",
                start.to_string(),
                line.stream,
                line.turn,
                line.client,
                line.server,
                Bytes(line.request_bytes),
                Bytes(line.response_bytes),
                Cell(trouble),
            ));
        }
    }
}
