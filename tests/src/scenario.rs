//! Scenarios: something is done to turns on purpose, tracenet explains them, and its word is held against what was done.
//!
//! A scenario is a [`Load`], a [`Link`] with its plan, and a [`Judge`]: a few lines (see [`wire`]). Both ends are
//! explained, by three agents at a time: attached to the client, to the server, and to both at once.

pub mod host;
pub mod load;
mod score;
pub mod truth;
pub mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

pub use load::{Habit, Load};
pub use score::{Row, Rows, header};
pub use truth::{Truth, Truths};

use crate::agent::{Agent, Story};
use crate::blindspot::BlindSpot;
use crate::counters;
use crate::link::{Link, Path};
use crate::program::Program;
use load::Report;

/// The server's port. Nobody listens on the next one.
const PORT: u16 = 8100;

/// Whose view of a turn is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Who asks.
    Client,
    /// Who answers.
    Server,
}

impl Side {
    /// As a turn's `role`.
    pub fn role(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Which processes the agent is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// The client.
    Client,
    /// The server.
    Server,
    /// Both at once.
    Both,
}

impl View {
    /// All.
    pub const ALL: [Self; 3] = [Self::Client, Self::Server, Self::Both];

    /// Sides that it has turns of.
    pub fn sides(self) -> &'static [Side] {
        match self {
            Self::Client => &[Side::Client],
            Self::Server => &[Side::Server],
            Self::Both => &[Side::Client, Side::Server],
        }
    }

    /// For the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Both => "both",
        }
    }
}

/// What a turn ought to be blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing happened to it: no trouble may be its cause.
    Innocent,
    /// It was touched, and nobody can say how much that did: neither right nor wrong.
    Unclear,
    /// It suffered, and one of these is the reason.
    Suffers(&'static [&'static str]),
}

/// Says by the truth what a side ought to be told.
pub type Judge = fn(&Truth, Side) -> Judgement;

/// A scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// As in the table and on the command line.
    pub name: &'static str,
    /// The programs' work, by the seed.
    pub load: fn(u64) -> Load,
    /// The link, by the load.
    pub link: fn(&Load) -> Link,
    /// Done to the namespaces before anything is started.
    pub prepare: fn(&Path),
    /// The server's address.
    pub address: &'static str,
    /// The oracle.
    pub judge: Judge,
    /// Somebody is to suffer.
    pub hurts: bool,
}

impl Scenario {
    /// Over IPv4, with nothing to prepare.
    const fn new(name: &'static str, load: fn(u64) -> Load, link: fn(&Load) -> Link, judge: Judge) -> Self {
        Self { name, load, link, prepare: |_| {}, address: Path::SERVER, judge, hurts: true }
    }

    const fn prepared(self, prepare: fn(&Path)) -> Self {
        Self { prepare, ..self }
    }

    const fn over_ipv6(self) -> Self {
        Self { address: Path::SERVER6, ..self }
    }

    const fn harmless(self) -> Self {
        Self { hurts: false, ..self }
    }
}

/// What is run of a scenario.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Of everything that is left to chance.
    pub seed: u64,
    /// Turns, or a few more.
    pub turns: u32,
}

/// What is run of each scenario with each seed.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Turns at first.
    pub turns: u32,
    /// Further ones, until so many have suffered on each side that suffers.
    pub hurt: u32,
    /// But no more than these in all.
    pub most: u32,
}

/// Runs a scenario by its name in a process of its own, the program `scenarios`: where a process that carries a link starts
/// programs, its memory is copied on write and the link waits.
pub fn run_apart(name: &str, extent: Extent) -> Rows {
    let numbers = [extent.turns, extent.seed as u32].map(|n| n.to_string());
    let mut command = std::process::Command::new(crate::load::beside_the_test("scenarios"));
    command.stderr(std::process::Stdio::inherit());
    let output = command.args(["--alone", "--turns", &numbers[0], "--seed", &numbers[1], name]).output();
    let text = crate::netns::stdout_of(name, &[], output.expect("the program starts"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text}"))
}

/// Runs scenarios by their names, so many at a time, and hands on the rows of each.
pub fn run_all(names: &[&str], seeds: &[u64], amount: Amount, jobs: usize, told: impl Fn(&Rows) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut rows = Rows::default();
                    for &seed in seeds {
                        rows.extend(run_enough(name, seed, amount));
                    }
                    told(&rows);
                }
            });
        }
    });
}

/// Seeds of further runs are so far from those that somebody asked for.
const NEXT_SEED: u64 = 1_000;

