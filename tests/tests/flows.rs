//! `tracenet analyze --flows` against Tranalyzer2's flow files, column by column, and `tracenet explain-bits`.
//!
//! The captures are those of `../shared/corpus`, or of the folder that TRACENET_CORPUS names: `captures/` and
//! `oracle/NAME.t2flows.tsv.gz` (Tranalyzer2 0.9.3: basicFlow, basicStats, tcpFlags). A flow of ours and one of
//! theirs are the same if source, destination, protocol, first packet and both counts of packets are.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{ExitCode, Output};

use flate2::read::GzDecoder;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::{agent, case};

fn main() -> ExitCode {
    harness::main(vec![
        case!(features_agree_with_tranalyzer, &[Need::Corpus]),
        case!(both_directions_and_every_format_tell_the_same, &[Need::Corpus]),
        case!(bits_are_explained, &[]),
    ])
}

/// Of their flows, so many must be ours, too. The others: a SYN on used ports opens a stream here and goes on with
/// the flow there (or a timeout parts there what is one stream here), fragments are packets there and datagrams
/// here, and tunnels are not followed equally deep.
const REQUIRED_FLOWS: f64 = 0.98;

/// How two cells are compared.
enum By {
    /// Numbers, an empty cell being this number.
    Number(u64),
    /// The bits of this mask.
    Bits(u64),
    /// Within this share of the value. They print seven digits, of which time stamps in single precision keep
    /// those down to 64 ns: that much may always be missing.
    Near(f64),
    /// Some other way; `None` leaves the row out.
    Rule(fn(&Row, &Row) -> Option<bool>),
}

/// One of our columns and the one of theirs that means the same.
struct Column {
    ours: &'static str,
    theirs: &'static str,
    by: By,
    /// Least share of equal rows among those where one side is not zero.
    required: f64,
    /// Where the definitions differ, and why we keep ours.
    differs: &'static str,
}

type Row = BTreeMap<String, String>;

const fn column(
    ours: &'static str,
    theirs: &'static str,
    by: By,
    required: f64,
    differs: &'static str,
) -> Column {
    Column { ours, theirs, by, required, differs }
}

/// Captures that say nothing of a definition.
const LEFT_OUT: &[(&str, &str)] = &[(
    "sanders_ftp-crack.pcap",
    "its connections come twice, the second time before the first: their times wrap",
)];

/// Half of the last of seven digits, and the sums of single-precision values.
const DIGITS: f64 = 1e-5;

const CUT: &str = "of options that the snapshot length cut we tell the whole ones";
const REUSE: &str = "they go on with the state of an earlier connection, we tell a stream for each";

