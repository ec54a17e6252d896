//! What `--json` prints, as data: `tracenet.summary/1`, the object at the end, and `tracenet.event/1`, the lines before it.
//!
//! Times are wall-clock nanoseconds since the epoch (`t_ns`), lengths nanoseconds (`_ns`), sizes bytes. Fields may be
//! added; those that are there keep their meaning.

mod drop_cause;
mod event_line;
mod turn_line;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audit::{AuditRow, FirewallRule};
use crate::conn::wire::WireCounts;
use crate::core::Core;
use crate::event::TcpInfo;
use crate::fact::{ConnSummary, DropTotals, RetransmitTotals, RttSummary, TraceIdSource};
use crate::json;
use crate::key::{Direction, Role, Transport};
use crate::time::{DurationNs, MonoNs};
use crate::totals::LostTotals;

pub use drop_cause::{DropCause, DropPlace};
pub use event_line::{Detail, EVENT_SCHEMA, EventLine, EventLines, PacketDetail, TURN_SCHEMA, TcpDetail};
pub use turn_line::{EvidenceDetail, TurnDetail};

/// Value of `schema` in the summary.
pub const SUMMARY_SCHEMA: &str = "tracenet.summary/1";

/// What the summary tells beyond what the core knows.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    /// How long it lasted.
    pub duration: DurationNs,
    /// Events lost in all, those at the exporter included.
    pub lost: LostTotals,
    /// Retransmitted segments and dropped packets without an owner, beyond those that the core was told of.
    pub unattributed: Unattributed,
    /// See [`audit::compare`](crate::audit::compare).
    pub audit: Vec<AuditRow>,
    /// Rules of the packet filter that dropped, or may have.
    pub firewall: Vec<FirewallRule>,
}

/// Trouble without an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unattributed {
    /// Segments.
    pub retransmits: u64,
    /// Packets.
    pub drops: u64,
}

/// The object at the end. Its fields are those of the JSON.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "documented by the schema")]
pub struct Summary {
    pub schema: &'static str,
    pub duration_ns: DurationNs,
    pub targets: Vec<Target>,
    pub connections: Vec<Connection>,
    /// Connections that are not in `connections`, because there were too many.
    pub connections_omitted: u64,
    pub unattributed: Unattributed,
    /// Trouble of targets that belongs to none of the connections.
    pub no_connection: Vec<NoConnection>,
    pub audit: Vec<AuditRow>,
    /// Rules of the packet filter that dropped, or may have, where a target's packets were dropped by it.
    pub firewall: Vec<FirewallRule>,
    pub lost: Lost,
    /// What was left out to hold the cost of observing to a budget, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<Governor>,
}

/// What the overhead governor did.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "see GovernorTotals")]
pub struct Governor {
    pub budget: f64,
    pub steps: u64,
    pub lowest: bool,
    /// Nanoseconds for which each rung was not observed.
    pub unobserved_ns: BTreeMap<Arc<str>, DurationNs>,
}

/// A traced process.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// PID.
    pub pid: u32,
    /// Its last name.
    pub comm: Arc<str>,
    /// Exit status as a shell shows it (128 + n for signal n); `None` while it lives.
    pub exit: Option<u32>,
}

/// A connection.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "see ConnSummary")]
pub struct Connection {
    pub id: String,
    pub pid: Option<u32>,
    pub comm: Option<Arc<str>>,
    /// Inode number of the network namespace.
    pub netns: u32,
    pub transport: Transport,
    pub role: Role,
    pub local: String,
    pub remote: String,
    pub opened_before: bool,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub bytes_sent_before: u64,
    pub bytes_received_before: u64,
    pub turns: u64,
    pub connect_ns: Option<DurationNs>,
    pub accept_wait_ns: Option<DurationNs>,
    pub rtt_ns: Option<Rtt>,
    pub retransmits: Retransmits,
    pub drops: Vec<Drops>,
    pub peer_drops: Vec<Drops>,
    pub zero_window_stalls: u64,
    pub packets_sent: u64,
    pub packets_received: u64,
    /// Verdicts on the packets, both directions.
    pub wire: WireCounts,
    pub close: &'static str,
    /// Errno of the socket at its end, 0 for none.
    pub err: u32,
    /// `CLOCK_MONOTONIC`.
    pub start_mono_ns: MonoNs,
    /// `CLOCK_MONOTONIC`.
    pub end_mono_ns: MonoNs,
    pub cookie: u64,
    pub trace_id: String,
    /// `isn_pair`: the peer's agent makes the same; `local`: it doesn't.
    pub trace_id_source: &'static str,
    pub tcp_info: Option<KernelTcp>,
    pub incomplete: bool,
}

