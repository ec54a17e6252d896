//! strace's lines: what breaks them in two, signals, ends of threads, files of threads, and the counts of `-c`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracenet_tests::agent;
use tracenet_tests::case;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::program::Program;

const BPF: &[Need] = &[Need::Root, Need::Bpf];
/// The interpreter itself: a `python3` found by name may be a script that starts others.
const PYTHON: &str = "/usr/bin/python3";

const STRACE: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("strace")];
const PERL: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("perl")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(counts_are_those_of_strace, STRACE),
        case!(a_sleeping_call_is_shown_and_ends_with_its_thread, BPF),
        case!(signals_stand_where_strace_puts_them, STRACE),
        case!(broken_lines_find_their_ends, BPF),
        case!(each_thread_has_a_file, BPF),
        case!(only_failed_calls_are_told_on_demand, BPF),
        case!(calls_of_a_path_are_those_that_strace_tells, STRACE),
        case!(flags_that_make_no_sense_are_refused_in_a_line, BPF),
        case!(a_thousand_threads_are_told_to_their_ends, BPF),
        case!(twenty_thousand_children_are_told_to_their_ends, PERL),
    ])
}

/// What `program` prints under `tracenet run` with these flags, in the file of `-o`.
fn ours(flags: &[&str], program: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("lines");
    let mut command = agent::command();
    command.arg("run").args(flags).arg("-o").arg(&file).arg("--").args(program);
    lines(command, &file)
}

/// As [`ours`], under strace.
fn theirs(flags: &[&str], program: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("lines");
    let mut command = Command::new("strace");
    command.args(flags).arg("-o").arg(&file).args(program);
    lines(command, &file)
}

fn lines(mut command: Command, file: &Path) -> String {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("tracenet:"), "nothing was lost, nothing went wrong: {said}");
    std::fs::read_to_string(file).expect("the file exists")
}

/// Name → calls and errors, of a table of `-c`.
fn counts(table: &str) -> BTreeMap<String, (u64, u64)> {
    let rows = table.lines().filter(|l| !l.starts_with('%') && !l.starts_with('-') && !l.ends_with(" total"));
    rows.map(|l| {
        let words: Vec<&str> = l.split_whitespace().collect();
        let name = words.last().expect("a name").to_string();
        let number = |i: usize| words.get(i).and_then(|w| w.parse::<u64>().ok());
        // Without an error the column is empty, and what follows is a time or the name.
        let times = words.iter().filter(|w| w.contains('.')).count();
        let errors = (words.len() - times == 4).then(|| number(4)).flatten();
        (name, (number(3).expect("calls"), errors.unwrap_or(0)))
    })
    .collect()
}

fn counts_are_those_of_strace() {
    let program = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=3000", "status=none"];
    let (mine, its) = (counts(&ours(&["-c"], &program)), counts(&theirs(&["-c"], &program)));
    assert_eq!(mine["read"].0, its["read"].0);
    assert!(mine["read"].0 > 3000 && mine["execve"] == (1, 0), "{mine:?}");
    assert_eq!(mine, its);
}

fn a_sleeping_call_is_shown_and_ends_with_its_thread() {
    let mut sleeper = Program::start(Command::new("sleep").arg("1000"));
    let pid = Pid::from_raw(i32::try_from(sleeper.pid()).expect("a pid"));
    let mut command = agent::command();
    command.args(["attach", "--strace", "-p", &pid.to_string()]);
    let mut agent = Program::start(&mut command);
    agent.wait_for_stderr("clock_nanosleep(");
    kill(pid, Signal::SIGKILL).expect("it lives");
    sleeper.wait();
    assert!(agent.wait().success());
    let said = agent.stderr();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("tracenet: Process {pid} attached"));
    assert!(
        lines[1].starts_with("clock_nanosleep(") && lines[1].ends_with(" <unfinished ...>) = ?"),
        "{said}"
    );
    assert_eq!(&lines[2..], ["+++ killed by SIGKILL +++"]);
}

