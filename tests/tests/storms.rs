//! More events than can be carried away: nothing crashes or hangs, the memory stays under its cap, and what was produced
//! is what was told and what is counted as lost, to the last one. `TRACENET_SOAK=1` makes the storms as large as they come.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tracenet_tests::agent::{Agent, Story};
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::host::HostAgent;
use tracenet_tests::netns::{Netns, Pair};
use tracenet_tests::report::{Connection, Lost};
use tracenet_tests::{case, counters, load, soak, wait_for};

/// Resident memory that no storm may make the agent take: `agent.memory_limit` by default.
const CAP_KB: u64 = 150 << 10;

/// What `attach` may take: its rings (64 MiB), its output and the capture's buffer, each bounded, and what it knows of
/// 65,536 connections.
const ATTACH_CAP_KB: u64 = 600 << 10;

fn main() -> ExitCode {
    harness::main(vec![
        case!(calls_of_two_cores_are_told_or_counted, LAB),
        case!(a_storm_does_not_hold_the_end, LAB),
        case!(datagrams_are_told_or_counted, LAB),
        case!(short_connections_are_all_counted, LAB),
        case!(short_connections_of_the_host_are_all_counted, LAB),
        case!(refused_connections_of_the_host_are_all_counted, LAB),
        case!(forks_are_all_told, LAB),
        case!(forks_of_the_host_leave_nothing_behind, LAB),
        case!(a_syn_flood_hides_no_connection, LAB),
    ])
}

fn size(small: u64, large: u64) -> u64 {
    if soak() { large } else { small }
}

/// The most memory that the process ever had, kB (proc(5), VmHWM).
fn peak_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Records of a kind that found the ring full.
fn lost_of(story: &Story, what: &str) -> u64 {
    let lost = story.kind("lost").into_iter().filter(|e| e["what"] == what);
    lost.map(|e| e["count"].as_u64().expect("a number")).sum()
}

