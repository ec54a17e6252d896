//! Fields of the frame as a whole.

use std::fmt::Write as _;

use tracenet_collectors::decode::Protocol;
use tracenet_filter::FieldType::{AbsoluteTime, Protocol as Span, RelativeTime, String, Uint};
use tracenet_filter::Value;

use super::{Definition, Of::Frame};

/// From one stamp to another, which may be the earlier one.
fn between(from: u64, to: u64) -> i128 {
    i128::from(to) - i128::from(from)
}

pub(super) const FIELDS: &[Definition] = &[
    Definition { name: "frame", kind: Span, of: Frame, read: |h, to| to.bytes(Some(h.bytes)) },
    Definition {
        name: "frame.number",
        kind: Uint(32),
        of: Frame,
        read: |h, to| to.uint(Some(h.packet.seen.number)),
    },
    Definition {
        name: "frame.len",
        kind: Uint(32),
        of: Frame,
        read: |h, to| to.uint(Some(u64::from(h.packet.seen.dissected.packet.wire_len))),
    },
    Definition {
        name: "frame.cap_len",
        kind: Uint(32),
        of: Frame,
        read: |h, to| to.uint(Some(u64::from(h.packet.seen.dissected.packet.captured_len))),
    },
    Definition {
        name: "frame.time",
        kind: AbsoluteTime,
        of: Frame,
        read: |h, to| to.ns(Some(i128::from(h.packet.seen.dissected.packet.wall.0))),
    },
    Definition {
        name: "frame.time_epoch",
        kind: RelativeTime,
        of: Frame,
        read: |h, to| to.ns(Some(i128::from(h.packet.seen.dissected.packet.wall.0))),
    },
    Definition {
        name: "frame.time_relative",
        kind: RelativeTime,
        of: Frame,
        read: |h, to| {
            let seen = h.packet.seen;
            to.ns(Some(between(seen.first.0, seen.dissected.packet.wall.0)))
        },
    },
    Definition {
        name: "frame.time_delta",
        kind: RelativeTime,
        of: Frame,
        read: |h, to| {
            let now = h.packet.seen.dissected.packet.wall.0;
            to.ns(Some(between(h.packet.track.previous.unwrap_or(now), now)))
        },
    },
    Definition {
        name: "frame.time_delta_displayed",
        kind: RelativeTime,
        of: Frame,
        read: |h, to| {
            let now = h.packet.seen.dissected.packet.wall.0;
            to.ns(Some(between(h.packet.track.shown.unwrap_or(now), now)))
        },
    },
    Definition {
        name: "frame.protocols",
        kind: String,
        of: Frame,
        read: |h, to| {
            let mut names = std::string::String::new();
            for (protocol, _) in h.packet.seen.dissected.headers() {
                let colon = if names.is_empty() { "" } else { ":" };
                // Wireshark tells who looks at the type, too.
                let more = match protocol {
                    Protocol::Ethernet | Protocol::Vlan => ":ethertype",
                    _ => "",
                };
                // A string takes everything.
                let _ = write!(names, "{colon}{}{more}", protocol.name());
            }
            to.value(Some(Value::Str(&names)))
        },
    },
];
