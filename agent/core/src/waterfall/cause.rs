//! What a turn is blamed on: a part, or what ended it.

use super::Part;

/// What a turn is to be blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// What its time was spent on.
    Part(Part),
    /// The connection was reset before the turn was over.
    Reset,
    /// Nobody listened: the SYN was answered by a reset. Such a turn has its connect(2) only.
    Refused,
}

impl Cause {
    /// Its name in JSON and in attributes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Part(part) => part.as_str(),
            Self::Reset => "reset",
            Self::Refused => "refused",
        }
    }

    /// True for what should not happen to a turn: losses, shut windows, and what ended it early.
    pub fn is_trouble(self) -> bool {
        match self {
            Self::Part(part) => part.is_trouble(),
            Self::Reset | Self::Refused => true,
        }
    }

    /// The part, where it is one.
    pub fn part(self) -> Option<Part> {
        match self {
            Self::Part(part) => Some(part),
            Self::Reset | Self::Refused => None,
        }
    }
}
