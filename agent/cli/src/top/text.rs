//! `--once`: one look, as text or as JSON lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tracenet_core::json;

use super::fields::Listed;
use super::flows::Flow;
use super::hosts::Host;
use super::model::Row;
use super::names::Names;
use super::screen::Look;

/// A row as a JSON object.
pub struct Json<'a, R>(pub &'a R);

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    comm: &'a str,
}

/// All numbers but those.
fn numbers<R: Listed, M: SerializeMap>(row: &R, but: &[&str], map: &mut M) -> Result<(), M::Error> {
    let numbers = R::NUMBERS.iter().filter(|number| !but.contains(&number.name));
    numbers.into_iter().try_for_each(|number| map.serialize_entry(number.name, &(number.of)(row)))
}

impl Serialize for Json<'_, Row> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let drops: &BTreeMap<Arc<str>, u64> = &self.0.account.drop_reasons;
        let drops: BTreeMap<&str, u64> =
            drops.iter().map(|(reason, packets)| (&**reason, *packets)).collect();
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("schema", "tracenet.process/1")?;
        map.serialize_entry("comm", &self.0.account.comm)?;
        map.serialize_entry("container", &self.0.container.as_deref())?;
        map.serialize_entry("ended", &self.0.ended)?;
        numbers(self.0, &[], &mut map)?;
        map.serialize_entry("drops_by_reason", &drops)?;
        map.end()
    }
}

impl Serialize for Json<'_, Flow> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let flow = self.0;
        let first = flow.holders.first();
        let processes: Vec<Process<'_>> =
            flow.holders.iter().map(|(pid, comm)| Process { pid: *pid, comm }).collect();
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("schema", "tracenet.live_connection/1")?;
        map.serialize_entry("netns_name", &flow.netns_name.as_deref())?;
        map.serialize_entry("pid", &first.map(|(pid, _)| *pid))?;
        map.serialize_entry("comm", &first.map(|(_, comm)| &**comm))?;
        map.serialize_entry("transport", "tcp")?;
        map.serialize_entry("state", flow.state.word())?;
        map.serialize_entry("local", &flow.local)?;
        map.serialize_entry("remote", &flow.remote)?;
        map.serialize_entry("processes", &processes)?;
        numbers(flow, &["pid"], &mut map)?;
        map.end()
    }
}

impl Serialize for Json<'_, Host> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let host = self.0;
        let processes: Vec<Process<'_>> =
            host.processes.iter().map(|(pid, comm)| Process { pid: *pid, comm }).collect();
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("schema", "tracenet.live_host/1")?;
        map.serialize_entry("remote", &host.address)?;
        map.serialize_entry("remote_port", &host.port)?;
        map.serialize_entry("processes", &processes)?;
        numbers(host, &["processes"], &mut map)?;
        map.end()
    }
}

/// JSON lines.
pub fn lines<'a, R>(rows: &'a [R], out: &mut Vec<u8>)
where
    Json<'a, R>: Serialize,
{
    for row in rows {
        // Our own types, into a vector: nothing can fail.
        let _ = json::append(&Json(row), out);
        out.push(b'\n');
    }
}

/// Columns of the words of a table that nobody has to fold.
const ROOM: usize = 80;

/// A table.
pub fn table<R: Listed>(rows: &[R], names: &Names, look: Look, out: &mut Vec<u8>) {
    let mut text = String::new();
    for column in R::NARROW {
        text += &column.head::<R>();
    }
    // A string takes everything.
    let _ = writeln!(text, "  {}", R::title(ROOM));
    for row in rows {
        for column in R::NARROW {
            text += &column.cell(row, look);
        }
        let words = row.words(names, look, ROOM);
        let ended = if row.is_over() { " (ended)" } else { "" };
        let _ = writeln!(text, "  {}{ended}", words.trim_end());
    }
    out.extend_from_slice(text.as_bytes());
}
