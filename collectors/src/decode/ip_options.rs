//! Options of IP headers: only which there are.

use tracenet_core::ip::IpOptions;

/// Kind and length, and what follows the first option; `None` at the end of a list that makes no sense.
fn next(b: &[u8], no_operation: u8) -> Option<(u8, &[u8])> {
    match *b {
        [kind, ref rest @ ..] if kind == no_operation => Some((kind, rest)),
        [kind, len, ..] => Some((kind, b.get(usize::from(len)..).filter(|_| len >= 2)?)),
        _ => None,
    }
}

/// Of an IPv4 header (RFC 791, section 3.1).
pub(super) fn ipv4_options(mut b: &[u8]) -> IpOptions {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    let mut options = IpOptions::default();
    while let Some((kind, rest)) = next(b, NO_OPERATION) {
        if kind == END {
            break;
        }
        if kind != NO_OPERATION {
            options.count = options.count.saturating_add(1);
            options.classes |= 1 << (kind >> 5);
            options.numbers |= 1 << (kind & 31);
        }
        b = rest;
    }
    options
}

/// Of an IPv6 hop-by-hop (`extension` 0) or destination options header, behind its first two bytes (RFC 8200,
/// section 4.2).
pub(super) fn ipv6_options(extension: u8, mut b: &[u8], options: &mut IpOptions) {
    const PAD1: u8 = 0;
    const PADN: u8 = 1;
    let (count, numbers) = if extension == 0 {
        (&mut options.count, &mut options.numbers)
    } else {
        (&mut options.destination_count, &mut options.destination_numbers)
    };
    loop {
        let kind = match *b {
            [PAD1, ref rest @ ..] => {
                b = rest;
                continue;
            }
            [kind, len, ref rest @ ..] => match rest.get(usize::from(len)..) {
                Some(after) => {
                    b = after;
                    kind
                }
                None => return,
            },
            _ => return,
        };
        if kind != PADN {
            *count = count.saturating_add(1);
            *numbers |= 1 << (kind & 31);
        }
    }
}
