//! The command line. Flags that people know from strace and tcpdump mean the same here.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use tracenet_core::key::ConnId;

use crate::cmd::sockets::SocketsArgs;
use crate::strace::Sort;

/// Joins a process's syscalls, sockets, packets, drops and counters into one story.
#[derive(Debug, Parser)]
#[command(name = "tracenet", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trace live processes until Ctrl-C, --duration, or their end.
    Attach(AttachArgs),
    /// Trace a command from its first instruction; its exit status is passed on.
    Run(RunArgs),
    /// Trace as attach does, or a command as run does, without a word: everything goes into a recording.
    Record(RecordArgs),
    /// Tell the story of a recording, exactly as it would have been told live.
    Replay(ReplayArgs),
    /// Say of the slow and the damaged turns what they waited for, and what proves it.
    Explain(ExplainArgs),
    /// Analyse capture files: what was sent again, lost, out of order, and how long answers took.
    Analyze(AnalyzeArgs),
    /// List sockets and who holds them, as ss and netstat do, in one or in all network namespaces.
    Sockets(SocketsArgs),
    /// Say what the bits of a flow's features mean; without arguments, list all features.
    ExplainBits {
        /// Feature and value as `analyze --flows` prints them, e.g. tcp_anomaly=0x02c4.
        #[arg(value_name = "NAME=VALUE")]
        values: Vec<String>,
    },
    /// Show which processes use the network, and which suffer from it.
    Top(TopArgs),
    /// Tell what the host, its interfaces and protocols, and chosen processes did, as sar, pidstat and nstat do.
    Stats(crate::cmd::stats::StatsArgs),
    /// Show the network interfaces: addresses, counters, driver, and what its offloads mean for a capture.
    Interfaces(crate::cmd::interfaces::InterfacesArgs),
    /// Tell who a process is: its cgroup, container, pod, workload, unit and service.
    Whois(crate::cmd::whois::WhoisArgs),
    /// Follow every process of the host, all the time, for OpenTelemetry and Prometheus.
    Agent(crate::cmd::agent::AgentArgs),
    /// Measure what watching costs on this machine: by call, request and packet, beside other tools.
    Bench(crate::cmd::bench::BenchArgs),
    /// Not for users: names rules for the agent.
    #[command(hide = true)]
    FirewallRules,
    /// Say what this kernel and these privileges allow, hook by hook, with the remedy.
    Doctor {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Check a configuration file, or print the example or the JSON schema.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
}

/// `tracenet top`
#[derive(Debug, Args)]
pub struct TopArgs {
    /// What to show first, or with --once: processes, connections or hosts.
    #[arg(long, value_name = "PAGE", value_enum, default_value = "processes")]
    pub page: crate::top::keys::Page,
    /// Only connections of this interface, by its addresses, and processes that hold one.
    #[arg(short = 'i', long = "interface", value_name = "IFACE")]
    pub interface: Option<String>,
    /// Only these processes; repeatable, also as a comma-separated list.
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Time between two readings.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub interval: std::time::Duration,
    /// What to sort by, as --once --json names it [default: received_2s for processes, else total_2s].
    #[arg(long, value_name = "NAME")]
    pub sort: Option<String>,
    /// Addresses of hosts, not their names.
    #[arg(short = 'n')]
    pub no_hosts: bool,
    /// Numbers of ports, not their names.
    #[arg(short = 'N')]
    pub no_services: bool,
    /// Hosts by port.
    #[arg(short = 'P')]
    pub ports: bool,
    /// Rates in bytes a second, not bits.
    #[arg(short = 'B')]
    pub bytes: bool,
    /// No bars of the last rates.
    #[arg(short = 'b')]
    pub no_bars: bool,
    /// Print the page after one interval, without a full screen, and end.
    #[arg(short = 't', long)]
    pub once: bool,
    /// One JSON object a line, after one interval.
    #[arg(long)]
    pub json: bool,
    /// Filter the page in the language of Wireshark, by the names that --once --json has, e.g.
    /// 'retransmits > 0 && name contains "nginx"'.
    #[arg(short = 'Y', long = "display-filter", value_name = "FILTER")]
    pub display_filter: Option<String>,
    /// Colour: auto, always, never.
    #[arg(long, value_name = "WHEN")]
    pub color: Option<Color>,
    /// Only connections that meet this tcpdump expression, one of whose directions does, and processes that hold one.
    #[arg(value_name = "EXPRESSION")]
    pub expression: Vec<String>,
}

