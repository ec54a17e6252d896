//! `--otlp`: the TCP streams of a capture as spans. Each is told as facts, as the core tells a live connection, from its
//! client's point of view; the exporter is that of the live product.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tracenet_collectors::decode::Layer;
use tracenet_config::Config;
use tracenet_core::core::Settings;
use tracenet_core::event::{Packet as CorePacket, RetransmitCause, Segment, tcp_flags};
use tracenet_core::fact::{
    CloseReason, ConnSummary, Fact, FactKind, PacketFact, RetransmitTotals, TraceIdSource, Turn,
};
use tracenet_core::key::{ConnId, Direction, NetnsCookie, Role, SocketCookie, Transport, Tuple};
use tracenet_core::tcp::reassembly::{Piece, Reassembly};
use tracenet_core::tcp::{Analysis, Side, StreamSegment, Verdicts};
use tracenet_core::time::{MonoNs, WallNs};
use tracenet_core::trace_id;
use tracenet_core::turn::{TurnMachine, TurnSpan};
use tracenet_core::wire::{Sighting, Wire};
use tracenet_otel::{CaptureSpans, Destination, ExportOptions, Exporter};

use super::reading::Packet;
use super::{Ends, Seen, Word, is_read};
use crate::failure::Failure;
use crate::sinks::warn;
use crate::units::Count;

/// Streams that are followed at once; the segments of more are only counted.
const MAX_STREAMS: usize = 1 << 18;

/// Facts that wait for a packet of their stream to be shown (`-Y`), of one stream and of all.
const MAX_HELD: usize = 1 << 12;
const MAX_ALL_HELD: usize = 1 << 20;

/// The exporter, and the streams of the file at hand.
pub struct Export {
    exporter: Exporter,
    options: ExportOptions,
    shutdown: Duration,
    streams: FxHashMap<u32, Box<Stream>>,
    /// Streams that are told and over, a bit for each: their stragglers are no new connections.
    over: Vec<u64>,
    omitted: u64,
    teller: Option<Teller>,
    finished: Vec<TurnSpan>,
}

/// Hands facts on, or keeps them while it is open whether their stream is wanted.
struct Teller {
    spans: CaptureSpans,
    /// Only streams of which a packet is shown are wanted.
    filtered: bool,
    held: usize,
    omitted: u64,
}

struct Stream {
    tuple: Tuple,
    client_side: Side,
    first: WallNs,
    last: WallNs,
    wire: Wire,
    /// Knows which bytes are new: only lengths go in.
    bytes: Reassembly<WallNs>,
    machine: TurnMachine,
    /// Bytes of the client and of the server.
    said: (u64, u64),
    turns: u64,
    resent: RetransmitTotals,
    resent_in_turn: u32,
    /// Bytes were acknowledged that the capture doesn't have.
    missed: bool,
    missed_in_turn: bool,
    opened_before: bool,
    syn: Option<WallNs>,
    syn_ack: bool,
    established: Option<WallNs>,
    trace: Option<([u8; 16], TraceIdSource)>,
    wanted: bool,
    held: Vec<Fact>,
}

impl Export {
    /// Starts the exporter. `url` and the environment mean what they do live; a file must not be one of `files`.
    pub fn open(url: &str, files: &[PathBuf]) -> Result<Self, Failure> {
        let env = |name: &str| std::env::var(name).ok();
        let options = ExportOptions::from_flag_and_env(Some(url), env)
            .map_err(|e| Failure::Usage(e.to_string()))?
            .filter(|options| options.traces.is_some())
            .ok_or_else(|| {
                Failure::Usage(
                    "--otlp, but OTEL_TRACES_EXPORTER=none: a file gives spans only, unset it".into(),
                )
            })?;
        if let Some(Destination::File(path)) = options.traces.as_ref().map(|traces| &traces.destination)
            && is_read(path, files)
        {
            return Err(Failure::Usage(format!("--otlp {url} would write into what is read")));
        }
        // Metrics are of a host and of now.
        let options = ExportOptions { metrics: None, ..options };
        let exporter = Exporter::start(&options).map_err(|e| Failure::Runtime(e.to_string()))?;
        Ok(Self {
            exporter,
            options,
            shutdown: Config::default().export.otlp.shutdown_timeout.0,
            streams: FxHashMap::default(),
            over: Vec::new(),
            omitted: 0,
            teller: None,
            finished: Vec::new(),
        })
    }

