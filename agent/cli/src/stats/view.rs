//! What is shown of samples, wherever they come from.

use std::fmt::Write as _;

use tracenet_collectors::sample::Sample;
use tracenet_core::time::WallNs;

use super::average::Average;
use super::file::Begin;
use super::nstat::Nstat;
use super::report::Report;
use super::span::Span;
use super::table::{Stamps, Table};
use super::{hours, json};
use crate::failure::Failure;
use crate::sinks;

/// What was asked for.
pub struct Choice {
    /// In the order in which they are printed.
    pub reports: Vec<&'static Report>,
    /// `--nstat`
    pub nstat: Option<Nstat>,
    /// One object for each row instead of tables.
    pub json: bool,
}

/// Prints samples as they come.
pub struct View {
    reports: Vec<(&'static Report, Average)>,
    nstat: Option<Nstat>,
    begin: Begin,
    /// None: JSON.
    table: Option<Table>,
    /// The first sample and the last one so far.
    ends: Option<(Sample, Sample)>,
    intervals: u64,
}

impl View {
    /// For samples of this origin; `terminal` where a person looks on.
    pub fn new(choice: &Choice, begin: Begin, terminal: bool) -> Self {
        let table = (!choice.json).then(|| Table::new(&choice.reports, terminal));
        let reports = choice.reports.iter().map(|report| (*report, Average::default())).collect();
        Self { reports, nstat: choice.nstat, begin, table, ends: None, intervals: 0 }
    }

    /// Takes the next sample. With the first one the tables' first line is written, and from the second one on what
    /// happened since the one before.
    ///
    /// # Errors
    /// Nothing of what was asked for is known of this host.
    pub fn take(&mut self, sample: Sample, out: &mut String) -> Result<(), Failure> {
        let Some((first, before)) = self.ends.take() else {
            self.first(&sample, out)?;
            self.ends = Some((sample.clone(), sample));
            return Ok(());
        };
        self.intervals += 1;
        self.show(&Span::new(&before, &sample), before.wall, out);
        self.ends = Some((first, sample));
        Ok(())
    }

    /// The last words: averages, or for a single sample what it tells since boot.
    pub fn finish(mut self, out: &mut String) {
        let Some((first, last)) = self.ends.take() else { return };
        if self.begin.since_boot {
            self.show(&Span::new(&Sample::default(), &last), last.wall, out);
        } else if self.intervals > 0 {
            self.averages(&first, &last, out);
        }
    }

    fn first(&mut self, sample: &Sample, out: &mut String) -> Result<(), Failure> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.reports).into_iter().partition(|(report, _)| report.is_known(sample));
        self.reports = known;
        let names: Vec<&str> = unknown.iter().map(|(report, _)| report.name).collect();
        let why = format!(
            "{}: the kernel of {} has no such counters (pressure needs CONFIG_PSI, IPv6 its module)",
            names.join(", "),
            self.begin.host
        );
        match () {
            () if names.is_empty() => {}
            () if self.reports.is_empty() && self.nstat.is_none() => return Err(Failure::Privilege(why)),
            () => sinks::warn(&why),
        }
        if self.table.is_some() && !self.reports.is_empty() {
            let Begin { kernel, host, machine, cpus, .. } = &self.begin;
            let date = hours::date(sample.wall);
            let _ = writeln!(out, "Linux {kernel} ({host}) \t{date} \t_{machine}_\t({cpus} CPU)");
        }
        Ok(())
    }

    fn show(&mut self, span: &Span<'_>, from: WallNs, out: &mut String) {
        let sample = span.after();
        let (heading, row) = (hours::stamp(from), hours::stamp(sample.wall));
        for (report, average) in &mut self.reports {
            let rows = report.rows(span);
            match &mut self.table {
                Some(table) => {
                    table.write(report, &rows, &sample.tasks, &Stamps { heading: &heading, row: &row }, out);
                }
                None => json::write(report, &rows, span, false, out),
            }
            average.add(&rows);
        }
        match self.nstat {
            Some(nstat) if self.table.is_none() => nstat.json(span, out),
            Some(nstat) => nstat.text(span, (!self.begin.since_boot).then_some(row.as_str()), out),
            None => {}
        }
    }

    fn averages(&mut self, first: &Sample, last: &Sample, out: &mut String) {
        const STAMPS: Stamps<'_> = Stamps { heading: "Average:", row: "Average:" };
        for (report, average) in &self.reports {
            let rows = average.rows(report, first, last);
            match &mut self.table {
                Some(table) => table.write(report, &rows, &last.tasks, &STAMPS, out),
                None => json::write(report, &rows, &Span::new(first, last), true, out),
            }
        }
    }
}
