//! `--follow`: what the two ends of a stream said to each other.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tracenet_collectors::decode::Protocol;
use tracenet_core::tcp::Side;
use tracenet_core::tcp::reassembly::{Piece, Reassembly, Told};
use tracenet_core::time::WallNs;

use super::reading::Keep;
use super::{Cell, Closing, Ends, Print, Seconds, Seen, View, Word};
use crate::args::{Format, StreamId};
use crate::units::{Bytes, Count};

const COLUMNS: &str = "frame\ttime\tfrom\toffset\tlen\tmissing\tdata";

/// A UDP header (RFC 768).
const UDP_HEADER: usize = 8;

/// Which frame brought the bytes.
#[derive(Debug, Clone, Copy)]
struct Tag {
    frame: u64,
    wall: WallNs,
    since_first: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    transport: &'static str,
    stream: u32,
    from: &'static str,
    source: &'a str,
    frame: u64,
    t_ns: u64,
    offset: u64,
    len: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'static str>,
}

/// One stream's bytes.
pub struct Follow {
    id: StreamId,
    reassembly: Reassembly<Tag>,
    /// Bytes of each UDP direction.
    datagrams: [u64; 2],
    tale: Option<Tale>,
    failure: Option<String>,
}

impl Follow {
    /// Of that stream.
    pub fn new(id: StreamId) -> Self {
        Self { id, reassembly: Reassembly::new(), datagrams: [0; 2], tale: None, failure: None }
    }
}

impl View for Follow {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn keep(&self) -> Keep {
        Keep { headers: true, bytes: true, ..Keep::default() }
    }

    fn packet(&mut self, seen: &Seen<'_>, print: &mut Print) {
        let wanted = |word: &Word| match (self.id, word) {
            (StreamId::Tcp(id), Word::Segment(said)) => said.stream == id,
            (StreamId::Udp(id), Word::Datagram(number)) => *number == Some(id),
            _ => false,
        };
        if !seen.dissected.words.iter().any(wanted) {
            return;
        }
        let packet = seen.dissected.packet;
        let tag = Tag { frame: seen.number, wall: packet.wall, since_first: seen.since_first() };
        // Each transport header has its bytes; one more may follow that could not be decoded.
        let headers = seen.dissected.headers().filter(|(p, _)| matches!(p, Protocol::Tcp | Protocol::Udp));
        for ((layer, word), (_, bytes)) in seen.layers().zip(headers) {
            if !wanted(word) {
                continue;
            }
            let from = if let Word::Segment(said) = word { said.from } else { Side::Orig };
            let tale = self.tale.get_or_insert_with(|| Tale::new(self.id, &Ends::of(layer, from)));
            let mut tell = |told: Told<'_, Tag>| tale.tell(&told, print);
            match (&layer.tcp, word) {
                (Some(segment), Word::Segment(said)) => {
                    let data = tcp_payload(bytes);
                    self.reassembly.segment(tag, said.from, segment, layer.payload_len, data, &mut tell);
                }
                _ => {
                    let from = if layer.source == tale.client { Side::Orig } else { Side::Resp };
                    let data = udp_payload(bytes);
                    let offset = &mut self.datagrams[from as usize];
                    tale.tell(&Told { from, tag, offset: *offset, piece: Piece::Data(data) }, print);
                    *offset += data.len() as u64;
                }
            }
        }
    }

    fn end(&mut self, closing: &Closing<'_>, print: &mut Print) {
        if let Some(tale) = &mut self.tale {
            self.reassembly.finish(&mut |told| tale.tell(&told, print));
            tale.close(self.reassembly.given_up(), print);
            return;
        }
        self.failure = Some(closing.no_such(self.id));
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone()
    }
}

/// What follows the TCP header, as far as captured.
fn tcp_payload(bytes: &[u8]) -> &[u8] {
    // The data offset counts words (RFC 9293, section 3.1).
    let header = bytes.get(12).map_or(0, |b| usize::from(b >> 4) * 4);
    bytes.get(header..).unwrap_or_default()
}