/// `tracenet config ...`
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Read a file and say whether it is valid (exit 0) or where it is wrong (exit 2).
    Check {
        /// The YAML file.
        file: PathBuf,
    },
    /// Print the JSON schema of the file.
    Schema,
    /// Print the commented example with every default.
    Example,
}

/// `tracenet attach`
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Process to trace; repeatable, also as a comma-separated list.
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    #[command(flatten)]
    pub trace: TraceArgs,
    /// tcpdump expression that narrows the packets further, e.g. 'port 443'.
    #[arg(value_name = "BPF FILTER")]
    pub filter: Vec<String>,
}

/// `tracenet run`
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub trace: TraceArgs,
    /// tcpdump expression that narrows the packets further, before the `--`.
    #[arg(value_name = "BPF FILTER")]
    pub filter: Vec<String>,
    /// The command and its arguments, after `--`.
    #[arg(last = true, value_name = "CMD", required = true)]
    pub command: Vec<std::ffi::OsString>,
}

/// `tracenet record`
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Process to trace; repeatable, also as a comma-separated list.
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "command")]
    pub pids: Vec<u32>,
    /// The recording, for tracenet replay.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// Follow child processes, those that exist and those to come (threads are always followed).
    #[arg(short = 'f', long = "follow-forks")]
    pub follow: bool,
    /// Which syscalls to record, in strace's words: trace=connect,%network,!close ... or trace=none.
    #[arg(short = 'e', value_name = "EXPR")]
    pub expressions: Vec<String>,
    /// Longest string to keep, in bytes [default: 32].
    #[arg(short = 's', long = "string-limit", value_name = "N")]
    pub string_limit: Option<u32>,
    /// Interface to capture on, `any` for all, `none` for no packets [default: any].
    #[arg(short = 'i', long = "interface", value_name = "IFACE")]
    pub interface: Option<String>,
    /// Stop after this long, e.g. 10s, 500ms, 2m.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<std::time::Duration>,
    /// Configuration file; flags win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// tcpdump expression that narrows the packets further, e.g. 'port 443'.
    #[arg(value_name = "BPF FILTER")]
    pub filter: Vec<String>,
    /// A command and its arguments instead of a process, after `--`.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}

/// `tracenet replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What record, or --record, has written.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// One JSON object a line, the summary last.
    #[arg(long)]
    pub json: bool,
    /// Write the story here instead of to standard output.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Longest string to print, in bytes; no more than was recorded [default: 32].
    #[arg(short = 's', long = "string-limit", value_name = "N", value_parser = clap::value_parser!(u32).range(..=4096))]
    pub string_limit: Option<u32>,
    /// Show the time spent in each syscall.
    #[arg(short = 'T')]
    pub durations: bool,
    /// Leave the packet lines out of the story.
    #[arg(long)]
    pub no_packets: bool,
    /// Only turns that take this long, e.g. 200ms, each explained: what it waited for, and what proves it.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub slow: Option<std::time::Duration>,
    /// Only the summary.
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Export spans and metrics: http://HOST:4317 (gRPC), http://HOST:4318 (HTTP) or file:PATH.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// When to use colour.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    // Last: its heading is that of all that follows.
    #[command(flatten)]
    pub lines: LineArgs,
}

