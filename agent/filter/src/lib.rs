//! Wireshark's display filter language, version 4.0 (wireshark-filter(4)), over the fields that a caller knows.
//!
//! [`Filter::parse`] looks names up in a [`FieldTable`], checks types and compiles; [`Filter::matches`] asks a
//! packet, which [`Fields`] stands for. No input makes either panic; nesting, length and regular expressions are
//! bounded.
//!
//! Beyond 4.0: `xor`/`^^` (as in 4.4), `true` and `false` in lower case, slices and functions left of `in`.
//! Left out: macros, field references (`${...}`), names of hosts, look-around in regular expressions.

#![forbid(unsafe_code)]

use std::ops::ControlFlow;

mod ast;
mod check;
mod error;
mod eval;
mod lexer;
mod literal;
mod parser;
mod time;

pub use error::ParseError;

/// Longest text of a filter in bytes.
pub const MAX_TEXT: usize = 64 << 10;

/// Deepest nesting of parentheses, functions and arithmetic.
pub const MAX_DEPTH: usize = 64;

/// Number of a field, given by the caller's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u32);

/// What values of a field are: Wireshark's types as far as they behave differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// A label without a value (`FT_NONE`): only its presence can be asked.
    Label,
    /// A protocol: the bytes that it spans.
    Protocol,
    /// Bytes.
    Bytes,
    /// Text.
    String,
    /// True or false: [`Value::Uint`] of 1 or 0.
    Bool,
    /// Unsigned number of so many bits.
    Uint(u8),
    /// Signed number of so many bits.
    Int(u8),
    /// Ethernet address: [`Value::Bytes`], six of them.
    Ether,
    /// IPv4 address.
    Ipv4,
    /// IPv6 address.
    Ipv6,
    /// Time of day: [`Value::Time`] since 1970-01-01 UTC.
    AbsoluteTime,
    /// Time span: [`Value::Time`].
    RelativeTime,
}

/// A field as the table knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its number.
    pub id: FieldId,
    /// Its type.
    pub kind: FieldType,
}

/// One value of a field in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Present, without a value.
    Label,
    /// Unsigned number, or truth value.
    Uint(u64),
    /// Signed number.
    Int(i64),
    /// Bytes of a protocol, a byte field or an Ethernet address.
    Bytes(&'a [u8]),
    /// Text.
    Str(&'a str),
    /// IPv4 address, most significant byte first.
    Ipv4(u32),
    /// IPv6 address, most significant byte first.
    Ipv6(u128),
    /// Nanoseconds.
    Time(i128),
}

/// Names and types of the fields.
pub trait FieldTable {
    /// The field or protocol of that name.
    fn field(&self, name: &str) -> Option<Field>;

    /// All names: for suggestions where one is unknown.
    fn names(&self) -> Vec<&str>;

    /// The number that a name stands for in a field (`ip.proto == TCP`); Wireshark's value strings.
    fn named_value(&self, field: FieldId, name: &str) -> Option<u64> {
        let _ = (field, name);
        None
    }

    /// Seconds to add to local time to get UTC, at a local time (seconds since 1970-01-01 00:00:00 local).
    fn to_utc(&self, local_s: i64) -> i64 {
        let _ = local_s;
        0
    }
}

/// What [`Fields::each`] is given: the number of the protocol's layer, from 1 at the outermost, and the value.
pub type Visit<'v> = dyn FnMut(u32, Value<'_>) -> ControlFlow<()> + 'v;

/// A packet.
pub trait Fields {
    /// Tells every value that the field has in the packet, from the outside in, until `visit` breaks off; hands
    /// that break on.
    fn each(&self, field: FieldId, visit: &mut Visit<'_>) -> ControlFlow<()>;
}

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    root: check::Test,
    fields: Vec<FieldId>,
}

impl Filter {
    /// Compiles `text`. An empty text matches every packet.
    ///
    /// # Errors
    /// [`ParseError`] with the column and what is wrong there.
    pub fn parse(text: &str, table: &dyn FieldTable) -> Result<Self, ParseError> {
        let inner = || {
            if text.len() > MAX_TEXT {
                return Err(error::Problem::new(0, format!("the filter is longer than {MAX_TEXT} bytes")));
            }
            let expression = parser::parse(text)?;
            check::Checker::new(table).filter(expression.as_ref())
        };
        let (root, fields) = inner().map_err(|problem| problem.within(text))?;
        Ok(Self { root, fields })
    }

    /// Whether the packet meets the filter.
    pub fn matches(&self, packet: &dyn Fields) -> bool {
        eval::test(&self.root, packet)
    }

    /// Fields that the filter asks for, in ascending order.
    pub fn fields(&self) -> &[FieldId] {
        &self.fields
    }
}

#[cfg(test)]
mod tests;
