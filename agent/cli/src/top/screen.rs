//! The full screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use tracenet_core::time::DurationNs;

use super::connections::Connections;
use super::fields::{NUMBERS, number};
use super::keys::View;
use super::model::Row;
use crate::units::{Bytes, Time, decimals};

/// How it looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Rates in bytes a second, not bits.
    pub bytes: bool,
    /// Bars of the last rates.
    pub bars: bool,
    pub color: bool,
}

/// A column of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    name: &'static str,
    width: usize,
}

const fn column(name: &'static str, width: usize) -> Column {
    Column { name, width }
}

/// Columns of a terminal of 80.
pub const NARROW: &[Column] = &[
    column("pid", 7),
    column("received_2s", 8),
    column("sent_2s", 8),
    column("opened", 7),
    column("accepted", 7),
    column("retransmits", 6),
    column("drops", 6),
    column("errors", 6),
    column("rtt_us", 9),
];

/// Columns of a wider one.
const WIDE: &[Column] = &[
    column("pid", 8),
    column("received_2s", 8),
    column("received_10s", 8),
    column("received_40s", 8),
    column("sent_2s", 8),
    column("sent_10s", 8),
    column("sent_40s", 8),
    column("opened", 8),
    column("accepted", 8),
    column("failed", 6),
    column("retransmits", 7),
    column("timeout", 6),
    column("drops", 7),
    column("errors", 7),
    column("lookups", 6),
    column("rtt_us", 9),
];

/// Room for the name, beside the wide columns.
const COMMAND: u16 = 18;

impl Column {
    pub fn head(&self) -> String {
        let title = match self.name {
            "rtt_us" => "RTT",
            name => number(name).map_or("", |n| n.title),
        };
        format!("{title:>width$}", width = self.width)
    }

    pub fn cell(&self, row: &Row, look: Look) -> String {
        let n = number(self.name).map_or(0, |n| (n.of)(row));
        let text = match self.name {
            "rtt_us" if n == 0 => "-".to_owned(),
            "rtt_us" => Time(DurationNs(n.saturating_mul(1_000))).to_string(),
            name if is_rate(name) => rate(n, look),
            _ => n.to_string(),
        };
        format!("{text:>width$}", width = self.width)
    }

    fn style(&self, row: &Row, look: Look) -> Style {
        let bad = matches!(self.name, "retransmits" | "drops" | "failed" | "errors" | "timeout")
            && number(self.name).is_some_and(|n| (n.of)(row) > 0);
        match bad {
            true if look.color && self.name == "drops" => Style::new().fg(Color::Red),
            true if look.color => Style::new().fg(Color::Yellow),
            true => Style::new().add_modifier(Modifier::BOLD),
            false => Style::new(),
        }
    }
}

/// Bytes a second as iftop shows them: bits, unless bytes are asked for.
pub fn rate(bytes: u64, look: Look) -> String {
    let (n, unit) = if look.bytes { (bytes, 'B') } else { (bytes.saturating_mul(8), 'b') };
    let scaled = |by: f64, prefix: &str| {
        let value = n as f64 / by;
        format!("{value:.*}{prefix}{unit}", decimals(value))
    };
    match n {
        0..1_000 => format!("{n}{unit}"),
        1_000..1_000_000 => scaled(1e3, "k"),
        1_000_000..1_000_000_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// What stands above the rows.
pub struct State {
    pub elapsed_s: u64,
    /// Of all processes.
    pub sent: u64,
    pub received: u64,
    pub processes: usize,
    /// Events and accounts that were lost.
    pub lost: u64,
    /// Of one CPU.
    pub own_percent: f64,
    pub own_memory: u64,
}

/// Draws everything; `connections` are those of the marked process, where all of it is shown.
pub fn draw(
    frame: &mut Frame<'_>,
    rows: &[Row],
    connections: &Connections,
    view: &View,
    state: &State,
    look: Look,
) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(view, state, look)), head);
    match rows.get(view.at) {
        _ if view.help => frame.render_widget(Paragraph::new(HELP), body),
        Some(row) if view.detail => {
            frame.render_widget(Paragraph::new(detail(row, connections, view, look, body)), body)
        }
        _ => frame.render_widget(Paragraph::new(table(rows, view, look, body)), body),
    }
    frame.render_widget(Paragraph::new(footer(view, look)), foot);
}

