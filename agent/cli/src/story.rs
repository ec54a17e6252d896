//! One fact, one line: the story as a person reads it.

use std::fmt::Write as _;

use rustc_hash::FxHashMap;
use tracenet_core::drops::Why;
use tracenet_core::event::{CounterSample, GovernorWhy, Segment, tcp_flags};
use tracenet_core::fact::{DropFact, Fact, FactKind, PacketFact, Turn};
use tracenet_core::key::{ConnId, Direction, Role, Transport};
use tracenet_core::syscall::{self, RenderOptions};
use tracenet_core::time::{ClockOffset, DurationNs, MonoNs};

use crate::explain;
use crate::governor;
use crate::paint::{Ink, Paint, push_safe};
use crate::stamp::Stamp;
use crate::units::{Count, Time};
use crate::words;

/// What to show.
#[derive(Debug, Clone)]
pub struct StoryOptions {
    /// Packet lines too.
    pub packets: bool,
    /// How syscalls are printed.
    pub syscalls: RenderOptions,
    /// Turns are explained.
    pub explain: bool,
    /// Colours.
    pub paint: Paint,
}

/// Connections whose initial sequence numbers are remembered for relative numbers.
const MAX_BASES: usize = 65_536;

/// Turns facts into lines.
pub struct Story {
    options: StoryOptions,
    stamp: Stamp,
    latest: MonoNs,
    /// First sequence number of each direction (out, in), as tcpdump counts from.
    bases: FxHashMap<ConnId, [Option<u32>; 2]>,
}

impl Story {
    /// A story from now on.
    pub fn new(options: StoryOptions) -> Self {
        Self { options, stamp: Stamp::default(), latest: MonoNs::default(), bases: FxHashMap::default() }
    }

    /// The clocks' distance, resampled now and then.
    pub fn set_clock(&mut self, clock: ClockOffset) {
        self.stamp.set_clock(clock);
    }

    /// Appends the line of `fact`; false where it has none.
    pub fn line(&mut self, fact: &Fact, out: &mut String) -> bool {
        let paint = self.options.paint;
        match &fact.kind {
            FactKind::Packet(_) if !self.options.packets => return false,
            // The summary at the end says it; a turn and a state change would repeat the lines above them.
            FactKind::Closed(_) | FactKind::State { .. } => return false,
            // Told where nobody reads a story.
            FactKind::Sleeps(_) | FactKind::ThreadExited { .. } => return false,
            // Nothing new, and what the summary says.
            FactKind::Governor(step) if matches!(step.why, GovernorWhy::Held | GovernorWhy::End) => {
                return false;
            }
            _ => {}
        }
        let shown = match &fact.kind {
            FactKind::Syscall(call) => call.entered,
            // A turn is over when the next one begins: told late, at the time of what was told last.
            FactKind::Turn(_) => fact.t.max(self.latest),
            _ => fact.t,
        };
        self.latest = self.latest.max(shown);
        paint.start(out, Ink::Faint);
        self.stamp.write(shown, out);
        out.push(' ');
        paint.end(out);
        if let Some(conn) = fact.conn {
            paint.start(out, Ink::Conn);
            let _ = write!(out, "{conn:<3} ", conn = conn.to_string());
            paint.end(out);
        } else {
            out.push_str("    ");
        }
        match &fact.kind {
            FactKind::Syscall(call) => {
                self.who(fact, out);
                out.push(' ');
                syscall::render_timed(call, fact.t, &self.options.syscalls, out);
            }
            FactKind::Packet(p) => self.packet(fact.conn, p, out),
            other => self.other(fact, other, out),
        }
        out.push('\n');
        true
    }

