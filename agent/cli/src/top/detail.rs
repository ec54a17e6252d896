//! One process, with all that is known of it.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use tracenet_core::time::DurationNs;

use super::columns::{bars, is_rate, rate};
use super::fields::Listed;
use super::flows::Flow;
use super::keys::View;
use super::listed::short;
use super::model::Row;
use super::names::Names;
use super::screen::Look;
use crate::paint::push_safe;
use crate::units::{Count, Time};

/// Numbers beside each other, and the width of one.
const ACROSS: usize = 3;
const NUMBER: usize = 25;

/// Columns from which on both addresses of a connection are shown: IPv6's in full have room from 140 on.
const BOTH: usize = 100;

/// The lines of its page, with its connections, as many as the area has room for.
pub fn detail(row: &Row, flows: &[Flow], view: &View, names: &Names, area: Rect) -> Vec<Line<'static>> {
    let look = view.look;
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let mut title = String::new();
    push_safe(&mut title, &row.account.comm);
    title += &format!(" ({}{})", row.key.tgid, if row.ended { ", ended" } else { "" });
    if let Some(id) = &row.container {
        title += &format!("  container {}", short(id));
    }
    let mut lines = vec![Line::styled(title, strong)];
    if look.bars {
        lines.push(Line::raw(bars(&row.history, area.width.into())));
    }
    // The rates stand in the list.
    let numbers: Vec<String> = Row::NUMBERS
        .iter()
        .filter(|n| n.name != "pid" && !is_rate(n.name))
        .map(|n| format!("{:<18}{:>width$}", n.name, (n.of)(row), width = NUMBER - 18))
        .collect();
    let height = numbers.len().div_ceil(ACROSS);
    for at in 0..height {
        let line: Vec<&str> = numbers.iter().skip(at).step_by(height).map(String::as_str).collect();
        lines.push(Line::raw(line.join("  ")));
    }
    if !row.account.drop_reasons.is_empty() {
        let mut reasons: Vec<_> = row.account.drop_reasons.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let reasons: Vec<String> =
            reasons.iter().map(|(name, packets)| format!("{packets} {name}")).collect();
        lines.push(Line::raw(format!("dropped: {}", reasons.join(", "))));
    }
    lines.push(Line::raw(""));
    lines.push(Line::styled(
        format!(
            "{:>8}{:>8}{:>6}{:>9}{:>8}{:>8}  {}",
            "IN/s",
            "OUT/s",
            "RETR",
            "RTT",
            "RECV-Q",
            "SEND-Q",
            Count(flows.len() as u64, "TCP connection")
        ),
        strong,
    ));
    let room = usize::from(area.height).saturating_sub(lines.len());
    let first = (view.connection + 1).saturating_sub(room);
    for (n, flow) in flows.iter().enumerate().skip(first).take(room) {
        let line = Line::raw(connection(flow, names, look, area.width.into()));
        let marked = Style::new().add_modifier(Modifier::REVERSED);
        lines.push(if n == view.connection { line.style(marked) } else { line });
    }
    lines
}

fn connection(flow: &Flow, names: &Names, look: Look, width: usize) -> String {
    let rtt = match flow.rtt_us {
        0 => "-".to_owned(),
        us => Time(DurationNs(u64::from(us) * 1_000)).to_string(),
    };
    // Both addresses have no room beside each other everywhere.
    let local = match width < BOTH {
        true => format!(":{}", names.port(flow.local.port(), look)),
        false => names.end(flow.local, Look { resolve: false, ..look }),
    };
    format!(
        "{:>8}{:>8}{:>6}{rtt:>9}{:>8}{:>8}  {local} > {}",
        rate(flow.rates[0].received, look),
        rate(flow.rates[0].sent, look),
        flow.retransmits,
        flow.receive_queue,
        flow.send_queue,
        names.end(flow.remote, look),
    )
}
