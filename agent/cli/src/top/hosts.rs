//! The hosts at the other ends of the connections.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::flows::Flow;
use super::rates::Rate;

/// A remote host, or one port of it.
#[derive(Debug, Clone)]
pub struct Host {
    pub address: IpAddr,
    pub port: Option<u16>,
    pub connections: u64,
    /// Sums of the connections'.
    pub rates: [Rate; 3],
    /// Bytes a second, both ways, of each interval; the latest one last.
    pub history: Vec<u64>,
    /// Segments sent again on the connections that are open.
    pub retransmits: u64,
    /// Sum of the smoothed times in microseconds, and of how many connections.
    rtt: (u64, u64),
    /// Processes that are connected to it.
    pub processes: BTreeMap<u32, Arc<str>>,
}

impl Host {
    /// Mean of the smoothed times in microseconds; 0 where none was measured.
    pub fn rtt_us(&self) -> u64 {
        self.rtt.0.checked_div(self.rtt.1).unwrap_or(0)
    }

    fn add(&mut self, flow: &Flow) {
        self.connections += 1;
        for (sum, rate) in self.rates.iter_mut().zip(flow.rates) {
            *sum = sum.plus(rate);
        }
        if self.history.len() < flow.history.len() {
            let missing = flow.history.len() - self.history.len();
            self.history.splice(0..0, std::iter::repeat_n(0, missing));
        }
        for (sum, rate) in self.history.iter_mut().rev().zip(flow.history.iter().rev()) {
            *sum = sum.saturating_add(*rate);
        }
        self.retransmits += u64::from(flow.retransmits);
        if flow.rtt_us > 0 {
            self.rtt = (self.rtt.0 + u64::from(flow.rtt_us), self.rtt.1 + 1);
        }
        self.processes.extend(flow.holders.iter().cloned());
    }
}

/// Those that `flows` lead to, each port apart if asked for.
pub fn of<'a>(flows: impl Iterator<Item = &'a Flow>, ports: bool) -> Vec<Host> {
    let mut hosts: BTreeMap<(IpAddr, Option<u16>), Host> = BTreeMap::new();
    for flow in flows {
        let (address, port) = (flow.remote.ip(), ports.then(|| flow.remote.port()));
        let host = hosts.entry((address, port)).or_insert_with(|| Host {
            address,
            port,
            connections: 0,
            rates: Default::default(),
            history: Vec::new(),
            retransmits: 0,
            rtt: (0, 0),
            processes: BTreeMap::new(),
        });
        host.add(flow);
    }
    hosts.into_values().collect()
}
