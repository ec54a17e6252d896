//! A fact as a line of JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use super::drop_cause::DropCause;
use super::turn_line::{self, TurnDetail};
use super::{Connection, exit_status};
use crate::event::{LossSource, Segment};
use crate::fact::{Fact, FactKind, PacketFact};
use crate::json;
use crate::key::{Direction, Role, Transport};
use crate::syscall::{self, RenderOptions};
use crate::time::{ClockOffset, DurationNs, WallNs};

/// Value of `schema` in every line.
pub const EVENT_SCHEMA: &str = "tracenet.event/1";

/// Value of `schema` in the lines of kind `turn`.
pub const TURN_SCHEMA: &str = "tracenet.turn/1";

/// A line. Its fields are those of the JSON; `detail`'s stand beside the others.
#[derive(Debug, Clone, Serialize)]
pub struct EventLine<'a> {
    /// [`EVENT_SCHEMA`]; of a turn [`TURN_SCHEMA`].
    pub schema: &'static str,
    /// `fork`, `exec`, `exit`, `thread_exit`, `signal`, `syscall`, `sleeps` (it is in the call still), `opened`, `established`, `accepted`, `state`, `packet`, `retransmit`,
    /// `drop`, `reset`, `turn`, `closed`, `counters`, `governor`, `lost`.
    pub kind: &'static str,
    /// Place in the stream, in nanoseconds since the epoch: when it happened, for a syscall when it was entered. It
    /// never goes back: what is told late (a turn is over when the next one begins) stands where it is told, and has
    /// its own times in `detail`.
    pub t_ns: WallNs,
    /// PID that it belongs to.
    pub pid: Option<u32>,
    /// Thread that acted; the PID where none did.
    pub tid: Option<u32>,
    /// Name of the process.
    pub comm: Option<&'a str>,
    /// Connection that it belongs to.
    pub conn: Option<String>,
    /// What depends on `kind`.
    #[serde(flatten)]
    pub detail: Detail<'a>,
}

/// Fields of one kind of line.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "see FactKind")]
pub enum Detail<'a> {
    Fork {
        child: u32,
        child_comm: &'a str,
        followed: bool,
    },
    Exec {
        filename: &'a str,
    },
    Exit {
        exit: u32,
    },
    Signal {
        signal: Option<&'static str>,
        ignored: bool,
        /// As strace prints it.
        text: String,
    },
    Sleeps {
        nr: u32,
        name: Option<&'static str>,
    },
    Syscall {
        nr: u32,
        name: Option<&'static str>,
        ret: Option<i64>,
        entered_ns: WallNs,
        duration_ns: DurationNs,
        /// As strace prints it.
        text: String,
    },
    Opened {
        transport: Transport,
        role: Role,
        local: SocketAddr,
        remote: SocketAddr,
        opened_before: bool,
    },
    Established {
        connect_ns: Option<DurationNs>,
    },
    Accepted {
        accept_wait_ns: DurationNs,
    },
    State {
        from: &'static str,
        to: &'static str,
    },
    Packet(PacketDetail),
    Retransmit {
        cause: &'static str,
        seq: u32,
        seq_end: u32,
        segments: u32,
        after_ns: Option<DurationNs>,
    },
    Drop {
        reason: &'a str,
        location: &'a str,
        direction: Direction,
        seq: u32,
        length: u32,
        segments: u32,
        ifindex: u32,
        netns: u32,
        at_peer: bool,
        peer_pid: Option<u32>,
        peer_comm: Option<&'a str>,
        #[serde(flatten)]
        cause: Box<DropCause>,
    },
    Reset {
        direction: Direction,
        reason: Option<&'a str>,
    },
    Turn(Box<TurnDetail>),
    Closed(Box<Connection>),
    Counters {
        since_ns: WallNs,
        /// Null: of the host.
        netns: Option<u32>,
        moved: BTreeMap<&'a str, u64>,
    },
    Governor {
        /// `costly`, `room`, `ring`, `cpu`, `memory`, `lowest`, `held`, `end`.
        why: &'static str,
        /// Of the targets' own CPU time, 0.01 for 1 %.
        budget: f64,
        cost: f64,
        /// What is left out altogether.
        left_out: &'a [Arc<str>],
        /// What is observed for `share` of the time; null where nothing more can be left out.
        rung: Option<&'a str>,
        share: f64,
        /// So far.
        unobserved_ns: BTreeMap<&'a str, DurationNs>,
    },
    Lost {
        source: &'static str,
        what: &'a str,
        count: u64,
    },
}

