//! What the keys do: as in iftop and htop.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tracenet_filter::Filter;

use super::fields::Table;

/// Orders that `s` goes through.
pub const ORDERS: [&str; 7] = ["received_2s", "sent_2s", "retransmits", "drops", "errors", "rtt_us", "pid"];

/// What comes after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Stay,
    /// The live story of the connection that is marked.
    Story,
    End,
}

/// How the processes are looked at.
#[derive(Debug)]
pub struct View {
    /// Name of the number that the rows are sorted by, the highest first; of the PID the lowest.
    pub order: &'static str,
    /// The row that is marked.
    pub at: usize,
    /// Nothing moves until it is unfrozen.
    pub frozen: bool,
    /// One process, with all that is known of it.
    pub detail: bool,
    /// The connection that is marked there.
    pub connection: usize,
    pub help: bool,
    /// What is being typed.
    pub typed: Option<String>,
    /// The filter, and its text.
    pub filter: Option<(Filter, String)>,
    /// Why the last text was no filter.
    pub error: Option<String>,
}

impl View {
    pub fn new(order: &'static str, filter: Option<(Filter, String)>) -> Self {
        Self {
            order,
            at: 0,
            frozen: false,
            detail: false,
            connection: 0,
            help: false,
            typed: None,
            filter,
            error: None,
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
            false => (&mut self.at, rows.saturating_sub(1)),
        };
        match key.code {
            KeyCode::Char('q') | KeyCode::F(10) => return Next::End,
            KeyCode::Esc if self.detail || self.help => (self.detail, self.help) = (false, false),
            KeyCode::Esc => self.filter = None,
            KeyCode::Down | KeyCode::Char('j') => *at = (*at + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => *at = at.saturating_sub(1),
            KeyCode::PageDown => *at = (*at + PAGE).min(last),
            KeyCode::PageUp => *at = at.saturating_sub(PAGE),
            KeyCode::Home => *at = 0,
            KeyCode::End => *at = last,
            KeyCode::Enter if self.detail && connections > 0 => return Next::Story,
            KeyCode::Enter => (self.detail, self.connection) = (rows > 0, 0),
            KeyCode::Char('P' | ' ') => self.frozen = !self.frozen,
            KeyCode::Char('h' | '?') | KeyCode::F(1) => self.help = !self.help,
            KeyCode::Char('s') | KeyCode::F(6) => {
                let now = ORDERS.iter().position(|o| *o == self.order).unwrap_or(0);
                self.order = ORDERS[(now + 1) % ORDERS.len()];
            }
            KeyCode::Char('<') => self.order = "received_2s",
            KeyCode::Char('>') => self.order = "sent_2s",
            KeyCode::Char('/') | KeyCode::F(4) => {
                self.typed = Some(self.filter.as_ref().map_or_else(String::new, |(_, text)| text.clone()));
            }
            _ => {}
        }
        Next::Stay
    }

    fn typing(&mut self, code: KeyCode) {
        let Some(text) = &mut self.typed else { return };
        match code {
            KeyCode::Char(c) if text.len() < MAX_TYPED => text.push(c),
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Esc => self.typed = None,
            KeyCode::Enter => {
                let text = self.typed.take().unwrap_or_default();
                self.error = None;
                match Filter::parse(&text, &Table) {
                    _ if text.trim().is_empty() => self.filter = None,
                    Ok(filter) => (self.filter, self.at) = (Some((filter, text)), 0),
                    // The first line says what is wrong; the others draw where.
                    Err(e) => self.error = e.to_string().lines().next().map(str::to_owned),
                }
            }
            _ => {}
        }
    }
}

/// Rows that page up and page down move by.
const PAGE: usize = 10;

/// Longest text of a filter that can be typed.
const MAX_TYPED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, keys: &str) -> Next {
        let mut next = Next::Stay;
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            next = view.key(KeyEvent::new(code, KeyModifiers::NONE), 3, 2);
        }
        next
    }

    #[test]
    fn keys_move_sort_freeze_and_end() {
        let mut view = View::new(ORDERS[0], None);
        assert_eq!(press(&mut view, "jjjjks "), Next::Stay);
        assert_eq!((view.at, view.order, view.frozen), (1, "sent_2s", true));
        assert_eq!(press(&mut view, "\njj"), Next::Stay);
        assert_eq!((view.detail, view.at, view.connection), (true, 1, 1));
        assert_eq!(press(&mut view, "\n"), Next::Story);
        assert_eq!(press(&mut view, "\x1b"), Next::Stay);
        assert!(!view.detail);
        assert_eq!(press(&mut view, "q"), Next::End);
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut view = View::new(ORDERS[0], None);
        press(&mut view, "/pid == 1\n");
        assert_eq!(view.filter.as_ref().map(|(_, text)| text.as_str()), Some("pid == 1"));
        press(&mut view, "\x1b/nonsense\n");
        assert!(view.filter.is_none() && view.error.is_some());
        // What is typed is no command.
        assert_eq!(press(&mut view, "/q\x1b"), Next::Stay);
    }
}
