//! How long `tracenet sockets` takes beside ss with the same flags, on some 3,600 sockets in a namespace: medians.

use std::process::{Command, Stdio};
use std::time::Instant;

use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{agent, load};

const RUNS: usize = 21;

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let netns = Netns::new("sockets");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = Program::start(load::script(&netns, "sockets.py").arg(folder.path()).arg("100"));
    println!("{} sockets", program.json()["sockets"]);
    println!("{:<64} {:>8} {:>11} {:>7}", "", "ss", "tracenet", "ratio");
    for args in [
        &["-an"][..],
        &["-tunap"],
        &["-tunapiemo"],
        &["-xap"],
        &["-ap"],
        &["-tan", "state", "established", "( dport >= :1024 and src 127.0.0.0/8 )"],
    ] {
        let mut ours = netns.command(agent::binary());
        ours.arg("sockets").args(args);
        let mut theirs = netns.command("ss");
        theirs.args(args);
        let (ss, tracenet) = medians(&mut theirs, &mut ours);
        println!("{:<64} {ss:>5.1} ms {tracenet:>7.1} ms {:>7.2}", args.join(" "), tracenet / ss);
    }
    println!("(at most 1.5)");
}

/// Milliseconds of each, run in turn so that the machine's moods reach both.
fn medians(a: &mut Command, b: &mut Command) -> (f64, f64) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (command, times) in [&mut *a, &mut *b].into_iter().zip(&mut times) {
            let start = Instant::now();
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
            times.push(start.elapsed().as_secs_f64() * 1e3);
            assert!(status.success());
        }
    }
    let [a, b] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[RUNS / 2]
    });
    (a, b)
}
