//! `tracenet bench`: every way is measured or said to be missing, and numbers are what they are called.

use std::collections::BTreeSet;
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tracenet_tests::agent::{self, assert_one_line};
use tracenet_tests::case;
use tracenet_tests::harness::{self, Need, which};

const NEEDS: &[Need] = &[Need::Root, Need::Bpf];
/// It is meant for a first look.
const QUICK: Duration = Duration::from_secs(30);
const WORKLOADS: [&str; 4] = ["getppid", "write", "request", "packet"];
/// Ways by the program that they need besides tracenet.
const WAYS: [(&str, Option<&str>); 14] = [
    ("another is traced", None),
    ("sockets", None),
    ("turns and packets", None),
    ("all calls and packets", None),
    ("all recorded", None),
    ("--strace", None),
    ("-c", None),
    ("agent", None),
    ("strace", Some("strace")),
    ("strace -c", Some("strace")),
    ("perf trace", Some("perf")),
    ("tcpdump", Some("tcpdump")),
    ("bpftrace counts", Some("bpftrace")),
    ("bpftrace prints", Some("bpftrace")),
];

fn main() -> ExitCode {
    harness::main(vec![
        case!(every_way_is_measured_or_missing, NEEDS),
        case!(tools_that_are_not_installed_are_said_to_be, NEEDS),
        case!(programs_have_their_costs, NEEDS),
        case!(without_root_it_says_so, NEEDS),
        case!(names_choose_ways, NEEDS),
        case!(a_wrong_name_is_refused, NEEDS),
    ])
}

fn bench(options: &[&str]) -> Output {
    agent::command().arg("bench").args(options).output().expect("tracenet starts")
}

fn document(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(error.is_empty(), "{error}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(document["schema"], "tracenet.bench/1");
    assert!(document["cpus"].as_u64() > Some(0) && document["kernel"].is_string(), "{document}");
    document
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("no {name}: {value}"))
}

fn every_way_is_measured_or_missing() {
    let begin = Instant::now();
    let document = document(&bench(&["--quick", "--json"]));
    let took = begin.elapsed();
    let rows = document["rows"].as_array().expect("rows");
    let told: BTreeSet<&str> = rows.iter().map(|row| row["way"].as_str().expect("a way")).collect();
    assert_eq!(told, WAYS.iter().map(|(name, _)| *name).collect());
    for (way, program) in WAYS {
        let missing = program.is_some_and(|name| which(name).is_none());
        let of: Vec<&Value> = rows.iter().filter(|row| row["way"] == way).collect();
        let expected = if way == "tcpdump" { &WORKLOADS[2..] } else { &WORKLOADS[..] };
        assert_eq!(of.iter().map(|row| &row["workload"]).collect::<Vec<_>>(), expected, "{way}");
        for row in of {
            if missing {
                assert_eq!(row["outcome"], "not_installed", "{row}");
                continue;
            }
            // Another's tool may not work on this kernel: it is then told, and no failure of ours.
            if program.is_some() && row["outcome"] == "failed" {
                assert!(row["error"].is_string(), "{row}");
                continue;
            }
            assert_eq!(row["outcome"], "measured", "{row}");
            assert_eq!(row["pairs"].as_array().map(Vec::len), Some(1), "{row}");
            let (pair, figures) = (&row["pairs"][0], &row["figures"]);
            let ns = |run: &Value| number(run, "wall_ns") / number(run, "operations");
            let (bare, watched) = (ns(&pair["bare"]), ns(&pair["watched"]));
            assert!(bare > 0.0 && watched > 0.0, "{row}");
            // No run ends before its time.
            assert!(number(&pair["bare"], "wall_ns") >= 20e6 && number(&pair["watched"], "wall_ns") >= 20e6);
            assert!(number(&pair["bare"], "cpu_ns") > 0.0, "{row}");
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
            assert!(close(number(figures, "bare_ns"), bare), "{row}");
            assert!(close(number(figures, "added_ns"), watched - bare), "{row}");
            assert!(close(number(&figures["ratio"], "median"), bare / watched), "{row}");
        }
    }
    assert!(took < QUICK, "{took:?}");
    // A tracer that stops the process at each call costs its CPU time more than one that doesn't, whatever else runs.
    let cpu = |way: &str| {
        let row = rows.iter().find(|row| row["way"] == way && row["workload"] == "getppid").expect("a row");
        row["figures"]["added_cpu_ns"].as_f64()
    };
    if let Some(stopped) = cpu("strace") {
        let ours = cpu("--strace").expect("it is ours");
        assert!(stopped > ours, "strace {stopped} ns, --strace {ours} ns");
    }
}

