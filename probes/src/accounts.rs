//! What the kernel side has added up of each process of the host.

use std::sync::{Arc, Mutex};

use aya::maps::{HashMap, MapData};
use tracenet_core::key::ProcessKey;

use crate::abi::{AccountKey, AccountValue};

/// Reads the accounts.
#[derive(Clone)]
pub struct Accounts {
    map: Arc<Mutex<HashMap<MapData, AccountKey, AccountValue>>>,
}

/// What a process did on the network since the session began. Bytes are those of the application; of whoever uses a
/// socket that several have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The process's name (`comm`) when it was first seen.
    pub comm: String,
    /// Bytes sent over TCP.
    pub tcp_sent: u64,
    /// Bytes received over TCP.
    pub tcp_received: u64,
    /// Bytes sent over UDP.
    pub udp_sent: u64,
    /// Bytes received over UDP.
    pub udp_received: u64,
    /// Segments of TCP sent, those sent again included (`tcp_sock.segs_out`), as of each call and of the end.
    pub segments_sent: u64,
    /// Segments of TCP received (`tcp_sock.segs_in`).
    pub segments_received: u64,
    /// Datagrams of UDP sent, by calls.
    pub datagrams_sent: u64,
    /// Datagrams of UDP received, by calls.
    pub datagrams_received: u64,
    /// Calls that send or receive and failed, but for `EAGAIN`.
    pub errors: u64,
    /// Datagrams sent to port 53 by connected sockets.
    pub lookups: u64,
    /// Connections opened.
    pub opened: u64,
    /// Connections that came out of its listeners.
    pub accepted: u64,
    /// Connections that could not be opened.
    pub failed: u64,
    /// Segments sent again by fast retransmit.
    pub fast: u64,
    /// By a tail loss probe.
    pub tail_loss_probe: u64,
    /// By a timeout, and in the slow start after it.
    pub timeout: u64,
    /// SYNs sent again.
    pub syn: u64,
    /// SYN/ACKs sent again.
    pub syn_ack: u64,
    /// Sent again for no reason of the above.
    pub other: u64,
    /// Packets dropped that hurt its sockets.
    pub drops: u64,
    /// Sum of the smoothed round-trip times, one for each call that received over TCP, in microseconds.
    pub rtt_us: u64,
    /// How many these are.
    pub rtts: u64,
}

impl Account {
    /// Segments sent again.
    pub fn retransmits(&self) -> u64 {
        self.fast + self.tail_loss_probe + self.timeout + self.syn + self.syn_ack + self.other
    }

    /// Bytes sent.
    pub fn sent(&self) -> u64 {
        self.tcp_sent + self.udp_sent
    }

    /// Bytes received.
    pub fn received(&self) -> u64 {
        self.tcp_received + self.udp_received
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

impl Accounts {
    pub(crate) fn new(map: HashMap<MapData, AccountKey, AccountValue>) -> Self {
        Self { map: Arc::new(Mutex::new(map)) }
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<(ProcessKey, Account)> {
        let Ok(map) = self.map.lock() else { return Vec::new() };
        let all = map.iter().map_while(Result::ok);
        all.map(|(key, value)| (ProcessKey { tgid: key.tgid, start_ns: key.start_ns }, of(&value))).collect()
    }

    /// Makes room: of a process that has ended, once its account was read.
    pub fn forget(&self, key: ProcessKey) {
        if let Ok(mut map) = self.map.lock() {
            // What is gone already needs no taking out.
            let _ = map.remove(&AccountKey { start_ns: key.start_ns, tgid: key.tgid, pad: 0 });
        }
    }
}

fn of(v: &AccountValue) -> Account {
    let comm = v.comm.split(|b| *b == 0).next().unwrap_or_default();
    let [fast, tail_loss_probe, timeout, syn, syn_ack, other] = v.retransmitted;
    Account {
        comm: String::from_utf8_lossy(comm).into_owned(),
        tcp_sent: v.tcp_sent,
        tcp_received: v.tcp_received,
        udp_sent: v.udp_sent,
        udp_received: v.udp_received,
        segments_sent: v.segments_sent,
        segments_received: v.segments_received,
        datagrams_sent: v.datagrams_sent,
        datagrams_received: v.datagrams_received,
        errors: v.errors,
        lookups: v.lookups,
        opened: v.opened,
        accepted: v.accepted,
        failed: v.failed,
        fast,
        tail_loss_probe,
        timeout,
        syn,
        syn_ack,
        other,
        drops: v.drops,
        rtt_us: v.rtt_us,
        rtts: v.rtts,
    }
}
