//! `tracenet agent` in a namespace of the laboratory: its configuration, what it exports to a file, and its endpoint.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::agent::{binary, clean_environment};
use crate::netns::Netns;
use crate::program::Program;

/// Where the agent's endpoint is, in its own namespace.
pub const ENDPOINT: &str = "127.0.0.1:9464";

/// Everything that is worth knowing at once: every turn becomes a span, metrics are as new as can be.
pub const EVERY_TURN: &str = "\
agent:
  kubernetes: {enabled: false}
  sampling: {rate_per_second: 100000}
  budget: null
export:
  metrics: {interval: 100ms}
";

/// A running agent.
pub struct Node<'a> {
    program: Program,
    netns: &'a Netns,
    folder: TempDir,
}

/// How it ended.
pub struct Ended {
    /// Exit status, 0 to 255.
    pub code: i32,
    /// What it wrote to standard error.
    pub stderr: String,
    /// The spans in its file, in order.
    pub spans: Vec<Span>,
    /// The points of its last metrics: they are cumulative.
    pub points: Vec<Point>,
}

/// A point of a metric in OTLP's JSON lines.
#[derive(Debug, Clone)]
pub struct Point {
    /// Name of the metric.
    pub name: String,
    /// Attributes.
    pub attributes: Map<String, Value>,
    /// Attributes of the resource.
    pub resource: Map<String, Value>,
    /// The sum, or how many there are in the histogram.
    pub value: u64,
}

/// A span of OTLP's JSON lines.
#[derive(Debug, Clone)]
pub struct Span {
    /// Name.
    pub name: String,
    /// Trace id, 32 hexadecimal digits.
    pub trace: String,
    /// Span id.
    pub id: String,
    /// Id of the parent; empty at a root.
    pub parent: String,
    /// `SPAN_KIND_`, by its number.
    pub kind: u64,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// Attributes.
    pub attributes: Map<String, Value>,
    /// Attributes of the resource.
    pub resource: Map<String, Value>,
    /// Name and attributes of its events.
    pub events: Vec<(String, Map<String, Value>)>,
}

/// A sample of the text format.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

impl<'a> Node<'a> {
    /// Starts one that exports to a file, and waits until it follows every process.
    pub fn start(netns: &'a Netns, config: &str) -> Self {
        Self::start_as(netns, netns.command(binary()), config, &[])
    }

    /// The same, by a command that ends with the binary's name, and with more options.
    pub fn start_as(netns: &'a Netns, command: Command, config: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let to = format!("file:{}", spans_file(folder.path()).display());
        Self::start_in(folder, netns, command, config, &[&["--otlp", &to], options].concat())
    }

    /// Starts one that exports to where `config` or `options` say.
    pub fn start_exporting(netns: &'a Netns, config: &str, options: &[&str]) -> Self {
        Self::start_exporting_as(netns, netns.command(binary()), config, options)
    }

    /// The same, by a command that ends with the binary's name, or has variables of its own.
    pub fn start_exporting_as(netns: &'a Netns, command: Command, config: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(folder, netns, command, config, options)
    }

    fn start_in(
        folder: TempDir,
        netns: &'a Netns,
        mut command: Command,
        config: &str,
        options: &[&str],
    ) -> Self {
        let file = folder.path().join("agent.yaml");
        std::fs::write(&file, config).expect("the folder can be written");
        clean_environment(&mut command);
        command.arg("agent").arg("--config").arg(&file).args(options);
        let mut program = Program::start(&mut command);
        program.wait_for_stderr("every process is followed");
        Self { program, netns, folder }
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("agent.yaml")
    }

    /// The process, for signals and standard error.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// The spans written so far.
    pub fn spans(&self) -> Vec<Span> {
        spans(&spans_file(self.folder.path()))
    }

    /// GET of a path: the status and the body.
    pub fn get(&self, path: &str, accept: &str) -> (u16, String) {
        self.netns.inside(|| {
            let mut stream = TcpStream::connect(ENDPOINT).unwrap_or_else(|e| panic!("{ENDPOINT}: {e}"));
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a timeout");
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
            )
            .expect("the request goes out");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer}"));
            let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
            (status, body.to_owned())
        })
    }

    /// The samples of `/metrics`.
    pub fn metrics(&self) -> Vec<Sample> {
        samples(&self.get("/metrics", "text/plain").1)
    }

    /// SIGTERM, and what there is after its end.
    pub fn stop(mut self) -> Ended {
        let own = self.program.pid();
        // `unshare` and `nsenter` wait for the agent; the agent has a child of its own.
        let is_agent = std::fs::read_link(format!("/proc/{own}/exe")).ok() == binary().canonicalize().ok();
        let pid = if is_agent { own } else { child_of(own).unwrap_or(own) };
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM).expect("it runs");
        let status = self.program.wait();
        Ended {
            code: status.code().unwrap_or(-1),
            stderr: self.program.stderr(),
            spans: self.spans(),
            points: points(&spans_file(self.folder.path())),
        }
    }
}

