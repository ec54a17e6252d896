//! `--conversations`: who with whom, the busiest first.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use tracenet_collectors::decode::{Protocol, Undecoded};
use tracenet_core::time::WallNs;

use super::flows::{Flows, Way};
use super::pairs::{Mac, Pair, Pairs};
use super::reading::Keep;
use super::{Cell, Closing, Print, Seconds, Seen, View};
use crate::args::{ConversationKind, Format};

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
    start_ns: i64,
    duration_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_rtt_ns: Option<u64>,
}

impl Line {
    fn frames(&self) -> u64 {
        self.frames_a_to_b + self.frames_b_to_a
    }

    fn bytes(&self) -> u64 {
        self.bytes_a_to_b + self.bytes_b_to_a
    }
}

/// What two ends sent each other, and when.
struct Between {
    ends: (String, String),
    ways: (Way, Way),
    times: (WallNs, WallNs),
    initial_rtt_ns: Option<u64>,
}

impl<A: std::fmt::Display> From<&Pair<A>> for Between {
    fn from(p: &Pair<A>) -> Self {
        Self {
            ends: (p.a.to_string(), p.b.to_string()),
            ways: (p.from_a, p.from_b),
            times: (p.first, p.last),
            initial_rtt_ns: None,
        }
    }
}

pub struct Conversations {
    kinds: Vec<ConversationKind>,
    flows: Flows,
    eth: Pairs<Mac>,
    ipv4: Pairs<Ipv4Addr>,
    ipv6: Pairs<Ipv6Addr>,
}

impl Conversations {
    pub fn new(kinds: &[ConversationKind]) -> Self {
        Self {
            kinds: kinds.to_vec(),
            flows: Flows::default(),
            eth: Pairs::default(),
            ipv4: Pairs::default(),
            ipv6: Pairs::default(),
        }
    }

    fn wants(&self, kind: ConversationKind) -> bool {
        self.kinds.contains(&kind)
    }
}

impl View for Conversations {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn keep(&self) -> Keep {
        let eth = self.wants(ConversationKind::Eth);
        let ips = self.wants(ConversationKind::Ip) || self.wants(ConversationKind::Ipv6);
        Keep { ips, headers: eth, bytes: eth, ..Keep::default() }
    }

    fn packet(&mut self, seen: &Seen<'_>, _: &mut Print) {
        let packet = seen.dissected.packet;
        self.flows.packet(seen);
        for ip in seen.dissected.ips.iter().filter(|ip| !ip.quoted) {
            match (ip.source, ip.destination) {
                (IpAddr::V4(from), IpAddr::V4(to)) => self.ipv4.add(packet, from, to),
                // As tshark has it: of a datagram in fragments the one that completes it.
                (IpAddr::V6(_), _)
                    if ip.facts.is_fragment() && packet.outcome == Err(Undecoded::Fragment) => {}
                (IpAddr::V6(from), IpAddr::V6(to)) => self.ipv6.add(packet, from, to),
                _ => {}
            }
        }
        for (protocol, bytes) in seen.dissected.headers() {
            match protocol {
                Protocol::Ethernet => {
                    if let Some(&[t0, t1, t2, t3, t4, t5, f0, f1, f2, f3, f4, f5]) = bytes.first_chunk() {
                        let (to, from) = ([t0, t1, t2, t3, t4, t5], [f0, f1, f2, f3, f4, f5]);
                        self.eth.add(packet, Mac(from), Mac(to));
                    }
                }
                // What follows is quoted.
                Protocol::Icmp | Protocol::Icmpv6 => break,
                _ => {}
            }
        }
    }

    fn end(&mut self, closing: &Closing<'_>, print: &mut Print) {
        for (kind, name, title) in KINDS {
            if self.wants(kind) {
                self.show(kind, (name, title), closing, print);
            }
        }
        let mut omitted = self.eth.omitted + self.ipv4.omitted + self.ipv6.omitted;
        if self.wants(ConversationKind::Tcp) {
            omitted += self.flows.omitted_packets;
        }
        if self.wants(ConversationKind::Udp) {
            omitted += closing.datagrams.omitted;
        }
        if omitted > 0 && print.format == Format::Text {
            print.line(format_args!("{omitted} packets of further conversations"));
        }
    }
}

