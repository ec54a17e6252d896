//! The two text formats: <https://prometheus.io/docs/specs/om/open_metrics_spec/> and
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use super::exposition::{Buckets, Family, Kind, Mark, Value};
use super::format::Format;
use super::labels::{Escaped, Labels};
use super::ladder::{BOUNDS, STEPS};

/// All metrics. `target` are the labels of `target_info`.
pub(super) fn render(target: &Labels, families: &BTreeMap<String, Family>, format: Format) -> String {
    let mut page = Page { out: String::new(), format };
    page.target(target);
    for (name, family) in families {
        page.family(name, family);
    }
    if format == Format::OpenMetrics {
        page.out.push_str("# EOF\n");
    }
    page.out
}

struct Page {
    out: String,
    format: Format,
}

impl Page {
    fn target(&mut self, labels: &Labels) {
        let (name, kind) = match self.format {
            Format::OpenMetrics => ("target", "info"),
            Format::Text => ("target_info", "gauge"),
        };
        self.line(format_args!("# HELP {name} The agent that was scraped."));
        self.line(format_args!("# TYPE {name} {kind}"));
        self.sample("target_info", labels, None, 1.0, None);
    }

    fn family(&mut self, name: &str, family: &Family) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let counter = match family.kind {
            Kind::Counter => format!("{name}_total"),
            Kind::Gauge | Kind::Histogram => name.to_owned(),
        };
        // To OpenMetrics the suffix of a counter belongs to the sample, to the older format to the name.
        let declared = if self.format == Format::OpenMetrics { name } else { &counter };
        self.line(format_args!("# HELP {declared} {}", Escaped(&family.help)));
        self.line(format_args!("# TYPE {declared} {kind}"));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, family.unit) {
            self.line(format_args!("# UNIT {declared} {unit}"));
        }
        for (labels, series) in &family.series {
            match &series.value {
                Value::Number(n) => self.sample(&counter, labels, None, *n, None),
                Value::Histogram(buckets) => self.histogram(name, labels, buckets),
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &Labels, buckets: &Buckets) {
        let bucket = format!("{name}_bucket");
        for ((bound, count), mark) in BOUNDS.iter().zip(buckets.cumulative).zip(&buckets.marks) {
            self.sample(&bucket, labels, Some(*bound), count as f64, mark.as_ref());
        }
        let above = buckets.marks[STEPS].as_ref();
        self.sample(&bucket, labels, Some(f64::INFINITY), buckets.count as f64, above);
        self.sample(&format!("{name}_count"), labels, None, buckets.count as f64, None);
        self.sample(&format!("{name}_sum"), labels, None, buckets.sum, None);
    }

    fn sample(&mut self, name: &str, labels: &Labels, le: Option<f64>, value: f64, mark: Option<&Mark>) {
        let comma = if labels.is_empty() || le.is_none() { "" } else { "," };
        // The same bound in both formats, so that a scraper that changes from one to the other goes on with its series.
        let le = le.map_or(String::new(), |bound| format!("{comma}le=\"{}\"", Float(bound)));
        match (labels.as_str(), le.as_str()) {
            ("", "") => self.out.push_str(name),
            (labels, le) => self.put(format_args!("{name}{{{labels}{le}}}")),
        }
        self.put(format_args!(" {}", Count(value)));
        if let (Format::OpenMetrics, Some(mark)) = (self.format, mark) {
            let (seconds, nanos) = (mark.time_unix_nano / 1_000_000_000, mark.time_unix_nano % 1_000_000_000);
            self.put(format_args!(
                " # {{trace_id=\"{}\",span_id=\"{}\"}} {} {seconds}.{:03}",
                Hex(&mark.trace_id),
                Hex(&mark.span_id),
                Count(mark.value),
                nanos / 1_000_000
            ));
        }
        self.out.push('\n');
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.put(text);
        self.out.push('\n');
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into a String can't fail.
        let _ = self.out.write_fmt(text);
    }
}

/// A number, whole ones without a fraction.
struct Count(f64);

impl Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_finite() { write!(f, "{}", self.0) } else { Float(self.0).fmt(f) }
    }
}

/// A number that is always seen to be none of a count: `1.0`.
struct Float(f64);

impl Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            n if n.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            n => write!(f, "{n:?}"),
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
