//! `tracenet analyze --follow`: the bytes of a stream, against what tshark's own follow says of the same captures.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use tracenet_tests::case;
use tracenet_tests::harness::{self, Need, analyze};

fn main() -> ExitCode {
    harness::main(vec![
        case!(bytes_are_those_of_tshark, &[Need::Corpus, Need::Tool("tshark")]),
        case!(text_is_for_people_and_safe, &[]),
        case!(every_form_tells_the_same, &[]),
        case!(what_is_not_there_is_named, &[]),
        case!(a_ladder_shows_who_sent_what, &[]),
        case!(turns_are_timed_and_summed_up, &[]),
        case!(colour_adds_nothing_and_is_for_text_alone, &[]),
    ])
}

/// Captures with loss, reordering, repetition, gaps, cut packets, wrapping numbers, data in the SYN, tunnels and
/// several streams, and how many streams of each are compared.
const CAPTURES: &[(&str, u32)] = &[
    ("arkime_v6-http.pcap", 1),
    ("derived_caploss_3pct.pcap", 1),
    ("lab_keepalive.pcap", 1),
    ("lab_loss_nosack_snd.pcap", 1),
    ("lab_midstream.pcap", 1),
    ("lab_reorder_small_rcv.pcap", 1),
    ("lab_tfo.pcap", 2),
    ("ndpi_weibo.pcap", 8),
    ("suri_http-gap-simple.pcap", 1),
    ("wireshark_http-ooo.pcap", 1),
    ("zeek_gre-within-gre.pcap", 2),
    ("zeek_pipelined-requests.pcap", 1),
    ("zeek_retransmit-fast009.pcap", 1),
    ("zeek_ssh-dups.pcap", 1),
];

/// What each end said: the one that sent the stream's first packet comes first.
type Said = [Vec<u8>; 2];

fn ours(file: &Path, stream: u32) -> Said {
    let output = analyze(file, &["--follow", &stream.to_string(), "--format", "tsv"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut said = Said::default();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let who = usize::from(cells[2] == "server");
        match cells[5] {
            "" => said[who].extend(bytes(cells[6])),
            // tshark writes the gap into the stream, with a NUL behind it, and is silent of what was cut off.
            "not_captured" => {
                said[who].extend(format!("[{} bytes missing in capture file]\0", cells[4]).bytes());
            }
            "cut" => {}
            other => panic!("{}: {other}", file.display()),
        }
    }
    said
}

fn bytes(hex: &str) -> impl Iterator<Item = u8> {
    hex.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("hexadecimal")
    })
}

fn theirs(file: &Path, streams: u32) -> Vec<Said> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).arg("-q");
    for stream in 0..streams {
        command.args(["-z", &format!("follow,tcp,raw,{stream}")]);
    }
    let output = command.output().expect("tshark starts");
    let text = String::from_utf8(output.stdout).expect("ASCII");
    let mut all = vec![Said::default(); streams as usize];
    let mut stream = 0;
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("Filter: tcp.stream eq ") {
            stream = number.parse().expect("a number");
        } else if !line.starts_with(['=', 'F', 'N']) {
            // The second node's lines are indented.
            all[stream][usize::from(line.starts_with('\t'))].extend(bytes(line.trim()));
        }
    }
    all
}

fn bytes_are_those_of_tshark() {
    let folder = harness::corpus().join("captures");
    let mut total = 0;
    for (name, streams) in CAPTURES {
        let file: PathBuf = folder.join(name);
        for (stream, their) in (0..).zip(theirs(&file, *streams)) {
            let our = ours(&file, stream);
            for (end, (a, b)) in our.iter().zip(&their).enumerate() {
                let differ = a.iter().zip(b).position(|(x, y)| x != y);
                assert!(
                    a == b,
                    "{name}: stream {stream}, end {end}: ours {} bytes, tshark's {}, first difference {differ:?}",
                    a.len(),
                    b.len()
                );
                total += a.len();
            }
        }
    }
    assert!(total > 1_000_000, "only {total} bytes were compared");
}

/// A capture of raw IPv4: `(milliseconds, from the client, UDP, sequence number, bytes)`.
fn capture(packets: &[(u32, bool, bool, u32, &[u8])]) -> tempfile::NamedTempFile {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (t_ms, from_client, udp, seq, data) in packets {
        let header = if *udp { 8 } else { 20 };
        let total = u16::try_from(20 + header + data.len()).expect("short");
        let mut ip = vec![0x45, 0];
        ip.extend(total.to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, if *udp { 17 } else { 6 }, 0, 0]);
        let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let ends = if *from_client { [client, server] } else { [server, client] };
        ip.extend(ends.concat());
        let ports: [u16; 2] = if *from_client { [40_000, 80] } else { [80, 40_000] };
        for port in ports {
            ip.extend(port.to_be_bytes());
        }
        if *udp {
            ip.extend((total - 20).to_be_bytes());
            ip.extend([0, 0]);
        } else {
            ip.extend(seq.to_be_bytes());
            ip.extend([0; 4]);
            ip.extend([0x50, 0, 0xff, 0xff, 0, 0, 0, 0]);
        }
        ip.extend(*data);
        for word in [1_700_000_000, t_ms * 1000, u32::from(total), u32::from(total)] {
            file.extend(word.to_le_bytes());
        }
        file.extend(ip);
    }
    let mut written = tempfile::NamedTempFile::new().expect("a temporary file");
    written.write_all(&file).expect("a writable folder");
    written
}

