//! `tracenet stats` beside sar, pidstat, nstat and the kernel's own files, under a load whose size is known.
//!
//! Of two programs that look at different moments only sums can agree: so the load begins when both have looked once and
//! ends before their last look, and what is summed over all rows is the load, exactly for ours.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;
use tracenet_tests::counters::{delta, mib};
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, load, wait_for};

const SAR: &[Need] = &[Need::Root, Need::Tool("sar"), Need::Tool("pidstat")];
const NETNS: &[Need] = &[Need::Root, Need::Tool("ip"), Need::Tool("nstat"), Need::Tool("sar")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(headings_are_those_of_sar_and_pidstat, SAR),
        case!(every_counter_is_that_of_nstat, NETNS),
        case!(growth_adds_up_to_what_happened, NETNS),
        case!(rates_add_up_to_the_load, NETNS),
        case!(the_hosts_counters_are_bracketed, SAR),
        case!(processors_are_as_busy_as_sar_says, SAR),
        case!(processes_are_told_as_pidstat_tells_them, SAR),
        case!(a_file_tells_the_same_again, SAR),
        case!(what_can_not_be_done_is_one_line, &[Need::Root]),
        case!(ctrl_c_ends_with_averages, &[]),
    ])
}

/// sar and pidstat speak the locale's language.
fn plain(mut command: Command) -> Command {
    command.env("LC_ALL", "C").env("S_COLORS", "never");
    command
}

fn stats(options: &[&str]) -> Command {
    let mut command = agent::command();
    command.arg("stats").args(options);
    command
}

/// The binary inside a namespace.
fn stats_in(netns: &Netns, options: &[&str]) -> Command {
    let mut command = netns.command(agent::binary());
    agent::clean_environment(&mut command);
    command.arg("stats").args(options);
    command
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn run(command: &mut Command) -> String {
    text(command.output().expect("it starts"))
}

/// Words of the heading lines, without their stamp: the first line of each paragraph but the very first.
fn headings(text: &str) -> Vec<Vec<String>> {
    let paragraphs = text.split("\n\n").skip(1);
    let first_lines = paragraphs.filter_map(|p| p.trim_start_matches('\n').lines().next());
    first_lines.map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect()).collect()
}

fn headings_are_those_of_sar_and_pidstat() {
    let options = ["-n", "ALL", "-u", "-r", "-w", "-d", "-B", "-S", "1", "1"];
    let sar = run(plain(Command::new("sar")).args(["-q", "ALL"]).args(options));
    // NFS and NFSD are left out; so is FC, which sar shows where there is a host bus adapter.
    let left_out = ["call/s", "scall/s", "FCHOST"];
    let mut sar = headings(&sar);
    sar.retain(|words| !left_out.contains(&words[0].as_str()));
    assert!(sar.len() > 20, "{sar:?}");
    let ours = headings(&run(stats(&options).args(["-q", "--psi"])));
    assert_eq!(ours, sar);

    let me = std::process::id().to_string();
    let options = ["-u", "-r", "-d", "-w", "-p", &me, "1", "1"];
    let pidstat = run(plain(Command::new("pidstat")).args(options));
    assert_eq!(headings(&run(&mut stats(&options))), headings(&pidstat));

    // One report goes on below its heading, as sar's does: widths too. The first line is sar's where that writes the
    // date as ISO 8601 does.
    let shape = |text: &str| -> Vec<usize> { text.lines().skip(1).map(str::len).collect() };
    let sar = run(plain(Command::new("sar")).env("S_TIME_FORMAT", "ISO").args(["-w", "1", "2"]));
    let ours = run(&mut stats(&["-w", "1", "2"]));
    assert_eq!(shape(&ours), shape(&sar), "{sar}");
    assert_eq!(ours.lines().next(), sar.lines().next());
}

