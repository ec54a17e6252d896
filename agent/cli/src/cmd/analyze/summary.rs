//! `--summary`: the capture on one screen.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::print::verdict_ink;
use super::tally::{Checks, Tally};
use super::worst::{self, Worst};
use super::{Closing, Print, Seen, View, Word};
use crate::args::Format;
use crate::paint::Ink;
use crate::units::{Bytes, Count, Time};
use tracenet_core::time::DurationNs;

/// A table of names and numbers: the tree of the JSON form, flat.
const COLUMNS: &str = "name\tvalue";

#[derive(Serialize)]
struct Line {
    packets: u64,
    bytes: u64,
    captured_bytes: u64,
    cut_packets: u64,
    start_ns: u64,
    duration_ns: u64,
    packets_per_second: Option<f64>,
    bits_per_second: Option<f64>,
    kinds: BTreeMap<&'static str, u64>,
    tcp_streams: u32,
    udp_conversations: usize,
    tcp_segments: u64,
    tcp_payload_bytes: u64,
    verdicts: BTreeMap<&'static str, u64>,
    tcp_checksums: Checks,
    ip_checksums: Checks,
    worst: Vec<Named>,
    streams_evicted: u64,
    fragments_given_up: u64,
    packets_of_omitted_conversations: u64,
}

#[derive(Serialize)]
struct Named {
    stream: usize,
    a: String,
    b: String,
    packets: u64,
    bytes: u64,
    duration_ns: u64,
    retransmissions: u32,
    out_of_order: u32,
    lost_segments: u32,
    duplicate_acks: u32,
    zero_windows: u32,
    initial_rtt_ns: Option<u64>,
}

/// What is counted over the whole capture.
#[derive(Default)]
pub struct Summary {
    worst: Worst,
    tally: Tally,
    /// UDP conversations by their number: whether a packet was seen.
    udp: Vec<bool>,
}

impl Summary {
    fn udp_conversations(&self) -> usize {
        self.udp.iter().filter(|seen| **seen).count()
    }
}

impl View for Summary {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn expect(&self, words: &[Word]) {
        self.worst.fetch(words);
    }

    #[inline]
    fn packet(&mut self, seen: &Seen<'_>, _: &mut Print) {
        self.tally.packet(seen);
        self.worst.packet(seen);
        for word in seen.dissected.words {
            if let Word::Datagram(Some(number)) = word {
                let at = *number as usize;
                if at >= self.udp.len() {
                    self.udp.resize(at + 1, false);
                }
                self.udp[at] = true;
            }
        }
    }

    fn ended(&mut self, stream: u32, _: &mut Print) {
        self.worst.ended(stream);
    }

    fn end(&mut self, closing: &Closing<'_>, print: &mut Print) {
        match print.format {
            Format::Text => text(self, closing, print),
            Format::Json => print.json("tracenet.capture/1", &Line::of(self, closing)),
            Format::Tsv | Format::Csv => table(&Line::of(self, closing), print),
        }
    }
}

fn kinds(t: &Tally) -> [(&'static str, u64); 8] {
    [
        ("tcp", t.tcp),
        ("udp", t.udp),
        ("icmp", t.icmp),
        ("other_ip", t.other_ip),
        ("not_ip", t.not_ip),
        ("fragments", t.fragments),
        ("damaged_headers", t.damaged),
        ("unknown_link_type", t.unknown_link),
    ]
}

/// Of something a second; nothing where no time passed.
fn rate(n: u64, duration_ns: u64) -> Option<f64> {
    (duration_ns > 0).then(|| n as f64 * 1e9 / duration_ns as f64)
}

impl Line {
    fn of(summary: &Summary, closing: &Closing<'_>) -> Self {
        let t = &summary.tally;
        let duration_ns = t.duration_ns();
        Self {
            packets: t.frames,
            bytes: t.bytes,
            captured_bytes: t.captured_bytes,
            cut_packets: t.cut,
            start_ns: t.earliest.0,
            duration_ns,
            packets_per_second: rate(t.frames, duration_ns),
            bits_per_second: rate(t.bytes, duration_ns).map(|n| n * 8.0),
            kinds: BTreeMap::from(kinds(t)),
            tcp_streams: closing.streams.count(),
            udp_conversations: summary.udp_conversations(),
            tcp_segments: t.segments,
            tcp_payload_bytes: t.payload_bytes,
            verdicts: t.verdicts().map(|(_, name, n)| (name, n)).collect(),
            tcp_checksums: t.checksums,
            ip_checksums: t.ip_checksums,
            worst: summary.worst.named().into_iter().map(Named::of).collect(),
            streams_evicted: closing.streams.evicted(),
            fragments_given_up: closing.fragments_given_up,
            packets_of_omitted_conversations: (summary.worst.omitted_packets + closing.datagrams.omitted),
        }
    }
}

impl Named {
    fn of(n: worst::Named) -> Self {
        Self {
            stream: n.stream,
            a: n.a.to_string(),
            b: n.b.to_string(),
            packets: n.packets.into(),
            bytes: n.bytes,
            duration_ns: n.duration.0,
            retransmissions: n.faults.retransmissions,
            out_of_order: n.faults.out_of_order,
            lost_segments: n.faults.lost_segments,
            duplicate_acks: n.faults.duplicate_acks,
            zero_windows: n.faults.zero_windows,
            initial_rtt_ns: n.initial_rtt.map(|d| d.0),
        }
    }
}

fn table(line: &Line, print: &mut Print) {
    let Ok(tree) = serde_json::to_value(line) else { return };
    flat(String::new(), &tree, print);
}

fn flat(name: String, value: &serde_json::Value, print: &mut Print) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        serde_json::Value::Object(members) => members.iter().for_each(|(k, v)| flat(below(k), v, print)),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, v)| flat(below(&n.to_string()), v, print));
        }
        serde_json::Value::Null => {}
        serde_json::Value::String(text) => print.row(format_args!("{name}\t{text}")),
        other => print.row(format_args!("{name}\t{other}")),
    }
}

