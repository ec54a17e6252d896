//! How strace writes strings, numbers and sets of flags.

use std::fmt::Write;

use super::render::HexStrings;

/// A value and its name.
pub(super) type Names = &'static [(u64, &'static str)];

/// As C's `%#x`: zero has no prefix.
pub(super) fn hex(out: &mut String, v: u64) {
    let _ = if v == 0 { write!(out, "0") } else { write!(out, "{v:#x}") };
}

/// An address that wasn't followed.
pub(super) fn address(out: &mut String, v: u64) {
    let _ = if v == 0 { write!(out, "NULL") } else { write!(out, "{v:#x}") };
}

/// A mode, as C's `%#03o`.
pub(super) fn mode(out: &mut String, v: u64) {
    let _ = if v == 0 { write!(out, "000") } else { write!(out, "0{:02o}", v as u32) };
}

/// The one name of a value, or `0x63 /* AF_??? */`.
pub(super) fn one_of(out: &mut String, v: u64, names: Names, unknown: &str) {
    match names.iter().find(|n| n.0 == v) {
        Some((_, name)) => out.push_str(name),
        None => {
            hex(out, v);
            let _ = write!(out, " /* {unknown} */");
        }
    }
}

/// The names of the set bits, in the order of the table, so that a name of several bits may stand before theirs; the
/// rest in hexadecimal.
pub(super) fn flags(out: &mut String, v: u64, names: Names, unknown: &str) {
    if v == 0 {
        out.push_str(names.iter().find(|n| n.0 == 0).map_or("0", |n| n.1));
        return;
    }
    let rest = known_flags(out, v, names, "");
    if rest == v {
        hex(out, v);
        let _ = write!(out, " /* {unknown} */");
    } else if rest != 0 {
        let _ = write!(out, "|{rest:#x}");
    }
}

/// Writes the names that are known, with `|` between them and `first` before the first, and returns the other bits.
pub(super) fn known_flags(out: &mut String, v: u64, names: Names, first: &str) -> u64 {
    let mut rest = v;
    let mut separator = first;
    for (bits, name) in names {
        if *bits != 0 && rest & bits == *bits {
            out.push_str(separator);
            out.push_str(name);
            separator = "|";
            rest &= !bits;
        }
    }
    rest
}

/// A string or buffer of `full` bytes of which `data` was read: quoted, at most `limit` bytes of it, with `...` behind
/// it where bytes are missing.
pub(super) fn quoted(out: &mut String, data: &[u8], full: u64, limit: u32, in_hex: HexStrings) {
    let shown = &data[..data.len().min(limit as usize)];
    out.push('"');
    if in_hex == HexStrings::Always || in_hex == HexStrings::NonAscii && shown.iter().any(|b| !is_plain(*b)) {
        hex_bytes(out, shown);
    } else {
        escape(out, shown);
    }
    out.push('"');
    if full > shown.len() as u64 {
        out.push_str("...");
    }
}

/// `\x61\x62`.
pub(super) fn hex_bytes(out: &mut String, data: &[u8]) {
    for b in data {
        let _ = write!(out, "\\x{b:02x}");
    }
}

