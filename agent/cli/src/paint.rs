//! Colours of the terminal story, and what must never reach a terminal.

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
    /// Retransmits and warnings.
    Warn,
    /// Drops and failures.
    Bad,
    /// Headings of the summary.
    Strong,
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

    /// Starts `ink`.
    pub fn start(self, out: &mut String, ink: Ink) {
        if self.on {
            out.push_str(match ink {
                Ink::Faint => "\x1b[2m",
                Ink::Conn => "\x1b[36m",
                Ink::Wire => "\x1b[34m",
                Ink::Warn => "\x1b[33m",
                Ink::Bad => "\x1b[31m",
                Ink::Strong => "\x1b[1m",
            });
        }
    }

    /// Back to plain.
    pub fn end(self, out: &mut String) {
        if self.on {
            out.push_str("\x1b[0m");
        }
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
