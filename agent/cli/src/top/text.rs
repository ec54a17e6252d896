//! `--once`: one look, as text or as JSON lines.

use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::fields::NUMBERS;
use super::model::Row;
use super::screen::{Look, NARROW};

/// A process as a JSON object.
pub struct Json<'a>(pub &'a Row);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("schema", "tracenet.process/1")?;
        map.serialize_entry("comm", &self.0.account.comm)?;
        map.serialize_entry("ended", &self.0.ended)?;
        for number in NUMBERS {
            map.serialize_entry(number.name, &(number.of)(self.0))?;
        }
        map.end()
    }
}

/// A table.
pub fn table(rows: &[Row], look: Look) -> String {
    let mut out = String::new();
    for column in NARROW {
        // A string takes everything.
        let _ = write!(out, "{}", column.head());
    }
    let _ = writeln!(out, "  COMMAND");
    for row in rows {
        for column in NARROW {
            let _ = write!(out, "{}", column.cell(row, look));
        }
        let ended = if row.ended { " (ended)" } else { "" };
        let mut name = String::new();
        crate::paint::push_safe(&mut name, &row.account.comm);
        let _ = writeln!(out, "  {name}{ended}");
    }
    out
}
