//! Which container (and pod) a process is in, from its cgroup path.

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Container {
    /// The runtime's id: 64 hexadecimal digits.
    pub id: String,
    /// UID of the Kubernetes pod, with dashes, where the path names one.
    pub pod_uid: Option<String>,
}

/// Digits of a container id. Shorter ones are too easily something else.
const ID_LEN: usize = 64;

/// Reads `/proc/PID/cgroup`, cgroup v2 (one line) or v1 (one per hierarchy). Where containers are nested the
/// innermost is meant.
pub fn from_cgroup(text: &str) -> Option<Container> {
    let mut found: Option<Container> = None;
    for line in text.lines() {
        // hierarchy-ID:controller-list:cgroup-path, and the path may hold colons (cgroups(7)).
        let Some(path) = line.splitn(3, ':').nth(2) else { continue };
        let Some(container) = from_path(path) else { continue };
        if container.pod_uid.is_some() {
            return Some(container);
        }
        found.get_or_insert(container);
    }
    found
}

fn from_path(path: &str) -> Option<Container> {
    let parts: Vec<&str> = path.split('/').collect();
    let (at, id) = parts.iter().enumerate().rev().find_map(|(i, part)| Some((i, container_id(part)?)))?;
    let pod_uid = parts[..=at].iter().rev().find_map(|part| pod_uid(part));
    Some(Container { id: id.to_owned(), pod_uid })
}

/// `ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`, `...:cri-containerd:ID`.
fn container_id(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let (runtime, id) = part.rsplit_once(['-', ':']).unwrap_or(("", part));
    // The monitor of a container runs beside it, not in it.
    let monitor = runtime.ends_with("conmon");
    (id.len() == ID_LEN && id.bytes().all(|b| b.is_ascii_hexdigit()) && !monitor).then_some(id)
}

/// `podUID`, `kubepods-burstable-podUID.slice` (with `_` for `-`), and the same before a colon.
fn pod_uid(part: &str) -> Option<String> {
    let part = part.split(':').next().unwrap_or(part);
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let (_, uid) = part.rsplit_once("pod")?;
    let uid = uid.replace('_', "-");
    (is_uuid(&uid) || is_static_pod(&uid)).then_some(uid)
}

/// RFC 9562, section 4.
fn is_uuid(s: &str) -> bool {
    let groups: Vec<&str> = s.split('-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Pods from the kubelet's own files have an MD5 sum for a UID.
fn is_static_pod(s: &str) -> bool {
    s.len() == 32 && s.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f29f1c3a0b14e5d8c7b6a5948372615f0e1d2c3b4a5968778695a4b3c2d1e0f";
    const OUTER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const UID: &str = "1b4e28ba-2fa1-11d2-883f-b9a761bde3fb";

    fn check(text: &str, pod: Option<&str>) {
        let c = from_cgroup(text).unwrap_or_else(|| panic!("nothing in {text}"));
        assert_eq!(c.id, ID, "{text}");
        assert_eq!(c.pod_uid.as_deref(), pod, "{text}");
    }

    #[test]
    fn every_runtime_s_form_is_read() {
        let u = UID.replace('-', "_");
        let slice = format!("kubepods-burstable-pod{u}.slice");
        for runtime in ["cri-containerd", "crio", "docker"] {
            check(
                &format!("0::/kubepods.slice/kubepods-burstable.slice/{slice}/{runtime}-{ID}.scope\n"),
                Some(UID),
            );
        }
        check(&format!("0::/kubepods/burstable/pod{UID}/{ID}\n"), Some(UID));
        check(&format!("0::/system.slice/containerd.service/{slice}:cri-containerd:{ID}\n"), Some(UID));
        check(&format!("0::/k8s.io/{ID}\n"), None);
        check(&format!("0::/../../pod{UID}/{ID}\n"), Some(UID));
        check(&format!("0::/system.slice/docker-{ID}.scope\n"), None);
        check(&format!("0::/docker/{ID}/init.scope\n"), None);
        check(&format!("0::/machine.slice/libpod-{ID}.scope/container\n"), None);
    }

    #[test]
    fn the_innermost_of_nested_containers_is_meant() {
        check(
            &format!(
                "0::/docker/{OUTER}/kubelet.slice/kubelet-kubepods-pod{UID}.slice/cri-containerd-{ID}.scope\n"
            ),
            Some(UID),
        );
    }

    #[test]
    fn one_of_many_v1_lines_is_enough() {
        check(
            &format!(
                "12:pids:/kubepods/pod{UID}/{ID}\n11:cpu,cpuacct:/kubepods/pod{UID}/{ID}\n1:name=systemd:/\n0::/\n"
            ),
            Some(UID),
        );
        check(&format!("3:cpu:/\n2:memory:/docker/{ID}\n"), None);
    }

    #[test]
    fn static_pods_have_hash_uids() {
        let hash = "0123456789abcdef0123456789abcdef";
        check(&format!("0::/kubepods/besteffort/pod{hash}/{ID}\n"), Some(hash));
    }

    #[test]
    fn what_only_looks_like_a_container_is_none() {
        for text in [
            "0::/\n".to_owned(),
            "0::/user.slice/user-1000.slice/session-3.scope\n".to_owned(),
            format!("0::/kubepods.slice/crio-conmon-{ID}.scope\n"),
            format!("0::/system.slice/docker-{}.scope\n", &ID[1..]),
            format!("0::/system.slice/docker-{ID}0.scope\n"),
            format!("0::/system.slice/docker-{}g.scope\n", &ID[1..]),
            "4:memory:/process_api/5d90004681f2f9d4d83c9e2432ed6683\n".to_owned(),
            "garbage".to_owned(),
            String::new(),
        ] {
            assert_eq!(from_cgroup(&text), None, "{text}");
        }
    }
}
