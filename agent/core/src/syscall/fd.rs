//! What a descriptor is, as strace's `-y` and `-yy` say it: `3</etc/passwd>`, `4<TCP:[10.0.0.1:43210->10.0.0.2:443]>`.
//!
//! Captures of the kinds `Fd*` hold `struct fd_info` of the probes (`probes/bpf/include/events.h`) and names behind it.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::call::Call;
use super::names::net::NETLINK_PROTO;
use super::render::FdPaths;
use super::text::{self, u16_at, u32_at, u64_at};

/// `struct fd_info`.
const INFO: usize = 72;

const FD_DELETED: u8 = 1;
const FD_CUT: u8 = 2;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;
const S_IFCHR: u16 = 0o020_000;
const S_IFBLK: u16 = 0o060_000;

// linux/magic.h
const PIPEFS: u32 = 0x5049_5045;
const ANON_INODE_FS: u32 = 0x0904_1934;
const NSFS: u32 = 0x6e73_6673;
const PIDFS: u32 = 0x5049_4446;

/// Appends what the descriptor is, in angle brackets; nothing where the capture is cut.
pub(super) fn describe(c: &mut Call<'_>, data: &[u8]) {
    let at = c.out.len();
    c.push("<");
    if write(c, data).is_none() {
        c.out.truncate(at);
    }
}

/// Protocol of an AF_NETLINK socket that a capture tells of, `Some(None)` for one that has no port yet.
#[expect(clippy::option_option, reason = "no netlink socket, or one of which the protocol is not told")]
pub(super) fn netlink(data: &[u8]) -> Option<Option<u16>> {
    let (mode, family, port) = (u16_at(data, 28)?, u16_at(data, 30)?, u64_at(data, 16)?);
    (mode & S_IFMT == S_IFSOCK && family == AF_NETLINK).then(|| u16_at(data, 32).filter(|_| port != 0))
}

fn write(c: &mut Call<'_>, data: &[u8]) -> Option<()> {
    let (magic, ino, mode) = (u32_at(data, 4)?, u64_at(data, 8)?, u16_at(data, 28)?);
    let flags = *data.get(35)?;
    let names = data.get(INFO..)?;
    let leaf = names.split(|b| *b == 0).next().unwrap_or_default();
    if mode & S_IFMT == S_IFSOCK {
        socket(c, data, ino, leaf, names.get(leaf.len() + 1..).unwrap_or_default())?;
        c.push(">");
        return Some(());
    }
    match magic {
        PIPEFS if leaf.is_empty() => _ = write!(c.out, "pipe:[{ino}]>"),
        ANON_INODE_FS if leaf.starts_with(b"[") => {
            c.push("anon_inode:");
            text::escape_path(c.out, leaf);
            c.push(">");
        }
        PIDFS => _ = write!(c.out, "pid:{}>", u64_at(data, 16)?),
        NSFS => {
            text::escape_path(c.out, leaf);
            let _ = write!(c.out, ":[{ino}]>");
        }
        _ => {
            path(c, names, flags);
            device(c, mode, u32_at(data, 24)?);
            c.push(">");
            if flags & FD_DELETED != 0 || leaf.starts_with(b"memfd:") {
                c.push("(deleted)");
            }
        }
    }
    Some(())
}

/// Whether it is a descriptor of this path; false where its names were cut.
pub(super) fn is_of(data: &[u8], path: &[u8]) -> bool {
    let (Some(mode), Some(flags), Some(names)) = (u16_at(data, 28), data.get(35), data.get(INFO..)) else {
        return false;
    };
    if mode & S_IFMT == S_IFSOCK || flags & FD_CUT != 0 {
        return false;
    }
    let names = names.strip_suffix(b"\0").unwrap_or(names);
    let Some(mut rest) = path.strip_prefix(b"/") else { return false };
    if names.is_empty() {
        return rest.is_empty();
    }
    let mut first = true;
    for name in names.rsplit(|b| *b == 0) {
        let Some(after) = rest.strip_prefix(if first { &b""[..] } else { b"/" }) else { return false };
        let Some(after) = after.strip_prefix(name) else { return false };
        (rest, first) = (after, false);
    }
    rest.is_empty()
}