const COLUMNS: &[Column] = &[
    column("last", "timeLast", By::Near(1e-15), 0.99, ""),
    column("duration", "duration", By::Near(DIGITS), 0.99, ""),
    column("payload_bytes", "l7BytesSnt", By::Number(0), 0.99, "they cut the length of BIG TCP to 16 bits"),
    column("peer_payload_bytes", "l7BytesRcvd", By::Number(0), 0.99, ""),
    column("payload_min", "minL7PktSz", By::Number(0), 0.99, ""),
    column("payload_max", "maxL7PktSz", By::Number(0), 0.99, ""),
    column("payload_mean", "avgL7PktSz", By::Near(DIGITS), 0.99, ""),
    column("gap_max", "maxIAT", By::Near(DIGITS), 0.99, ""),
    column(
        "gap_mean",
        "avgIAT",
        By::Rule(gap_mean),
        0.85,
        "they count a gap of zero before the first packet",
    ),
    column(
        "packet_asymmetry",
        "pktAsm",
        By::Near(DIGITS),
        0.96,
        "theirs is -1 in some flows that have one direction only",
    ),
    column("payload_asymmetry", "bytAsm", By::Near(DIGITS), 0.99, ""),
    column("ip_id_step_min", "ipMindIPID", By::Rule(id_min), 0.99, "they begin anew after a step back"),
    column("ip_id_step_max", "ipMaxdIPID", By::Number(0), 0.99, ""),
    column("ttl_min", "ipMinTTL", By::Number(0), 0.99, ""),
    column("ttl_max", "ipMaxTTL", By::Number(0), 0.99, ""),
    column("ttl_changes", "ipTTLChg", By::Number(0), 0.99, ""),
    column("ip_tos", "ipToS", By::Number(0), 0.99, ""),
    column("ip_flags", "ipFlags", By::Bits(0xc0e4), 0.99, ""),
    column(
        "ip_flags",
        "ipFlags",
        By::Bits(0x0310),
        0.0,
        "they find faults in whole datagrams of two fragments that came in order",
    ),
    column("icmp", "icmpTCcnt", By::Rule(messages), 0.99, ""),
    column("conn_state", "tcpStatesAFlags", By::Rule(established), 0.99, ""),
    column("conn_state", "tcpStatesAFlags", By::Rule(finished), 0.99, ""),
    column(
        "conn_state",
        "tcpStatesAFlags",
        By::Rule(reset),
        0.70,
        "Zeek has no word for a reset of what never began",
    ),
    column("isn", "tcpISeqN", By::Number(0), 0.99, ""),
    column("in_sequence", "tcpPSeqCnt", By::Number(0), 0.98, ""),
    column("acks", "tcpPAckCnt", By::Number(0), 0.99, ""),
    column("seq_bytes", "tcpSeqSntBytes", By::Rule(seq_bytes), 0.90, "they leave the last segment out"),
    column(
        "acked_bytes",
        "tcpFlwLssAckRcvdBytes",
        By::Rule(acked_bytes),
        0.97,
        "they count some FIN as a byte",
    ),
    column("ack_faults", "tcpAckFaultCnt", By::Number(0), 0.60, "ours are tshark's duplicate ACKs"),
    column(
        "max_bytes_in_flight",
        "tcpBFlgtMx",
        By::Number(0),
        0.90,
        "they differ where segments are lost; ours go by the last acknowledgement",
    ),
    column("window_initial", "tcpInitWinSz", By::Number(0), 0.99, ""),
    column("window_smoothed", "tcpAvgWinSz", By::Near(DIGITS), 0.99, REUSE),
    column("window_min", "tcpMinWinSz", By::Number(0), 0.99, REUSE),
    column("window_max", "tcpMaxWinSz", By::Number(0), 0.99, REUSE),
    column("window_down", "tcpWinSzDwnCnt", By::Number(0), 0.97, REUSE),
    column("window_up", "tcpWinSzUpCnt", By::Number(0), 0.98, REUSE),
    column(
        "window_turns",
        "tcpWinSzChgDirCnt",
        By::Rule(turns),
        0.95,
        "once a window grew they count each time it shrinks",
    ),
    column("window_below_share", "tcpWinSzThRt", By::Near(DIGITS), 0.85, "one flow of ten"),
    column("tcp_flags", "tcpFlags", By::Bits(0xffff), 0.99, ""),
    column("tcp_anomaly", "tcpAnomaly", By::Bits(0x0001), 0.50, "not every SYN sent again is one to them"),
    column(
        "tcp_anomaly",
        "tcpAnomaly",
        By::Rule(sent_again),
        0.60,
        "they call most of what is sent again out of order",
    ),
    column("tcp_anomaly", "tcpAnomaly", By::Bits(0x0008), 0.50, "ours are tshark's duplicate ACKs"),
    column("tcp_anomaly", "tcpAnomaly", By::Bits(0x0010), 0.94, ""),
    column("tcp_anomaly", "tcpAnomaly", By::Bits(0x0080), 0.60, "ours are tshark's spurious retransmissions"),
    column("tcp_anomaly", "tcpAnomaly", By::Bits(0x0100), 0.70, "ours are tshark's ACKs of unseen segments"),
    column("tcp_anomaly", "tcpAnomaly", By::Bits(0x0200), 0.80, "ours are tshark's gaps"),
    column("tcp_anomaly", "tcpAnomaly", By::Bits(0x1000), 0.95, "to them a scan may carry payload"),
    column("tcp_anomaly", "tcpAnomaly", By::Bits(0x4000), 0.99, ""),
    column("tcp_status", "tcpFStat", By::Bits(0xc90a), 0.98, ""),
    column(
        "ja4t",
        "tcpJA4T",
        By::Rule(ja4t),
        0.97,
        "they lack a separator, and drop ends of lists and a scale that was not agreed",
    ),
    column("option_packets", "tcpOptPktCnt", By::Number(0), 0.98, CUT),
    column("options", "tcpOptCnt", By::Number(0), 0.98, CUT),
    column("tcp_options", "tcpOptions", By::Number(0), 0.98, CUT),
    column("mss", "tcpMSS", By::Number(0), 0.99, CUT),
    column(
        "window_scale",
        "tcpWS",
        By::Rule(scale),
        0.99,
        "theirs is a factor, and only of use where both sides agreed",
    ),
    column("mptcp_subtypes", "tcpMPTBF", By::Number(0), 0.99, ""),
    column("mptcp_flags", "tcpMPF", By::Number(0), 0.99, ""),
    column("mptcp_dss", "tcpMPDSSF", By::Number(0), 0.99, ""),
    column("timestamp", "tcpTmS", By::Number(0), 0.99, ""),
    column("timestamp_echo", "tcpTmER", By::Number(0), 0.99, ""),
    column("clock_rate", "tcpEcI", By::Rule(clock), 0.95, "they guess where too few ticks passed"),
    column("handshake_trip", "tcpSSASAATrip", By::Rule(handshake), 0.95, "theirs is of any first answer"),
    column("trip_min", "tcpRTTAckTripMin", By::Rule(trip_min), 0.99, ""),
    column(
        "trip_max",
        "tcpRTTAckTripMax",
        By::Near(DIGITS),
        0.98,
        "theirs restart with what they take for a handshake",
    ),
    column("trip_mean", "tcpRTTAckTripAvg", By::Rule(trip_mean), 0.96, "they count B's first trip twice"),
];

