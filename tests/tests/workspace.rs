//! What must stay true of the tree itself: one-way dependencies, free licences, no traces of a machine, a README
//! that works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tracenet_tests::{agent, repository};

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        // What is only built elsewhere (Android, Windows) is not part of the product.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(repository())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("")
}

#[test]
fn dependencies_run_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("tracenet-core", &[][..]),
        ("tracenet-config", &[]),
        ("tracenet-filter", &[]),
        ("tracenet-probes", &["tracenet-core"]),
        ("tracenet-collectors", &["tracenet-core"]),
        ("tracenet-otel", &["tracenet-core"]),
        (
            "tracenet",
            &[
                "tracenet-core",
                "tracenet-filter",
                "tracenet-config",
                "tracenet-probes",
                "tracenet-collectors",
                "tracenet-otel",
            ],
        ),
        (
            "tracenet-tests",
            &[
                "tracenet-core",
                "tracenet-filter",
                "tracenet-config",
                "tracenet-probes",
                "tracenet-collectors",
            ],
        ),
    ]);
    let metadata = metadata();
    let ours: Vec<&Value> = list(&metadata, "packages").iter().filter(|p| p["source"].is_null()).collect();
    assert_eq!(ours.len(), allowed.len(), "a crate has come or gone: say here what it may know");
    for package in ours {
        let name = text(package, "name");
        let may = allowed.get(name).unwrap_or_else(|| panic!("unknown crate {name}"));
        for dependency in list(package, "dependencies").iter().map(|d| text(d, "name")) {
            if allowed.contains_key(dependency) {
                assert!(may.contains(&dependency), "{name} must not know {dependency}");
            }
        }
    }
}

#[test]
fn the_core_does_no_io() {
    let source = repository().join("agent/core/src");
    let mut files = Vec::new();
    walk(&source, &mut files);
    assert!(!files.is_empty());
    let mut forbids = false;
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
        let all = std::fs::read_to_string(file).expect("readable");
        forbids |= all.contains("#![forbid(unsafe_code)]");
        let product = all.split("#[cfg(test)]").next().unwrap_or("");
        for word in
            ["std::fs", "std::thread", "Instant::now", "SystemTime", "TcpStream", "println!", "std::env"]
        {
            assert!(!product.contains(word), "{}: {word}", file.display());
        }
    }
    assert!(forbids, "the core forbids unsafe code");
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// A small evaluator of SPDX expressions: OR, AND, WITH, parentheses, and the old slash for OR.
fn is_free(expression: &str, allowed: &BTreeSet<String>) -> bool {
    fn alternatives(words: &mut std::slice::Iter<'_, String>, allowed: &BTreeSet<String>) -> bool {
        let mut any = false;
        let mut all = true;
        while let Some(word) = words.next() {
            match word.as_str() {
                "OR" => {
                    any |= all;
                    all = true;
                }
                "AND" => {}
                "(" => all &= alternatives(words, allowed),
                ")" => break,
                licence => all &= allowed.contains(licence),
            }
        }
        any | all
    }
    let spaced =
        expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "_WITH_");
    let words: Vec<String> = spaced.split_whitespace().map(|w| w.replace("_WITH_", " WITH ")).collect();
    alternatives(&mut words.iter(), allowed)
}

#[test]
fn licences_of_all_dependencies_are_allowed() {
    let deny = std::fs::read_to_string(repository().join("deny.toml")).expect("deny.toml exists");
    let list_of =
        deny.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']')).expect("an allow list").0;
    let allowed: BTreeSet<String> = list_of
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split('"').next())
        .map(str::to_owned)
        .collect();
    assert!(allowed.contains("MIT"));
    assert!(is_free("MIT OR GPL-2.0", &allowed) && is_free("(MIT OR X) AND ISC", &allowed));
    assert!(!is_free("MIT AND GPL-2.0", &allowed) && !is_free("GPL-3.0", &allowed));
    let metadata = metadata();
    let packages = list(&metadata, "packages");
    let bad: Vec<String> = packages
        .iter()
        .filter(|p| !is_free(text(p, "license"), &allowed) || text(p, "license").is_empty())
        .map(|p| format!("{} {}: {}", text(p, "name"), text(p, "version"), text(p, "license")))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let foreign: Vec<&str> = packages
        .iter()
        .filter(|p| !p["source"].is_null() && !text(p, "source").starts_with("registry+"))
        .map(|p| text(p, "name"))
        .collect();
    assert!(foreign.is_empty(), "not from the registry: {foreign:?}");
}

/// Files under version control, or (in an unpacked archive) nothing.
fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files"])
        .current_dir(repository())
        .output()
        .expect("git starts");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_tree_has_the_agreed_top_level() {
    let expected = [
        "ARCHITECTURE.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "Makefile",
        "README.md",
        "agent",
        "collectors",
        "config",
        "deny.toml",
        "deploy",
        "docs",
        "otel",
        "probes",
        "rustfmt.toml",
        "tests",
    ];
    let top: BTreeSet<String> = tracked()
        .iter()
        .filter_map(|file| file.split('/').next())
        .filter(|name| !name.starts_with('.'))
        .map(str::to_owned)
        .collect();
    let strange: Vec<_> = top.iter().filter(|name| !expected.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn no_file_tells_of_a_machine() {
    // Put together here, so that this file passes its own test.
    let home = ["/ro", "ot/"].concat();
    let work = ["/wo", "rk/"].concat();
    for file in tracked() {
        let Ok(content) = std::fs::read_to_string(repository().join(&file)) else { continue };
        for (n, line) in content.lines().enumerate() {
            for path in [&home, &work] {
                assert!(!line.contains(path.as_str()), "{file}:{}: {line}", n + 1);
            }
        }
    }
}

#[test]
fn the_commands_of_the_readme_exist() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("README.md exists");
    let makefile = std::fs::read_to_string(repository().join("Makefile")).expect("Makefile exists");
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut commands = 0;
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = !inside;
            continue;
        }
        let line = line.trim().trim_start_matches("$ ").trim_start_matches("sudo ");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["make", target, ..] if inside => {
                commands += 1;
                assert!(makefile.contains(&format!("\n{target}:")), "make has no target {target}");
            }
            ["tracenet", command, rest @ ..] if inside => {
                commands += 1;
                let help = helps.entry((*command).to_owned()).or_insert_with(|| {
                    let output =
                        agent::command().args([command, "--help"]).output().expect("tracenet starts");
                    assert!(output.status.success(), "tracenet {command} --help");
                    String::from_utf8_lossy(&output.stdout).into_owned()
                });
                for flag in rest.iter().take_while(|w| **w != "--" && !w.starts_with('#')) {
                    let flag = flag.trim_matches(['[', ']']).split('=').next().unwrap_or("");
                    if flag.starts_with('-') && flag.len() > 1 {
                        let known = help.split([' ', ',', '\n', '[', '=']).any(|word| word == flag);
                        assert!(known, "README: '{line}': {command} has no {flag}");
                    }
                }
            }
            _ => {}
        }
    }
    assert!(commands >= 6, "README.md shows its commands");
}

#[test]
fn scripts_are_executable_and_parse() {
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["run", "setup", "test", "demo", "cost"] {
        let file = repository().join(".ci").join(name);
        let mode = std::fs::metadata(&file)
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()))
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{}", file.display());
        let check = Command::new("bash").arg("-n").arg(&file).status().expect("bash starts");
        assert!(check.success(), "{}", file.display());
    }
}
