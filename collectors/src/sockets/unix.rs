//! Unix sockets: include/uapi/linux/unix_diag.h.

use super::dump::{Diag, request};
use super::message::Fields;
use super::socket::{Address, Detail, Kind, Memory, Socket, State};
use super::{Query, SocketsError};

const MESSAGE_SIZE: usize = 16;

const UDIAG_SHOW_NAME: u32 = 0x01;
const UDIAG_SHOW_VFS: u32 = 0x02;
const UDIAG_SHOW_PEER: u32 = 0x04;
const UDIAG_SHOW_ICONS: u32 = 0x08;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UDIAG_SHOW_MEMINFO: u32 = 0x20;
const UDIAG_SHOW_UID: u32 = 0x40;

const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_ICONS: u16 = 3;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_MEMINFO: u16 = 5;
const UNIX_DIAG_SHUTDOWN: u16 = 6;
const UNIX_DIAG_UID: u16 = 7;

/// False where this kernel can't dump them.
pub(super) fn read(
    diag: &mut Diag,
    query: &Query,
    each: &mut dyn FnMut(Socket),
) -> Result<bool, SocketsError> {
    let mut show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN;
    if query.memory {
        show |= UDIAG_SHOW_MEMINFO;
    }
    if query.details {
        show |= UDIAG_SHOW_VFS | UDIAG_SHOW_ICONS | UDIAG_SHOW_UID;
    }
    let request = request(libc::AF_UNIX, 0, &[query.states.0, 0, show, 0, 0]);
    diag.dump("Unix", &request, &mut |message| {
        if let Some(socket) = parse(message).filter(|s| query.kinds.contains(&s.kind)) {
            each(socket);
        }
    })
}

pub(super) fn parse(message: Fields<'_>) -> Option<Socket> {
    let kind = match i32::from(message.u8(1)) {
        libc::SOCK_STREAM => Kind::UnixStream,
        libc::SOCK_DGRAM => Kind::UnixDgram,
        libc::SOCK_SEQPACKET => Kind::UnixSeqpacket,
        _ => return None,
    };
    let inode = message.u32(4);
    let (mut name, mut peer, mut file, mut pending) = (None, 0, None, None);
    let (none, state) = (Address::None, State::from_number(message.u8(2)));
    let mut socket = Socket::new(kind, state, none.clone(), none);
    socket.inode = inode;
    socket.cookie = message.cookie(8);
    for (attribute, value) in message.attributes(MESSAGE_SIZE) {
        match attribute {
            // A path may end with a NUL, an abstract name begins with one.
            UNIX_DIAG_NAME => name = Some(value.0.into()),
            UNIX_DIAG_VFS => file = Some((value.u32(0), value.u32(4))),
            UNIX_DIAG_PEER => peer = value.u32(0),
            UNIX_DIAG_ICONS => {
                pending = Some(value.0.chunks_exact(4).map(|inode| Fields(inode).u32(0)).collect());
            }
            UNIX_DIAG_RQLEN => (socket.recv_q, socket.send_q) = (value.u32(0), value.u32(4)),
            UNIX_DIAG_MEMINFO => socket.memory = Some(Memory::parse(value)),
            UNIX_DIAG_SHUTDOWN => socket.shutdown = Some(value.u8(0)),
            UNIX_DIAG_UID => socket.uid = Some(value.u32(0)),
            _ => {}
        }
    }
    socket.local = Address::Unix { name, inode };
    socket.remote = Address::Unix { name: None, inode: peer };
    if file.is_some() || pending.is_some() {
        socket.detail = Some(Detail::Unix { file, pending });
    }
    Some(socket)
}
