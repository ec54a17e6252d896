//! Network namespaces: who lives where, and going there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use thiserror::Error;
use tracenet_core::key::NetnsCookie;

mod place;

pub use place::{Place, Refused};

/// Why a namespace could not be entered or named.
#[derive(Debug, Error)]
pub enum NetnsError {
    /// The process is gone.
    #[error("no process {0}")]
    NoProcess(u32),
    /// Its `/proc/PID/ns/net` may not be read.
    #[error(
        "cannot look at the network namespace of process {0}: permission denied (needs CAP_SYS_PTRACE; run as root)"
    )]
    LookDenied(u32),
    /// setns(2) was refused.
    #[error(
        "cannot enter the network namespace of process {0}: operation not permitted (needs CAP_SYS_ADMIN; run as root, or run tracenet inside that namespace)"
    )]
    EnterDenied(u32),
    /// The kernel has no `SO_NETNS_COOKIE`.
    #[error("the kernel can't name network namespaces (SO_NETNS_COOKIE came with Linux 5.14)")]
    NoCookie,
    /// Anything else.
    #[error("network namespace of process {pid}: {source}")]
    Io {
        /// Process, or this one.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
}

impl NetnsError {
    fn look(pid: u32, e: io::Error) -> Self {
        match Errno::from_raw(e.raw_os_error().unwrap_or(0)) {
            Errno::ENOENT | Errno::ESRCH => Self::NoProcess(pid),
            Errno::EACCES | Errno::EPERM => Self::LookDenied(pid),
            _ => Self::Io { pid, source: e },
        }
    }

    /// True where a missing privilege is the reason.
    pub fn is_privilege(&self) -> bool {
        matches!(self, Self::LookDenied(_) | Self::EnterDenied(_))
    }
}

/// The calling thread is in another network namespace while this lives; dropping it brings the thread back.
///
/// Only the calling thread moves: threads started meanwhile begin in the namespace too, those that exist don't
/// notice. Sockets keep the namespace in which they were made, so a capture opened meanwhile stays where it was
/// opened. A thread dedicated to a namespace calls [`Entered::stay`].
#[derive(Debug)]
#[must_use = "dropping it leaves the namespace at once"]
pub struct Entered {
    home: Option<File>,
    // setns moves a thread: what undoes it must not travel to another.
    _thread: PhantomData<*const ()>,
}

impl Entered {
    /// Stays in the namespace for the rest of the thread's life.
    pub fn stay(mut self) {
        self.home = None;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            // Coming here needed the same privilege as going back. A thread that dropped it meanwhile stays,
            // and there is nobody to tell.
            let _ = setns(home, CloneFlags::CLONE_NEWNET);
        }
    }
}

/// Moves the calling thread into the network namespace of `pid`. Nothing is done, and no privilege needed, where
/// it is there already.
///
/// # Errors
/// [`NetnsError`], each with its remedy.
pub fn enter(pid: u32) -> Result<Entered, NetnsError> {
    let there = File::open(format!("/proc/{pid}/ns/net")).map_err(|e| NetnsError::look(pid, e))?;
    enter_file(&there).map_err(|source| match source.raw_os_error() {
        Some(libc::EPERM) => NetnsError::EnterDenied(pid),
        _ => NetnsError::Io { pid, source },
    })
}

/// Moves the calling thread into the network namespace that `there` is a file of: `/proc/PID/ns/net`, or a name below
/// [`NAMES`]. Nothing is done, and no privilege needed, where it is there already.
///
/// # Errors
/// What the system says: EPERM without CAP_SYS_ADMIN, EINVAL for a file of another kind.
pub fn enter_file(there: &File) -> io::Result<Entered> {
    let here = File::open("/proc/thread-self/ns/net")?;
    let (a, b) = (there.metadata()?, here.metadata()?);
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return Ok(Entered { home: None, _thread: PhantomData });
    }
    setns(there, CloneFlags::CLONE_NEWNET)?;
    Ok(Entered { home: Some(here), _thread: PhantomData })
}

/// Where ip-netns(8) binds namespaces to names.
pub const NAMES: &str = "/run/netns";

/// Namespaces that are bound to a name, by inode number; the first name in the order of the alphabet.
pub fn named() -> BTreeMap<u32, String> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(NAMES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Ok(inode) = inode(&entry.path()) {
            let first: &mut String = all.entry(inode).or_insert_with(|| name.clone());
            if name < *first {
                *first = name;
            }
        }
    }
    all
}

/// Inode number of the network namespace of `pid` (`net:[4026531840]`).
///
/// # Errors
/// The process is gone, or may not be looked at.
pub fn inode_of(pid: u32) -> Result<u32, NetnsError> {
    inode(Path::new(&format!("/proc/{pid}/ns/net"))).map_err(|e| NetnsError::look(pid, e))
}

/// Inode number of the calling thread's network namespace.
///
/// # Errors
/// `/proc` isn't mounted.
pub fn current_inode() -> Result<u32, NetnsError> {
    inode(Path::new("/proc/thread-self/ns/net"))
        .map_err(|source| NetnsError::Io { pid: std::process::id(), source })
}

fn inode(path: &Path) -> io::Result<u32> {
    // nsfs numbers come from proc_alloc_inum, an unsigned int.
    u32::try_from(std::fs::metadata(path)?.ino()).map_err(io::Error::other)
}

/// `net->net_cookie` of the calling thread's network namespace (net/core/sock.c, `SO_NETNS_COOKIE`).
///
/// # Errors
/// [`NetnsError::NoCookie`] before Linux 5.14.
pub fn current_cookie() -> Result<NetnsCookie, NetnsError> {
    let io = |e: Errno| NetnsError::Io { pid: std::process::id(), source: e.into() };
    let s: OwnedFd =
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(io)?;
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open; `cookie` and `len` are live, and `len` tells the size of `cookie`.
    let rc = unsafe {
        libc::getsockopt(
            s.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    match Errno::result(rc) {
        Ok(_) => Ok(NetnsCookie(cookie)),
        Err(Errno::ENOPROTOOPT) => Err(NetnsError::NoCookie),
        Err(e) => Err(io(e)),
    }
}

/// include/uapi/asm-generic/socket.h
const SO_NETNS_COOKIE: libc::c_int = 71;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespace_needs_no_privilege_and_has_a_cookie() {
        let me = std::process::id();
        let inside = enter(me).unwrap();
        assert_eq!(current_inode().unwrap(), inode_of(me).unwrap());
        assert_ne!(current_cookie().unwrap(), NetnsCookie(0));
        drop(inside);
    }

    #[test]
    fn a_missing_process_is_told_apart() {
        let e = enter(u32::MAX).unwrap_err();
        assert!(matches!(e, NetnsError::NoProcess(_)), "{e}");
        assert!(matches!(inode_of(u32::MAX), Err(NetnsError::NoProcess(_))));
    }
}