    fn other(&mut self, fact: &Fact, kind: &FactKind, out: &mut String) {
        let paint = self.options.paint;
        match kind {
            FactKind::Forked { child, comm, followed } => {
                self.who(fact, out);
                out.push_str(" forked ");
                push_safe(out, comm);
                let _ = write!(out, "[{}]", child.tgid);
                out.push_str(if *followed { "" } else { " (not followed; use -f)" });
            }
            FactKind::Executed { filename } => {
                self.who(fact, out);
                out.push_str(" executes ");
                push_safe(out, filename);
            }
            FactKind::Signal { info, .. } => {
                self.who(fact, out);
                out.push_str(" --- ");
                syscall::render_signal(info, out);
                out.push_str(" ---");
            }
            FactKind::Exited { code } => {
                self.who(fact, out);
                match (code & 0x7f, (code >> 8) & 0xff) {
                    (0, status) => {
                        let _ = write!(out, " +++ exited with {status} +++");
                    }
                    (signal, _) => {
                        let name =
                            nix::sys::signal::Signal::try_from(signal as i32).map_or("SIG?", |s| s.as_str());
                        let _ = write!(out, " +++ killed by {name} +++");
                    }
                }
            }
            FactKind::Opened { tuple, role, before } => {
                let (arrow, side) = match role {
                    Role::Client => ("->", "client"),
                    Role::Server => ("<-", "server"),
                };
                self.who(fact, out);
                let _ = write!(out, " {} {side} ", tuple.transport.as_str());
                if tuple.local.port() == 0 {
                    // The kernel chooses it between here and the first packet.
                    let _ = write!(out, "{}", tuple.local.ip());
                } else {
                    let _ = write!(out, "{}", tuple.local);
                }
                let _ = write!(out, " {arrow} {}", tuple.remote);
                if *before {
                    out.push_str(" (opened before)");
                }
            }
            FactKind::Established { connect: Some(t) } => {
                let _ = write!(out, " established: connect took {}", Time(*t));
            }
            FactKind::Established { connect: None } => out.push_str(" established"),
            FactKind::Accepted { wait } => {
                self.who(fact, out);
                let _ = write!(out, " accepted after {} in the accept queue", Time(*wait));
            }
            FactKind::Retransmit { cause, seq, seq_end, segments, after } => {
                paint.start(out, Ink::Warn);
                let _ = write!(out, " ! retransmit ({}) seq {seq}:{seq_end}", cause.as_str());
                if *segments > 1 {
                    let _ = write!(out, ", {segments} segments");
                }
                if let Some(t) = after {
                    let _ = write!(out, ", {} after it was sent before", Time(*t));
                }
                paint.end(out);
            }
            FactKind::Dropped(drop) => {
                paint.start(out, Ink::Bad);
                dropped(drop, out);
                paint.end(out);
            }
            FactKind::Reset { direction, reason } => {
                paint.start(out, Ink::Bad);
                out.push_str(match direction {
                    Direction::Out => " ! reset sent",
                    Direction::In => " ! reset received",
                });
                if let Some(r) = reason {
                    let _ = write!(out, " ({r})");
                }
                paint.end(out);
            }
            FactKind::Turn(turn) => {
                if self.options.explain {
                    self.who(fact, out);
                }
                turn_line(turn, self.options.explain, out);
                if let Some(waterfall) = turn.waterfall.as_deref().filter(|_| self.options.explain) {
                    explain::turn(waterfall, paint, out);
                }
            }
            FactKind::Counters(sample) => self.counters(fact.t, sample, out),
            FactKind::Governor(step) => {
                paint.start(out, Ink::Warn);
                out.push(' ');
                governor::step(step, out);
                paint.end(out);
            }
            FactKind::Lost { source, what, count } => {
                paint.start(out, Ink::Bad);
                let _ = write!(
                    out,
                    " ! {} lost from {what} ({source:?}); what follows may be incomplete",
                    Count(*count, "event")
                );
                paint.end(out);
            }
            FactKind::Syscall(_)
            | FactKind::Sleeps(_)
            | FactKind::ThreadExited { .. }
            | FactKind::Packet(_)
            | FactKind::Closed(_)
            | FactKind::State { .. } => {}
        }
    }

    fn counters(&self, t: MonoNs, sample: &CounterSample, out: &mut String) {
        let paint = self.options.paint;
        paint.start(out, Ink::Warn);
        match sample.netns_inum {
            Some(inum) => {
                let _ = write!(out, " ! counters of netns {inum}");
            }
            None => out.push_str(" ! the host"),
        }
        let _ = write!(out, " within {}:", Time(t.since(sample.since)));
        let mut separator = " ";
        // Waiting is worth a word where it is asked what a turn waited for.
        let shown = |name: &str| self.options.explain || !CounterSample::is_pressure(name);
        for (name, n) in sample.moved.iter().filter(|(name, _)| shown(name)) {
            out.push_str(separator);
            separator = ", ";
            match name.strip_suffix("_us") {
                Some(name) => {
                    push_safe(out, name);
                    let _ = write!(out, " {}", Time(DurationNs(n.saturating_mul(1_000))));
                }
                None if **name == *CounterSample::RUNNABLE => {
                    let _ = write!(out, "{name} {n}");
                }
                None => {
                    push_safe(out, name);
                    let _ = write!(out, " +{n}");
                }
            }
        }
        paint.end(out);
    }