fn tools_that_are_not_installed_are_said_to_be() {
    // /usr/sbin is always looked into: what is installed there is not asked for here.
    let output = agent::command()
        .args(["bench", "--quick", "--way", "strace -c", "--way", "bpftrace"])
        .env("PATH", "/nonexistent")
        .output()
        .expect("tracenet starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().any(|l| l.starts_with("strace -c ") && l.ends_with("not installed")), "{text}");
    assert!(
        text.lines().any(|l| l.starts_with("bpftrace counts ") && l.ends_with("not installed")),
        "{text}"
    );
}

fn programs_have_their_costs() {
    let document = document(&bench(&["--probes", "--time", "20ms", "--json"]));
    let programs = &document["programs"];
    // sched_clock() twice and an indirect call: some ten to a hundred nanoseconds wherever this runs.
    let empty = number(programs, "empty_program_ns");
    assert!(empty > 1.0 && empty < 2_000.0, "{empty} ns");
    let rows = programs["rows"].as_array().expect("rows");
    for row in rows {
        assert!(number(row, "verified_insns") > 0.0 && number(row, "translated_insns") > 0.0, "{row}");
        assert!(row["hook"].is_string(), "{row}");
        assert_eq!(row["ns"].is_null(), row["runs"] == 0, "{row}");
    }
    let ran = |way: &str, program: &str| {
        let row = rows.iter().find(|row| row["way"] == way && row["program"] == program);
        let row = row.unwrap_or_else(|| panic!("no {program} of {way}"));
        assert!(number(row, "runs") > 0.0 && number(row, "ns") >= 0.0, "{row}");
    };
    ran("another is traced", "on_sys_enter");
    ran("all calls and packets", "on_sys_exit");
    ran("all calls and packets", "flow_filter");
    ran("-c", "on_count_exit");
    ran("agent", "on_send");
    let other = |way: &str, program: &str| rows.iter().any(|r| r["way"] == way && r["program"] == program);
    assert!(!other("agent", "on_sys_enter") && !other("-c", "on_send"), "what is not attached is not told");
}

fn without_root_it_says_so() {
    let binary = agent::binary();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&binary)
        .args(["bench", "--quick"]);
    let output = command.output().expect("setpriv starts");
    assert_one_line(&output, 3, &["bench needs root", "sudo"]);
    // Root in name only.
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(&binary).args(["bench", "--quick"]);
    let output = command.output().expect("setpriv starts");
    assert_one_line(&output, 3, &["is missing", "root"]);
}

fn names_choose_ways() {
    let ways = |names: &[&str]| {
        let mut options = vec!["--quick", "--json", "--workload", "getppid"];
        options.extend(names.iter().flat_map(|name| ["--way", *name]));
        let document = document(&bench(&options));
        let rows = document["rows"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["way"].as_str().expect("a way").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ways(&["-c"]), ["-c"], "a whole name is that way alone");
    assert_eq!(ways(&["all"]), ["all calls and packets", "all recorded"]);
}

fn a_wrong_name_is_refused() {
    assert_one_line(&bench(&["--way", "nobody"]), 2, &["no way of that name", "agent"]);
}
