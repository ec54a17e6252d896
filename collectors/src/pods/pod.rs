//! What is kept of a pod: some hundred bytes out of the ten thousand that the API server sends.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::workload::{Owner, Workload};

/// Prefix of the annotations that become resource attributes, by OpenTelemetry's conventions.
pub const ANNOTATION_PREFIX: &str = "resource.opentelemetry.io/";

/// Annotated attributes kept of a pod, and bytes of a value.
const ATTRIBUTES_MAX: usize = 32;
const VALUE_BYTES_MAX: usize = 1024;

/// Containers kept of a pod, with those that ended last.
const CONTAINERS_MAX: usize = 64;

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Object")]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// Of a static pod: the hash by which the kubelet names its cgroup (`kubernetes.io/config.hash`), for the UID is that
    /// of its mirror in the API server.
    pub config_hash: Option<String>,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// What the pod is a part of.
    pub workload: Option<Workload>,
    /// Label `app.kubernetes.io/name`.
    pub app_name: Option<String>,
    /// Label `app.kubernetes.io/instance`.
    pub app_instance: Option<String>,
    /// Label `app.kubernetes.io/version`.
    pub app_version: Option<String>,
    /// All labels, at most 32 of 1 KiB each.
    pub labels: BTreeMap<String, String>,
    /// Annotations `resource.opentelemetry.io/KEY`, by key, at most 32 of 1 KiB each.
    pub attributes: BTreeMap<String, String>,
    /// Containers of all kinds; one that was restarted is here twice, with the id that it had.
    pub containers: Vec<PodContainer>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodContainer {
    /// Name in the pod.
    pub name: String,
    /// The runtime's id (64 hexadecimal digits), once it was started.
    pub id: Option<String>,
    /// Image as the specification has it.
    pub image: String,
}

impl Pod {
    /// The container with this id.
    pub fn container(&self, id: &str) -> Option<&PodContainer> {
        self.containers.iter().find(|c| c.id.as_deref() == Some(id))
    }
}

/// A pod at a resource version, which the watch goes on from.
#[derive(Clone, Deserialize)]
#[serde(from = "Object")]
pub(super) struct Revision {
    pub version: String,
    pub pod: Pod,
}

impl From<Object> for Revision {
    fn from(mut object: Object) -> Self {
        Self { version: std::mem::take(&mut object.metadata.resource_version), pod: object.into() }
    }
}

/// The parts of a `v1/Pod` that are looked at. Whatever else is in it is skipped.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    uid: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    creation_timestamp: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    containers: Option<Vec<SpecContainer>>,
    init_containers: Option<Vec<SpecContainer>>,
    ephemeral_containers: Option<Vec<SpecContainer>>,
}

#[derive(Deserialize)]
struct SpecContainer {
    name: String,
    #[serde(default)]
    image: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    /// `containerd://ID`.
    #[serde(rename = "containerID", default)]
    container_id: Option<String>,
    #[serde(default)]
    last_state: LastState,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LastState {
    terminated: Option<Terminated>,
}

#[derive(Deserialize)]
struct Terminated {
    #[serde(rename = "containerID", default)]
    container_id: Option<String>,
}

impl From<Object> for Pod {
    fn from(object: Object) -> Self {
        let Object { metadata, spec, status } = object;
        let labels = metadata.labels.unwrap_or_default();
        let annotations = metadata.annotations.unwrap_or_default();
        let workload = Workload::of(
            metadata.owner_references.as_deref().unwrap_or_default(),
            &labels,
            metadata.creation_timestamp.as_deref(),
        );
        let label = |key: &str| labels.get(key).filter(|value| !value.is_empty()).cloned();
        Self {
            workload,
            app_name: label("app.kubernetes.io/name"),
            app_instance: label("app.kubernetes.io/instance"),
            app_version: label("app.kubernetes.io/version"),
            config_hash: annotations.get("kubernetes.io/config.hash").cloned(),
            attributes: attributes(&annotations),
            containers: containers(&spec, &status),
            labels: bounded(labels.iter().map(|(key, value)| (key.as_str(), value))),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            node: spec.node_name,
        }
    }
}

fn attributes(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours =
        annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(ANNOTATION_PREFIX)?, value)));
    bounded(ours.filter(|(key, _)| !key.is_empty()))
}

