//! What the kernel side has added up of each process of the host.

use std::collections::BTreeMap;
use std::sync::Arc;

use aya::maps::{HashMap, MapData};
use rustc_hash::FxHashMap;
use tracenet_core::key::ProcessKey;

use crate::abi::{AccountDropKey, AccountKey, AccountValue};

/// Reads the accounts.
pub(crate) struct Accounts {
    accounts: HashMap<MapData, AccountKey, AccountValue>,
    drops: HashMap<MapData, AccountDropKey, u64>,
    /// The kernel's names of `enum skb_drop_reason`.
    reasons: FxHashMap<u32, Arc<str>>,
    /// Keys of `drops` that were read last.
    dropped: FxHashMap<ProcessKey, Vec<u32>>,
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
    /// Of these how many for which reason, by the names of `enum skb_drop_reason`.
    pub drop_reasons: BTreeMap<Arc<str>, u64>,
    /// Its control groups from the root on, as in `/proc/PID/cgroup`, of version 2 where it is in one, as far as they fit into
    /// 256 bytes from the end; empty for the root, and where only softirqs saw it.
    pub cgroup: String,
    /// Sum of the smoothed round-trip times in microseconds, one of each connection that had received something when it
    /// was looked at.
    pub rtt_us: u64,
    /// How many these are.
    pub rtts: u64,
    /// Nanoseconds for which it was held up by these probes, where every process is followed. Of some 64 runs one is timed.
    pub probe_ns: u64,
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

impl Accounts {
    pub(crate) fn new(
        accounts: HashMap<MapData, AccountKey, AccountValue>,
        drops: HashMap<MapData, AccountDropKey, u64>,
        reasons: FxHashMap<u32, Arc<str>>,
    ) -> Self {
        Self { accounts, drops, reasons, dropped: FxHashMap::default() }
    }

    /// All of them, in no order.
    pub(crate) fn all(&mut self) -> Vec<(ProcessKey, Account)> {
        let mut drops: FxHashMap<ProcessKey, BTreeMap<Arc<str>, u64>> = FxHashMap::default();
        self.dropped.clear();
        for (key, packets) in self.drops.iter().map_while(Result::ok) {
            let process = ProcessKey { tgid: key.tgid, start_ns: key.start_ns };
            self.dropped.entry(process).or_default().push(key.reason);
            let name = self.reasons.get(&key.reason);
            let name = name.map_or_else(|| key.reason.to_string().into(), Arc::clone);
            *drops.entry(process).or_default().entry(name).or_default() += packets;
        }
        let all = self.accounts.iter().map_while(Result::ok);
        all.map(|(key, value)| {
            let process = ProcessKey { tgid: key.tgid, start_ns: key.start_ns };
            (process, Account { drop_reasons: drops.remove(&process).unwrap_or_default(), ..account(&value) })
        })
        .collect()
    }

    /// One, without its drops by reason.
    pub(crate) fn one(&self, of: ProcessKey) -> Option<Account> {
        let key = AccountKey { start_ns: of.start_ns, tgid: of.tgid, pad: 0 };
        self.accounts.get(&key, 0).ok().map(|value| account(&value))
    }

    /// Makes room: of a process that has ended, once its account was read.
    pub(crate) fn forget(&mut self, of: ProcessKey) {
        // What is gone already needs no taking out.
        let _ = self.accounts.remove(&AccountKey { start_ns: of.start_ns, tgid: of.tgid, pad: 0 });
        for reason in self.dropped.remove(&of).unwrap_or_default() {
            let _ = self.drops.remove(&AccountDropKey { start_ns: of.start_ns, tgid: of.tgid, reason });
        }
    }
}

fn account(v: &AccountValue) -> Account {
    let [fast, tail_loss_probe, timeout, syn, syn_ack, other] = v.retransmitted;
    Account {
        comm: text(&v.comm).into_owned(),
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
        drop_reasons: BTreeMap::new(),
        cgroup: path_of(&v.cgroup),
        rtt_us: v.rtt_us,
        rtts: v.rtts,
        probe_ns: v.probe_ns,
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default())
}

/// The kernel side's names come from the end of the path.
fn path_of(names: &[u8]) -> String {
    let names = text(names);
    names.split('/').rev().filter(|name| !name.is_empty()).flat_map(|name| ["/", name]).collect()
}
