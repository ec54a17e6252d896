//! Drops to be told of.

use std::sync::Arc;

use crate::drops::Hurt;
use crate::event::DropEvent;
use crate::fact::{DropFact, PeerOwner};
use crate::key::{Direction, NetnsCookie, Transport, Tuple};

use super::ACK;

pub(super) fn dropped(direction: Direction, seq: u32, payload_len: u32) -> DropEvent {
    let end = "10.0.0.1:1".parse().expect("an address");
    DropEvent {
        netns: NetnsCookie(1),
        netns_inum: 1,
        tuple: Tuple { transport: Transport::Tcp, local: end, remote: end },
        direction,
        cookie: None,
        owner: None,
        peer_cookie: None,
        reason: "NETFILTER_DROP".into(),
        location: "nft_do_chain".into(),
        ifindex: 0,
        details: Arc::default(),
        seq,
        tcp_flags: ACK,
        payload_len,
        segments: 1,
    }
}

pub(super) fn told(d: &DropEvent) -> Arc<DropFact> {
    Arc::new(DropFact {
        reason: d.reason.clone(),
        location: d.location.clone(),
        details: Arc::default(),
        transport: Transport::Tcp,
        direction: d.direction,
        hurt: Hurt::None,
        victim: PeerOwner { pid: 0, comm: "".into() },
        seq: d.seq,
        payload_len: d.payload_len,
        segments: 1,
        ifindex: 0,
        netns_inum: 1,
        at_peer: None,
    })
}
