//! The sections of the file, their defaults and their ranges.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::checked::{bytes, pids, ranged, ring_bytes, string_map, strings, time};
use crate::quantity::{Bytes, Percent, Time};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which processes.
    pub targets: Targets,
    /// Stop after this long; without it, at Ctrl-C or when the targets end.
    pub duration: Option<Time>,
    /// What the probes may cost the targets, of their own CPU time, 0.01% to 100%: what costs more is left out. Without it,
    /// nothing is (`--budget`).
    pub budget: Option<Percent>,
    /// The syscall view.
    pub syscalls: Syscalls,
    /// The packet view.
    pub capture: Capture,
    /// What is printed, and where.
    pub output: Output,
    /// The flight recorder.
    pub recorder: Recorder,
    /// What is exported, and where to.
    pub export: Export,
    /// The agent on every node.
    pub agent: Agent,
    /// Bounds of queues and tables.
    pub limits: Limits,
}

/// Which processes are traced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// Live processes to attach to, by PID (`-p`).
    #[serde(deserialize_with = "pids")]
    #[schemars(inner(range(min = 1, max = 4_194_304)))]
    pub pids: Vec<u32>,
    /// Child processes are traced too (`-f`).
    pub follow: bool,
}

/// The syscall view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Syscalls {
    /// Which syscalls are shown, in strace's words (`-e trace=`): names, `%network`, `!close`, `none`, `all`.
    #[serde(deserialize_with = "strings")]
    pub trace: Vec<String>,
    /// Longest string printed, in bytes (`-s`).
    #[serde(deserialize_with = "ranged::<_, 0, 4096>")]
    #[schemars(range(min = 0, max = 4096))]
    pub string_limit: u32,
    /// The time spent in each syscall is shown (`-T`).
    pub durations: bool,
    /// Structures and environments are shown in full (`-v`).
    pub verbose: bool,
    /// What descriptors are: 1 their paths (`-y`), 2 also protocols, addresses and devices (`-yy`).
    #[serde(deserialize_with = "ranged::<_, 0, 2>")]
    #[schemars(range(min = 0, max = 2))]
    pub fd_paths: u32,
    /// Strings in hexadecimal: 1 those with bytes outside ASCII (`-x`), 2 all (`-xx`).
    #[serde(deserialize_with = "ranged::<_, 0, 2>")]
    #[schemars(range(min = 0, max = 2))]
    pub hex_strings: u32,
}

impl Default for Syscalls {
    fn default() -> Self {
        Self {
            trace: Vec::new(),
            string_limit: 32,
            durations: false,
            verbose: false,
            fd_paths: 0,
            hex_strings: 0,
        }
    }
}

/// The packet view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Capture {
    /// Packets are captured at all (`-i none` turns it off).
    pub enabled: bool,
    /// Interface to capture on, `any` for all (`-i`).
    pub interface: String,
    /// tcpdump expression that narrows the targets' packets further.
    pub filter: Option<String>,
    /// Most bytes kept of a packet.
    #[serde(deserialize_with = "ranged::<_, 96, 262144>")]
    #[schemars(range(min = 96, max = 262_144))]
    pub snaplen: u32,
    /// Kernel buffer of one capture, 64KiB to 1GiB.
    #[serde(deserialize_with = "bytes::<_, 65536, 1073741824>")]
    pub buffer_bytes: Bytes,
    /// Write the packets as pcapng to this file (`-w`).
    pub write: Option<PathBuf>,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            enabled: true,
            interface: "any".to_owned(),
            filter: None,
            snaplen: 262_144,
            buffer_bytes: Bytes(64 << 20),
            write: None,
        }
    }
}

/// What is printed, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Lines for people or JSON objects (`--json`).
    pub format: Format,
    /// Write the story to this file instead of standard output (`-o`).
    pub file: Option<PathBuf>,
    /// Keep everything in a recording at this path too (`--record`).
    pub record: Option<PathBuf>,
    /// When to use colour (`--color`).
    pub color: Color,
    /// Packets have lines in the story (`--no-packets` leaves them out).
    pub packets: bool,
    /// Only turns that take this long, each explained (`--slow`).
    pub slow: Option<Time>,
    /// Only the summary is printed (`-q`).
    pub quiet: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            format: Format::Text,
            file: None,
            record: None,
            color: Color::Auto,
            packets: true,
            slow: None,
            quiet: false,
        }
    }
}

/// The flight recorder: the last events in memory, written as a bundle when something goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Recorder {
    /// Memory for the events, at least 1MiB; without it there is no recorder (`--recorder`).
    pub bytes: Option<Bytes>,
    /// The folder in which bundles are made (`--recorder-dir`).
    pub directory: PathBuf,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { bytes: None, directory: PathBuf::from(".") }
    }
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What is exported, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Export {
    /// The OTLP exporter.
    pub otlp: Otlp,
    /// Metrics.
    pub metrics: Metrics,
}

