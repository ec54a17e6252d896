//! What the kernel side has counted of everybody, by network namespace.

use std::sync::Arc;

use aya::maps::{HashMap, MapData};
use tracenet_core::key::NetnsCookie;

use crate::abi;
use crate::spec::NetnsTotals;

/// Reads the in-kernel totals. Cookie 0 stands for packets whose namespace could not be told.
#[derive(Clone)]
pub struct Totals {
    map: Arc<HashMap<MapData, u64, abi::NetnsCounters>>,
}

impl std::fmt::Debug for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Totals").finish_non_exhaustive()
    }
}

impl Totals {
    pub(crate) fn new(map: HashMap<MapData, u64, abi::NetnsCounters>) -> Self {
        Self { map: Arc::new(map) }
    }

    /// Those of one namespace; all 0 where nothing was counted yet.
    pub fn of(&self, netns: NetnsCookie) -> NetnsTotals {
        self.map.get(&netns.0, 0).map_or_else(|_| NetnsTotals::default(), |c| totals_of(&c))
    }
}

fn totals_of(c: &abi::NetnsCounters) -> NetnsTotals {
    NetnsTotals {
        netns_inum: u32::try_from(c.inum).unwrap_or(0),
        retransmitted_segments: c.retransmitted_segments,
        fast: c.fast,
        tail_loss_probe: c.tail_loss_probe,
        timeout: c.timeout,
        syn: c.syn,
        syn_ack: c.syn_ack,
        other: c.other,
        timeouts: c.timeouts,
        retransmits_unowned: c.retransmits_unowned,
        drops_owned: c.drops_owned,
        drops_unowned: c.drops_unowned,
        drops_netfilter: c.drops_netfilter,
        drop_segments: c.drop_segments,
        udp_rcvbuf_errors: c.udp_rcvbuf_errors,
        resets_sent: c.resets_sent,
        resets_received: c.resets_received,
        active_opens: c.active_opens,
        passive_opens: c.passive_opens,
    }
}