fn is_plain(b: u8) -> bool {
    matches!(b, b' '..=b'~' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// The inside of a C string literal. What isn't printable ASCII becomes the shortest octal escape that the byte behind
/// it doesn't lengthen: nothing that a terminal would act on passes.
pub(super) fn escape(out: &mut String, data: &[u8]) {
    for (i, b) in data.iter().enumerate() {
        match b {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            0x0b => out.push_str("\\v"),
            0x0c => out.push_str("\\f"),
            b'\r' => out.push_str("\\r"),
            b' '..=b'~' => out.push(char::from(*b)),
            _ => {
                let digit_follows = data.get(i + 1).is_some_and(|b| matches!(b, b'0'..=b'7'));
                let _ = if digit_follows { write!(out, "\\{b:03o}") } else { write!(out, "\\{b:o}") };
            }
        }
    }
}

/// A path in angle brackets: as in quotes, but for the quotes and brackets themselves.
pub(super) fn escape_path(out: &mut String, path: &[u8]) {
    for piece in path.chunk_by(|a, b| is_bracket(*a) == is_bracket(*b)) {
        if piece.first().is_some_and(|b| is_bracket(*b)) {
            for b in piece {
                let _ = write!(out, "\\{b:o}");
            }
        } else {
            escape(out, piece);
        }
    }
}

fn is_bracket(b: u8) -> bool {
    matches!(b, b'<' | b'>')
}

/// `n` bytes at `offset` of a structure.
fn bytes<const N: usize>(data: &[u8], offset: usize) -> Option<[u8; N]> {
    data.get(offset..)?.first_chunk::<N>().copied()
}

/// A `u16` of the machine's byte order.
pub(super) fn u16_at(data: &[u8], offset: usize) -> Option<u16> {
    bytes(data, offset).map(u16::from_ne_bytes)
}

/// A `short` of the machine's byte order.
pub(super) fn i16_at(data: &[u8], offset: usize) -> Option<i16> {
    bytes(data, offset).map(i16::from_ne_bytes)
}

/// A `u32` of the machine's byte order.
pub(super) fn u32_at(data: &[u8], offset: usize) -> Option<u32> {
    bytes(data, offset).map(u32::from_ne_bytes)
}

/// An `int` of the machine's byte order.
pub(super) fn i32_at(data: &[u8], offset: usize) -> Option<i32> {
    bytes(data, offset).map(i32::from_ne_bytes)
}

/// A `u64` of the machine's byte order.
pub(super) fn u64_at(data: &[u8], offset: usize) -> Option<u64> {
    bytes(data, offset).map(u64::from_ne_bytes)
}

/// An `i64` of the machine's byte order.
pub(super) fn i64_at(data: &[u8], offset: usize) -> Option<i64> {
    bytes(data, offset).map(i64::from_ne_bytes)
}

/// A `u16` in network byte order.
pub(super) fn be16_at(data: &[u8], offset: usize) -> Option<u16> {
    bytes(data, offset).map(u16::from_be_bytes)
}

/// A `u32` in network byte order.
pub(super) fn be32_at(data: &[u8], offset: usize) -> Option<u32> {
    bytes(data, offset).map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(data: &[u8], full: u64) -> String {
        let mut s = String::new();
        quoted(&mut s, data, full, 32, HexStrings::Never);
        s
    }

    #[test]
    fn strings_are_escaped_as_c_does() {
        assert_eq!(
            quote(b"Q\0\0\0\x1eselect 1\n\t\r\x0b\x0c\"\\\x7f2\x80", 22),
            r#""Q\0\0\0\36select 1\n\t\r\v\f\"\\\1772\200""#
        );
        assert_eq!(quote(b"\x001", 2), r#""\0001""#);
        assert_eq!(quote(b"\x1b[2J", 4), r#""\33[2J""#);
        assert_eq!(quote(b"x".repeat(40).as_slice(), 40), format!("\"{}\"...", "x".repeat(32)));
        assert_eq!(quote(b"x".repeat(32).as_slice(), 32), format!("\"{}\"", "x".repeat(32)));
        assert_eq!(quote(b"", 0), "\"\"");
        assert_eq!(quote(b"ab", 9), "\"ab\"...");
        let mut s = String::new();
        quoted(&mut s, b"a\xff", 2, 32, HexStrings::NonAscii);
        assert_eq!(s, r#""\x61\xff""#);
    }

    #[test]
    fn flags_name_what_is_known() {
        const NAMES: Names = &[(6, "B_AND_C"), (1, "A"), (2, "B")];
        let print = |v| {
            let mut s = String::new();
            flags(&mut s, v, NAMES, "X_???");
            s
        };
        assert_eq!(print(0), "0");
        assert_eq!(print(3), "A|B");
        assert_eq!(print(6), "B_AND_C");
        assert_eq!(print(0x11), "A|0x10");
        assert_eq!(print(0x10), "0x10 /* X_??? */");
    }
}