/// `tracenet explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A recording (tracenet record); without it, a live process.
    #[arg(value_name = "FILE.tnrec", conflicts_with_all = ["pids", "follow", "interface", "record", "duration", "config"])]
    pub file: Option<PathBuf>,
    /// Process to trace; repeatable, also as a comma-separated list.
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Turns of this connection only, by its name, e.g. c3.
    #[arg(long, value_name = "ID")]
    pub conn: Option<ConnId>,
    /// Turns that take this long too, e.g. 200ms; 0s: all. Without it, those to be blamed on a loss or on a shut
    /// window.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub slow: Option<std::time::Duration>,
    /// One tracenet.turn/1 object a line; the count goes to standard error.
    #[arg(long)]
    pub json: bool,
    /// Write the explanations here instead of to standard output.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Follow child processes, those that exist and those to come (threads are always followed).
    #[arg(short = 'f', long = "follow-forks")]
    pub follow: bool,
    /// Interface to capture on, `any` for all, `none` for no packets [default: any].
    #[arg(short = 'i', long = "interface", value_name = "IFACE")]
    pub interface: Option<String>,
    /// Keep everything in a recording too, to explain it again.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Stop after this long, e.g. 10s, 500ms, 2m.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<std::time::Duration>,
    /// When to use colour.
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<Color>,
    /// Configuration file; flags win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `tracenet analyze`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("view").multiple(false))]
pub struct AnalyzeArgs {
    /// Captures: pcap or pcapng, also packed by gzip or zstd; `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Show and count only packets that meet this display filter, in Wireshark's syntax and with its names of
    /// fields, e.g. 'tcp.analysis.flags && ip.addr == 10.0.0.0/8'. All packets are analysed.
    #[arg(short = 'Y', long = "display-filter", value_name = "FILTER")]
    pub display_filter: Option<String>,
    /// Write the packets that are shown as pcapng, each with its stream and verdicts as a comment; `-` for standard
    /// output. Nothing else is printed unless a view is named.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Totals, rates, verdicts and the worst streams (this is the default).
    #[arg(long, group = "view")]
    pub summary: bool,
    /// One line for each TCP packet, with its verdicts.
    #[arg(long, group = "view")]
    pub packets: bool,
    /// Features of each flow, a row for each direction; `tracenet explain-bits` lists them.
    #[arg(long, group = "view")]
    pub flows: bool,
    /// Who talked with whom, how much each way; of other kinds by their names, separated by commas.
    #[arg(long, group = "view", value_enum, value_name = "KIND", num_args = 0.., require_equals = true,
          value_delimiter = ',', default_missing_values = ["tcp", "udp"])]
    pub conversations: Option<Vec<ConversationKind>>,
    /// Which protocols within which: frames and bytes of each.
    #[arg(long, group = "view")]
    pub hierarchy: bool,
    /// What stands out, grouped by severity.
    #[arg(long, group = "view")]
    pub expert: bool,
    /// A stream as a ladder: who sent which segment, and the verdict on it.
    #[arg(long, group = "view", value_name = "ID")]
    pub flow_graph: Option<StreamId>,
    /// Requests and their answers on each TCP stream, how long they took, and quantiles for each server.
    #[arg(long, group = "view", conflicts_with = "display_filter")]
    pub turns: bool,
    /// TCP connections with the fields of the live summary: round trips, stalls, how they ended.
    #[arg(long, group = "view", conflicts_with = "display_filter")]
    pub connections: bool,
    /// What both ends of a stream said: a number as in Wireshark's tcp.stream, or udp:NUMBER.
    #[arg(long, group = "view", value_name = "ID", conflicts_with = "display_filter")]
    pub follow: Option<StreamId>,
    /// Export the TCP streams as spans too: http://HOST:4317 (gRPC), http://HOST:4318 (HTTP) or file:PATH. With -Y
    /// only streams of which a packet is shown.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// For people, as a table with a header line, or one JSON object a line.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// When to use colour in the text for people.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// A stream of a capture, numbered as tshark numbers `tcp.stream`; a UDP conversation in the order of first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamId {
    Tcp(u32),
    Udp(u32),
}

impl StreamId {
    /// Name of the transport.
    pub fn transport(self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Udp(_) => "udp",
        }
    }

    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Self::Tcp(n) | Self::Udp(n) => n,
        }
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(n) => write!(f, "TCP stream {n}"),
            Self::Udp(n) => write!(f, "UDP conversation {n}"),
        }
    }
}

impl std::str::FromStr for StreamId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, number): (fn(u32) -> Self, _) = match text.split_once(':') {
            Some(("udp", number)) => (Self::Udp, number),
            Some(("tcp", number)) => (Self::Tcp, number),
            _ => (Self::Tcp, text),
        };
        let wanted = || "give the number of a TCP stream, or udp:NUMBER (see --conversations)".to_owned();
        number.parse().map(kind).map_err(|_| wanted())
    }
}