/// Signals and ends, in the order of each process; pids by the order in which they come.
fn told(lines: &str) -> Vec<String> {
    let mut pids: Vec<&str> = Vec::new();
    let mut told: Vec<(usize, String)> = Vec::new();
    for line in lines.lines() {
        let (pid, rest) = line.split_once(' ').expect("a pid");
        let place = pids.iter().position(|p| *p == pid).unwrap_or_else(|| {
            pids.push(pid);
            pids.len() - 1
        });
        let rest = rest.trim_start();
        if rest.starts_with("---") || rest.starts_with("+++") {
            let words = rest.split(", ").filter(|w| !w.starts_with("si_pid=") && !w.contains("time="));
            told.push((place, words.collect::<Vec<_>>().join(", ")));
        }
    }
    told.sort_by_key(|t| t.0);
    told.into_iter().map(|(place, text)| format!("{place} {text}")).collect()
}

fn signals_stand_where_strace_puts_them() {
    let script = "trap 'echo usr1' USR1; kill -USR1 $$; (exit 3); sh -c 'kill -ABRT $$'; kill -TERM $$";
    let program = ["bash", "-c", script];
    let flags = ["-f", "-e", "trace=none"];
    let (mine, its) = (ours(&["--strace", "-f", "-e", "trace=none"], &program), theirs(&flags, &program));
    assert_eq!(told(&mine), told(&its), "ours:\n{mine}\nstrace's:\n{its}");
    assert!(its.contains("--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid="), "{its}");
    assert!(its.contains("killed by SIGABRT") && its.contains("killed by SIGTERM"), "{its}");
}

/// Three threads that wait for each other, and one that is in a call when the process ends.
const THREADS: &str = "
import os, threading, time
def work():
    for _ in range(10): time.sleep(0.03)
workers = [threading.Thread(target=work) for _ in range(3)]
for w in workers: w.start()
for w in workers: w.join()
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
time.sleep(0.05)
os._exit(3)
";

fn broken_lines_find_their_ends() {
    let lines = ours(&["--strace", "-f"], &[PYTHON, "-c", THREADS]);
    let mut broken: BTreeMap<&str, &str> = BTreeMap::new();
    let mut ended: Vec<&str> = Vec::new();
    let mut halves = 0;
    for line in lines.lines() {
        let (tid, rest) = line.split_once(' ').expect("a thread");
        let rest = rest.trim_start();
        assert!(!ended.contains(&tid), "a thread that has ended says nothing more: {line}");
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let name = resumed.split(' ').next().expect("a name");
            assert_eq!(broken.remove(tid), Some(name), "{line}");
            halves += 1;
        } else {
            assert!(!broken.contains_key(tid), "its call has not returned: {line}");
            if rest.ends_with(" <unfinished ...>") {
                broken.insert(tid, rest.split('(').next().expect("a name"));
            } else if rest.starts_with("+++") {
                assert_eq!(
                    rest,
                    if ended.len() < 3 { "+++ exited with 0 +++" } else { "+++ exited with 3 +++" }
                );
                ended.push(tid);
            }
        }
    }
    assert_eq!((broken.len(), ended.len()), (0, 5), "{lines}");
    assert!(halves > 10, "{halves} calls were broken in two");
    assert!(lines.contains("<... clock_nanosleep resumed> <unfinished ...>) = ?"), "{lines}");
}

fn each_thread_has_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stem = folder.path().join("calls");
    let mut command = agent::command();
    command.args(["run", "-ff", "-o"]).arg(&stem).args(["--", PYTHON, "-c", THREADS]);
    assert_eq!(command.status().expect("it runs").code(), Some(3), "the command's own status");
    let files: Vec<String> = std::fs::read_dir(folder.path())
        .expect("the folder")
        .map(|f| std::fs::read_to_string(f.expect("a file").path()).expect("its text"))
        .collect();
    assert_eq!(files.len(), 5);
    for text in &files {
        let last = text.lines().last().expect("a line");
        assert!(last.starts_with("+++ exited with "), "{last}");
        assert!(!text.contains("resumed>"), "nobody comes between");
    }
    let sleeps: usize = files.iter().map(|t| t.matches("clock_nanosleep(").count()).sum();
    assert_eq!(sleeps, 3 * 10 + 2);
}

