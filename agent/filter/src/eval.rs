//! A compiled filter against a packet. Values are looked at where they are; only sliced pieces put together, masked
//! bytes and texts made by functions are copied.

use std::cmp::Ordering;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

use memchr::memmem;

use crate::ast::{Calc, Range, RangeEnd};
use crate::check::{Const, Function, Node, Relation, Test};
use crate::{FieldId, FieldType, Fields, Value};

const GO_ON: ControlFlow<()> = ControlFlow::Continue(());

/// A value of a node.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    Value(Value<'a>),
    /// Address and mask.
    Net4(u32, u32),
    /// Address and mask.
    Net6(u128, u128),
}

type See<'v> = dyn FnMut(Item<'_>) -> ControlFlow<()> + 'v;

pub(crate) fn test(test: &Test, packet: &dyn Fields) -> bool {
    match test {
        Test::Always => true,
        Test::Not(inner) => !self::test(inner, packet),
        Test::And(all) => all.iter().all(|t| self::test(t, packet)),
        Test::Or(all) => all.iter().any(|t| self::test(t, packet)),
        Test::Xor(all) => all.iter().filter(|t| self::test(t, packet)).count() % 2 == 1,
        Test::Present(node) => some(node, packet, |_| true),
        Test::NotZero(node) => some(node, packet, is_not_zero),
        Test::Compare { left, relation, right, all } => {
            quantified(left, packet, *all, |l| quantified(right, packet, *all, |r| holds(l, *relation, r)))
        }
        Test::ContainsConst { left, what, all } => quantified(left, packet, *all, |l| {
            !what.needle().is_empty() && bytes_of(&l).is_some_and(|b| what.find(b).is_some())
        }),
        Test::Matches { left, regex, all } => {
            quantified(left, packet, *all, |l| bytes_of(&l).is_some_and(|b| regex.is_match(b)))
        }
        Test::In { left, set, all } => quantified(left, packet, *all, |l| {
            set.iter().any(|(low, high)| match high {
                None => some(low, packet, |r| holds(l, Relation::Eq, r)),
                Some(high) => {
                    some(low, packet, |r| holds(l, Relation::Ge, r))
                        && some(high, packet, |r| holds(l, Relation::Le, r))
                }
            })
        }),
    }
}

