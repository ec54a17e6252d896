//! Packet sockets: include/uapi/linux/packet_diag.h.

use super::dump::{Diag, request};
use super::message::Fields;
use super::socket::{Address, Detail, Kind, Memory, Socket, State};
use super::{Query, SocketsError};

const MESSAGE_SIZE: usize = 16;

const PACKET_SHOW_INFO: u32 = 0x01;
const PACKET_SHOW_RING_CFG: u32 = 0x04;
const PACKET_SHOW_FANOUT: u32 = 0x08;
const PACKET_SHOW_MEMINFO: u32 = 0x10;

const PACKET_DIAG_INFO: u16 = 0;
const PACKET_DIAG_RX_RING: u16 = 2;
const PACKET_DIAG_TX_RING: u16 = 3;
const PACKET_DIAG_FANOUT: u16 = 4;
const PACKET_DIAG_UID: u16 = 5;
const PACKET_DIAG_MEMINFO: u16 = 6;

/// How a packet socket is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PacketDetail {
    /// Version of the ring's headers (`TPACKET_V1` is 0).
    pub version: u32,
    /// Longest packet that is copied at once, bytes.
    pub copy_threshold: u32,
    /// `PDI_...`: running, auxdata, origdev, vnethdr, loss.
    pub flags: u32,
    /// Ring for what comes in.
    pub rx_ring: Option<PacketRing>,
    /// Ring for what goes out.
    pub tx_ring: Option<PacketRing>,
    /// Group in the lower, kind in the upper half.
    pub fanout: Option<u32>,
}

/// A ring of a packet socket, sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's names: struct packet_diag_ring")]
pub struct PacketRing {
    pub block_size: u32,
    pub block_nr: u32,
    pub frame_size: u32,
    pub frame_nr: u32,
    /// Milliseconds.
    pub retire_tmo: u32,
    pub features: u32,
}

/// False where this kernel can't dump them.
pub(super) fn read(
    diag: &mut Diag,
    query: &Query,
    each: &mut dyn FnMut(Socket),
) -> Result<bool, SocketsError> {
    let show = PACKET_SHOW_INFO | PACKET_SHOW_MEMINFO | PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT;
    diag.dump("packet", &request(libc::AF_PACKET, 0, &[0, show, 0, 0]), &mut |message| {
        let socket = parse(message, query);
        if query.kinds.contains(&socket.kind) {
            each(socket);
        }
    })
}

pub(super) fn parse(message: Fields<'_>, query: &Query) -> Socket {
    let kind = match i32::from(message.u8(1)) {
        libc::SOCK_RAW => Kind::PacketRaw,
        _ => Kind::PacketDgram,
    };
    let mut socket = Socket::new(kind, State::Close, Address::None, Address::None);
    socket.inode = message.u32(4);
    socket.cookie = message.cookie(8);
    let mut detail = PacketDetail::default();
    for (attribute, value) in message.attributes(MESSAGE_SIZE) {
        match attribute {
            PACKET_DIAG_INFO => {
                socket.interface = value.u32(0);
                detail.version = value.u32(4);
                detail.copy_threshold = value.u32(12);
                detail.flags = value.u32(20);
            }
            PACKET_DIAG_RX_RING => detail.rx_ring = Some(ring(value)),
            PACKET_DIAG_TX_RING => detail.tx_ring = Some(ring(value)),
            PACKET_DIAG_FANOUT => detail.fanout = Some(value.u32(0)),
            PACKET_DIAG_UID => socket.uid = Some(value.u32(0)),
            PACKET_DIAG_MEMINFO => {
                let memory = Memory::parse(value);
                socket.recv_q = memory.rmem_alloc;
                socket.memory = query.memory.then_some(memory);
            }
            _ => {}
        }
    }
    socket.local = Address::Packet { protocol: message.u16(2), interface: socket.interface };
    socket.detail = query.details.then_some(Detail::Packet(detail));
    socket
}

fn ring(value: Fields<'_>) -> PacketRing {
    PacketRing {
        block_size: value.u32(0),
        block_nr: value.u32(4),
        frame_size: value.u32(8),
        frame_nr: value.u32(12),
        retire_tmo: value.u32(16),
        features: value.u32(24),
    }
}