    /// The next file. Where it is `filtered`, only streams of which a packet is shown are exported.
    pub fn begin(&mut self, file: &Path, filtered: bool) {
        let file = file.display().to_string();
        let spans = CaptureSpans::new(self.exporter.sink(), &self.options, &file, self.shutdown);
        self.teller = Some(Teller { spans, filtered, held: 0, omitted: 0 });
        self.over.clear();
    }

    /// A packet, in the order of the file.
    pub fn packet(&mut self, seen: &Seen<'_>, shown: bool) {
        for (layer, word) in seen.layers() {
            if let (Word::Segment(said), Some(segment)) = (word, &layer.tcp) {
                self.segment(seen.dissected.packet, layer, said, segment, shown);
            }
        }
    }

    fn segment(
        &mut self,
        packet: &Packet,
        layer: &Layer,
        said: &StreamSegment,
        segment: &Segment,
        shown: bool,
    ) {
        let Some(teller) = &mut self.teller else { return };
        let known = self.streams.contains_key(&said.stream);
        if !known && contains(&self.over, said.stream) {
            return;
        }
        if !known && self.streams.len() >= MAX_STREAMS {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        let s = self
            .streams
            .entry(said.stream)
            .or_insert_with(|| Box::new(Stream::new(layer, said.from, packet.wall, !teller.filtered)));
        if !known && s.opened_before {
            let (tuple, role) = (s.tuple, Role::Client);
            s.tell(teller, said.stream, packet.wall, FactKind::Opened { tuple, role, before: true });
        }
        if shown {
            s.want(teller);
        }
        s.first = s.first.min(packet.wall);
        s.last = s.last.max(packet.wall);
        let direction = if said.from == s.client_side { Direction::Out } else { Direction::In };
        let analysis = s.wire.packet(&Sighting {
            t: MonoNs(packet.wall.0),
            wall: packet.wall,
            interface: packet.interface,
            direction,
            role: Role::Client,
            tcp: Some(segment),
            payload_len: layer.payload_len,
            ip_id: layer.ip.id,
        });
        // The packet was seen on another interface already.
        let Some(analysis) = analysis else { return };
        s.handshake(packet.wall, segment, direction);

        let (machine, finished, client, said_bytes) =
            (&mut s.machine, &mut self.finished, s.client_side, &mut s.said);
        s.bytes.segment(packet.wall, said.from, segment, layer.payload_len, &[], &mut |told| {
            // Without the bytes each piece is one that is missing.
            let Piece::Missing(n, _) = told.piece else { return };
            finished.extend(pass(machine, said_bytes, told.from == client, told.tag, n));
        });
        for span in self.finished.drain(..) {
            s.turn(teller, said.stream, &span);
        }
        s.trouble(teller, said.stream, packet, layer, segment, direction, analysis);
    }

    /// A stream is over.
    pub fn ended(&mut self, stream: u32) {
        let Some(teller) = &mut self.teller else { return };
        if let Some(s) = self.streams.remove(&stream)
            && s.close(teller, stream) != CloseReason::Open
        {
            insert(&mut self.over, stream);
        }
    }

    /// The file has ended, or its damage was reached.
    pub fn end(&mut self) {
        let mut rest: Vec<_> = self.streams.drain().collect();
        rest.sort_unstable_by_key(|(number, _)| *number);
        let Some(mut teller) = self.teller.take() else { return };
        for (number, stream) in rest {
            stream.close(&mut teller, number);
        }
        self.omitted = self.omitted.saturating_add(teller.omitted);
    }

    /// Sends what is left, for a bounded time. False where anything was lost; what was is said.
    pub fn finish(self) -> bool {
        let lost = self.exporter.shutdown(self.shutdown).losses.spans();
        if lost > 0 {
            warn(&format!(
                "{} could not be exported: is the collector up, and is it the right URL?",
                Count(lost, "span")
            ));
        }
        if self.omitted > 0 {
            warn(&format!(
                "{} of too many streams at once became no spans: narrow the capture with -Y or editcap",
                Count(self.omitted, "segment")
            ));
        }
        lost == 0 && self.omitted == 0
    }
}

fn contains(bits: &[u64], n: u32) -> bool {
    bits.get(n as usize / 64).is_some_and(|word| word >> (n % 64) & 1 == 1)
}

fn insert(bits: &mut Vec<u64>, n: u32) {
    let at = n as usize / 64;
    if at >= bits.len() {
        bits.resize(at + 1, 0);
    }
    if let Some(word) = bits.get_mut(at) {
        *word |= 1 << (n % 64);
    }
}

/// New bytes of one end.
fn pass(
    machine: &mut TurnMachine,
    said: &mut (u64, u64),
    by_client: bool,
    at: WallNs,
    n: u64,
) -> Option<TurnSpan> {
    let (sum, direction) =
        if by_client { (&mut said.0, Direction::Out) } else { (&mut said.1, Direction::In) };
    *sum = sum.saturating_add(n);
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    machine.io(MonoNs(at.0), Role::Client, direction, n, 0)
}

impl Stream {
    fn new(layer: &Layer, from: Side, wall: WallNs, wanted: bool) -> Self {
        let flags = layer.tcp.map_or(0, |s| s.flags);
        let Ends { client, server, client_side } = Ends::of(layer, from);
        Self {
            tuple: Tuple { transport: Transport::Tcp, local: client, remote: server },
            client_side,
            first: wall,
            last: wall,
            wire: Wire::default(),
            bytes: Reassembly::new(),
            machine: TurnMachine::default(),
            said: (0, 0),
            turns: 0,
            resent: RetransmitTotals::default(),
            resent_in_turn: 0,
            missed: false,
            missed_in_turn: false,
            opened_before: flags & tcp_flags::SYN == 0,
            syn: None,
            syn_ack: false,
            established: None,
            trace: None,
            wanted,
            held: Vec::new(),
        }
    }

