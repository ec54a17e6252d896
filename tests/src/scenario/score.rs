//! A story held against the truth.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Judgement, Scenario, Side, Told, Truths, View, share};
use crate::agent::Story;
use crate::report::Lost;

/// Causes that say that something went wrong.
const TROUBLE: [&str; 7] =
    ["loss_fast", "loss_tlp", "loss_rto", "zero_window_local", "zero_window_peer", "reset", "refused"];

/// Parts may miss the duration by this much, in nanoseconds.
const SUM_NS: u64 = 1_000;

/// How well one side of one scenario was explained.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Row {
    /// Scenario, view and side.
    pub name: (String, String, String),
    /// Turns that there were.
    pub turns: u64,
    /// Those that suffered.
    pub suffered: u64,
    /// Of these, told with the right cause.
    pub right: u64,
    /// Those to which nothing happened.
    pub innocent: u64,
    /// Of these, blamed on trouble.
    pub blamed: u64,
    /// Those that nothing is demanded of.
    pub unclear: u64,
    /// Turns that suffered, or nothing happened to, and that were not told.
    pub missing: u64,
    /// Turns marked as incomplete.
    pub incomplete: u64,
    /// Turns whose parts don't sum to their duration, or with a part below zero.
    pub unsound: u64,
    /// Rows of the audit in which tracenet differs from the kernel.
    pub audit: Vec<String>,
    /// `unaccounted` of each told turn, in a hundred thousand of its duration.
    unaccounted: Vec<u64>,
    /// Wrong causes, with how often.
    pub wrong: BTreeMap<String, u64>,
}

/// What the audit can't be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excuses {
    /// Connections that the kernel gave up, closed ones too (`TCPAbortOnTimeout`, both ends).
    pub given_up: u64,
    /// Retransmissions that no BPF program saw.
    pub unseen: u64,
}

pub(super) fn score(
    scenario: &Scenario,
    view: View,
    side: Side,
    truths: &Truths,
    story: &Story,
    excuses: Excuses,
) -> Row {
    let told = told(story, side);
    let mut row = Row {
        name: (scenario.name.to_owned(), view.name().to_owned(), side.role().to_owned()),
        ..Row::default()
    };
    for (key, truth) in truths {
        row.turns += 1;
        let told = told.get(key);
        let cause = told.map_or("", |t| t.cause.as_str());
        let judgement = if truth.disturbed { Judgement::Unclear } else { (scenario.judge)(truth, side) };
        match judgement {
            Judgement::Unclear => row.unclear += 1,
            Judgement::Innocent => {
                row.innocent += 1;
                row.missing += u64::from(told.is_none());
                if TROUBLE.contains(&cause) {
                    row.blamed += 1;
                    row.complain(key, "innocent", cause);
                }
            }
            Judgement::Suffers(causes) => {
                row.suffered += 1;
                row.missing += u64::from(told.is_none());
                if causes.contains(&cause) {
                    row.right += 1;
                } else {
                    row.complain(key, causes.first().copied().unwrap_or(""), cause);
                }
            }
        }
    }
    let lost = story.summary.lost == Lost::NOTHING;
    for t in told.values() {
        row.incomplete += u64::from(t.incomplete);
        let sum: i64 = t.parts.iter().map(|(_, ns)| ns).sum();
        let negative = t.parts.iter().any(|(_, ns)| *ns < 0);
        row.unsound += u64::from(negative || sum.abs_diff(t.duration) > SUM_NS);
        let unaccounted = t.parts.iter().find(|(name, _)| name == "unaccounted").map_or(0, |(_, ns)| *ns);
        if lost {
            row.unaccounted.push((unaccounted * 100_000 / t.duration.max(1)).unsigned_abs());
        }
    }
    let (given_up, unseen) = (excuses.given_up as i64, excuses.unseen as i64);
    for a in &story.summary.audit {
        let (mistaken, missing) = match a.counter.as_str() {
            // The last timeout gives up and sends nothing. And the cause of one that was not seen is taken for that of the
            // next.
            "TCPTimeouts" => (unseen, given_up + unseen),
            // Segments have a counter with each socket, which is exact, but for the cause; SYN/ACKs have none.
            "TCPSynRetrans" | "TcpRetransSegs" => (0, unseen),
            _ => (0, 0),
        };
        if !(-mistaken..=missing).contains(&(a.kernel - a.tracenet)) {
            row.audit.push(format!("{} {} != {}", a.counter, a.kernel, a.tracenet));
        }
    }
    row
}

/// Turns of a side by the client's port and their number.
pub(super) fn told(story: &Story, side: Side) -> BTreeMap<((u16, u16), u32), Told> {
    let ports: BTreeMap<&str, (u16, u16)> = story
        .summary
        .connections
        .iter()
        .map(|c| {
            let (local, remote) = (c.local.port(), c.remote.port());
            (c.id.as_str(), if side == Side::Client { (local, remote) } else { (remote, local) })
        })
        .collect();
    let mut turns = BTreeMap::new();
    for line in story.kind("turn") {
        if line["role"] == side.role() {
            let ports = ports.get(line["conn"].as_str().unwrap_or("")).copied().unwrap_or_default();
            let index = line["index"].as_u64().and_then(|n| u32::try_from(n).ok()).expect("a number");
            turns.insert((ports, index), Told::read(&line));
        }
    }
    turns
}

