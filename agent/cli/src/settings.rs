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
    c.export.otlp.endpoint = Some(url);
    c.export.otlp.endpoints.clear();
}

/// Where spans and metrics go by the file, the flag in it and the environment; `None` where none of them asks for an export.
pub fn export(c: &Config) -> Result<Option<ExportOptions>, Failure> {
    let usage = |e: tracenet_otel::Error| Failure::Usage(e.to_string());
    let env = |name: &str| otel_variable(c, name);
    let options = ExportOptions::from_flag_and_env(c.export.otlp.endpoint.as_deref(), env).map_err(usage)?;
    let Some(mut options) = options else { return Ok(None) };
    options.queue_bytes = usize::try_from(c.export.otlp.queue_bytes.0).unwrap_or(usize::MAX);
    options.add_endpoints(c.export.further_endpoints(), env).map_err(usage)?;
    let spool = &c.export.otlp.spool;
    options.spool = spool.directory.clone().map(|directory| SpoolOptions { directory, bytes: spool.bytes.0 });
    Ok(Some(options))
}

/// A variable of OpenTelemetry's, or what the file says in its place.
pub fn otel_variable(c: &Config, name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| c.export.otel_variable(name))
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
    use super::*;

    #[test]
    fn trace_sets_are_taken_from_among_the_expressions() {
        let sets = |e: &[&str]| trace_expressions(&e.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(sets(&["trace=connect,%net", "signal=none", "read"]), ["connect,%net", "read"]);
    }
}
