//! `--expert`: what stands out, grouped by how bad it is.

use std::borrow::Cow;

use serde::Serialize;
use tracenet_core::event::tcp_flags;
use tracenet_core::tcp::Verdicts;

use super::tally::Tally;
use super::{Closing, Print, Seen, View, Word};
use crate::args::Format;
use crate::paint::Ink;

const COLUMNS: &str = "severity\tcount\tname\twhat";

#[derive(Serialize)]
struct Line {
    severity: &'static str,
    count: u64,
    name: &'static str,
    what: &'static str,
}

/// Wireshark's severities, the worst first.
const SEVERITIES: [&str; 4] = ["error", "warning", "note", "chat"];

fn ink(severity: &str) -> Ink {
    match severity {
        "error" => Ink::Bad,
        "warning" => Ink::Warn,
        "note" => Ink::Note,
        _ => Ink::Faint,
    }
}

/// Streams whose closing is followed.
const MAX_STREAMS: usize = 1 << 20;

#[derive(Default)]
pub struct Expert {
    tally: Tally,
    closings: Closings,
}

/// Who closed first.
#[derive(Default)]
struct Closings {
    /// By the number of the stream: whether the lower and the higher of its ends sent a FIN before the other did.
    first: Vec<[bool; 2]>,
    opened: u64,
    answered: u64,
}

impl Closings {
    /// Takes a FIN.
    fn fin(&mut self, stream: u32, from_lower: bool) {
        let at = stream as usize;
        if at >= self.first.len() && at < MAX_STREAMS {
            self.first.resize(at + 1, [false; 2]);
        }
        let Some(first) = self.first.get_mut(at) else { return };
        let own = usize::from(!from_lower);
        if first[1 - own] {
            self.answered += 1;
        } else {
            first[own] = true;
            self.opened += 1;
        }
    }
}

impl View for Expert {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn packet(&mut self, seen: &Seen<'_>, _: &mut Print) {
        self.tally.packet(seen);
        for (layer, word) in seen.layers() {
            if let (Some(segment), Word::Segment(said)) = (&layer.tcp, word)
                && segment.flags & tcp_flags::FIN != 0
            {
                self.closings.fin(said.stream, layer.source <= layer.destination);
            }
        }
    }

    fn end(&mut self, _: &Closing<'_>, print: &mut Print) {
        show(&self.tally, &self.closings, print);
    }
}

fn show(tally: &Tally, closings: &Closings, print: &mut Print) {
    let mut lines = lines(tally, closings);
    lines.retain(|l| l.count > 0);
    lines.sort_by_key(|l| (SEVERITIES.iter().position(|s| *s == l.severity), std::cmp::Reverse(l.count)));
    let mut before = "";
    for l in &lines {
        match print.format {
            Format::Text => {
                if l.severity != before {
                    let total: u64 = lines.iter().filter(|o| o.severity == l.severity).map(|o| o.count).sum();
                    let title = print.paint.show(ink(l.severity), l.severity);
                    print.line(format_args!("{title} ({total})"));
                    before = l.severity;
                }
                let name = print.paint.show(ink(l.severity), l.name);
                print.line(format_args!("{:>10}  {name:<24} {}", l.count, l.what));
            }
            Format::Tsv | Format::Csv => {
                print.row(format_args!("{}\t{}\t{}\t{}", l.severity, l.count, l.name, l.what));
            }
            Format::Json => print.json("tracenet.expert/1", l),
        }
    }
    if lines.is_empty() && print.format == Format::Text {
        print.line(format_args!("nothing stands out in {}", crate::units::Count(tally.frames, "packet")));
    }
}

fn lines(t: &Tally, closings: &Closings) -> Vec<Line> {
    let line = |severity, count, name, what| Line { severity, count, name, what };
    let mut lines = vec![
        line("error", t.checksums.bad, "tcp_checksum_bad", "TCP checksum is wrong"),
        line("error", t.ip_checksums.bad, "ip_checksum_bad", "IPv4 header checksum is wrong"),
        line("error", t.damaged, "damaged_header", "headers that contradict themselves, or were cut off"),
        line("warning", t.rst, "reset", "connection reset (RST)"),
        line("chat", t.syn, "syn", "connection asked for (SYN)"),
        line("chat", t.syn_ack, "syn_ack", "connection accepted (SYN/ACK)"),
        line("chat", t.fin, "fin", "one end has nothing more to send (FIN)"),
        line("note", closings.opened, "closing", "this end closes first (FIN)"),
        line("note", closings.answered, "closed", "this end closes after the other (FIN)"),
        line(
            "note",
            t.checksums.offloaded,
            "tcp_checksum_offloaded",
            "checksum left to the network card of the capturing host",
        ),
        line(
            "note",
            t.ip_checksums.offloaded,
            "ip_checksum_offloaded",
            "checksum left to the network card of the capturing host",
        ),
    ];
    lines.extend(t.verdicts().map(|(verdict, name, count)| {
        let (severity, what) = meaning(verdict);
        line(severity, count, name, what)
    }));
    lines
}

fn meaning(v: Verdicts) -> (&'static str, &'static str) {
    match v {
        Verdicts::RETRANSMISSION => ("note", "sent again"),
        Verdicts::FAST_RETRANSMISSION => ("note", "sent again right after duplicate ACKs"),
        Verdicts::SPURIOUS_RETRANSMISSION => ("note", "sent again although it had been acknowledged"),
        Verdicts::LOST_SEGMENT => ("warning", "what comes before was not captured"),
        Verdicts::ACK_LOST_SEGMENT => ("warning", "acknowledges what was not captured"),
        Verdicts::OUT_OF_ORDER => ("warning", "came later than what follows it"),
        Verdicts::DUPLICATE_ACK => ("note", "duplicate ACK"),
        Verdicts::ZERO_WINDOW => ("warning", "receive window is shut"),
        Verdicts::ZERO_WINDOW_PROBE => ("note", "one byte sent into a shut window"),
        Verdicts::ZERO_WINDOW_PROBE_ACK => ("note", "the window is still shut"),
        Verdicts::WINDOW_FULL => ("warning", "fills the peer's receive window"),
        Verdicts::WINDOW_UPDATE => ("chat", "nothing new but the window"),
        Verdicts::KEEP_ALIVE => ("note", "keep-alive probe"),
        Verdicts::KEEP_ALIVE_ACK => ("note", "answer to a keep-alive probe"),
        Verdicts::REUSED_PORTS => ("note", "a new connection on the ports of an earlier one"),
        _ => ("note", ""),
    }
}