fn bounded<'a>(all: impl Iterator<Item = (&'a str, &'a String)>) -> BTreeMap<String, String> {
    let short = |value: &str| {
        let end = (0..=VALUE_BYTES_MAX.min(value.len())).rev().find(|at| value.is_char_boundary(*at));
        value[..end.unwrap_or(0)].to_owned()
    };
    all.take(ATTRIBUTES_MAX).map(|(key, value)| (key.to_owned(), short(value))).collect()
}

fn containers(spec: &Spec, status: &Status) -> Vec<PodContainer> {
    let kinds = [
        (&spec.containers, &status.container_statuses),
        (&spec.init_containers, &status.init_container_statuses),
        (&spec.ephemeral_containers, &status.ephemeral_container_statuses),
    ];
    let mut all = Vec::new();
    for (specified, statuses) in kinds {
        for wanted in specified.iter().flatten() {
            let status = statuses.iter().flatten().find(|status| status.name == wanted.name);
            let now = status.and_then(|s| s.container_id.as_deref()).and_then(bare_id);
            let before = status
                .and_then(|s| s.last_state.terminated.as_ref()?.container_id.as_deref())
                .and_then(bare_id)
                .filter(|before| Some(before) != now.as_ref());
            let container = |id| PodContainer { name: wanted.name.clone(), id, image: wanted.image.clone() };
            all.push(container(now));
            all.extend(before.map(|id| container(Some(id))));
        }
    }
    all.truncate(CONTAINERS_MAX);
    all
}

/// `ID` of `containerd://ID`.
fn bare_id(uri: &str) -> Option<String> {
    let id = uri.rsplit_once("://").map_or(uri, |(_, id)| id);
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::workload::Kind;

    #[test]
    fn a_pod_is_read_with_what_it_needs() {
        let pod: Pod = serde_json::from_str(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-7d9f8-x2","namespace":"shop","uid":"u1",
            "labels":{"app.kubernetes.io/name":"web","app":"x","pod-template-hash":"7d9f8"},
            "annotations":{"resource.opentelemetry.io/service.name":"front","resource.opentelemetry.io/":"x","other":"y"},
            "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d9f8","uid":"r","controller":true}],
            "managedFields":[{"manager":"kubelet"}]},
            "spec":{"nodeName":"n1","containers":[{"name":"nginx","image":"nginx:1.27"}],
                "initContainers":[{"name":"setup","image":"busybox"}]},
            "status":{"containerStatuses":[{"name":"nginx","containerID":"containerd://bb",
                "lastState":{"terminated":{"exitCode":1,"containerID":"containerd://aa"}}}],
                "initContainerStatuses":[{"name":"setup","containerID":"","lastState":{}}]}}"#,
        )
        .unwrap();
        assert_eq!(
            (pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_str()),
            ("shop", "web-7d9f8-x2", "u1")
        );
        assert_eq!(
            pod.workload.as_ref().map(|w| (&w.kind, w.name.as_str())),
            Some((&Kind::Deployment, "web"))
        );
        assert_eq!(
            pod.attributes.iter().collect::<Vec<_>>(),
            [(&"service.name".to_owned(), &"front".to_owned())]
        );
        assert_eq!(pod.app_name.as_deref(), Some("web"));
        let ids: Vec<_> = pod.containers.iter().map(|c| (c.name.as_str(), c.id.as_deref())).collect();
        assert_eq!(ids, [("nginx", Some("bb")), ("nginx", Some("aa")), ("setup", None)]);
        assert_eq!(pod.container("aa").map(|c| c.image.as_str()), Some("nginx:1.27"));
    }

    #[test]
    fn the_least_that_the_server_may_send_is_enough() {
        let pod: Pod = serde_json::from_str(r#"{"metadata":{"name":"a","uid":"u"}}"#).unwrap();
        assert_eq!((pod.name.as_str(), pod.workload, pod.containers.len()), ("a", None, 0));
        let nulls = r#"{"metadata":{"name":"a","uid":"u","labels":null,"annotations":null,"ownerReferences":null},
            "spec":{"containers":null},"status":{"containerStatuses":null}}"#;
        assert!(serde_json::from_str::<Pod>(nulls).is_ok());
        assert!(serde_json::from_str::<Pod>(r#"{"metadata":{}}"#).is_err());
    }

    #[test]
    fn annotations_are_bounded() {
        let many = (0..100).map(|i| (format!("{ANNOTATION_PREFIX}k{i:03}"), "é".repeat(1000))).collect();
        let kept = attributes(&many);
        assert_eq!(kept.len(), ATTRIBUTES_MAX);
        assert!(kept.values().all(|v| v.len() <= VALUE_BYTES_MAX));
    }
}
