//! Spans on disk while no collector takes them.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::collector::{Grpc, Http, OK};
use common::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tracenet_otel::{ExportOptions, ExportReport, Exporter, SpoolOptions, Worth};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

fn options(url: &str, protocol: &'static str, directory: &Path, bytes: u64) -> ExportOptions {
    let env = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
        "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
        _ => None,
    };
    let options = ExportOptions::from_flag_and_env(Some(url), env).unwrap().unwrap();
    ExportOptions { spool: Some(SpoolOptions { directory: directory.to_owned(), bytes }), ..options }
}

fn push(exporter: &Exporter, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert!(exporter.sink().try_push(item(number, Worth::Turn, 300)));
    }
}

/// A run of its own with some spans.
fn run(options: &ExportOptions, numbers: std::ops::Range<u64>, patience: Duration) -> ExportReport {
    let exporter = Exporter::start(options).unwrap();
    push(&exporter, numbers);
    exporter.shutdown(patience)
}

/// Requests in the spool, oldest first.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "otlp"));
    files.sort();
    files
}

/// Waits until something is so on disk.
fn wait(directory: &Path, until: impl Fn(&[PathBuf]) -> bool) {
    let late = Instant::now() + LONG;
    while !directory.is_dir() || !until(&files(directory)) {
        assert!(Instant::now() < late, "{:?}", files(directory));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn in_order(requests: &[ExportTraceServiceRequest]) -> Vec<u64> {
    let spans = requests.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
    spans.flat_map(|s| &s.spans).map(|s| s.start_time_unix_nano).collect()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn an_outage_is_bridged_on_disk_and_told_later_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("deep/spool");
    let mut collector = Grpc::start();
    let exporter = Exporter::start(&options(&collector.url(), "grpc", &spool, 64 << 20)).unwrap();
    push(&exporter, 0..100);
    collector.store.wait(|a| a.numbers().len() == 100);
    collector.kill();
    push(&exporter, 100..1100);
    wait(&spool, |files| files.len() == 1);
    // More than a request: on disk as soon as there is one.
    for number in 1100..1140 {
        assert!(exporter.sink().try_push(item(number, Worth::Turn, 100_000)));
    }
    wait(&spool, |files| files.len() == 2);
    assert_eq!((mode(&spool), mode(&files(&spool)[0])), (0o700, 0o600));
    assert_eq!(exporter.sink().losses().spans(), 0);
    collector.restart();
    wait(&spool, <[_]>::is_empty);
    push(&exporter, 1140..1200);
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.spans(), report.spooled_spans), (1200, 0, 0));
    let arrived = collector.store.look(|a| in_order(&a.traces));
    assert_eq!(arrived, (0..1200).collect::<Vec<_>>());
}

#[test]
fn what_could_not_be_sent_is_sent_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let mut collector = Grpc::start();
    let options = options(&collector.url(), "grpc", &spool, 64 << 20);
    collector.kill();
    for numbers in [0..1000, 1000..1500] {
        let begun = Instant::now();
        let report = run(&options, numbers, LONG);
        assert_eq!((report.sent_spans, report.losses.spans()), (0, 0));
        assert!(begun.elapsed() < LONG / 2, "nobody waits for a dead collector when there is a spool");
    }
    collector.restart();
    let report = run(&options, 1500..1600, LONG);
    assert_eq!((report.sent_spans, report.losses.spans(), report.spooled_spans), (1600, 0, 0));
    assert_eq!(collector.store.look(|a| in_order(&a.traces)), (0..1600).collect::<Vec<_>>());
    assert!(files(&spool).is_empty());
}

#[test]
fn a_collector_that_hangs_at_the_end_costs_no_span() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for protocol in ["grpc", "http/protobuf"] {
        let folder = tempfile::tempdir().unwrap();
        let spool = &folder.path().join("spool");
        let options = options(&url, protocol, spool, 64 << 20);
        let report = run(&options, 0..10, SHORT);
        assert_eq!((report.spooled_spans, report.losses.spans()), (10, 0), "{protocol}");
        let report = run(&options, 10..20, Duration::ZERO);
        assert_eq!((report.spooled_spans, report.losses.spans()), (20, 0), "{protocol}: without any time");
    }
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let spool = &folder.path().join("spool");
    let mut collector = Grpc::start();
    // A run's 10 spans take 3.8 kB: there is room for three.
    let options = options(&collector.url(), "grpc", spool, 13_000);
    collector.kill();
    for run_number in 0..5 {
        let first = run_number * 10;
        let report = run(&options, first..first + 10, SHORT);
        assert_eq!(report.losses.spooled_spans, if run_number < 3 { 0 } else { 10 });
        assert_eq!(report.spooled_spans, 10 * (run_number + 1).min(3));
    }
    let bytes: u64 = files(spool).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= 13_000, "{bytes}");
    collector.restart();
    assert_eq!(run(&options, 0..0, LONG).sent_spans, 30);
    assert_eq!(collector.store.look(|a| in_order(&a.traces)), (20..50).collect::<Vec<_>>());
}

