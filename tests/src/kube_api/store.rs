//! The pods, the resource versions and the history that watches go on from, as etcd keeps them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

/// A pod, as the text that is sent.
pub struct Stored {
    pub namespace: String,
    pub name: String,
    pub node: String,
    /// JSON without `kind` and `apiVersion`, which items of lists don't have.
    pub text: String,
}

/// What a client wants to see.
#[derive(Default)]
pub struct Selection {
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub node: Option<String>,
}

impl Selection {
    pub fn has(&self, pod: &Stored) -> bool {
        self.namespace.as_ref().is_none_or(|ns| *ns == pod.namespace)
            && self.name.as_ref().is_none_or(|name| *name == pod.name)
            && self.node.as_ref().is_none_or(|node| *node == pod.node)
    }
}

struct Change {
    version: u64,
    before: Option<Arc<Stored>>,
    after: Option<Arc<Stored>>,
}

pub struct Store {
    version: u64,
    compacted: u64,
    pods: BTreeMap<(String, String), Arc<Stored>>,
    history: Vec<Change>,
    snapshots: HashMap<u64, Arc<Vec<Arc<Stored>>>>,
}

impl Default for Store {
    /// Empty, but not new: no client ever sees the first versions.
    fn default() -> Self {
        Self {
            version: 1_000,
            compacted: 1_000,
            pods: BTreeMap::new(),
            history: Vec::new(),
            snapshots: HashMap::new(),
        }
    }
}

impl Store {
    /// Version of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// False for a version that is too old to begin a watch with.
    pub fn knows(&self, version: u64) -> bool {
        version >= self.compacted
    }

    pub fn pods(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.pods.values()
    }

    pub fn set(&mut self, pod: Value) {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let node = text("/spec/nodeName");
        self.version += 1;
        let stored = Arc::new(Stored {
            namespace: namespace.clone(),
            name: name.clone(),
            node,
            text: at_version(pod, self.version),
        });
        let before = self.pods.insert((namespace, name), Arc::clone(&stored));
        self.history.push(Change { version: self.version, before, after: Some(stored) });
    }

    pub fn remove(&mut self, namespace: &str, name: &str) {
        let before = self.pods.remove(&(namespace.to_owned(), name.to_owned()));
        let before = before.unwrap_or_else(|| panic!("no pod {namespace}/{name}"));
        self.version += 1;
        // The object of a DELETED event is the last one, at the version of its deletion.
        let value = serde_json::from_str(&before.text).expect("our own JSON");
        let last = Stored {
            namespace: before.namespace.clone(),
            name: before.name.clone(),
            node: before.node.clone(),
            text: at_version(value, self.version),
        };
        self.history.push(Change { version: self.version, before: Some(Arc::new(last)), after: None });
    }

    /// Forgets everything up to now. Watches that are open are told all the same, from the server's cache.
    pub fn compact(&mut self) {
        self.version += 1;
        self.compacted = self.version;
        self.snapshots.clear();
    }

    /// What is there now, by its version.
    pub fn snapshot(&mut self) -> (u64, Arc<Vec<Arc<Stored>>>) {
        let all = || Arc::new(self.pods.values().cloned().collect());
        (self.version, Arc::clone(self.snapshots.entry(self.version).or_insert_with(all)))
    }

    /// What was there then, if that is still known.
    pub fn snapshot_at(&self, version: u64) -> Option<Arc<Vec<Arc<Stored>>>> {
        self.snapshots.get(&version).cloned()
    }

    /// Events after a version, as somebody with this selection sees them: a pod that comes into it is added.
    pub fn events<'a>(
        &'a self,
        version: u64,
        selection: &'a Selection,
    ) -> impl Iterator<Item = (&'static str, &'a Stored)> {
        let first = self.history.partition_point(|change| change.version <= version);
        self.history[first..].iter().filter_map(|change| {
            let before = change.before.as_deref().filter(|pod| selection.has(pod));
            let after = change.after.as_deref().filter(|pod| selection.has(pod));
            match (before, after) {
                (None, Some(pod)) => Some(("ADDED", pod)),
                (Some(_), Some(pod)) => Some(("MODIFIED", pod)),
                (Some(pod), None) => Some(("DELETED", pod)),
                (None, None) => None,
            }
        })
    }
}

fn at_version(mut pod: Value, version: u64) -> String {
    pod["metadata"]["resourceVersion"] = Value::String(version.to_string());
    if let Some(fields) = pod.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    pod.to_string()
}
