//! The pcap format (draft-ietf-opsawg-pcap), in both byte orders, with micro- and nanoseconds.

use tracenet_core::time::WallNs;

use crate::decode::LinkType;

use super::input::Input;
use super::{MAX_PACKET, Record, Stop};

/// Length of the file header, bytes.
const FILE_HEADER: usize = 24;
/// Length of a record header, bytes.
const RECORD_HEADER: usize = 16;
/// The same in the files of Kuznetzov's libpcap: interface, protocol and packet type follow.
const LONG_RECORD_HEADER: usize = 24;

#[derive(Debug)]
pub(super) struct Header {
    big_endian: bool,
    /// Nanoseconds of one unit of the stamp's fraction.
    unit: u64,
    record_header: usize,
    link: LinkType,
}

impl Header {
    /// `None` where it is no pcap file.
    pub fn read(magic: [u8; 4], input: &mut Input) -> Result<Option<Self>, Stop> {
        let little = u32::from_le_bytes(magic);
        let (big_endian, kind) = if matches!(little, 0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34) {
            (false, little)
        } else {
            (true, little.swap_bytes())
        };
        let (unit, record_header) = match kind {
            0xa1b2_c3d4 => (1_000, RECORD_HEADER),
            0xa1b2_3c4d => (1, RECORD_HEADER),
            0xa1b2_cd34 => (1_000, LONG_RECORD_HEADER),
            _ => return Ok(None),
        };
        let Some(link) = input.peek(FILE_HEADER).get(20..FILE_HEADER).and_then(|b| b.first_chunk()) else {
            return Err(input.cut("the file header"));
        };
        // The upper bits tell of frame check sequences.
        let link = (word(big_endian, *link) & 0xffff) as u16;
        input.consume(FILE_HEADER);
        Ok(Some(Self { big_endian, unit, record_header, link: LinkType::from_number(link) }))
    }

    #[inline]
    pub fn record(&mut self, input: &mut Input) -> Result<Record, Stop> {
        input.mark();
        let head = input.peek(self.record_header);
        let there = head.len();
        let Some(head) = head.first_chunk::<RECORD_HEADER>().filter(|_| there >= self.record_header) else {
            if there == 0 {
                return Err(input.error().unwrap_or(Stop::End));
            }
            return Err(input.cut("a packet's header"));
        };
        let at = |i: usize| word(self.big_endian, [head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let (seconds, fraction, captured, wire_len) = (at(0), at(4), at(8), at(12));
        let len = captured as usize;
        if len > MAX_PACKET {
            return Err(Stop::Damaged(format!("impossible packet length {captured}")));
        }
        let whole = self.record_header + len;
        if there < whole && input.peek(whole).len() < whole {
            return Err(input.cut("a packet"));
        }
        let start = input.place() + self.record_header;
        input.consume(whole);
        let wall = WallNs(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit);
        Ok(Record { wall: Some(wall), link: self.link, wire_len, interface: 0, direction: None, start, len })
    }
}

#[inline]
fn word(big_endian: bool, b: [u8; 4]) -> u32 {
    if big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
}