/// The only child of a process such as `unshare` or `nsenter`.
pub fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn spans_file(folder: &Path) -> PathBuf {
    folder.join("spans.jsonl")
}

/// The spans of a file of OTLP's JSON lines. A last line that is not complete yet is left out.
pub fn spans(file: &Path) -> Vec<Span> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let rows = lines.map(|l| serde_json::from_str::<Value>(l).unwrap_or_else(|e| panic!("{e}: {l}")));
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for of_resource in rows.flat_map(|row| list(&row, "resourceSpans")) {
        let resource = attributes(&of_resource["resource"]["attributes"]);
        for span in list(&of_resource, "scopeSpans").iter().flat_map(|scope| list(scope, "spans")) {
            let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
            let number = |key: &str| text(key).parse().unwrap_or_else(|e| panic!("{key}: {e}: {span}"));
            all.push(Span {
                name: text("name"),
                trace: text("traceId"),
                id: text("spanId"),
                parent: text("parentSpanId"),
                kind: span["kind"].as_u64().unwrap_or(0),
                start: number("startTimeUnixNano"),
                end: number("endTimeUnixNano"),
                attributes: attributes(&span["attributes"]),
                resource: resource.clone(),
                events: list(&span, "events")
                    .iter()
                    .map(|e| {
                        (e["name"].as_str().unwrap_or_default().to_owned(), attributes(&e["attributes"]))
                    })
                    .collect(),
            });
        }
    }
    all
}

/// The points of the last metrics in a file of OTLP's JSON lines.
fn points(file: &Path) -> Vec<Point> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let last = text.lines().rfind(|line| line.starts_with("{\"resourceMetrics\""));
    let row: Value =
        last.map_or(Value::Null, |l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")));
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for of_resource in list(&row, "resourceMetrics") {
        let resource = attributes(&of_resource["resource"]["attributes"]);
        for metric in list(&of_resource, "scopeMetrics").iter().flat_map(|scope| list(scope, "metrics")) {
            for point in
                ["sum", "exponentialHistogram"].iter().flat_map(|kind| list(&metric[kind], "dataPoints"))
            {
                let value = point["asInt"].as_str().or(point["count"].as_str()).and_then(|n| n.parse().ok());
                all.push(Point {
                    name: metric["name"].as_str().unwrap_or_default().to_owned(),
                    attributes: attributes(&point["attributes"]),
                    resource: resource.clone(),
                    value: value.unwrap_or(0),
                });
            }
        }
    }
    all
}

/// A list of keys and values as an object: numbers are numbers.
fn attributes(list: &Value) -> Map<String, Value> {
    let plain = |value: &Value| {
        let (kind, inner) = value.as_object().and_then(|o| o.iter().next()).expect("one kind of value");
        match (kind.as_str(), inner) {
            ("intValue", Value::String(text)) => text.parse::<i64>().map_or(Value::Null, Value::from),
            _ => inner.clone(),
        }
    };
    let list = list.as_array().into_iter().flatten();
    list.map(|a| (a["key"].as_str().unwrap_or_default().to_owned(), plain(&a["value"]))).collect()
}

/// The samples of a text in Prometheus's or OpenMetrics' format; exemplars and times are left out.
pub fn samples(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let wrong = || -> ! { panic!("no sample: {line}") };
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = rest.split_once("} ").unwrap_or_else(|| wrong());
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ').unwrap_or_else(|| wrong());
            (name, "", rest)
        }
    };
    let value = rest.split(' ').next().and_then(|v| v.parse().ok()).unwrap_or_else(|| wrong());
    let labels = labels.split("\",").filter(|l| !l.is_empty()).map(|label| {
        let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("no label: {label} in {line}"));
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    });
    Sample { name: name.to_owned(), labels: labels.collect(), value }
}

/// The sum of the samples of that name with all these labels.
pub fn sum(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |s: &&Sample| {
        s.name == name && labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|value| value == v))
    };
    samples.iter().filter(fits).map(|s| s.value).sum()
}
