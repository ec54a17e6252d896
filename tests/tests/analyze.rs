//! `tracenet analyze` on captures: what it says of each packet against what tshark said, and that no file, however
//! damaged, makes it fail in another way than the documented one.
//!
//! The captures are those of `../shared/corpus`, or of the folder that TRACENET_CORPUS names: `captures/` and
//! `oracle/NAME.tcp.tsv.gz`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use flate2::read::GzDecoder;
use tracenet_tests::harness::{self, Need, analyze};
use tracenet_tests::{agent, case};

fn main() -> ExitCode {
    harness::main(vec![
        case!(packets_agree_with_tshark, CORPUS),
        case!(every_capture_ends_with_0_or_1, CORPUS),
        case!(a_cut_capture_is_analysed_up_to_the_cut, &[]),
        case!(standard_input_and_packed_files_are_read, &[]),
        case!(usage_and_missing_files_have_their_exit_codes, &[]),
        case!(a_reader_that_goes_away_ends_it_quietly, &[]),
        case!(packets_that_are_shown_are_written, &[Need::Corpus, Need::Tool("tshark")]),
    ])
}

const CORPUS: &[Need] = &[Need::Corpus];

/// Verdicts that occur this often are held to [`REQUIRED`].
const OFTEN: u64 = 20;

/// Precision and recall of a verdict.
const REQUIRED: f64 = 0.99;

/// Agreement on all the verdicts of a packet, over all packets.
const REQUIRED_OVERALL: f64 = 0.995;

/// A table by its header's names, keyed by the frame number.
fn table(text: &str) -> BTreeMap<u64, BTreeMap<&str, &str>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    lines
        .map(|line| {
            let mut row = BTreeMap::new();
            // The second column of a name holds something else.
            for (name, cell) in header.iter().zip(line.split('\t')) {
                row.entry(*name).or_insert(cell);
            }
            (row["frame"].parse().expect("a frame number"), row)
        })
        .collect()
}

fn oracle(capture: &Path, kind: &str) -> Option<String> {
    let name = capture.file_name()?.to_string_lossy().into_owned();
    let file = File::open(harness::corpus().join("oracle").join(format!("{name}.{kind}.gz"))).ok()?;
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    Some(text)
}

/// The first of several values.
fn first<'a>(row: &BTreeMap<&str, &'a str>, name: &str) -> &'a str {
    row.get(name).copied().unwrap_or("").split(',').next().unwrap_or("")
}

#[derive(Default, Clone, Copy)]
struct Hits {
    both: u64,
    ours: u64,
    theirs: u64,
}

fn packets_agree_with_tshark() {
    let mut verdicts: BTreeMap<String, Hits> = BTreeMap::new();
    let mut values: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let (mut frames, mut same) = (0u64, 0u64);
    for file in harness::captures() {
        let Some(theirs) = oracle(&file, "tcp.tsv") else { continue };
        let output = analyze(&file, &["--packets", "--format", "tsv"]);
        let ours = String::from_utf8_lossy(&output.stdout);
        let (ours, theirs) = (table(&ours), table(&theirs));
        for (frame, their) in theirs.iter().filter(|(_, row)| !first(row, "stream").is_empty()) {
            frames += 1;
            let empty = BTreeMap::new();
            let our = ours.get(frame).unwrap_or(&empty);
            let set = |row: &BTreeMap<&str, &str>, name: &str| {
                let cell = row.get(name).copied().unwrap_or("");
                cell.split(',')
                    .filter(|v| !v.is_empty())
                    .map(str::to_owned)
                    .collect::<std::collections::BTreeSet<_>>()
            };
            let (a, b) = (set(our, "verdicts"), set(their, "flags"));
            same += u64::from(a == b);
            for verdict in a.union(&b) {
                let hits = verdicts.entry(verdict.clone()).or_default();
                match (a.contains(verdict), b.contains(verdict)) {
                    (true, true) => hits.both += 1,
                    (true, false) => hits.ours += 1,
                    _ => hits.theirs += 1,
                }
            }
            for (name, column) in [
                ("stream", "stream"),
                ("bytes_in_flight", "bytes_in_flight"),
                ("dup_ack_num", "duplicate_ack_num"),
                ("ack_rtt", "ack_rtt"),
            ] {
                let their = first(their, column);
                if !their.is_empty() {
                    let value = values.entry(name).or_default();
                    value.0 += 1;
                    value.1 += u64::from(first(our, name) == their);
                }
            }
            let (our, their) = (first(our, "tcp_checksum"), first(their, "tcp_checksum_status"));
            if !their.is_empty() && our != "unverified" {
                let value = values.entry("tcp_checksum").or_default();
                value.0 += 1;
                value.1 += u64::from((our == "good") == (their == "1"));
            }
        }
    }
    let mut wrong = Vec::new();
    for (name, h) in &verdicts {
        let precision = h.both as f64 / (h.both + h.ours).max(1) as f64;
        let recall = h.both as f64 / (h.both + h.theirs).max(1) as f64;
        eprintln!(
            "{name:<26} both {:>6} ours {:>4} tshark {:>4}: {precision:.4} {recall:.4}",
            h.both, h.ours, h.theirs
        );
        if h.both + h.theirs >= OFTEN && precision.min(recall) < REQUIRED {
            wrong.push(name.clone());
        }
    }
    for (name, (given, equal)) in &values {
        eprintln!("{name:<26} given {given:>6} equal {equal:>6}");
        if (*equal as f64) < *given as f64 * REQUIRED {
            wrong.push((*name).to_owned());
        }
    }
    eprintln!("{frames} frames, {same} with the same verdicts");
    assert!(wrong.is_empty(), "below {REQUIRED}: {wrong:?}");
    assert!(same as f64 >= frames as f64 * REQUIRED_OVERALL, "{same} of {frames}");
}

