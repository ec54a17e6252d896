//! What is fuzzed: one function for each parser, for the analyser and for the core, which takes any bytes and panics
//! where a promise is broken.
//!
//! `make fuzz` runs them under cargo-fuzz (`tests/fuzz`), and `make test` runs them over the corpus that it left
//! (`tests/fuzz/corpus`), so whatever was found once is looked for ever after.

mod capture;
mod core;
mod filter;
mod recording;
mod ring;
mod syscalls;
mod tcp;
mod text;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tracenet_core::event::{Segment, TcpOptions};

pub use self::core::core;
pub use capture::{decode, reader, round_trip};
pub use filter::filter;
pub use recording::recording;
pub use ring::ring;
pub use syscalls::syscalls;
pub use tcp::{reassembly, streams};
pub use text::text;

/// A function that takes anything.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("core", core),
    ("decode", decode),
    ("filter", filter),
    ("reader", reader),
    ("reassembly", reassembly),
    ("recording", recording),
    ("ring", ring),
    ("round_trip", round_trip),
    ("streams", streams),
    ("syscalls", syscalls),
    ("text", text),
];

/// Values out of a fuzzer's bytes: little endian, zero after the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `n` bytes, or as many as there are.
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut all = [0; N];
        let taken = self.take(N);
        all[..taken.len()].copy_from_slice(taken);
        all
    }

    fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn flag(&mut self) -> bool {
        self.u8() & 1 != 0
    }

    /// One of few.
    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.u8()) % all.len()]
    }

    /// Numbers as they occur: small ones often, any now and then.
    fn number(&mut self) -> u32 {
        match self.u8() {
            n @ 0..=127 => u32::from(n),
            128..=199 => u32::from(self.u16()),
            200..=219 => 1460,
            220..=229 => u32::MAX,
            _ => self.u32(),
        }
    }

    /// A clock: mostly on by a little, sometimes by much, back, or anywhere.
    fn time(&mut self, now: u64) -> u64 {
        match self.u8() {
            n @ 0..=127 => now.saturating_add(u64::from(n) * 1_000),
            n @ 128..=223 => now.saturating_add(u64::from(n - 127) * 1_000_000),
            n @ 224..=239 => now.saturating_add(u64::from(n - 223) * 5_000_000_000),
            n @ 240..=251 => now.saturating_sub(u64::from(n - 239) * 500_000),
            _ => self.u64(),
        }
    }

    /// One of few ends, so that they meet again.
    fn end(&mut self) -> SocketAddr {
        const IPS: [IpAddr; 6] = [
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped()),
        ];
        let n = usize::from(self.u8());
        SocketAddr::new(IPS[n % IPS.len()], [80, 40_000, 40_001, 0, 65_535][n / IPS.len() % 5])
    }

    /// A TCP header whose numbers are near `seq` and `ack`, or anywhere.
    fn segment(&mut self, seq: u32, ack: u32) -> Segment {
        let (flags, near) = (self.u8(), self.u8());
        let mut options = TcpOptions::default();
        let which = if near & 0x80 != 0 { self.u8() } else { 0 };
        if which & 1 != 0 {
            options.mss = Some(self.u16());
        }
        if which & 2 != 0 {
            options.window_scale = Some(self.u8());
        }
        options.sack_permitted = which & 4 != 0;
        if which & 8 != 0 {
            options.timestamps = Some((self.u32(), self.u32()));
        }
        options.sack_count = which >> 4 & 3;
        for block in options.sack.iter_mut().take(usize::from(options.sack_count)) {
            let left = ack.wrapping_add(self.number());
            *block = (left, left.wrapping_add(self.number()));
        }
        Segment {
            seq: self.near(seq, near),
            ack: self.near(ack, near >> 2),
            window: if near & 0x10 != 0 { 0 } else { self.u16() },
            flags,
            options,
        }
    }

    fn near(&mut self, n: u32, how: u8) -> u32 {
        match how & 3 {
            0 => n,
            1 => n.wrapping_add(self.number()),
            2 => n.wrapping_sub(self.number()),
            _ => self.u32(),
        }
    }
}
