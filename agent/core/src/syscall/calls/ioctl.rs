//! ioctl(2): the requests that programs make of terminals, sockets and files.

use std::fmt::Write;

use crate::syscall::call::Call;
use crate::syscall::names::ioctl::IOCTL;
use crate::syscall::names::tty as t;
use crate::syscall::plan::{CaptureKind as K, spec};
use crate::syscall::shape::Arg::{Fd, With};
use crate::syscall::shape::{Shape, call};
use crate::syscall::sockaddr;
use crate::syscall::text::{self, i16_at, i32_at, u16_at, u32_at, u64_at};

pub(super) const CALLS: &[Shape] = &[call("ioctl", &[Fd, With(request), With(argument)])
    .reads(&[spec(2, K::Ioctl, 0)])
    .count(|c| if takes_none(c.low(1)) { 2 } else { 3 })];

/// FIONCLEX, FIOCLEX, TIOCNOTTY, TIOCEXCL, TIOCNXCL, TIOCSBRK, TIOCCBRK.
fn takes_none(request: u64) -> bool {
    matches!(request, 0x5450 | 0x5451 | 0x5422 | 0x540c | 0x540d | 0x5427 | 0x5428)
}

/// A request by name, or taken apart (`asm-generic/ioctl.h`: direction, size, type, number).
fn request(c: &mut Call<'_>, i: usize) {
    let v = c.low(i);
    if let Ok(at) = IOCTL.binary_search_by_key(&v, |n| n.0) {
        return c.push(IOCTL[at].1);
    }
    c.push(match v >> 30 & 3 {
        0 => "_IOC(_IOC_NONE, ",
        1 => "_IOC(_IOC_WRITE, ",
        2 => "_IOC(_IOC_READ, ",
        _ => "_IOC(_IOC_READ|_IOC_WRITE, ",
    });
    c.hex(v >> 8 & 0xff);
    c.push(", ");
    c.hex(v & 0xff);
    c.push(", ");
    c.hex(v >> 16 & 0x3fff);
    c.push(")");
}

fn argument(c: &mut Call<'_>, i: usize) {
    let v = c.value(i);
    let data = c.capture(i, K::Ioctl).map(|read| read.data.as_slice());
    let written = data.filter(|_| !c.failed());
    match c.low(1) {
        // TCGETS; TCSETS, TCSETSW, TCSETSF
        0x5401 => c.structure(i, written, termios),
        0x5402..=0x5404 => c.structure(i, data, termios),
        // TIOCGWINSZ, TIOCSWINSZ
        0x5413 => c.structure(i, written, window),
        0x5414 => c.structure(i, data, window),
        // FIONREAD, TIOCOUTQ, SIOCATMARK, FIOGETOWN, SIOCGPGRP, TIOCGPGRP, TIOCGSID, TIOCGPTN
        0x541b | 0x5411 | 0x8905 | 0x8903 | 0x8904 | 0x540f | 0x5429 | 0x8004_5430 => {
            c.structure(i, written, int)
        }
        // FIONBIO, FIOASYNC, FIOSETOWN, SIOCSPGRP, TIOCSPGRP, TIOCSPTLCK
        0x5421 | 0x5452 | 0x8901 | 0x8902 | 0x5410 | 0x4004_5431 => c.structure(i, data, int),
        // TCSBRK, TIOCSCTTY
        0x5409 | 0x540e => _ = write!(c.out, "{}", v as i32),
        0x540a => c.one_of(v, &[(0, "TCOOFF"), (1, "TCOON"), (2, "TCIOFF"), (3, "TCION")], "TC???"),
        0x540b => c.one_of(v, &[(0, "TCIFLUSH"), (1, "TCOFLUSH"), (2, "TCIOFLUSH")], "TC???"),
        // FICLONE
        0x4004_9409 => c.fd(v as i32),
        0x8910 => c.structure(i, data, if_name),
        0x8933 if c.failed() => c.structure(i, data, name_only),
        0x8913..=0x8942 => interface(c, i, data),
        // BLKGETSIZE64, BLKSSZGET
        0x8008_1272 => c.structure(i, written, |c, d| {
            let _ = write!(c.out, "[{}]", u64_at(d, 0)?);
            Some(())
        }),
        0x1268 => c.structure(i, written, int),
        known if IOCTL.binary_search_by_key(&known, |n| n.0).is_ok() => c.address(v),
        _ => c.hex(v),
    }
}

fn int(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(c.out, "[{}]", i32_at(d, 0)?);
    Some(())
}

/// `struct winsize`.
fn window(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(
        c.out,
        "{{ws_row={}, ws_col={}, ws_xpixel={}, ws_ypixel={}}}",
        u16_at(d, 0)?,
        u16_at(d, 2)?,
        u16_at(d, 4)?,
        u16_at(d, 6)?
    );
    Some(())
}

