//! What a report is made of.

use std::borrow::Cow;

use tracenet_collectors::sample::Sample;

use super::span::Span;

/// Where a column's value comes from, and what its average is.
#[derive(Clone, Copy)]
pub enum Source {
    /// A counter's growth a second. Average: over the whole time.
    Rate(&'static str),
    /// A level at the end of the interval. Average: the mean of the samples.
    Level(&'static str),
    /// The same without an average.
    Last(&'static str),
    /// Computed of what happened in the interval. Average: over the whole time.
    Over(fn(&Span<'_>) -> Option<f64>),
    /// Computed of levels. Average: the mean of the samples.
    Now(fn(&Span<'_>) -> Option<f64>),
}

/// In what a source counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// What is printed.
    One,
    /// Bytes, printed as KiB (sar's `kB`), and in JSON as they are.
    Bytes,
    /// Hundredths of what is printed.
    Hundredths,
}

/// A column.
#[derive(Clone, Copy)]
pub struct Column {
    /// sar's or pidstat's name.
    pub name: &'static str,
    /// Name in JSON, with its unit; empty where it follows from the source's.
    key: &'static str,
    /// Where the value comes from.
    pub source: Source,
    unit: Unit,
    /// Columns of the terminal, without the space before it.
    pub width: usize,
    /// Digits after the point.
    pub digits: usize,
}

const fn column(name: &'static str, source: Source, digits: usize) -> Column {
    Column { name, key: "", source, unit: Unit::One, width: 9, digits }
}

/// A counter's rate.
pub const fn rate(name: &'static str, counter: &'static str) -> Column {
    column(name, Source::Rate(counter), 2)
}

/// A level, a whole number.
pub const fn level(name: &'static str, counter: &'static str) -> Column {
    column(name, Source::Level(counter), 0)
}

/// Computed of an interval.
pub const fn over(name: &'static str, key: &'static str, f: fn(&Span<'_>) -> Option<f64>) -> Column {
    column(name, Source::Over(f), 2).key(key)
}

/// Computed of levels.
pub const fn now(name: &'static str, key: &'static str, f: fn(&Span<'_>) -> Option<f64>) -> Column {
    column(name, Source::Now(f), 2).key(key)
}

/// A level that has no average.
pub const fn last(name: &'static str, counter: &'static str) -> Column {
    column(name, Source::Last(counter), 0)
}

impl Column {
    /// Bytes that are printed as KiB.
    pub const fn bytes(self) -> Self {
        Self { unit: Unit::Bytes, ..self }
    }

    /// Hundredths that are printed as what they are hundredths of.
    pub const fn hundredths(self) -> Self {
        Self { unit: Unit::Hundredths, digits: 2, ..self }
    }

    /// Another width than sar's nine.
    pub const fn width(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// Without digits after the point.
    pub const fn whole(self) -> Self {
        Self { digits: 0, ..self }
    }

    /// A name in JSON that doesn't follow from the source.
    pub const fn key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// The value, in the source's unit.
    pub fn value(&self, span: &Span<'_>) -> Option<f64> {
        match self.source {
            Source::Rate(name) => span.rate(name),
            Source::Level(name) | Source::Last(name) => span.level(name),
            Source::Over(f) | Source::Now(f) => f(span),
        }
    }

    /// The value as it is printed in text.
    pub fn printed(&self, value: f64) -> f64 {
        match self.unit {
            Unit::One => value,
            Unit::Bytes => value / 1024.0,
            Unit::Hundredths => value / 100.0,
        }
    }

    /// The value as JSON has it, in base units.
    pub fn plain(&self, value: f64) -> f64 {
        if self.unit == Unit::Hundredths { value / 100.0 } else { value }
    }

    /// Name in JSON: the source's own, with what it is counted in.
    pub fn json_name(&self) -> Cow<'static, str> {
        if !self.key.is_empty() {
            return Cow::Borrowed(self.key);
        }
        let own = |name: &'static str| name.rsplit('.').next().unwrap_or(name);
        match self.source {
            Source::Rate(name) => Cow::Owned(format!("{}_per_s", own(name))),
            Source::Level(name) | Source::Last(name) => Cow::Borrowed(own(name)),
            Source::Over(_) | Source::Now(_) => Cow::Borrowed(self.name),
        }
    }
}

/// What has a row of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Items {
    /// Nothing: one row a sample.
    None,
    /// One row that says `all`.
    Processors,
    /// Network interfaces.
    Interfaces,
    /// Block devices.
    Disks,
    /// Processes.
    Tasks,
}

/// A report: a heading and rows.
pub struct Report {
    /// Keyword of `-n`, or a name in the same style.
    pub name: &'static str,
    /// What the rows are of.
    pub items: Items,
    /// The columns after the item's.
    pub columns: &'static [Column],
}

impl Items {
    /// Heading of the item's column and its width.
    pub fn heading(self) -> Option<(&'static str, usize)> {
        match self {
            Self::None | Self::Tasks => None,
            Self::Processors => Some(("CPU", 7)),
            Self::Interfaces => Some(("IFACE", 9)),
            Self::Disks => Some(("DEV", 9)),
        }
    }

    /// True where a sample may have several rows.
    pub fn are_many(self) -> bool {
        !matches!(self, Self::None | Self::Processors)
    }

    /// Names of the rows.
    pub fn of(self, sample: &Sample) -> Vec<String> {
        let named = |head: &str, tail: &str| {
            let names = sample.counters.iter();
            names.filter_map(|(n, _)| n.strip_prefix(head)?.strip_suffix(tail)).map(str::to_owned).collect()
        };
        match self {
            Self::None => vec![String::new()],
            Self::Processors => vec!["all".to_owned()],
            Self::Interfaces => named("dev.", ".rx_bytes"),
            Self::Disks => named("disk.", ".ios"),
            Self::Tasks => sample.tasks.iter().map(|t| t.pid.to_string()).collect(),
        }
    }
}

/// A row: the item's name and a value for each column, in the source's unit.
pub struct Row {
    /// Interface, disk, PID or `all`; empty where there is only one row.
    pub item: String,
    /// What isn't known here is none.
    pub values: Vec<Option<f64>>,
}

impl Report {
    /// The rows of an interval.
    pub fn rows(&self, span: &Span<'_>) -> Vec<Row> {
        let row = |item: String| {
            let span = span.of(&item);
            let values = self.columns.iter().map(|c| c.value(&span)).collect();
            Row { item, values }
        };
        self.items.of(span.after()).into_iter().map(row).collect()
    }

    /// True where this sample has something for it: protocols, pressure may be missing from a kernel.
    pub fn is_known(&self, sample: &Sample) -> bool {
        let span = Span::new(sample, sample);
        self.items.are_many() || self.columns.iter().any(|c| c.value(&span).is_some())
    }
}
