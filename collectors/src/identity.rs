//! Who a process is: PID → cgroup → container → pod → workload → service.
//!
//! [`cgroup`] reads the path, [`runtime`] what the container runtime wrote down, [`crate::pods`] what the API server
//! says, and [`attributes`] puts them into OpenTelemetry's words. [`Identifier`] does it all and remembers.

pub mod attributes;
pub mod cgroup;
pub mod image;
pub mod runtime;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attributes::Subject;
use cgroup::Cgroup;
use runtime::{Description, RuntimeFiles};

use crate::pods::{Pod, PodWatch};

/// Containers remembered; beyond it the memory starts anew, since files can be read again.
const CONTAINERS_MAX: usize = 8_192;

/// How long it is believed that there are no files of a container: a runtime writes them before the container starts,
/// so this is for names that it writes late, and for hosts that have no such files.
const ABSENCE_BELIEVED: Duration = Duration::from_secs(30);

/// Finds out where a process runs, and remembers what files said of containers.
#[derive(Debug)]
pub struct Identifier {
    files: RuntimeFiles,
    pods: Option<Arc<PodWatch>>,
    labels: bool,
    containers: HashMap<String, Remembered>,
}

#[derive(Debug)]
enum Remembered {
    Described(Arc<Description>),
    Absent(Instant),
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the cgroup names.
    pub cgroup: Cgroup,
    /// What the runtime's files say.
    pub description: Option<Arc<Description>>,
    /// What the API server says.
    pub pod: Option<Arc<Pod>>,
    /// Resource attributes, see [`attributes::attributes`].
    pub attributes: Vec<(String, String)>,
}

impl Identity {
    /// An attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

impl Identifier {
    /// `files` of the host; `pods` where an API server is asked; `labels` as in [`Subject::labels`].
    pub fn new(files: RuntimeFiles, pods: Option<Arc<PodWatch>>, labels: bool) -> Self {
        Self { files, pods, labels, containers: HashMap::new() }
    }

    /// Where a process of this cgroup runs. Reads files the first time that it sees a container, and never waits for the
    /// API server. The pod may be known only a moment later, so ask again where there is a container without one.
    pub fn identify(&mut self, cgroup: &Cgroup, now: Instant) -> Identity {
        let id = cgroup.container.as_ref().map(|c| c.id.as_str());
        let description = id.and_then(|id| self.describe(id, now));
        let pod = self.pods.as_ref().and_then(|pods| {
            let by_id = id.and_then(|id| pods.by_container(id));
            by_id
                .or_else(|| pods.by_uid(&cgroup.pod.as_ref()?.uid))
                .or_else(|| pods.by_uid(description.as_ref()?.pod.as_ref()?.uid.as_ref()?))
        });
        let attributes = attributes::attributes(&Subject {
            cgroup,
            description: description.as_deref(),
            pod: pod.as_deref(),
            labels: self.labels,
        });
        Identity { cgroup: cgroup.clone(), description, pod, attributes }
    }

    fn describe(&mut self, id: &str, now: Instant) -> Option<Arc<Description>> {
        match self.containers.get(id) {
            Some(Remembered::Described(description)) => return Some(Arc::clone(description)),
            Some(Remembered::Absent(since)) if now.saturating_duration_since(*since) < ABSENCE_BELIEVED => {
                return None;
            }
            _ => {}
        }
        if self.containers.len() >= CONTAINERS_MAX {
            self.containers.clear();
        }
        let description = self.files.describe(id).map(Arc::new);
        let remembered = description.clone().map_or(Remembered::Absent(now), Remembered::Described);
        self.containers.insert(id.to_owned(), remembered);
        description
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_and_absence_is_believed_for_a_while() {
        let id = "ab".repeat(32);
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("var/lib/docker/containers").join(&id);
        let mut identifier = Identifier::new(RuntimeFiles::below(root.path()), None, true);
        let cgroup = Cgroup::of_path(&format!("/docker/{id}"));
        let now = Instant::now();
        assert_eq!(identifier.identify(&cgroup, now).attribute("container.name"), None);

        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.v2.json"), r#"{"Name":"/web","Config":{"Image":"nginx"}}"#)
            .unwrap();
        assert_eq!(identifier.identify(&cgroup, now).attribute("container.name"), None);
        let later = now + ABSENCE_BELIEVED;
        assert_eq!(identifier.identify(&cgroup, later).attribute("service.name"), Some("web"));

        std::fs::remove_dir_all(root.path().join("var")).unwrap();
        assert_eq!(identifier.identify(&cgroup, later).attribute("service.name"), Some("web"));
    }
}