/// A packet.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "see event::Packet and tcp::Analysis")]
pub struct PacketDetail {
    pub direction: Direction,
    pub transport: Transport,
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub ifindex: u32,
    pub wire_length: u32,
    pub length: u32,
    #[serde(flatten)]
    pub tcp: Option<TcpDetail>,
    /// Names of the analyser's verdicts, comma-separated.
    pub verdicts: Option<String>,
    pub bytes_in_flight: Option<u32>,
    pub ack_rtt_ns: Option<DurationNs>,
    pub rto_ns: Option<DurationNs>,
}

/// TCP header of a packet; sequence numbers are absolute, the window is unscaled.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "RFC 9293")]
pub struct TcpDetail {
    /// As tcpdump prints them: `S`, `S.`, `P.`, `F.`, `R`, `.`.
    pub flags: String,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
}

impl<'a> EventLine<'a> {
    fn new(fact: &'a Fact, clock: ClockOffset, t_ns: WallNs) -> Self {
        let (kind, detail) = detail(fact, clock);
        Self {
            schema: if kind == "turn" { TURN_SCHEMA } else { EVENT_SCHEMA },
            kind,
            t_ns,
            pid: fact.who.as_ref().map(|w| w.key.tgid),
            tid: fact.who.as_ref().map(|w| w.tid),
            comm: fact.who.as_ref().map(|w| &*w.comm),
            conn: fact.conn.map(|c| c.to_string()),
            detail,
        }
    }
}

/// The lines of a story, in order.
#[derive(Debug, Default)]
pub struct EventLines {
    latest: WallNs,
}

impl EventLines {
    /// Appends the line of `fact`, with its newline, to `out`. Every fact has one.
    pub fn append(&mut self, fact: &Fact, clock: ClockOffset, out: &mut Vec<u8>) {
        let t = match &fact.kind {
            FactKind::Syscall(call) => call.entered,
            _ => fact.t,
        };
        self.latest = self.latest.max(clock.wall(t));
        // Our own types, whose keys are strings: nothing can fail.
        let _ = json::append(&EventLine::new(fact, clock, self.latest), out);
        out.push(b'\n');
    }
}