fn text_is_for_people_and_safe() {
    let file = capture(&[
        (0, true, false, 1, b"GET / \x1b[31m\r\nHost: \xe2\x82"),
        (1, true, false, 22, b"\xac\r\n"),
        (5, false, false, 1, b"no newline"),
        (6, false, false, 14, b"after a gap\n"),
    ]);
    let output = analyze(file.path(), &["--follow", "0"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let expected = "TCP stream 0: client 10.0.0.1:40000, server 10.0.0.2:80\n\
                    \n\
                    client 0.000000000 frame 1\n\
                    > GET / \\x1b[31m\n\
                    > Host: \u{20ac}\n\
                    \n\
                    server 0.005000000 frame 3\n\
                    < no newline\n\
                    < [3 bytes missing in the capture]\n\
                    < after a gap\n\
                    \n\
                    client 24 B, server 22 B, missing 3 B\n";
    assert_eq!(text, expected);
}

fn every_form_tells_the_same() {
    let file = capture(&[
        (0, true, true, 0, b"who?"),
        (2, false, true, 0, b"me, \"you\""),
        (2, true, false, 5, b"tcp"),
        (3, true, true, 0, b"\n"),
    ]);
    let output = analyze(file.path(), &["--follow", "udp:0", "--format", "csv"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "frame,time,from,offset,len,missing,data\n\
         1,0.000000000,client,0,4,,77686f3f\n\
         2,0.002000000,server,0,9,,6d652c2022796f7522\n\
         4,0.003000000,client,4,1,,0a\n"
    );
    let output = analyze(file.path(), &["--follow", "udp:0", "--format", "json"]);
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["schema"], "tracenet.followed/1");
    assert_eq!((&lines[1]["transport"], &lines[1]["stream"]), (&"udp".into(), &0.into()));
    assert_eq!((&lines[1]["from"], &lines[1]["source"]), (&"server".into(), &"10.0.0.2:80".into()));
    assert_eq!(lines[1]["t_ns"], 1_700_000_000_002_000_000u64);
    assert_eq!((&lines[1]["data"], &lines[2]["offset"]), (&"bWUsICJ5b3Ui".into(), &4.into()));
}

fn what_is_not_there_is_named() {
    let file = capture(&[(0, true, false, 1, b"x")]);
    for (id, code, said) in [
        ("1", 1, "no packets of TCP stream 1: the capture has 1 TCP stream, the last one is 0"),
        ("udp:0", 1, "no packets of UDP conversation 0: the capture has 0 UDP conversations"),
        ("x", 2, "udp:NUMBER"),
    ] {
        let output = analyze(file.path(), &["--follow", id]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{id}: {error}");
        assert!(error.contains(said), "{id}: {error}");
    }
}

fn a_ladder_shows_who_sent_what() {
    let file = capture(&[
        (0, true, false, 1, b"ask"),
        (4, false, false, 9, b"answer"),
        (900, true, false, 1, b"ask"),
    ]);
    let output = analyze(file.path(), &["--flow-graph", "0"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "TCP stream 0\n                 10.0.0.1:40000           10.0.0.2:80\n     \
         0.000000000 |-------------- 3 B -------------->| seq 1 win 65535\n     \
         0.004000000 |<-------------- 6 B --------------| seq 1 win 65535\n     \
         0.900000000 |-------------- 3 B -------------->| seq 1 win 65535  ! retransmission\n"
    );
}

fn turns_are_timed_and_summed_up() {
    let file = capture(&[
        (0, true, false, 1, b"ask"),
        (1, true, false, 4, b"more"),
        (5, false, false, 1, b"yes"),
        (7, false, false, 4, b"yes"),
        // Sent again: neither new bytes nor a new turn.
        (8, true, false, 1, b"ask"),
        (20, true, false, 8, b"?"),
    ]);
    let output = analyze(file.path(), &["--turns", "--format", "json"]);
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let turn = &lines[0];
    for (name, value) in [
        ("request_bytes", 7),
        ("response_bytes", 6),
        ("request_ns", 1_000_000),
        ("first_byte_ns", 4_000_000),
        ("last_byte_ns", 6_000_000),
    ] {
        assert_eq!(turn[name], value, "{name}: {turn}");
    }
    assert_eq!(
        (&lines[1]["think_ns"], &lines[1]["first_byte_ns"]),
        (&13_000_000.into(), &serde_json::Value::Null)
    );
    assert_eq!(lines[2]["schema"], "tracenet.turns/1");
    assert_eq!((&lines[2]["turns"], &lines[2]["unanswered"]), (&1.into(), &1.into()));
    assert_eq!(lines[2]["last_byte_ns"]["max"], 6_000_000);
}

fn colour_adds_nothing_and_is_for_text_alone() {
    let file = capture(&[(0, true, false, 1, b"ask"), (900, true, false, 1, b"ask")]);
    for view in [&["--flow-graph", "0"][..], &["--packets"], &["--summary"], &["--expert"], &["--turns"]] {
        let shown = |format: &str, color: &str| {
            let output = analyze(file.path(), &[view, &["--format", format, "--color", color]].concat());
            String::from_utf8(output.stdout).expect("UTF-8")
        };
        let (plain, coloured) = (shown("text", "never"), shown("text", "always"));
        assert!(!plain.contains('\x1b') && coloured.contains("\x1b["), "{view:?}: {coloured:?}");
        let mut stripped = coloured;
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[36m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain, "{view:?}");
        assert_eq!(shown("text", "auto"), plain, "a pipe is no terminal: {view:?}");
        for format in ["tsv", "csv", "json"] {
            assert!(!shown(format, "always").contains('\x1b'), "{view:?}: {format}");
        }
    }
}
