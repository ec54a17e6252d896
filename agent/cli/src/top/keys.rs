//! What the keys do: as in iftop and htop.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tracenet_filter::Filter;

use super::fields::Table;

/// Orders that `s` goes through.
pub const ORDERS: [&str; 7] = ["received_2s", "sent_2s", "retransmits", "drops", "errors", "rtt_us", "pid"];

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
        Self { order, at: 0, frozen: false, detail: false, help: false, typed: None, filter, error: None }
    }

    /// Takes a key; `rows` are shown. False: the end.
    pub fn key(&mut self, key: KeyEvent, rows: usize) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return key.code != KeyCode::Char('c');
        }
        if self.typed.is_some() {
            self.typing(key.code);
            return true;
        }
        self.error = None;
        match key.code {
            KeyCode::Char('q') | KeyCode::F(10) => return false,
            KeyCode::Esc if self.detail || self.help => (self.detail, self.help) = (false, false),
            KeyCode::Esc => self.filter = None,
            KeyCode::Down | KeyCode::Char('j') => self.at = (self.at + 1).min(rows.saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => self.at = self.at.saturating_sub(1),
            KeyCode::PageDown => self.at = (self.at + 10).min(rows.saturating_sub(1)),
            KeyCode::PageUp => self.at = self.at.saturating_sub(10),
            KeyCode::Home => self.at = 0,
            KeyCode::End => self.at = rows.saturating_sub(1),
            KeyCode::Enter => self.detail = !self.detail,
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
        true
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

/// Longest text of a filter that can be typed.
const MAX_TYPED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, keys: &str) -> bool {
        keys.chars().all(|c| {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            view.key(KeyEvent::new(code, KeyModifiers::NONE), 3)
        })
    }

    #[test]
    fn keys_move_sort_freeze_and_end() {
        let mut view = View::new(ORDERS[0], None);
        assert!(press(&mut view, "jjjjks "));
        assert_eq!((view.at, view.order, view.frozen), (1, "sent_2s", true));
        assert!(press(&mut view, "\n") && view.detail);
        assert!(press(&mut view, "\x1b") && !view.detail);
        assert!(!press(&mut view, "q"));
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut view = View::new(ORDERS[0], None);
        assert!(press(&mut view, "/pid == 1\n"));
        assert_eq!(view.filter.as_ref().map(|(_, text)| text.as_str()), Some("pid == 1"));
        assert!(press(&mut view, "\x1b/nonsense\n"));
        assert!(view.filter.is_none() && view.error.is_some());
        // What is typed is no command.
        assert!(press(&mut view, "/q\x1b"));
    }
}
