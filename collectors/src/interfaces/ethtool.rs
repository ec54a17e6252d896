//! What a driver says of its interface, by ethtool's ioctl (include/uapi/linux/ethtool.h, net/ethtool/ioctl.c): in the
//! network namespace in which the socket was made, unlike `/sys`, which shows that of whoever mounted it.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use serde::Serialize;

const GDRVINFO: u32 = 0x03;
const GRINGPARAM: u32 = 0x10;
const GRXCSUM: u32 = 0x14;
const GTXCSUM: u32 = 0x16;
const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const GTSO: u32 = 0x1e;
const GGSO: u32 = 0x23;
const GFLAGS: u32 = 0x25;
const GGRO: u32 = 0x2b;
const GLINKSETTINGS: u32 = 0x4c;

/// Bits of GFLAGS: the legacy names of what `ethtool -k` calls large-receive-offload and rx- and tx-vlan-offload.
const FLAG_TX_VLAN: u32 = 1 << 7;
const FLAG_RX_VLAN: u32 = 1 << 8;
const FLAG_LRO: u32 = 1 << 15;

/// The set of strings that names the numbers of GSTATS.
const STRINGS_OF_STATS: u32 = 1;
/// Bytes of one string (ETH_GSTRING_LEN).
const STRING: usize = 32;
/// Room for a driver's statistics; of one that has more than half of this none are read. Large ones have 2,000.
const STATS_MAX: usize = 16_384;

/// What a link can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Link {
    /// Megabits a second; none where the link is down or the driver doesn't know.
    pub speed_mbit: Option<u32>,
    /// `full` or `half`.
    pub duplex: Option<&'static str>,
}

/// Work that the driver or the stack does for many packets at once. Each changes what a capture sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Offloads {
    /// generic-receive-offload: the stack merges received segments.
    pub gro: Option<bool>,
    /// large-receive-offload: the card merges received segments.
    pub lro: Option<bool>,
    /// tcp-segmentation-offload: the card cuts what is sent.
    pub tso: Option<bool>,
    /// generic-segmentation-offload: the stack cuts what is sent, below the capture.
    pub gso: Option<bool>,
    /// rx-checksumming: the card verifies checksums.
    pub rx_checksum: Option<bool>,
    /// tx-checksumming: the card fills checksums in.
    pub tx_checksum: Option<bool>,
    /// rx-vlan-offload: the card takes VLAN tags off.
    pub rx_vlan: Option<bool>,
    /// tx-vlan-offload: the card puts VLAN tags in.
    pub tx_vlan: Option<bool>,
}

/// Entries of the driver's rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rings {
    /// Received packets that fit.
    pub rx: u32,
    /// The most that the driver can be set to.
    pub rx_max: u32,
    /// Packets that wait to be sent.
    pub tx: u32,
    /// The most that the driver can be set to.
    pub tx_max: u32,
}

/// A socket through which the ioctls go.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// `struct ifreq` with its pointer (net/if.h).
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    data: *mut u32,
    /// The union is 24 bytes long.
    rest: [u64; 2],
}

