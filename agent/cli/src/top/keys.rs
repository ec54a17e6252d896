//! What the keys do: as in iftop and htop.

use clap::ValueEnum;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tracenet_collectors::capture::Ends;
use tracenet_filter::{Filter, ParseError};

use super::fields::{self, Listed};
use super::flows::Flow;
use super::hosts::Host;
use super::model::Row;
use super::narrowing::Narrowing;
use super::screen::Look;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// Processes that use the network.
    Processes,
    /// TCP connections of all network namespaces.
    Connections,
    /// Hosts at the other ends of these.
    Hosts,
}

impl Page {
    const ALL: [Self; 3] = [Self::Processes, Self::Connections, Self::Hosts];

    /// Orders that `s` goes through; the first is the default.
    pub fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Processes => Row::ORDERS,
            Self::Connections => Flow::ORDERS,
            Self::Hosts => Host::ORDERS,
        }
    }

    /// The name of what can be sorted by.
    pub fn order(self, name: &str) -> Option<&'static str> {
        match self {
            Self::Processes => Row::order(name),
            Self::Connections => Flow::order(name),
            Self::Hosts => Host::order(name),
        }
    }

    /// Compiles a filter over what is listed.
    ///
    /// # Errors
    /// Where it is wrong, and what is.
    pub fn parse(self, text: &str) -> Result<Filter, ParseError> {
        match self {
            Self::Processes => fields::parse::<Row>(text),
            Self::Connections => fields::parse::<Flow>(text),
            Self::Hosts => fields::parse::<Host>(text),
        }
    }

    /// What `<` and `>` sort by.
    fn sides(self) -> [&'static str; 2] {
        match self {
            Self::Connections => ["local", "remote"],
            Self::Processes | Self::Hosts => ["received_2s", "sent_2s"],
        }
    }
}

/// What comes after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Stay,
    /// The live story of the connection that is marked.
    Story,
    /// The connections of the host that is marked.
    Host,
    End,
}

/// How one page is looked at.
#[derive(Debug)]
pub struct Sheet {
    /// Name of what the rows are sorted by.
    pub order: &'static str,
    /// The row that is marked.
    pub at: usize,
    /// The filter, and its text.
    pub filter: Option<(Filter, String)>,
}

/// What is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Filter(String),
    Expression(String),
}

/// How everything is looked at.
pub struct View {
    pub page: Page,
    sheets: [Sheet; 3],
    pub look: Look,
    pub narrowing: Narrowing,
    /// Nothing moves until it is unfrozen.
    pub frozen: bool,
    /// One process, with all that is known of it.
    pub detail: bool,
    /// The connection that is marked there.
    pub connection: usize,
    pub help: bool,
    pub typed: Option<Typed>,
    /// Why the last text was no filter.
    pub error: Option<String>,
}

impl View {
    pub fn new(page: Page, look: Look, narrowing: Narrowing) -> Self {
        Self {
            page,
            sheets: Page::ALL.map(|page| Sheet { order: page.orders()[0], at: 0, filter: None }),
            look,
            narrowing,
            frozen: false,
            detail: false,
            connection: 0,
            help: false,
            typed: None,
            error: None,
        }
    }

    /// How the page is looked at.
    pub fn sheet(&self) -> &Sheet {
        &self.sheets[self.page as usize]
    }

    pub fn sheet_mut(&mut self) -> &mut Sheet {
        &mut self.sheets[self.page as usize]
    }

    /// True where connections have to be read.
    pub fn wants_flows(&self) -> bool {
        self.page != Page::Processes || self.detail || self.narrowing.is_some()
    }

    /// Goes to the connections of a host.
    pub fn show_host(&mut self, host: &Host) {
        let port = host.port.map_or_else(String::new, |port| format!(" && remote_port == {port}"));
        let text = format!("remote == \"{}\"{port}", host.address);
        self.page = Page::Connections;
        match self.page.parse(&text) {
            Ok(filter) => {
                let sheet = self.sheet_mut();
                (sheet.filter, sheet.at) = (Some((filter, text)), 0);
            }
            Err(e) => self.error = first_line(&e),
        }
    }

