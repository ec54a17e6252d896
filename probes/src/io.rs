//! The two programs at every call that sends or receives: attached, or for a while not.

use aya::Ebpf;
use aya::maps::{Array, MapData};

use crate::links::Links;
use crate::load::one_line;
use crate::session::{Error, Result};

const PROGRAMS: [&str; 2] = ["on_send", "on_recv"];

/// What is known of them.
pub(crate) struct Io {
    epoch: Array<MapData, u32>,
    times: u32,
    away: bool,
}

impl Io {
    /// As they are after a load: attached, if they could be.
    pub(crate) fn new(epoch: Array<MapData, u32>) -> Self {
        Self { epoch, times: 0, away: false }
    }

    /// Attaches or detaches both.
    pub(crate) fn set(&mut self, ebpf: &mut Ebpf, links: &mut Links, on: bool) -> Result<()> {
        if on == !self.away {
            return Ok(());
        }
        if on {
            // First of all: turns that were in hand are over.
            self.times = self.times.wrapping_add(1);
            let set = self.epoch.set(0, self.times, 0);
            set.map_err(|e| Error::Map { map: "io_epoch", detail: one_line(&e) })?;
        }
        for name in PROGRAMS {
            let change = if on { links.attach(ebpf, name) } else { links.detach(ebpf, name) };
            change.map_err(|e| Error::Load(format!("{name}: {}", one_line(&e))))?;
        }
        self.away = !on;
        Ok(())
    }
}
