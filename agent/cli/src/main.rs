//! tracenet: what a process asked of the network, what was lost, where, why, and whose time it cost.

mod agent;
mod args;
mod bench;
mod child;
mod closing;
mod cmd;
mod engine;
mod entries;
mod explain;
mod failure;
mod flight;
mod focus;
mod governor;
mod identity;
mod incident;
mod kube;
mod memory;
mod namespace;
mod namespaces;
mod output;
mod own;
mod paint;
mod privilege;
mod reconcile;
mod recorder;
mod report;
mod settings;
mod signals;
mod sinks;
mod sources;
mod stamp;
mod stats;
mod story;
mod strace;
mod targets;
mod top;
mod trace;
mod units;
mod words;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::args::{Cli, Command};

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(matches!(&cli.command, Command::Agent(args) if args.log_json));
    let done = match cli.command {
        Command::Attach(args) => cmd::attach::main(args),
        Command::Run(args) => cmd::run::main(args),
        Command::Record(args) => cmd::record::main(args),
        Command::Replay(args) => cmd::replay::main(&args),
        Command::Explain(args) => cmd::explain::main(args),
        Command::Analyze(args) => cmd::analyze::main(&args),
        Command::Sockets(args) => cmd::sockets::main(&args),
        Command::ExplainBits { values } => cmd::explain_bits::main(&values),
        Command::Top(args) => cmd::top::main(&args),
        Command::Stats(args) => cmd::stats::main(&args),
        Command::Interfaces(args) => cmd::interfaces::main(&args),
        Command::Whois(args) => cmd::whois::main(&args),
        Command::Agent(args) => cmd::agent::main(&args),
        Command::Bench(args) => cmd::bench::main(&args),
        Command::FirewallRules => agent::rules::serve(),
        Command::Doctor { json } => cmd::doctor::main(json),
        Command::Config { action } => cmd::config::main(action),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            sinks::warn(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

/// What the libraries report (the exporter's state, mostly) goes where our own warnings go; TRACENET_LOG sets how
/// much, in the words of `EnvFilter`.
fn log_to_stderr(json: bool) {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::OFF.into())
        .with_env_var("TRACENET_LOG")
        .try_from_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off,tracenet=info,tracenet_otel=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    if json {
        log.json().flatten_event(true).with_writer(|| Shown).init();
    } else {
        log.event_format(Line).init();
    }
}

/// Standard error for JSON, which a terminal may show.
struct Shown;

impl Write for Shown {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().write_all(tracenet_core::json::escaped(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `tracenet: message`, as every line of ours on standard error.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        to.write_str("tracenet: ")?;
        ctx.field_format().format_fields(to.by_ref(), event)?;
        to.write_char('\n')
    }
}