fn text(summary: &Summary, closing: &Closing<'_>, print: &mut Print) {
    let t = &summary.tally;
    let duration = t.duration_ns();
    let rates = match (rate(t.frames, duration), rate(t.bytes, duration)) {
        (Some(packets), Some(bytes)) => format!(" ({packets:.1} packets/s, {:.3} Mbit/s)", bytes * 8.0 / 1e6),
        _ => String::new(),
    };
    print.line(format_args!(
        "{}, {}, {}{rates}",
        Count(t.frames, "packet"),
        Bytes(t.bytes),
        Time(DurationNs(duration))
    ));
    if t.frames == 0 {
        return;
    }
    if let Ok(start) = Timestamp::from_nanosecond(i128::from(t.earliest.0)) {
        print.line(format_args!("from {start:.6}"));
    }
    let kinds: Vec<String> = kinds(t)
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{} {n}", name.replace('_', " ")))
        .collect();
    print.line(format_args!("packets by kind: {}", kinds.join(", ")));
    if t.cut > 0 {
        print.line(format_args!("{} cut by the snapshot length", Count(t.cut, "packet")));
    }
    print.line(format_args!(
        "TCP: {}, {}, {} of payload; UDP: {}",
        Count(u64::from(closing.streams.count()), "stream"),
        Count(t.segments, "segment"),
        Bytes(t.payload_bytes),
        Count(summary.udp_conversations() as u64, "conversation")
    ));
    checks("TCP checksums", &t.checksums, print);
    checks("IP checksums", &t.ip_checksums, print);
    let mut heading = Some("verdicts");
    for (verdict, name, n) in t.verdicts().filter(|(.., n)| *n > 0) {
        if let Some(title) = heading.take() {
            let title = print.paint.show(Ink::Strong, title);
            print.line(format_args!("{title}"));
        }
        let name = print.paint.show(verdict_ink(verdict), name);
        print.line(format_args!(
            "{n:>10}  {:<24} {:>6.2} % of the segments",
            name,
            n as f64 * 100.0 / t.segments as f64
        ));
    }
    let mut heading = Some("streams with the most trouble");
    for named in summary.worst.named() {
        if let Some(title) = heading.take() {
            let title = print.paint.show(Ink::Strong, title);
            print.line(format_args!("{title}"));
        }
        trouble(&named, print);
    }
    for (n, what) in [
        (closing.streams.evicted(), "streams gave way to others before they ended"),
        (closing.fragments_given_up, "fragmented datagrams never became whole"),
        (
            (summary.worst.omitted_packets + closing.datagrams.omitted),
            "packets of conversations too many to keep",
        ),
    ] {
        if n > 0 {
            print.line(format_args!("{n} {what}"));
        }
    }
}

fn checks(title: &str, c: &Checks, print: &mut Print) {
    let parts: Vec<String> = [
        ("good", c.good, None),
        ("bad", c.bad, Some(Ink::Bad)),
        ("offloaded", c.offloaded, None),
        ("unverified", c.unverified, None),
    ]
    .into_iter()
    .filter(|(_, n, _)| *n > 0)
    .map(|(name, n, ink)| print.paint.show(ink, format_args!("{name} {n}")).to_string())
    .collect();
    if !parts.is_empty() {
        print.line(format_args!("{title}: {}", parts.join(", ")));
    }
}

fn trouble(n: &worst::Named, print: &mut Print) {
    let parts: Vec<String> = [
        (n.faults.retransmissions, "retransmitted"),
        (n.faults.out_of_order, "out of order"),
        (n.faults.lost_segments, "gaps"),
        (n.faults.zero_windows, "zero windows"),
        (n.faults.duplicate_acks, "duplicate ACKs"),
    ]
    .iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{what} {n}"))
    .collect();
    let rtt = n.initial_rtt.map(|d| format!(", handshake {}", Time(d))).unwrap_or_default();
    print.line(format_args!(
        "  stream {} {} <-> {}: {} of {}, {} in {}{rtt}",
        n.stream,
        n.a,
        n.b,
        print.paint.show(Ink::Warn, parts.join(", ")),
        Count(n.packets.into(), "packet"),
        Bytes(n.bytes),
        Time(n.duration),
    ));
}