fn detail(fact: &Fact, clock: ClockOffset) -> (&'static str, Detail<'_>) {
    match &fact.kind {
        FactKind::Forked { child, comm, followed } => {
            ("fork", Detail::Fork { child: child.tgid, child_comm: comm, followed: *followed })
        }
        FactKind::Executed { filename } => ("exec", Detail::Exec { filename }),
        FactKind::Exited { code } => ("exit", Detail::Exit { exit: exit_status(*code) }),
        FactKind::ThreadExited { code } => ("thread_exit", Detail::Exit { exit: exit_status(*code) }),
        FactKind::Signal { info, ignored } => {
            let mut text = String::new();
            syscall::render_signal(info, &mut text);
            let signal = syscall::signal_name(info.number);
            ("signal", Detail::Signal { signal, ignored: *ignored, text })
        }
        FactKind::Sleeps(s) => ("sleeps", Detail::Sleeps { nr: s.nr, name: syscall::name(s.nr) }),
        FactKind::Syscall(s) => {
            let mut text = String::new();
            // What was not to be told was not recorded.
            let options = RenderOptions { string_limit: u32::MAX, ..RenderOptions::default() };
            syscall::render(s, &options, &mut text);
            let detail = Detail::Syscall {
                nr: s.nr,
                name: syscall::name(s.nr),
                ret: s.ret,
                entered_ns: clock.wall(s.entered),
                duration_ns: fact.t.since(s.entered),
                text,
            };
            ("syscall", detail)
        }
        FactKind::Opened { tuple, role, before } => {
            let detail = Detail::Opened {
                transport: tuple.transport,
                role: *role,
                local: tuple.local,
                remote: tuple.remote,
                opened_before: *before,
            };
            ("opened", detail)
        }
        FactKind::Established { connect } => ("established", Detail::Established { connect_ns: *connect }),
        FactKind::Accepted { wait } => ("accepted", Detail::Accepted { accept_wait_ns: *wait }),
        FactKind::State { from, to } => ("state", Detail::State { from: from.name(), to: to.name() }),
        FactKind::Packet(p) => ("packet", Detail::Packet(packet(p))),
        FactKind::Retransmit { cause, seq, seq_end, segments, after } => {
            let detail = Detail::Retransmit {
                cause: cause.as_str(),
                seq: *seq,
                seq_end: *seq_end,
                segments: *segments,
                after_ns: *after,
            };
            ("retransmit", detail)
        }
        FactKind::Dropped(d) => {
            let peer = d.at_peer.as_ref().filter(|p| p.pid != 0);
            let detail = Detail::Drop {
                reason: &d.reason,
                location: &d.location,
                direction: d.direction,
                seq: d.seq,
                length: d.payload_len,
                segments: d.segments,
                ifindex: d.ifindex,
                netns: d.netns_inum,
                at_peer: d.at_peer.is_some(),
                peer_pid: peer.map(|p| p.pid),
                peer_comm: peer.map(|p| &*p.comm),
                cause: Box::new(DropCause::from(&**d)),
            };
            ("drop", detail)
        }
        FactKind::Reset { direction, reason } => {
            ("reset", Detail::Reset { direction: *direction, reason: reason.as_deref() })
        }
        FactKind::Turn(t) => ("turn", Detail::Turn(Box::new(turn_line::turn(t, clock)))),
        FactKind::Closed(c) => ("closed", Detail::Closed(Box::new(Connection::from(&**c)))),
        FactKind::Counters(sample) => {
            let moved = sample.moved.iter().map(|(name, n)| (&**name, *n)).collect();
            let since_ns = clock.wall(sample.since);
            ("counters", Detail::Counters { since_ns, netns: sample.netns_inum, moved })
        }
        FactKind::Governor(step) => {
            let detail = Detail::Governor {
                why: step.why.as_str(),
                budget: step.budget,
                cost: step.cost,
                left_out: &step.left_out,
                rung: step.rung.as_deref(),
                share: step.share,
                unobserved_ns: step.unobserved.iter().map(|(rung, t)| (&**rung, *t)).collect(),
            };
            ("governor", detail)
        }
        FactKind::Lost { source, what, count } => {
            let source = match source {
                LossSource::Ringbuf => "ringbuf",
                LossSource::Capture => "capture",
                LossSource::Queue => "queue",
                LossSource::Export => "export",
            };
            ("lost", Detail::Lost { source, what, count: *count })
        }
    }
}

fn packet(p: &PacketFact) -> PacketDetail {
    let analysis = p.analysis.unwrap_or_default();
    let verdicts = p.analysis.map(|a| a.verdicts.to_string()).filter(|v| !v.is_empty());
    PacketDetail {
        direction: p.direction,
        transport: p.packet.tuple.transport,
        src: p.packet.tuple.local,
        dst: p.packet.tuple.remote,
        ifindex: p.packet.ifindex,
        wire_length: p.packet.wire_len,
        length: p.packet.payload_len,
        tcp: p.packet.tcp.as_ref().map(|s| TcpDetail {
            flags: flags(s),
            seq: s.seq,
            ack: s.ack,
            window: s.window,
        }),
        verdicts,
        bytes_in_flight: analysis.bytes_in_flight,
        ack_rtt_ns: analysis.ack_rtt,
        rto_ns: analysis.rto,
    }
}

