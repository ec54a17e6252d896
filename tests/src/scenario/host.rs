//! What a host does to packets of its own: rules, full queues, bad headers, nobody listening. Each drop is counted from
//! outside (nft's counters, the kernel's MIBs, tc's) and has to be told once, with the right reason, rule and victim.
//!
//! Client and server live behind a router, all three on this host; agents are attached to the client, to the server
//! and to both at once.

mod all;
mod route;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub use all::ALL;
pub use route::Route;

use super::{Side, View, share};
use crate::agent::{Agent, Story};
use crate::blindspot::BlindSpot;
use crate::program::Program;

/// Where packets are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the client's namespace.
    Client,
    /// On the router.
    Router,
    /// In the server's namespace.
    Server,
}

/// Drops of one kind, as a side ought to be told of them.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The `why` of the line.
    pub why: &'static str,
    /// Where.
    pub place: Place,
    /// `sender` or `receiver`.
    pub hurt: &'static str,
    /// Whose process that is.
    pub victim: Side,
    /// Name of the interface.
    pub interface: &'static str,
    /// Chain and handle of the rule.
    pub rule: Option<(String, u64)>,
    /// Kind of the queue that was full.
    pub queue: Option<&'static str>,
    /// How many, counted from outside.
    pub count: u64,
    /// Of how many of these it can't be said: BPF programs are not run in every context of every machine.
    pub blind: u64,
}

/// What a run came to, before it is held against the stories.
pub struct Outcome {
    /// Every drop that there was.
    pub expected: Vec<Expected>,
    /// Turns that suffered, where the scenario has turns.
    pub turns: Option<Turns>,
}

/// Turns that suffered.
pub struct Turns {
    /// Whose.
    pub side: Side,
    /// By the ports, the client's and the server's, and their number.
    pub hurt: Vec<((u16, u16), u32)>,
    /// What they ought to be blamed on.
    pub causes: &'static [&'static str],
}

/// Programs of a scenario.
pub struct Cast {
    /// The client.
    pub client: Program,
    /// The server; where nobody listens, there is none.
    pub server: Option<Program>,
}

/// A scenario: how the namespaces are prepared and who plays, and what comes of it.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// As in the table and on the command line.
    pub name: &'static str,
    /// Prepares the namespaces and starts the programs, which wait.
    pub cast: fn(&Route, Extent) -> Cast,
    /// Lets them go, waits until all is still, and counts.
    pub play: fn(&Route, &mut Cast, &Ground) -> Outcome,
}

/// What is run of a scenario.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Of everything that is left to chance.
    pub seed: u64,
    /// Drops, or about as many.
    pub drops: u32,
}

/// What was counted before.
pub struct Ground {
    /// The kernel's counters in the three namespaces.
    pub before: [crate::counters::Mib; 3],
    /// Drops that no BPF program sees.
    pub blindspot: BlindSpot,
}

/// Runs a scenario once and scores each view's sides.
pub fn run(scenario: &Scenario, extent: Extent) -> Vec<Row> {
    let route = Route::new();
    let mut cast = (scenario.cast)(&route, extent);
    let views: &[View] = if cast.server.is_some() { &View::ALL } else { &[View::Client] };
    let pid = |cast: &Cast, side| match side {
        Side::Client => Some(cast.client.pid()),
        Side::Server => cast.server.as_ref().map(Program::pid),
    };
    let pids: BTreeMap<Side, u32> =
        [Side::Client, Side::Server].into_iter().filter_map(|s| Some((s, pid(&cast, s)?))).collect();
    let agents: Vec<(View, Agent)> = views
        .iter()
        .map(|view| {
            let of: Vec<u32> = view.sides().iter().filter_map(|s| pids.get(s).copied()).collect();
            (*view, Agent::attach(&of, &["-e", "trace=none", "--no-packets"]))
        })
        .collect();
    let ground = Ground { before: route.counters(), blindspot: BlindSpot::watch() };
    let outcome = (scenario.play)(&route, &mut cast, &ground);
    let stories: Vec<(View, Story)> = agents.into_iter().map(|(view, agent)| (view, agent.stop())).collect();
    let unseen = ground.blindspot.retransmissions();
    let mut rows = Vec::new();
    for (view, story) in &stories {
        super::keep_story(scenario.name, extent.seed, *view, story);
        for side in view.sides().iter().filter(|s| pids.contains_key(s)) {
            let told = Told { story, view: *view, side: *side, unseen };
            rows.push(score(scenario, &told, &pids, &outcome, &route));
        }
    }
    rows
}

