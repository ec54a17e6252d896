//! What becomes of spans when the collector is well, away for a minute, slow, or broken: nothing is lost beyond the stated
//! caps, and what is lost is counted, to the span.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tracenet_tests::collector::{self, GRPC, HTTP, behave};
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{Ended, Node, sum};
use tracenet_tests::program::Program;
use tracenet_tests::{case, load, wait_for};

const COLLECTOR: &[Need] =
    &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("nft"), Need::Tool("ss"), Need::Venv];
const TLS: &[Need] = &[
    Need::Root,
    Need::Bpf,
    Need::Tool("ip"),
    Need::Tool("nft"),
    Need::Tool("ss"),
    Need::Venv,
    Need::Tool("openssl"),
];

/// Turns of a connection.
const TURNS: u64 = 20;
/// Spans of a connection: each turn is one at either end, so is the connection, and one is the client's connect(2).
const ROUND: u64 = 2 * TURNS + 3;
/// Where rotel hands on to.
const BEHIND: u16 = 4319;
/// So long the collector is away.
const AWAY: Duration = Duration::from_secs(60);
/// More than anything here makes, and room for some five hundred spans.
const ROOMY: &str = "64MiB";
const TIGHT: &str = "256KiB";

fn main() -> ExitCode {
    harness::main(vec![
        case!(rotel_receives_every_turn, COLLECTOR),
        case!(a_collector_that_is_away_for_a_minute_costs_what_is_beyond_the_queue, COLLECTOR),
        case!(a_slow_collector_costs_nothing_that_fits_the_queue, COLLECTOR),
        case!(a_collector_that_refuses_costs_counted_spans, COLLECTOR),
        case!(a_collector_that_never_answers_costs_counted_spans, COLLECTOR),
        case!(a_collector_that_breaks_its_tls_costs_counted_spans, TLS),
    ])
}

/// Two programs that talk to each other, an agent that makes spans of them and of nobody else, and what a collector got of it:
/// how many spans there are is known from outside.
struct Scene<'a> {
    agent: Node<'a>,
    talk: [Program; 2],
    books: PathBuf,
    /// Spans that were made since there is a collector.
    made: u64,
}

impl<'a> Scene<'a> {
    /// With a collector that writes into `books` already.
    fn new(netns: &'a Netns, folder: &Path, endpoint: &str, queue: &str, more: &str) -> Self {
        let python = folder.join(PROGRAM);
        let start = |args: &[&str]| {
            let script = load::script_path("halves.py");
            Program::start(netns.command(&python).arg("-u").arg(script).args(args))
        };
        let talk = [start(&["call"]), start(&["serve", "8001"])];
        talk[1].json();
        let config = format!(
            "agent:
  kubernetes: {{enabled: false}}
  budget: null
  depth: counters
  selectors: [{{executable: '{}', depth: turns}}]
  sampling: {{rate_per_second: 100000}}
export:
  metrics: {{interval: 100ms}}
  otlp: {{endpoint: '{endpoint}', queue_bytes: {queue}, shutdown_timeout: 2s{more}}}
",
            python.display()
        );
        let agent = Node::start_exporting(netns, &config, &[]);
        let mut scene = Self { agent, talk, books: books(folder), made: 0 };
        scene.become_known();
        scene
    }

    fn ask(&mut self, what: &str) {
        self.talk[0].say(what);
        self.talk[0].json();
    }

    /// A connection from its beginning to its end.
    fn round(&mut self) {
        self.ask("open 127.0.0.1 8001 1");
        self.ask(&format!("turns {TURNS}"));
        self.ask("close");
        self.made += ROUND;
    }

    fn rounds(&mut self, count: u64) {
        (0..count).for_each(|_| self.round());
    }

