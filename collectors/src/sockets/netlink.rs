//! Netlink sockets: include/uapi/linux/netlink_diag.h.

use super::dump::{Diag, request};
use super::message::Fields;
use super::socket::{Address, Detail, Kind, Memory, Socket, State};
use super::{Query, SocketsError};

const MESSAGE_SIZE: usize = 28;

/// `MAX_LINKS`
const PROTOCOLS: u8 = 32;
const NETLINK_UNUSED: u8 = 1;

const NDIAG_SHOW_MEMINFO: u32 = 0x01;
const NDIAG_SHOW_GROUPS: u32 = 0x02;

const NETLINK_DIAG_MEMINFO: u16 = 0;
const NETLINK_DIAG_GROUPS: u16 = 1;

/// `NETLINK_CONNECTED` (net/netlink/af_netlink.h)
const CONNECTED: u8 = 1;

/// False where this kernel can't dump them.
///
/// The kernel loses the socket at which an answer is full: its walk goes on behind it (net/netlink/diag.c,
/// __netlink_diag_dump, seen with Linux 6.18), so that ss misses some. An answer takes 32 KiB, but the first one on a
/// socket a page. So it is one protocol at a time, and first one that nobody speaks.
pub(super) fn read(
    diag: &mut Diag,
    query: &Query,
    each: &mut dyn FnMut(Socket),
) -> Result<bool, SocketsError> {
    let show = NDIAG_SHOW_MEMINFO | NDIAG_SHOW_GROUPS;
    let others = (0..PROTOCOLS).filter(|protocol| *protocol != NETLINK_UNUSED);
    for protocol in std::iter::once(NETLINK_UNUSED).chain(others) {
        let request = request(libc::AF_NETLINK, protocol, &[0, show, 0, 0]);
        if !diag.dump("netlink", &request, &mut |message| each(parse(message, query)))? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn parse(message: Fields<'_>, query: &Query) -> Socket {
    let local = Address::Netlink { protocol: u32::from(message.u8(2)), port: message.u32(4) };
    let remote = match message.u8(3) {
        CONNECTED => Address::Netlink { protocol: message.u32(12), port: message.u32(8) },
        _ => Address::None,
    };
    let mut socket = Socket::new(Kind::Netlink, State::Close, local, remote);
    socket.inode = message.u32(16);
    socket.cookie = message.cookie(20);
    let mut groups = 0;
    for (attribute, value) in message.attributes(MESSAGE_SIZE) {
        match attribute {
            NETLINK_DIAG_MEMINFO => {
                let memory = Memory::parse(value);
                (socket.recv_q, socket.send_q) = (memory.rmem_alloc, memory.wmem_alloc);
                socket.memory = query.memory.then_some(memory);
            }
            NETLINK_DIAG_GROUPS => groups = value.u64(0),
            _ => {}
        }
    }
    socket.detail = query.details.then_some(Detail::Netlink(groups));
    socket
}
