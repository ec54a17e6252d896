//! The agent's configuration: changed while it runs, refused where it is wrong, and nothing that was counted is lost.

use std::process::ExitCode;

use nix::sys::signal::Signal;
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Netns;
use tracenet_tests::node::{EVERY_TURN, Node, Span, spans, sum};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, load, wait_for};

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_changed_file_takes_effect_and_counts_stay, LAB),
        case!(a_wrong_file_is_refused_with_its_place_and_the_old_one_stays, LAB),
        case!(a_new_endpoint_takes_over_and_the_old_one_gets_its_rest, LAB),
        case!(a_variable_wins_over_the_file_and_a_flag_over_both, LAB),
    ])
}

/// What both programs run under: nobody else on this machine does.
const NAME: &str = "reloaded";

/// A client and a server whose connections stay open.
struct Talk {
    client: Program,
    _server: Program,
    _folder: tempfile::TempDir,
    done: usize,
}

impl Talk {
    fn new(netns: &Netns) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let python = folder.path().join(NAME);
        let debians = std::fs::canonicalize("/usr/bin/python3").expect("Debian's python");
        std::fs::copy(debians, &python).expect("a copy");
        let script = |args: &[&str]| {
            let mut command = netns.command(&python);
            Program::start(command.arg("-u").arg(load::script_path("halves.py")).args(args))
        };
        let server = script(&["serve", "8001"]);
        server.json();
        let mut client = script(&["call"]);
        client.say("open 127.0.0.1 8001 2");
        client.json();
        Self { client, _server: server, _folder: folder, done: 0 }
    }

    /// One turn on each of the two connections.
    fn turn(&mut self) {
        self.client.say("turns 1");
        self.client.json();
        self.done += 2;
    }
}

fn turns(spans: Vec<Span>) -> usize {
    spans.iter().filter(|s| s.name == "tcp request" && s.resource["service.name"] == NAME).count()
}

/// Until the sums hold all that was said so far, and no more: four bytes each way in a turn, whatever is followed.
fn wait_for_count(agent: &Node<'_>, talk: &Talk) {
    let sent = || {
        let labels = [("network_io_direction", "transmit"), ("service_name", NAME)];
        sum(&agent.metrics(), "process_network_io_bytes_total", &labels)
    };
    let all = (8 * talk.done) as f64;
    wait_for("the sums to hold all turns", || (sent() >= all).then_some(()));
    assert_eq!(sent(), all);
}

fn a_changed_file_takes_effect_and_counts_stay() {
    let netns = Netns::new("calls");
    let counters = EVERY_TURN.replace("agent:\n", "agent:\n  depth: counters\n");
    let mut agent = Node::start(&netns, &counters);
    let mut talk = Talk::new(&netns);
    (0..10).for_each(|_| talk.turn());
    wait_for_count(&agent, &talk);
    assert_eq!(turns(agent.spans()), 0, "only sums are kept");

    // The file alone has changed: turns are told, of connections too that were there before.
    std::fs::write(agent.config(), EVERY_TURN).expect("the file can be written");
    agent.program().wait_for_stderr("the configuration was read again");
    wait_for("turns to be told", || {
        talk.turn();
        (turns(agent.spans()) > 0).then_some(())
    });
    wait_for_count(&agent, &talk);

    // SIGHUP, with a selector that takes this program out again.
    let selected = EVERY_TURN
        .replace("agent:\n", "agent:\n  selectors:\n  - {executable: 'reload*', depth: counters}\n");
    std::fs::write(agent.config(), selected).expect("the file can be written");
    agent.program().signal(Signal::SIGHUP);
    // Once sockets know of it there is nothing new for as long as there are turns.
    let mut told = turns(agent.spans());
    let mut quiet = 0;
    wait_for("turns to be told no longer", || {
        (0..5).for_each(|_| talk.turn());
        wait_for_count(&agent, &talk);
        let now = turns(agent.spans());
        quiet = if now == told { quiet + 1 } else { 0 };
        told = now;
        (quiet == 4).then_some(())
    });
    wait_for_count(&agent, &talk);
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("not exported"), "{}", ended.stderr);
}

