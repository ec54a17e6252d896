//! Reports as sar(1) and pidstat(1) lay them out: a time stamp, columns of nine, headings above.

use std::fmt::Write as _;

use tracenet_collectors::task::Task;

use super::report::{Items, Report, Row};
use crate::paint::push_safe;

/// On a terminal the heading of a table that goes on comes again after so many lines.
const LINES: usize = 20;

/// Lays reports out.
pub struct Table {
    /// One report with one row a sample: its rows stand one below the other.
    continuous: bool,
    terminal: bool,
    /// Rows since the heading.
    rows: Option<usize>,
}

/// When: the stamps of the heading and of the rows.
pub struct Stamps<'a> {
    /// Beginning of the interval.
    pub heading: &'a str,
    /// Its end.
    pub row: &'a str,
}

impl Table {
    /// For these reports; `terminal` where a person looks on.
    pub fn new(reports: &[&Report], terminal: bool) -> Self {
        let continuous = matches!(reports, [report] if !report.items.are_many());
        Self { continuous, terminal, rows: None }
    }

    /// Adds a report.
    pub fn write(
        &mut self,
        report: &Report,
        rows: &[Row],
        tasks: &[Task],
        stamps: &Stamps<'_>,
        out: &mut String,
    ) {
        let again = match self.rows {
            None => true,
            Some(n) => !self.continuous || self.terminal && n >= LINES,
        };
        if again {
            self.rows = Some(0);
            heading(report, stamps.heading, out);
        }
        for row in rows {
            line(report, row, tasks, stamps.row, out);
        }
        self.rows = self.rows.map(|n| n + rows.len());
    }
}

fn heading(report: &Report, stamp: &str, out: &mut String) {
    let _ = write!(out, "\n{stamp:<11}");
    if report.items == Items::Tasks {
        let _ = write!(out, " {:>5} {:>9}", "UID", "PID");
    } else if let Some((name, width)) = report.items.heading() {
        let _ = write!(out, " {name:>width$}");
    }
    for c in report.columns {
        let _ = write!(out, " {:>width$}", c.name, width = c.width);
    }
    out.push_str(if report.items == Items::Tasks { "  Command\n" } else { "\n" });
}

fn line(report: &Report, row: &Row, tasks: &[Task], stamp: &str, out: &mut String) {
    let _ = write!(out, "{stamp:<11}");
    let task = tasks.iter().find(|t| report.items == Items::Tasks && t.pid.to_string() == row.item);
    if let Some(task) = task {
        let _ = write!(out, " {:>5} {:>9}", task.uid, task.pid);
    } else if let Some((_, width)) = report.items.heading() {
        let mut safe = String::new();
        push_safe(&mut safe, &row.item);
        let _ = write!(out, " {safe:>width$}");
    }
    for (c, value) in report.columns.iter().zip(&row.values) {
        let (width, digits) = (c.width, c.digits);
        let _ = match value {
            Some(value) => write!(out, " {:>width$.digits$}", c.printed(*value)),
            None => write!(out, " {:>width$}", "-"),
        };
    }
    if let Some(task) = task {
        out.push_str("  ");
        push_safe(out, &task.comm);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::catalogue;

    #[test]
    fn lines_are_those_of_sar() {
        let mut out = String::new();
        let mut table = Table::new(&[&catalogue::CPU], false);
        let values = vec![Some(4.478), Some(82.09), Some(13.43), Some(0.0), Some(0.0), None];
        let rows = [Row { item: "all".into(), values }];
        for _ in 0..2 {
            table.write(
                &catalogue::CPU,
                &rows,
                &[],
                &Stamps { heading: "12:49:56", row: "12:49:57" },
                &mut out,
            );
        }
        let line = "12:49:57        all      4.48     82.09     13.43      0.00      0.00         -\n";
        let heading = "\n12:49:56        CPU     %user     %nice   %system   %iowait    %steal     %idle\n";
        assert_eq!(out, [heading, line, line].concat());
    }

    #[test]
    fn lines_are_those_of_pidstat() {
        let mut out = String::new();
        let report = &catalogue::TASK_CPU;
        let values = vec![Some(0.0), Some(0.99), Some(0.0), Some(0.0), Some(0.99), Some(0.0)];
        let tasks = [Task { pid: 1, uid: 0, comm: "a\nb".into() }];
        let stamps = Stamps { heading: "12:49:58", row: "12:49:59" };
        Table::new(&[report], false).write(
            report,
            &[Row { item: "1".into(), values }],
            &tasks,
            &stamps,
            &mut out,
        );
        let expected = "\n12:49:58      UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command\n\
                        12:49:59        0         1    0.00    0.99    0.00    0.00    0.99     0  a\\nb\n";
        assert_eq!(out, expected);
    }
}