/// What follows the UDP header: its length field may say less than the IP header's.
fn udp_payload(bytes: &[u8]) -> &[u8] {
    let len = match bytes.get(4..6) {
        Some(&[a, b]) => usize::from(u16::from_be_bytes([a, b])),
        _ => 0,
    };
    let end = if len < UDP_HEADER { bytes.len() } else { bytes.len().min(len) };
    bytes.get(UDP_HEADER..end).unwrap_or_default()
}

/// Tells the pieces in the form that was asked for.
struct Tale {
    id: StreamId,
    client: SocketAddr,
    client_side: Side,
    /// Names of both ends, the client's first.
    ends: [String; 2],
    /// Bytes told and bytes missing, the client's first.
    told: [u64; 2],
    missing: [u64; 2],
    speaker: Option<usize>,
    /// The line in the terminal has begun.
    in_line: bool,
    /// Begin of a character whose end comes with the next piece.
    carry: Vec<u8>,
    text: String,
}

impl Tale {
    fn new(id: StreamId, ends: &Ends) -> Self {
        Self {
            id,
            client: ends.client,
            client_side: ends.client_side,
            ends: [ends.client.to_string(), ends.server.to_string()],
            told: [0; 2],
            missing: [0; 2],
            speaker: None,
            in_line: false,
            carry: Vec::new(),
            text: String::new(),
        }
    }

    fn tell(&mut self, told: &Told<'_, Tag>, print: &mut Print) {
        let who = usize::from(told.from != self.client_side);
        let (len, missing) = match told.piece {
            Piece::Data(bytes) => (bytes.len() as u64, None),
            Piece::Missing(n, why) => (n, Some(why)),
        };
        let count = if missing.is_some() { &mut self.missing } else { &mut self.told };
        count[who] += len;
        let from = ["client", "server"][who];
        match print.format {
            Format::Text => self.show(who, told, print),
            Format::Json => {
                let line = Line {
                    transport: self.id.transport(),
                    stream: self.id.number(),
                    from,
                    source: &self.ends[who],
                    frame: told.tag.frame,
                    t_ns: told.tag.wall.0,
                    offset: told.offset,
                    len,
                    data: match told.piece {
                        Piece::Data(bytes) => Some(STANDARD.encode(bytes)),
                        Piece::Missing(..) => None,
                    },
                    missing: missing.map(|why| why.as_str()),
                };
                print.json("tracenet.followed/1", &line);
            }
            Format::Tsv | Format::Csv => {
                self.text.clear();
                if let Piece::Data(bytes) = told.piece {
                    for b in bytes {
                        // Writing to a String can't fail.
                        let _ = write!(self.text, "{b:02x}");
                    }
                }
                print.row(format_args!(
                    "{}\t{}\t{from}\t{}\t{len}\t{}\t{}",
                    told.tag.frame,
                    Seconds(told.tag.since_first),
                    told.offset,
                    Cell(missing.map(|why| why.as_str())),
                    self.text
                ));
            }
        }
    }

    /// For people: who speaks is on every line, when on the first.
    fn show(&mut self, who: usize, told: &Told<'_, Tag>, print: &mut Print) {
        if self.speaker.is_none() {
            let [client, server] = &self.ends;
            print.line(format_args!("{}: client {client}, server {server}", self.id));
        }
        self.text.clear();
        let datagram = matches!(self.id, StreamId::Udp(_));
        if self.speaker != Some(who) || datagram {
            self.break_line();
            self.speaker = Some(who);
            let _ = writeln!(
                self.text,
                "\n{} {} frame {}",
                ["client", "server"][who],
                Seconds(told.tag.since_first),
                told.tag.frame
            );
        }
        match told.piece {
            Piece::Data(bytes) => {
                let mut bytes = Cow::from(bytes);
                if !self.carry.is_empty() {
                    let mut whole = std::mem::take(&mut self.carry);
                    whole.extend_from_slice(&bytes);
                    bytes = whole.into();
                }
                self.bytes(who, &bytes);
            }
            Piece::Missing(n, why) => {
                self.break_line();
                let why = match why {
                    tracenet_core::tcp::reassembly::Gap::Cut => "cut off by the snap length",
                    _ => "missing in the capture",
                };
                let _ = writeln!(self.text, "{} [{} {why}]", ARROWS[who], Count(n, "byte"));
            }
        }
        print.part(&self.text);
    }

