//! What a user writes into tracenet.yaml, and what is said when it is wrong.
#![allow(missing_docs, reason = "tests")]

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tracenet_config::{Bytes, Color, Config, Format, MAX_FILE_BYTES, Protocol, Time, example, schema_json};

fn error(text: &str) -> String {
    let error = Config::parse(text).expect_err(text).to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[test]
fn the_example_says_every_option_with_its_default() {
    assert_eq!(Config::parse(example()).unwrap(), Config::default());
    // Every option: the example as data has the same keys as the defaults as data.
    let example: serde_yaml::Value = serde_yaml::from_str(example()).unwrap();
    let defaults = serde_yaml::to_value(Config::default()).unwrap();
    assert_eq!(example, defaults);
}

#[test]
fn nothing_means_the_defaults() {
    for text in ["", "\n", "# only a comment\n", "---\n", "{}", "limits: {}"] {
        assert_eq!(Config::parse(text).unwrap(), Config::default(), "{text:?}");
    }
}

#[test]
fn every_section_is_read() {
    let config = Config::parse(
        "targets: {pids: [28182, 7], follow: true}\n\
         duration: 10s\n\
         budget: 0.5%\n\
         syscalls: {trace: ['%network', '!close'], string_limit: 64, durations: true}\n\
         capture: {enabled: false, interface: eth0, filter: port 443, snaplen: 128, buffer_bytes: 1MiB, write: o.pcapng}\n\
         output: {format: json, file: out.json, color: never, packets: false, quiet: true}\n\
         recorder: {bytes: 64MiB, directory: /var/tmp}\n\
         export:\n  otlp: {endpoint: 'http://h:4317', protocol: http/protobuf, headers: {authorization: 'Bearer a,b'},\
         timeout: 2s, compression: gzip, queue_bytes: 1GiB, shutdown_timeout: 0s,\
         endpoints: ['https://i:4317', 'http://j:4318'], tls: {ca_file: /ca.pem, cert_file: /tls.crt, key_file: /tls.key},\
         spool: {directory: /var/spool/tracenet, bytes: 1GiB}}\n  metrics: {interval: 1m}\n\
         limits: {ring_bytes: 65536, connections: 64, queue_events: 1024}\n",
    )
    .unwrap();
    assert_eq!(config.targets.pids, [28182, 7]);
    assert_eq!(config.recorder.bytes, Some(Bytes(64 << 20)));
    assert_eq!(config.duration, Some(Time(Duration::from_secs(10))));
    assert_eq!(config.budget.map(|b| b.ratio()), Some(0.005));
    assert_eq!(config.syscalls.trace, ["%network", "!close"]);
    assert_eq!(config.capture.filter.as_deref(), Some("port 443"));
    assert_eq!(config.capture.buffer_bytes, Bytes(1 << 20));
    assert_eq!((config.output.format, config.output.color), (Format::Json, Color::Never));
    assert_eq!(config.export.otlp.protocol, Some(Protocol::HttpProtobuf));
    assert_eq!(config.limits.ring_bytes, Bytes(65_536));
    let spool = &config.export.otlp.spool;
    assert_eq!(
        (spool.directory.as_deref(), spool.bytes),
        (Some(Path::new("/var/spool/tracenet")), Bytes(1 << 30))
    );
    assert_eq!(config.export.otlp.endpoints, ["https://i:4317", "http://j:4318"]);

    // As OpenTelemetry's variables, to stand behind the environment.
    let variable = |name| config.export.otel_variable(name);
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%2Cb"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/tls.crt"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/tls.key"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60000"),
    ] {
        assert_eq!(variable(name).as_deref(), Some(value));
    }
    assert_eq!(variable("OTEL_SERVICE_NAME"), None);
    assert_eq!(Config::default().export.otel_variable("OTEL_EXPORTER_OTLP_ENDPOINT"), None);
    assert!(!format!("{config:?}").contains("Bearer"), "headers may be secrets");
}

