//! Labels: the attributes of a point, and of its resource those that name a workload.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_semantic_conventions::attribute as semconv;

use super::naming;
use crate::names::attribute;

/// Attributes of a resource that become labels of each of its series. No process, container id or address is among them:
/// these come and go without bound.
const OF_RESOURCES: [&str; 13] = [
    semconv::SERVICE_NAME,
    semconv::SERVICE_NAMESPACE,
    semconv::HOST_NAME,
    semconv::CONTAINER_NAME,
    semconv::K8S_CLUSTER_NAME,
    semconv::K8S_NAMESPACE_NAME,
    semconv::K8S_DEPLOYMENT_NAME,
    semconv::K8S_STATEFULSET_NAME,
    semconv::K8S_DAEMONSET_NAME,
    semconv::K8S_CRONJOB_NAME,
    semconv::K8S_POD_NAME,
    semconv::K8S_CONTAINER_NAME,
    attribute::OVERFLOW,
];

/// Most bytes of a label's value; what is longer is cut.
const MOST_VALUE_BYTES: usize = 256;

/// Labels as they stand between braces, sorted by name and escaped.
pub(super) type Labels = String;

/// Labels of a point. A resource's attribute gives way to a point's of the same name; two keys of one of them that
/// become one name have both values, with a semicolon between (as the specification wants it).
pub(super) fn of_point(resource: &[KeyValue], point: &[KeyValue]) -> Labels {
    let chosen = resource.iter().filter(|a| OF_RESOURCES.contains(&a.key.as_str()));
    let mut labels = collect(chosen);
    labels.append(&mut collect(point.iter()));
    render(&labels)
}

/// All attributes of a resource, for `target_info`.
pub(super) fn of_target(resource: &[KeyValue]) -> Labels {
    render(&collect(resource.iter()))
}

/// The labels of a series that stands for all that there was no room for.
pub(super) fn overflow() -> Labels {
    render(&BTreeMap::from([(naming::label(attribute::OVERFLOW), "true".to_owned())]))
}

fn collect<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for attribute in attributes {
        let Some(value) = attribute.value.as_ref().and_then(text) else { continue };
        let same = labels.entry(naming::label(&attribute.key)).or_default();
        if !same.is_empty() {
            same.push(';');
        }
        same.push_str(&value);
    }
    labels
}

fn text(value: &AnyValue) -> Option<String> {
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(n) => Some(n.to_string()),
        Value::DoubleValue(n) => Some(n.to_string()),
        Value::BoolValue(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn render(labels: &BTreeMap<String, String>) -> Labels {
    let mut out = String::new();
    for (name, value) in labels {
        let comma = if out.is_empty() { "" } else { "," };
        let value = &value[..value.floor_char_boundary(MOST_VALUE_BYTES)];
        // Writing into a String can't fail.
        let _ = write!(out, "{comma}{name}=\"{}\"", Escaped(value));
    }
    out
}

/// A text in quotes or in a line of help. Backslash, quote and line feed have escapes; other control characters are legal in
/// both formats but end the text for some readers, and are replaced.
pub(super) struct Escaped<'a>(pub &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c if c.is_control() => f.write_char(char::REPLACEMENT_CHARACTER),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{boolean, int, string};

    #[test]
    fn workloads_become_labels_and_processes_do_not() {
        let resource = [
            string("service.name", "web"),
            int("process.pid", 7),
            string("container.id", "0f"),
            string("host.name", "a"),
        ];
        let point = [string("role", "client"), int("server.port", 80), boolean("otel.metric.overflow", true)];
        assert_eq!(
            of_point(&resource, &point),
            r#"host_name="a",otel_metric_overflow="true",role="client",server_port="80",service_name="web""#
        );
        assert!(of_target(&resource).contains(r#"process_pid="7""#));
    }

    #[test]
    fn hostile_values_stay_within_their_quotes() {
        let point =
            [string("a", "1\"} 5\n# EOF\\"), string("b", "\0\r\u{1b}[2J"), string("c", &"é".repeat(1000))];
        let labels = of_point(&[], &point);
        assert!(
            labels.starts_with("a=\"1\\\"} 5\\n# EOF\\\\\",b=\"\u{fffd}\u{fffd}\u{fffd}[2J\",c=\"éé"),
            "{labels}"
        );
        assert!(labels.len() < 320);
    }

    #[test]
    fn keys_that_become_one_name_share_it() {
        assert_eq!(of_point(&[], &[string("a.b", "1"), string("a_b", "2")]), r#"a_b="1;2""#);
        assert_eq!(
            of_point(&[string("service.name", "x")], &[string("service_name", "y")]),
            r#"service_name="y""#
        );
    }
}