/// Some TCP and UDP over loopback, IPv4 and IPv6, until nothing more can happen.
fn talk(netns: &Netns, turns: u64) {
    for address in ["127.0.0.1:8001", "[::1]:8001"] {
        let mut server = load::serve(netns, address);
        let mut client = load::client(netns, address, 2, turns, (200, 200), 9);
        client.say("go");
        client.json();
        client.finish();
        server.finish();
    }
    wait_for("all TCP sockets to be closed for good", || netns.unsettled_sockets().is_empty().then_some(()));
}

fn every_counter_is_that_of_nstat() {
    let netns = Netns::new("nstat");
    talk(&netns, 100);
    for flags in ["-a", "-az"] {
        // -s: nstat's history file is left alone.
        let theirs = run(netns.command("nstat").args([flags, "-s"]));
        let ours = match flags {
            "-a" => run(&mut stats_in(&netns, &["--nstat", "-a"])),
            _ => run(&mut stats_in(&netns, &["--nstat", "-a", "-z"])),
        };
        assert!(theirs.contains("TcpActiveOpens"), "{theirs}");
        assert_eq!(ours, theirs, "{flags}");
        // Without an interval all is since the namespace was made.
        if flags == "-a" {
            assert_eq!(run(&mut stats_in(&netns, &["--nstat"])), theirs);
        }
    }
}

fn growth_adds_up_to_what_happened() {
    let netns = Netns::new("growth");
    talk(&netns, 10);
    let before = mib(&netns);
    let program = Program::start(&mut stats_in(&netns, &["0.5s", "--nstat", "--json"]));
    let mut rows = vec![program.json()];
    talk(&netns, 100);
    let after = mib(&netns);
    // The row that is being waited for may have begun before the end of the talk; the next one has not.
    rows.extend([program.json(), program.json()]);
    program.signal(Signal::SIGINT);
    rows.extend(program.remaining_lines().iter().map(|line| serde_json::from_str(line).expect("JSON")));
    for name in ["TcpInSegs", "TcpActiveOpens", "TcpOutSegs", "IpInReceives", "TcpExtTCPAutoCorking"] {
        let sum: u64 = rows.iter().filter_map(|row| row["counters"][name].as_u64()).sum();
        assert_eq!(sum, delta(&before, &after, name), "{name}");
    }
}

/// What a rate of all rows adds up to, and how often a report came.
fn total(rows: &[Value], report: &str, item: Option<(&str, &str)>, rate: &str) -> f64 {
    let of_report = |row: &&Value| {
        row["report"] == report && row["average"] == false && item.is_none_or(|(key, name)| row[key] == name)
    };
    let mut count = 0;
    let sum = rows.iter().filter(of_report).map(|row| {
        count += 1;
        let rate = row[rate].as_f64().unwrap_or_else(|| panic!("no {rate}: {row}"));
        rate * row["interval_ns"].as_f64().expect("a number") / 1e9
    });
    let sum = sum.sum();
    assert!(count > 0, "no {report}");
    sum
}

/// An average times the whole time is the same sum.
fn assert_average(rows: &[Value], report: &str, item: Option<(&str, &str)>, rate: &str) {
    let average = rows.iter().find(|row| {
        row["report"] == report && row["average"] == true && item.is_none_or(|(key, name)| row[key] == name)
    });
    let average = average.unwrap_or_else(|| panic!("no average of {report}"));
    let whole =
        average[rate].as_f64().expect("a number") * average["interval_ns"].as_f64().expect("a number") / 1e9;
    let sum = total(rows, report, item, rate);
    assert!((whole - sum).abs() < 1e-3 * sum.max(1.0), "{report} {rate}: {whole} {sum}");
}

