//! A disk that takes no more bytes. Alone in its process, whose limit on files stands for the disk's end.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::collector::Grpc;
use common::*;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use tracenet_otel::{ExportOptions, Exporter, SpoolOptions, Worth};

const LONG: Duration = Duration::from_secs(30);

fn wait(until: impl Fn() -> bool) {
    let late = Instant::now() + LONG;
    while !until() {
        assert!(Instant::now() < late, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn spans_wait_in_memory_until_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let mut collector = Grpc::start();
    collector.kill();
    let env = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some("grpc".to_owned()),
        "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
        _ => None,
    };
    let mut options = ExportOptions::from_flag_and_env(Some(&collector.url()), env).unwrap().unwrap();
    options.spool = Some(SpoolOptions { directory: directory.clone(), bytes: 64 << 20 });
    let files =
        || std::fs::read_dir(&directory).unwrap().flatten().map(|f| f.file_name()).collect::<Vec<_>>();

    // SAFETY: no handler is installed; beyond the limit write(2) fails (EFBIG) instead of ending the process.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 1000, hard).unwrap();
    let exporter = Exporter::start(&options).unwrap();
    for number in 0..100 {
        assert!(exporter.sink().try_push(item(number, Worth::Turn, 300)));
    }
    // The third failure asks for the disk, the fourth comes after it.
    wait(|| exporter.sink().retries() >= 4);
    // The next try may be at it just now; what it can't finish it takes away.
    wait(|| files() == ["lock"]);
    assert_eq!(exporter.sink().losses().spans(), 0);
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    wait(|| files().len() == 2);
    collector.restart();
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.spans(), report.spooled_spans), (100, 0, 0));
    assert_eq!(collector.store.look(|a| a.numbers()), (0..100).collect::<Vec<_>>());
}