/// The names come from the file up to the root.
fn path(c: &mut Call<'_>, names: &[u8], flags: u8) {
    let names = names.strip_suffix(b"\0").unwrap_or(names);
    if names.is_empty() {
        return c.push("/");
    }
    c.push(if flags & FD_CUT != 0 { "..." } else { "" });
    for name in names.rsplit(|b| *b == 0) {
        c.push("/");
        text::escape_path(c.out, name);
    }
}

/// The number of a device: `<char 1:3>`.
fn device(c: &mut Call<'_>, mode: u16, rdev: u32) {
    let kind = match mode & S_IFMT {
        S_IFCHR => "char",
        S_IFBLK => "block",
        _ => return,
    };
    if c.opts.fd_paths == FdPaths::Details {
        // include/linux/kdev_t.h
        let _ = write!(c.out, "<{kind} {}:{}>", rdev >> 20, rdev & 0xf_ffff);
    }
}

fn socket(c: &mut Call<'_>, data: &[u8], ino: u64, protocol_name: &[u8], path: &[u8]) -> Option<()> {
    let (family, peer) = (u16_at(data, 30)?, u64_at(data, 16)?);
    if c.opts.fd_paths != FdPaths::Details {
        let _ = write!(c.out, "socket:[{ino}]");
        return Some(());
    }
    // strace knows the protocols of these families only.
    let known = matches!(family, AF_INET | AF_INET6 | AF_UNIX | AF_NETLINK);
    text::escape_path(c.out, if known { protocol_name } else { b"socket" });
    c.push(":[");
    match family {
        AF_INET | AF_INET6 => {
            let (local, remote) = (u16_at(data, 36)?, u16_at(data, 38)?);
            let connected = remote != 0 || data.get(56..72)?.iter().any(|b| *b != 0);
            // What has neither a port nor another end, sock_diag(7) doesn't know.
            if local == 0 {
                let _ = write!(c.out, "{ino}");
            } else {
                endpoint(c, family, data.get(40..56)?, local)?;
                if connected {
                    c.push("->");
                    endpoint(c, family, data.get(56..72)?, remote)?;
                }
            }
        }
        AF_UNIX => {
            let _ = write!(c.out, "{ino}");
            if peer != 0 {
                let _ = write!(c.out, "->{peer}");
            }
            if let Some(first) = path.first() {
                c.push(if *first == 0 { ",@\"" } else { ",\"" });
                let name = if *first == 0 { &path[1..] } else { path.split(|b| *b == 0).next()? };
                text::escape(c.out, name);
                c.push("\"");
            }
        }
        AF_NETLINK if peer != 0 => {
            let protocol = u16_at(data, 32)?;
            match NETLINK_PROTO.iter().find(|p| p.0 == u64::from(protocol)) {
                Some((_, name)) => c.push(name.trim_start_matches("NETLINK_")),
                None => _ = write!(c.out, "{protocol}"),
            }
            let _ = write!(c.out, ":{}", peer as u32);
        }
        _ => _ = write!(c.out, "{ino}"),
    }
    c.push("]");
    Some(())
}

fn endpoint(c: &mut Call<'_>, family: u16, address: &[u8], port: u16) -> Option<()> {
    if family == AF_INET {
        let four = *address.first_chunk::<4>()?;
        let _ = write!(c.out, "{}:{port}", Ipv4Addr::from(four));
    } else {
        let sixteen = *address.first_chunk::<16>()?;
        let _ = write!(c.out, "[{}]:{port}", Ipv6Addr::from(sixteen));
    }
    Some(())
}
