//! `--connections`: each TCP connection as the live summary tells it, from its packets alone.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::Serialize;
use tracenet_collectors::decode::Layer;
use tracenet_core::core::Settings;
use tracenet_core::event::tcp_flags;
use tracenet_core::key::{Direction, Role};
use tracenet_core::summary::{Rtt, hex};
use tracenet_core::tcp::Side;
use tracenet_core::time::{DurationNs, MonoNs, WallNs};
use tracenet_core::trace_id;
use tracenet_core::wire::{Sighting, Wire, WireCounts};

use super::{Cell, Closing, Ends, Print, Seconds, Seen, View, Word};
use crate::args::Format;
use crate::paint::Ink;
use crate::units::{Count, Time};

const COLUMNS: &str = "stream\trole\tlocal\tremote\tstart\tduration\tpackets_sent\tpackets_received\trtt_min\t\
                       rtt_p50\trtt_p99\trtt_max\trtt_samples\tretransmission\tout_of_order\tlost_segment\t\
                       duplicate_ack\tzero_window_stalls\tclose\ttrace_id";

/// Connections that are kept; the packets of more are only counted.
const MAX: usize = 1 << 18;

/// The fields are named, and mean, what they do in `tracenet.summary/1`.
#[derive(Serialize)]
struct Line {
    transport: &'static str,
    stream: usize,
    role: Role,
    local: String,
    remote: String,
    start_ns: u64,
    end_ns: u64,
    packets_sent: u64,
    packets_received: u64,
    rtt_ns: Option<Rtt>,
    zero_window_stalls: u64,
    wire: WireCounts,
    close: &'static str,
    trace_id: Option<String>,
    trace_id_source: Option<&'static str>,
}

struct Connection {
    local: SocketAddr,
    remote: SocketAddr,
    role: Role,
    first: WallNs,
    last: WallNs,
    wire: Wire,
}

#[derive(Default)]
pub struct Connections {
    /// By the number of the stream: as seen from its originator, and from its responder.
    all: Vec<[Option<Box<Connection>>; 2]>,
    omitted_packets: u64,
}

impl View for Connections {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn packet(&mut self, seen: &Seen<'_>, _: &mut Print) {
        let packet = seen.dissected.packet;
        for (layer, word) in seen.layers() {
            let (Word::Segment(said), Some(segment)) = (word, &layer.tcp) else { continue };
            let at = said.stream as usize;
            if at >= MAX {
                self.omitted_packets += 1;
                continue;
            }
            if at >= self.all.len() {
                self.all.resize_with(at + 1, Default::default);
            }
            let Some(ends) = self.all.get_mut(at) else { continue };
            let observed = observed(ends, layer, said.from, packet.direction);
            let c = ends[observed as usize]
                .get_or_insert_with(|| Box::new(begin(layer, said.from, observed, packet.wall)));
            c.first = c.first.min(packet.wall);
            c.last = c.last.max(packet.wall);
            let direction = if said.from == observed { Direction::Out } else { Direction::In };
            c.wire.packet(&Sighting {
                t: MonoNs(packet.wall.0),
                wall: packet.wall,
                interface: packet.interface,
                direction,
                role: c.role,
                tcp: Some(segment),
                payload_len: layer.payload_len,
                ip_id: layer.ip.id,
            });
            if segment.flags & tcp_flags::RST != 0 {
                c.wire.reset(direction);
            }
        }
    }

    fn end(&mut self, closing: &Closing<'_>, print: &mut Print) {
        let count = self.all.iter().flatten().flatten().count();
        if print.format == Format::Text {
            print.line(format_args!("{}", Count(count as u64, "TCP connection")));
        }
        for (stream, ends) in self.all.iter().enumerate() {
            for c in ends.iter().flatten() {
                show(&line(stream, c), closing.first, print);
            }
        }
        if self.omitted_packets > 0 && print.format == Format::Text {
            print.line(format_args!("{} of further connections", Count(self.omitted_packets, "packet")));
        }
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Orig => Side::Resp,
        Side::Resp => Side::Orig,
    }
}

