//! Which of the two text formats a scraper gets.

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0: with exemplars.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which every scraper reads.
    Text,
}

impl Format {
    /// What the `Accept` header asks for (RFC 9110, section 12.5.1): OpenMetrics where it is named and nothing is said to
    /// be dearer, else text, also where the header makes no sense.
    pub fn accepted(header: Option<&str>) -> Self {
        let (mut open_metrics, mut text) = (0.0, 0.0);
        for range in header.unwrap_or("").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let weight = match parts.next().unwrap_or("").to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => &mut open_metrics,
                "text/plain" => &mut text,
                _ => continue,
            };
            let q = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok()).unwrap_or(1.0_f32);
            *weight = q.max(*weight);
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// Value of the `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_chooses() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (header, format) in [
            (Some(prometheus), Format::OpenMetrics),
            (Some("Application/OpenMetrics-Text"), Format::OpenMetrics),
            (Some("text/plain, application/openmetrics-text; q=0.9"), Format::Text),
            (Some("application/openmetrics-text;q=0"), Format::Text),
            (Some("application/openmetrics-text;q=nan"), Format::Text),
            (Some("text/html,*/*;q=0.8"), Format::Text),
            (Some(",,;;=q,\u{7f}"), Format::Text),
            (None, Format::Text),
        ] {
            assert_eq!(Format::accepted(header), format, "{header:?}");
        }
    }
}