    fn who(&self, fact: &Fact, out: &mut String) {
        let Some(who) = &fact.who else { return };
        push_safe(out, &who.comm);
        let _ = write!(out, "[{}", who.key.tgid);
        if who.tid != who.key.tgid {
            let _ = write!(out, "/{}", who.tid);
        }
        out.push(']');
    }

    /// A packet as tcpdump prints it, with the analyser's verdicts behind it.
    fn packet(&mut self, conn: Option<ConnId>, fact: &PacketFact, out: &mut String) {
        let p = &fact.packet;
        self.options.paint.start(out, Ink::Wire);
        let _ = write!(
            out,
            " {}.{} > {}.{}: ",
            p.tuple.local.ip(),
            p.tuple.local.port(),
            p.tuple.remote.ip(),
            p.tuple.remote.port()
        );
        match (&p.tcp, p.tuple.transport) {
            (Some(seg), Transport::Tcp) => {
                let (seq_base, ack_base) = conn.map_or((0, 0), |c| self.bases(c, fact.direction, seg));
                segment(seg, p.payload_len, seq_base, ack_base, out);
            }
            _ => {
                let _ =
                    write!(out, "{}, length {}", p.tuple.transport.as_str().to_uppercase(), p.payload_len);
            }
        }
        self.options.paint.end(out);
        let Some(analysis) = &fact.analysis else { return };
        // On the way out it is how long we took to acknowledge, which is no round trip.
        if let Some(rtt) = analysis.ack_rtt.filter(|_| fact.direction == Direction::In) {
            let _ = write!(out, "  rtt {}", Time(rtt));
        }
        for name in analysis.verdicts.names() {
            let _ = write!(out, "  [{name}]");
        }
    }

    /// What to subtract from seq and ack: tcpdump's relative numbers, absolute on a SYN.
    fn bases(&mut self, conn: ConnId, direction: Direction, seg: &Segment) -> (u32, u32) {
        if self.bases.len() >= MAX_BASES && !self.bases.contains_key(&conn) {
            return (0, 0);
        }
        let ends = self.bases.entry(conn).or_default();
        let (mine, other) = match direction {
            Direction::Out => (0, 1),
            Direction::In => (1, 0),
        };
        if seg.flags & tcp_flags::SYN != 0 {
            ends[mine] = Some(seg.seq);
            return (0, 0);
        }
        let seq = *ends[mine].get_or_insert(seg.seq.wrapping_sub(1));
        let ack = if seg.flags & tcp_flags::ACK != 0 {
            *ends[other].get_or_insert(seg.ack.wrapping_sub(1))
        } else {
            0
        };
        (seq, ack)
    }

    /// A connection is over: its numbers need no base any more.
    pub fn forget(&mut self, conn: ConnId) {
        self.bases.remove(&conn);
    }
}

/// `Flags [S.], seq 1:32, ack 1, win 502, options [...], length 31` (tcpdump's print-tcp).
fn segment(seg: &Segment, payload: u32, seq_base: u32, ack_base: u32, out: &mut String) {
    out.push_str("Flags [");
    let mut any = false;
    for (bit, letter) in [
        (tcp_flags::FIN, 'F'),
        (tcp_flags::SYN, 'S'),
        (tcp_flags::RST, 'R'),
        (tcp_flags::PSH, 'P'),
        (tcp_flags::ACK, '.'),
        (tcp_flags::URG, 'U'),
        (tcp_flags::ECE, 'E'),
        (tcp_flags::CWR, 'W'),
    ] {
        if seg.flags & bit != 0 {
            out.push(letter);
            any = true;
        }
    }
    out.push_str(if any { "]" } else { "none]" });
    let seq = seg.seq.wrapping_sub(seq_base);
    if payload > 0 {
        let _ = write!(out, ", seq {seq}:{}", seq.wrapping_add(payload));
    } else if seg.flags & (tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST) != 0 {
        let _ = write!(out, ", seq {seq}");
    }
    if seg.flags & tcp_flags::ACK != 0 {
        let _ = write!(out, ", ack {}", seg.ack.wrapping_sub(ack_base));
    }
    let _ = write!(out, ", win {}", seg.window);
    let o = &seg.options;
    let mut sep = ", options [";
    let mut option = |out: &mut String, args: std::fmt::Arguments<'_>| {
        out.push_str(sep);
        let _ = out.write_fmt(args);
        sep = ",";
    };
    if let Some(mss) = o.mss {
        option(out, format_args!("mss {mss}"));
    }
    if o.sack_permitted {
        option(out, format_args!("sackOK"));
    }
    if let Some((val, ecr)) = o.timestamps {
        option(out, format_args!("TS val {val} ecr {ecr}"));
    }
    if let Some(shift) = o.window_scale {
        option(out, format_args!("wscale {shift}"));
    }
    for (left, right) in o.sack.iter().take(usize::from(o.sack_count)) {
        option(
            out,
            format_args!("sack {{{}:{}}}", left.wrapping_sub(ack_base), right.wrapping_sub(ack_base)),
        );
    }
    if sep == "," {
        out.push(']');
    }
    let _ = write!(out, ", length {payload}");
}

