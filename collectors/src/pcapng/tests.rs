use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::*;
use crate::decode::LinkType;

fn link(source: u16) -> Link {
    Link {
        source,
        name: "any".into(),
        description: Some("netns 4026531840".into()),
        link_type: LinkType::Raw,
        snaplen: 65_535,
        filter: Some("tcp port 80".into()),
    }
}

fn packet() -> Vec<u8> {
    let mut b = Vec::new();
    etherparse::PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1000, 80, 1, 1)
        .write(&mut b, b"hello")
        .unwrap();
    b
}

const WALL: WallNs = WallNs(1_700_000_000_123_456_789);

fn record<'a>(source: u16, data: &'a [u8], comment: &'a str) -> Record<'a> {
    Record {
        source,
        wall: WALL,
        wire_len: u32::try_from(data.len()).unwrap() + 1_000,
        data,
        comment,
        direction: Some(Direction::Out),
    }
}

fn run(program: &str, args: &[&str]) -> Option<(String, String)> {
    let Ok(out) = Command::new(program).args(args).output() else {
        eprintln!("skipped: {program} is not installed");
        return None;
    };
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    Some((
        String::from_utf8_lossy(&out.stdout).into_owned(),
        String::from_utf8_lossy(&out.stderr)
            .lines()
            .filter(|l| !l.starts_with("Running as user"))
            .collect::<Vec<_>>()
            .join("\n"),
    ))
}

fn sample(path: &Path) {
    let mut w = Writer::create(path).unwrap();
    w.add_interface(&link(7)).unwrap();
    w.add_interface(&Link { name: "eth0".into(), filter: None, description: None, ..link(3) }).unwrap();
    let data = packet();
    w.packet(&record(7, &data, "pid=28182 comm=api conn=c7")).unwrap();
    w.packet(&record(3, &data, "")).unwrap();
    w.packet(&Record { direction: None, ..record(3, &data, "comm=żółć") }).unwrap();
    w.packet(&record(99, &data, "of nobody")).unwrap();
    assert_eq!(w.unwritten(), 1);
    let capture = CaptureStats { received: 12, dropped: 4, if_dropped: 2, ..CaptureStats::default() };
    let totals = Totals { start: WALL, end: WallNs(WALL.0 + 1_500_000_000), capture };
    w.statistics(7, &totals).unwrap();
    w.statistics(3, &totals).unwrap();
}

#[test]
fn wireshark_s_tools_read_it_without_complaint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcapng");
    sample(&path);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let file = path.to_str().unwrap();
    let fields = [
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.comment",
        "tcp.dstport",
    ];
    let mut args = vec!["-r", file, "-T", "fields"];
    for f in &fields {
        args.extend(["-e", f]);
    }
    let Some((out, err)) = run("tshark", &args) else { return };
    assert_eq!(err, "");
    let rows: Vec<Vec<&str>> = out.lines().map(|l| l.split('\t').collect()).collect();
    assert_eq!(rows.len(), 3, "{out}");
    assert_eq!(
        rows[0],
        ["1700000000.123456789", "1045", "45", "any", "0x00000002", "pid=28182 comm=api conn=c7", "80"]
    );
    assert_eq!(rows[1][3..6], ["eth0", "0x00000002", ""]);
    assert_eq!(rows[2][3..6], ["eth0", "", "comm=żółć"]);

    let Some((out, err)) = run("capinfos", &["-M", file]) else { return };
    assert_eq!(err, "");
    for wanted in [
        "pcapng",
        concat!("tracenet ", env!("CARGO_PKG_VERSION")),
        "Number of packets:   3",
        "Name = any",
        "Description = netns 4026531840",
        "Time precision = nanoseconds (9)",
        "Filter string = tcp port 80",
        "Number of stat entries = 1",
        "Capture length = 65535",
    ] {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }
}

/// Walks the blocks of a file; panics where they don't fit.
fn kinds(bytes: &[u8]) -> Vec<u32> {
    let mut at = 0;
    let mut kinds = Vec::new();
    while at < bytes.len() {
        let (kind, len) = block(&bytes[at..]).unwrap();
        assert_eq!(len % 4, 0);
        assert_eq!(bytes[at + len - 4..at + len], bytes[at + 4..at + 8]);
        kinds.push(kind);
        at += len;
    }
    kinds
}

#[test]
fn statistics_tell_what_was_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcapng");
    sample(&path);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(kinds(&bytes), [0x0a0d_0d0a, 1, 1, 6, 6, 6, 5, 5]);
    // isb_ifdrop 2, isb_osdrop 4 and isb_usrdeliv 1 of the first capture.
    for (code, n) in [(4u16, 12u64), (5, 2), (7, 4), (8, 1)] {
        let mut option = Vec::new();
        option.extend_from_slice(&code.to_ne_bytes());
        option.extend_from_slice(&8u16.to_ne_bytes());
        option.extend_from_slice(&n.to_ne_bytes());
        assert!(bytes.windows(option.len()).any(|w| w == option), "option {code}");
    }
}

#[test]
fn a_path_that_can_t_be_created_is_named() {
    for path in ["/proc/nowhere/x.pcapng", "/nosuchdir/x.pcapng"] {
        let e = Writer::create(Path::new(path)).unwrap_err();
        assert!(e.to_string().contains(path), "{e}");
    }
}

#[test]
fn a_full_disk_is_told_at_once_where_the_header_finds_no_room() {
    let e = Writer::create(Path::new("/dev/full")).unwrap_err();
    assert_eq!(e.source.kind(), io::ErrorKind::StorageFull);
    assert!(e.to_string().contains("/dev/full"), "{e}");
}

/// A small tmpfs stands for a disk that fills up.
#[test]
fn a_disk_that_fills_up_is_told_once_and_leaves_a_readable_file() {
    let dir = tempfile::tempdir().unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(dir.path()).output();
    if !mount.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: needs root to mount a tmpfs");
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(dir.path());
    let path = dir.path().join("x.pcapng");
    let mut w = Writer::create(&path).unwrap();
    w.add_interface(&link(0)).unwrap();
    let data = packet();
    let mut errors = Vec::new();
    const PACKETS: u64 = 5_000;
    for _ in 0..PACKETS {
        errors.extend(w.packet(&record(0, &data, "pid=1 comm=x conn=c1")).err());
    }
    errors.extend(w.flush().err());
    errors.extend(w.statistics(0, &Totals::default()).err());
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].path, path);
    assert!(w.failed());
    let written = kinds(&std::fs::read(&path).unwrap()).iter().filter(|k| **k == 6).count() as u64;
    assert!(written > 0);
    assert_eq!(written + w.unwritten(), PACKETS);
    assert!(path.metadata().unwrap().size() <= 64 << 10);
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcapng");
    let mut w = Writer::create(&path).unwrap();
    w.add_interface(&link(0)).unwrap();
    let comment = format!("a{}", "ż".repeat(40_000));
    w.packet(&record(0, &packet(), &comment)).unwrap();
    // Dropping it writes what is buffered.
    drop(w);
    assert_eq!(kinds(&std::fs::read(&path).unwrap()).len(), 3);
}
