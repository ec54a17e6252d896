//! The beginning and the end of a story: who is traced, and what it came to.

use std::fmt::Write as _;
use std::time::Duration;

use tracenet_collectors::capture::CaptureStats;
use tracenet_collectors::counters::{self, Delta};
use tracenet_collectors::process::Proc;
use tracenet_collectors::{clock, firewall, pcapng};
use tracenet_config::Config;
use tracenet_core::audit::{AuditRow, FirewallRule};
use tracenet_core::core::Core;
use tracenet_core::json;
use tracenet_core::key::NetnsCookie;
use tracenet_core::merge::SourceId;
use tracenet_core::record::{CounterChanges, Ending, Entry};
use tracenet_core::summary::{self, Summary, Unattributed};
use tracenet_core::time::MonoNs;
use tracenet_core::totals::LostTotals;
use tracenet_probes::{Counts, NetnsTotals, Totals};

use crate::engine::Engine;
use crate::namespace::NamespaceEnd;
use crate::namespaces::Namespaces;
use crate::paint::Paint;
use crate::reconcile;
use crate::report;
use crate::sinks::{self, Sinks};
use crate::sources::RingEnd;
use crate::strace::{self, Counting};
use crate::targets::Target;
use crate::units::{Count, Time};

/// Says who is attached to: on standard error for people, as events in JSON. `run`: it is a command of ours.
pub fn greet(
    targets: &[Target],
    namespaces: &Namespaces<'_>,
    engine: &mut Engine,
    sinks: &mut Sinks,
    now: MonoNs,
    run: bool,
) {
    for t in targets {
        if sinks.is_strace() {
            if !sinks.is_quiet() && !run {
                sinks.warn(&format!("Process {} attached", t.pid));
            }
        } else {
            let mut line = "attached to ".to_owned();
            t.describe(&mut line);
            line.push_str(". Ctrl-C for the summary.");
            eprintln!("{line}");
        }
        let cookie = namespaces.cookie(t.netns).map(|n| n.0);
        let event = json::to_string(&serde_json::json!({
            "schema": summary::EVENT_SCHEMA,
            "kind": "attached",
            "t_ns": sinks.clock().wall(now).0,
            "pid": t.pid,
            "comm": t.comm,
            "threads": t.threads,
            "sockets": t.sockets,
            "netns": t.netns,
            "netns_cookie": cookie,
        }))
        .unwrap_or_default();
        sinks.say(&event);
        engine.record(sinks, || Entry::Line(event));
    }
}

/// A namespace at the end.
pub struct Namespace {
    /// Its capture.
    pub source: SourceId,
    /// Identity.
    pub netns: NetnsCookie,
    /// Inode number.
    pub inum: u32,
    /// What its thread found.
    pub end: NamespaceEnd,
}

/// Everything that the summary is made of.
pub struct Closing<'a> {
    /// Settings.
    pub config: &'a Config,
    /// The processes of the beginning.
    pub targets: &'a [Target],
    /// When it began.
    pub began: MonoNs,
    /// What the probes have counted.
    pub totals: &'a Totals,
    /// What the ring thread found.
    pub ring: RingEnd,
    /// What the namespaces' threads found.
    pub namespaces: Vec<Namespace>,
    /// What was counted of each syscall, and how to tell it.
    pub counts: Option<(Counting, Counts)>,
}