fn only_failed_calls_are_told_on_demand() {
    let program = ["cat", "/dev/null", "/nowhere"];
    for (flags, failed) in [(&["--strace", "-Z"], true), (&["--strace", "-z"], false)] {
        let lines = ours(flags, &program);
        let calls: Vec<&str> = lines.lines().filter(|l| !l.starts_with("+++")).collect();
        assert!(calls.iter().all(|l| l.contains(" = -1 ") == failed), "{lines}");
        assert_eq!(lines.contains("openat(AT_FDCWD, \"/nowhere\""), failed, "{lines}");
        assert_eq!(lines.contains("openat(AT_FDCWD, \"/dev/null\""), !failed, "{lines}");
    }
}

fn calls_of_a_path_are_those_that_strace_tells() {
    let program = ["sh", "-c", "cat /etc/hostname /etc/passwd >/dev/null; exec cat </etc/hostname"];
    let names = |lines: String| -> Vec<String> {
        let calls = lines.lines().filter_map(|l| l.split_once(' ')?.1.trim_start().split_once('('));
        calls.map(|(name, _)| name.to_owned()).collect()
    };
    let (mine, its) = (
        names(ours(&["--strace", "-f", "-P", "/etc/hostname"], &program)),
        names(theirs(&["-f", "-P", "/etc/hostname"], &program)),
    );
    assert_eq!(mine, its);
    assert!(its.contains(&"openat".to_owned()) && its.contains(&"read".to_owned()), "{its:?}");
}

fn flags_that_make_no_sense_are_refused_in_a_line() {
    for (flags, word) in [
        (&["-E", "A=1"][..], "env(1)"),
        (&["-e", "inject=all:error=EIO"], "watches and changes nothing"),
        (&["--seccomp-bpf"], "nothing is stopped"),
        (&["-ff"], "needs -o FILE"),
        (&["-S", "calls"], "-c or -C"),
    ] {
        let mut command = agent::command();
        let output = command.arg("run").args(flags).args(["--", "true"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(word) && said.lines().count() == 1, "{flags:?}: {said}");
    }
}

fn a_thousand_threads_are_told_to_their_ends() {
    // join() returns before a thread calls exit(2), which the process's exit_group(2) would spare it.
    let program = "
import os, threading
go = threading.Event()
threads = [threading.Thread(target=go.wait) for _ in range(1000)]
for t in threads: t.start()
go.set()
for t in threads: t.join()
while len(os.listdir('/proc/self/task')) > 1: pass
";
    let lines =
        ours(&["--strace", "-f", "-e", "trace=clone3,clone,exit,exit_group"], &[PYTHON, "-c", program]);
    let count = |what: &str| lines.lines().filter(|l| l.contains(what)).count();
    assert_eq!((count("+++ exited with 0 +++"), count(" exit(0)"), count(" exit_group(0)")), (1001, 1000, 1));
}

fn twenty_thousand_children_are_told_to_their_ends() {
    let program = "for (1..20000) { my $p = fork; exit 7 unless $p; waitpid $p, 0; }";
    let lines = ours(&["--strace", "-f", "-e", "trace=exit_group,wait4"], &["perl", "-e", program]);
    let count = |what: &str| lines.lines().filter(|l| l.contains(what)).count();
    assert_eq!((count("exit_group(7)"), count("+++ exited with 7 +++")), (20000, 20000));
    assert_eq!(count("WEXITSTATUS(s) == 7}], 0, NULL) = "), 20000);
}
