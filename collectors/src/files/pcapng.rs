//! The pcapng format (draft-ietf-opsawg-pcapng): sections, interfaces and every kind of packet block. Blocks that
//! hold no packet are passed over.

use tracenet_core::key::Direction;
use tracenet_core::time::WallNs;

use crate::decode::LinkType;

use super::input::{BUFFER, Input};
use super::{MAX_PACKET, Record, Stop};

/// Type of the block that begins a section; reads the same in both byte orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const INTERFACE: u32 = 1;
/// Superseded by the enhanced packet block, still about.
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type and length in front, length behind.
const FRAME: usize = 12;
/// Options of an interface are looked for in this much of its block.
const INTERFACE_READ: usize = 64 << 10;
/// Longest block of a packet with its comments and other options, bytes: what the buffer holds.
const MAX_BLOCK: usize = BUFFER;
/// Interfaces of a section that are remembered.
const MAX_INTERFACES: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    /// Units of the stamp in a second.
    per_second: u64,
    /// Seconds to add to the stamp.
    offset: i64,
}

impl Section {
    /// The next packet, over any number of other blocks.
    pub fn record(&mut self, input: &mut Input) -> Result<Record, Stop> {
        loop {
            input.mark();
            let head = match input.peek(FRAME) {
                [] => return Err(input.error().unwrap_or(Stop::End)),
                b => b.first_chunk::<FRAME>().copied(),
            };
            let Some(head) = head else { return Err(input.cut("a block's header")) };
            if head[..4] == SECTION_HEADER {
                self.section(&head, input)?;
                continue;
            }
            let kind = self.word(&head, 0);
            let total = self.word(&head, 4);
            if total < FRAME as u32 || !total.is_multiple_of(4) {
                return Err(Stop::Damaged(format!("impossible block length {total}")));
            }
            match kind {
                INTERFACE => self.interface(total, input)?,
                ENHANCED_PACKET | OLD_PACKET | SIMPLE_PACKET => return self.packet(kind, total, input),
                _ => self.pass(total, 0, input)?,
            }
        }
    }

    /// Goes to the end of a block of which `done` bytes are consumed, and compares the two lengths.
    fn pass(&self, total: u32, done: u64, input: &mut Input) -> Result<(), Stop> {
        let left = u64::from(total).saturating_sub(done + 4);
        if !input.skip(left) || input.peek(4).len() < 4 {
            return Err(input.cut("a block"));
        }
        let again = self.word(input.peek(4), 0);
        if again != total {
            return Err(Stop::Damaged(format!("a block whose two lengths differ ({total} and {again})")));
        }
        input.consume(4);
        Ok(())
    }

    fn section(&mut self, head: &[u8; FRAME], input: &mut Input) -> Result<(), Stop> {
        let big_endian = match &head[8..] {
            [0x1a, 0x2b, 0x3c, 0x4d] => true,
            [0x4d, 0x3c, 0x2b, 0x1a] => false,
            _ => return Err(Stop::Damaged("a section without its byte-order magic".to_owned())),
        };
        *self = Self { big_endian, interfaces: Vec::new() };
        let total = self.word(head, 4);
        if total < 28 || !total.is_multiple_of(4) {
            return Err(Stop::Damaged(format!("impossible block length {total}")));
        }
        let version = input.peek(16).get(12..14).map(|b| self.half(b, 0));
        if version.is_some_and(|major| major != 1) {
            return Err(Stop::Damaged(format!("unknown pcapng version {}", version.unwrap_or(0))));
        }
        self.pass(total, 0, input)
    }

    fn interface(&mut self, total: u32, input: &mut Input) -> Result<(), Stop> {
        if total < 20 {
            return Err(Stop::Damaged(format!("impossible block length {total}")));
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Stop::Damaged(format!("more than {MAX_INTERFACES} interfaces")));
        }
        let wanted = (total as usize).min(INTERFACE_READ);
        if input.peek(wanted).len() < wanted {
            return Err(input.cut("a block"));
        }
        let b = &input.peek(wanted)[..wanted.min(total as usize - 4)];
        let mut interface = Interface {
            link: LinkType::from_number(self.half(b, 8)),
            snaplen: self.word(b, 12),
            per_second: 1_000_000,
            offset: 0,
        };
        let mut options = &b[16..];
        while let [_, _, _, _, rest @ ..] = options {
            let (code, len) = (self.half(options, 0), usize::from(self.half(options, 2)));
            let Some(value) = rest.get(..len) else { break };
            match (code, value) {
                (0, _) => break,
                (9, &[resolution]) => interface.per_second = per_second(resolution),
                (14, value) => {
                    if let Some(b) = value.first_chunk::<8>() {
                        interface.offset =
                            if self.big_endian { i64::from_be_bytes(*b) } else { i64::from_le_bytes(*b) };
                    }
                }
                _ => {}
            }
            options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        self.interfaces.push(interface);
        self.pass(total, 0, input)
    }

