//! What others choose to be read: names, requests, configurations, answers. None of it is obeyed, by a terminal, a scraper or
//! the agent itself; and what is nobody's business is not told on.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use tracenet_tests::agent;
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::host::HostAgent;
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{case, load, wait_for};

const PROMTOOL: &[Need] =
    &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("promtool"), Need::Tool("python3")];

/// What must not be told on.
const SECRET: &str = "correct-horse-battery";

fn main() -> ExitCode {
    harness::main(vec![
        case!(names_are_shown_and_not_obeyed, LAB),
        case!(what_is_recorded_is_not_obeyed_when_it_is_shown, LAB),
        case!(an_executables_name_breaks_no_scrape, PROMTOOL),
        case!(a_bomb_of_yaml_is_refused, &[]),
        case!(a_bad_configuration_changes_nothing_in_a_running_agent, LAB),
        case!(a_collector_that_talks_nonsense_costs_only_counted_spans, LAB),
        case!(secrets_are_not_exported, LAB),
        case!(files_are_their_owners_alone, LAB),
        case!(nothing_listens_but_what_was_asked_for, LAB),
    ])
}

fn path(file: &Path) -> &str {
    file.to_str().expect("UTF-8")
}

/// No byte that a terminal obeys: C0 but for the end of a line and the tabulator, DEL, and C1.
fn assert_tame(what: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if let Some(at) = text.find(|c: char| c.is_control() && c != '\n' && c != '\t') {
        let around: String =
            text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{what}: {:?} is let through after {around:?}", text[at..].chars().next());
    }
}

fn assert_tame_output(what: &str, output: &Output) {
    assert_tame(what, &output.stdout);
    assert_tame(what, &output.stderr);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{what}");
}

/// The hostile program, ready.
fn hostile(netns: &Netns) -> Program {
    let program = Program::start(
        load::script(netns, "hostile.py").args(["8080", SECRET, "--password", SECRET]).env("TOKEN", SECRET),
    );
    program.json();
    program
}

fn names_are_shown_and_not_obeyed() {
    let netns = Netns::new("names");
    for options in [
        &["-f"][..],
        &["-y", "-v", "-e", "trace=all"],
        &["--strace", "-yy", "-e", "trace=all"],
        &["-q"],
        &["--slow", "1us"],
    ] {
        let mut target = hostile(&netns);
        let mut command = agent::command();
        command.args(["attach", "-p", &target.pid().to_string()]).args(options);
        let mut agent = Program::start(&mut command);
        // strace says "Process 1234 attached".
        agent.wait_for_stderr("attached");
        target.say("go");
        target.json();
        target.finish();
        let lines = agent.remaining_lines().join("\n");
        agent.wait();
        let error = agent.stderr();
        assert_tame(&format!("attach {options:?}, standard output"), lines.as_bytes());
        assert_tame(&format!("attach {options:?}, standard error"), error.as_bytes());
        // The name is there all the same, and can be told.
        let told = ["[31m", "33[2J"].iter().any(|n| lines.contains(n) || error.contains(n));
        assert!(options.contains(&"-q") || told, "{options:?}: {lines}{error}");
    }
    let mut target = hostile(&netns);
    let pid = target.pid().to_string();
    for words in [
        &["sockets", "-tunap", "--all-netns"][..],
        &["whois", &pid],
        &["stats", "-p", &pid, "1", "1"],
        &["top", "--once", "--interval", "300ms"],
    ] {
        let output = agent::command().args(words).output().expect("tracenet starts");
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_tame_output(&format!("{words:?}"), &output);
    }
    target.say("go");
    target.json();
}

