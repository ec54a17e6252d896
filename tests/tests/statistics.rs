//! The statistics of `tracenet analyze` against those of tshark: protocol hierarchy, conversations, expert summary.
//!
//! The captures are those of `../shared/corpus`, or of the folder that TRACENET_CORPUS names: `captures/` and
//! `oracle/NAME.stats.txt.gz`, which holds what `tshark -q -z expert -z io,phs -z conv,...` printed. Where tshark is
//! installed, the tables that are not in there are asked of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use flate2::read::GzDecoder;
use tracenet_tests::case;
use tracenet_tests::harness::{self, Need};

fn main() -> ExitCode {
    harness::main(vec![
        case!(hierarchy_agrees_with_tshark, CORPUS),
        case!(conversations_agree_with_tshark, CORPUS),
        case!(conversations_below_the_transport_agree_with_tshark, CORPUS),
        case!(expert_agrees_with_tshark, CORPUS),
    ])
}

const CORPUS: &[Need] = &[Need::Corpus];

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stats(capture: &Path) -> Option<String> {
    let file = format!("{}.stats.txt.gz", name(capture));
    let file = File::open(harness::corpus().join("oracle").join(file)).ok()?;
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    Some(text)
}

fn table(file: &Path, option: &str) -> String {
    let output = harness::analyze(file, &[option, "--format", "tsv"]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Rows of a table without its header.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().skip(1).map(|line| line.split('\t').collect())
}

/// Frames and bytes of each node of a tree, by its path.
type Tree = BTreeMap<String, (u64, u64)>;

/// The tree that tshark printed.
fn their_tree(stats: &str) -> Tree {
    let mut tree = Tree::new();
    let mut path: Vec<&str> = Vec::new();
    let lines = stats.lines().skip_while(|l| *l != "Protocol Hierarchy Statistics");
    for line in lines.take_while(|l| !l.starts_with("====")) {
        let Some((node, rest)) = line.split_once(" frames:") else { continue };
        let Some((frames, bytes)) = rest.split_once(" bytes:") else { continue };
        path.truncate((node.len() - node.trim_start().len()) / 2);
        path.push(node.trim());
        tree.insert(path.join("/"), (frames.parse().expect("frames"), bytes.trim().parse().expect("bytes")));
    }
    tree
}

/// Up to the first transport header, or what stands in its place.
fn is_lower(path: &str) -> bool {
    let mut above = path.split('/').rev();
    above.next();
    !above.any(|node| matches!(node, "tcp" | "udp" | "icmp" | "icmpv6"))
}

/// Nodes that tshark counts otherwise, and why we don't follow.
const OTHER_NODES: &[(&str, &str, &str)] = &[
    ("ngtest_test202.pcapng", "data", NO_PACKET),
    ("lab_nmap_sU.pcap", "eth/ip/icmp/data", SCANNED),
    ("lab_nmap_sU.pcap", "eth/ip/icmp/isakmp", SCANNED),
    ("lab_nmap_sU.pcap", "eth/ip/icmp/ntp", SCANNED),
    ("lab_nmap_sU.pcap", "eth/ip/udp/data", SCANNED),
    ("lab_nmap_sU.pcap", "eth/ip/udp/tftp", SCANNED),
];

const NO_PACKET: &str = "custom blocks of pcapng are frames to tshark";
const SCANNED: &str = "a port that once asked for a file: tshark takes whatever it sends later, and what errors quote \
                       of it, for TFTP, by conversations of its own";

/// Every node that we print is one of tshark's, with its frames and bytes; none of tshark's is missing up to the
/// transport.
fn hierarchy_agrees_with_tshark() {
    let (mut equal, mut above, mut wrong) = (0, 0, Vec::new());
    for file in harness::captures() {
        let Some(stats) = stats(&file) else { continue };
        let theirs = their_tree(&stats);
        let text = table(&file, "--hierarchy");
        let ours: Tree = rows(&text)
            .map(|row| (row[0].to_owned(), (row[2].parse().expect("frames"), row[3].parse().expect("bytes"))))
            .collect();
        let name = name(&file);
        let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for path in paths {
            let (our, their) = (ours.get(path), theirs.get(path));
            if our == their {
                equal += 1;
            } else if our.is_none() && !is_lower(path) {
                above += 1;
            } else if !OTHER_NODES.iter().any(|(file, node, _)| *file == name && node == path) {
                wrong.push(format!("{name}: {path}: ours {our:?} tshark {their:?}"));
            }
        }
    }
    eprintln!("{equal} nodes equal, {above} above the transport are only tshark's");
    assert!(wrong.is_empty(), "{} nodes differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(equal > 600, "only {equal} nodes");
}

/// Both ends, frames and bytes each way, start and duration.
type Conversation = [String; 8];

/// A table of tshark's.
fn their_conversations(stats: &str, title: &str) -> Vec<Conversation> {
    let rows = stats.lines().skip_while(|line| *line != title).skip(1);
    rows.take_while(|line| !line.starts_with("====") || line.len() < 5)
        .filter_map(|line| {
            let (a, rest) = line.split_once(" <-> ")?;
            let words: Vec<&str> = rest.split_whitespace().collect();
            // `12 34 kB` or `12 345 bytes` each way, and in all.
            let [b, to_a, to_a_bytes, to_a_unit, to_b, to_b_bytes, to_b_unit, _, _, _, start, duration] =
                words[..]
            else {
                return None;
            };
            Some([
                socket(a.trim(), title),
                socket(b, title),
                to_b.to_owned(),
                format!("{to_b_bytes} {to_b_unit}"),
                to_a.to_owned(),
                format!("{to_a_bytes} {to_a_unit}"),
                start.to_owned(),
                duration.to_owned(),
            ])
        })
        .collect()
}

/// tshark writes IPv6 addresses with ports without brackets.
fn socket(text: &str, title: &str) -> String {
    match text.rsplit_once(':') {
        Some((ip, port)) if ip.contains(':') && (title.starts_with("TCP") || title.starts_with("UDP")) => {
            format!("[{ip}]:{port}")
        }
        _ => text.to_owned(),
    }
}

/// As tshark writes it: from ten thousand on in thousands, cut off.
fn bytes(text: &str) -> String {
    let n: u64 = text.parse().expect("a number");
    match n {
        0..10_000 => format!("{n} bytes"),
        10_000..10_000_000 => format!("{} kB", n / 1000),
        _ => format!("{} MB", n / 1_000_000),
    }
}

/// As tshark writes start and duration, from doubles.
fn times(start: &str, duration: &str) -> [String; 2] {
    let ns = |text: &str| -> i64 { text.replace('.', "").parse().expect("a number") };
    let (start, end) = (ns(start), ns(start) + ns(duration));
    let seconds = |ns: i64| (ns / 1_000_000_000) as f64 + (ns % 1_000_000_000) as f64 / 1e9;
    [format!("{:.9}", seconds(start)), format!("{:.4}", seconds(end) - seconds(start))]
}

fn our_conversations(text: &str, transport: &str) -> Vec<Conversation> {
    rows(text)
        .filter(|row| row[0] == transport)
        .map(|r| {
            [r[2].to_owned(), r[3].to_owned(), r[4].to_owned(), bytes(r[5]), r[6].to_owned(), bytes(r[7])]
                .into_iter()
                .chain(times(r[10], r[11]))
                .collect::<Vec<_>>()
                .try_into()
                .expect("eight")
        })
        .collect()
}

/// Where tshark counts otherwise, and why we don't follow.
const OTHER_CONVERSATIONS: &[(&str, &str, &str)] = &[
    ("ngtest_test100.pcapng", "ip", NO_PACKET),
    ("ngtest_test100.pcapng", "udp", NO_PACKET),
    ("ngtest_test202.pcapng", "ip", NO_PACKET),
    ("ngtest_test202.pcapng", "udp", NO_PACKET),
    ("ngtest_test100.pcapng", "eth", NO_PACKET),
    ("ngtest_test202.pcapng", "eth", NO_PACKET),
];

/// Compares two tables, in no order; the number of rows.
fn same(
    name: &str,
    transport: &str,
    mut ours: Vec<Conversation>,
    mut theirs: Vec<Conversation>,
) -> Result<usize, String> {
    if OTHER_CONVERSATIONS.iter().any(|(file, kind, _)| *file == name && *kind == transport) {
        return Ok(0);
    }
    ours.sort();
    theirs.sort();
    let differ = |a: &[Conversation], b: &[Conversation]| {
        a.iter().filter(|c| b.binary_search(c).is_err()).take(3).map(|c| c.join(" ")).collect::<Vec<_>>()
    };
    let (only_ours, only_theirs) = (differ(&ours, &theirs), differ(&theirs, &ours));
    if only_ours.is_empty() && only_theirs.is_empty() && ours.len() == theirs.len() {
        return Ok(theirs.len());
    }
    Err(format!("{name}: {transport}: only ours {only_ours:?}, only tshark's {only_theirs:?}"))
}

fn conversations_agree_with_tshark() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in harness::captures() {
        let Some(stats) = stats(&file) else { continue };
        let text = table(&file, "--conversations=ip,ipv6,tcp,udp");
        for (transport, title) in [
            ("ip", "IPv4 Conversations"),
            ("ipv6", "IPv6 Conversations"),
            ("tcp", "TCP Conversations"),
            ("udp", "UDP Conversations"),
        ] {
            let ours = our_conversations(&text, transport);
            match same(&name(&file), transport, ours, their_conversations(&stats, title)) {
                Ok(rows) => compared += rows,
                Err(e) => wrong.push(e),
            }
        }
    }
    eprintln!("{compared} conversations equal");
    assert!(wrong.is_empty(), "{} tables differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 1000, "only {compared} conversations");
}

/// The corpus has no table of Ethernet's: asks tshark itself, where it is installed.
fn conversations_below_the_transport_agree_with_tshark() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in harness::captures() {
        let Ok(output) =
            Command::new("tshark").args(["-n", "-q", "-z", "conv,eth", "-r"]).arg(&file).output()
        else {
            eprintln!("tshark is not installed: nothing to compare with");
            return;
        };
        let theirs = their_conversations(&String::from_utf8_lossy(&output.stdout), "Ethernet Conversations");
        let text = table(&file, "--conversations=eth");
        match same(&name(&file), "eth", our_conversations(&text, "eth"), theirs) {
            Ok(rows) => compared += rows,
            Err(e) => wrong.push(e),
        }
    }
    eprintln!("{compared} conversations equal");
    assert!(wrong.is_empty(), "{} tables differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 100, "only {compared} conversations");
}

/// Summaries of tshark's experts of TCP by their beginning, with our name.
const EXPERTS: &[(&str, &str)] = &[
    ("Connection establish request (SYN)", "syn"),
    ("Connection establish acknowledge (SYN+ACK)", "syn_ack"),
    ("Connection finish (FIN)", "fin"),
    ("Connection reset (RST)", "reset"),
    ("This frame initiates the connection closing", "closing"),
    ("This frame undergoes the connection closing", "closed"),
    ("This frame is a (suspected) retransmission", "retransmission"),
    ("This frame is a (suspected) fast retransmission", "fast_retransmission"),
    ("This frame is a (suspected) spurious retransmission", "spurious_retransmission"),
    ("This frame is a (suspected) out-of-order segment", "out_of_order"),
    ("Previous segment(s) not captured", "lost_segment"),
    ("ACKed segment that wasn't captured", "ack_lost_segment"),
    ("Duplicate ACK", "duplicate_ack"),
    ("TCP window update", "window_update"),
    ("TCP Zero Window segment", "zero_window"),
    ("TCP Zero Window Probe", "zero_window_probe"),
    ("ACK to a TCP Zero Window Probe", "zero_window_probe_ack"),
    ("TCP window specified by the receiver is now completely full", "window_full"),
    ("TCP keep-alive segment", "keep_alive"),
    ("ACK to a TCP keep-alive segment", "keep_alive_ack"),
    ("A new tcp session is started with the same ports", "reused_ports"),
];

/// Severity and name with the count.
type Experts = BTreeMap<(String, String), u64>;

fn their_experts(stats: &str) -> Experts {
    let mut experts = Experts::new();
    let mut severity = "";
    for line in stats.lines().take_while(|l| *l != "Protocol Hierarchy Statistics") {
        for (title, ours) in
            [("Errors (", "error"), ("Warns (", "warning"), ("Notes (", "note"), ("Chats (", "chat")]
        {
            if line.starts_with(title) {
                severity = ours;
            }
        }
        let mut words = line.split_whitespace();
        let (Some(Ok(count)), Some("Sequence"), Some("TCP")) =
            (words.next().map(str::parse::<u64>), words.next(), words.next())
        else {
            continue;
        };
        let summary = words.collect::<Vec<_>>().join(" ");
        if let Some((_, name)) = EXPERTS.iter().find(|(start, _)| summary.starts_with(start)) {
            *experts.entry((severity.to_owned(), (*name).to_owned())).or_default() += count;
        }
    }
    experts
}

/// Counts that differ, and why.
const OTHER_EXPERTS: &[(&str, &str, &str)] = &[];

fn expert_agrees_with_tshark() {
    let (mut equal, mut wrong) = (0, Vec::new());
    for file in harness::captures() {
        let Some(stats) = stats(&file) else { continue };
        let theirs = their_experts(&stats);
        let text = table(&file, "--expert");
        let ours: Experts = rows(&text)
            .filter(|row| EXPERTS.iter().any(|(_, name)| *name == row[2]))
            .map(|row| ((row[0].to_owned(), row[2].to_owned()), row[1].parse().expect("a count")))
            .collect();
        let name = name(&file);
        for key in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
            let (our, their) = (ours.get(key), theirs.get(key));
            if our == their {
                equal += 1;
            } else if !OTHER_EXPERTS.iter().any(|(file, expert, _)| *file == name && *expert == key.1) {
                wrong.push(format!("{name}: {key:?}: ours {our:?} tshark {their:?}"));
            }
        }
    }
    eprintln!("{equal} counts equal");
    assert!(wrong.is_empty(), "{} counts differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(equal > 200, "only {equal} counts");
}