fn every_capture_ends_with_0_or_1() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cut = folder.path().join("cut");
    for file in harness::captures() {
        check(&file, &file);
        let bytes = std::fs::read(&file).expect("readable");
        // Three places in each file, the last within the last packet.
        for at in [bytes.len() / 3, bytes.len() / 2 + 1, bytes.len() - 1] {
            std::fs::write(&cut, &bytes[..at]).expect("a writable folder");
            check(&cut, &file);
        }
    }
}

fn check(file: &Path, of: &Path) {
    for view in ["--summary", "--packets"] {
        let output = analyze(file, &[view]);
        let error = String::from_utf8_lossy(&output.stderr);
        let lines = error.lines().count();
        match output.status.code() {
            Some(0) => assert_eq!(lines, 0, "{}: {error}", of.display()),
            Some(1) => assert!(lines == 1 && error.contains(" at byte "), "{}: {error}", of.display()),
            other => panic!("{}: {other:?}: {error}", of.display()),
        }
    }
}

/// A capture of the project's own: a handshake, data, its retransmission and the answer.
fn capture() -> Vec<u8> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (t_us, from_client, seq, ack, flags, data) in [
        (0u32, true, 100u32, 0u32, SYN, &b""[..]),
        (10_000, false, 500, 101, SYN | ACK, b""),
        (10_100, true, 101, 501, ACK, b""),
        (10_200, true, 101, 501, ACK, b"hello"),
        (310_200, true, 101, 501, ACK, b"hello"),
        (320_200, false, 501, 106, ACK, b""),
    ] {
        let total = u16::try_from(40 + data.len()).expect("short");
        let mut ip = vec![0x45, 0];
        ip.extend(total.to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let (source, destination) = if from_client { (client, server) } else { (server, client) };
        ip.extend(source);
        ip.extend(destination);
        let (sport, dport) = if from_client { (40_000u16, 80u16) } else { (80, 40_000) };
        ip.extend(sport.to_be_bytes());
        ip.extend(dport.to_be_bytes());
        ip.extend(seq.to_be_bytes());
        ip.extend(ack.to_be_bytes());
        ip.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        ip.extend(data);
        for word in [1_700_000_000, t_us, u32::from(total), u32::from(total)] {
            file.extend(word.to_le_bytes());
        }
        file.extend(ip);
    }
    file
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a writable folder");
    file
}

const PACKETS: &str = "frame\tstream\tverdicts\tbytes_in_flight\tack_rtt\trto\tdup_ack_num\ttcp_checksum\tip_checksum\tcause\n\
                       1\t0\t\t\t\t\t\toffloaded\toffloaded\t\n\
                       2\t0\t\t\t0.010000000\t\t\toffloaded\toffloaded\t\n\
                       3\t0\t\t\t0.000100000\t\t\toffloaded\toffloaded\t\n\
                       4\t0\t\t5\t\t\t\toffloaded\toffloaded\t\n\
                       5\t0\tretransmission,rto\t5\t\t0.300000000\t\toffloaded\toffloaded\tretransmission\n";

