//! Defaults, then the file, then the flags: one [`Config`] that everything else reads.

use std::sync::OnceLock;
use std::time::Duration;

use tracenet_config::{Bytes, Config, Format, Time};
use tracenet_core::syscall::{FdPaths, HexStrings, Interfaces, RenderOptions, Selection};
use tracenet_otel::{ExportOptions, SpoolOptions};

use crate::args::TraceArgs;
use crate::failure::Failure;

/// Less than this holds no story.
const MIN_RECORDER_BYTES: u64 = 1 << 20;

/// Lays the flags over the file.
pub fn resolve(args: TraceArgs, filter: &[String]) -> Result<Config, Failure> {
    let mut c = match &args.config {
        Some(path) => Config::load(path).map_err(|e| Failure::Usage(e.to_string()))?,
        None => Config::default(),
    };
    c.targets.follow |= args.follow > 0;
    let sets = trace_expressions(&args.expressions);
    if !sets.is_empty() {
        c.syscalls.trace = sets;
    }
    if let Some(n) = args.string_limit {
        if n > 4096 {
            return Err(Failure::Usage(format!(
                "-s {n} is too long: at most 4096 bytes of a string are read"
            )));
        }
        c.syscalls.string_limit = n;
    }
    c.syscalls.durations |= args.durations;
    c.syscalls.verbose |= args.verbose;
    c.syscalls.fd_paths = c.syscalls.fd_paths.max(args.fd_paths.min(2).into());
    c.syscalls.hex_strings = c.syscalls.hex_strings.max(args.hex_strings.min(2).into());
    let strace = args.lines.strace || args.follow >= 2 || args.count || args.count_too;
    if strace {
        c.capture.enabled = args.write.is_some() || args.interface.is_some();
        if c.syscalls.trace.is_empty() {
            c.syscalls.trace.push("all".to_owned());
        }
    }
    match args.interface.as_deref() {
        Some("none") => c.capture.enabled = false,
        Some(name) => {
            c.capture.enabled = true;
            c.capture.interface = name.to_owned();
        }
        None => {}
    }
    if !filter.is_empty() {
        c.capture.filter = Some(filter.join(" "));
    }
    if args.write.is_some() {
        c.capture.write = args.write;
    }
    if let Some(url) = args.otlp {
        export_to(&mut c, url);
    }
    if args.json {
        c.output.format = Format::Json;
    }
    if args.output.is_some() {
        c.output.file = args.output;
    }
    if args.record.is_some() {
        c.output.record = args.record;
    }
    if let Some(n) = args.recorder {
        c.recorder.bytes = Some(Bytes(n));
    }
    if let Some(folder) = args.recorder_dir {
        c.recorder.directory = folder;
    }
    if let Some(d) = args.duration {
        c.duration = Some(Time(d));
    }
    if args.budget.is_some() {
        c.budget = args.budget;
    }
    if let Some(t) = args.slow {
        c.output.slow = Some(Time(t));
    }
    c.output.packets &= !args.no_packets;
    c.output.quiet |= args.quiet > 0 && !strace;
    if let Some(color) = args.color {
        c.output.color = color.into();
    }
    if c.capture.write.is_some() && !c.capture.enabled {
        return Err(Failure::Usage(
            "-w needs packets, but capture is off (-i none): leave one of them out".into(),
        ));
    }
    if c.recorder.bytes.is_some_and(|n| n.0 < MIN_RECORDER_BYTES) {
        return Err(Failure::Usage("--recorder is too small: use 1MiB or more".into()));
    }
    if c.duration.is_some_and(|t| t.0 == Duration::ZERO) {
        return Err(Failure::Usage("--duration must be longer than 0".into()));
    }
    Ok(c)
}

/// The flag's collector is the only one.
pub fn export_to(c: &mut Config, url: String) {
    c.export.otlp.flag = Some(url);
}

/// Where spans and metrics go by the flag, the environment and the file, in this order; `None` where none of them asks
/// for an export.
pub fn export(c: &Config) -> Result<Option<ExportOptions>, Failure> {
    export_by(c, variable)
}

/// What is exported of a scrape's resources and intervals where nothing is sent.
pub fn without_export(c: &Config) -> Result<ExportOptions, Failure> {
    let layers = |name: &str| variable(name).or_else(|| c.export.otel_variable(name));
    ExportOptions::without_export(layers).map_err(|e| usage(e, &variable))
}

