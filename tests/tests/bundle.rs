//! The flight recorder: what goes wrong leaves a bundle that Wireshark, strace's readers and OTLP's readers can read,
//! and that tells the same as the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tracenet_tests::agent::{Agent, Story, command};
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::netns::{Netns, Pair, stdout_of};
use tracenet_tests::program::Program;
use tracenet_tests::{case, collector, load, wait_for};

const NEEDS: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("nft"), Need::Tool("tshark"), Need::Venv];

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_drop_leaves_a_bundle_that_everybody_can_read, NEEDS),
        case!(a_signal_makes_a_bundle_too_but_not_twice, LAB),
        case!(a_slow_turn_and_a_reset_are_triggers_too, LAB),
        case!(a_ring_that_is_too_small_keeps_the_names_and_the_newest, LAB),
        case!(what_cannot_be_written_is_said_once_and_the_run_goes_on, LAB),
    ])
}

/// Two namespaces, a server that loses some of what comes in, and a client.
struct Scene {
    pair: Pair,
    server: Program,
    client: Program,
    folder: TempDir,
}

impl Scene {
    fn new(rule: &str, connections: u64, turns: u64, size: u64) -> Self {
        let pair = Pair::new();
        if !rule.is_empty() {
            pair.server.lose_incoming(rule);
        }
        let address = format!("{}:8001", Pair::SERVER);
        let server = load::serve(&pair.server, &address);
        let client = load::client(&pair.client, &address, connections, turns, (size, size), 3);
        Self { pair, server, client, folder: tempdir().expect("a folder") }
    }

    fn attach(&self, size: &str, options: &[&str]) -> Agent {
        let mut all = vec!["--recorder", size, "--recorder-dir", self.folder.path().to_str().expect("ASCII")];
        all.extend(options);
        Agent::attach(&[self.client.pid(), self.server.pid()], &all)
    }

    fn play(&mut self) {
        self.client.say("go");
        load::books(&self.client.json(), "local");
        self.pair.settle();
    }

    /// The bundles, by the order of their names, which is that of time.
    fn bundles(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .expect("the folder can be read")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        all.sort();
        all
    }
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn tshark(folder: &Path, options: &[&str]) -> String {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(folder.join("packets.pcapng"))
        .args(options)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    stdout_of("tshark", options, output)
}

fn tracenet(what: &str, file: &Path, options: &[&str]) -> String {
    let done = command().arg(what).arg(file).args(options).output().expect("tracenet runs");
    stdout_of(what, options, done)
}

fn a_drop_leaves_a_bundle_that_everybody_can_read() {
    // Data that come in at the server: not the handshakes.
    let mut scene = Scene::new("tcp dport 8001 ip length > 500 numgen inc mod 25 == 7", 3, 40, 2_000);
    let agent = scene.attach("16MiB", &["--slow", "150ms", "-s", "64"]);
    scene.play();
    let dropped = scene.pair.server.nft_counters()["lost"].packets;
    let story = agent.stop();
    assert!(dropped > 0, "nothing was dropped");
    let bundles = scene.bundles();
    let folder = bundles.first().expect("a bundle");
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.starts_with("tracenet-20") && name.ends_with("Z-drop"), "{name}");
    assert!(story.stderr.contains(&format!("recorder: wrote {}", folder.display())), "{}", story.stderr);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    let files: BTreeSet<String> = fs::read_dir(folder)
        .expect("it can be read")
        .map(|entry| {
            let entry = entry.expect("an entry");
            assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
            entry.file_name().into_string().expect("ASCII")
        })
        .collect();
    let all =
        ["counters.json", "events.tnrec", "explanation.txt", "packets.pcapng", "spans.json", "syscalls.txt"];
    assert_eq!(files, all.map(str::to_owned).into());