fn what_is_recorded_is_not_obeyed_when_it_is_shown() {
    let netns = Netns::new("recorded");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let mut target = hostile(&netns);
    let mut command = agent::command();
    command.args(["attach", "-q", "-p", &target.pid().to_string()]);
    command.arg("--record").arg(file("run.tnrec")).arg("-w").arg(file("run.pcapng"));
    let mut agent = Program::start(&mut command);
    agent.wait_for_stderr("attached to");
    target.say("go");
    target.json();
    target.finish();
    agent.wait();
    let (recording, capture) = (file("run.tnrec"), file("run.pcapng"));
    let (recording, capture) = (path(&recording), path(&capture));
    for words in [
        &["replay", recording][..],
        &["explain", recording, "--slow", "1us"],
        &["analyze", capture],
        &["analyze", "--packets", capture],
        &["analyze", "--follow", "0", capture],
        &["analyze", "--turns", capture],
        &["analyze", "--connections", capture],
        &["analyze", "--expert", capture],
        &["analyze", "--flow-graph", "0", capture],
        &["analyze", "--turns", "--format", "tsv", capture],
    ] {
        let output = agent::command().args(words).output().expect("tracenet starts");
        assert_tame_output(&words[..words.len() - 1].join(" "), &output);
        assert!(!output.stdout.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn an_executables_name_breaks_no_scrape() {
    let netns = Netns::new("scrape");
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Within what a file name may be; of a process's name the kernel keeps 15 bytes.
    let program = folder.path().join("a\"b\nc\\} 1\x1b[31m<b>");
    std::fs::copy(load::storm_path(), &program).expect("a copy");
    let agent = HostAgent::start("");
    let mut server = load::storm(&netns, &["accept", "127.0.0.1:8001"]);
    server.say("go");
    server.json();
    let mut client = Program::start(netns.command(&program).args(["connections", "127.0.0.1:8001", "20"]));
    client.json();
    client.say("go");
    client.json();
    let mut text = String::new();
    wait_for("the metrics of the program", || {
        text = agent.get("/metrics").expect("the endpoint answers").1;
        text.contains("a\\\"b\\nc").then_some(())
    });
    for line in text.lines() {
        assert!(
            line.starts_with('#')
                || line.starts_with("tracenet_")
                || line.starts_with("target_info")
                || line.starts_with("process_")
                || line.starts_with("otel_")
                || line.starts_with("system_"),
            "{line:?}"
        );
    }
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    check.stdin.take().expect("piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = check.wait_with_output().expect("promtool ends");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    // 3: names that it would choose otherwise.
    assert!(
        matches!(output.status.code(), Some(0 | 3)) && !said.contains("error while linting"),
        "{said}\n{text}"
    );
    assert_tame("/metrics", text.as_bytes());
    let (status, error, _) = agent.stop();
    assert!(status.success(), "{status}: {error}");
    assert_tame("standard error", error.as_bytes());
}

/// Nine times nine times ... nothing: a gigabyte, if somebody counts it out.
fn bomb() -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..10 {
        let one = format!("*a{}", n - 1);
        let line = [one.as_str(); 9].join(", ");
        text += &format!("a{n}: &a{n} [{line}]\n");
    }
    text + "targets: {pids: *a9}\n"
}

fn a_bomb_of_yaml_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let deep = "[".repeat(200_000);
    let long = format!("capture: {{filter: '{}'}}\nx: 1\n", "a".repeat(20 << 20));
    let selectors =
        format!("agent:\n  selectors:\n    - {bomb}\n", bomb = "pod_labels: &a {x: y}\n    - pod_labels: *a");
    for (name, text, code) in [
        ("bomb", bomb(), 2),
        ("deep", deep, 2),
        ("long", long, 2),
        ("binary", "\u{0}\u{1}\u{2}\u{fffe}".into(), 2),
        ("escapes", "no_\u{85}such: 1\n\"\\e[31m\": 2\n".into(), 2),
        ("an alias", selectors, 0),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a writable folder");
        let begun = Instant::now();
        // 512 MB of address space are enough to say no.
        let script = "ulimit -v 524288; exec \"$0\" config check \"$1\"";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(agent::binary()).arg(&file);
        agent::clean_environment(&mut command);
        let output = command.output().expect("sh starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {error}");
        assert!(begun.elapsed().as_secs() < 10, "{name}: {:?}", begun.elapsed());
        assert!(error.len() < 2_000, "{name}: {} bytes of error", error.len());
        assert_tame_output(name, &output);
    }
}

fn a_bad_configuration_changes_nothing_in_a_running_agent() {
    let mut agent = HostAgent::start("");
    for text in [bomb(), "agent: {no_such: 1}\n".into(), "agent: {listen: 3}\n".into(), "\u{1b}[31m".into()] {
        let before = agent.stderr().matches("stays as it was").count();
        std::fs::write(agent.config(), text).expect("a writable file");
        agent.signal(Signal::SIGHUP);
        wait_for("the agent to refuse it", || {
            (agent.stderr().matches("stays as it was").count() > before).then_some(())
        });
        assert!(agent.is_running());
        assert!(agent.get("/livez").expect("it answers").0.contains(" 200 "));
    }
    assert_tame("standard error", agent.stderr().as_bytes());
    std::fs::remove_file(agent.config()).expect("it is there");
    agent.signal(Signal::SIGHUP);
    wait_for("the agent to miss its file", || agent.stderr().contains("cannot be read").then_some(()));
    let (status, error, _) = agent.stop();
    assert!(status.success(), "{status}: {error}");
}

/// Answers everybody with the same bytes and closes.
fn nonsense(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 65536]);
            let _ = stream.write_all(answer);
        }
    });
    port
}

