//! A session: the object loaded, its programs attached, its maps filled.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use tracenet_core::event::Event;
use tracenet_core::key::NetnsCookie;

use crate::spec::{Drained, HookStatus, NetnsTotals, Options};

/// What can go wrong. Every message is one line with its remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel doesn't export its types.
    #[error("the kernel has no BTF ({path}: {source}); a kernel with CONFIG_DEBUG_INFO_BTF=y is needed")]
    NoBtf {
        /// Where it was looked for.
        path: &'static str,
        /// Why it could not be read.
        source: std::io::Error,
    },
    /// Not allowed to use BPF.
    #[error("not allowed to load BPF programs; run as root, or give CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN ({detail})")]
    NotPermitted {
        /// What the kernel said.
        detail: String,
    },
    /// The object as a whole was refused.
    #[error("can't load the BPF object: {0}")]
    Load(String),
    /// No probe at all could be attached.
    #[error("no probe could be attached; `tracenet doctor` tells why: {0}")]
    NothingAttached(String),
    /// A map operation failed.
    #[error("BPF map {map}: {detail}")]
    Map {
        /// Name of the map.
        map: &'static str,
        /// What the kernel said.
        detail: String,
    },
    /// The process is not there.
    #[error("no process {0}")]
    NoProcess(u32),
    /// The flow filter could not be attached to a capture socket.
    #[error("can't attach the flow filter to the capture socket: {0}")]
    Filter(std::io::Error),
    /// The probe that this needs is not attached.
    #[error("{0} is not available on this kernel; see `tracenet doctor`")]
    Unavailable(&'static str),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

/// Loaded and attached probes. Dropping it detaches them all.
#[derive(Debug)]
pub struct Session {
    status: Vec<HookStatus>,
}

impl Session {
    /// Loads and attaches every probe and finds the sockets that exist already, in all network namespaces.
    pub fn open(_opts: &Options) -> Result<Session> {
        Err(Error::Unavailable("the kernel"))
    }

    /// Makes `tgid` a target and finds the sockets that it has.
    pub fn add_target(&mut self, tgid: u32) -> Result<()> {
        Err(Error::NoProcess(tgid))
    }

    /// The ring buffer, for epoll: readable once records wait.
    pub fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&*STDIN)
    }

    /// Reads at most `budget` records and appends what they say to `out`.
    pub fn drain(&mut self, _budget: usize, _out: &mut Vec<Event>) -> Drained {
        Drained { emptied: true, records: 0 }
    }

    /// Looks at every live socket once more and appends its last word to `out`.
    pub fn flush(&mut self, _out: &mut Vec<Event>) -> Result<()> {
        Ok(())
    }

    /// In-kernel totals, one row a namespace.
    pub fn netns_totals(&self) -> Result<Vec<(NetnsCookie, NetnsTotals)>> {
        Ok(Vec::new())
    }

    /// A handle on the flow filter that can be sent to the threads that capture.
    pub fn flow_filter(&self) -> Result<FlowFilter> {
        Err(Error::Unavailable("the flow filter"))
    }

    /// Attaches the flow filter to a packet socket: only packets of targets' flows pass from then on.
    pub fn attach_flow_filter(&self, fd: BorrowedFd<'_>) -> Result<()> {
        self.flow_filter()?.attach(fd)
    }

    /// One row per probe.
    pub fn status(&self) -> &[HookStatus] {
        &self.status
    }
}

static STDIN: std::sync::LazyLock<std::io::Stdin> = std::sync::LazyLock::new(std::io::stdin);

/// The eBPF socket filter that selects the targets' flows, and the SYNs that open new ones.
#[derive(Debug, Clone)]
pub struct FlowFilter {
    fd: Arc<std::os::fd::OwnedFd>,
}

impl FlowFilter {
    /// `setsockopt(SO_ATTACH_BPF)` on a packet socket (socket(7)). It replaces a filter that was there.
    pub fn attach(&self, socket: BorrowedFd<'_>) -> Result<()> {
        let prog = self.fd.as_raw_fd();
        // SAFETY: both descriptors are open, and the option's value is an int as socket(7) wants.
        let r = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_BPF,
                (&raw const prog).cast(),
                size_of_val(&prog) as libc::socklen_t,
            )
        };
        if r == 0 { Ok(()) } else { Err(Error::Filter(std::io::Error::last_os_error())) }
    }
}

/// Tries every probe and says what works here.
pub fn doctor() -> Vec<HookStatus> {
    Vec::new()
}