#[test]
fn the_first_of_several_endpoints_is_the_endpoint_where_none_is_named() {
    let config = Config::parse("export: {otlp: {endpoints: ['http://h:4317', 'http://i:4317']}}").unwrap();
    let endpoint = config.export.otel_variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_eq!(endpoint.as_deref(), Some("http://h:4317"));
    assert!(Config::parse("export: {otlp: {flag: 'http://h:4317'}}").is_err(), "it is no word of the file's");
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, position, says) in [
        ("targets:\n  pid: [1]\n", "2:3: ", "unknown field `pid`"),
        ("syscalls:\n  string_limit: 5000\n", "2:17: ", "use 0 to 4096"),
        ("limits:\n  ring_bytes: 3MiB\n", "2:15: ", "power of two: use 4MiB"),
        ("limits:\n  ring_bytes: 1KiB\n", "2:15: ", "use 64KiB to 1GiB"),
        ("duration: 10\n", "1:11: ", "a time with its unit"),
        ("budget: 1\n", "1:9: ", "a share with its percent sign"),
        ("budget: 200%\n", "1:9: ", "`200%` is no share"),
        ("duration: 10 s\n", "1:11: ", "`10 s` is no time"),
        ("capture:\n  buffer_bytes: 64M\n", "2:17: ", "`64M` is no size"),
        ("targets:\n  pids: [1, 0]\n", "2:13: ", "use 1 to 4194304"),
        ("export:\n  otlp:\n    spool: {bytes: 1MiB}\n", "3:20: ", "use 16MiB to 1024GiB"),
        ("output:\n  format: xml\n", "2:11: ", "unknown variant `xml`, expected `text` or `json`"),
        ("output:\n  packets: 1\n", "2:12: ", "expected a boolean"),
        ("export:\n  metrics:\n    interval: 1ms\n", "3:15: ", "use 100ms to 1h"),
        ("duration: 1s\nduration: 2s\n", "1:1: ", "duplicate field `duration`"),
        ("a: [1\n", "", "see `tracenet config example`"),
        ("- 1\n", "", "invalid type"),
        ("{}\n---\n{}\n", "", "more than one document"),
    ] {
        let error = error(text);
        assert!(error.starts_with(position), "{text:?}: {error}");
        assert!(error.contains(says), "{text:?}: {error}");
        assert!(!error.contains(" at line "), "the place is said once: {error}");
    }
}

#[test]
fn bombs_are_refused_at_once() {
    let size = MAX_FILE_BYTES as usize;
    let fill = |part: &str| part.repeat(size / part.len());
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        laughs += &format!("a{i}: &a{i} [*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0}]\n", i - 1);
    }
    // A long string, repeated by aliases: gigabytes.
    let mut headers = format!("export:\n  otlp:\n    headers:\n      a: &a {}\n", "x".repeat(size / 2));
    (0..3000).for_each(|i| headers += &format!("      b{i}: *a\n"));
    let trace = format!("syscalls:\n  trace:\n  - &a {}\n{}", "x".repeat(size / 2), "  - *a\n".repeat(9000));
    let deep: String = (0..500).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    for bomb in [
        laughs,
        headers,
        trace,
        deep,
        fill("["),
        fill("{"),
        fill("[\n"),
        fill("{a: "),
        fill("- "),
        fill("? "),
        fill("&a "),
        fill("*a "),
        fill("!a "),
        fill("a: &a a\n"),
        "#".repeat(size + 1),
    ] {
        let begun = Instant::now();
        error(&bomb);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?} for {}...", begun.elapsed(), &bomb[..40]);
    }
}

#[test]
fn files_are_read_and_named_in_errors() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"duration: 1s\nx: 1\n").unwrap();
    let error = Config::load(file.path()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:2:1: unknown field `x`", file.path().display())), "{error}");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"# fine\n# \xff\n").unwrap();
    let error = Config::load(file.path()).unwrap_err().to_string();
    assert!(error.contains(":2:1: is not UTF-8"), "{error}");
    let error = Config::load(Path::new("/no/such.yaml")).unwrap_err().to_string();
    assert!(error.starts_with("/no/such.yaml: cannot be read: "), "{error}");
    let error = Config::load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(error.contains("larger than 128 KiB"), "{error}");
}

#[test]
fn the_schema_knows_every_section_and_no_other() {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    let defaults = serde_json::to_value(Config::default()).unwrap();
    let sections = schema["properties"].as_object().unwrap();
    assert!(sections.keys().eq(defaults.as_object().unwrap().keys()));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["Syscalls"]["properties"]["string_limit"]["maximum"], 4096);
    assert!(schema["properties"]["targets"]["description"].is_string(), "editors show what a section is for");
}
