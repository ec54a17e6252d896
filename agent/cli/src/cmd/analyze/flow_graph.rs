//! `--flow-graph`: a stream as a ladder between its two ends.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::Serialize;
use tracenet_collectors::decode::Layer;
use tracenet_core::event::tcp_flags;
use tracenet_core::tcp::{Side, Verdicts};

use super::print::{Titled, flags_ink, verdict_ink};
use super::{Cell, Closing, Ends, Print, Seconds, Seen, View, Word};
use crate::args::{Format, StreamId};
use crate::paint::Ink;

const COLUMNS: &str = "frame\ttime\tfrom\tflags\tseq\tack\twindow\tlen\tverdicts";

/// Characters between the two ends.
const WIDTH: usize = 34;

#[derive(Serialize)]
struct Line<'a> {
    transport: &'static str,
    stream: u32,
    frame: u64,
    t_ns: u64,
    from: &'static str,
    source: String,
    flags: &'a str,
    seq: Option<u32>,
    ack: Option<u32>,
    window: Option<u16>,
    len: u32,
    verdicts: Verdicts,
}

/// Both ends, and where their sequence numbers begin.
struct Sides {
    client: SocketAddr,
    base: [Option<u32>; 2],
}

/// One stream's ladder. Sequence numbers are relative to the first seen, as in Wireshark.
pub struct FlowGraph {
    id: StreamId,
    ends: Option<Sides>,
    flags: String,
    failure: Option<String>,
}

impl FlowGraph {
    /// Of that stream.
    pub fn new(id: StreamId) -> Self {
        Self { id, ends: None, flags: String::new(), failure: None }
    }
}

impl View for FlowGraph {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn packet(&mut self, seen: &Seen<'_>, print: &mut Print) {
        for (layer, word) in seen.layers() {
            match (self.id, word) {
                (StreamId::Tcp(id), Word::Segment(said)) if said.stream == id => {
                    self.arrow(seen, layer, said.from, said.analysis.verdicts, print);
                }
                (StreamId::Udp(id), Word::Datagram(number)) if *number == Some(id) => {
                    self.arrow(seen, layer, Side::Orig, Verdicts::NONE, print);
                }
                _ => {}
            }
        }
    }

    fn end(&mut self, closing: &Closing<'_>, _: &mut Print) {
        if self.ends.is_none() {
            self.failure = Some(closing.no_such(self.id));
        }
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone()
    }
}

impl FlowGraph {
    fn arrow(&mut self, seen: &Seen<'_>, layer: &Layer, from: Side, verdicts: Verdicts, print: &mut Print) {
        let segment = layer.tcp.as_ref();
        let bits = segment.map_or(0, |s| s.flags);
        let ends = match &mut self.ends {
            Some(ends) => ends,
            place => {
                let Ends { client, server, .. } = Ends::of(layer, from);
                if print.format == Format::Text {
                    head(self.id, client, server, print);
                }
                place.insert(Sides { client, base: [None; 2] })
            }
        };
        let who = usize::from(layer.source != ends.client);
        let relative = segment.map(|s| {
            // A first segment that is no SYN follows an unseen one.
            let first = |n: u32| n.wrapping_sub(u32::from(bits & tcp_flags::SYN == 0));
            let seq = s.seq.wrapping_sub(*ends.base[who].get_or_insert(first(s.seq)));
            let ack = (bits & tcp_flags::ACK != 0)
                .then(|| s.ack.wrapping_sub(*ends.base[1 - who].get_or_insert(s.ack.wrapping_sub(1))));
            (seq, ack)
        });
        let (seq, ack) = (relative.map(|r| r.0), relative.and_then(|r| r.1));
        self.flags.clear();
        for (_, name) in FLAGS.iter().filter(|(bit, _)| bits & bit != 0) {
            self.flags.push_str(if self.flags.is_empty() { "" } else { " " });
            self.flags.push_str(name);
        }
        let (flags, len) = (self.flags.as_str(), layer.payload_len);
        let window = segment.map(|s| s.window);
        let from = ["client", "server"][who];
        match print.format {
            Format::Json => print.json(
                "tracenet.flow_graph/1",
                &Line {
                    transport: self.id.transport(),
                    stream: self.id.number(),
                    frame: seen.number,
                    t_ns: seen.dissected.packet.wall.0,
                    from,
                    source: layer.source.to_string(),
                    flags,
                    seq,
                    ack,
                    window,
                    len,
                    verdicts,
                },
            ),
            Format::Tsv | Format::Csv => print.row(format_args!(
                "{}\t{}\t{from}\t{flags}\t{}\t{}\t{}\t{len}\t{verdicts}",
                seen.number,
                Seconds(seen.since_first()),
                Cell(seq),
                Cell(ack),
                Cell(window),
            )),
            Format::Text => {
                let paint = print.paint;
                let mut label = flags.to_owned();
                if len > 0 || segment.is_none() {
                    let gap = if label.is_empty() { "" } else { ", " };
                    label.push_str(&format!("{gap}{len} B"));
                }
                // One for the head of the arrow, two for the spaces around the label.
                let dashes = WIDTH.saturating_sub(label.len() + 3);
                let (left, right) = (dashes / 2, dashes - dashes / 2);
                let (tail, tip) = if who == 0 { ("", ">") } else { ("<", "") };
                let verdict = (!verdicts.is_empty())
                    .then(|| paint.show(verdict_ink(verdicts), format_args!("! {verdicts}")).to_string());
                print.line(format_args!(
                    "{:>16} |{tail}{:-<left$} {} {:-<right$}{tip}|{}{}{}{}",
                    Seconds(seen.since_first()).to_string(),
                    "",
                    paint.show(flags_ink(bits), label),
                    "",
                    Titled(" seq ", seq),
                    Titled(" ack ", ack),
                    Titled(" win ", window),
                    Titled("  ", verdict),
                ));
            }
        }
    }
}

fn head(id: StreamId, client: SocketAddr, server: SocketAddr, print: &mut Print) {
    let title = print.paint.show(Ink::Strong, id);
    print.line(format_args!("{title}"));
    let (client, server) = (client.to_string(), server.to_string());
    let gap = (WIDTH + 2).saturating_sub(client.len() + server.len()).max(2);
    print.line(format_args!("{:>16} {client}{:gap$}{server}", "", ""));
}

const FLAGS: [(u8, &str); 8] = [
    (tcp_flags::SYN, "SYN"),
    (tcp_flags::FIN, "FIN"),
    (tcp_flags::RST, "RST"),
    (tcp_flags::PSH, "PSH"),
    (tcp_flags::URG, "URG"),
    (tcp_flags::ECE, "ECE"),
    (tcp_flags::CWR, "CWR"),
    (tcp_flags::ACK, "ACK"),
];