/// The OTLP exporter. The `OTEL_*` variables win over this section, and `--otlp` over both.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Otlp {
    /// `http://HOST:4317` (gRPC), `http://HOST:4318` (HTTP) or `file:PATH`; without it, nothing is exported.
    pub endpoint: Option<String>,
    /// What a flag says in its place: the only collector then, before all variables. The file can't say it.
    #[serde(skip)]
    pub flag: Option<String>,
    /// More collectors, `http://` or `https://`, for when those before them don't work.
    #[serde(deserialize_with = "strings")]
    pub endpoints: Vec<String>,
    /// `grpc` or `http/protobuf`; without it, by the port.
    pub protocol: Option<Protocol>,
    /// Headers (gRPC: metadata) of every request. They may hold secrets: mind who can read the file.
    #[serde(deserialize_with = "string_map")]
    pub headers: BTreeMap<String, String>,
    /// How long a request may take, 1ms to 1h.
    #[serde(deserialize_with = "time::<_, 1, 3600000>")]
    pub timeout: Time,
    /// Compression of requests.
    pub compression: Compression,
    /// Files for `https://`.
    pub tls: Tls,
    /// Where spans wait on disk while no collector takes them.
    pub spool: Spool,
    /// Most bytes of memory for spans that wait or are on their way, 64KiB to 16GiB.
    #[serde(deserialize_with = "bytes::<_, 65536, 17179869184>")]
    pub queue_bytes: Bytes,
    /// How long to go on sending after the end, 0s to 1h.
    #[serde(deserialize_with = "time::<_, 0, 3600000>")]
    pub shutdown_timeout: Time,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: None,
            flag: None,
            endpoints: Vec::new(),
            protocol: None,
            headers: BTreeMap::new(),
            timeout: Time(Duration::from_secs(10)),
            compression: Compression::None,
            tls: Tls::default(),
            spool: Spool::default(),
            queue_bytes: Bytes(64 << 20),
            shutdown_timeout: Time(Duration::from_secs(5)),
        }
    }
}

impl std::fmt::Debug for Otlp {
    /// Names of headers only: their values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Otlp")
            .field("endpoint", &self.endpoint)
            .field("flag", &self.flag)
            .field("endpoints", &self.endpoints)
            .field("protocol", &self.protocol)
            .field("headers", &self.headers.keys())
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("tls", &self.tls)
            .field("spool", &self.spool)
            .field("queue_bytes", &self.queue_bytes)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .finish()
    }
}

/// OTLP's encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// OTLP/gRPC.
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP/HTTP with binary protobuf.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Compression of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Files in PEM for TLS. They are read when the exporter starts, and again when a collector doesn't work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates of the authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, for collectors that ask for one.
    pub cert_file: Option<PathBuf>,
    /// The private key of `cert_file`.
    pub key_file: Option<PathBuf>,
}

/// Where spans wait on disk while no collector takes them. Metrics don't: they are cumulative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// The folder, this exporter's own; without it, spans wait in memory only.
    pub directory: Option<PathBuf>,
    /// Most bytes in it, 16MiB to 1024GiB; beyond it, the oldest spans are dropped and counted.
    #[serde(deserialize_with = "bytes::<_, 16777216, 1099511627776>")]
    pub bytes: Bytes,
}

impl Default for Spool {
    fn default() -> Self {
        Self { directory: None, bytes: Bytes(256 << 20) }
    }
}

/// Metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Time between exports, 100ms to 1h.
    #[serde(deserialize_with = "time::<_, 100, 3600000>")]
    pub interval: Time,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { interval: Time(Duration::from_secs(10)) }
    }
}

/// Bounds of queues and tables. What doesn't fit is dropped and counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// BPF ring buffer: a power of two, 64KiB to 1GiB.
    #[serde(deserialize_with = "ring_bytes")]
    pub ring_bytes: Bytes,
    /// Connections kept at a time.
    #[serde(deserialize_with = "ranged::<_, 64, 4194304>")]
    #[schemars(range(min = 64, max = 4_194_304))]
    pub connections: u32,
    /// Events that wait for the core.
    #[serde(deserialize_with = "ranged::<_, 1024, 16777216>")]
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub queue_events: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ring_bytes: Bytes(64 << 20), connections: 65_536, queue_events: 262_144 }
    }
}

impl Export {
    /// What this section means in OpenTelemetry's variables, so that it can stand behind the environment: the
    /// value for an `OTEL_*` name, `None` where the file says nothing.
    pub fn otel_variable(&self, name: &str) -> Option<String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => {
                self.otlp.endpoint.as_ref().or_else(|| self.otlp.endpoints.first()).cloned()
            }
            "OTEL_EXPORTER_OTLP_PROTOCOL" => self.otlp.protocol.map(|protocol| {
                match protocol {
                    Protocol::Grpc => "grpc",
                    Protocol::HttpProtobuf => "http/protobuf",
                }
                .to_owned()
            }),
            "OTEL_EXPORTER_OTLP_HEADERS" if !self.otlp.headers.is_empty() => {
                let pairs = self.otlp.headers.iter().map(|(k, v)| format!("{k}={}", percent_encoded(v)));
                Some(pairs.collect::<Vec<_>>().join(","))
            }
            "OTEL_EXPORTER_OTLP_TIMEOUT" => Some(self.otlp.timeout.0.as_millis().to_string()),
            "OTEL_EXPORTER_OTLP_COMPRESSION" => Some(
                match self.otlp.compression {
                    Compression::None => "none",
                    Compression::Gzip => "gzip",
                    Compression::Zstd => "zstd",
                }
                .to_owned(),
            ),
            "OTEL_EXPORTER_OTLP_CERTIFICATE" => path(&self.otlp.tls.ca_file),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" => path(&self.otlp.tls.cert_file),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY" => path(&self.otlp.tls.key_file),
            "OTEL_METRIC_EXPORT_INTERVAL" => Some(self.metrics.interval.0.as_millis().to_string()),
            _ => None,
        }
    }
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_graphic() && !matches!(b, b'%' | b',' | b'=' | b';') {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
