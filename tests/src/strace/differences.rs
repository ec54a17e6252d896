//! What may differ from strace, and why: the list that `tests/STRACE.md` explains.

/// A difference that is wanted, or can't be helped.
struct Accepted {
    /// Name of the call, empty for any.
    call: &'static str,
    /// Found in strace's line.
    theirs: &'static str,
    /// Found in tracenet's.
    ours: &'static str,
}

/// The entries stand in the order of `tests/STRACE.md`.
const ACCEPTED: &[Accepted] = &[
    Accepted { call: "", theirs: "<UDP:[", ours: "<UDP:[" },
    Accepted { call: "", theirs: "<TCP:[", ours: "<TCP:[" },
    Accepted { call: "", theirs: "<TCPv6:[", ours: "<TCPv6:[" },
    Accepted { call: "", theirs: "<UNIX-STREAM:[", ours: "<UNIX-STREAM:[" },
    Accepted { call: "", theirs: "nlmsg_len=", ours: "nlmsg_len=" },
    Accepted { call: "kill", theirs: "SIGKILL) = ?", ours: "SIGKILL) = 0" },
];

/// Whether a pair of lines differs only in what the list names.
pub fn accepted(theirs: &str, ours: &str) -> bool {
    let name = super::lines::name_of(theirs);
    ACCEPTED.iter().any(|a| {
        (a.call.is_empty() || a.call == name)
            && theirs.contains(a.theirs)
            && ours.contains(a.ours)
            && match a.theirs {
                // What else the line says must be the same.
                "<UDP:[" | "<TCP:[" | "<TCPv6:[" | "<UNIX-STREAM:[" => {
                    without_sockets(theirs) == without_sockets(ours)
                }
                _ => true,
            }
    })
}

/// A line without what stands between the brackets of sockets.
fn without_sockets(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(":[") {
        let (before, after) = rest.split_at(at + 2);
        out.push_str(before);
        rest = after.find("]>").map_or("", |end| &after[end..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addresses_of_a_socket_may_differ() {
        let old = "sendto(3<UDP:[0.0.0.0:9]>, \"a\", 1, 0, NULL, 0) = 1";
        assert!(accepted(old, "sendto(3<UDP:[127.0.0.1:9->127.0.0.1:8]>, \"a\", 1, 0, NULL, 0) = 1"));
        assert!(!accepted(old, "sendto(3<UDP:[0.0.0.0:9]>, \"b\", 1, 0, NULL, 0) = 1"));
        assert!(accepted("close(5<UNIX-STREAM:[7]>) = 0", "close(5<UNIX-STREAM:[7->6]>) = 0"));
        assert!(!accepted("read(3, \"a\") = 1", "read(3, \"b\") = 1"));
    }
}