fn heading(view: &View, state: &State, look: Look) -> Vec<Line<'static>> {
    let mark = if view.frozen { "  FROZEN" } else { "" };
    let lost = Span::styled(
        format!("lost {}", state.lost),
        match state.lost {
            0 => Style::new(),
            _ if look.color => Style::new().fg(Color::Red),
            _ => Style::new().add_modifier(Modifier::BOLD),
        },
    );
    vec![
        Line::from(format!(
            "tracenet top  {}:{:02}  {} process{}  in {}/s  out {}/s{mark}",
            state.elapsed_s / 60,
            state.elapsed_s % 60,
            state.processes,
            if state.processes == 1 { "" } else { "es" },
            rate(state.received, look),
            rate(state.sent, look),
        )),
        Line::from(vec![
            lost,
            Span::raw(format!(
                "  own CPU {:.1} %, memory {}  sorted by {}{}",
                state.own_percent,
                Bytes(state.own_memory),
                view.order,
                view.filter.as_ref().map_or_else(String::new, |(_, text)| format!("  filter: {text}")),
            )),
        ]),
    ]
}

fn table(rows: &[Row], view: &View, look: Look, area: Rect) -> Vec<Line<'static>> {
    let wide: usize = WIDE.iter().map(|c| c.width).sum();
    let columns = if usize::from(area.width) >= wide + usize::from(COMMAND) { WIDE } else { NARROW };
    let used: usize = columns.iter().map(|c| c.width).sum();
    let bars = usize::from(area.width).saturating_sub(used + usize::from(COMMAND) + 2);
    let head: String = columns.iter().map(Column::head).collect();
    let mut lines = vec![Line::styled(format!("{head}  COMMAND"), Style::new().add_modifier(Modifier::BOLD))];
    let height = usize::from(area.height).saturating_sub(1);
    // The marked row is always to be seen.
    let first = (view.at + 1).saturating_sub(height);
    for (n, row) in rows.iter().enumerate().skip(first).take(height) {
        let mut spans: Vec<Span<'static>> =
            columns.iter().map(|c| Span::styled(c.cell(row, look), c.style(row, look))).collect();
        let mut name = String::new();
        crate::paint::push_safe(&mut name, &row.account.comm);
        let name = format!("  {:<width$}", name, width = usize::from(COMMAND) - 2);
        let faint = if row.ended { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
        spans.push(Span::styled(name, faint));
        if look.bars && bars >= 8 {
            spans.push(Span::raw(format!("  {}", history(&row.history, bars))));
        }
        let line = Line::from(spans);
        lines.push(if n == view.at {
            line.style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        });
    }
    if rows.is_empty() {
        let why =
            if view.filter.is_some() { "no process meets the filter" } else { "nothing on the network yet" };
        lines.push(Line::raw(why));
    }
    lines
}

/// The latest rates as bars, as high as the highest of them allows.
fn history(rates: &[u64], width: usize) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &rates[rates.len().saturating_sub(width)..];
    let most = shown.iter().copied().max().unwrap_or(0).max(1);
    shown.iter().map(|n| BARS[(u128::from(*n) * 8).div_ceil(most.into()).min(8) as usize]).collect()
}

/// Numbers of one process beside each other, and the width of one.
const ACROSS: usize = 3;
const NUMBER: usize = 25;

/// Columns from which on both addresses of a connection are shown: IPv6's in full have room from 140 on.
const BOTH: usize = 100;

fn detail(row: &Row, connections: &Connections, view: &View, look: Look, area: Rect) -> Vec<Line<'static>> {
    let mut name = String::new();
    crate::paint::push_safe(&mut name, &row.account.comm);
    let ended = if row.ended { ", ended" } else { "" };
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = vec![Line::styled(format!("{name} ({}{ended})", row.key.tgid), strong)];
    if look.bars {
        lines.push(Line::raw(history(&row.history, area.width.into())));
    }
    // The rates stand in the list.
    let numbers: Vec<String> = NUMBERS
        .iter()
        .filter(|n| n.name != "pid" && !is_rate(n.name))
        .map(|n| format!("{:<18}{:>width$}", n.name, (n.of)(row), width = NUMBER - 18))
        .collect();
    let height = numbers.len().div_ceil(ACROSS);
    for at in 0..height {
        let line: Vec<&str> = numbers.iter().skip(at).step_by(height).map(String::as_str).collect();
        lines.push(Line::raw(line.join("  ")));
    }
    lines.push(Line::raw(""));
    if let Some(error) = &connections.error {
        lines.push(Line::raw(error.clone()));
        return lines;
    }
    lines.push(Line::styled(
        format!(
            "{:>8}{:>8}{:>6}{:>9}{:>8}{:>8}  {} TCP connections",
            "IN/s",
            "OUT/s",
            "RETR",
            "RTT",
            "RECV-Q",
            "SEND-Q",
            connections.all.len()
        ),
        strong,
    ));
    let room = usize::from(area.height).saturating_sub(lines.len());
    let first = (view.connection + 1).saturating_sub(room);
    for (n, c) in connections.all.iter().enumerate().skip(first).take(room) {
        let rtt = Time(DurationNs(u64::from(c.rtt_us) * 1_000)).to_string();
        let line = Line::raw(format!(
            "{:>8}{:>8}{:>6}{rtt:>9}{:>8}{:>8}  {} > {}",
            rate(c.rate.received, look),
            rate(c.rate.sent, look),
            c.retransmits,
            c.queues.0,
            c.queues.1,
            // Both addresses have no room beside each other everywhere.
            if usize::from(area.width) < BOTH { format!(":{}", c.local.port()) } else { c.local.to_string() },
            c.remote,
        ));
        let marked = Style::new().add_modifier(Modifier::REVERSED);
        lines.push(if n == view.connection { line.style(marked) } else { line });
    }
    lines
}

