//! What of BPF lives in the kernel, by bpf(2): the oracle for what a process leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

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

/// Opens something by its id, or does what another command does that gives a descriptor.
fn open(command: libc::c_int, attr: [u32; 3]) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many bytes as it is told, which live until the call has returned; the descriptor is
    // nobody else's.
    unsafe {
        match libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(&attr)) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd as libc::c_int)),
        }
    }
}

/// While it lives, the kernel counts and times the runs of all programs, which adds some 50 ns to each.
pub fn time_runs() -> OwnedFd {
    const BPF_ENABLE_STATS: libc::c_int = 32;
    const BPF_STATS_RUN_TIME: u32 = 0;
    open(BPF_ENABLE_STATS, [BPF_STATS_RUN_TIME, 0, 0]).expect("CAP_SYS_ADMIN")
}

/// Runs of a program, and their time in nanoseconds, while [`time_runs`] was in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Runs {
    /// How many.
    pub count: u64,
    /// How long in all.
    pub ns: u64,
}

/// Runs of the programs that a process holds, by their names (at most 15 letters of these).
pub fn runs_of(pid: u32) -> BTreeMap<String, Runs> {
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    // struct bpf_prog_info of linux/bpf.h: the name at byte 64, run_time_ns and run_cnt at 192 and 200.
    const WORDS: usize = 27;
    let mut runs = BTreeMap::new();
    for (_, id) in held_by(pid).into_iter().filter(|(kind, _)| *kind == Kind::Program) {
        // It may be gone already.
        let Ok(program) = open(Kind::Program as libc::c_int, [id, 0, 0]) else { continue };
        let mut info = [0u64; WORDS];
        let attr = [
            u64::from(program.as_raw_fd().cast_unsigned()) | (size_of_val(&info) as u64) << 32,
            info.as_mut_ptr() as u64,
        ];
        // SAFETY: both live through the call, and the kernel writes no more of info than it is told.
        let r = unsafe {
            libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, attr.as_ptr(), size_of_val(&attr))
        };
        assert_eq!(r, 0, "bpf_prog_info of {id}: {}", io::Error::last_os_error());
        let name: Vec<u8> =
            info[8..10].iter().flat_map(|word| word.to_ne_bytes()).take_while(|b| *b != 0).collect();
        let name = String::from_utf8_lossy(&name).into_owned();
        runs.insert(name, Runs { count: info[25], ns: info[24] });
    }
    runs
}

fn exists((kind, id): Object) -> bool {
    // Of union bpf_attr what these commands read: an id, the next one, flags.
    match open(kind as libc::c_int, [id, 0, 0]) {
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
