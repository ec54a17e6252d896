//! The closing summary as a person reads it.

use std::fmt::Write as _;

use tracenet_core::audit::{AuditRow, FirewallRule};
use tracenet_core::drops::Why;
use tracenet_core::fact::{CloseReason, ConnSummary, DropTotals, RetransmitTotals};
use tracenet_core::key::{Direction, Role, Transport};

use crate::paint::{Ink, Paint, push_safe};
use crate::units::{Bytes, Count, Time};
use crate::words;

/// One line: who, with whom, how much, how well, how it ended.
pub fn connection(c: &ConnSummary, paint: Paint, out: &mut String) {
    paint.start(out, Ink::Conn);
    let _ = write!(out, "{}", c.id);
    paint.end(out);
    out.push(' ');
    match &c.owner {
        Some(who) => {
            push_safe(out, &who.comm);
            let _ = write!(out, "[{}]", who.key.tgid);
        }
        None => out.push_str("?[?]"),
    }
    let (side, arrow) = match c.role {
        Role::Client => ("client", "->"),
        Role::Server => ("server", "<-"),
    };
    let _ =
        write!(out, " {} {side} {} {arrow} {}", c.tuple.transport.as_str(), c.tuple.local, c.tuple.remote);
    if c.opened_before {
        out.push_str(" (opened before)");
    }
    let _ = write!(
        out,
        ": sent {}, received {}, {}",
        Bytes(c.bytes_sent),
        Bytes(c.bytes_received),
        Count(c.turns, "turn")
    );
    if let Some(t) = c.connect {
        let _ = write!(out, ", connect {}", Time(t));
    }
    if let Some(t) = c.accept_wait {
        let _ = write!(out, ", accept wait {}", Time(t));
    }
    if let Some(rtt) = &c.rtt {
        let _ = write!(out, ", rtt {} / {} / {}", Time(rtt.min), Time(rtt.p50), Time(rtt.max));
    }
    retransmits(&c.retransmits, paint, out);
    drops("drops", &c.drops, paint, out);
    drops("drops at the peer", &c.peer_drops, paint, out);
    if c.zero_window_stalls > 0 {
        let _ = write!(out, ", {}", Count(c.zero_window_stalls, "zero-window stall"));
    }
    out.push_str(match c.close {
        CloseReason::Fin if c.tuple.transport == Transport::Udp => ", closed",
        CloseReason::Fin => ", closed by FIN",
        CloseReason::ResetSent => ", reset sent",
        CloseReason::ResetReceived => ", reset received",
        CloseReason::Timeout => ", timed out",
        CloseReason::Open => ", still open",
    });
    if c.err != 0
        && let Ok(errno) = i32::try_from(c.err)
        && let Some(name) = tracenet_core::syscall::errno_name(errno)
    {
        let _ = write!(out, " ({name})");
    }
    if c.incomplete {
        out.push_str(", incomplete: events were lost meanwhile");
    }
    out.push('\n');
}

fn retransmits(r: &RetransmitTotals, paint: Paint, out: &mut String) {
    if r.total == 0 {
        return;
    }
    paint.start(out, Ink::Warn);
    let _ = write!(out, ", retransmits {} (", r.total);
    let causes = [
        ("fast", r.fast),
        ("tail loss probe", r.tail_loss_probe),
        ("timeout", r.timeout),
        ("SYN", r.syn),
        ("SYN/ACK", r.syn_ack),
        ("other", r.other),
    ];
    let mut sep = "";
    for (name, n) in causes.into_iter().filter(|(_, n)| *n > 0) {
        let _ = write!(out, "{sep}{name} {n}");
        sep = ", ";
    }
    out.push(')');
    paint.end(out);
}