    #[inline]
    fn packet(&self, kind: u32, total: u32, input: &mut Input) -> Result<Record, Stop> {
        // Bytes before the packet's own.
        let before = if kind == SIMPLE_PACKET { 12 } else { 28 };
        let damaged = |what: String| Err(Stop::Damaged(what));
        if (total as usize) < before + 4 {
            return damaged(format!("impossible block length {total}"));
        }
        let b = input.peek(before);
        if b.len() < before {
            return Err(input.cut("a packet"));
        }
        let room = total as usize - before - 4;
        let index = match kind {
            ENHANCED_PACKET => self.word(b, 8),
            OLD_PACKET => u32::from(self.half(b, 8)),
            _ => 0,
        };
        let Some(&interface) = self.interfaces.get(index as usize) else {
            return damaged(format!("a packet of interface {index}, which isn't described"));
        };
        let (stamp, captured, wire_len) = if kind == SIMPLE_PACKET {
            let wire_len = self.word(b, 8);
            let kept = if interface.snaplen == 0 { wire_len } else { wire_len.min(interface.snaplen) };
            (None, kept, wire_len)
        } else {
            let stamp = u64::from(self.word(b, 12)) << 32 | u64::from(self.word(b, 16));
            (Some(stamp), self.word(b, 20), self.word(b, 24))
        };
        let len = captured as usize;
        if len > MAX_PACKET || len > room {
            return damaged(format!("impossible packet length {captured}"));
        }
        let whole = total as usize;
        if whole > MAX_BLOCK {
            return damaged(format!("a packet with options of {} bytes", room - len));
        }
        let b = input.peek(whole);
        if b.len() < whole {
            return Err(input.cut("a packet"));
        }
        let again = self.word(b, whole - 4);
        if again != total {
            return damaged(format!("a block whose two lengths differ ({total} and {again})"));
        }
        let options = before + len.next_multiple_of(4);
        let direction = match b.get(options..whole - 4) {
            Some(options) if kind == ENHANCED_PACKET && !options.is_empty() => self.direction(options),
            _ => None,
        };
        let start = input.place() + before;
        input.consume(whole);
        Ok(Record {
            wall: stamp.map(|t| interface.wall(t)),
            link: interface.link,
            wire_len,
            interface: index,
            direction,
            start,
            len,
        })
    }

    /// The option epb_flags: its lowest two bits say which way the packet went.
    fn direction(&self, mut options: &[u8]) -> Option<Direction> {
        while let [_, _, _, _, rest @ ..] = options {
            let (code, len) = (self.half(options, 0), usize::from(self.half(options, 2)));
            match code {
                0 => break,
                2 if len == 4 => {
                    return match self.word(rest, 0) & 3 {
                        1 => Some(Direction::In),
                        2 => Some(Direction::Out),
                        _ => None,
                    };
                }
                _ => options = rest.get(len.next_multiple_of(4)..).unwrap_or_default(),
            }
        }
        None
    }

    #[inline]
    fn word(&self, b: &[u8], at: usize) -> u32 {
        let b = b.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    }

    #[inline]
    fn half(&self, b: &[u8], at: usize) -> u16 {
        let b = b.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
        if self.big_endian { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) }
    }
}

/// The option if_tsresol: a negative power of ten, or of two with the highest bit set.
fn per_second(resolution: u8) -> u64 {
    let power = u32::from(resolution & 0x7f);
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    // What doesn't fit is finer than anything that counts.
    base.checked_pow(power).unwrap_or(u64::MAX)
}

impl Interface {
    #[inline]
    fn wall(&self, stamp: u64) -> WallNs {
        let ns = match self.per_second {
            1_000_000_000 => stamp,
            1_000_000 => stamp.saturating_mul(1_000),
            per_second => {
                let (whole, part) = (stamp / per_second, stamp % per_second);
                let part = u128::from(part) * 1_000_000_000 / u128::from(per_second);
                whole.saturating_mul(1_000_000_000).saturating_add(u64::try_from(part).unwrap_or(0))
            }
        };
        WallNs(ns.saturating_add_signed(self.offset.saturating_mul(1_000_000_000)))
    }
}
