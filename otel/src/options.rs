//! Where to export to and how: the `--otlp` flag and the `OTEL_*` variables of the OpenTelemetry specification.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::tls::Tls;

/// What keeps an export from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is no URL that can be exported to.
    #[error(
        "{origin}: cannot export to `{value}`: {why}; use http://HOST:4317 (gRPC), http://HOST:4318 (HTTP) or file:PATH"
    )]
    Endpoint {
        /// Flag or variable.
        origin: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A variable has a value that means nothing.
    #[error("{name}={value}: {expected}")]
    Variable {
        /// Name of the variable.
        name: String,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The output file can't be made.
    #[error("cannot write OTLP to {}: {source}; name a file in a writable folder", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The exporter's thread or runtime can't be made.
    #[error("cannot start the exporter: {0}")]
    Start(std::io::Error),
    /// A file of certificates or keys can't be used.
    #[error("cannot use {what} for TLS: {why}; give PEM files that this user can read")]
    Tls {
        /// The file.
        what: String,
        /// Why.
        why: String,
    },
    /// No TLS configuration, or no connection object, can be made for the endpoint.
    #[error("cannot use {uri}: {why}")]
    Connect {
        /// The endpoint.
        uri: String,
        /// Why.
        why: String,
    },
}

/// OTLP's encodings on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC, usually on port 4317.
    Grpc,
    /// OTLP/HTTP with binary protobuf, usually on port 4318.
    HttpProtobuf,
}

/// Compression of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Its content coding in HTTP.
    pub(crate) fn coding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// Where a signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a collector; for HTTP with the signal's path (`/v1/traces`), as it will be requested.
    Collector {
        /// Scheme, authority and path.
        uri: Uri,
        /// Encoding.
        protocol: Protocol,
    },
    /// To a file: one OTLP JSON request a line.
    File(PathBuf),
}

/// How one signal (traces or metrics) is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalOptions {
    /// Where to.
    pub destination: Destination,
    /// Where to when that doesn't work, in this order.
    pub further: Vec<Destination>,
    /// Headers (gRPC: metadata) of every request, names in lower case. They may hold secrets: never log them.
    pub headers: Vec<(String, String)>,
    /// How long a request may take.
    pub timeout: Duration,
    /// Compression of requests.
    pub compression: Compression,
    /// Files for `https`.
    pub tls: Tls,
}

/// Where spans wait on disk while no collector takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// The folder. It is made (mode 0700) where it isn't there, and belongs to one exporter at a time.
    pub directory: PathBuf,
    /// Most bytes in it; when there are more, the oldest spans are shed.
    pub bytes: u64,
}

/// Everything an [`Exporter`](crate::Exporter) is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// Spans; `None` exports none.
    pub traces: Option<SignalOptions>,
    /// Metrics; `None` exports none.
    pub metrics: Option<SignalOptions>,
    /// Most bytes of memory for spans that wait or are on their way.
    pub queue_bytes: usize,
    /// Where spans wait when no collector takes them; `None`: only in memory.
    pub spool: Option<SpoolOptions>,
    /// Time between exports of metrics.
    pub metric_interval: Duration,
    /// `service.name` of all resources, where the user gave one.
    pub service_name: Option<String>,
    /// Attributes of all resources (`OTEL_RESOURCE_ATTRIBUTES`).
    pub resource_attributes: Vec<(String, String)>,
}

/// Default of [`ExportOptions::queue_bytes`].
pub const QUEUE_BYTES: usize = 64 << 20;
/// Default of [`SignalOptions::timeout`] (OpenTelemetry's own).
const TIMEOUT: Duration = Duration::from_secs(10);
/// Default of [`ExportOptions::metric_interval`].
const METRIC_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    fn infix(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
        }
    }
}

impl ExportOptions {
    /// Options from the `--otlp` flag and the environment; `None` where neither asks for an export.
    ///
    /// The flag's endpoint wins over the variables' and over `OTEL_SDK_DISABLED`; protocol, headers, timeout,
    /// compression and the files for TLS come from the variables (the signal's own, `OTEL_EXPORTER_OTLP_TRACES_...`, before the general
    /// one). Without the flag, a signal is exported only where a variable names an endpoint for it.
    /// Without a protocol, port 4317 means gRPC and everything else HTTP.
    pub fn from_flag_and_env(
        flag: Option<&str>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Error> {
        // "The value of an empty environment variable is to be treated as unset" (OTel, SDK environment variables).
        let env = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        if flag.is_none() && env("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let traces = signal(Signal::Traces, flag, &env)?;
        let metrics = signal(Signal::Metrics, flag, &env)?;
        if traces.is_none() && metrics.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { traces, metrics, ..Self::without_export(env)? }))
    }

