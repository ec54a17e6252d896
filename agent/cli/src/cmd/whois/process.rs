//! A process in one line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use tracenet_collectors::identity::Identity;
use tracenet_collectors::process::Process;

use super::json_line;
use super::pods::Owner;
use crate::failure::Failure;
use crate::paint::push_safe;

/// Digits of a container's id that people know it by.
const SHORT_ID: usize = 12;

/// What the line and the object say.
struct Told<'a> {
    identity: &'a Identity,
    service: String,
}

impl<'a> Told<'a> {
    fn new(process: &Process, identity: &'a Identity) -> Self {
        let named = identity.attribute("service.name").map(str::to_owned);
        let service = named.or_else(|| process.called()).unwrap_or_else(|| process.comm.clone());
        Self { identity, service }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.identity.attribute(key)
    }
}

/// For people.
pub fn line(process: &Process, identity: &Identity) -> String {
    let told = Told::new(process, identity);
    let mut line = format!("{} {}", process.pid, process.comm);
    // A string takes everything.
    let mut say = |what: &str, value: &str| {
        let _ = write!(line, "  {what} {value}");
    };
    if let Some(container) = &identity.cgroup.container {
        let id = container.id.get(..SHORT_ID).unwrap_or(&container.id);
        let known = ["container.runtime.name", "container.name"].iter().filter_map(|key| told.get(key));
        say("container", &known.fold(id.to_owned(), |text, word| text + " " + word));
    }
    if let Some(pod) = told.get("k8s.pod.name").or_else(|| told.get("k8s.pod.uid")) {
        let namespace = told.get("k8s.namespace.name").map(|ns| format!("{ns}/")).unwrap_or_default();
        say("pod", &format!("{namespace}{pod}"));
    }
    if let Some(workload) = identity.pod.as_ref().and_then(|p| p.workload.as_ref()) {
        say("workload", &format!("{} {}", workload.kind.name(), workload.name));
    }
    if let Some(machine) = &identity.cgroup.machine {
        say("machine", &format!("{} {}", machine.name, machine.manager.name()));
    }
    if let Some(unit) = &identity.cgroup.unit {
        let user = unit.user.map(|uid| format!(" of user {uid}")).unwrap_or_default();
        say("unit", &format!("{}{user}", unit.name));
    }
    say("cgroup", &identity.cgroup.path);
    say("service", &told.service);
    let mut safe = String::new();
    push_safe(&mut safe, &line);
    safe.push('\n');
    safe
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    pid: u32,
    comm: &'a str,
    cgroup: &'a str,
    service: &'a str,
    container: Option<Container<'a>>,
    pod: Option<Pod<'a>>,
    machine: Option<Machine<'a>>,
    unit: Option<Unit<'a>>,
    attributes: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Container<'a> {
    id: &'a str,
    runtime: Option<&'a str>,
    name: Option<&'a str>,
    image: Option<&'a str>,
}

#[derive(Serialize)]
struct Pod<'a> {
    uid: Option<&'a str>,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    container: Option<&'a str>,
    qos: Option<&'a str>,
    node: Option<&'a str>,
    workload: Option<Owner<'a>>,
}

#[derive(Serialize)]
struct Machine<'a> {
    name: &'a str,
    manager: &'a str,
}

#[derive(Serialize)]
struct Unit<'a> {
    name: &'a str,
    user: Option<u32>,
}

/// For programs.
pub fn json(process: &Process, identity: &Identity) -> Result<String, Failure> {
    let told = Told::new(process, identity);
    let cgroup = &identity.cgroup;
    let has_pod = cgroup.pod.is_some() || told.get("k8s.pod.name").is_some();
    json_line(&Line {
        schema: "tracenet.identity/1",
        pid: process.pid,
        comm: &process.comm,
        cgroup: &cgroup.path,
        service: &told.service,
        container: cgroup.container.as_ref().map(|container| Container {
            id: &container.id,
            runtime: told.get("container.runtime.name"),
            name: told.get("container.name"),
            image: told.get("container.image.name"),
        }),
        pod: has_pod.then(|| Pod {
            uid: told.get("k8s.pod.uid"),
            namespace: told.get("k8s.namespace.name"),
            name: told.get("k8s.pod.name"),
            container: told.get("k8s.container.name"),
            qos: cgroup.pod.as_ref().and_then(|p| p.qos).map(|qos| qos.name()),
            node: told.get("k8s.node.name"),
            workload: identity.pod.as_ref().and_then(|p| Owner::of(p)),
        }),
        machine: cgroup.machine.as_ref().map(|m| Machine { name: &m.name, manager: m.manager.name() }),
        unit: cgroup.unit.as_ref().map(|u| Unit { name: &u.name, user: u.user }),
        attributes: identity.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
    })
}
