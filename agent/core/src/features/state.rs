//! How a TCP connection went, in a word of Zeek's (documentation of conn.log, `conn_state`).

/// What was seen of one side.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Side {
    /// Its SYN, or its SYN/ACK if it answers.
    pub opened: bool,
    pub closed: bool,
    /// It sent the first RST, and not after both had closed.
    pub reset: bool,
}

/// The word for what an originator and a responder did.
pub(super) fn conn_state(originator: Side, responder: Side) -> &'static str {
    match (originator.opened, responder.opened) {
        (true, true) if responder.reset => "RSTR",
        (true, true) if originator.reset => "RSTO",
        (true, true) => match (originator.closed, responder.closed) {
            (true, true) => "SF",
            (true, false) => "S2",
            (false, true) => "S3",
            (false, false) => "S1",
        },
        (true, false) if responder.reset => "REJ",
        (true, false) if originator.reset => "RSTOS0",
        (true, false) if originator.closed => "SH",
        (true, false) if !responder.closed => "S0",
        (false, true) if responder.reset => "RSTRH",
        (false, true) if responder.closed => "SHR",
        _ => "OTH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_zeeks() {
        let nothing = Side::default();
        let opened = Side { opened: true, ..nothing };
        let closed = Side { closed: true, ..opened };
        let reset = Side { reset: true, ..opened };
        for (originator, responder, word) in [
            (opened, nothing, "S0"),
            (opened, opened, "S1"),
            (closed, opened, "S2"),
            (opened, closed, "S3"),
            (closed, closed, "SF"),
            (opened, Side { reset: true, ..nothing }, "REJ"),
            (reset, opened, "RSTO"),
            (opened, reset, "RSTR"),
            (reset, nothing, "RSTOS0"),
            (nothing, reset, "RSTRH"),
            (closed, nothing, "SH"),
            (nothing, closed, "SHR"),
            (nothing, nothing, "OTH"),
        ] {
            assert_eq!(conn_state(originator, responder), word);
        }
    }
}
