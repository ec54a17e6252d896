//! The full screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::columns::{bars, rate};
use super::detail::detail;
use super::fields::Listed;
use super::flows::Flow;
use super::hosts::Host;
use super::keys::{Page, Sheet, Typed, View};
use super::model::Row;
use super::names::Names;
use crate::units::Bytes;

/// How it looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Rates in bytes a second, not bits.
    pub bytes: bool,
    /// Bars of the last rates.
    pub bars: bool,
    pub color: bool,
    /// Names of hosts.
    pub resolve: bool,
    /// Names of ports.
    pub services: bool,
    /// Hosts by port.
    pub ports: bool,
}

/// What is listed: of the pages only the one that is looked at.
#[derive(Default)]
pub struct Shown {
    pub processes: Vec<Row>,
    pub connections: Vec<Flow>,
    pub hosts: Vec<Host>,
    /// Connections of the process that is looked at alone.
    pub of_process: Vec<Flow>,
}

impl Shown {
    /// How many rows a page has.
    pub fn count(&self, page: Page) -> usize {
        match page {
            Page::Processes => self.processes.len(),
            Page::Connections => self.connections.len(),
            Page::Hosts => self.hosts.len(),
        }
    }
}

/// What stands above the rows.
#[derive(Default)]
pub struct State {
    pub elapsed_s: u64,
    /// Of all processes.
    pub sent: u64,
    pub received: u64,
    /// How many of what is listed there are.
    pub listed: usize,
    /// Events and accounts that were lost.
    pub lost: u64,
    /// Connections for which there was no room.
    pub omitted: u64,
    /// Why not everything is seen.
    pub error: Option<String>,
    /// Of one CPU.
    pub own_percent: f64,
    pub own_memory: u64,
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, shown: &Shown, view: &View, state: &State, names: &Names) {
    let heading = heading(view, state);
    let height = u16::try_from(heading.len()).unwrap_or(u16::MAX);
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(height), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(heading), head);
    let (sheet, look) = (view.sheet(), view.look);
    let process = shown.processes.get(sheet.at).filter(|_| view.detail);
    let lines = match (view.page, process) {
        _ if view.help => HELP.lines().map(Line::raw).collect(),
        (Page::Processes, Some(row)) => detail(row, &shown.of_process, view, names, body),
        (Page::Processes, None) => table(&shown.processes, sheet, names, look, body),
        (Page::Connections, _) => table(&shown.connections, sheet, names, look, body),
        (Page::Hosts, _) => table(&shown.hosts, sheet, names, look, body),
    };
    frame.render_widget(Paragraph::new(lines), body);
    frame.render_widget(Paragraph::new(footer(view)), foot);
}

fn heading(view: &View, state: &State) -> Vec<Line<'static>> {
    let look = view.look;
    let (one, many) = match view.page {
        Page::Processes => ("process", Row::PLURAL),
        Page::Connections => ("connection", Flow::PLURAL),
        Page::Hosts => ("host", Host::PLURAL),
    };
    let mark = if view.frozen { "  FROZEN" } else { "" };
    let loud = |text: String, loud: bool| {
        let style = match loud {
            false => Style::new(),
            true if look.color => Style::new().fg(Color::Red),
            true => Style::new().add_modifier(Modifier::BOLD),
        };
        Span::styled(text, style)
    };
    let mut lines = vec![
        Line::from(format!(
            "tracenet top  {}:{:02}  {} {}  in {}/s  out {}/s{mark}",
            state.elapsed_s / 60,
            state.elapsed_s % 60,
            state.listed,
            if state.listed == 1 { one } else { many },
            rate(state.received, look),
            rate(state.sent, look),
        )),
        Line::from(vec![
            loud(format!("lost {}", state.lost), state.lost > 0),
            Span::raw(format!(
                "  own CPU {:.1} %, memory {}  sorted by {}",
                state.own_percent,
                Bytes(state.own_memory),
                view.sheet().order,
            )),
        ]),
    ];
    if let Some((_, text)) = &view.sheet().filter {
        lines.push(Line::raw(format!("filter: {text}")));
    }
    if view.narrowing.is_some() {
        let of = if view.page == Page::Processes { "only processes with " } else { "only " };
        lines.push(Line::raw(format!("{of}{}", view.narrowing.text())));
    }
    if state.omitted > 0 {
        lines.push(Line::from(loud(
            format!("{} connections more than there is room for", state.omitted),
            true,
        )));
    }
    if let Some(error) = &state.error {
        lines.push(Line::from(loud(error.clone(), true)));
    }
    lines
}

