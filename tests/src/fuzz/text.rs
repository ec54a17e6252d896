//! What people write: the configuration, quantities in it, and selections of syscalls. And what procfs says.

use tracenet_collectors::identity::cgroup::Cgroup;
use tracenet_config::{Config, parse_bytes, parse_duration};
use tracenet_core::syscall::Selection;

/// The first byte says which.
pub fn text(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match which % 5 {
        0 => match Config::parse(text) {
            Ok(config) => {
                for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME"]
                {
                    let _ = config.export.otel_variable(name);
                }
            }
            Err(e) => one_line(&e),
        },
        1 => {
            if let Err(e) = parse_bytes(text) {
                one_line(&e);
            }
        }
        2 => {
            if let Err(e) = parse_duration(text) {
                one_line(&e);
            }
        }
        3 => match Selection::parse(text) {
            Ok(selection) => {
                let _ = (0..1024).filter(|nr| selection.contains(*nr)).count();
            }
            Err(e) => one_line(&e),
        },
        _ => {
            let cgroup = Cgroup::parse(text);
            assert!(text.contains(&cgroup.path));
            assert!(cgroup.container.is_none_or(|c| text.contains(&c.id)));
        }
    }
}

/// Whoever made the mistake reads one line that isn't empty.
fn one_line(error: &dyn std::fmt::Display) {
    let line = error.to_string();
    assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
}