/// Whether the condition holds for a value of the node.
fn some(node: &Node, packet: &dyn Fields, mut condition: impl FnMut(Item<'_>) -> bool) -> bool {
    each(node, packet, &mut |item| {
        if condition(item) { ControlFlow::Break(()) } else { GO_ON }
    })
    .is_break()
}

/// Whether it holds for a value of the node; with `all`, for each one, there being one.
fn quantified(
    node: &Node,
    packet: &dyn Fields,
    all: bool,
    mut condition: impl FnMut(Item<'_>) -> bool,
) -> bool {
    if !all {
        return some(node, packet, condition);
    }
    let mut any = false;
    let failed = some(node, packet, |item| {
        any = true;
        !condition(item)
    });
    any && !failed
}

/// Shows every value of a node, until `see` breaks off.
fn each(node: &Node, packet: &dyn Fields, see: &mut See<'_>) -> ControlFlow<()> {
    match node {
        Node::Field { id, layers: None } => packet.each(*id, &mut |_, value| see(Item::Value(value))),
        Node::Field { id, layers: Some(ranges) } => layered(*id, ranges, packet, see),
        Node::Const(value) => see(constant(value)),
        Node::Slice { of, ranges } => each(of, packet, &mut |item| match item {
            Item::Value(Value::Ipv4(a)) => sliced(&a.to_be_bytes(), ranges, see),
            Item::Value(Value::Ipv6(a)) => sliced(&a.to_be_bytes(), ranges, see),
            item => bytes_of(&item).map_or(GO_ON, |bytes| sliced(bytes, ranges, see)),
        }),
        Node::Negative(of) => each(of, packet, &mut |item| match item {
            Item::Value(Value::Time(ns)) => see(Item::Value(Value::Time(-ns))),
            item => number(&item).map_or(GO_ON, |n| see(from_number(-n))),
        }),
        Node::Calc { op, left, right } => {
            each(left, packet, &mut |l| each(right, packet, &mut |r| calculate(*op, l, r, see)))
        }
        Node::Function { function, arguments, kind } => call(*function, arguments, *kind, packet, see),
    }
}

fn constant(value: &Const) -> Item<'_> {
    match value {
        Const::Uint(n) => Item::Value(Value::Uint(*n)),
        Const::Int(n) => Item::Value(Value::Int(*n)),
        Const::Bytes(bytes) => Item::Value(Value::Bytes(bytes)),
        Const::Time(ns) => Item::Value(Value::Time(*ns)),
        Const::Ipv4(address, mask) => Item::Net4(*address, *mask),
        Const::Ipv6(address, mask) => Item::Net6(*address, *mask),
    }
}

fn layered(id: FieldId, ranges: &[Range], packet: &dyn Fields, see: &mut See<'_>) -> ControlFlow<()> {
    let mut last = 0;
    let _ = packet.each(id, &mut |layer, _| {
        last = layer.max(last);
        GO_ON
    });
    let from_first = |n: i32| {
        // -1 is the last one.
        if n < 0 { i64::from(n) + i64::from(last) + 1 } else { i64::from(n) }
    };
    let is_wanted = |layer: u32| {
        ranges.iter().any(|range| {
            let start = from_first(range.start);
            let end = match range.end {
                RangeEnd::Length(n) => start + i64::from(n),
                RangeEnd::Offset(n) => from_first(n) + 1,
                RangeEnd::Open => i64::MAX,
            };
            (start..end).contains(&i64::from(layer))
        })
    };
    packet.each(id, &mut |layer, value| if is_wanted(layer) { see(Item::Value(value)) } else { GO_ON })
}

/// Nothing, where one of the ranges doesn't fit.
fn sliced(bytes: &[u8], ranges: &[Range], see: &mut See<'_>) -> ControlFlow<()> {
    let piece = |range: &Range| range.within(bytes.len()).and_then(|(from, to)| bytes.get(from..to));
    if let [range] = ranges {
        return piece(range).map_or(GO_ON, |bytes| see(Item::Value(Value::Bytes(bytes))));
    }
    let mut joined = Vec::new();
    for range in ranges {
        match piece(range) {
            Some(bytes) => joined.extend_from_slice(bytes),
            None => return GO_ON,
        }
    }
    see(Item::Value(Value::Bytes(&joined)))
}

fn bytes_of<'a>(item: &Item<'a>) -> Option<&'a [u8]> {
    match item {
        Item::Value(Value::Bytes(bytes)) => Some(bytes),
        Item::Value(Value::Str(text)) => Some(text.as_bytes()),
        _ => None,
    }
}

fn number(item: &Item<'_>) -> Option<i128> {
    match item {
        Item::Value(Value::Uint(n)) => Some(i128::from(*n)),
        Item::Value(Value::Int(n)) => Some(i128::from(*n)),
        _ => None,
    }
}

/// What is beyond 64 bits becomes the largest or the smallest number.
fn from_number(n: i128) -> Item<'static> {
    Item::Value(match u64::try_from(n) {
        Ok(n) => Value::Uint(n),
        Err(_) if n < 0 => Value::Int(i64::try_from(n).unwrap_or(i64::MIN)),
        Err(_) => Value::Uint(u64::MAX),
    })
}

fn is_not_zero(item: Item<'_>) -> bool {
    match item {
        Item::Value(Value::Uint(n)) => n != 0,
        Item::Value(Value::Int(n)) => n != 0,
        Item::Value(Value::Time(ns)) => ns != 0,
        Item::Value(Value::Ipv4(a)) | Item::Net4(a, _) => a != 0,
        Item::Value(Value::Ipv6(a)) | Item::Net6(a, _) => a != 0,
        Item::Value(Value::Bytes(bytes)) => bytes.iter().any(|b| *b != 0),
        Item::Value(Value::Str(_) | Value::Label) => true,
    }
}