fn rates_add_up_to_the_load() {
    const DATAGRAMS: u64 = 2_000;
    let pair = Pair::new();
    let client = &pair.client;
    // Both ends know each other's hardware address from now on: nothing but the load is sent later.
    let held: Vec<UdpSocket> =
        client.inside(|| (0..3).map(|_| UdpSocket::bind((Pair::CLIENT, 0)).expect("free")).collect());
    let sink = pair.server.inside(|| UdpSocket::bind((Pair::SERVER, 9)).expect("free"));
    let send = |n: u64| {
        for _ in 0..n {
            held[0].send_to(&[7; 100], (Pair::SERVER, 9)).expect("sent");
        }
    };
    send(1);
    sink.recv(&mut [0; 100]).expect("received");
    wait_for("the IPv6 of the interfaces to be quiet", || {
        let rows = client.run("ip", &["-6", "route", "show", "table", "all"]);
        rows.contains("ff00::/8").then_some(())
    });

    let ours = Program::start(&mut stats_in(client, &["1", "4", "-n", "ALL", "--json"]));
    let mut sar = plain(client.command("sar"));
    let sar = Program::start(sar.args(["-n", "DEV,IP,UDP,SOCK", "1", "4"]));
    let mut rows = vec![ours.json()];
    let mut lines = Vec::new();
    // Both have looked once when they tell of their first interval.
    while !lines.iter().any(|line: &String| line.contains("totsck")) {
        lines.push(sar.line());
    }
    let before = mib(client);
    send(DATAGRAMS);
    let after = mib(client);
    rows.extend(ours.remaining_lines().iter().map(|line| serde_json::from_str(line).expect("JSON")));
    lines.extend(sar.remaining_lines());
    assert_eq!(delta(&before, &after, "UdpOutDatagrams"), DATAGRAMS);

    let veth = Some(("interface", Pair::INTERFACE));
    let exact = [
        ("UDP", None, "UdpOutDatagrams_per_s", DATAGRAMS),
        ("IP", None, "IpOutRequests_per_s", delta(&before, &after, "IpOutRequests")),
        ("UDP", None, "UdpInErrors_per_s", 0),
    ];
    for (report, item, rate, expected) in exact {
        let sum = total(&rows, report, item, rate);
        assert!((sum - expected as f64).abs() < 1e-3, "{report} {rate}: {sum}, not {expected}");
        assert_average(&rows, report, item, rate);
    }
    // The interface may say a word of its own (neighbour discovery), never less than the load: 142 bytes a datagram
    // with Ethernet's, IP's and UDP's headers.
    let packets = total(&rows, "DEV", veth, "tx_packets_per_s");
    let bytes = total(&rows, "DEV", veth, "tx_bytes_per_s");
    assert!(packets >= DATAGRAMS as f64 - 1e-3 && packets <= (DATAGRAMS + 20) as f64, "{packets}");
    assert!(
        bytes >= (DATAGRAMS * 142) as f64 - 1e-3 && bytes <= (DATAGRAMS * 142 + 20 * 200) as f64,
        "{bytes}"
    );

    // What veth says it can carry: 10 Gbit/s each way.
    for row in rows.iter().filter(|r| r["report"] == "DEV" && r["interface"] == Pair::INTERFACE) {
        let number = |name: &str| row[name].as_f64().expect("a number");
        let expected = number("tx_bytes_per_s").max(number("rx_bytes_per_s")) * 8.0 * 100.0 / 10e9;
        assert!((number("utilization_percent") - expected).abs() < 1e-9, "{row}");
    }

    // sar's rates are of intervals that it measures in hundredths of a second and prints with two decimals; how long
    // they were it doesn't say. A busy scheduler makes them longer than the second that was asked for, and the rate so
    // much lower: a tenth is allowed.
    let theirs = sar_column(&lines, "odgm/s");
    let sum: f64 = theirs.iter().sum();
    assert!((sum - DATAGRAMS as f64).abs() < DATAGRAMS as f64 / 10.0, "sar: {sum}");

    // Levels are equal at any moment, for nothing opens or closes a socket here.
    let sockets: Vec<f64> =
        rows.iter().filter(|r| r["report"] == "SOCK").filter_map(|r| r["udp_sockets"].as_f64()).collect();
    assert!(sockets.iter().all(|n| *n == 3.0), "{sockets:?}");
    assert!(sar_column(&lines, "udpsck").iter().all(|n| *n == 3.0));
}

