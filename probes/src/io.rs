//! The two programs at every call that sends or receives: at work, or for a while not.

use aya::maps::{Array, MapData, MapError};

use crate::load::one_line;
use crate::session::{Error, Result};

/// What is known of them.
pub(crate) struct Io {
    epoch: Array<MapData, u32>,
    away: Array<MapData, u32>,
    times: u32,
    is_away: bool,
}

impl Io {
    /// As they are after a load: at work.
    pub(crate) fn new(epoch: Array<MapData, u32>, away: Array<MapData, u32>) -> Self {
        Self { epoch, away, times: 0, is_away: false }
    }

    /// Watches, or doesn't.
    pub(crate) fn set(&mut self, on: bool) -> Result<()> {
        if on != self.is_away {
            return Ok(());
        }
        let fail = |map, e: MapError| Error::Map { map, detail: one_line(&e) };
        if on {
            // First of all: turns that were in hand are over.
            self.times = self.times.wrapping_add(1);
            self.epoch.set(0, self.times, 0).map_err(|e| fail("io_epoch", e))?;
        }
        self.away.set(0, u32::from(!on), 0).map_err(|e| fail("io_away", e))?;
        self.is_away = !on;
        Ok(())
    }
}