    fn tell(&mut self, teller: &mut Teller, stream: u32, at: WallNs, kind: FactKind) {
        let fact = Fact { t: MonoNs(at.0), who: None, conn: Some(ConnId(stream)), kind };
        if self.wanted {
            teller.spans.on(&fact);
        } else if self.held.len() < MAX_HELD && teller.held < MAX_ALL_HELD {
            teller.held += 1;
            self.held.push(fact);
        } else {
            teller.omitted = teller.omitted.saturating_add(1);
        }
    }

    /// A packet is shown: all of the stream is wanted.
    fn want(&mut self, teller: &mut Teller) {
        self.wanted = true;
        for fact in std::mem::take(&mut self.held) {
            teller.held = teller.held.saturating_sub(1);
            teller.spans.on(&fact);
        }
    }

    /// The client's way: SYN, SYN/ACK, and the ACK with which it knows itself connected. Wherever the capture was
    /// taken, the whole round trip lies between the first and the last.
    fn handshake(&mut self, wall: WallNs, segment: &Segment, direction: Direction) {
        let has = |flag: u8| segment.flags & flag != 0;
        match direction {
            Direction::Out if has(tcp_flags::SYN) => {
                self.syn.get_or_insert(wall);
            }
            Direction::In if has(tcp_flags::SYN) => self.syn_ack |= has(tcp_flags::ACK),
            Direction::Out if self.syn_ack && has(tcp_flags::ACK) && !has(tcp_flags::RST) => {
                self.established.get_or_insert(wall);
            }
            _ => {}
        }
    }

    /// What of a segment is worth a fact.
    #[expect(clippy::too_many_arguments, reason = "a segment and all that is known of it")]
    fn trouble(
        &mut self,
        teller: &mut Teller,
        stream: u32,
        packet: &Packet,
        layer: &Layer,
        segment: &Segment,
        direction: Direction,
        analysis: Analysis,
    ) {
        let verdicts = analysis.verdicts;
        if verdicts.contains(Verdicts::ACK_LOST_SEGMENT) {
            (self.missed, self.missed_in_turn) = (true, true);
        }
        let again = analysis.retransmit(segment.flags);
        if let Some(cause) = again {
            self.resent.add(cause, 1);
            if !matches!(cause, RetransmitCause::Syn | RetransmitCause::SynAck) {
                self.resent_in_turn = self.resent_in_turn.saturating_add(1);
            }
        }
        let is_syn = segment.flags & tcp_flags::SYN != 0;
        if is_syn || again.is_some() || verdicts.contains(Verdicts::ZERO_WINDOW) {
            let told = CorePacket {
                netns: NetnsCookie::default(),
                ifindex: packet.interface,
                wall: packet.wall,
                tuple: Tuple { transport: Transport::Tcp, local: layer.source, remote: layer.destination },
                wire_len: packet.wire_len,
                ip_id: None,
                payload_len: layer.payload_len,
                tcp: Some(Segment { seq: self.relative(segment.seq, direction), ..*segment }),
                opening: None,
                frame: None,
            };
            let fact = PacketFact { packet: told, direction, analysis: Some(analysis) };
            self.tell(teller, stream, packet.wall, FactKind::Packet(Box::new(fact)));
        }
        if segment.flags & tcp_flags::RST != 0 {
            self.wire.reset(direction);
            self.tell(teller, stream, packet.wall, FactKind::Reset { direction, reason: None });
        }
    }

