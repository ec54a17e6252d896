//! What of BPF lives in the kernel, by bpf(2): the oracle for what a process leaves behind.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

/// Kinds of objects with ids, and the commands that open one by its id (enum bpf_cmd of linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// BPF_PROG_GET_FD_BY_ID
    Program = 13,
    /// BPF_MAP_GET_FD_BY_ID
    Map = 14,
    /// BPF_LINK_GET_FD_BY_ID
    Link = 30,
}

/// An object's kind and id. Ids are given in turn, so that one is not used again soon.
pub type Object = (Kind, u32);

/// What the descriptors of a process hold (proc(5), fdinfo). The programs behind its links are among them.
pub fn held_by(pid: u32) -> BTreeSet<Object> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the process lives");
    let mut objects = BTreeSet::new();
    for entry in folder.flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let kind = match name {
                "prog_id" => Kind::Program,
                "map_id" => Kind::Map,
                "link_id" => Kind::Link,
                _ => continue,
            };
            if let Ok(id) = value.trim().parse::<u32>()
                && id > 0
            {
                objects.insert((kind, id));
            }
        }
    }
    objects
}

/// Those that the kernel still has.
pub fn alive(objects: &BTreeSet<Object>) -> BTreeSet<Object> {
    objects.iter().copied().filter(|object| exists(*object)).collect()
}

fn exists((kind, id): Object) -> bool {
    // Of union bpf_attr what these commands read: an id, the next one, flags.
    let attr = [id, 0, 0];
    // SAFETY: the kernel reads as many bytes as it is told, which live until the call has returned; the descriptor is
    // nobody else's.
    let opened = unsafe {
        match libc::syscall(libc::SYS_bpf, kind as libc::c_int, attr.as_ptr(), size_of_val(&attr)) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd as libc::c_int)),
        }
    };
    match opened {
        Ok(_) => true,
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => false,
        Err(e) => panic!("bpf({kind:?}) of {id}: {e}"),
    }
}

/// Files below /sys/fs/bpf, if it is mounted.
pub fn pins() -> BTreeSet<std::path::PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/bpf")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    found
}
