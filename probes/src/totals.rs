//! What the kernel side has counted of everybody, by network namespace.

use std::sync::Arc;

use aya::maps::{HashMap, MapData};
use rustc_hash::FxHashMap;
use tracenet_core::key::{NetnsCookie, Transport};

use crate::abi;
use crate::spec::NetnsTotals;

/// Reads the in-kernel totals. Cookie 0 stands for packets whose namespace could not be told.
#[derive(Clone)]
pub struct Totals {
    map: Arc<HashMap<MapData, u64, abi::NetnsCounters>>,
    drops: Arc<HashMap<MapData, abi::DropKey, abi::DropCount>>,
    reasons: Arc<FxHashMap<u32, Arc<str>>>,
}

/// Drops of one kind in one namespace, of all its sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropTotal {
    /// `enum skb_drop_reason`, as events name it.
    pub reason: Arc<str>,
    /// Protocol of the packets; `None`: neither TCP nor UDP.
    pub transport: Option<Transport>,
    /// They were IPv6 packets.
    pub ipv6: bool,
    /// Packets (socket buffers).
    pub packets: u64,
    /// Segments inside.
    pub segments: u64,
}

impl std::fmt::Debug for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Totals").finish_non_exhaustive()
    }
}

impl Totals {
    pub(crate) fn new(
        map: HashMap<MapData, u64, abi::NetnsCounters>,
        drops: HashMap<MapData, abi::DropKey, abi::DropCount>,
        reasons: FxHashMap<u32, Arc<str>>,
    ) -> Self {
        Self { map: Arc::new(map), drops: Arc::new(drops), reasons: Arc::new(reasons) }
    }

    /// Drops in one namespace, by reason, in no order.
    pub fn drops_of(&self, netns: NetnsCookie) -> Vec<DropTotal> {
        let of = |(key, count): (abi::DropKey, abi::DropCount)| DropTotal {
            reason: self
                .reasons
                .get(&key.reason)
                .map_or_else(|| format!("REASON_{:#x}", key.reason).into(), Arc::clone),
            transport: Transport::from_ip_proto(key.proto),
            ipv6: key.ip == 6,
            packets: count.packets,
            segments: count.segments,
        };
        self.drops.iter().map_while(Result::ok).filter(|(key, _)| key.netns == netns.0).map(of).collect()
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
        timeouts_syn: c.timeouts_syn,
        timeouts_syn_ack: c.timeouts_syn_ack,
        retransmits_unowned: c.retransmits_unowned,
        drops_owned: c.drops_owned,
        drops_unowned: c.drops_unowned,
        resets_sent: c.resets_sent,
        resets_received: c.resets_received,
        active_opens: c.active_opens,
        passive_opens: c.passive_opens,
    }
}