fn table<R: Listed>(rows: &[R], sheet: &Sheet, names: &Names, look: Look, area: Rect) -> Vec<Line<'static>> {
    let width = usize::from(area.width);
    let wide: usize = R::WIDE.iter().map(|c| c.width).sum();
    let columns = if width >= wide + R::ROOM { R::WIDE } else { R::NARROW };
    let used: usize = columns.iter().map(|c| c.width).sum();
    let room = width.saturating_sub(used + 2);
    let head: String = columns.iter().map(super::columns::Column::head::<R>).collect();
    let title = R::title(room);
    let mut lines = vec![Line::styled(format!("{head}  {title}"), Style::new().add_modifier(Modifier::BOLD))];
    let height = usize::from(area.height).saturating_sub(1);
    // The marked row is always to be seen.
    let first = (sheet.at + 1).saturating_sub(height);
    for (n, row) in rows.iter().enumerate().skip(first).take(height) {
        let mut spans: Vec<Span<'static>> =
            columns.iter().map(|c| Span::styled(c.cell(row, look), c.style(row, look))).collect();
        let words = row.words(names, look, room);
        let left = room.saturating_sub(words.chars().count() + 2);
        let faint = if row.is_over() { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
        spans.push(Span::styled(format!("  {words}"), faint));
        if look.bars && left >= LEAST_BARS {
            // Of all rows the latest bar is the last.
            spans.push(Span::raw(format!("  {:>left$}", bars(row.history(), left))));
        }
        let line = Line::from(spans);
        lines.push(if n == sheet.at {
            line.style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        });
    }
    if rows.is_empty() {
        let why = if sheet.filter.is_some() { "meet the filter" } else { "on the network yet" };
        lines.push(Line::raw(format!("no {} {why}", R::PLURAL)));
    }
    lines
}

/// With less room there are no bars.
const LEAST_BARS: usize = 8;

fn footer(view: &View) -> Line<'static> {
    let strong = Style::new().add_modifier(Modifier::REVERSED);
    let typing = |what: &'static str, text: &str| {
        Line::from(vec![Span::styled(what, strong), Span::raw(format!(" {text}_"))])
    };
    match (&view.typed, &view.error, view.page) {
        (Some(Typed::Filter(text)), ..) => typing("filter:", text),
        (Some(Typed::Expression(text)), ..) => typing("tcpdump expression:", text),
        (None, Some(error), _) if view.look.color => Line::styled(error.clone(), Style::new().fg(Color::Red)),
        (None, Some(error), _) => Line::raw(error.clone()),
        (None, None, _) if view.detail => {
            Line::styled("q quit  up down choose  enter the connection's story  escape back  h help", strong)
        }
        (None, None, Page::Processes) => Line::styled(
            "q quit  tab page  s sort  / filter  space freeze  enter one process  h help",
            strong,
        ),
        (None, None, Page::Connections) => {
            Line::styled("q quit  tab page  s sort  / filter  space freeze  enter its story  h help", strong)
        }
        (None, None, Page::Hosts) => {
            Line::styled("q quit  tab page  s sort  / filter  p ports  enter its connections  h help", strong)
        }
    }
}

/// It fits into a terminal of 80 by 24.
const HELP: &str = "\
q, F10          quit            h, ?  this         space, P  freeze, and go on
tab, c, H       the next page; connections; hosts
up, down, j, k  choose a row (page up, page down, home, end)
enter           a process with all that is known of it; the live story of a
                connection; the connections of a host
escape          back: from a process, from a filter, to the processes
s, F6           sort by the next; 1, 2, 3: by both ways over 2, 10, 40 s
<  >            sort by in, by out; connections: by local, by remote address
/, l, F4        filter in the language of Wireshark, by the names in the JSON:
                retransmits > 0 && name contains \"nginx\"
f               only connections that meet a tcpdump expression: port 443
n  N  p  b      names of hosts; of ports; hosts by port; bars of latest rates

