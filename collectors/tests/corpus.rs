//! The shared captures against tshark's table of their TCP frames.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tracenet_collectors::decode::{LinkType, decode_frame};

/// TRACENET_CORPUS, else beside the repository.
fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("TRACENET_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"), PathBuf::from);
    if root.join("captures").is_dir() {
        return Some(root);
    }
    eprintln!("skipped: no corpus (set TRACENET_CORPUS)");
    None
}

/// What both say of a TCP frame: number in the file, sequence, acknowledgement, flags, window, payload length.
type Row = (u64, u32, u32, u8, u16, u32);

/// Interfaces of different link types in one file: libpcap doesn't read such.
const NOT_READ: [&str; 1] = ["wireshark_many_interfaces_1.pcapng"];

fn decoded(path: &Path) -> Vec<Row> {
    let mut file = pcap::Capture::from_file(path).unwrap();
    let link = LinkType::from_dlt(file.get_datalink().0);
    let mut rows = Vec::new();
    let mut frame = 0;
    // A damaged file ends in an error: what came before counts.
    while let Ok(p) = file.next_packet() {
        frame += 1;
        let Ok(d) = decode_frame(link, p.data, p.header.len) else { continue };
        assert!(d.payload.len() <= p.data.len());
        if let Some(t) = d.tcp {
            rows.push((frame, t.seq, t.ack, t.flags, t.window, d.payload_len));
        }
    }
    rows
}

/// tshark's rows, without those of packets within packets (tunnels, headers quoted by ICMP).
fn oracle(root: &Path, name: &str) -> Vec<Row> {
    let mut text = String::new();
    let Ok(file) = fs::File::open(root.join("oracle").join(format!("{name}.tcp.tsv.gz"))) else {
        return Vec::new();
    };
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut lines = text.lines().map(|l| l.split('\t').collect::<Vec<_>>());
    let Some(head) = lines.next() else { return Vec::new() };
    let at = |name: &str| head.iter().position(|h| *h == name).unwrap();
    // The first "flags" are those of the analysis.
    let flags = head.iter().rposition(|h| *h == "flags").unwrap();
    let (seq, ack, window, len) = (at("seq_raw"), at("ack_raw"), at("window_size_value"), at("len"));
    let protocols = at("ip_proto_layers");
    lines
        .filter(|c| c[protocols].split(':').filter(|p| ["ip", "ipv6"].contains(p)).count() == 1)
        .map(|c| {
            let number = |i: usize| c[i].parse::<u32>().unwrap_or(0);
            let flags = u32::from_str_radix(c[flags].trim_start_matches("0x"), 16).unwrap_or(0);
            (
                u64::from(number(0)),
                number(seq),
                number(ack),
                (flags & 0xff) as u8,
                number(window) as u16,
                number(len),
            )
        })
        .collect()
}

#[test]
fn tcp_frames_are_those_that_tshark_finds() {
    let Some(root) = corpus() else { return };
    let mut names: Vec<String> = fs::read_dir(root.join("captures"))
        .unwrap()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let mut differing = Vec::new();
    let mut frames = 0;
    for name in names.iter().filter(|n| !NOT_READ.contains(&n.as_str())) {
        let ours = decoded(&root.join("captures").join(name));
        let theirs = oracle(&root, name);
        frames += ours.len();
        if ours != theirs {
            let first = ours.iter().zip(&theirs).find(|(a, b)| a != b);
            differing.push(format!(
                "{name}: {} frames, tshark {}, first {first:?}",
                ours.len(),
                theirs.len()
            ));
        }
    }
    println!("{} files, {frames} TCP frames", names.len());
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