/// How well one side of one scenario was told.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Scenario, view and side.
    pub name: (String, &'static str, &'static str),
    /// Drops counted from outside that the side is to be told of.
    pub dropped: u64,
    /// Told rightly.
    pub right: u64,
    /// Not told, where that is excused.
    pub blind: u64,
    /// Not told, and not excused.
    pub missing: u64,
    /// Told, but not so, or too often.
    pub wrong: BTreeMap<String, u64>,
    /// Turns that suffered.
    pub turns: u64,
    /// Of these, blamed on the right thing.
    pub blamed: u64,
    /// Rows of the audit that differ.
    pub audit: Vec<String>,
}

/// What is held against the truth.
struct Told<'a> {
    story: &'a Story,
    view: View,
    side: Side,
    /// Retransmissions that no BPF program saw.
    unseen: u64,
}

fn score(
    scenario: &Scenario,
    told: &Told<'_>,
    pids: &BTreeMap<Side, u32>,
    outcome: &Outcome,
    route: &Route,
) -> Row {
    let Told { story, view, side, unseen } = *told;
    let name = (scenario.name.to_owned(), view.name(), side.role());
    let mut row = Row { name, ..Row::default() };
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for line in story.kind("drop") {
        if line["pid"].as_u64() == pids.get(&side).map(|p| u64::from(*p)) {
            *told.entry(seen(&line)).or_default() += 1;
        }
    }
    for e in &outcome.expected {
        // On the router nobody has a socket, and of two ends one may be all that is known.
        let victim_known = e.victim == side || view == View::Both || e.place != Place::Router;
        let key = if victim_known { e.key(pids, route) } else { e.turned_round().key(pids, route) };
        let n = told.remove(&key).unwrap_or(0);
        if e.victim == side {
            row.dropped += e.count;
            row.right += n.min(e.count);
        }
        // The other end hears of it where it can be known that it is the other end.
        let missing = if e.victim == side { e.count.saturating_sub(n) } else { 0 };
        // What was counted as lost is not hushed up.
        let excused = missing.min(e.blind + story.summary.lost.ringbuf);
        row.blind += excused;
        row.missing += missing - excused;
        if n > e.count {
            *row.wrong.entry(format!("once more: {}", e.why)).or_default() += n - e.count;
        }
    }
    // What comes for a socket after its end is nobody's loss.
    let expected: Vec<&str> = outcome.expected.iter().map(|e| e.why).collect();
    told.retain(|key, _| {
        let why = key.split(' ').next().unwrap_or_default();
        expected.contains(&why) || !["no_listener", "other"].contains(&why)
    });
    for (key, n) in told {
        *row.wrong.entry(key).or_default() += n;
    }
    if let Some(turns) = outcome.turns.as_ref().filter(|t| t.side == side) {
        let told = super::score::told(story, side);
        row.turns = turns.hurt.len() as u64;
        for key in &turns.hurt {
            let cause = told.get(key).map_or("", |t| t.cause.as_str());
            if turns.causes.contains(&cause) {
                row.blamed += 1;
            } else {
                *row.wrong.entry(format!("{} -> {cause}", turns.causes[0])).or_default() += 1;
            }
        }
    }
    for a in story.summary.audit.iter().filter(|a| a.kernel != a.tracenet) {
        // Segments have a counter with each socket, which is exact; that it was a timer that sent them, only a program sees.
        if a.counter == "TCPTimeouts" && (a.kernel - a.tracenet).unsigned_abs() <= unseen {
            continue;
        }
        row.audit.push(format!("{} {} != {}", a.counter, a.kernel, a.tracenet));
    }
    row
}