impl Row {
    fn complain(&mut self, key: &((u16, u16), u32), expected: &str, cause: &str) {
        *self.wrong.entry(format!("{expected} -> {cause}")).or_default() += 1;
        if std::env::var_os("TRACENET_KEEP").is_some() {
            let (name, view, side) = &self.name;
            eprintln!("{name} {view}/{side}: port {} turn {}: {expected} -> {cause}", key.0.0, key.1);
        }
    }

    /// Adds another run of the same.
    fn add(&mut self, other: Self) {
        self.turns += other.turns;
        self.suffered += other.suffered;
        self.right += other.right;
        self.innocent += other.innocent;
        self.blamed += other.blamed;
        self.unclear += other.unclear;
        self.missing += other.missing;
        self.incomplete += other.incomplete;
        self.unsound += other.unsound;
        self.audit.extend(other.audit);
        self.unaccounted.extend(other.unaccounted);
        for (what, n) in other.wrong {
            *self.wrong.entry(what).or_default() += n;
        }
    }

    /// Its name on one line.
    pub fn title(&self) -> String {
        let (name, view, side) = &self.name;
        format!("{name} {view}/{side}")
    }

    /// A quantile of `unaccounted`, in percent of a turn's duration.
    pub fn unaccounted(&self, q: f64) -> f64 {
        let mut all = self.unaccounted.clone();
        all.sort_unstable();
        let at = ((all.len() as f64 * q).ceil() as usize).saturating_sub(1);
        all.get(at).map_or(0.0, |n| *n as f64 / 1_000.0)
    }

    /// What falls short of the goals: nothing, where all is well. `strict`: one wrong turn in a hundred is the limit;
    /// else one or two are forgiven however few there were.
    pub fn failures(&self, strict: bool) -> Vec<String> {
        let mut out = Vec::new();
        let allowed = |n: u64| if strict { n / 100 } else { (n / 100).max(2) };
        if self.suffered - self.right > allowed(self.suffered) {
            out.push(format!("{} of {} with the right cause", self.right, self.suffered));
        }
        if self.blamed > allowed(self.innocent) {
            out.push(format!("{} of {} innocent ones blamed", self.blamed, self.innocent));
        }
        // Of a hundred turns the second worst is the quantile: a packet that no program saw would decide.
        let q = if strict { 0.99 } else { 0.97 };
        if self.unaccounted(0.5) > 2.0 || self.unaccounted(q) > 5.0 {
            let (median, tail) = (self.unaccounted(0.5), self.unaccounted(q));
            out.push(format!("unaccounted {median:.2} % at the median, {tail:.2} % at quantile {q}"));
        }
        if self.unsound > 0 {
            out.push(format!("{} turns don't add up", self.unsound));
        }
        if !self.audit.is_empty() {
            out.push(format!("audit: {}", self.audit.join(", ")));
        }
        out
    }
}

/// The head of the table.
pub fn header() -> String {
    format!(
        "{:22} {:13} {:>5} {:>6} {:>6} {:>6} {:>6} {:>5} {:>5} {:>5} {:>6} {:>6}  {}",
        "scenario",
        "view/side",
        "turns",
        "hurt",
        "right%",
        "innoc",
        "blame%",
        "?",
        "miss",
        "incmp",
        "una50%",
        "una99%",
        "wrong"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, view, side) = &self.name;
        write!(
            f,
            "{name:22} {:13} {:>5} {:>6} {:>6} {:>6} {:>6} {:>5} {:>5} {:>5} {:>6.2} {:>6.2} ",
            format!("{view}/{side}"),
            self.turns,
            self.suffered,
            share(self.right, self.suffered),
            self.innocent,
            share(self.blamed, self.innocent),
            self.unclear,
            self.missing,
            self.incomplete,
            self.unaccounted(0.5),
            self.unaccounted(0.99),
        )?;
        for (what, n) in &self.wrong {
            write!(f, " {n} {what};")?;
        }
        if self.unsound > 0 {
            write!(f, " {} UNSOUND", self.unsound)?;
        }
        for audit in &self.audit {
            write!(f, " AUDIT {audit}")?;
        }
        Ok(())
    }
}

/// Rows by scenario, view and side.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rows(Vec<Row>);

impl Rows {
    /// Adds a run of one side.
    pub fn add(&mut self, row: Row) {
        match self.0.iter_mut().find(|r| r.name == row.name) {
            Some(known) => known.add(row),
            None => self.0.push(row),
        }
    }

    /// Adds other runs.
    pub fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|row| self.add(row));
    }

    /// Turns of each row.
    pub fn turns(&self) -> u64 {
        self.0.iter().map(|r| r.turns).max().unwrap_or(0)
    }

    /// Turns that suffered, of that row which has the fewest of those that have many.
    pub fn fewest_hurt(&self) -> u64 {
        let most = self.0.iter().map(|r| r.suffered).max().unwrap_or(0);
        self.0.iter().map(|r| r.suffered).filter(|n| *n > most / 3).min().unwrap_or(0)
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.0.iter()
    }
}
