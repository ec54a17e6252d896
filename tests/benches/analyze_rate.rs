//! How fast `tracenet analyze` is, next to a bare libpcap loop and to the tools of the trade, on one file in the page
//! cache. Medians of interleaved runs: quote the ratios, since machines are noisy.
//!
//! The capture is the one that TRACENET_BENCH_CAPTURE names (a million packets or more), or is made by the corpus's
//! `make-big.sh` (which needs wireshark-common and tcpreplay) and kept in the target folder.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tracenet_tests::{agent, harness};

const RUNS: usize = 5;

/// A tool that takes longer than this the first time is not run again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Protocols that tshark keeps for the fair comparison: those that tracenet decodes, too.
const KEPT: &[&str] =
    &["frame", "eth", "ethertype", "vlan", "ip", "ipv6", "icmp", "icmpv6", "tcp", "udp", "data"];

fn main() {
    let Some(capture) = capture() else { return };
    let packets = libpcap_loop(&capture);
    println!("{packets} packets, {} bytes", std::fs::metadata(&capture).map_or(0, |m| m.len()));
    let mut contenders = vec![("libpcap loop".to_owned(), Contender::Loop, Vec::new())];
    let file = capture.as_os_str();
    for view in ["--summary", "--flows"] {
        let mut command = agent::command();
        command.args(["analyze", view, "--format", "tsv"]).arg(file);
        contenders.push((format!("tracenet {view}"), Contender::Program(command), Vec::new()));
    }
    let expert = ["-q", "-n", "-z", "expert"].map(str::to_owned).to_vec();
    let without_others = [expert.clone(), disabled()].concat();
    for (name, title, arguments) in [
        ("tcpdump", "tcpdump -w", ["-n", "-w", "/dev/null"].map(str::to_owned).to_vec()),
        ("tcptrace", "tcptrace -l", vec!["-l".to_owned()]),
        ("tshark", "tshark -z expert, TCP/IP only", without_others),
        ("tshark", "tshark -z expert", expert),
    ] {
        let Some(program) = harness::which(name) else {
            println!("{name} is not installed");
            continue;
        };
        let mut command = Command::new(program);
        command.args(&arguments).arg("-r").arg(file);
        contenders.push((title.to_owned(), Contender::Program(command), Vec::new()));
    }
    for _ in 0..RUNS {
        for (_, contender, runs) in &mut contenders {
            if runs.iter().all(|r: &Run| r.wall < PATIENCE) {
                runs.push(contender.run(&capture));
            }
        }
    }
    let rate = |runs: &[Run]| packets as f64 / median(runs).as_secs_f64();
    let ours: Vec<f64> = contenders[1..3].iter().map(|(.., runs)| rate(runs)).collect();
    println!(
        "{:<30} {:>9} {:>8} {:>9} {:>10} {:>8}",
        "", "M pkt/s", "wall s", "peak MiB", "--summary", "--flows"
    );
    for (name, _, runs) in &contenders {
        let peak = runs.iter().map(|r| r.peak_kib).max().unwrap_or(0) / 1024;
        let failed = if runs.iter().all(|r| r.status.success()) { "" } else { "  (it failed)" };
        println!(
            "{name:<30} {:>9.3} {:>8.3} {peak:>9} {:>9.2}x {:>7.2}x{failed}",
            rate(runs) / 1e6,
            median(runs).as_secs_f64(),
            ours[0] / rate(runs),
            ours[1] / rate(runs)
        );
    }
}

/// Switches every other protocol of tshark off.
fn disabled() -> Vec<String> {
    let list = Command::new("tshark").args(["-G", "protocols"]).stderr(Stdio::null()).output();
    let list = list.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    list.lines()
        .filter_map(|line| line.split('\t').nth(2))
        .filter(|name| !KEPT.contains(name))
        .flat_map(|name| ["--disable-protocol".to_owned(), name.to_owned()])
        .collect()
}

enum Contender {
    Loop,
    Program(Command),
}

struct Run {
    wall: Duration,
    peak_kib: i64,
    status: ExitStatus,
}

impl Contender {
    fn run(&mut self, capture: &Path) -> Run {
        let start = Instant::now();
        match self {
            Self::Loop => {
                libpcap_loop(capture);
                Run { wall: start.elapsed(), peak_kib: 0, status: ExitStatus::from_raw(0) }
            }
            Self::Program(command) => {
                let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                let (status, peak_kib) = wait(child.expect("an installed program").id());
                Run { wall: start.elapsed(), peak_kib, status }
            }
        }
    }
}

/// Waits for a child; and its largest resident size in KiB, as getrusage(2) counts it.
fn wait(pid: u32) -> (ExitStatus, i64) {
    let mut status = 0;
    // SAFETY: a structure of numbers, for which zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call, and the child is waited for nowhere else.
    let waited = unsafe { libc::wait4(pid.cast_signed(), &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, pid.cast_signed(), "the child is ours");
    (ExitStatus::from_raw(status), usage.ru_maxrss)
}

fn libpcap_loop(capture: &Path) -> u64 {
    let mut capture = pcap::Capture::from_file(capture).expect("a capture");
    let (mut packets, mut bytes) = (0u64, 0u64);
    while let Ok(packet) = capture.next_packet() {
        packets += 1;
        bytes += u64::from(packet.header.len) + u64::from(packet.data.first().copied().unwrap_or(0));
    }
    std::hint::black_box(bytes);
    packets
}

fn median(runs: &[Run]) -> Duration {
    let mut times: Vec<Duration> = runs.iter().map(|r| r.wall).collect();
    times.sort();
    times[times.len() / 2]
}

fn capture() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TRACENET_BENCH_CAPTURE") {
        return Some(named.into());
    }
    let made = agent::binary().with_file_name("bench-capture.pcap");
    if made.exists() {
        return Some(made);
    }
    let script = harness::corpus().join("make-big.sh");
    let done =
        Command::new("bash").arg(&script).arg(&made).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !done.is_ok_and(|status| status.success()) {
        let _ = std::fs::remove_file(&made);
        println!(
            "skipped: needs TRACENET_BENCH_CAPTURE=FILE, or {} with wireshark-common and tcpreplay",
            script.display()
        );
        return None;
    }
    Some(made)
}