    // Packets: what was sent again, and whose it is.
    let again = tshark(folder, &["-Y", "tcp.analysis.retransmission || tcp.analysis.fast_retransmission"]);
    assert!(!again.is_empty(), "no retransmission in {}", tshark(folder, &[]));
    let comments = tshark(folder, &["-T", "fields", "-e", "frame.comment"]);
    let owner = format!("pid={} comm=load conn=c", scene.client.pid());
    assert!(comments.lines().filter(|c| c.contains(&owner)).count() > 20, "{comments}");

    strace_reads(&text(folder, "syscalls.txt"));
    otlp_reads(&folder.join("spans.json"));

    let explanation = text(folder, "explanation.txt");
    assert!(explanation.contains("loss, repaired by"), "{explanation}");
    assert!(explanation.contains("NETFILTER_DROP at nft_do_chain, "), "{explanation}");
    assert!(explanation.contains("\nfrozen by: drop on c"), "{explanation}");
    let again = tracenet("explain", &folder.join("events.tnrec"), &["--slow", "150ms"]);
    assert!(explanation.starts_with(&again), "{again}\n--- is not the beginning of\n{explanation}");

    let counters: Value = serde_json::from_str(&text(folder, "counters.json")).expect("JSON");
    let counters = counters["counters"].as_array().expect("an array");
    let again: i64 = counters.iter().filter_map(|c| c["changes"]["TcpRetransSegs"].as_i64()).sum();
    let total: u64 = story.summary.connections.iter().map(|c| c.retransmits.total).sum();
    assert!(again > 0 && again.unsigned_abs() <= total, "{again} of {total}: {counters:?}");