/// The end at which a packet was captured: where the file tells which way it went, that one; else always the client.
/// On the loopback both ends are there, and every packet goes out.
fn observed(
    ends: &[Option<Box<Connection>>; 2],
    layer: &Layer,
    from: Side,
    direction: Option<Direction>,
) -> Side {
    let one_host = layer.source.ip() == layer.destination.ip() || layer.source.ip().is_loopback();
    match (direction.filter(|_| !one_host), ends) {
        (Some(Direction::Out), _) => from,
        (Some(Direction::In), _) => other(from),
        (None, [Some(_), _]) => Side::Orig,
        (None, [None, Some(_)]) => Side::Resp,
        (None, [None, None]) => Ends::of(layer, from).client_side,
    }
}

fn begin(layer: &Layer, from: Side, observed: Side, wall: WallNs) -> Connection {
    let (local, remote) =
        if from == observed { (layer.source, layer.destination) } else { (layer.destination, layer.source) };
    let role = if Ends::of(layer, from).client_side == observed { Role::Client } else { Role::Server };
    Connection { local, remote, role, first: wall, last: wall, wire: Wire::default() }
}

fn line(stream: usize, c: &Connection) -> Line {
    let salt = Settings::default().trace_salt;
    let trace = c.wire.isn_pair().map(|(a, b)| trace_id::from_isns(&salt, a, b).0);
    let (packets_sent, packets_received) = c.wire.packets();
    Line {
        transport: "tcp",
        stream,
        role: c.role,
        local: c.local.to_string(),
        remote: c.remote.to_string(),
        start_ns: c.first.0,
        end_ns: c.last.0,
        packets_sent,
        packets_received,
        rtt_ns: c.wire.rtt().as_ref().map(Rtt::from),
        zero_window_stalls: c.wire.zero_window_stalls(),
        wire: c.wire.counts(),
        close: c.wire.close().as_str(),
        trace_id: trace.as_ref().map(hex),
        trace_id_source: trace.map(|_| "isn_pair"),
    }
}

fn show(line: &Line, first: WallNs, print: &mut Print) {
    let (rtt, wire) = (line.rtt_ns, &line.wire.verdicts);
    let role = match line.role {
        Role::Client => "client",
        Role::Server => "server",
    };
    match print.format {
        Format::Json => print.json("tracenet.connection/1", line),
        Format::Tsv | Format::Csv => {
            let seconds = |d: fn(Rtt) -> DurationNs| Cell(rtt.map(|r| Seconds(d(r).0)));
            print.row(format_args!(
                "{}\t{role}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                line.stream,
                line.local,
                line.remote,
                Seconds(line.start_ns.saturating_sub(first.0)),
                Seconds(line.end_ns - line.start_ns),
                line.packets_sent,
                line.packets_received,
                seconds(|r| r.min),
                seconds(|r| r.p50),
                seconds(|r| r.p99),
                seconds(|r| r.max),
                Cell(rtt.map(|r| r.samples)),
                wire.retransmission,
                wire.out_of_order,
                wire.lost_segment,
                wire.duplicate_ack,
                line.zero_window_stalls,
                line.close,
                Cell(line.trace_id.as_deref()),
            ));
        }
        Format::Text => {
            let arrow = if line.role == Role::Client { "->" } else { "<-" };
            print.line(format_args!(
                "{:>6} {} {arrow} {}  {} out, {} in, {}, {}",
                line.stream,
                line.local,
                line.remote,
                line.packets_sent,
                line.packets_received,
                Time(DurationNs(line.end_ns - line.start_ns)),
                line.close,
            ));
            if let Some(r) = rtt {
                print.line(format_args!(
                    "       rtt min {} p50 {} p99 {} max {} ({} samples)",
                    Time(r.min),
                    Time(r.p50),
                    Time(r.p99),
                    Time(r.max),
                    r.samples
                ));
            }
            let trouble = [
                (wire.retransmission, "retransmission"),
                (wire.out_of_order, "late segment"),
                (wire.lost_segment, "gap"),
                (line.zero_window_stalls, "zero window stall"),
            ];
            let mut text = String::new();
            for (n, what) in trouble.into_iter().filter(|(n, _)| *n > 0) {
                text.push_str(if text.is_empty() { "! " } else { ", " });
                text.push_str(&Count(n, what).to_string());
            }
            if !text.is_empty() {
                let ink = if wire.lost_segment > 0 { Ink::Bad } else { Ink::Warn };
                let text = print.paint.show(ink, text);
                print.line(format_args!("       {text}"));
            }
        }
    }
}
