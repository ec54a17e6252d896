//! What a trace says, as whole calls of each thread in order.

use std::collections::HashMap;

/// The calls of one thread.
#[derive(Debug, Clone, Default)]
pub struct Thread {
    /// Its id.
    pub tid: u32,
    /// One line a call, `name(arguments) = result`, without padding.
    pub calls: Vec<String>,
}

/// The threads in order of their first line.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Each thread once.
    pub threads: Vec<Thread>,
    index: HashMap<u32, usize>,
}

impl Trace {
    /// Lines of `strace -f -o FILE`: a thread's number, then a call, a signal or an end.
    pub fn of_strace(text: &str) -> Self {
        let mut trace = Self::default();
        let mut unfinished: HashMap<u32, String> = HashMap::new();
        for line in text.lines() {
            let Some((tid, rest)) = line.split_once(' ') else { continue };
            let Ok(tid) = tid.parse() else { continue };
            let rest = rest.trim_start();
            if rest.starts_with("---") || rest.starts_with("+++") {
                continue;
            }
            if let Some(resumed) = rest.strip_prefix("<... ") {
                let Some((_, tail)) = resumed.split_once(" resumed>") else { continue };
                // A call that was under way when strace came has no beginning.
                let Some(begun) = unfinished.remove(&tid) else { continue };
                trace.push(tid, begun + tail);
            } else if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
                // A call that its thread didn't live to see return has no end.
                unfinished.insert(tid, begun.to_owned());
            } else {
                trace.push(tid, rest.to_owned());
            }
        }
        trace
    }

    fn push(&mut self, tid: u32, call: String) {
        let at = *self.index.entry(tid).or_insert_with(|| {
            self.threads.push(Thread { tid, calls: Vec::new() });
            self.threads.len() - 1
        });
        if let Some(thread) = self.threads.get_mut(at) {
            thread.calls.push(without_padding(call));
        }
    }

    /// A thread by its id.
    pub fn thread(&self, tid: u32) -> Option<&Thread> {
        self.index.get(&tid).and_then(|at| self.threads.get(*at))
    }
}

/// Where the result begins: at the last `)`, spaces, `= `.
pub fn result_at(call: &str) -> Option<usize> {
    let bytes = call.as_bytes();
    let mut from = call.len();
    while let Some(close) = call.get(..from)?.rfind(')') {
        let rest = &bytes[close + 1..];
        let spaces = rest.iter().take_while(|b| **b == b' ').count();
        if spaces > 0 && rest.get(spaces) == Some(&b'=') {
            return Some(close + 1);
        }
        from = close;
    }
    None
}

/// strace pads the result to a column.
fn without_padding(call: String) -> String {
    match result_at(&call) {
        Some(at) => format!("{} {}", &call[..at], call[at..].trim_start()),
        None => call,
    }
}

/// The name of the call.
pub fn name_of(call: &str) -> &str {
    call.split('(').next().unwrap_or(call)
}

/// The result without the words behind it.
pub fn result_of(call: &str) -> &str {
    let result = result_at(call).map_or("", |at| call[at..].trim_start_matches([' ', '=']));
    result.split([' ', '<']).next().unwrap_or(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_joined_and_padding_goes() {
        let trace = Trace::of_strace(
            "7 read(3, <unfinished ...>\n8 close(1)                      = 0\n7 <... read resumed>\"a) = b\", 9)  = 6\n7 +++ exited with 0 +++\n",
        );
        let calls: Vec<_> = trace.threads.iter().map(|t| (t.tid, t.calls[0].as_str())).collect();
        assert_eq!(calls, [(8, "close(1) = 0"), (7, "read(3,\"a) = b\", 9) = 6")]);
    }
}
