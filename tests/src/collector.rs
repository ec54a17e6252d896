//! OTLP collectors: rotel, and one of our own that decodes with Python's opentelemetry-proto.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::netns::Netns;
use crate::program::Program;

/// Ports that OTLP collectors use; the tests' collectors have namespaces of their own, so they are always free.
pub const GRPC: u16 = 4317;
/// See [`GRPC`].
pub const HTTP: u16 = 4318;

/// The Python of the environment that `.ci/setup` makes.
pub fn python() -> PathBuf {
    crate::target_folder().join("venv/bin/python")
}

/// Starts our collector inside `netns`; it appends what it receives to `file`.
pub fn start(netns: &Netns, file: &Path, grpc: u16, http: u16) -> Program {
    let mut command = netns.command(python());
    command.arg("-u").arg(crate::load::script_path("collector.py")).arg(file);
    let program = Program::start(command.args([grpc.to_string(), http.to_string()]));
    program.json();
    program
}

/// Starts rotel inside `netns`, listening at [`GRPC`] and [`HTTP`], handing on to `to` over HTTP.
pub fn start_rotel(netns: &Netns, to: u16) -> Program {
    let output = python_output("import rotel, os; print(os.path.dirname(rotel.__file__))");
    let mut command = netns.command(Path::new(output.trim()).join("rotel-agent"));
    command.args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http"]);
    command.args(["--otlp-exporter-endpoint", &format!("http://127.0.0.1:{to}")]);
    command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{GRPC}")]);
    command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{HTTP}")]);
    command.args(["--batch-timeout", "100ms"]);
    let program = Program::start(&mut command);
    crate::wait_for("rotel to listen", || {
        let listening = netns.run("ss", &["-Htln"]);
        (listening.contains(&format!(":{GRPC}")) && listening.contains(&format!(":{HTTP}"))).then_some(())
    });
    program
}

fn python_output(code: &str) -> String {
    let output = std::process::Command::new(python()).args(["-c", code]).output().expect("python starts");
    crate::netns::stdout_of("python", &[code], output)
}

/// What a collector has written so far. A last line that is not complete yet is left out.
pub fn received(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}
