//! UDP conversations, numbered as tshark numbers them (`udp.stream`).

use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};

use rustc_hash::{FxHashMap, FxHashSet};

/// Conversations that are told apart; the packets of more are only counted.
const MAX: usize = 1 << 20;

const SNMP: u16 = 161;
const TFTP: u16 = 69;

/// Numbers of UDP conversations, in the order of first sight.
#[derive(Debug, Default)]
pub struct Datagrams {
    conversations: FxHashMap<(SocketAddr, SocketAddr), Conversation>,
    /// Numbers given so far.
    given: u32,
    /// Who asked whom for a file: tshark takes what they send each other from then on for TFTP.
    tftp: FxHashSet<(SocketAddr, IpAddr)>,
    /// Packets of conversations without a number.
    pub omitted: u64,
}

#[derive(Debug, Clone, Copy)]
struct Conversation {
    number: u32,
    /// What follows gets a number of its own: tshark begins another conversation behind a first request of SNMP.
    begins_anew: bool,
}

impl Datagrams {
    /// Conversations so far.
    pub fn count(&self) -> usize {
        self.conversations.len()
    }

    /// Of the conversation that a datagram belongs to; `None` where there are too many.
    pub fn number(&mut self, source: SocketAddr, destination: SocketAddr, payload_len: u32) -> Option<u32> {
        let key = if source <= destination { (source, destination) } else { (destination, source) };
        if self.conversations.len() >= MAX && !self.conversations.contains_key(&key) {
            self.omitted += 1;
            return None;
        }
        let next = self.given;
        let conversation = match self.conversations.entry(key) {
            Entry::Vacant(place) => {
                let is_told = payload_len > 0;
                let begins_anew =
                    destination.port() == SNMP && is_told && !self.tftp.contains(&(source, destination.ip()));
                if destination.port() == TFTP && is_told && self.tftp.len() < MAX {
                    self.tftp.insert((source, destination.ip()));
                }
                *place.insert(Conversation { number: next, begins_anew })
            }
            Entry::Occupied(mut known) => {
                if known.get().begins_anew {
                    known.insert(Conversation { number: next, begins_anew: false });
                }
                *known.get()
            }
        };
        self.given += u32::from(conversation.number == next);
        Some(conversation.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_request_of_snmp_is_a_conversation_of_its_own() {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let mut all = Datagrams::default();
        let numbers = [(1000, 161), (161, 1000), (1001, 53), (53, 1001), (1000, 161), (1002, 53)]
            .map(|(source, destination)| all.number(at(source), at(destination), 10));
        assert_eq!(numbers, [0, 1, 2, 2, 1, 3].map(Some));
        assert_eq!(all.count(), 3);
        // Without a payload nobody sees SNMP.
        let numbers = [(2000, 161), (161, 2000)]
            .map(|(source, destination)| all.number(at(source), at(destination), 0));
        assert_eq!(numbers, [4, 4].map(Some));
    }
}