fn float(row: &Row, name: &str) -> f64 {
    row[name].parse().unwrap_or(0.0)
}

fn near(a: f64, b: f64, share: f64) -> bool {
    (a - b).abs() <= (share * a.abs()).max(1.3e-7)
}

fn gap_mean(our: &Row, their: &Row) -> Option<bool> {
    let n = float(our, "packets");
    Some(near(float(our, "gap_mean") * (n - 1.0) / n, float(their, "avgIAT"), DIGITS))
}

fn id_min(our: &Row, their: &Row) -> Option<bool> {
    let went_back = number(&our["ip_flags"], 0)? & 4 != 0;
    (!went_back && !our["ip_id_step_min"].is_empty()).then(|| our["ip_id_step_min"] == their["ipMindIPID"])
}

fn seq_bytes(our: &Row, their: &Row) -> Option<bool> {
    let (ours, theirs) = (number(&our["seq_bytes"], 0)?, number(&their["tcpSeqSntBytes"], 0)?);
    let last = ours.checked_sub(theirs).is_some_and(|last| Some(last) <= number(&our["payload_max"], 0));
    (ours | theirs != 0).then_some(last)
}

fn acked_bytes(our: &Row, their: &Row) -> Option<bool> {
    let (ours, theirs) = (number(&our["acked_bytes"], 0)?, number(&their["tcpFlwLssAckRcvdBytes"], 0)?);
    (ours | theirs != 0).then_some(ours.abs_diff(theirs) <= 1)
}

