//! Values of a table's cells, written without the formatter: `--flows` has dozens of them in a row, and the formatter
//! would take longer than the analysis.

use std::net::{IpAddr, SocketAddr};

use tracenet_core::features::Value;

/// Appends a value as a cell shows it: nothing where it is absent, times in seconds with nine decimals, other fractions
/// with nine at most.
#[inline(always)]
pub fn push(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Absent => {}
        Value::Count(n) => push_decimal(out, *n),
        Value::Float(n) => push_float(out, *n),
        Value::Bits(n, digits) => push_hex(out, *n, usize::from(*digits)),
        Value::Time(ns) | Value::Wall(ns) => push_time(out, *ns),
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
    }
}

/// Appends an address as [`SocketAddr`] shows itself.
pub fn push_address(out: &mut Vec<u8>, address: &SocketAddr) {
    let IpAddr::V4(ip) = address.ip() else {
        out.extend_from_slice(address.to_string().as_bytes());
        return;
    };
    for (octet, after) in ip.octets().into_iter().zip(*b"...:") {
        push_decimal(out, octet.into());
        out.push(after);
    }
    push_decimal(out, address.port().into());
}

const NANO: u64 = 1_000_000_000;

/// All numbers of two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

#[inline]
pub fn push_decimal(out: &mut Vec<u8>, n: u64) {
    if n < 10 {
        out.push(b'0' + n as u8);
    } else {
        push_long(out, n);
    }
}

/// The same for more than one digit.
fn push_long(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

fn push_time(out: &mut Vec<u8>, ns: u64) {
    if ns < NANO {
        out.push(b'0');
        push_decimals(out, ns as u32);
        return;
    }
    push_decimal(out, ns / NANO);
    push_decimals(out, (ns % NANO) as u32);
}

/// A point and nine digits.
fn push_decimals(out: &mut Vec<u8>, n: u32) {
    let (high, low) = (n / 10_000, n % 10_000);
    let pair = |n: u32| PAIRS[(n % 100) as usize];
    let ([a, b], [c, d], [e, f], [g, h]) = (pair(high / 1_000), pair(high / 10), pair(low / 100), pair(low));
    // The fifth digit stands alone.
    out.extend_from_slice(&[b'.', a, b, c, d, b'0' + (high % 10) as u8, e, f, g, h]);
}

fn push_hex(out: &mut Vec<u8>, n: u64, digits: usize) {
    if n == 0 && (1..=8).contains(&digits) {
        out.extend_from_slice(&b"0x00000000"[..2 + digits]);
        return;
    }
    const NAMES: &[u8; 16] = b"0123456789abcdef";
    let used = (u64::BITS - n.leading_zeros()).div_ceil(4) as usize;
    let all: [u8; 16] = std::array::from_fn(|place| NAMES[(n >> (60 - 4 * place)) as usize & 15]);
    out.extend_from_slice(b"0x");
    out.extend_from_slice(&all[16 - digits.max(used).clamp(1, 16)..]);
}

fn push_float(out: &mut Vec<u8>, n: f64) {
    // As most are.
    let whole = n as u32;
    if f64::from(whole) == n {
        push_decimal(out, whole.into());
        return;
    }
    let size = n.abs();
    // What is larger has no nine decimals in a double.
    if size.is_nan() || size >= 4_000_000.0 {
        out.extend_from_slice(n.to_string().as_bytes());
        return;
    }
    // Rounded, ties upwards; what is cut off of so small a number is exact.
    let exact = size * NANO as f64;
    let whole = exact as u64;
    let nanos = whole + u64::from(exact - whole as f64 >= 0.5);
    if n < 0.0 && nanos > 0 {
        out.push(b'-');
    }
    push_decimal(out, nanos / NANO);
    if nanos.is_multiple_of(NANO) {
        return;
    }
    push_decimals(out, (nanos % NANO) as u32);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_the_formatter_writes_them() {
        let shown = |value: Value| {
            let mut out = Vec::new();
            push(&mut out, &value);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(shown(Value::Absent), "");
        assert_eq!(shown(Value::Count(u64::MAX)), u64::MAX.to_string());
        assert_eq!(shown(Value::Time(1_000_000_007)), "1.000000007");
        assert_eq!(shown(Value::Time(0)), "0.000000000");
        assert_eq!(shown(Value::Wall(1_700_000_000_123_456_789)), "1700000000.123456789");
        assert_eq!(shown(Value::Bits(0, 2)), "0x00");
        assert_eq!(shown(Value::Bits(0x12c4, 2)), "0x12c4");
        assert_eq!(shown(Value::Bits(u64::MAX, 4)), "0xffffffffffffffff");
        for (n, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (-0.5, "-0.5"),
            (2.0, "2"),
            (1e-12, "0"),
            (123.456_789, "123.456789"),
            (5e6 + 0.25, "5000000.25"),
            (0.000_000_000_5, "0.000000001"),
            (3_999_999.999_999_999, "3999999.999999999"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(shown(Value::Float(n)), text);
        }
    }

    #[test]
    fn addresses_read_as_they_show_themselves() {
        for text in ["1.20.255.0:65535", "0.0.0.0:0", "[2001:db8::1]:80", "[::ffff:1.2.3.4]:9"] {
            let mut out = Vec::new();
            push_address(&mut out, &text.parse().expect("an address"));
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
