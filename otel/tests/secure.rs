//! Collectors behind TLS that let nobody in without a certificate.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::certificates::{Authority, Pair};
use common::collector::{Grpc, Http, OK};
use common::*;
use tracenet_otel::{Error, ExportOptions, ExportReport, Exporter, Worth};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(500);

fn options(url: &str, protocol: &str, files: [Option<&Path>; 3]) -> ExportOptions {
    let env = |name: &str| {
        let file = |path: Option<&Path>| path.map(|path| path.display().to_string());
        match name {
            "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
            "OTEL_EXPORTER_OTLP_CERTIFICATE" => file(files[0]),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" => file(files[1]),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY" => file(files[2]),
            "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
            _ => None,
        }
    };
    ExportOptions::from_flag_and_env(Some(url), env).unwrap().unwrap()
}

fn ten_spans(options: &ExportOptions, patience: Duration) -> ExportReport {
    let exporter = Exporter::start(options).unwrap();
    for number in 0..10 {
        assert!(exporter.sink().try_push(item(number, Worth::Turn, 300)));
    }
    exporter.shutdown(patience)
}

/// A collector of each protocol: URL, protocol, and what keeps it alive.
fn collectors(authority: &Authority) -> [(String, &'static str, Box<dyn std::any::Any>); 2] {
    let (grpc, http) = (Grpc::secure(authority), Http::secure(|_, _| OK, authority));
    let urls = [grpc.url(), http.url()].map(|url| url.replace("http:", "https:"));
    let [of_grpc, of_http] = urls;
    [(of_grpc, "grpc", Box::new(grpc)), (of_http, "http/protobuf", Box::new(http))]
}

#[test]
fn collectors_that_ask_for_a_certificate_get_it() {
    let authority = Authority::new();
    let Pair { certificate, key } = authority.pair();
    let ca = authority.certificate_file();
    let (cert, key) = (authority.file("tls.crt", &certificate), authority.file("tls.key", &key));
    for (url, protocol, _alive) in collectors(&authority) {
        let report = ten_spans(&options(&url, protocol, [Some(&ca), Some(&cert), Some(&key)]), LONG);
        assert_eq!((report.sent_spans, report.retries), (10, 0), "{protocol}");
        let report = ten_spans(&options(&url, protocol, [Some(&ca), None, None]), SHORT);
        assert_eq!((report.sent_spans, report.losses.failed_spans), (0, 10), "{protocol}: no certificate");
        let report = ten_spans(&options(&url, protocol, [None, Some(&cert), Some(&key)]), SHORT);
        assert_eq!(
            (report.sent_spans, report.losses.failed_spans),
            (0, 10),
            "{protocol}: a strange authority"
        );
    }
}

#[test]
fn a_certificate_that_was_renewed_is_read_again() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let ca = authority.certificate_file();
    for (url, protocol, _alive) in collectors(&authority) {
        let (old, new) = (stranger.pair(), authority.pair());
        let cert = authority.file("tls.crt", &old.certificate);
        let key = authority.file("tls.key", &old.key);
        let options = options(&url, protocol, [Some(&ca), Some(&cert), Some(&key)]);
        let exporter = Exporter::start(&options).unwrap();
        authority.file("tls.crt", &new.certificate);
        authority.file("tls.key", &new.key);
        assert!(exporter.sink().try_push(item(0, Worth::Turn, 300)));
        let report = exporter.shutdown(LONG);
        assert_eq!((report.sent_spans, report.retries), (1, 3), "{protocol}");
    }
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let authority = Authority::new();
    let pair = authority.pair();
    let (cert, key) = (authority.file("tls.crt", &pair.certificate), authority.file("tls.key", &pair.key));
    let none = Path::new("/proc/no/such");
    for protocol in ["grpc", "http/protobuf"] {
        for (files, wrong) in [
            ([Some(none), None, None], none),
            ([Some(&*key), None, None], &*key),
            ([None, Some(&*key), Some(&*key)], &*key),
            ([None, Some(&*cert), Some(&*cert)], &*cert),
            ([None, Some(&*cert), None], &*cert),
            ([None, None, Some(&*key)], &*key),
        ] {
            let refused = Exporter::start(&options("https://127.0.0.1:1", protocol, files)).unwrap_err();
            assert!(matches!(refused, Error::Tls { .. }), "{refused}");
            let refused = refused.to_string();
            assert!(refused.contains(wrong.to_str().unwrap()) && refused.contains("PEM"), "{refused}");
        }
    }
}