fn holds(left: Item<'_>, relation: Relation, right: Item<'_>) -> bool {
    if relation == Relation::Contains {
        return match (bytes_of(&left), bytes_of(&right)) {
            (Some(l), Some(r)) => !r.is_empty() && memmem::find(l, r).is_some(),
            _ => false,
        };
    }
    let Some(order) = order(&left, &right) else { return false };
    match relation {
        Relation::Eq => order == Ordering::Equal,
        Relation::Ne => order != Ordering::Equal,
        Relation::Gt => order == Ordering::Greater,
        Relation::Ge => order != Ordering::Less,
        Relation::Lt => order == Ordering::Less,
        Relation::Le => order != Ordering::Greater,
        Relation::Contains => false,
    }
}

/// `None` for what can't be compared, which the type check keeps out.
fn order(left: &Item<'_>, right: &Item<'_>) -> Option<Ordering> {
    // Where one side is a network, its prefix alone counts.
    let net4 = |item: &Item<'_>| match item {
        Item::Value(Value::Ipv4(a)) => Some((*a, u32::MAX)),
        Item::Net4(a, mask) => Some((*a, *mask)),
        _ => None,
    };
    let net6 = |item: &Item<'_>| match item {
        Item::Value(Value::Ipv6(a)) => Some((*a, u128::MAX)),
        Item::Net6(a, mask) => Some((*a, *mask)),
        _ => None,
    };
    if let (Some(l), Some(r)) = (number(left), number(right)) {
        return Some(l.cmp(&r));
    }
    if let (Some((l, l_mask)), Some((r, r_mask))) = (net4(left), net4(right)) {
        let mask = l_mask & r_mask;
        return Some((l & mask).cmp(&(r & mask)));
    }
    if let (Some(l), Some(r)) = (bytes_of(left), bytes_of(right)) {
        return Some(l.cmp(r));
    }
    if let (Item::Value(Value::Time(l)), Item::Value(Value::Time(r))) = (left, right) {
        return Some(l.cmp(r));
    }
    let ((l, l_mask), (r, r_mask)) = (net6(left)?, net6(right)?);
    let mask = l_mask & r_mask;
    Some((l & mask).cmp(&(r & mask)))
}

fn calculate(op: Calc, left: Item<'_>, right: Item<'_>, see: &mut See<'_>) -> ControlFlow<()> {
    if let (Some(l), Some(r)) = (number(&left), number(&right)) {
        let result = match op {
            Calc::And => Some(l & r),
            Calc::Add => l.checked_add(r),
            Calc::Sub => l.checked_sub(r),
            Calc::Mul => l.checked_mul(r),
            // Nothing comes out of a division by zero.
            Calc::Div => l.checked_div(r),
            Calc::Mod => l.checked_rem(r),
        };
        return result.map_or(GO_ON, |n| see(from_number(n)));
    }
    if let (Item::Value(Value::Time(l)), Item::Value(Value::Time(r))) = (left, right) {
        let result = if op == Calc::Sub { l.checked_sub(r) } else { l.checked_add(r) };
        return result.map_or(GO_ON, |ns| see(Item::Value(Value::Time(ns))));
    }
    if let (Some(l), Some(r)) = (bytes_of(&left), bytes_of(&right)) {
        let masked: Vec<u8> = l.iter().zip(r).map(|(a, b)| a & b).collect();
        return see(Item::Value(Value::Bytes(&masked)));
    }
    match (left, right) {
        (Item::Value(Value::Ipv4(l)), Item::Value(Value::Ipv4(r)) | Item::Net4(r, _)) => {
            see(Item::Value(Value::Ipv4(l & r)))
        }
        (Item::Value(Value::Ipv6(l)), Item::Value(Value::Ipv6(r)) | Item::Net6(r, _)) => {
            see(Item::Value(Value::Ipv6(l & r)))
        }
        _ => GO_ON,
    }
}