/// `struct termios` of the kernel (`asm-generic/termbits.h`).
fn termios(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let (iflag, oflag, cflag, lflag) = (u32_at(d, 0)?, u32_at(d, 4)?, u32_at(d, 8)?, u32_at(d, 12)?);
    let (line, cc) = (*d.get(16)?, d.get(17..36)?);
    if !c.opts.verbose {
        c.push("{");
        baud(c, cflag);
        let on = |set| if set { "" } else { "-" };
        let _ = write!(
            c.out,
            " {}opost {}isig {}icanon {}echo ...}}",
            on(oflag & 1 != 0),
            on(lflag & 1 != 0),
            on(lflag & 2 != 0),
            on(lflag & 8 != 0)
        );
        return Some(());
    }
    c.push("{c_iflag=");
    c.flags(iflag.into(), t::IFLAG, "");
    c.push(", c_oflag=");
    output_flags(c, oflag.into());
    c.push(", c_cflag=");
    baud(c, cflag);
    c.push("|");
    c.one_of(u64::from(cflag) & 0x30, t::CSIZE, "CS???");
    let rest = text::known_flags(c.out, u64::from(cflag) & !0x100f & !0x30, t::CFLAG, "|");
    if rest != 0 {
        let _ = write!(c.out, "|{rest:#x}");
    }
    c.push(", c_lflag=");
    c.flags(lflag.into(), t::LFLAG, "");
    c.push(", c_line=");
    c.one_of(line.into(), t::LINE, "N_???");
    c.push(", c_cc=[");
    for (k, value) in cc.iter().enumerate() {
        c.push(if k == 0 { "" } else { ", " });
        let _ = match t::CC.get(k) {
            Some(name) => write!(c.out, "[{name}]="),
            None => write!(c.out, "[{k}]="),
        };
        c.hex((*value).into());
    }
    c.push("]}");
    Some(())
}

fn baud(c: &mut Call<'_>, cflag: u32) {
    c.one_of(u64::from(cflag) & 0x100f, t::BAUD, "B???");
}

fn output_flags(c: &mut Call<'_>, v: u64) {
    c.push(if v & 0x100 != 0 { "NL1|" } else { "NL0|" });
    c.push(["CR0|", "CR1|", "CR2|", "CR3|"][(v >> 9 & 3) as usize]);
    c.push(["TAB0|", "TAB1|", "TAB2|", "TAB3|"][(v >> 11 & 3) as usize]);
    c.push(if v & 0x2000 != 0 { "BS1|" } else { "BS0|" });
    c.push(if v & 0x4000 != 0 { "VT1|" } else { "VT0|" });
    c.push(if v & 0x8000 != 0 { "FF1" } else { "FF0" });
    let rest = text::known_flags(c.out, v & 0xff, t::OFLAG, "|");
    if rest != 0 {
        let _ = write!(c.out, "|{rest:#x}");
    }
}

/// `struct ifreq` for the name behind an index.
fn if_name(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let _ = write!(c.out, "{{ifr_index={}", i32_at(d, 16)?);
    if !c.failed() {
        c.push(", ifr_name=");
        quoted_name(c, d)?;
    }
    c.push("}");
    Some(())
}

fn name_only(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    c.push("{ifr_name=");
    quoted_name(c, d)?;
    c.push("}");
    Some(())
}

fn quoted_name(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    let name = d.get(..16)?.split(|b| *b == 0).next()?;
    text::quoted(c.out, name, name.len() as u64, 16, c.opts.hex_strings);
    Some(())
}

/// `struct ifreq`: a name and what it is asked for, or given.
fn interface(c: &mut Call<'_>, i: usize, data: Option<&[u8]>) {
    c.structure(i, data, |c, d| {
        let request = c.low(1);
        let gets = !matches!(request, 0x8914 | 0x8916 | 0x8918 | 0x891a | 0x891c | 0x891e | 0x8922 | 0x8924);
        c.push("{ifr_name=");
        quoted_name(c, d)?;
        if gets && c.failed() {
            c.push("}");
            return Some(());
        }
        match request {
            0x8913 | 0x8914 => {
                c.push(", ifr_flags=");
                c.flags(i16_at(d, 16)? as u64 & 0xffff, t::IFF, "IFF_???");
            }
            0x8915..=0x891c | 0x8927 => {
                c.push(match request {
                    0x8915 | 0x8916 => ", ifr_addr=",
                    0x8917 | 0x8918 => ", ifr_dstaddr=",
                    0x8919 | 0x891a => ", ifr_broadaddr=",
                    0x891b | 0x891c => ", ifr_netmask=",
                    _ => ", ifr_hwaddr=",
                });
                if request == 0x8927 {
                    hardware_address(c, d.get(16..32)?)?;
                } else if !sockaddr::sockaddr(c.out, d.get(16..32)?, c.opts) {
                    return None;
                }
            }
            0x891d | 0x891e => _ = write!(c.out, ", ifr_metric={}", i32_at(d, 16)?),
            0x8921 | 0x8922 => _ = write!(c.out, ", ifr_mtu={}", i32_at(d, 16)?),
            0x8933 => _ = write!(c.out, ", ifr_ifindex={}", i32_at(d, 16)?),
            0x8942 => _ = write!(c.out, ", ifr_qlen={}", i32_at(d, 16)?),
            _ => {}
        }
        c.push("}");
        Some(())
    });
}

fn hardware_address(c: &mut Call<'_>, d: &[u8]) -> Option<()> {
    c.push("{sa_family=");
    c.one_of(u16_at(d, 0)?.into(), crate::syscall::names::link::ARPHRD, "ARPHRD_???");
    c.push(", sa_data=");
    for (k, b) in d.get(2..8)?.iter().enumerate() {
        let _ = write!(c.out, "{}{b:02x}", if k == 0 { "" } else { ":" });
    }
    c.push("}");
    Some(())
}
