//! UDP conversations, numbered in the order of first sight.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;

/// Conversations that are told apart; the packets of more are only counted.
const MAX: usize = 1 << 20;

/// Numbers of UDP conversations.
#[derive(Debug, Default)]
pub struct Datagrams {
    numbers: FxHashMap<(SocketAddr, SocketAddr), u32>,
    /// Packets of conversations without a number.
    pub omitted: u64,
}

impl Datagrams {
    /// Conversations so far.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Of the conversation between two addresses; `None` where there are too many.
    pub fn number(&mut self, a: SocketAddr, b: SocketAddr) -> Option<u32> {
        let next = self.numbers.len();
        let key = if a <= b { (a, b) } else { (b, a) };
        if next >= MAX {
            let known = self.numbers.get(&key).copied();
            self.omitted += u64::from(known.is_none());
            return known;
        }
        Some(*self.numbers.entry(key).or_insert(next as u32))
    }
}
