//! What tshark says of each TCP frame: read from a table that was made before, or asked of tshark itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use tracenet_core::tcp::Verdicts;

/// tshark's word on a frame. Times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub stream: u32,
    pub verdicts: Verdicts,
    pub rto: Option<u64>,
    pub dup_ack_num: Option<u32>,
    pub bytes_in_flight: Option<u32>,
    pub ack_rtt: Option<u64>,
    pub initial_rtt: Option<u64>,
    pub len: Option<u32>,
    pub quoted: bool,
}

/// By frame number, from 1.
pub type Rows = BTreeMap<u32, Row>;

/// Reads `<dir>/<capture's name>.tcp.tsv.gz`.
pub fn read(dir: &Path, capture: &Path) -> anyhow::Result<Rows> {
    let name = capture.file_name().context("capture without a name")?.to_string_lossy();
    let path = dir.join(format!("{name}.tcp.tsv.gz"));
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut lines = BufReader::new(GzDecoder::new(file)).lines();
    let header = lines.next().context("empty table")??;
    let columns: BTreeMap<&str, usize> =
        header.split('\t').enumerate().fold(BTreeMap::new(), |mut m, (i, c)| {
            // The second column of that name holds the TCP header's flags.
            m.entry(c).or_insert(i);
            m
        });
    let mut rows = Rows::new();
    for line in lines {
        let line = line?;
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |name: &str| columns.get(name).and_then(|i| cells.get(*i)).copied().unwrap_or("");
        let Ok(frame) = cell("frame").parse() else {
            bail!("{}: no frame number in {line:?}", path.display())
        };
        let Some(stream) = first(cell("stream")).parse().ok() else { continue };
        rows.insert(
            frame,
            Row {
                stream,
                verdicts: cell("flags")
                    .split(',')
                    .filter_map(Verdicts::from_name)
                    .fold(Verdicts::NONE, |a, b| a | b),
                rto: nanos(cell("rto")),
                dup_ack_num: first(cell("duplicate_ack_num")).parse().ok(),
                bytes_in_flight: first(cell("bytes_in_flight")).parse().ok(),
                ack_rtt: nanos(cell("ack_rtt")),
                initial_rtt: nanos(cell("initial_rtt")),
                len: first(cell("len")).parse().ok(),
                quoted: cell("ip_proto_layers").contains("icmp"),
            },
        );
    }
    Ok(rows)
}

/// Runs tshark over the capture.
pub fn ask(tshark: &str, capture: &Path) -> anyhow::Result<Rows> {
    const FIELDS: [&str; 10] = [
        "frame.number",
        "tcp.stream",
        "tcp.analysis.rto",
        "tcp.analysis.duplicate_ack_num",
        "tcp.analysis.bytes_in_flight",
        "tcp.analysis.ack_rtt",
        "tcp.analysis.initial_rtt",
        "tcp.len",
        "frame.protocols",
        "tcp.analysis.flags",
    ];
    let mut command = Command::new(tshark);
    command.args(["-n", "-r"]).arg(capture).args(["-Y", "tcp", "-T", "fields", "-E", "occurrence=f"]);
    for field in FIELDS.iter().take(9) {
        command.args(["-e", field]);
    }
    for (_, name) in Verdicts::ALL {
        command.args(["-e", &format!("tcp.analysis.{name}")]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().with_context(|| {
        format!("cannot run {tshark}: install Wireshark's tshark or name it with --tshark")
    })?;
    let mut text = String::new();
    child.stdout.take().context("no output of tshark")?.read_to_string(&mut text)?;
    // A damaged capture makes it fail after it has said what came before the damage.
    child.wait()?;
    let mut rows = Rows::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |i: usize| cells.get(i).copied().unwrap_or("");
        let (Ok(frame), Ok(stream)) = (cell(0).parse(), cell(1).parse()) else { continue };
        let verdicts = Verdicts::ALL
            .iter()
            .enumerate()
            .filter(|(i, _)| !cell(9 + i).is_empty())
            .fold(Verdicts::NONE, |set, (_, (v, _))| set | *v);
        rows.insert(
            frame,
            Row {
                stream,
                verdicts,
                rto: nanos(cell(2)),
                dup_ack_num: cell(3).parse().ok(),
                bytes_in_flight: cell(4).parse().ok(),
                ack_rtt: nanos(cell(5)),
                initial_rtt: nanos(cell(6)),
                len: cell(7).parse().ok(),
                quoted: cell(8).contains("icmp"),
            },
        );
    }
    Ok(rows)
}

fn first(cell: &str) -> &str {
    cell.split(',').next().unwrap_or("")
}

/// Seconds with up to nine decimals.
fn nanos(cell: &str) -> Option<u64> {
    let (whole, part) = first(cell).split_once('.')?;
    let mut digits = part.to_owned();
    digits.truncate(9);
    let scale = 10u64.pow(9 - digits.len() as u32);
    let seconds: u64 = whole.trim_start_matches('-').parse().ok()?;
    Some(seconds * 1_000_000_000 + digits.parse::<u64>().ok()? * scale)
}
