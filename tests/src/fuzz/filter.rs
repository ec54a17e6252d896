//! Display filters.

use std::ops::ControlFlow;

use tracenet_filter::{
    Field, FieldId, FieldTable, FieldType, Fields, Filter, MAX_DEPTH, MAX_TEXT, Value, Visit,
};

use super::Bytes;

/// A field of each type, under names of Wireshark's.
const FIELDS: [(&str, FieldType); 16] = [
    ("frame.marked", FieldType::Bool),
    ("tcp", FieldType::Protocol),
    ("ip", FieldType::Protocol),
    ("tcp.analysis.flags", FieldType::Label),
    ("tcp.payload", FieldType::Bytes),
    ("http.host", FieldType::String),
    ("tcp.port", FieldType::Uint(16)),
    ("tcp.seq", FieldType::Uint(32)),
    ("frame.len", FieldType::Uint(64)),
    ("ip.ttl", FieldType::Uint(8)),
    ("tcp.options.mss_val", FieldType::Int(32)),
    ("eth.addr", FieldType::Ether),
    ("ip.addr", FieldType::Ipv4),
    ("ipv6.addr", FieldType::Ipv6),
    ("frame.time", FieldType::AbsoluteTime),
    ("frame.time_delta", FieldType::RelativeTime),
];

struct Table;

impl FieldTable for Table {
    fn field(&self, name: &str) -> Option<Field> {
        let at = FIELDS.iter().position(|(n, _)| *n == name)?;
        Some(Field { id: FieldId(at as u32), kind: FIELDS[at].1 })
    }

    fn names(&self) -> Vec<&str> {
        FIELDS.iter().map(|(name, _)| *name).collect()
    }

    fn named_value(&self, _: FieldId, name: &str) -> Option<u64> {
        (name == "TCP").then_some(6)
    }
}

/// Field, layer, value.
struct Packet<'a>(Vec<(FieldId, u32, Value<'a>)>);

impl Fields for Packet<'_> {
    fn each(&self, field: FieldId, visit: &mut Visit<'_>) -> ControlFlow<()> {
        self.0.iter().filter(|(id, ..)| *id == field).try_for_each(|(_, layer, value)| visit(*layer, *value))
    }
}

/// A filter, up to a zero byte, and a packet. What is refused is refused with its place; what is taken can be negated.
pub fn filter(data: &[u8]) {
    let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (text, rest) = data.split_at(end);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let filter = match Filter::parse(text, &Table) {
        Ok(filter) => filter,
        Err(e) => {
            assert!((1..=text.chars().count() + 1).contains(&e.column()), "{e:?}");
            assert!(!e.message().is_empty());
            assert!(e.to_string().chars().all(|c| !c.is_control()), "{e:?}");
            assert_eq!(e.pointer().lines().count(), 2, "{e:?}");
            return;
        }
    };
    assert!(filter.fields().is_sorted_by(|a, b| a < b));
    let packet = packet(&mut Bytes(rest.get(1..).unwrap_or_default()));
    let matched = filter.matches(&packet);
    // Parentheses and a negation may be one too many.
    if text.trim().is_empty() || text.len() + 3 > MAX_TEXT {
        return;
    }
    match Filter::parse(&format!("!({text})"), &Table) {
        Ok(not) => assert_ne!(not.matches(&packet), matched),
        Err(e) => assert!(text.bytes().filter(|b| b"(!-+{n".contains(b)).count() + 2 > MAX_DEPTH, "{e}"),
    }
}

fn packet<'a>(bytes: &mut Bytes<'a>) -> Packet<'a> {
    let mut values = Vec::new();
    while !bytes.is_empty() && values.len() < 64 {
        let (at, layer) = (bytes.u8() % FIELDS.len() as u8, u32::from(bytes.u8() & 3) + 1);
        let value = match FIELDS[usize::from(at)].1 {
            FieldType::Label => Value::Label,
            FieldType::Protocol | FieldType::Bytes => {
                let len = usize::from(bytes.u8());
                Value::Bytes(bytes.take(len))
            }
            FieldType::Ether => match bytes.take(6) {
                address @ [_, _, _, _, _, _] => Value::Bytes(address),
                _ => break,
            },
            FieldType::String => {
                let len = usize::from(bytes.u8());
                Value::Str(std::str::from_utf8(bytes.take(len)).unwrap_or("api.example"))
            }
            FieldType::Bool => Value::Uint(u64::from(bytes.flag())),
            FieldType::Uint(bits) => Value::Uint(bytes.u64() >> (64 - u32::from(bits))),
            FieldType::Int(_) => Value::Int(i64::from(bytes.u32() as i32)),
            FieldType::Ipv4 => Value::Ipv4(bytes.u32()),
            FieldType::Ipv6 => Value::Ipv6(u128::from_le_bytes(bytes.array())),
            FieldType::AbsoluteTime | FieldType::RelativeTime => Value::Time(i128::from(bytes.u64() as i64)),
        };
        values.push((FieldId(u32::from(at)), layer, value));
    }
    Packet(values)
}
