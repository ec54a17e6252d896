//! Resource attributes of a process by OpenTelemetry's semantic conventions, and the service's name in the published
//! order (docs/non-normative/k8s-attributes.md of the conventions).

use super::cgroup::{Cgroup, Machine, Manager};
use super::image::Image;
use super::runtime::Description;
use crate::pods::Pod;

/// What is known of where a process runs.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What its cgroup names.
    pub cgroup: &'a Cgroup,
    /// What the container runtime's files say of its container.
    pub description: Option<&'a Description>,
    /// What the API server says of its pod.
    pub pod: Option<&'a Pod>,
    /// Whether well-known labels (`app.kubernetes.io/...`) may name the service: the conventions want that to be
    /// somebody's choice.
    pub labels: bool,
}

/// Attributes by name, each once. Of a list (`container.image.tags`) there is one value. `service.name` is not among
/// them where neither pod, container nor service says it: then it is the executable's.
pub fn attributes(subject: &Subject<'_>) -> Vec<(String, String)> {
    let mut all = Attributes(Vec::new());
    let id = subject.cgroup.container.as_ref().map(|c| c.id.as_str());
    let known = id.and_then(|id| subject.pod?.container(id));
    let described = subject.description.and_then(|d| d.pod.as_ref());

    all.set("container.id", id);
    all.set("container.runtime.name", runtime(subject));
    all.set("container.name", container_name(subject));
    let reference = known.map(|c| c.image.as_str()).filter(|image| !image.is_empty());
    let reference = reference.or_else(|| subject.description?.image.as_deref());
    let image = reference.map(Image::parse).unwrap_or_default();
    all.set("container.image.name", Some(image.name.as_str()));
    all.set("container.image.tags", image.tag.as_deref());

    let namespace = subject.pod.map(|p| p.namespace.as_str()).or(described.map(|d| d.namespace.as_str()));
    let pod_name = subject.pod.map(|p| p.name.as_str()).or(described.map(|d| d.name.as_str()));
    let uid = subject.pod.map(|p| p.uid.as_str());
    let uid = uid.or(described.and_then(|d| d.uid.as_deref()));
    let uid = uid.or(subject.cgroup.pod.as_ref().map(|p| p.uid.as_str()));
    let container = known.map(|c| c.name.as_str()).or(described.and_then(|d| d.container.as_deref()));
    all.set("k8s.namespace.name", namespace);
    all.set("k8s.pod.name", pod_name);
    all.set("k8s.pod.uid", uid);
    all.set("k8s.container.name", container);
    all.set("k8s.node.name", subject.pod.and_then(|p| p.node.as_deref()));
    if let Some(workload) = subject.pod.and_then(|p| p.workload.as_ref()) {
        let owner = workload.owner.as_ref().map(|(kind, name)| (kind, name));
        for (kind, name) in owner.into_iter().chain([(&workload.kind, &workload.name)]) {
            if let Some(attribute) = kind.attribute() {
                all.set(attribute, Some(name));
            }
        }
    }

    service(subject, &mut all, &image);
    // "All annotations with the prefix should be translated": they win, for somebody wrote them for this purpose.
    for (key, value) in subject.pod.into_iter().flat_map(|p| &p.attributes) {
        all.set(key, Some(value));
    }
    all.0
}

