//! Who holds a socket: descriptors of all processes, by the inode numbers of what they lead to.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::Mode;

use crate::process::Proc;

/// Ways into a namespace that are kept: the first may be gone before it is gone.
const WAYS_MAX: usize = 4;

/// A descriptor that leads to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name of the process's main thread.
    pub comm: Arc<str>,
    /// The process.
    pub pid: u32,
    /// The descriptor.
    pub fd: u32,
}

/// What one pass over `/proc` has found.
#[derive(Debug, Default)]
pub struct Owners {
    by_inode: HashMap<u32, Vec<Holder>>,
    namespaces: BTreeMap<u32, Vec<PathBuf>>,
    denied: u32,
}

/// What to look for besides sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    Sockets,
    /// Network namespaces too: those of all threads, and those that a descriptor keeps.
    Namespaces,
}

impl Owners {
    /// Walks over all processes.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn find(proc: &Proc, look: Look) -> std::io::Result<Self> {
        let mut found = Self::default();
        for entry in fs::read_dir(proc.root())? {
            let Ok(entry) = entry else { continue };
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
            found.process(&entry.path(), pid, look);
        }
        Ok(found)
    }

    /// Looks at the sockets of one process.
    pub fn of_process(proc: &Proc, pid: u32) -> Self {
        let mut found = Self::default();
        found.process(&proc.root().join(pid.to_string()), pid, Look::Sockets);
        found
    }

    /// Descriptors of a socket, in the order of processes and descriptors.
    pub fn of(&self, inode: u32) -> &[Holder] {
        // Many sockets have no inode; that is nobody's.
        if inode == 0 { &[] } else { self.by_inode.get(&inode).map_or(&[], Vec::as_slice) }
    }

    /// Processes whose descriptors may not be looked at.
    pub fn denied(&self) -> u32 {
        self.denied
    }

    /// Network namespaces by inode number, with files that lead into them.
    pub fn namespaces(&self) -> &BTreeMap<u32, Vec<PathBuf>> {
        &self.namespaces
    }

    fn process(&mut self, folder: &Path, pid: u32, look: Look) {
        if look == Look::Namespaces {
            for thread in fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
                let path = thread.path().join("ns/net");
                if let Ok(inode) = fs::metadata(&path).map(|m| m.ino()) {
                    self.namespace(inode, &path);
                }
            }
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut fds = match Dir::open(&folder.join("fd"), flags, Mode::empty()) {
            Ok(fds) => fds,
            Err(Errno::EACCES | Errno::EPERM) => {
                self.denied += 1;
                return;
            }
            // It has ended.
            Err(_) => return,
        };
        let mut comm: Option<Arc<str>> = None;
        let names: Vec<Box<CStr>> = fds.iter().flatten().map(|entry| entry.file_name().into()).collect();
        for name in names {
            let Some(fd) = name.to_str().ok().and_then(|n| n.parse().ok()) else { continue };
            let Ok(target) = readlinkat(&fds, &*name) else { continue };
            let target = target.as_encoded_bytes();
            if let Some(inode) = number(target, b"socket:[") {
                let comm = comm.get_or_insert_with(|| {
                    let name = fs::read(folder.join("comm")).unwrap_or_default();
                    String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into()
                });
                self.by_inode.entry(inode).or_default().push(Holder { comm: Arc::clone(comm), pid, fd });
            } else if look == Look::Namespaces
                && let Some(inode) = number(target, b"net:[")
            {
                let path = folder.join("fd").join(fd.to_string());
                self.namespace(u64::from(inode), &path);
            }
        }
    }

    fn namespace(&mut self, inode: u64, path: &Path) {
        // nsfs numbers are an unsigned int (fs/proc/generic.c, proc_alloc_inum).
        let Ok(inode) = u32::try_from(inode) else { return };
        let ways = self.namespaces.entry(inode).or_default();
        if ways.len() < WAYS_MAX {
            ways.push(path.to_owned());
        }
    }
}

/// The number in `socket:[123]`.
fn number(target: &[u8], before: &[u8]) -> Option<u32> {
    std::str::from_utf8(target.strip_prefix(before)?.strip_suffix(b"]")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn every_descriptor_of_a_socket_is_found() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let again = socket.try_clone().unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = number(link.as_os_str().as_encoded_bytes(), b"socket:[").unwrap();
        let owners = Owners::find(&Proc::default(), Look::Namespaces).unwrap();
        let mine: Vec<u32> = owners.of(inode).iter().map(|h| h.fd).collect();
        assert_eq!(mine, [&socket, &again].map(|s| s.as_raw_fd().cast_unsigned()));
        assert!(owners.of(inode).iter().all(|h| h.pid == std::process::id()));
        assert!(owners.of(0).is_empty());
        let home = crate::netns::current_inode().unwrap();
        assert!(owners.namespaces().contains_key(&home));
    }

    #[test]
    fn targets_of_descriptors() {
        assert_eq!(number(b"socket:[4711]", b"socket:["), Some(4_711));
        assert_eq!(number(b"net:[4026531840]", b"net:["), Some(4_026_531_840));
        for other in
            [&b"pipe:[1]"[..], b"socket:[", b"socket:[x]", b"/tmp/socket:[1]", b"socket:[1] (deleted)"]
        {
            assert_eq!(number(other, b"socket:["), None);
        }
    }
}
