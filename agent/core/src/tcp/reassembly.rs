//! The bytes of a connection, each direction in order: what was sent again is told once, and what is not there is
//! told as a gap.
//!
//! A gap is certain once the other end acknowledges more than the bytes after it (RFC 9293, section 3.8: an
//! acknowledgement covers all before it). Until then later bytes wait, for the missing ones may come.

use std::collections::BTreeMap;

use super::Side;
use super::seq::SeqNum;
use crate::event::{Segment, tcp_flags};

/// Bytes of one direction that wait for those before them, the bookkeeping included: more than a receive window is
/// on any usual path.
pub const MAX_WAITING: usize = 16 << 20;

/// What a waiting piece costs besides its bytes.
const PIECE: usize = 96;

/// Why bytes are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gap {
    /// The other end had them, so they passed unseen; or the capture ended before they came.
    NotCaptured,
    /// The capture has the segment's header, but not all of its bytes (snap length).
    Cut,
    /// Too much waited for them ([`MAX_WAITING`]).
    GivenUp,
}

impl Gap {
    /// Name in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotCaptured => "not_captured",
            Self::Cut => "cut",
            Self::GivenUp => "given_up",
        }
    }
}

/// Bytes of a stream, or the lack of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes.
    Data(&'a [u8]),
    /// So many bytes are missing.
    Missing(u64, Gap),
}

/// The next piece of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a, T> {
    /// Who sent it.
    pub from: Side,
    /// What the caller gave with the segment that brought it; for a gap, with the segment after it.
    pub tag: T,
    /// Bytes of this direction before it, counting from the SYN, or from the first segment seen.
    pub offset: u64,
    /// What it is.
    pub piece: Piece<'a>,
}

/// Puts one connection's bytes in order. `T` is whatever the caller wants to know of the segment that brought them:
/// a time, a frame's number.
#[derive(Debug)]
pub struct Reassembly<T> {
    orig: Way<T>,
    resp: Way<T>,
    limit: usize,
}

#[derive(Debug)]
struct Way<T> {
    /// The sequence number at `offset`, from the first segment on.
    next: Option<SeqNum>,
    offset: u64,
    /// `next` comes from a segment without data that was no SYN.
    is_guess: bool,
    /// Later bytes by their offset.
    waiting: BTreeMap<u64, Waiting<T>>,
    /// What they cost.
    cost: usize,
    given_up: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    tag: T,
    /// By the IP header; the bytes may be fewer.
    len: u32,
    bytes: Box<[u8]>,
}

impl<T: Copy> Default for Reassembly<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Reassembly<T> {
    /// A connection of which nothing was seen.
    pub fn new() -> Self {
        Self::with_limit(MAX_WAITING)
    }