impl Closing<'_> {
    /// Closes every sink and prints the summary. Returns the exit code.
    pub fn finish(self, engine: &mut Engine, mut sinks: Sinks) -> u8 {
        let now = clock::mono_now();
        if let Some(problem) = &self.ring.problem {
            sinks::warn(&format!("the end of the ring buffer: {problem}; the totals may be low"));
        }
        let late = engine.out_of_order();
        if late > 0 {
            sinks::warn(&format!(
                "{} came too late to be told in their order: what was made of them may be wrong",
                Count(late, "event")
            ));
        }
        for n in &self.namespaces {
            if let Some(stats) = n.end.stats {
                sinks.finish_capture(n.source.0, &self.file_totals(stats, &sinks, now));
            }
        }
        let ending = Ending {
            duration: now.since(self.began),
            unattributed: self.unattributed(),
            audit: self.audit(),
            firewall: self.firewall(),
            counters: self.counters(),
        };
        engine.record(&sinks, || Entry::End(ending.clone()));
        let recorded = engine.finish_recording(sinks.clock());
        let table = self.table(engine.core());
        let code = end(&ending, engine.core(), sinks, self.config.export.otlp.shutdown_timeout.0, &table);
        if recorded { code } else { code.max(1) }
    }

    /// The table of `-c`.
    fn table(&self, core: &Core) -> String {
        let mut out = String::new();
        if let Some((counting, counts)) = &self.counts {
            strace::table(&counts.calls(), counting.sort, &mut out);
            if counting.by_connection {
                strace::by_connection(&counts.by_connection(), &core.summaries(), counting.sort, &mut out);
            }
        }
        out
    }

    fn file_totals(&self, stats: CaptureStats, sinks: &Sinks, now: MonoNs) -> pcapng::Totals {
        pcapng::Totals { start: sinks.clock().wall(self.began), end: sinks.clock().wall(now), capture: stats }
    }

    /// What the probes counted in a namespace of the targets since they were there.
    fn grown(&self, n: &Namespace, f: fn(&NetnsTotals) -> u64) -> u64 {
        f(&self.totals.of(n.netns)).saturating_sub(f(&n.end.counted_before))
    }

    fn unattributed(&self) -> Unattributed {
        let sum = |f| self.namespaces.iter().map(|n| self.grown(n, f)).sum();
        Unattributed { retransmits: sum(|t| t.retransmits_unowned), drops: sum(|t| t.drops_unowned) }
    }

    /// What the kernel counted in each namespace beside what the probes saw there.
    fn audit(&self) -> Vec<AuditRow> {
        let firewall = self.firewall();
        let rows = self.namespaces.iter().flat_map(|n| {
            let (now, dropped) = (self.totals.of(n.netns), self.totals.drops_of(n.netns));
            let rules: Vec<&FirewallRule> = firewall.iter().filter(|r| r.netns == n.inum).collect();
            let seen = reconcile::Seen {
                totals: (&n.end.counted_before, &now),
                drops: (&n.end.dropped_before, &dropped),
                kernel: &counters::delta(&n.end.before, &n.end.after),
                rules: &rules,
            };
            seen.rows(n.netns, n.inum)
        });
        rows.collect()
    }

    /// Rules that dropped meanwhile, or may have, in namespaces where any did.
    fn firewall(&self) -> Vec<FirewallRule> {
        let grown = |n: &Namespace| firewall::grown(&n.end.rules_before, &n.end.rules_after, n.inum);
        self.namespaces.iter().flat_map(grown).collect()
    }

    fn counters(&self) -> Vec<CounterChanges> {
        let namespaces = self.namespaces.iter().map(|n| {
            let title = format!("kernel counters of netns {}", n.inum);
            changes(title, &counters::delta(&n.end.before, &n.end.after))
        });
        let proc = Proc::default();
        let targets = self.targets.iter().filter_map(|t| {
            let (before, after) = (t.before.as_ref()?, counters::process(&proc, t.pid)?);
            Some(changes(format!("{}[{}]", t.comm, t.pid), &counters::delta(before, &after)))
        });
        namespaces.chain(targets).collect()
    }
}

/// The counters that moved.
pub fn changes(title: String, delta: &Delta) -> CounterChanges {
    CounterChanges { title, changes: delta.changed().map(|(name, c)| (name.to_owned(), c.change)).collect() }
}