/// Round-trip times from the wire.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "see RttSummary")]
pub struct Rtt {
    pub min: DurationNs,
    pub p50: DurationNs,
    pub p99: DurationNs,
    pub max: DurationNs,
    pub samples: u64,
}

/// Retransmitted segments by cause.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "see RetransmitTotals")]
pub struct Retransmits {
    pub total: u64,
    pub fast: u64,
    pub tail_loss_probe: u64,
    pub timeout: u64,
    pub syn: u64,
    pub syn_ack: u64,
    pub other: u64,
}

/// Drops of one kind.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "see DropTotals")]
pub struct Drops {
    pub reason: Arc<str>,
    pub location: Arc<str>,
    pub direction: Direction,
    pub packets: u64,
    pub segments: u64,
    /// Inode number of the namespace where it was dropped.
    pub netns: u32,
    /// The process whose socket it hurt.
    pub pid: Option<u32>,
    pub comm: Option<Arc<str>>,
    #[serde(flatten)]
    pub place: DropPlace,
}

/// Trouble of a target outside its connections: a listener's, for example.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "see totals::NoConnection")]
pub struct NoConnection {
    pub pid: u32,
    pub comm: Arc<str>,
    pub retransmits: Retransmits,
    pub drops: Vec<Drops>,
}

/// Events lost, by where.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "see LossSource")]
pub struct Lost {
    pub ringbuf: u64,
    pub capture: u64,
    pub queue: u64,
    pub export: u64,
}

/// The kernel's view of a TCP connection, in its names and units (`_us` is microseconds).
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "see TcpInfo")]
pub struct KernelTcp {
    pub srtt_us: u32,
    pub rttvar_us: u32,
    pub min_rtt_us: u32,
    pub snd_cwnd: u32,
    pub snd_ssthresh: u32,
    pub total_retrans: u32,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub segs_in: u32,
    pub segs_out: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub mss_cache: u32,
    pub lost: u32,
    pub reordering: u32,
    pub dsack_dups: u32,
    pub rcv_ooopack: u32,
}

impl Summary {
    /// The summary of a core that has finished.
    pub fn new(core: &Core, closing: Closing) -> Self {
        let totals = core.totals();
        let lost = closing.lost;
        Self {
            schema: SUMMARY_SCHEMA,
            duration_ns: closing.duration,
            targets: core
                .targets()
                .iter()
                .map(|t| Target { pid: t.key.tgid, comm: Arc::clone(&t.comm), exit: t.exit.map(exit_status) })
                .collect(),
            connections: core.summaries().iter().map(Connection::from).collect(),
            connections_omitted: totals.omitted,
            unattributed: Unattributed {
                retransmits: totals.unattributed_retransmits + closing.unattributed.retransmits,
                drops: totals.unattributed_drops + closing.unattributed.drops,
            },
            no_connection: totals
                .no_connection
                .iter()
                .map(|n| NoConnection {
                    pid: n.owner.key.tgid,
                    comm: Arc::clone(&n.owner.comm),
                    retransmits: Retransmits::from(&n.retransmits),
                    drops: n.drops.iter().map(Drops::from).collect(),
                })
                .collect(),
            audit: closing.audit,
            firewall: closing.firewall,
            lost: Lost {
                ringbuf: lost.ringbuf,
                capture: lost.capture,
                queue: lost.queue,
                export: lost.export,
            },
            governor: totals.governor.map(|g| Governor {
                budget: g.budget,
                steps: g.steps,
                lowest: g.lowest,
                unobserved_ns: g.unobserved.into_iter().collect(),
            }),
        }
    }

    /// Appends it to `out` as JSON, without a newline.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        // Our own types, whose keys are strings: nothing can fail.
        let _ = json::append(self, out);
    }
}

/// Exit status from what wait(2) encodes, as a shell shows it.
pub fn exit_status(code: u32) -> u32 {
    match code & 0x7f {
        0 => (code >> 8) & 0xff,
        signal => 128 + signal,
    }
}

