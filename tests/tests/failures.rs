//! What goes wrong ends with the documented exit code and one line that names the cause and the remedy, and never
//! harms the traced process.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use tracenet_tests::agent::{self, Agent, assert_one_line};
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::program::Program;
use tracenet_tests::{case, load};

const CAPSH: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("capsh")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(usage_errors_exit_with_2, &[]),
        case!(a_pid_that_does_not_exist_exits_with_4, LAB),
        case!(without_cap_bpf_it_exits_with_3_and_the_remedy, CAPSH),
        case!(doctor_tells_what_is_missing, CAPSH),
        case!(doctor_lists_every_hook, LAB),
        case!(a_read_only_output_file_exits_with_1, LAB),
        case!(a_full_disk_exits_with_1_and_leaves_the_target_alone, LAB),
        case!(a_closed_standard_output_ends_quietly, LAB),
        case!(run_passes_the_commands_status_on, LAB),
        case!(run_says_when_the_command_cannot_be_started, LAB),
        case!(a_target_that_exits_ends_the_story, LAB),
        case!(one_of_two_targets_may_exit, LAB),
        case!(a_killed_agent_leaves_nothing_behind, LAB),
        case!(configuration_is_checked, &[]),
        case!(a_wrong_filter_or_interface_is_named, LAB),
    ])
}

fn run(args: &[&str]) -> Output {
    agent::command().args(args).output().expect("tracenet starts")
}

/// An idle process to attach to.
fn idle(netns: &Netns) -> Program {
    Program::start(netns.command("cat").arg("-"))
}