    /// Plays until both programs are followed from a connection's first turn on.
    fn become_known(&mut self) {
        wait_for("both ends to be followed", || {
            let before = self.arrived();
            self.round();
            // What isn't told within some looks at everything won't be.
            let since = Instant::now();
            wait_for("this round to be told, or not", || {
                let told = self.arrived() == before + ROUND;
                (told || since.elapsed() > Duration::from_secs(3)).then_some(told)
            })
            .then_some(())
        });
        self.made = self.arrived();
        self.rounds(1);
        self.delivered();
    }

    /// Different spans that the collector has.
    fn arrived(&self) -> u64 {
        let rows = collector::received(&self.books);
        let spans = rows.iter().filter(|row| row["signal"] == "span");
        spans.map(|row| row["span_id"].as_str().expect("an id")).collect::<BTreeSet<_>>().len() as u64
    }

    /// Spans that the agent counts as lost, now.
    fn counted(&self) -> u64 {
        sum(&self.agent.metrics(), "tracenet_agent_events_lost_total", &[("source", "export")]) as u64
    }

    /// Waits until the collector has everything, and the agent knows.
    fn delivered(&self) {
        wait_for("every span to arrive", || (self.arrived() >= self.made).then_some(()));
        wait_for("the last answer", || {
            let exported = sum(&self.agent.metrics(), "otel_sdk_exporter_span_exported_total", &[]);
            (exported as u64 >= self.made).then_some(())
        });
        assert_eq!((self.arrived(), self.counted()), (self.made, 0));
    }

    /// Ends the agent: how many spans were lost. Those that it says were delivered are those that the collector has, and both
    /// together are those that were made.
    fn lost(self) -> u64 {
        let (books, made) = (self.books, self.made);
        let ended = self.agent.stop();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let rows = collector::received(&books);
        let spans = rows.iter().filter(|row| row["signal"] == "span");
        let ids: Vec<&str> = spans.map(|row| row["span_id"].as_str().expect("an id")).collect();
        let arrived = ids.iter().collect::<BTreeSet<_>>().len() as u64;
        let (lost, sent) = told(&ended).unwrap_or((0, arrived));
        println!("{made} spans made, {arrived} arrived, {lost} counted as lost");
        assert_eq!(sent, arrived, "{}", ended.stderr);
        assert_eq!(arrived + lost, made, "{}", ended.stderr);
        // A collector's trouble is told once, not with each request.
        assert!(ended.stderr.lines().count() < 8, "{}", ended.stderr);
        lost
    }
}

fn books(folder: &Path) -> PathBuf {
    folder.join("received")
}

/// Spans that the end line says were lost, and delivered; there is one only where some were lost.
fn told(ended: &Ended) -> Option<(u64, u64)> {
    let line = ended.stderr.lines().find(|l| l.contains("spans were not exported"))?;
    let mut numbers =
        line.split(|c: char| !c.is_ascii_digit()).filter(|w| !w.is_empty()).filter_map(|w| w.parse().ok());
    let mut next = || numbers.next().unwrap_or_else(|| panic!("two numbers: {line}"));
    Some((next(), next()))
}

fn http() -> String {
    format!("http://127.0.0.1:{HTTP}")
}

/// A program that nobody else runs.
const PROGRAM: &str = "talk";

/// With the program in it. Not to be called while another thread starts programs: what is written just then can't be run
/// (ETXTBSY, execve(2)).
fn temporary() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy("/usr/bin/python3", folder.path().join(PROGRAM)).expect("a copy");
    folder
}

fn rotel_receives_every_turn() {
    let netns = Netns::new("collected");
    let folder = temporary();
    let _behind = collector::start(&netns, &books(folder.path()), 0, BEHIND);
    let _rotel = collector::start_rotel(&netns, BEHIND);
    let mut scene = Scene::new(&netns, folder.path(), &format!("http://127.0.0.1:{GRPC}"), ROOMY, "");
    scene.rounds(25);
    scene.delivered();
    assert_eq!(scene.lost(), 0);
}

