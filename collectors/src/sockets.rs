//! Sockets of the calling thread's network namespace, as ss(8) lists them: dumped by the kernel over `NETLINK_SOCK_DIAG`
//! (sock_diag(7)), and from `/proc/net` where the kernel was built without the diag module of a protocol.

mod dump;
mod inet;
mod message;
mod netlink;
mod packet;
mod proc_net;
mod socket;
mod tcp;
mod unix;

use std::collections::BTreeSet;

use nix::errno::Errno;
use thiserror::Error;

pub use inet::Timer;
pub use packet::{PacketDetail, PacketRing};
pub use socket::{Address, Detail, Kind, Memory, Socket, State, States};
pub use tcp::{Bbr, Dctcp, Tcp, TcpInfo};

use dump::Diag;

/// Which sockets, and how much is asked of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Kinds of sockets.
    pub kinds: BTreeSet<Kind>,
    /// TCP, UDP and raw over IPv4.
    pub v4: bool,
    /// TCP, UDP and raw over IPv6.
    pub v6: bool,
    /// States; datagram sockets that are not connected are in [`State::Close`].
    pub states: States,
    /// `TCP_INFO` and the name of the congestion control.
    pub tcp_info: bool,
    /// Memory and drops.
    pub memory: bool,
    /// What ss shows with `-e` and the kernel doesn't tell unasked: files of Unix sockets, rings of packet sockets.
    pub details: bool,
}

/// Why sockets can't be listed.
#[derive(Debug, Error)]
pub enum SocketsError {
    /// No netlink socket at all.
    #[error("cannot ask the kernel for its sockets: NETLINK_SOCK_DIAG: {}", .0.desc())]
    Open(Errno),
    /// A dump was refused or broke off.
    #[error("cannot list the {what} sockets: {}", .source.desc())]
    Dump {
        /// Whose.
        what: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// A file of `/proc/net`.
    #[error("cannot read {path}: {source}")]
    Proc {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Hands every socket of the query to `each`, in ss's order: netlink, packet, Unix, raw, UDP, TCP. Returns what this
/// kernel can't list.
///
/// # Errors
/// [`SocketsError`]; what was handed over before is right all the same.
pub fn read(query: &Query, each: &mut dyn FnMut(Socket)) -> Result<Vec<&'static str>, SocketsError> {
    let mut diag = Diag::open()?;
    let mut missing = Vec::new();
    let wants = |kinds: &[Kind]| kinds.iter().any(|kind| query.kinds.contains(kind));
    // Neither of them has a state but this one.
    let close = query.states.contains(State::Close);
    if wants(&[Kind::Netlink]) && close && !netlink::read(&mut diag, query, each)? {
        missing.push("netlink");
    }
    if wants(&[Kind::PacketRaw, Kind::PacketDgram]) && close && !packet::read(&mut diag, query, each)? {
        missing.push("packet");
    }
    if wants(&[Kind::UnixStream, Kind::UnixDgram, Kind::UnixSeqpacket])
        && !unix::read(&mut diag, query, each)?
    {
        missing.push("Unix");
    }
    for kind in [Kind::Raw, Kind::Udp, Kind::Tcp] {
        if wants(&[kind]) && !inet::read(&mut diag, kind, query, each)? {
            proc_net::read(kind, query, each)?;
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests;
