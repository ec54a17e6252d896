//! What the path of a cgroup names: container, pod, machine, unit. A pure function of the text of `/proc/PID/cgroup`
//! (cgroups(7)), for version 2 (one line `0::`), version 1 (a line for each hierarchy) and both at once.
//!
//! A path is read from the root inwards, and what lies deeper is meant: a node of kind is itself a container, with
//! the pods of its cluster below.

/// What a cgroup names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Cgroup {
    /// Path of the line that told the most.
    pub path: String,
    /// Container of an OCI runtime.
    pub container: Option<Container>,
    /// Kubernetes pod. Without a container where the process is in the pod's own cgroup.
    pub pod: Option<PodCgroup>,
    /// What machinectl would list: system containers and virtual machines.
    pub machine: Option<Machine>,
    /// Unit of the service manager next to the process: the container's own one, where it has one.
    pub unit: Option<Unit>,
}

/// A container of an OCI runtime.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Container {
    /// The runtime's id: 64 hexadecimal digits.
    pub id: String,
    /// Who runs it, where the path tells.
    pub runtime: Option<Runtime>,
}

/// Container runtimes, as cgroups tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Docker, also on behalf of Amazon ECS or cri-dockerd.
    Docker,
    /// containerd, by itself or on behalf of Kubernetes.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman.
    Podman,
}

impl Runtime {
    /// As in the scheme of `containerID` in a pod's status; `podman` has none there.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
        }
    }
}

/// A pod, as the kubelet names its cgroup (pkg/kubelet/cm/pod_container_manager_linux.go).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodCgroup {
    /// UID with dashes; of a static pod the hash of its file.
    pub uid: String,
    /// Where the path tells.
    pub qos: Option<Qos>,
}

/// Quality of service of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Qos {
    /// All limits are set and equal to the requests.
    Guaranteed,
    /// Some requests or limits are set.
    Burstable,
    /// None are.
    BestEffort,
}

impl Qos {
    /// As in `status.qosClass` of a pod.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// A system container or a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Who runs it.
    pub manager: Manager,
}

/// What runs machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manager {
    /// LXC, LXD, Incus, Proxmox VE, libvirt's LXC driver.
    Lxc,
    /// systemd-nspawn, and others that register with systemd-machined.
    Nspawn,
    /// A virtual machine of libvirt.
    Qemu,
}

impl Manager {
    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lxc => "lxc",
            Self::Nspawn => "systemd-nspawn",
            Self::Qemu => "qemu",
        }
    }
}

/// A unit of systemd: the first part of the path that is no slice (`cg_path_get_unit` in src/basic/cgroup-util.c).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unit {
    /// Such as `nginx.service`, `getty@tty1.service`, `session-3.scope`.
    pub name: String,
    /// User id, where it is a unit of this user's own manager.
    pub user: Option<u32>,
}

impl Unit {
    /// Name without `.service`; none for scopes and others, which don't say what they serve.
    pub fn service(&self) -> Option<&str> {
        self.name.strip_suffix(".service")
    }
}

/// Digits of a container id. Shorter ones are too easily something else.
const ID_LEN: usize = 64;

impl Cgroup {
    /// Reads `/proc/PID/cgroup`. The line that names the most is taken; among equals that of the unified hierarchy
    /// or of systemd's own, which are where units live.
    pub fn parse(text: &str) -> Self {
        let mut best = Self::default();
        let mut best_rank = None;
        for line in text.lines() {
            // hierarchy-ID:controller-list:cgroup-path, and the path may hold colons (cgroups(7)).
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let cgroup = Self::of_path(path);
            let rank = (cgroup.rank(), controllers.is_empty() || controllers == "name=systemd");
            if best_rank.is_none_or(|best| rank > best) {
                (best, best_rank) = (cgroup, Some(rank));
            }
        }
        best
    }

    /// Reads one path, from the root of its hierarchy, or relative to a cgroup namespace (`/../../pod...`).
    pub fn of_path(path: &str) -> Self {
        // The kernel's mark of a cgroup that was removed (kernel/cgroup/cgroup.c, proc_cgroup_show).
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let mut found = Self { path: path.to_owned(), ..Self::default() };
        let mut above = "";
        for part in path.split('/') {
            found.descend(above, part);
            above = part;
        }
        found
    }

    /// True where nothing but a path is known.
    pub fn is_plain(&self) -> bool {
        self.rank() == 0
    }

    fn rank(&self) -> u8 {
        u8::from(self.container.is_some()) << 3
            | u8::from(self.pod.is_some()) << 2
            | u8::from(self.machine.is_some()) << 1
            | u8::from(self.unit.is_some())
    }