/// `--conversations`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConversationKind {
    Eth,
    Ip,
    Ipv6,
    Tcp,
    Udp,
}

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Tsv,
    Csv,
}

/// What `attach` and `run` share.
#[derive(Debug, Default, Args)]
pub struct TraceArgs {
    /// Follow child processes, those that exist and those to come (threads are always followed); -ff with -o FILE: each
    /// thread's calls go to FILE.TID, as strace's lines.
    #[arg(short = 'f', long = "follow-forks", action = ArgAction::Count)]
    pub follow: u8,
    /// Which syscalls to show, in strace's words: trace=connect,%network,!close ... or trace=none; which signals:
    /// signal=SET; calls that ended how: status=failed ...
    #[arg(short = 'e', value_name = "EXPR")]
    pub expressions: Vec<String>,
    /// Nothing but a table of calls, errors and times, added up in the kernel.
    #[arg(short = 'c', long = "summary-only", help_heading = "As in strace", conflicts_with = "json")]
    pub count: bool,
    /// That table beside the lines of the calls.
    #[arg(short = 'C', long = "summary", help_heading = "As in strace", conflicts_with_all = ["json", "count"])]
    pub count_too: bool,
    /// Order of the table's rows [default: time].
    #[arg(
        short = 'S',
        long = "summary-sort-by",
        value_enum,
        value_name = "BY",
        help_heading = "As in strace"
    )]
    pub sort: Option<Sort>,
    /// A table for each connection too.
    #[arg(long, help_heading = "As in strace")]
    pub by_connection: bool,
    /// Add to the file of -o instead of replacing it.
    #[arg(short = 'A', long = "output-append-mode", requires = "output")]
    pub append: bool,
    /// Longest string to print, in bytes [default: 32].
    #[arg(short = 's', long = "string-limit", value_name = "N")]
    pub string_limit: Option<u32>,
    /// Show the time spent in each syscall.
    #[arg(short = 'T')]
    pub durations: bool,
    /// Say of descriptors what they are: their paths; twice: protocols, addresses and device numbers too.
    #[arg(short = 'y', long = "decode-fds", action = ArgAction::Count, help_heading = "As in strace")]
    pub fd_paths: u8,
    /// Print structures, and the environment of execve, in full.
    #[arg(short = 'v', long = "no-abbrev", help_heading = "As in strace")]
    pub verbose: bool,
    /// Print strings with bytes outside ASCII in hexadecimal; twice: all strings.
    #[arg(short = 'x', long = "strings-in-hex", action = ArgAction::Count, help_heading = "As in strace")]
    pub hex_strings: u8,
    /// Interface to capture on, `any` for all, `none` for no packets [default: any].
    #[arg(short = 'i', long = "interface", value_name = "IFACE")]
    pub interface: Option<String>,
    /// Write the packets as pcapng, with process and connection on each.
    #[arg(short = 'w', value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Export spans and metrics: http://HOST:4317 (gRPC), http://HOST:4318 (HTTP) or file:PATH.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// One JSON object a line, the summary last.
    #[arg(long)]
    pub json: bool,
    /// Write the story here instead of to standard output.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Keep everything in a recording too, for tracenet replay.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Keep the last events in so much memory (64MiB), and write them as a bundle when a turn is slow (--slow), a timeout
    /// sends again, a packet is dropped, a connection is reset, or on SIGUSR1.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub recorder: Option<u64>,
    /// Where the bundles go [default: the current folder].
    #[arg(long, value_name = "DIR")]
    pub recorder_dir: Option<PathBuf>,
    /// Stop after this long, e.g. 10s, 500ms, 2m.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<std::time::Duration>,
    /// What the probes may cost the targets, of their own CPU time, e.g. 1%: what costs more is observed for a part of the
    /// time, or left out, and said to be.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent,
          conflicts_with_all = ["count", "count_too", "by_connection"])]
    pub budget: Option<tracenet_config::Percent>,
    /// Leave the packet lines out of the story (they are still analysed and written).
    #[arg(long)]
    pub no_packets: bool,
    /// Only turns that take this long, e.g. 200ms, each explained: what it waited for, and what proves it.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub slow: Option<std::time::Duration>,
    /// Only the summary. With --strace: no word on attaching; -qq: nor on the ends of processes.
    #[arg(short = 'q', long, action = ArgAction::Count)]
    pub quiet: u8,
    /// When to use colour.
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<Color>,
    /// Configuration file; flags win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    // Last: its heading is that of all that follows.
    #[command(flatten)]
    pub lines: LineArgs,
    #[command(flatten)]
    pub refused: RefusedArgs,
}

