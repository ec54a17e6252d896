//! Two samples and what happened between them.

use std::borrow::Cow;

use tracenet_collectors::sample::Sample;

/// From one sample to a later one. Names may have a `*`, which stands for the item: `dev.*.rx_bytes` of `eth0`.
#[derive(Clone, Copy)]
pub struct Span<'a> {
    before: &'a Sample,
    after: &'a Sample,
    item: &'a str,
}

impl<'a> Span<'a> {
    /// `before` may be the default sample: then it is the time since boot.
    pub fn new(before: &'a Sample, after: &'a Sample) -> Self {
        Self { before, after, item: "" }
    }

    /// The same, of one interface, disk or process.
    pub fn of(self, item: &'a str) -> Self {
        Self { item, ..self }
    }

    /// The later sample.
    pub fn after(&self) -> &'a Sample {
        self.after
    }

    /// The earlier sample.
    pub fn before(&self) -> &'a Sample {
        self.before
    }

    /// Nanoseconds between them.
    pub fn nanos(&self) -> u64 {
        self.after.boot_ns.saturating_sub(self.before.boot_ns)
    }

    /// Seconds between them.
    pub fn seconds(&self) -> f64 {
        self.nanos() as f64 / 1e9
    }

    /// How much a counter grew; none where it isn't there.
    pub fn grown(&self, name: &str) -> Option<f64> {
        let change = self.after.counters.change(&self.before.counters, &self.full(name))?;
        Some(change as f64)
    }

    /// The same a second.
    pub fn rate(&self, name: &str) -> Option<f64> {
        Some(ratio(self.grown(name)?, self.seconds()))
    }

    /// A level at the end.
    pub fn level(&self, name: &str) -> Option<f64> {
        self.after.counters.get(&self.full(name)).map(|n| n as f64)
    }

    /// Growth of a counter that now and then takes something back (the kernel's idle and iowait times do): never
    /// below zero.
    pub fn grown_at_most(&self, name: &str) -> Option<f64> {
        let name = self.full(name);
        let before = self.before.counters.get(&name).unwrap_or(0);
        self.after.counters.get(&name).map(|n| n.saturating_sub(before) as f64)
    }

    fn full<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match name.split_once('*') {
            Some((head, tail)) => Cow::Owned([head, self.item, tail].concat()),
            None => Cow::Borrowed(name),
        }
    }
}

/// `a / b`, zero where `b` is.
pub fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// `a` of `b` in percent, zero where `b` is.
pub fn percent(a: f64, b: f64) -> f64 {
    ratio(a * 100.0, b)
}

#[cfg(test)]
mod tests {
    use tracenet_collectors::counters::{Kind, Reading};

    use super::*;

    fn sample(boot_ns: u64, readings: &[(&str, u64)]) -> Sample {
        let reading = |(name, value): &(&str, u64)| {
            ((*name).to_owned(), Reading { kind: Kind::Counter, value: *value })
        };
        Sample { boot_ns, counters: readings.iter().map(reading).collect(), ..Sample::default() }
    }

    #[test]
    fn rates_are_of_the_true_interval() {
        let a = sample(1_000_000_000, &[("dev.eth0.rx_bytes", 100), ("x", 9)]);
        let b = sample(3_500_000_000, &[("dev.eth0.rx_bytes", 350), ("x", 4)]);
        let span = Span::new(&a, &b);
        assert_eq!(span.of("eth0").rate("dev.*.rx_bytes"), Some(100.0));
        assert_eq!(span.of("eth1").rate("dev.*.rx_bytes"), None);
        // A counter that was reset begins at zero; one that takes something back stays.
        assert_eq!(span.grown("x"), Some(4.0));
        assert_eq!(span.grown_at_most("x"), Some(0.0));
    }

    #[test]
    fn no_time_is_no_rate() {
        let a = sample(5, &[("x", 9)]);
        assert_eq!(Span::new(&a, &a).rate("x"), Some(0.0));
    }
}