impl From<&ConnSummary> for Connection {
    fn from(c: &ConnSummary) -> Self {
        Self {
            id: c.id.to_string(),
            pid: c.owner.as_ref().map(|o| o.key.tgid),
            comm: c.owner.as_ref().map(|o| Arc::clone(&o.comm)),
            netns: c.netns_inum,
            transport: c.tuple.transport,
            role: c.role,
            local: c.tuple.local.to_string(),
            remote: c.tuple.remote.to_string(),
            opened_before: c.opened_before,
            bytes_sent: c.bytes_sent,
            bytes_received: c.bytes_received,
            bytes_sent_before: c.bytes_sent_before,
            bytes_received_before: c.bytes_received_before,
            turns: c.turns,
            connect_ns: c.connect,
            accept_wait_ns: c.accept_wait,
            rtt_ns: c.rtt.as_ref().map(Rtt::from),
            retransmits: Retransmits::from(&c.retransmits),
            drops: c.drops.iter().map(Drops::from).collect(),
            peer_drops: c.peer_drops.iter().map(Drops::from).collect(),
            zero_window_stalls: c.zero_window_stalls,
            packets_sent: c.packets.0,
            packets_received: c.packets.1,
            wire: c.wire,
            close: c.close.as_str(),
            err: c.err,
            start_mono_ns: c.start,
            end_mono_ns: c.end,
            cookie: c.cookie,
            trace_id: hex(&c.trace_id),
            trace_id_source: match c.trace_id_source {
                TraceIdSource::IsnPair => "isn_pair",
                TraceIdSource::Local => "local",
            },
            tcp_info: c.tcp_info.as_ref().map(KernelTcp::from),
            incomplete: c.incomplete,
        }
    }
}

impl From<&RttSummary> for Rtt {
    fn from(r: &RttSummary) -> Self {
        Self { min: r.min, p50: r.p50, p99: r.p99, max: r.max, samples: r.samples }
    }
}

impl From<&RetransmitTotals> for Retransmits {
    fn from(r: &RetransmitTotals) -> Self {
        Self {
            total: r.total,
            fast: r.fast,
            tail_loss_probe: r.tail_loss_probe,
            timeout: r.timeout,
            syn: r.syn,
            syn_ack: r.syn_ack,
            other: r.other,
        }
    }
}

impl From<&DropTotals> for Drops {
    fn from(d: &DropTotals) -> Self {
        let known = d.owner.pid != 0;
        Self {
            reason: Arc::clone(&d.reason),
            location: Arc::clone(&d.location),
            direction: d.direction,
            packets: d.packets,
            segments: d.segments,
            netns: d.netns_inum,
            pid: known.then_some(d.owner.pid),
            comm: known.then(|| Arc::clone(&d.owner.comm)),
            place: DropPlace::new(&d.reason, &d.location, d.transport, &d.details),
        }
    }
}

impl From<&TcpInfo> for KernelTcp {
    fn from(t: &TcpInfo) -> Self {
        Self {
            srtt_us: t.srtt_us,
            rttvar_us: t.rttvar_us,
            min_rtt_us: t.min_rtt_us,
            snd_cwnd: t.snd_cwnd,
            snd_ssthresh: t.snd_ssthresh,
            total_retrans: t.total_retrans,
            bytes_acked: t.bytes_acked,
            bytes_received: t.bytes_received,
            bytes_sent: t.bytes_sent,
            bytes_retrans: t.bytes_retrans,
            segs_in: t.segs_in,
            segs_out: t.segs_out,
            snd_wnd: t.snd_wnd,
            rcv_wnd: t.rcv_wnd,
            mss_cache: t.mss_cache,
            lost: t.lost,
            reordering: t.reordering,
            dsack_dups: t.dsack_dups,
            rcv_ooopack: t.rcv_ooopack,
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |d: u8| char::from(DIGITS[usize::from(d)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_is_the_shells() {
        assert_eq!(
            (exit_status(0), exit_status(3 << 8), exit_status(9), exit_status(0x8b)),
            (0, 3, 137, 139)
        );
    }

    #[test]
    fn hex_is_lower_case_and_padded() {
        let mut id = [0u8; 16];
        (id[0], id[15]) = (0xab, 1);
        assert_eq!(hex(&id), "ab000000000000000000000000000001");
    }
}
