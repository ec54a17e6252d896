//! `tracenet analyze`: capture files through the analyser of the live product.

use std::io::{self, Write};
use std::path::Path;

use tracenet_collectors::decode::{Layer, Undecoded};
use tracenet_collectors::files::{Damage, Reader};
use tracenet_core::tcp::{StreamSegment, Streams};
use tracenet_core::time::WallNs;

use crate::args::{AnalyzeArgs, Format};
use crate::failure::Failure;
use crate::sinks::warn;

mod conversations;
mod expert;
mod flows;
mod packets;
mod reading;
mod summary;
mod tally;

use flows::Flows;
use reading::{Packet, Reading};
use tally::Tally;

/// What of a capture is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Summary,
    Packets,
    Conversations,
    Expert,
}

/// What is known of a capture.
#[derive(Debug, Default)]
struct Capture {
    fragments_given_up: u64,
    streams: Streams,
    flows: Flows,
    tally: Tally,
}

/// A TCP header with what the analyser says of it; only the number of its stream where an ICMP error quotes it.
enum Word {
    Quoted(u32),
    Analysed(StreamSegment),
}

/// Output is collected up to about this many bytes.
const BUFFER: usize = 64 << 10;

/// Analyses the files one after the other.
pub fn main(args: &AnalyzeArgs) -> Result<u8, Failure> {
    let view = match (args.packets, args.conversations, args.expert) {
        (true, ..) => View::Packets,
        (_, true, _) => View::Conversations,
        (.., true) => View::Expert,
        _ => View::Summary,
    };
    for file in args.files.iter().filter(|f| *f != Path::new("-")) {
        if let Err(e) = std::fs::metadata(file)
            && e.kind() == io::ErrorKind::NotFound
        {
            return Err(Failure::NotFound(format!("no such file: {}", file.display())));
        }
    }
    let mut print = Print { view, format: args.format, file: None, text: Vec::with_capacity(BUFFER + 4096) };
    let mut code = 0;
    for (n, file) in args.files.iter().enumerate() {
        let reader = match Reader::open(file) {
            Ok(reader) => reader,
            Err(e) => {
                warn(&e.to_string());
                code = 1;
                continue;
            }
        };
        let reading =
            Reading::start(reader).map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
        if args.files.len() > 1 {
            print.file = Some(file.display().to_string());
        }
        let done = print.head(n == 0).and_then(|()| capture(reading, n + 1 == args.files.len(), &mut print));
        let damage = match done {
            Ok(damage) => damage,
            // Whoever read has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            Err(e) => return Err(Failure::Runtime(e.to_string())),
        };
        if let Some(damage) = damage {
            warn(&format!("{}: {damage}", file.display()));
            code = 1;
        }
    }
    Ok(code)
}

/// Reads a capture to its end, or to its damage.
fn capture(reading: Reading, last: bool, print: &mut Print) -> io::Result<Option<Damage>> {
    let mut capture = Capture::default();
    while let Some(batch) = reading.next() {
        for (packet, layers) in batch.packets() {
            capture.take(packet, layers, print);
            if print.text.len() >= BUFFER {
                print.flush()?;
            }
        }
        if batch.is_last_for_now && !print.text.is_empty() {
            print.flush()?;
        }
        reading.done(batch);
    }
    let end = reading.end().ok_or_else(|| io::Error::other("the reading thread died"))?;
    capture.fragments_given_up = end.fragments_given_up;
    match print.view {
        View::Packets => {}
        View::Summary => summary::print(&capture, print),
        View::Conversations => conversations::print(&capture, print),
        View::Expert => expert::print(&capture, print),
    }
    print.flush()?;
    if last {
        // The process ends: giving back a million streams one by one would take a seventh of the whole time.
        std::mem::forget(capture);
    }
    Ok(end.damage)
}

