//! What container runtimes write down about a container, in files that root may read: its name and image, and the
//! pod's, without asking a runtime's socket (which gives as much power as root has) or an API server.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::cgroup::Runtime;

/// Bytes read of a file at most. Specifications have some 10 kB, mostly of seccomp rules.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// What a runtime's files say of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Who runs it.
    pub runtime: Runtime,
    /// Name by which the runtime knows it.
    pub name: Option<String>,
    /// Image as it was asked for.
    pub image: Option<String>,
    /// Pod, where there is one.
    pub pod: Option<PodDescription>,
}

/// What a runtime's files say of a container's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodDescription {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`, where it is told.
    pub uid: Option<String>,
    /// Container's name in the pod's specification; none for the pause container.
    pub container: Option<String>,
}

/// The files of the runtimes below a root: `/`, or where the host's is seen, such as `/host` or `/proc/1/root`.
#[derive(Debug, Clone)]
pub struct RuntimeFiles {
    root: PathBuf,
}

impl Default for RuntimeFiles {
    fn default() -> Self {
        Self::below("/")
    }
}

/// containerd's state folders: its own, k3s and RKE2, k0s, MicroK8s.
const CONTAINERD: [&str; 4] =
    ["run/containerd", "run/k3s/containerd", "run/k0s/containerd", "var/snap/microk8s/common/run/containerd"];

/// containerd's namespaces of Kubernetes and of nerdctl.
const NAMESPACES: [&str; 2] = ["k8s.io", "default"];

/// Folders of containers/storage, used by CRI-O and Podman, by driver.
const STORAGE: [&str; 4] = [
    "run/containers/storage/overlay-containers",
    "var/lib/containers/storage/overlay-containers",
    "run/containers/storage/vfs-containers",
    "var/lib/containers/storage/vfs-containers",
];

impl RuntimeFiles {
    /// Those below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Looks for the container where all runtimes keep theirs. Reads files: remember the answer.
    pub fn describe(&self, id: &str) -> Option<Description> {
        // It becomes part of a path.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        self.containerd(id).or_else(|| self.docker(id)).or_else(|| self.storage(id))
    }

    /// The OCI specification with the annotations of containerd's CRI plugin (internal/cri/annotations) or nerdctl.
    fn containerd(&self, id: &str) -> Option<Description> {
        let folders = CONTAINERD.iter().flat_map(|state| NAMESPACES.map(|ns| (*state, ns)));
        let spec: Spec = folders.into_iter().find_map(|(state, namespace)| {
            let tasks = self.root.join(state).join("io.containerd.runtime.v2.task");
            json(&tasks.join(namespace).join(id).join("config.json"))
        })?;
        let get = |key: &str| spec.annotations.get(key).filter(|v| !v.is_empty()).cloned();
        let container = get("io.kubernetes.cri.container-name");
        let pod = get("io.kubernetes.cri.sandbox-name").map(|name| PodDescription {
            name,
            namespace: get("io.kubernetes.cri.sandbox-namespace").unwrap_or_default(),
            uid: get("io.kubernetes.cri.sandbox-uid"),
            container: container.clone(),
        });
        Some(Description {
            runtime: Runtime::Containerd,
            name: container.or_else(|| get("nerdctl/name")),
            image: get("io.kubernetes.cri.image-name"),
            pod,
        })
    }

    /// `config.v2.json` (daemon/container in moby); cri-dockerd tells of pods in labels.
    fn docker(&self, id: &str) -> Option<Description> {
        let folder = self.root.join("var/lib/docker/containers").join(id);
        let file: DockerFile = json(&folder.join("config.v2.json"))?;
        let labels = file.config.labels.unwrap_or_default();
        Some(Description {
            runtime: Runtime::Docker,
            name: Some(file.name.trim_start_matches('/').to_owned()).filter(|name| !name.is_empty()),
            image: file.config.image.filter(|image| !image.is_empty()),
            pod: pod_of(&labels),
        })
    }

    /// The OCI specification with CRI-O's annotations (pkg/annotations), and the names that containers/storage keeps.
    fn storage(&self, id: &str) -> Option<Description> {
        let folders = || STORAGE.iter().map(|folder| self.root.join(folder));
        let spec: Spec = folders().find_map(|folder| json(&folder.join(id).join("userdata/config.json")))?;
        let get = |key: &str| spec.annotations.get(key).filter(|v| !v.is_empty()).cloned();
        let pod = pod_of(&spec.annotations);
        let crio = get("io.kubernetes.cri-o.ContainerType").is_some();
        let listed = folders()
            .flat_map(|folder| ["containers.json", "volatile-containers.json"].map(|name| folder.join(name)))
            .find_map(|file| {
                let all: Vec<Stored> = json(&file)?;
                all.into_iter().find(|container| container.id == id)
            })
            .unwrap_or_default();
        let metadata: StoredMetadata = serde_json::from_str(&listed.metadata).unwrap_or_default();
        let name = get("io.kubernetes.cri-o.Name").or_else(|| listed.names.into_iter().flatten().next());
        Some(Description {
            runtime: if crio { Runtime::CriO } else { Runtime::Podman },
            name,
            image: get("io.kubernetes.cri-o.ImageName").or(metadata.image_name),
            pod,
        })
    }
}

/// The kubelet's labels of containers (pkg/kubelet/types/labels.go).
fn pod_of(labels: &HashMap<String, String>) -> Option<PodDescription> {
    let get = |key: &str| labels.get(key).filter(|v| !v.is_empty()).cloned();
    Some(PodDescription {
        name: get("io.kubernetes.pod.name")?,
        namespace: get("io.kubernetes.pod.namespace").unwrap_or_default(),
        uid: get("io.kubernetes.pod.uid"),
        // dockershim and CRI-O call the pause container POD.
        container: get("io.kubernetes.container.name").filter(|name| name != "POD"),
    })
}

/// OCI runtime specification, config.md.
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerFile {
    #[serde(default)]
    name: String,
    config: DockerConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerConfig {
    image: Option<String>,
    labels: Option<HashMap<String, String>>,
}

/// An entry of `containers.json` (containers.go in containers/storage).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Stored {
    id: String,
    names: Option<Vec<String>>,
    /// JSON in a string, of whoever made the container.
    metadata: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct StoredMetadata {
    image_name: Option<String>,
}

/// A regular file of a sensible size, as JSON. One that isn't so is as good as absent: it is somebody else's.
fn json<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    // A pipe in the file's place must not hold us.
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    if !file.metadata().as_ref().is_ok_and(fs::Metadata::is_file) {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests;
