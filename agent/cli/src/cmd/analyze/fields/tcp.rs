//! Fields of TCP headers.

use std::ops::ControlFlow;

use tracenet_collectors::decode::{Checksum, Protocol as P};
use tracenet_filter::FieldType::{Bool, Bytes, Int, Label, Protocol as Span, RelativeTime, String, Uint};
use tracenet_filter::Value;

use super::{Definition, Header, Of, Sink, names};

const TCP: Of = Of::Header(P::Tcp);

const SYN: u64 = 2;
const ACK: u64 = 16;

fn header_len(h: &Header<'_>) -> usize {
    h.bytes.get(12).map_or(0, |b| usize::from(b >> 4) * 4)
}

/// Twelve bits, reserved ones included.
fn flags(h: &Header<'_>) -> Option<u64> {
    h.u16(12).map(|n| n & 0xfff)
}

/// Bytes of payload by the IP header; not told of what an ICMP error quotes.
fn payload_len(h: &Header<'_>) -> Option<u64> {
    h.layer.filter(|l| !l.quoted).map(|l| u64::from(l.payload_len))
}

/// From where the sender's numbers count; what an ICMP error quotes is shown as it is.
fn relative(n: u64, base: u32) -> u64 {
    // A field of 32 bits.
    u64::from((n as u32).wrapping_sub(base))
}

fn seq(h: &Header<'_>) -> Option<u64> {
    let raw = h.u32(4)?;
    Some(if h.is_quoted() { raw } else { relative(raw, h.now?.base) })
}

fn ack(h: &Header<'_>) -> Option<u64> {
    let raw = h.u32(8)?;
    let is_ack = flags(h)? & ACK != 0;
    match h.now?.peer_base.filter(|_| is_ack && !h.is_quoted()) {
        Some(base) => Some(relative(raw, base)),
        None => Some(raw),
    }
}

fn next_seq(h: &Header<'_>) -> Option<u64> {
    let control = u64::from(flags(h)? & 3 != 0);
    Some((seq(h)? + payload_len(h)? + control) & u64::from(u32::MAX))
}

fn is_syn(h: &Header<'_>) -> bool {
    flags(h).is_some_and(|f| f & SYN != 0)
}

fn window(h: &Header<'_>) -> Option<u64> {
    let window = h.u16(14)?;
    let shift = h.now.map_or(-1, |now| now.scale).max(0);
    Some(if is_syn(h) || h.is_quoted() { window } else { window << shift })
}

/// `·······AP···`
fn flags_text(flags: u64) -> std::string::String {
    "RRRACEUAPRSF"
        .chars()
        .enumerate()
        .map(|(n, letter)| {
            // The fourth is accurate ECN, the fifth CWR.
            let letter = if n == 4 { 'C' } else { letter };
            if flags & (0x800 >> n) != 0 { letter } else { '\u{b7}' }
        })
        .collect()
}

macro_rules! flag {
    ($name:literal, $mask:literal) => {
        Definition { name: $name, kind: Bool, of: TCP, read: |h, to| to.bit(flags(h), $mask) }
    };
}

/// Events of a connection's life: flags that are set, among those of the mask.
macro_rules! connection {
    ($name:literal, $mask:expr, $set:expr) => {
        Definition {
            name: $name,
            kind: Label,
            of: TCP,
            read: |h, to| to.label(flags(h).is_some_and(|f| f & $mask == $set)),
        }
    };
}

