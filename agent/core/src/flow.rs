//! Where packets find their sockets: by the whole flow, or by the local end alone.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::key::{NetnsCookie, Transport, Tuple, unmap};

/// A flow in a namespace, with addresses in one form only: no IPv4-mapped ones, no scope ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey {
    netns: NetnsCookie,
    transport: Transport,
    local: IpAddr,
    remote: IpAddr,
    local_port: u16,
    remote_port: u16,
}

impl FlowKey {
    pub(crate) fn new(netns: NetnsCookie, t: &Tuple) -> Self {
        Self {
            netns,
            transport: t.transport,
            local: unmap(t.local.ip()),
            remote: unmap(t.remote.ip()),
            local_port: t.local.port(),
            remote_port: t.remote.port(),
        }
    }

    pub(crate) fn netns(&self) -> NetnsCookie {
        self.netns
    }

    /// The same flow in another namespace.
    pub(crate) fn within(self, netns: NetnsCookie) -> Self {
        Self { netns, ..self }
    }

    pub(crate) fn reversed(self) -> Self {
        Self {
            local: self.remote,
            remote: self.local,
            local_port: self.remote_port,
            remote_port: self.local_port,
            ..self
        }
    }

    /// Both ports are known.
    pub(crate) fn is_whole(&self) -> bool {
        self.local_port != 0 && self.remote_port != 0
    }

    /// True where both have the same local end.
    pub(crate) fn same_local(&self, other: &Self) -> bool {
        (self.netns, self.transport, self.local, self.local_port)
            == (other.netns, other.transport, other.local, other.local_port)
    }
}

/// Sockets by their local end: listeners, and UDP sockets that talk to anybody.
#[derive(Debug)]
pub(crate) struct LocalIndex<T> {
    by_port: FxHashMap<(NetnsCookie, Transport, u16), Vec<(IpAddr, T)>>,
}

impl<T> Default for LocalIndex<T> {
    fn default() -> Self {
        Self { by_port: FxHashMap::default() }
    }
}

impl<T: Copy + PartialEq> LocalIndex<T> {
    pub(crate) fn insert(&mut self, key: &FlowKey, socket: T) {
        let at = self.by_port.entry((key.netns, key.transport, key.local_port)).or_default();
        if !at.contains(&(key.local, socket)) {
            at.push((key.local, socket));
        }
    }

    pub(crate) fn remove(&mut self, key: &FlowKey, socket: T) {
        let port = (key.netns, key.transport, key.local_port);
        if let Some(at) = self.by_port.get_mut(&port) {
            at.retain(|(_, s)| *s != socket);
            if at.is_empty() {
                self.by_port.remove(&port);
            }
        }
    }

    /// The socket that the kernel would choose for a packet to this local end: the exact address before the
    /// wildcard, the wildcard of the same family before the dual-stack one.
    pub(crate) fn find(&self, key: &FlowKey) -> Option<T> {
        let at = self.by_port.get(&(key.netns, key.transport, key.local_port))?;
        at.iter()
            .filter_map(|(ip, s)| {
                let fit = if *ip == key.local {
                    0
                } else if !ip.is_unspecified() {
                    return None;
                } else if ip.is_ipv4() == key.local.is_ipv4() {
                    1
                } else if ip.is_ipv6() {
                    2
                } else {
                    return None;
                };
                Some((fit, *s))
            })
            .min_by_key(|(fit, _)| *fit)
            .map(|(_, s)| s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(local: &str, remote: &str) -> FlowKey {
        let t = Tuple {
            transport: Transport::Tcp,
            local: local.parse().expect("an address"),
            remote: remote.parse().expect("an address"),
        };
        FlowKey::new(NetnsCookie(1), &t)
    }

    #[test]
    fn mapped_addresses_are_the_same_flow() {
        assert_eq!(key("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:9"), key("10.0.0.1:80", "10.0.0.2:9"));
        assert_eq!(key("10.0.0.1:80", "10.0.0.2:9").reversed(), key("10.0.0.2:9", "10.0.0.1:80"));
    }

    #[test]
    fn the_most_exact_local_end_wins() {
        let mut ix = LocalIndex::default();
        ix.insert(&key("[::]:80", "[::]:0"), 6);
        let v4 = key("10.0.0.1:80", "10.0.0.2:9");
        assert_eq!(ix.find(&v4), Some(6), "a dual-stack listener takes IPv4");
        ix.insert(&key("0.0.0.0:80", "0.0.0.0:0"), 4);
        assert_eq!(ix.find(&v4), Some(4));
        ix.insert(&key("10.0.0.1:80", "0.0.0.0:0"), 1);
        assert_eq!(ix.find(&v4), Some(1));
        assert_eq!(ix.find(&key("10.0.0.9:80", "10.0.0.2:9")), Some(4));
        assert_eq!(ix.find(&key("[fe80::1]:80", "[fe80::2]:9")), Some(6));
        assert_eq!(ix.find(&key("10.0.0.1:81", "10.0.0.2:9")), None);
        ix.remove(&key("10.0.0.1:80", "0.0.0.0:0"), 1);
        assert_eq!(ix.find(&v4), Some(4));
    }

    #[test]
    fn an_ipv4_wildcard_takes_no_ipv6() {
        let mut ix = LocalIndex::default();
        ix.insert(&key("0.0.0.0:80", "0.0.0.0:0"), 4);
        assert_eq!(ix.find(&key("[2001:db8::1]:80", "[2001:db8::2]:9")), None);
    }
}
