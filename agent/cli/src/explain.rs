//! A turn in plain words: what it is to be blamed on, where its time went, and what proves it.

use std::fmt::Write as _;

use tracenet_core::drops::Hurt;
use tracenet_core::event::RetransmitCause;
use tracenet_core::key::Direction;
use tracenet_core::time::DurationNs;
use tracenet_core::waterfall::{Cause, Evidence, Part, Waterfall};

use crate::paint::{Ink, Paint, push_safe};
use crate::units::{Count, Time};
use crate::words;

/// Parts on one line below the verdict.
const ON_A_LINE: usize = 3;

/// Appends the lines that explain a turn: the verdict, the other parts by size, the evidence.
pub fn turn(w: &Waterfall, paint: Paint, out: &mut String) {
    let took = w.cause.part().map_or(w.parts.sum(), |part| w.parts.get(part));
    out.push_str("\n      ");
    paint.start(out, if w.cause.is_trouble() { Ink::Bad } else { Ink::Note });
    if took.0 > 0 {
        let _ = write!(out, "{}  {}", padded(took), blame(w.cause));
    } else {
        // A server's turn whose trouble came when all was written.
        let _ = write!(out, "{}  {}, after the last write", padded(took), blame(w.cause));
    }
    paint.end(out);
    let others = w.parts.by_size().into_iter().filter(|(part, _)| Some(*part) != w.cause.part());
    for (i, (part, t)) in others.enumerate() {
        out.push_str(if i % ON_A_LINE == 0 { "\n      " } else { "    " });
        let _ = write!(out, "{}  {}", padded(t), words(part));
    }
    for e in &w.evidence {
        let _ = write!(out, "\n      evidence at {}: ", Time(e.t().since(w.start)));
        evidence(e, out);
    }
}

fn padded(t: DurationNs) -> String {
    format!("{:>8}", Time(t).to_string())
}

fn blame(cause: Cause) -> &'static str {
    match cause {
        Cause::Part(part) => words(part),
        Cause::Reset => "and the connection was reset",
        Cause::Refused => "connection refused: nobody listens there",
    }
}

fn words(part: Part) -> &'static str {
    match part {
        Part::ZeroWindowPeer => "the peer's receive window was shut",
        Part::ZeroWindowLocal => "our receive window was shut: we read too slowly",
        Part::LossRto => "loss, repaired after a retransmission timeout",
        Part::LossTlp => "loss, repaired by a tail loss probe",
        Part::LossFast => "loss, repaired by fast retransmit",
        Part::Connect => "connect",
        Part::AcceptQueue => "accept queue",
        Part::RunQueue => "run queue (waiting for a CPU)",
        Part::ReceivePath => "receive path",
        Part::ReceiveBuffer => "receive buffer (readable, not read)",
        Part::SendBuffer => "send buffer full",
        Part::Application => "application",
        Part::EgressQueue => "egress queue (qdisc or driver)",
        Part::Network => "network",
        Part::Peer => "peer think time",
        Part::Dns => "name resolution",
        Part::Tls => "TLS handshake",
        Part::Unaccounted => "unaccounted",
    }
}

