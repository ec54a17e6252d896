//! Compiles the kernel side with clang into one BPF object.

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let arch = match env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default().as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => fail(&format!("the BPF probes know no syscall calling convention for {other}")),
    };
    let object = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("tracenet.bpf.o");
    let mut command = Command::new(&clang);
    command.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra"]);
    command.args(["-Wno-unused-parameter", "-Wno-address-of-packed-member", "-Wno-missing-declarations"]);
    // Debug information must not tell where it was built.
    command.args(["-fdebug-compilation-dir", ".", "-Ibpf/include"]);
    command.arg(format!("-D__TARGET_ARCH_{arch}"));
    command.args(["-c", "bpf/tracenet.bpf.c", "-o"]).arg(&object);
    let output = match command.output() {
        Ok(output) => output,
        Err(e) => fail(&format!(
            "can't run {clang} ({e}): the BPF probes need clang 14 or newer (Debian: apt install clang libbpf-dev), \
             or point CLANG at one"
        )),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        for line in said.lines() {
            println!("cargo::warning={line}");
        }
        return;
    }
    if said.contains("'bpf/bpf_") {
        fail("libbpf's headers are missing (Debian: apt install libbpf-dev)");
    }
    eprintln!("{said}");
    fail(&format!("{clang} can't compile the BPF probes; its messages are above"));
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1);
}