fn a_wrong_file_is_refused_with_its_place_and_the_old_one_stays() {
    let netns = Netns::new("calls");
    let mut agent = Node::start(&netns, EVERY_TURN);
    let mut talk = Talk::new(&netns);
    std::fs::write(agent.config(), "agent:\n  sampling:\n    slow_quantile: 7\n")
        .expect("the file can be written");
    agent.program().signal(Signal::SIGHUP);
    let line = agent.program().wait_for_stderr("the configuration stays as it was");
    assert!(line.contains("agent.yaml:3:5: agent.sampling: 7 is out of range"), "line and column: {line}");
    wait_for("turns to be told as before", || {
        talk.turn();
        (turns(agent.spans()) > 0).then_some(())
    });
    // A file that is gone is told too, and one that is right again taken.
    let said = agent.program().stderr().len();
    std::fs::remove_file(agent.config()).expect("it is there");
    wait_for("the loss to be told", || {
        agent.program().stderr()[said..].contains("stays as it was").then_some(())
    });
    std::fs::write(agent.config(), EVERY_TURN).expect("the file can be written");
    agent.program().wait_for_stderr("the configuration was read again");
    assert_eq!(agent.stop().code, 0);
}

fn a_new_endpoint_takes_over_and_the_old_one_gets_its_rest() {
    let netns = Netns::new("calls");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let config = |name: &str| {
        EVERY_TURN.replace(
            "export:\n",
            &format!("export:\n  otlp: {{endpoint: 'file:{}'}}\n", file(name).display()),
        )
    };
    let mut agent = Node::start_exporting(&netns, &config("first"), &[]);
    let mut talk = Talk::new(&netns);
    (0..10).for_each(|_| talk.turn());
    wait_for_count(&agent, &talk);
    std::fs::write(agent.config(), config("second")).expect("the file can be written");
    agent.program().wait_for_stderr("the configuration was read again");
    (0..10).for_each(|_| talk.turn());
    wait_for_count(&agent, &talk);
    let done = talk.done;
    talk.client.say("close");
    talk.client.json();
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (first, second) = (turns(spans(&file("first"))), turns(spans(&file("second"))));
    assert!(first > 0 && second > 0, "{first} turns in the first file, {second} in the second");
    // Both ends of each connection, none of them twice.
    assert_eq!(first + second, 2 * done);
}

/// Of what the file, the environment and the command line name as the place for spans, one is written to.
fn a_variable_wins_over_the_file_and_a_flag_over_both() {
    let netns = Netns::new("winner");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| format!("file:{}", folder.path().join(name).display());
    let config = format!("{EVERY_TURN}  otlp: {{endpoint: '{}'}}\n", place("file"));
    let file = folder.path().join("tracenet.yaml");
    std::fs::write(&file, &config).expect("the folder can be written");
    let written = || {
        let all = ["file", "variable", "flag"].into_iter();
        let all: Vec<_> = all.filter(|name| std::fs::remove_file(folder.path().join(name)).is_ok()).collect();
        all.join(" ")
    };
    for (variable, flag, winner) in [
        (None, None, "file"),
        // An empty one is as good as none (OpenTelemetry, "SDK environment variables").
        (Some(String::new()), None, "file"),
        (Some(place("variable")), None, "variable"),
        (Some(place("variable")), Some(place("flag")), "flag"),
    ] {
        let flags: Vec<&str> = flag.iter().flat_map(|url| ["--otlp", url]).collect();
        let by = |command: &mut std::process::Command| {
            command.envs(variable.iter().map(|url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url)));
        };
        let mut command = netns.command(agent::binary());
        by(&mut command);
        let ended = Node::start_exporting_as(&netns, command, &config, &flags).stop();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(written(), winner, "agent, {variable:?} {flag:?}");

        let mut command = agent::command();
        by(&mut command);
        command.args(["run", "-q", "-i", "none", "--config"]).arg(&file).args(&flags).args(["--", "true"]);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(written(), winner, "run, {variable:?} {flag:?}");
    }
}