/// strace's flags that make no sense here: known, so that it can be said.
#[derive(Debug, Clone, Default, Args)]
pub struct RefusedArgs {
    #[arg(short = 'E', long = "env", value_name = "VAR=VALUE", hide = true)]
    pub environment: Vec<String>,
    #[arg(short = 'u', long = "user", value_name = "NAME", hide = true)]
    pub user: Option<String>,
    #[arg(short = 'I', long = "interruptible", value_name = "WHEN", hide = true)]
    pub interruptible: Option<String>,
    #[arg(short = 'b', long = "detach-on", value_name = "CALL", hide = true)]
    pub detach_on: Option<String>,
    #[arg(short = 'D', long = "daemonize", action = ArgAction::Count, hide = true)]
    pub daemonize: u8,
    #[arg(short = 'k', long = "stack-traces", hide = true)]
    pub stacks: bool,
    #[arg(short = 'O', long = "summary-syscall-overhead", value_name = "TIME", hide = true)]
    pub overhead: Option<String>,
    #[arg(long, hide = true)]
    pub seccomp_bpf: bool,
}

impl RefusedArgs {
    /// The first of them that was given, and why it is refused.
    pub fn given(&self) -> Option<(&'static str, &'static str)> {
        let all = [
            (!self.environment.is_empty(), "-E", "set it with env(1): run -- env VAR=VALUE COMMAND"),
            (
                self.user.is_some(),
                "-u",
                "change the user with setpriv(1) or su(1): run -- su USER -c COMMAND",
            ),
            (self.interruptible.is_some(), "-I", "the traced process is never stopped"),
            (self.detach_on.is_some(), "-b", "nothing is attached that could get in the way"),
            (self.daemonize > 0, "-D", "the command is a child of tracenet, but nobody's tracee"),
            (self.stacks, "-k", "stacks are not read"),
            (self.overhead.is_some(), "-O", "the overhead of a call is not part of its time"),
            (self.seccomp_bpf, "--seccomp-bpf", "nothing is stopped at a call, so none need be spared"),
        ];
        all.into_iter().find(|(given, ..)| *given).map(|(_, flag, why)| (flag, why))
    }
}

/// strace's flags that shape lines.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "As in strace")]
pub struct LineArgs {
    /// Nothing but what strace prints, as it prints it, on standard error or in the file of -o: all calls (unless -e
    /// narrows them), signals and ends; no packets, no summary.
    #[arg(long)]
    pub strace: bool,
    /// Begin lines with the time; -tt: with microseconds; -ttt: seconds since the epoch.
    #[arg(short = 't', action = ArgAction::Count)]
    pub stamps: u8,
    /// Begin lines with the time since the one before.
    #[arg(short = 'r', long = "relative-timestamps")]
    pub relative: bool,
    /// Only calls that succeeded.
    #[arg(short = 'z', long = "successful-only", conflicts_with = "failed")]
    pub successful: bool,
    /// Only calls that failed.
    #[arg(short = 'Z', long = "failed-only")]
    pub failed: bool,
    /// Only calls that name this path or have a descriptor of it; repeatable.
    #[arg(short = 'P', long = "trace-path", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Column in which results begin [default: 40].
    #[arg(short = 'a', long = "columns", value_name = "COLUMN")]
    pub column: Option<u16>,
}

/// `--color`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

impl From<Color> for tracenet_config::Color {
    fn from(c: Color) -> Self {
        match c {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    tracenet_config::parse_duration(text).map_err(|e| e.to_string())
}

fn parse_percent(text: &str) -> Result<tracenet_config::Percent, String> {
    tracenet_config::parse_percent(text).map_err(|e| e.to_string())
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    tracenet_config::parse_bytes(text).map_err(|e| e.to_string())
}