impl Socket {
    /// In the network namespace of the calling thread.
    ///
    /// # Errors
    /// What socket(2) says: in practice, that there are no descriptors left.
    pub fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        socket(AddressFamily::Inet, SockType::Datagram, flags, None).map(Self)
    }

    /// Speed and duplex.
    pub fn link(&self, name: &str) -> Option<Link> {
        // Twelve words, then three masks of so many words each as the kernel says, negated, when it is asked for
        // none (`ethtool_get_link_ksettings`): the last byte of the fourth word.
        let mut head = [0; 12];
        self.ask(name, GLINKSETTINGS, &mut head).ok()?;
        let [_, _, _, fourth, ..] = head;
        let [.., count] = fourth.to_ne_bytes();
        let count = count.cast_signed().checked_neg().filter(|n| *n > 0)?.cast_unsigned();
        let mut words = vec![0; head.len() + 3 * usize::from(count)];
        *words.get_mut(3)? = u32::from_ne_bytes([0, 0, 0, count]);
        self.ask(name, GLINKSETTINGS, &mut words).ok()?;
        let speed = *words.get(1)?;
        let duplex = words.get(2).and_then(|w| w.to_ne_bytes().first().copied())?;
        Some(Link {
            // SPEED_UNKNOWN is -1; some drivers say 0.
            speed_mbit: (speed != 0 && speed != u32::MAX).then_some(speed),
            duplex: match duplex {
                0 => Some("half"),
                1 => Some("full"),
                _ => None,
            },
        })
    }

    /// Name of the driver (`veth`, `virtio_net`).
    pub fn driver(&self, name: &str) -> Option<String> {
        // struct ethtool_drvinfo is 196 bytes; the name has 32 after the command.
        let mut words = [0; 49];
        self.ask(name, GDRVINFO, &mut words).ok()?;
        let bytes = words.iter().skip(1).flat_map(|w| w.to_ne_bytes()).take(STRING);
        let driver = text(bytes);
        (!driver.is_empty()).then_some(driver)
    }

    /// The offloads; what the kernel doesn't tell of this interface is none.
    pub fn offloads(&self, name: &str) -> Offloads {
        let value = |command| {
            let mut words = [0; 2];
            self.ask(name, command, &mut words).ok()?;
            let [_, value] = words;
            Some(value)
        };
        let switch = |command| value(command).map(|v| v != 0);
        let flags = value(GFLAGS);
        let flag = |bit| flags.map(|f| f & bit != 0);
        Offloads {
            gro: switch(GGRO),
            lro: flag(FLAG_LRO),
            tso: switch(GTSO),
            gso: switch(GGSO),
            rx_checksum: switch(GRXCSUM),
            tx_checksum: switch(GTXCSUM),
            rx_vlan: flag(FLAG_RX_VLAN),
            tx_vlan: flag(FLAG_TX_VLAN),
        }
    }

    /// Sizes of the rings, where the driver has any.
    pub fn rings(&self, name: &str) -> Option<Rings> {
        // cmd, four maxima (rx, mini, jumbo, tx), then four sizes in the same order.
        let mut words = [0; 9];
        self.ask(name, GRINGPARAM, &mut words).ok()?;
        let [_, rx_max, _, _, tx_max, rx, _, _, tx] = words;
        Some(Rings { rx, rx_max, tx, tx_max })
    }

    /// The driver's own counters, in its order; empty where it has none.
    pub fn statistics(&self, name: &str) -> Vec<(String, u64)> {
        self.try_statistics(name).unwrap_or_default()
    }

    fn try_statistics(&self, name: &str) -> Option<Vec<(String, u64)>> {
        // n_stats comes after five strings, twelve reserved bytes and n_priv_flags.
        let mut words = [0; 49];
        self.ask(name, GDRVINFO, &mut words).ok()?;
        let count = usize::try_from(*words.get(45)?).ok().filter(|n| (1..=STATS_MAX / 2).contains(n))?;
        let told = u32::try_from(count).ok()?;
        let mut names = vec![0; 3 + STATS_MAX * STRING / size_of::<u32>()];
        *names.get_mut(1)? = STRINGS_OF_STATS;
        *names.get_mut(2)? = told;
        self.ask(name, GSTRINGS, &mut names).ok()?;
        let mut values = vec![0; 2 + 2 * STATS_MAX];
        *values.get_mut(1)? = told;
        self.ask(name, GSTATS, &mut values).ok()?;
        if names.get(2) != Some(&told) || values.get(1) != Some(&told) {
            return None;
        }
        let names: Vec<u8> = names.iter().skip(3).flat_map(|w| w.to_ne_bytes()).collect();
        let names = names.chunks_exact(STRING).map(|s| text(s.iter().copied()));
        let values = values.get(2..)?.as_chunks::<2>().0.iter().map(|[a, b]| {
            let ([a, b, c, d], [e, f, g, h]) = (a.to_ne_bytes(), b.to_ne_bytes());
            u64::from_ne_bytes([a, b, c, d, e, f, g, h])
        });
        Some(names.zip(values).take(count).collect())
    }

    /// One command: `words` is its struct, whose first word is the command.
    fn ask(&self, name: &str, command: u32, words: &mut [u32]) -> io::Result<()> {
        let mut request = Request { name: [0; libc::IFNAMSIZ], data: words.as_mut_ptr(), rest: [0; 2] };
        // The last byte stays zero.
        if name.len() >= request.name.len() {
            return Err(Errno::ENODEV.into());
        }
        for (to, from) in request.name.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        if let Some(first) = words.first_mut() {
            *first = command;
        }
        // SAFETY: `request` is a live ifreq whose pointer leads to `words`. The kernel writes the struct of the
        // command there, which is no longer than `words`: its length is fixed, or the kernel writes masks only where
        // the count in it is its own (GLINKSETTINGS), or it writes as many elements as the driver has at that moment
        // (GSTRINGS, GSTATS), for which there is twice the room that the largest driver that is asked could need.
        let rc = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        Errno::result(rc).map(drop).map_err(io::Error::from)
    }
}

fn text(bytes: impl Iterator<Item = u8>) -> String {
    let bytes: Vec<u8> = bytes.take_while(|b| *b != 0).collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