fn usage_errors_exit_with_2() {
    let own = std::process::id().to_string();
    let own = own.as_str();
    for args in [
        &["attach"][..],
        &["attach", "--pid", "x"],
        &["attach", "--pid", "0"],
        &["attach", "--pid", own, "--duration", "soon"],
        &["attach", "--pid", own, "-e", "trace=no_such_call"],
        &["attach", "--pid", own, "--otlp", "ftp://x"],
        &["attach", "--pid", own, "--no-such-flag"],
        &["run"],
        &["no-such-command"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{args:?}");
    }
    for args in [&["--help"][..], &["--version"], &["attach", "--help"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
}

fn a_pid_that_does_not_exist_exits_with_4() {
    let mut gone = Command::new("true").spawn().expect("true starts");
    let pid = gone.id().to_string();
    gone.wait().expect("it ends");
    assert_one_line(&run(&["attach", "--pid", &pid]), 4, &[&pid]);
    // Also where another target exists: half a story is not what was asked for.
    let netns = Netns::new("idle");
    let target = idle(&netns);
    assert_one_line(&run(&["attach", "--pid", &target.pid().to_string(), "-p", &pid]), 4, &[&pid]);
}

fn without_caps(args: &str) -> Output {
    let script = format!("exec {} {args}", agent::binary().display());
    Command::new("capsh")
        .args(["--drop=cap_bpf,cap_sys_admin", "--", "-c", &script])
        .output()
        .expect("capsh starts")
}

fn without_cap_bpf_it_exits_with_3_and_the_remedy() {
    let netns = Netns::new("idle");
    let target = idle(&netns);
    let output = without_caps(&format!("attach --pid {}", target.pid()));
    assert_one_line(&output, 3, &["CAP_BPF"]);
    let output = without_caps("run -- true");
    assert_one_line(&output, 3, &["CAP_BPF"]);
}

fn doctor_tells_what_is_missing() {
    let output = without_caps("doctor");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("CAP_BPF"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{text}");
}

fn doctor_lists_every_hook() {
    let output = run(&["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for hook in ["sys_enter", "sys_exit", "tcp_retransmit_skb", "kfree_skb", "inet_sock_set_state"] {
        assert!(text.contains(hook), "no row for {hook}:\n{text}");
    }
    let output = run(&["doctor", "--json"]);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(row["schema"].as_str().is_some_and(|s| s.starts_with("tracenet.")), "{line}");
    }
}

/// A tmpfs that is unmounted with its value.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(options: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(folder.path()).output();
        let mount = mount.expect("mount starts");
        assert!(mount.status.success(), "{}", String::from_utf8_lossy(&mount.stderr));
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn path(file: &Path) -> &str {
    file.to_str().expect("UTF-8")
}

fn a_read_only_output_file_exits_with_1() {
    let disk = Tmpfs::new("ro");
    let netns = Netns::new("idle");
    let mut target = idle(&netns);
    let pid = target.pid().to_string();
    let file = disk.file("out");
    for option in ["-o", "-w"] {
        let output = run(&["attach", "--pid", &pid, option, path(&file)]);
        assert_one_line(&output, 1, &[path(&file), "ead-only"]);
    }
    let output = run(&["attach", "--pid", &pid, "--otlp", &format!("file:{}", file.display())]);
    assert_one_line(&output, 1, &[path(&file), "ead-only"]);
    let output = run(&["attach", "--pid", &pid, "-o", "/no/such/folder/out"]);
    assert_one_line(&output, 1, &["/no/such/folder/out"]);
    assert!(target.is_running());
}

fn a_full_disk_exits_with_1_and_leaves_the_target_alone() {
    for option in ["-o", "-w"] {
        let disk = Tmpfs::new("size=64k");
        let file = disk.file("full");
        let pair = Pair::new();
        let address = format!("{}:8001", Pair::SERVER);
        let _server = load::serve(&pair.server, &address);
        let mut client = load::client(&pair.client, &address, 4, 200, (1_000, 2_000), 1);
        let mut command = agent::command();
        command.args(["attach", "--json", "-p", &client.pid().to_string(), option, path(&file)]);
        let mut agent = Program::start(&mut command);
        agent.wait_for_stderr("attached to");
        client.say("go");
        // All of the load is done whatever happens to the agent.
        let books = load::books(&client.json(), "local");
        assert!(books.values().all(|b| b.turns == 200));
        client.finish();
        let status = agent.wait();
        let error = agent.stderr();
        assert_eq!(status.code(), Some(1), "{option}: {error}");
        let line =
            error.lines().find(|l| l.contains(path(&file))).unwrap_or_else(|| panic!("{option}: {error}"));
        assert!(line.contains("No space left"), "{option}: {line}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

fn a_closed_standard_output_ends_quietly() {
    let pair = Pair::new();
    let address = format!("{}:8001", Pair::SERVER);
    let _server = load::serve(&pair.server, &address);
    for json in ["", "--json"] {
        let mut client = load::client(&pair.client, &address, 4, 300, (1_000, 2_000), 1);
        let script = format!(
            "{} attach {json} -p {} | head -1; echo \"status ${{PIPESTATUS[0]}}\"",
            agent::binary().display(),
            client.pid()
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script]).env("NO_COLOR", "1");
        let mut shell = Program::start(&mut command);
        shell.wait_for_stderr("attached to");
        client.say("go");
        client.json();
        client.finish();
        let lines = shell.remaining_lines();
        assert_eq!(lines.last().map(String::as_str), Some("status 0"), "{lines:?} {}", shell.stderr());
        assert_eq!(lines.len(), 2, "{lines:?}");
        let error = shell.stderr();
        let rest: Vec<_> = error.lines().filter(|l| !l.contains("attached to")).collect();
        assert!(rest.is_empty(), "quietly: {error}");
    }
}

fn run_passes_the_commands_status_on() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        let output = run(&["run", "-q", "--", "sh", "-c", script]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{script}: {error}");
    }
    // From the first instruction: the exec itself is in the story, and its output is its own.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("story");
    let output = run(&["run", "-e", "trace=execve", "-o", path(&file), "--", "echo", "hello"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
    let story = std::fs::read_to_string(&file).expect("the story was written");
    // The search through PATH is part of it; the last one found the program.
    let exec =
        story.lines().rfind(|l| l.contains("execve(")).unwrap_or_else(|| panic!("no execve in:\n{story}"));
    assert!(exec.contains("/echo\"") && exec.contains("\"hello\"") && exec.contains(") = 0"), "{exec}");
}

fn run_says_when_the_command_cannot_be_started() {
    let output = run(&["run", "--", "/no/such/program"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("/no/such/program") && error.contains("No such file"), "{error}");
    assert!(!error.contains("panicked"), "{error}");
}

fn a_target_that_exits_ends_the_story() {
    let netns = Netns::new("short");
    let target = Program::start(netns.command("sh").args(["-c", "read line; exit 7"]));
    let mut target = target;
    let agent = Agent::attach(&[target.pid()], &[]);
    target.say("go");
    target.wait();
    let story = agent.ended();
    assert_eq!(story.summary.targets.len(), 1);
    let exit = &story.summary.targets[0].exit;
    assert!(exit == 7 || exit["status"] == 7 || exit["code"] == 7, "exit status: {exit}");
}

fn one_of_two_targets_may_exit() {
    let netns = Netns::new("two");
    let mut short = idle(&netns);
    let _server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", 1, 5, (10, 10), 1);
    let mut agent = Agent::attach(&[short.pid(), client.pid()], &["-e", "trace=none"]);
    short.finish();
    client.say("go");
    client.json();
    assert!(agent.is_running(), "one target still lives");
    let story = agent.stop();
    assert_eq!(story.summary.connections.len(), 1);
    let exits: Vec<bool> = story.summary.targets.iter().map(|t| t.exit.is_null()).collect();
    assert_eq!(
        exits.iter().filter(|e| **e).count(),
        1,
        "one has exited, one has not: {:?}",
        story.summary.targets
    );
}

fn a_killed_agent_leaves_nothing_behind() {
    let netns = Netns::new("idle");
    let mut target = idle(&netns);
    let agent = Agent::attach(&[target.pid()], &[]);
    let pid = nix::unistd::Pid::from_raw(agent.pid().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    drop(agent);
    assert!(target.is_running());
    // And a second one attaches as if there had been none.
    Agent::attach(&[target.pid()], &[]).stop();
}

fn configuration_is_checked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schema = run(&["config", "schema"]);
    assert_eq!(schema.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("a JSON schema");
    assert!(schema["properties"].is_object(), "{schema}");

    let example = run(&["config", "example"]);
    assert_eq!(example.status.code(), Some(0));
    let good = folder.path().join("good.yaml");
    std::fs::write(&good, &example.stdout).expect("a writable folder");
    let output = run(&["config", "check", path(&good)]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, "no_such_option: 1\n").expect("a writable folder");
    let output = run(&["config", "check", path(&bad)]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("no_such_option") && error.contains(path(&bad)), "{error}");

    let output = run(&["config", "check", "/no/such/file.yaml"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/file.yaml"));
}

fn a_wrong_filter_or_interface_is_named() {
    let netns = Netns::new("idle");
    let target = idle(&netns);
    let pid = target.pid().to_string();
    let output = run(&["attach", "--pid", &pid, "no such filter"]);
    assert_one_line(&output, 2, &["no such filter"]);
    let output = run(&["attach", "--pid", &pid, "-i", "nosuchif0"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)) && error.contains("nosuchif0"), "{error}");
}