fn a_collector_that_talks_nonsense_costs_only_counted_spans() {
    let netns = Netns::new("nonsense");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("patience.yaml");
    std::fs::write(&config, "export: {otlp: {shutdown_timeout: 300ms}}\n").expect("a writable folder");
    for answer in [
        &b"\x1b[2J\x07\0\xff\xfe nonsense"[..],
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n\xff\xff\xff",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"HTTP/1.1 400 \x1b[31mNo\r\nContent-Length: 8\r\n\r\n\x1b[31mbad",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"\0\0\xff\x04\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        for protocol in ["http/protobuf", "grpc"] {
            let url = format!("http://127.0.0.1:{}", nonsense(answer));
            let _server = load::serve(&netns, "127.0.0.1:8001");
            let mut client = load::client(&netns, "127.0.0.1:8001", 3, 30, (100, 100), 5);
            let mut command = agent::command();
            command.args(["attach", "-q", "--json", "-e", "trace=none", "--otlp", &url, "--config", path(&config)]);
            command.args(["-p", &client.pid().to_string()]);
            command.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol).env("OTEL_EXPORTER_OTLP_TIMEOUT", "2000");
            let mut agent = Program::start(&mut command);
            agent.wait_for_stderr("attached to");
            client.say("go");
            client.json();
            client.finish();
            let summary = agent.remaining_lines().pop().expect("a summary");
            let status = agent.wait();
            let error = agent.stderr();
            let what = format!("{protocol}, {:?}", String::from_utf8_lossy(answer));
            assert_eq!(status.code(), Some(0), "{what}: {error}");
            assert!(!error.contains("panicked"), "{what}: {error}");
            assert_tame(&what, error.as_bytes());
            let summary: serde_json::Value = serde_json::from_str(&summary).expect("JSON");
            assert_eq!(summary["connections"].as_array().map(Vec::len), Some(3), "{what}");
            // 200 OK is an answer, whatever the body; all else is a loss.
            let lost = summary["lost"]["export"].as_u64().expect("a number");
            if protocol == "grpc" || !answer.starts_with(b"HTTP/1.1 200") {
                assert!(lost >= 3 * 30, "{what}: {lost} lost: {error}");
            }
        }
    }
}

fn secrets_are_not_exported() {
    let netns = Netns::new("secrets");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let agent = HostAgent::start("sampling: {rate_per_second: 100000}");
    let mut target = hostile(&netns);
    let file = folder.path().join("otlp.jsonl");
    let mut command = agent::command();
    command.args(["attach", "-q", "-f", "-p", &target.pid().to_string()]);
    command.arg("--otlp").arg(format!("file:{}", file.display()));
    let mut attached = Program::start(&mut command);
    attached.wait_for_stderr("attached to");
    target.say("go");
    target.json();
    let mut metrics = String::new();
    wait_for("the program's metrics", || {
        metrics = agent.get("/metrics").expect("the endpoint answers").1;
        metrics.contains("python").then_some(())
    });
    target.finish();
    let story = attached.remaining_lines().join("\n");
    attached.wait();
    let spans = std::fs::read_to_string(&file).expect("the spans");
    let (status, error, requests) = agent.stop();
    assert!(status.success(), "{error}");
    let wide = requests.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(spans.contains("GET") && wide.contains("python"), "there is something to look at");
    for (what, text) in [
        ("attach's spans", &spans),
        ("its summary", &story),
        ("the agent's export", &wide),
        ("/metrics", &metrics),
        ("its log", &error),
    ] {
        assert!(!text.contains(SECRET), "{what} tells it");
    }
}

fn files_are_their_owners_alone() {
    let netns = Netns::new("files");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut target = hostile(&netns);
    // Nobody is asked to hold back: the mask takes nothing away.
    let script = "umask 0; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(agent::binary()).args(["attach", "-p", &target.pid().to_string()]);
    command.args([
        "-o",
        "story",
        "-w",
        "packets.pcapng",
        "--record",
        "run.tnrec",
        "--otlp",
        "file:otlp.jsonl",
    ]);
    command.args(["--recorder", "1MiB", "--recorder-dir", "bundles", "--slow", "1us"]);
    std::fs::create_dir(folder.path().join("bundles")).expect("a folder");
    agent::clean_environment(&mut command);
    let mut agent = Program::start(command.current_dir(folder.path()));
    agent.wait_for_stderr("attached to");
    target.say("go");
    target.json();
    target.finish();
    agent.wait();
    let stats =
        agent::command().args(["stats", "1", "1", "-o", "day.tnsar"]).current_dir(folder.path()).output();
    assert!(stats.expect("tracenet starts").status.success());
    let mut files = Vec::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).expect("a folder").flatten() {
            let mode = entry.metadata().expect("it is there").permissions().mode() & 0o777;
            if entry.path().is_dir() {
                if entry.file_name() != "bundles" {
                    assert_eq!(mode, 0o700, "{}", entry.path().display());
                }
                folders.push(entry.path());
            } else {
                assert_eq!(mode, 0o600, "{}", entry.path().display());
                files.push(entry.file_name().into_string().expect("UTF-8"));
            }
        }
    }
    for name in ["story", "packets.pcapng", "run.tnrec", "otlp.jsonl", "day.tnsar", "explanation.txt"] {
        assert!(files.iter().any(|file| file == name), "{name} is not among {files:?}");
    }
}

/// What a process listens on or is bound to, as ss sees it.
fn listens(pid: u32) -> Vec<String> {
    let output = Command::new("ss").args(["-Hltuxwnp"]).output().expect("ss starts");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| line.contains(&format!("pid={pid},"))).map(str::to_owned).collect()
}

fn nothing_listens_but_what_was_asked_for() {
    let netns = Netns::new("listens");
    let target = Program::start(netns.command("cat").arg("-"));
    let attached = agent::Agent::attach(&[target.pid()], &[]);
    assert!(listens(attached.pid()).is_empty(), "{:?}", listens(attached.pid()));
    let agent = HostAgent::start("");
    let all = listens(agent.pid());
    assert!(all.len() == 1 && all[0].contains(agent.address()), "{all:?}");
    let silent = HostAgent::start("listen: null");
    assert!(listens(silent.pid()).is_empty(), "{:?}", listens(silent.pid()));
    // And by default on the loopback alone.
    let output = agent::command().args(["config", "example"]).output().expect("tracenet starts");
    assert!(String::from_utf8_lossy(&output.stdout).contains("listen: 127.0.0.1:9464"));
}