    /// What the environment says of resources and intervals, for an agent that exports nothing but is scraped
    /// ([`Telemetry::expose`](crate::Telemetry::expose)).
    pub fn without_export(env: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let env = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let mut resource_attributes = match env("OTEL_RESOURCE_ATTRIBUTES") {
            Some(v) => pairs("OTEL_RESOURCE_ATTRIBUTES", &v)?,
            None => Vec::new(),
        };
        let mut service_name = env("OTEL_SERVICE_NAME");
        resource_attributes.retain(|(k, v)| {
            let is_name = k == "service.name";
            if is_name && service_name.is_none() {
                service_name = Some(v.clone());
            }
            !is_name
        });
        let metric_interval = match env("OTEL_METRIC_EXPORT_INTERVAL") {
            Some(v) => milliseconds("OTEL_METRIC_EXPORT_INTERVAL", &v)?,
            None => METRIC_INTERVAL,
        };
        Ok(Self {
            traces: None,
            metrics: None,
            queue_bytes: QUEUE_BYTES,
            spool: None,
            metric_interval,
            service_name,
            resource_attributes,
        })
    }

    /// Adds collectors to those of both signals, for when those before them don't work; the first is left out where it is
    /// among them. `env` is asked for their protocol.
    ///
    /// # Errors
    /// [`Error::Endpoint`]: one of them is no URL of a collector.
    pub fn add_endpoints(
        &mut self,
        endpoints: &[String],
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(), Error> {
        let env = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        for (signal, options) in [(Signal::Traces, &mut self.traces), (Signal::Metrics, &mut self.metrics)] {
            let Some(options) = options else { continue };
            let protocol = protocol(signal, &env)?;
            for endpoint in endpoints {
                let origin = "export.otlp.endpoints";
                match destination(origin, endpoint, protocol, Some(signal))? {
                    first if first == options.destination => {}
                    to @ Destination::Collector { .. } => options.further.push(to),
                    Destination::File(_) => {
                        let (origin, value) = (origin.to_owned(), endpoint.clone());
                        return Err(Error::Endpoint { origin, value, why: "a file is no collector" });
                    }
                }
            }
        }
        Ok(())
    }
}

/// The signal's own variable, then the general one; with the name, for messages.
fn either(signal: Signal, env: &dyn Fn(&str) -> Option<String>, suffix: &str) -> Option<(String, String)> {
    [format!("OTEL_EXPORTER_OTLP_{}_{suffix}", signal.infix()), format!("OTEL_EXPORTER_OTLP_{suffix}")]
        .into_iter()
        .find_map(|name| env(&name).map(|value| (name, value)))
}

fn protocol(signal: Signal, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Protocol>, Error> {
    let Some((name, value)) = either(signal, env, "PROTOCOL") else { return Ok(None) };
    match value.as_str() {
        "grpc" => Ok(Some(Protocol::Grpc)),
        "http/protobuf" => Ok(Some(Protocol::HttpProtobuf)),
        _ => Err(Error::Variable { name, value, expected: "use grpc or http/protobuf" }),
    }
}

fn signal(
    signal: Signal,
    flag: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<SignalOptions>, Error> {
    if env(&format!("OTEL_{}_EXPORTER", signal.infix())).is_some_and(|v| v == "none") {
        return Ok(None);
    }
    let either = |suffix: &str| either(signal, env, suffix);
    let own = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.infix());
    // A signal's own endpoint is used as it stands; a general one gets the signal's path (OTLP exporter
    // specification, "Endpoint URLs for OTLP/HTTP").
    let (origin, value, complete) = if let Some(value) = flag {
        ("--otlp".to_owned(), value.to_owned(), false)
    } else if let Some(value) = env(&own) {
        (own, value, true)
    } else if let Some(value) = env("OTEL_EXPORTER_OTLP_ENDPOINT") {
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), value, false)
    } else {
        return Ok(None);
    };
    let destination = destination(&origin, &value, protocol(signal, env)?, (!complete).then_some(signal))?;
    let headers = match either("HEADERS") {
        Some((name, value)) => headers(&name, &value)?,
        None => Vec::new(),
    };
    let timeout = match either("TIMEOUT") {
        Some((name, value)) => milliseconds(&name, &value)?,
        None => TIMEOUT,
    };
    let compression = match either("COMPRESSION") {
        None => Compression::None,
        Some((name, value)) => match value.as_str() {
            "none" => Compression::None,
            "gzip" => Compression::Gzip,
            "zstd" => Compression::Zstd,
            _ => return Err(Error::Variable { name, value, expected: "use none, gzip or zstd" }),
        },
    };
    let file = |suffix: &str| either(suffix).map(|(_, path)| PathBuf::from(path));
    let tls = Tls {
        ca_file: file("CERTIFICATE"),
        cert_file: file("CLIENT_CERTIFICATE"),
        key_file: file("CLIENT_KEY"),
    };
    Ok(Some(SignalOptions { destination, further: Vec::new(), headers, timeout, compression, tls }))
}