impl Capture {
    fn take(&mut self, packet: &Packet, layers: &[Layer], print: &mut Print) {
        let Self { streams, flows, tally, .. } = self;
        tally.frame(packet);
        let packets = print.view == View::Packets;
        let mut is_tcp = false;
        for layer in layers {
            let Some(segment) = &layer.tcp else {
                flows.udp(packet, layer);
                continue;
            };
            is_tcp = true;
            let (source, destination) = (layer.source, layer.destination);
            let (stream, word) = if layer.quoted {
                let stream = streams.quoted(source, destination, segment);
                (stream, Word::Quoted(stream))
            } else {
                let said = streams.segment(packet.wall.0, source, destination, segment, layer.payload_len);
                tally.segment(segment, layer, &said.analysis);
                (said.stream, Word::Analysed(said))
            };
            flows.tcp(stream, packet, layer, &word);
            if packets {
                packets::print(tally, packet, layer, &word, print);
            }
        }
        *match packet.outcome {
            Ok(()) if is_tcp => &mut tally.tcp,
            Ok(()) => &mut tally.udp,
            Err(Undecoded::Protocol(1 | 58)) => &mut tally.icmp,
            Err(Undecoded::Protocol(_)) => &mut tally.other_ip,
            Err(Undecoded::NotIp(_)) => &mut tally.not_ip,
            Err(Undecoded::Fragment) => &mut tally.fragments,
            Err(Undecoded::Link) => &mut tally.unknown_link,
            Err(Undecoded::Cut | Undecoded::Damaged) => &mut tally.damaged,
        } += 1;
    }
}

/// Where the views write.
struct Print {
    view: View,
    format: Format,
    /// Name of the capture, where there are several.
    file: Option<String>,
    text: Vec<u8>,
}

impl Print {
    /// What comes before a capture.
    fn head(&mut self, first: bool) -> io::Result<()> {
        match (self.format, &self.file) {
            (Format::Text, Some(file)) => {
                let mut name = String::new();
                crate::paint::push_safe(&mut name, file);
                let gap = if first { "" } else { "\n" };
                writeln!(self.text, "{gap}{name}")?;
            }
            (Format::Tsv, file) if first => {
                if file.is_some() {
                    self.text.extend_from_slice(b"file\t");
                }
                let header = match self.view {
                    View::Summary => summary::HEADER,
                    View::Packets => packets::HEADER,
                    View::Conversations => conversations::HEADER,
                    View::Expert => expert::HEADER,
                };
                self.text.extend_from_slice(header.as_bytes());
                self.text.push(b'\n');
            }
            _ => {}
        }
        self.flush()
    }

    /// The first column of a table, where there are several captures.
    fn first_column(&mut self) {
        if let Some(file) = &self.file {
            let mut name = String::new();
            crate::paint::push_safe(&mut name, file);
            self.text.extend_from_slice(name.as_bytes());
            self.text.push(b'\t');
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A vector takes everything.
        let _ = self.text.write_fmt(line);
        self.text.push(b'\n');
    }

    /// One object a line, its first members being the schema and, where there are several, the file.
    fn json<T: serde::Serialize>(&mut self, schema: &'static str, body: &T) {
        #[derive(serde::Serialize)]
        struct Line<'a, T> {
            schema: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            file: Option<&'a str>,
            #[serde(flatten)]
            body: &'a T,
        }
        let line = Line { schema, file: self.file.as_deref(), body };
        // Our own types, into a vector: nothing can fail.
        let _ = serde_json::to_writer(&mut self.text, &line);
        self.text.push(b'\n');
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let result = out.write_all(&self.text).and_then(|()| out.flush());
        self.text.clear();
        result.map_err(|e| io::Error::new(e.kind(), format!("cannot write standard output: {e}")))
    }
}

/// Nanoseconds as seconds with nine decimals.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A value, or nothing.
struct Cell<T>(Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Cell<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |v| v.fmt(f))
    }
}

/// Time since the capture's first packet; zero for what is stamped before it.
fn since(first: WallNs, t: WallNs) -> u64 {
    t.0.saturating_sub(first.0)
}

/// Names of the IP headers' checksums, from the outside in.
fn ip_checksums(layer: &Layer) -> impl std::fmt::Display {
    std::fmt::from_fn(|f| {
        for (n, c) in layer.ip_checksums.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { "," }, c.as_str())?;
        }
        Ok(())
    })
}
