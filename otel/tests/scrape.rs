//! Debian's Prometheus scrapes the endpoint, and promtool reads what it says.
#![allow(missing_docs, reason = "tests")]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram as Histogram, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data, number_data_point::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tracenet_otel::ExponentialHistogram;
use tracenet_otel::prometheus::{Exposition, Format};
use tracenet_otel::serve::{Limits, Pages, Server};

const DEADLINE: Duration = Duration::from_secs(60);
/// A name that a program may give itself.
const HOSTILE: &str = "we\"b} 1\n# EOF\\\r\0\u{1b}[31m";
const TRACE: &str = "0123456789abcdef0123456789abcdef";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let installed = |name: &str| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok();
    let case = |name: &str, tool: &str, run: fn()| {
        let missing = !installed(tool);
        if missing && !arguments.list {
            eprintln!("skipped: {name}: needs the program {tool}");
        }
        Trial::test(name, move || {
            run();
            Ok(())
        })
        .with_ignored_flag(missing)
    };
    let trials = vec![
        case("promtool_finds_no_fault", "promtool", promtool_finds_no_fault),
        case("prometheus_stores_series_and_exemplars", "prometheus", prometheus_stores_series_and_exemplars),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Any::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

/// A counter and a histogram with an exemplar, of two workloads.
fn exposition() -> Exposition {
    const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
    let resource = |name| Resource { attributes: vec![text("service.name", name)], ..Resource::default() };
    let exposition = Exposition::new(&resource("tracenet"));
    let mut histogram = ExponentialHistogram::default();
    [0.001, 0.3, 20.0].into_iter().for_each(|v| histogram.record(v));
    let mut durations = histogram.point(vec![text("role", "client")], 1, 2);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    durations.exemplars.push(Exemplar {
        time_unix_nano: now.as_nanos() as u64,
        trace_id: (0..16).map(|n| u8::from_str_radix(&TRACE[2 * n..2 * n + 2], 16).unwrap()).collect(),
        span_id: vec![7; 8],
        value: Some(exemplar::Value::AsDouble(0.3)),
        ..Exemplar::default()
    });
    let drops = NumberDataPoint {
        attributes: vec![text("reason", "NETFILTER_DROP")],
        value: Some(Value::AsInt(5)),
        ..NumberDataPoint::default()
    };
    let metric = |name: &str, unit: &str, data| Metric {
        name: name.into(),
        unit: unit.into(),
        description: "What a \\ means, it says.".into(),
        data: Some(data),
        ..Metric::default()
    };
    let metrics = vec![
        metric(
            "tracenet.packet.drops",
            "{packet}",
            Data::Sum(Sum {
                data_points: vec![drops],
                is_monotonic: true,
                aggregation_temporality: CUMULATIVE,
            }),
        ),
        metric(
            "tracenet.turn.duration",
            "s",
            Data::ExponentialHistogram(Histogram {
                data_points: vec![durations],
                aggregation_temporality: CUMULATIVE,
            }),
        ),
    ];
    let of = |name| ResourceMetrics {
        resource: Some(resource(name)),
        scope_metrics: vec![ScopeMetrics { metrics: metrics.clone(), ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    };
    exposition.update(&[of("web"), of(HOSTILE)]);
    exposition
}

fn promtool_finds_no_fault() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let page = exposition().render(Format::Text);
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{page}", String::from_utf8_lossy(&said));
}

struct Scraped(Exposition);

impl Pages for Scraped {
    fn metrics(&self, format: Format) -> String {
        self.0.render(format)
    }

    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A child that is killed and waited for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn prometheus_stores_series_and_exemplars() {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(loopback, Limits::default(), Arc::new(Scraped(exposition()))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    let target = server.address();
    std::fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs:\n- {{job_name: tracenet, static_configs: [{{targets: ['{target}']}}]}}\n"
        ),
    )
    .unwrap();
    let web = TcpListener::bind(loopback).unwrap().local_addr().unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let _prometheus = Running(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={web}"))
            .arg("--enable-feature=exemplar-storage")
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let said = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let wait = |path: &str, expected: &str| {
        let begin = Instant::now();
        loop {
            let answer = get(web, path).unwrap_or_default();
            if answer.contains(expected) {
                return answer;
            }
            assert!(begin.elapsed() < DEADLINE, "{path} never had {expected}: {answer}\n{}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let drops = wait("/api/v1/query?query=sum(tracenet_packet_drops_total)", "\"10\"");
    assert!(drops.contains("\"success\""));
    // The median lies in the bucket of 0.3 s.
    let median = "histogram_quantile(0.5,sum(tracenet_turn_duration_seconds_bucket)by(le))%3C=bool(0.5)";
    wait(&format!("/api/v1/query?query={median}"), "\"1\"");
    let hostile = wait("/api/v1/label/service_name/values", "web");
    assert!(hostile.contains(r#""we\"b} 1\n# EOF\\"#), "{hostile}");
    let from = "/api/v1/query_exemplars?query=tracenet_turn_duration_seconds_bucket&start=0&end=9999999999";
    wait(from, TRACE);
    wait("/api/v1/targets/metadata", "\"type\":\"histogram\"");
}

/// The body of an answer of 200.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let mut request = String::new();
    write!(request, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").filter(|(head, _)| head.contains(" 200 ")).map(|(_, body)| body.to_owned())
}