/// Values of a column in the tables of sar, without the average.
fn sar_column(lines: &[String], name: &str) -> Vec<f64> {
    let mut place = None;
    let mut values = Vec::new();
    for line in lines.iter().filter(|line| !line.starts_with("Average:")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.iter().position(|word| *word == name) {
            Some(at) => place = Some(at),
            None if words.is_empty() => place = None,
            None => values.extend(place.and_then(|at| words.get(at)?.parse::<f64>().ok())),
        }
    }
    values
}

/// Counters of the host, which others move too.
fn host() -> BTreeMap<&'static str, u64> {
    let stat = std::fs::read_to_string("/proc/stat").expect("procfs");
    let field = |name: &str, n: usize| -> u64 {
        let line = stat.lines().find(|line| line.split_whitespace().next() == Some(name)).expect("a line");
        line.split_whitespace().nth(n).expect("a field").parse().expect("a number")
    };
    let vmstat = std::fs::read_to_string("/proc/vmstat").expect("procfs");
    let faults = vmstat.lines().find_map(|line| line.strip_prefix("pgfault ")).expect("a line");
    BTreeMap::from([
        ("forks_per_s", field("processes", 1)),
        ("context_switches_per_s", field("ctxt", 1)),
        ("pgfault_per_s", faults.parse().expect("a number")),
    ])
}

/// Completed requests and bytes of a disk, as its own file in sysfs has them (Documentation/block/stat.rst).
fn disk(name: &str) -> BTreeMap<&'static str, u64> {
    let stat = std::fs::read_to_string(format!("/sys/block/{name}/stat")).expect("sysfs");
    let n: Vec<u64> = stat.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    BTreeMap::from([
        ("ios_per_s", n[0] + n[4] + n.get(11).copied().unwrap_or(0)),
        ("read_bytes_per_s", n[2] * 512),
        ("write_bytes_per_s", n[6] * 512),
    ])
}

fn the_hosts_counters_are_bracketed() {
    let outer = host();
    let program = Program::start(&mut stats(&["1", "3", "-w", "-B", "-d", "-r", "-q", "--json"]));
    let mut rows = Vec::new();
    while rows.iter().filter(|r: &&Value| r["report"] == "DISK").count() == 0 && rows.len() < 5 {
        rows.push(program.json());
    }
    let disks: Vec<String> = rows.iter().filter_map(|r| r["device"].as_str()).map(str::to_owned).collect();
    let inner: BTreeMap<_, _> = disks.iter().map(|d| (d.clone(), disk(d))).collect();
    let inner_host = host();
    // Some work that all of them count.
    let file = tempfile::NamedTempFile::new().expect("a file");
    for _ in 0..20 {
        std::fs::write(file.path(), vec![1; 1 << 20]).expect("written");
        file.as_file().sync_all().expect("synced");
        run(Command::new("true").env("LC_ALL", "C"));
    }
    let worked_host = host();
    let worked: BTreeMap<_, _> = disks.iter().map(|d| (d.clone(), disk(d))).collect();
    let early = rows.len();
    rows.extend(
        program.remaining_lines().iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON")),
    );
    assert!(rows.len() > early + 4, "the work took longer than three seconds");
    let end = host();
    // The first look was after `outer` and before `inner`, the last one after `worked` and before `end`.
    for (report, name) in
        [("SWITCHES", "forks_per_s"), ("SWITCHES", "context_switches_per_s"), ("PAGING", "pgfault_per_s")]
    {
        let sum = total(&rows, report, None, name);
        let (least, most) = (worked_host[name] - inner_host[name], end[name] - outer[name]);
        assert!(sum > least as f64 - 1e-2 && sum < most as f64 + 1e-2, "{name}: {least} {sum} {most}");
        assert_average(&rows, report, None, name);
    }
    assert!(!disks.is_empty(), "no disk");
    for device in &disks {
        for (name, before) in &inner[device] {
            let sum = total(&rows, "DISK", Some(("device", device)), name);
            let least = worked[device][name] - before;
            assert!(sum > least as f64 - 1e-2, "{device} {name}: {least} {sum}");
        }
    }
    for row in rows.iter().filter(|r| r["report"] == "MEMORY") {
        let total_bytes = meminfo("MemTotal");
        let used = row["used_bytes"].as_f64().expect("a number");
        let percent = row["used_percent"].as_f64().expect("a number");
        assert!((percent - used * 100.0 / total_bytes).abs() < 1e-6, "{row}");
        // Others take and give back memory meanwhile: a twentieth of all of it is allowed.
        let free = row["free_bytes"].as_f64().expect("a number");
        assert!((free - meminfo("MemFree")).abs() < total_bytes / 20.0, "{row}");
    }
}