fn dropped(drop: &DropFact, out: &mut String) {
    out.push_str(" ! drop ");
    if let Some(peer) = &drop.at_peer {
        out.push_str("at the peer ");
        if peer.pid != 0 {
            push_safe(out, &peer.comm);
            let _ = write!(out, "[{}] ", peer.pid);
        }
        let _ = write!(out, "in netns {}: ", drop.netns_inum);
    }
    let direction = match drop.direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    let _ = write!(out, "{} at {}, {direction}", drop.reason, drop.location);
    if !drop.details.interface.is_empty() {
        out.push(' ');
        push_safe(out, &drop.details.interface);
    }
    out.push_str(", 1 packet");
    if drop.segments > 1 {
        let _ = write!(out, " of {}", Count(u64::from(drop.segments), "segment"));
    }
    if drop.payload_len > 0 {
        let _ = write!(out, ", {} payload bytes", drop.payload_len);
    }
    if drop.why() != Why::Other {
        out.push_str(": ");
        words::why(drop.why(), &drop.details, out);
    }
}

fn turn_line(turn: &Turn, explain: bool, out: &mut String) {
    let took = if explain { turn.duration() } else { turn.end.since(turn.start) };
    let _ = write!(out, " turn {}", turn.index + 1);
    if let Some(request) = &turn.request {
        out.push_str(", ");
        push_safe(out, &request.to_string());
    }
    let _ =
        write!(out, ": {} B asked, {} B answered, {}", turn.request_bytes, turn.response_bytes, Time(took),);
    if let Some(p50) = turn.p50.filter(|_| explain) {
        let _ = write!(out, " (p50 of this endpoint: {})", Time(p50));
    }
    if turn.response_bytes == 0 {
        out.push_str(", never answered");
    } else {
        let _ =
            write!(out, ", first answer byte after {}", Time(turn.response_start.since(turn.request_end)));
    }
    if turn.retransmits > 0 {
        let _ = write!(out, ", {}", Count(u64::from(turn.retransmits), "retransmit"));
    }
    if turn.drops > 0 {
        let _ = write!(out, ", {}", Count(u64::from(turn.drops), "drop"));
    }
    if turn.incomplete {
        out.push_str(" (incomplete: events were lost)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracenet_core::event::TcpOptions;

    #[test]
    fn a_syn_looks_as_in_tcpdump() {
        let seg = Segment {
            seq: 2_707_990_323,
            ack: 0,
            window: 64240,
            flags: tcp_flags::SYN,
            options: TcpOptions {
                mss: Some(1460),
                sack_permitted: true,
                window_scale: Some(7),
                ..TcpOptions::default()
            },
        };
        let mut s = String::new();
        segment(&seg, 0, 0, 0, &mut s);
        assert_eq!(s, "Flags [S], seq 2707990323, win 64240, options [mss 1460,sackOK,wscale 7], length 0");
    }

    #[test]
    fn data_is_counted_from_the_initial_sequence_number() {
        let seg = Segment {
            seq: 11,
            ack: 21,
            window: 502,
            flags: tcp_flags::PSH | tcp_flags::ACK,
            ..Segment::default()
        };
        let mut s = String::new();
        segment(&seg, 31, 10, 20, &mut s);
        assert_eq!(s, "Flags [P.], seq 1:32, ack 1, win 502, length 31");
    }
}
