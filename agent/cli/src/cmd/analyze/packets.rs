//! `--packets`: one line for each TCP header, the columns named as tshark's fields are.

use std::borrow::Cow;

use serde::Serialize;
use tracenet_collectors::decode::{Checksum, Layer};
use tracenet_core::event::tcp_flags;
use tracenet_core::tcp::{Analysis, Cause, Verdicts};

use super::print::{Titled, flags_ink, verdict_ink};
use super::{Cell, Print, Seconds, Seen, View, Word, ip_checksums};
use crate::args::Format;
use crate::paint::{Ink, Paint};

const COLUMNS: &str =
    "frame\tstream\tverdicts\tbytes_in_flight\tack_rtt\trto\tdup_ack_num\ttcp_checksum\tip_checksum\tcause";

#[derive(Serialize)]
struct Line<'a> {
    frame: u64,
    t_ns: u64,
    stream: u32,
    source: String,
    destination: String,
    flags: &'a str,
    seq: u32,
    ack: u32,
    window: u16,
    payload_len: u32,
    wire_len: u32,
    quoted: bool,
    verdicts: Verdicts,
    bytes_in_flight: Option<u32>,
    ack_rtt_ns: Option<u64>,
    initial_rtt_ns: Option<u64>,
    rto_ns: Option<u64>,
    dup_ack_num: Option<u32>,
    tcp_checksum: &'static str,
    ip_checksum: Vec<&'static str>,
    cause: Option<&'static str>,
}

pub struct Packets;

impl View for Packets {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn packet(&mut self, seen: &Seen<'_>, print: &mut Print) {
        for (layer, word) in seen.layers() {
            match word {
                Word::Quoted(stream) => line(seen, layer, *stream, &Analysis::default(), print),
                Word::Segment(said) => line(seen, layer, said.stream, &said.analysis, print),
                Word::Datagram(_) | Word::QuotedDatagram => {}
            }
        }
    }
}

fn line(seen: &Seen<'_>, layer: &Layer, stream: u32, a: &Analysis, print: &mut Print) {
    let packet = seen.dissected.packet;
    let segment = layer.tcp.unwrap_or_default();
    match print.format {
        Format::Tsv | Format::Csv => {
            print.row(format_args!(
                "{}\t{stream}\t{}{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                seen.number,
                a.verdicts,
                // tshark counts the time as a verdict of its own.
                if a.rto.is_some() { ",rto" } else { "" },
                Cell(a.bytes_in_flight),
                Cell(a.ack_rtt.map(|d| Seconds(d.0))),
                Cell(a.rto.map(|d| Seconds(d.0))),
                Cell(a.dup_ack_num),
                layer.checksum.as_str(),
                ip_checksums(layer),
                Cell(a.cause.map(Cause::as_str)),
            ));
        }
        Format::Json => {
            let mut room = [0; 8];
            let line = Line {
                frame: seen.number,
                t_ns: packet.wall.0,
                stream,
                source: layer.source.to_string(),
                destination: layer.destination.to_string(),
                flags: flags(segment.flags, &mut room),
                seq: segment.seq,
                ack: segment.ack,
                window: segment.window,
                payload_len: layer.payload_len,
                wire_len: packet.wire_len,
                quoted: layer.quoted,
                verdicts: a.verdicts,
                bytes_in_flight: a.bytes_in_flight,
                ack_rtt_ns: a.ack_rtt.map(|d| d.0),
                initial_rtt_ns: a.initial_rtt.map(|d| d.0),
                rto_ns: a.rto.map(|d| d.0),
                dup_ack_num: a.dup_ack_num,
                tcp_checksum: layer.checksum.as_str(),
                ip_checksum: layer.ip_checksums.iter().map(Checksum::as_str).collect(),
                cause: a.cause.map(Cause::as_str),
            };
            print.json("tracenet.analyzed_packet/1", &line);
        }
        Format::Text => {
            let mut room = [0; 8];
            let paint = print.paint;
            print.line(format_args!(
                "{:>6} {:>16} {stream:>4}  {} > {} [{}] seq {} ack {} win {} len {}{}{}{}{}{}",
                seen.number,
                Seconds(seen.since_first()),
                layer.source,
                layer.destination,
                paint.show(flags_ink(segment.flags), flags(segment.flags, &mut room)),
                segment.seq,
                segment.ack,
                segment.window,
                layer.payload_len,
                if layer.quoted { "  quoted by ICMP" } else { "" },
                Titled("  in flight ", a.bytes_in_flight),
                Titled("  rtt ", a.ack_rtt.map(crate::units::Time)),
                Verdict(a, paint),
                Cell(match layer.checksum {
                    Checksum::Bad => Some(paint.show(Ink::Bad, "  bad TCP checksum")),
                    Checksum::Offloaded => Some(paint.show(Ink::Faint, "  TCP checksum offloaded")),
                    Checksum::Good | Checksum::Unverified => None,
                }),
            ));
        }
    }
}

struct Verdict<'a>(&'a Analysis, Paint);

impl std::fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let a = self.0;
        if !a.verdicts.is_empty() {
            let told = std::fmt::from_fn(|f| {
                write!(f, "! {}", a.verdicts)?;
                Titled(" #", a.dup_ack_num).fmt(f)?;
                Titled(" after ", a.rto.map(crate::units::Time)).fmt(f)
            });
            write!(f, "  {}", self.1.show(verdict_ink(a.verdicts), told))?;
        }
        Titled("  cause ", a.cause.filter(|cause| !is_told(a.verdicts, *cause)).map(Cause::as_str)).fmt(f)
    }
}

/// The verdicts say as much already.
fn is_told(verdicts: Verdicts, cause: Cause) -> bool {
    verdicts.intersects(match cause {
        Cause::Retransmission => Verdicts::RETRANSMISSION,
        Cause::Reordered => Verdicts::OUT_OF_ORDER,
        Cause::DuplicatedByNetwork => Verdicts::NONE,
        Cause::Probe => Verdicts::KEEP_ALIVE | Verdicts::ZERO_WINDOW_PROBE,
    })
}

/// As tcpdump writes them: `S.` for SYN and ACK.
fn flags(bits: u8, room: &mut [u8; 8]) -> &str {
    let names = [
        (tcp_flags::SYN, b'S'),
        (tcp_flags::FIN, b'F'),
        (tcp_flags::RST, b'R'),
        (tcp_flags::PSH, b'P'),
        (tcp_flags::URG, b'U'),
        (tcp_flags::ECE, b'E'),
        (tcp_flags::CWR, b'W'),
        (tcp_flags::ACK, b'.'),
    ];
    let mut len = 0;
    for (_, name) in names.into_iter().filter(|(bit, _)| bits & bit != 0) {
        room[len] = name;
        len += 1;
    }
    std::str::from_utf8(&room[..len]).unwrap_or_default()
}