fn export_by(c: &Config, env: impl Fn(&str) -> Option<String>) -> Result<Option<ExportOptions>, Failure> {
    let otlp = &c.export.otlp;
    let layers = |name: &str| env(name).or_else(|| c.export.otel_variable(name));
    let options = ExportOptions::from_flag_and_env(otlp.flag.as_deref(), layers);
    let Some(mut options) = options.map_err(|e| usage(e, &env))? else { return Ok(None) };
    options.queue_bytes = usize::try_from(otlp.queue_bytes.0).unwrap_or(usize::MAX);
    if otlp.flag.is_none() {
        options.add_endpoints(&otlp.endpoints, layers).map_err(|e| usage(e, &env))?;
    }
    let spool = &otlp.spool;
    options.spool = spool.directory.clone().map(|directory| SpoolOptions { directory, bytes: spool.bytes.0 });
    Ok(Some(options))
}

/// An empty variable says nothing (OpenTelemetry, "SDK environment variables"), so that the file is asked.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Where a variable's value is the file's, the mistake is the file's as well.
fn usage(mut e: tracenet_otel::Error, env: &dyn Fn(&str) -> Option<String>) -> Failure {
    if let tracenet_otel::Error::Endpoint { origin: name, .. } | tracenet_otel::Error::Variable { name, .. } =
        &mut e
        && env(name).is_none()
    {
        match name.as_str() {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => *name = "export.otlp.endpoint".to_owned(),
            "OTEL_EXPORTER_OTLP_HEADERS" => *name = "export.otlp.headers".to_owned(),
            _ => {}
        }
    }
    Failure::Usage(e.to_string())
}

/// The interfaces that there are when tracenet starts, for the lines of syscalls that name them by number.
fn interfaces() -> Interfaces {
    static NAMES: OnceLock<Vec<(u32, Box<str>)>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let all = nix::net::if_::if_nameindex();
        let all = all.iter().flat_map(|all| all.iter());
        all.map(|i| (i.index(), i.name().to_string_lossy().into())).collect()
    })
}

/// How syscalls are printed.
pub fn rendering(c: &Config) -> RenderOptions {
    RenderOptions {
        string_limit: c.syscalls.string_limit,
        durations: c.syscalls.durations,
        hex_strings: match c.syscalls.hex_strings {
            0 => HexStrings::Never,
            1 => HexStrings::NonAscii,
            _ => HexStrings::Always,
        },
        verbose: c.syscalls.verbose,
        fd_paths: match c.syscalls.fd_paths {
            0 => FdPaths::None,
            1 => FdPaths::Path,
            _ => FdPaths::Details,
        },
        interfaces: interfaces(),
    }
}

/// The trace sets among strace's `-e` expressions: `trace=SET`, or a bare `SET`. The others are
/// [`Habits`](crate::strace::Habits).
fn trace_expressions(expressions: &[String]) -> Vec<String> {
    expressions
        .iter()
        .filter_map(|e| match e.split_once('=') {
            None => Some(e.clone()),
            Some(("trace" | "t", set)) => Some(set.to_owned()),
            Some(_) => None,
        })
        .collect()
}