fn is_rate(name: &str) -> bool {
    ["_2s", "_10s", "_40s"].iter().any(|span| name.ends_with(span))
}

fn footer(view: &View, look: Look) -> Line<'static> {
    let strong = Style::new().add_modifier(Modifier::REVERSED);
    match (&view.typed, &view.error) {
        (Some(text), _) => Line::from(vec![Span::styled("filter:", strong), Span::raw(format!(" {text}_"))]),
        (None, Some(error)) if look.color => Line::styled(error.clone(), Style::new().fg(Color::Red)),
        (None, Some(error)) => Line::raw(error.clone()),
        (None, None) if view.detail => {
            Line::styled("q quit  up down choose  enter the connection's story  escape back  h help", strong)
        }
        (None, None) => {
            Line::styled("q quit  s sort  / filter  space freeze  enter one process  h help", strong)
        }
    }
}

const HELP: &str = "\
q, F10          quit
up, down, j, k  choose a process (page up, page down, home, end)
enter           all that is known of it, and its connections; again: the live story of one; escape: back
s, F6           sort by the next: in, out, retransmits, drops, errors, RTT, PID
<  >            sort by what comes in, by what goes out
/, F4           filter in the language of Wireshark: retransmits > 0 && name contains \"nginx\"
                (the fields are those of one process's page, and name); escape: no filter
space, P        freeze, and go on
h, ?            this

IN and OUT are bytes of the applications in bits a second (-B: bytes), over 2 s, and where there is room 10 s and 40 s.
OPEN, ACC, FAIL: connections opened, accepted, failed; RETR, RTO: segments sent again, of them by timeout; DROP: packets
lost that hurt the process's sockets; ERR: calls that failed; all since the start. RTT: mean of the smoothed times.";

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use tracenet_core::key::ProcessKey;
    use tracenet_probes::Account;

    use super::*;
    use crate::top::model::Rate;

    fn rows() -> Vec<Row> {
        (0..40)
            .map(|n| Row {
                key: ProcessKey { tgid: 1_000 + n, start_ns: 1 },
                account: Account {
                    comm: format!("worker-{n}"),
                    fast: u64::from(n % 2),
                    ..Account::default()
                },
                ended: n == 3,
                rates: [Rate { sent: 1_000 << n.min(40), received: 10 }; 3],
                history: vec![1, 2, 8, 4],
            })
            .collect()
    }

    fn shown(width: u16, height: u16, view: &View) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("no terminal is needed");
        let state = State {
            elapsed_s: 61,
            sent: 125,
            received: 125_000,
            processes: 40,
            lost: 0,
            own_percent: 0.4,
            own_memory: 31_000_000,
        };
        let look = Look { bytes: false, bars: true, color: false };
        terminal
            .draw(|frame| draw(frame, &rows(), &Connections::default(), view, &state, look))
            .expect("it draws");
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn the_marked_row_is_to_be_seen_and_nothing_is_cut() {
        let mut view = View::new("sent_2s", None);
        view.at = 39;
        let lines = shown(80, 24, &view);
        assert_eq!(lines[0], "tracenet top  1:01  40 processes  in 1.00Mb/s  out 1.00kb/s");
        assert!(lines[2].ends_with("COMMAND") && lines[22].ends_with("worker-39"), "{lines:#?}");
        assert!(shown(200, 50, &view)[3].ends_with("▁▂█▄"));
    }

    #[test]
    fn any_size_can_be_drawn() {
        let mut view = View::new("sent_2s", None);
        for (width, height) in [(1, 1), (10, 3), (79, 5), (500, 200)] {
            for (detail, help) in [(false, false), (true, false), (false, true)] {
                (view.detail, view.help) = (detail, help);
                shown(width, height, &view);
            }
        }
    }

    #[test]
    fn rates_have_three_figures() {
        let look = Look { bytes: false, bars: false, color: false };
        let bits = [0, 124, 125, 1_250_000, 125_000_000].map(|n| rate(n, look));
        assert_eq!(bits, ["0b", "992b", "1.00kb", "10.0Mb", "1.00Gb"]);
        assert_eq!(rate(999, Look { bytes: true, ..look }), "999B");
    }
}
