//! What `error.type` a connection gets.

use tracenet_core::fact::{CloseReason, ConnSummary};

/// `error.type` of an errno as the kernel leaves it in `sk_err`.
fn of_errno(errno: u32) -> &'static str {
    // Linux's numbers (asm-generic/errno.h).
    match errno {
        13 => "permission_denied",
        32 => "broken_pipe",
        99 => "address_not_available",
        100 => "network_down",
        101 => "network_unreachable",
        103 => "connection_aborted",
        104 => "connection_reset",
        110 => "timed_out",
        111 => "connection_refused",
        112 => "host_down",
        113 => "host_unreachable",
        _ => "_OTHER",
    }
}

/// Why a connection failed; `None` where it didn't. A reset sent by this side is its program's decision, and what
/// was repaired by retransmission is no failure.
pub(crate) fn error_type(summary: &ConnSummary) -> Option<&'static str> {
    if summary.err != 0 {
        return Some(of_errno(summary.err));
    }
    match summary.close {
        CloseReason::Fin | CloseReason::ResetSent | CloseReason::Open => None,
        CloseReason::ResetReceived if was_established(summary) => Some("connection_reset"),
        CloseReason::ResetReceived => Some("connection_refused"),
        CloseReason::Timeout => Some("timed_out"),
    }
}

/// True where the handshake was completed.
pub(crate) fn was_established(summary: &ConnSummary) -> bool {
    summary.opened_before || summary.established.is_some() || summary.connect.is_some()
}
