//! Takes out of a trace what differs between two runs of the same program.

use std::collections::HashMap;

use super::lines::{Trace, name_of, result_of};

/// A thread by its place in the tree of forks (`0`, `0.2`), and its normalised lines.
#[derive(Debug, Clone)]
pub struct Normal {
    /// Which child of which thread.
    pub place: String,
    /// Its calls.
    pub calls: Vec<String>,
}

/// All threads of a trace, normalised.
pub fn threads(trace: &Trace) -> Vec<Normal> {
    let places = places(trace);
    trace
        .threads
        .iter()
        .map(|thread| {
            let calls = thread.calls.iter().map(|call| line(call, &places)).collect();
            let place = places.get(&thread.tid).cloned().unwrap_or_default();
            Normal { place, calls }
        })
        .collect()
}

/// Threads are known by whose n-th child they are: numbers differ from run to run.
fn places(trace: &Trace) -> HashMap<u32, String> {
    let mut places = HashMap::new();
    if let Some(first) = trace.threads.first() {
        places.insert(first.tid, "0".to_owned());
    }
    // A child may be seen before the call that made it has returned.
    for _ in 0..trace.threads.len().min(64) {
        let before = places.len();
        for thread in &trace.threads {
            let Some(place) = places.get(&thread.tid).cloned() else { continue };
            let made = |call: &&String| matches!(name_of(call), "clone" | "clone3" | "fork" | "vfork");
            let children = thread.calls.iter().filter(made).filter_map(|call| result_of(call).parse().ok());
            for (n, child) in children.enumerate() {
                places.entry(child).or_insert_with(|| format!("{place}.{n}"));
            }
        }
        if places.len() == before {
            break;
        }
    }
    places
}

/// One line without addresses, process ids, inode numbers, times, ports and random bytes.
fn line(call: &str, places: &HashMap<u32, String>) -> String {
    let mut out = String::with_capacity(call.len());
    let bytes = call.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &call[at..];
        let before = at.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
        let starts_word = !before.is_ascii_alphanumeric() && before != b'_';
        if starts_word
            && let Some(hex) = rest.strip_prefix("0x")
            && let digits = hex.bytes().take_while(u8::is_ascii_hexdigit).count()
            && digits >= 6
        {
            out.push_str("PTR");
            at += 2 + digits;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if starts_word && digits > 0 {
            let number = &rest[..digits];
            let written = out.get(out.len().saturating_sub(24)..).unwrap_or_default();
            let volatile = [
                "[",
                "->",
                "st_ino=",
                "_nsec=",
                "d_ino=",
                "d_off=",
                "_sec=",
                "_usec=",
                "time=",
                "port=htons(",
                "stx_ino=",
                "]:",
                "f_bfree=",
                "f_bavail=",
                "f_ffree=",
                "nsec=",
            ]
            .iter()
            .any(|mark| written.ends_with(mark));
            match number.parse::<u32>().ok().and_then(|n| places.get(&n)) {
                Some(place) => {
                    out.push('P');
                    out.push_str(place);
                }
                // A port behind an address.
                None if before == b':' && digits >= 4 => out.push('N'),
                None if volatile && digits >= 2 && !rest[digits..].starts_with('.') => out.push('N'),
                None => out.push_str(number),
            }
            at += digits;
            continue;
        }
        let Some(c) = rest.chars().next() else { break };
        out.push(c);
        at += c.len_utf8();
    }
    if name_of(&out) == "getrandom"
        && let Some(comma) = out.rfind("\", ")
    {
        out.replace_range("getrandom(".len()..comma, "RANDOM");
    }
    out
}