/// Which syscalls the settings ask for: several sets add up.
pub fn selection(c: &Config) -> Result<Selection, Failure> {
    match c.syscalls.trace.as_slice() {
        [] => Ok(Selection::default_story()),
        sets => Selection::parse(&sets.join(",")).map_err(|e| Failure::Usage(format!("-e trace: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tracenet_otel::{Compression, Destination, Protocol, SignalOptions};

    use super::*;

    #[test]
    fn trace_sets_are_taken_from_among_the_expressions() {
        let sets = |e: &[&str]| trace_expressions(&e.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(sets(&["trace=connect,%net", "signal=none", "read"]), ["connect,%net", "read"]);
    }

    fn exported(
        text: &str,
        flag: Option<&str>,
        vars: &[(&str, &str)],
    ) -> Result<Option<ExportOptions>, Failure> {
        let mut config = Config::parse(text).expect("a configuration");
        if let Some(url) = flag {
            export_to(&mut config, url.to_owned());
        }
        let env = |name: &str| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned());
        export_by(&config, env)
    }

    fn places(signal: &Option<SignalOptions>) -> Vec<String> {
        let signal = signal.as_ref().expect("exported");
        std::iter::once(&signal.destination)
            .chain(&signal.further)
            .map(|to| match to {
                Destination::Collector { uri, .. } => uri.authority().expect("an authority").to_string(),
                Destination::File(path) => path.display().to_string(),
            })
            .collect()
    }

    #[test]
    fn a_flag_wins_over_variables_and_these_over_the_file() {
        const FILE: &str = "export: {otlp: {endpoint: 'http://file:4318', endpoints: ['http://more:4318']}}";
        const GENERAL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318");
        const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own:4318/v1/traces");
        const METRICS: (&str, &str) = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://sums:4318/v1/metrics");
        let both = |flag, vars: &[(&str, &str)]| {
            let options = exported(FILE, flag, vars).unwrap().unwrap();
            (places(&options.traces).join(" "), places(&options.metrics).join(" "))
        };
        let told = |traces: &str, metrics: &str| (traces.to_owned(), metrics.to_owned());
        assert_eq!(both(None, &[]), told("file:4318 more:4318", "file:4318 more:4318"));
        assert_eq!(both(None, &[GENERAL]), told("all:4318 more:4318", "all:4318 more:4318"));
        assert_eq!(both(None, &[TRACES]), told("own:4318 more:4318", "file:4318 more:4318"));
        assert_eq!(both(None, &[GENERAL, METRICS]), told("all:4318 more:4318", "sums:4318 more:4318"));
        assert_eq!(
            both(Some("http://flag:4318"), &[GENERAL, TRACES, METRICS]),
            told("flag:4318", "flag:4318")
        );
        assert!(exported(FILE, None, &[("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
        let first =
            exported("export: {otlp: {endpoints: ['http://a:4318', 'http://b:4318']}}", None, &[TRACES]);
        let first = first.unwrap().unwrap();
        assert_eq!(places(&first.traces), ["own:4318", "a:4318", "b:4318"]);
        assert_eq!(places(&first.metrics), ["a:4318", "b:4318"]);
    }

    #[test]
    fn each_setting_of_the_file_gives_way_to_its_variable() {
        const FILE: &str = "export: {otlp: {endpoint: 'http://h:4318', protocol: http/protobuf, headers: {a: file},\
            timeout: 2s, compression: gzip, tls: {ca_file: /file.ca, cert_file: /file.crt, key_file: /file.key}},\
            metrics: {interval: 3s}}";
        let of_file = exported(FILE, None, &[]).unwrap().unwrap();
        let vars = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=env"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "4000"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/env.ca"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/env.crt"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/env.key"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
        ];
        let of_env = exported(FILE, None, &vars).unwrap().unwrap();
        for (options, who, protocol, seconds, compression, interval) in [
            (of_file, "file", Protocol::HttpProtobuf, 2, Compression::Gzip, 3),
            (of_env, "env", Protocol::Grpc, 4, Compression::Zstd, 5),
        ] {
            assert_eq!(options.metric_interval, Duration::from_secs(interval), "{who}");
            for signal in [options.traces.unwrap(), options.metrics.unwrap()] {
                let Destination::Collector { protocol: used, .. } = &signal.destination else {
                    panic!("{who}")
                };
                assert_eq!(*used, protocol, "{who}");
                assert_eq!(signal.headers, [("a".to_owned(), who.to_owned())]);
                assert_eq!(signal.timeout, Duration::from_secs(seconds), "{who}");
                assert_eq!(signal.compression, compression, "{who}");
                for (file, end) in [
                    (&signal.tls.ca_file, "ca"),
                    (&signal.tls.cert_file, "crt"),
                    (&signal.tls.key_file, "key"),
                ] {
                    assert_eq!(file.as_deref(), Some(Path::new(&format!("/{who}.{end}"))));
                }
            }
        }
    }

    #[test]
    fn mistakes_of_the_file_are_not_blamed_on_variables() {
        for (text, says) in [
            ("export: {otlp: {endpoint: 'h:1'}}", "export.otlp.endpoint: cannot export to `h:1`"),
            (
                "export: {otlp: {endpoint: 'http://h:1', headers: {'a b': c}}}",
                "export.otlp.headers=(hidden): ",
            ),
        ] {
            let Err(Failure::Usage(error)) = exported(text, None, &[]) else { panic!("{text} is wrong") };
            assert!(error.starts_with(says), "{error}");
        }
    }
}
