//! Names by OpenTelemetry's "Prometheus and OpenMetrics Compatibility".

/// The word that Prometheus has for a unit of UCUM; `None` for annotations such as `{packet}`, and for units that no
/// metric of ours has.
pub(super) fn unit_word(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "s" => "seconds",
        "By" => "bytes",
        "1" => "ratio",
        _ => return None,
    })
}

/// A metric's name without the `_total` of a counter: `tracenet.turn.duration` in `s` is
/// `tracenet_turn_duration_seconds`.
pub(super) fn family(name: &str, unit: Option<&str>) -> String {
    let mut family = identifier(name, true);
    if let Some(unit) = unit
        && !family.ends_with(&format!("_{unit}"))
    {
        family.push('_');
        family.push_str(unit);
    }
    family
}

/// A label's name.
pub(super) fn label(key: &str) -> String {
    identifier(key, false)
}

/// What is no letter, digit or (in a metric's name) colon becomes an underscore, several of them one, and a digit in front
/// gets one.
fn identifier(name: &str, colon: bool) -> String {
    let mut out = String::with_capacity(name.len() + 1);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || (colon && c == ':') {
            out.push(c);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        for (name, unit, family_name) in [
            ("tracenet.turn.duration", "s", "tracenet_turn_duration_seconds"),
            ("process.network.io", "By", "process_network_io_bytes"),
            ("tracenet.packet.drops", "{packet}", "tracenet_packet_drops"),
            ("queue.bytes", "By", "queue_bytes"),
            ("memory..use-d", "1", "memory_use_d_ratio"),
            ("2xx", "", "_2xx"),
            ("", "", "_"),
            ("é\"\n}", "", "_"),
        ] {
            assert_eq!(family(name, unit_word(unit)), family_name);
        }
        assert_eq!((label("http.request:method"), label("0")), ("http_request_method".into(), "_0".into()));
    }
}
