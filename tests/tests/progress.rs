//! How far `tracenet analyze` has come, on a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::stat::Mode;
use tracenet_tests::{agent, case, harness, wait_for};

fn main() -> ExitCode {
    harness::main(vec![case!(a_long_read_tells_its_progress_and_takes_it_back, &[])])
}

/// Packets of a write.
const PACKETS: usize = 512;

/// A pcap file header: raw IP.
fn header() -> Vec<u8> {
    [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A record of 28 bytes: UDP without payload.
fn record() -> Vec<u8> {
    let mut bytes: Vec<u8> = [1_700_000_000u32, 0, 28, 28].into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend([0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0x10, 0, 0x10, 1, 0, 8, 0, 0]);
    bytes
}

fn a_long_read_tells_its_progress_and_takes_it_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fifo = folder.path().join("capture.pcap");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a pipe with a name");
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    let mut command = agent::command();
    command.args(["analyze", "--summary"]).arg(&fifo).env("TERM", "xterm");
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(terminal.slave))
        .spawn()
        .expect("tracenet starts");
    // The child alone has the terminal now: its end is the end of what is read there.
    drop(command);

    let shown = Arc::new(Mutex::new(String::new()));
    let (into, mut master) = (Arc::clone(&shown), File::from(terminal.master));
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = master.read(&mut buffer) {
            into.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    });
    let so_far = || shown.lock().unwrap_or_else(PoisonError::into_inner).clone();

    let mut to = File::create(&fifo).expect("tracenet reads the pipe");
    to.write_all(&header()).expect("tracenet reads");
    let some = record().repeat(PACKETS);
    let mut packets = 0;
    wait_for("the progress line", || {
        to.write_all(&some).expect("tracenet reads");
        packets += PACKETS;
        so_far().contains("packets/s").then_some(())
    });
    drop(to);
    let output = child.wait_with_output().expect("tracenet ends");
    reader.join().expect("the terminal was read");

    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&packets.to_string()), "{packets}: {text}");
    let shown = so_far();
    assert!(shown.ends_with("\r\x1b[K"), "the line is gone at the end: {shown:?}");
    assert!(!shown.contains("left"), "nobody knows how long a pipe is: {shown:?}");
    assert!(!shown.contains('\n'), "one line: {shown:?}");
}