/// Plays while the collector is gone and until it has come back; returns what was lost.
fn away(folder: &TempDir, role: &str, port: u16, queue: &str) -> u64 {
    let netns = Netns::new(role);
    let mut first = collector::start(&netns, &books(folder.path()), GRPC, HTTP);
    let mut scene = Scene::new(&netns, folder.path(), &format!("http://127.0.0.1:{port}"), queue, "");
    first.signal(Signal::SIGKILL);
    first.wait();
    let (before, since) = (scene.arrived(), Instant::now());
    let mut next = Duration::ZERO;
    while since.elapsed() < AWAY {
        scene.round();
        next += Duration::from_millis(200);
        wait_for("the next connection's time", || (since.elapsed() >= next).then_some(()));
    }
    assert_eq!(scene.arrived(), before, "there is nobody");
    let _second = collector::start(&netns, &books(folder.path()), GRPC, HTTP);
    scene.rounds(5);
    wait_for("every span to be delivered or counted", || {
        (scene.arrived() + scene.counted() >= scene.made).then_some(())
    });
    assert!(scene.arrived() > before, "what waited, and what came after");
    scene.lost()
}

fn a_collector_that_is_away_for_a_minute_costs_what_is_beyond_the_queue() {
    let folders = [temporary(), temporary()];
    let [roomy, tight] = std::thread::scope(|scope| {
        let over_grpc = scope.spawn(|| away(&folders[0], "away-grpc", GRPC, ROOMY));
        let over_http = scope.spawn(|| away(&folders[1], "away-http", HTTP, TIGHT));
        [over_grpc, over_http].map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    assert_eq!(roomy, 0, "it all fits");
    assert!(tight > 0, "it doesn't fit");
}

fn a_slow_collector_costs_nothing_that_fits_the_queue() {
    let netns = Netns::new("slow");
    let folder = temporary();
    let mut collector = collector::start(&netns, &books(folder.path()), GRPC, HTTP);
    let mut scene = Scene::new(&netns, folder.path(), &http(), ROOMY, "");
    behave(&mut collector, "slow 0.3");
    scene.rounds(25);
    // At once: what hasn't been sent yet is sent at the end.
    assert_eq!(scene.lost(), 0);
}

/// What is made while the collector behaves so is counted as lost, at the latest at the end.
fn costs(role: &str, manner: &str) {
    let netns = Netns::new(role);
    let folder = temporary();
    let mut collector = collector::start(&netns, &books(folder.path()), GRPC, HTTP);
    let mut scene = Scene::new(&netns, folder.path(), &http(), TIGHT, ", timeout: 500ms");
    let before = scene.made;
    behave(&mut collector, manner);
    scene.rounds(50);
    let during = scene.made - before;
    wait_for("the losses to be counted", || (scene.counted() > during / 4).then_some(()));
    let counted = scene.counted();
    let lost = scene.lost();
    assert_eq!(lost, during, "nothing is delivered");
    assert!(counted <= lost);
}

fn a_collector_that_refuses_costs_counted_spans() {
    costs("refuses", "refuse");
}

fn a_collector_that_never_answers_costs_counted_spans() {
    costs("silent", "silent");
}

fn a_collector_that_breaks_its_tls_costs_counted_spans() {
    let netns = Netns::new("broken");
    let folder = temporary();
    collector::certificate(folder.path());
    let mut collector = collector::start_behind_tls(&netns, &books(folder.path()), folder.path());
    let trusted = format!(", tls: {{ca_file: '{}'}}", folder.path().join("cert.pem").display());
    let mut scene = Scene::new(&netns, folder.path(), &format!("https://127.0.0.1:{HTTP}"), TIGHT, &trusted);
    // What fits the queue outlives both; what doesn't is lost.
    behave(&mut collector, "cut");
    scene.rounds(2);
    assert_eq!(scene.counted(), 0);
    behave(&mut collector, "garble");
    scene.rounds(50);
    wait_for("losses to be counted", || (scene.counted() > 0).then_some(()));
    behave(&mut collector, "well");
    wait_for("every span to be delivered or counted", || {
        (scene.arrived() + scene.counted() >= scene.made).then_some(())
    });
    assert!(scene.lost() > 0);
}
