//! The waterfall of a turn: where its time went, in parts that sum to its duration exactly (INV 8).
//!
//! While a turn is open its connection notes marks (bytes passed, packets, wake-ups) and troubles (losses, shut
//! windows). When it is over they become labelled intervals, and each instant goes to the [`Part`] that stands first
//! in [`Part::ALL`] among those that cover it; what none covers is `unaccounted`.
//!
//! What is told of an instant is what the turn waited for then: bytes that arrive early and wait for the application
//! while more of them are still on their way delay nothing, so the receiving side counts after the last packet only.
//! Below the troubles the phases follow one another:
//!
//! ```text
//! client  first write ‥ last write      application; send_buffer while a write slept
//!         ‥ last packet out             egress_queue while nothing is in flight, else network
//!         ‥ first packet in             network for the smallest RTT of the connection, then peer
//!         ‥ last packet in              network; of a gap longer than a window's turn-round only the RTT, the rest peer
//!         ‥ last read                   receive_path until the socket is readable, run_queue until the thread runs,
//!                                       receive_buffer
//! server  request in ‥ last read        as the last two of the client, for the request
//!         ‥ last write                  application; run_queue; send_buffer while a write slept
//! ```
//!
//! A loss counts from the first transmission plus the RTT until the acknowledgement (the receiver: from when the
//! hole shows until it is filled; where no later bytes show it, since the last progress: see [`incoming`]). Its kind is the kernel's cause of the retransmission, at either end where that is
//! known, else by [`trouble::kind_of_hole`].

mod before;
mod cause;
mod evidence;
mod incoming;
mod numbering;
mod outgoing;
mod phases;
mod recorder;
mod sweep;
#[cfg(test)]
mod tests;
mod trouble;
mod verdict;

use serde::{Serialize, Serializer, ser::SerializeMap};

pub use cause::Cause;
pub use evidence::{Evidence, MAX_EVIDENCE};
pub(crate) use recorder::{Early, Lost, PRECEDES_NS, Recorder, Seen, Sides};

use crate::time::{DurationNs, MonoNs};

/// What a turn's time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The peer's receive window was shut while there was something to send.
    ZeroWindowPeer,
    /// Our receive window was shut while the peer had something to send.
    ZeroWindowLocal,
    /// Bytes were lost and sent again after a retransmission timeout (RFC 6298).
    LossRto,
    /// Bytes were lost and sent again by a tail loss probe (RFC 8985, section 7).
    LossTlp,
    /// Bytes were lost and sent again by fast retransmit (RFC 6675, RFC 8985).
    LossFast,
    /// connect(2) until ESTABLISHED, before the connection's first turn.
    Connect,
    /// In the queue of accept(2), before the connection's first turn.
    AcceptQueue,
    /// A thread was woken and waited for a CPU.
    RunQueue,
    /// From the packet's arrival until the socket was readable.
    ReceivePath,
    /// Bytes were readable and not read.
    ReceiveBuffer,
    /// The application waited for room in the send buffer.
    SendBuffer,
    /// The application's own time between its calls.
    Application,
    /// Written bytes that had not left the host, with nothing in flight that could hold them back.
    EgressQueue,
    /// On the way, there and back.
    Network,
    /// The peer had the request and had not answered.
    Peer,
    /// Name resolution by the same thread, answered shortly before connect(2) of the connection's first turn.
    Dns,
    /// TLS handshake before the connection's first turn, until its last byte was written or read.
    Tls,
    /// What is explained by nothing that was seen.
    Unaccounted,
}

impl Part {
    /// All parts, those that win first.
    pub const ALL: [Self; 18] = [
        Self::ZeroWindowPeer,
        Self::ZeroWindowLocal,
        Self::LossRto,
        Self::LossTlp,
        Self::LossFast,
        Self::Connect,
        Self::AcceptQueue,
        Self::RunQueue,
        Self::ReceivePath,
        Self::ReceiveBuffer,
        Self::SendBuffer,
        Self::Application,
        Self::EgressQueue,
        Self::Network,
        Self::Peer,
        Self::Dns,
        Self::Tls,
        Self::Unaccounted,
    ];

