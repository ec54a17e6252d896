//! Control groups as container runtimes and systemd make them, without either.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A group, in the hierarchies that runtimes use: version 2, or the memory's and the number of processes' of version 1.
/// Dropped, it is removed; its processes must have ended.
pub struct Group {
    folders: Vec<PathBuf>,
    parents: Vec<PathBuf>,
}

impl Group {
    /// A new one at `path`, which begins with a slash.
    pub fn new(path: &str) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = if root.join("cgroup.controllers").exists() {
            vec![root.to_path_buf()]
        } else {
            vec![root.join("memory"), root.join("pids")]
        };
        let (mut folders, mut parents) = (Vec::new(), Vec::new());
        for hierarchy in hierarchies {
            let folder = hierarchy.join(path.trim_start_matches('/'));
            let missing = folder.ancestors().skip(1).take_while(|p| !p.exists()).map(Path::to_path_buf);
            parents.extend(missing);
            std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
            folders.push(folder);
        }
        Self { folders, parents }
    }

    /// Makes the command's process a member before it runs.
    pub fn enter(&self, command: &mut Command) {
        let members: Vec<File> = self
            .folders
            .iter()
            .map(|f| File::options().write(true).open(f.join("cgroup.procs")).expect("a group has members"))
            .collect();
        // SAFETY: between fork and exec only write(2) is called, which is async-signal-safe.
        unsafe {
            command.pre_exec(move || members.iter().try_for_each(|mut file| file.write_all(b"0")));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Those that other groups use stay.
        for folder in self.folders.iter().chain(&self.parents) {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