fn drops(title: &str, drops: &[DropTotals], paint: Paint, out: &mut String) {
    if drops.is_empty() {
        return;
    }
    paint.start(out, Ink::Bad);
    let total: u64 = drops.iter().map(|d| d.packets).sum();
    let _ = write!(out, ", {title} {total} (");
    let mut sep = "";
    for d in drops {
        let direction = match d.direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        let _ = write!(out, "{sep}{} {} at {} {direction}", d.packets, d.reason, d.location);
        if !d.details.interface.is_empty() {
            out.push(' ');
            push_safe(out, &d.details.interface);
        }
        if d.segments > d.packets {
            let _ = write!(out, ", {} segments", d.segments);
        }
        let why = Why::of(&d.reason, &d.location, &d.details);
        if why != Why::Other {
            out.push_str(": ");
            words::why(why, &d.details, out);
        }
        sep = "; ";
    }
    out.push(')');
    paint.end(out);
}

/// Which rules of the packet filter threw packets away, whosever they were.
pub fn firewall(rules: &[FirewallRule], paint: Paint, out: &mut String) {
    for r in rules {
        let _ = write!(out, "firewall of netns {}: ", r.netns);
        paint.start(out, Ink::Bad);
        push_safe(out, &format!("table {} {}, chain {}", r.family, r.table, r.chain));
        if let Some(hook) = &r.hook {
            out.push_str(" (");
            push_safe(out, hook);
            out.push(')');
        }
        let _ = match r.handle {
            Some(handle) => write!(out, ", rule handle {handle}"),
            None => write!(out, ", its policy"),
        };
        let _ = match r.packets {
            Some(n) => write!(out, " dropped {}", Count(n, "packet")),
            None => write!(out, " can drop, and does not count"),
        };
        paint.end(out);
        out.push('\n');
    }
}

/// What the kernel counted beside what tracenet did. Every namespace has a row.
pub fn audit(rows: &[AuditRow], paint: Paint, out: &mut String) {
    let one = rows.windows(2).all(|pair| pair[0].netns == pair[1].netns);
    out.push_str("audit:");
    for (i, row) in rows.iter().enumerate() {
        let difference = row.difference();
        let same = difference == Some(0);
        out.push_str(if i == 0 { " " } else { "; " });
        paint.start(out, if same { Ink::Faint } else { Ink::Bad });
        if row.terms.len() > 1 {
            for (i, term) in row.terms.iter().enumerate() {
                let _ = write!(out, "{}{} {}", if i == 0 { "" } else { " + " }, term.count, term.name);
            }
            let _ = write!(out, " = {}, {} ", row.tracenet, row.counter);
        } else {
            let _ = write!(out, "{} tracenet {}", row.counter, row.tracenet);
            if let Some(term) = row.terms.first() {
                let _ = write!(out, " ({})", term.name);
            }
            out.push_str(", kernel ");
        }
        let _ = match row.kernel {
            Some(kernel) => write!(out, "{kernel}"),
            None => write!(out, "?"),
        };
        if !one {
            let _ = write!(out, " (netns {})", row.netns);
        }
        match difference {
            Some(0) => out.push_str(" ✓"),
            Some(d) => drop(write!(out, " DIFFER by {d:+}")),
            None => {}
        }
        paint.end(out);
    }
    out.push('\n');
}

/// Counters that moved, a few to a line.
pub fn counters<'a>(title: &str, rows: impl Iterator<Item = (&'a str, i64)>, paint: Paint, out: &mut String) {
    let rows: Vec<_> = rows.filter(|(_, n)| *n != 0).collect();
    if rows.is_empty() {
        return;
    }
    paint.start(out, Ink::Strong);
    push_safe(out, title);
    paint.end(out);
    out.push('\n');
    const WIDTH: usize = 100;
    let mut used = 0;
    for (name, n) in rows {
        let item = format!("{name} {n:+}");
        if used > 0 && used + item.len() + 2 > WIDTH {
            out.push('\n');
            used = 0;
        }
        out.push_str("  ");
        out.push_str(&item);
        used += item.len() + 2;
    }
    out.push('\n');
}