fn turns(our: &Row, their: &Row) -> Option<bool> {
    let (up, down) = (number(&our["window_up"], 0)?, number(&our["window_down"], 0)?);
    (up > 0).then(|| Some(1 + down) == number(&their["tcpWinSzChgDirCnt"], 0))
}

/// What was sent again, or late, in any of the three words for it.
fn sent_again(our: &Row, their: &Row) -> Option<bool> {
    let any = |cell: &str| number(cell, 0).map(|bits| bits & 0x0046 != 0);
    let (ours, theirs) = (any(&our["tcp_anomaly"])?, any(&their["tcpAnomaly"])?);
    (ours || theirs).then_some(ours == theirs)
}

fn ja4t(our: &Row, their: &Row) -> Option<bool> {
    let parts: Vec<&str> = our["ja4t"].split('_').collect();
    let [window, kinds, mss, scale] = parts[..] else { return None };
    let again = number(&our["tcp_anomaly"], 0)? & 0x0401 != 0;
    let mss = if mss == "00" { "_00" } else { mss };
    let theirs = |scale: &str| their["tcpJA4T"] == format!("{window}_{kinds}{mss}_{scale}");
    (!again).then(|| theirs(scale) || theirs("0") || theirs("00"))
}

fn scale(our: &Row, their: &Row) -> Option<bool> {
    let agreed = number(&our["tcp_status"], 0)? & 0x0200 != 0;
    agreed.then(|| number(&our["window_scale"], 0).map(|n| 1 << n) == number(&their["tcpWS"], 0))
}

fn clock(our: &Row, their: &Row) -> Option<bool> {
    (!our["clock_rate"].is_empty())
        .then(|| near(1.0 / float(our, "clock_rate"), float(their, "tcpEcI"), DIGITS))
}

fn handshake(our: &Row, their: &Row) -> Option<bool> {
    (!our["handshake_trip"].is_empty())
        .then(|| near(float(our, "handshake_trip"), float(their, "tcpSSASAATrip"), DIGITS))
}

fn trip_min(our: &Row, their: &Row) -> Option<bool> {
    (!our["trip_min"].is_empty())
        .then(|| near(float(our, "trip_min"), float(their, "tcpRTTAckTripMin"), DIGITS))
}

fn trip_mean(our: &Row, their: &Row) -> Option<bool> {
    let (mean, theirs) = (float(our, "trip_mean"), float(their, "tcpRTTAckTripAvg"));
    (our["dir"] == "A" && !our["trip_mean"].is_empty()).then(|| near(mean, theirs, DIGITS))
}

/// The first message's type is one of theirs.
fn messages(our: &Row, their: &Row) -> Option<bool> {
    let (kind, _) = our["icmp"].split_once('/')?;
    let kind: u32 = kind.parse().ok()?;
    let mut bits = their["icmpBFTypH_TypL_Code"].split('_').map(|part| number(part, 0).unwrap_or(0));
    // Types from 128 on, then types below 32, or both.
    let (high, low) = (bits.next()?, bits.next()?);
    Some(if kind >= 128 { high >> (kind - 128) & 1 == 1 } else { low >> kind & 1 == 1 })
}

/// With a handshake. Bit 0x01 of theirs: the beginning is not as it should be.
fn established(our: &Row, their: &Row) -> Option<bool> {
    let theirs = number(&their["tcpStatesAFlags"], 0)? & 0x01 == 0;
    Some(matches!(our["conn_state"].as_str(), "S1" | "S2" | "S3" | "SF" | "RSTO" | "RSTR") == theirs)
}

fn finished(our: &Row, their: &Row) -> Option<bool> {
    let theirs = number(&their["tcpStatesAFlags"], 0)? & 0x02 == 0;
    Some((our["conn_state"] == "SF") == theirs)
}

