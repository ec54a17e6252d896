//! Calls that strace 6.1 and the probes saw at once: the probes' captures must give strace's line.
//!
//! `strace-6.1.txt` holds, for each, the name, the arguments in hexadecimal and the result; a line for each capture
//! (argument, kind, full length, bytes); and behind `> ` what `strace -yy -v -s 256` printed.

use super::*;

#[test]
fn captures_give_the_lines_of_strace() {
    let opts = RenderOptions {
        string_limit: 256,
        verbose: true,
        fd_paths: FdPaths::Details,
        ..RenderOptions::default()
    };
    let mut seen = 0;
    let mut ev = None;
    for line in include_str!("strace-6.1.txt").lines() {
        if let Some(expected) = line.strip_prefix("> ") {
            let mut out = String::new();
            render(&ev.take().expect("a call before its line"), &opts, &mut out);
            assert_eq!(out, expected);
            seen += 1;
        } else if let Some(capture) = line.strip_prefix("  ") {
            let ev: &mut SyscallEvent = ev.as_mut().expect("a call before its captures");
            ev.captures.push(parse_capture(capture));
        } else {
            ev = Some(parse_call(line));
        }
    }
    assert!(seen > 100, "{seen}");
}

fn parse_call(line: &str) -> SyscallEvent {
    let words: Vec<&str> = line.split(' ').collect();
    let args: Vec<u64> = words[1..7].iter().map(|w| u64::from_str_radix(w, 16).unwrap()).collect();
    event(words[0], &args, words[7].parse().ok(), vec![])
}

fn parse_capture(line: &str) -> Capture {
    let words: Vec<&str> = line.split(' ').collect();
    let hex = words.get(3).copied().unwrap_or_default();
    let data = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    let (arg, kind, full_len) =
        (words[0].parse().unwrap(), words[1].parse().unwrap(), words[2].parse().unwrap());
    Capture { arg, kind, full_len, data }
}
