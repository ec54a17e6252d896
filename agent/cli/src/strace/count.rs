//! `-c`: the table of calls, errors and times that the kernel added up.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use tracenet_core::fact::ConnSummary;
use tracenet_core::key::SocketCookie;
use tracenet_core::syscall;
use tracenet_probes::Counted;

/// Connections in the table; those with less time in calls are left out, which is said.
const MAX_CONNECTIONS: usize = 100;

/// What to count, and how to tell it.
#[derive(Debug, Clone, Copy)]
pub struct Counting {
    /// Order of the rows.
    pub sort: Sort,
    /// Of each connection too.
    pub by_connection: bool,
    /// The lines of the calls too (`-C`).
    pub lines: bool,
}

/// `-S`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Sort {
    /// Time in the calls, the most first.
    #[default]
    #[value(alias = "time-total", alias = "total-time", alias = "time-percent")]
    Time,
    /// Time of a call.
    #[value(alias = "time-avg", alias = "avg-time")]
    Avg,
    /// Number of calls.
    #[value(alias = "call", alias = "count")]
    Calls,
    /// Calls that failed.
    #[value(alias = "error")]
    Errors,
    /// Time within which 99 % of the calls returned.
    P99,
    /// Name.
    #[value(alias = "syscall", alias = "syscall-name")]
    Name,
    /// By number.
    #[value(alias = "none")]
    Nothing,
}

/// The table as strace prints it, with two columns more: the times within which half of the calls and 99 % of them
/// returned.
pub fn table(calls: &BTreeMap<u32, Counted>, sort: Sort, out: &mut String) {
    let ns: u64 = calls.values().map(|c| c.ns).sum();
    let mut rows: Vec<(String, &Counted)> = calls.iter().map(|(nr, c)| (name(*nr), c)).collect();
    match sort {
        Sort::Time => rows.sort_by_key(|r| std::cmp::Reverse(r.1.ns)),
        Sort::Avg => rows.sort_by_key(|r| std::cmp::Reverse(r.1.ns / r.1.calls.max(1))),
        Sort::Calls => rows.sort_by_key(|r| std::cmp::Reverse(r.1.calls)),
        Sort::Errors => rows.sort_by_key(|r| std::cmp::Reverse(r.1.errors)),
        Sort::P99 => rows.sort_by_key(|r| std::cmp::Reverse(r.1.quantile(0.99))),
        Sort::Name => rows.sort_by(|a, b| a.0.cmp(&b.0)),
        Sort::Nothing => {}
    }
    out.push_str("% time     seconds  usecs/call     calls    errors  p50 usecs  p99 usecs syscall\n");
    let rule = "------ ----------- ----------- --------- --------- ---------- ---------- ----------------\n";
    out.push_str(rule);
    let mut all = Counted::default();
    for (name, c) in rows {
        row(c, ns, &name, out);
        all.calls += c.calls;
        all.errors += c.errors;
        all.ns += c.ns;
    }
    out.push_str(rule);
    row(&all, ns, "total", out);
}

fn row(c: &Counted, all_ns: u64, name: &str, out: &mut String) {
    let share = if all_ns == 0 { 0.0 } else { c.ns as f64 * 100.0 / all_ns as f64 };
    let usecs = |ns: Option<u64>| ns.map_or(String::new(), |ns| format!("{:.1}", ns as f64 / 1e3));
    let errors = if c.errors == 0 { String::new() } else { c.errors.to_string() };
    let _ = writeln!(
        out,
        "{share:6.2} {:11.6} {:11} {:9} {errors:>9} {:>10} {:>10} {name}",
        c.ns as f64 / 1e9,
        c.ns / 1_000 / c.calls.max(1),
        c.calls,
        usecs(c.quantile(0.5)),
        usecs(c.quantile(0.99)),
    );
}

/// A table for each connection, those first in whose calls most time went.
pub fn by_connection(
    calls: &BTreeMap<SocketCookie, BTreeMap<u32, Counted>>,
    connections: &[ConnSummary],
    sort: Sort,
    out: &mut String,
) {
    let mut all: Vec<_> = calls
        .iter()
        .map(|(cookie, calls)| (calls.values().map(|c| c.ns).sum::<u64>(), cookie, calls))
        .collect();
    all.sort_by_key(|c| std::cmp::Reverse(c.0));
    for (_, cookie, calls) in all.iter().take(MAX_CONNECTIONS) {
        out.push('\n');
        match connections.iter().find(|c| c.cookie == cookie.0) {
            Some(c) => {
                _ = writeln!(
                    out,
                    "{} {} {} -> {}",
                    c.id,
                    c.tuple.transport.as_str(),
                    c.tuple.local,
                    c.tuple.remote
                )
            }
            None => _ = writeln!(out, "socket {}", cookie.0),
        }
        table(calls, sort, out);
    }
    if all.len() > MAX_CONNECTIONS {
        let _ = writeln!(out, "\n{} more connections, with less time in calls", all.len() - MAX_CONNECTIONS);
    }
}

fn name(nr: u32) -> String {
    syscall::name(nr).map_or_else(|| format!("syscall_{nr:#x}"), str::to_owned)
}
