//! The test runner: what this machine cannot run is shown as ignored, with the reason, and never as passed.

use std::path::Path;
use std::process::{ExitCode, Output};

use libtest_mimic::{Arguments, Trial};

/// What a test can't do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Effective user id 0: namespaces, mounts.
    Root,
    /// CAP_BPF (or CAP_SYS_ADMIN) and the kernel's BTF.
    Bpf,
    /// A program in PATH.
    Tool(&'static str),
    /// The Python environment that `.ci/setup` makes.
    Venv,
    /// helm and kubectl, which `.ci/setup` unpacks where it can.
    Kubernetes,
    /// Captures with what tshark says of them ([`corpus`]).
    Corpus,
    /// runc, which runs a container of busybox when it is tried.
    Runc,
    /// Podman, which does so by runc.
    Podman,
}

/// The needs of nearly every test: namespaces and BPF.
pub const LAB: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("ip"), Need::Tool("nft"), Need::Tool("ss")];

/// One test.
pub struct Case {
    /// Name as `cargo test` shows it.
    pub name: &'static str,
    /// What it can't do without.
    pub needs: &'static [Need],
    /// The test; a panic is a failure.
    pub run: fn(),
}

/// Declares a [`Case`] of the same name as the function.
#[macro_export]
macro_rules! case {
    ($run:ident, $needs:expr) => {
        $crate::harness::Case { name: stringify!($run), needs: $needs, run: $run }
    };
}

/// Runs the cases, one after the other: they share the machine's kernel and its two or so cores.
pub fn main(cases: Vec<Case>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    if !arguments.list {
        let binary = crate::agent::binary();
        if !binary.exists() {
            eprintln!("{} does not exist: run `make test`, or set TRACENET_BIN", binary.display());
            return ExitCode::FAILURE;
        }
        if is_root() {
            crate::netns::sweep();
        }
    }
    let trials = cases
        .into_iter()
        .map(|case| {
            let missing: Vec<String> = case.needs.iter().filter_map(|need| missing(*need)).collect();
            if !missing.is_empty() && !arguments.list {
                eprintln!("skipped: {}: needs {}", case.name, missing.join(", "));
            }
            let run = case.run;
            Trial::test(case.name, move || {
                run();
                Ok(())
            })
            .with_ignored_flag(!missing.is_empty())
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn missing(need: Need) -> Option<String> {
    match need {
        Need::Root => (!is_root()).then(|| "root".into()),
        Need::Bpf => (!may_bpf()).then(|| "CAP_BPF and /sys/kernel/btf/vmlinux".into()),
        Need::Tool(name) => which(name).is_none().then(|| format!("the program {name}")),
        Need::Corpus => (!corpus().join("captures").is_dir())
            .then(|| format!("captures in {} (or TRACENET_CORPUS)", corpus().display())),
        Need::Kubernetes => {
            (!crate::helm().exists()).then(|| "helm and kubectl of .ci/setup (x86-64 only)".into())
        }
        // A container takes network namespaces of the laboratory: root.
        Need::Runc | Need::Podman if !is_root() => None,
        Need::Runc => crate::container::trouble_of_runc().map(|why| format!("runc that runs here: {why}")),
        Need::Podman => {
            crate::container::trouble_of_podman().map(|why| format!("podman that runs here: {why}"))
        }
        Need::Venv => {
            (!crate::collector::python().exists()).then(|| "the Python environment of .ci/setup".into())
        }
    }
}

/// Where the captures are: `TRACENET_CORPUS`, or `shared/corpus` beside the repository.
pub fn corpus() -> std::path::PathBuf {
    std::env::var_os("TRACENET_CORPUS")
        .map_or_else(|| crate::repository().join("../shared/corpus"), std::path::PathBuf::from)
}

/// The captures of the corpus, by name.
pub fn captures() -> Vec<std::path::PathBuf> {
    let folder = corpus().join("captures");
    let mut files: Vec<std::path::PathBuf> =
        std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// `tracenet analyze` on a capture.
pub fn analyze(file: &Path, options: &[&str]) -> Output {
    analyze_with(file, options, &[])
}

/// The same with these variables in its environment.
pub fn analyze_with(file: &Path, options: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = crate::agent::command();
    command.arg("analyze").args(options).arg(file).envs(variables.iter().copied());
    command.output().expect("tracenet starts")
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn may_bpf() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    const CAP_BPF: u64 = 1 << 39;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    effective & (CAP_SYS_ADMIN | CAP_BPF) != 0 && Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// Where PATH has `name`.
pub fn which(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
