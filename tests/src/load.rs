//! The programs that make the load: the `load` binary of this package and the Python scripts under `programs/`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::netns::Netns;
use crate::program::Program;

/// What a program says that it wrote to and read from one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// Bytes written.
    pub sent: u64,
    /// Bytes read.
    pub received: u64,
    /// Requests answered.
    pub turns: u64,
}

/// Adds the `load` binary, which cargo built beside the test.
pub fn load(netns: &Netns) -> Command {
    netns.command(beside_the_test("load"))
}

/// A storm of `storm`'s that has told its readiness and waits for `say("go")`.
pub fn storm(netns: &Netns, args: &[&str]) -> Program {
    let program = Program::start(netns.command(storm_path()).args(args));
    program.json();
    program
}

/// Holds so many descriptors: it takes long to find a socket among them.
pub fn hold(netns: &Netns, descriptors: u64) -> Program {
    let program = Program::start(script(netns, "halves.py").args(["hold", &descriptors.to_string()]));
    program.json();
    program
}

/// Where the `storm` binary is.
pub fn storm_path() -> PathBuf {
    beside_the_test("storm")
}

/// A Python script of `programs/`, run by the system's Python, unbuffered.
pub fn script(netns: &Netns, name: &str) -> Command {
    let mut command = netns.command("/usr/bin/python3");
    command.arg("-u").arg(script_path(name));
    command
}

/// Where a script is.
pub fn script_path(name: &str) -> PathBuf {
    crate::repository().join("tests/programs").join(name)
}

/// The `load` binary.
pub fn binary() -> PathBuf {
    beside_the_test("load")
}

/// A server inside `netns`, listening.
pub fn serve(netns: &Netns, address: &str) -> Program {
    let program = Program::start(load(netns).args(["serve", address]));
    program.json();
    program
}

/// A client inside `netns` that has told its readiness and waits for `say("go")`.
pub fn client(
    netns: &Netns,
    address: &str,
    connections: u64,
    turns: u64,
    sizes: (u64, u64),
    seed: u64,
) -> Program {
    let numbers = [connections, turns, sizes.0, sizes.1, seed].map(|n| n.to_string());
    let program = Program::start(load(netns).args(["client", address]).args(numbers));
    program.json();
    program
}

/// The books of a client or server that has just been told to report, by local address (`side` = `local`) or by
/// the peer's (`remote`).
pub fn books(report: &Value, side: &str) -> BTreeMap<SocketAddr, Books> {
    let connections = report["connections"].as_array().unwrap_or_else(|| panic!("no books: {report}"));
    connections
        .iter()
        .map(|c| {
            assert!(c["error"].is_null(), "a connection failed: {c}");
            let number = |name: &str| c[name].as_u64().unwrap_or_else(|| panic!("no {name}: {c}"));
            let address = c[side].as_str().and_then(|text| text.parse().ok()).expect("an address");
            (address, Books { sent: number("sent"), received: number("received"), turns: number("turns") })
        })
        .collect()
}

/// A binary of this package.
pub(crate) fn beside_the_test(name: &str) -> PathBuf {
    // Binaries of the package are in target/PROFILE, tests in target/PROFILE/deps.
    let test = std::env::current_exe().expect("the test has a path");
    let mut files = test.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    files.find(|f| f.is_file()).unwrap_or_else(|| panic!("cargo did not build the binary {name}"))
}