fn reset(our: &Row, their: &Row) -> Option<bool> {
    let theirs = number(&their["tcpStatesAFlags"], 0)? & 0x40 != 0;
    let from = if our["dir"] == "A" { "RSTO" } else { "RSTR" };
    let ours = our["conn_state"].starts_with(from) || our["dir"] == "B" && our["conn_state"] == "REJ";
    // Zeek's word for a connection that both had closed before is SF.
    ((ours || theirs) && our["conn_state"] != "SF").then_some(ours == theirs)
}

fn number(cell: &str, empty: u64) -> Option<u64> {
    match (cell, cell.strip_prefix("0x")) {
        ("", _) => Some(empty),
        (_, Some(hex)) => u64::from_str_radix(hex, 16).ok(),
        (decimal, None) => decimal.parse().ok(),
    }
}

impl Column {
    /// Equal or not, and whether there was anything to compare; `None` where the row has no say.
    fn compare(&self, our: &Row, their: &Row) -> Option<(bool, bool)> {
        let (a, b) = (our[self.ours].as_str(), their[self.theirs].as_str());
        match self.by {
            By::Number(empty) => {
                let (a, b) = (number(a, empty)?, number(b, 0)?);
                Some((a == b, a | b != 0))
            }
            By::Bits(mask) => {
                let (a, b) = (number(a, 0)? & mask, number(b, 0)? & mask);
                Some((a == b, a | b != 0))
            }
            By::Near(share) => {
                let (a, b) = (float(our, self.ours), float(their, self.theirs));
                Some((near(a, b, share), a != 0.0 || b != 0.0))
            }
            By::Rule(rule) => rule(our, their).map(|same| (same, true)),
        }
    }
}

fn flows(file: &Path, format: &str) -> Output {
    harness::analyze(file, &["--flows", "--format", format])
}

fn oracle(capture: &Path) -> Option<String> {
    let name = capture.file_name()?.to_string_lossy().into_owned();
    let file = File::open(harness::corpus().join("oracle").join(format!("{name}.t2flows.tsv.gz"))).ok()?;
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    Some(text)
}

fn table(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    let row = |line: &str| -> Row {
        header
            .iter()
            .zip(line.split('\t'))
            .map(|(name, cell)| ((*name).to_owned(), cell.to_owned()))
            .collect()
    };
    lines.map(row).collect()
}

/// Protocol, source, destination, first packet, packets both ways.
type Key = (String, SocketAddr, SocketAddr, String, String, String);

fn our_key(row: &Row) -> Key {
    let end = |name: &str| row[name].parse().expect("an address");
    let cell = |name: &str| row[name].clone();
    let protocol = match row["transport"].as_str() {
        "tcp" => "6",
        "udp" => "17",
        "icmp" => "1",
        "icmpv6" => "58",
        other => other,
    };
    (
        protocol.to_owned(),
        end("source"),
        end("destination"),
        cell("first"),
        cell("packets"),
        cell("peer_packets"),
    )
}

fn their_key(row: &Row) -> Option<Key> {
    let end = |ip: &str, port: &str| {
        Some(SocketAddr::new(row[ip].parse::<IpAddr>().ok()?, row[port].parse().ok()?))
    };
    let cell = |name: &str| row[name].clone();
    let (source, destination) = (end("srcIP", "srcPort")?, end("dstIP", "dstPort")?);
    Some((cell("l4Proto"), source, destination, cell("timeFirst"), cell("pktsSnt"), cell("pktsRcvd")))
}