    /// Takes a key; so many `rows` are shown, and of one process so many `connections`.
    pub fn key(&mut self, key: KeyEvent, rows: usize, connections: usize) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Next::End } else { Next::Stay };
        }
        if self.typed.is_some() {
            self.typing(key.code);
            return Next::Stay;
        }
        self.error = None;
        let (at, last) = match self.detail {
            true => (&mut self.connection, connections.saturating_sub(1)),
            false => (&mut self.sheets[self.page as usize].at, rows.saturating_sub(1)),
        };
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => *at = (*at + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => *at = at.saturating_sub(1),
            KeyCode::PageDown => *at = (*at + PAGE).min(last),
            KeyCode::PageUp => *at = at.saturating_sub(PAGE),
            KeyCode::Home => *at = 0,
            KeyCode::End => *at = last,
            KeyCode::Char('q') | KeyCode::F(10) => return Next::End,
            KeyCode::Esc => self.back(),
            KeyCode::Enter => return self.enter(rows, connections),
            KeyCode::Tab => self.turn_to(Page::ALL[(self.page as usize + 1) % Page::ALL.len()]),
            KeyCode::BackTab => {
                self.turn_to(Page::ALL[(self.page as usize + Page::ALL.len() - 1) % Page::ALL.len()]);
            }
            KeyCode::Char('c') => self.turn_to(Page::Connections),
            KeyCode::Char('H') => self.turn_to(Page::Hosts),
            KeyCode::Char('P' | ' ') => self.frozen = !self.frozen,
            KeyCode::Char('h' | '?') | KeyCode::F(1) => self.help = !self.help,
            KeyCode::Char('n') => self.look.resolve = !self.look.resolve,
            KeyCode::Char('N') => self.look.services = !self.look.services,
            KeyCode::Char('p') => self.look.ports = !self.look.ports,
            KeyCode::Char('b') => self.look.bars = !self.look.bars,
            KeyCode::Char('s') | KeyCode::F(6) => {
                let orders = self.page.orders();
                let now = orders.iter().position(|o| *o == self.sheet().order);
                self.sheet_mut().order = orders[now.map_or(0, |now| (now + 1) % orders.len())];
            }
            KeyCode::Char(span @ '1'..='3') => {
                let spans = ["total_2s", "total_10s", "total_40s"];
                self.sheet_mut().order = spans[span as usize - '1' as usize];
            }
            KeyCode::Char('<') => self.sheet_mut().order = self.page.sides()[0],
            KeyCode::Char('>') => self.sheet_mut().order = self.page.sides()[1],
            KeyCode::Char('/' | 'l') | KeyCode::F(4) => {
                let text = self.sheet().filter.as_ref().map_or_else(String::new, |(_, text)| text.clone());
                self.typed = Some(Typed::Filter(text));
            }
            KeyCode::Char('f') => {
                let text = self.narrowing.expression.as_ref().map_or("", Ends::text);
                self.typed = Some(Typed::Expression(text.to_owned()));
            }
            _ => {}
        }
        Next::Stay
    }

    fn turn_to(&mut self, page: Page) {
        (self.page, self.detail, self.help) = (page, false, false);
    }

    /// One step back: from the help, from a process, from a filter, from another page.
    fn back(&mut self) {
        if self.help || self.detail {
            (self.help, self.detail) = (false, false);
        } else if self.sheet().filter.is_some() {
            self.sheet_mut().filter = None;
        } else {
            self.page = Page::Processes;
        }
    }

    fn enter(&mut self, rows: usize, connections: usize) -> Next {
        match self.page {
            Page::Processes if self.detail && connections > 0 => return Next::Story,
            Page::Processes => (self.detail, self.connection) = (rows > 0, 0),
            Page::Connections if rows > 0 => return Next::Story,
            Page::Hosts if rows > 0 => return Next::Host,
            Page::Connections | Page::Hosts => {}
        }
        Next::Stay
    }

    fn typing(&mut self, code: KeyCode) {
        let Some(Typed::Filter(text) | Typed::Expression(text)) = &mut self.typed else { return };
        match code {
            KeyCode::Char(c) if text.len() < MAX_TYPED => text.push(c),
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Esc => self.typed = None,
            KeyCode::Enter => {
                self.error = None;
                match self.typed.take() {
                    Some(Typed::Filter(text)) => self.filter_by(text),
                    Some(Typed::Expression(text)) => self.narrow_to(&text),
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn filter_by(&mut self, text: String) {
        match self.page.parse(&text) {
            _ if text.trim().is_empty() => self.sheet_mut().filter = None,
            Ok(filter) => {
                let sheet = self.sheet_mut();
                (sheet.filter, sheet.at) = (Some((filter, text)), 0);
            }
            Err(e) => self.error = first_line(&e),
        }
    }

    fn narrow_to(&mut self, text: &str) {
        match Ends::compile(text) {
            _ if text.trim().is_empty() => self.narrowing.expression = None,
            Ok(ends) => self.narrowing.expression = Some(ends),
            Err(e) => self.error = Some(e.to_string()),
        }
    }
}

/// What is wrong; the other lines draw where.
fn first_line(e: &ParseError) -> Option<String> {
    e.to_string().lines().next().map(str::to_owned)
}

/// Rows that page up and page down move by.
const PAGE: usize = 10;

/// Longest text of a filter that can be typed.
const MAX_TYPED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View::new(Page::Processes, Look::default(), Narrowing::default())
    }

    fn press(view: &mut View, keys: &str) -> Next {
        let mut next = Next::Stay;
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                '\t' => KeyCode::Tab,
                c => KeyCode::Char(c),
            };
            next = view.key(KeyEvent::new(code, KeyModifiers::NONE), 3, 2);
        }
        next
    }

    #[test]
    fn keys_move_sort_freeze_and_end() {
        let mut view = view();
        assert_eq!(press(&mut view, "jjjjks "), Next::Stay);
        assert_eq!((view.sheet().at, view.sheet().order, view.frozen), (1, "sent_2s", true));
        assert_eq!(press(&mut view, "\njj"), Next::Stay);
        assert_eq!((view.detail, view.sheet().at, view.connection), (true, 1, 1));
        assert_eq!(press(&mut view, "\n"), Next::Story);
        assert_eq!(press(&mut view, "\x1b"), Next::Stay);
        assert!(!view.detail);
        assert_eq!(press(&mut view, "q"), Next::End);
    }

    #[test]
    fn each_page_has_its_own_order_and_mark() {
        let mut view = view();
        press(&mut view, "jj\t>j");
        assert_eq!((view.page, view.sheet().order, view.sheet().at), (Page::Connections, "remote", 1));
        assert_eq!(press(&mut view, "\n"), Next::Story);
        press(&mut view, "\t3");
        assert_eq!((view.page, view.sheet().order), (Page::Hosts, "total_40s"));
        assert_eq!(press(&mut view, "\n"), Next::Host);
        press(&mut view, "\x1b");
        assert_eq!((view.page, view.sheet().at), (Page::Processes, 2));
        press(&mut view, "nNpb");
        let look = view.look;
        assert!(look.resolve && look.services && look.ports && look.bars);
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut view = view();
        press(&mut view, "/pid == 1\n");
        assert_eq!(view.sheet().filter.as_ref().map(|(_, text)| text.as_str()), Some("pid == 1"));
        press(&mut view, "\x1b/nonsense\n");
        assert!(view.sheet().filter.is_none() && view.error.is_some());
        // What is typed is no command.
        assert_eq!(press(&mut view, "/q\x1b"), Next::Stay);
    }

    #[test]
    fn an_expression_is_typed_and_taken_back() {
        let mut view = view();
        press(&mut view, "fport 443\n");
        assert_eq!(view.narrowing.text(), "connections that meet 'port 443'");
        assert!(view.wants_flows());
        press(&mut view, "fx\n");
        assert!(view.error.is_some() && view.narrowing.is_some());
        press(&mut view, "f");
        for _ in "port 443".chars() {
            view.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE), 3, 2);
        }
        press(&mut view, "\n");
        assert!(!view.narrowing.is_some() && !view.wants_flows());
    }
}