fn meminfo(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("procfs");
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") * 1024.0
}

fn processors_are_as_busy_as_sar_says() {
    const SECONDS: f64 = 4.0;
    let mut spin = Program::start(Command::new("sh").args(["-c", "while :; do :; done"]));
    let started = Instant::now();
    let ours = Program::start(&mut stats(&["1", "4", "-u", "--json"]));
    let sar = Program::start(plain(Command::new("sar")).args(["-u", "1", "4"]));
    let mut rows = vec![ours.json()];
    let mut lines = Vec::new();
    while sar_column(&lines, "%idle").is_empty() {
        lines.push(sar.line());
    }
    // Each first look was a second before its first row, so both were within what is left of the time until now.
    let skew = (started.elapsed().as_secs_f64() - 1.0).max(0.0);
    rows.extend(ours.remaining_lines().iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
    lines.extend(sar.remaining_lines());
    assert!(spin.is_running());
    spin.signal(Signal::SIGKILL);
    let average = rows.last().expect("an average");
    assert_eq!(average["average"], true);
    let percent = |name: &str| average[format!("{name}_percent")].as_f64().expect("a number");
    let names = ["user", "nice", "system", "iowait", "steal", "idle"];
    let sum: f64 = names.iter().map(|name| percent(name)).sum();
    assert!((sum - 100.0).abs() < 1e-6, "{average}");
    // Two windows of four seconds that begin and end so far apart can differ by what happened outside of the common
    // part, at each end; sar's two decimals and the kernel's ticks of 10 ms come on top.
    let bound = 100.0 * (2.0 * skew + 0.05) / SECONDS;
    let line = lines.iter().find(|line| line.starts_with("Average:")).expect("sar's averages");
    let theirs: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    println!("bound {bound:.2} %, sar {theirs:?}, ours {average}");
    for (name, theirs) in names.iter().zip(theirs) {
        assert!((percent(name) - theirs).abs() <= bound, "{name}: {} {theirs}, bound {bound}", percent(name));
    }
}

/// Numbers of a process, as its own files have them.
fn task(pid: u32) -> BTreeMap<&'static str, u64> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).expect("it lives");
    let (io, status) = (read("io"), read("status"));
    let field = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.split_whitespace().next().expect("a number").parse().expect("a number")
    };
    BTreeMap::from([
        ("write_bytes_per_s", field(&io, "write_bytes:")),
        ("voluntary_switches_per_s", field(&status, "voluntary_ctxt_switches:")),
        ("virtual_bytes", field(&status, "VmSize:") * 1024),
        ("rss_bytes", field(&status, "VmRSS:") * 1024),
    ])
}

const WRITER: &str = "
import os, sys
f = open(sys.argv[1], 'wb')
for line in sys.stdin:
    f.write(b'x' * 1000000)
    f.flush()
    os.fsync(f.fileno())
    print('written', flush=True)
";

