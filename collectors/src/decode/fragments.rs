//! IP fragments put together again (RFC 791, section 3.2; RFC 8200, section 4.5), in bounded memory.

use std::collections::VecDeque;
use std::net::IpAddr;

/// Datagrams that wait for fragments at most; the oldest gives way.
const MAX_WAITING: usize = 64;

/// Largest datagram, bytes.
const MAX_LEN: usize = 65_535;

/// What fragments of a datagram have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub id: u32,
    pub protocol: u8,
}

/// One fragment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    /// Place of its bytes in the datagram.
    pub offset: usize,
    /// It isn't the last.
    pub more: bool,
    pub bytes: &'a [u8],
}

#[derive(Debug)]
struct Waiting {
    key: Key,
    bytes: Vec<u8>,
    /// What is there, as ranges that neither touch nor overlap, in order.
    there: Vec<(usize, usize)>,
    /// Length, once the last fragment has come.
    len: Option<usize>,
}

/// Datagrams of which fragments are missing.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: VecDeque<Waiting>,
    given_up: u64,
}

impl Fragments {
    /// Takes a fragment, and returns the datagram's payload if it is whole now. Where fragments overlap the first
    /// one counts for what it covers.
    pub fn add(&mut self, key: Key, f: Fragment<'_>) -> Option<Vec<u8>> {
        let end = f.offset + f.bytes.len();
        if end > MAX_LEN || f.bytes.is_empty() {
            return None;
        }
        let at = self.waiting.iter().position(|w| w.key == key).unwrap_or_else(|| {
            if self.waiting.len() >= MAX_WAITING {
                self.waiting.pop_front();
                self.given_up += 1;
            }
            self.waiting.push_back(Waiting { key, bytes: Vec::new(), there: Vec::new(), len: None });
            self.waiting.len() - 1
        });
        let w = &mut self.waiting[at];
        if !f.more {
            w.len.get_or_insert(end);
        }
        w.put(f.offset, f.bytes);
        let whole = w.len.is_some_and(|len| matches!(w.there.as_slice(), [(0, to)] if *to >= len));
        if !whole {
            return None;
        }
        let mut done = self.waiting.remove(at)?;
        done.bytes.truncate(done.len.unwrap_or(MAX_LEN));
        Some(done.bytes)
    }

    /// Datagrams that never became whole.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }
}

impl Waiting {
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        // Fills the gaps between what is there.
        let mut from = offset;
        for &(left, right) in &self.there {
            if from < left.min(end) {
                self.bytes[from..left.min(end)]
                    .copy_from_slice(&bytes[from - offset..left.min(end) - offset]);
            }
            from = from.max(right);
        }
        if from < end {
            self.bytes[from..end].copy_from_slice(&bytes[from - offset..]);
        }
        self.there.push((offset, end));
        self.there.sort_unstable();
        self.there.dedup_by(|next, before| {
            let joined = next.0 <= before.1;
            if joined {
                before.1 = before.1.max(next.1);
            }
            joined
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32) -> Key {
        let a = IpAddr::from([10, 0, 0, 1]);
        Key { source: a, destination: a, id, protocol: 17 }
    }

    fn fragment(offset: usize, more: bool, bytes: &[u8]) -> Fragment<'_> {
        Fragment { offset, more, bytes }
    }

    #[test]
    fn any_order_makes_the_datagram() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let mut all = Fragments::default();
            let parts =
                [fragment(0, true, b"abcdefgh"), fragment(8, true, b"ijklmnop"), fragment(16, false, b"qr")];
            let mut got: Vec<_> = order.iter().map(|i| all.add(key(1), parts[*i])).collect();
            assert_eq!(got.pop().unwrap().unwrap(), b"abcdefghijklmnopqr");
            assert!(got.iter().all(Option::is_none));
        }
    }

    #[test]
    fn an_overlap_keeps_what_came_first_and_strangers_do_not_mix() {
        let mut all = Fragments::default();
        assert_eq!(all.add(key(1), fragment(8, false, b"IJKL")), None);
        assert_eq!(all.add(key(2), fragment(0, true, b"xxxxxxxx")), None);
        assert_eq!(all.add(key(1), fragment(0, true, b"abcdefghijklmnop")).unwrap(), b"abcdefghIJKL");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut all = Fragments::default();
        for id in 0..1000 {
            all.add(key(id), fragment(0, true, b"abcdefgh"));
        }
        assert_eq!(all.waiting.len(), MAX_WAITING);
        assert_eq!(all.given_up(), 1000 - MAX_WAITING as u64);
        assert_eq!(all.add(key(1001), fragment(65_528, false, b"too long")), None);
    }
}