fn evidence(e: &Evidence, out: &mut String) {
    match e {
        Evidence::Retransmit { cause, seq, seq_end, segments, after, by_peer, .. } => {
            let who = if *by_peer { "the peer sent" } else { "sent" };
            let why = match cause {
                RetransmitCause::Fast => "fast retransmit",
                RetransmitCause::TailLossProbe => "tail loss probe",
                RetransmitCause::Timeout => "timeout",
                RetransmitCause::Syn | RetransmitCause::SynAck => "handshake",
                RetransmitCause::Other => "cause not known",
            };
            let segments = Count(u64::from(*segments), "segment");
            let _ = write!(out, "{who} {segments} [seq {seq}..{seq_end}) again, {why}");
            if let Some(after) = after {
                let _ = write!(out, ", {} after it was sent before", Time(*after));
            }
        }
        Evidence::Drop { direction, drop, .. } => {
            let way = if *direction == Direction::Out { "sent by us" } else { "for us" };
            let place = if drop.at_peer.is_some() { " at the peer's end" } else { "" };
            let _ = write!(out, "a packet {way} was dropped on this host{place}: ");
            words::why(drop.why(), &drop.details, out);
            let _ = write!(out, "; {} at {}", drop.reason, drop.location);
            if !drop.details.interface.is_empty() {
                let way = if drop.direction == Direction::Out { "out" } else { "in" };
                let _ = write!(out, ", {way} ");
                push_safe(out, &drop.details.interface);
            }
            if drop.payload_len > 0 {
                let _ = write!(out, ", {} payload bytes", drop.payload_len);
            }
            let whose = match drop.hurt {
                Hurt::Sender => "its sender",
                Hurt::Receiver => "its receiver",
                Hurt::None => "nobody known",
            };
            let _ = write!(out, "; hurt: {whose}");
            if drop.victim.pid != 0 {
                out.push(' ');
                push_safe(out, &drop.victim.comm);
                let _ = write!(out, "[{}]", drop.victim.pid);
            }
        }
        Evidence::Hole { stood, .. } => {
            let _ = write!(out, "bytes were missing for {}", Time(*stood));
        }
        Evidence::ZeroWindow { shut, direction, .. } => {
            let whose = if *direction == Direction::Out { "our" } else { "the peer's" };
            let _ = write!(out, "{whose} receive window was shut for {}", Time(*shut));
        }
        Evidence::Reset { direction, .. } => {
            let who = if *direction == Direction::Out { "we" } else { "the peer" };
            let _ = write!(out, "{who} reset the connection");
        }
        Evidence::Call { took, direction, .. } => {
            let call = if *direction == Direction::Out { "write" } else { "read" };
            let _ = write!(out, "the longest call, a {call}, took {}", Time(*took));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use tracenet_core::drops::{Details, Hook, Rule, Sure, Suspects};
    use tracenet_core::fact::{DropFact, PeerOwner};
    use tracenet_core::key::Transport;
    use tracenet_core::time::MonoNs;
    use tracenet_core::waterfall::Parts;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_turn_reads_as_a_verdict_then_the_rest_then_the_proof() {
        let parts: Parts = [
            (Part::LossRto, DurationNs(612 * MS)),
            (Part::Application, DurationNs(9 * MS)),
            (Part::Peer, DurationNs(170 * MS)),
            (Part::Network, DurationNs(22 * MS)),
            (Part::ReceiveBuffer, DurationNs(4 * MS)),
        ]
        .into_iter()
        .collect();
        let start = MonoNs(1_000 * MS);
        let rule =
            Rule { family: "inet".into(), table: "filter".into(), chain: "output".into(), handle: Some(7) };
        let details = Details {
            interface: "eth0".into(),
            hook: Some(Hook::Output),
            rule: Some(Suspects { rules: vec![rule], of: 1, sure: Sure::Proven }),
            ..Details::default()
        };
        let drop = Evidence::Drop {
            t: start.after(MS),
            direction: Direction::Out,
            drop: Arc::new(DropFact {
                reason: Arc::from("NETFILTER_DROP"),
                location: Arc::from("nft_do_chain"),
                details: Arc::new(details),
                transport: Transport::Tcp,
                direction: Direction::Out,
                hurt: Hurt::Sender,
                victim: PeerOwner { pid: 7, comm: Arc::from("curl") },
                seq: 1_381,
                payload_len: 1_380,
                segments: 1,
                ifindex: 2,
                netns_inum: 1,
                at_peer: None,
            }),
        };
        let again = Evidence::Retransmit {
            t: start.after(204 * MS),
            cause: RetransmitCause::Timeout,
            seq: 1_381,
            seq_end: 2_761,
            segments: 1,
            after: Some(DurationNs(203 * MS)),
            by_peer: false,
        };
        let evidence = vec![drop, again];
        let before = Parts::default();
        let w = Waterfall {
            start,
            parts,
            before,
            cause: Cause::Part(Part::LossRto),
            evidence,
            incomplete: false,
        };
        let mut text = String::new();
        turn(&w, Paint::choose(tracenet_config::Color::Never, false), &mut text);
        let expected = "
        612 ms  loss, repaired after a retransmission timeout
        170 ms  peer think time     22.0 ms  network     9.00 ms  application
       4.00 ms  receive buffer (readable, not read)
      evidence at 1.00 ms: a packet sent by us was dropped on this host: by nft rule `table inet filter, chain output, handle 7`, whose counter moved, at output; NETFILTER_DROP at nft_do_chain, out eth0, 1380 payload bytes; hurt: its sender curl[7]
      evidence at 204 ms: sent 1 segment [seq 1381..2761) again, timeout, 203 ms after it was sent before";
        assert_eq!(text, expected);
    }
}