fn processes_are_told_as_pidstat_tells_them() {
    let mut spin = Program::start(Command::new("sh").args(["-c", "while :; do :; done"]));
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut writer =
        Program::start(Command::new("/usr/bin/python3").args(["-u", "-c", WRITER]).arg(file.path()));
    writer.say("");
    writer.line();
    let (busy, quiet) = (spin.pid().to_string(), writer.pid());
    let pids = format!("{busy},{quiet}");
    let before = task(quiet);
    let started = Instant::now();
    let options = ["-u", "-r", "-d", "-w", "-p", &pids, "1", "4"];
    let ours = Program::start(stats(&options).arg("--json"));
    let pidstat = Program::start(plain(Command::new("pidstat")).args(options));
    let mut rows = vec![ours.json()];
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.contains("nvcswch/s")) {
        lines.push(pidstat.line());
    }
    let skew = (started.elapsed().as_secs_f64() - 1.0).max(0.0);
    for _ in 0..5 {
        writer.say("");
        writer.line();
    }
    let after = task(quiet);
    rows.extend(ours.remaining_lines().iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
    lines.extend(pidstat.remaining_lines());
    assert!(spin.is_running() && writer.is_running());

    let quiet_item = quiet.to_string();
    let of = |rows: &[Value], pid: &str| -> Vec<Value> {
        rows.iter().filter(|r| r["pid"].as_u64() == pid.parse().ok()).cloned().collect()
    };
    let mine = of(&rows, &quiet_item);
    for (report, name) in [("TASK-IO", "write_bytes_per_s"), ("TASK-SWITCHES", "voluntary_switches_per_s")] {
        let sum = total(&mine, report, None, name);
        let grown = after[name] - before[name];
        // The last switch, back to waiting for the next line, may come after the last reading.
        let late = if name.starts_with("voluntary") { 1.0 } else { 0.0 };
        assert!((sum - grown as f64).abs() < 1e-2 + late, "{name}: {sum}, not {grown}");
    }
    let memory: Vec<&Value> =
        mine.iter().filter(|r| r["report"] == "TASK-MEMORY" && r["average"] == false).collect();
    let last = memory.last().expect("a row");
    assert_eq!(last["virtual_bytes"].as_f64(), Some(after["virtual_bytes"] as f64));
    // VmRSS is a sum of counters that each thread updates in batches (Documentation/filesystems/proc.rst), as is the
    // number in stat: 64 pages for each of the three kinds.
    let rss = last["rss_bytes"].as_f64().expect("a number");
    assert!((rss - after["rss_bytes"] as f64).abs() <= 3.0 * 64.0 * 4096.0, "{rss} {after:?}");

    // As above, for windows of four seconds; the ticks of both ends come on top.
    let bound = 100.0 * (2.0 * skew + 0.05) / 4.0;
    let average = of(&rows, &busy)
        .into_iter()
        .find(|r| r["report"] == "TASK-CPU" && r["average"] == true)
        .expect("an average");
    let averages: Vec<&str> =
        lines.iter().filter(|l| l.starts_with("Average:")).map(String::as_str).collect();
    let theirs = averages.iter().find(|l| l.split_whitespace().nth(2) == Some(&busy)).expect("a row");
    let theirs: Vec<f64> = theirs.split_whitespace().skip(3).take(5).filter_map(|w| w.parse().ok()).collect();
    println!("bound {bound:.2} %, pidstat {theirs:?}, ours {average}");
    for (name, theirs) in ["user", "system", "guest", "wait", "cpu"].iter().zip(theirs) {
        let percent = average[format!("{name}_percent")].as_f64().expect("a number");
        assert!((percent - theirs).abs() <= bound, "{name}: {percent} {theirs}, bound {bound}");
    }
    spin.signal(Signal::SIGKILL);
    writer.finish();
}

