//! Holds the TCP analyser against tshark, frame by frame, over a folder of captures.
//!
//! Differences go to standard output; `--diff FILE` shows those of one capture with what tshark and we say of the
//! frames before. The exit code is 1 where a verdict that tshark gives at least 20 times has a precision or recall
//! below `--require`.

mod decode;
mod oracle;
mod score;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tracenet_core::tcp::{StreamSegment, Streams};

use crate::oracle::{Row, Rows};
use crate::score::Score;

/// Compare tracenet's TCP analyser with tshark.
#[derive(Debug, Parser)]
struct Args {
    /// Captures, or folders of captures.
    #[arg(required = true)]
    captures: Vec<PathBuf>,
    /// Folder with NAME.tcp.tsv.gz per capture; without it tshark is run.
    #[arg(long)]
    oracle: Option<PathBuf>,
    /// tshark to run.
    #[arg(long, default_value = "tshark")]
    tshark: String,
    /// Print the differing frames of every capture whose name contains this.
    #[arg(long)]
    diff: Option<String>,
    /// Differences to print for a capture.
    #[arg(long, default_value_t = 10)]
    first: usize,
    /// Precision and recall that every verdict must reach.
    #[arg(long, default_value_t = 0.99)]
    require: f64,
    /// Frames of the same stream to print before a difference.
    #[arg(long, default_value_t = 6)]
    context: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let mut files = Vec::new();
    for path in &args.captures {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
                files.push(entry?.path());
            }
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    let mut total = Score::default();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let rows = match &args.oracle {
            Some(dir) => oracle::read(dir, file),
            None => oracle::ask(&args.tshark, file),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(e) => {
                println!("{name}: left out: {e:#}");
                continue;
            }
        };
        if rows.is_empty() {
            continue;
        }
        let diff = args.diff.as_deref().is_some_and(|d| name.contains(d));
        match compare(&args, file, &rows, diff) {
            Ok(score) => {
                if score.same_all < score.frames + score.missing {
                    println!(
                        "{name}: {} frames, {} with other verdicts, {} with any difference, {} not found",
                        score.frames,
                        score.frames - score.same_verdicts,
                        score.frames - score.same_all,
                        score.missing
                    );
                }
                total.merge(&score);
            }
            Err(e) => println!("{name}: left out: {e:#}"),
        }
    }
    println!("{total}");
    Ok(if total.lowest(20) < args.require { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn compare(args: &Args, file: &Path, rows: &Rows, diff: bool) -> anyhow::Result<Score> {
    let mut capture = pcap::Capture::from_file_with_precision(file, pcap::Precision::Nano)?;
    let linktype = capture.get_datalink().0;
    let mut streams = Streams::new();
    let mut score = Score::default();
    let mut history: HashMap<u32, Vec<String>> = HashMap::new();
    let (mut frame, mut shown, mut start) = (0u32, 0, None);
    let mut seen = 0u64;
    // A damaged file ends in an error: what came before counts.
    while let Ok(packet) = capture.next_packet() {
        frame += 1;
        let t = packet.header.ts.tv_sec as u64 * 1_000_000_000 + packet.header.ts.tv_usec as u64;
        let start = *start.get_or_insert(t);
        let Some(found) = decode::tcp(linktype, packet.data, packet.header.len) else { continue };
        if found.quoted {
            let stream = streams.quoted(t, found.src, found.dst, &found.seg);
            seen += u64::from(rows.get(&frame).is_some_and(|r| r.stream == stream));
            continue;
        }
        let ours = streams.segment(t, found.src, found.dst, &found.seg, found.payload_len, found.ip_id);
        let Some(theirs) = rows.get(&frame) else { continue };
        seen += 1;
        if found.cut {
            score.cut += 1;
            continue;
        }
        let same = score.add(&ours, theirs);
        if diff {
            let lines = history.entry(theirs.stream).or_default();
            lines.push(line(frame, t.saturating_sub(start), &found, &ours, theirs, same));
            if !same && shown < args.first {
                shown += 1;
                println!("--- stream {}", theirs.stream);
                for l in lines.drain(..).rev().take(args.context + 1).collect::<Vec<_>>().iter().rev() {
                    println!("{l}");
                }
            }
        }
    }
    score.missing = (rows.len() as u64).saturating_sub(seen);
    Ok(score)
}

fn line(frame: u32, t: u64, found: &decode::Found, ours: &StreamSegment, theirs: &Row, same: bool) -> String {
    let s = &found.seg;
    let a = &ours.analysis;
    let head = format!(
        "{} {frame:>6} {:>13.6} {:?} {} seq {} ack {} len {} win {} fl {:02x} ws {:?} sack {:?}",
        if same { ' ' } else { '*' },
        t as f64 / 1e9,
        ours.from,
        found.src.port(),
        s.seq,
        s.ack,
        found.payload_len,
        s.window,
        s.flags,
        s.options.window_scale,
        &s.options.sack[..usize::from(s.options.sack_count)],
    );
    if same {
        let dup = theirs.dup_ack_num.map(|n| format!("#{n}")).unwrap_or_default();
        return format!("{head} = {}{dup} bif {:?}", theirs.verdicts, theirs.bytes_in_flight);
    }
    format!(
        "{head}\n    tshark {} rto {:?} dup {:?} bif {:?} rtt {:?} irtt {:?} stream {} len {:?}\n    ours   {} rto {:?} dup {:?} bif {:?} rtt {:?} irtt {:?} stream {}",
        theirs.verdicts,
        theirs.rto,
        theirs.dup_ack_num,
        theirs.bytes_in_flight,
        theirs.ack_rtt,
        theirs.initial_rtt,
        theirs.stream,
        theirs.len,
        a.verdicts,
        a.rto.map(|d| d.0),
        a.dup_ack_num,
        a.bytes_in_flight,
        a.ack_rtt.map(|d| d.0),
        a.initial_rtt.map(|d| d.0),
        ours.stream,
    )
}
