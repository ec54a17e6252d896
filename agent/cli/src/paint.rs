//! Colours of the terminal story, and what must never reach a terminal.

use std::fmt;

use tracenet_config::Color;

/// What a piece of a line is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Time stamps and other things that step back.
    Faint,
    /// Connection ids.
    Conn,
    /// Packets.
    Wire,
    /// What is worth a look but no fault.
    Note,
    /// Retransmits and warnings.
    Warn,
    /// Drops and failures.
    Bad,
    /// Headings of the summary.
    Strong,
}

const PLAIN: &str = "\x1b[0m";

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Faint => "\x1b[2m",
            Self::Conn | Self::Note => "\x1b[36m",
            Self::Wire => "\x1b[34m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Strong => "\x1b[1m",
        }
    }
}

struct Painted<T> {
    ink: Option<Ink>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ink) = self.ink else { return self.text.fmt(f) };
        f.write_str(ink.code())?;
        self.text.fmt(f)?;
        f.write_str(PLAIN)
    }
}

/// Writes coloured or plain text.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// `--color` first, then CLICOLOR_FORCE, then NO_COLOR (no-color.org), then whether it is a terminal.
    pub fn choose(flag: Color, terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let on = match flag {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR") => false,
            Color::Auto if set("CLICOLOR_FORCE") => true,
            Color::Auto => terminal && std::env::var_os("TERM").is_none_or(|t| t != "dumb"),
        };
        Self { on }
    }

    /// Colours are wanted.
    pub fn is_on(self) -> bool {
        self.on
    }

    /// Never any colour.
    pub fn plain() -> Self {
        Self { on: false }
    }

    /// Starts `ink`.
    pub fn start(self, out: &mut String, ink: Ink) {
        if self.on {
            out.push_str(ink.code());
        }
    }

    /// Back to plain.
    pub fn end(self, out: &mut String) {
        if self.on {
            out.push_str(PLAIN);
        }
    }

    /// `text` in `ink`, if in any; widths and the like are for the text alone.
    pub fn show<T: fmt::Display>(self, ink: impl Into<Option<Ink>>, text: T) -> impl fmt::Display {
        Painted { ink: ink.into().filter(|_| self.on), text }
    }
}

/// Appends text that came from outside (process names, paths) with its control characters made visible.
pub fn push_safe(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_process_name_are_shown_not_obeyed() {
        let mut s = String::new();
        push_safe(&mut s, "a\x1b[31mb\nc");
        assert_eq!(s, "a\\u{1b}[31mb\\nc");
    }
}