fn features_agree_with_tranalyzer() {
    let (mut theirs, mut found) = (0u64, 0u64);
    let mut apart: BTreeMap<String, u64> = BTreeMap::new();
    // Rows compared, equal; of them with something in them, equal; an example of a difference.
    let mut counts = vec![([0u64; 4], String::new()); COLUMNS.len()];
    for file in harness::captures() {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(text) = oracle(&file).filter(|_| LEFT_OUT.iter().all(|(left, _)| *left != name)) else {
            continue;
        };
        let output = flows(&file, "tsv");
        let ours = table(&String::from_utf8_lossy(&output.stdout));
        let ours: HashMap<Key, &Row> = ours.iter().map(|row| (our_key(row), row)).collect();
        for their in table(&text) {
            let Some(key) = their_key(&their).filter(|key| matches!(key.0.as_str(), "6" | "17" | "1" | "58"))
            else {
                continue;
            };
            theirs += 1;
            let Some(our) = ours.get(&key) else {
                *apart.entry(name.clone()).or_default() += 1;
                continue;
            };
            found += 1;
            for (column, (count, example)) in COLUMNS.iter().zip(&mut counts) {
                let no_tcp = key.0 != "6" && column.theirs.starts_with("tcp");
                let Some((same, said)) = column.compare(our, &their).filter(|_| !no_tcp) else { continue };
                for (count, holds) in count.iter_mut().zip([true, same, said, said && same]) {
                    *count += u64::from(holds);
                }
                if !same && example.is_empty() {
                    let dir = &their["%dir"];
                    *example = format!(
                        "{name} {} {dir}: {} against {}",
                        their["flowInd"], our[column.ours], their[column.theirs]
                    );
                }
            }
        }
    }
    println!("{found} of {theirs} flows are told apart alike; otherwise: {apart:?}");
    println!("{:<22} {:<22} {:>8} {:>8} {:>8}", "ours", "theirs", "rows", "not zero", "share");
    let mut short = Vec::new();
    for (column, ([rows, _, said, same], example)) in COLUMNS.iter().zip(&counts) {
        let share = *same as f64 / (*said).max(1) as f64;
        let bits = if let By::Bits(mask) = column.by { format!(" {mask:#06x}") } else { String::new() };
        let theirs = format!("{}{bits}", column.theirs);
        println!("{:<22} {theirs:<22} {rows:>8} {said:>8} {share:>8.4} {example}", column.ours);
        if !column.differs.is_empty() {
            println!("    {}", column.differs);
        }
        if *said > 0 && share < column.required {
            short.push(format!("{} {share:.4} < {}", column.ours, column.required));
        }
    }
    assert!(short.is_empty(), "{short:?}");
    assert!(found as f64 >= REQUIRED_FLOWS * theirs as f64);
}

fn both_directions_and_every_format_tell_the_same() {
    let file = harness::corpus().join("captures/lab_portreuse.pcap");
    let tsv = String::from_utf8(flows(&file, "tsv").stdout).expect("text");
    let csv = String::from_utf8(flows(&file, "csv").stdout).expect("text");
    assert_eq!(tsv.replace('\t', ","), csv);
    let rows = table(&tsv);
    let json = String::from_utf8(flows(&file, "json").stdout).expect("text");
    assert_eq!(json.lines().count(), rows.len());
    for (line, row) in json.lines().zip(&rows) {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(value["schema"], "tracenet.flow/1");
        assert_eq!(value["packets"].to_string(), row["packets"]);
        assert_eq!(value["dir"], row["dir"].as_str());
        assert_eq!(value["first_ns"].to_string(), row["first"].replace('.', ""));
    }
    let numbers: Vec<u64> = rows.iter().map(|row| row["flow"].parse().expect("a number")).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let text = String::from_utf8(flows(&file, "text").stdout).expect("text");
    assert!(text.contains("64240_2-4-8-1-3_1460_10"), "{text}");
}

fn bits_are_explained() {
    let explain = |arguments: &[&str]| {
        agent::command().arg("explain-bits").args(arguments).output().expect("tracenet starts")
    };
    let good = explain(&["tcp_anomaly=0x02c4", "tcp_flags=2"]);
    let text = String::from_utf8_lossy(&good.stdout);
    assert!(good.status.success());
    for word in ["0x0004", "0x0040  out of order", "0x0200", "0x0002  SYN"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let bad = explain(&["no_such=1"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("tcp_anomaly"));
    let list = explain(&[]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("tcpWinSzDwnCnt"));
}
