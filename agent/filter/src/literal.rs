//! Literals without quotes, read as the type that they are compared with asks.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A number without a sign: decimal, `0x`, `0b` or, with a leading zero, octal.
pub fn unsigned(word: &str) -> Option<u64> {
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', b'b' | b'B', ..] => (&word[2..], 2),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    // The library would take a plus sign.
    digits.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| u64::from_str_radix(digits, radix).ok())?
}

/// Hexadecimal bytes: `aa:bb`, `aa-bb`, `aa.bb`, `aabb`, `a`, `:0a`, `0x0a`.
pub fn bytes(word: &str) -> Option<Vec<u8>> {
    if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        // More than a byte would leave open which end comes first.
        let one = matches!(digits.len(), 1 | 2).then(|| hex(digits.as_bytes())).flatten()?;
        return Some(vec![one]);
    }
    let word = word.strip_prefix(':').unwrap_or(word);
    let separator = word.bytes().find(|b| !b.is_ascii_alphanumeric()).unwrap_or(b':');
    if !matches!(separator, b':' | b'-' | b'.') {
        return None;
    }
    let mut out = Vec::new();
    for group in word.as_bytes().split(|b| *b == separator) {
        if group.is_empty() {
            return None;
        }
        for pair in group.chunks(2) {
            out.push(hex(pair)?);
        }
    }
    Some(out)
}

fn hex(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, b| {
        let digit = char::from(*b).to_digit(16)?;
        value.checked_mul(16)?.checked_add(u8::try_from(digit).ok()?)
    })
}

/// Six hexadecimal bytes.
pub fn ether(word: &str) -> Option<Vec<u8>> {
    bytes(word).filter(|b| b.len() == 6)
}

/// Dotted decimal with or without a prefix length: address and mask.
pub fn ipv4(word: &str) -> Option<(u32, u32)> {
    let (address, bits) = with_prefix(word, 32)?;
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    Some((address.parse::<Ipv4Addr>().ok()?.to_bits(), mask))
}

/// IPv6 with or without a prefix length: address and mask.
pub fn ipv6(word: &str) -> Option<(u128, u128)> {
    let (address, bits) = with_prefix(word, 128)?;
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    Some((address.parse::<Ipv6Addr>().ok()?.to_bits(), mask))
}

fn with_prefix(word: &str, most: u32) -> Option<(&str, u32)> {
    match word.split_once('/') {
        None => Some((word, most)),
        Some((address, bits)) => bits.parse().ok().filter(|bits| *bits <= most).map(|bits| (address, bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (word, value) in
            [("10", 10), ("0x10", 16), ("0XA", 10), ("010", 8), ("0b101", 5), ("0", 0), ("00", 0)]
        {
            assert_eq!(unsigned(word), Some(value), "{word}");
        }
        for word in ["08", "1.5", "abc", "", "0x", "0b2", "+1", "0x+1", "0+7", "18446744073709551616"] {
            assert_eq!(unsigned(word), None, "{word}");
        }
    }

    #[test]
    fn byte_strings() {
        for (word, value) in [
            ("00:50", &[0, 0x50][..]),
            ("0050", &[0, 0x50]),
            ("0.5", &[0, 5]),
            ("ab-cd-0e", &[0xab, 0xcd, 0x0e]),
            ("aabb.ccdd", &[0xaa, 0xbb, 0xcc, 0xdd]),
            ("0x0a", &[10]),
            (":0a", &[10]),
            ("18", &[0x18]),
            ("abc", &[0xab, 0x0c]),
        ] {
            assert_eq!(bytes(word).as_deref(), Some(value), "{word}");
        }
        for word in ["0x0012", "GET", "aa:bb-cc", "aa:", "", ":", "a_b", "\u{e9}\u{e9}"] {
            assert_eq!(bytes(word), None, "{word}");
        }
        assert!(ether("ff:ff:ff:ff:ff:ff").is_some() && ether("ff:ff").is_none());
    }

    #[test]
    fn networks() {
        assert_eq!(ipv4("10.0.0.1/8"), Some((0x0a00_0001, 0xff00_0000)));
        assert_eq!(ipv4("10.0.0.1"), Some((0x0a00_0001, u32::MAX)));
        assert_eq!(ipv4("0.0.0.0/0"), Some((0, 0)));
        assert_eq!(ipv6("fe80::/10"), Some((0xfe80 << 112, 0x3ff << 118)));
        assert_eq!(ipv6("::1/0"), Some((1, 0)));
        for word in ["1.2.3.4/33", "1.2.3", "1.2.3.400", "1.2.3.4/", "::1/129", "1.2.3.4/+8"] {
            assert!(word == "1.2.3.4/+8" || ipv4(word).is_none(), "{word}");
            assert!(ipv6(word).is_none(), "{word}");
        }
    }
}