    let drops = tracenet("replay", &folder.join("events.tnrec"), &["--json"]);
    let drops = drops.lines().filter(|line| line.contains(r#""kind":"drop""#)).count();
    assert!(drops > 0);
    // The slow turns, which the run told too; the last of a connection may have gone on.
    let (live, told) = (turns(&story), told_turns(folder));
    let over = |(conn, index): &(String, u64)| told.contains_key(&(conn.clone(), index + 1));
    let both: Vec<_> = live.iter().filter(|(name, _)| over(name)).collect();
    assert!(!both.is_empty(), "{live:?}\n{told:?}");
    for (name, parts) in both {
        assert_eq!(told.get(name), Some(parts), "{name:?}");
    }
}

/// `4711 08:34:51.123456 write(5, "..."..., 64) = 64`, as `strace -f -tt -o` writes it.
fn strace_reads(text: &str) {
    let mut transfers = 0;
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let [tid, time, call] = [words.next(), words.next(), words.next()].map(Option::unwrap_or_default);
        assert!(tid.parse::<u32>().is_ok(), "{line}");
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(shape, "99:99:99.999999", "{line}");
        let (name, rest) = call.split_once('(').unwrap_or_else(|| panic!("no call: {line}"));
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{line}");
        let (_, result) = rest.rsplit_once(" = ").unwrap_or_else(|| panic!("no result: {line}"));
        let number = match result.split(' ').next().unwrap_or_default() {
            "?" => continue,
            number => number.parse::<i64>().unwrap_or_else(|e| panic!("{e}: {line}")),
        };
        let moves = matches!(name, "read" | "write" | "recvfrom" | "sendto" | "recvmsg" | "sendmsg");
        transfers += u32::from(moves && number > 0);
    }
    assert!(transfers > 100, "{transfers} transfers in {text}");
}

/// Every line is a request that the official definitions know, without a field that they don't.
fn otlp_reads(file: &Path) {
    let code = "
import sys, json
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Traces
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest as Metrics
for line in open(sys.argv[1]):
    if 'resourceSpans' in json.loads(line):
        for r in Parse(line, Traces()).resource_spans:
            for s in r.scope_spans:
                for span in s.spans: print(span.name)
    else:
        Parse(line, Metrics())
";
    let output =
        Command::new(collector::python()).args(["-c", code]).arg(file).output().expect("python runs");
    let names = stdout_of("python", &[], output);
    let count = |name: &str| names.lines().filter(|n| *n == name).count();
    assert_eq!(count("TCP connection"), 2 * 3, "{names}");
    assert!(count("tcp request") > 6, "{names}");
}

/// A turn by connection and number: how long it took, in what parts.
type Turns = BTreeMap<(String, u64), Value>;

fn by_name(turns: impl Iterator<Item = Value>) -> Turns {
    turns
        .map(|turn| {
            let conn = turn["conn"].as_str().expect("a name").to_owned();
            ((conn, turn["index"].as_u64().expect("a number")), turn["parts"].clone())
        })
        .collect()
}

fn turns(story: &Story) -> Turns {
    by_name(story.kind("turn").into_iter())
}

fn told_turns(folder: &Path) -> Turns {
    let told = tracenet("explain", &folder.join("events.tnrec"), &["--json", "--slow", "0s"]);
    by_name(told.lines().map(|line| serde_json::from_str(line).expect("JSON")))
}

fn a_signal_makes_a_bundle_too_but_not_twice() {
    let mut scene = Scene::new("", 2, 30, 500);
    let agent = scene.attach("8MiB", &[]);
    scene.play();
    let pid = Pid::from_raw(i32::try_from(agent.pid()).expect("a pid"));
    kill(pid, Signal::SIGUSR1).expect("it lives");
    wait_for("the bundle", || agent.stderr().contains("recorder: wrote").then_some(()));
    kill(pid, Signal::SIGUSR1).expect("it goes on");
    let story = agent.stop();
    let bundles = scene.bundles();
    assert_eq!(bundles.len(), 1, "{bundles:?}");
    assert!(bundles[0].to_string_lossy().ends_with("-signal"), "{bundles:?}");
    assert!(
        story.stderr.contains(
            "recorder: 1 bundle written, 0 failed, 0 left out while another was written; 1 trigger"
        ),
        "{}",
        story.stderr
    );
    // Nothing was evicted: all turns are explained, as they were told live.
    let told = told_turns(&bundles[0]);
    assert_eq!(told.len(), 2 * 2 * 30);
    assert_eq!(told, turns(&story));
    let explanation = text(&bundles[0], "explanation.txt");
    assert!(explanation.contains("120 of 120 turns explained ("), "{explanation}");
    assert!(explanation.contains("\nfrozen by: signal at "), "{explanation}");
}

fn a_slow_turn_and_a_reset_are_triggers_too() {
    // Every turn takes longer, and nothing else happens.
    let mut scene = Scene::new("", 1, 5, 100);
    let agent = scene.attach("1MiB", &["--slow", "1us"]);
    scene.play();
    agent.stop();
    let bundles = scene.bundles();
    assert!(matches!(&bundles[..], [one] if one.to_string_lossy().ends_with("-slow")), "{bundles:?}");
    let explanation = text(&bundles[0], "explanation.txt");
    assert!(explanation.contains("10 of 10 turns explained ("), "{explanation}");
    assert!(explanation.contains("\nfrozen by: slow on c"), "{explanation}");

    let (netns, folder) = (Netns::new("reset"), tempdir().expect("a folder"));
    let code = "
import socket, struct
listener = socket.create_server(('127.0.0.1', 8001))
print('{}', flush=True)
connection, _ = listener.accept()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
connection.close()
";
    let mut server = Program::start(netns.command("python3").args(["-c", code]));
    server.json();
    let options = ["--recorder", "1MiB", "--recorder-dir", folder.path().to_str().expect("ASCII")];
    let agent = Agent::attach(&[server.pid()], &options);
    netns.run("bash", &["-c", "exec 3<>/dev/tcp/127.0.0.1/8001; cat <&3 || true"]);
    server.wait();
    agent.ended();
    let names: Vec<_> = fs::read_dir(folder.path()).expect("it can be read").flatten().collect();
    let [bundle] = &names[..] else { panic!("{names:?}") };
    assert!(bundle.file_name().to_string_lossy().ends_with("-reset"), "{names:?}");
    let calls = text(&bundle.path(), "syscalls.txt");
    assert!(calls.contains(" setsockopt(") && calls.contains("SO_LINGER"), "{calls}");
}

fn a_ring_that_is_too_small_keeps_the_names_and_the_newest() {
    let mut scene = Scene::new("", 6, 400, 2_000);
    let agent = scene.attach("1MiB", &[]);
    scene.play();
    let pid = Pid::from_raw(i32::try_from(agent.pid()).expect("a pid"));
    kill(pid, Signal::SIGUSR1).expect("it lives");
    wait_for("the bundle", || agent.stderr().contains("recorder: wrote").then_some(()));
    let story = agent.stop();
    let bundles = scene.bundles();
    let size = fs::metadata(bundles[0].join("events.tnrec")).expect("it is there").len();
    assert!(size < 1 << 20, "{size} bytes");
    let last = text(&bundles[0], "explanation.txt");
    let evicted = last.lines().last().and_then(|l| l.split("kept, ").nth(1)).expect("last words");
    assert!(!evicted.starts_with('0'), "nothing was evicted: {last}");
    let live: BTreeMap<String, SocketAddr> =
        story.summary.connections.iter().map(|c| (c.id.clone(), c.local)).collect();
    let told = tracenet("replay", &bundles[0].join("events.tnrec"), &["--json"]);
    let summary: Value = serde_json::from_str(told.lines().last().expect("a summary")).expect("JSON");
    let again: BTreeMap<String, SocketAddr> = summary["connections"]
        .as_array()
        .expect("connections")
        .iter()
        .map(|c| {
            let local = c["local"].as_str().and_then(|a| a.parse().ok()).expect("an address");
            (c["id"].as_str().expect("a name").to_owned(), local)
        })
        .collect();
    assert_eq!(again, live, "the same connections under the same names");
    // The newest turns of each, with the parts that they had live; the first may have lost its beginning.
    let (live, told) = (turns(&story), told_turns(&bundles[0]));
    assert!(told.len() > 20 && told.len() < live.len(), "{} of {}", told.len(), live.len());
    for conn in again.keys() {
        let parts = |turns: &Turns| -> Vec<Value> {
            turns.iter().filter(|((c, _), _)| c == conn).map(|(_, parts)| parts.clone()).collect()
        };
        let (live, told) = (parts(&live), parts(&told));
        let newest = told.len().saturating_sub(2);
        assert!(newest > 0, "{conn} has {} turns", told.len());
        let sums = |turns: &[Value]| turns.iter().map(sum).collect::<Vec<u64>>();
        assert_eq!(sums(&told[told.len() - newest..]), sums(&live[live.len() - newest..]), "{conn}");
    }
}

fn sum(parts: &Value) -> u64 {
    parts.as_object().expect("parts").values().map(|ns| ns.as_u64().expect("nanoseconds")).sum()
}

fn what_cannot_be_written_is_said_once_and_the_run_goes_on() {
    let mut scene = Scene::new("", 1, 5, 100);
    let file = scene.folder.path().join("file");
    fs::write(&file, "").expect("it can be written");
    let nowhere = file.join("below");
    let folder = tempdir().expect("a folder");
    let out = folder.path().join("out");
    let mut run = command();
    run.args(["attach", "-q", "--recorder", "1MiB", "--recorder-dir"]).arg(&nowhere).arg("-o").arg(&out);
    run.args(["-p", &scene.client.pid().to_string()]);
    let mut agent = Program::start(&mut run);
    agent.wait_for_stderr("attached to");
    agent.signal(Signal::SIGUSR1);
    agent.wait_for_stderr("cannot write the bundle");
    scene.play();
    agent.signal(Signal::SIGINT);
    assert_eq!(agent.wait().code(), Some(1));
    let stderr = agent.stderr();
    assert_eq!(stderr.matches("cannot write").count(), 1, "{stderr}");
    assert!(stderr.contains("recorder: 0 bundles written, 1 failed"), "{stderr}");
    let story = fs::read_to_string(&out).expect("the story is there");
    assert!(story.contains("1 connection in ") && story.contains("5 turns"), "{story}");
}