IN, OUT: bytes of the applications in bits a second (-B: bytes), over 2 s, 10 s
and 40 s. OPEN, ACC, FAIL: connections opened, accepted, failed; RETR, RTO:
segments sent again, of them by timeout; DROP: packets lost that hurt the
process's sockets; ERR: calls that failed: since the start, but RETR of a
connection since it was opened. RTT: mean of the smoothed times.
RECV-Q, SEND-Q: bytes not read, not acknowledged.";

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use tracenet_collectors::sockets;
    use tracenet_core::key::ProcessKey;
    use tracenet_probes::Account;

    use super::*;
    use crate::top::flows::FlowKey;
    use crate::top::hosts;
    use crate::top::narrowing::Narrowing;
    use crate::top::rates::Rate;

    fn rows() -> Vec<Row> {
        (0..40)
            .map(|n| Row {
                key: ProcessKey { tgid: 1_000 + n, start_ns: 1 },
                account: Account {
                    comm: format!("worker-{n}"),
                    fast: u64::from(n % 2),
                    drops: u64::from(n),
                    drop_reasons: [("NETFILTER_DROP".into(), u64::from(n))].into(),
                    ..Account::default()
                },
                ended: n == 3,
                rates: [Rate { sent: 1_000 << n.min(40), received: 10 }; 3],
                history: vec![1, 2, 8, 4],
                container: Some("0123456789abcdef".repeat(4).into()),
            })
            .collect()
    }

    fn flows() -> Vec<Flow> {
        let end = |n: u8, port| SocketAddr::new(IpAddr::from([10, 0, 0, n]), port);
        (0..40)
            .map(|n| Flow {
                key: FlowKey { netns: 1, cookie: n.into() },
                netns_name: None,
                state: sockets::State::Established,
                local: end(n, 40_000),
                remote: end(100 + n / 2, 443),
                holders: vec![(1_039, "curl".into())],
                rates: [Rate { sent: 125, received: 1_250 }; 3],
                history: vec![1, 2, 8, 4],
                bytes_acked: 1,
                bytes_received: 2,
                retransmits: n.into(),
                rtt_us: 40,
                receive_queue: 0,
                send_queue: 7,
            })
            .collect()
    }

    fn shown(width: u16, height: u16, view: &View) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("no terminal is needed");
        let hosts = hosts::of(flows().iter(), false);
        let all = Shown { processes: rows(), connections: flows(), hosts, of_process: flows() };
        let state = State {
            elapsed_s: 61,
            sent: 125,
            received: 125_000,
            listed: 40,
            own_percent: 0.4,
            own_memory: 31_000_000,
            ..State::default()
        };
        let names = Names::new();
        terminal.draw(|frame| draw(frame, &all, view, &state, &names)).expect("it draws");
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    fn view(page: Page) -> View {
        View::new(page, Look { bars: true, ..Look::default() }, Narrowing::default())
    }

    #[test]
    fn the_marked_row_is_to_be_seen_and_nothing_is_cut() {
        let mut view = view(Page::Processes);
        view.sheet_mut().at = 39;
        let lines = shown(80, 24, &view);
        assert_eq!(lines[0], "tracenet top  1:01  40 processes  in 1.00Mb/s  out 1.00kb/s");
        assert!(lines[2].ends_with("COMMAND") && lines[22].ends_with("worker-39"), "{lines:#?}");
        let wide = shown(200, 50, &view);
        assert!(wide[2].ends_with("CONTAINER"), "{wide:#?}");
        assert!(wide[3].ends_with("▁▂█▄") && wide[3].contains(" 0123456789ab "), "{wide:#?}");
    }

    #[test]
    fn connections_and_hosts_fit() {
        let lines = shown(80, 24, &view(Page::Connections));
        assert!(lines[3].ends_with("curl            :40000 > 10.0.0.100:443"), "{lines:#?}");
        let wide = shown(200, 50, &view(Page::Connections));
        assert!(
            wide[3].contains("10.0.0.0:40000 > 10.0.0.100:443") && wide[3].ends_with("▁▂█▄"),
            "{wide:#?}"
        );
        let lines = shown(80, 24, &view(Page::Hosts));
        assert!(
            lines[3].starts_with("  20.0kb  2.00kb      2     1  40.0 us     1  10.0.0.100"),
            "{lines:#?}"
        );
    }

    #[test]
    fn one_process_shows_its_container_its_drops_and_its_connections() {
        let mut view = view(Page::Processes);
        (view.detail, view.sheet_mut().at) = (true, 39);
        let text = shown(80, 40, &view).join("\n");
        assert!(text.contains("worker-39 (1039)  container 0123456789ab"), "{text}");
        assert!(text.contains("39 NETFILTER_DROP"), "{text}");
        assert!(text.contains("40 TCP connections") && text.contains(":40000 > 10.0.0.100:443"), "{text}");
    }

    #[test]
    fn the_help_is_not_cut() {
        assert!(HELP.lines().count() <= 21 && HELP.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn any_size_can_be_drawn() {
        for (width, height) in [(1, 1), (10, 3), (79, 5), (500, 200)] {
            for page in [Page::Processes, Page::Connections, Page::Hosts] {
                for (detail, help) in [(false, false), (true, false), (false, true)] {
                    let mut view = view(page);
                    (view.detail, view.help) = (detail, help);
                    shown(width, height, &view);
                }
            }
        }
    }
}