const LAST: &str = "6\t0\t\t\t0.310000000\t\t\toffloaded\toffloaded\t\n";

fn a_cut_capture_is_analysed_up_to_the_cut() {
    let bytes = capture();
    let whole = written(&bytes);
    let output = analyze(whole.path(), &["--packets", "--format", "tsv"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), [PACKETS, LAST].concat());
    assert_eq!(output.status.code(), Some(0));
    let cut = written(&bytes[..bytes.len() - 1]);
    let output = analyze(cut.path(), &["--packets", "--format", "tsv"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), PACKETS);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    let at = format!("at byte {}", bytes.len() - 56);
    assert!(error.lines().count() == 1 && error.contains(&at), "{error}");
    let output = analyze(cut.path(), &["--format", "json"]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["packets"], 5);
    assert_eq!(summary["verdicts"]["retransmission"], 1);
}

fn standard_input_and_packed_files_are_read() {
    let bytes = capture();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).expect("into memory");
    for input in [bytes, gzip.finish().expect("into memory")] {
        let mut child = agent::command()
            .args(["analyze", "--packets", "--format", "tsv", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tracenet starts");
        child.stdin.take().expect("piped").write_all(&input).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stdout), [PACKETS, LAST].concat());
    }
}

fn usage_and_missing_files_have_their_exit_codes() {
    let file = written(&capture());
    let run = |args: &[&str]| agent::command().arg("analyze").args(args).output().expect("tracenet starts");
    let path = file.path().to_str().expect("UTF-8");
    for (args, code) in [
        (&[][..], 2),
        (&["--packets", "--expert", path], 2),
        (&["--format", "xml", path], 2),
        (&["/no/such/capture.pcap"], 4),
        (&[path, "/no/such/capture.pcap"], 4),
        (&["/"], 1),
        (&["/proc/self/cmdline"], 1),
        (&[path, path], 0),
    ] {
        let output = run(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert_eq!(error.is_empty(), code == 0, "{args:?}: {error}");
    }
}

/// What tshark reads in a capture of the packets that meet a filter.
fn tshark(file: &Path, filter: &str) -> String {
    let fields =
        ["frame.time_epoch", "frame.len", "frame.cap_len", "frame.encap_type", "tcp.seq_raw", "udp.length"];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    String::from_utf8_lossy(&command.output().expect("tshark starts").stdout).into_owned()
}

fn packets_that_are_shown_are_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let written = folder.path().join("written.pcapng");
    let path = written.to_str().expect("UTF-8");
    for name in [
        "zeek_retransmit-fast009.pcap",
        "wireshark_many_interfaces_1.pcapng",
        "lab_any_sll2.pcap",
        "pcpp_nanosecs_big_endian.pcap",
        "ndpi_dlt_ppp.pcap",
    ] {
        let file = harness::corpus().join("captures").join(name);
        for filter in ["frame", "tcp.len > 0", "tcp.analysis.flags"] {
            let output = analyze(&file, &["-Y", filter, "-w", path]);
            assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout.is_empty(), "{name}: nothing is printed");
            assert_eq!(tshark(&written, "frame"), tshark(&file, filter), "{name}: {filter}");
        }
    }
    let file = harness::corpus().join("captures/zeek_retransmit-fast009.pcap");
    let before = std::fs::read(&file).expect("readable");
    for (to, code) in [("/dev/full", 1), ("/no/such/folder/file", 1), (file.to_str().expect("UTF-8"), 2)] {
        let output = analyze(&file, &["-w", to]);
        assert_eq!(output.status.code(), Some(code), "{to}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{to}");
    }
    assert_eq!(std::fs::read(&file).expect("readable"), before, "what is read is left alone");
}

fn a_reader_that_goes_away_ends_it_quietly() {
    let mut bytes = capture();
    let packets = bytes.split_off(24);
    for _ in 0..20_000 {
        bytes.extend_from_slice(&packets);
    }
    let file = written(&bytes);
    let mut child: Command = agent::command();
    let mut child = child
        .args(["analyze", "--packets"])
        .arg(file.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tracenet starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(line.contains("[S]") && output.stderr.is_empty(), "{line}");
}