fn run_enough(name: &str, seed: u64, amount: Amount) -> Rows {
    let mut rows = run_apart(name, Extent { seed, turns: amount.turns });
    for again in 1.. {
        let (turns, hurt) = (rows.turns(), rows.fewest_hurt());
        let hurts = wire::ALL.iter().any(|s| s.name == name && s.hurts);
        if !hurts || hurt >= u64::from(amount.hurt) || turns >= u64::from(amount.most) {
            break;
        }
        // As many as that should take and a tenth more, in runs of a length that a program can be waited for.
        let missing = u64::from(amount.hurt) - hurt;
        let (left, run) = (u64::from(amount.most) - turns, u64::from(amount.turns) * 4);
        let further = (missing * turns / hurt.max(1) * 11 / 10).max(100).min(left).min(run);
        let turns = u32::try_from(further).unwrap_or(amount.most);
        rows.extend(run_apart(name, Extent { seed: seed + again * NEXT_SEED, turns }));
    }
    rows
}

/// Runs a scenario once and scores each view's sides.
pub fn run(scenario: &Scenario, extent: Extent) -> Rows {
    let load = (scenario.load)(extent.seed).with_turns(extent.turns);
    let mut path = Path::new((scenario.link)(&load));
    (scenario.prepare)(&path);
    let address = SocketAddr::new(scenario.address.parse().expect("an address"), PORT);
    let mut server = load.serve(&path.server, address);
    let mut client = load.client(&path.client, address);
    let blind = BlindSpot::watch();
    let mibs = || [&path.client, &path.server].map(counters::mib);
    let before = mibs();
    let agents = View::ALL.map(|view| (view, attach(view, &client, &server)));
    client.say("go");
    let reports: Vec<Report> = serde_json::from_value(client.json()).expect("the client's reports");
    client.finish();
    path.settle();
    let stories = agents.map(|(view, agent)| (view, agent.stop()));
    server.finish();
    let given_up =
        before.iter().zip(&mibs()).map(|(a, b)| counters::delta(a, b, "TcpExtTCPAbortOnTimeout")).sum();
    let truths = truth::join(&reports, &path.cut());
    let excuses = score::Excuses { given_up, unseen: blind.retransmissions() };
    keep(scenario.name, extent.seed, &truths, &stories);
    let mut rows = Rows::default();
    for (view, story) in &stories {
        for side in view.sides() {
            rows.add(score::score(scenario, *view, *side, &truths, story, excuses));
        }
    }
    rows
}

fn attach(view: View, client: &Program, server: &Program) -> Agent {
    let pids = match view {
        View::Client => vec![client.pid()],
        View::Server => vec![server.pid()],
        View::Both => vec![client.pid(), server.pid()],
    };
    let quiet = if kept().is_some() { &[][..] } else { &["--no-packets"] };
    Agent::attach(&pids, &[&["-e", "trace=none"], quiet].concat())
}

/// For the curious: where TRACENET_KEEP says, the stories and what really happened stay.
fn kept() -> Option<PathBuf> {
    std::env::var_os("TRACENET_KEEP").map(PathBuf::from)
}

fn keep(name: &str, seed: u64, truths: &Truths, stories: &[(View, Story)]) {
    let Some(folder) = kept() else { return };
    let write = |what: &str, bytes: &[u8]| {
        let file = folder.join(format!("{name}-{seed}-{what}"));
        std::fs::write(&file, bytes).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    };
    for (view, story) in stories {
        keep_story(name, seed, *view, story);
    }
    let mut text = String::new();
    for truth in truths.values() {
        use std::fmt::Write as _;
        let Truth { ports: (port, to), turn, took_ns, habit, error, packets, disturbed } = truth;
        let _ = writeln!(
            text,
            "port {port} turn {turn} to {to} took {took_ns} habit {habit} error {error:?} disturbed {disturbed}"
        );
        for r in packets {
            let s = &r.sight;
            let _ = writeln!(
                text,
                "  {} {:?} {}+{} flags {:02x} window {} id {} again {} {:?} {:?}",
                s.t, s.way, s.offset, s.len, s.flags, s.window, s.ip_id, s.again, r.action, r.arrives
            );
        }
    }
    write("truth", text.as_bytes());
}

fn keep_story(name: &str, seed: u64, view: View, story: &Story) {
    if let Some(folder) = std::env::var_os("TRACENET_KEEP").map(std::path::PathBuf::from) {
        let file = folder.join(format!("{name}-{seed}-{}", view.name()));
        std::fs::write(&file, story.text()).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
}

/// A share as the tables print it, in percent.
fn share(n: u64, of: u64) -> String {
    match of {
        0 => "-".to_owned(),
        _ => format!("{:.1}", n as f64 * 100.0 / of as f64),
    }
}

/// A turn as the story has it.
struct Told {
    cause: String,
    parts: Vec<(String, i64)>,
    duration: i64,
    incomplete: bool,
}

impl Told {
    fn read(line: &Value) -> Self {
        let parts = line["parts"].as_object().map_or_else(Vec::new, |parts| {
            parts
                .iter()
                .map(|(k, v)| (k.clone(), v.as_i64().unwrap_or_else(|| panic!("{k} is no number"))))
                .collect()
        });
        Self {
            cause: line["cause"].as_str().unwrap_or("").to_owned(),
            parts,
            duration: line["duration_ns"].as_i64().expect("a duration"),
            incomplete: line["incomplete"].as_bool().expect("yes or no"),
        }
    }
}