    /// From the initial sequence number where both are known, as the core tells retransmissions.
    fn relative(&self, seq: u32, direction: Direction) -> u32 {
        self.wire.isn_pair().map_or(seq, |(ours, theirs)| {
            seq.wrapping_sub(if direction == Direction::Out { ours } else { theirs })
        })
    }

    /// Made once: turns are told before the connection.
    fn trace(&mut self, stream: u32) -> ([u8; 16], TraceIdSource) {
        let salt = Settings::default().trace_salt;
        *self.trace.get_or_insert_with(|| match self.wire.isn_pair() {
            Some((ours, theirs)) => trace_id::from_isns(&salt, ours, theirs),
            None => {
                let number = SocketCookie(u64::from(stream) + 1);
                trace_id::local(&salt, Some(number), MonoNs(self.first.0))
            }
        })
    }

    fn turn(&mut self, teller: &mut Teller, stream: u32, span: &TurnSpan) {
        let (trace_id, trace_id_source) = self.trace(stream);
        self.turns += u64::from(span.response_start.is_some());
        let turn = Turn {
            index: span.index,
            request: None,
            role: Role::Client,
            start: span.start,
            request_end: span.request_end,
            response_start: span.response_start.unwrap_or(span.end),
            end: span.end,
            request_bytes: span.request_bytes,
            response_bytes: span.response_bytes,
            retransmits: std::mem::take(&mut self.resent_in_turn),
            drops: 0,
            incomplete: std::mem::take(&mut self.missed_in_turn),
            waterfall: None,
            p50: None,
            sampling: None,
            observation: None,
            tuple: self.tuple,
            trace_id,
            trace_id_source,
        };
        self.tell(teller, stream, WallNs(span.end.0), FactKind::Turn(Box::new(turn)));
    }

    /// Tells the last turn and the whole, and forgets the stream.
    fn close(mut self: Box<Self>, teller: &mut Teller, stream: u32) -> CloseReason {
        let mut spans = Vec::new();
        let (machine, client, said) = (&mut self.machine, self.client_side, &mut self.said);
        self.bytes.finish(&mut |told| {
            let Piece::Missing(n, _) = told.piece else { return };
            spans.extend(pass(machine, said, told.from == client, told.tag, n));
        });
        spans.extend(self.machine.end());
        for span in spans {
            self.turn(teller, stream, &span);
        }
        let (trace_id, trace_id_source) = self.trace(stream);
        let time = |wall: WallNs| MonoNs(wall.0);
        let connect = self.syn.zip(self.established).map(|(syn, end)| time(end).since(time(syn)));
        let close = self.wire.close();
        let summary = ConnSummary {
            id: ConnId(stream),
            cookie: 0,
            owner: None,
            netns: NetnsCookie::default(),
            netns_inum: 0,
            tuple: self.tuple,
            role: Role::Client,
            opened_before: self.opened_before,
            start: time(self.first),
            end: time(self.last),
            bytes_sent: self.said.0,
            bytes_received: self.said.1,
            bytes_sent_before: 0,
            bytes_received_before: 0,
            turns: self.turns,
            connect_start: self.syn.map(time),
            connect,
            established: self.established.map(time),
            accept_wait: None,
            rtt: self.wire.rtt(),
            retransmits: self.resent,
            drops: Vec::new(),
            peer_drops: Vec::new(),
            zero_window_stalls: self.wire.zero_window_stalls(),
            close,
            err: 0,
            tcp_info: None,
            packets: self.wire.packets(),
            wire: self.wire.counts(),
            trace_id,
            trace_id_source,
            incomplete: self.missed,
            observation: None,
        };
        if self.wanted {
            self.tell(teller, stream, self.last, FactKind::Closed(Box::new(summary)));
        } else {
            teller.held = teller.held.saturating_sub(self.held.len());
        }
        close
    }
}