fn calls_of_two_cores_are_told_or_counted() {
    let netns = Netns::new("calls");
    let count = size(1_000_000, 10_000_000);
    let mut callers = [0, 1].map(|_| load::storm(&netns, &["calls", &count.to_string()]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("small.yaml");
    // So small a ring overflows, on any machine.
    std::fs::write(&config, "limits: {ring_bytes: 1MiB}\n").expect("a writable folder");
    let pids = [callers[0].pid(), callers[1].pid()];
    let options = ["-i", "none", "-e", "trace=getppid", "--config", config.to_str().expect("UTF-8")];
    let agent = Agent::attach(&pids, &options);
    for caller in &mut callers {
        caller.say("go");
    }
    for caller in &callers {
        assert_eq!(caller.json()["calls"], count);
    }
    let peak = peak_kb(agent.pid());
    let story = agent.stop();
    let told = story.events().filter(|e| e["kind"] == "syscall").count() as u64;
    let lost = story.summary.lost;
    // What wakes the callers up is a record too, and may be lost like a call.
    let of_calls = lost_of(&story, "syscall");
    println!("{} calls: {told} told, {of_calls} lost, {lost:?}, peak {peak} kB", 2 * count);
    assert_eq!(told + of_calls + lost.queue, 2 * count, "{lost:?}");
    assert!(of_calls > 0 && of_calls <= lost.ringbuf, "there was a storm: {lost:?}");
    assert!(peak < ATTACH_CAP_KB, "{peak} kB");
}

fn a_storm_does_not_hold_the_end() {
    let netns = Netns::new("endless");
    let mut callers = [0, 1].map(|_| load::storm(&netns, &["calls", "100000000000"]));
    let pids = [callers[0].pid(), callers[1].pid()];
    let agent = Agent::attach(&pids, &["-i", "none", "-e", "trace=getppid"]);
    for caller in &mut callers {
        caller.say("go");
    }
    wait_for("the rings to be full", || (counters::cpu_ns(agent.pid()) > 1_000_000_000).then_some(()));
    let begin = Instant::now();
    let story = agent.stop();
    let took = begin.elapsed();
    let told = story.events().filter(|e| e["kind"] == "syscall").count();
    println!("it ended after {took:?}, {told} calls told, {:?}", story.summary.lost);
    assert!(told > 0, "there was a storm");
    // What had come is told first: a ring of 64 MiB holds some 600,000 calls, of which, beside two programs that take all
    // CPUs, no fewer than 20,000 a second are told.
    assert!(took < Duration::from_secs(30), "{took:?}");
}

fn datagrams_are_told_or_counted() {
    let pair = Pair::new();
    let count = size(200_000, 2_000_000);
    // Nobody reads them: the kernel is to drop each, which must not hurt.
    pair.server.lose_incoming("udp dport 9");
    let to = format!("{}:9", Pair::SERVER);
    let mut sender = load::storm(&pair.client, &["datagrams", &to, &count.to_string()]);
    let agent = Agent::attach(&[sender.pid()], &["-e", "trace=none"]);
    sender.say("go");
    let sent = sender.json()["sent"].as_u64().expect("a number");
    let peak = peak_kb(agent.pid());
    let story = agent.stop();
    let told = story.events().filter(|e| e["kind"] == "packet").count() as u64;
    let lost = story.summary.lost;
    let flow = &story.summary.connections[0];
    println!("{sent} datagrams: {told} packets told, {lost:?}, {} bytes, peak {peak} kB", flow.bytes_sent);
    assert_eq!(flow.bytes_sent, 5 * sent, "sums are exact, whatever is lost");
    assert!(
        told <= sent && told + lost.capture + lost.queue + lost.ringbuf >= sent,
        "{told} of {sent}: {lost:?}"
    );
    assert!(peak < ATTACH_CAP_KB, "{peak} kB");
}

fn short_connections_are_all_counted() {
    let netns = Netns::new("short");
    let count = size(5_000, 100_000);
    let mut server = load::storm(&netns, &["accept", "127.0.0.1:8001"]);
    server.say("go");
    server.json();
    let mut client = load::storm(&netns, &["connections", "127.0.0.1:8001", &count.to_string()]);
    let before = counters::mib(&netns);
    let agent = Agent::attach(&[client.pid()], &["--no-packets", "-i", "none", "-e", "trace=none"]);
    client.say("go");
    client.json();
    let opened = counters::delta(&before, &counters::mib(&netns), "TcpActiveOpens");
    assert_eq!(opened, count);
    let peak = peak_kb(agent.pid());
    let story = agent.stop();
    let summary = story.whole_summary();
    let omitted = summary["connections_omitted"].as_u64().expect("a number");
    let listed = story.summary.connections.len() as u64;
    println!(
        "{count} connections: {listed} listed, {omitted} omitted, {:?}, peak {peak} kB",
        story.summary.lost
    );
    let lost = story.summary.lost.ringbuf;
    assert!(
        listed + omitted == count || lost >= count - listed - omitted,
        "{listed} + {omitted}, {lost} lost"
    );
    let whole = |c: &Connection| (c.turns, c.bytes_sent, c.bytes_received) == (1, 1, 1);
    assert!(story.summary.connections.iter().all(|c| c.incomplete || whole(c)));
    // A sum of the kernel side's, whatever is lost.
    let row = story.summary.audit("TcpActiveOpens", netns.inode());
    assert_eq!((row.kernel, row.tracenet), (count.cast_signed(), count.cast_signed()));
    assert!(peak < ATTACH_CAP_KB, "{peak} kB");
}

fn short_connections_of_the_host_are_all_counted() {
    let netns = Netns::new("short");
    let count = size(5_000, 100_000);
    // What is left out to hold a budget is no loss.
    let mut agent = HostAgent::start("budget: null");
    let mut server = load::storm(&netns, &["accept", "127.0.0.1:8001"]);
    server.say("go");
    server.json();
    let mut client = load::storm(&netns, &["connections", "127.0.0.1:8001", &count.to_string()]);
    client.say("go");
    client.json();
    // Both ends are the same program, and so the same workload.
    let of = |role: &str| {
        agent.sum("tracenet_tcp_connections_total", &[("service_name", "storm"), ("role", role)])
    };
    wait_for("both ends of all connections", || {
        (of("client") >= count && of("server") >= count).then_some(())
    });
    assert_eq!((of("client"), of("server")), (count, count));
    let turns =
        agent.sum("tracenet_turn_duration_seconds_count", &[("service_name", "storm"), ("role", "client")]);
    let lost = agent.lost("ringbuf");
    let peak = peak_kb(agent.pid());
    println!("{count} connections: {turns} turns, {lost} lost, peak {peak} kB");
    assert_eq!(turns, count);
    assert!(peak < CAP_KB, "{peak} kB");
    assert!(agent.is_running());
    let (status, error, _) = agent.stop();
    assert!(status.success(), "{status}: {error}");
}

fn refused_connections_of_the_host_are_all_counted() {
    let netns = Netns::new("refused");
    let count = size(10_000, 500_000);
    let agent = HostAgent::start("");
    let before = counters::mib(&netns);
    let share = (count / 2).to_string();
    let mut clients = [0, 1].map(|_| load::storm(&netns, &["refused", "127.0.0.1:8001", &share]));
    for client in &mut clients {
        client.say("go");
    }
    // Each is told of: the loop answers probes, and looks at the clock, all the same.
    let mut answers = 0;
    wait_for("the storm to be over", || {
        assert!(agent.get("/livez").expect("it answers").0.contains(" 200 "));
        answers += 1;
        let failed = counters::delta(&before, &counters::mib(&netns), "TcpAttemptFails");
        (failed >= count).then_some(())
    });
    for client in &clients {
        assert_eq!(client.json()["refused"], count / 2);
    }
    let of_client = [("service_name", "storm"), ("role", "client"), ("error_type", "connect_failed")];
    let told = || agent.sum("tracenet_tcp_connections_total", &of_client);
    wait_for("all of them in the sums", || (told() >= count).then_some(()));
    let peak = peak_kb(agent.pid());
    println!("{count} refused: {} records lost, {answers} answers, peak {peak} kB", agent.lost("ringbuf"));
    assert_eq!(told(), count);
    // The limit is where less is followed; spans that wait (64 MiB) and known connections are there by then.
    assert!(peak < 2 * CAP_KB, "{peak} kB");
    let (status, error, _) = agent.stop();
    assert!(status.success(), "{status}: {error}");
}

fn forks_are_all_told() {
    let netns = Netns::new("forks");
    let count = size(2_000, 20_000);
    let mut parent = load::storm(&netns, &["forks", &count.to_string()]);
    let agent = Agent::attach(&[parent.pid()], &["-f", "-i", "none", "-e", "trace=none"]);
    parent.say("go");
    parent.json();
    let peak = peak_kb(agent.pid());
    let story = agent.stop();
    let (forks, exits) = (story.kind("fork").len() as u64, story.kind("exit").len() as u64);
    let lost = story.summary.lost;
    println!("{count} forks: {forks} told, {exits} exits, {lost:?}, peak {peak} kB");
    assert_eq!(lost, Lost::NOTHING);
    assert_eq!((forks, exits), (count, count));
    assert!(peak < ATTACH_CAP_KB, "{peak} kB");
}

fn forks_of_the_host_leave_nothing_behind() {
    let netns = Netns::new("forks");
    let mut agent = HostAgent::start("");
    // Each child opens a connection, so that the agent comes to know it, and ends.
    let count = size(1_000, 20_000);
    let mut server = load::storm(&netns, &["accept", "127.0.0.1:8001"]);
    server.say("go");
    server.json();
    let before = counters::mib(&netns);
    let mut parent = load::storm(&netns, &["callers", "127.0.0.1:8001", &count.to_string()]);
    parent.say("go");
    parent.json();
    let opened = counters::delta(&before, &counters::mib(&netns), "TcpActiveOpens");
    assert_eq!(opened, count);
    let clients =
        || agent.sum("tracenet_tcp_connections_total", &[("service_name", "storm"), ("role", "client")]);
    wait_for("every child's connection", || (clients() >= count).then_some(()));
    assert_eq!(clients(), count);
    let peak = peak_kb(agent.pid());
    println!("{count} processes with a connection each: {} lost, peak {peak} kB", agent.lost("ringbuf"));
    assert_eq!(agent.lost("ringbuf"), 0, "an account for everybody");
    assert!(peak < CAP_KB, "{peak} kB");
    assert!(agent.is_running());
    let (status, error, _) = agent.stop();
    assert!(status.success(), "{status}: {error}");
}

fn a_syn_flood_hides_no_connection() {
    let netns = Netns::new("syns");
    netns.ip(&["route", "add", "10.99.0.0/16", "dev", "lo"]);
    let count = size(20_000, 1_000_000);
    let mut server = load::storm(&netns, &["accept", "127.0.0.1:8001"]);
    server.say("go");
    server.json();
    let host = HostAgent::start("");
    let agent = Agent::attach(&[server.pid()], &["--no-packets", "-e", "trace=none"]);
    let before = counters::mib(&netns);
    let mut flood = load::storm(&netns, &["syns", "127.0.0.1:8001", &count.to_string()]);
    flood.say("go");
    assert_eq!(flood.json()["syns"], count);
    // The flood has filled what may be half open; with SYN cookies connections come about all the same.
    let mut client = load::storm(&netns, &["connections", "127.0.0.1:8001", "50"]);
    client.say("go");
    client.json();
    let after = counters::mib(&netns);
    let accepted = counters::delta(&before, &after, "TcpPassiveOpens");
    let peaks = (peak_kb(agent.pid()), peak_kb(host.pid()));
    let of =
        |role: &str| host.sum("tracenet_tcp_connections_total", &[("service_name", "storm"), ("role", role)]);
    wait_for("the connections beside the flood", || (of("server") >= 50 && of("client") >= 50).then_some(()));
    let story = agent.stop();
    let told = story.summary.connections.iter().filter(|c| c.turns == 1).count();
    let summary = &story.summary;
    println!(
        "{count} SYNs: {told} connections, {accepted} by the kernel, {:?}, peaks {peaks:?} kB",
        summary.lost
    );
    assert_eq!(told, 50, "{:?}", summary.lost);
    assert_eq!((of("server"), of("client")), (accepted, 50));
    assert_eq!(host.lost("ringbuf"), 0);
    assert!(peaks.0 < ATTACH_CAP_KB && peaks.1 < CAP_KB, "{peaks:?}");
    let (status, error, _) = host.stop();
    assert!(status.success(), "{status}: {error}");
}
