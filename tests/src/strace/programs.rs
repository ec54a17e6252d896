//! Real programs that are traced: coreutils, servers and clients, interpreters, shells, threads and fork storms.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use super::run::Job;
use crate::harness::which;

/// Name and command line; words in it: `{python}`, `{programs}` (the folder of our scripts), `{http}` and `{redis}`
/// (ports of servers that wait).
const PROGRAMS: &[(&str, &[&str])] = &[
    ("ls", &["ls", "-l", "/etc"]),
    ("cat", &["cat", "/etc/passwd", "/etc/hosts"]),
    ("cp", &["cp", "-r", "/etc/default", "copied"]),
    ("sort", &["sort", "/etc/services"]),
    ("dd", &["dd", "if=/dev/zero", "of=zeros", "bs=4k", "count=20", "conv=fsync"]),
    ("tail", &["tail", "-n", "3", "/etc/services"]),
    ("df", &["df", "-h"]),
    ("id", &["id"]),
    ("date", &["date"]),
    ("ps", &["ps", "aux"]),
    ("find", &["find", "/etc", "-name", "*.conf"]),
    ("grep", &["grep", "-r", "root", "/etc/default", "/etc/pam.d"]),
    ("tar", &["tar", "czf", "archive.tgz", "/etc/default"]),
    ("gzip", &["gzip", "-kf", "input"]),
    ("timeout", &["timeout", "0.2", "sleep", "3"]),
    ("make", &["make", "-n"]),
    ("openssl", &["openssl", "rand", "-hex", "8"]),
    ("perl", &["perl", "-e", "system('true'); open(F, '<', '/etc/passwd'); print scalar <F>;"]),
    ("awk", &["awk", "BEGIN { print 1 }"]),
    ("ssh", &["ssh", "-V"]),
    ("nginx", &["nginx", "-t"]),
    ("git", &["bash", "{programs}/git.sh"]),
    ("shell", &["bash", "{programs}/shell.sh"]),
    ("storm", &["bash", "-c", "for i in $(seq 200); do /bin/true & done; wait"]),
    ("sockets", &["{python}", "{programs}/sockets.py"]),
    ("process", &["{python}", "{programs}/process.py"]),
    ("echo", &["{python}", "{programs}/echo.py"]),
    ("threads", &["./threads"]),
    ("curl", &["curl", "-s", "http://127.0.0.1:{http}/"]),
    ("redis-cli", &["redis-cli", "-p", "{redis}", "set", "a", "b"]),
    ("redis-server", &["timeout", "-s", "INT", "1", "redis-server", "--port", "0", "--save", ""]),
];

/// The programs that this machine has, with a folder to run in and servers to talk to.
pub struct Lab {
    folder: tempfile::TempDir,
    servers: Vec<Child>,
    ports: [u16; 2],
    python: String,
}

impl Lab {
    /// Prepares the folder and starts the servers.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        std::fs::write(path.join("input"), "line\n".repeat(20_000))?;
        std::fs::write(path.join("Makefile"), "all:\n\t@echo hi\n")?;
        let source = scripts().join("threads.c");
        let _ =
            Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(path.join("threads")).arg(source).status();
        // The interpreter itself, where a version manager stands before it in PATH.
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let python = asked.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
        let ports = [free_port()?, free_port()?];
        let [http, redis] = ports.map(|p| p.to_string());
        let mut servers = Vec::new();
        for command in [
            vec![python.as_str(), "-m", "http.server", &http, "--bind", "127.0.0.1"],
            vec!["redis-server", "--port", &redis, "--save", ""],
        ] {
            let mut server = Command::new(command[0]);
            server.args(&command[1..]).current_dir(path).stdout(Stdio::null()).stderr(Stdio::null());
            if let Ok(child) = server.spawn() {
                servers.push(child);
            }
        }
        for (port, child) in ports.iter().zip(&servers) {
            crate::wait_for(&format!("server {} to listen", child.id()), || {
                std::net::TcpStream::connect(("127.0.0.1", *port)).ok()
            });
        }
        Ok(Self { folder, servers, ports, python })
    }

    /// Names and commands of the programs that are there.
    pub fn jobs(&self) -> Vec<(&'static str, Job)> {
        PROGRAMS
            .iter()
            .filter_map(|(name, words)| {
                let command: Vec<OsString> = words.iter().map(|word| self.word(word).into()).collect();
                let program = command.first()?;
                let path = self.folder.path().join(program);
                let there = path.exists() || which(program.to_str()?).is_some();
                there.then(|| (*name, Job { command, folder: self.folder.path().to_owned() }))
            })
            .collect()
    }

    /// Makes the folder as it was before a program ran there.
    pub fn clean(&self) -> Result<()> {
        for name in ["repo", "clone", "copied", "d1"] {
            let _ = std::fs::remove_dir_all(self.folder.path().join(name));
        }
        for name in ["zeros", "archive.tgz", "input.gz", "socket", "stamp", "copy", "f1", "f2", "f3", "l1"] {
            let _ = std::fs::remove_file(self.folder.path().join(name));
        }
        Ok(())
    }

    fn word(&self, word: &str) -> String {
        word.replace("{programs}", &scripts().to_string_lossy())
            .replace("{python}", &self.python)
            .replace("{http}", &self.ports[0].to_string())
            .replace("{redis}", &self.ports[1].to_string())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn scripts() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/strace")
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("a free port")?;
    Ok(listener.local_addr()?.port())
}