fn a_file_tells_the_same_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("samples");
    let path = file.to_str().expect("UTF-8");
    let me = std::process::id().to_string();
    let reports = ["-n", "ALL", "-u", "-r", "-q", "-w", "-d", "-B", "-S", "--psi"];
    let live = run(stats(&["1", "3", "-o", path]).args(reports));
    assert!(live.contains("Average:"), "{live}");
    assert_eq!(run(stats(&["-f", path]).args(reports)), live);
    // All is in the file, whatever was shown.
    let json = run(stats(&["-f", path, "--json"]).args(["--nstat", "-a", "-n", "UDP6"]));
    let rows: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(rows.iter().all(|row| row["schema"] == "tracenet.stats/1"));
    assert_eq!(rows.iter().filter(|row| row["report"] == "NSTAT").count(), 3);
    // Bounds: what lies outside is left out, and the first sample inside is where the first interval begins.
    assert_eq!(run(&mut stats(&["-f", path, "-s", "00:00"])), run(&mut stats(&["-f", path])));
    let rows = |text: &str| -> Vec<String> {
        let lines = text.lines().skip(3).filter(|line| !line.starts_with("Average:"));
        lines.map(str::to_owned).collect()
    };
    let all = rows(&run(&mut stats(&["-f", path, "-w"])));
    let stamp = |row: &String| row.split_whitespace().next().expect("a stamp").to_owned();
    assert_eq!(all.len(), 3);
    let part = run(&mut stats(&["-f", path, "-w", "-s", &stamp(&all[0]), "-e", &stamp(&all[1])]));
    assert_eq!(rows(&part), all[1..2]);
    let bytes = std::fs::metadata(&file).expect("a file").len();
    println!("{bytes} bytes for 4 samples");

    // A cut file is told up to the cut.
    let whole = std::fs::read(&file).expect("readable");
    std::fs::write(&file, &whole[..whole.len() - 10]).expect("writable");
    let cut = stats(&["-f", path, "-u"]).output().expect("it starts");
    assert_eq!(cut.status.code(), Some(1));
    let error = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(error.contains("is cut in the entry at offset") && error.lines().count() == 1, "{error}");
    assert!(String::from_utf8_lossy(&cut.stdout).contains("Average:"));

    // Processes, and JSON.
    let options = ["-p", &me, "-u", "-r", "-d", "-w", "--json"];
    let live = run(stats(&["1", "2", "-o", path]).args(options));
    assert_eq!(run(stats(&["-f", path]).args(options)), live);
    // Since boot.
    let live = run(stats(&["-o", path]).args(["-n", "TCP", "-u"]));
    assert!(!live.contains("Average:"), "{live}");
    assert_eq!(run(stats(&["-f", path]).args(["-n", "TCP", "-u"])), live);
}

fn what_can_not_be_done_is_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, "no samples at all").expect("writable");
    let garbage = garbage.to_str().expect("UTF-8");
    let failures: [(&[&str], i32, &str); 6] = [
        (&["-o", "/dev/full"], 1, "free space or choose another path"),
        (&["-o", "/nonexistent/samples"], 1, "cannot write /nonexistent/samples"),
        (&["-f", "/nonexistent"], 4, "no such file"),
        (&["-f", garbage], 2, "no file of samples"),
        (&["-p", "4294967295"], 4, "no process"),
        (&["-f", garbage, "-s", "25:00"], 2, "HH:MM"),
    ];
    for (options, code, says) in failures {
        let output = stats(options).output().expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{options:?}: {error}");
        assert!(error.contains(says), "{options:?}: {error}");
        assert!(code == 2 || error.lines().count() == 1, "{error}");
    }
    let unknown = stats(&["-n", "DEV,BOGUS"]).output().expect("it starts");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("EICMP6"));
}

fn ctrl_c_ends_with_averages() {
    let mut program = Program::start(&mut stats(&["1", "-w", "-q"]));
    while !program.line().contains("runq-sz") {}
    program.signal(Signal::SIGINT);
    let lines = program.remaining_lines();
    assert!(program.wait().success());
    assert_eq!(lines.iter().filter(|line| line.starts_with("Average:")).count(), 4, "{lines:?}");
}