fn service(subject: &Subject<'_>, all: &mut Attributes, image: &Image) {
    let label = |of: fn(&Pod) -> &Option<String>| {
        let pod = subject.pod.filter(|_| subject.labels)?;
        of(pod).clone()
    };
    let in_pod = all.get("k8s.pod.name").is_some();
    let from = [
        "k8s.deployment.name",
        "k8s.replicaset.name",
        "k8s.statefulset.name",
        "k8s.daemonset.name",
        "k8s.cronjob.name",
        "k8s.job.name",
        "k8s.pod.name",
        "k8s.container.name",
    ];
    let name = label(|p| &p.app_instance)
        .or_else(|| label(|p| &p.app_name))
        .or_else(|| from.iter().find_map(|attribute| all.get(attribute)))
        // Outside Kubernetes: what the user called the container, the service, or else the machine.
        .or_else(|| subject.description?.name.clone())
        .or_else(|| subject.cgroup.unit.as_ref()?.service().map(str::to_owned))
        .or_else(|| subject.cgroup.machine.as_ref().map(|m| m.name.clone()));
    all.set("service.name", name.as_deref());
    if !in_pod {
        return;
    }
    let namespace = all.get("k8s.namespace.name");
    all.set("service.namespace", namespace.as_deref());
    let version = label(|p| &p.app_version).or_else(|| image.version());
    all.set("service.version", version.as_deref());
    let parts = ["k8s.namespace.name", "k8s.pod.name", "k8s.container.name"].map(|a| all.get(a));
    if let [Some(namespace), Some(pod), Some(container)] = parts {
        all.set("service.instance.id", Some(&format!("{namespace}.{pod}.{container}")));
    }
}

/// Who runs the container.
fn runtime<'a>(subject: &Subject<'a>) -> Option<&'a str> {
    let by_path = subject.cgroup.container.as_ref().and_then(|c| c.runtime).map(|r| r.name());
    let by_file = subject.description.map(|d| d.runtime.name());
    by_file.or(by_path).or(system_container(subject.cgroup).map(|m| m.manager.name()))
}

fn container_name<'a>(subject: &Subject<'a>) -> Option<&'a str> {
    let by_file = subject.description.and_then(|d| d.name.as_deref());
    by_file.or(system_container(subject.cgroup).map(|m| m.name.as_str()))
}

/// The machine, unless it is a virtual one, which is no container.
fn system_container(cgroup: &Cgroup) -> Option<&Machine> {
    cgroup.machine.as_ref().filter(|m| m.manager != Manager::Qemu)
}

struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn get(&self, key: &str) -> Option<String> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone())
    }

    fn set(&mut self, key: &str, value: Option<&str>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cgroup::Runtime;
    use crate::identity::runtime::PodDescription;

    const ID: &str = "3f29f1c3a0b14e5d8c7b6a5948372615f0e1d2c3b4a5968778695a4b3c2d1e0f";

    fn pod(labels: &str, annotations: &str, owner: &str) -> Pod {
        let text = format!(
            r#"{{"metadata":{{"name":"web-7d9f8-x2","namespace":"shop","uid":"u1","labels":{{"pod-template-hash":"7d9f8"{labels}}},
            "annotations":{{{annotations}}},"ownerReferences":[{owner}]}},
            "spec":{{"nodeName":"n1","containers":[{{"name":"nginx","image":"localhost:5000/nginx:1.27"}}]}},
            "status":{{"containerStatuses":[{{"name":"nginx","containerID":"containerd://{ID}"}}]}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    const REPLICA_SET: &str = r#"{"kind":"ReplicaSet","name":"web-7d9f8","controller":true}"#;

    fn told(
        path: &str,
        description: Option<&Description>,
        pod: Option<&Pod>,
        labels: bool,
    ) -> Vec<(String, String)> {
        let cgroup = Cgroup::of_path(&path.replace("ID", ID));
        attributes(&Subject { cgroup: &cgroup, description, pod, labels })
    }

    fn get<'a>(all: &'a [(String, String)], key: &str) -> Option<&'a str> {
        all.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    #[test]
    fn a_container_of_a_pod_has_all_of_it() {
        let all = told(
            "/kubepods/burstable/podu1/cri-containerd-ID.scope",
            None,
            Some(&pod("", "", REPLICA_SET)),
            true,
        );
        for (key, value) in [
            ("container.id", ID),
            ("container.runtime.name", "containerd"),
            ("container.image.name", "localhost:5000/nginx"),
            ("container.image.tags", "1.27"),
            ("k8s.namespace.name", "shop"),
            ("k8s.pod.name", "web-7d9f8-x2"),
            ("k8s.pod.uid", "u1"),
            ("k8s.container.name", "nginx"),
            ("k8s.node.name", "n1"),
            ("k8s.replicaset.name", "web-7d9f8"),
            ("k8s.deployment.name", "web"),
            ("service.name", "web"),
            ("service.namespace", "shop"),
            ("service.version", "1.27"),
            ("service.instance.id", "shop.web-7d9f8-x2.nginx"),
        ] {
            assert_eq!(get(&all, key), Some(value), "{key}");
        }
        assert_eq!(all.len(), 15, "{all:?}");
    }

    #[test]
    fn the_service_is_named_in_the_published_order() {
        let instance = r#","app.kubernetes.io/instance":"front-1""#;
        let name = r#","app.kubernetes.io/name":"front""#;
        let both = format!("{instance}{name}");
        let note = r#""resource.opentelemetry.io/service.name":"noted""#;
        let set = r#"{"kind":"StatefulSet","name":"db"}"#;
        let other = r#"{"kind":"Rollout","name":"x"}"#;
        for (labels, annotations, owner, use_labels, expected) in [
            (both.as_str(), note, REPLICA_SET, true, "noted"),
            (both.as_str(), "", REPLICA_SET, true, "front-1"),
            (name, "", REPLICA_SET, true, "front"),
            (both.as_str(), "", REPLICA_SET, false, "web"),
            ("", "", set, true, "db"),
            ("", "", other, true, "web-7d9f8-x2"),
            ("", "", "", true, "web-7d9f8-x2"),
        ] {
            let pod = pod(labels, annotations, owner);
            let all = told("/kubepods/podu1/ID", None, Some(&pod), use_labels);
            assert_eq!(get(&all, "service.name"), Some(expected));
        }
        let version =
            pod(r#","app.kubernetes.io/version":"2""#, r#""resource.opentelemetry.io/team":"a""#, "");
        let all = told("/kubepods/podu1/ID", None, Some(&version), true);
        assert_eq!((get(&all, "service.version"), get(&all, "team")), (Some("2"), Some("a")));
    }

    #[test]
    fn files_of_the_runtime_tell_of_a_pod_without_a_server() {
        let description = Description {
            runtime: Runtime::Containerd,
            name: Some("nginx".into()),
            image: Some("nginx@sha256:ab".into()),
            pod: Some(PodDescription {
                name: "web-0".into(),
                namespace: "shop".into(),
                uid: None,
                container: Some("nginx".into()),
            }),
        };
        let path = "/kubepods/burstable/pod1b4e28ba-2fa1-11d2-883f-b9a761bde3fb/ID";
        let all = told(path, Some(&description), None, true);
        assert_eq!(get(&all, "service.name"), Some("web-0"));
        assert_eq!(get(&all, "service.version"), Some("sha256:ab"));
        assert_eq!(get(&all, "service.instance.id"), Some("shop.web-0.nginx"));
        assert_eq!(get(&all, "k8s.pod.uid"), Some("1b4e28ba-2fa1-11d2-883f-b9a761bde3fb"));
        assert_eq!(get(&all, "container.runtime.name"), Some("containerd"));
    }

    #[test]
    fn without_kubernetes_container_machine_or_service_name_it() {
        let docker = Description {
            runtime: Runtime::Docker,
            name: Some("shop-db-1".into()),
            image: Some("postgres:18".into()),
            pod: None,
        };
        for (path, description, expected) in [
            ("/system.slice/docker-ID.scope", Some(&docker), Some("shop-db-1")),
            ("/system.slice/docker-ID.scope", None, None),
            ("/lxc/web", None, Some("web")),
            ("/lxc/web/ns/system.slice/nginx.service", None, Some("nginx")),
            ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", None, Some("vm")),
            ("/system.slice/nginx.service", None, Some("nginx")),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/sync@a.service", None, Some("sync@a")),
            ("/user.slice/user-1000.slice/session-3.scope", None, None),
            ("/", None, None),
        ] {
            let all = told(path, description, None, true);
            assert_eq!(get(&all, "service.name"), expected, "{path}");
            assert_eq!(get(&all, "service.namespace"), None);
            assert_eq!(get(&all, "service.version"), None);
        }
    }
}
