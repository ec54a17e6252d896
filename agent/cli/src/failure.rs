//! How a run can fail: one line for the reader, one exit code for the script.

use std::fmt;

/// A failure with its exit code.
#[derive(Debug)]
pub enum Failure {
    /// Exit 1: something broke while running.
    Runtime(String),
    /// Exit 2: the command line or the configuration is wrong.
    Usage(String),
    /// Exit 3: a privilege or a kernel feature is missing; the text names it and the remedy.
    Privilege(String),
    /// Exit 4: the target does not exist.
    NotFound(String),
}

impl Failure {
    /// The documented exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 2,
            Self::Privilege(_) => 3,
            Self::NotFound(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(s) | Self::Usage(s) | Self::Privilege(s) | Self::NotFound(s) => {
                // One line, whatever a library put into its message.
                f.write_str(&s.replace('\n', " "))
            }
        }
    }
}
