//! The captures, as far as packets may be left out of them.

use std::sync::{Arc, Mutex, PoisonError};

use tracenet_collectors::capture::Tap;

use crate::sinks;

/// Of all captures of a run: those that begin later too.
#[derive(Debug, Clone, Default)]
pub struct Taps(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    taps: Vec<Tap>,
}

impl Taps {
    /// One more, which becomes as the others are.
    pub fn add(&self, tap: Tap) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            set(&tap, false);
        }
        state.taps.push(tap);
    }

    /// Opens or closes all.
    pub fn set(&self, open: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = !open;
        for tap in &state.taps {
            set(tap, open);
        }
    }
}

fn set(tap: &Tap, open: bool) {
    if let Err(e) = tap.set(open) {
        let what = if open { "packets are not back" } else { "packets are not left out" };
        sinks::warn(&format!("{what}: {e}"));
    }
}