const KINDS: [(ConversationKind, &str, &str); 5] = [
    (ConversationKind::Eth, "eth", "Ethernet conversation"),
    (ConversationKind::Ip, "ip", "IPv4 conversation"),
    (ConversationKind::Ipv6, "ipv6", "IPv6 conversation"),
    (ConversationKind::Tcp, "tcp", "TCP conversation"),
    (ConversationKind::Udp, "udp", "UDP conversation"),
];

impl Conversations {
    fn show(
        &self,
        kind: ConversationKind,
        (transport, title): (&'static str, &'static str),
        closing: &Closing<'_>,
        print: &mut Print,
    ) {
        let of_flows = |flows: &[super::flows::Flow]| -> Vec<Between> {
            flows
                .iter()
                .map(|f| Between {
                    ends: (f.a.to_string(), f.b.to_string()),
                    ways: (f.from_a, f.from_b),
                    times: (f.first, f.last),
                    initial_rtt_ns: f.initial_rtt.map(|d| d.0),
                })
                .collect()
        };
        let all: Vec<Between> = match kind {
            ConversationKind::Eth => self.eth.all.iter().map(Between::from).collect(),
            ConversationKind::Ip => self.ipv4.all.iter().map(Between::from).collect(),
            ConversationKind::Ipv6 => self.ipv6.all.iter().map(Between::from).collect(),
            ConversationKind::Tcp => of_flows(&self.flows.tcp),
            ConversationKind::Udp => of_flows(&self.flows.udp),
        };
        let mut lines: Vec<Line> = all
            .into_iter()
            .enumerate()
            .map(|(stream, c)| Line {
                transport,
                stream,
                a: c.ends.0,
                b: c.ends.1,
                frames_a_to_b: c.ways.0.frames,
                bytes_a_to_b: c.ways.0.bytes,
                frames_b_to_a: c.ways.1.frames,
                bytes_b_to_a: c.ways.1.bytes,
                start_ns: c.times.0.0.cast_signed().saturating_sub(closing.first.0.cast_signed()),
                duration_ns: c.times.1.0.saturating_sub(c.times.0.0),
                initial_rtt_ns: c.initial_rtt_ns,
            })
            .filter(|line| line.frames() > 0)
            .collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.frames()));
        match print.format {
            Format::Text => text(title, &lines, print),
            Format::Json => lines.iter().for_each(|line| print.json("tracenet.conversation/1", line)),
            Format::Tsv | Format::Csv => {
                for line in &lines {
                    row(line, print);
                }
            }
        }
    }
}

/// Nanoseconds from the first frame, as seconds; frames may be stamped before it.
struct Since(i64);

impl std::fmt::Display for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.0 < 0 { "-" } else { "" }, Seconds(self.0.unsigned_abs()))
    }
}

fn row(line: &Line, print: &mut Print) {
    print.row(format_args!(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        line.transport,
        line.stream,
        line.a,
        line.b,
        line.frames_a_to_b,
        line.bytes_a_to_b,
        line.frames_b_to_a,
        line.bytes_b_to_a,
        line.frames(),
        line.bytes(),
        Since(line.start_ns),
        Seconds(line.duration_ns)
    ));
}

fn text(title: &'static str, lines: &[Line], print: &mut Print) {
    print.line(format_args!("{}", crate::units::Count(lines.len() as u64, title)));
    if lines.is_empty() {
        return;
    }
    let width = lines.iter().map(|l| l.a.len() + l.b.len() + 5).max().unwrap_or(0);
    print.line(format_args!(
        "{:>7} {:<width$} {:>19} {:>19} {:>19} {:>16} {:>14}",
        "stream", "", "-> packets bytes", "<- packets bytes", "packets bytes", "start", "duration"
    ));
    for l in lines {
        let pair = format!("{} <-> {}", l.a, l.b);
        let handshake = l.initial_rtt_ns.map(tracenet_core::time::DurationNs);
        print.line(format_args!(
            "{:>7} {pair:<width$} {:>8} {:>10} {:>8} {:>10} {:>8} {:>10} {:>16} {:>14}{}",
            l.stream,
            l.frames_a_to_b,
            l.bytes_a_to_b,
            l.frames_b_to_a,
            l.bytes_b_to_a,
            l.frames(),
            l.bytes(),
            Since(l.start_ns).to_string(),
            Seconds(l.duration_ns).to_string(),
            Cell(handshake.map(|d| format!("  handshake {}", crate::units::Time(d)))),
        ));
    }
}
