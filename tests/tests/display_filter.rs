//! `tracenet analyze -Y`: which packets a display filter shows, against tshark with the same filter.
//!
//! The captures are those of `../shared/corpus`, or of the folder that TRACENET_CORPUS names. `--packets` shows TCP
//! only, so tshark is asked for TCP frames only; of other frames the number is compared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use tracenet_tests::case;
use tracenet_tests::harness::{self, Need, analyze};

fn main() -> ExitCode {
    harness::main(vec![
        case!(filters_show_what_tshark_shows, &[Need::Corpus, Need::Tool("tshark")]),
        case!(filters_count_what_tshark_counts, &[Need::Corpus, Need::Tool("tshark")]),
        case!(numbers_are_those_of_the_whole_capture, &[Need::Corpus]),
        case!(a_wrong_filter_is_a_usage_error_with_its_column, &[]),
    ])
}

/// Each with the capture that it says something about.
const FILTERS: &[(&str, &[&str])] = &[
    (
        "zeek_retransmit-fast009.pcap",
        &[
            "tcp.analysis.flags",
            "tcp.analysis.retransmission || tcp.analysis.duplicate_ack",
            "tcp.analysis.duplicate_ack_num > 2",
            "tcp.analysis.bytes_in_flight >= 2920 && !tcp.analysis.flags",
            "tcp.analysis.ack_rtt < 0.05",
            "tcp.analysis.initial_rtt",
            "tcp.srcport != 80",
            "tcp.port != 80",
            "tcp.port === 80",
            "all tcp.port > 79",
            "any tcp.port != 80",
            "udp.port not in {80}",
            "tcp[13] & 2",
            "tcp[13] & 0x12 == 0x12",
            "tcp[12:2] & f0:00 == 50:00",
            "tcp[20:]",
            "tcp[2-3] == 00:50",
            "tcp[-1] == 0",
            "tcp.flags & 0x2 && !(tcp.flags & 0x10)",
            "tcp.flags.str matches \"a.*p\"",
            "tcp.options.sack_le > 1",
            "tcp.options.sack.count == 1",
            "tcp.options contains 02:04",
            "tcp.option_kind in {2, 4}",
            "tcp.hdr_len > 20",
            "tcp.window_size_scalefactor == -2",
            "tcp.seq == 1 || tcp.ack == 1",
            "tcp.nxtseq - tcp.seq == tcp.len",
            "tcp.srcport -81 < 0",
            "tcp.dstport >= 4 * {tcp.srcport + 3}",
            "max(tcp.srcport, tcp.dstport) == tcp.srcport",
            "abs(tcp.srcport - tcp.dstport) > 10 and frame.number % 2",
            "frame.number in {1..3, 5, 30..0x20}",
            "frame.number & 3 == 2",
            "frame.number > -1",
            "frame.len - frame.cap_len == 0",
            "frame.time_relative > 0.1 + 0.1 && frame.time_delta in {0 .. 0.01}",
            "tcp.time_delta > 0.001",
            "string(frame.number) matches \"[13579]$\"",
            "ip.src == 10.0.0.0/8 and not ip.dst > 193.0.0.0",
            "ip.flags.df == 1 && ip.ttl < 65",
            "ip.src[0] == 0a",
            "eth.addr contains 00",
            "frame.protocols contains \"ethertype:ip:tcp\"",
            "len(tcp) == 32",
            "tcp.connection.syn or tcp.connection.rst",
        ],
    ),
    (
        "lab_keepalive.pcap",
        &[
            "tcp.analysis.keep_alive || tcp.analysis.keep_alive_ack",
            "tcp.window_size > 64512",
            "tcp.window_size_scalefactor == 1024",
            "tcp.options.timestamp.tsval > tcp.options.timestamp.tsecr",
            "tcp.options.wscale.shift == 10",
            "tcp.time_relative >= 0.003 and tcp.len == 0",
            "tcp.payload[0:1] == \"p\" || tcp.payload matches \"^[a-m]\"",
        ],
    ),
    (
        "arkime_v6-http.pcap",
        &[
            "ipv6.addr == 2000::/3",
            "ipv6.src == ipv6.dst or ipv6.hlim < 60",
            "tcp contains 00:50 && tcp.payload contains \"HTTP/1.1\"",
            "tcp.payload matches \"^get [^ ]+ http\"",
            "lower(frame.protocols) contains \"ipv6\" && frame contains \"Host:\"",
            "frame[14] & f0 == 60",
            "ip or tcp.stream eq 1",
        ],
    ),
    (
        "zeek_gre-within-gre.pcap",
        &[
            "count(ip.addr) > 4",
            "gre.proto == 0x0800 && tcp",
            "ip#2",
            "ip.ttl#1 == 64",
            "ip.addr#[-1] == 10.0.0.0/8",
        ],
    ),
    (
        "zeek_mixed-vlan-mpls.pcap",
        &[
            "vlan.id > 100",
            "mpls.label",
            "mpls.bottom == 1 && mpls.ttl > 200",
            "eth.type == 0x8100",
            "eth.dst[0] & 1",
        ],
    ),
    (
        "ja4_ssh2.pcapng",
        &[
            "icmp.type == 3 && tcp.stream == 1",
            "icmp",
            "tcp.stream in {2, 10} && !icmp",
            "tcp.analysis.out_of_order || tcp.analysis.window_update",
            "ip.proto == TCP && ip.id == 0",
        ],
    ),
];