pub(super) const FIELDS: &[Definition] = &[
    // With its payload, as Wireshark has it.
    Definition { name: "tcp", kind: Span, of: TCP, read: |h, to| to.bytes(Some(h.bytes)) },
    Definition { name: "tcp.srcport", kind: Uint(16), of: TCP, read: |h, to| to.uint(h.u16(0)) },
    Definition { name: "tcp.dstport", kind: Uint(16), of: TCP, read: |h, to| to.uint(h.u16(2)) },
    Definition {
        name: "tcp.port",
        kind: Uint(16),
        of: TCP,
        read: |h, to| {
            to.uint(h.u16(0))?;
            to.uint(h.u16(2))
        },
    },
    Definition { name: "tcp.len", kind: Uint(32), of: TCP, read: |h, to| to.uint(payload_len(h)) },
    Definition { name: "tcp.seq", kind: Uint(32), of: TCP, read: |h, to| to.uint(seq(h)) },
    Definition {
        name: "tcp.seq_raw",
        kind: Uint(32),
        of: TCP,
        read: |h, to| to.uint(h.u32(4).filter(|_| !h.is_quoted())),
    },
    Definition { name: "tcp.nxtseq", kind: Uint(32), of: TCP, read: |h, to| to.uint(next_seq(h)) },
    Definition { name: "tcp.ack", kind: Uint(32), of: TCP, read: |h, to| to.uint(ack(h)) },
    Definition { name: "tcp.ack_raw", kind: Uint(32), of: TCP, read: |h, to| to.uint(h.u32(8)) },
    Definition {
        name: "tcp.hdr_len",
        kind: Uint(8),
        of: TCP,
        read: |h, to| to.uint(h.u8(12).map(|b| (b >> 4) * 4)),
    },
    Definition { name: "tcp.flags", kind: Uint(16), of: TCP, read: |h, to| to.uint(flags(h)) },
    flag!("tcp.flags.res", 0xe00),
    flag!("tcp.flags.ae", 0x100),
    flag!("tcp.flags.cwr", 0x080),
    flag!("tcp.flags.ece", 0x040),
    flag!("tcp.flags.urg", 0x020),
    flag!("tcp.flags.ack", 0x010),
    flag!("tcp.flags.push", 0x008),
    flag!("tcp.flags.reset", 0x004),
    flag!("tcp.flags.syn", 0x002),
    flag!("tcp.flags.fin", 0x001),
    Definition {
        name: "tcp.flags.str",
        kind: String,
        of: TCP,
        read: |h, to| match flags(h) {
            Some(flags) => to.value(Some(Value::Str(&flags_text(flags)))),
            None => ControlFlow::Continue(()),
        },
    },
    connection!("tcp.connection.syn", SYN | ACK, SYN),
    connection!("tcp.connection.synack", SYN | ACK, SYN | ACK),
    connection!("tcp.connection.fin", 1, 1),
    connection!("tcp.connection.rst", 4, 4),
    Definition { name: "tcp.window_size_value", kind: Uint(16), of: TCP, read: |h, to| to.uint(h.u16(14)) },
    Definition { name: "tcp.window_size", kind: Uint(32), of: TCP, read: |h, to| to.uint(window(h)) },
    Definition {
        name: "tcp.window_size_scalefactor",
        kind: Int(32),
        of: TCP,
        read: |h, to| {
            let scale = h.now.filter(|_| !is_syn(h)).map(|now| now.scale);
            to.value(scale.map(|s| Value::Int(if s >= 0 { 1 << s } else { i64::from(s) })))
        },
    },
    Definition { name: "tcp.checksum", kind: Uint(16), of: TCP, read: |h, to| to.uint(h.u16(16)) },
    Definition {
        name: "tcp.checksum.status",
        kind: Uint(8),
        of: TCP,
        read: |h, to| {
            to.uint(h.layer.map(|layer| match layer.checksum {
                Checksum::Good => names::GOOD,
                Checksum::Bad | Checksum::Offloaded => names::BAD,
                Checksum::Unverified => names::UNVERIFIED,
            }))
        },
    },
    Definition { name: "tcp.urgent_pointer", kind: Uint(16), of: TCP, read: |h, to| to.uint(h.u16(18)) },
    Definition {
        name: "tcp.payload",
        kind: Bytes,
        of: TCP,
        read: |h, to| to.bytes(h.bytes.get(header_len(h)..).filter(|b| !b.is_empty() && h.layer.is_some())),
    },
    Definition {
        name: "tcp.time_relative",
        kind: RelativeTime,
        of: TCP,
        read: |h, to| to.ns(h.now.map(|now| now.since_first)),
    },
    Definition {
        name: "tcp.time_delta",
        kind: RelativeTime,
        of: TCP,
        read: |h, to| to.ns(h.now.map(|now| now.since_last)),
    },
];

/// Calls `each` with every option that is whole: its kind and all its bytes.
fn options(h: &Header<'_>, mut each: impl FnMut(u8, &[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut rest = h.bytes.get(20..header_len(h)).unwrap_or_default();
    loop {
        let len = match rest {
            [] => return ControlFlow::Continue(()),
            [0 | 1, ..] => 1,
            // The length counts the kind and itself.
            [_, len, ..] if *len >= 2 => usize::from(*len),
            _ => return ControlFlow::Continue(()),
        };
        let Some((option, after)) = rest.split_at_checked(len) else { return ControlFlow::Continue(()) };
        each(option[0], option)?;
        if option[0] == 0 {
            return ControlFlow::Continue(());
        }
        rest = after;
    }
}

/// The whole options of one kind.
fn whole(h: &Header<'_>, to: &mut Sink<'_, '_>, wanted: u8) -> ControlFlow<()> {
    options(h, |kind, option| if kind == wanted { to.bytes(Some(option)) } else { ControlFlow::Continue(()) })
}

