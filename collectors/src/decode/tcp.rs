//! TCP header and options (RFC 9293, section 3.1). By hand, because a header cut in its options still has
//! numbers to tell, and because an unknown option must not end the list.

use tracenet_core::event::{Segment, TcpOptions};

use super::Undecoded;
use super::link::{be16, be32};

/// Header without options, bytes.
pub(super) const FIXED: usize = 20;

/// Source and destination port, which TCP and UDP have at the same place.
#[inline]
pub(super) fn ports(b: &[u8]) -> Result<(u16, u16), Undecoded> {
    Ok((be16(b, 0)?, be16(b, 2)?))
}

/// Ports, header and header length. Sixteen captured bytes, up to the window, are enough.
#[inline]
pub(super) fn header(b: &[u8]) -> Result<((u16, u16), Segment, usize), Undecoded> {
    let window = be16(b, 14)?;
    let offset_and_flags = be16(b, 12)?;
    let len = usize::from(offset_and_flags >> 12) * 4;
    if len < FIXED {
        return Err(Undecoded::Damaged);
    }
    let option_bytes = b.get(FIXED..len.min(b.len())).unwrap_or_default();
    let segment = Segment {
        seq: be32(b, 4)?,
        ack: be32(b, 8)?,
        window,
        flags: offset_and_flags.to_be_bytes()[1],
        options: options(option_bytes),
    };
    Ok((ports(b)?, segment, len))
}

/// As far as they are whole.
#[inline]
fn options(b: &[u8]) -> TcpOptions {
    match *b {
        [] => TcpOptions::default(),
        // What nearly every segment carries: the timestamps alone (RFC 7323, appendix A).
        [1, 1, 8, 10, a, b, c, d, e, f, g, h] => TcpOptions {
            timestamps: Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))),
            ..TcpOptions::default()
        },
        _ => any_options(b),
    }
}

fn any_options(mut b: &[u8]) -> TcpOptions {
    let mut found = TcpOptions::default();
    loop {
        match *b {
            // No-operation.
            [1, ref rest @ ..] => b = rest,
            // End of the list is 0.
            [] | [0, ..] | [_] => return found,
            [kind, len, ..] => {
                let len = usize::from(len);
                // The length counts the kind and itself.
                let Some(body) = b.get(2..len) else { return found };
                one(kind, body, &mut found);
                b = &b[len..];
            }
        }
    }
}

fn one(kind: u8, body: &[u8], found: &mut TcpOptions) {
    match (kind, body) {
        (2, &[a, b]) => found.mss = Some(u16::from_be_bytes([a, b])),
        (3, &[shift]) => found.window_scale = Some(shift),
        (4, []) => found.sack_permitted = true,
        (5, blocks) => {
            let mut count = 0u8;
            for (slot, block) in found.sack.iter_mut().zip(blocks.chunks_exact(8)) {
                if let (Ok(left), Ok(right)) = (be32(block, 0), be32(block, 4)) {
                    *slot = (left, right);
                    count += 1;
                }
            }
            found.sack_count = count;
        }
        (8, body) if body.len() == 8 => {
            if let (Ok(value), Ok(echo)) = (be32(body, 0), be32(body, 4)) {
                found.timestamps = Some((value, echo));
            }
        }
        (30, _) => found.mptcp = true,
        _ => {}
    }
}
