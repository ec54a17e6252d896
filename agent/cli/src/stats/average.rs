//! Averages over all samples, as sar's last lines have them.

use std::collections::BTreeMap;

use tracenet_collectors::sample::Sample;

use super::report::{Report, Row, Source};
use super::span::Span;

/// Items whose levels are summed up at most; those beyond have no averages of levels.
const ITEMS_MAX: usize = 65_536;

/// Sums of a report's levels.
#[derive(Default)]
pub struct Average {
    levels: BTreeMap<String, Vec<Mean>>,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Average {
    /// One more sample's rows.
    pub fn add(&mut self, rows: &[Row]) {
        for row in rows {
            if !self.levels.contains_key(&row.item) && self.levels.len() >= ITEMS_MAX {
                continue;
            }
            let means = self.levels.entry(row.item.clone()).or_default();
            means.resize(row.values.len(), Mean::default());
            for (mean, value) in means.iter_mut().zip(&row.values) {
                if let Some(value) = value {
                    mean.sum += value;
                    mean.count += 1;
                }
            }
        }
    }

    /// Rows of the averages of what is there at the end: rates over the whole time, levels as means of the samples.
    pub fn rows(&self, report: &Report, first: &Sample, last: &Sample) -> Vec<Row> {
        let mut rows = report.rows(&Span::new(first, last));
        for row in &mut rows {
            let means = self.levels.get(&row.item);
            for (i, (value, column)) in row.values.iter_mut().zip(report.columns).enumerate() {
                match column.source {
                    Source::Rate(_) | Source::Over(_) => {}
                    Source::Last(_) => *value = None,
                    Source::Level(_) | Source::Now(_) => {
                        let mean = means.and_then(|m| m.get(i)).filter(|m| m.count > 0);
                        *value = mean.map(|m| m.sum / f64::from(m.count));
                    }
                }
            }
        }
        rows
    }
}