fn call(
    function: Function,
    arguments: &[Node],
    kind: FieldType,
    packet: &dyn Fields,
    see: &mut See<'_>,
) -> ControlFlow<()> {
    let Some(first) = arguments.first() else { return GO_ON };
    match function {
        Function::Count => {
            let mut count = 0;
            let _ = each(first, packet, &mut |_| {
                count += 1;
                GO_ON
            });
            if count == 0 { GO_ON } else { see(Item::Value(Value::Uint(count))) }
        }
        Function::Max | Function::Min => {
            let wanted = if function == Function::Max { Ordering::Greater } else { Ordering::Less };
            let mut best: Option<Item<'static>> = None;
            for argument in arguments {
                let _ = each(argument, packet, &mut |item| {
                    if let Some(item) = detached(item)
                        && best.is_none_or(|best| order(&item, &best) == Some(wanted))
                    {
                        best = Some(item);
                    }
                    GO_ON
                });
            }
            best.map_or(GO_ON, see)
        }
        Function::Len => each(first, packet, &mut |item| {
            let len = match bytes_of(&item) {
                Some(bytes) => bytes.len(),
                None => width(kind),
            };
            see(from_number(i128::try_from(len).unwrap_or(0)))
        }),
        Function::Abs => each(first, packet, &mut |item| match item {
            Item::Value(Value::Time(ns)) => see(Item::Value(Value::Time(ns.saturating_abs()))),
            item => number(&item).map_or(GO_ON, |n| see(from_number(n.saturating_abs()))),
        }),
        Function::Lower | Function::Upper => each(first, packet, &mut |item| {
            let Some(bytes) = bytes_of(&item) else { return GO_ON };
            let text = if function == Function::Lower {
                bytes.to_ascii_lowercase()
            } else {
                bytes.to_ascii_uppercase()
            };
            see(Item::Value(Value::Bytes(&text)))
        }),
        Function::String => each(first, packet, &mut |item| match item {
            Item::Value(Value::Uint(n)) => see(Item::Value(Value::Str(&n.to_string()))),
            Item::Value(Value::Int(n)) => see(Item::Value(Value::Str(&n.to_string()))),
            Item::Value(Value::Ipv4(a)) => see(Item::Value(Value::Str(&Ipv4Addr::from_bits(a).to_string()))),
            Item::Value(Value::Ipv6(a)) => see(Item::Value(Value::Str(&Ipv6Addr::from_bits(a).to_string()))),
            Item::Value(Value::Bytes(bytes)) => {
                let groups: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
                see(Item::Value(Value::Str(&groups.join(":"))))
            }
            _ => GO_ON,
        }),
    }
}

/// A value that holds no bytes of the packet.
fn detached(item: Item<'_>) -> Option<Item<'static>> {
    Some(match item {
        Item::Value(Value::Uint(n)) => Item::Value(Value::Uint(n)),
        Item::Value(Value::Int(n)) => Item::Value(Value::Int(n)),
        Item::Value(Value::Time(ns)) => Item::Value(Value::Time(ns)),
        Item::Value(Value::Ipv4(a)) | Item::Net4(a, _) => Item::Value(Value::Ipv4(a)),
        Item::Value(Value::Ipv6(a)) | Item::Net6(a, _) => Item::Value(Value::Ipv6(a)),
        Item::Value(Value::Bytes(_) | Value::Str(_) | Value::Label) => return None,
    })
}

/// Bytes of a value that isn't made of bytes, as Wireshark counts them.
fn width(kind: FieldType) -> usize {
    match kind {
        FieldType::Uint(bits) | FieldType::Int(bits) => usize::from(bits).div_ceil(8),
        FieldType::Bool => 8,
        FieldType::Ether => 6,
        FieldType::Ipv4 => 4,
        FieldType::Ipv6 | FieldType::AbsoluteTime | FieldType::RelativeTime => 16,
        FieldType::Label | FieldType::Protocol | FieldType::Bytes | FieldType::String => 0,
    }
}
