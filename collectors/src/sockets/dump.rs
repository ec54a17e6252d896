//! One netlink socket, and dumps over it.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use super::SocketsError;
use super::message::{Fields, Messages};

/// include/uapi/linux/sock_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// The kernel fills no more than 32 KiB at a time (net/netlink/af_netlink.c, netlink_dump).
const BUFFER: usize = 64 << 10;

/// A socket of `NETLINK_SOCK_DIAG`. It tells of the network namespace in which it was opened.
pub(super) struct Diag {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Diag {
    pub fn open() -> Result<Self, SocketsError> {
        let protocol = SockProtocol::NetlinkSockDiag;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol);
        Ok(Self { socket: socket.map_err(SocketsError::Open)?, buffer: vec![0; BUFFER] })
    }

    /// Sends `request`, the struct of a family, and hands the payload of each answer over. False where the kernel has no
    /// such dump.
    pub fn dump(
        &mut self,
        what: &'static str,
        request: &[u8],
        each: &mut dyn FnMut(Fields<'_>),
    ) -> Result<bool, SocketsError> {
        let failed = |source| SocketsError::Dump { what, source };
        send(self.socket.as_raw_fd(), &message(request), MsgFlags::empty()).map_err(failed)?;
        loop {
            // With MSG_TRUNC the length is the datagram's, also where that did not fit.
            let len = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Ok(len) => len,
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(failed(e)),
            };
            let datagram = self.buffer.get(..len).ok_or(failed(Errno::EMSGSIZE))?;
            for message in Messages(datagram) {
                // Both of them begin with a negative errno, or 0.
                let errno = || Errno::from_raw(Fields(message.payload).u32(0).cast_signed().saturating_neg());
                match i32::from(message.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        return match errno() {
                            Errno::UnknownErrno => Ok(true),
                            // No module for it (net/core/sock_diag.c, net/ipv4/inet_diag.c).
                            Errno::ENOENT => Ok(false),
                            e => Err(failed(e)),
                        };
                    }
                    _ => each(Fields(message.payload)),
                }
            }
        }
    }
}

/// `request` behind a `struct nlmsghdr`.
fn message(request: &[u8]) -> Vec<u8> {
    const HEADER: usize = 16;
    let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).unwrap_or(0);
    let len = u32::try_from(HEADER + request.len()).unwrap_or(0);
    let mut message = Vec::with_capacity(HEADER + request.len());
    message.extend(len.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence number and port: one dump at a time, from the kernel.
    message.extend([0; 8]);
    message.extend(request);
    message
}

/// The request of a family other than IP: family, protocol, two bytes of padding, and the rest in words.
pub(super) fn request(family: i32, protocol: u8, words: &[u32]) -> Vec<u8> {
    // Numbers of families fit in a byte.
    [family as u8, protocol, 0, 0].into_iter().chain(words.iter().flat_map(|w| w.to_ne_bytes())).collect()
}