/// Reads an endpoint; `append` is the signal whose path goes behind the URL's.
fn destination(
    origin: &str,
    value: &str,
    protocol: Option<Protocol>,
    append: Option<Signal>,
) -> Result<Destination, Error> {
    let bad = |why| Error::Endpoint { origin: origin.to_owned(), value: value.to_owned(), why };
    if let Some(path) = value.strip_prefix("file:") {
        // file:///x is the URL of /x (RFC 8089); file:x and file:/x are the short forms.
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(bad("no path"));
        }
        return Ok(Destination::File(PathBuf::from(path)));
    }
    let uri: Uri = value.parse().map_err(|_| bad("not a URL"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err(bad("unknown scheme")),
        None => return Err(bad("no scheme")),
    }
    let authority = uri.authority().ok_or_else(|| bad("no host"))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(bad("no host"));
    }
    if authority.as_str().contains('@') {
        return Err(bad("user and password go into OTEL_EXPORTER_OTLP_HEADERS"));
    }
    let protocol = protocol.unwrap_or(match uri.port_u16() {
        Some(4317) => Protocol::Grpc,
        _ => Protocol::HttpProtobuf,
    });
    let uri = match (protocol, append) {
        (Protocol::HttpProtobuf, Some(signal)) => {
            let base = uri.path().trim_end_matches('/');
            let base = base.strip_suffix("/v1/traces").or(base.strip_suffix("/v1/metrics")).unwrap_or(base);
            let mut parts = uri.clone().into_parts();
            let path = format!("{base}/{}", signal.path());
            parts.path_and_query = Some(path.parse().map_err(|_| bad("not a path"))?);
            Uri::from_parts(parts).map_err(|_| bad("not a URL"))?
        }
        _ => uri,
    };
    Ok(Destination::Collector { uri, protocol })
}

/// A whole number of milliseconds, at least 1, as all `OTEL_*` times are.
fn milliseconds(name: &str, value: &str) -> Result<Duration, Error> {
    match value.parse::<u64>() {
        Ok(ms @ 1..) => Ok(Duration::from_millis(ms)),
        _ => Err(Error::Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            expected: "use a whole number of milliseconds, at least 1",
        }),
    }
}

fn headers(name: &str, value: &str) -> Result<Vec<(String, String)>, Error> {
    let hidden = |expected| Error::Variable { name: name.to_owned(), value: "(hidden)".to_owned(), expected };
    let mut headers = pairs(name, value).map_err(|_| hidden("use name=value,name=value"))?;
    for (key, value) in &mut headers {
        key.make_ascii_lowercase();
        if http::HeaderName::from_bytes(key.as_bytes()).is_err()
            || http::HeaderValue::from_str(value).is_err()
        {
            return Err(hidden("a name or value is not valid in a header"));
        }
    }
    Ok(headers)
}

