//! `tracenet analyze --packets`: its column `cause` against what a laboratory link really did to each frame, with
//! tshark's verdicts held against the same truth.
//!
//! The captures are those of `../shared/corpus`, or of the folder that TRACENET_CORPUS names, for which there is a
//! `labtruth/NAME.truth.tsv.gz`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flate2::read::GzDecoder;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::{agent, case};

fn main() -> ExitCode {
    harness::main(vec![case!(causes_agree_with_what_the_link_did, &[Need::Corpus])])
}

/// Share of the segments sent again, late or twice whose cause must be the true one, in each capture.
const REQUIRED: f64 = 0.95;

/// Share of the new segments that may have a cause: the truth calls a segment new that only a pure acknowledgement
/// has overtaken.
const FALSE: f64 = 0.01;

/// A class of the truth in our word and in tshark's, `None` for what has no cause.
fn words(class: &str) -> Option<(&'static str, &'static [&'static str])> {
    match class {
        "retrans" => {
            Some(("retransmission", &["retransmission", "fast_retransmission", "spurious_retransmission"]))
        }
        "late_original" => Some(("reordered", &["out_of_order"])),
        // tshark has no word of its own for it: nothing was new in it is as near as it gets.
        _ if class.contains("dup") => Some((
            "duplicated_by_network",
            &["retransmission", "fast_retransmission", "spurious_retransmission"],
        )),
        _ => None,
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Score {
    segments: u32,
    ours: u32,
    theirs: u32,
    new: u32,
    falsely: u32,
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, ours, theirs, new, falsely } = self;
        write!(
            f,
            "tracenet {ours} of {segments}, tshark {theirs}; of {new} new segments {falsely} with a cause"
        )
    }
}

fn unpacked(path: &Path) -> Option<String> {
    let mut text = String::new();
    GzDecoder::new(File::open(path).ok()?).read_to_string(&mut text).expect("gzip");
    Some(text)
}

/// One column by the frame number.
fn column<'a>(text: &'a str, name: &str) -> BTreeMap<u64, &'a str> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    let at = |name: &str| header.iter().position(|h| *h == name).expect("the column");
    let (frame, value) = (at("frame"), at(name));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            (cells[frame].parse().expect("a frame number"), cells[value])
        })
        .collect()
}

fn score(capture: &Path, truth: &str, oracle: &str) -> Score {
    let output = agent::command()
        .args(["analyze", "--packets", "--format", "tsv"])
        .arg(capture)
        .output()
        .expect("tracenet starts");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    let (causes, flags) = (column(&table, "cause"), column(oracle, "flags"));
    let mut score = Score::default();
    for (frame, class) in column(truth, "true_class") {
        let cause = causes.get(&frame).copied().unwrap_or("");
        if class == "new" {
            score.new += 1;
            score.falsely += u32::from(!cause.is_empty());
        } else if let Some((ours, theirs)) = words(class) {
            let said = flags.get(&frame).copied().unwrap_or("");
            score.segments += 1;
            score.ours += u32::from(cause == ours);
            score.theirs += u32::from(said.split(',').any(|flag| theirs.contains(&flag)));
        }
    }
    score
}

fn causes_agree_with_what_the_link_did() {
    let corpus = harness::corpus();
    let folder = std::fs::read_dir(corpus.join("labtruth")).expect("a folder");
    let mut truths: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
    truths.sort();
    assert!(!truths.is_empty());
    let mut wrong = Vec::new();
    let mut total = Score::default();
    for path in truths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.trim_end_matches(".truth.tsv.gz");
        let truth = unpacked(&path).expect("the truth");
        let oracle = unpacked(&corpus.join(format!("oracle/{name}.tcp.tsv.gz"))).expect("tshark's word");
        let score = score(&corpus.join("captures").join(name), &truth, &oracle);
        println!("{name}: {score}");
        let required = REQUIRED * f64::from(score.segments);
        if f64::from(score.ours) < required || f64::from(score.falsely) > FALSE * f64::from(score.new) {
            wrong.push(format!("{name}: {score}"));
        }
        total.segments += score.segments;
        total.ours += score.ours;
        total.theirs += score.theirs;
        total.new += score.new;
        total.falsely += score.falsely;
    }
    println!("in all: {total}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
