//! Names of terminals and network interfaces (`asm-generic/termbits.h`, `linux/tty.h`, `linux/if.h`).

use crate::syscall::text::Names;

/// `c_iflag`.
#[rustfmt::skip]
pub(in crate::syscall) const IFLAG: Names = &[
    (0o1, "IGNBRK"), (0o2, "BRKINT"), (0o4, "IGNPAR"), (0o10, "PARMRK"), (0o20, "INPCK"), (0o40, "ISTRIP"),
    (0o100, "INLCR"), (0o200, "IGNCR"), (0o400, "ICRNL"), (0o1000, "IUCLC"), (0o2000, "IXON"), (0o4000, "IXANY"),
    (0o10000, "IXOFF"), (0o20000, "IMAXBEL"), (0o40000, "IUTF8"),
];

/// `c_oflag` without its delays.
#[rustfmt::skip]
pub(in crate::syscall) const OFLAG: Names = &[
    (0o1, "OPOST"), (0o2, "OLCUC"), (0o4, "ONLCR"), (0o10, "OCRNL"), (0o20, "ONOCR"), (0o40, "ONLRET"),
    (0o100, "OFILL"), (0o200, "OFDEL"),
];

/// `c_cflag` without size and speed.
#[rustfmt::skip]
pub(in crate::syscall) const CFLAG: Names = &[
    (0o100, "CSTOPB"), (0o200, "CREAD"), (0o400, "PARENB"), (0o1000, "PARODD"), (0o2000, "HUPCL"),
    (0o4000, "CLOCAL"), (0x2000_0000, "ADDRB"), (0x4000_0000, "CMSPAR"), (0x8000_0000, "CRTSCTS"),
];

/// Bits of a character.
#[rustfmt::skip]
pub(in crate::syscall) const CSIZE: Names = &[
    (0, "CS5"), (0o20, "CS6"), (0o40, "CS7"), (0o60, "CS8"),
];

/// `c_lflag`.
#[rustfmt::skip]
pub(in crate::syscall) const LFLAG: Names = &[
    (0o1, "ISIG"), (0o2, "ICANON"), (0o4, "XCASE"), (0o10, "ECHO"), (0o20, "ECHOE"), (0o40, "ECHOK"),
    (0o100, "ECHONL"), (0o200, "NOFLSH"), (0o100_000, "IEXTEN"), (0o1000, "ECHOCTL"), (0o2000, "ECHOPRT"),
    (0o4000, "ECHOKE"), (0o10000, "FLUSHO"), (0o40000, "PENDIN"), (0o400, "TOSTOP"), (0o200_000, "EXTPROC"),
];

/// Speeds.
#[rustfmt::skip]
pub(in crate::syscall) const BAUD: Names = &[
    (0, "B0"), (1, "B50"), (2, "B75"), (3, "B110"), (4, "B134"), (5, "B150"), (6, "B200"), (7, "B300"), (8, "B600"),
    (9, "B1200"), (10, "B1800"), (11, "B2400"), (12, "B4800"), (13, "B9600"), (14, "B19200"), (15, "B38400"),
    (0x1000, "BOTHER"), (0x1001, "B57600"), (0x1002, "B115200"), (0x1003, "B230400"), (0x1004, "B460800"),
    (0x1005, "B500000"), (0x1006, "B576000"), (0x1007, "B921600"), (0x1008, "B1000000"), (0x1009, "B1152000"),
    (0x100a, "B1500000"), (0x100b, "B2000000"), (0x100c, "B2500000"), (0x100d, "B3000000"), (0x100e, "B3500000"),
    (0x100f, "B4000000"),
];

/// Line disciplines.
#[rustfmt::skip]
pub(in crate::syscall) const LINE: Names = &[
    (0, "N_TTY"), (1, "N_SLIP"), (2, "N_MOUSE"), (3, "N_PPP"), (4, "N_STRIP"), (5, "N_AX25"),
];

/// Flags of network interfaces.
#[rustfmt::skip]
pub(in crate::syscall) const IFF: Names = &[
    (0x1, "IFF_UP"), (0x2, "IFF_BROADCAST"), (0x4, "IFF_DEBUG"), (0x8, "IFF_LOOPBACK"), (0x10, "IFF_POINTOPOINT"),
    (0x20, "IFF_NOTRAILERS"), (0x40, "IFF_RUNNING"), (0x80, "IFF_NOARP"), (0x100, "IFF_PROMISC"),
    (0x200, "IFF_ALLMULTI"), (0x400, "IFF_MASTER"), (0x800, "IFF_SLAVE"), (0x1000, "IFF_MULTICAST"),
    (0x2000, "IFF_PORTSEL"), (0x4000, "IFF_AUTOMEDIA"), (0x8000, "IFF_DYNAMIC"), (0x10000, "IFF_LOWER_UP"),
    (0x20000, "IFF_DORMANT"), (0x40000, "IFF_ECHO"),
];

/// Indexes of `c_cc`.
#[rustfmt::skip]
pub(in crate::syscall) const CC: &[&str] = &[
    "VINTR", "VQUIT", "VERASE", "VKILL", "VEOF", "VTIME", "VMIN", "VSWTC", "VSTART", "VSTOP", "VSUSP", "VEOL",
    "VREPRINT", "VDISCARD", "VWERASE", "VLNEXT", "VEOL2",
];