/// `key=value,key=value` with percent-encoded values (W3C Baggage, as the specification asks for headers and
/// resource attributes).
fn pairs(name: &str, value: &str) -> Result<Vec<(String, String)>, Error> {
    let bad = || Error::Variable {
        name: name.to_owned(),
        value: value.to_owned(),
        expected: "use key=value,key=value, with %XX for commas in a value",
    };
    value
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(bad)?;
            let key = key.trim();
            if key.is_empty() {
                return Err(bad());
            }
            Ok((key.to_owned(), percent_decoded(value.trim()).ok_or_else(bad)?))
        })
        .collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let high = (bytes.next()? as char).to_digit(16)?;
        let low = (bytes.next()? as char).to_digit(16)?;
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(flag: Option<&str>, vars: &[(&str, &str)]) -> Result<Option<ExportOptions>, Error> {
        ExportOptions::from_flag_and_env(flag, |name| {
            vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned())
        })
    }

    fn collector(signal: &Option<SignalOptions>) -> (String, Protocol) {
        match &signal.as_ref().expect("exported").destination {
            Destination::Collector { uri, protocol } => (uri.to_string(), *protocol),
            Destination::File(path) => panic!("a file: {path:?}"),
        }
    }

    #[test]
    fn the_flag_chooses_the_protocol_by_port_and_appends_paths_for_http() {
        let o = options(Some("http://h:4317"), &[]).unwrap().unwrap();
        assert_eq!(collector(&o.traces), ("http://h:4317/".into(), Protocol::Grpc));
        assert_eq!(collector(&o.metrics), ("http://h:4317/".into(), Protocol::Grpc));
        let o = options(Some("http://[::1]:4318"), &[]).unwrap().unwrap();
        assert_eq!(collector(&o.traces), ("http://[::1]:4318/v1/traces".into(), Protocol::HttpProtobuf));
        assert_eq!(collector(&o.metrics), ("http://[::1]:4318/v1/metrics".into(), Protocol::HttpProtobuf));
        for flag in ["http://h:4318/otlp/", "http://h:4318/otlp/v1/traces"] {
            let o = options(Some(flag), &[]).unwrap().unwrap();
            assert_eq!(collector(&o.metrics).0, "http://h:4318/otlp/v1/metrics", "{flag}");
        }
    }

    #[test]
    fn files_are_named_by_path_or_url() {
        for (flag, path) in [("file:a.json", "a.json"), ("file:/t/a", "/t/a"), ("file:///t/a", "/t/a")] {
            let o = options(Some(flag), &[]).unwrap().unwrap();
            assert_eq!(o.traces.unwrap().destination, Destination::File(path.into()), "{flag}");
        }
    }

    #[test]
    fn nothing_is_exported_unasked() {
        assert_eq!(options(None, &[]).unwrap(), None);
        assert_eq!(options(None, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap(), None);
        assert_eq!(options(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap(), None);
        let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4317"), ("OTEL_SDK_DISABLED", "true")];
        assert_eq!(options(None, &vars).unwrap(), None);
        assert!(options(Some("http://h:4317"), &vars).unwrap().is_some(), "the flag wins");
    }

    #[test]
    fn variables_of_a_signal_win_over_general_ones() {
        let o = options(
            None,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4317"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own:9/x"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20a, x-b = c%2Cd"),
                ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
                ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
                ("OTEL_SERVICE_NAME", "shop"),
                ("OTEL_RESOURCE_ATTRIBUTES", "service.name=lost,deployment.environment.name=test"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/tls.crt"),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/tls.key"),
                ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/own.key"),
            ],
        )
        .unwrap()
        .unwrap();
        assert_eq!(collector(&o.traces), ("http://own:9/x".into(), Protocol::HttpProtobuf));
        assert_eq!(collector(&o.metrics), ("http://general:4317/".into(), Protocol::Grpc));
        let traces = o.traces.unwrap();
        let metrics = o.metrics.unwrap();
        assert_eq!(
            traces.headers,
            [("authorization".into(), "Bearer a".into()), ("x-b".into(), "c,d".into())]
                as [(String, String); 2]
        );
        assert_eq!(traces.timeout, Duration::from_millis(250));
        assert_eq!(metrics.timeout, Duration::from_secs(10));
        assert_eq!((traces.compression, metrics.compression), (Compression::None, Compression::Gzip));
        let of_both = (Some("/ca.pem".into()), Some("/tls.crt".into()));
        assert_eq!((traces.tls.ca_file, traces.tls.cert_file), of_both);
        assert_eq!(
            (traces.tls.key_file, metrics.tls.key_file),
            (Some("/own.key".into()), Some("/tls.key".into()))
        );
        assert_eq!(o.service_name.as_deref(), Some("shop"));
        assert_eq!(o.resource_attributes, [("deployment.environment.name".into(), "test".into())]);
        assert_eq!(o.metric_interval, Duration::from_millis(1500));
    }

    #[test]
    fn a_signal_can_be_off() {
        let o = options(Some("http://h:4317"), &[("OTEL_METRICS_EXPORTER", "none")]).unwrap().unwrap();
        assert!(o.metrics.is_none() && o.traces.is_some());
    }

    #[test]
    fn wrong_values_are_named_with_the_remedy_and_secrets_stay_hidden() {
        for flag in ["h:4317", "4317", "ftp://h", "http://", "file:", "http://u:p@h:4318", "http://a b"] {
            let error = options(Some(flag), &[]).unwrap_err().to_string();
            assert!(error.starts_with("--otlp: ") && error.contains("file:PATH"), "{error}");
        }
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
        ] {
            let error = options(Some("http://h:4317"), &[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}={value}: ")), "{error}");
        }
        let error = options(Some("http://h:4317"), &[("OTEL_EXPORTER_OTLP_HEADERS", "a=b,secret")]);
        assert!(!error.unwrap_err().to_string().contains("secret"));
    }
}
