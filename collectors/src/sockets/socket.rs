//! A socket, whatever its family.

use std::net::IpAddr;

use super::inet::Timer;
use super::message::Fields;
use super::packet::PacketDetail;
use super::tcp::Tcp;

/// Kind of a socket: what ss calls its Netid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of socket(7)")]
pub enum Kind {
    Tcp,
    Udp,
    Raw,
    UnixStream,
    UnixDgram,
    UnixSeqpacket,
    PacketRaw,
    PacketDgram,
    Netlink,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Tcp,
        Self::Udp,
        Self::Raw,
        Self::UnixStream,
        Self::UnixDgram,
        Self::UnixSeqpacket,
        Self::PacketRaw,
        Self::PacketDgram,
        Self::Netlink,
    ];

    /// True for those with IP addresses.
    pub fn is_inet(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Raw)
    }

    /// True for Unix sockets.
    pub fn is_unix(self) -> bool {
        matches!(self, Self::UnixStream | Self::UnixDgram | Self::UnixSeqpacket)
    }
}

/// State of a socket, with the kernel's numbers (include/net/tcp_states.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the kernel's names")]
#[repr(u8)]
pub enum State {
    /// A number that this version doesn't know.
    Unknown = 0,
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    NewSynRecv = 12,
    /// A TCP port that somebody has bound, but neither listens on nor connects from; Linux 6.8.
    BoundInactive = 13,
}

impl State {
    /// All that have a meaning.
    pub const ALL: [Self; 13] = [
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait1,
        Self::FinWait2,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::Closing,
        Self::NewSynRecv,
        Self::BoundInactive,
    ];

    /// The state with this number.
    pub fn from_number(n: u8) -> Self {
        Self::ALL.into_iter().find(|state| *state as u8 == n).unwrap_or(Self::Unknown)
    }

    /// The word that ss's filters have for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Established => "established",
            Self::SynSent => "syn-sent",
            Self::SynRecv | Self::NewSynRecv => "syn-recv",
            Self::FinWait1 => "fin-wait-1",
            Self::FinWait2 => "fin-wait-2",
            Self::TimeWait => "time-wait",
            Self::Close => "closed",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::Listen => "listening",
            Self::Closing => "closing",
            Self::BoundInactive => "bound-inactive",
        }
    }
}

/// A set of states, in the bits that the kernel asks for (`idiag_states`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct States(pub u32);

impl States {
    /// The set of these.
    pub fn of(states: &[State]) -> Self {
        Self(states.iter().fold(0, |all, state| all | 1 << *state as u8))
    }

    /// True where `state` is in it.
    pub fn contains(self, state: State) -> bool {
        self.0 & Self::of(&[state]).0 != 0
    }
}

/// One end of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Of TCP, UDP, raw; a raw socket's port is its protocol.
    Ip(IpAddr, u16),
    /// Of a Unix socket.
    Unix {
        /// Path, or the abstract name with its leading NUL; `None` where it isn't bound, and for a peer.
        name: Option<Box<[u8]>>,
        /// Inode number, 0 for none.
        inode: u32,
    },
    /// Of a packet socket.
    Packet {
        /// EtherType (`ETH_P_...`); 3 is all of them, 0 none.
        protocol: u16,
        /// Index of the interface, 0 for all.
        interface: u32,
    },
    /// Of a netlink socket.
    Netlink {
        /// Protocol (`NETLINK_...`); of a peer: the group that it sends to.
        protocol: u32,
        /// Port; 0 is the kernel.
        port: u32,
    },
    /// A packet or netlink socket's peer, where it has none.
    None,
}

/// Memory of a socket (`SK_MEMINFO_...`, net/core/sock.c, sk_get_meminfo), bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the kernel's names")]
pub struct Memory {
    pub rmem_alloc: u32,
    pub rcvbuf: u32,
    pub wmem_alloc: u32,
    pub sndbuf: u32,
    pub fwd_alloc: u32,
    pub wmem_queued: u32,
    pub optmem: u32,
    pub backlog: u32,
    /// Packets dropped; of a listener, SYNs and last ACKs, mostly for a full queue (include/net/tcp.h, tcp_listendrop).
    pub drops: u32,
}

impl Memory {
    pub(super) fn parse(from: Fields<'_>) -> Self {
        Self {
            rmem_alloc: from.u32(0),
            rcvbuf: from.u32(4),
            wmem_alloc: from.u32(8),
            sndbuf: from.u32(12),
            fwd_alloc: from.u32(16),
            wmem_queued: from.u32(20),
            optmem: from.u32(24),
            backlog: from.u32(28),
            drops: from.u32(32),
        }
    }
}

/// What only one family has, and only where it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Of a Unix socket.
    Unix {
        /// Inode number and device (as the kernel has it inside: 12 bits major, 20 minor) of the file.
        file: Option<(u32, u32)>,
        /// Inode numbers of the peers of connections that a listener has not accepted yet.
        pending: Option<Vec<u32>>,
    },
    /// Of a packet socket.
    Packet(PacketDetail),
    /// Of a netlink socket: bits of the groups that it listens to, the first 64.
    Netlink(u64),
}

/// A socket. What the kernel has not told is `None`, or 0 where no value is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// What it is.
    pub kind: Kind,
    /// Its state.
    pub state: State,
    /// Bytes not read; of a listener, connections not accepted.
    pub recv_q: u32,
    /// Bytes not acknowledged; of a listener, how many connections may wait.
    pub send_q: u32,
    /// This end.
    pub local: Address,
    /// The other end.
    pub remote: Address,
    /// Inode number; 0 where no descriptor belongs to it (`TIME-WAIT`, not accepted, the kernel's own).
    pub inode: u32,
    /// Who made it.
    pub uid: Option<u32>,
    /// `sk->sk_cookie`; 0 where it is not known.
    pub cookie: u64,
    /// Index of the interface that it is bound to, 0 for none.
    pub interface: u32,
    /// `SO_MARK`; told to CAP_NET_ADMIN only.
    pub mark: u32,
    /// Id of its cgroup.
    pub cgroup: Option<u64>,
    /// `RCV_SHUTDOWN` 1, `SEND_SHUTDOWN` 2.
    pub shutdown: Option<u8>,
    /// `IPV6_V6ONLY`.
    pub v6only: Option<bool>,
    /// The timer that is running.
    pub timer: Option<Timer>,
    /// Where it was asked for.
    pub memory: Option<Memory>,
    /// Where it was asked for.
    pub tcp: Option<Box<Tcp>>,
    /// Where it was asked for.
    pub detail: Option<Detail>,
}

impl Socket {
    /// One of which no more is known.
    pub fn new(kind: Kind, state: State, local: Address, remote: Address) -> Self {
        Self {
            kind,
            state,
            recv_q: 0,
            send_q: 0,
            local,
            remote,
            inode: 0,
            uid: None,
            cookie: 0,
            interface: 0,
            mark: 0,
            cgroup: None,
            shutdown: None,
            v6only: None,
            timer: None,
            memory: None,
            tcp: None,
            detail: None,
        }
    }

    /// True for a listener that takes no further connection until one is accepted (include/net/sock.h,
    /// sk_acceptq_is_full; net/unix/af_unix.c, unix_recvq_full): one more than its limit may wait.
    pub fn is_queue_full(&self) -> bool {
        self.state == State::Listen && self.recv_q > self.send_q
    }
}