    /// Its name in JSON and in attributes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZeroWindowPeer => "zero_window_peer",
            Self::ZeroWindowLocal => "zero_window_local",
            Self::LossRto => "loss_rto",
            Self::LossTlp => "loss_tlp",
            Self::LossFast => "loss_fast",
            Self::Connect => "connect",
            Self::AcceptQueue => "accept_queue",
            Self::RunQueue => "run_queue",
            Self::ReceivePath => "receive_path",
            Self::ReceiveBuffer => "receive_buffer",
            Self::SendBuffer => "send_buffer",
            Self::Application => "application",
            Self::EgressQueue => "egress_queue",
            Self::Network => "network",
            Self::Peer => "peer",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Unaccounted => "unaccounted",
        }
    }

    /// True for what should not happen to a turn: losses and shut windows.
    pub fn is_trouble(self) -> bool {
        self <= Self::LossFast
    }
}

/// Nanoseconds of each part. They sum to the duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts([u64; Part::ALL.len()]);

impl Parts {
    /// Time of one part.
    pub fn get(&self, part: Part) -> DurationNs {
        DurationNs(self.0.get(part as usize).copied().unwrap_or_default())
    }

    /// All parts with their time, in the order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = (Part, DurationNs)> + '_ {
        Part::ALL.into_iter().map(|part| (part, self.get(part)))
    }

    /// Their sum.
    pub fn sum(&self) -> DurationNs {
        DurationNs(self.0.iter().fold(0, |sum, ns| sum.saturating_add(*ns)))
    }

    /// The parts that took time, the largest first.
    pub fn by_size(&self) -> Vec<(Part, DurationNs)> {
        let mut parts: Vec<_> = self.iter().filter(|(_, t)| t.0 > 0).collect();
        parts.sort_by_key(|(_, t)| std::cmp::Reverse(*t));
        parts
    }

    /// What is left of each part without `others`, none below zero.
    pub fn without(&self, others: &Self) -> Self {
        let mut rest = *self;
        for (mine, other) in rest.0.iter_mut().zip(others.0) {
            *mine = mine.saturating_sub(other);
        }
        rest
    }

    fn add(&mut self, part: Part, ns: u64) {
        if let Some(sum) = self.0.get_mut(part as usize) {
            *sum = sum.saturating_add(ns);
        }
    }
}

impl FromIterator<(Part, DurationNs)> for Parts {
    fn from_iter<I: IntoIterator<Item = (Part, DurationNs)>>(times: I) -> Self {
        let mut parts = Self::default();
        times.into_iter().for_each(|(part, t)| parts.add(part, t.0));
        parts
    }
}

/// As an object of nanoseconds, every part in it.
impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(Part::ALL.len()))?;
        for (part, t) in self.iter() {
            map.serialize_entry(part.as_str(), &t)?;
        }
        map.end()
    }
}

/// A turn's time, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waterfall {
    /// Where the parts begin: the turn's start, of a server the arrival of its request, or that of the handshakes or of
    /// the wait for accept(2) which a connection's first turn followed at once.
    pub start: MonoNs,
    /// Their sum is the time from [`start`](Self::start) to the turn's end.
    pub parts: Parts,
    /// Of the parts, what lies before the turn's own start.
    pub before: Parts,
    /// What the turn is to be blamed on. A loss or a shut window that took a tenth of the time is told before
    /// anything that is larger but ordinary; of a server's turn the time counts too that its response needed to be
    /// acknowledged after the last write. Otherwise the largest part. What ended the turn early is told before all.
    pub cause: Cause,
    /// What proves it, in order of time, at most [`MAX_EVIDENCE`].
    pub evidence: Vec<Evidence>,
    /// More happened than could be kept: parts may be wrong, their sum is not.
    pub incomplete: bool,
}
