//! The flags of `tracenet stats`, and which reports they ask for.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::stats::catalogue as c;
use crate::stats::hours::OfDay;
use crate::stats::nstat::Nstat;
use crate::stats::report::Report;
use crate::stats::view::Choice;

/// `tracenet stats`
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Seconds between samples; without it, one report of the time since boot.
    #[arg(value_name = "INTERVAL", value_parser = parse_interval, conflicts_with = "from")]
    pub interval: Option<Duration>,
    /// How many reports; without it, until Ctrl-C.
    #[arg(value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// The network, by sar's keywords: DEV, EDEV, SOCK, IP, EIP, ICMP, EICMP, TCP, ETCP, UDP, SOCK6, IP6, EIP6, ICMP6,
    /// EICMP6, UDP6, SOFT, or ALL.
    #[arg(short = 'n', value_name = "KEYWORD", value_delimiter = ',', value_parser = parse_keyword)]
    pub network: Vec<Keyword>,
    /// Time of all processors, or with -p of the processes (this is the default).
    #[arg(short = 'u')]
    pub cpu: bool,
    /// Memory, or with -p faults and memory of the processes.
    #[arg(short = 'r')]
    pub memory: bool,
    /// Run queue and load.
    #[arg(short = 'q')]
    pub load: bool,
    /// Tasks made and context switches, or with -p switches of the processes.
    #[arg(short = 'w')]
    pub switches: bool,
    /// Block devices, or with -p input and output of the processes.
    #[arg(short = 'd')]
    pub disks: bool,
    /// Paging.
    #[arg(short = 'B')]
    pub paging: bool,
    /// Swap space.
    #[arg(short = 'S')]
    pub swap: bool,
    /// Time lost by waiting for processors, disks and memory (/proc/pressure), as sar -q ALL tells it.
    #[arg(long)]
    pub psi: bool,
    /// Processes, as in pidstat: -u, -r, -w and -d are then theirs. Waiting and switches are those of all threads.
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Every counter of the protocols, as nstat prints them: since the namespace was made, or with INTERVAL what they
    /// grew by and the rate.
    #[arg(long)]
    pub nstat: bool,
    /// With --nstat: values since the namespace was made, also with INTERVAL.
    #[arg(short = 'a', requires = "nstat")]
    pub absolute: bool,
    /// With --nstat: zeros too.
    #[arg(short = 'z', requires = "nstat")]
    pub zeros: bool,
    /// One tracenet.stats/1 object for each row, in base units.
    #[arg(long)]
    pub json: bool,
    /// Keep every sample in this file too, for -f: all counters, whatever is shown.
    #[arg(short = 'o', value_name = "FILE", conflicts_with = "from")]
    pub output: Option<PathBuf>,
    /// Show what -o has kept.
    #[arg(short = 'f', value_name = "FILE", id = "from")]
    pub from: Option<PathBuf>,
    /// With -f: from this time of the day on which the file begins.
    #[arg(short = 's', value_name = "HH:MM[:SS]", requires = "from")]
    pub start: Option<OfDay>,
    /// With -f: until this time; one that is not after the start is the next day's.
    #[arg(short = 'e', value_name = "HH:MM[:SS]", requires = "from")]
    pub end: Option<OfDay>,
}

/// A keyword of `-n`.
#[derive(Clone)]
pub enum Keyword {
    One(&'static Report),
    All,
}

impl std::fmt::Debug for Keyword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(report) => report.name,
            Self::All => "ALL",
        })
    }
}

fn parse_keyword(text: &str) -> Result<Keyword, String> {
    match text {
        "ALL" => Ok(Keyword::All),
        _ => c::network(text).map(Keyword::One).ok_or_else(|| {
            let known: Vec<&str> = c::NETWORK.iter().chain([&c::SOFT]).map(|r| r.name).collect();
            format!("expected one of {} or ALL", known.join(", "))
        }),
    }
}

/// Seconds as sar has them; a unit is understood too. Zero is since boot, as in `sar 0`.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => tracenet_config::parse_duration(text).map_err(|e| e.to_string())?,
    };
    // Below that the reading itself is a good part of the interval.
    if interval.is_zero() || interval >= Duration::from_millis(10) {
        Ok(interval)
    } else {
        Err("must be at least 10ms".to_owned())
    }
}

impl StatsArgs {
    /// Time between samples; none for one report since boot.
    pub fn every(&self) -> Option<Duration> {
        self.interval.filter(|interval| !interval.is_zero())
    }

    /// The reports that were asked for, in sar's order, those of processes last.
    pub fn choice(&self) -> Choice {
        let of_tasks = !self.pids.is_empty();
        let all = self.network.iter().any(|k| matches!(k, Keyword::All));
        let asked = |report: &Report| {
            all || self.network.iter().any(|k| matches!(k, Keyword::One(r) if r.name == report.name))
        };
        // What -p makes the processes'.
        let either = self.memory || self.switches || self.disks;
        let host =
            !self.network.is_empty() || self.load || self.paging || self.swap || self.psi || self.nstat;
        let cpu = self.cpu || !either && (of_tasks || !host);
        let mut reports: Vec<&'static Report> = Vec::new();
        let mut add = |wanted: bool, report: &'static Report| reports.extend(wanted.then_some(report));
        add(cpu && !of_tasks, &c::CPU);
        add(self.switches && !of_tasks, &c::SWITCHES);
        add(self.paging, &c::PAGING);
        add(self.memory && !of_tasks, &c::MEMORY);
        add(self.swap, &c::SWAP);
        add(self.load, &c::LOAD);
        add(self.disks && !of_tasks, &c::DISKS);
        for report in &c::NETWORK {
            add(asked(report), report);
        }
        add(asked(&c::SOFT), &c::SOFT);
        for report in &c::PRESSURE {
            add(self.psi, report);
        }
        add(cpu && of_tasks, &c::TASK_CPU);
        add(self.memory && of_tasks, &c::TASK_MEMORY);
        add(self.disks && of_tasks, &c::TASK_IO);
        add(self.switches && of_tasks, &c::TASK_SWITCHES);
        let nstat = self.nstat.then_some(Nstat { absolute: self.absolute, zeros: self.zeros });
        Choice { reports, nstat, json: self.json }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        stats: StatsArgs,
    }

    fn reports(line: &str) -> Vec<&'static str> {
        let cli =
            Cli::try_parse_from(["stats"].into_iter().chain(line.split_whitespace())).expect("a right line");
        cli.stats.choice().reports.iter().map(|report| report.name).collect()
    }

    #[test]
    fn reports_come_in_sars_order() {
        assert_eq!(reports("1"), ["CPU"]);
        assert_eq!(reports("1 2 -q -n UDP,DEV -u"), ["CPU", "LOAD", "DEV", "UDP"]);
        assert_eq!(reports("-n SOFT"), ["SOFT"]);
        assert_eq!(reports("--nstat"), [""; 0]);
        assert_eq!(reports("-n ALL").len(), 17);
    }

    #[test]
    fn processes_have_the_letters_they_have_in_pidstat() {
        assert_eq!(reports("-p 1"), ["TASK-CPU"]);
        assert_eq!(reports("-p 1,2 -n IP"), ["IP", "TASK-CPU"]);
        assert_eq!(reports("-p 1 -w -d -r"), ["TASK-MEMORY", "TASK-IO", "TASK-SWITCHES"]);
    }

    #[test]
    fn intervals_are_seconds() {
        assert_eq!(parse_interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_interval("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_interval("0"), Ok(Duration::ZERO));
        assert!(parse_interval("1ms").is_err() && parse_interval("x").is_err());
    }
}
