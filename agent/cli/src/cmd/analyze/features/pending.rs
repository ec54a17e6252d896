//! Datagrams of which fragments are missing.

use std::collections::VecDeque;
use std::net::IpAddr;

use tracenet_collectors::decode::IpPacket;
use tracenet_core::features::Datagram;

/// Datagrams that wait for fragments at most; the oldest gives way.
const MAX: usize = 256;

/// What fragments of a datagram have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    id: Option<u32>,
    protocol: u8,
}

/// Datagrams with something of `T` each, in the order of their first fragments.
pub struct Pending<T> {
    all: VecDeque<(Key, Datagram, T)>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { all: VecDeque::new() }
    }
}

impl<T> Pending<T> {
    /// Takes a fragment. The first one of a datagram begins its `T`, and with each of them `also` is done. A datagram that
    /// is whole now, or had to give way, is returned; only the latter is not whole.
    pub fn fragment(
        &mut self,
        ip: &IpPacket,
        begin: impl FnOnce() -> T,
        also: impl FnOnce(&mut T),
    ) -> Option<(Datagram, T)> {
        let IpPacket { source, destination, .. } = *ip;
        let key = Key { source, destination, id: ip.facts.id, protocol: ip.facts.protocol };
        let mut given_up = None;
        let at = self.all.iter().position(|(other, ..)| *other == key).unwrap_or_else(|| {
            if self.all.len() >= MAX {
                given_up = self.next();
            }
            self.all.push_back((key, Datagram::default(), begin()));
            self.all.len() - 1
        });
        let (_, datagram, of) = self.all.get_mut(at)?;
        datagram.fragment(&ip.facts);
        also(of);
        if given_up.is_some() || !datagram.is_whole() {
            return given_up;
        }
        self.all.remove(at).map(|(_, datagram, of)| (datagram, of))
    }

    /// Gives the oldest up.
    pub fn next(&mut self) -> Option<(Datagram, T)> {
        self.all.pop_front().map(|(_, datagram, of)| (datagram, of))
    }
}
