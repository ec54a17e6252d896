//! Types and codes of ICMP messages (RFC 792, RFC 4443).

/// Different ones that are kept.
const MAX: usize = 6;

/// Types with codes, in the order in which they came first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Messages {
    kinds: [(u8, u8); MAX],
    len: u8,
    /// There were more than fit.
    more: bool,
}

impl Messages {
    pub fn add(&mut self, kind: u8, code: u8) {
        let there = self.kinds.iter().take(self.len.into());
        if there.clone().any(|known| *known == (kind, code)) {
            return;
        }
        match self.kinds.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = (kind, code);
                self.len += 1;
            }
            None => self.more = true,
        }
    }

    /// As `8/0 3/1`; `None` where there was no message.
    pub fn text(&self) -> Option<String> {
        let all: Vec<String> =
            self.kinds.iter().take(self.len.into()).map(|(kind, code)| format!("{kind}/{code}")).collect();
        let more = if self.more { " ..." } else { "" };
        (!all.is_empty()).then(|| all.join(" ") + more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_told_once() {
        let mut messages = Messages::default();
        assert_eq!(messages.text(), None);
        for (kind, code) in [(8, 0), (3, 1), (8, 0)] {
            messages.add(kind, code);
        }
        assert_eq!(messages.text().as_deref(), Some("8/0 3/1"));
        (0..=255).for_each(|code| messages.add(5, code));
        assert_eq!(messages.text().as_deref(), Some("8/0 3/1 5/0 5/1 5/2 5/3 ..."));
    }
}
