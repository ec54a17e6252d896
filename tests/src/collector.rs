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

/// Starts our collector inside `netns`; it appends what it receives to `file`. [`behave`] changes its manners.
pub fn start(netns: &Netns, file: &Path, grpc: u16, http: u16) -> Program {
    start_with(netns, file, [grpc, http], &[])
}

/// The same with its HTTP behind TLS, by the [`certificate`] of `folder`.
pub fn start_behind_tls(netns: &Netns, file: &Path, folder: &Path) -> Program {
    start_with(netns, file, [GRPC, HTTP], &[folder])
}

fn start_with(netns: &Netns, file: &Path, ports: [u16; 2], more: &[&Path]) -> Program {
    let mut command = netns.command(python());
    command.arg("-u").arg(crate::load::script_path("collector.py")).arg(file);
    let program = Program::start(command.args(ports.map(|port| port.to_string())).args(more));
    program.json();
    program
}

/// Makes our collector treat requests so from now on: the words are in `collector.py`.
pub fn behave(collector: &mut Program, manner: &str) {
    collector.say(manner);
    collector.json();
}

/// Makes `cert.pem` and `key.pem` in a folder: for 127.0.0.1, by nobody but itself.
pub fn certificate(folder: &Path) {
    let mut command = std::process::Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]);
    command.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("cert.pem"));
    let output = command.output().expect("openssl starts");
    crate::netns::stdout_of("openssl", &["req"], output);
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
