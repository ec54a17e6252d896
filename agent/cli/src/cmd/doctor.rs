//! `tracenet doctor`: what works here, hook by hook.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;
use tracenet_probes::HookStatus;

use crate::failure::Failure;
use crate::paint::{Ink, Paint};
use crate::privilege::{Effective, WANTED, remedy};

/// One check.
#[derive(Debug, Serialize)]
struct Row {
    schema: &'static str,
    /// `capability`, `kernel` or `hook`.
    kind: &'static str,
    name: String,
    ok: bool,
    /// What works with it, or is missing without it.
    feature: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Prints the checks; exit code 3 where nothing can be traced.
pub fn main(json: bool) -> Result<u8, Failure> {
    let rows = rows();
    // Without its syscalls and sockets there is no story to tell.
    let base = rows.iter().all(|r| r.ok || r.kind != "kernel")
        && rows.iter().any(|r| r.kind == "hook" && r.ok)
        && Effective::read().missing_for_bpf().is_none();
    let text = if json { as_json(&rows)? } else { as_text(&rows, base) };
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write standard output: {e}")))
        }
        _ => Ok(if base { 0 } else { 3 }),
    }
}

fn rows() -> Vec<Row> {
    let have = Effective::read();
    let implied = |bit: u8| matches!(bit, 38 | 39) && have.has(21);
    let mut rows: Vec<Row> = WANTED
        .iter()
        .map(|c| {
            let ok = have.has(c.bit) || implied(c.bit);
            row("capability", c.name, ok, c.feature, (!ok).then(|| remedy(c.name)))
        })
        .collect();
    let btf = std::path::Path::new("/sys/kernel/btf/vmlinux").exists();
    rows.push(row(
        "kernel",
        "BTF (/sys/kernel/btf/vmlinux)",
        btf,
        "every eBPF probe",
        (!btf).then(|| "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (5.8 or later)".to_owned()),
    ));
    rows.extend(tracenet_probes::doctor().into_iter().map(hook));
    rows
}

fn row(kind: &'static str, name: &str, ok: bool, feature: &str, remedy: Option<String>) -> Row {
    let (name, feature) = (name.to_owned(), feature.to_owned());
    Row { schema: "tracenet.doctor/1", kind, name, ok, feature, error: None, remedy }
}

fn hook(h: HookStatus) -> Row {
    Row {
        schema: "tracenet.doctor/1",
        kind: "hook",
        name: h.hook.to_owned(),
        ok: h.attached,
        feature: h.feature.to_owned(),
        error: h.error,
        remedy: h.remedy,
    }
}

fn as_json(rows: &[Row]) -> Result<String, Failure> {
    let mut out = String::new();
    for r in rows {
        let line = tracenet_core::json::to_string(r).map_err(|e| Failure::Runtime(e.to_string()))?;
        out.push_str(&line);
        out.push('\n');
    }
    Ok(out)
}

fn as_text(rows: &[Row], base: bool) -> String {
    let paint = Paint::choose(tracenet_config::Color::Auto, io::IsTerminal::is_terminal(&io::stdout()));
    let kernel = nix::sys::utsname::uname()
        .map_or_else(|_| "?".to_owned(), |u| u.release().to_string_lossy().into_owned());
    let mut out = format!("kernel {kernel}\n");
    let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
    for r in rows {
        paint.start(&mut out, if r.ok { Ink::Faint } else { Ink::Bad });
        out.push_str(if r.ok { "ok      " } else { "MISSING " });
        paint.end(&mut out);
        let _ = writeln!(out, "{:<width$}  {}", r.name, r.feature);
        for detail in r.error.iter().chain(&r.remedy).filter(|_| !r.ok) {
            let _ = writeln!(out, "        {:<width$}  {}", "", detail.replace('\n', " "));
        }
    }
    let missing = rows.iter().filter(|r| !r.ok).count();
    let _ = match (base, missing) {
        (true, 0) => writeln!(out, "everything works here"),
        (true, n) => writeln!(out, "tracenet works here without what is marked MISSING ({n})"),
        (false, _) => writeln!(out, "tracenet can't trace here: see the lines marked MISSING"),
    };
    out
}