    /// Bytes as text: what isn't is escaped, and nothing of it is obeyed by the terminal.
    fn bytes(&mut self, who: usize, mut bytes: &[u8]) {
        if let Err(e) = std::str::from_utf8(bytes)
            && e.error_len().is_none()
        {
            // The last character isn't whole.
            let (whole, rest) = bytes.split_at(e.valid_up_to());
            self.carry.extend_from_slice(rest);
            bytes = whole;
        }
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            if !self.in_line {
                self.text.push_str(ARROWS[who]);
                self.text.push(' ');
                self.in_line = true;
            }
            let line = part.strip_suffix(b"\n").unwrap_or(part);
            escape(&mut self.text, line.strip_suffix(b"\r").unwrap_or(line));
            if line.len() < part.len() {
                self.text.push('\n');
                self.in_line = false;
            }
        }
    }

    fn break_line(&mut self) {
        for b in self.carry.drain(..) {
            let _ = write!(self.text, "\\x{b:02x}");
        }
        if std::mem::take(&mut self.in_line) {
            self.text.push('\n');
        }
    }

    fn close(&mut self, given_up: u64, print: &mut Print) {
        if print.format != Format::Text {
            return;
        }
        self.text.clear();
        if self.speaker.is_none() {
            let [client, server] = &self.ends;
            let _ = write!(self.text, "{}: client {client}, server {server}", self.id);
            self.in_line = true;
        }
        self.break_line();
        let _ = write!(self.text, "\nclient {}, server {}", Bytes(self.told[0]), Bytes(self.told[1]));
        let missing = self.missing[0].saturating_add(self.missing[1]);
        if missing > 0 {
            let _ = write!(self.text, ", missing {}", Bytes(missing));
        }
        if given_up > 0 {
            let _ = write!(self.text, ", {} not waited for", Count(given_up, "gap"));
        }
        self.text.push('\n');
        print.part(&self.text);
    }
}

/// What begins a line of the client's and of the server's.
const ARROWS: [&str; 2] = [">", "<"];

fn escape(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => out.push(c),
                c if c.is_ascii_control() => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c if c.is_control() => out.extend(c.escape_unicode()),
                c => out.push(c),
            }
        }
        for b in chunk.invalid() {
            let _ = write!(out, "\\x{b:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let mut s = String::new();
        escape(&mut s, b"a\x1b[31m\tb\xff\xc2\x9b\xe2\x82\xac\x00");
        assert_eq!(s, "a\\x1b[31m\tb\\xff\\u{9b}\u{20ac}\\x00");
    }

    #[test]
    fn payloads_are_what_the_headers_leave() {
        let mut tcp = [0u8; 26];
        tcp[12] = 6 << 4;
        assert_eq!(tcp_payload(&tcp).len(), 2);
        assert_eq!((tcp_payload(&tcp[..9]).len(), tcp_payload(&tcp[..22]).len()), (9, 0));
        assert_eq!(udp_payload(&[0, 0, 0, 0, 0, 9, 0, 0, 1, 2]), [1]);
        assert_eq!(udp_payload(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 2]), [1, 2]);
        assert_eq!(udp_payload(&[0, 0, 0, 0, 0, 99, 0, 0, 1]), [1]);
        assert!(udp_payload(&[0; 3]).is_empty());
    }
}
