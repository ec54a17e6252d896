//! Drops in plain words.

use std::fmt::Write as _;

use tracenet_core::drops::{Details, Queue, QueueKind, Rule, Sure, Suspects, Why};

use crate::paint::push_safe;
use crate::units::{Bytes, Count};

/// Appends why a packet was dropped.
pub fn why(why: Why, details: &Details, out: &mut String) {
    match why {
        Why::FirewallRule => firewall(details, out),
        Why::ConntrackFull => {
            out.push_str("the table of tracked connections is full");
            if let Some(c) = details.conntrack {
                let _ = write!(out, " ({} of {})", c.count, c.max);
            }
        }
        Why::QdiscFull | Why::ReceiveBufferFull | Why::BacklogFull | Why::AcceptQueueFull => {
            full(why, details.queue.as_ref(), out);
        }
        Why::TtlExpired if details.ttl > 0 => {
            let _ = write!(out, "it had made too many hops (TTL {})", details.ttl);
        }
        _ => out.push_str(plain(why)),
    }
}

fn plain(why: Why) -> &'static str {
    match why {
        Why::FirewallRule => "by a rule of the firewall",
        Why::ConntrackFull => "the table of tracked connections is full",
        Why::Netfilter => "by netfilter, and not by one of the rules",
        Why::QdiscFull => "the queueing discipline was full",
        Why::ReceiveBufferFull => "the receive buffer was full",
        Why::BacklogFull => "the socket's backlog was full",
        Why::AcceptQueueFull => "the accept queue was full",
        Why::CpuQueueFull => "the kernel's input queue was full",
        Why::ReversePath => "the way back to its source leads elsewhere (rp_filter)",
        Why::TtlExpired => "it had made too many hops",
        Why::BadChecksum => "its checksum was wrong",
        Why::OldTimestamp => "its TCP timestamp was too old (PAWS)",
        Why::NoRoute => "there is no route",
        Why::NoListener => "nobody is there at its port",
        Why::NoNeighbour => "the neighbour on the link doesn't answer",
        Why::Program => "by a BPF program or a traffic-control filter",
        Why::NoMemory => "there was no memory",
        Why::OutOfWindow => "its sequence numbers are outside the window",
        Why::Malformed => "its headers were malformed",
        Why::Other => "for the kernel's reason",
    }
}

fn firewall(details: &Details, out: &mut String) {
    match &details.rule {
        Some(Suspects { rules, sure: Sure::OneOf, of }) => {
            let _ = write!(out, "by one of {of} rules of the firewall");
            for (i, r) in rules.iter().enumerate() {
                out.push_str(if i == 0 { ": " } else { "; " });
                rule(r, out);
            }
        }
        Some(Suspects { rules, sure, .. }) if !rules.is_empty() => {
            out.push_str("by ");
            rules.first().into_iter().for_each(|r| rule(r, out));
            out.push_str(if *sure == Sure::Proven {
                ", whose counter moved"
            } else {
                ", the only one that can have"
            });
        }
        _ => out.push_str(plain(Why::FirewallRule)),
    }
    if let Some(hook) = details.hook {
        let _ = write!(out, ", at {}", hook.as_str());
    }
}

fn rule(r: &Rule, out: &mut String) {
    out.push_str(if r.handle.is_some() { "nft rule `" } else { "the policy of `" });
    push_safe(out, &format!("table {} {}, chain {}", r.family, r.table, r.chain));
    if let Some(handle) = r.handle {
        let _ = write!(out, ", handle {handle}");
    }
    out.push('`');
}

fn full(why: Why, queue: Option<&Queue>, out: &mut String) {
    let Some(q) = queue else {
        out.push_str(plain(why));
        return;
    };
    let fill = u64::from(q.fill);
    match q.kind {
        QueueKind::Qdisc => {
            out.push_str("qdisc ");
            push_safe(out, &q.name);
            let _ = write!(out, " was full: {}, {}", Count(fill, "packet"), Bytes(u64::from(q.bytes)));
            if q.limit > 0 {
                let _ = write!(out, ", limit {}", q.limit);
            }
        }
        QueueKind::Accept => {
            let _ = write!(out, "the accept queue was full: {} of {}", Count(fill, "connection"), q.limit);
        }
        QueueKind::Receive | QueueKind::Backlog => {
            let _ = write!(out, "{}: {} of {}", plain(why), Bytes(fill), Bytes(u64::from(q.limit)));
        }
    }
}
