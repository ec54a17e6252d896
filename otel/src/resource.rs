//! Resources: who was observed. One per process, cached, so that spans of a process share it.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_semantic_conventions::attribute as semconv;
use rustc_hash::FxHashMap;
use tracenet_core::key::ProcessKey;
use tracenet_core::time::WallNs;

use crate::names;
use crate::options::ExportOptions;

/// What is known of an observed process, read by the caller while the process lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessIdentity {
    /// PID in the initial namespace.
    pub pid: u32,
    /// File name of the executable, or `comm` where `/proc/PID/exe` can't be read.
    pub executable_name: String,
    /// Target of `/proc/PID/exe`.
    pub executable_path: Option<String>,
    /// systemd unit from its cgroup, such as `nginx.service`.
    pub systemd_unit: Option<String>,
    /// 64 hex digits from its cgroup.
    pub container_id: Option<String>,
    /// When it was started.
    pub creation_time: Option<WallNs>,
    /// Its arguments; empty unless the user asked for them, because they may hold secrets.
    pub command_args: Vec<String>,
    /// More resource attributes, for example of its pod. They win over what this crate derives.
    pub attributes: Vec<(String, String)>,
}

/// Makes and keeps the resources of observed processes.
#[derive(Debug)]
pub struct Resources {
    service_name: Option<String>,
    attributes: Vec<(String, String)>,
    host_name: Option<String>,
    cache: FxHashMap<ProcessKey, Arc<Resource>>,
    agent: Arc<Resource>,
}

/// Most processes remembered; when full, the cache starts anew (resources are small and can be made again).
const MOST_PROCESSES: usize = 8192;

impl Resources {
    /// `host_name` as in `/proc/sys/kernel/hostname`.
    pub fn new(options: &ExportOptions, host_name: Option<String>) -> Self {
        let mut resources = Self {
            service_name: options.service_name.clone(),
            attributes: options.resource_attributes.clone(),
            host_name,
            cache: FxHashMap::default(),
            agent: Arc::default(),
        };
        let mut agent = Attributes::default();
        agent.set(semconv::SERVICE_NAME, names::SCOPE);
        agent.set(semconv::SERVICE_VERSION, env!("CARGO_PKG_VERSION"));
        resources.common(&mut agent);
        resources.agent = agent.resource();
        resources
    }

    /// The resource of a process, asking `identity` only the first time.
    pub fn process(
        &mut self,
        key: ProcessKey,
        identity: &dyn Fn(ProcessKey) -> ProcessIdentity,
    ) -> Arc<Resource> {
        if let Some(resource) = self.cache.get(&key) {
            return Arc::clone(resource);
        }
        if self.cache.len() >= MOST_PROCESSES {
            self.cache.clear();
        }
        let resource = self.make(&identity(key));
        self.cache.insert(key, Arc::clone(&resource));
        resource
    }

    /// Forgets a process: it runs another program now, or is gone.
    pub fn forget(&mut self, key: ProcessKey) {
        self.cache.remove(&key);
    }

    /// tracenet itself, for what it says of itself.
    pub fn agent(&self) -> Arc<Resource> {
        Arc::clone(&self.agent)
    }

    /// What a capture file shows: neither its processes nor its hosts are known.
    pub(crate) fn capture(options: &ExportOptions, file: &str) -> Arc<Resource> {
        let mut a = Attributes::default();
        a.set(semconv::SERVICE_NAME, names::CAPTURE_SERVICE);
        a.set(semconv::FILE_PATH, file);
        for (key, value) in &options.resource_attributes {
            a.set(key, value);
        }
        if let Some(name) = &options.service_name {
            a.set(semconv::SERVICE_NAME, name);
        }
        a.resource()
    }

    /// What processes of one workload have in common: the process itself is left out.
    pub fn workload(&self, of: &ProcessIdentity) -> Arc<Resource> {
        let mut a = Attributes::default();
        self.service(&mut a, of);
        self.surroundings(&mut a, of);
        a.resource()
    }

    fn common(&self, attributes: &mut Attributes) {
        if let Some(host) = &self.host_name {
            attributes.set(semconv::HOST_NAME, host);
        }
        for (key, value) in &self.attributes {
            attributes.set(key, value);
        }
    }

    fn make(&self, id: &ProcessIdentity) -> Arc<Resource> {
        let mut a = Attributes::default();
        self.service(&mut a, id);
        a.set_int(semconv::PROCESS_PID, i64::from(id.pid));
        a.set(semconv::PROCESS_EXECUTABLE_NAME, &id.executable_name);
        if let Some(path) = &id.executable_path {
            a.set(semconv::PROCESS_EXECUTABLE_PATH, path);
        }
        if let Some(time) = id.creation_time {
            a.set(semconv::PROCESS_CREATION_TIME, &crate::value::rfc3339(time));
        }
        if !id.command_args.is_empty() {
            a.set_list(semconv::PROCESS_COMMAND_ARGS, &id.command_args);
        }
        self.surroundings(&mut a, id);
        a.resource()
    }

    fn service(&self, a: &mut Attributes, id: &ProcessIdentity) {
        let unit = id.systemd_unit.as_deref().map(|unit| unit.strip_suffix(".service").unwrap_or(unit));
        a.set(semconv::SERVICE_NAME, unit.unwrap_or(&id.executable_name));
    }

    fn surroundings(&self, a: &mut Attributes, id: &ProcessIdentity) {
        if let Some(container) = &id.container_id {
            a.set(semconv::CONTAINER_ID, container);
        }
        for (key, value) in &id.attributes {
            // The conventions want a list.
            if key == semconv::CONTAINER_IMAGE_TAGS {
                a.set_list(key, std::slice::from_ref(value));
            } else {
                a.set(key, value);
            }
        }
        self.common(a);
        if let Some(name) = &self.service_name {
            a.set(semconv::SERVICE_NAME, name);
        }
    }
}

/// Attributes of a resource: a later value replaces an earlier one of the same key.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, attribute: KeyValue) {
        match self.0.iter_mut().find(|a| a.key == attribute.key) {
            Some(old) => *old = attribute,
            None => self.0.push(attribute),
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        self.put(crate::value::string(key, value));
    }

    fn set_int(&mut self, key: &str, value: i64) {
        self.put(crate::value::int(key, value));
    }

    fn set_list(&mut self, key: &str, values: &[String]) {
        self.put(crate::value::strings(key, values));
    }

    fn resource(self) -> Arc<Resource> {
        Arc::new(Resource { attributes: self.0, ..Resource::default() })
    }
}
