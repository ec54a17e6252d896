//! Reports as JSON, one `tracenet.stats/1` object for each row.

use std::fmt::Write as _;

use serde::Serialize;
use tracenet_collectors::sample::Sample;
use tracenet_collectors::task::Task;

use super::report::{Items, Report, Row};
use super::span::Span;

/// Begins an object with what all have in common: time and length of the interval.
pub fn begin(name: &str, span: &Span<'_>, average: bool, out: &mut String) {
    let (t_ns, interval_ns) = (span.after().wall.0, span.nanos());
    out.push_str("{\"schema\":\"tracenet.stats/1\"");
    field("t_ns", &t_ns, out);
    field("interval_ns", &interval_ns, out);
    field("report", name, out);
    field("average", &average, out);
}

/// Writes a report's rows.
pub fn write(report: &Report, rows: &[Row], span: &Span<'_>, average: bool, out: &mut String) {
    for row in rows {
        begin(report.name, span, average, out);
        item(report.items, row, span.after(), out);
        for (column, value) in report.columns.iter().zip(&row.values) {
            field(&column.json_name(), &value.map(|v| column.plain(v)), out);
        }
        out.push_str("}\n");
    }
}

fn item(items: Items, row: &Row, sample: &Sample, out: &mut String) {
    match items {
        Items::None => {}
        Items::Processors => field("cpu_set", &row.item, out),
        Items::Interfaces => field("interface", &row.item, out),
        Items::Disks => field("device", &row.item, out),
        Items::Tasks => {
            let of = |t: &&Task| t.pid.to_string() == row.item;
            if let Some(Task { pid, uid, comm }) = sample.tasks.iter().find(of) {
                field("pid", pid, out);
                field("uid", uid, out);
                field("comm", comm, out);
            }
        }
    }
}

/// Appends `,"name":value`.
pub fn field<T: Serialize + ?Sized>(name: &str, value: &T, out: &mut String) {
    // Strings and numbers can always be written.
    let text = tracenet_core::json::to_string(value).unwrap_or_default();
    let _ = write!(out, ",\"{name}\":{text}");
}
