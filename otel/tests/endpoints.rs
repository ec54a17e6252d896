//! Several collectors: the first that works is used.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::time::Duration;

use common::certificates::Authority;
use common::collector::{Grpc, Http, OK};
use common::*;
use tracenet_otel::{ExportOptions, Exporter, Worth};

const LONG: Duration = Duration::from_secs(30);

fn options(first: &str, further: &[String], protocol: &'static str) -> ExportOptions {
    let env = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
        "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
        _ => None,
    };
    let mut options = ExportOptions::from_flag_and_env(Some(first), env).unwrap().unwrap();
    options.add_endpoints(further, env).unwrap();
    options
}

fn push(exporter: &Exporter, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert!(exporter.sink().try_push(item(number, Worth::Turn, 300)));
    }
}

#[test]
fn another_collector_takes_what_the_first_does_not() {
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (busy, strange) = (Http::start(|_, _| BUSY), Http::secure(|_, _| OK, &Authority::new()));
    for first in [format!("http://{dead}"), busy.url(), strange.url().replace("http:", "https:")] {
        let good = Http::start(|_, _| OK);
        let exporter = Exporter::start(&options(&first, &[good.url()], "http/protobuf")).unwrap();
        push(&exporter, 0..100);
        let report = exporter.shutdown(LONG);
        assert_eq!((report.sent_spans, report.losses.spans()), (100, 0), "{first}");
        assert_eq!((report.switches, report.retries), (1, 3), "{first}");
        assert_eq!(good.store.look(|a| a.numbers()), (0..100).collect::<Vec<_>>());
        assert!(busy.store.look(|a| a.traces.is_empty()));
    }
}

#[test]
fn collectors_die_and_come_back_one_after_the_other() {
    let (mut a, mut b) = (Grpc::start(), Grpc::start());
    let exporter = Exporter::start(&options(&a.url(), &[b.url()], "grpc")).unwrap();
    push(&exporter, 0..100);
    a.store.wait(|s| s.numbers().len() == 100);
    assert!(b.store.look(|s| s.traces.is_empty()), "one at a time");
    a.kill();
    push(&exporter, 100..200);
    b.store.wait(|s| s.numbers().len() == 100);
    b.kill();
    push(&exporter, 200..300);
    a.restart();
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.spans(), report.switches), (300, 0, 2));
    assert_eq!(b.store.look(|s| s.numbers()), (100..200).collect::<Vec<_>>());
    let of_a: Vec<u64> = (0..100).chain(200..300).collect();
    assert_eq!(a.store.look(|s| s.numbers()), of_a);
}

#[test]
fn a_collector_that_refuses_everything_is_left_too() {
    let wrong = Http::start(|_, _| "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let good = Http::start(|_, _| OK);
    let exporter = Exporter::start(&options(&wrong.url(), &[good.url()], "http/protobuf")).unwrap();
    // A request of its own for each, since one is as large as a request may be.
    for number in 0..5 {
        assert!(exporter.sink().try_push(item(number, Worth::Turn, 3 << 20)));
    }
    let report = exporter.shutdown(LONG);
    assert_eq!((report.sent_spans, report.losses.failed_spans, report.switches), (2, 3, 1));
    assert_eq!(good.store.look(|a| a.numbers()), [3, 4]);
}

#[test]
fn only_collectors_can_be_further_endpoints() {
    let env = |_: &str| None;
    let mut options = ExportOptions::from_flag_and_env(Some("http://h:4317"), env).unwrap().unwrap();
    for wrong in ["file:x", "h:4317", "ftp://h"] {
        let error = options.add_endpoints(&[wrong.to_owned()], env).unwrap_err().to_string();
        assert!(error.starts_with("export.otlp.endpoints: cannot export to `"), "{error}");
    }
}