/// What is not about TCP.
const OTHERS: &[(&str, &[&str])] = &[
    (
        "kurose_ip_frag.pcapng",
        &[
            "ip.frag_offset == 185 || ip.flags.mf == 1",
            "icmp.type == 8 && icmp.seq & 1",
            "udp.length > 100 and udp.payload[0] > 10",
            "not tcp and not udp",
            "frame.time < \"Jan 1, 2018 00:00:00 UTC\" or eth.dst.ig == 1",
        ],
    ),
    (
        "zeek_mixed-vlan-mpls.pcap",
        &["vlan.priority > 0", "mpls.label > 20", "ip.addr", "udp.port == 53", "len(ip) == 20"],
    ),
    (
        "lab_any_sll2.pcap",
        &["sll.pkttype == 4", "sll.src.eth", "icmpv6.type == 128", "ipv6.nxt == 58", "arp.opcode == request"],
    ),
    (
        "sanders_arppoison.pcapng",
        &[
            "arp.opcode == 2",
            "arp.src.proto_ipv4 == 172.16.0.0/12",
            "eth.dst == ff:ff:ff:ff:ff:ff",
            "eth.type == ARP",
        ],
    ),
    ("zeek_gre-within-gre.pcap", &["gre.proto", "count(ip.addr) > 4", "len(gre) > 200"]),
    ("zeek_llc.pcap", &["llc", "eth.len > 40"]),
];

fn capture(name: &str) -> PathBuf {
    harness::corpus().join("captures").join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The frames of a table or list whose first column is their number.
fn frames(table: &str) -> BTreeSet<u64> {
    table.lines().filter_map(|line| line.split('\t').next()?.parse().ok()).collect()
}

fn shown(file: &Path, filter: &str) -> BTreeSet<u64> {
    let output = analyze(file, &["--packets", "--format", "tsv", "-Y", filter]);
    assert!(output.status.success(), "{filter}: {}", text(&output.stderr));
    frames(&text(&output.stdout))
}

/// TCP frames.
fn tshark(file: &Path, filter: &str) -> BTreeSet<u64> {
    matched(file, &format!("tcp && ({filter})"))
}

/// Frames that meet a filter, by tshark.
fn matched(file: &Path, filter: &str) -> BTreeSet<u64> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(["-Y", filter, "-T", "fields", "-e", "frame.number"])
        .output()
        .expect("tshark starts");
    assert!(output.status.success(), "{filter}: {}", text(&output.stderr));
    frames(&text(&output.stdout))
}

/// Captures of a corpus kept apart may have other names: what is absent is not compared.
fn filters_show_what_tshark_shows() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (name, filters) in FILTERS {
        let file = capture(name);
        if !file.is_file() {
            continue;
        }
        for filter in *filters {
            let (ours, theirs) = (shown(&file, filter), tshark(&file, filter));
            compared += 1;
            if ours != theirs {
                let more: Vec<_> = ours.difference(&theirs).take(9).collect();
                let less: Vec<_> = theirs.difference(&ours).take(9).collect();
                wrong.push(format!("{name}: {filter}: shown too much {more:?}, left out {less:?}"));
            }
        }
    }
    println!("{compared} filters compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Packets of the summary.
fn filters_count_what_tshark_counts() {
    let mut wrong = Vec::new();
    for (name, filters) in OTHERS {
        let file = capture(name);
        if !file.is_file() {
            continue;
        }
        for filter in *filters {
            let output = analyze(&file, &["--format", "json", "-Y", filter]);
            let first = text(&output.stdout).lines().next().map(str::to_owned).unwrap_or_default();
            let said: serde_json::Value = serde_json::from_str(&first).expect("JSON");
            let theirs = matched(&file, filter).len() as u64;
            if said["packets"] != theirs {
                wrong.push(format!("{name}: {filter}: {} instead of {theirs}", said["packets"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The filter decides what is shown, not what is analysed.
fn numbers_are_those_of_the_whole_capture() {
    let file = capture("zeek_retransmit-fast009.pcap");
    if !file.is_file() {
        return;
    }
    let all = text(&analyze(&file, &["--packets", "--format", "tsv"]).stdout);
    let some = text(&analyze(&file, &["--packets", "--format", "tsv", "-Y", "tcp.analysis.flags"]).stdout);
    assert!(some.lines().count() > 1 && some.lines().count() < all.lines().count());
    let lines: BTreeSet<&str> = all.lines().collect();
    for line in some.lines() {
        assert!(lines.contains(line), "{line}");
    }
}

fn a_wrong_filter_is_a_usage_error_with_its_column() {
    for (filter, column, part) in [
        ("ip and tcp.prot == 80", 8, "did you mean tcp.port?"),
        ("tcp.port == 80 and", 19, "ends too early"),
        ("tcp.port = 80", 10, "=="),
        ("frame matches \"(\"", 15, "regular expression"),
    ] {
        let output = analyze(Path::new("-"), &["-Y", filter]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{filter}: {said}");
        assert!(said.contains(&format!("column {column}: ")) && said.contains(part), "{filter}: {said}");
        // A caret below the column.
        let lines: Vec<&str> = said.lines().collect();
        let caret = lines.iter().position(|l| l.ends_with('^')).expect("a caret");
        let start = lines[caret - 1].find(filter).expect("the filter above it");
        assert_eq!(lines[caret].len(), start + column, "{said}");
        assert!(output.stdout.is_empty());
    }
}
