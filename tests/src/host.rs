//! `tracenet agent`: started, scraped, stopped, and what it exported read.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::Program;

/// A running agent that follows every process of the host, and exports into a file.
pub struct HostAgent {
    program: Program,
    address: String,
    folder: TempDir,
}

/// A sample of Prometheus' text: labels, value.
pub type Sample = (BTreeMap<String, String>, f64);

impl HostAgent {
    /// Starts it with these lines below `agent:` of its configuration; returns when it says that it follows.
    pub fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("otlp.jsonl");
        Self::start_by(crate::agent::command(), folder, settings, &file)
    }

    /// The same by a command of the caller's making, exporting into `file`.
    pub fn start_by(mut command: Command, folder: TempDir, settings: &str, file: &Path) -> Self {
        let config = folder.path().join("tracenet.yaml");
        std::fs::write(&config, configuration(settings)).expect("a writable folder");
        command.arg("agent").arg("--config").arg(&config);
        command.arg("--otlp").arg(format!("file:{}", file.display()));
        let mut program = Program::start(&mut command);
        let line = program.wait_for_stderr("every process is followed");
        let address = line.split("http://").nth(1).and_then(|rest| rest.strip_suffix("/metrics"));
        let address = address.unwrap_or_default().to_owned();
        Self { program, address, folder }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.program.stderr()
    }

    /// True while it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Waits for a line on its standard error.
    pub fn wait_for_stderr(&mut self, text: &str) -> String {
        self.program.wait_for_stderr(text)
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("tracenet.yaml")
    }

    /// The address of its endpoint.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// GET of a path of its endpoint: the status line and the body, or why not.
    pub fn get(&self, path: &str) -> std::io::Result<(String, String)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
    }

    /// The samples of a metric, now.
    pub fn samples(&self, metric: &str) -> Vec<Sample> {
        let (status, text) = self.get("/metrics").expect("the endpoint answers");
        assert!(status.contains(" 200 "), "{status}");
        samples(&text, metric)
    }

    /// The sum of a metric's samples that have all of these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> u64 {
        let has = |of: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| of.get(*key).is_some_and(|v| v == value))
        };
        self.samples(metric).iter().filter(|(of, _)| has(of)).map(|(_, value)| *value as u64).sum()
    }

    /// Events that it counts as lost.
    pub fn lost(&self, source: &str) -> u64 {
        self.sum("tracenet_agent_events_lost_total", &[("source", source)])
    }

    /// SIGTERM; its status, its standard error, and the requests it wrote.
    pub fn stop(mut self) -> (ExitStatus, String, Vec<Value>) {
        self.program.signal(Signal::SIGTERM);
        let status = self.program.wait();
        let file = self.folder.path().join("otlp.jsonl");
        (status, self.program.stderr(), crate::collector::received(&file))
    }
}

fn configuration(settings: &str) -> String {
    let listen = if settings.contains("listen:") { "" } else { "  listen: 127.0.0.1:0\n" };
    let settings: String = settings.lines().map(|line| format!("  {line}\n")).collect();
    format!("agent:\n{listen}{settings}export:\n  metrics:\n    interval: 1s\n")
}

/// The samples of a metric in Prometheus' text.
fn samples(text: &str, metric: &str) -> Vec<Sample> {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(metric)?.strip_prefix('{')?;
            let (labels, value) = rest.rsplit_once("} ")?;
            let value = value.split(" # ").next()?.split(' ').next()?.parse().ok()?;
            let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
            let labels = pairs.map(|(k, v)| (k.to_owned(), v.trim_end_matches('"').to_owned())).collect();
            Some((labels, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_their_labels() {
        let text = "# TYPE a_total counter\na_total{x=\"1\",y=\"b c\"} 3\na_total{x=\"2\",y=\"\"} 4\nab_total{x=\"1\"} 5\n";
        let all = samples(text, "a_total");
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].0["y"].as_str(), all[0].1), ("b c", 3.0));
        assert_eq!(all[1].0["y"], "");
    }
}
