//! Values of a table's cells, written without the formatter: `--flows` has dozens of them in a row, and the formatter
//! would take longer than the analysis.

use tracenet_core::features::Value;

/// Appends a value as a cell shows it: nothing where it is absent, times in seconds with nine decimals, other fractions
/// with nine at most.
pub fn push(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Absent => {}
        Value::Count(n) => push_decimal(out, *n),
        Value::Float(n) => push_float(out, *n),
        Value::Bits(n, digits) => push_hex(out, *n, usize::from(*digits)),
        Value::Time(ns) | Value::Wall(ns) => {
            push_decimal(out, ns / NANO);
            out.push(b'.');
            push_nine(out, ns % NANO);
        }
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
    }
}

const NANO: u64 = 1_000_000_000;

fn push_decimal(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// With leading zeroes.
fn push_nine(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [b'0'; 9];
    for digit in digits.iter_mut().rev() {
        *digit += (n % 10) as u8;
        n /= 10;
    }
    out.extend_from_slice(&digits);
}

fn push_hex(out: &mut Vec<u8>, n: u64, digits: usize) {
    const NAMES: &[u8; 16] = b"0123456789abcdef";
    let used = (u64::BITS - n.leading_zeros()).div_ceil(4) as usize;
    out.extend_from_slice(b"0x");
    for place in (0..digits.max(used).max(1)).rev() {
        out.push(NAMES[(n >> (4 * place).min(63)) as usize & 15]);
    }
}

fn push_float(out: &mut Vec<u8>, n: f64) {
    let size = n.abs();
    // What is larger has no nine decimals in a double.
    if size.is_nan() || size >= 4_000_000.0 {
        out.extend_from_slice(n.to_string().as_bytes());
        return;
    }
    let nanos = (size * NANO as f64).round() as u64;
    if n < 0.0 && nanos > 0 {
        out.push(b'-');
    }
    push_decimal(out, nanos / NANO);
    if nanos.is_multiple_of(NANO) {
        return;
    }
    out.push(b'.');
    push_nine(out, nanos % NANO);
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
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(shown(Value::Float(n)), text);
        }
    }
}
