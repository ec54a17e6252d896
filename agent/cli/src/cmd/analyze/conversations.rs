//! `--conversations`: TCP and UDP, the busiest first.

use std::borrow::Cow;

use serde::Serialize;

use super::flows::{Flow, Flows};
use super::{Cell, Closing, Print, Seconds, Seen, View};
use crate::args::Format;

const COLUMNS: &str = "transport\tstream\ta\tb\tframes_a_to_b\tbytes_a_to_b\tframes_b_to_a\tbytes_b_to_a\t\
                          frames\tbytes\tstart\tduration";

#[derive(Serialize)]
struct Line {
    transport: &'static str,
    stream: usize,
    a: String,
    b: String,
    frames_a_to_b: u64,
    bytes_a_to_b: u64,
    frames_b_to_a: u64,
    bytes_b_to_a: u64,
    start_ns: u64,
    duration_ns: u64,
    initial_rtt_ns: Option<u64>,
}

#[derive(Default)]
pub struct Conversations {
    flows: Flows,
}

impl View for Conversations {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn packet(&mut self, seen: &Seen<'_>, _: &mut Print) {
        self.flows.packet(seen);
    }

    fn end(&mut self, closing: &Closing<'_>, print: &mut Print) {
        show(&self.flows, closing, print);
    }
}

fn show(all: &Flows, closing: &Closing<'_>, print: &mut Print) {
    let first = closing.first;
    let since = |t: tracenet_core::time::WallNs| t.0.saturating_sub(first.0);
    for (transport, title, flows) in
        [("tcp", "TCP conversation", &all.tcp), ("udp", "UDP conversation", &all.udp)]
    {
        let mut order: Vec<(usize, &Flow)> =
            flows.iter().enumerate().filter(|(_, f)| f.frames() > 0).collect();
        order.sort_by_key(|(_, f)| std::cmp::Reverse(f.frames()));
        if print.format == Format::Text {
            text(title, &order, &since, print);
            continue;
        }
        for (stream, f) in order {
            let (start, duration) = (since(f.first), f.last.0 - f.first.0);
            if print.format != Format::Json {
                print.row(format_args!(
                    "{transport}\t{stream}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                    f.a,
                    f.b,
                    f.from_a.frames,
                    f.from_a.bytes,
                    f.from_b.frames,
                    f.from_b.bytes,
                    f.frames(),
                    f.bytes(),
                    Seconds(start),
                    Seconds(duration)
                ));
            } else {
                let line = Line {
                    transport,
                    stream,
                    a: f.a.to_string(),
                    b: f.b.to_string(),
                    frames_a_to_b: f.from_a.frames,
                    bytes_a_to_b: f.from_a.bytes,
                    frames_b_to_a: f.from_b.frames,
                    bytes_b_to_a: f.from_b.bytes,
                    start_ns: start,
                    duration_ns: duration,
                    initial_rtt_ns: f.initial_rtt.map(|d| d.0),
                };
                print.json("tracenet.conversation/1", &line);
            }
        }
    }
    let omitted = all.omitted_packets + closing.datagrams.omitted;
    if omitted > 0 && print.format == Format::Text {
        print.line(format_args!("{omitted} packets of further conversations"));
    }
}

fn text(
    title: &'static str,
    order: &[(usize, &Flow)],
    since: &dyn Fn(tracenet_core::time::WallNs) -> u64,
    print: &mut Print,
) {
    print.line(format_args!("{}", crate::units::Count(order.len() as u64, title)));
    if order.is_empty() {
        return;
    }
    let width =
        order.iter().map(|(_, f)| f.a.to_string().len() + f.b.to_string().len() + 5).max().unwrap_or(0);
    print.line(format_args!(
        "{:>7} {:<width$} {:>19} {:>19} {:>19} {:>16} {:>14}",
        "stream", "", "-> packets bytes", "<- packets bytes", "packets bytes", "start", "duration"
    ));
    for (stream, f) in order {
        let pair = format!("{} <-> {}", f.a, f.b);
        print.line(format_args!(
            "{stream:>7} {pair:<width$} {:>8} {:>10} {:>8} {:>10} {:>8} {:>10} {:>16} {:>14}{}",
            f.from_a.frames,
            f.from_a.bytes,
            f.from_b.frames,
            f.from_b.bytes,
            f.frames(),
            f.bytes(),
            Seconds(since(f.first)).to_string(),
            Seconds(f.last.0 - f.first.0).to_string(),
            Cell(f.initial_rtt.map(|d| format!("  handshake {}", crate::units::Time(d)))),
        ));
    }
}