#[test]
fn damaged_files_are_set_aside_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let spool = &folder.path().join("spool");
    let mut collector = Grpc::start();
    let options = options(&collector.url(), "grpc", spool, 64 << 20);
    collector.kill();
    for run_number in 0..6 {
        run(&options, run_number * 10..run_number * 10 + 10, SHORT);
    }
    let kept = files(spool);
    // A bit that has turned, a piece that is missing, nothing at all, another layout, no file.
    let mut bytes = std::fs::read(&kept[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&kept[0], &bytes).unwrap();
    std::fs::File::options().write(true).open(&kept[1]).unwrap().set_len(1000).unwrap();
    std::fs::write(&kept[2], "").unwrap();
    let mut bytes = std::fs::read(&kept[3]).unwrap();
    bytes[7] += 1;
    std::fs::write(&kept[3], &bytes).unwrap();
    std::fs::remove_file(&kept[4]).unwrap();
    std::fs::create_dir(&kept[4]).unwrap();
    std::fs::write(spool.join("notes.txt"), "mine").unwrap();
    std::fs::write(spool.join("unfinished.tmp"), "half a requ").unwrap();
    collector.restart();
    let report = run(&options, 60..70, LONG);
    assert_eq!((report.sent_spans, report.losses.spooled_spans, report.spooled_spans), (20, 50, 0));
    assert_eq!(collector.store.look(|a| in_order(&a.traces)), (50..70).collect::<Vec<_>>());
    for path in &kept[..5] {
        assert!(path.with_extension("otlp.damaged").exists(), "{path:?}");
    }
    assert!(spool.join("notes.txt").exists() && !spool.join("unfinished.tmp").exists());
}

#[test]
fn a_disk_that_fails_costs_nothing_but_the_spool() {
    // Below a file there is no folder; others could read that one; and the last one goes away.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let open_to_all = folder.path().join("open");
    std::fs::create_dir(&open_to_all).unwrap();
    std::fs::set_permissions(&open_to_all, std::fs::Permissions::from_mode(0o755)).unwrap();
    let gone = folder.path().join("gone");
    for spool in [file.join("spool"), open_to_all.clone(), gone.clone()] {
        let mut collector = Grpc::start();
        collector.kill();
        let exporter = Exporter::start(&options(&collector.url(), "grpc", &spool, 64 << 20)).unwrap();
        if spool == gone {
            std::fs::remove_dir_all(&gone).unwrap();
        }
        push(&exporter, 0..100);
        let late = Instant::now() + LONG;
        // Each attempt that failed is one: when there were four, the spool was asked for.
        while exporter.sink().retries() < 4 {
            assert!(Instant::now() < late);
            std::thread::sleep(Duration::from_millis(5));
        }
        collector.restart();
        let report = exporter.shutdown(LONG);
        assert_eq!((report.sent_spans, report.losses.spans()), (100, 0), "{spool:?}");
    }
    assert!(std::fs::read_dir(&open_to_all).unwrap().next().is_none());
}

#[test]
fn a_spool_has_one_user_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let spool = &folder.path().join("spool");
    let mut collector = Grpc::start();
    let options = options(&collector.url(), "grpc", spool, 64 << 20);
    collector.kill();
    run(&options, 0..10, SHORT);
    let one = Exporter::start(&options).unwrap();
    let report = run(&options, 10..20, SHORT);
    assert_eq!((report.spooled_spans, report.losses.failed_spans), (0, 10), "there is no room for another");
    collector.restart();
    assert_eq!(one.shutdown(LONG).sent_spans, 10);
}

#[test]
fn a_spooled_request_that_is_too_large_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let spool = &folder.path().join("spool");
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(&options(&format!("http://{dead}"), "http/protobuf", spool, 64 << 20), 0..1000, SHORT);
    assert_eq!(files(spool).len(), 1);
    let collector = Http::start(|_, spans| {
        if spans > 30 { "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n" } else { OK }
    });
    let report = run(&options(&collector.url(), "http/protobuf", spool, 64 << 20), 0..0, LONG);
    assert_eq!((report.sent_spans, report.losses.spans(), report.spooled_spans), (1000, 0, 0));
    assert_eq!(collector.store.look(|a| in_order(&a.traces)), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_file_holds_what_the_documentation_says() {
    let folder = tempfile::tempdir().unwrap();
    let spool = &folder.path().join("spool");
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(&options(&format!("http://{dead}"), "grpc", spool, 64 << 20), 0..7, SHORT);
    let path = &files(spool)[0];
    assert_eq!(path.file_name().unwrap(), "0000000000000000-7.otlp");
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"tnspl\r\n\x01");
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(number(8) as usize, bytes.len() - 16);
    // The checksum of gzip (RFC 1952), which ends with it and the length.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut gzip, &bytes[16..]).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(number(12).to_le_bytes(), gzip[gzip.len() - 8..gzip.len() - 4]);
    let request = ExportTraceServiceRequest::decode(&bytes[16..]).unwrap();
    assert_eq!(in_order(&[request]), (0..7).collect::<Vec<_>>());
}
