//! Whether a packet socket gets packets at all.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A hold on the packet socket of a capture: while it is closed, packets pass without being looked at, at no cost.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
    ifindex: u32,
}

/// A reserved type of Ethernet's (RFC 1701, appendix A), which no packet has. (0 is "as before" to bind(2).)
const NOBODYS: u16 = 0xffff;

impl Tap {
    /// Of a socket that captures on the interface of this index, 0 for all.
    pub(super) fn of(socket: BorrowedFd<'_>, ifindex: u32) -> io::Result<Self> {
        Ok(Self { socket: socket.try_clone_to_owned()?, ifindex })
    }

    /// Opens or closes it: packet(7), a socket gets the packets of the protocol that it is bound to. Closing waits until
    /// none is on its way, some milliseconds.
    ///
    /// # Errors
    /// What bind(2) said.
    pub fn set(&self, open: bool) -> io::Result<()> {
        let protocol = if open { libc::ETH_P_ALL as u16 } else { NOBODYS };
        // SAFETY: a struct of integers, of which all bits may be 0.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = self.ifindex.cast_signed();
        // SAFETY: the address lives through the call, and its size is told.
        let rc = unsafe {
            libc::bind(
                self.socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