/// Letters of tcpdump, in its order.
fn flags(s: &Segment) -> String {
    let letters = [(1, 'F'), (2, 'S'), (4, 'R'), (8, 'P'), (16, '.'), (32, 'U'), (64, 'E'), (128, 'W')];
    letters.iter().filter(|(bit, _)| s.flags & bit != 0).map(|(_, c)| *c).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Packet, RetransmitCause};
    use crate::fact::Who;
    use crate::key::{ConnId, NetnsCookie, ProcessKey, Tuple};
    use crate::time::MonoNs;

    const CLOCK: ClockOffset = ClockOffset { wall_minus_mono_ns: 1_700_000_000_000_000_000 };

    fn parse(kind: FactKind) -> serde_json::Value {
        let who = Who { key: ProcessKey { tgid: 7, start_ns: 1 }, tid: 8, comm: Arc::from("a\"b") };
        let fact = Fact { t: MonoNs(5), who: Some(who), conn: Some(ConnId(3)), kind };
        let mut text = b"{}\n".to_vec();
        EventLines::default().append(&fact, CLOCK, &mut text);
        let text = String::from_utf8(text).expect("valid UTF-8");
        let line = text.strip_prefix("{}\n").and_then(|l| l.strip_suffix('\n')).expect("one more line");
        assert!(!line.contains('\n'));
        serde_json::from_str(line).expect("valid JSON")
    }

    #[test]
    fn lines_never_go_back_in_time() {
        let (mut lines, mut text) = (EventLines::default(), Vec::new());
        for t in [7, 5, 9] {
            let kind = FactKind::Executed { filename: Arc::from("x") };
            lines.append(&Fact { t: MonoNs(t), who: None, conn: None, kind }, CLOCK, &mut text);
        }
        let times: Vec<u64> = String::from_utf8(text)
            .expect("valid UTF-8")
            .lines()
            .map(|l| {
                serde_json::from_str::<serde_json::Value>(l).expect("valid JSON")["t_ns"]
                    .as_u64()
                    .unwrap_or(0)
            })
            .collect();
        assert_eq!(times, [7, 7, 9].map(|t| 1_700_000_000_000_000_000 + t));
    }

    #[test]
    fn a_line_says_when_who_and_where() {
        let v = parse(FactKind::Retransmit {
            cause: RetransmitCause::TailLossProbe,
            seq: 1,
            seq_end: 32,
            segments: 1,
            after: None,
        });
        assert_eq!(v["schema"], "tracenet.event/1");
        assert_eq!(v["kind"], "retransmit");
        assert_eq!(v["t_ns"], 1_700_000_000_000_000_005u64);
        assert_eq!((&v["pid"], &v["tid"]), (&7.into(), &8.into()));
        assert_eq!((&v["comm"], &v["conn"]), (&"a\"b".into(), &"c3".into()));
        assert_eq!((&v["cause"], &v["seq_end"]), (&"tail_loss_probe".into(), &32.into()));
        assert!(v["after_ns"].is_null());
    }

    #[test]
    fn a_packet_stands_flat_in_its_line() {
        let tuple = Tuple {
            transport: Transport::Tcp,
            local: "10.0.0.1:1".parse().expect("an address"),
            remote: "[2001:db8::1]:2".parse().expect("an address"),
        };
        let seg = Segment { seq: 9, flags: 0x12, ..Segment::default() };
        let packet = Packet {
            netns: NetnsCookie(1),
            ifindex: 2,
            wall: WallNs(0),
            tuple,
            wire_len: 60,
            ip_id: None,
            payload_len: 0,
            tcp: Some(seg),
            opening: None,
            frame: None,
        };
        let fact = PacketFact { packet, direction: Direction::Out, analysis: None };
        let v = parse(FactKind::Packet(Box::new(fact)));
        assert_eq!((&v["src"], &v["dst"]), (&"10.0.0.1:1".into(), &"[2001:db8::1]:2".into()));
        assert_eq!((&v["flags"], &v["seq"], &v["direction"]), (&"S.".into(), &9.into(), &"out".into()));
    }

    #[test]
    fn an_exit_is_told_as_the_shell_tells_it() {
        assert_eq!(parse(FactKind::Exited { code: 9 })["exit"], 137);
    }
}