    /// Takes one part of the path; what lies outside of it counts no more, except the pod of a container.
    fn descend(&mut self, above: &str, part: &str) {
        let part = part.strip_prefix('_').unwrap_or(part); // systemd's escape (cg_escape)
        if let Some(pod) = pod(above, part) {
            *self = Self { path: std::mem::take(&mut self.path), pod: Some(pod), ..Self::default() };
        }
        if let Some(container) = container(above, part) {
            self.container = Some(container);
            (self.machine, self.unit) = (None, None);
        } else if let Some(machine) = self.machine_of(above, part) {
            self.machine = Some(machine);
            (self.container, self.unit) = (None, None);
        } else if let Some(name) = unit(part) {
            match &self.unit {
                None => self.unit = Some(Unit { name: name.to_owned(), user: None }),
                Some(Unit { name: manager, user: None }) => {
                    // Below user@1000.service are the units of this user's manager.
                    let user = manager.strip_prefix("user@").and_then(|s| s.strip_suffix(".service"));
                    if let Some(user) = user.and_then(|s| s.parse().ok()) {
                        self.unit = Some(Unit { name: name.to_owned(), user: Some(user) });
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn machine_of(&self, above: &str, part: &str) -> Option<Machine> {
        let machine = |name: &str, manager| Some(Machine { name: name.to_owned(), manager });
        // lxc/NAME up to version 3 and in Proxmox VE, lxc.payload.NAME since version 4.
        if matches!(above, "lxc" | "lxc.payload") && !part.is_empty() {
            return machine(part, Manager::Lxc);
        }
        if let Some(name) = part.strip_prefix("lxc.payload.") {
            return machine(name, Manager::Lxc);
        }
        // libvirt without systemd.
        if above == "machine" || part.contains(".libvirt-") {
            if let Some(name) = part.strip_suffix(".libvirt-lxc") {
                return machine(numbered(name).unwrap_or(name), Manager::Lxc);
            }
            if let Some(name) = part.strip_suffix(".libvirt-qemu") {
                return machine(numbered(name.trim_start_matches("qemu-")).unwrap_or(name), Manager::Qemu);
            }
        }
        if let Some(name) = part.strip_prefix("machine-").and_then(|s| s.strip_suffix(".scope")) {
            let name = unescape(name);
            return match (name.strip_prefix("qemu-"), name.strip_prefix("lxc-")) {
                (Some(rest), _) => machine(numbered(rest).unwrap_or(rest), Manager::Qemu),
                (_, Some(rest)) => machine(numbered(rest).unwrap_or(rest), Manager::Lxc),
                _ => machine(&name, Manager::Nspawn),
            };
        }
        // systemd-nspawn@NAME.service/payload; nspawn itself is in .../supervisor.
        if part == "payload" {
            let unit = self.unit.as_ref()?.name.strip_prefix("systemd-nspawn@")?;
            return machine(&unescape(unit.strip_suffix(".service")?), Manager::Nspawn);
        }
        None
    }
}

/// `ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID`, `libpod-payload-ID`, `SLICE:cri-containerd:ID`.
fn container(above: &str, part: &str) -> Option<Container> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let (prefix, id) = part.rsplit_once(['-', ':']).unwrap_or(("", part));
    let is_id = id.len() == ID_LEN && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    // The monitor of a container runs beside it, not in it.
    if !is_id || is_monitor(prefix) {
        return None;
    }
    let runtime = match prefix.rsplit(':').next().unwrap_or(prefix) {
        "docker" => Some(Runtime::Docker),
        "cri-containerd" | "nerdctl" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::CriO),
        "libpod" | "libpod-payload" => Some(Runtime::Podman),
        "" => match above {
            "docker" => Some(Runtime::Docker),
            // containerd's namespaces of Kubernetes and of nerdctl.
            "k8s.io" | "default" => Some(Runtime::Containerd),
            "libpod_parent" => Some(Runtime::Podman),
            _ => None,
        },
        _ => None,
    };
    Some(Container { id: id.to_owned(), runtime })
}

/// `crio-conmon-ID`, `libpod-conmon-ID`.
fn is_monitor(prefix: &str) -> bool {
    prefix.ends_with("conmon")
}

/// `podUID` below `burstable` and the like, `kubepods-burstable-podUID.slice` with `_` for `-`, also before a colon.
fn pod(above: &str, part: &str) -> Option<PodCgroup> {
    let part = part.split(':').next().unwrap_or(part);
    let slice = part.strip_suffix(".slice");
    let (parent, uid) = slice.unwrap_or(part).rsplit_once("pod")?;
    let uid = uid.replace('_', "-");
    if !is_uuid(&uid) && !is_hash(&uid) {
        return None;
    }
    let parent = if slice.is_some() { parent.trim_end_matches('-') } else { above };
    let qos = match parent {
        p if p.ends_with("burstable") => Some(Qos::Burstable),
        p if p.ends_with("besteffort") => Some(Qos::BestEffort),
        p if p.ends_with("kubepods") => Some(Qos::Guaranteed),
        _ => None,
    };
    Some(PodCgroup { uid, qos })
}

/// RFC 9562, section 4.
fn is_uuid(s: &str) -> bool {
    let groups: Vec<&str> = s.split('-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Pods from the kubelet's own files have an MD5 sum for a UID.
fn is_hash(s: &str) -> bool {
    s.len() == 32 && s.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Units that have processes; a slice has only other units (systemd.slice(5)).
fn unit(part: &str) -> Option<&str> {
    let (name, kind) = part.rsplit_once('.')?;
    let is_unit = matches!(kind, "service" | "scope" | "socket" | "mount" | "swap") && !name.is_empty();
    let monitor = name.rsplit_once('-').is_some_and(|(prefix, _)| is_monitor(prefix));
    (is_unit && !monitor).then_some(part)
}

/// `NAME` of libvirt's `3-NAME`.
fn numbered(name: &str) -> Option<&str> {
    let (number, name) = name.split_once('-')?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

/// systemd's `\x2d` for a dash (systemd.unit(5), "String escaping"). What isn't one stays.
fn unescape(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..3).filter(|code| *first == b'\\' && code[0] == b'x');
        let code = hex.and_then(|code| u8::from_str_radix(std::str::from_utf8(&code[1..]).ok()?, 16).ok());
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