/// A number in the options of one kind; those of other lengths are damaged.
fn part(
    h: &Header<'_>,
    to: &mut Sink<'_, '_>,
    wanted: (u8, usize),
    at: std::ops::Range<usize>,
) -> ControlFlow<()> {
    options(h, |kind, option| {
        let bytes = option.get(at.clone()).filter(|_| (kind, option.len()) == wanted);
        to.uint(bytes.map(|b| b.iter().fold(0, |n, b| n << 8 | u64::from(*b))))
    })
}

/// Edges of SACK blocks, the left ones or the right ones, by the numbers of the other end.
fn edges(h: &Header<'_>, to: &mut Sink<'_, '_>, at: usize) -> ControlFlow<()> {
    let base = h.now.and_then(|now| now.peer_base).filter(|_| !h.is_quoted()).unwrap_or(0);
    options(h, |kind, option| {
        if kind != 5 {
            return ControlFlow::Continue(());
        }
        option[2..].chunks_exact(8).try_for_each(|block| {
            let edge = block.get(at..at + 4).and_then(|b| b.first_chunk()).map(|b| u32::from_be_bytes(*b));
            to.uint(edge.map(|e| u64::from(e.wrapping_sub(base))))
        })
    })
}

pub(super) const OPTIONS: &[Definition] = &[
    Definition {
        name: "tcp.options",
        kind: Bytes,
        of: TCP,
        read: |h, to| to.bytes(h.bytes.get(20..header_len(h)).filter(|b| !b.is_empty())),
    },
    Definition {
        name: "tcp.option_kind",
        kind: Uint(8),
        of: TCP,
        read: |h, to| options(h, |kind, _| to.uint(Some(u64::from(kind)))),
    },
    Definition {
        name: "tcp.option_len",
        kind: Uint(8),
        of: TCP,
        read: |h, to| options(h, |_, option| to.uint(option.get(1).map(|n| u64::from(*n)))),
    },
    Definition { name: "tcp.options.eol", kind: Span, of: TCP, read: |h, to| whole(h, to, 0) },
    Definition { name: "tcp.options.nop", kind: Span, of: TCP, read: |h, to| whole(h, to, 1) },
    Definition { name: "tcp.options.mss", kind: Span, of: TCP, read: |h, to| whole(h, to, 2) },
    Definition {
        name: "tcp.options.mss_val",
        kind: Uint(16),
        of: TCP,
        read: |h, to| part(h, to, (2, 4), 2..4),
    },
    Definition { name: "tcp.options.wscale", kind: Span, of: TCP, read: |h, to| whole(h, to, 3) },
    Definition {
        name: "tcp.options.wscale.shift",
        kind: Uint(8),
        of: TCP,
        read: |h, to| part(h, to, (3, 3), 2..3),
    },
    Definition {
        name: "tcp.options.wscale.multiplier",
        kind: Uint(16),
        of: TCP,
        read: |h, to| {
            options(h, |kind, option| match (kind, option) {
                (3, [_, _, shift]) => to.uint(Some(1 << (*shift).min(14))),
                _ => ControlFlow::Continue(()),
            })
        },
    },
    Definition { name: "tcp.options.sack_perm", kind: Span, of: TCP, read: |h, to| whole(h, to, 4) },
    Definition { name: "tcp.options.sack", kind: Span, of: TCP, read: |h, to| whole(h, to, 5) },
    Definition {
        name: "tcp.options.sack.count",
        kind: Uint(8),
        of: TCP,
        read: |h, to| {
            options(h, |kind, option| {
                let blocks = u64::try_from(option.len() / 8).ok();
                to.uint(blocks.filter(|_| kind == 5))
            })
        },
    },
    Definition { name: "tcp.options.sack_le", kind: Uint(32), of: TCP, read: |h, to| edges(h, to, 0) },
    Definition { name: "tcp.options.sack_re", kind: Uint(32), of: TCP, read: |h, to| edges(h, to, 4) },
    Definition { name: "tcp.options.timestamp", kind: Span, of: TCP, read: |h, to| whole(h, to, 8) },
    Definition {
        name: "tcp.options.timestamp.tsval",
        kind: Uint(32),
        of: TCP,
        read: |h, to| part(h, to, (8, 10), 2..6),
    },
    Definition {
        name: "tcp.options.timestamp.tsecr",
        kind: Uint(32),
        of: TCP,
        read: |h, to| part(h, to, (8, 10), 6..10),
    },
    Definition { name: "tcp.options.tfo", kind: Span, of: TCP, read: |h, to| whole(h, to, 34) },
];