    /// With another limit than [`MAX_WAITING`], in bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self { orig: Way::new(), resp: Way::new(), limit }
    }

    /// Takes the next segment and tells what is in order now. `len` is the length of its payload by the IP header,
    /// `bytes` are those of it that were captured.
    pub fn segment(
        &mut self,
        tag: T,
        from: Side,
        seg: &Segment,
        len: u32,
        bytes: &[u8],
        tell: &mut impl FnMut(Told<'_, T>),
    ) {
        let (way, other) = match from {
            Side::Orig => (&mut self.orig, (&mut self.resp, Side::Resp)),
            Side::Resp => (&mut self.resp, (&mut self.orig, Side::Orig)),
        };
        if seg.flags & tcp_flags::ACK != 0 {
            other.0.acknowledged(SeqNum(seg.ack), other.1, tell);
        }
        let syn = u32::from(seg.flags & tcp_flags::SYN != 0);
        let bytes = bytes.get(..len as usize).unwrap_or(bytes);
        way.begin(SeqNum(seg.seq).plus(syn), syn == 0 && len == 0);
        way.data(tag, SeqNum(seg.seq).plus(syn), len, bytes, from, tell);
        while way.cost > self.limit {
            way.given_up = way.given_up.saturating_add(1);
            way.skip_gap(Gap::GivenUp, from, tell);
        }
    }

    /// The capture has ended: tells what still waits.
    pub fn finish(&mut self, tell: &mut impl FnMut(Told<'_, T>)) {
        for (way, from) in [(&mut self.orig, Side::Orig), (&mut self.resp, Side::Resp)] {
            while !way.waiting.is_empty() {
                way.skip_gap(Gap::NotCaptured, from, tell);
            }
        }
    }

    /// Gaps that were not waited for any longer because of the limit, both directions.
    pub fn given_up(&self) -> u64 {
        self.orig.given_up.saturating_add(self.resp.given_up)
    }
}

impl<T: Copy> Way<T> {
    fn new() -> Self {
        Self { next: None, offset: 0, is_guess: false, waiting: BTreeMap::new(), cost: 0, given_up: 0 }
    }

    /// The first segment says where the stream begins; where that is a keep-alive, it begins one later (RFC 9293,
    /// section 3.8.4).
    fn begin(&mut self, seq: SeqNum, is_bare: bool) {
        match self.next {
            None => (self.next, self.is_guess) = (Some(seq), is_bare),
            Some(next) if self.is_guess && seq == next.plus(1) => self.next = Some(seq),
            Some(_) => {}
        }
    }

    fn data(
        &mut self,
        tag: T,
        seq: SeqNum,
        len: u32,
        bytes: &[u8],
        from: Side,
        tell: &mut impl FnMut(Told<'_, T>),
    ) {
        let Some(next) = self.next.filter(|_| len > 0) else { return };
        self.is_guess = false;
        if seq.gt(next) {
            self.wait(self.offset + u64::from(seq.since(next)), Waiting { tag, len, bytes: bytes.into() });
            return;
        }
        let known = next.since(seq);
        if known < len {
            self.take(tag, known, len, bytes, from, tell);
            self.drain(from, tell);
        }
    }

    /// The copy that came first stays, unless a later one is longer.
    fn wait(&mut self, at: u64, piece: Waiting<T>) {
        if self.waiting.get(&at).is_some_and(|w| w.len >= piece.len) {
            return;
        }
        self.cost += piece.bytes.len() + PIECE;
        if let Some(old) = self.waiting.insert(at, piece) {
            self.cost = self.cost.saturating_sub(old.bytes.len() + PIECE);
        }
    }

    /// Tells a segment's bytes but for the `known` first ones, which were told before. `known` is less than `len`.
    fn take(
        &mut self,
        tag: T,
        known: u32,
        len: u32,
        bytes: &[u8],
        from: Side,
        tell: &mut impl FnMut(Told<'_, T>),
    ) {
        let fresh = bytes.get(known as usize..).unwrap_or_default();
        let (cut, data) = (u64::from(len - known).saturating_sub(fresh.len() as u64), fresh.len() as u64);
        if data > 0 {
            tell(Told { from, tag, offset: self.offset, piece: Piece::Data(fresh) });
        }
        if cut > 0 {
            tell(Told { from, tag, offset: self.offset + data, piece: Piece::Missing(cut, Gap::Cut) });
        }
        self.offset += u64::from(len - known);
        self.next = self.next.map(|next| next.plus(len - known));
    }

    /// Tells what waits and has its turn now.
    fn drain(&mut self, from: Side, tell: &mut impl FnMut(Told<'_, T>)) {
        while let Some(first) = self.waiting.first_entry()
            && *first.key() <= self.offset
        {
            let (at, piece) = first.remove_entry();
            self.cost = self.cost.saturating_sub(piece.bytes.len() + PIECE);
            let known = u32::try_from(self.offset - at).unwrap_or(u32::MAX);
            if known < piece.len {
                self.take(piece.tag, known, piece.len, &piece.bytes, from, tell);
            }
        }
    }

    /// Gives up the bytes before the first that waits, if any does.
    fn skip_gap(&mut self, why: Gap, from: Side, tell: &mut impl FnMut(Told<'_, T>)) {
        let Some((at, first)) = self.waiting.first_key_value() else { return };
        let missing = at.saturating_sub(self.offset);
        if missing > 0 {
            tell(Told { from, tag: first.tag, offset: self.offset, piece: Piece::Missing(missing, why) });
            // Nothing waits from further away than sequence numbers reach.
            self.next = self.next.map(|next| next.plus(missing as u32));
            self.offset = *at;
        }
        self.drain(from, tell);
    }

    /// The other end has all before `ack`. It must cover some of what waits: an acknowledgement of just the gap may
    /// have overtaken the bytes on their way into the capture.
    fn acknowledged(&mut self, ack: SeqNum, from: Side, tell: &mut impl FnMut(Told<'_, T>)) {
        while let (Some(next), Some((at, _))) = (self.next, self.waiting.first_key_value()) {
            if !ack.gt(next) || self.offset + u64::from(ack.since(next)) <= *at {
                break;
            }
            self.skip_gap(Gap::NotCaptured, from, tell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Side::{Orig, Resp};

    const ACK: u8 = tcp_flags::ACK;

    /// Who, sequence number, acknowledgement, flags, bytes, and length by the IP header.
    type Step = (Side, u32, u32, u8, &'static [u8], u32);

    fn data(from: Side, seq: u32, ack: u32, bytes: &'static [u8]) -> Step {
        (from, seq, ack, ACK, bytes, bytes.len() as u32)
    }

    fn told(limit: usize, steps: &[Step]) -> (Vec<String>, u64) {
        let mut out = Vec::new();
        let mut tell = |t: Told<'_, usize>| {
            let who = if t.from == Orig { '>' } else { '<' };
            let what = match t.piece {
                Piece::Data(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Piece::Missing(n, why) => format!("[{n} {}]", why.as_str()),
            };
            out.push(format!("{who}{}@{} {what}", t.tag, t.offset));
        };
        let mut all = Reassembly::with_limit(limit);
        for (n, (from, seq, ack, flags, bytes, len)) in steps.iter().enumerate() {
            let seg = Segment { seq: *seq, ack: *ack, flags: *flags, ..Segment::default() };
            all.segment(n, *from, &seg, *len, bytes, &mut tell);
        }
        all.finish(&mut tell);
        (out, all.given_up())
    }

    #[test]
    fn late_repeated_and_overlapping_bytes_are_told_once_and_in_order() {
        let (out, _) = told(
            MAX_WAITING,
            &[
                (Orig, 99, 0, tcp_flags::SYN, b"", 0),
                data(Orig, 103, 0, b"def"),
                data(Orig, 105, 0, b"fgh"),
                data(Orig, 100, 0, b"abcd"),
                data(Orig, 100, 0, b"abc"),
                data(Orig, 106, 0, b"ghij"),
                data(Orig, 109, 0, b"j"),
            ],
        );
        assert_eq!(out, [">3@0 abcd", ">1@4 ef", ">2@6 gh", ">5@8 ij"]);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let (out, _) = told(
            MAX_WAITING,
            &[data(Orig, u32::MAX, 0, b"a"), data(Orig, 3, 0, b"e"), data(Orig, 0, 0, b"bcd")],
        );
        assert_eq!(out, [">0@0 a", ">2@1 bcd", ">1@4 e"]);
    }

    #[test]
    fn a_gap_is_told_once_the_other_end_acknowledges_what_follows_it() {
        let (out, _) = told(
            MAX_WAITING,
            &[
                data(Orig, 1, 1, b"ab"),
                data(Orig, 6, 1, b"fg"),
                // Of the gap only: its bytes may still come.
                data(Resp, 1, 6, b"x"),
                data(Resp, 2, 8, b"y"),
                // Too late.
                data(Orig, 3, 1, b"cde"),
                data(Orig, 8, 1, b"h"),
            ],
        );
        assert_eq!(out, [">0@0 ab", "<2@0 x", ">1@2 [3 not_captured]", ">1@5 fg", "<3@1 y", ">5@7 h"]);
    }

    #[test]
    fn what_the_capture_cut_off_is_a_gap() {
        let (out, _) = told(
            MAX_WAITING,
            &[(Orig, 1, 0, ACK, b"abc", 5), data(Orig, 6, 0, b"f"), (Orig, 7, 0, ACK, b"", 2)],
        );
        assert_eq!(out, [">0@0 abc", ">0@3 [2 cut]", ">1@5 f", ">2@6 [2 cut]"]);
    }

    #[test]
    fn what_waits_is_bounded_and_the_end_tells_the_rest() {
        let steps = [data(Orig, 1, 0, b"a"), data(Orig, 4, 0, b"d"), data(Orig, 9, 0, b"i")];
        let (out, given_up) = told(PIECE + 1, &steps);
        assert_eq!(out, [">0@0 a", ">1@1 [2 given_up]", ">1@3 d", ">2@4 [4 not_captured]", ">2@8 i"]);
        assert_eq!(given_up, 1);
        let (_, given_up) = told(2 * PIECE + 2, &steps);
        assert_eq!(given_up, 0);
    }

    #[test]
    fn a_keep_alive_at_the_begin_is_no_gap() {
        let probe = (Orig, 9, 0, ACK, &b""[..], 0);
        let (out, _) = told(MAX_WAITING, &[probe, data(Orig, 10, 0, b"ab"), probe, data(Orig, 13, 0, b"d")]);
        assert_eq!(out, [">1@0 ab", ">3@2 [1 not_captured]", ">3@3 d"]);
        let (out, _) = told(MAX_WAITING, &[probe, data(Orig, 12, 0, b"c")]);
        assert_eq!(out, [">1@0 [3 not_captured]", ">1@3 c"]);
    }

    #[test]
    fn a_syn_may_carry_data_and_padding_is_no_data() {
        let (out, _) = told(
            MAX_WAITING,
            &[(Orig, 9, 0, tcp_flags::SYN, b"ab", 2), (Orig, 12, 0, ACK, b"cd\0\0\0\0", 2)],
        );
        assert_eq!(out, [">0@0 ab", ">1@2 cd"]);
    }

    #[test]
    fn hostile_numbers_do_no_harm() {
        let mut all = Reassembly::with_limit(1 << 10);
        let mut x = 1u32;
        let mut ends = [0u64; 2];
        let mut tell = |t: Told<'_, ()>| {
            let end = &mut ends[usize::from(t.from == Resp)];
            assert_eq!(t.offset, *end, "without a hole");
            *end += match t.piece {
                Piece::Data(bytes) => bytes.len() as u64,
                Piece::Missing(n, _) => n,
            };
        };
        for _ in 0..20_000 {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            let seg = Segment { seq: x, ack: x.rotate_left(9), flags: x as u8, ..Segment::default() };
            let from = if x & 4096 == 0 { Orig } else { Resp };
            all.segment((), from, &seg, x % 70_000, &[7; 64][..(x % 65) as usize], &mut tell);
            assert!(all.orig.cost <= 1 << 10 && all.resp.cost <= 1 << 10);
        }
        all.finish(&mut tell);
        assert_eq!((all.orig.cost, all.resp.cost), (0, 0));
    }
}
