//! `tracenet analyze`: capture files through the analyser of the live product.

use std::io::{self, Write};
use std::path::Path;

use tracenet_collectors::decode::{Layer, Layers, Undecoded};
use tracenet_collectors::files::{Frame, Reader};
use tracenet_core::tcp::{StreamSegment, Streams};
use tracenet_core::time::WallNs;

use crate::args::{AnalyzeArgs, Format};
use crate::failure::Failure;
use crate::sinks::warn;

mod conversations;
mod expert;
mod flows;
mod packets;
mod summary;
mod tally;

use flows::Flows;
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
    layers: Layers,
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
        let mut reader = match Reader::open(file) {
            Ok(reader) => reader,
            Err(e) => {
                warn(&e.to_string());
                code = 1;
                continue;
            }
        };
        if args.files.len() > 1 {
            print.file = Some(file.display().to_string());
        }
        let done = print.head(n == 0).and_then(|()| capture(&mut reader, file, &mut print));
        match done {
            Ok(()) => {}
            // Whoever read has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            Err(e) => return Err(Failure::Runtime(format!("cannot write standard output: {e}"))),
        }
        if let Some(damage) = reader.damage() {
            warn(&format!("{}: {damage}", file.display()));
            code = 1;
        }
    }
    Ok(code)
}

fn capture(reader: &mut Reader, file: &Path, print: &mut Print) -> io::Result<()> {
    let piped = file == Path::new("-");
    let mut capture = Capture::default();
    while let Some(frame) = reader.next_frame() {
        capture.take(&frame, print);
        if print.text.len() >= BUFFER {
            print.flush()?;
        }
        if piped && reader.is_drained() {
            // The next packet may take its time.
            print.flush()?;
        }
    }
    match print.view {
        View::Packets => {}
        View::Summary => summary::print(&capture, print),
        View::Conversations => conversations::print(&capture, print),
        View::Expert => expert::print(&capture, print),
    }
    print.flush()
}

impl Capture {
    fn take(&mut self, frame: &Frame<'_>, print: &mut Print) {
        let Self { layers, streams, flows, tally } = self;
        tally.frame(frame);
        let packets = print.view == View::Packets;
        let mut is_tcp = false;
        let outcome = layers.walk(frame.link, frame.data, frame.wire_len, |layer| {
            let Some(segment) = &layer.tcp else {
                flows.udp(frame, layer);
                return;
            };
            is_tcp = true;
            let (stream, word) = if layer.quoted {
                let stream = streams.quoted(layer.source, layer.destination, segment);
                (stream, Word::Quoted(stream))
            } else {
                let (source, destination) = (layer.source, layer.destination);
                let said = streams.segment(frame.wall.0, source, destination, segment, layer.payload_len);
                tally.segment(segment, layer, &said.analysis);
                (said.stream, Word::Analysed(said))
            };
            flows.tcp(stream, frame, layer, &word);
            if packets {
                packets::print(tally, frame, layer, &word, print);
            }
        });
        match outcome {
            Ok(()) if is_tcp => tally.tcp += 1,
            Ok(()) => tally.udp += 1,
            Err(Undecoded::Protocol(1 | 58)) => tally.icmp += 1,
            Err(Undecoded::Protocol(_)) => tally.other_ip += 1,
            Err(Undecoded::NotIp(_)) => tally.not_ip += 1,
            Err(Undecoded::Fragment) => tally.fragments += 1,
            Err(Undecoded::Link) => tally.unknown_link += 1,
            Err(Undecoded::Cut | Undecoded::Damaged) => tally.damaged += 1,
        }
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
        result
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
