//! Paths of cgroups (version 2) by their ids, which are the inode numbers of their folders (fs/kernfs, on 64 bits).

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Cgroups found at most.
const CGROUPS_MAX: usize = 65_536;

/// Ids and paths, as seen from the mount's root: `/` is the root itself.
#[derive(Debug, Clone, Default)]
pub struct Cgroups {
    mount: Option<PathBuf>,
    paths: HashMap<u64, Box<str>>,
}

impl Cgroups {
    /// All of the hierarchy that is mounted; none where none is.
    pub fn read() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let Some(mount) = mounted(&mounts) else { return Self::default() };
        let mut paths = HashMap::new();
        if let Ok(root) = fs::metadata(&mount) {
            paths.insert(root.ino(), "/".into());
        }
        let mut next = vec![mount.clone()];
        while let Some(folder) = next.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|t| t.is_dir()) || paths.len() >= CGROUPS_MAX {
                    continue;
                }
                let path = entry.path();
                let below = path.strip_prefix(&mount).unwrap_or(&path);
                paths.insert(entry.ino(), format!("/{}", below.display()).into());
                next.push(path);
            }
        }
        Self { mount: Some(mount), paths }
    }

    /// Path of an id.
    pub fn path(&self, id: u64) -> Option<&str> {
        self.paths.get(&id).map(|path| &**path)
    }

    /// Id of a path, from the mount's root or as the file system has it.
    pub fn id(&self, path: &str) -> Option<u64> {
        let mount = self.mount.as_ref()?;
        let below = Path::new(path).strip_prefix(mount).ok();
        let below = below.or_else(|| Path::new(path).strip_prefix("/").ok()).unwrap_or(Path::new(path));
        fs::metadata(mount.join(below)).ok().map(|m| m.ino())
    }
}

/// Mount point of the first cgroup2 in /proc/self/mountinfo (proc_pid_mountinfo(5)).
fn mounted(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (after.split(' ').next() == Some("cgroup2")).then_some(())?;
        before.split(' ').nth(4).map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_version_is_found_beside_the_first() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup/net rw shared:9 - cgroup cgroup rw,net_cls\n\
                      31 24 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n";
        assert_eq!(mounted(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mounted("31 24 0:27 / /tmp rw - tmpfs cgroup2 rw"), None);
    }

    #[test]
    fn the_root_is_a_slash() {
        let all = Cgroups::read();
        if let Some(id) = all.id("/") {
            assert_eq!(all.path(id), Some("/"));
        }
    }
}