/// A line of the story in the words of [`Expected::key`].
fn seen(line: &Value) -> String {
    let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
    let rule = match &line["rule"] {
        Value::Null => "-".to_owned(),
        // Where it may have been any of several, it was not told which.
        _ if line["rule_sure"] == "one_of" => format!("one of {}", line["rule_of"]),
        rule => format!("{}/{}", rule["chain"].as_str().unwrap_or("-"), rule["handle"]),
    };
    format!(
        "{} netns {} {} {} {} {} {}",
        text("why"),
        line["netns"],
        text("interface"),
        text("hurt"),
        line["hurt_pid"],
        rule,
        line["queue"]["kind"].as_str().unwrap_or("-"),
    )
}

impl Expected {
    /// As the other end is told.
    fn turned_round(&self) -> Self {
        let other = |side| if side == Side::Client { Side::Server } else { Side::Client };
        let hurt = if self.hurt == "sender" { "receiver" } else { "sender" };
        Self { hurt, victim: other(self.victim), ..self.clone() }
    }

    fn key(&self, pids: &BTreeMap<Side, u32>, route: &Route) -> String {
        let netns = match self.place {
            Place::Client => &route.client,
            Place::Router => &route.router,
            Place::Server => &route.server,
        };
        let victim = pids.get(&self.victim).map_or("null".to_owned(), u32::to_string);
        let rule = self.rule.as_ref().map_or("-".to_owned(), |(chain, handle)| format!("{chain}/{handle}"));
        format!(
            "{} netns {} {} {} {victim} {rule} {}",
            self.why,
            netns.inode(),
            self.interface,
            self.hurt,
            self.queue.unwrap_or("-"),
        )
    }
}

impl Row {
    /// Its name on one line.
    pub fn title(&self) -> String {
        let (name, view, side) = &self.name;
        format!("{name} {view}/{side}")
    }

    /// Adds another run of the same.
    pub fn add(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.right += other.right;
        self.blind += other.blind;
        self.missing += other.missing;
        self.turns += other.turns;
        self.blamed += other.blamed;
        self.audit.extend(other.audit);
        for (what, n) in other.wrong {
            *self.wrong.entry(what).or_default() += n;
        }
    }

    /// What falls short of the goals: nothing, where all is well.
    pub fn failures(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.missing > 0 {
            out.push(format!("{} of {} drops not told", self.missing, self.dropped));
        }
        let wrong: Vec<String> = self
            .wrong
            .iter()
            .filter(|(what, _)| !what.contains("->"))
            .map(|(w, n)| format!("{n} {w}"))
            .collect();
        if !wrong.is_empty() {
            out.push(wrong.join("; "));
        }
        if self.turns - self.blamed > (self.turns / 100).max(1) {
            out.push(format!("{} of {} turns with the right cause", self.blamed, self.turns));
        }
        // A drop that no program saw is in no audit either.
        if !self.audit.is_empty() && self.blind == 0 {
            out.push(format!("audit: {}", self.audit.join(", ")));
        }
        out
    }
}

/// The head of the table.
pub fn header() -> String {
    format!(
        "{:18} {:13} {:>7} {:>7} {:>6} {:>5} {:>6} {:>7}  {}",
        "scenario", "view/side", "dropped", "right", "right%", "blind", "turns", "blamed%", "wrong"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, view, side) = &self.name;
        write!(
            f,
            "{name:18} {:13} {:>7} {:>7} {:>6} {:>5} {:>6} {:>7} ",
            format!("{view}/{side}"),
            self.dropped,
            self.right,
            share(self.right, self.dropped),
            self.blind,
            self.turns,
            share(self.blamed, self.turns),
        )?;
        for (what, n) in &self.wrong {
            write!(f, " {n} {what};")?;
        }
        for audit in &self.audit {
            write!(f, " AUDIT {audit}")?;
        }
        Ok(())
    }
}