/// Closes every sink and prints the summary, or `table` behind strace's lines. Returns the exit code.
pub fn end(ending: &Ending, core: &Core, mut sinks: Sinks, export_deadline: Duration, table: &str) -> u8 {
    let export = sinks.finish_export(export_deadline);
    let mut lost = core.totals().lost;
    lost.queue += sinks.lost_lines() + sinks.unwritten_packets();
    lost.export += export.as_ref().map_or(0, |e| e.losses.spans() + e.losses.failed_points);
    let summary = Summary::new(
        core,
        summary::Closing {
            duration: ending.duration,
            lost,
            unattributed: ending.unattributed,
            audit: ending.audit.clone(),
            firewall: ending.firewall.clone(),
        },
    );
    let last = explained(&sinks, &lost).unwrap_or_else(|| {
        if sinks.is_strace() {
            only_losses(table, &lost)
        } else if sinks.is_json() {
            let mut last = Vec::new();
            summary.write_json(&mut last);
            last.push(b'\n');
            last
        } else {
            let mut out = String::new();
            text(core, &summary, &ending.counters, sinks.paint(), &mut out);
            out.into_bytes()
        }
    });
    if let Some(report) = export.filter(|r| r.losses.spans() + r.losses.failed_points > 0) {
        sinks::warn(&format!(
            "{} and {} could not be exported: is the collector up, and is it the right URL?",
            Count(report.losses.spans(), "span"),
            Count(report.losses.failed_points, "metric point")
        ));
    }
    if let Some(report) = export.filter(|r| r.spooled_spans > 0) {
        sinks::warn(&format!(
            "{} are in the spool: the next run sends them",
            Count(report.spooled_spans, "span")
        ));
    }
    if sinks.finish(&last) { 0 } else { 1 }
}

/// The last words of `tracenet explain`, which go to standard error where the output is for programs; nothing for
/// other commands.
pub fn explained(sinks: &Sinks, lost: &LostTotals) -> Option<Vec<u8>> {
    let line = sinks.explained(lost)?;
    if sinks.is_json() {
        eprintln!("{line}");
        return Some(Vec::new());
    }
    Some(format!("{line}\n").into_bytes())
}

/// Last words after strace's lines: the table, and what is missing.
fn only_losses(table: &str, lost: &LostTotals) -> Vec<u8> {
    let n = lost.ringbuf + lost.queue;
    if n == 0 {
        return table.as_bytes().to_vec();
    }
    format!(
        "{table}tracenet: {} lost: ring buffer {}, queues {}\n",
        Count(n, "event"),
        lost.ringbuf,
        lost.queue
    )
    .into_bytes()
}

fn text(core: &Core, summary: &Summary, counters: &[CounterChanges], paint: Paint, out: &mut String) {
    out.push('\n');
    for c in core.summaries() {
        report::connection(&c, paint, out);
    }
    let totals = core.totals();
    if totals.omitted > 0 {
        let _ = writeln!(out, "{} not listed: the table was full", Count(totals.omitted, "connection"));
    }
    if totals.turns_without_median > 0 {
        let turns = Count(totals.turns_without_median, "turn");
        let _ = writeln!(out, "{turns} at servers of which no median is kept: there are too many");
    }
    let _ = writeln!(
        out,
        "{} in {}: {}, {}, {} retransmitted, {} ({} at a peer)",
        Count(totals.connections, "connection"),
        Time(summary.duration_ns),
        Count(totals.turns, "turn"),
        Count(totals.packets, "packet"),
        Count(totals.retransmits.total, "segment"),
        Count(totals.drops, "drop"),
        totals.peer_drops,
    );
    for c in counters {
        report::counters(&c.title, c.changes.iter().map(|(name, n)| (name.as_str(), *n)), paint, out);
    }
    report::firewall(&summary.firewall, paint, out);
    report::audit(&summary.audit, paint, out);
    if let Some(governor) = &totals.governor {
        crate::governor::unobserved(governor.budget, &governor.unobserved, summary.duration_ns, out);
        out.push('\n');
    }
    let lost = &summary.lost;
    let _ = writeln!(
        out,
        "lost: ring buffer {}, capture {}, queues {}, export {}.   unattributed: retransmits {}, drops {}.",
        lost.ringbuf,
        lost.capture,
        lost.queue,
        lost.export,
        summary.unattributed.retransmits,
        summary.unattributed.drops
    );
}
